//! What the bytes of built outputs say: copies, modified copies and static inclusions of
//! restricted material.
//!
//! Bytes in, findings out: the caller maps the files, and nothing here opens, spawns or connects.
//! A finding is evidence and never a verdict; `narthex-policy` decides. What cannot be read to its
//! end is itself a finding ([`Finding::NotFullyAudited`]). Archives of kinds that are not recognized
//! at all are seen as plain bytes.
//!
//! - [`Corpus`] holds fingerprints of restricted material: hashes, never vendor bytes.
//! - [`learn()`] turns material into fingerprints, [`audit()`] looks for them.
//! - A scanner is a function from one file's bytes to findings; `scan.rs` has the list.

mod anchor;
mod audit;
mod container;
mod corpus;
mod elf;
mod fatbin;
mod finding;
mod functions;
mod learn;
mod prints;
mod scan;

pub use audit::{AuditFile, Contents, Report, audit};
pub use container::Limits;
pub use corpus::{Corpus, CorpusError, Material, Origin};
pub use finding::{Change, DriverSign, Finding, Gap, MemberHits, Place, Section, Sign};
pub use learn::{Learned, learn};

/// Changes whenever the same bytes and the same corpus could give other findings, so that stored
/// reports are made anew.
pub const SCANNER_VERSION: u32 = 2;

/// Reads device code from arbitrary bytes and forgets it, for tests with foreign bytes: it never panics.
#[doc(hidden)]
pub fn fuzz_fatbin(bytes: &[u8]) {
    fatbin::read_all(bytes);
}
