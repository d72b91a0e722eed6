//! The report for people: one entry for what is said of many members of one file, unless all is asked for.

use super::{Audited, entry, sentence};
use crate::render::out;
use crate::render::text::{count, size};
use narthex_audit::{Finding, Place};
use std::collections::BTreeMap;

/// Items shown of each list of evidence, and entries that say the same of one file; `--explain` shows all of them.
const SHOWN: usize = 4;

pub(crate) fn audit_table(audited: &Audited, another: bool, all: bool) {
    let between = if another { "\n" } else { "" };
    out(&format!("{between}{}", text(audited, all)));
}

/// What is restricted first, then what was not read, then stubs and who made what; links are counted only.
pub(super) fn text(audited: &Audited, all: bool) -> String {
    let of = |wanted: fn(&Finding) -> bool| {
        audited.report.findings.iter().filter(|finding| wanted(finding)).collect::<Vec<_>>()
    };
    let restricted = of(|finding| finding.is_restricted() && !matches!(finding, Finding::NotFullyAudited { .. }));
    let gaps = of(|finding| matches!(finding, Finding::NotFullyAudited { .. }));
    let stubs = of(|finding| matches!(finding, Finding::Stub { .. }));
    let makers = of(|finding| matches!(finding, Finding::Maker { .. }));
    let dynamic = of(|finding| matches!(finding, Finding::Dynamic { .. }));

    let files = count(audited.report.files.len(), "file");
    let bytes = size(audited.report.bytes);
    let found = match (restricted.len(), gaps.len()) {
        (0, 0) => format!("nothing restricted in {files} ({bytes})"),
        (0, _) => format!("not fully audited: nothing restricted in what was read of {files} ({bytes})"),
        (number, _) => format!("{} in {files} ({bytes})", count(number, "restricted finding")),
    };
    let mut text = format!("{}  {found}", audited.heading());
    match gaps.len() {
        0 => {}
        1 => text.push_str("; 1 place was not read to its end"),
        number => text.push_str(&format!("; {number} places were not read to their end")),
    }
    match dynamic.len() {
        0 => {}
        1 => text.push_str("; 1 file links shared libraries"),
        number => text.push_str(&format!("; {number} files link shared libraries")),
    }
    text.push('\n');
    for group in groups(restricted.into_iter().chain(gaps).chain(stubs).chain(makers), all) {
        let Some((first, others)) = group.split_first() else { continue };
        let is_many = group.len() > SHOWN;
        for finding in std::iter::once(first).chain(others.iter().filter(|_| !is_many)) {
            let sentence = format!("{} {}", audited.place(finding), sentence(finding));
            text.push_str(&entry(&sentence, &audited.evidence(finding).details(SHOWN)));
        }
        if is_many {
            let places = others.iter().take(SHOWN - 1).map(|finding| audited.place(finding).to_string());
            let mut places: Vec<String> = places.collect();
            if others.len() > places.len() {
                places.push(format!("{} more, which --all shows", others.len() - places.len()));
            }
            let file = Place { file: audited.place(first).file, members: Vec::new() };
            text.push_str(&entry(&format!("the same is said of {} others in {file}:", others.len()), &places));
        }
    }
    if let Some(made) = &audited.report.made {
        let (vendor, files, all) = (&made.vendor, made.files, made.of_files);
        let sentence =
            format!("{}: its name says that {vendor} made it, and so do {files} of {all} files", audited.name());
        let copyrights = format!("{} state its copyright", count(made.copyrights as usize, "file"));
        let places = made.places.iter().take(SHOWN).map(ToString::to_string);
        text.push_str(&entry(&sentence, &std::iter::once(copyrights).chain(places).collect::<Vec<_>>()));
    }
    text
}

/// Findings that say the same of members of the same file, in the order of the first of each.
fn groups<'f>(findings: impl Iterator<Item = &'f Finding>, all: bool) -> Vec<Vec<&'f Finding>> {
    let mut numbers = BTreeMap::new();
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let origin = finding.origin().map(|origin| (origin.file.as_str(), origin.material.package()));
        let gap = match finding {
            Finding::NotFullyAudited { gap, .. } => gap.to_string(),
            _ => String::new(),
        };
        let key = (finding.kind(), finding.place().file.as_str(), origin, gap);
        let number = if all { groups.len() } else { *numbers.entry(key).or_insert(groups.len()) };
        match groups.get_mut(number) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}
