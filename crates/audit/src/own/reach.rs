//! What of a program its `main` leads to, without what a C library and a linker bring along.
//!
//! A program that is linked statically has a C library in it, and every program has start-up code. Nobody who made the
//! program wrote either of them. Start-up code hands `main` over in one of a few ways; from there on, whatever names
//! the start of a function leads to it. Instructions are not told apart: four bytes that happen to lead to the first
//! byte of a function are rare, and they only ever count too much. Where `main` cannot be told, nothing is said.

use crate::ranges::{Range, merge, without};
use object::elf::{EM_X86_64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, File, Object, ObjectSection};
use std::collections::{HashMap, HashSet};

/// So much of a program's beginning is looked through for what hands over `main`.
const ENTRY: usize = 192;

/// More code need not be found, to know that there is some.
const ENOUGH: u64 = 16 << 10;

/// The code that `main` leads to, as far as it takes to see that there is enough; what the places in `others` lead to
/// is not followed.
pub(crate) fn from_main(file: &File<'_>, bytes: &[u8], others: &[Range]) -> Option<Vec<Range>> {
    let program = Program::of(file, bytes)?;
    let main = program.main()?;
    let (mut todo, mut seen, mut reached, mut size) = (vec![main], HashSet::from([main]), Vec::new(), 0);
    while let Some(start) = todo.pop().filter(|_| size < ENOUGH) {
        let (Some(length), Some((place, end))) = (program.functions.get(&start), program.place(start)) else {
            continue;
        };
        let range = (place, end.min(place.saturating_add(*length)));
        if without(&[range], others) != [range] {
            continue;
        }
        size += range.1 - range.0;
        reached.push(range);
        for (at, four) in bytes[range.0 as usize..range.1 as usize].windows(4).enumerate() {
            let Some(four) = four.first_chunk() else { continue };
            let near = (start + at as u64 + 4).wrapping_add_signed(i32::from_le_bytes(*four).into());
            let far = u32::from_le_bytes(*four).into();
            todo.extend([near, far].iter().filter(|to| program.functions.contains_key(to) && seen.insert(**to)));
        }
    }
    Some(merge(reached, 0))
}

struct Program<'a> {
    bytes: &'a [u8],
    entry: u64,
    /// Address, size and place of what is loaded.
    loaded: Vec<(u64, u64, u64)>,
    /// Addresses of functions and their sizes.
    functions: HashMap<u64, u64>,
}

impl<'a> Program<'a> {
    fn of(file: &File<'_>, bytes: &'a [u8]) -> Option<Self> {
        let File::Elf64(elf) = file else { return None };
        let (endian, header) = (elf.endian(), elf.elf_header());
        if endian != Endianness::Little || header.e_machine(endian) != EM_X86_64 {
            return None;
        }
        let loaded = elf.elf_program_headers().iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
        let loaded = loaded.map(|one| (one.p_vaddr(endian), one.p_filesz(endian), one.p_offset(endian))).collect();
        let frames = file.section_by_name(".eh_frame")?;
        let functions = functions(frames.address(), frames.data().ok()?);
        Some(Self { bytes, entry: header.e_entry(endian), loaded, functions })
    }

    /// Where an address lies in the file, and where what is loaded with it ends there.
    fn place(&self, address: u64) -> Option<(u64, u64)> {
        let holds = |(from, size, _): &&(u64, u64, u64)| address.wrapping_sub(*from) < *size;
        let (from, size, at) = self.loaded.iter().find(holds)?;
        let end = at.checked_add(*size)?.min(self.bytes.len() as u64);
        let place = at + (address - from);
        (place < end).then_some((place, end))
    }

    /// The address of `main`: the first argument of the C library's start-up function.
    fn main(&self) -> Option<u64> {
        let (place, end) = self.place(self.entry)?;
        let code = &self.bytes[place as usize..end as usize];
        let code = &code[..code.len().min(ENTRY)];
        let number = |at: usize| Some(i32::from_le_bytes(*code.get(at..)?.first_chunk()?));
        (0..code.len()).find_map(|at| {
            let main = match code[at..] {
                // lea rdi, [rip + n]
                [0x48, 0x8d, 0x3d, ..] => {
                    self.entry.wrapping_add(at as u64 + 7).wrapping_add_signed(number(at + 3)?.into())
                }
                // mov rdi, n
                [0x48, 0xc7, 0xc7, ..] => u64::try_from(number(at + 3)?).ok()?,
                // mov edi, n
                [0xbf, ..] => u64::try_from(number(at + 1)?).ok()?,
                _ => return None,
            };
            self.functions.contains_key(&main).then_some(main)
        })
    }
}

