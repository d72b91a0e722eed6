//! `narthex run`

use super::{Common, set};
use crate::cli::{Format, SetArgs};
use crate::error::{CommandError, Kind};
use crate::render::{self, Progress};
use crate::settings;
use narthex_farm::RunRequest;
use std::process::ExitCode;

/// Exit code 1 says that something was not evaluated or built; withheld paths are no failure.
pub(crate) async fn run(common: &Common, args: &SetArgs) -> Result<ExitCode, CommandError> {
    let rules = settings::rules(args.policy.as_deref())?;
    let expression = settings::expression(&args.selection.expression)?;
    let nix = settings::nix(&common.options).await?;
    let state = settings::state(common.state.as_deref())?;
    let progress = Progress::start();
    let (attrs, options) = (&args.selection.attrs, args.limits.options());
    let sink = |event| progress.show(event);
    let policy = settings::remembered(args.policy.as_deref());
    let request = RunRequest {
        expression: &expression,
        attrs,
        only: args.only,
        options: &options,
        now: settings::now(),
        policy: policy.as_deref(),
    };
    let result = narthex_farm::run(&nix, &state, &rules, &request, &sink).await;
    progress.finish();
    let report = result?;
    set::found_by_run(&expression, &report)?;
    match args.format {
        Format::Table => render::run_table(&report),
        Format::Json => render::run_json(&report),
    }
    let failed = !report.errors.is_empty() || !report.failures.is_empty();
    Ok(ExitCode::from(if failed { Kind::Failed.code() } else { 0 }))
}
