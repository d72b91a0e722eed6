//! Feeds the corpus from vendor sources and withheld outputs.

use crate::bytes::{batches, with_files};
use crate::package_set::PackageSet;
use narthex_audit::{Corpus, CorpusError, Limits, Material, learn};
use narthex_cache::{State, StateError};
use narthex_closure::StorePath;
use narthex_event::{Event, Sink};
use narthex_license::Class;
use narthex_nix::PathInfo;
use narthex_policy::Rules;
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
    set: &PackageSet,
    rules: &Rules,
    infos: &BTreeMap<StorePath, PathInfo>,
    sink: Sink<'_>,
) -> Result<Corpus, CorpusFileError> {
    let mut changed = false;
    for (path, material) in materials(set, rules) {
        let Some(info) = infos.get(&path) else { continue };
        let nar_hash = info.nar_hash.to_string();
        if corpus.has_learned(&nar_hash) {
            continue;
        }
        let (mut files, mut functions) = (0, 0);
        for batch in batches(PathBuf::from(path.to_string())) {
            let (next, learned) = with_files(&batch, |files| {
                learn(corpus, &nar_hash, path.name(), material.clone(), files, Limits::default())
            })
            .map_err(|source| CorpusFileError::Corpus { path: state.corpus(), source })?;
            corpus = next;
            files += learned.files;
            functions += learned.functions;
            for (place, gap) in learned.gaps {
                sink(Event::Warning { message: format!("not learned: {} of {}: {gap}", place, path.name()) });
            }
        }
        changed = true;
        if files + functions > 0 {
            sink(Event::Learned { package: material.package, files, functions });
        }
    }
    if changed {
        state.write_corpus(&corpus.to_bytes())?;
    }
    Ok(corpus)
}

/// What is to be learned: vendor originals first, so that outputs made from them are compared with
/// the originals and not the other way round.
fn materials(set: &PackageSet, rules: &Rules) -> Vec<(StorePath, Material)> {
    let (mut originals, mut outputs) = (BTreeMap::new(), BTreeMap::new());
    for (path, derivation) in set.graph.iter() {
        let Some(facts) = set.facts(path) else { continue };
        let licenses = facts.license.licenses();
        let vendor = rules.terms_for(licenses.iter().map(|license| license.key())).is_some();
        if facts.class() != Class::Restricted && !(vendor && facts.class() != Class::Free) {
            continue;
        }
        let unfree = licenses.iter().filter(|license| license.class() != Class::Free);
        let keys: Vec<String> = unfree.map(|license| license.key().to_owned()).collect();
        let material = Material { package: derivation.name.clone(), licenses: keys };
        for input in derivation.inputs.keys() {
            let Some(source) = set.graph.get(input).filter(|_| set.is_plain_source(input)) else {
                continue;
            };
            // A package that does not say which of them is its source has them all learned.
            let main = |path: &&StorePath| derivation.main_sources.is_empty() || derivation.main_sources.contains(path);
            for output in source.outputs.values().filter(main) {
                originals.entry(output.clone()).or_insert_with(|| material.clone());
            }
        }
        for output in derivation.outputs.values() {
            outputs.insert(output.clone(), material.clone());
        }
    }
    originals.into_iter().chain(outputs).collect()
}
