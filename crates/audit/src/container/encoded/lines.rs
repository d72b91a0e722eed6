//! Lines with a structure of their own: dumps with addresses, records with checksums, and lines that say how long they are.

use super::letters::{Alphabet, BASE85, UU, XX};
use super::{Encoded, LEAST, Look, Sample, digits, hex};

/// How far behind a sample a line may end.
const LOOK: usize = 384;
/// Zeros or repeated lines that a dump leaves out are filled in up to so many bytes in all.
const FILLED: usize = 16 << 20;

/// Whether a line may be of a kind of text.
type Fits = fn(&[u8]) -> bool;
/// A kind of text in lines. It is read from the beginning of a line, as far as it goes.
type Form = fn(&[u8], usize, usize) -> Option<Encoded>;

const FORMS: [(Fits, Form); 4] = [
    (|line| record(line).is_some(), records),
    (|line| stated(line, &UU_LINE).is_some() || stated(line, &XX_LINE).is_some(), stated_lines),
    (|line| stated(line, &GIT_LINE).is_some(), git_lines),
    (|line| address(line).is_some(), dump),
];

pub(super) fn may_be(sample: &Sample<'_>) -> bool {
    if !sample.is_text() {
        return false;
    }
    // The first line may not be of the text yet.
    let rest = &sample.all[sample.at..sample.all.len().min(sample.at + LOOK)];
    let mut begin = if sample.at == 0 { Some(0) } else { memchr::memchr(b'\n', rest).map(|end| end + 1) };
    while let Some(at) = begin {
        let Some(end) = memchr::memchr(b'\n', &rest[at..]) else { return false };
        let line = trimmed(&rest[at..at + end]);
        if FORMS.iter().any(|(fits, _)| fits(line)) {
            return true;
        }
        begin = Some(at + end + 1).filter(|next| *next < super::SAMPLE);
    }
    false
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The line that begins here, and where the next one does.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
    Some(match memchr::memchr(b'\n', rest) {
        Some(end) => (trimmed(&rest[..end]), at + end + 1),
        None => (trimmed(rest), bytes.len()),
    })
}

/// Reads the first long text that goes over the sample.
pub(super) fn read(look: &Look<'_>) -> Result<Encoded, usize> {
    let until = (look.probe + LOOK).min(look.bytes.len());
    let mut at = match look.from.checked_sub(1).map(|before| look.bytes[before]) {
        None | Some(b'\n') => look.from,
        Some(_) => memchr::memchr(b'\n', &look.bytes[look.from..until]).map_or(until, |end| look.from + end + 1),
    };
    while at < until {
        let Some((mut text, next)) = line(look.bytes, at) else { break };
        // In a program the first line begins behind something else.
        if let Some(odd) = text.iter().rposition(|byte| super::is_odd(&[*byte])) {
            at += odd + 1;
            text = &text[odd + 1..];
        }
        for (fits, form) in &FORMS {
            if !fits(text) {
                continue;
            }
            if let Some(found) = form(look.bytes, at, look.most).filter(|found| found.content.len() >= LEAST) {
                return Ok(found);
            }
        }
        at = next;
    }
    Err(at.max(look.from))
}

/// The bytes of a record of Intel or Motorola, whose checksum is right; none where it holds no data.
fn record(line: &[u8]) -> Option<Vec<u8>> {
    let (text, is_intel, address) = match line {
        [b':', rest @ ..] => (rest, true, 3),
        [b'S', kind @ b'0'..=b'9', rest @ ..] => {
            (rest, false, [2, 2, 3, 4, 4, 2, 3, 4, 3, 2][usize::from(kind - b'0')])
        }
        _ => return None,
    };
    if text.len() < 8 || text.len() % 2 != 0 {
        return None;
    }
    let bytes: Option<Vec<u8>> = text.chunks_exact(2).map(|pair| Some(hex(pair[0])? << 4 | hex(pair[1])?)).collect();
    let bytes = bytes?;
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let data = bytes.get(1 + address..bytes.len() - 1)?;
    let (is_sound, has_data) = if is_intel {
        (sum == 0 && usize::from(bytes[0]) + 5 == bytes.len(), bytes[3] == 0)
    } else {
        (sum == 0xff && usize::from(bytes[0]) + 1 == bytes.len(), matches!(line[1], b'1'..=b'3'))
    };
    is_sound.then(|| if has_data { data.to_vec() } else { Vec::new() })
}

