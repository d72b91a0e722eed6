//! Turns material into fingerprints: restricted material into what is looked for, free software into
//! what is left alone.

use crate::audit::{AuditFile, Contents};
use crate::binary::Links;
use crate::container::{Kind, Limits, Visitor, walk};
use crate::corpus::{Corpus, FilePrint, Fingerprints, Material, Origin, Part, base_name, file_key};
use crate::finding::{Gap, Place};
use crate::functions::{self, Candidate, Frequencies};
use crate::passages::{self, Passages};
use crate::prints::{self, hash128, heads};
use crate::{binary, chunks, device, links, strings};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Shorter files (empty `__init__.py`, one-line stamps) are in everybody's packages.
const SHORTEST: usize = 64;

/// Objects without functions and with less data are no vendor's.
const OBJECT_BYTES: usize = 1024;

/// What learning one piece of material brought.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Whole files that were new.
    pub files: usize,
    /// Functions that were new.
    pub functions: usize,
    /// Entries and kernels of device code that were new.
    pub device: usize,
    /// What could not be read, and so was not learned.
    pub gaps: Vec<(Place, Gap)>,
}

impl Learned {
    /// Adds what another part brought.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.functions += other.functions;
        self.device += other.device;
        self.gaps.extend(other.gaps);
    }
}

/// Who supplied what is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// The operator, whose word counts.
    Operator,
    /// A package set fetched it for a package, as the package's vendor delivers it.
    Fetched,
    /// A package set built it. It may be made of what other packages were delivered.
    Built,
}

/// What ships, and which of it a package may call its own as well.
pub struct Known<'k> {
    corpus: &'k Corpus,
    may_share: &'k dyn Fn(&Origin, &str) -> bool,
}

impl<'k> Known<'k> {
    /// `may_share` says whether an original of the corpus may have a second owner: the package that is learned, for
    /// its file of this path.
    pub fn new(corpus: &'k Corpus, may_share: &'k dyn Fn(&Origin, &str) -> bool) -> Self {
        Self { corpus, may_share }
    }

    /// Whether a file is of somebody whose it stays alone.
    fn forbids(&self, origins: impl IntoIterator<Item = Origin>, file: &str) -> bool {
        let mut origins = origins.into_iter().peekable();
        origins.peek().is_some() && !origins.any(|origin| (self.may_share)(&origin, file))
    }

    fn forbids_function(&self, hash: u64, file: &str) -> bool {
        let origins = self.corpus.functions_with(hash).iter().flat_map(|number| {
            let (layer, owners) = self.corpus.owners(*number, &self.corpus.function(*number));
            let origin = move |owner| self.corpus.origin(self.corpus.member(layer, owner).0, None);
            owners.into_iter().filter_map(origin)
        });
        self.forbids(origins, file)
    }
}

/// What is learned from.
#[derive(Clone, Debug)]
pub struct Source {
    /// A hash of it, remembered so that it is learned only once; a NAR's where it is a store path.
    pub hash: String,
    /// Its name, which stands for the file where it is itself a file.
    pub name: String,
    /// Whose it is.
    pub material: Material,
    /// Members of its archives that are free software, by their names; `*` stands for any letters.
    pub free_members: Vec<String>,
    /// What its libraries export and say is what others export and say as well, so that no name and no message of
    /// them is learned.
    pub open_interface: bool,
    /// Who supplied it.
    pub supply: Supply,
}

impl Source {
    /// Material of which no part is free, from the operator.
    pub fn new(hash: impl Into<String>, name: impl Into<String>, material: Material) -> Self {
        let (hash, name) = (hash.into(), name.into());
        let supply = Supply::Operator;
        Self { hash, name, material, free_members: Vec::new(), open_interface: false, supply }
    }

    fn is_free(&self, member: &str) -> bool {
        self.free_members.iter().any(|pattern| is_match(pattern, member))
    }
}

/// Whether a name has the parts of a pattern between its `*`, in their order.
fn is_match(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(end)
}

