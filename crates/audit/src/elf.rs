//! What is read of ELF files: where functions begin, what relocations patch, and what is linked
//! dynamically.

use crate::binary::{Error, Links, Start, holds_code, relocation_limit};
use crate::{inlined, nvcc};
use object::elf;
use object::read::StringTable;
use object::read::elf::{Dyn, ElfFile, FileHeader, ProgramHeader};
use object::{
    Architecture, Endianness, File, Object, ObjectSection, ObjectSymbol, RelocationFlags, SectionIndex, SymbolKind,
};

/// Whether the bytes begin as an ELF file does.
pub(crate) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// The same file without its table of sections, where it has one: what a loader reads stands in the segments.
pub(crate) fn without_sections(bytes: &[u8]) -> Option<Vec<u8>> {
    let wide = match bytes.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    // Where the table begins; how many rows it has, and which of them has the names.
    let (at, length, counts) = if wide { (0x28, 8, 0x3c) } else { (0x20, 4, 0x30) };
    let is_there = bytes.get(at..at + length)?.iter().any(|byte| *byte != 0);
    if !is_elf(bytes) || !is_there || bytes.len() < counts + 4 {
        return None;
    }
    let mut copy = bytes.to_vec();
    copy[at..at + length].fill(0);
    copy[counts..counts + 4].fill(0);
    Some(copy)
}

/// Where the functions of a relocatable object begin.
///
/// Hand-written assembly gives some no size, and some not even the type of a function.
pub(crate) fn starts(file: &File<'_>) -> Vec<Start> {
    let is_code =
        |section| file.section_by_index(SectionIndex(section)).is_ok_and(|section| holds_code(section.flags()));
    file.symbols()
        .filter(|symbol| !symbol.is_weak() && !symbol.is_undefined())
        .filter(|symbol| !symbol.name_bytes().is_ok_and(|name| nvcc::is_name(name) || inlined::is_name(name)))
        .filter_map(|symbol| {
            let start = Start { section: symbol.section_index()?.0, at: symbol.address(), size: symbol.size() };
            let function = match symbol.kind() {
                SymbolKind::Text => start.size > 0 || is_code(start.section),
                SymbolKind::Unknown => symbol.is_global() && is_code(start.section),
                _ => false,
            };
            function.then_some(start)
        })
        .collect()
}

/// The stretches of a section that relocations patch, sorted.
pub(crate) fn patches(
    file: &File<'_>,
    section: &object::Section<'_, '_>,
    size: usize,
) -> Result<Vec<(u64, u64)>, Error> {
    let (architecture, limit) = (file.architecture(), relocation_limit(size));
    let mut patches = Vec::new();
    for (at, relocation) in section.relocations() {
        if let RelocationFlags::Elf { r_type } = relocation.flags() {
            patches.push(patched(at, r_type, architecture));
        }
        if patches.len() > limit {
            return Err(Error::Crowded("relocations"));
        }
    }
    patches.sort_unstable();
    patches.dedup();
    Ok(patches)
}

/// The stretch that a relocation, or the linker's relaxation of it, may rewrite; at most 16 bytes.
fn patched(at: u64, r_type: u32, architecture: Architecture) -> (u64, u64) {
    let (before, behind) = match architecture {
        Architecture::Aarch64 => patched_aarch64(r_type),
        Architecture::I386 => patched_i386(r_type),
        _ => patched_x86_64(r_type),
    };
    (at.saturating_sub(before), at.saturating_add(behind))
}

