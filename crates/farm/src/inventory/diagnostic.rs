//! What is wrong with what was read, and does not keep the rest from being used.

use narthex_license::LicenseFacts;
use narthex_license::text::{self, MESSAGE};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something that is wrong with what was read, and does not keep the rest from being used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Diagnostic {
    /// An attribute is there more than once.
    SameAttribute(String),
    /// A derivation is declared under several licenses, all of which apply: its path, and what they come to.
    SeveralLicenses(String, String),
    /// Two descriptions of one derivation differ; inputs and outputs of both count.
    Different(String),
    /// The license of a derivation is none: its attribute or its path, and what is wrong.
    Malformed(String, String),
    /// A license string names no license that is known: the string, and how many derivations declare it.
    UnknownLicense(String, usize),
    /// Of a derivation it is not told what it is made from.
    InputsUntold(String),
}

/// Long license strings are texts rather than names; a warning needs no more of them than this.
const SHOWN_OF_A_LICENSE: usize = 100;

impl Diagnostic {
    /// Each license string that names no license that is known, once; those that most derivations declare come first.
    /// Takes what each derivation declares.
    pub fn unknown_licenses<'f>(declared: impl Iterator<Item = &'f LicenseFacts>) -> Vec<Self> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for facts in declared {
            let names: BTreeSet<&str> = facts.license.unknown_names().into_iter().collect();
            names.into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
        counts.into_iter().map(|(name, count)| Self::UnknownLicense(name.to_owned(), count)).collect()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameAttribute(attr) => write!(f, "the attribute `{attr}` is there more than once"),
            Self::SeveralLicenses(path, licenses) => {
                write!(
                    f,
                    "{path} is declared under several licenses, all of which apply: {}",
                    text::bounded(&**licenses, MESSAGE)
                )
            }
            Self::Different(path) => {
                write!(f, "{path} is described in two ways; the inputs and outputs of both count")
            }
            Self::Malformed(what, why) => write!(f, "{what} has a license that cannot be read: {why}"),
            Self::UnknownLicense(name, count) => {
                let mut shown: String = name.chars().take(SHOWN_OF_A_LICENSE).collect();
                if shown.len() < name.len() {
                    shown.push('…');
                }
                let derivations = if *count == 1 {
                    "1 derivation declares".to_owned()
                } else {
                    format!("{count} derivations declare")
                };
                write!(
                    f,
                    "{derivations} the license `{shown}`, which is neither a license that is known nor an expression of such; what has it counts as unknown"
                )
            }
            Self::InputsUntold(path) => {
                write!(
                    f,
                    "what {path} is made from is not told: lines need `inputDrvs`, as `nix-eval-jobs --show-input-drvs` writes them"
                )
            }
        }
    }
}
