//! Images that Debian's tools made (`tests/data/disks.sh`): what is in them, what lies beside it, and damage.

use super::super::tests::{Seen, noise, see};
use super::super::{Gap, Limits};
use crate::made::library;
use proptest::prelude::*;

macro_rules! images {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../tests/data/", $name, ".zst")).as_slice())),*]
    };
}

const PACKED: [(&str, &[u8]); 14] = images!(
    "ext2.img",
    "ext3.img",
    "ext4.img",
    "fat12.img",
    "fat16.img",
    "fat32.img",
    "rock.iso",
    "joliet.iso",
    "plain.iso",
    "erofs.img",
    "erofs-lz4.img",
    "plain.qcow2",
    "deflate.qcow2",
    "zstd.qcow2"
);

fn image(name: &str) -> Vec<u8> {
    let packed = PACKED.iter().find(|(other, _)| *other == name).unwrap().1;
    zstd::decode_all(packed).unwrap()
}

/// The last part of each name that was seen, with the size of the content, in order.
fn files(seen: &Seen) -> Vec<(String, usize)> {
    let name = |blob: &String| blob.rsplit(['!', '/']).next().unwrap().to_lowercase();
    let mut files: Vec<(String, usize)> =
        seen.blobs.iter().map(name).zip(seen.contents.iter().map(Vec::len)).skip(1).collect();
    // The file of numbers is also read as the bytes that it stands for.
    files.retain(|(name, _)| !name.starts_with("numbers at"));
    files.sort();
    files
}

fn holds(seen: &Seen, name: &str) {
    assert_eq!(seen.gaps, [], "{name}");
    let mut found = files(seen);
    // What lies around the files: the file system of a disk, and partitions.
    found.retain(|(name, _)| name != "disk" && !name.starts_with("partition"));
    let expected = [("a.txt", 12), ("bin", 5000), ("holes", 8200), ("numbers.txt", 13_893)];
    assert_eq!(found, expected.map(|(name, size)| (name.to_owned(), size)), "{name}");
    let lines: String = (1..=3000).map(|line| format!("{line}\n")).collect();
    for content in [b"hello world\n".to_vec(), [b"a".as_slice(), &[0; 8198], b"b"].concat(), lines.into_bytes()] {
        assert!(seen.contents.contains(&content), "{name}");
    }
}

#[test]
fn the_files_of_all_images_are_seen() {
    for (name, _) in PACKED {
        holds(&see(name, &image(name), Limits::default()), name);
    }
    let seen = see("x", &image("rock.iso"), Limits::default());
    assert!(seen.blobs.contains(&"x!d/e/bin".to_owned()), "{:?}", seen.blobs);
}

/// A disk with two partitions, the first of which is logical if the table is an MBR.
fn disk(with_gpt: bool) -> Vec<u8> {
    let (fat, ext) = (image("fat12.img"), image("ext2.img"));
    let mut bytes = vec![0; 512 * 8192 + ext.len() + 4096];
    let row = |kind: u8, first: u32, count: u32| {
        [&[0, 0, 0, 0, kind, 0, 0, 0], first.to_le_bytes().as_slice(), &count.to_le_bytes()].concat()
    };
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    if with_gpt {
        put(446, &row(0xee, 1, 8447));
        put(512, b"EFI PART\0\0\x01\0\x5c\0\0\0");
        put(512 + 72, &[&2u64.to_le_bytes()[..], &128u32.to_le_bytes(), &128u32.to_le_bytes()].concat());
        for (at, first, size) in [(0, 2049, fat.len()), (5, 8192, ext.len())] {
            put(1024 + 128 * at, &[7; 32]);
            put(1024 + 128 * at + 32, &u64::to_le_bytes(first));
            put(1024 + 128 * at + 40, &(first + size as u64 / 512 - 1).to_le_bytes());
        }
    } else {
        put(446, &[row(5, 2048, 4000), row(0x83, 8192, ext.len() as u32 / 512)].concat());
        put(512 * 2048 + 446, &row(0xc, 1, fat.len() as u32 / 512));
        put(512 * 2048 + 510, b"\x55\xaa");
    }
    put(510, b"\x55\xaa");
    put(512 * 2049, &fat);
    put(512 * 8192, &ext);
    bytes
}