/// How many bytes before the place of a relocation and from it on may be rewritten.
fn patched_x86_64(r_type: u32) -> (u64, u64) {
    match r_type {
        elf::R_X86_64_NONE => (0, 0),
        elf::R_X86_64_64
        | elf::R_X86_64_PC64
        | elf::R_X86_64_GOTOFF64
        | elf::R_X86_64_GOT64
        | elf::R_X86_64_GOTPCREL64
        | elf::R_X86_64_GOTPC64
        | elf::R_X86_64_GOTPLT64
        | elf::R_X86_64_SIZE64
        | elf::R_X86_64_DTPMOD64
        | elf::R_X86_64_DTPOFF64
        | elf::R_X86_64_TPOFF64 => (0, 8),
        // mov through the GOT becomes lea or mov of an immediate: prefix, opcode and ModRM change. The GNU
        // linker does it for the plain type as well.
        elf::R_X86_64_GOTPCREL | elf::R_X86_64_GOTPCRELX | elf::R_X86_64_REX_GOTPCRELX => (3, 4),
        // In the large model the call that asks for a thread-local variable goes through this one, and is
        // rewritten with the additions and the jump behind it.
        elf::R_X86_64_PLTOFF64 => (2, 13),
        // The types of relaxed loads for instructions with a prefix of two bytes, which have no names here yet.
        43..=45 => (4, 4),
        46..=48 => (5, 4),
        49..=51 => (6, 4),
        // Thread-local access is rewritten with the call that follows it.
        elf::R_X86_64_TLSGD
        | elf::R_X86_64_TLSLD
        | elf::R_X86_64_GOTTPOFF
        | elf::R_X86_64_GOTPC32_TLSDESC
        | elf::R_X86_64_TLSDESC_CALL => (4, 12),
        elf::R_X86_64_8 | elf::R_X86_64_PC8 => (0, 1),
        elf::R_X86_64_16 | elf::R_X86_64_PC16 => (0, 2),
        _ => (0, 4),
    }
}

/// The same for 32 bits.
fn patched_i386(r_type: u32) -> (u64, u64) {
    match r_type {
        elf::R_386_NONE => (0, 0),
        elf::R_386_8 | elf::R_386_PC8 => (0, 1),
        elf::R_386_16 | elf::R_386_PC16 => (0, 2),
        elf::R_386_GOT32 | elf::R_386_GOT32X => (2, 4),
        elf::R_386_TLS_GD
        | elf::R_386_TLS_LDM
        | elf::R_386_TLS_IE
        | elf::R_386_TLS_GOTIE
        | elf::R_386_TLS_IE_32
        | elf::R_386_TLS_GOTDESC
        | elf::R_386_TLS_DESC_CALL => (3, 10),
        _ => (0, 4),
    }
}

/// The same for ARM: an instruction is rewritten as a whole, and only where a relocation stands.
fn patched_aarch64(r_type: u32) -> (u64, u64) {
    match r_type {
        elf::R_AARCH64_NONE => (0, 0),
        elf::R_AARCH64_ABS64 | elf::R_AARCH64_PREL64 => (0, 8),
        elf::R_AARCH64_ABS16 | elf::R_AARCH64_PREL16 => (0, 2),
        // But for the call that asks for a thread-local variable, and the instruction after it.
        elf::R_AARCH64_TLSGD_ADR_PREL21
        | elf::R_AARCH64_TLSGD_ADD_LO12_NC
        | elf::R_AARCH64_TLSLD_ADR_PREL21
        | elf::R_AARCH64_TLSLD_ADD_LO12_NC => (0, 12),
        _ => (0, 4),
    }
}

/// Reads what the dynamic linker is told.
pub(crate) fn dynamic_links(file: &File<'_>) -> Result<Links, Error> {
    let mut links = match file {
        File::Elf32(elf) => dynamic_of(elf)?,
        File::Elf64(elf) => dynamic_of(elf)?,
        _ => Links::default(),
    };
    if links.interpreter.is_none()
        && let Some(section) = file.section_by_name(".interp")
    {
        let text = String::from_utf8_lossy(section.data()?).into_owned();
        links.interpreter = Some(text.trim_end_matches('\0').to_owned());
    }
    Ok(links)
}

/// Names in the dynamic section are this long in all; each could be the whole table of strings.
const LONGEST_LINKS: usize = 1 << 20;

