//! A copy of which several published releases are known: every product among them is asked.

use super::precedence::{grant, rules};
use super::tests::{facts, path};
use super::*;
use narthex_audit::{Finding, Material, Origin, Place, Release};
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
