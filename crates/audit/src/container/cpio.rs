//! cpio in its four forms: new, new with checksums, the portable one, and the old one with binary
//! headers in either order of bytes.

use super::recognize::{Recognized, recognize};
use super::{Kind, Walk, broken, number, shown_name, unsupported};
use crate::finding::{Gap, Place};

/// What a header says.
struct Header {
    mode: u64,
    links: u64,
    /// The sum of all bytes, where the form has one.
    sum: Option<u64>,
    /// Where name and content begin and end, counted from the beginning of the header.
    name: std::ops::Range<usize>,
    content: std::ops::Range<usize>,
    /// Where the next header begins.
    next: usize,
}

impl Walk<'_> {
    pub(super) fn cpio(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let mut rest = bytes;
        loop {
            if rest.starts_with(b"07070X") {
                return Err(unsupported("stripped cpio"));
            }
            let header = header(rest).ok_or_else(|| broken("a header is damaged or missing"))?;
            let (Some(name), Some(content)) = (rest.get(header.name.clone()), rest.get(header.content.clone())) else {
                // What is there of the last member is seen.
                if let (Some(name), Some(content)) = (rest.get(header.name), rest.get(header.content.start..)) {
                    self.member(place, shown_name(without_end(name)), content, Kind::Cpio)?;
                }
                return Err(broken("it ends within a member"));
            };
            let name = without_end(name);
            rest = rest.get(header.next..).unwrap_or_default();
            if name == b"TRAILER!!!" {
                break;
            }
            // Of links and devices no sums are made, and what they hold is no content.
            if header.mode & 0o170_000 != 0o100_000 {
                continue;
            }
            // Of a file with several names, only the last one has its content.
            if !content.is_empty() || header.links <= 1 {
                self.member(place, shown_name(name), content, Kind::Cpio)?;
            }
            let sum = content.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
            if !content.is_empty() && header.sum.is_some_and(|stated| stated != u64::from(sum)) {
                return Err(broken("a checksum does not match"));
            }
        }
        // The first file system of Linux is often several archives, compressed or not, with zeros between.
        let begin = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len());
        let behind = &rest[begin..];
        match recognize(behind) {
            Recognized::NoArchive => {
                self.carve(place, bytes, bytes.len() - behind.len()..bytes.len());
                Ok(())
            }
            _ => self.member(place, "behind".to_owned(), behind, Kind::Cpio),
        }
    }
}

fn without_end(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"\0").unwrap_or(name)
}

/// Reads the header at the beginning, whatever its form.
fn header(bytes: &[u8]) -> Option<Header> {
    match bytes {
        [b'0', b'7', b'0', b'7', b'0', form @ (b'1' | b'2'), ..] => new(bytes, *form == b'2'),
        [b'0', b'7', b'0', b'7', b'0', b'7', ..] => portable(bytes),
        [0xc7, 0x71, ..] => binary(bytes, false),
        [0x71, 0xc7, ..] => binary(bytes, true),
        _ => None,
    }
}

/// Digits of base 16 or 8.
fn digits(bytes: &[u8], at: usize, size: usize, base: u32) -> Option<u64> {
    let field = bytes.get(at..at + size)?;
    field
        .iter()
        .try_fold(0, |number, byte| Some(number * u64::from(base) + u64::from(char::from(*byte).to_digit(base)?)))
}

fn laid_out(mode: u64, links: u64, sum: Option<u64>, sizes: [(usize, u64); 2], align: usize) -> Option<Header> {
    let [(begin, name_size), (_, content_size)] = sizes;
    let name = begin..begin.checked_add(usize::try_from(name_size).ok()?)?;
    let start = name.end.checked_next_multiple_of(align)?;
    let content = start..start.checked_add(usize::try_from(content_size).ok()?)?;
    let next = content.end.checked_next_multiple_of(align)?;
    Some(Header { mode, links, sum, name, content, next })
}

fn new(bytes: &[u8], summed: bool) -> Option<Header> {
    let field = |index: usize| digits(bytes, 6 + 8 * index, 8, 16);
    let sum = field(12)?;
    laid_out(field(1)?, field(4)?, summed.then_some(sum), [(110, field(11)?), (0, field(6)?)], 4)
}

fn portable(bytes: &[u8]) -> Option<Header> {
    let field = |at, size| digits(bytes, at, size, 8);
    laid_out(field(18, 6)?, field(36, 6)?, None, [(76, field(59, 6)?), (0, field(65, 11)?)], 1)
}

fn binary(bytes: &[u8], big: bool) -> Option<Header> {
    let short = |at| number::<2>(bytes, at, big);
    // The more significant half of a long number comes first, in either order.
    let content = short(22)? << 16 | short(24)?;
    laid_out(short(6)?, short(12)?, None, [(26, short(20)?), (0, content)], 2)
}

