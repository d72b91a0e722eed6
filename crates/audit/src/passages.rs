//! Passages: a vendor's text, found again after somebody edited it.
//!
//! A passage is [`LENGTH`] words in a row. What lies between words does not count: spaces, line ends,
//! punctuation, quotation marks and escapes, marks of comments and of patches. So a text is the same
//! when it is laid out anew, quoted in a program or put into a larger file. Numbers are no words, since
//! tables of them are alike. Passages are taken twice, with comments and without, so that a text whose
//! comments are gone has passages left. Of each original the passages with the lowest hashes are kept.
//!
//! Whatever looks like text is looked at, whichever file it lies in and whatever that is called. Which
//! passages are everybody's is decided where material is learned, not here.

use crate::anchor::Filter;
use crate::container::is_archive;
use crate::corpus::{Corpus, Layer, OriginalRef, Part, Voice, u32_at, u64_at};
use crate::finding::{Change, Finding, Place};
use crate::kin::Kin;
use foldhash::{HashMap, HashSet};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Words of a passage.
const LENGTH: usize = 8;

/// Passages are sampled by their content: one in so many, as a power of two.
const SAMPLED: u32 = 2;

/// So many passages of one original are kept: those with the lowest hashes, so that two releases keep the same ones.
pub(crate) const KEPT: usize = 256;

/// So many passages of one original make a modified copy, if they are a sixth of those that are known as well
/// (`docs/decisions/0004-audit.md`).
const ACCUSING: usize = 12;
const SHARE: usize = 6;

/// Less makes one where the file is hardly anything else: so many passages of one original, if they are two
/// thirds of those that the file could have in common with it.
const EXCERPT: usize = 8;
const EXCERPT_SHARE: (usize, usize) = (2, 3);

/// An original with fewer passages cannot be told by them.
const FEWEST: usize = 16;

/// Files of so many different names in one package that have a passage make it one of no file's own: the notice that
/// stands at the top of each.
const COMMON: usize = 3;

/// Passages that are asked for in a row.
const ASKED: usize = 256;

/// Bytes that are looked at as text or not at all.
const CHUNK: usize = 4096;

/// Bytes of which a chunk's nature is told, at several places.
const PROBE: usize = 32;

/// A passage says something if so many of its words differ, and if they have so many bytes.
const DIFFERENT: usize = 4;
const BYTES: usize = 28;

/// Bytes that are told apart at once.
const BLOCK: usize = 64;

/// Which bytes of a block belong to words, and which may begin or end a comment or escape what follows. The first byte
/// is the lowest bit. Each byte is told without a branch, so that a compiler can tell many of them at once.
fn classes(block: &[u8; BLOCK]) -> (u64, u64) {
    let (mut words, mut marks) = ([0u8; BLOCK], [0u8; BLOCK]);
    for ((byte, word), mark) in block.iter().zip(&mut words).zip(&mut marks) {
        let is = |other: u8| u8::from(*byte == other);
        let letter = u8::from((*byte | 0x20).wrapping_sub(b'a') < 26);
        *word = letter | u8::from(byte.wrapping_sub(b'0') < 10) | is(b'_');
        *mark = is(b'/') | is(b'*') | is(b'#') | is(b'\n') | is(b'\\');
    }
    (bits(&words), bits(&marks))
}

