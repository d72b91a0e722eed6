//! `why`: everything there is to say of one decision, as a tree down to file and clause.

use super::json::{line, record_value};
use super::out;
use super::text::{size, visible};
use narthex_cache::Record;
use narthex_farm::{About, Explanation};
use narthex_policy::{Code, Evidence, Reason, Verdict, asked_then};
use serde_json::{Value, json};

/// Evidence shown for one reason, and items of each list; the rest is in the JSON.
const SHOWN: usize = 12;

/// A line of the tree, and what hangs on it.
#[derive(Debug, Default)]
struct Branch {
    text: String,
    below: Vec<Branch>,
}

impl Branch {
    fn leaf(text: impl Into<String>) -> Self {
        Self { text: text.into(), below: Vec::new() }
    }

    fn draw(&self, before: &str, into: &mut String) {
        for (index, branch) in self.below.iter().enumerate() {
            let last = index + 1 == self.below.len();
            let (mark, rest) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            into.push_str(&format!("{before}{mark}{}\n", visible(&branch.text)));
            branch.draw(&format!("{before}{rest}"), into);
        }
    }
}

pub(crate) fn why(explanation: &Explanation, another: bool) {
    let mut text = if another { "\n".to_owned() } else { String::new() };
    text.push_str(&why_text(explanation));
    out(&text);
}

pub(crate) fn why_json(explanation: &Explanation) {
    line(&why_value(explanation));
}

fn why_value(explanation: &Explanation) -> Value {
    let short = |record: &Record| {
        json!({
            "path": record.path.to_string(),
            "reason": record.reasons.first().map(|reason| reason.code),
            "message": record.reasons.first().map(|reason| &reason.message),
        })
    };
    let mut value = match &explanation.about {
        About::Decided(record) => record_value(record),
        About::Forecast { path, license, verdict, reasons, policy } => json!({
            "path": path.to_string(),
            "name": path.name(),
            "forecast": true,
            "verdict": verdict,
            "license": license,
            "reasons": reasons,
            "policy": policy,
        }),
    };
    let derivations = explanation.derivations.iter().map(|known| {
        json!({
            "drvPath": known.derivation.to_string(),
            "attrs": known.attrs,
            "facts": serde_json::from_str::<Value>(&known.facts).unwrap_or_default(),
        })
    });
    value["derivations"] = derivations.collect();
    value["holes"] = explanation.holes.iter().map(short).collect();
    value["withheldPackages"] = explanation.packages.iter().map(short).collect();
    value["because"] = json!(explanation.because);
    value["toPublish"] = json!(explanation.obstacles);
    value["askedThen"] = json!(asked_then(explanation.about.reasons()));
    value
}

fn why_text(explanation: &Explanation) -> String {
    let about = &explanation.about;
    let mut text = format!("{}\n", about.path());
    let (license, policy) = match about {
        About::Decided(record) => (&record.license, &record.policy),
        About::Forecast { license, policy, .. } => (license, policy),
    };
    let verdict = match about.verdict() {
        Verdict::Publish => "published",
        Verdict::Withhold => "withheld",
    };
    let policy = visible(policy);
    match about {
        About::Decided(_) => text.push_str(&format!("  {verdict} under the policy `{policy}`\n")),
        About::Forecast { .. } => text.push_str(&format!(
            "  not built here yet; by what is declared it would be {verdict} under the policy `{policy}`\n"
        )),
    }
    let license = visible(license.as_deref().unwrap_or("none of its own"));
    text.push_str(&format!("  declared license: {license}\n"));
    if let About::Decided(record) = about {
        text.push_str(&format!("  size: {}\n", size(record.nar_size)));
        if let (Some(output), Some(deriver)) = (&record.output, &record.deriver) {
            text.push_str(&format!("  output `{}` of {deriver}\n", visible(output)));
        }
    }
    let attrs: Vec<&str> = explanation.derivations.iter().flat_map(|known| &known.attrs).map(String::as_str).collect();
    if !attrs.is_empty() {
        text.push_str(&format!("  attributes: {}\n", visible(&some(&attrs))));
    }
    if let Some(because) = &explanation.because {
        text.push_str(&format!("  in its way: {}\n", visible(because)));
    }
    tree(explanation).draw("", &mut text);
    text.push_str(&obstacles_text(explanation));
    text
}

