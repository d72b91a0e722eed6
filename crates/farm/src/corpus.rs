//! The corpus: what this state learned, beside what ships with the program.

use crate::bytes::{BATCH, with_files};
use crate::learn::all_unchanged;
use crate::lost;
use narthex_audit::{
    Corpus, CorpusError, Fingerprints, Layer, Learned, Material, PackError, Place, Records, Source, learn, learn_free,
    pack_records,
};
use narthex_cache::{Catalog, CatalogError, State, StateError};
use narthex_nix::{Tree, open_file};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The shipped files, unpacked when the program was built; `corpus/MANIFEST.md` says what went into them.
static SHIPPED: include_dir::Dir<'_> = include_dir::include_dir!("$OUT_DIR/corpus");

/// Hashes of published releases, among the shipped files.
const RECORDS: &str = "releases.rec";

/// Compressed once and shipped often.
const LEVEL: i32 = 19;

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
    /// A file that was to be imported is no corpus of this version.
    #[error("{} cannot be imported", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CorpusError,
    },
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file changed while it was learned, so that the corpus would lack what it holds.
    #[error("{place} of {path} changed while it was learned")]
    Changed {
        /// What was learned.
        path: String,
        /// The file.
        place: Place,
    },
    /// Lines from which records are to be made are none.
    #[error("{} cannot be packed", path.display())]
    Pack {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PackError,
    },
    /// The catalog failed.
    #[error("{0}")]
    Catalog(#[from] CatalogError),
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Which layers an audit asks, beside what this state learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// Those that ship with the program as well.
    With,
    /// No others.
    Without,
}

/// Reads the corpus: what a state learned, if there is one, and what ships with the program.
///
/// # Errors
/// When the state's file cannot be read, or is not a corpus of this version.
pub fn load_corpus(state: Option<&State>, shipped: Shipped) -> Result<Corpus, CorpusFileError> {
    let own = state.map(|state| state.corpus()).filter(|path| path.exists());
    let own = own.map(|path| read_layer(&path)).transpose()?;
    let (shipped, records) = match shipped {
        Shipped::With => rayon::join(shipped_layers, shipped_records),
        Shipped::Without => (Vec::new(), None),
    };
    Ok(Corpus::layered(own.into_iter().collect(), shipped).with_records(records))
}

/// Hashes of published releases, which ship with the program.
pub fn shipped_records() -> Option<Records> {
    Some(Records::built_in(SHIPPED.get_file(RECORDS)?.contents()).expect("a shipped file is of this program's format"))
}

/// Makes a file of records from lines of text; gives its size in bytes. Only whoever makes the shipped corpus has a
/// use for it.
///
/// # Errors
/// When a file cannot be read or written, or a line is no record.
pub fn pack_into(lines: &Path, file: &Path) -> Result<u64, CorpusFileError> {
    let text =
        std::fs::read_to_string(lines).map_err(|source| CorpusFileError::Read { path: lines.to_owned(), source })?;
    let bytes = pack_records(&text).map_err(|source| CorpusFileError::Pack { path: lines.to_owned(), source })?;
    let unwritable = |source| CorpusFileError::Write { path: file.to_owned(), source };
    let bytes = zstd::bulk::compress(&bytes, LEVEL).map_err(unwritable)?;
    std::fs::write(file, &bytes).map_err(unwritable)?;
    Ok(bytes.len() as u64)
}

/// The layers that ship with the program, in the order of their names.
pub fn shipped_layers() -> Vec<Layer> {
    let mut files: Vec<_> = SHIPPED.files().filter(|file| file.path() != Path::new(RECORDS)).collect();
    files.sort_by_key(|file| file.path());
    let layer = |file: &&'static include_dir::File<'static>| {
        Layer::built_in(file.contents()).expect("a shipped file is of this program's format")
    };
    // They are of very different sizes.
    files.par_iter().with_max_len(1).map(layer).collect()
}

/// Reads one corpus file, which may be compressed.
///
/// # Errors
/// When it cannot be read, or is not a corpus of this version.
pub fn read_layer(path: &Path) -> Result<Layer, CorpusFileError> {
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let unreadable = |source| CorpusFileError::Read { path: path.to_owned(), source };
    let bytes = open_file(path).map_err(unreadable)?;
    let layer = if bytes.starts_with(&ZSTD) {
        let mut unpacked = Vec::new();
        let decoder = zstd::Decoder::with_buffer(&*bytes).map_err(unreadable)?;
        std::io::Read::read_to_end(&mut std::io::Read::take(decoder, 4 << 30), &mut unpacked).map_err(unreadable)?;
        Layer::new(unpacked)
    } else {
        Layer::new(bytes)
    };
    layer.map_err(|source| CorpusFileError::Corpus { path: path.to_owned(), source })
}

