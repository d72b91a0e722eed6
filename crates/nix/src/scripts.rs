//! Local files that are named like scripts and are none.
//!
//! Whoever goes by the names of files has to be told where a name says nothing: a vendor's program may be called `hook.sh`.

use narthex_closure::StorePath;
use std::path::Path;

/// The largest setup hook of nixpkgs has some 30 kB. What is longer may hold anything, written out as text.
const LARGEST: u64 = 256 << 10;

/// Whether a file of the store is one text that is no longer than scripts are. What cannot be read is none, and neither is a
/// folder or a link.
pub fn is_script(path: &StorePath) -> bool {
    is_text(Path::new(&path.to_string()))
}

fn is_text(path: &Path) -> bool {
    let is_short = |file: std::fs::Metadata| file.is_file() && file.len() <= LARGEST;
    if !std::fs::symlink_metadata(path).is_ok_and(is_short) {
        return false;
    }
    let text = std::fs::read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.is_some_and(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_one_short_text() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, bytes: &[u8], expected: bool| {
            let file = folder.path().join(name);
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(is_text(&file), expected, "{name}");
        };
        check("hook.sh", "addHook() { echo \"ä\"; }\n".as_bytes(), true);
        check("empty.sh", b"", true);
        check("program.sh", b"\x7fELF\x02\x01\x01\0", false);
        check("text-and-zeros.sh", b"#!/bin/sh\n\0", false);
        check("latin.sh", b"#!/bin/sh\n\xff\xfe", false);
        check("largest.sh", &vec![b'a'; LARGEST as usize], true);
        check("larger.sh", &vec![b'a'; LARGEST as usize + 1], false);
        assert!(!is_text(&folder.path().join("gone.sh")));
        assert!(!is_text(folder.path()));
        let link = folder.path().join("link.sh");
        std::os::unix::fs::symlink("hook.sh", &link).unwrap();
        assert!(!is_text(&link));
    }
}
