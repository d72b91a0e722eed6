//! The plan and the outcome of `realise`.

use super::text::{columns, count, hanging, indent, quote, size, terminal_width};
use super::{err, out};
use crate::hints;
use narthex_client::{RealisePlan, Realised};
use narthex_closure::{Graph, Step, StorePath};
use narthex_nix::Cause;
use std::collections::{BTreeMap, BTreeSet};

/// Prints what will be fetched, what will be built here and why, before anything is done. The plan is
/// the data of a dry run; of a real one the paths are.
pub(crate) fn realise_plan(plan: &RealisePlan, graph: &Graph, dry_run: bool) {
    let text = plan_text(plan, graph, terminal_width());
    if dry_run { out(&text) } else { err(&text) }
}

fn plan_text(plan: &RealisePlan, graph: &Graph, width: Option<usize>) -> String {
    if plan.fill.steps.is_empty() {
        return "everything is in the store already\n".to_owned();
    }
    let mut text = String::new();
    // A fixed-output derivation is not compiled: it is fetched from its origin, or must be put into the
    // store by whoever has the file.
    let is_source = |path: &&StorePath| {
        let derivation = plan.fill.built.get(*path).and_then(|drv| graph.get(drv));
        derivation.is_some_and(|derivation| derivation.fixed_output)
    };
    let (sources, built): (Vec<&StorePath>, Vec<&StorePath>) = plan.fill.built.keys().partition(is_source);
    for (heading, paths) in [("to get from where they come from:\n", &sources), ("to build here:\n", &built)] {
        if paths.is_empty() {
            continue;
        }
        text.push_str(heading);
        let row = |path: &&StorePath| {
            let entry = plan.withheld.get(*path);
            let why = match entry.and_then(|entry| entry.reasons.first()) {
                Some(reason) => format!("withheld: {}", reason.message),
                None => "in no cache".to_owned(),
            };
            let bytes = entry.map_or("?".to_owned(), |entry| size(entry.nar_size));
            vec![format!("  {}", path.name()), bytes, why]
        };
        let mut rows: Vec<Vec<String>> = paths.iter().map(row).collect();
        rows.sort();
        text.push_str(&(columns(&rows, &[1], width).join("\n") + "\n"));
    }
    let cached: Vec<_> = plan.fill.fetched.iter().filter_map(|path| Some((path, plan.cached.get(path)?))).collect();
    if !cached.is_empty() {
        text.push_str("to fetch:\n");
        let mut rows: Vec<Vec<String>> = cached
            .iter()
            .map(|(path, cached)| {
                let download = cached.file_size.map_or("?".to_owned(), size);
                vec![format!("  {}", path.name()), size(cached.nar_size), format!("download {download}")]
            })
            .collect();
        rows.sort();
        text.push_str(&(columns(&rows, &[1], width).join("\n") + "\n"));
    }
    let download: u64 = cached.iter().filter_map(|(_, cached)| cached.file_size).sum();
    let unpacked: u64 = cached.iter().map(|(_, cached)| cached.nar_size).sum();
    text.push_str(&format!(
        "{} to build, {} to fetch: {} to download, {} unpacked\n",
        count(plan.fill.built.len(), "path"),
        count(cached.len(), "path"),
        size(download),
        size(unpacked)
    ));
    text.push_str("in this order:\n");
    for (number, step) in plan.fill.steps.iter().enumerate() {
        let (what, mut names): (&str, Vec<String>) = match step {
            Step::Fetch(paths) => ("fetch", paths.iter().map(|path| path.name().to_owned()).collect()),
            Step::Build(derivations) => (
                "build",
                derivations.keys().map(|drv| graph.get(drv).map_or(drv.name(), |d| &d.name).to_owned()).collect(),
            ),
        };
        names.sort();
        text.push_str(&format!("  {}. {what} {}\n", number + 1, names.join(", ")));
    }
    text
}

/// Prints the paths that were asked for, as `nix-build` does.
pub(crate) fn realised(wanted: &BTreeSet<StorePath>) {
    out(&wanted.iter().map(|path| format!("{path}\n")).collect::<String>());
}

/// Says which holes are still there, what their builds wrote last, and what waits for them.
pub(crate) fn holes_remain(realised: &Realised, graph: &Graph) {
    let failed = &realised.failed;
    let waiting: Vec<&str> = realised.waiting.iter().map(StorePath::name).collect();
    let waiting = waiting.join(", ");
    let mut text =
        hanging("error: ", &format!("{} could not be built, so {waiting} is not there", names(failed, graph)));
    for (derivation, log) in failed {
        text.push_str(&quote(log));
        if !log.is_empty() {
            text.push_str(&format!("  the whole log: nix-store --read-log {derivation}\n"));
        }
    }
    let has_log = failed.values().any(|log| !log.is_empty());
    let said = realised.refused.values().chain(if has_log { &[] as &[String] } else { &realised.errors });
    let mut seen = BTreeSet::new();
    for error in said.filter(|error| seen.insert(error.as_str())) {
        text.push_str(&indent(error, "  "));
    }
    let cause = Cause::among(realised.refused.values().chain(&realised.errors).map(String::as_str));
    let hint = match hints::for_cause(cause) {
        _ if has_log => Some("do what the log asks for"),
        hint => hint,
    };
    let hint = hint.map_or_else(String::new, |hint| format!("{hint}; then run this again, and "));
    text.push_str(&format!("hint: {hint}what was fetched is kept\n"));
    err(&text);
}

fn names(failed: &BTreeMap<StorePath, Vec<String>>, graph: &Graph) -> String {
    failed.keys().map(|drv| graph.get(drv).map_or(drv.name(), |d| &d.name)).collect::<Vec<_>>().join(", ")
}
