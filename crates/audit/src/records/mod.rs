//! Records: hashes of all files of all releases that vendors published, of which nothing else is known.
//!
//! A vendor's package says of each of its files which SHA-256 and which size it has, so that every release can be
//! known without its bytes. The table answers one question, whether a file is one of them as it is, and one beside:
//! whose files have a certain name. It never says that a file was changed: that is the corpus's to say, which knows
//! what is in the files.
//!
//! The file is `NARTHEXR`, a version (u32), the length of the body (u64), the BLAKE3 of the body, and the body;
//! integers are little-endian. The body begins with the ends of its parts (u64 each, in the order of [`Part`]), and is
//! used where it lies. Numbers inside rows are checked where they are used.
//!
//! A file is told by its size and by the first 64 bits of its SHA-256. Of 10^15 files, each of the size of ten that
//! are known, chance accuses one with a probability of one in 1,800; and nobody gains anything by forging one that is
//! accused.

mod names;
mod pack;

use crate::corpus::{CorpusError, HEADER, Held, Material, Origin, body_of, sealed, u32_at, u64_at, version_of};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;

pub(crate) use names::{is_wines, suspicion};
pub use pack::{PackError, pack_records};

const MAGIC: &[u8; 8] = b"NARTHEXR";
const VERSION: u32 = 1;

/// Groups of equal releases that one finding names; there are rarely more than ten.
const GROUPS: usize = 64;

/// The parts of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All texts, one behind the other.
    Texts,
    /// Where each text ends: u32.
    Ends,
    /// Packages: name and license, two texts (u32 each).
    Packages,
    /// Releases, those of one package together and the newest last: package, version, platform (u32 each).
    Releases,
    /// Files, sorted: size (u64), hash (u64), offset of the details (u32).
    Files,
    /// Of each file: how many paths it has, and of each path its text, how many releases have it there, and their
    /// numbers, each as the distance from the one before; seven bits a byte.
    Details,
    /// Names that only vendors' files have, sorted by their text: text, path of such a file, release, and the text
    /// that has to be in the file as well, or 0 (u32 each).
    Names,
}

const PARTS: usize = Part::Names as usize + 1;
const WIDTHS: [usize; PARTS] = [1, 4, 8, 12, 20, 1, 16];

/// Releases of one package for one platform that have the same file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Release {
    /// The package's name without its version.
    pub package: String,
    /// For which machines and systems, as the package says it.
    pub platform: String,
    /// Its versions, the oldest first.
    pub versions: Vec<String>,
}

/// A file that is known, as packages of one license have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// The newest release.
    pub(crate) origin: Origin,
    /// All of them.
    pub(crate) releases: Vec<Release>,
}

/// Numbers of releases by package and platform.
type Groups<'a> = BTreeMap<(&'a str, &'a str), Vec<u32>>;

