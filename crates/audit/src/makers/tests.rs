//! Tests of who is said to have made a program.

use super::*;
use crate::corpus::Corpus;
use crate::made::{library, noise};
use crate::{AuditFile, Contents, Limits, audit};

/// A block of a version resource.
fn block(key: &str, text: bool, value: &[u8], inner: &[u8]) -> Vec<u8> {
    let padded = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(4), 0);
    let count = if text { value.len() / 2 } else { value.len() };
    let mut bytes = [0, 0, count as u8, (count >> 8) as u8, u8::from(text), 0].to_vec();
    bytes.extend(key.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    padded(&mut bytes);
    bytes.extend_from_slice(value);
    padded(&mut bytes);
    bytes.extend_from_slice(inner);
    let length = bytes.len() as u16;
    bytes[..2].copy_from_slice(&length.to_le_bytes());
    padded(&mut bytes);
    bytes
}

/// A DLL for x86-64 with a version resource of these strings, and as an assembly for .NET if it is one.
pub(crate) fn dll(strings: &[(&str, &str)], managed: bool) -> Vec<u8> {
    let string = |(key, text): &(&str, &str)| {
        let value: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        block(key, true, &value, &[])
    };
    let table = block("040904b0", true, &[], &strings.iter().flat_map(string).collect::<Vec<_>>());
    let version = block("VS_VERSION_INFO", false, &[0; 52], &block("StringFileInfo", true, &[], &table));
    const BASE: u32 = 0x1000;
    let directory = |id: u32, to: u32| {
        let mut bytes = vec![0; 14];
        bytes.extend_from_slice(&1u16.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&to.to_le_bytes());
        bytes
    };
    let below = |offset: u32| offset | 0x8000_0000;
    let mut resources = [directory(16, below(24)), directory(1, below(48)), directory(0x409, 72)].concat();
    resources.extend_from_slice(&[BASE + 88, version.len() as u32, 0, 0].map(u32::to_le_bytes).concat());
    resources.extend_from_slice(&version);
    let mut bytes = vec![0; 0x200];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x84..0x88].copy_from_slice(&[0x64, 0x86, 1, 0]);
    bytes[0x94] = 240;
    bytes[0x96..0x98].copy_from_slice(&[0x22, 0x20]);
    bytes[0x98..0x9a].copy_from_slice(&[0x0b, 2]);
    let mut field = |at: usize, value: u32| bytes[0x98 + at..0x98 + at + 4].copy_from_slice(&value.to_le_bytes());
    field(32, 0x1000);
    field(36, 0x200);
    field(56, 0x10_0000);
    field(60, 0x200);
    field(108, 16);
    field(112 + 2 * 8, BASE);
    field(112 + 2 * 8 + 4, resources.len() as u32);
    field(112 + 14 * 8, u32::from(managed) * BASE);
    field(112 + 14 * 8 + 4, u32::from(managed) * 72);
    let mut section = |at: usize, value: u32| bytes[0x188 + at..0x188 + at + 4].copy_from_slice(&value.to_le_bytes());
    section(8, resources.len() as u32);
    section(12, BASE);
    section(16, resources.len() as u32);
    section(20, 0x200);
    section(36, 0x4000_0040);
    bytes[0x188..0x18d].copy_from_slice(b".rsrc");
    bytes.extend_from_slice(&resources);
    bytes
}

fn found(name: &str, bytes: &[u8]) -> Vec<Finding> {
    let file = AuditFile { path: name.to_owned(), contents: Contents::Bytes(bytes) };
    audit(&[file], &Corpus::new(Vec::new()), Limits::default()).findings
}

