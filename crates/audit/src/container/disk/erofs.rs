//! erofs, as images of systems that are only read have it. The crate erofs-rs reads it; it does not know LZMA as it is used here.

use super::{DEEPEST, First, Ledger, too_deep};
use crate::container::{Kind, Walk, broken, unsupported};
use crate::finding::{Gap, Place};
use erofs_rs::backend::Image;
use erofs_rs::sync::file::{File, Read as _};
use erofs_rs::{EroFS, Error};
use std::io::{self, Read};
use std::ops::{Bound, RangeBounds};

/// The image, and who takes note of what is read of it.
struct Noted<'a> {
    bytes: &'a [u8],
    ledger: &'a Ledger,
}

impl Image for Noted<'_> {
    fn get<R: RangeBounds<u64>>(&self, range: R) -> Option<&[u8]> {
        let place = |at: &u64| usize::try_from(*at).ok();
        let begin = match range.start_bound() {
            Bound::Included(at) => place(at)?,
            Bound::Excluded(at) => place(at)?.checked_add(1)?,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(at) => place(at)?.checked_add(1)?,
            Bound::Excluded(at) => place(at)?,
            Bound::Unbounded => self.bytes.len(),
        };
        let found = self.bytes.get(begin..end)?;
        self.ledger.take(begin..end).ok()?;
        Some(found)
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// A file's content, whose reader has a trait of its own.
struct Content<'a, 'i>(File<'a, Noted<'i>>);

impl Read for Content<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| io::Error::other(error.to_string()))
    }
}

fn gap(error: Error) -> Gap {
    match error {
        Error::NotSupported(what) => unsupported(&format!("erofs ({what})")),
        error => broken(error),
    }
}

impl Walk<'_> {
    pub(super) fn erofs(&mut self, place: &Place, bytes: &[u8], ledger: &Ledger) -> Result<(), Gap> {
        let image = EroFS::new(Noted { bytes, ledger }).map_err(gap)?;
        let mut first = First::default();
        let entries = image.walk_dir("/").map_err(gap)?.max_depth(DEEPEST);
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    // Whatever is wrong, it may be told again and again.
                    self.count()?;
                    first.add(gap(error));
                    continue;
                }
            };
            if entry.depth >= DEEPEST && entry.inode.is_dir() {
                first.add(too_deep());
            }
            if !entry.inode.is_file() {
                self.count()?;
                continue;
            }
            let path = entry.dir_entry.path();
            let path = path.as_bytes().strip_prefix(b"/").unwrap_or(path.as_bytes());
            match image.open_inode_file(entry.inode) {
                Ok(file) => self.file(place, path, ledger.content(Content(file)), Kind::Erofs, &mut first)?,
                Err(error) => first.add(gap(error)),
            }
        }
        first.result()
    }
}
