//! License facts: everything that a package set says of one derivation and that decisions use.

use crate::{Class, Expr};
use serde::Deserialize;
use serde_json::Value;

/// What the package set says of one derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseFacts {
    /// The license value.
    pub license: Expr,
    /// `meta.sourceProvenance`: short names such as `binaryNativeCode`.
    pub provenance: Vec<String>,
    /// `meta.position`: file and line.
    pub position: Option<String>,
}

impl LicenseFacts {
    /// Reads the facts as the walker writes them.
    ///
    /// Shape: `{license, position?, provenance?}`; whatever else is there is passed over, and a
    /// value that is not such an object gives facts with a malformed license.
    pub fn from_json(value: &Value) -> Self {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(default)]
            license: Value,
            #[serde(default)]
            provenance: Vec<String>,
            position: Option<String>,
        }
        match Raw::deserialize(value) {
            Ok(raw) => {
                Self { license: Expr::from_json(&raw.license), provenance: raw.provenance, position: raw.position }
            }
            Err(error) => Self { license: Expr::Malformed(error.to_string()), provenance: Vec::new(), position: None },
        }
    }

    /// What the license comes to.
    pub fn class(&self) -> Class {
        self.license.class()
    }
}
