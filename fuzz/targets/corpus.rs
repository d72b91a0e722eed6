//! What `narthex_fuzz::corpus` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::corpus(bytes));
