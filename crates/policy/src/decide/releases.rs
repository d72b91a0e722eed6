//! A copy of which several published releases are known: every product among them is asked.

use super::precedence::{grant, rules};
use super::tests::{facts, path};
use super::*;
use narthex_audit::{Finding, Kin, Made, Material, MemberHits, Origin, Place, Release};
use serde_json::json;

/// What comes of a free package with a copy that these packages have, all under this license, the first the newest.
fn decided(license: &str, file: &str, packages: &[&str], more: &str) -> Decision {
    let place = |file: &str| Place { file: file.to_owned(), members: vec![] };
    let release = |name: &&str| Release {
        package: (*name).to_owned(),
        platform: "linux_x86_64".to_owned(),
        versions: vec!["1.0".to_owned(), "2.0".to_owned()],
    };
    let material =
        Material { name: packages[0].to_owned(), version: "2.0".to_owned(), licenses: vec![license.to_owned()] };
    let original = Origin { material, file: file.to_owned(), member: None };
    let releases = packages.iter().map(release).collect();
    let findings = vec![Finding::Copy { place: place("lib/x"), original, releases }];
    let own_code = vec![place("bin/app")];
    let files = vec!["lib/x".to_owned(), "bin/app".to_owned()];
    let report = Report { findings, files, own_code, ..Report::default() };
    let (facts, path) = (facts(json!("mit")), path());
    let subject = Subject {
        path: &path,
        case: Case { package: "x", ..Case::default() },
        nar_hash: NarHash::from_sha256([0; 32]),
        provenance: Provenance::Output(Some(&facts)),
        report: Some(&report),
        lost: None,
        read_withheld: false,
    };
    decide(&subject, &rules(more))
}

#[test]
fn the_terms_of_every_product_that_has_the_file_are_asked() {
    let check = |packages: &[&str], verdict, code, about: Option<&str>| {
        for packages in [packages.to_vec(), packages.iter().rev().copied().collect()] {
            let decision = decided("unfree", "lib/libcudnn.so.9", &packages, "");
            let first = &decision.reasons()[0];
            assert_eq!((decision.verdict(), first.code), (verdict, code), "{packages:?}");
            let named: Vec<&str> = first.evidence.iter().filter_map(|one| one.package.as_deref()).collect();
            assert_eq!(named.len(), 1, "{named:?}");
            assert!(about.is_none_or(|about| named == [about]), "{named:?}");
        }
    };
    use Verdict::{Publish, Withhold};
    check(&["nvidia-cudnn-cu12"], Publish, Code::TermsPermitCopy, None);
    check(&["nvidia-cudnn-cu12", "nvidia-cudnn-cu13"], Publish, Code::TermsPermitCopy, None);
    // Of a product without terms nothing is known, whichever is the newest; it is named.
    check(&["nvidia-cudnn-cu12", "nvidia-mathdx"], Withhold, Code::TermsMissing, Some("nvidia-mathdx-2.0"));
    // Terms that do not list the file do not permit it because others do.
    check(&["nvidia-cudnn-cu12", "cutensor-cu12"], Withhold, Code::TermsFileNotListed, Some("cutensor-cu12-2.0"));
}

#[test]
fn a_grant_is_about_a_product_and_not_about_all_that_have_the_file() {
    let check = |packages: &[&str], granted: &str, verdict| {
        let grant = grant(&format!("package = [{granted}]"), "2027-01-01");
        assert_eq!(
            decided("unfree", "lib/libmathdx.so", packages, &grant).verdict(),
            verdict,
            "{packages:?} {granted}"
        );
    };
    use Verdict::{Publish, Withhold};
    let both = ["nvidia-mathdx", "nvidia-cublasmp-cu13", "nvidia-cublasmp-cu12"];
    check(&both[..1], "\"nvidia-mathdx\"", Publish);
    // One for the packages of CUDA 12 is one for the same file in those of CUDA 13.
    check(&both[1..], "\"nvidia-cublasmp-cu12\"", Publish);
    check(&both, "\"nvidia-mathdx\"", Withhold);
    check(&both, "\"nvidia-cublasmp-cu12\"", Withhold);
    check(&both, "\"nvidia-mathdx\", \"nvidia-cublasmp-cu12\"", Publish);
}

