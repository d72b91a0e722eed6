//! A plan for 5,089 jobs of nixpkgs and the 18,064 derivations that they are made of, against a computation that
//! shares nothing with it: no flat graph, no license expressions, no order, only values and recursion.

use narthex_farm::{Diagnostic, Inventory, Lines, Plan};
use narthex_license::Class;
use narthex_policy::{Code, Policy, Rules, Verdict, shipped};
use serde_json::{Map, Value};
use std::cell::RefCell;
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
    assert_eq!((plan.missing().len(), plan.cyclic().len()), (0, 0));
    // What is not known is named, and nothing else is wrong with any license.
    let is_unknown = |diagnostic: &Diagnostic| matches!(diagnostic, Diagnostic::UnknownLicense(..));
    assert!(inventory.diagnostics().iter().all(is_unknown), "{:?}", inventory.diagnostics());
    assert_eq!(inventory.diagnostics().len(), 62);

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
    assert_eq!(counts["license-free"], 3631);
    assert_eq!(counts["license-restricted"], 118);
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
            // What it declares itself may be one more reason, and the weightier one.
            let code = match (plan.license(node), outcome.class) {
                (Some(_), Class::Restricted) => Code::LicenseRestricted,
                (Some(_), Class::Unknown) => Code::LicenseUnknown,
                _ => Code::GraphIncomplete,
            };
            assert_eq!((outcome.verdict, outcome.code), (Verdict::Withhold, code));
            assert!(plan.reasons(node).iter().any(|reason| reason.code == Code::GraphIncomplete));
        }
    }
}

/// 0 free, 1 redistributable, 2 restricted, 3 unknown.
type Level = u8;

/// What a derivation goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Declared(Level),
    Source,
    Original(Level),
    Generated,
    Silent,
}

struct Independent {
    derivations: BTreeMap<String, Map<String, Value>>,
    declared: BTreeMap<String, Level>,
    /// With whether something that is not free went in.
    known: RefCell<BTreeMap<String, (What, bool)>>,
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
        let mut this =
            Self { derivations, declared: BTreeMap::new(), known: RefCell::default(), users: BTreeMap::new() };
        this.declare(&levels);
        let packages = this.packages();
        for path in this.derivations.keys() {
            this.what(path, &packages);
        }
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

    fn packages(&self) -> BTreeMap<(&str, BTreeSet<&str>), Vec<&str>> {
        let mut packages: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for path in self.declared.keys().filter(|path| !self.is_fixed(path)) {
            packages.entry((self.name(path), self.source_paths(path))).or_default().push(path);
        }
        packages
    }

