//! Sets of derivations that only licenses are asked of: evaluated, or read from lines.

use super::{Common, from};
use crate::cli::SetOrLines;
use crate::error::CommandError;
use crate::render::{self, Progress};
use crate::settings;
use narthex_farm::{Inventory, PackageSet, RunReport};
use narthex_nix::{EvalError, Expression, Job, Nix};
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
    let set = PackageSet::evaluate(&nix, &expression, attrs, false, &options, &|event| progress.show(event)).await;
    progress.finish();
    let set = set?;
    found(&expression, &set.jobs, &set.errors, &set.not_searched)?;
    Ok(Read { set: Set::Evaluated(set), whole: true, nix: Some(nix) })
}

/// Says where nobody looked for jobs. That nothing was found at all is an error, with what was looked for.
pub(crate) fn found(
    expression: &Expression,
    jobs: &[Job],
    errors: &[EvalError],
    not_searched: &[String],
) -> Result<(), CommandError> {
    let is_empty = jobs.is_empty() && errors.is_empty();
    if is_empty && not_searched.is_empty() {
        return Err(CommandError::failed(format!("{expression} holds no derivations")).hint(
            "a job is an attribute that is a derivation; name another expression, or one of its attributes with -A",
        ));
    }
    let some: Vec<&str> = not_searched.iter().take(SHOWN).map(String::as_str).collect();
    let more = not_searched.len() - some.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let some = format!("{}{more}", some.join(", "));
    if is_empty {
        return Err(CommandError::failed(format!("nothing to build was found in {expression}")).hint(format!(
            "sets are searched that say `recurseForDerivations = true`, and these do not: {some}; name one with -A, or search all of \
             them with --recursive"
        )));
    }
    if !not_searched.is_empty() {
        render::note(&format!("not searched, as `recurseForDerivations` is not set: {some}; --recursive searches all"));
    }
    Ok(())
}

/// The same for what `narthex run` did.
pub(crate) fn found_by_run(expression: &Expression, report: &RunReport) -> Result<(), CommandError> {
    found(expression, &report.jobs, &report.errors, &report.not_searched)
}

/// So many sets are named that were not searched.
const SHOWN: usize = 5;

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
