//! What the catalog keeps of the derivations of a set, and what is made of it when one of their paths arrives without
//! its set: fetched, pushed, or referred to by another set.
//!
//! The package set that describes a path is always the better witness; this is for paths that it does not describe. What
//! several sets say of one derivation is put together, and the stricter counts: a set that calls somebody else's
//! package free changes nothing.

use crate::inventory::Inventory;
use crate::plan::ABSENT;
use crate::settle::{Settlement, Standing, obstacles, settle};
use narthex_cache::{Catalog, CatalogError, KnownDerivation};
use narthex_closure::{Node, StorePath, parse_store_path};
use narthex_license::text::{self, MESSAGE};
use narthex_license::{Class, LicenseFacts};
use narthex_policy::{Case, Provenance, Rules, SourceUser, Verdict, forecast};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a set said of a derivation, as the catalog has it: before any policy put it right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
enum Known {
    /// It declares this.
    Declared { facts: LicenseFacts },
    /// It is a source of these derivations; some may have been described elsewhere. Another set may declare something of
    /// it as well.
    Source {
        users: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<LicenseFacts>,
    },
    /// It declares nothing, has no source of its own, and all that it is made from is free.
    MadeFromFree,
    /// It declares nothing, and is another build of this package.
    Original { package: String, facts: LicenseFacts },
    /// It declares nothing that could be told.
    Unknown {
        /// What keeps it from being settled, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
    },
}

/// Of which nothing is told.
const UNKNOWN: Known = Known::Unknown { because: None };

impl Known {
    /// What two sets say, together.
    fn merge(self, other: Self) -> Self {
        match (self, other) {
            (one, two) if one == two => one,
            (Self::Declared { facts }, Self::Declared { facts: more }) => Self::Declared { facts: facts.merge(more) },
            (Self::Source { mut users, facts }, Self::Source { users: more, facts: others }) => {
                users.extend(more);
                Self::Source { users, facts: facts.into_iter().chain(others).reduce(LicenseFacts::merge) }
            }
            (Self::Source { users, facts }, Self::Declared { facts: more })
            | (Self::Declared { facts: more }, Self::Source { users, facts }) => {
                Self::Source { users, facts: facts.into_iter().chain([more]).reduce(LicenseFacts::merge) }
            }
            // What one set takes for another build of a package is declared in the other: both hold.
            (Self::Declared { facts }, Self::Original { facts: more, .. })
            | (Self::Original { facts: more, .. }, Self::Declared { facts }) => {
                Self::Declared { facts: facts.merge(more) }
            }
            // What is silent yields to what declares something.
            (declared @ Self::Declared { .. }, Self::MadeFromFree | Self::Unknown { .. })
            | (Self::MadeFromFree | Self::Unknown { .. }, declared @ Self::Declared { .. }) => declared,
            (Self::Original { package, facts }, Self::Original { package: other, facts: more }) if package == other => {
                Self::Original { package, facts: facts.merge(more) }
            }
            (unknown @ Self::Unknown { because: Some(_) }, _) | (_, unknown @ Self::Unknown { .. }) => unknown,
            _ => UNKNOWN,
        }
    }
}

/// Two texts of the catalog about one derivation, together.
fn merge(earlier: &str, later: &str) -> String {
    serde_json::to_string(&read(earlier).merge(read(later))).unwrap_or_else(|_| later.to_owned())
}

/// Keeps what a set says of every derivation that it describes. It has to be asked before a policy puts anything
/// right. `now` is in seconds since 1970.
///
/// # Errors
/// When the catalog fails.
pub async fn keep_facts(catalog: &Catalog, inventory: &Inventory, now: u64) -> Result<(), CatalogError> {
    let mut settlement = settle(inventory);
    let mut because = obstacles(inventory, &mut settlement);
    let graph = inventory.graph();
    let mut known = Vec::with_capacity(graph.len());
    for node in graph.nodes().filter(|node| graph.is_described(*node)) {
        let Some(derivation) = parse_store_path(graph.base_name(node)) else { continue };
        let facts = serde_json::to_string(&said(inventory, &settlement, node, because.remove(&node)));
        let outputs = graph.outputs(node).into_iter();
        known.push(KnownDerivation {
            derivation,
            name: graph.name(node).to_owned(),
            attrs: inventory.case(node).attrs.to_vec(),
            outputs: outputs.filter_map(|(name, path)| Some((name.to_owned(), parse_store_path(&path?)?))).collect(),
            facts: facts.map_err(|error| CatalogError::Row(error.to_string()))?,
        });
    }
    catalog.put_facts(&known, merge, now).await
}

