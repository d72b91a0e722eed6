//! Which packages may be applications with a vendor's parts in them, although they declare the vendor's license.
//!
//! A list of licenses with a free one in it says that parts of a package are the vendor's, and not which. Such a package is
//! judged by what is found in it, where two things hold: it is built with a package of that vendor, which was learned whole, so that
//! its parts are recognized; and some of these were found. All else under such a list is the vendor's package.

use crate::matcher::Asked;
use crate::policy::Rules;
use crate::terms::Terms;
use crate::{Case, Code, Effect, Reason};
use narthex_audit::Report;
use narthex_license::{Class, Expr, LicenseFacts};
use std::collections::BTreeSet;

/// Whether a package of which `theirs` is declared can be where one gets a vendor's parts from that declares `own`, a list: it
/// is under one of the unfree licenses of that, and nothing of it is free.
pub fn is_supplier(own: &LicenseFacts, theirs: &LicenseFacts) -> bool {
    if !matches!(own.license, Expr::List(_)) {
        return false;
    }
    let (own, theirs) = (own.license.licenses(), theirs.license.licenses());
    let unfree: BTreeSet<&str> =
        own.iter().filter(|license| license.class() != Class::Free).map(|license| license.key()).collect();
    theirs.iter().all(|license| license.class() != Class::Free)
        && theirs.iter().any(|license| unfree.contains(license.key()))
}

/// Whether a package may be an application with some of a vendor's files: it declares a list of licenses with a free one in
/// it, is built with one of the vendor's packages, and no terms speak of its name. What several places declare of one package
/// is no list that somebody wrote.
pub(crate) fn may_be_application(case: &Case<'_>, facts: Option<&LicenseFacts>, rules: &Rules) -> bool {
    let Some(Expr::List(parts)) = facts.map(|facts| &facts.license) else { return false };
    let reading = rules.policy().lists();
    case.has_supplier
        && parts.iter().any(|part| part.class_under(reading) == Class::Free)
        && !rules.are_terms_about(case.package)
}

/// The terms that every file of a package is held against. Where it may be an application, and the audit found what some of
/// these terms are about, findings are judged one by one instead. Of terms about which nothing was found, nobody can say which
/// files are meant.
pub(crate) fn terms_of_bytes<'r>(
    asked: &Asked<'_>,
    report: &Report,
    rules: &'r Rules,
    mut terms: Vec<&'r Terms>,
) -> Vec<&'r Terms> {
    if may_be_application(&asked.case, asked.facts, rules) {
        let origins = report.findings.iter().filter_map(|finding| finding.origin());
        let found: Vec<&Terms> = origins.filter_map(|origin| rules.terms_for(&origin.material)).collect();
        terms.retain(|terms| !found.iter().any(|found| std::ptr::eq(*found, *terms)));
    }
    terms
}

/// The case of a path that was decided about before, when all of the graph was at hand: where terms permitted what was found, it
/// was no vendor's package.
pub(crate) fn as_before<'c>(case: &Case<'c>, earlier: &[Reason]) -> Case<'c> {
    let permitted = |reason: &Reason| {
        reason.effect == Effect::Publish && matches!(reason.code, Code::TermsPermitCopy | Code::TermsPermitInclusion)
    };
    Case { has_supplier: case.has_supplier || earlier.iter().any(permitted), ..*case }
}

#[cfg(test)]
mod tests {
    use crate::decide::tests::{copy, facts, path, rules, statically};
    use crate::{Case, Code, Provenance, Subject, Verdict, decide, decide_again, forecast, is_supplier};
    use narthex_audit::{Finding, Place, Report};
    use narthex_closure::NarHash;
    use serde_json::{Value, json};

    fn list(more: &[&str]) -> Value {
        let vendors = |name: &str| json!({"shortName": name, "free": false, "redistributable": true});
        let mit = json!({"shortName": "mit", "spdxId": "MIT", "free": true});
        let more = more.iter().map(|name| vendors(name)).collect();
        [vec![mit, vendors("CUDA EULA")], more].concat().into()
    }

