//! What members unpack to: in memory while it is little, and else in a file that the caller lends.
//!
//! Nothing here opens a file: [`Limits::spill`] is the caller's, and without it all is kept in memory. Where content lies makes
//! no difference to what is found in it, so that the threads of a process may share the memory as it comes. No size that an
//! archive states is trusted: content moves to a file when so much of it is there.
//!
//! [`Limits::spill`]: super::Limits::spill

use super::broken;
use crate::finding::Gap;
use std::io::{self, Read, Write};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A file that takes what is too large for memory.
pub trait Spill: Write + Send {
    /// Gives all that was written.
    ///
    /// # Errors
    /// When the file cannot be mapped or read.
    fn finish(self: Box<Self>) -> io::Result<Box<dyn Spilled>>;
}

/// What was written to a file, to be read as any bytes.
pub trait Spilled: Send + Sync {
    /// All of it.
    fn bytes(&self) -> &[u8];
    /// Whether something else was read in its place, since its disk failed.
    fn is_torn(&self) -> bool;
}

/// Opens such a file.
pub type OpenSpill = fn() -> io::Result<Box<dyn Spill>>;

/// Content up to this size stays in memory, as long as there is little else.
pub(super) const IN_MEMORY: usize = 8 << 20;
/// Content up to this size always does.
const SMALL: usize = 64 << 10;
/// So much of what all threads of the process work on is in memory, decoders' windows among it.
const ALL_IN_MEMORY: u64 = 64 << 20;
/// The same where no file can be had.
const WITHOUT_FILE: u64 = 128 << 20;
/// What is written to a file at once.
const BLOCK: usize = 256 << 10;

static IN_USE: AtomicU64 = AtomicU64::new(0);

/// A share of the memory, given back when it is dropped.
#[derive(Default)]
pub(super) struct Held(u64);

impl Held {
    /// Takes a share, if no more than `most` are taken then.
    pub(super) fn within(size: u64, most: u64) -> Option<Self> {
        let fits = |used: u64| used.checked_add(size).filter(|all| *all <= most);
        IN_USE.fetch_update(Relaxed, Relaxed, fits).ok().map(|_| Self(size))
    }

    /// Takes a share of what is for content and windows.
    pub(super) fn usual(size: u64) -> Option<Self> {
        Self::within(size, ALL_IN_MEMORY)
    }

    /// Takes a share, whatever is taken.
    fn anyway(size: u64) -> Self {
        IN_USE.fetch_add(size, Relaxed);
        Self(size)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        IN_USE.fetch_sub(self.0, Relaxed);
    }
}

/// The content of a member.
pub(super) enum Content {
    /// It has its share of the memory as long as it is there.
    Memory { bytes: Vec<u8>, _held: Held },
    /// A file, of which so much counts.
    File(Box<dyn Spilled>, usize),
}

impl Content {
    pub(super) fn in_memory(bytes: Vec<u8>) -> Self {
        let held = Held::anyway(bytes.len() as u64);
        Self::Memory { bytes, _held: held }
    }

    /// Content for which there is a share already.
    pub(super) fn held(bytes: Vec<u8>, held: Held) -> Self {
        Self::Memory { bytes, _held: held }
    }

    pub(super) fn truncate(&mut self, length: usize) {
        match self {
            Self::Memory { bytes, .. } => bytes.truncate(length),
            Self::File(_, all) => *all = length.min(*all),
        }
    }

    /// Whether its file was lost while it was read.
    pub(super) fn is_torn(&self) -> bool {
        matches!(self, Self::File(file, _) if file.is_torn())
    }

    /// Takes a share of the memory for content of this size: all of it where it is small.
    pub(super) fn room(size: usize) -> Option<Held> {
        if size <= SMALL { Some(Held::anyway(size as u64)) } else { Held::usual(size as u64) }
    }

    /// Reads all that there is; what was read before an error is kept as well.
    pub(super) fn read(mut reader: impl Read, open: Option<OpenSpill>) -> (Self, Option<Gap>) {
        let mut first = Vec::new();
        if let Err(error) = (&mut reader).take(IN_MEMORY as u64 + 1).read_to_end(&mut first) {
            return (Self::in_memory(first), Some(broken(error)));
        }
        let is_whole = first.len() <= IN_MEMORY;
        if is_whole && let Some(held) = Self::room(first.len()) {
            first.shrink_to(first.len() + first.len() / 8);
            return (Self::held(first, held), None);
        }
        match open {
            None => Self::read_on(first, reader, u64::MAX, None),
            Some(open) => match open() {
                Ok(spill) => Self::spill(spill, &first, reader),
                Err(error) => Self::read_on(first, reader, WITHOUT_FILE, Some(error)),
            },
        }
    }

    /// Reads the rest into memory, up to so much of what all threads have there.
    fn read_on(mut bytes: Vec<u8>, mut reader: impl Read, most: u64, why: Option<io::Error>) -> (Self, Option<Gap>) {
        let lost = || Some(no_file(why.as_ref()));
        let Some(mut held) = Held::within(bytes.len() as u64, most) else {
            // What was read already is looked at all the same.
            return (Self::in_memory(bytes), lost());
        };
        let gap = loop {
            let before = bytes.len();
            let result = (&mut reader).take(IN_MEMORY as u64).read_to_end(&mut bytes);
            let Some(mut more) = Held::within((bytes.len() - before) as u64, most) else {
                bytes.truncate(before);
                break lost();
            };
            held.0 += std::mem::take(&mut more.0);
            match result {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(broken(error)),
            }
        };
        bytes.shrink_to(bytes.len() + bytes.len() / 8);
        (Self::held(bytes, held), gap)
    }

    /// Writes it to a file.
    fn spill(mut file: Box<dyn Spill>, first: &[u8], mut reader: impl Read) -> (Self, Option<Gap>) {
        let mut copy = || -> Result<(), Gap> {
            file.write_all(first).map_err(|error| no_file(Some(&error)))?;
            let mut block = vec![0; BLOCK];
            loop {
                match reader.read(&mut block) {
                    Ok(0) => return Ok(()),
                    Ok(count) => file.write_all(&block[..count]).map_err(|error| no_file(Some(&error)))?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(broken(error)),
                }
            }
        };
        let gap = copy().err();
        match file.finish() {
            Ok(file) => {
                let length = file.bytes().len();
                (Self::File(file, length), gap)
            }
            // What was read already is looked at all the same.
            Err(error) => (Self::in_memory(first.to_vec()), Some(no_file(Some(&error)))),
        }
    }
}

/// Where there was no room for content.
fn no_file(why: Option<&io::Error>) -> Gap {
    let why = why.map(ToString::to_string).unwrap_or_default();
    Gap::Unreadable(format!(
        "it is unpacked to a temporary file, and that failed ({why}); set TMPDIR to a folder with more room"
    ))
}

/// What is told where the file of some content was lost.
pub(super) fn torn() -> Gap {
    Gap::Unreadable("the temporary file that it was unpacked to could not be read again".to_owned())
}

impl Deref for Content {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Memory { bytes, .. } => bytes,
            Self::File(file, length) => &file.bytes()[..*length],
        }
    }
}

#[cfg(test)]
mod tests;
