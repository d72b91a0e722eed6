//! Tables of partitions, MBR and GPT. Each partition is borrowed as it lies; what is in none is searched as other bytes are.

use super::{First, Ledger};
use crate::container::{Kind, Walk, broken, little};
use crate::finding::{Gap, Place};
use std::ops::Range;

/// So many partitions are read of a table, logical ones among them.
const MOST: u64 = 1024;

impl Walk<'_> {
    pub(super) fn partitions(&mut self, place: &Place, bytes: &[u8], ledger: &Ledger) -> Result<(), Gap> {
        let mut first = First::default();
        let gpt = [512, 4096].into_iter().find_map(|sector| gpt(bytes, sector));
        for (number, part) in (1..).zip(gpt.unwrap_or_else(|| mbr(bytes))) {
            // One that covers the table is the whole disk once more.
            if part.start == 0 {
                continue;
            }
            match bytes
                .get(part.start.min(bytes.len())..part.end.min(bytes.len()))
                .filter(|content| !content.is_empty())
            {
                Some(content) => {
                    if part.end > bytes.len() {
                        first.add(broken("a partition goes on beyond the end of the image"));
                    }
                    ledger.add(part.start..part.start + content.len());
                    self.member(place, format!("partition {number}"), content, Kind::Partitions)?;
                }
                None => first.add(broken("a partition lies beyond the end of the image")),
            }
        }
        first.result()
    }
}

fn range(first: u64, count: u64, sector: u64) -> Range<usize> {
    let at = |number: u64| usize::try_from(number.saturating_mul(sector)).unwrap_or(usize::MAX);
    at(first)..at(first.saturating_add(count))
}

/// The partitions of a GPT, if there is one.
fn gpt(bytes: &[u8], sector: usize) -> Option<Vec<Range<usize>>> {
    let header = bytes.get(sector..)?.strip_prefix(b"EFI PART")?;
    let field = |at: usize| little::<8>(header, at - 8);
    let (count, size) = (little::<4>(header, 80 - 8)?, usize::try_from(little::<4>(header, 84 - 8)?).ok()?);
    let table = usize::try_from(field(72)?).ok()?.checked_mul(sector)?;
    let rows = bytes.get(table..)?.chunks_exact(size.max(128)).take(count.min(MOST) as usize);
    let part = |row: &[u8]| {
        let (begin, last) = (little::<8>(row, 32)?, little::<8>(row, 40)?);
        let is_used = row[..16].iter().any(|byte| *byte != 0);
        is_used.then(|| range(begin, last.saturating_sub(begin).saturating_add(1), sector as u64))
    };
    Some(rows.filter_map(part).collect())
}

/// The partitions of an MBR, and the logical ones inside an extended one, each of which says where the next one is.
fn mbr(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    for (kind, begin, count) in rows(bytes, 0) {
        if !matches!(kind, 0x05 | 0x0f | 0x85) {
            parts.push(range(begin, count, 512));
            continue;
        }
        let mut next = begin;
        for _ in 0..MOST {
            let mut further = None;
            for (kind, first, count) in rows(bytes, range(next, 0, 512).start) {
                match kind {
                    0x05 | 0x0f | 0x85 => further = Some(begin.saturating_add(first)),
                    _ => parts.push(range(next.saturating_add(first), count, 512)),
                }
            }
            // Each lies behind the one before it, so that none is read twice.
            match further.filter(|further| *further > next) {
                Some(further) => next = further,
                None => break,
            }
        }
    }
    parts
}

/// The kind, the first sector and the number of sectors of each row that is used.
fn rows(bytes: &[u8], at: usize) -> Vec<(u8, u64, u64)> {
    let Some(sector) = bytes.get(at..).and_then(|rest| rest.first_chunk::<512>()) else { return Vec::new() };
    if sector[510..] != [0x55, 0xaa] {
        return Vec::new();
    }
    let row = |row: &[u8]| {
        let (first, count) = (little::<4>(row, 8)?, little::<4>(row, 12)?);
        (row[4] != 0 && count > 0).then_some((row[4], first, count))
    };
    sector[446..510].chunks_exact(16).filter_map(row).collect()
}
