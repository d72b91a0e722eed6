//! Strings in which escapes stand for bytes that have no letter: those of programming languages, of URLs, mails and HTML.
//!
//! Letters that are no escape stand for themselves, as in what Python prints of bytes.

use super::{BETWEEN, Encoded, Frame, LEAD, LEAST, Look, Sample, Words, digits, hex};

/// A kind of escapes.
struct Kind {
    name: &'static str,
    /// What begins each of them.
    lead: u8,
    /// Reads what stands behind the lead: what it stands for, and how long it is.
    read: fn(&[u8]) -> Option<(Unit, usize)>,
    /// Whether such strings end at the quote that they begin with, and go on in the next one.
    is_quoted: bool,
    /// What else ends a string.
    ends: &'static [u8],
}

/// What one escape stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    Byte(u8),
    /// A letter of Unicode, which stands for one byte or for two.
    Letter(u32),
    Nothing,
}

impl Kind {
    /// Whether its strings go over several lines.
    fn is_joined(&self) -> bool {
        matches!(self.lead, b'=')
    }
}

static KINDS: [Kind; 4] = [
    Kind { name: "escapes", lead: b'\\', read: backslash, is_quoted: true, ends: b"" },
    Kind { name: "percent-encoding", lead: b'%', read: percent, is_quoted: false, ends: b"\"'<>` \t\r\n" },
    Kind { name: "quoted-printable", lead: b'=', read: equals, is_quoted: false, ends: b"" },
    Kind { name: "HTML entities", lead: b'&', read: ampersand, is_quoted: false, ends: b"<" },
];

/// In a sample there are at least so many escapes that stand for no letter.
const ESCAPES: usize = 3;

pub(super) fn may_be(sample: &Sample<'_>) -> bool {
    sample.is_text() && sample.count(LEAD) >= ESCAPES && kind(sample.bytes).is_some()
}

/// The kind that most escapes are of.
fn kind(bytes: &[u8]) -> Option<&'static Kind> {
    let count = |kind: &Kind| {
        let escapes = memchr::memchr_iter(kind.lead, bytes).filter_map(|at| (kind.read)(&bytes[at + 1..]));
        escapes.filter(|(unit, length)| !matches!(unit, Unit::Nothing) && *length > 1).count()
    };
    KINDS
        .iter()
        .map(|kind| (count(kind), kind))
        .filter(|(count, _)| *count >= ESCAPES)
        .max_by_key(|(count, _)| *count)
        .map(|(_, kind)| kind)
}

/// Reads the string that goes over the sample.
pub(super) fn read(look: &Look<'_>) -> Result<Encoded, usize> {
    let Look { bytes, probe, .. } = *look;
    let sample = &bytes[probe..(probe + super::SAMPLE).min(bytes.len())];
    let Some(kind) = kind(sample) else { return Err(probe) };
    let before = &bytes[look.floor..probe];
    let mut furthest = probe + 1;
    let mut starts: Vec<usize> = starts(before, kind).into_iter().map(|start| look.floor + start).collect();
    starts.splice(starts.len() - 1..starts.len() - 1, within(sample, probe, kind));
    for start in starts {
        let mut string = Reading::new(kind, look);
        string.read(bytes, start);
        let Reading { content, end, is_cut, words, escapes, .. } = string;
        furthest = furthest.max(end);
        if end > probe && content.len() >= LEAST && escapes >= content.len() / 256 {
            let word = if words { 2 } else { 1 };
            return Ok(Encoded { is_cut, word, ..Encoded::new(start..end, kind.name, content) });
        }
    }
    Err(furthest)
}

