//! Hashes of bytes and of sections.

use serde::{Deserialize, Serialize};

/// The first half of a BLAKE3 hash. 128 bits: two files never share one by chance.
pub(crate) type Hash = [u8; 16];

pub(crate) fn hash(bytes: &[u8]) -> Hash {
    shorten(&blake3::hash(bytes))
}

pub(crate) fn shorten(hash: &blake3::Hash) -> Hash {
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_bytes()[..16]);
    short
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
    pub(crate) hash: Hash,
}

impl SectionPrint {
    /// Whether a section of this name and size tells one binary from another.
    pub(crate) fn is_distinctive(&self) -> bool {
        self.is_large() && DISTINCTIVE.contains(&self.name.as_str())
    }

    /// Whether it is large enough to tell anything.
    pub(crate) fn is_large(&self) -> bool {
        self.size >= DISTINCTIVE_BYTES
    }
}
