//! Builds and substitutes, and follows Nix's internal-json log while it does.

use crate::command::{error_message, not_run};
use crate::{Nix, NixError, ansi};
use narthex_closure::{StorePath, parse_store_path};
use narthex_event::{Event, Sink};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, BufReader};

/// What a command is to make valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All outputs of a derivation.
    Derivation(StorePath),
    /// Some outputs of a derivation.
    Outputs(StorePath, BTreeSet<String>),
    /// A path, by substitution only.
    Path(StorePath),
}

impl Target {
    fn argument(&self) -> String {
        match self {
            Self::Derivation(path) | Self::Path(path) => path.to_string(),
            Self::Outputs(path, outputs) => {
                format!("{path}!{}", outputs.iter().map(String::as_str).collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// When a build ended, and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildTime {
    /// From its beginning to its end, by a clock on the wall.
    pub took: Duration,
    /// The end, in seconds since 1970.
    pub ended: u64,
}

/// What a build command did. Which outputs are valid now is asked of the store, not read from here.
#[derive(Clone, Debug, Default)]
pub struct BuildOutcome {
    /// Whether the command succeeded as a whole.
    pub success: bool,
    /// Derivations whose build began.
    pub built: BTreeSet<StorePath>,
    /// How long each build took that began and ended, well or not.
    pub times: BTreeMap<StorePath, BuildTime>,
    /// Paths that were fetched from a cache.
    pub fetched: BTreeSet<StorePath>,
    /// The last lines of each build's log.
    pub logs: BTreeMap<StorePath, Vec<String>>,
    /// Errors that Nix reported, in order.
    pub errors: Vec<String>,
    /// Warnings that Nix reported, in order.
    pub warnings: Vec<String>,
}

/// Lines of log kept for each build.
const LOG_LINES: usize = 20;

impl Nix {
    /// Makes targets valid, by building or by substituting, and goes on when some fail.
    ///
    /// # Errors
    /// Only when the command could not be run; a failed build is an outcome.
    pub async fn realise(&self, targets: &[Target], sink: Sink<'_>) -> Result<BuildOutcome, NixError> {
        if targets.is_empty() {
            return Ok(BuildOutcome { success: true, ..BuildOutcome::default() });
        }
        let mut command = self.command("nix-store");
        command.args(["--realise", "--keep-going", "--log-format", "internal-json", "-v"]);
        command.args(targets.iter().map(Target::argument));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| not_run("nix-store".to_owned(), source))?;
        let mut follow =
            Follow { sink, activities: HashMap::new(), outcome: BuildOutcome::default(), plain: String::new() };
        if let Some(stderr) = child.stderr.take() {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                follow.line(&String::from_utf8_lossy(&line));
            }
        }
        let status = child.wait().await.map_err(|source| not_run("nix-store".to_owned(), source))?;
        let mut outcome = follow.finish();
        outcome.success = status.success();
        Ok(outcome)
    }

    /// Protects valid paths from the garbage collector while `folder` holds the links made here.
    ///
    /// # Errors
    /// When the links cannot be made.
    pub async fn protect(&self, paths: &[StorePath], folder: &Path) -> Result<(), NixError> {
        for (number, chunk) in paths.chunks(1000).enumerate() {
            let mut command = self.command("nix-store");
            command.arg("--realise").args(["--option", "substituters", "", "--add-root"]);
            command.arg(folder.join(format!("root{number}"))).arg("--indirect");
            command.args(chunk.iter().map(StorePath::to_string));
            crate::command::run(command, "nix-store --add-root").await?;
        }
        Ok(())
    }
}

/// Activity types of Nix's logger: `ActivityType` in `src/libutil/logging.hh`.
mod activity {
    pub(super) const COPY_PATH: u64 = 100;
    pub(super) const BUILDS: u64 = 104;
    pub(super) const BUILD: u64 = 105;
}

/// Result types of the same file.
mod result {
    pub(super) const BUILD_LOG_LINE: u64 = 101;
    pub(super) const PROGRESS: u64 = 105;
}

/// `lvlWarn` of the same file; errors are 0.
const WARNING: u64 = 1;

#[derive(Deserialize)]
struct Line {
    action: String,
    #[serde(default)]
    id: u64,
    #[serde(rename = "type", default)]
    kind: u64,
    #[serde(default)]
    level: u64,
    #[serde(default)]
    fields: Vec<Value>,
    #[serde(default)]
    msg: String,
}

enum Activity {
    Build(StorePath, Instant),
    Builds,
}

struct Follow<'a> {
    sink: Sink<'a>,
    activities: HashMap<u64, Activity>,
    outcome: BuildOutcome,
    plain: String,
}

impl Follow<'_> {
    fn line(&mut self, line: &str) {
        let Some(line) = line.strip_prefix("@nix ").and_then(|json| serde_json::from_str::<Line>(json).ok()) else {
            self.plain.push_str(line);
            self.plain.push('\n');
            return;
        };
        let path = || line.fields.first().and_then(Value::as_str).and_then(parse_store_path);
        let number = |at: usize| line.fields.get(at).and_then(Value::as_u64).unwrap_or(0);
        match (line.action.as_str(), line.kind) {
            ("start", activity::BUILD) => {
                if let Some(derivation) = path() {
                    self.outcome.built.insert(derivation.clone());
                    self.activities.insert(line.id, Activity::Build(derivation.clone(), Instant::now()));
                    (self.sink)(Event::BuildStarted { derivation });
                }
            }
            ("start", activity::BUILDS) => {
                self.activities.insert(line.id, Activity::Builds);
            }
            ("start", activity::COPY_PATH) => {
                if let Some(path) = path()
                    && self.outcome.fetched.insert(path.clone())
                {
                    (self.sink)(Event::Fetching { path });
                }
            }
            ("result", result::BUILD_LOG_LINE) => {
                if let (Some(Activity::Build(derivation, _)), Some(text)) =
                    (self.activities.get(&line.id), line.fields.first().and_then(Value::as_str))
                {
                    let derivation = derivation.clone();
                    let text = ansi::strip(text).trim_end().to_owned();
                    let log = self.outcome.logs.entry(derivation.clone()).or_default();
                    if log.len() == LOG_LINES {
                        log.remove(0);
                    }
                    log.push(text.clone());
                    (self.sink)(Event::BuildLine { derivation, line: text });
                }
            }
            ("result", result::PROGRESS) => {
                if matches!(self.activities.get(&line.id), Some(Activity::Builds)) {
                    (self.sink)(Event::BuildProgress {
                        done: number(0),
                        expected: number(1),
                        running: number(2),
                        failed: number(3),
                    });
                }
            }
            ("stop", _) => {
                if let Some(Activity::Build(derivation, since)) = self.activities.remove(&line.id) {
                    let took = since.elapsed();
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    self.outcome.times.insert(derivation.clone(), BuildTime { took, ended: now.as_secs() });
                    (self.sink)(Event::BuildStopped { derivation, took });
                }
            }
            ("msg", _) if line.level <= WARNING => {
                let message = ansi::strip(&line.msg);
                let message = ["error:", "warning:"]
                    .iter()
                    .fold(message.trim(), |message, word| message.strip_prefix(word).unwrap_or(message).trim_start());
                let said = if line.level == WARNING { &mut self.outcome.warnings } else { &mut self.outcome.errors };
                if !said.iter().any(|known| known == message) {
                    said.push(message.to_owned());
                }
            }
            _ => {}
        }
    }

