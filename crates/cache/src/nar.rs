//! One pass over a NAR: hash it, list it, compress it, hash the result.

use crate::ObjectName;
use crate::folder::{Folder, FolderError, Staged};
use narthex_closure::NarHash;
use nix_archive::nar::{Event, decode_events_reader};
use nix_derivation::NixHash;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::io::{self, BufReader, BufWriter, Read, Write};

/// zstd's own default. `nix copy` of one NAR of 838 MB took 6.7 s with zstd and 387 s with xz.
const LEVEL: i32 = 3;

/// Why a NAR was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NarError {
    /// The path cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// The stream ended early or is no NAR.
    #[error("what came is not a whole NAR")]
    Malformed(#[source] nix_archive::nar::Error),
    /// It is a NAR, and another one than the permit is for.
    #[error("its NAR hash is {found}, and the permit is for {permitted}")]
    OtherHash {
        /// The hash of what came.
        found: NarHash,
        /// The hash that was permitted.
        permitted: NarHash,
    },
    /// The file could not be written.
    #[error("{0}")]
    Folder(#[from] FolderError),
}

/// A compressed NAR that waits for its place.
pub(crate) struct StagedNar {
    pub(crate) staged: Staged,
    pub(crate) name: ObjectName,
    pub(crate) file_hash: NixHash,
    pub(crate) file_size: u64,
    pub(crate) nar_size: u64,
    /// The `.ls` object.
    pub(crate) listing: Vec<u8>,
}

/// Reads a NAR to its end into the staging folder; it must have the hash that is permitted.
pub(crate) fn stage(folder: &Folder, nar: impl Read, permitted: NarHash) -> Result<StagedNar, NarError> {
    let staged = folder.stage()?;
    let path = staged.path().to_owned();
    let failed = |error| FolderError::new("cannot write", &path, error);
    let file = Hashing { inner: BufWriter::with_capacity(1 << 20, staged), hash: Sha256::new(), size: 0 };
    let encoder = zstd::Encoder::new(file, LEVEL).map_err(failed)?;
    let size = Cell::new(0);
    let mut tee = Tee {
        reader: BufReader::with_capacity(1 << 20, nar),
        hash: Sha256::new(),
        size: &size,
        encoder,
        write_error: None,
    };
    let mut listing = Listing::default();
    let decoded = decode_events_reader(&mut tee, |event| {
        listing.event(event, size.get());
        Ok(())
    });
    let Tee { hash, encoder, write_error, .. } = tee;
    let nar_size = size.get();
    let finished = encoder.finish().and_then(|mut file| file.flush().map(|()| file));
    // What could not be written is named before what follows from it.
    if let Some(error) = write_error {
        return Err(failed(error).into());
    }
    let file = finished.map_err(failed)?;
    decoded.map_err(NarError::Malformed)?;
    let found = NarHash::from_sha256(hash.finalize().into());
    if found != permitted {
        return Err(NarError::OtherHash { found, permitted });
    }
    let file_hash = NixHash::Sha256(file.hash.finalize().into());
    let digest = nix_derivation::nixbase32::encode(file_hash.digest_as_bytes());
    let staged = file.inner.into_inner().map_err(|error| failed(error.into_parts().0))?;
    Ok(StagedNar {
        staged,
        name: ObjectName::Nar(digest),
        file_hash,
        file_size: file.size,
        nar_size,
        listing: listing.finish(),
    })
}

/// Hands bytes on to the compressor as the decoder takes them, and so sees each exactly once.
struct Tee<'s, R, W: Write> {
    reader: R,
    hash: Sha256,
    /// Bytes handed on so far; the decoder takes exactly what it needs, so this is where it stands.
    size: &'s Cell<u64>,
    encoder: zstd::Encoder<'static, W>,
    write_error: Option<io::Error>,
}

impl<R: Read, W: Write> Read for Tee<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let bytes = &buffer[..count];
        self.hash.update(bytes);
        self.size.set(self.size.get() + count as u64);
        if let Err(error) = self.encoder.write_all(bytes) {
            let seen = io::Error::new(error.kind(), error.to_string());
            self.write_error = Some(error);
            return Err(seen);
        }
        Ok(count)
    }
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes the listing that `nix store ls` reads, version 1 of `.ls`, while the events come: a NAR has its names in order,
/// and none of them twice.
///
/// Names and targets are written byte for byte, as Nix 2.8 does. Where they are not UTF-8 the listing is not quite JSON, and
/// nothing is lost: every replacement would make one name of several. (Later versions of Nix write no listing then, and
/// end with an error.)
struct Listing {
    text: Vec<u8>,
    /// Whether something stands already in each folder that is open.
    open: Vec<bool>,
}

