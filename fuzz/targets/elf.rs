//! What `narthex_fuzz::elf` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::elf(bytes));
