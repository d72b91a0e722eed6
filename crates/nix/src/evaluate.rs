//! Evaluates a package set: jobs, and the license facts of every derivation that they are made of.
//!
//! Several processes run the walker (`walker.nix`), each with attributes from one queue, and say what they find while
//! they work. An attribute that fails costs what one costs that does not: the process says why and goes on behind it.
//! One that ends before its time, by a crash, for its memory or for its time, has named all that it had done, so the next
//! attribute is the one at fault, and another process goes on behind it.
//!
//! What comes out does not depend on how many processes there are or which attributes each gets.

mod collect;
mod eval_jobs;
mod failures;
mod line;
mod order;
mod process;
mod queue;
mod reason;
mod watch;

use crate::expression::Root;
use crate::{Expression, Nix, NixError};
use collect::{Collected, Pace};
use failures::Failed;
use futures_util::future::try_join_all;
use narthex_closure::StorePath;
use narthex_event::Sink;
use narthex_license::LicenseFacts;
use process::{Bounds, End, Line, Process, Question, Said};
use queue::{Next, Queue, Work};
use reason::Reason;
pub use reason::without_advice;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::Notify;

/// One attribute that is a derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The attribute path, as [`narthex_closure::AttrPath`] writes it.
    pub attr: String,
    /// The derivation.
    pub derivation: StorePath,
    /// Its name.
    pub name: String,
    /// The output that the value stands for, where it says so: the one that `nix-build` gives.
    pub output: Option<String>,
}

/// The walker as the function that `nix-eval-jobs` takes with `--apply`: from a derivation to what is said of it and of
/// all that it is made of.
pub fn apply_function() -> String {
    process::walker_text(None)
}

/// What the package set says of one derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivationFacts {
    /// The derivation's name.
    pub name: String,
    /// Its license facts. Where it has no `meta.license`, the license is absent.
    pub facts: LicenseFacts,
    /// The derivation of the package that its value was made from: of a wrapper that declares nothing, where it tells.
    pub made_from: Option<StorePath>,
}

/// An attribute that did not evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    /// The attribute path, as [`narthex_closure::AttrPath`] writes it.
    pub attr: String,
    /// What Nix said; on a last line, `at FILE:LINE:COLUMN`: the place that it named, or else the one where the attribute
    /// is defined.
    pub message: String,
}

/// What an evaluation found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// The jobs, in the order of their attributes.
    pub jobs: Vec<Job>,
    /// Facts by derivation, for the jobs and for what they are made of.
    pub facts: BTreeMap<StorePath, DerivationFacts>,
    /// Attributes that failed.
    pub errors: Vec<EvalError>,
    /// Attributes that are sets and were not searched, since they do not say whether they want to be.
    pub not_searched: Vec<String>,
}

impl Evaluation {
    /// Adds what is said of a derivation to what is known of it.
    pub fn add_facts(&mut self, derivation: StorePath, said: DerivationFacts) {
        match self.facts.entry(derivation) {
            Entry::Vacant(entry) => {
                entry.insert(said);
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get().facts.clone();
                entry.get_mut().facts = known.merge(said.facts);
            }
        }
    }
}

/// What an attribute made known, beside what those before it did.
#[derive(Debug)]
pub struct Known<'a> {
    /// The job that it is.
    pub job: Option<&'a Job>,
    /// What it says of derivations and nobody said before.
    pub said: BTreeMap<StorePath, DerivationFacts>,
    /// All that is known of these by now.
    pub facts: BTreeMap<StorePath, DerivationFacts>,
}

/// How to evaluate.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// Processes at once.
    pub workers: usize,
    /// So many attributes have to wait for each process that joins the first one. Each evaluates anew what all packages share.
    pub spread: usize,
    /// Memory that one process may have, in MiB.
    pub max_memory: u64,
    /// How long one attribute may compute: time of the processor, so that a busy machine changes nothing.
    pub timeout: Duration,
    /// Who does it.
    pub evaluator: Evaluator,
    /// Whether every set is searched, also those that do not say `recurseForDerivations = true`.
    pub recursive: bool,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            spread: 8_000,
            max_memory: 4096,
            timeout: Duration::from_secs(600),
            evaluator: Evaluator::Nix,
            recursive: false,
        }
    }
}

/// A program that evaluates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Evaluator {
    /// The machine's Nix.
    #[default]
    Nix,
    /// `nix-eval-jobs`, by its name or path.
    NixEvalJobs(String),
}

type AttrPath = Vec<String>;

