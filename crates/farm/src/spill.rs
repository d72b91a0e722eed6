//! Lends the audit temporary files for what archives unpack to.

use narthex_audit::{Limits, Spill, Spilled};
use narthex_nix::{Mapped, Scratch};
use std::io::{self, Write};

/// The usual bounds, with temporary files for what is too large for memory.
pub(crate) fn limits() -> Limits {
    Limits { spill: Some(open), ..Limits::default() }
}

fn open() -> io::Result<Box<dyn Spill>> {
    Ok(Box::new(Lent(Scratch::new()?)))
}

struct Lent(Scratch);

impl Write for Lent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Spill for Lent {
    fn finish(self: Box<Self>) -> io::Result<Box<dyn Spilled>> {
        Ok(Box::new(Read(self.0.map()?)))
    }
}

struct Read(Mapped);

impl Spilled for Read {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn is_torn(&self) -> bool {
        self.0.torn()
    }
}
