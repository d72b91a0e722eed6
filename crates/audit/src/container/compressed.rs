//! Compressed files, which hold one member.

use super::{DECODER_MEMORY, Kind, Walk, broken, lz4};
use crate::finding::{Gap, Place};
use liblzma::stream::{CONCATENATED, Stream};
use std::io::Read;

/// What the names of compressed files end in, and their content's do not.
const ENDINGS: [&str; 8] = [".gz", ".zst", ".xz", ".bz2", ".lzma", ".lz4", ".lz", ".nar"];

impl Walk<'_> {
    /// Shows what was compressed, under the name that the file has without its ending.
    pub(super) fn compressed(&mut self, place: &Place, bytes: &[u8], kind: Kind) -> Result<(), Gap> {
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

/// What reads such data, and all of it if several pieces stand one after the other.
fn decoder(bytes: &[u8], kind: Kind) -> Result<Option<Box<dyn Read + '_>>, Gap> {
    Ok(Some(match kind {
        Kind::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
        Kind::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(bytes)),
        Kind::Xz => lzma(bytes, Stream::new_stream_decoder(DECODER_MEMORY, CONCATENATED))?,
        Kind::Lzma => lzma(bytes, Stream::new_lzma_decoder(DECODER_MEMORY))?,
        Kind::Lzip => lzma(bytes, Stream::new_lzip_decoder(DECODER_MEMORY, CONCATENATED))?,
        Kind::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?),
        Kind::Lz4 => Box::new(lz4::Frames::new(bytes)),
        _ => return Ok(None),
    }))
}

fn lzma(bytes: &[u8], stream: Result<Stream, liblzma::stream::Error>) -> Result<Box<dyn Read + '_>, Gap> {
    Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(bytes, stream.map_err(broken)?)))
}
