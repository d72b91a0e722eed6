//! Images of disks and file systems, which are told by fields at fixed places. Some are opened (`disk`).
//!
//! A mark of two or four bytes alone is none: other fields have to fit, since what is recognized is withheld.

use super::marks::Shape;
use super::{Kind, little, number};

/// Marks that no other file has at that place.
const MARKS: [(usize, &[u8], &str); 22] = [
    (0x8001, b"CD001\x01", "ISO 9660"),
    (0x8001, b"BEA01\x01", "ISO 9660"),
    (0x200, b"EFI PART", "disk image (GPT)"),
    (0x1000, b"EFI PART", "disk image (GPT)"),
    (0x10040, b"_BHRfS_M", "btrfs"),
    (0x10034, b"ReIsErFs", "reiserfs"),
    (0x10034, b"ReIsEr2Fs", "reiserfs"),
    (0x10034, b"ReIsEr3Fs", "reiserfs"),
    (3, b"NTFS    ", "NTFS"),
    (3, b"EXFAT   ", "exFAT"),
    (0, b"LUKS\xba\xbe\0", "LUKS"),
    (0, b"QFI\xfb\0\0\0", "qcow2"),
    (0, b"KDMV\x01\0\0\0", "vmdk"),
    (0, b"KDMV\x03\0\0\0", "vmdk"),
    (0, b"COWD\x01\0\0\0", "vmdk"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix\0\0\0", "vhd"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"\x3a\xff\x26\xed\x01\0", "Android sparse image"),
    (0, b"ANDROID!", "Android boot image"),
    (16, b"Compressed ROMFS", "cramfs"),
];

/// What kind of image this is, if it is one.
pub(super) fn name(bytes: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, mark: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(mark));
    if let Some((.., name)) = MARKS.iter().find(|(offset, mark, _)| at(*offset, mark)) {
        return Some(name);
    }
    let trailer = |mark: &[u8]| bytes.len().checked_sub(512).is_some_and(|begin| bytes[begin..].starts_with(mark));
    let checks = [
        // The last 512 bytes are about the rest: their mark, their version, and their own size.
        (trailer(b"koly\0\0\0\x04\0\0\x02\0"), "dmg"),
        (trailer(b"conectix\0\0\0"), "vhd"),
        (is_ext(bytes), "ext2, ext3 or ext4"),
        (is_xfs(bytes), "xfs"),
        (is_f2fs(bytes), "f2fs"),
        (is_erofs(bytes), "erofs"),
        (is_fat(bytes), "FAT"),
        (is_hfs(bytes), "HFS"),
        (at(0x20, b"NXSB") && little::<4>(bytes, 0x24).is_some_and(|size| size.is_power_of_two()), "APFS"),
        (is_romfs(bytes), "romfs"),
        (is_ubi(bytes), "UBI"),
        (is_ubifs(bytes), "UBIFS"),
        (is_jffs2(bytes), "JFFS2"),
        (is_partitioned(bytes), "disk image (MBR)"),
    ];
    checks.iter().find(|(is, _)| *is).map(|(_, name)| *name)
}

/// As what an image is opened, if it is.
pub(super) fn opened(name: &str) -> Option<Kind> {
    Some(match name {
        "ext2, ext3 or ext4" => Kind::Ext,
        "FAT" => Kind::Fat,
        "ISO 9660" => Kind::Iso,
        "erofs" => Kind::Erofs,
        "qcow2" => Kind::Qcow2,
        "disk image (GPT)" | "disk image (MBR)" => Kind::Partitions,
        _ => return None,
    })
}

/// The superblock at 1,024: magic, sizes of blocks, and a state that the tools write.
fn is_ext(bytes: &[u8]) -> bool {
    let field = |at: usize| little::<4>(bytes, 0x400 + at);
    little::<2>(bytes, 0x438) == Some(0xef53)
        && field(0x18).is_some_and(|log| log <= 6)
        && field(0).is_some_and(|inodes| inodes > 0)
        && field(4).is_some_and(|blocks| blocks > 0)
        && little::<2>(bytes, 0x43a).is_some_and(|state| state <= 7)
}

