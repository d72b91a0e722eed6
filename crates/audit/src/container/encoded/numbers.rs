//! Lists of numbers, as sources of programs, assembly and JSON have them: each number is a byte, or a word.
//!
//! What stands between the numbers does not matter, as long as it is signs, comments, or a few words again and again.

use super::escapes::{Unit, backslash};
use super::{DIGIT, Encoded, HEX, LEAST, LETTER, Look, Sample, Words, digits};

/// So many different words may stand between the numbers of a list: `byte`, `db`, `u8`.
const WORDS: usize = 3;

pub(super) fn may_be(sample: &Sample<'_>) -> bool {
    let numbers = sample.count(DIGIT) + sample.count(HEX);
    sample.is_text() && sample.count(DIGIT) >= 16 && numbers >= 32 && sample.count(LETTER) <= 48
}

/// Reads the first long list that begins here.
pub(super) fn read(look: &Look<'_>) -> Result<Encoded, usize> {
    let until = (look.probe + super::SAMPLE).min(look.bytes.len());
    let mut begin = look.from;
    while begin < until {
        let mut facts = Facts::default();
        let (start, end, is_cut) = list(look.bytes, begin, look.most, |token| facts.add(token));
        let Some(width) = facts.width().filter(|width| facts.count.saturating_mul(*width) >= LEAST) else {
            begin = end.max(begin + 1);
            continue;
        };
        let mut content = Vec::with_capacity(facts.count * width);
        list(look.bytes, begin, look.most, |token| {
            let value = token.value(facts.is_octal());
            content.extend_from_slice(&value.to_le_bytes()[..width]);
        });
        return Ok(Encoded { is_cut, word: width, ..Encoded::new(start..end, "numbers", content) });
    }
    Err(begin)
}

/// A number as it is written.
enum Token<'a> {
    Value {
        value: u64,
        is_negative: bool,
    },
    /// Digits behind a zero: octal, or filled up.
    Padded(&'a [u8]),
}

impl Token<'_> {
    fn value(&self, is_octal: bool) -> u64 {
        match *self {
            Token::Value { value, is_negative: true } => value.wrapping_neg(),
            Token::Value { value, .. } => value,
            Token::Padded(text) => digits(text, if is_octal { 8 } else { 10 }).unwrap_or(0),
        }
    }
}

/// What all numbers of a list say of what they are.
#[derive(Default)]
struct Facts {
    count: usize,
    largest: u64,
    smallest: u64,
    padded: bool,
    has_decimal: bool,
}

impl Facts {
    fn add(&mut self, token: &Token<'_>) {
        self.count += 1;
        match *token {
            Token::Value { value, is_negative: true } => self.smallest = self.smallest.max(value),
            Token::Value { value, .. } => self.largest = self.largest.max(value),
            Token::Padded(text) => {
                self.padded = true;
                self.has_decimal |= text.iter().any(|digit| *digit > b'7');
                // As large as it may be.
                self.largest = self.largest.max(digits(text, 8).or_else(|| digits(text, 10)).unwrap_or(u64::MAX));
            }
        }
    }

    fn is_octal(&self) -> bool {
        self.padded && !self.has_decimal
    }

    /// How many bytes each number is.
    fn width(&self) -> Option<usize> {
        (self.count > 0).then(|| {
            let fits = |bits: u32| {
                let (largest, smallest) = (self.largest >> bits == 0, self.smallest <= 1 << (bits - 1));
                largest && smallest
            };
            [8, 16, 32].into_iter().find(|bits| fits(*bits)).map_or(8, |bits| bits as usize / 8)
        })
    }
}