/// Where a string may begin that goes over the end of these bytes: behind the last quote of each kind, and behind the quotes of
/// the strings before it that it goes on with; or else behind whatever is none of it. The first ones first.
fn starts(before: &[u8], kind: &Kind) -> Vec<usize> {
    let is_odd = |byte: u8| byte == b'\n' && !kind.is_joined() || kind.ends.contains(&byte) || super::is_odd(&[byte]);
    let bound = before.iter().rposition(|byte| is_odd(*byte)).map_or(0, |at| at + 1);
    if !kind.is_quoted {
        return vec![bound];
    }
    let floor = before.iter().rposition(|byte| super::is_odd(&[*byte])).map_or(0, |at| at + 1);
    let opened = |quote: u8, end: usize| {
        let is_escape = |at: usize| before[floor..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        (floor..end).rev().find(|at| before[*at] == quote && !is_escape(*at))
    };
    let mut all: Vec<usize> = (b"\"'`".iter())
        .filter_map(|quote| {
            let mut start = opened(*quote, before.len())? + 1;
            // The strings before it.
            while let Some(closed) = opened(*quote, start - 1).filter(|closed| start - closed <= BETWEEN) {
                let Some(open) = opened(*quote, closed) else { break };
                if !before[open..closed].contains(&kind.lead) || before[closed..start].contains(&kind.lead) {
                    break;
                }
                start = open + 1;
            }
            Some(start)
        })
        .collect();
    all.sort_unstable();
    all.push(bound);
    all
}

/// Where a string begins in the sample.
fn within(sample: &[u8], probe: usize, kind: &Kind) -> Option<usize> {
    let is_quote = |byte: &u8| kind.is_quoted && matches!(byte, b'"' | b'\'' | b'`');
    sample.iter().position(is_quote).map(|at| probe + at + 1)
}

struct Reading<'k> {
    kind: &'k Kind,
    content: Vec<u8>,
    end: usize,
    is_cut: bool,
    /// Whether a letter of Unicode stands for two bytes.
    words: bool,
    escapes: usize,
    most: usize,
}

impl<'k> Reading<'k> {
    fn new(kind: &'k Kind, look: &Look<'_>) -> Self {
        let sample = &look.bytes[look.probe..(look.probe + 4 * super::SAMPLE).min(look.bytes.len())];
        let units = memchr::memchr_iter(kind.lead, sample).filter_map(|at| (kind.read)(&sample[at + 1..]));
        // Where each letter is two bytes, hardly one has a zero for the second.
        let (mut wide, mut all) = (0, 0);
        for (unit, _) in units {
            if let Unit::Letter(letter) = unit {
                all += 1;
                wide += usize::from(letter > 0xff);
            }
        }
        let words = all > 0 && wide >= all / 4 && wide > 0;
        Self { kind, content: Vec::new(), end: look.probe, is_cut: false, words, escapes: 0, most: look.most }
    }

    fn read(&mut self, bytes: &[u8], start: usize) {
        let quote = start
            .checked_sub(1)
            .map(|at| bytes[at])
            .filter(|byte| self.kind.is_quoted && matches!(byte, b'"' | b'\'' | b'`'));
        let (mut at, mut frame) = (start, Frame::default());
        let is_utf8 = std::str::from_utf8(&bytes[start..(start + 4096).min(bytes.len())])
            .map_or_else(|error| error.error_len().is_none(), |_| true);
        while let Some(byte) = bytes.get(at) {
            if self.content.len() >= self.most {
                self.is_cut = true;
                break;
            }
            if *byte == self.kind.lead {
                if let Some((unit, length)) = (self.kind.read)(&bytes[at + 1..]) {
                    self.push(unit);
                    at += 1 + length;
                    continue;
                }
                // What only looks like one stands for itself.
                if self.kind.lead == b'%' {
                    break;
                }
            } else if Some(*byte) == quote
                || self.kind.ends.contains(byte)
                || self.kind.is_quoted && quote.is_none() && *byte == b'\n'
            {
                self.end = at;
                match next_string(bytes, at, quote, self.kind, &mut frame) {
                    Some(next) => at = next,
                    None => return,
                }
                continue;
            }
            match (byte, bytes.get(at + 1)) {
                // Letters of Latin 1 that were written in UTF-8.
                (0xc2 | 0xc3, Some(next @ 0x80..=0xbf)) if is_utf8 => {
                    self.content.push((byte & 3) << 6 | next & 0x3f);
                    at += 2;
                }
                (0..=8 | 14..=26 | 28..=31, _) => break,
                _ => {
                    self.content.push(*byte);
                    at += 1;
                }
            }
        }
        self.end = at;
    }

