//! Fingerprints in memory, to be added to and written.

use super::file::{
    FilePrint, Layer, Member, Meta, Names, Original, Part, file_hash, put_varint, u32_at, u64_at, write,
};
use super::{Corpus, Material, base_name};
use crate::prints::{Kind, SectionPrint, hash64};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One function of archive members.
///
/// `masked` are the bytes that relocations patch, as (offset, length), sorted and apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionPrint {
    pub(crate) length: u32,
    pub(crate) masked: Vec<(u32, u32)>,
    pub(crate) hash: u64,
    pub(crate) anchor: u32,
    pub(crate) anchor_offset: u32,
    /// Numbers of the members that have it.
    pub(crate) owners: BTreeSet<u32>,
}

/// What one corpus file holds, in the form in which it grows.
///
/// The same material, added in the same order, gives the same file byte for byte.
#[derive(Clone, Debug, Default)]
pub struct Fingerprints {
    pub(crate) meta: Meta,
    pub(crate) names: Names,
    /// One print for each owner of the same bytes.
    pub(crate) files: BTreeMap<u128, Vec<FilePrint>>,
    pub(crate) functions: Vec<FunctionPrint>,
    /// Hash of a function → its place in `functions`.
    pub(crate) numbers: HashMap<u64, u32>,
    /// Original → its place in `meta`.
    original_numbers: HashMap<Original, u32>,
    /// Hash of a distinctive section → the originals that have it.
    by_section: HashMap<u64, BTreeSet<u32>>,
    /// Columns of two: hash and original.
    pub(crate) entries: BTreeSet<(u64, u32)>,
    pub(crate) kernels: BTreeSet<(u64, u32)>,
    pub(crate) interface: BTreeSet<(u64, u32)>,
    pub(crate) strings: BTreeSet<(u64, u32)>,
    pub(crate) products: BTreeSet<(u64, u32)>,
    pub(crate) free: BTreeSet<u64>,
    pub(crate) passages: BTreeSet<(u64, u32)>,
    /// Originals that were delivered, and that nobody's build made.
    pub(crate) delivered: BTreeSet<u32>,
    pub(crate) chunks: BTreeSet<(u64, u32)>,
}

impl Fingerprints {
    /// Takes what a file holds.
    pub fn from_layer(layer: &Layer) -> Self {
        let mut prints = Self { meta: layer.meta.clone(), names: layer.names().clone(), ..Self::default() };
        let originals = layer.meta.originals.iter().enumerate();
        prints.original_numbers = originals.map(|(number, original)| (original.clone(), number as u32)).collect();
        for (row, bytes) in layer.table(Part::Files).rows().enumerate() {
            if let Some(file) = layer.file(row as u32) {
                prints.add_file(file_hash(bytes), file);
            }
        }
        let members = prints.names.members.len() as u32;
        for row in layer.functions() {
            let (masked, owners) = read_details(layer, row.details);
            let function = FunctionPrint {
                length: row.length,
                masked,
                hash: row.hash,
                anchor: row.anchor,
                anchor_offset: row.anchor_offset,
                owners: owners.into_iter().filter(|owner| *owner < members).collect(),
            };
            prints.numbers.insert(function.hash, prints.functions.len() as u32);
            prints.functions.push(function);
        }
        let pairs = |part| {
            let rows = layer.table(part).rows().map(|row| (u64_at(row, 0), u32_at(row, 8)));
            rows.filter(|(_, original)| (*original as usize) < layer.meta.originals.len()).collect()
        };
        prints.entries = pairs(Part::Entries);
        prints.kernels = pairs(Part::Kernels);
        prints.interface = pairs(Part::Interface);
        prints.strings = pairs(Part::Strings);
        prints.products = pairs(Part::Products);
        prints.chunks = pairs(Part::Chunks);
        prints.free = layer.table(Part::Free).rows().map(|row| u64_at(row, 0)).collect();
        prints.passages = pairs(Part::Passages);
        let delivered = layer.table(Part::Delivered).rows().map(|row| u32_at(row, 0));
        prints.delivered = delivered.filter(|original| (*original as usize) < layer.meta.originals.len()).collect();
        prints
    }

    /// Writes the file; the same content gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut names = self.names.clone();
        let mut counts = vec![0u32; names.members.len()];
        for owner in self.functions.iter().flat_map(|function| &function.owners) {
            counts[*owner as usize] += 1;
        }
        for (member, count) in names.members.iter_mut().zip(counts) {
            member.functions = count;
        }

