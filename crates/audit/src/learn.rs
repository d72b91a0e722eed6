//! Turns restricted material into fingerprints.

use crate::audit::{AuditFile, Contents};
use crate::container::{Kind, Limits, Visitor, walk};
use crate::corpus::{Body, Corpus, CorpusError, FilePrint, FunctionPrint, Material, MemberPrint};
use crate::elf::Links;
use crate::finding::{Gap, Place};
use crate::prints::{Hash, hash};
use crate::{binary, elf, functions, scan};
use std::collections::{BTreeMap, HashMap};

/// Shorter files (empty `__init__.py`, one-line stamps) are in everybody's packages.
const SHORTEST: usize = 64;

/// What learning one piece of material brought.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Whole files that were new.
    pub files: usize,
    /// Functions that were new.
    pub functions: usize,
    /// What could not be read, and so was not learned.
    pub gaps: Vec<(Place, Gap)>,
}

/// Adds the fingerprints of one store path to a corpus.
///
/// `nar_hash` is remembered so that it is learned only once, and `name` stands for the file where
/// the path is itself a file. Vendor originals are to be learned before the outputs made from them:
/// files that are known already, changed or not, are not learned again, so that what is found
/// later is compared with the original.
///
/// # Errors
/// None in practice: the content is consistent by construction, and the type says so only because
/// reading a file from elsewhere goes the same way.
pub fn learn(
    corpus: Corpus,
    nar_hash: &str,
    name: &str,
    material: Material,
    files: &[AuditFile<'_>],
    limits: Limits,
) -> Result<(Corpus, Learned), CorpusError> {
    let mut visitor =
        Learn { corpus: &corpus, name, files: BTreeMap::new(), objects: Vec::new(), learned: Learned::default() };
    for file in files {
        let place = Place { file: file.path.clone(), members: Vec::new() };
        match &file.contents {
            Contents::Bytes(bytes) => walk(place, bytes, limits, &mut visitor),
            Contents::Unreadable(why) => visitor.learned.gaps.push((place, Gap::Unreadable(why.clone()))),
        }
    }
    let Learn { files: new_files, objects, mut learned, .. } = visitor;

    let mut body = corpus.body;
    let number = position_or_push(&mut body.materials, material);
    learned.files = new_files.len();
    for (hash, mut file) in new_files {
        file.material = number;
        body.files.insert(hash, file);
    }
    learned.functions = add_functions(&mut body, number, objects);
    body.learned.insert(nar_hash.to_owned());
    Ok((Corpus::from_body(body)?, learned))
}

fn position_or_push(materials: &mut Vec<Material>, material: Material) -> u32 {
    // One package is one material, whatever licenses it was declared under over time.
    let known = materials.iter().position(|known| known.name == material.name && known.version == material.version);
    known.unwrap_or_else(|| {
        materials.push(material);
        materials.len() - 1
    }) as u32
}

/// Functions are stored once, however many members have them.
fn add_functions(body: &mut Body, material: u32, objects: Vec<Object>) -> usize {
    type Key = (u32, Vec<(u32, u32)>, Hash);
    let key = |f: &FunctionPrint| -> Key { (f.length, f.masked.clone(), f.hash) };
    let before = body.functions.len();
    let mut numbers: HashMap<Key, u32> = body.functions.iter().enumerate().map(|(n, f)| (key(f), n as u32)).collect();
    for object in objects {
        let mut owned: Vec<u32> = Vec::new();
        for function in object.functions {
            owned.push(*numbers.entry(key(&function)).or_insert_with(|| {
                body.functions.push(function);
                body.functions.len() as u32 - 1
            }));
        }
        owned.sort_unstable();
        owned.dedup();
        if !owned.is_empty() {
            body.members.push(MemberPrint {
                material,
                archive: object.archive,
                member: object.member,
                functions: owned,
            });
        }
    }
    body.functions.len() - before
}

/// A relocatable object whose functions are to be added.
struct Object {
    archive: String,
    member: String,
    functions: Vec<FunctionPrint>,
}

struct Learn<'a> {
    corpus: &'a Corpus,
    name: &'a str,
    /// The number of their material is filled in at the end.
    files: BTreeMap<Hash, FilePrint>,
    objects: Vec<Object>,
    learned: Learned,
}

impl Learn<'_> {
    /// File and member of an origin: inside an `ar` the archive is the file.
    fn origin(&self, place: &Place, parent: Option<Kind>) -> (String, Option<String>) {
        let mut chain: Vec<&str> = std::iter::once(place.file.as_str())
            .chain(place.members.iter().map(String::as_str))
            .filter(|part| !part.is_empty())
            .collect();
        let last = chain.pop().unwrap_or(self.name);
        match (parent, chain.pop()) {
            (Some(Kind::Ar), archive) => (archive.unwrap_or(self.name).to_owned(), Some(last.to_owned())),
            _ => (last.to_owned(), None),
        }
    }
}