/// The lowest bit of each byte of a block.
fn bits(block: &[u8; BLOCK]) -> u64 {
    let eights = block.as_chunks().0.iter();
    let gathered = eights.map(|eight| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56);
    gathered.rev().fold(0, |all, eight| all << 8 | eight)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Mixes two numbers so that each bit counts.
fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ 0x9e37_79b9_7f4a_7c15) * u128::from(other ^ 0xd6e8_feb8_6659_fd93);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Up to eight bytes of a text as a number.
fn eight_at(text: &[u8], at: usize) -> u64 {
    match text.get(at..).and_then(<[u8]>::first_chunk) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => text[at..].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// The hash of a word.
fn word_hash(text: &[u8], start: usize, end: usize) -> u64 {
    let mut hash = (end - start) as u64;
    // Most words are short.
    if let (Some(eight), 1..=8) = (text[start..].first_chunk(), end - start) {
        return mix(hash, u64::from_le_bytes(*eight) & (u64::MAX >> (64 - 8 * (end - start))));
    }
    for at in (start..end).step_by(8) {
        let eight = eight_at(text, at);
        let length = (end - at).min(8);
        hash = mix(hash, eight & (u64::MAX >> (64 - 8 * length)));
    }
    hash
}

/// The last words of a text, and the hash of all of them.
#[derive(Clone, Default)]
struct Window {
    hashes: [u64; LENGTH],
    lengths: [usize; LENGTH],
    count: usize,
    sum: u64,
}

impl Window {
    /// Adds a word; gives the passage that ends with it, if that one is sampled.
    fn push(&mut self, hash: u64, length: usize) -> Option<u64> {
        // So that a word's weight grows with each that follows, and is lost with the last.
        const WEIGHT: u64 = 0x2545_f491_4f6c_dd1d;
        const LAST: u64 = WEIGHT.wrapping_pow(LENGTH as u32);
        let slot = self.count % LENGTH;
        let gone = self.hashes[slot].wrapping_mul(LAST);
        self.sum = self.sum.wrapping_mul(WEIGHT).wrapping_add(hash).wrapping_sub(gone);
        (self.hashes[slot], self.lengths[slot]) = (hash, length);
        self.count += 1;
        let passage = mix(self.sum, LAST);
        (passage >> (64 - SAMPLED) == 0 && self.count >= LENGTH).then_some(passage)
    }

    /// Whether the passage is more than a few words again and again.
    fn is_telling(&self) -> bool {
        let is_new = |(at, hash): &(usize, &u64)| !self.hashes[..*at].contains(hash);
        let different = self.hashes.iter().enumerate().filter(is_new).count();
        different >= DIFFERENT && self.lengths.iter().sum::<usize>() >= BYTES
    }
}

/// Where a reader of a text is.
#[derive(Clone, Copy, PartialEq)]
enum Comment {
    None,
    /// Up to the end of the line.
    Line,
    /// Up to `*/`.
    Block,
}

/// Reads texts word by word.
struct Reader {
    all: Window,
    /// Without comments; only kept while it differs.
    bare: Window,
    comment: Comment,
    /// Words until the two are the same again.
    apart: usize,
}

impl Reader {
    fn new() -> Self {
        Self { all: Window::default(), bare: Window::default(), comment: Comment::None, apart: 0 }
    }

    /// Calls back with each sampled passage of some text, which may go on where the last one ended, and says whether it
    /// has no comment in it.
    fn read(&mut self, text: &[u8], found: &mut impl FnMut(u64, &Window, bool)) {
        // The start of a word that goes on in the next block; a byte that has been seen to.
        let (mut open, mut done) = (None, usize::MAX);
        for block in (0..text.len()).step_by(BLOCK) {
            let (words, marks) = match text[block..].first_chunk() {
                Some(whole) => classes(whole),
                None => {
                    let mut last = [0; BLOCK];
                    last[..text.len() - block].copy_from_slice(&text[block..]);
                    classes(&last)
                }
            };
            let mut events = words & !(words << 1) | marks;
            if let Some(start) = open {
                events &= !1 | marks;
                if words == u64::MAX {
                    continue;
                }
                open = None;
                self.word(text, start, block + words.trailing_ones() as usize, found);
            }
            while events != 0 {
                let at = events.trailing_zeros();
                events &= events - 1;
                let (place, end) = (block + at as usize, at + (words >> at).trailing_ones());
                if marks >> at & 1 == 1 {
                    if place != done {
                        done = self.mark(text[place], text.get(place + 1)).map_or(done, |more| place + more);
                    }
                    continue;
                }
                // The letter of an escape is no word, nor the beginning of one.
                let start = place + usize::from(place == done);
                if end == 64 {
                    open = Some(start);
                } else {
                    self.word(text, start, block + end as usize, found);
                }
            }
        }
        if let Some(start) = open {
            self.word(text, start, text.len(), found);
        }
    }

    fn word(&mut self, text: &[u8], start: usize, end: usize, found: &mut impl FnMut(u64, &Window, bool)) {
        if start >= end || text[start].is_ascii_digit() {
            return;
        }
        let (hash, length) = (word_hash(text, start, end), end - start);
        if self.comment != Comment::None {
            if self.apart == 0 {
                self.bare = self.all.clone();
            }
            self.apart = LENGTH;
        }
        let is_same = self.apart == 0;
        if let Some(passage) = self.all.push(hash, length) {
            found(passage, &self.all, is_same);
        }
        if !is_same && self.comment == Comment::None {
            self.apart -= 1;
            if let Some(passage) = self.bare.push(hash, length) {
                found(passage, &self.bare, true);
            }
        }
    }

    /// Follows comments and escapes; says which byte further on has been seen to with it.
    fn mark(&mut self, byte: u8, next: Option<&u8>) -> Option<usize> {
        let (comment, more) = match (self.comment, byte, next) {
            (comment, b'\\', Some(next)) if *next != b'\n' => (comment, Some(1)),
            (Comment::Line, b'\n', _) => (Comment::None, None),
            (Comment::Block, b'*', Some(b'/')) => (Comment::None, Some(1)),
            (Comment::None, b'/', Some(b'*')) => (Comment::Block, Some(1)),
            (Comment::None, b'/', Some(b'/')) | (Comment::None, b'#', Some(b' ' | b'#' | b'!')) => {
                (Comment::Line, None)
            }
            (comment, ..) => (comment, None),
        };
        self.comment = comment;
        more
    }
}

/// Whether some bytes look like text, as far as a few of them tell.
fn is_text(chunk: &[u8]) -> bool {
    let step = (chunk.len() / 8).max(PROBE);
    let probes = chunk.chunks(step).map(|piece| &piece[..piece.len().min(PROBE)]);
    let (mut bytes, mut foreign) = (0, 0);
    for probe in probes {
        bytes += probe.len();
        foreign += probe.iter().filter(|byte| !matches!(**byte, b' '..=b'~' | b'\t'..=b'\r')).count();
    }
    foreign * 4 <= bytes
}

/// The same text with one byte a letter, where it has two or four.
fn narrow(bytes: &[u8]) -> Cow<'_, [u8]> {
    let probe = &bytes[..bytes.len().min(CHUNK)];
    if memchr::memchr(0, probe).is_none() {
        return Cow::Borrowed(bytes);
    }
    let zeros = |from: usize, step: usize| {
        let some = probe.iter().skip(from).step_by(step);
        some.clone().count() > PROBE && some.filter(|byte| **byte == 0).count() * 8 > probe.len() / step * 7
    };
    let letter = |at: usize, width: usize| {
        let wide = bytes.chunks_exact(width);
        Cow::Owned(
            wide.map(|wide| if wide.iter().filter(|byte| **byte != 0).count() > 1 { 0xff } else { wide[at] }).collect(),
        )
    };
    match (0..4).map(|at| zeros(at, 4)).collect::<Vec<_>>().as_slice() {
        [false, true, true, true] => letter(0, 4),
        [true, true, true, false] => letter(3, 4),
        [false, true, false, true] => letter(0, 2),
        [true, false, true, false] => letter(1, 2),
        _ => Cow::Borrowed(bytes),
    }
}

