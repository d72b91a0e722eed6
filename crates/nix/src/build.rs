//! Builds and substitutes, and follows Nix's internal-json log while it does.

mod endings;

use crate::cause::{self, Cause};
use crate::child::Running;
use crate::chunk::command_lines;
use crate::command::{error_message, not_run};
use crate::machine::Machine;
use crate::rounds::{Attempt, Rounds};
use crate::{Nix, NixError, ansi};
use endings::Endings;
use narthex_closure::{Graph, StorePath, parse_store_path};
use narthex_event::{Event, Sink};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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
    fn derivation(&self) -> &StorePath {
        match self {
            Self::Derivation(path) | Self::Outputs(path, _) | Self::Path(path) => path,
        }
    }

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
    /// Warnings that Nix reported, in order; not those about settings that it repeats in every command.
    pub warnings: Vec<String>,
    /// Of [`Nix::build`]: derivations whose own build failed, and what Nix said of each.
    pub failed: BTreeMap<StorePath, Option<String>>,
    /// Of [`Nix::build`]: derivations that were not begun, since this machine cannot build them or Nix refuses them.
    pub refused: BTreeMap<StorePath, String>,
    /// Those of them that were known beforehand, from what they ask and what this machine has.
    pub unfit: BTreeSet<StorePath>,
    /// Of [`Nix::build`]: why nothing more was tried.
    pub stopped: Option<String>,
}

impl BuildOutcome {
    /// Adds what another command did.
    fn add(&mut self, other: Self, code: Option<i32>) {
        self.success &= code == Some(0);
        self.built.extend(other.built);
        self.times.extend(other.times);
        self.fetched.extend(other.fetched);
        self.logs.extend(other.logs);
        for (mine, theirs) in [(&mut self.errors, other.errors), (&mut self.warnings, other.warnings)] {
            let known: HashSet<String> = mine.iter().cloned().collect();
            mine.extend(theirs.into_iter().filter(|message| !known.contains(message)));
        }
    }

    /// The warnings that may tell why something failed; not that something is tried again.
    pub fn telling_warnings(&self) -> impl Iterator<Item = &String> {
        let tells = |warning: &&String| Cause::of(warning) != Cause::Other && !warning.contains("; retrying in");
        self.warnings.iter().filter(tells)
    }
}

/// Lines of log kept for each build.
const LOG_LINES: usize = 20;

impl Nix {
    /// Makes targets valid, by building or by substituting, and goes on when some fail. Where Nix itself ends at one of
    /// them, the others are left undone: see [`Nix::build`].
    ///
    /// # Errors
    /// Only when the command could not be run; a failed build is an outcome.
    pub async fn realise(&self, targets: &[Target], sink: Sink<'_>) -> Result<BuildOutcome, NixError> {
        let mut all = BuildOutcome { success: true, ..BuildOutcome::default() };
        for chunk in command_lines(targets, |target| target.argument().len()) {
            let (outcome, code) = self.realise_chunk(chunk, sink).await?;
            all.add(outcome, code);
        }
        Ok(all)
    }

