//! What lies in the folder of objects, for commands that only read.
//!
//! It makes no folder and no key, takes no lock, and gives files of published paths only: of what is withheld there is
//! nothing here.

use crate::folder::{Folder, FolderError};
use crate::name::ObjectName;
use crate::state::State;
use narthex_closure::{NarHash, StorePath};
use nix_derivation::StoreDir;
use nix_narinfo::NarInfo;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

/// Why a published path cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The folder of objects failed.
    #[error("{0}")]
    Folder(#[from] FolderError),
    /// A NAR cannot be read.
    #[error("cannot read {}", path.display())]
    Nar {
        /// The compressed file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A regular file of a published path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its path below the store path; empty where the path is itself a file.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    offset: u64,
}

/// A published path's NAR, which is there and whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelvedNar {
    /// Size of the compressed file in bytes.
    pub file_size: u64,
    name: ObjectName,
}

/// The objects of a state folder.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: Folder,
}

impl Shelf {
    /// Looks at the objects of a state folder.
    pub fn of(state: &State) -> Self {
        Self { folder: Folder::existing(state.objects(), state.staging()) }
    }

    /// The 32 characters of every path that has a narinfo.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn hashes(&self) -> Result<BTreeSet<String>, FolderError> {
        let names = self.folder.names_at_top()?;
        let hash = |name| match name {
            ObjectName::Narinfo(hash) => Some(hash),
            _ => None,
        };
        Ok(names.into_iter().filter_map(hash).collect())
    }

    /// Whether a path has a narinfo, whatever it says.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn has_narinfo(&self, path: &StorePath) -> Result<bool, FolderError> {
        Ok(self.folder.size(&ObjectName::narinfo(path))?.is_some())
    }

    /// The NAR of a path, if the path is published with exactly these bytes.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn nar(&self, path: &StorePath, nar_hash: NarHash) -> Result<Option<ShelvedNar>, FolderError> {
        let bytes = self.folder.get(&ObjectName::narinfo(path))?;
        let Some(info) = bytes.and_then(|bytes| NarInfo::parse_in(&StoreDir::default(), &bytes).ok()) else {
            return Ok(None);
        };
        let file = info.url().strip_prefix("nar/").and_then(|file| file.strip_suffix(".nar.zst"));
        let Some(name) = file.map(|file| ObjectName::Nar(file.to_owned())) else { return Ok(None) };
        let size = self.folder.size(&name)?;
        let same = info.store_path() == path && *info.nar_hash() == nar_hash.to_nix_hash() && size == info.file_size();
        Ok(size.filter(|_| same).map(|file_size| ShelvedNar { file_size, name }))
    }

    /// The regular files of a published path, in the order in which they lie in its NAR; `None` where its listing is
    /// not there or cannot be read.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn files(&self, path: &StorePath) -> Result<Option<Vec<ListedFile>>, FolderError> {
        let Some(bytes) = self.folder.get(&ObjectName::listing(path))? else { return Ok(None) };
        Ok(listed(&bytes))
    }

    /// Reads files of a NAR, which have to be given in the order in which they lie in it.
    ///
    /// # Errors
    /// When the NAR cannot be read as far as these files.
    pub fn read(&self, nar: &ShelvedNar, files: &[ListedFile]) -> Result<Vec<Vec<u8>>, ShelfError> {
        let path = self.folder.path_of(&nar.name);
        let failed = |source| ShelfError::Nar { path: path.clone(), source };
        let decoder = File::open(&path).and_then(zstd::Decoder::new).map_err(failed)?;
        let mut reader = BufReader::with_capacity(1 << 18, decoder);
        let (mut at, mut contents) = (0, Vec::with_capacity(files.len()));
        for file in files {
            let before = file.offset.checked_sub(at).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
            let skipped = io::copy(&mut reader.by_ref().take(before), &mut io::sink()).map_err(failed)?;
            let mut bytes = Vec::new();
            reader.by_ref().take(file.size).read_to_end(&mut bytes).map_err(failed)?;
            if skipped != before || bytes.len() as u64 != file.size {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            at = file.offset + file.size;
            contents.push(bytes);
        }
        Ok(contents)
    }
}

/// The regular files of a listing, in the order in which they lie in the NAR. Names need not be UTF-8, and are shown as well
/// as they can be: files are told apart by where they lie.
pub(crate) fn listed(listing: &[u8]) -> Option<Vec<ListedFile>> {
    let listing: Listing = serde_json::from_slice(listing).ok()?;
    let mut files = Vec::new();
    let mut todo = vec![(String::new(), listing.root)];
    while let Some((path, node)) = todo.pop() {
        match (node.entries, node.size, node.nar_offset) {
            (Some(entries), _, _) => todo.extend(entries.into_iter().map(|(name, entry)| {
                let name = String::from_utf8_lossy(&name.0);
                let below = if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") };
                (below, entry)
            })),
            (None, Some(size), Some(offset)) => files.push(ListedFile { path, size, offset }),
            // A symbolic link.
            _ => {}
        }
    }
    files.sort_by_key(|file| file.offset);
    Some(files)
}

#[derive(Deserialize)]
struct Listing {
    root: ListedNode,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedNode {
    entries: Option<BTreeMap<Name, ListedNode>>,
    size: Option<u64>,
    nar_offset: Option<u64>,
}

/// A name in a listing, byte for byte.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(Vec<u8>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Name;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Name, E> {
                Ok(Name(bytes.to_owned()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(text.as_bytes().to_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
