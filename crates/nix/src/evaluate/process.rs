//! One process that evaluates: reads its answers line by line while it works, and ends it when it takes too much
//! memory or time.
//!
//! Time is that of the processor, so that a busy machine changes no result. What an evaluation waits for, such as the build
//! of something that it imports, is bounded by Nix's own settings, and here by so much that only what hangs gets there.
//!
//! Memory is what the process has resident. Nix's garbage collector reserves far more address space than it uses, so
//! a limit of that (as `ulimit -v` sets it) would end processes that need little.

use super::AttrPath;
use crate::NixError;
use crate::child::Running;
use crate::command::{error_message, not_run};
use crate::expression::Root;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};

const WALKER: &str = include_str!("../walker.nix");

/// How often a process is looked at. In this time an evaluation can take some hundred megabytes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a process may say nothing, whatever it waits for.
const LONGEST_WAIT: Duration = Duration::from_hours(6);

/// What Nix says at the end is kept; what a package set says by `trace` before that is not.
const LAST_WORDS: usize = 256 * 1024;

/// What one process may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) memory: u64,
    pub(super) time: Duration,
    /// Whether every set is searched.
    pub(super) recursive: bool,
}

/// What a process says while it works.
#[derive(Debug)]
pub(super) enum Line {
    Root(Listed),
    /// It looks at what a wrapper was made from.
    Origin,
    /// A derivation and its facts as JSON, to which the next path belongs.
    Facts(String, String),
    Path(Answer),
}

#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) kind: String,
    #[serde(default)]
    pub(super) names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) attr_path: AttrPath,
    pub(super) outcome: String,
    pub(super) drv_path: Option<String>,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) recurse: bool,
    #[serde(default)]
    pub(super) refuses: bool,
    pub(super) output_name: Option<String>,
}

/// How a process ended.
#[derive(Debug)]
pub(super) enum End {
    Done,
    /// Nix said why.
    Failed(String),
    /// It took more memory than it may.
    Memory,
    /// It computed for longer than it may.
    Time,
    /// It waited for something that did not come.
    Waiting,
    /// Something else ended it.
    Signal(i32),
}

/// What a process is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    /// The root; and everything in it, where it has no more attributes than this.
    Root(usize),
    Paths(&'a [AttrPath]),
    /// One path, without asking wrappers what they were made from.
    Plain(&'a AttrPath),
    /// Why a path throws.
    Tell(&'a AttrPath),
}

/// The command line arguments by which the walker is asked something; also for other tools.
pub(super) fn walker(request: &Value) -> [String; 5] {
    ["-E", WALKER, "--argstr", "request", &request.to_string()].map(str::to_owned)
}

/// The walker as one expression, with a request or without.
pub(super) fn walker_text(request: Option<&Value>) -> String {
    match request {
        None => format!("({WALKER}) {{ }}"),
        // A string of JSON is one of Nix as well, but for `${`.
        Some(request) => {
            let text = json!(request.to_string()).to_string().replace("${", "\\${");
            format!("({WALKER}) {{ request = {text}; }}")
        }
    }
}

/// Asks a process of its own, and gives what it says to `hear`.
pub(super) async fn ask(
    root: &Root,
    question: Question<'_>,
    bounds: Bounds,
    mut hear: impl FnMut(Line) -> Result<(), NixError>,
) -> Result<End, NixError> {
    // Nothing that is evaluated can know this, so nothing can pretend to be an answer.
    let mark = format!("narthex-{:016x}", RandomState::new().hash_one(0));
    let mut request = json!({ "root": root.request, "mark": mark, "recursive": bounds.recursive });
    match question {
        Question::Root(at_once) => request["paths"] = json!(at_once),
        Question::Paths(paths) => request["paths"] = json!(paths),
        Question::Plain(path) => {
            request["paths"] = json!([path]);
            request["origins"] = json!(false);
        }
        Question::Tell(path) => {
            request["paths"] = json!([path]);
            request["tell"] = json!(true);
        }
    }
    let mut command = root.nix.command("nix-instantiate");
    command.args(["--eval", "--read-write-mode"]).args(walker(&request));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Running::start(&mut command).map_err(|error| not_run("nix-instantiate".to_owned(), error))?;
    let process = child.id();
    let Some(stderr) = child.stderr() else { return Err(unexpected("it has no stderr".to_owned())) };
    let failed = |source| NixError::NotRun { program: "nix-instantiate".to_owned(), source };

    let mut reader = BufReader::with_capacity(256 * 1024, stderr);
    let mut line = Vec::new();
    let mut words = Vec::new();
    let (mut heard_at, mut used) = (Instant::now(), Duration::ZERO);
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            // A line that is read in part stays in `line` when the other branch is taken.
            read = reader.read_until(b'\n', &mut line) => {
                if read.map_err(failed)? == 0 && line.is_empty() {
                    break;
                }
                if let Some(said) = read_line(&line, &mark)? {
                    if !matches!(said, Line::Facts(..) | Line::Origin) {
                        (heard_at, used) = (Instant::now(), time_used(process));
                    }
                    hear(said)?;
                } else {
                    words.extend_from_slice(&line);
                    if words.len() > 2 * LAST_WORDS {
                        words.drain(..words.len() - LAST_WORDS);
                    }
                }
                line.clear();
            }
            _ = look.tick() => {
                let end = if resident(process) > bounds.memory {
                    End::Memory
                } else if time_used(process).saturating_sub(used) > bounds.time {
                    End::Time
                } else if heard_at.elapsed() > LONGEST_WAIT {
                    End::Waiting
                } else {
                    continue;
                };
                child.kill().await.map_err(failed)?;
                return Ok(end);
            }
        }
    }
    let status = child.wait().await.map_err(failed)?;
    Ok(match status.signal() {
        _ if status.success() => End::Done,
        Some(signal) => End::Signal(signal),
        None => End::Failed(error_message(&String::from_utf8_lossy(&words))),
    })
}

