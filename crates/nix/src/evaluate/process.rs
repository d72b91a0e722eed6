//! One process that evaluates, is asked questions, and keeps what it evaluated between them: `nix repl`, which reads
//! lines from its standard input and goes on behind errors. Its answers are read line by line while it works, and it is
//! ended when it takes too much memory or time.
//!
//! Everything that counts comes by stderr, where the answers of the walker and the errors of Nix stand in the order in which
//! they happened. What the prompt prints is thrown away. Questions end with a number that the walker says when it comes
//! to it; only the walker knows the mark that answers begin with, and no line after the first one has it.
//!
//! Time is that of the processor, so that a busy machine changes no result. What an evaluation waits for, such as the build
//! of something that it imports, is bounded by Nix's own settings, and here by so much that only what hangs gets there.
//!
//! Memory is what the process has resident. Nix's garbage collector reserves far more address space than it uses, so
//! a limit of that (as `ulimit -v` sets it) would end processes that need little.

use super::AttrPath;
use super::line::{self, Part};
use super::reason::last_words;
use super::watch::Watch;
use crate::NixError;
use crate::child::{Running, unless_ending};
use crate::command::not_run;
use crate::expression::Root;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin};

const WALKER: &str = include_str!("../walker.nix");

/// What Nix says at the end is kept; what a package set says by `trace` before that is not.
pub(super) const LAST_WORDS: usize = 256 * 1024;

/// A line is no longer: neither an answer, of which the longest names all attributes of a set, nor what a package says.
pub(super) const LONGEST: usize = 64 << 20;

/// What one process may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) memory: u64,
    pub(super) time: Duration,
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
    /// The next path failed, and Nix was kept from saying why.
    Caught,
    /// What follows is about the path with this number of the piece. What Nix said since the last answer is not.
    At(usize, String),
    /// Where that one is defined.
    Place(String),
    /// The question with this number is done with.
    End(u64),
}

#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) kind: String,
    pub(super) names: Vec<String>,
    pub(super) pure: bool,
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

/// How a process ended before its time.
#[derive(Debug)]
pub(super) enum End {
    /// Nix said why.
    Failed(String),
    /// It took more memory than it may.
    Memory,
    /// It computed for longer than it may.
    Time,
    /// It waited for something that did not come.
    Waiting,
    /// It wrote a line without end.
    Line,
    /// Something else ended it.
    Signal(i32),
}

/// The prompt keeps a place for whatever is ever assigned, and has 32,768 of them.
const ASSIGNMENTS: usize = 16_000;

/// The walker as one expression, with a request or without.
pub(super) fn walker_text(request: Option<&Value>) -> String {
    match request {
        None => format!("({WALKER}) {{ }}"),
        Some(request) => format!("({WALKER}) {{ request = {}; }}", text(&request.to_string())),
    }
}

/// JSON as a string of Nix. A string of JSON is one of Nix as well, but for `${`. What is not of ASCII, or an order for a
/// terminal, is written as JSON's escapes: the prompt reads its lines as a terminal's.
fn text(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            ' '..='~' => plain.push(letter),
            _ => plain.extend(letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
        }
    }
    json!(plain).to_string().replace("${", "\\${")
}

/// About as long are the lines of the walker that the prompt gets.
const LINE: usize = 600;

/// The walker without its comments, on a few lines. Newer versions show the lines around each place on the way to an error,
/// so these are not long; and the prompt reads all that it has anew with each line, so they are not many.
fn bare_walker() -> String {
    let mut bare = String::new();
    let mut length = 0;
    for line in WALKER.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if !bare.is_empty() {
            bare.push(if length < LINE { ' ' } else { '\n' });
            length = if length < LINE { length + 1 } else { 0 };
        }
        bare.push_str(line);
        length += line.len();
    }
    bare
}

