//! Every way in which bytes are written as text is read, in a text and in a program, and other texts cost next to nothing.

use super::super::Limits;
use super::super::tests::{gzipped, see};
use crate::made::{library, noise};

fn elf() -> Vec<u8> {
    library(&[(".rodata", false, b"the vendor's message, which is long enough".repeat(20))])
}

/// Letters of groups of bytes, as numbers in a base.
fn grouped(bytes: &[u8], letters: &str, (wide, narrow): (usize, usize)) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let radix = letters.len() as u64;
    let group = |group: &[u8]| {
        let mut value = (0..narrow).fold(0u64, |value, at| value << 8 | u64::from(*group.get(at).unwrap_or(&0)));
        let mut text = vec![letters[0]; wide];
        for place in (0..wide).rev() {
            text[place] = letters[(value % radix) as usize];
            value /= radix;
        }
        let count = (group.len() * wide).div_ceil(narrow) + usize::from(radix == 85 && group.len() < narrow);
        text.into_iter().take(count.min(wide)).collect::<String>()
    };
    bytes.chunks(narrow).map(group).collect()
}

fn in_lines(text: &str, length: usize, before: &str, after: &str) -> String {
    let lines = text.as_bytes().chunks(length).map(|line| String::from_utf8_lossy(line).into_owned());
    lines.map(|line| format!("{before}{line}{after}")).collect()
}

fn each(bytes: &[u8], between: &str, write: impl Fn(u8) -> String) -> String {
    bytes.iter().map(|byte| write(*byte)).collect::<Vec<_>>().join(between)
}

/// Lines of so many bytes, each written with its address.
fn dumped(bytes: &[u8], line: usize, write: impl Fn(usize, &[u8]) -> String) -> String {
    bytes.chunks(line).enumerate().map(|(number, bytes)| write(number * line, bytes) + "\n").collect()
}

fn words(bytes: &[u8], width: usize, write: impl Fn(u64) -> String) -> String {
    let word = |word: &[u8]| word.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    bytes.chunks(width).map(|bytes| write(word(bytes))).collect::<Vec<_>>().join(" ")
}

fn printable(bytes: &[u8]) -> String {
    each(bytes, "", |byte| if byte.is_ascii_graphic() { char::from(byte).into() } else { ".".to_owned() })
}

/// What Python prints of bytes.
fn repr(bytes: &[u8]) -> String {
    each(bytes, "", |byte| match byte {
        b'\\' | b'\'' => format!("\\{}", char::from(byte)),
        b'\n' => "\\n".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\r' => "\\r".to_owned(),
        0x20..=0x7e => char::from(byte).into(),
        byte => format!("\\x{byte:02x}"),
    })
}

fn uu(bytes: &[u8], letters: &str) -> String {
    let all: Vec<char> = letters.chars().collect();
    let line = |line: &[u8]| {
        let mut padded = line.to_vec();
        padded.resize(line.len().next_multiple_of(3), 0);
        format!("{}{}\n", all[line.len()], grouped(&padded, letters, (4, 3)))
    };
    bytes.chunks(45).map(line).collect()
}

const HEX: &str = "0123456789abcdef";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE32HEX: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const UU: &str = "`!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_";
const XX: &str = "+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ASCII85: &str = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstu";
const Z85: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const PYTHON85: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

fn quoted(bytes: &[u8]) -> String {
    let letter = |byte: &u8| match byte {
        0x21..=0x3c | 0x3e..=0x7e => char::from(*byte).to_string(),
        byte => format!("={byte:02X}"),
    };
    bytes.chunks(25).map(|line| line.iter().map(letter).collect::<String>() + "=\n").collect()
}

/// As Python and PDF write it, with a letter for four zeros.
fn a85(bytes: &[u8]) -> String {
    let group = |part: &[u8]| if part == [0; 4] { "z".to_owned() } else { grouped(part, ASCII85, (5, 4)) };
    bytes.chunks(4).map(group).collect()
}

