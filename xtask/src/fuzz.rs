//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/`, each for some time, from its seeds.
//!
//! `cargo-fuzz` and a nightly compiler are not needed: the instrumentation is a pass of LLVM that a stable
//! compiler runs as well. Only Rust code is instrumented; the libraries in C are not.

use crate::machine::{cargo, output, root, run, target};
use crate::{Failure, Outcome, say};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Counters for each edge, comparisons that the fuzzer learns from, and the assertions of debugging.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg fuzzing",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// What no input may exceed. The decoders are allowed 256 MiB, and one input may hold several of them; 64 KiB are
/// room for every structure of every format.
const BOUNDS: [&str; 4] = ["-rss_limit_mb=1024", "-malloc_limit_mb=600", "-timeout=20", "-max_len=65536"];

/// What the command line asks for.
#[derive(Debug, PartialEq)]
struct Wanted {
    targets: Vec<String>,
    seconds: u64,
}

/// How a target went.
struct Went {
    runs: u64,
    coverage: String,
    seconds: f64,
    crashes: Vec<PathBuf>,
    ended_well: bool,
}

pub(crate) fn fuzz(arguments: &[&str]) -> Outcome {
    let Wanted { targets, seconds } = wanted(arguments, &known()?)?;
    let programs = build()?;
    let mut wrong = Vec::new();
    say(&format!("{:12}{:>12}{:>9}{:>9}  coverage", "target", "runs", "seconds", "crashes"));
    for target in &targets {
        let went = one(target, &programs, seconds)?;
        let (runs, seconds, crashes) = (went.runs, went.seconds, went.crashes.len());
        say(&format!("{target:12}{runs:12}{seconds:9.0}{crashes:9}  {}", went.coverage));
        for crash in &went.crashes {
            wrong.push(format!("{target}: {}", crash.display()));
        }
        if !went.ended_well && went.crashes.is_empty() {
            wrong.push(format!("{target}: it failed, see {}", log(target).display()));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::new(format!("crashes:\n{}", wrong.join("\n")))) }
}

fn wanted(arguments: &[&str], known: &[String]) -> Outcome<Wanted> {
    let mut wanted = Wanted { targets: Vec::new(), seconds: 60 };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if *argument == "--seconds" {
            let number = rest.next().and_then(|number| number.parse().ok());
            wanted.seconds = number.ok_or_else(|| Failure::new("--seconds needs a number"))?;
        } else if known.iter().any(|name| name == argument) {
            wanted.targets.push((*argument).to_owned());
        } else {
            return Err(Failure::new(format!("no fuzz target {argument}; there are {}", known.join(", "))));
        }
    }
    if wanted.targets.is_empty() {
        wanted.targets = known.to_vec();
    }
    Ok(wanted)
}

/// The names of all targets.
fn known() -> Outcome<Vec<String>> {
    let mut names: Vec<String> = listed(&root().join("fuzz/targets"))?
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Where everything is that running makes.
fn folder() -> PathBuf {
    target().join("fuzz")
}

fn log(target: &str) -> PathBuf {
    folder().join("log").join(target)
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::new(format!("{}: {error}", path.display()))
}

fn listed(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(failed(folder))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed(folder))).collect()
}

/// Builds all targets and returns the folder that they are in.
fn build() -> Outcome<PathBuf> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::new("rustc does not say what it compiles for"))?;
    let build = folder().join("build");
    // With the host named, scripts that run while building are left without the flags.
    let arguments = ["build", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--target", host];
    run(cargo(&arguments).arg("--target-dir").arg(&build).env("RUSTFLAGS", FLAGS.join(" ")))?;
    Ok(build.join(host).join("debug"))
}

/// Runs one target from its seeds and from what earlier runs found, until it has had so many seconds of a processor,
/// or crashes. Others may use the machine as well: then it takes longer.
fn one(target: &str, programs: &Path, seconds: u64) -> Outcome<Went> {
    let mut went = once(target, programs, seconds)?;
    while went.ended_well && went.seconds + 1.0 < seconds as f64 {
        let more = once(target, programs, (seconds as f64 - went.seconds).ceil() as u64)?;
        went = Went {
            runs: went.runs + more.runs,
            seconds: went.seconds + more.seconds,
            crashes: [went.crashes, more.crashes].concat(),
            ..more
        };
    }
    Ok(went)
}

