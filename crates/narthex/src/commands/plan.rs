//! `narthex plan`

use super::set::{self, Read};
use super::{Common, costs};
use crate::cli::{Format, PlanArgs};
use crate::error::{CommandError, Kind};
use crate::render;
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::{AttrPath, Node};
use narthex_farm::{Inventory, Plan, PlanDiff, keep_facts};
use narthex_policy::Rules;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &PlanArgs) -> Result<ExitCode, CommandError> {
    let rules = settings::rules(args.policy.as_deref())?;
    let against = if args.diff { Some(settings::rules(args.against.as_deref())?) } else { None };
    let Read { set, whole, nix } = set::read(common, &args.set).await?;
    if args.keep {
        keep(common, &set.inventory()).await?;
    }
    if let Some(against) = against {
        let before = set.clone().under(&against);
        return compare(args, (&before, &against), (&set.under(&rules), &rules), whole);
    }
    let inventory = set.under(&rules);
    let targets = targets(args, &inventory)?;
    let plan = plan(args, &inventory, &rules, targets.as_deref());
    // Asked for before anything is shown, since it may fail.
    let costs = match args.costs.costs {
        true => Some(costs::of(common, &plan, targets, nix.as_ref()).await?),
        false => None,
    };
    match (args.format, &costs) {
        (Format::Table, None) => render::plan_table(&plan, args.all),
        (Format::Table, Some(costs)) => {
            render::plan_table(&plan, args.all);
            render::costs_table(costs, &costs::audience(&args.costs));
        }
        (Format::Json, None) => render::plan_json(&plan),
        (Format::Json, Some(costs)) => {
            render::costs_json(costs, &costs::audience(&args.costs), plan.errors().len());
        }
    }
    Ok(ended(&plan, whole))
}

fn plan<'a>(args: &PlanArgs, inventory: &'a Inventory, rules: &'a Rules, targets: Option<&[Node]>) -> Plan<'a> {
    match targets {
        Some(targets) if !args.targets.is_empty() => Plan::narrowed(inventory, rules, targets),
        targets => Plan::new(inventory, rules, targets),
    }
}

/// Shows only what differs between two policies.
fn compare(
    args: &PlanArgs,
    (before, against): (&Inventory, &Rules),
    (after, rules): (&Inventory, &Rules),
    whole: bool,
) -> Result<ExitCode, CommandError> {
    // Both have the same graph, and a derivation the same number in both.
    let targets = targets(args, after)?;
    let before = plan(args, before, against, targets.as_deref());
    let after = plan(args, after, rules, targets.as_deref());
    let diff = PlanDiff::new(&before, &after);
    match args.format {
        Format::Table => render::diff_table(&diff, args.all),
        Format::Json => render::diff_json(&diff),
    }
    Ok(ended(&after, whole))
}

/// Exit code 1 says that something was not evaluated, not read or not described.
fn ended(plan: &Plan<'_>, whole: bool) -> ExitCode {
    render::plan_warnings(plan);
    ExitCode::from(if whole && plan.is_whole() { 0 } else { Kind::Failed.code() })
}

/// Writes into the state what the set says, before the policy puts it right.
async fn keep(common: &Common, inventory: &Inventory) -> Result<(), CommandError> {
    let state = settings::state(common.state.as_deref())?;
    let _lock = state.lock()?;
    let catalog = Catalog::open(&state.catalog()).await?;
    keep_facts(&catalog, inventory, settings::now()).await?;
    catalog.close().await;
    Ok(())
}

/// What is to be shown, if not everything.
fn targets(args: &PlanArgs, inventory: &Inventory) -> Result<Option<Vec<Node>>, CommandError> {
    Ok(if !args.targets.is_empty() {
        Some(args.targets.iter().map(|target| find(inventory, target)).collect::<Result<Vec<_>, _>>()?.concat())
    } else if args.set.from.is_empty() {
        // What an expression describes beside its jobs only tells what else is made from a source.
        Some(inventory.jobs().iter().map(|(_, node)| *node).collect())
    } else {
        None
    })
}

/// The derivations that a text names.
fn find(inventory: &Inventory, target: &str) -> Result<Vec<Node>, CommandError> {
    let graph = inventory.graph();
    // A file in an output stands for the output.
    let below = target.strip_prefix("/nix/store/").and_then(|rest| Some((target, rest.find('/')?)));
    let target = below.map_or(target, |(target, end)| &target[.."/nix/store/".len() + end]);
    if let Some(node) = graph.find(target) {
        return Ok(vec![node]);
    }
    let jobs = |name: &str| {
        let jobs = inventory.jobs().iter().filter(move |(attr, _)| attr == name);
        jobs.map(|(_, node)| *node).collect::<Vec<_>>()
    };
    // Attributes have one spelling, and a text that is no attribute path names none.
    let path = target.parse::<AttrPath>().unwrap_or_else(|_| AttrPath::new(vec![target.to_owned()]));
    let attr = path.to_string();
    let mut found: Vec<Node> = jobs(&attr).into_iter().chain(graph.makers(target)).collect();
    if let (true, Some((attr, output))) = (found.is_empty(), path.split_last()) {
        let has_output = |node: &Node| graph.outputs(*node).iter().any(|(name, _)| *name == output);
        found = jobs(&attr.to_string()).into_iter().filter(has_output).collect();
    }
    if let Some(error) = inventory.errors().iter().find(|error| error.attr == attr) {
        return Err(CommandError::failed(format!("{target} did not evaluate: {}", error.message)));
    }
    if found.is_empty() {
        let error = CommandError::usage(format!("nothing is called {target} there"));
        return Err(error.hint("give --target an attribute, the path of a .drv file, or one in an output"));
    }
    Ok(found)
}
