//! A plan for 5,089 jobs of nixpkgs and the 18,064 derivations that they are made of, against a computation that
//! shares nothing with it: no flat graph, no license expressions, no order, only values and a fixed point.

use narthex_farm::{Inventory, Lines, Plan};
use narthex_policy::{Code, Policy, Rules, Verdict, shipped};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn lines(name: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let bytes = zstd::decode_all(std::fs::File::open(file).unwrap()).unwrap();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

pub(crate) fn all_lines() -> Vec<String> {
    [lines("nixpkgs-jobs.jsonl.zst"), lines("nixpkgs-graph.jsonl.zst")].concat()
}

pub(crate) fn inventory<'l>(lines: impl IntoIterator<Item = &'l String>) -> Inventory {
    let mut read = Lines::default();
    lines.into_iter().for_each(|line| read.line(line).unwrap());
    read.finish()
}

fn rules() -> Rules {
    Rules::new(Policy::parse(shipped::DEFAULT_POLICY).unwrap(), Vec::new(), narthex_policy::Date::of_unix_time(0))
}

#[test]
fn every_job_is_classified_as_an_independent_computation_does() {
    let lines = all_lines();
    let inventory = inventory(&lines);
    let rules = rules();
    let plan = Plan::new(&inventory, &rules, None);
    assert_eq!((inventory.jobs().len(), inventory.errors().len()), (5089, 80));
    assert_eq!((inventory.graph().len(), inventory.graph().edges()), (18_064, 114_056));
    assert_eq!((inventory.diagnostics(), plan.missing().len(), plan.cyclic().len()), (&[][..], 0, 0));

    let expected = Independent::of(&lines);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in inventory.graph().nodes() {
        let path = inventory.graph().path(node);
        let outcome = plan.outcome_of(node).unwrap();
        let (verdict, code) = expected.outcome(&path);
        assert_eq!((outcome.verdict, outcome.code.as_str()), (verdict, code), "{path}");
    }
    for (attr, node) in inventory.jobs() {
        let outcome = plan.outcome_of(*node).unwrap();
        assert!(plan.attrs(*node).any(|known| known == attr));
        *counts.entry(outcome.code.as_str()).or_default() += 1;
    }
    assert_eq!(counts.values().sum::<usize>(), 5089);
    assert_eq!(counts["license-free"], 3627);
    assert_eq!(counts["license-restricted"], 139);
    // Every attribute that failed is there with what was said of it.
    let failed: BTreeSet<&str> = inventory.errors().iter().map(|error| error.attr.as_str()).collect();
    let values = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let said: BTreeSet<String> = values
        .filter(|line| line.get("error").is_some())
        .map(|line| line["attr"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(failed, said.iter().map(String::as_str).collect());
}

/// Reading from the end, and the files mixed line by line, changes nothing.
#[test]
fn the_order_of_lines_does_not_show() {
    let lines = all_lines();
    let rules = rules();
    let shown = |inventory: &Inventory| {
        let plan = Plan::new(inventory, &rules, None);
        let graph = inventory.graph();
        let mut text = format!("{:?}\n{:?}\n", inventory.diagnostics(), inventory.errors());
        for node in plan.derivations() {
            let holes: Vec<String> = plan.holes(node).into_iter().map(|hole| graph.path(hole)).collect();
            let attrs: Vec<&str> = plan.attrs(node).collect();
            text += &format!(
                "{} {attrs:?} {:?} {:?} {holes:?}\n",
                graph.path(node),
                plan.reasons(node),
                graph.outputs(node)
            );
        }
        text + &format!("{:?} {:?}", plan.counts(), plan.rulings())
    };
    let straight = shown(&inventory(&lines));
    assert!(straight == shown(&inventory(lines.iter().rev())), "the last line first");
    let scattered = (0..lines.len()).map(|index| &lines[(index * 7919) % lines.len()]);
    assert!(straight == shown(&inventory(scattered)), "scattered");
}

/// Jobs without the lines of what they are made of: nothing that depends on more is published.
#[test]
fn without_the_graph_nothing_is_waved_through() {
    let lines = lines("nixpkgs-jobs.jsonl.zst");
    let inventory = inventory(&lines);
    let rules = rules();
    let plan = Plan::new(&inventory, &rules, None);
    assert!(plan.missing().len() > 1_000);
    for node in plan.derivations() {
        let outcome = plan.outcome_of(node).unwrap();
        let needs_more = inventory.graph().inputs(node).any(|input| !inventory.graph().is_described(input));
        if needs_more {
            assert_eq!((outcome.verdict, outcome.code), (Verdict::Withhold, Code::GraphIncomplete));
        }
    }
}

/// 0 free, 1 redistributable, 2 restricted, 3 unknown.
type Level = u8;

struct Independent {
    derivations: BTreeMap<String, Map<String, Value>>,
    declared: BTreeMap<String, Level>,
    original: BTreeMap<String, Level>,
    generated: BTreeSet<String>,
    users: BTreeMap<String, BTreeSet<String>>,
}

impl Independent {
    fn of(lines: &[String]) -> Self {
        let known: Map<String, Value> =
            serde_json::from_str(include_str!("../../../license/data/nixpkgs-licenses.json")).unwrap();
        let mut derivations: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        let mut levels: BTreeMap<String, Level> = BTreeMap::new();
        for line in lines {
            let Value::Object(fields) = serde_json::from_str(line).unwrap() else { panic!() };
            let Some(path) = fields.get("drvPath").map(|path| path.as_str().unwrap().to_owned()) else { continue };
            if let Some(license) = fields.get("meta").and_then(|meta| meta.get("license")).filter(|l| !l.is_null()) {
                let level = levels.entry(path.clone()).or_default();
                *level = (*level).max(level_of(license, &known));
            }
            // Lines of the graph say more of a derivation than those of jobs.
            derivations.entry(path).or_default().extend(fields);
        }
        let mut this = Self {
            derivations,
            declared: BTreeMap::new(),
            original: BTreeMap::new(),
            generated: BTreeSet::new(),
            users: BTreeMap::new(),
        };
        this.declare(&levels);
        this.find_originals();
        this.find_generated();
        this.find_users();
        this
    }

    fn names<'a>(&'a self, path: &str, field: &str) -> impl Iterator<Item = &'a str> {
        self.derivations[path][field].as_object().unwrap().iter().map(move |(name, _)| name.as_str())
    }

    fn inputs<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a str> {
        self.names(path, "inputDrvs")
    }

    fn made<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a str> {
        self.derivations[path]["outputs"].as_object().unwrap().values().map(|path| path.as_str().unwrap())
    }

    fn says(&self, path: &str, field: &str, value: bool) -> bool {
        self.derivations[path].get(field) == Some(&Value::Bool(value))
    }

    fn is_fixed(&self, path: &str) -> bool {
        self.says(path, "fixedOutput", true)
    }

    fn name(&self, path: &str) -> &str {
        self.derivations[path]["name"].as_str().unwrap()
    }

    /// Two derivations with one output are one build.
    fn declare(&mut self, levels: &BTreeMap<String, Level>) {
        let mut by_output: BTreeMap<&str, Level> = BTreeMap::new();
        for (path, level) in levels {
            for output in self.made(path) {
                let known = by_output.entry(output).or_default();
                *known = (*known).max(*level);
            }
        }
        let of = |path: &String| Some((path.clone(), self.made(path).filter_map(|o| by_output.get(o)).copied().max()?));
        self.declared = self.derivations.keys().filter_map(of).collect();
    }

    fn source_paths(&self, path: &str) -> BTreeSet<&str> {
        self.inputs(path).filter(|input| self.is_fixed(input)).flat_map(|input| self.made(input)).collect()
    }

    fn find_originals(&mut self) {
        let mut packages: BTreeMap<(&str, BTreeSet<&str>), Level> = BTreeMap::new();
        for (path, level) in self.declared.iter().filter(|(path, _)| !self.is_fixed(path)) {
            let known = packages.entry((self.name(path), self.source_paths(path))).or_default();
            *known = (*known).max(*level);
        }
        let silent = self.derivations.keys().filter(|path| !self.declared.contains_key(*path) && !self.is_fixed(path));
        let of = |path: &String| {
            let sources = self.source_paths(path);
            let level = packages.get(&(self.name(path), sources.clone())).filter(|_| !sources.is_empty())?;
            let unfree = |input: &str| matches!(self.declared.get(input), Some(1 | 2));
            assert!(!self.inputs(path).any(unfree), "{path}: the data has no such case");
            Some((path.clone(), *level))
        };
        self.original = silent.filter_map(of).collect();
    }

    /// Everything that could be, and then less and less until nothing changes.
    fn find_generated(&mut self) {
        let trivial =
            |path: &&String| self.says(path, "preferLocalBuild", true) || self.says(path, "allowSubstitutes", false);
        let silent = |path: &&String| !self.declared.contains_key(*path) && !self.original.contains_key(*path);
        let no_source = |path: &str| !self.inputs(path).any(|input| self.is_fixed(input));
        let mut left: BTreeSet<String> = self
            .derivations
            .keys()
            .filter(|path| !self.is_fixed(path) && no_source(path))
            .filter(silent)
            .filter(trivial)
            .cloned()
            .collect();
        let level = |path: &str| self.declared.get(path).or(self.original.get(path));
        let environment = |path: &str| {
            self.name(path).starts_with("stdenv")
                && !self.declared.contains_key(path)
                && no_source(path)
                && !self.inputs(path).any(|input| matches!(level(input), Some(1 | 2)))
        };
        loop {
            let free = |path: &str| level(path) == Some(&0) || left.contains(path) || environment(path);
            let next: BTreeSet<String> = left.iter().filter(|path| self.inputs(path).all(free)).cloned().collect();
            if next == left {
                break;
            }
            left = next;
        }
        self.generated = left;
    }

    fn find_users(&mut self) {
        let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in self.derivations.keys() {
            for output in self.inputs(path).filter(|input| self.is_fixed(input)).flat_map(|input| self.made(input)) {
                users.entry(output.to_owned()).or_default().insert(path.clone());
            }
        }
        self.users = users;
    }

    fn outcome(&self, path: &str) -> (Verdict, &'static str) {
        let by_level = |level: Level| if level < 2 { Verdict::Publish } else { Verdict::Withhold };
        let codes = ["license-free", "license-redistributable", "license-restricted", "license-unknown"];
        if let Some(level) = self.declared.get(path) {
            return (by_level(*level), codes[usize::from(*level)]);
        }
        if self.is_fixed(path) {
            let users: BTreeSet<&String> =
                self.made(path).filter_map(|output| self.users.get(output)).flatten().collect();
            let open = |user: &&String| {
                self.generated.contains(*user)
                    || [&self.declared, &self.original].iter().any(|of| matches!(of.get(*user), Some(0 | 1)))
            };
            return match (users.is_empty(), users.iter().all(open)) {
                (true, _) => (Verdict::Withhold, "license-unknown"),
                (_, true) => (Verdict::Publish, "source-of-published"),
                (_, false) => (Verdict::Withhold, "source-of-withheld"),
            };
        }
        match self.original.get(path) {
            Some(level) => (by_level(*level), "license-of-original"),
            None if self.generated.contains(path) => (Verdict::Publish, "made-from-free-inputs"),
            None => (Verdict::Withhold, "license-unknown"),
        }
    }
}

