//! The report as an SPDX 2.3 document in JSON.
//!
//! A package for each store path and for each file of a vendor that is inside one. What is withheld is in it as well, so
//! that the references of what is published lead somewhere. Declared licenses are those of the package set; a license is
//! concluded only where the audit found a vendor's material inside, since it looks for nothing else.

use super::{Stream, TOOL, VERSION, material, materials, nar_hex, purl, roots, scope, standing, time, uuid};
use crate::render::text::visible;
use narthex_closure::hash_part;
use narthex_farm::{ComplianceReport, ReportPath, TermsDocument};
use narthex_license::spdx::{Declared, about, list_version, own_name, reference};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<P, L, R> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    comment: &'static str,
    creation_info: Value,
    has_extracted_licensing_infos: L,
    packages: P,
    relationships: R,
}

const COMMENT: &str = "Packages are store paths of a Nix binary cache; their checksum is that of the uncompressed NAR. \
    Declared licenses are those of the package set. Annotations say whether a path is published, and why. Not legal advice.";

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// Writes the document.
pub(super) fn spdx(report: &ComplianceReport, out: &mut dyn Write) -> io::Result<()> {
    let created = time(report.created);
    let materials = materials(report);
    let numbers: BTreeMap<_, usize> =
        materials.keys().enumerate().map(|(number, material)| (*material, number)).collect();
    let packages = || {
        let vendors = materials.iter().map(|(material, terms)| {
            vendor(&material_id(numbers[material]), *material, terms.map(|(id, _)| terms_reference(id)))
        });
        report.paths.iter().map(|path| package(path, &created)).chain(vendors)
    };
    let relationships = || {
        let described =
            roots(report).into_iter().map(|place| relationship(DOCUMENT, "DESCRIBES", &path_id(&report.paths[place])));
        let between = report.paths.iter().flat_map(|path| {
            let own = path_id(path);
            let depends: Vec<Value> = path
                .references
                .iter()
                .map(|place| relationship(&own, "DEPENDS_ON", &path_id(&report.paths[*place])))
                .collect();
            let inside: BTreeSet<usize> =
                path.inclusions().map(|inclusion| numbers[&material(inclusion.evidence)]).collect();
            let contains: Vec<Value> =
                inside.into_iter().map(|number| relationship(&own, "CONTAINS", &material_id(number))).collect();
            depends.into_iter().chain(contains)
        });
        described.chain(between)
    };
    let document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: format!("{TOOL} report on {}", visible(&scope(report))),
        document_namespace: format!("urn:uuid:{}", uuid(report.digest("spdx"))),
        comment: COMMENT,
        creation_info: json!({
            "created": created,
            "creators": [format!("Tool: {TOOL}-{VERSION}")],
            "licenseListVersion": list_version(),
        }),
        has_extracted_licensing_infos: licenses(report, materials.values().flatten().copied()),
        packages: Stream(packages),
        relationships: Stream(relationships),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    out.write_all(b"\n")
}

fn path_id(path: &ReportPath) -> String {
    format!("SPDXRef-Path-{}", hash_part(&path.path))
}

fn material_id(number: usize) -> String {
    format!("SPDXRef-Material-{}", number + 1)
}

fn terms_reference(id: &str) -> String {
    reference(&format!("terms-{id}"))
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn package(path: &ReportPath, created: &str) -> Value {
    let mut package = json!({
        "SPDXID": path_id(path),
        "name": visible(&path.name),
        "packageFileName": path.path.to_string(),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "checksums": [{"algorithm": "SHA256", "checksumValue": nar_hex(path.nar_hash)}],
        "licenseDeclared": declared(path),
        "licenseConcluded": concluded(path),
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl(&path.name, &path.version),
        }],
        "annotations": [{
            "annotationDate": created,
            "annotationType": "OTHER",
            "annotator": format!("Tool: {TOOL}-{VERSION}"),
            "comment": annotation(path),
        }],
    });
    if !path.version.is_empty() {
        package["versionInfo"] = visible(&path.version).into();
    }
    if let (Some(output), Some(deriver)) = (&path.output, &path.deriver) {
        package["sourceInfo"] = format!("output `{}` of {deriver}", visible(output)).into();
    }
    if path.is_source() {
        package["primaryPackagePurpose"] = "SOURCE".into();
    }
    if let Some(said) = path.license.as_deref().filter(|_| declared(path) == "NOASSERTION") {
        package["licenseComments"] = format!("declared: {}", visible(said)).into();
    }
    package
}

