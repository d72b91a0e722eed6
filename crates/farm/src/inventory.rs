//! What is known of a set of derivations, from lines of text or from an evaluation: the graph in flat
//! arrays, what is declared of its parts, and which of them are jobs.
//!
//! Pure: it is filled by its callers. What is shown of it does not depend on the order of filling.

use crate::package_set::PackageSet;
use crate::plan::ABSENT;
use narthex_closure::{Added, Derivation, FlatBuilder, FlatError, FlatGraph, Node, StorePath};
use narthex_license::{Class, Expr, LicenseFacts};
use narthex_nix::EvalError;
use narthex_policy::{Case, Rules};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// Something that is wrong with what was read, and does not keep the rest from being used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Diagnostic {
    /// An attribute is there more than once.
    SameAttribute(String),
    /// A derivation is declared under several licenses, all of which apply: its path, and what they come to.
    SeveralLicenses(String, String),
    /// Two descriptions of one derivation differ; inputs and outputs of both count.
    Different(String),
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameAttribute(attr) => write!(f, "the attribute `{attr}` is there more than once"),
            Self::SeveralLicenses(path, licenses) => {
                write!(f, "{path} is declared under several licenses, all of which apply: {licenses}")
            }
            Self::Different(path) => {
                write!(f, "{path} is described in two ways; the inputs and outputs of both count")
            }
        }
    }
}

/// What is said of a derivation beside its inputs and outputs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traits(u8);

impl Traits {
    /// Its content was fixed beforehand by its hash.
    pub(crate) const FIXED: Self = Self(1);
    /// It says that building is cheaper than fetching, as generated texts and environments do.
    pub(crate) const TRIVIAL: Self = Self(2);
    /// Which local files it is made from is known.
    pub(crate) const SOURCES_TOLD: Self = Self(4);
    /// One of its local files is a source of its own.
    const LOCAL_SOURCE: Self = Self(8);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// No license facts.
pub(crate) const NOTHING: u32 = u32::MAX;

/// A set of derivations and what is known of them.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Shared: an inventory is put right under several policies, and none of them changes the graph.
    pub(crate) graph: Arc<FlatGraph>,
    traits: Vec<Traits>,
    pub(crate) facts: Vec<LicenseFacts>,
    /// By derivation, its place among the facts, or `NOTHING`.
    declared: Vec<u32>,
    pub(crate) made_from: BTreeMap<Node, Node>,
    jobs: Vec<(String, Node)>,
    /// The attributes that a policy can name a derivation by, in their order: of its jobs, and of jobs that were not
    /// asked for.
    names: HashMap<Node, Vec<String>>,
    errors: Vec<EvalError>,
    diagnostics: Vec<Diagnostic>,
}

impl Inventory {
    /// The jobs: attributes and derivations, in the order of attributes.
    pub fn jobs(&self) -> &[(String, Node)] {
        &self.jobs
    }

    /// Attributes that did not evaluate, in their order.
    pub fn errors(&self) -> &[EvalError] {
        &self.errors
    }

    /// What is wrong, in an order of its own.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The graph.
    pub fn graph(&self) -> &FlatGraph {
        &self.graph
    }

    pub(crate) fn is_fixed(&self, node: Node) -> bool {
        self.traits[node.index()].has(Traits::FIXED)
    }

    /// The place of what it declares among the facts.
    pub(crate) fn declared(&self, node: Node) -> Option<u32> {
        Some(self.declared[node.index()]).filter(|facts| *facts != NOTHING)
    }

    /// Whether it is known that no file of its own went into it. Where local files are not told, only what
    /// calls itself trivial counts as made of nothing else than its inputs.
    pub(crate) fn has_no_local_source(&self, node: Node) -> bool {
        let traits = self.traits[node.index()];
        if traits.has(Traits::SOURCES_TOLD) { !traits.has(Traits::LOCAL_SOURCE) } else { traits.has(Traits::TRIVIAL) }
    }

