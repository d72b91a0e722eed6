//! `narthex plan`

use super::{Common, from};
use crate::cli::{Format, PlanArgs};
use crate::error::{CommandError, Kind};
use crate::render::{self, Progress};
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::Node;
use narthex_farm::{Inventory, PackageSet, Plan, keep_facts};
use narthex_policy::Rules;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &PlanArgs) -> Result<ExitCode, CommandError> {
    let rules = settings::rules(args.policy.as_deref())?;
    let (inventory, whole) = match &args.expression {
        None => {
            let (inventory, whole) = from::read(&args.from)?;
            if args.keep {
                keep(common, &inventory).await?;
            }
            (inventory.put_right(&rules), whole)
        }
        Some(expression) => {
            let expression = settings::expression(expression)?;
            let nix = settings::nix(&common.options).await?;
            let progress = Progress::start();
            let (attrs, options) = (&args.attrs, args.limits.options());
            let set = PackageSet::evaluate(&nix, &expression, attrs, &options, &|event| progress.show(event)).await;
            progress.finish();
            let set = set?;
            if args.keep {
                keep(common, &Inventory::of_set(&set)).await?;
            }
            let set = set.put_right(&rules);
            for entry in set.idle_entries(&rules) {
                render::warning(&format!("the policy `{}`: {entry}", rules.policy().name()));
            }
            (Inventory::of_set(&set), true)
        }
    };
    show(args, &inventory, &rules, whole)
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
    let targets = if !args.targets.is_empty() {
        Some(args.targets.iter().map(|target| find(inventory, target)).collect::<Result<Vec<_>, _>>()?.concat())
    } else if args.from.is_empty() {
        // What an expression describes beside its jobs only tells what else is made from a source.
        Some(inventory.jobs().iter().map(|(_, node)| *node).collect())
    } else {
        None
    };
    let plan = Plan::new(inventory, rules, targets.as_deref());
    match args.format {
        Format::Table => render::plan_table(&plan, args.all),
        Format::Json => render::plan_json(&plan),
    }
    render::plan_warnings(&plan);
    let sound = whole && inventory.errors().is_empty() && plan.missing().is_empty() && plan.cyclic().is_empty();
    Ok(ExitCode::from(if sound { 0 } else { Kind::Failed.code() }))
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
