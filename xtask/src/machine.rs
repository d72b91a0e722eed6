//! What the examples and the tests need of a machine.

use crate::{Failure, Outcome, complain, say};
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A program and the Debian package that has it.
pub(crate) struct Needed {
    program: &'static str,
    package: &'static str,
}

pub(crate) const fn needed(program: &'static str, package: &'static str) -> Needed {
    Needed { program, package }
}

/// For `examples/cuda`: Nix, and the tools that its packages are made with.
const FOR_EXAMPLES: [Needed; 8] = [
    needed("nix-store", "nix-bin"),
    needed("gcc", "gcc"),
    needed("strip", "binutils"),
    needed("patchelf", "patchelf"),
    needed("unzip", "unzip"),
    needed("zip", "zip"),
    needed("python3", "python3"),
    needed("sha256sum", "coreutils"),
];

/// For the end-to-end tests: other versions of Nix in folders of their own, another web server, and what makes images of disks.
const FOR_TESTS: [Needed; 12] = [
    needed("mmdebstrap", "mmdebstrap"),
    needed("nginx", "nginx-light"),
    needed("unshare", "util-linux"),
    needed("chroot", "coreutils"),
    needed("mke2fs", "e2fsprogs"),
    needed("mkfs.fat", "dosfstools"),
    needed("mcopy", "mtools"),
    needed("genisoimage", "genisoimage"),
    needed("mkfs.erofs", "erofs-utils"),
    needed("qemu-img", "qemu-utils"),
    needed("brotli", "brotli"),
    needed("lz4", "lz4"),
];

/// The vendor's files: project, version, file, SHA-256.
const WHEELS: [(&str, &str, &str, &str); 2] = [
    (
        "nvidia-cuda-runtime-cu12",
        "12.9.79",
        "nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3",
    ),
    (
        "nvidia-cuda-nvcc-cu12",
        "12.9.86",
        "nvidia_cuda_nvcc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        "5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0",
    ),
];

/// The validators that reports are held against, for Python.
const VALIDATORS: &str = include_str!("validators.txt");

/// The repository.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The folder for everything that is built or downloaded.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The folder of the vendor's wheels.
pub(crate) fn wheels() -> PathBuf {
    target().join("wheels")
}

/// Installs what the examples need and puts the vendor's files into the Nix store.
pub(crate) fn setup() -> Outcome {
    install(&FOR_EXAMPLES)?;
    configure_nix()?;
    fetch_wheels()?;
    for (_, _, file, _) in WHEELS {
        let added = output(Command::new("nix-store").args(["--add-fixed", "sha256"]).arg(wheels().join(file)))?;
        say(&format!("in the store: {}", added.trim()));
    }
    Ok(())
}

/// Installs what the tests need beyond that.
pub(crate) fn setup_tests() -> Outcome {
    install(&FOR_TESTS)?;
    fetch_validators()
}

/// Puts the validators into a folder of their own, where nothing else of the machine sees them.
fn fetch_validators() -> Outcome {
    let folder = target().join("validators");
    let list = folder.join("complete.txt");
    if fs::read_to_string(&list).is_ok_and(|present| present == VALIDATORS) {
        return Ok(());
    }
    if output(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        install(&[needed("pip3", "python3-pip")])?;
    }
    say("fetching the validators of SPDX and CycloneDX documents");
    // Remains of another list, or of an attempt that was cut off.
    let _ = fs::remove_dir_all(&folder);
    output(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .arg("--target")
            .arg(&folder)
            .arg("--requirement")
            .arg(root().join("xtask/src/validators.txt")),
    )?;
    write(&list, VALIDATORS)
}

pub(crate) fn install(needed: &[Needed]) -> Outcome {
    let missing: Vec<&Needed> = needed.iter().filter(|needed| !on_path(needed.program)).collect();
    let headers = !Path::new("/usr/include/stdio.h").exists() && needed.iter().any(|n| n.program == "gcc");
    if missing.is_empty() && !headers {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|needed| needed.package).collect();
    if headers {
        packages.push("libc6-dev");
    }
    packages.dedup();
    if !(is_root() && on_path("apt-get")) {
        let programs: Vec<&str> = missing.iter().map(|needed| needed.program).collect();
        return Err(Failure::new(format!(
            "missing: {}\nOn Debian or Ubuntu, as root: apt-get install {}\n\
             Elsewhere, install these programs in your system's way; Nix as nixos.org/download says.",
            programs.join(", "),
            packages.join(" ")
        )));
    }
    say(&format!("installing {}", packages.join(" ")));
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages.as_slice()].concat())
}

