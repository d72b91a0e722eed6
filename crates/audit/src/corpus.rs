//! The corpus: fingerprints of restricted material, and the file that holds them.
//!
//! The file is `NARTHEXC`, a version (u32), the length of the body (u64), the BLAKE3 of the body,
//! and the body; integers are little-endian. Whatever does not match is refused with the way out:
//! fingerprints can always be learned again.

use crate::anchor::AnchorIndex;
use crate::elf::Links;
use crate::prints::{Hash, SectionPrint};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const MAGIC: &[u8; 8] = b"NARTHEXC";
const VERSION: u32 = 2;
const HEADER: usize = 8 + 4 + 8 + 32;

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
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }
}

/// A whole original file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct FilePrint {
    pub(crate) material: u32,
    pub(crate) file: String,
    pub(crate) member: Option<String>,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Empty for what is not a binary.
    pub(crate) sections: Vec<SectionPrint>,
    /// What a binary tells the dynamic linker.
    pub(crate) links: Links,
}

/// One function of an archive member.
///
/// `masked` are the bytes that relocations patch, as (offset, length), sorted and apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FunctionPrint {
    pub(crate) length: u32,
    pub(crate) masked: Vec<(u32, u32)>,
    pub(crate) hash: Hash,
    pub(crate) anchor: u64,
    pub(crate) anchor_offset: u32,
}

impl FunctionPrint {
    /// How many bytes the linker leaves as they are.
    pub(crate) fn unmasked(&self) -> u32 {
        self.length - self.masked.iter().map(|(_, length)| length).sum::<u32>()
    }
}

/// A static archive's member that owns functions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct MemberPrint {
    pub(crate) material: u32,
    pub(crate) archive: String,
    pub(crate) member: String,
    /// Numbers in `Body::functions`, sorted.
    pub(crate) functions: Vec<u32>,
}

/// What is stored: materials, functions and members in the order in which they were learned, the rest
/// sorted. The same material learned in the same order gives the same bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Body {
    /// NAR hashes of what was learned, so that nothing is learned twice.
    pub(crate) learned: BTreeSet<String>,
    pub(crate) materials: Vec<Material>,
    pub(crate) files: BTreeMap<Hash, FilePrint>,
    pub(crate) functions: Vec<FunctionPrint>,
    pub(crate) members: Vec<MemberPrint>,
}

/// Why a corpus file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// It is no corpus file at all.
    #[error("it does not begin as a corpus file does")]
    NotACorpus,
    /// It was written by another version of the program.
    #[error("it has format {found}, and this program reads format {VERSION}")]
    Version {
        /// The format it has.
        found: u32,
    },
    /// It is shorter or longer than it says, or its checksum is wrong.
    #[error("its checksum is wrong: it was cut short or changed")]
    Checksum,
    /// The checksum is right and the content is not.
    #[error("its content cannot be read")]
    Content(#[source] postcard::Error),
}

/// Fingerprints of restricted material, ready for a scan.
#[derive(Debug, Default)]
pub struct Corpus {
    pub(crate) body: Body,
    /// Hash of a distinctive section → hashes of the files that have it.
    pub(crate) by_section: HashMap<Hash, Vec<Hash>>,
    pub(crate) anchors: AnchorIndex,
    /// Function → the members that own it.
    pub(crate) owners: Vec<Vec<u32>>,
}

