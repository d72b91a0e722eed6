//! Programs, libraries and objects of every format that is read, seen the same way.
//!
//! ELF files, PE files and COFF objects all come down to sections, stretches of code, functions
//! with the bytes that a linker patches, and what the dynamic linker is told. Whoever asks for
//! these need not know the format; `elf.rs`, `pe.rs` and `coff.rs` know theirs.
//!
//! The tables of a file may say anything. What is done here stays in proportion to the size of the
//! file: sections that lie over each other, or more relocations than there are bytes, are an error.

use crate::container;
use crate::prints::{Kind, SectionPrint, hash64};
use crate::{coff, elf, loader, nvcc, pe};
use object::{File, Object, ObjectKind, ObjectSection, SectionFlags, SectionIndex};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Why a binary cannot be read to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Its tables do not fit.
    #[error(transparent)]
    Object(#[from] object::Error),
    /// Sections or segments lie over each other, so that the file would be read many times over.
    #[error("its sections lie over each other")]
    Overlapping,
    /// Relocations, functions or names are more, or longer in all, than the size of what holds them can explain.
    #[error("it has more {0} than there is room for")]
    Crowded(&'static str),
    /// Bytes that are loaded are in no section: the table of sections says something else than the segments do.
    #[error("{0} bytes of what is loaded are in none of its sections")]
    Uncovered(u64),
    /// The tables of what it imports do not end.
    #[error("its table of imports has no end")]
    Imports,
    /// The name of an imported library is not in the file.
    #[error("an imported library has no name")]
    ImportName,
}

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Elf,
    Pe,
    Coff,
    MachO,
}

/// Tells the format of a binary by how it begins; `parent` is the kind of archive that it is directly in.
pub(crate) fn recognize(bytes: &[u8], parent: Option<container::Kind>) -> Option<Format> {
    if elf::is_elf(bytes) {
        Some(Format::Elf)
    } else if pe::is_pe(bytes) {
        Some(Format::Pe)
    } else if is_macho(bytes) {
        Some(Format::MachO)
    } else if parent == Some(container::Kind::Ar) && coff::is_object(bytes) {
        // COFF objects begin with two bytes that any file may begin with; in a `.lib` they are at home.
        Some(Format::Coff)
    } else {
        None
    }
}

/// Reads a binary's tables; `None` where the bytes are no binary at all.
pub(crate) fn parse<'data>(bytes: &'data [u8], parent: Option<container::Kind>) -> Option<Result<File<'data>, Error>> {
    let file = match recognize(bytes, parent)? {
        Format::Elf | Format::Pe | Format::MachO => File::parse(bytes),
        Format::Coff => coff::parse(bytes),
    };
    Some(file.map_err(Error::from))
}

/// The same bytes without the tables that keep them from being read, where a loader does not need these.
pub(crate) fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let copy = (elf::is_elf(bytes)).then(|| elf::without_sections(bytes)).flatten()?;
    let is_linked = File::parse(copy.as_slice()).is_ok_and(|file| is_linked(&file));
    is_linked.then_some(copy)
}

/// Whether the bytes begin as a program for macOS does: the mark, and a kind of file that there is.
fn is_macho(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<16>() else { return false };
    match header {
        [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => (1..=12).contains(&header[12]) && header[13..] == [0, 0, 0],
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] => (1..=12).contains(&header[15]) && header[12..15] == [0, 0, 0],
        _ => false,
    }
}

/// Whether it is a program or a shared library, which a linker made.
pub(crate) fn is_linked(file: &File<'_>) -> bool {
    match file {
        File::Pe32(_) | File::Pe64(_) => true,
        File::MachO32(_) | File::MachO64(_) => file.kind() != ObjectKind::Relocatable,
        _ => matches!(file.kind(), ObjectKind::Executable | ObjectKind::Dynamic),
    }
}

/// Prints of all sections that occupy bytes in a program or library; none of objects.
///
/// The sections of objects are single functions and constants, which other versions of the same object
/// have as well: one of them in common makes no copy.
pub(crate) fn section_prints(file: &File<'_>) -> Result<Vec<SectionPrint>, Error> {
    section_prints_of(file, |_| true)
}

