//! An evaluated package set: jobs, the graph below them, and what is declared of each part.

use narthex_closure::{Graph, StorePath};
use narthex_event::{Event, Sink};
use narthex_license::{Expr, LicenseFacts};
use narthex_nix::{DerivationFacts, EvalError, GraphError, Job, Nix, NixError, read_graph};
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
    /// Everything that the jobs are made of.
    pub graph: Graph,
    facts: BTreeMap<StorePath, DerivationFacts>,
    /// Derivation → attribute of the first job that it is.
    attrs: BTreeMap<StorePath, String>,
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
    /// # Errors
    /// When the expression does not evaluate; single attributes that fail are listed instead.
    pub async fn evaluate(
        nix: &Nix,
        expression: &Path,
        attrs: &[String],
        sink: Sink<'_>,
    ) -> Result<Self, PackageSetError> {
        sink(Event::Evaluating { expression: expression.display().to_string() });
        let evaluation = nix.evaluate(expression, attrs).await?;
        let graph = read_graph(evaluation.jobs.iter().map(|job| job.derivation.clone()))?;
        sink(Event::Evaluated {
            jobs: evaluation.jobs.len(),
            derivations: graph.len(),
            errors: evaluation.errors.len(),
        });
        let by_derivation = evaluation.jobs.iter().rev().map(|job| (job.derivation.clone(), job.attr.clone()));
        let attrs = by_derivation.collect();
        Ok(Self { jobs: evaluation.jobs, errors: evaluation.errors, graph, facts: evaluation.facts, attrs })
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

    /// The role of every path that the set can give: outputs, and source files.
    pub(crate) fn roles(&self) -> BTreeMap<StorePath, Role<'_>> {
        let users = self.graph.users();
        let mut roles = BTreeMap::new();
        for (path, derivation) in self.graph.iter() {
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