/// What a state learned, in the form in which it grows.
pub(crate) fn own(state: &State) -> Result<Fingerprints, CorpusFileError> {
    let path = state.corpus();
    if !path.exists() {
        return Ok(Fingerprints::default());
    }
    Ok(Fingerprints::from_layer(&read_layer(&path)?))
}

/// What a state learned, with what ships.
pub(crate) fn with_shipped(own: &Fingerprints) -> Corpus {
    // A state that learned nothing has no file, and audits without it.
    let layer = || Layer::new(own.to_bytes()).expect("a file that was just written is sound");
    let (shipped, records) = rayon::join(shipped_layers, shipped_records);
    Corpus::layered((!own.is_empty()).then(layer).into_iter().collect(), shipped).with_records(records)
}

/// What is said of material that is added by hand.
#[derive(Clone, Debug)]
pub struct Addition {
    /// Whose it is.
    pub material: Material,
    /// It is free software that shares code with restricted material of the corpus.
    pub free: bool,
    /// Members of its archives that are free software, by their names; `*` stands for any letters.
    pub free_members: Vec<String>,
    /// What its libraries export is an interface that others implement as well.
    pub open_interface: bool,
}

/// Learns from a file or folder, and everything inside it, for a state's corpus. `None` where exactly these
/// bytes were learned before.
///
/// # Errors
/// When the path cannot be read at all, or the corpus not be written.
pub fn add_to_corpus(
    state: &State,
    path: &Path,
    addition: &Addition,
    shipped: Shipped,
) -> Result<Option<Learned>, CorpusFileError> {
    let unreadable = |source| CorpusFileError::Read { path: path.to_owned(), source };
    std::fs::metadata(path).map_err(unreadable)?;
    let _lock = state.lock()?;
    let mut own = own(state)?;
    let tree = Tree::below(path.to_owned());
    let mut hasher = blake3::Hasher::new();
    for batch in tree.batches(BATCH) {
        for file in batch {
            hasher.update(file.path.as_bytes());
            if let Ok(bytes) = &file.bytes {
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            }
        }
    }
    let Addition { material, free, free_members, open_interface } = addition.clone();
    // The same bytes may be a vendor's and turn out to be free.
    let hash = format!("{}:{}", if free { "free" } else { "blake3" }, hasher.finalize().to_hex());
    // Free software is read again: the corpus may have grown since.
    if !free && own.has_learned(&hash) && !own.add_licenses(&material) {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let source = Source { free_members, open_interface, ..Source::new(hash, name, material) };
    let corpus = if !free {
        Corpus::default()
    } else if shipped == Shipped::With {
        with_shipped(&own)
    } else {
        own.to_corpus()
    };
    let mut learned = Learned::default();
    for batch in tree.batches(BATCH) {
        let part = with_files(&batch, |files| match free {
            false => learn(&mut own, &source, files, crate::spill::limits()),
            true => learn_free(&mut own, &corpus, &source, files, crate::spill::limits()),
        });
        all_unchanged(&path.display().to_string(), &batch)?;
        learned.add(part);
    }
    state.write_corpus(&own.to_bytes())?;
    Ok(Some(learned))
}

/// Forgets material of a state's corpus, given as `NAME` or `NAME-VERSION`; gives the packages that were forgotten. What the
/// corpus lacks of them already, because it was lost, is forgotten as well and no longer missed.
///
/// # Errors
/// When the corpus or the catalog cannot be read or written.
pub async fn remove_from_corpus(state: &State, named: &[String]) -> Result<Vec<String>, CorpusFileError> {
    let _lock = state.lock()?;
    let mut own = own(state)?;
    let catalog = existing_catalog(state).await?;
    let learned = match &catalog {
        Some(catalog) => catalog.learned().await?,
        None => BTreeMap::new(),
    };
    let is_meant = |package: &str| is_named(&Material::of_package(package, Vec::new()), named);
    let forgotten = lost::Forgotten::among(learned, is_meant);
    let kept: Vec<&String> = forgotten.kept.iter().filter(|hash| own.has_learned(hash)).collect();
    let gone = own.remove(|material| is_named(material, named));
    let mut packages: BTreeSet<String> = gone.iter().map(Material::package).collect();
    if !gone.is_empty() {
        // Which material was learned from what, the corpus does not know, and forgets all of that.
        kept.into_iter().for_each(|hash| own.mark_learned(hash));
        // The corpus first: should the program end here, a run misses what was removed until it is removed again.
        state.write_corpus(&own.to_bytes())?;
    }
    if let Some(catalog) = catalog {
        catalog.forget_learned(forgotten.gone.keys().map(String::as_str)).await?;
        catalog.close().await;
        packages.extend(forgotten.gone.into_values());
    }
    Ok(packages.into_iter().collect())
}

/// Writes down in the catalog, where there is one, what the corpus has learned by hand: should the corpus be lost, it is missed.
/// `package` is what it was learned from.
///
/// # Errors
/// When the corpus cannot be read, or the catalog not be written.
pub async fn note_added(state: &State, package: Option<&str>) -> Result<(), CorpusFileError> {
    let _lock = state.lock()?;
    let Some(catalog) = existing_catalog(state).await? else { return Ok(()) };
    let (own, known) = (own(state)?, catalog.learned().await?);
    let new = own.learned().filter(|hash| !known.contains_key(*hash));
    let named = new.filter_map(|hash| Some((hash.to_owned(), package?.to_owned()))).collect();
    lost::note(&catalog, &own, named).await?;
    catalog.close().await;
    Ok(())
}

/// The catalog of a state that was published with; a corpus alone has none.
async fn existing_catalog(state: &State) -> Result<Option<Catalog>, CatalogError> {
    if state.catalog().exists() { Ok(Some(Catalog::open(&state.catalog()).await?)) } else { Ok(None) }
}

fn is_named(material: &Material, named: &[String]) -> bool {
    named.iter().any(|name| *name == material.name || *name == material.package())
}

/// What of a state's corpus is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Export {
    /// All of it.
    All,
    /// Some materials, without what is free: `NAME` or `NAME-VERSION`.
    Materials(Vec<String>),
    /// What is free, and nothing else.
    Free,
}

