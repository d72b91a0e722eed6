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
use crate::corpus::{Corpus, Layer, OriginalRef, Part, Voice, u32_at};
use crate::finding::{Change, Finding, Place};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Words of a passage.
const LENGTH: usize = 8;

/// Passages are sampled by their content: one in so many, as a power of two.
const SAMPLED: u32 = 2;

/// So many passages of one original are kept: those with the lowest hashes, so that two releases keep the same ones.
pub(crate) const KEPT: usize = 256;

/// So many passages of one original make a modified copy (`docs/decisions/0004-audit.md`).
pub(crate) const ACCUSING: usize = 12;

/// An original with fewer passages cannot be told by them.
const FEWEST: usize = 16;

/// Files of so many different names in one package that have a passage make it one of no file's own: the notice that
/// stands at the top of each.
const COMMON: usize = 3;

/// Bytes that are looked at as text or not at all.
const CHUNK: usize = 4096;

/// Bytes of which a chunk's nature is told, at several places.
const PROBE: usize = 32;

/// A passage says something if so many of its words differ, and if they have so many bytes.
const DIFFERENT: usize = 4;
const BYTES: usize = 28;

/// What a byte is in a text.
const WORD: u8 = 1;
const DIGIT: u8 = 2;
/// What may begin or end a comment, or escapes what follows.
const MARK: u8 = 4;
/// What texts do not have.
const NO_TEXT: u8 = 8;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => WORD,
            b'0'..=b'9' => WORD | DIGIT,
            b'/' | b'*' | b'#' | b'\n' | b'\\' => MARK,
            0..=8 | 14..=26 | 28..=31 | 127 => NO_TEXT,
            _ => 0,
        };
        byte += 1;
    }
    class
};

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes two numbers so that each bit counts.
fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ MULTIPLIER) * u128::from(other ^ 0xd6e8_feb8_6659_fd93);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash of a word.
fn word_hash(word: &[u8]) -> u64 {
    let mut hash = word.len() as u64;
    for piece in word.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..piece.len()].copy_from_slice(piece);
        hash = mix(hash, u64::from_le_bytes(bytes));
    }
    hash
}

/// The last words of a text, and the hash of all of them.
#[derive(Clone, Default)]
struct Window {
    /// Hashes and lengths.
    words: [(u64, usize); LENGTH],
    count: usize,
    sum: u64,
}

impl Window {
    /// Adds a word; gives the passage that ends with it, if that one is sampled.
    fn push(&mut self, hash: u64, length: usize) -> Option<u64> {
        // So that a word's weight grows with each that follows, and is lost with the last.
        const WEIGHT: u64 = 0x2545_f491_4f6c_dd1d;
        const LAST: u64 = WEIGHT.wrapping_pow(LENGTH as u32);
        let slot = &mut self.words[self.count % LENGTH];
        self.sum = self.sum.wrapping_mul(WEIGHT).wrapping_add(hash).wrapping_sub(slot.0.wrapping_mul(LAST));
        *slot = (hash, length);
        self.count += 1;
        let passage = mix(self.sum, LAST);
        (self.count >= LENGTH && passage >> (64 - SAMPLED) == 0).then_some(passage)
    }

    /// Whether the passage is more than a few words again and again.
    fn is_telling(&self) -> bool {
        let different: BTreeSet<u64> = self.words.iter().map(|(hash, _)| *hash).collect();
        different.len() >= DIFFERENT && self.words.iter().map(|(_, length)| length).sum::<usize>() >= BYTES
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
    /// Without comments.
    bare: Window,
    comment: Comment,
    /// Words until the two are the same again.
    apart: usize,
}

impl Reader {
    fn new() -> Self {
        Self { all: Window::default(), bare: Window::default(), comment: Comment::None, apart: 0 }
    }

