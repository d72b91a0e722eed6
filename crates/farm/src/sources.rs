//! What becomes of a source by what becomes of the packages made from it.
//!
//! A package that is withheld for its bytes got them from what it was built with. Its own source is suspected like
//! everything else of this, unless another withheld thing has all that was found. That rests on bytes: names of packages and
//! files are what a package set calls them.

use crate::logs::reach;
use crate::package_set::{PackageSet, Role};
use crate::plan::provenance;
use narthex_audit::{Finding, Material, Place, Report};
use narthex_closure::StorePath;
use narthex_nix::{PathInfo, open_file};
use narthex_policy::{Code, Decision, Effect, Evidence, Provenance, Rules, Source, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What is known while sources are decided about: all outputs are.
pub(crate) struct Built<'a> {
    pub(crate) set: &'a PackageSet,
    pub(crate) rules: &'a Rules,
    pub(crate) infos: &'a BTreeMap<StorePath, PathInfo>,
    pub(crate) reports: &'a BTreeMap<StorePath, Report>,
    pub(crate) decisions: &'a BTreeMap<StorePath, Decision>,
    pub(crate) withheld: &'a BTreeSet<StorePath>,
    pub(crate) originals: &'a Originals<'a>,
}

impl Built<'_> {
    /// Whether all that a package is withheld for is material that another withheld thing holds than this source: the very
    /// bytes of a copy, and of what is part of a file or was changed, the whole original. What only looks like a vendor's
    /// may be anything.
    pub(crate) fn explains<'r>(
        &self,
        user: &StorePath,
        source: &StorePath,
        role: &dyn Fn(&StorePath) -> &'r Role<'r>,
    ) -> bool {
        let Some(derivation) = self.set.graph.get(user) else { return false };
        let mut wanted: Vec<(&StorePath, &Finding)> = Vec::new();
        for output in derivation.outputs.values() {
            let Some(decision) = self.decisions.get(output) else { continue };
            for reason in decision.reasons().iter().filter(|reason| reason.effect == Effect::Withhold) {
                let of_bytes =
                    matches!(reason.source, Source::Audit | Source::Terms) || reason.code == Code::PolicyVendorCode;
                let is_of_material = |evidence: &Evidence| evidence.package.is_some();
                if !of_bytes || reason.evidence.is_empty() || !reason.evidence.iter().all(is_of_material) {
                    return false;
                }
            }
            if decision.verdict() == Verdict::Withhold {
                let findings = self.reports.get(output).into_iter().flat_map(|report| &report.findings);
                let of_material =
                    |finding: &&Finding| finding.origin().is_some() && !matches!(finding, Finding::Stub { .. });
                wanted.extend(findings.filter(of_material).map(|finding| (output, finding)));
            }
        }
        // It was withheld for something, and that is not in its decisions: it was not built.
        if wanted.is_empty() {
            return false;
        }
        let references = |path: &StorePath| self.infos.get(path).map(|info| &info.references);
        let Some(reached) = reach(self.set, derivation, &references) else { return false };
        let withheld: Vec<&StorePath> =
            reached.iter().filter(|path| *path != source && self.is_withheld(path, role)).collect();
        wanted.into_iter().all(|(output, finding)| self.has_original(output, finding, &withheld))
    }

    /// Whether one of these paths has the original of a finding, whole.
    fn has_original(&self, output: &StorePath, finding: &Finding, among: &[&StorePath]) -> bool {
        let Some(origin) = finding.origin().filter(|_| !matches!(finding, Finding::Suspected { .. })) else {
            return false;
        };
        // A member of an archive is no more than that, and what it is a member of is not the original.
        let is_whole = |holder: &&Holder<'_>| holder.member.is_none() || holder.member == origin.member.as_deref();
        let originals = self.originals.0.get(&(&origin.material, origin.file.as_str()));
        let (near, far): (Vec<&Holder<'_>>, Vec<&Holder<'_>>) =
            originals.into_iter().flatten().filter(is_whole).partition(|holder| among.contains(&holder.path));
        match finding {
            // A copy is held against the bytes themselves.
            Finding::Copy { place, .. } => {
                let found = Holder { path: output, place, member: None };
                near.iter().any(|holder| holder.has_the_bytes_of(&found))
            }
            // What is a part is known by its original, which must be one and the same wherever it goes by this name.
            _ => {
                let is_elsewhere = |other: &&&Holder<'_>| other.path != output && other.place.members.is_empty();
                let is_one =
                    |holder: &Holder<'_>| far.iter().filter(is_elsewhere).all(|other| other.has_the_bytes_of(holder));
                near.iter().any(|holder| is_one(holder))
            }
        }
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

/// The files that are originals, byte for byte, by what their originals are called.
pub(crate) struct Originals<'a>(BTreeMap<(&'a Material, &'a str), Vec<Holder<'a>>>);

/// A file of a path that is an original.
struct Holder<'a> {
    path: &'a StorePath,
    place: &'a Place,
    /// The member of the original that it is, where it is no more than that.
    member: Option<&'a str>,
}

impl<'a> Originals<'a> {
    pub(crate) fn of(reports: &'a BTreeMap<StorePath, Report>) -> Self {
        let mut all: BTreeMap<_, Vec<Holder<'a>>> = BTreeMap::new();
        for (path, report) in reports {
            for finding in &report.findings {
                if let Finding::Copy { place, original, .. } = finding {
                    let holder = Holder { path, place, member: original.member.as_deref() };
                    all.entry((&original.material, original.file.as_str())).or_default().push(holder);
                }
            }
        }
        Self(all)
    }
}

impl Holder<'_> {
    /// Whether two files agree in every byte. What lies in an archive is not unpacked for this.
    fn has_the_bytes_of(&self, other: &Self) -> bool {
        let file = |holder: &Self| {
            let place = holder.place;
            // A path that is itself a file has no name below it.
            let path = PathBuf::from(holder.path.to_string());
            let path = if place.file.is_empty() { path } else { path.join(&place.file) };
            place.members.is_empty().then(|| open_file(&path).ok()).flatten()
        };
        match (file(self), file(other)) {
            (Some(one), Some(two)) => *one == *two,
            _ => false,
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
