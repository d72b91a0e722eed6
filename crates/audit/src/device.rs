//! Device code: which entries and kernels of a file are a vendor's.
//!
//! An entry that agrees bit for bit is a copy of the vendor's. The names of kernels survive releases, and
//! tell the vendor's from those that the package's own compiler made.

use crate::container::is_archive;
use crate::corpus::{Corpus, Fingerprints, OriginalRef, Part, Voice};
use crate::fatbin::{self, Scratch};
use crate::finding::{Finding, Gap, Place};
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
    /// Vendors' entries: how many, and their bytes.
    found: BTreeMap<OriginalRef, (u32, u64)>,
    kernels: HashSet<u64>,
    /// Vendors' kernels by the hash of their names.
    known: HashMap<u64, String>,
    gaps: BTreeSet<String>,
}

impl Device {
    fn add(mut self, other: Self) -> Self {
        self.entries += other.entries;
        self.bytes += other.bytes;
        for (original, (count, bytes)) in other.found {
            let found = self.found.entry(original).or_default();
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
        let of_entries = self.found.keys().copied();
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
        // Family → the library with most entries, entries, their bytes, kernels.
        let mut families: BTreeMap<String, (OriginalRef, u32, u32, u64, BTreeSet<&str>)> = BTreeMap::new();
        let name_of = |original| {
            let origin = corpus.origin(original, None).filter(|_| corpus.voice(original) == voice);
            origin.map(|origin| family(&origin.file).to_owned())
        };
        for (original, (count, bytes)) in &self.found {
            let Some(name) = name_of(*original) else { continue };
            let entry = families.entry(name).or_insert((*original, 0, 0, 0, BTreeSet::new()));
            if *count > entry.1 {
                (entry.0, entry.1) = (*original, *count);
            }
            entry.2 += count;
            entry.3 += bytes;
        }
        for (hash, kernel) in &self.known {
            let mut named: BTreeSet<String> = BTreeSet::new();
            for original in corpus.originals(Part::Kernels, *hash) {
                let Some(name) = name_of(original) else { continue };
                // Every release of a library has the kernel; it counts once.
                if named.insert(name.clone()) {
                    families.entry(name).or_insert((original, 0, 0, 0, BTreeSet::new())).4.insert(kernel);
                }
            }
        }
        // A kernel that several libraries have is put down to the one of which more is there.
        let mut families: Vec<_> = families.into_values().collect();
        let mut explained: BTreeSet<&str> = BTreeSet::new();
        while let Some(best) = (0..families.len()).max_by_key(|number| {
            let (_, _, entries, _, kernels) = &families[*number];
            (kernels.difference(&explained).count() + *entries as usize, std::cmp::Reverse(*number))
        }) {
            let (original, _, entries_found, bytes_found, mut kernels) = families.swap_remove(best);
            kernels.retain(|kernel| !explained.contains(kernel));
            if entries_found == 0 && kernels.len() < ACCUSING_KERNELS {
                continue;
            }
            explained.extend(&kernels);
            let Some(origin) = corpus.origin(original, None) else { continue };
            let finding = Finding::DeviceCode {
                place: place.clone(),
                original: origin,
                entries_found,
                entries: self.entries,
                bytes_found,
                device_bytes: self.bytes,
                kernels_found: kernels.len() as u32,
                kernels: self.kernels.len() as u32,
                examples: kernels.into_iter().take(EXAMPLES).map(str::to_owned).collect(),
            };
            findings.push((finding, original));
        }
        explained.into_iter().map(str::to_owned).collect()
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
            let owners = if known { first_of_each_voice(hash, corpus) } else { BTreeMap::new() };
            for original in owners.values() {
                let found = device.found.entry(*original).or_default();
                *found = (found.0 + 1, found.1 + entry.payload.len() as u64);
            }
            if owners.is_empty()
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

/// The original that each voice puts an entry down to.
fn first_of_each_voice(entry: u64, corpus: &Corpus) -> BTreeMap<Voice, OriginalRef> {
    let mut owners = BTreeMap::new();
    for original in corpus.originals(Part::Entries, entry) {
        owners.entry(corpus.voice(original)).or_insert(original);
    }
    owners
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
