//! Opens archives, so that what they hold is seen as well, and searches what is left for more of them.
//!
//! Everything is bounded: how deep archives nest, how large a member may be, how many members there
//! are, how much one file may unpack to in all, and how much of that is in memory at once. What is over a
//! bound, damaged, or of a kind that is not opened is reported as a gap and never passed over; what could
//! be read before is still seen. No size that an archive declares is trusted. Bytes that no archive
//! accounts for are searched for the marks of archives and binaries at any offset (`carve.rs`).

mod bare;
mod beside;
mod carve;
mod compressed;
mod content;
mod cpio;
mod disk;
mod elf;
mod encoded;
mod entropy;
mod extent;
mod image;
mod lz4;
mod marks;
mod nar;
mod recognize;
mod rpm;
mod sevenz;
mod squashfs;
mod tar;
mod zip;

#[cfg(test)]
pub(crate) mod tests;

use crate::finding::{Gap, Place};
use crate::scan::Found;
use beside::Queue;
use content::Content;
pub use content::{OpenSpill, Spill, Spilled};
pub(crate) use entropy::Opaque;
use recognize::{Recognized, recognize};
pub(crate) use recognize::{is_archive, waits};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Read;

/// Bounds for unpacking one file of an output.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many archives may lie inside each other.
    pub depth: usize,
    /// Largest member in bytes.
    pub member_bytes: u64,
    /// Most bytes that one file may unpack to in all.
    pub total_bytes: u64,
    /// Most members that one file may have in all.
    pub members: usize,
    /// Most bytes of unpacked members that may be there at once, on all levels of nesting, in memory or in files.
    pub memory: u64,
    /// Opens a temporary file for what is too large for memory. Without it all is in memory.
    pub spill: Option<OpenSpill>,
}

impl Default for Limits {
    /// 8 archives deep, members up to 2 GiB, 16 GiB and a million members for one file, 3 GiB of it at once.
    fn default() -> Self {
        Self {
            depth: 8,
            member_bytes: 2 << 30,
            total_bytes: 16 << 30,
            members: 1_000_000,
            memory: 3 << 30,
            spill: None,
        }
    }
}

impl Limits {
    /// What a file may take while others are read beside it. Whatever needs more is read again, alone.
    pub(crate) fn beside_others(self, size: u64) -> Self {
        Self {
            total_bytes: self.total_bytes.min(size.saturating_mul(8).saturating_add(256 << 20)),
            members: self.members.min(100_000),
            memory: self.memory.min(96 << 20),
            ..self
        }
    }
}

/// What a walk took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Bytes that were unpacked in all.
    pub(crate) bytes: u64,
    /// Members that were seen.
    pub(crate) members: usize,
    /// Most bytes of unpacked members that were in memory at once.
    pub(crate) peak: u64,
    /// Whether a bound other than depth ended a part of it, or no file was to be had, so that more room may show more.
    pub(crate) bounded: bool,
}

impl Spent {
    /// Whether less would not have been enough.
    pub(crate) fn exceeds(&self, limits: &Limits) -> bool {
        let more = self.bytes > limits.total_bytes || self.members > limits.members || self.peak > limits.memory;
        self.bounded || more
    }
}

/// Compressed data says itself how much memory its reader needs; `xz -9` says 65 MiB.
const DECODER_MEMORY: u64 = 256 << 20;
/// Windows up to this size count for nothing.
const SMALL_WINDOW: u64 = 1 << 20;

/// The kinds of archive that are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AppImage,
    Ar,
    Bzip2,
    /// No archive: found by its mark inside something else.
    Carved,
    Cpio,
    Erofs,
    /// ext2, ext3 and ext4.
    Ext,
    Fat,
    Gzip,
    Iso,
    Lz4,
    Lzip,
    Lzma,
    Nar,
    /// A disk with a table of partitions.
    Partitions,
    Qcow2,
    Rpm,
    SevenZip,
    Squashfs,
    Tar,
    Xz,
    Zip,
    Zlib,
    Zstd,
}

