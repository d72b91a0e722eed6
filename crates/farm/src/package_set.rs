//! An evaluated package set: jobs, the graph below them, and what is declared of each part.

use crate::inventory::{Inventory, is_script_name};
use crate::plan::ABSENT;
use crate::settle::{Standing, settle};
use narthex_closure::{Derivation, Graph, Producer, StorePath, parse_store_path};
use narthex_event::{Event, Sink};
use narthex_license::text::{self, LINE, MESSAGE};
use narthex_license::{Class, LicenseFacts};
use narthex_nix::{
    DerivationFacts, EvalError, EvalOptions, Evaluation, Expression, GraphError, Job, Nix, NixError, is_script,
    read_graph,
};
use narthex_policy::{Case, Provenance, Rules, is_supplier};
use std::collections::{BTreeMap, BTreeSet};

/// Why a package set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PackageSetError {
    /// It does not evaluate.
    #[error("{0}")]
    Nix(#[from] NixError),
    /// Its derivations cannot be read.
    #[error("{0}")]
    Graph(#[from] GraphError),
}

/// An evaluated package set.
#[derive(Clone, Debug, Default)]
pub struct PackageSet {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Attributes that failed.
    pub errors: Vec<EvalError>,
    /// Attributes that are sets and were not searched for jobs.
    pub not_searched: Vec<String>,
    /// Whether nothing but the jobs was evaluated, and what they reach: what the rest of the expression would say is not known.
    pub is_part: bool,
    /// Everything that the expression describes, or as much of it as was evaluated.
    pub graph: Graph,
    facts: BTreeMap<StorePath, DerivationFacts>,
    /// Derivation → attribute of the first job that it is.
    attrs: BTreeMap<StorePath, String>,
    /// Derivation → all attributes in the whole expression that a policy can name it by.
    names: BTreeMap<StorePath, Vec<String>>,
    /// The jobs and all that they are made of. The graph may hold more.
    scope: BTreeSet<StorePath>,
    /// Local files that are named like scripts and are none.
    no_scripts: BTreeSet<StorePath>,
    /// What each derivation goes by.
    settled: BTreeMap<StorePath, Settled>,
}

/// What a derivation goes by.
#[derive(Clone, Debug)]
enum Settled {
    Declared(LicenseFacts),
    Source,
    MadeFromFree,
    Original {
        name: String,
        facts: LicenseFacts,
    },
    /// It declares nothing, and no rule is about it.
    Silent,
    /// Another derivation makes the same path, and something else holds of it.
    Disputed,
}

/// How a store path comes into a package set.
#[derive(Clone, Debug)]
pub(crate) enum Role<'a> {
    /// An output with its derivation's own facts, or none.
    Output(Option<&'a LicenseFacts>),
    /// An output of what declares nothing and is settled by a rule.
    Settled(Provenance<'a>),
    /// A source: the derivations that are made from it.
    Source(BTreeSet<&'a StorePath>),
}

impl Role<'_> {
    /// Whether it goes by the packages made from it.
    pub(crate) fn is_source(&self) -> bool {
        matches!(self, Self::Source(_) | Self::Settled(Provenance::Source(_)))
    }
}

impl PackageSet {
    /// Evaluates an expression and reads the graph of what it describes.
    ///
    /// With `attrs`, only those are jobs; the rest of the expression is evaluated all the same, since it
    /// tells what else is made from a source and which material is restricted. A gate that looked at
    /// one package alone would take a vendor's file for that package's own. With `only`, the rest is left out, and the set
    /// says that it is a part.
    ///
    /// # Errors
    /// When the expression does not evaluate; single attributes that fail are listed instead.
    pub async fn evaluate(
        nix: &Nix,
        expression: &Expression,
        attrs: &[String],
        only: bool,
        options: &EvalOptions,
        sink: Sink<'_>,
    ) -> Result<Self, PackageSetError> {
        let is_part = only && !attrs.is_empty();
        sink(Event::Evaluating { expression: expression.to_string() });
        let mut evaluation = nix.evaluate(expression, attrs, options, sink).await?;
        let mut others = Vec::new();
        let mut names: BTreeMap<StorePath, Vec<String>> = BTreeMap::new();
        if !(attrs.is_empty() || is_part) {
            let whole = nix.evaluate(expression, &[], options, sink).await?;
            for job in whole.jobs {
                names.entry(job.derivation.clone()).or_default().push(job.attr);
                others.push(job.derivation);
            }
            for (path, said) in whole.facts {
                evaluation.add_facts(path, said);
            }
            let failed: Vec<String> = whole.errors.into_iter().map(|error| format!("`{}`", error.attr)).collect();
            if !failed.is_empty() {
                let message =
                    format!("not evaluated, so nothing is known of what they are made of: {}", failed.join(", "));
                sink(Event::Warning { message });
            }
        }
        let Evaluation { mut jobs, facts, mut errors, not_searched } = evaluation;
        jobs.iter_mut().for_each(|job| text::cut(&mut job.attr, LINE));
        let (graph, jobs, broken) = graph_of(jobs, others)?;
        errors.extend(broken);
        for error in &mut errors {
            text::cut(&mut error.attr, LINE);
            text::cut(&mut error.message, MESSAGE);
        }
        let selected: Vec<StorePath> = jobs.iter().map(|job| job.derivation.clone()).collect();
        let scope = graph.closure(selected);
        sink(Event::Evaluated { jobs: jobs.len(), derivations: scope.len(), errors: errors.len() });
        for job in &jobs {
            let known = names.entry(job.derivation.clone()).or_default();
            if !known.contains(&job.attr) {
                known.push(job.attr.clone());
            }
        }
        // What names one of the derivations that make a path names the path.
        for path in graph.shared() {
            let makers: Vec<&StorePath> = graph.producers(path).map(|producer| &producer.derivation).collect();
            let mut all: Vec<String> = makers.iter().filter_map(|maker| names.get(*maker)).flatten().cloned().collect();
            all.sort();
            all.dedup();
            names.extend(makers.into_iter().filter(|_| !all.is_empty()).map(|maker| (maker.clone(), all.clone())));
        }
        let attrs = jobs.iter().rev().map(|job| (job.derivation.clone(), job.attr.clone())).collect();
        let no_scripts = no_scripts(&graph);
        let mut set = Self {
            jobs,
            errors,
            not_searched,
            is_part,
            graph,
            facts,
            attrs,
            names,
            scope,
            no_scripts,
            ..Self::default()
        };
        set.settled = settled(&Inventory::of_set(&set));
        Ok(set)
    }

    /// Whether a local file is named like a script and is none.
    pub(crate) fn is_no_script(&self, file: &StorePath) -> bool {
        self.no_scripts.contains(file)
    }

    /// Whether the jobs are made of this derivation.
    pub(crate) fn in_scope(&self, derivation: &StorePath) -> bool {
        self.scope.contains(derivation)
    }

    /// What is declared of a derivation; `None` where the evaluation never came across it.
    pub fn facts(&self, derivation: &StorePath) -> Option<&LicenseFacts> {
        self.facts.get(derivation).map(|known| &known.facts)
    }

    /// The package that a derivation is said to be made from.
    pub(crate) fn made_from(&self, derivation: &StorePath) -> Option<&StorePath> {
        self.facts.get(derivation)?.made_from.as_ref()
    }

    /// The facts as a policy puts them right. Everything that is decided and learned goes by these.
    #[must_use]
    pub fn put_right(mut self, rules: &Rules) -> Self {
        let inventory = Inventory::of_set(&self).put_right(rules);
        for (path, derivation) in self.graph.iter() {
            let node = inventory.graph().find(&path.to_string());
            let facts = node.and_then(|node| inventory.facts_of(node)).filter(|facts| facts.correction.is_some());
            if let Some(facts) = facts {
                let (name, made_from) = (derivation.name.clone(), None);
                let said = DerivationFacts { name, facts: facts.clone(), made_from };
                self.facts.entry(path.clone()).or_insert(said).facts = facts.clone();
            }
        }
        self.settled = settled(&inventory);
        self
    }

    /// Which derivation makes a path: of several, one that is a job.
    pub(crate) fn producer(&self, path: &StorePath) -> Option<&Producer> {
        let is_job = |producer: &&Producer| self.attrs.contains_key(&producer.derivation);
        self.graph.producers(path).find(is_job).or_else(|| self.graph.producer(path))
    }

    /// What a policy can name an output by, or any other path.
    pub(crate) fn case<'a>(&'a self, path: &'a StorePath) -> Case<'a> {
        match self.producer(path) {
            Some(producer) => self.case_of(&producer.derivation, Some(&producer.output)),
            None => Case { package: path.name(), ..Case::default() },
        }
    }

    pub(crate) fn case_of<'a>(&'a self, derivation: &'a StorePath, output: Option<&'a str>) -> Case<'a> {
        let attrs = self.names.get(derivation).map_or(&[] as &[String], Vec::as_slice);
        Case { package: self.name(derivation), attrs, output, has_supplier: self.has_supplier(derivation) }
    }

    /// Whether it is built with a package, which is no source, that supplies parts of a vendor.
    fn has_supplier(&self, derivation: &StorePath) -> bool {
        let Some((own, derivation)) = self.facts(derivation).zip(self.graph.get(derivation)) else { return false };
        let is_built = |input: &&StorePath| self.graph.get(input).is_some_and(|input| !input.fixed_output);
        let suppliers = derivation.inputs.keys().filter(is_built).filter_map(|input| self.facts(input));
        suppliers.into_iter().any(|theirs| is_supplier(own, theirs))
    }

    /// The attributes by which a policy can name derivations.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&StorePath, &[String])> {
        self.names.iter().map(|(derivation, attrs)| (derivation, attrs.as_slice()))
    }

    /// Entries of the policy that are about nothing in this set.
    pub fn idle_entries(&self, rules: &Rules) -> Vec<String> {
        let outputs = |(path, derivation): (&'_ StorePath, &'_ Derivation)| {
            let facts = self.facts(path);
            derivation.outputs.keys().map(|output| (path.clone(), output.clone(), facts)).collect::<Vec<_>>()
        };
        let all: Vec<_> = self.graph.iter().flat_map(outputs).collect();
        let cases: Vec<_> =
            all.iter().map(|(path, output, facts)| (self.case_of(path, Some(output)), *facts)).collect();
        rules.idle(&cases)
    }

    /// What its own facts come to, or the rule that it is settled by.
    pub(crate) fn class(&self, derivation: &StorePath, rules: &Rules) -> Class {
        match self.settled.get(derivation) {
            Some(Settled::MadeFromFree) => Class::MadeFromFree,
            Some(Settled::Declared(facts) | Settled::Original { facts, .. }) => rules.class(Some(facts)),
            Some(Settled::Source | Settled::Silent | Settled::Disputed) | None => Class::Unknown,
        }
    }

    /// What a decision about its outputs goes by, where it is no source.
    pub(crate) fn own_provenance(&self, derivation: &StorePath) -> Provenance<'_> {
        match self.settled.get(derivation) {
            Some(Settled::MadeFromFree) => Provenance::MadeFromFree,
            Some(Settled::Original { name, facts }) => Provenance::Original { name, facts },
            Some(Settled::Declared(facts)) => Provenance::Output(Some(facts)),
            Some(Settled::Source | Settled::Silent) => Provenance::Output(Some(&ABSENT)),
            Some(Settled::Disputed) => Provenance::Disputed,
            None => Provenance::Output(None),
        }
    }

    /// Whether a derivation is a source that takes the facts of the packages made from it. One that
    /// says something of itself is taken at its word.
    pub(crate) fn is_plain_source(&self, path: &StorePath) -> bool {
        matches!(self.settled.get(path), Some(Settled::Source))
    }

    /// The name of a derivation, for people.
    pub fn name<'a>(&'a self, derivation: &'a StorePath) -> &'a str {
        self.graph.get(derivation).map_or(derivation.name(), |d| &d.name)
    }

    /// The attribute of the job that is this derivation.
    pub fn attr(&self, derivation: &StorePath) -> Option<&str> {
        self.attrs.get(derivation).map(String::as_str)
    }

    /// The role of every path that the jobs can give: outputs, and source files. Who uses a source is asked
    /// of the whole expression.
    pub(crate) fn roles(&self) -> BTreeMap<StorePath, Role<'_>> {
        let users = self.graph.users();
        let mut roles = BTreeMap::new();
        for (path, derivation) in self.graph.iter().filter(|(path, _)| self.in_scope(path)) {
            for output in derivation.outputs.values() {
                let role = match users.get(path) {
                    Some(users) if self.is_plain_source(path) => Role::Source(users.clone()),
                    _ => match self.own_provenance(path) {
                        Provenance::Output(facts) => Role::Output(facts),
                        settled => Role::Settled(settled),
                    },
                };
                add_role(&mut roles, output, role);
            }
            for source in &derivation.sources {
                let users = users.get(source).cloned().unwrap_or_default();
                add_role(&mut roles, source, Role::Source(users));
            }
        }
        roles
    }
}

