//! Libraries that tests make, without a compiler.

/// Bytes without a pattern, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes());
    let mut bytes = vec![0; length];
    hash.finalize_xof().fill(&mut bytes);
    bytes
}

/// A section that is made: its name, whether it is code, and its bytes.
pub(crate) type Made<'a> = (&'a str, bool, Vec<u8>);

/// A shared library with these sections; `.symtab` has the names of its symbols in `.strtab`.
pub(crate) fn library(sections: &[Made<'_>]) -> Vec<u8> {
    let (mut body, mut names, mut table) = (vec![0; 64], vec![0], vec![0; 64]);
    let strings = sections.iter().position(|(name, ..)| *name == ".strtab").map_or(0, |at| at as u32 + 1);
    let mut header = |name: u32, kind: u32, flags: u64, at: usize, size: usize| {
        let mut row = [0; 64];
        if kind == 2 {
            row[40..44].copy_from_slice(&strings.to_le_bytes());
            (row[44], row[56]) = (1, 24);
        }
        row[..4].copy_from_slice(&name.to_le_bytes());
        row[4..8].copy_from_slice(&kind.to_le_bytes());
        row[8..16].copy_from_slice(&flags.to_le_bytes());
        row[16..24].copy_from_slice(&(at as u64).to_le_bytes());
        row[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        row[32..40].copy_from_slice(&(size as u64).to_le_bytes());
        table.extend_from_slice(&row);
    };
    for (name, is_code, bytes) in sections {
        let kind = match *name {
            ".symtab" => 2,
            ".strtab" => 3,
            _ => 1,
        };
        header(names.len() as u32, kind, if *is_code { 6 } else { 2 }, body.len(), bytes.len());
        names.extend_from_slice(name.as_bytes());
        names.push(0);
        body.extend_from_slice(bytes);
    }
    header(0, 3, 0, body.len(), names.len());
    body.extend_from_slice(&names);
    let (at, count) = (body.len() as u64, sections.len() as u16 + 2);
    body.extend_from_slice(&table);
    body[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0");
    body[20] = 1;
    body[40..48].copy_from_slice(&at.to_le_bytes());
    body[52] = 64;
    body[58] = 64;
    body[60..62].copy_from_slice(&count.to_le_bytes());
    body[62..64].copy_from_slice(&(count - 1).to_le_bytes());
    body
}

/// A relocatable object with these functions, one behind the other.
pub(crate) fn object(functions: &[Vec<u8>]) -> Vec<u8> {
    let (mut symbols, mut at) = (vec![0; 24], 0u64);
    for function in functions {
        symbols.extend_from_slice(&[1, 0, 0, 0, 0x12, 0, 1, 0]);
        symbols.extend_from_slice(&at.to_le_bytes());
        symbols.extend_from_slice(&(function.len() as u64).to_le_bytes());
        at += function.len() as u64;
    }
    let names = b"\0name\0".to_vec();
    let mut bytes =
        library(&[(".text", true, functions.concat()), (".strtab", false, names), (".symtab", false, symbols)]);
    bytes[16] = 1;
    bytes
}

/// An archive of such members.
pub(crate) fn archive(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let name = format!("{name}/");
        bytes.extend_from_slice(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, content.len()).as_bytes(),
        );
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// The same library with a segment that a loader loads and runs: all that stood there before.
pub(crate) fn loaded(mut bytes: Vec<u8>) -> Vec<u8> {
    let size = bytes.len() as u64;
    bytes[32..40].copy_from_slice(&size.to_le_bytes());
    (bytes[54], bytes[56]) = (56, 1);
    bytes.extend_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
    for field in [0, 0x40_0000, 0x40_0000, size, size, 0x1000] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes
}
