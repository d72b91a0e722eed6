//! Which build logs may leave: what a build could read, it may have printed.
//!
//! A log is published as it is, so that nothing here looks into it. It is held against what its build could read: what its
//! derivation declares, with all that this refers to, and what its texts name without declaring it. A name that a build puts
//! together from pieces is not found here; a sandbox keeps it from being read.

use crate::learn::Materials;
use crate::package_set::PackageSet;
use narthex_cache::Record;
use narthex_closure::{Derivation, StorePath, hash_part, parse_store_path, store_hashes};
use narthex_nix::{Nix, NixError, PathInfo};
use narthex_policy::Verdict;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::OnceLock;

/// The longest log that is published. The logs of large builds have some megabytes; what is longer is of little use to
/// whoever looks for a reason.
pub(crate) const LONGEST: u64 = 16 << 20;

/// The longest text of a builder that is looked into.
const LONGEST_SCRIPT: u64 = 1 << 20;

/// What has to be known of a set to tell which logs may leave.
pub(crate) struct Logs<'a> {
    set: &'a PackageSet,
    infos: &'a BTreeMap<StorePath, PathInfo>,
    records: &'a BTreeMap<StorePath, Record>,
    /// Local sources, and what they refer to.
    sources: BTreeMap<StorePath, PathInfo>,
    /// Those of them that a build may print.
    plain: BTreeSet<StorePath>,
    /// The hashes of all paths that may be printed.
    public: HashSet<String>,
    /// The hashes of all paths in the store; found when they are first asked for.
    store: OnceLock<HashSet<String>>,
}

impl<'a> Logs<'a> {
    pub(crate) async fn of(
        nix: &Nix,
        set: &'a PackageSet,
        materials: &Materials,
        infos: &'a BTreeMap<StorePath, PathInfo>,
        records: &'a BTreeMap<StorePath, Record>,
    ) -> Result<Self, NixError> {
        let sources: BTreeSet<StorePath> =
            set.graph.iter().flat_map(|(_, derivation)| derivation.sources.clone()).collect();
        let sources = nix.closure_info(sources).await?;
        let is_withheld =
            |path: &StorePath| records.get(path).is_some_and(|record| record.verdict == Verdict::Withhold);
        // What a withheld package is made from is not decided about where nothing refers to it, and goes with it.
        let made = set.graph.iter().filter(|(_, derivation)| derivation.outputs.values().any(is_withheld));
        let secret: BTreeSet<&StorePath> = made.flat_map(|(_, derivation)| &derivation.main_sources).collect();
        // A file that evaluation put into the store has a content address. A vendor's is not for printing, and what is none
        // is somebody's product.
        let is_plain = |(path, info): &(&StorePath, &PathInfo)| {
            let original = materials.originals.contains_key(*path);
            info.ca.is_some() && !original && !secret.contains(path) && !is_withheld(path)
        };
        let plain: BTreeSet<StorePath> = sources.iter().filter(is_plain).map(|(path, _)| path.clone()).collect();
        let published = records.values().filter(|record| record.verdict == Verdict::Publish);
        let public = published.map(|record| &record.path).chain(&plain).chain(set.graph.iter().map(|(path, _)| path));
        let public = public.map(hash_part).collect();
        Ok(Self { set, infos, records, sources, plain, public, store: OnceLock::new() })
    }

    /// Whether the log of a derivation's build may leave.
    pub(crate) fn may_leave(&self, path: &StorePath) -> bool {
        let Some(derivation) = self.set.graph.get(path) else { return false };
        let references =
            |path: &StorePath| self.infos.get(path).or_else(|| self.sources.get(path)).map(|info| &info.references);
        derivation.outputs.values().all(|output| self.is_published(output))
            && reach(self.set, derivation, &references)
                .is_some_and(|reached| reached.iter().all(|path| self.is_published(path) || self.plain.contains(path)))
            && self.names_nothing_else(path, derivation)
    }

    fn is_published(&self, path: &StorePath) -> bool {
        self.records.get(path).is_some_and(|record| record.verdict == Verdict::Publish)
    }

    /// Whether the texts that the build was given name no path that may not be printed. What cannot be read may name any.
    fn names_nothing_else(&self, path: &StorePath, derivation: &Derivation) -> bool {
        let is_harmless = |text: &[u8]| {
            store_hashes(text)
                .all(|found| self.public.contains(found.hash) || !(found.is_path || self.is_there(found.hash)))
        };
        let Ok(text) = std::fs::read(path.to_string()) else { return false };
        let scripts =
            || derivation.build_scripts.iter().all(|script| script_text(script).is_none_or(|text| is_harmless(&text)));
        is_harmless(&text) && derivation.build_scripts.iter().all(is_short) && scripts()
    }

    /// Whether something in the store has this hash. A derivation is a text that is no secret.
    fn is_there(&self, hash: &str) -> bool {
        let store = self.store.get_or_init(|| {
            let names = std::fs::read_dir("/nix/store").into_iter().flatten().flatten();
            let paths = names.filter_map(|entry| parse_store_path(&entry.file_name().to_string_lossy()));
            paths.filter(|path| !path.is_derivation()).map(|path| hash_part(&path)).collect()
        });
        store.contains(hash)
    }
}

/// The text of a builder's script; nothing where it is no file.
fn script_text(script: &StorePath) -> Option<Vec<u8>> {
    let file = script.to_string();
    if Path::new(&file).is_file() { std::fs::read(&file).ok() } else { None }
}

fn is_short(script: &StorePath) -> bool {
    std::fs::metadata(script.to_string()).is_ok_and(|meta| meta.is_dir() || meta.len() <= LONGEST_SCRIPT)
}

/// Everything that a build could read: what its derivation declares, with all that this refers to. `None` where something
/// declared has no path that is known, or where the build may read what is not declared.
pub(crate) fn reach<'i>(
    set: &PackageSet,
    derivation: &Derivation,
    references: &dyn Fn(&StorePath) -> Option<&'i BTreeSet<StorePath>>,
) -> Option<BTreeSet<StorePath>> {
    let declared = derivation.inputs.values().map(BTreeSet::len).sum::<usize>() + derivation.sources.len();
    let mut todo: Vec<StorePath> = set.graph.build_inputs(derivation).into_iter().collect();
    if todo.len() < declared || derivation.needs.reads_undeclared() {
        return None;
    }
    let mut seen: BTreeSet<StorePath> = todo.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        let references = references(&path).into_iter().flatten();
        todo.extend(references.filter(|path| seen.insert((*path).clone())).cloned());
    }
    Some(seen)
}