fn said(inventory: &Inventory, settlement: &Settlement, node: Node, because: Option<String>) -> Known {
    let graph = inventory.graph();
    let facts = |place: u32| settlement.facts.get(place as usize).cloned();
    match settlement.standing(node) {
        Standing::Declared(place) => facts(place).map_or(UNKNOWN, |facts| Known::Declared { facts }),
        Standing::Original(original, place) => {
            facts(place).map_or(UNKNOWN, |facts| Known::Original { package: graph.name(original).to_owned(), facts })
        }
        Standing::MadeFromFree => Known::MadeFromFree,
        Standing::Source => {
            let users = settlement.users.of(node).map(|user| graph.base_name(user).to_owned()).collect();
            Known::Source { users, facts: None }
        }
        _ => Known::Unknown { because: because.map(|text| text::bounded(text, MESSAGE)) },
    }
}

/// A path that the catalog recognized.
#[derive(Clone, Debug)]
pub struct Recognized {
    /// The derivations that make it, as the catalog has them.
    pub derivations: Vec<KnownDerivation>,
    /// The name of its output.
    pub output: Option<String>,
    /// The attributes of all of them.
    attrs: Vec<String>,
    facts: Owned,
    /// What keeps it from being settled, where it is unknown.
    pub(crate) because: Option<String>,
}

/// A provenance that owns its facts.
#[derive(Clone, Debug)]
enum Owned {
    Output(Option<LicenseFacts>),
    Source(Vec<(StorePath, SourceUser)>),
    MadeFromFree,
    /// What a correction says of one of the inputs cannot be told from here.
    Incomplete,
    Original(String, LicenseFacts),
}

impl Recognized {
    /// What a policy can name it by.
    pub fn case(&self) -> Case<'_> {
        let package = self.derivations.first().map_or("", |first| &first.name);
        Case { package, attrs: &self.attrs, output: self.output.as_deref(), has_supplier: false }
    }

    /// What a decision about it goes by.
    pub fn provenance(&self) -> Provenance<'_> {
        match &self.facts {
            Owned::Output(facts) => Provenance::Output(facts.as_ref()),
            Owned::Source(users) => Provenance::Source(users.iter().map(|(_, user)| user.clone()).collect()),
            Owned::MadeFromFree => Provenance::MadeFromFree,
            Owned::Incomplete => Provenance::Incomplete {
                what: "the policy corrects licenses, and the catalog does not know which inputs it has".to_owned(),
                facts: None,
            },
            Owned::Original(name, facts) => Provenance::Original { name, facts },
        }
    }

    /// Of a source, the derivations that are made from it and of which an output was withheld.
    pub(crate) fn withheld_users(&self) -> impl Iterator<Item = &StorePath> {
        let users = match &self.facts {
            Owned::Source(users) => users.as_slice(),
            _ => &[],
        };
        users.iter().filter(|(_, user)| user.withheld).map(|(path, _)| path)
    }

    /// What is declared of it; of another build of a package, what that one declares.
    pub(crate) fn facts(&self) -> Option<&LicenseFacts> {
        match &self.facts {
            Owned::Output(facts) => facts.as_ref(),
            Owned::Original(_, facts) => Some(facts),
            Owned::Source(_) | Owned::MadeFromFree | Owned::Incomplete => None,
        }
    }

    /// The declared license as an SPDX expression; of another build of a package, that one's.
    pub fn license(&self) -> Option<String> {
        self.facts().map(LicenseFacts::shown)
    }
}

