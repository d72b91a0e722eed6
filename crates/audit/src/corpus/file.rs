//! The corpus file: flat tables that are used where they lie, so that a mapped file costs no memory.
//!
//! The file is `NARTHEXC`, a version (u32), the length of the body (u64), the BLAKE3 of the body, and
//! the body; integers are little-endian. The body begins with the ends of its parts (u64 each, in the
//! order of [`Part`]); each part but the first two is a table of rows of one width, sorted by their
//! first column. A file of the format before has fewer parts. Numbers inside rows are checked where they are used: a right checksum says who wrote
//! a file, not that it is sound.

use super::{CorpusError, Material};
use crate::binary::Links;
use crate::prints::SectionPrint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::OnceLock;

const MAGIC: &[u8; 8] = b"NARTHEXC";
/// The format of the file.
pub(crate) const VERSION: u32 = 4;
/// The format before it, which ended with [`Part::Free`]. It is read with the later parts empty, and as if nothing
/// had been learned: the same material has more to give now.
const BEFORE: u32 = 3;
const PARTS_BEFORE: usize = Part::Free as usize + 1;
pub(crate) const HEADER: usize = 8 + 4 + 8 + 32;

/// The parts of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// [`Meta`] and [`Names`].
    #[expect(dead_code, reason = "it is the first part, and read as such")]
    Meta,
    /// Details of files and functions, found by their offset.
    Details,
    /// Whole files: hash (16 bytes), size (u64), offset of the details (u32).
    Files,
    /// Distinctive sections: hash, size (u64), row of the file (u32).
    Sections,
    /// The first bytes of files: hash, row of the file (u32).
    Heads,
    /// Functions: anchor (u32), hash, length (u32), offset of the anchor (u32), offset of the details (u32).
    Functions,
    /// Entries of fatbin containers: hash, original (u32).
    Entries,
    /// Names of kernels: hash, original (u32).
    Kernels,
    /// Names of exported functions: hash, original (u32).
    Interface,
    /// Strings: hash, original (u32).
    Strings,
    /// Versions of PE files: hash of company and product, original (u32).
    Products,
    /// What free software has as well: hash.
    Free,
    /// Passages of texts: hash, original (u32).
    Passages,
    /// Originals that a vendor or the operator delivered, and that nobody's build made: original (u32).
    Delivered,
    /// Chunks of files: hash, original (u32).
    Chunks,
}

const PARTS: usize = Part::Chunks as usize + 1;

/// Width of a row in bytes, for the parts that are tables.
const WIDTHS: [usize; PARTS] = [1, 1, 28, 20, 12, 24, 12, 12, 12, 12, 12, 8, 12, 4, 12];

/// A file of restricted material, or the archive that members are from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Original {
    /// Number of the material.
    pub(crate) material: u32,
    /// Path in the package.
    pub(crate) file: String,
}

/// A relocatable object that owns functions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Number of the archive among the originals.
    pub(crate) original: u32,
    /// Its name.
    pub(crate) name: String,
    /// How many functions it owns.
    pub(crate) functions: u32,
}

/// What every scan asks for, read at once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// NAR hashes of what was learned, so that nothing is learned twice.
    pub(crate) learned: BTreeSet<String>,
    pub(crate) materials: Vec<Material>,
    pub(crate) originals: Vec<Original>,
}

/// What stands behind it. It is large, and only asked for where something was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Names {
    pub(crate) members: Vec<Member>,
    /// Names and versions of the free software that was subtracted.
    pub(crate) free: BTreeSet<String>,
}

/// The details of a whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilePrint {
    /// Number of the original.
    pub(crate) original: u32,
    pub(crate) member: Option<String>,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Hashes of its beginnings, see [`crate::prints::heads`].
    pub(crate) heads: Vec<u64>,
    /// Empty for what is not a binary.
    pub(crate) sections: Vec<SectionPrint>,
    /// What a binary tells the dynamic linker.
    pub(crate) links: Links,
}

/// One function of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionRow {
    pub(crate) hash: u64,
    pub(crate) length: u32,
    pub(crate) anchor: u32,
    pub(crate) anchor_offset: u32,
    /// Offset of its masks and owners.
    pub(crate) details: u32,
}

