//! Searches bytes that no archive accounts for, and looks into whatever begins there.
//!
//! Marks are everywhere: every program that reads zip files has the mark of a zip. So what a mark promises has to
//! be read before it counts, and a mark that leads nowhere is none. What could be read for a good part and then
//! not to its end is a gap, as it would be for a file. The work for marks that lead nowhere is in proportion to the bytes
//! that are searched; a file that has more of them is a gap.

use super::compressed::{Pieces, window};
use super::encoded::{self, Encoded};
use super::extent::extent;
use super::marks::{Candidate, Shape, What, candidates};
use super::{Content, Gap, Kind, Place, Walk, unsupported, zip};
use super::{bare, entropy};
use crate::ranges;
use flate2::{Decompress, FlushDecompress, Status};
use rayon::prelude::*;
use std::ops::Range;

/// Bytes that are searched at once: they stay in the nearer caches.
const CHUNK: usize = 1 << 20;
/// Chunks that several threads search together, so that little is kept of a file that is all marks.
const CHUNKS: usize = 16;
/// Unpacked bytes of which nobody says that they came about by chance.
const TELLING: usize = 4096;
/// Content that is shorter is not looked at.
const SHORTEST: usize = 32;

/// What came of a mark.
enum Came {
    /// It leads nowhere.
    Nothing,
    /// It was read for a good part and shown; the search goes on right behind the mark.
    Part,
    /// It was read up to here; the search goes on behind it.
    Read(usize),
}