/// Calls back with each sampled passage of whatever looks like text in some bytes. What an archive holds is looked at
/// when it is taken out.
fn each_in(bytes: &[u8], mut found: impl FnMut(u64, &Window, bool)) {
    if is_archive(bytes) {
        return;
    }
    let bytes = narrow(bytes);
    let mut reader = Reader::new();
    let mut rest: &[u8] = &bytes;
    while !rest.is_empty() {
        // A chunk ends between two words, so that none is cut.
        let end = CHUNK.min(rest.len());
        let more = rest[end..].iter().take(CHUNK).take_while(|byte| is_word(**byte)).count();
        let (chunk, after) = rest.split_at(end + more);
        if is_text(chunk) {
            reader.read(chunk, &mut found);
        } else {
            reader = Reader::new();
        }
        rest = after;
    }
}

/// The passages of a text that may be kept.
#[derive(Debug, Default)]
pub(crate) struct Passages {
    /// All of them.
    pub(crate) all: BTreeSet<u64>,
    /// Those without a comment.
    bare: BTreeSet<u64>,
}

impl Passages {
    /// Reads whatever of some bytes looks like text.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut passages = Self::default();
        each_in(bytes, |passage, window, is_bare| {
            if window.is_telling() {
                passages.all.insert(passage);
                if is_bare {
                    passages.bare.insert(passage);
                }
            }
        });
        passages
    }

    /// The lowest of those that are not common to many files. Half are of those without comments, so that a text whose
    /// comments are gone or others has enough of them left.
    fn lowest(&self, common: &BTreeSet<u64>) -> BTreeSet<u64> {
        let mut kept: BTreeSet<u64> = self.bare.difference(common).copied().take(KEPT / 2).collect();
        for passage in self.all.difference(common) {
            if kept.len() >= KEPT {
                break;
            }
            kept.insert(*passage);
        }
        kept
    }
}

