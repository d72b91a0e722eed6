//! Compressed files, which hold one member.

use super::{DECODER_MEMORY, Kind, Walk, broken, little, lz4};
use crate::finding::{Gap, Place};
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use std::io::{self, Read};

/// What the names of compressed files end in, and their content's do not.
const ENDINGS: [&str; 8] = [".gz", ".zst", ".xz", ".bz2", ".lzma", ".lz4", ".lz", ".nar"];

impl Walk<'_> {
    /// Shows what was compressed, under the name that the file has without its ending.
    pub(super) fn compressed(&mut self, place: &Place, bytes: &[u8], kind: Kind) -> Result<(), Gap> {
        self.window = window(bytes, kind);
        match decoder(bytes, kind)? {
            Some(reader) => self.unpacked(place, without_ending(place), reader, kind),
            None => Ok(()),
        }
    }
}

/// The last part of the name, without what compression added to it.
pub(super) fn without_ending(place: &Place) -> String {
    let name = place.innermost();
    let name = name.rsplit('/').next().unwrap_or(name);
    ENDINGS.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
}

/// How much of what it unpacked the reader of such data keeps, as its beginning says. What would be too much is refused by the
/// reader itself.
pub(super) fn window(bytes: &[u8], kind: Kind) -> u64 {
    let of = |bits: u8| (2 | u64::from(bits & 1)) << (bits / 2 + 11);
    let stated = match kind {
        Kind::Zstd => zstd_window(bytes),
        // The filter of the first block and its one property.
        Kind::Xz => {
            let header = bytes.get(12..).unwrap_or_default();
            let header = &header[..header.len().min(64)];
            let filter = memchr::memmem::find(header, b"\x21\x01");
            filter.and_then(|at| header.get(at + 2)).filter(|bits| **bits <= 40).map(|bits| of(*bits))
        }
        Kind::Lzma => little::<4>(bytes, 1),
        Kind::Lzip => bytes.get(5).map(|size| 1 << (size & 0x1f)),
        Kind::Bzip2 => Some(4 << 20),
        _ => Some(1 << 16),
    };
    stated.filter(|size| *size <= DECODER_MEMORY).unwrap_or(0)
}

fn zstd_window(bytes: &[u8]) -> Option<u64> {
    let flags = bytes.get(4)?;
    if flags & 0x20 == 0 {
        let (log, eighths) = (bytes.get(5)? >> 3, u64::from(bytes.get(5)? & 7));
        return Some((1 << (log + 10)) + (1 << (log + 7)) * eighths);
    }
    // Without a window of its own, all of the content is it.
    let at = 5 + [0, 1, 2, 4][usize::from(flags & 3)];
    match flags >> 6 {
        0 => little::<1>(bytes, at),
        1 => little::<2>(bytes, at),
        2 => little::<4>(bytes, at),
        _ => little::<8>(bytes, at),
    }
    .map(|size| size.min(128 << 20))
}

/// What reads such data, and all of it if several pieces stand one after the other.
fn decoder(bytes: &[u8], kind: Kind) -> Result<Option<Box<dyn Read + '_>>, Gap> {
    Ok(Some(match kind {
        Kind::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
        Kind::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(bytes)),
        Kind::Xz => Box::new(lzma(bytes, Stream::new_stream_decoder(DECODER_MEMORY, CONCATENATED))?),
        Kind::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?),
        Kind::Lz4 => Box::new(lz4::Frames::new(bytes)),
        // Their own readers pass over what follows.
        Kind::Lzma | Kind::Lzip => Box::new(Pieces::new(bytes, kind).strictly()),
        _ => return Ok(None),
    }))
}

fn lzma(bytes: &[u8], stream: Result<Stream, liblzma::stream::Error>) -> Result<XzDecoder<&[u8]>, Gap> {
    Ok(XzDecoder::new_stream(bytes, stream.map_err(broken)?))
}