    /// One command, and its exit code.
    async fn realise_chunk(&self, targets: &[Target], sink: Sink<'_>) -> Result<(BuildOutcome, Option<i32>), NixError> {
        let mut command = self.command("nix-store");
        command.args(["--realise", "--keep-going", "--log-format", "internal-json", "-v"]);
        command.args(targets.iter().map(Target::argument));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Running::start(&mut command).map_err(|source| not_run("nix-store".to_owned(), source))?;
        let mut follow = Follow::new(sink);
        if let Some(stderr) = child.stderr() {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                follow.line(&String::from_utf8_lossy(&line));
            }
        }
        let status = child.wait().await.map_err(|source| not_run("nix-store".to_owned(), source))?;
        Ok((follow.finish(), status.code()))
    }

    /// Builds derivations of a graph, or fetches them where a cache has them. What this machine cannot build is left
    /// out, and so is what Nix refuses; everything else is built.
    ///
    /// # Errors
    /// When a command could not be run, or Nix does not answer.
    pub async fn build(&self, graph: &Graph, targets: &[Target], sink: Sink<'_>) -> Result<BuildOutcome, NixError> {
        let by_derivation: BTreeMap<&StorePath, &Target> =
            targets.iter().map(|target| (target.derivation(), target)).collect();
        let all: Vec<StorePath> = by_derivation.keys().map(|path| (*path).clone()).collect();
        let mut outcome = BuildOutcome { success: true, ..BuildOutcome::default() };
        if all.is_empty() {
            return Ok(outcome);
        }
        let unfit = self.unfit(graph, &all).await?;
        let planned = if unfit.is_empty() { None } else { self.planned(targets).await };
        let is_planned = |path: &StorePath| planned.as_ref().is_none_or(|planned| planned.contains(path));
        let unfit: BTreeMap<StorePath, String> = unfit.into_iter().filter(|(path, _)| is_planned(path)).collect();
        outcome.unfit = unfit.keys().cloned().collect();
        let mut asked = planned.is_some();
        let mut rounds = Rounds::new(graph, all, planned, unfit);
        while let Some(group) = rounds.next() {
            let wanted: Vec<Target> = group
                .iter()
                .map(|path| by_derivation.get(path).map_or_else(|| Target::Derivation(path.clone()), |t| (*t).clone()))
                .collect();
            for chunk in command_lines(&wanted, |target| target.argument().len()) {
                let (said, code) = self.realise_chunk(chunk, sink).await?;
                let mut attempt =
                    Attempt { code, started: said.built.clone(), errors: said.errors.clone(), ..Attempt::default() };
                if code != Some(0) {
                    if !std::mem::replace(&mut asked, true) {
                        rounds.plan(self.planned(targets).await);
                    }
                    attempt.valid = self.valid(graph, chunk, &said.built).await?;
                    rounds.ended(chunk.iter().map(|target| target.derivation().clone()).collect(), &attempt);
                }
                outcome.add(said, code);
            }
        }
        (outcome.failed, outcome.refused, outcome.stopped) = (rounds.failed, rounds.refused, rounds.stopped);
        outcome.success = outcome.failed.is_empty() && outcome.refused.is_empty() && outcome.stopped.is_none();
        Ok(outcome)
    }

    /// What of a graph this machine cannot build, and why.
    async fn unfit(&self, graph: &Graph, targets: &[StorePath]) -> Result<BTreeMap<StorePath, String>, NixError> {
        let machine = Machine::of(self.settings().await?);
        let of = |path: StorePath| {
            let why = machine.refuses(graph.get(&path)?)?;
            Some((path, why))
        };
        Ok(graph.closure(targets.iter().cloned()).into_iter().filter_map(of).collect())
    }

    /// The derivations that Nix would build for targets; nothing where it does not say.
    async fn planned(&self, targets: &[Target]) -> Option<BTreeSet<StorePath>> {
        let mut planned = BTreeSet::new();
        for chunk in command_lines(targets, |target| target.argument().len()) {
            let mut command = self.command("nix-store");
            command.args(["--realise", "--dry-run"]).args(chunk.iter().map(Target::argument));
            let output = crate::command::run(command, "nix-store --realise --dry-run").await.ok()?;
            planned.extend(will_be_built(&ansi::strip(&String::from_utf8_lossy(&output.stderr))));
        }
        Some(planned)
    }

    /// Which derivations have all the outputs that were asked of them: all of them, where none was named.
    async fn valid(
        &self,
        graph: &Graph,
        targets: &[Target],
        started: &BTreeSet<StorePath>,
    ) -> Result<BTreeSet<StorePath>, NixError> {
        let outputs = |derivation: &StorePath, named: Option<&BTreeSet<String>>| {
            let outputs = graph.get(derivation).map(|derivation| derivation.outputs.iter());
            let wanted =
                outputs.into_iter().flatten().filter(|(name, _)| named.is_none_or(|named| named.contains(*name)));
            wanted.map(|(_, path)| path.clone()).collect::<Vec<_>>()
        };
        let of_targets = targets.iter().map(|target| match target {
            Target::Outputs(derivation, named) => (derivation, outputs(derivation, Some(named))),
            Target::Derivation(path) | Target::Path(path) => (path, outputs(path, None)),
        });
        let of_started = started.iter().map(|derivation| (derivation, outputs(derivation, None)));
        // Of what is both, the outputs that were asked for count.
        let all: BTreeMap<&StorePath, Vec<StorePath>> = of_started.chain(of_targets).collect();
        let infos = self.path_info(all.values().flatten().cloned()).await?;
        let whole = |outputs: &[StorePath]| !outputs.is_empty() && outputs.iter().all(|path| infos.contains_key(path));
        Ok(all.into_iter().filter(|(_, outputs)| whole(outputs)).map(|(path, _)| path.clone()).collect())
    }

    /// Protects valid paths from the garbage collector while `folder` holds the links made here.
    ///
    /// # Errors
    /// When the links cannot be made.
    pub async fn protect(&self, paths: &[StorePath], folder: &Path) -> Result<(), NixError> {
        for (number, chunk) in command_lines(paths, |path| path.to_string().len()).into_iter().enumerate() {
            let mut command = self.command("nix-store");
            command.arg("--realise").args(["--option", "substituters", "", "--add-root"]);
            command.arg(folder.join(format!("root{number}"))).arg("--indirect");
            command.args(chunk.iter().map(StorePath::to_string));
            crate::command::run(command, "nix-store --add-root").await?;
        }
        Ok(())
    }
}