    fn what<'a>(
        &'a self,
        path: &'a str,
        packages: &BTreeMap<(&'a str, BTreeSet<&'a str>), Vec<&'a str>>,
    ) -> (What, bool) {
        if let Some(known) = self.known.borrow().get(path) {
            return *known;
        }
        let of = |input: &str| self.what(self.derivations.get_key_value(input).unwrap().0, packages);
        let is_tainted = self.inputs(path).any(|input| of(input).1);
        let what = match self.declared.get(path) {
            Some(level) => (What::Declared(*level), matches!(level, 1 | 2)),
            None if self.is_fixed(path) => (What::Source, false),
            None => match self.original(path, packages, &of) {
                Some(level) => (What::Original(level), matches!(level, 1 | 2)),
                None if self.is_generated(path, &of) => (What::Generated, false),
                None => (What::Silent, is_tainted),
            },
        };
        self.known.borrow_mut().insert(path.to_owned(), what);
        what
    }

    fn original<'a>(
        &'a self,
        path: &'a str,
        packages: &BTreeMap<(&'a str, BTreeSet<&'a str>), Vec<&'a str>>,
        of: &dyn Fn(&str) -> (What, bool),
    ) -> Option<Level> {
        let key = (self.name(path), self.source_paths(path));
        let kin = packages.get(&key).filter(|_| !key.1.is_empty())?;
        let shared = |input: &&str| kin.iter().all(|package| self.inputs(package).any(|theirs| theirs == *input));
        let common: BTreeSet<&str> = self.inputs(kin[0]).filter(shared).collect();
        let of_environments: BTreeSet<&str> = self
            .inputs(path)
            .filter(|input| self.is_environment(input, of))
            .flat_map(|input| self.inputs(input))
            .collect();
        let harmless = |input: &str| {
            let unclear = || of(input).1 || matches!(of(input).0, What::Declared(_) | What::Generated);
            let alike = |theirs: &&str| {
                self.name(theirs) == self.name(input) && self.source_paths(theirs) == self.source_paths(input)
            };
            let another_build = || !unclear() && common.iter().any(alike);
            let is_kin =
                || matches!(of(input).0, What::Original(_)) && (self.name(input), self.source_paths(input)) == key;
            self.is_fixed(input)
                || kin.contains(&input)
                || is_kin()
                || self.is_harmless(input, of)
                || another_build()
                || of_environments.contains(input)
        };
        let all = self.inputs(path).filter(|input| !common.contains(input)).all(harmless);
        all.then(|| kin.iter().map(|package| self.declared[*package]).max())?
    }

    fn is_generated(&self, path: &str, of: &dyn Fn(&str) -> (What, bool)) -> bool {
        (self.says(path, "preferLocalBuild", true) || self.says(path, "allowSubstitutes", false))
            && self.source_paths(path).is_empty()
            && self.inputs(path).all(|input| self.is_harmless(input, of))
    }

    fn is_harmless(&self, path: &str, of: &dyn Fn(&str) -> (What, bool)) -> bool {
        let free = matches!(of(path).0, What::Declared(0) | What::Original(0) | What::Generated);
        free || self.is_environment(path, of)
    }

    fn is_environment(&self, path: &str, of: &dyn Fn(&str) -> (What, bool)) -> bool {
        self.name(path).starts_with("stdenv")
            && !self.declared.contains_key(path)
            && self.source_paths(path).is_empty()
            && !self.inputs(path).any(|input| of(input).1)
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
        let known = self.known.borrow();
        if known[path].0 == What::Source {
            let users: BTreeSet<&String> =
                self.made(path).filter_map(|output| self.users.get(output)).flatten().collect();
            let open = |user: &&String| {
                matches!(known[*user].0, What::Generated | What::Declared(0 | 1) | What::Original(0 | 1))
            };
            return match (users.is_empty(), users.iter().all(open)) {
                (true, _) => (Verdict::Withhold, "license-unknown"),
                (_, true) => (Verdict::Publish, "source-of-published"),
                (_, false) => (Verdict::Withhold, "source-of-withheld"),
            };
        }
        match known[path].0 {
            What::Declared(level) => (by_level(level), codes[usize::from(level)]),
            What::Original(level) => (by_level(level), "license-of-original"),
            What::Generated => (Verdict::Publish, "made-from-free-inputs"),
            What::Source | What::Silent => (Verdict::Withhold, "license-unknown"),
        }
    }
}

fn names_of(license: &Value) -> impl Iterator<Item = &str> {
    ["spdxId", "shortName", "fullName"].iter().filter_map(|field| license[field].as_str())
}

/// Names that are gone from nixpkgs: two are of licenses for research alone, all others of GNU licenses with an exception.
fn older(name: &str) -> Option<Level> {
    let rows: Value = serde_json::from_str(include_str!("../../../license/data/older-licenses.json")).unwrap();
    rows.get(name).map(|_| if ["inria", "msrla"].contains(&name) { 2 } else { 0 })
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
            // One that is redistributable by name and does not say the opposite.
            Some(Value::Bool(false)) if license["redistributable"].is_null() => {
                if names_of(license).filter_map(by_name).max() == Some(1) { 1 } else { 2 }
            }
            Some(Value::Bool(_)) => row(license),
            _ => names_of(license).filter_map(by_name).max().or_else(|| names_of(license).find_map(older)).unwrap_or(3),
        },
        _ => 3,
    }
}
