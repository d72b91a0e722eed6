//! `narthex realise`

use super::{Common, set};
use crate::cli::RealiseArgs;
use crate::error::{CommandError, Kind};
use crate::hints;
use crate::render::{self, Progress};
use crate::settings;
use narthex_client::{CacheSource, Connections, Offer, Realised};
use narthex_closure::{Derivation, Graph, StorePath};
use narthex_farm::PackageSetError;
use narthex_nix::{EvalOptions, Job, read_graph};
use std::collections::BTreeSet;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &RealiseArgs) -> Result<ExitCode, CommandError> {
    let expression = settings::expression(&args.selection.expression)?;
    let nix = settings::nix(&common.options).await?;
    let connections = Connections::of(&nix, settings::certificates().as_deref()).await?;
    let cache = CacheSource::open(&args.cache, &connections).await?;

    let progress = Progress::start();
    let sink = |event| progress.show(event);
    let evaluation = nix.evaluate(&expression, &args.selection.attrs, &EvalOptions::default(), &sink).await;
    progress.finish();
    let evaluation = evaluation?;
    if let Some(error) = evaluation.errors.first() {
        return Err(CommandError::failed(format!("{} does not evaluate: {}", error.attr, error.message)));
    }
    set::found(&expression, &evaluation.jobs, &evaluation.errors, &evaluation.not_searched)?;
    let graph = read_graph(evaluation.jobs.iter().map(|job| job.derivation.clone())).map_err(PackageSetError::from)?;
    let wanted = wanted(&graph, &evaluation.jobs);

    let progress = Progress::start();
    let sink = |event| progress.show(event);
    let planned = async {
        let offer = Offer::new(&nix, cache, &args.public_keys, &connections, &sink).await?;
        narthex_client::plan(&nix, &offer, &graph, wanted, &sink).await
    };
    let planned = planned.await;
    progress.finish();
    let plan = planned?;
    render::realise_plan(&plan, &graph, args.dry_run);
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }

    let progress = Progress::start();
    let sink = |event| progress.show(event);
    let realised = narthex_client::realise(&nix, &args.public_keys, &graph, &plan, &sink).await;
    progress.finish();
    let realised = realised?;
    render::realised(&realised.arrived);
    if !realised.failed.is_empty() {
        render::holes_remain(&realised, &graph);
    }
    if !realised.missing.is_empty() {
        return Err(not_fetched(&realised, nix.trusts_us().await));
    }
    Ok(ExitCode::from(if realised.failed.is_empty() { 0 } else { Kind::HolesRemain.code() }))
}

/// What did not arrive, and what Nix said of it.
fn not_fetched(realised: &Realised, is_trusted: bool) -> CommandError {
    let missing: Vec<&str> = realised.missing.iter().map(StorePath::name).collect();
    let mut error = CommandError::failed(format!("{} could not be fetched", missing.join(", ")));
    error.causes.clone_from(&realised.said);
    error.hint(hints::for_fetching(&realised.said, is_trusted))
}

/// As `nix-build -A` does: the output that the value says it stands for, or the one that is there where it says none.
fn wanted(graph: &Graph, jobs: &[Job]) -> BTreeSet<StorePath> {
    let pick = |job: &Job, derivation: &Derivation| {
        let outputs = &derivation.outputs;
        match &job.output {
            Some(name) => outputs.get(name).cloned(),
            None => outputs.get("out").or_else(|| outputs.values().next()).cloned(),
        }
    };
    jobs.iter().filter_map(|job| pick(job, graph.get(&job.derivation)?)).collect()
}
