//! What is read of PE files: imports, the name for others, and the version resource.
//!
//! A signature is no evidence and is not looked at: it lies behind all sections, and adding or
//! taking one leaves them as they are.

use crate::binary::{Error, Links};
use object::pe;
use object::read::coff::SectionTable;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, PeFile, ResourceDirectory, ResourceDirectoryEntryData};
use object::{FileKind, LittleEndian as LE};
use serde::{Deserialize, Serialize};

/// Whether the bytes begin as a PE file does. Programs for DOS begin with the same two letters and
/// have no PE header.
pub(crate) fn is_pe(bytes: &[u8]) -> bool {
    let header = || {
        let at = bytes.get(0x3c..0x40)?.first_chunk::<4>()?;
        bytes.get(u32::from_le_bytes(*at) as usize..)
    };
    bytes.starts_with(b"MZ") && header().is_some_and(|header| header.starts_with(b"PE\0\0"))
}

/// Programs import some dozens of libraries; a table that goes on beyond this has no end.
const MOST_IMPORTS: usize = 1024;

/// Windows allows names of files 260 characters.
const LONGEST_NAME: usize = 512;

/// Reads what a PE file imports, at once and when first used, and the name under which others import it.
pub(crate) fn links<Pe: ImageNtHeaders>(file: &PeFile<'_, Pe>) -> Result<Links, Error> {
    let (data, sections, directories) = (file.data(), file.section_table(), file.data_directories());
    let mut addresses: Vec<u32> = Vec::new();
    // Where `objcopy --only-keep-debug` took a section's bytes, its table of imports is zeros: an empty one.
    let empty = |index| {
        let at = file.data_directory(index).map(|directory| directory.virtual_address.get(LE));
        at.is_some_and(|at| sections.pe_data_at(data, at).is_none() && sections.section_containing(at).is_some())
    };
    if !empty(pe::IMAGE_DIRECTORY_ENTRY_IMPORT)
        && let Some(table) = directories.import_table(data, &sections)?
    {
        let mut descriptors = table.descriptors()?;
        while let Some(descriptor) = descriptors.next()? {
            addresses.push(descriptor.name.get(LE));
            if addresses.len() > MOST_IMPORTS {
                return Err(Error::Imports);
            }
        }
    }
    if !empty(pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT)
        && let Some(table) = directories.delay_load_import_table(data, &sections)?
    {
        let base = file.nt_headers().optional_header().image_base();
        let mut descriptors = table.descriptors()?;
        while let Some(descriptor) = descriptors.next()? {
            let address = descriptor.dll_name_rva.get(LE);
            // Compilers before 2003 wrote addresses that count from 0 and not from the image's base.
            let relative = descriptor.attributes.get(LE) & 1 != 0;
            addresses.push(if relative { address } else { address.wrapping_sub(base as u32) });
            if addresses.len() > MOST_IMPORTS {
                return Err(Error::Imports);
            }
        }
    }
    let mut needed: Vec<String> = Vec::new();
    for address in addresses {
        let name = string_at(data, &sections, address).ok_or(Error::ImportName)?;
        if !needed.contains(&name) {
            needed.push(name);
        }
    }
    let soname = directories
        .export_directory(data, &sections)
        .ok()
        .flatten()
        .and_then(|exports| string_at(data, &sections, exports.name.get(LE)))
        .filter(|name| !name.is_empty());
    Ok(Links { needed, soname, ..Links::default() })
}

/// The string at an address, wherever in the file's sections that is.
fn string_at(data: &[u8], sections: &SectionTable<'_>, address: u32) -> Option<String> {
    let bytes = sections.pe_data_at(data, address)?;
    let length = bytes.iter().take(LONGEST_NAME).position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// What the version resource of a PE file says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct VersionInfo {
    /// `CompanyName`.
    pub(crate) company: Option<String>,
    /// `ProductName`.
    pub(crate) product: Option<String>,
    /// `FileVersion`.
    pub(crate) file_version: Option<String>,
    /// `OriginalFilename`.
    pub(crate) original_name: Option<String>,
    /// `LegalCopyright`.
    pub(crate) copyright: Option<String>,
}