/// What is asked of a process: a line for the prompt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    /// What the root is.
    Open,
    /// So many of the next attributes.
    Piece(&'a [AttrPath], usize),
    /// One, which is asked less.
    Plain(&'a [AttrPath]),
    /// Behind so many of the attributes that are left, so many more.
    Next(usize, usize),
    /// So many behind those that are done, and behind the one that failed: these are what is left from here on.
    Rest(usize, usize),
    /// So many behind those that are done, of which the first is asked less: these are what is left from here on.
    Again(usize, usize),
    /// Why those with these numbers of the piece that was asked for last fail, and where the others are defined.
    Reasons(&'a [usize], &'a [usize]),
    /// Why this one fails, of a process that is asked nothing else.
    Reason(&'a AttrPath),
}

impl Question<'_> {
    /// The lines of the prompt.
    fn lines(self) -> String {
        if let Self::Reasons(whys, places) = self {
            let line = |word: &str, number: &usize| format!("w.{word} r {number}\n");
            return whys.iter().map(|n| line("why", n)).chain(places.iter().map(|n| line("place", n))).collect();
        }
        let (done, count) = match self {
            Self::Piece(_, count) | Self::Rest(_, count) | Self::Again(_, count) => (0, count),
            Self::Next(done, count) => (done, count),
            _ => (0, 1),
        };
        match (self, self.piece("r")) {
            (_, Some(piece)) => format!("r = {piece}\nw.to r {done} {count}\n"),
            (Self::Next(..), None) => format!("w.to r {done} {count}\n"),
            (_, None) => "w.open\n".to_owned(),
        }
    }

    /// The same as one expression, for a process that is asked nothing else.
    fn expression(self) -> String {
        match (self, self.piece("w.start")) {
            (Self::Reason(_), Some(piece)) => format!("builtins.seq w.open (w.why ({piece}) 0)"),
            (_, Some(piece)) => format!("builtins.seq w.open (w.run ({piece}))"),
            (_, None) => "w.open".to_owned(),
        }
    }

    /// The piece of work that it asks for, after the one before.
    fn piece(self, before: &str) -> Option<String> {
        let json = |paths: &[AttrPath]| text(&json!(paths).to_string());
        Some(match self {
            Self::Open | Self::Reasons(..) | Self::Next(..) => return None,
            Self::Reason(path) => format!("w.piece {before} {}", json(std::slice::from_ref(path))),
            Self::Piece(paths, _) => format!("w.piece {before} {}", json(paths)),
            Self::Plain(paths) => format!("w.again (w.piece {before} {}) 0", json(paths)),
            Self::Rest(done, _) => format!("w.rest {before} {done}"),
            Self::Again(done, _) => format!("w.again {before} {done}"),
        })
    }
}

/// How a process took a question.
#[derive(Debug)]
pub(super) enum Said {
    /// It is done with it. What Nix said after the last answer, if it said anything.
    All(String),
    /// It took it for the beginning of a question, since a file ends too early, and did not say which.
    Unfinished,
    /// It is no more.
    Ended(End),
}

/// A process that evaluates.
pub(super) struct Process {
    child: Running,
    watch: Watch,
    /// Nothing for one that is asked once.
    stdin: Option<ChildStdin>,
    stderr: BufReader<ChildStderr>,
    mark: String,
    /// What was read of a line.
    line: Vec<u8>,
    /// What it gets before it is asked for the first time.
    first: String,
    /// Where it may keep what is typed, until it is there.
    scratch: Option<tempfile::TempDir>,
    asked: u64,
    assigned: usize,
    /// Attributes that it is done with.
    pub(super) done: usize,
}

impl Process {
    /// Starts one that is asked by [`Process::ask`].
    pub(super) fn start(root: &Root, recursive: bool) -> Result<Self, NixError> {
        let failed = |error| not_run("nix".to_owned(), error);
        let mut command = root.nix.new_command("repl");
        // The prompt does not go by the setting, and would load what its user likes to have at hand.
        for (name, value) in [("pure-eval", if root.pure { "true" } else { "false" }), ("repl-overlays", "")] {
            command.args(["--option", name, value]);
        }
        let scratch = if keeps_history() { None } else { Some(tempfile::tempdir().map_err(failed)?) };
        if let Some(scratch) = &scratch {
            command.env("XDG_DATA_HOME", scratch.path()).env("NIX_DATA_HOME", scratch.path());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = Running::start_asked(&mut command).map_err(failed)?;
        let mark = new_mark();
        // The request is a line of its own: errors show the lines around their place.
        let request = text(&request(root, &mark, recursive).to_string());
        // Nix 2.34 goes on with no assignment on another line, and with `:a` it does.
        let walker = bare_walker();
        let first = format!("q = {request}\n:a {{ w = ({walker}) {{ request = q; }}; }}\nr = w.start\n");
        Self::new(child, mark, first, scratch)
    }

    /// Starts one that answers one question, where the prompt does not evaluate in the same way.
    pub(super) fn start_once(root: &Root, recursive: bool, question: Question<'_>) -> Result<Self, NixError> {
        let mark = new_mark();
        let request = request(root, &mark, recursive);
        let expression = format!("let w = {}; in {}", walker_text(Some(&request)), question.expression());
        let mut command = root.nix.command("nix-instantiate");
        command.args(["--eval", "--read-write-mode", "-E", &expression]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = Running::start(&mut command).map_err(|error| not_run("nix-instantiate".to_owned(), error))?;
        Self::new(child, mark, String::new(), None)
    }

    fn new(
        mut child: Running,
        mark: String,
        first: String,
        scratch: Option<tempfile::TempDir>,
    ) -> Result<Self, NixError> {
        let stdin = child.stdin();
        let Some(stderr) = child.stderr() else { return Err(unexpected("it has no stderr".to_owned())) };
        let stderr = BufReader::with_capacity(256 * 1024, stderr);
        let watch = Watch::new(child.id());
        Ok(Self { child, watch, stdin, stderr, mark, line: Vec::new(), first, scratch, asked: 0, assigned: 0, done: 0 })
    }

    /// Whether another one has to take its place before it is asked for more.
    pub(super) fn is_used_up(&self) -> bool {
        self.stdin.is_none() || self.assigned > ASSIGNMENTS
    }

    /// Asks, and gives what it says to `hear`.
    pub(super) async fn ask(
        &mut self,
        question: Question<'_>,
        bounds: Bounds,
        mut hear: impl FnMut(Line) -> Result<(), NixError>,
    ) -> Result<Said, NixError> {
        self.asked += 2;
        self.assigned += usize::from(!matches!(question, Question::Open | Question::Reasons(..) | Question::Next(..)));
        let mut lines = std::mem::take(&mut self.first);
        if self.stdin.is_some() {
            // A file that ends too early is to Nix 2.8 as if the question itself did, and it waits for more of it. What is no
            // expression in any way ends that.
            lines.push_str(&format!("{}w.end {}\n)\nw.end {}\n", question.lines(), self.asked, self.asked + 1));
        }
        let failed = |source| NixError::NotRun { program: "nix".to_owned(), source };
        let mut unsent = lines.as_bytes();
        let mut words = Vec::new();
        let mut answer = None;
        self.watch.answered();
        loop {
            tokio::select! {
                // A line that is read in part stays in `line` when another branch is taken.
                read = line::part(&mut self.stderr, &mut self.line) => {
                    unless_ending().await;
                    match read.map_err(failed)? {
                        Part::End if self.line.is_empty() => break,
                        Part::Line | Part::End => {}
                        Part::More if self.line.len() > LONGEST => {
                            self.child.kill().await.map_err(failed)?;
                            return Ok(Said::Ended(End::Line));
                        }
                        Part::More => continue,
                    }
                    match read_line(&self.line, &self.mark)? {
                        Some(Line::End(number)) if number == self.asked => answer = Some(last_words(&words)),
                        Some(Line::End(number)) if number == self.asked + 1 => {
                            self.line.clear();
                            self.scratch = None;
                            return Ok(answer.map_or(Said::Unfinished, Said::All));
                        }
                        Some(Line::End(number)) => return Err(unexpected(format!("an end of question {number}"))),
                        Some(mut said) => {
                            if let Line::At(_, before) = &mut said {
                                *before = last_words(&words);
                            }
                            if !matches!(said, Line::Facts(..) | Line::Origin) {
                                self.watch.answered();
                                words.clear();
                            }
                            hear(said)?;
                        }
                        None => {
                            words.extend_from_slice(&self.line);
                            if words.len() > 2 * LAST_WORDS {
                                words.drain(..words.len() - LAST_WORDS);
                            }
                        }
                    }
                    self.line.clear();
                }
                written = send(&mut self.stdin, unsent), if !unsent.is_empty() => unsent = &unsent[written..],
                () = self.watch.due() => {
                    if let Some(end) = self.watch.look(bounds) {
                        self.child.kill().await.map_err(failed)?;
                        return Ok(Said::Ended(end));
                    }
                }
            }
        }
        let status = self.child.wait().await.map_err(failed)?;
        Ok(match status.signal() {
            _ if status.success() && self.stdin.is_none() => Said::All(String::new()),
            Some(signal) => Said::Ended(End::Signal(signal)),
            None => Said::Ended(End::Failed(last_words(&words))),
        })
    }

    /// Ends it between two questions, when nothing is under way. At its own end the prompt would write down what was typed.
    pub(super) async fn finish(mut self) -> Result<(), NixError> {
        self.child.kill().await.map_err(|source| NixError::NotRun { program: "nix".to_owned(), source })
    }
}

/// Writes a part of it, and says how much. One that has ended says so by itself, and takes everything.
async fn send(stdin: &mut Option<ChildStdin>, text: &[u8]) -> usize {
    match stdin {
        Some(stdin) => stdin.write(text).await.unwrap_or(text.len()),
        None => text.len(),
    }
}

/// Nothing that is evaluated can know this, so nothing can pretend to be an answer.
fn new_mark() -> String {
    format!("narthex-{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

fn request(root: &Root, mark: &str, recursive: bool) -> Value {
    json!({ "root": root.request, "mark": mark, "recursive": recursive })
}

/// Whether there is a folder in which the prompt keeps what was typed. It makes one where there is none, and fails where
/// it cannot; it writes when it ends by itself.
fn keeps_history() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".local/share"));
    let folder = set("XDG_DATA_HOME").or_else(home).map(|folder| folder.join("nix"));
    set("NIX_DATA_HOME").is_none_or(|folder| folder.is_dir()) && folder.is_some_and(|folder| folder.is_dir())
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
        "end" => Line::End(rest.parse().map_err(|_| unexpected("an end of nothing".to_owned()))?),
        "caught" => Line::Caught,
        "at" => Line::At(rest.parse().map_err(|_| unexpected("a number that is none".to_owned()))?, String::new()),
        "place" => Line::Place(serde_json::from_str(rest).map_err(wrong)?),
        "root" => Line::Root(serde_json::from_str(rest).map_err(wrong)?),
        "path" => Line::Path(serde_json::from_str(rest).map_err(wrong)?),
        "facts" => match rest.split_once(' ') {
            Some((derivation, facts)) => Line::Facts(derivation.to_owned(), facts.to_owned()),
            None => return Err(unexpected("facts of nothing".to_owned())),
        },
        other => return Err(unexpected(format!("a line about `{other}`"))),
    }))
}

