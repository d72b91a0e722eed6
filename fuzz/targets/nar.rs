//! What `narthex_fuzz::nar` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::nar(bytes));
