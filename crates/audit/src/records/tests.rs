//! Tests of the records: what is found by its bytes, what by its name, and what is left alone.

use super::*;
use crate::binary::Links;
use crate::corpus::Corpus;
use crate::finding::{DriverSign, Finding, Sign};
use crate::made;
use crate::{AuditFile, Contents, Fingerprints, Layer, Limits, Material, Source, audit, learn};
use proptest::prelude::*;
use std::fmt::Write as _;

/// Records of five wheels: three of two releases of one package, one of another one under the same license, one under another.
fn records(files: &[(&str, &[u8], &str)], names: &[(&str, &str)]) -> Records {
    let mut lines = "package\tone\tunfree\npackage\tother\tunfree\npackage\tthird\tissl\n\
                     release\t0\t1.0\tlinux\nrelease\t0\t2.0\tlinux\nrelease\t0\t2.0\tlinux\n\
                     release\t1\t5\twindows\nrelease\t2\t7\tlinux\n"
        .to_owned();
    for (path, bytes, releases) in files {
        let hash: String = Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        writeln!(lines, "file\t{}\t{hash}\t{path}\t{releases}", bytes.len()).unwrap();
    }
    for (name, said) in names {
        writeln!(lines, "name\t{name}\tlib/{name}\t1\t{said}").unwrap();
    }
    Records::new(pack_records(&lines).unwrap()).unwrap()
}

fn found(records: Records, name: &str, bytes: &[u8]) -> Vec<Finding> {
    let corpus = Corpus::new(Vec::new()).with_records(Some(records));
    let file = AuditFile { path: name.to_owned(), contents: Contents::Bytes(bytes) };
    audit(&[file], &corpus, Limits::default()).findings
}

fn release(package: &str, platform: &str, versions: &[&str]) -> Release {
    let versions = versions.iter().map(|version| (*version).to_owned()).collect();
    Release { package: package.to_owned(), platform: platform.to_owned(), versions }
}

#[test]
fn a_file_is_a_copy_of_the_newest_release_and_all_equal_ones_are_named() {
    let bytes = made::noise(1, 3000);
    let all = [("a/x.bin", bytes.as_slice(), "1,0,2"), ("b/x.bin", &bytes, "3")];
    let [Finding::Copy { original, releases, .. }] = &*found(records(&all, &[]), "renamed", &bytes) else { panic!() };
    assert_eq!((original.material.package().as_str(), original.file.as_str()), ("other-5", "b/x.bin"));
    assert_eq!(*releases, [release("one", "linux", &["1.0", "2.0"]), release("other", "windows", &["5"])]);
    // Terms of each license that it is under are asked.
    let two = [("a/x.bin", bytes.as_slice(), "0"), ("c/x.bin", &bytes, "4")];
    let of = |finding: &Finding| finding.origin().unwrap().material.licenses.concat();
    assert_eq!(found(records(&two, &[]), "x", &bytes).iter().map(of).collect::<Vec<_>>(), ["issl", "unfree"]);
}

#[test]
fn another_file_of_the_same_size_accuses_nobody() {
    let (bytes, mut other) = (made::noise(1, 3000), made::noise(1, 3000));
    other[2999] ^= 1;
    for bytes in [&other[..], &bytes[..2999], &[&bytes[..], b"x"].concat()] {
        assert_eq!(found(records(&[("x.bin", &made::noise(1, 3000), "0")], &[]), "x.bin", bytes), []);
    }
}

