//! What `narthex_fuzz::squashfs` reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex_fuzz::squashfs(bytes));
