//! Distinctive strings: what tells a version of a library that the corpus lacks.
//!
//! Messages survive linking, stripping and most releases. A string counts for a family of libraries
//! (`cudart`: shared or static, of any version) when at least half of the family's known releases have
//! it. Names of functions are left out: whoever uses a library has those as well. So is everything
//! without a space, which is a name more often than a message.

use crate::anchor::Filter;
use crate::corpus::{Corpus, Layer, OriginalRef, Part, u32_at, u64_at};
use crate::finding::{Finding, Place, Sign};
use crate::prints::{Kind, hash64};
use foldhash::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};

/// Shorter strings stand in many programs.
const SHORTEST: usize = 16;

/// Longer ones are tables of data that happen to be printable.
const LONGEST: usize = 512;

/// So many strings of one original are kept: those with the lowest hashes, so that two releases keep the
/// same ones.
pub(crate) const KEPT: usize = 400;

/// A family with fewer strings cannot be told by them.
const FAMILY_STRINGS: u32 = 24;

/// So many strings of a family make a suspicion, if they are a quarter of those that are known as well.
/// Dynamic users of a library have at most one (`docs/decisions/0004-audit.md`).
const SUSPICIOUS: u32 = 16;

/// Examples that a finding shows.
const EXAMPLES: usize = 8;

/// The name that a library has in every release, shared or static, on every system: `cudart` for
/// `libcudart.so.12`, `libcudart_static.a` and `cudart64_12.dll`.
pub(crate) fn family(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    let name = name.split('.').next().unwrap_or(name);
    let name = name.strip_prefix("lib").unwrap_or(name);
    let name = name.strip_suffix("_static").unwrap_or(name);
    let without = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_' || c == '-');
    if without.is_empty() { name } else { without }
}

/// The messages among some bytes: printable, with a space, between zeros. Where one could be is looked at from its end:
/// code has a byte that is not printable in nearly every stretch of their length, and most others are passed over.
pub(crate) fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    // What stands before it is not printable.
    let mut start = 0;
    std::iter::from_fn(move || {
        loop {
            let shortest = bytes.get(start..start + SHORTEST)?;
            if let Some(at) = shortest.iter().rposition(|byte| !is_printable(*byte)) {
                start += at + 1;
                continue;
            }
            let rest = &bytes[start..];
            let end = rest.iter().position(|byte| !is_printable(*byte))?;
            start += end + 1;
            let text = &rest[..end];
            if rest[end] == 0 && text.len() <= LONGEST && text.contains(&b' ') {
                return Some(text);
            }
        }
    })
}

/// What begins so, stands before a zero, and is printable up to there.
pub(crate) fn texts<'a>(bytes: &'a [u8], beginning: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memchr::memmem::find_iter(bytes, beginning).filter_map(|at| {
        let (before, rest) = bytes.split_at(at);
        let end = rest.iter().position(|byte| !is_printable(*byte))?;
        (rest[end] == 0 && before.last().is_none_or(|byte| !is_printable(*byte))).then_some(&rest[..end])
    })
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\t')
}

/// The prints of an original's messages, of which the lowest are kept.
pub(crate) fn prints<'a>(data: impl Iterator<Item = &'a [u8]>) -> BTreeSet<u64> {
    let mut kept = BTreeSet::new();
    for hash in data.flat_map(messages).map(|text| hash64(Kind::String, text)) {
        keep(&mut kept, hash);
    }
    kept
}

/// Adds a print, if it is among the lowest.
pub(crate) fn keep(kept: &mut BTreeSet<u64>, hash: u64) {
    if kept.len() < KEPT || kept.last().is_some_and(|last| hash < *last) {
        kept.insert(hash);
        if kept.len() > KEPT {
            kept.pop_last();
        }
    }
}

/// The families of all layers, ready for a scan.
#[derive(Debug, Default)]
pub(crate) struct Families {
    filter: Filter,
    /// String → the families that it counts for.
    strings: HashMap<u64, Vec<u32>>,
    families: Vec<Family>,
}

/// Libraries of one name.
#[derive(Debug)]
struct Family {
    name: String,
    /// It is made of what ships. What was learned here makes families of its own, so that no package can thin out
    /// what is known of a library.
    ships: bool,
    known: u32,
    /// The newest release of it in the corpus.
    example: OriginalRef,
}

/// The releases of a family by name and version, each with its strings.
type Releases<'l> = BTreeMap<(&'l str, &'l str), BTreeSet<u64>>;

