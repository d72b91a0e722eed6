//! `narthex eval`

use super::{Common, set};
use crate::cli::{EvalArgs, Evaluator, Format};
use crate::ending::Last;
use crate::error::{CommandError, Kind};
use crate::render::{self, Progress};
use crate::settings;
use narthex_event::Event;
use narthex_farm::PackageSetError;
use narthex_nix::{EvalOptions, read_graph};
use std::process::ExitCode;

/// Exit code 1 says that an attribute failed; what did not fail is shown all the same, also where a signal ends it.
pub(crate) async fn run(common: &Common, args: &EvalArgs) -> Result<ExitCode, CommandError> {
    let Some(expression) = &args.expression else {
        render::out(&narthex_nix::apply_function());
        return Ok(ExitCode::SUCCESS);
    };
    let expression = settings::expression(expression)?;
    let nix = settings::nix(&common.options).await?;
    let evaluator = match args.evaluator {
        Evaluator::Nix => narthex_nix::Evaluator::Nix,
        Evaluator::NixEvalJobs => narthex_nix::Evaluator::NixEvalJobs("nix-eval-jobs".to_owned()),
    };
    let options = EvalOptions { evaluator, ..args.limits.options() };
    let progress = Progress::start();
    let sink = |event| progress.show(event);
    sink(Event::Evaluating { expression: expression.to_string() });
    let mut last = Last::listen();
    let evaluation = nix.evaluate_until(&expression, &args.attrs, &options, &sink, last.told()).await;
    progress.finish();
    let evaluation = evaluation?;
    set::found(&expression, &evaluation.jobs, &evaluation.errors, &evaluation.not_searched)?;
    // Derivations that are named in a text only have no facts; they are there all the same.
    let jobs = evaluation.jobs.iter().map(|job| job.derivation.clone());
    let graph = read_graph(jobs).map_err(PackageSetError::from)?;
    match args.format {
        Format::Table => render::eval_table(&evaluation, &graph),
        Format::Json => render::eval_json(&evaluation, &graph),
    }
    render::eval_warnings(&evaluation);
    if let Some(code) = last.code() {
        return Ok(ExitCode::from(code));
    }
    Ok(ExitCode::from(if evaluation.errors.is_empty() { 0 } else { Kind::Failed.code() }))
}
