//! Chunks of a file that its content chooses: what a copy keeps that somebody changed here and there.
//!
//! A chunk begins at a window that few others are like, and has [`CHUNK`] bytes. Where it stands does not matter, nor
//! what tables say of the place: a changed byte costs the chunks that it lies in, and no more. Of each original the
//! chunks with the lowest prints are kept. Texts have none here.

use crate::anchor::{WINDOW, anchor_of, distinctive};
use crate::container::is_archive;
use crate::corpus::{Corpus, Fingerprints, OriginalRef, Part, Voice};
use crate::fatbin;
use crate::finding::{Change, Finding, Form, Parts, Place};
use crate::kin::Kin;
use crate::prints::{Kind, hash64};
use std::collections::{BTreeMap, BTreeSet};

/// One window in so many begins a chunk; a multiple of what is sampled for anchors.
const EVERY: u32 = 512;

/// Bytes of a chunk.
const CHUNK: usize = 128;

/// Different bytes that a chunk has at least: tables of numbers and padding have fewer.
const DIFFERENT: usize = 24;

/// So many chunks of one original are kept.
const KEPT: usize = 128;

/// An original with fewer chunks cannot be told by them.
const ACCUSING: u32 = 12;

/// One in so many of an original's chunks makes a copy. Free code in two libraries (tables for checksums and for
/// letters, for instance) has a few chunks in common.
const SHARE: u32 = 4;

/// Where functions of the same library were found as a part of something else, three of four do: an archive and the
/// shared library have messages and tables in common.
const SHARE_BESIDE_CODE: (u32, u32) = (3, 4);

/// Shorter files have too few chunks.
const SHORTEST: usize = 4096;

/// Whether a chunk begins at the window with this anchor.
pub(crate) fn begins(anchor: u32) -> bool {
    anchor.is_multiple_of(EVERY)
}

/// The print of the chunk that begins here; `None` where it is cut off, or says nothing.
pub(crate) fn print(bytes: &[u8]) -> Option<u64> {
    let chunk = bytes.get(..CHUNK)?;
    let mut seen = [false; 256];
    let different = chunk.iter().filter(|byte| !std::mem::replace(&mut seen[usize::from(**byte)], true)).count();
    (different >= DIFFERENT).then(|| hash64(Kind::Chunk, chunk))
}

/// Whether the corpus knows a chunk.
pub(crate) fn is_known(hash: u64, corpus: &Corpus) -> bool {
    corpus.chunks.may_have((hash >> 32) as u32)
        && !corpus.is_free(hash)
        && corpus.originals(Part::Chunks, hash).next().is_some()
}

/// All chunks of a file, each with the place where it begins.
fn prints(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let windows = bytes.windows(WINDOW).enumerate();
    let begins = windows.filter_map(|(at, window)| {
        let window = window.first_chunk::<WINDOW>()?;
        (begins(anchor_of(window)) && distinctive(window)).then_some(at)
    });
    begins.filter_map(|at| Some((at as u64, print(&bytes[at..])?)))
}

/// Whether a file has chunks: archives are opened, and a text is compared as a text.
fn has_chunks(bytes: &[u8]) -> bool {
    bytes.len() >= SHORTEST && bytes.contains(&0) && !is_archive(bytes)
}

/// Adds the chunks of an original. Device code has prints of its own: a static and a shared library have all of it in
/// common, and whoever links the one has no copy of the other.
pub(crate) fn learn(known: &mut Fingerprints, original: u32, bytes: &[u8]) {
    if !has_chunks(bytes) {
        return;
    }
    let device = fatbin::stretches(&fatbin::containers(bytes).collect::<Vec<_>>());
    let is_device = |at: u64| {
        let next = device.partition_point(|range| range.1 <= at);
        device.get(next).is_some_and(|range| range.0 < at + CHUNK as u64)
    };
    let mut kept = BTreeSet::new();
    for (_, hash) in prints(bytes).filter(|(at, _)| !is_device(*at)) {
        if kept.len() < KEPT || kept.last().is_some_and(|last| hash < *last) {
            kept.insert(hash);
            if kept.len() > KEPT {
                kept.pop_last();
            }
        }
    }
    known.chunks.extend(kept.into_iter().map(|hash| (hash, original)));
}

