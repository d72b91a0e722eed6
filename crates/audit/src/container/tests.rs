//! What the tests of all kinds share, and what holds for all kinds.

use super::*;
use std::io::Write;

/// Everything that a walk showed.
#[derive(Default, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) blobs: Vec<String>,
    pub(super) contents: Vec<Vec<u8>>,
    pub(super) gaps: Vec<(String, Gap)>,
}

impl Visitor for Seen {
    fn blob(&mut self, place: &Place, bytes: &[u8], _: Option<Kind>) -> bool {
        self.blobs.push(place.to_string());
        self.contents.push(bytes.to_vec());
        true
    }
    fn gap(&mut self, place: Place, gap: Gap) {
        self.gaps.push((place.to_string(), gap));
    }
}

pub(super) fn see(name: &str, bytes: &[u8], limits: Limits) -> Seen {
    let mut seen = Seen::default();
    walk(Place { file: name.to_owned(), members: Vec::new() }, bytes, limits, &mut seen);
    seen
}

pub(super) fn gaps_of(name: &str, bytes: &[u8], limits: Limits) -> Vec<(String, Gap)> {
    see(name, bytes, limits).gaps
}

/// Holds that it is opened without a gap, and that exactly these members are in it.
pub(super) fn opens(name: &str, bytes: &[u8], members: &[&str]) {
    let seen = see(name, bytes, Limits::default());
    let expected: Vec<String> =
        std::iter::once(name.to_owned()).chain(members.iter().map(|member| format!("{name}!{member}"))).collect();
    assert_eq!((seen.blobs, seen.gaps), (expected, vec![]), "{name}");
}

/// Holds that whatever of its beginning is enough to recognize it by is a gap.
pub(super) fn cuts_are_gaps(name: &str, bytes: &[u8], step: usize) {
    let recognized = |end: &usize| recognize(&bytes[..*end]) != Recognized::NoArchive;
    let first = (0..bytes.len()).find(recognized).unwrap();
    assert!(first <= 512, "{name} is recognized by its first {first} bytes");
    for end in (first..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
        assert!(!gaps_of(name, &bytes[..end], Limits::default()).is_empty(), "{name} cut at {end}");
    }
}

/// Holds that changed bytes harm nobody, whatever is then seen, and that the result is the same again.
pub(super) fn flips_do_no_harm(name: &str, bytes: &[u8]) {
    let limits =
        Limits { depth: 3, member_bytes: 1 << 20, total_bytes: 4 << 20, members: 100, memory: 4 << 20, spill: None };
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            changed[at] ^= mask;
            let seen = see(name, &changed, limits);
            if at % 512 == 0 {
                assert_eq!(see(name, &changed, limits), seen);
            }
            changed[at] = bytes[at];
        }
    }
}

