//! Programs with a file system behind them, as AppImages of type 2 are.

use super::{Kind, Walk, number, unsupported};
use crate::finding::{Gap, Place};

impl Walk<'_> {
    /// Shows the file system as a member.
    pub(super) fn appimage(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        match image(bytes) {
            Some(image) => {
                self.carve(place, bytes, 0..bytes.len() - image.len());
                self.member(place, "squashfs".to_owned(), image, Kind::AppImage)
            }
            None => Err(unsupported("AppImage")),
        }
    }
}

/// Whether the header says that this is an AppImage.
pub(super) fn says_appimage(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF") && matches!(bytes.get(8..11), Some(b"AI\x01" | b"AI\x02"))
}

/// The squashfs behind a program, if one is there.
pub(super) fn image(bytes: &[u8]) -> Option<&[u8]> {
    ends(bytes)?
        .into_iter()
        .filter_map(|end| bytes.get(usize::try_from(end).ok()?..))
        .find(|rest| rest.starts_with(b"hsqs"))
}

/// Where an ELF file may end: behind the table of its sections, or behind the last section.
fn ends(bytes: &[u8]) -> Option<[u64; 2]> {
    let (wide, big) = match bytes.get(..6)? {
        [0x7f, b'E', b'L', b'F', class @ (1 | 2), order @ (1 | 2)] => (*class == 2, *order == 2),
        _ => return None,
    };
    let long = |at: usize, wide_at: usize| {
        if wide { number::<8>(bytes, wide_at, big) } else { number::<4>(bytes, at, big) }
    };
    let short = |at: usize, wide_at: usize| number::<2>(bytes, if wide { wide_at } else { at }, big);
    let (table, size, count) = (long(0x20, 0x28)?, short(0x2e, 0x3a)?, short(0x30, 0x3c)?);
    let table_end = table.checked_add(size * count)?;
    // Bits of the program may also stand behind the table.
    let last = usize::try_from(table_end.checked_sub(size)?).ok()?;
    let last_end = long(last.checked_add(0x10)?, last.checked_add(0x18)?)
        .and_then(|begin| begin.checked_add(long(last.checked_add(0x14)?, last.checked_add(0x20)?)?));
    Some([table_end, last_end.unwrap_or(table_end)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{flips_do_no_harm, gaps_of, see};
    use super::*;
    use crate::Limits;

    const IMAGE: &[u8] = include_bytes!("../../tests/data/gzip.squashfs");

    /// The header of a program and one empty section behind it.
    fn appimage(mark: &[u8; 3]) -> Vec<u8> {
        let mut elf = vec![0; 64 + 64];
        elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        elf[8..11].copy_from_slice(mark);
        (elf[0x10], elf[0x12], elf[0x14], elf[0x34]) = (2, 62, 1, 64);
        (elf[0x28], elf[0x3a], elf[0x3c]) = (64, 64, 1);
        elf.extend_from_slice(IMAGE);
        elf
    }

    #[test]
    fn the_image_behind_a_program_is_opened() {
        // Whether the program says so or not.
        for mark in [b"AI\x02", b"\0\0\0"] {
            let seen = see("x.AppImage", &appimage(mark), Limits::default());
            assert_eq!(seen.gaps, []);
            assert_eq!(seen.blobs[..3], ["x.AppImage", "x.AppImage!squashfs", "x.AppImage!squashfs!a.txt"]);
        }
    }

    #[test]
    fn other_forms_are_gaps() {
        let mut bytes = appimage(b"AI\x02");
        bytes[128] = b'x';
        let gap = Gap::UnsupportedArchive("AppImage".to_owned());
        assert_eq!(gaps_of("x", &bytes, Limits::default()), [("x".to_owned(), gap.clone())]);
        assert_eq!(gaps_of("x", &bytes[..100], Limits::default()), [("x".to_owned(), gap)]);
        flips_do_no_harm("x", &appimage(b"AI\x02")[..300]);
    }
}
