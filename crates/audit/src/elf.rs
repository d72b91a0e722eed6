//! What is read of ELF files: sections, executable code, functions with relocations, and what is
//! linked dynamically.

use crate::prints::{SectionPrint, hash};
use object::elf;
use object::read::elf::{Dyn, ElfFile, FileHeader};
use object::{
    Endianness, File, Object, ObjectKind, ObjectSection, ObjectSymbol, RelocationFlags, SectionKind, SymbolKind,
};
use serde::{Deserialize, Serialize};

/// Whether the bytes begin as an ELF file does.
pub(crate) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// Whether it is a program or a shared library, which a linker made.
pub(crate) fn is_linked(file: &File<'_>) -> bool {
    matches!(file.kind(), ObjectKind::Executable | ObjectKind::Dynamic)
}

/// Prints of all sections that occupy bytes in the file.
pub(crate) fn section_prints(file: &File<'_>) -> Result<Vec<SectionPrint>, object::Error> {
    let mut prints = Vec::new();
    for section in file.sections() {
        let data = section.data()?;
        let name = String::from_utf8_lossy(section.name_bytes()?).into_owned();
        if !name.is_empty() && !data.is_empty() {
            prints.push(SectionPrint { name, size: data.len() as u64, hash: hash(data) });
        }
    }
    Ok(prints)
}

/// Executable stretches: address and bytes. Without section headers, the executable segments.
pub(crate) fn code<'data>(file: &File<'data>) -> Result<Vec<(u64, &'data [u8])>, object::Error> {
    use object::{ObjectSegment, SegmentFlags};
    let mut stretches = Vec::new();
    for section in file.sections().filter(|s| s.kind() == SectionKind::Text) {
        stretches.push((section.address(), section.data()?));
    }
    if stretches.is_empty() {
        for segment in file.segments() {
            if matches!(segment.flags(), SegmentFlags::Elf { p_flags } if p_flags & elf::PF_X != 0) {
                stretches.push((segment.address(), segment.data()?));
            }
        }
    }
    Ok(stretches)
}

/// One function of a relocatable object: its bytes and the stretches that relocations patch.
pub(crate) struct Function<'data> {
    pub(crate) bytes: &'data [u8],
    pub(crate) masked: Vec<(u32, u32)>,
}

/// The functions of a relocatable object. Weak symbols are left out: templates and inline
/// functions that every compiler makes are no vendor's.
pub(crate) fn functions<'data>(file: &File<'data>) -> Result<Vec<Function<'data>>, object::Error> {
    let aarch64 = matches!(file.architecture(), object::Architecture::Aarch64);
    let mut symbols: Vec<_> = file
        .symbols()
        .filter(|s| s.kind() == SymbolKind::Text && s.size() > 0 && !s.is_weak() && !s.is_undefined())
        .filter_map(|s| Some((s.section_index()?, s.address(), s.size())))
        .collect();
    symbols.sort_unstable_by_key(|(section, address, size)| (section.0, *address, *size));
    symbols.dedup();

    let mut functions = Vec::with_capacity(symbols.len());
    for of_section in symbols.chunk_by(|a, b| a.0 == b.0) {
        let section = file.section_by_index(of_section[0].0)?;
        let data = section.data()?;
        let mut patches: Vec<(u64, u64)> = section
            .relocations()
            .filter_map(|(at, relocation)| match relocation.flags() {
                RelocationFlags::Elf { r_type } => Some(patched(at, r_type, aarch64)),
                _ => None,
            })
            .collect();
        patches.sort_unstable();
        for &(_, address, size) in of_section {
            let Some(end) = address.checked_add(size) else { continue };
            let Some(bytes) = data.get(address as usize..end as usize) else { continue };
            if u32::try_from(size).is_err() {
                continue;
            }
            functions.push(Function { bytes, masked: masks_within(&patches, address, end) });
        }
    }
    Ok(functions)
}

