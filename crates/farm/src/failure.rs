//! Which jobs were not built, and why: of each job only what is about it and what it needs.
//!
//! It reads what a build came to and touches neither Nix nor the store. What did not evaluate is no job.

use crate::package_set::PackageSet;
use narthex_closure::StorePath;
use narthex_license::text::{self, LINE, MESSAGE};
use narthex_nix::{BuildOutcome, Cause};
use std::collections::{BTreeMap, BTreeSet};

/// What kept a job from being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// A build failed: its own, or that of something that it needs.
    Build,
    /// This machine cannot build it, or something that it needs.
    Machine,
    /// Nix refuses it, or something that it needs.
    Refused,
    /// Nix ended before it.
    NotTried,
}

impl FailureKind {
    /// The word for it in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Machine => "machine",
            Self::Refused => "refused",
            Self::NotTried => "not-tried",
        }
    }
}

/// A job that did not build.
#[derive(Clone, Debug)]
pub struct BuildFailure {
    /// The job's attribute.
    pub attr: String,
    /// Its derivation.
    pub derivation: StorePath,
    /// Its name.
    pub name: String,
    /// What kept it from being built.
    pub kind: FailureKind,
    /// What went wrong.
    pub message: String,
    /// What lies behind it, as far as Nix or the system said so.
    pub cause: Cause,
    /// The derivations whose own build failed: the job's, or some that it needs.
    pub failed: Vec<StorePath>,
    /// The last lines of the first one's log.
    pub log: Vec<String>,
}

/// The jobs that were not built. Which these are is read from the store, by `is_built`: messages of older versions of Nix
/// leave some out.
pub(crate) fn failures(
    set: &PackageSet,
    outcome: &BuildOutcome,
    is_built: &dyn Fn(&StorePath) -> bool,
) -> Vec<BuildFailure> {
    let jobs = set.jobs.iter().filter(|job| !is_built(&job.derivation));
    let users = set.graph.users();
    let failed_below = below(&users, outcome.failed.keys());
    let refused_below = below(&users, outcome.refused.keys());
    let failure = |job: &narthex_nix::Job| {
        let failed: Vec<StorePath> =
            failed_below.get(&job.derivation).into_iter().flatten().map(|drv| (*drv).clone()).collect();
        let refused = refused_below.get(&job.derivation).cloned().unwrap_or_default();
        let (kind, message) = why(set, outcome, &job.derivation, &failed, &refused);
        let own = failed.contains(&job.derivation);
        let culprit = if own { Some(&job.derivation) } else { failed.first() };
        let log = culprit.filter(|_| kind == FailureKind::Build).and_then(|drv| outcome.logs.get(drv));
        let line = |line: &String| text::bounded(&**line, LINE);
        BuildFailure {
            attr: text::bounded(&*job.attr, LINE),
            derivation: job.derivation.clone(),
            name: text::bounded(&*job.name, LINE),
            kind,
            cause: cause(&message, log.map_or(&[], Vec::as_slice)),
            message: text::bounded(with_short_words(&message), MESSAGE),
            log: log.into_iter().flatten().map(line).collect(),
            failed,
        }
    };
    jobs.map(failure).collect()
}

/// By derivation, those of some that it is or needs, in their order.
type Below<'a> = BTreeMap<&'a StorePath, Vec<&'a StorePath>>;

/// Goes from what failed to what needs it: mostly little failed, and a set may have any number of jobs.
fn below<'a>(
    users: &BTreeMap<&'a StorePath, BTreeSet<&'a StorePath>>,
    culprits: impl Iterator<Item = &'a StorePath>,
) -> Below<'a> {
    let mut below: Below<'a> = BTreeMap::new();
    for culprit in culprits {
        let mut todo = vec![culprit];
        while let Some(path) = todo.pop() {
            let known = below.entry(path).or_default();
            if known.last() != Some(&culprit) {
                known.push(culprit);
                todo.extend(users.get(path).into_iter().flatten());
            }
        }
    }
    below
}

/// A message in which a word that is longer than a name is cut: of a path of thousands of letters, what stands behind it
/// matters more than its end.
fn with_short_words(message: &str) -> String {
    message.split_inclusive(char::is_whitespace).map(|word| text::bounded(word, LINE)).collect()
}

/// The cause that a message names. That the disk is full, only the builder's log says in newer versions of Nix.
fn cause(message: &str, log: &[String]) -> Cause {
    let is_full = || log.iter().any(|line| Cause::of(line) == Cause::DiskFull);
    match Cause::of(message) {
        Cause::Builder | Cause::Other if is_full() => Cause::DiskFull,
        cause => cause,
    }
}

fn why(
    set: &PackageSet,
    outcome: &BuildOutcome,
    job: &StorePath,
    failed: &[StorePath],
    refused: &[&StorePath],
) -> (FailureKind, String) {
    let refusal =
        |drv: &StorePath| if outcome.unfit.contains(drv) { FailureKind::Machine } else { FailureKind::Refused };
    if let Some(said) = outcome.failed.get(job) {
        // What the log says needs no words of Nix beside it.
        let told = said.as_ref().filter(|said| !matches!(Cause::of(said), Cause::Builder | Cause::Dependency));
        let message = told.map_or_else(String::new, |said| format!(": {said}"));
        return (FailureKind::Build, format!("its build failed{message}"));
    }
    if let Some(why) = outcome.refused.get(job) {
        let kind = refusal(job);
        let message = if kind == FailureKind::Machine { why.clone() } else { format!("Nix refuses it: {why}") };
        return (kind, message);
    }
    if !failed.is_empty() {
        let names: Vec<&str> = failed.iter().map(|drv| set.name(drv)).collect();
        return (FailureKind::Build, format!("what it needs failed to build: {}", names.join(", ")));
    }
    if let Some(first) = refused.first() {
        let whys: BTreeSet<String> = refused
            .iter()
            .filter_map(|drv| Some(format!("{}: {}", set.name(drv), outcome.refused.get(*drv)?)))
            .collect();
        let whys: Vec<String> = whys.into_iter().collect();
        return (refusal(first), format!("what it needs is not built here: {}", whys.join("; ")));
    }
    match &outcome.stopped {
        Some(said) => (FailureKind::NotTried, format!("it was not tried, because Nix went no further: {said}")),
        None => (FailureKind::NotTried, "it was not built, and Nix did not say why".to_owned()),
    }
}
