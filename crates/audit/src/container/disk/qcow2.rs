//! qcow2, the form in which QEMU keeps disks: two tables say where each piece of the disk lies, or that it is zero.
//!
//! Written by hand, since the tables are short and the libraries for them want files, or write.

use super::{First, Ledger};
use crate::container::{Kind, Walk, broken, number, unsupported};
use crate::finding::{Gap, Place};
use std::io::{self, Read};

/// The fields that say where everything is.
struct Image<'a> {
    bytes: &'a [u8],
    ledger: &'a Ledger,
    /// Binary logarithm of the size of a piece.
    log: u32,
    is_zstd: bool,
    /// Where the first table is.
    table: u64,
    /// How long the disk is, as far as it is read.
    size: u64,
    at: u64,
    /// The piece that is read.
    piece: Vec<u8>,
    left: usize,
}

fn field<const N: usize>(bytes: &[u8], at: u64) -> Option<u64> {
    number::<N>(bytes, usize::try_from(at).ok()?, true)
}

/// Bits of an entry that say where something lies.
const PLACE: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;

impl Walk<'_> {
    pub(super) fn qcow2(&mut self, place: &Place, bytes: &[u8], ledger: &Ledger) -> Result<(), Gap> {
        let mut first = First::default();
        let damaged = || broken("the first fields are damaged");
        let get = |at| field::<4>(bytes, at).ok_or_else(damaged);
        let long = |at| field::<8>(bytes, at).ok_or_else(damaged);
        let version = get(4)?;
        let (incompatible, header) = if version >= 3 { (long(72)?, get(100)?) } else { (0, 72) };
        if get(32)? != 0 {
            return Err(unsupported("encrypted qcow2"));
        }
        // Bits for damage and for counters that are not written back do not matter to who reads.
        if incompatible & !0b1011 != 0 {
            return Err(unsupported("qcow2 with data in another file or divided pieces"));
        }
        if long(8)? != 0 {
            first.add(unsupported("qcow2 with another image behind it"));
        }
        if get(60)? != 0 {
            first.add(unsupported("qcow2 with snapshots"));
        }
        let log = get(20)? as u32;
        if !(9..=21).contains(&log) {
            return Err(damaged());
        }
        let is_zstd = incompatible & 8 != 0 && header > 104 && bytes.get(104) == Some(&1);
        let mut image =
            Image { bytes, ledger, log, is_zstd, table: long(40)?, size: long(24)?, at: 0, piece: Vec::new(), left: 0 };
        // What is read needs the end of its disk, even if nothing is there; it is left out where the disk is too large for that.
        if image.size > self.limits.member_bytes.min(self.limits.memory.saturating_sub(self.live)) {
            self.spent.bounded |= self.is_beside;
            image.size = image.used(get(36)?).map_err(broken)?;
        }
        self.file(place, b"disk", image, Kind::Qcow2, &mut first)?;
        first.result()
    }
}

impl Image<'_> {
    /// How long the disk is without what lies nowhere at its end.
    fn used(&self, rows: u64) -> io::Result<u64> {
        let per_row = 1u64 << (self.log - 3);
        for row in (0..rows.min(self.bytes.len() as u64 / 8)).rev() {
            self.ledger.take(0..64)?;
            let entry = self.table.checked_add(8 * row).and_then(|at| field::<8>(self.bytes, at));
            let table = entry.unwrap_or(0) & PLACE;
            if table == 0 {
                continue;
            }
            // All rows may have the same table.
            self.ledger.take(0..8 * per_row as usize)?;
            let is_used = |at: &u64| field::<8>(self.bytes, table + 8 * at).is_some_and(|entry| entry > 1);
            if let Some(at) = (0..per_row).rev().find(is_used) {
                return Ok(((row * per_row + at + 1) << self.log).min(self.size));
            }
        }
        Ok(0)
    }

    /// The next piece of the disk.
    fn next(&mut self) -> Option<()> {
        let (number, size) = (self.at >> self.log, 1usize << self.log);
        let log = self.log - 3;
        self.ledger.take(0..64).ok()?;
        let table = field::<8>(self.bytes, self.table.checked_add(8 * (number >> log))?)? & PLACE;
        let entry = match table {
            0 => 0,
            table => field::<8>(self.bytes, table + 8 * (number & ((1 << log) - 1)))?,
        };
        self.piece.clear();
        if entry & COMPRESSED != 0 {
            // Its place, and how many sectors it goes on in behind the first one.
            let bits = 62 - (self.log - 8);
            let begin = usize::try_from(entry & ((1 << bits) - 1)).ok()?;
            let sectors = usize::try_from((entry & (COMPRESSED - 1)) >> bits).ok()? + 1;
            let end = (begin / 512 + sectors).checked_mul(512)?.min(self.bytes.len());
            let packed = self.bytes.get(begin..end)?;
            self.ledger.take(begin..end).ok()?;
            let read = if self.is_zstd {
                zstd::stream::read::Decoder::with_buffer(packed).ok()?.take(size as u64).read_to_end(&mut self.piece)
            } else {
                flate2::bufread::DeflateDecoder::new(packed).take(size as u64).read_to_end(&mut self.piece)
            };
            // What follows it in its last sector is of another piece.
            read.ok().or((self.piece.len() == size).then_some(size))?;
            self.piece.resize(size, 0);
            self.ledger.add(begin..end);
        } else if entry & PLACE != 0 && entry & 1 == 0 {
            let begin = usize::try_from(entry & PLACE).ok()?;
            let end = begin.checked_add(size)?.min(self.bytes.len());
            // The last piece of a file may be cut where the disk ends.
            let piece = self.bytes.get(begin..end)?;
            let wanted = (self.size - self.at).min(size as u64) as usize;
            if piece.len() < wanted {
                return None;
            }
            self.piece.extend_from_slice(piece);
            self.ledger.take(begin..end).ok()?;
            self.ledger.add(begin..end);
        }
        self.piece.resize(size, 0);
        self.left = (self.size - self.at).min(size as u64) as usize;
        Some(())
    }
}

impl Read for Image<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.at < self.size {
            self.next().ok_or_else(|| io::Error::other("a piece of the disk is damaged"))?;
            self.at += self.left as u64;
            self.piece.truncate(self.left);
        }
        let begin = self.piece.len() - self.left;
        let count = self.left.min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece[begin..begin + count]);
        self.left -= count;
        Ok(count)
    }
}
