//! The report as a CycloneDX 1.6 document in JSON.
//!
//! A component for each store path, with the vendors' material that is inside as components of its own; what the format
//! has no field for stands in properties whose names begin with `narthex:`.

use super::{Stream, TOOL, VERSION, material, nar_hex, purl, roots, scope, standing, time, uuid};
use crate::render::text::visible;
use narthex_farm::{ComplianceReport, Inclusion, ReportPath};
use narthex_license::spdx::Declared;
use narthex_policy::certainty;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Write};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<C, D> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Value,
    components: C,
    dependencies: D,
}

/// What the document describes as a whole.
const WHOLE: &str = "report";

/// Writes the document.
pub(super) fn cyclonedx(report: &ComplianceReport, out: &mut dyn Write) -> io::Result<()> {
    let dependencies = || {
        let references = |places: &[usize]| places.iter().map(|place| name(&report.paths[*place])).collect::<Vec<_>>();
        let whole = json!({"ref": WHOLE, "dependsOn": references(&roots(report))});
        let paths =
            report.paths.iter().map(move |path| json!({"ref": name(path), "dependsOn": references(&path.references)}));
        std::iter::once(whole).chain(paths)
    };
    let document = Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: format!("urn:uuid:{}", uuid(report.digest("cyclonedx"))),
        version: 1,
        metadata: json!({
            "timestamp": time(report.created),
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [{"type": "application", "name": TOOL, "version": VERSION}]},
            "component": {
                "type": "application",
                "bom-ref": WHOLE,
                "name": "Nix binary cache",
                "description": format!("store paths of a Nix binary cache: {}", visible(&scope(report))),
            },
        }),
        components: Stream(|| report.paths.iter().map(component)),
        dependencies: Stream(dependencies),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    out.write_all(b"\n")
}

/// What the document calls a path: hash and name, without the store's folder.
fn name(path: &ReportPath) -> String {
    path.path.to_basename()
}

fn component(path: &ReportPath) -> Value {
    let mut component = json!({
        "type": if path.is_source() { "file" } else { "application" },
        "bom-ref": name(path),
        "name": visible(&path.name),
        "purl": purl(&path.name, &path.version),
        "hashes": [{"alg": "SHA-256", "content": nar_hex(path.nar_hash)}],
        "properties": properties(path),
    });
    if !path.version.is_empty() {
        component["version"] = visible(&path.version).into();
    }
    if let Some(said) = &path.license {
        component["licenses"] = match Declared::read(said) {
            Declared::Expression(expression) => {
                json!([{"expression": expression.text, "acknowledgement": "declared"}])
            }
            Declared::Nothing | Declared::NoAssertion => {
                json!([{"license": {"name": visible(said), "acknowledgement": "declared"}}])
            }
        };
    }
    let inside: Vec<Value> =
        path.inclusions().enumerate().map(|(number, inclusion)| inner(path, number, &inclusion)).collect();
    if !inside.is_empty() {
        component["components"] = inside.into();
    }
    component
}

fn property(name: &str, value: impl AsRef<str>) -> Value {
    json!({"name": format!("narthex:{name}"), "value": visible(value.as_ref())})
}

fn properties(path: &ReportPath) -> Vec<Value> {
    let mut properties = vec![
        property("verdict", if path.verdict == narthex_policy::Verdict::Publish { "publish" } else { "withhold" }),
        property("standing", standing(path)),
        property("policy", &path.policy),
        property("store-path", path.path.to_string()),
        property("nar-size", path.nar_size.to_string()),
    ];
    properties.extend(path.deriver.as_ref().map(|deriver| property("derivation", deriver.to_string())));
    properties.extend(path.output.as_ref().map(|output| property("output", output)));
    properties.extend(path.attr.as_ref().map(|attr| property("attribute", attr)));
    properties.extend(
        path.reasons.iter().map(|reason| {
            property("reason", format!("{} ({}): {}", reason.code, reason.effect.verb(), reason.message))
        }),
    );
    properties
}

/// A vendor's material inside a path: what it is, where it is, and what permits it.
fn inner(path: &ReportPath, number: usize, Inclusion { reason, evidence }: &Inclusion<'_>) -> Value {
    let (package, file) = material(evidence);
    let narthex_audit::Material { name: vendor, version, .. } =
        narthex_audit::Material::of_package(package, Vec::new());
    let file_name = file.rsplit('/').next().filter(|name| !name.is_empty());
    let kind = evidence.kind.as_deref().unwrap_or("");
    let confidence = if certainty(kind).is_some_and(|sure| sure.starts_with("certain")) { 1.0 } else { 0.5 };
    let mut value = json!({
        "type": if kind == "static" || file.contains(".so") { "library" } else { "file" },
        "bom-ref": format!("{}#{}", name(path), number + 1),
        "name": visible(file_name.unwrap_or(&vendor)),
        "group": visible(&vendor),
        "evidence": {
            "identity": [{
                "field": "name",
                "confidence": confidence,
                "methods": [{"technique": "binary-analysis", "confidence": confidence, "value": kind}],
            }],
            "occurrences": [{"location": visible(&evidence.place)}],
        },
    });
    if !version.is_empty() {
        value["version"] = visible(&version).into();
    }
    if let Some(terms) = &evidence.terms {
        value["licenses"] = json!([{"license": {"name": visible(&terms.title), "acknowledgement": "concluded"}}]);
    }
    if !evidence.changes.is_empty() || !evidence.changed_sections.is_empty() {
        let changes: Vec<String> = evidence.changes.iter().map(|change| visible(&change.to_string())).collect();
        let notes = if changes.is_empty() { "a modified copy".to_owned() } else { changes.join("; ") };
        value["pedigree"] = json!({"notes": notes});
    }
    let mut properties = vec![property("reason", reason.code.as_str())];
    properties.extend((!file.is_empty()).then(|| property("original", file)));
    properties.extend(evidence.clause.as_ref().map(|clause| property("clause", clause)));
    properties.extend(evidence.conditions.iter().map(|condition| property("condition", condition)));
    value["properties"] = properties.into();
    value
}
