//! What the entries of a policy are about: packages, files and findings, by patterns.

use crate::read::{Fields, Reader, Value};
use globset::{Glob, GlobSet, GlobSetBuilder};
use narthex_audit::{Finding, Material, Place};
use narthex_closure::AttrPath;
use narthex_license::{LicenseFacts, attributes};

/// The path that a decision is about, as a policy can name it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Case<'a> {
    /// The derivation's name, for instance `torch-2.1.0`; of a source, the name of its path.
    pub package: &'a str,
    /// The attributes of its jobs, where it is one: an entry may name any of them.
    pub attrs: &'a [String],
    /// The output's name, where it is an output.
    pub output: Option<&'a str>,
    /// Whether it is built with a package that supplies a vendor's parts ([`is_supplier`](crate::is_supplier)): no entry asks for
    /// it, and a list of licenses is read by it.
    pub has_supplier: bool,
}

/// A case as entries are held against it: with what is needed again and again for each of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) case: Case<'a>,
    /// The name of the package without its version.
    pub(crate) bare: &'a str,
    pub(crate) facts: Option<&'a LicenseFacts>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(case: &Case<'a>, facts: Option<&'a LicenseFacts>) -> Self {
        Self { case: *case, bare: bare_name(case.package), facts }
    }
}

/// The name of a package without its version: the part with which the whole begins.
pub(crate) fn bare_name(package: &str) -> &str {
    let name = Material::of_package(package, Vec::new()).name;
    package.get(..name.len()).unwrap_or(package)
}

/// A pattern of attributes in the spelling that attributes have everywhere. One with wildcards is about that spelling
/// as it stands.
fn attribute_pattern(text: String) -> String {
    const WILD: [char; 6] = ['*', '?', '[', ']', '{', '}'];
    if text.contains(WILD) && !text.contains('"') {
        return text;
    }
    match text.parse::<AttrPath>() {
        // What a name holds is meant as it is, and a backslash is one for patterns as well.
        Ok(path) if !text.is_empty() => {
            let escape =
                |c: char| if WILD.contains(&c) { format!("[{c}]") } else { c.to_string().replace('\\', "\\\\") };
            path.to_string().chars().map(escape).collect()
        }
        _ => text,
    }
}

/// Patterns, of which one has to match.
#[derive(Clone, Debug)]
pub(crate) struct Patterns {
    set: GlobSet,
    texts: Vec<String>,
    /// The texts in order, each once.
    sorted: Vec<String>,
}

/// By what they match: in which order they stand, and how often, says nothing.
impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.sorted == other.sorted
    }
}

impl Eq for Patterns {}

impl Patterns {
    pub(crate) fn read<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Self> {
        Self::read_as(reader, value, &|text| text)
    }

    /// Reads patterns, each in the form that `spelled` gives it.
    fn read_as<'a>(reader: &mut Reader<'a>, value: &Value<'a>, spelled: &dyn Fn(String) -> String) -> Option<Self> {
        let (mut set, mut texts) = (GlobSetBuilder::new(), Vec::new());
        for item in reader.array(value)? {
            let text = spelled(reader.string(item)?);
            if text.is_empty() {
                reader.mistake(item.span(), "an empty pattern matches nothing".to_owned());
                return None;
            }
            match Glob::new(&text) {
                Ok(glob) => set.add(glob),
                Err(error) => {
                    reader.mistake(item.span(), format!("`{text}` is no pattern: {}", error.kind()));
                    return None;
                }
            };
            texts.push(text);
        }
        if texts.is_empty() {
            reader.mistake(value.span(), "an empty list matches nothing".to_owned());
        }
        match set.build() {
            Ok(set) => {
                let mut sorted = texts.clone();
                sorted.sort();
                sorted.dedup();
                Some(Self { set, texts, sorted })
            }
            Err(error) => {
                reader.mistake(value.span(), format!("the patterns cannot be used together: {error}"));
                None
            }
        }
    }

    /// Reads patterns of licenses. A package set may have licenses of its own, so that one that nixpkgs does not have is
    /// no mistake.
    pub(crate) fn read_licenses<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Self> {
        let read = Self::read(reader, value)?;
        let mut known = vec![false; read.texts.len()];
        for license in attributes() {
            read.set.matches(license).into_iter().for_each(|index| known[index] = true);
        }
        for (item, known) in reader.array(value)?.into_iter().zip(known) {
            if let (false, Some(text)) = (known, reader.string(item)) {
                let message = format!("`{text}` is no license of nixpkgs, by the name of its attribute");
                reader.warning(item.span(), message);
            }
        }
        Some(read)
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.set.is_match(text)
    }

    /// Which of the patterns match a text.
    pub(crate) fn matching(&self, text: &str) -> Vec<usize> {
        self.set.matches(text)
    }

    /// Whether one that is more than wildcards matches a text.
    fn names(&self, text: &str) -> bool {
        self.matching(text).into_iter().any(|index| !is_everything(&self.texts[index]))
    }

    /// The patterns in order, each once: the same for those that say the same.
    pub(crate) fn sorted(&self) -> &[String] {
        &self.sorted
    }

    /// The patterns as they were given.
    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether one of the patterns leaves nothing out.
    pub(crate) fn has_everything(&self) -> bool {
        self.texts.iter().any(|text| is_everything(text))
    }

    pub(crate) fn any<'t>(&self, mut texts: impl Iterator<Item = &'t str>) -> bool {
        texts.any(|text| self.is_match(text))
    }

    /// Whether the name of a package matches, with its version or without.
    pub(crate) fn is_package(&self, name: &str, bare: &str) -> bool {
        self.is_match(name) || self.is_match(bare)
    }
}

