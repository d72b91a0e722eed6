//! One table: what is declared, what is found, which policy; and what comes of it.

use super::*;
use crate::{Policy, shipped};
use narthex_audit::{Finding, Gap, Material, MemberHits, Origin, Place, Section};
use serde_json::json;

fn rules(strict: bool) -> Rules {
    let text = if strict { include_str!("../../../../policies/strict.toml") } else { shipped::DEFAULT_POLICY };
    let terms = shipped::TERMS.iter().map(|(_, text)| Terms::parse(text).unwrap()).collect();
    Rules::new(Policy::parse(text).unwrap(), terms)
}

fn facts(license: serde_json::Value) -> LicenseFacts {
    LicenseFacts::from_json(&json!({ "license": license }))
}

fn path() -> StorePath {
    "/nix/store/00000000000000000000000000000000-x".parse().unwrap()
}

fn place(file: &str) -> Place {
    Place { file: file.to_owned(), members: vec![] }
}

fn origin(file: &str, license: &str) -> Origin {
    Origin { material: Material::of_package("cuda-1", vec![license.to_owned()]), file: file.to_owned(), member: None }
}

fn copy(file: &str) -> Finding {
    Finding::Copy { place: place("bin/x"), original: origin(file, "nvidiaCuda") }
}

fn modified(file: &str) -> Finding {
    Finding::ModifiedCopy {
        place: place("lib/x"),
        original: origin(file, "nvidiaCuda"),
        same: vec![".text".to_owned()],
        changed: vec![Section { name: ".dynstr".to_owned(), original: Some(1), found: Some(2) }],
        changes: vec![],
    }
}

fn statically(archive: &str) -> Finding {
    Finding::StaticCode {
        place: place("bin/x"),
        archive: origin(archive, "nvidiaCuda"),
        members: vec![MemberHits { member: "a.o".to_owned(), functions_found: 9, functions_known: 10 }],
        bytes_found: 900,
        code_bytes: 1000,
        ranges: vec![(0, 900)],
    }
}

fn decide_output(license: serde_json::Value, findings: Vec<Finding>, files: &[&str], strict: bool) -> Decision {
    let facts = facts(license);
    let report = Report { findings, files: files.iter().map(|f| (*f).to_owned()).collect(), bytes: 0 };
    let path = path();
    let subject = Subject {
        path: &path,
        nar_hash: NarHash::from_sha256([0; 32]),
        provenance: Provenance::Output(Some(&facts)),
        report: Some(&report),
        earlier: &[],
    };
    decide(&subject, &rules(strict))
}

fn check(license: &str, findings: Vec<Finding>, strict: bool, verdict: Verdict, code: Code) {
    let shown = format!("{license} {findings:?} strict={strict}");
    let decision = decide_output(json!(license), findings, &["bin/x", "bin/app"], strict);
    assert_eq!((decision.verdict(), decision.reasons()[0].code), (verdict, code), "{shown}");
    assert_eq!(decision.permit().is_some(), verdict == Verdict::Publish, "{shown}");
}

