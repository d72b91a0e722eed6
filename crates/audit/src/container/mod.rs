//! Opens archives, so that what they hold is seen as well.
//!
//! Everything is bounded: how deep archives nest, how large a member may be, how many members there
//! are, and how much one file may unpack to in all. What is over a bound, damaged, or of a kind that
//! is not opened is reported as a gap and never passed over; what could be read before is still seen.
//! No size that an archive declares is trusted, and nothing here uses threads.

mod compressed;
mod cpio;
mod elf;
mod lz4;
mod nar;
mod recognize;
mod rpm;
mod sevenz;
mod squashfs;
mod tar;
mod zip;

#[cfg(test)]
mod tests;

use crate::finding::{Gap, Place};
pub(crate) use recognize::is_archive;
use recognize::{Recognized, recognize};
use std::io::Read;

/// Bounds for unpacking one file of an output.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many archives may lie inside each other.
    pub depth: usize,
    /// Largest member in bytes; this much memory is used for each level of nesting.
    pub member_bytes: u64,
    /// Most bytes that one file may unpack to in all.
    pub total_bytes: u64,
    /// Most members that one file may have in all.
    pub members: usize,
}

impl Default for Limits {
    /// 8 archives deep, members up to 2 GiB, 16 GiB and a million members for one file.
    fn default() -> Self {
        Self { depth: 8, member_bytes: 2 << 30, total_bytes: 16 << 30, members: 1_000_000 }
    }
}

/// Compressed data says itself how much memory its reader needs; `xz -9` says 65 MiB.
const DECODER_MEMORY: u64 = 256 << 20;

/// The kinds of archive that are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AppImage,
    Ar,
    Bzip2,
    Cpio,
    Gzip,
    Lz4,
    Lzip,
    Lzma,
    Nar,
    Rpm,
    SevenZip,
    Squashfs,
    Tar,
    Xz,
    Zip,
    Zstd,
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
    let mut walk = Walk { limits, bytes_left: limits.total_bytes, members_left: limits.members, visitor };
    walk.blob(&place, bytes, None);
}

struct Walk<'v> {
    limits: Limits,
    bytes_left: u64,
    members_left: usize,
    visitor: &'v mut dyn Visitor,
}

impl Walk<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) {
        if !self.visitor.blob(place, bytes, parent) {
            return;
        }
        let kind = match recognize(place.innermost(), bytes) {
            Recognized::NoArchive => return,
            Recognized::NotOpened(kind) => return self.visitor.gap(place.clone(), unsupported(kind)),
            Recognized::Opened(kind) => kind,
        };
        if place.members.len() >= self.limits.depth {
            return self.visitor.gap(place.clone(), Gap::TooDeep(self.limits.depth));
        }
        let result = match kind {
            Kind::AppImage => self.appimage(place, bytes),
            Kind::Ar => self.ar(place, bytes),
            Kind::Cpio => self.cpio(place, bytes),
            Kind::Nar => self.nar(place, bytes),
            Kind::Rpm => self.rpm(place, bytes),
            Kind::SevenZip => self.sevenz(place, bytes),
            Kind::Squashfs => self.squashfs(place, bytes),
            Kind::Tar => self.tar(place, bytes),
            Kind::Zip => self.zip(place, bytes),
            Kind::Bzip2 | Kind::Gzip | Kind::Lz4 | Kind::Lzip | Kind::Lzma | Kind::Xz | Kind::Zstd => {
                self.compressed(place, bytes, kind)
            }
        };
        if let Err(gap) = result {
            self.visitor.gap(place.clone(), gap);
        }
    }

    fn ar(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let archive = object::read::archive::ArchiveFile::parse(bytes).map_err(broken)?;
        for member in archive.members() {
            let member = member.map_err(broken)?;
            let content = member.data(bytes).map_err(broken)?;
            self.member(place, shown_name(member.name()), content, Kind::Ar)?;
        }
        Ok(())
    }

    /// Shows a member that lies in the archive as it is.
    fn member(&mut self, place: &Place, name: String, content: &[u8], kind: Kind) -> Result<(), Gap> {
        self.count()?;
        self.blob(&place.member(name), content, Some(kind));
        Ok(())
    }

    /// Shows a member that has to be unpacked; what could be read of a damaged one is shown as well.
    fn unpacked(&mut self, place: &Place, name: String, reader: impl Read, kind: Kind) -> Result<(), Gap> {
        self.count()?;
        let (content, gap) = self.read(reader);
        // Nothing at all is no member, unless it is all that there is to be.
        if gap.is_none() || !content.is_empty() {
            self.blob(&place.member(name), &content, Some(kind));
        }
        gap.map_or(Ok(()), Err)
    }

    fn count(&mut self) -> Result<(), Gap> {
        self.members_left = self.members_left.checked_sub(1).ok_or(Gap::TooMany(self.limits.members))?;
        Ok(())
    }

    fn read(&mut self, reader: impl Read) -> (Vec<u8>, Option<Gap>) {
        let limit = self.limits.member_bytes.min(self.bytes_left);
        let mut content = Vec::new();
        let mut gap = reader.take(limit.saturating_add(1)).read_to_end(&mut content).err().map(broken);
        if content.len() as u64 > limit {
            content.truncate(limit as usize);
            let member_bytes = self.limits.member_bytes;
            gap = Some(Gap::TooLarge(if limit < member_bytes { self.limits.total_bytes } else { member_bytes }));
        }
        self.bytes_left -= content.len() as u64;
        (content, gap)
    }
}

fn broken(error: impl std::fmt::Display) -> Gap {
    Gap::BrokenArchive(error.to_string())
}

fn unsupported(kind: &str) -> Gap {
    Gap::UnsupportedArchive(kind.to_owned())
}

/// Shows a name of an archive, with `\xff` for each byte that is no UTF-8.
///
/// Different names look different: a backslash that would read as such an escape becomes `\x5c`.
fn shown_name(bytes: &[u8]) -> String {
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let mut name = String::new();
    for chunk in bytes.utf8_chunks() {
        let text = chunk.valid();
        for (at, char) in text.char_indices() {
            match &text.as_bytes()[at..] {
                [b'\\', b'x', high, low, ..] if hex(high) && hex(low) => name.push_str("\\x5c"),
                _ => name.push(char),
            }
        }
        for byte in chunk.invalid() {
            name.push_str(&format!("\\x{byte:02x}"));
        }
    }
    name
}

/// A number of `N` bytes in the order of the machine that wrote it.
fn number<const N: usize>(bytes: &[u8], at: usize, big: bool) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(N)?)?;
    let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    Some(if big { field.iter().fold(0, push) } else { field.iter().rev().fold(0, push) })
}

/// The same for the usual order.
fn little<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    number::<N>(bytes, at, false)
}
