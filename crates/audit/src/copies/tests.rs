//! Tests of copies, with libraries made here.

use super::*;
use crate::made::{library, noise};
use crate::{AuditFile, Contents, Corpus, Fingerprints, Layer, Limits, Material, Source, audit, learn};

fn add(prints: &mut Fingerprints, package: &str, path: &str, bytes: &[u8]) {
    let source = Source::new(format!("sha256:{package}"), "n", Material::of_package(package, vec![]));
    let file = AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) };
    let learned = learn(prints, &source, &[file], Limits::default());
    assert!(learned.gaps.is_empty(), "{:?}", learned.gaps);
}

/// What is found: kind and material.
fn found(corpus: &Corpus, bytes: &[u8]) -> Vec<String> {
    let file = AuditFile { path: "lib/libx.so".to_owned(), contents: Contents::Bytes(bytes) };
    let findings = audit(&[file], corpus, Limits::default()).findings;
    let material = |finding: &Finding| finding.origin().map_or(String::new(), |origin| origin.material.name.clone());
    findings.iter().map(|finding| format!("{} {}", finding.kind(), material(finding)).trim().to_owned()).collect()
}

/// Another vendor's static library: three functions of 300 bytes, in a relocatable object of aarch64.
const OTHER: &[u8] = include_bytes!("../../tests/data/vendor-aarch64.a");

/// The code of a library that was linked with it.
fn linked_with_other() -> Vec<u8> {
    let linked = include_bytes!("../../tests/data/linked-aarch64.so");
    let file = binary::parse(linked, None).unwrap().unwrap();
    let code = crate::loader::Layout::of(&file, linked.len()).code;
    let (from, to) = code.into_iter().max_by_key(|(from, to)| to - from).unwrap();
    linked[from as usize..to as usize].to_vec()
}

#[test]
fn what_somebody_put_into_a_copy_is_found() {
    let text = (".text", true, noise(1, 5000));
    let original = library(&[text.clone(), (".rodata", false, noise(2, 3000))]);
    let mut prints = Fingerprints::default();
    add(&mut prints, "one-1", "lib/libone.so.1", &original);
    add(&mut prints, "two-2", "lib/libtwo.a", OTHER);
    let corpus = prints.to_corpus();
    assert_eq!(found(&corpus, &original), ["copy one"]);
    let stripped = library(&[text.clone(), (".data", false, noise(9, 100))]);
    assert_eq!(found(&corpus, &stripped), ["modified-copy one"]);
    let hiding = library(&[text.clone(), (".text.more", true, linked_with_other())]);
    assert_eq!(found(&corpus, &hiding), ["modified-copy one", "static two"]);
    // The same where only the data is the original's.
    let replaced = library(&[(".text", true, linked_with_other()), (".rodata", false, noise(2, 3000))]);
    assert_eq!(found(&corpus, &replaced), ["modified-copy one", "static two"]);
}

/// A vendor's library that has another one's code in it since it was made is just that vendor's.
#[test]
fn what_was_in_the_original_is_not_found_again() {
    let text = (".text", true, linked_with_other());
    let original = library(&[text.clone(), (".rodata", false, noise(2, 3000))]);
    let mut prints = Fingerprints::default();
    add(&mut prints, "one-1", "lib/libone.so.1", &original);
    add(&mut prints, "two-2", "lib/libtwo.a", OTHER);
    let corpus = prints.to_corpus();
    let patched = library(&[text, (".rodata", false, noise(2, 3000)), (".comment", false, b"patched".to_vec())]);
    assert_eq!(found(&corpus, &patched), ["modified-copy one"]);
}

