//! Texts that stand for bytes: base 64 and its relatives, lists of numbers, escapes in strings, and dumps.
//!
//! One scan looks at a sample of every 512 bytes and asks which forms may be there; only these are tried. A form is a row of
//! a table: alphabets in `letters.rs`, escapes in `escapes.rs`, lines with a structure in `lines.rs`. What joins the lines
//! of one text is the same for all forms. Only long texts are read. Whether the bytes are anything is for others to see.

mod escapes;
mod letters;
mod lines;
mod numbers;
mod wide;

#[cfg(test)]
mod tests;

pub(super) use lines::yenc;
use rayon::prelude::*;
use std::ops::Range;

/// How a text is written whose first bytes are a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Base64,
    Yenc,
}

/// A text that was read.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Where it stands.
    pub(super) range: Range<usize>,
    /// How it is written.
    pub(super) name: &'static str,
    /// What it stands for.
    pub(super) content: Vec<u8>,
    /// Whether it goes on, and was not read to its end.
    pub(super) is_cut: bool,
    /// How many bytes are one number, whose order nobody tells; 1 where each is its own.
    pub(super) word: usize,
}

impl Encoded {
    fn new(range: Range<usize>, name: &'static str, content: Vec<u8>) -> Self {
        Self { range, name, content, is_cut: false, word: 1 }
    }
}

/// Texts that stand for fewer bytes are not looked for without a mark.
const LEAST: usize = 1024;
/// The same behind a mark.
const LEAST_MARKED: usize = 192;
/// Of so many bytes one sample is taken.
const STEP: usize = 512;
/// Size of a sample.
const SAMPLE: usize = 128;
/// A text begins at most so far before the first sample that tells of it.
const LINE_START: usize = 4096;
/// Between two lines of one text there is no more than this.
const BETWEEN: usize = 64;

/// Reads the text that begins with a mark, as far as `most` letters.
pub(super) fn at(bytes: &[u8], start: usize, form: Form, most: usize) -> Option<Encoded> {
    match form {
        Form::Base64 => letters::base64_at(bytes, start, most).filter(|text| text.content.len() >= LEAST_MARKED),
        Form::Yenc => yenc(bytes, start, most).filter(|text| text.content.len() >= LEAST_MARKED),
    }
}

/// A way to read texts: which samples may be of it, and how one is read that begins somewhere in a range. What is no text
/// of this form is told by where the next one may begin.
struct Reader {
    may_be: fn(&Sample<'_>) -> bool,
    read: fn(&Look<'_>) -> Result<Encoded, usize>,
}

/// All ways, the more telling ones first.
const READERS: [Reader; 5] = [
    Reader { may_be: lines::may_be, read: lines::read },
    Reader { may_be: escapes::may_be, read: escapes::read },
    Reader { may_be: numbers::may_be, read: numbers::read },
    Reader { may_be: letters::may_be, read: letters::read },
    Reader { may_be: wide::may_be, read: wide::read },
];

/// Where a reader has to look: at texts that begin between `from` and `probe`, or that go over it.
struct Look<'a> {
    bytes: &'a [u8],
    from: usize,
    /// What was not looked at yet begins here, be it in the middle of something.
    floor: usize,
    probe: usize,
    /// How many letters may be read.
    most: usize,
}

/// Looks for texts in a range of bytes, from its beginning to its end.
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    /// Samples before this are passed over: they are in a text that was read.
    at: usize,
    most: usize,
    /// Where the first sample stands that was not taken yet.
    untaken: usize,
    taken: std::vec::IntoIter<Probe>,
    /// Up to where each reader has looked.
    looked: [usize; READERS.len()],
}

/// A sample in which some forms may be.
struct Probe {
    at: usize,
    /// By the number of the reader.
    may_be: [bool; READERS.len()],
}

impl Probe {
    fn new(bytes: &[u8], at: usize) -> Option<Self> {
        // Most bytes of programs are told apart by a few.
        if is_odd(&bytes[at..at + 16]) {
            return None;
        }
        let sample = Sample::new(bytes, at);
        let may_be = READERS.each_ref().map(|reader| (reader.may_be)(&sample));
        may_be.contains(&true).then_some(Self { at, may_be })
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        Self {
            bytes: &bytes[..range.end],
            at: range.start,
            most: 0,
            untaken: range.start,
            taken: Vec::new().into_iter(),
            looked: [range.start; READERS.len()],
        }
    }

    /// The next text, of which at most so many letters are read.
    pub(super) fn next(&mut self, most: usize) -> Option<Encoded> {
        self.most = most;
        loop {
            match self.taken.next() {
                Some(probe) if probe.at < self.at => {}
                Some(probe) => {
                    if let Some(text) = self.read(&probe) {
                        return Some(text);
                    }
                }
                None => self.take()?,
            }
        }
    }

    /// Takes the next samples, several threads together.
    fn take(&mut self) -> Option<()> {
        const TOGETHER: usize = 1 << 15;
        const EACH: usize = 1 << 11;
        let last = self.bytes.len().checked_sub(SAMPLE)?;
        self.untaken += self.at.saturating_sub(self.untaken).next_multiple_of(STEP);
        let samples: Vec<usize> = (self.untaken..=last).step_by(STEP).take(TOGETHER).collect();
        self.untaken = samples.last()? + STEP;
        let taken = samples.into_par_iter().with_min_len(EACH).filter_map(|at| Probe::new(self.bytes, at));
        self.taken = taken.collect::<Vec<_>>().into_iter();
        Some(())
    }