/// Gives each number of the list that begins at or behind a place: where the first one begins, where the last one ends, and
/// whether the list goes on.
fn list<'a>(bytes: &'a [u8], begin: usize, most: usize, mut give: impl FnMut(&Token<'a>)) -> (usize, usize, bool) {
    let (mut at, mut start, mut end, mut count) = (begin, None, begin, 0usize);
    let mut words = [None; WORDS];
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        match byte {
            // Comments.
            b'/' if rest.starts_with(b"/*") => {
                let length = memchr::memmem::find(&rest[..rest.len().min(256)], b"*/");
                let Some(length) = length else { break };
                at += length + 2;
            }
            b'/' if rest.starts_with(b"//") => at += line(rest),
            b'#' if rest.get(1) == Some(&b' ') => at += line(rest),
            b'\'' => match character(rest) {
                Some((value, length)) => {
                    start.get_or_insert(at);
                    count += 1;
                    give(&Token::Value { value: value.into(), is_negative: false });
                    at += length;
                    end = at;
                }
                None => at += 1,
            },
            byte if byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80 => {
                let length = rest
                    .iter()
                    .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_' || **byte >= 0x80)
                    .count();
                let text = &rest[..length];
                let sign = at.checked_sub(1).map_or(0, |before| bytes[before]);
                match token(text, sign) {
                    // Numbers with a point are no bytes, and what stands before a colon is an address.
                    Some(_)
                        if rest.get(length) == Some(&b'.') && rest.get(length + 1).is_some_and(u8::is_ascii_digit) =>
                    {
                        at += length;
                        break;
                    }
                    Some(_) if rest.get(length) == Some(&b':') => {}
                    // How many there are.
                    Some(_) if sign == b'[' && rest.get(length) == Some(&b']') => {}
                    Some(token) => {
                        start.get_or_insert(at);
                        count += 1;
                        give(&token);
                        end = at + length;
                    }
                    None => {
                        let mut word = Words::default();
                        text.iter().for_each(|byte| word.add(*byte));
                        // What stands between numbers stands between the first ones.
                        let known = words.iter_mut().find(|known| known.is_none_or(|known| known == word.0));
                        let known = known.filter(|known| known.is_some() || count < 4);
                        match known {
                            Some(known) => *known = Some(word.0),
                            None => {
                                at += length;
                                break;
                            }
                        }
                    }
                }
                at += length;
            }
            // The end of what is assigned.
            b'}' | b']' | b')' if count > 0 && rest[1..].trim_ascii_start().starts_with(b";") => break,
            b' ' | b'\t'..=b'\r' | 0x21..=0x7e => at += 1,
            _ => {
                at += 1;
                break;
            }
        }
        if count >= most {
            return (start.unwrap_or(at), end, true);
        }
    }
    // What follows the last number may begin the next list.
    (start.unwrap_or(at), if count == 0 { at } else { end.max(at.min(end + 256)) }, false)
}

fn line(rest: &[u8]) -> usize {
    memchr::memchr(b'\n', rest).unwrap_or(rest.len())
}

/// A letter in quotes.
fn character(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [_, b'\\', escape @ ..] => match backslash(escape)? {
            (Unit::Byte(byte), length) if escape.get(length) == Some(&b'\'') => Some((byte, length + 3)),
            _ => None,
        },
        [_, byte, b'\'', ..] => Some((*byte, 3)),
        _ => None,
    }
}

/// The number that a word is, if it is one: in base 2, 8, 10 or 16, with what says which, and with the name of its type.
fn token(text: &[u8], sign: u8) -> Option<Token<'_>> {
    let is_negative = sign == b'-';
    let value = |value| Some(Token::Value { value, is_negative });
    match (sign, text) {
        (_, [b'0', b'x' | b'X', number @ ..]) => value(typed(number, 16)?),
        (_, [b'0', b'o' | b'O', number @ ..]) => value(typed(number, 8)?),
        (_, [b'0', b'b' | b'B', number @ ..]) if number.len() >= 4 => value(typed(number, 2)?),
        (b'&', [b'h' | b'H', number @ ..]) | (b'$', number) => value(digits(number, 16)?),
        (_, [number @ .., b'h' | b'H']) if text[0].is_ascii_digit() => value(digits(number, 16)?),
        (_, [b'0', b'0'..=b'9', ..]) if text.iter().all(u8::is_ascii_digit) => Some(Token::Padded(text)),
        (_, [b'0'..=b'9', ..]) => value(typed(text, 10)?),
        _ => None,
    }
}

/// Digits with underscores, and behind them the name of a type such as `u8` or `UL`.
fn typed(text: &[u8], radix: u64) -> Option<u64> {
    let is_digit = |byte: &u8| *byte == b'_' || super::hex(*byte).is_some_and(|digit| u64::from(digit) < radix);
    let count = text.iter().take_while(|byte| is_digit(byte)).count();
    let (number, kind) = text.split_at(count);
    let is_kind = kind.len() <= 4
        && kind.iter().all(|byte| b"uUlLiIsSnNyYzZ0123468".contains(byte))
        && kind.first().is_none_or(u8::is_ascii_alphabetic);
    if !is_kind {
        return None;
    }
    if number.contains(&b'_') {
        let plain: Vec<u8> = number.iter().copied().filter(|byte| *byte != b'_').collect();
        return digits(&plain, radix);
    }
    digits(number, radix)
}