/// Chooses the passages of each original of one package that are kept. Gives those that are no file's own as well. A
/// file is an original, its name without folders, and its passages.
pub(crate) fn choose(files: Vec<(u32, String, Passages)>) -> (BTreeSet<(u64, u32)>, BTreeSet<u64>) {
    let mut names: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for (_, name, passages) in &files {
        for passage in &passages.all {
            let names = names.entry(*passage).or_default();
            if names.len() < COMMON {
                names.insert(name);
            }
        }
    }
    let common: BTreeSet<u64> = names.iter().filter(|(_, names)| names.len() >= COMMON).map(|(one, _)| *one).collect();
    let mut kept = BTreeSet::new();
    for (original, _, passages) in &files {
        let own = passages.lowest(&common);
        if own.len() >= FEWEST {
            kept.extend(own.into_iter().map(|passage| (passage, *original)));
        }
    }
    (kept, common)
}

/// A filter over the passages of some layers.
pub(crate) fn filter_of(layers: &[Layer]) -> Filter {
    // The lowest hashes are kept, so that their low halves differ and the high ones hardly do.
    let rows = layers.iter().flat_map(|layer| layer.table(Part::Passages).rows());
    // Releases of one vendor have most of them in common.
    let halves: HashSet<u32> = rows.map(|row| u32_at(row, 0)).collect();
    Filter::new(halves.len(), halves.into_iter())
}

/// What is kept of an original's passages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept {
    /// How many are looked for.
    pub(crate) count: usize,
    /// The highest of them. Of its passages without comments, all up to this one are kept.
    highest: u64,
}

/// What is kept of each original of some layers; what is free is not counted.
pub(crate) fn kept_in(layers: &[Layer], free: &HashSet<u64>) -> HashMap<OriginalRef, Kept> {
    let mut all: HashMap<OriginalRef, Kept> = HashMap::default();
    for (layer, number) in layers.iter().zip(0..) {
        let rows = layer.table(Part::Passages).rows().map(|row| (u64_at(row, 0), u32_at(row, 8)));
        for (passage, original) in rows.filter(|(passage, _)| !free.contains(passage)) {
            let kept = all.entry(OriginalRef { layer: number, original }).or_default();
            kept.count += 1;
            kept.highest = kept.highest.max(passage);
        }
    }
    all
}

/// Passages of a file.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Those that the corpus knows.
    known: HashSet<u64>,
    /// All without a comment in them.
    bare: Vec<u64>,
}

impl Seen {
    /// Looks through a file, or through parts of it.
    pub(crate) fn look(parts: &[&[u8]], corpus: &Corpus) -> Self {
        let mut seen = Self::default();
        if corpus.passages.is_empty() {
            return seen;
        }
        let mut asked = Vec::with_capacity(ASKED);
        for part in parts {
            each_in(part, |passage, _, is_bare| {
                if is_bare {
                    seen.bare.push(passage);
                }
                asked.push(passage);
                if asked.len() == ASKED {
                    seen.known.extend(known_of(&mut asked, corpus));
                }
            });
        }
        seen.known.extend(known_of(&mut asked, corpus));
        if seen.known.len() < EXCERPT {
            seen.bare = Vec::new();
        }
        seen
    }

    /// The passages that were not reported.
    pub(crate) fn into_rest(self) -> HashSet<u64> {
        self.known
    }

    /// Whether the file is hardly anything but a piece of an original of which these passages were found. What is kept
    /// of an original says of every passage up to the highest one whether it is there.
    fn is_excerpt(&self, found: &BTreeSet<u64>, kept: Kept, corpus: &Corpus) -> bool {
        let mut bare: Vec<u64> = self.bare.iter().copied().filter(|passage| *passage <= kept.highest).collect();
        bare.sort_unstable();
        bare.dedup();
        bare.retain(|passage| !corpus.is_free(*passage));
        let common = found.iter().filter(|passage| bare.binary_search(passage).is_ok()).count();
        common >= EXCERPT && common * EXCERPT_SHARE.1 >= bare.len() * EXCERPT_SHARE.0
    }

