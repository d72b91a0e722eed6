//! An evaluated package set: jobs, the graph below them, and what is declared of each part.

use narthex_closure::{Graph, StorePath};
use narthex_event::{Event, Sink};
use narthex_license::{Expr, LicenseFacts};
use narthex_nix::{DerivationFacts, EvalError, Evaluation, GraphError, Job, Nix, NixError, read_graph};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

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
    /// Everything that the expression describes.
    pub graph: Graph,
    facts: BTreeMap<StorePath, DerivationFacts>,
    /// Derivation → attribute of the first job that it is.
    attrs: BTreeMap<StorePath, String>,
    /// The jobs and all that they are made of. The graph may hold more.
    scope: BTreeSet<StorePath>,
}

/// How a store path comes into a package set.
#[derive(Clone, Debug)]
pub(crate) enum Role<'a> {
    /// An output with its derivation's own facts, or none.
    Output(Option<&'a LicenseFacts>),
    /// A source: the derivations that are made from it.
    Source(BTreeSet<&'a StorePath>),
}

impl PackageSet {
    /// Evaluates an expression and reads the graph of what it describes.
    ///
    /// With `attrs`, only those are jobs; the rest of the expression is evaluated all the same, since it
    /// tells what else is made from a source and which material is restricted. A gate that looked at
    /// one package alone would take a vendor's file for that package's own.
    ///
    /// # Errors
    /// When the expression does not evaluate; single attributes that fail are listed instead.
    pub async fn evaluate(
        nix: &Nix,
        expression: &Path,
        attrs: &[String],
        sink: Sink<'_>,
    ) -> Result<Self, PackageSetError> {
        sink(Event::Evaluating { expression: expression.display().to_string() });
        let Evaluation { jobs, mut facts, errors } = nix.evaluate(expression, attrs).await?;
        let selected: Vec<StorePath> = jobs.iter().map(|job| job.derivation.clone()).collect();
        let mut roots = selected.clone();
        if !attrs.is_empty() {
            let whole = nix.evaluate(expression, &[]).await?;
            roots.extend(whole.jobs.into_iter().map(|job| job.derivation));
            for (path, known) in whole.facts {
                facts.entry(path).or_insert(known);
            }
        }
        let graph = read_graph(roots)?;
        let scope = graph.closure(selected);
        sink(Event::Evaluated { jobs: jobs.len(), derivations: scope.len(), errors: errors.len() });
        let attrs = jobs.iter().rev().map(|job| (job.derivation.clone(), job.attr.clone())).collect();
        Ok(Self { jobs, errors, graph, facts, attrs, scope })
    }

    /// Whether the jobs are made of this derivation.
    pub(crate) fn in_scope(&self, derivation: &StorePath) -> bool {
        self.scope.contains(derivation)
    }

    /// What is declared of a derivation; `None` where the evaluation never came across it.
    pub fn facts(&self, derivation: &StorePath) -> Option<&LicenseFacts> {
        self.facts.get(derivation).map(|known| &known.facts)
    }

    /// Whether a derivation is a source that takes the facts of the packages made from it. One that
    /// says something of itself is taken at its word.
    pub(crate) fn is_plain_source(&self, path: &StorePath) -> bool {
        let fixed = self.graph.get(path).is_some_and(|derivation| derivation.fixed_output);
        fixed && self.facts(path).is_none_or(|facts| facts.license == Expr::Absent)
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
            let facts = self.facts(path);
            for output in derivation.outputs.values() {
                let role = match users.get(path) {
                    Some(users) if self.is_plain_source(path) => Role::Source(users.clone()),
                    _ => Role::Output(facts),
                };
                roles.insert(output.clone(), role);
            }
            for source in &derivation.sources {
                let users = users.get(source).cloned().unwrap_or_default();
                roles.entry(source.clone()).or_insert(Role::Source(users));
            }
        }
        roles
    }
}