/// The same inside other bytes, where chance has more room: the first of the superblocks, with groups that are possible.
pub(super) fn begins_ext(bytes: &[u8]) -> bool {
    let field = |at: usize| little::<4>(bytes, 0x400 + at).unwrap_or(0);
    is_ext(bytes)
        && field(0x4c) <= 1
        && little::<2>(bytes, 0x45a) == Some(0)
        && (1..=8 << (10 + field(0x18))).contains(&field(0x20))
        && field(0x28) > 0
        && field(0x28) <= field(0)
        && field(0x14) <= 1
}

/// The first fields of a disk of QEMU's that it would open: programs that write such disks have the mark alone.
pub(super) fn begins_qcow2(bytes: &[u8]) -> bool {
    let field = |at| number::<4>(bytes, at, true);
    let Some(log @ 9..=21) = field(20) else { return false };
    // Where the first table is: at the beginning of a piece.
    let table = number::<8>(bytes, 40, true).is_some_and(|at| at != 0 && at.trailing_zeros() >= log as u32);
    table && matches!(field(4), Some(2 | 3)) && matches!(field(32), Some(0..=2))
}

/// A boot sector behind which the first table of clusters begins as it does everywhere.
pub(super) fn begins_fat(bytes: &[u8]) -> bool {
    let short = |at| little::<2>(bytes, at).unwrap_or(0) as usize;
    let table = bytes.get(short(11) * short(14)..).unwrap_or_default();
    is_fat(bytes) && table.starts_with(&[bytes[21], 0xff, 0xff])
}

/// How long an image says that it is.
pub(super) fn length(bytes: &[u8], shape: Shape) -> Option<u64> {
    let field = |at: usize| little::<4>(bytes, at);
    match shape {
        Shape::Disk => little::<8>(bytes, 0x220)?.checked_add(1)?.checked_mul(512),
        Shape::Erofs => field(0x424)?.checked_shl(u32::from(*bytes.get(0x40c)?)),
        Shape::Ext => {
            let high = if field(0x460)? & 0x80 != 0 { field(0x550)? } else { 0 };
            (high << 32 | field(0x404)?).checked_mul(1 << (10 + field(0x418)?.min(6)))
        }
        Shape::Fat => {
            let sectors = match little::<2>(bytes, 19)? {
                0 => field(32)?,
                sectors => sectors,
            };
            Some(sectors * little::<2>(bytes, 11)?)
        }
        Shape::Iso => Some(field(0x8050)? * 2048),
        Shape::Qcow2 => Some(bytes.len() as u64),
        _ => None,
    }
}

fn is_xfs(bytes: &[u8]) -> bool {
    let block = number::<4>(bytes, 4, true);
    bytes.starts_with(b"XFSB") && block.is_some_and(|size| size.is_power_of_two() && (512..=65536).contains(&size))
}

fn is_f2fs(bytes: &[u8]) -> bool {
    little::<4>(bytes, 0x400) == Some(0xf2f5_2010)
        && little::<4>(bytes, 0x408).is_some_and(|log| (9..=12).contains(&log))
        && little::<4>(bytes, 0x40c).is_some_and(|log| log <= 3)
}

pub(super) fn is_erofs(bytes: &[u8]) -> bool {
    // The size of a block as a power of two, and the one folder that has a number here.
    little::<4>(bytes, 0x400) == Some(0xe0f5_e1e2) && bytes.get(0x40c).is_some_and(|log| (9..=16).contains(log))
}

/// A boot sector: a jump, sizes that are possible, and the mark at its end.
fn is_fat(bytes: &[u8]) -> bool {
    let Some(sector) = bytes.first_chunk::<512>() else { return false };
    let short = |at| little::<2>(sector, at).unwrap_or(0);
    matches!(sector[..3], [0xeb, _, 0x90] | [0xe9, ..])
        && sector[510..] == [0x55, 0xaa]
        && [512, 1024, 2048, 4096].contains(&short(11))
        && sector[13].is_power_of_two()
        && short(14) > 0
        && (1..=2).contains(&sector[16])
        && (sector[54..].starts_with(b"FAT") || sector[82..].starts_with(b"FAT32") || sector[21] >= 0xf0)
}

