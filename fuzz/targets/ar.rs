//! What `narthex_fuzz::ar` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::ar(bytes));
