//! Wheels as they come: time against unpacking and hashing them, and memory beyond mapped files.

use super::inputs::WHEELS;
use super::measure::{Audit, Turns, anonymous_peak, take_turns};
use super::{Inputs, TURNS, folder};
use crate::corpus::fetch_wheel;
use crate::machine::output;
use crate::materials::{System, Wheel};
use crate::{Failure, Outcome};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Wheels that are looked at here alone: one with a very large library, and one whose library is all functions of MKL.
const MORE: [Wheel; 2] = [
    ("libcudf-cu12", "26.10.2", System::X86_64, "b4a23fb5bd25071b81984c7e4b1b1ecd48497919556384168db2ccb6cf1da251"),
    ("mkl-static", "2024.2.0", System::X86_64, "8c2a6c6a144c5619f1df75fd550b32730f3e0632b55a15a42a95516e142ccf47"),
];

/// The source package whose jar is put into a wheel: its maker publishes no wheel.
const H2O: (&str, &str) = ("3.46.0.12", "64279024cadea9c19ed49580c7733aa21bb9aff302805a1ae2f6cdf2e3cea0d3");

pub(super) fn wheels(audit: &Audit, _: &Inputs, page: &mut String) -> Outcome {
    page.push_str(
        "\n## Wheels\n\nTime against `unzip -p WHEEL | sha256sum`, which unpacks one member after the other and hashes them on \
         the second core; and the most memory that is no file's (`RssAnon`). Goals: 1.0 and 200 MB.\n\n| wheel | size | \
         audit | unpacking and hashing | ratio | memory |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut files = Vec::new();
    for wheel in WHEELS.iter().chain(&MORE) {
        files.push((format!("{} {}", wheel.0, wheel.1), fetch_wheel(wheel)?));
    }
    files.push((format!("h2o {}, a jar in a wheel", H2O.0), h2o()?));
    for (name, file) in files {
        let size = fs::metadata(&file).map_or(0, |meta| meta.len());
        let mut other = Command::new("sh");
        other.args(["-c", "unzip -p \"$1\" | sha256sum", "sh"]).arg(&file);
        let Turns { first, second } = take_turns(TURNS, &mut audit.command(&[&file]), &mut other)?;
        let peak = anonymous_peak(&mut audit.command(&[&file]))?;
        let _ = writeln!(
            page,
            "| {name} | {:.0} MB | {first:.2} s | {second:.2} s | {:.2} | {peak:.0} MB |",
            size as f64 / 1e6,
            first / second
        );
    }
    Ok(())
}

/// A wheel with the jar of h2o in it, compressed as wheels are.
fn h2o() -> Outcome<PathBuf> {
    let wheel = folder().join(format!("h2o-{}-py2.py3-none-any.whl", H2O.0));
    if wheel.exists() {
        return Ok(wheel);
    }
    let source = folder().join(format!("h2o-{}.tar.gz", H2O.0));
    if !is_right(&source, H2O.1)? {
        let mut fetch = Command::new("python3");
        fetch.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        fetch.args(["--no-binary", ":all:", "--dest"]).arg(folder()).arg(format!("h2o=={}", H2O.0));
        output(&mut fetch)?;
        if !is_right(&source, H2O.1)? {
            return Err(Failure::new(format!("{} has another SHA-256 than {}", source.display(), H2O.1)));
        }
    }
    let script = "import sys, tarfile, zipfile\n\
         with tarfile.open(sys.argv[1]) as tar, zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED) as wheel:\n\
         \x20   jar = next(member for member in tar if member.name.endswith('/h2o.jar'))\n\
         \x20   wheel.writestr('h2o/backend/bin/h2o.jar', tar.extractfile(jar).read())\n";
    let staged = wheel.with_extension("new");
    output(Command::new("python3").args(["-c", script]).arg(&source).arg(&staged))?;
    fs::rename(&staged, &wheel).map_err(|error| Failure::new(format!("{}: {error}", wheel.display())))?;
    Ok(wheel)
}

fn is_right(file: &Path, hash: &str) -> Outcome<bool> {
    Ok(file.exists() && output(Command::new("sha256sum").arg(file))?.starts_with(hash))
}
