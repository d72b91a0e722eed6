//! Feeds the corpus from vendor sources and withheld outputs.

use crate::bytes::{BATCH, with_files};
use crate::package_set::PackageSet;
use narthex_audit::{Corpus, CorpusError, Limits, Material, Place, learn};
use narthex_cache::{State, StateError};
use narthex_closure::{Derivation, StorePath};
use narthex_event::{Event, Sink};
use narthex_license::Class;
use narthex_nix::{PathInfo, Tree, TreeFile};
use narthex_policy::{Action, Rules};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why the corpus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CorpusFileError {
    /// The state folder failed.
    #[error("{0}")]
    State(#[from] StateError),
    /// The file is no corpus of this version.
    #[error("the corpus {} cannot be used", path.display())]
    Corpus {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CorpusError,
    },
    /// A file changed while it was learned, so that the corpus would lack what it holds.
    #[error("{place} of {path} changed while it was learned")]
    Changed {
        /// The store path.
        path: StorePath,
        /// The file.
        place: Place,
    },
}

pub(crate) fn load(state: &State) -> Result<Corpus, CorpusFileError> {
    match state.read_corpus()? {
        None => Ok(Corpus::default()),
        Some(bytes) => {
            Corpus::from_bytes(&bytes).map_err(|source| CorpusFileError::Corpus { path: state.corpus(), source })
        }
    }
}

/// Learns what is new and stores the corpus if anything was.
pub(crate) fn learn_new(
    mut corpus: Corpus,
    state: &State,
    materials: &Materials,
    infos: &BTreeMap<StorePath, PathInfo>,
    sink: Sink<'_>,
) -> Result<Corpus, CorpusFileError> {
    let mut changed = false;
    // Originals first, so that outputs made from them are compared with them and not the other way round.
    for (path, material) in materials.originals.iter().chain(&materials.outputs) {
        let Some(info) = infos.get(path) else { continue };
        let nar_hash = info.nar_hash.to_string();
        changed |= corpus.add_licenses(material);
        if corpus.has_learned(&nar_hash) {
            continue;
        }
        let (mut files, mut functions) = (0, 0);
        let tree = Tree::of(path);
        // A path without files is learned as well: there is nothing of it that a corpus could lack.
        let none = tree.is_empty().then(Vec::new);
        for batch in tree.batches(BATCH).chain(none) {
            let (next, learned) = with_files(&batch, |files| {
                learn(corpus, &nar_hash, path.name(), material.clone(), files, Limits::default())
            })
            .map_err(|source| CorpusFileError::Corpus { path: state.corpus(), source })?;
            all_unchanged(path, &batch)?;
            corpus = next;
            files += learned.files;
            functions += learned.functions;
            for (place, gap) in learned.gaps {
                sink(Event::Warning { message: format!("not learned: {} of {}: {gap}", place, path.name()) });
            }
        }
        changed = true;
        if files + functions > 0 {
            sink(Event::Learned { package: material.package.clone(), files, functions });
        }
    }
    if changed {
        state.write_corpus(&corpus.to_bytes())?;
    }
    Ok(corpus)
}

/// Makes sure that what was learned of opened files is what they held; this is known afterwards only.
fn all_unchanged(path: &StorePath, batch: &[TreeFile]) -> Result<(), CorpusFileError> {
    match batch.iter().find(|file| file.changed().is_some()) {
        None => Ok(()),
        Some(file) => {
            let place = Place { file: file.path.clone(), members: Vec::new() };
            Err(CorpusFileError::Changed { path: path.clone(), place })
        }
    }
}

/// What there is to learn from a package set.
#[derive(Debug, Default)]
pub(crate) struct Materials {
    /// Vendors' files as they were delivered.
    pub(crate) originals: BTreeMap<StorePath, Material>,
    outputs: BTreeMap<StorePath, Material>,
}

impl Materials {
    /// Everything that is to be learned, whether it is in the store or not.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &StorePath> {
        self.packages().map(|(path, _)| path)
    }

    /// The same with the packages' names.
    pub(crate) fn packages(&self) -> impl Iterator<Item = (&StorePath, &str)> {
        self.originals.iter().chain(&self.outputs).map(|(path, material)| (path, material.package.as_str()))
    }
}

/// Finds what is to be learned: the sources and the outputs of restricted packages, and of packages
/// that are declared under a vendor's terms.
pub(crate) fn materials(set: &PackageSet, rules: &Rules) -> Materials {
    let mut materials = Materials::default();
    for (path, derivation) in set.graph.iter() {
        let Some(facts) = set.facts(path) else { continue };
        let licenses = facts.license.licenses();
        let vendor = || rules.terms_among(licenses.iter().map(|license| license.key())).is_some();
        let withheld = || rules.policy().action(facts.class()) == Action::Withhold;
        let learned = match facts.class() {
            Class::Restricted => true,
            Class::Redistributable => vendor() || withheld(),
            // A package of which nothing is known is mostly a wrapper or a hook with free files in it.
            Class::Free | Class::Unknown => false,
        };
        if !learned {
            continue;
        }
        let unfree = licenses.iter().filter(|license| license.class() != Class::Free);
        let keys: Vec<String> = unfree.map(|license| license.key().to_owned()).collect();
        let material = Material { package: derivation.name.clone(), licenses: keys };
        for source in sources(set, derivation) {
            materials.originals.entry(source.clone()).or_insert_with(|| material.clone());
        }
        for output in derivation.outputs.values() {
            materials.outputs.insert(output.clone(), material.clone());
        }
    }
    materials
}

/// What a package is made from: those of its fetched and local files that it names as its source. One
/// that names none has everything that was fetched for it taken for its source.
fn sources<'a>(set: &'a PackageSet, derivation: &'a Derivation) -> impl Iterator<Item = &'a StorePath> {
    let fetched = derivation.inputs.keys().filter(|input| set.is_plain_source(input));
    let fetched = fetched.filter_map(|input| set.graph.get(input)).flat_map(|input| input.outputs.values());
    let local = derivation.sources.iter().filter(|source| derivation.main_sources.contains(source));
    let main = |path: &&StorePath| derivation.main_sources.is_empty() || derivation.main_sources.contains(path);
    fetched.filter(main).chain(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_while_it_was_learned_is_an_error() {
        let path: StorePath = "/nix/store/00000000000000000000000000000000-vendor-1".parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("lib"), vec![1; 100_000]).unwrap();
        let batch: Vec<TreeFile> = Tree::below(dir.path().to_owned()).batches(BATCH).flatten().collect();
        assert!(all_unchanged(&path, &batch).is_ok());
        std::fs::File::options().write(true).open(dir.path().join("lib")).unwrap().set_len(0).unwrap();
        let error = all_unchanged(&path, &batch).unwrap_err();
        assert_eq!(error.to_string(), format!("lib of {path} changed while it was learned"));
    }
}