/// Prints of the sections of certain sizes: most need not be hashed.
pub(crate) fn section_prints_of(file: &File<'_>, wanted: impl Fn(u64) -> bool) -> Result<Vec<SectionPrint>, Error> {
    if !is_linked(file) {
        return Ok(Vec::new());
    }
    // Names may be parts of each other, but not each the whole table of names.
    let mut room = sections_apart(file)?.saturating_mul(4);
    let mut prints = Vec::new();
    for section in file.sections() {
        let data = section.data()?;
        if !wanted(data.len() as u64) {
            continue;
        }
        let name = section_name(file, &section)?;
        room = room.checked_sub(name.len() as u64).ok_or(Error::Crowded("names"))?;
        if !name.is_empty() && !data.is_empty() {
            prints.push(SectionPrint { name, size: data.len() as u64, hash: hash64(Kind::Section, data) });
        }
    }
    Ok(prints)
}

/// Where the sections lie that have the bytes of one of these prints.
pub(crate) fn stretches_with(file: &File<'_>, prints: &[SectionPrint]) -> Vec<Range<usize>> {
    let is_known = |data: &[u8]| {
        let sized: Vec<_> = prints.iter().filter(|print| print.size == data.len() as u64).collect();
        !sized.is_empty() && sized.iter().any(|print| print.hash == hash64(Kind::Section, data))
    };
    let known = file.sections().filter(|section| section.data().is_ok_and(is_known));
    let ranges = known.filter_map(|section| section.file_range());
    ranges.map(|(start, size)| start as usize..(start + size) as usize).collect()
}

fn section_name(file: &File<'_>, section: &object::Section<'_, '_>) -> Result<String, Error> {
    match section.name_bytes() {
        Ok(name) => Ok(String::from_utf8_lossy(name).into_owned()),
        // `strip` takes the string table of a PE file, and the long names of sections with it.
        Err(_) if matches!(file, File::Pe32(_) | File::Pe64(_)) => Ok(format!("/{}", section.index())),
        Err(error) => Err(error.into()),
    }
}

/// Whether no section has a name, so that nothing tells what is where.
pub(crate) fn has_no_sections(file: &File<'_>) -> bool {
    file.sections().all(|section| section_name(file, &section).map_or(true, |name| name.is_empty()))
}

/// The data that a program or an object is made with: constants and variables, but neither code nor tables
/// for linkers and debuggers, nor device code.
pub(crate) fn data<'data>(file: &File<'data>) -> Result<Vec<&'data [u8]>, Error> {
    const NAMES: [&str; 4] = [".rodata", ".data", ".rdata", ".lrodata"];
    sections_apart(file)?;
    let mut stretches = Vec::new();
    for section in file.sections() {
        let name = section_name(file, &section)?;
        if NAMES.iter().any(|start| name.starts_with(start)) {
            stretches.push(section.data()?);
        }
    }
    Ok(stretches)
}

/// The print of the company and the product that a PE file names, without the product's version.
pub(crate) fn product(bytes: &[u8]) -> Option<(u64, pe::VersionInfo)> {
    if !pe::is_pe(bytes) {
        return None;
    }
    let info = pe::version_info(bytes)?;
    let unversioned: String = info.product.as_ref()?.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
    let key = format!("{}\0{}", info.company.as_ref()?.trim(), unversioned.trim());
    Some((hash64(Kind::Product, key.as_bytes()), info))
}

/// Where the last section ends, if all are in the file, and apart but for a few that share bytes.
fn sections_apart(file: &File<'_>) -> Result<u64, Error> {
    let ranges = file.sections().map(|section| Ok(section.data().map(|_| section.file_range().unwrap_or_default())?));
    apart(ranges)
}

fn apart(ranges: impl Iterator<Item = Result<(u64, u64), Error>>) -> Result<u64, Error> {
    let (mut end, mut total) = (0u64, 0u64);
    for range in ranges {
        let (start, size) = range?;
        end = end.max(start.saturating_add(size));
        total = total.saturating_add(size);
    }
    if total > end.saturating_mul(2) { Err(Error::Overlapping) } else { Ok(end) }
}

/// One function of a relocatable object: its bytes and the stretches that relocations patch.
pub(crate) struct Function<'data> {
    pub(crate) bytes: &'data [u8],
    pub(crate) masked: Vec<(u32, u32)>,
}

/// Where a function begins in its section, and how long it is; 0 where its symbol does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Start {
    pub(crate) section: usize,
    pub(crate) at: u64,
    pub(crate) size: u64,
}

