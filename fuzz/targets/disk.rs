//! What `narthex_fuzz::disk` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::disk(bytes));
