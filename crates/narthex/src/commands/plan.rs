//! `narthex plan`

use super::{Common, costs, from};
use crate::cli::{Format, PlanArgs};
use crate::error::{CommandError, Kind};
use crate::render::{self, Progress};
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::Node;
use narthex_farm::{Inventory, PackageSet, Plan, keep_facts};
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &PlanArgs) -> Result<ExitCode, CommandError> {
    let rules = settings::rules(args.policy.as_deref())?;
    let (inventory, whole, nix) = match &args.expression {
        None => {
            let (inventory, whole) = from::read(&args.from)?;
            if args.keep {
                keep(common, &inventory).await?;
            }
            (inventory.put_right(&rules), whole, None)
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
            (Inventory::of_set(&set), true, Some(nix))
        }
    };
    let targets = targets(args, &inventory)?;
    let plan = Plan::new(&inventory, &rules, targets.as_deref());
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
            render::costs_json(costs, &costs::audience(&args.costs), inventory.errors().len());
        }
    }
    render::plan_warnings(&plan);
    // Exit code 1 says that something was not evaluated, not read or not described.
    let sound = whole && inventory.errors().is_empty() && plan.missing().is_empty() && plan.cyclic().is_empty();
    Ok(ExitCode::from(if sound { 0 } else { Kind::Failed.code() }))
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
    } else if args.from.is_empty() {
        // What an expression describes beside its jobs only tells what else is made from a source.
        Some(inventory.jobs().iter().map(|(_, node)| *node).collect())
    } else {
        None
    })
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
