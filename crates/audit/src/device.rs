//! Device code: which entries and kernels of a file are a vendor's.
//!
//! An entry that agrees bit for bit is a copy of the vendor's. The names of kernels survive releases, and
//! tell the vendor's from those that the package's own compiler made.

use crate::container::is_archive;
use crate::corpus::{Corpus, Fingerprints, Material, Origin, OriginalRef, Part, Voice};
use crate::fatbin::{self, Scratch};
use crate::finding::{Finding, Gap, Place};
use crate::kin::{Kin, product};
use crate::prints::{Kind, hash64};
use crate::strings::family;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Smaller entries are empty programs that every compiler makes.
const ENTRY_BYTES: usize = 1024;

/// Fewer kernels with a vendor's names accuse nobody (`docs/decisions/0004-audit.md`).
const ACCUSING_KERNELS: usize = 8;

/// Kernels that a finding names.
const EXAMPLES: usize = 8;

/// What a name must not have in it: free libraries that everybody's compiler makes kernels of.
const FREE_NAMES: [&[u8]; 5] = [b"cutlass", b"N3cub", b"thrust", b"magma", b"syhemv"];

/// Shorter names (`_Z6vecAddPfS_i`) are everybody's.
const TELLING_NAME: usize = 20;

/// Whether the name of a kernel can tell whose it is.
fn is_telling(name: &[u8]) -> bool {
    name.len() >= TELLING_NAME
        && !name.starts_with(b"__cuda_")
        && !FREE_NAMES.iter().any(|free| memchr::memmem::find(name, free).is_some())
}

/// What was seen of the device code in a file.
#[derive(Default)]
pub(crate) struct Device {
    entries: u32,
    bytes: u64,
    /// Vendors' entries by the hash of their bytes: how many, and their bytes.
    found: BTreeMap<u64, (u32, u64)>,
    kernels: HashSet<u64>,
    /// Vendors' kernels by the hash of their names.
    known: HashMap<u64, String>,
    gaps: BTreeSet<String>,
}

impl Device {
    fn add(mut self, other: Self) -> Self {
        self.entries += other.entries;
        self.bytes += other.bytes;
        for (hash, (count, bytes)) in other.found {
            let found = self.found.entry(hash).or_default();
            *found = (found.0 + count, found.1 + bytes);
        }
        self.kernels.extend(other.kernels);
        self.known.extend(other.known);
        self.gaps.extend(other.gaps);
        self
    }

    fn name(&mut self, name: &[u8], corpus: &Corpus) {
        let hash = hash64(Kind::Kernel, name);
        if self.kernels.insert(hash)
            && corpus.kernels.may_have((hash >> 32) as u32)
            && !corpus.is_free(hash)
            && corpus.originals(Part::Kernels, hash).next().is_some()
        {
            self.known.insert(hash, String::from_utf8_lossy(name).into_owned());
        }
    }

    /// Kernels of vendors, by the hash of their names, that several files have together.
    pub(crate) fn of_kernels(known: impl IntoIterator<Item = (u64, String)>) -> Self {
        let known: HashMap<u64, String> = known.into_iter().collect();
        Self { kernels: known.keys().copied().collect(), known, ..Self::default() }
    }

    /// Reports the vendors' part, library by library, as each voice knows it, each with the original that it is put down
    /// to. Gives the kernels that were put down to nothing.
    pub(crate) fn report(
        mut self,
        place: &Place,
        corpus: &Corpus,
        findings: &mut Vec<(Finding, OriginalRef)>,
        gaps: &mut Vec<Finding>,
    ) -> Vec<(u64, String)> {
        let of_entries = self.found.keys().flat_map(|hash| corpus.originals(Part::Entries, *hash));
        let of_kernels = self.known.keys().flat_map(|hash| corpus.originals(Part::Kernels, *hash));
        let voices: BTreeSet<Voice> = of_entries.chain(of_kernels).map(|original| corpus.voice(original)).collect();
        let mut explained: HashSet<String> = HashSet::new();
        for voice in voices {
            explained.extend(self.report_voice(voice, place, corpus, findings));
        }
        for gap in std::mem::take(&mut self.gaps) {
            gaps.push(Finding::NotFullyAudited { place: place.clone(), gap: Gap::BrokenBinary(gap) });
        }
        self.known.into_iter().filter(|(_, kernel)| !explained.contains(kernel)).collect()
    }