impl Walk<'_> {
    /// Searches a range of the bytes.
    pub(super) fn carve(&mut self, place: &Place, bytes: &[u8], range: Range<usize>) {
        self.carve_between(place, bytes, range, Vec::new(), true);
    }

    /// Searches an archive that could not be read to its end.
    pub(super) fn carve_broken(&mut self, place: &Place, bytes: &[u8]) {
        self.carve_between(place, bytes, 1..bytes.len().max(1), Vec::new(), false);
    }

    /// Searches what lies between, before and behind the parts that were read.
    pub(super) fn carve_rest(&mut self, place: &Place, bytes: &[u8], read: Vec<Range<usize>>) {
        self.carve_between(place, bytes, 0..bytes.len(), read, true);
    }

    /// Searches between the parts that were read; `unmarked` is whether also for data that has no mark.
    fn carve_between(
        &mut self,
        place: &Place,
        bytes: &[u8],
        range: Range<usize>,
        read: Vec<Range<usize>>,
        unmarked: bool,
    ) {
        if range.len() < SHORTEST || !self.visitor.carves() {
            return;
        }
        // In steps of which reading a byte is one; small files are cheap anyway. What came perhaps by chance has no room of its
        // own, or chance inside of it would have more and more.
        let room = (range.len() as u64).saturating_mul(4).saturating_add(4 << 20);
        let room = (!self.is_doubtful).then(|| std::mem::replace(&mut self.room, room));
        let outer = self.outer;
        self.outer.get_or_insert(place.members.len());
        let mut read = entropy::merged(read);
        // What came perhaps by chance has marks if it is anything.
        let unmarked = unmarked && !self.is_doubtful;
        for (number, part) in gaps(range.clone(), &read).into_iter().enumerate() {
            let mut found = Vec::new();
            if unmarked && number < bare::STRETCHES {
                match self.lz4_at(place, bytes, part.clone()) {
                    Ok(true) => {
                        read.push(part);
                        continue;
                    }
                    Ok(false) => {}
                    Err(gap) => self.gap(place.clone(), gap),
                }
            }
            let result = self.search(place, bytes, part, &mut found);
            read.extend(found);
            if let Err(gap) = result {
                self.gap(place.clone(), gap);
                break;
            }
        }
        read = entropy::merged(read);
        if unmarked {
            let left = gaps(range.clone(), &read);
            if let Err(gap) = self.bare(place, bytes, left, &mut read) {
                self.gap(place.clone(), gap);
            }
        }
        (self.room, self.outer) = (room.unwrap_or(self.room), outer);
        if let Some(size) = entropy::opaque(bytes, range, read) {
            self.visitor.opaque(place, size);
        }
    }

    fn search(
        &mut self,
        place: &Place,
        bytes: &[u8],
        range: Range<usize>,
        read: &mut Vec<Range<usize>>,
    ) -> Result<(), Gap> {
        let mut texts = encoded::Scan::new(bytes, range.clone());
        while let Some(text) = texts.next(self.letters()) {
            read.push(text.range.clone());
            self.text(place, text)?;
        }
        let texts = read.len();
        let mut at = range.start;
        while at < range.end {
            let group = at..(at + CHUNK * CHUNKS).min(range.end);
            for candidate in self.marks(bytes, group.clone()) {
                if candidate.start < at || is_in(&read[..texts], candidate.start) {
                    continue;
                }
                let before = self.limits.total_bytes - self.bytes_left;
                match self.candidate(place, &bytes[..range.end], candidate)? {
                    Came::Read(end) => {
                        read.push(candidate.start..end);
                        at = end.max(candidate.start + 1);
                    }
                    // What was shown is counted elsewhere; this bounds how many such parts there may be.
                    Came::Part => self.spend(TELLING as u64)?,
                    Came::Nothing => self.spend(self.limits.total_bytes - self.bytes_left - before + 64)?,
                }
            }
            at = at.max(group.end);
        }
        Ok(())
    }

    /// Takes steps from those that marks may cost that lead nowhere, or nowhere for certain.
    fn spend(&mut self, steps: u64) -> Result<(), Gap> {
        self.room = self.room.checked_sub(steps).ok_or(Gap::TooManyMarks)?;
        Ok(())
    }

    /// The candidates of some chunks, in order.
    fn marks(&self, bytes: &[u8], group: Range<usize>) -> Vec<Candidate> {
        if group.len() <= CHUNK {
            return candidates(bytes, group);
        }
        let chunks: Vec<usize> = group.clone().step_by(CHUNK).collect();
        let mut found: Vec<Candidate> =
            (chunks.into_par_iter()).flat_map_iter(|at| candidates(bytes, at..(at + CHUNK).min(group.end))).collect();
        found.sort_by_key(|candidate| candidate.start);
        found
    }

    fn candidate(&mut self, place: &Place, bytes: &[u8], candidate: Candidate) -> Result<Came, Gap> {
        let Candidate { start, what } = candidate;
        let named = |name: &str| format!("{name} at {start:#x}");
        let is_deep = place.members.len() >= self.limits.depth;
        match what {
            What::Slice(shape) => {
                let mut steps = 0;
                let found = extent(bytes, start, shape, &mut steps);
                self.spend(steps)?;
                // A binary or an image that begins the bytes is what they are themselves.
                let Some(found) = found.filter(|found| found.start > 0 || !is_whole(shape)) else {
                    return Ok(Came::Nothing);
                };
                if is_deep {
                    return Err(Gap::TooDeep(self.limits.depth));
                }
                let name = format!("{} at {:#x}", name(shape), found.start);
                self.member(place, name, &bytes[found.clone()], Kind::Carved)?;
                Ok(Came::Read(found.end))
            }
            What::Packed(kind) => {
                let deflated = match kind {
                    Kind::Gzip => gzip_header(&bytes[start..]),
                    Kind::Zlib => Some(2),
                    _ => None,
                };
                let is_deflated = matches!(kind, Kind::Gzip | Kind::Zlib);
                if is_deflated && !deflated.is_some_and(|header| self.inflates(&bytes[start + header..])) {
                    return Ok(Came::Nothing);
                }
                self.packed(place, bytes, start, kind)
            }
            What::Entry => self.entry(place, bytes, start),
            What::Device => match crate::fatbin::container_end(bytes, start) {
                Some(end) => Ok(Came::Read(end)),
                None => self.device(place, bytes, start),
            },
            What::NotOpened(kind) => {
                self.gap(place.member(named(kind)), unsupported(kind));
                Ok(Came::Part)
            }
            What::Text(alphabet) => match encoded::at(bytes, start, alphabet, self.letters()) {
                None => Ok(Came::Nothing),
                Some(text) => {
                    let end = text.range.end;
                    self.text(place, text)?;
                    Ok(Came::Read(end))
                }
            },
        }
    }

    /// Looks into what a container of device code holds compressed that is no device code.
    fn device(&mut self, place: &Place, bytes: &[u8], start: usize) -> Result<Came, Gap> {
        let mut came = Came::Nothing;
        for entry in crate::fatbin::foreign(bytes, start) {
            if place.members.len() >= self.limits.depth {
                return Err(Gap::TooDeep(self.limits.depth));
            }
            self.count()?;
            let most = self.limits.memory.saturating_sub(self.live).min(self.bytes_left);
            let content = crate::fatbin::content(&entry, most).ok_or(Gap::TooMuchMemory(self.limits.memory))?;
            let content = Content::in_memory(content);
            self.take(&content, 0);
            self.content(&place.member(format!("entry of device code at {start:#x}")), &content, Kind::Carved);
            self.release(content);
            came = Came::Part;
        }
        Ok(came)
    }

    /// Whether deflated data is such for a while, or to its end.
    fn inflates(&mut self, bytes: &[u8]) -> bool {
        const TRIED: usize = 1024;
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(false));
        inflate.reset(false);
        let mut target = [0; TRIED];
        let source = &bytes[..bytes.len().min(4 * TRIED)];
        match inflate.decompress(source, &mut target, FlushDecompress::None) {
            Ok(Status::StreamEnd) => inflate.total_out() >= SHORTEST as u64,
            Ok(_) => inflate.total_out() >= TRIED as u64,
            Err(_) => false,
        }
    }

    /// Unpacks what begins here.
    fn packed(&mut self, place: &Place, bytes: &[u8], start: usize, kind: Kind) -> Result<Came, Gap> {
        self.window = window(&bytes[start..], kind);
        let mut pieces = Pieces::new(&bytes[start..], kind);
        let (content, gap) = self.read(&mut pieces);
        let end = start + pieces.end();
        let is_bound = gap.as_ref().is_some_and(|gap| !matches!(gap, Gap::BrokenArchive(_)));
        if content.len() < SHORTEST || gap.is_some() && !is_bound && content.len() < TELLING {
            self.release(content);
            // One that is empty was read as well.
            return Ok(if gap.is_none() && end > start { Came::Read(end) } else { Came::Nothing });
        }
        let is_broken = gap.is_some() && !is_bound;
        let is_doubtful = is_broken && !is_telling(&bytes[start..], kind);
        // Chance repeats itself: in what came of it perhaps, its like is nothing unless something stands in it.
        if is_doubtful && self.is_doubtful && !encoded::has_mark(&content) {
            self.release(content);
            return Ok(Came::Nothing);
        }
        let member = place.member(format!("{} at {start:#x}", packed_name(kind)));
        let cost = content.len() as u64 / if is_doubtful { 1 } else { 16 };
        let allowed = if place.members.len() >= self.limits.depth {
            Err(Gap::TooDeep(self.limits.depth))
        } else {
            self.count().and_then(|()| if is_broken { self.spend(cost) } else { Ok(()) })
        };
        if allowed.is_ok() {
            // What ends as it should is no chance, wherever it stands.
            let outer = self.is_doubtful;
            self.is_doubtful = gap.is_some() && (outer || is_doubtful);
            self.content(&member, &content, Kind::Carved);
            self.is_doubtful = outer;
        }
        self.release(content);
        allowed?;
        match gap {
            None => Ok(Came::Read(end)),
            // Other formats cut such data into pieces, each with a header of its own.
            Some(Gap::BrokenArchive(_)) if kind == Kind::Zlib => Ok(Came::Part),
            Some(gap) => {
                self.gap(member, gap);
                Ok(Came::Part)
            }
        }
    }

    /// An entry of a zip that no directory names.
    fn entry(&mut self, place: &Place, bytes: &[u8], start: usize) -> Result<Came, Gap> {
        let Some(local) = zip::local(&bytes[start..]) else { return Ok(Came::Nothing) };
        let outer = place.member(format!("zip at {start:#x}"));
        if local.encrypted {
            self.gap(outer, unsupported("encrypted zip"));
            return Ok(Came::Nothing);
        }
        if outer.members.len() >= self.limits.depth {
            return Err(Gap::TooDeep(self.limits.depth));
        }
        let begin = start + local.data;
        let mut stated = local.packed.and_then(|size| bytes.get(begin..begin.checked_add(size)?));
        if local.method == rawzip::CompressionMethod::STORE {
            if local.packed.is_none() {
                let rest = bytes.get(begin..).unwrap_or_default();
                let length = zip::stored(rest);
                self.spend(length.unwrap_or(rest.len()) as u64 / 8)?;
                stated = length.and_then(|length| rest.get(..length));
            }
            let Some(content) = stated else { return Ok(Came::Nothing) };
            self.member(&outer, local.name, content, Kind::Zip)?;
            return Ok(Came::Read(begin + content.len()));
        }
        let data = stated.unwrap_or(&bytes[begin..]);
        let (content, gap, left) = match local.method {
            rawzip::CompressionMethod::DEFLATE => {
                let mut reader = flate2::bufread::DeflateDecoder::new(data);
                let (content, gap) = self.read(&mut reader);
                (content, gap, reader.get_ref().len())
            }
            method => {
                let (Some(_), Ok(reader)) = (stated, zip::decoder(method, data, local.unpacked)) else {
                    return Ok(Came::Nothing);
                };
                let (content, gap) = self.read(reader);
                (content, gap, 0)
            }
        };
        let is_bound = gap.as_ref().is_some_and(|gap| !matches!(gap, Gap::BrokenArchive(_)));
        if gap.is_some() && !is_bound && content.len() < TELLING {
            self.release(content);
            return Ok(Came::Nothing);
        }
        let cost = if gap.is_some() { content.len() as u64 / 16 } else { 0 };
        let allowed = self.count().and_then(|()| self.spend(cost));
        let member = outer.member(local.name);
        if allowed.is_ok() {
            self.content(&member, &content, Kind::Zip);
        }
        self.release(content);
        allowed?;
        match gap {
            None => Ok(Came::Read(begin + data.len() - left)),
            Some(gap) => {
                self.gap(member, gap);
                Ok(Came::Part)
            }
        }
    }

    /// How many letters of a text may be read: they are in memory beside what they stand for.
    fn letters(&self) -> usize {
        usize::try_from(self.limits.memory.saturating_sub(self.live) / 2).unwrap_or(usize::MAX)
    }

    /// Looks into what a text stands for. It is no file by itself, so that nothing is missing if it is nothing.
    fn text(&mut self, place: &Place, text: Encoded) -> Result<(), Gap> {
        let Encoded { range, name, mut content, is_cut, word } = text;
        if place.members.len() >= self.limits.depth {
            return Err(Gap::TooDeep(self.limits.depth));
        }
        self.count()?;
        let size = content.len() as u64;
        if is_cut || size > self.limits.memory.saturating_sub(self.live) {
            return Err(Gap::TooMuchMemory(self.limits.memory));
        }
        if size > self.bytes_left {
            return Err(Gap::TooLarge(self.limits.total_bytes));
        }
        self.take(&content, 0);
        let member = place.member(format!("{name} at {:#x}", range.start));
        if self.visitor.blob(&member, &content, Some(Kind::Carved)) {
            self.carve(&member, &content, 0..content.len());
        }
        if word > 1 {
            content.chunks_exact_mut(word).for_each(<[u8]>::reverse);
            if self.visitor.blob(&member, &content, Some(Kind::Carved)) {
                self.carve(&member, &content, 0..content.len());
            }
        }
        self.live -= size;
        Ok(())
    }
}

