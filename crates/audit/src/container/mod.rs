//! Opens archives, so that what they hold is seen as well.
//!
//! Everything is bounded: how deep archives nest, how large a member may be, and how much one file
//! may unpack to in all. What is over a bound, damaged, or of a kind that is not opened is reported
//! as a gap and never passed over.

use crate::finding::{Gap, Place};
use std::io::{Cursor, Read};

/// Bounds for unpacking one file of an output.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many archives may lie inside each other.
    pub depth: usize,
    /// Largest member in bytes; this much memory is used for each level of nesting.
    pub member_bytes: u64,
    /// Most bytes that one file may unpack to in all.
    pub total_bytes: u64,
}

/// An xz file says itself how much memory its reader needs; `xz -9` says 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

impl Default for Limits {
    /// 8 archives deep, members up to 2 GiB, 16 GiB for one file.
    fn default() -> Self {
        Self { depth: 8, member_bytes: 2 << 30, total_bytes: 16 << 30 }
    }
}

/// The kinds of archive that are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Zip,
    Tar,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Ar,
}

enum Recognized {
    Opened(Kind),
    NotOpened(&'static str),
    NoArchive,
}

fn recognize(bytes: &[u8]) -> Recognized {
    const OPENED: [(&[u8], Kind); 6] = [
        (b"PK\x03\x04", Kind::Zip),
        (b"PK\x05\x06", Kind::Zip),
        (b"\x1f\x8b\x08", Kind::Gzip),
        (b"\x28\xb5\x2f\xfd", Kind::Zstd),
        (b"\xfd7zXZ\0", Kind::Xz),
        (b"!<arch>\n", Kind::Ar),
    ];
    const NOT_OPENED: [(&[u8], &str); 8] = [
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\xed\xab\xee\xdb", "rpm"),
        (b"hsqs", "squashfs"),
        (b"Rar!\x1a\x07", "rar"),
        (b"!<thin>\n", "thin ar"),
        (b"\x0d\0\0\0\0\0\0\0nix-archive-1", "NAR"),
        (b"070701", "cpio"),
        (b"070707", "cpio"),
    ];
    if let Some((_, kind)) = OPENED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Recognized::Opened(*kind);
    }
    // A frame that readers skip may stand before the first one with content.
    if matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
        return Recognized::Opened(Kind::Zstd);
    }
    if bytes.get(257..262) == Some(b"ustar") || begins_as_old_tar(bytes) {
        return Recognized::Opened(Kind::Tar);
    }
    if let Some((_, name)) = NOT_OPENED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Recognized::NotOpened(name);
    }
    // The block magic as well: three letters alone begin many texts.
    if bytes.starts_with(b"BZh") && bytes.get(4..10) == Some(b"\x31\x41\x59\x26\x53\x59") {
        return Recognized::Opened(Kind::Bzip2);
    }
    // An AppImage is a program with a file system behind it; bytes 8 to 10 of its header say so.
    if bytes.starts_with(b"\x7fELF") && matches!(bytes.get(8..11), Some(b"AI\x01" | b"AI\x02")) {
        return Recognized::NotOpened("AppImage");
    }
    if ends_as_zip(bytes) {
        return Recognized::Opened(Kind::Zip);
    }
    // A script with bytes that no text has carries something to unpack.
    if bytes.starts_with(b"#!") && bytes.contains(&0) {
        return Recognized::NotOpened("self-extracting script");
    }
    Recognized::NoArchive
}

/// Whether the first block has the checksum of a tar header: tars from before 1988 have no other mark.
fn begins_as_old_tar(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<512>() else { return false };
    let field = header[148..156].iter().copied().map(char::from).collect::<String>();
    let Ok(stated) = u32::from_str_radix(field.trim_matches([' ', '\0']), 8) else { return false };
    let outside: u32 = header[..148].iter().chain(&header[156..]).map(|byte| u32::from(*byte)).sum();
    header[0] != 0 && outside + 8 * u32::from(b' ') == stated
}

/// Whether a zip stands behind something else, as in self-extracting programs: its end record, whose
/// comment reaches exactly to the end of the file, and whose directory fits before it.
fn ends_as_zip(bytes: &[u8]) -> bool {
    const RECORD: usize = 22;
    let first = bytes.len().saturating_sub(RECORD + usize::from(u16::MAX));
    let tail = &bytes[first..];
    let field =
        |at: usize, size: usize| tail[at..at + size].iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    (0..(tail.len() + 1).saturating_sub(RECORD)).rev().any(|at| {
        tail[at..].starts_with(b"PK\x05\x06")
            && at as u64 + RECORD as u64 + field(at + 20, 2) == tail.len() as u64
            && field(at + 12, 4) + field(at + 16, 4) <= (first + at) as u64
    })
}

/// Somebody who looks at a file and at everything inside it.
pub(crate) trait Visitor {
    /// Sees one blob, and the kind of archive that it is directly in; returns whether to open it.
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool;
    /// Is told of something that could not be read to its end.
    fn gap(&mut self, place: Place, gap: Gap);
}

