//! One table: what is declared, what is found, which policy; and what comes of it.

use super::*;
use crate::{Date, Policy, shipped};
use narthex_audit::{DriverSign, Finding, Gap, Kin, Material, MemberHits, Origin, Place, Section, Sign};
use serde_json::json;

pub(crate) fn rules(strict: bool) -> Rules {
    rules_of(shipped::POLICIES[usize::from(strict)].1)
}

fn rules_of(text: &str) -> Rules {
    let terms = shipped::TERMS.iter().map(|(_, text)| Terms::parse(text).unwrap()).collect();
    Rules::new(Policy::parse(text).unwrap(), terms, Date::new(2026, 11, 22).unwrap())
}

pub(crate) fn facts(license: serde_json::Value) -> LicenseFacts {
    LicenseFacts::from_json(&json!({ "license": license }))
}

pub(crate) fn path() -> StorePath {
    "/nix/store/00000000000000000000000000000000-x".parse().unwrap()
}

fn place(file: &str) -> Place {
    Place { file: file.to_owned(), members: vec![] }
}

fn origin(file: &str, license: &str) -> Origin {
    Origin { material: Material::of_package("cuda-1", vec![license.to_owned()]), file: file.to_owned(), member: None }
}

pub(crate) fn copy(file: &str) -> Finding {
    Finding::Copy { place: place("bin/x"), original: origin(file, "nvidiaCuda"), releases: Vec::new() }
}

fn modified(file: &str) -> Finding {
    Finding::ModifiedCopy {
        place: place("lib/x"),
        original: origin(file, "nvidiaCuda"),
        same: vec![".text".to_owned()],
        changed: vec![Section { name: ".dynstr".to_owned(), original: Some(1), found: Some(2) }],
        changes: vec![],
        kin: Kin::default(),
    }
}

pub(crate) fn statically(archive: &str) -> Finding {
    Finding::StaticCode {
        place: place("bin/x"),
        archive: origin(archive, "nvidiaCuda"),
        members: vec![MemberHits { member: "a.o".to_owned(), functions_found: 9, functions_known: 10 }],
        bytes_found: 900,
        code_bytes: 1000,
        ranges: vec![(0, 900)],
        kin: Kin::default(),
    }
}

fn device(file: &str, license: &str) -> Finding {
    Finding::DeviceCode {
        place: place("bin/x"),
        original: origin(file, license),
        entries_found: 2,
        entries: 3,
        bytes_found: 200,
        device_bytes: 300,
        kernels_found: 4,
        kernels: 5,
        examples: vec!["gemm".to_owned()],
        kin: Kin::default(),
    }
}

fn suspected() -> Finding {
    let sign = Sign::Strings { found: 120, known: 179, examples: vec![] };
    Finding::Suspected { place: place("bin/x"), like: origin("libcudart.so.12", "nvidiaCuda"), signs: vec![sign] }
}

fn driver() -> Finding {
    Finding::Driver { place: place("bin/x"), library: "libcuda.so.1".to_owned(), sign: DriverSign::Soname }
}

fn stub() -> Finding {
    let library = origin("libcublas.so.12", "nvidiaCuda");
    Finding::Stub { place: place("bin/x"), library, functions: 1027, longest: 32 }
}

pub(crate) fn decide_output(
    license: serde_json::Value,
    findings: Vec<Finding>,
    files: &[&str],
    strict: bool,
) -> Decision {
    decide_under(license, findings, files, &rules(strict))
}

