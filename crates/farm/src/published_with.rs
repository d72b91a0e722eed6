//! The policy that a cache is published with, and what another one changes.
//!
//! Whoever forgets to name a policy must not publish what it withholds. A cache remembers its policy; a run without one
//! may take the default only where the default was it. What another text changes is shown before anything is published or
//! taken back.

use narthex_cache::{Cache, CatalogError, PolicyId, PublishError, PublishedWith, Record};
use narthex_closure::StorePath;
use narthex_event::{Event, Sink};
use narthex_policy::{Rules, Verdict};
use std::collections::BTreeMap;

/// The policy that holds where none is named.
const DEFAULT: &str = "default";

/// A policy is to be named, and none is.
#[derive(Debug, thiserror::Error)]
pub enum PolicyNotNamed {
    /// The cache is published with another one than the default.
    #[error("no policy is named, and this cache is published with `{name}`, not with the default one")]
    Other {
        /// The name that it gives itself.
        name: String,
        /// How it was named.
        named: Option<String>,
    },
    /// Nobody knows with which.
    #[error("no policy is named, and it is not known with which one this cache was published")]
    Forgotten,
}

/// The policy of a run, beside the one that the cache is published with.
#[derive(Debug)]
pub(crate) struct Choice {
    before: Option<PublishedWith>,
    is_forgotten: bool,
    id: PolicyId,
    name: String,
}

impl Choice {
    /// `named` is how the operator named the policy, where one was named.
    pub(crate) async fn of(cache: &Cache, rules: &Rules, named: Option<&str>) -> Result<Self, ChoiceError> {
        let before = cache.catalog().published_with().await?;
        let is_forgotten = before.is_none() && cache.has_paths()?;
        if named.is_none() {
            is_default(before.as_ref(), is_forgotten)?;
        }
        let id = PolicyId { digest: digest(rules), named: named.unwrap_or(DEFAULT).to_owned() };
        Ok(Self { before, is_forgotten, id, name: rules.policy().name().to_owned() })
    }

    /// Whether there are published paths and the catalog that would know of them is gone.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.is_forgotten
    }

    /// Whether decisions may come out otherwise than before, for the policy's sake.
    pub(crate) fn is_other(&self) -> bool {
        self.before.as_ref().is_some_and(|before| match &before.text {
            Some(id) => id.digest != self.id.digest,
            None => true,
        })
    }

    /// Shows what the policy changes, where it is another one.
    pub(crate) async fn show(
        &self,
        cache: &Cache,
        records: &BTreeMap<StorePath, Record>,
        sink: Sink<'_>,
    ) -> Result<(), CatalogError> {
        let Some(before) = self.before.as_ref().filter(|_| self.is_other()) else { return Ok(()) };
        let earlier = cache.catalog().among(records.keys()).await?;
        let changes = changes(&earlier, records);
        let known = earlier.values().filter(|record| record.verdict == Verdict::Publish).count();
        let elsewhere = cache.catalog().count_published().await?.saturating_sub(known);
        let withheld = changes.iter().filter(|change| change.verdict == Verdict::Withhold).count();
        let published = changes.len() - withheld;
        // Of a catalog of before only the name is known.
        if before.text.is_some() || before.name != self.name || !changes.is_empty() {
            let (before, now) = (before.name.clone(), self.name.clone());
            sink(Event::OtherPolicy { before, now, withheld, published, elsewhere });
        }
        for change in changes {
            let first = change.reasons.first();
            let reason = first.map(|first| format!("{}: {}", first.code, first.message)).unwrap_or_default();
            sink(Event::OtherVerdict {
                path: change.path.clone(),
                withheld: change.verdict == Verdict::Withhold,
                reason,
            });
        }
        Ok(())
    }

    /// Remembers it as the one that the cache is published with.
    pub(crate) async fn remember(&self, cache: &Cache, rules: &Rules) -> Result<(), CatalogError> {
        if self.before.as_ref().and_then(|before| before.text.as_ref()) == Some(&self.id) {
            return Ok(());
        }
        cache.catalog().put_published_with(&self.name, &self.id, rules.texts()).await
    }
}

