//! The marks of archives and binaries at any offset, found in one pass over the bytes.
//!
//! A mark is a hint and no more. What stands around it has to fit as well, and what is told here from a few
//! bytes is still to be read. Nothing is unpacked here.

use super::image::{self, crc32};
use super::{Kind, cpio, encoded, little, number};
use aho_corasick::packed::Searcher;
use memchr::memmem;
use std::ops::Range;
use std::sync::LazyLock;

/// What seems to begin at a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Something that says how long it is, and that is looked at as it lies there.
    Slice(Shape),
    /// Compressed data.
    Packed(Kind),
    /// An entry of a zip.
    Entry,
    /// A kind that is not opened.
    NotOpened(&'static str),
    /// Containers of device code have a scanner of their own.
    Device,
    /// Text that stands for bytes.
    Text(encoded::Form),
}

/// What lies as it is and tells its own length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Elf,
    Pe,
    MachO,
    Ar,
    Cpio,
    Nar,
    SevenZip,
    Squashfs,
    Tar,
    Disk,
    Erofs,
    Ext,
    Fat,
    Iso,
    Qcow2,
}

/// Something that may begin here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) start: usize,
    pub(super) what: What,
}

use What::{Device, Entry, NotOpened, Packed, Slice, Text};
use encoded::Form::{Base64, Yenc};

/// A mark, how far behind the beginning it stands, and what begins there.
const MARKS: [(&[u8], usize, What); 52] = [
    (b"\x7fELF", 0, Slice(Shape::Elf)),
    (b"PE\0\0", 0, Slice(Shape::Pe)),
    (b"\xcf\xfa\xed\xfe", 0, Slice(Shape::MachO)),
    (b"\xce\xfa\xed\xfe", 0, Slice(Shape::MachO)),
    (b"\xfe\xed\xfa\xcf", 0, Slice(Shape::MachO)),
    (b"\xfe\xed\xfa\xce", 0, Slice(Shape::MachO)),
    (b"!<arch>\n", 0, Slice(Shape::Ar)),
    (b"PK\x03\x04", 0, Entry),
    (b"\x1f\x8b\x08", 0, Packed(Kind::Gzip)),
    (b"\xfd7zXZ\0", 0, Packed(Kind::Xz)),
    (b"\x28\xb5\x2f\xfd", 0, Packed(Kind::Zstd)),
    (b"1AY&SY", 4, Packed(Kind::Bzip2)),
    (b"\x04\x22\x4d\x18", 0, Packed(Kind::Lz4)),
    (b"\x02\x21\x4c\x18", 0, Packed(Kind::Lz4)),
    (b"LZIP\x01", 0, Packed(Kind::Lzip)),
    (b"\x5d\0\0", 0, Packed(Kind::Lzma)),
    (b"hsqs", 0, Slice(Shape::Squashfs)),
    (b"7z\xbc\xaf\x27\x1c", 0, Slice(Shape::SevenZip)),
    (b"070701", 0, Slice(Shape::Cpio)),
    (b"070702", 0, Slice(Shape::Cpio)),
    (b"070707", 0, Slice(Shape::Cpio)),
    (b"ustar", 257, Slice(Shape::Tar)),
    (b"nix-archive-1\0\0\0", 8, Slice(Shape::Nar)),
    (b"\x50\xed\x55\xba", 0, Device),
    (b"Rar!\x1a\x07", 0, NotOpened("rar")),
    (b"MSCF\0\0\0\0", 0, NotOpened("cab")),
    (b"CD001\x01", 0x8001, Slice(Shape::Iso)),
    (b"EFI PART", 0x200, Slice(Shape::Disk)),
    (b"\xe2\xe1\xf5\xe0", 0x400, Slice(Shape::Erofs)),
    (b"FAT12   ", 54, Slice(Shape::Fat)),
    (b"FAT16   ", 54, Slice(Shape::Fat)),
    (b"FAT32   ", 82, Slice(Shape::Fat)),
    (b"QFI\xfb\0\0\0", 0, Slice(Shape::Qcow2)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0, NotOpened("OLE")),
    (b"\xef\xbe\xad\xdeNullsoftInst", 4, NotOpened("NSIS installer")),
    (b"MEI\x0c\x0b\x0a\x0b\x0e", 0, NotOpened("encrypted PyInstaller")),
    (b"\x8b\x12\x02\xb9\x6a\x61\x20\x38", 8, NotOpened("compressed .NET bundle")),
    (b"Salted__", 0, NotOpened("encrypted")),
    (b"f0VMR", 0, Text(Base64)),
    (b"H4sI", 0, Text(Base64)),
    (b"UEsDB", 0, Text(Base64)),
    (b"/Td6WFo", 0, Text(Base64)),
    (b"_Td6WFo", 0, Text(Base64)),
    (b"KLUv/", 0, Text(Base64)),
    (b"KLUv_", 0, Text(Base64)),
    (b"QlpoO", 0, Text(Base64)),
    (b"N3q8ryc", 0, Text(Base64)),
    (b"ITxhcmNo", 0, Text(Base64)),
    (b"TVqQA", 0, Text(Base64)),
    (b"MDcwNzAx", 0, Text(Base64)),
    (b"aHNxc", 0, Text(Base64)),
    (b"=ybegin ", 0, Text(Yenc)),
];

