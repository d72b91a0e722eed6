//! Relocation-masked function hashes: static archives found again in stripped binaries.
//!
//! A linker changes a function only where relocations say so. With those bytes zeroed, the hash of
//! the rest is the same in the archive and in every program linked with it, whichever the linker.
//! This is the idea behind FLIRT signatures; `docs/decisions/0004-audit.md` has the figures.

use crate::anchor::{WINDOW, anchor_of, distinctive, is_sampled};
use crate::binary::Function;
use crate::corpus::{Corpus, FunctionPrint, FunctionRow, Origin, OriginalRef};
use crate::finding::{Finding, MemberHits, Place};
use crate::prints::{Kind, hash64};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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

/// A function with the windows that may become its anchor.
pub(crate) struct Candidate {
    print: FunctionPrint,
    windows: Vec<Window>,
}

/// A window of a function.
#[derive(Clone, Copy)]
struct Window {
    anchor: u32,
    /// Where it stands first.
    offset: u32,
    /// How often it stands in the function.
    times: u32,
}

/// Prepares the print of one function; `None` where it is too short to be told apart.
pub(crate) fn candidate(function: &Function<'_>, scratch: &mut Vec<u8>) -> Option<Candidate> {
    let masked_bytes: u32 = function.masked.iter().map(|(_, length)| length).sum();
    if (function.bytes.len() as u32) < INDEXED_BYTES + masked_bytes {
        return None;
    }
    let windows = windows(function);
    let Window { anchor, offset: anchor_offset, .. } = *windows.first()?;
    scratch.clear();
    scratch.extend_from_slice(function.bytes);
    for &(at, length) in &function.masked {
        scratch[at as usize..(at + length) as usize].fill(0);
    }
    let hash = hash_with_masks(scratch, function.masked.iter().copied());
    let print = FunctionPrint {
        length: function.bytes.len() as u32,
        masked: function.masked.clone(),
        hash,
        anchor,
        anchor_offset,
        owners: BTreeSet::new(),
    };
    Some(Candidate { print, windows })
}

impl Candidate {
    /// What tells it from other functions.
    pub(crate) fn hash(&self) -> u64 {
        self.print.hash
    }
}

/// How often windows stand in some functions.
#[derive(Default)]
pub(crate) struct Frequencies(HashMap<u32, u32>);

impl Frequencies {
    /// Counts the windows of a function.
    pub(crate) fn count(&mut self, candidate: &Candidate) {
        for window in &candidate.windows {
            *self.0.entry(window.anchor).or_default() += window.times;
        }
    }

    /// Chooses as anchor the window that stands in the fewest places: a common one makes a scan look at many
    /// functions wherever it stands.
    pub(crate) fn choose(&self, mut candidate: Candidate) -> FunctionPrint {
        let rarest = candidate.windows.iter().min_by_key(|window| (self.0.get(&window.anchor), window.offset));
        if let Some(window) = rarest {
            candidate.print.anchor = window.anchor;
            candidate.print.anchor_offset = window.offset;
        }
        candidate.print
    }
}

/// Up to [`ANCHOR_CHOICES`] windows that no relocation touches. Which ones, their content decides, so that functions
/// with a stretch in common choose among the same windows and see how common these are.
fn windows(function: &Function<'_>) -> Vec<Window> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    let mut start = 0;
    let ends = function.masked.iter().map(|(at, length)| (*at, at + length));
    for (stop, next) in ends.chain([(function.bytes.len() as u32, u32::MAX)]) {
        let bytes = function.bytes.get(start as usize..stop as usize).unwrap_or_default();
        let distinctive = bytes.windows(WINDOW).zip(start..).filter_map(|(window, offset)| {
            let window = window.first_chunk::<WINDOW>().filter(|window| distinctive(window))?;
            Some((anchor_of(window), offset))
        });
        found.extend(distinctive);
        start = next;
    }
    if found.iter().any(|(anchor, _)| is_sampled(*anchor)) {
        found.retain(|(anchor, _)| is_sampled(*anchor));
    }
    // In an order that has nothing to do with the one that tables are searched by.
    found.sort_unstable_by_key(|(anchor, offset)| (anchor.wrapping_mul(0x9e37_79b1), *offset));
    let same = found.chunk_by(|one, other| one.0 == other.0);
    let window = |same: &[(u32, u32)]| Window { anchor: same[0].0, offset: same[0].1, times: same.len() as u32 };
    same.map(window).take(ANCHOR_CHOICES).collect()
}