    /// What a policy can name a derivation by.
    pub(crate) fn case(&self, node: Node) -> Case<'_> {
        Case { package: self.graph.name(node), attrs: self.names.get(&node).map_or(&[], Vec::as_slice), output: None }
    }

    /// Entries of the policy that are about nothing here. What is declared has to be right already.
    pub fn idle_entries(&self, rules: &Rules) -> Vec<String> {
        if !rules.has_entries() {
            return Vec::new();
        }
        let graph = &self.graph;
        let mut cases = Vec::new();
        for node in graph.nodes().filter(|node| graph.is_described(*node)) {
            let facts = self.declared(node).map(|facts| &self.facts[facts as usize]);
            let case = self.case(node);
            let outputs = graph.outputs(node).into_iter();
            cases.extend(outputs.map(|(output, _)| (Case { output: Some(output), ..case }, facts)));
        }
        rules.idle(&cases)
    }

    /// The facts as a policy puts them right. Those of a set that was put right are so already.
    #[must_use]
    pub fn put_right(mut self, rules: &Rules) -> Self {
        let mut corrected = Vec::new();
        for node in self.graph.nodes() {
            // A source that declares nothing goes by the packages made from it.
            if !self.graph.is_described(node) || (self.is_fixed(node) && self.declared(node).is_none()) {
                continue;
            }
            let declared = self.declared(node).map_or(&ABSENT, |declared| &self.facts[declared as usize]);
            if let Some(facts) = rules.correct(&self.case(node), declared) {
                corrected.push((node, facts));
            }
        }
        for (node, facts) in corrected {
            self.declared[node.index()] = self.facts.len() as u32;
            self.facts.push(facts);
        }
        self
    }

    /// What an evaluation found.
    pub fn of_set(set: &PackageSet) -> Self {
        let mut filling = Filling::default();
        for (path, derivation) in set.graph.iter() {
            filling.add_derivation(path, derivation);
        }
        for (path, _) in set.graph.iter() {
            if let (Some(facts), Ok(node)) = (set.facts(path), filling.builder.mention(&path.to_string())) {
                filling.say_facts(node, facts.clone());
                filling.made_from.extend(set.made_from(path).map(|origin| (node, origin.to_string())));
            }
        }
        for job in &set.jobs {
            if let Ok(node) = filling.builder.mention(&job.derivation.to_string()) {
                filling.jobs.push((job.attr.clone(), node));
            }
        }
        for (derivation, attrs) in set.names() {
            if let Ok(node) = filling.builder.mention(&derivation.to_string()) {
                filling.names.extend(attrs.iter().map(|attr| (attr.clone(), node)));
            }
        }
        filling.errors.clone_from(&set.errors);
        filling.finish()
    }
}

/// An inventory that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    pub(crate) builder: FlatBuilder,
    traits: Vec<Traits>,
    /// Facts that were said, each once: as text, and as they were understood.
    texts: Vec<String>,
    facts: Vec<LicenseFacts>,
    by_text: HashMap<String, u32>,
    by_raw: HashMap<Box<str>, u32>,
    raw: String,
    said: Vec<(Node, u32)>,
    sources: Vec<(Node, u32, bool)>,
    source_numbers: HashMap<String, u32>,
    /// What packages were made from, by path: nothing else has to speak of those.
    pub(crate) made_from: Vec<(Node, String)>,
    pub(crate) jobs: Vec<(String, Node)>,
    /// Attributes of derivations that are no jobs here.
    names: Vec<(String, Node)>,
    pub(crate) errors: Vec<EvalError>,
    diagnostics: Vec<Diagnostic>,
}

/// A script that so many derivations have among their files, and none as its source, is a tool of building.
const SHARED_SCRIPT: usize = 8;

impl Filling {
    pub(crate) fn describe(&mut self, path: &str) -> Result<Node, FlatError> {
        let (node, added) = self.builder.describe(path)?;
        if added == Added::Different {
            self.diagnostics.push(Diagnostic::Different(path.to_owned()));
        }
        Ok(node)
    }

    /// Adds a derivation as its `.drv` file describes it.
    pub(crate) fn add_derivation(&mut self, path: &StorePath, derivation: &Derivation) {
        // Paths of a graph are paths of the store.
        for input in derivation.inputs.keys() {
            let _ = self.builder.input(&input.to_string());
        }
        for (name, output) in &derivation.outputs {
            let _ = self.builder.output(name, Some(&output.to_string()));
        }
        let Ok(node) = self.describe(&path.to_string()) else { return };
        self.add_traits(node, Traits::SOURCES_TOLD);
        if derivation.fixed_output {
            self.add_traits(node, Traits::FIXED);
        }
        for source in &derivation.sources {
            self.add_source(node, &source.to_string(), derivation.main_sources.contains(source));
        }
    }

    pub(crate) fn add_traits(&mut self, node: Node, traits: Traits) {
        if self.traits.len() <= node.index() {
            self.traits.resize(node.index() + 1, Traits::default());
        }
        self.traits[node.index()].add(traits);
    }

    /// Notes a local file of a derivation; `main` says that it is named as what the package is made from.
    pub(crate) fn add_source(&mut self, node: Node, path: &str, main: bool) {
        let next = self.source_numbers.len() as u32;
        let number = *self.source_numbers.entry(path.to_owned()).or_insert(next);
        self.sources.push((node, number, main));
    }

    /// Notes a license in the shape of `meta.license`, as JSON, and where the code is from in the shape of
    /// `meta.sourceProvenance`, or nothing.
    pub(crate) fn say_license(&mut self, node: Node, license: &str, provenance: &str) {
        // JSON has no byte like this one.
        self.raw.clear();
        self.raw.extend([license, "\0", provenance]);
        let number = match self.by_raw.get(self.raw.as_str()) {
            Some(number) => *number,
            None => {
                let facts = LicenseFacts {
                    license: Expr::from_json(&serde_json::from_str(license).unwrap_or(Value::Null)),
                    provenance: short_names(&serde_json::from_str(provenance).unwrap_or(Value::Null)),
                    position: None,
                    correction: None,
                };
                let number = self.fact(facts);
                self.by_raw.insert(self.raw.as_str().into(), number);
                number
            }
        };
        self.said.push((node, number));
    }

