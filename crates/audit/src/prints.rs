//! Hashes of bytes, of sections and of beginnings.
//!
//! Whole files are told by the first half of their BLAKE3. Everything else is told by 64 bits, which
//! agree by chance once in 10^19 comparisons, and which nobody gains anything by forging: a forged
//! print could only accuse its own forger.

use serde::{Deserialize, Serialize};

/// The first half of a BLAKE3 hash.
pub(crate) fn hash128(bytes: &[u8]) -> u128 {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    u128::from_be_bytes(short)
}

/// What a 64-bit hash is of, so that equal bytes of two kinds have two hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Section = 1,
    Head,
    Function,
    Entry,
    Kernel,
    Symbol,
    String,
    Product,
    File,
    Chunk,
}

/// A fast hash of some bytes.
pub(crate) fn hash64(kind: Kind, bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, kind as u64)
}

/// Sections whose bytes neither patchelf nor strip changes; measured over nine variants of five
/// vendor libraries (`docs/decisions/0004-audit.md`). The last three are those of PE files, whose names end
/// after eight letters.
const DISTINCTIVE: [&str; 6] = [".text", ".rodata", ".nv_fatbin", ".rdata", ".nv_fatb", ".nvFatBi"];

/// Shorter ones are start-up code and tables that unrelated binaries share.
const DISTINCTIVE_BYTES: u64 = 1024;

/// The size and hash of one section of an original.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SectionPrint {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) hash: u64,
}

impl SectionPrint {
    /// Whether a section of this name and size tells one binary from another.
    pub(crate) fn is_distinctive(&self) -> bool {
        is_large(self.size) && DISTINCTIVE.contains(&self.name.as_str())
    }
}

/// Whether a section is large enough to tell anything.
pub(crate) fn is_large(size: u64) -> bool {
    size >= DISTINCTIVE_BYTES
}

/// The shortest beginning that is hashed.
pub(crate) const FIRST_HEAD: usize = 4096;

/// Lengths of the beginnings that are hashed: each four times the one before.
pub(crate) fn head_lengths(size: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(FIRST_HEAD), |length| length.checked_mul(4)).take_while(move |length| *length <= size)
}

/// Hashes of a file's beginnings, by which a copy is known that was cut or that something was added to.
pub(crate) fn heads(bytes: &[u8]) -> Vec<u64> {
    head_lengths(bytes.len()).map(|length| hash64(Kind::Head, &bytes[..length])).collect()
}
