//! What may be named on the command line: store paths, derivations, flake attributes, files with `-A`.

use super::Common;
use crate::cli::Named;
use crate::error::CommandError;
use crate::render;
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::{AttrPath, StorePath, parse_store_path};
use narthex_nix::{EvalOptions, Expression, Nix, read_graph};
use narthex_policy::names_package;
use std::collections::HashSet;
use std::path::Path;

/// The store paths that the arguments stand for, each once and in their order.
pub(crate) async fn store_paths(common: &Common, named: &Named) -> Result<Vec<StorePath>, CommandError> {
    let mut paths = Vec::new();
    for name in &named.names {
        paths.extend(resolve(common, name, &named.attrs).await?);
    }
    Ok(once(paths))
}

/// The same, where the catalog is asked first: it knows attributes and derivations as `narthex run` last saw them, whether
/// or not their expression or their `.drv` file is there.
pub(crate) async fn known_paths(
    common: &Common,
    catalog: Option<&Catalog>,
    named: &Named,
) -> Result<Vec<StorePath>, CommandError> {
    let mut paths = Vec::new();
    for name in &named.names {
        let known = match catalog {
            Some(catalog) if named.attrs.is_empty() => match of_catalog(catalog, name).await? {
                none if none.is_empty() => by_package(catalog, name).await?,
                known => known,
            },
            _ => Vec::new(),
        };
        paths.extend(if known.is_empty() { asked_of_nix(common, name, &named.attrs).await? } else { known });
    }
    Ok(once(paths))
}

fn once(paths: Vec<StorePath>) -> Vec<StorePath> {
    let mut seen = HashSet::new();
    paths.into_iter().filter(|path| seen.insert(path.clone())).collect()
}

/// The outputs of a derivation or of a job, as the catalog knows them. A derivation may be gone from the store.
async fn of_catalog(catalog: &Catalog, name: &str) -> Result<Vec<StorePath>, CommandError> {
    let (records, known) = match in_store(name) {
        Some(path) if path.is_derivation() => {
            let known = catalog.known(&path).await?.into_iter().find(|known| known.derivation == path);
            (catalog.outputs_of(&path).await?, known)
        }
        Some(_) => return Ok(Vec::new()),
        // A file that is called as an attribute is named with its folder, `./result`.
        None if is_elsewhere(name) => return Ok(Vec::new()),
        None => {
            let Ok(path) = name.parse::<AttrPath>() else { return Ok(Vec::new()) };
            let attr = path.to_string();
            let (records, known) = match catalog.known_by_attr(&attr).await? {
                Some(known) => (catalog.outputs_of(&known.derivation).await?, Some(known)),
                None => (catalog.by_attr(&attr).await?, None),
            };
            if let (true, None, Some((attr, output))) = (records.is_empty(), &known, path.split_last()) {
                let known = catalog.known_by_attr(&attr.to_string()).await?;
                return Ok(known.and_then(|mut known| known.outputs.remove(output)).into_iter().collect());
            }
            (records, known)
        }
    };
    let known = known.into_iter().flat_map(|known| known.outputs.into_values());
    Ok(once(records.into_iter().map(|record| record.path).chain(known).collect()))
}

/// The outputs of derivations that no job has to bear the name of: by a package's name as `policy review` shows it, with a
/// version or as a pattern.
async fn by_package(catalog: &Catalog, name: &str) -> Result<Vec<StorePath>, CommandError> {
    if is_elsewhere(name) || in_store(name).is_some() {
        return Ok(Vec::new());
    }
    let seen = catalog.first_seen().await?;
    let is_named = |path: &&StorePath| names_package(name, path.name().trim_end_matches(".drv"));
    let mut named: Vec<&StorePath> = seen.keys().filter(is_named).collect();
    named.sort();
    if named.len() > SHOWN {
        render::note(&format!(
            "{} are called {name}; {SHOWN} of them follow",
            render::count(named.len(), "derivation")
        ));
    }
    let mut paths = Vec::new();
    for derivation in named.into_iter().take(SHOWN) {
        let known = catalog.known(derivation).await?;
        paths.extend(
            known.into_iter().filter(|known| known.derivation == *derivation).flat_map(|it| it.outputs.into_values()),
        );
    }
    Ok(paths)
}