/// Adds the fingerprints of restricted material.
///
/// Every file that was delivered is an original and keeps its hash and the prints of its sections, however little it
/// differs from another release. Vendor originals are to be learned before the outputs made from them: what a build
/// made of a file that is known already, changed or not, is not learned, so that what is found later is compared with
/// the original. What is another package's as well has both for its owners, unless this one was built and the other
/// one's was delivered.
pub fn learn(prints: &mut Fingerprints, source: &Source, files: &[AuditFile<'_>], limits: Limits) -> Learned {
    learn_beside(prints, None, source, files, limits)
}

/// The same for a package of a set: what ships has no second owner, unless `known` says that it may.
pub fn learn_beside(
    prints: &mut Fingerprints,
    known: Option<&Known<'_>>,
    source: &Source,
    files: &[AuditFile<'_>],
    limits: Limits,
) -> Learned {
    let material = prints.material(&source.material);
    let mut visitor = Learn {
        with_passages: prints.passages.iter().map(|(_, original)| *original).collect(),
        prints,
        known,
        material,
        source,
        objects: Vec::new(),
        texts: Vec::new(),
        frequencies: Frequencies::default(),
        strings: BTreeMap::new(),
        scratch: Vec::new(),
        learned: Learned::default(),
    };
    walk_all(files, limits, &mut visitor);
    let Learn { objects, frequencies, strings, texts, mut learned, .. } = visitor;
    for object in objects {
        let functions = object.functions.into_iter().map(|candidate| frequencies.choose(candidate)).collect();
        learned.functions += prints.add_functions(object.original, &object.member, functions);
    }
    for (original, hashes) in strings {
        prints.strings.extend(hashes.into_iter().map(|hash| (hash, original)));
    }
    let (passages, common) = passages::choose(texts);
    prints.passages.extend(passages);
    if source.supply == Supply::Operator {
        // Nobody else's word can take a passage from all others.
        prints.free.extend(common);
    }
    prints.meta.learned.insert(source.hash.clone());
    learned
}

/// Remembers what of free software the corpus would take for a vendor's: functions of its objects, and in its
/// programs and libraries whatever the corpus knows. So free software is learned after the restricted
/// material that shares code with it.
pub fn learn_free(
    prints: &mut Fingerprints,
    corpus: &Corpus,
    source: &Source,
    files: &[AuditFile<'_>],
    limits: Limits,
) -> Learned {
    let before = prints.free.len();
    let mut visitor = LearnFree { prints, corpus, scratch: Vec::new(), learned: Learned::default() };
    walk_all(files, limits, &mut visitor);
    let mut learned = visitor.learned;
    learned.functions = prints.free.len() - before;
    prints.names.free.insert(source.material.package());
    prints.meta.learned.insert(source.hash.clone());
    learned
}

fn walk_all(files: &[AuditFile<'_>], limits: Limits, visitor: &mut dyn Visitor) {
    for file in files {
        let place = Place { file: file.path.clone(), members: Vec::new() };
        match &file.contents {
            Contents::Bytes(bytes) => {
                walk(place, bytes, limits, visitor);
            }
            Contents::Unreadable(why) => visitor.gap(place, Gap::Unreadable(why.clone())),
        }
    }
}

/// A relocatable object whose functions are to be added.
struct Object {
    original: u32,
    member: String,
    functions: Vec<Candidate>,
}

struct Learn<'a> {
    prints: &'a mut Fingerprints,
    known: Option<&'a Known<'a>>,
    material: u32,
    source: &'a Source,
    objects: Vec<Object>,
    /// Originals of which passages were learned before.
    with_passages: HashSet<u32>,
    /// Originals that are texts, with their names and passages.
    texts: Vec<(u32, String, Passages)>,
    frequencies: Frequencies,
    strings: BTreeMap<u32, BTreeSet<u64>>,
    scratch: Vec<u8>,
    learned: Learned,
}

impl Learn<'_> {
    /// File and member of an origin: inside an `ar` the archive is the file.
    fn origin(&self, place: &Place, parent: Option<Kind>) -> (String, Option<String>) {
        let mut chain: Vec<&str> = std::iter::once(place.file.as_str())
            .chain(place.members.iter().map(String::as_str))
            .filter(|part| !part.is_empty())
            .collect();
        let last = chain.pop().unwrap_or(&self.source.name);
        match (parent, chain.pop()) {
            (Some(Kind::Ar), archive) => (archive.unwrap_or(&self.source.name).to_owned(), Some(last.to_owned())),
            _ => (last.to_owned(), None),
        }
    }

    /// Whether nobody else is to be named beside an original that was learned before: it is of this package, or this
    /// package was built and the original delivered.
    fn is_settled(&self, original: u32) -> bool {
        self.is_own(original) || self.source.supply == Supply::Built && self.prints.delivered.contains(&original)
    }

    /// Adds what a file that was learned before was not asked for then.
    fn again(&mut self, original: u32, bytes: &[u8], parent: Option<Kind>) {
        if self.source.supply != Supply::Built {
            self.prints.delivered.insert(original);
        }
        if !self.with_passages.contains(&original) && binary::parse(bytes, parent).is_none() {
            let file = self.prints.meta.originals[original as usize].file.clone();
            self.text(original, &file, true, bytes);
        }
    }

    /// Whether an original is of this package, in whichever version.
    fn is_own(&self, original: u32) -> bool {
        let meta = &self.prints.meta;
        let [one, own] =
            [meta.originals[original as usize].material, self.material].map(|m| &meta.materials[m as usize]);
        (&one.name, &one.licenses) == (&own.name, &own.licenses)
    }

    /// Whether a function of an archive is another one's, and stays so.
    fn is_anothers(&self, hash: u64, archive: &str) -> bool {
        let number = self.prints.numbers.get(&hash).filter(|_| self.source.supply == Supply::Built);
        let owners = number.into_iter().flat_map(|number| &self.prints.functions[*number as usize].owners);
        let mut originals = owners.map(|owner| self.prints.names.members[*owner as usize].original);
        self.known.is_some_and(|known| known.forbids_function(hash, archive))
            || originals.any(|original| self.prints.delivered.contains(&original) && !self.is_own(original))
    }

    /// Learns the passages of a text; says whether it is another's text that somebody changed.
    fn text(&mut self, original: u32, file: &str, ships: bool, bytes: &[u8]) -> bool {
        let passages = Passages::of(bytes);
        let alike = |known: &Known<'_>| {
            let alike = passages::alike(&passages.all, known.corpus);
            known.forbids(alike.into_iter().filter_map(|original| known.corpus.origin(original, None)), file)
        };
        if !ships && self.known.is_some_and(alike) {
            return true;
        }
        let built = self.source.supply == Supply::Built;
        let known = passages::alike_in(&passages.all, &self.prints.passages);
        if built && known.into_iter().any(|other| self.prints.delivered.contains(&other) && !self.is_own(other)) {
            return true;
        }
        if !passages.all.is_empty() {
            let name = base_name(file).to_owned();
            self.texts.push((original, name, passages));
        }
        false
    }

    /// Learns what a binary has beside its whole bytes.
    fn binary(
        &mut self,
        file: &object::File<'_>,
        original: u32,
        member: Option<&str>,
        name: &str,
        ships: bool,
        bytes: &[u8],
    ) -> Result<Whole, binary::Error> {
        let sections = binary::section_prints(file)?;
        let closest = |known: &Known<'_>| {
            let closest = known.corpus.closest(&sections);
            closest.iter().filter_map(|file| known.corpus.origin_of_file(file)).collect::<Vec<_>>()
        };
        // A changed file of somebody else's is nobody's own, whoever may share the file as it was.
        let is_changed = !ships
            && self
                .known
                .is_some_and(|known| !closest(known).is_empty() || !chunks::changed(bytes, known.corpus).is_empty());
        if is_changed {
            return Ok(Whole::Known);
        }
        if self.prints.variants(&sections).into_iter().any(|other| self.is_settled(other)) {
            let links = || binary::links(file);
            let print = |links| FilePrint { original, member: None, size: 0, heads: Vec::new(), sections, links };
            return match self.source.supply {
                Supply::Built => Ok(Whole::Known),
                Supply::Operator | Supply::Fetched => Ok(Whole::Release(print(links()?))),
            };
        }
        let mut told = false;
        // What is everybody's is learned of no linked library.
        let is_open = self.source.open_interface && binary::is_linked(file);
        if binary::is_linked(file) {
            let exports = if is_open { HashSet::new() } else { links::exports(file) };
            self.prints.interface.extend(exports.into_iter().map(|hash| (hash, original)));
        } else {
            let found = binary::functions(file)?;
            let mut functions: Vec<Candidate> =
                found.iter().filter_map(|function| functions::candidate(function, &mut self.scratch)).collect();
            if member.is_some_and(|member| self.source.is_free(member)) {
                self.prints.free.extend(functions.iter().map(Candidate::hash));
                return Ok(Whole::Known);
            }
            told = member.is_some() && !functions.is_empty();
            functions.retain(|function| !self.is_anothers(function.hash(), name));
            functions.iter().for_each(|candidate| self.frequencies.count(candidate));
            self.objects.push(Object { original, member: member.unwrap_or(name).to_owned(), functions });
        }
        let data = binary::data(file)?;
        // An object without functions that has hardly any data is what every compiler makes of an empty file.
        let size: usize = data.iter().map(|bytes| bytes.len()).sum();
        told |= !binary::is_linked(file) && size < OBJECT_BYTES;
        let kept = self.strings.entry(original).or_default();
        for hash in strings::prints(data.into_iter().filter(|_| !is_open)) {
            strings::keep(kept, hash);
        }
        if told {
            return Ok(Whole::Told);
        }
        let links = binary::links(file)?;
        Ok(Whole::Print(FilePrint { original, member: None, size: 0, heads: Vec::new(), sections, links }))
    }
}

