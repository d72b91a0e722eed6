//! The documents of one small report that has something of everything.

use super::*;
use narthex_audit::TextHash;
use narthex_farm::{AuditState, Carried, NoticeText, Notices, PackageNotice, ReportReason, TermsDocument, TextOrigin};
use narthex_policy::{Code, Coverage, Effect, Evidence, TermsName};
use std::io;

const HOSTILE: &str = "</td><script>alert(1)</script>\u{1b}[2J\n\u{202e}";

fn path(name: &str, verdict: Verdict, license: Option<&str>, reasons: Vec<ReportReason>) -> ReportPath {
    let store_path = format!("/nix/store/{}-{name}", "0".repeat(31) + &name[..1]).parse().unwrap();
    let (package, version) = name.rsplit_once('-').unwrap();
    ReportPath {
        path: store_path,
        name: package.to_owned(),
        version: version.to_owned(),
        output: Some("out".to_owned()),
        attr: Some(package.to_owned()),
        deriver: Some(format!("/nix/store/{}-{name}.drv", "1".repeat(32)).parse().unwrap()),
        license: license.map(str::to_owned),
        verdict,
        presence: if verdict == Verdict::Publish { Presence::Published(7) } else { Presence::Absent },
        reasons,
        policy: "default".to_owned(),
        nar_hash: NarHash::from_sha256([7; 32]),
        nar_size: 4321,
        references: vec![],
        audited: Some(0),
    }
}

fn reason(code: Code, effect: Effect, message: &str, evidence: Vec<Evidence>) -> ReportReason {
    ReportReason { code, source: code.source(), effect, message: message.to_owned(), evidence, left_out: 0 }
}

/// `app` has a vendor's archive inside and refers to `vendor`, which is withheld; `lib` stands under a grant.
fn report() -> ComplianceReport {
    let title = "CUDA Toolkit EULA".to_owned();
    let inside = Evidence {
        place: "bin/app".to_owned(),
        kind: Some("static".to_owned()),
        original: Some("lib/libcudart_static.a".to_owned()),
        package: Some("cuda_cudart-12.9.79".to_owned()),
        terms: Some(TermsName { id: "cuda-toolkit".to_owned(), title: title.clone() }),
        clause: Some("Attachment A, CUDA Runtime".to_owned()),
        members: vec![Coverage { member: "a.o".to_owned(), functions_found: 3, functions_known: 4 }],
        conditions: vec!["only inside an application".to_owned()],
        ..Evidence::default()
    };
    let permitted = "bin/app contains 3 of 4 functions of libcudart_static.a; the CUDA Toolkit EULA permits it";
    let mut app = path(
        "app-1.0",
        Verdict::Publish,
        Some("MIT"),
        vec![
            reason(Code::TermsPermitInclusion, Effect::Publish, permitted, vec![inside]),
            reason(Code::LicenseFree, Effect::Publish, "MIT is free", vec![]),
        ],
    );
    app.references = vec![1, 2];
    let grant = "the grant `ACME, 1 May 2026` covers it until 2027-01-31: section 2 (legal@example.org)";
    let lib = path(
        "lib-2.0",
        Verdict::Publish,
        Some("LicenseRef-nvidiaCudaRedist"),
        vec![reason(Code::PolicyGrant, Effect::Publish, grant, vec![])],
    );
    let vendor = path(
        "vendor-3.0",
        Verdict::Withhold,
        Some("LicenseRef-nvidiaCuda"),
        vec![reason(Code::LicenseRestricted, Effect::Withhold, "LicenseRef-nvidiaCuda may not be passed on", vec![])],
    );
    let state = AuditState { corpus: "c0".to_owned(), scanner: 9, paths: 3 };
    ComplianceReport {
        created: 1_700_000_000,
        roots: vec![],
        paths: vec![app, lib, vendor],
        holes: vec![(2, vec![0])],
        terms: vec![TermsDocument {
            id: "cuda-toolkit".to_owned(),
            title,
            conditions: vec!["only inside an application".to_owned()],
            texts: vec![("12.9".to_owned(), TextHash::of(b"a text"), Some("of 2018".to_owned()))],
        }],
        audits: vec![state.clone()],
        current: state,
    }
}

fn notices() -> Notices {
    let text = |origin, bytes: &[u8]| NoticeText { origin, sha256: TextHash::of(bytes), bytes: bytes.to_vec() };
    let package = |path| PackageNotice { path, ..PackageNotice::default() };
    Notices {
        texts: vec![
            text(TextOrigin::Package("LICENSE".to_owned()), b"Copyright somebody\r\n\x1b[2Jtwo\n"),
            text(TextOrigin::Package("../x y.pdf".to_owned()), b"%PDF\x00"),
        ],
        packages: vec![
            PackageNotice {
                carried: vec![
                    Carried { file: "share/doc/LICENSE".to_owned(), text: 0 },
                    Carried { file: "x y.pdf".to_owned(), text: 1 },
                ],
                too_long: vec!["LICENSES.html".to_owned()],
                ..package(0)
            },
            PackageNotice { missing: vec!["LicenseRef-nvidiaCudaRedist".to_owned()], ..package(1) },
        ],
    }
}