fn dynamic_of<'data, E: FileHeader<Endian = Endianness>>(file: &ElfFile<'data, E>) -> Result<Links, Error> {
    let (endian, data) = (file.endian(), file.data());
    let sections = file.elf_section_table();
    let mut links = Links::default();
    // The loader asks the segments alone.
    for segment in file.elf_program_headers() {
        if let Ok(Some(name)) = segment.interpreter(endian, data) {
            links.interpreter = Some(String::from_utf8_lossy(name).into_owned());
        }
    }
    let (entries, strings) = match loaded_dynamic(file) {
        Some(found) => found,
        None => match sections.dynamic(endian, data)? {
            Some((entries, strings)) => (entries, sections.strings(endian, data, strings)?),
            None => return Ok(links),
        },
    };
    let mut room = LONGEST_LINKS;
    for entry in entries {
        let tag = entry.tag32(endian).unwrap_or(0);
        let mut text = || {
            let text = entry.string(endian, strings)?;
            room = room.checked_sub(text.len()).ok_or(Error::Crowded("names"))?;
            Ok::<_, Error>(String::from_utf8_lossy(text).into_owned())
        };
        match tag {
            elf::DT_NEEDED => links.needed.push(text()?),
            elf::DT_RPATH | elf::DT_RUNPATH => links.runpath.extend(text()?.split(':').map(str::to_owned)),
            elf::DT_SONAME => links.soname = Some(text()?),
            _ => {}
        }
    }
    Ok(links)
}

/// The dynamic entries that the loader reads, and their strings: both as the segments say.
fn loaded_dynamic<'data, E: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'data, E>,
) -> Option<(&'data [E::Dyn], StringTable<'data>)> {
    let (endian, data, segments) = (file.endian(), file.data(), file.elf_program_headers());
    let entries = segments.iter().find_map(|segment| segment.dynamic(endian, data).ok().flatten())?;
    let value = |tag: u32| {
        let entry = entries.iter().find(|entry| entry.tag32(endian) == Some(tag))?;
        Some(entry.d_val(endian).into())
    };
    let (address, size): (u64, u64) = (value(elf::DT_STRTAB)?, value(elf::DT_STRSZ)?);
    let loaded = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let at = loaded.filter_map(|segment| {
        let within = address.checked_sub(segment.p_vaddr(endian).into())?;
        (within < segment.p_filesz(endian).into()).then(|| within.checked_add(segment.p_offset(endian).into()))?
    });
    let at = at.into_iter().next()?;
    let end = at.checked_add(size).filter(|end| *end <= data.len() as u64)?;
    Some((entries, StringTable::new(data, at, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_sections_that_cannot_be_reached_is_left_out() {
        use crate::made::{library, loaded, noise};
        use crate::{AuditFile, Contents, Corpus, Finding, Limits, audit};
        let text = b"\0Copyright NVIDIA Corporation\0".to_vec();
        let whole = loaded(library(&[(".text", true, noise(1, 3000)), (".rodata", false, text)]));
        let mut cut = whole.clone();
        cut[0x2e] = 0x7f;
        assert!(crate::binary::parse(&cut, None).unwrap().is_err());
        let copy = crate::binary::repaired(&cut).unwrap();
        assert_eq!(copy.len(), cut.len());
        assert!(crate::binary::has_no_sections(&crate::binary::parse(&copy, None).unwrap().unwrap()));
        assert!(crate::binary::repaired(b"\x7fELF").is_none() && crate::binary::repaired(b"").is_none());
        // It is no less a driver's library for that, and there is one gap.
        let file = AuditFile { path: "lib/libcuda.so.1".to_owned(), contents: Contents::Bytes(&cut) };
        let found = audit(&[file], &Corpus::new(Vec::new()), Limits::default()).findings;
        let kinds: Vec<&str> = found.iter().map(Finding::kind).collect();
        assert_eq!(kinds, ["not-audited", "driver"], "{found:?}");
    }

    #[test]
    fn relaxed_relocations_mask_the_instruction_before() {
        let check = |architecture, r_type, stretch| assert_eq!(patched(10, r_type, architecture), stretch, "{r_type}");
        check(Architecture::X86_64, elf::R_X86_64_REX_GOTPCRELX, (7, 14));
        check(Architecture::X86_64, elf::R_X86_64_PLT32, (10, 14));
        check(Architecture::X86_64, elf::R_X86_64_TLSGD, (6, 22));
        check(Architecture::X86_64, elf::R_X86_64_PLTOFF64, (8, 23));
        check(Architecture::X86_64, 49, (4, 14));
        check(Architecture::I386, elf::R_386_GOT32X, (8, 14));
        check(Architecture::I386, elf::R_386_PC32, (10, 14));
        check(Architecture::Aarch64, elf::R_AARCH64_CALL26, (10, 14));
        check(Architecture::Aarch64, elf::R_AARCH64_TLSGD_ADD_LO12_NC, (10, 22));
    }
}
