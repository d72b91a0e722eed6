//! Relocation-masked function hashes: static archives found again in stripped binaries.
//!
//! A linker changes a function only where relocations say so. With those bytes zeroed, the hash of
//! the rest is the same in the archive and in every program linked with it, whichever the linker.
//! This is the idea behind FLIRT signatures; `docs/decisions/0004-audit.md` has the figures.

use crate::anchor::{WINDOW, distinctive, window_hash};
use crate::corpus::{Corpus, FunctionPrint, Origin};
use crate::elf::Function;
use crate::finding::{Finding, MemberHits, Place};
use crate::prints::{Hash, shorten};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Functions with fewer bytes that stay as they are say nothing.
const INDEXED_BYTES: u32 = 32;

/// Functions with fewer such bytes are counted but accuse nobody: below that, tiny functions and weak
/// templates of unrelated programs agree by chance (`docs/decisions/0004-audit.md`).
const ACCUSING_BYTES: u32 = 96;

/// So many bytes of accusing functions, in at least two of them, make a finding.
const FINDING_BYTES: u64 = 512;

/// Windows looked at when a function's anchor is chosen.
const ANCHOR_CHOICES: usize = 64;

/// Bytes of code that one thread looks through at a time.
const PIECE: usize = 1 << 20;

/// Longest stretches that a finding lists.
const RANGES: usize = 16;

