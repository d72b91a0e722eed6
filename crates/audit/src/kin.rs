//! Which other originals may be meant, where what was found does not tell them apart.
//!
//! Releases of one library have most of their functions in common, and products of one vendor share parts. One library
//! is one finding, with the release that fits best; and code that several products share is put down to all of them.

use crate::corpus::{Corpus, Origin, OriginalRef, Voice};
use crate::ranges::Range;
use crate::strings::family;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Originals that a finding names beside its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kin {
    /// Originals of other products that have the same code: which product it is from cannot be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_by: Vec<Origin>,
    /// Other releases of the library that have everything that was found as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equal: Vec<Origin>,
    /// No release that is known has everything that was found: the one that is named is the nearest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub release_unknown: bool,
}

impl Kin {
    /// Whether nothing else may be meant.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The archive of a product of which most was found: how many bytes, and which one.
type Most = (u64, std::cmp::Reverse<OriginalRef>);

/// Others that a finding lists of a kind.
const LISTED: usize = 32;

/// Code of an archive's own is a sign of it alone where it is one part in so many, or more.
const OWN_SHARE: u64 = 8;

/// The name of a product: that of a package without the version of CUDA that it is for.
pub fn product(package: &str) -> &str {
    let is_cuda =
        |word: &&str| word.strip_prefix("cu").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
    package.rsplit_once('-').filter(|(_, word)| is_cuda(word)).map_or(package, |(name, _)| name)
}

/// What is one and the same library in all of its releases, as long as it ships.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Library {
    licenses: Vec<String>,
    name: String,
}

impl Library {
    /// The library that an original is a release of; `None` for one that was learned here, whose package speaks for
    /// itself alone.
    pub(crate) fn of(original: OriginalRef, corpus: &Corpus) -> Option<Self> {
        let origin = corpus.origin(original, None).filter(|_| corpus.voice(original) == Voice::Shipped)?;
        Some(Self { licenses: origin.material.licenses.clone(), name: family(&origin.file).to_owned() })
    }
}

/// What of a member was found: its name, and functions with the places where each stands.
pub(crate) struct Member<'a> {
    pub(crate) name: &'a str,
    pub(crate) functions: Vec<(u32, &'a [Range])>,
}

/// What of an archive was found.
pub(crate) struct Part<'a> {
    /// Members of which functions were found.
    pub(crate) members: Vec<Member<'a>>,
    /// Functions that say something by themselves, and how many bytes of each do.
    pub(crate) telling: BTreeMap<u32, u64>,
}

impl Part<'_> {
    fn places(&self) -> impl Iterator<Item = (u32, Range)> {
        let functions = self.members.iter().flat_map(|member| &member.functions);
        functions.flat_map(|(function, places)| places.iter().map(|place| (*function, *place)))
    }

    /// Where its telling functions stand.
    fn told(&self) -> BTreeSet<Range> {
        self.places().filter(|(function, _)| self.telling.contains_key(function)).map(|(_, place)| place).collect()
    }
}

/// The kin of an archive among all archives of which something was found. `enough` says whether so many functions with
/// so many bytes make a finding; `is_new` whether nothing else explains what stands at a place.
pub(crate) fn of_archive(
    archive: OriginalRef,
    parts: &BTreeMap<OriginalRef, Part<'_>>,
    corpus: &Corpus,
    enough: impl Fn(usize, u64) -> bool,
    is_new: impl Fn(&Range) -> bool,
) -> Kin {
    let Some(library) = Library::of(archive, corpus) else { return Kin::default() };
    let own = &parts[&archive];
    let releases = parts.keys().filter(|other| Library::of(**other, corpus).as_ref() == Some(&library));
    let releases: Vec<OriginalRef> = releases.copied().filter(|other| *other != archive).collect();
    let (told, covered) = (own.told(), covered(own));
    let fits = |other: &&OriginalRef| told.is_subset(&parts[other].told());
    let origin = |original: &OriginalRef| corpus.origin(*original, None);
    let mut equal: Vec<Origin> = releases.iter().filter(fits).filter_map(origin).collect();
    equal.sort();
    equal.dedup();
    equal.truncate(LISTED);
    let beyond = |place: &Range| !told.contains(place) && !overlaps(&covered, place);
    let release_unknown = releases.iter().any(|other| parts[other].told().iter().any(beyond));
    Kin { shared_by: shared_by(own, &library, parts, corpus, enough, is_new), equal, release_unknown }
}

