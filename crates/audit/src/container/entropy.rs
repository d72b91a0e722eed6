//! Tells bytes that look encrypted or compressed and are of no kind that anybody knows.
//!
//! Samples are compared with even chance: in random bytes each value is as frequent as any other, and in code, texts and
//! tables none is. Media say what they are by their structure, which is followed as far as it goes. A finding of its own
//! this is not: policy asks for it only where something withheld was at hand when the bytes were made.

use super::{little, number};
use crate::ranges::merge;
use rayon::prelude::*;
use std::cmp::Ordering;
use std::ops::Range;

/// How many bytes look random, one right behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opaque {
    pub(crate) bytes: u64,
}

/// Shorter runs are not counted: keys, checksums and small tables.
const RUN: usize = 64 << 10;
/// Fewer bytes in all are not told of. Cryptographic libraries have tables of up to 200 kB.
const LEAST: u64 = 256 << 10;
/// From each stretch of this size a sample is taken.
const STRETCH: usize = 16 << 10;
/// Size of a sample. Each value is in it four times, if all are as frequent.
const SAMPLE: usize = 1024;
/// The sum of squared deviations, in units of what is expected, is 255 ± 23 for random bytes. Deflated data has up to 400, and
/// machine code some thousand. Less than 150 is more even than chance: tables that have each value as often as any other.
const RANDOM: Range<u64> = 150..400;
/// Below this much bytes are worth a try: what unpacks to nothing is left as it was, and small files compress less evenly.
const PACKED: u64 = 1200;

/// The bytes of the range that look random and that nothing accounts for; `read` are the parts that were read.
pub(crate) fn opaque(bytes: &[u8], range: Range<usize>, read: Vec<Range<usize>>) -> Option<Opaque> {
    if (range.len() as u64) < LEAST {
        return None;
    }
    let media = if range.start == 0 { media(bytes).min(range.end) } else { range.start };
    let read = merged(read);
    let is_read = |part: &Range<usize>| {
        let next = read.partition_point(|read| read.end <= part.start);
        part.start < media || read.get(next).is_some_and(|read| read.start < part.end)
    };
    let looks = |at: usize| {
        let part = at..(at + STRETCH).min(range.end);
        part.len() == STRETCH && is_random(&bytes[at..at + SAMPLE]) && !is_read(&part)
    };
    let starts: Vec<usize> = range.clone().step_by(STRETCH).collect();
    let (mut run, mut total) = (0, 0u64);
    for looks in starts.into_par_iter().with_min_len(64).map(looks).collect::<Vec<_>>() {
        run = if looks { run + STRETCH } else { 0 };
        // The first stretches of a run count once it is long enough.
        total += match run.cmp(&RUN) {
            Ordering::Less => 0,
            Ordering::Equal => RUN as u64,
            Ordering::Greater => STRETCH as u64,
        };
    }
    (total >= LEAST).then_some(Opaque { bytes: total })
}

/// The same bytes in ranges that are in order and apart from each other.
pub(crate) fn merged(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let ends = ranges.into_iter().map(|range| (range.start as u64, range.end as u64)).collect();
    merge(ends, 0).into_iter().map(|(from, to)| from as usize..to as usize).collect()
}

/// Whether bytes look compressed wherever one looks, and are no picture or the like.
pub(crate) fn looks_packed(bytes: &[u8]) -> bool {
    let Some(last) = bytes.len().checked_sub(SAMPLE) else { return false };
    let is_even = |at: &usize| deviation(&bytes[*at..at + SAMPLE]) < PACKED;
    [last / 8, last / 2, last - last / 8].iter().all(is_even) && media(bytes) == 0
}

fn is_random(sample: &[u8]) -> bool {
    RANDOM.contains(&deviation(sample))
}

fn deviation(sample: &[u8]) -> u64 {
    let mut counts = [0u64; 256];
    sample.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    // 256 / n times the sum of squares, less n.
    squares * 256 / SAMPLE as u64 - SAMPLE as u64
}

/// How far the bytes are a picture, a sound, a film, a font or a printed page.
fn media(bytes: &[u8]) -> usize {
    let size = |size: Option<u64>| size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0).min(bytes.len());
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => chunks(bytes, 8, |bytes, at| {
            let end = bytes.get(at + 4..at + 8)? == b"IEND";
            Some((12 + number::<4>(bytes, at, true)?, end))
        }),
        [0xff, 0xd8, 0xff, ..] => jpeg(bytes),
        [b'R', b'I', b'F', b'F', ..] => size(little::<4>(bytes, 4).map(|size| size + 8)),
        [b'O', b'g', b'g', b'S', ..] => chunks(bytes, 0, |bytes, at| {
            let count = usize::from(*bytes.get(at + 26).filter(|_| bytes[at..].starts_with(b"OggS"))?);
            let segments = bytes.get(at + 27..at + 27 + count)?;
            Some((27 + count as u64 + segments.iter().map(|size| u64::from(*size)).sum::<u64>(), false))
        }),
        [b'w', b'O', b'F', b'F' | b'2', ..] => size(number::<4>(bytes, 8, true)),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => chunks(bytes, 0, |bytes, at| {
            let kind = bytes.get(at + 4..at + 8)?;
            let length = match number::<4>(bytes, at, true)? {
                1 => number::<8>(bytes, at + 8, true)?,
                length => length,
            };
            (length >= 8 && kind.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')).then_some((length, false))
        }),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..]
        | [b'f', b'L', b'a', b'C', 0, ..]
        | [b'I', b'D', b'3', 2..=4, ..]
        | [0x1a, 0x45, 0xdf, 0xa3, ..]
        | [b'%', b'P', b'D', b'F', b'-', ..]
        | [b'A', b'T', b'&', b'T', b'F', b'O', b'R', b'M', ..] => bytes.len(),
        _ => 0,
    }
}

