//! Code for NVIDIA's GPUs in arbitrary bytes: the fatbin containers that `nvcc` puts into programs and
//! libraries, what is in them, and the names of the kernels.
//!
//! The format has no public description. What stands here holds for every container of 45 libraries with
//! CUDA from 10.2 to 13.5 (`docs/decisions/0004-audit.md`). Nothing is disassembled, names come from tables
//! and declarations alone, and no part of the file around a container is needed: it is found by its magic
//! number, wherever it stands.
//!
//! Memory is bounded: an entry is unpacked as far as its names reach, and never beyond [`UNPACKED`].

mod lz4;
mod names;

pub(crate) use names::{cubin_kernels, looks_like_cubin, looks_like_ptx, ptx_kernels};

use crate::ranges::{Range, merge};
use memchr::memmem;
use rayon::prelude::*;
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// Every container begins with it; in numbers `0xBA55ED50`.
const MAGIC: &[u8] = b"\x50\xed\x55\xba";

/// The version of the containers that are known.
const VERSION: u16 = 1;

/// Size of a container's header, as the header itself says.
const HEADER: usize = 16;

/// Least size of an entry's header. Later compilers put options and names behind that.
const ENTRY_HEADER: usize = 64;

/// A container that claims more than this is none.
const CONTAINER: u64 = 1 << 40;

/// Real containers have one entry an architecture, at most 13 of them in what was looked at.
const ENTRIES: usize = 4096;

/// Bytes that are unpacked first; doing so finds the names of most entries.
const BEGINNING: usize = 16 << 10;

/// No entry is unpacked further.
const UNPACKED: usize = 256 << 20;

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EntryKind {
    /// Assembly text that the driver compiles.
    Ptx,
    /// Machine code for one architecture, an ELF file.
    Cubin,
    /// Something else, for instance code for the linker to optimize.
    Other(u16),
}

/// How an entry is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Compression {
    None,
    Lz4,
    Zstd,
}

/// A program for one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: EntryKind,
    /// The architecture's number, for instance 80 for `sm_80`.
    pub(crate) arch: u32,
    pub(crate) compression: Compression,
    /// The bytes as they are stored, without header and padding.
    pub(crate) payload: &'a [u8],
    /// Bytes unpacked, as the header claims.
    pub(crate) unpacked: u64,
    /// Where `payload` begins in the bytes that were searched.
    pub(crate) at: usize,
}

impl Entry<'_> {
    /// Whether it begins as device code does, stored or compressed, so that nothing else is in it.
    pub(crate) fn begins_as_device_code(&self) -> bool {
        const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
        let begin = &self.payload[..self.payload.len().min(24)];
        match self.compression {
            Compression::Zstd => begin.starts_with(ZSTD),
            // A block of LZ4 begins with how many bytes follow as they are, and those bytes.
            Compression::Lz4 | Compression::None => {
                memmem::find(begin, b"\x7fELF").is_some_and(|at| at < 8)
                    || begin.get(4..).is_some_and(|text| text.len() == 20 && text.is_ascii())
            }
        }
    }
}

/// The same programs for several architectures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container<'a> {
    /// Where its header begins in the bytes that were searched.
    pub(crate) at: usize,
    pub(crate) entries: Vec<Entry<'a>>,
}

impl<'a> Container<'a> {
    /// The entry whose kernels stand for those of all entries: the largest one with machine code, or else the
    /// largest one.
    ///
    /// In 39 of 45 libraries these had the names of all entries; in the others at most nine names were missing.
    /// PTX never had a name that machine code beside it had not.
    pub(crate) fn telling(&self) -> Option<&Entry<'a>> {
        self.entries.iter().max_by_key(|entry| (entry.kind == EntryKind::Cubin, entry.payload.len()))
    }
}

/// A container that cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken<'a> {
    pub(crate) reason: Reason,
    /// What was read before that, which is evidence all the same.
    pub(crate) read: Container<'a>,
}

/// Why a container cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    /// It ends behind the end of the bytes.
    #[error("device code is cut off")]
    Cut,
    /// Sizes in its headers contradict each other.
    #[error("sizes in a container of device code contradict each other")]
    Contradiction,
    /// Its version is not known; what is in it was not read.
    #[error("device code of an unknown version {0}")]
    Version(u16),
    /// It has more entries than any container needs.
    #[error("a container of device code with more than {ENTRIES} entries")]
    TooManyEntries,
}

