//! Development commands: `cargo xtask setup | demo | test | tidy | bench | corpus | fuzz`.
//!
//! They use the standard library only, so that they start at once on a fresh machine.

mod bench;
mod corpus;
mod demo;
mod fuzz;
mod intel;
mod machine;
mod materials;
mod releases;
mod rules;
mod test;
mod tidy;
mod worlds;

use std::process::ExitCode;

/// What went wrong, in words for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(crate) fn message(&self) -> &str {
        &self.0
    }
}

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup          install what the examples need, fetch the vendor's wheels and add them to the Nix store
  demo [--once]  set up, run the example package set, and serve the cache; --once ends instead of serving
  test           set up, check the code, and run every test, the end-to-end ones with three versions of Nix
  tidy           formatting, lints, rules between crates, links in the documentation
  bench audit    measure the audit against other tools (3 GB of downloads); the figures of docs/benchmarks.md
  bench audit --wide
                 what public packages hold beside what the audit says of them (10 GB of downloads)
  bench plan     measure plans from lines of nix-eval-jobs, with up to a million derivations
  corpus [releases]
                 make the shipped corpus anew from public packages (9 GB of downloads), or only the hashes of
                 published releases
  fuzz [TARGET…] [--seconds N]
                 every parser of foreign bytes, or these, with arbitrary ones, for N seconds each (60)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["setup"] => machine::setup(),
        ["demo"] => demo::demo(false),
        ["demo", "--once"] => demo::demo(true),
        ["test"] => test::test(),
        ["tidy"] => tidy::tidy(),
        ["bench", "audit"] => bench::audit(),
        ["bench", "audit", "--wide"] => bench::wide(),
        ["bench", "plan"] => bench::plan(),
        ["corpus"] => corpus::corpus(),
        ["corpus", "releases"] => corpus::only_releases(),
        ["fuzz", rest @ ..] => fuzz::fuzz(rest),
        ["help" | "--help" | "-h"] => {
            say(USAGE);
            Ok(())
        }
        _ => {
            complain(USAGE);
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            complain(&format!("error: {message}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the one place that writes to stdout")]
pub(crate) fn say(text: &str) {
    println!("{}", text.trim_end());
}

#[expect(clippy::print_stderr, reason = "the one place that writes to stderr")]
pub(crate) fn complain(text: &str) {
    eprintln!("{}", text.trim_end());
}
