//! Ways in which a vendor's code can lie in a path, and what each is taken for.

use crate::functions;
use crate::made::{Made, archive, library, loaded, noise, object};
use crate::{
    AuditFile, Change, Contents, Corpus, Finding, Fingerprints, Form, Gap, Limits, Material, Report, Source, audit,
    learn,
};

/// The functions of the vendor's archive.
const FUNCTIONS: u64 = 60;

fn function(number: u64) -> Vec<u8> {
    noise(1000 + number, 400)
}

fn all() -> Vec<Vec<u8>> {
    (0..FUNCTIONS).map(function).collect()
}

/// Code that is nobody's.
fn own(seed: u64, length: usize) -> Vec<u8> {
    noise(9000 + seed, length)
}

fn messages(count: u32) -> Vec<u8> {
    (0..count).flat_map(|number| format!("\0the vendor says number {number}").into_bytes()).chain([0]).collect()
}

fn corpus() -> Corpus {
    let mut prints = Fingerprints::default();
    let mut add = |package: &str, path: &str, bytes: &[u8]| {
        let source = Source::new(format!("sha256:{package}"), "n", Material::of_package(package, vec![]));
        let file = AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) };
        let learned = learn(&mut prints, &source, &[file], Limits::default());
        assert!(learned.gaps.is_empty(), "{:?}", learned.gaps);
    };
    add("vendor-1", "lib/libv_static.a", &archive(&[("v.o", object(&all()))]));
    let shared = [(".text", true, own(1, 60_000)), (".rodata", false, messages(100)), (".data", false, own(2, 9000))];
    add("vendor-1", "lib/libv.so.1", &library(&shared));
    prints.to_corpus()
}

fn audited(files: &[(&str, Vec<u8>)]) -> Report {
    let file = |(path, bytes): &'_ (&str, Vec<u8>)| (path.to_string(), bytes.clone());
    let files: Vec<_> = files.iter().map(file).collect();
    let files: Vec<_> =
        files.iter().map(|(path, bytes)| AuditFile { path: path.clone(), contents: Contents::Bytes(bytes) }).collect();
    audit(&files, &corpus(), Limits::default())
}

/// Each finding in a word: its kind, and of a copy that is known by its parts why it is one.
fn words(report: &Report) -> Vec<String> {
    let word = |finding: &Finding| match finding {
        Finding::ModifiedCopy { changes, .. } => match changes.as_slice() {
            [Change::Parts { form, .. }] => format!("{form:?}"),
            _ => "modified".to_owned(),
        },
        other => other.kind().to_owned(),
    };
    report.findings.iter().filter(|finding| finding.is_restricted()).map(word).collect()
}

#[track_caller]
fn check(files: &[(&str, Vec<u8>)], expected: &[&str], own_code: bool) {
    let report = audited(files);
    assert_eq!(words(&report), expected, "{:#?}", report.findings);
    assert_eq!(!report.own_code.is_empty(), own_code, "{:?}", report.own_code);
}

fn text(code: Vec<u8>) -> Made<'static> {
    (".text", true, code)
}

/// A library with code of its own and some functions of the vendor's.
fn including(functions: &[Vec<u8>]) -> Vec<u8> {
    library(&[text([own(3, 2000), functions.concat()].concat())])
}

#[test]
fn only_what_is_linked_and_something_else_includes() {
    check(&[("bin/app", including(&all()))], &["static"], true);
    check(&[("lib/v.o", object(&all()))], &["NotLinked"], false);
    // Under other names, in parts, with others, and inside each other.
    check(&[("lib/libx.a", archive(&[("x.o", object(&all()))]))], &["NotLinked"], false);
    let half = object(&all()[..30]);
    check(&[("lib/libx.a", archive(&[("x.o", half.clone())]))], &["NotLinked"], false);
    let merged = archive(&[("own.o", object(&[own(4, 3000)])), ("v.o", half.clone())]);
    check(&[("lib/libx.a", merged)], &["NotLinked"], true);
    check(&[("lib/libx.a", archive(&[("y.a", archive(&[("x.o", half)]))]))], &["NotLinked"], false);
    // A library of its name, in whatever version, and what has nothing else in it.
    check(&[("lib/libv.so.7", including(&all()))], &["SameName"], false);
    check(&[("lib/libx.so", library(&[text(all().concat())]))], &["NothingElse"], false);
    check(&[("bin/app", library(&[text([own(3, 300), all().concat()].concat())]))], &["NothingElse"], false);
    // Code in something that is no program.
    check(&[("share/data.bin", [own(5, 7000), all().concat()].concat())], &["Data"], false);
    check(&[("bin/app", including(&[function(1)]))], &[], true);
}

