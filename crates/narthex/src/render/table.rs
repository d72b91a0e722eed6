//! The tables of `run` and `plan`.

use super::failed::text as errors;
use super::out;
use super::text::{columns, count, quote, size, terminal_width};
use crate::hints;
use narthex_closure::StorePath;
use narthex_farm::{Counts, FailureKind, Row, RunReport};
use narthex_policy::text::bounded;
use narthex_policy::{Reason, Verdict};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn run_table(report: &RunReport) {
    out(&run_text(report, terminal_width()));
}

fn run_text(report: &RunReport, width: Option<usize>) -> String {
    let mut text = String::new();
    if report.rows.is_empty() && report.failures.is_empty() {
        return format!("nothing was evaluated that could be built\n{}", errors(&report.errors));
    }
    let (jobs, others): (Vec<&Row>, Vec<&Row>) = report.rows.iter().partition(|row| row.record.attr.is_some());
    let line = |row: &&Row| {
        vec![
            verdict(row.record.verdict).to_owned(),
            short(row.record.path.name()),
            size(row.record.nar_size),
            deciding(&row.record.reasons),
        ]
    };
    let failed = report.failures.iter().map(|failure| {
        vec![failed(failure.kind).to_owned(), short(&failure.name), "–".to_owned(), brief(&one_line(&failure.message))]
    });
    let heading = ["VERDICT", "NAME", "SIZE", "REASON"].map(str::to_owned).to_vec();
    let mut rows: Vec<Vec<String>> = std::iter::once(heading).chain(jobs.iter().map(line)).chain(failed).collect();
    let first_of_others = rows.len();
    rows.extend(others.iter().map(line));
    // One layout for both parts, so that they line up.
    for (number, row) in columns(&rows, &[2], width).iter().enumerate() {
        if number == first_of_others {
            text.push_str("\nwhat they are made of:\n");
        }
        text.push_str(row);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(cut_note(&rows));
    text.push_str(&summary(report));
    text.push_str(&holes(&report.holes));
    text.push_str(&errors(&report.errors));
    for failure in &report.failures {
        let what = match failure.kind {
            FailureKind::Build => "did not build",
            FailureKind::Machine | FailureKind::Refused => "is left out",
            FailureKind::NotTried => "was not tried",
        };
        text.push_str(&format!("\n{} ({}) {what}: {}\n", failure.attr, failure.name, one_line(&failure.message)));
        text.push_str(&quote(&failure.log));
        if let Some(hint) = hints::for_cause(failure.cause) {
            text.push_str(&format!("  hint: {hint}\n"));
        }
        if let Some(failed) = failure.failed.first() {
            text.push_str(&format!("  the whole log: nix-store --read-log {failed}\n"));
        }
    }
    text
}

fn summary(report: &RunReport) -> String {
    let of = |verdict| report.rows.iter().filter(move |row| row.record.verdict == verdict);
    let nar_bytes = |verdict| of(verdict).map(|row| row.record.nar_size).sum::<u64>();
    let file_bytes: u64 = report.rows.iter().filter_map(|row| row.file_size).sum();
    let counts = report.counts;
    let mut text = format!(
        "published {} ({}, compressed {}), withheld {} ({})\n",
        count(of(Verdict::Publish).count(), "path"),
        size(nar_bytes(Verdict::Publish)),
        size(file_bytes),
        count(of(Verdict::Withhold).count(), "path"),
        size(nar_bytes(Verdict::Withhold)),
    );
    if let Some(not_known) = report.not_known {
        text.push_str(not_known);
        text.push('\n');
    }
    if let Some(before) = &report.earlier_policy {
        text.push_str(&format!("decided under the policy `{}`; before, under `{before}`\n", report.policy));
    }
    if counts == Counts::default() {
        text.push_str("nothing was new: nothing built, audited or uploaded\n");
    } else {
        text.push_str(&format!(
            "this time: {} built, {} audited, {} uploaded",
            counts.built, counts.audited, counts.uploaded
        ));
        if counts.withdrawn > 0 {
            text.push_str(&format!(", {} taken back", count(counts.withdrawn, "path")));
        }
        if counts.signed > 0 {
            text.push_str(&format!(", {} signed anew", count(counts.signed, "path")));
        }
        text.push('\n');
    }
    text
}

fn holes(holes: &BTreeMap<StorePath, BTreeSet<StorePath>>) -> String {
    if holes.is_empty() {
        return String::new();
    }
    let mut text = format!("{}, to be built by whoever wants what refers to them:\n", count(holes.len(), "hole"));
    for (hole, referrers) in holes {
        let names: Vec<&str> = referrers.iter().map(StorePath::name).collect();
        text.push_str(&format!("  {} ← {}\n", hole.name(), names.join(", ")));
    }
    text
}

/// A name that leaves room for the reason; the whole one is in the JSON.
pub(super) fn short(name: &str) -> String {
    const ROOM: usize = 44;
    if name.chars().count() <= ROOM { name.to_owned() } else { name.chars().take(ROOM - 1).chain(['…']).collect() }
}

pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Publish => "published",
        Verdict::Withhold => "withheld",
    }
}

