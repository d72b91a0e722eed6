//! Tar, with long names and with the sparse files that GNU tar writes.

use super::{Kind, Walk, broken, shown_name, unsupported};
use crate::finding::{Gap, Place};
use std::io::Cursor;

impl Walk<'_> {
    pub(super) fn tar(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let (mut sparse, mut holes) = (false, false);
        self.lying(place, Kind::Tar, |walk, queue| {
            let mut archive = tar::Archive::new(Cursor::new(bytes));
            // Behind the end of one tar another may stand.
            archive.set_ignore_zeros(true);
            for entry in archive.entries_with_seek().map_err(broken)? {
                let mut entry = entry.map_err(broken)?;
                let kind = entry.header().entry_type();
                let is_file = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
                // A link or folder has no content, and what has some is looked at, whatever it calls itself.
                if kind.is_pax_global_extensions() || !is_file && entry.size() == 0 {
                    continue;
                }
                // The holes of such a file are listed where the library does not look.
                sparse |= entry.pax_extensions().map_err(broken)?.is_some_and(|mut all| {
                    all.any(|extension| extension.is_ok_and(|known| known.key_bytes().starts_with(b"GNU.sparse.")))
                });
                let name = shown_name(&entry.path_bytes());
                if kind.is_gnu_sparse() {
                    // Holes are zeros that nobody stored: a small archive may have gigabytes of them.
                    let room = (bytes.len() as u64).saturating_mul(HOLES).saturating_add(16 << 20);
                    if entry.size() > room.max(walk.limits.member_bytes.min(16 << 20)) {
                        walk.queue(queue, name, stored(bytes, &entry))?;
                        holes = true;
                        continue;
                    }
                    walk.show_queued(queue).map_err(|(_, gap)| gap)?;
                    walk.unpacked(place, name, &mut entry, Kind::Tar)?;
                    continue;
                }
                let begin = usize::try_from(entry.raw_file_position()).unwrap_or(usize::MAX);
                let end = usize::try_from(entry.size()).ok().and_then(|size| begin.checked_add(size));
                match end.and_then(|end| bytes.get(begin..end)) {
                    Some(content) => walk.queue(queue, name, content)?,
                    // What is there of the last member is seen.
                    None => {
                        if let Some(content) = bytes.get(begin..).filter(|content| !content.is_empty()) {
                            walk.queue(queue, name, content)?;
                        }
                        return Err(broken("it ends within a member"));
                    }
                }
            }
            Ok(())
        })?;
        match (sparse, holes) {
            (true, _) => Err(unsupported("sparse pax")),
            (_, true) => Err(unsupported("sparse tar with mostly holes")),
            _ => Ok(()),
        }
    }
}

/// Holes of sparse files are read up to so many times the size of the archive.
const HOLES: u64 = 64;

/// What of a sparse file lies in the archive.
fn stored<'a>(bytes: &'a [u8], entry: &tar::Entry<'_, Cursor<&[u8]>>) -> &'a [u8] {
    let begin = usize::try_from(entry.raw_file_position()).unwrap_or(usize::MAX).min(bytes.len());
    let size = entry.header().entry_size().ok().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    &bytes[begin..begin.saturating_add(size).min(bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cuts_are_gaps, flips_do_no_harm, gaps_of, noise, opens, see, tarred};
    use super::*;
    use crate::Limits;

    /// One member, whose header and pax records are made by hand.
    fn entry(change: impl Fn(&mut tar::Header), content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_path("member").unwrap();
        header.set_size(content.len() as u64);
        change(&mut header);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    #[test]
    fn names_of_any_kind_are_kept() {
        let long = format!("{}/file", "folder".repeat(60));
        opens("x.tar", &tarred(&long, b"1"), &[&long]);
        let odd = entry(|header| header.as_mut_bytes()[..4].copy_from_slice(b"a\xffb\0"), b"1");
        opens("x.tar", &odd, &["a\\xffb"]);
    }

    #[test]
    fn links_are_skipped_and_other_kinds_are_not() {
        let link = entry(
            |header| {
                header.set_entry_type(tar::EntryType::Link);
                header.set_link_name("target").unwrap();
            },
            b"",
        );
        opens("x.tar", &[link, tarred("file", b"1")].concat(), &["file"]);
        for kind in *b"7Zx".first_chunk::<2>().unwrap() {
            opens("x.tar", &entry(|header| header.set_entry_type(tar::EntryType::new(kind)), b"1"), &["member"]);
        }
        opens("x.tar", &entry(|header| header.set_entry_type(tar::EntryType::Link), b"content"), &["member"]);
    }

    #[test]
    fn sparse_files_are_read_or_are_gaps() {
        let sparse = entry(
            |header| {
                header.set_entry_type(tar::EntryType::GNUSparse);
                let gnu = header.as_gnu_mut().unwrap();
                for (at, [offset, size]) in
                    [["00000000000", "00000000001"], ["00000002000", "00000000000"]].iter().enumerate()
                {
                    gnu.sparse[at].offset[..11].copy_from_slice(offset.as_bytes());
                    gnu.sparse[at].numbytes[..11].copy_from_slice(size.as_bytes());
                }
                gnu.realsize[..11].copy_from_slice(b"00000002000");
            },
            b"x",
        );
        opens("x.tar", &sparse, &["member"]);
        let limits = Limits { member_bytes: 1000, ..Limits::default() };
        assert_eq!(gaps_of("x.tar", &sparse, limits), [("x.tar".to_owned(), Gap::TooLarge(1000))]);

        // A few bytes stand for gigabytes: what is stored is seen, and the rest is not read.
        let mut large = sparse.clone();
        for at in [410, 483] {
            large[at..at + 11].copy_from_slice(b"17777777777");
        }
        large[148..156].copy_from_slice(b"        ");
        let sum: u32 = large[..512].iter().map(|byte| u32::from(*byte)).sum();
        large[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let seen = see("x.tar", &large, Limits::default());
        let unread = Gap::UnsupportedArchive("sparse tar with mostly holes".to_owned());
        assert!(seen.contents.iter().map(Vec::len).sum::<usize>() < 10_000);
        assert_eq!(seen.gaps, [("x.tar".to_owned(), unread)]);

        let records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n";
        let header = entry(|header| header.set_entry_type(tar::EntryType::XHeader), records);
        let seen = see("x.tar", &[header, tarred("file", b"1")].concat(), Limits::default());
        assert_eq!(seen.blobs, ["x.tar", "x.tar!file"]);
        assert_eq!(seen.gaps, [("x.tar".to_owned(), Gap::UnsupportedArchive("sparse pax".to_owned()))]);
    }

    #[test]
    fn damage_is_a_gap() {
        let tar = tarred("t", &noise(5000));
        // The empty blocks at the end are only customary, and so is what fills the last block.
        cuts_are_gaps("x.tar", &tar[..512 + 5000], 513);
        flips_do_no_harm("x.tar", &tar[..1024]);
        // What stands before the damage is seen.
        let seen = see("x.tar", &[&tar[..5632], &[1; 512]].concat(), Limits::default());
        assert_eq!((seen.blobs.len(), seen.gaps.len()), (2, 1));
    }
}
