//! The index over all layers that a scan asks.

use super::file::{FilePrint, FunctionRow, Layer, Part, u32_at, u64_at};
use super::{Material, Origin, file_key, read_details};
use crate::anchor::{AnchorIndex, Filter};
use crate::links::filter_of;
use crate::passages;
use crate::prints::SectionPrint;
use crate::records::{Recorded, Records};
use crate::strings::{Families, family};
use foldhash::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Fingerprints of restricted material, ready for a scan.
#[derive(Debug, Default)]
pub struct Corpus {
    layers: Vec<Layer>,
    /// Hashes of published releases.
    records: Option<Records>,
    /// How many of the first layers were learned here; for each of them, the voice of each material.
    learned: Vec<Vec<u32>>,
    /// The number of each layer's first function; and of all functions at the end.
    first_function: Vec<u32>,
    pub(crate) anchors: AnchorIndex,
    pub(crate) families: Families,
    pub(crate) entries: Filter,
    pub(crate) kernels: Filter,
    pub(crate) interface: Filter,
    pub(crate) passages: Filter,
    kept_passages: HashMap<OriginalRef, passages::Kept>,
    pub(crate) chunks: Filter,
    /// How many chunks of an original are known.
    chunk_counts: HashMap<OriginalRef, u32>,
    free: HashSet<u64>,
    file_sizes: HashSet<u64>,
    section_sizes: HashSet<u64>,
    /// Functions by their hash.
    numbers: OnceLock<HashMap<u64, Vec<u32>>>,
}

/// An original of one of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OriginalRef {
    pub(crate) layer: u32,
    pub(crate) original: u32,
}

/// Who says whose something is. Each is asked by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Voice {
    /// A package that was learned here, by its layer and the first of its materials.
    Learned(u32, u32),
    /// What ships, and what a corpus without layers of its own holds.
    Shipped,
}

/// A whole file of one of the layers.
#[derive(Clone, Debug)]
pub(crate) struct FileRef {
    pub(crate) layer: u32,
    pub(crate) print: FilePrint,
}

/// What a corpus knows of one material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The material.
    pub material: Material,
    /// Whole files.
    pub files: usize,
    /// Functions of static archives.
    pub functions: usize,
    /// Entries of fatbin containers.
    pub entries: usize,
    /// Names of kernels.
    pub kernels: usize,
}

impl Corpus {
    /// Makes the index over some layers that were all chosen with care.
    pub fn new(layers: Vec<Layer>) -> Self {
        Self::layered(Vec::new(), layers)
    }

    /// Makes the index over what was learned here and over what ships.
    pub fn layered(learned: Vec<Layer>, shipped: Vec<Layer>) -> Self {
        let voices = learned.iter().map(|layer| {
            let materials = &layer.meta.materials;
            let same = |one: &Material| {
                let first =
                    materials.iter().position(|other| (&other.name, &other.licenses) == (&one.name, &one.licenses));
                first.unwrap_or_default() as u32
            };
            materials.iter().map(same).collect()
        });
        let voices: Vec<Vec<u32>> = voices.collect();
        let layers: Vec<Layer> = learned.into_iter().chain(shipped).collect();
        let free: HashSet<u64> =
            layers.iter().flat_map(|layer| layer.table(Part::Free).rows().map(|row| u64_at(row, 0))).collect();
        let mut first_function = vec![0];
        for layer in &layers {
            let before = first_function.last().copied().unwrap_or(0);
            first_function.push(before + layer.table(Part::Functions).len() as u32);
        }
        let anchors = || {
            let mut anchors = Vec::with_capacity(first_function.last().copied().unwrap_or(0) as usize);
            for (layer, first) in layers.iter().zip(&first_function) {
                // A function of impossible shape is no function.
                let sound = |f: &FunctionRow| f.anchor_offset < f.length && !free.contains(&f.hash);
                let rows = layer.functions().enumerate().filter(|(_, row)| sound(row));
                anchors.extend(rows.map(|(row, function)| (function.anchor, first + row as u32)));
            }
            AnchorIndex::new(anchors)
        };
        let column = |part, at: usize| -> HashSet<u64> {
            layers.iter().flat_map(|layer| layer.table(part).rows().map(move |row| u64_at(row, at))).collect()
        };
        let sizes = || (column(Part::Files, 16), column(Part::Sections, 8));
        let families = || Families::new(&layers, voices.len(), &free);
        let passages = || (passages::filter_of(&layers), passages::kept_in(&layers, &free));
        let filters =
            || [Part::Entries, Part::Kernels, Part::Interface, Part::Chunks].map(|part| filter_of(&layers, part));
        let counts = || {
            let mut counts: HashMap<OriginalRef, u32> = HashMap::default();
            for (layer, number) in layers.iter().zip(0..) {
                for row in layer.table(Part::Chunks).rows().filter(|row| !free.contains(&u64_at(row, 0))) {
                    *counts.entry(OriginalRef { layer: number, original: u32_at(row, 8) }).or_default() += 1;
                }
            }
            counts
        };
        // Every command waits for this.
        let ((anchors, (families, passages)), (sizes, (filters, chunk_counts))) = rayon::join(
            || rayon::join(anchors, || rayon::join(families, passages)),
            || rayon::join(sizes, || rayon::join(filters, counts)),
        );
        let [entries, kernels, interface, chunks] = filters;
        let ((file_sizes, section_sizes), (passages, kept_passages)) = (sizes, passages);
        Self {
            learned: voices,
            kept_passages,
            passages,
            anchors,
            families,
            entries,
            kernels,
            interface,
            chunks,
            chunk_counts,
            first_function,
            free,
            file_sizes,
            section_sizes,
            numbers: OnceLock::new(),
            records: None,
            layers,
        }
    }

