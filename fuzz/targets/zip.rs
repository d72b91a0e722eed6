//! What `narthex_fuzz::zip` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::zip(bytes));