fn is_hfs(bytes: &[u8]) -> bool {
    let version = number::<2>(bytes, 0x402, true);
    match bytes.get(0x400..0x402) {
        Some(b"H+") => version == Some(4),
        Some(b"HX") => version == Some(5),
        _ => false,
    }
}

/// A romfs says how long it is, and its first words add up to zero.
fn is_romfs(bytes: &[u8]) -> bool {
    let size = number::<4>(bytes, 8, true).map_or(0, |size| size.min(512)) as usize;
    let words = bytes.get(..size & !3).unwrap_or_default().chunks_exact(4);
    let sum = words.fold(0u32, |sum, word| sum.wrapping_add(number::<4>(word, 0, true).unwrap_or(0) as u32));
    bytes.starts_with(b"-rom1fs-") && size >= 32 && sum == 0
}

fn is_ubi(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<64>() else { return false };
    header.starts_with(b"UBI#\x01\0\0\0") && number::<4>(header, 60, true) == Some(u64::from(!crc32(&header[..60])))
}

/// A superblock of UBIFS: the magic of its nodes and the kind of this one.
fn is_ubifs(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x31\x18\x10\x06") && bytes.get(20) == Some(&6)
}

/// The first node: its magic, its kind, and the checksum of these.
fn is_jffs2(bytes: &[u8]) -> bool {
    let (Some(header), big) = (bytes.first_chunk::<12>(), bytes.starts_with(b"\x19\x85")) else { return false };
    let magic = number::<2>(header, 0, big) == Some(0x1985);
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    };
    // Here the checksum begins with zero, and is kept as it is.
    let sum = header[..8].iter().fold(0, step);
    magic && number::<4>(header, 8, big) == Some(u64::from(sum))
}

/// A table of partitions with a mark, at least one partition that lies in the file, and none that is impossible.
fn is_partitioned(bytes: &[u8]) -> bool {
    let Some(sector) = bytes.first_chunk::<512>() else { return false };
    let sectors = bytes.len() as u64 / 512;
    let rows: Vec<&[u8]> = sector[446..510].chunks_exact(16).collect();
    let is_sound = |row: &&[u8]| {
        let (first, count) = (little::<4>(row, 8).unwrap_or(0), little::<4>(row, 12).unwrap_or(0));
        row.iter().all(|byte| *byte == 0)
            || matches!(row[0], 0 | 0x80) && row[4] != 0 && first > 0 && count > 0 && first + count <= sectors
    };
    sector[510..] == [0x55, 0xaa] && rows.iter().all(is_sound) && rows.iter().any(|row| row[4] != 0)
}

