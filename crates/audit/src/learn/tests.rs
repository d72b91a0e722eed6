//! Tests of what is learned, from whom, and what is left out.

use super::*;
use crate::{Finding, audit};

fn file<'a>(path: &str, bytes: &'a [u8]) -> AuditFile<'a> {
    AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) }
}

fn learned(prints: &mut Fingerprints, files: &[AuditFile<'_>]) -> Learned {
    let material = Material::of_package("vendor-1", vec!["unfree".to_owned()]);
    let source = Source::new("sha256:a", "n", material);
    learn(prints, &source, files, Limits::default())
}

#[test]
fn what_was_learned_is_found_by_its_bytes_and_not_by_its_name() {
    let header = [b'h'; 100];
    let mut prints = Fingerprints::default();
    assert_eq!(learned(&mut prints, &[file("include/v.h", &header)]).files, 1);
    let report = audit(&[file("x/renamed", &header), file("y", b"other")], &prints.to_corpus(), Limits::default());
    let [Finding::Copy { place, original, .. }] = report.findings.as_slice() else { panic!("{report:?}") };
    assert_eq!((place.to_string().as_str(), original.file.as_str()), ("x/renamed", "include/v.h"));
}

#[test]
fn license_texts_and_stamps_are_not_learned() {
    let long = [b'x'; 500];
    let files = [
        file("share/LICENSE.txt", &long),
        file("share/third-party-programs.txt", &long),
        file("x.dist-info/WHEEL", &long),
        file("__init__.py", b""),
    ];
    assert_eq!(learned(&mut Fingerprints::default(), &files).files, 0);
    // A program is not let off for its name.
    let program = [0u8; 500];
    assert_eq!(learned(&mut Fingerprints::default(), &[file("bin/license-server", &program)]).files, 1);
}

#[test]
fn patterns_stand_for_names() {
    let check = |pattern: &str, name: &str, yes: bool| assert_eq!(is_match(pattern, name), yes, "{pattern} {name}");
    check("libcrypto-lib-*.o", "libcrypto-lib-sha256-x86_64.o", true);
    check("libcrypto-lib-*.o", "ptxjitcompiler_sealed.o", false);
    check("*sha*", "libcrypto-lib-sha256-x86_64.o", true);
    check("a.o", "a.o", true);
    check("a.o", "ba.o", false);
    check("a*a", "a", false);
    check("*", "", true);
}

#[test]
fn learning_twice_adds_nothing_and_changes_no_byte() {
    let bytes = [b'q'; 100];
    let mut prints = Fingerprints::default();
    learned(&mut prints, &[file("f", &bytes)]);
    let once = prints.to_bytes();
    let again = learned(&mut prints, &[file("f", &bytes)]);
    assert_eq!((again.files, again.functions), (0, 0));
    assert_eq!(prints.to_bytes(), once);
}

#[test]
fn what_free_software_has_as_well_accuses_nobody() {
    let header = [b'h'; 100];
    let mut prints = Fingerprints::default();
    learned(&mut prints, &[file("include/v.h", &header)]);
    let material = Material::of_package("zlib-1.3", vec![]);
    let source = Source::new("sha256:b", "n", material);
    let corpus = prints.to_corpus();
    learn_free(&mut prints, &corpus, &source, &[file("h", &header)], Limits::default());
    let corpus = prints.to_corpus();
    assert_eq!(audit(&[file("x", &header)], &corpus, Limits::default()).findings, []);
    assert_eq!(corpus.subtracted().collect::<Vec<_>>(), ["zlib-1.3"]);
}

/// Releases of one library: its code is the same in some of them, its data in others, and each has a build of its own.
fn releases() -> Vec<Vec<u8>> {
    let section = |name: &'static str, seed: u64| (name, name == ".text", crate::made::noise(seed, 8000));
    (0..6u64)
        .map(|release| {
            crate::made::library(&[
                section(".text", release / 3),
                section(".rodata", 10 + release / 2),
                section(".data", 20 + release),
                (".note.gnu.build-id", false, crate::made::noise(30 + release, 20)),
            ])
        })
        .collect()
}

#[test]
fn every_original_is_found_as_a_copy_however_little_it_differs_from_another_one() {
    let originals = releases();
    let check = |one_package: bool, supply: Supply| {
        let mut prints = Fingerprints::default();
        for (number, bytes) in originals.iter().enumerate() {
            let package = if one_package { format!("vendor-{number}") } else { format!("vendor{number}-1") };
            let source = Source::new(format!("sha256:{number}"), "n", Material::of_package(&package, vec![]));
            let one =
                learn(&mut prints, &Source { supply, ..source }, &[file("lib/libv.so.1", bytes)], Limits::default());
            assert_eq!(one.files, 1, "{number}");
        }
        let corpus = prints.to_corpus();
        for (number, bytes) in originals.iter().enumerate() {
            let found = audit(&[file("x", bytes)], &corpus, Limits::default()).findings;
            let [Finding::Copy { original, .. }] = found.as_slice() else { panic!("{number}: {found:?}") };
            let of =
                if one_package { original.material.version.clone() } else { original.material.name[6..].to_owned() };
            assert_eq!(of, number.to_string());
        }
    };
    check(true, Supply::Operator);
    check(false, Supply::Operator);
    check(true, Supply::Fetched);
}

/// What was found of a library beside an original, and how it is said.
#[test]
fn only_what_no_original_explains_is_a_modification() {
    let section = |name: &'static str, seed: u64| (name, name == ".text", crate::made::noise(seed, 8000));
    let made = |text: u64, rodata: u64, data: u64, id: u64| {
        let id = (".note.gnu.build-id", false, crate::made::noise(id, 20));
        crate::made::library(&[section(".text", text), section(".rodata", rodata), section(".data", data), id])
    };
    let mut prints = Fingerprints::default();
    for (number, (text, rodata)) in [(1, 11), (1, 12), (2, 13)].into_iter().enumerate() {
        let package = Material::of_package(&format!("vendor-{number}"), vec![]);
        let source = Source::new(format!("sha256:{number}"), "n", package);
        let bytes = made(text, rodata, 20, 30 + number as u64);
        learn(&mut prints, &source, &[file("lib/libv.so.1", &bytes)], Limits::default());
    }
    let corpus = prints.to_corpus();
    let check = |bytes: &[u8], other_build: bool| {
        let found = audit(&[file("x", bytes)], &corpus, Limits::default()).findings;
        let [finding @ Finding::ModifiedCopy { .. }] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(finding.is_other_build(), other_build, "{finding:?}");
    };
    check(&made(1, 11, 21, 40), true);
    check(&made(1, 11, 20, 40), true);
    // The code of one release with the constants of another one.
    check(&made(2, 12, 20, 40), true);
    // Data that differ without another build, and what nobody has.
    check(&made(1, 11, 21, 30), false);
    check(&made(1, 99, 20, 40), false);
    check(&made(99, 11, 20, 40), false);
}

#[test]
fn what_a_build_made_of_an_original_is_no_original() {
    let originals = releases();
    let mut prints = Fingerprints::default();
    learned(&mut prints, &[file("lib/libv.so.1", &originals[0])]);
    let source = Source::new("sha256:b", "n", Material::of_package("vendor-2", vec!["unfree".to_owned()]));
    let built = Source { supply: Supply::Built, ..source };
    assert_eq!(learn(&mut prints, &built, &[file("lib/libv.so.1", &originals[1])], Limits::default()).files, 0);
    let found = audit(&[file("x", &originals[1])], &prints.to_corpus(), Limits::default()).findings;
    assert!(matches!(found.as_slice(), [Finding::ModifiedCopy { .. }]), "{found:?}");
    assert!(found[0].is_other_build());
}

/// Learns a file for a package; gives the files that this package is an owner of afterwards.
fn owned(
    prints: &mut Fingerprints,
    known: Option<&Known<'_>>,
    (package, supply): (&str, Supply),
    path: &str,
    bytes: &[u8],
) -> bool {
    let source = Source::new(format!("sha256:{package}"), "n", Material::of_package(package, vec![]));
    learn_beside(prints, known, &Source { supply, ..source }, &[file(path, bytes)], Limits::default());
    let report = audit(&[file("x", bytes)], &Corpus::layered(vec![layer(prints)], vec![]), Limits::default());
    let owner = |finding: &Finding| finding.origin().is_some_and(|origin| origin.material.package() == package);
    report.findings.iter().any(owner)
}

fn layer(prints: &Fingerprints) -> crate::Layer {
    crate::Layer::new(prints.to_bytes()).unwrap()
}

#[test]
fn whoever_was_delivered_a_file_owns_it() {
    use Supply::{Built, Fetched};
    let bytes = [b'v'; 5000];
    let check = |first: (&str, Supply), second: (&str, Supply), both: bool| {
        let mut prints = Fingerprints::default();
        assert!(owned(&mut prints, None, first, "lib/libv.so", &bytes));
        assert_eq!(owned(&mut prints, None, second, "lib/libw.so", &bytes), both, "{first:?} {second:?}");
    };
    check(("one-1", Fetched), ("two-1", Fetched), true);
    check(("one-1", Fetched), ("two-1", Built), false);
    check(("one-1", Built), ("two-1", Fetched), true);
    check(("one-1", Built), ("two-1", Built), true);
}

#[test]
fn what_ships_has_no_second_owner() {
    let words = |seed: u32| -> String { (0..500).map(|n| format!("int word{}_{n}(int);\n", seed)).collect() };
    let text = words(1);
    let mut shipped = Fingerprints::default();
    let source = Source::new("sha256:v", "n", Material::of_package("vendor-1", vec![]));
    learn(&mut shipped, &source, &[file("v.h", text.as_bytes()), file("v.bin", &[0; 5000])], Limits::default());
    let corpus = Corpus::new(vec![layer(&shipped)]);
    let check = |path: &str, bytes: &[u8], expected: bool| {
        let may_share = |origin: &Origin, file: &str| origin.file == file;
        let known = Known::new(&corpus, &may_share);
        let mut prints = Fingerprints::default();
        assert_eq!(owned(&mut prints, Some(&known), ("own-1", Supply::Fetched), path, bytes), expected, "{path}");
    };
    check("v.h", text.as_bytes(), true);
    check("own.h", text.as_bytes(), false);
    check("own.h", format!("// mine\n{text}").as_bytes(), false);
    check("own.bin", &[0; 5000], false);
    check("own.h", words(2).as_bytes(), true);
    check("own.bin", &[1; 5000], true);
}

/// Of a library that is like free ones neither names nor messages are learned; it is known as a whole all the same.
#[test]
fn an_open_interface_is_nobodys() {
    let messages: String = (0..40).map(|number| format!("\0this is message number {number}")).collect();
    let bytes = crate::made::library(&[
        (".text", true, crate::made::noise(1, 3000)),
        (".rodata", false, (messages + "\0").into_bytes()),
    ]);
    let check = |open_interface: bool, messages: usize| {
        let mut prints = Fingerprints::default();
        let material = Material::of_package("vendor-1", vec![]);
        let source = Source { open_interface, ..Source::new("sha256:v", "n", material) };
        learn(&mut prints, &source, &[file("libv.so", &bytes)], Limits::default());
        assert_eq!(prints.strings.len(), messages, "{open_interface}");
        let found = crate::audit(&[file("x.so", &bytes)], &prints.to_corpus(), Limits::default()).findings;
        assert!(matches!(found.as_slice(), [crate::Finding::Copy { .. }]), "{found:?}");
    };
    check(false, 40);
    check(true, 0);
}
