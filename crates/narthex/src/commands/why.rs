//! `narthex why`

use super::{Common, named};
use crate::cli::{Format, Named, WhyArgs};
use crate::error::CommandError;
use crate::render;
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::StorePath;
use narthex_farm::{About, explain};
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &WhyArgs) -> Result<ExitCode, CommandError> {
    let rules = settings::rules(args.policy.as_deref())?;
    let state = settings::existing_state(common.state.as_deref());
    let catalog = match &state {
        Ok(state) => Some(Catalog::open_read_only(&state.catalog()).await?),
        Err(_) => None,
    };
    let named = Named { names: args.names.clone(), attrs: args.attrs.clone() };
    let paths = named::known_paths(common, catalog.as_ref(), &named).await?;
    // What was named wrongly is said first, whether or not there is a state.
    state?;
    let mut explanations = Vec::new();
    if let Some(catalog) = &catalog {
        for path in &paths {
            explanations.push(explain(catalog, path, &rules).await?.ok_or_else(|| nothing_known(path))?);
        }
    }
    if args.policy.is_some() && explanations.iter().any(|one| matches!(one.about, About::Decided(_))) {
        render::note(
            "what was decided is shown as it was: --policy is for what was not built yet; `narthex run` decides anew",
        );
    }
    for (index, explanation) in explanations.iter().enumerate() {
        match args.format {
            Format::Table => render::why(explanation, index > 0),
            Format::Json => render::why_json(explanation),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing_known(path: &StorePath) -> CommandError {
    CommandError::failed(format!("nothing was decided about {path}"))
        .hint("`narthex run` decides, and `narthex plan --keep` makes it known; the state folder may be another one: see --state")
}
