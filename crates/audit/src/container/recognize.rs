//! Tells what kind of archive something is.
//!
//! What is recognized and not opened is withheld, so no ordinary file may be taken for an archive:
//! wherever letters or two bytes are all that begins a kind, further fields have to fit.

use super::compressed::Pieces;
use super::{Kind, cpio, elf, image, little, number, squashfs};
use memchr::memmem;
use std::io::{self, Read};

#[derive(Debug, PartialEq)]
pub(super) enum Recognized {
    Opened(Kind),
    NotOpened(&'static str),
    NoArchive,
}

use Recognized::{NoArchive, NotOpened, Opened};

/// Kinds that their first bytes alone tell, since no other file begins so.
const MAGICS: [(&[u8], Recognized); 20] = [
    (b"PK\x03\x04", Opened(Kind::Zip)),
    (b"PK\x05\x06", Opened(Kind::Zip)),
    // A part of a zip that goes over several files, and one that turned out to be the only part.
    (b"PK\x07\x08PK\x03\x04", Opened(Kind::Zip)),
    (b"PK00PK\x03\x04", Opened(Kind::Zip)),
    (b"\x1f\x8b\x08", Opened(Kind::Gzip)),
    (b"\x28\xb5\x2f\xfd", Opened(Kind::Zstd)),
    (b"\xfd7zXZ\0", Opened(Kind::Xz)),
    (b"\x02\x21\x4c\x18", Opened(Kind::Lz4)),
    (b"!<arch>\n", Opened(Kind::Ar)),
    (b"7z\xbc\xaf\x27\x1c", Opened(Kind::SevenZip)),
    (b"\xed\xab\xee\xdb", Opened(Kind::Rpm)),
    (b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0", Opened(Kind::Nar)),
    (b"!<thin>\n", NotOpened("thin ar")),
    (b"Rar!\x1a\x07", NotOpened("rar")),
    (b"\x89LZO\0\r\n\x1a\n", NotOpened("lzop")),
    (b"MSWIM\0\0\0", NotOpened("wim")),
    (b"xar!\0\x1c\0\x01", NotOpened("xar")),
    // The form of Windows Installer packages and of older documents of office programs.
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", NotOpened("OLE")),
    (b"\xff\x06\0\0sNaPpY", NotOpened("snappy")),
    (b"LRZI\0\x06", NotOpened("lrzip")),
];

/// Tells the kind by the bytes alone: names are given as people like.
pub(super) fn recognize(bytes: &[u8]) -> Recognized {
    if let Some((_, kind)) = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return match kind {
            Opened(kind) => Opened(*kind),
            NotOpened(kind) => NotOpened(kind),
            NoArchive => NoArchive,
        };
    }
    let checks: [fn(&[u8]) -> Recognized; 5] = [compressed, archive, image, behind, script];
    checks.iter().map(|check| check(bytes)).find(|kind| *kind != NoArchive).unwrap_or(NoArchive)
}

fn compressed(bytes: &[u8]) -> Recognized {
    match bytes {
        // A frame that readers skip may stand before the first one with content.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let next = little::<4>(bytes, 4).and_then(|size| bytes.get(usize::try_from(size).ok()?.checked_add(8)?..));
            Opened(if next.is_some_and(|next| next.starts_with(b"\x04\x22\x4d\x18")) { Kind::Lz4 } else { Kind::Zstd })
        }
        [0x04, 0x22, 0x4d, 0x18, flags, ..] if flags >> 6 == 1 => Opened(Kind::Lz4),
        // The block's magic as well: three letters alone begin many texts.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Opened(Kind::Bzip2),
        // The version and the size of the dictionary.
        [b'L', b'Z', b'I', b'P', 0 | 1, size, ..] if (12..=29).contains(&(size & 0x1f)) => Opened(Kind::Lzip),
        [0x1f, 0x9d, ..] if begins_as_compress(bytes) => NotOpened("compress"),
        _ if begins_as_lzma(bytes) => Opened(Kind::Lzma),
        _ => NoArchive,
    }
}

