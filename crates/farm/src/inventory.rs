//! What is known of a set of derivations, from lines of text or from an evaluation: the graph in flat
//! arrays, what is declared of its parts, and which of them are jobs.
//!
//! Pure: it is filled by its callers. What is shown of it does not depend on the order of filling.

mod diagnostic;

pub use diagnostic::Diagnostic;

use crate::distinct;
use crate::package_set::PackageSet;
use crate::plan::ABSENT;
use narthex_closure::{Added, Derivation, FlatBuilder, FlatError, FlatGraph, Node, StorePath};
use narthex_license::{Class, Expr, LicenseFacts};
use narthex_nix::EvalError;
use narthex_policy::{Case, Rules, is_supplier};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What is said of a derivation beside its inputs and outputs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traits(u16);

impl Traits {
    /// Its content was fixed beforehand by its hash.
    pub(crate) const FIXED: Self = Self(1);
    /// It says that building is cheaper than fetching, as generated texts and environments do.
    pub(crate) const TRIVIAL: Self = Self(2);
    /// Which local files it is made from is known.
    pub(crate) const SOURCES_TOLD: Self = Self(4);
    /// One of its local files is a source of its own.
    const LOCAL_SOURCE: Self = Self(8);
    /// One of its local files is no script.
    const LOCAL_FILE: Self = Self(16);
    /// What it is made from is known.
    pub(crate) const INPUTS_TOLD: Self = Self(32);
    /// An evaluation came across its value, so that it had the chance to declare something.
    pub(crate) const REACHED: Self = Self(64);
    /// Nothing did that could have asked it: only a text names it, or nothing but its file is known.
    pub(crate) const UNREACHED: Self = Self(128);
    /// It is a text that stands in the expression, as nixpkgs' `writeText` makes them.
    pub(crate) const GENERATED_TEXT: Self = Self(256);
    /// Only a build tells the paths of its outputs.
    const FLOATING: Self = Self(512);
    /// Its build may read more than it declares.
    const READS_UNDECLARED: Self = Self(1024);
    /// One of its local files is no script by its name, in whatever language.
    const OTHER_THAN_SCRIPT: Self = Self(2048);

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
    /// Its own local sources, by numbers, in their order.
    local: HashMap<Node, Vec<u32>>,
    jobs: Vec<(String, Node)>,
    /// The attributes that a policy can name a derivation by, in their order: of its jobs, and of jobs that were not
    /// asked for.
    names: Vec<String>,
    /// By derivation, where its attributes begin among these; one more for the end.
    name_starts: Vec<u32>,
    errors: Vec<EvalError>,
    diagnostics: Vec<Diagnostic>,
}

impl Inventory {
    /// The jobs: attributes and derivations, in the order of attributes.
    pub fn jobs(&self) -> &[(String, Node)] {
        &self.jobs
    }

    /// The licenses that are declared: what policies call them, and how they are shown.
    pub fn licenses(&self) -> BTreeMap<String, String> {
        let all = self.facts.iter().flat_map(|facts| facts.license.licenses());
        all.map(|license| (license.key().to_owned(), license.to_string())).collect()
    }