/// One piece of compressed data, behind which anything may stand.
enum Piece<'a> {
    Gzip(flate2::bufread::GzDecoder<&'a [u8]>),
    Zlib(flate2::bufread::ZlibDecoder<&'a [u8]>),
    Bzip2(bzip2::bufread::BzDecoder<&'a [u8]>),
    Lzma(XzDecoder<&'a [u8]>),
    Zstd(zstd::stream::read::Decoder<'static, &'a [u8]>),
    Lz4(lz4::Frames<'a>, usize),
}

impl<'a> Piece<'a> {
    fn new(bytes: &'a [u8], kind: Kind) -> Result<Option<Self>, Gap> {
        Ok(Some(match kind {
            Kind::Gzip => Self::Gzip(flate2::bufread::GzDecoder::new(bytes)),
            Kind::Zlib => Self::Zlib(flate2::bufread::ZlibDecoder::new(bytes)),
            Kind::Bzip2 => Self::Bzip2(bzip2::bufread::BzDecoder::new(bytes)),
            Kind::Xz => Self::Lzma(lzma(bytes, Stream::new_stream_decoder(DECODER_MEMORY, 0))?),
            Kind::Lzip => Self::Lzma(lzma(bytes, Stream::new_lzip_decoder(DECODER_MEMORY, 0))?),
            Kind::Lzma => Self::Lzma(lzma(bytes, Stream::new_lzma_decoder(DECODER_MEMORY))?),
            Kind::Zstd => Self::Zstd(zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?.single_frame()),
            Kind::Lz4 => {
                let length = lz4::length(bytes).unwrap_or(bytes.len());
                Self::Lz4(lz4::Frames::new(&bytes[..length]), bytes.len() - length)
            }
            _ => return Ok(None),
        }))
    }

    /// How many bytes are left behind it, once it was read to its end.
    fn left(&self) -> usize {
        match self {
            Self::Gzip(reader) => reader.get_ref().len(),
            Self::Zlib(reader) => reader.get_ref().len(),
            Self::Bzip2(reader) => reader.get_ref().len(),
            Self::Lzma(reader) => reader.get_ref().len(),
            Self::Zstd(reader) => reader.get_ref().len(),
            Self::Lz4(_, left) => *left,
        }
    }
}

impl Read for Piece<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(reader) => reader.read(buffer),
            Self::Zlib(reader) => reader.read(buffer),
            Self::Bzip2(reader) => reader.read(buffer),
            Self::Lzma(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer),
            Self::Lz4(reader, _) => reader.read(buffer),
        }
    }
}

/// Pieces of one kind that stand one right behind the other; what follows them is left.
pub(super) struct Pieces<'a> {
    bytes: &'a [u8],
    kind: Kind,
    /// Where the last piece that was read ends.
    end: usize,
    current: Option<Piece<'a>>,
    to_the_end: bool,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(bytes: &'a [u8], kind: Kind) -> Self {
        Self { bytes, kind, end: 0, current: None, to_the_end: false }
    }

    /// Takes anything that follows for damage.
    fn strictly(self) -> Self {
        Self { to_the_end: true, ..self }
    }

    /// How many bytes the pieces have that were read to their end.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Whether nothing is left that has not been read.
    pub(super) fn is_over(&mut self) -> bool {
        matches!(self.read(&mut [0]), Ok(0)) && self.end == self.bytes.len()
    }

    fn goes_on(&self) -> bool {
        let rest = &self.bytes[self.end..];
        match (self.kind, rest) {
            _ if self.end == 0 => true,
            (Kind::Gzip, [0x1f, 0x8b, 8, ..])
            | (Kind::Bzip2, [b'B', b'Z', b'h', b'1'..=b'9', 0x17 | 0x31, ..])
            | (Kind::Xz, [0xfd, b'7', b'z', b'X', b'Z', 0, ..])
            | (Kind::Lzip, [b'L', b'Z', b'I', b'P', 1, ..])
            | (Kind::Zstd, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) => true,
            _ => false,
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(piece) = &mut self.current {
                let count = piece.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                let end = self.bytes.len() - piece.left();
                self.current = None;
                if end <= self.end {
                    return Ok(0);
                }
                self.end = end;
            }
            if !self.goes_on() {
                let rest = &self.bytes[self.end..];
                let padding = rest.iter().all(|byte| *byte == 0);
                return if self.to_the_end && !padding {
                    Err(io::Error::other("something else follows"))
                } else {
                    Ok(0)
                };
            }
            self.current =
                Piece::new(&self.bytes[self.end..], self.kind).map_err(|gap| io::Error::other(gap.to_string()))?;
            if self.current.is_none() {
                return Ok(0);
            }
        }
    }
}