fn once(target: &str, programs: &Path, seconds: u64) -> Outcome<Went> {
    let (found, artifacts, log) = (folder().join(target), folder().join("artifacts").join(target), log(target));
    for folder in [&found, &artifacts, &folder().join("log")] {
        fs::create_dir_all(folder).map_err(failed(folder))?;
    }
    let before = listed(&artifacts)?;
    let mut prefix = OsString::from("-artifact_prefix=");
    prefix.push(artifacts.join(""));
    let mut command = Command::new(programs.join(format!("fuzz-{target}")));
    command.args(BOUNDS).args(["-print_final_stats=1", &format!("-max_total_time={seconds}")]).arg(prefix);
    command.arg(found).arg(root().join("fuzz/seeds").join(target));
    let file = fs::File::create(&log).map_err(failed(&log))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    let failed_to = |error| Failure::new(format!("fuzz target {target} could not be run: {error}"));
    let mut child = command.spawn().map_err(failed_to)?;
    let mut used = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed_to)? {
            break status;
        }
        used = processor_seconds(child.id()).unwrap_or(used);
        std::thread::sleep(Duration::from_millis(100));
    };
    let said = fs::read(&log).map_err(failed(&log))?;
    let (runs, coverage) = figures(&String::from_utf8_lossy(&said));
    let mut crashes = listed(&artifacts)?;
    crashes.retain(|path| !before.contains(path));
    Ok(Went { runs, coverage, seconds: used, crashes, ended_well: status.success() })
}

/// Seconds of a processor that a process has used so far, all its threads together.
fn processor_seconds(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold anything; the kernel counts in hundredths.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}

/// How many inputs libFuzzer tried, and how much of the code they reached.
fn figures(said: &str) -> (u64, String) {
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let covered = said.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("cov: ")?;
        let (edges, rest) = rest.split_once(" ft: ")?;
        Some(format!("{edges} edges, {} features", rest.split(' ').next()?))
    });
    (runs.and_then(|runs| runs.trim().parse().ok()).unwrap_or(0), covered.unwrap_or_else(|| "unknown".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_understood() {
        let known = ["elf", "pe"].map(str::to_owned);
        let all = Wanted { targets: known.to_vec(), seconds: 60 };
        assert_eq!(wanted(&[], &known).ok(), Some(all));
        let one = Wanted { targets: vec!["pe".to_owned()], seconds: 5 };
        assert_eq!(wanted(&["pe", "--seconds", "5"], &known).ok(), Some(one));
        for wrong in [&["png"][..], &["--seconds"], &["--seconds", "x"]] {
            assert!(wanted(wrong, &known).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn time_is_that_of_the_processor() {
        let mut child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("there is a shell");
        let busy = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            processor_seconds(child.id()).is_some_and(|seconds| seconds > 0.1)
        });
        child.kill().and_then(|()| child.wait()).expect("it can be ended");
        assert!(busy);
    }

    #[test]
    fn figures_are_read() {
        let said = "#2\tINITED cov: 5 ft: 6 corp: 1/1b\n#9\tDONE   cov: 12 ft: 345 corp: 7/9b lim: 4 exec/s: 0\n\
                    stat::number_of_executed_units: 9\n";
        assert_eq!(figures(said), (9, "12 edges, 345 features".to_owned()));
    }

    #[test]
    fn every_target_is_built_and_has_seeds() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("the manifest is there");
        for target in known().expect("there are targets") {
            assert!(manifest.contains(&format!("name = \"fuzz-{target}\"\n")), "{target}");
            let seeds = listed(&root().join("fuzz/seeds").join(&target)).expect("there are seeds");
            let bytes: u64 = seeds.iter().filter_map(|seed| Some(seed.metadata().ok()?.len())).sum();
            assert!((1..=30).contains(&seeds.len()) && bytes <= 100_000, "{target}: {} seeds, {bytes}", seeds.len());
        }
    }
}
