//! The content of a file: its blocks, and its end, which may be a fragment.

use super::tables::{Cursor, Image, NONE};
use crate::container::{broken, little};
use crate::finding::Gap;
use std::io::{self, Read};

/// Where the parts of a file are.
pub(super) struct Layout {
    /// Where its first block is.
    pub(super) begin: u64,
    pub(super) size: u64,
    pub(super) fragment: u64,
    /// Where in the fragment its end begins.
    pub(super) offset: u64,
    /// The sizes of its blocks.
    pub(super) blocks: Cursor,
}

/// Reads a file block by block.
pub(super) struct Content<'i, 'a> {
    image: &'i mut Image<'a>,
    layout: Layout,
    left: u64,
    block: Vec<u8>,
    at: usize,
}

impl<'i, 'a> Content<'i, 'a> {
    pub(super) fn new(image: &'i mut Image<'a>, layout: Layout) -> Self {
        Self { image, left: layout.size, layout, block: Vec::new(), at: 0 }
    }

    fn next(&mut self) -> Result<(), Gap> {
        let size = self.left.min(self.image.fields.block_size);
        let damaged = || broken("a block has another size than its file says");
        let layout = &mut self.layout;
        if size < self.image.fields.block_size && layout.fragment != NONE {
            let fragment = self.image.fragment(layout.fragment)?;
            let begin = layout.offset as usize;
            self.block = fragment.get(begin..begin + size as usize).ok_or_else(damaged)?.to_vec();
        } else {
            let entry = little::<4>(&self.image.take::<4>(&mut layout.blocks)?, 0).unwrap_or(0);
            let packed = entry & 0xff_ffff;
            // A hole takes no room.
            self.block = if packed == 0 { vec![0; size as usize] } else { self.image.block(layout.begin, entry)? };
            layout.begin = layout.begin.checked_add(packed).ok_or_else(damaged)?;
        }
        if self.block.len() as u64 != size {
            return Err(damaged());
        }
        (self.at, self.left) = (0, self.left - size);
        Ok(())
    }
}

impl Read for Content<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() && self.left > 0 {
            self.next().map_err(|gap| io::Error::other(message(gap)))?;
        }
        let rest = &self.block[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

/// The reason alone: whoever reads says that it is one for an archive.
fn message(gap: Gap) -> String {
    match gap {
        Gap::BrokenArchive(why) => why,
        gap => gap.to_string(),
    }
}
