//! The files of a store path, or of any folder, mapped for the audit.

use crate::map::Mapped;
use narthex_closure::StorePath;
use std::fmt::Write;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Smaller files are read: a mapping costs more, and a process may have only so many.
const MAPPED_FROM: u64 = 64 * 1024;

/// What cannot be mapped is read up to this size. A file can claim any size without taking space on a
/// disk, and would take it in memory.
const READ_UP_TO: u64 = 1 << 30;

/// The regular files below a store path or a folder, without following links.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    paths: Vec<PathBuf>,
    /// Folders and files that could not be listed, and why.
    unreadable: Vec<(String, String)>,
}

/// One opened file.
#[derive(Debug)]
pub struct TreeFile {
    /// Path below the root, with `/`; empty where the root is itself a file. A byte that is not part of
    /// any UTF-8 is shown as `\xff`.
    pub path: String,
    /// Its bytes, or why they cannot be had.
    pub bytes: Result<Bytes, String>,
    /// Where a mapped file was found, and in what state.
    found: Option<(PathBuf, State)>,
}

impl TreeFile {
    /// Why nothing that was read from it counts, if it changed since it was opened.
    ///
    /// Only mappings can change: what is read is compared at once.
    pub fn changed(&self) -> Option<&'static str> {
        let torn = self.bytes.as_ref().is_ok_and(Bytes::torn);
        let touched = || self.found.as_ref().is_some_and(|(path, state)| state.is_outdated(path));
        (torn || touched()).then_some(CHANGED)
    }
}

const CHANGED: &str = "it changed while it was read";

/// What tells whether a file was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl State {
    fn of(meta: &Metadata) -> Self {
        Self { file: (meta.dev(), meta.ino()), size: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) }
    }

    /// Whether the file was written to. One that another has replaced was not: a mapping keeps the old one,
    /// and Nix replaces equal files of the store by hard links.
    fn is_outdated(&self, path: &Path) -> bool {
        let now = std::fs::symlink_metadata(path).map(|meta| Self::of(&meta));
        now.is_ok_and(|now| now.file == self.file && now != *self)
    }
}

/// Bytes in memory or mapped from a file.
#[derive(Debug)]
pub enum Bytes {
    /// Read.
    Read(Vec<u8>),
    /// Mapped.
    Mapped(Mapped),
}

impl Bytes {
    /// Whether zeros were read in place of what the file held when it was opened.
    pub fn torn(&self) -> bool {
        match self {
            Self::Read(_) => false,
            Self::Mapped(mapped) => mapped.torn(),
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Opens one file: a large one is mapped.
///
/// # Errors
/// When it is no regular file, or cannot be opened.
pub fn open_file(path: &Path) -> std::io::Result<Bytes> {
    let path = path.canonicalize()?;
    open(&path).map(|(bytes, _)| bytes)
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(mapped) => mapped,
        }
    }
}

impl Tree {
    /// Lists the files of a store path, in the order of their names. A path that is itself a link has none.
    pub fn of(path: &StorePath) -> Self {
        Self::list(PathBuf::from(path.to_string()))
    }

    /// Lists the files below any folder, or a single file. A link that is named is followed, such as
    /// `./result`; links below it are not.
    pub fn below(root: PathBuf) -> Self {
        if !std::fs::symlink_metadata(&root).is_ok_and(|meta| meta.is_symlink()) {
            return Self::list(root);
        }
        match std::fs::canonicalize(&root) {
            Ok(target) => Self::list(target),
            Err(error) => Self { root, paths: Vec::new(), unreadable: vec![(String::new(), error.to_string())] },
        }
    }

    fn list(root: PathBuf) -> Self {
        let mut tree = Self { root: root.clone(), paths: Vec::new(), unreadable: Vec::new() };
        tree.walk(root);
        tree.paths.sort();
        tree.unreadable.sort();
        tree
    }

    fn walk(&mut self, path: PathBuf) {
        let mut todo = vec![path];
        while let Some(path) = todo.pop() {
            let listed = std::fs::symlink_metadata(&path).and_then(|meta| {
                if meta.is_dir() {
                    for entry in std::fs::read_dir(&path)? {
                        todo.push(entry?.path());
                    }
                } else if meta.is_file() {
                    self.paths.push(path.clone());
                } else if path == self.root && !meta.is_symlink() {
                    // Below the root, pipes, sockets and devices are passed over: no NAR can hold them.
                    return Err(not_regular());
                }
                Ok(())
            });
            if let Err(error) = listed {
                self.unreadable.push((self.relative(&path), error.to_string()));
            }
        }
    }

