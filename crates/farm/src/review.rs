//! Which packages that are not plainly free nobody has decided about.
//!
//! A package is all derivations of one name, whatever their version, of which something is declared, and jobs of which
//! nothing is. What is answered
//! is asked of the policy for each derivation by itself, so that an answer for one version leaves the others open.
//! Pure: when a package was first seen is for the caller to find out.

mod unknown;

use crate::plan::Plan;
use narthex_audit::Material;
use narthex_closure::{Node, StorePath};
use narthex_license::Class;
use narthex_policy::{Answer, Reason, Verdict};
use std::collections::{BTreeMap, BTreeSet};

pub use unknown::Unknown;

/// When derivations of a name were first seen, in seconds since 1970.
///
/// By name and not by path: a package whose inputs changed has another path and is no newer for it.
#[derive(Clone, Debug, Default)]
pub struct FirstSeen(BTreeMap<String, u64>);

impl FirstSeen {
    /// Of what is known of derivations.
    pub fn of<'p>(derivations: impl IntoIterator<Item = (&'p StorePath, u64)>) -> Self {
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        for (path, seen) in derivations {
            let name = path.name();
            let name = name.strip_suffix(".drv").unwrap_or(name);
            names.entry(name.to_owned()).and_modify(|known| *known = seen.min(*known)).or_insert(seen);
        }
        Self(names)
    }
}

/// A package that nobody has decided about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Its name without a version.
    pub name: String,
    /// The versions that are undecided; an empty one where the name has none.
    pub versions: BTreeSet<String>,
    /// Attributes of the jobs among them.
    pub attrs: BTreeSet<String>,
    /// What is declared, as SPDX expressions.
    pub licenses: BTreeSet<String>,
    /// What that comes to; of several, the strictest.
    pub class: Class,
    /// What the policy does with it today: if it withholds one derivation, that.
    pub verdict: Verdict,
    /// Why; the first reason decides.
    pub reasons: Vec<Reason>,
    /// Entries that would answer and have ended.
    pub ended: BTreeSet<String>,
    /// When its newest version was first seen, in seconds since 1970; `None` where one never was.
    pub first_seen: Option<u64>,
    /// The derivations, in the order of their paths.
    pub derivations: Vec<Node>,
}

/// What is decided and what is not.
#[derive(Clone, Debug, Default)]
pub struct Review {
    /// Packages that nobody has decided about, newest first.
    pub undecided: Vec<Undecided>,
    /// How many packages have which answer; one with several versions may have several.
    pub decided: BTreeMap<Answer, usize>,
    /// Packages of which an entry says that they may be passed on, and that are withheld all the same: name, entry and
    /// the reason that decides.
    pub unheeded: Vec<(String, String, Reason)>,
    /// Everything that nobody knows the license of, jobs and what they are made of; what frees most comes first.
    pub unknown: Vec<Unknown>,
}

/// Goes through the packages of a plan that are not plainly free.
pub fn review(plan: &Plan<'_>, seen: &FirstSeen) -> Review {
    let (rules, graph) = (plan.rules(), plan.inventory().graph());
    let mut undecided: BTreeMap<String, Undecided> = BTreeMap::new();
    let mut decided: BTreeSet<(Answer, String)> = BTreeSet::new();
    let mut unheeded: BTreeMap<String, (String, Reason)> = BTreeMap::new();
    for node in plan.derivations() {
        let Some(outcome) = plan.outcome_of(node) else { continue };
        let facts = plan.facts(node);
        // A job that declares nothing is a package that nobody knows the license of, also where it is fetched, as fonts are,
        // and a free package uses it. What jobs are made of goes by rules.
        let is_silent = || (outcome.class == Class::Unknown || plan.is_source(node)) && plan.attrs(node).len() > 0;
        if facts.is_none() && !is_silent() {
            continue;
        }
        let class = rules.class(facts);
        if matches!(class, Class::Free | Class::MadeFromFree) {
            continue;
        }
        let (case, full_name) = (plan.case(node), graph.name(node));
        let Material { name, version, .. } = Material::of_package(full_name, Vec::new());
        let mut reasons = plan.reasons(node);
        if let Some(answered) = rules.answered(&case, facts) {
            decided.insert((answered.answer, name.clone()));
            if answered.answer == Answer::Confirmed && outcome.verdict == Verdict::Withhold && !reasons.is_empty() {
                unheeded.entry(name).or_insert_with(|| (answered.by, reasons.remove(0)));
            }
            continue;
        }
        let first_seen = seen.0.get(full_name).copied();
        let package = undecided.entry(name.clone()).or_insert_with(|| Undecided {
            name,
            versions: BTreeSet::new(),
            attrs: BTreeSet::new(),
            licenses: BTreeSet::new(),
            class,
            verdict: outcome.verdict,
            reasons: reasons.clone(),
            ended: BTreeSet::new(),
            first_seen,
            derivations: Vec::new(),
        });
        package.versions.insert(version);
        package.attrs.extend(plan.attrs(node).map(str::to_owned));
        package.licenses.extend(facts.map(|facts| facts.license.to_string()));
        package.class = package.class.max(class);
        if outcome.verdict > package.verdict {
            (package.verdict, package.reasons) = (outcome.verdict, reasons);
        }
        package.ended.extend(rules.ended_answers(&case, facts));
        // What was never seen is newer than all that was.
        package.first_seen = package.first_seen.zip(first_seen).map(|(one, other)| one.max(other));
        package.derivations.push(node);
    }
    let mut counts = BTreeMap::new();
    decided.iter().for_each(|(answer, _)| *counts.entry(*answer).or_insert(0) += 1);
    let mut undecided: Vec<Undecided> = undecided.into_values().collect();
    // Of equals, the order of names holds.
    undecided.sort_by_key(|package| std::cmp::Reverse(package.first_seen.unwrap_or(u64::MAX)));
    let unheeded = unheeded.into_iter().map(|(name, (by, reason))| (name, by, reason)).collect();
    Review { undecided, decided: counts, unheeded, unknown: unknown::unknown(plan) }
}

#[cfg(test)]
mod tests;
