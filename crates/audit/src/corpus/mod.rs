//! The corpus: fingerprints of restricted material, never its bytes.
//!
//! A corpus is made of layers, each a corpus file: what this machine learned, what ships with the
//! program, what somebody imported. [`Fingerprints`] is the form in which a layer grows, `file` the
//! form in which it lies on disk and in memory, and [`Corpus`] the index over all layers that a scan
//! asks.
//!
//! Where several know the same, all of them are heard. What ships was chosen with care and speaks with
//! one [`Voice`]; each material that was learned here speaks with one of its own, since a package set can
//! call anything its own. No voice silences another one.

mod file;
mod fingerprints;
mod index;

use serde::{Deserialize, Serialize};

pub use file::Layer;
pub(crate) use file::{FilePrint, FunctionRow, HEADER, Held, Part, body_of, sealed, sign, u32_at, u64_at, version_of};
pub use fingerprints::Fingerprints;
pub(crate) use fingerprints::{FunctionPrint, file_key, read_details};
pub use index::{Corpus, Listed};
pub(crate) use index::{FileRef, OriginalRef, Voice};

/// Where restricted material comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Material {
    /// The package's name without its version, for instance `cuda_cudart`.
    pub name: String,
    /// Its version, for instance `12.9.79`; empty where it has none.
    pub version: String,
    /// The licenses that it is under, by the name of their nixpkgs attribute.
    pub licenses: Vec<String>,
}

impl Material {
    /// Material of a package given by its full name, which is parted as Nix's `builtins.parseDrvName` does:
    /// the version begins behind the first dash that no letter follows.
    pub fn of_package(package: &str, licenses: Vec<String>) -> Self {
        let part = package
            .match_indices('-')
            .map(|(at, _)| at)
            .find(|at| package[at + 1..].chars().next().is_some_and(|first| !first.is_ascii_alphabetic()));
        let (name, version) = part.map_or((package, ""), |at| (&package[..at], &package[at + 1..]));
        Self { name: name.to_owned(), version: version.to_owned(), licenses }
    }

    /// The package's full name, for instance `cuda_cudart-12.9.79`.
    pub fn package(&self) -> String {
        if self.version.is_empty() { self.name.clone() } else { format!("{}-{}", self.name, self.version) }
    }
}

/// One original file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The package that it belongs to.
    #[serde(flatten)]
    pub material: Material,
    /// Its path in the package.
    pub file: String,
    /// The archive member, where it lies in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

impl Origin {
    /// The file's name without its folders.
    pub fn file_name(&self) -> &str {
        base_name(&self.file)
    }

    /// Whether it is one and the same to whoever judges: the package without its version, its licenses, and the name
    /// of the file.
    pub(crate) fn is_owner_of(&self, other: &Self) -> bool {
        let named = |one: &Self| (one.material.name.clone(), one.material.licenses.clone());
        named(self) == named(other) && self.file_name() == other.file_name()
    }
}

/// A file's name without its folders.
pub(crate) fn base_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// Why a corpus file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// It is no corpus file at all.
    #[error("it does not begin as a corpus file does")]
    NotACorpus,
    /// It was written by another version of the program.
    #[error("it has format {found}, and this program reads format {}", file::VERSION)]
    Version {
        /// The format it has.
        found: u32,
    },
    /// It is shorter or longer than it says, or its checksum is wrong.
    #[error("its checksum is wrong: it was cut short or changed")]
    Checksum,
    /// The checksum is right and the content is not.
    #[error("its content cannot be read")]
    Content,
}

#[cfg(test)]
mod tests;
