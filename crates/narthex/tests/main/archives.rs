//! Archives that unpack to much: what they take of memory, and that threads and disks change no finding.

use crate::world::{Said, program, target};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Two members of 300 MB, one of them in a zip inside, beside many small ones and a vendor's wheel, packed twice.
const MADE: &str = "import io, sys, zipfile\n\
     large = bytes(300_000_000)\n\
     inner = io.BytesIO()\n\
     with zipfile.ZipFile(inner, 'w', zipfile.ZIP_DEFLATED) as zip:\n\
     \x20   zip.writestr('deep.bin', b'2' + large)\n\
     \x20   for number in range(300): zip.writestr(f'{number}.txt', f'{number} ' * 500)\n\
     with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as zip:\n\
     \x20   zip.writestr('large.bin', b'1' + large)\n\
     \x20   zip.writestr('inner.zip', inner.getvalue())\n\
     \x20   for number in range(300): zip.writestr(f'{number}.txt', f'{number} ' * 500)\n\
     \x20   for wheel in sys.argv[2:]: zip.write(wheel, wheel.split('/')[-1])\n";

fn made(folder: &Path) -> PathBuf {
    let archive = folder.join("x.zip");
    let wheels = std::fs::read_dir(target().join("wheels")).unwrap().map(|entry| entry.unwrap().path());
    let mut wheels: Vec<PathBuf> = wheels.filter(|path| path.extension().is_some_and(|end| end == "whl")).collect();
    wheels.sort();
    assert!(!wheels.is_empty(), "`cargo xtask test` fetches the vendor's wheels");
    let python = Command::new("python3").args(["-c", MADE]).arg(&archive).args(&wheels[..1]).status().unwrap();
    assert!(python.success());
    archive
}

fn audit(archive: &Path) -> Command {
    let mut command = Command::new(program());
    command.arg("--state").arg(archive.with_extension("state")).args(["audit", "--format", "json"]).arg(archive);
    command.stdin(Stdio::null());
    command
}

/// The most memory that was no file's, in MB, as far as it was seen while the program ran.
fn peak(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let size = text.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse().ok());
        peak = peak.max(size.unwrap_or(0));
    }
    assert!(child.wait().unwrap().success());
    peak / 1000
}

#[test]
fn large_members_take_no_memory_and_threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let archive = made(folder.path());
    let rows = |threads: &str| {
        let said = Said::of(audit(&archive).env("RAYON_NUM_THREADS", threads).output().unwrap()).expect(0);
        said.out
    };
    let one = rows("1");
    assert!(one.contains("libcudart") || one.contains("\"restricted\":true"), "{one}");
    assert!(!one.contains("not-audited"), "{one}");
    assert_eq!(rows("2"), one);
    assert_eq!(rows("7"), one);
    let peak = peak(&mut audit(&archive));
    assert!((10..200).contains(&peak), "{peak} MB");
    // Nothing is left of the files that it was unpacked to.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(Said::of(audit(&archive).env("TMPDIR", &empty).output().unwrap()).expect(0).out, one);
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
}

/// Where no temporary file can be had, the report says which folder it is, and what to do.
#[test]
fn without_room_for_temporary_files_there_is_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let archive = made(folder.path());
    let said = Said::of(audit(&archive).env("TMPDIR", "/nowhere/at/all").output().unwrap()).expect(0);
    let gap = said.out.lines().find(|line| line.contains("not-audited")).unwrap();
    assert!(gap.contains("/nowhere/at/all") && gap.contains("set TMPDIR to a folder with more room"), "{gap}");
}
