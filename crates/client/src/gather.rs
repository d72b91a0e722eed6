//! Finds out what caches offer, and makes the plan from it.

use crate::ClientError;
use crate::source::{CacheSource, SourceError};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use narthex_cache::{ObjectName, WithheldEntry};
use narthex_closure::{Cached, FillPlan, Graph, Status, StorePath, plan_fill};
use narthex_nix::Nix;
use nix_narinfo::{NarInfo, NixSignature, TrustedPublicKey};
use std::collections::{BTreeMap, BTreeSet};

/// Narinfos asked for at once.
const CONCURRENCY: usize = 32;

/// Where to look, and whom to trust.
#[derive(Debug)]
pub struct Offer {
    sources: Vec<CacheSource>,
    keys: Option<Vec<TrustedPublicKey>>,
}

impl Offer {
    /// Puts together the cache that was named, the caches that Nix asks anyway, and the trusted keys.
    ///
    /// Of Nix's own substituters those that cannot be reached are left out, as Nix does.
    ///
    /// # Errors
    /// When Nix's configuration cannot be read, or a key in it or in `public_keys` is none.
    pub async fn new(nix: &Nix, cache: CacheSource, public_keys: &[String]) -> Result<Self, ClientError> {
        let mut sources = vec![cache];
        for url in nix.setting("substituters").await?.split_whitespace() {
            if let Ok(source) = CacheSource::open(url).await
                && sources.iter().all(|known| known.url() != source.url())
            {
                sources.push(source);
            }
        }
        let keys = if nix.setting("require-sigs").await? == "false" {
            None
        } else {
            let trusted = nix.setting("trusted-public-keys").await?;
            let texts = trusted.split_whitespace().map(str::to_owned).chain(public_keys.iter().cloned());
            let parse =
                |text: String| TrustedPublicKey::parse(&text).map_err(|source| ClientError::Key { text, source });
            Some(texts.map(parse).collect::<Result<_, _>>()?)
        };
        Ok(Self { sources, keys })
    }

    /// What the first cache that has a path, signed by a trusted key, says of it. As with Nix, a cache whose
    /// signature is not trusted does not keep a later one from giving the path.
    async fn look_up(&self, path: &StorePath) -> Result<Option<Cached>, ClientError> {
        let mut untrusted = None;
        for source in &self.sources {
            let name = ObjectName::narinfo(path);
            let Some(bytes) = source.get(&name).await? else { continue };
            let broken = |what: String| SourceError::Answer { url: format!("{}/{name}", source.url()), what };
            let info = NarInfo::parse_in(&nix_derivation::StoreDir::default(), &bytes)
                .map_err(|error| broken(format!("a narinfo that cannot be read: {error}")))?;
            if info.store_path() != path {
                return Err(broken(format!("the narinfo of {}", info.store_path())).into());
            }
            match self.trust(&info) {
                Ok(()) => {
                    return Ok(Some(Cached {
                        references: info.references().clone(),
                        nar_size: info.nar_size(),
                        file_size: info.file_size(),
                    }));
                }
                Err(error) => untrusted = untrusted.or(Some(error)),
            }
        }
        untrusted.map_or(Ok(None), Err)
    }

    fn trust(&self, info: &NarInfo) -> Result<(), ClientError> {
        let store = info.store_dir();
        let trusted = self.keys.as_ref().is_none_or(|keys| info.has_valid_signature(store, keys));
        if trusted || info.is_content_addressed(store) {
            return Ok(());
        }
        let mut signers: Vec<String> = info.signatures().iter().map(|s: &NixSignature| s.key_name.clone()).collect();
        if signers.is_empty() {
            signers.push("nobody".to_owned());
        }
        Err(ClientError::Untrusted { path: info.store_path().clone(), signers })
    }

    /// Why the cache does not have a path, if it says so.
    async fn withheld(&self, path: &StorePath) -> Result<Option<WithheldEntry>, ClientError> {
        for source in &self.sources {
            let Some(bytes) = source.get(&ObjectName::withheld(path)).await? else { continue };
            // An entry explains and nothing more: one that cannot be read is none.
            if let Ok(entry) = serde_json::from_slice(&bytes) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// What will be done, with what is known of each path.
#[derive(Clone, Debug, Default)]
pub struct RealisePlan {
    /// What was asked for.
    pub wanted: BTreeSet<StorePath>,
    /// The steps.
    pub fill: FillPlan,
    /// Sizes of what is fetched.
    pub cached: BTreeMap<StorePath, Cached>,
    /// What the cache says of what is built locally; a path that it says nothing of is simply not there.
    pub withheld: BTreeMap<StorePath, WithheldEntry>,
}

impl RealisePlan {
    /// Whether a path cannot be had without building one of these derivations.
    pub(crate) fn needs(&self, path: &StorePath, failed: &BTreeMap<StorePath, Vec<String>>, graph: &Graph) -> bool {
        let mut todo = vec![path.clone()];
        let mut seen: BTreeSet<StorePath> = todo.iter().cloned().collect();
        while let Some(path) = todo.pop() {
            let next = match (self.cached.get(&path), self.fill.built.get(&path)) {
                (Some(cached), _) => cached.references.clone(),
                (None, Some(derivation)) if failed.contains_key(derivation) => return true,
                (None, Some(derivation)) => graph.get(derivation).map(|d| graph.build_inputs(d)).unwrap_or_default(),
                (None, None) => continue,
            };
            todo.extend(next.into_iter().filter(|path| seen.insert(path.clone())));
        }
        false
    }
}

/// Looks at everything that the wanted paths lead to, and plans.
///
/// # Errors
/// When a cache or Nix fails, something is not trusted, or there is no way to some path.
pub async fn plan(
    nix: &Nix,
    offer: &Offer,
    graph: &Graph,
    wanted: BTreeSet<StorePath>,
) -> Result<RealisePlan, ClientError> {
    let mut plan = RealisePlan { wanted: wanted.clone(), ..RealisePlan::default() };
    let mut status: BTreeMap<StorePath, Status> = BTreeMap::new();
    let mut frontier = wanted;
    while !frontier.is_empty() {
        let valid = nix.path_info(frontier.iter().cloned()).await?;
        let (valid, missing): (Vec<_>, Vec<_>) = frontier.into_iter().partition(|path| valid.contains_key(path));
        status.extend(valid.into_iter().map(|path| (path, Status::Valid)));

        let found: Vec<(StorePath, Option<Cached>)> = stream::iter(missing)
            .map(|path| async { offer.look_up(&path).await.map(|cached| (path, cached)) })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        frontier = BTreeSet::new();
        for (path, cached) in found {
            let next = match &cached {
                Some(cached) => cached.references.clone(),
                None => {
                    let recipe = graph.producer(&path).and_then(|producer| graph.get(&producer.derivation));
                    recipe.map(|derivation| graph.build_inputs(derivation)).unwrap_or_default()
                }
            };
            frontier.extend(next);
            if let Some(cached) = &cached {
                plan.cached.insert(path.clone(), cached.clone());
            } else if let Some(entry) = offer.withheld(&path).await? {
                plan.withheld.insert(path.clone(), entry);
            }
            status.insert(path, cached.map_or(Status::Absent, Status::Cached));
        }
        frontier.retain(|path| !status.contains_key(path));
    }
    plan.fill = plan_fill(&plan.wanted, &status, graph).map_err(|gaps| ClientError::Gaps { gaps })?;
    Ok(plan)
}
