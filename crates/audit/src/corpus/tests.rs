//! Tests of the corpus and its file.

use super::*;
use crate::{AuditFile, Contents, Limits, Source, learn};
use proptest::prelude::*;

fn file<'a>(path: &str, bytes: &'a [u8]) -> AuditFile<'a> {
    AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) }
}

fn add(prints: &mut Fingerprints, package: &str, files: &[AuditFile<'_>]) {
    let material = Material::of_package(package, vec!["unfree".to_owned()]);
    let source = Source::new(format!("sha256:{package}"), "n", material);
    learn(prints, &source, files, Limits::default());
}

fn small() -> Fingerprints {
    let mut prints = Fingerprints::default();
    add(&mut prints, "vendor-1", &[file("lib/a", &[b'a'; 100]), file("lib/b", &[b'b'; 5000])]);
    prints
}

#[test]
fn packages_are_parted_as_nix_does() {
    let check = |package: &str, name: &str, version: &str| {
        let material = Material::of_package(package, vec![]);
        assert_eq!((material.name.as_str(), material.version.as_str()), (name, version));
        assert_eq!(material.package(), package);
    };
    check("cuda_cudart-12.9.79", "cuda_cudart", "12.9.79");
    check("nvidia-cuda-runtime-cu12-12.9.79", "nvidia-cuda-runtime-cu12", "12.9.79");
    check("mkl", "mkl", "");
    check("x-unstable-2024", "x-unstable", "2024");
}

#[test]
fn what_is_written_is_read_again() {
    let prints = small();
    let layer = Layer::new(prints.to_bytes()).unwrap();
    let again = Fingerprints::from_layer(&layer);
    assert_eq!(again.to_bytes(), prints.to_bytes());
    assert!(again.has_learned("sha256:vendor-1"));
    assert_eq!(Corpus::new(vec![layer]).size(), (2, 0));
}

#[test]
fn merging_and_removing_are_inverse() {
    let mut prints = small();
    let before = prints.to_bytes();
    let mut other = Fingerprints::default();
    add(&mut other, "vendor-2", &[file("lib/c", &[b'c'; 100])]);
    prints.merge(&other);
    let listed: Vec<_> = prints.to_corpus().list().into_iter().map(|one| (one.material.package(), one.files)).collect();
    assert_eq!(listed, [("vendor-1".to_owned(), 2), ("vendor-2".to_owned(), 1)]);
    assert_eq!(prints.remove(|material| material.version == "2").len(), 1);
    let corpus = prints.to_corpus();
    assert_eq!(corpus.size(), (2, 0));
    assert!(!corpus.has_learned("sha256:vendor-2"), "what was removed may be learned again");
    prints.meta.learned.insert("sha256:vendor-1".to_owned());
    assert_eq!(prints.to_bytes(), before);
    assert_eq!(prints.remove(|_| false), []);
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let bytes = small().to_bytes();
    for end in 0..bytes.len() {
        assert!(Layer::new(bytes[..end].to_vec()).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(Layer::new(changed).is_err(), "flipped at {at}");
    }
}

#[test]
fn another_format_says_so() {
    let mut bytes = small().to_bytes();
    bytes[8] = 2;
    let error = Layer::new(bytes).unwrap_err();
    assert!(matches!(error, CorpusError::Version { found: 2 }));
    assert_eq!(error.to_string(), "it has format 2, and this program reads format 4");
}

/// It has all that it had, and counts as one that learned nothing: the same packages have more to give.
#[test]
fn the_format_before_is_read_and_asks_to_be_learned_again() {
    let new = small().to_bytes();
    // What a file of that format has: three parts less, and so their ends.
    let (ends, rest) = new[52..].split_at(15 * 8);
    let ends: Vec<u8> = (0..12).flat_map(|part| (u64_at(ends, part * 8) - 24).to_le_bytes()).collect();
    let length = u64_at(&ends, 88) as usize - 96;
    let mut old = sign(&[&ends, &rest[..length]].concat());
    old[8] = 3;
    let layer = Layer::new(old).unwrap();
    let again = Fingerprints::from_layer(&layer);
    assert!(!again.has_learned("sha256:vendor-1"));
    assert_eq!(Corpus::new(vec![layer]).size(), (2, 0));
    let mut again = again;
    add(&mut again, "vendor-1", &[file("lib/a", &[b'a'; 100]), file("lib/b", &[b'b'; 5000])]);
    assert_eq!(again.to_bytes(), new);
}

proptest! {
    /// A body with a right checksum and arbitrary content is refused or read, never a panic.
    #[test]
    fn foreign_bodies_do_not_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz_corpus(&body);
    }

    /// The same for what is nearly a sound body.
    #[test]
    fn changed_bodies_do_not_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut body = small().to_bytes()[52..].to_vec();
        for (at, value) in changes {
            let at = at.index(body.len());
            body[at] = value;
        }
        crate::fuzz_corpus(&body);
    }
}
