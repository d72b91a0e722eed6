//! From arguments and files to what the use cases take.

use crate::error::CommandError;
use narthex_cache::State;
use narthex_nix::{Expression, Nix};
use narthex_policy::{Mistake, Policy, Rules, Terms, shipped};
use std::path::{Path, PathBuf};

/// Opens the state folder, and makes it where it is not there.
pub(crate) fn state(given: Option<&Path>) -> Result<State, CommandError> {
    Ok(State::open(&state_folder(given)?)?)
}

/// Opens a state folder that an earlier run filled.
pub(crate) fn existing_state(given: Option<&Path>) -> Result<State, CommandError> {
    Ok(State::existing(&state_folder(given)?)?)
}

/// A state folder of which only the corpus is of interest; it need not be there.
pub(crate) fn corpus_state(given: Option<&Path>) -> Option<State> {
    state_folder(given).ok().map(|folder| State::at(&folder))
}

/// The folder that was given, else the one of the XDG base directories.
fn state_folder(given: Option<&Path>) -> Result<PathBuf, CommandError> {
    let folder = match given {
        Some(folder) => folder.to_owned(),
        None => default_state().ok_or_else(|| {
            CommandError::usage("there is no place for the state: neither XDG_STATE_HOME nor HOME is set")
                .hint("give a folder with --state")
        })?,
    };
    // Nix and the garbage collector's roots want absolute paths.
    Ok(std::path::absolute(&folder).unwrap_or(folder))
}

fn default_state() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")))?;
    Some(base.join("narthex"))
}

/// Finds Nix and gives it the options of the command line.
pub(crate) async fn nix(options: &[String]) -> Result<Nix, CommandError> {
    let pairs = options.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    Ok(Nix::detect(pairs.collect()).await?)
}

/// An expression: a file, which must be there before Nix is asked, or a flake reference, which is Nix's to read.
pub(crate) fn expression(given: &str) -> Result<Expression, CommandError> {
    let error = match Path::new(given).canonicalize() {
        Ok(folder) if folder.join("flake.nix").exists() && !folder.join("default.nix").exists() => {
            return Ok(Expression::Flake { reference: folder.display().to_string(), fragment: Vec::new() });
        }
        Ok(file) => return Ok(Expression::File(file)),
        Err(error) => error,
    };
    Expression::flake(given).ok_or_else(|| {
        CommandError::usage(format!("{given} cannot be read"))
            .caused_by(&error)
            .hint("give a Nix file, a folder with a default.nix, or a flake as in `.#packages.x86_64-linux`")
    })
}

/// Reads a policy with its terms; without a file, the shipped one.
pub(crate) fn rules(file: Option<&Path>) -> Result<Rules, CommandError> {
    let (text, name) = match file {
        None => (shipped::DEFAULT_POLICY.to_owned(), "the shipped policy".to_owned()),
        Some(file) => (read(file, "policy")?, file.display().to_string()),
    };
    let policy = Policy::parse(&text).map_err(|mistakes| mistaken(&name, &mistakes))?;
    let folder = file.and_then(Path::parent).unwrap_or(Path::new("."));
    let mut terms = Vec::new();
    for named in policy.terms() {
        let (text, name) = match shipped::TERMS.iter().find(|(id, _)| id == named) {
            Some((_, text)) => ((*text).to_owned(), format!("the shipped terms {named}")),
            None if named.ends_with(".toml") => {
                let file = folder.join(named);
                (read(&file, "terms")?, file.display().to_string())
            }
            None => {
                let known: Vec<&str> = shipped::TERMS.iter().map(|(id, _)| *id).collect();
                return Err(CommandError::usage(format!("{name}: there are no terms `{named}`")).hint(format!(
                    "shipped are {}; terms of your own are named by their file, ending in .toml",
                    known.join(", ")
                )));
            }
        };
        terms.push(Terms::parse(&text).map_err(|mistakes| mistaken(&name, &mistakes))?);
    }
    Ok(Rules::new(policy, terms))
}

fn read(file: &Path, what: &str) -> Result<String, CommandError> {
    std::fs::read_to_string(file).map_err(|error| {
        CommandError::usage(format!("the {what} file {} cannot be read", file.display())).caused_by(&error)
    })
}

fn mistaken(name: &str, mistakes: &[Mistake]) -> CommandError {
    let count = mistakes.len();
    let mut error = CommandError::usage(format!("{name} has {count} mistake{}", if count == 1 { "" } else { "s" }));
    error.causes = mistakes.iter().map(|mistake| format!("{name}:{mistake}")).collect();
    error
}