/// After so many attributes it is asked why some of them failed. The first steps are smaller.
const STEP: usize = 16;

/// What a piece of work is asked for next.
enum Step {
    First,
    Next,
    /// Behind so many that are done, and the one behind them.
    Rest(usize),
    /// The one behind so many once more.
    Again(usize),
}

impl Nix {
    /// Evaluates an expression; with `attrs`, only those attributes of it.
    ///
    /// Attributes that fail are listed in the result.
    ///
    /// # Errors
    /// When the expression itself does not evaluate.
    pub async fn evaluate(
        &self,
        expression: &Expression,
        attrs: &[String],
        options: &EvalOptions,
        sink: Sink<'_>,
    ) -> Result<Evaluation, NixError> {
        self.evaluate_until(expression, attrs, options, (sink, &|_| {}), pending()).await
    }

    /// The same until `stop` is there. What is known then is the result, in which attributes that were not evaluated have
    /// failed. Whoever listens beside the sink is told what is known as soon as it is, in the order of the attributes, which does
    /// not depend on the number of processes.
    ///
    /// # Errors
    /// When the expression itself does not evaluate.
    pub async fn evaluate_until(
        &self,
        expression: &Expression,
        attrs: &[String],
        options: &EvalOptions,
        (sink, known): (Sink<'_>, &dyn Fn(Known<'_>)),
        stop: impl Future<Output = ()>,
    ) -> Result<Evaluation, NixError> {
        let mut stop = pin!(stop);
        let opened = tokio::select! {
            biased;
            () = &mut stop => None,
            opened = Root::open(self, expression) => Some(opened?),
        };
        let Some(root) = opened else {
            let mut collected = Collected::new(Vec::new(), false, known, Pace::new(sink));
            collected.stopped();
            return Ok(collected.evaluation());
        };
        let names = |attr: &String| {
            let path = attr.parse::<narthex_closure::AttrPath>();
            path.map(narthex_closure::AttrPath::into_names).map_err(|error| NixError::Failed {
                command: format!("reading the attribute path `{attr}`"),
                message: error.to_string(),
            })
        };
        let named: Vec<AttrPath> = attrs.iter().map(names).collect::<Result<_, _>>()?;
        // `nix-eval-jobs` is given what was named, and finds nothing else.
        let expected = if options.evaluator == Evaluator::Nix { named.clone() } else { Vec::new() };
        let collected = RefCell::new(Collected::new(expected, options.recursive, known, Pace::new(sink)));
        let bounds = Bounds { memory: options.max_memory * 1024 * 1024, time: options.timeout };
        let workers = options.workers.max(1);
        let mut is_stopped = false;
        match &options.evaluator {
            Evaluator::NixEvalJobs(program) => tokio::select! {
                biased;
                () = &mut stop => is_stopped = true,
                done = eval_jobs::evaluate(&root, program, &named, options, &collected) => done?,
            },
            Evaluator::Nix => {
                let walk = Walk {
                    root: &root,
                    bounds,
                    recursive: options.recursive,
                    spread: options.spread,
                    is_asked_once: Cell::new(false),
                    collected: &collected,
                    queue: RefCell::new(Queue::new(workers, named.clone())),
                    changed: Notify::new(),
                };
                tokio::select! {
                    // What processes say that are told to end does not count.
                    biased;
                    () = &mut stop => is_stopped = true,
                    done = walk.all(named.is_empty(), workers) => done?,
                }
            }
        }
        let mut collected = collected.into_inner();
        if is_stopped {
            collected.stopped();
        }
        Ok(collected.evaluation())
    }
}

/// An evaluation on its way. All workers are polled by one task, so cells are enough.
struct Walk<'a, 's> {
    root: &'a Root,
    bounds: Bounds,
    recursive: bool,
    spread: usize,
    /// Whether the prompt does not evaluate as it should, so that processes are asked once each.
    is_asked_once: Cell<bool>,
    collected: &'a RefCell<Collected<'s>>,
    queue: RefCell<Queue>,
    changed: Notify,
}

/// What was said since the last question.
#[derive(Default)]
struct Heard {
    /// How many attributes it is done with.
    paths: usize,
    /// Which of them failed, and nothing was said of why.
    caught: Vec<usize>,
    /// Derivations and their facts, which belong to the next attribute. They do not count if it does not get there.
    facts: Vec<(String, String)>,
    /// Whether the last thing that it did was to look at what a wrapper was made from.
    at_origin: bool,
    root: Option<process::Listed>,
}