        let (mut details, mut files, mut sections, mut heads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let every = self.files.iter().flat_map(|(hash, owners)| owners.iter().map(move |file| (hash, file)));
        for (row, (hash, file)) in every.enumerate() {
            files.extend_from_slice(&((hash >> 64) as u64).to_le_bytes());
            files.extend_from_slice(&(*hash as u64).to_le_bytes());
            files.extend_from_slice(&file.size.to_le_bytes());
            files.extend_from_slice(&(details.len() as u32).to_le_bytes());
            details.extend(postcard::to_stdvec(file).expect("writing to memory cannot fail"));
            for section in file.sections.iter().filter(|section| section.is_distinctive()) {
                sections.push((section.hash, section.size, row as u32));
            }
            heads.extend(file.heads.first().map(|head| (*head, row as u32)));
        }
        sections.sort_unstable();
        heads.sort_unstable();
        let sections: Vec<u8> = sections
            .iter()
            .flat_map(|(hash, size, row)| {
                hash.to_le_bytes().into_iter().chain(size.to_le_bytes()).chain(row.to_le_bytes())
            })
            .collect();

        let mut functions: Vec<&FunctionPrint> = self.functions.iter().collect();
        functions.sort_by_key(|function| (function.anchor, function.hash, function.length));
        let mut rows = Vec::with_capacity(functions.len() * 24);
        for function in functions {
            rows.extend_from_slice(&function.anchor.to_le_bytes());
            rows.extend_from_slice(&function.hash.to_le_bytes());
            rows.extend_from_slice(&function.length.to_le_bytes());
            rows.extend_from_slice(&function.anchor_offset.to_le_bytes());
            rows.extend_from_slice(&(details.len() as u32).to_le_bytes());
            write_details(&mut details, function);
        }
        let pairs = |set: &BTreeSet<(u64, u32)>| -> Vec<u8> {
            set.iter().flat_map(|(hash, number)| hash.to_le_bytes().into_iter().chain(number.to_le_bytes())).collect()
        };
        let free = self.free.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        let tables = [
            files,
            sections,
            pairs(&heads.into_iter().collect()),
            rows,
            pairs(&self.entries),
            pairs(&self.kernels),
            pairs(&self.interface),
            pairs(&self.strings),
            pairs(&self.products),
            free,
            pairs(&self.passages),
            self.delivered.iter().flat_map(|original| original.to_le_bytes()).collect(),
            pairs(&self.chunks),
        ];
        write((&self.meta, &names), details, tables)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.meta.materials.is_empty() && self.free.is_empty() && self.meta.learned.is_empty()
    }

    /// Whether material with this hash was learned before.
    pub fn has_learned(&self, hash: &str) -> bool {
        self.meta.learned.contains(hash)
    }

    /// Says that material with this hash was learned, which is there already.
    pub fn mark_learned(&mut self, hash: &str) {
        self.meta.learned.insert(hash.to_owned());
    }

    /// The hashes of all that was learned.
    pub fn learned(&self) -> impl Iterator<Item = &str> {
        self.meta.learned.iter().map(String::as_str)
    }

    /// All material.
    pub fn materials(&self) -> impl Iterator<Item = &Material> {
        self.meta.materials.iter()
    }

    /// Adds licenses that a package is declared under now to those that it was learned under; says whether
    /// there were any. A correction never loosens what is known: terms must permit under all of them.
    pub fn add_licenses(&mut self, declared: &Material) -> bool {
        let mut changed = false;
        let same = |known: &&mut Material| known.name == declared.name && known.version == declared.version;
        for material in self.meta.materials.iter_mut().filter(same) {
            for license in &declared.licenses {
                if !material.licenses.contains(license) {
                    material.licenses.push(license.clone());
                    changed = true;
                }
            }
        }
        changed
    }

    /// The number of a material, which is added where it is new. One package is one material, whatever
    /// licenses it was declared under over time.
    pub(crate) fn material(&mut self, material: &Material) -> u32 {
        let known = self.meta.materials.iter().position(|m| m.name == material.name && m.version == material.version);
        let added = known.unwrap_or_else(|| {
            self.meta.materials.push(material.clone());
            self.meta.materials.len() - 1
        });
        added as u32
    }

    /// The number of an original, which is added where it is new.
    pub(crate) fn original(&mut self, material: u32, file: &str) -> u32 {
        let original = Original { material, file: file.to_owned() };
        *self.original_numbers.entry(original).or_insert_with_key(|original| {
            self.meta.originals.push(original.clone());
            self.meta.originals.len() as u32 - 1
        })
    }

