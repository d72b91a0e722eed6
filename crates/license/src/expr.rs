//! License values and their class.
//!
//! `meta.license` comes in many forms; `lib/licenses.nix` and `check-meta.nix` of nixpkgs are the
//! source of each. Where nixpkgs is ambiguous (a list), this reading is the strict one: every
//! license of the list must permit.

use crate::reference::{encoded, is_idstring, reference};
use crate::table::{self, Row};
use crate::text;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// What license facts come to, from the most permissive to the least known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Free software: nixpkgs says `free = true`.
    Free,
    /// Nothing is declared; it has no source of its own, and all that it is made from is free. No license
    /// value comes to this: it takes the graph to tell.
    #[serde(rename = "made-from-free")]
    MadeFromFree,
    /// Not free, but may be passed on: `redistributable = true`.
    Redistributable,
    /// May not be passed on.
    Restricted,
    /// Nothing is said, or nothing that can be understood.
    Unknown,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::MadeFromFree => "made-from-free",
            Self::Redistributable => "redistributable",
            Self::Restricted => "restricted",
            Self::Unknown => "unknown",
        })
    }
}

impl Class {
    /// Whether it is free software.
    pub fn is_free(self) -> bool {
        self == Self::Free
    }
}

/// What a list of licenses means, which nixpkgs leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// All of them apply: each must permit.
    #[default]
    Strict,
    /// One may choose: the one that permits most applies.
    Lenient,
}

/// One license. It is written and read for the catalog alone; a package set's own values go by
/// [`Expr::from_json`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct License {
    id: Option<String>,
    spdx_id: Option<String>,
    name: String,
    free: bool,
    redistributable: bool,
}

impl License {
    /// Builds a license from the fields that nixpkgs gives; `None` where it does not say whether
    /// it is free, since nothing may be guessed there.
    pub(crate) fn from_row(id: Option<&str>, row: &Row) -> Option<Self> {
        let free = row.free?;
        let name = [&row.short_name, &row.full_name, &row.spdx_id, &row.url].into_iter().flatten().next()?;
        Some(Self {
            id: id.map(str::to_owned),
            spdx_id: row.spdx_id.clone(),
            name: name.clone(),
            free,
            // nixpkgs: "redistributable defaults to free".
            redistributable: row.redistributable.unwrap_or(free),
        })
    }

    /// The name of the license's attribute in nixpkgs (`nvidiaCudaRedist`), where it is known there.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What terms and policies call this license: its attribute in nixpkgs, else its own name.
    pub fn key(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }

    fn to_json(&self) -> Value {
        match &self.id {
            Some(id) => id.as_str().into(),
            None => json!({
                "shortName": self.name,
                "spdxId": self.spdx_id,
                "free": self.free,
                "redistributable": self.redistributable,
            }),
        }
    }

    /// What this license comes to.
    pub fn class(&self) -> Class {
        // What calls itself free and forbids to be passed on contradicts itself: then the stricter holds.
        if self.free && self.redistributable {
            Class::Free
        } else if self.redistributable {
            Class::Redistributable
        } else {
            Class::Restricted
        }
    }
}

impl fmt::Display for License {
    /// An SPDX id, or `LicenseRef-` and a name where SPDX has none, or where what calls itself an id could not be one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spdx_id {
            Some(id) if is_plain_id(id) => f.write_str(id),
            _ => f.write_str(&reference(self.key())),
        }
    }
}

/// Whether a text can stand in an expression as the id of a license: it is one word, and means nothing else there.
fn is_plain_id(id: &str) -> bool {
    is_idstring(id.strip_suffix('+').unwrap_or(id))
        && !["AND", "OR", "WITH", "NONE", "NOASSERTION"].contains(&id)
        && !id.starts_with("LicenseRef-")
}

