//! Finds the entries of a policy that are about a package without asking each of them.
//!
//! A policy can have thousands of entries and a set tens of thousands of packages. The patterns of all entries are
//! compared at once, and only those entries are asked that one of their patterns points to, or that have none to point
//! with. It only spares work: what an entry is about, the entry says, and the order stays that of the policy.

use crate::entries::{Correction, Exception, Grant, Rule};
use crate::matcher::{Asked, Patterns, bare_name};
use crate::policy::{Policy, Rules};
use crate::review::Review;
use globset::{Glob, GlobSet, GlobSetBuilder};
use narthex_audit::Material;

/// An entry by its number in its list. The order of lists is that in which idle entries are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    Rule(usize),
    Exception(usize),
    Correction(usize),
    Review(usize),
    Grant(usize),
}

/// The fields whose patterns point to entries; of several that an entry has, the first one does.
const FIELDS: [&str; 3] = ["package", "attribute", "license"];

/// Which entries to ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    fields: [Pointers; FIELDS.len()],
    /// Entries without patterns that could point to them.
    others: Vec<Slot>,
}

/// Patterns, and the entry that each of them points to.
#[derive(Clone, Debug, Default)]
struct Pointers {
    set: GlobSet,
    slots: Vec<Slot>,
}

impl Index {
    pub(crate) fn new(policy: &Policy) -> Self {
        let all = slots(policy);
        let mut fields = FIELDS.map(|_| (GlobSetBuilder::new(), Vec::new()));
        let mut others = Vec::new();
        for slot in &all {
            let given = patterns(policy, *slot);
            let pointing = FIELDS.iter().zip(&mut fields).find_map(|(name, field)| {
                let (_, patterns) = given.iter().find(|(known, _)| known == name)?;
                let globs = patterns.texts().iter().map(|text| Glob::new(text));
                // What points everywhere points nowhere.
                let globs = globs.collect::<Result<Vec<_>, _>>().ok().filter(|_| !patterns.has_everything())?;
                Some((globs, field))
            });
            match pointing {
                Some((globs, (set, slots))) => globs.into_iter().for_each(|glob| {
                    set.add(glob);
                    slots.push(*slot);
                }),
                None => others.push(*slot),
            }
        }
        let built = fields.map(|(set, slots)| Some(Pointers { set: set.build().ok()?, slots }));
        match built {
            [Some(package), Some(attribute), Some(license)] => Self { fields: [package, attribute, license], others },
            // Too large to be compared at once: every entry is asked.
            _ => Self { others: all, ..Self::default() },
        }
    }

    /// The entries that may be about something with these names, in order.
    fn candidates<'t>(
        &self,
        packages: [&str; 2],
        attributes: impl Iterator<Item = &'t str>,
        licenses: impl Iterator<Item = &'t str>,
    ) -> Vec<Slot> {
        let mut found = self.others.clone();
        let [package, attribute, license] = &self.fields;
        packages.into_iter().for_each(|text| package.add(text, &mut found));
        attributes.for_each(|text| attribute.add(text, &mut found));
        licenses.for_each(|text| license.add(text, &mut found));
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Pointers {
    fn add(&self, text: &str, found: &mut Vec<Slot>) {
        if !self.slots.is_empty() {
            found.extend(self.set.matches(text).into_iter().filter_map(|number| self.slots.get(number)));
        }
    }
}

/// All entries of a policy, in order.
pub(crate) fn slots(policy: &Policy) -> Vec<Slot> {
    let rules = (0..policy.rules.len()).map(Slot::Rule);
    let exceptions = (0..policy.exceptions.len()).map(Slot::Exception);
    let corrections = (0..policy.corrections.len()).map(Slot::Correction);
    let reviews = (0..policy.reviews.len()).map(Slot::Review);
    let grants = (0..policy.grants.len()).map(Slot::Grant);
    rules.chain(exceptions).chain(corrections).chain(reviews).chain(grants).collect()
}

/// The patterns of an entry by the names of their fields.
pub(crate) fn patterns(policy: &Policy, slot: Slot) -> Vec<(&'static str, &Patterns)> {
    match slot {
        Slot::Rule(number) => policy.rules[number].about.patterns().collect(),
        Slot::Exception(number) => policy.exceptions[number].about.patterns().collect(),
        Slot::Correction(number) => policy.corrections[number].about.patterns().collect(),
        Slot::Review(number) => policy.reviews[number].about.patterns().collect(),
        Slot::Grant(number) => policy.grants[number].patterns().collect(),
    }
}

fn is_about(policy: &Policy, slot: Slot, asked: &Asked<'_>) -> bool {
    match slot {
        Slot::Rule(number) => policy.rules[number].about.is_about(asked),
        Slot::Exception(number) => policy.exceptions[number].about.is_about(asked),
        Slot::Correction(number) => policy.corrections[number].about.is_about(asked),
        Slot::Review(number) => policy.reviews[number].about.is_about(asked),
        Slot::Grant(number) => policy.grants[number].covers(asked),
    }
}

/// The entries that are about a package, whatever is in its files.
pub(crate) struct About<'r> {
    policy: &'r Policy,
    pub(crate) slots: Vec<Slot>,
}