/// `compress` has two bytes for a magic: its flags have to be possible, and its first codes have to stand for something
/// that was read before them.
fn begins_as_compress(bytes: &[u8]) -> bool {
    let fits = bytes.get(2).is_some_and(|flags| flags & 0x60 == 0 && (9..=16).contains(&(flags & 0x1f)));
    let code = |at: usize| {
        let bit = 9 * at;
        little::<2>(bytes, 3 + bit / 8).map(|pair| pair >> (bit % 8) & 0x1ff)
    };
    // Each code but the first adds one that later ones may use. 256 begins anew.
    let codes: Vec<u64> = (0..60).map_while(code).take_while(|code| *code != 256).collect();
    fits && codes.len() >= 2 && codes[0] < 256 && (1..).zip(&codes[1..]).all(|(known, code)| *code <= 256 + known)
}

/// LZMA without a container has no magic, but its first 14 bytes do not leave much room: properties, the
/// size of the dictionary, the size of the content or -1, and a zero. Where the properties are not the usual
/// ones and the size is stated, it has to unpack.
pub(super) fn begins_as_lzma(bytes: &[u8]) -> bool {
    let (Some(dictionary), Some(size)) = (little::<4>(bytes, 1), little::<8>(bytes, 5)) else { return false };
    // 2^n and 2^n + 2^(n-1), as the tool writes them.
    let round = dictionary.is_power_of_two() || dictionary % 3 == 0 && (dictionary / 3).is_power_of_two();
    let sized = size == u64::MAX || size < 1 << 38;
    round
        && dictionary >= 1 << 12
        && sized
        && bytes.get(13) == Some(&0)
        && bytes.first().is_some_and(|first| *first < 225)
        && (bytes.first() == Some(&0x5d) || size == u64::MAX || unpacks(bytes, size))
}

/// Whether it unpacks to that size, or as far as anybody would try.
fn unpacks(bytes: &[u8], size: u64) -> bool {
    const TRIED: u64 = 16 << 20;
    let mut pieces = Pieces::new(bytes, Kind::Lzma);
    let read = io::copy(&mut (&mut pieces).take(TRIED), &mut io::sink());
    size > 0 && read.is_ok_and(|count| count == size.min(TRIED)) && (size > TRIED || pieces.is_over())
}

fn archive(bytes: &[u8]) -> Recognized {
    if bytes.get(257..262) == Some(b"ustar") || begins_as_old_tar(bytes) {
        return Opened(Kind::Tar);
    }
    if cpio::begins_as_cpio(bytes) {
        return Opened(Kind::Cpio);
    }
    // Four letters, a reserved field, and the version.
    if bytes.starts_with(b"MSCF\0\0\0\0") && bytes.get(24..26) == Some(b"\x03\x01") {
        return NotOpened("cab");
    }
    NoArchive
}

fn image(bytes: &[u8]) -> Recognized {
    match squashfs::version(bytes) {
        Some(4) => Opened(Kind::Squashfs),
        Some(1..=3) => NotOpened("old squashfs"),
        _ => image::name(bytes).map_or(NoArchive, |name| image::opened(name).map_or(NotOpened(name), Opened)),
    }
}

/// What stands behind a program or anything else.
fn behind(bytes: &[u8]) -> Recognized {
    if elf::says_appimage(bytes) || elf::image(bytes).is_some_and(|image| squashfs::version(image) == Some(4)) {
        return if bytes.get(10) == Some(&1) { NotOpened("AppImage") } else { Opened(Kind::AppImage) };
    }
    if ends_as_zip(bytes) { Opened(Kind::Zip) } else { NoArchive }
}

/// A script with bytes that no text has carries something to unpack.
fn script(bytes: &[u8]) -> Recognized {
    if bytes.starts_with(b"#!") && bytes.contains(&0) { NotOpened("self-extracting script") } else { NoArchive }
}

/// Whether the bytes are an archive and nothing else, whose members are seen one by one.
pub(crate) fn is_archive(bytes: &[u8]) -> bool {
    let is_binary = bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"MZ");
    !is_binary && matches!(recognize(bytes), Opened(_))
}

