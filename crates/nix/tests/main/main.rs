//! A real Nix, with a store of each test's own. Once a test is selected, a missing Nix fails it.

#![expect(clippy::unwrap_used, reason = "in a test, what is not there is the failure")]

mod eval_jobs;
mod evaluate;
mod flake;

use narthex_event::Event;
use narthex_nix::{EvalOptions, Evaluation, Expression, Nix, NixError};
use std::path::{Path, PathBuf};

/// A Nix store below a folder, whose paths are called as everywhere, and a place for files.
struct World {
    nix: Nix,
    dir: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store").display().to_string();
        let nix = Nix::detect(vec![("store".to_owned(), store)]).await.unwrap();
        Self { nix, dir }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The package set of the tests with these arguments.
    fn set(&self, arguments: &str) -> Expression {
        let text = format!("import {} {{ {arguments} }}", data("set.nix").display());
        Expression::File(self.file("set.nix", &text))
    }

    async fn try_evaluate(
        &self,
        expression: &Expression,
        attrs: &[&str],
        options: &EvalOptions,
    ) -> Result<Evaluation, NixError> {
        let attrs: Vec<String> = attrs.iter().map(|attr| (*attr).to_owned()).collect();
        self.nix.evaluate(expression, &attrs, options, &|_: Event| ()).await
    }

    async fn evaluate(&self, expression: &Expression, attrs: &[&str], options: &EvalOptions) -> Evaluation {
        self.try_evaluate(expression, attrs, options).await.unwrap()
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn workers(workers: usize) -> EvalOptions {
    // All of them from the beginning.
    EvalOptions { workers, spread: 0, ..EvalOptions::default() }
}

/// The attributes of the jobs.
fn attrs(evaluation: &Evaluation) -> Vec<&str> {
    evaluation.jobs.iter().map(|job| job.attr.as_str()).collect()
}

/// Exactly these attributes failed, and each message has the part that belongs to it.
#[track_caller]
fn failed(evaluation: &Evaluation, expected: &[(&str, &str)]) {
    let found: Vec<&str> = evaluation.errors.iter().map(|error| error.attr.as_str()).collect();
    let attrs: Vec<&str> = expected.iter().map(|(attr, _)| *attr).collect();
    assert_eq!(found, attrs, "{:#?}", evaluation.errors);
    for (error, (attr, part)) in evaluation.errors.iter().zip(expected) {
        assert!(error.message.contains(part), "{attr}: {}", error.message);
    }
}
