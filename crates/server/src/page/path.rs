//! The page of one path: what was decided, why, and what that rests on, as `narthex why` shows it.

use super::{document, size};
use maud::{Markup, html};
use narthex_cache::{ObjectName, Record};
use narthex_policy::{Evidence, Reason, Verdict};

/// Pieces of evidence shown for one reason, and items of each list in one; the rest is in the JSON.
const SHOWN: usize = 40;

/// The page of a path that was decided about. It stands one folder below the first page.
pub(crate) fn path_page(record: &Record) -> String {
    let withheld = record.verdict == Verdict::Withhold;
    let verdict = if withheld { "withheld" } else { "published" };
    let object = if withheld { ObjectName::withheld(&record.path) } else { ObjectName::narinfo(&record.path) };
    let body = html! {
        p class="quiet" { a href="../" { "Nix binary cache" } }
        h1 { (record.path.name()) ": " (verdict) }
        dl {
            dt { "Path" } dd { code { (record.path) } }
            dt { "Verdict" } dd { (verdict) " under the policy “" (record.policy) "”" }
            dt { "License" } dd { (record.license.as_deref().unwrap_or("none of its own")) }
            dt { "Size" } dd { (size(record.nar_size)) }
            @if let (Some(output), Some(deriver)) = (&record.output, &record.deriver) {
                dt { "Output" } dd { (output) " of " code { (deriver) } }
            }
            dt { @if withheld { "Entry" } @else { "Narinfo" } }
            dd { a href={ "../" (object) } { (object) } }
        }
        h2 { "Why" }
        @for reason in &record.reasons { (reason_of(reason)) }
        p class="quiet" { "Not legal advice. Each reason names the declaration, the clause or the file that it rests on." }
    };
    document(&format!("{}: {verdict}", record.path.name()), &body)
}

/// The page of a path that nothing is known of.
pub(crate) fn absent_path() -> String {
    let body = html! {
        p class="quiet" { a href="../" { "Nix binary cache" } }
        h1 { "Nothing was decided about this path" }
        p { "It is not in this cache, and was not withheld from it either." }
    };
    document("not here", &body)
}

fn reason_of(reason: &Reason) -> Markup {
    let (source, effect) = (reason.source.as_str(), reason.effect.verb());
    html! {
        h3 { (reason.code) " " span class="quiet" { "(" (source) ", " (effect) ")" } }
        p { (reason.message) }
        @if !reason.evidence.is_empty() {
            ul {
                @for evidence in reason.evidence.iter().take(SHOWN) { (evidence_of(evidence)) }
                @if reason.evidence.len() > SHOWN {
                    li class="quiet" { "… and " (reason.evidence.len() - SHOWN) " more" }
                }
            }
        }
    }
}

fn evidence_of(evidence: &Evidence) -> Markup {
    html! {
        li {
            code { (evidence.place) }
            @if let (Some(original), Some(package)) = (&evidence.original, &evidence.package) {
                ": " (original) " of " (package)
            }
            ul { @for line in evidence.details(SHOWN) { li { (line) } } }
        }
    }
}
