//! All the evidence for one file.

use super::{Audited, entry, sentence};
use crate::render::out;
use crate::render::text::visible;

pub(crate) fn audit_explained(all: &[Audited]) {
    for (index, audited) in all.iter().enumerate() {
        let between = if index > 0 { "\n" } else { "" };
        out(&format!("{between}{}", text(audited)));
    }
}

/// The report holds the findings for one file, and its name.
pub(super) fn text(audited: &Audited) -> String {
    let mut text = audited.heading();
    if audited.report.findings.is_empty() {
        let file = audited.files().join(", ");
        text.push_str(&format!("  nothing was found in {}, no links either\n", visible(&file)));
    }
    for finding in &audited.report.findings {
        let mut evidence = audited.evidence(finding);
        // A line each is easier to hold against a disassembly.
        let ranges = std::mem::take(&mut evidence.ranges);
        let mut details = evidence.details(usize::MAX);
        if !ranges.is_empty() {
            details.push(format!("the {} longest stretches, by address:", ranges.len()));
        }
        details.extend(
            ranges.iter().map(|(from, to)| format!("  {from:#x}–{to:#x} ({} bytes)", to.saturating_sub(*from))),
        );
        text.push_str(&entry(&format!("{} {}", audited.place(finding), sentence(finding)), &details));
    }
    text
}
