//! What `plan` shows: everything of a small set, groups of a large one, one JSON object a derivation.

use super::failed::text as errors;
use super::json::errors as json_errors;
use super::table::{cut_note, deciding, short};
use super::text::{columns, count, terminal_width};
use super::{out, out_json, warning, warnings};
use narthex_closure::Node;
use narthex_farm::{Diagnostic, Outcome, Plan};
use narthex_license::Class;
use narthex_policy::{Code, Reason, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// Sets of so many derivations are listed as a whole; a person reads no more.
const SMALL: usize = 200;
/// Of a group, so many are shown.
pub(super) const EXAMPLES: usize = 5;

pub(crate) fn plan_table(plan: &Plan<'_>, all: bool) {
    out(&plan_text(plan, all, terminal_width()));
}

/// What is wrong with what was read, and is no part of the result.
pub(crate) fn plan_warnings(plan: &Plan<'_>) {
    let graph = plan.inventory().graph();
    let is_unknown = |diagnostic: &&Diagnostic| matches!(diagnostic, Diagnostic::UnknownLicense(..));
    let (unknown, others): (Vec<_>, Vec<_>) = plan.inventory().diagnostics().iter().partition(is_unknown);
    for kind in [others, unknown] {
        warnings(kind.into_iter().map(ToString::to_string).collect());
    }
    warnings(plan.cyclic().into_iter().map(|node| format!("{} is made of itself", graph.path(node))).collect());
    let missing = plan.missing();
    warnings(missing.iter().map(|node| format!("{} is missing: no line describes it", graph.path(*node))).collect());
    if !missing.is_empty() {
        warning("what depends on missing derivations is withheld; give their lines with another --from");
    }
}

fn plan_text(plan: &Plan<'_>, all: bool, width: Option<usize>) -> String {
    let number = plan.shown().count();
    let mut text =
        if number <= SMALL { small(plan, &plan.derivations(), width) } else { large(plan, number, all, width) };
    text.push_str(&errors(plan.errors()));
    text
}

fn forecast(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Publish => "publish",
        Verdict::Withhold => "withhold",
    }
}

/// Every path, the jobs' first.
fn small(plan: &Plan<'_>, nodes: &[Node], width: Option<usize>) -> String {
    let graph = plan.inventory().graph();
    let mut rows = Vec::new();
    let mut verdicts = Vec::new();
    for node in nodes {
        let Some(outcome) = plan.outcome_of(*node) else { continue };
        // Where only a build can tell the path, and where no output is described, the derivation stands for it.
        let whole = (None, (outcome.verdict, plan.reasons(*node)));
        let outputs = graph.outputs(*node).into_iter().map(|(name, path)| (path, plan.of_output(*node, name)));
        let mut outputs: Vec<_> = outputs.collect();
        if outputs.is_empty() {
            outputs.push(whole);
        }
        for (path, (verdict, reasons)) in outputs {
            let name = match &path {
                Some(path) => path.strip_prefix("/nix/store/").and_then(|base| base.get(33..)).unwrap_or(path),
                None => graph.name(*node),
            };
            let (name, path) = (name.to_owned(), path.unwrap_or_else(|| graph.path(*node)));
            let line = vec![forecast(verdict).to_owned(), short(&name), deciding(&reasons)];
            rows.push((plan.attrs(*node).len() == 0, name, path, line));
            verdicts.push(verdict);
        }
    }
    rows.sort();
    let first_of_others = 1 + rows.iter().filter(|(other, ..)| !other).count();
    let heading = ["FORECAST", "NAME", "REASON"].map(str::to_owned).to_vec();
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows.into_iter().map(|(.., line)| line)).collect();
    let mut text = String::new();
    for (number, row) in columns(&lines, &[], width).iter().enumerate() {
        if number == first_of_others {
            text.push_str("\nwhat they are made of:\n");
        }
        text.push_str(row);
        text.push('\n');
    }
    let note = cut_note(&lines);
    if !note.is_empty() {
        text.push_str(&format!("\n{note}"));
    }
    text.push_str(&rulings(plan));
    let published = verdicts.iter().filter(|verdict| **verdict == Verdict::Publish).count();
    text.push_str(&format!(
        "\nby license alone: {} could be published, {} would be withheld; the audit of the bytes may withhold more\n",
        count(published, "path"),
        verdicts.len() - published
    ));
    text
}

