//! Deciding while something is missing: parts of the corpus, the audit, or a way to read some bytes.

use super::tests::{copy, decide_output, facts, path, rules, rules_of};
use super::*;
use crate::shipped;
use narthex_audit::{Gap, Place};
use serde_json::json;

/// While the corpus lacks what it once had, a clean report proves nothing.
#[test]
fn earlier_reasons_hold_while_the_corpus_is_incomplete() {
    let before = decide_output(json!("bsd3"), vec![copy("bin/ptxas")], &["bin/x"], false);
    let (facts, report, path) = (facts(json!("bsd3")), Report::default(), path());
    let again = |earlier: Option<(Verdict, &[Reason], bool)>| {
        let provenance = Provenance::Output(Some(&facts));
        let (nar_hash, lost) = (NarHash::from_sha256([0; 32]), Some(Lost { materials: "vendor-1", earlier }));
        decide(
            &Subject {
                path: &path,
                case: Case::default(),
                nar_hash,
                provenance,
                report: Some(&report),
                lost,
                read_withheld: false,
            },
            &rules(false),
        )
    };
    let first = |verdict, reasons: &[Reason], same_policy| {
        let decision = again(Some((verdict, reasons, same_policy)));
        (decision.verdict(), decision.reasons()[0].code)
    };
    use Verdict::{Publish, Withhold};
    assert_eq!(first(Withhold, before.reasons(), true), (Withhold, Code::TermsFileNotListed));
    // What was not decided while the corpus was whole is not published, and says what is lacking.
    let new = again(None);
    assert_eq!((new.verdict(), new.reasons()[0].code), (Withhold, Code::CorpusIncomplete));
    assert!(new.reasons()[0].message.contains("lacks vendor-1"), "{:?}", new.reasons());
    // So does what a rule found in the bytes, and not what it says of the package.
    let evidence = vec![crate::Evidence { place: "bin/x".to_owned(), ..crate::Evidence::default() }];
    let ruled = |evidence| [Reason::new(Code::PolicyRule, Effect::Withhold, "a rule".to_owned(), evidence)];
    let (of_bytes, of_package) = (ruled(evidence), ruled(Vec::new()));
    assert_eq!(first(Withhold, &of_bytes, true), (Withhold, Code::PolicyRule));
    // What was declared is asked anew. Withheld for it, nobody looked further at the bytes.
    assert_eq!(first(Withhold, &of_package, true), (Withhold, Code::CorpusIncomplete));
    let restricted = decide_output(json!("unfree"), vec![], &["bin/x"], false);
    assert_eq!(first(Withhold, restricted.reasons(), true), (Withhold, Code::CorpusIncomplete));
    // What was published stays, with what was found in it then.
    let clean = decide_output(json!("bsd3"), vec![], &["bin/x"], false);
    assert_eq!(first(Publish, clean.reasons(), true), (Publish, Code::LicenseFree));
    assert_eq!(first(Publish, clean.reasons(), false), (Publish, Code::LicenseFree));
    assert_eq!(first(Publish, &[], true), (Publish, Code::LicenseFree));
    let permitted = decide_output(json!("bsd3"), vec![copy("lib/libcudart.so.12")], &["bin/x", "bin/app"], false);
    assert_eq!(permitted.verdict(), Publish);
    let kept = again(Some((Publish, permitted.reasons(), true)));
    assert_eq!(kept.reasons(), permitted.reasons());
    // Another policy may treat it otherwise, and nobody can tell any more what it would be about.
    assert_eq!(first(Publish, permitted.reasons(), false), (Withhold, Code::CorpusIncomplete));
    // While it lasts it is not a reason of its own to go on: the next decision gives it anew.
    let still = again(Some((Withhold, new.reasons(), true)));
    assert_eq!(still.reasons(), new.reasons());
}

/// What nobody can look into says nothing by itself, and withholds where a withheld input was at hand.
#[test]
fn opaque_bytes_count_where_something_withheld_was_read() {
    let facts = facts(json!("mit"));
    let place = Place { file: "share/blob".to_owned(), members: Vec::new() };
    let opaque = vec![(place, Gap::Opaque(700_000))];
    let report = Report { files: vec!["share/blob".to_owned()], opaque, ..Report::default() };
    let path = path();
    for (read_withheld, verdict, code) in
        [(false, Verdict::Publish, Code::LicenseFree), (true, Verdict::Withhold, Code::AuditIncomplete)]
    {
        let subject = Subject {
            path: &path,
            case: Case { package: "x", ..Case::default() },
            nar_hash: NarHash::from_sha256([0; 32]),
            provenance: Provenance::Output(Some(&facts)),
            report: Some(&report),
            lost: None,
            read_withheld,
        };
        let decision = decide(&subject, &rules(false));
        assert_eq!((decision.verdict(), decision.reasons()[0].code), (verdict, code));
    }
}

