//! ext2, ext3 and ext4. The crate ext4-view reads them, with the journal as far as it was not written back.
//!
//! The library keeps its disk for as long as it likes, so that the image cannot be borrowed: it is copied, without the parts
//! that are zero, and counts as memory that is in use.

use super::{DEEPEST, First, Ledger, too_deep};
use crate::container::{Kind, Walk, broken, unsupported};
use crate::finding::{Gap, Place};
use ext4_view::{Ext4, Ext4Error, Ext4Read, File, PathBuf};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;

/// The image is copied in pieces of this size.
const PIECE: usize = 64 << 10;
/// So many of the last reads may be those of a piece of content: the library reads ahead, and keeps some blocks.
const RECENT: usize = 32;

/// The image without its zeros.
struct Disk {
    pieces: Vec<Option<Box<[u8]>>>,
    size: usize,
    ledger: Rc<Ledger>,
    recent: Rc<RefCell<VecDeque<Range<usize>>>>,
}

impl Disk {
    fn new(bytes: &[u8], ledger: Rc<Ledger>, recent: Rc<RefCell<VecDeque<Range<usize>>>>) -> Self {
        let piece = |piece: &[u8]| is_something(piece).then(|| Box::from(piece));
        Self { pieces: bytes.chunks(PIECE).map(piece).collect(), size: bytes.len(), ledger, recent }
    }
}

fn is_something(piece: &[u8]) -> bool {
    piece.iter().any(|byte| *byte != 0)
}

impl Ext4Read for Disk {
    fn read(&mut self, start: u64, target: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let begin = usize::try_from(start)?;
        let end = begin.checked_add(target.len()).filter(|end| *end <= self.size);
        let end = end.ok_or("it says that it is longer than it is")?;
        self.ledger.take(begin..end)?;
        let mut at = begin;
        let mut rest = target;
        while !rest.is_empty() {
            let (number, offset) = (at / PIECE, at % PIECE);
            let count = rest.len().min(PIECE - offset);
            let (part, behind) = rest.split_at_mut(count);
            match self.pieces.get(number) {
                Some(Some(piece)) => part.copy_from_slice(&piece[offset..offset + count]),
                _ => part.fill(0),
            }
            (at, rest) = (at + count, behind);
        }
        let mut recent = self.recent.borrow_mut();
        recent.truncate(RECENT - 1);
        recent.push_front(begin..end);
        Ok(())
    }
}

/// A file, of whose bytes it is noted where in the image they stand: what is there is compared, since the library does not say.
struct Content<'a> {
    file: File,
    image: &'a [u8],
    ledger: &'a Ledger,
    recent: &'a RefCell<VecDeque<Range<usize>>>,
    /// Where the next bytes stand if the file goes on where it was.
    next: usize,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_bytes(buffer).map_err(|error| io::Error::other(error.to_string()))?;
        let piece = &buffer[..count];
        let is_at = |at: usize| self.image.get(at..).is_some_and(|rest| rest.starts_with(piece));
        // Holes stand nowhere, and zeros need no search.
        if !is_something(piece) {
            return Ok(count);
        }
        let found = if is_at(self.next) {
            Some(self.next)
        } else {
            // Blocks have 1 KiB at least, and pieces begin with blocks but for what a small buffer cut.
            let recent = self.recent.borrow();
            recent.iter().flat_map(|range| range.clone().step_by(1024)).find(|at| is_at(*at))
        };
        if let Some(at) = found {
            self.ledger.add(at..at + count);
            self.next = at + count;
        }
        Ok(count)
    }
}

fn gap(error: Ext4Error) -> Gap {
    match error {
        Ext4Error::Incompatible(what) => unsupported(&format!("ext4 ({what})")),
        Ext4Error::Encrypted => unsupported("encrypted ext4"),
        error => broken(error),
    }
}

impl Walk<'_> {
    pub(super) fn ext(&mut self, place: &Place, bytes: &[u8], ledger: &Rc<Ledger>) -> Result<(), Gap> {
        let copied: u64 = bytes.chunks(PIECE).filter(|piece| is_something(piece)).map(|piece| piece.len() as u64).sum();
        if copied > self.limits.memory.saturating_sub(self.live) {
            return Err(Gap::TooMuchMemory(self.limits.memory));
        }
        self.live += copied;
        self.spent.peak = self.spent.peak.max(self.live);
        let result = self.ext_files(place, bytes, ledger);
        self.live -= copied;
        result
    }

    fn ext_files(&mut self, place: &Place, bytes: &[u8], ledger: &Rc<Ledger>) -> Result<(), Gap> {
        let recent = Rc::new(RefCell::new(VecDeque::new()));
        let disk = Disk::new(bytes, Rc::clone(ledger), Rc::clone(&recent));
        let image = Ext4::load(Box::new(disk)).map_err(gap)?;
        let mut first = First::default();
        let mut open = vec![image.read_dir(&PathBuf::new("/")).map_err(gap)?];
        while let Some(folder) = open.last_mut() {
            let entry = match folder.next() {
                Some(Ok(entry)) => entry,
                Some(Err(error)) => {
                    first.add(gap(error));
                    open.pop();
                    continue;
                }
                None => {
                    open.pop();
                    continue;
                }
            };
            if entry.file_name() == "." || entry.file_name() == ".." {
                continue;
            }
            let path = entry.path();
            // A path is looked for from the root on.
            ledger.take(0..open.len() * 1024).map_err(broken)?;
            let kind = entry.metadata().map(|metadata| metadata.file_type());
            match kind {
                Ok(kind) if kind.is_dir() => {
                    self.count()?;
                    if open.len() >= DEEPEST {
                        return Err(too_deep());
                    }
                    match image.read_dir(&path) {
                        Ok(folder) => open.push(folder),
                        Err(error) => first.add(gap(error)),
                    }
                }
                Ok(kind) if kind.is_regular_file() => match image.open(&path) {
                    Ok(file) => {
                        let content = Content { file, image: bytes, ledger, recent: &recent, next: 0 };

                        let path: &[u8] = path.as_ref();
                        let path = path.strip_prefix(b"/").unwrap_or(path);
                        self.file(place, path, content, Kind::Ext, &mut first)?;
                    }
                    Err(error) => first.add(gap(error)),
                },
                Ok(_) => self.count()?,
                Err(error) => {
                    self.count()?;
                    first.add(gap(error));
                }
            }
        }
        first.result()
    }
}
