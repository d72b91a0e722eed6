//! Publishing, withholding and taking back.

use crate::ObjectName;
use crate::catalog::{Catalog, CatalogError, Change, Record};
use crate::folder::{Folder, FolderError};
use crate::key::SecretKey;
use crate::nar::{self, NarError, StagedNar};
use crate::state::{State, StateError};
use crate::withheld::WithheldEntry;
use narthex_closure::{NarHash, StorePath, hash_part, parse_store_path};
use narthex_policy::Permit;
use nix_derivation::{CAHash, StoreDir};
use nix_narinfo::{Compression, NarInfo, NarInfoBuilder};
use std::collections::BTreeSet;
use std::io::{self, Read};

/// Caches with a smaller number are asked first; cache.nixos.org has 40.
const PRIORITY: u32 = 41;

/// What a narinfo says beside the NAR itself.
#[derive(Clone, Debug)]
pub struct PathMeta {
    /// What the path refers to.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// Its content address, where it has one.
    pub ca: Option<String>,
}

/// What publishing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Size of the compressed file in bytes.
    pub file_size: u64,
    /// Whether it was uploaded now; otherwise it was there already.
    pub uploaded: bool,
    /// Whether it was there and got the signature of a key that is new.
    pub signed: bool,
}

/// Why something was not published or not taken back.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The NAR was not taken.
    #[error("{path} was not published")]
    Nar {
        /// The path.
        path: StorePath,
        /// Why.
        #[source]
        source: NarError,
    },
    /// What is known of the path makes no narinfo.
    #[error("{path} was not published: {why}")]
    Narinfo {
        /// The path.
        path: StorePath,
        /// Why.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{0}")]
    Folder(#[from] FolderError),
    /// The catalog failed.
    #[error("{0}")]
    Catalog(#[from] CatalogError),
    /// The state folder failed.
    #[error("{0}")]
    State(#[from] StateError),
}

/// What becomes of the log of a path's build when the path is taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Logs {
    Go,
    Stay,
}

/// A binary cache that can be written to.
pub struct Cache {
    folder: Folder,
    catalog: Catalog,
    keys: Vec<SecretKey>,
}

impl Cache {
    /// Opens the cache of a state folder; keys and `nix-cache-info` are made on first use.
    ///
    /// # Errors
    /// When the folder or the catalog cannot be used.
    pub async fn open(state: &State) -> Result<Self, PublishError> {
        let folder = Folder::open(state.objects(), state.staging())?;
        let keys = state.secret_keys()?;
        let catalog = Catalog::open(&state.catalog()).await?;
        if folder.size(&ObjectName::CacheInfo)?.is_none() {
            let text = format!("StoreDir: {}\nWantMassQuery: 1\nPriority: {PRIORITY}\n", StoreDir::default());
            folder.put(&ObjectName::CacheInfo, text.as_bytes())?;
        }
        Ok(Self { folder, catalog, keys })
    }

    /// The catalog.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The objects.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The public halves of the keys that sign, as `trusted-public-keys` takes them.
    pub fn public_keys(&self) -> Vec<String> {
        self.keys.iter().map(SecretKey::public).collect()
    }

    /// Brings to its end what an earlier run left half-done: removals are completed, uploads too where
    /// all of them is there, and otherwise removed. To be called with the lock held.
    ///
    /// # Errors
    /// When the folder or the catalog fails.
    pub async fn recover(&self) -> Result<(), PublishError> {
        self.folder.clear_staging()?;
        for change in self.catalog.pending().await? {
            let nar = ObjectName::Nar(change.nar_file.clone());
            let narinfo = self.narinfo_at(&ObjectName::Narinfo(change.hash.clone()))?;
            let named =
                narinfo.filter(|info| nar_file_of(info) == Some(&change.nar_file)).and_then(|info| info.file_size());
            match self.folder.size(&nar)? {
                Some(size) if !change.removal && named == Some(size) => {
                    self.catalog.end_upload(&change.hash, &change.nar_file, size).await?;
                }
                _ => self.remove(&change).await?,
            }
        }
        self.reconcile().await
    }

    /// Brings catalog and folder together, should one of them have been lost, or put back from a backup. The
    /// folder is the truth: what a narinfo names is published, and a NAR or a listing that none names goes.
    async fn reconcile(&self) -> Result<(), PublishError> {
        let mut known = self.catalog.objects().await?;
        let (mut nars, mut listings) = (BTreeSet::new(), BTreeSet::new());
        let names = self.folder.names()?;
        for name in &names {
            let ObjectName::Narinfo(hash) = name else { continue };
            let seen = known.remove(hash);
            let info = self.narinfo_at(name)?;
            if let Some((nar_file, size)) = info.as_ref().and_then(|info| Some((nar_file_of(info)?, info.file_size()?)))
            {
                nars.insert(nar_file.to_owned());
                if seen.as_deref() != Some(nar_file) {
                    self.catalog.end_upload(hash, nar_file, size).await?;
                }
            }
            listings.insert(hash.clone());
        }
        for hash in known.keys() {
            self.catalog.forget_object(hash).await?;
        }
        for name in &names {
            let orphan = match name {
                ObjectName::Nar(file) => !nars.contains(file),
                ObjectName::Listing(hash) => !listings.contains(hash),
                _ => false,
            };
            if orphan {
                self.folder.remove(name)?;
            }
        }
        Ok(())
    }

    /// Publishes the path that the permit is for. `nar` is read only where it is not there already.
    ///
    /// # Errors
    /// When what is read is not exactly the permitted NAR, or something cannot be written. Then no
    /// narinfo names it.
    pub async fn publish<R: Read + Send + 'static>(
        &self,
        permit: &Permit,
        meta: &PathMeta,
        nar: impl FnOnce() -> io::Result<R>,
    ) -> Result<Published, PublishError> {
        let (path, hash) = (permit.path(), hash_part(permit.path()));
        if let Some((info, file_size)) = self.whole(permit)? {
            let signed = self.keep(path, &info)?;
            return Ok(Published { file_size, uploaded: false, signed });
        }
        // Another NAR under this path, or one that is not whole, goes before the right one comes. The log
        // may be the new one already.
        self.withdraw(path, Logs::Stay).await?;
        let read = |source| PublishError::Nar { path: path.clone(), source: NarError::Read(source) };
        let (folder, permitted, reader) = (self.folder.clone(), permit.nar_hash(), nar().map_err(read)?);
        let staged = tokio::task::spawn_blocking(move || nar::stage(&folder, reader, permitted))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            .map_err(|source| PublishError::Nar { path: path.clone(), source })?;
        let narinfo = self.narinfo(permit, meta, &staged)?;
        let ObjectName::Nar(nar_file) = staged.name.clone() else { unreachable!("a NAR is staged under a NAR's name") };

        self.catalog
            .begin(&Change { hash: hash.clone(), nar_file: nar_file.clone(), log: None, removal: false })
            .await?;
        self.folder.commit(staged.staged, &staged.name)?;
        self.folder.put(&ObjectName::listing(path), &staged.listing)?;
        self.folder.put(&ObjectName::narinfo(path), &narinfo.to_canonical_bytes())?;
        self.catalog.end_upload(&hash, &nar_file, staged.file_size).await?;
        self.folder.remove(&ObjectName::withheld(path))?;
        Ok(Published { file_size: staged.file_size, uploaded: true, signed: false })
    }

    /// The size of the compressed file in bytes, if exactly the permitted NAR is there and whole.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn published(&self, permit: &Permit) -> Result<Option<u64>, FolderError> {
        Ok(self.whole(permit)?.map(|(_, file_size)| file_size))
    }

    /// Whether the folder has a path with exactly this NAR.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn has(&self, path: &StorePath, nar_hash: NarHash) -> Result<bool, FolderError> {
        let info = self.narinfo_at(&ObjectName::narinfo(path))?;
        Ok(info.is_some_and(|info| info.store_path() == path && *info.nar_hash() == nar_hash.to_nix_hash()))
    }

    /// The entries of withheld paths, in no order. One that cannot be read tells nothing.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn withheld_entries(&self) -> Result<Vec<WithheldEntry>, FolderError> {
        let mut entries = Vec::new();
        for name in self.folder.names()?.iter().filter(|name| matches!(name, ObjectName::Withheld(_))) {
            let bytes = self.folder.get(name)?.unwrap_or_default();
            entries.extend(serde_json::from_slice::<WithheldEntry>(&bytes).ok());
        }
        Ok(entries)
    }

    /// Whether there is any path in the folder, published or withheld.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn has_paths(&self) -> Result<bool, PublishError> {
        let is_of_path = |name: &ObjectName| matches!(name, ObjectName::Narinfo(_) | ObjectName::Withheld(_));
        Ok(self.folder.names()?.iter().any(is_of_path))
    }

    /// A narinfo that can be read, if there is one.
    fn narinfo_at(&self, name: &ObjectName) -> Result<Option<NarInfo>, FolderError> {
        Ok(self.folder.get(name)?.and_then(|bytes| parse(&bytes)))
    }

    /// The file of a published path's NAR, without folder and ending.
    pub(crate) fn nar_of(&self, path: &StorePath) -> Result<Option<String>, FolderError> {
        let info = self.narinfo_at(&ObjectName::narinfo(path))?;
        Ok(info.as_ref().and_then(nar_file_of).map(str::to_owned))
    }

    /// The narinfo of the permitted NAR and the size of its file, if both are there and belong together.
    fn whole(&self, permit: &Permit) -> Result<Option<(NarInfo, u64)>, FolderError> {
        let (path, nar_hash) = (permit.path(), permit.nar_hash());
        let Some(info) = self.narinfo_at(&ObjectName::narinfo(path))? else { return Ok(None) };
        let nar = nar_file_of(&info).map(|file| ObjectName::Nar(file.to_owned()));
        let size = nar.map(|name| self.folder.size(&name)).transpose()?.flatten();
        let same = info.store_path() == path && *info.nar_hash() == nar_hash.to_nix_hash() && size == info.file_size();
        Ok(size.filter(|_| same).map(|size| (info, size)))
    }

    /// What is to be seen to for a path that is there already: the signatures of keys that came later, of
    /// which it says whether there were any, and no entry that says it is withheld.
    fn keep(&self, path: &StorePath, info: &NarInfo) -> Result<bool, PublishError> {
        self.folder.remove(&ObjectName::withheld(path))?;
        let signed = |key: &SecretKey| info.signatures().iter().any(|signature| signature.key_name == key.name());
        let missing = !self.keys.iter().all(signed);
        if missing {
            let builder = NarInfo::builder(path.clone(), info.url(), info.nar_hash().clone(), info.nar_size())
                .compression(info.compression().clone())
                .file_hash(info.file_hash().cloned())
                .file_size(info.file_size())
                .references(info.references().iter().cloned())
                .deriver(info.deriver().cloned())
                .content_address(info.content_address().cloned());
            self.folder.put(&ObjectName::narinfo(path), &self.sign(path, builder)?.to_canonical_bytes())?;
        }
        Ok(missing)
    }

    /// Completes a narinfo with a signature of every key.
    fn sign(&self, path: &StorePath, builder: NarInfoBuilder) -> Result<NarInfo, PublishError> {
        let failed =
            |error: nix_narinfo::BuildError| PublishError::Narinfo { path: path.clone(), why: error.to_string() };
        let fingerprint = builder.clone().build().map_err(failed)?.fingerprint(&StoreDir::default());
        builder.signatures(self.keys.iter().map(|key| key.sign(&fingerprint))).build().map_err(failed)
    }

    fn narinfo(&self, permit: &Permit, meta: &PathMeta, nar: &StagedNar) -> Result<NarInfo, PublishError> {
        let failed = |why: String| PublishError::Narinfo { path: permit.path().clone(), why };
        let ca = meta.ca.as_deref().map(CAHash::parse).transpose().map_err(|error| failed(error.to_string()))?;
        let builder = NarInfo::builder(
            permit.path().clone(),
            nar.name.to_string(),
            permit.nar_hash().to_nix_hash(),
            nar.nar_size,
        )
        .compression(Compression::Zstd)
        .file_hash(Some(nar.file_hash.clone()))
        .file_size(Some(nar.file_size))
        .references(meta.references.iter().cloned())
        .deriver(meta.deriver.clone())
        .content_address(ca);
        self.sign(permit.path(), builder)
    }

    /// The derivations whose logs are there, in no order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn logs(&self) -> Result<Vec<StorePath>, FolderError> {
        let derivation = |name: ObjectName| match name {
            ObjectName::Log(derivation) => parse_store_path(&derivation),
            _ => None,
        };
        Ok(self.folder.names()?.into_iter().filter_map(derivation).collect())
    }

    /// The size of a log in bytes, if it is there.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn log_size(&self, derivation: &StorePath) -> Result<Option<u64>, FolderError> {
        self.folder.size(&ObjectName::Log(derivation.to_basename()))
    }

    /// Publishes what the build of a permitted path wrote, in the place where `nix log` looks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_log(&self, _of: &Permit, derivation: &StorePath, log: &[u8]) -> Result<(), FolderError> {
        let name = ObjectName::Log(derivation.to_basename());
        // Builds are not repeated once they succeeded, so that a log that is there stays.
        match self.folder.size(&name)? {
            Some(_) => Ok(()),
            None => self.folder.put(&name, log),
        }
    }

    /// Takes a log back.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_log(&self, derivation: &StorePath) -> Result<(), FolderError> {
        self.folder.remove(&ObjectName::Log(derivation.to_basename()))
    }

    /// Writes down that a path is withheld, and takes it back if it had been published; returns
    /// whether it had been.
    ///
    /// # Errors
    /// When the folder or the catalog fails.
    pub async fn withhold(&self, record: &Record) -> Result<bool, PublishError> {
        let withdrawn = self.withdraw(&record.path, Logs::Go).await?;
        let name = ObjectName::withheld(&record.path);
        let entry = serde_json::to_string_pretty(&WithheldEntry::from(record))
            .map_err(|error| CatalogError::Row(error.to_string()))?;
        // Package sets say what stands in it, and people read it in terminals.
        let entry = format!("{}\n", narthex_text::json(&entry)).into_bytes();
        if self.folder.get(&name)?.as_ref() != Some(&entry) {
            self.folder.put(&name, &entry)?;
        }
        Ok(withdrawn)
    }

    /// Takes a path back if it is there; says whether it was.
    async fn withdraw(&self, path: &StorePath, logs: Logs) -> Result<bool, PublishError> {
        let (name, hash) = (ObjectName::narinfo(path), hash_part(path));
        let Some(bytes) = self.folder.get(&name)? else { return Ok(false) };
        let info = parse(&bytes);
        let deriver = info.as_ref().and_then(|info| info.deriver()).filter(|_| logs == Logs::Go);
        // A narinfo that cannot be read names nothing; what it stood for goes as what nothing names.
        let change = Change {
            hash,
            nar_file: info.as_ref().and_then(nar_file_of).unwrap_or_default().to_owned(),
            log: deriver.map(StorePath::to_basename),
            removal: true,
        };
        // Should the program be killed now, the next start does the rest.
        self.catalog.begin(&change).await?;
        self.remove(&change).await?;
        Ok(true)
    }

    /// Removes the objects of a path: narinfo first, so that nobody is sent to a NAR that is gone, and
    /// the NAR only where no other path has it.
    async fn remove(&self, change: &Change) -> Result<(), PublishError> {
        let hash = &change.hash;
        self.folder.remove(&ObjectName::Narinfo(hash.clone()))?;
        self.folder.remove(&ObjectName::Listing(hash.clone()))?;
        if let Some(derivation) = &change.log {
            self.folder.remove(&ObjectName::Log(derivation.clone()))?;
        }
        if !change.nar_file.is_empty() && !self.catalog.shares_nar(&change.nar_file, hash).await? {
            self.folder.remove(&ObjectName::Nar(change.nar_file.clone()))?;
        }
        Ok(self.catalog.forget_object(hash).await?)
    }
}

fn parse(bytes: &[u8]) -> Option<NarInfo> {
    NarInfo::parse_in(&StoreDir::default(), bytes).ok()
}

fn nar_file_of(info: &NarInfo) -> Option<&str> {
    info.url().strip_prefix("nar/")?.strip_suffix(".nar.zst")
}
