//! Tests of the search for functions, with code made here.

use super::*;
use crate::corpus::{Fingerprints, Layer, Material};

/// Bytes without a pattern, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn fingerprints(archives: &[(&str, &[Function<'_>])]) -> Fingerprints {
    let mut prints = Fingerprints::default();
    let material = prints.material(&Material::of_package("vendor-1", vec![]));
    for (archive, functions) in archives {
        let (mut scratch, mut frequencies) = (Vec::new(), Frequencies::default());
        let candidates: Vec<_> = functions.iter().filter_map(|f| candidate(f, &mut scratch)).collect();
        candidates.iter().for_each(|candidate| frequencies.count(candidate));
        let original = prints.original(material, archive);
        let functions = candidates.into_iter().map(|candidate| frequencies.choose(candidate)).collect();
        prints.add_functions(original, "v.o", functions);
    }
    prints
}

fn corpus(functions: &[Function<'_>]) -> Corpus {
    fingerprints(&[("libv.a", functions)]).to_corpus()
}

fn find(corpus: &Corpus, code: &[u8]) -> Vec<Finding> {
    let place = Place { file: "bin/x".to_owned(), members: vec![] };
    let put = put_down(&look(&[(0x1000, code)], corpus).hits, corpus);
    put.iter().map(|put| finding(&place, put, code.len() as u64, &|at| at, corpus).unwrap()).collect()
}

#[test]
fn functions_are_found_whatever_the_linker_writes_into_their_relocations() {
    let bodies: Vec<_> = (1..=4).map(|seed| noise(seed, 300)).collect();
    let functions: Vec<_> = bodies.iter().map(|b| Function { bytes: b, masked: vec![(40, 4), (200, 8)] }).collect();
    let corpus = corpus(&functions);

    let mut program = noise(99, 1000);
    for body in &bodies {
        let mut linked = body.clone();
        linked[40..44].copy_from_slice(&[1, 2, 3, 4]);
        linked[200..208].fill(0xff);
        program.extend_from_slice(&linked);
        program.extend_from_slice(&noise(7, 33));
    }
    let found = find(&corpus, &program);
    let [Finding::StaticCode { members, bytes_found, ranges, .. }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((members[0].functions_found, members[0].functions_known), (4, 4));
    assert_eq!(*bytes_found, 1200);
    assert_eq!(ranges[0], (0x1000 + 1000, 0x1000 + 1300));

    // One more byte changed, outside the relocations: that function is no longer the vendor's.
    program[1000 + 100] ^= 1;
    let found = find(&corpus, &program);
    let [Finding::StaticCode { members, .. }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(members[0].functions_found, 3);
}

/// A function that lies across the border of two pieces is found once.
#[test]
fn pieces_hide_nothing_at_their_borders() {
    let bodies: Vec<_> = (1..=3).map(|seed| noise(seed, 400)).collect();
    let functions: Vec<_> = bodies.iter().map(|b| Function { bytes: b, masked: vec![] }).collect();
    let corpus = corpus(&functions);
    for before in [PIECE - 1200, PIECE - 600, PIECE - 7, PIECE, PIECE + 1] {
        let program = [noise(99, before), bodies.concat(), noise(98, 50)].concat();
        let found = find(&corpus, &program);
        let [Finding::StaticCode { members, bytes_found, .. }] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((members[0].functions_found, *bytes_found), (3, 1200), "{before}");
    }
}

/// Two archives with the same functions, of which one has more of what was found.
#[test]
fn shared_functions_are_put_down_to_the_archive_that_explains_more() {
    let bodies: Vec<_> = (1..=6).map(|seed| noise(seed, 300)).collect();
    let pick = |numbers: &[usize]| -> Vec<Function<'_>> {
        numbers.iter().map(|number| Function { bytes: &bodies[*number], masked: vec![] }).collect()
    };
    let with = |other: &[usize]| {
        let archives = [("libv.a", pick(&[0, 1, 2, 3])), ("libother.a", pick(other))];
        let corpus = fingerprints(&archives.each_ref().map(|(name, functions)| (*name, functions.as_slice())));
        let found = find(&corpus.to_corpus(), &bodies.concat());
        found.iter().map(|finding| finding.origin().unwrap().file.clone()).collect::<Vec<_>>()
    };
    assert_eq!(with(&[2, 3]), ["libv.a"]);
    assert_eq!(with(&[3, 4]), ["libv.a"], "one function of its own is too little");
    assert_eq!(with(&[3, 4, 5]), ["libv.a", "libother.a"]);
}

/// The same archive in two layers: of those that ship one speaks, and nobody who learned it here silences it.
#[test]
fn of_layers_that_know_the_same_each_voice_speaks() {
    let bodies: Vec<_> = (1..=6).map(|seed| noise(seed, 300)).collect();
    let functions: Vec<_> = bodies.iter().map(|b| Function { bytes: b, masked: vec![] }).collect();
    let layer = |archive, known: std::ops::Range<usize>| {
        Layer::new(fingerprints(&[(archive, &functions[known])]).to_bytes()).unwrap()
    };
    let check = |corpus: &Corpus, expected: &[(&str, u32)]| {
        let of = |finding: &Finding| match finding {
            Finding::StaticCode { archive, members, .. } => (archive.file.clone(), members[0].functions_found),
            other => panic!("{other:?}"),
        };
        let found: Vec<_> = find(corpus, &bodies.concat()).iter().map(of).collect();
        let expected: Vec<_> = expected.iter().map(|(file, count)| ((*file).to_owned(), *count)).collect();
        assert_eq!(found, expected);
    };
    check(&Corpus::new(vec![layer("lib/first.a", 0..3), layer("lib/second.a", 0..3)]), &[("lib/first.a", 3)]);
    let both = [("lib/own.a", 3), ("lib/vendor.a", 3)];
    check(&Corpus::layered(vec![layer("lib/own.a", 0..3)], vec![layer("lib/vendor.a", 0..3)]), &both);
    // An archive that has more of its own beside the vendor's.
    let more = [("lib/own.a", 6), ("lib/vendor.a", 3)];
    check(&Corpus::layered(vec![layer("lib/own.a", 0..6)], vec![layer("lib/vendor.a", 0..3)]), &more);
    // One that shares a little with it is not named for that.
    check(&Corpus::layered(vec![layer("lib/own.a", 0..2)], vec![layer("lib/vendor.a", 0..6)]), &[("lib/vendor.a", 6)]);
}

#[test]
fn one_function_or_short_ones_accuse_nobody() {
    let one = noise(1, 2000);
    let corpus_of_one = corpus(&[Function { bytes: &one, masked: vec![] }]);
    assert_eq!(find(&corpus_of_one, &one), []);

    let short: Vec<_> = (1..=40).map(|seed| noise(seed, 60)).collect();
    let functions: Vec<_> = short.iter().map(|b| Function { bytes: b, masked: vec![] }).collect();
    assert_eq!(find(&corpus(&functions), &short.concat()), []);
}

#[test]
fn functions_without_an_anchor_are_left_out() {
    let padding = vec![0x90; 400];
    let masked = noise(3, 400);
    let everything = vec![(0, 400)];
    let mut scratch = Vec::new();
    assert!(candidate(&Function { bytes: &padding, masked: vec![] }, &mut scratch).is_none());
    assert!(candidate(&Function { bytes: &masked, masked: everything }, &mut scratch).is_none());
}
