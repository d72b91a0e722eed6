//! Which targets a build command gets next, and which derivation it is that Nix stumbled over.
//!
//! With `--keep-going`, Nix goes on when a build fails. Other things end it at once: a derivation that it refuses, or
//! an output that it cannot read. Then everything else is undone, and what it says is about one derivation. So the
//! others are given to it again without that one, which is found by what was said, by what was being built, and at
//! last by halving. Nothing here runs a command, and no derivation gets what was said of another one.

use crate::cause::Cause;
use narthex_closure::{Graph, Needs, StorePath, parse_store_path};
use std::collections::{BTreeMap, BTreeSet};

/// What one command came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    /// The exit code, where there is one.
    pub(crate) code: Option<i32>,
    /// Derivations whose build began.
    pub(crate) started: BTreeSet<StorePath>,
    /// What Nix said, in order.
    pub(crate) errors: Vec<String>,
    /// The derivations among those that were asked for or begun of which every wanted output is there.
    pub(crate) valid: BTreeSet<StorePath>,
}

/// Codes of a command that went on to its end although builds failed: `Worker::failingExitStatus` in
/// `src/libstore/build/worker.cc`. Anything else may have ended it before.
const WENT_ON: std::ops::RangeInclusive<i32> = 100..=127;

/// Targets on their way.
#[derive(Debug)]
pub(crate) struct Rounds<'a> {
    graph: &'a Graph,
    /// What Nix would build; what is not among it is there, or can be fetched. Without it, nothing can be.
    planned: Option<BTreeSet<StorePath>>,
    users: BTreeMap<&'a StorePath, BTreeSet<&'a StorePath>>,
    /// What was built meanwhile.
    done: BTreeSet<StorePath>,
    /// What cannot be built, each with the derivation that keeps it from that.
    blocked: BTreeMap<StorePath, StorePath>,
    /// Groups of derivations that get a command each; the last one comes next.
    groups: Vec<Vec<StorePath>>,
    /// Derivations whose own build failed, with what was said of each.
    pub(crate) failed: BTreeMap<StorePath, Option<String>>,
    /// Derivations that cannot be built at all, and why.
    pub(crate) refused: BTreeMap<StorePath, String>,
    /// Why nothing more was tried.
    pub(crate) stopped: Option<String>,
    left: usize,
}

impl<'a> Rounds<'a> {
    /// Begins with all of these. What is refused beforehand is left out, and so is what needs it.
    pub(crate) fn new(
        graph: &'a Graph,
        targets: Vec<StorePath>,
        planned: Option<BTreeSet<StorePath>>,
        refused: BTreeMap<StorePath, String>,
    ) -> Self {
        // Each round finds at least one derivation that is at fault, or halves where it may be.
        let left = 64 + targets.len() / 8;
        let mut rounds = Self {
            graph,
            planned,
            users: graph.users(),
            done: BTreeSet::new(),
            blocked: BTreeMap::new(),
            groups: vec![targets],
            failed: BTreeMap::new(),
            refused: BTreeMap::new(),
            stopped: None,
            left,
        };
        for (derivation, why) in refused {
            rounds.cannot(derivation, why);
        }
        rounds
    }

    /// The derivations for the next command.
    pub(crate) fn next(&mut self) -> Option<Vec<StorePath>> {
        while let Some(group) = self.groups.pop() {
            let possible = self.possible(group);
            if possible.is_empty() {
                continue;
            }
            if self.stopped.is_some() || self.left == 0 {
                self.stopped.get_or_insert_with(|| "Nix ended too often before it was done".to_owned());
                continue;
            }
            self.left -= 1;
            return Some(possible);
        }
        None
    }

    /// Notes what Nix would build.
    pub(crate) fn plan(&mut self, planned: Option<BTreeSet<StorePath>>) {
        self.planned = planned;
    }