fn read_line(line: &[u8], mark: &str) -> Result<Option<Line>, NixError> {
    let text = String::from_utf8_lossy(line);
    // Nix writes `trace: ` before it.
    let Some((_, said)) = text.split_once(mark) else { return Ok(None) };
    let said = said.trim();
    let (kind, rest) = said.split_once(' ').unwrap_or((said, ""));
    let wrong = |error: serde_json::Error| unexpected(error.to_string());
    Ok(Some(match kind {
        "origin" => Line::Origin,
        "root" => Line::Root(serde_json::from_str(rest).map_err(wrong)?),
        "path" => Line::Path(serde_json::from_str(rest).map_err(wrong)?),
        "facts" => match rest.split_once(' ') {
            Some((derivation, facts)) => Line::Facts(derivation.to_owned(), facts.to_owned()),
            None => return Err(unexpected("facts of nothing".to_owned())),
        },
        other => return Err(unexpected(format!("a line about `{other}`"))),
    }))
}

/// Bytes of memory that a process has; zero for one that has ended.
fn resident(process: Option<u32>) -> u64 {
    let status = process.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok()).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// How long the processor has worked for a process, all its threads together; nothing for one that has ended.
fn time_used(process: Option<u32>) -> Duration {
    let stat = process.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok()).unwrap_or_default();
    let ticks = ticks_used(&stat).unwrap_or(0);
    Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1))
}

/// The fields `utime` and `stime` of proc_pid_stat(5), which are the twelfth and the thirteenth behind the name. A name may
/// have spaces and parentheses in it.
fn ticks_used(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    fields.next()??.checked_add(fields.next()??)
}

pub(super) fn unexpected(why: String) -> NixError {
    NixError::Unexpected { command: "nix-instantiate --eval".to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_processor_is_read_behind_any_name() {
        let check = |stat: &str, expected: Option<u64>| assert_eq!(ticks_used(stat), expected, "{stat}");
        check("12 (nix) S 1 12 12 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 1 0 100 1 1", Some(12));
        check("12 (a) b (c)) R 1 12 12 0 -1 4194304 100 0 0 0 700 50 9 9 20 0 1 0 100 1 1", Some(750));
        check("12 (nix) S 1 12", None);
        check("", None);
    }
}