fn records(bytes: &[u8], start: usize, most: usize) -> Option<Encoded> {
    let (mut at, mut content) = (start, Vec::new());
    while let Some((text, next)) = line(bytes, at).filter(|_| content.len() < most) {
        let Some(data) = record(text) else { break };
        content.extend_from_slice(&data);
        at = next;
    }
    let is_cut = content.len() >= most;
    Some(Encoded { is_cut, ..Encoded::new(start..at, "hex records", content) })
}

/// Lines whose first letter says how many bytes they stand for.
struct Stated {
    name: &'static str,
    alphabet: &'static Alphabet,
    /// What the first letter says.
    length: fn(u8) -> Option<usize>,
    /// So many letters are so many bytes.
    group: (usize, usize),
}

static UU_LINE: Stated =
    Stated { name: "uuencode", alphabet: &UU, length: |letter| UU.value(letter).map(usize::from), group: (4, 3) };
static XX_LINE: Stated =
    Stated { name: "xxencode", alphabet: &XX, length: |letter| XX.value(letter).map(usize::from), group: (4, 3) };
static GIT_LINE: Stated = Stated {
    name: "base85",
    alphabet: &BASE85,
    length: |letter| match letter {
        b'A'..=b'Z' => Some(usize::from(letter - b'A') + 1),
        b'a'..=b'z' => Some(usize::from(letter - b'a') + 27),
        _ => None,
    },
    group: (5, 4),
};

/// How many bytes a line stands for and its letters, where it is as long as it says. Blanks at its end may be lost, and a
/// checksum may stand there.
fn stated<'a>(line: &'a [u8], form: &Stated) -> Option<(usize, &'a [u8])> {
    let (first, rest) = line.split_first()?;
    let count = (form.length)(*first).filter(|count| *count > 0)?;
    let (letters, bytes) = form.group;
    let wanted = count.div_ceil(bytes) * letters;
    let has_blanks = form.alphabet.value(b' ').is_some();
    let fits = rest.len() == wanted
        || form.group.0 == 4 && rest.len() == wanted + 1
        || has_blanks && count == 45 && rest.len() < wanted && rest.len() >= 20
        || form.group.0 == 4 && rest.len() == (count * 4).div_ceil(3) && rest.len() < wanted;
    let text = &rest[..rest.len().min(wanted)];
    (fits && text.iter().all(|letter| form.alphabet.value(*letter).is_some())).then_some((count, text))
}

fn stated_lines(bytes: &[u8], start: usize, most: usize) -> Option<Encoded> {
    let (text, _) = line(bytes, start)?;
    let form = if stated(text, &UU_LINE).is_some() { &UU_LINE } else { &XX_LINE };
    lengths(bytes, start, most, form)
}

fn git_lines(bytes: &[u8], start: usize, most: usize) -> Option<Encoded> {
    lengths(bytes, start, most, &GIT_LINE)
}

fn lengths(bytes: &[u8], start: usize, most: usize, form: &Stated) -> Option<Encoded> {
    let (mut at, mut content, mut first) = (start, Vec::new(), None);
    while let Some((text, next)) = line(bytes, at).filter(|_| content.len() < most) {
        let Some((count, text)) = stated(text, form) else { break };
        // All lines are as long as the first one, but for the last.
        let length = *first.get_or_insert(count);
        if count > length {
            break;
        }
        let before = content.len();
        for group in text.chunks(form.group.0) {
            let values = group.iter().map(|letter| form.alphabet.value(*letter).unwrap_or(0));
            let mut all = [0; 8];
            all.iter_mut().zip(values).for_each(|(place, value)| *place = value);
            form.alphabet.push(&all[..form.group.0], &mut content)?;
        }
        content.resize(before + count, 0);
        at = next;
        if count < length {
            break;
        }
    }
    let is_cut = content.len() >= most;
    Some(Encoded { is_cut, ..Encoded::new(start..at, form.name, content) })
}