/// What the catalog knows of a path, as the policy puts it right; `None` where no set ever described it.
///
/// # Errors
/// When the catalog fails.
pub async fn recognize(catalog: &Catalog, path: &StorePath, rules: &Rules) -> Result<Option<Recognized>, CatalogError> {
    let derivations = catalog.known(path).await?;
    let Some(first) = derivations.first() else { return Ok(None) };
    let output = first.outputs.iter().find(|(_, made)| *made == path).map(|(name, _)| name.clone());
    let said = derivations.iter().map(|known| read(&known.facts)).reduce(Known::merge).unwrap_or(UNKNOWN);
    let attrs: Vec<String> = derivations.iter().flat_map(|known| known.attrs.iter().cloned()).collect();
    let case = Case { package: &first.name, attrs: &attrs, output: output.as_deref(), has_supplier: false };
    let right = |facts: LicenseFacts| rules.correct(&case, &facts).unwrap_or(facts);
    let mut because = None;
    let facts = match said {
        Known::Declared { facts } => Owned::Output(Some(right(facts))),
        Known::Original { package, facts } => match rules.correct(&case, &ABSENT) {
            Some(facts) => Owned::Output(Some(facts)),
            None => {
                let right = right_original(rules, &case, &package, &facts);
                Owned::Original(package, right.unwrap_or(facts))
            }
        },
        Known::MadeFromFree if !rules.policy().corrects() => Owned::MadeFromFree,
        Known::MadeFromFree => match rules.correct(&case, &ABSENT) {
            Some(facts) => Owned::Output(Some(facts)),
            None => Owned::Incomplete,
        },
        Known::Unknown { because: text } => {
            because = text;
            Owned::Output(Some(rules.correct(&case, &ABSENT).unwrap_or_else(|| ABSENT.clone())))
        }
        Known::Source { users, facts } => {
            let users = source_users(catalog, &users, rules).await?;
            // Of what is declared and of what is made from it, what withholds.
            let facts = facts.map(right);
            let withholds =
                |facts: &LicenseFacts| forecast(&case, &Provenance::Output(Some(facts)), rules).0 == Verdict::Withhold;
            match facts.filter(withholds) {
                Some(facts) => Owned::Output(Some(facts)),
                None => Owned::Source(users),
            }
        }
    };
    Ok(Some(Recognized { output, attrs, facts, derivations, because }))
}

/// A text of the catalog. What cannot be read tells nothing.
fn read(text: &str) -> Known {
    serde_json::from_str(text).unwrap_or(UNKNOWN)
}

/// The facts of another build of a package as a policy puts them right: by its own name, or by that of the package.
fn right_original(rules: &Rules, case: &Case<'_>, package: &str, facts: &LicenseFacts) -> Option<LicenseFacts> {
    let of_package = || rules.correct(&Case { package, ..Case::default() }, facts);
    rules.correct(case, &ABSENT).or_else(of_package)
}