    /// The same corpus with the records of published releases.
    #[must_use]
    pub fn with_records(self, records: Option<Records>) -> Self {
        Self { records, ..self }
    }

    /// Hashes of published releases, where there are any.
    pub fn records(&self) -> Option<&Records> {
        self.records.as_ref()
    }

    /// Published releases that have a file as it is: one answer for each license.
    pub(crate) fn recorded(&self, bytes: &[u8]) -> Vec<Recorded> {
        self.records.as_ref().map_or_else(Vec::new, |records| records.find(bytes))
    }

    /// Names the content: the same layers in the same order have the same id.
    pub fn id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for layer in &self.layers {
            hasher.update(layer.id());
        }
        if let Some(records) = &self.records {
            hasher.update(records.id());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// The layers: those that were learned here, then those that ship.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// How many whole files and how many functions it knows.
    pub fn size(&self) -> (usize, usize) {
        let count = |part| self.layers.iter().map(|layer| layer.table(part).len()).sum();
        (count(Part::Files), count(Part::Functions))
    }

    /// Whether material with this hash was learned before.
    pub fn has_learned(&self, hash: &str) -> bool {
        self.layers.iter().any(|layer| layer.meta.learned.contains(hash))
    }

    /// Free software that was subtracted: names and versions.
    pub fn subtracted(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().flat_map(|layer| layer.names().free.iter().map(String::as_str))
    }

    /// What it knows, material by material.
    pub fn list(&self) -> Vec<Listed> {
        let mut listed: BTreeMap<Material, Listed> = BTreeMap::new();
        for (number, layer) in self.layers.iter().enumerate() {
            for material in &layer.meta.materials {
                let none = Listed { material: material.clone(), files: 0, functions: 0, entries: 0, kernels: 0 };
                listed.entry(material.clone()).or_insert(none);
            }
            let mut count = |original: u32, add: fn(&mut Listed)| {
                let original = OriginalRef { layer: number as u32, original };
                if let Some(one) = self.material(original).and_then(|material| listed.get_mut(material)) {
                    add(one);
                }
            };
            for row in 0..layer.table(Part::Files).len() {
                if let Some(print) = layer.file(row as u32) {
                    count(print.original, |one| one.files += 1);
                }
            }
            for row in layer.functions() {
                let (_, owners) = read_details(layer, row.details);
                if let Some(member) = owners.first().and_then(|owner| layer.names().members.get(*owner as usize)) {
                    count(member.original, |one| one.functions += 1);
                }
            }
            for row in layer.table(Part::Entries).rows() {
                count(u32_at(row, 8), |one| one.entries += 1);
            }
            for row in layer.table(Part::Kernels).rows() {
                count(u32_at(row, 8), |one| one.kernels += 1);
            }
        }
        listed.into_values().collect()
    }

    /// Whether a print is one that free software has as well.
    pub(crate) fn is_free(&self, hash: u64) -> bool {
        self.free.contains(&hash)
    }

    /// Whether a file of this size is known; only then is it worth hashing.
    pub(crate) fn knows_size(&self, size: u64) -> bool {
        self.file_sizes.contains(&size)
    }

    /// Whether a distinctive section of this size is known; only then is it worth hashing.
    pub(crate) fn knows_section_size(&self, size: u64) -> bool {
        self.section_sizes.contains(&size)
    }

    /// The whole files with a hash, of all that have it.
    pub(crate) fn files(&self, hash: u128, size: u64) -> Vec<FileRef> {
        if self.is_free(file_key(hash)) {
            return Vec::new();
        }
        let numbered = self.layers.iter().enumerate();
        let rows = numbered.flat_map(|(number, layer)| {
            let file = move |row| Some(FileRef { layer: number as u32, print: layer.file(row)? });
            layer.find_files(hash, size).filter_map(file)
        });
        rows.collect()
    }

    /// Who has some files. Several releases of one package are one owner, and so are packages that ship under the same
    /// license: the first of them is named.
    pub(crate) fn owners_of(&self, files: impl IntoIterator<Item = FileRef>) -> Vec<(FileRef, Origin)> {
        let mut owners: Vec<(FileRef, Origin)> = Vec::new();
        for file in files {
            let Some(origin) = self.origin_of_file(&file) else { continue };
            let known = owners.iter().any(|(other, known)| {
                let both_ship = [&file, other].iter().all(|one| self.is_shipped(one.layer));
                let licenses = both_ship && known.material.licenses == origin.material.licenses;
                known.is_owner_of(&origin) || licenses && known.file_name() == origin.file_name()
            });
            if !known {
                owners.push((file, origin));
            }
        }
        owners
    }

    /// Whether a file was delivered as it is, and nobody's build made it.
    pub(crate) fn is_delivered(&self, file: &FileRef) -> bool {
        let delivered = self.layers[file.layer as usize].table(Part::Delivered);
        delivered.rows().any(|row| u32_at(row, 0) == file.print.original)
    }

    /// Whether a layer ships; else it was learned here.
    pub(crate) fn is_shipped(&self, layer: u32) -> bool {
        layer as usize >= self.learned.len()
    }

    /// Who says whose an original is.
    pub(crate) fn voice(&self, original: OriginalRef) -> Voice {
        let Some(voices) = self.learned.get(original.layer as usize) else { return Voice::Shipped };
        let meta = &self.layers[original.layer as usize].meta;
        let known =
            meta.originals.get(original.original as usize).and_then(|known| voices.get(known.material as usize));
        Voice::Learned(original.layer, known.copied().unwrap_or(u32::MAX))
    }

    /// Files that begin with the bytes that have this hash.
    pub(crate) fn files_beginning(&self, head: u64) -> impl Iterator<Item = FileRef> {
        self.files_in(Part::Heads, head, 8)
    }

    /// The originals that share the most bytes in distinctive sections, one of each voice; the one that shares the most
    /// of all comes first. What the sections are called in the copy does not matter.
    pub(crate) fn closest(&self, sections: &[SectionPrint]) -> Vec<FileRef> {
        let mut heard = BTreeSet::new();
        let voice = |file: &FileRef| self.voice(OriginalRef { layer: file.layer, original: file.print.original });
        self.all_sharing(sections).filter(|file| heard.insert(voice(file))).collect()
    }

    /// Other files of the voice of one that share bytes in distinctive sections, those that share the most.
    pub(crate) fn sharing(&self, sections: &[SectionPrint], one: &FileRef) -> Vec<FileRef> {
        const MOST: usize = 64;
        let voice = |file: &FileRef| self.voice(OriginalRef { layer: file.layer, original: file.print.original });
        let of = voice(one);
        let others = self.all_sharing(sections).filter(|file| voice(file) == of);
        others.filter(|file| (file.layer, &file.print) != (one.layer, &one.print)).take(MOST).collect()
    }

    fn all_sharing(&self, sections: &[SectionPrint]) -> impl Iterator<Item = FileRef> {
        let mut shared: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for section in sections {
            for (number, layer) in self.layers.iter().enumerate() {
                for row in layer.table(Part::Sections).find(section.hash) {
                    if u64_at(row, 8) == section.size {
                        *shared.entry((number as u32, u32_at(row, 16))).or_default() += section.size;
                    }
                }
            }
        }
        let mut sharing: Vec<((u32, u32), u64)> = shared.into_iter().collect();
        sharing.sort_by_key(|(at, bytes)| (std::cmp::Reverse(*bytes), *at));
        let file = |((layer, row), _)| Some(FileRef { layer, print: self.layers[layer as usize].file(row)? });
        sharing.into_iter().filter_map(file)
    }

    fn files_in(&self, part: Part, hash: u64, at: usize) -> impl Iterator<Item = FileRef> {
        self.layers.iter().enumerate().flat_map(move |(number, layer)| {
            let rows = layer.table(part).find(hash);
            rows.filter_map(move |row| Some(FileRef { layer: number as u32, print: layer.file(u32_at(row, at))? }))
        })
    }

    /// What is kept of the passages of an original.
    pub(crate) fn passages_of(&self, original: OriginalRef) -> passages::Kept {
        self.kept_passages.get(&original).copied().unwrap_or_default()
    }

    /// The originals that a hash stands beside in a table of pairs.
    pub(crate) fn originals(&self, part: Part, hash: u64) -> impl Iterator<Item = OriginalRef> {
        self.layers.iter().enumerate().flat_map(move |(number, layer)| {
            let rows = layer.table(part).find(hash);
            rows.map(move |row| OriginalRef { layer: number as u32, original: u32_at(row, 8) })
        })
    }

    /// How many chunks of an original are known.
    pub(crate) fn chunks_of(&self, original: OriginalRef) -> u32 {
        self.chunk_counts.get(&original).copied().unwrap_or(0)
    }

    /// Whether the material of an original has a library of this name, see [`crate::strings::family`].
    pub(crate) fn is_library_of(&self, original: OriginalRef, name: &str) -> bool {
        let Some(meta) = self.layers.get(original.layer as usize).map(|layer| &layer.meta) else { return false };
        let Some(known) = meta.originals.get(original.original as usize) else { return false };
        let library = |file: &str| [".so", ".a", ".lib", ".dll"].iter().any(|end| file.contains(end));
        let of_material = meta.originals.iter().filter(|other| other.material == known.material);
        of_material.filter(|other| library(&other.file)).any(|other| family(&other.file) == name)
    }

    /// How many rows of a table of pairs stand beside an original.
    pub(crate) fn count_of(&self, part: Part, original: OriginalRef) -> usize {
        let Some(layer) = self.layers.get(original.layer as usize) else { return 0 };
        layer.table(part).rows().filter(|row| u32_at(row, 8) == original.original).count()
    }

    fn layer_of(&self, function: u32) -> (u32, &Layer, u32) {
        let number = self.first_function.partition_point(|first| *first <= function) - 1;
        (number as u32, &self.layers[number], function - self.first_function[number])
    }

    /// A function by its number.
    pub(crate) fn function(&self, number: u32) -> FunctionRow {
        let (_, layer, row) = self.layer_of(number);
        layer.function(row)
    }

    /// What relocations patch in a function, in the form of [`read_details`].
    pub(crate) fn masks(&self, number: u32, function: &FunctionRow) -> super::file::Varints<'_> {
        self.layer_of(number).1.details(function.details)
    }