/// What of a range lies in none of some parts that are in order, as far as it is worth a look.
fn gaps(range: Range<usize>, parts: &[Range<usize>]) -> Vec<Range<usize>> {
    let ends = |range: &Range<usize>| (range.start as u64, range.end as u64);
    let parts: Vec<ranges::Range> = parts.iter().map(ends).collect();
    let left = ranges::without(&[ends(&range)], &parts).into_iter().map(|(from, to)| from as usize..to as usize);
    left.filter(|gap| gap.len() >= SHORTEST).collect()
}

/// Whether a place is in one of some ranges that are in order.
fn is_in(ranges: &[Range<usize>], at: usize) -> bool {
    let behind = ranges.partition_point(|range| range.start <= at);
    ranges[..behind].last().is_some_and(|range| range.contains(&at))
}

/// Whether all of a file is what its beginning says it is.
fn is_whole(shape: Shape) -> bool {
    use Shape::{Disk, Elf, Erofs, Ext, Fat, Iso, MachO, Pe, Qcow2};
    matches!(shape, Disk | Elf | Erofs | Ext | Fat | Iso | MachO | Pe | Qcow2)
}

fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::Elf => "ELF",
        Shape::Pe => "PE",
        Shape::MachO => "Mach-O",
        Shape::Ar => "ar",
        Shape::Cpio => "cpio",
        Shape::Nar => "NAR",
        Shape::SevenZip => "7z",
        Shape::Squashfs => "squashfs",
        Shape::Tar => "tar",
        Shape::Disk => "disk image",
        Shape::Erofs => "erofs",
        Shape::Ext => "ext",
        Shape::Fat => "FAT",
        Shape::Iso => "ISO 9660",
        Shape::Qcow2 => "qcow2",
    }
}

fn packed_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Gzip => "gzip",
        Kind::Zlib => "zlib",
        Kind::Xz => "xz",
        Kind::Zstd => "zstd",
        Kind::Bzip2 => "bzip2",
        Kind::Lz4 => "lz4",
        Kind::Lzip => "lzip",
        _ => "LZMA",
    }
}

/// Whether the beginning of compressed data is none that comes about by chance: some marks have two bytes, and hardly any
/// bytes contradict what they promise. Codes of its own that fit each other a piece of deflated data has by no chance.
fn is_telling(bytes: &[u8], kind: Kind) -> bool {
    match kind {
        Kind::Zlib => bytes.get(2).is_some_and(|block| block >> 1 & 3 == 2),
        Kind::Lzma => false,
        _ => true,
    }
}

/// How long the header of a gzip member is.
fn gzip_header(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.get(3)?;
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + super::little::<2>(bytes, at)? as usize;
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += 1 + bytes.get(at..)?.iter().take(4096).position(|byte| *byte == 0)?;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    (at < bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests;