/// Somebody who looks at a file and at everything inside it.
pub(crate) trait Visitor {
    /// Sees one blob, and the kind of archive that it is directly in; returns whether to open it.
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool;
    /// Is told of something that could not be read to its end.
    fn gap(&mut self, place: Place, gap: Gap);
    /// Is told of a stretch of bytes that nothing accounts for and that looks encrypted or compressed.
    fn opaque(&mut self, _: &Place, _: Opaque) {}
    /// Whether to search what no archive accounts for.
    fn carves(&self) -> bool {
        true
    }
    /// Somebody else who can see the next members of what is seen now while this one sees those before them.
    fn beside(&self) -> Option<Box<dyn Visitor + Send + '_>> {
        None
    }
    /// What such a one found.
    fn found(self: Box<Self>) -> Found {
        Found::default()
    }
    /// Takes over what such a one found; the order is that of the members.
    fn join(&mut self, _: Found) {}
}

/// Shows a file and everything inside it to the visitor, outermost first.
pub(crate) fn walk(place: Place, bytes: &[u8], limits: Limits, visitor: &mut dyn Visitor) -> Spent {
    walk_with(place, bytes, limits, false, visitor)
}

/// The same; `beside` is whether members are looked at beside each other, which shows nothing else.
pub(crate) fn walk_with(place: Place, bytes: &[u8], limits: Limits, beside: bool, visitor: &mut dyn Visitor) -> Spent {
    let mut walk = Walk {
        limits,
        bytes_left: limits.total_bytes,
        members_left: limits.members,
        live: 0,
        window: 0,
        spent: Spent::default(),
        inflate: None,
        room: 0,
        is_doubtful: false,
        outer: None,
        gaps: Gaps::default(),
        beside,
        is_beside: false,
        visitor,
    };
    walk.blob(&place, bytes, None);
    for (place, _, gap) in std::mem::take(&mut walk.gaps).told {
        walk.visitor.gap(place, gap);
    }
    Spent { bytes: limits.total_bytes - walk.bytes_left, members: limits.members - walk.members_left, ..walk.spent }
}

struct Walk<'v> {
    limits: Limits,
    bytes_left: u64,
    members_left: usize,
    /// Bytes of unpacked members that are there now.
    live: u64,
    /// Bytes that the decoder which is read next keeps beside what it unpacks.
    window: u64,
    spent: Spent,
    /// Tries beginnings of deflated data; kept, since there are many.
    inflate: Option<flate2::Decompress>,
    /// Steps that are left for marks which lead nowhere, in what is searched now.
    room: u64,
    /// Whether what is looked at came perhaps by chance, of a stream that broke.
    is_doubtful: bool,
    /// How many members lead to the innermost file that was found by its name, where what is looked at was found in it.
    outer: Option<usize>,
    gaps: Gaps,
    /// Whether members may be looked at beside each other.
    beside: bool,
    /// Whether this is itself done beside others, with a part of what there is of bounds: nothing counts that met one.
    is_beside: bool,
    visitor: &'v mut dyn Visitor,
}

/// Gaps of a file, of which those with one cause are one.
#[derive(Default)]
struct Gaps {
    /// Each with how many members its place has in common with others of the same cause.
    told: Vec<(Place, usize, Gap)>,
    /// By the cause and what it is told of, where among them it is.
    known: HashMap<(String, Vec<String>), usize>,
}

impl Gaps {
    /// Adds a gap. Others of the same cause are the same gap if their places begin with as many `known` members alike; it is
    /// then one of what they all lie in.
    fn add(&mut self, place: Place, known: usize, gap: Gap) {
        let outer = place.members[..known.min(place.members.len())].to_vec();
        match self.known.entry((gap.to_string(), outer)) {
            Entry::Occupied(entry) => {
                let members = &mut self.told[*entry.get()].0.members;
                let alike = members.iter().zip(&place.members).take_while(|(one, other)| one == other).count();
                members.truncate(alike);
            }
            Entry::Vacant(entry) => {
                entry.insert(self.told.len());
                self.told.push((place, known, gap));
            }
        }
    }
}

