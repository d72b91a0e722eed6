//! `narthex plan`

use super::{Common, set};
use crate::cli::{Format, PlanArgs};
use crate::error::{CommandError, Kind};
use crate::render;
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::Node;
use narthex_farm::{Inventory, Plan, PlanDiff, keep_facts};
use narthex_policy::Rules;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &PlanArgs) -> Result<ExitCode, CommandError> {
    let rules = settings::rules(args.policy.as_deref())?;
    let against = if args.diff { Some(settings::rules(args.against.as_deref())?) } else { None };
    let selection = (args.expression.as_deref(), args.attrs.as_slice());
    let (set, whole) = set::read(common, selection, &args.from, &args.limits).await?;
    if args.keep {
        keep(common, &set.inventory()).await?;
    }
    match against {
        None => show(args, &set.under(&rules), &rules, whole),
        Some(against) => {
            let before = set.clone().under(&against);
            compare(args, (&before, &against), (&set.under(&rules), &rules), whole)
        }
    }
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

/// Exit code 1 says that something was not evaluated, not read or not described.
fn show(args: &PlanArgs, inventory: &Inventory, rules: &Rules, whole: bool) -> Result<ExitCode, CommandError> {
    let plan = Plan::new(inventory, rules, targets(args, inventory)?.as_deref());
    match args.format {
        Format::Table => render::plan_table(&plan, args.all),
        Format::Json => render::plan_json(&plan),
    }
    Ok(ended(&plan, whole))
}

/// Shows only what differs between two policies; exit code 1 as above.
fn compare(
    args: &PlanArgs,
    (before, against): (&Inventory, &Rules),
    (after, rules): (&Inventory, &Rules),
    whole: bool,
) -> Result<ExitCode, CommandError> {
    // Both have the same graph, and a derivation the same number in both.
    let targets = targets(args, after)?;
    let before = Plan::new(before, against, targets.as_deref());
    let after = Plan::new(after, rules, targets.as_deref());
    let diff = PlanDiff::new(&before, &after);
    match args.format {
        Format::Table => render::diff_table(&diff, args.all),
        Format::Json => render::diff_json(&diff),
    }
    Ok(ended(&after, whole))
}

fn targets(args: &PlanArgs, inventory: &Inventory) -> Result<Option<Vec<Node>>, CommandError> {
    if !args.targets.is_empty() {
        let found = args.targets.iter().map(|target| find(inventory, target)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Some(found.concat()));
    }
    // What an expression describes beside its jobs only tells what else is made from a source.
    let jobs = || inventory.jobs().iter().map(|(_, node)| *node).collect();
    Ok(args.from.is_empty().then(jobs))
}

fn ended(plan: &Plan<'_>, whole: bool) -> ExitCode {
    render::plan_warnings(plan);
    let sound = whole && plan.inventory().errors().is_empty() && plan.missing().is_empty() && plan.cyclic().is_empty();
    ExitCode::from(if sound { 0 } else { Kind::Failed.code() })
}

/// The derivations that a text names.
fn find(inventory: &Inventory, target: &str) -> Result<Vec<Node>, CommandError> {
    let graph = inventory.graph();
    if let Some(node) = graph.find(target) {
        return Ok(vec![node]);
    }
    let jobs = inventory.jobs().iter().filter(|(attr, _)| attr == target).map(|(_, node)| *node);
    let found: Vec<Node> = jobs.chain(graph.makers(target)).collect();
    if found.is_empty() {
        let error = CommandError::usage(format!("nothing is called {target} there"));
        return Err(error.hint("give --target an attribute, the path of a .drv file or of an output"));
    }
    Ok(found)
}