/// The hash of a function whose masked bytes are zero. The masks are a part of it.
fn hash_with_masks(zeroed: &mut Vec<u8>, masked: impl Iterator<Item = (u32, u32)>) -> u64 {
    for (at, length) in masked {
        zeroed.extend_from_slice(&at.to_le_bytes());
        zeroed.extend_from_slice(&length.to_le_bytes());
    }
    hash64(Kind::Function, zeroed)
}

/// Whether the bytes are a function of the corpus, and how many of them say so.
fn verify(corpus: &Corpus, number: u32, row: &FunctionRow, bytes: &[u8], scratch: &mut Vec<u8>) -> Option<u32> {
    scratch.clear();
    scratch.extend_from_slice(bytes);
    let mut masks = corpus.masks(number, row);
    let mut read = masks;
    let (count, mut end, mut masked) = (read.next(), 0u32, 0u32);
    for _ in 0..count {
        let at = end.checked_add(read.next())?;
        let length = read.next();
        end = at.checked_add(length)?;
        scratch.get_mut(at as usize..end as usize)?.fill(0);
        masked += length;
        if length == 0 {
            return None;
        }
    }
    let (count, mut end) = (masks.next(), 0u32);
    let pairs = (0..count).map(|_| {
        let at = end + masks.next();
        let length = masks.next();
        end = at + length;
        (at, length)
    });
    (hash_with_masks(scratch, pairs) == row.hash).then(|| row.length - masked)
}

/// One function of the corpus, found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    /// Address and end.
    pub(crate) range: (u64, u64),
    /// Its number in the corpus.
    pub(crate) function: u32,
    /// Bytes that no relocation patches.
    pub(crate) unmasked: u32,
}

/// Looks for the corpus's functions in executable code. Pieces overlap nowhere in their positions, and each
/// may look beyond its end: the same hits come out in the same order, however many threads there are.
pub(crate) fn hits(code: &[(u64, &[u8])], corpus: &Corpus) -> Vec<Hit> {
    if corpus.anchors.is_empty() {
        return Vec::new();
    }
    code.iter()
        .flat_map(|stretch| (0..stretch.1.len()).step_by(PIECE).map(move |start| (stretch, start)))
        .collect::<Vec<_>>()
        .into_par_iter()
        .flat_map_iter(|((address, bytes), start)| scan_piece(*address, bytes, start, corpus))
        .collect()
}

/// Looks for functions whose anchor begins in the piece of `bytes` from `first` on.
fn scan_piece(address: u64, bytes: &[u8], first: usize, corpus: &Corpus) -> Vec<Hit> {
    let (mut hits, mut scratch) = (Vec::new(), Vec::new());
    let end = (first + PIECE + WINDOW - 1).min(bytes.len());
    corpus.anchors.each_in(&bytes[first..end], |offset, functions| {
        for (_, number) in functions {
            let row = corpus.function(*number);
            let Some(start) = (first + offset).checked_sub(row.anchor_offset as usize) else { continue };
            let Some(candidate) = bytes.get(start..start + row.length as usize) else { continue };
            if let Some(unmasked) = verify(corpus, *number, &row, candidate, &mut scratch) {
                let from = address.saturating_add(start as u64);
                let range = (from, from.saturating_add(u64::from(row.length)));
                hits.push(Hit { range, function: *number, unmasked });
            }
        }
    });
    hits
}

/// What was found of one archive: by member, the functions.
#[derive(Default)]
struct Share {
    members: BTreeMap<u32, BTreeSet<u32>>,
    functions: BTreeSet<u32>,
}

