//! Terms: what a license allows file by file. They are data, read from TOML.

use crate::read::{Mistake, Reader};
use globset::{Glob, GlobSet, GlobSetBuilder};
use narthex_audit::{Origin, TextHash};
use narthex_license::is_attribute;

/// Files that a clause lists.
#[derive(Clone, Debug)]
struct Listing {
    clause: String,
    files: GlobSet,
}

/// A license text that the terms were read from.
#[derive(Clone, Debug)]
struct Text {
    release: String,
    sha256: TextHash,
    note: Option<String>,
}

/// What terms know of a license text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextStanding<'t> {
    /// It is one that they were read from: the releases of the product that carry it.
    Known(&'t str),
    /// They were not read from it, and what they say may not hold.
    NotKnown,
}

/// The terms of one license.
#[derive(Clone, Debug)]
pub struct Terms {
    id: String,
    title: String,
    licenses: Vec<String>,
    packages: GlobSet,
    package_licenses: Vec<String>,
    texts: Vec<Text>,
    modified: bool,
    modified_clause: String,
    standalone: bool,
    standalone_clause: String,
    conditions: Vec<String>,
    accompanying: GlobSet,
    distributable: Vec<Listing>,
    warnings: Vec<Mistake>,
    text: String,
}

/// Names that vendors' packages have for licenses of which nixpkgs has no attribute.
const VENDORS_NAMES: [&str; 6] =
    ["NVIDIA Math SDK SLA", "TensorRT EULA", "cuDNN EULA", "cuSPARSELt EULA", "cuTENSOR EULA", "intel-eula"];

/// A name that two of these terms give themselves. Both count where a package is held against terms; what is recorded
/// names them by it, and does not tell which of the two is meant.
pub fn terms_clash(terms: &[Terms]) -> Option<&str> {
    let clashing =
        terms.iter().enumerate().find(|(number, one)| terms[..*number].iter().any(|other| other.id == one.id));
    clashing.map(|(_, one)| one.id())
}

/// What the terms say of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'t> {
    /// It may be distributed; the clause says so.
    Listed(&'t str),
    /// A license text or package metadata, which is no part of the software.
    Accompanying,
    /// The terms do not name it.
    NotListed,
}