/// Content that does not compress, so that every cut takes some of it.
pub(super) fn noise(size: u32) -> Vec<u8> {
    (0..size).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

pub(super) fn zipped(name: &str, content: &[u8]) -> Vec<u8> {
    zip_of(&[(name.to_owned(), content.to_vec())])
}

/// A zip of members, each with its name.
pub(crate) fn zip_of(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    for (name, content) in members {
        let path = rawzip::path::EntryPath::verbatim(name.as_bytes());
        let (mut entry, config) =
            archive.new_file(path).compression_method(rawzip::CompressionMethod::DEFLATE).start().unwrap();
        let mut writer = config.wrap(flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast()));
        writer.write_all(content).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

pub(super) fn tarred(name: &str, content: &[u8]) -> Vec<u8> {
    tar_of(&[(name.to_owned(), content.to_vec())])
}

/// The same for tar.
pub(crate) fn tar_of(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn compressed(content: &[u8]) -> [(&'static str, Vec<u8>); 6] {
    let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz2.write_all(content).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(content).unwrap();
    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    lzma.write_all(content).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(content).unwrap();
    [
        ("t.gz", gzipped(content)),
        ("t.zst", zstd::encode_all(content, 1).unwrap()),
        ("t.bz2", bz2.finish().unwrap()),
        ("t.xz", xz.finish().unwrap()),
        ("t.lzma", lzma.finish().unwrap()),
        ("t.lz4", lz4.finish().unwrap()),
    ]
}

/// An archive of the kind that `ar` writes.
pub(super) fn archived(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 644, content.len()).unwrap();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

#[test]
fn archives_inside_archives_are_opened() {
    let ar = archived(&[("hi.o/", b"hi")]);
    let bytes = gzipped(&tarred("a.whl", &zipped("lib/x.a", &ar)));
    opens("b.tar.gz", &bytes, &["b.tar", "b.tar!a.whl", "b.tar!a.whl!lib/x.a", "b.tar!a.whl!lib/x.a!hi.o"]);
    for (name, bytes) in compressed(b"text") {
        opens(name, &bytes, &["t"]);
    }
    opens("t.lz", include_bytes!("../../tests/data/a.txt.lz"), &["t"]);
}

#[test]
fn packages_of_other_systems_are_opened() {
    let control = gzipped(&tarred("control", b"Package: x"));
    for (name, data) in compressed(&tarred("usr/bin/x", b"program")) {
        let data_name = name.replace('t', "data.tar").replace("zsdata.tar", "zst");
        let parts = [("debian-binary", b"2.0\n".as_slice()), ("control.tar.gz", &control), (&data_name, &data)];
        // The names in an `ar` end after 15 letters, which is enough for these.
        let seen = see("x.deb", &archived(&parts), Limits::default());
        assert_eq!(seen.gaps, []);
        assert!(seen.blobs.contains(&format!("x.deb!{data_name}!data.tar!usr/bin/x")), "{:?}", seen.blobs);
    }
    let plain = archived(&[("debian-binary", b"2.0\n"), ("data.tar", &tarred("usr/bin/x", b"program"))]);
    opens("x.deb", &plain, &["debian-binary", "data.tar", "data.tar!usr/bin/x"]);
    let made = see("small.deb", include_bytes!("../../tests/data/small.deb"), Limits::default());
    assert_eq!(made.gaps, []);
    assert!(
        made.blobs.contains(&"small.deb!data.tar.xz!data.tar!./usr/share/small/a.txt".to_owned()),
        "{:?}",
        made.blobs
    );

    let packed = zstd::encode_all(tarred("lib/x.so", b"library").as_slice(), 1).unwrap();
    opens(
        "x.conda",
        &zipped("pkg-x.tar.zst", &packed),
        &["pkg-x.tar.zst", "pkg-x.tar.zst!pkg-x.tar", "pkg-x.tar.zst!pkg-x.tar!lib/x.so"],
    );
    let [_, _, (_, bz2), ..] = compressed(&tarred("lib/x.so", b"library"));
    opens("x.tar.bz2", &bz2, &["x.tar", "x.tar!lib/x.so"]);
    opens("x-1-py3-none-any.whl", &zipped("x/__init__.py", b""), &["x/__init__.py"]);
    opens(
        "x.jar",
        &zipped("META-INF/lib.jar", &zipped("X.class", b"c")),
        &["META-INF/lib.jar", "META-INF/lib.jar!X.class"],
    );
}

#[test]
fn a_cut_archive_is_a_gap_and_its_beginning_is_seen() {
    for (name, whole) in compressed(&noise(5000)) {
        for end in [300, whole.len() / 2, whole.len() - 1] {
            assert!(!gaps_of(name, &whole[..end], Limits::default()).is_empty(), "{name} cut at {end}");
        }
        flips_do_no_harm(name, &whole[..150]);
    }
    // The mark alone is an archive without members.
    let ar = archived(&[("a/", &noise(100))]);
    assert!((9..ar.len()).all(|end| !gaps_of("x.a", &ar[..end], Limits::default()).is_empty()));
    flips_do_no_harm("x.a", &archived(&[("a/", b"content")]));
    let tar = [tarred("first", b"1"), tarred("second", &noise(200_000))].concat();
    let whole = gzipped(&tar);
    let seen = see("x.tar.gz", &whole[..whole.len() / 2], Limits::default());
    assert!(seen.blobs.contains(&"x.tar.gz!x.tar!first".to_owned()), "{:?}", seen.blobs);
    assert_eq!(seen.gaps.last().unwrap().0, "x.tar.gz");
}

#[test]
fn bounds_hold() {
    let limits =
        Limits { depth: 2, member_bytes: 1 << 20, total_bytes: 1 << 20, members: 10, memory: 8 << 20, spill: None };
    for (name, bomb) in compressed(&vec![0; 2 << 20]) {
        assert_eq!(gaps_of(name, &bomb, limits), [(name.to_owned(), Gap::TooLarge(1 << 20))]);
    }
    assert_eq!(
        gaps_of("bomb", &zipped("zeros", &vec![0; 2 << 20]), limits),
        [("bomb".to_owned(), Gap::TooLarge(1 << 20))]
    );
    let deep = zipped("a", &zipped("b", &zipped("c", b"x")));
    assert_eq!(gaps_of("deep", &deep, limits), [("deep!a!b".to_owned(), Gap::TooDeep(2))]);
    let many: Vec<u8> = (0..11).flat_map(|n| tarred(&format!("file{n}"), b"")).collect();
    let seen = see("x.tar", &many, limits);
    assert_eq!((seen.blobs.len(), seen.gaps), (11, vec![("x.tar".to_owned(), Gap::TooMany(10))]));
    // All members together are counted, also those of archives in the archive.
    let inside = [tarred("a", &many), tarred("b", b"")].concat();
    assert!(gaps_of("x.tar", &inside, limits).contains(&("x.tar!a".to_owned(), Gap::TooMany(10))));
    // The total is what is named where the total is what ended it.
    let total = Limits { member_bytes: 1000, total_bytes: 1500, ..limits };
    let two = [tarred("a", &[b'a'; 1000]), tarred("b", &[b'b'; 1000])].concat();
    assert_eq!(gaps_of("x.tar", &two, total), [("x.tar".to_owned(), Gap::TooLarge(1500))]);
}

#[test]
fn sixty_four_archives_inside_each_other_are_too_deep() {
    type Wrap = fn(&[u8]) -> Vec<u8>;
    let wraps: [Wrap; 4] =
        [|inner| zipped("a", inner), |inner| tarred("a", inner), gzipped, |inner| archived(&[("a/", inner)])];
    for wrap in wraps {
        let bytes = (0..64).fold(b"innermost".to_vec(), |inner, _| wrap(&inner));
        let gaps = gaps_of("x", &bytes, Limits::default());
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].1, Gap::TooDeep(8));
        // The stack is large enough for all of them, if somebody allows it.
        let all = see("x", &bytes, Limits { depth: 64, ..Limits::default() });
        assert_eq!((all.blobs.len(), all.gaps), (65, vec![]));
    }
}

#[test]
fn what_stands_before_or_behind_an_archive_hides_nothing() {
    opens("x.tar", &[tarred("one", b"1"), tarred("two", b"2")].concat(), &["one", "two"]);
    let mut skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
    skipped.extend(zstd::encode_all(&b"content"[..], 1).unwrap());
    opens("x.zst", &skipped, &["x"]);
    let mut old = tarred("old", b"content");
    old[257..265].fill(0);
    let sum: u32 = old[..148].iter().chain(&old[156..512]).map(|byte| u32::from(*byte)).sum::<u32>() + 256;
    old[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    opens("x", &old, &["old"]);
    let script = [b"#!/bin/sh\ntail -c +20 $0 | gunzip\n".to_vec(), gzipped(b"content of the payload")].concat();
    assert!(matches!(gaps_of("x.run", &script, Limits::default())[0].1, Gap::UnsupportedArchive(_)));
}

#[test]
fn names_stay_distinguishable() {
    for (bytes, shown) in [
        (b"plain/name".as_slice(), "plain/name"),
        ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
        (b"a\xffb", "a\\xffb"),
        (b"a\\xffb", "a\\x5cxffb"),
        (b"C:\\xerox", "C:\\xerox"),
        (b"\xc3", "\\xc3"),
    ] {
        assert_eq!(shown_name(bytes), shown);
    }
}

proptest::proptest! {
    #[test]
    fn a_name_can_be_read_back(bytes in proptest::collection::vec(proptest::sample::select(b"\\x5cf\xff\xc3\xbc".to_vec()), 0..12)) {
        let shown = shown_name(&bytes);
        let (mut back, mut rest) = (Vec::new(), shown.as_bytes());
        while let Some((first, later)) = rest.split_first() {
            let escape = rest.get(2..4).filter(|_| rest.starts_with(b"\\x")).and_then(|hex| std::str::from_utf8(hex).ok());
            match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => { back.push(byte); rest = &rest[4..]; }
                None => { back.push(*first); rest = later; }
            }
        }
        proptest::prop_assert_eq!(back, bytes);
    }

    #[test]
    fn no_bytes_do_harm(magic in 0usize..24, bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
        const MAGICS: [&[u8]; 24] = [
            b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"\x02\x21\x4c\x18", b"!<arch>\n",
            b"7z\xbc\xaf\x27\x1c\0\x04", b"\xed\xab\xee\xdb", b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0", b"\x04\x22\x4d\x18\x40",
            b"BZh9\x31\x41\x59\x26\x53\x59", b"LZIP\x01\x0c", b"\x5d\0\0\x80\0", b"070701", b"070707", b"\xc7\x71", b"\x71\xc7",
            b"hsqs", b"\x7fELF\x02\x01\x01\0AI\x02", b"\x7fELF\x01\x02", b"\x50\x2a\x4d\x18\0\0\0\0", b"07070X", b"",
        ];
        crate::fuzz_container(&[MAGICS[magic], &bytes].concat());
    }
}
