//! Feeds the corpus from vendor sources and withheld outputs.

use crate::bytes::{BATCH, with_files};
use crate::corpus::{CorpusFileError, shipped_layers, with_shipped};
use crate::package_set::PackageSet;
use narthex_audit::{Corpus, Fingerprints, Known, Learned, Material, Origin, Place, Source, Supply, learn_beside};
use narthex_cache::State;
use narthex_closure::{Derivation, StorePath};
use narthex_event::{Event, Sink};
use narthex_license::Class;
use narthex_nix::{PathInfo, Tree, TreeFile};
use narthex_policy::{Action, Rules};
use std::cell::LazyCell;
use std::collections::BTreeMap;

/// Learns what is new and stores the state's corpus if anything was; gives it together with what ships. What ships gains
/// no second owner, but for packages that are under the same terms as the first one.
pub(crate) fn learn_new(
    own: &mut Fingerprints,
    state: &State,
    rules: &Rules,
    materials: &Materials,
    infos: &BTreeMap<StorePath, PathInfo>,
    sink: Sink<'_>,
) -> Result<Corpus, CorpusFileError> {
    let mut changed = false;
    // Most runs learn nothing, and need not read it.
    let shipped = LazyCell::new(|| Corpus::new(shipped_layers()));
    for (path, material, supply) in materials.iter() {
        let Some(info) = infos.get(path) else { continue };
        let hash = info.nar_hash.to_string();
        changed |= own.add_licenses(material);
        // Whoever came first with these bytes is not the only one who is asked.
        let learned_of = learned_of(&hash, material);
        if own.has_learned(&learned_of) {
            continue;
        }
        let source = Source { supply, ..Source::new(hash, path.name(), material.clone()) };
        let may_share = |original: &Origin, file: &str| {
            let terms = [&original.material, material].map(|material| rules.terms_for(material));
            let [Some(one), Some(other)] = terms else { return false };
            std::ptr::eq(one, other) && file.rsplit('/').next() == Some(original.file_name())
        };
        let known = Known::new(&shipped, &may_share);
        let mut learned = Learned::default();
        let tree = Tree::of(path);
        // A path without files is learned as well: there is nothing of it that a corpus could lack.
        let none = tree.is_empty().then(Vec::new);
        for batch in tree.batches(BATCH).chain(none) {
            learned.add(with_files(&batch, |files| {
                learn_beside(own, Some(&known), &source, files, crate::spill::limits())
            }));
            all_unchanged(&path.to_string(), &batch)?;
        }
        own.mark_learned(&learned_of);
        for (place, gap) in &learned.gaps {
            sink(Event::Warning { message: format!("not learned: {} of {}: {gap}", place, path.name()) });
        }
        changed = true;
        if learned.files + learned.functions > 0 {
            let (files, functions) = (learned.files, learned.functions);
            sink(Event::Learned { package: material.package(), files, functions });
        }
    }
    if changed {
        state.write_corpus(&own.to_bytes())?;
    }
    Ok(with_shipped(own))
}

/// Makes sure that what was learned of opened files is what they held; this is known afterwards only.
pub(crate) fn all_unchanged(path: &str, batch: &[TreeFile]) -> Result<(), CorpusFileError> {
    match batch.iter().find(|file| file.changed().is_some()) {
        None => Ok(()),
        Some(file) => {
            let place = Place { file: file.path.clone(), members: Vec::new() };
            Err(CorpusFileError::Changed { path: path.to_owned(), place })
        }
    }
}

/// Under which key it is remembered that a package was learned from bytes with this hash.
pub(crate) fn learned_of(hash: &str, material: &Material) -> String {
    format!("{hash} of {}", material.package())
}

/// What there is to learn from a package set.
#[derive(Debug, Default)]
pub(crate) struct Materials {
    /// Vendors' files as they were delivered, each with every package that names it as its source: none of them can
    /// keep another one from being asked.
    pub(crate) originals: BTreeMap<StorePath, Vec<Material>>,
    outputs: BTreeMap<StorePath, Material>,
}

impl Materials {
    /// Everything that is to be learned, whether it is in the store or not.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &StorePath> {
        self.originals.keys().chain(self.outputs.keys())
    }

    /// What is to be learned, of whom, and who supplied it. Originals come first, so that outputs made from them are
    /// compared with them and not the other way round.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&StorePath, &Material, Supply)> {
        let originals = self.originals.iter().flat_map(|(path, owners)| owners.iter().map(move |owner| (path, owner)));
        let originals = originals.map(|(path, material)| (path, material, Supply::Fetched));
        originals.chain(self.outputs.iter().map(|(path, material)| (path, material, Supply::Built)))
    }

    /// Names a package as an owner of a source.
    fn add_original(&mut self, source: &StorePath, material: &Material) {
        let owners = self.originals.entry(source.clone()).or_default();
        let same = |known: &&mut Material| known.package() == material.package();
        match owners.iter_mut().find(same) {
            // One package may be declared twice; terms have to permit under all of its licenses.
            Some(known) => {
                let new = material.licenses.iter().filter(|license| !known.licenses.contains(license));
                let new: Vec<String> = new.cloned().collect();
                known.licenses.extend(new);
            }
            None => owners.push(material.clone()),
        }
    }
}

/// Finds what is to be learned: the sources and the outputs of restricted packages, and of packages
/// that are declared under a vendor's terms.
pub(crate) fn materials(set: &PackageSet, rules: &Rules) -> Materials {
    let mut materials = Materials::default();
    for (path, derivation) in set.graph.iter() {
        let Some(facts) = set.facts(path) else { continue };
        let licenses = facts.license.licenses();
        let keys = || licenses.iter().map(|license| license.key());
        let vendor = || !rules.terms_of_package(&derivation.name, keys()).is_empty();
        let withheld = || rules.policy().action(facts.class()) == Action::Withhold;
        let learned = match facts.class() {
            Class::Restricted => true,
            // Its own files are not the vendor's.
            Class::Redistributable => {
                withheld() || (vendor() && !rules.may_be_application(&set.case_of(path, None), facts))
            }
            // A package of which nothing is known is mostly a wrapper or a hook with free files in it.
            Class::Free | Class::MadeFromFree | Class::Unknown => false,
        };
        if !learned {
            continue;
        }
        let unfree = licenses.iter().filter(|license| license.class() != Class::Free);
        let keys: Vec<String> = unfree.map(|license| license.key().to_owned()).collect();
        let material = Material::of_package(&derivation.name, keys);
        for source in sources(set, derivation) {
            materials.add_original(source, &material);
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