/// CRC-32 as zip has it.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::see;
    use super::super::{Gap, Limits};
    use super::*;

    /// So many zeros with some fields in them.
    fn image(fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 80 << 10];
        for (at, field) in fields {
            bytes[*at..at + field.len()].copy_from_slice(field);
        }
        bytes
    }

    #[test]
    fn images_are_recognized_and_are_gaps() {
        let mut ubi = image(&[(0, b"UBI#\x01")]);
        let sum = !crc32(&ubi[..60]);
        ubi[60..64].copy_from_slice(&sum.to_be_bytes());
        let mut romfs = image(&[(0, b"-rom1fs-\0\0\x40\0")]);
        let sum = romfs[..512]
            .chunks_exact(4)
            .fold(0u32, |sum, word| sum.wrapping_add(u32::from_be_bytes(*word.first_chunk().unwrap())));
        romfs[12..16].copy_from_slice(&sum.wrapping_neg().to_be_bytes());
        let fat: [(usize, &[u8]); 7] = [
            (0, b"\xeb\x3c\x90mkfs.fat\0\x02\x04\x04\0\x02"),
            (21, b"\xf8"),
            (54, b"FAT16   "),
            (510, b"\x55\xaa"),
            (11, b"\0\x02"),
            (13, b"\x04"),
            (14, b"\x04\0\x02"),
        ];
        let cases = [
            ("ext2, ext3 or ext4", image(&[(0x400, b"\x10\0\0\0\x40\0\0\0"), (0x438, b"\x53\xef\x01\0")])),
            ("xfs", image(&[(0, b"XFSB\0\0\x10\0")])),
            ("f2fs", image(&[(0x400, b"\x10\x20\xf5\xf2\x01\0\x10\0\x09\0\0\0\x03\0\0\0")])),
            ("erofs", image(&[(0x400, b"\xe2\xe1\xf5\xe0"), (0x40c, b"\x0c")])),
            ("FAT", image(&fat)),
            ("HFS", image(&[(0x400, b"H+\0\x04")])),
            ("APFS", image(&[(0x20, b"NXSB\0\x10\0\0")])),
            ("romfs", romfs),
            ("UBI", ubi),
            ("UBIFS", image(&[(0, b"\x31\x18\x10\x06"), (20, b"\x06")])),
            ("JFFS2", image(&[(0, b"\x85\x19\x03\x20\x0c\0\0\0\xb1\xb0\x1e\xe4")])),
            ("btrfs", image(&[(0x10040, b"_BHRfS_M")])),
            ("NTFS", image(&[(3, b"NTFS    ")])),
            ("LUKS", image(&[(0, b"LUKS\xba\xbe\0\x02")])),
            ("qcow2", image(&[(0, b"QFI\xfb\0\0\0\x03")])),
            ("vmdk", image(&[(0, b"KDMV\x01\0\0\0")])),
            ("vdi", image(&[(0x40, b"\x7f\x10\xda\xbe")])),
            ("vhdx", image(&[(0, b"vhdxfile")])),
            ("Android sparse image", image(&[(0, b"\x3a\xff\x26\xed\x01\0\0\0")])),
            ("cramfs", image(&[(0, b"\x45\x3d\xcd\x28"), (16, b"Compressed ROMFS")])),
        ];
        // Tables of partitions that are sound are read, and here there is nothing in them.
        for (kind, fields) in [
            ("disk image (MBR)", [(446, b"\x80\0\0\0\x83\0\0\0\x01\0\0\0\x20\0\0\0".as_slice()), (510, b"\x55\xaa")]),
            ("disk image (GPT)", [(0x200, b"EFI PART".as_slice()), (0, b"\0")]),
        ] {
            assert_eq!(name(&image(&fields)), Some(kind));
            assert_eq!(opened(kind), Some(Kind::Partitions));
        }
        for (kind, bytes) in cases {
            let seen = see("x", &bytes, Limits::default());
            let [(place, gap)] = seen.gaps.as_slice() else { panic!("{kind}: {:?}", seen.gaps) };
            assert_eq!(place, "x", "{kind}");
            // What is opened has nothing here but its mark, and is damaged or has what its reader does not know.
            match opened(kind) {
                None => assert_eq!(*gap, Gap::UnsupportedArchive(kind.to_owned())),
                Some(_) => assert!(matches!(gap, Gap::UnsupportedArchive(_) | Gap::BrokenArchive(_)), "{kind}: {gap}"),
            }
        }
        // What lies in an image in one piece is seen all the same.
        let library = crate::made::library(&[(".rodata", false, b"a message of the vendor".repeat(20))]);
        let fields: [(usize, &[u8]); 3] =
            [(0x400, b"\x10\0\0\0\x40\0\0\0"), (0x438, b"\x53\xef\x01\0"), (0x3000, &library)];
        assert!(see("x", &image(&fields), Limits::default()).contents.contains(&library));
    }

    #[test]
    fn other_files_are_no_images() {
        for fields in [
            [(0x438, b"\x53\xef".as_slice()), (0x418, b"\x09")],
            [(510, b"\x55\xaa".as_slice()), (446, b"\x03")],
            [(0, b"XFSB and a text".as_slice()), (510, b"\x55\xaa")],
            [(0, b"\x85\x19\x03\x20".as_slice()), (8, b"\x01")],
            [(0, b"UBI#\x01".as_slice()), (60, b"\x01")],
            [(0x400, b"H+\0\x09".as_slice()), (0, b"x")],
        ] {
            assert_eq!(name(&image(&fields)), None, "{fields:?}");
        }
    }
}
