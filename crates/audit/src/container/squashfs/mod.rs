//! squashfs 4: file systems that are one file, as AppImages and snaps have them.
//!
//! Written by hand, because the library for it holds whole tables in memory, however large they
//! unpack, recurses as deep as folders nest, panics at some sizes, and shows nothing of an image
//! whose end is damaged. Here each table is read piece by piece.

mod content;
mod tables;

use super::{Kind, Walk, broken, little, shown_name, unsupported};
use crate::finding::{Gap, Place};
use content::{Content, Layout};
use std::collections::HashSet;
use tables::{Cursor, Image};

/// Folders nest at most this deep; the longest path that Linux takes has 2,048 parts.
const DEEPEST: usize = 2048;

/// The fields at the beginning that say where everything is.
#[derive(Clone, Copy)]
struct Super {
    block_size: u64,
    compressor: u64,
    root: u64,
    inodes: u64,
    folders: u64,
    fragments: u64,
}

impl Super {
    fn read(bytes: &[u8]) -> Option<Self> {
        let block_size = little::<4>(bytes, 12)?;
        let usual = block_size.is_power_of_two() && (4096..=1 << 20).contains(&block_size);
        usual.then_some(Self {
            block_size,
            compressor: little::<2>(bytes, 20)?,
            root: little::<8>(bytes, 32)?,
            inodes: little::<8>(bytes, 64)?,
            folders: little::<8>(bytes, 72)?,
            fragments: little::<8>(bytes, 80)?,
        })
    }
}

/// What an entry of a folder stands for.
enum Inode {
    Folder { listing: Cursor, size: u64 },
    File(Layout),
    Other,
}

/// A folder that is being read: what is left of its listing, and the run of entries that was begun.
struct Open {
    listing: Cursor,
    left: u64,
    run: u64,
    inodes: u64,
    path: usize,
}

impl Walk<'_> {
    pub(super) fn squashfs(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let fields = Super::read(bytes).ok_or_else(|| broken("the first fields are damaged"))?;
        let name = match fields.compressor {
            1 | 2 | 4..=6 => None,
            3 => Some("squashfs (lzo)".to_owned()),
            other => Some(format!("squashfs (compressor {other})")),
        };
        if let Some(name) = name {
            return Err(unsupported(&name));
        }
        let mut image = Image::new(bytes, fields, self.limits.total_bytes);
        let mut seen = HashSet::from([fields.root]);
        let mut path = Vec::new();
        let Inode::Folder { listing, size } = image.inode(fields.root)? else {
            return Err(broken("the root is no folder"));
        };
        let mut open = vec![Open { listing, left: size, run: 0, inodes: 0, path: 0 }];
        while let Some(folder) = open.last_mut() {
            path.truncate(folder.path);
            let Some(reference) = folder.next(&mut image, &mut path)? else {
                open.pop();
                continue;
            };
            match image.inode(reference)? {
                // Each folder is counted too, so that folders without files come to an end.
                Inode::Folder { listing, size } => {
                    self.count()?;
                    if !seen.insert(reference) || open.len() >= DEEPEST {
                        return Err(broken("folders contain each other or nest too deep"));
                    }
                    open.push(Open { listing, left: size, run: 0, inodes: 0, path: path.len() });
                }
                Inode::File(layout) => {
                    self.unpacked(place, shown_name(&path), Content::new(&mut image, layout), Kind::Squashfs)?;
                }
                Inode::Other => self.count()?,
            }
        }
        let used = little::<8>(bytes, 40).and_then(|used| usize::try_from(used).ok()).unwrap_or(0);
        self.carve(place, bytes, used.min(bytes.len())..bytes.len());
        Ok(())
    }
}

impl Open {
    /// Puts the next entry's name behind the path and returns which inode it is, if there is a next one.
    fn next(&mut self, image: &mut Image<'_>, path: &mut Vec<u8>) -> Result<Option<u64>, Gap> {
        while self.run == 0 {
            // The size counts three bytes for `.` and `..`, which are not stored.
            if self.left <= 3 {
                return Ok(None);
            }
            let header = image.take::<12>(&mut self.listing)?;
            self.spend(12)?;
            self.run = little::<4>(&header, 0).unwrap_or(0) + 1;
            self.inodes = little::<4>(&header, 4).unwrap_or(0);
            if self.run > 256 {
                return Err(broken("a folder is damaged"));
            }
        }
        self.run -= 1;
        let entry = image.take::<8>(&mut self.listing)?;
        let offset = little::<2>(&entry, 0).unwrap_or(0);
        let size = little::<2>(&entry, 6).unwrap_or(0) as usize + 1;
        if size > 256 {
            return Err(broken("a folder is damaged"));
        }
        let mut name = [0; 256];
        image.fill(&mut self.listing, &mut name[..size])?;
        self.spend(8 + size as u64)?;
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name[..size]);
        Ok(Some(self.inodes << 16 | offset))
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Gap> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| broken("a folder is damaged"))?;
        Ok(())
    }
}