/// Follows pieces that say how long they are, until one says that it is the last or none follows that lies in the bytes.
fn chunks(bytes: &[u8], mut at: usize, piece: impl Fn(&[u8], usize) -> Option<(u64, bool)>) -> usize {
    while let Some((length, is_last)) = piece(bytes, at).filter(|(length, _)| *length > 0) {
        let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
        let Some(end) = end.filter(|end| *end <= bytes.len()) else { break };
        at = end;
        if is_last {
            break;
        }
    }
    at
}

/// Follows the segments of a JPEG, and between them the picture, in which no other mark stands.
fn jpeg(bytes: &[u8]) -> usize {
    let mut at = 2;
    while let Some([0xff, mark]) = bytes.get(at..at + 2) {
        match mark {
            0xd9 => return at + 2,
            0xff => at += 1,
            0xd0..=0xd8 | 1 => at += 2,
            0xda => {
                at += 2 + number::<2>(bytes, at + 2, true).unwrap_or(0) as usize;
                let rest = bytes.get(at..).unwrap_or_default();
                let marks = memchr::memchr_iter(0xff, rest);
                let is_mark = |found: &usize| !matches!(rest.get(found + 1), None | Some(0 | 0xff | 0xd0..=0xd7));
                at += marks.into_iter().find(is_mark).unwrap_or(rest.len());
            }
            _ => at += 2 + number::<2>(bytes, at + 2, true).unwrap_or(0) as usize,
        }
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::noise;

    #[test]
    fn only_large_stretches_without_a_pattern_are_told_of() {
        let check = |what: &str, bytes: &[u8], read: &[Range<usize>], expected: Option<u64>| {
            let found = opaque(bytes, 0..bytes.len(), read.to_vec()).map(|opaque| opaque.bytes);
            assert_eq!(found, expected, "{what}");
        };
        let random = noise(1, 512 << 10);
        check("random bytes", &random, &[], Some(512 << 10));
        check("too few of them", &random[..200 << 10], &[], None);
        check("what was read", &random, std::slice::from_ref(&(0..random.len())), None);
        check("half of it was read", &random, std::slice::from_ref(&(0..256 << 10)), Some(256 << 10));
        let text = b"A text has few letters, and some of them often. ".repeat(12_000);
        check("a text", &text, &[], None);
        let table: Vec<u8> = (0..512u32 << 10).map(|n| n.wrapping_mul(167) as u8).collect();
        check("a table that has each value as often", &table, &[], None);
        let numbers: Vec<u8> = (0..200_000u32).flat_map(|n| (n as f32).sqrt().to_le_bytes()).collect();
        check("numbers", &numbers, &[], None);
        let behind = [text.as_slice(), &random].concat();
        assert!(opaque(&behind, 0..behind.len(), vec![]).is_some());
    }

    #[test]
    fn media_say_what_they_are() {
        let random: Vec<u8> = noise(2, 512 << 10).into_iter().map(|byte| if byte == 0xff { 1 } else { byte }).collect();
        let size = random.len() as u32;
        let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &size.to_be_bytes(), b"IDAT", &random, b"sum.\0\0\0\0IEND\0\0\0\0"]
            .concat();
        let jpeg = [b"\xff\xd8\xff\xe0\0\x04ab\xff\xda\0\x04ab".as_slice(), &random, b"\xff\xd9"].concat();
        let riff = [b"RIFF".as_slice(), &size.to_le_bytes(), &random].concat();
        let film = [b"\0\0\0\x10ftypisom\0\0\0\0".as_slice(), &(size + 8).to_be_bytes(), b"mdat", &random].concat();
        for (what, bytes) in [("png", png), ("jpeg", jpeg), ("riff", riff), ("film", film)] {
            assert_eq!(opaque(&bytes, 0..bytes.len(), vec![]), None, "{what}");
            // What stands behind is none of it.
            let more = [bytes.as_slice(), &random].concat();
            assert!(opaque(&more, 0..more.len(), vec![]).is_some(), "{what}");
        }
        // The first bytes alone make no picture.
        let fake = [b"\x89PNG\r\n\x1a\n".as_slice(), &random].concat();
        assert!(opaque(&fake, 0..fake.len(), vec![]).is_some());
    }
}