/// Shows a file and everything inside it to the visitor, outermost first.
pub(crate) fn walk(place: Place, bytes: &[u8], limits: Limits, visitor: &mut dyn Visitor) {
    let mut walk = Walk { limits, left: limits.total_bytes, visitor };
    walk.blob(&place, bytes, None);
}

struct Walk<'v> {
    limits: Limits,
    left: u64,
    visitor: &'v mut dyn Visitor,
}

impl Walk<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) {
        if !self.visitor.blob(place, bytes, parent) {
            return;
        }
        let kind = match recognize(bytes) {
            Recognized::NoArchive => return,
            Recognized::NotOpened(kind) => {
                return self.visitor.gap(place.clone(), Gap::UnsupportedArchive(kind.to_owned()));
            }
            Recognized::Opened(kind) => kind,
        };
        if place.members.len() >= self.limits.depth {
            return self.visitor.gap(place.clone(), Gap::TooDeep(self.limits.depth));
        }
        let result = match kind {
            Kind::Zip => self.zip(place, bytes),
            Kind::Tar => self.tar(place, bytes),
            Kind::Ar => self.ar(place, bytes),
            Kind::Gzip => self.single(place, kind, flate2::read::MultiGzDecoder::new(bytes)),
            Kind::Bzip2 => self.single(place, kind, bzip2::read::MultiBzDecoder::new(bytes)),
            Kind::Xz => liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                .map_err(broken)
                .and_then(|stream| self.single(place, kind, liblzma::read::XzDecoder::new_stream(bytes, stream))),
            Kind::Zstd => zstd::stream::read::Decoder::with_buffer(bytes)
                .map_err(broken)
                .and_then(|decoder| self.single(place, kind, decoder)),
        };
        if let Err(gap) = result {
            self.visitor.gap(place.clone(), gap);
        }
    }

    fn zip(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(broken)?;
            if !entry.is_file() {
                continue;
            }
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            let content = self.read(&mut entry)?;
            self.blob(&place.member(name), &content, Some(Kind::Zip));
        }
        Ok(())
    }

    fn tar(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let mut archive = tar::Archive::new(bytes);
        // Behind the end of one tar another may stand.
        archive.set_ignore_zeros(true);
        for entry in archive.entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let content = self.read(&mut entry)?;
            self.blob(&place.member(name), &content, Some(Kind::Tar));
        }
        Ok(())
    }

    fn ar(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let archive = object::read::archive::ArchiveFile::parse(bytes).map_err(broken)?;
        for member in archive.members() {
            let member = member.map_err(broken)?;
            let name = String::from_utf8_lossy(member.name()).into_owned();
            let content = member.data(bytes).map_err(broken)?;
            self.blob(&place.member(name), content, Some(Kind::Ar));
        }
        Ok(())
    }

    /// A compressed file: one member, named as the file is without its ending.
    fn single(&mut self, place: &Place, kind: Kind, mut reader: impl Read) -> Result<(), Gap> {
        let name = place.innermost();
        let name = name.rsplit('/').next().unwrap_or(name);
        let name = [".gz", ".zst", ".xz", ".bz2"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let member = place.member(name.to_owned());
        let content = self.read(&mut reader)?;
        self.blob(&member, &content, Some(kind));
        Ok(())
    }

    fn read(&mut self, reader: &mut impl Read) -> Result<Vec<u8>, Gap> {
        let limit = self.limits.member_bytes.min(self.left);
        let mut content = Vec::new();
        reader.take(limit + 1).read_to_end(&mut content).map_err(broken)?;
        if content.len() as u64 > limit {
            return Err(Gap::TooLarge(limit));
        }
        self.left -= content.len() as u64;
        Ok(content)
    }
}