/// One corpus file, as it lies in memory.
pub struct Layer {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    parts: [Range<usize>; PARTS],
    pub(crate) meta: Meta,
    /// Where the names begin in the first part.
    names_at: usize,
    names: OnceLock<Names>,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Layer {
    /// Takes the bytes of a corpus file: read, or mapped.
    ///
    /// # Errors
    /// [`CorpusError`] says what is wrong with them.
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, CorpusError> {
        Self::open(bytes, Held::OnDisk)
    }

    /// The same of bytes that are a part of the program.
    ///
    /// # Errors
    /// As [`Layer::new`].
    pub fn built_in(bytes: &'static [u8]) -> Result<Self, CorpusError> {
        Self::open(bytes, Held::InProgram)
    }

    fn open(bytes: impl AsRef<[u8]> + Send + Sync + 'static, held: Held) -> Result<Self, CorpusError> {
        let (parts, meta, names_at) = open(bytes.as_ref(), held)?;
        let layer = Self { bytes: Box::new(bytes), parts, meta, names_at, names: OnceLock::new() };
        if held == Held::OnDisk {
            let _ = layer.names.set(layer.read_names().ok_or(CorpusError::Content)?);
        }
        Ok(layer)
    }

    /// Names of members and of free software.
    pub(crate) fn names(&self) -> &Names {
        self.names.get_or_init(|| self.read_names().expect("a file that the program has in it is sound"))
    }

    fn read_names(&self) -> Option<Names> {
        let names: Names = postcard::from_bytes(&self.as_bytes()[self.names_at..self.parts[0].end]).ok()?;
        let sound = |member: &Member| (member.original as usize) < self.meta.originals.len();
        names.members.iter().all(sound).then_some(names)
    }

    /// Names the content: two files with the same fingerprints have the same id.
    pub fn id(&self) -> &[u8] {
        &(*self.bytes).as_ref()[20..HEADER]
    }

    /// The file.
    pub fn as_bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    pub(crate) fn table(&self, part: Part) -> Table<'_> {
        Table { bytes: &self.as_bytes()[self.parts[part as usize].clone()], width: WIDTHS[part as usize] }
    }

    pub(crate) fn functions(&self) -> impl Iterator<Item = FunctionRow> {
        let table = self.table(Part::Functions);
        (0..table.len()).map(move |row| function_row(table.row(row)))
    }

    pub(crate) fn function(&self, row: u32) -> FunctionRow {
        function_row(self.table(Part::Functions).row(row as usize))
    }

    /// The details from an offset on; empty where there are none.
    pub(crate) fn details(&self, at: u32) -> Varints<'_> {
        let details = &self.as_bytes()[self.parts[Part::Details as usize].clone()];
        Varints { bytes: details.get(at as usize..).unwrap_or_default() }
    }

    /// The print of the file in a row of [`Part::Files`].
    pub(crate) fn file(&self, row: u32) -> Option<FilePrint> {
        let table = self.table(Part::Files);
        if row as usize >= table.len() {
            return None;
        }
        let at = u32_at(table.row(row as usize), 24);
        let print: FilePrint = postcard::from_bytes(self.details(at).bytes).ok()?;
        (self.meta.originals.len() > print.original as usize).then_some(print)
    }

    /// The rows of a whole file: one for each who has it.
    pub(crate) fn find_files(&self, hash: u128, size: u64) -> impl Iterator<Item = u32> {
        let table = self.table(Part::Files);
        let first = table.partition(|row| file_hash(row) < hash);
        let same = (first..table.len()).take_while(move |row| file_hash(table.row(*row)) == hash);
        same.filter(move |row| u64_at(table.row(*row), 16) == size).map(|row| row as u32)
    }
}

/// The hash of a whole file, from its row.
pub(crate) fn file_hash(row: &[u8]) -> u128 {
    u128::from(u64_at(row, 0)) << 64 | u128::from(u64_at(row, 8))
}

fn function_row(row: &[u8]) -> FunctionRow {
    FunctionRow {
        anchor: u32_at(row, 0),
        hash: u64_at(row, 4),
        length: u32_at(row, 12),
        anchor_offset: u32_at(row, 16),
        details: u32_at(row, 20),
    }
}