    /// Calls back with each sampled passage of some text, which may go on where the last one ended.
    fn read(&mut self, text: &[u8], found: &mut impl FnMut(u64, &Window)) {
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let class = CLASS[usize::from(*byte)];
            if class & WORD == 0 {
                at += 1;
                if class & MARK != 0 {
                    at += self.mark(*byte, text.get(at).copied());
                }
                continue;
            }
            let start = at;
            while text.get(at).is_some_and(|byte| CLASS[usize::from(*byte)] & WORD != 0) {
                at += 1;
            }
            if class & DIGIT != 0 {
                continue;
            }
            let hash = word_hash(&text[start..at]);
            if let Some(passage) = self.all.push(hash, at - start) {
                found(passage, &self.all);
            }
            if self.comment != Comment::None {
                self.apart = LENGTH;
                continue;
            }
            let passage = self.bare.push(hash, at - start);
            if self.apart > 0 {
                self.apart -= 1;
                if let Some(passage) = passage {
                    found(passage, &self.bare);
                }
            }
        }
    }

    /// Follows comments and escapes; gives how many more bytes belong to the mark.
    fn mark(&mut self, byte: u8, next: Option<u8>) -> usize {
        match (self.comment, byte, next) {
            // The letter of an escape is no word, nor the beginning of one.
            (_, b'\\', Some(next)) if next != b'\n' => 1,
            (Comment::Line, b'\n', _) => self.end(0),
            (Comment::Block, b'*', Some(b'/')) => self.end(1),
            (Comment::None, b'/', Some(b'*')) => self.begin(Comment::Block, 1),
            (Comment::None, b'/', Some(b'/')) => self.begin(Comment::Line, 1),
            (Comment::None, b'#', Some(b' ' | b'#' | b'!')) => self.begin(Comment::Line, 0),
            _ => 0,
        }
    }

    fn begin(&mut self, comment: Comment, more: usize) -> usize {
        self.comment = comment;
        more
    }

    fn end(&mut self, more: usize) -> usize {
        self.begin(Comment::None, more)
    }
}

/// Whether some bytes look like text, as far as a few of them tell.
fn is_text(chunk: &[u8]) -> bool {
    let step = (chunk.len() / 8).max(PROBE);
    let probes = chunk.chunks(step).map(|piece| &piece[..piece.len().min(PROBE)]);
    let (mut bytes, mut foreign) = (0, 0);
    for probe in probes {
        bytes += probe.len();
        foreign += probe.iter().filter(|byte| CLASS[usize::from(**byte)] & NO_TEXT != 0 || **byte >= 0x80).count();
    }
    foreign * 4 <= bytes
}

/// The same text with one byte a letter, where it has two or four.
fn narrow(bytes: &[u8]) -> Cow<'_, [u8]> {
    let probe = &bytes[..bytes.len().min(CHUNK)];
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
fn each_in(bytes: &[u8], mut found: impl FnMut(u64, &Window)) {
    if is_archive(bytes) {
        return;
    }
    let bytes = narrow(bytes);
    let mut reader = Reader::new();
    let mut rest: &[u8] = &bytes;
    while !rest.is_empty() {
        // A chunk ends between two words, so that none is cut.
        let end = CHUNK.min(rest.len());
        let more = rest[end..].iter().take(CHUNK).take_while(|byte| CLASS[usize::from(**byte)] & WORD != 0).count();
        let (chunk, after) = rest.split_at(end + more);
        if is_text(chunk) {
            reader.read(chunk, &mut found);
        } else {
            reader = Reader::new();
        }
        rest = after;
    }
}

/// Passages of a text that may be kept, or none where it has too few.
pub(crate) fn of(bytes: &[u8]) -> BTreeSet<u64> {
    let mut passages = BTreeSet::new();
    each_in(bytes, |passage, window| {
        if window.is_telling() {
            passages.insert(passage);
        }
    });
    passages
}

/// Chooses the passages of each original of one package that are kept: the lowest of those that are its own. Gives
/// those that are no file's own as well. A file is an original, its name without folders, and its passages.
pub(crate) fn choose(files: Vec<(u32, String, BTreeSet<u64>)>) -> (BTreeSet<(u64, u32)>, BTreeSet<u64>) {
    let mut names: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for (_, name, passages) in &files {
        for passage in passages {
            let names = names.entry(*passage).or_default();
            if names.len() < COMMON {
                names.insert(name);
            }
        }
    }
    let common: BTreeSet<u64> = names.iter().filter(|(_, names)| names.len() >= COMMON).map(|(one, _)| *one).collect();
    let mut kept = BTreeSet::new();
    for (original, _, passages) in &files {
        let own: Vec<u64> = passages.difference(&common).copied().take(KEPT).collect();
        if own.len() >= FEWEST {
            kept.extend(own.into_iter().map(|passage| (passage, *original)));
        }
    }
    (kept, common)
}