impl Default for Listing {
    fn default() -> Self {
        Self { text: br#"{"version":1,"root":"#.to_vec(), open: Vec::new() }
    }
}

impl Listing {
    /// `offset` is where in the NAR the event's contents begin.
    fn event<R: ?Sized>(&mut self, event: Event<'_, nix_archive::nar::FileContents<'_, R>>, offset: u64) {
        match event {
            Event::DirectoryStart { name } => {
                self.begin(name);
                self.text.extend(br#"{"type":"directory","entries":{"#);
                self.open.push(false);
            }
            Event::DirectoryEnd { .. } => {
                self.open.pop();
                self.text.extend(b"}}");
            }
            Event::Regular { name, executable, contents } => {
                self.begin(name);
                let executable = if executable { r#""executable":true,"# } else { "" };
                let size = contents.size();
                let node = format!(r#"{{"type":"regular","size":{size},{executable}"narOffset":{offset}}}"#);
                self.text.extend(node.into_bytes());
            }
            Event::Symlink { name, target } => {
                self.begin(name);
                self.text.extend(br#"{"type":"symlink","target":"#);
                self.string(target);
                self.text.push(b'}');
            }
        }
    }

    /// What stands before a node: its name, where it is in a folder.
    fn begin(&mut self, name: Option<&[u8]>) {
        let Some(filled) = self.open.last_mut() else { return };
        if std::mem::replace(filled, true) {
            self.text.push(b',');
        }
        self.string(name.unwrap_or_default());
        self.text.push(b':');
    }

    fn string(&mut self, bytes: &[u8]) {
        self.text.push(b'"');
        for chunk in bytes.utf8_chunks() {
            let valid = Value::from(chunk.valid()).to_string();
            self.text.extend(&valid.as_bytes()[1..valid.len() - 1]);
            self.text.extend(chunk.invalid());
        }
        self.text.push(b'"');
    }

    fn finish(mut self) -> Vec<u8> {
        self.text.push(b'}');
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix_archive::nar::{CaseHack, encode_path};
    use serde_json::json;

    fn nar_of_small_tree() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        std::fs::write(dir.path().join("bin/x"), b"hello").unwrap();
        std::os::unix::fs::symlink("bin/x", dir.path().join("y")).unwrap();
        let mut nar = Vec::new();
        encode_path(&mut nar, dir.path(), CaseHack::Disabled).unwrap();
        nar
    }

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("objects"), dir.path().join("tmp")).unwrap();
        (dir, folder)
    }

    fn hash(nar: &[u8]) -> NarHash {
        NarHash::from_sha256(Sha256::digest(nar).into())
    }

    #[test]
    fn a_nar_is_hashed_listed_and_compressed_in_one_pass() {
        let (nar, (_dir, folder)) = (nar_of_small_tree(), folder());
        let staged = stage(&folder, nar.as_slice(), hash(&nar)).unwrap();
        assert_eq!(staged.nar_size, nar.len() as u64);
        let listing: Value = serde_json::from_slice(&staged.listing).unwrap();
        let offset = nar.windows(5).position(|window| window == b"hello").unwrap();
        assert_eq!(
            listing,
            json!({"version": 1, "root": {"type": "directory", "entries": {
                "bin": {"type": "directory", "entries": {"x": {"type": "regular", "size": 5, "narOffset": offset}}},
                "y": {"type": "symlink", "target": "bin/x"}}}})
        );
        folder.commit(staged.staged, &staged.name).unwrap();
        let file = folder.get(&staged.name).unwrap().unwrap();
        assert_eq!(file.len() as u64, staged.file_size);
        assert_eq!(zstd::decode_all(file.as_slice()).unwrap(), nar);
    }

    /// As Nix 2.8 writes it for the same files, with `nix copy --to 'file:///…?write-nar-listing=true'`.
    #[test]
    fn names_that_are_no_text_stand_as_they_are() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let name = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
        let files: [(&[u8], &str); 8] = [
            (b"a\xfe", "y"),
            (b"a\xff", "x"),
            (b"b", "q2"),
            (b"b~nix~case~hack~1", "q"),
            (b"c\x01\"\\\n", "z"),
            ("d\u{fffd}".as_bytes(), "3"),
            (b"d\xff", "4"),
            (b"plain", "t"),
        ];
        for (file, text) in files {
            std::fs::write(dir.path().join(name(file)), text).unwrap();
        }
        std::os::unix::fs::symlink(name(b"t\xff"), dir.path().join("link")).unwrap();
        let mut nar = Vec::new();
        encode_path(&mut nar, dir.path(), CaseHack::Disabled).unwrap();
        let folder = folder();
        let listing = stage(&folder.1, nar.as_slice(), hash(&nar)).unwrap().listing;
        let has = |part: &[u8]| listing.windows(part.len()).any(|window| window == part);
        assert!(listing.starts_with(br#"{"version":1,"root":{"type":"directory","entries":{"a"#));
        for (file, text) in files {
            let at = nar.windows(text.len() + 8).position(|w| w[8..] == *text.as_bytes() && w[..8] == (text.len() as u64).to_le_bytes());
            let escaped = if file.starts_with(b"c") { br#"c\u0001\"\\\n"# } else { file };
            let node = format!(r#"{{"type":"regular","size":{},"narOffset":{}}}"#, text.len(), at.unwrap() + 8);
            let entry = [b"\"", escaped, b"\":", node.as_bytes()].concat();
            assert!(has(&entry), "{} in {}", String::from_utf8_lossy(&entry), String::from_utf8_lossy(&listing));
        }
        assert!(has(b"\"link\":{\"type\":\"symlink\",\"target\":\"t\xff\"}"));
        // What cannot be told apart as text is read as the files that it is.
        let read = crate::shelf::listed(&listing).unwrap();
        assert_eq!(read.len(), files.len());
        assert!(read.iter().zip(files).all(|(read, (_, text))| read.size == text.len() as u64), "{read:?}");
    }

    #[test]
    fn a_cut_or_another_nar_is_not_taken() {
        let (nar, (dir, folder)) = (nar_of_small_tree(), folder());
        assert!(matches!(stage(&folder, &nar[..nar.len() - 8], hash(&nar)), Err(NarError::Malformed(_))));
        let mut other = nar.clone();
        let at = nar.windows(5).position(|w| w == b"hello").unwrap();
        other[at] = b'j';
        assert!(matches!(stage(&folder, other.as_slice(), hash(&nar)), Err(NarError::OtherHash { .. })));
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}
