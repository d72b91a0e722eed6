//! What `narthex_fuzz::sevenz` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::sevenz(bytes));