    /// Reports what one voice knows; gives the kernels that were put down to something.
    fn report_voice(
        &self,
        voice: Voice,
        place: &Place,
        corpus: &Corpus,
        findings: &mut Vec<(Finding, OriginalRef)>,
    ) -> Vec<String> {
        let entries = self.found.iter().map(|(hash, found)| (Part::Entries, *hash, *found, None));
        let kernels = self.known.iter().map(|(hash, kernel)| (Part::Kernels, *hash, (0, 0), Some(kernel.as_str())));
        let pieces: Vec<Piece<'_>> = entries
            .chain(kernels)
            .map(|(part, hash, (entries, bytes), kernel)| {
                let owners = corpus.originals(part, hash).filter(|original| corpus.voice(*original) == voice);
                Piece { owners: owners.collect(), entries, bytes, kernel }
            })
            .collect();
        let nearest = Nearest::of(&pieces, corpus);
        let mut families: BTreeMap<(bool, String), Family<'_>> = BTreeMap::new();
        for piece in &pieces {
            // Every release of a library has the piece; it counts once, and for the nearest one if that has it.
            let mut named: BTreeSet<(bool, String)> = BTreeSet::new();
            for original in &piece.owners {
                let Some(origin) = corpus.origin(*original, None) else { continue };
                let name = (!nearest.has(*original, corpus), family(&origin.file).to_owned());
                if name.0 && named.contains(&(false, name.1.clone())) || !named.insert(name.clone()) {
                    continue;
                }
                let entry = families.entry(name).or_insert_with(|| Family::new(*original));
                entry.entries += piece.entries;
                entry.bytes += piece.bytes;
                entry.kernels.extend(piece.kernel);
            }
        }
        // A kernel that several libraries have is put down to the one of which more is there; those of releases that are
        // not the nearest come last.
        let mut families: Vec<((bool, String), Family<'_>)> = families.into_iter().collect();
        let mut explained: BTreeSet<&str> = BTreeSet::new();
        let first = findings.len();
        while let Some(best) = (0..families.len()).max_by_key(|number| {
            let ((beyond, _), of) = &families[*number];
            let pieces = of.kernels.difference(&explained).count() + of.entries as usize;
            (!beyond, pieces, std::cmp::Reverse(*number))
        }) {
            let ((beyond, name), Family { original, entries, bytes, mut kernels }) = families.swap_remove(best);
            kernels.retain(|kernel| !explained.contains(kernel));
            let Some(origin) = corpus.origin(original, None) else { continue };
            let of_product = |found: &&mut (Finding, OriginalRef)| is_of_product(found.1, original, corpus);
            if beyond && let Some((Finding::DeviceCode { kin, .. }, _)) = findings[first..].iter_mut().find(of_product)
            {
                // Of this release there is a finding already: it is not the exact one.
                if entries > 0 || !kernels.is_empty() {
                    kin.release_unknown = true;
                    explained.extend(&kernels);
                }
                continue;
            }
            if entries == 0 && kernels.len() < ACCUSING_KERNELS {
                continue;
            }
            explained.extend(&kernels);
            let finding = Finding::DeviceCode {
                place: place.clone(),
                original: origin,
                entries_found: entries,
                entries: self.entries,
                bytes_found: bytes,
                device_bytes: self.bytes,
                kernels_found: kernels.len() as u32,
                kernels: self.kernels.len() as u32,
                examples: kernels.into_iter().take(EXAMPLES).map(str::to_owned).collect(),
                kin: Kin { equal: nearest.equal(original, &name, &pieces, corpus), ..Kin::default() },
            };
            findings.push((finding, original));
        }
        explained.into_iter().map(str::to_owned).collect()
    }
}

/// Something of a vendor's that was found: an entry, or a kernel.
struct Piece<'a> {
    owners: Vec<OriginalRef>,
    entries: u32,
    bytes: u64,
    kernel: Option<&'a str>,
}