/// Counts first, then each group with some examples.
fn large(plan: &Plan<'_>, number: usize, all: bool, width: Option<usize>) -> String {
    let counts = plan.counts();
    let total = |verdict| counts.iter().filter(|((v, _), _)| *v == verdict).map(|(_, (n, _))| n).sum::<usize>();
    let attrs: usize = counts.values().map(|(_, attrs)| attrs).sum();
    let failed = plan.errors().len();
    let mut text = format!("{}, {} among them", count(number, "derivation"), count(attrs, "attribute"));
    if failed > 0 {
        text.push_str(&format!("; {} did not evaluate", count(failed, "attribute")));
    }
    text.push_str("\n\n");
    let heading = ["FORECAST", "DERIVATIONS", "ATTRIBUTES", "DECIDED BY"].map(str::to_owned).to_vec();
    let line = |((verdict, code), (derivations, attrs)): (&(Verdict, Code), &(usize, usize))| {
        vec![forecast(*verdict).to_owned(), derivations.to_string(), attrs.to_string(), code.to_string()]
    };
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(counts.iter().map(line)).collect();
    push(&mut text, &columns(&lines, &[1, 2], width));
    for (key, members) in groups(plan, if all { usize::MAX } else { EXAMPLES }) {
        let (verdict, code) = key;
        let (derivations, _) = counts.get(&key).copied().unwrap_or_default();
        text.push_str(&format!("\n{}, {code}:\n", forecast(verdict)));
        let line = |member: &Member<'_>| {
            let name = short(plan.inventory().graph().name(member.node));
            let attr = member.attr.map(short).unwrap_or_default();
            let message = plan.reasons(member.node).into_iter().next().map(|reason| reason.message);
            vec![format!("  {attr}"), name, shortened(&message.unwrap_or_default())]
        };
        push(&mut text, &columns(&members.iter().map(line).collect::<Vec<_>>(), &[], width));
        if derivations > members.len() {
            text.push_str(&format!("  … and {} more\n", derivations - members.len()));
        }
    }
    text.push_str(&rulings(plan));
    text.push_str(&holes(plan, "published derivations are made of, and may refer to", plan.all_holes(), all));
    text.push_str(&format!(
        "\nby license alone: {} could be published, {} would be withheld; the audit of the bytes may withhold more\n",
        count(total(Verdict::Publish), "derivation"),
        total(Verdict::Withhold)
    ));
    text
}

/// How many derivations go by which rule.
fn rulings(plan: &Plan<'_>) -> String {
    let mut text = "\nwhat they go by:\n".to_owned();
    let line = |(rule, count): (&str, usize)| vec![format!("  {count}"), rule.to_owned()];
    push(&mut text, &columns(&plan.rulings().iter().map(line).collect::<Vec<_>>(), &[0], None));
    text
}

