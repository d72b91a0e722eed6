//! What is read of COFF objects: the members of `.lib` archives.
//!
//! Their symbols have no size: a function ends where the next one of its section begins, or with
//! the section. Compilers for Windows put most functions into sections of their own.

use crate::binary::{Error, Start, holds_code, relocation_limit};
use object::pe;
use object::read::coff::{CoffBigFile, CoffFile, CoffHeader, ImageSymbol};
use object::{Architecture, File, LittleEndian as LE, Object, ObjectSection, SectionIndex};

const MACHINES: [u16; 3] = [pe::IMAGE_FILE_MACHINE_AMD64, pe::IMAGE_FILE_MACHINE_ARM64, pe::IMAGE_FILE_MACHINE_I386];

/// More sections than this only the other header can count.
const MOST_SECTIONS: u16 = 0xfeff;

/// The class id of the header for very many sections.
const BIG_OBJECT: [u8; 16] = pe::ANON_OBJECT_HEADER_BIGOBJ_CLASS_ID.0;

/// Whether the member of an archive begins as an object does. Short import members, which only name a
/// function of a DLL, and objects without machine code are none.
pub(crate) fn is_object(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<20>() else { return false };
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let linked = pe::IMAGE_FILE_EXECUTABLE_IMAGE | pe::IMAGE_FILE_DLL;
    // Only linked files have an optional header.
    let plausible = (1..=MOST_SECTIONS).contains(&field(2)) && field(16) == 0 && field(18) & linked == 0;
    MACHINES.contains(&field(0)) && plausible || is_big(bytes)
}

/// Whether it has the header for very many sections: `cl /bigobj`.
fn is_big(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0\0\xff\xff\x02\0") && bytes.get(12..28) == Some(&BIG_OBJECT[..])
}

/// Reads the tables of an object.
pub(crate) fn parse(bytes: &[u8]) -> Result<File<'_>, object::Error> {
    if is_big(bytes) { CoffBigFile::parse(bytes).map(File::CoffBig) } else { CoffFile::parse(bytes).map(File::Coff) }
}

/// Where the functions of an object begin.
pub(crate) fn starts<'data, C: CoffHeader>(file: &CoffFile<'data, &'data [u8], C>) -> Vec<Start> {
    let owned = owned_code(file);
    let mut starts = Vec::new();
    for (_, symbol) in file.coff_symbol_table().iter() {
        let Ok(number) = usize::try_from(symbol.section_number()) else { continue };
        if !owned.get(number).is_some_and(|owned| *owned) || !symbol.is_definition() {
            continue;
        }
        // What assemblers export they often do not call a function.
        let function = symbol.derived_type() == pe::IMAGE_SYM_DTYPE_FUNCTION;
        if function || symbol.storage_class() == pe::IMAGE_SYM_CLASS_EXTERNAL {
            starts.push(Start { section: number, at: u64::from(symbol.value()), size: 0 });
        }
    }
    starts
}

/// For each section number, whether the section holds code that only one object may define.
///
/// Sections of which the linker takes any, the largest or the newest are templates and inline
/// functions, as weak symbols are in ELF files. Ordinary functions in sections of their own may not
/// be defined twice.
fn owned_code<'data, C: CoffHeader>(file: &CoffFile<'data, &'data [u8], C>) -> Vec<bool> {
    let symbols = file.coff_symbol_table();
    let mut owned: Vec<bool> =
        std::iter::once(false).chain(file.sections().map(|section| holds_code(section.flags()))).collect();
    let mut follows = Vec::new();
    for (index, symbol) in symbols.iter() {
        let (Ok(number), true) = (usize::try_from(symbol.section_number()), symbol.has_aux_section()) else { continue };
        let (Some(section), Ok(aux)) = (owned.get_mut(number), symbols.aux_section(index)) else { continue };
        match aux.selection {
            0 | pe::IMAGE_COMDAT_SELECT_NODUPLICATES => {}
            // It comes and goes with another section.
            pe::IMAGE_COMDAT_SELECT_ASSOCIATIVE => {
                let high = if C::is_type_bigobj() { u32::from(aux.high_number.get(LE)) << 16 } else { 0 };
                follows.push((number, (high | u32::from(aux.number.get(LE))) as usize));
            }
            _ => *section = false,
        }
    }
    for (number, leader) in follows {
        owned[number] &= owned.get(leader).is_none_or(|owned| *owned || !is_code(file, leader));
    }
    owned
}