    fn relative(&self, path: &Path) -> String {
        shown(path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.paths.len() + self.unreadable.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens files in batches, so that not all need be open at once.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = Vec<TreeFile>> {
        let unreadable = self.unreadable.iter().map(|(path, why)| TreeFile {
            path: path.clone(),
            bytes: Err(why.clone()),
            found: None,
        });
        let unreadable: Vec<TreeFile> = unreadable.collect();
        let opened = self.paths.chunks(size).map(|chunk| chunk.iter().map(|path| self.open(path)).collect());
        std::iter::once(unreadable).filter(|batch| !batch.is_empty()).chain(opened)
    }

    fn open(&self, path: &Path) -> TreeFile {
        let shown = self.relative(path);
        match open(path) {
            Ok((bytes @ Bytes::Mapped(_), state)) => {
                TreeFile { path: shown, bytes: Ok(bytes), found: Some((path.to_owned(), state)) }
            }
            Ok((bytes, _)) => TreeFile { path: shown, bytes: Ok(bytes), found: None },
            Err(error) => TreeFile { path: shown, bytes: Err(error.to_string()), found: None },
        }
    }
}

/// A path as text, so that paths that differ in a byte that is no UTF-8 have different texts.
fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn not_regular() -> std::io::Error {
    std::io::Error::other("it is neither a file nor a folder")
}

fn open(path: &Path) -> std::io::Result<(Bytes, State)> {
    // It may have become something else since it was listed: opening a pipe would wait for its other end.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(not_regular());
    }
    let state = State::of(&meta);
    if state.size >= MAPPED_FROM
        && let Ok(size) = usize::try_from(state.size)
        && let Some(mapped) = Mapped::of(&file, size)
    {
        return Ok((Bytes::Mapped(mapped), state));
    }
    Ok((Bytes::Read(read(&file, state)?), state))
}

/// Reads a file that has to be as its state says, before and after.
fn read(file: &File, state: State) -> std::io::Result<Vec<u8>> {
    if state.size > READ_UP_TO {
        return Err(std::io::Error::other("it cannot be mapped, and is too large to be read"));
    }
    let mut bytes = Vec::with_capacity(state.size as usize + 1);
    file.take(state.size + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != state.size || State::of(&file.metadata()?) != state {
        return Err(std::io::Error::other(CHANGED));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_without_following_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("lib")).unwrap();
        std::fs::write(dir.path().join("lib/small"), b"s").unwrap();
        std::fs::write(dir.path().join("large"), vec![7; 100_000]).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let files: Vec<TreeFile> = Tree::below(dir.path().to_owned()).batches(1).flatten().collect();
        let shown: Vec<_> = files.iter().map(|f| (f.path.as_str(), f.bytes.as_ref().unwrap().len())).collect();
        assert_eq!(shown, [("large", 100_000), ("lib/small", 1)]);
    }

    #[test]
    fn what_is_gone_is_unreadable_and_not_absent() {
        let files: Vec<TreeFile> = Tree::below("/nowhere/at/all".into()).batches(9).flatten().collect();
        assert_eq!(files.len(), 1);
        assert!(files[0].bytes.is_err());
    }

    /// What a tree shows: each path with its length, or why it cannot be read.
    fn seen(root: &Path) -> Vec<(String, Result<usize, String>)> {
        let tree = Tree::below(root.to_owned());
        tree.batches(9).flatten().map(|file| (file.path, file.bytes.map(|bytes| bytes.len()))).collect()
    }

    #[test]
    fn a_link_is_followed_where_it_is_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("folder"), dir.path().join("file"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("inner"), b"12").unwrap();
        std::fs::write(&file, b"123").unwrap();
        for (name, target, expected) in [
            ("to-folder", "folder", ("inner", Ok(2))),
            ("to-file", "file", ("", Ok(3))),
            ("to-link", "to-folder", ("inner", Ok(2))),
            ("to-nothing", "nothing", ("", Err("No such file or directory (os error 2)".to_owned()))),
        ] {
            std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
            assert_eq!(seen(&dir.path().join(name)), [(expected.0.to_owned(), expected.1)], "{name}");
        }
        std::os::unix::fs::symlink("../file", folder.join("link")).unwrap();
        assert_eq!(seen(&folder).len(), 1, "a link below the root is not followed");
    }

    #[test]
    fn names_that_are_not_utf_8_stay_apart() {
        use std::ffi::OsStr;
        let dir = tempfile::tempdir().unwrap();
        for name in [b"a\xfe".as_slice(), b"a\xff", b"\xc3\xa9\xc3", b"\xe2\x82z"] {
            std::fs::write(dir.path().join(OsStr::from_bytes(name)), name).unwrap();
        }
        let names: Vec<String> = seen(dir.path()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a\\xfe", "a\\xff", "é\\xc3", "\\xe2\\x82z"]);
    }

    #[test]
    fn pipes_sockets_and_devices_are_passed_over_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        std::fs::write(dir.path().join("file"), b"1").unwrap();
        assert_eq!(seen(dir.path()), [("file".to_owned(), Ok(1))]);
        // One that is named is not passed over in silence.
        for root in [pipe.as_path(), Path::new("/dev/zero")] {
            assert_eq!(seen(root), [(String::new(), Err("it is neither a file nor a folder".to_owned()))]);
        }
        // One that took the place of a file after that was listed.
        assert_eq!(open(&pipe).unwrap_err().to_string(), "it is neither a file nor a folder");
    }

