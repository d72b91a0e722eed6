//! Temporary files that nobody else sees, and that are gone with the process: for what is too large for memory.
//!
//! They lie in `$TMPDIR` or, without it, in `/var/tmp`, since `/tmp` is memory on many systems. A disk that is full is
//! told when something is written, and never by a signal.

use crate::map::Mapped;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file without a name.
#[derive(Debug)]
pub struct Scratch {
    file: File,
    size: usize,
    folder: PathBuf,
}

impl Scratch {
    /// Opens a new one.
    ///
    /// # Errors
    /// When the folder for temporary files is missing or cannot be written to; the error names it.
    pub fn new() -> io::Result<Self> {
        Self::in_folder(&folder())
    }

    fn in_folder(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|error| named(folder, &error))?;
        Ok(Self { file, size: 0, folder: folder.to_owned() })
    }

    /// Maps what was written.
    ///
    /// # Errors
    /// When it cannot be mapped.
    pub fn map(self) -> io::Result<Mapped> {
        Mapped::of(&self.file, self.size).ok_or_else(|| named(&self.folder, &"a file there cannot be mapped"))
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes).map_err(|error| named(&self.folder, &error))?;
        self.size += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn folder() -> PathBuf {
    let usual = Path::new("/var/tmp");
    match std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => folder.into(),
        None if usual.is_dir() => usual.to_owned(),
        None => std::env::temp_dir(),
    }
}

fn named(folder: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {why}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_mapped_and_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::in_folder(folder.path()).unwrap();
        scratch.write_all(&[1; 100_000]).unwrap();
        scratch.write_all(&[2; 5]).unwrap();
        let mapped = scratch.map().unwrap();
        assert_eq!((mapped.len(), mapped[99_999], mapped[100_004], mapped.torn()), (100_005, 1, 2, false));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// `/dev/full` takes nothing, as a disk without room.
    #[test]
    fn errors_name_the_folder() {
        let missing = Scratch::in_folder(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/at/all: "), "{missing}");
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut full = Scratch { file, size: 0, folder: "/full".into() };
        let error = full.write_all(b"x").unwrap_err().to_string();
        assert!(error.starts_with("/full: No space left"), "{error}");
    }
}