/// One file of records, as it lies in memory.
pub struct Records {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    parts: [Range<usize>; PARTS],
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Records {
    /// Takes the bytes of a file of records: read, or mapped.
    ///
    /// # Errors
    /// [`CorpusError`] says what is wrong with them.
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, CorpusError> {
        Self::open(bytes, Held::OnDisk)
    }

    /// The same of bytes that are a part of the program.
    ///
    /// # Errors
    /// As [`Records::new`].
    pub fn built_in(bytes: &'static [u8]) -> Result<Self, CorpusError> {
        Self::open(bytes, Held::InProgram)
    }

    fn open(bytes: impl AsRef<[u8]> + Send + Sync + 'static, held: Held) -> Result<Self, CorpusError> {
        let parts = open(bytes.as_ref(), held)?;
        Ok(Self { bytes: Box::new(bytes), parts })
    }

    /// Names the content.
    pub fn id(&self) -> &[u8] {
        &(*self.bytes).as_ref()[20..HEADER]
    }

    /// How many files of how many releases it knows.
    pub fn size(&self) -> (usize, usize) {
        (self.rows(Part::Files), self.rows(Part::Releases))
    }

    fn part(&self, part: Part) -> &[u8] {
        &(*self.bytes).as_ref()[self.parts[part as usize].clone()]
    }

    fn rows(&self, part: Part) -> usize {
        self.part(part).len() / WIDTHS[part as usize]
    }

    /// A row; empty behind the last one, so that numbers in it are zero.
    fn row(&self, part: Part, number: usize) -> &[u8] {
        let width = WIDTHS[part as usize];
        let start = number.saturating_mul(width);
        self.part(part).get(start..start.saturating_add(width)).unwrap_or_default()
    }

    /// A text; empty for a number that means nothing.
    fn text(&self, number: u32) -> &str {
        let end = |number: usize| u32_at(self.row(Part::Ends, number), 0) as usize;
        let start = (number as usize).checked_sub(1).map_or(0, end);
        let bytes = self.part(Part::Texts).get(start..end(number as usize)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    fn first(&self, part: Part, before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.rows(part));
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.row(part, middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Whether a file of this size is known; only then is it worth hashing.
    fn knows_size(&self, size: u64) -> bool {
        let first = self.first(Part::Files, |row| u64_at(row, 0) < size);
        first < self.rows(Part::Files) && u64_at(self.row(Part::Files, first), 0) == size
    }

    /// Whose file this is, byte for byte: one answer for each license.
    pub(crate) fn find(&self, bytes: &[u8]) -> Vec<Recorded> {
        let size = bytes.len() as u64;
        if !self.knows_size(size) {
            return Vec::new();
        }
        let key = (size, key_of(&Sha256::digest(bytes)));
        let of = |row: &[u8]| (u64_at(row, 0), u64_at(row, 8));
        let at = self.first(Part::Files, |row| of(row) < key);
        let row = self.row(Part::Files, at);
        if row.is_empty() || of(row) != key { Vec::new() } else { self.recorded(u32_at(row, 16)) }
    }

    fn recorded(&self, details: u32) -> Vec<Recorded> {
        let mut numbers = Numbers(self.part(Part::Details).get(details as usize..).unwrap_or_default());
        // License, then package and platform: the number of the newest release, its path, and all versions.
        let mut found: BTreeMap<&str, (u32, u32, Groups<'_>)> = BTreeMap::new();
        for _ in 0..numbers.next().unwrap_or(0) {
            let (Some(path), Some(count)) = (numbers.next(), numbers.next()) else { break };
            let mut release = 0u32;
            for _ in 0..count {
                let Some(step) = numbers.next() else { break };
                release = release.saturating_add(step);
                let Some((package, license, _, platform)) = self.release(release) else { break };
                let of = found.entry(license).or_insert((release, path, BTreeMap::new()));
                if release > of.0 {
                    (of.0, of.1) = (release, path);
                }
                let versions = of.2.entry((package, platform)).or_default();
                if versions.last() != Some(&release) {
                    versions.push(release);
                }
            }
        }
        let recorded = found.into_values().filter_map(|(newest, path, groups)| {
            let releases = groups.into_iter().take(GROUPS).map(|((package, platform), mut numbers)| {
                numbers.sort_unstable();
                numbers.dedup();
                let version = |number: u32| Some(self.release(number)?.2.to_owned());
                let mut versions: Vec<String> = numbers.into_iter().filter_map(version).collect();
                // A release may have several wheels for one platform.
                versions.dedup();
                Release { package: package.to_owned(), platform: platform.to_owned(), versions }
            });
            Some(Recorded { origin: self.origin(newest, path)?, releases: releases.collect() })
        });
        recorded.collect()
    }

    /// Package, license, version and platform of a release.
    fn release(&self, number: u32) -> Option<(&str, &str, &str, &str)> {
        let row = Some(self.row(Part::Releases, number as usize)).filter(|row| !row.is_empty())?;
        let package = Some(self.row(Part::Packages, u32_at(row, 0) as usize)).filter(|row| !row.is_empty())?;
        let [name, license] = [0, 4].map(|at| self.text(u32_at(package, at)));
        Some((name, license, self.text(u32_at(row, 4)), self.text(u32_at(row, 8))))
    }

    fn origin(&self, release: u32, path: u32) -> Option<Origin> {
        let (package, license, version, _) = self.release(release)?;
        let licenses = vec![license.to_owned()];
        let material = Material { name: package.to_owned(), version: version.to_owned(), licenses };
        Some(Origin { material, file: self.text(path).to_owned(), member: None })
    }

    /// A file that has this name, in the form of [`names::key`], and what a file has to say beside its name.
    fn named(&self, key: &str) -> Option<(Origin, &str)> {
        let at = self.first(Part::Names, |row| self.text(u32_at(row, 0)) < key);
        let row = Some(self.row(Part::Names, at)).filter(|row| !row.is_empty())?;
        if self.text(u32_at(row, 0)) != key {
            return None;
        }
        let said = if u32_at(row, 12) == 0 { "" } else { self.text(u32_at(row, 12)) };
        Some((self.origin(u32_at(row, 8), u32_at(row, 4))?, said))
    }
}

/// The first 64 bits of a SHA-256.
fn key_of(hash: &[u8]) -> u64 {
    u64_at(hash, 0)
}

fn open(bytes: &[u8], held: Held) -> Result<[Range<usize>; PARTS], CorpusError> {
    let found = version_of(bytes, MAGIC)?;
    if found != VERSION {
        return Err(CorpusError::Version { found });
    }
    let body = body_of(bytes, held)?;
    let mut parts: [Range<usize>; PARTS] = std::array::from_fn(|_| 0..0);
    let mut start = HEADER + PARTS * 8;
    if bytes.len() < start {
        return Err(CorpusError::Content);
    }
    for (number, part) in parts.iter_mut().enumerate() {
        let end = usize::try_from(u64_at(body, number * 8)).ok().and_then(|end| end.checked_add(HEADER));
        let sound = |end: &usize| *end >= start && *end <= bytes.len() && (*end - start).is_multiple_of(WIDTHS[number]);
        let end = end.filter(sound).ok_or(CorpusError::Content)?;
        *part = start..end;
        start = end;
    }
    Ok(parts)
}

/// Puts the header before a body.
pub(crate) fn sign(body: &[u8]) -> Vec<u8> {
    sealed(MAGIC, VERSION, body)
}

/// Numbers in seven bits a byte, the lowest first.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Option<u32> {
        let mut number = 0u32;
        for shift in (0..32).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests;
