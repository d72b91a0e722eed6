//! The words of every reason that comes from a finding, and of its evidence.

use super::*;
use crate::shipped;
use narthex_audit::{Change, Finding, Gap, Kin, Material, MemberHits, Origin, Place};

fn place(file: &str) -> Place {
    Place { file: file.to_owned(), members: vec![] }
}

fn origin(file: &str) -> Origin {
    let licenses = vec!["nvidiaCuda".to_owned()];
    Origin { material: Material::of_package("cuda-12.9", licenses), file: file.to_owned(), member: None }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn findings() -> Vec<(Code, Finding)> {
    let modified = |changes| Finding::ModifiedCopy {
        place: place("lib/x.so"),
        original: origin("lib/libcudart.so.12"),
        same: names(&[".text"]),
        changed: vec![Section { name: ".dynstr".to_owned(), original: Some(1), found: Some(2) }],
        changes,
        kin: Kin::default(),
    };
    let statically = |archive: &str| Finding::StaticCode {
        place: place("bin/x"),
        archive: origin(archive),
        members: ["a.o", "b.o", "c.o"]
            .map(|member| MemberHits { member: member.to_owned(), functions_found: 9, functions_known: 10 })
            .to_vec(),
        bytes_found: 1_234_567,
        code_bytes: 2_000_000,
        ranges: vec![(0x1000, 0x1900), (0x2000, 0x2100), (0x3000, 0x3010)],
        kin: Kin::default(),
    };
    let device = |entries_found, kernels_found| Finding::DeviceCode {
        place: Place { file: "x.whl".to_owned(), members: names(&["x/lib.so"]) },
        original: origin("lib/libcublas.so.12"),
        entries_found,
        entries: 250,
        bytes_found: 99_000,
        device_bytes: 100_000,
        kernels_found,
        kernels: 40,
        examples: names(&["gemm_a", "gemm_b", "gemm_c"]),
        kin: Kin::default(),
    };
    let suspected = |signs| Finding::Suspected { place: place("lib/y.so"), like: origin("lib/libcudart.so.12"), signs };
    let strings = Sign::Strings { found: 120, known: 179, examples: names(&["bad \"string\"\u{1b}"]) };
    let interface = Sign::Interface { found: 1, examples: names(&["cudaMalloc"]) };
    let version_info = Sign::VersionInfo { company: "NVIDIA Corporation".to_owned(), product: "CUDA".to_owned() };
    let maker = Sign::Maker { company: "NVIDIA Corporation".to_owned(), product: "New".to_owned() };
    let (vendor, bytes) = ("NVIDIA".to_owned(), (900, 1000));
    let made_by = Sign::MadeBy { vendor, files: 3, copyrights: 1, of_files: 4, bytes };
    let shared = |mut finding: Finding| {
        if let Finding::StaticCode { kin, .. } | Finding::ModifiedCopy { kin, .. } = &mut finding {
            kin.shared_by = vec![origin("lib/libirc.a"), origin("lib/libipps.a")];
            kin.equal = vec![origin("lib/libmkl_core.a")];
            kin.release_unknown = true;
        }
        finding
    };
    let driver = |sign| Finding::Driver { place: place("lib/z.so"), library: "libcuda.so.1".to_owned(), sign };
    let dynamic = |needed: &[&str], opens: &[&str]| Finding::Dynamic {
        place: place("bin/x"),
        needed: names(needed),
        runpath: names(&["$ORIGIN"]),
        store_paths: names(&["/nix/store/00000000000000000000000000000000-cuda"]),
        opens: names(opens),
    };
    vec![
        (
            Code::AuditCopy,
            Finding::Copy { place: place("lib/x.so"), original: origin("lib/libcudart.so.12"), releases: Vec::new() },
        ),
        (Code::AuditModifiedCopy, modified(vec![])),
        (Code::AuditModifiedCopy, modified(vec![Change::OtherCode { sections: names(&[".text"]) }])),
        (Code::TermsModified, modified(vec![Change::Truncated { bytes: 12 }, Change::Padded { bytes: 3 }])),
        (Code::TermsPermitCopy, modified(vec![])),
        (Code::TermsPermitInclusion, statically("lib/libcudart_static.a")),
        (Code::AuditCudartStatic, statically("lib/libcudart_static.a")),
        (Code::AuditStaticCode, statically("lib/libcublas_static.a")),
        (Code::AuditStaticCode, shared(statically("lib/libmkl_core.a"))),
        (Code::TermsFileNotListed, shared(statically("lib/libmkl_core.a"))),
        (Code::TermsModified, shared(modified(vec![]))),
        (Code::AuditDeviceCode, device(224, 0)),
        (Code::TermsPermitInclusion, device(224, 30)),
        (Code::TermsMissing, device(0, 30)),
        (Code::PolicyVendorCode, device(0, 30)),
        (Code::AuditSuspected, suspected(vec![strings, interface])),
        (Code::AuditSuspected, suspected(vec![version_info])),
        (Code::AuditSuspected, suspected(vec![maker])),
        (Code::AuditSuspected, suspected(vec![made_by])),
        (
            Code::AuditMaker,
            Finding::Maker {
                place: place("bin/x.dll"),
                company: "Example GmbH".to_owned(),
                product: Some("Example".to_owned()),
                version: Some("1.2".to_owned()),
            },
        ),
        (Code::AuditDriver, driver(DriverSign::FileName)),
        (Code::AuditDriver, driver(DriverSign::Soname)),
        (
            Code::AuditStub,
            Finding::Stub {
                place: place("lib/s.so"),
                library: origin("lib/libcublas.so.12"),
                functions: 1027,
                longest: 32,
            },
        ),
        (Code::AuditLinksDynamically, dynamic(&["libcudart.so.12", "libc.so.6"], &["libcuda.so.1"])),
        (Code::AuditLinksDynamically, dynamic(&[], &["libcuda.so.1"])),
        (
            Code::AuditIncomplete,
            Finding::NotFullyAudited { place: place("a.rpm"), gap: Gap::UnsupportedArchive("rpm".to_owned()) },
        ),
    ]
}

#[test]
fn every_reason_is_a_sentence_and_its_evidence_is_complete() {
    let terms = Terms::parse(shipped::TERMS[0].1).unwrap();
    let mut text = String::new();
    for (code, finding) in findings() {
        let mut evidence = Evidence::of("x-1.0", &finding);
        if code.as_str().starts_with("terms-") {
            evidence.clause = Some("clause 1".to_owned());
        }
        let details: String = evidence.details(2).iter().map(|line| format!("    {line}\n")).collect();
        text.push_str(&format!("{code}: {}\n{details}", message(code, &[evidence], Some(&terms))));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn several_files_are_one_example_and_a_number() {
    let (code, finding) = &findings()[0];
    let evidence = [Evidence::of("x-1.0", finding), Evidence::of("x-1.0", finding)];
    assert_eq!(message(*code, &evidence, None), "lib/x.so is a copy of libcudart.so.12 of cuda-12.9 (and 1 more)");
}

/// A kind of a later version is shown without words for how sure it is, and never left out.
#[test]
fn every_kind_of_finding_says_how_sure_it_is() {
    for (_, finding) in findings() {
        assert!(certainty(finding.kind()).is_some(), "{}", finding.kind());
    }
    let later = Evidence { kind: Some("smell".to_owned()), ..Evidence::default() };
    assert_eq!(later.details(9), ["rule `smell`"]);
}

#[test]
fn numbers_are_grouped_by_thousands() {
    let check = |number, shown: &str| assert_eq!(grouped(number), shown);
    check(0, "0");
    check(999, "999");
    check(1000, "1,000");
    check(1_234_567, "1,234,567");
    assert_eq!(share(1, 0, "code"), "1 of 0 bytes of code");
    assert_eq!(share(512, 1024, "code"), "512 of 1,024 bytes of code (50.0 %)");
}
