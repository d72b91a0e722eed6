//! `narthex realise`

use super::{Common, set};
use crate::cli::RealiseArgs;
use crate::error::{CommandError, Kind};
use crate::render::{self, Progress};
use crate::settings;
use narthex_client::{CacheSource, Offer};
use narthex_closure::{Derivation, Graph, StorePath};
use narthex_farm::PackageSetError;
use narthex_nix::{EvalOptions, Job, read_graph};
use std::collections::BTreeSet;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &RealiseArgs) -> Result<ExitCode, CommandError> {
    let expression = settings::expression(&args.selection.expression)?;
    let nix = settings::nix(&common.options).await?;
    let cache = CacheSource::open(&args.cache).await?;
    let url = cache.url();

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

    let offer = Offer::new(&nix, cache, &args.public_keys).await?;
    let plan = narthex_client::plan(&nix, &offer, &graph, wanted).await?;
    render::realise_plan(&plan, &graph, args.dry_run);
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }

    let progress = Progress::start();
    let sink = |event| progress.show(event);
    let realised = narthex_client::realise(&nix, &url, &args.public_keys, &graph, &plan, &sink).await;
    progress.finish();
    let realised = realised?;
    render::realised(&realised.arrived);
    if realised.failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    render::holes_remain(&realised, &graph);
    Ok(ExitCode::from(Kind::HolesRemain.code()))
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