fn broken(error: impl std::fmt::Display) -> Gap {
    Gap::BrokenArchive(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[derive(Default)]
    struct Seen {
        blobs: Vec<String>,
        gaps: Vec<(String, Gap)>,
    }

    impl Visitor for Seen {
        fn blob(&mut self, place: &Place, _: &[u8], _: Option<Kind>) -> bool {
            self.blobs.push(place.to_string());
            true
        }
        fn gap(&mut self, place: Place, gap: Gap) {
            self.gaps.push((place.to_string(), gap));
        }
    }

    fn see(name: &str, bytes: &[u8], limits: Limits) -> Seen {
        let mut seen = Seen::default();
        walk(Place { file: name.to_owned(), members: vec![] }, bytes, limits, &mut seen);
        seen
    }

    fn zipped(name: &str, content: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap().into_inner()
    }

    fn tarred(name: &str, content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
        builder.into_inner().unwrap()
    }

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn compressed(content: &[u8]) -> [(&'static str, Vec<u8>); 4] {
        let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bz2.write_all(content).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(content).unwrap();
        [
            ("t.gz", gzipped(content)),
            ("t.zst", zstd::encode_all(content, 1).unwrap()),
            ("t.bz2", bz2.finish().unwrap()),
            ("t.xz", xz.finish().unwrap()),
        ]
    }

    #[test]
    fn archives_inside_archives_are_opened() {
        let ar = b"!<arch>\nhi.o/           0           0     0     644     2         `\nhi";
        let bytes = gzipped(&tarred("a.whl", &zipped("lib/x.a", ar)));
        let seen = see("b.tar.gz", &bytes, Limits::default());
        assert_eq!(seen.gaps, []);
        assert_eq!(
            seen.blobs,
            [
                "b.tar.gz",
                "b.tar.gz!b.tar",
                "b.tar.gz!b.tar!a.whl",
                "b.tar.gz!b.tar!a.whl!lib/x.a",
                "b.tar.gz!b.tar!a.whl!lib/x.a!hi.o"
            ]
        );
        for (name, bytes) in compressed(b"text") {
            let seen = see(name, &bytes, Limits::default());
            assert_eq!((seen.blobs, seen.gaps), (vec![name.to_owned(), format!("{name}!t")], vec![]));
        }
    }

    /// Content that does not compress, so that every cut takes some of it.
    #[test]
    fn a_cut_archive_is_a_gap() {
        let noise: Vec<u8> = (0u32..5000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut all = compressed(&noise).to_vec();
        all.push(("t.zip", zipped("a", &noise)));
        // The two empty blocks at the end of a tar are only customary.
        let tar = tarred("t", &noise);
        all.push(("t.tar", tar[..512 + noise.len()].to_vec()));
        for (name, whole) in all {
            for end in [300, whole.len() / 2, whole.len() - 1] {
                let seen = see(name, &whole[..end], Limits::default());
                assert!(!seen.gaps.is_empty(), "{name} cut at {end} of {}", whole.len());
            }
        }
    }

    #[test]
    fn bounds_hold() {
        let limits = Limits { depth: 2, member_bytes: 1 << 20, total_bytes: 1 << 20 };
        for (name, bomb) in compressed(&vec![0; 2 << 20]) {
            assert_eq!(see(name, &bomb, limits).gaps, [(name.to_owned(), Gap::TooLarge(1 << 20))]);
        }
        let bomb = zipped("zeros", &vec![0; 2 << 20]);
        assert_eq!(see("bomb", &bomb, limits).gaps, [("bomb".to_owned(), Gap::TooLarge(1 << 20))]);
        let deep = zipped("a", &zipped("b", &zipped("c", b"x")));
        assert_eq!(see("deep", &deep, limits).gaps, [("deep!a!b".to_owned(), Gap::TooDeep(2))]);
    }

    #[test]
    fn a_zip_behind_a_program_is_opened() {
        let mut bytes = b"#!/bin/sh\nexec unzip\n".to_vec();
        bytes.extend_from_slice(&zipped("inner", b"content"));
        assert_eq!(see("x.run", &bytes, Limits::default()).blobs, ["x.run", "x.run!inner"]);
        // The four letters alone, as every program that reads zip files has them, are no zip.
        let mut reader = vec![7; 5000];
        reader[4000..4004].copy_from_slice(b"PK\x05\x06");
        assert_eq!(see("reader", &reader, Limits::default()).blobs, ["reader"]);
    }

    #[test]
    fn what_stands_before_or_behind_an_archive_hides_nothing() {
        let two = [tarred("one", b"1"), tarred("two", b"2")].concat();
        assert_eq!(see("x.tar", &two, Limits::default()).blobs, ["x.tar", "x.tar!one", "x.tar!two"]);
        let mut skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
        skipped.extend(zstd::encode_all(&b"content"[..], 1).unwrap());
        assert_eq!(see("x.zst", &skipped, Limits::default()).blobs, ["x.zst", "x.zst!x"]);
        let mut old = tarred("old", b"content");
        old[257..265].fill(0);
        let sum: u32 = old[..148].iter().chain(&old[156..512]).map(|byte| u32::from(*byte)).sum::<u32>() + 256;
        old[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(see("x", &old, Limits::default()).blobs, ["x", "x!old"]);
        let script = [b"#!/bin/sh\ntail -c +20 $0 | gunzip\n".to_vec(), gzipped(b"content of the payload")].concat();
        assert!(matches!(see("x.run", &script, Limits::default()).gaps[0].1, Gap::UnsupportedArchive(_)));
    }

    #[test]
    fn kinds_that_are_not_opened_are_named() {
        let seen = see("x.7z", b"7z\xbc\xaf\x27\x1crest", Limits::default());
        assert_eq!(seen.gaps, [("x.7z".to_owned(), Gap::UnsupportedArchive("7z".to_owned()))]);
        assert!(see("BZhello", b"BZhello, a text", Limits::default()).gaps.is_empty());
    }
}
