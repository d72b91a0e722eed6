//! Archives of all kinds.

use super::steer::{crc32, little, put, starting, xxh32};
use narthex_audit::{fuzz_binary, fuzz_container};

/// Libraries of objects, with each of these objects; or else one COFF object.
pub fn ar(bytes: &[u8]) {
    const MAGIC: &[u8] = b"!<arch>\n";
    const MACHINES: [u16; 4] = [0x8664, 0xaa64, 0x14c, 0xa641];
    if !bytes.starts_with(MAGIC) {
        let mut object = bytes.to_vec();
        let machine = little(bytes, 0, 2).unwrap_or(0) as u16;
        if machine != 0 && !MACHINES.contains(&machine) {
            put(&mut object, 0, &MACHINES[usize::from(machine % 4)].to_le_bytes());
        }
        return fuzz_binary(&object);
    }
    fuzz_container(bytes);
    let mut rest = &bytes[MAGIC.len()..];
    while let Some((header, behind)) = rest.split_at_checked(60) {
        let size = std::str::from_utf8(&header[48..58]).ok().and_then(|digits| digits.trim().parse().ok());
        let size: usize = size.unwrap_or(behind.len()).min(behind.len());
        fuzz_binary(&behind[..size]);
        rest = behind.get(size.next_multiple_of(2)..).unwrap_or_default();
    }
}

/// Anything behind a byte that begins nothing, so that all marks are found by searching; and as a text.
pub fn carve(bytes: &[u8]) {
    fuzz_container(&[b"\x01", bytes].concat());
    let text: Vec<u8> = bytes.iter().map(|byte| b' ' + byte % 95).collect();
    fuzz_container(&text);
}

/// Zip; one without an end gets one, which says that the directory begins at its first entry.
pub fn zip(bytes: &[u8]) {
    let places = |mark: &'static [u8]| {
        let windows = bytes.windows(4).enumerate();
        windows.filter(move |(_, window)| *window == mark).map(|(at, _)| at)
    };
    let (first, count) = (places(b"PK\x01\x02").next().unwrap_or(bytes.len()), places(b"PK\x01\x02").count());
    let has_end = places(b"PK\x05\x06").next().is_some();
    let mut bytes = bytes.to_vec();
    if !has_end {
        let (begin, size) = (first as u32, (bytes.len() - first) as u32);
        let counts = [(count as u16).to_le_bytes(); 2].concat();
        let end = [&b"PK\x05\x06\0\0\0\0"[..], &counts, &size.to_le_bytes(), &begin.to_le_bytes(), &[0; 2]];
        bytes.extend(end.concat());
    }
    fuzz_container(&bytes);
}

/// Tar, with the sum of each header repaired.
pub fn tar(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if bytes.len() < 512 {
        bytes.resize(512, 0);
    }
    if bytes.get(257..262) != Some(b"ustar") {
        put(&mut bytes, 257, b"ustar  \0");
    }
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + 512) {
        let size = match std::str::from_utf8(&header[124..135]).ok().map(|field| field.trim_matches([' ', '\0'])) {
            Some(octal) => usize::from_str_radix(octal, 8).unwrap_or(0),
            None => 0,
        };
        if header.iter().any(|byte| *byte != 0) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        at = at.saturating_add(512).saturating_add(size.min(bytes.len()).next_multiple_of(512));
    }
    fuzz_container(&bytes);
}

/// cpio, with the sums of contents repaired where the form has them.
pub fn cpio(bytes: &[u8]) {
    const MAGICS: [&[u8]; 5] = [b"070701", b"070702", b"070707", b"\xc7\x71", b"\x71\xc7"];
    let mut bytes = match MAGICS.iter().any(|magic| bytes.starts_with(magic)) {
        true => bytes.to_vec(),
        false => starting(bytes, MAGICS[usize::from(bytes.first().copied().unwrap_or(0)) % MAGICS.len()]),
    };
    // Recognized by digits, which arbitrary bytes seldom are.
    let digits = if bytes.starts_with(b"070707") { 76 } else { 110 };
    if bytes.starts_with(b"0707") {
        if bytes.len() < digits {
            bytes.resize(digits, b'0');
        }
        for byte in &mut bytes[6..digits] {
            if !matches!(byte, b'0'..=b'7' | b'a'..=b'f' | b'A'..=b'F') || (digits == 76 && *byte > b'7') {
                *byte = b'0' + *byte % 8;
            }
        }
    }
    let mut at = 0;
    while bytes.get(at..).is_some_and(|rest| rest.starts_with(b"070702")) {
        let field = |index: usize| {
            let digits = bytes.get(at + 6 + 8 * index..at + 14 + 8 * index)?;
            usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        let (Some(size), Some(name)) = (field(6), field(11)) else { break };
        let begin = (at + 110 + name).next_multiple_of(4);
        let Some(content) = bytes.get(begin..begin + size) else { break };
        let sum = content.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        put(&mut bytes, at + 6 + 8 * 12, format!("{sum:08x}").as_bytes());
        at = (begin + size).next_multiple_of(4);
    }
    fuzz_container(&bytes);
}

/// rpm, with both of its headers begun where they have to begin.
pub fn rpm(bytes: &[u8]) {
    const LEAD: usize = 96;
    const HEADER: &[u8] = b"\x8e\xad\xe8\x01";
    let mut bytes = starting(bytes, b"\xed\xab\xee\xdb");
    put(&mut bytes, LEAD, HEADER);
    let number = |at| little(&bytes, at, 4).map(|number| (number as u32).swap_bytes() as usize);
    if let (Some(entries), Some(store)) = (number(LEAD + 8), number(LEAD + 12)) {
        let next = (LEAD + 16).saturating_add(entries.saturating_mul(16)).saturating_add(store);
        let next = next.min(bytes.len()).next_multiple_of(8);
        if next + HEADER.len() <= bytes.len() {
            put(&mut bytes, next, HEADER);
        }
    }
    fuzz_container(&bytes);
}

/// 7z, with the sums of both headers repaired, and the second one inside the file.
pub fn sevenz(bytes: &[u8]) {
    const START: usize = 32;
    let mut bytes = starting(bytes, b"7z\xbc\xaf\x27\x1c\0\x04");
    if bytes.len() < START {
        bytes.resize(START, 0);
    }
    let behind = bytes.len() - START;
    let field = |at| little(&bytes, at, 8).and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX);
    let offset = Some(field(12)).filter(|offset| *offset < behind).unwrap_or(0);
    let size = field(20).min(behind - offset);
    let sum = crc32(&bytes[START + offset..START + offset + size]);
    put(&mut bytes, 12, &(offset as u64).to_le_bytes());
    put(&mut bytes, 20, &(size as u64).to_le_bytes());
    put(&mut bytes, 28, &sum);
    let sum = crc32(&bytes[12..32]);
    put(&mut bytes, 8, &sum);
    fuzz_container(&bytes);
}

