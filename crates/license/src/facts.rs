//! License facts: everything that a package set says of one derivation and that decisions use.

use crate::text::{self, LINE, NAME};
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
    /// Whether several derivations make one path and do not declare the same; then all of it is here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disputed: bool,
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
            provenance: Value,
            position: Option<String>,
        }
        match Raw::deserialize(value) {
            Ok(raw) => Self {
                position: raw.position.map(|position| text::bounded(position, LINE)),
                ..Self::said(&raw.license, &raw.provenance)
            },
            Err(error) => Self {
                license: Expr::Malformed(text::bounded(error.to_string(), NAME)),
                provenance: Vec::new(),
                position: None,
                correction: None,
                disputed: false,
            },
        }
    }

    /// Reads `meta.license` and `meta.sourceProvenance`: short names, or sets that have them. Where it cannot be told where
    /// the code is from, something stands beside the license that nobody understands.
    pub fn said(license: &Value, provenance: &Value) -> Self {
        let name = |value: &Value| value.as_str().or_else(|| value.get("shortName")?.as_str()).map(str::to_owned);
        let names: Option<Vec<String>> = match provenance {
            Value::Null => Some(Vec::new()),
            Value::Array(items) => items.iter().map(name).collect(),
            other => name(other).map(|name| vec![name]),
        };
        let license = Expr::from_json(license).bounded();
        let license = match (&names, license) {
            (Some(_), license) => license,
            (None, license) => {
                let unclear = Expr::Malformed("a sourceProvenance that cannot be read".to_owned());
                if license == Expr::Absent { unclear } else { Expr::All(vec![license, unclear]) }
            }
        };
        let mut provenance = names.unwrap_or_default();
        text::cut_all(&mut provenance, NAME);
        Self { license, provenance, position: None, correction: None, disputed: false }
    }

    /// Whether nothing is said that a decision could go by. That the code is its author's own source says nothing of
    /// licenses.
    pub fn is_silent(&self) -> bool {
        self.license == Expr::Absent && self.provenance.iter().all(|name| name == "fromSource")
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
        Self { license, provenance, position, correction, disputed: self.disputed || other.disputed }
    }

    /// The license as an SPDX expression, for people: one that is too long for a line is cut.
    pub fn shown(&self) -> String {
        text::bounded(self.license.to_string(), LINE)
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
    fn where_code_is_from_is_read_or_nobody_knows() {
        let check = |provenance: Value, names: &[&str], class: Class| {
            let facts = LicenseFacts::said(&json!("mit"), &provenance);
            assert_eq!(
                (facts.provenance.as_slice(), facts.class()),
                (names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().as_slice(), class),
                "{provenance}"
            );
        };
        check(json!(null), &[], Class::Free);
        check(json!(["binaryNativeCode"]), &["binaryNativeCode"], Class::Free);
        check(json!([{"shortName": "fromSource"}, "x"]), &["fromSource", "x"], Class::Free);
        check(json!({"shortName": "binaryFirmware", "isSource": false}), &["binaryFirmware"], Class::Free);
        for unclear in [json!(3), json!([3]), json!({"malformed": "throws"}), json!([{"isSource": true}])] {
            check(unclear, &[], Class::Unknown);
        }
        let silent = |license: Value, provenance: Value| LicenseFacts::said(&license, &provenance).is_silent();
        assert!(silent(json!(null), json!(null)) && silent(json!(null), json!(["fromSource"])));
        assert!(!silent(json!(null), json!(["binaryNativeCode"])) && !silent(json!(null), json!(3)));
        assert!(!silent(json!("mit"), json!(null)));
    }

    /// A license value may be a vendor's whole text; what becomes of it is a name.
    #[test]
    fn texts_of_any_length_become_names() {
        let long = "x".repeat(1_400_000);
        let values = [
            json!(long),
            json!({"shortName": long, "free": false}),
            json!({"fullName": long, "free": true}),
            json!({"spdxId": long, "free": true}),
            json!({"url": long, "free": false, "redistributable": true}),
            json!({"malformed": long}),
            json!({"licenseType": long}),
            json!({"free": long}),
            json!({"licenseType": "exception", "license": "mit", "exception": long}),
            json!({"licenseType": "plus", "license": long}),
            json!([long, {"licenseType": "compound", "operator": "OR", "licenses": [long]}]),
            json!({"licenseType": "exception", "license": {"shortName": long, "free": true}, "exception": {"shortName": long}}),
        ];
        for value in values {
            let facts = LicenseFacts::said(&value, &json!([long]));
            let written = serde_json::to_string(&facts).unwrap();
            let shown = value.to_string().chars().take(60).collect::<String>();
            assert!(written.len() < 2_000, "{} of {shown}", written.len());
            assert!(facts.license.to_string().len() < 1_000, "{shown}");
        }
        // Many short ones are read as they are, and shown as far as a line goes.
        let many: Vec<String> = (0..1000).map(|number| format!("license {number}")).collect();
        let facts = LicenseFacts::said(&json!(many), &json!(null));
        assert!(facts.shown().chars().count() < LINE + 40 && facts.shown().ends_with(" more)"), "{}", facts.shown());
        assert_eq!(LicenseFacts::said(&json!("mit"), &json!(null)).shown(), "MIT");
        let said = json!({"license": "mit", "position": long, "provenance": long});
        assert!(serde_json::to_string(&LicenseFacts::from_json(&said)).unwrap().len() < 2_000);
        assert!(
            serde_json::to_string(&LicenseFacts::from_json(&json!({"position": {long: 1}}))).unwrap().len() < 2_000
        );
    }

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