/// The local files of a graph that are named like scripts and are none. Evaluation put all of them into the store.
fn no_scripts(graph: &Graph) -> BTreeSet<StorePath> {
    let named: BTreeSet<&StorePath> = graph
        .iter()
        .flat_map(|(_, derivation)| &derivation.sources)
        .filter(|file| is_script_name(file.name()))
        .collect();
    named.into_iter().filter(|file| !is_script(file)).cloned().collect()
}

/// What an inventory says of derivations that declare nothing.
fn settled(inventory: &Inventory) -> BTreeMap<StorePath, Settled> {
    let settlement = settle(inventory);
    let graph = inventory.graph();
    let facts = |place: u32| settlement.facts.get(place as usize).cloned();
    let of = |node| match settlement.standing(node) {
        Standing::Declared(place) => Some(Settled::Declared(facts(place)?)),
        Standing::Source => Some(Settled::Source),
        Standing::MadeFromFree => Some(Settled::MadeFromFree),
        Standing::Original(original, place) => {
            Some(Settled::Original { name: graph.name(original).to_owned(), facts: facts(place)? })
        }
        Standing::OwnSource | Standing::NotFree | Standing::Untold => Some(Settled::Silent),
        Standing::Disputed => Some(Settled::Disputed),
        Standing::Unreached | Standing::Incomplete(_) | Standing::Missing => None,
    };
    graph.nodes().filter_map(|node| Some((parse_store_path(graph.base_name(node))?, of(node)?))).collect()
}

