//! Every kind of finding in every form.

use super::*;
use narthex_audit::{Change, DriverSign, Gap, Kin, Material, MemberHits, Origin, Section, Sign};
use std::collections::BTreeSet;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn place(file: &str, members: &[&str]) -> Place {
    Place { file: file.to_owned(), members: names(members) }
}

fn origin(file: &str) -> Origin {
    let material = Material::of_package("cuda_cudart-12.9.79", names(&["nvidiaCudaRedist"]));
    Origin { material, file: file.to_owned(), member: None }
}

fn findings() -> Vec<Finding> {
    let member = |number: u32| MemberHits {
        member: format!("{number}.o"),
        functions_found: number,
        functions_known: number + 1,
    };
    vec![
        Finding::Dynamic {
            place: place("bin/saxpy", &[]),
            needed: names(&["libc.so.6"]),
            runpath: names(&["$ORIGIN"]),
            store_paths: names(&["/nix/store/00000000000000000000000000000000-glibc"]),
            opens: names(&["libcuda.so.1"]),
        },
        Finding::StaticCode {
            place: place("bin/saxpy", &[]),
            archive: origin("lib/libcudart_static.a"),
            members: (1..=6).map(member).collect(),
            bytes_found: 900,
            code_bytes: 1200,
            ranges: vec![(0x1000, 0x1300), (0x2000, 0x2010)],
            kin: Kin {
                shared_by: vec![origin("lib/libculibos.a")],
                equal: vec![origin("lib/libcudart_static.a")],
                release_unknown: true,
            },
        },
        Finding::Copy {
            place: place("share/a {b} c.whl", &["lib/libcudart.so.12"]),
            releases: Vec::new(),
            original: Origin { member: Some("x.o".to_owned()), ..origin("lib/libcudart.so.12") },
        },
        Finding::ModifiedCopy {
            place: place("lib/evil\u{1b}[2J.so", &[]),
            original: origin("lib/libcudart.so.12"),
            same: names(&[".text"]),
            changed: vec![Section { name: ".dynstr".to_owned(), original: Some(1), found: Some(2) }],
            changes: vec![
                Change::Runpath { from: vec![], to: names(&["$ORIGIN"]) },
                Change::OtherCode { sections: names(&[".init"]) },
            ],
            kin: Kin::default(),
        },
        Finding::DeviceCode {
            place: place("lib/gpu.so", &[]),
            original: origin("lib/libcublas.so.12"),
            entries_found: 1,
            entries: 2,
            bytes_found: 1,
            device_bytes: 3,
            kernels_found: 4,
            kernels: 5,
            examples: names(&["gemm"]),
            kin: Kin::default(),
        },
        Finding::Suspected {
            place: place("lib/like.so", &[]),
            like: origin("lib/libcudart.so.12"),
            signs: vec![Sign::Strings { found: 120, known: 179, examples: names(&["initialization error"]) }],
        },
        Finding::Driver {
            place: place("lib/libcuda.so.1", &[]),
            library: "libcuda.so.1".to_owned(),
            sign: DriverSign::FileName,
        },
        Finding::Maker {
            place: place("bin/tool.exe", &[]),
            company: "Example GmbH".to_owned(),
            product: Some("Tool".to_owned()),
            version: None,
        },
        Finding::Stub {
            place: place("lib/stubs.so", &[]),
            library: origin("lib/libcublas.so.12"),
            functions: 1027,
            longest: 32,
        },
        Finding::NotFullyAudited { place: place("a.rpm", &[]), gap: Gap::UnsupportedArchive("rpm".to_owned()) },
    ]
}

fn audited(findings: Vec<Finding>) -> Audited {
    let files: BTreeSet<String> = findings.iter().map(|finding| finding.place().file.clone()).collect();
    let report = Report { findings, files: files.into_iter().collect(), bytes: 12_345, ..Report::default() };
    Audited { path: "/nix/store/00000000000000000000000000000000-x".into(), report, hits: Vec::new() }
}

#[test]
fn the_report_for_people() {
    let clean = Report { files: names(&["a", "b"]), bytes: 10, ..Report::default() };
    let clean = Audited { path: "result".into(), report: clean, hits: Vec::new() };
    let text = format!("{}\n{}", table::text(&audited(findings()), false), table::text(&clean, false));
    insta::assert_snapshot!(text);
    assert!(!text.contains('\u{1b}'));
}

