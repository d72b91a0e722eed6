//! What the cache says of a path that it does not have.

use crate::Record;
use narthex_policy::Reason;
use serde::{Deserialize, Serialize};

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
    pub license: Option<String>,
    /// Why; the first reason decides.
    pub reasons: Vec<Reason>,
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
