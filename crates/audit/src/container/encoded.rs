//! Texts that stand for bytes: base 64 and its relatives, as installers, scripts and data URLs carry them.
//!
//! Such a text may be broken into lines, be quoted and be joined, and stand in JSON. Only long ones are read. Whether the
//! bytes are anything is for others to see.

use std::ops::Range;

/// How bytes are written as letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    Base64,
    Base64Url,
}

/// A text that was read.
pub(super) struct Encoded {
    /// Where it stands.
    pub(super) range: Range<usize>,
    /// How it is written.
    pub(super) name: &'static str,
    /// What it stands for.
    pub(super) content: Vec<u8>,
    /// Whether it goes on, and was not read to its end.
    pub(super) is_cut: bool,
}

/// Fewer bytes than this are not looked for in a text without a mark.
const LEAST: usize = 1024;
/// The same behind a mark.
const LEAST_MARKED: usize = 192;
/// Between two lines of one text stand quotes, blanks and the like.
const BETWEEN: usize = 24;
/// Lines are at least this long, but for the last one.
const LINE: usize = 32;

const NO: u8 = 0xff;

/// What each letter stands for, both variants of base 64 together.
const BASE64: [u8; 256] = {
    let mut table = [NO; 256];
    let mut at = 0;
    while at < 26 {
        table[b'A' as usize + at] = at as u8;
        table[b'a' as usize + at] = 26 + at as u8;
        at += 1;
    }
    at = 0;
    while at < 10 {
        table[b'0' as usize + at] = 52 + at as u8;
        at += 1;
    }
    table[b'+' as usize] = 62;
    table[b'-' as usize] = 62;
    table[b'/' as usize] = 63;
    table[b'_' as usize] = 63;
    table
};

const HEX: [u8; 256] = {
    let mut table = [NO; 256];
    let mut at = 0;
    while at < 10 {
        table[b'0' as usize + at] = at as u8;
        at += 1;
    }
    at = 0;
    while at < 6 {
        table[b'a' as usize + at] = 10 + at as u8;
        table[b'A' as usize + at] = 10 + at as u8;
        at += 1;
    }
    table
};

/// Python's alphabet, which is that of RFC 1924 and of git.
const BASE85: [u8; 256] = {
    let letters = *b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    let mut table = [NO; 256];
    let mut at = 0;
    while at < letters.len() {
        table[letters[at] as usize] = at as u8;
        at += 1;
    }
    table
};

/// Reads the text that begins with a mark, as far as `most` letters.
pub(super) fn at(bytes: &[u8], start: usize, _: Alphabet, most: usize) -> Option<Encoded> {
    let run = Run::read(bytes, start, &BASE64, most);
    let content = base64(&run.letters);
    (content.len() >= LEAST_MARKED).then(|| run.encoded(start, "base64", content))
}

/// Reads the next long text in the range that stands for bytes. The range is one of a text in all.
pub(super) fn next(bytes: &[u8], range: Range<usize>, most: usize) -> Option<Encoded> {
    let (mut at, mut begin) = (range.start, range.start);
    // The tables contain each other, so that words of the largest one are what is looked at.
    while at < range.end {
        let is_letter = BASE85[bytes[at] as usize] != NO || BASE64[bytes[at] as usize] != NO || bytes[at] == b'\\';
        if !is_letter {
            begin = at + 1;
        } else if at - begin >= LINE {
            match decode(&bytes[..range.end], begin, most) {
                Ok(encoded) => return Some(encoded),
                // Another text may begin behind a sign, as behind the name of a variable.
                Err(next) => begin = next.max(begin + 1),
            }
            at = begin;
            continue;
        }
        at += 1;
    }
    None
}

/// Reads a long text in the narrowest alphabet that it is in. Otherwise says where another may begin.
fn decode(bytes: &[u8], begin: usize, most: usize) -> Result<Encoded, usize> {
    let at_least = |run: &Run, letters: usize| run.letters.len() >= letters;
    if let Some((content, end, is_cut)) = escapes(bytes, begin, most) {
        return Ok(Encoded { range: begin..end, name: "hex", content, is_cut });
    }
    let hex = Run::read(bytes, begin, &HEX, most);
    if at_least(&hex, 2 * LEAST) {
        let content = hex.letters.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        return Ok(hex.encoded(begin, "hex", content));
    }
    let run = Run::read(bytes, begin, &BASE64, most);
    if at_least(&run, LEAST / 3 * 4) {
        return Ok(run.encoded(begin, "base64", base64(&run.letters)));
    }
    // A sign that only base 85 has, soon after the beginning, is more often one that something is assigned with.
    let sign = bytes[begin..].iter().take(LINE).position(|byte| *byte == b'=');
    if let Some(sign) = sign.filter(|sign| Run::read(bytes, begin + sign + 1, &BASE64, LEAST).letters.len() >= LEAST) {
        return Err(begin + sign + 1);
    }
    let run = Run::read(bytes, begin, &BASE85, most);
    if at_least(&run, LEAST / 4 * 5) {
        return match base85(&run.letters) {
            Some(content) => Ok(run.encoded(begin, "base85", content)),
            None => Err(run.end),
        };
    }
    let sign = bytes[begin..].iter().position(|byte| BASE64[*byte as usize] == NO);
    Err(sign.map_or(bytes.len(), |sign| begin + sign + 1))
}

