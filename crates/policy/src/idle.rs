//! What of a policy is about nothing in a set: most often there is a mistake in a pattern.

use crate::matcher::{Case, Matcher, Patterns};
use crate::policy::Rules;
use narthex_audit::Material;
use narthex_license::LicenseFacts;
use std::borrow::Cow;

/// A package that a policy can be about, and what it declares.
type Package<'c> = (Case<'c>, Option<&'c LicenseFacts>);

impl Rules {
    /// Entries that are about none of these packages, and single patterns that nothing needs in entries that are about
    /// some. Patterns of files and findings are left out, since only the audit knows these.
    pub fn idle(&self, packages: &[Package<'_>]) -> Vec<String> {
        let policy = self.policy();
        let rules = policy.rules.iter().map(|rule| ("rule", &rule.about));
        let exceptions = policy.exceptions.iter().map(|exception| ("exception", &exception.about));
        let corrections = policy.corrections.iter().map(|correction| ("correction", &correction.about));
        let reviews = policy.reviews.iter().map(|review| ("review", &review.about));
        let all = rules.chain(exceptions).chain(corrections).chain(reviews);
        let named = all.filter_map(|(what, about): (_, &Matcher)| {
            let what = format!("the {what} about {}", about.shown());
            idle(&what, about.patterns(), packages, |(case, facts)| about.is_about(case, *facts))
        });
        let grants = policy.grants.iter().filter_map(|grant| {
            idle(&grant.shown(), grant.patterns(), packages, |(case, facts)| grant.covers(case, *facts))
        });
        named.chain(grants).collect()
    }
}

/// What of an entry matches nothing: all of it, or some patterns.
fn idle<'p>(
    what: &str,
    patterns: impl Iterator<Item = (&'static str, &'p Patterns)>,
    packages: &[Package<'_>],
    is_about: impl Fn(&Package<'_>) -> bool,
) -> Option<String> {
    let mut left: Vec<(&str, &Patterns, Vec<bool>)> = patterns
        .filter(|(field, _)| !["file", "finding"].contains(field))
        .map(|(field, patterns)| (field, patterns, vec![true; patterns.texts().len()]))
        .collect();
    let mut is_idle = true;
    for package in packages.iter().filter(|package| is_about(package)) {
        is_idle = false;
        for (field, patterns, idle) in &mut left {
            for text in texts(field, package) {
                patterns.matching(&text).into_iter().for_each(|index| idle[index] = false);
            }
        }
        if left.iter().all(|(_, _, idle)| !idle.contains(&true)) {
            return None;
        }
    }
    if is_idle {
        return Some(format!("{what} matches nothing"));
    }
    let left = left.iter().flat_map(|(field, patterns, idle)| {
        let of_field = patterns.texts().iter().zip(idle).filter(|(_, idle)| **idle);
        of_field.map(move |(text, _)| format!("{field} {text}"))
    });
    let left: Vec<String> = left.collect();
    let verb = if left.len() == 1 { "matches" } else { "match" };
    (!left.is_empty()).then(|| format!("of {what}, {} {verb} nothing", left.join(" and ")))
}

/// What the patterns of a field are compared with.
fn texts<'c>(field: &str, (case, facts): &Package<'c>) -> Vec<Cow<'c, str>> {
    match field {
        "license" => {
            facts.iter().flat_map(|facts| facts.license.licenses()).map(|license| license.key().into()).collect()
        }
        "package" => vec![case.package.into(), Material::of_package(case.package, Vec::new()).name.into()],
        "attribute" => case.attrs.iter().map(Cow::from).collect(),
        "output" => case.output.map(Cow::from).into_iter().collect(),
        "provenance" => facts.iter().flat_map(|facts| &facts.provenance).map(Cow::from).collect(),
        _ => Vec::new(),
    }
}