/// The chunks of a file that the corpus knows.
pub(crate) fn all_known(bytes: &[u8], corpus: &Corpus) -> Vec<u64> {
    if corpus.chunks.is_empty() || !has_chunks(bytes) {
        return Vec::new();
    }
    let known = |hash: &u64| corpus.originals(Part::Chunks, *hash).next().is_some();
    prints(bytes).map(|(_, hash)| hash).filter(known).collect()
}

/// Puts known chunks down to originals, as each voice knows them, and reports those of which enough is there. What is
/// reported is taken out. `beside_code` are the libraries of which code was found as a part: what they have is theirs,
/// and no sign of another library that has them inside as well.
pub(crate) fn report(
    place: &Place,
    chunks: &mut BTreeSet<u64>,
    beside_code: &dyn Fn(&str) -> bool,
    corpus: &Corpus,
    findings: &mut Vec<Finding>,
) {
    let of_chunk = |hash: &u64| corpus.originals(Part::Chunks, *hash);
    let voices: BTreeSet<Voice> = chunks.iter().flat_map(of_chunk).map(|original| corpus.voice(original)).collect();
    let mut explained: BTreeSet<u64> = BTreeSet::new();
    for voice in voices {
        let mut left = chunks.clone();
        while let Some((original, found)) = most(&left, voice, beside_code, corpus) {
            let (own, others): (BTreeSet<u64>, BTreeSet<u64>) =
                left.into_iter().partition(|hash| of_chunk(hash).any(|other| other == original));
            explained.extend(own);
            left = others;
            let Some(origin) = corpus.origin(original, None) else { continue };
            let known = corpus.chunks_of(original);
            findings.push(Finding::ModifiedCopy {
                place: place.clone(),
                original: origin,
                same: Vec::new(),
                changed: Vec::new(),
                changes: vec![Change::Parts { parts: Parts::Chunks, found, known, form: Form::Contents }],
                kin: Kin::default(),
            });
        }
    }
    let is_beside = |hash: &u64| of_chunk(hash).any(|original| is_of(original, beside_code, corpus));
    chunks.retain(|hash| !explained.contains(hash) && !is_beside(hash));
}

/// Whether an original is one of some libraries.
fn is_of(original: OriginalRef, libraries: &dyn Fn(&str) -> bool, corpus: &Corpus) -> bool {
    corpus.origin(original, None).is_some_and(|origin| libraries(&origin.file))
}

/// The original that one voice puts most of these chunks down to, if it is enough, and how many.
fn most(
    chunks: &BTreeSet<u64>,
    voice: Voice,
    beside_code: &dyn Fn(&str) -> bool,
    corpus: &Corpus,
) -> Option<(OriginalRef, u32)> {
    let mut counts: BTreeMap<OriginalRef, u32> = BTreeMap::new();
    for hash in chunks {
        let originals = || corpus.originals(Part::Chunks, *hash);
        let is_beside = |original: OriginalRef| is_of(original, beside_code, corpus);
        let theirs = originals().any(is_beside);
        for original in originals().filter(|original| corpus.voice(*original) == voice) {
            if !theirs || is_beside(original) {
                *counts.entry(original).or_default() += 1;
            }
        }
    }
    let enough = |(original, count): &(OriginalRef, u32)| {
        let known = corpus.chunks_of(*original);
        let beside = corpus.origin(*original, None).is_none_or(|origin| beside_code(&origin.file));
        let (part, whole) = if beside { SHARE_BESIDE_CODE } else { (1, SHARE) };
        *count >= ACCUSING && *count * whole >= known * part
    };
    counts.into_iter().filter(enough).max_by_key(|(original, count)| (*count, std::cmp::Reverse(*original)))
}

