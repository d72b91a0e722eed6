//! Names that only vendors' libraries and tools have.
//!
//! A name is no proof, and so it is a suspicion at most, and only of a file that nothing else explains. Names that free
//! software uses as well are not in the table, or only together with words that the vendor's own file has.

use super::Records;
use crate::binary::{Links, is_linked};
use crate::finding::{DriverSign, Finding, Place, Sign};
use memchr::memmem;
use object::File;
use std::collections::BTreeSet;

/// What Wine writes where a program for DOS begins, in the libraries that it has in place of Microsoft's.
const WINE: [&[u8]; 2] = [b"Wine builtin DLL", b"Wine placeholder DLL"];
const WINE_AT: usize = 0x40;

/// What LLVM's bitcode begins with.
const BITCODE: &[u8] = b"BC\xc0\xde";

/// Longer names are none of a device's library.
const LONGEST_NAME: usize = 40;

/// Names that a finding shows.
const EXAMPLES: usize = 8;

/// The form in which a name is looked up: without folders and versions, in small letters. A library keeps its ending;
/// `libcupti.so` for `libcupti.so.12` and `libcupti-1a2b3c4d.so.12`, `cupti64.dll` for `cupti64_2025.2.1.dll`.
pub(super) fn key(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    if let Some((stem, version)) = name.split_once(".so")
        && version.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())
    {
        // Tools that repair wheels put a hash behind the name.
        let hashed = stem
            .rsplit_once(['-', '.'])
            .filter(|(_, hash)| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        return format!("{}.so", hashed.map_or(stem, |(stem, _)| stem));
    }
    for ending in [".dll", ".dylib"] {
        let Some(mut stem) = name.strip_suffix(ending) else { continue };
        while let Some((shorter, number)) = stem.rsplit_once(['.', '_', '-'])
            && !shorter.is_empty()
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            stem = shorter;
        }
        return format!("{stem}{ending}");
    }
    name
}

/// The suspicion that a file is a vendor's, for its name or for the one under which others link it.
pub(crate) fn suspicion(
    records: &Records,
    place: &Place,
    output: &str,
    (bytes, binary): (&[u8], Option<&File<'_>>),
    links: &Links,
) -> Option<Finding> {
    let is_archive_or_bitcode = bytes.starts_with(b"!<arch>\n") || bytes.starts_with(BITCODE);
    if !is_archive_or_bitcode && !binary.is_some_and(is_linked) {
        return None;
    }
    let name = Some(place.innermost()).filter(|name| !name.is_empty()).unwrap_or(output);
    let name = name.rsplit('/').next().unwrap_or_default();
    let known = |name: &str, by: DriverSign| {
        let (like, said) = records.named(&key(name)).or_else(|| records.named(&shared(name)?))?;
        (said.is_empty() || says(bytes, said) && !is_wines(bytes)).then(|| {
            let sign = Sign::Name { name: name.to_owned(), by };
            Finding::Suspected { place: place.clone(), like, signs: vec![sign] }
        })
    };
    let soname = || known(links.soname.as_deref()?, DriverSign::Soname);
    known(name, DriverSign::FileName).or_else(soname).or_else(|| device_library(records, place, bytes))
}

/// How functions of NVIDIA's mathematical library for devices begin, which is bitcode, and how many of its 300 names say
/// that a file is that library: programs that call some of them have fewer.
const DEVICE_FUNCTION: &[u8] = b"__nv_";
const DEVICE_FUNCTIONS: usize = 150;
const DEVICE_LIBRARY: &str = "libdevice.10.bc";

/// The suspicion that bitcode is that library, whatever it is called and whatever was left out of it.
fn device_library(records: &Records, place: &Place, bytes: &[u8]) -> Option<Finding> {
    if !bytes.starts_with(BITCODE) {
        return None;
    }
    let is_name = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    let name = |at: usize| {
        let rest = &bytes[at + DEVICE_FUNCTION.len()..];
        // Names stand one behind the other, with nothing between.
        let end = rest.iter().take(LONGEST_NAME).take_while(|byte| is_name(byte)).count();
        let end = memmem::find(&rest[..end], DEVICE_FUNCTION).unwrap_or(end);
        &rest[..end]
    };
    let names: BTreeSet<&[u8]> = memmem::find_iter(bytes, DEVICE_FUNCTION).map(name).collect();
    if names.len() < DEVICE_FUNCTIONS {
        return None;
    }
    let (like, _) = records.named(DEVICE_LIBRARY)?;
    let example = |name: &&[u8]| format!("__nv_{}", String::from_utf8_lossy(name));
    let examples = names.iter().take(EXAMPLES).map(example).collect();
    let sign = Sign::Interface { found: names.len() as u32, examples };
    Some(Finding::Suspected { place: place.clone(), like, signs: vec![sign] })
}

/// The shared library of the same code as a static one: vendors publish some of these outside of packages.
fn shared(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".a").filter(|stem| stem.starts_with("lib"))?;
    Some(format!("{}.so", stem.strip_suffix("_static").unwrap_or(stem).to_ascii_lowercase()))
}

/// Whether a text is in a file, in one byte a letter or in two, as version resources have it.
fn says(bytes: &[u8], text: &str) -> bool {
    let wide: Vec<u8> = text.bytes().flat_map(|byte| [byte, 0]).collect();
    [text.as_bytes(), &wide].iter().any(|text| memmem::find(bytes, text).is_some())
}

pub(crate) fn is_wines(bytes: &[u8]) -> bool {
    WINE.iter().any(|mark| bytes.get(WINE_AT..).is_some_and(|rest| rest.starts_with(mark)))
}
