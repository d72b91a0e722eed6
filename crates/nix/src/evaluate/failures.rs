//! Why attributes failed: the reasons of a whole piece of work are asked for at once, when the rest of it is done.
//!
//! A failure that `tryEval` catches costs its process nothing, and tells no reason. So the same process evaluates such an
//! attribute once more, when all that it is made of is there already, and lets Nix say what is wrong.

use super::process::{self, End, Line, Process, Question, Said};
use super::reason::Reason;
use super::{AttrPath, Walk};
use crate::NixError;
use crate::cause::Cause;
use std::collections::BTreeMap;

/// What failed of a piece of work, by number.
#[derive(Debug, Default)]
pub(super) struct Failed {
    /// Nobody said why.
    pub(super) caught: Vec<usize>,
    /// Nix said why, and perhaps not where.
    pub(super) told: Vec<(usize, Reason)>,
}

/// What was said of failures.
#[derive(Debug, Default)]
struct Answers {
    /// What Nix said of each one that was asked about, but for the last.
    words: BTreeMap<usize, String>,
    places: BTreeMap<usize, String>,
    current: Option<usize>,
}

impl Answers {
    fn hear(&mut self, line: Line) {
        match line {
            Line::At(number, words) => {
                self.end(words);
                self.current = Some(number);
            }
            Line::Place(place) => {
                self.places.extend(self.current.map(|number| (number, place)));
            }
            _ => {}
        }
    }

    fn end(&mut self, words: String) {
        self.words.extend(self.current.take().map(|number| (number, words)));
    }
}

impl Walk<'_, '_> {
    /// Finds out why attributes failed, and where they are defined that Nix named no place for. Gives back those that are to be
    /// evaluated again, since the process is no more.
    pub(super) async fn reasons(
        &self,
        process: &mut Option<Process>,
        all: &[AttrPath],
        failed: Failed,
    ) -> Result<Vec<AttrPath>, NixError> {
        let Failed { mut caught, mut told } = failed;
        let is_placeless = |(_, reason): &&(usize, Reason)| reason.position.is_none();
        if self.is_asked_once.get() {
            for number in std::mem::take(&mut caught) {
                let reason = self.reason_apart(&all[number]).await?;
                self.collected.borrow_mut().error(&all[number], reason);
            }
        }
        let mut places: Vec<usize> = told.iter().filter(is_placeless).map(|(number, _)| *number).collect();
        while !(caught.is_empty() && places.is_empty()) {
            let Some(asked) = process.as_mut().filter(|_| !self.is_asked_once.get()) else { break };
            let mut answers = Answers::default();
            let heard = |line| {
                answers.hear(line);
                Ok(())
            };
            let said = asked.ask(Question::Reasons(&caught, &places), self.bounds, heard).await?;
            let at_fault = match said {
                Said::All(words) => {
                    answers.end(words);
                    None
                }
                Said::Unfinished => answers.current.take().or_else(|| caught.first().copied()),
                Said::Ended(_) => {
                    drop(process.take());
                    self.queue.borrow_mut().ended();
                    answers.current.take().or_else(|| caught.first().copied())
                }
            };
            for (number, reason) in &mut told {
                if reason.position.is_none() {
                    reason.position = answers.places.remove(number);
                }
            }
            for number in std::mem::take(&mut caught) {
                match answers.words.remove(&number) {
                    _ if at_fault == Some(number) => {
                        told.push((number, self.reason_apart(&all[number]).await?));
                    }
                    Some(words) => {
                        let mut reason =
                            if words.trim().is_empty() { once() } else { self.reason(&words, &all[number]).await? };
                        reason.position = reason.position.or_else(|| answers.places.remove(&number));
                        told.push((number, reason));
                    }
                    None => caught.push(number),
                }
            }
            // A place is worth one question.
            places.clear();
            if at_fault.is_none() && !caught.is_empty() {
                return Err(process::unexpected(format!("nothing about `{}`", all[caught[0]].join("."))));
            }
        }
        for (number, reason) in told {
            self.collected.borrow_mut().error(&all[number], reason);
        }
        Ok(caught.into_iter().map(|number| all[number].clone()).collect())
    }

    /// What Nix said of an attribute.
    pub(super) async fn reason(&self, words: &str, path: &AttrPath) -> Result<Reason, NixError> {
        if words.trim().is_empty() {
            return Err(process::unexpected(format!("nothing about `{}`", path.join("."))));
        }
        let reason = Reason::read(words);
        self.check(&reason.message).await?;
        Ok(reason)
    }

    /// The same from a process of its own, where the one that was asked does not tell.
    pub(super) async fn reason_apart(&self, path: &AttrPath) -> Result<Reason, NixError> {
        self.told_apart(Question::Reason(path)).await
    }

    pub(super) async fn told_apart(&self, question: Question<'_>) -> Result<Reason, NixError> {
        let mut process = Process::start_once(self.root, self.recursive, question)?;
        let mut answers = Answers::default();
        let heard = |line| {
            answers.hear(line);
            Ok(())
        };
        let mut reason = match process.ask(question, self.bounds, heard).await? {
            Said::Ended(end) => self.reason_of(end),
            Said::All(_) | Said::Unfinished => once(),
        };
        reason.position = reason.position.or_else(|| answers.places.into_values().next());
        self.check(&reason.message).await?;
        Ok(reason)
    }

    /// It may be no fault of the attribute: then nothing can be evaluated, and that is said once. A package may say such
    /// words as well, so the store itself is asked.
    pub(super) async fn check(&self, message: &str) -> Result<(), NixError> {
        if Cause::of(message).is_about_everything() {
            self.root.nix.write_something().await?;
        }
        Ok(())
    }

    pub(super) fn reason_of(&self, end: End) -> Reason {
        let message = match end {
            End::Failed(words) => return Reason::read(&words),
            End::Memory => format!("it needs more than {} MiB of memory", self.bounds.memory / (1024 * 1024)),
            End::Time => format!("it takes longer than {} s of computing", self.bounds.time.as_secs()),
            End::Line => format!("it writes a line of more than {} MiB", process::LONGEST >> 20),
            End::Waiting => "it waits for something that does not come".to_owned(),
            End::Signal(signal) => format!("Nix was ended by signal {signal} while evaluating it"),
        };
        Reason { message, position: None }
    }
}

fn once() -> Reason {
    Reason { message: "it failed once and not the second time".to_owned(), position: None }
}
