//! Which files have code of their own: what makes an application of what stands beside it.
//!
//! A vendor's terms allow a part of an application and forbid the part alone. An application has a program, a library
//! or another file with code that is not the vendor's, and that is more than a word. Whether it does anything useful no
//! program can tell; what is asked here is that somebody wrote it.

use crate::loader::Layout;
use crate::ranges::{Range, merge, total, without};

/// A program that does nothing has some 250 bytes of code beside what linkers add, and 330 on other machines; the
/// smallest that was met, of one page of C, has 743.
const CODE: u64 = 512;

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

/// Bytes of a binary's code that are neither everybody's nor an archive's, given where functions of each archive lie.
pub(crate) fn code_beside<'a>(layout: &Layout, archives: impl Iterator<Item = &'a [Range]>) -> u64 {
    let between = |span: Range| total(&layout.own) - total(&without(&layout.own, &[span]));
    let stretches = |ranges: &[Range]| match (ranges.first(), ranges.last()) {
        (Some(first), Some(last)) if total(ranges) * COVERED.1 >= between((first.0, last.1)) * COVERED.0 => {
            vec![(first.0, last.1)]
        }
        _ => merge(ranges.to_vec(), BETWEEN),
    };
    total(&without(&layout.own, &merge(archives.flat_map(stretches).collect(), 0)))
}

/// Whether a program, library or object has code of its own.
pub(crate) fn is_enough(code: u64) -> bool {
    code >= CODE
}

/// Whether a file that is no program, library or object has code of its own.
pub(crate) fn is_code(name: &str, bytes: &[u8]) -> bool {
    is_bytecode(name, bytes) || is_script(name, bytes)
}

fn is_bytecode(name: &str, bytes: &[u8]) -> bool {
    let marked = match bytes {
        // Classes of Java, and programs of macOS for several machines.
        [0xca, 0xfe, 0xba, 0xbe, ..] | [0, b'a', b's', b'm', ..] | [b'B', b'C', 0xc0, 0xde, ..] => true,
        [0x1b, b'L', b'u', b'a', ..] | [b'd', b'e', b'x', b'\n', ..] => true,
        [_, _, b'\r', b'\n', ..] => name.ends_with(".pyc"),
        _ => false,
    };
    marked && bytes.len() >= TEXT
}

fn is_script(name: &str, bytes: &[u8]) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let says_so = bytes.starts_with(b"#!") || ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
    says_so && !bytes.contains(&0) && is_longer_than_comments(bytes)
}

/// Whether there is enough beside spaces and lines that are comments in one language or another.
fn is_longer_than_comments(bytes: &[u8]) -> bool {
    const COMMENTS: [&[u8]; 7] = [b"#", b"//", b"/*", b"*", b"--", b";", b"%"];
    let mut seen = 0;
    for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        // In C a line that begins with a hash is code.
        let directive = [b"#define".as_slice(), b"#if", b"#include"].iter().any(|word| line.starts_with(word));
        if directive || !COMMENTS.iter().any(|mark| line.starts_with(mark)) {
            seen += line.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
        }
        if seen >= TEXT {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_more_than_a_word() {
        let line = "value = compute(value, other)\n";
        let check = |name: &str, bytes: &[u8], code: bool| assert_eq!(is_code(name, bytes), code, "{name}");
        check("app.py", line.repeat(30).as_bytes(), true);
        check("bin/app", format!("#!/bin/sh\n{}", line.repeat(30)).as_bytes(), true);
        check("include/x.h", "#define X 1\n".repeat(99).as_bytes(), true);
        check("app.py", b"1", false);
        check("app.py", b"", false);
        check("app.py", "# a comment\n".repeat(500).as_bytes(), false);
        check("x/__init__.py", b"import ctypes\nctypes.CDLL('libcudart.so.12')\n", false);
        check("bin/run", b"#!/bin/sh\nexec \"$(dirname $0)/../lib/tool\" \"$@\"\n", false);
        for name in ["README.md", "x.pc", "XConfig.cmake", "METADATA", "LICENSE", "data.json", "x.txt"] {
            check(name, line.repeat(99).as_bytes(), false);
        }
        check("x.class", &[b"\xca\xfe\xba\xbe".as_slice(), &[7; 600]].concat(), true);
        check("x.pyc", &[b"\xcb\x0d\r\n".as_slice(), &[7; 600]].concat(), true);
        check("x.bin", &[b"\xcb\x0d\r\n".as_slice(), &[7; 600]].concat(), false);
    }

    #[test]
    fn code_between_a_vendors_functions_is_the_vendors() {
        let mut layout = Layout::default();
        layout.own = vec![(0, 50_000)];
        let beside = |archives: &[&[Range]]| code_beside(&layout, archives.iter().copied());
        assert_eq!(beside(&[&[(1000, 3000), (9000, 10_000)]]), 41_000);
        assert_eq!(beside(&[&[(1000, 3000)], &[(9000, 10_000)]]), 47_000, "code between two archives may be anybody's");
        assert_eq!(beside(&[&[(1000, 3000), (40_000, 41_000)]]), 47_000, "so much is something else");
        assert_eq!(beside(&[&[(0, 24_000), (24_500, 48_000)]]), 2000);
        assert_eq!(beside(&[]), 50_000);
    }
}
