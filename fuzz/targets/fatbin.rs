//! What `narthex_fuzz::fatbin` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::fatbin(bytes));
