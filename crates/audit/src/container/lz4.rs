//! Frames of lz4, one after the other.
//!
//! The library takes the end of the file for the end of a frame, and an empty block as well. So the
//! frames are measured here first, and each has to be read to its own end.

use super::little;
use lz4_flex::frame::FrameDecoder;
use std::io::{Error, ErrorKind, Read};

const FRAME: u64 = 0x184d_2204;
const LEGACY: u64 = 0x184c_2102;

/// Reads the content of all frames.
pub(super) struct Frames<'a> {
    current: Option<FrameDecoder<&'a [u8]>>,
    /// Whether the current frame has its end.
    whole: bool,
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { current: None, whole: true, rest: bytes }
    }

    /// Goes on to the next frame, unless nothing follows.
    fn next(&mut self) -> Result<bool, Error> {
        while !self.rest.is_empty() {
            let magic = little::<4>(self.rest, 0).unwrap_or(0);
            let length = match magic {
                FRAME => frame(self.rest),
                LEGACY => legacy(self.rest),
                _ if is_skipped(magic) => {
                    let length = little::<4>(self.rest, 4).map_or(usize::MAX, |size| size as usize + 8);
                    self.rest = self.rest.get(length..).ok_or(ErrorKind::UnexpectedEof)?;
                    continue;
                }
                _ => return Err(Error::other("something else follows a frame")),
            };
            self.whole = length.is_some();
            let (now, later) = self.rest.split_at(length.unwrap_or(self.rest.len()));
            (self.current, self.rest) = (Some(FrameDecoder::new(now)), later);
            return Ok(true);
        }
        Ok(false)
    }
}

impl Read for Frames<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(frame) = &mut self.current {
                let count = frame.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                if !self.whole {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                if !frame.get_ref().is_empty() {
                    return Err(Error::other("a frame ends before its last block"));
                }
                self.current = None;
            }
            if !self.next()? {
                return Ok(0);
            }
        }
    }
}

fn is_skipped(magic: u64) -> bool {
    (0x184d_2a50..=0x184d_2a5f).contains(&magic)
}

/// How long the frames are that stand one right behind the other, whatever follows; nothing where one of them is cut.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let rest = &bytes[end..];
        end += match little::<4>(rest, 0) {
            Some(FRAME) => frame(rest)?,
            Some(LEGACY) => legacy_before(rest),
            Some(magic) if end > 0 && is_skipped(magic) => little::<4>(rest, 4)? as usize + 8,
            _ => return Some(end),
        };
        if end > bytes.len() {
            return None;
        }
    }
}

/// How long the form is that Linux uses, if something else follows: its blocks have 8 MiB, but for the last.
fn legacy_before(bytes: &[u8]) -> usize {
    const LARGEST: u64 = (8 << 20) + (8 << 20) / 255 + 16;
    let mut at: usize = 4;
    while let Some(size) = little::<4>(bytes, at).filter(|size| (1..=LARGEST).contains(size)) {
        let next = at + 4 + size as usize;
        if next > bytes.len() {
            break;
        }
        at = next;
    }
    at
}

/// How long the frame is, with the mark of its end.
fn frame(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.get(4)?;
    let flag = |bit: u8, size: usize| if flags & bit == 0 { 0 } else { size };
    let mut at = 7 + flag(0x08, 8) + flag(0x01, 4);
    loop {
        let size = little::<4>(bytes, at)?;
        at += 4;
        if size == 0 {
            let end = at + flag(0x04, 4);
            return (end <= bytes.len()).then_some(end);
        }
        at = at.checked_add((size & 0x7fff_ffff) as usize + flag(0x10, 4))?;
    }
}

/// The same for the form that Linux uses, which has no mark at the end.
fn legacy(bytes: &[u8]) -> Option<usize> {
    let mut at: usize = 4;
    while at < bytes.len() {
        let size = little::<4>(bytes, at)?;
        if size == FRAME || size == LEGACY || is_skipped(size) {
            return Some(at);
        }
        at = at.checked_add(4 + size as usize)?;
    }
    (at == bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cuts_are_gaps, flips_do_no_harm, noise, opens, see};
    use super::*;
    use crate::Limits;
    use lz4_flex::frame::{FrameEncoder, FrameInfo};
    use std::io::Write;

    fn framed(content: &[u8], info: FrameInfo) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn text(bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        Frames::new(bytes).read_to_end(&mut content).map(|_| content)
    }

    #[test]
    fn frames_of_all_kinds_are_read() {
        let plain = framed(b"one", FrameInfo::new());
        let checked = framed(b"two", FrameInfo::new().block_checksums(true).content_checksum(true));
        let sized = framed(b"six", FrameInfo::new().content_size(Some(3)));
        let skipped = [b"\x53\x2a\x4d\x18\x03\0\0\0abc".as_slice(), &plain].concat();
        assert_eq!(text(&[plain.as_slice(), &checked, &sized, &skipped].concat()).unwrap(), b"onetwosixone");
        let legacy = framed(b"old", FrameInfo::new().legacy_frame(true));
        assert_eq!(text(&[legacy.as_slice(), &legacy, &plain].concat()).unwrap(), b"oldoldone");
        opens("a.tar.lz4", &plain, &["a.tar"]);
        opens("x", &legacy, &["x"]);
    }

    #[test]
    fn an_empty_block_hides_nothing() {
        let mut hidden = framed(b"seen", FrameInfo::new());
        hidden.splice(7..7, [0, 0, 0, 0x80]);
        assert!(text(&hidden).is_err());
        let behind = [framed(b"seen", FrameInfo::new()).as_slice(), b"rest"].concat();
        assert!(text(&behind).is_err());
    }

    #[test]
    fn damage_is_a_gap() {
        let bytes = framed(&noise(3000), FrameInfo::new().content_checksum(true));
        cuts_are_gaps("x.lz4", &bytes, 7);
        flips_do_no_harm("x.lz4", &bytes[..200]);
        // Blocks of one frame are cut off exactly between two of them.
        let blocks = framed(&noise(200_000), FrameInfo::new());
        let first = 7 + 4 + little::<4>(&blocks, 7).unwrap() as usize % (1 << 31);
        assert!(!see("x.lz4", &blocks[..first], Limits::default()).gaps.is_empty());
    }
}
