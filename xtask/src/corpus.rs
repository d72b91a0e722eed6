//! `cargo xtask corpus`: makes the shipped corpus anew from public packages.
//!
//! The packages come from the Python package index and from Debian, are known by their hashes, and
//! stay under the target folder. Only fingerprints of them go into the repository.

use crate::intel;
use crate::machine::{cargo, output, root, run, target, write};
use crate::materials::{ARCHIVES, CUDA, CUDNN, DEBIAN, FREE, FREE_MEMBERS, LIBRARIES, MKL, System, Wheel};
use crate::releases::releases;
use crate::worlds::mirror;
use crate::{Failure, Outcome, say};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The shipped files may have so many bytes in all.
const LARGEST: u64 = 25_000_000;

/// One material of the corpus: its name and version, its license, and the files to learn from.
pub(crate) struct Material {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: &'static str,
    pub(crate) files: Vec<PathBuf>,
    /// Lines for the manifest.
    pub(crate) sources: Vec<String>,
    /// Whether others implement the interface of its libraries as well.
    pub(crate) open_interface: bool,
}

pub(crate) fn corpus() -> Outcome {
    run(&mut cargo(&["build", "-p", "narthex"]))?;
    let (materials, free) = (materials()?, free()?);
    let state = target().join("corpus-state");
    let _ = fs::remove_dir_all(&state);
    for material in &materials {
        let mut arguments = said_of(material);
        arguments.extend(["--license", material.license].map(str::to_owned));
        for pattern in FREE_MEMBERS {
            arguments.extend(["--free-members", pattern].map(str::to_owned));
        }
        if material.open_interface {
            arguments.push("--open-interface".to_owned());
        }
        learn(&state, &arguments, &material.files)?;
    }
    for material in &free {
        let mut arguments = said_of(material);
        arguments.push("--free".to_owned());
        learn(&state, &arguments, &material.files)?;
    }
    ship(&state, &materials, &free)?;
    verify(&materials)
}

/// Replaces the shipped files, one a release, and the manifest.
fn ship(state: &Path, materials: &[Material], free: &[Material]) -> Outcome {
    let folder = root().join("crates/farm/corpus");
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|end| end == "zst") {
            let _ = fs::remove_file(entry.path());
        }
    }
    let mut manifest = String::from(MANIFEST);
    let mut total = 0;
    for material in materials {
        let package = format!("{}-{}", material.name, material.version);
        let file = folder.join(format!("{package}.zst"));
        output(narthex(state).args(["corpus", "export", "--material", &package]).arg(&file))?;
        total += size(&file);
        manifest.push_str(&row(&package, material, size(&file)));
    }
    let file = folder.join("free.zst");
    output(narthex(state).args(["corpus", "export", "--free"]).arg(&file))?;
    total += size(&file);
    manifest.push_str(&format!("\n## Free software that is left alone\n\n`free.zst`, {} bytes.\n\n", size(&file)));
    manifest.push_str("| package | source, SHA-256 |\n| --- | --- |\n");
    for material in free {
        let package = format!("{}-{}", material.name, material.version);
        manifest.push_str(&format!("| {package} | {} |\n", material.sources.join("<br>")));
    }
    let patterns = FREE_MEMBERS.map(|pattern| format!("`{pattern}`")).join(", ");
    manifest.push_str(&format!(
        "\nSo are the members {patterns} of vendors' archives, which are OpenSSL's, LAPACKE's and Khronos's.\n"
    ));
    let (bytes, listed) = pack_releases(&folder, state)?;
    total += bytes;
    manifest.push_str(&listed);
    manifest.push_str(&format!("{TOTAL}{total} bytes.\n"));
    write(&folder.join("MANIFEST.md"), &manifest)?;
    within_bounds(total)
}

/// Audits every file of every source with what ships now: each is an original, and nothing is said to be changed.
fn verify(materials: &[Material]) -> Outcome {
    run(&mut cargo(&["build", "-p", "narthex"]))?;
    let (folder, nobody) = (target().join("corpus-check"), target().join("corpus-check-state"));
    for file in materials.iter().flat_map(|material| &material.files) {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        let is_wheel = file.extension().is_some_and(|end| end == "whl");
        if is_wheel {
            output(Command::new("python3").args(["-m", "zipfile", "-e"]).args([file, &folder]))?;
        }
        let mut command = narthex(&nobody);
        command.arg("audit").arg(if is_wheel { &folder } else { file });
        let said = command.output().map_err(|error| Failure::new(format!("narthex audit: {error}")))?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let is_wrong = |line: &&str| WRONG.iter().any(|words| line.contains(words));
        match said.lines().find(is_wrong) {
            Some(line) => return Err(Failure::new(format!("an original of {} is none: {line}", file.display()))),
            None if !said.contains(" is a copy of ") => {
                return Err(Failure::new(format!("nothing of {} is known", file.display())));
            }
            None => {}
        }
    }
    let _ = fs::remove_dir_all(&folder);
    Ok(())
}

