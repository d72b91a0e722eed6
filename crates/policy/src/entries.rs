//! The entries of a policy: rules, exceptions, grants and corrections. Reviews are in a file of their own.
//!
//! A rule adds a reason. An exception or a grant takes the force from reasons that forbid, for as long as it
//! lasts. A correction changes what a package set says, before anything is judged.

use crate::Code;
use crate::date::Date;
use crate::matcher::{Asked, Matcher, Patterns, bare_name};
use crate::policy::{ACTIONS, Action};
use crate::read::{Fields, Place, Reader, Value};
use narthex_audit::Material;
use narthex_license::{Correction as Corrected, Expr, LicenseFacts, is_attribute};
use std::ops::Range;

/// Something that somebody answers for, until a day.
#[derive(Clone, Debug)]
pub(crate) struct Warrant {
    pub(crate) reason: String,
    pub(crate) responsible: String,
    /// The last day on which it holds.
    pub(crate) until: Date,
    /// Where that stands.
    pub(crate) place: Place,
}

/// By what it says: two policies agree wherever in their files it stands.
impl PartialEq for Warrant {
    fn eq(&self, other: &Self) -> bool {
        let Self { reason, responsible, until, place: _ } = self;
        (reason, responsible, until) == (&other.reason, &other.responsible, &other.until)
    }
}

impl Eq for Warrant {}

impl Warrant {
    pub(crate) const FIELDS: [&str; 3] = ["reason", "responsible", "until"];

    pub(crate) fn read<'a>(reader: &mut Reader<'a>, fields: &Fields<'_, 'a>, entry: &Range<usize>) -> Option<Self> {
        let reason = text(reader, fields, "reason", entry);
        let responsible = text(reader, fields, "responsible", entry);
        let value = reader.required(fields, "until", entry.clone())?;
        let until = reader.date(value);
        Some(Self { reason: reason?, responsible: responsible?, until: until?, place: reader.place(value.span()) })
    }

    pub(crate) fn holds_on(&self, today: Date) -> bool {
        today <= self.until
    }
}

/// A rule of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) about: Matcher,
    pub(crate) then: Action,
    pub(crate) reason: String,
}

/// Reasons that do not forbid in certain cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) about: Matcher,
    pub(crate) codes: Vec<Code>,
    pub(crate) warrant: Warrant,
}

/// Leave that somebody who holds the rights gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) agreement: String,
    licenses: Option<Patterns>,
    packages: Option<Patterns>,
    pub(crate) warrant: Warrant,
}

/// A license that the package set gets wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    pub(crate) about: Matcher,
    license: Expr,
    reason: String,
    source: String,
}

/// Codes of reasons that an exception may lift. What the terms of a vendor forbid is lifted by a grant, since nobody
/// but the vendor can.
pub(crate) const EXCEPTABLE: [Code; 7] = [
    Code::LicenseUnknown,
    Code::SourceOfWithheld,
    Code::PolicyVendorCode,
    Code::PolicyRule,
    Code::AuditDriver,
    Code::AuditSuspected,
    Code::AuditIncomplete,
];

/// Those of them that no file or finding has a part in.
const DECLARED: [Code; 2] = [Code::LicenseUnknown, Code::SourceOfWithheld];

/// Codes of reasons that a grant lifts.
pub(crate) const GRANTABLE: [Code; 7] = [
    Code::LicenseRestricted,
    // Where it is for a restricted license that it forbids; nobody can give leave for what is not known.
    Code::LicenseOfOriginal,
    Code::PolicyVendorCode,
    Code::TermsFileNotListed,
    Code::TermsModified,
    Code::TermsStandalone,
    Code::TermsMissing,
];

impl Rule {
    pub(crate) fn read<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Self> {
        let (fields, at) = entry(reader, value, &[&Matcher::FIELDS, &["then", "reason"]])?;
        let about = Matcher::read(reader, &fields, at.clone());
        let then = reader.required(&fields, "then", at.clone()).and_then(|value| reader.one_of(value, &ACTIONS));
        let reason = text(reader, &fields, "reason", &at);
        Some(Self { about: about?, then: then?, reason: reason? })
    }
}

impl Exception {
    /// What it is about, for people.
    pub(crate) fn shown(&self) -> String {
        format!("the exception about {}", self.about.shown())
    }

    pub(crate) fn read<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Self> {
        let (fields, at) = entry(reader, value, &[&Matcher::FIELDS, &["codes"], &Warrant::FIELDS])?;
        let about = Matcher::read(reader, &fields, at.clone());
        let choices = EXCEPTABLE.map(|code| (code.as_str(), code));
        let codes = reader.required(&fields, "codes", at.clone()).and_then(|value| {
            let items = some(reader, value, "codes")?;
            let about_bytes = ["file", "finding"].into_iter().find(|name| fields.contains_key(name));
            let about_facts = ["license", "provenance"].into_iter().find(|name| fields.contains_key(name));
            let read: Vec<_> = items
                .into_iter()
                .map(|item| {
                    let code = reader.one_of(item, &choices)?;
                    if let Some(name) = about_bytes.filter(|_| DECLARED.contains(&code)) {
                        let message = format!("`{code}` comes from no file, so that `{name}` can never hold for it");
                        reader.mistake(item.span(), message);
                    }
                    if let (Code::SourceOfWithheld, Some(name)) = (code, about_facts) {
                        let message =
                            format!("a source declares nothing, so that `{name}` can never hold for `{code}`");
                        reader.mistake(item.span(), message);
                    }
                    Some(code)
                })
                .collect();
            read.into_iter().collect::<Option<Vec<_>>>()
        });
        let warrant = Warrant::read(reader, &fields, &at);
        Some(Self { about: about?, codes: codes?, warrant: warrant? })
    }
}

