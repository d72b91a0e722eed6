//! `narthex policy`: policies by themselves, and what nobody has decided.

use super::set::{self, Read};
use super::{Common, decide};
use crate::cli::{Format, PolicyCheckArgs, PolicyCommand, ReviewArgs};
use crate::error::{CommandError, Kind};
use crate::render;
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::Node;
use narthex_farm::{FirstSeen, Plan, review};
use narthex_policy::schema;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, command: &PolicyCommand) -> Result<ExitCode, CommandError> {
    match command {
        PolicyCommand::Check(args) => check(args),
        PolicyCommand::Review(args) => undecided(common, args).await,
        PolicyCommand::Decide(args) => decide::run(common, args).await,
        PolicyCommand::Show { policy } => {
            render::out(&settings::resolved_policy(policy)?);
            Ok(ExitCode::SUCCESS)
        }
        PolicyCommand::Schema => {
            render::out(schema::POLICY);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Shows every mistake of the policy, and of the terms that it names.
fn check(args: &PolicyCheckArgs) -> Result<ExitCode, CommandError> {
    let files = settings::check(&args.policy)?;
    match args.format {
        Format::Table => render::policy_table(&files),
        Format::Json => render::policy_json(&files),
    }
    let sound = files.iter().all(|file| file.mistakes.is_empty());
    Ok(ExitCode::from(if sound { 0 } else { Kind::Usage.code() }))
}

/// Exit code 3 says that something is undecided; 1, that nothing is among what could be read, and not all could.
async fn undecided(common: &Common, args: &ReviewArgs) -> Result<ExitCode, CommandError> {
    let rules = settings::rules(args.policy.as_deref())?;
    let Read { set, whole, .. } = set::read(common, &args.set).await?;
    let seen = first_seen(common).await?;
    let inventory = set.under(&rules);
    // What an expression describes beside its jobs is not part of them.
    let jobs: Vec<Node> = inventory.jobs().iter().map(|(_, node)| *node).collect();
    let plan = Plan::new(&inventory, &rules, args.set.from.is_empty().then_some(jobs.as_slice()));
    let review = review(&plan, &seen);
    match args.format {
        Format::Table => render::review_table(&plan, &review),
        Format::Json => render::review_json(&plan, &review),
    }
    render::plan_warnings(&plan);
    render::review_warnings(&review);
    Ok(match (review.undecided.is_empty(), whole && plan.is_whole()) {
        (false, _) => ExitCode::from(Kind::Refused.code()),
        (true, false) => ExitCode::from(Kind::Failed.code()),
        (true, true) => ExitCode::SUCCESS,
    })
}

/// What the catalog knows, where there is one.
async fn first_seen(common: &Common) -> Result<FirstSeen, CommandError> {
    let Some(state) = settings::state_if_any(common.state.as_deref()) else { return Ok(FirstSeen::default()) };
    let catalog = Catalog::open_read_only(&state.catalog()).await?;
    let seen = catalog.first_seen().await?;
    Ok(FirstSeen::of(seen.iter().map(|(path, seen)| (path, *seen))))
}
