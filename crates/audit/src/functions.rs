//! Relocation-masked function hashes: static archives found again in stripped binaries.
//!
//! A linker changes a function only where relocations say so. With those bytes zeroed, the hash of
//! the rest is the same in the archive and in every program linked with it, whichever the linker.
//! This is the idea behind FLIRT signatures; `docs/decisions/0004-audit.md` has the figures.

use crate::anchor::{Met, WINDOW, anchor_of, distinctive, is_sampled};
use crate::binary::Function;
use crate::chunks;
use crate::corpus::{Corpus, FunctionPrint, FunctionRow, Origin, OriginalRef};
use crate::finding::{Finding, MemberHits, Place};
use crate::kin::{self, Kin};
use crate::prints::{Kind, hash64};
use crate::ranges::{Range, merge, total};
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

/// Bytes that one thread looks through at a time.
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
    /// Where it begins and ends in the file.
    pub(crate) range: Range,
    /// Its number in the corpus.
    pub(crate) function: u32,
    /// Bytes that no relocation patches.
    pub(crate) unmasked: u32,
}

/// Bytes that may be compared for each byte of a file, all of it together. Among functions that were learned, an anchor is rare; where a file
/// was made of one window that many functions have, nothing ends without a bound.
const COMPARED: u64 = 16;

/// What looking at one function costs beside comparing its bytes, counted in bytes.
const CANDIDATE: u64 = 64;

/// What was found in some stretches of bytes.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Functions, by where they lie.
    pub(crate) hits: Vec<Hit>,
    /// Prints of known chunks.
    pub(crate) chunks: BTreeSet<u64>,
    /// Bytes that were compared.
    pub(crate) compared: u64,
    /// Whether comparing ended before all was compared.
    pub(crate) ended_early: bool,
}

impl Found {
    fn add(mut self, mut other: Self) -> Self {
        self.hits.append(&mut other.hits);
        self.chunks.append(&mut other.chunks);
        self.compared += other.compared;
        self.ended_early |= other.ended_early;
        self
    }
}

/// Looks for the corpus's functions and chunks in all bytes of some stretches, each with the place where it begins. No
/// table of sections is asked: code is code wherever it stands. Pieces overlap nowhere in their positions, and each may
/// look beyond its end: the same comes out in the same order, however many threads there are.
pub(crate) fn look(stretches: &[(u64, &[u8])], corpus: &Corpus) -> Found {
    if corpus.anchors.is_empty() && corpus.chunks.is_empty() {
        return Found::default();
    }
    // No code is made of the bytes of a plain text.
    let stretches = stretches.iter().filter(|stretch| !stretch.1.is_ascii());
    let pieces: Vec<(u64, &[u8], usize)> =
        stretches.flat_map(|(at, bytes)| (0..bytes.len()).step_by(PIECE).map(|start| (*at, *bytes, start))).collect();
    let share = |bytes: &[u8]| bytes.len().min(PIECE) as u64 * COMPARED + PIECE as u64;
    // Whoever has time takes the next piece, and not a half of all at the beginning.
    let mut found: Vec<Found> = (pieces.par_iter().with_max_len(1))
        .map(|(at, bytes, start)| look_at_piece(*at, bytes, *start, share(bytes), corpus))
        .collect();
    // A piece that is one pattern over and over takes what the others left; in order, so that it is always the same.
    let mut left: u64 =
        pieces.iter().zip(&found).map(|(piece, found)| share(piece.1).saturating_sub(found.compared)).sum();
    for ((at, bytes, start), found) in pieces.iter().zip(&mut found).filter(|(_, found)| found.ended_early) {
        *found = look_at_piece(*at, bytes, *start, share(bytes) + left, corpus);
        left = left.saturating_sub(found.compared.saturating_sub(share(bytes)));
    }
    found.into_iter().fold(Found::default(), Found::add)
}

