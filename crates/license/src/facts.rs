//! License facts: everything that a package set says of one derivation and that decisions use.

use crate::{Class, Expr, Reading};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// That somebody put the facts right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// The license that the package set declares, as an SPDX expression.
    pub was: String,
    /// Why that is wrong.
    pub reason: String,
    /// Where what is right can be read.
    pub source: String,
}

/// What the package set says of one derivation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseFacts {
    /// The license value.
    pub license: Expr,
    /// `meta.sourceProvenance`: short names such as `binaryNativeCode`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provenance: Vec<String>,
    /// `meta.position`: file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// What was put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<Box<Correction>>,
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
            Ok(raw) => Self {
                license: Expr::from_json(&raw.license),
                provenance: raw.provenance,
                position: raw.position,
                correction: None,
            },
            Err(error) => Self {
                license: Expr::Malformed(error.to_string()),
                provenance: Vec::new(),
                position: None,
                correction: None,
            },
        }
    }

    /// What two places say of one derivation, together: what is silent yields, and where both speak and
    /// differ, both licenses apply.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let license = match (self.license, other.license) {
            (license, Expr::Absent) | (Expr::Absent, license) => license,
            (one, two) if one == two => one,
            (Expr::All(mut parts), one) => {
                if !parts.contains(&one) {
                    parts.push(one);
                }
                Expr::All(parts)
            }
            (one, two) => Expr::All(vec![one, two]),
        };
        let mut provenance = self.provenance;
        provenance.extend(other.provenance);
        provenance.sort();
        provenance.dedup();
        let (position, correction) = (self.position.or(other.position), self.correction.or(other.correction));
        Self { license, provenance, position, correction }
    }

    /// What the license comes to under the strict reading.
    pub fn class(&self) -> Class {
        self.license.class()
    }

    /// What the license comes to under a reading of lists.
    pub fn class_under(&self, reading: Reading) -> Class {
        self.license.class_under(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_declarations_of_one_derivation_both_apply() {
        let facts = |license: Value| LicenseFacts::from_json(&json!({ "license": license }));
        let class = |one: Value, two: Value| {
            let (one, two) = (facts(one), facts(two));
            let merged = one.clone().merge(two.clone());
            assert_eq!(merged.class(), two.merge(one).class());
            merged.class()
        };
        assert_eq!(class(json!("mit"), json!("unfree")), Class::Restricted);
        assert_eq!(class(json!("mit"), json!(null)), Class::Free);
        assert_eq!(class(json!("mit"), json!("mit")), Class::Free);
        assert_eq!(class(json!("mit"), json!("no such license")), Class::Unknown);
        assert_eq!(class(json!(["mit", "bsd3"]), json!("unfree")), Class::Restricted);
    }
}