fn level_of(license: &Value, known: &Map<String, Value>) -> Level {
    let row = |row: &Value| match (row["free"].as_bool().unwrap(), row["redistributable"].as_bool()) {
        (true, _) => 0,
        (false, Some(true)) => 1,
        (false, _) => 2,
    };
    let named = |name: &str| {
        let fits = |(id, r): &(&String, &Value)| {
            *id == name || ["shortName", "fullName", "spdxId"].iter().any(|field| r[field].as_str() == Some(name))
        };
        known.iter().filter(fits).map(|(_, r)| row(r)).max()
    };
    let by_name = |name: &str| {
        named(name).or_else(|| {
            let gnu = name.contains("GPL-");
            let new = if name.ends_with('+') { name.replace('+', "-or-later") } else { format!("{name}-only") };
            gnu.then(|| named(&new)).flatten()
        })
    };
    match license {
        Value::String(name) => by_name(name).unwrap_or(3),
        Value::Array(parts) => parts.iter().map(|part| level_of(part, known)).max().unwrap_or(3),
        Value::Object(fields) => match fields.get("free") {
            Some(Value::Bool(_)) => row(license),
            _ => {
                let names = ["spdxId", "shortName", "fullName"].iter().filter_map(|field| license[field].as_str());
                names.filter_map(by_name).max().unwrap_or(3)
            }
        },
        _ => 3,
    }
}