/// A message of several lines as one.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn failed(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Build => "failed",
        FailureKind::Machine | FailureKind::Refused => "left out",
        FailureKind::NotTried => "not tried",
    }
}

pub(super) fn deciding(reasons: &[Reason]) -> String {
    reasons.first().map(|reason| brief(&format!("{}: {}", reason.code, reason.message))).unwrap_or_default()
}

/// Characters of a reason in a table.
const BRIEF: usize = 240;

/// A text that leaves a table readable.
fn brief(text: &str) -> String {
    bounded(text, BRIEF)
}

/// How to see what was cut, where something was.
pub(super) fn cut_note(rows: &[Vec<String>]) -> &'static str {
    let is_cut = |row: &Vec<String>| row.last().is_some_and(|cell| cell.chars().count() > BRIEF);
    if rows.iter().any(is_cut) { "some reasons are cut: `--format json` shows all of each\n" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_cache::Record;
    use narthex_closure::NarHash;
    use narthex_farm::BuildFailure;
    use narthex_nix::{Cause, EvalError};
    use narthex_policy::{Code, Effect, Source};

    fn row(name: &str, attr: Option<&str>, verdict: Verdict, code: Code, message: &str) -> Row {
        let record = Record {
            path: format!("/nix/store/00000000000000000000000000000000-{name}").parse().unwrap(),
            attr: attr.map(str::to_owned),
            output: Some("out".to_owned()),
            deriver: None,
            nar_hash: NarHash::from_sha256([0; 32]),
            nar_size: 12_345,
            references: [].into(),
            license: None,
            verdict,
            reasons: vec![Reason {
                code,
                source: Source::Declared,
                effect: Effect::Publish,
                message: message.to_owned(),
                evidence: vec![],
            }],
            policy: "default".to_owned(),
        };
        Row { file_size: (verdict == Verdict::Publish).then_some(1000), record }
    }

    #[test]
    fn a_run_as_a_person_sees_it() {
        let report = RunReport {
            rows: vec![
                row("greeting-1.0", Some("greeting"), Verdict::Publish, Code::LicenseFree, "free software: MIT"),
                row("cuda-1", Some("cuda"), Verdict::Withhold, Code::LicenseRestricted, "may not be passed on: X"),
                row("cc", None, Verdict::Publish, Code::LicenseFree, "free software: MIT"),
            ],
            failures: vec![BuildFailure {
                attr: "broken".to_owned(),
                derivation: "/nix/store/00000000000000000000000000000000-broken.drv".parse().unwrap(),
                name: "broken-1.0".to_owned(),
                kind: FailureKind::Build,
                message: "its build failed".to_owned(),
                cause: Cause::DiskFull,
                failed: vec!["/nix/store/00000000000000000000000000000000-broken.drv".parse().unwrap()],
                log: vec!["broken.c:1: error".to_owned()],
            }],
            errors: vec![EvalError { attr: "bad".to_owned(), message: "no such thing\n\nat /x.nix:1:1:".to_owned() }],
            jobs: vec![],
            not_searched: vec![],
            holes: BTreeMap::from([(
                "/nix/store/00000000000000000000000000000000-cuda-1".parse().unwrap(),
                ["/nix/store/00000000000000000000000000000000-saxpy".parse().unwrap()].into(),
            )]),
            counts: Counts { built: 2, audited: 3, uploaded: 2, withdrawn: 1, signed: 1 },
            policy: "default".to_owned(),
            earlier_policy: Some("strict".to_owned()),
            not_known: None,
            public_keys: vec![],
        };
        insta::assert_snapshot!(run_text(&report, None));
        let again = RunReport { counts: Counts::default(), ..report };
        assert!(run_text(&again, None).contains("nothing was new: nothing built, audited or uploaded"));
        let part = RunReport { not_known: Some("the rest is not known"), ..again };
        assert!(run_text(&part, None).contains("\nthe rest is not known\n"));
    }
}
