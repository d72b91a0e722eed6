//! Which files have code of their own: what makes an application of what stands beside it.
//!
//! A vendor's terms allow a part of an application and forbid the part alone. An application has a program, a library
//! or another file with code that is not the vendor's, and that is more than a word. Whether it does anything useful no
//! program can tell; what is asked here is that somebody wrote it.

mod reach;

use crate::loader::Layout;
use crate::ranges::{Range, merge, total, without};
use object::File;
use std::collections::HashSet;

/// A program that does nothing has some 200 different stretches of [`STRETCH`] bytes beside what linkers add; the
/// smallest that was met, of one page of C, has 625.
const CODE: usize = 512;

/// The same of what `main` leads to, where start-up code is not counted: a `main` that does nothing or calls one
/// function has up to 8, that page of C 429.
const CODE_OF_MAIN: usize = 256;

/// Bytes of which code is made: what is repeated is not counted again. Fillers, padding, and copies of one function
/// are no code of their own.
const STRETCH: usize = 4;

/// Shorter texts name, load or start something else.
const TEXT: usize = 512;

/// Bytes between two functions of one archive that are the archive's as well: functions that are too short to be told,
/// or have no symbol. The longest stretch in a static cudart has 5,142; linkers put an archive's members side by side.
const BETWEEN: u64 = 16 << 10;

/// Endings of texts that are code.
const ENDINGS: [&str; 52] = [
    "adb", "bash", "c", "cc", "cjs", "clj", "cpp", "cs", "cu", "cuh", "cxx", "d", "dart", "el", "erl", "ex", "f",
    "f90", "for", "go", "groovy", "h", "hh", "hpp", "hs", "hxx", "inc", "java", "jl", "js", "kt", "lisp", "lua", "m",
    "mjs", "ml", "php", "pl", "pm", "py", "pyi", "pyx", "r", "rb", "rs", "scala", "scm", "sh", "swift", "tcl", "ts",
    "zig",
];

/// Where functions of an archive cover so much of what lies between the first and the last one, all of it is the
/// archive's: 96 in a hundred of a static cudart, 99 of MKL.
const COVERED: (u64, u64) = (19, 20);

/// Whether a program, library or object has code of its own, given where functions of each archive lie. Of a program
/// what counts is what its `main` leads to, where that can be told.
pub(crate) fn is_enough<'a>(
    file: &File<'_>,
    layout: &Layout,
    bytes: &[u8],
    archives: impl Iterator<Item = &'a [Range]>,
) -> bool {
    let beside = code_beside(layout, archives);
    let others = without(&layout.code, &beside);
    match reach::from_main(file, bytes, &others) {
        Some(reached) => is_telling(bytes, &reached, CODE_OF_MAIN),
        None => is_telling(bytes, &beside, CODE),
    }
}

/// Whether so much in some stretches of a file differs from the rest of them.
fn is_telling(bytes: &[u8], ranges: &[Range], enough: usize) -> bool {
    let mut seen = HashSet::new();
    let stretches = ranges.iter().filter_map(|(from, to)| bytes.get(*from as usize..*to as usize));
    stretches.flat_map(|code| code.windows(STRETCH)).any(|stretch| {
        seen.insert(stretch);
        seen.len() >= enough
    })
}

/// A binary's code that is neither everybody's nor an archive's, given where functions of each archive lie.
fn code_beside<'a>(layout: &Layout, archives: impl Iterator<Item = &'a [Range]>) -> Vec<Range> {
    let between = |span: Range| total(&layout.own) - total(&without(&layout.own, &[span]));
    let stretches = |ranges: &[Range]| match (ranges.first(), ranges.last()) {
        (Some(first), Some(last)) if total(ranges) * COVERED.1 >= between((first.0, last.1)) * COVERED.0 => {
            vec![(first.0, last.1)]
        }
        _ => merge(ranges.to_vec(), BETWEEN),
    };
    without(&layout.own, &merge(archives.flat_map(stretches).collect(), 0))
}

/// Whether a file that is no program, library or object has code of its own.
pub(crate) fn is_code(name: &str, bytes: &[u8]) -> bool {
    is_bytecode(name, bytes) || is_script(name, bytes)
}

fn is_bytecode(name: &str, bytes: &[u8]) -> bool {
    let marked = match bytes {
        [0, b'a', b's', b'm', _, _, _, _, sections @ ..] => return is_telling_wasm(sections),
        // Classes of Java, and programs of macOS for several machines.
        [0xca, 0xfe, 0xba, 0xbe, ..] | [b'B', b'C', 0xc0, 0xde, ..] => true,
        [0x1b, b'L', b'u', b'a', ..] | [b'd', b'e', b'x', b'\n', ..] => true,
        [_, _, b'\r', b'\n', ..] => name.ends_with(".pyc"),
        _ => false,
    };
    marked && is_telling(bytes, &[(0, bytes.len() as u64)], CODE)
}

/// Whether the sections of a WebAssembly module that have code say enough; names and notes are none.
fn is_telling_wasm(mut sections: &[u8]) -> bool {
    const CODE_SECTION: u8 = 10;
    while let [kind, rest @ ..] = sections {
        let digits = rest.iter().take(5).position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
        let size = rest[..digits].iter().rev().fold(0usize, |size, digit| size << 7 | usize::from(digit & 0x7f));
        let Some((section, more)) = rest[digits..].split_at_checked(size).filter(|_| digits > 0) else { return false };
        if *kind == CODE_SECTION {
            return is_telling(section, &[(0, section.len() as u64)], CODE);
        }
        sections = more;
    }
    false
}