/// squashfs of the version that is opened, with blocks of a possible size and a compressor that is read.
pub fn squashfs(bytes: &[u8]) {
    let mut bytes = starting(bytes, b"hsqs");
    if bytes.len() < 96 {
        bytes.resize(96, 0);
    }
    put(&mut bytes, 28, b"\x04\0\0\0");
    let size = little(&bytes, 12, 4).unwrap_or(0) as u32;
    if !(size.is_power_of_two() && (4096..=1 << 20).contains(&size)) {
        put(&mut bytes, 12, &(4096u32 << (size % 9)).to_le_bytes());
    }
    let compressor = little(&bytes, 20, 2).unwrap_or(0) as u16;
    if !matches!(compressor, 1..=6) {
        put(&mut bytes, 20, &([1u16, 2, 4, 5, 6][usize::from(compressor % 5)]).to_le_bytes());
    }
    fuzz_container(&bytes);
}

/// Nix's archives. What does not begin as one is a script that a nearly right one is written by.
pub fn nar(bytes: &[u8]) {
    if bytes.starts_with(b"\x0d\0\0\0\0\0\0\0nix-archive-1") {
        return fuzz_container(bytes);
    }
    const WORDS: [&[u8]; 13] = [
        b"(",
        b")",
        b"type",
        b"regular",
        b"directory",
        b"symlink",
        b"entry",
        b"name",
        b"node",
        b"contents",
        b"executable",
        b"target",
        b"",
    ];
    fn word(nar: &mut Vec<u8>, word: &[u8]) {
        nar.extend((word.len() as u64).to_le_bytes());
        nar.extend(word);
        nar.resize(nar.len().next_multiple_of(8), 0);
    }
    let words = |nar: &mut Vec<u8>, all: &[&[u8]]| all.iter().for_each(|one| word(nar, one));
    let mut nar = Vec::new();
    word(&mut nar, b"nix-archive-1");
    let mut rest = bytes;
    while let Some((op, behind)) = rest.split_first() {
        let (argument, after) = behind.split_at(usize::from(op >> 4).min(behind.len()));
        rest = after;
        match op & 15 {
            at @ 0..=12 if argument.is_empty() => word(&mut nar, WORDS[usize::from(at)]),
            0..=3 => words(&mut nar, &[b"entry", b"(", b"name", argument, b"node"]),
            4..=6 => words(&mut nar, &[b"(", b"type", b"regular", b"contents", argument, b")"]),
            7..=8 => words(&mut nar, &[b"(", b"type", b"directory"]),
            9 => words(&mut nar, &[b"(", b"type", b"symlink", b"target", argument, b")"]),
            10 => words(&mut nar, &[b"executable", b""]),
            11..=12 => words(&mut nar, &[b")", b")"]),
            13..=14 => word(&mut nar, argument),
            _ => nar.extend(argument),
        }
    }
    fuzz_container(&nar);
}

/// Files that are compressed in one of seven ways, with the sums of headers repaired.
pub fn compressed(bytes: &[u8]) {
    const MAGICS: [&[u8]; 7] = [
        b"\x1f\x8b\x08",
        b"BZh9\x31\x41\x59\x26\x53\x59",
        b"\xfd7zXZ\0\0\x01",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18\x64",
        b"LZIP\x01\x14",
        b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0",
    ];
    let known = bytes.first().is_some_and(|first| {
        MAGICS.iter().any(|magic| magic[0] == *first && bytes.get(1..3) == magic.get(1..3)) || first >> 4 == 5
    });
    let mut bytes = match known {
        true => bytes.to_vec(),
        false => starting(bytes, MAGICS[usize::from(bytes.first().copied().unwrap_or(0)) % MAGICS.len()]),
    };
    if bytes.starts_with(b"\xfd7zXZ\0") && bytes.len() > 13 {
        let sum = crc32(&bytes[6..8]);
        put(&mut bytes, 8, &sum);
        let end = 12 + 4 * usize::from(bytes[12]);
        if bytes[12] != 0 && end + 4 <= bytes.len() {
            let sum = crc32(&bytes[12..end]);
            put(&mut bytes, end, &sum);
        }
    }
    if bytes.starts_with(b"\x04\x22\x4d\x18") && bytes.len() > 6 {
        let flags = bytes[4];
        let end = 6 + if flags & 8 != 0 { 8 } else { 0 } + if flags & 1 != 0 { 4 } else { 0 };
        if end < bytes.len() {
            bytes[end] = (xxh32(&bytes[4..end]) >> 8) as u8;
        }
    }
    fuzz_container(&bytes);
}