/// A filter over the passages of some layers.
pub(crate) fn filter_of(layers: &[Layer]) -> Filter {
    // The lowest hashes are kept, so that their low halves differ and the high ones hardly do.
    let halves = || layers.iter().flat_map(|layer| layer.table(Part::Passages).rows().map(|row| u32_at(row, 0)));
    Filter::new(halves().count(), halves())
}

/// Passages of a file that the corpus knows.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashSet<u64>);

impl Seen {
    /// Looks through a file, or through parts of it.
    pub(crate) fn look(parts: &[&[u8]], corpus: &Corpus) -> Self {
        let mut seen = HashSet::new();
        if corpus.passages.is_empty() {
            return Self(seen);
        }
        for part in parts {
            each_in(part, |passage, _| {
                if corpus.passages.may_have(passage as u32) && !seen.contains(&passage) && is_known(corpus, passage) {
                    seen.insert(passage);
                }
            });
        }
        Self(seen)
    }

    /// The passages that were not reported.
    pub(crate) fn into_rest(self) -> HashSet<u64> {
        self.0
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
        for passage in &self.0 {
            for original in corpus.originals(Part::Passages, *passage) {
                let originals = voices.entry(corpus.voice(original)).or_default();
                originals.entry(original).or_default().insert(*passage);
            }
        }
        for mut originals in voices.into_values() {
            let most = |(original, found): (&OriginalRef, &BTreeSet<u64>)| (found.len(), std::cmp::Reverse(*original));
            while let Some((count, std::cmp::Reverse(best))) = originals.iter().map(most).max() {
                let Some(explained) = originals.remove(&best).filter(|_| count >= ACCUSING) else { break };
                let known = corpus.passages_of(best);
                let Some(original) = corpus.origin(best, None).filter(|_| count >= enough(known)) else { continue };
                originals.values_mut().for_each(|found| found.retain(|passage| !explained.contains(passage)));
                self.0.retain(|passage| !explained.contains(passage));
                findings.push(Finding::ModifiedCopy {
                    place: place.clone(),
                    original,
                    same: Vec::new(),
                    changed: Vec::new(),
                    changes: vec![Change::Passages { found: count as u32, known: known as u32 }],
                });
            }
        }
    }
}

/// Originals that were cut into several files of one path, none of which has enough of them: half of what is known has
/// to be there. They are shown at the file that has most.
pub(crate) fn cut<'a>(rest: impl Iterator<Item = &'a (Place, HashSet<u64>)>, corpus: &Corpus) -> Vec<Finding> {
    let (mut all, mut most): (HashSet<u64>, Option<&(Place, HashSet<u64>)>) = (HashSet::new(), None);
    for file in rest {
        all.extend(&file.1);
        if most.is_none_or(|most| file.1.len() > most.1.len()) {
            most = Some(file);
        }
    }
    let mut findings = Vec::new();
    if let Some((place, _)) = most {
        Seen(all).report(place, corpus, |known| known.div_ceil(2), &mut findings);
    }
    findings
}

fn is_known(corpus: &Corpus, passage: u64) -> bool {
    !corpus.is_free(passage) && corpus.originals(Part::Passages, passage).next().is_some()
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
    found.into_iter().filter(|(_, count)| *count >= ACCUSING).map(|(original, _)| original).collect()
}

/// The same among passages that are not in a corpus yet.
pub(crate) fn alike_in(passages: &BTreeSet<u64>, known: &BTreeSet<(u64, u32)>) -> Vec<u32> {
    let mut found: BTreeMap<u32, usize> = BTreeMap::new();
    for passage in passages {
        for (_, original) in known.range((*passage, 0)..=(*passage, u32::MAX)) {
            *found.entry(*original).or_default() += 1;
        }
    }
    found.into_iter().filter(|(_, count)| *count >= ACCUSING).map(|(original, _)| original).collect()
}

#[cfg(test)]
mod tests;
