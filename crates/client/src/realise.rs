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
    /// The derivations of holes that could not be begun, and why: this machine cannot build them, or Nix refuses.
    pub refused: BTreeMap<StorePath, String>,
    /// Paths that caches offer and that did not arrive.
    pub missing: BTreeSet<StorePath>,
    /// The wanted paths that cannot be had without those.
    pub waiting: BTreeSet<StorePath>,
    /// What Nix said of builds.
    pub errors: Vec<String>,
    /// What Nix said where something did not arrive.
    pub said: Vec<String>,
}

/// Carries out a plan. `public_keys` are added to what Nix trusts anyway.
///
/// A hole that cannot be built, and a path that does not arrive, keep back what needs them and nothing else.
///
/// # Errors
/// When Nix cannot be run.
pub async fn realise(
    nix: &Nix,
    public_keys: &[String],
    graph: &Graph,
    plan: &RealisePlan,
    sink: Sink<'_>,
) -> Result<Realised, ClientError> {
    let mut realised = Realised::default();
    let setting = |name: &str, value: String| (name.to_owned(), value);
    let fetching = |other: Option<&String>| {
        let substituters: Vec<&str> = plan.substituters.iter().chain(other).map(String::as_str).collect();
        nix.with_options([
            // Named as a whole: a cache that answers nonsense would end the command, although another one has the path.
            setting("substituters", substituters.join(" ")),
            setting("extra-trusted-public-keys", public_keys.join(" ")),
            // What Nix remembers of a cache may be older than the plan: a path that was missing, or one that
            // was signed by another key.
            setting("narinfo-cache-negative-ttl", "0".to_owned()),
            setting("narinfo-cache-positive-ttl", "0".to_owned()),
        ])
    };
    // What a hole is made from is there when its turn comes. No cache can make a build fail.
    let building = nix.with_options([setting("substituters", String::new())]);
    for step in &plan.fill.steps {
        match step {
            Step::Fetch(paths) => {
                let is_possible = |path: &&StorePath| !plan.needs(path, &realised.failed, &realised.missing, graph);
                let mut missing: BTreeSet<StorePath> = paths.iter().filter(is_possible).cloned().collect();
                let mut said: Vec<String> = Vec::new();
                // What does not arrive from where it was seen may be elsewhere; one by one, since one may spoil the rest.
                for other in std::iter::once(None).chain(plan.others.iter().map(Some)) {
                    let targets: Vec<Target> = missing.iter().cloned().map(Target::Path).collect();
                    let outcome = fetching(other).realise(&targets, sink).await?;
                    let arrived = nix.path_info(missing.iter().cloned()).await?;
                    missing.retain(|path| !arrived.contains_key(path));
                    if missing.is_empty() {
                        break;
                    }
                    let new = outcome.warnings.into_iter().chain(outcome.errors);
                    for message in new {
                        if !said.contains(&message) {
                            said.push(message);
                        }
                    }
                }
                if !missing.is_empty() {
                    realised.missing.extend(missing);
                    realised.said.extend(said);
                }
            }
            Step::Build(derivations) => {
                let possible = |derivation: &StorePath| {
                    let inputs = graph.get(derivation).map(|d| graph.build_inputs(d)).unwrap_or_default();
                    !inputs.iter().any(|input| plan.needs(input, &realised.failed, &realised.missing, graph))
                };
                // What only waits for something else is no build that failed.
                let tried: BTreeMap<&StorePath, &BTreeSet<String>> =
                    derivations.iter().filter(|(derivation, _)| possible(derivation)).collect();
                let targets: Vec<Target> = tried
                    .iter()
                    .map(|(derivation, outputs)| Target::Outputs((*derivation).clone(), (*outputs).clone()))
                    .collect();
                let outcome = building.build(graph, &targets, sink).await?;
                let built: Vec<&StorePath> = plan
                    .fill
                    .built
                    .iter()
                    .filter(|(_, derivation)| tried.contains_key(*derivation))
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
                realised.refused.extend(outcome.refused);
                realised.errors.extend(outcome.warnings.into_iter().chain(outcome.errors));
            }
        }
    }
    let is_waiting = |path: &StorePath| plan.needs(path, &realised.failed, &realised.missing, graph);
    let (waiting, arrived) = plan.wanted.iter().cloned().partition(is_waiting);
    realised.waiting = waiting;
    realised.arrived = arrived;
    Ok(realised)
}