/// Makes the prints of one object's functions; `None` for those that are too short to tell apart.
///
/// The anchor of each is the window that stands in the fewest places of the object.
pub(crate) fn prints(functions: &[Function<'_>]) -> Vec<Option<FunctionPrint>> {
    let windows: Vec<Vec<(u32, u64)>> = functions.iter().map(windows).collect();
    let mut frequency: HashMap<u64, u32> = HashMap::new();
    for (_, hash) in windows.iter().flatten() {
        *frequency.entry(*hash).or_default() += 1;
    }
    let mut scratch = Vec::new();
    let print = |(function, windows): (&Function<'_>, Vec<(u32, u64)>)| {
        let (anchor_offset, anchor) = windows.into_iter().min_by_key(|(offset, hash)| (frequency[hash], *offset))?;
        let mut print = FunctionPrint {
            length: function.bytes.len() as u32,
            masked: function.masked.clone(),
            hash: Hash::default(),
            anchor,
            anchor_offset,
        };
        print.hash = masked_hash(function.bytes, &print.masked, &mut scratch);
        (print.unmasked() >= INDEXED_BYTES).then_some(print)
    };
    functions.iter().zip(windows).map(print).collect()
}

/// Up to [`ANCHOR_CHOICES`] windows that no relocation touches, spread over the function.
fn windows(function: &Function<'_>) -> Vec<(u32, u64)> {
    let mut found = Vec::new();
    let mut start = 0;
    let ends = function.masked.iter().map(|(at, length)| (*at, at + length));
    for (stop, next) in ends.chain([(function.bytes.len() as u32, u32::MAX)]) {
        for offset in start..=stop.saturating_sub(WINDOW as u32) {
            let window = function.bytes.get(offset as usize..).and_then(|rest| rest.first_chunk::<WINDOW>());
            if stop >= start + WINDOW as u32
                && let Some(window) = window
                && distinctive(window)
            {
                found.push((offset, window_hash(window)));
            }
        }
        start = next;
    }
    let step = found.len().div_ceil(ANCHOR_CHOICES).max(1);
    found.into_iter().step_by(step).collect()
}

fn masked_hash(bytes: &[u8], masked: &[(u32, u32)], scratch: &mut Vec<u8>) -> Hash {
    scratch.clear();
    scratch.extend_from_slice(bytes);
    for &(at, length) in masked {
        scratch[at as usize..(at + length) as usize].fill(0);
    }
    shorten(&blake3::hash(scratch))
}

/// Looks for the corpus's functions in executable code and reports them archive by archive.
pub(crate) fn scan(place: &Place, code: &[(u64, &[u8])], corpus: &Corpus, findings: &mut Vec<Finding>) {
    if corpus.anchors.is_empty() {
        return;
    }
    // Pieces overlap nowhere in their positions, and each may look beyond its end: the same hits come out
    // in the same order, however many threads there are.
    let hits: Vec<Hit> = code
        .iter()
        .flat_map(|stretch| (0..stretch.1.len()).step_by(PIECE).map(move |start| (stretch, start)))
        .collect::<Vec<_>>()
        .into_par_iter()
        .flat_map_iter(|((address, bytes), start)| scan_piece(*address, bytes, start, corpus))
        .collect();
    let code_bytes = code.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    report(place, code_bytes, &hits, corpus, findings);
}

/// One function of the corpus, found: its number, its address and its end.
struct Hit {
    function: u32,
    range: (u64, u64),
}

/// Looks for functions whose anchor begins in the piece of `bytes` from `first` on.
fn scan_piece(address: u64, bytes: &[u8], first: usize, corpus: &Corpus) -> Vec<Hit> {
    let (mut hits, mut scratch) = (Vec::new(), Vec::new());
    let end = (first + PIECE + WINDOW - 1).min(bytes.len());
    for (offset, window) in bytes[first..end].windows(WINDOW).enumerate() {
        let Some(window) = window.first_chunk::<WINDOW>() else { continue };
        for (_, number) in corpus.anchors.candidates(window_hash(window)) {
            let print = &corpus.body.functions[*number as usize];
            let Some(start) = (first + offset).checked_sub(print.anchor_offset as usize) else { continue };
            let Some(candidate) = bytes.get(start..start + print.length as usize) else { continue };
            if masked_hash(candidate, &print.masked, &mut scratch) == print.hash {
                let from = address.saturating_add(start as u64);
                hits.push(Hit { function: *number, range: (from, from.saturating_add(u64::from(print.length))) });
            }
        }
    }
    hits
}

fn report(place: &Place, code_bytes: u64, hits: &[Hit], corpus: &Corpus, findings: &mut Vec<Finding>) {
    // Archive → member → functions.
    let mut archives: BTreeMap<(u32, &str), BTreeMap<u32, BTreeSet<u32>>> = BTreeMap::new();
    let found: BTreeSet<u32> = hits.iter().map(|hit| hit.function).collect();
    for function in &found {
        for owner in &corpus.owners[*function as usize] {
            let member = &corpus.body.members[*owner as usize];
            archives
                .entry((member.material, &member.archive))
                .or_default()
                .entry(*owner)
                .or_default()
                .insert(*function);
        }
    }
    // A function that two archives share is put down to the one that explains more, so that a permitted
    // archive does not bring another one under suspicion.
    let mut archives: Vec<_> = archives.into_iter().collect();
    archives.sort_by_key(|(_, members)| std::cmp::Reverse(members.values().map(BTreeSet::len).sum::<usize>()));
    let mut explained: BTreeSet<u32> = BTreeSet::new();
    for ((material, archive), members) in archives {
        let functions: BTreeSet<u32> = members.values().flatten().copied().collect();
        let accusing: Vec<u64> = functions
            .difference(&explained)
            .map(|f| corpus.body.functions[*f as usize].unmasked())
            .filter(|bytes| *bytes >= ACCUSING_BYTES)
            .map(u64::from)
            .collect();
        if accusing.len() < 2 || accusing.iter().sum::<u64>() < FINDING_BYTES {
            continue;
        }
        explained.extend(&functions);
        let ranges = merge(hits.iter().filter(|hit| functions.contains(&hit.function)).map(|hit| hit.range).collect());
        findings.push(Finding::StaticCode {
            place: place.clone(),
            archive: Origin {
                material: corpus.body.materials[material as usize].clone(),
                file: archive.to_owned(),
                member: None,
            },
            members: members
                .iter()
                .map(|(owner, found)| {
                    let member = &corpus.body.members[*owner as usize];
                    MemberHits {
                        member: member.member.clone(),
                        functions_found: found.len() as u32,
                        functions_known: member.functions.len() as u32,
                    }
                })
                .collect(),
            bytes_found: ranges.iter().map(|(from, to)| to - from).sum(),
            code_bytes,
            ranges: longest(ranges),
        });
    }
}

fn merge(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, to) in ranges {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

fn longest(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_by_key(|(from, to)| (std::cmp::Reverse(to - from), *from));
    ranges.truncate(RANGES);
    ranges.sort_unstable();
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{Body, Material, MemberPrint};

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

    fn corpus(functions: &[Function<'_>]) -> Corpus {
        let functions: Vec<_> = prints(functions).into_iter().flatten().collect();
        Corpus::from_body(Body {
            materials: vec![Material::of_package("vendor", vec![])],
            members: vec![MemberPrint {
                material: 0,
                archive: "libv.a".to_owned(),
                member: "v.o".to_owned(),
                functions: (0..functions.len() as u32).collect(),
            }],
            functions,
            ..Body::default()
        })
        .unwrap()
    }

    fn find(corpus: &Corpus, code: &[u8]) -> Vec<Finding> {
        let mut findings = Vec::new();
        scan(&Place { file: "bin/x".to_owned(), members: vec![] }, &[(0x1000, code)], corpus, &mut findings);
        findings
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
        let functions: Vec<_> = bodies.iter().map(|b| Function { bytes: b, masked: vec![] }).collect();
        let with = |other: Vec<u32>| {
            let mut body = corpus(&functions).body;
            body.members.push(MemberPrint {
                material: 0,
                archive: "libother.a".to_owned(),
                member: "o.o".to_owned(),
                functions: other,
            });
            body.members[0].functions = vec![0, 1, 2, 3];
            let found = find(&Corpus::from_body(body).unwrap(), &bodies.concat());
            let name = |finding: &Finding| finding.origin().unwrap().file.clone();
            found.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(with(vec![2, 3]), ["libv.a"]);
        assert_eq!(with(vec![3, 4]), ["libv.a"], "one function of its own is too little");
        assert_eq!(with(vec![3, 4, 5]), ["libv.a", "libother.a"]);
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
        let made =
            prints(&[Function { bytes: &padding, masked: vec![] }, Function { bytes: &masked, masked: everything }]);
        assert!(made.iter().all(Option::is_none));
    }
}
