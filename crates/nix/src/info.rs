//! What the store records of a path.

use crate::chunk::command_lines;
use crate::command::run;
use crate::{Nix, NixError};
use narthex_closure::{NarHash, StorePath, parse_store_path};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the store records of a path that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// SHA-256 of its NAR.
    pub nar_hash: NarHash,
    /// Size of its NAR in bytes.
    pub nar_size: u64,
    /// The paths it refers to, itself included where it does.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it, where that is known.
    pub deriver: Option<StorePath>,
    /// Its content address (`fixed:sha256:…`), where it has one.
    pub ca: Option<String>,
}

impl Nix {
    /// Asks the local store about paths; those that are not valid are absent from the answer.
    ///
    /// # Errors
    /// When Nix fails or answers in a form that is not known.
    pub async fn path_info(
        &self,
        paths: impl IntoIterator<Item = StorePath>,
    ) -> Result<BTreeMap<StorePath, PathInfo>, NixError> {
        let paths: Vec<StorePath> = paths.into_iter().collect();
        let mut infos = BTreeMap::new();
        for chunk in command_lines(&paths, |path| path.to_string().len()) {
            let mut command = self.new_command("path-info");
            // Without substituters: an invalid path is not looked for elsewhere.
            command.args(["--offline", "--option", "substituters", "", "--json"]);
            command.args(chunk.iter().map(StorePath::to_string));
            let output = run(command, "nix path-info --json").await?;
            let unexpected = |why| NixError::Unexpected { command: "nix path-info --json".to_owned(), why };
            let value = serde_json::from_slice(&output.stdout).map_err(|error| unexpected(error.to_string()))?;
            infos.extend(parse(value).map_err(unexpected)?);
        }
        Ok(infos)
    }

    /// The same for everything that these paths refer to, directly or not.
    ///
    /// # Errors
    /// As [`Nix::path_info`].
    pub async fn closure_info(
        &self,
        paths: impl IntoIterator<Item = StorePath>,
    ) -> Result<BTreeMap<StorePath, PathInfo>, NixError> {
        let mut infos: BTreeMap<StorePath, PathInfo> = BTreeMap::new();
        let mut todo: BTreeSet<StorePath> = paths.into_iter().collect();
        while !todo.is_empty() {
            let found = self.path_info(std::mem::take(&mut todo)).await?;
            let references = found.values().flat_map(|info| info.references.iter());
            todo = references.filter(|path| !infos.contains_key(path) && !found.contains_key(path)).cloned().collect();
            infos.extend(found);
        }
        Ok(infos)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    path: Option<String>,
    #[serde(default = "yes")]
    valid: bool,
    nar_hash: Option<String>,
    nar_size: Option<u64>,
    #[serde(default)]
    references: Vec<String>,
    deriver: Option<String>,
    ca: Option<String>,
}

fn yes() -> bool {
    true
}

/// Nix up to 2.18 answers with a list whose items name their path, later ones with an object by path.
fn parse(value: Value) -> Result<BTreeMap<StorePath, PathInfo>, String> {
    let rows: Vec<(Option<String>, Value)> = match value {
        Value::Array(items) => items.into_iter().map(|item| (None, item)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(path, item)| (Some(path), item)).collect(),
        other => return Err(format!("neither a list nor an object: {other}")),
    };
    let mut infos = BTreeMap::new();
    for (path, row) in rows.into_iter().filter(|(_, row)| !row.is_null()) {
        let raw: Raw = serde_json::from_value(row).map_err(|error| error.to_string())?;
        let text = path.or(raw.path).ok_or("a row without a path")?;
        let path = parse_store_path(&text).ok_or_else(|| format!("`{text}` is no store path"))?;
        let (true, Some(hash), Some(nar_size)) = (raw.valid, raw.nar_hash, raw.nar_size) else { continue };
        let store_path = |text: &String| parse_store_path(text).ok_or_else(|| format!("`{text}` is no store path"));
        let info = PathInfo {
            nar_hash: hash.parse().map_err(|error: narthex_closure::NarHashError| error.to_string())?,
            nar_size,
            references: raw.references.iter().map(store_path).collect::<Result<_, _>>()?,
            deriver: raw.deriver.as_ref().and_then(|text| parse_store_path(text)),
            ca: raw.ca,
        };
        infos.insert(path, info);
    }
    Ok(infos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PATH: &str = "/nix/store/w3n089sq9js3z3c4sjm0rikfc9yvl8i1-a";
    const HASH: &str = "sha256-I8CI4bU+EqMNYiiQVPmo1+qNbxkinEpXujkvNkJZgHc=";

    /// What Nix 2.8, 2.26 and 2.34 print for one path, each beside an invalid one.
    #[test]
    fn every_version_says_the_same() {
        let body = |extra: Value| {
            let mut row =
                json!({"narHash": HASH, "narSize": 168, "references": [PATH], "registrationTime": 1, "ultimate": true});
            row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            row
        };
        let invalid = "/nix/store/00000000000000000000000000000000-b";
        let v2_8 = json!([body(json!({"path": PATH})), {"path": invalid, "valid": false}]);
        let v2_26 = json!({PATH: body(json!({"ca": null, "deriver": null, "signatures": []})), invalid: null});
        let v2_34 = json!({PATH: body(json!({"ca": null, "deriver": null, "storeDir": "/nix/store", "version": 1})), invalid: null});
        let expected = parse(v2_8).unwrap();
        assert_eq!(expected.len(), 1);
        assert_eq!(expected[&PATH.parse().unwrap()].nar_size, 168);
        assert_eq!(parse(v2_26).unwrap(), expected);
        assert_eq!(parse(v2_34).unwrap(), expected);
    }

    #[test]
    fn other_answers_are_refused() {
        assert!(parse(json!("no")).is_err());
        assert!(parse(json!({"not-a-path": {"narHash": HASH, "narSize": 1}})).is_err());
    }
}
