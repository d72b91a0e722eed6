//! FAT with 12, 16 and 32 bits, as boot partitions and floppy disks have it. The crate fatfs reads it.

use super::{DEEPEST, First, Ledger, joined, too_deep};
use crate::container::{Kind, Walk, broken};
use crate::finding::{Gap, Place};
use fatfs::{FileSystem, FsOptions};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

/// The image as a disk that nobody writes to.
struct Disk<'a> {
    bytes: Cursor<&'a [u8]>,
    ledger: &'a Ledger,
}

impl Read for Disk<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let begin = usize::try_from(self.bytes.position()).unwrap_or(usize::MAX);
        let count = self.bytes.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            return Err(io::Error::other("it goes on beyond the end of the image"));
        }
        self.ledger.take(begin..begin.saturating_add(count))?;
        Ok(count)
    }
}

impl Seek for Disk<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

impl Write for Disk<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Walk<'_> {
    pub(super) fn fat(&mut self, place: &Place, bytes: &[u8], ledger: &Ledger) -> Result<(), Gap> {
        let disk = Disk { bytes: Cursor::new(bytes), ledger };
        let image = FileSystem::new(disk, FsOptions::new()).map_err(broken)?;
        let mut first = First::default();
        let mut open = vec![(image.root_dir().iter(), Vec::new())];
        while let Some((folder, path)) = open.last_mut() {
            let entry = match folder.next() {
                Some(Ok(entry)) => entry,
                Some(Err(error)) => {
                    first.add(broken(error));
                    open.pop();
                    continue;
                }
                None => {
                    open.pop();
                    continue;
                }
            };
            let name = entry.file_name();
            if matches!(name.as_str(), "." | "..") {
                continue;
            }
            let path = joined(path, name.as_bytes());
            if entry.is_dir() {
                self.count()?;
                if open.len() >= DEEPEST {
                    return Err(too_deep());
                }
                open.push((entry.to_dir().iter(), path));
            } else {
                let (file, size) = (entry.to_file(), entry.len());
                let reader = Whole { reader: ledger.content(file), left: size };
                self.file(place, &path, reader, Kind::Fat, &mut first)?;
            }
        }
        first.result()
    }
}

/// A file that has to be as long as its entry says: its clusters may end before.
struct Whole<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("a file is shorter than its folder says"));
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}