    /// Reports the originals that a file was made from: those of which so many passages are there as `enough` says, given
    /// how many are known. Each voice is heard: what it knows is put down to the original that explains most of it, and
    /// then to the next one.
    pub(crate) fn report(
        &mut self,
        place: &Place,
        corpus: &Corpus,
        enough: impl Fn(usize) -> usize,
        findings: &mut Vec<Finding>,
    ) {
        let mut voices: BTreeMap<Voice, BTreeMap<OriginalRef, BTreeSet<u64>>> = BTreeMap::new();
        for passage in &self.known {
            for original in corpus.originals(Part::Passages, *passage) {
                let originals = voices.entry(corpus.voice(original)).or_default();
                originals.entry(original).or_default().insert(*passage);
            }
        }
        for mut originals in voices.into_values() {
            let most = |(original, found): (&OriginalRef, &BTreeSet<u64>)| (found.len(), std::cmp::Reverse(*original));
            while let Some((count, std::cmp::Reverse(best))) = originals.iter().map(most).max() {
                let Some(explained) = originals.remove(&best).filter(|_| count >= EXCERPT) else { break };
                let kept = corpus.passages_of(best);
                let known = kept.count;
                let is_copy = count >= enough(known) || self.is_excerpt(&explained, kept, corpus);
                let Some(original) = corpus.origin(best, None).filter(|_| is_copy) else { continue };
                originals.values_mut().for_each(|found| found.retain(|passage| !explained.contains(passage)));
                self.known.retain(|passage| !explained.contains(passage));
                findings.push(Finding::ModifiedCopy {
                    place: place.clone(),
                    original,
                    same: Vec::new(),
                    changed: Vec::new(),
                    changes: vec![Change::Passages { found: count as u32, known: known as u32 }],
                    kin: Kin::default(),
                });
            }
        }
    }
}

/// Originals that were cut into several files of one path, none of which has enough of them: half of what is known has
/// to be there. They are shown at the file that has most.
pub(crate) fn cut<'a>(rest: impl Iterator<Item = &'a (Place, HashSet<u64>)>, corpus: &Corpus) -> Vec<Finding> {
    let (mut all, mut most): (HashSet<u64>, Option<&(Place, HashSet<u64>)>) = (HashSet::default(), None);
    for file in rest {
        all.extend(&file.1);
        if most.is_none_or(|most| file.1.len() > most.1.len()) {
            most = Some(file);
        }
    }
    let mut findings = Vec::new();
    if let Some((place, _)) = most {
        let half = |known: usize| known.div_ceil(2).max(ACCUSING);
        Seen { known: all, bare: Vec::new() }.report(place, corpus, half, &mut findings);
    }
    findings
}

/// Those of some passages that the corpus knows. The filter is larger than the nearest cache: asked for many in a row,
/// it answers while the next ones are on their way.
fn known_of(asked: &mut Vec<u64>, corpus: &Corpus) -> impl Iterator<Item = u64> {
    let may_be_known = |passage: &u64| corpus.passages.may_have(*passage as u32);
    let is_known =
        |passage: &u64| !corpus.is_free(*passage) && corpus.originals(Part::Passages, *passage).next().is_some();
    asked.drain(..).filter(may_be_known).filter(is_known)
}

/// How many passages make a modified copy, of so many that are known.
pub(crate) fn enough(known: usize) -> usize {
    known.div_ceil(SHARE).max(ACCUSING)
}

/// The originals of the corpus with which a text shares enough to be a modified copy of them.
pub(crate) fn alike(passages: &BTreeSet<u64>, corpus: &Corpus) -> Vec<OriginalRef> {
    let mut found: BTreeMap<OriginalRef, usize> = BTreeMap::new();
    for passage in passages.iter().filter(|passage| corpus.passages.may_have(**passage as u32)) {
        if !corpus.is_free(*passage) {
            for original in corpus.originals(Part::Passages, *passage) {
                *found.entry(original).or_default() += 1;
            }
        }
    }
    found.retain(|_, count| *count >= ACCUSING);
    let is_enough = |(original, count): &(OriginalRef, usize)| *count >= enough(corpus.passages_of(*original).count);
    found.into_iter().filter(is_enough).map(|(original, _)| original).collect()
}

/// The same among passages that are not in a corpus yet.
pub(crate) fn alike_in(passages: &BTreeSet<u64>, known: &BTreeSet<(u64, u32)>) -> Vec<u32> {
    let mut found: BTreeMap<u32, usize> = BTreeMap::new();
    for passage in passages {
        for (_, original) in known.range((*passage, 0)..=(*passage, u32::MAX)) {
            *found.entry(*original).or_default() += 1;
        }
    }
    found.retain(|_, count| *count >= ACCUSING);
    let known = |original: u32| known.iter().filter(|(_, other)| *other == original).count();
    found.into_iter().filter(|(original, count)| *count >= enough(known(*original))).map(|(one, _)| one).collect()
}

#[cfg(test)]
mod tests;
