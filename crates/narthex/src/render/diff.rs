//! What `plan --diff` shows: what another policy changes, in groups or one JSON object a derivation.

use super::failed::text as errors;
use super::json::{errors as json_errors, line};
use super::out;
use super::plan::{EXAMPLES, Member, holes, keep_first, push, shortened};
use super::table::short;
use super::text::{columns, count, terminal_width};
use narthex_closure::Node;
use narthex_farm::{Change, Plan, PlanDiff};
use narthex_policy::{Code, Reason, Source};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) fn diff_table(diff: &PlanDiff<'_, '_>, all: bool) {
    out(&(diff_text(diff, all, terminal_width()) + &errors(diff.after().errors())));
}

/// What an entry changes that is about to be written. What did not evaluate is told where the set is the matter.
pub(crate) fn preview_table(diff: &PlanDiff<'_, '_>) {
    out(&(diff_text(diff, false, terminal_width()) + "\n"));
}

fn diff_text(diff: &PlanDiff<'_, '_>, all: bool, width: Option<usize>) -> String {
    let (before, after) = (diff.before().rules(), diff.after().rules());
    let names = format!("`{}` → `{}`", before.policy().name(), after.policy().name());
    let mut text = format!("{names}, {}\n", count(diff.after().shown().count(), "derivation"));
    let differences = before.differences(after);
    if differences.is_empty() {
        text.push_str("the two policies say the same\n");
    } else {
        text.push_str("\nwhat the policies say differently:\n");
        let most = if all { differences.len() } else { 4 * EXAMPLES };
        push(
            &mut text,
            &columns(
                &differences.iter().take(most).map(|line| vec![format!("  {line}")]).collect::<Vec<_>>(),
                &[],
                width,
            ),
        );
        if differences.len() > most {
            text.push_str(&format!("  … and {} more\n", differences.len() - most));
        }
    }
    if diff.changed().is_empty() {
        text.push_str("\nby license alone: nothing changes\n");
    } else {
        text.push_str(&changes(diff, all, width));
    }
    if differences.iter().any(|line| line.starts_with("findings.")) {
        text.push_str("findings are made in the bytes, which a plan does not know: a run may change more\n");
    }
    text
}

fn changes(diff: &PlanDiff<'_, '_>, all: bool, width: Option<usize>) -> String {
    let counts = diff.counts();
    let heading = ["CHANGE", "DERIVATIONS", "ATTRIBUTES", "BEFORE", "AFTER"].map(str::to_owned).to_vec();
    let row = |((change, was, is), (derivations, attrs)): (&Group, &(usize, usize))| {
        vec![words(*change).to_owned(), derivations.to_string(), attrs.to_string(), was.to_string(), is.to_string()]
    };
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(counts.iter().map(row)).collect();
    let mut text = "\n".to_owned();
    push(&mut text, &columns(&rows, &[1, 2], width));
    for (key, members) in groups(diff, if all { usize::MAX } else { EXAMPLES }) {
        let (change, was, is) = key;
        text.push_str(&format!("\n{}: {was} → {is}\n", words(change)));
        let rows: Vec<Vec<String>> = members.iter().flat_map(|member| sides(diff, member)).collect();
        push(&mut text, &columns(&rows, &[], width));
        let (derivations, _) = counts.get(&key).copied().unwrap_or_default();
        if derivations > members.len() {
            text.push_str(&format!("  … and {} more\n", derivations - members.len()));
        }
    }
    let [new, gone] = diff.holes();
    text.push_str(&holes(diff.after(), "would be there", new, all));
    text.push_str(&holes(diff.after(), "would be gone", gone, all));
    let total = |wanted: Change| diff.changed().iter().filter(|(_, change)| *change == wanted).count();
    text.push_str(&format!(
        "\nby license alone: {} would be withheld that {}, {} would be published, and {} for another reason\n",
        count(total(Change::Withheld), "derivation"),
        if total(Change::Withheld) == 1 { "is published" } else { "are published" },
        total(Change::Published),
        total(Change::OtherReason),
    ));
    text
}

type Group = (Change, Code, Code);

fn words(change: Change) -> &'static str {
    match change {
        Change::Withheld => "publish → withhold",
        Change::Published => "withhold → publish",
        Change::OtherReason => "another reason",
    }
}

/// A derivation with its reason before and after. Where both say the same, the policies do different things with its
/// class, and that is what changes.
fn sides(diff: &PlanDiff<'_, '_>, member: &Member<'_>) -> Vec<Vec<String>> {
    let first = |plan: &Plan<'_>| plan.reasons(member.node).into_iter().next();
    let (before, after) = (first(diff.before()), first(diff.after()));
    let is_of_class = match (&before, &after) {
        (Some(was), Some(is)) => was.code == is.code && was.effect != is.effect && is.source == Source::Declared,
        _ => false,
    };
    let message = |reason: Option<Reason>| shortened(&reason.map(|reason| reason.message).unwrap_or_default());
    let (was, is) = (message(before), message(after));
    let attr = member.attr.map(short).unwrap_or_default();
    let name = short(diff.after().inventory().graph().name(member.node));
    if was == is || is_of_class {
        let class = diff.after().outcome_of(member.node).map(|outcome| outcome.class.to_string());
        let text = format!("classes.{} differs: {was}", class.unwrap_or_default());
        return vec![vec![format!("  {attr}"), name, text]];
    }
    vec![
        vec![format!("  {attr}"), name, format!("before: {was}")],
        vec![String::new(), String::new(), format!("after:  {is}")],
    ]
}

fn groups<'d>(diff: &'d PlanDiff<'_, '_>, most: usize) -> BTreeMap<Group, Vec<Member<'d>>> {
    let mut groups: BTreeMap<Group, Vec<Member<'_>>> = BTreeMap::new();
    for (node, change) in diff.changed() {
        let members = groups.entry(diff.group(*node, *change)).or_default();
        keep_first(members, Member::of(diff.after(), *node), most);
    }
    for members in groups.values_mut() {
        members.sort_unstable();
        members.truncate(most);
    }
    groups
}

/// One object a derivation that changes.
pub(crate) fn diff_json(diff: &PlanDiff<'_, '_>) {
    for (node, _) in diff.changed() {
        line(&changed_json(diff, *node));
    }
    json_errors(diff.after().errors());
}

fn changed_json(diff: &PlanDiff<'_, '_>, node: Node) -> Value {
    let graph = diff.after().inventory().graph();
    let side = |plan: &Plan<'_>| {
        let holes: Vec<String> = plan.holes(node).into_iter().map(|hole| graph.path(hole)).collect();
        let outcome = plan.outcome_of(node);
        let (verdict, class) = (outcome.map(|outcome| outcome.verdict), outcome.map(|outcome| outcome.class));
        json!({ "verdict": verdict, "class": class, "reasons": plan.reasons(node), "holes": holes })
    };
    let attrs: Vec<&str> = diff.after().attrs(node).collect();
    json!({
        "attr": attrs.first(),
        "attrs": attrs,
        "drvPath": graph.path(node),
        "name": graph.name(node),
        "before": side(diff.before()),
        "after": side(diff.after()),
    })
}