/// What comes of a package with code that these archives share, each with its package and license.
fn of_shared(archives: &[(&str, &str, &str)]) -> Decision {
    let origins: Vec<Origin> = (archives.iter())
        .map(|(package, license, file)| {
            let material = Material::of_package(package, vec![(*license).to_owned()]);
            Origin { material, file: (*file).to_owned(), member: None }
        })
        .collect();
    let members = vec![MemberHits { member: "a.o".to_owned(), functions_found: 9, functions_known: 10 }];
    let finding = Finding::StaticCode {
        place: Place { file: "bin/x".to_owned(), members: vec![] },
        archive: origins[0].clone(),
        members,
        bytes_found: 900,
        code_bytes: 9000,
        ranges: vec![(0, 900)],
        kin: Kin { shared_by: origins[1..].to_vec(), ..Kin::default() },
    };
    let report = Report { findings: vec![finding], ..with_own_code() };
    decided_with("x", json!("mit"), &report)
}

fn with_own_code() -> Report {
    let place = Place { file: "bin/app".to_owned(), members: vec![] };
    Report { own_code: vec![place], files: vec!["bin/app".to_owned()], ..Report::default() }
}

fn decided_with(package: &str, license: serde_json::Value, report: &Report) -> Decision {
    let (facts, path) = (facts(license), path());
    let subject = Subject {
        path: &path,
        case: Case { package, ..Case::default() },
        nar_hash: NarHash::from_sha256([0; 32]),
        provenance: Provenance::Output(Some(&facts)),
        report: Some(report),
        lost: None,
        read_withheld: false,
    };
    decide(&subject, &rules(""))
}

#[test]
fn of_code_that_products_share_the_strictest_terms_decide() {
    let check = |archives: &[(&str, &str, &str)], verdict, code| {
        let decision = of_shared(archives);
        assert_eq!((decision.verdict(), decision.reasons()[0].code), (verdict, code), "{archives:?}");
        let evidence = &decision.reasons()[0].evidence[0];
        assert_eq!(evidence.shared_by.len(), archives.len() - 1, "{evidence:?}");
    };
    let (mkl, ipp) = (("mkl-static-2026", "issl", "libmkl_core.a"), ("ipp-static-2026", "issl", "libipps.a"));
    let (irc, other) = (("intel-libirc-2026", "unfree", "libirc.a"), ("nobody-1", "unfree", "libx.a"));
    use Verdict::{Publish, Withhold};
    check(&[mkl, ipp], Publish, Code::TermsPermitInclusion);
    check(&[mkl, irc], Withhold, Code::TermsFileNotListed);
    check(&[irc, mkl], Withhold, Code::TermsFileNotListed);
    check(&[mkl, ipp, other], Withhold, Code::TermsMissing);
    let reason = of_shared(&[mkl, irc]);
    assert!(reason.reasons()[0].message.contains("the strictest terms decide"), "{}", reason.reasons()[0].message);
}

#[test]
fn a_package_that_a_vendor_made_is_suspected_where_it_is_declared_free() {
    let place = Place { file: "lib/libnvnew.so".to_owned(), members: vec![] };
    let made = Made {
        vendor: "NVIDIA".to_owned(),
        places: vec![place],
        files: 3,
        copyrights: 1,
        of_files: 4,
        bytes: (900, 1000),
    };
    let report = Report { made: Some(made), ..with_own_code() };
    let decision = decided_with("nvidia-new", json!("mit"), &report);
    assert_eq!((decision.verdict(), decision.reasons()[0].code), (Verdict::Withhold, Code::AuditSuspected));
    assert!(decision.reasons()[0].message.contains("3 of 4"), "{}", decision.reasons()[0].message);
    let declared =
        decided_with("nvidia-new", json!({"free": false, "redistributable": true, "shortName": "x"}), &report);
    assert!(declared.reasons().iter().all(|reason| reason.code != Code::AuditSuspected));
    assert_eq!(decided_with("nvidia-new", json!("mit"), &with_own_code()).verdict(), Verdict::Publish);
}

#[test]
fn who_made_a_file_is_told_and_forbids_nothing() {
    let finding = Finding::Maker {
        place: Place { file: "bin/x.dll".to_owned(), members: vec![] },
        company: "Example GmbH".to_owned(),
        product: None,
        version: None,
    };
    let report = Report { findings: vec![finding], ..with_own_code() };
    let decision = decided_with("x", json!("mit"), &report);
    let codes: Vec<Code> = decision.reasons().iter().map(|reason| reason.code).collect();
    assert_eq!(decision.verdict(), Verdict::Publish);
    assert_eq!(codes, [Code::LicenseFree, Code::AuditMaker, Code::AuditClean]);
}