/// The address that a line of a dump begins with, and what follows it.
fn address(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.trim_ascii_start();
    let line = line.strip_prefix(b"0x").unwrap_or(line);
    let count = line.iter().take(17).take_while(|byte| hex(**byte).is_some()).count();
    if !(4..=16).contains(&count) {
        return None;
    }
    let rest = &line[count..];
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let is_blank = rest.first().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'-'));
    let text = rest.trim_ascii_start();
    let is_value = text.first().is_some_and(|byte| hex(*byte).is_some() || matches!(byte, b'\\' | b'-'));
    (is_blank && (is_value || text.len() >= 15)).then_some((&line[..count], rest))
}

/// How the values of a dump are written.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Values {
    /// The base of addresses.
    place: u64,
    /// The base of values; 0 where letters stand for themselves.
    base: u64,
    /// How many bytes each is.
    word: usize,
    /// How many bytes are on a line.
    line: usize,
}

/// The values of a line, up to so many; as soon as one is none, what is left says nothing.
fn values(text: &[u8], base: u64, word: usize, most: usize, content: &mut Vec<u8>) -> usize {
    let before = content.len();
    let (mut at, mut found) = (0, 0);
    while found * word < most {
        at += text[at..]
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t') || base != 0 && matches!(byte, b'-' | b'|'))
            .count();
        let is_sign = base == 10 && at > 0 && text[at - 1] == b'-';
        let token = &text[at..];
        let count = token.iter().take_while(|byte| byte.is_ascii_graphic()).count();
        let token = &token[..count];
        let value = match (base, token) {
            (_, []) => break,
            (0, [letter]) => Some(u64::from(*letter)),
            (0, [b'\\', escape @ ..]) => super::escapes::backslash(escape).and_then(|(unit, _)| match unit {
                super::escapes::Unit::Byte(byte) => Some(u64::from(byte)),
                _ => None,
            }),
            (0, _) => digits(token, 8),
            (16, _) if count < 2 * word && count % 2 == 0 => {
                // The last bytes, which are no whole word.
                let Some(value) = digits(token, 16) else { break };
                content.extend_from_slice(&value.to_be_bytes()[8 - count / 2..]);
                break;
            }
            (16, _) => digits(token, 16).filter(|_| count == 2 * word),
            _ => digits(token, base),
        };
        let Some(value) = value.filter(|value| word == 8 || *value >> (8 * word) == 0) else { break };
        let value = if is_sign { value.wrapping_neg() } else { value };
        // Numbers are written from the largest digit on, and lie in memory the other way round.
        content.extend_from_slice(&value.to_le_bytes()[..word]);
        found += 1;
        at += count;
    }
    content.len() - before
}

