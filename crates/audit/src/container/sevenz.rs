//! 7z.

use super::extent::extent;
use super::marks::Shape;
use super::{DECODER_MEMORY, Kind, Walk, broken, shown_name, unsupported};
use crate::finding::{Gap, Place};
use sevenz_rust2::{Archive, BlockDecoder, Error, Password};
use std::io::Cursor;

/// Largest list of files that is read. An entry of the list may take a hundred times its bytes.
const LIST_KIB: usize = 16 << 10;

impl Walk<'_> {
    pub(super) fn sevenz(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let (mut source, password) = (Cursor::new(bytes), Password::empty());
        let archive = Archive::read_with_memory_limit(&mut source, &password, LIST_KIB).map_err(failed)?;
        for block in 0..archive.blocks.len() {
            let memory = (DECODER_MEMORY >> 10) as usize;
            let decoder = BlockDecoder::new_with_memory_limit(1, memory, block, &archive, &password, &mut source);
            let mut stopped = None;
            let decoded = decoder.for_each_entries(&mut |entry, reader| {
                if entry.has_stream {
                    stopped = self.unpacked(place, shown_name(entry.name.as_bytes()), reader, Kind::SevenZip).err();
                }
                Ok(stopped.is_none())
            });
            stopped.map_or_else(|| decoded.map_err(failed), Err)?;
        }
        let mut steps = 0;
        if let Some(found) = extent(bytes, 0, Shape::SevenZip, &mut steps) {
            self.carve(place, bytes, found.end..bytes.len());
        }
        Ok(())
    }
}

fn failed(error: Error) -> Gap {
    match error {
        Error::PasswordRequired | Error::MaybeBadPassword(_) => unsupported("encrypted 7z"),
        Error::UnsupportedCompressionMethod(method) if method.starts_with("AES") => unsupported("encrypted 7z"),
        Error::UnsupportedCompressionMethod(method) => unsupported(&format!("7z (method {method})")),
        Error::MaxMemLimited { max_kb, actaul_kb } => {
            broken(format!("it needs {actaul_kb} KiB of memory, and {max_kb} KiB are allowed"))
        }
        error => broken(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cuts_are_gaps, flips_do_no_harm, gaps_of, opens, see};
    use super::*;
    use crate::Limits;

    /// Made by 7-Zip from `a.txt` and `d/e/bin` with that method.
    const METHODS: [(&str, &[u8]); 7] = [
        ("copy", include_bytes!("../../tests/data/copy.7z")),
        ("lzma", include_bytes!("../../tests/data/lzma.7z")),
        ("lzma2 and bcj2", include_bytes!("../../tests/data/bcj2.7z")),
        ("bcj", include_bytes!("../../tests/data/bcj.7z")),
        ("deflate", include_bytes!("../../tests/data/deflate.7z")),
        ("bzip2", include_bytes!("../../tests/data/bzip2.7z")),
        ("ppmd", include_bytes!("../../tests/data/ppmd.7z")),
    ];

    #[test]
    fn all_usual_methods_are_read() {
        for (name, bytes) in METHODS {
            let mut seen = see("x.7z", bytes, Limits::default());
            seen.blobs.sort();
            assert_eq!(
                (seen.blobs, seen.gaps),
                (["x.7z", "x.7z!a.txt", "x.7z!d/e/bin"].map(str::to_owned).to_vec(), vec![]),
                "{name}"
            );
            cuts_are_gaps("x.7z", bytes, 6);
        }
        opens("empty.7z", include_bytes!("../../tests/data/empty.7z"), &[]);
    }

    #[test]
    fn damage_does_no_harm() {
        for (_, bytes) in METHODS {
            flips_do_no_harm("x.7z", bytes);
        }
    }

    #[test]
    fn what_is_not_read_is_a_gap() {
        let encrypted = [
            include_bytes!("../../tests/data/encrypted.7z").as_slice(),
            include_bytes!("../../tests/data/hidden.7z").as_slice(),
        ];
        for bytes in encrypted {
            let gap = Gap::UnsupportedArchive("encrypted 7z".to_owned());
            assert_eq!(gaps_of("x.7z", bytes, Limits::default()), [("x.7z".to_owned(), gap)]);
        }
        let bomb = include_bytes!("../../tests/data/bomb.7z");
        let limits = Limits { member_bytes: 1 << 20, ..Limits::default() };
        assert_eq!(gaps_of("x.7z", bomb, limits), [("x.7z".to_owned(), Gap::TooLarge(1 << 20))]);
    }
}