    /// Texts that are declared and name no license that is known.
    pub fn unknown_licenses(&self) -> BTreeSet<String> {
        self.facts.iter().flat_map(|facts| facts.license.unknown_names()).map(|name| name.to_string()).collect()
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

    /// Whether only a build tells its output paths, so that a run decides nothing about them.
    pub(crate) fn is_floating(&self, node: Node) -> bool {
        self.traits[node.index()].has(Traits::FLOATING)
    }

    pub(crate) fn is_fixed(&self, node: Node) -> bool {
        self.traits[node.index()].has(Traits::FIXED)
    }

    /// The place of what it declares among the facts.
    pub(crate) fn declared(&self, node: Node) -> Option<u32> {
        Some(self.declared[node.index()]).filter(|facts| *facts != NOTHING)
    }

    /// What it declares.
    pub(crate) fn facts_of(&self, node: Node) -> Option<&LicenseFacts> {
        self.facts.get(self.declared(node)? as usize)
    }

    /// Whether it is known that no file of its own went into it. Where local files are not told, only what
    /// calls itself trivial counts as made of nothing else than its inputs.
    pub(crate) fn has_no_local_source(&self, node: Node) -> bool {
        let traits = self.traits[node.index()];
        if traits.has(Traits::SOURCES_TOLD) { !traits.has(Traits::LOCAL_SOURCE) } else { traits.has(Traits::TRIVIAL) }
    }

    /// Whether no local file is known to have gone into it that a package has not.
    pub(crate) fn has_local_sources_of(&self, node: Node, package: Node) -> bool {
        let theirs = self.local.get(&package).map_or(&[] as &[u32], Vec::as_slice);
        self.local.get(&node).is_none_or(|own| own.iter().all(|source| theirs.contains(source)))
    }

    pub(crate) fn has_local_source(&self, node: Node) -> bool {
        self.traits[node.index()].has(Traits::LOCAL_SOURCE)
    }

    /// Its own local files, by numbers, each once and in their order.
    pub(crate) fn local_sources(&self, node: Node) -> Vec<u32> {
        let own: BTreeSet<u32> = self.local.get(&node).into_iter().flatten().copied().collect();
        own.into_iter().collect()
    }

    /// Whether each local file is a script, by the name.
    pub(crate) fn has_only_scripts(&self, node: Node) -> bool {
        self.are_local_sources_told(node) && !self.traits[node.index()].has(Traits::OTHER_THAN_SCRIPT)
    }

    pub(crate) fn are_local_sources_told(&self, node: Node) -> bool {
        self.traits[node.index()].has(Traits::SOURCES_TOLD)
    }

    pub(crate) fn has_local_file(&self, node: Node) -> bool {
        self.traits[node.index()].has(Traits::LOCAL_FILE)
    }

    /// Whether its build may read more than it declares.
    pub(crate) fn reads_undeclared(&self, node: Node) -> bool {
        self.traits[node.index()].has(Traits::READS_UNDECLARED)
    }

    /// Whether everything that its build may read is known.
    pub(crate) fn are_inputs_told(&self, node: Node) -> bool {
        self.traits[node.index()].has(Traits::INPUTS_TOLD) && !self.reads_undeclared(node)
    }

    /// Whether it declares nothing only because nothing could ask it.
    pub(crate) fn is_unreached(&self, node: Node) -> bool {
        let traits = self.traits[node.index()];
        traits.has(Traits::UNREACHED) && !traits.has(Traits::REACHED) && !traits.has(Traits::GENERATED_TEXT)
    }

    /// Whether it is built with a package, which is no source, that supplies parts of a vendor.
    fn has_supplier(&self, node: Node) -> bool {
        let Some(own) = self.facts_of(node).filter(|facts| matches!(facts.license, Expr::List(_))) else {
            return false;
        };
        let built = self.graph.inputs(node).filter(|input| !self.is_fixed(*input));
        built.filter_map(|input| self.facts_of(input)).any(|theirs| is_supplier(own, theirs))
    }

    /// What a policy can name a derivation by.
    pub(crate) fn case(&self, node: Node) -> Case<'_> {
        let names = self.name_starts[node.index()] as usize..self.name_starts[node.index() + 1] as usize;
        Case {
            package: self.graph.name(node),
            attrs: &self.names[names],
            output: None,
            has_supplier: self.has_supplier(node),
        }
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
        if !rules.policy().corrects() {
            return self;
        }
        let mut corrected = Vec::new();
        for node in self.graph.nodes() {
            if !self.graph.is_described(node) {
                continue;
            }
            let declared = self.declared(node).map_or(&ABSENT, |declared| &self.facts[declared as usize]);
            let Some(facts) = rules.correct(&self.case(node), declared) else { continue };
            // A source that declares nothing goes by the packages made from it, some of which a correction may not be
            // about. It can be put right to something stricter only.
            let is_plain_source = self.is_fixed(node) && self.declared(node).is_none();
            if !is_plain_source || rules.class(Some(&facts)) == Class::Restricted {
                corrected.push((node, facts));
            }
        }
        // What the policy answers need not be asked any more.
        self.diagnostics.retain(|known| !matches!(known, Diagnostic::UnknownLicense(name, _) if rules.means(name)));
        for (node, facts) in corrected {
            self.declared[node.index()] = self.facts.len() as u32;
            self.facts.push(facts);
        }
        self
    }