pub(super) fn push(text: &mut String, lines: &[String]) {
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

/// A source can have hundreds of users; the JSON names them all.
pub(super) fn shortened(message: &str) -> String {
    const ROOM: usize = 160;
    let cut = message.chars().count() > ROOM;
    if cut { message.chars().take(ROOM - 1).chain(['…']).collect() } else { message.to_owned() }
}

/// Holes, those first that most depends on; of equals, the order of paths holds.
pub(super) fn holes(plan: &Plan<'_>, what: &str, mut holes: Vec<(Node, usize)>, all: bool) -> String {
    if holes.is_empty() {
        return String::new();
    }
    holes.sort_by_key(|(_, referrers)| std::cmp::Reverse(*referrers));
    let mut text = format!("\n{} that {what}:\n", count(holes.len(), "hole"));
    let shown = if all { holes.len() } else { EXAMPLES };
    for (node, referrers) in holes.iter().take(shown) {
        text.push_str(&format!("  {} ← {}\n", plan.inventory().graph().name(*node), count(*referrers, "derivation")));
    }
    if holes.len() > shown {
        text.push_str(&format!("  … and {} more\n", holes.len() - shown));
    }
    text
}

/// One of a group: jobs by their attributes come before others by their names.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member<'a> {
    other: bool,
    pub(super) attr: Option<&'a str>,
    name: &'a str,
    base_name: &'a str,
    pub(super) node: Node,
}

impl<'a> Member<'a> {
    pub(super) fn of(plan: &Plan<'a>, node: Node) -> Self {
        let (graph, attr) = (plan.inventory().graph(), plan.attrs(node).next());
        Self { other: attr.is_none(), attr, name: graph.name(node), base_name: graph.base_name(node), node }
    }
}

/// Adds one to those that may be among the first. Only about twice as many are kept as are asked for.
pub(super) fn keep_first<'a>(members: &mut Vec<Member<'a>>, member: Member<'a>, most: usize) {
    if members.len() < most.saturating_mul(2) {
        members.push(member);
        return;
    }
    // Half of a full list goes, so that each member costs one comparison on the whole.
    if members.len() > most {
        members.sort_unstable();
        members.truncate(most);
    }
    if members.last().is_none_or(|last| member < *last) {
        members.push(member);
    }
}

/// The first members of each group, in one pass.
fn groups<'a>(plan: &Plan<'a>, most: usize) -> BTreeMap<(Verdict, Code), Vec<Member<'a>>> {
    let mut groups: BTreeMap<(Verdict, Code), Vec<Member<'_>>> = BTreeMap::new();
    for node in plan.shown() {
        let Some(Outcome { verdict, code, .. }) = plan.outcome_of(node) else { continue };
        keep_first(groups.entry((verdict, code)).or_default(), Member::of(plan, node), most);
    }
    for members in groups.values_mut() {
        members.sort_unstable();
        members.truncate(most);
    }
    groups
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Derivation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attr: Option<&'a str>,
    /// Only where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attrs: Vec<&'a str>,
    drv_path: String,
    name: &'a str,
    outputs: BTreeMap<&'a str, Option<String>>,
    class: Class,
    license: Option<String>,
    verdict: Verdict,
    reasons: Vec<Reason>,
    holes: Vec<String>,
}

pub(crate) fn plan_json(plan: &Plan<'_>) {
    const ENOUGH: usize = 1 << 20;
    let mut text = String::new();
    for node in plan.derivations() {
        if let Some(line) = derivation_json(plan, node) {
            text.push_str(&line);
            text.push('\n');
        }
        if text.len() > ENOUGH {
            out_json(&text);
            text.clear();
        }
    }
    out_json(&text);
    json_errors(plan.errors());
}

fn derivation_json(plan: &Plan<'_>, node: Node) -> Option<String> {
    let graph = plan.inventory().graph();
    let outcome = plan.outcome_of(node)?;
    let mut attrs: Vec<&str> = plan.attrs(node).collect();
    let attr = attrs.first().copied();
    if attrs.len() == 1 {
        attrs.clear();
    }
    let derivation = Derivation {
        attr,
        attrs,
        drv_path: graph.path(node),
        name: graph.name(node),
        outputs: graph.outputs(node).into_iter().collect(),
        class: outcome.class,
        license: plan.license(node),
        verdict: outcome.verdict,
        reasons: plan.reasons(node),
        holes: plan.holes(node).into_iter().map(|hole| graph.path(hole)).collect(),
    };
    serde_json::to_string(&derivation).ok()
}