/// What is said of a DLL: nothing, `shown`, or `suspected`.
fn said(company: &str, product: &str, managed: bool) -> &'static str {
    let strings = [("CompanyName", company), ("ProductName", product)];
    let strings: Vec<_> = strings.into_iter().filter(|(_, text)| !text.is_empty()).collect();
    match found("bin/x.dll", &dll(&strings, managed)).as_slice() {
        [] => "",
        [Finding::Maker { company: named, .. }] => {
            assert_eq!(named, company);
            "shown"
        }
        [Finding::Suspected { signs, .. }] => {
            assert!(matches!(signs.as_slice(), [Sign::Maker { company: named, .. }] if named == company));
            "suspected"
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_company_is_shown_and_a_vendor_of_restricted_programs_suspected() {
    let check = |company, product, expected| assert_eq!(said(company, product, false), expected, "{company} {product}");
    check("NVIDIA Corporation", "NVIDIA CUDA 12.9.79 Runtime", "suspected");
    check("NVIDIA Corporation", "Something New", "suspected");
    check("NVIDIA Corporation", "", "suspected");
    check("Intel Corporation", "Intel(R) Some Library", "suspected");
    check("Intel(R) Corporation", "x", "suspected");
    check("Microsoft Corporation", "Microsoft® Visual Studio®", "suspected");
    check("Microsoft Corporation", "Microsoft® Windows® Operating System", "suspected");
    check("Example GmbH", "Example", "shown");
    check("Intelligent Systems", "x", "shown");
    check("Adobe Systems Incorporated", "Flash", "shown");
    check("", "A product of nobody", "");
    // What they publish under free licenses.
    check("Intel Corporation", "LLVM* OpenMP* Runtime Library", "shown");
    check("Intel Corporation", "oneAPI Threading Building Blocks (oneTBB)", "shown");
    check("Microsoft Corporation", "Microsoft® .NET", "shown");
    check("Microsoft Corporation", "Microsoft® .NET Framework", "suspected");
    check("Microsoft Corporation", "PowerShell", "shown");
    check("Microsoft Corporation", "Windows Terminal", "shown");
    check("Microsoft Corporation", "Microsoft Edge Embedded Browser WebView Loader", "shown");
    check("Microsoft Corporation", "DirectML Redistributable Library", "suspected");
}

#[test]
fn assemblies_of_microsoft_are_mostly_free() {
    let check = |product, expected| assert_eq!(said("Microsoft Corporation", product, true), expected, "{product}");
    check("Microsoft.Extensions.Logging", "shown");
    check("Microsoft® .NET Framework", "suspected");
    check("Microsoft® Windows® Operating System", "suspected");
    assert_eq!(said("NVIDIA Corporation", "x", true), "suspected");
}

#[test]
fn a_copyright_names_the_maker_where_no_company_is_named() {
    let strings = [("LegalCopyright", "© Microsoft Corporation. All rights reserved."), ("OriginalFilename", "a.dll")];
    let found = found("b.dll", &dll(&strings, false));
    let [Finding::Suspected { like, .. }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(like.file, "a.dll");
}

#[test]
fn libraries_of_wine_are_shown() {
    let mut bytes = dll(&[("CompanyName", "Microsoft Corporation"), ("ProductName", "Wine")], false);
    bytes[0x40..0x40 + 16].copy_from_slice(b"Wine builtin DLL");
    assert!(matches!(found("d3d9.dll", &bytes).as_slice(), [Finding::Maker { .. }]));
}

/// What a package of these files is said to be made by: files, copyrights, all files.
fn made(package: &str, files: &[(&str, &str)]) -> Option<(String, u32, u32, u32)> {
    let bytes: Vec<Vec<u8>> = (files.iter().enumerate())
        .map(|(number, (_, text))| {
            let text = [b"\0", text.as_bytes(), b"\0"].concat();
            library(&[(".text", true, noise(number as u64, 3000)), (".rodata", false, text)])
        })
        .collect();
    let looked: Vec<Looked> = (files.iter().zip(&bytes))
        .map(|((name, _), bytes)| {
            let place = Place { file: (*name).to_owned(), members: Vec::new() };
            let binary = crate::binary::parse(bytes, None).unwrap().unwrap();
            Looked::at(&place, package, bytes, Some(&binary), &Links::default()).unwrap()
        })
        .collect();
    sum(&looked).map(|made| (made.vendor, made.files, made.copyrights, made.of_files))
}

#[test]
fn names_and_copyrights_together_say_who_made_most_of_a_package() {
    const NVIDIA: &str = "Copyright (c) 2005-2026 NVIDIA Corporation";
    let some = |files, copyrights, all| Some(("NVIDIA".to_owned(), files, copyrights, all));
    assert_eq!(made("nvidia-new-1.0", &[("lib/libnew.so", NVIDIA), ("bin/x", ""), ("bin/y", "")]), None);
    assert_eq!(made("nvidia-new-1.0", &[("lib/libnew.so", NVIDIA), ("lib/libnvnew.so", "")]), some(2, 1, 2));
    assert_eq!(made("cuda12.9-new-1.0", &[("lib/libnew.so", NVIDIA)]), some(1, 1, 1));
    // One sign alone says nothing.
    assert_eq!(made("nvidia-new-1.0", &[("lib/libnvnew.so", ""), ("lib/libcunew.so", "")]), None);
    assert_eq!(made("new-1.0", &[("lib/libnvnew.so", NVIDIA)]), None);
    assert_eq!(made("nvidia-new-1.0", &[("lib/libnew.so", "vendor: NVIDIA Corporation")]), None);
    // Programs that NVIDIA publishes as source.
    assert_eq!(made("nvidia-settings-560", &[("bin/nvidia-settings", NVIDIA)]), None);
    assert_eq!(
        made("intel-new-1", &[("bin/new", "Copyright (C) 2003-%c%c%c%c Intel Corporation.")]).unwrap().0,
        "Intel"
    );
}

#[test]
fn packages_of_debian_are_no_libraries() {
    let place = Place { file: "nvidia-new_1.0_amd64.deb".to_owned(), members: Vec::new() };
    let at = |name: &str| {
        let bytes = crate::made::archive(&[(name, b"Copyright (c) 2026 NVIDIA Corporation".to_vec())]);
        Looked::at(&place, "nvidia-new_1.0_amd64.deb", &bytes, None, &Links::default()).is_some()
    };
    assert!(at("x.o") && !at("debian-binary"));
}

#[test]
fn a_report_says_who_made_a_package() {
    let text = b"\0Copyright (c) 2026, NVIDIA CORPORATION. All rights reserved.\0".to_vec();
    let bytes = library(&[(".text", true, noise(1, 3000)), (".rodata", false, text)]);
    let report = |name: &str| {
        let file = AuditFile { path: "lib/libnew.so".to_owned(), contents: Contents::Bytes(&bytes) };
        let corpus = Corpus::new(Vec::new());
        crate::audit_part(&[file], name, &corpus, Limits::default(), &mut crate::Budget::default()).finish(&corpus)
    };
    let made = report("nvidia-new-1.0").made.unwrap();
    assert_eq!((made.vendor.as_str(), made.files, made.copyrights), ("NVIDIA", 1, 1));
    assert_eq!(report("new-1.0").made, None);
}