fn decide_under(license: serde_json::Value, findings: Vec<Finding>, files: &[&str], rules: &Rules) -> Decision {
    let facts = facts(license);
    // In these tests a program of a package is its own, unless it is a copy.
    let is_copy = |file: &str| {
        let at = |finding: &Finding| finding.place().file == file && matches!(finding, Finding::Copy { .. });
        findings.iter().any(at)
    };
    let own = files.iter().filter(|file| file.starts_with("bin/") && !is_copy(file));
    let own_code = own.map(|file| place(file)).collect();
    let files = files.iter().map(|f| (*f).to_owned()).collect();
    let report = Report { findings, files, own_code, ..Report::default() };
    let path = path();
    let subject = Subject {
        path: &path,
        case: Case { package: "x", ..Case::default() },
        nar_hash: NarHash::from_sha256([0; 32]),
        provenance: Provenance::Output(Some(&facts)),
        report: Some(&report),
        lost: None,
        read_withheld: false,
    };
    decide(&subject, rules)
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
    let foreign = Finding::Copy { place: place("lib/y"), original: origin("liby.so", "unfree"), releases: Vec::new() };
    check("mit", vec![foreign], false, Withhold, Code::TermsMissing);
}

/// Each kind of finding under each treatment that the policy can give it.
#[test]
fn every_kind_under_every_treatment() {
    use Code::{LicenseFree, PolicyVendorCode, TermsFileNotListed, TermsMissing, TermsModified};
    let static_cudart = || statically("libcudart_static.a");
    let windows = || statically("lib/x64/cudart_static.lib");
    let kinds: Vec<(&str, Finding, Option<Code>, Code)> = vec![
        // The key, a finding, what it comes to under "terms" and as a note.
        ("copy", copy("libcudart.so.12"), Some(Code::TermsPermitCopy), Code::AuditCopy),
        ("copy", copy("bin/ptxas"), Some(TermsFileNotListed), Code::AuditCopy),
        ("modified-copy", modified("libcudart.so.12"), Some(TermsModified), Code::AuditModifiedCopy),
        ("static-code", statically("libcublas_static.a"), Some(Code::TermsPermitInclusion), Code::AuditStaticCode),
        ("static-code", statically("libcupti_static.a"), Some(TermsFileNotListed), Code::AuditStaticCode),
        ("cudart-static", static_cudart(), Some(Code::TermsPermitInclusion), Code::AuditCudartStatic),
        ("cudart-static", windows(), Some(Code::TermsPermitInclusion), Code::AuditCudartStatic),
        (
            "device-code",
            device("libcublas.so.12", "nvidiaCuda"),
            Some(Code::TermsPermitInclusion),
            Code::AuditDeviceCode,
        ),
        ("device-code", device("libcusolverMg.so.11", "nvidiaCuda"), Some(TermsFileNotListed), Code::AuditDeviceCode),
        ("device-code", device("libcudnn.so.9", "unfree"), Some(TermsMissing), Code::AuditDeviceCode),
        ("suspected", suspected(), None, Code::AuditSuspected),
        ("driver", driver(), None, Code::AuditDriver),
    ];
    let keys = ["copy", "modified-copy", "static-code", "cudart-static", "device-code", "suspected", "driver"];
    for (key, finding, under_terms, note) in kinds {
        for treatment in ["terms", "withhold", "publish"] {
            // Every other key says the opposite, so that only this one can have the effect.
            let other = if treatment == "publish" { "withhold" } else { "publish" };
            let mut text = shipped::DEFAULT_POLICY.to_owned();
            for any in keys {
                let value = if any == key { treatment } else { other };
                for before in ["terms", "withhold"] {
                    text = text.replace(&format!("\n{any} = \"{before}\""), &format!("\n{any} = \"{value}\""));
                }
            }
            let expected = match (treatment, under_terms) {
                ("terms", None) => continue,
                ("terms", Some(code)) => code,
                ("withhold", None) => note,
                ("withhold", Some(_)) => PolicyVendorCode,
                _ => LicenseFree,
            };
            let decision =
                decide_under(json!("mit"), vec![finding.clone()], &["bin/x", "lib/x", "bin/app"], &rules_of(&text));
            let shown = format!("{key} = {treatment}: {finding:?}");
            let first = &decision.reasons()[0];
            assert_eq!(first.code, expected, "{shown}");
            let permits = [LicenseFree, Code::TermsPermitCopy, Code::TermsPermitInclusion].contains(&expected);
            assert_eq!(decision.permit().is_some(), permits, "{shown}");
            let noted = decision.reasons().iter().any(|r| (r.code, r.effect) == (note, Effect::Note));
            assert_eq!(noted, treatment == "publish", "{shown}: {:?}", decision.reasons());
        }
    }
}

