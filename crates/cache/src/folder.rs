//! Objects in a folder.
//!
//! Every write goes to a staging folder on the same file system, is synced, renamed into its place,
//! and the folder is synced: a name that can be read is a whole object, also after a power cut.

use crate::ObjectName;
use crate::mode::{OPEN_FILE, OPEN_FOLDER, PRIVATE_FOLDER, create_new, make_folder};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file operation that failed, with the file.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub struct FolderError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl FolderError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }

    /// What the operating system said.
    pub fn io(&self) -> &io::Error {
        &self.source
    }
}

/// A folder of objects.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    staging: PathBuf,
}

/// An object that is being written and has no place yet. Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    file: File,
}

impl Folder {
    /// Opens a folder, and makes it and its staging folder where they are not there.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn open(root: PathBuf, staging: PathBuf) -> Result<Self, FolderError> {
        let public = ["nar", "log", "withheld"].map(|below| (root.join(below), OPEN_FOLDER));
        for (folder, mode) in public.into_iter().chain([(staging.clone(), PRIVATE_FOLDER)]) {
            make_folder(&folder, mode).map_err(|source| FolderError::new("cannot make", &folder, source))?;
        }
        Ok(Self { root, staging })
    }

    /// Looks at a folder without making anything.
    pub fn existing(root: PathBuf, staging: PathBuf) -> Self {
        Self { root, staging }
    }

    /// Where an object is.
    pub fn path_of(&self, name: &ObjectName) -> PathBuf {
        self.root.join(name.to_string())
    }

    /// The size of an object, if it is there.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn size(&self, name: &ObjectName) -> Result<Option<u64>, FolderError> {
        let path = self.path_of(name);
        absent_or(fs::metadata(&path).map(|meta| meta.len()), "cannot look at", &path)
    }

    /// Reads an object, if it is there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn get(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, FolderError> {
        let path = self.path_of(name);
        absent_or(fs::read(&path), "cannot read", &path)
    }

    /// The names of all objects, in no order.
    pub(crate) fn names(&self) -> Result<Vec<ObjectName>, FolderError> {
        let mut names = self.names_at_top()?;
        for below in ["nar/", "log/", "withheld/"] {
            self.list(below, &mut names)?;
        }
        Ok(names)
    }

    /// The names of those objects that lie in no folder of their own, in no order.
    pub(crate) fn names_at_top(&self) -> Result<Vec<ObjectName>, FolderError> {
        let mut names = Vec::new();
        self.list("", &mut names)?;
        Ok(names)
    }

    fn list(&self, below: &str, names: &mut Vec<ObjectName>) -> Result<(), FolderError> {
        let folder = self.root.join(below);
        let failed = |source| FolderError::new("cannot list", &folder, source);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.to_str().and_then(|name| ObjectName::parse(&format!("{below}{name}"))));
        }
        Ok(())
    }

    /// Writes a small object.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is in its place, or what was there before.
    pub(crate) fn put(&self, name: &ObjectName, bytes: &[u8]) -> Result<(), FolderError> {
        let mut staged = self.stage()?;
        staged.write_all(bytes).map_err(|source| FolderError::new("cannot write", &staged.path, source))?;
        self.commit(staged, name)
    }

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub(crate) fn remove(&self, name: &ObjectName) -> Result<(), FolderError> {
        let path = self.path_of(name);
        if absent_or(fs::remove_file(&path), "cannot remove", &path)?.is_some() {
            sync_folder_of(&path)?;
        }
        Ok(())
    }

    /// Begins an object whose name is known only at its end.
    pub(crate) fn stage(&self) -> Result<Staged, FolderError> {
        let mut number = [0u8; 8];
        getrandom::fill(&mut number).map_err(|error| {
            FolderError::new("cannot name a file in", &self.staging, io::Error::other(error.to_string()))
        })?;
        let path = self.staging.join(format!("{:016x}", u64::from_le_bytes(number)));
        let file = create_new(&path, OPEN_FILE).map_err(|source| FolderError::new("cannot write", &path, source))?;
        Ok(Staged { path, file })
    }

    /// Puts an object into its place.
    pub(crate) fn commit(&self, staged: Staged, name: &ObjectName) -> Result<(), FolderError> {
        let path = self.path_of(name);
        staged.file.sync_all().map_err(|source| FolderError::new("cannot write", &staged.path, source))?;
        fs::rename(&staged.path, &path).map_err(|source| FolderError::new("cannot write", &path, source))?;
        sync_folder_of(&path)
    }

    /// Removes what an earlier run left half-written.
    pub(crate) fn clear_staging(&self) -> Result<(), FolderError> {
        let failed = |source| FolderError::new("cannot clear", &self.staging, source);
        for entry in fs::read_dir(&self.staging).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A folder is what an audit of published paths unpacked.
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            let remove = if is_folder { fs::remove_dir_all } else { fs::remove_file };
            remove(entry.path()).map_err(failed)?;
        }
        Ok(())
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Staged {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a commit there is nothing under this name; otherwise nobody wants it, and the next
        // run clears what could not be removed.
        let _ = fs::remove_file(&self.path);
    }
}

fn absent_or<T>(result: io::Result<T>, action: &'static str, path: &Path) -> Result<Option<T>, FolderError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::new(action, path, source)),
    }
}

fn sync_folder_of(path: &Path) -> Result<(), FolderError> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| FolderError::new("cannot sync", folder, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(dir: &tempfile::TempDir) -> Folder {
        Folder::open(dir.path().join("objects"), dir.path().join("tmp")).unwrap()
    }

    #[test]
    fn objects_are_there_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(&dir);
        let name = ObjectName::Narinfo("0".repeat(32));
        assert_eq!(folder.get(&name).unwrap(), None);
        folder.put(&name, b"one").unwrap();
        folder.put(&name, b"two!").unwrap();
        assert_eq!((folder.get(&name).unwrap().unwrap(), folder.size(&name).unwrap()), (b"two!".to_vec(), Some(4)));
        folder.remove(&name).unwrap();
        folder.remove(&name).unwrap();
        assert_eq!(folder.size(&name).unwrap(), None);
    }

    #[test]
    fn what_was_not_committed_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(&dir);
        let mut staged = folder.stage().unwrap();
        staged.write_all(b"half").unwrap();
        drop(staged);
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);

        fs::write(dir.path().join("tmp/left-by-a-crash"), b"x").unwrap();
        folder.clear_staging().unwrap();
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}
