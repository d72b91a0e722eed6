//! The program: arguments, one file a command, rendering, and wiring.
//!
//! It is the only crate that reads arguments and the environment and that writes to the terminal.
//! What a command does stands in the other crates; here it is called and shown.

mod cli;
mod commands;
mod error;
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
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            render::error(&error::CommandError::failed("the program cannot start its threads").caused_by(&error));
            return ExitCode::from(error::Kind::Failed.code());
        }
    };
    match runtime.block_on(commands::run(cli)) {
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
