//! All the evidence for one file.

use super::{Audited, entry, sentence};
use crate::render::out;
use crate::render::text::{count, visible};
use narthex_audit::FunctionHit;

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
    if !audited.hits.is_empty() {
        let line = |hit: &FunctionHit| {
            let member = hit.origin.member.as_deref().unwrap_or("?");
            let (name, package) = (hit.origin.file_name(), hit.origin.material.package());
            let size = hit.end.saturating_sub(hit.address);
            let (from, to, same) = (hit.address, hit.end, hit.bytes_compared);
            format!("{from:#x}–{to:#x}: {same} of {size} bytes compared; {name}({member}) of {package}")
        };
        let lines: Vec<String> = audited.hits.iter().map(line).collect();
        text.push_str(&entry(&format!("{} that stand in the corpus", count(lines.len(), "function")), &lines));
    }
    text
}
