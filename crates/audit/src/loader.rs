//! A linked file as the loader sees it: which bytes run, at which addresses, and whether its sections say so too.
//!
//! A loader reads segments and never asks the table of sections, so that the table may say anything. Nothing that is
//! looked for is looked for in sections alone; what they tell is names. Where an ELF file has bytes in a segment that no
//! section has, the table is not to be believed, and that is a gap.

use crate::binary::{Error, is_linked};
use crate::ranges::{Range, merge, without};
use object::elf::{self, PF_X};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, File, Object, ObjectSection, ObjectSegment, SectionFlags, SectionKind};

/// So many bytes of a segment that no section has are more than padding and tables that a tool moved away.
const UNCOVERED: u64 = 1024;

/// Kinds of sections that are moved by what changes search paths and names of libraries.
const TABLES: [u32; 8] = [
    elf::SHT_DYNSYM,
    elf::SHT_STRTAB,
    elf::SHT_HASH,
    elf::SHT_GNU_HASH,
    elf::SHT_GNU_VERSYM,
    elf::SHT_GNU_VERNEED,
    elf::SHT_DYNAMIC,
    elf::SHT_NOTE,
];

/// What of a file is loaded and run.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Places of executable bytes.
    pub(crate) code: Vec<Range>,
    /// The same without what every linker adds: start-up code and jumps to other libraries.
    pub(crate) own: Vec<Range>,
    /// Place, end, and address of what is loaded.
    loaded: Vec<(u64, u64, u64)>,
    /// Where the last section and the last segment end. What stands behind that is no part of the program.
    pub(crate) end: u64,
}

impl Layout {
    /// The layout of a binary of `size` bytes; of what cannot be told, nothing.
    pub(crate) fn of(file: &File<'_>, size: usize) -> Self {
        // Tables may speak of more than there is.
        let stretch = |at: u64, length: u64| (at.min(size as u64), at.saturating_add(length).min(size as u64));
        let (mut code, mut added, mut covered, mut loaded) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for section in file.sections() {
            let Some((at, length)) = section.file_range() else { continue };
            let range = stretch(at, length);
            covered.push(range);
            if runs(&section) {
                code.push(range);
                if section.name_bytes().is_ok_and(is_everybodys) {
                    added.push(range);
                }
            }
            if is_linked(file) && !matches!(file, File::Elf32(_) | File::Elf64(_)) {
                loaded.push((range.0, range.1, section.address()));
            }
        }
        if is_linked(file) && matches!(file, File::Elf32(_) | File::Elf64(_)) {
            // Where code is not apart from other segments, the tables of the file are loaded to be run as well.
            covered.extend(match file {
                File::Elf32(elf) => tables(elf),
                File::Elf64(elf) => tables(elf),
                _ => [(0, 0); 3],
            });
            covered = merge(covered, 0);
            for segment in file.segments() {
                let (at, length) = segment.file_range();
                let range = stretch(at, length);
                if matches!(segment.flags(), object::SegmentFlags::Elf { p_flags } if p_flags & PF_X != 0) {
                    code.extend(without(&[range], &covered));
                }
                loaded.push((range.0, range.1, segment.address()));
            }
        }
        loaded.sort_unstable();
        let ends = covered.iter().map(|range| range.1).chain(loaded.iter().map(|(_, to, _)| *to));
        let end = ends.max().unwrap_or(0);
        let code = merge(code, 0);
        let own = without(&code, &merge(added, 0));
        Self { code, own, loaded, end }
    }

    /// The address of a place in the file; the place itself where it is not loaded.
    pub(crate) fn address(&self, at: u64) -> u64 {
        let next = self.loaded.partition_point(|(from, ..)| *from <= at);
        let within = self.loaded[..next].iter().rev().find(|(_, to, _)| at < *to);
        within.map_or(at, |(from, _, address)| address.saturating_add(at - from))
    }
}

fn runs(section: &object::Section<'_, '_>) -> bool {
    section.kind() == SectionKind::Text
        || matches!(section.flags(), SectionFlags::Elf { sh_flags }
            if sh_flags & u64::from(elf::SHF_EXECINSTR) != 0)
}

/// Sections that a linker makes for every program.
fn is_everybodys(name: &[u8]) -> bool {
    name.starts_with(b".plt") || matches!(name, b".init" | b".fini")
}

