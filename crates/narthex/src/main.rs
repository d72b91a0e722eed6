//! The program: arguments, one file a command, rendering, and wiring.
//!
//! It is the only crate that reads arguments and the environment and that writes to the terminal.
//! What a command does stands in the other crates; here it is called and shown.

mod cli;
mod commands;
mod ending;
mod error;
mod hints;
mod render;
mod settings;

use clap::Parser;
use std::process::ExitCode;

/// Exit code of a bug: what no input should ever lead to.
const BUG: i32 = 255;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        render::err(&format!("narthex has a bug, and this is where it showed: {panic}\n"));
        std::process::exit(BUG);
    }));
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no errors; clap knows which is which.
            render::usage(&error);
            return ExitCode::from(if error.use_stderr() { error::Kind::Usage.code() } else { 0 });
        }
    };
    // Whoever only waits for Nix needs no other thread to be woken by it, thousands of times in a second.
    let mut builder = match cli.command {
        cli::Command::Eval(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            render::error(&error::CommandError::failed("the program cannot start its threads").caused_by(&error));
            return ExitCode::from(error::Kind::Failed.code());
        }
    };
    match runtime.block_on(until_told(cli)) {
        Ok(code) => match render::unwritten() {
            None => code,
            Some(error) => {
                render::error(
                    &error::CommandError::failed("the standard output cannot be written to").caused_by(&error),
                );
                ExitCode::from(error::Kind::Failed.code())
            }
        },
        Err(error) => {
            render::error(&error);
            ExitCode::from(error.kind.code())
        }
    }
}

/// Runs the command, or as much of it as a signal lets it. The server ends by itself, after what it is answering.
async fn until_told(cli: cli::Cli) -> Result<ExitCode, error::CommandError> {
    if matches!(cli.command, cli::Command::Serve(_)) {
        return commands::run(cli).await;
    }
    tokio::select! {
        result = commands::run(cli) => result,
        code = ending::told_to_end() => Ok(ExitCode::from(code)),
    }
}