/// Whether this begins with the fields of a squashfs of the version that is opened.
pub(super) fn version(bytes: &[u8]) -> Option<u64> {
    match bytes.get(..4)? {
        b"hsqs" => little::<2>(bytes, 28),
        // The other order of bytes is of old versions only.
        b"sqsh" => super::number::<2>(bytes, 28, true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cuts_are_gaps, flips_do_no_harm, gaps_of, opens, see};
    use super::*;
    use crate::Limits;

    /// Made by mksquashfs with blocks of 4 KiB: `a.txt`, `d/e/bin` with a fragment behind its blocks,
    /// `holes` with a hole between two letters, and a symbolic link.
    const IMAGES: [(&str, &[u8]); 5] = [
        ("gzip", include_bytes!("../../../tests/data/gzip.squashfs")),
        ("xz", include_bytes!("../../../tests/data/xz.squashfs")),
        ("zstd", include_bytes!("../../../tests/data/zstd.squashfs")),
        ("lz4", include_bytes!("../../../tests/data/lz4.squashfs")),
        ("lzma", include_bytes!("../../../tests/data/lzma.squashfs")),
    ];
    const PLAIN: &[u8] = include_bytes!("../../../tests/data/plain.squashfs");
    const LZO: &[u8] = include_bytes!("../../../tests/data/lzo.squashfs");

    #[test]
    fn all_compressors_are_read() {
        for (name, bytes) in IMAGES.into_iter().chain([("plain", PLAIN)]) {
            opens(name, bytes, &["a.txt", "d/e/bin", "holes"]);
            let used = little::<8>(bytes, 40).unwrap() as usize;
            // The last table has the owners of files, which nobody asks for here.
            let owners = little::<8>(bytes, 48).unwrap() as usize;
            assert!(owners <= used);
            cuts_are_gaps(name, &bytes[..owners.min(little::<8>(bytes, 80).unwrap() as usize)], 97);
        }
        let gap = Gap::UnsupportedArchive("squashfs (lzo)".to_owned());
        assert_eq!(gaps_of("x", LZO, Limits::default()), [("x".to_owned(), gap)]);
    }

    #[test]
    fn contents_are_right() {
        let mut seen = see("x", PLAIN, Limits::default());
        seen.contents.remove(0);
        let [text, program, holes] = seen.contents.as_slice() else { panic!("{:?}", seen.blobs) };
        assert_eq!(text, b"hello world\n");
        assert_eq!(program.len(), 4200);
        let expected: Vec<u8> = [b"a".as_slice(), &[0; 8198], b"b"].concat();
        assert_eq!(holes, &expected);
        for (name, bytes) in IMAGES {
            assert_eq!(see("x", bytes, Limits::default()).contents[1..], seen.contents, "{name}");
        }
    }

    #[test]
    fn damage_does_no_harm() {
        for (name, bytes) in IMAGES {
            flips_do_no_harm(name, bytes);
        }
        // Nothing is compressed here, so that each flip reaches a field.
        flips_do_no_harm("plain", PLAIN);
    }

    #[test]
    fn bounds_hold() {
        let holes = Limits { member_bytes: 6000, ..Limits::default() };
        assert_eq!(gaps_of("x", PLAIN, holes), [("x".to_owned(), Gap::TooLarge(6000))]);
        let members = Limits { members: 2, ..Limits::default() };
        assert_eq!(gaps_of("x", PLAIN, members), [("x".to_owned(), Gap::TooMany(2))]);
        let total = Limits { total_bytes: 200, ..Limits::default() };
        assert_eq!(gaps_of("x", PLAIN, total), [("x".to_owned(), Gap::TooLarge(200))]);
    }

    #[test]
    fn folders_that_contain_themselves_are_a_gap() {
        // The listing of the innermost folder stands before that of the one around it. Its entry is made to
        // stand for the folder itself.
        let mut bytes = PLAIN.to_vec();
        let at = bytes.windows(3).rposition(|window| window == b"bin").unwrap();
        assert_eq!(bytes[at + 23], b'e');
        bytes.copy_within(at + 15..at + 17, at - 8);
        let seen = see("x", &bytes, Limits::default());
        assert_eq!(seen.gaps.len(), 1, "{:?}", seen.gaps);
        assert!(seen.gaps[0].1.to_string().contains("contain each other"), "{:?}", seen.gaps);
    }
}