#[test]
fn members_of_archives_are_found() {
    let bytes = made::noise(1, 3000);
    let archive = made::archive(&[("x.bin", bytes.clone())]);
    let found = found(records(&[("x.bin", &bytes, "0")], &[]), "x.a", &archive);
    let [Finding::Copy { place, .. }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(place.to_string(), "x.a!x.bin");
}

#[test]
fn names_have_one_form() {
    let check = |name: &str, expected: &str| assert_eq!(names::key(name), expected, "{name}");
    check("lib/libcupti.so.12", "libcupti.so");
    check("libcupti.so.2025.3.1", "libcupti.so");
    check("libcudart-a7b20f20.so.11.0", "libcudart.so");
    check("libcudart.41118559.so.12", "libcudart.so");
    check("libcudart.2024.so.12", "libcudart.2024.so");
    check("libnvrtc-builtins.so.13.0", "libnvrtc-builtins.so");
    check("libx.something.so-old", "libx.something.so-old");
    check("CUPTI64_2025.2.1.dll", "cupti64.dll");
    check("mkl_avx2.2.dll", "mkl_avx2.dll");
    check("nvrtc-builtins64_120.dll", "nvrtc-builtins64.dll");
    check("libmkl_core.2.dylib", "libmkl_core.dylib");
    check("_1.dll", "_1.dll");
    check("bin/nvdisasm", "nvdisasm");
    check("libdevice.10.bc", "libdevice.10.bc");
}

#[test]
fn a_vendors_name_is_a_suspicion_where_nothing_explains_the_file() {
    let library = made::library(&[(".text", true, made::noise(7, 3000))]);
    let names = [("libcupti.so.12", ""), ("libiomp5.so", "Intel(R) OMP"), ("nvdisasm", ""), ("libdevice.10.bc", "")];
    let check = |name: &str, bytes: &[u8], expected: Option<&str>| {
        let found = found(records(&[], &names), name, bytes);
        let of = |finding: &Finding| match finding {
            Finding::Suspected { like, signs, .. } => {
                assert!(matches!(signs.as_slice(), [Sign::Name { .. }]));
                like.file.clone()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(found.iter().map(of).collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>(), "{name}");
    };
    check("lib/libcupti.so.11.8", &library, Some("lib/libcupti.so.12"));
    check("lib/libcupti-0a1b2c3d.so.11", &library, Some("lib/libcupti.so.12"));
    check("bin/nvdisasm", &library, Some("lib/nvdisasm"));
    check("share/libdevice.10.bc", &[b"BC\xc0\xde".as_slice(), &[7; 900]].concat(), Some("lib/libdevice.10.bc"));
    check("lib/libcupti_static.a", &made::archive(&[("x.o", vec![7; 900])]), Some("lib/libcupti.so.12"));
    check("lib/libmine_static.a", &made::archive(&[("x.o", vec![7; 900])]), None);
    check("lib/libmine.so", &library, None);
    check("bin/nvdisasm", b"#!/bin/sh\nexec something else\n", None);
    check("share/libdevice.10.bc", &[7; 900], None);
    // Free software has the same name, and says other things.
    check("lib/libiomp5.so", &library, None);
    let says = |text: &[u8]| made::library(&[(".text", true, made::noise(7, 3000)), (".rodata", false, text.to_vec())]);
    check("lib/libiomp5.so", &says(b"\0LLVM OMP version: 5.0\0"), None);
    check("lib/libiomp5.so", &says(b"\0Intel(R) OMP Copyright (C) 1997-2024\0"), Some("lib/libiomp5.so"));
    check("lib/libiomp5.so", &says(b"I\0n\0t\0e\0l\0(\0R\0)\0 \0O\0M\0P\0"), Some("lib/libiomp5.so"));
}

/// What a file includes does not say what it is.
#[test]
fn a_vendors_name_is_a_suspicion_beside_what_the_file_includes() {
    let functions: Vec<Vec<u8>> = (0..60).map(|number| made::noise(1000 + number, 700)).collect();
    let mut prints = Fingerprints::default();
    let source = Source::new("sha256:inner", "n", Material::of_package("inner-1", vec![]));
    let inner = made::archive(&[("i.o", made::object(&functions))]);
    let file = AuditFile { path: "lib/libinner_static.a".to_owned(), contents: Contents::Bytes(&inner) };
    learn(&mut prints, &source, &[file], Limits::default());
    let library = made::library(&[(".text", true, [made::noise(7, 30_000), functions.concat()].concat())]);
    let check = |name: &str, expected: &[&str]| {
        let records = records(&[], &[("libcupti.so.12", ""), ("libinner.so", "")]);
        let corpus = prints.to_corpus().with_records(Some(records));
        let file = AuditFile { path: name.to_owned(), contents: Contents::Bytes(&library) };
        let found = audit(&[file], &corpus, Limits::default()).findings;
        assert_eq!(found.iter().map(Finding::kind).collect::<Vec<_>>(), expected, "{name}: {found:?}");
    };
    check("lib/libmine.so", &["static"]);
    check("lib/libcupti.so.11", &["static", "suspected"]);
    // What is found under its own name is told already.
    check("lib/libinner.so.9", &["modified-copy"]);
}

/// NVIDIA's library for devices is told by the names of its functions, whatever it is called.
#[test]
fn bitcode_with_the_functions_of_a_device_library_is_a_suspicion() {
    let bitcode = |count: usize, prefix: &str| {
        let names: String = (0..count).map(|number| format!("{prefix}f{number}")).collect();
        [b"BC\xc0\xde".as_slice(), &made::noise(1, 3000), names.as_bytes(), &made::noise(2, 3000)].concat()
    };
    let check = |bytes: &[u8], suspected: bool| {
        let found = found(records(&[], &[("libdevice.10.bc", "")]), "share/mine.bc", bytes);
        let is = |finding: &Finding| matches!(finding, Finding::Suspected { signs, .. } if matches!(signs[..], [Sign::Interface { .. }]));
        assert_eq!(found.iter().any(is), suspected, "{found:?}");
    };
    check(&bitcode(200, "__nv_"), true);
    check(&bitcode(100, "__nv_"), false);
    check(&bitcode(300, "__my_"), false);
    // One function that is called often, and text that is no bitcode.
    check(&[b"BC\xc0\xde".as_slice(), "__nv_sinf".repeat(300).as_bytes()].concat(), false);
    check(&bitcode(200, "__nv_")[4..], false);
}

#[test]
fn the_name_under_which_others_link_a_library_counts_as_well() {
    let library = made::library(&[(".text", true, made::noise(7, 3000))]);
    let file = object::File::parse(library.as_slice()).unwrap();
    let place = crate::Place { file: "lib/mine.so".to_owned(), members: Vec::new() };
    let records = records(&[], &[("libcupti.so.12", "")]);
    let of = |soname: &str| {
        let links = Links { soname: Some(soname.to_owned()), ..Links::default() };
        suspicion(&records, &place, "x", (&library, Some(&file)), &links)
    };
    let Some(Finding::Suspected { signs, .. }) = of("libcupti.so.12") else { panic!() };
    assert_eq!(signs, [Sign::Name { name: "libcupti.so.12".to_owned(), by: DriverSign::Soname }]);
    assert_eq!(of("libother.so.12"), None);
}

/// Wine has libraries with the names of Microsoft's, and names Microsoft in their version resources.
#[test]
fn wines_libraries_are_its_own() {
    let mut bytes = vec![0; 0x200];
    bytes[0x100..0x115].copy_from_slice(b"Microsoft Corporation");
    assert!(names_say(&bytes));
    bytes[0x40..0x50].copy_from_slice(b"Wine builtin DLL");
    assert!(!names_say(&bytes));
}

fn names_say(bytes: &[u8]) -> bool {
    let library = [&made::library(&[(".text", true, made::noise(7, 3000))])[..0x40], &bytes[0x40..]].concat();
    let whole = made::library(&[(".text", true, made::noise(7, 3000))]);
    let file = object::File::parse(whole.as_slice()).unwrap();
    let place = crate::Place { file: "vcruntime140.dll".to_owned(), members: Vec::new() };
    let records = records(&[], &[("vcruntime140.dll", "Microsoft Corporation")]);
    suspicion(&records, &place, "x", (&library, Some(&file)), &Links::default()).is_some()
}

#[test]
fn the_same_lines_give_the_same_bytes_and_others_are_refused() {
    let bytes = |hash: &str| pack_records(&format!("package\ta\tb\nrelease\t0\t1\tc\nfile\t5\t{hash}\tp\t0\n"));
    assert_eq!(bytes("0123456789abcdef").unwrap(), bytes("0123456789abcdef").unwrap());
    assert_eq!(bytes("0123").unwrap_err().to_string(), "line 3 is no record: the hash has not 16 digits");
    for wrong in ["x", "release\t0\t1\tc", "file\tx\t0123456789abcdef\tp\t0", "name\tx\ty\t0\t", "package\ta"] {
        assert_eq!(pack_records(wrong).unwrap_err().line, 1, "{wrong}");
    }
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let bytes = pack_records("package\ta\tb\nrelease\t0\t1\tc\nfile\t5\t0123456789abcdef\tp\t0\n").unwrap();
    assert!(Records::new(bytes.clone()).is_ok());
    for at in 0..bytes.len() {
        assert!(Records::new(bytes[..at].to_vec()).is_err(), "cut at {at}");
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(Records::new(changed).is_err(), "flipped at {at}");
    }
}

proptest! {
    /// A body with a right checksum and arbitrary content is refused or read, never a panic.
    #[test]
    fn changed_bodies_do_not_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
        let sound = pack_records(
            "package\ta\tb\nrelease\t0\t1\tc\nfile\t3\tba7816bf8f01cfea\tp\t0\nname\tlibx.so\tp\t0\tq\n",
        );
        let mut body = sound.unwrap()[HEADER..].to_vec();
        for (at, value) in changes {
            let at = at.index(body.len());
            body[at] = value;
        }
        if let Ok(records) = Records::new(sign(&body)) {
            let _ = (records.find(b"abc"), records.named("libx.so"), records.size());
        }
    }
}

/// A corpus in which a package was learned, with records; and what of one of its files is found.
fn beside_learned(package: &str, license: &str, learned: &[(&str, &[u8])], records: Records) -> Corpus {
    let source = Source::new("sha256:0", "n", Material::of_package(package, vec![license.to_owned()]));
    let mut prints = Fingerprints::default();
    let files: Vec<_> = learned.iter().map(|(path, bytes)| file(path, bytes)).collect();
    learn(&mut prints, &source, &files, Limits::default());
    Corpus::layered(vec![Layer::new(prints.to_bytes()).unwrap()], Vec::new()).with_records(Some(records))
}

fn file<'a>(path: &str, bytes: &'a [u8]) -> AuditFile<'a> {
    AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) }
}

