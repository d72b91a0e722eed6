//! Running commands and taking their time and memory.

use crate::machine::{output, target};
use crate::{Failure, Outcome};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The program, with a state folder in which nothing was learned.
pub(super) struct Audit {
    program: PathBuf,
    state: PathBuf,
}

impl Audit {
    pub(super) fn new(program: PathBuf, state: PathBuf) -> Self {
        Self { program, state }
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn command(&self, paths: &[&Path]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--state").arg(&self.state).arg("audit").args(paths);
        command
    }

    /// The findings, one a line.
    pub(super) fn json(&self, paths: &[&Path]) -> Outcome<Vec<String>> {
        let text = output(self.command(paths).args(["--format", "json"]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// Seconds that two commands took.
pub(super) struct Turns {
    pub(super) first: f64,
    pub(super) second: f64,
}

/// Runs two commands in turns; of each the fastest turn counts. One turn of both before warms the page cache.
pub(super) fn take_turns(turns: usize, first: &mut Command, second: &mut Command) -> Outcome<Turns> {
    let mut best = Turns { first: f64::MAX, second: f64::MAX };
    for turn in 0..=turns {
        let (one, other) = (seconds(first)?, seconds(second)?);
        if turn > 0 {
            best = Turns { first: best.first.min(one), second: best.second.min(other) };
        }
    }
    Ok(best)
}

/// The same for processor time, of what the commands start as well.
pub(super) fn processor_turns(turns: usize, first: &mut Command, second: &mut Command) -> Outcome<Turns> {
    let mut best = Turns { first: f64::MAX, second: f64::MAX };
    for turn in 0..=turns {
        let (one, other) = (processor_seconds(first)?, processor_seconds(second)?);
        if turn > 0 {
            best = Turns { first: best.first.min(one), second: best.second.min(other) };
        }
    }
    Ok(best)
}

fn processor_seconds(command: &mut Command) -> Outcome<f64> {
    let file = target().join("bench/processor");
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-f", "%U %S", "-o"]).arg(&file).arg(command.get_program()).args(command.get_args());
    seconds(&mut timed)?;
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let line = text.lines().last().unwrap_or_default();
    let parts: Vec<f64> = line.split_whitespace().filter_map(|part| part.parse().ok()).collect();
    match parts.as_slice() {
        [user, system] => Ok(user + system),
        _ => Err(Failure::new(format!("the processor time of {command:?} is not known"))),
    }
}

fn seconds(command: &mut Command) -> Outcome<f64> {
    let since = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.map_err(|error| Failure::new(format!("{command:?} could not be run: {error}")))?;
    if !status.success() {
        return Err(Failure::new(format!("{command:?} failed ({status})")));
    }
    Ok(since.elapsed().as_secs_f64())
}

/// The most memory that a command has that is no file's, in MB; looked at every few milliseconds.
pub(super) fn anonymous_peak(command: &mut Command) -> Outcome<f64> {
    let failed = |error| Failure::new(format!("{error}"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(failed)?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0u64;
    while child.try_wait().map_err(failed)?.is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kilobytes =
            text.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(peak as f64 * 1024.0 / 1e6)
}

/// The most memory that a command and what it starts have, in MB, files that they map among it.
pub(super) fn peak(command: &mut Command) -> Outcome<f64> {
    let mut timed = Command::new("/usr/bin/time");
    timed
        .args(["-f", "%M", "-o"])
        .arg(target().join("bench/memory"))
        .arg(command.get_program())
        .args(command.get_args());
    seconds(&mut timed)?;
    let text = std::fs::read_to_string(target().join("bench/memory")).unwrap_or_default();
    let kilobytes = text.lines().last().and_then(|line| line.trim().parse::<f64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024.0 / 1e6).ok_or_else(|| Failure::new("the memory is not known"))
}

/// How many ELF files there are below a path, in this file system. A process for each file took minutes.
pub(super) fn elf_files(path: &Path) -> Outcome<usize> {
    let files = output(Command::new("find").arg(path).args(["-xdev", "-type", "f", "-size", "+3c", "-print0"]))?;
    let is_elf = |file: &&str| {
        let mut magic = [0; 4];
        let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic));
        read.is_ok() && magic == *b"\x7fELF"
    };
    Ok(files.split('\0').filter(|file| !file.is_empty()).filter(is_elf).count())
}