impl Walk<'_, '_> {
    /// Evaluates everything, beginning with what the root is where nothing was named.
    async fn all(&self, lists: bool, workers: usize) -> Result<(), NixError> {
        let first = if lists { self.list().await? } else { None };
        let worker = async |number: usize, process: Option<Process>| -> Result<(), NixError> {
            while self.queue.borrow().left() < self.spread.saturating_mul(number) {
                if self.queue.borrow().is_done() {
                    return Ok(());
                }
                self.changed.notified().await;
            }
            self.work(process).await
        };
        let mut first = first;
        try_join_all((0..workers).map(|number| worker(number, first.take()))).await?;
        Ok(())
    }

    /// Asks what the root is, and gives the process that told.
    async fn list(&self) -> Result<Option<Process>, NixError> {
        let (process, root) = self.start().await?;
        let paths: Vec<AttrPath> = match root.kind.as_str() {
            "derivation" => vec![Vec::new()],
            "set" => root.names.into_iter().map(|name| vec![name]).collect(),
            _ => return Err(self.failure("it is neither a derivation nor a set of them".to_owned())),
        };
        self.collected.borrow_mut().expect(None, &paths);
        self.queue.borrow_mut().found(paths);
        Ok(process)
    }

    /// Starts a process and has it evaluate the root. Where processes are asked once, there is none then.
    async fn start(&self) -> Result<(Option<Process>, process::Listed), NixError> {
        let mut heard = Heard::default();
        let mut process = Process::start(self.root, self.recursive)?;
        let said = process.ask(Question::Open, self.bounds, |line| self.hear(line, &mut heard)).await?;
        let (process, said, root) = match heard.root.take() {
            Some(root) if self.root.pure && !root.pure => {
                // Nix 2.8 has a prompt that always sees the machine. What it said does not count.
                self.is_asked_once.set(true);
                process.finish().await?;
                let mut process = Process::start_once(self.root, self.recursive, Question::Open)?;
                let said = process.ask(Question::Open, self.bounds, |line| self.hear(line, &mut heard)).await?;
                (None, said, heard.root.take())
            }
            root => (Some(process), said, root),
        };
        // What fails here is no attribute's fault.
        match (root, said) {
            (Some(root), Said::All(_)) => {
                if process.is_some() {
                    self.queue.borrow_mut().begun();
                }
                Ok((process, root))
            }
            (_, Said::All(words)) => Err(self.failure(Reason::read(&words).message)),
            (_, Said::Unfinished) => Err(self.failure(self.told_apart(Question::Open).await?.message)),
            (_, Said::Ended(end)) => Err(self.failed(end)),
        }
    }

    async fn work(&self, mut process: Option<Process>) -> Result<(), NixError> {
        loop {
            let next = self.queue.borrow_mut().take(process.is_some());
            let rest = match next {
                Next::End => break,
                Next::Wait => {
                    self.changed.notified().await;
                    continue;
                }
                Next::Work(Work::Attributes(paths)) => {
                    self.evaluate(&mut process, &paths, |paths, count| Question::Piece(paths, count)).await?
                }
                Next::Work(Work::Plain(path)) => {
                    let paths = std::slice::from_ref(&path);
                    self.evaluate(&mut process, paths, |paths, _| Question::Plain(paths)).await?
                }
            };
            self.queue.borrow_mut().done(&rest);
            if process.as_ref().is_some_and(Process::is_used_up) {
                self.end(process.take()).await?;
            }
            self.changed.notify_waiters();
        }
        self.end(process).await
    }

    /// Ends a process that nobody asks any more.
    async fn end(&self, process: Option<Process>) -> Result<(), NixError> {
        let Some(process) = process else { return Ok(()) };
        self.queue.borrow_mut().ended();
        process.finish().await
    }