    /// Those that need nothing that failed or was refused.
    fn possible(&self, group: Vec<StorePath>) -> Vec<StorePath> {
        group.into_iter().filter(|target| !self.blocked.contains_key(target)).collect()
    }

    /// Notes that nothing that needs a derivation can be built.
    fn block(&mut self, culprit: &StorePath) {
        let mut todo = vec![culprit.clone()];
        while let Some(path) = todo.pop() {
            if self.blocked.contains_key(&path) {
                continue;
            }
            let users = self.users.get(&path).into_iter().flatten();
            todo.extend(users.filter(|user| self.is_planned(user)).map(|user| (*user).clone()));
            self.blocked.insert(path, culprit.clone());
        }
    }

    fn is_planned(&self, path: &StorePath) -> bool {
        !self.done.contains(path) && self.planned.as_ref().is_none_or(|planned| planned.contains(path))
    }

    fn fail(&mut self, derivation: StorePath, message: Option<String>) {
        self.block(&derivation);
        self.failed.insert(derivation, message);
    }

    fn cannot(&mut self, derivation: StorePath, why: String) {
        self.block(&derivation);
        self.refused.insert(derivation, why);
    }

    /// Takes what became of a group.
    pub(crate) fn ended(&mut self, group: Vec<StorePath>, attempt: &Attempt) {
        self.done.extend(attempt.valid.iter().cloned());
        let is_valid = |path: &StorePath| attempt.valid.contains(path);
        let broken: BTreeSet<StorePath> =
            attempt.started.iter().filter(|derivation| !is_valid(derivation)).cloned().collect();
        let went_on = attempt.code.is_some_and(|code| WENT_ON.contains(&code));
        let before = self.failed.len() + self.refused.len();

        let (said, nameless) = self.by_derivation(&attempt.errors);
        for (derivation, message) in said {
            if broken.contains(&derivation) {
                self.fail(derivation, Some(message));
            } else if !is_valid(&derivation) {
                self.refuse(derivation, message);
            }
        }
        let suspects: Vec<StorePath> =
            broken.iter().filter(|derivation| !self.failed.contains_key(*derivation)).cloned().collect();
        if went_on {
            // Of what failed by itself, newer versions name all but what they ended for its time. What only that was said
            // of failed for that, also where there are several.
            let all_by_time = nameless.iter().all(|message| Cause::of(message) == Cause::Timeout);
            let only = match suspects.len() {
                _ if nameless.is_empty() => None,
                1 => Some(nameless.join("; ")),
                _ => all_by_time.then(|| nameless.join(", or ")),
            };
            for suspect in suspects {
                self.fail(suspect, only.clone());
            }
        } else if self.failed.len() + self.refused.len() == before {
            match suspects.as_slice() {
                // Nothing was being built: it is about one of the targets, or about none.
                [] => {}
                [one] => {
                    let said = (!nameless.is_empty()).then(|| nameless.join("; "));
                    self.fail(one.clone(), said);
                }
                // One of these ended it, and the others were only interrupted. There are no more of them than
                // builds at once.
                _ => {
                    let rest = self.without_valid(group, attempt);
                    self.groups.push(rest);
                    self.groups.extend(suspects.into_iter().map(|suspect| vec![suspect]));
                    return;
                }
            }
        }
        let rest = self.possible(self.without_valid(group.clone(), attempt));
        if rest.is_empty() {
            return;
        }
        let progress = self.failed.len() + self.refused.len() > before
            || rest.len() < group.len()
            || attempt.started.iter().any(is_valid);
        let everything = || nameless.iter().find(|message| Cause::of(message).is_about_everything());
        if let (false, Some(message)) = (progress, everything()) {
            self.stopped = Some(message.clone());
            return;
        }
        match rest.as_slice() {
            _ if progress => self.groups.push(rest),
            [one] => {
                let said = if nameless.is_empty() { attempt.errors.join("; ") } else { nameless.join("; ") };
                let why = if said.is_empty() { "Nix did not build it and did not say why".to_owned() } else { said };
                self.cannot(one.clone(), why);
            }
            rest => {
                let (one, other) = rest.split_at(rest.len() / 2);
                self.groups.push(other.to_vec());
                self.groups.push(one.to_vec());
            }
        }
    }