/// Puts functions that were found down to archives and reports those.
pub(crate) fn report(place: &Place, code_bytes: u64, hits: &[Hit], corpus: &Corpus, findings: &mut Vec<Finding>) {
    let unmasked: BTreeMap<u32, u32> = hits.iter().map(|hit| (hit.function, hit.unmasked)).collect();
    let mut archives: BTreeMap<OriginalRef, Share> = BTreeMap::new();
    for function in unmasked.keys() {
        let (layer, owners) = corpus.owners(*function, &corpus.function(*function));
        for owner in owners {
            let share = archives.entry(corpus.member(layer, owner).0).or_default();
            share.members.entry(owner).or_default().insert(*function);
            share.functions.insert(*function);
        }
    }
    // A function that two archives share is put down to the one that explains more, so that a permitted
    // archive does not bring another one under suspicion. Two layers may have the same function under two
    // numbers: where it lies says that it is the same.
    let mut explained: HashSet<(u64, u64)> = HashSet::new();
    let mut ranges_of: HashMap<u32, Vec<(u64, u64)>> = HashMap::new();
    for hit in hits {
        ranges_of.entry(hit.function).or_default().push(hit.range);
    }
    let accusing: BTreeMap<OriginalRef, Vec<(u32, u64)>> = (archives.iter())
        .map(|(archive, share)| {
            let bytes = share.functions.iter().map(|f| (*f, unmasked[f]));
            (*archive, bytes.filter(|(_, b)| *b >= ACCUSING_BYTES).map(|(f, b)| (f, u64::from(b))).collect())
        })
        .collect();
    loop {
        let left = |functions: &[(u32, u64)]| -> (u64, usize) {
            let new = functions.iter().filter(|(f, _)| ranges_of[f].iter().any(|range| !explained.contains(range)));
            new.fold((0, 0), |(bytes, count), (_, more)| (bytes + more, count + 1))
        };
        // Of two that explain as much, the one in the earlier layer.
        let weighed = accusing.iter().map(|(archive, functions)| (left(functions), std::cmp::Reverse(*archive)));
        let Some(((bytes, count), std::cmp::Reverse(archive))) = weighed.max() else { break };
        if count < 2 || bytes < FINDING_BYTES {
            break;
        }
        // Whoever else has most of what it explains is heard as well, unless both ship.
        let new: Vec<(u32, u64)> = (accusing[&archive].iter())
            .filter(|(f, _)| ranges_of[f].iter().any(|range| !explained.contains(range)))
            .copied()
            .collect();
        let places: HashSet<(u64, u64)> = new.iter().flat_map(|(f, _)| &ranges_of[f]).copied().collect();
        let shared = |functions: &[(u32, u64)]| -> u64 {
            let same = functions.iter().filter(|(f, _)| ranges_of[f].iter().any(|range| places.contains(range)));
            same.map(|(_, bytes)| bytes).sum()
        };
        let mut heard = BTreeMap::from([(corpus.voice(archive), (u64::MAX, archive))]);
        for (other, functions) in &accusing {
            let shared = shared(functions);
            let entry = heard.entry(corpus.voice(*other)).or_insert((0, *other));
            if shared * 2 >= bytes && shared > entry.0 {
                *entry = (shared, *other);
            }
        }
        explained.extend(
            &archives[&archive].functions.iter().flat_map(|f| ranges_of[f].iter().copied()).collect::<Vec<_>>(),
        );
        heard.retain(|_, (shared, _)| *shared > 0);
        let own = heard.values().map(|(_, other)| *other).filter(|other| *other != archive);
        let mut origins: Vec<Origin> = Vec::new();
        for archive in [archive].into_iter().chain(own) {
            let Some(origin) = corpus.origin(archive, None) else { continue };
            if origins.iter().any(|known| known.is_owner_of(&origin)) {
                continue;
            }
            origins.push(origin.clone());
            findings.push(static_code(place, code_bytes, archive, origin, &archives[&archive], &ranges_of, corpus));
        }
    }
}

/// What was found of one archive.
fn static_code(
    place: &Place,
    code_bytes: u64,
    archive: OriginalRef,
    origin: Origin,
    share: &Share,
    ranges_of: &HashMap<u32, Vec<(u64, u64)>>,
    corpus: &Corpus,
) -> Finding {
    let ranges = merge(share.functions.iter().flat_map(|f| ranges_of[f].iter().copied()).collect());
    Finding::StaticCode {
        place: place.clone(),
        archive: origin,
        members: (share.members.iter())
            .map(|(owner, found)| {
                let (_, name, known) = corpus.member(archive.layer, *owner);
                MemberHits { member: name.to_owned(), functions_found: found.len() as u32, functions_known: known }
            })
            .collect(),
        bytes_found: ranges.iter().map(|(from, to)| to - from).sum(),
        code_bytes,
        ranges: longest(ranges),
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
mod tests;