impl Families {
    /// Makes the families of some layers, of which the first ones were learned here.
    pub(crate) fn new(layers: &[Layer], learned: usize, free: &HashSet<u64>) -> Self {
        let mut by_name: BTreeMap<(bool, &str), Releases<'_>> = BTreeMap::new();
        let mut examples: HashMap<(bool, &str), (&str, OriginalRef)> = HashMap::default();
        for (number, layer) in layers.iter().enumerate() {
            for row in layer.table(Part::Strings).rows() {
                let (hash, original) = (u64_at(row, 0), u32_at(row, 8));
                let Some(known) = layer.meta.originals.get(original as usize) else { continue };
                if free.contains(&hash) {
                    continue;
                }
                let material = &layer.meta.materials[known.material as usize];
                let name = (number >= learned, family(&known.file));
                let release = (material.name.as_str(), material.version.as_str());
                by_name.entry(name).or_default().entry(release).or_default().insert(hash);
                let at = OriginalRef { layer: number as u32, original };
                let example = examples.entry(name).or_insert((&material.version, at));
                if material.version.as_str() > example.0 {
                    *example = (&material.version, at);
                }
            }
        }
        let mut families = Self::default();
        for (name, releases) in by_name {
            let mut counts: HashMap<u64, usize> = HashMap::default();
            for hash in releases.values().flatten() {
                *counts.entry(*hash).or_default() += 1;
            }
            counts.retain(|_, count| *count * 2 >= releases.len());
            if counts.len() < FAMILY_STRINGS as usize {
                continue;
            }
            let number = families.families.len() as u32;
            for hash in counts.keys() {
                families.strings.entry(*hash).or_default().push(number);
            }
            let known = counts.len() as u32;
            families.families.push(Family {
                name: name.1.to_owned(),
                ships: name.0,
                known,
                example: examples[&name].1,
            });
        }
        let hashes = families.strings.keys().map(|hash| (hash >> 32) as u32);
        families.filter = Filter::new(families.strings.len(), hashes);
        families
    }

    /// Whether a string counts for any family.
    pub(crate) fn has(&self, hash: u64) -> bool {
        self.filter.may_have((hash >> 32) as u32) && self.strings.contains_key(&hash)
    }
}

/// What code of a family was found, and so explains messages of it.
#[derive(Clone, Debug)]
pub(crate) struct Explained {
    pub(crate) family: String,
    /// How much of the code that the messages could be from, of how much. Where it is half or more, the linker left the
    /// rest away, and all messages are explained.
    pub(crate) found: u64,
    pub(crate) known: u64,
}

impl Explained {
    /// Whether this code explains so many of a family's messages.
    fn explains(&self, count: u32, known: u32) -> bool {
        let share = u64::from(known) * self.found / self.known.max(1);
        self.found * 2 >= self.known || u64::from(count) < share + u64::from(SUSPICIOUS)
    }
}

/// Strings that count for families, from one file or from several.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) strings: BTreeMap<u64, String>,
}

impl Seen {
    /// Looks for messages in some bytes.
    pub(crate) fn look(&mut self, bytes: &[u8], families: &Families) {
        if families.filter.is_empty() {
            return;
        }
        for text in messages(bytes) {
            let hash = hash64(Kind::String, text);
            if families.has(hash) {
                self.strings.entry(hash).or_insert_with(|| shown(text));
            }
        }
    }

    /// Takes out what is explained by code that was found.
    pub(crate) fn explain(&mut self, corpus: &Corpus, found: &[Explained]) {
        let families = &corpus.families;
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for family in self.strings.keys().flat_map(|hash| &families.strings[hash]) {
            *counts.entry(*family).or_default() += 1;
        }
        let explained = |family: &u32| {
            let known = &families.families[*family as usize];
            let of_family = found.iter().filter(|one| one.family == known.name);
            of_family.into_iter().any(|one| one.explains(counts[family], known.known))
        };
        let explained: BTreeSet<u32> = counts.keys().copied().filter(explained).collect();
        // What a package calls its own explains nothing of what ships.
        let ships = |family: &u32| families.families[*family as usize].ships;
        self.strings.retain(|hash, _| {
            let of = &families.strings[hash];
            let by = |ship: bool| of.iter().any(|family| ships(family) == ship && explained.contains(family));
            !by(true) && (!by(false) || of.iter().any(ships))
        });
    }

    /// Reports the families that a file looks like, and takes out what is reported.
    pub(crate) fn report(&mut self, place: &Place, corpus: &Corpus, findings: &mut Vec<Finding>) {
        let (families, strings) = (&corpus.families, &mut self.strings);
        // A string that several families share is put down to the one that it explains best: how many of its strings
        // are there counts, and what share of them is. A library has all strings of one that is linked into it.
        loop {
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            for family in strings.keys().flat_map(|hash| &families.strings[hash]) {
                *counts.entry(*family).or_default() += 1;
            }
            let known = |family: u32| families.families[family as usize].known;
            counts.retain(|family, count| *count >= SUSPICIOUS && *count * 4 >= known(*family));
            let explains = |family: u32, count: u32| u64::from(count).pow(2) * 1000 / u64::from(known(family));
            let best = counts
                .into_iter()
                .max_by_key(|(family, count)| (explains(*family, *count), std::cmp::Reverse(*family)));
            let Some((number, count)) = best else { break };
            let family = &families.families[number as usize];
            let of_family: Vec<u64> =
                strings.keys().filter(|hash| families.strings[hash].contains(&number)).copied().collect();
            let examples = of_family.iter().take(EXAMPLES).map(|hash| strings[hash].clone()).collect();
            for hash in of_family {
                strings.remove(&hash);
            }
            let Some(like) = corpus.origin(family.example, None) else { continue };
            let signs = vec![Sign::Strings { found: count, known: family.known, examples }];
            findings.push(Finding::Suspected { place: place.clone(), like, signs });
        }
    }
}

