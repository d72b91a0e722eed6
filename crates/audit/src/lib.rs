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
mod binary;
mod chunks;
mod coff;
mod container;
mod copies;
mod corpus;
mod device;
mod elf;
mod explain;
mod fatbin;
mod finding;
mod functions;
mod inlined;
mod kin;
mod learn;
mod links;
mod loader;
#[cfg(test)]
mod made;
mod makers;
mod nvcc;
mod own;
mod passages;
mod pe;
mod pool;
mod prints;
mod ranges;
mod records;
mod scan;
mod strings;
#[cfg(test)]
mod tests;
mod texts;
mod whose;

pub use audit::{AuditFile, AuditPart, Budget, Contents, Report, audit, audit_part};
pub use container::{Limits, OpenSpill, Spill, Spilled};
pub use corpus::{Corpus, CorpusError, Fingerprints, Layer, Listed, Material, Origin};
pub use explain::{FunctionHit, function_hits};
pub use finding::{Change, DriverSign, Finding, Form, Gap, MemberHits, Parts, Place, Section, Sign};
pub use kin::{Kin, product};
pub use learn::{Known, Learned, Source, Supply, learn, learn_beside, learn_free};
pub use makers::Made;
pub use records::{PackError, Records, Release, pack_records};
pub use texts::{LicenseText, NoTextHash, TextHash};

/// Opens the bytes as far as they are archives, within small bounds: an entrance for fuzzing.
#[doc(hidden)]
pub fn fuzz_container(bytes: &[u8]) {
    struct Nobody;
    impl container::Visitor for Nobody {
        fn blob(&mut self, _: &Place, _: &[u8], _: Option<container::Kind>) -> bool {
            true
        }
        fn gap(&mut self, _: Place, _: Gap) {}
    }
    let limits =
        Limits { depth: 4, member_bytes: 1 << 20, total_bytes: 4 << 20, members: 1000, memory: 4 << 20, spill: None };
    container::walk(Place { file: "input".to_owned(), members: Vec::new() }, bytes, limits, &mut Nobody);
}

/// Changes whenever the same bytes and the same corpus could give other findings, so that stored
/// reports are made anew.
pub const SCANNER_VERSION: u32 = 9;

/// Reads the bytes as every kind of binary that there is. For fuzzing alone.
#[doc(hidden)]
pub fn fuzz_binary(bytes: &[u8]) {
    binary::fuzz(bytes);
}

/// Reads device code from arbitrary bytes and forgets it. For fuzzing alone.
#[doc(hidden)]
pub fn fuzz_fatbin(bytes: &[u8]) {
    fatbin::read_all(bytes);
}

/// Reads the bytes as the body of a corpus file whose checksum is right, and uses it. For fuzzing alone.
#[doc(hidden)]
pub fn fuzz_corpus(body: &[u8]) {
    let Ok(layer) = Layer::new(corpus::sign(body)) else { return };
    let _ = Fingerprints::from_layer(&layer).to_bytes();
    let corpus = Corpus::new(vec![layer]);
    let _ = (corpus.list(), corpus.id());
    let noise: Vec<u8> = (0..10_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let files = [("x", noise.as_slice()), ("a", &[b'a'; 100]), ("b", body)];
    let file = |(path, bytes): (&str, _)| AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) };
    let _ = audit(&files.map(file), &corpus, Limits::default());
}