/// Adds a role to the one that a path has already: several derivations may make one path.
fn add_role<'a>(roles: &mut BTreeMap<StorePath, Role<'a>>, path: &StorePath, role: Role<'a>) {
    let Some(known) = roles.get_mut(path) else {
        roles.insert(path.clone(), role);
        return;
    };
    match (known, role) {
        (Role::Source(users), Role::Source(more)) => users.extend(more),
        // What several declare holds together already.
        (Role::Output(known), Role::Output(said)) if *known == said => {}
        (Role::Settled(Provenance::MadeFromFree), Role::Settled(Provenance::MadeFromFree)) => {}
        // A source of one package and the product of another: nobody can say what it is.
        (known, _) => *known = Role::Settled(Provenance::Disputed),
    }
}

/// The graph of all jobs and of other derivations. A job whose graph cannot be read is an error of its own.
fn graph_of(jobs: Vec<Job>, others: Vec<StorePath>) -> Result<(Graph, Vec<Job>, Vec<EvalError>), GraphError> {
    let derivations = |jobs: &[Job]| jobs.iter().map(|job| job.derivation.clone()).collect::<Vec<_>>();
    if let Ok(graph) = read_graph(derivations(&jobs).into_iter().chain(others.clone())) {
        return Ok((graph, jobs, Vec::new()));
    }
    let (mut good, mut errors) = (Vec::new(), Vec::new());
    for job in jobs {
        match read_graph([job.derivation.clone()]) {
            Ok(_) => good.push(job),
            Err(error) => errors.push(EvalError { attr: job.attr, message: error.to_string() }),
        }
    }
    let others = others.into_iter().filter(|derivation| read_graph([derivation.clone()]).is_ok());
    let graph = read_graph(derivations(&good).into_iter().chain(others))?;
    Ok((graph, good, errors))
}
