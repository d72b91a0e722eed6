//! What would happen, by licenses alone and without building.

use crate::package_set::{PackageSet, Role};
use narthex_closure::StorePath;
use narthex_license::{Class, Expr, LicenseFacts};
use narthex_policy::{Provenance, Reason, Rules, SourceUser, Verdict, forecast};
use std::collections::BTreeSet;

/// The forecast for one path.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The path.
    pub path: StorePath,
    /// The attribute of its job, where it is one's output.
    pub attr: Option<String>,
    /// The derivation.
    pub deriver: Option<StorePath>,
    /// The output's name.
    pub output: Option<String>,
    /// The declared license as an SPDX expression.
    pub license: Option<String>,
    /// Publish or withhold.
    pub verdict: Verdict,
    /// Why; the first reason decides.
    pub reasons: Vec<Reason>,
}

/// Forecasts the decision about every path that the set can give, in the order of names.
pub fn plan(set: &PackageSet, rules: &Rules) -> Vec<Planned> {
    let roles = set.roles();
    let mut withheld = forecast_elsewhere(set, rules);
    let mut planned = Vec::new();
    let (outputs, sources): (Vec<_>, Vec<_>) = roles.iter().partition(|(_, role)| matches!(role, Role::Output(_)));
    for (path, role) in outputs.into_iter().chain(sources) {
        let provenance = provenance(set, role, &withheld);
        let (verdict, reasons) = forecast(path.name(), &provenance, rules);
        let producer = set.graph.producer(path);
        if verdict == Verdict::Withhold {
            withheld.extend(producer.map(|p| p.derivation.clone()));
        }
        planned.push(Planned {
            path: path.clone(),
            attr: producer.and_then(|p| set.attr(&p.derivation)).map(str::to_owned),
            deriver: producer.map(|p| p.derivation.clone()),
            output: producer.map(|p| p.output.clone()),
            license: license_of(role),
            verdict,
            reasons,
        });
    }
    planned.sort_by(|a, b| (a.path.name(), &a.path).cmp(&(b.path.name(), &b.path)));
    planned
}

/// Derivations outside the jobs' graph that would be withheld. They are not built, and still tell what
/// becomes of the sources that they share with the jobs.
pub(crate) fn forecast_elsewhere(set: &PackageSet, rules: &Rules) -> BTreeSet<StorePath> {
    let elsewhere = set.graph.iter().map(|(path, _)| path).filter(|path| !set.in_scope(path));
    let withheld = |path: &&StorePath| {
        forecast(set.name(path), &Provenance::Output(set.facts(path)), rules).0 == Verdict::Withhold
    };
    elsewhere.filter(withheld).cloned().collect()
}

/// The declared license of a path, as an SPDX expression.
pub(crate) fn license_of(role: &Role<'_>) -> Option<String> {
    match role {
        Role::Output(facts) => {
            facts.filter(|facts| facts.license != Expr::Absent).map(|facts| facts.license.to_string())
        }
        Role::Source(_) => None,
    }
}

/// What a decision about a path goes by. `withheld` are the derivations of which an output is withheld.
pub(crate) fn provenance<'a>(set: &'a PackageSet, role: &Role<'a>, withheld: &BTreeSet<StorePath>) -> Provenance<'a> {
    match role {
        Role::Output(facts) => Provenance::Output(*facts),
        Role::Source(users) => {
            let user = |user: &&StorePath| SourceUser {
                name: set.name(user).to_owned(),
                class: set.facts(user).map_or(Class::Unknown, LicenseFacts::class),
                withheld: withheld.contains(*user),
            };
            Provenance::Source(users.iter().map(user).collect())
        }
    }
}