/// An archive with thousands of members is one thing that was found.
#[test]
fn what_is_said_of_many_members_is_said_once() {
    let copy = |file: &str, member: u32| Finding::Copy {
        place: place(file, &[&format!("{member}.o")]),
        original: Origin { member: Some(format!("{member}.o")), ..origin("lib/libcudart_static.a") },
        releases: Vec::new(),
    };
    let gap = |member: u32| Finding::NotFullyAudited {
        place: place("b.zip", &[&format!("{member}.7z")]),
        gap: Gap::TooDeep(8),
    };
    let mut findings: Vec<_> = (0..1000).map(|member| copy("lib/a.a", member)).collect();
    findings.extend((0..3).map(|member| copy("lib/b.a", member)));
    let restricted = audited(findings.clone());
    findings.truncate(0);
    findings.extend((0..9).map(gap));
    let unread = audited(findings);
    insta::assert_snapshot!(format!("{}\n{}", table::text(&restricted, false), table::text(&unread, false)));
    assert_eq!(table::text(&restricted, true).matches(" is a copy of ").count(), 1003);
}

#[test]
fn the_explanation_of_files() {
    let one = |file: &str| {
        let mut one = audited(findings().into_iter().filter(|finding| finding.place().file == file).collect());
        one.report.files = names(&[file]);
        explain::text(&one)
    };
    insta::assert_snapshot!(["bin/saxpy", "lib/gpu.so", "clean"].map(one).join("\n"));
}

/// These keys are promised in the guide for operators.
#[test]
fn one_json_object_a_finding() {
    let audited = audited(findings());
    let lines: Vec<String> = audited.report.findings.iter().map(|f| json::line(&audited, f).to_string()).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let single = Finding::NotFullyAudited { place: place("", &["m"]), gap: Gap::TooDeep(8) };
    let value = json::line(&audited, &single);
    assert_eq!(value["file"], serde_json::json!(["00000000000000000000000000000000-x", "m"]));
}

/// What the schema of SARIF 2.1.0 asks for, as far as it concerns what is written here.
#[test]
fn a_sarif_document() {
    let single = Report {
        findings: vec![Finding::NotFullyAudited { place: place("", &[]), gap: Gap::TooDeep(8) }],
        files: vec![String::new()],
        bytes: 1,
        ..Report::default()
    };
    let all = [audited(findings()), Audited { path: "some dir/x.so".into(), report: single, hits: Vec::new() }];
    let document = sarif::document(&all);
    assert_eq!((&document["version"], document["runs"].as_array().unwrap().len()), (&"2.1.0".into(), 1));
    let run = &document["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "narthex");
    let rules: Vec<&str> =
        driver["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    let kinds: BTreeSet<&str> = findings().iter().map(Finding::kind).collect();
    assert_eq!(rules.iter().copied().collect::<BTreeSet<_>>(), kinds, "each kind has one rule");
    assert_eq!(rules.len(), kinds.len());

    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings().len() + 1);
    for result in results {
        let rule = result["ruleId"].as_str().unwrap();
        assert_eq!(rules[result["ruleIndex"].as_u64().unwrap() as usize], rule);
        let level = match rule {
            "dynamic" | "stub" | "maker" => "note",
            "suspected" | "not-audited" => "warning",
            _ => "error",
        };
        assert_eq!(result["level"], level, "{rule}");
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let artifact = &result["locations"][0]["physicalLocation"]["artifactLocation"];
        let uri = artifact["uri"].as_str().unwrap();
        assert!(!uri.starts_with('/') && uri.bytes().all(|b| b.is_ascii_graphic()), "{uri}");
        assert!(run["originalUriBaseIds"][artifact["uriBaseId"].as_str().unwrap()].is_object());
    }
    // The snapshot outlives releases.
    let mut document = document;
    assert_eq!(document["runs"][0]["tool"]["driver"]["version"].take(), env!("CARGO_PKG_VERSION"));
    insta::assert_json_snapshot!(document);
}

/// Every page that a rule names is there.
#[test]
fn the_pages_of_rules_exist() {
    let rules = &sarif::document(&[])["runs"][0]["tool"]["driver"]["rules"];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for rule in rules.as_array().unwrap() {
        let page = rule["properties"]["page"].as_str().unwrap();
        assert!(root.join(page).is_file(), "{page}");
    }
}