/// The longest mark.
const LONGEST: usize = 16;

static SEARCHER: LazyLock<Searcher> =
    LazyLock::new(|| Searcher::new(MARKS.iter().map(|(mark, ..)| mark)).expect("the marks are few and not empty"));

/// The ways in which deflated data of zlib usually begins.
static ZLIB: LazyLock<[memmem::Finder<'static>; 4]> =
    LazyLock::new(|| [b"\x78\x9c", b"\x78\xda", b"\x78\x01", b"\x78\x5e"].map(memmem::Finder::new));

static EXT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\x53\xef"));

/// Whatever may begin at a mark in the range, in the order of where it begins.
pub(super) fn candidates(bytes: &[u8], range: Range<usize>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let end = (range.end + LONGEST - 1).min(bytes.len());
    let mut at = range.start;
    while let Some(hit) = SEARCHER.find_in(bytes, (at..end).into()) {
        at = hit.start() + 1;
        if hit.start() >= range.end {
            break;
        }
        let (_, offset, what) = MARKS[hit.pattern().as_usize()];
        found.extend(hit.start().checked_sub(offset).and_then(|start| fits(bytes, start, what)));
    }
    let end = (range.end + 1).min(bytes.len());
    for finder in ZLIB.iter() {
        let mut at = range.start;
        while let Some(hit) = finder.find(&bytes[at..end]) {
            let start = at + hit;
            at = start + 1;
            if begins_as_deflate(&bytes[start + 2..]) {
                found.push(Candidate { start, what: Packed(Kind::Zlib) });
            }
        }
    }
    // The mark of ext2 to ext4 has two bytes as well.
    let mut at = range.start;
    while let Some(hit) = EXT.find(&bytes[at..end]) {
        let start = (at + hit).checked_sub(0x438);
        at += hit + 1;
        found.extend(start.and_then(|start| fits(bytes, start, Slice(Shape::Ext))));
    }
    found.sort_by_key(|candidate| candidate.start);
    found
}

/// Whether the fields around a mark are possible.
fn fits(bytes: &[u8], start: usize, what: What) -> Option<Candidate> {
    let rest = &bytes[start..];
    let candidate = |fits: bool| fits.then_some(Candidate { start, what });
    match what {
        Slice(Shape::Elf) => candidate(begins_as_elf(rest)),
        Slice(Shape::Pe) => candidate(begins_as_coff(rest.get(4..)?)),
        Slice(Shape::MachO) => candidate(begins_as_mach_o(rest)),
        Slice(Shape::Ar) => candidate(rest.get(66..68) == Some(b"`\n")),
        Slice(Shape::Cpio) => candidate(cpio::begins_as_cpio(rest)),
        Slice(Shape::Nar) => {
            candidate(rest.starts_with(b"\x0d\0\0\0\0\0\0\0") && rest.get(24..33) == Some(b"\x01\0\0\0\0\0\0\0("))
        }
        Slice(Shape::SevenZip) => {
            candidate(rest.len() >= 32 && little::<4>(rest, 8) == Some(u64::from(crc32(&rest[12..32]))))
        }
        Slice(Shape::Squashfs) => {
            let (size, log) = (little::<4>(rest, 12)?, little::<2>(rest, 22)?);
            let version = little::<4>(rest, 28)? == 4;
            candidate(version && (12..=20).contains(&log) && size == 1 << log)
        }
        // The kind of the first descriptor, and the size of a sector in both orders.
        Slice(Shape::Iso) => {
            candidate(rest.get(0x8000) == Some(&1) && rest.get(0x8080..0x8084) == Some(b"\0\x08\x08\0"))
        }
        Slice(Shape::Disk) => candidate(rest.get(0x208..0x210) == Some(b"\0\0\x01\0\x5c\0\0\0")),
        Slice(Shape::Erofs) => candidate(image::is_erofs(rest)),
        Slice(Shape::Ext) => candidate(image::begins_ext(rest)),
        Slice(Shape::Fat) => candidate(image::begins_fat(rest)),
        Slice(Shape::Qcow2) => candidate(image::begins_qcow2(rest)),
        Slice(Shape::Tar) => candidate(super::recognize::begins_as_old_tar(rest)),
        Packed(kind) => candidate(begins_as_packed(rest, kind)),
        Entry => candidate(super::zip::local(rest).is_some()),
        // The device scanner says what it cannot read.
        Device => candidate(true),
        NotOpened(kind) => candidate(is_unopened(bytes, start, kind)),
        Text(_) => candidate(true),
    }
}

fn begins_as_elf(rest: &[u8]) -> bool {
    let [_, _, _, _, class @ 1..=2, order @ 1..=2, 1, ..] = rest else { return false };
    let (wide, big) = (*class == 2, *order == 2);
    let short = |at| number::<2>(rest, at, big);
    let header = if wide { 0x34 } else { 0x28 };
    // Machine code for GPUs is the device scanner's.
    short(16).is_some_and(|kind| (1..=4).contains(&kind))
        && short(18).is_some_and(|machine| machine != 0 && machine != 190)
        && number::<4>(rest, 20, big) == Some(1)
        && short(header) == Some(if wide { 64 } else { 52 })
}

/// The header behind the mark of a PE file, and the magic of the one behind that.
fn begins_as_coff(rest: &[u8]) -> bool {
    let short = |at| little::<2>(rest, at).unwrap_or(0);
    matches!(short(0), 0x14c | 0x8664 | 0xaa64 | 0x1c0 | 0x1c2 | 0x1c4 | 0x200 | 0xebc | 0x5032 | 0x5064 | 0x6264)
        && (1..=96).contains(&short(2))
        && (96..=1024).contains(&short(16))
        && matches!(short(20), 0x10b | 0x20b)
}

fn begins_as_mach_o(rest: &[u8]) -> bool {
    let big = rest[0] == 0xfe;
    let field = |at| number::<4>(rest, at, big).unwrap_or(0);
    matches!(field(4) & 0xff_ffff, 7 | 12 | 18)
        && (1..=12).contains(&field(12))
        && (1..=4096).contains(&field(16))
        && field(20) >= 8 * field(16)
        && field(20) <= rest.len() as u64
}

fn begins_as_packed(rest: &[u8], kind: Kind) -> bool {
    match kind {
        Kind::Gzip => {
            // Flags that are possible, and what is said of effort and system.
            matches!(rest, [_, _, _, flags, _, _, _, _, 0 | 2 | 4, 0..=13 | 255, ..] if flags & 0xe0 == 0)
        }
        Kind::Xz => rest.get(6..8).is_some_and(|flags| little::<4>(rest, 8) == Some(u64::from(crc32(flags)))),
        Kind::Zstd => begins_as_zstd(rest),
        Kind::Bzip2 => matches!(rest, [b'B', b'Z', b'h', b'1'..=b'9', ..]),
        Kind::Lz4 if rest[0] == 4 => {
            matches!(rest, [_, _, _, _, flags, sizes, ..] if flags >> 6 == 1 && flags & 2 == 0 && sizes & 0x8f == 0 && sizes >> 4 >= 4)
        }
        // The size of the first block.
        Kind::Lz4 => little::<4>(rest, 4)
            .is_some_and(|size| (16..=(8 << 20) + 40_000).contains(&size) && size as usize <= rest.len() - 8),
        Kind::Lzip => rest.get(5).is_some_and(|size| (12..=29).contains(&(size & 0x1f))),
        Kind::Lzma => super::recognize::begins_as_lzma(rest),
        _ => false,
    }
}

/// Flags without the reserved ones, and a first block of a kind and size that are possible.
fn begins_as_zstd(rest: &[u8]) -> bool {
    let Some(flags) = rest.get(4) else { return false };
    let single = flags & 0x20 != 0;
    let content = [usize::from(single), 2, 4, 8][usize::from(flags >> 6)];
    let header = 5 + usize::from(!single) + [0, 1, 2, 4][usize::from(flags & 3)] + content;
    let Some(block) = little::<3>(rest, header) else { return false };
    let (kind, size) = (block >> 1 & 3, block >> 3);
    let stored = if kind == 1 { 1 } else { size as usize };
    flags & 8 == 0 && kind != 3 && size <= 128 << 10 && stored <= rest.len() - header - 3
}

/// Whether the first block of deflated data is possible, as far as its first bytes tell.
fn begins_as_deflate(rest: &[u8]) -> bool {
    match rest {
        [first, second, third, ..] => match first >> 1 & 3 {
            0 => matches!(rest, [_, a, b, c, d, ..] if *a == !c && *b == !d),
            1 => true,
            // How many codes there are for letters and lengths, and for distances.
            2 => first >> 3 <= 29 && second & 0x1f <= 29 && *third != 0xff,
            _ => false,
        },
        _ => false,
    }
}

/// Whether something that is not opened has the fields that it needs.
fn is_unopened(bytes: &[u8], start: usize, kind: &str) -> bool {
    let rest = &bytes[start..];
    let field = |at| little::<4>(rest, at).unwrap_or(0);
    match kind {
        // The checksum of the first header.
        "rar" => match rest.get(6..8) {
            Some([0, _]) => {
                rest.get(9) == Some(&0x73)
                    && rest
                        .get(9..20)
                        .is_some_and(|header| little::<2>(rest, 7) == Some(u64::from(crc32(header) & 0xffff)))
            }
            Some([1, 0]) => {
                let size = rest.get(12).map_or(0, |size| usize::from(*size));
                size < 0x80 && rest.get(12..13 + size).is_some_and(|header| field(8) == u64::from(crc32(header)))
            }
            _ => false,
        },
        "cab" => {
            rest.get(24..26) == Some(b"\x03\x01")
                && field(8) as usize <= rest.len()
                && (36..field(8)).contains(&field(16))
        }
        "OLE" => rest.get(28..30) == Some(b"\xfe\xff") && matches!(rest.get(30..32), Some(b"\x09\0" | b"\x0c\0")),
        "NSIS installer" => {
            let (header, all) = (field(20), field(24));
            field(0) < 32 && header > 0 && all > header / 1000 && all as usize <= rest.len()
        }
        "encrypted PyInstaller" => {
            let package = number::<4>(rest, 8, true).unwrap_or(0) as usize;
            let is_sound = package > 88 && package <= start + 88;
            let begin = (start + 88).saturating_sub(package);
            is_sound && memmem::find(&bytes[begin..start], b"pyimod00_crypto_key").is_some()
        }
        "compressed .NET bundle" => is_compressed_bundle(bytes, start),
        // What `openssl enc` writes: at the beginning of a file, and nowhere else.
        "encrypted" => start == 0 && bytes.len().is_multiple_of(8),
        _ => false,
    }
}

/// The mark of a program that carries its .NET libraries: before it stands where the list of them is. Up to the fifth version
/// all lie there as they are; later ones may be compressed without a mark of their own.
fn is_compressed_bundle(bytes: &[u8], start: usize) -> bool {
    const MARK: &[u8] = b"\x8b\x12\x02\xb9\x6a\x61\x20\x38\x72\x7b\x93\x02\x14\xd7\xa0\x32\x13\xf5\xb9\xe6\xef\xae\x33\x18\xee\x3b\x2d\xce\x24\xb3\x6a\xae";
    let Some(list) = little::<8>(bytes, start).filter(|list| *list > 0).and_then(|list| usize::try_from(list).ok())
    else {
        return false;
    };
    bytes[start..].get(8..).is_some_and(|rest| rest.starts_with(MARK))
        && is_compressed_list(bytes, list).unwrap_or(true)
}

/// Whether a list of a bundle names a file that is compressed; nothing where the list cannot be read.
fn is_compressed_list(bytes: &[u8], list: usize) -> Option<bool> {
    let (major, count) = (little::<4>(bytes, list)?, little::<4>(bytes, list + 8)?);
    let text = |at: usize| Some(at + 1 + usize::from(*bytes.get(at).filter(|size| **size < 0x80)?));
    let mut at = text(list + 12)? + if major >= 2 { 40 } else { 0 };
    if major < 6 {
        return Some(false);
    }
    for _ in 0..count {
        if little::<8>(bytes, at + 16)? != 0 {
            return Some(true);
        }
        at += 25;
        // Names are up to 2^14 bytes long.
        let size = match (bytes.get(at)?, bytes.get(at + 1)) {
            (size @ 0..=0x7f, _) => 1 + usize::from(*size),
            (low, Some(high @ 0..=0x7f)) => 2 + (usize::from(low & 0x7f) | usize::from(*high) << 7),
            _ => return None,
        };
        at += size;
    }
    Some(false)
}

/// Every mark that is searched for.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static [u8]> {
    MARKS.iter().map(|(mark, ..)| *mark)
}
