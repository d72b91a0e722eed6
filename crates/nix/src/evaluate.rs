//! Evaluates a package set: jobs, and the license facts of every derivation that they are made of.
//!
//! The walker (`walker.nix`) does it in one evaluation. What Nix cannot catch (recursion without an
//! end, `abort`, a missing attribute) ends that evaluation; then the attributes are halved until the
//! one at fault stands alone, and the others go on.

use crate::command::{error_message, run};
use crate::{Nix, NixError};
use narthex_closure::{StorePath, parse_store_path};
use narthex_license::LicenseFacts;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

const WALKER: &str = include_str!("walker.nix");

/// One command line argument may have 128 KiB; attribute paths go in with room to spare.
const REQUEST_BYTES: usize = 64 * 1024;

/// One attribute that is a derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The attribute path, joined by dots.
    pub attr: String,
    /// The derivation.
    pub derivation: StorePath,
    /// Its name.
    pub name: String,
}

/// What the package set says of one derivation.
#[derive(Clone, Debug)]
pub struct DerivationFacts {
    /// The derivation's name.
    pub name: String,
    /// Its license facts. Where it has no `meta.license`, the license is absent.
    pub facts: LicenseFacts,
}

/// An attribute that did not evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    /// The attribute path, joined by dots.
    pub attr: String,
    /// What Nix said.
    pub message: String,
}

/// What an evaluation found.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// The jobs, in the order of their attributes.
    pub jobs: Vec<Job>,
    /// Facts by derivation, for the jobs and for what they are made of.
    pub facts: BTreeMap<StorePath, DerivationFacts>,
    /// Attributes that failed.
    pub errors: Vec<EvalError>,
}

impl Evaluation {
    /// Adds what is said of a derivation to what is known of it. The walker merges what it meets in one
    /// evaluation; this does it for what several evaluations met.
    pub fn add_facts(&mut self, derivation: StorePath, said: DerivationFacts) {
        match self.facts.entry(derivation) {
            Entry::Vacant(entry) => {
                entry.insert(said);
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get().facts.clone();
                entry.get_mut().facts = known.merge(said.facts);
            }
        }
    }
}

type AttrPath = Vec<String>;

impl Nix {
    /// Evaluates an expression; with `attrs`, only those attributes of it.
    ///
    /// Attributes that fail are listed in the result.
    ///
    /// # Errors
    /// When the expression itself does not evaluate.
    pub async fn evaluate(&self, expression: &Path, attrs: &[String]) -> Result<Evaluation, NixError> {
        let walk = Walk { nix: self, expression: expression.to_string_lossy().into_owned() };
        let mut evaluation = Evaluation::default();
        let root = walk.list(&[]).await?;
        let wanted: Vec<AttrPath> = if !attrs.is_empty() {
            attrs.iter().map(|attr| parse_attr_path(attr)).collect()
        } else if root.kind == "derivation" {
            vec![Vec::new()]
        } else if root.kind == "set" {
            root.names.into_iter().map(|name| vec![name]).collect()
        } else {
            return Err(NixError::Failed {
                command: format!("evaluating {}", walk.expression),
                message: "it is neither a derivation nor a set of them".to_owned(),
            });
        };

        let named = !attrs.is_empty();
        let mut todo: Vec<Vec<AttrPath>> = chunks(wanted);
        while let Some(paths) = todo.pop() {
            match walk.facts(&paths).await {
                Ok(answer) => {
                    let children = walk.take(answer, named, &mut evaluation).await;
                    todo.extend(chunks(children));
                }
                Err(_) if paths.len() > 1 => {
                    let (left, right) = paths.split_at(paths.len() / 2);
                    todo.extend([left.to_vec(), right.to_vec()]);
                }
                Err(error) => {
                    // A set that wants to be searched may have one bad child among many good ones.
                    let children = match paths.first() {
                        Some(path) => walk
                            .list(path)
                            .await
                            .ok()
                            .filter(|l| l.kind == "set" && l.recurse)
                            .map(|l| below(path, l.names)),
                        None => None,
                    };
                    match children {
                        Some(children) => todo.extend(chunks(children)),
                        None => evaluation.errors.push(EvalError {
                            attr: paths.first().map(|path| join_attr_path(path)).unwrap_or_default(),
                            message: message_of(error),
                        }),
                    }
                }
            }
        }
        evaluation.jobs.sort_by(|a, b| a.attr.cmp(&b.attr));
        evaluation.errors.sort_by(|a, b| a.attr.cmp(&b.attr));
        Ok(evaluation)
    }
}

struct Walk<'a> {
    nix: &'a Nix,
    expression: String,
}

