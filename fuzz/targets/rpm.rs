//! What `narthex_fuzz::rpm` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::rpm(bytes));
