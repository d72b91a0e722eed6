//! The files of a store path, mapped for the audit.

use narthex_closure::StorePath;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Smaller files are read: a mapping costs more, and a process may have only so many.
const MAPPED_FROM: u64 = 64 * 1024;

/// The regular files below a store path, without following links.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    paths: Vec<PathBuf>,
    /// Folders and files that could not be listed, and why.
    unreadable: Vec<(String, String)>,
}

/// One opened file.
#[derive(Debug)]
pub struct TreeFile {
    /// Path below the store path, with `/`; empty where the store path is itself a file.
    pub path: String,
    /// Its bytes, or why they cannot be had.
    pub bytes: Result<Bytes, String>,
}

/// Bytes in memory or mapped from a file.
#[derive(Debug)]
pub enum Bytes {
    /// Read.
    Read(Vec<u8>),
    /// Mapped.
    Mapped(memmap2::Mmap),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

impl Tree {
    /// Lists the files of a store path, in the order of their names.
    pub fn of(path: &StorePath) -> Self {
        Self::below(PathBuf::from(path.to_string()))
    }

    /// Lists the files below any folder, or a single file.
    pub fn below(root: PathBuf) -> Self {
        let mut tree = Self { root: root.clone(), paths: Vec::new(), unreadable: Vec::new() };
        tree.walk(root);
        tree.paths.sort();
        tree
    }

    fn walk(&mut self, path: PathBuf) {
        let mut todo = vec![path];
        while let Some(path) = todo.pop() {
            let listed = std::fs::symlink_metadata(&path).and_then(|meta| {
                if meta.is_dir() {
                    for entry in std::fs::read_dir(&path)? {
                        todo.push(entry?.path());
                    }
                } else if meta.is_file() {
                    self.paths.push(path.clone());
                }
                Ok(())
            });
            if let Err(error) = listed {
                self.unreadable.push((self.relative(&path), error.to_string()));
            }
        }
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.paths.len() + self.unreadable.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens files in batches, so that not all need be open at once.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = Vec<TreeFile>> {
        let unreadable =
            self.unreadable.iter().map(|(path, why)| TreeFile { path: path.clone(), bytes: Err(why.clone()) });
        let unreadable: Vec<TreeFile> = unreadable.collect();
        let opened = self.paths.chunks(size).map(|chunk| {
            chunk
                .iter()
                .map(|path| TreeFile {
                    path: self.relative(path),
                    bytes: open(path).map_err(|error| error.to_string()),
                })
                .collect()
        });
        std::iter::once(unreadable).filter(|batch| !batch.is_empty()).chain(opened)
    }
}

fn open(path: &Path) -> std::io::Result<Bytes> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size < MAPPED_FROM {
        let mut bytes = Vec::with_capacity(size as usize);
        file.read_to_end(&mut bytes)?;
        return Ok(Bytes::Read(bytes));
    }
    #[expect(
        unsafe_code,
        reason = "files of the store do not change once their path is valid, and only those are mapped"
    )]
    // SAFETY: mapped bytes must not change while they are read. Nix makes valid paths read-only, and
    // an operator who truncates one gets SIGBUS, which ends the process and publishes nothing.
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Bytes::Mapped(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_without_following_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("lib")).unwrap();
        std::fs::write(dir.path().join("lib/small"), b"s").unwrap();
        std::fs::write(dir.path().join("large"), vec![7; 100_000]).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let files: Vec<TreeFile> = Tree::below(dir.path().to_owned()).batches(1).flatten().collect();
        let shown: Vec<_> = files.iter().map(|f| (f.path.as_str(), f.bytes.as_ref().unwrap().len())).collect();
        assert_eq!(shown, [("large", 100_000), ("lib/small", 1)]);
    }

    #[test]
    fn what_is_gone_is_unreadable_and_not_absent() {
        let files: Vec<TreeFile> = Tree::below("/nowhere/at/all".into()).batches(9).flatten().collect();
        assert_eq!(files.len(), 1);
        assert!(files[0].bytes.is_err());
    }
}