fn annotation(path: &ReportPath) -> String {
    let mut text = format!("{} under the policy `{}`", standing(path), visible(&path.policy));
    for reason in &path.reasons {
        let effect = reason.effect.verb();
        text.push_str(&format!("\n{} ({effect}): {}", reason.code, visible(&reason.message)));
    }
    text
}

fn declared(path: &ReportPath) -> String {
    match path.license.as_deref().map(Declared::read) {
        Some(Declared::Expression(expression)) => expression.text,
        Some(Declared::Nothing) => "NONE".to_owned(),
        Some(Declared::NoAssertion) | None => "NOASSERTION".to_owned(),
    }
}

/// What is declared, together with the terms of what was found inside. Where one of them is not known, nothing is said.
fn concluded(path: &ReportPath) -> String {
    let mut terms = BTreeSet::new();
    for inclusion in path.inclusions() {
        match &inclusion.evidence.terms {
            Some(name) => terms.insert(terms_reference(&name.id)),
            None => return "NOASSERTION".to_owned(),
        };
    }
    let Some(Declared::Expression(expression)) = path.license.as_deref().map(Declared::read) else {
        return "NOASSERTION".to_owned();
    };
    if terms.is_empty() {
        return "NOASSERTION".to_owned();
    }
    let own = if expression.text.contains(" OR ") { format!("({})", expression.text) } else { expression.text };
    terms.into_iter().fold(own, |text, terms| format!("{text} AND {terms}"))
}

fn vendor(id: &str, (package, file): (&str, &str), terms: Option<String>) -> Value {
    let narthex_audit::Material { name, version, .. } = narthex_audit::Material::of_package(package, Vec::new());
    let mut value = json!({
        "SPDXID": id,
        "name": visible(&name),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseDeclared": terms.as_deref().unwrap_or("NOASSERTION"),
        "licenseConcluded": terms.as_deref().unwrap_or("NOASSERTION"),
        "copyrightText": "NOASSERTION",
        "comment": "a vendor's material that the audit found inside published paths",
    });
    if !file.is_empty() {
        value["packageFileName"] = visible(file).into();
    }
    if !version.is_empty() {
        value["versionInfo"] = visible(&version).into();
    }
    value
}

/// Every name that is not on SPDX's list, each once, with what is known of it. Texts of vendors are not at hand.
fn licenses<'r>(report: &'r ComplianceReport, terms: impl Iterator<Item = (&'r str, &'r str)>) -> Vec<Value> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for (id, title) in terms {
        let document = report.terms.iter().find(|document| document.id == id);
        found.entry(terms_reference(id)).or_insert_with(|| {
            json!({
                "licenseId": terms_reference(id),
                "name": visible(title),
                "extractedText": about_terms(title, document),
            })
        });
    }
    let mut read: BTreeSet<&str> = BTreeSet::new();
    for said in report.paths.iter().filter_map(|path| path.license.as_deref()) {
        if !read.insert(said) {
            continue;
        }
        if let Declared::Expression(expression) = Declared::read(said) {
            for id in expression.own {
                found.entry(id.clone()).or_insert_with(|| own_license(id));
            }
        }
    }
    found.into_values().collect()
}

/// A license that the package set names and SPDX's list does not.
fn own_license(id: String) -> Value {
    let name = visible(&own_name(&id));
    let text = format!("The package set calls this license `{name}`. Its text is not part of this document.");
    let known = about(&id);
    let mut value =
        json!({"licenseId": id, "name": known.map_or(name.as_str(), |(full, _)| full), "extractedText": text});
    if let Some((_, Some(url))) = known {
        value["seeAlsos"] = json!([url]);
    }
    value
}

fn about_terms(title: &str, document: Option<&TermsDocument>) -> String {
    let mut text = format!("{}. The vendor's text is not part of this document.", visible(title));
    for (release, hash, note) in document.iter().flat_map(|document| &document.texts) {
        let note = note.as_deref().map(|note| format!(" ({})", visible(note))).unwrap_or_default();
        text.push_str(&format!("\nText of {}{note}: SHA-256 of its normal form {hash}", visible(release)));
    }
    for condition in document.iter().flat_map(|document| &document.conditions) {
        text.push_str(&format!("\nCondition: {}", visible(condition)));
    }
    text
}
