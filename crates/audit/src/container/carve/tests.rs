//! What stands somewhere in other bytes is found there, and what only looks like it is not.

use super::super::tests::{archived, compressed, gaps_of, gzipped, noise, see, tarred, zipped};
use super::super::*;
use crate::made::library;

const DLL: &[u8] = include_bytes!("../../../tests/data/linked-x64.dll");
const SQUASHFS: &[u8] = include_bytes!("../../../tests/data/plain.squashfs");
const CPIO: &[u8] = include_bytes!("../../../tests/data/newc.cpio");
const SEVENZ: &[u8] = include_bytes!("../../../tests/data/lzma.7z");

/// A library with a message by which it is known again.
fn elf() -> Vec<u8> {
    library(&[(".rodata", false, b"the vendor's message, which is long enough".repeat(20))])
}

fn zlibbed(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap()
}

fn nar(content: &[u8]) -> Vec<u8> {
    let mut nar = nix_archive::nar::Encoder::new(Vec::new()).unwrap();
    nar.regular(None, false, content).unwrap();
    nar.finish().unwrap()
}

/// A thin Mach-O file with one segment.
fn mach_o(content: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xcf\xfa\xed\xfe\x07\0\0\x01\x03\0\0\0\x06\0\0\0\x01\0\0\0\x48\0\0\0".to_vec();
    bytes.resize(32, 0);
    bytes.extend_from_slice(&[0x19, 0, 0, 0, 0x48, 0, 0, 0]);
    bytes.resize(32 + 40, 0);
    bytes.extend_from_slice(&0u64.to_le_bytes());
    bytes.extend_from_slice(&(104 + content.len() as u64).to_le_bytes());
    bytes.resize(104, 0);
    [&bytes, content].concat()
}

fn base64(bytes: &[u8], letters: &[u8; 64]) -> String {
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let text: String =
            (0..=group.len()).map(|at| char::from(letters[(bits >> (18 - 6 * at) & 63) as usize])).collect();
        format!("{text:=<4}")
    };
    bytes.chunks(3).map(group).collect()
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn lines(text: &str, length: usize, between: &str) -> String {
    text.as_bytes().chunks(length).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join(between)
}

/// Holds that exactly this content is found somewhere in the bytes, without a gap, under a name that says how.
#[track_caller]
fn finds(what: &str, bytes: &[u8], content: &[u8], name: &str) {
    let seen = see("x", bytes, Limits::default());
    assert_eq!(seen.gaps, [], "{what}");
    let found = seen.contents.iter().skip(1).position(|found| found == content);
    let Some(found) = found else { panic!("{what}: {:?}", seen.blobs) };
    assert!(seen.blobs[found + 1].contains(name), "{what}: {}", seen.blobs[found + 1]);
}

/// Everything that can carry a file without being one itself, each with what its name says.
fn carriers(content: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut all: Vec<(&str, Vec<u8>, &str)> = (compressed(content).into_iter())
        .map(|(name, packed)| {
            let kind = match name {
                "t.gz" => "gzip at 0x",
                "t.zst" => "zstd at 0x",
                "t.bz2" => "bzip2 at 0x",
                "t.xz" => "xz at 0x",
                "t.lzma" => "LZMA at 0x",
                _ => "lz4 at 0x",
            };
            (name, packed, kind)
        })
        .collect();
    let hidden = {
        // The entries of one zip before the whole of another.
        let (inner, directory) = (zipped("hidden", content), zipped("hidden", content).len() - 22 - 52);
        [&inner[..directory], &zipped("named", b"own content")].concat()
    };
    all.extend([
        ("zlib", zlibbed(content), "zlib at 0x"),
        ("ar", archived(&[("a/", content)]), "ar at 0x"),
        ("tar", tarred("a", content), "tar at 0x"),
        ("nar", nar(content), "NAR at 0x"),
        ("zip", zipped("a", content), ""),
        ("a zip and entries that it does not name", hidden, "zip at 0x"),
        ("elf", content.to_vec(), "ELF at 0x"),
        ("Mach-O", mach_o(content), "ELF at 0x"),
    ]);
    all
}