#[test]
fn what_stands_behind_a_copy_is_looked_at() {
    let original = library(&[(".text", true, noise(1, 50_000))]);
    let archived = [b"TEXT".to_vec(), noise(3, 9000)].concat();
    let mut prints = Fingerprints::default();
    add(&mut prints, "one-1", "lib/libone.so.1", &original);
    add(&mut prints, "two-2", "share/two.bin", &archived);
    let corpus = prints.to_corpus();
    assert_eq!(found(&corpus, &[&original[..], &[0; 99]].concat()), ["modified-copy one"]);
    // A zip with one stored member, behind the copy; its places count from the beginning of the file.
    let (at, size, crc) = (original.len() as u32, archived.len() as u32, crc32(&archived));
    let fields = |entry: &mut Vec<u8>| {
        entry.extend_from_slice(&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        [crc, size, size].iter().for_each(|field| entry.extend_from_slice(&field.to_le_bytes()));
        entry.extend_from_slice(&[1, 0, 0, 0]);
    };
    let (mut local, mut central) = (b"PK\x03\x04".to_vec(), b"PK\x01\x02\x14\0".to_vec());
    fields(&mut local);
    fields(&mut central);
    central.extend_from_slice(&[0; 10]);
    central.extend_from_slice(&at.to_le_bytes());
    let mut zip = [&original[..], &local, b"m", &archived].concat();
    let directory = zip.len() as u32;
    zip.extend_from_slice(&[&central[..], b"m"].concat());
    zip.extend_from_slice(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend_from_slice(&(central.len() as u32 + 1).to_le_bytes());
    zip.extend_from_slice(&directory.to_le_bytes());
    zip.extend_from_slice(&[0, 0]);
    assert_eq!(found(&corpus, &zip), ["modified-copy one", "copy two"]);
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[test]
fn headers_tell_what_was_done() {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let original = FilePrint {
        original: 0,
        member: None,
        size: 1000,
        heads: vec![],
        sections: vec![],
        links: Links {
            needed: list(&["libc.so.6", "librt.so.1"]),
            soname: Some("libv.so".to_owned()),
            ..Links::default()
        },
    };
    let same = original.links.clone();
    assert_eq!(changes(&original, &[], &same, 1010), [Change::Padded { bytes: 10 }]);
    let patched = Links { needed: list(&["libc.so.6", "libx.so"]), runpath: list(&["$ORIGIN"]), ..same.clone() };
    let shown: Vec<String> = changes(&original, &[], &patched, 1000).iter().map(Change::to_string).collect();
    assert_eq!(shown, ["RPATH: none → $ORIGIN", "NEEDED: without librt.so.1, with libx.so"]);
    let gone = Section { name: ".symtab".to_owned(), original: Some(9), found: None };
    let moved = Section { name: ".dynstr".to_owned(), original: Some(9), found: Some(8) };
    assert_eq!(changes(&original, &[moved, gone], &same, 900), [Change::Stripped { sections: list(&[".symtab"]) }]);
}

#[test]
fn what_is_not_the_originals_lies_between() {
    let file = [0u8; 100];
    let own = Own::new([60..80, 10..20, 15..30], "v");
    let lengths: Vec<usize> = own.others(&file).iter().map(|part| part.len()).collect();
    assert_eq!(lengths, [10, 30, 20]);
    assert_eq!(Own::new([], "v").others(&file), [&file[..]]);
    assert!(Own::new(Some(0..100), "v").others(&file).is_empty());
}

#[test]
fn sections_are_compared_by_name() {
    let print = |name: &str, size: u64, byte: u8| SectionPrint { name: name.to_owned(), size, hash: u64::from(byte) };
    let before = [print(".text", 5000, 1), print(".dynstr", 10, 2), print(".comment", 3, 3), print(".init", 9, 4)];
    let after = [print(".text", 5000, 1), print(".dynstr", 20, 5), print(".init", 9, 4), print(".extra", 7, 6)];
    let (same, changed) = compare(&before, &after);
    assert_eq!(same, [".text"]);
    let row = |name: &str, original, found| Section { name: name.to_owned(), original, found };
    assert_eq!(
        changed,
        [row(".comment", Some(3), None), row(".dynstr", Some(10), Some(20)), row(".extra", None, Some(7))]
    );
}

/// A package that was learned here has the vendor's library, as it is or changed, and gives it a name of its own.
#[test]
fn no_owner_silences_another() {
    let text = (".text", true, noise(1, 5000));
    let original = library(&[text.clone(), (".rodata", false, noise(2, 3000))]);
    let changed = library(&[text.clone(), (".rodata", false, noise(3, 4000))]);
    let unlike = library(&[(".text", true, linked_with_other()), (".rodata", false, noise(4, 5000))]);
    let shipped = |files: &[(&str, &str, &[u8])]| {
        let mut prints = Fingerprints::default();
        files.iter().for_each(|(package, path, bytes)| add(&mut prints, package, path, bytes));
        Layer::new(prints.to_bytes()).unwrap()
    };
    let check = |learned: &[u8], ships: &[(&str, &str, &[u8])], bytes: &[u8], expected: &[&str]| {
        let own = shipped(&[("own-1", "lib/libown.so", learned)]);
        assert_eq!(found(&Corpus::layered(vec![own], vec![shipped(ships)]), bytes), expected);
    };
    let vendor: [(&str, &str, &[u8]); 1] = [("vendor-1", "lib/libvendor.so.1", &original)];
    let cut = &original[..4100];
    check(&original, &vendor, &original, &["copy own", "copy vendor"]);
    check(&changed, &vendor, &changed, &["copy own", "modified-copy vendor"]);
    check(&changed, &vendor, &original, &["copy vendor"]);
    check(&original, &vendor, cut, &["modified-copy own", "modified-copy vendor"]);
    check(&original, &vendor, &[&original[..], b"more"].concat(), &["modified-copy own", "modified-copy vendor"]);
    let stripped = library(&[text, (".data", false, noise(9, 100))]);
    check(&original, &vendor, &stripped, &["modified-copy own", "modified-copy vendor"]);
    check(&unlike, &[("two-2", "lib/libtwo.a", OTHER)], &unlike, &["copy own", "static two"]);
    let patched = [&unlike[..], b"more"].concat();
    check(&unlike, &[("two-2", "lib/libtwo.a", OTHER)], &patched, &["modified-copy own", "static two"]);
}