/// How values may be written: the ways in which a line has as many bytes as lie between its address and the next one.
fn layouts(first: &[u8], second: &[u8], third: &[u8]) -> Vec<Values> {
    let mut all = Vec::new();
    let (Some((one, text)), Some((two, next)), Some((three, _))) = (address(first), address(second), address(third))
    else {
        return all;
    };
    let token = text.trim_ascii_start().iter().take_while(|byte| byte.is_ascii_graphic()).count();
    for place in [16, 8, 10] {
        let (Some(a), Some(b), Some(c)) = (digits(one, place), digits(two, place), digits(three, place)) else {
            continue;
        };
        let line = b.checked_sub(a).filter(|line| (4..=256).contains(line) && c.checked_sub(b) == Some(*line));
        let Some(line) = line.and_then(|line| usize::try_from(line).ok()) else { continue };
        for (base, word) in [(16, token / 2), (8, 1), (8, 2), (8, 4), (10, 1), (10, 2), (10, 4), (0, 1)] {
            // Octal numbers are filled up with zeros, others may be.
            let digits = match (base, word) {
                (16, _) => 2 * word,
                (8, 1) => 3,
                (8, 2) => 6,
                (8, _) => 11,
                _ => token,
            };
            let is_whole = |text: &[u8]| values(text, base, word, line, &mut Vec::new()) == line;
            if matches!(word, 1 | 2 | 4 | 8) && token == digits && is_whole(text) && is_whole(next) {
                all.push(Values { place, base, word, line });
            }
        }
    }
    all
}

fn dump(bytes: &[u8], start: usize, most: usize) -> Option<Encoded> {
    let (first, second_at) = line(bytes, start)?;
    let (second, third_at) = line(bytes, second_at)?;
    let layouts = layouts(first, second, line(bytes, third_at)?.0);
    // A wrong base of the addresses is told by the lines that follow. Of others the first one is the most likely.
    layouts
        .into_iter()
        .map(|layout| read_dump(bytes, start, most, layout))
        .min_by_key(|found| std::cmp::Reverse(found.range.end))
}

fn read_dump(bytes: &[u8], start: usize, most: usize, form: Values) -> Encoded {
    let (mut at, mut content, mut filled) = (start, Vec::new(), 0);
    let (mut expected, mut repeats) = (None, false);
    while let Some((text, next)) = line(bytes, at).filter(|_| content.len() < most) {
        if text.trim_ascii() == b"*" {
            (at, repeats) = (next, true);
            continue;
        }
        let Some((place, text)) = address_of(text, form.place) else { break };
        let missing = place.checked_sub(expected.unwrap_or(place));
        let Some(missing) = missing.and_then(|missing| usize::try_from(missing).ok()) else { break };
        if missing > 0 {
            // Lines that are like the one before are left out.
            filled += missing;
            if !repeats || filled > FILLED.min(most) || content.len() < form.line {
                break;
            }
            let last = content[content.len() - form.line..].to_vec();
            content.extend(last.iter().cycle().take(missing));
        }
        let count = values(text, form.base, form.word, form.line, &mut content);
        (at, repeats, expected) = (next, false, Some(place + count as u64));
        if count < form.line {
            break;
        }
    }
    let is_cut = content.len() >= most;
    // Which end of a word was written first, nobody tells.
    Encoded { is_cut, word: form.word, ..Encoded::new(start..at, "dump", content) }
}

fn address_of(line: &[u8], base: u64) -> Option<(u64, &[u8])> {
    let (place, text) = address(line)?;
    Some((digits(place, base)?, text))
}

/// Reads what yEnc made, from its first line on.
pub(in crate::container) fn yenc(bytes: &[u8], start: usize, most: usize) -> Option<Encoded> {
    let (head, mut at) = line(&bytes[..bytes.len().min(start + 1024)], start)?;
    let says = |word: &[u8]| memchr::memmem::find(head, word).is_some();
    if !says(b" line=") || !says(b" size=") {
        return None;
    }
    let mut content = Vec::new();
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty() && content.len() < most) {
        match rest {
            [b'=', b'y', b'p', ..] => at = line(bytes, at)?.1,
            [b'=', b'y', ..] => break,
            [b'=', byte, ..] => {
                content.push(byte.wrapping_sub(64 + 42));
                at += 2;
            }
            [b'\n' | b'\r' | b'=', ..] => at += 1,
            [byte, ..] => {
                content.push(byte.wrapping_sub(42));
                at += 1;
            }
            [] => break,
        }
    }
    let is_cut = content.len() >= most;
    Some(Encoded { is_cut, ..Encoded::new(start..at, "yEnc", content) })
}
