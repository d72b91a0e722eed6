//! Foreign text made harmless: names, messages, license values, file names, URLs and answers of servers come from package
//! sets, from the bytes of files and from other people's caches, and must not move a terminal's cursor, begin a line of
//! their own, hide, or turn the direction in which others are read.
//!
//! Everything that the program writes to a terminal, and every page that the server gives, goes through here once more at
//! the very end, so that a caller that forgets it leaks nothing. Pure; it knows no terminals and no styles: what styles its
//! own output adds the styles behind this.

use std::io::{self, Write};

/// What stands in the place of a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// Whether a character is no letter or sign to be shown, but an order to whoever shows it: control characters of both
/// sets, marks of direction and what isolates it, what has no width, separators of lines and paragraphs, and tags.
pub fn is_order(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// A text for one line: everything that is an order is replaced, ends of lines too. Tabs stay.
pub fn visible(text: &str) -> String {
    if is_plain(text, b"\t") {
        return text.to_owned();
    }
    text.chars().map(|c| if c != '\t' && is_order(c) { REPLACEMENT } else { c }).collect()
}

/// A text of several lines: their ends stay, also those with a carriage return before them. A form feed, as license texts
/// have them between pages, is left out.
pub fn lines(text: &str) -> String {
    if is_plain(text, b"\t\n") {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\u{c}' => {}
            '\t' | '\n' => clean.push(c),
            c => clean.push(if is_order(c) { REPLACEMENT } else { c }),
        }
    }
    clean
}

/// JSON in which every order is written as an escape: the same value, and nothing in it reaches a terminal raw. White
/// space between values stays.
pub fn json(text: &str) -> String {
    if is_plain(text, b"\t\n\r") {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if is_order(c) && !matches!(c, '\t' | '\n' | '\r') {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            clean.push(c);
        }
    }
    clean
}

/// Whether a text is plain ASCII, as nearly all are, and holds no orders but these.
fn is_plain(text: &str, and: &[u8]) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') || and.contains(&byte))
}

/// Passes on what is written to it through one of the functions above, piece by piece and without cutting characters.
/// Bytes that are no UTF-8 are replaced.
pub struct Clean<W: Write> {
    to: W,
    by: fn(&str) -> String,
    rest: Vec<u8>,
}

impl<W: Write> Clean<W> {
    /// Writes to `to` what `by` makes of the text.
    pub fn new(to: W, by: fn(&str) -> String) -> Self {
        Self { to, by, rest: Vec::new() }
    }

    /// Writes what is left: a character that was cut, or a carriage return that nothing follows.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        self.pass(&rest)?;
        self.to.flush()
    }

    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all((self.by)(&String::from_utf8_lossy(bytes)).as_bytes())
    }
}

impl<W: Write> Write for Clean<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let whole = whole(&all);
        self.rest = all.split_off(whole);
        self.pass(&all)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// How much of a text can be looked at before the rest is there.
fn whole(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(4);
    for at in (last..bytes.len()).rev() {
        let length = match bytes[at] {
            b'\r' if at + 1 == bytes.len() => return at,
            byte if byte < 0x80 => return bytes.len(),
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => continue,
        };
        return if at + length > bytes.len() { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    const ORDERS: &str = "\u{1b}\u{7}\u{8}\u{7f}\u{9b}\u{85}\u{202e}\u{2066}\u{200b}\u{200d}\u{feff}\u{ad}\u{2028}\u{e0041}";

    #[test]
    fn no_order_comes_through() {
        let text = format!("a\tb\r\nc\u{c}{ORDERS}d\re ü");
        let check = |clean: String, ends: &[char]| {
            assert!(clean.chars().all(|c| ends.contains(&c) || !is_order(c)), "{clean:?}");
            clean
        };
        assert!(check(visible(&text), &['\t']).starts_with("a\tb\u{fffd}\u{fffd}c"));
        assert!(check(lines(&text), &['\t', '\n']).starts_with("a\tb\nc\u{fffd}"));
        assert!(check(lines(&text), &['\t', '\n']).ends_with("d\u{fffd}e ü"));
    }

    #[test]
    fn json_keeps_its_value() {
        let check = |text: &str, clean: &str| assert_eq!(json(text), clean);
        check("{\"a\":\n\"b\u{202e}\u{9b}\"}", "{\"a\":\n\"b\\u202e\\u009b\"}");
        check("\"\u{e0041}\"", "\"\\udb40\\udc41\"");
        check("\"ü\\u001b\"", "\"ü\\u001b\"");
    }

    /// However a text is cut, the same comes out.
    #[test]
    fn pieces_are_put_together() {
        let text = format!("ü{ORDERS}\r\n€\u{1d11e}\r");
        let whole = lines(&text);
        for size in 1..text.len() {
            let mut out = Vec::new();
            let mut clean = Clean::new(&mut out, lines);
            text.as_bytes().chunks(size).for_each(|piece| clean.write_all(piece).unwrap());
            clean.finish().unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), whole, "{size}");
        }
        let mut out = Vec::new();
        let mut clean = Clean::new(&mut out, lines);
        clean.write_all(b"a\xffb\xe2\x80").unwrap();
        clean.finish().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\u{fffd}b\u{fffd}");
    }
}
