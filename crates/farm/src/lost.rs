//! A corpus that lacks what it once had: how that is noticed, and what is known of the time before.
//!
//! The catalog remembers what the corpus learned from. Where the catalog is lost as well, the withheld entries of vendors'
//! packages tell what it must have been. It decides nothing: what follows is [`Lost`](narthex_policy::Lost).

use crate::learn::{Materials, learned_of};
use narthex_audit::{Corpus, Fingerprints, Material};
use narthex_cache::{Cache, Catalog, CatalogError, PublishError, Record};
use narthex_closure::StorePath;
use narthex_event::{Event, Sink};
use narthex_nix::PathInfo;
use narthex_policy::{Code, Decision, Reason, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// What stands before a package of which nothing but the name is known; else it is the hash of a NAR or of files.
const BY_NAME: &str = "package:";

/// What is lacking, and what was decided while it was there.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    /// The packages, for people; `None` where nothing is lacking.
    materials: Option<String>,
    earlier: BTreeMap<StorePath, (Verdict, Vec<Reason>)>,
    same_policy: bool,
    /// What was decided about the same bytes, where only a part of the set was evaluated.
    before: Option<BTreeMap<StorePath, (Verdict, Vec<Reason>)>>,
}

impl Lacking {
    /// What a decision about a path has to know.
    pub(crate) fn of(&self, path: &StorePath) -> Option<narthex_policy::Lost<'_>> {
        let earlier = self.earlier.get(path).map(|(verdict, reasons)| (*verdict, reasons.as_slice(), self.same_policy));
        Some(narthex_policy::Lost { materials: self.materials.as_deref()?, earlier })
    }

    /// What holds of a decision where only a part of the set was evaluated.
    pub(crate) fn in_part(
        &self,
        decision: Decision,
        is_silent: bool,
        again: impl FnOnce(&[Reason]) -> Decision,
    ) -> Decision {
        let Some(before) = &self.before else { return decision };
        let earlier = before.get(decision.path()).map(|(verdict, reasons)| (*verdict, reasons.as_slice()));
        narthex_policy::in_part(decision, earlier, is_silent && self.materials.is_none(), again)
    }

    /// Knows what was decided about the same bytes while the whole set was known.
    pub(crate) async fn and_the_rest_of_the_set(
        mut self,
        cache: &Cache,
        infos: &BTreeMap<StorePath, PathInfo>,
    ) -> Result<Self, CatalogError> {
        let records = cache.catalog().among(infos.keys()).await?.into_iter();
        let is_same =
            |(path, record): &(StorePath, Record)| infos.get(path).is_some_and(|info| info.nar_hash == record.nar_hash);
        let known = records.filter(is_same).map(|(path, record)| (path, (record.verdict, record.reasons)));
        self.before = Some(known.collect());
        Ok(self)
    }

    /// Looks for what the corpus lacks; where it does, for earlier decisions about exactly these bytes.
    pub(crate) async fn find(
        cache: &Cache,
        corpus: &Corpus,
        infos: &BTreeMap<StorePath, PathInfo>,
        same_policy: bool,
        sink: Sink<'_>,
    ) -> Result<Self, PublishError> {
        let Some(materials) = lacks(cache.catalog(), corpus).await? else { return Ok(Self::default()) };
        sink(Event::Warning { message: warning(&materials) });
        let records = cache.catalog().among(infos.keys()).await?;
        let mut earlier = BTreeMap::new();
        for (path, info) in infos {
            match records.get(path) {
                Some(Record { nar_hash, verdict, reasons, .. }) if *nar_hash == info.nar_hash => {
                    earlier.insert(path.clone(), (*verdict, reasons.clone()));
                }
                // It was decided about other bytes.
                Some(_) => {}
                // The catalog was lost. Nothing comes into the folder while something is lacking, so that what is
                // there came before.
                None if cache.has(path, info.nar_hash)? => {
                    earlier.insert(path.clone(), (Verdict::Publish, Vec::new()));
                }
                None => {}
            }
        }
        Ok(Self { materials: Some(materials), earlier, same_policy, before: None })
    }
}

/// What a person is told.
pub(crate) fn warning(materials: &str) -> String {
    format!(
        "the corpus was lost and is not whole yet: it lacks {materials}. Run the package sets that have them, or forget them with \
         `narthex corpus remove`; until then, nothing is published that was not published before"
    )
}

/// Names the packages that the corpus lacks of all that the catalog says that it learned from.
///
/// # Errors
/// When the catalog fails.
pub async fn lacks(catalog: &Catalog, corpus: &Corpus) -> Result<Option<String>, CatalogError> {
    let known: BTreeSet<String> = corpus.list().into_iter().map(|listed| listed.material.package()).collect();
    let has = |hash: &str| match hash.strip_prefix(BY_NAME) {
        Some(package) => known.contains(package),
        None => corpus.has_learned(hash),
    };
    let learned = catalog.learned().await?;
    let lacking: BTreeSet<String> =
        learned.into_iter().filter(|(hash, _)| !has(hash)).map(|(_, package)| package).collect();
    Ok((!lacking.is_empty()).then(|| lacking.into_iter().collect::<Vec<_>>().join(", ")))
}