/// Conditions that all have to hold; one that is not given always does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matcher {
    license: Option<Patterns>,
    package: Option<Patterns>,
    attribute: Option<Patterns>,
    output: Option<Patterns>,
    provenance: Option<Patterns>,
    file: Option<Patterns>,
    finding: Option<Patterns>,
}

/// The kinds of findings that an entry may name.
const KINDS: [&str; 10] = [
    "copy",
    "modified-copy",
    "static",
    "device-code",
    "suspected",
    "driver",
    "dynamic",
    "stub",
    "maker",
    "not-audited",
];

impl Matcher {
    /// Names of its fields.
    pub(crate) const FIELDS: [&str; 7] = ["license", "package", "attribute", "output", "provenance", "file", "finding"];

    /// Reads the conditions among the fields of an entry; one at least has to be there.
    pub(crate) fn read<'a>(
        reader: &mut Reader<'a>,
        fields: &Fields<'_, 'a>,
        entry: std::ops::Range<usize>,
    ) -> Option<Self> {
        let [license, package, attribute, output, provenance, file, finding] = Self::FIELDS.map(|name| {
            let value = fields.get(name).copied()?;
            Some(match name {
                "license" => Patterns::read_licenses(reader, value),
                "attribute" => Patterns::read_as(reader, value, &attribute_pattern),
                _ => Patterns::read(reader, value),
            })
        });
        let given = [&license, &package, &attribute, &output, &provenance, &file, &finding];
        if given.iter().all(|field| field.is_none()) {
            let names = Self::FIELDS.map(|name| format!("`{name}`")).join(", ");
            reader.mistake(entry, format!("it names nothing that it is about: one of {names} is missing"));
            return None;
        }
        if let (Some(Some(kinds)), Some(value)) = (&finding, fields.get("finding")) {
            for text in kinds.texts.iter().filter(|text| !KINDS.iter().any(|kind| glob_matches(text, kind))) {
                reader.mistake(value.span(), format!("`{text}` is no kind of finding; there are {}", KINDS.join(", ")));
            }
        }
        // What could not be read is no condition that holds.
        let read = |field: Option<Option<Patterns>>| match field {
            None => Some(None),
            Some(read) => read.map(Some),
        };
        Some(Self {
            license: read(license)?,
            package: read(package)?,
            attribute: read(attribute)?,
            output: read(output)?,
            provenance: read(provenance)?,
            file: read(file)?,
            finding: read(finding)?,
        })
    }

    /// Whether it asks for files or findings, which only the audit knows.
    pub(crate) fn asks_for_bytes(&self) -> bool {
        self.file.is_some() || self.finding.is_some()
    }

    /// Whether it is about packages as a whole, which it names or whose license it names.
    pub(crate) fn is_about_whole_packages(&self) -> bool {
        let named = self.package.is_some() || self.attribute.is_some() || self.license.is_some();
        named && self.output.is_none() && !self.asks_for_bytes()
    }

    /// Its patterns of package names, where it has no other condition.
    pub(crate) fn only_packages(&self) -> Option<&[String]> {
        let alone = Self { package: None, ..self.clone() } == Self::default();
        self.package.as_ref().filter(|_| alone).map(|patterns| patterns.texts.as_slice())
    }

    /// Whether it is about this package, whatever is in its files.
    pub(crate) fn is_about(&self, asked: &Asked<'_>) -> bool {
        let Asked { case, bare, facts } = asked;
        let holds = |patterns: &Option<Patterns>, held: &dyn Fn(&Patterns) -> bool| patterns.as_ref().is_none_or(held);
        let licenses = || facts.iter().flat_map(|facts| facts.license.licenses());
        let provenance = || facts.iter().flat_map(|facts| facts.provenance.iter().map(String::as_str));
        holds(&self.license, &|patterns| patterns.any(licenses().map(|license| license.key())))
            && holds(&self.package, &|patterns| patterns.is_package(case.package, bare))
            && holds(&self.attribute, &|patterns| patterns.any(case.attrs.iter().map(String::as_str)))
            && holds(&self.output, &|patterns| patterns.any(case.output.into_iter()))
            && holds(&self.provenance, &|patterns| patterns.any(provenance()))
    }

    /// Whether it names this package or an attribute of it: by a pattern that is more than wildcards.
    pub(crate) fn names(&self, asked: &Asked<'_>) -> bool {
        let names = |patterns: &Option<Patterns>, text: &str| patterns.as_ref().is_some_and(|some| some.names(text));
        names(&self.package, asked.case.package)
            || names(&self.package, asked.bare)
            || asked.case.attrs.iter().any(|attr| names(&self.attribute, attr))
    }

    /// Whether it holds for this finding.
    pub(crate) fn asks_for(&self, finding: &Finding) -> bool {
        let place = finding.place();
        self.finding.as_ref().is_none_or(|kinds| kinds.is_match(finding.kind()))
            && self.file.as_ref().is_none_or(|files| is_place(files, place))
    }

    /// Whether it asks for this finding by its kind.
    pub(crate) fn asks_for_finding(&self, finding: &Finding) -> bool {
        self.finding.is_some() && self.asks_for(finding)
    }

    /// Whether it asks for a file by its path in the output, and for nothing that is found in it.
    pub(crate) fn asks_for_file(&self, file: &str) -> bool {
        self.finding.is_none() && self.file.as_ref().is_some_and(|files| files.is_match(file))
    }

    /// Its patterns by the names of their fields.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&'static str, &Patterns)> {
        let fields =
            [&self.license, &self.package, &self.attribute, &self.output, &self.provenance, &self.file, &self.finding];
        Self::FIELDS.into_iter().zip(fields).filter_map(|(name, field)| Some((name, field.as_ref()?)))
    }

    /// Its patterns, for people.
    pub(crate) fn shown(&self) -> String {
        let given = self.patterns().map(|(name, patterns)| format!("{name} {}", patterns.texts.join(" or ")));
        given.collect::<Vec<_>>().join(", ")
    }
}

