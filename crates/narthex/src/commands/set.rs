//! Sets of derivations that only licenses are asked of: evaluated, or read from lines.

use super::{Common, from};
use crate::cli::SetOrLines;
use crate::error::CommandError;
use crate::render::{self, Progress};
use crate::settings;
use narthex_farm::{Inventory, PackageSet};
use narthex_nix::Nix;
use narthex_policy::Rules;

/// A set as it was said, before any policy puts it right.
#[derive(Clone)]
pub(crate) enum Set {
    Evaluated(PackageSet),
    Lines(Inventory),
}

/// What was read.
pub(crate) struct Read {
    pub(crate) set: Set,
    /// Whether every line could be used.
    pub(crate) whole: bool,
    /// The Nix that evaluated it.
    pub(crate) nix: Option<Nix>,
}

/// Evaluates the expression, or reads the files where there is none.
pub(crate) async fn read(common: &Common, wanted: &SetOrLines) -> Result<Read, CommandError> {
    let Some(expression) = &wanted.expression else {
        let (inventory, whole) = from::read(&wanted.from)?;
        return Ok(Read { set: Set::Lines(inventory), whole, nix: None });
    };
    let expression = settings::expression(expression)?;
    let nix = settings::nix(&common.options).await?;
    let progress = Progress::start();
    let (attrs, options) = (&wanted.attrs, wanted.limits.options());
    let set = PackageSet::evaluate(&nix, &expression, attrs, &options, &|event| progress.show(event)).await;
    progress.finish();
    Ok(Read { set: Set::Evaluated(set?), whole: true, nix: Some(nix) })
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
        let idle = inventory.idle_entries(rules).into_iter();
        render::warnings(idle.map(|entry| format!("the policy `{}`: {entry}", rules.policy().name())).collect());
        inventory
    }
}