    fn finish(mut self) -> BuildOutcome {
        if self.outcome.errors.is_empty() && self.plain.contains("error:") {
            self.outcome.errors.push(error_message(&self.plain));
        }
        self.outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Lines as Nix 2.8 writes them for one build that fails.
    #[test]
    fn a_failed_build_is_followed() {
        let drv = "/nix/store/qp1k6i4qjxg87xgp6k40cm6343imzmsl-a.drv";
        let events = Mutex::new(Vec::new());
        let sink = |event| events.lock().unwrap().push(event);
        let mut follow =
            Follow { sink: &sink, activities: HashMap::new(), outcome: BuildOutcome::default(), plain: String::new() };
        for line in [
            r#"@nix {"action":"start","id":7,"level":0,"text":"","type":104}"#.to_owned(),
            format!(
                r#"@nix {{"action":"start","fields":["{drv}","",1,1],"id":9,"level":3,"text":"building","type":105}}"#
            ),
            r#"@nix {"action":"result","fields":[0,1,1,0],"id":7,"type":105}"#.to_owned(),
            r#"@nix {"action":"result","fields":["\u001b[1mhi\u001b[0m"],"id":9,"type":101}"#.to_owned(),
            r#"@nix {"action":"stop","id":9}"#.to_owned(),
            r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m builder failed"}"#.to_owned(),
            "@nix not json".to_owned(),
        ] {
            follow.line(&line);
        }
        let outcome = follow.finish();
        let drv: StorePath = drv.parse().unwrap();
        assert_eq!(outcome.errors, ["builder failed"]);
        assert_eq!(outcome.logs[&drv], ["hi"]);
        assert!(outcome.times[&drv].ended > 1_000_000_000);
        let events = events.into_inner().unwrap();
        assert_eq!(events[0], Event::BuildStarted { derivation: drv.clone() });
        assert_eq!(events[1], Event::BuildProgress { done: 0, expected: 1, running: 1, failed: 0 });
        assert!(matches!(&events[3], Event::BuildStopped { derivation, .. } if *derivation == drv));
    }
}
