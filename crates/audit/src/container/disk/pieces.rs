//! A file of an image that lies in one or more pieces, with holes between them.

use super::{First, Ledger};
use crate::container::{Kind, Walk, broken, shown_name};
use crate::finding::{Gap, Place};
use std::io::{self, Read};
use std::ops::Range;

/// A part of a file.
enum Piece {
    At(Range<usize>),
    Zeros(u64),
}

/// Where the content of a file lies, in order.
pub(super) struct Pieces {
    list: Vec<Piece>,
    /// How long the file is, and how long what is known of it.
    size: u64,
    length: u64,
    /// More pieces than these are damage.
    most: usize,
}

impl Pieces {
    pub(super) fn new(size: u64, most: usize) -> Self {
        Self { list: Vec::new(), size, length: 0, most }
    }

    /// Whether the end of the file was reached. What would follow is not of the file.
    pub(super) fn is_full(&self) -> bool {
        self.length >= self.size
    }

    pub(super) fn len(&self) -> u64 {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds what lies somewhere, which may be beyond the end of the image.
    pub(super) fn add(&mut self, begin: usize, length: usize) -> Result<(), Gap> {
        let end = begin.saturating_add(length);
        if !self.is_full() {
            match self.list.last_mut() {
                Some(Piece::At(last)) if last.end == begin => last.end = end,
                _ => self.list.push(Piece::At(begin..end)),
            }
        }
        self.length = self.length.saturating_add((end - begin) as u64);
        // Between any two pieces there may be a hole.
        if self.list.len() / 2 > self.most {
            return Err(broken("a file lies in more pieces than the image has"));
        }
        Ok(())
    }

    /// Adds a hole.
    pub(super) fn zeros(&mut self, count: u64) -> Result<(), Gap> {
        if count > 0 && !self.is_full() {
            match self.list.last_mut() {
                Some(Piece::Zeros(last)) => *last = last.saturating_add(count),
                _ => self.list.push(Piece::Zeros(count)),
            }
        }
        self.length = self.length.saturating_add(count);
        Ok(())
    }

    /// Adds the hole before the next piece.
    pub(super) fn zeros_until(&mut self, place: u64) -> Result<(), Gap> {
        let count = place.checked_sub(self.length).ok_or_else(|| broken("the pieces of a file are out of order"))?;
        self.zeros(count)
    }

    /// The pieces, with whatever hole ends the file.
    pub(super) fn end(mut self) -> Result<Self, Gap> {
        self.zeros(self.size.saturating_sub(self.length))?;
        let size = self.size;
        Ok(self.cut(size))
    }

    /// No more than the first bytes.
    pub(super) fn cut(mut self, size: u64) -> Self {
        let mut left = size.min(self.size);
        self.list.retain_mut(|piece| match piece {
            Piece::At(range) => {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(range.len());
                range.end = range.start + count;
                left -= count as u64;
                count > 0
            }
            Piece::Zeros(zeros) => {
                *zeros = left.min(*zeros);
                left -= *zeros;
                *zeros > 0
            }
        });
        self
    }

    /// Whether something lies in two pieces.
    pub(super) fn overlap(&self) -> bool {
        let range = |piece: &Piece| if let Piece::At(range) = piece { Some((range.start, range.end)) } else { None };
        let mut ranges: Vec<_> = self.list.iter().filter_map(range).collect();
        ranges.sort_unstable();
        ranges.windows(2).any(|pair| pair[0].1 > pair[1].0)
    }

    /// Where everything lies, if there are no holes.
    pub(super) fn ranges(self) -> Option<Vec<Range<usize>>> {
        let range = |piece| if let Piece::At(range) = piece { Some(range) } else { None };
        self.list.into_iter().map(range).collect()
    }
}

impl Walk<'_> {
    /// Shows a file of an image.
    pub(super) fn pieces(
        &mut self,
        place: &Place,
        bytes: &[u8],
        path: &[u8],
        mut pieces: Pieces,
        (kind, ledger): (Kind, &Ledger),
        first: &mut First,
    ) -> Result<(), Gap> {
        for piece in &mut pieces.list {
            let Piece::At(range) = piece else { continue };
            if range.end > bytes.len() {
                *range = range.start.min(bytes.len())..bytes.len();
                first.add(broken("a file goes on beyond the end of the image"));
            }
            ledger.add(range.clone());
        }
        match pieces.list.as_slice() {
            [] => self.member(place, shown_name(path), &[], kind),
            [Piece::At(range)] => self.member(place, shown_name(path), &bytes[range.clone()], kind),
            list => self.file(place, path, Reader { bytes, list, at: 0 }, kind, first),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    list: &'a [Piece],
    /// How far the first piece of the list was read.
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let [piece, rest @ ..] = self.list {
            let length = match piece {
                Piece::At(range) => range.len() as u64,
                Piece::Zeros(length) => *length,
            };
            let count = usize::try_from(length - self.at).unwrap_or(usize::MAX).min(buffer.len());
            if self.at == length {
                (self.list, self.at) = (rest, 0);
                continue;
            }
            match piece {
                Piece::At(range) => {
                    let begin = range.start + self.at as usize;
                    buffer[..count].copy_from_slice(&self.bytes[begin..begin + count]);
                }
                Piece::Zeros(_) => buffer[..count].fill(0),
            }
            self.at += count as u64;
            return Ok(count);
        }
        Ok(0)
    }
}
