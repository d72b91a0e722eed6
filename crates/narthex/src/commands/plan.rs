//! `narthex plan`

use super::Common;
use crate::cli::{Format, SetArgs};
use crate::error::{CommandError, Kind};
use crate::render::{self, Progress};
use crate::settings;
use narthex_farm::PackageSet;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &SetArgs) -> Result<ExitCode, CommandError> {
    let rules = settings::rules(args.policy.as_deref())?;
    let expression = settings::expression(&args.selection.expression)?;
    let nix = settings::nix(&common.options).await?;
    let progress = Progress::start();
    let (attrs, options) = (&args.selection.attrs, args.limits.options());
    let set = PackageSet::evaluate(&nix, &expression, attrs, &options, &|event| progress.show(event)).await;
    progress.finish();
    let set = set?;
    let planned = narthex_farm::plan(&set, &rules);
    match args.format {
        Format::Table => render::plan_table(&planned, &set.errors),
        Format::Json => render::plan_json(&planned, &set.errors),
    }
    Ok(ExitCode::from(if set.errors.is_empty() { 0 } else { Kind::Failed.code() }))
}
