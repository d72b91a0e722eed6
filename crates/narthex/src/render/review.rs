//! What `narthex policy review` shows: what is undecided, and what is decided in numbers.

use super::failed::text as errors;
use super::json::{errors as json_errors, line};
use super::table::{short, verdict};
use super::text::{columns, count, terminal_width, visible};
use super::{out, warning};
use narthex_farm::{Plan, Review, Undecided, Unknown};
use narthex_policy::{Answer, Date};
use serde_json::json;
use std::collections::BTreeSet;

/// Of versions, licenses and attributes, so many are shown.
const EXAMPLES: usize = 3;

/// Of what is unknown, so much is shown for people: the list is worked from its top. JSON has all of it.
const TOP: usize = 40;

pub(crate) fn review_table(plan: &Plan<'_>, review: &Review) {
    let mut text = review_text(review, terminal_width());
    text.push_str(&errors(plan.errors()));
    out(&text);
}

fn review_text(review: &Review, width: Option<usize>) -> String {
    let mut text = String::new();
    if !review.undecided.is_empty() {
        let heading = ["FIRST SEEN", "PACKAGE", "VERSION", "CLASS", "TODAY", "LICENSE", "ATTRIBUTES"];
        let rows = std::iter::once(heading.map(str::to_owned).to_vec()).chain(review.undecided.iter().map(row));
        let lines = columns(&rows.collect::<Vec<_>>(), &[], width);
        let ended = std::iter::once(None).chain(review.undecided.iter().map(Some));
        for (line, package) in lines.iter().zip(ended) {
            text.push_str(&format!("{line}\n"));
            for ended in package.into_iter().flat_map(|package| &package.ended) {
                text.push_str(&format!("  {}\n", visible(ended)));
            }
        }
        text.push('\n');
    }
    text.push_str(&match review.undecided.len() {
        0 => "every package that is not plainly free, of those that were read, is decided about\n".to_owned(),
        number => format!("{} that nobody has decided about\n", count(number, "package")),
    });
    text.push_str(&unknown_text(&review.unknown, width));
    let decided: Vec<String> =
        review.decided.iter().map(|(answer, number)| format!("{number} {}", words(*answer))).collect();
    if !decided.is_empty() {
        text.push_str(&format!("decided: {}\n", decided.join(", ")));
    }
    text
}

