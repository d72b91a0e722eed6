//! Reads lines of whoever evaluates, piece by piece and no longer than a bound: a package may write a line that never ends.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A line is whole.
    Line,
    /// A part of one; more is to come.
    More,
    /// Nothing more comes. What was read of a line is the last one.
    End,
}

/// Reads what is there, to the end of a line at most, and adds it to the line. When it is dropped while it waits, nothing is
/// lost.
pub(super) async fn part(reader: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> io::Result<Part> {
    let there = reader.fill_buf().await?;
    if there.is_empty() {
        return Ok(Part::End);
    }
    let end = there.iter().position(|byte| *byte == b'\n');
    let taken = end.map_or(there.len(), |end| end + 1);
    line.extend_from_slice(&there[..taken]);
    reader.consume(taken);
    Ok(if end.is_some() { Part::Line } else { Part::More })
}

/// Reads a whole line; whether there was one.
///
/// # Errors
/// When it is longer than `most` bytes, with as much of it in memory as was read at once beyond that.
pub(super) async fn whole(
    reader: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    most: usize,
) -> io::Result<bool> {
    loop {
        match part(reader, line).await? {
            Part::Line => return Ok(true),
            Part::End => return Ok(!line.is_empty()),
            Part::More if line.len() > most => {
                return Err(io::Error::other(format!("it writes a line of more than {} MiB", most >> 20)));
            }
            Part::More => {}
        }
    }
}

/// Reads to the end, and keeps about so many bytes of what was said last.
pub(super) async fn last(reader: &mut (impl AsyncBufRead + Unpin), kept: usize) -> io::Result<Vec<u8>> {
    let mut words = Vec::new();
    while part(reader, &mut words).await? != Part::End {
        if words.len() > 2 * kept {
            words.drain(..words.len() - kept);
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, BufReader, repeat};

    #[tokio::test]
    async fn lines_are_read_in_parts() {
        let mut reader = BufReader::with_capacity(4, b"one\nlonger\nrest".as_slice());
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while whole(&mut reader, &mut line, 1 << 20).await.unwrap() {
            lines.push(String::from_utf8(std::mem::take(&mut line)).unwrap());
        }
        assert_eq!(lines, ["one\n", "longer\n", "rest"]);
        let mut words = BufReader::with_capacity(4, b"0123\n456789".as_slice());
        assert_eq!(last(&mut words, 3).await.unwrap(), b"456789");
        let mut more = BufReader::with_capacity(4, b"0123\n4567890".as_slice());
        assert_eq!(last(&mut more, 3).await.unwrap(), b"890");
    }

    #[tokio::test]
    async fn a_line_that_never_ends_is_not_kept() {
        let (mut reader, mut line) = (BufReader::new(repeat(b'x')), Vec::new());
        let error = whole(&mut reader, &mut line, 2 << 20).await.unwrap_err();
        assert_eq!(error.to_string(), "it writes a line of more than 2 MiB");
        assert!(line.len() < 3 << 20, "{}", line.len());
        let mut much = BufReader::new(repeat(b'x').take(8 << 20));
        assert!(last(&mut much, 1000).await.unwrap().len() <= 20_000);
    }
}