/// Writes down what the corpus has learned from: what this set taught it, and what came to it otherwise.
pub(crate) async fn note_learned(
    catalog: &Catalog,
    own: &Fingerprints,
    materials: &Materials,
    infos: &BTreeMap<StorePath, PathInfo>,
) -> Result<(), CatalogError> {
    let mut packages: BTreeMap<String, String> = BTreeMap::new();
    for (path, material, _) in materials.iter() {
        let Some(info) = infos.get(path) else { continue };
        let (hash, package) = (info.nar_hash.to_string(), material.package());
        packages.insert(learned_of(&hash, material), package.clone());
        let owners = packages.entry(hash).or_default();
        if owners.is_empty() {
            *owners = package;
        } else if !owners.split(", ").any(|owner| owner == package) {
            owners.push_str(", ");
            owners.push_str(&package);
        }
    }
    note(catalog, own, packages).await
}

/// Writes down what a state's corpus has learned from. `named` are packages by what they were learned from.
///
/// # Errors
/// When the catalog fails.
pub(crate) async fn note(
    catalog: &Catalog,
    own: &Fingerprints,
    mut named: BTreeMap<String, String>,
) -> Result<(), CatalogError> {
    let known = catalog.learned().await?;
    // Which material came from which of these, the corpus does not say.
    let others = || {
        let listed = own.materials().map(Material::package);
        let others: BTreeSet<String> = listed.filter(|package| !known.values().any(|known| known == package)).collect();
        if others.is_empty() { "what was added by hand".to_owned() } else { Vec::from_iter(others).join(", ") }
    };
    for hash in own.learned().filter(|hash| !known.contains_key(*hash)) {
        named.entry(hash.to_owned()).or_insert_with(others);
    }
    named.retain(|hash, _| !known.contains_key(hash));
    catalog.put_learned(&named).await
}

/// What the catalog knows that a corpus learned from, when some packages are to be forgotten deliberately.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    /// By what they were learned from: these packages.
    pub(crate) gone: BTreeMap<String, String>,
    /// What the others were learned from.
    pub(crate) kept: Vec<String>,
}

impl Forgotten {
    /// `is_meant` says of a package whether it is to be forgotten.
    pub(crate) fn among(learned: BTreeMap<String, String>, is_meant: impl Fn(&str) -> bool) -> Self {
        let (gone, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            learned.into_iter().partition(|(_, packages)| packages.split(", ").all(&is_meant));
        Self { gone, kept: kept.into_keys().collect() }
    }
}

/// Where the catalog was lost: writes down what the corpus must have known, by the entries of restricted packages.
pub(crate) async fn recall(cache: &Cache, own: &Fingerprints) -> Result<(), PublishError> {
    let has = |package: &str| own.materials().any(|material| material.package() == package);
    let mut packages = BTreeMap::new();
    for entry in cache.withheld_entries()? {
        let is_restricted = entry.reasons.iter().any(|reason| reason.code == Code::LicenseRestricted);
        let name = entry.deriver.as_deref().unwrap_or(&entry.path);
        let name = name.trim_start_matches("/nix/store/").trim_end_matches(".drv");
        // Behind the hash.
        let package = name.get(33..).map(|name| Material::of_package(name, Vec::new()).package());
        if let Some(package) = package.filter(|package| is_restricted && !has(package)) {
            packages.insert(format!("{BY_NAME}{package}"), package);
        }
    }
    Ok(cache.catalog().put_learned(&packages).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_forgotten() {
        let learned = [("sha256:1", "a-1"), ("sha256:2", "a-2"), ("blake3:3", "a-1, b-1"), ("package:c-1", "c-1")];
        let learned = || learned.iter().map(|(hash, package)| ((*hash).to_owned(), (*package).to_owned())).collect();
        let check = |meant: &[&str], gone: &[&str], kept: &[&str]| {
            let forgotten = Forgotten::among(learned(), |package| meant.contains(&package));
            assert_eq!(forgotten.gone.into_keys().collect::<Vec<_>>(), gone, "{meant:?}");
            assert_eq!(forgotten.kept, kept, "{meant:?}");
        };
        check(&[], &[], &["blake3:3", "package:c-1", "sha256:1", "sha256:2"]);
        check(&["a-1"], &["sha256:1"], &["blake3:3", "package:c-1", "sha256:2"]);
        check(&["a-1", "b-1"], &["blake3:3", "sha256:1"], &["package:c-1", "sha256:2"]);
        check(&["c-1"], &["package:c-1"], &["blake3:3", "sha256:1", "sha256:2"]);
    }
}
