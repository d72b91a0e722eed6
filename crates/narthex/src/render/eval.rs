//! What a package set says of its derivations: the output of `eval`.

use super::text::{columns, count, terminal_width};
use super::{failed, out, out_json};
use narthex_closure::{Derivation, Graph, StorePath};
use narthex_farm::Diagnostic;
use narthex_license::{Class, Expr, LicenseFacts};
use narthex_nix::{DerivationFacts, EvalError, Evaluation, GraphError, Known, read_more};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One derivation of the set, with what is said of it, if anything is.
#[derive(Clone, Copy)]
struct Row<'a> {
    path: &'a StorePath,
    name: &'a str,
    attr: Option<&'a str>,
    facts: Option<&'a LicenseFacts>,
    made_from: Option<&'a StorePath>,
    derivation: Option<&'a Derivation>,
    /// What a line says that no line before it said.
    new: Option<&'a LicenseFacts>,
}

impl Row<'_> {
    fn license(&self) -> Option<String> {
        self.facts.filter(|facts| facts.license != Expr::Absent).map(|facts| facts.license.to_string())
    }

    fn class(&self) -> Class {
        self.facts.map_or(Class::Unknown, LicenseFacts::class)
    }

    /// A line as `nix-eval-jobs` writes them, with what it does not tell: `narthex plan --from` reads all of it.
    fn value(&self) -> Value {
        let mut value = json!({
            "drvPath": self.path.to_string(),
            "name": self.name,
            "license": self.license(),
            "class": self.class(),
            "position": self.facts.and_then(|facts| facts.position.as_ref()),
            "provenance": self.facts.map_or(&[] as &[String], |facts| &facts.provenance),
            "declared": self.license().is_some(),
            "reached": self.facts.is_some(),
        });
        if let Some(attr) = self.attr {
            value["attr"] = attr.into();
        }
        let mut extra = serde_json::Map::new();
        if let Some(facts) = self.new.filter(|facts| !facts.is_silent()) {
            extra.insert("license".to_owned(), facts.license.to_json());
            extra.insert("provenance".to_owned(), json!(facts.provenance));
        }
        if let Some(origin) = self.made_from {
            extra.insert("madeFrom".to_owned(), origin.to_string().into());
        }
        if !extra.is_empty() {
            value["extraValue"] = extra.into();
        }
        if let Some(derivation) = self.derivation {
            let paths = |paths: &BTreeSet<StorePath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
            let inputs = derivation.inputs.iter().map(|(path, outputs)| (path.to_string(), json!(outputs)));
            let outputs = derivation.outputs.iter().map(|(name, path)| (name.clone(), path.to_string().into()));
            value["system"] = derivation.system.as_str().into();
            value["outputs"] = Value::Object(outputs.collect());
            value["inputDrvs"] = Value::Object(inputs.collect());
            value["inputSrcs"] = paths(&derivation.sources).into();
            value["mainSrcs"] = paths(&derivation.main_sources).into();
            value["buildScripts"] = paths(&derivation.build_scripts).into();
            value["generatedText"] = derivation.generated_text.into();
            value["fixedOutput"] = derivation.fixed_output.into();
        }
        value
    }
}

/// Everything that was evaluated, and everything that it is made of. What several attributes are has a row for each.
fn rows<'a>(evaluation: &'a Evaluation, graph: &'a Graph) -> Vec<Row<'a>> {
    let mut attrs: BTreeMap<&StorePath, Vec<&str>> = BTreeMap::new();
    for job in &evaluation.jobs {
        attrs.entry(&job.derivation).or_default().push(&job.attr);
    }
    let mut known: BTreeMap<&StorePath, Row<'a>> = BTreeMap::new();
    for (path, derivation) in graph.iter() {
        let (name, derivation) = (derivation.name.as_str(), Some(derivation));
        known.insert(path, Row { path, name, attr: None, facts: None, made_from: None, derivation, new: None });
    }
    for (path, said) in &evaluation.facts {
        let (name, facts, derivation) = (said.name.as_str(), Some(&said.facts), graph.get(path));
        let made_from = said.made_from.as_ref();
        known.insert(path, Row { path, name, attr: None, facts, made_from, derivation, new: facts });
    }
    let each = |row: Row<'a>| {
        let named: Vec<Row<'a>> =
            attrs.get(row.path).into_iter().flatten().map(|attr| Row { attr: Some(attr), ..row }).collect();
        if named.is_empty() { vec![row] } else { named }
    };
    known.into_values().flat_map(each).collect()
}

/// Lines as they become known: with each job one for what it is made of and that has none, and one for itself. A derivation
/// has a further line where a later job says more of it, or is the same. Attributes that failed come last, since each says how
/// many fail alike. All lines say that they are not the last but for one behind them: whoever reads what was cut off knows.
#[derive(Default)]
pub(crate) struct EvalLines {
    graph: Graph,
    facts: BTreeMap<StorePath, DerivationFacts>,
    written: BTreeSet<StorePath>,
    /// What is to be written at once.
    text: String,
    error: Option<GraphError>,
}

impl EvalLines {
    pub(crate) fn known(&mut self, known: Known<'_>) {
        if self.error.is_none() {
            self.error = self.add(known).err();
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            out_json(&std::mem::take(&mut self.text));
        }
    }