#[test]
fn partitions_are_opened() {
    for with_gpt in [false, true] {
        let bytes = disk(with_gpt);
        let seen = see("disk", &bytes, Limits::default());
        assert_eq!(seen.gaps, []);
        let is_in = |blob: &&String, part: &str| blob.starts_with(part) && !blob.contains("numbers at");
        let parts = |part: &str| seen.blobs.iter().filter(|blob| is_in(blob, part)).count();
        assert_eq!((parts("disk!partition 1!"), parts("disk!partition 2!")), (4, 4), "{:?}", seen.blobs);
        // One that is cut off is a gap, and what is there is read.
        let cut = see("disk", &bytes[..bytes.len() - 100_000], Limits::default());
        assert!(!cut.gaps.is_empty() && cut.blobs.iter().any(|blob| blob.ends_with("!a.txt")), "{:?}", cut.gaps);
    }
}

/// What was deleted, what lies in no file, and what lies in no partition is searched.
#[test]
fn what_no_file_has_is_searched() {
    let hidden = library(&[(".rodata", false, b"a message of the vendor, which is long".repeat(20))]);
    let mut images: Vec<(String, Vec<u8>)> = ["ext2.img", "ext4.img", "fat12.img", "fat32.img"]
        .into_iter()
        .map(|name| (name.to_owned(), image(name)))
        .collect();
    images.extend([("mbr".to_owned(), disk(false)), ("gpt".to_owned(), disk(true))]);
    // Bytes around it hide no image, wherever it begins.
    for (name, _) in PACKED {
        let around = [&noise(1237), image(name).as_slice(), &noise(99)].concat();
        let seen = see("x", &around, Limits::default());
        assert_eq!(seen.gaps, [], "{name}");
        assert!(seen.blobs.iter().any(|blob| blob.to_lowercase().ends_with("bin")), "{name}: {:?}", seen.blobs);
    }
    for (name, mut bytes) in images {
        // The last blocks are free.
        let at = bytes.len() - hidden.len().next_multiple_of(512) - 1024;
        assert!(bytes[at..at + hidden.len()].iter().all(|byte| *byte == 0), "{name}");
        bytes[at..at + hidden.len()].copy_from_slice(&hidden);
        let seen = see("x", &bytes, Limits::default());
        assert_eq!(seen.gaps, [], "{name}");
        assert!(seen.contents.contains(&hidden), "{name}: {:?}", seen.blobs);
    }
}

/// A file is seen as a file, and not once more as bytes somewhere in the image.
#[test]
fn files_are_seen_once() {
    let program = library(&[(".rodata", false, noise(900))]);
    for name in ["ext2.img", "ext3.img", "ext4.img", "fat12.img", "fat16.img", "rock.iso", "erofs.img", "plain.qcow2"] {
        let mut bytes = image(name);
        // The file that does not compress becomes a program.
        let bin = see("x", &bytes, Limits::default());
        let bin = bin.contents.iter().find(|content| content.len() == 5000).unwrap();
        let at = memchr::memmem::find(&bytes, &bin[..1024]).unwrap();
        assert!(program.len() <= 4096);
        bytes[at..at + program.len()].copy_from_slice(&program);
        let seen = see("x", &bytes, Limits::default());
        let found = seen.contents[1..].iter().zip(&seen.blobs[1..]);
        let found: Vec<&String> = found
            .filter(|(content, _)| content.starts_with(&program) && content.len() <= 5000)
            .map(|found| found.1)
            .collect();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(found[0].ends_with("bin") || found[0].ends_with("BIN"), "{name}: {found:?}");
    }
}

#[test]
fn bounds_hold() {
    for (name, _) in PACKED {
        let bytes = image(name);
        let members = Limits { members: 2, ..Limits::default() };
        assert_eq!(see("x", &bytes, members).gaps[0].1, Gap::TooMany(2), "{name}");
        let total = Limits { total_bytes: 6000, ..Limits::default() };
        assert!(see("x", &bytes, total).gaps.iter().any(|(_, gap)| *gap == Gap::TooLarge(6000)), "{name}");
    }
    let memory = Limits { memory: 4096, ..Limits::default() };
    assert_eq!(see("x", &image("ext2.img"), memory).gaps[0].1, Gap::TooMuchMemory(4096));
}

