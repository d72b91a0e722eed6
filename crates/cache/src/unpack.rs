//! From a published path back to its files.

use crate::cache::Cache;
use crate::folder::FolderError;
use crate::name::ObjectName;
use narthex_closure::StorePath;
use nix_archive::nar::{CaseHack, Error, restore_reader};
use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// Why a published path could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The cache does not have it.
    #[error("{0} is not in the cache")]
    Absent(StorePath),
    /// The folder of objects failed.
    #[error("{0}")]
    Folder(#[from] FolderError),
    /// Its NAR cannot be read, or its files cannot be written.
    #[error("the NAR of {path} cannot be unpacked")]
    Nar {
        /// The path.
        path: StorePath,
        /// Why.
        #[source]
        source: Error,
    },
    /// A file or folder could not be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Cache {
    /// Writes what a published path holds to a place where nothing is yet.
    ///
    /// # Errors
    /// When the cache does not have the path, or its NAR is damaged; then a part of it may be there.
    pub fn unpack(&self, path: &StorePath, into: &Path) -> Result<(), UnpackError> {
        let nar = self.nar_of(path)?.ok_or_else(|| UnpackError::Absent(path.clone()))?;
        let file = self.folder().path_of(&ObjectName::Nar(nar));
        let failed = |source| UnpackError::File { path: file.clone(), source };
        let compressed = fs::File::open(&file).map_err(failed)?;
        let decoder = zstd::Decoder::new(compressed).map_err(failed)?;
        restore_reader(&mut BufReader::with_capacity(1 << 20, decoder), into, CaseHack::Disabled)
            .map_err(|source| UnpackError::Nar { path: path.clone(), source })
    }
}
