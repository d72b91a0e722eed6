//! A store path as a NAR stream.

use narthex_closure::StorePath;
use nix_archive::nar::{CaseHack, encode_path};
use std::io::{self, BufWriter, PipeReader, Read, Write};
use std::path::PathBuf;
use std::thread::JoinHandle;

/// The NAR of a store path, read as it is made.
#[derive(Debug)]
pub struct Dump {
    reader: PipeReader,
    writer: Option<JoinHandle<io::Result<()>>>,
}

impl Dump {
    /// Begins to serialize a store path; what cannot be read becomes an error at the end of the stream.
    ///
    /// # Errors
    /// When there is no pipe to be had.
    pub fn of(path: &StorePath) -> io::Result<Self> {
        let (reader, pipe) = io::pipe()?;
        let root = PathBuf::from(path.to_string());
        let writer = std::thread::Builder::new().name("dump".to_owned()).spawn(move || {
            let mut pipe = BufWriter::with_capacity(1 << 16, pipe);
            encode_path(&mut pipe, &root, CaseHack::Disabled).map_err(io::Error::other)?;
            pipe.flush()
        })?;
        Ok(Self { reader, writer: Some(writer) })
    }
}

impl Read for Dump {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count == 0
            && !buffer.is_empty()
            && let Some(writer) = self.writer.take()
        {
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_gone_is_an_error_and_not_an_empty_stream() {
        let path: StorePath = "/nix/store/00000000000000000000000000000000-gone".parse().unwrap();
        let mut nar = Vec::new();
        assert!(Dump::of(&path).unwrap().read_to_end(&mut nar).is_err());
    }
}