#[derive(Deserialize)]
struct Listed {
    kind: String,
    #[serde(default)]
    recurse: bool,
    #[serde(default)]
    names: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    jobs: Vec<RawJob>,
    derivations: Vec<RawDerivation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawJob {
    attr_path: AttrPath,
    outcome: String,
    drv_path: Option<String>,
    name: Option<String>,
    #[serde(default)]
    outputs: BTreeMap<String, Option<String>>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    recurse: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDerivation {
    drv_path: String,
    name: Option<String>,
    facts: Value,
}

impl Walk<'_> {
    async fn list(&self, path: &[String]) -> Result<Listed, NixError> {
        let listed: Vec<Listed> = self.ask("list", &[path.to_vec()]).await?;
        listed.into_iter().next().ok_or_else(|| unexpected("no answer for the path".to_owned()))
    }

    async fn facts(&self, paths: &[AttrPath]) -> Result<Answer, NixError> {
        self.ask("facts", paths).await
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, mode: &str, paths: &[AttrPath]) -> Result<T, NixError> {
        let mut command = self.nix.command("nix-instantiate");
        command.args(["--eval", "--strict", "--json", "--read-write-mode", "-E", WALKER]);
        command.args(["--argstr", "expression", &self.expression]);
        command.args(["--argstr", "request", &json!({"mode": mode, "paths": paths}).to_string()]);
        let output = run(command, &format!("evaluating {}", self.expression)).await?;
        serde_json::from_slice(&output.stdout).map_err(|error| unexpected(error.to_string()))
    }

    /// Puts an answer into the evaluation; returns attributes that are to be looked at next.
    async fn take(&self, answer: Answer, named: bool, evaluation: &mut Evaluation) -> Vec<AttrPath> {
        for derivation in answer.derivations {
            let Some(path) = parse_store_path(&derivation.drv_path) else { continue };
            let facts = DerivationFacts {
                name: derivation.name.unwrap_or_else(|| path.name().trim_end_matches(".drv").to_owned()),
                facts: LicenseFacts::from_json(&derivation.facts),
            };
            evaluation.add_facts(path, facts);
        }
        let mut children = Vec::new();
        for job in answer.jobs {
            let attr = join_attr_path(&job.attr_path);
            let error = match (job.outcome.as_str(), job.drv_path.as_deref().and_then(parse_store_path)) {
                ("job", Some(derivation)) if job.outputs.values().all(Option::is_some) => {
                    let name = job.name.unwrap_or_default();
                    evaluation.jobs.push(Job { attr, derivation, name });
                    continue;
                }
                ("job", Some(_)) => {
                    "its output paths are known only after the build, which is not supported".to_owned()
                }
                // Asked for by name, a set gives its members, as `nix-build -A` does.
                ("set", _) if job.recurse || (named && !job.names.is_empty()) => {
                    children.extend(below(&job.attr_path, job.names));
                    continue;
                }
                ("missing", _) => "there is no such attribute".to_owned(),
                ("throws", _) => self.message(&attr).await,
                _ if named => "it is not a derivation".to_owned(),
                _ => continue,
            };
            evaluation.errors.push(EvalError { attr, message: error });
        }
        children
    }

    /// `tryEval` drops messages; evaluating the attribute by itself gives it.
    async fn message(&self, attr: &str) -> String {
        let mut command = self.nix.command("nix-instantiate");
        command.args([&self.expression, "-A", attr]);
        match run(command, "nix-instantiate").await {
            Err(error) => message_of(error),
            Ok(_) => "it failed once and not the second time".to_owned(),
        }
    }
}

fn message_of(error: NixError) -> String {
    match error {
        NixError::Failed { message, .. } => error_message(&message),
        other => other.to_string(),
    }
}

fn unexpected(why: String) -> NixError {
    NixError::Unexpected { command: "nix-instantiate --eval".to_owned(), why }
}

fn below(path: &[String], names: Vec<String>) -> Vec<AttrPath> {
    let names = names.into_iter().filter(|name| name != "recurseForDerivations");
    names.map(|name| path.iter().cloned().chain([name]).collect()).collect()
}

fn chunks(paths: Vec<AttrPath>) -> Vec<Vec<AttrPath>> {
    let mut chunks: Vec<Vec<AttrPath>> = Vec::new();
    let mut room = 0;
    for path in paths {
        let size = path.iter().map(|name| name.len() + 4).sum::<usize>() + 4;
        match chunks.last_mut() {
            Some(chunk) if size <= room => {
                room -= size;
                chunk.push(path);
            }
            _ => {
                room = REQUEST_BYTES.saturating_sub(size);
                chunks.push(vec![path]);
            }
        }
    }
    chunks
}

/// Splits an attribute path at its dots; names in double quotes may hold dots, as in Nix.
pub fn parse_attr_path(text: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => names.push(String::new()),
            c => names.last_mut().expect("there is always one name").push(c),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn join_attr_path(path: &[String]) -> String {
    let quote = |name: &String| if name.contains('.') { format!("\"{name}\"") } else { name.clone() };
    path.iter().map(quote).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_paths_are_split_and_joined() {
        assert_eq!(parse_attr_path("a.\"b.c\".d"), ["a", "b.c", "d"]);
        assert_eq!(join_attr_path(&parse_attr_path("a.\"b.c\".d")), "a.\"b.c\".d");
        assert!(parse_attr_path("").is_empty());
    }

    #[test]
    fn requests_are_cut_to_fit_a_command_line() {
        let paths: Vec<AttrPath> = (0..20_000).map(|n| vec![format!("attribute-{n}")]).collect();
        let chunks = chunks(paths.clone());
        assert!(chunks.len() > 1);
        assert!(chunks.iter().all(|c| json!({"mode": "facts", "paths": c}).to_string().len() < 100 * 1024));
        assert_eq!(chunks.concat(), paths);
    }
}