/// Bytes that are escapes of a string: `\x7f`, at least so many one right behind the other, with quotes between.
fn escapes(bytes: &[u8], begin: usize, most: usize) -> Option<(Vec<u8>, usize, bool)> {
    let (mut content, mut at) = (Vec::new(), begin);
    loop {
        match bytes.get(at..at + 4) {
            Some([b'\\', b'x', ..]) if content.len() >= most => return Some((content, at, true)),
            Some([b'\\', b'x', high, low]) if HEX[*high as usize] != NO && HEX[*low as usize] != NO => {
                content.push(HEX[*high as usize] << 4 | HEX[*low as usize]);
                at += 4;
            }
            _ => {
                let rest = bytes.get(at..)?;
                let between = rest.iter().take(BETWEEN).position(|byte| *byte == b'\\').unwrap_or(0);
                if between == 0 || content.is_empty() {
                    break;
                }
                if rest.get(between + 1) != Some(&b'x') {
                    break;
                }
                at += between;
            }
        }
    }
    (content.len() >= LEAST).then_some((content, at, false))
}

/// Letters of one alphabet, with whatever stands between their lines left out.
struct Run {
    /// What each letter stands for.
    letters: Vec<u8>,
    /// Where the text ends.
    end: usize,
    /// Whether it goes on, and was not read to its end.
    is_cut: bool,
}

impl Run {
    fn encoded(&self, begin: usize, name: &'static str, content: Vec<u8>) -> Encoded {
        Encoded { range: begin..self.end, name, content, is_cut: self.is_cut }
    }

    fn read(bytes: &[u8], start: usize, table: &[u8; 256], most: usize) -> Self {
        let mut letters = Vec::new();
        let (mut at, mut end, mut first) = (start, start, None);
        loop {
            let before = letters.len();
            while let Some(byte) = bytes.get(at) {
                match table[*byte as usize] {
                    NO if *byte == b'\\' && bytes.get(at + 1) == Some(&b'/') && table[b'/' as usize] != NO => at += 1,
                    NO => break,
                    _ if letters.len() >= most => return Self { letters, end: at, is_cut: true },
                    value => {
                        letters.push(value);
                        at += 1;
                    }
                }
            }
            let line = letters.len() - before;
            if line == 0 {
                break;
            }
            end = at;
            // A line that is shorter than the first is the last one.
            let first = *first.get_or_insert(line);
            if line < first || line < LINE {
                break;
            }
            match next_line(&bytes[at..], table, first) {
                Some(next) => at += next,
                None => break,
            }
        }
        Self { letters, end, is_cut: false }
    }
}

/// Where the next line of a text begins: behind an end of line that is written or stands there, quotes and blanks. It has as many
/// letters as the first one, or is the last one.
fn next_line(rest: &[u8], table: &[u8; 256], first: usize) -> Option<usize> {
    let (mut at, mut broken) = (0, false);
    while at < BETWEEN {
        match rest.get(at..)? {
            [b'\\', b'n' | b'r' | b't' | b'\n', ..] => (at, broken) = (at + 2, true),
            [b'\n' | b'\r', ..] => (at, broken) = (at + 1, true),
            [
                b' ' | b'\t' | b'"' | b'\'' | b',' | b';' | b'.' | b'(' | b')' | b'>' | b'#' | b'*' | b'`' | b'\\',
                ..,
            ] => {
                broken |= matches!(rest[at], b'"' | b'\'');
                at += 1;
            }
            // What joins two strings is itself a letter.
            [b'+', b' ' | b'\n' | b'\r' | b'"' | b'\'' | b'\t', ..] => at += 1,
            [letter, ..] if broken && table[*letter as usize] != NO => {
                let count = rest[at..].iter().take(first + 1).take_while(|byte| table[**byte as usize] != NO).count();
                let is_last =
                    count < first && count % 4 <= 3 && !rest.get(at + count).is_some_and(u8::is_ascii_alphanumeric);
                return (count == first || is_last || count > first && first > 76).then_some(at);
            }
            _ => return None,
        }
    }
    None
}

fn base64(letters: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(letters.len() / 4 * 3 + 2);
    for group in letters.chunks(4) {
        let bits = group.iter().fold(0u32, |bits, letter| bits << 6 | u32::from(*letter)) << (6 * (4 - group.len()));
        content.extend_from_slice(&bits.to_be_bytes()[1..][..group.len() * 6 / 8]);
    }
    content
}

/// Nothing where five letters are more than four bytes can be.
fn base85(letters: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(letters.len() / 5 * 4 + 4);
    for group in letters.chunks(5) {
        let filled = group.iter().copied().chain(std::iter::repeat_n(84, 5 - group.len()));
        let value = filled.fold(0u64, |value, letter| value * 85 + u64::from(letter));
        content.extend_from_slice(&u32::try_from(value).ok()?.to_be_bytes()[..group.len().saturating_sub(1)]);
    }
    Some(content)
}

/// Whether samples of the bytes have no zero and hardly anything that no text has.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    const SAMPLE: usize = 512;
    if bytes.len() < LEAST {
        return false;
    }
    let step = (bytes.len() / 8).max(SAMPLE);
    (0..bytes.len()).step_by(step).all(|at| {
        let sample = &bytes[at..bytes.len().min(at + SAMPLE)];
        let odd = sample.iter().filter(|byte| **byte < 9 || (14..32).contains(*byte) && **byte != 27).count();
        odd == 0
    })
}
