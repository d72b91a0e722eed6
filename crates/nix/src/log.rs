//! The logs of builds, read from where Nix keeps them.
//!
//! Nix writes them to a folder that every user may read, and asking Nix for each of them costs a process. It is asked only
//! where the folder is not where it should be or cannot be read. A log that is too long is never held whole.

use crate::{Nix, ansi, child};
use narthex_closure::StorePath;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncReadExt;

/// Where Nix keeps logs if nobody says otherwise.
const FOLDER: &str = "/nix/var/log/nix";

impl Nix {
    /// The log of a derivation's last build, if Nix kept it and it is no longer than so many bytes.
    pub async fn log(&self, derivation: &StorePath, longest: u64) -> Option<Vec<u8>> {
        let log = match self.log_folder().await {
            Some(folder) => read_log(&folder, derivation, longest).ok()??,
            None => self.ask_for_log(derivation, longest).await?,
        };
        if log.len() as u64 > longest {
            return None;
        }
        let text =
            String::from_utf8(log).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Some(ansi::strip(&text).into_bytes())
    }

    /// The folder that holds the logs, where it can be read.
    async fn log_folder(&self) -> Option<PathBuf> {
        let store = self.setting("store").await.ok()?;
        let named = std::env::var_os("NIX_LOG_DIR").map(PathBuf::from);
        let folder = in_store(&store).or(named).unwrap_or_else(|| PathBuf::from(FOLDER)).join("drvs");
        std::fs::read_dir(&folder).is_ok().then_some(folder)
    }

    /// The log as Nix gives it; a little more than the longest, where it is longer.
    async fn ask_for_log(&self, derivation: &StorePath, longest: u64) -> Option<Vec<u8>> {
        let mut command = self.command("nix-store");
        command.args(["--read-log", &derivation.to_string()]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child::Running::start(&mut command).ok()?;
        let mut log = Vec::new();
        let mut output = child.stdout()?.take(longest + 1);
        output.read_to_end(&mut log).await.ok()?;
        if log.len() as u64 > longest {
            let _ = child.kill().await;
            return Some(log);
        }
        drop(output);
        child.wait().await.ok()?.success().then_some(log)
    }
}

/// The folder that the setting `store` names for logs.
fn in_store(store: &str) -> Option<PathBuf> {
    let (_, parameters) = store.split_once('?')?;
    let named = parameters.split('&').find_map(|parameter| parameter.strip_prefix("log="));
    named.map(PathBuf::from)
}

/// Reads a log, plain or compressed, up to one byte more than the longest: `LocalFSStore::getBuildLogExact` in
/// `src/libstore/local-fs-store.cc`. Nothing where there is none.
fn read_log(folder: &Path, derivation: &StorePath, longest: u64) -> io::Result<Option<Vec<u8>>> {
    let base = derivation.to_basename();
    let (first, rest) = base.split_at(2);
    let mut log = Vec::new();
    for plain in [folder.join(first).join(rest), folder.join(&base)] {
        if let Some(file) = opened(&plain)? {
            file.take(longest + 1).read_to_end(&mut log)?;
            return Ok(Some(log));
        }
        let mut compressed = plain.into_os_string();
        compressed.push(".bz2");
        if let Some(file) = opened(Path::new(&compressed))? {
            let unpacked = bzip2::bufread::MultiBzDecoder::new(BufReader::new(file));
            unpacked.take(longest + 1).read_to_end(&mut log)?;
            return Ok(Some(log));
        }
    }
    Ok(None)
}

fn opened(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn logs_are_read_plain_and_compressed_and_never_whole_when_they_are_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("/nix/store/00000000000000000000000000000000-{name}.drv").parse().unwrap();
        let file = |name: &str| folder.path().join("00").join(format!("000000000000000000000000000000-{name}"));
        std::fs::create_dir(folder.path().join("00")).unwrap();
        std::fs::write(file("plain.drv"), "said").unwrap();
        std::fs::write(folder.path().join("00000000000000000000000000000000-flat.drv"), "flat").unwrap();
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(&vec![b'x'; 10_000_000]).unwrap();
        std::fs::write(file("long.drv.bz2"), encoder.finish().unwrap()).unwrap();
        std::fs::write(file("torn.drv.bz2"), "BZh9").unwrap();
        let read = |name: &str| read_log(folder.path(), &path(name), 100);
        assert_eq!(read("plain").unwrap().unwrap(), b"said");
        assert_eq!(read("flat").unwrap().unwrap(), b"flat");
        assert_eq!(read("long").unwrap().unwrap().len(), 101);
        assert!(read("none").unwrap().is_none());
        assert!(read("torn").is_err());
    }

    #[test]
    fn a_store_may_keep_its_logs_elsewhere() {
        let check = |store: &str, expected: Option<&str>| assert_eq!(in_store(store), expected.map(PathBuf::from));
        check("auto", None);
        check("local?log=/x", Some("/x"));
        check("local?root=/&log=/x/y", Some("/x/y"));
    }
}