/// Looks for what begins in the piece of `bytes` from `first` on, and compares no more than `most` bytes.
fn look_at_piece(place: u64, bytes: &[u8], first: usize, most: u64, corpus: &Corpus) -> Found {
    let (mut found, mut scratch) = (Found::default(), Vec::new());
    let end = (first + PIECE + WINDOW - 1).min(bytes.len());
    corpus.anchors.each_in(&bytes[first..end], |offset, met| {
        let functions = match met {
            Met::Anchor(functions) => functions,
            Met::Chunk => {
                // The same chunk any number of times is one, and is looked up once.
                let chunk = chunks::print(&bytes[first + offset..]).filter(|hash| !found.chunks.contains(hash));
                found.chunks.extend(chunk.filter(|hash| chunks::is_known(*hash, corpus)));
                return;
            }
        };
        // Layers that know the same function have it under numbers of their own.
        let mut last: Option<(u64, usize, Option<u32>)> = None;
        for (_, number) in functions {
            if found.compared >= most {
                found.ended_early = true;
                return;
            }
            found.compared += CANDIDATE;
            let row = corpus.function(*number);
            let Some(start) = (first + offset).checked_sub(row.anchor_offset as usize) else { continue };
            let Some(candidate) = bytes.get(start..start + row.length as usize) else { continue };
            let unmasked = match last {
                Some((hash, at, unmasked)) if (hash, at) == (row.hash, start) => unmasked,
                _ => {
                    found.compared += u64::from(row.length);
                    verify(corpus, *number, &row, candidate, &mut scratch)
                }
            };
            last = Some((row.hash, start, unmasked));
            if let Some(unmasked) = unmasked {
                let from = place + start as u64;
                let range = (from, from + u64::from(row.length));
                found.hits.push(Hit { range, function: *number, unmasked });
            }
        }
    });
    found
}

/// What was found of one archive: by member, the functions.
#[derive(Default)]
struct Share {
    members: BTreeMap<u32, BTreeSet<u32>>,
    functions: BTreeSet<u32>,
}

/// Places of one function that are looked at where it has to be put down to an archive; the same function may stand
/// anywhere any number of times.
const PLACES: usize = 8;

/// An archive that functions were put down to.
pub(crate) struct Put {
    pub(crate) archive: OriginalRef,
    /// Functions found, member by member.
    pub(crate) members: Vec<MemberHits>,
    /// Where they lie, and those of other releases of the library; sorted and apart.
    pub(crate) ranges: Vec<Range>,
    /// Numbers of all these functions.
    pub(crate) functions: BTreeSet<u32>,
    /// What else may be meant.
    pub(crate) kin: Kin,
}

impl Put {
    /// How many functions were found, and how many the members have in which they were.
    pub(crate) fn share(&self) -> (u32, u32) {
        let sum = |count: fn(&MemberHits) -> u32| self.members.iter().map(count).sum();
        (sum(|member| member.functions_found), sum(|member| member.functions_known))
    }
}