impl<'r> About<'r> {
    pub(crate) fn rules(&self) -> impl Iterator<Item = &'r Rule> {
        self.each(|policy, slot| if let Slot::Rule(number) = slot { policy.rules.get(number) } else { None })
    }

    pub(crate) fn exceptions(&self) -> impl Iterator<Item = &'r Exception> {
        self.each(|policy, slot| if let Slot::Exception(number) = slot { policy.exceptions.get(number) } else { None })
    }

    pub(crate) fn corrections(&self) -> impl Iterator<Item = &'r Correction> {
        self.each(
            |policy, slot| if let Slot::Correction(number) = slot { policy.corrections.get(number) } else { None },
        )
    }

    pub(crate) fn reviews(&self) -> impl Iterator<Item = &'r Review> {
        self.each(|policy, slot| if let Slot::Review(number) = slot { policy.reviews.get(number) } else { None })
    }

    /// The grants that cover it.
    pub(crate) fn grants(&self) -> impl Iterator<Item = &'r Grant> {
        self.each(|policy, slot| if let Slot::Grant(number) = slot { policy.grants.get(number) } else { None })
    }

    fn each<T: 'r>(&self, entry: impl Fn(&'r Policy, Slot) -> Option<&'r T>) -> impl Iterator<Item = &'r T> {
        let policy = self.policy;
        self.slots.iter().filter_map(move |slot| entry(policy, *slot))
    }
}

impl Rules {
    /// The entries that are about a package.
    pub(crate) fn about(&self, asked: &Asked<'_>) -> About<'_> {
        let policy = self.policy();
        let licenses = asked.facts.into_iter().flat_map(|facts| facts.license.licenses());
        let attributes = asked.case.attrs.iter().map(String::as_str);
        let packages = [asked.case.package, asked.bare];
        let mut slots = self.index().candidates(packages, attributes, licenses.map(|license| license.key()));
        slots.retain(|slot| is_about(policy, *slot, asked));
        About { policy, slots }
    }

    /// The grants that cover material that was found somewhere.
    pub(crate) fn grants_of(&self, material: &Material) -> impl Iterator<Item = &Grant> {
        let package = material.package();
        let licenses = material.licenses.iter().map(String::as_str);
        let found = self.index().candidates([&package, bare_name(&package)], std::iter::empty(), licenses);
        let grants = found.into_iter().filter_map(|slot| match slot {
            Slot::Grant(number) => self.policy().grants.get(number),
            _ => None,
        });
        grants.filter(|grant| grant.covers_material(material))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Case, Date, shipped};
    use narthex_license::LicenseFacts;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use serde_json::json;
    use std::collections::BTreeSet;

    const PATTERNS: [&str; 12] =
        ["a", "b", "a-1", "b-2.0", "a*", "*b", "?", "[ab]-*", "{a,b}-1", "*", "a-?", "*-[0-9]*"];
    const LICENSES: [&str; 4] = ["mit", "unfree", "unfree*", "*"];

    /// The list of an entry, and its patterns: of packages, attributes and licenses.
    type Written = (&'static str, Vec<&'static str>, Vec<&'static str>, Vec<&'static str>);

    fn written() -> impl Strategy<Value = Written> {
        let lists = select(vec!["rules", "exceptions", "grants", "corrections", "reviews"]);
        let some = || subsequence(PATTERNS.to_vec(), 0..3);
        (lists, some(), some(), subsequence(LICENSES.to_vec(), 0..3)).prop_map(|(list, package, attribute, license)| {
            match list {
                "grants" => (list, package, Vec::new(), license),
                "corrections" => (list, package, attribute, Vec::new()),
                _ => (list, package, attribute, license),
            }
        })
    }

    fn policy(entries: &BTreeSet<Written>) -> Policy {
        let warrant = "reason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n";
        let mut text = format!("{}\n", shipped::DEFAULT_POLICY);
        for (list, package, attribute, license) in entries {
            let given = [("package", package), ("attribute", attribute), ("license", license)];
            let given = given.into_iter().filter(|(_, patterns)| !patterns.is_empty()).collect::<Vec<_>>();
            // Entries that are about nothing and agreements about everything are mistakes.
            if given.is_empty() || (*list == "grants" && given.iter().all(|(_, patterns)| patterns.contains(&"*"))) {
                continue;
            }
            text.push_str(&format!("[[{list}]]\n"));
            given.iter().for_each(|(name, patterns)| text.push_str(&format!("{name} = {patterns:?}\n")));
            text.push_str(&match *list {
                "rules" => "then = \"withhold\"\nreason = \"x\"\n".to_owned(),
                "exceptions" => format!("codes = [\"policy-rule\"]\n{warrant}"),
                "grants" => format!("agreement = \"A\"\n{warrant}"),
                "corrections" => "license = [\"mit\"]\nreason = \"x\"\nsource = \"y\"\n".to_owned(),
                _ => format!("answer = \"confirmed\"\n{warrant}"),
            });
        }
        Policy::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
    }

    proptest! {
        /// What the index spares is what would have said no.
        #[test]
        fn the_index_finds_what_asking_every_entry_finds(
            entries in proptest::collection::btree_set(written(), 0..12),
            name in "[ab]{1,2}(-[12b])?(\\.0)?",
            attrs in proptest::collection::vec("[ab]{1,2}", 0..3),
            licenses in subsequence(vec!["mit", "unfree", "unfreeRedistributable"], 0..3),
        ) {
            let policy = policy(&entries);
            let every = slots(&policy);
            let rules = Rules::new(policy.clone(), Vec::new(), Date::of_unix_time(0));
            let facts = LicenseFacts::from_json(&json!({ "license": licenses }));
            let case = Case { package: &name, attrs: &attrs, output: None, has_supplier: false };
            for facts in [None, Some(&facts)] {
                let asked = Asked::new(&case, facts);
                let expected: Vec<Slot> =
                    every.iter().copied().filter(|slot| is_about(&policy, *slot, &asked)).collect();
                prop_assert_eq!(rules.about(&asked).slots, expected);
            }
            let material = Material::of_package(&name, licenses.iter().map(|one| (*one).to_owned()).collect());
            let found: Vec<&Grant> = rules.grants_of(&material).collect();
            let expected: Vec<&Grant> = policy.grants.iter().filter(|grant| grant.covers_material(&material)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