/// Why the names of an entry's kernels cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Its bytes are not what its header says.
    #[error("damaged device code")]
    Damaged,
    /// It unpacks to more than its header says, or to more than is read.
    #[error("device code that unpacks to too many bytes")]
    TooLarge,
    /// It is neither machine code nor PTX.
    #[error("device code of an unknown kind {0}")]
    Kind(u16),
}

/// A container, or what can be told of one that is broken.
pub(crate) type Read<'a> = Result<Container<'a>, Broken<'a>>;

/// Finds all containers in the bytes, in their order.
///
/// What lies inside a container is not searched. Broken containers come as errors; a magic number without
/// a plausible container behind it is passed over.
pub(crate) fn containers(bytes: &[u8]) -> impl Iterator<Item = Read<'_>> {
    let mut from = 0;
    marks(bytes).into_iter().filter_map(move |at| {
        let (container, end) = container_at(bytes, at).filter(|_| at >= from)?;
        from = end;
        Some(container)
    })
}

/// Where a magic number and the beginning of a header are.
fn marks(bytes: &[u8]) -> Vec<usize> {
    /// Bytes that one thread searches at a time.
    const PIECE: usize = 1 << 20;
    let starts: Vec<usize> = (0..bytes.len()).step_by(PIECE).collect();
    let piece = |start: usize| {
        let end = bytes.len().min(start + PIECE + MAGIC.len() - 1);
        memmem::find_iter(&bytes[start..end], MAGIC).map(move |at| start + at)
    };
    starts.into_par_iter().flat_map_iter(piece).filter(|at| version(&bytes[*at..]).is_some()).collect()
}

/// Where device code lies in the bytes, sorted and apart: large entries that begin as such.
pub(crate) fn stretches(containers: &[Read<'_>]) -> Vec<Range> {
    const LARGE: usize = 1024;
    let read = |container| match container {
        &Ok(ref container) | &Err(Broken { read: ref container, .. }) => container,
    };
    let entries = containers.iter().flat_map(|container| &read(container).entries);
    let large = entries.filter(|entry| entry.payload.len() >= LARGE && entry.begins_as_device_code());
    merge(large.map(|entry| (entry.at as u64, (entry.at + entry.payload.len()) as u64)).collect(), 0)
}

/// Where the container at a magic number ends, if it is whole and holds nothing but code for GPUs.
pub(crate) fn container_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (Ok(container), end) = container_at(bytes, at)? else { return None };
    let is_device = |entry: &Entry<'_>| match (entry.kind, entry.compression) {
        (EntryKind::Cubin, Compression::None) => looks_like_cubin(entry.payload),
        (EntryKind::Ptx, Compression::None) => looks_like_ptx(entry.payload),
        (EntryKind::Ptx | EntryKind::Cubin, _) => begins_as_device(entry),
        (EntryKind::Other(_), _) => false,
    };
    container.entries.iter().all(is_device).then_some(end)
}

/// Whether a compressed entry unpacks to device code, as far as its beginning tells.
fn begins_as_device(entry: &Entry<'_>) -> bool {
    let begin = unpacked(entry, BEGINNING);
    begin.is_some_and(|bytes| looks_like_cubin(&bytes) || looks_like_ptx(&bytes))
}

/// So many bytes of a compressed entry, or all.
fn unpacked(entry: &Entry<'_>, until: usize) -> Option<Vec<u8>> {
    let (mut bytes, mut decoder) = (Vec::new(), None);
    let most = usize::try_from(entry.unpacked).unwrap_or(usize::MAX).max(1);
    let result = match entry.compression {
        Compression::Zstd => {
            zstd_frame(entry.payload, &mut decoder).and_then(|mut frame| frame.fill(&mut bytes, until, most))
        }
        Compression::None | Compression::Lz4 => lz4::Block::new(entry.payload).fill(&mut bytes, until, most),
    };
    // What was unpacked before something broke is there all the same.
    (result.is_ok() || !bytes.is_empty()).then_some(bytes)
}

/// The compressed entries that are no device code, of the container at a magic number.
pub(crate) fn foreign(bytes: &[u8], at: usize) -> impl Iterator<Item = Entry<'_>> {
    let container = container_at(bytes, at).map(|(read, _)| read.unwrap_or_else(|broken| broken.read));
    let entries = container.into_iter().flat_map(|container| container.entries);
    entries.filter(|entry| !matches!(entry.compression, Compression::None) && !begins_as_device(entry))
}

/// What a compressed entry unpacks to; nothing where it would be more than `most`.
pub(crate) fn content(entry: &Entry<'_>, most: u64) -> Option<Vec<u8>> {
    (entry.unpacked <= most).then(|| unpacked(entry, usize::MAX).unwrap_or_default())
}