fn is_code<'data, C: CoffHeader>(file: &CoffFile<'data, &'data [u8], C>, number: usize) -> bool {
    file.section_by_index(SectionIndex(number)).is_ok_and(|section| holds_code(section.flags()))
}

/// The stretches of a section that relocations patch, sorted.
pub(crate) fn patches<'data, C: CoffHeader>(
    file: &CoffFile<'data, &'data [u8], C>,
    section: SectionIndex,
    size: usize,
) -> Result<Vec<(u64, u64)>, Error> {
    let section = file.section_by_index(section)?;
    let relocations = section.coff_relocations()?;
    if relocations.len() > relocation_limit(size) {
        return Err(Error::Crowded("relocations"));
    }
    let (architecture, base) = (file.architecture(), section.address());
    let patch = |relocation: &pe::ImageRelocation| {
        let at = u64::from(relocation.virtual_address.get(LE)).saturating_sub(base);
        (at, at + patched(relocation.typ.get(LE), architecture))
    };
    let mut patches: Vec<_> = relocations.iter().map(patch).collect();
    patches.sort_unstable();
    patches.dedup();
    Ok(patches)
}

/// How many bytes a relocation patches. Linkers for Windows rewrite no instruction around them.
fn patched(typ: u16, architecture: Architecture) -> u64 {
    match (architecture, typ) {
        // The type that does nothing is 0 everywhere.
        (_, 0) => 0,
        (Architecture::Aarch64, pe::IMAGE_REL_ARM64_ADDR64 | pe::IMAGE_REL_ARM64_TOKEN)
        | (Architecture::X86_64, pe::IMAGE_REL_AMD64_ADDR64 | pe::IMAGE_REL_AMD64_TOKEN) => 8,
        (Architecture::Aarch64, pe::IMAGE_REL_ARM64_SECTION)
        | (Architecture::X86_64, pe::IMAGE_REL_AMD64_SECTION)
        | (
            Architecture::I386,
            pe::IMAGE_REL_I386_DIR16 | pe::IMAGE_REL_I386_REL16 | pe::IMAGE_REL_I386_SEG12 | pe::IMAGE_REL_I386_SECTION,
        ) => 2,
        (Architecture::X86_64, pe::IMAGE_REL_AMD64_SECREL7) | (Architecture::I386, pe::IMAGE_REL_I386_SECREL7) => 1,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plausible_headers_are_objects() {
        let header = |machine: u16, sections: u16, optional: u16, characteristics: u16| {
            let mut bytes = [machine.to_le_bytes(), sections.to_le_bytes()].concat();
            bytes.extend_from_slice(&[0; 12]);
            bytes.extend([optional.to_le_bytes(), characteristics.to_le_bytes()].concat());
            is_object(&bytes)
        };
        assert!(header(0x8664, 3, 0, 0) && header(0xaa64, 3, 0, 0) && header(0x14c, 3, 0, 4));
        assert!(!header(0x8664, 0, 0, 0), "no sections");
        assert!(!header(0x8664, 3, 240, 2), "a linked file");
        assert!(!header(0x1c4, 3, 0, 0), "another machine");
        assert!(!is_object(b"\0\0\xff\xff\0\0\x64\x86 a short import member"));
        assert!(!is_object(b"\x64\x86\x03"), "cut short");
    }

    #[test]
    fn relocations_patch_what_their_type_says() {
        let check = |architecture, typ, bytes| assert_eq!(patched(typ, architecture), bytes, "{architecture:?} {typ}");
        check(Architecture::X86_64, pe::IMAGE_REL_AMD64_ABSOLUTE, 0);
        check(Architecture::X86_64, pe::IMAGE_REL_AMD64_REL32_5, 4);
        check(Architecture::X86_64, pe::IMAGE_REL_AMD64_ADDR64, 8);
        check(Architecture::X86_64, pe::IMAGE_REL_AMD64_SECTION, 2);
        check(Architecture::Aarch64, pe::IMAGE_REL_ARM64_ADDR32, 4);
        check(Architecture::Aarch64, pe::IMAGE_REL_ARM64_ADDR64, 8);
        check(Architecture::I386, pe::IMAGE_REL_I386_REL32, 4);
        check(Architecture::I386, pe::IMAGE_REL_I386_DIR16, 2);
    }
}
