//! Nix's own archives.

use super::{Kind, Walk, broken, compressed::without_ending, shown_name};
use crate::finding::{Gap, Place};
use nix_archive::nar::{Error, Event, decode_events};

impl Walk<'_> {
    /// Shows the regular files; the archive of a single file has one member, named as the archive is.
    pub(super) fn nar(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let mut folders: Vec<String> = Vec::new();
        let mut stopped = None;
        self.lying(place, Kind::Nar, |walk, queue| {
            let decoded = decode_events(bytes, |event| {
                match event {
                    Event::DirectoryStart { name } => folders.extend(name.map(shown_name)),
                    Event::DirectoryEnd { name } => {
                        if name.is_some() {
                            folders.pop();
                        }
                    }
                    Event::Regular { name, contents, .. } => {
                        let path = match name {
                            Some(name) => [folders.as_slice(), &[shown_name(name)]].concat().join("/"),
                            None => without_ending(place),
                        };
                        if let Err(gap) = walk.queue(queue, path, contents) {
                            stopped = Some(gap);
                            // Which error stops the reader does not matter: the gap says why.
                            return Err(Error::TrailingBytes);
                        }
                    }
                    Event::Symlink { .. } => {}
                }
                Ok(())
            });
            stopped.map_or_else(|| decoded.map_err(broken), Err)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cuts_are_gaps, flips_do_no_harm, gaps_of, opens};
    use crate::Limits;
    use crate::finding::Gap;
    use nix_archive::nar::Encoder;

    fn tree() -> Vec<u8> {
        let mut nar = Encoder::new(Vec::new()).unwrap();
        nar.start_directory(None).unwrap();
        nar.start_directory(Some(b"bin")).unwrap();
        nar.regular(Some(b"\xffx"), true, b"program").unwrap();
        nar.end_directory().unwrap();
        nar.symlink(Some(b"link"), b"bin").unwrap();
        nar.regular(Some(b"z.txt"), false, b"text").unwrap();
        nar.end_directory().unwrap();
        nar.finish().unwrap()
    }

    #[test]
    fn regular_files_are_members() {
        opens("x.nar", &tree(), &["bin/\\xffx", "z.txt"]);
        let mut file = Encoder::new(Vec::new()).unwrap();
        file.regular(None, false, b"text").unwrap();
        opens("share/x.nar", &file.finish().unwrap(), &["x"]);
    }

    #[test]
    fn damage_and_bounds_are_gaps() {
        cuts_are_gaps("x.nar", &tree(), 24);
        flips_do_no_harm("x.nar", &tree());
        let limits = Limits { members: 1, ..Limits::default() };
        assert_eq!(gaps_of("x.nar", &tree(), limits), [("x.nar".to_owned(), Gap::TooMany(1))]);
    }
}
