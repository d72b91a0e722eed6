//! What `narthex_fuzz::tar` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::tar(bytes));