/// How long an archive is that begins here, with its last header.
pub(super) fn length(bytes: &[u8], steps: &mut u64) -> Option<usize> {
    let mut at: usize = 0;
    loop {
        *steps += 16;
        let rest = bytes.get(at..)?;
        let header = header(rest)?;
        let end = header.next.min(rest.len());
        let is_last = rest.get(header.name)?.starts_with(b"TRAILER!!!");
        if header.content.end > rest.len() {
            return None;
        }
        at += end;
        if is_last {
            return Some(at);
        }
    }
}

/// Whether this begins with a header of cpio: its magic alone begins other files as well.
pub(super) fn begins_as_cpio(bytes: &[u8]) -> bool {
    match bytes {
        // Digits as far as the file goes, and more of them than a date and a time have.
        [b'0', b'7', b'0', b'7', b'0', b'1' | b'2' | b'X', rest @ ..] => {
            rest.len() >= 8 && rest.iter().take(if bytes[5] == b'X' { 8 } else { 104 }).all(u8::is_ascii_hexdigit)
        }
        [b'0', b'7', b'0', b'7', b'0', b'7', rest @ ..] => {
            rest.len() >= 20 && rest.iter().take(70).all(|byte| matches!(byte, b'0'..=b'7'))
        }
        [0xc7, 0x71, ..] | [0x71, 0xc7, ..] => header(bytes).is_some_and(|header| {
            let kind = matches!(header.mode >> 12, 0o1 | 0o2 | 0o4 | 0o6 | 0o10 | 0o12 | 0o14);
            let name = bytes.get(header.name).and_then(|name| name.split_last());
            kind && name.is_some_and(|(end, name)| *end == 0 && !name.is_empty() && !name.contains(&0))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cuts_are_gaps, flips_do_no_harm, gaps_of, gzipped, opens, see};
    use super::*;
    use crate::Limits;

    /// Made by GNU cpio from `a.txt`, `d/e/bin`, a second name of `a.txt`, and a symbolic link.
    const FORMS: [(&str, &[u8]); 4] = [
        ("newc", include_bytes!("../../tests/data/newc.cpio")),
        ("crc", include_bytes!("../../tests/data/crc.cpio")),
        ("odc", include_bytes!("../../tests/data/odc.cpio")),
        ("bin", include_bytes!("../../tests/data/bin.cpio")),
    ];

    /// The same binary form, as a machine of the other order would have written it.
    fn swapped(mut bytes: Vec<u8>) -> Vec<u8> {
        let mut at = 0;
        while let Some(header) = binary(&bytes[at..], false) {
            bytes[at..at + 26].chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
            at += header.next;
        }
        bytes
    }

    #[test]
    fn all_forms_are_read() {
        for (name, bytes) in FORMS {
            let members: &[&str] = if matches!(name, "newc" | "crc") {
                &["d/e/bin", "again.txt"]
            } else {
                &["a.txt", "d/e/bin", "again.txt"]
            };
            opens(name, bytes, members);
            let end = bytes.windows(10).position(|window| window == b"TRAILER!!!").unwrap();
            cuts_are_gaps(name, &bytes[..end], 30);
            flips_do_no_harm(name, bytes);
        }
        opens("be", &swapped(FORMS[3].1.to_vec()), &["a.txt", "d/e/bin", "again.txt"]);
    }

    #[test]
    fn what_follows_is_seen() {
        let mut bytes = FORMS[0].1.to_vec();
        bytes.extend(gzipped(FORMS[2].1));
        let seen = see("initrd", &bytes, Limits::default());
        assert_eq!(seen.gaps, []);
        assert!(seen.blobs.contains(&"initrd!behind!behind!a.txt".to_owned()), "{:?}", seen.blobs);
    }

    #[test]
    fn a_wrong_sum_and_stripped_entries_are_gaps() {
        let mut bytes = FORMS[1].1.to_vec();
        let at = bytes.windows(5).position(|window| window == b"hello").unwrap();
        bytes[at] = b'j';
        assert_eq!(see("x", &bytes, Limits::default()).gaps.len(), 1);
        let seen = see("x", b"07070X00000000rest", Limits::default());
        assert_eq!(seen.gaps, [("x".to_owned(), Gap::UnsupportedArchive("stripped cpio".to_owned()))]);
        let limits = Limits { members: 1, ..Limits::default() };
        assert_eq!(gaps_of("x", FORMS[2].1, limits), [("x".to_owned(), Gap::TooMany(1))]);
    }

    #[test]
    fn other_files_are_no_cpio() {
        for bytes in
            [&b"070701\n"[..], b"070707 12:00 started", b"0707010203 call", b"\xc7\x71rest of some data that is long"]
        {
            assert!(!begins_as_cpio(bytes), "{bytes:?}");
        }
    }
}
