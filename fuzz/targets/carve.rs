//! What `narthex_fuzz::carve` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::carve(bytes));