/// What was found of one library.
struct Family<'a> {
    original: OriginalRef,
    entries: u32,
    bytes: u64,
    kernels: BTreeSet<&'a str>,
}

impl Family<'_> {
    fn new(original: OriginalRef) -> Self {
        Self { original, entries: 0, bytes: 0, kernels: BTreeSet::new() }
    }
}

/// A product: licenses, and the package's name.
type Product<'c> = (&'c [String], &'c str);

fn product_of(original: OriginalRef, corpus: &Corpus) -> Option<Product<'_>> {
    corpus.material(original).map(|material| (material.licenses.as_slice(), product(&material.name)))
}

fn is_of_product(one: OriginalRef, other: OriginalRef, corpus: &Corpus) -> bool {
    product_of(one, corpus) == product_of(other, corpus)
}

/// Of each product the release that has the most of what was found, and how much each has.
struct Nearest<'c> {
    releases: BTreeMap<Product<'c>, BTreeMap<&'c Material, usize>>,
}

impl<'c> Nearest<'c> {
    fn of(pieces: &[Piece<'_>], corpus: &'c Corpus) -> Self {
        let mut releases: BTreeMap<Product<'c>, BTreeMap<&'c Material, usize>> = BTreeMap::new();
        for piece in pieces {
            let of: BTreeSet<&'c Material> =
                piece.owners.iter().filter_map(|original| corpus.material(*original)).collect();
            for material in of {
                let product = (material.licenses.as_slice(), product(&material.name));
                *releases.entry(product).or_default().entry(material).or_default() += 1;
            }
        }
        Self { releases }
    }

    /// Whether an original is of the nearest release of its product.
    fn has(&self, original: OriginalRef, corpus: &Corpus) -> bool {
        let Some(releases) = product_of(original, corpus).and_then(|product| self.releases.get(&product)) else {
            return true;
        };
        let nearest = releases.iter().max_by_key(|(material, pieces)| (**pieces, std::cmp::Reverse(**material)));
        nearest.map(|(material, _)| *material) == corpus.material(original)
    }

    /// Libraries of this name in other releases that have as much.
    fn equal(&self, original: OriginalRef, name: &str, pieces: &[Piece<'_>], corpus: &Corpus) -> Vec<Origin> {
        let (Some(own), Some(product)) = (corpus.material(original), product_of(original, corpus)) else {
            return Vec::new();
        };
        let Some(releases) = self.releases.get(&product) else { return Vec::new() };
        let as_much = |material: &Material| material != own && releases.get(material) == releases.get(own);
        let owners: BTreeSet<OriginalRef> = pieces.iter().flat_map(|piece| piece.owners.iter().copied()).collect();
        let origins = owners.into_iter().filter_map(|owner| corpus.origin(owner, None));
        let equal: BTreeSet<Origin> =
            origins.filter(|origin| as_much(&origin.material) && family(&origin.file) == name).collect();
        equal.into_iter().collect()
    }
}

/// Looks through the containers of some parts of a file, and through the device code that stands there without one.
pub(crate) fn look(containers: Vec<fatbin::Read<'_>>, parts: &[&[u8]], corpus: &Corpus) -> Device {
    if corpus.entries.is_empty() && corpus.kernels.is_empty() {
        return Device::default();
    }
    let one = |(mut device, mut scratch): (Device, Scratch), container: fatbin::Read<'_>| {
        let container = container.unwrap_or_else(|broken| {
            device.gaps.insert(broken.reason.to_string());
            broken.read
        });
        // The entries of a container are the same kernels for several architectures: one of them has the names
        // (`docs/decisions/0004-audit.md`).
        let telling = container.telling().map(|entry| entry.at);
        for entry in &container.entries {
            device.entries += 1;
            device.bytes += entry.payload.len() as u64;
            let hash = hash64(Kind::Entry, entry.payload);
            let known = entry.payload.len() >= ENTRY_BYTES
                && corpus.entries.may_have((hash >> 32) as u32)
                && !corpus.is_free(hash);
            let is_vendors = known && corpus.originals(Part::Entries, hash).next().is_some();
            if is_vendors {
                let found = device.found.entry(hash).or_default();
                *found = (found.0 + 1, found.1 + entry.payload.len() as u64);
            }
            if !is_vendors
                && telling == Some(entry.at)
                && let Ok(names) = fatbin::kernels(entry, &mut scratch)
            {
                names.into_iter().for_each(|name| device.name(name, corpus));
            }
        }
        (device, scratch)
    };
    let start = || (Device::default(), Scratch::default());
    let mut device =
        containers.into_par_iter().fold(start, one).map(|(device, _)| device).reduce(Device::default, Device::add);
    for name in parts.iter().flat_map(|part| bare_kernels(part)) {
        device.name(name, corpus);
    }
    device
}

/// Kernels of a file that is itself a program for GPUs, without a container.
fn bare_kernels(bytes: &[u8]) -> Vec<&[u8]> {
    let names = if fatbin::looks_like_cubin(bytes) {
        fatbin::cubin_kernels(bytes)
    } else if fatbin::looks_like_ptx(bytes) {
        fatbin::ptx_kernels(bytes)
    } else {
        return Vec::new();
    };
    names.unwrap_or_default()
}

/// Every print that the device code of a file gives: entries, and names of kernels.
fn prints(bytes: &[u8]) -> (HashSet<u64>, HashSet<u64>) {
    let (mut entries, mut kernels) = (HashSet::new(), HashSet::new());
    if is_archive(bytes) {
        return (entries, kernels);
    }
    let mut scratch = Scratch::default();
    let mut name = |name: &[u8]| {
        if is_telling(name) {
            kernels.insert(hash64(Kind::Kernel, name));
        }
    };
    for container in fatbin::containers(bytes) {
        for entry in &container.unwrap_or_else(|broken| broken.read).entries {
            if entry.payload.len() >= ENTRY_BYTES {
                entries.insert(hash64(Kind::Entry, entry.payload));
            }
            if let Ok(names) = fatbin::kernels(entry, &mut scratch) {
                names.into_iter().for_each(&mut name);
            }
        }
    }
    bare_kernels(bytes).into_iter().for_each(name);
    (entries, kernels)
}

/// Adds the device code of an original; gives how many prints are new.
pub(crate) fn learn(known: &mut Fingerprints, original: u32, bytes: &[u8]) -> usize {
    let before = known.entries.len() + known.kernels.len();
    let (entries, kernels) = prints(bytes);
    known.entries.extend(entries.into_iter().map(|hash| (hash, original)));
    known.kernels.extend(kernels.into_iter().map(|hash| (hash, original)));
    known.entries.len() + known.kernels.len() - before
}

/// The prints of a file's device code that the corpus knows.
pub(crate) fn known(bytes: &[u8], corpus: &Corpus) -> Vec<u64> {
    let (entries, kernels) = prints(bytes);
    let known = |part, hashes: HashSet<u64>| {
        hashes.into_iter().filter(move |hash| corpus.originals(part, *hash).next().is_some()).collect::<Vec<_>>()
    };
    [known(Part::Entries, entries), known(Part::Kernels, kernels)].concat()
}
