//! `narthex eval`

use super::{Common, set};
use crate::cli::{EvalArgs, Evaluator, Format};
use crate::ending::Last;
use crate::error::{CommandError, Kind};
use crate::render::{self, EvalLines, Progress};
use crate::settings;
use narthex_event::Event;
use narthex_farm::PackageSetError;
use narthex_nix::{EvalOptions, Known, read_graph};
use std::cell::RefCell;
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
    let lines = RefCell::new(EvalLines::default());
    let is_json = args.format == Format::Json;
    let known = |known: Known<'_>| {
        if is_json {
            lines.borrow_mut().known(known);
        }
    };
    let evaluation = nix.evaluate_until(&expression, &args.attrs, &options, (&sink, &known), last.told()).await;
    progress.finish();
    let evaluation = evaluation?;
    set::found(&expression, &evaluation.jobs, &evaluation.errors, &evaluation.not_searched)?;
    match args.format {
        Format::Table => {
            // Derivations that are named in a text only have no facts; they are there all the same.
            let jobs = evaluation.jobs.iter().map(|job| job.derivation.clone());
            render::eval_table(&evaluation, &read_graph(jobs).map_err(PackageSetError::from)?);
        }
        Format::Json => lines.into_inner().finish(&evaluation.errors).map_err(PackageSetError::from)?,
    }
    render::eval_warnings(&evaluation);
    if let Some(code) = last.code() {
        return Ok(ExitCode::from(code));
    }
    Ok(ExitCode::from(if evaluation.errors.is_empty() { 0 } else { Kind::Failed.code() }))
}