#[test]
fn whatever_carries_a_file_is_found_inside_anything() {
    let content = elf();
    let own = library(&[(".rodata", false, b"own".repeat(300))]);
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0IEND\xae\x42\x60\x82".to_vec();
    for (what, carrier, name) in carriers(&content) {
        let around: [(&str, Vec<u8>); 6] = [
            ("behind bytes without meaning", [noise(5001).as_slice(), &carrier].concat()),
            ("between such bytes", [noise(701).as_slice(), &carrier, &noise(3000)].concat()),
            ("behind a program", [own.as_slice(), &carrier].concat()),
            ("in a section", library(&[(".rodata", false, [b"abc".as_slice(), &carrier].concat())])),
            ("behind a picture", [png.as_slice(), &carrier].concat()),
            ("behind a cpio", [CPIO, b"junk", &carrier].concat()),
        ];
        for (place, bytes) in around {
            finds(&format!("{what} {place}"), &bytes, &content, name);
        }
    }
}

#[test]
fn slices_of_other_kinds_are_found() {
    let around = |inner: &[u8]| [noise(333).as_slice(), inner, &noise(200)].concat();
    for (inner, name) in
        [(DLL, "PE at 0x14d"), (SQUASHFS, "squashfs at 0x14d"), (CPIO, "cpio at 0x14d"), (SEVENZ, "7z at 0x14d")]
    {
        let seen = see("x", &around(inner), Limits::default());
        assert_eq!(seen.gaps, [], "{name}");
        assert!(seen.blobs.contains(&format!("x!{name}")), "{name}: {:?}", seen.blobs);
    }
    // What stands behind a squashfs or a 7z is found as well.
    for archive in [SQUASHFS, SEVENZ] {
        finds("behind an archive", &[archive, &[0; 40], &elf()].concat(), &elf(), "ELF at 0x");
    }
}

#[test]
fn compressed_sections_are_looked_into() {
    let content = elf();
    let header = [1u32.to_le_bytes(), [0; 4]].concat();
    let section =
        [header, (content.len() as u64).to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec(), zlibbed(&content)]
            .concat();
    finds("SHF_COMPRESSED", &library(&[(".debug_info", false, section)]), &content, "zlib at 0x");
    let old = [b"ZLIB".to_vec(), (content.len() as u64).to_be_bytes().to_vec(), zlibbed(&content)].concat();
    finds(".zdebug", &library(&[(".zdebug_info", false, old)]), &content, "zlib at 0x");
    let [.., (_, xz), _, _] = compressed(&content);
    finds(".gnu_debugdata", &library(&[(".gnu_debugdata", false, xz)]), &content, "xz at 0x");
}

#[test]
fn texts_that_stand_for_bytes_are_read() {
    let content = [elf(), noise(4000)].concat();
    let gz = gzipped(&content);
    let tar = tarred("some/name", &content);
    for payload in [&gz, &tar] {
        let (text, url) = (base64(payload, STANDARD), base64(payload, URL));
        let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        let escaped: String = payload.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        for (what, script) in [
            ("one line", format!("#!/bin/sh\nbase64 -d <<END | gunzip\n{text}\nEND\n")),
            ("lines", format!("#!/bin/sh\nbase64 -d <<END\n{}\nEND\necho done\n", lines(&text, 76, "\n"))),
            ("lines of Windows", format!("begin\r\n{}\r\nend", lines(&text, 64, "\r\n"))),
            ("JSON", format!("{{\"name\": \"x\", \"data\": \"{}\"}}", lines(&text, 76, "\\n"))),
            ("JSON with slashes escaped", format!("{{\"data\": \"{}\"}}", text.replace('/', "\\/"))),
            ("strings of Python", format!("data = (\n    \"{}\"\n)\n", lines(&text, 72, "\"\n    \""))),
            ("strings of JavaScript", format!("var data = '{}';\n", lines(&text, 100, "' +\n  '"))),
            ("a data URL", format!("<img src=\"data:application/octet-stream;base64,{text}\">")),
            ("the alphabet for URLs", format!("x = '{url}'")),
            ("base 16", format!("payload={hex}\n")),
            ("base 16 in lines", format!("payload=\n{}\n", lines(&hex, 60, "\n"))),
            ("escapes", format!("printf '{escaped}' > file")),
        ] {
            finds(what, script.as_bytes(), &content, "");
        }
        // In a program as well, if what it stands for begins with a mark.
        if payload[0] == 0x1f {
            let program = library(&[(".rodata", false, [b"\0", text.as_bytes(), b"\0"].concat())]);
            finds("base 64 in a program", &program, &content, "base64 at 0x");
        }
    }
}

