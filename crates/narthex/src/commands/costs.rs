//! `narthex plan --costs`

use super::Common;
use crate::cli::CostArgs;
use crate::error::CommandError;
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::{Audience, Node};
use narthex_farm::{CostReport, Plan, plan_costs};
use narthex_nix::Nix;

/// Works out what a plan costs, by the catalog of the state folder if there is one. Users want the targets, else the
/// jobs; where there are neither, everything.
pub(crate) async fn of(
    common: &Common,
    plan: &Plan<'_>,
    targets: Option<Vec<Node>>,
    nix: Option<&Nix>,
) -> Result<CostReport, CommandError> {
    let jobs = || plan.inventory().jobs().iter().map(|(_, node)| *node).collect::<Vec<Node>>();
    let mut wanted = targets.unwrap_or_else(jobs);
    if wanted.is_empty() {
        wanted = plan.derivations();
    }
    let catalog = match settings::state_if_any(common.state.as_deref()) {
        Some(state) => Some(Catalog::open_read_only(&state.catalog()).await?),
        None => None,
    };
    Ok(plan_costs(plan, wanted, catalog.as_ref(), nix).await?)
}

/// The users that the arguments describe.
pub(crate) fn audience(args: &CostArgs) -> Audience {
    Audience {
        users: args.users,
        update_every: args.update_every,
        closure_share: args.closure_share,
        change_share: args.change_share,
    }
}
