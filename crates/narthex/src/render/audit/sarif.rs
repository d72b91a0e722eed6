//! One SARIF 2.1.0 document for everything that was audited, as tools take it that gather findings.

use super::{Audited, json, sentence};
use crate::render::out_json;
use crate::render::text::visible;
use narthex_audit::Finding;
use serde_json::{Value, json};

/// A kind of finding: its name, what it says, its level, and its page. The order is that of their strength.
const RULES: [(&str, &str, &str, &str); 10] = [
    ("copy", "A file is a vendor's file, byte for byte.", "error", "audit-copy"),
    ("modified-copy", "A file is a changed copy of a vendor's file.", "error", "audit-modified-copy"),
    ("static", "A binary contains functions of a vendor's static archive.", "error", "audit-static-code"),
    ("device-code", "A file contains a vendor's code for GPUs.", "error", "audit-device-code"),
    (
        "suspected",
        "A file looks like a version of restricted material that is not known.",
        "warning",
        "audit-suspected",
    ),
    ("driver", "A file is a library of a GPU driver.", "error", "audit-driver"),
    ("not-audited", "Something could not be read to its end.", "warning", "audit-incomplete"),
    ("stub", "A binary defines a vendor's interface by stubs and has none of its code.", "note", "audit-stub"),
    ("maker", "A PE file names the company that made it.", "note", "audit-maker"),
    ("dynamic", "A binary links or opens shared libraries.", "note", "audit-links-dynamically"),
];

pub(crate) fn audit_sarif(all: &[Audited]) {
    out_json(&format!("{:#}\n", document(all)));
}

pub(super) fn document(all: &[Audited]) -> Value {
    let results: Vec<Value> = all
        .iter()
        .enumerate()
        .flat_map(|(number, audited)| {
            audited.report.findings.iter().map(move |finding| result(number, audited, finding))
        })
        .collect();
    let bases: serde_json::Map<String, Value> =
        all.iter().enumerate().map(|(number, audited)| (base_id(number), base(audited))).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "narthex",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": RULES.map(rule).to_vec(),
            }},
            "originalUriBaseIds": bases,
            "results": results,
        }],
    })
}

/// The help text names the page as it stands in the sources: `helpUri` would have to be an absolute address.
fn rule((id, says, level, page): (&str, &str, &str, &str)) -> Value {
    let page = format!("docs/reasons/{page}.md");
    json!({
        "id": id,
        "shortDescription": {"text": says},
        "help": {"text": format!("What it means for publishing: {page} in the sources of Narthex.")},
        "defaultConfiguration": {"level": level},
        "properties": {"page": page},
    })
}

fn result(number: usize, audited: &Audited, finding: &Finding) -> Value {
    let place = audited.place(finding);
    let index = RULES.iter().position(|(id, ..)| *id == finding.kind());
    let level = index.and_then(|index| RULES.get(index)).map_or("warning", |(_, _, level, _)| level);
    let mut details = vec![format!("{place} {}", sentence(finding))];
    details.extend(audited.evidence(finding).details(4));
    let mut location = json!({
        "physicalLocation": {"artifactLocation": {"uri": encoded(&place.file), "uriBaseId": base_id(number)}},
    });
    if !place.members.is_empty() {
        location["logicalLocations"] = json!([{
            "name": place.innermost(),
            "fullyQualifiedName": place.to_string(),
            "kind": "resource",
        }]);
    }
    let mut result = json!({
        "ruleId": finding.kind(),
        "level": level,
        "message": {"text": plain(&details.join("; "))},
        "locations": [location],
        "properties": json::facts(finding),
    });
    if let Some(index) = index {
        result["ruleIndex"] = json!(index);
    }
    result
}

fn base_id(number: usize) -> String {
    format!("PATH{}", number + 1)
}

/// The folder that the files of a path are named below. Only an absolute one has an address.
fn base(audited: &Audited) -> Value {
    let folder = if audited.is_file() { audited.path.parent() } else { Some(audited.path.as_path()) };
    let shown = audited.path.display().to_string();
    let mut base = json!({"description": {"text": plain(&shown)}});
    if let Some(folder) = folder.filter(|folder| folder.is_absolute()) {
        let folder = folder.to_string_lossy();
        base["uri"] = json!(format!("file://{}/", encoded(folder.trim_end_matches('/'))));
    }
    base
}

/// A path as a part of an address.
fn encoded(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Braces stand for arguments in a message of SARIF, unless they are doubled.
fn plain(text: &str) -> String {
    visible(text).replace('{', "{{").replace('}', "}}")
}