/// The packages made from a source: by what they declare, and by what was decided about them.
async fn source_users(
    catalog: &Catalog,
    users: &BTreeSet<String>,
    rules: &Rules,
) -> Result<Vec<(StorePath, SourceUser)>, CatalogError> {
    let users: Vec<StorePath> = users.iter().filter_map(|user| parse_store_path(user)).collect();
    let (withheld, said) = (catalog.withheld_among(&users).await?, catalog.facts_of(&users).await?);
    let attrs = catalog.attrs_of(&users).await?;
    let mut known = Vec::with_capacity(users.len());
    for user in &users {
        let known_of = said.get(user).map_or(UNKNOWN, |text| read(text));
        let name = user.name().trim_end_matches(".drv");
        let case = Case {
            package: name,
            attrs: attrs.get(user).map_or(&[], Vec::as_slice),
            output: None,
            has_supplier: false,
        };
        let right = match &known_of {
            Known::Declared { facts } => Some(rules.correct(&case, facts).unwrap_or_else(|| facts.clone())),
            Known::Original { package, facts } => {
                Some(right_original(rules, &case, package, facts).unwrap_or_else(|| facts.clone()))
            }
            _ => None,
        };
        let (class, permitted) = match (&right, &known_of) {
            (Some(facts), _) => {
                let verdict = forecast(&case, &Provenance::Output(Some(facts)), rules).0;
                (rules.class(Some(facts)), verdict == Verdict::Publish)
            }
            (None, Known::MadeFromFree) if !rules.policy().corrects() => (Class::MadeFromFree, true),
            _ => (Class::Unknown, false),
        };
        let withheld = withheld.contains(user);
        // What it was built with is not known here.
        known.push((user.clone(), SourceUser { name: name.to_owned(), class, permitted, withheld, explained: false }));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn declared(license: &str) -> Known {
        Known::Declared { facts: LicenseFacts::from_json(&json!({ "license": license })) }
    }

    fn source(users: &[&str]) -> Known {
        Known::Source { users: users.iter().map(|user| (*user).to_owned()).collect(), facts: None }
    }

    fn class(known: &Known) -> Class {
        match known {
            Known::Declared { facts } | Known::Original { facts, .. } => facts.class(),
            Known::MadeFromFree => Class::MadeFromFree,
            Known::Source { facts: Some(facts), .. } => facts.class(),
            Known::Source { facts: None, .. } | Known::Unknown { .. } => Class::Unknown,
        }
    }

    #[test]
    fn of_two_sets_the_stricter_counts_in_any_order() {
        let original =
            Known::Original { package: "x".to_owned(), facts: LicenseFacts::from_json(&json!({ "license": "mit" })) };
        let check = |one: &Known, two: &Known, expected: Class| {
            let text = |known: &Known| serde_json::to_string(known).unwrap();
            for (one, two) in [(one, two), (two, one)] {
                let merged = merge(&text(one), &text(two));
                let read: Known = serde_json::from_str(&merged).unwrap();
                assert_eq!(class(&read), expected, "{one:?} {two:?}");
                // Saying it again changes nothing.
                assert_eq!(merge(&merged, &text(two)), merged);
            }
        };
        check(&declared("mit"), &declared("mit"), Class::Free);
        check(&declared("mit"), &declared("unfree"), Class::Restricted);
        check(&declared("mit"), &declared("no such license"), Class::Unknown);
        check(&declared("unfree"), &Known::MadeFromFree, Class::Restricted);
        check(&declared("mit"), &UNKNOWN, Class::Free);
        check(&Known::MadeFromFree, &UNKNOWN, Class::Unknown);
        let because = || Known::Unknown { because: Some("it has a source".to_owned()) };
        check(&declared("mit"), &because(), Class::Free);
        check(&Known::MadeFromFree, &because(), Class::Unknown);
        check(&UNKNOWN, &because(), Class::Unknown);
        assert_eq!(UNKNOWN.merge(because()), because());
        check(&Known::MadeFromFree, &original, Class::Unknown);
        check(&original, &original, Class::Free);
        check(&source(&["a"]), &Known::MadeFromFree, Class::Unknown);
        assert_eq!(source(&["a"]).merge(source(&["b"])), source(&["a", "b"]));
        // What is a source in one set and declared in the other is both.
        check(&source(&["a"]), &declared("unfree"), Class::Restricted);
        let Known::Source { users, .. } = declared("mit").merge(source(&["a"])) else { panic!("no source any more") };
        assert_eq!(users, BTreeSet::from(["a".to_owned()]));
        let of_unfree = Known::Original {
            package: "x".to_owned(),
            facts: LicenseFacts::from_json(&json!({ "license": "unfree" })),
        };
        check(&of_unfree, &declared("mit"), Class::Restricted);
        check(&original, &declared("mit"), Class::Free);
    }

    #[test]
    fn what_cannot_be_read_tells_nothing() {
        let free = serde_json::to_string(&Known::MadeFromFree).unwrap();
        for torn in ["", "{", "{\"rule\":\"declared\"}", "{\"rule\":\"of-tomorrow\"}"] {
            assert_eq!(merge(torn, &free), "{\"rule\":\"unknown\"}", "{torn:?}");
        }
    }
}