    /// The members that own a function: the layer, and the numbers in it.
    pub(crate) fn owners(&self, number: u32, function: &FunctionRow) -> (u32, Vec<u32>) {
        let (number, layer, _) = self.layer_of(number);
        let mut owners = read_details(layer, function.details).1;
        owners.retain(|owner| (*owner as usize) < layer.names().members.len());
        (number, owners)
    }

    /// The numbers of functions with this hash, one for each layer that has it. Only learning asks for them.
    pub(crate) fn functions_with(&self, hash: u64) -> &[u32] {
        let numbers = self.numbers.get_or_init(|| {
            let mut numbers: HashMap<u64, Vec<u32>> = HashMap::default();
            for (layer, first) in self.layers.iter().zip(&self.first_function) {
                for (function, number) in layer.functions().zip(*first..) {
                    numbers.entry(function.hash).or_default().push(number);
                }
            }
            numbers
        });
        numbers.get(&hash).map_or(&[], Vec::as_slice)
    }

    /// A member of an archive: its archive, its name, and how many functions it has.
    pub(crate) fn member(&self, layer: u32, member: u32) -> (OriginalRef, &str, u32) {
        let member = &self.layers[layer as usize].names().members[member as usize];
        (OriginalRef { layer, original: member.original }, &member.name, member.functions)
    }

    /// The names of an archive's members.
    pub(crate) fn members_of(&self, archive: OriginalRef) -> impl Iterator<Item = &str> {
        let members = self.layers.get(archive.layer as usize).map_or(&[][..], |layer| &layer.names().members);
        members.iter().filter(move |member| member.original == archive.original).map(|member| member.name.as_str())
    }

    /// The material of an original; `None` for a number that means nothing.
    pub(crate) fn material(&self, original: OriginalRef) -> Option<&Material> {
        let meta = &self.layers.get(original.layer as usize)?.meta;
        meta.materials.get(meta.originals.get(original.original as usize)?.material as usize)
    }

    /// An original in full.
    pub(crate) fn origin(&self, original: OriginalRef, member: Option<String>) -> Option<Origin> {
        let meta = &self.layers.get(original.layer as usize)?.meta;
        let file = meta.originals.get(original.original as usize)?.file.clone();
        Some(Origin { material: self.material(original)?.clone(), file, member })
    }

    /// A whole file in full.
    pub(crate) fn origin_of_file(&self, file: &FileRef) -> Option<Origin> {
        self.origin(OriginalRef { layer: file.layer, original: file.print.original }, file.print.member.clone())
    }
}
