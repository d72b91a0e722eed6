//! Files and folders with the modes that they are meant to have, whatever the umask says.
//!
//! A web server may run as another user, and reads what is for the public; nobody else writes there. Secrets are for
//! their owner alone. What is there already keeps its mode: its owner may have had a reason.

use std::fs::{DirBuilder, File, Permissions, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// A folder that everybody may look into.
pub const OPEN_FOLDER: u32 = 0o755;
/// A file that everybody may read.
pub const OPEN_FILE: u32 = 0o644;
/// A folder for its owner alone.
pub const PRIVATE_FOLDER: u32 = 0o700;
/// A file for its owner alone.
pub const PRIVATE_FILE: u32 = 0o600;

/// Makes a folder where it is not there. Folders on the way to it that are not there are open, so that it can be reached.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent, OPEN_FOLDER)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => set_permissions(path, Permissions::from_mode(mode)),
        // Somebody else was faster.
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a file that is not there yet, for writing.
///
/// # Errors
/// When it cannot be made, or is there.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = File::options().create_new(true).write(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The umask is that of the whole process, and other tests make files meanwhile; the end-to-end tests have it in
    /// processes of their own. Here, that what was there keeps its mode.
    #[test]
    fn what_is_there_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let there = dir.path().join("there");
        make_folder(&there, 0o750).unwrap();
        make_folder(&there.join("a/b"), PRIVATE_FOLDER).unwrap();
        assert_eq!([mode(&there), mode(&there.join("a")), mode(&there.join("a/b"))], [0o750, 0o755, 0o700]);
        make_folder(&there, OPEN_FOLDER).unwrap();
        assert_eq!(mode(&there), 0o750);
        let file = there.join("file");
        create_new(&file, 0o664).unwrap();
        assert_eq!(mode(&file), 0o664);
        assert!(create_new(&file, OPEN_FILE).is_err());
        assert!(make_folder(&file, OPEN_FOLDER).is_err());
    }
}
