//! rpm packages: a lead, a header of signatures, a header of metadata, and then an archive.

use super::recognize::{Recognized, recognize};
use super::{Kind, Walk, broken, number, unsupported};
use crate::finding::{Gap, Place};

const LEAD: usize = 96;

impl Walk<'_> {
    /// Shows the payload, which is cpio, mostly compressed.
    pub(super) fn rpm(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let payload = payload(bytes).ok_or_else(|| broken("a header is damaged or missing"))?;
        self.member(place, "payload".to_owned(), payload, Kind::Rpm)?;
        match recognize(payload) {
            Recognized::NoArchive => Err(unsupported("rpm without cpio")),
            _ => Ok(()),
        }
    }
}

fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let main = header_end(bytes, LEAD)?.checked_next_multiple_of(8)?;
    bytes.get(header_end(bytes, main)?..)
}

/// Where the header that begins there ends: after its index and its store.
fn header_end(bytes: &[u8], begin: usize) -> Option<usize> {
    bytes.get(begin..)?.strip_prefix(b"\x8e\xad\xe8\x01")?;
    let (entries, store) = (number::<4>(bytes, begin + 8, true)?, number::<4>(bytes, begin + 12, true)?);
    usize::try_from(begin as u64 + 16 + 16 * entries + store).ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{compressed, cuts_are_gaps, flips_do_no_harm, gaps_of, opens, see};
    use super::*;
    use crate::Limits;

    /// Made by rpmbuild, with a payload that is compressed by gzip.
    const PACKAGE: &[u8] = include_bytes!("../../tests/data/small.rpm");
    const CPIO: &[u8] = include_bytes!("../../tests/data/odc.cpio");

    fn with(payload: &[u8]) -> Vec<u8> {
        let begin = PACKAGE.len() - super::payload(PACKAGE).unwrap().len();
        [&PACKAGE[..begin], payload].concat()
    }

    #[test]
    fn the_payload_is_opened_however_it_is_compressed() {
        opens("x.rpm", PACKAGE, &["payload", "payload!payload", "payload!payload!./usr/share/small/a.txt"]);
        for (_, packed) in compressed(CPIO) {
            let seen = see("x.rpm", &with(&packed), Limits::default());
            assert_eq!(seen.gaps, []);
            assert!(seen.blobs.contains(&"x.rpm!payload!payload!a.txt".to_owned()), "{:?}", seen.blobs);
        }
        let seen = see("x.rpm", &with(CPIO), Limits::default());
        assert!(seen.blobs.contains(&"x.rpm!payload!a.txt".to_owned()));
    }

    #[test]
    fn what_is_not_read_is_a_gap() {
        let rpm = || "x.rpm".to_owned();
        let gap = |kind: &str| Gap::UnsupportedArchive(kind.to_owned());
        assert_eq!(gaps_of("x.rpm", &with(b"drpm"), Limits::default()), [(rpm(), gap("rpm without cpio"))]);
        let stripped = gaps_of("x.rpm", &with(b"07070X00000000rest"), Limits::default());
        assert_eq!(stripped, [(rpm() + "!payload", gap("stripped cpio"))]);
        cuts_are_gaps("x.rpm", PACKAGE, 4);
        flips_do_no_harm("x.rpm", PACKAGE);
    }
}