/// All forms of some bytes, each as a text in which it stands.
fn forms(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let hex = grouped(bytes, HEX, (2, 1));
    let base64 = grouped(bytes, BASE64, (4, 3));
    let octal = |byte: u8| format!("\\{byte:03o}");
    let intel = |at: usize, line: &[u8]| {
        let head = [line.len() as u8, (at >> 8) as u8, at as u8, 0];
        let sum = head.iter().chain(line).fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
        format!(":{}{sum:02X}", each(&[&head, line].concat(), "", |byte| format!("{byte:02X}")))
    };
    let motorola = |at: usize, line: &[u8]| {
        let head = [line.len() as u8 + 5, 0, (at >> 16) as u8, (at >> 8) as u8, at as u8];
        let sum = !head.iter().chain(line).fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        format!("S3{}{sum:02X}", each(&[&head, line].concat(), "", |byte| format!("{byte:02X}")))
    };
    let git = |line: &[u8]| {
        let length = if line.len() <= 26 { b'A' + line.len() as u8 - 1 } else { b'a' + line.len() as u8 - 27 };
        let mut padded = line.to_vec();
        padded.resize(line.len().next_multiple_of(4), 0);
        format!("{}{}\n", char::from(length), grouped(&padded, PYTHON85, (5, 4)))
    };
    let c = |text: String| {
        format!(
            "#include <x.h>\n\nstatic const unsigned char data[{}] = {{\n{text}\n}};\nunsigned int data_len = {};\n",
            bytes.len(),
            bytes.len()
        )
    };
    vec![
        ("base 64 in lines", in_lines(&base64, 76, "", "\n")),
        ("base 64 behind stars", in_lines(&base64, 60, " * ", "\n")),
        ("base 64 in comments", in_lines(&base64, 60, "// ", "\n")),
        ("base 64 for URLs", format!("x = \"{}\"", grouped(bytes, URL, (4, 3)))),
        ("base 64 joined in Go", in_lines(&base64, 64, "\t\"", "\" +\n")),
        ("base 64 in JSON with ends of lines", format!("{{\"a\": \"{}\"}}", in_lines(&base64, 64, "", "\\n"))),
        ("base 64 in literals of Python", format!("data = (\n{})\n", in_lines(&base64, 60, "    b'", "'\n"))),
        (
            "base 64 that JavaScript joins",
            format!("var x=\"\";\n{}eval(x);\n", in_lines(&base64, 57, "x+=\"", "\";\n")),
        ),
        ("base 64 in YAML", format!("data: |\n{}", in_lines(&base64, 64, "    ", "\n"))),
        ("base 64 in echo", in_lines(&base64, 64, "echo ", " >> file.b64\r\n")),
        ("base 32", in_lines(&grouped(bytes, BASE32, (8, 5)), 72, "", "\n")),
        ("base 32 in small letters", format!("data='{}'", grouped(bytes, BASE32, (8, 5)).to_lowercase())),
        ("base 32 with hex", format!("data='{}'", grouped(bytes, BASE32HEX, (8, 5)))),
        ("ascii 85", format!("<~{}~>", in_lines(&grouped(bytes, ASCII85, (5, 4)), 76, "", "\n"))),
        ("ascii 85 in one line", a85(bytes)),
        ("ascii 85 in one line with its ends", format!("<~{}~>\n", a85(bytes))),
        ("ascii 85 in lines", in_lines(&a85(bytes), 76, "", "\n")),
        ("Z85", format!("const data = \"{}\";", grouped(bytes, Z85, (5, 4)))),
        ("base 85 of Python", format!("data = b'{}'\n", grouped(bytes, PYTHON85, (5, 4)))),
        (
            "a patch of git",
            format!("GIT binary patch\nliteral {}\n{}\n", bytes.len(), bytes.chunks(52).map(git).collect::<String>()),
        ),
        ("uuencode", format!("begin 644 file\n{}`\nend\n", uu(bytes, UU))),
        ("uuencode with blanks", format!("begin 644 file\n{}`\nend\n", uu(bytes, UU).replace('`', " "))),
        ("xxencode", format!("begin 644 file\n{}+\nend\n", uu(bytes, XX))),
        ("hex in one line", format!("data = {hex}\n")),
        ("hex in lines", in_lines(&hex, 60, "", "\n")),
        ("hex in large letters with blanks", each(bytes, " ", |byte| format!("{byte:02X}"))),
        ("hex with colons", each(bytes, ":", |byte| format!("{byte:02x}"))),
        (
            "xxd",
            dumped(bytes, 16, |at, line| {
                let text: Vec<String> = line.chunks(2).map(|pair| grouped(pair, HEX, (2, 1))).collect();
                format!("{at:08x}: {:<40} {}", text.join(" "), printable(line))
            }),
        ),
        (
            "hexdump -C",
            dumped(bytes, 16, |at, line| {
                let text: Vec<String> =
                    line.chunks(8).map(|part| each(part, " ", |byte| format!("{byte:02x}"))).collect();
                format!("{at:08x}  {:<49}|{}|", text.join("  "), printable(line))
            }),
        ),
        ("hexdump", dumped(bytes, 16, |at, line| format!("{at:07x} {}", words(line, 2, |word| format!("{word:04x}"))))),
        ("od", dumped(bytes, 16, |at, line| format!("{at:07o} {}", words(line, 2, |word| format!("{word:06o}"))))),
        (
            "od -t x1",
            dumped(bytes, 16, |at, line| format!("{at:07o} {}", words(line, 1, |word| format!("{word:02x}")))),
        ),
        (
            "od -t x4",
            dumped(bytes, 16, |at, line| format!("{at:07o} {}", words(line, 4, |word| format!("{word:08x}")))),
        ),
        ("od -t u1", dumped(bytes, 16, |at, line| format!("{at:07o} {}", words(line, 1, |word| format!("{word:3}"))))),
        (
            "od -c",
            dumped(bytes, 16, |at, line| {
                let letter = |byte: u8| match byte {
                    0 => "\\0".to_owned(),
                    b'\n' => "\\n".to_owned(),
                    0x21..=0x7e => char::from(byte).to_string(),
                    byte => format!("{byte:03o}"),
                };
                let text =
                    each(
                        line,
                        "",
                        |byte| if byte == b' ' { " 040".to_owned() } else { format!(" {:>3}", letter(byte)) },
                    );
                format!("{at:07o}{text}")
            }),
        ),
        ("Intel's records", dumped(bytes, 16, intel) + ":00000001FF\n"),
        ("Motorola's records", dumped(bytes, 32, motorola)),
        ("numbers of C", c(in_lines(&each(bytes, ", ", |byte| format!("0x{byte:02x}")), 72, "    ", "\n"))),
        ("decimal numbers", c(each(bytes, ",", |byte| byte.to_string()))),
        ("signed numbers", format!("byte[] data = {{{}}};", each(bytes, ", ", |byte| (byte as i8).to_string()))),
        ("octal numbers", format!("char data[] = {{ {} }};", each(bytes, ", ", |byte| format!("0{byte:o}")))),
        (
            "numbers of JSON",
            format!(
                "{{\"type\":\"Buffer\",\"data\":[{}],\"size\":{}}}",
                each(bytes, ",", |byte| byte.to_string()),
                bytes.len()
            ),
        ),
        (
            "words of Rust",
            format!(
                "static DATA: [u32; {}] = [{}];",
                bytes.len() / 4,
                words(bytes, 4, |word| format!("{word:#010x},"))
            ),
        ),
        (
            "assembly",
            bytes.chunks(12).map(|line| format!("\t.byte\t{}\n", each(line, ", ", |byte| byte.to_string()))).collect(),
        ),
        (
            "assembly of Intel",
            bytes
                .chunks(12)
                .map(|line| format!("  db {}\n", each(line, ",", |byte| format!("0{byte:02X}h"))))
                .collect(),
        ),
        ("a slice of Go", format!("var data = []byte{{{}}}\n", each(bytes, ", ", |byte| format!("{byte:#x}")))),
        ("escapes", format!("printf '{}' > file", each(bytes, "", |byte| format!("\\x{byte:02x}")))),
        ("octal escapes", format!("char *x = \"{}\";", in_lines(&each(bytes, "", octal), 64, "", "\"\n  \""))),
        ("what Python prints", format!("data = b'{}'\n", repr(bytes))),
        ("escapes of Unicode", format!("{{\"a\": \"{}\"}}", each(bytes, "", |byte| format!("\\u{byte:04x}")))),
        (
            "JSON with some escapes",
            format!(
                "{{\"a\": \"{}\"}}",
                each(bytes, "", |byte| match byte {
                    b'"' | b'\\' => format!("\\{}", char::from(byte)),
                    0x20..=0x7e => char::from(byte).into(),
                    byte => format!("\\u{byte:04x}"),
                })
            ),
        ),
        (
            "percent-encoding",
            format!(
                "data:application/octet-stream,{}",
                each(bytes, "", |byte| match byte {
                    byte if byte.is_ascii_alphanumeric() => char::from(byte).into(),
                    byte => format!("%{byte:02X}"),
                })
            ),
        ),
        ("quoted-printable", quoted(bytes)),
    ]
}