impl Grant {
    pub(crate) fn read<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Self> {
        let (fields, at) = entry(reader, value, &[&["agreement", "license", "package"], &Warrant::FIELDS])?;
        let agreement = text(reader, &fields, "agreement", &at);
        let licenses = fields.get("license").map(|value| Patterns::read_licenses(reader, value));
        let packages = fields.get("package").map(|value| Patterns::read(reader, value));
        if licenses.is_none() && packages.is_none() {
            reader.mistake(at.clone(), "it covers nothing: `license` or `package` is missing".to_owned());
        }
        let given = || licenses.iter().chain(&packages);
        if given().next().is_some() && given().all(|read| read.as_ref().is_some_and(Patterns::has_everything)) {
            reader.mistake(at.clone(), "it covers everything, which no agreement does".to_owned());
        }
        let warrant = Warrant::read(reader, &fields, &at);
        Some(Self {
            agreement: agreement?,
            licenses: licenses.map_or(Some(None), |read| read.map(Some))?,
            packages: packages.map_or(Some(None), |read| read.map(Some))?,
            warrant: warrant?,
        })
    }

    /// Whether it covers a package: all its licenses that are not free, by name or not at all.
    pub(crate) fn covers(&self, asked: &Asked<'_>) -> bool {
        let unfree = asked.facts.into_iter().flat_map(|facts| facts.license.licenses());
        let unfree: Vec<&str> = unfree.filter(|license| !license.class().is_free()).map(|l| l.key()).collect();
        self.covers_named([asked.case.package, asked.bare], &unfree)
    }

    /// Whether it covers material that was found somewhere.
    pub(crate) fn covers_material(&self, material: &Material) -> bool {
        let licenses: Vec<&str> = material.licenses.iter().map(String::as_str).collect();
        let package = material.package();
        self.covers_named([&package, bare_name(&package)], &licenses)
    }

    fn covers_named(&self, [package, bare]: [&str; 2], licenses: &[&str]) -> bool {
        let licensed = |patterns: &Patterns| !licenses.is_empty() && licenses.iter().all(|one| patterns.is_match(one));
        self.packages.as_ref().is_none_or(|patterns| patterns.is_package(package, bare))
            && self.licenses.as_ref().is_none_or(licensed)
    }

    pub(crate) fn lifts(code: Code) -> bool {
        GRANTABLE.contains(&code)
    }

    /// Its patterns by the names of their fields.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&'static str, &Patterns)> {
        let fields = [("license", &self.licenses), ("package", &self.packages)];
        fields.into_iter().filter_map(|(name, field)| Some((name, field.as_ref()?)))
    }

    /// What it covers, for people.
    pub(crate) fn shown(&self) -> String {
        format!("the grant `{}`", self.agreement)
    }
}

impl Correction {
    pub(crate) fn read<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Self> {
        const ABOUT: [&str; 2] = ["package", "attribute"];
        let (fields, at) = entry(reader, value, &[&ABOUT, &["license", "reason", "source"]])?;
        let about = Matcher::read(reader, &only(&fields, &ABOUT), at.clone());
        let license = reader.required(&fields, "license", at.clone()).and_then(|value| {
            some(reader, value, "license")?;
            let names = reader.strings(value)?;
            for name in names.iter().filter(|name| !is_attribute(name)) {
                reader
                    .mistake(value.span(), format!("`{name}` is no license of nixpkgs, by the name of its attribute"));
            }
            Some(Expr::named(names.iter().map(String::as_str)))
        });
        let [reason, source] = ["reason", "source"].map(|name| text(reader, &fields, name, &at));
        Some(Self { about: about?, license: license?, reason: reason?, source: source? })
    }

    /// The facts as they should be.
    pub(crate) fn correct(&self, facts: &LicenseFacts) -> LicenseFacts {
        let correction =
            Corrected { was: facts.license.to_string(), reason: self.reason.clone(), source: self.source.clone() };
        LicenseFacts {
            license: self.license.clone(),
            correction: Some(Box::new(correction)),
            disputed: false,
            ..facts.clone()
        }
    }
}

/// The fields of an entry, and where it stands.
pub(crate) fn entry<'t, 'a>(
    reader: &mut Reader<'a>,
    value: &'t Value<'a>,
    known: &[&[&str]],
) -> Option<(Fields<'t, 'a>, Range<usize>)> {
    let table = reader.table(value)?;
    Some((reader.fields(table, &known.concat()), value.span()))
}

/// Those of the fields that have these names: an entry may have a field of its own that is called as a condition.
pub(crate) fn only<'t, 'a>(fields: &Fields<'t, 'a>, names: &[&str]) -> Fields<'t, 'a> {
    fields.iter().filter(|(name, _)| names.contains(name)).map(|(name, value)| (*name, *value)).collect()
}

/// The items of a list, of which one at least has to be there.
fn some<'t, 'a>(reader: &mut Reader<'a>, value: &'t Value<'a>, name: &str) -> Option<Vec<&'t Value<'a>>> {
    let items = reader.array(value)?;
    if items.is_empty() {
        reader.mistake(value.span(), format!("`{name}` says nothing"));
        return None;
    }
    Some(items)
}

/// A text that has to be there and say something.
pub(crate) fn text<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'_, 'a>,
    name: &str,
    entry: &Range<usize>,
) -> Option<String> {
    let value = reader.required(fields, name, entry.clone())?;
    let text = reader.string(value)?;
    if text.trim().is_empty() {
        reader.mistake(value.span(), format!("`{name}` says nothing"));
        return None;
    }
    Some(text)
}