    /// Adds the functions of one object; gives how many are new.
    pub(crate) fn add_functions(&mut self, original: u32, name: &str, functions: Vec<FunctionPrint>) -> usize {
        if functions.is_empty() {
            return 0;
        }
        let owner = self.names.members.len() as u32;
        self.names.members.push(Member { original, name: name.to_owned(), functions: 0 });
        let before = self.functions.len();
        for function in functions {
            let number = *self.numbers.entry(function.hash).or_insert_with(|| {
                self.functions.push(function);
                self.functions.len() as u32 - 1
            });
            self.functions[number as usize].owners.insert(owner);
        }
        self.functions.len() - before
    }

    /// Forgets all material that is asked for; gives what was forgotten. What was learned from it may be
    /// learned again.
    pub fn remove(&mut self, is_meant: impl Fn(&Material) -> bool) -> Vec<Material> {
        let gone: Vec<Material> = self.meta.materials.iter().filter(|material| is_meant(material)).cloned().collect();
        if gone.is_empty() {
            return gone;
        }
        let mut kept = Self { free: self.free.clone(), ..Self::default() };
        kept.names.free = self.names.free.clone();
        kept.take(self, |material| !is_meant(material));
        *self = kept;
        gone
    }

    /// Some of the material, and nothing of what is free.
    pub fn only(&self, wanted: impl Fn(&Material) -> bool) -> Self {
        let mut kept = Self::default();
        kept.take(self, wanted);
        kept
    }

    /// What is free, and no material.
    pub fn only_free(&self) -> Self {
        let mut kept = Self { free: self.free.clone(), ..Self::default() };
        kept.names.free.clone_from(&self.names.free);
        kept
    }

    /// Adds everything that another one holds.
    pub fn merge(&mut self, other: &Self) {
        self.free.extend(&other.free);
        self.names.free.extend(other.names.free.iter().cloned());
        self.meta.learned.extend(other.meta.learned.iter().cloned());
        self.take(other, |_| true);
    }

    fn take(&mut self, other: &Self, wanted: impl Fn(&Material) -> bool) {
        let mut materials: Vec<Option<u32>> = Vec::new();
        for material in &other.meta.materials {
            materials.push(wanted(material).then(|| self.material(material)));
            if wanted(material) {
                self.add_licenses(material);
            }
        }
        let originals: Vec<Option<u32>> = (other.meta.originals.iter())
            .map(|o| Some(self.original(materials[o.material as usize]?, &o.file)))
            .collect();
        // One archive may have two members of one name, and a release one archive for each of two systems.
        let mut counts = HashMap::new();
        let mut present: HashMap<(u32, String, u32), u32> = (self.names.members.iter().enumerate())
            .map(|(number, member)| (nth(&mut counts, member.original, &member.name), number as u32))
            .collect();
        let mut counts = HashMap::new();
        let members: Vec<Option<u32>> = (other.names.members.iter())
            .map(|member| {
                let original = originals[member.original as usize]?;
                Some(*present.entry(nth(&mut counts, original, &member.name)).or_insert_with(|| {
                    self.names.members.push(Member { original, name: member.name.clone(), functions: 0 });
                    self.names.members.len() as u32 - 1
                }))
            })
            .collect();
        for (hash, file) in other.files.iter().flat_map(|(hash, owners)| owners.iter().map(move |file| (hash, file))) {
            if let Some(original) = originals[file.original as usize] {
                self.add_file(*hash, FilePrint { original, ..file.clone() });
            }
        }
        for function in &other.functions {
            let owners: BTreeSet<u32> = function.owners.iter().filter_map(|owner| members[*owner as usize]).collect();
            if owners.is_empty() {
                continue;
            }
            let number = *self.numbers.entry(function.hash).or_insert_with(|| {
                self.functions.push(FunctionPrint { owners: BTreeSet::new(), ..function.clone() });
                self.functions.len() as u32 - 1
            });
            self.functions[number as usize].owners.extend(owners);
        }
        let moved = |set: &BTreeSet<(u64, u32)>| -> Vec<(u64, u32)> {
            set.iter().filter_map(|(hash, original)| Some((*hash, originals[*original as usize]?))).collect()
        };
        self.entries.extend(moved(&other.entries));
        self.kernels.extend(moved(&other.kernels));
        self.interface.extend(moved(&other.interface));
        self.strings.extend(moved(&other.strings));
        self.products.extend(moved(&other.products));
        self.passages.extend(moved(&other.passages));
        self.delivered.extend(other.delivered.iter().filter_map(|original| originals[*original as usize]));
        self.chunks.extend(moved(&other.chunks));
    }