    fn say_facts(&mut self, node: Node, facts: LicenseFacts) {
        let number = self.fact(facts);
        self.said.push((node, number));
    }

    fn fact(&mut self, facts: LicenseFacts) -> u32 {
        if facts.license == Expr::Absent {
            return NOTHING;
        }
        let text = format!("{facts:?}");
        if let Some(number) = self.by_text.get(&text) {
            return *number;
        }
        let number = self.facts.len() as u32;
        self.facts.push(facts);
        self.texts.push(text.clone());
        self.by_text.insert(text, number);
        number
    }

    pub(crate) fn finish(mut self) -> Inventory {
        let graph = self.builder.finish();
        self.traits.resize(graph.len(), Traits::default());
        for node in own_sources(&self.sources, &self.source_numbers) {
            self.traits[node.index()].add(Traits::LOCAL_SOURCE);
        }
        let mut diagnostics = self.diagnostics;
        self.jobs.sort_unstable_by(|(a, one), (b, other)| {
            a.cmp(b).then_with(|| graph.base_name(*one).cmp(graph.base_name(*other)))
        });
        let twice = self.jobs.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        diagnostics.extend(twice.map(|pair| Diagnostic::SameAttribute(pair[0].0.clone())));

        // By text and not by number, so that the order of reading does not show in what is merged.
        let texts = &self.texts;
        self.said.retain(|(_, number)| *number != NOTHING);
        self.said.sort_unstable_by(|(one, a), (other, b)| {
            one.cmp(other).then_with(|| texts[*a as usize].cmp(&texts[*b as usize]))
        });
        self.said.dedup();
        let mut declared = vec![NOTHING; graph.len()];
        for said in self.said.chunk_by(|(one, _), (other, _)| one == other) {
            let (node, first) = said[0];
            declared[node.index()] = first;
            if said.len() > 1 {
                let parts = said.iter().map(|(_, number)| self.facts[*number as usize].clone());
                if let Some(merged) = parts.reduce(LicenseFacts::merge) {
                    diagnostics.push(Diagnostic::SeveralLicenses(graph.path(node), merged.license.to_string()));
                    declared[node.index()] = self.facts.len() as u32;
                    self.facts.push(merged);
                }
            }
        }
        let mut names: HashMap<Node, Vec<String>> = HashMap::new();
        for (attr, node) in self.jobs.iter().chain(&self.names) {
            names.entry(*node).or_default().push(attr.clone());
        }
        for attrs in names.values_mut() {
            attrs.sort_unstable();
            attrs.dedup();
        }
        let made_from = self.made_from.iter().filter_map(|(node, of)| Some((*node, graph.find(of)?)));
        self.errors.sort_by(|a, b| (&a.attr, &a.message).cmp(&(&b.attr, &b.message)));
        diagnostics.sort();
        diagnostics.dedup();
        Inventory {
            traits: self.traits,
            facts: self.facts,
            declared,
            made_from: made_from.collect(),
            jobs: self.jobs,
            names,
            errors: self.errors,
            diagnostics,
            graph: Arc::new(graph),
        }
    }
}

/// The derivations among whose files is a source. The scripts that nixpkgs builds everything with are none: they
/// end in `.sh`, many derivations share them, and nobody names them as what it is made from.
fn own_sources(sources: &[(Node, u32, bool)], numbers: &HashMap<String, u32>) -> BTreeSet<Node> {
    let mut users: Vec<(usize, bool)> = vec![(0, false); numbers.len()];
    for (_, source, main) in sources {
        let (count, is_main) = &mut users[*source as usize];
        *count += 1;
        *is_main |= main;
    }
    let mut is_script = vec![false; numbers.len()];
    for (path, number) in numbers {
        let (count, is_main) = users[*number as usize];
        is_script[*number as usize] = path.ends_with(".sh") && count >= SHARED_SCRIPT && !is_main;
    }
    sources.iter().filter(|(_, source, _)| !is_script[*source as usize]).map(|(node, _, _)| *node).collect()
}

/// What `meta.sourceProvenance` says, in short names: a list of these, or of sets that have them.
fn short_names(value: &Value) -> Vec<String> {
    let name = |value: &Value| value.as_str().or_else(|| value.get("shortName")?.as_str()).map(str::to_owned);
    match value {
        Value::Array(items) => items.iter().filter_map(name).collect(),
        other => name(other).into_iter().collect(),
    }
}

/// What facts come to, each.
pub(crate) fn classes(facts: &[LicenseFacts]) -> Vec<Class> {
    facts.iter().map(LicenseFacts::class).collect()
}