#[test]
fn a_cut_image_is_a_gap() {
    for (name, _) in PACKED {
        let bytes = image(name);
        let used = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
        for part in [4, 8, 14] {
            // The first fields of an ISO stand behind 32 KiB of nothing.
            if part < 14 && used * part / 16 < 40_000 {
                continue;
            }
            let seen = see("x", &bytes[..used * part / 16], Limits::default());
            assert!(!seen.gaps.is_empty(), "{name} cut at {part}/16: {:?}", seen.blobs);
        }
    }
}

/// Where the inode of a file is, in an image of ext2 of one group.
fn inode(bytes: &[u8], name: &str) -> usize {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let size = usize::from(u16::from_le_bytes(bytes[1112..1114].try_into().unwrap()));
    let entry = memchr::memmem::find(bytes, name.as_bytes()).unwrap() - 8;
    number(2048 + 8) * 1024 + (number(entry) - 1) * size
}

#[test]
fn holes_take_nothing_but_zeros() {
    let mut bytes = zstd::decode_all(include_bytes!("../../../tests/data/sparse.img.zst").as_slice()).unwrap();
    let seen = see("x", &bytes, Limits::default());
    let file = [b"a".as_slice(), &[0; 599_999], b"b"].concat();
    assert_eq!((seen.gaps, seen.blobs), (vec![], vec!["x".to_owned(), "x!file".to_owned()]));
    assert_eq!(seen.contents[1], file);
    // One that says it is much longer is bounded, and what lies in it is seen.
    let at = inode(&bytes, "file");
    bytes[at + 0x6c] = 1;
    let limits = Limits { member_bytes: 1 << 20, ..Limits::default() };
    let seen = see("x", &bytes, limits);
    assert_eq!(seen.gaps, [("x".to_owned(), Gap::TooLarge(1 << 20))]);
    assert!(seen.contents[1].starts_with(&file));
}

/// Tables that lead to themselves end, and are gaps.
#[test]
fn circles_are_gaps() {
    let check = |what: &str, bytes: &[u8]| {
        let seen = see("x", bytes, Limits::default());
        assert!(matches!(seen.gaps.as_slice(), [(_, Gap::BrokenArchive(_))]), "{what}: {:?}", seen.gaps);
        // What is beside it is read.
        assert!(seen.blobs.iter().any(|blob| blob.to_lowercase().ends_with("!a.txt")), "{what}: {:?}", seen.blobs);
    };
    // A table of tables that is its own content, in a file that says it is as long as can be.
    let mut ext = image("ext2.img");
    let at = inode(&ext, "numbers.txt");
    let table: [u8; 4] = ext[at + 0x28 + 48..at + 0x28 + 52].try_into().unwrap();
    let block = u32::from_le_bytes(table) as usize * 1024;
    ext[at + 0x28 + 56..at + 0x28 + 60].copy_from_slice(&table);
    ext[at + 4..at + 8].fill(0xff);
    for place in (block..block + 1024).step_by(4) {
        ext[place..place + 4].copy_from_slice(&table);
    }
    check("ext", &ext);
    // A chain of clusters: each file's second cluster is its first one.
    let mut fat = image("fat16.img");
    let entry = memchr::memmem::find(&fat, b"NUMBERS TXT").unwrap();
    let first = u16::from_le_bytes([fat[entry + 26], fat[entry + 27]]);
    let table = 512 * usize::from(u16::from_le_bytes([fat[14], fat[15]])) + 2 * usize::from(first);
    fat[table..table + 2].copy_from_slice(&first.to_le_bytes());
    check("fat", &fat);
    // A folder that lies in itself is read once, and is no damage to who reads.
    let mut iso = image("plain.iso");
    let root: [u8; 4] = iso[0x809e..0x80a2].try_into().unwrap();
    let top = u32::from_le_bytes(root) as usize * 2048;
    let entry = top + memchr::memmem::find(&iso[top..top + 2048], b"\x01d").unwrap() - 32;
    iso[entry + 2..entry + 6].copy_from_slice(&root);
    let seen = see("x", &iso, Limits::default());
    assert_eq!(seen.blobs.iter().filter(|blob| blob.ends_with("a.txt")).count(), 1, "{:?}", seen.blobs);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// Damage is a gap or is not noticed; nothing panics or goes on for ever.
    #[test]
    fn damage_does_no_harm(
        number in 0..PACKED.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        in_the_beginning in any::<bool>(),
    ) {
        let mut bytes = image(PACKED[number].0);
        let first = bytes.iter().position(|byte| *byte != 0).unwrap();
        let end = if in_the_beginning { bytes.len().min(first + 4096) } else { bytes.len() };
        // Free space is no place for damage.
        let places: Vec<usize> = (0..end).filter(|at| bytes[*at] != 0).collect();
        for (at, value) in damage {
            bytes[places[at.index(places.len())]] = value;
        }
        let limits = Limits { members: 500, total_bytes: 64 << 20, memory: 64 << 20, ..Limits::default() };
        let seen = see("x", &bytes, limits);
        prop_assert_eq!(see("x", &bytes, limits), seen);
    }
}

