//! The names of kernels in unpacked device code: machine code (cubin) and PTX text.

use super::Unreadable;
use memchr::{memchr, memmem};
use object::Endianness;
use object::read::elf::{FileHeader, SectionHeader};

/// The number of NVIDIA's GPUs in the header of an ELF file.
const EM_CUDA: [u8; 2] = [190, 0];

/// Size of the header of a 64-bit ELF file; compilers for GPUs let the names of the sections follow it.
const HEADER: usize = 0x40;

/// The first two names of that table.
const TABLE: &[u8] = b"\0.shstrtab\0";

/// The section with the code of each function is named after it.
const CODE: &[u8] = b".text.";

/// Most names of one entry; the largest of real ones has fewer than 5,000.
const KERNELS: usize = 1 << 20;

/// A PTX file begins with comments, `.version` and `.target`; so far they are looked for.
const PTX_BEGINNING: usize = 4096;

/// Whether the bytes begin as machine code for NVIDIA's GPUs does, as it also stands in `.cubin` files.
pub(crate) fn looks_like_cubin(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF") && bytes.get(18..20) == Some(&EM_CUDA)
}

/// How the beginning of machine code continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The table of section names ends here.
    Ends(usize),
    /// It goes on behind these bytes.
    GoesOn,
    /// It stands elsewhere.
    Elsewhere,
}

/// Says where the table of section names ends that follows the header of machine code.
///
/// Its length stands in the section headers, which are at the end of the file. But each name begins with a dot, and
/// behind the table comes one that does not, or the first name once more, or many zeros. A few zeros stand between
/// names as well, where the compiler has made one shorter.
pub(super) fn table(bytes: &[u8]) -> Table {
    const CLASS_64: u8 = 2;
    const MANY_ZEROS: usize = 32;
    let Some(found) = bytes.get(HEADER..) else { return Table::GoesOn };
    if bytes.get(4) != Some(&CLASS_64) || found.iter().zip(TABLE).any(|(found, expected)| found != expected) {
        return Table::Elsewhere;
    }
    let (mut at, mut zeros) = (HEADER + TABLE.len(), 0);
    loop {
        let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { return Table::GoesOn };
        if rest[0] == 0 {
            zeros += 1;
            if zeros == MANY_ZEROS {
                return Table::Ends(at);
            }
            at += 1;
            continue;
        }
        zeros = 0;
        let Some(length) = memchr(0, rest) else { return Table::GoesOn };
        if rest[0] != b'.' || rest[..length] == TABLE[1..TABLE.len() - 1] {
            return Table::Ends(at);
        }
        at += length + 1;
    }
}

/// The names of the kernels and functions of machine code, of which only the beginning need be there.
///
/// They are the names of the sections `.text.<name>`, in the order of the file.
pub(crate) fn cubin_kernels(bytes: &[u8]) -> Result<Vec<&[u8]>, Unreadable> {
    if let Table::Ends(end) = table(bytes) {
        let names = bytes[HEADER..end].split(|byte| *byte == 0);
        return few(names.filter_map(kernel).take(KERNELS + 1).collect());
    }
    match bytes.get(4) {
        Some(2) => section_names::<object::elf::FileHeader64<Endianness>>(bytes),
        _ => section_names::<object::elf::FileHeader32<Endianness>>(bytes),
    }
}

/// Reads the names through the section headers, wherever they stand.
fn section_names<E: FileHeader>(bytes: &[u8]) -> Result<Vec<&[u8]>, Unreadable> {
    let damaged = |_| Unreadable::Damaged;
    let header = E::parse(bytes).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.section_headers(endian, bytes).map_err(damaged)?;
    let index = header.shstrndx(endian, bytes).map_err(damaged)?;
    let table = sections.get(index as usize).ok_or(Unreadable::Damaged)?;
    let table = table.data(endian, bytes).map_err(damaged)?;
    let (mut kernels, mut most) = (Vec::new(), bytes.len());
    for section in sections {
        let name = table.get(section.sh_name(endian) as usize..).ok_or(Unreadable::Damaged)?;
        if !name.starts_with(CODE) {
            continue;
        }
        // Many headers could share a name as long as the file; reading each would take forever.
        let name = &name[..name.len().min(most)];
        let length = memchr(0, name).ok_or(Unreadable::Damaged)?;
        most -= length;
        kernels.extend(kernel(&name[..length]));
    }
    few(kernels)
}

fn few(kernels: Vec<&[u8]>) -> Result<Vec<&[u8]>, Unreadable> {
    if kernels.len() > KERNELS { Err(Unreadable::TooLarge) } else { Ok(kernels) }
}

fn kernel(section: &[u8]) -> Option<&[u8]> {
    section.strip_prefix(CODE).filter(|name| !name.is_empty())
}

/// Whether the bytes begin as a text in PTX, the assembly language of NVIDIA's GPUs, does.
pub(crate) fn looks_like_ptx(bytes: &[u8]) -> bool {
    let beginning = &bytes[..bytes.len().min(PTX_BEGINNING)];
    let directive = |line: &[u8], name: &[u8]| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(b" "));
    // Each directive stands at the beginning of a line, `.version` first.
    let mut lines = beginning.split(|byte| *byte == b'\n').skip_while(|line| !directive(line, b".version"));
    beginning.first().is_some_and(|first| b"/.\r\n\t ".contains(first))
        && lines.next().is_some()
        && lines.any(|line| directive(line, b".target"))
}

/// The names of the kernels of a text in PTX: what `.entry` declares, in the order of the text.
pub(crate) fn ptx_kernels(text: &[u8]) -> Result<Vec<&[u8]>, Unreadable> {
    const ENTRY: &[u8] = b".entry";
    let name_at = |at: usize| {
        if at.checked_sub(1).is_some_and(|before| !text[before].is_ascii_whitespace()) {
            return None;
        }
        let after = &text[at + ENTRY.len()..];
        let name = after.trim_ascii_start();
        let length = name.iter().position(|byte| !is_part_of_name(*byte)).unwrap_or(name.len());
        (length > 0 && name.len() < after.len()).then(|| &name[..length])
    };
    few(memmem::find_iter(text, ENTRY).filter_map(name_at).take(KERNELS + 1).collect())
}

fn is_part_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_$%".contains(&byte)
}

/// Cuts off the zeros that a text in a container ends with.
pub(super) fn without_zeros(text: &[u8]) -> &[u8] {
    &text[..memchr(0, text).unwrap_or(text.len())]
}