/// The stretch that a relocation, or the linker's relaxation of it, may rewrite.
fn patched(at: u64, r_type: u32, aarch64: bool) -> (u64, u64) {
    if aarch64 {
        return match r_type {
            elf::R_AARCH64_ABS64 | elf::R_AARCH64_PREL64 => (at, at + 8),
            _ => (at, at + 4),
        };
    }
    match r_type {
        elf::R_X86_64_NONE => (at, at),
        elf::R_X86_64_64 | elf::R_X86_64_PC64 | elf::R_X86_64_GOTOFF64 => (at, at + 8),
        // mov through the GOT becomes lea or mov of an immediate: prefix, opcode and ModRM change.
        elf::R_X86_64_GOTPCRELX | elf::R_X86_64_REX_GOTPCRELX => (at.saturating_sub(3), at + 4),
        // Thread-local access is rewritten with the call that follows it.
        elf::R_X86_64_TLSGD
        | elf::R_X86_64_TLSLD
        | elf::R_X86_64_GOTTPOFF
        | elf::R_X86_64_GOTPC32_TLSDESC
        | elf::R_X86_64_TLSDESC_CALL => (at.saturating_sub(4), at + 12),
        elf::R_X86_64_8 | elf::R_X86_64_PC8 => (at, at + 1),
        elf::R_X86_64_16 | elf::R_X86_64_PC16 => (at, at + 2),
        _ => (at, at + 4),
    }
}

/// The parts of `patches` inside `start..end`, relative to `start`, sorted and merged.
fn masks_within(patches: &[(u64, u64)], start: u64, end: u64) -> Vec<(u32, u32)> {
    // A stretch is at most 16 bytes long, so that none that begins earlier reaches in.
    let first = patches.partition_point(|(from, _)| from + 16 < start);
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for &(from, to) in patches[first..].iter().take_while(|(from, _)| *from < end) {
        let (from, to) = (from.max(start), to.min(end));
        match merged.last_mut() {
            _ if from >= to => {}
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged.into_iter().map(|(from, to)| ((from - start) as u32, (to - from) as u32)).collect()
}

/// What the dynamic linker is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Links {
    /// `NEEDED` entries.
    pub(crate) needed: Vec<String>,
    /// `RPATH` and `RUNPATH` entries, one by one.
    pub(crate) runpath: Vec<String>,
    /// `SONAME`.
    pub(crate) soname: Option<String>,
    /// The dynamic linker itself: `PT_INTERP`.
    pub(crate) interpreter: Option<String>,
}

/// Reads what the dynamic linker is told.
pub(crate) fn links(file: &File<'_>) -> Result<Links, object::Error> {
    let mut links = match file {
        File::Elf32(elf) => dynamic_of(elf)?,
        File::Elf64(elf) => dynamic_of(elf)?,
        _ => Links::default(),
    };
    if let Some(section) = file.section_by_name(".interp") {
        let text = String::from_utf8_lossy(section.data()?).into_owned();
        links.interpreter = Some(text.trim_end_matches('\0').to_owned());
    }
    Ok(links)
}

fn dynamic_of<'data, E: FileHeader<Endian = Endianness>>(file: &ElfFile<'data, E>) -> Result<Links, object::Error> {
    let (endian, data) = (file.endian(), file.data());
    let sections = file.elf_section_table();
    let mut links = Links::default();
    let Some((entries, strings)) = sections.dynamic(endian, data)? else {
        return Ok(links);
    };
    let strings = sections.strings(endian, data, strings)?;
    for entry in entries {
        let tag = entry.tag32(endian).unwrap_or(0);
        let text = || Ok::<_, object::Error>(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned());
        match tag {
            elf::DT_NEEDED => links.needed.push(text()?),
            elf::DT_RPATH | elf::DT_RUNPATH => links.runpath.extend(text()?.split(':').map(str::to_owned)),
            elf::DT_SONAME => links.soname = Some(text()?),
            _ => {}
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_cut_to_the_function_and_merged() {
        let patches = [(0, 4), (8, 12), (10, 16), (30, 34)];
        assert_eq!(masks_within(&patches, 2, 32), [(0, 2), (6, 8), (28, 2)]);
        assert_eq!(masks_within(&patches, 16, 30), []);
    }

    #[test]
    fn relaxed_relocations_mask_the_instruction_before() {
        assert_eq!(patched(10, elf::R_X86_64_REX_GOTPCRELX, false), (7, 14));
        assert_eq!(patched(10, elf::R_X86_64_PLT32, false), (10, 14));
        assert_eq!(patched(10, elf::R_X86_64_TLSGD, false), (6, 22));
        assert_eq!(patched(10, elf::R_AARCH64_CALL26, true), (10, 14));
    }
}