    #[test]
    fn what_cannot_be_opened_is_unreadable_and_hides_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), b"1").unwrap();
        std::fs::write(dir.path().join("b"), b"12").unwrap();
        let tree = Tree::below(dir.path().to_owned());
        std::fs::remove_file(dir.path().join("a")).unwrap();
        let files: Vec<TreeFile> = tree.batches(9).flatten().collect();
        assert_eq!((files[0].path.as_str(), files[0].bytes.is_err()), ("a", true));
        assert_eq!((files[1].path.as_str(), files[1].bytes.as_ref().unwrap().len()), ("b", 2));
        // A regular file that opens and does not read.
        assert!(matches!(seen(Path::new("/proc/self/mem")).as_slice(), [(_, Err(_))]));
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_unreadable_and_hides_nothing_else() {
        // Root may list everything. What it cannot do either is to name a path of more than 4096 bytes, and
        // such a folder comes about by moving one of two long paths below the other.
        let dir = tempfile::tempdir().unwrap();
        let long = |top: &str| (0..12).fold(dir.path().join(top), |path, _| path.join("n".repeat(200)));
        std::fs::create_dir_all(long("one")).unwrap();
        std::fs::create_dir_all(long("two")).unwrap();
        std::fs::rename(dir.path().join("two"), long("one").join("two")).unwrap();
        std::fs::write(dir.path().join("file"), b"1").unwrap();
        let found = seen(dir.path());
        let [(folder, Err(_)), (file, Ok(1))] = found.as_slice() else { panic!("{found:?}") };
        assert!(folder.starts_with("one/nnn"));
        assert_eq!(file, "file");
    }

    #[test]
    fn a_file_of_five_gibibytes_is_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        File::create(&path).unwrap().set_len(5 << 30).unwrap();
        let files: Vec<TreeFile> = Tree::below(path).batches(1).flatten().collect();
        let bytes = files[0].bytes.as_ref().unwrap();
        assert!(matches!(bytes, Bytes::Mapped(_)));
        assert_eq!((bytes.len(), bytes.last(), files[0].changed()), (5 << 30, Some(&0), None));
    }

    #[test]
    fn hard_links_are_files_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), vec![1; 70_000]).unwrap();
        std::fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert_eq!(seen(dir.path()), [("a".to_owned(), Ok(70_000)), ("b".to_owned(), Ok(70_000))]);
    }

    #[test]
    fn a_mapped_file_that_is_written_to_has_changed() {
        let check = |expected: bool, change: &dyn Fn(&Path)| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            std::fs::write(&path, vec![1; 100_000]).unwrap();
            let year_1970 = File::options().write(true).open(&path).unwrap();
            year_1970.set_modified(std::time::UNIX_EPOCH).unwrap();
            let file = Tree::below(path.clone()).batches(1).flatten().next().unwrap();
            assert_eq!(file.changed(), None);
            change(&path);
            assert_eq!(file.bytes.as_ref().unwrap().len(), 100_000);
            assert_eq!(file.changed().is_some(), expected);
        };
        let open = |path: &Path| File::options().write(true).open(path).unwrap();
        check(false, &|_| {});
        // Within the last page, where reading behind the end is no fault.
        check(true, &|path| open(path).set_len(99_999).unwrap());
        check(true, &|path| open(path).set_len(100_001).unwrap());
        check(true, &|path| std::io::Write::write_all(&mut open(path), b"2").unwrap());
        // The bytes that are mapped are those of the old file.
        check(false, &|path| std::fs::remove_file(path).unwrap());
        check(false, &|path| {
            std::fs::write(path.with_extension("new"), b"new").unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        });
        check(false, &|path| std::fs::hard_link(path, path.with_extension("link")).unwrap());
    }

    #[test]
    fn a_file_that_is_read_has_to_be_as_long_as_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        let file = File::open(&path).unwrap();
        let state = State::of(&file.metadata().unwrap());
        for (size, expected) in [(5, true), (4, false), (6, false), (READ_UP_TO + 1, false)] {
            use std::io::Seek;
            (&file).rewind().unwrap();
            assert_eq!(read(&file, State { size, ..state }).is_ok(), expected, "{size}");
        }
    }
}