/// What no file has enough of, all of them together have.
#[test]
fn thresholds_hold_for_a_path_as_a_whole() {
    let each = |make: &dyn Fn(u64) -> Vec<u8>| -> Vec<(&'static str, Vec<u8>)> {
        (0..FUNCTIONS).map(|number| ("file", make(number))).collect()
    };
    let files = each(&|number| object(&[own(number, 900), function(number)]));
    check(&files, &["NotLinked"], true);
    let members: Vec<(String, Vec<u8>)> =
        files.iter().enumerate().map(|(number, (_, bytes))| (format!("{number}.o"), bytes.clone())).collect();
    let members: Vec<(&str, Vec<u8>)> = members.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let report = audited(&[("lib/libx.a", archive(&members))]);
    assert_eq!(
        (words(&report), report.findings[0].place().to_string()),
        (vec!["NotLinked".to_owned()], "lib/libx.a".to_owned())
    );
    check(&each(&|number| including(&[function(number)])), &["static"], true);
    check(&each(&|_| including(&[function(1)])), &[], true);
    // Messages: a few in each library.
    let said = messages(100);
    let parts: Vec<&[u8]> = said.chunks(300).collect();
    let some = |number: u64| {
        let part = [b"\0".as_slice(), parts[number as usize % parts.len()], b"\0"].concat();
        library(&[text(own(number, 900)), (".rodata", false, part)])
    };
    check(&each(&some), &["suspected"], true);
}

/// The table of sections says what it likes.
#[test]
fn code_is_found_whatever_the_sections_say() {
    let code = || [own(3, 2000), all().concat()].concat();
    let plain = loaded(library(&[text(code())]));
    check(&[("bin/app", plain.clone())], &["static"], true);
    check(&[("bin/app", loaded(library(&[(".data", false, code())])))], &["NothingElse"], false);
    let table = u64::from_le_bytes(*plain[40..].first_chunk().unwrap()) as usize;
    let mut nobits = plain.clone();
    nobits[table + 64 + 4] = 8;
    check(&[("bin/app", nobits)], &["not-audited", "static"], true);
    let mut elsewhere = plain.clone();
    elsewhere[table + 64 + 32..table + 64 + 40].copy_from_slice(&16u64.to_le_bytes());
    check(&[("bin/app", elsewhere)], &["not-audited", "static"], true);
    let mut none = plain.clone();
    none[40..48].fill(0);
    none[60..64].fill(0);
    check(&[("bin/app", none)], &["not-audited", "static"], true);
    // A segment that claims to be longer than the file has no code of its own in what is not there.
    let mut long = loaded(library(&[text(all().concat())]));
    let segment = long.len() - 56;
    long[segment + 32..segment + 40].copy_from_slice(&(1u64 << 30).to_le_bytes());
    check(&[("bin/app", long)], &["NothingElse"], false);
    let mut nonsense = plain;
    nonsense[40..48].fill(0xff);
    // A table that cannot be reached is as one that is not there: no loader reads it, and whoever wants to hide something
    // could as well have taken the table away. It is not less than that, and it is a gap.
    check(&[("bin/app", nonsense.clone())], &["not-audited", "static"], true);
    // Where a loader finds nothing either, this is no program that includes something.
    nonsense[32..40].fill(0xff);
    check(&[("bin/app", nonsense)], &["not-audited", "Data"], false);
}

/// A library that is known as a whole is known without its table, with other bytes here and there, and in other files.
#[test]
fn a_changed_library_is_a_copy() {
    let shared = |text: Vec<u8>, said: Vec<u8>| {
        library(&[(".text", true, text), (".rodata", false, said), (".data", false, own(2, 9000))])
    };
    let mut code = own(1, 60_000);
    check(&[("lib/libx.so", shared(code.clone(), messages(99)))], &["modified"], false);
    for at in [100, 20_000, 40_000] {
        code[at] ^= 1;
    }
    let changed = shared(code, messages(99));
    check(&[("lib/libx.so", changed.clone())], &["Contents"], false);
    let mut nameless = changed.clone();
    nameless[0] = b'x';
    check(&[("share/blob", nameless)], &["Contents"], false);
    check(&[("share/blob", [own(6, 100_000), changed, own(7, 100_000)].concat())], &["Contents"], false);
}

/// Messages beyond what the functions found can have say that more of the library is there than was found.
#[test]
fn a_suspicion_survives_what_does_not_explain_it() {
    let with = |functions: &[Vec<u8>]| {
        library(&[text([own(3, 2000), functions.concat()].concat()), (".rodata", false, messages(99))])
    };
    check(&[("bin/app", with(&all()))], &["static"], true);
    check(&[("bin/app", with(&all()[..40]))], &["static"], true);
    check(&[("bin/app", with(&all()[..5]))], &["static", "suspected"], false);
    check(&[("bin/app", with(&[]))], &["suspected"], false);
}

