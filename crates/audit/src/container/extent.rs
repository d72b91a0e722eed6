//! How long something is that lies somewhere in other bytes and says so itself.
//!
//! Only lengths are told here: what is inside is read elsewhere. Nothing is told of what contradicts itself; it stays
//! part of the bytes around it. Each answer comes with how many steps it took, so that nobody is asked too often.

use super::marks::Shape;
use super::{cpio, little, number};
use memchr::memmem;
use std::ops::Range;

/// Where the thing at `start` begins and ends, if it is one.
pub(super) fn extent(bytes: &[u8], start: usize, shape: Shape, steps: &mut u64) -> Option<Range<usize>> {
    if shape == Shape::Pe {
        return pe(bytes, start, steps);
    }
    let rest = &bytes[start..];
    let length = match shape {
        Shape::Elf => elf(rest, steps),
        Shape::MachO => mach_o(rest, steps),
        Shape::Ar => ar(rest, steps),
        Shape::Cpio => cpio::length(rest, steps),
        Shape::Nar => nar(rest, steps),
        // What was cut off is for its reader to say.
        Shape::SevenZip => Some(size(32 + little::<8>(rest, 12)?.checked_add(little::<8>(rest, 20)?)?).min(rest.len())),
        Shape::Squashfs => Some(size(little::<8>(rest, 40)?).clamp(96, rest.len().max(96))),
        Shape::Tar => tar(rest, steps),
        Shape::Disk | Shape::Erofs | Shape::Ext | Shape::Fat | Shape::Iso | Shape::Qcow2 => {
            *steps += 64;
            // What was cut off is for its reader to say.
            Some(size(super::image::length(rest, shape)?).min(rest.len()))
        }
        Shape::Pe => None,
    }?;
    (length <= rest.len()).then_some(start..start + length)
}

/// An object whose sections hold less is a template.
const CONTENT: usize = 512;

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// To the end of the last segment, section or table. Of what a linker made, some may be cut off: then its reader says so.
/// Objects are templates in some programs, with tables that are filled in later; these are none.
fn elf(bytes: &[u8], steps: &mut u64) -> Option<usize> {
    let (wide, big) = (bytes[4] == 2, bytes[5] == 2);
    let long = |at: usize, wide_at: usize| {
        size(if wide { number::<8>(bytes, wide_at, big) } else { number::<4>(bytes, at, big) }.unwrap_or(u64::MAX))
    };
    let short = |at: usize, wide_at: usize| number::<2>(bytes, if wide { wide_at } else { at }, big).map(size);
    let is_linked = matches!(number::<2>(bytes, 16, big), Some(2 | 3));
    let (segments, sections) = (short(0x2c, 0x38)?, short(0x30, 0x3c)?);
    // Where each table is, the size of its rows and how many there are, and what of a row says where a part lies.
    let tables = [
        (long(0x1c, 0x20), short(0x2a, 0x36)?, segments, if wide { 56 } else { 32 }, [0x4, 0x8], [0x10, 0x20]),
        (long(0x20, 0x28), short(0x2e, 0x3a)?, sections, if wide { 64 } else { 40 }, [0x10, 0x18], [0x14, 0x20]),
    ];
    let (mut end, mut content) = (None, 0);
    for (number, (table, entry, count, expected, offsets, sizes)) in tables.into_iter().enumerate() {
        let table_end = table.checked_add(expected * count).filter(|end| *end <= bytes.len());
        let Some(table_end) = table_end.filter(|_| count > 0 && entry == expected && table >= 52) else { continue };
        let mut last = table_end;
        for row in 0..count {
            *steps += 8;
            let at = table + row * entry;
            let field = |[narrow_at, wide_at]: [usize; 2]| long(at + narrow_at, at + wide_at);
            // Sections of zeros take no room in the file.
            if number == 0 || super::number::<4>(bytes, at + 4, big) != Some(8) {
                let part_end = field(offsets).checked_add(field(sizes))?;
                last = last.max(part_end);
                // Code and data that are there; tables of names and symbols are in templates as well.
                let is_content = number == 1 && super::number::<4>(bytes, at + 4, big) == Some(1);
                content += if is_content && part_end <= bytes.len() { field(sizes) } else { 0 };
            }
        }
        // Of an object that is cut off, or that says so, what is there is looked at; a template has nothing.
        let is_object = number == 1 && content >= CONTENT;
        if last > bytes.len() && !is_object && !(is_linked && number == 0 && begins_in(bytes, table, wide, big)) {
            continue;
        }
        end = end.max(Some(last.min(bytes.len())));
    }
    end
}

/// Whether the first segment begins in the bytes.
fn begins_in(bytes: &[u8], table: usize, wide: bool, big: bool) -> bool {
    let begin = if wide { number::<8>(bytes, table + 8, big) } else { number::<4>(bytes, table + 4, big) };
    begin.is_some_and(|begin| size(begin) < bytes.len())
}