#[test]
fn the_table() {
    use Verdict::{Publish, Withhold};
    for strict in [false, true] {
        check("mit", vec![], strict, Publish, Code::LicenseFree);
        check("fsl11Mit", vec![], strict, Publish, Code::LicenseRedistributable);
        check("nvidiaCuda", vec![], strict, Withhold, Code::LicenseRestricted);
        check("nvidiaCuda", vec![modified("libcudart.so.12")], strict, Withhold, Code::LicenseRestricted);
        check("no such license", vec![], strict, Withhold, Code::LicenseUnknown);
        let gap = Finding::NotFullyAudited { place: place("a.xz"), gap: Gap::UnsupportedArchive("xz".to_owned()) };
        check("mit", vec![gap], strict, Withhold, Code::AuditIncomplete);
        // Linking dynamically is the way out that the whole program rests on.
        let dynamic = Finding::Dynamic {
            place: place("bin/x"),
            needed: vec!["libcudart.so.12".to_owned()],
            runpath: vec![],
            store_paths: vec![],
            opens: vec![],
        };
        check("mit", vec![dynamic], strict, Publish, Code::LicenseFree);
    }
    check("mit", vec![copy("libcudart.so.12")], false, Publish, Code::TermsPermitCopy);
    check("mit", vec![copy("libcudart.so.12")], true, Withhold, Code::PolicyVendorCode);
    check("mit", vec![statically("libcudart_static.a")], false, Publish, Code::TermsPermitInclusion);
    check("mit", vec![statically("libcudart_static.a")], true, Withhold, Code::PolicyVendorCode);
    check("mit", vec![statically("libcupti_static.a")], false, Withhold, Code::TermsFileNotListed);
    check("mit", vec![modified("libcudart.so.12")], false, Withhold, Code::TermsModified);
    check("bsd3", vec![modified("bin/ptxas")], false, Withhold, Code::TermsFileNotListed);
    check("bsd3", vec![copy("bin/ptxas")], false, Withhold, Code::TermsFileNotListed);
    // One forbidden thing among permitted ones is enough.
    check("mit", vec![copy("libcudart.so.12"), copy("bin/ptxas")], false, Withhold, Code::TermsFileNotListed);
    // A license text is nobody's secret.
    check("mit", vec![copy("License.txt")], false, Publish, Code::LicenseFree);
    let foreign = Finding::Copy { place: place("lib/y"), original: origin("liby.so", "issl") };
    check("mit", vec![foreign], false, Withhold, Code::TermsMissing);
}

#[test]
fn a_vendor_package_is_held_against_its_own_terms() {
    let redist = json!({"shortName": "CUDA EULA", "free": false, "redistributable": true});
    let tools = decide_output(redist.clone(), vec![], &["bin/ptxas", "License.txt"], false);
    assert_eq!((tools.verdict(), tools.reasons()[0].code), (Verdict::Withhold, Code::TermsFileNotListed));
    assert_eq!(tools.reasons()[0].evidence[0].place, "bin/ptxas");
    let library = decide_output(redist.clone(), vec![], &["lib/libcudart.so.12"], false);
    assert_eq!((library.verdict(), library.reasons()[0].code), (Verdict::Withhold, Code::TermsStandalone));
    // Each code once, also where the corpus knows the file.
    let known = decide_output(redist, vec![copy("libcudart.so.12")], &["bin/x"], false);
    let codes: Vec<Code> = known.reasons().iter().map(|reason| reason.code).collect();
    let distinct: std::collections::BTreeSet<Code> = codes.iter().copied().collect();
    assert_eq!(codes.len(), distinct.len(), "{codes:?}");
}

/// Who is a vendor's package: one to which the vendor's terms apply. Naming a free license beside them
/// loosens nothing; a choice that includes a free one does.
#[test]
fn terms_apply_wherever_one_of_the_licenses_has_them() {
    let mit = || json!({"shortName": "mit", "spdxId": "MIT", "free": true});
    let redist = || json!({"shortName": "CUDA EULA", "free": false, "redistributable": true});
    let both = decide_output(json!([mit(), redist()]), vec![], &["bin/ptxas"], false);
    assert_eq!((both.verdict(), both.reasons()[0].code), (Verdict::Withhold, Code::TermsFileNotListed));
    let either = json!({"licenseType": "compound", "operator": "OR", "licenses": [mit(), redist()]});
    let either = decide_output(either, vec![], &["bin/x"], false);
    assert_eq!((either.verdict(), either.reasons()[0].code), (Verdict::Publish, Code::LicenseFree));
}

/// Nothing but a vendor's files, whatever the label says.
#[test]
fn a_vendors_files_by_themselves_are_no_application() {
    let alone = decide_output(json!("mit"), vec![copy("libcudart.so.12")], &["bin/x"], false);
    assert_eq!((alone.verdict(), alone.reasons()[0].code), (Verdict::Withhold, Code::TermsStandalone));
    let files = ["bin/x", "share/README.md", "nix-support/setup-hook"];
    let with_text = decide_output(json!("mit"), vec![copy("libcudart.so.12")], &files, false);
    assert_eq!(with_text.reasons()[0].code, Code::TermsStandalone);
    let application = decide_output(json!("mit"), vec![copy("libcudart.so.12")], &["bin/x", "bin/app"], false);
    assert_eq!((application.verdict(), application.reasons()[0].code), (Verdict::Publish, Code::TermsPermitCopy));
}