/// Whether a program or library has a table of sections that covers what is loaded.
pub(crate) fn check(file: &File<'_>, bytes: &[u8]) -> Result<(), Error> {
    if !is_linked(file) {
        return Ok(());
    }
    match file {
        File::Elf32(elf) => check_elf(elf, bytes),
        File::Elf64(elf) => check_elf(elf, bytes),
        _ => Ok(()),
    }
}

fn check_elf<'data, E: FileHeader<Endian = Endianness>>(file: &ElfFile<'data, E>, bytes: &[u8]) -> Result<(), Error> {
    let endian = file.endian();
    let stretch = |at: u64, size: u64| (at, at.saturating_add(size));
    let segments = file.elf_program_headers();
    let sections = file.elf_section_table();
    let covered = sections.iter().filter_map(|section| section.file_range(endian)).map(|(at, size)| stretch(at, size));
    let covered = merge(covered.chain(tables(file)).collect(), 0);
    let loaded = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let loaded = loaded.map(|segment| stretch(segment.p_offset(endian).into(), segment.p_filesz(endian).into()));
    let size = bytes.len() as u64;
    let loaded = merge(loaded.map(|(from, to)| (from, to.min(size))).collect(), 0);
    let uncovered = without(&loaded, &covered);
    let uncovered: u64 = uncovered.iter().map(|(from, to)| telling(&bytes[*from as usize..*to as usize])).sum();
    // Older versions of patchelf move tables of names to the end and leave the old ones where they were.
    let symbols = sections.iter().filter(|section| TABLES.contains(&section.sh_type(endian)));
    let moved = symbols.map(|section| section.sh_size(endian).into()).fold(0u64, u64::saturating_add);
    if uncovered > UNCOVERED.saturating_add(moved) { Err(Error::Uncovered(uncovered)) } else { Ok(()) }
}

/// The tables of the file itself, which are in no section.
fn tables<'data, E: FileHeader<Endian = Endianness>>(file: &ElfFile<'data, E>) -> [Range; 3] {
    let (endian, header) = (file.endian(), file.elf_header());
    let stretch = |at: u64, size: u64| (at, at.saturating_add(size));
    let sections = u64::from(header.e_shentsize(endian)) * file.elf_section_table().len() as u64;
    [
        (0, u64::from(header.e_ehsize(endian))),
        stretch(header.e_phoff(endian).into(), std::mem::size_of_val(file.elf_program_headers()) as u64),
        stretch(header.e_shoff(endian).into(), sections),
    ]
}

/// How many of some bytes are no filler. Linkers fill up with one byte, or with an instruction that does nothing; newer
/// versions of patchelf write one letter over each table that they move, as often as a file is patched.
fn telling(bytes: &[u8]) -> u64 {
    const PATTERN: usize = 16;
    let repeats = |length: usize| bytes.iter().zip(bytes.iter().skip(length)).all(|(one, other)| one == other);
    if (1..=PATTERN).any(repeats) {
        return 0;
    }
    let runs = bytes.chunk_by(|one, other| one == other).filter(|run| run.len() < PATTERN);
    runs.map(|run| run.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillers_say_nothing() {
        assert_eq!([&[0; 5000][..], &[0x5a; 999], b"\x0f\x1f\x44\0\0\x0f\x1f\x44\0\0\x0f"].map(telling), [0; 3]);
        assert_eq!(telling(&crate::made::noise(1, 2000)), 2000);
    }

    #[test]
    fn what_patchelf_writes_over_a_table_says_nothing() {
        let noise = crate::made::noise(1, 2000);
        assert_eq!(telling(&[[b'X'; 9000].as_slice(), &[0; 300], &[b'X'; 9000], &[0; 7]].concat()), 7);
        assert_eq!(telling(&[[b'X'; 9000].as_slice(), &noise, &[0; 300]].concat()), 2000);
    }

    #[test]
    fn places_become_addresses() {
        let layout = Layout { loaded: vec![(0, 100, 0x1000), (100, 300, 0x5000)], ..Layout::default() };
        assert_eq!([layout.address(5), layout.address(100), layout.address(299)], [0x1005, 0x5000, 0x50c7]);
        assert_eq!(layout.address(300), 300);
    }
}
