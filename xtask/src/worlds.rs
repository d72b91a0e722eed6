//! Folders that hold a Debian with a version of Nix each, for the end-to-end tests.
//!
//! Debian 12 has Nix 2.8, 13 has 2.26 and unstable has 2.34. They are made once and kept under the
//! target folder; the tests enter them with `chroot` in a mount namespace of their own.

use crate::machine::{is_root, output, target, write};
use crate::{Failure, Outcome, say};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Suite, and the version of Nix that it has.
const WORLDS: [(&str, &str); 3] = [("bookworm", "2.8"), ("trixie", "2.26"), ("sid", "2.34")];

const PACKAGES: &str = "nix-bin,ca-certificates,gcc,libc6-dev,binutils,patchelf,unzip,zip";

const NIX_CONF: &str = "build-users-group =\nsandbox = false\nfilter-syscalls = false\nsubstituters =\n";

/// Makes the worlds that are not there yet.
pub(crate) fn make() -> Outcome {
    if !is_root() {
        return Err(Failure::new(
            "the end-to-end tests enter other Debian systems with chroot, which takes root: run this as root",
        ));
    }
    let folder = target().join("worlds");
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
    for (suite, nix) in WORLDS {
        let world = folder.join(nix);
        if world.join("complete").exists() {
            continue;
        }
        say(&format!("making a Debian {suite} with Nix {nix}"));
        // Remains of an attempt that was cut off.
        let _ = fs::remove_dir_all(&world);
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--variant=essential", &format!("--include={PACKAGES}")]);
        if suite == "sid" {
            // A mirror may hold an unstable whose index is no longer fresh.
            command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
        }
        command.arg(suite).arg(&world).arg(mirror()?);
        output(&mut command)?;
        write(&world.join("etc/nix/nix.conf"), NIX_CONF)?;
        for point in ["nix", "narthex", "examples", "policies", "wheels", "state", "extra"] {
            let point = world.join(point);
            fs::create_dir_all(&point)
                .map_err(|error| Failure::new(format!("cannot make {}: {error}", point.display())))?;
        }
        check_version(&world, nix)?;
        write(&world.join("complete"), "")?;
    }
    Ok(())
}

fn check_version(world: &Path, expected: &str) -> Outcome {
    let script = "mount -t proc proc \"$1/proc\" && exec chroot \"$1\" nix-store --version";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(world);
    let said = output(&mut command)?;
    if said.contains(&format!(" {expected}.")) {
        return Ok(());
    }
    Err(Failure::new(format!("{} should have Nix {expected} and has {}", world.display(), said.trim())))
}

/// The mirror that this machine's own apt uses.
pub(crate) fn mirror() -> Outcome<String> {
    let listed = output(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI) $(SUITE) $(LABEL)"]))?;
    let debian = listed.lines().find(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), [uri, _, ..] if uri.trim_end_matches('/').ends_with("/debian"))
    });
    let uri = debian.and_then(|line| line.split_whitespace().next());
    uri.map(str::to_owned)
        .ok_or_else(|| Failure::new("apt knows no Debian mirror: the tests need one for other versions of Nix"))
}