impl Terms {
    /// The text that they were read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads a terms file. `packages`, `package-licenses` and `texts` may be left out; all else has to be there.
    ///
    /// # Errors
    /// All mistakes in it, each with line and column.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        const KNOWN: [&str; 14] = [
            "version",
            "id",
            "title",
            "licenses",
            "packages",
            "package-licenses",
            "texts",
            "modified",
            "modified-clause",
            "standalone",
            "standalone-clause",
            "conditions",
            "accompanying",
            "distributable",
        ];
        Reader::run(text, |reader, root| {
            let fields = reader.root(root, &KNOWN);
            let version = reader.required(&fields, "version", 0..0).and_then(|v| reader.version_one(v));
            let [id, title, modified_clause, standalone_clause] =
                ["id", "title", "modified-clause", "standalone-clause"]
                    .map(|name| reader.required(&fields, name, 0..0).and_then(|v| reader.string(v)));
            let [modified, standalone] = ["modified", "standalone"]
                .map(|name| reader.required(&fields, name, 0..0).and_then(|v| reader.bool(v)));
            let [licenses, conditions] = ["licenses", "conditions"]
                .map(|name| reader.required(&fields, name, 0..0).and_then(|v| reader.strings(v)));
            let accompanying = reader.required(&fields, "accompanying", 0..0).and_then(|v| patterns(reader, v));
            let distributable = reader.required(&fields, "distributable", 0..0).and_then(|value| {
                let items = reader.array(value)?;
                items
                    .into_iter()
                    .map(|item| {
                        let table = reader.table(item)?;
                        let inner = reader.fields(table, &["clause", "files"]);
                        let clause = reader.required(&inner, "clause", item.span()).and_then(|v| reader.string(v));
                        let files = reader.required(&inner, "files", item.span()).and_then(|v| patterns(reader, v));
                        Some(Listing { clause: clause?, files: files? })
                    })
                    .collect::<Option<Vec<_>>>()
            });
            // What is not there has no mistake in it.
            let packages = fields.get("packages").map_or(Some(GlobSet::empty()), |value| patterns(reader, value));
            let package_licenses =
                fields.get("package-licenses").map_or(Some(Vec::new()), |value| reader.strings(value));
            let texts = fields.get("texts").map_or(Some(Vec::new()), |value| texts(reader, value));
            for value in ["licenses", "package-licenses"].into_iter().filter_map(|name| fields.get(name).copied()) {
                not_known(reader, value);
            }
            let () = version?;
            Some(Self {
                id: id?,
                title: title?,
                licenses: licenses?,
                packages: packages?,
                package_licenses: package_licenses?,
                texts: texts?,
                modified: modified?,
                modified_clause: modified_clause?,
                standalone: standalone?,
                standalone_clause: standalone_clause?,
                conditions: conditions?,
                accompanying: accompanying?,
                distributable: distributable?,
                text: text.to_owned(),
                warnings: reader.take_warnings(),
            })
        })
    }

    /// The stable name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The title of the license text.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What is no mistake and perhaps not meant.
    pub fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }

    /// Under which conditions what is listed may be distributed.
    pub fn conditions(&self) -> &[String] {
        &self.conditions
    }

    /// Whether these terms stand behind a license, given by its nixpkgs attribute.
    pub fn covers(&self, license: &str) -> bool {
        self.licenses.iter().any(|covered| covered == license)
    }

    /// Whether these terms speak of a package, given by its name without version.
    pub fn names(&self, package: &str) -> bool {
        self.packages.is_match(package)
    }

    /// Whether a package that they name can be under these terms when it declares this license: one that says
    /// too little by itself, such as `unfree`, as well as one that they stand behind wherever it is declared.
    pub(crate) fn accepts(&self, license: &str) -> bool {
        self.covers(license) || self.package_licenses.iter().any(|accepted| accepted == license)
    }

    /// What they know of a license text, given as it is in its file.
    pub fn text_of(&self, text: &[u8]) -> TextStanding<'_> {
        self.text_with(&TextHash::of(text))
    }

    /// What they know of a license text, given by its hash.
    pub(crate) fn text_with(&self, hash: &TextHash) -> TextStanding<'_> {
        let known = self.texts.iter().find(|text| text.sha256 == *hash);
        known.map_or(TextStanding::NotKnown, |text| TextStanding::Known(&text.release))
    }

    /// Whether they name a text that they were read from. Where they name none, none can be compared.
    pub(crate) fn has_texts(&self) -> bool {
        !self.texts.is_empty()
    }

    /// The texts that they were read from: releases, hash, and a note where there is one.
    pub fn texts(&self) -> impl Iterator<Item = (&str, TextHash, Option<&str>)> {
        self.texts.iter().map(|text| (text.release.as_str(), text.sha256, text.note.as_deref()))
    }

    /// `None` where modified files may be distributed, else the clause that forbids it.
    pub(crate) fn forbids_modification(&self) -> Option<&str> {
        (!self.modified).then_some(&self.modified_clause)
    }

    /// `None` where files may be distributed by themselves, else the clause that forbids it.
    pub(crate) fn forbids_standalone(&self) -> Option<&str> {
        (!self.standalone).then_some(&self.standalone_clause)
    }

    /// What they say of a file by its name, without folders.
    pub(crate) fn standing(&self, file_name: &str) -> Standing<'_> {
        if self.accompanying.is_match(file_name) {
            return Standing::Accompanying;
        }
        let listing = self.distributable.iter().find(|listing| listing.files.is_match(file_name));
        listing.map_or(Standing::NotListed, |listing| Standing::Listed(&listing.clause))
    }

    /// What they say of the original of something that was found. A member stands as its archive does.
    pub(crate) fn standing_of(&self, origin: &Origin) -> Standing<'_> {
        self.standing(origin.file_name())
    }
}

/// Warns of licenses that nobody is known to call so: terms behind a name with a mistake in it apply to nothing.
fn not_known<'a>(reader: &mut Reader<'a>, value: &crate::read::Value<'a>) {
    for item in reader.array(value).into_iter().flatten() {
        let Some(name) = reader.string(item) else { continue };
        if !is_attribute(&name) && !VENDORS_NAMES.contains(&name.as_str()) {
            let message = format!("`{name}` is no license of nixpkgs, by the name of its attribute");
            reader.warning(item.span(), message);
        }
    }
}

fn texts<'a>(reader: &mut Reader<'a>, value: &crate::read::Value<'a>) -> Option<Vec<Text>> {
    let items = reader.array(value)?;
    // All of them are read, so that all mistakes are found.
    let texts: Vec<Option<Text>> = items
        .into_iter()
        .map(|item| {
            let table = reader.table(item)?;
            let fields = reader.fields(table, &["release", "sha256", "note"]);
            let release = reader.required(&fields, "release", item.span()).and_then(|v| reader.string(v));
            let sha256 = reader.required(&fields, "sha256", item.span()).and_then(|v| {
                let digits = reader.string(v)?;
                digits.parse().map_err(|error| reader.mistake(v.span(), format!("`{digits}`: {error}"))).ok()
            });
            let note = match fields.get("note") {
                Some(note) => Some(reader.string(note)?),
                None => None,
            };
            Some(Text { release: release?, sha256: sha256?, note })
        })
        .collect();
    texts.into_iter().collect()
}

fn patterns<'a>(reader: &mut Reader<'a>, value: &crate::read::Value<'a>) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for item in reader.array(value)? {
        let text = reader.string(item)?;
        match Glob::new(&text) {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => {
                reader.mistake(item.span(), format!("`{text}` is no file pattern: {}", error.kind()));
                return None;
            }
        }
    }
    match set.build() {
        Ok(set) => Some(set),
        Err(error) => {
            reader.mistake(value.span(), format!("the patterns cannot be used together: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