    fn add(&mut self, known: Known<'_>) -> Result<(), GraphError> {
        let job = known.job.map(|job| job.derivation.clone());
        let mut paths = read_more(&mut self.graph, job.clone())?;
        paths.extend(known.said.keys().cloned());
        paths.extend(job.clone());
        self.facts.extend(known.facts);
        for path in paths {
            let (derivation, all) = (self.graph.get(&path), self.facts.get(&path));
            let is_first = !self.written.contains(&path);
            let said = if is_first { all } else { known.said.get(&path) };
            let row = Row {
                path: &path,
                name: derivation.map_or_else(|| all.map_or(path.name(), |all| &all.name), |known| &known.name),
                attr: known.job.filter(|job| job.derivation == path).map(|job| job.attr.as_str()),
                facts: all.map(|all| &all.facts),
                made_from: said.and_then(|said| said.made_from.as_ref()),
                derivation,
                new: said.map(|said| &said.facts),
            };
            let value = row.value();
            self.written.insert(path);
            self.line(value);
        }
        Ok(())
    }

    fn line(&mut self, mut line: Value) {
        line["last"] = false.into();
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }

    /// Ends with the attributes that failed.
    pub(crate) fn finish(mut self, errors: &[EvalError]) -> Result<(), GraphError> {
        failed::lines(errors).into_iter().for_each(|line| self.line(line));
        // After a file that cannot be read, the lines are not all.
        let is_whole = self.error.is_none();
        if is_whole {
            self.text.push_str("{\"last\":true}\n");
        }
        self.flush();
        self.error.map_or(Ok(()), Err)
    }
}

/// Licenses that are none, by attribute or derivation, and strings that name none that is known.
pub(crate) fn eval_warnings(evaluation: &Evaluation) {
    let attrs: BTreeMap<&StorePath, &str> =
        evaluation.jobs.iter().rev().map(|job| (&job.derivation, job.attr.as_str())).collect();
    let malformed = |(path, said): (&StorePath, &DerivationFacts)| {
        let what = said.facts.license.malformed()?.to_owned();
        let called = attrs.get(path).map_or_else(|| path.to_string(), |attr| format!("`{attr}`"));
        Some(Diagnostic::Malformed(called, what).to_string())
    };
    super::warnings(evaluation.facts.iter().filter_map(malformed).collect());
    let unknown = Diagnostic::unknown_licenses(evaluation.facts.values().map(|said| &said.facts));
    super::warnings(unknown.iter().map(ToString::to_string).collect());
}

pub(crate) fn eval_table(evaluation: &Evaluation, graph: &Graph) {
    out(&text(evaluation, graph, terminal_width()));
}

/// What failed, then how many jobs and derivations stand under each license: the end is what is still to be seen of much.
fn text(evaluation: &Evaluation, graph: &Graph, width: Option<usize>) -> String {
    let mut rows = rows(evaluation, graph);
    rows.dedup_by_key(|row| row.path);
    let mut counts: BTreeMap<(Class, String), (usize, usize)> = BTreeMap::new();
    for row in &rows {
        let license = row.license().unwrap_or_else(|| "(nothing declared)".to_owned());
        let (jobs, derivations) = counts.entry((row.class(), license)).or_default();
        *jobs += usize::from(row.attr.is_some());
        *derivations += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|((class, _), (_, derivations))| (*class, std::cmp::Reverse(*derivations)));
    let heading = ["JOBS", "DERIVATIONS", "CLASS", "LICENSE"].map(str::to_owned).to_vec();
    let line = |((class, license), (jobs, derivations)): ((Class, String), (usize, usize))| {
        vec![jobs.to_string(), derivations.to_string(), class.to_string(), license]
    };
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(counts.into_iter().map(line)).collect();
    let mut text = failed::text(&evaluation.errors).trim_start_matches('\n').to_owned();
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&columns(&lines, &[0, 1], width).join("\n"));
    let jobs = rows.iter().filter(|row| row.attr.is_some()).count();
    let attributes = count(evaluation.jobs.len(), "attribute");
    text.push_str(&format!("\n\n{}, {} of them jobs of {attributes}", count(rows.len(), "derivation"), jobs));
    if !evaluation.errors.is_empty() {
        text.push_str(&format!("; {} failed", count(evaluation.errors.len(), "attribute")));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_nix::{EvalError, Job};

    fn evaluation() -> Evaluation {
        let path = |name: &str| -> StorePath {
            format!("/nix/store/00000000000000000000000000000000-{name}.drv").parse().unwrap()
        };
        let mut evaluation = Evaluation::default();
        let mut add = |name: &str, license: Value| {
            let facts = LicenseFacts::from_json(&json!({"license": license, "position": "a.nix:3", "provenance": []}));
            evaluation.facts.insert(path(name), DerivationFacts { name: name.to_owned(), facts, made_from: None });
        };
        add("hello", json!("mit"));
        add("bash", json!("gpl3Plus"));
        add("vendor", json!("unfree"));
        add("src", Value::Null);
        let job = |attr: &str, name: &str| Job {
            attr: attr.to_owned(),
            derivation: path(name),
            name: name.to_owned(),
            output: None,
        };
        evaluation.jobs = vec![job("alias", "hello"), job("hello", "hello"), job("vendor", "vendor")];
        evaluation.errors = vec![EvalError { attr: "sick".to_owned(), message: "not well".to_owned() }];
        evaluation
    }

    #[test]
    fn a_line_for_each_license() {
        insta::assert_snapshot!(text(&evaluation(), &Graph::default(), None));
    }

    #[test]
    fn the_keys_of_a_derivation() {
        let (evaluation, graph) = (evaluation(), Graph::default());
        let values: Vec<Value> = rows(&evaluation, &graph).iter().map(Row::value).collect();
        insta::assert_json_snapshot!(values);
    }
}