/// What an audit does not say of an original.
const WRONG: [&str; 3] = [" is a modified copy of ", " is another build of ", " looks like another version of "];

/// Makes the hashes of published releases; gives their size, and their part of the manifest.
fn pack_releases(folder: &Path, state: &Path) -> Outcome<(u64, String)> {
    let (lines, listed) = releases()?;
    let file = folder.join("releases.rec");
    output(narthex(state).args(["corpus", "pack-records"]).arg(lines).arg(&file))?;
    Ok((size(&file), format!("{RELEASES}\n`releases.rec`, {} bytes.\n\n{listed}", size(&file))))
}

/// Makes these hashes alone anew, and leaves everything else of the corpus as it is.
pub(crate) fn only_releases() -> Outcome {
    run(&mut cargo(&["build", "-p", "narthex"]))?;
    let folder = root().join("crates/farm/corpus");
    let (_, listed) = pack_releases(&folder, &target().join("corpus-state"))?;
    let path = folder.join("MANIFEST.md");
    let manifest = fs::read_to_string(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let end = [RELEASES, TOTAL].into_iter().filter_map(|part| manifest.find(part)).min().unwrap_or(manifest.len());
    let files = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let total: u64 = files.filter(|file| file.extension().is_some_and(|e| e != "md")).map(|file| size(&file)).sum();
    write(&path, &format!("{}{listed}{TOTAL}{total} bytes.\n", &manifest[..end]))?;
    within_bounds(total)
}

fn within_bounds(total: u64) -> Outcome {
    say(&format!("the shipped corpus has {total} bytes"));
    if total > LARGEST {
        return Err(Failure::new(format!("the shipped corpus has {total} bytes and may have {LARGEST}")));
    }
    Ok(())
}

const TOTAL: &str = "\nAll files together have ";

const MANIFEST: &str = "\
# What the shipped corpus was made from

Made by `cargo xtask corpus` and by nothing else. Each file has the fingerprints of one release:
hashes, and no byte of a vendor's files. What a license allows is not decided here: its name is that
of the attribute in nixpkgs' `lib.licenses`.

| material | license | bytes | sources, SHA-256 |
| --- | --- | --- | --- |
";

const RELEASES: &str = "
## Published releases that are known by their hashes

Of every wheel its RECORD was read, and no other byte: it has the SHA-256 and the size of each file. What is free in
them is left out by the rules in `xtask/src/releases.rs`. Each list of wheels has a line a wheel, with its name and its
SHA-256, in the order of the names.
";

fn row(package: &str, material: &Material, bytes: u64) -> String {
    format!("| {package} | {} | {bytes} | {} |\n", material.license, material.sources.join("<br>"))
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |meta| meta.len())
}

fn said_of(material: &Material) -> Vec<String> {
    ["--name", &material.name, "--version", &material.version].map(str::to_owned).to_vec()
}

fn narthex(state: &Path) -> Command {
    let mut command = Command::new(target().join("debug/narthex"));
    command.arg("--state").arg(state);
    command
}

fn learn(state: &Path, arguments: &[String], files: &[PathBuf]) -> Outcome {
    let mut command = narthex(state);
    command.args(["corpus", "add", "--without-shipped"]).args(arguments).args(files);
    run(&mut command)
}