/// A vendor's file beside something that is no application.
#[test]
fn an_application_has_code_of_its_own() {
    let vendors = || {
        library(&[(".text", true, own(1, 60_000)), (".rodata", false, messages(100)), (".data", false, own(2, 9000))])
    };
    let beside = |path: &str, bytes: Vec<u8>, application: bool| {
        check(&[("lib/libv.so.1", vendors()), (path, bytes)], &["copy"], application);
    };
    beside("lib/own", b"own".to_vec(), false);
    beside("app.py", b"1".to_vec(), false);
    beside("bin/app", library(&[text(own(3, 250))]), false);
    beside("bin/app", library(&[text(own(3, 5000))]), true);
    beside("lib/pkgconfig/v.pc", b"Name: v\n".repeat(500), false);
    let lines = |line: &str| (0..50).map(|n| line.replace('#', &n.to_string())).collect::<String>().into_bytes();
    let script = |body: Vec<u8>| [b"#!/bin/sh\n".to_vec(), body].concat();
    beside("bin/app", script(lines("if test -e \"$file\"; then work #; fi\n")), true);
    beside("bin/app", script(b"if test -e \"$file\"; then work; fi\n".repeat(50)), false);
    // The same few bytes again and again, and code that is somebody's padding.
    beside("bin/app", library(&[text(own(3, 200).repeat(30))]), false);
    beside("bin/app", library(&[text([own(3, 200), vec![0xcc; 9000]].concat())]), false);
    // In an archive as well, however deep.
    let inner = archive(&[("app.py", lines("value = compute#(value)\n"))]);
    beside("share/app.a", archive(&[("inner.a", inner)]), true);
    beside("share/app.a", archive(&[("libv.so.1", b"nothing".to_vec())]), false);
}

/// Bytes made so that comparing them would not end are a gap after so much work as their size is worth.
#[test]
fn the_work_is_bounded_by_the_size() {
    // Functions that agree in all bytes that no relocation patches, and so have one anchor.
    let mut prints = Fingerprints::default();
    let material = prints.material(&Material::of_package("vendor-1", vec![]));
    let original = prints.original(material, "libv.a");
    let same = noise(1, 48);
    let mut scratch = Vec::new();
    let candidates = (0..400u32).filter_map(|number| {
        let bytes = [same.clone(), vec![0; 1000 + number as usize]].concat();
        let masked = vec![(48, 1000 + number)];
        functions::candidate(&crate::binary::Function { bytes: &bytes, masked }, &mut scratch)
    });
    let functions: Vec<_> = candidates.map(|one| functions::Frequencies::default().choose(one)).collect();
    assert_eq!(functions.len(), 400);
    prints.add_functions(original, "v.o", functions);
    let corpus = prints.to_corpus();
    let bytes = same.repeat(3 << 20 >> 5);
    let found = functions::look(&[(0, &bytes)], &corpus);
    assert!(found.ended_early);
    assert!(found.compared < 20 * bytes.len() as u64, "{} for {}", found.compared, bytes.len());
    let file = AuditFile { path: "x".to_owned(), contents: Contents::Bytes(&bytes) };
    let findings = audit(&[file], &corpus, Limits::default()).findings;
    let gap = |finding: &Finding| matches!(finding, Finding::NotFullyAudited { gap: Gap::TooManyCandidates, .. });
    assert!(findings.iter().any(gap), "{findings:?}");
    // A stretch of it in a file that is otherwise ordinary is compared to its end.
    let once: Vec<u8> = [same.repeat(200), vec![0; 10 << 20]].concat();
    let found = functions::look(&[(0, &once)], &corpus);
    assert!(!found.ended_early && found.compared > 32 << 20, "{}", found.compared);
    // What is ordinary stays far below.
    let ordinary = functions::look(&[(0, &all().concat())], &self::corpus());
    assert!(!ordinary.ended_early && ordinary.compared < 4 * FUNCTIONS * 400, "{}", ordinary.compared);
}

#[test]
fn why_a_file_is_a_copy_is_said() {
    let change = |form| Change::Parts { parts: crate::Parts::Functions, found: 5, known: 9, form }.to_string();
    assert_eq!(change(Form::NotLinked), "5 of 9 functions are in the file, which is not linked");
    assert_eq!(change(Form::SameName), "5 of 9 functions are in the file, which has the original's name");
}