impl Corpus {
    /// Reads a corpus file.
    ///
    /// # Errors
    /// [`CorpusError`] says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CorpusError> {
        if bytes.len() < HEADER || &bytes[..8] != MAGIC {
            return Err(CorpusError::NotACorpus);
        }
        let (header, body) = bytes.split_at(HEADER);
        let mut version = [0; 4];
        version.copy_from_slice(&header[8..12]);
        let found = u32::from_le_bytes(version);
        if found != VERSION {
            return Err(CorpusError::Version { found });
        }
        let mut length = [0; 8];
        length.copy_from_slice(&header[12..20]);
        if u64::from_le_bytes(length) != body.len() as u64 || blake3::hash(body).as_bytes() != &header[20..52] {
            return Err(CorpusError::Checksum);
        }
        Self::from_body(postcard::from_bytes(body).map_err(CorpusError::Content)?)
    }

    /// Writes a corpus file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = postcard::to_stdvec(&self.body).expect("writing to memory cannot fail");
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(blake3::hash(&body).as_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Names the content: two corpora with the same fingerprints have the same id.
    pub fn id(&self) -> String {
        let body = postcard::to_stdvec(&self.body).expect("writing to memory cannot fail");
        blake3::hash(&body).to_hex()[..32].to_owned()
    }

    /// Whether material with this NAR hash was learned before.
    pub fn has_learned(&self, nar_hash: &str) -> bool {
        self.body.learned.contains(nar_hash)
    }

    /// Adds licenses that a package is declared under now to those that it was learned under; says whether
    /// there were any. A correction never loosens what is known: terms must permit under all of them.
    pub fn add_licenses(&mut self, declared: &Material) -> bool {
        let mut changed = false;
        for material in self.body.materials.iter_mut().filter(|known| known.package() == declared.package()) {
            for license in &declared.licenses {
                if !material.licenses.contains(license) {
                    material.licenses.push(license.clone());
                    changed = true;
                }
            }
        }
        changed
    }

    /// How many whole files and how many functions it knows.
    pub fn size(&self) -> (usize, usize) {
        (self.body.files.len(), self.body.functions.len())
    }

    pub(crate) fn from_body(body: Body) -> Result<Self, CorpusError> {
        let mut by_section: HashMap<Hash, Vec<Hash>> = HashMap::new();
        for (hash, file) in &body.files {
            for section in file.sections.iter().filter(|s| s.is_distinctive()) {
                by_section.entry(section.hash).or_default().push(*hash);
            }
        }
        let mut owners = vec![Vec::new(); body.functions.len()];
        for (number, member) in body.members.iter().enumerate() {
            for function in &member.functions {
                // A file with a right checksum and wrong numbers was written by somebody else.
                let owner = owners.get_mut(*function as usize).ok_or(CorpusError::NotACorpus)?;
                owner.push(number as u32);
            }
        }
        let sound = body.materials.len() as u32;
        let materials = body.files.values().map(|f| f.material).chain(body.members.iter().map(|m| m.material));
        let masks_fit = body.functions.iter().all(|f| {
            let ends = f.masked.iter().map(|(at, length)| at.checked_add(*length));
            ends.into_iter().all(|end| end.is_some_and(|end| end <= f.length))
                && f.masked.iter().map(|(_, length)| u64::from(*length)).sum::<u64>() <= u64::from(f.length)
        });
        if materials.into_iter().any(|material| material >= sound) || !masks_fit {
            return Err(CorpusError::NotACorpus);
        }
        let anchors = AnchorIndex::new(body.functions.iter().enumerate().map(|(n, f)| (f.anchor, n as u32)));
        Ok(Self { body, by_section, anchors, owners })
    }

    pub(crate) fn origin_of_file(&self, print: &FilePrint) -> Origin {
        Origin {
            material: self.body.materials[print.material as usize].clone(),
            file: print.file.clone(),
            member: print.member.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prints::hash;
    use proptest::prelude::*;

    fn small() -> Corpus {
        let mut body = Body::default();
        body.learned.insert("sha256:x".to_owned());
        body.materials.push(Material::of_package("vendor-1", vec!["unfree".to_owned()]));
        let print = FilePrint {
            material: 0,
            file: "lib/a".to_owned(),
            member: None,
            size: 5,
            sections: vec![],
            links: Links::default(),
        };
        body.files.insert(hash(b"bytes"), print);
        Corpus::from_body(body).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let corpus = small();
        let again = Corpus::from_bytes(&corpus.to_bytes()).unwrap();
        assert_eq!(again.id(), corpus.id());
        assert!(again.has_learned("sha256:x"));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_refused() {
        let bytes = small().to_bytes();
        for end in 0..bytes.len() {
            assert!(Corpus::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Corpus::from_bytes(&changed).is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn another_format_says_so() {
        let mut bytes = small().to_bytes();
        bytes[8] = 9;
        assert!(matches!(Corpus::from_bytes(&bytes), Err(CorpusError::Version { found: 9 })));
    }

    proptest! {
        /// A body with a right checksum and arbitrary content is refused or read, never a panic.
        #[test]
        fn foreign_bodies_do_not_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&VERSION.to_le_bytes());
            bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
            bytes.extend_from_slice(blake3::hash(&body).as_bytes());
            bytes.extend_from_slice(&body);
            let _ = Corpus::from_bytes(&bytes);
        }
    }
}
