//! Evaluates a package set: jobs, and the license facts of every derivation that they are made of.
//!
//! Several processes run the walker (`walker.nix`), each with attributes from one queue, and say what they find while
//! they work. One that ends before its time, by what Nix cannot catch, for its memory or for its time, has named all
//! that it had done, so the next attribute is the one at fault, and another process goes on behind it.
//!
//! What comes out does not depend on how many processes there are or which attributes each gets.

mod collect;
mod eval_jobs;
mod process;
mod queue;

use crate::cause::Cause;
use crate::expression::Root;
use crate::{Expression, Nix, NixError};
use collect::{Collected, Pace};
use futures_util::future::try_join_all;
use narthex_closure::StorePath;
use narthex_event::Sink;
use narthex_license::LicenseFacts;
use process::{Bounds, End, Line, Question};
use queue::{FEWEST, Next, Queue, Work};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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
    /// What Nix said.
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

/// How to evaluate.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// Processes at once.
    pub workers: usize,
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
        let root = Root::open(self, expression).await?;
        let names = |attr: &String| {
            let path = attr.parse::<narthex_closure::AttrPath>();
            path.map(narthex_closure::AttrPath::into_names).map_err(|error| NixError::Failed {
                command: format!("reading the attribute path `{attr}`"),
                message: error.to_string(),
            })
        };
        let named: Vec<AttrPath> = attrs.iter().map(names).collect::<Result<_, _>>()?;
        let pace = Pace::new(sink);
        match &options.evaluator {
            Evaluator::NixEvalJobs(program) => eval_jobs::evaluate(&root, program, &named, options, pace).await,
            Evaluator::Nix => {
                let walk = Walk {
                    root: &root,
                    bounds: Bounds {
                        memory: options.max_memory * 1024 * 1024,
                        time: options.timeout,
                        recursive: options.recursive,
                    },
                    collected: RefCell::new(Collected::new(named.clone(), options.recursive, pace)),
                    queue: RefCell::new(Queue::new(options.workers.max(1), named.clone())),
                    changed: Notify::new(),
                };
                if named.is_empty() {
                    walk.open().await?;
                }
                try_join_all((0..options.workers.max(1)).map(|_| walk.work())).await?;
                Ok(walk.collected.into_inner().evaluation())
            }
        }
    }
}

/// An evaluation on its way. All workers are polled by one task, so cells are enough.
struct Walk<'a> {
    root: &'a Root,
    bounds: Bounds,
    collected: RefCell<Collected<'a>>,
    queue: RefCell<Queue>,
    changed: Notify,
}

/// What one process has said so far.
#[derive(Default)]
struct Heard {
    /// How many attributes it is done with.
    paths: usize,
    /// Derivations and their facts, which belong to the next attribute. They do not count if it does not get there.
    facts: Vec<(String, String)>,
    /// Whether the last thing that it did was to look at what a wrapper was made from.
    at_origin: bool,
}