impl Visitor for Learn<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool {
        let key = hash(bytes);
        if self.corpus.body.files.contains_key(&key) || self.files.contains_key(&key) {
            return false;
        }
        if bytes.len() < SHORTEST || is_everybodys(place.innermost(), bytes) {
            return true;
        }
        let (file, member) = self.origin(place, parent);
        let (mut sections, mut links) = (Vec::new(), Links::default());
        if let Some(parsed) = binary::parse(bytes, parent) {
            match parsed.and_then(|elf| Ok((elf::section_prints(&elf)?, elf::links(&elf)?, elf))) {
                Ok((prints, found_links, elf)) => {
                    if scan::closest(&prints, self.corpus).is_some() {
                        return false;
                    }
                    (sections, links) = (prints, found_links);
                    if object::Object::kind(&elf) == object::ObjectKind::Relocatable {
                        match elf::functions(&elf) {
                            Ok(found) => self.objects.push(Object {
                                archive: file.clone(),
                                member: member.clone().unwrap_or_else(|| file.clone()),
                                functions: functions::prints(&found).into_iter().flatten().collect(),
                            }),
                            Err(error) => self.gap(place.clone(), Gap::BrokenBinary(error.to_string())),
                        }
                    }
                }
                Err(error) => self.gap(place.clone(), Gap::BrokenBinary(error.to_string())),
            }
        }
        let size = bytes.len() as u64;
        self.files.insert(key, FilePrint { material: 0, file, member, size, sections, links });
        true
    }

    fn gap(&mut self, place: Place, gap: Gap) {
        self.learned.gaps.push((place, gap));
    }
}

/// License texts and the metadata that packaging tools write come with everybody's packages; having
/// one accuses nobody. Only texts: a program may be called what it likes.
fn is_everybodys(path: &str, bytes: &[u8]) -> bool {
    const BEGINNINGS: [&str; 5] = ["license", "licence", "copying", "notice", "copyright"];
    const METADATA: [&str; 7] =
        ["wheel", "metadata", "record", "installer", "top_level.txt", "entry_points.txt", "__init__.py"];
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let named = BEGINNINGS.iter().any(|start| name.starts_with(start)) || METADATA.contains(&name.as_str());
    named && !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Finding, audit};

    fn file<'a>(path: &str, bytes: &'a [u8]) -> AuditFile<'a> {
        AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) }
    }

    fn vendor() -> Material {
        Material::of_package("vendor-1", vec!["unfree".to_owned()])
    }

    #[test]
    fn what_was_learned_is_found_by_its_bytes_and_not_by_its_name() {
        let header = [b'h'; 100];
        let (corpus, learned) =
            learn(Corpus::default(), "sha256:a", "n", vendor(), &[file("include/v.h", &header)], Limits::default())
                .unwrap();
        assert_eq!(learned.files, 1);
        let report = audit(&[file("x/renamed", &header), file("y", b"other")], &corpus, Limits::default());
        let [Finding::Copy { place, original }] = report.findings.as_slice() else { panic!("{report:?}") };
        assert_eq!((place.to_string().as_str(), original.file.as_str()), ("x/renamed", "include/v.h"));
    }

    #[test]
    fn license_texts_and_stamps_are_not_learned() {
        let long = [b'x'; 500];
        let files = [file("share/LICENSE.txt", &long), file("x.dist-info/WHEEL", &long), file("__init__.py", b"")];
        let (_, learned) = learn(Corpus::default(), "sha256:a", "n", vendor(), &files, Limits::default()).unwrap();
        assert_eq!(learned.files, 0);
        // A program is not let off for its name.
        let program = [0u8; 500];
        let files = [file("bin/license-server", &program)];
        let (_, learned) = learn(Corpus::default(), "sha256:a", "n", vendor(), &files, Limits::default()).unwrap();
        assert_eq!(learned.files, 1);
    }

    #[test]
    fn learning_twice_adds_nothing_and_changes_no_byte() {
        let bytes = [b'q'; 100];
        let go = |corpus| learn(corpus, "sha256:a", "n", vendor(), &[file("f", &bytes)], Limits::default()).unwrap();
        let (once, _) = go(Corpus::default());
        let id = once.id();
        let (twice, learned) = go(once);
        assert_eq!((learned.files, learned.functions), (0, 0));
        assert_eq!(twice.id(), id);
    }
}