#[test]
fn the_shipped_policies_for_what_the_corpus_does_not_have() {
    use Verdict::{Publish, Withhold};
    for strict in [false, true] {
        check("mit", vec![suspected()], strict, Withhold, Code::AuditSuspected);
        check("mit", vec![driver()], strict, Withhold, Code::AuditDriver);
        check("mit", vec![driver(), suspected()], strict, Withhold, Code::AuditDriver);
        // What is declared comes first, and leaves findings nothing to decide.
        check("unfree", vec![driver(), suspected()], strict, Withhold, Code::LicenseRestricted);
        // Stubs hold no code of the vendor.
        check("mit", vec![stub()], strict, Publish, Code::LicenseFree);
    }
    check("mit", vec![device("libcublas.so.12", "nvidiaCuda")], false, Publish, Code::TermsPermitInclusion);
    check("mit", vec![device("libcublas.so.12", "nvidiaCuda")], true, Withhold, Code::PolicyVendorCode);
    check("mit", vec![device("libcudnn.so.9", "unfree")], false, Withhold, Code::TermsMissing);
    // Clauses are asked before nobody is.
    check("mit", vec![suspected(), copy("bin/ptxas")], false, Withhold, Code::TermsFileNotListed);

    let stubs = decide_output(json!("mit"), vec![stub()], &["bin/x"], false);
    let codes: Vec<Code> = stubs.reasons().iter().map(|reason| reason.code).collect();
    assert_eq!(codes, [Code::LicenseFree, Code::AuditStub, Code::AuditClean]);
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
    // What stands as an `AND`, or was said in two places, is no list that somebody wrote of an application.
    let files = ["bin/x", "bin/app"];
    let and = json!({"licenseType": "compound", "operator": "AND", "licenses": [mit(), redist()]});
    let and = decide_output(and, vec![copy("libcudart.so.12")], &files, false);
    assert_eq!(and.verdict(), Verdict::Withhold);
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
fn the_conditions_of_all_terms_travel_along() {
    let mkl =
        |file| Finding::Copy { place: place(file), original: origin("libmkl_rt.so.2", "issl"), releases: Vec::new() };
    let findings = vec![copy("libcudart.so.12"), mkl("lib/a"), mkl("lib/b"), copy("libcublas.so.12")];
    let decision = decide_output(json!("mit"), findings, &["bin/x", "bin/app", "lib/a", "lib/b"], false);
    assert_eq!(decision.reasons()[0].code, Code::TermsPermitCopy, "{decision:?}");
    let said = |evidence: &crate::Evidence| {
        let terms = evidence.terms.as_ref().unwrap();
        (terms.id.clone(), evidence.conditions.is_empty())
    };
    let said: Vec<_> = decision.reasons()[0].evidence.iter().map(said).collect();
    let expected =
        [("cuda-toolkit", false), ("intel-simplified", false), ("intel-simplified", true), ("cuda-toolkit", true)];
    assert_eq!(said, expected.map(|(id, none)| (id.to_owned(), none)));
}

/// Also where two files call themselves the same.
#[test]
fn the_conditions_of_terms_with_one_name_travel_along() {
    let terms = |license: &str, condition: &str| {
        let text = format!(
            "version = 1\nid = \"mine\"\ntitle = \"mine\"\nlicenses = [\"{license}\"]\nmodified = true\n\
             modified-clause = \"1\"\nstandalone = true\nstandalone-clause = \"1\"\nconditions = [\"{condition}\"]\n\
             accompanying = []\n[[distributable]]\nclause = \"2\"\nfiles = [\"*\"]\n"
        );
        Terms::parse(&text).unwrap()
    };
    let policy = Policy::parse(shipped::DEFAULT_POLICY).unwrap();
    let rules = Rules::new(policy, vec![terms("issl", "one"), terms("nvidiaCuda", "two")], Date::of_unix_time(0));
    let mkl = Finding::Copy { place: place("lib/a"), original: origin("libmkl_rt.so.2", "issl"), releases: Vec::new() };
    let decision = decide_under(json!("mit"), vec![mkl, copy("x"), copy("y")], &["bin/x", "lib/a"], &rules);
    let conditions: Vec<&[String]> =
        decision.reasons()[0].evidence.iter().map(|one| one.conditions.as_slice()).collect();
    assert_eq!(conditions, [&["one".to_owned()][..], &["two".to_owned()], &[]]);
}

#[test]
fn terms_answer_for_all_licenses_of_the_material() {
    let mut material = origin("libcudart.so.12", "nvidiaCuda");
    material.material.licenses.push("unfree".to_owned());
    let found = Finding::Copy { place: place("lib/x"), original: material, releases: Vec::new() };
    check("mit", vec![found], false, Verdict::Withhold, Code::TermsMissing);
}

/// Whoever has a file has to permit it; two that permit it under the same terms are one ground.
#[test]
fn every_owner_has_to_permit() {
    let of = |package: &str, license: &str, file: &str| {
        let material = Material::of_package(package, vec![license.to_owned()]);
        Finding::Copy {
            place: place("lib/x"),
            original: Origin { material, file: file.to_owned(), member: None },
            releases: Vec::new(),
        }
    };
    let false_owner = of("nccl-2.27.3", "unfreeRedistributable", "lib/libnccl.so.2");
    let runtime = of("nvidia-cuda-runtime-12.9.79", "nvidiaCuda", "lib/libcudart.so.12");
    let tool = of("nvidia-cuda-nvcc-12.9.86", "nvidiaCuda", "bin/ptxas");
    let files = ["bin/x", "lib/x"];
    let decision =
        |found: &[&Finding]| decide_output(json!("mit"), found.iter().map(|f| (*f).clone()).collect(), &files, false);
    assert_eq!(decision(&[&false_owner]).verdict(), Verdict::Publish);
    for owners in [[&false_owner, &tool], [&tool, &false_owner]] {
        let decision = decision(&owners);
        assert_eq!((decision.verdict(), decision.reasons()[0].code), (Verdict::Withhold, Code::TermsFileNotListed));
    }
    let set = of("cuda_cudart-12.9.79", "nvidiaCudaRedist", "lib/libcudart.so.12");
    let permitted = decision(&[&set, &runtime]);
    let evidence: Vec<_> = permitted.reasons().iter().flat_map(|reason| &reason.evidence).collect();
    let packages: Vec<_> = evidence.iter().filter_map(|one| one.package.as_deref()).collect();
    assert_eq!((permitted.verdict(), packages), (Verdict::Publish, vec!["cuda_cudart-12.9.79"]));
}

#[test]
fn a_vendor_package_that_is_one_file_is_known_by_its_name() {
    let redist = json!({"shortName": "CUDA EULA", "free": false, "redistributable": true});
    let decision = decide_output(redist, vec![], &[""], false);
    // The path's name is `x`, which no clause lists.
    assert_eq!(decision.reasons()[0].code, Code::TermsFileNotListed);
    assert_eq!(decision.reasons()[0].evidence[0].place, "x");
}

#[test]
fn sources_follow_the_packages_made_from_them() {
    let check_all = |users: &[(&str, Class, bool, bool)], verdict, code| {
        let users = users
            .iter()
            .map(|(name, class, withheld, explained)| SourceUser {
                name: (*name).to_owned(),
                class: *class,
                permitted: rules(false).policy().action(*class) == Action::Publish,
                withheld: *withheld,
                explained: *explained,
            })
            .collect();
        let (path, report) = (path(), Report::default());
        let subject = Subject {
            path: &path,
            case: Case::default(),
            nar_hash: NarHash::from_sha256([0; 32]),
            provenance: Provenance::Source(users),
            report: Some(&report),
            lost: None,
            read_withheld: false,
        };
        let decision = decide(&subject, &rules(false));
        assert_eq!((decision.verdict(), decision.reasons()[0].code), (verdict, code));
    };
    let check = |users: &[(&str, Class, bool)], verdict, code| {
        let users: Vec<_> = users.iter().map(|(name, class, withheld)| (*name, *class, *withheld, false)).collect();
        check_all(&users, verdict, code);
    };
    check(&[("a", Class::Free, false)], Verdict::Publish, Code::SourceOfPublished);
    // What calls itself free and is withheld for its bytes got them from somewhere.
    check(&[("a", Class::Free, true)], Verdict::Withhold, Code::SourceOfWithheld);
    check(&[("a", Class::Free, false), ("b", Class::Free, true)], Verdict::Withhold, Code::SourceOfWithheld);
    check(&[("a", Class::MadeFromFree, true)], Verdict::Withhold, Code::SourceOfWithheld);
    let free = |explained| ("a", Class::Free, true, explained);
    check_all(&[free(true)], Verdict::Publish, Code::SourceOfPublished);
    check_all(&[free(true), free(false)], Verdict::Withhold, Code::SourceOfWithheld);
    // A vendor's own package explains nothing.
    check_all(&[("b", Class::Redistributable, true, true)], Verdict::Withhold, Code::SourceOfWithheld);
    check(&[("a", Class::Free, false), ("b", Class::Restricted, true)], Verdict::Withhold, Code::SourceOfWithheld);
    check(&[("nvcc", Class::Redistributable, true)], Verdict::Withhold, Code::SourceOfWithheld);
    check(&[("mystery", Class::Unknown, true)], Verdict::Withhold, Code::SourceOfWithheld);
    check(&[], Verdict::Withhold, Code::LicenseUnknown);
}

/// The license text in a vendor's package is compared with those that the terms were read from.
#[test]
fn a_license_text_that_is_not_known_is_reported() {
    use crate::Terms;
    use narthex_audit::{LicenseText, TextHash};
    let hash = TextHash::of(b"You may copy it.");
    let terms = |id: &str, license: &str, more: &str| {
        let text = format!(
            "version = 1\nid = \"{id}\"\ntitle = \"{id} license\"\nlicenses = [\"{license}\"]\nmodified = false\n\
             modified-clause = \"1\"\nstandalone = true\nstandalone-clause = \"1\"\nconditions = []\n\
             accompanying = [\"LICENSE*\"]\n{more}[[distributable]]\nclause = \"2\"\nfiles = [\"x\"]\n"
        );
        Terms::parse(&text).unwrap()
    };
    let known = format!("[[texts]]\nrelease = \"1.0\"\nsha256 = \"{hash}\"\n");
    let one = || terms("one", "unfreeRedistributable", &known);
    let check = |terms: Vec<Terms>, license: serde_json::Value, texts: &[(&str, &str)], expected: &[Code]| {
        let policy = Policy::parse(shipped::DEFAULT_POLICY).unwrap();
        let facts = facts(license);
        let text =
            |(file, text): &(&str, &str)| LicenseText { place: place(file), sha256: TextHash::of(text.as_bytes()) };
        let files = ["bin/x"].into_iter().chain(texts.iter().map(|(file, _)| *file)).map(str::to_owned).collect();
        let report = Report { files, texts: texts.iter().map(text).collect(), ..Report::default() };
        let (path, nar_hash, provenance) = (path(), NarHash::from_sha256([0; 32]), Provenance::Output(Some(&facts)));
        let subject = Subject {
            path: &path,
            case: Case::default(),
            nar_hash,
            provenance,
            report: Some(&report),
            lost: None,
            read_withheld: false,
        };
        let decision = decide(&subject, &Rules::new(policy, terms, Date::of_unix_time(0)));
        let codes: Vec<Code> = decision.reasons().iter().map(|reason| reason.code).collect();
        assert_eq!(codes, expected, "{texts:?}");
        decision
    };
    use Code::{AuditClean, LicenseFree, LicenseRedistributable, LicenseRestricted, TermsTextKnown, TermsTextUnknown};
    let redist = || json!("unfreeRedistributable");
    let same = ("LICENSE", "You may\r\ncopy it.\r\n");
    let other = ("doc/LICENSE.txt", "You may not copy it.");
    let found = check(vec![one()], redist(), &[same], &[LicenseRedistributable, TermsTextKnown, AuditClean]);
    assert_eq!(found.verdict(), Verdict::Publish);
    assert_eq!(found.reasons()[1].evidence[0].notes[0], "text of one license: 1.0");
    let found = check(vec![one()], redist(), &[other], &[TermsTextUnknown, LicenseRedistributable, AuditClean]);
    assert_eq!(found.verdict(), Verdict::Withhold);
    assert_eq!(
        found.reasons()[0].message,
        "doc/LICENSE.txt is not a text that the terms of the one license were read from, so that what they permit may \
         not hold"
    );
    assert_eq!(found.reasons()[0].evidence[0].notes[1].len(), "SHA-256 of its normal form: ".len() + 64);
    // A known text beside it changes nothing.
    let both = [TermsTextUnknown, LicenseRedistributable, TermsTextKnown, AuditClean];
    check(vec![one()], redist(), &[same, other], &both);
    // Without a text there is nothing to compare, and so it is under terms that name none.
    check(vec![one()], redist(), &[], &[LicenseRedistributable, AuditClean]);
    let silent = terms("one", "unfreeRedistributable", "");
    check(vec![silent], redist(), &[other], &[LicenseRedistributable, AuditClean]);
    check(vec![], redist(), &[other], &[LicenseRedistributable, AuditClean]);
    // Under two licenses with terms, a text of either is known.
    let two =
        terms("two", "fsl11Mit", &known.replace(&hash.to_string(), &TextHash::of(b"You may not copy it.").to_string()));
    let license = json!(["unfreeRedistributable", "fsl11Mit"]);
    check(vec![one(), two], license, &[same, other], &[LicenseRedistributable, TermsTextKnown, AuditClean]);
    // Nobody asks for the text of what is withheld anyway, or free.
    check(vec![terms("one", "unfree", &known)], json!("unfree"), &[other], &[LicenseRestricted, AuditClean]);
    check(vec![one()], json!("mit"), &[other], &[LicenseFree, AuditClean]);
}

/// What the shipped terms say of the material that ships: by name, where the license says nothing.
#[test]
fn shipped_terms_answer_for_products_by_name() {
    let from = |package: &str, license: &str, file: &str| {
        let material = Material::of_package(package, vec![license.to_owned()]);
        Finding::Copy {
            place: place("lib/x"),
            original: Origin { material, file: file.to_owned(), member: None },
            releases: Vec::new(),
        }
    };
    let check = |package: &str, license: &str, file: &str, verdict, code| {
        let decision = decide_output(json!("mit"), vec![from(package, license, file)], &["lib/x", "bin/app"], false);
        assert_eq!((decision.verdict(), decision.reasons()[0].code), (verdict, code), "{package} {license} {file}");
    };
    use Verdict::{Publish, Withhold};
    check("nvidia-cudnn-cu12-9.10.2.21", "unfree", "lib/libcudnn.so.9", Publish, Code::TermsPermitCopy);
    check("nvidia-cudnn-cu12-9.10.2.21", "unfree", "lib/libcudnn_static.a", Withhold, Code::TermsFileNotListed);
    check("cuda12.9-cudnn-9.13.0.50", "cuDNN EULA", "lib/libcudnn.so.9", Publish, Code::TermsPermitCopy);
    check("cuda12.9-libcudss-0.7", "nvidiaCuda", "lib/libcudss.so.0", Publish, Code::TermsPermitCopy);
    check("mkl-static-2024.2.0", "issl", "lib/libmkl_core.a", Publish, Code::TermsPermitCopy);
    check("mkl-static-2024.2.0", "unfree", "lib/libmkl_core.a", Withhold, Code::TermsMissing);
    check("nccl-2.27", "unfree", "lib/libnccl.so.2", Publish, Code::TermsPermitCopy);
    // What a name permits beyond the toolkit's terms, it does not permit under the toolkit's license.
    check("nccl-2.27", "nvidiaCudaRedist", "lib/libnccl.so.2", Withhold, Code::TermsMissing);
    check("cudnn-frontend-1.0", "unfree", "lib/libcudnn.so.9", Withhold, Code::TermsMissing);
}

/// Another build of a vendor's package is as much the vendor's as the package.
#[test]
fn a_grant_lifts_the_restricted_license_of_an_original() {
    let check = |license: serde_json::Value, covers: &str, verdict, code| {
        let grant = format!(
            "[[grants]]\nagreement = \"A\"\n{covers}\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n"
        );
        let rules = rules_of(&format!("{}\n{grant}", shipped::DEFAULT_POLICY));
        let facts = facts(license);
        let case = Case { package: "vendor-wrapped-2.0", ..Case::default() };
        let provenance = Provenance::Original { name: "vendor-2.0", facts: &facts };
        let (given, reasons) = forecast(&case, &provenance, &rules);
        assert_eq!((given, reasons[0].code), (verdict, code), "{covers} {reasons:?}");
    };
    use Code::{LicenseOfOriginal, PolicyGrant};
    use Verdict::{Publish, Withhold};
    check(json!("unfree"), "license = [\"unfree\"]", Publish, PolicyGrant);
    check(json!("unfree"), "package = [\"vendor-wrapped\"]", Publish, PolicyGrant);
    check(json!("unfree"), "package = [\"vendor\"]", Withhold, LicenseOfOriginal);
    check(json!(["unfree", "issl"]), "license = [\"issl\"]", Withhold, LicenseOfOriginal);
    check(json!("no such license"), "package = [\"vendor-wrapped\"]", Withhold, LicenseOfOriginal);
    check(json!(["unfreeRedistributable", "?"]), "license = [\"unfree*\"]", Withhold, LicenseOfOriginal);
}

/// What declares nothing and is settled by a rule.
#[test]
fn each_rule_for_what_declares_nothing_has_its_code() {
    let check = |provenance: Provenance<'_>, verdict, code| {
        let (path, report) = (path(), Report::default());
        let nar_hash = NarHash::from_sha256([0; 32]);
        let case = Case::default();
        let of = |report| Subject {
            path: &path,
            case,
            nar_hash,
            provenance: provenance.clone(),
            report,
            lost: None,
            read_withheld: false,
        };
        let decision = decide(&of(Some(&report)), &rules(false));
        assert_eq!((decision.verdict(), decision.reasons()[0].code), (verdict, code));
        assert_eq!(forecast(&case, &provenance, &rules(false)).0, verdict);
        // Without a clean audit, nothing is published by any rule.
        assert_eq!(decide(&of(None), &rules(false)).verdict(), Verdict::Withhold);
    };
    check(Provenance::MadeFromFree, Verdict::Publish, Code::MadeFromFreeInputs);
    let what = "x is missing".to_owned();
    check(Provenance::Incomplete { what: what.clone(), facts: None }, Verdict::Withhold, Code::GraphIncomplete);
    for (license, code) in [
        ("mit", Code::GraphIncomplete),
        ("unfreeRedistributable", Code::GraphIncomplete),
        ("unfree", Code::LicenseRestricted),
        ("x", Code::LicenseUnknown),
    ] {
        let facts = facts(json!(license));
        check(Provenance::Incomplete { what: what.clone(), facts: Some(&facts) }, Verdict::Withhold, code);
    }
    for (license, verdict) in [("mit", Verdict::Publish), ("unfree", Verdict::Withhold), ("x", Verdict::Withhold)] {
        let facts = facts(json!(license));
        check(Provenance::Original { name: "gcc-4.9.4", facts: &facts }, verdict, Code::LicenseOfOriginal);
    }
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