/// The functions of a relocatable object; a PE file has none here. Weak symbols and sections of which the linker takes any
/// are left out: templates and inline functions that every compiler makes are no vendor's.
pub(crate) fn functions<'data>(file: &File<'data>) -> Result<Vec<Function<'data>>, Error> {
    let mut functions = Vec::new();
    // A PE file is linked. Its code lies at addresses, which the object library adds up unchecked. Of objects for macOS
    // it is not known what their relocations patch.
    if matches!(file, File::Pe32(_) | File::Pe64(_) | File::MachO32(_) | File::MachO64(_)) {
        return Ok(functions);
    }
    sections_apart(file)?;
    let mut starts = match file {
        File::Coff(coff) => coff::starts(coff),
        File::CoffBig(coff) => coff::starts(coff),
        _ => elf::starts(file),
    };
    starts.sort_unstable();
    starts.dedup();
    let calls = nvcc::Calls::of(file);
    for starts in starts.chunk_by(|a, b| a.section == b.section) {
        let section = file.section_by_index(SectionIndex(starts[0].section))?;
        let data = section.data()?;
        let patches = match file {
            File::Coff(coff) => coff::patches(coff, section.index(), data.len())?,
            File::CoffBig(coff) => coff::patches(coff, section.index(), data.len())?,
            _ => elf::patches(file, &section, data.len())?,
        };
        let aarch64 = file.architecture() == object::Architecture::Aarch64;
        let made_by_nvcc = calls.within(&section);
        functions_of_section(data, starts, (&patches, &made_by_nvcc), aarch64, &mut functions)?;
    }
    Ok(functions)
}

/// More relocations than this in a section of so many bytes are no compiler's doing.
pub(crate) fn relocation_limit(section: usize) -> usize {
    section.saturating_mul(4).saturating_add(16)
}

/// Cuts one section into its functions. `starts` and `patches` are sorted.
fn functions_of_section<'data>(
    data: &'data [u8],
    starts: &[Start],
    (patches, made_by_nvcc): (&[(u64, u64)], &nvcc::Places),
    aarch64: bool,
    functions: &mut Vec<Function<'data>>,
) -> Result<(), Error> {
    // Functions may share bytes, as those with several entries do, but not without end.
    let mut room = (data.len() as u64).saturating_mul(16);
    for (number, start) in starts.iter().enumerate() {
        let end = match start.size {
            0 => {
                let next = starts[number..].iter().find(|other| other.at > start.at);
                next.map_or(data.len() as u64, |next| next.at)
            }
            size => start.at.saturating_add(size),
        };
        let (Ok(from), Ok(to)) = (usize::try_from(start.at), usize::try_from(end)) else { continue };
        let Some(mut bytes) = data.get(from..to) else { continue };
        room = room.checked_sub(bytes.len() as u64).ok_or(Error::Crowded("functions"))?;
        if u32::try_from(bytes.len()).is_err() || made_by_nvcc.made(start.at, end) {
            continue;
        }
        let masked = masks_within(patches, start.at, end);
        if start.size == 0 {
            let patched = masked.last().map_or(0, |(at, length)| (at + length) as usize);
            bytes = &bytes[..patched + without_padding(&bytes[patched..], aarch64).len()];
        }
        if !bytes.is_empty() {
            functions.push(Function { bytes, masked });
        }
    }
    Ok(())
}

/// The bytes without what assemblers fill up with: zeros, breakpoints and instructions that do nothing.
fn without_padding(mut bytes: &[u8], aarch64: bool) -> &[u8] {
    const X86: [&[u8]; 8] = [
        b"\x0f\x1f\x84\0\0\0\0\0",
        b"\x0f\x1f\x80\0\0\0\0",
        b"\x0f\x1f\x44\0\0",
        b"\x0f\x1f\x40\0",
        b"\x0f\x1f\0",
        b"\xcc",
        b"\x90",
        b"\0",
    ];
    const AARCH64: [&[u8]; 2] = [b"\x1f\x20\x03\xd5", b"\0\0\0\0"];
    let fillers: &[&[u8]] = if aarch64 { &AARCH64 } else { &X86 };
    while let Some((rest, filler)) = fillers.iter().find_map(|f| bytes.strip_suffix(*f).map(|rest| (rest, f))) {
        bytes = rest;
        // Longer ones are the same with prefixes before them.
        while !aarch64
            && (filler.len() > 1 || filler == b"\x90")
            && let [rest @ .., 0x66 | 0x2e] = bytes
        {
            bytes = rest;
        }
    }
    bytes
}

