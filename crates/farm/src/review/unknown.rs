//! What is unknown, as a list that is worked from its top: by the rule that could not settle it and by name, with what it holds
//! back.
//!
//! A group holds back what would be published, or would have no hole any more, if all of it could be published and nothing
//! else changed: the sources that only its derivations keep back, and the published packages that have no other holes.
//! What a rule would make of others then is not told, so that the figures are a lower bound. Linear in the graph.

use crate::plan::Plan;
use narthex_audit::Material;
use narthex_closure::Node;
use narthex_policy::{Code, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Derivations of one name that are unknown for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The rule that could not settle them, in words.
    pub rule: &'static str,
    /// The name without a version.
    pub name: String,
    /// The versions; an empty one where the name has none.
    pub versions: BTreeSet<String>,
    /// Attributes of the jobs among them.
    pub attrs: BTreeSet<String>,
    /// The derivations, in the order of their paths.
    pub derivations: Vec<Node>,
    /// How many sources nothing else keeps back.
    pub sources: usize,
    /// How many published derivations have no other holes.
    pub last_holes: usize,
    /// How many published derivations may refer to them.
    pub referrers: usize,
}

impl Unknown {
    /// How many derivations an answer frees: its own, the sources, and what has no holes afterwards.
    pub fn frees(&self) -> usize {
        self.derivations.len() + self.sources + self.last_holes
    }
}

/// Everything that is withheld because nobody knows its license, and that no entry answers; what frees most comes first.
pub(super) fn unknown(plan: &Plan<'_>) -> Vec<Unknown> {
    let graph = plan.inventory().graph();
    let mut groups: BTreeMap<(&'static str, String), Unknown> = BTreeMap::new();
    let mut group_of: BTreeMap<Node, (&'static str, String)> = BTreeMap::new();
    for node in plan.derivations() {
        let is_unknown = |outcome: crate::plan::Outcome| {
            outcome.verdict == Verdict::Withhold && outcome.code == Code::LicenseUnknown && !plan.is_source(node)
        };
        if !plan.outcome_of(node).is_some_and(is_unknown)
            || plan.rules().answered(&plan.case(node), plan.facts(node)).is_some()
        {
            continue;
        }
        let Material { name, version, .. } = Material::of_package(graph.name(node), Vec::new());
        let key = (plan.ruling(node), name.clone());
        group_of.insert(node, key.clone());
        let group = groups.entry(key).or_insert_with_key(|(rule, _)| Unknown {
            rule,
            name,
            versions: BTreeSet::new(),
            attrs: BTreeSet::new(),
            derivations: Vec::new(),
            sources: 0,
            last_holes: 0,
            referrers: 0,
        });
        group.versions.insert(version);
        group.attrs.extend(plan.attrs(node).map(str::to_owned));
        group.derivations.push(node);
    }
    for node in plan.shown() {
        // Whatever keeps it back: nothing but one group, or that and more.
        let holders = if plan.is_source(node) { plan.forbidding_users(node) } else { plan.holes(node) };
        let keys: BTreeSet<Option<&(&'static str, String)>> = holders.iter().map(|node| group_of.get(node)).collect();
        let is_alone = keys.len() == 1;
        for key in keys.into_iter().flatten() {
            let Some(group) = groups.get_mut(key) else { continue };
            match (plan.is_source(node), is_alone) {
                (true, true) => group.sources += 1,
                (true, false) => {}
                (false, alone) => {
                    group.referrers += 1;
                    group.last_holes += usize::from(alone);
                }
            }
        }
    }
    let mut groups: Vec<Unknown> = groups.into_values().collect();
    // Of equals, the order of rules and names holds.
    groups.sort_by_key(|group| std::cmp::Reverse((group.frees(), group.referrers)));
    groups
}
