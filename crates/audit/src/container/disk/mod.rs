//! Images of disks and file systems that are opened: ext2 to ext4, FAT, ISO 9660, erofs, qcow2, and tables of partitions.
//!
//! A library reads erofs; the rest are short tables, read here. Whoever reads an image has a ledger: it bounds the work,
//! whatever loops the tables have, and knows which bytes were shown as those of a file. All others (what was deleted, what
//! stands behind the end of a file or in no partition) are searched for marks. A file that lies in one piece is borrowed.

mod erofs;
mod ext;
mod fat;
mod iso;
mod partitions;
mod pieces;
mod qcow2;

#[cfg(test)]
mod tests;

use super::marks::Shape;
use super::{Kind, Walk, broken, entropy, image, shown_name};
use crate::finding::{Gap, Place};
use pieces::Pieces;
use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;

/// Folders nest at most this deep.
const DEEPEST: usize = 256;
/// Shorter reads are those of tables.
const SHORTEST_CONTENT: usize = 16;

/// What was read of an image, and how much more may be.
struct Ledger {
    /// Bytes that may still be read.
    left: Cell<u64>,
    /// Whether what is read now is the content of a file.
    is_content: Cell<bool>,
    content: RefCell<Vec<Range<usize>>>,
    /// How many of them there are when they are put in order, so that no image has more than it has room for.
    most: Cell<usize>,
}

impl Ledger {
    /// Readers look at tables again and again; beyond this much they go round in circles.
    fn new(size: usize) -> Self {
        let left = (size as u64).saturating_mul(32).saturating_add(64 << 20);
        Self { left: Cell::new(left), is_content: Cell::new(false), content: RefCell::default(), most: Cell::new(4096) }
    }

    /// Takes note of something that is read.
    fn take(&self, range: Range<usize>) -> io::Result<()> {
        let left = self.left.get().checked_sub(range.len().max(64) as u64);
        self.left.set(left.ok_or_else(|| io::Error::other("its tables lead round in circles"))?);
        if self.is_content.get() && range.len() >= SHORTEST_CONTENT {
            self.add(range);
        }
        Ok(())
    }

    /// Takes note of bytes that were shown.
    fn add(&self, range: Range<usize>) {
        let mut content = self.content.borrow_mut();
        match content.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => content.push(range),
        }
        if content.len() > self.most.get() {
            let all = std::mem::take(&mut *content);
            *content = entropy::merged(all);
            self.most.set(content.len().saturating_mul(2).max(4096));
        }
    }

    /// The bytes that were shown.
    fn shown(&self) -> Vec<Range<usize>> {
        self.content.take()
    }

    /// Takes note of what `reader` reads as content.
    fn content<R: Read>(&self, reader: R) -> impl Read {
        Content { ledger: self, reader }
    }
}

struct Content<'l, R> {
    ledger: &'l Ledger,
    reader: R,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.ledger.is_content.set(true);
        let count = self.reader.read(buffer);
        self.ledger.is_content.set(false);
        count
    }
}

/// What the members of an image had for gaps: the first one is told, and the rest of the image is read all the same.
#[derive(Default)]
struct First(Option<Gap>);

impl First {
    fn add(&mut self, gap: Gap) {
        self.0.get_or_insert(gap);
    }

    fn result(self) -> Result<(), Gap> {
        self.0.map_or(Ok(()), Err)
    }
}

impl Walk<'_> {
    /// Shows what an image holds, and searches the bytes that are of none of its files.
    pub(super) fn disk(&mut self, place: &Place, bytes: &[u8], kind: Kind) -> Result<(), Gap> {
        let ledger = Ledger::new(bytes.len());
        let result = match kind {
            Kind::Erofs => self.erofs(place, bytes, &ledger),
            Kind::Ext => self.ext(place, bytes, &ledger),
            Kind::Fat => self.fat(place, bytes, &ledger),
            Kind::Iso => self.iso(place, bytes, &ledger),
            Kind::Qcow2 => self.qcow2(place, bytes, &ledger),
            _ => self.partitions(place, bytes, &ledger),
        };
        self.carve_rest(place, bytes, ledger.shown());
        let shape = match kind {
            Kind::Erofs => Shape::Erofs,
            Kind::Ext => Shape::Ext,
            Kind::Fat => Shape::Fat,
            _ => return result,
        };
        let is_cut = image::length(bytes, shape).is_some_and(|length| length > bytes.len() as u64);
        result.and_then(|()| if is_cut { Err(broken("the image is shorter than it says")) } else { Ok(()) })
    }

    /// Shows a file; what is wrong with it ends the image only where no more may be read at all.
    fn file(
        &mut self,
        place: &Place,
        path: &[u8],
        reader: impl Read,
        kind: Kind,
        first: &mut First,
    ) -> Result<(), Gap> {
        match self.unpacked(place, shown_name(path), reader, kind) {
            Err(gap @ Gap::BrokenArchive(_)) => {
                first.add(gap);
                Ok(())
            }
            result => result,
        }
    }
}

fn too_deep() -> Gap {
    broken("folders contain each other or nest too deep")
}

/// A folder on the way to a file. Those that are still to be read have what is above them in common, so that long paths take
/// no memory.
struct Step {
    above: Option<Rc<Step>>,
    name: Vec<u8>,
    depth: usize,
}

impl Step {
    fn new(above: Option<Rc<Self>>, name: &[u8]) -> Rc<Self> {
        let depth = above.as_ref().map_or(1, |above| above.depth + 1);
        Rc::new(Self { above, name: name.to_vec(), depth })
    }

    /// The path of something in a folder.
    fn path(folder: Option<&Self>, name: &[u8]) -> Vec<u8> {
        let mut names = vec![name];
        let mut next = folder;
        while let Some(step) = next {
            names.push(&step.name);
            next = step.above.as_deref();
        }
        names.reverse();
        names.join(&b'/')
    }
}