pub(super) fn unexpected(why: String) -> NixError {
    NixError::Unexpected { command: "nix repl".to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walker_without_comments_is_the_same_expression() {
        let bare = bare_walker();
        assert!(bare.starts_with("{ request ? null }:"), "{bare}");
        assert!(bare.ends_with("inherit open start piece rest again run to why end place; }"), "{bare}");
        assert!(bare.lines().all(|line| line.len() < LINE + 200), "{bare}");
        assert!(bare.lines().count() <= bare.len() / LINE + 1);
        // A comment behind something else would take the rest of a line with it, and a text of several lines would change.
        assert!(!bare.contains('#') && !bare.contains("''"), "{bare}");
    }

    #[test]
    fn questions_are_lines() {
        let paths = [vec!["a".to_owned(), "b.c\n${d}\"".to_owned()]];
        let piece = Question::Piece(&paths, 1).lines();
        assert_eq!(piece, "r = w.piece r \"[[\\\"a\\\",\\\"b.c\\\\n\\${d}\\\\\\\"\\\"]]\"\nw.to r 0 1\n");
        assert_eq!(Question::Rest(3, 2).lines(), "r = w.rest r 3\nw.to r 0 2\n");
        assert_eq!(Question::Again(0, 1).lines(), "r = w.again r 0\nw.to r 0 1\n");
        assert_eq!(Question::Next(4, 2).lines(), "w.to r 4 2\n");
        assert_eq!(Question::Open.lines(), "w.open\n");
        assert_eq!(Question::Reasons(&[3, 7], &[5]).lines(), "w.why r 3\nw.why r 7\nw.place r 5\n");
        let reason = Question::Reason(&paths[0]).expression();
        assert!(
            reason.starts_with("builtins.seq w.open (w.why (w.piece w.start ") && reason.ends_with(") 0)"),
            "{reason}"
        );
        assert!(
            Question::Plain(&paths).expression().starts_with("builtins.seq w.open (w.run (w.again (w.piece w.start ")
        );
    }

    #[test]
    fn only_lines_with_the_mark_are_answers() {
        let read = |line: &str| read_line(line.as_bytes(), "narthex-1").map(|line| format!("{line:?}"));
        assert_eq!(read("trace: narthex-2 end 7\n").unwrap(), "None");
        assert_eq!(read("50 %\rtrace: narthex-1 end 7\n").unwrap(), "Some(End(7))");
        assert_eq!(read("trace: narthex-1 place \"/a:1:2\"\n").unwrap(), "Some(Place(\"/a:1:2\"))");
        for wrong in ["narthex-1 end", "narthex-1 what", "narthex-1 path {", "narthex-1 facts /nix/store/x"] {
            read(wrong).unwrap_err();
        }
    }
}