fn tree(explanation: &Explanation) -> Branch {
    let mut root = Branch::default();
    for reason in explanation.about.reasons() {
        let mut branch = reason_branch(reason);
        if reason.code == Code::SourceOfWithheld {
            branch.below.extend(records(&explanation.packages));
        }
        root.below.push(branch);
    }
    if !explanation.holes.is_empty() {
        let text = "refers to what is withheld, which whoever uses it builds:".to_owned();
        root.below.push(Branch { text, below: records(&explanation.holes) });
    }
    root
}

fn records(records: &[Record]) -> Vec<Branch> {
    let one = |record: &Record| {
        let reason = record.reasons.first();
        let why = reason.map(|reason| Branch::leaf(format!("{}: {}", reason.code, reason.message)));
        Branch { text: record.path.to_string(), below: why.into_iter().collect() }
    };
    limited(records, one)
}

fn reason_branch(reason: &Reason) -> Branch {
    let (source, effect) = (reason.source.as_str(), reason.effect.verb());
    let text = format!("{} ({source}, {effect}): {}", reason.code, reason.message);
    Branch { text, below: limited(&reason.evidence, evidence_branch) }
}

fn evidence_branch(evidence: &Evidence) -> Branch {
    let of = match (&evidence.original, &evidence.package) {
        (Some(original), Some(package)) => format!(": {original} of {package}"),
        _ => String::new(),
    };
    let below = evidence.details(SHOWN).into_iter().map(Branch::leaf).collect();
    Branch { text: format!("{}{of}", evidence.place), below }
}

/// Branches for the first items, and a word about the others.
fn limited<T>(items: &[T], branch: impl Fn(&T) -> Branch) -> Vec<Branch> {
    let mut branches: Vec<Branch> = items.iter().take(SHOWN).map(branch).collect();
    if items.len() > SHOWN {
        branches.push(Branch::leaf(format!("… and {} more (see --format json)", items.len() - SHOWN)));
    }
    branches
}

fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown}, and {more} more") } else { shown }
}

fn obstacles_text(explanation: &Explanation) -> String {
    let mut text = String::new();
    let obstacles = &explanation.obstacles;
    match obstacles.len() {
        0 => return text,
        1 => text.push_str("\nFor this to be published, one reason would have to go:\n"),
        count => text.push_str(&format!("\nFor this to be published, all of {count} reasons would have to go:\n")),
    }
    for obstacle in obstacles {
        let mut branch = Branch::default();
        for way in &obstacle.ways {
            let entry = way.entry.map(|entry| format!(" (`{entry}` of the policy)")).unwrap_or_default();
            branch.below.push(Branch::leaf(format!("{}: {}{entry}", way.by.as_str(), way.what)));
        }
        let any = if obstacle.ways.len() > 1 { ", by any of these ways" } else { "" };
        text.push_str(&format!("{}{any}\n", obstacle.reason));
        branch.draw("", &mut text);
    }
    let then: Vec<&str> = asked_then(explanation.about.reasons()).into_iter().map(Code::as_str).collect();
    if !then.is_empty() {
        text.push_str(&format!(
            "Then what was found would be held against the terms and the policy: {}\n",
            then.join(", ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_audit::Section;
    use narthex_policy::{Coverage, Effect, Source};

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
        let mut text = String::new();
        Branch { text: String::new(), below: vec![reason_branch(&reason)] }.draw("", &mut text);
        insta::assert_snapshot!(text);
    }
}