fn shared_by(
    own: &Part<'_>,
    library: &Library,
    parts: &BTreeMap<OriginalRef, Part<'_>>,
    corpus: &Corpus,
    enough: impl Fn(usize, u64) -> bool,
    is_new: impl Fn(&Range) -> bool,
) -> Vec<Origin> {
    let product_of = |original: OriginalRef| corpus.material(original).map(|material| product(&material.name));
    // A product that has the library itself shares with it what its parts share with each other.
    let releases = parts.keys().filter(|other| Library::of(**other, corpus).as_ref() == Some(library));
    let own_products: BTreeSet<Option<&str>> = releases.map(|release| product_of(*release)).collect();
    let of_others = |other: &&OriginalRef| {
        Library::of(**other, corpus).is_some_and(|other| other != *library)
            && !own_products.contains(&product_of(**other))
    };
    // Place → archives of other products that have the function that stands there.
    let mut elsewhere: HashMap<Range, Vec<OriginalRef>> = HashMap::new();
    for other in parts.keys().filter(of_others) {
        for (_, place) in parts[other].places() {
            elsewhere.entry(place).or_default().push(*other);
        }
    }
    // The archives of other products of which something was found may have a member under the same name.
    let mut sources: HashMap<&str, BTreeSet<OriginalRef>> = HashMap::new();
    for other in parts.keys().filter(of_others) {
        for name in corpus.members_of(*other).filter_map(source) {
            sources.entry(name).or_default().insert(*other);
        }
    }
    let (mut alone, mut all): ((usize, u64), u64) = ((0, 0), 0);
    let mut sharing: BTreeMap<OriginalRef, u64> = BTreeMap::new();
    for member in &own.members {
        // A member is one piece of source: who shares half of it, or its name, shares all of it, though it may be built
        // anew for each product.
        let bytes_of = |function: &u32| own.telling.get(function).copied().unwrap_or(0);
        let found: u64 = member.functions.iter().map(|(function, _)| bytes_of(function)).sum();
        let mut shares: BTreeMap<OriginalRef, u64> = BTreeMap::new();
        for (function, places) in &member.functions {
            let others: BTreeSet<OriginalRef> =
                places.iter().filter_map(|place| elsewhere.get(place)).flatten().copied().collect();
            for other in others {
                *shares.entry(other).or_default() += bytes_of(function);
            }
        }
        let half = shares.into_iter().filter(|(_, shared)| *shared > 0 && shared * 2 >= found);
        let mut others: BTreeSet<OriginalRef> = half.map(|(other, _)| other).collect();
        others.extend(source(member.name).and_then(|name| sources.get(name)).into_iter().flatten());
        let new = member.functions.iter().filter(|(_, places)| places.iter().any(&is_new));
        let telling: Vec<u64> = new.filter_map(|(function, _)| own.telling.get(function).copied()).collect();
        let bytes: u64 = telling.iter().sum();
        all += bytes;
        if others.is_empty() {
            alone = (alone.0 + telling.len(), alone.1 + bytes);
        }
        for other in others {
            *sharing.entry(other).or_default() += bytes;
        }
    }
    if enough(alone.0, alone.1) && alone.1 * OWN_SHARE >= all {
        return Vec::new();
    }
    // Of each product the archive that shares most of it.
    let mut products: BTreeMap<(&str, &[String]), Most> = BTreeMap::new();
    for (other, bytes) in sharing.into_iter().filter(|(_, bytes)| *bytes > 0) {
        let Some(material) = corpus.material(other) else { continue };
        let best =
            products.entry((product(&material.name), &material.licenses)).or_insert((0, std::cmp::Reverse(other)));
        *best = (*best).max((bytes, std::cmp::Reverse(other)));
    }
    let origins = products.into_values().filter_map(|(_, other)| corpus.origin(other.0, None));
    origins.take(LISTED).collect()
}

/// The name of the source that a member was made from: without the processors it is for, which stand behind the last
/// underscore, and the function that was cut out of it. Short names are everybody's.
fn source(member: &str) -> Option<&str> {
    const SHORTEST: usize = 10;
    let stem = member.split("---").next().unwrap_or(member);
    let stem = stem.strip_suffix(".o").or_else(|| stem.strip_suffix(".obj")).unwrap_or(stem);
    let (name, processor) = stem.rsplit_once('_')?;
    let is_processor = processor.len() <= 6 && processor.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_processor && name.len() >= SHORTEST && name.contains('_')).then_some(name)
}

fn covered(part: &Part<'_>) -> Vec<Range> {
    crate::ranges::merge(part.places().map(|(_, place)| place).collect(), 0)
}

fn overlaps(ranges: &[Range], one: &Range) -> bool {
    let next = ranges.partition_point(|range| range.1 <= one.0);
    ranges.get(next).is_some_and(|range| range.0 < one.1)
}

/// All archives of the library that one is a release of; the archive alone where it was learned here.
pub(crate) fn releases_of<T>(
    archive: OriginalRef,
    archives: &BTreeMap<OriginalRef, T>,
    corpus: &Corpus,
) -> HashSet<OriginalRef> {
    let library = Library::of(archive, corpus);
    let same = |other: &OriginalRef| library.is_some() && Library::of(*other, corpus) == library;
    archives.keys().copied().filter(same).chain([archive]).collect()
}

#[cfg(test)]
mod tests;