/// Puts functions that were found down to archives.
pub(crate) fn put_down(hits: &[Hit], corpus: &Corpus) -> Vec<Put> {
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
    let mut explained: HashSet<Range> = HashSet::new();
    let mut ranges_of: HashMap<u32, Vec<Range>> = HashMap::new();
    for hit in hits {
        ranges_of.entry(hit.function).or_default().push(hit.range);
    }
    let places = |function: &u32| ranges_of[function].iter().take(PLACES);
    let accusing: BTreeMap<OriginalRef, Vec<(u32, u64)>> = (archives.iter())
        .map(|(archive, share)| {
            let bytes = share.functions.iter().map(|f| (*f, unmasked[f]));
            (*archive, bytes.filter(|(_, b)| *b >= ACCUSING_BYTES).map(|(f, b)| (f, u64::from(b))).collect())
        })
        .collect();
    let mut put = Vec::new();
    loop {
        let left = |functions: &[(u32, u64)]| -> (u64, usize) {
            let new = functions.iter().filter(|(f, _)| places(f).any(|range| !explained.contains(range)));
            new.fold((0, 0), |(bytes, count), (_, more)| (bytes + more, count + 1))
        };
        // Of two that explain as much, the one in the earlier layer.
        let weighed = accusing.iter().map(|(archive, functions)| (left(functions), std::cmp::Reverse(*archive)));
        let Some(((bytes, count), std::cmp::Reverse(archive))) = weighed.max() else { break };
        if count < 2 || bytes < FINDING_BYTES {
            break;
        }
        // Whoever else has most of what it explains is heard as well, unless both ship.
        let new: Vec<u32> = (accusing[&archive].iter())
            .map(|(function, _)| *function)
            .filter(|f| places(f).any(|range| !explained.contains(range)))
            .collect();
        let new: HashSet<Range> = new.iter().flat_map(places).copied().collect();
        let shared = |functions: &[(u32, u64)]| -> u64 {
            let same = functions.iter().filter(|(f, _)| places(f).any(|range| new.contains(range)));
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
        // Other releases of the library are no findings beside it.
        let releases = kin::releases_of(archive, &archives, corpus);
        let kin = kin_of(archive, &archives, &accusing, &ranges_of, &|place| !explained.contains(place), corpus);
        explained.extend(releases.iter().flat_map(|one| archives[one].functions.iter().flat_map(places)));
        let others = heard.values().filter(|(shared, other)| *shared > 0 && *other != archive).map(|(_, other)| *other);
        let mut origins: Vec<Origin> = Vec::new();
        for (archive, kin) in std::iter::once((archive, kin)).chain(others.map(|other| (other, Kin::default()))) {
            let Some(origin) = corpus.origin(archive, None) else { continue };
            if !origins.iter().any(|known| known.is_owner_of(&origin)) {
                origins.push(origin);
                let releases = kin::releases_of(archive, &archives, corpus);
                put.push(put_of(archive, &releases, kin, &archives, &ranges_of, corpus));
            }
        }
    }
    put
}

/// The kin of an archive; only what else was found of its code is looked at.
fn kin_of(
    archive: OriginalRef,
    archives: &BTreeMap<OriginalRef, Share>,
    accusing: &BTreeMap<OriginalRef, Vec<(u32, u64)>>,
    ranges_of: &HashMap<u32, Vec<Range>>,
    is_new: &dyn Fn(&Range) -> bool,
    corpus: &Corpus,
) -> Kin {
    let part = |(archive, share): (&OriginalRef, &Share)| {
        let of_member = |(number, functions): (&u32, &BTreeSet<u32>)| {
            let functions = functions.iter().map(|f| (*f, &ranges_of[f][..ranges_of[f].len().min(PLACES)]));
            kin::Member { name: corpus.member(archive.layer, *number).1, functions: functions.collect() }
        };
        let members = share.members.iter().map(of_member).collect();
        (*archive, kin::Part { members, telling: accusing[archive].iter().copied().collect() })
    };
    let parts = archives.iter().map(part).collect();
    kin::of_archive(archive, &parts, corpus, |count, bytes| count >= 2 && bytes >= FINDING_BYTES, is_new)
}

/// All that was found of one archive, and where other releases of it were found.
fn put_of(
    archive: OriginalRef,
    releases: &HashSet<OriginalRef>,
    kin: Kin,
    archives: &BTreeMap<OriginalRef, Share>,
    ranges_of: &HashMap<u32, Vec<Range>>,
    corpus: &Corpus,
) -> Put {
    let functions: BTreeSet<u32> = releases.iter().flat_map(|one| archives[one].functions.iter().copied()).collect();
    let found: Vec<Range> = functions.iter().flat_map(|f| ranges_of[f].iter().copied()).collect();
    let members = archives[&archive].members.iter().map(|(owner, found)| {
        let (_, name, known) = corpus.member(archive.layer, *owner);
        MemberHits { member: name.to_owned(), functions_found: found.len() as u32, functions_known: known }
    });
    Put { archive, members: members.collect(), ranges: merge(found, 0), functions, kin }
}

/// What accuses somebody and was put down to nothing, since a file has too little of it.
pub(crate) fn left_over(hits: Vec<Hit>, put: &[Put]) -> Vec<Hit> {
    let covered = |hit: &Hit| {
        let covers = |put: &Put| {
            let next = put.ranges.partition_point(|range| range.1 <= hit.range.0);
            put.ranges.get(next).is_some_and(|range| range.0 <= hit.range.0 && hit.range.1 <= range.1)
        };
        put.iter().any(covers)
    };
    let mut seen: HashMap<u32, usize> = HashMap::new();
    let mut hits = hits;
    hits.retain(|hit| {
        let times = seen.entry(hit.function).or_default();
        *times += 1;
        hit.unmasked >= ACCUSING_BYTES && *times <= PLACES && !covered(hit)
    });
    hits
}

/// The finding about an archive whose functions are a part of the binary. `address` gives the address of a place.
pub(crate) fn finding(
    place: &Place,
    put: &Put,
    code_bytes: u64,
    address: &dyn Fn(u64) -> u64,
    corpus: &Corpus,
) -> Option<Finding> {
    let addressed = |(from, to): Range| (address(from), address(from).saturating_add(to - from));
    Some(Finding::StaticCode {
        place: place.clone(),
        archive: corpus.origin(put.archive, None)?,
        members: put.members.clone(),
        bytes_found: total(&put.ranges),
        code_bytes,
        kin: put.kin.clone(),
        ranges: longest(put.ranges.iter().copied().map(addressed).collect()),
    })
}

fn longest(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_by_key(|(from, to)| (std::cmp::Reverse(to - from), *from));
    ranges.truncate(RANGES);
    ranges.sort_unstable();
    ranges
}

#[cfg(test)]
mod tests;
