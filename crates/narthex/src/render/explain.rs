//! `why`: everything there is to say of one decision.

use super::out;
use super::table::heading;
use super::text::{indent, size, visible};
use narthex_cache::Record;
use narthex_policy::{Evidence, Reason};

/// Evidence shown for one reason, and items of each list in it; the rest is in the JSON.
const SHOWN: usize = 12;

pub(crate) fn why(record: &Record, another: bool) {
    let mut text = if another { "\n".to_owned() } else { String::new() };
    text.push_str(&why_text(record));
    out(&text);
}

fn why_text(record: &Record) -> String {
    let mut text = heading(record);
    let license = visible(record.license.as_deref().unwrap_or("none of its own"));
    text.push_str(&format!("  declared license: {license}\n  size: {}\n", size(record.nar_size)));
    if let (Some(output), Some(deriver)) = (&record.output, &record.deriver) {
        text.push_str(&format!("  output `{output}` of {deriver}\n"));
    }
    for reason in &record.reasons {
        text.push_str(&reason_text(reason));
    }
    text
}

fn reason_text(reason: &Reason) -> String {
    let (source, effect) = (reason.source.as_str(), reason.effect.verb());
    let mut text = format!("\n  {} ({source}, {effect})\n    {}\n", reason.code, visible(&reason.message));
    for evidence in reason.evidence.iter().take(SHOWN) {
        text.push_str(&indent(&evidence_text(evidence), "    "));
    }
    if reason.evidence.len() > SHOWN {
        text.push_str(&format!("    … and {} more (see --format json)\n", reason.evidence.len() - SHOWN));
    }
    text
}

fn evidence_text(evidence: &Evidence) -> String {
    let mut text = format!("- {}", visible(&evidence.place));
    if let (Some(original), Some(package)) = (&evidence.original, &evidence.package) {
        text.push_str(&visible(&format!(": {original} of {package}")));
    }
    text.push('\n');
    for line in evidence.details(SHOWN) {
        text.push_str(&format!("    {}\n", visible(&line)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_audit::Section;
    use narthex_policy::{Code, Coverage, Effect, Source};

    #[test]
    fn evidence_is_shown_down_to_the_section_and_the_clause() {
        let reason = Reason {
            code: Code::TermsModified,
            source: Source::Terms,
            effect: Effect::Withhold,
            message: "lib/x is a modified copy".to_owned(),
            evidence: vec![Evidence {
                place: "lib/x".to_owned(),
                kind: Some("modified-copy".to_owned()),
                original: Some("lib/libcudart.so.12".to_owned()),
                package: Some("cuda_cudart-12.9.79".to_owned()),
                clause: Some("section 2.3".to_owned()),
                same_sections: vec![".text".to_owned()],
                changed_sections: vec![
                    Section { name: ".dynstr".to_owned(), original: Some(1), found: Some(2) },
                    Section { name: ".comment".to_owned(), original: Some(9), found: None },
                ],
                changes: vec![narthex_audit::Change::Runpath { from: vec![], to: vec!["$ORIGIN".to_owned()] }],
                members: vec![Coverage { member: "a.o".to_owned(), functions_found: 3, functions_known: 4 }],
                bytes_found: Some(900),
                code_bytes: Some(1000),
                ranges: vec![(0x1000, 0x1400)],
                conditions: vec!["only inside an application".to_owned()],
                ..Evidence::default()
            }],
        };
        insta::assert_snapshot!(reason_text(&reason));
    }
}