    fn without_valid(&self, group: Vec<StorePath>, attempt: &Attempt) -> Vec<StorePath> {
        group.into_iter().filter(|target| !attempt.valid.contains(target)).collect()
    }

    /// Refuses a derivation, and all others that ask the same of a machine where that is why.
    fn refuse(&mut self, derivation: StorePath, message: String) {
        // It was, together with another one that asks the same.
        if self.refused.contains_key(&derivation) {
            return;
        }
        if Cause::of(&message).is_about_the_machine()
            && let Some(refused) = self.graph.get(&derivation)
        {
            let asks = |needs: &Needs| (needs.features.clone(), needs.no_sandbox, needs.builtin);
            let like = (refused.system.clone(), asks(&refused.needs));
            let alike = self.graph.iter().filter(|(path, other)| {
                self.is_planned(path) && (other.system.clone(), asks(&other.needs)) == like && **path != derivation
            });
            let features: Vec<&str> = like.1.0.iter().map(String::as_str).collect();
            let why = match (refused.needs.no_sandbox, features.is_empty()) {
                (true, _) => "must be built outside the sandbox (__noChroot), which Nix refuses here".to_owned(),
                (false, true) => format!("needs {}, which Nix refuses here", like.0),
                (false, false) => {
                    format!("needs {} with the system feature {}, which Nix refuses here", like.0, features.join(", "))
                }
            };
            let alike: Vec<StorePath> = alike.map(|(path, _)| path.clone()).collect();
            for path in alike {
                if !self.refused.contains_key(&path) {
                    self.cannot(path, why.clone());
                }
            }
        }
        self.cannot(derivation, message);
    }

    /// What was said of which derivation, and what names none.
    fn by_derivation(&self, errors: &[String]) -> (BTreeMap<StorePath, String>, Vec<String>) {
        let (mut said, mut nameless) = (BTreeMap::new(), Vec::new());
        for error in errors.iter().filter(|error| !is_summary(error)) {
            match self.named(error) {
                Some(derivation) => {
                    said.entry(derivation).or_insert_with(|| error.clone());
                }
                None => nameless.push(error.clone()),
            }
        }
        (said, nameless)
    }

    /// The first derivation that a message names, or whose output it names, of those that are still to be built: what is
    /// there already is named as something that others need.
    fn named(&self, message: &str) -> Option<StorePath> {
        let derivations = store_paths(message).filter_map(|path| match self.graph.producer(&path) {
            _ if self.graph.get(&path).is_some() => Some(path),
            Some(producer) => Some(producer.derivation.clone()),
            None => None,
        });
        let mut unbuilt = derivations.filter(|derivation| self.is_planned(derivation));
        unbuilt.next()
    }
}

/// Whether a message only says that something else failed, which Nix says of what needs it and of the whole.
fn is_summary(message: &str) -> bool {
    Cause::of(message) == Cause::Dependency || (message.starts_with("build of '") && message.ends_with("failed"))
}