/// Fetches the restricted material.
fn materials() -> Outcome<Vec<Material>> {
    let mut materials: Vec<Material> = intel::materials()?;
    for (wheels, license) in [(CUDA.as_slice(), "nvidiaCuda"), (&CUDNN, "unfree"), (&MKL, "issl")] {
        for wheel in wheels {
            let file = fetch_wheel(wheel)?;
            let source = format!("{} `{}`", name_of(&file), wheel.3);
            // Wheels of one release for several systems are one material.
            match materials.iter_mut().find(|known| (known.name.as_str(), known.version.as_str()) == (wheel.0, wheel.1))
            {
                Some(known) => {
                    known.files.push(file);
                    known.sources.push(source);
                }
                None => materials.push(Material {
                    name: wheel.0.to_owned(),
                    version: wheel.1.to_owned(),
                    license,
                    files: vec![file],
                    sources: vec![source],
                    open_interface: false,
                }),
            }
        }
    }
    for (wheel, license, names) in &LIBRARIES {
        let named = |file: &PathBuf| names.contains(&name_of(file).as_str());
        let files: Vec<PathBuf> = intel::unpacked(wheel)?.into_iter().filter(named).collect();
        let source = format!("{} of {} `{}`", names.join(", "), name_of(&fetch_wheel(wheel)?), wheel.3);
        if files.len() < names.len() {
            return Err(Failure::new(format!("there are not all of {source}")));
        }
        materials.push(Material {
            name: wheel.0.to_owned(),
            version: wheel.1.to_owned(),
            license,
            files,
            sources: vec![source],
            open_interface: false,
        });
    }
    for debian in &DEBIAN {
        let (_, package, version, hash) = *debian;
        let library = unpacked_debian(debian)?.join("usr/lib/x86_64-linux-gnu");
        let archives = ARCHIVES.iter().map(|name| library.join(format!("lib{name}.a")));
        materials.push(Material {
            name: package.to_owned(),
            version: version.split('~').next().unwrap_or(version).to_owned(),
            license: "nvidiaCuda",
            files: archives.filter(|archive| archive.exists()).collect(),
            open_interface: false,
            sources: vec![format!("static archives of Debian's {package} {version} `{hash}`")],
        });
    }
    Ok(materials)
}

/// Fetches the free software.
fn free() -> Outcome<Vec<Material>> {
    let free = |wheel: &Wheel| {
        let file = fetch_wheel(wheel)?;
        let sources = vec![format!("{} `{}`", name_of(&file), wheel.3)];
        let (name, version) = (wheel.0.to_owned(), wheel.1.to_owned());
        Ok(Material { name, version, license: "", files: vec![file], sources, open_interface: false })
    };
    FREE.iter().map(free).collect()
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The folder of everything that is downloaded for the corpus and the benchmarks.
pub(crate) fn folder() -> PathBuf {
    target().join("material")
}

/// Fetches a wheel, unless it is there: the file with the name that belongs to it and the right hash.
pub(crate) fn fetch_wheel(wheel: &Wheel) -> Outcome<PathBuf> {
    let (project, version, system, hash) = *wheel;
    let folder = folder();
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
    if let Some(file) = find(&folder, project, version, hash)? {
        return Ok(file);
    }
    say(&format!("fetching {project} {version}"));
    // A wheel for one Python is found only when that one is asked for, and of several wheels for one system only the one
    // for the first platform.
    let mut last = Failure::new("no version of Python");
    let (every, each) = (platforms(system), platforms(system).chunks(1));
    for (python, platforms) in ["3.12", "3.11", "3.9", "3.8", "3.6"]
        .iter()
        .flat_map(|python| std::iter::once(every).chain(each.clone()).map(move |platforms| (python, platforms)))
    {
        let mut command = Command::new("python3");
        command.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        command.args(["--only-binary", ":all:", "--dest"]).arg(&folder);
        for platform in platforms {
            command.args(["--platform", platform]);
        }
        command.args(["--python-version", python]).arg(format!("{project}=={version}"));
        match output(&mut command) {
            Ok(_) => {
                if let Some(file) = find(&folder, project, version, hash)? {
                    return Ok(file);
                }
            }
            Err(failure) => last = failure,
        }
    }
    Err(Failure::new(format!("{project} {version} with SHA-256 {hash} cannot be had: {}", last.message())))
}

fn platforms(system: System) -> &'static [&'static str] {
    match system {
        System::X86_64 => &[
            "manylinux1_x86_64",
            "manylinux2010_x86_64",
            "manylinux2014_x86_64",
            "manylinux_2_17_x86_64",
            "manylinux_2_24_x86_64",
            "manylinux_2_25_x86_64",
            "manylinux_2_27_x86_64",
            "manylinux_2_28_x86_64",
        ],
        System::Aarch64 => &[
            "manylinux2014_aarch64",
            "manylinux_2_17_aarch64",
            "manylinux_2_26_aarch64",
            "manylinux_2_27_aarch64",
            "manylinux_2_28_aarch64",
        ],
        System::Windows => &["win_amd64"],
    }
}

