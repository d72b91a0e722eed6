//! Evaluates with `nix-eval-jobs`, which has workers and limits of its own.
//!
//! It tells the `meta` of jobs only, so it gets the walker as the function that it applies to each job. A function knows
//! nothing of the jobs before it: what many jobs are made of is told with each of them, and read here once.

use super::collect::Collected;
use super::line;
use super::process::{Answer, LAST_WORDS, walker_text};
use super::reason::Reason;
use super::{AttrPath, EvalOptions};
use crate::NixError;
use crate::child::Running;
use crate::command::{error_message, not_run};
use crate::expression::Root;
use serde::Deserialize;
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::Stdio;
use tokio::io::BufReader;

/// A line is no longer; it has the facts of all that a job is made of.
const LONGEST: usize = 1 << 30;

/// One line, as far as it is of use here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    attr: String,
    attr_path: Option<AttrPath>,
    error: Option<String>,
    name: Option<String>,
    drv_path: Option<String>,
    #[serde(default)]
    outputs: BTreeMap<String, Option<String>>,
    extra_value: Option<Extra>,
}

#[derive(Deserialize)]
struct Extra {
    /// Derivations, each with its facts behind a space.
    facts: Vec<String>,
    #[serde(rename = "outputName")]
    output_name: Option<String>,
}

/// Evaluates what stands at the attributes, or all of the root.
pub(super) async fn evaluate(
    root: &Root,
    program: &str,
    named: &[AttrPath],
    options: &EvalOptions,
    collected: &RefCell<Collected<'_>>,
) -> Result<(), NixError> {
    let mut request = json!({
        "root": root.request, "mark": "", "select": true, "paths": 0, "recursive": options.recursive,
    });
    if !named.is_empty() {
        request["paths"] = json!(named);
    }
    let mut command = root.nix.with_common(tokio::process::Command::new(program));
    command.args(["--workers", &options.workers.max(1).to_string()]);
    command.args(["--max-memory-size", &options.max_memory.to_string()]);
    command.args(["--meta", "--apply", &walker_text(None), "--expr", &walker_text(Some(&request))]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let not_run = |source| not_run(program.to_owned(), source);
    let mut child = Running::start(&mut command).map_err(not_run)?;
    let (Some(stdout), Some(stderr)) = (child.stdout(), child.stderr()) else {
        return Err(unexpected("it has no stdout".to_owned()));
    };

    let read = async {
        let mut failed = false;
        let mut lines = BufReader::with_capacity(256 * 1024, stdout);
        let mut line = Vec::new();
        while line::whole(&mut lines, &mut line, LONGEST).await.map_err(not_run)? {
            if !line.trim_ascii().is_empty() {
                let said = serde_json::from_slice(&line).map_err(|error| unexpected(error.to_string()))?;
                failed |= take(said, &mut collected.borrow_mut());
            }
            line.clear();
        }
        Ok::<bool, NixError>(failed)
    };
    let mut stderr = BufReader::new(stderr);
    // Where a line cannot be read, nobody waits for the rest of them.
    let (failed, words) = tokio::try_join!(read, async { line::last(&mut stderr, LAST_WORDS).await.map_err(not_run) })?;
    let status = child.wait().await.map_err(not_run)?;
    // Versions differ in whether an attribute that failed is a failure of the whole, but no failure without one is.
    let told = failed && status.code() == Some(1);
    if !status.success() && !told {
        let message = error_message(&String::from_utf8_lossy(&words));
        return Err(NixError::Failed { command: format!("evaluating {} with {program}", root.shown), message });
    }
    Ok(())
}

/// Takes a line; whether it is about an attribute that failed.
fn take(line: Line, collected: &mut Collected<'_>) -> bool {
    let path = line.attr_path.unwrap_or_else(|| attr_names(&line.attr));
    if let Some(error) = line.error {
        collected.error(&path, Reason::read(&error));
        return true;
    }
    let (facts, output_name) = line.extra_value.map(|extra| (extra.facts, extra.output_name)).unwrap_or_default();
    let facts = facts.iter().filter_map(|facts| facts.split_once(' '));
    let facts = facts.map(|(derivation, facts)| (derivation.to_owned(), facts.to_owned())).collect();
    let answer = Answer {
        attr_path: path,
        outcome: "job".to_owned(),
        drv_path: line.drv_path,
        name: line.name,
        outputs: line.outputs,
        names: Vec::new(),
        recurse: false,
        refuses: false,
        output_name,
    };
    collected.path(answer, facts);
    false
}

/// The names in what it prints of versions that give no list; what cannot be taken apart is one name.
fn attr_names(text: &str) -> AttrPath {
    text.parse::<narthex_closure::AttrPath>().map_or_else(|_| vec![text.to_owned()], |path| path.into_names())
}

fn unexpected(why: String) -> NixError {
    NixError::Unexpected { command: "nix-eval-jobs".to_owned(), why }
}