/// The derivations below the heading that says that they will be built.
fn will_be_built(said: &str) -> BTreeSet<StorePath> {
    let mut built = BTreeSet::new();
    let mut below = false;
    for line in said.lines() {
        match line.trim().strip_prefix("/nix/store/") {
            Some(base) if below => built.extend(parse_store_path(base)),
            Some(_) => {}
            None => below = line.trim_end().ends_with("will be built:"),
        }
    }
    built
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
    endings: Endings,
    /// Messages that were noted already, and whether each is a warning.
    seen: HashSet<(bool, String)>,
    plain: String,
}

impl<'a> Follow<'a> {
    fn new(sink: Sink<'a>) -> Self {
        let (activities, seen) = (HashMap::new(), HashSet::new());
        let (outcome, endings) = (BuildOutcome::default(), Endings::default());
        Self { sink, activities, outcome, endings, seen, plain: String::new() }
    }
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
                    self.endings.counted(number(3));
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
                    self.endings.ended(derivation, took);
                    self.tell();
                }
            }
            ("msg", _) if line.level <= WARNING => {
                let message = ansi::strip(&line.msg);
                let message = ["error:", "warning:"]
                    .iter()
                    .fold(message.trim(), |message, word| message.strip_prefix(word).unwrap_or(message).trim_start());
                if cause::is_about_settings(message) {
                    return;
                }
                if line.level < WARNING {
                    self.endings.said(message);
                    self.tell();
                }
                let said = if line.level == WARNING { &mut self.outcome.warnings } else { &mut self.outcome.errors };
                if self.seen.insert((line.level == WARNING, message.to_owned())) {
                    said.push(message.to_owned());
                }
            }
            _ => {}
        }
    }

    /// Tells of builds that ended, as soon as it is known whether they failed.
    fn tell(&mut self) {
        for (derivation, took, failed) in self.endings.take() {
            (self.sink)(Event::BuildStopped { derivation, failed, took });
        }
    }

    fn finish(mut self) -> BuildOutcome {
        self.endings.close();
        self.tell();
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

    #[test]
    fn a_plan_is_read_from_a_dry_run() {
        let (one, two) = ("bg1k4qb9xcw8clvag2chn9c7jwamg6f4-good1.drv", "hf49bj2irlg5qr752flzij76pjq250qm-good2.drv");
        let fetched = "s7f2km7lq2hapymbqr4s7sm3qgp48b4i-good1";
        let check = |said: &str, expected: &[&str]| {
            let built: Vec<String> = will_be_built(said).iter().map(StorePath::to_basename).collect();
            assert_eq!(built, expected);
        };
        let both = format!(
            "warning: x\nthese 2 derivations will be built:\n  /nix/store/{one}\n  /nix/store/{two}\n\
             this path will be fetched (0.1 KiB download, 0.1 KiB unpacked):\n  /nix/store/{fetched}\n\
             don't know how to build these paths:\n  /nix/store/{fetched}\n"
        );
        check(&both, &[one, two]);
        check(&format!("this derivation will be built:\n  /nix/store/{two}\n"), &[two]);
        check("", &[]);
    }

    /// Lines as Nix 2.8 writes them for one build that fails.
    #[test]
    fn a_failed_build_is_followed() {
        let drv = "/nix/store/qp1k6i4qjxg87xgp6k40cm6343imzmsl-a.drv";
        let events = Mutex::new(Vec::new());
        let sink = |event| events.lock().unwrap().push(event);
        let mut follow = Follow::new(&sink);
        for line in [
            r#"@nix {"action":"start","id":7,"level":0,"text":"","type":104}"#.to_owned(),
            format!(
                r#"@nix {{"action":"start","fields":["{drv}","",1,1],"id":9,"level":3,"text":"building","type":105}}"#
            ),
            r#"@nix {"action":"result","fields":[0,1,1,0],"id":7,"type":105}"#.to_owned(),
            r#"@nix {"action":"result","fields":["\u001b[1mhi\u001b[0m"],"id":9,"type":101}"#.to_owned(),
            r#"@nix {"action":"result","fields":[0,1,0,1],"id":7,"type":105}"#.to_owned(),
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
        assert!(matches!(&events[4], Event::BuildStopped { derivation, failed: true, .. } if *derivation == drv));
    }
}
