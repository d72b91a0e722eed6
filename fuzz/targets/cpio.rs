//! What `narthex_fuzz::cpio` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::cpio(bytes));