/// Reads the version resource; `None` where there is none that can be read.
pub(crate) fn version_info(bytes: &[u8]) -> Option<VersionInfo> {
    let info = match FileKind::parse(bytes).ok()? {
        FileKind::Pe32 => VersionInfo::of(version_resource(&object::read::pe::PeFile32::parse(bytes).ok()?)?),
        FileKind::Pe64 => VersionInfo::of(version_resource(&object::read::pe::PeFile64::parse(bytes).ok()?)?),
        _ => return None,
    };
    (info != VersionInfo::default()).then_some(info)
}

/// Whether it is an assembly for .NET, of which the code is no machine's.
pub(crate) fn is_managed(bytes: &[u8]) -> bool {
    fn has_header<Pe: ImageNtHeaders>(file: &PeFile<'_, Pe>) -> bool {
        file.data_directory(pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR).is_some_and(|header| header.size.get(LE) > 0)
    }
    match FileKind::parse(bytes) {
        Ok(FileKind::Pe32) => object::read::pe::PeFile32::parse(bytes).is_ok_and(|file| has_header(&file)),
        Ok(FileKind::Pe64) => object::read::pe::PeFile64::parse(bytes).is_ok_and(|file| has_header(&file)),
        _ => false,
    }
}

/// American English, in which makers write for everybody.
const ENGLISH: u16 = 0x409;

/// The bytes of the first version resource, in English where there are several languages.
fn version_resource<'data, Pe: ImageNtHeaders>(file: &PeFile<'data, Pe>) -> Option<&'data [u8]> {
    let (data, sections) = (file.data(), file.section_table());
    let at = file.data_directory(pe::IMAGE_DIRECTORY_ENTRY_RESOURCE)?.virtual_address.get(LE);
    let resources = ResourceDirectory::new(sections.pe_data_at(data, at)?);
    // Three levels: type, name and language. Deeper ones would be nobody's, and loops are not followed.
    let types = resources.root().ok()?;
    let versions = types.entries.iter().find(|entry| entry.name_or_id().id() == Some(pe::RT_VERSION))?;
    let names = versions.data(resources).ok()?.table()?;
    let languages = names.entries.first()?.data(resources).ok()?;
    let leaf = match languages {
        ResourceDirectoryEntryData::Table(table) => {
            let english = table.entries.iter().find(|entry| entry.name_or_id().id() == Some(ENGLISH));
            english.or(table.entries.first())?.data(resources).ok()?.data()?
        }
        ResourceDirectoryEntryData::Data(leaf) => leaf,
    };
    let bytes = sections.pe_data_at(data, leaf.offset_to_data.get(LE))?;
    let size = (leaf.size.get(LE) as usize).min(LARGEST_RESOURCE);
    Some(&bytes[..size.min(bytes.len())])
}

/// The block of a version resource counts its bytes with 16 bits.
const LARGEST_RESOURCE: usize = 1 << 16;

/// Longer values are cut.
const LONGEST_VALUE: usize = 256;

impl VersionInfo {
    /// Reads the blocks of `VS_VERSIONINFO`: `StringFileInfo`, in it tables by language, in them strings.
    fn of(resource: &[u8]) -> Self {
        let mut info = Self::default();
        let Some(root) = Blocks(resource).next() else { return info };
        let strings = Blocks(root.behind_value()).filter(|block| block.is("StringFileInfo"));
        for string in strings.flat_map(|block| Blocks(block.behind_key)).flat_map(|table| Blocks(table.behind_key)) {
            let fields = [
                ("CompanyName", &mut info.company),
                ("ProductName", &mut info.product),
                ("FileVersion", &mut info.file_version),
                ("OriginalFilename", &mut info.original_name),
                ("LegalCopyright", &mut info.copyright),
            ];
            if let Some((_, field)) = fields.into_iter().find(|(key, field)| field.is_none() && string.is(key)) {
                *field = string.text();
            }
        }
        info
    }
}

