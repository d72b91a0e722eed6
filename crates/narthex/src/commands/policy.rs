//! `narthex policy`: what can be said of a policy without any package set.

use crate::cli::{Format, PolicyCheckArgs, PolicyCommand};
use crate::error::{CommandError, Kind};
use crate::render;
use crate::settings;
use narthex_policy::schema;
use std::process::ExitCode;

pub(crate) fn run(command: &PolicyCommand) -> Result<ExitCode, CommandError> {
    match command {
        PolicyCommand::Check(args) => check(args),
        PolicyCommand::Schema => {
            render::out(schema::POLICY);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Shows every mistake of the policy, and of the terms that it names.
fn check(args: &PolicyCheckArgs) -> Result<ExitCode, CommandError> {
    let files = settings::check(&args.policy)?;
    match args.format {
        Format::Table => render::policy_table(&files),
        Format::Json => render::policy_json(&files),
    }
    let sound = files.iter().all(|file| file.mistakes.is_empty());
    Ok(ExitCode::from(if sound { 0 } else { Kind::Usage.code() }))
}