fn written(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    // The program's version is not what these tests are about.
    String::from_utf8(out).unwrap().replace(VERSION, "VERSION")
}

#[test]
fn the_page() {
    insta::assert_snapshot!(written(|out| page(&report(), out)));
}

#[test]
fn the_spdx_document() {
    insta::assert_snapshot!(written(|out| spdx(&report(), out)));
}

#[test]
fn the_cyclonedx_document() {
    insta::assert_snapshot!(written(|out| cyclonedx(&report(), out)));
}

#[test]
fn the_notice() {
    insta::assert_snapshot!(written(|out| notice(&report(), &notices(), true, out)));
}

#[test]
fn a_notice_names_nothing_that_is_withheld() {
    for inline in [true, false] {
        assert!(!written(|out| notice(&report(), &notices(), inline, out)).contains("vendor-3.0"));
    }
}

/// Every text that somebody else chose is this one.
fn hostile() -> (ComplianceReport, Notices) {
    let (mut report, mut notices) = (report(), notices());
    let text = || HOSTILE.to_owned();
    for path in &mut report.paths {
        (path.name, path.version, path.policy) = (text(), text(), text());
        (path.output, path.attr, path.license) = (Some(text()), Some(text()), Some(text()));
        for reason in &mut path.reasons {
            reason.message = text();
            for evidence in &mut reason.evidence {
                evidence.place = text();
                (evidence.original, evidence.package, evidence.clause) = (Some(text()), Some(text()), Some(text()));
                evidence.terms = Some(TermsName { id: text(), title: text() });
                (evidence.conditions, evidence.notes) = (vec![text()], vec![text()]);
                evidence.members[0].member = text();
            }
        }
    }
    for terms in &mut report.terms {
        (terms.id, terms.title, terms.conditions) = (text(), text(), vec![text()]);
        terms.texts[0].0 = text();
        terms.texts[0].2 = Some(text());
    }
    report.audits[0].corpus = text();
    notices.packages[0].carried[0].file = text();
    notices.packages[1].missing = vec![text()];
    notices.texts[0].origin = TextOrigin::Package(text());
    notices.texts[0].bytes = text().into_bytes();
    (report, notices)
}

#[test]
fn texts_of_others_stay_texts() {
    let (report, notices) = hostile();
    let page = written(|out| page(&report, out));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    for (name, document) in [
        ("page", page),
        ("spdx", written(|out| spdx(&report, out))),
        ("cyclonedx", written(|out| cyclonedx(&report, out))),
        ("notice", written(|out| notice(&report, &notices, true, out))),
    ] {
        let escape = document.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(escape, None, "{name}");
    }
    let names: Vec<String> = notices.texts.iter().enumerate().map(|(place, text)| text_file(text, place)).collect();
    assert_eq!(names, ["1-__td__script_alert_1___script___2J__", "2-.._x_y.pdf"]);
}

#[test]
fn the_page_is_in_order_for_those_who_hear_it() {
    let page = written(|out| page(&report(), out));
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    // Each table says what it is, and each of its cells has a head.
    let count = |part: &str| page.matches(part).count();
    assert_eq!((count("<table>"), count("<table>")), (count("<caption>"), count("</table>")));
    assert_eq!(count("<tr><th scope=\"row\">") + count("<thead><tr>"), count("<tr>"));
    assert_eq!((count("<h1>"), count("<main")), (1, 1));
    // Every link leads somewhere within the page.
    for link in page.split("href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert!(page.contains(&format!(" id=\"{id}\"")), "{id}");
    }
    assert_eq!(count("href=\"#"), count("href="));
    assert_eq!((count("src="), count("url("), count("@import")), (0, 0, 0));
}

#[test]
fn what_is_withheld_and_still_there_stands_first() {
    let mut report = report();
    assert!(!written(|out| page(&report, out)).contains("class=\"attention\""));
    report.paths[2].presence = Presence::NotTakenBack;
    let page = written(|out| page(&report, out));
    let at = |part: &str| page.find(part).unwrap();
    assert!(at("class=\"attention\"") < at("id=\"summary\""));
}

#[test]
fn times_and_numbers() {
    assert_eq!(time(0), "1970-01-01T00:00:00Z");
    assert_eq!(time(1_700_000_000), "2023-11-14T22:13:20Z");
    assert_eq!(time(253_402_300_799), "9999-12-31T23:59:59Z");
    assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-8fff-bfff-ffffffffffff");
    let check = |name: &str, version: &str, expected: &str| assert_eq!(purl(name, version), expected);
    check("saxpy", "1.0", "pkg:generic/saxpy@1.0");
    check("libstdc++", "", "pkg:generic/libstdc%2B%2B");
    check("a/b?c", "1@2", "pkg:generic/a%2Fb%3Fc@1%402");
}