/// The parts of `patches` inside `start..end`, relative to `start`, sorted and merged.
fn masks_within(patches: &[(u64, u64)], start: u64, end: u64) -> Vec<(u32, u32)> {
    // A stretch is at most 16 bytes long, so that none that begins earlier reaches in.
    let first = patches.partition_point(|(from, _)| from.saturating_add(16) < start);
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
    /// `NEEDED` entries, or the DLLs that a PE file imports.
    pub(crate) needed: Vec<String>,
    /// `RPATH` and `RUNPATH` entries, one by one.
    pub(crate) runpath: Vec<String>,
    /// `SONAME`, or the name that the export directory of a PE file has.
    pub(crate) soname: Option<String>,
    /// The dynamic linker itself: `PT_INTERP`.
    pub(crate) interpreter: Option<String>,
}

/// Reads what the dynamic linker is told.
pub(crate) fn links(file: &File<'_>) -> Result<Links, Error> {
    match file {
        File::Pe32(pe) => pe::links(pe),
        File::Pe64(pe) => pe::links(pe),
        File::Elf32(_) | File::Elf64(_) => elf::dynamic_links(file),
        _ => Ok(Links::default()),
    }
}

/// Whether a section of a COFF object holds code.
pub(crate) fn holds_code(flags: SectionFlags) -> bool {
    use object::pe::{IMAGE_SCN_CNT_CODE, IMAGE_SCN_MEM_EXECUTE};
    match flags {
        SectionFlags::Elf { sh_flags } => sh_flags & u64::from(object::elf::SHF_EXECINSTR) != 0,
        SectionFlags::Coff { characteristics } => characteristics & (IMAGE_SCN_CNT_CODE | IMAGE_SCN_MEM_EXECUTE) != 0,
        _ => false,
    }
}