fn open(bytes: &[u8], held: Held) -> Result<([Range<usize>; PARTS], Meta, usize), CorpusError> {
    let found = version_of(bytes, MAGIC)?;
    let count = match found {
        VERSION => PARTS,
        BEFORE => PARTS_BEFORE,
        _ => return Err(CorpusError::Version { found }),
    };
    let body = body_of(bytes, held)?;
    if body.len() < count * 8 {
        return Err(CorpusError::Content);
    }
    let mut parts: [Range<usize>; PARTS] = std::array::from_fn(|_| 0..0);
    let mut start = HEADER + count * 8;
    for (number, part) in parts.iter_mut().enumerate().take(count) {
        let end = usize::try_from(u64_at(body, number * 8)).ok().and_then(|end| end.checked_add(HEADER));
        let end =
            end.filter(|end| *end >= start && *end <= bytes.len() && (*end - start).is_multiple_of(WIDTHS[number]));
        let end = end.ok_or(CorpusError::Content)?;
        *part = start..end;
        start = end;
    }
    let (mut meta, rest) =
        postcard::take_from_bytes::<Meta>(&bytes[parts[0].clone()]).map_err(|_| CorpusError::Content)?;
    if found == BEFORE {
        meta.learned.clear();
    }
    if meta.originals.iter().any(|original| original.material as usize >= meta.materials.len()) {
        return Err(CorpusError::Content);
    }
    let names_at = parts[0].end - rest.len();
    Ok((parts, meta, names_at))
}

/// Writes a file from its parts, in the order of [`Part`].
pub(crate) fn write(meta: (&Meta, &Names), details: Vec<u8>, tables: [Vec<u8>; PARTS - 2]) -> Vec<u8> {
    let meta = postcard::to_stdvec(&meta).expect("writing to memory cannot fail");
    let parts: Vec<Vec<u8>> = [meta, details].into_iter().chain(tables).collect();
    let mut body = Vec::new();
    let mut end = (PARTS * 8) as u64;
    for part in &parts {
        end += part.len() as u64;
        body.extend_from_slice(&end.to_le_bytes());
    }
    for part in parts {
        body.extend_from_slice(&part);
    }
    sign(&body)
}

/// Puts the header before a body.
pub(crate) fn sign(body: &[u8]) -> Vec<u8> {
    sealed(MAGIC, VERSION, body)
}

/// A body behind a header: a mark, a version, and the body's length and BLAKE3.
pub(crate) fn sealed(magic: &[u8; 8], version: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(magic);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(blake3::hash(body).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The version that a header with this mark names.
pub(crate) fn version_of(bytes: &[u8], magic: &[u8; 8]) -> Result<u32, CorpusError> {
    if bytes.len() < HEADER || &bytes[..8] != magic { Err(CorpusError::NotACorpus) } else { Ok(u32_at(bytes, 8)) }
}

/// Where bytes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Where they can be cut short or changed.
    OnDisk,
    /// In the program itself: its start does not wait for a checksum of all of them.
    InProgram,
}

/// The body behind a header, if it is whole.
pub(crate) fn body_of(bytes: &[u8], held: Held) -> Result<&[u8], CorpusError> {
    let body = &bytes[HEADER..];
    let is_as_written = || held == Held::InProgram || blake3::hash(body).as_bytes() == &bytes[20..HEADER];
    if u64_at(bytes, 12) == body.len() as u64 && is_as_written() { Ok(body) } else { Err(CorpusError::Checksum) }
}

/// Rows of one width, sorted by their first column.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    bytes: &'a [u8],
    width: usize,
}

impl<'a> Table<'a> {
    pub(crate) fn len(self) -> usize {
        self.bytes.len() / self.width
    }

    pub(crate) fn row(self, number: usize) -> &'a [u8] {
        &self.bytes[number * self.width..(number + 1) * self.width]
    }

    pub(crate) fn rows(self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bytes.chunks_exact(self.width)
    }

    /// The number of the first row for which the question is answered with no.
    fn partition(self, before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.row(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The rows whose first column is a hash.
    pub(crate) fn find(self, hash: u64) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let first = self.partition(|row| u64_at(row, 0) < hash);
        (first..self.len()).map(move |row| self.row(row)).take_while(move |row| u64_at(row, 0) == hash)
    }
}

/// Reads the number that begins at an offset; zero where the bytes end before it does.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Reads the number that begins at an offset; zero where the bytes end before it does.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Numbers in seven bits a byte, the lowest first.
#[derive(Clone, Copy)]
pub(crate) struct Varints<'a> {
    bytes: &'a [u8],
}

impl Varints<'_> {
    /// The next number; zero behind the end.
    pub(crate) fn next(&mut self) -> u32 {
        let mut number = 0u32;
        for shift in (0..32).step_by(7) {
            let Some((byte, rest)) = self.bytes.split_first() else { return number };
            self.bytes = rest;
            number |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }
}

pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
