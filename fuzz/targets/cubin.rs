//! What `narthex_fuzz::cubin` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::cubin(bytes));