/// What is to be known of a file's bytes as a whole.
enum Whole {
    /// Nothing, and nothing else of it either: it is a copy of a file that is known, or free.
    Known,
    /// Nothing: it is a member of an archive that is told by its functions.
    Told,
    /// This, and nothing else of it: it is another release of a file that is known, with parts of it as they are.
    Release(FilePrint),
    /// This.
    Print(FilePrint),
}

impl Visitor for Learn<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool {
        if bytes.len() < SHORTEST || is_everybodys(place.innermost(), bytes) {
            return true;
        }
        let key = hash128(bytes);
        let (file, member) = self.origin(place, parent);
        if member.is_none() && self.source.is_free(&file) {
            return false;
        }
        let owners: Vec<u32> = self.prints.owners(key).collect();
        let shipped = |known: &Known<'_>| {
            let files = known.corpus.files(key, bytes.len() as u64);
            let origins = files.iter().filter_map(|file| known.corpus.origin_of_file(file)).collect::<Vec<_>>();
            (!origins.is_empty(), known.forbids(origins, &file))
        };
        let (ships, forbidden) = self.known.map_or((false, false), shipped);
        let known = owners.iter().find(|owner| {
            let file_of = |owner: u32| &self.prints.meta.originals[owner as usize].file;
            self.is_settled(**owner) && (!self.is_own(**owner) || base_name(file_of(**owner)) == base_name(&file))
        });
        if let Some(known) = known.copied() {
            if self.is_own(known) {
                self.again(known, bytes, parent);
            }
            return false;
        }
        if forbidden {
            return false;
        }
        let original = self.prints.original(self.material, &file);
        if self.source.supply != Supply::Built {
            self.prints.delivered.insert(original);
        }
        let none = || {
            let (heads, sections, links) = (Vec::new(), Vec::new(), Links::default());
            Whole::Print(FilePrint { original, member: None, size: 0, heads, sections, links })
        };
        let whole = match binary::parse(bytes, parent) {
            None if self.text(original, &file, ships, bytes) => Whole::Known,
            None => none(),
            Some(parsed) => {
                let read = |binary| self.binary(&binary, original, member.as_deref(), &file, ships, bytes);
                parsed.and_then(read).unwrap_or_else(|error| {
                    self.gap(place.clone(), Gap::BrokenBinary(error.to_string()));
                    none()
                })
            }
        };
        let (print, is_new) = match whole {
            Whole::Known => return false,
            Whole::Told => (None, true),
            Whole::Release(print) => (Some(print), false),
            Whole::Print(print) => (Some(print), true),
        };
        if is_new {
            self.learned.device += device::learn(self.prints, original, bytes);
            if let Some((product, _)) = binary::product(bytes) {
                self.prints.products.insert((product, original));
            }
        }
        let Some(print) = print else { return true };
        if is_new && member.is_none() {
            chunks::learn(self.prints, original, bytes);
        }
        // Members of archives are found by their functions where they are not whole.
        let heads = if member.is_none() { heads(bytes) } else { Vec::new() };
        self.prints.add_file(key, FilePrint { member, size: bytes.len() as u64, heads, ..print });
        self.learned.files += 1;
        true
    }

    fn gap(&mut self, place: Place, gap: Gap) {
        self.learned.gaps.push((place, gap));
    }

    /// What lies unnamed in a vendor's file is mostly somebody else's.
    fn carves(&self) -> bool {
        false
    }
}

