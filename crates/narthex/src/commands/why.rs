//! `narthex why`

use super::{Common, named};
use crate::cli::{Format, Named, WhyArgs};
use crate::error::CommandError;
use crate::render;
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::StorePath;
use narthex_farm::explain;
use std::path::Path;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &WhyArgs) -> Result<ExitCode, CommandError> {
    let rules = settings::rules(args.policy.as_deref())?;
    let state = settings::existing_state(common.state.as_deref());
    let catalog = match &state {
        Ok(state) => Some(Catalog::open_read_only(&state.catalog()).await?),
        Err(_) => None,
    };
    let mut paths: Vec<StorePath> = Vec::new();
    for name in &args.names {
        let known = match &catalog {
            Some(catalog) if args.attrs.is_empty() => known_paths(catalog, name).await?,
            _ => Vec::new(),
        };
        let found = if known.is_empty() { asked_of_nix(common, name, &args.attrs).await? } else { known };
        for path in found {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    // What was named wrongly is said first, whether or not there is a state.
    state?;
    let mut explanations = Vec::new();
    if let Some(catalog) = &catalog {
        for path in &paths {
            explanations.push(explain(catalog, path, &rules).await?.ok_or_else(|| nothing_known(path))?);
        }
    }
    for (index, explanation) in explanations.iter().enumerate() {
        match args.format {
            Format::Table => render::why(explanation, index > 0),
            Format::Json => render::why_json(explanation),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The outputs of a derivation or of a job, as the catalog knows them. A derivation may be gone from the store.
async fn known_paths(catalog: &Catalog, name: &str) -> Result<Vec<StorePath>, CommandError> {
    let (mut records, known) = match named::in_store(name) {
        Some(path) if path.is_derivation() => {
            let known = catalog.known(&path).await?.into_iter().find(|known| known.derivation == path);
            (catalog.outputs_of(&path).await?, known)
        }
        Some(_) => return Ok(Vec::new()),
        // A file that is called as an attribute is named with its folder, `./result`.
        None if name.contains(['/', '#']) => return Ok(Vec::new()),
        None => match catalog.known_by_attr(name).await? {
            Some(known) => (catalog.outputs_of(&known.derivation).await?, Some(known)),
            None => (catalog.by_attr(name).await?, None),
        },
    };
    let mut paths: Vec<StorePath> = records.drain(..).map(|record| record.path).collect();
    for path in known.into_iter().flat_map(|known| known.outputs.into_values()) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    Ok(paths)
}

async fn asked_of_nix(common: &Common, name: &str, attrs: &[String]) -> Result<Vec<StorePath>, CommandError> {
    let alone = !name.contains(['/', '#']) && named::in_store(name).is_none() && !Path::new(name).exists();
    if alone {
        return Err(CommandError::usage(format!("no job is called {name} in this state")).hint(
            "give an attribute as `narthex run` saw it, a path in /nix/store, a .drv file, FLAKE#ATTR, or a Nix file with -A ATTR",
        ));
    }
    named::store_paths(common, &Named { names: vec![name.to_owned()], attrs: attrs.to_vec() }).await
}

fn nothing_known(path: &StorePath) -> CommandError {
    CommandError::failed(format!("nothing was decided about {path}"))
        .hint("`narthex run` decides, and `narthex plan --keep` makes it known; the state folder may be another one: see --state")
}