#[test]
fn a_file_of_an_electron_archive_is_found() {
    // Two numbers, the header as JSON, and then the files as they are.
    let json = br#"{"files":{"lib.so":{"size":1,"offset":"0"}}}"#;
    let size = json.len() as u32;
    let numbers = [4, size + 8, size + 4, size].map(u32::to_le_bytes).concat();
    finds("asar", &[numbers.as_slice(), json, &elf(), b"console.log(1)"].concat(), &elf(), "ELF at 0x");
}

#[test]
fn marks_alone_are_nothing() {
    let marks: Vec<u8> =
        super::super::marks::all().flat_map(|mark| [mark, b"\0\x01 and some words, "].concat()).collect();
    let seen = see("magic", &[b"a table of marks: ".as_slice(), &marks].concat(), Limits::default());
    assert_eq!((seen.blobs.len(), seen.gaps), (1, vec![]), "{:?}", seen.blobs);
    for seed in 0..20 {
        let bytes = crate::made::noise(seed, 300_000);
        let seen = see("noise", &bytes, Limits::default());
        assert_eq!((seen.blobs.len(), seen.gaps), (1, vec![]), "{:?}", seen.blobs);
    }
    // Headers with nothing sensible behind them, and an object that is a template.
    let mut template = elf();
    template[40..48].copy_from_slice(&64u64.to_le_bytes());
    for bytes in [
        [b"words\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice(), &[0xff; 300]].concat(),
        [b"words\xfd7zXZ\0\0\x04\0\0\0\0".as_slice(), &[1; 300]].concat(),
        [b"words\x28\xb5\x2f\xfd\x08".as_slice(), &[1; 300]].concat(),
        [b"words!<arch>\nno member".as_slice(), &[b' '; 300]].concat(),
        [b"wordsPK\x03\x04\x14\0\0\0\x07\0".as_slice(), &[0; 300]].concat(),
        [b"words\x7fELF\x02\x01\x01\0".as_slice(), &[0; 300]].concat(),
        [b"words".as_slice(), &template[..120]].concat(),
    ] {
        let seen = see("x", &bytes, Limits::default());
        assert_eq!((seen.blobs.len(), seen.gaps), (1, vec![]), "{:?}", seen.blobs);
    }
}

#[test]
fn what_was_read_for_a_good_part_is_a_gap() {
    let content = noise(900_000);
    for (name, packed) in compressed(&content).into_iter().chain([("zip", zipped("a", &content))]) {
        let cut = &packed[..packed.len() * 3 / 4];
        // All of it is one block, of which nothing is read before it is whole.
        if name == "t.lz4" {
            continue;
        }
        let gaps = gaps_of("x", &[noise(100).as_slice(), cut].concat(), Limits::default());
        assert_eq!(gaps.len(), 1, "{name}: {gaps:?}");
        assert!(matches!(gaps[0].1, Gap::BrokenArchive(_)), "{name}");
    }
    let encrypted = include_bytes!("../../../tests/data/encrypted.zip");
    let gaps = gaps_of("x", &[noise(100).as_slice(), encrypted, b"behind"].concat(), Limits::default());
    assert_eq!(gaps[0].1, Gap::UnsupportedArchive("encrypted zip".to_owned()));
}

#[test]
fn kinds_that_are_not_opened_are_named_inside_others() {
    let rar = {
        let header = b"\x73\0\0\x0d\0\0\0\0\0\0\0";
        let sum = super::super::image::crc32(header) as u16;
        [b"Rar!\x1a\x07\0".as_slice(), &sum.to_le_bytes(), header].concat()
    };
    let nsis = [b"\0\0\0\0\xef\xbe\xad\xdeNullsoftInst\x10\0\0\0\x40\0\0\0".as_slice(), &[1; 200]].concat();
    let cab = [b"MSCF\0\0\0\0\x60\0\0\0\0\0\0\0\x2c\0\0\0\0\0\0\0\x03\x01".as_slice(), &[0; 200]].concat();
    for (kind, inner) in [("rar", rar), ("NSIS installer", nsis), ("cab", cab)] {
        let bytes = [b"a program".as_slice(), &inner, &[7; 300]].concat();
        let gaps = gaps_of("x", &bytes, Limits::default());
        assert_eq!(gaps, [(format!("x!{kind} at 0x9"), Gap::UnsupportedArchive(kind.to_owned()))]);
    }
}

/// Work and memory are counted, so that no test needs a clock.
#[test]
fn work_and_memory_are_bounded() {
    // Archives of zeros inside each other: the outer ones stay in memory while the inner ones are read.
    let zeros = vec![0; 900 << 10];
    let nested = (0..6).fold(Vec::new(), |inner, _| gzipped(&tarred("a", &[inner.as_slice(), &zeros].concat())));
    let limits = Limits { memory: 2 << 20, ..Limits::default() };
    struct Nobody(Vec<Gap>);
    impl Visitor for Nobody {
        fn blob(&mut self, _: &Place, _: &[u8], _: Option<Kind>) -> bool {
            true
        }
        fn gap(&mut self, _: Place, gap: Gap) {
            self.0.push(gap);
        }
    }
    let walked = |bytes: &[u8], limits| {
        let mut nobody = Nobody(Vec::new());
        let spent = walk(Place { file: "x".to_owned(), members: Vec::new() }, bytes, limits, &mut nobody);
        (spent, nobody.0)
    };
    let (spent, gaps) = walked(&nested, limits);
    assert!(spent.peak <= 2 << 20 && spent.bounded, "{spent:?}");
    assert!(gaps.contains(&Gap::TooMuchMemory(2 << 20)), "{gaps:?}");
    // Members that lie in an archive as they are take no memory.
    let stored = (0..6).fold(zeros, |inner, _| tarred("a", &archived(&[("a/", &inner)])));
    let (spent, _) = walked(&stored, limits);
    assert_eq!(spent.peak, 0, "{spent:?}");
    // A file that is all marks: each promises something, unpacks to a hundred times its size, and breaks.
    let broken = {
        let mut packed = gzipped(&[0; 3000]);
        let end = packed.len() - 6;
        packed[end] ^= 0xff;
        packed
    };
    let many = [b"x".as_slice(), &broken.repeat(200_000)].concat();
    let (spent, gaps) = walked(&many, Limits::default());
    assert!(spent.bytes < 5 * many.len() as u64 + (8 << 20), "{spent:?}");
    assert_eq!(gaps, [Gap::TooManyMarks]);
    // An ordinary one with as many bytes and some such marks is none.
    let few = [noise(1 << 20).as_slice(), &broken, &noise(1 << 20), &broken].concat();
    assert_eq!(walked(&few, Limits::default()).1, []);
}

#[test]
fn marks_nested_in_each_other_are_too_deep() {
    let bytes = (0..20).fold(elf(), |inner, _| [b"words between ".as_slice(), &zlibbed(&inner)].concat());
    let gaps = gaps_of("x", &bytes, Limits::default());
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].1, Gap::TooDeep(8));
}