/// One block of a version resource.
struct Block<'a> {
    /// UTF-16, as all of it.
    key: &'a [u8],
    value_length: usize,
    /// Its value, and the blocks inside it.
    behind_key: &'a [u8],
}

impl<'a> Block<'a> {
    fn is(&self, key: &str) -> bool {
        units(self.key).eq(key.encode_utf16())
    }

    /// The blocks behind a value that is counted in bytes.
    fn behind_value(&self) -> &'a [u8] {
        self.behind_key.get(self.value_length.next_multiple_of(4)..).unwrap_or_default()
    }

    /// The value as text, without the spaces around it. Its length says nothing: some compilers count
    /// bytes and some count characters.
    fn text(&self) -> Option<String> {
        let text = units(self.behind_key).take_while(|unit| *unit != 0).take(LONGEST_VALUE);
        let text: String = char::decode_utf16(text).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

fn units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
}

/// Blocks that stand one behind the other, each at a multiple of four.
struct Blocks<'a>(&'a [u8]);

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        const HEADER: usize = 6;
        let field = |at: usize| Some(usize::from(u16::from_le_bytes(*self.0.get(at..)?.first_chunk::<2>()?)));
        let (length, value_length) = (field(0)?, field(2)?);
        let block = self.0.get(..length.max(HEADER).min(self.0.len()))?;
        let key = &block[HEADER.min(block.len())..];
        let key_length = 2 * units(key).position(|unit| unit == 0)?;
        let behind_key = block.get((HEADER + key_length + 2).next_multiple_of(4)..).unwrap_or_default();
        self.0 = self.0.get(block.len().next_multiple_of(4)..).unwrap_or_default();
        Some(Block { key: &key[..key_length], value_length, behind_key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DLL: &[u8] = include_bytes!("../tests/data/linked-x64.dll");
    const DLL_ARM: &[u8] = include_bytes!("../tests/data/linked-arm64.dll");

    #[test]
    fn programs_for_dos_are_no_pe_files() {
        assert!(is_pe(DLL) && is_pe(DLL_ARM));
        let mut dos = DLL[..0x60].to_vec();
        assert!(!is_pe(&dos), "cut before its PE header");
        dos[0x3c..0x40].fill(0xff);
        assert!(!is_pe(&dos));
        assert!(!is_pe(b"MZ") && !is_pe(b"") && !is_pe(b"\x7fELF"));
    }

    #[test]
    fn imports_are_read_at_once_and_late() {
        for bytes in [DLL, DLL_ARM] {
            let file = object::read::pe::PeFile64::parse(bytes).unwrap();
            let links = links(&file).unwrap();
            assert_eq!(links.needed, ["at_once.dll", "later.dll"]);
            assert!(links.soname.unwrap().starts_with("linked-"));
            assert!(links.runpath.is_empty());
        }
    }

    #[test]
    fn the_version_resource_names_company_and_product() {
        let some = |text: &str| Some(text.to_owned());
        let expected = VersionInfo {
            company: some("Example Corporation"),
            product: some("Example Runtime 12.9.79"),
            file_version: some("12.9.79"),
            original_name: some("vendor64_12.dll"),
            copyright: None,
        };
        assert_eq!(version_info(DLL), Some(expected));
        assert_eq!(version_info(DLL_ARM), None);
        assert_eq!(version_info(b"MZ"), None);
    }

    #[test]
    fn blocks_end_whatever_their_lengths_say() {
        for length in [0, 1, 6, 7, 0xffff_u16] {
            let mut bytes = vec![0x41; 100];
            bytes[..2].copy_from_slice(&length.to_le_bytes());
            assert!(Blocks(&bytes).count() <= bytes.len());
            assert_eq!(VersionInfo::of(&bytes), VersionInfo::default());
        }
        assert_eq!(Blocks(&[0; 4096]).count(), 0, "a block without a length is the last");
    }
}
