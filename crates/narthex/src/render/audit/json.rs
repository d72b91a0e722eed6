//! One JSON object a finding. The guide for operators documents each key.

use super::{Audited, coverage, functions};
use crate::render::out_json;
use narthex_audit::{Finding, FunctionHit};
use serde_json::{Map, Value, json};

pub(crate) fn audit_json(audited: &Audited) {
    for finding in &audited.report.findings {
        out_json(&format!("{}\n", line(audited, finding)));
    }
    if audited.report.made.is_some() {
        out_json(&format!("{}\n", made(audited)));
    }
    for hit in &audited.hits {
        out_json(&format!("{}\n", function(audited, hit)));
    }
}

/// Who made most of a path, as it says itself: no finding, since only what is declared free is suspected for it.
fn made(audited: &Audited) -> Value {
    let made = &audited.report.made;
    let places = made.iter().flat_map(|made| &made.places);
    json!({
        "path": audited.path.display().to_string(),
        "file": [audited.name()],
        "kind": "made-by",
        "vendor": made.as_ref().map(|made| &made.vendor),
        "files": made.as_ref().map(|made| made.files),
        "copyrights": made.as_ref().map(|made| made.copyrights),
        "ofFiles": made.as_ref().map(|made| made.of_files),
        "bytes": made.as_ref().map(|made| made.bytes),
        "places": places.map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// A function of `--explain`: an object of a kind of its own.
fn function(audited: &Audited, hit: &FunctionHit) -> Value {
    let origin = &hit.origin;
    json!({
        "path": audited.path.display().to_string(),
        "file": audited.files(),
        "kind": "function",
        "address": hit.address,
        "end": hit.end,
        "bytesCompared": hit.bytes_compared,
        "material": {
            "name": origin.material.name,
            "version": origin.material.version,
            "file": origin.file,
            "member": origin.member,
        },
    })
}

pub(super) fn line(audited: &Audited, finding: &Finding) -> Value {
    let place = audited.place(finding);
    let mut value = Map::new();
    value.insert("path".to_owned(), json!(audited.path.display().to_string()));
    value.insert("file".to_owned(), json!(std::iter::once(&place.file).chain(&place.members).collect::<Vec<_>>()));
    value.insert("kind".to_owned(), json!(finding.kind()));
    value.extend(facts(finding));
    Value::Object(value)
}

/// Everything but where it was found and of which kind it is.
pub(super) fn facts(finding: &Finding) -> Map<String, Value> {
    let material = finding.origin().map(|origin| {
        let mut material = json!({
            "name": origin.material.name,
            "version": origin.material.version,
            "file": origin.file,
        });
        if let Some(member) = &origin.member {
            material["member"] = json!(member);
        }
        material
    });
    let changes = match finding {
        Finding::ModifiedCopy { changes, .. } => json!(changes),
        _ => json!([]),
    };
    let functions = functions(finding).map(|(found, of)| json!({"found": found, "of": of}));
    let facts = [
        ("material", json!(material)),
        ("functions", json!(functions)),
        ("coverage", json!(coverage(finding))),
        ("changes", changes),
        ("restricted", json!(finding.is_restricted())),
        ("detail", detail(finding)),
    ];
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The finding's own fields, as far as they do not stand beside it.
fn detail(finding: &Finding) -> Value {
    let mut value = json!(finding);
    if let Value::Object(fields) = &mut value {
        let origin = match finding {
            Finding::Copy { .. } | Finding::ModifiedCopy { .. } | Finding::DeviceCode { .. } => "original",
            Finding::StaticCode { .. } => "archive",
            Finding::Suspected { .. } => "like",
            Finding::Stub { .. } => "library",
            Finding::Driver { .. }
            | Finding::Dynamic { .. }
            | Finding::Maker { .. }
            | Finding::NotFullyAudited { .. } => "",
        };
        fields.retain(|name, _| !["kind", "place", "changes", origin].contains(&name.as_str()));
    }
    value
}
