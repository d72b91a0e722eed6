//! The tables of an image, in pieces of 8 KiB that are unpacked when they are asked for.

use super::content::Layout;
use super::{Inode, Super};
use crate::container::{DECODER_MEMORY, broken, little};
use crate::finding::Gap;
use liblzma::{bufread::XzDecoder, stream::Stream};
use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::rc::Rc;

/// Largest piece of a table.
const PIECE: u64 = 8192;
/// Pieces and blocks that are kept, since neighbors are asked for one after the other.
const KEPT: usize = 32;
/// The field of a file that has no fragment, and of an image without a table of them.
pub(super) const NONE: u64 = u32::MAX as u64;

/// A place in a table: the piece, and how far in it.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    piece: u64,
    offset: usize,
}

/// An unpacked piece, and where the next one begins.
type Piece = (Rc<[u8]>, u64);

/// An image and what is at hand of it.
pub(super) struct Image<'a> {
    bytes: &'a [u8],
    pub(super) fields: Super,
    /// By where they begin and their size as it is stated, and in the order in which they came.
    kept: HashMap<(u64, u64), Piece>,
    order: VecDeque<(u64, u64)>,
    /// How much of the tables and fragments may yet be unpacked, and what it was at first.
    work: u64,
    most: u64,
}

impl<'a> Image<'a> {
    pub(super) fn new(bytes: &'a [u8], fields: Super, most: u64) -> Self {
        Self { bytes, fields, kept: HashMap::new(), order: VecDeque::new(), work: most, most }
    }

    /// Copies bytes of a table and moves on.
    pub(super) fn fill(&mut self, cursor: &mut Cursor, mut target: &mut [u8]) -> Result<(), Gap> {
        while !target.is_empty() {
            let (piece, next) = self.piece(cursor.piece)?;
            let rest = piece.get(cursor.offset..).ok_or_else(|| broken("a table is damaged"))?;
            let count = rest.len().min(target.len());
            let (now, later) = target.split_at_mut(count);
            now.copy_from_slice(&rest[..count]);
            target = later;
            cursor.offset += count;
            if cursor.offset == piece.len() {
                *cursor = Cursor { piece: next, offset: 0 };
            }
        }
        Ok(())
    }

    /// The same for a known number of bytes.
    pub(super) fn take<const N: usize>(&mut self, cursor: &mut Cursor) -> Result<[u8; N], Gap> {
        let mut target = [0; N];
        self.fill(cursor, &mut target)?;
        Ok(target)
    }

    /// Reads the inode that a reference points to.
    pub(super) fn inode(&mut self, reference: u64) -> Result<Inode, Gap> {
        let mut at = self.cursor(self.fields.inodes, reference >> 16, reference & 0xffff)?;
        let kind = little::<2>(&self.take::<16>(&mut at)?, 0);
        let field = |bytes: &[u8], at| little::<4>(bytes, at).unwrap_or(0);
        let listing = |image: &Self, piece, size, offset: Option<u64>| {
            let listing = image.cursor(image.fields.folders, piece, offset.unwrap_or(0))?;
            Ok(Inode::Folder { listing, size })
        };
        let wide = |bytes: &[u8], at| little::<8>(bytes, at).unwrap_or(0);
        let file =
            |begin, size, fragment, offset, blocks| Ok(Inode::File(Layout { begin, size, fragment, offset, blocks }));
        match kind {
            Some(1) => {
                let rest = self.take::<16>(&mut at)?;
                listing(self, field(&rest, 0), little::<2>(&rest, 8).unwrap_or(0), little::<2>(&rest, 10))
            }
            Some(8) => {
                let rest = self.take::<24>(&mut at)?;
                listing(self, field(&rest, 8), field(&rest, 4), little::<2>(&rest, 18))
            }
            Some(2) => {
                let rest = self.take::<16>(&mut at)?;
                file(field(&rest, 0), field(&rest, 12), field(&rest, 4), field(&rest, 8), at)
            }
            Some(9) => {
                let rest = self.take::<40>(&mut at)?;
                file(wide(&rest, 0), wide(&rest, 8), field(&rest, 28), field(&rest, 32), at)
            }
            Some(3..=7 | 10..=14) => Ok(Inode::Other),
            _ => Err(broken("an inode is damaged")),
        }
    }