#[test]
fn every_form_is_read() {
    let content = [elf(), noise(5, 3000)].concat();
    let mut failed = Vec::new();
    for (kind, payload) in [("packed", gzipped(&content)), ("plain", content.clone())] {
        for (what, text) in forms(&payload) {
            let program = library(&[(".rodata", false, [b"\0\x01", text.as_bytes(), b"\0\x02\0\0"].concat())]);
            for (place, bytes) in [("alone", text.clone().into_bytes()), ("in a program", program)] {
                let seen = see("x", &bytes, Limits::default());
                let found =
                    |seen: &Vec<u8>| seen.windows(content.len().min(3500)).any(|part| content.starts_with(part));
                if !seen.contents.iter().skip(1).any(found) || !seen.gaps.is_empty() {
                    failed.push(format!("{what}, {kind}, {place}: {:?} {:?}", seen.blobs, seen.gaps));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn letters_of_two_bytes_are_read() {
    let content = [elf(), noise(3, 2000)].concat();
    let text = format!("data = {}\r\n", grouped(&gzipped(&content), BASE64, (4, 3)));
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        let wide: Vec<u8> = text.bytes().flat_map(|byte| order(u16::from(byte))).collect();
        assert!(see("x", &wide, Limits::default()).contents.contains(&content));
    }
}

#[test]
fn yenc_is_read() {
    let content = [elf(), noise(3, 2000)].concat();
    let letter = |byte: &u8| match byte.wrapping_add(42) {
        coded @ (0 | b'\n' | b'\r' | b'=') => vec![b'=', coded.wrapping_add(64)],
        coded => vec![coded],
    };
    let line = |line: &[u8]| [line.iter().flat_map(letter).collect(), b"\r\n".to_vec()].concat();
    let lines: Vec<u8> = content.chunks(128).flat_map(line).collect();
    let text = [b"From: x\r\n\r\n=ybegin line=128 size=1 name=x\r\n".as_slice(), &lines, b"=yend size=1\r\n"].concat();
    assert!(see("x", &text, Limits::default()).contents.contains(&content));
}

/// Repeated lines of a dump are left out, and are there all the same.
#[test]
fn what_a_dump_leaves_out_is_filled_in() {
    let content = [noise(1, 64), vec![0; 4096], elf(), noise(7, 2000)].concat();
    let mut last: Option<Vec<u8>> = None;
    let mut text = String::new();
    for (number, line) in content.chunks(16).enumerate() {
        if last.as_deref() == Some(line) {
            text += if text.ends_with("*\n") { "" } else { "*\n" };
            continue;
        }
        text +=
            &format!("{:08x}  {}  |{}|\n", number * 16, each(line, " ", |byte| format!("{byte:02x}")), printable(line));
        last = Some(line.to_vec());
    }
    let seen = see("x", text.as_bytes(), Limits::default());
    assert!(
        seen.contents.iter().any(|found| found == &content[..found.len().min(content.len())] && found.len() > 6000),
        "{:?}",
        seen.blobs
    );
}

/// How much is read is in proportion to the text, whatever it looks like.
#[test]
fn texts_that_are_nothing_are_left_alone() {
    let code = "function a(b){return b.c(d=>{e[f]=`x${g}`;h?i:j;k&&l||m;n!=o})};".repeat(4000);
    let broken: String = (0..4000).map(|n| format!("{},{};", "abcdefgh".repeat(n % 40), n * 7919)).collect();
    let floats: String = (0..20_000u32).map(|n| format!("{:.7}, ", f64::from(n).sqrt())).collect();
    let prose = "The quick brown fox jumps over the lazy dog, and nobody says why it does. ".repeat(2000);
    for text in [code, broken, floats, prose] {
        let seen = see("x", text.as_bytes(), Limits::default());
        assert_eq!(seen.gaps, []);
        let unpacked: usize = seen.contents.iter().skip(1).map(Vec::len).sum();
        assert!(unpacked <= 4 * text.len(), "{:?}", &seen.blobs[..seen.blobs.len().min(9)]);
    }
}
