//! What of a policy is about nothing in a set: most often there is a mistake in a pattern.

use crate::index::{Slot, patterns, slots};
use crate::matcher::{Asked, Case, Patterns};
use crate::policy::{Policy, Rules};
use narthex_license::LicenseFacts;
use std::collections::BTreeMap;

/// A package that a policy can be about, and what it declares.
type Package<'c> = (Case<'c>, Option<&'c LicenseFacts>);

impl Rules {
    /// Entries that are about none of these packages, and single patterns that nothing needs in entries that are about
    /// some. Patterns of files and findings are left out, since only the audit knows these.
    pub fn idle(&self, packages: &[Package<'_>]) -> Vec<String> {
        let policy = self.policy();
        let mut entries: BTreeMap<Slot, Needed<'_>> =
            slots(policy).into_iter().map(|slot| (slot, Needed::new(policy, slot))).collect();
        for (case, facts) in if entries.is_empty() { &[] } else { packages } {
            let asked = Asked::new(case, *facts);
            for slot in self.about(&asked).slots {
                if let Some(needed) = entries.get_mut(&slot) {
                    needed.by(&asked);
                }
            }
        }
        let meanings = self.idle_meanings(packages.iter().filter_map(|(_, facts)| *facts));
        let entries = entries.into_iter().filter_map(|(slot, needed)| needed.left(&shown(policy, slot)));
        entries.chain(meanings).collect()
    }
}

/// What is needed of an entry.
struct Needed<'p> {
    is_idle: bool,
    /// By field: its patterns, and whether nothing needs each.
    left: Vec<(&'static str, &'p Patterns, Vec<bool>)>,
}

impl<'p> Needed<'p> {
    fn new(policy: &'p Policy, slot: Slot) -> Self {
        let of_packages = patterns(policy, slot).into_iter().filter(|(field, _)| !["file", "finding"].contains(field));
        let left = of_packages.map(|(field, patterns)| (field, patterns, vec![true; patterns.texts().len()]));
        Self { is_idle: true, left: left.collect() }
    }

    /// Notes what a package needs that the entry is about.
    fn by(&mut self, asked: &Asked<'_>) {
        self.is_idle = false;
        for (field, patterns, idle) in self.left.iter_mut().filter(|(_, _, idle)| idle.contains(&true)) {
            for text in texts(field, asked) {
                patterns.matching(text).into_iter().for_each(|index| idle[index] = false);
            }
        }
    }

    /// What of the entry matches nothing: all of it, or some patterns.
    fn left(&self, what: &str) -> Option<String> {
        if self.is_idle {
            return Some(format!("{what} matches nothing"));
        }
        let left = self.left.iter().flat_map(|(field, patterns, idle)| {
            let of_field = patterns.texts().iter().zip(idle).filter(|(_, idle)| **idle);
            of_field.map(move |(text, _)| format!("{field} {text}"))
        });
        let left: Vec<String> = left.collect();
        let verb = if left.len() == 1 { "matches" } else { "match" };
        (!left.is_empty()).then(|| format!("of {what}, {} {verb} nothing", left.join(" and ")))
    }
}

/// An entry, for people.
fn shown(policy: &Policy, slot: Slot) -> String {
    match slot {
        Slot::Rule(number) => format!("the rule about {}", policy.rules[number].about.shown()),
        Slot::Exception(number) => policy.exceptions[number].shown(),
        Slot::Correction(number) => format!("the correction about {}", policy.corrections[number].about.shown()),
        Slot::Review(number) => policy.reviews[number].shown(),
        Slot::Grant(number) => policy.grants[number].shown(),
    }
}

/// What the patterns of a field are compared with.
fn texts<'a>(field: &str, asked: &Asked<'a>) -> Vec<&'a str> {
    let Asked { case, bare, facts } = *asked;
    match field {
        "license" => {
            facts.into_iter().flat_map(|facts| facts.license.licenses()).map(|license| license.key()).collect()
        }
        "package" => vec![case.package, bare],
        "attribute" => case.attrs.iter().map(String::as_str).collect(),
        "output" => case.output.into_iter().collect(),
        "provenance" => facts.into_iter().flat_map(|facts| &facts.provenance).map(String::as_str).collect(),
        _ => Vec::new(),
    }
}
