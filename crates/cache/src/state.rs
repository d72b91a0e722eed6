//! The state folder: catalog, objects, corpus and keys.

use crate::key::{KeyError, SecretKey};
use crate::mode::{self, OPEN_FILE, OPEN_FOLDER, PRIVATE_FILE, PRIVATE_FOLDER};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file operation failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Nothing was ever written there.
    #[error("there is no state in {}", path.display())]
    Absent {
        /// The folder.
        path: PathBuf,
    },
    /// Another command writes to it.
    #[error("another narthex is at work in {}", path.display())]
    Busy {
        /// The state folder.
        path: PathBuf,
    },
    /// A key file holds no key.
    #[error("the key in {} cannot be used", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
}

/// A state folder.
///
/// ```text
/// catalog.sqlite   decisions and audits
/// objects/         the binary cache; this folder may be served by any web server
/// corpus           fingerprints
/// keys/            secret signing keys, one a file, *.secret
/// tmp/             objects being written
/// roots/           garbage collector roots while a run is at work
/// lock             held by whoever writes
/// ```
#[derive(Debug)]
pub struct State {
    root: PathBuf,
}

/// Held by whoever writes to the state; the operating system lets go of it when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl State {
    /// Opens a state folder and makes it where it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path) -> Result<Self, StateError> {
        let state = Self { root: root.to_owned() };
        let folders =
            [(state.objects(), OPEN_FOLDER), (state.keys(), PRIVATE_FOLDER), (state.staging(), PRIVATE_FOLDER)];
        for (folder, mode) in folders {
            make_folder(&folder, mode)?;
        }
        Ok(state)
    }

    /// Opens a state folder that is there already, for commands that only read.
    ///
    /// # Errors
    /// [`StateError::Absent`] where there is none.
    pub fn existing(root: &Path) -> Result<Self, StateError> {
        let state = Self { root: root.to_owned() };
        if state.catalog().exists() { Ok(state) } else { Err(StateError::Absent { path: root.to_owned() }) }
    }

    /// A state folder of which nothing is asked, not even that it is there.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that is a binary cache.
    pub fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// The catalog's file.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog.sqlite")
    }

    /// The corpus's file.
    pub fn corpus(&self) -> PathBuf {
        self.root.join("corpus")
    }

    /// The folder of secret keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The folder of objects that are being written.
    pub fn staging(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The folder for garbage collector roots; what an earlier run left in it is removed.
    ///
    /// # Errors
    /// When it cannot be emptied or made.
    pub fn fresh_roots(&self) -> Result<PathBuf, StateError> {
        let roots = self.root.join("roots");
        match fs::remove_dir_all(&roots) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed("cannot empty", &roots)(source)),
            _ => make_folder(&roots, OPEN_FOLDER).map(|()| roots),
        }
    }

    /// Takes the lock of writers.
    ///
    /// # Errors
    /// [`StateError::Busy`] where another process holds it.
    pub fn lock(&self) -> Result<Lock, StateError> {
        let path = self.root.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(OPEN_FILE)
            .open(&path)
            .map_err(failed("cannot open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StateError::Busy { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(failed("cannot lock", &path)(source)),
        }
    }

    /// Reads all secret keys, in the order of their files, and makes the first one where there is none.
    ///
    /// # Errors
    /// When a file cannot be read or holds no key.
    pub fn secret_keys(&self) -> Result<Vec<SecretKey>, StateError> {
        let keys = self.read_keys()?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        let path = self.keys().join("1.secret");
        let key = SecretKey::generate().map_err(|source| StateError::Key { path: path.clone(), source })?;
        write_new(&path, key.to_secret_text().as_bytes(), PRIVATE_FILE).map_err(failed("cannot write", &path))?;
        Ok(vec![key])
    }

    /// The public halves of the keys that are there, as `trusted-public-keys` takes them.
    ///
    /// # Errors
    /// When a file cannot be read or holds no key.
    pub fn public_keys(&self) -> Result<Vec<String>, StateError> {
        Ok(self.read_keys()?.iter().map(SecretKey::public).collect())
    }

    fn read_keys(&self) -> Result<Vec<SecretKey>, StateError> {
        let folder = self.keys();
        let listed = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = listed.map_err(failed("cannot list", &folder))?;
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "secret"));
        paths.sort();
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).map_err(failed("cannot read", &path))?;
            text.parse().map_err(|source| StateError::Key { path, source })
        };
        paths.into_iter().map(read).collect()
    }

    /// Replaces the corpus file in one step.
    ///
    /// # Errors
    /// When it cannot be written; then the old one is still there.
    pub fn write_corpus(&self, bytes: &[u8]) -> Result<(), StateError> {
        let (path, staged) = (self.corpus(), self.staging().join("corpus"));
        let write = || {
            let _ = fs::remove_file(&staged);
            write_new(&staged, bytes, OPEN_FILE)?;
            fs::rename(&staged, &path)?;
            File::open(&self.root)?.sync_all()
        };
        write().map_err(failed("cannot write", &path))
    }
}

fn make_folder(path: &Path, mode: u32) -> Result<(), StateError> {
    mode::make_folder(path, mode).map_err(failed("cannot make", path))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = mode::create_new(path, mode)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_use_makes_a_key_that_only_its_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let public = state.secret_keys().unwrap()[0].public();
        assert_eq!(state.secret_keys().unwrap()[0].public(), public);
        let mode = fs::metadata(state.keys().join("1.secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn two_writers_are_one_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let held = state.lock().unwrap();
        assert!(matches!(state.lock(), Err(StateError::Busy { .. })));
        drop(held);
        state.lock().unwrap();
    }

    #[test]
    fn a_broken_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        fs::write(state.keys().join("a.secret"), "nonsense").unwrap();
        let Err(error) = state.secret_keys() else { panic!("it was taken") };
        assert!(error.to_string().contains("a.secret"), "{error}");
    }
}
