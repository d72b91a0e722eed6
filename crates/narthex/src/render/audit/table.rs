//! The report for people.

use super::{Audited, entry, sentence};
use crate::render::out;
use crate::render::text::{count, size};
use narthex_audit::Finding;

/// Items shown of each list of evidence; `--explain` shows all of them.
const SHOWN: usize = 4;

pub(crate) fn audit_table(audited: &Audited, another: bool) {
    let between = if another { "\n" } else { "" };
    out(&format!("{between}{}", text(audited)));
}

/// What is restricted first, then what was not read, then stubs; links are counted only.
pub(super) fn text(audited: &Audited) -> String {
    let of = |wanted: fn(&Finding) -> bool| {
        audited.report.findings.iter().filter(|finding| wanted(finding)).collect::<Vec<_>>()
    };
    let restricted = of(|finding| finding.is_restricted() && !matches!(finding, Finding::NotFullyAudited { .. }));
    let gaps = of(|finding| matches!(finding, Finding::NotFullyAudited { .. }));
    let stubs = of(|finding| matches!(finding, Finding::Stub { .. }));
    let dynamic = of(|finding| matches!(finding, Finding::Dynamic { .. }));

    let found = match restricted.len() {
        0 => "nothing restricted".to_owned(),
        number => count(number, "restricted finding"),
    };
    let mut text = format!(
        "{}  {found} in {} ({})",
        audited.heading(),
        count(audited.report.files.len(), "file"),
        size(audited.report.bytes)
    );
    if !gaps.is_empty() {
        text.push_str(&format!("; {} not read to its end", count(gaps.len(), "file")));
    }
    match dynamic.len() {
        0 => {}
        1 => text.push_str("; 1 file links shared libraries"),
        number => text.push_str(&format!("; {number} files link shared libraries")),
    }
    text.push('\n');
    for finding in restricted.into_iter().chain(gaps).chain(stubs) {
        let sentence = format!("{} {}", audited.place(finding), sentence(finding));
        text.push_str(&entry(&sentence, &audited.evidence(finding).details(SHOWN)));
    }
    text
}