fn is_script(name: &str, bytes: &[u8]) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let says_so = bytes.starts_with(b"#!") || ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
    says_so && !bytes.contains(&0) && is_longer_than_comments(bytes)
}

/// Whether there is enough beside spaces and lines that are comments in one language or another. Lines that are said
/// again count once, and what stands between quotation marks is said and not done.
fn is_longer_than_comments(bytes: &[u8]) -> bool {
    const COMMENTS: [&[u8]; 7] = [b"#", b"//", b"/*", b"*", b"--", b";", b"%"];
    let (mut seen, mut lines) = (0, HashSet::new());
    for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        // In C a line that begins with a hash is code.
        let directive = [b"#define".as_slice(), b"#if", b"#include"].iter().any(|word| line.starts_with(word));
        if (directive || !COMMENTS.iter().any(|mark| line.starts_with(mark))) && lines.insert(line) {
            seen += unquoted(line);
        }
        if seen >= TEXT {
            return true;
        }
    }
    false
}

/// How many letters of a line are not blank and in no string.
fn unquoted(line: &[u8]) -> usize {
    let mut open = None;
    let counts = |byte: &&u8| match (open, **byte) {
        (None, mark @ (b'"' | b'\'')) if line.iter().filter(|byte| **byte == mark).count() > 1 => {
            open = Some(mark);
            true
        }
        (None, byte) => !byte.is_ascii_whitespace(),
        (Some(mark), byte) => {
            if byte == mark {
                open = None;
            }
            false
        }
    };
    line.iter().filter(counts).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module of WebAssembly with one section.
    fn wasm(kind: u8, content: &[u8]) -> Vec<u8> {
        let size = [content.len() as u8 | 0x80, (content.len() >> 7) as u8];
        [b"\0asm\x01\0\0\0".as_slice(), &[kind], &size, content].concat()
    }

    #[test]
    fn what_is_said_again_is_no_code() {
        let noise = crate::made::noise(1, 700);
        let check =
            |bytes: &[u8], enough: bool| assert_eq!(is_telling(bytes, &[(0, bytes.len() as u64)], CODE), enough);
        check(&noise, true);
        check(&noise[..500], false);
        check(&noise[..100].repeat(50), false);
        check(&[[0x90; 9000].as_slice(), &noise[..300], &[0; 9000]].concat(), false);
        assert!(!is_telling(&noise, &[(0, 200), (300, 500)], CODE));
        assert!(is_telling(&noise, &[(0, 400), (500, 700)], CODE));
    }

    #[test]
    fn code_is_more_than_a_word() {
        let lines: String = (0..99).map(|n| format!("value = compute{n}(value, other)\n")).collect();
        let strings: String = (0..99).map(|n| format!("echo 'line {n} of a text that is no program'\n")).collect();
        let numbers: String = (0..99).map(|n| format!("#define X_{n} {n}\n")).collect();
        let check = |name: &str, bytes: &[u8], code: bool| assert_eq!(is_code(name, bytes), code, "{name}");
        check("app.py", lines.as_bytes(), true);
        check("app.py", "value = compute(value, other)\n".repeat(99).as_bytes(), false);
        check("app.sh", &strings.as_bytes()[..3000], false);
        check("bin/app", format!("#!/bin/sh\n{lines}").as_bytes(), true);
        check("include/x.h", numbers.as_bytes(), true);
        check("app.py", b"1", false);
        check("app.py", b"", false);
        check("app.py", "# a comment\n".repeat(500).as_bytes(), false);
        check("x/__init__.py", b"import ctypes\nctypes.CDLL('libcudart.so.12')\n", false);
        check("bin/run", b"#!/bin/sh\nexec \"$(dirname $0)/../lib/tool\" \"$@\"\n", false);
        for name in ["README.md", "x.pc", "XConfig.cmake", "METADATA", "LICENSE", "data.json", "x.txt"] {
            check(name, lines.as_bytes(), false);
        }
        let noise = crate::made::noise(2, 600);
        check("x.class", &[b"\xca\xfe\xba\xbe".as_slice(), &noise].concat(), true);
        check("x.class", &[b"\xca\xfe\xba\xbe".as_slice(), &[7; 600]].concat(), false);
        check("x.pyc", &[b"\xcb\x0d\r\n".as_slice(), &noise].concat(), true);
        check("x.bin", &[b"\xcb\x0d\r\n".as_slice(), &noise].concat(), false);
        check("x.wasm", &wasm(10, &noise), true);
        check("x.wasm", &wasm(0, &noise), false);
        check("x.wasm", b"\0asm\x01\0\0\0", false);
        check("x.wasm", &wasm(10, &noise)[..300], false);
    }

    #[test]
    fn code_between_a_vendors_functions_is_the_vendors() {
        let mut layout = Layout::default();
        layout.own = vec![(0, 50_000)];
        let beside = |archives: &[&[Range]]| total(&code_beside(&layout, archives.iter().copied()));
        assert_eq!(beside(&[&[(1000, 3000), (9000, 10_000)]]), 41_000);
        assert_eq!(beside(&[&[(1000, 3000)], &[(9000, 10_000)]]), 47_000, "code between two archives may be anybody's");
        assert_eq!(beside(&[&[(1000, 3000), (40_000, 41_000)]]), 47_000, "so much is something else");
        assert_eq!(beside(&[&[(0, 24_000), (24_500, 48_000)]]), 2000);
        assert_eq!(beside(&[]), 50_000);
    }
}
