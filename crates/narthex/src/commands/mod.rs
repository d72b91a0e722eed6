//! One file a command.

mod audit;
mod corpus;
mod costs;
mod decide;
mod eval;
mod from;
mod named;
mod plan;
mod policy;
mod realise;
mod report;
mod run;
mod serve;
mod set;
mod why;

use crate::cli::{Cli, Command};
use crate::error::CommandError;
use std::process::ExitCode;

/// Runs the command that was given.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, CommandError> {
    let common = Common { state: cli.state, options: cli.options };
    match cli.command {
        Command::Run(args) => run::run(&common, &args).await,
        Command::Plan(args) => plan::run(&common, &args).await,
        Command::Eval(args) => eval::run(&common, &args).await,
        Command::Why(args) => why::run(&common, &args).await,
        Command::Report(args) => report::run(&common, &args).await,
        Command::Audit(args) => audit::run(&common, &args).await,
        Command::Corpus(command) => corpus::run(&common, &command).await,
        Command::Policy(command) => policy::run(&common, &command).await,
        Command::Serve(args) => serve::run(&common, &args).await,
        Command::Realise(args) => realise::run(&common, &args).await,
    }
}

/// What every command takes.
pub(crate) struct Common {
    pub(crate) state: Option<std::path::PathBuf>,
    pub(crate) options: Vec<String>,
}