/// Material under two licenses is permitted only where the terms of both are known.
#[test]
fn terms_answer_for_all_licenses_of_the_material() {
    let mut material = origin("libcudart.so.12", "nvidiaCuda");
    material.material.licenses.push("unfree".to_owned());
    let found = Finding::Copy { place: place("lib/x"), original: material };
    check("mit", vec![found], false, Verdict::Withhold, Code::TermsMissing);
}

#[test]
fn a_vendor_package_that_is_one_file_is_known_by_its_name() {
    let redist = json!({"shortName": "CUDA EULA", "free": false, "redistributable": true});
    let decision = decide_output(redist, vec![], &[""], false);
    // The path's name is `x`, which no clause lists.
    assert_eq!(decision.reasons()[0].code, Code::TermsFileNotListed);
    assert_eq!(decision.reasons()[0].evidence[0].place, "x");
}

/// While the corpus lacks what it once had, a clean report proves nothing.
#[test]
fn earlier_reasons_hold_while_the_corpus_is_incomplete() {
    let before = decide_output(json!("bsd3"), vec![copy("bin/ptxas")], &["bin/x"], false);
    let (facts, report, path) = (facts(json!("bsd3")), Report::default(), path());
    let again = |earlier| {
        let provenance = Provenance::Output(Some(&facts));
        let nar_hash = NarHash::from_sha256([0; 32]);
        decide(&Subject { path: &path, nar_hash, provenance, report: Some(&report), earlier }, &rules(false))
    };
    assert_eq!(again(before.reasons()).reasons()[0].code, Code::TermsFileNotListed);
    assert_eq!(again(&[]).verdict(), Verdict::Publish);
    // What was declared is asked anew.
    let restricted = decide_output(json!("unfree"), vec![], &["bin/x"], false);
    assert_eq!(again(restricted.reasons()).verdict(), Verdict::Publish);
}

#[test]
fn what_was_not_audited_is_withheld() {
    let facts = facts(json!("mit"));
    let path = path();
    let subject = Subject {
        path: &path,
        nar_hash: NarHash::from_sha256([0; 32]),
        provenance: Provenance::Output(Some(&facts)),
        report: None,
        earlier: &[],
    };
    let decision = decide(&subject, &rules(false));
    assert_eq!((decision.verdict(), decision.reasons()[0].code), (Verdict::Withhold, Code::AuditMissing));
    assert!(decision.permit().is_none());
}

#[test]
fn sources_follow_the_packages_made_from_them() {
    let check = |users: &[(&str, Class, bool)], verdict, code| {
        let users = users
            .iter()
            .map(|(name, class, withheld)| SourceUser { name: (*name).to_owned(), class: *class, withheld: *withheld })
            .collect();
        let (path, report) = (path(), Report::default());
        let subject = Subject {
            path: &path,
            nar_hash: NarHash::from_sha256([0; 32]),
            provenance: Provenance::Source(users),
            report: Some(&report),
            earlier: &[],
        };
        let decision = decide(&subject, &rules(false));
        assert_eq!((decision.verdict(), decision.reasons()[0].code), (verdict, code));
    };
    check(&[("a", Class::Free, false)], Verdict::Publish, Code::SourceOfPublished);
    check(&[("a", Class::Free, false), ("b", Class::Restricted, true)], Verdict::Withhold, Code::SourceOfWithheld);
    check(&[("nvcc", Class::Redistributable, true)], Verdict::Withhold, Code::SourceOfWithheld);
    check(&[("mystery", Class::Unknown, true)], Verdict::Withhold, Code::SourceOfWithheld);
    check(&[], Verdict::Withhold, Code::LicenseUnknown);
}
