//! Gathers what processes say into one evaluation, whatever the order in which it comes.

use super::order::{Found, Order};
use super::process::Answer;
use super::reason::Reason;
use super::{AttrPath, DerivationFacts, EvalError, Evaluation, Job, Known};
use narthex_closure::{StorePath, parse_store_path};
use narthex_event::{Event, Sink};
use narthex_license::LicenseFacts;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Says how far an evaluation is, and not too often.
pub(super) struct Pace<'a> {
    sink: Sink<'a>,
    began: Instant,
    said: Option<Instant>,
    done: usize,
    known: usize,
    errors: usize,
}

impl<'a> Pace<'a> {
    const EVERY: Duration = Duration::from_millis(100);

    pub(super) fn new(sink: Sink<'a>) -> Self {
        Self { sink, began: Instant::now(), said: None, done: 0, known: 0, errors: 0 }
    }

    fn step(&mut self) {
        self.done += 1;
        self.known = self.known.max(self.done);
        if self.said.is_none_or(|said| said.elapsed() >= Self::EVERY) {
            self.said = Some(Instant::now());
            self.say();
        }
    }

    fn say(&self) {
        let (done, known, errors) = (self.done, self.known, self.errors);
        let left = time_left(self.began.elapsed(), done, known);
        (self.sink)(Event::EvaluationProgress { done, known, errors, left });
    }
}

/// As long for each attribute as for those before it; nothing while that says little.
fn time_left(taken: Duration, done: usize, known: usize) -> Option<Duration> {
    let enough = taken >= Duration::from_secs(2) && done > 0;
    enough.then(|| taken.mul_f64(known.saturating_sub(done) as f64 / done as f64))
}

/// A set may contain itself. Package sets lie in each other a few levels deep.
const DEEPEST: usize = 12;

/// What is known so far.
pub(super) struct Collected<'a> {
    named: BTreeSet<AttrPath>,
    /// What is known to be there, and nothing was said about.
    waiting: BTreeSet<AttrPath>,
    /// Whether every set is searched.
    recursive: bool,
    jobs: Vec<Job>,
    errors: Vec<EvalError>,
    /// All that is said of a derivation, as JSON. Sorted, so that merging it gives the same each time.
    facts: BTreeMap<StorePath, BTreeSet<String>>,
    /// The names in sets that were searched.
    sets: BTreeMap<AttrPath, Vec<String>>,
    /// Sets that do not say whether they are to be searched.
    not_searched: Vec<String>,
    order: Order,
    /// What nobody waited for.
    late: Vec<Found>,
    /// What failed, and nobody knows yet why.
    failing: BTreeSet<AttrPath>,
    known: Teller<'a>,
    pace: Pace<'a>,
}