/// From the old header, which says where the new one is, to the last section or signature. `at` is the new one.
fn pe(bytes: &[u8], at: usize, steps: &mut u64) -> Option<Range<usize>> {
    /// The old header stands hardly ever further before.
    const BEFORE: usize = 4096;
    let before = &bytes[at.saturating_sub(BEFORE)..at];
    *steps += before.len() as u64 / 16;
    let start = memmem::rfind_iter(before, b"MZ")
        .map(|found| at - before.len() + found)
        .find(|start| little::<4>(bytes, start + 0x3c) == Some((at - start) as u64))?;
    let file = &bytes[start..];
    let header = at - start;
    let (sections, optional) = (little::<2>(file, header + 6)?, little::<2>(file, header + 20)?);
    let wide = little::<2>(file, header + 24)? == 0x20b;
    let table = header + 24 + optional as usize;
    let mut end = table as u64 + 40 * sections;
    for section in 0..sections as usize {
        *steps += 8;
        let row = table + 40 * section;
        end = end.max(little::<4>(file, row + 16)? + little::<4>(file, row + 20)?);
    }
    // The signature is the one directory whose place is one in the file.
    let signature = header + 24 + if wide { 112 } else { 96 } + 4 * 8;
    if signature + 8 <= table {
        end = end.max(little::<4>(file, signature)? + little::<4>(file, signature + 4)?);
    }
    Some(start..start + size(end).min(file.len()))
}

/// To the end of the last segment.
fn mach_o(bytes: &[u8], steps: &mut u64) -> Option<usize> {
    let big = bytes[0] == 0xfe;
    let wide = [bytes[0], bytes[3]].contains(&0xcf);
    let field = |at| number::<4>(bytes, at, big);
    let (mut at, mut end) = (if wide { 32 } else { 28 }, None);
    for _ in 0..field(16)? {
        *steps += 8;
        let (command, length) = (field(at)?, size(field(at + 4)?));
        let stretch = match command {
            0x1 => Some((field(at + 32)?, field(at + 36)?)),
            0x19 => Some((number::<8>(bytes, at + 40, big)?, number::<8>(bytes, at + 48, big)?)),
            _ => None,
        };
        if let Some((begin, length)) = stretch {
            end = end.max(Some(size(begin.checked_add(length)?)));
        }
        at = at.checked_add(length.max(8))?;
    }
    end.filter(|end| *end > at).map(|end| end.min(bytes.len()))
}

/// To the end of the last member whose header is right.
fn ar(bytes: &[u8], steps: &mut u64) -> Option<usize> {
    let mut end = 8;
    while bytes.get(end + 58..end + 60) == Some(b"`\n") {
        *steps += 4;
        let text = std::str::from_utf8(&bytes[end + 48..end + 58]).ok()?;
        let next = text.trim_end().parse::<usize>().ok()?.checked_add(end + 60)?;
        if next > bytes.len() {
            return None;
        }
        end = next + next % 2;
    }
    (end > 8).then_some(end.min(bytes.len()))
}

/// To the last of the zeros behind the last member.
fn tar(bytes: &[u8], steps: &mut u64) -> Option<usize> {
    const BLOCK: usize = 512;
    let mut end = 0;
    while let Some(header) = bytes.get(end..end + BLOCK).filter(|header| super::recognize::begins_as_old_tar(header)) {
        *steps += 128;
        let field = &header[124..136];
        let length = if field[0] & 0x80 != 0 {
            number::<8>(field, 4, true)?
        } else {
            let text = std::str::from_utf8(field).ok()?;
            u64::from_str_radix(text.trim_matches([' ', '\0']), 8).ok()?
        };
        let next = size(length).checked_next_multiple_of(BLOCK)?.checked_add(end + BLOCK)?;
        // The last block is sometimes not filled up.
        if next > bytes.len().next_multiple_of(BLOCK) {
            return None;
        }
        end = next.min(bytes.len());
    }
    while end > 0 && bytes.get(end..end + BLOCK).is_some_and(|block| block.iter().all(|byte| *byte == 0)) {
        *steps += 32;
        end += BLOCK;
    }
    (end > 0).then_some(end)
}

/// To the parenthesis that closes the first one.
fn nar(bytes: &[u8], steps: &mut u64) -> Option<usize> {
    let (mut at, mut depth, mut is_data) = (24, 0u64, false);
    loop {
        *steps += 4;
        let length = size(little::<8>(bytes, at)?);
        let begin = at + 8;
        let text = bytes.get(begin..begin.checked_add(length)?)?;
        at = begin + length.checked_next_multiple_of(8)?;
        match text {
            _ if is_data => {}
            b"(" => depth += 1,
            b")" => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        is_data = !is_data && matches!(text, b"contents" | b"name" | b"target");
    }
}