/// What nobody knows, most freeing first.
fn unknown_text(unknown: &[Unknown], width: Option<usize>) -> String {
    if unknown.is_empty() {
        return String::new();
    }
    let derivations: usize = unknown.iter().map(|group| group.derivations.len()).sum();
    let mut text =
        format!("\n{} of unknown license; an answer to the first frees most:\n\n", count(derivations, "derivation"));
    let heading = ["FREES", "HOLE OF", "NAME", "VERSION", "DERIVATIONS", "WHY"].map(str::to_owned).to_vec();
    let row = |group: &Unknown| {
        vec![
            group.frees().to_string(),
            group.referrers.to_string(),
            short(&group.name),
            short(&some(&group.versions)),
            group.derivations.len().to_string(),
            group.rule.strip_prefix("unknown: ").unwrap_or("it declares a license that is not known").to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(unknown.iter().take(TOP).map(row)).collect();
    for line in columns(&rows, &[0, 1, 4], width) {
        text.push_str(&format!("{line}\n"));
    }
    if unknown.len() > TOP {
        text.push_str(&format!("… and {} more; --format json has them all\n", count(unknown.len() - TOP, "name")));
    }
    text.push('\n');
    text
}

fn words(answer: Answer) -> &'static str {
    match answer {
        Answer::Confirmed => "confirmed",
        Answer::Replaced => "replaced",
        Answer::FromVendor => "from the vendor or withheld by a rule",
    }
}

fn row(package: &Undecided) -> Vec<String> {
    let today = package.reasons.first().map_or(String::new(), |reason| format!(": {}", reason.code));
    vec![
        seen(package).unwrap_or_else(|| "–".to_owned()),
        short(&package.name),
        some(&package.versions),
        package.class.to_string(),
        format!("{}{today}", verdict(package.verdict)),
        if package.licenses.is_empty() { "none declared".to_owned() } else { short(&some(&package.licenses)) },
        some(&package.attrs),
    ]
}

fn seen(package: &Undecided) -> Option<String> {
    package.first_seen.map(|seconds| Date::of_unix_time(seconds).to_string())
}

/// The first of them, and how many more there are.
fn some(texts: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = texts.iter().take(EXAMPLES).map(String::as_str).collect();
    let more = texts.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Confirmations that have no effect.
pub(crate) fn review_warnings(review: &Review) {
    for (name, by, reason) in review.unheeded.iter().take(EXAMPLES) {
        warning(&format!(
            "{name} is confirmed by {by}, and withheld all the same: {}: {}",
            reason.code, reason.message
        ));
    }
    if review.unheeded.len() > EXAMPLES {
        warning(&format!("… and {} more", count(review.unheeded.len() - EXAMPLES, "package")));
    }
    if !review.unheeded.is_empty() {
        warning(
            "an answer permits nothing by itself: a grant lifts what a license forbids, an exception that it is unknown",
        );
    }
}

/// One object a package.
pub(crate) fn review_json(plan: &Plan<'_>, review: &Review) {
    let graph = plan.inventory().graph();
    for package in &review.undecided {
        line(&json!({
            "package": package.name,
            "versions": package.versions,
            "attrs": package.attrs,
            "class": package.class,
            "licenses": package.licenses,
            "verdict": package.verdict,
            "reasons": package.reasons,
            "firstSeen": seen(package),
            "ended": package.ended,
            "drvPaths": package.derivations.iter().map(|node| graph.path(*node)).collect::<Vec<_>>(),
        }));
    }
    for group in &review.unknown {
        line(&json!({
            "unknown": group.name,
            "rule": group.rule,
            "versions": group.versions,
            "attrs": group.attrs,
            "frees": group.frees(),
            "sources": group.sources,
            "lastHoles": group.last_holes,
            "holeOf": group.referrers,
            "drvPaths": group.derivations.iter().map(|node| graph.path(*node)).collect::<Vec<_>>(),
        }));
    }
    json_errors(plan.errors());
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_license::Class;
    use narthex_policy::{Code, Effect, Reason, Source, Verdict};

    #[test]
    fn a_review_as_a_person_sees_it() {
        let package = |name: &str, versions: &[&str], first_seen: Option<u64>| Undecided {
            name: name.to_owned(),
            versions: versions.iter().map(|version| (*version).to_owned()).collect(),
            attrs: [format!("{name}Packages.a"), name.to_owned()].into(),
            licenses: ["LicenseRef-unfree".to_owned()].into(),
            class: Class::Restricted,
            verdict: Verdict::Withhold,
            reasons: vec![Reason {
                code: Code::LicenseRestricted,
                source: Source::Declared,
                effect: Effect::Withhold,
                message: "m".to_owned(),
                evidence: vec![],
            }],
            ended: BTreeSet::new(),
            first_seen,
            derivations: vec![],
        };
        let ended = ["the review about package zoom ended on 2026-01-31; ask ann\n@example.org".to_owned()].into();
        let review = Review {
            undecided: vec![
                package("steam", &["1", "2", "3", "4", "5"], None),
                Undecided { ended, ..package("zoom", &["6.2"], Some(1_798_761_600)) },
            ],
            decided: [(Answer::Confirmed, 3), (Answer::FromVendor, 1)].into(),
            ..Review::default()
        };
        insta::assert_snapshot!(review_text(&review, None), @r#"
        FIRST SEEN  PACKAGE  VERSION             CLASS       TODAY                         LICENSE            ATTRIBUTES
        –           steam    1, 2, 3 and 2 more  restricted  withheld: license-restricted  LicenseRef-unfree  steam, steamPackages.a
        2027-01-01  zoom     6.2                 restricted  withheld: license-restricted  LicenseRef-unfree  zoom, zoomPackages.a
          the review about package zoom ended on 2026-01-31; ask ann�@example.org

        2 packages that nobody has decided about
        decided: 3 confirmed, 1 from the vendor or withheld by a rule
        "#);
        insta::assert_snapshot!(review_text(&Review::default(), None), @r#"
        every package that is not plainly free, of those that were read, is decided about
        "#);
    }
}
