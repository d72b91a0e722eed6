//! Compressed data that has no mark: brotli, deflate, and blocks of lz4.
//!
//! It is tried where nothing else accounts for bytes that look compressed, on their beginning and some bytes behind it, since
//! sizes and other short fields may stand before it. Blocks of lz4 hold much of what they stand for as it is, and so the marks
//! of it: they are tried first. Nothing says that such data is of a form but that it unpacks to something: a text, or bytes
//! with a mark. What does not stays as it was.

use super::{Content, Gap, Kind, Place, Walk, encoded, entropy};
use lz4_flex::block::DecompressError;
use std::io::Read;
use std::ops::Range;

/// Shorter stretches are not tried.
const LEAST: usize = 2048;
/// So much of the content is unpacked at first.
const TRIED: u64 = 256 << 10;
/// So much content of which a part was tried does not come about by chance; less has to end as it should.
const TELLING: usize = 64 << 10;
/// The same, for content that ends.
const TELLING_WHOLE: usize = 1024;
/// So many stretches of a file are tried, those that look compressed at this many places, and so many places in all.
pub(super) const STRETCHES: usize = 32;
const PLACES: usize = 17;
const TRIES: usize = 64;
/// Blocks of lz4 are up to so much smaller than what they stand for.
const LZ4_RATIO: u64 = 255;
/// So much of their content is unpacked at first.
const LZ4_BEGINNING: usize = 4096;

/// A form: its name, what reads it, and how much of its content that keeps.
struct Form {
    name: &'static str,
    open: fn(&[u8]) -> Box<dyn Read + '_>,
    window: fn(&[u8]) -> u64,
}

/// The forms that are tried, in order.
const FORMS: [Form; 2] = [
    Form {
        name: "brotli",
        open: |bytes| Box::new(brotli_decompressor::Decompressor::new(bytes, 1 << 16)),
        window: brotli_window,
    },
    Form { name: "deflate", open: |bytes| Box::new(flate2::bufread::DeflateDecoder::new(bytes)), window: |_| 1 << 16 },
];

/// The first bits say how much it is.
fn brotli_window(bytes: &[u8]) -> u64 {
    let first = bytes.first().copied().unwrap_or(0);
    1 << match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, bits) => 8 + bits,
        (_, bits, _) => 17 + bits,
    }
}

impl Walk<'_> {
    /// Tries some stretches of the bytes, and adds those to `read` that were such data.
    pub(super) fn bare(
        &mut self,
        place: &Place,
        bytes: &[u8],
        stretches: Vec<Range<usize>>,
        read: &mut Vec<Range<usize>>,
    ) -> Result<(), Gap> {
        let mut tries = TRIES;
        let is_tried = |range: &Range<usize>| range.len() >= LEAST && entropy::looks_packed(&bytes[range.clone()]);
        for range in stretches.into_iter().filter(is_tried).take(STRETCHES) {
            for at in range.start..range.start + PLACES.min(tries) {
                tries -= 1;
                if self.bare_at(place, &bytes[at..range.end], at)? {
                    read.push(range);
                    break;
                }
            }
        }
        Ok(())
    }

    fn bare_at(&mut self, place: &Place, bytes: &[u8], at: usize) -> Result<bool, Gap> {
        for Form { name, open, window } in FORMS {
            self.window = window(bytes);
            let (content, gap) = self.read(open(bytes).take(TRIED));
            let ended = gap.is_none() && (content.len() as u64) < TRIED;
            let is_it = is_something(&content, ended);
            // It was no more than a try.
            self.bytes_left += content.len() as u64;
            self.release(content);
            if is_it {
                let member = place.member(format!("{name} at {at:#x}"));
                self.window = window(bytes);
                let (content, gap) = self.read(open(bytes));
                return self.bare_found(member, content, gap).map(|()| true);
            }
            if let Some(gap @ (Gap::TooMuchMemory(_) | Gap::TooLarge(_))) = gap {
                return Err(gap);
            }
        }
        Ok(false)
    }

    /// Shows the content of a block of lz4 that some bytes are, with or without sizes before it.
    pub(super) fn lz4_at(&mut self, place: &Place, bytes: &[u8], range: Range<usize>) -> Result<bool, Gap> {
        if range.len() < LEAST {
            return Ok(false);
        }
        for at in [0, 4, 8].map(|before| range.start + before) {
            if let Some(content) = self.lz4_block(&bytes[at..range.end])? {
                let member = place.member(format!("lz4 block at {at:#x}"));
                self.take(&content, 0);
                return self.bare_found(member, Content::in_memory(content), None).map(|()| true);
            }
        }
        Ok(false)
    }

    /// Shows the content, which is given back.
    fn bare_found(&mut self, member: Place, content: Content, gap: Option<Gap>) -> Result<(), Gap> {
        let allowed =
            if member.members.len() > self.limits.depth { Err(Gap::TooDeep(self.limits.depth)) } else { self.count() };
        if allowed.is_ok() {
            self.content(&member, &content, Kind::Carved);
        }
        self.release(content);
        allowed?;
        if let Some(gap) = gap {
            self.gap(member, gap);
        }
        Ok(())
    }

    /// The content of a block of lz4.
    fn lz4_block(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Gap> {
        let memory = self.limits.memory.saturating_sub(self.live) / 2;
        let most = self.limits.member_bytes.min(self.bytes_left).min(memory);
        // Most of what is tried contradicts itself at once, and needs no memory for that.
        let mut beginning = [0; LZ4_BEGINNING];
        match lz4_flex::block::decompress_into(bytes, &mut beginning) {
            Ok(_) | Err(DecompressError::OutputTooSmall { .. }) => {}
            Err(_) => return Ok(None),
        }
        let all = (bytes.len() as u64).saturating_mul(LZ4_RATIO);
        let content = match lz4_flex::block::decompress(bytes, all.min(most) as usize) {
            Ok(content) if is_something(&content, true) => content,
            Err(DecompressError::OutputTooSmall { .. }) if most < all && most > TRIED => {
                return Err(Gap::TooMuchMemory(self.limits.memory));
            }
            _ => return Ok(None),
        };
        Ok(Some(content))
    }
}

