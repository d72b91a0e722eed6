//! Sets of derivations that only licenses are asked of: evaluated, or read from lines.

use super::{Common, from};
use crate::cli::LimitArgs;
use crate::error::CommandError;
use crate::render::{self, Progress};
use crate::settings;
use narthex_farm::{Inventory, PackageSet};
use narthex_policy::Rules;
use std::path::PathBuf;

/// A set as it was said, before any policy puts it right.
#[derive(Clone)]
pub(crate) enum Set {
    Evaluated(PackageSet),
    Lines(Inventory),
}

/// Evaluates the expression, or reads the files where there is none. The second value says that every line could be
/// used.
pub(crate) async fn read(
    common: &Common,
    (expression, attrs): (Option<&str>, &[String]),
    files: &[PathBuf],
    limits: &LimitArgs,
) -> Result<(Set, bool), CommandError> {
    let Some(expression) = expression else {
        let (inventory, whole) = from::read(files)?;
        return Ok((Set::Lines(inventory), whole));
    };
    let expression = settings::expression(expression)?;
    let nix = settings::nix(&common.options).await?;
    let progress = Progress::start();
    let set = PackageSet::evaluate(&nix, &expression, attrs, &limits.options(), &|event| progress.show(event)).await;
    progress.finish();
    Ok((Set::Evaluated(set?), true))
}

impl Set {
    /// What was said.
    pub(crate) fn inventory(&self) -> std::borrow::Cow<'_, Inventory> {
        use std::borrow::Cow;
        match self {
            Self::Evaluated(set) => Cow::Owned(Inventory::of_set(set)),
            Self::Lines(inventory) => Cow::Borrowed(inventory),
        }
    }

    /// The set as a policy puts it right. Entries of the policy that are about nothing in it are a warning.
    pub(crate) fn under(self, rules: &Rules) -> Inventory {
        let inventory = match self {
            Self::Evaluated(set) => Inventory::of_set(&set.put_right(rules)),
            Self::Lines(inventory) => inventory.put_right(rules),
        };
        for entry in inventory.idle_entries(rules) {
            render::warning(&format!("the policy `{}`: {entry}", rules.policy().name()));
        }
        inventory
    }
}