    fn report(findings: Vec<Finding>, files: &[&str]) -> Report {
        let own_code = vec![Place { file: "bin/app".to_owned(), members: Vec::new() }];
        Report { findings, files: files.iter().map(|file| (*file).to_owned()).collect(), own_code, ..Report::default() }
    }

    fn decided(license: Value, has_supplier: bool, report: &Report) -> crate::Decision {
        let facts = facts(license);
        let subject = Subject {
            path: &path(),
            case: Case { package: "x", has_supplier, ..Case::default() },
            nar_hash: NarHash::from_sha256([0; 32]),
            provenance: Provenance::Output(Some(&facts)),
            report: Some(report),
            lost: None,
            read_withheld: false,
        };
        decide(&subject, &rules(false))
    }

    #[test]
    fn what_is_built_with_a_vendors_package_is_judged_by_what_is_found() {
        use Verdict::{Publish, Withhold};
        let files = ["bin/x", "bin/app", "lib/libunknown.so"];
        let check = |license: Value, supplier: bool, findings: Vec<Finding>, expected: (Verdict, Code)| {
            let decision = decided(license, supplier, &report(findings, &files));
            assert_eq!((decision.verdict(), decision.reasons()[0].code), expected, "{decision:?}");
        };
        let copied = || vec![copy("libcudart.so.12")];
        check(list(&[]), true, copied(), (Publish, Code::TermsPermitCopy));
        check(list(&[]), true, vec![statically("libcudart_static.a")], (Publish, Code::TermsPermitInclusion));
        check(list(&[]), true, vec![copy("libcudart.so.12"), copy("ptxas")], (Withhold, Code::TermsFileNotListed));
        // What no corpus knows may be the vendor's, whatever stands beside it.
        check(list(&[]), false, copied(), (Withhold, Code::TermsFileNotListed));
        check(list(&[]), false, vec![statically("libcudart_static.a")], (Withhold, Code::TermsFileNotListed));
        for supplier in [false, true] {
            check(list(&[]), supplier, vec![], (Withhold, Code::TermsFileNotListed));
            // Of another vendor's material nothing was found.
            check(list(&["cuDNN EULA"]), supplier, copied(), (Withhold, Code::TermsFileNotListed));
        }
    }

    #[test]
    fn the_forecast_leaves_open_what_bytes_decide() {
        let facts = facts(list(&[]));
        let of = |has_supplier| {
            let case = Case { package: "x", has_supplier, ..Case::default() };
            forecast(&case, &Provenance::Output(Some(&facts)), &rules(false)).0
        };
        assert_eq!((of(true), of(false)), (Verdict::Publish, Verdict::Withhold));
    }

    #[test]
    fn what_was_judged_by_its_bytes_still_is() {
        let files = ["bin/x", "bin/app"];
        let first = decided(list(&[]), true, &report(vec![copy("libcudart.so.12")], &files));
        let facts = facts(list(&[]));
        let case = Case { package: "x", ..Case::default() };
        let again = |findings: Vec<Finding>| {
            let (report, nar) = (report(findings, &files), NarHash::from_sha256([0; 32]));
            let decision = decide_again(&path(), (&case, Some(&facts)), nar, first.reasons(), &report, &rules(false));
            decision.verdict()
        };
        assert_eq!(again(vec![copy("libcudart.so.12")]), Verdict::Publish);
        assert_eq!(again(vec![copy("libcudart.so.12"), copy("ptxas")]), Verdict::Withhold);
        assert_eq!(again(vec![]), Verdict::Withhold);
    }

    #[test]
    fn only_a_package_that_is_the_vendors_alone_supplies_parts() {
        let check = |theirs: Value, expected: bool| {
            assert_eq!(is_supplier(&facts(list(&[])), &facts(theirs.clone())), expected, "{theirs}");
        };
        let redist = || json!({"shortName": "CUDA EULA", "free": false, "redistributable": true});
        check(redist(), true);
        check(json!([redist()]), true);
        check(list(&[]), false);
        check(json!("issl"), false);
        check(json!("mit"), false);
        check(json!(null), false);
        assert!(!is_supplier(&facts(redist()), &facts(redist())));
    }
}