/// Deflated data of one block in the fixed code: the copies that it consists of, of so many bytes from so far before, and
/// first of all some bytes as they are. It has no end.
fn endless(first: &[u8], copies: &[(usize, usize)]) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (vec![0x78, 0x01], 0u32, 0);
    let mut push = |value: u32, size: u32| {
        bits |= value << count;
        count += size;
        while count >= 8 {
            bytes.push(bits as u8);
            (bits, count) = (bits >> 8, count - 8);
        }
    };
    let code = |value: u32, size: u32| (value.reverse_bits() >> (32 - size), size);
    push(0b010, 3);
    for byte in first {
        let (value, size) =
            if *byte < 144 { code(0x30 + u32::from(*byte), 8) } else { code(0x100 + u32::from(*byte), 9) };
        push(value, size);
    }
    for (length, distance) in copies {
        assert_eq!((*length, *distance < 5), (258, true));
        let (value, size) = code(0xc0 + 5, 8);
        push(value, size);
        let (value, size) = code(*distance as u32 - 1, 5);
        push(value, size);
    }
    bytes
}

/// Marks of two bytes lead to data in the fixed code that does not end, and whose content is the same again.
#[test]
fn chance_inside_chance_is_nothing() {
    let fractal = (0..7).fold(vec![b'x'; 64], |inner, _| {
        let one = endless(&inner, &[(258, 1); 20]);
        [one.as_slice(), &[0xff; 40]].concat().repeat(3)
    });
    let bytes = [noise(5000).as_slice(), &fractal, &noise(5000)].concat();
    let seen = see("x", &bytes, Limits::default());
    assert_eq!(seen.gaps, []);
    let deepest = seen.blobs.iter().map(|blob| blob.matches('!').count()).max();
    assert_eq!(deepest, Some(1), "what came by chance perhaps is looked at, and no chance in it");
    let unpacked: usize = seen.contents.iter().skip(1).map(Vec::len).sum();
    assert!(unpacked <= 5 * bytes.len() + (4 << 20), "{unpacked} of {}", bytes.len());
    // What such data holds is seen, and in it whatever ends as it should.
    let content = elf();
    let whole = zlibbed(&[noise(300).as_slice(), &content].concat());
    for inner in [content.clone(), gzipped(&content), whole] {
        let carrier = endless(&[b"some words".as_slice(), &inner].concat(), &[(258, 1); 20]);
        let bytes = [noise(5000).as_slice(), &carrier, &[0xff; 40], &noise(900)].concat();
        finds("data that does not end", &bytes, &content, "!");
    }
}