    /// Adds a whole file, unless its owner has it already.
    pub(crate) fn add_file(&mut self, hash: u128, file: FilePrint) {
        let known = self.files.get(&hash).into_iter().flatten();
        if known.into_iter().any(|known| self.is_one_owner(known.original, file.original)) {
            return;
        }
        for section in file.sections.iter().filter(|section| section.is_distinctive()) {
            self.by_section.entry(section.hash).or_default().insert(file.original);
        }
        self.files.entry(hash).or_default().push(file);
    }

    /// Whether two originals are one and the same to whoever judges: the package without its version, its licenses,
    /// and the name of the file.
    fn is_one_owner(&self, one: u32, other: u32) -> bool {
        let named = |number: u32| {
            let original = &self.meta.originals[number as usize];
            let material = &self.meta.materials[original.material as usize];
            (&material.name, &material.licenses, base_name(&original.file))
        };
        one == other || named(one) == named(other)
    }

    /// The originals that have these bytes.
    pub(crate) fn owners(&self, hash: u128) -> impl Iterator<Item = u32> {
        self.files.get(&hash).into_iter().flatten().map(|file| file.original)
    }

    /// The originals with which a file has distinctive bytes in common.
    pub(crate) fn variants(&self, sections: &[SectionPrint]) -> BTreeSet<u32> {
        let distinctive = sections.iter().filter(|section| section.is_distinctive());
        distinctive.filter_map(|section| self.by_section.get(&section.hash)).flatten().copied().collect()
    }

    /// Takes out what free software has as well.
    pub fn subtract(&mut self, free: &Self) {
        let gone = |hash: &u64| free.free.contains(hash);
        self.functions.retain(|function| !gone(&function.hash));
        let numbers = self.functions.iter().enumerate();
        self.numbers = numbers.map(|(number, function)| (function.hash, number as u32)).collect();
        let sets = [&mut self.entries, &mut self.kernels, &mut self.interface, &mut self.strings, &mut self.products];
        for set in sets.into_iter().chain([&mut self.passages, &mut self.chunks]) {
            set.retain(|(hash, _)| !gone(hash));
        }
        self.files.retain(|hash, _| !gone(&file_key(*hash)));
    }

    /// A corpus of these fingerprints alone.
    ///
    /// # Panics
    /// Never: what was written here can be read here.
    pub fn to_corpus(&self) -> Corpus {
        Corpus::new(vec![Layer::new(self.to_bytes()).expect("a file that was just written is sound")])
    }
}

/// A member, and which of those of its name it is.
fn nth(counts: &mut HashMap<(u32, String), u32>, original: u32, name: &str) -> (u32, String, u32) {
    let count = counts.entry((original, name.to_owned())).or_default();
    *count += 1;
    (original, name.to_owned(), *count)
}

/// What stands for a whole file among what is free.
pub(crate) fn file_key(hash: u128) -> u64 {
    hash64(Kind::File, &hash.to_be_bytes())
}

fn write_details(details: &mut Vec<u8>, function: &FunctionPrint) {
    put_varint(details, function.masked.len() as u32);
    let mut end = 0;
    for (at, length) in &function.masked {
        put_varint(details, at - end);
        put_varint(details, *length);
        end = at + length;
    }
    put_varint(details, function.owners.len() as u32);
    let mut before = 0;
    for owner in &function.owners {
        put_varint(details, owner - before);
        before = *owner;
    }
}

/// Masks and owners of a function. Whoever wrote the file may have written nonsense: masks overlap nowhere
/// and numbers wrap nowhere, and whoever uses them checks them against the function's length.
pub(crate) fn read_details(layer: &Layer, at: u32) -> (Vec<(u32, u32)>, Vec<u32>) {
    let mut numbers = layer.details(at);
    let (mut masked, mut end) = (Vec::new(), 0u32);
    for _ in 0..numbers.next() {
        let at = end.saturating_add(numbers.next());
        let length = numbers.next();
        end = at.saturating_add(length);
        if end == u32::MAX || length == 0 {
            break;
        }
        masked.push((at, length));
    }
    let (mut owners, mut before) = (Vec::new(), 0u32);
    for number in 0..numbers.next() {
        let step = numbers.next();
        if number > 0 && step == 0 {
            break;
        }
        before = before.saturating_add(step);
        owners.push(before);
    }
    (masked, owners)
}
