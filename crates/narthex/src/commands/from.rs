//! Files and pipes with lines that `nix-eval-jobs` wrote.
//!
//! Reading and decompressing go on in a thread of their own while lines are understood.

use crate::error::CommandError;
use crate::render;
use narthex_farm::{Inventory, Lines};
use narthex_nix::read_present;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How much is handed from one thread to the other at once, and how many such pieces may wait.
const PIECE: usize = 1 << 20;
const WAITING: usize = 4;
/// Of many bad lines, so many are shown.
const SHOWN: usize = 10;
/// How every zstd frame begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads all files. What is wrong with a line, and a stream that was cut, is shown; the second value says that there
/// was nothing of that kind.
///
/// # Errors
/// When a file cannot be opened.
pub(crate) fn read(files: &[PathBuf]) -> Result<(Inventory, bool), CommandError> {
    let mut lines = Lines::default();
    let mut wrong = 0;
    for file in files {
        let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
        let unreadable = |error: &io::Error| CommandError::usage(format!("{name} cannot be read")).caused_by(error);
        let input = open(file).map_err(|error| unreadable(&error))?;
        let mut number = 0;
        let mut complain = |line: Option<usize>, what: &str| {
            wrong += 1;
            if wrong <= SHOWN {
                let place = line.map_or_else(|| name.clone(), |line| format!("{name}:{line}"));
                render::warning(&format!("{place}: {what}"));
            }
        };
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(WAITING);
            scope.spawn(move || pieces(input, &sender));
            understand(&receiver, &mut lines, &mut number, &mut complain);
        });
        if lines.was_cut() {
            complain(
                None,
                "it was cut off: the line is missing with which `narthex eval` ends. What else is missing is not known",
            );
        }
        if number == 0 {
            complain(None, "it is empty: did what should have written it fail?");
        }
    }
    if wrong > SHOWN {
        render::warning(&format!("… and {} that cannot be used", render::count(wrong - SHOWN, "more line")));
    }
    // What no line describes may have its file on this machine, and what that names as well.
    let undescribed = lines.undescribed();
    if !undescribed.is_empty() {
        let graph = read_present(undescribed, |path| lines.describes(path));
        lines.derivations(&graph);
    }
    Ok((lines.finish(), wrong == 0))
}

fn open(file: &Path) -> io::Result<Box<dyn Read + Send>> {
    let plain: Box<dyn Read + Send> =
        if file == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let mut plain = BufReader::with_capacity(PIECE, plain);
    let compressed = plain.fill_buf()?.starts_with(&ZSTD);
    Ok(if compressed { Box::new(zstd::Decoder::with_buffer(plain)?) } else { Box::new(plain) })
}

/// Cuts a stream at the ends of lines; the last piece may lack one.
fn pieces(mut input: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let mut piece = std::mem::take(&mut rest);
        piece.reserve(PIECE);
        let result = (&mut input).take(PIECE as u64).read_to_end(&mut piece);
        let ended = !matches!(result, Ok(1..));
        if !ended {
            // A line that is longer than a piece goes on in the next one.
            let end = piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            rest = piece.split_off(end);
        }
        // Nobody listens any more: nothing is left to do.
        if sender.send(Ok(piece)).is_err() || ended {
            if let Err(error) = result {
                let _ = sender.send(Err(error));
            }
            return;
        }
    }
}

fn understand(
    pieces: &Receiver<io::Result<Vec<u8>>>,
    lines: &mut Lines,
    number: &mut usize,
    complain: &mut dyn FnMut(Option<usize>, &str),
) {
    for piece in pieces {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                complain(None, &format!("it ends after {}, before it should: {error}", render::count(*number, "line")));
                continue;
            }
        };
        // The text behind the last end of a line is one more line, unless it is empty.
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            *number += 1;
            // Some editors put a mark before the first line.
            let line = if *number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
            let cut = if line.ends_with(b"\n") { "" } else { " (the last line has no end: was it cut?)" };
            match std::str::from_utf8(line) {
                Err(_) => complain(Some(*number), &format!("it is no UTF-8{cut}")),
                Ok(text) => {
                    if let Err(error) = lines.line(text) {
                        complain(Some(*number), &format!("{error}{cut}"));
                    }
                }
            }
        }
    }
}
