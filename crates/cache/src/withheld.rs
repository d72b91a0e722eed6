//! What the cache says of a path that it does not have.

use crate::Record;
use narthex_policy::{Reason, text};
use serde::{Deserialize, Deserializer, Serialize};

/// The object `withheld/<hash>.json`: the recipe of a withheld path, and why it is withheld.
///
/// It holds everything that somebody needs to build the path, and nothing of the path's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WithheldEntry {
    /// The store path.
    pub path: String,
    /// The derivation that makes it.
    pub deriver: Option<String>,
    /// The output of the derivation.
    pub output: Option<String>,
    /// Size of the NAR in bytes where it was built, so that a plan can be priced.
    pub nar_size: u64,
    /// The declared license as an SPDX expression.
    #[serde(default, deserialize_with = "bounded")]
    pub license: Option<String>,
    /// Why; the first reason decides.
    pub reasons: Vec<Reason>,
}

/// Another cache may say anything.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let license = Option::<String>::deserialize(deserializer)?;
    Ok(license.map(|license| text::bounded(license, text::LINE)))
}

impl From<&Record> for WithheldEntry {
    fn from(record: &Record) -> Self {
        Self {
            path: record.path.to_string(),
            deriver: record.deriver.as_ref().map(ToString::to_string),
            output: record.output.clone(),
            nar_size: record.nar_size,
            license: record.license.clone(),
            reasons: record.reasons.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_cache_says_has_bounds() {
        let long = "x".repeat(100_000);
        let reason = serde_json::json!({
            "code": "license-restricted", "source": "declared", "effect": "withhold", "message": long,
            "evidence": [{"place": long, "notes": [long]}],
        });
        let entry = serde_json::json!({"path": "/nix/store/x", "narSize": 1, "license": long, "reasons": [reason]});
        let read: WithheldEntry = serde_json::from_value(entry).unwrap();
        assert!(serde_json::to_string(&read).unwrap().len() < 10_000);
        let none: WithheldEntry =
            serde_json::from_str(r#"{"path": "/nix/store/x", "narSize": 1, "reasons": []}"#).unwrap();
        assert_eq!((none.license, none.deriver), (None, None));
    }
}