/// Members that lie in an archive as they are, by their names.
type Lying<'s, 'b> = Queue<'s, (String, &'b [u8])>;

impl Walk<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) {
        if !self.visitor.blob(place, bytes, parent) {
            return;
        }
        let kind = match recognize(bytes) {
            Recognized::NoArchive => return self.carve(place, bytes, 0..bytes.len()),
            Recognized::NotOpened(kind) => {
                self.gap(place.clone(), unsupported(kind));
                return self.carve(place, bytes, 0..bytes.len());
            }
            Recognized::Opened(kind) => kind,
        };
        if place.members.len() >= self.limits.depth {
            return self.gap(place.clone(), Gap::TooDeep(self.limits.depth));
        }
        let result = match kind {
            Kind::AppImage => self.appimage(place, bytes),
            Kind::Ar => self.ar(place, bytes),
            Kind::Cpio => self.cpio(place, bytes),
            Kind::Erofs | Kind::Ext | Kind::Fat | Kind::Iso | Kind::Partitions | Kind::Qcow2 => {
                self.disk(place, bytes, kind)
            }
            Kind::Nar => self.nar(place, bytes),
            Kind::Rpm => self.rpm(place, bytes),
            Kind::SevenZip => self.sevenz(place, bytes),
            Kind::Squashfs => self.squashfs(place, bytes),
            Kind::Tar => self.tar(place, bytes),
            Kind::Zip => self.zip(place, bytes),
            Kind::Bzip2
            | Kind::Carved
            | Kind::Gzip
            | Kind::Lz4
            | Kind::Lzip
            | Kind::Lzma
            | Kind::Xz
            | Kind::Zlib
            | Kind::Zstd => self.compressed(place, bytes, kind),
        };
        if let Err(gap) = result {
            // What could not be read as an archive is searched as other bytes are; images are by their reader.
            let goes_on = matches!(gap, Gap::BrokenArchive(_)) && !is_image(kind);
            self.gap(place.clone(), gap);
            if goes_on {
                self.carve_broken(place, bytes);
            }
        }
    }

    /// Keeps a gap to be told of, and remembers whether more room would have closed it.
    fn gap(&mut self, place: Place, gap: Gap) {
        self.spent.bounded |= is_bound(&gap);
        let known = match self.outer {
            _ if matches!(gap, Gap::TooDeep(_) | Gap::TooManyMarks) => 0,
            Some(outer) => outer,
            None => place.members.len(),
        };
        self.gaps.add(place, known, gap);
    }

    fn ar(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let archive = object::read::archive::ArchiveFile::parse(bytes).map_err(broken)?;
        self.lying(place, Kind::Ar, |walk, queue| {
            for member in archive.members() {
                let member = member.map_err(broken)?;
                let content = member.data(bytes).map_err(broken)?;
                walk.queue(queue, shown_name(member.name()), content)?;
            }
            Ok(())
        })
    }

    /// Shows members that lie in an archive as they are: `list` queues them.
    fn lying<'b>(
        &mut self,
        place: &Place,
        kind: Kind,
        list: impl FnOnce(&mut Self, &mut Lying<'_, 'b>) -> Result<(), Gap>,
    ) -> Result<(), Gap> {
        let show =
            |walk: &mut Walk<'_>, (name, content): &(String, &'b [u8])| walk.member(place, name.clone(), content, kind);
        let mut queue = Queue::new(&show);
        let end = list(self, &mut queue);
        // What was queued before an error is shown all the same, and ends the archive first where it has one itself.
        self.show_queued(&mut queue).map_err(|(_, gap)| gap)?;
        end
    }

    /// Queues a member that lies in the archive as it is.
    fn queue<'b>(&mut self, queue: &mut Lying<'_, 'b>, name: String, content: &'b [u8]) -> Result<(), Gap> {
        self.show(queue, (name, content), content.len() as u64).map_err(|(_, gap)| gap)
    }

    /// Shows a member that lies in the archive as it is. It takes no memory, but reading it is work all the same: the entries
    /// of an archive may lie over each other.
    fn member(&mut self, place: &Place, name: String, content: &[u8], kind: Kind) -> Result<(), Gap> {
        self.count()?;
        let left = self.bytes_left.checked_sub(content.len() as u64);
        self.bytes_left = left.ok_or(Gap::TooLarge(self.limits.total_bytes))?;
        self.blob(&place.member(name), content, Some(kind));
        Ok(())
    }

    /// Shows a member that has to be unpacked; what could be read of a damaged one is shown as well.
    fn unpacked(&mut self, place: &Place, name: String, reader: impl Read, kind: Kind) -> Result<(), Gap> {
        self.count()?;
        let (content, gap) = self.read(reader);
        // Nothing at all is no member, unless it is all that there is to be.
        if gap.is_none() || !content.is_empty() {
            self.content(&place.member(name), &content, kind);
        }
        self.release(content);
        gap.map_or(Ok(()), Err)
    }

    /// Shows what was unpacked.
    fn content(&mut self, place: &Place, content: &Content, kind: Kind) {
        self.blob(place, content, Some(kind));
        if content.is_torn() {
            self.gap(place.clone(), content::torn());
        }
    }

    fn count(&mut self) -> Result<(), Gap> {
        self.members_left = self.members_left.checked_sub(1).ok_or(Gap::TooMany(self.limits.members))?;
        Ok(())
    }

    /// Reads as far as the bounds allow. Whoever has the content gives it back to [`Walk::release`].
    fn read(&mut self, reader: impl Read) -> (Content, Option<Gap>) {
        let window = std::mem::take(&mut self.window);
        let nothing = || Content::in_memory(Vec::new());
        let Some(memory) = self.limits.memory.checked_sub(self.live + window) else {
            return (nothing(), Some(Gap::TooMuchMemory(self.limits.memory)));
        };
        // Decoders that want much are read one after the other.
        let held = (window > SMALL_WINDOW).then(|| content::Held::usual(window));
        if matches!(held, Some(None)) && self.is_beside {
            return (nothing(), Some(Gap::TooMuchMemory(self.limits.memory)));
        }
        let limit = self.limits.member_bytes.min(self.bytes_left).min(memory);
        let (mut content, mut gap) = Content::read(reader.take(limit.saturating_add(1)), self.limits.spill);
        if content.len() as u64 > limit {
            content.truncate(limit as usize);
            gap = Some(if limit == self.limits.member_bytes {
                Gap::TooLarge(limit)
            } else if limit == self.bytes_left {
                Gap::TooLarge(self.limits.total_bytes)
            } else {
                Gap::TooMuchMemory(self.limits.memory)
            });
        }
        self.take(&content, window);
        (content, gap)
    }

    /// Counts what was unpacked.
    fn take(&mut self, content: &[u8], window: u64) {
        self.bytes_left = self.bytes_left.saturating_sub(content.len() as u64);
        self.live += content.len() as u64;
        self.spent.peak = self.spent.peak.max(self.live + window);
    }

    fn release(&mut self, content: Content) {
        self.live -= content.len() as u64;
    }
}

/// Whether more room may show more.
fn is_bound(gap: &Gap) -> bool {
    matches!(gap, Gap::TooLarge(_) | Gap::TooMany(_) | Gap::TooMuchMemory(_) | Gap::Unreadable(_))
}

fn is_image(kind: Kind) -> bool {
    matches!(kind, Kind::Erofs | Kind::Ext | Kind::Fat | Kind::Iso | Kind::Partitions | Kind::Qcow2)
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