/// Whether a pattern leaves nothing out that anybody would want to name: it matches texts that have nothing in common.
fn is_everything(pattern: &str) -> bool {
    ["narthex-probe-1.0", "00.1", "Zz.9_q", "q+-="].iter().all(|text| glob_matches(pattern, text))
}

/// Whether a pattern of package names is about a package, with its version or without.
pub fn names_package(pattern: &str, package: &str) -> bool {
    glob_matches(pattern, package) || glob_matches(pattern, bare_name(package))
}

/// Whether a pattern of license values is about one.
pub fn names_license(pattern: &str, license: &str) -> bool {
    glob_matches(pattern, license)
}

pub(crate) fn glob_matches(pattern: &str, text: &str) -> bool {
    Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

/// Whether patterns match a place: the file's path, or the innermost name in an archive.
fn is_place(patterns: &Patterns, place: &Place) -> bool {
    patterns.is_match(&place.file) || place.members.iter().any(|member| patterns.is_match(member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_matched_in_one_spelling() {
        let check = |pattern: &str, attr: &[&str], expected: bool| {
            let attr = AttrPath::new(attr.iter().map(|name| (*name).to_owned()).collect()).to_string();
            assert_eq!(glob_matches(&attribute_pattern(pattern.to_owned()), &attr), expected, "{pattern} and {attr}");
        };
        check("a.b", &["a", "b"], true);
        check("a.\"b\"", &["a", "b"], true);
        check("a.\"b.c\"", &["a", "b.c"], true);
        check("a.b.c", &["a", "b.c"], false);
        check("a.libstdc++", &["a", "libstdc++"], true);
        check("a.if", &["a", "if"], true);
        check("a.\"x*\"", &["a", "x*"], true);
        check("a.\"x*\"", &["a", "xyz"], false);
        check("a.\"[x]{y}\"", &["a", "[x]{y}"], true);
        check("a.\"q\\\"\\\\\"", &["a", "q\"\\"], true);
        check("a.\"\\${x}\"", &["a", "${x}"], true);
        check("a.*", &["a", "b"], true);
        check("a.1pass*", &["a", "1password"], true);
    }
}