    /// The block that the ends of several files share.
    pub(super) fn fragment(&mut self, number: u64) -> Result<Rc<[u8]>, Gap> {
        let pointer = self.fields.fragments.checked_add(number / 512 * 8).and_then(|at| usize::try_from(at).ok());
        let piece =
            pointer.and_then(|at| little::<8>(self.bytes, at)).ok_or_else(|| broken("a fragment is missing"))?;
        let mut at = self.cursor(piece, 0, number % 512 * 16)?;
        let entry = self.take::<16>(&mut at)?;
        let (begin, size) = (little::<8>(&entry, 0).unwrap_or(0), little::<4>(&entry, 8).unwrap_or(0));
        if let Some((block, _)) = self.kept.get(&(begin, size)) {
            return Ok(block.clone());
        }
        let block: Rc<[u8]> = self.block(begin, size)?.into();
        self.keep((begin, size), (block.clone(), 0))?;
        Ok(block)
    }

    /// Unpacks a block of a file or of fragments; the 25th bit of its size says that it is not compressed.
    pub(super) fn block(&self, begin: u64, size: u64) -> Result<Vec<u8>, Gap> {
        let packed = self.slice(begin, size & 0xff_ffff)?;
        self.unpack(packed, size & 1 << 24 == 0, self.fields.block_size)
    }

    fn cursor(&self, table: u64, piece: u64, offset: u64) -> Result<Cursor, Gap> {
        let piece = table.checked_add(piece).ok_or_else(|| broken("a table is damaged"))?;
        Ok(Cursor { piece, offset: offset as usize })
    }

    fn piece(&mut self, begin: u64) -> Result<Piece, Gap> {
        // A piece has its size in itself.
        let key = (begin, u64::MAX);
        if let Some(piece) = self.kept.get(&key) {
            return Ok(piece.clone());
        }
        let header = little::<2>(self.slice(begin, 2)?, 0).unwrap_or(0);
        let size = header & 0x7fff;
        let content = self.unpack(self.slice(begin + 2, size)?, header & 0x8000 == 0, PIECE)?;
        // An empty piece would be followed for ever.
        if content.is_empty() {
            return Err(broken("a table is damaged"));
        }
        let piece: Piece = (content.into(), begin + 2 + size);
        self.keep(key, piece.clone())?;
        Ok(piece)
    }

    fn keep(&mut self, key: (u64, u64), piece: Piece) -> Result<(), Gap> {
        // Who jumps between many pieces has each of them unpacked again and again.
        self.work = self.work.checked_sub(piece.0.len() as u64).ok_or(Gap::TooLarge(self.most))?;
        self.kept.insert(key, piece);
        self.order.push_back(key);
        if self.order.len() > KEPT {
            self.order.pop_front().and_then(|oldest| self.kept.remove(&oldest));
        }
        Ok(())
    }

    fn slice(&self, begin: u64, size: u64) -> Result<&'a [u8], Gap> {
        let range = usize::try_from(begin).ok().zip(begin.checked_add(size).and_then(|end| usize::try_from(end).ok()));
        range.and_then(|(begin, end)| self.bytes.get(begin..end)).ok_or_else(|| broken("it ends too early"))
    }

    fn unpack(&self, packed: &[u8], compressed: bool, most: u64) -> Result<Vec<u8>, Gap> {
        let mut content = Vec::new();
        let mut read = |reader: &mut dyn Read| reader.take(most + 1).read_to_end(&mut content).map_err(broken);
        match self.fields.compressor {
            _ if !compressed => content.extend_from_slice(packed),
            1 => _ = read(&mut flate2::bufread::ZlibDecoder::new(packed))?,
            2 => {
                let stream = Stream::new_lzma_decoder(DECODER_MEMORY).map_err(broken)?;
                read(&mut XzDecoder::new_stream(packed, stream))?;
            }
            4 => {
                let stream = Stream::new_stream_decoder(DECODER_MEMORY, 0).map_err(broken)?;
                read(&mut XzDecoder::new_stream(packed, stream))?;
            }
            5 => {
                content.resize(most as usize, 0);
                let count = lz4_flex::block::decompress_into(packed, &mut content).map_err(broken)?;
                content.truncate(count);
            }
            6 => _ = read(&mut zstd::stream::read::Decoder::with_buffer(packed).map_err(broken)?)?,
            _ => return Err(broken("the compressor is unknown")),
        }
        if content.len() as u64 > most { Err(broken("a block is too large")) } else { Ok(content) }
    }
}