/// Pieces of git's packs and of pictures are such data, and so is what was damaged.
#[test]
fn what_is_cut_off_is_looked_at() {
    let content = elf();
    let carried = [b"words".as_slice(), &content, &noise(200_000)].concat();
    let whole = zlibbed(&carried);
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 0x55;
    let twice = zlibbed(&[whole[..whole.len() / 2].to_vec(), noise(40_000)].concat());
    for (what, carrier) in
        [("cut", &whole[..whole.len() / 2]), ("changed", &changed), ("twice", &twice[..twice.len() - 30])]
    {
        let bytes = [noise(5000).as_slice(), carrier, &noise(9000)].concat();
        finds(what, &bytes, &content, "ELF at 0x5");
    }
}

#[test]
fn gaps_of_one_cause_are_one() {
    // A program with many pieces that are cut off, and with many that are nested too deep.
    let cut = gzipped(&crate::made::noise(3, 40_000));
    let deep = (0..20).fold(elf(), |inner, _| [b"words between ".as_slice(), &zlibbed(&inner)].concat());
    let bytes = [noise(100).as_slice(), &[&cut[..30_000], &deep].concat().repeat(9)].concat();
    let gaps = gaps_of("x", &bytes, Limits::default());
    let count = |what: fn(&Gap) -> bool| gaps.iter().filter(|(_, gap)| what(gap)).count();
    assert_eq!((gaps.len(), count(|gap| matches!(gap, Gap::TooDeep(8)))), (2, 1), "{gaps:?}");
    assert!(gaps.iter().all(|(place, _)| place == "x"), "each is one of what all lie in: {gaps:?}");
    // Files that have names have gaps of their own.
    let packed = [("a/", bytes.as_slice()), ("b/", &bytes)];
    let gaps = gaps_of("x", &archived(&packed), Limits::default());
    let broken: Vec<&str> =
        gaps.iter().filter(|(_, gap)| matches!(gap, Gap::BrokenArchive(_))).map(|(place, _)| place.as_str()).collect();
    assert_eq!(broken, ["x!a", "x!b"]);
}
