//! What `narthex_fuzz::compressed` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::compressed(bytes));
