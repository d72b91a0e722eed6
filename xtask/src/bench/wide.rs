//! `cargo xtask bench audit --wide`: what public packages hold, beside what the audit says of them.
//!
//! The packages are named by hash in `wide.tsv`: originals of vendors, packages that bundle them, and free ones. What
//! each of their files holds is told by `wide.py`, from names, symbols, messages and version resources, and without
//! anything that narthex knows.

use super::folder;
use crate::corpus::{Debian, fetch_package, fetch_wheel, is_whole};
use crate::machine::{cargo, install, needed, output, run, target, write};
use crate::materials::System;
use crate::{Failure, Outcome, say};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A package of the list.
struct Package {
    /// `wheel`, `npm`, or the suite of Debian.
    source: &'static str,
    name: &'static str,
    version: &'static str,
    /// What it is for; `all` for packages of Debian that are for every machine.
    system: &'static str,
    hash: &'static str,
    /// Whose it is: `vendor`, `bundler` or `free`.
    kind: &'static str,
}

impl Package {
    fn all() -> Outcome<Vec<Self>> {
        include_str!("wide.tsv").lines().filter(|line| !line.starts_with('#')).map(Self::parse).collect()
    }

    fn parse(line: &'static str) -> Outcome<Self> {
        let fields: Vec<&'static str> = line.split('\t').collect();
        match *fields.as_slice() {
            [source, name, version, system, hash, kind] => Ok(Self { source, name, version, system, hash, kind }),
            _ => Err(Failure::new(format!("`{line}` in wide.tsv is no package"))),
        }
    }

    fn fetch(&self) -> Outcome<PathBuf> {
        if self.source == "wheel" {
            let system = match self.system {
                "aarch64" => System::Aarch64,
                "windows" => System::Windows,
                _ => System::X86_64,
            };
            return fetch_wheel(&(self.name, self.version, system, self.hash));
        }
        if self.source == "npm" {
            return self.pack();
        }
        let architecture = if self.system == "all" { "all" } else { "amd64" };
        fetch_package(&Debian {
            suite: self.source,
            part: "main non-free",
            package: self.name,
            version: self.version,
            architecture,
            hash: self.hash,
        })
    }

    /// Fetches a package of npm with its own client.
    fn pack(&self) -> Outcome<PathBuf> {
        let Self { name, version, hash, .. } = self;
        let folder = crate::corpus::folder();
        let file = folder.join(format!("{name}-{version}.tgz"));
        if file.exists() && is_whole(&file, hash)? {
            return Ok(file);
        }
        say(&format!("fetching {name} {version}"));
        output(Command::new("npm").args(["pack", "--silent", &format!("{name}@{version}")]).current_dir(&folder))?;
        if file.exists() && is_whole(&file, hash)? {
            return Ok(file);
        }
        Err(Failure::new(format!("{} is not the file that was expected (SHA-256 {hash})", file.display())))
    }
}

pub(crate) fn wide() -> Outcome {
    install(&[
        needed("nm", "binutils"),
        needed("python3", "python3"),
        needed("dpkg-deb", "dpkg"),
        needed("npm", "npm"),
    ])?;
    run(&mut cargo(&["build", "--release", "-p", "narthex"]))?;
    let known = folder().join("wide");
    fs::create_dir_all(&known).map_err(|error| Failure::new(format!("cannot make {}: {error}", known.display())))?;
    let mut list = String::new();
    for package in Package::all()? {
        let Package { source, name, version, system, hash, kind } = package;
        let file = package.fetch()?;
        list.push_str(&format!("{source}\t{name}\t{version}\t{system}\t{hash}\t{kind}\t{}\n", file.display()));
    }
    let (listing, script, page) = (known.join("list.tsv"), known.join("wide.py"), known.join("wide.md"));
    write(&listing, &list)?;
    write(&script, include_str!("wide.py"))?;
    say("looking at what each package holds, and auditing it");
    let mut command = Command::new("python3");
    command.arg(&script).arg(target().join("release/narthex")).arg(target().join("bench/no-state"));
    output(command.arg(&listing).arg(&known).arg(&page))?;
    say(&format!("written to {}; each wrong verdict is in {}.wrong", page.display(), page.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The table is as wide as it says.
    #[test]
    fn the_list_has_packages_of_every_kind() {
        let all = Package::all().unwrap();
        let of = |kind: &str| all.iter().filter(|package| package.kind == kind).count();
        assert!(all.len() >= 60 && of("vendor") >= 25 && of("bundler") >= 25 && of("free") >= 25, "{}", all.len());
        assert_eq!(of("vendor") + of("bundler") + of("free"), all.len());
        for system in ["x86_64", "aarch64", "windows"] {
            assert!(all.iter().filter(|package| package.system == system).count() >= 10, "{system}");
        }
        let hashes: BTreeSet<&str> = all.iter().map(|package| package.hash).collect();
        assert_eq!(hashes.len(), all.len());
        let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|letter| letter.is_ascii_hexdigit());
        assert!(hashes.into_iter().all(is_hash));
    }
}