/// Writes a state's corpus, or a part of it, into a file; gives its size in bytes. A file whose name ends in
/// `.zst` is compressed.
///
/// # Errors
/// When the corpus cannot be read or the file not be written.
pub fn export_corpus(state: &State, what: &Export, file: &Path) -> Result<u64, CorpusFileError> {
    let mut own = own(state)?;
    match what {
        Export::All => {}
        Export::Materials(named) => {
            let free = own.clone();
            own.subtract(&free);
            own = own.only(|material| is_named(material, named));
        }
        Export::Free => own = own.only_free(),
    }
    let unwritable = |source| CorpusFileError::Write { path: file.to_owned(), source };
    let mut bytes = own.to_bytes();
    if file.extension().is_some_and(|end| end == "zst") {
        bytes = zstd::bulk::compress(&bytes, LEVEL).map_err(unwritable)?;
    }
    let staged = PathBuf::from(format!("{}.new", file.display()));
    std::fs::write(&staged, &bytes).and_then(|()| std::fs::rename(&staged, file)).map_err(unwritable)?;
    Ok(bytes.len() as u64)
}

/// Adds what a corpus file holds to a state's corpus; gives the materials that are new to it.
///
/// # Errors
/// When the file is no corpus of this version, or the state's corpus cannot be written.
pub fn import_corpus(state: &State, file: &Path) -> Result<Vec<Material>, CorpusFileError> {
    let more = read_layer(file).map_err(|error| match error {
        CorpusFileError::Corpus { path, source } => CorpusFileError::Foreign { path, source },
        other => other,
    })?;
    let more = Fingerprints::from_layer(&more);
    let _lock = state.lock()?;
    let mut own = own(state)?;
    let before: Vec<Material> = own.to_corpus().list().into_iter().map(|one| one.material).collect();
    own.merge(&more);
    state.write_corpus(&own.to_bytes())?;
    let after = own.to_corpus().list().into_iter().map(|one| one.material);
    Ok(after.filter(|material| !before.contains(material)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_has_the_hashes_of_published_releases() {
        let corpus = load_corpus(None, Shipped::With).unwrap();
        let (files, releases) = corpus.records().unwrap().size();
        assert!(files > 20_000 && releases > 5_000, "{files} {releases}");
        assert!(load_corpus(None, Shipped::Without).unwrap().records().is_none());
    }

    /// What is audited while a package set is built, and what is asked again later, is one corpus.
    #[test]
    fn a_run_asks_what_a_recheck_asks() {
        let loaded = load_corpus(None, Shipped::With).unwrap();
        let run = with_shipped(&Fingerprints::default());
        assert_eq!(run.id(), loaded.id());
        assert_eq!(run.records().map(Records::size), loaded.records().map(Records::size));
    }

    #[test]
    fn lines_that_are_none_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let [lines, file] = ["lines", "file"].map(|name| dir.path().join(name));
        std::fs::write(&lines, "package\ta\tunfree\nsomething\n").unwrap();
        let error = pack_into(&lines, &file).unwrap_err();
        assert!(matches!(&error, CorpusFileError::Pack { source, .. } if source.line == 2), "{error}");
        assert!(!file.exists());
    }
}