/// Why a policy cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChoiceError {
    #[error("{0}")]
    NotNamed(#[from] PolicyNotNamed),
    #[error("{0}")]
    Catalog(#[from] CatalogError),
    #[error("{0}")]
    Cache(#[from] PublishError),
}

/// Whether the default is what the cache is published with already, or nothing is.
fn is_default(before: Option<&PublishedWith>, is_forgotten: bool) -> Result<(), PolicyNotNamed> {
    match before {
        None if is_forgotten => Err(PolicyNotNamed::Forgotten),
        None => Ok(()),
        Some(PublishedWith { text: Some(id), .. }) if id.named == DEFAULT => Ok(()),
        Some(PublishedWith { text: None, name }) if name == DEFAULT => Ok(()),
        Some(PublishedWith { name, text }) => {
            let named = text.as_ref().map(|id| id.named.clone());
            Err(PolicyNotNamed::Other { name: name.clone(), named })
        }
    }
}

/// What all texts of a policy come to.
fn digest(rules: &Rules) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in rules.texts() {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The paths whose verdict is another one than before. What is withheld now comes first.
fn changes<'r>(earlier: &BTreeMap<StorePath, Record>, records: &'r BTreeMap<StorePath, Record>) -> Vec<&'r Record> {
    let is_other = |now: &&Record| earlier.get(&now.path).is_some_and(|before| before.verdict != now.verdict);
    let mut changes: Vec<&Record> = records.values().filter(is_other).collect();
    changes.sort_by_key(|now| (now.verdict == Verdict::Publish, now.path.name(), &now.path));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_policy::{Date, Policy, shipped};

    #[test]
    fn the_default_is_taken_where_it_was_it() {
        let check = |before: Option<(&str, Option<&str>)>, is_forgotten: bool, expected: Result<(), &str>| {
            let text = |named: &str| PolicyId { digest: "d".to_owned(), named: named.to_owned() };
            let before = before.map(|(name, named)| PublishedWith { name: name.to_owned(), text: named.map(text) });
            let said = is_default(before.as_ref(), is_forgotten).map_err(|error| error.to_string());
            assert_eq!(said.is_ok(), expected.is_ok(), "{before:?}");
            if let (Err(said), Err(part)) = (said, expected) {
                assert!(said.contains(part), "{said}");
            }
        };
        check(None, false, Ok(()));
        check(None, true, Err("not known"));
        check(Some(("default", Some("default"))), false, Ok(()));
        check(Some(("default", None)), false, Ok(()));
        check(Some(("strict", Some("strict"))), false, Err("`strict`"));
        check(Some(("mine", Some("/etc/mine.toml"))), false, Err("`mine`"));
        check(Some(("mine", None)), false, Err("`mine`"));
        // What calls itself so is not it.
        check(Some(("default", Some("/etc/mine.toml"))), false, Err("`default`"));
    }

    /// Every text counts, also those that a policy only extends.
    #[test]
    fn the_digest_is_of_all_texts() {
        let of = |text: &str, base: &str| {
            let mut find = |named: &str, _: &str| {
                Ok(narthex_policy::PolicyText { called: named.to_owned(), text: base.to_owned() })
            };
            digest(&Rules::new(Policy::read(text, "", &mut find).unwrap(), Vec::new(), Date::of_unix_time(0)))
        };
        let mine = "version = 1\nname = \"mine\"\nextends = \"base.toml\"\n";
        let base = shipped::DEFAULT_POLICY;
        let digests = [of(mine, base), of(&format!("{mine}\n"), base), of(mine, &format!("{base}\n"))];
        assert_eq!(of(mine, base), digests[0]);
        assert!(digests[0] != digests[1] && digests[0] != digests[2] && digests[1] != digests[2]);
    }
}