#[test]
fn what_was_not_audited_is_withheld() {
    let facts = facts(json!("mit"));
    let path = path();
    let subject = Subject {
        path: &path,
        case: Case { package: "x", ..Case::default() },
        nar_hash: NarHash::from_sha256([0; 32]),
        provenance: Provenance::Output(Some(&facts)),
        report: None,
        lost: None,
        read_withheld: false,
    };
    let decision = decide(&subject, &rules(false));
    assert_eq!((decision.verdict(), decision.reasons()[0].code), (Verdict::Withhold, Code::AuditMissing));
    assert!(decision.permit().is_none());
}

/// Of what several derivations declare of one path, all holds, and the reason says where it comes from; what an operator puts right
/// is no longer disputed.
#[test]
fn declarations_that_differ_are_named() {
    let said = |license: serde_json::Value| LicenseFacts { disputed: true, ..facts(license) };
    let message = |facts: &LicenseFacts, rules: &Rules| {
        let case = Case { package: "x-1", ..Case::default() };
        let right = rules.correct(&case, facts);
        let (verdict, reasons) =
            crate::forecast(&case, &Provenance::Output(Some(right.as_ref().unwrap_or(facts))), rules);
        (verdict, reasons[0].message.clone())
    };
    let disputed = "several derivations make this path, and they do not declare the same: ";
    let and = json!({"licenseType": "compound", "operator": "AND", "licenses": ["mit", "unfree"]});
    let restricted = format!("{disputed}MIT AND LicenseRef-unfree may not be passed on");
    assert_eq!(message(&said(and.clone()), &rules(false)), (Verdict::Withhold, restricted));
    let unknown = format!("{disputed}`x` names no license that is known");
    assert_eq!(message(&said(json!("x")), &rules(false)), (Verdict::Withhold, unknown));
    let correction = "[[corrections]]\npackage = [\"x\"]\nlicense = [\"mit\"]\nreason = \"r\"\nsource = \"s\"\n";
    let corrected = rules_of(&format!("{}\n{correction}", shipped::DEFAULT_POLICY));
    assert_eq!(message(&said(and), &corrected), (Verdict::Publish, "MIT is free".to_owned()));
}

/// What is known of a part of a set publishes nothing new, takes nothing back for what it lacks, and forbids as ever.
#[test]
fn a_part_of_a_set_vouches_for_nothing() {
    let free = decide_output(json!("mit"), vec![], &["bin/x"], false);
    let closed = decide_output(json!("unfree"), vec![], &["bin/x"], false);
    let silent = decide_output(json!(null), vec![], &["bin/x"], false);
    let check =
        |decision: &Decision, earlier: Option<(Verdict, &[Reason])>, is_silent: bool, expected: (Verdict, Code)| {
            let made = in_part(decision.clone(), earlier, is_silent, |_| free.clone());
            assert_eq!((made.verdict(), made.reasons()[0].code), expected, "{earlier:?}");
            assert_eq!(made.permit().is_some(), expected.0 == Verdict::Publish);
        };
    let (published, withheld) = (Some((Verdict::Publish, free.reasons())), Some((Verdict::Withhold, closed.reasons())));
    check(&free, published, false, (Verdict::Publish, Code::LicenseFree));
    for earlier in [None, withheld, Some((Verdict::Withhold, &[] as &[Reason]))] {
        check(&free, earlier, false, (Verdict::Withhold, Code::SetIncomplete));
        check(&silent, earlier, true, (Verdict::Withhold, Code::LicenseUnknown));
    }
    for earlier in [None, published, withheld] {
        check(&closed, earlier, false, (Verdict::Withhold, Code::LicenseRestricted));
    }
    // Nothing is declared of it, which may be for what the part lacks; or something unknown is.
    check(&silent, published, true, (Verdict::Publish, Code::LicenseFree));
    check(&silent, published, false, (Verdict::Withhold, Code::LicenseUnknown));
    check(&closed, published, true, (Verdict::Withhold, Code::LicenseRestricted));
}