    fn read(&mut self, probe: &Probe) -> Option<Encoded> {
        for (number, reader) in READERS.iter().enumerate() {
            if self.looked[number] > probe.at || !probe.may_be[number] {
                continue;
            }
            let floor = self.looked[number].max(probe.at.saturating_sub(LINE_START));
            let before = &self.bytes[floor..floor.max(probe.at.saturating_sub(2 * STEP))];
            // Not in the middle of something.
            let from = floor + before.iter().rposition(|byte| !byte.is_ascii_graphic()).map_or(0, |at| at + 1);
            match (reader.read)(&Look { bytes: self.bytes, from, floor, probe: probe.at, most: self.most }) {
                Ok(text) => {
                    self.looked = self.looked.map(|looked| looked.max(text.range.end));
                    self.at = text.range.end.max(probe.at + 1);
                    return Some(text);
                }
                Err(next) => self.looked[number] = next.max(from),
            }
        }
        None
    }
}

/// Whether there is a byte that no text has, also none in letters of two bytes.
fn is_odd(bytes: &[u8]) -> bool {
    let odd = bytes.iter().filter(|byte| is_never(**byte)).count();
    odd != 0 && 2 * odd != bytes.len()
}

/// Whether no text has this byte.
fn is_never(byte: u8) -> bool {
    CLASSES[usize::from(byte)] == 1
}

/// What a few bytes are made of.
struct Sample<'a> {
    bytes: &'a [u8],
    /// All bytes, for what goes beyond the sample.
    all: &'a [u8],
    at: usize,
    /// How many bytes are in each class.
    counts: [u8; 8],
}

/// Bytes that no text has.
const ODD: usize = 0;
const BLANK: usize = 1;
const DIGIT: usize = 2;
/// Letters that are also digits of base 16.
const HEX: usize = 3;
const LETTER: usize = 4;
/// What begins an escape.
const LEAD: usize = 5;
const HIGH: usize = 6;
const SIGN: usize = 7;

/// The class of each byte as a number that can be added up: eight counters in one.
const CLASSES: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let class = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' => BLANK,
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER,
            b'\\' | b'%' | b'=' | b'&' => LEAD,
            0x80.. => HIGH,
            0x0b | 0x0c | 0x1b | 0x21..=0x7e => SIGN,
            _ => ODD,
        };
        table[byte] = 1 << (8 * class);
        byte += 1;
    }
    table
};

impl<'a> Sample<'a> {
    fn new(all: &'a [u8], at: usize) -> Self {
        let bytes = &all[at..at + SAMPLE];
        let sum: u64 = bytes.iter().map(|byte| CLASSES[usize::from(*byte)]).sum();
        Self { bytes, all, at, counts: sum.to_le_bytes() }
    }

    fn count(&self, class: usize) -> usize {
        usize::from(self.counts[class])
    }

    fn is_text(&self) -> bool {
        self.counts[ODD] == 0
    }

    /// The longest run of bytes in these classes.
    fn run(&self, classes: &[usize]) -> usize {
        let mask: u64 = classes.iter().map(|class| 1 << (8 * class)).sum();
        let (mut longest, mut run) = (0, 0);
        for byte in self.bytes {
            run = if CLASSES[usize::from(*byte)] & mask != 0 { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        longest
    }
}

/// What joins the lines of one text: signs and blanks, or the same words each time.
#[derive(Default)]
struct Frame(Option<u64>);

/// The words of what stands between two lines.
#[derive(Clone, Copy, Default)]
struct Words(u64);

impl Words {
    /// Numbers and signs do not count: lines may be numbered.
    fn add(&mut self, byte: u8) {
        if byte.is_ascii_alphabetic() || byte >= 0x80 {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).wrapping_add(1);
        }
    }
}

impl Frame {
    /// Whether what stands there joins two lines, by what is known.
    fn has(&self, words: Words) -> bool {
        words.0 == 0 || self.0 == Some(words.0)
    }

    /// Whether the words that stand before each line are still to come.
    fn is_before(&self, words: Words) -> bool {
        words.0 == 0 && self.0.is_some()
    }

    /// Whether what stands there joins two lines. The first words that do are those that all have.
    fn joins(&mut self, words: Words) -> bool {
        words.0 == 0 || *self.0.get_or_insert(words.0) == words.0
    }
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Whether something stands in these bytes that has a mark, or they are themselves a text. What was read in an alphabet that
/// nearly all of a text is in is otherwise nothing.
pub(super) fn is_something(content: &[u8]) -> bool {
    use super::Kind;
    use super::marks::{What, candidates};
    let is_weak = |what| what == What::Packed(Kind::Zlib);
    candidates(content, 0..content.len().min(1 << 20)).iter().any(|found| found.start < 16 || !is_weak(found.what))
        || content.iter().take(512).all(|byte| CLASSES[usize::from(*byte)] != 1 && byte.is_ascii())
}

/// Whether a mark stands in these bytes that is no chance, as those of two or three bytes are.
pub(super) fn has_mark(content: &[u8]) -> bool {
    use super::Kind::{Gzip, Lzma, Zlib};
    use super::marks::{What, candidates};
    let is_weak = |what| matches!(what, What::Packed(Gzip | Lzma | Zlib) | What::Text(_));
    candidates(content, 0..content.len()).iter().any(|found| !is_weak(found.what))
}

/// The number that these digits are.
fn digits(text: &[u8], radix: u64) -> Option<u64> {
    let digit = |byte: &u8| hex(*byte).map(u64::from).filter(|digit| *digit < radix);
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| value.checked_mul(radix)?.checked_add(digit(byte)?))
}
