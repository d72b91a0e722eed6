//! Steers arbitrary bytes into one parser each, so that no time is lost on inputs that it turns away.
//!
//! Whatever the parser asks for before it looks further is put there where it is missing: magic
//! numbers, versions, sums of headers. An input that has all of this is passed on as it is. The same
//! functions run in the fuzzer and, over the seeds, in the tests of `narthex-audit`; this file and
//! those beside it are part of both.

mod archives;
mod disk;
mod property;
mod steer;

pub use archives::{ar, carve, compressed, cpio, nar, rpm, sevenz, squashfs, tar, zip};
pub use disk::disk;
pub use property::property;

use narthex_audit::{fuzz_binary, fuzz_container, fuzz_corpus, fuzz_fatbin};
use steer::{put, starting};

/// A name, which is also that of the folder of its seeds, and what reads the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 17] = [
    ("elf", elf),
    ("pe", pe),
    ("ar", ar),
    ("fatbin", fatbin),
    ("cubin", cubin),
    ("corpus", corpus),
    ("zip", zip),
    ("tar", tar),
    ("cpio", cpio),
    ("rpm", rpm),
    ("sevenz", sevenz),
    ("squashfs", squashfs),
    ("disk", disk),
    ("nar", nar),
    ("compressed", compressed),
    ("carve", carve),
    ("property", property),
];

/// ELF files: sections, code, functions, what the dynamic linker is told; and the file system behind an AppImage.
pub fn elf(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if !bytes.starts_with(b"\x7fELF") {
        put(&mut bytes, 0, b"\x7fELF");
        // Class, order of bytes, version.
        let (class, order) = (bytes.get(4).copied().unwrap_or(0), bytes.get(5).copied().unwrap_or(0));
        put(&mut bytes, 4, &[1 + class % 2, 1 + order % 2, 1]);
    }
    fuzz_binary(&bytes);
    fuzz_container(&bytes);
}

/// PE files: the same, and the resource with the version.
pub fn pe(bytes: &[u8]) {
    const OFFSET: usize = 0x3c;
    let mut bytes = starting(bytes, b"MZ");
    let header = bytes.get(OFFSET..OFFSET + 4).and_then(|field| field.first_chunk().copied()).map(u32::from_le_bytes);
    match header.map(|at| at as usize) {
        Some(at) if bytes.get(at..).is_some_and(|rest| rest.starts_with(b"PE\0\0")) => {}
        Some(at) if (0x40..bytes.len()).contains(&at) => put(&mut bytes, at, b"PE\0\0"),
        _ => {
            put(&mut bytes, OFFSET, &0x40u32.to_le_bytes());
            put(&mut bytes, 0x40, b"PE\0\0");
        }
    }
    fuzz_binary(&bytes);
}

/// Containers of device code, wherever they stand, and what is in them.
pub fn fatbin(bytes: &[u8]) {
    const HEADER: &[u8] = b"\x50\xed\x55\xba\x01\0\x10\0";
    match bytes.windows(HEADER.len()).any(|window| window == HEADER) {
        true => fuzz_fatbin(bytes),
        false => fuzz_fatbin(&starting(bytes, HEADER)),
    }
}

/// Machine code for NVIDIA's GPUs, or PTX.
pub fn cubin(bytes: &[u8]) {
    let is_text = bytes.first().is_some_and(|first| b"/.\r\n\t ".contains(first));
    if is_text {
        fuzz_fatbin(bytes);
        fuzz_fatbin(&[b".version 8.0\n.target sm_80\n", bytes].concat());
    } else {
        let mut bytes = starting(bytes, b"\x7fELF");
        put(&mut bytes, 18, &190u16.to_le_bytes());
        fuzz_fatbin(&bytes);
    }
}

/// Bodies of corpus files, whose header is made anew for each.
pub fn corpus(bytes: &[u8]) {
    fuzz_corpus(bytes);
}