fn apt(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    output(&mut command).map(|_| ())
}

/// Without a daemon, root's Nix wants to build as users that Debian's package does not make. The
/// examples call the system's compiler, which the sandbox would hide.
fn configure_nix() -> Outcome {
    if Path::new("/nix/var/nix/daemon-socket/socket").exists() || !is_root() {
        return Ok(());
    }
    let file = Path::new("/etc/nix/nix.conf");
    let present = fs::read_to_string(file).unwrap_or_default();
    let set = |name: &str| present.lines().any(|line| line.split('=').next().is_some_and(|key| key.trim() == name));
    let builders = output(Command::new("getent").args(["group", "nixbld"])).is_ok();
    let mut lines = String::new();
    if !set("build-users-group") && !builders {
        lines.push_str("build-users-group =\n");
    }
    if !set("sandbox") {
        lines.push_str("sandbox = false\n");
    }
    if lines.is_empty() {
        return Ok(());
    }
    say(&format!("adding to {}:\n{lines}", file.display()));
    let text = format!("{present}{}# Added by `cargo xtask setup` of narthex.\n{lines}", newline_after(&present));
    write(file, &text)
}

fn newline_after(text: &str) -> &'static str {
    if text.is_empty() || text.ends_with('\n') { "" } else { "\n" }
}

fn fetch_wheels() -> Outcome {
    let folder = wheels();
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
    for (project, version, file, hash) in WHEELS {
        let path = folder.join(file);
        if is_whole(&path, hash) {
            continue;
        }
        if output(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
            install(&[needed("pip3", "python3-pip")])?;
        }
        say(&format!("fetching {project} {version}"));
        let _ = fs::remove_file(&path);
        output(
            Command::new("python3")
                .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
                // The same file on every machine and for every Python.
                .args([
                    "--only-binary",
                    ":all:",
                    "--platform",
                    "manylinux2014_x86_64",
                    "--platform",
                    "manylinux2010_x86_64",
                ])
                .arg("--dest")
                .arg(&folder)
                .arg(format!("{project}=={version}")),
        )?;
        if !is_whole(&path, hash) {
            return Err(Failure::new(format!("{} is not the file that was expected (SHA-256 {hash})", path.display())));
        }
    }
    Ok(())
}

fn is_whole(path: &Path, hash: &str) -> bool {
    path.exists() && output(Command::new("sha256sum").arg(path)).is_ok_and(|said| said.starts_with(hash))
}

pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Administrators' programs are on root's PATH only on some systems.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, text)
    };
    write().map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
}

/// Runs a command to its end and returns what it wrote; what it complained of is shown when it fails.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let shown = format!("{command:?}");
    let result = while_saying(command, |command| command.stdin(Stdio::null()).output());
    let output = result.map_err(|error| Failure::new(format!("{shown} could not be run: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::new(format!(
        "{shown} failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

/// Runs a command with the terminal's own output. Where there is no terminal, on which cargo shows a bar of its own,
/// a line says every few seconds that the command is still running.
#[expect(clippy::disallowed_methods, reason = "asks only whether there is a terminal")]
pub(crate) fn run(command: &mut Command) -> Outcome {
    let shown = format!("{command:?}");
    let status =
        if std::io::stderr().is_terminal() { command.status() } else { while_saying(command, Command::status) };
    let status = status.map_err(|error| Failure::new(format!("{shown} could not be run: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{shown} failed ({status})"))) }
}

/// How long a command runs before a line says that it still does.
const STILL_RUNNING: Duration = Duration::from_secs(8);

/// Does something with a command, and says every few seconds that it is still running.
fn while_saying<T>(command: &mut Command, work: impl FnOnce(&mut Command) -> T) -> T {
    let (name, since) = (name_of(command), Instant::now());
    let (done, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(STILL_RUNNING) == Err(mpsc::RecvTimeoutError::Timeout) {
                complain(&format!("  … {name}: {} s", since.elapsed().as_secs()));
            }
        });
        let result = work(command);
        drop(done);
        result
    })
}

/// The program and the first words of its arguments that are no options.
fn name_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    let words = words.filter(|word| !word.starts_with('-') && !word.contains('/') && word.len() < 40).take(3);
    [program].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// Cargo, in the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}