/// A string of the file that was audited, shortened.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{library, noise};
    use crate::{AuditFile, Contents, Fingerprints, Limits, Material, Source, audit, learn};

    proptest::proptest! {
        /// Passing over leaves nothing out: the same comes out as when every text is looked at.
        #[test]
        fn messages_are_the_texts_of_their_length_with_a_space(
            pieces in proptest::collection::vec(("[a-c ]{0,40}", 0usize..600, 0u8..4), 0..30)
        ) {
            let piece = |(text, more, end): &(String, usize, u8)| {
                let more = if *more > 500 { "x".repeat(*more) } else { String::new() };
                [text.as_bytes(), more.as_bytes(), [&b"\0"[..], b"\x80", b"\0\0\x01", b""][usize::from(*end)]].concat()
            };
            let bytes: Vec<u8> = pieces.iter().flat_map(piece).collect();
            let all = texts(&bytes, b"").filter(|text| (SHORTEST..=LONGEST).contains(&text.len()) && text.contains(&b' '));
            assert_eq!(messages(&bytes).collect::<Vec<_>>(), all.collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_releases_of_a_library_are_one_family() {
        let check = |file: &str, name: &str| assert_eq!(family(file), name, "{file}");
        check("lib/libcudart.so.12", "cudart");
        check("nvidia/cuda_runtime/lib/libcudart_static.a", "cudart");
        check("bin/cudart64_12.dll", "cudart");
        check("lib/x64/cudart_static.lib", "cudart");
        check("libcublasLt.so.13", "cublasLt");
        check("libmkl_core.a", "mkl_core");
        check("12", "12");
    }

    /// The families that a library with some messages looks like, to a corpus of a large library and a small one
    /// whose messages the large one has as well.
    fn suspected(messages: std::ops::Range<u32>) -> Vec<(String, u32)> {
        let with = |messages: std::ops::Range<u32>, seed| {
            let text: String = messages.map(|number| format!("\0this is message number {number}")).collect();
            library(&[(".text", true, noise(seed, 2000)), (".rodata", false, (text + "\0").into_bytes())])
        };
        let mut prints = Fingerprints::default();
        for (name, messages) in [("libsmall.so.1", 0..30), ("liblarge.so.1", 0..100)] {
            let bytes = with(messages, u64::from(name.as_bytes()[3]));
            let source = Source::new(format!("sha256:{name}"), "n", Material::of_package("vendor-1", vec![]));
            let file = AuditFile { path: name.to_owned(), contents: Contents::Bytes(&bytes) };
            learn(&mut prints, &source, &[file], Limits::default());
        }
        let bytes = with(messages, 0);
        let file = AuditFile { path: "x".to_owned(), contents: Contents::Bytes(&bytes) };
        let findings = audit(&[file], &prints.to_corpus(), Limits::default()).findings;
        let shown = findings.iter().filter_map(|finding| match finding {
            Finding::Suspected { like, signs, .. } => match signs.as_slice() {
                [Sign::Strings { found, .. }] => Some((like.file.clone(), *found)),
                _ => None,
            },
            _ => None,
        });
        shown.collect()
    }

    #[test]
    fn messages_are_put_down_to_the_library_that_explains_most() {
        assert_eq!(suspected(0..60), [("liblarge.so.1".to_owned(), 60)]);
        assert_eq!(suspected(0..30), [("libsmall.so.1".to_owned(), 30)]);
        // A quarter of the large library's messages, and none of the small one's.
        assert_eq!(suspected(70..95), [("liblarge.so.1".to_owned(), 25)]);
        assert!(suspected(70..94).is_empty() && suspected(0..15).is_empty());
    }

    #[test]
    fn messages_are_what_stands_between_zeros() {
        let bytes = b"\0\x01\x02no such device is here\0short one\0cudaGetErrorStringWithoutSpace\0tail without a zero at its end";
        let found: Vec<&[u8]> = messages(bytes).collect();
        assert_eq!(found, [b"no such device is here".as_slice()]);
        assert_eq!(texts(b"liba\x02\x01libx.so\0a liby\0lib", b"lib").collect::<Vec<_>>(), [b"libx.so".as_slice()]);
    }

    #[test]
    fn the_lowest_prints_are_kept() {
        let mut kept = BTreeSet::new();
        for hash in (0..1000).rev() {
            keep(&mut kept, hash);
        }
        assert_eq!((kept.len(), kept.first(), kept.last()), (KEPT, Some(&0), Some(&(KEPT as u64 - 1))));
    }
}