/// A program that writes such disks has their mark, and texts behind it.
#[test]
fn a_mark_alone_is_no_disk() {
    let program = |begin: &[u8]| [&[0; 1000], begin, &[0; 9000]].concat();
    let mark = b"QFI\xfb\0\0\0\x02\0\0\x80\x49\0\0\0\0The file %s does not exist and no size was specified.";
    assert_eq!(see("program", &program(mark), Limits::default()).gaps, []);
    for name in ["plain.qcow2", "deflate.qcow2", "zstd.qcow2"] {
        let seen = see("program", &program(&image(name)), Limits::default());
        assert!(seen.contents.contains(&b"hello world\n".to_vec()), "{name}");
    }
}

/// Tables that are looked at again and again are work in proportion to the image, whoever names them how often.
#[test]
fn tables_that_stand_in_many_places_are_gaps() {
    let circles = |name: &str, bytes: &[u8]| {
        let gaps = see(name, bytes, Limits::default()).gaps;
        assert!(gaps.iter().any(|(_, gap)| gap.to_string().contains("round in circles")), "{name}: {gaps:?}");
    };
    // A disk that is too large for its end to be read, all rows of which have one table with nothing in it.
    let (piece, mut disk) = (1usize << 21, vec![0u8; 3 << 21]);
    let put = |bytes: &mut [u8], at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(&mut disk, 0, b"QFI\xfb\0\0\0\x02");
    put(&mut disk, 20, &21u32.to_be_bytes());
    put(&mut disk, 24, &(1u64 << 60).to_be_bytes());
    put(&mut disk, 36, &u32::MAX.to_be_bytes());
    put(&mut disk, 40, &(piece as u64).to_be_bytes());
    for row in disk[piece..2 * piece].chunks_exact_mut(8) {
        row.copy_from_slice(&(2 * piece as u64).to_be_bytes());
    }
    circles("qcow2", &disk);

    // A folder whose entries all go on in one area, which goes on in itself.
    const SECTOR: usize = 2048;
    let (area, folder, sectors) = (18, 19, 2000);
    let mut iso = vec![0u8; (folder + sectors) * SECTOR];
    let goes_on =
        [b"CE\x1c\x01".as_slice(), &(area as u32).to_le_bytes(), &[0; 12], &2048u32.to_le_bytes(), &[0; 4]].concat();
    let record = |begin: usize, size: usize, flags: u8, name: u8, more: &[u8]| {
        let mut record = vec![0; 34];
        put(&mut record, 2, &(begin as u32).to_le_bytes());
        put(&mut record, 10, &(size as u32).to_le_bytes());
        (record[25], record[32], record[33]) = (flags, 1, name);
        record.extend(more);
        record[0] = record.len() as u8;
        record
    };
    put(&mut iso, 16 * SECTOR, b"\x01CD001\x01");
    put(&mut iso, 16 * SECTOR + 128, &(SECTOR as u16).to_le_bytes());
    put(&mut iso, 16 * SECTOR + 156, &record(folder, sectors * SECTOR, 2, 0, &[]));
    put(&mut iso, 17 * SECTOR, b"\xffCD001\x01");
    let fields = [b"XX\x04\x01".repeat((SECTOR - goes_on.len()) / 4), goes_on.clone()].concat();
    put(&mut iso, area * SECTOR, &fields);
    let entry = record(0, 0, 0, b'a', &goes_on);
    for sector in iso[folder * SECTOR..].chunks_exact_mut(SECTOR) {
        put(sector, 0, &entry.repeat(SECTOR / entry.len()));
    }
    circles("iso", &iso);
}