/// The originals of a corpus that a file has most chunks of: it is one of them, changed here and there.
pub(crate) fn changed(bytes: &[u8], corpus: &Corpus) -> Vec<OriginalRef> {
    let chunks: BTreeSet<u64> = all_known(bytes, corpus).into_iter().collect();
    let mut counts: BTreeMap<OriginalRef, u32> = BTreeMap::new();
    for original in chunks.iter().flat_map(|hash| corpus.originals(Part::Chunks, *hash)) {
        *counts.entry(original).or_default() += 1;
    }
    let (part, whole) = SHARE_BESIDE_CODE;
    let most = |(original, count): &(OriginalRef, u32)| {
        *count >= ACCUSING && *count * whole >= corpus.chunks_of(*original) * part
    };
    counts.into_iter().filter(most).map(|(original, _)| original).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{archive, library, noise, object};
    use crate::{AuditFile, Contents, Limits, Material, Source, audit};

    fn corpus(bytes: &[u8]) -> Corpus {
        let mut prints = Fingerprints::default();
        let file = AuditFile { path: "lib/device.bc".to_owned(), contents: Contents::Bytes(bytes) };
        let source = Source::new("sha256:v", "n", Material::of_package("vendor-1", vec![]));
        crate::learn(&mut prints, &source, &[file], Limits::default());
        prints.to_corpus()
    }

    fn found(corpus: &Corpus, files: &[Vec<u8>]) -> Vec<String> {
        let file = |bytes| AuditFile { path: "x".to_owned(), contents: Contents::Bytes(bytes) };
        let files: Vec<_> = files.iter().map(|bytes| file(bytes)).collect();
        audit(&files, corpus, Limits::default()).findings.iter().map(|finding| finding.kind().to_owned()).collect()
    }

    #[test]
    fn a_copy_is_known_whatever_was_changed_here_and_there() {
        let original = noise(1, 200_000);
        let corpus = corpus(&original);
        let check = |bytes: Vec<u8>, copy: bool| {
            let expected: &[&str] = if copy { &["modified-copy"] } else { &[] };
            assert_eq!(found(&corpus, &[bytes]), expected);
        };
        let every = |step: usize| {
            let mut bytes = original.clone();
            bytes.iter_mut().step_by(step).for_each(|byte| *byte ^= 1);
            bytes
        };
        check(every(50_000), true);
        check(every(2000), true);
        // Moved, turned around in halves, and in the middle of something else.
        check([noise(2, 77), original.clone()].concat(), true);
        check([&original[100_000..], &original[..100_000]].concat(), true);
        check([noise(3, 500_000), original.clone(), noise(4, 500_000)].concat(), true);
        check(original[30_000..150_000].to_vec(), true);
        // A tenth of it, and nothing of it.
        check(original[1000..21_000].to_vec(), false);
        check(noise(5, 200_000), false);
        check(every(100), false);
    }

    /// A program that includes a static library is no copy of another library that includes it as well.
    #[test]
    fn a_library_inside_two_others_makes_neither_the_other() {
        let functions: Vec<Vec<u8>> = (0..60).map(|number| noise(1000 + number, 700)).collect();
        let text = |own: u64| (".text", true, [noise(own, 30_000), functions.concat()].concat());
        let said = |own: u64| (".rodata", false, noise(own, 30_000));
        let bare = library(&[text(1), said(2)]);
        let outer = library(&[text(3), said(4)]);
        let mut prints = Fingerprints::default();
        let mut add = |path: &str, bytes: &[u8]| {
            let source = Source::new(format!("sha256:{path}"), "n", Material::of_package("vendor-1", vec![]));
            let file = AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) };
            crate::learn(&mut prints, &source, &[file], Limits::default());
        };
        add("lib/libinner_static.a", &archive(&[("i.o", object(&functions))]));
        add("lib/libinner.so", &bare);
        add("lib/libouter.so", &outer);
        let corpus = prints.to_corpus();
        let program =
            |more: Vec<u8>| library(&[(".text", true, [noise(7, 30_000), functions.concat(), more].concat())]);
        assert_eq!(found(&corpus, &[program(Vec::new())]), ["static"]);
        // With what is the other library's own, it is there as well.
        let own = [noise(3, 30_000), noise(4, 30_000)].concat();
        assert_eq!(found(&corpus, &[program(own)]), ["static", "modified-copy"]);
    }

    #[test]
    fn pieces_in_many_files_are_one_copy() {
        let original = noise(1, 200_000);
        let pieces: Vec<Vec<u8>> =
            original.chunks(5000).map(|piece| [noise(9, 300), piece.to_vec()].concat()).collect();
        assert_eq!(found(&corpus(&original), &pieces), ["modified-copy"]);
        assert!(found(&corpus(&original), &pieces[..4]).is_empty());
    }
}