/// The store paths in a text, in their order.
pub(crate) fn store_paths(text: &str) -> impl Iterator<Item = StorePath> + '_ {
    const STORE: &str = "/nix/store/";
    text.match_indices(STORE).filter_map(|(at, _)| {
        let rest = &text[at + STORE.len()..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-._?=".contains(c);
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        // A full stop behind it ends a sentence.
        parse_store_path(rest[..end].trim_end_matches('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_closure::Derivation;

    fn path(name: &str) -> StorePath {
        let digest = name.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let digest: String = format!("{digest:032}").chars().collect();
        parse_store_path(&format!("/nix/store/{digest}-{name}")).unwrap()
    }

    fn drv(name: &str) -> StorePath {
        path(&format!("{name}.drv"))
    }

    /// Derivations and what they are made of; a name that begins with `arm` is for another platform.
    fn graph(nodes: &[(&str, &[&str])]) -> Graph {
        let mut graph = Graph::default();
        for (name, inputs) in nodes {
            let derivation = Derivation {
                name: (*name).to_owned(),
                system: if name.starts_with("arm") { "aarch64-linux" } else { "x86_64-linux" }.to_owned(),
                outputs: [("out".to_owned(), path(name))].into(),
                inputs: inputs.iter().map(|input| (drv(input), ["out".to_owned()].into())).collect(),
                sources: [].into(),
                main_sources: [].into(),
                build_scripts: [].into(),
                generated_text: false,
                fixed_output: false,
                needs: Needs::default(),
            };
            graph.insert(drv(name), derivation);
        }
        graph
    }

    /// How a derivation behaves when Nix builds it.
    #[derive(Clone, Copy, PartialEq)]
    enum Is {
        Good,
        /// Its builder fails, and Nix goes on.
        Failing,
        /// It is ended for its time, and Nix goes on and does not say which it was.
        Slow,
        /// Nix refuses it, names it and ends, before it builds anything.
        Refused,
        /// It is built, its output ends Nix, and the message has no name in it.
        Ending,
        /// Nix ends as soon as it is asked for it, and says neither why nor of what.
        Silent,
        /// There is no space for anything.
        Full,
    }

    /// A Nix that builds two at once.
    struct Fake<'a> {
        graph: &'a Graph,
        is: BTreeMap<StorePath, Is>,
        valid: BTreeSet<StorePath>,
        commands: usize,
    }

    impl Fake<'_> {
        fn run(&mut self, group: &[StorePath]) -> Attempt {
            self.commands += 1;
            let is = |path: &StorePath| self.is.get(path).copied().unwrap_or(Is::Good);
            let mut todo: Vec<StorePath> = self.graph.closure(group.to_vec()).into_iter().collect();
            todo.retain(|path| !self.valid.contains(path));
            let mut attempt = Attempt { code: Some(1), ..Attempt::default() };
            let ended = |mut attempt: Attempt, valid: &BTreeSet<StorePath>| {
                attempt.valid = valid.clone();
                attempt
            };
            if todo.iter().any(|path| is(path) == Is::Silent) {
                return ended(attempt, &self.valid);
            }
            if todo.iter().any(|path| is(path) == Is::Full) {
                attempt.errors.push("writing to file: No space left on device".to_owned());
                return ended(attempt, &self.valid);
            }
            if let Some(refused) = todo.iter().find(|path| is(path) == Is::Refused) {
                let said =
                    format!("a 'aarch64-linux' with features {{}} is required to build '{refused}', but I am a 'x'");
                attempt.errors.push(said);
                return ended(attempt, &self.valid);
            }
            let mut failed = BTreeSet::new();
            loop {
                let ready = |path: &&StorePath| {
                    let derivation = self.graph.get(path).unwrap();
                    !failed.contains(*path) && derivation.inputs.keys().all(|input| self.valid.contains(input))
                };
                let next: Vec<StorePath> = todo.iter().filter(ready).take(2).cloned().collect();
                if next.is_empty() {
                    break;
                }
                attempt.started.extend(next.iter().cloned());
                if next.iter().any(|path| is(path) == Is::Ending) {
                    attempt.errors.push("file has an unsupported type".to_owned());
                    return ended(attempt, &self.valid);
                }
                for path in next {
                    if is(&path) == Is::Slow {
                        attempt.errors.push("timed out after 2 seconds".to_owned());
                        failed.insert(path);
                    } else if is(&path) == Is::Failing {
                        attempt.errors.push(format!("builder for '{path}' failed with exit code 1"));
                        failed.insert(path);
                    } else {
                        self.valid.insert(path.clone());
                        todo.retain(|other| *other != path);
                    }
                }
            }
            let names: Vec<String> = group.iter().map(|path| format!("'{path}'")).collect();
            attempt.errors.push(format!("build of {} failed", names.join(", ")));
            attempt.code = Some(if failed.is_empty() { 0 } else { 100 });
            ended(attempt, &self.valid)
        }
    }

    struct Expected<'a> {
        valid: &'a [&'a str],
        failed: &'a [&'a str],
        refused: &'a [&'a str],
        stopped: bool,
        commands: usize,
    }

    #[track_caller]
    fn check(
        nodes: &[(&str, &[&str])],
        is: &[(&str, Is)],
        expected: &Expected<'_>,
    ) -> BTreeMap<StorePath, Option<String>> {
        let graph = graph(nodes);
        let targets: Vec<StorePath> = nodes.iter().map(|(name, _)| drv(name)).collect();
        let is = is.iter().map(|(name, is)| (drv(name), *is)).collect();
        let mut nix = Fake { graph: &graph, is, valid: BTreeSet::new(), commands: 0 };
        let mut rounds = Rounds::new(&graph, targets, None, BTreeMap::new());
        while let Some(group) = rounds.next() {
            let attempt = nix.run(&group);
            rounds.ended(group, &attempt);
        }
        let names = |paths: &mut dyn Iterator<Item = &StorePath>| {
            let mut names: Vec<String> = paths.map(|path| path.name().trim_end_matches(".drv").to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&mut nix.valid.iter()), expected.valid);
        assert_eq!(names(&mut rounds.failed.keys()), expected.failed, "{:?}", rounds.failed);
        assert_eq!(names(&mut rounds.refused.keys()), expected.refused, "{:?}", rounds.refused);
        assert_eq!(rounds.stopped.is_some(), expected.stopped);
        assert!(nix.commands <= expected.commands, "{} commands", nix.commands);
        for (derivation, message) in rounds.failed.iter().filter_map(|(path, said)| Some((path, said.as_ref()?))) {
            let other = store_paths(message).any(|named| named != *derivation);
            assert!(!other, "{derivation} got the error of another one: {message}");
        }
        rounds.failed
    }

    /// Nix 2.34 names nothing that it ended for its time.
    #[test]
    fn what_took_too_long_is_told_as_that() {
        let nodes: &[(&str, &[&str])] = &[("a", &[]), ("b", &[]), ("c", &["a"]), ("d", &[]), ("e", &[])];
        let expected = Expected { valid: &["e"], failed: &["a", "b", "d"], refused: &[], stopped: false, commands: 1 };
        let failed = check(nodes, &[("a", Is::Slow), ("b", Is::Slow), ("d", Is::Failing)], &expected);
        for (name, part) in [("a", "timed out"), ("b", "timed out"), ("d", "exit code 1")] {
            assert!(failed[&drv(name)].as_ref().is_some_and(|said| said.contains(part)), "{failed:?}");
        }
    }

    #[test]
    fn others_are_built_whatever_one_of_them_does() {
        let nodes: &[(&str, &[&str])] =
            &[("a", &[]), ("b", &[]), ("c", &["a"]), ("d", &["b"]), ("e", &[]), ("f", &["e"]), ("g", &[])];
        let all = |valid, failed, refused, commands| Expected { valid, failed, refused, stopped: false, commands };
        check(nodes, &[], &all(&["a", "b", "c", "d", "e", "f", "g"], &[], &[], 1));
        check(nodes, &[("b", Is::Failing)], &all(&["a", "c", "e", "f", "g"], &["b"], &[], 1));
        check(nodes, &[("e", Is::Ending)], &all(&["a", "b", "c", "d", "g"], &["e"], &[], 8));
        check(nodes, &[("b", Is::Failing), ("e", Is::Ending)], &all(&["a", "c", "g"], &["b", "e"], &[], 8));
        check(nodes, &[("f", Is::Silent)], &all(&["a", "b", "c", "d", "e", "g"], &[], &["f"], 8));
        check(nodes, &[("a", Is::Silent), ("g", Is::Silent)], &all(&["b", "d", "e", "f"], &[], &["a", "g"], 14));
        let full = Expected { valid: &[], failed: &[], refused: &[], stopped: true, commands: 1 };
        check(nodes, &[("a", Is::Full)], &full);
    }

    /// Of many that ask the same of a machine, Nix is asked once.
    #[test]
    fn what_asks_the_same_is_refused_together() {
        let names: Vec<String> = (0..40).map(|n| format!("arm{n:02}")).chain(["good".to_owned()]).collect();
        let nodes: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[] as &[&str])).collect();
        let is: Vec<(&str, Is)> = names.iter().map(|name| (name.as_str(), Is::Refused)).take(40).collect();
        let refused: Vec<&str> = names.iter().map(String::as_str).take(40).collect();
        check(&nodes, &is, &Expected { valid: &["good"], failed: &[], refused: &refused, stopped: false, commands: 2 });
    }

    /// What Nix says of many is one process each only where it ends at each of them.
    #[test]
    fn one_that_is_never_named_among_many_costs_few_commands() {
        let names: Vec<String> = (0..1000).map(|n| format!("n{n:03}")).collect();
        let nodes: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[] as &[&str])).collect();
        let valid: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != "n617").collect();
        let is = [("n617", Is::Silent)];
        check(&nodes, &is, &Expected { valid: &valid, failed: &[], refused: &["n617"], stopped: false, commands: 24 });
    }

    #[test]
    fn what_can_be_fetched_needs_no_build() {
        let graph = graph(&[("arm", &[]), ("middle", &["arm"]), ("top", &["middle"]), ("other", &["arm"])]);
        let planned = [drv("arm"), drv("other"), drv("top")].into();
        let refused = [(drv("arm"), "needs aarch64-linux".to_owned())].into();
        let targets = vec![drv("top"), drv("middle"), drv("other")];
        let mut rounds = Rounds::new(&graph, targets, Some(planned), refused);
        assert_eq!(rounds.next(), Some(vec![drv("top"), drv("middle")]));
    }

    /// A message may name what a build needs before it names the build, or alone.
    #[test]
    fn what_is_there_already_is_never_at_fault() {
        let graph = graph(&[("shell", &[]), ("one", &["shell"]), ("two", &["shell"])]);
        let targets = vec![drv("one"), drv("two")];
        let mut rounds = Rounds::new(&graph, targets.clone(), Some([drv("one"), drv("two")].into()), BTreeMap::new());
        let said = format!("executing '{}/bin/sh' for '{}': no", path("shell"), drv("one"));
        let attempt = Attempt { code: Some(1), errors: vec![said], ..Attempt::default() };
        rounds.ended(targets, &attempt);
        assert_eq!(rounds.refused.keys().collect::<Vec<_>>(), [&drv("one")]);
        assert_eq!(rounds.next(), Some(vec![drv("two")]));
        let said = format!("'{}' is odd", path("shell"));
        let attempt = Attempt { code: Some(1), errors: vec![said], started: [drv("two")].into(), ..Attempt::default() };
        rounds.ended(vec![drv("two")], &attempt);
        assert_eq!(rounds.failed.keys().collect::<Vec<_>>(), [&drv("two")]);
    }

    #[test]
    fn paths_are_found_in_texts() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<String> = store_paths(text).map(|path| path.name().to_owned()).collect();
            assert_eq!(found, expected, "{text}");
        };
        let one = "/nix/store/s7f2km7lq2hapymbqr4s7sm3qgp48b4i-good1";
        check(&format!("output '{one}' is not"), &["good1"]);
        check(&format!("output {one}. Then {one}.drv!*."), &["good1", "good1.drv"]);
        check(&format!("{one}/share/x and \"{one}-1.0\""), &["good1", "good1-1.0"]);
        check("/nix/store/short and /nix/store", &[]);
    }
}
