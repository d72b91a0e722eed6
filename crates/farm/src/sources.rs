//! What becomes of a source by what becomes of the packages made from it.
//!
//! A package that is withheld for its bytes got them from what it was built with. Its own source is suspected like
//! everything else of this, unless another withheld thing has all that was found.

use crate::logs::reach;
use crate::package_set::{PackageSet, Role};
use crate::plan::provenance;
use narthex_audit::Report;
use narthex_closure::StorePath;
use narthex_nix::PathInfo;
use narthex_policy::{Code, Decision, Effect, Provenance, Rules, Source, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// What is known while sources are decided about: all outputs are.
pub(crate) struct Built<'a> {
    pub(crate) set: &'a PackageSet,
    pub(crate) rules: &'a Rules,
    pub(crate) infos: &'a BTreeMap<StorePath, PathInfo>,
    pub(crate) reports: &'a BTreeMap<StorePath, Report>,
    pub(crate) decisions: &'a BTreeMap<StorePath, Decision>,
    pub(crate) withheld: &'a BTreeSet<StorePath>,
}

impl Built<'_> {
    /// Whether all that a package is withheld for is material that another withheld thing holds than this source.
    pub(crate) fn explains<'r>(
        &self,
        user: &StorePath,
        source: &StorePath,
        role: &dyn Fn(&StorePath) -> &'r Role<'r>,
    ) -> bool {
        let Some(derivation) = self.set.graph.get(user) else { return false };
        let mut wanted = BTreeSet::new();
        for decision in derivation.outputs.values().filter_map(|output| self.decisions.get(output)) {
            for reason in decision.reasons().iter().filter(|reason| reason.effect == Effect::Withhold) {
                let of_bytes =
                    matches!(reason.source, Source::Audit | Source::Terms) || reason.code == Code::PolicyVendorCode;
                let packages: Option<Vec<&str>> =
                    reason.evidence.iter().map(|evidence| evidence.package.as_deref()).collect();
                match packages {
                    Some(packages) if of_bytes && !packages.is_empty() => wanted.extend(packages),
                    _ => return false,
                }
            }
        }
        // It was withheld for something, and that is not in its decisions: it was not built.
        if wanted.is_empty() {
            return false;
        }
        let references = |path: &StorePath| self.infos.get(path).map(|info| &info.references);
        let Some(reached) = reach(self.set, derivation, &references) else { return false };
        for path in reached.iter().filter(|path| *path != source && self.is_withheld(path, role)) {
            for finding in self.reports.get(path).iter().flat_map(|report| &report.findings) {
                if let Some(origin) = finding.origin() {
                    wanted.remove(origin.material.package().as_str());
                }
            }
        }
        wanted.is_empty()
    }

    /// Whether a path is withheld; of a source that is still to be decided about, whether it is in any case.
    fn is_withheld<'r>(&self, path: &StorePath, role: &dyn Fn(&StorePath) -> &'r Role<'r>) -> bool {
        match self.decisions.get(path) {
            Some(decision) => decision.verdict() == Verdict::Withhold,
            None => match provenance(self.set, self.rules, role(path), self.withheld, &|_| true) {
                Provenance::Source(users) => users.iter().any(|user| user.forbids()),
                _ => false,
            },
        }
    }
}

/// Sources in an order in which those come first that others are sources of.
pub(crate) fn users_first<'i>(
    set: &PackageSet,
    sources: Vec<(&'i StorePath, &'i PathInfo)>,
) -> Vec<(&'i StorePath, &'i PathInfo)> {
    let mut left: BTreeMap<&StorePath, (&'i StorePath, &'i PathInfo)> =
        sources.into_iter().map(|source| (source.0, source)).collect();
    let makers = |path: &StorePath| set.graph.producer(path).map(|producer| producer.derivation.clone());
    let inputs = |path: &StorePath| -> Vec<StorePath> {
        let derivation = makers(path).and_then(|maker| set.graph.get(&maker));
        derivation.map(|derivation| Vec::from_iter(set.graph.build_inputs(derivation))).unwrap_or_default()
    };
    // How many sources each is a source of.
    let mut users: BTreeMap<StorePath, usize> = BTreeMap::new();
    for input in left.keys().flat_map(|path| inputs(path)) {
        *users.entry(input).or_default() += 1;
    }
    let mut ready: Vec<StorePath> =
        left.keys().filter(|path| !users.contains_key(**path)).map(|path| (*path).clone()).collect();
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(path) = ready.pop() {
        ordered.extend(left.remove(&path));
        for input in inputs(&path) {
            if let Some(number) = users.get_mut(&input) {
                *number -= 1;
                if *number == 0 && left.contains_key(&input) {
                    ready.push(input);
                }
            }
        }
    }
    // What is a source of itself, which no graph of Nix has, comes last.
    ordered.extend(left.into_values());
    ordered
}