/// Whether it is an archive in which the same is found whatever room there is at first. A qcow2 is read without the empty end
/// of its disk where the room is too little for that.
pub(crate) fn waits(bytes: &[u8]) -> bool {
    matches!(recognize(bytes), Recognized::Opened(kind) if kind != Kind::Qcow2)
}

/// Whether the first block has the checksum of a tar header: tars from before 1988 have no other mark.
pub(super) fn begins_as_old_tar(bytes: &[u8]) -> bool {
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
    memmem::rfind_iter(tail, b"PK\x05\x06").filter(|at| at + RECORD <= tail.len()).any(|at| {
        let field = |offset| number::<4>(tail, at + offset, false).unwrap_or(0);
        let ends = (at + RECORD) as u64 + little::<2>(tail, at + 20).unwrap_or(0) == tail.len() as u64;
        // Where the sizes need more room, a record before this one has them.
        let larger = (first + at).checked_sub(20).is_some_and(|before| bytes[before..].starts_with(b"PK\x06\x07"));
        ends && (larger || field(12) + field(16) <= (first + at) as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{opens, see, zipped};
    use super::*;
    use crate::Limits;

    #[test]
    fn kinds_that_are_not_opened_are_named() {
        let dmg = [vec![b'x'; 100], b"koly\0\0\0\x04\0\0\x02\0".to_vec(), vec![0; 500]].concat();
        let cab = [b"MSCF\0\0\0\0".as_slice(), &[7; 16], b"\x03\x01"].concat();
        let squashfs = [b"hsqs".as_slice(), &[0; 24], b"\x03\0\0\0"].concat();
        let kinds: [(&str, &[u8]); 11] = [
            ("rar", b"Rar!\x1a\x07\x01\0"),
            ("thin ar", b"!<thin>\n"),
            ("cab", &cab),
            ("OLE", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
            ("dmg", &dmg),
            ("compress", b"\x1f\x9d\x90\x61\xc4\x8c\x01\x04"),
            ("old squashfs", &squashfs),
            ("lzop", b"\x89LZO\0\r\n\x1a\nrest"),
            ("xar", b"xar!\0\x1c\0\x01"),
            ("self-extracting script", b"#!/bin/sh\nexit\n\0\0payload"),
            ("AppImage", b"\x7fELF\x02\x01\x01\0AI\x01"),
        ];
        for (kind, bytes) in kinds {
            assert_eq!(recognize(bytes), NotOpened(kind));
        }
    }

    #[test]
    fn ordinary_files_are_no_archives() {
        let texts: [&[u8]; 14] = [
            b"BZhello, a text",
            b"MSCF is the mark of a cabinet",
            b"hsqs, said the snake, and again: hsqs",
            b"sqsh, said the snake, and again: sqsh",
            b"LZIP is a program",
            b"070701",
            b"koly",
            b"xar! was the cry",
            b"]0;title of a terminal window",
            b"Rar! they cried",
            b"7zip is a program",
            b"!<arch> is the mark of an archive",
            b"PK are two letters",
            b"",
        ];
        for text in texts {
            assert_eq!(recognize(text), NoArchive, "{text:?}");
        }
        // Two bytes alone, and fields that do not fit, are no mark of `compress`.
        assert_eq!(recognize(b"\x1f\x9d\x90\x61\xc4rest"), NoArchive);
        assert_eq!(recognize(b"\x1f\x9d\xff\x61\xc4rest"), NoArchive);
    }

    #[test]
    fn a_zip_behind_a_program_is_opened() {
        let mut bytes = b"#!/bin/sh\nexec unzip\n".to_vec();
        bytes.extend_from_slice(&zipped("inner", b"content"));
        opens("x.run", &bytes, &["inner"]);
        // The four letters alone, as every program that reads zip files has them, are no zip.
        let mut reader = vec![7; 5000];
        reader[4000..4004].copy_from_slice(b"PK\x05\x06");
        assert_eq!(see("reader", &reader, Limits::default()).blobs, ["reader"]);
    }
}