/// Functions by the table that unwinds the stack, as compilers for x86-64 write it: addresses are counted from where
/// they stand.
fn functions(address: u64, frames: &[u8]) -> HashMap<u64, u64> {
    let number = |at: usize| Some(u32::from_le_bytes(*frames.get(at..)?.first_chunk()?));
    let (mut functions, mut at) = (HashMap::new(), 0);
    while let Some(length) = number(at).filter(|length| (1..u32::MAX).contains(length)) {
        // An entry that others share has no number of one here.
        if let (Some(1..), Some(start), Some(size)) = (number(at + 4), number(at + 8), number(at + 12)) {
            let start = address.wrapping_add(at as u64 + 8).wrapping_add_signed(i64::from(start as i32));
            functions.insert(start, size.into());
        }
        at += 4 + length as usize;
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{library, loaded, noise};
    use crate::ranges::total;

    /// A program with functions of these bytes, the first of which is where it starts and the second `main`. A function
    /// calls those whose numbers it has.
    fn program(functions: &[(usize, &[usize])]) -> Vec<u8> {
        const TEXT: usize = 64;
        let starts: Vec<usize> =
            functions.iter().scan(TEXT, |end, (size, _)| Some(std::mem::replace(end, *end + size))).collect();
        let (mut text, mut frames) = (Vec::new(), Vec::new());
        for (number, (size, calls)) in functions.iter().enumerate() {
            let mut body = noise(number as u64, *size);
            for (call, to) in calls.iter().enumerate() {
                let (at, opcode) = (call * 8, if number == 0 { [0x48, 0x8d, 0x3d] } else { [0x90, 0x90, 0xe8] });
                let by = starts[*to] as i32 - (starts[number] + at + 7) as i32;
                body[at..at + 3].copy_from_slice(&opcode);
                body[at + 3..at + 7].copy_from_slice(&by.to_le_bytes());
            }
            text.extend_from_slice(&body);
        }
        let at = TEXT + text.len();
        for (start, (size, _)) in starts.iter().zip(functions) {
            let by = *start as i32 - (at + frames.len() + 8) as i32;
            for field in [12, 1, by, *size as i32] {
                frames.extend_from_slice(&field.to_le_bytes());
            }
        }
        let mut bytes = loaded(library(&[(".text", true, text), (".eh_frame", false, frames)]));
        let segment = u64::from_le_bytes(*bytes[32..].first_chunk().unwrap()) as usize;
        // Loaded at the addresses that its sections have.
        bytes[segment + 16..segment + 24].fill(0);
        (bytes[16], bytes[24]) = (2, TEXT as u8);
        bytes
    }

    #[test]
    fn what_main_leads_to_is_told_from_the_rest() {
        let check = |functions: &[(usize, &[usize])], expected: Option<u64>| {
            let bytes = program(functions);
            let file = File::parse(bytes.as_slice()).unwrap();
            assert_eq!(from_main(&file, &bytes, &[]).map(|ranges| total(&ranges)), expected, "{functions:?}");
        };
        check(&[(30, &[1]), (20, &[]), (5000, &[])], Some(20));
        check(&[(30, &[1]), (20, &[2]), (700, &[3]), (300, &[1]), (5000, &[])], Some(1020));
        check(&[(30, &[]), (20, &[2]), (700, &[])], None);
    }

    #[test]
    fn what_is_others_leads_nowhere() {
        let bytes = program(&[(30, &[1]), (20, &[2]), (700, &[3]), (300, &[])]);
        let file = File::parse(bytes.as_slice()).unwrap();
        let reached = from_main(&file, &bytes, &[(64 + 50, 64 + 750)]).unwrap();
        assert_eq!(reached, [(64 + 30, 64 + 50)]);
    }
}