impl Walk<'_> {
    /// Asks what the root is. A small set is evaluated by the same process.
    async fn open(&self) -> Result<(), NixError> {
        let mut listed = None;
        let mut heard = Heard::default();
        let end = process::ask(self.root, Question::Root(FEWEST), self.bounds, |line| {
            match line {
                Line::Root(root) => {
                    self.collected.borrow_mut().know(root.names.len().max(1));
                    listed = Some(root);
                }
                line => self.hear(line, &mut heard),
            }
            Ok(())
        })
        .await?;
        let Some(listed) = listed else { return Err(self.failed(end)) };
        let paths: Vec<AttrPath> = match listed.kind.as_str() {
            "derivation" => vec![Vec::new()],
            "set" => listed.names.into_iter().map(|name| vec![name]).collect(),
            _ => return Err(self.failure("it is neither a derivation nor a set of them".to_owned())),
        };
        // As if a worker had taken them.
        let mut queue = self.queue.borrow_mut();
        queue.begin();
        if paths.len() > FEWEST {
            queue.done(&paths);
        } else {
            let rest = self.after(&paths, &heard, end, &mut queue);
            queue.done(rest?);
        }
        Ok(())
    }

    async fn work(&self) -> Result<(), NixError> {
        loop {
            let next = self.queue.borrow_mut().take();
            match next {
                Next::End => return Ok(()),
                Next::Wait => {
                    self.changed.notified().await;
                    continue;
                }
                Next::Work(Work::Attributes(paths)) => {
                    let rest = self.evaluate(&paths, Question::Paths(&paths)).await?;
                    self.queue.borrow_mut().done(&rest);
                }
                Next::Work(Work::Plain(path)) => {
                    let rest = self.evaluate(std::slice::from_ref(&path), Question::Plain(&path)).await?;
                    self.queue.borrow_mut().done(&rest);
                }
                Next::Work(Work::Reason(path)) => {
                    let message = self.reason(&path).await?;
                    self.collected.borrow_mut().error(&path, message);
                    self.queue.borrow_mut().done(&[]);
                }
            }
            self.changed.notify_waiters();
        }
    }

    /// Evaluates attributes in a process, and gives back those that it did not get to.
    async fn evaluate(&self, paths: &[AttrPath], question: Question<'_>) -> Result<Vec<AttrPath>, NixError> {
        let mut opened = false;
        let mut heard = Heard::default();
        let end = process::ask(self.root, question, self.bounds, |line| {
            match line {
                Line::Root(_) => opened = true,
                line => self.hear(line, &mut heard),
            }
            Ok(())
        })
        .await?;
        // It is not the attributes' fault.
        if !opened {
            return Err(self.failed(end));
        }
        self.after(paths, &heard, end, &mut self.queue.borrow_mut()).map(<[AttrPath]>::to_vec)
    }

    /// Puts down the end of a process to the attribute that it was at; gives what is to be done by another.
    fn after<'p>(
        &self,
        paths: &'p [AttrPath],
        heard: &Heard,
        end: End,
        queue: &mut Queue,
    ) -> Result<&'p [AttrPath], NixError> {
        let (at_origin, heard) = (heard.at_origin, heard.paths);
        let Some(at_fault) = paths.get(heard) else { return Ok(&[]) };
        // What came before in the same process may have taken the memory, or the stack.
        let alone = heard == 0;
        match end {
            // Nobody else would have looked there.
            End::Failed(_) if at_origin => queue.ask_plainly(at_fault.clone()),
            End::Done => {
                return Err(process::unexpected(format!("nothing about `{}`", at_fault.join("."))));
            }
            End::Memory | End::Signal(_) if !alone => return Ok(&paths[heard..]),
            // It may be no fault of the attribute: then nothing can be evaluated, and that is said once.
            End::Failed(message) if Cause::of(&message).is_about_everything() => {
                queue.ask_why(at_fault.clone());
            }
            end => self.collected.borrow_mut().error(at_fault, self.message(end)),
        }
        Ok(&paths[heard + 1..])
    }

    /// Takes what a process says.
    fn hear(&self, line: Line, heard: &mut Heard) {
        heard.at_origin = matches!(line, Line::Origin);
        let answer = match line {
            Line::Root(_) | Line::Origin => return,
            Line::Facts(derivation, facts) => return heard.facts.push((derivation, facts)),
            Line::Path(answer) => answer,
        };
        heard.paths += 1;
        let facts = std::mem::take(&mut heard.facts);
        if answer.outcome == "throws" {
            self.queue.borrow_mut().ask_why(answer.attr_path);
        } else {
            let members = self.collected.borrow_mut().path(answer, facts);
            self.queue.borrow_mut().found(members);
        }
        self.changed.notify_waiters();
    }

    /// `tryEval` drops messages; evaluating the attribute by itself gives it.
    async fn reason(&self, path: &AttrPath) -> Result<String, NixError> {
        let end = process::ask(self.root, Question::Tell(path), self.bounds, |_| Ok(())).await?;
        if matches!(&end, End::Failed(message) if Cause::of(message).is_about_everything()) {
            // A package may say such words as well, so the store itself is asked.
            self.root.nix.write_something().await?;
        }
        Ok(match end {
            End::Done => "it failed once and not the second time".to_owned(),
            end => self.message(end),
        })
    }

    fn message(&self, end: End) -> String {
        match end {
            End::Done => "nothing was said about it".to_owned(),
            End::Failed(message) => message,
            End::Memory => format!("it needs more than {} MiB of memory", self.bounds.memory / (1024 * 1024)),
            End::Time => format!("it takes longer than {} s of computing", self.bounds.time.as_secs()),
            End::Waiting => "it waits for something that does not come".to_owned(),
            End::Signal(signal) => format!("Nix was ended by signal {signal} while evaluating it"),
        }
    }

    fn failed(&self, end: End) -> NixError {
        self.failure(self.message(end))
    }

    fn failure(&self, message: String) -> NixError {
        NixError::Failed { command: format!("evaluating {}", self.root.shown), message }
    }
}