    fn push(&mut self, unit: Unit) {
        match unit {
            Unit::Byte(byte) => self.content.push(byte),
            Unit::Letter(letter) if self.words => self.content.extend_from_slice(&(letter as u16).to_le_bytes()),
            Unit::Letter(letter @ 0..=0xff) => self.content.push(letter as u8),
            Unit::Letter(letter) => {
                let letter = char::from_u32(letter).unwrap_or(char::REPLACEMENT_CHARACTER);
                self.content.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Unit::Nothing => {}
        }
        self.escapes += 1;
    }
}

/// Where the next string begins that goes on with this one.
fn next_string(bytes: &[u8], at: usize, quote: Option<u8>, kind: &Kind, frame: &mut Frame) -> Option<usize> {
    let rest = &bytes[at..bytes.len().min(at + BETWEEN)];
    let mut words = Words::default();
    for (between, byte) in rest.iter().enumerate().skip(1) {
        let begins = match quote {
            Some(quote) => *byte == quote || matches!(byte, b'"' | b'\''),
            None => *byte == kind.lead && (kind.read)(&bytes[at + between + 1..]).is_some(),
        };
        if begins {
            return frame.joins(words).then_some(at + between + usize::from(quote.is_some()));
        }
        words.add(*byte);
    }
    None
}

/// Escapes of programming languages.
pub(super) fn backslash(rest: &[u8]) -> Option<(Unit, usize)> {
    let letter = |skip: usize, most: usize| {
        let braced = rest.get(skip) == Some(&b'{');
        let begin = skip + usize::from(braced);
        let count = rest
            .get(begin..)?
            .iter()
            .take(if braced { 8 } else { most })
            .take_while(|byte| hex(**byte).is_some())
            .count();
        let value = digits(&rest[begin..begin + count], 16)? as u32;
        let closed = !braced || rest.get(begin + count) == Some(&b'}');
        closed.then_some((value, begin + count + usize::from(braced)))
    };
    Some(match *rest.first()? {
        b'x' | b'X' => letter(1, 2).map(|(value, length)| (Unit::Byte(value as u8), length))?,
        b'u' => letter(1, 4).map(|(value, length)| (Unit::Letter(value), length))?,
        b'U' => letter(1, 8).map(|(value, length)| (Unit::Letter(value), length))?,
        b'0'..=b'7' => {
            let count = rest.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(*byte)).count();
            // A shell's octal numbers begin with a zero of their own.
            let count = if rest[0] == b'0' && count == 3 && rest.get(3).is_some_and(|byte| (b'0'..=b'7').contains(byte))
            {
                4
            } else {
                count
            };
            (Unit::Byte(digits(&rest[..count], 8)? as u8), count)
        }
        b'a' => (Unit::Byte(7), 1),
        b'b' => (Unit::Byte(8), 1),
        b't' => (Unit::Byte(9), 1),
        b'n' => (Unit::Byte(10), 1),
        b'v' => (Unit::Byte(11), 1),
        b'f' => (Unit::Byte(12), 1),
        b'r' => (Unit::Byte(13), 1),
        b'e' => (Unit::Byte(27), 1),
        b'\n' => (Unit::Nothing, 1),
        b'\r' => (Unit::Nothing, 1 + usize::from(rest.get(1) == Some(&b'\n'))),
        byte @ (b'\\' | b'"' | b'\'' | b'/' | b'?' | b'$' | b'`') => (Unit::Byte(byte), 1),
        _ => return None,
    })
}

fn percent(rest: &[u8]) -> Option<(Unit, usize)> {
    match *rest {
        [b'u', a, b, c, d, ..] => Some((Unit::Letter(digits(&[a, b, c, d], 16)? as u32), 5)),
        [high, low, ..] => Some((Unit::Byte(hex(high)? << 4 | hex(low)?), 2)),
        _ => None,
    }
}

fn equals(rest: &[u8]) -> Option<(Unit, usize)> {
    match *rest {
        [b'\n', ..] => Some((Unit::Nothing, 1)),
        [b'\r', b'\n', ..] => Some((Unit::Nothing, 2)),
        [high @ (b'0'..=b'9' | b'A'..=b'F'), low @ (b'0'..=b'9' | b'A'..=b'F'), ..] => {
            Some((Unit::Byte(hex(high)? << 4 | hex(low)?), 2))
        }
        _ => None,
    }
}

fn ampersand(rest: &[u8]) -> Option<(Unit, usize)> {
    const NAMES: [(&[u8], u8); 6] =
        [(b"amp;", b'&'), (b"lt;", b'<'), (b"gt;", b'>'), (b"quot;", b'"'), (b"apos;", b'\''), (b"nbsp;", 0xa0)];
    if let Some((name, byte)) = NAMES.iter().find(|(name, _)| rest.starts_with(name)) {
        return Some((Unit::Byte(*byte), name.len()));
    }
    let end = rest.iter().take(10).position(|byte| *byte == b';')?;
    let value = match &rest[..end] {
        [b'#', b'x' | b'X', number @ ..] => digits(number, 16)?,
        [b'#', number @ ..] => digits(number, 10)?,
        _ => return None,
    };
    Some((Unit::Letter(u32::try_from(value).ok()?), end + 1))
}
