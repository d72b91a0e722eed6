//! Deciding anew about what is published: when the audit sees more, and when entries of the policy have ended.

use super::precedence::{exception, grant, ptxas, rules};
use super::*;
use narthex_audit::{Finding, Place};
use serde_json::json;

const CASE: Case<'static> = Case { package: "torch-2.1.0", attrs: &[], output: Some("out"), has_supplier: false };

fn path() -> StorePath {
    "/nix/store/00000000000000000000000000000000-torch-2.1.0".parse().unwrap()
}

fn report(findings: Vec<Finding>) -> Report {
    let own_code = vec![Place { file: "bin/app".to_owned(), members: Vec::new() }];
    Report { findings, files: vec!["bin/x".to_owned()], own_code, ..Report::default() }
}

fn facts(license: serde_json::Value) -> LicenseFacts {
    LicenseFacts::from_json(&json!({ "license": license }))
}

/// Decides under one policy, and then under another with these findings; what is known of the license may be lost.
fn again(license: &serde_json::Value, before: &str, after: &str, findings: Vec<Finding>, is_known: bool) -> Decision {
    let facts = facts(license.clone());
    let clean = report(Vec::new());
    let first = decide(
        &Subject {
            path: &path(),
            case: CASE,
            nar_hash: NarHash::from_sha256([0; 32]),
            provenance: Provenance::Output(Some(&facts)),
            report: Some(&clean),
            lost: None,
            read_withheld: false,
        },
        &rules(before),
    );
    assert_eq!(first.verdict(), Verdict::Publish, "{before}");
    let known = is_known.then_some(&facts);
    let nar = NarHash::from_sha256([0; 32]);
    decide_again(&path(), (&CASE, known), nar, first.reasons(), &report(findings), &rules(after))
}

#[track_caller]
fn check(license: serde_json::Value, before: &str, after: &str, findings: Vec<Finding>, verdict: Verdict, code: Code) {
    let decision = again(&license, before, after, findings, true);
    assert_eq!((decision.verdict(), decision.reasons()[0].code), (verdict, code), "{:#?}", decision.reasons());
}

#[test]
fn what_has_ended_permits_nothing_any_more() {
    use Verdict::{Publish, Withhold};
    let unknown = |until: &str| exception("\"license-unknown\"", "package = [\"torch\"]", until);
    let granted = |until: &str| grant("package = [\"torch\"]", until);
    let (living, over) = ("2026-11-22", "2026-11-21");
    check(json!(null), &unknown(living), &unknown(living), vec![], Publish, Code::PolicyException);
    check(json!(null), &unknown(living), &unknown(over), vec![], Withhold, Code::LicenseUnknown);
    check(json!(null), &unknown(living), "", vec![], Withhold, Code::LicenseUnknown);
    check(json!("unfree"), &granted(living), &granted(living), vec![], Publish, Code::PolicyGrant);
    check(json!("unfree"), &granted(living), &granted(over), vec![], Withhold, Code::LicenseRestricted);
    let ended = again(&json!("unfree"), &granted(living), &granted(over), vec![], true);
    assert!(ended.reasons().iter().any(|reason| reason.code == Code::PolicyExpired));
    // A grant spares a vendor's package the vendor's terms, and so does its end no more.
    check(json!("nvidiaCudaRedist"), &granted(living), "", vec![], Withhold, Code::TermsFileNotListed);
    let lost = again(&json!("nvidiaCudaRedist"), &granted(living), "", vec![], false);
    assert_eq!((lost.verdict(), lost.reasons()[0].code), (Withhold, Code::PolicyExpired));
}

#[test]
fn entries_are_asked_by_license_and_once() {
    let rule =
        String::from("[[rules]]\nlicense = [\"mit\"]\nfinding = [\"copy\"]\nthen = \"withhold\"\nreason = \"x\"\n");
    let by_file = "[[rules]]\nfile = [\"bin/*\"]\nthen = \"publish\"\nreason = \"x\"\n";
    check(json!("mit"), &rule, &rule, vec![], Verdict::Publish, Code::LicenseFree);
    let found = again(&json!("mit"), &rule, &rule, vec![ptxas()], true);
    let codes: Vec<Code> = found.reasons().iter().map(|reason| reason.code).collect();
    assert!(codes.contains(&Code::PolicyRule) && found.verdict() == Verdict::Withhold, "{codes:?}");
    // Another license, so another case.
    let other = again(&json!("bsd3"), &rule, &rule, vec![ptxas()], true);
    assert!(other.reasons().iter().all(|reason| reason.code != Code::PolicyRule));
    let twice = again(&json!("mit"), by_file, by_file, vec![], true);
    assert_eq!(twice.reasons().iter().filter(|reason| reason.code == Code::PolicyRule).count(), 1);
}
