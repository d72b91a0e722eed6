//! Carries a plan out: holes in commands of their own, the rest by substitution.

use crate::ClientError;
use crate::gather::RealisePlan;
use narthex_closure::{Graph, Step, StorePath};
use narthex_event::Sink;
use narthex_nix::{Nix, Target};
use std::collections::{BTreeMap, BTreeSet};

/// What carrying out a plan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Realised {
    /// The wanted paths that are valid now.
    pub arrived: BTreeSet<StorePath>,
    /// The derivations of holes whose build failed, with the last lines of their logs.
    pub failed: BTreeMap<StorePath, Vec<String>>,
    /// The wanted paths that cannot be had without those.
    pub waiting: BTreeSet<StorePath>,
    /// What Nix said.
    pub errors: Vec<String>,
}

/// Carries out a plan. `cache` and `public_keys` are added to what Nix asks and trusts anyway.
///
/// A hole that cannot be built keeps back what needs it and nothing else.
///
/// # Errors
/// When Nix cannot be run, or something that a cache offers does not arrive.
pub async fn realise(
    nix: &Nix,
    cache: &str,
    public_keys: &[String],
    graph: &Graph,
    plan: &RealisePlan,
    sink: Sink<'_>,
) -> Result<Realised, ClientError> {
    let mut realised = Realised::default();
    let nix = nix.with_options([
        ("extra-substituters".to_owned(), cache.to_owned()),
        ("extra-trusted-public-keys".to_owned(), public_keys.join(" ")),
        // What Nix remembers of a cache may be older than the plan: a path that was missing, or one that
        // was signed by another key.
        ("narinfo-cache-negative-ttl".to_owned(), "0".to_owned()),
        ("narinfo-cache-positive-ttl".to_owned(), "0".to_owned()),
    ]);
    for step in &plan.fill.steps {
        match step {
            Step::Fetch(paths) => {
                let paths: BTreeSet<StorePath> =
                    paths.iter().filter(|path| !plan.needs(path, &realised.failed, graph)).cloned().collect();
                let targets: Vec<Target> = paths.iter().cloned().map(Target::Path).collect();
                let outcome = nix.realise(&targets, sink).await?;
                let arrived = nix.path_info(paths.iter().cloned()).await?;
                let missing: Vec<StorePath> =
                    paths.iter().filter(|path| !arrived.contains_key(path)).cloned().collect();
                if !missing.is_empty() {
                    let said: Vec<String> = outcome.warnings.into_iter().chain(outcome.errors).collect();
                    return Err(ClientError::NotFetched { paths: missing, message: said.join("; ") });
                }
            }
            Step::Build(derivations) => {
                let possible = |derivation: &StorePath| {
                    let inputs = graph.get(derivation).map(|d| graph.build_inputs(d)).unwrap_or_default();
                    !inputs.iter().any(|input| plan.needs(input, &realised.failed, graph))
                };
                let targets: Vec<Target> = derivations
                    .iter()
                    .filter(|(derivation, _)| possible(derivation))
                    .map(|(derivation, outputs)| Target::Outputs(derivation.clone(), outputs.clone()))
                    .collect();
                let outcome = nix.build(graph, &targets, sink).await?;
                let built: Vec<&StorePath> = plan
                    .fill
                    .built
                    .iter()
                    .filter(|(_, derivation)| derivations.contains_key(*derivation))
                    .map(|(path, _)| path)
                    .collect();
                let valid = nix.path_info(built.iter().copied().cloned()).await?;
                let failed: BTreeMap<StorePath, Vec<String>> = built
                    .iter()
                    .filter(|path| !valid.contains_key(*path))
                    .filter_map(|path| plan.fill.built.get(*path))
                    .map(|derivation| (derivation.clone(), outcome.logs.get(derivation).cloned().unwrap_or_default()))
                    .collect();
                realised.failed.extend(failed);
                realised.errors.extend(outcome.errors);
            }
        }
    }
    let (waiting, arrived) = plan.wanted.iter().cloned().partition(|path| plan.needs(path, &realised.failed, graph));
    realised.waiting = waiting;
    realised.arrived = arrived;
    Ok(realised)
}