/// Is told what is known, in the order of the attributes.
pub(super) type Teller<'a> = &'a dyn Fn(Known<'_>);

impl<'a> Collected<'a> {
    pub(super) fn new(named: Vec<AttrPath>, recursive: bool, known: Teller<'a>, mut pace: Pace<'a>) -> Self {
        pace.known = named.len();
        let mut order = Order::default();
        order.expect(None, &named);
        let named: BTreeSet<AttrPath> = named.into_iter().collect();
        Self {
            waiting: named.clone(),
            named,
            recursive,
            jobs: Vec::new(),
            errors: Vec::new(),
            facts: BTreeMap::new(),
            sets: BTreeMap::new(),
            not_searched: Vec::new(),
            order,
            late: Vec::new(),
            failing: BTreeSet::new(),
            known,
            pace,
        }
    }

    /// These are still to come, in the place of a set where they are members of one.
    pub(super) fn expect(&mut self, set: Option<&AttrPath>, paths: &[AttrPath]) {
        self.order.expect(set, paths);
        self.pace.known += paths.len();
        self.waiting.extend(paths.iter().cloned());
    }

    /// Nothing more comes. What nothing was said about has failed: who reads the rest has to know that it is not all.
    pub(super) fn stopped(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for path in if waiting.is_empty() { BTreeSet::from([Vec::new()]) } else { waiting } {
            let message = if self.failing.contains(&path) {
                "it failed, and the evaluation was told to stop before it was known why"
            } else {
                "not evaluated: the evaluation was told to stop"
            };
            self.error(&path, Reason { message: message.to_owned(), position: None });
        }
    }

    /// It is no job, and why is not known yet.
    pub(super) fn fails(&mut self, path: &AttrPath) {
        self.failing.insert(path.clone());
        self.found(path, None, Vec::new());
    }

    pub(super) fn error(&mut self, path: &AttrPath, reason: Reason) {
        self.failed(path, reason, Vec::new());
    }

    /// The same, with facts that were said all the same.
    fn failed(&mut self, path: &AttrPath, reason: Reason, facts: Vec<(String, String)>) {
        self.errors.push(EvalError { attr: shown(path), message: reason.to_string() });
        self.found(path, None, facts);
        self.waiting.remove(path);
        self.pace.errors += 1;
        self.pace.step();
    }

    /// Puts an answer where it belongs, with the facts of what it is made of; returns attributes that are to be looked at
    /// next.
    pub(super) fn path(&mut self, answer: Answer, facts: Vec<(String, String)>) -> Vec<AttrPath> {
        let path = answer.attr_path;
        let named = self.named.contains(&path);
        self.waiting.remove(&path);
        let mut job = None;
        let message = match (answer.outcome.as_str(), answer.drv_path.as_deref().and_then(parse_store_path)) {
            ("job", Some(derivation)) if answer.outputs.values().all(Option::is_some) => {
                let name = answer.name.unwrap_or_else(|| name_of(&derivation));
                job = Some(Job { attr: shown(&path), derivation, name, output: answer.output_name });
                None
            }
            ("job", _) => Some("its output paths are known only after the build, which is not supported"),
            // Where everything is searched, a set within itself is nobody's mistake.
            ("set", _) if self.recursive && (path.len() >= DEEPEST || self.is_in_itself(&path, &answer.names, 1)) => {
                self.not_searched.push(shown(&path));
                None
            }
            ("set", _) if answer.recurse && (path.len() >= DEEPEST || self.is_in_itself(&path, &answer.names, 2)) => {
                Some("sets lie in it without end, or deeper than anybody asks")
            }
            // Asked for by name, a set gives its members, as `nix-build -A` does.
            ("set", _) if answer.recurse || (named && !answer.names.is_empty()) => {
                let names = answer.names.into_iter().filter(|name| name != "recurseForDerivations");
                let members: Vec<AttrPath> = names.map(|name| path.iter().cloned().chain([name]).collect()).collect();
                self.expect(Some(&path), &members);
                self.found(&path, None, facts);
                self.pace.step();
                return members;
            }
            ("missing", _) => Some("there is no such attribute"),
            _ if named => Some("it is not a derivation"),
            ("set", _) if !answer.refuses && !answer.names.is_empty() => {
                self.not_searched.push(shown(&path));
                None
            }
            _ => None,
        };
        match message {
            Some(message) => self.failed(&path, Reason { message: message.to_owned(), position: None }, facts),
            None => {
                self.found(&path, job, facts);
                self.pace.step();
            }
        }
        Vec::new()
    }

    /// Takes what an attribute came to, and tells what is known now in the order of the attributes.
    fn found(&mut self, path: &AttrPath, job: Option<Job>, facts: Vec<(String, String)>) {
        let late = self.order.known(path, Found { job, facts });
        self.late.extend(late.filter(|found| found.job.is_some() || !found.facts.is_empty()));
        while let Some(found) = self.order.next() {
            self.tell(found);
        }
    }

    fn tell(&mut self, found: Found) {
        let mut said: BTreeMap<StorePath, BTreeSet<String>> = BTreeMap::new();
        for (derivation, facts) in found.facts {
            let Some(derivation) = parse_store_path(&derivation) else { continue };
            if self.facts.entry(derivation.clone()).or_default().insert(facts.clone()) {
                said.entry(derivation).or_default().insert(facts);
            }
        }
        if found.job.is_some() || !said.is_empty() {
            let all = said.keys().filter_map(|path| Some((path.clone(), facts_of(path, self.facts.get(path)?))));
            let new = said.iter().map(|(path, said)| (path.clone(), facts_of(path, said)));
            (self.known)(Known { job: found.job.as_ref(), said: new.collect(), facts: all.collect() });
        }
        self.jobs.extend(found.job);
    }

    /// Whether so many of the sets around a set have the same names as this one, so that it is most likely one of them.
    fn is_in_itself(&mut self, path: &AttrPath, names: &[String], times: usize) -> bool {
        let around = (0..path.len()).filter_map(|end| self.sets.get(&path[..end]));
        let same = around.filter(|theirs| *theirs == names).count();
        self.sets.insert(path.clone(), names.to_vec());
        same >= times && !names.is_empty()
    }

    pub(super) fn evaluation(mut self) -> Evaluation {
        self.pace.say();
        while let Some(found) = self.order.rest() {
            self.tell(found);
        }
        let mut late = std::mem::take(&mut self.late);
        late.sort_by(|a, b| a.job.as_ref().map(|job| &job.attr).cmp(&b.job.as_ref().map(|job| &job.attr)));
        late.into_iter().for_each(|found| self.tell(found));
        self.jobs.sort_by(|a, b| a.attr.cmp(&b.attr));
        self.errors.sort_by(|a, b| a.attr.cmp(&b.attr));
        self.not_searched.sort();
        let facts = self.facts.iter().map(|(path, said)| (path.clone(), facts_of(path, said))).collect();
        Evaluation { jobs: self.jobs, errors: self.errors, facts, not_searched: self.not_searched }
    }
}

fn facts_of(derivation: &StorePath, said: &BTreeSet<String>) -> DerivationFacts {
    // What is no JSON becomes a license that nobody understands.
    let said: Vec<Value> = said.iter().map(|text| serde_json::from_str(text).unwrap_or_default()).collect();
    DerivationFacts { name: name_of(derivation), facts: merged(&said), made_from: origin(&said) }
}

/// A path in the one spelling that attributes have everywhere.
fn shown(path: &[String]) -> String {
    narthex_closure::AttrPath::new(path.to_vec()).to_string()
}

fn name_of(derivation: &StorePath) -> String {
    derivation.name().trim_end_matches(".drv").to_owned()
}

/// What several values of one derivation say of it. Those that declare nothing (an output to which its package set did
/// not attach `meta`) do not count where another one does; where several declare something, all of it holds.
fn merged(said: &[Value]) -> LicenseFacts {
    let declares = |value: &&Value| value["declared"] != Value::Bool(false);
    let declaring = said.iter().any(|value| declares(&value));
    let counts = said.iter().filter(|value| !declaring || declares(value));
    let mut facts: Vec<LicenseFacts> = counts.map(LicenseFacts::from_json).collect();
    let position = facts.iter().find_map(|facts| facts.position.clone());
    // By what they come to, as whoever reads lines does.
    facts.sort_by_cached_key(|facts| facts.license.to_json().to_string());
    let merged = facts.into_iter().reduce(LicenseFacts::merge);
    let merged = merged.unwrap_or_else(|| LicenseFacts::from_json(&Value::Null));
    LicenseFacts { position: position.or_else(|| merged.position.clone()), ..merged }
}

/// The package that the values were made from, where those that say one say the same, and none declares anything.
fn origin(said: &[Value]) -> Option<StorePath> {
    if said.iter().any(|value| value["declared"] != Value::Bool(false)) {
        return None;
    }
    let mut origins = said.iter().filter_map(|value| value["madeFrom"].as_str());
    let first = origins.next()?;
    if origins.all(|other| other == first) { parse_store_path(first) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_license::{Class, Expr};

    #[test]
    fn what_declares_nothing_does_not_count_beside_what_does() {
        let check = |said: &[&str], class: Class, position: Option<&str>| {
            let said: BTreeSet<&str> = said.iter().copied().collect();
            let said: Vec<Value> =
                said.into_iter().map(|text| serde_json::from_str(text).unwrap_or_default()).collect();
            let merged = merged(&said);
            assert_eq!((merged.class(), merged.position.as_deref()), (class, position), "{said:?}");
        };
        let free = r#"{"declared":true,"license":{"spdxId":"MIT","free":true},"position":"b:1","provenance":[]}"#;
        let unfree = r#"{"declared":true,"license":{"shortName":"x","free":false,"redistributable":false},"position":"a:1","provenance":[]}"#;
        let silent = r#"{"declared":false,"license":null,"position":"0:1","provenance":[]}"#;
        check(&[free, silent], Class::Free, Some("b:1"));
        check(&[free, unfree], Class::Restricted, Some("a:1"));
        check(&[silent], Class::Unknown, Some("0:1"));
        check(&["no JSON", free], Class::Unknown, Some("b:1"));
        assert!(matches!(merged(&[Value::Null]).license, Expr::Malformed(_)), "silence would be something else");
    }

    #[test]
    fn the_time_left_is_that_of_the_attributes_before() {
        assert_eq!(time_left(Duration::from_secs(10), 100, 300), Some(Duration::from_secs(20)));
        assert_eq!(time_left(Duration::from_secs(1), 100, 300), None);
        assert_eq!(time_left(Duration::from_secs(10), 0, 300), None);
        assert_eq!(time_left(Duration::from_secs(10), 300, 300), Some(Duration::ZERO));
    }
}