/// Whether so much was unpacked that it is no chance, to something that anybody could use.
fn is_something(content: &[u8], ended: bool) -> bool {
    (content.len() >= TELLING || ended && content.len() >= TELLING_WHOLE) && encoded::is_something(content)
}

#[cfg(test)]
mod tests {
    use super::super::tests::see;
    use super::super::{Kind, Limits, Place, Visitor};
    use crate::container::Opaque;
    use crate::finding::Gap;
    use crate::made::{library, noise};
    use std::io::Write;

    /// Made by Debian 12's brotli of the lines with the numbers from 1 to 3000.
    const BROTLI: &[u8] = include_bytes!("../../tests/data/numbers.txt.br");

    fn deflated(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn data_without_a_mark_is_read() {
        let numbers: Vec<u8> = (1..=3000).flat_map(|line| format!("{line}\n").into_bytes()).collect();
        let program = library(&[(".rodata", false, noise(5, 90_000))]);
        let block = lz4_flex::block::compress(&program);
        let sized = lz4_flex::block::compress_prepend_size(&program);
        let cases = [
            ("brotli at 0x0", BROTLI.to_vec(), &numbers),
            ("deflate at 0x0", deflated(&program), &program),
            ("lz4 block at 0x0", block, &program),
            ("lz4 block at 0x4", sized, &program),
            ("deflate at 0x10", [b"a header\0\0\x01\0\0\0\0\0".as_slice(), &deflated(&program)].concat(), &program),
        ];
        for (name, bytes, content) in cases {
            let seen = see("x", &bytes, Limits::default());
            assert!(seen.blobs.contains(&format!("x!{name}")), "{name}: {:?}", seen.blobs);
            assert!(seen.contents.contains(content), "{name}");
            assert_eq!(seen.gaps, [], "{name}");
        }
        // One that is cut off is read as far as it goes, and is a gap.
        let whole = deflated(&program);
        let seen = see("x", &whole[..whole.len() - 500], Limits::default());
        assert!(seen.contents.iter().skip(1).any(|content| program.starts_with(content)));
        assert!(matches!(seen.gaps.as_slice(), [(_, Gap::BrokenArchive(_))]), "{:?}", seen.gaps);
    }

    struct Silent(Vec<Opaque>);

    impl Visitor for Silent {
        fn blob(&mut self, _: &Place, _: &[u8], _: Option<Kind>) -> bool {
            true
        }
        fn gap(&mut self, _: Place, _: Gap) {}
        fn opaque(&mut self, _: &Place, opaque: Opaque) {
            self.0.push(opaque);
        }
    }

    /// What is read is not told of as bytes that nobody knows; random bytes are, and are nothing else.
    #[test]
    fn what_was_read_is_not_opaque() {
        let text: Vec<u8> = noise(7, 600_000).chunks(16).flat_map(|line| format!("{line:x?}\n").into_bytes()).collect();
        for (bytes, expected) in [(deflated(&text), 0), (noise(3, 1 << 20), 1)] {
            let mut silent = Silent(Vec::new());
            let place = Place { file: "x".to_owned(), members: Vec::new() };
            super::super::walk(place, &bytes, Limits::default(), &mut silent);
            assert_eq!(silent.0.len(), expected);
        }
        assert_eq!(see("x", &noise(3, 1 << 20), Limits::default()).blobs, ["x"]);
    }
}