/// Of derivations of one name, so many are shown.
const SHOWN: usize = 20;

async fn asked_of_nix(common: &Common, name: &str, attrs: &[String]) -> Result<Vec<StorePath>, CommandError> {
    let alone = !is_elsewhere(name) && in_store(name).is_none() && !Path::new(name).exists();
    if alone {
        return Err(CommandError::usage(format!("no job is called {name} in this state")).hint(
            "give an attribute as `narthex run` saw it, a path in /nix/store, a .drv file, FLAKE#ATTR, or a Nix file with -A ATTR",
        ));
    }
    resolve(common, name, attrs).await
}

async fn resolve(common: &Common, name: &str, attrs: &[String]) -> Result<Vec<StorePath>, CommandError> {
    if let Some(path) = in_store(name) {
        return if path.is_derivation() { outputs(vec![path]) } else { Ok(vec![path]) };
    }
    let nix = settings::nix(&common.options).await?;
    if name.contains('#') {
        return outputs(vec![nix.flake_derivation(name).await?]);
    }
    let expression = settings::expression(name).map_err(|error| {
        error.hint("give a path in /nix/store, a .drv file, FLAKE#ATTR, or a Nix file with -A ATTR")
    })?;
    if attrs.is_empty() {
        // A file outside the store that is no expression: perhaps a result link was meant.
        if let Expression::File(file) = &expression
            && let Some(path) = in_store(&file.to_string_lossy())
        {
            return Ok(vec![path]);
        }
        return Err(CommandError::usage(format!("{name} is an expression: which attribute of it is meant?"))
            .hint("name one with -A"));
    }
    outputs(derivations(&nix, &expression, attrs).await?)
}

/// Whether a text is about a file or a flake, and not about an attribute alone. In quotes, an attribute may hold anything.
fn is_elsewhere(name: &str) -> bool {
    name.starts_with(['/', '.']) || (name.contains('#') && !name.contains('"'))
}

/// The store path that a text names or lies in.
fn in_store(name: &str) -> Option<StorePath> {
    let base = name.strip_prefix("/nix/store/").map_or(name, |rest| rest.split('/').next().unwrap_or(rest));
    parse_store_path(base)
}

async fn derivations(nix: &Nix, expression: &Expression, attrs: &[String]) -> Result<Vec<StorePath>, CommandError> {
    let evaluation = nix.evaluate(expression, attrs, &EvalOptions::default(), &|_| ()).await?;
    if let Some(error) = evaluation.errors.first() {
        return Err(CommandError::failed(format!("{} does not evaluate: {}", error.attr, error.message)));
    }
    super::set::found(expression, &evaluation.jobs, &evaluation.errors, &evaluation.not_searched)?;
    Ok(evaluation.jobs.into_iter().map(|job| job.derivation).collect())
}

fn outputs(derivations: Vec<StorePath>) -> Result<Vec<StorePath>, CommandError> {
    let graph = read_graph(derivations.clone()).map_err(narthex_farm::PackageSetError::from)?;
    let of = |derivation| graph.get(derivation).map(|d| d.outputs.values().cloned()).into_iter().flatten();
    Ok(derivations.iter().flat_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::in_store;

    #[test]
    fn a_file_below_a_store_path_names_the_path() {
        let path = "/nix/store/73gjb37wdxpndxy41h1q080kxszpixqz-cuda_cudart-12.9.79";
        for name in [path, &format!("{path}/lib/libcudart.so.12"), &path["/nix/store/".len()..]] {
            assert_eq!(in_store(name).unwrap().to_string(), path);
        }
        assert_eq!(in_store("./result"), None);
        assert_eq!(in_store("/nix/store"), None);
    }
}
