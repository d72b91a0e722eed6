//! What `narthex_fuzz::pe` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::pe(bytes));
