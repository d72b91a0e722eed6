//! What `narthex_fuzz::property` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::property(bytes));
