//! Unpacks LZ4 blocks, as far as they are asked for.
//!
//! Names stand at the beginning of device code, and libraries for LZ4 unpack a block as a whole or not
//! at all. There are no frames, no dictionaries and no checksums here: fatbin entries have none.

use super::Unreadable;

/// A match of fewer bytes is not expressed.
const SHORTEST_MATCH: usize = 4;

/// A block that is being unpacked.
pub(super) struct Block<'a> {
    rest: &'a [u8],
}

impl<'a> Block<'a> {
    pub(super) fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    /// Unpacks until `out` has at least `until` bytes or the block ends, and says whether it ended.
    ///
    /// `out` holds what this block has given so far and nothing else, and never gets more than `most` bytes.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, until: usize, most: usize) -> Result<bool, Unreadable> {
        while out.len() < until {
            let Some((&token, mut rest)) = self.rest.split_first() else { return Ok(true) };
            let literals = length(token >> 4, &mut rest).ok_or(Unreadable::Damaged)?;
            let (literals, mut rest) = rest.split_at_checked(literals).ok_or(Unreadable::Damaged)?;
            if literals.len() > most.saturating_sub(out.len()) {
                return Err(Unreadable::TooLarge);
            }
            out.extend_from_slice(literals);
            // The last sequence of a block has no match.
            let Some((&offset, after)) = rest.split_first_chunk() else {
                self.rest = &[];
                return if rest.is_empty() { Ok(true) } else { Err(Unreadable::Damaged) };
            };
            rest = after;
            let offset = usize::from(u16::from_le_bytes(offset));
            let matched = length(token & 15, &mut rest).ok_or(Unreadable::Damaged)? + SHORTEST_MATCH;
            if offset == 0 || offset > out.len() {
                return Err(Unreadable::Damaged);
            }
            if matched > most.saturating_sub(out.len()) {
                return Err(Unreadable::TooLarge);
            }
            repeat(out, offset, matched);
            self.rest = rest;
        }
        Ok(self.rest.is_empty())
    }
}

/// Adds `length` bytes, each equal to the one `offset` bytes before it; `offset` lies within `out`.
fn repeat(out: &mut Vec<u8>, offset: usize, length: usize) {
    let (start, end) = (out.len() - offset, out.len() + length);
    // What was just written may be repeated as well, so the pieces double.
    while out.len() < end {
        let piece = (end - out.len()).min(out.len() - start);
        out.extend_from_within(start..start + piece);
    }
}

/// Reads the bytes that continue a length of 15.
#[inline]
fn length(first: u8, rest: &mut &[u8]) -> Option<usize> {
    let mut length = usize::from(first);
    if first == 15 {
        loop {
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            length += usize::from(byte);
            if byte != 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(block: &[u8], most: usize) -> Result<Vec<u8>, Unreadable> {
        let mut out = Vec::new();
        Block::new(block).fill(&mut out, usize::MAX, most).map(|ended| {
            assert!(ended);
            out
        })
    }

    #[test]
    fn blocks_are_unpacked() {
        let check = |block: &[u8], expected: Result<&[u8], Unreadable>| {
            assert_eq!(unpacked(block, 100), expected.map(<[u8]>::to_vec), "{block:?}");
        };
        check(b"", Ok(b""));
        check(b"\x30abc", Ok(b"abc"));
        check(b"\xf0\x01abcdefghijklmnop", Ok(b"abcdefghijklmnop"));
        check(b"\x32ab|\x03\0\x10!", Ok(b"ab|ab|ab|!"));
        check(b"\x1fa\x01\0\x05\0", Ok(&[b'a'; 25]));
        check(b"\x1fa\x01\0\xff", Err(Unreadable::Damaged));
        check(b"\x40abc", Err(Unreadable::Damaged));
        check(b"\x10a\x02\0", Err(Unreadable::Damaged));
        check(b"\x10a\0\0", Err(Unreadable::Damaged));
        check(b"\x10a\x01", Err(Unreadable::Damaged));
        check(b"\x1fa\x01\0\x50\0", Ok(&[b'a'; 100]));
        check(b"\x1fa\x01\0\x51\0", Err(Unreadable::TooLarge));
    }

    #[test]
    fn unpacking_goes_on_where_it_stopped() {
        let block = b"\x32ab|\x03\0\x1fx\x02\0\x40\x30end";
        let whole = unpacked(block, 1000).unwrap();
        for until in 0..=whole.len() {
            let (mut out, mut begun) = (Vec::new(), Block::new(block));
            begun.fill(&mut out, until, 1000).unwrap();
            assert!(out.len() >= until);
            assert!(begun.fill(&mut out, usize::MAX, 1000).unwrap());
            assert_eq!(out, whole);
        }
    }
}
