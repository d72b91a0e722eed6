//! Unpacks the shipped corpus, so that the program has it as it is used: nothing is unpacked or checked at its start.

use std::io::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Error> {
    println!("cargo::rerun-if-changed=corpus");
    let target =
        PathBuf::from(std::env::var_os("OUT_DIR").ok_or_else(|| Error::other("cargo names no folder"))?).join("corpus");
    // A file that is no longer shipped goes.
    if target.exists() {
        std::fs::remove_dir_all(&target)?;
    }
    std::fs::create_dir(&target)?;
    for entry in std::fs::read_dir("corpus")? {
        let packed = entry?.path();
        if packed.extension().is_some_and(|extension| extension == "zst" || extension == "rec") {
            unpack(&packed, &target)
                .map_err(|error| Error::new(error.kind(), format!("{}: {error}", packed.display())))?;
        }
    }
    Ok(())
}

fn unpack(packed: &Path, target: &Path) -> Result<(), Error> {
    // A file of records keeps its ending, which tells it from the others.
    let is_records = packed.extension().is_some_and(|extension| extension == "rec");
    let name = if is_records { packed.file_name() } else { packed.file_stem() };
    let name = name.ok_or_else(|| Error::other("it has no name"))?;
    std::fs::write(target.join(name), zstd::decode_all(std::fs::File::open(packed)?)?)
}