/// Of a file that a package of the set has, and a vendor published, both are asked; whose it is, is not changed by that.
#[test]
fn a_learned_owner_and_the_publisher_are_both_named() {
    let bytes = made::library(&[(".text", true, made::noise(7, 5000))]);
    let check = |license: &str, name: &str, expected: &[&str], claimed: bool| {
        let records = records(&[("lib/libx.so.1", &bytes, "0")], &[]);
        let corpus = beside_learned(name, license, &[("lib/libx.so.1", &bytes)], records);
        let report = audit(&[file("lib/libx.so.1", &bytes)], &corpus, Limits::default());
        let of = |finding: &Finding| {
            let material = &finding.origin().unwrap().material;
            format!("{} {} {}", finding.kind(), material.package(), material.licenses.concat())
        };
        assert_eq!(report.findings.iter().map(of).collect::<Vec<_>>(), expected);
        assert_eq!((report.own_code.len(), !report.claimed_code.is_empty()), (0, claimed), "{license}");
    };
    check("unfree", "wrapped-3", &["copy wrapped-3 unfree", "copy one-1.0 unfree"], true);
    check("issl", "wrapped-3", &["copy wrapped-3 issl", "copy one-1.0 unfree"], false);
}

/// What is learned beside a record is all that it has: the record knows the whole file only.
#[test]
fn a_changed_file_is_found_by_what_was_learned() {
    let text = (".text", true, made::noise(7, 5000));
    let bytes = made::library(std::slice::from_ref(&text));
    let changed = made::library(&[text, (".data", false, made::noise(8, 100))]);
    let corpus = |learned: &[(&str, &[u8])]| {
        beside_learned("wrapped-3", "unfree", learned, records(&[("lib/libx.so.1", &bytes, "0")], &[]))
    };
    let kinds = |corpus: &Corpus| {
        let found = audit(&[file("lib/libx.so.1", &changed)], corpus, Limits::default()).findings;
        found.iter().map(Finding::kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&corpus(&[("lib/libx.so.1", &bytes)])), ["modified-copy"]);
    assert_eq!(kinds(&corpus(&[])), Vec::<&str>::new());
}

/// Inside of what a package calls its own, a vendor's published file is still the vendor's.
#[test]
fn a_claimed_archive_hides_no_published_file() {
    let published = made::noise(1, 3000);
    let archive = made::archive(&[("x.bin", published.clone()), ("y.bin", made::noise(2, 3000))]);
    let corpus = beside_learned("mine-3", "unfree", &[("x.a", &archive)], records(&[("x.bin", &published, "4")], &[]));
    let found = audit(&[file("x.a", &archive)], &corpus, Limits::default()).findings;
    let of = |finding: &Finding| (finding.place().to_string(), finding.origin().unwrap().material.package());
    let [mine, theirs] = [("x.a", "mine-3"), ("x.a!x.bin", "third-7")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(found.iter().map(of).collect::<Vec<_>>(), [mine, theirs]);
}