struct LearnFree<'a> {
    prints: &'a mut Fingerprints,
    corpus: &'a Corpus,
    scratch: Vec<u8>,
    learned: Learned,
}

impl LearnFree<'_> {
    fn binary(&mut self, file: &object::File<'_>, bytes: &[u8]) -> Result<(), binary::Error> {
        let free = &mut self.prints.free;
        if binary::is_linked(file) {
            let hits = functions::look(&[(0, bytes)], self.corpus).hits;
            free.extend(hits.iter().map(|hit| self.corpus.function(hit.function).hash));
            let known = |hash: &u64| self.corpus.originals(Part::Interface, *hash).next().is_some();
            free.extend(links::exports(file).into_iter().filter(known));
        } else {
            for function in binary::functions(file)? {
                free.extend(functions::candidate(&function, &mut self.scratch).map(|candidate| candidate.hash()));
            }
        }
        let texts = binary::data(file)?.into_iter().flat_map(strings::messages);
        let hashes = texts.map(|text| prints::hash64(prints::Kind::String, text));
        free.extend(hashes.filter(|hash| self.corpus.families.has(*hash)));
        Ok(())
    }
}

impl Visitor for LearnFree<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool {
        let key = hash128(bytes);
        if !self.corpus.files(key, bytes.len() as u64).is_empty() {
            self.prints.free.insert(file_key(key));
        }
        if let Some(Err(error)) =
            binary::parse(bytes, parent).map(|parsed| parsed.and_then(|file| self.binary(&file, bytes)))
        {
            self.gap(place.clone(), Gap::BrokenBinary(error.to_string()));
        }
        self.prints.free.extend(passages::Seen::look(&[bytes], self.corpus).into_rest());
        self.prints.free.extend(device::known(bytes, self.corpus));
        self.prints.free.extend(chunks::all_known(bytes, self.corpus));
        self.learned.files += 1;
        true
    }

    fn gap(&mut self, place: Place, gap: Gap) {
        self.learned.gaps.push((place, gap));
    }

    /// What lies unnamed in a vendor's file is mostly somebody else's.
    fn carves(&self) -> bool {
        false
    }
}

/// License texts and the metadata that packaging tools write come with everybody's packages; having
/// one accuses nobody. Only texts: a program may be called what it likes.
fn is_everybodys(path: &str, bytes: &[u8]) -> bool {
    const BEGINNINGS: [&str; 8] =
        ["license", "licence", "copying", "notice", "copyright", "third-party", "third_party", "thirdparty"];
    const METADATA: [&str; 7] =
        ["wheel", "metadata", "record", "installer", "top_level.txt", "entry_points.txt", "__init__.py"];
    let name = base_name(path).to_ascii_lowercase();
    let named = BEGINNINGS.iter().any(|start| name.starts_with(start)) || METADATA.contains(&name.as_str());
    named && !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests;