/// The container at a magic number and where it ends or, where it is broken, its last whole entry ends.
fn container_at(bytes: &[u8], at: usize) -> Option<(Read<'_>, usize)> {
    let mut read = Container { at, entries: Vec::new() };
    let broken = |reason, read| Some(Err(Broken { reason, read }));
    let header = &bytes[at..];
    let version = version(header)?;
    let Some(size) = chunk(header, 8).map(u64::from_le_bytes) else {
        return broken(Reason::Cut, read).zip(Some(bytes.len()));
    };
    // Empty containers are real, and there is nothing to say about them.
    if !(ENTRY_HEADER as u64..=CONTAINER).contains(&size) {
        return None;
    }
    let start = at + HEADER;
    let body = &bytes[start..];
    let body = &body[..body.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
    let mut next = 0;
    let reason = loop {
        let left = size - next as u64;
        if left == 0 {
            return Some((Ok(read), start + next));
        }
        if read.entries.len() == ENTRIES {
            break Reason::TooManyEntries;
        }
        match entry_at(body, next, left) {
            Ok((mut entry, end)) => {
                if version != VERSION {
                    break Reason::Version(version);
                }
                entry.at += start;
                read.entries.push(entry);
                next = end;
            }
            Err(Reason::Contradiction) if next == 0 => return None,
            Err(reason) => break reason,
        }
    };
    broken(reason, read).zip(Some(start + next))
}

/// The version that a header names, if it may be one.
fn version(header: &[u8]) -> Option<u16> {
    const LATER_VERSIONS: u16 = 15;
    let version = u16::from_le_bytes(chunk(header, 4)?);
    let is_header = u16::from_le_bytes(chunk(header, 6)?) as usize == HEADER;
    (is_header && (VERSION..=LATER_VERSIONS).contains(&version)).then_some(version)
}

/// The entry that begins at `at` of a container's body and where the next one begins. `left` bytes of the
/// container are claimed to be there from `at` on; `body` may have fewer.
fn entry_at(body: &[u8], at: usize, left: u64) -> Result<(Entry<'_>, usize), Reason> {
    const LONGEST_HEADER: usize = 1 << 16;
    const LZ4: u64 = 0x2000;
    const ZSTD: u64 = 0x8000;
    if left < ENTRY_HEADER as u64 {
        return Err(Reason::Contradiction);
    }
    let header = body[at..].first_chunk::<ENTRY_HEADER>().ok_or(Reason::Cut)?;
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let word = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    // Bytes 20 to 28 say where options are and the version of the code, 32 to 40 where the name of the source is.
    let (kind, header_size, padded, compressed) = (short(0), word(4) as usize, long(8), word(16) as usize);
    let (arch, flags, unpacked) = (word(28), long(40), long(56));
    let plausible = (ENTRY_HEADER..=LONGEST_HEADER).contains(&header_size)
        && (1..=0xff).contains(&kind)
        && arch < 10_000
        && left.checked_sub(header_size as u64).is_some_and(|left| padded <= left)
        && compressed as u64 <= padded;
    if !plausible {
        return Err(Reason::Contradiction);
    }
    // A header may end behind the bytes, and an entry without content would end there as well.
    let stored = body.get(at + header_size..).ok_or(Reason::Cut)?;
    let stored = usize::try_from(padded).ok().and_then(|padded| stored.get(..padded)).ok_or(Reason::Cut)?;
    let entry = Entry {
        kind: match kind {
            1 => EntryKind::Ptx,
            2 => EntryKind::Cubin,
            other => EntryKind::Other(other),
        },
        arch,
        compression: match flags & (LZ4 | ZSTD) {
            0 => Compression::None,
            LZ4 => Compression::Lz4,
            _ => Compression::Zstd,
        },
        // What is not compressed says neither size but the padded one.
        payload: if compressed == 0 { stored } else { &stored[..compressed] },
        unpacked: if unpacked == 0 { padded } else { unpacked },
        at: at + header_size,
    };
    Ok((entry, at + header_size + stored.len()))
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Memory for unpacking, kept from one entry to the next.
#[derive(Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    zstd: Option<Decoder<'static>>,
}

/// The names of an entry's kernels, mangled; machine code also names the functions that are called by them.
///
/// Machine code is unpacked as far as its names reach, which is seldom far; PTX has to be unpacked as a whole.
pub(crate) fn kernels<'s>(entry: &Entry<'s>, scratch: &'s mut Scratch) -> Result<Vec<&'s [u8]>, Unreadable> {
    let unpacked = match entry.compression {
        Compression::None => entry.payload,
        _ => unpack(entry, scratch)?,
    };
    if looks_like_cubin(unpacked) {
        cubin_kernels(unpacked)
    } else if looks_like_ptx(unpacked) {
        ptx_kernels(names::without_zeros(unpacked))
    } else {
        Err(unknown(entry))
    }
}

fn unknown(entry: &Entry<'_>) -> Unreadable {
    match entry.kind {
        EntryKind::Other(kind) => Unreadable::Kind(kind),
        EntryKind::Ptx | EntryKind::Cubin => Unreadable::Damaged,
    }
}

/// Unpacks as much as [`kernels`] needs.
fn unpack<'s>(entry: &Entry<'_>, scratch: &'s mut Scratch) -> Result<&'s [u8], Unreadable> {
    let Scratch { bytes, zstd } = scratch;
    let most = UNPACKED.min(usize::try_from(entry.unpacked).unwrap_or(usize::MAX));
    bytes.clear();
    let mut unpacking = match entry.compression {
        Compression::Zstd => Unpacking::Zstd(zstd_frame(entry.payload, zstd)?),
        Compression::None | Compression::Lz4 => Unpacking::Lz4(lz4::Block::new(entry.payload)),
    };
    let mut until = BEGINNING;
    loop {
        let ended = match &mut unpacking {
            Unpacking::Lz4(block) => block.fill(bytes, until, most)?,
            Unpacking::Zstd(frame) => frame.fill(bytes, until, most)?,
        };
        if ended {
            return Ok(bytes);
        }
        until = if looks_like_cubin(bytes) {
            match names::table(bytes) {
                names::Table::Ends(_) => return Ok(bytes),
                names::Table::GoesOn => bytes.len().saturating_mul(4),
                names::Table::Elsewhere => usize::MAX,
            }
        } else if looks_like_ptx(bytes) {
            usize::MAX
        } else {
            return Err(unknown(entry));
        };
    }
}

enum Unpacking<'a, 's> {
    Lz4(lz4::Block<'a>),
    Zstd(Frame<'a, 's>),
}

/// A zstd frame that is being unpacked.
struct Frame<'a, 's> {
    rest: &'a [u8],
    decoder: &'s mut Decoder<'static>,
}

/// Begins a frame with the decoder of the last one: making one costs as much as unpacking a small entry.
fn zstd_frame<'a, 's>(
    payload: &'a [u8],
    decoder: &'s mut Option<Decoder<'static>>,
) -> Result<Frame<'a, 's>, Unreadable> {
    let made = match decoder.take() {
        Some(mut decoder) => decoder.reinit().map(|()| decoder),
        None => Decoder::new(),
    };
    Ok(Frame { rest: payload, decoder: decoder.insert(made.map_err(|_| Unreadable::Damaged)?) })
}

impl Frame<'_, '_> {
    /// As [`lz4::Block::fill`].
    fn fill(&mut self, out: &mut Vec<u8>, until: usize, most: usize) -> Result<bool, Unreadable> {
        const PIECE: usize = 1 << 20;
        while out.len() < until {
            let begin = out.len();
            // One byte more than there may be tells whether there are too many.
            let room = (until - begin).min(most.saturating_add(1).saturating_sub(begin)).min(PIECE);
            out.resize(begin + room, 0);
            let mut input = InBuffer::around(self.rest);
            let mut output = OutBuffer::around(&mut out[begin..]);
            let hint = self.decoder.run(&mut input, &mut output).map_err(|_| Unreadable::Damaged)?;
            let (taken, given) = (input.pos(), output.pos());
            self.rest = &self.rest[taken..];
            out.truncate(begin + given);
            if out.len() > most {
                return Err(Unreadable::TooLarge);
            }
            if hint == 0 {
                return Ok(true);
            }
            if taken == 0 && given == 0 {
                return Err(Unreadable::Damaged);
            }
        }
        Ok(false)
    }
}

/// Reads everything that there is in the bytes: for tests with arbitrary ones.
pub(crate) fn read_all(bytes: &[u8]) {
    let mut scratch = Scratch::default();
    for container in containers(bytes) {
        let container = container.unwrap_or_else(|broken| broken.read);
        _ = container.telling();
        for entry in &container.entries {
            _ = kernels(entry, &mut scratch);
        }
    }
    if looks_like_cubin(bytes) {
        _ = cubin_kernels(bytes);
    }
    if looks_like_ptx(bytes) {
        _ = ptx_kernels(bytes);
    }
}

#[cfg(test)]
mod tests;
