//! What is left unknown of nixpkgs 26.11, by kind, as docs/decisions/0008 has it: whoever adds a rule sees what it takes.

use crate::nixpkgs::{inventory, lines, rules};
use narthex_farm::Plan;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Derivations by their path, as the lines describe them.
struct Set(BTreeMap<String, Map<String, Value>>);

impl Set {
    fn name(&self, path: &str) -> &str {
        self.0[path]["name"].as_str().unwrap()
    }

    fn inputs(&self, path: &str) -> impl Iterator<Item = &str> {
        self.0[path]["inputDrvs"].as_object().unwrap().keys().map(String::as_str)
    }

    fn is_fixed(&self, path: &str) -> bool {
        self.0[path].get("fixedOutput") == Some(&Value::Bool(true))
    }

    /// Its name and its fetched sources.
    fn key(&self, path: &str) -> (&str, BTreeSet<&str>) {
        let fixed = self.inputs(path).filter(|input| self.is_fixed(input));
        let made = fixed.flat_map(|input| self.0[input]["outputs"].as_object().unwrap().values());
        (self.name(path), made.map(|output| output.as_str().unwrap()).collect())
    }

    fn is_environment(&self, path: &str) -> bool {
        ["stdenv", "bootstrap-stage"].iter().any(|start| self.name(path).starts_with(start))
    }

    /// Everything that standard environments are made of.
    fn below_environments(&self) -> BTreeSet<&str> {
        let mut todo: Vec<&str> = self.0.keys().map(String::as_str).filter(|path| self.is_environment(path)).collect();
        let mut below = BTreeSet::new();
        while let Some(path) = todo.pop() {
            todo.extend(self.inputs(path).filter(|input| below.insert(*input)));
        }
        below
    }
}

#[test]
fn what_is_left_unknown_by_kind() {
    let lines = lines("nixpkgs-2611-cuda.jsonl.zst");
    let (inventory, rules) = (inventory(&lines), rules());
    let plan = Plan::new(&inventory, &rules, None);
    let mut set = Set(BTreeMap::new());
    for line in &lines {
        let Value::Object(fields) = serde_json::from_str(line).unwrap() else { panic!() };
        if let Some(path) = fields.get("drvPath").map(|path| path.as_str().unwrap().to_owned()) {
            set.0.entry(path).or_insert(fields);
        }
    }
    let below = set.below_environments();
    let is_declared = |path: &&String| set.0[*path]["declared"] == true && !set.is_fixed(path);
    let declared: BTreeSet<_> = set.0.keys().filter(is_declared).map(|path| set.key(path)).collect();
    let kind = |path: &str| {
        let (name, key) = (set.name(path), set.key(path));
        let is_crate = |input: &str| ["crate-", "cargo-"].iter().any(|start| set.name(input).starts_with(start));
        let is_script = |file: &Value| file.as_str().unwrap().ends_with(".sh");
        match () {
            () if ["-hook", "-hook.sh"].iter().any(|end| name.ends_with(end)) => "hooks",
            () if set.is_environment(path) => "standard environments",
            () if name.ends_with("-vendor") || set.inputs(path).any(is_crate) => "Rust crates",
            () if !key.1.is_empty() && declared.contains(&key) => "another build, but for an input",
            () if below.contains(path) => "bootstrap",
            () if !key.1.is_empty() => "a fetched source",
            () if !set.0[path]["inputSrcs"].as_array().unwrap().iter().all(is_script) => "a file of the package set",
            () => "no source",
        }
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in inventory.graph().nodes() {
        if plan.outcome_of(node).unwrap().code.as_str() == "license-unknown" {
            *counts.entry(kind(&inventory.graph().path(node))).or_default() += 1;
        }
    }
    let expected = [
        ("bootstrap", 1215),
        ("Rust crates", 313),
        ("a fetched source", 312),
        ("another build, but for an input", 113),
        ("no source", 95),
        ("a file of the package set", 66),
        ("hooks", 58),
        ("standard environments", 14),
    ];
    assert_eq!(counts, expected.into());
}
