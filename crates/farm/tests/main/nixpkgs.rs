//! A plan for 5,089 jobs of nixpkgs and the 18,064 derivations that they are made of, against a computation that
//! shares nothing with it: no flat graph, no license expressions, no order, only values and recursion.

use narthex_farm::{Diagnostic, Inventory, Lines, Plan};
use narthex_license::Class;
use narthex_policy::{Code, Policy, Rules, Verdict, shipped};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) fn lines(name: &str) -> Vec<String> {
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

pub(crate) fn rules() -> Rules {
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

/// What evaluation did not come across, local files and scripts: what jobs of nixpkgs 26.11 with CUDA come to.
#[test]
fn what_an_evaluation_says_of_a_set_is_read_as_an_independent_computation_reads_it() {
    let lines = lines("nixpkgs-2611-cuda.jsonl.zst");
    let inventory = inventory(&lines);
    let rules = rules();
    let plan = Plan::new(&inventory, &rules, None);
    assert_eq!((inventory.jobs().len(), inventory.errors().len(), inventory.graph().len()), (138, 63, 7077));
    let expected = Independent::of(&lines);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in inventory.graph().nodes() {
        let path = inventory.graph().path(node);
        let outcome = plan.outcome_of(node).unwrap();
        assert_eq!((outcome.verdict, outcome.code.as_str()), expected.outcome(&path), "{path}");
        *counts.entry(outcome.code.as_str()).or_default() += 1;
    }
    // As docs/decisions/0008 says.
    let expected = [("license-of-original", 513), ("made-from-free-inputs", 76), ("license-unknown", 2186)];
    for (code, count) in expected {
        assert_eq!(counts[code], count, "{counts:?}");
    }
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
    /// With whether something that is not free went in (2), or something that nobody knows (1).
    known: RefCell<BTreeMap<String, (What, u8)>>,
    users: BTreeMap<String, BTreeSet<String>>,
    /// Scripts that at least eight derivations have, all of them for building.
    tools: BTreeSet<String>,
    /// Files of standard environments that were asked and are free or silent.
    environments: Vec<BTreeSet<String>>,
    by_name: BTreeMap<String, Vec<String>>,
    /// What has a derivation among its inputs.
    built_with: BTreeMap<String, Vec<String>>,
    /// What makes an output.
    makers: BTreeMap<String, Vec<String>>,
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
            let said = ["meta", "extraValue"].iter().find_map(|key| fields.get(*key)?.get("license"));
            if let Some(license) = said.filter(|license| !license.is_null()) {
                let level = levels.entry(path.clone()).or_default();
                *level = (*level).max(level_of(license, &known));
            }
            // Lines of the graph say more of a derivation than those of jobs.
            derivations.entry(path).or_default().extend(fields);
        }
        let mut this = Self {
            derivations,
            declared: BTreeMap::new(),
            known: RefCell::default(),
            users: BTreeMap::new(),
            tools: BTreeSet::new(),
            environments: Vec::new(),
            by_name: BTreeMap::new(),
            built_with: BTreeMap::new(),
            makers: BTreeMap::new(),
        };
        let (mut by_name, mut built_with) =
            (BTreeMap::<String, Vec<String>>::new(), BTreeMap::<String, Vec<String>>::new());
        for path in this.derivations.keys() {
            by_name.entry(this.name(path).to_owned()).or_default().push(path.clone());
            for input in this.inputs(path).map(str::to_owned) {
                built_with.entry(input).or_default().push(path.clone());
            }
        }
        let mut makers = BTreeMap::<String, Vec<String>>::new();
        for path in this.derivations.keys() {
            this.made(path).for_each(|output| makers.entry(output.to_owned()).or_default().push(path.clone()));
        }
        (this.by_name, this.built_with, this.makers) = (by_name, built_with, makers);
        this.declare(&levels);
        this.find_tools();
        let is_environment = |path: &&String| {
            this.name(path).starts_with("stdenv")
                && !this.says(path, "reached", false)
                && this.declared.get(*path).is_none_or(|level| *level == 0)
        };
        let own = |path: &String| this.own_files(path).into_iter().map(str::to_owned).collect();
        this.environments = this.derivations.keys().filter(is_environment).map(own).collect();
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

    fn files<'a>(&'a self, path: &str, field: &str) -> impl Iterator<Item = &'a str> {
        let list = self.derivations[path].get(field).and_then(Value::as_array);
        list.into_iter().flatten().map(|file| file.as_str().unwrap())
    }

    fn find_tools(&mut self) {
        let mut uses: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
        for path in self.derivations.keys() {
            for file in self.files(path, "inputSrcs").collect::<BTreeSet<_>>() {
                let (count, only_builds) = uses.entry(file).or_insert((0, true));
                *count += 1;
                let named = |field: &str| self.files(path, field).any(|named| named == file);
                *only_builds &= named("buildScripts") && !named("mainSrcs");
            }
        }
        let is_tool =
            |(file, (count, only_builds)): &(&str, (usize, bool))| file.ends_with(".sh") && *count >= 8 && *only_builds;
        self.tools = uses.into_iter().filter(is_tool).map(|(file, _)| file.to_owned()).collect();
    }

    fn own_files<'a>(&'a self, path: &str) -> BTreeSet<&'a str> {
        self.files(path, "inputSrcs").filter(|file| !self.tools.contains(*file)).collect()
    }

    fn is_told(&self, path: &str) -> bool {
        self.derivations[path].contains_key("inputSrcs")
    }

    fn has_only(&self, path: &str, endings: &[&str]) -> bool {
        self.files(path, "inputSrcs").all(|file| endings.iter().any(|ending| file.ends_with(ending)))
    }

    fn was_reached(&self, path: &str) -> bool {
        !self.says(path, "reached", false) || self.says(path, "generatedText", true)
    }

    /// Whether it or a twin with the same sources was asked, and none of the twins declares anything.
    fn was_asked(&self, path: &str) -> bool {
        let (fetched, own) = (self.source_paths(path), self.own_files(path));
        if self.was_reached(path) || fetched.is_empty() && own.is_empty() {
            return self.was_reached(path);
        }
        let is_twin = |other: &&String| {
            !self.is_fixed(other)
                && self.was_reached(other)
                && self.own_files(other) == own
                && self.source_paths(other) == fetched
        };
        let mut twins = self.by_name[self.name(path)].iter().filter(is_twin).peekable();
        twins.peek().is_some() && twins.all(|twin| !self.declared.contains_key(twin))
    }

    fn is_hook(&self, path: &str) -> bool {
        let name = self.name(path);
        name == "hook" || name.ends_with("-hook") || name.ends_with("-hook.sh")
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
    ) -> (What, u8) {
        if let Some(known) = self.known.borrow().get(path) {
            return *known;
        }
        let of = |input: &str| self.what(self.derivations.get_key_value(input).unwrap().0, packages);
        let of_level = |level: Level| [0, 2, 2, 1][usize::from(level)];
        let of_input = |input: &str| match of(input).1 {
            1 if self.is_environment(input, &of) => 0,
            taint => taint,
        };
        let what = match self.declared.get(path) {
            Some(level) => (What::Declared(*level), of_level(*level)),
            None if self.is_fixed(path) => {
                let fetchers = self.made(path).filter_map(|output| self.makers.get(output)).flatten();
                let users = fetchers.filter_map(|fetcher| self.built_with.get(fetcher)).flatten();
                let levels = users.filter_map(|user| self.declared.get(user));
                (What::Source, if levels.into_iter().any(|level| of_level(*level) == 2) { 2 } else { 0 })
            }
            None => match self.original(path, packages, &of) {
                Some(level) => (What::Original(level), of_level(level)),
                None => {
                    let only_scripts = self.has_only(path, &[".sh"]) && self.source_paths(path).is_empty();
                    let taint = self.inputs(path).map(of_input).max().unwrap_or(0).max(u8::from(!only_scripts));
                    (if self.is_generated(path, &of) { What::Generated } else { What::Silent }, taint)
                }
            },
        };
        self.known.borrow_mut().insert(path.to_owned(), what);
        what
    }

    fn original<'a>(
        &'a self,
        path: &'a str,
        packages: &BTreeMap<(&'a str, BTreeSet<&'a str>), Vec<&'a str>>,
        of: &dyn Fn(&str) -> (What, u8),
    ) -> Option<Level> {
        let key = (self.name(path), self.source_paths(path));
        let own = self.own_files(path);
        let kin = packages.get(&key).filter(|_| !key.1.is_empty() || !own.is_empty())?;
        if !kin.iter().all(|package| self.own_files(package).is_superset(&own)) {
            return None;
        }
        let shared = |input: &&str| kin.iter().all(|package| self.inputs(package).any(|theirs| theirs == *input));
        let common: BTreeSet<&str> = self.inputs(kin[0]).filter(shared).collect();
        let of_environments: BTreeSet<&str> = self
            .inputs(path)
            .filter(|input| self.is_environment(input, of))
            .flat_map(|input| self.inputs(input))
            .collect();
        let names: BTreeSet<&str> =
            kin.iter().flat_map(|package| self.inputs(package)).map(|input| self.name(input)).collect();
        let is_one_more = |input: &str| {
            let only_scripts = || self.is_told(input) && self.has_only(input, &[".sh"]);
            let built_alone = || !self.declared.contains_key(input) && self.source_paths(input).is_empty();
            let hook = || self.is_hook(input) && only_scripts() && built_alone();
            !self.was_reached(path) && !names.contains(self.name(input)) && !self.is_environment(input, of) && !hook()
        };
        let harmless = |input: &str| {
            let is_shown = || {
                let hook = self.is_hook(input) && self.has_only(input, &[".sh"]);
                self.was_asked(input)
                    || matches!(of(input).0, What::Original(_))
                    || !self.source_paths(input).is_empty()
                    || !self.own_files(input).is_empty()
                    || hook
            };
            let unclear =
                || of(input).1 == 2 || matches!(of(input).0, What::Declared(_) | What::Generated) || !is_shown();
            let alike = |theirs: &&str| {
                self.name(theirs) == self.name(input)
                    && self.source_paths(theirs) == self.source_paths(input)
                    && self.own_files(theirs).is_superset(&self.own_files(input))
            };
            let another_build = || !unclear() && common.iter().any(alike);
            let is_kin =
                || matches!(of(input).0, What::Original(_)) && (self.name(input), self.source_paths(input)) == key;
            self.is_fixed(input)
                || kin.contains(&input)
                || is_kin()
                || self.is_harmless(input, of) && !is_one_more(input)
                || another_build()
                || of_environments.contains(input)
        };
        let all = self.inputs(path).filter(|input| !common.contains(input)).all(harmless);
        all.then(|| kin.iter().map(|package| self.declared[*package]).max())?
    }

    fn is_generated(&self, path: &str, of: &dyn Fn(&str) -> (What, u8)) -> bool {
        let for_free = || {
            let users = self.built_with.get(path).into_iter().flatten();
            users.filter(|user| !self.is_fixed(user)).any(|user| self.declared.get(user) == Some(&0))
        };
        let alone = if self.is_told(path) {
            let is_script = || self.is_hook(path) && self.has_only(path, &[".sh", ".bash", ".py"]) && for_free();
            self.own_files(path).is_empty() || is_script()
        } else {
            self.says(path, "preferLocalBuild", true) || self.says(path, "allowSubstitutes", false)
        };
        alone
            && self.was_asked(path)
            && self.source_paths(path).is_empty()
            && self.inputs(path).all(|input| self.is_harmless(input, of))
    }

    fn is_harmless(&self, path: &str, of: &dyn Fn(&str) -> (What, u8)) -> bool {
        let free = matches!(of(path).0, What::Declared(0) | What::Original(0) | What::Generated);
        let hook = || {
            self.is_hook(path)
                && !self.declared.contains_key(path)
                && self.is_told(path)
                && self.has_only(path, &[".sh"])
                && self.source_paths(path).is_empty()
                && of(path).1 == 0
                && self.was_asked(path)
        };
        free || self.is_environment(path, of) || hook()
    }

    fn is_environment(&self, path: &str, of: &dyn Fn(&str) -> (What, u8)) -> bool {
        let vouched = || {
            let own = self.own_files(path);
            let has_all = |files: &BTreeSet<String>| own.iter().all(|file| files.contains(*file));
            self.was_reached(path) || !own.is_empty() && self.environments.iter().any(has_all)
        };
        ["stdenv", "bootstrap-stage"].iter().any(|start| self.name(path).starts_with(start))
            && vouched()
            && self.has_only(path, &[".sh"])
            && !self.declared.contains_key(path)
            && self.source_paths(path).is_empty()
            && !self.inputs(path).any(|input| of(input).1 == 2)
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
        Value::Object(fields) if fields.get("licenseType") == Some(&Value::from("exception")) => {
            level_of(&fields["license"], known)
        }
        Value::Object(fields) if fields.get("licenseType") == Some(&Value::from("compound")) => {
            let parts = fields["licenses"].as_array().unwrap().iter().map(|part| level_of(part, known));
            if fields["operator"] == "OR" { parts.min() } else { parts.max() }.unwrap_or(3)
        }
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