    /// What an evaluation found.
    pub fn of_set(set: &PackageSet) -> Self {
        let mut filling = Filling { walked: true, ..Filling::default() };
        for (path, derivation) in set.graph.iter() {
            filling.add_derivation(path, derivation);
            let no_scripts = derivation.sources.iter().filter(|file| set.is_no_script(file));
            filling.no_scripts.extend(no_scripts.map(ToString::to_string));
        }
        for (path, _) in set.graph.iter() {
            if let (Some(facts), Ok(node)) = (set.facts(path), filling.builder.mention(&path.to_string())) {
                filling.say_facts(node, facts.clone());
                filling.made_from.extend(set.made_from(path).map(|origin| (node, origin.to_string())));
                filling.add_traits(node, Traits::REACHED);
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
    /// Local files of derivations, and what they are to them.
    sources: Vec<(Node, u32, Part)>,
    source_numbers: HashMap<String, u32>,
    /// Local files that are no scripts, whatever their names say. Lines tell names alone.
    no_scripts: HashSet<String>,
    /// What packages were made from, by path: nothing else has to speak of those.
    pub(crate) made_from: Vec<(Node, String)>,
    pub(crate) jobs: Vec<(String, Node)>,
    /// Attributes of derivations that are no jobs here.
    names: Vec<(String, Node)>,
    pub(crate) errors: Vec<EvalError>,
    diagnostics: Vec<Diagnostic>,
    /// Whether an evaluation said which values it came across.
    pub(crate) walked: bool,
}

/// What a local file is to a derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It is named as what the package is made from.
    Main,
    /// It is an argument of the builder.
    BuildScript,
    /// Anything else.
    Other,
}

/// How the names of scripts end that setup hooks are made from.
const SCRIPTS: [&str; 3] = [".sh", ".bash", ".py"];

/// Whether something goes by a file's name as that of a script.
pub(crate) fn is_script_name(name: &str) -> bool {
    SCRIPTS.iter().any(|ending| name.ends_with(ending))
}

/// A script that so many derivations are built with, and that is nothing else to any of them, is a tool of building.
const SHARED_SCRIPT: usize = 8;

impl Filling {
    /// Describes a derivation with what was noted; `told` says whether its inputs are among that.
    pub(crate) fn describe(&mut self, path: &str, told: bool) -> Result<Node, FlatError> {
        let (node, added) = self.builder.describe(path)?;
        let was_told = self.traits.get(node.index()).is_some_and(|traits| traits.has(Traits::INPUTS_TOLD));
        if told {
            self.add_traits(node, Traits::INPUTS_TOLD);
        }
        // What says less is no other description.
        if added == Added::Different && told && was_told {
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
        let Ok(node) = self.describe(&path.to_string(), true) else { return };
        self.add_traits(node, Traits::SOURCES_TOLD);
        if derivation.fixed_output {
            self.add_traits(node, Traits::FIXED);
        }
        if derivation.outputs.is_empty() {
            self.add_traits(node, Traits::FLOATING);
        }
        if derivation.needs.reads_undeclared() {
            self.add_traits(node, Traits::READS_UNDECLARED);
        }
        if derivation.generated_text {
            self.add_traits(node, Traits::GENERATED_TEXT);
        }
        for source in &derivation.sources {
            let main = derivation.main_sources.contains(source);
            self.add_source(node, &source.to_string(), main, derivation.build_scripts.contains(source));
        }
    }

    /// Derivations of which lines do not say what they are made from: their paths, without the folder of the store.
    pub(crate) fn untold(&self) -> impl Iterator<Item = &str> {
        let is_untold = |node: &Node| {
            let traits = self.traits.get(node.index()).copied().unwrap_or_default();
            self.builder.is_node_described(*node) && !traits.has(Traits::INPUTS_TOLD)
        };
        self.builder.nodes().filter(is_untold).map(|node| self.builder.base_name(node))
    }

    pub(crate) fn add_traits(&mut self, node: Node, traits: Traits) {
        if self.traits.len() <= node.index() {
            self.traits.resize(node.index() + 1, Traits::default());
        }
        self.traits[node.index()].add(traits);
    }

    /// Notes a local file of a derivation: whether it is named as what the package is made from, and whether the builder
    /// takes it as an argument.
    pub(crate) fn add_source(&mut self, node: Node, path: &str, main: bool, build_script: bool) {
        let next = self.source_numbers.len() as u32;
        let number = *self.source_numbers.entry(path.to_owned()).or_insert(next);
        let part = match (main, build_script) {
            (true, _) => Part::Main,
            (false, true) => Part::BuildScript,
            (false, false) => Part::Other,
        };
        self.sources.push((node, number, part));
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
                // JSON may be right in its form and have a value all the same that nothing can hold.
                let read = |text: &str| match text {
                    "" => Value::Null,
                    text => distinct::value(text).unwrap_or_else(|error| json!({"malformed": error.to_string()})),
                };
                let facts = LicenseFacts::said(&read(license), &read(provenance));
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
        if facts.is_silent() {
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
        let no_scripts = &self.no_scripts;
        let is_script = |path: &str, endings: &[&str]| {
            endings.iter().any(|ending| path.ends_with(ending)) && !no_scripts.contains(path)
        };
        let local = own_sources(&self.sources, &self.source_numbers, |path| is_script(path, &[".sh"]));
        for node in local.keys() {
            self.traits[node.index()].add(Traits::LOCAL_SOURCE);
        }
        let scripts = self.source_numbers.iter().filter(|(path, _)| is_script(path, &[".sh"]));
        let scripts: HashSet<u32> = scripts.map(|(_, number)| *number).collect();
        for (node, ..) in self.sources.iter().filter(|(_, source, _)| !scripts.contains(source)) {
            self.traits[node.index()].add(Traits::LOCAL_FILE);
        }
        let known = self.source_numbers.iter().filter(|(path, _)| is_script(path, &SCRIPTS));
        let known: HashSet<u32> = known.map(|(_, number)| *number).collect();
        for (node, ..) in self.sources.iter().filter(|(_, source, _)| !known.contains(source)) {
            self.traits[node.index()].add(Traits::OTHER_THAN_SCRIPT);
        }
        for traits in self.traits.iter_mut().filter(|traits| self.walked && !traits.has(Traits::REACHED)) {
            traits.add(Traits::UNREACHED);
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
        let (names, name_starts) = by_node(self.jobs.iter().chain(&self.names), graph.len());
        self.made_from.sort_unstable();
        self.made_from.dedup();
        // Where two things are said, nobody knows.
        let said = self.made_from.chunk_by(|(one, _), (other, _)| one == other).filter(|said| said.len() == 1);
        let made_from = said.flatten().filter_map(|(node, of)| Some((*node, graph.find(of)?)));
        self.errors.sort_by(|a, b| (&a.attr, &a.message).cmp(&(&b.attr, &b.message)));
        let malformed: Vec<Option<&str>> = self.facts.iter().map(|facts| facts.license.malformed()).collect();
        for node in graph.nodes() {
            if let Some(what) = malformed.get(declared[node.index()] as usize).copied().flatten() {
                let (first, end) = (name_starts[node.index()] as usize, name_starts[node.index() + 1] as usize);
                let attr = names[first..end].first().map(|attr| format!("`{attr}`"));
                diagnostics.push(Diagnostic::Malformed(attr.unwrap_or_else(|| graph.path(node)), what.to_owned()));
            }
            if graph.is_described(node) && !self.traits[node.index()].has(Traits::INPUTS_TOLD) {
                diagnostics.push(Diagnostic::InputsUntold(graph.path(node)));
            }
        }
        diagnostics.sort();
        diagnostics.dedup();
        let declaring = declared.iter().filter_map(|facts| self.facts.get(*facts as usize));
        diagnostics.extend(Diagnostic::unknown_licenses(declaring));
        Inventory {
            traits: self.traits,
            facts: self.facts,
            declared,
            made_from: made_from.collect(),
            local,
            jobs: self.jobs,
            names,
            name_starts,
            errors: self.errors,
            diagnostics,
            graph: Arc::new(graph),
        }
    }
}

/// Attributes by derivation, each once and in their order, and where those of each derivation begin.
fn by_node<'n>(named: impl Iterator<Item = &'n (String, Node)>, nodes: usize) -> (Vec<String>, Vec<u32>) {
    let mut named: Vec<(Node, &str)> = named.map(|(attr, node)| (*node, attr.as_str())).collect();
    named.sort_unstable();
    named.dedup();
    let mut starts = vec![0u32; nodes + 1];
    named.iter().for_each(|(node, _)| starts[node.index() + 1] += 1);
    for node in 0..nodes {
        starts[node + 1] += starts[node];
    }
    (named.into_iter().map(|(_, attr)| attr.to_owned()).collect(), starts)
}

/// The local files of derivations that are sources of their own. The scripts that nixpkgs builds everything with are
/// none: they end in `.sh`, and many derivations give them to their builder.
fn own_sources(
    sources: &[(Node, u32, Part)],
    numbers: &HashMap<String, u32>,
    is_script: impl Fn(&str) -> bool,
) -> HashMap<Node, Vec<u32>> {
    let mut users: Vec<(usize, bool)> = vec![(0, true); numbers.len()];
    for (_, source, part) in sources {
        let (count, is_build_script) = &mut users[*source as usize];
        *count += 1;
        *is_build_script &= *part == Part::BuildScript;
    }
    let mut is_tool = vec![false; numbers.len()];
    for (path, number) in numbers {
        let (count, is_build_script) = users[*number as usize];
        is_tool[*number as usize] = is_script(path) && count >= SHARED_SCRIPT && is_build_script;
    }
    let mut own: HashMap<Node, Vec<u32>> = HashMap::new();
    for (node, source, _) in sources.iter().filter(|(_, source, _)| !is_tool[*source as usize]) {
        own.entry(*node).or_default().push(*source);
    }
    own
}

/// What facts come to, each.
pub(crate) fn classes(facts: &[LicenseFacts]) -> Vec<Class> {
    facts.iter().map(LicenseFacts::class).collect()
}