/// A wheel of a project and version with the right hash. What was found is remembered beside it, since the
/// large ones take seconds to hash.
fn find(folder: &Path, project: &str, version: &str, hash: &str) -> Outcome<Option<PathBuf>> {
    let start = format!("{}-{version}-", project.replace('-', "_"));
    let listed = fs::read_dir(folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    for path in listed.flatten().map(|entry| entry.path()) {
        if name_of(&path).starts_with(&start) && name_of(&path).ends_with(".whl") && is_whole(&path, hash)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

pub(crate) fn is_whole(path: &Path, hash: &str) -> Outcome<bool> {
    let stamp = PathBuf::from(format!("{}.sha256", path.display()));
    if let Ok(known) = fs::read_to_string(&stamp) {
        return Ok(known == hash);
    }
    let said = output(Command::new("sha256sum").arg(path))?;
    let found = said.split_whitespace().next().unwrap_or_default();
    write(&stamp, found)?;
    Ok(found == hash)
}

/// A package of Debian: the suite, the parts of the archive to look in, and the file by its hash.
pub(crate) struct Debian<'a> {
    pub(crate) suite: &'a str,
    pub(crate) part: &'a str,
    pub(crate) package: &'a str,
    pub(crate) version: &'a str,
    pub(crate) architecture: &'a str,
    pub(crate) hash: &'a str,
}

/// Fetches a package of Debian, with lists of packages of its own: the machine's are left alone.
pub(crate) fn fetch_package(debian: &Debian<'_>) -> Outcome<PathBuf> {
    let Debian { suite, part, package, version, architecture, hash } = debian;
    let folder = folder();
    let named = version.replace(':', "%3a");
    let file = folder.join(format!("{package}_{named}_{architecture}.deb"));
    if file.exists() && is_whole(&file, hash)? {
        return Ok(file);
    }
    say(&format!("fetching {package} {version} of Debian {suite}"));
    // Each choice of suite and part has lists of its own, which are fetched once in a run.
    let apt = target().join("apt").join(format!("{suite}-{}", part.replace(' ', "-")));
    for part in ["lists/partial", "cache/archives/partial"] {
        let part = apt.join(part);
        fs::create_dir_all(&part).map_err(|error| Failure::new(format!("cannot make {}: {error}", part.display())))?;
    }
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let list = apt.join("sources.list");
    write(&list, &format!("deb [signed-by={keyring}] {} {suite} {part}\n", mirror()?))?;
    let get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq").current_dir(&folder);
        command.arg(format!("-oDir::Etc::sourcelist={}", list.display())).arg("-oDir::Etc::sourceparts=/nonexistent");
        command.arg(format!("-oDir::State::lists={}", apt.join("lists").display()));
        command.arg(format!("-oDir::Cache={}", apt.join("cache").display())).args(arguments);
        output(&mut command)
    };
    let wanted = format!("{package}={version}");
    // The lists that are there may know it already.
    if get(&["download", &wanted]).is_err() {
        get(&["update"])?;
        get(&["download", &wanted])?;
    }
    if file.exists() && is_whole(&file, hash)? {
        return Ok(file);
    }
    Err(Failure::new(format!("{} is not the file that was expected (SHA-256 {hash})", file.display())))
}

/// The folder of a Debian package's static archives, fetched and unpacked where it is not there.
pub(crate) fn unpacked_debian(debian: &(&str, &str, &str, &str)) -> Outcome<PathBuf> {
    let (suite, package, version, hash) = *debian;
    let file = fetch_package(&Debian { suite, part: "non-free", package, version, architecture: "amd64", hash })?;
    let unpacked = file.with_extension("");
    if !unpacked.exists() {
        let staged = file.with_extension("new");
        let _ = fs::remove_dir_all(&staged);
        fs::create_dir_all(&staged).map_err(|error| Failure::new(format!("{}: {error}", staged.display())))?;
        let script = "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --wildcards './usr/lib/x86_64-linux-gnu/*.a'";
        output(Command::new("sh").args(["-c", script, "sh"]).arg(&file).arg(&staged))?;
        fs::rename(&staged, &unpacked).map_err(|error| Failure::new(format!("{}: {error}", unpacked.display())))?;
    }
    Ok(unpacked)
}