/// Reads everything there is to read of a binary, whatever the bytes are.
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = pe::version_info(bytes);
    for parent in [None, Some(container::Kind::Ar)] {
        if let Some(Ok(file)) = parse(bytes, parent) {
            let _ = (section_prints(&file), functions(&file), links(&file), loader::check(&file, bytes));
            let _ = (loader::Layout::of(&file, bytes.len()), file.exports());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{AuditFile, Change, Contents, Corpus, Finding, Fingerprints, Limits, Material, Source, audit, learn};

    /// Made from sources; `tests/data/README.md` says how.
    const DATA: [(&str, &[u8]); 8] = [
        ("vendor-x64.lib", include_bytes!("../tests/data/vendor-x64.lib")),
        ("vendor-arm64.lib", include_bytes!("../tests/data/vendor-arm64.lib")),
        ("vendor-big.lib", include_bytes!("../tests/data/vendor-big.lib")),
        ("import-arm64.lib", include_bytes!("../tests/data/import-arm64.lib")),
        ("vendor-aarch64.a", include_bytes!("../tests/data/vendor-aarch64.a")),
        ("linked-x64.dll", include_bytes!("../tests/data/linked-x64.dll")),
        ("linked-arm64.dll", include_bytes!("../tests/data/linked-arm64.dll")),
        ("linked-aarch64.so", include_bytes!("../tests/data/linked-aarch64.so")),
    ];

    fn data(name: &str) -> &'static [u8] {
        DATA.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn members(archive: &[u8]) -> Vec<&[u8]> {
        let parsed = object::read::archive::ArchiveFile::parse(archive).unwrap();
        parsed.members().map(|member| member.unwrap().data(archive).unwrap()).collect()
    }

    fn lengths(object: &[u8]) -> Vec<usize> {
        let file = parse(object, Some(container::Kind::Ar)).unwrap().unwrap();
        functions(&file).unwrap().iter().map(|function| function.bytes.len()).collect()
    }

    fn learned(name: &str) -> Corpus {
        let file = AuditFile { path: name.to_owned(), contents: Contents::Bytes(data(name)) };
        let vendor = Material::of_package("vendor-1", vec![]);
        let source = Source::new("sha256:a", "n", vendor);
        let mut prints = Fingerprints::default();
        let learned = learn(&mut prints, &source, &[file], Limits::default());
        assert!(learned.gaps.is_empty(), "{:?}", learned.gaps);
        prints.to_corpus()
    }

    fn found(corpus: &Corpus, bytes: &[u8]) -> Vec<Finding> {
        let file = AuditFile { path: "x".to_owned(), contents: Contents::Bytes(bytes) };
        audit(&[file], corpus, Limits::default()).findings
    }

    #[test]
    fn objects_have_the_functions_of_their_source() {
        for (name, count) in [("vendor-x64.lib", 3), ("vendor-arm64.lib", 3), ("vendor-big.lib", 4)] {
            let found = lengths(members(data(name))[0]);
            assert_eq!(found.len(), count, "{name}: {found:?}");
            assert!(found.iter().all(|length| *length > 90), "{name}: {found:?}");
        }
        // The template is left out as weak symbols are, unless it may not be defined twice.
        let mut object = members(data("vendor-x64.lib"))[0].to_vec();
        let symbols = u32::from_le_bytes(*object[8..].first_chunk().unwrap()) as usize;
        let entry = (symbols..).step_by(18).find(|at| object[at + 14] == pe_selection::ANY && object[at - 2] == 3);
        object[entry.unwrap() + 14] = pe_selection::NODUPLICATES;
        assert_eq!(lengths(&object).len(), 4);
    }

    mod pe_selection {
        pub(super) use object::pe::{IMAGE_COMDAT_SELECT_ANY as ANY, IMAGE_COMDAT_SELECT_NODUPLICATES as NODUPLICATES};
    }

    #[test]
    fn members_that_import_are_no_binaries() {
        let members = members(data("import-arm64.lib"));
        assert!(members.iter().any(|member| recognize(member, Some(container::Kind::Ar)).is_none()));
        assert_eq!(lengths(members[0]), [0usize; 0]);
        // Outside an archive nothing is taken for a COFF object.
        assert_eq!(recognize(self::members(data("vendor-x64.lib"))[0], None), None);
    }

    #[test]
    fn static_code_is_found_whatever_the_format() {
        for (library, linked, functions) in [
            ("vendor-x64.lib", "linked-x64.dll", 3),
            ("vendor-arm64.lib", "linked-arm64.dll", 3),
            ("vendor-aarch64.a", "linked-aarch64.so", 3),
        ] {
            let corpus = learned(library);
            let findings = found(&corpus, data(linked));
            let hits = findings.iter().find_map(|finding| match finding {
                Finding::StaticCode { members, .. } => Some((members[0].functions_found, members[0].functions_known)),
                _ => None,
            });
            assert_eq!(hits, Some((functions, functions)), "{linked}: {findings:?}");
        }
    }

    #[test]
    fn addresses_of_linked_code_count_from_the_image_base() {
        let file = parse(data("linked-x64.dll"), None).unwrap().unwrap();
        let layout = loader::Layout::of(&file, data("linked-x64.dll").len());
        let addresses: Vec<u64> = layout.code.iter().map(|(from, _)| layout.address(*from)).collect();
        assert_eq!(addresses, [0x1_8000_1000]);
    }

    /// What signing does: bytes behind the file, their place in the header, and a checksum.
    #[test]
    fn a_signed_copy_is_a_copy() {
        let original = data("linked-x64.dll");
        let header = u32::from_le_bytes(*original[0x3c..].first_chunk().unwrap()) as usize + 24;
        let mut signed = [original, &[7; 512]].concat();
        signed[header + 64..header + 68].copy_from_slice(&[1, 2, 3, 4]);
        signed[header + 144..header + 148].copy_from_slice(&(original.len() as u32).to_le_bytes());
        signed[header + 148..header + 152].copy_from_slice(&512u32.to_le_bytes());
        let findings = found(&learned("linked-x64.dll"), &signed);
        let copy = findings.iter().find_map(|finding| match finding {
            Finding::ModifiedCopy { same, changed, changes, .. } => Some((same, changed, changes)),
            _ => None,
        });
        let Some((same, changed, changes)) = copy else { panic!("{findings:?}") };
        assert_eq!((same.as_slice(), changed.as_slice()), ([".text".to_owned()].as_slice(), [].as_slice()));
        assert_eq!(changes.as_slice(), [Change::Padded { bytes: 512 }]);
    }

    #[test]
    fn foreign_bytes_do_not_panic() {
        for (name, bytes) in DATA {
            let wholes = if bytes.starts_with(b"!<arch>") { members(bytes) } else { vec![bytes] };
            for whole in wholes {
                for end in (0..whole.len()).step_by(7) {
                    fuzz(&whole[..end]);
                }
                let mut changed = whole.to_vec();
                for at in 0..whole.len() {
                    for byte in [whole[at] ^ 1, whole[at] ^ 0x80, 0xff, 0] {
                        changed[at] = byte;
                        fuzz(&changed);
                    }
                    changed[at] = whole[at];
                }
                assert_eq!(changed, whole, "{name}");
            }
        }
    }

    /// A table of sections that each are the whole file would have it read thousands of times.
    #[test]
    fn a_file_is_not_read_many_times_over() {
        const SECTIONS: u16 = 4000;
        let mut elf = data("linked-aarch64.so")[..64].to_vec();
        elf[40..48].copy_from_slice(&64u64.to_le_bytes());
        elf[56..58].fill(0);
        elf[60..62].copy_from_slice(&SECTIONS.to_le_bytes());
        elf[62..64].copy_from_slice(&1u16.to_le_bytes());
        let mut section = [0; 64];
        section[4] = 1;
        section[8] = 6;
        section[32..40].copy_from_slice(&(64 * u64::from(SECTIONS)).to_le_bytes());
        for _ in 0..SECTIONS {
            elf.extend_from_slice(&section);
        }
        // The table of their names.
        elf[64 + 64 + 4] = 3;
        let file = parse(&elf, None).unwrap().unwrap();
        assert!(matches!(section_prints(&file), Err(Error::Overlapping)));
        assert!(matches!(super::data(&file), Err(Error::Overlapping)));
        assert!(matches!(functions(&file), Err(Error::Overlapping)));
    }

    #[test]
    fn masks_are_cut_to_the_function_and_merged() {
        let patches = [(0, 4), (8, 12), (10, 16), (30, 34)];
        assert_eq!(masks_within(&patches, 2, 32), [(0, 2), (6, 8), (28, 2)]);
        assert_eq!(masks_within(&patches, 16, 30), []);
    }

    #[test]
    fn padding_is_no_part_of_a_function() {
        let check = |bytes: &[u8], aarch64, length: usize| {
            assert_eq!(without_padding(bytes, aarch64).len(), length, "{bytes:x?}");
        };
        check(b"\xc3\xcc\xcc\xcc", false, 1);
        check(b"\xc3\x66\x66\x2e\x0f\x1f\x84\0\0\0\0\0\x66\x90\x90", false, 1);
        check(b"\xc3\x0f\x1f\x40\0\0", false, 1);
        check(b"\x31\xc0\xc3", false, 3);
        check(b"\xc0\x03\x5f\xd6\x1f\x20\x03\xd5\0\0\0\0", true, 4);
        check(b"", false, 0);
    }

    /// Functions without a size end where the next one begins, and never inside a relocation.
    #[test]
    fn functions_end_where_the_next_one_begins() {
        let data = b"\x55\xe8\0\0\0\0\xcc\xcc\x53\xe8\0\0\0\0\xcc\xcc";
        let start = |at, size| Start { section: 1, at, size };
        let cut = |starts: &[Start]| {
            let mut found = Vec::new();
            functions_of_section(data, starts, (&[(2, 6), (10, 14)], &nvcc::Places::default()), false, &mut found)
                .map(|()| found.iter().map(|f| (f.bytes.len(), f.masked.clone())).collect::<Vec<_>>())
        };
        assert_eq!(cut(&[start(0, 0), start(8, 0)]).unwrap(), [(6, vec![(2, 4)]), (6, vec![(2, 4)])]);
        assert_eq!(cut(&[start(0, 8), start(8, 99), start(u64::MAX, 1)]).unwrap(), [(8, vec![(2, 4)])]);
        assert!(matches!(cut(&vec![start(0, 16); 17]), Err(Error::Crowded(_))));
    }

    #[test]
    fn sections_that_lie_over_each_other_are_an_error() {
        assert!(apart([(0, 10), (5, 10), (100, 0)].into_iter().map(Ok)).is_ok());
        assert!(matches!(apart(vec![(0, 1 << 20); 1 << 10].into_iter().map(Ok)), Err(Error::Overlapping)));
        assert!(apart([(u64::MAX, u64::MAX)].into_iter().map(Ok)).is_ok());
    }
}