/// A license value. It is written and read for the catalog alone, and comes back as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expr {
    /// `meta.license` is not there.
    Absent,
    /// One license.
    One(License),
    /// Several licenses, of which nobody says whether all apply or one may choose.
    List(Vec<Expr>),
    /// Several licenses, all of which apply: an `AND`.
    All(Vec<Expr>),
    /// Several licenses to choose from: an `OR`.
    Any(Vec<Expr>),
    /// A license with an exception to it, which only ever permits more.
    With(Box<Expr>, String),
    /// A license or any later version of it.
    OrLater(Box<Expr>),
    /// A text that names no license that is known.
    UnknownName(String),
    /// Something that is no license; says what.
    Malformed(String),
}

impl Expr {
    /// Reads a license value as JSON. It never fails: what is wrong becomes part of the value.
    pub fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Absent,
            Value::String(name) => table::by_name(name)
                .map(Self::One)
                .or_else(|| crate::spdx::read(name))
                .or_else(|| table::older(name))
                .unwrap_or_else(|| Self::UnknownName(name.clone())),
            Value::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Value::Object(fields) => {
                let part = |name: &str| fields.get(name).unwrap_or(&Value::Null);
                let parts = || match part("licenses") {
                    Value::Array(items) => items.iter().map(Self::from_json).collect(),
                    _ => vec![Self::Malformed("a compound license without `licenses`".to_owned())],
                };
                if let Some(what) = fields.get("malformed") {
                    return Self::Malformed(what.as_str().unwrap_or("?").to_owned());
                }
                match (part("licenseType").as_str(), part("operator").as_str()) {
                    (Some("compound"), Some("AND")) => Self::All(parts()),
                    (Some("compound"), Some("OR")) => Self::Any(parts()),
                    (Some("compound"), _) => Self::Malformed("a compound license without AND or OR".to_owned()),
                    (Some("exception"), _) => Self::from_json(part("license")).with(part("exception")),
                    (Some("plus"), _) => {
                        Self::from_json(part("license")).each(&|license| Self::OrLater(Box::new(license)))
                    }
                    (None | Some("simple"), _) if part("licenseType").is_null() || part("licenseType").is_string() => {
                        Self::simple(value)
                    }
                    _ => Self::Malformed(format!("a license of the unknown kind {}", part("licenseType"))),
                }
            }
            Value::Bool(_) => Self::Malformed("a boolean".to_owned()),
            Value::Number(_) => Self::Malformed("a number".to_owned()),
        }
    }

    /// Licenses by name, all of which apply; of one name, that license.
    pub fn named<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut parts: Vec<Self> =
            names.into_iter().map(|name| Self::from_json(&Value::String(name.to_owned()))).collect();
        if parts.len() == 1 { parts.remove(0) } else { Self::All(parts) }
    }

    /// The same with an exception, which only ever permits more; one that calls itself unfree applies as well.
    fn with(self, exception: &Value) -> Self {
        let named = ["spdxId", "shortName", "fullName"].iter().find_map(|key| exception.get(key)?.as_str());
        let Some(name) = named.or(exception.as_str()).filter(|name| !name.is_empty()) else {
            return Self::All(vec![self, Self::Malformed("an exception without a name".to_owned())]);
        };
        let forbids =
            |key: &str| exception.get(key).is_some_and(|value| !value.is_null() && *value != Value::Bool(true));
        if forbids("free") || forbids("redistributable") {
            return Self::All(vec![self, Self::simple(exception)]);
        }
        self.each(&|license| Self::With(Box::new(license), name.to_owned()))
    }

    /// Puts something around each license of an expression: SPDX has no place for it around the whole.
    fn each(self, around: &dyn Fn(Self) -> Self) -> Self {
        let all = |parts: Vec<Self>| parts.into_iter().map(|part| part.each(around)).collect();
        match self {
            Self::List(parts) if !parts.is_empty() => Self::List(all(parts)),
            Self::All(parts) if !parts.is_empty() => Self::All(all(parts)),
            Self::Any(parts) if !parts.is_empty() => Self::Any(all(parts)),
            // To say more of what nobody knows tells nothing; that something is declared stays.
            Self::Absent => Self::Malformed("an expression without its license".to_owned()),
            unknown @ (Self::UnknownName(_) | Self::Malformed(_)) => unknown,
            license => around(license),
        }
    }

    fn simple(value: &Value) -> Self {
        let row = match Row::deserialize(value) {
            Ok(row) => row,
            Err(error) => return Self::Malformed(error.to_string()),
        };
        let names = [&row.spdx_id, &row.short_name, &row.full_name].map(Option::as_deref);
        let names = || names.into_iter().flatten();
        let by_names = || names().filter_map(table::by_name).reduce(stricter);
        // What is not said of a license is what the table says of the license by that name, unless they differ in what is.
        let known = by_names().filter(|known| row.free == Some(known.free)).map(|known| known.redistributable);
        let said = row.redistributable;
        let row = Row { redistributable: said.or(known), ..row.clone() };
        match License::from_row(table::id_of(&row), &row) {
            // What calls itself freer than the license that it names contradicts it.
            Some(license) if license.id.is_none() => by_names()
                .map(Self::One)
                .or_else(|| names().find_map(table::older))
                .filter(|known| known.class() > license.class())
                .unwrap_or(Self::One(license)),
            Some(license) => Self::One(license),
            // Package sets of before 2016 do not say of each license whether it is free. Its names do; where two
            // of them name different licenses, the stricter one counts.
            None => by_names()
                // What is said all the same counts.
                .map(|known| License { redistributable: known.redistributable && said != Some(false), ..known })
                .map(Self::One)
                .or_else(|| names().find_map(table::older).filter(|_| said != Some(false)))
                .unwrap_or_else(|| {
                    match [&row.short_name, &row.full_name, &row.spdx_id].into_iter().flatten().next() {
                        Some(name) => Self::UnknownName(name.clone()),
                        None => Self::Malformed("a license without a name".to_owned()),
                    }
                }),
        }
    }

    /// The same with names of a length that names have: what a package set calls a license may be a whole text.
    #[must_use]
    pub fn bounded(self) -> Self {
        let name = |name: String| text::bounded(name, text::NAME);
        let all = |parts: Vec<Self>| parts.into_iter().map(Self::bounded).collect();
        match self {
            Self::Absent => Self::Absent,
            Self::One(license) => Self::One(License {
                id: license.id,
                spdx_id: license.spdx_id.map(name),
                name: name(license.name),
                free: license.free,
                redistributable: license.redistributable,
            }),
            Self::List(parts) => Self::List(all(parts)),
            Self::All(parts) => Self::All(all(parts)),
            Self::Any(parts) => Self::Any(all(parts)),
            Self::With(license, exception) => Self::With(Box::new(license.bounded()), name(exception)),
            Self::OrLater(license) => Self::OrLater(Box::new(license.bounded())),
            Self::UnknownName(unknown) => Self::UnknownName(name(unknown)),
            Self::Malformed(what) => Self::Malformed(name(what)),
        }
    }

    /// The value in a form that [`Expr::from_json`] reads as the same.
    pub fn to_json(&self) -> Value {
        let all = |parts: &[Self]| parts.iter().map(Self::to_json).collect::<Value>();
        let compound = |operator: &str, parts: &[Self]| json!({"licenseType": "compound", "operator": operator, "licenses": all(parts)});
        match self {
            Self::Absent => Value::Null,
            Self::One(license) => license.to_json(),
            Self::List(parts) => all(parts),
            Self::All(parts) => compound("AND", parts),
            Self::Any(parts) => compound("OR", parts),
            Self::With(license, exception) => {
                json!({"licenseType": "exception", "license": license.to_json(), "exception": exception})
            }
            Self::OrLater(license) => json!({"licenseType": "plus", "license": license.to_json()}),
            Self::UnknownName(name) => name.as_str().into(),
            Self::Malformed(what) => json!({"malformed": what}),
        }
    }

    /// What the value comes to under the strict reading.
    pub fn class(&self) -> Class {
        self.class_under(Reading::Strict)
    }

    /// What the value comes to under a reading of lists.
    pub fn class_under(&self, reading: Reading) -> Class {
        self.read(reading).0
    }

    /// Whether something that is not understood applies as well, whatever the class: beside what is restricted, another
    /// license that nobody knows has to be answered for by itself.
    pub fn has_unknown_under(&self, reading: Reading) -> bool {
        self.read(reading).1
    }

    /// The class, and whether there is something unknown that applies.
    fn read(&self, reading: Reading) -> (Class, bool) {
        let of = |parts: &[Self]| parts.iter().map(|part| part.read(reading)).collect::<Vec<_>>();
        let nothing = (Class::Unknown, true);
        match self {
            Self::One(license) => (license.class(), false),
            Self::List(parts) if reading == Reading::Lenient => of(parts).into_iter().min().unwrap_or(nothing),
            Self::Any(parts) => of(parts).into_iter().min().unwrap_or(nothing),
            Self::List(parts) | Self::All(parts) => {
                let parts = of(parts);
                let unknown = parts.iter().any(|(_, unknown)| *unknown);
                // What is known to forbid does so whatever the rest says.
                let restricted = parts.iter().find(|(class, _)| *class == Class::Restricted);
                let class = restricted.or(parts.iter().max()).map_or(Class::Unknown, |(class, _)| *class);
                (class, unknown || parts.is_empty())
            }
            Self::With(license, _) | Self::OrLater(license) => license.read(reading),
            Self::Absent | Self::UnknownName(_) | Self::Malformed(_) => nothing,
        }
    }

    /// What is wrong with the value, where a part of it is no license.
    pub fn malformed(&self) -> Option<&str> {
        match self {
            Self::Malformed(what) => Some(what),
            Self::List(parts) | Self::All(parts) | Self::Any(parts) => parts.iter().find_map(Self::malformed),
            Self::With(license, _) | Self::OrLater(license) => license.malformed(),
            Self::Absent | Self::One(_) | Self::UnknownName(_) => None,
        }
    }

    /// Texts in the value that name no license that is known, in the order in which they stand.
    pub fn unknown_names(&self) -> Vec<&str> {
        match self {
            Self::UnknownName(name) => vec![name],
            Self::List(parts) | Self::All(parts) | Self::Any(parts) => {
                parts.iter().flat_map(Self::unknown_names).collect()
            }
            Self::With(license, _) | Self::OrLater(license) => license.unknown_names(),
            Self::Absent | Self::One(_) | Self::Malformed(_) => Vec::new(),
        }
    }

    /// All licenses in the value, in the order in which they stand.
    pub fn licenses(&self) -> Vec<&License> {
        match self {
            Self::One(license) => vec![license],
            Self::List(parts) | Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::licenses).collect(),
            Self::With(license, _) | Self::OrLater(license) => license.licenses(),
            Self::Absent | Self::UnknownName(_) | Self::Malformed(_) => Vec::new(),
        }
    }
}

fn stricter(one: License, other: License) -> License {
    if other.class() > one.class() { other } else { one }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Self::List(inner) | Self::All(inner) | Self::Any(inner) if inner.len() > 1 => {
                        write!(f, "({part})")?
                    }
                    _ => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::One(license) => write!(f, "{license}"),
            Self::List(parts) | Self::All(parts) | Self::Any(parts) if parts.is_empty() => f.write_str("NONE"),
            Self::List(parts) | Self::All(parts) => join(f, parts, "AND"),
            Self::Any(parts) => join(f, parts, "OR"),
            Self::With(license, exception) => write!(f, "{license} WITH {}", encoded(exception)),
            Self::OrLater(license) => {
                // The names of GNU licenses say it by themselves.
                let name = license.to_string();
                match name.strip_suffix("-only") {
                    Some(version) => write!(f, "{version}-or-later"),
                    None if name.ends_with("-or-later") => f.write_str(&name),
                    None => write!(f, "{name}+"),
                }
            }
            Self::Absent | Self::Malformed(_) => f.write_str("NOASSERTION"),
            Self::UnknownName(name) => write!(f, "NOASSERTION ({name:?})"),
        }
    }
}

#[cfg(test)]
mod tests;