    /// Evaluates attributes, and gives back those that it did not get to because the process ended.
    async fn evaluate(
        &self,
        process: &mut Option<Process>,
        all: &[AttrPath],
        question: fn(&[AttrPath], usize) -> Question<'_>,
    ) -> Result<Vec<AttrPath>, NixError> {
        if process.is_none() && !self.is_asked_once.get() {
            *process = self.start().await?.0;
        }
        if self.is_asked_once.get() {
            *process = Some(Process::start_once(self.root, self.recursive, question(all, all.len()))?);
            self.queue.borrow_mut().begun();
        }
        let is_asked_once = self.is_asked_once.get();
        // The number of the first that is left, and of those behind which nothing was asked for yet.
        let (mut first, mut from) = (0, 0);
        let mut step = if is_asked_once { all.len() } else { 1 };
        let mut next = Step::First;
        loop {
            let count = step.min(all.len() - from);
            let question = match next {
                Step::First => question(all, count),
                Step::Next => Question::Next(from - first, count),
                Step::Rest(done) => Question::Rest(done, count),
                Step::Again(done) => Question::Again(done, count),
            };
            first = if matches!(next, Step::Next) { first } else { from };
            let Some(asked) = process.as_mut() else { return Err(self.failure("no process evaluates it".to_owned())) };
            let (mut heard, mut failed) = (Heard::default(), Failed::default());
            let said = asked
                .ask(question, self.bounds, |line| {
                    if let (Line::Caught, Some(path)) = (&line, all.get(from + heard.paths)) {
                        self.collected.borrow_mut().fails(path);
                    }
                    self.hear(line, &mut heard)
                })
                .await?;
            let (done, alone) = (heard.paths, asked.done == 0 && heard.paths == 0);
            asked.done += done;
            failed.caught.extend(heard.caught.iter().map(|number| from + number));
            let words = match said {
                Said::Ended(end) => {
                    drop(process.take());
                    self.queue.borrow_mut().ended();
                    let rest = self.after(&all[from..], &heard, end, alone).await?;
                    let again = self.reasons(process, all, failed).await?;
                    // What ended the process goes first, so that it has the next one for itself.
                    return Ok(rest.iter().cloned().chain(again).collect());
                }
                Said::All(words) => Some(words),
                Said::Unfinished => None,
            };
            let at_fault = all.get(from + done).filter(|_| done < count);
            next = match at_fault {
                // Nobody else would have looked there.
                Some(_) if heard.at_origin => Step::Again(from + done - first),
                Some(at_fault) => {
                    match words {
                        Some(words) => failed.told.push((from + done, self.reason(&words, at_fault).await?)),
                        None => {
                            let reason = self.reason_apart(at_fault).await?;
                            self.collected.borrow_mut().error(at_fault, reason);
                        }
                    }
                    asked.done += 1;
                    Step::Rest(from + done - first)
                }
                None => Step::Next,
            };
            from += done + usize::from(matches!(next, Step::Rest(_)));
            let again = self.reasons(process, all, failed).await?;
            // Also where nothing is left behind a failure: the next piece goes on behind the last that was done.
            let is_done = from == all.len() && matches!(next, Step::Next);
            if is_done || !again.is_empty() || process.as_ref().is_none_or(Process::is_used_up) {
                return Ok(all[from..].iter().cloned().chain(again).collect());
            }
            step = (2 * step).min(STEP);
        }
    }

    /// Puts down the end of a process to the attribute that it was at; gives what is to be done by another.
    async fn after<'p>(
        &self,
        paths: &'p [AttrPath],
        heard: &Heard,
        end: End,
        alone: bool,
    ) -> Result<&'p [AttrPath], NixError> {
        let Some(at_fault) = paths.get(heard.paths) else { return Ok(&[]) };
        match end {
            // Nobody else would have looked there.
            End::Failed(_) if heard.at_origin => self.queue.borrow_mut().ask_plainly(at_fault.clone()),
            // What came before in the same process may have taken the memory, or the stack.
            End::Memory | End::Signal(_) if !alone => return Ok(&paths[heard.paths..]),
            end => {
                let reason = self.reason_of(end);
                self.check(&reason.message).await?;
                self.collected.borrow_mut().error(at_fault, reason);
            }
        }
        Ok(&paths[heard.paths + 1..])
    }

    /// Takes what a process says.
    fn hear(&self, line: Line, heard: &mut Heard) -> Result<(), NixError> {
        heard.at_origin = matches!(line, Line::Origin);
        match line {
            Line::Origin | Line::End(_) | Line::At(..) | Line::Place(_) => {}
            Line::Root(root) => heard.root = Some(root),
            Line::Caught => {
                heard.caught.push(heard.paths);
                heard.paths += 1;
                heard.facts.clear();
            }
            Line::Facts(derivation, facts) => heard.facts.push((derivation, facts)),
            Line::Path(answer) => {
                heard.paths += 1;
                let facts = std::mem::take(&mut heard.facts);
                let members = self.collected.borrow_mut().path(answer, facts);
                self.queue.borrow_mut().found(members);
                self.changed.notify_waiters();
            }
        }
        Ok(())
    }

    fn failed(&self, end: End) -> NixError {
        self.failure(self.reason_of(end).message)
    }

    fn failure(&self, message: String) -> NixError {
        NixError::Failed { command: format!("evaluating {}", self.root.shown), message }
    }
}
