//! Finds out what caches offer, and makes the plan from it.

use crate::ClientError;
use crate::connection::Connections;
use crate::source::{CacheSource, Found, SourceError};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use narthex_cache::{ObjectName, WithheldEntry};
use narthex_closure::{Cached, FillPlan, Graph, Status, StorePath, plan_fill};
use narthex_event::{Event, Sink};
use narthex_nix::Nix;
use nix_narinfo::{NarInfo, NixSignature, TrustedPublicKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Caches that are opened at once.
const OPENED_AT_ONCE: usize = 8;

/// Where to look, and whom to trust.
#[derive(Debug)]
pub struct Offer {
    /// The cache that was named, and then those of Nix's configuration.
    sources: Vec<Asked>,
    /// Substituters of Nix's configuration that only Nix can read.
    unread: Vec<String>,
    keys: Option<Vec<TrustedPublicKey>>,
    at_once: usize,
}

/// A cache, and what happened with it.
#[derive(Debug)]
struct Asked {
    cache: CacheSource,
    /// As Nix's configuration spells it; of the cache that was named, nothing.
    substituter: Option<String>,
    told: Mutex<Told>,
}

/// What was said of a cache, each once.
#[derive(Debug, Default)]
struct Told {
    /// Why it is not asked any more.
    gone: Option<String>,
    refused: bool,
    /// Whether it has something that is wanted.
    offers: bool,
}

impl Asked {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for an object; a cache that gave no answer once is not asked again.
    async fn find(&self, name: &ObjectName, sink: Sink<'_>) -> Result<Option<Vec<u8>>, SourceError> {
        if let Some(why) = &self.told().gone {
            return Err(SourceError::Gone { why: why.clone() });
        }
        match self.cache.find(name).await {
            Ok(Found::Here(bytes)) => Ok(Some(bytes)),
            Ok(Found::Absent) => Ok(None),
            Ok(Found::Refused) => {
                if !std::mem::replace(&mut self.told().refused, true) {
                    let message = format!(
                        "{}/{name}: the cache refuses to answer; this counts as not there, and may as well mean that it wants credentials",
                        self.cache.shown()
                    );
                    sink(Event::Warning { message });
                }
                Ok(None)
            }
            Err(error) => {
                if error.is_about_the_cache() {
                    self.told().gone.get_or_insert_with(|| error.to_string());
                }
                Err(error)
            }
        }
    }

    /// Whether it is not asked any more.
    fn is_gone(&self) -> bool {
        self.told().gone.is_some()
    }
}

impl Offer {
    /// Puts together the cache that was named, the caches that Nix asks anyway, and the trusted keys.
    ///
    /// Of Nix's own substituters those that give no answer are named in a warning and left out, as Nix does.
    ///
    /// # Errors
    /// When Nix's configuration cannot be read, or a key in it or in `public_keys` is none.
    pub async fn new(
        nix: &Nix,
        cache: CacheSource,
        public_keys: &[String],
        connections: &Connections,
        sink: Sink<'_>,
    ) -> Result<Self, ClientError> {
        let configured = nix.setting("substituters").await?;
        let configured: Vec<&str> = configured.split_whitespace().collect();
        let opened: Vec<_> = stream::iter(configured)
            .map(|url| async move { (url, CacheSource::open(url, connections).await) })
            .buffered(OPENED_AT_ONCE)
            .collect()
            .await;
        let mut sources = vec![Asked { cache, substituter: None, told: Mutex::default() }];
        let mut unread = Vec::new();
        for (url, opened) in opened {
            match opened {
                Ok(source) if sources.iter().any(|known| known.cache.url() == source.url()) => {}
                Ok(cache) => {
                    sources.push(Asked { cache, substituter: Some(url.to_owned()), told: Mutex::default() });
                }
                Err(error) if error.is_about_the_url() => unread.push(url.to_owned()),
                Err(error) => sink(left_out(&error)),
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
        Ok(Self { sources, unread, keys, at_once: connections.at_once() })
    }

    /// The substituters that offer what is wanted, the named cache first, and all others that may have it. Nix asks those
    /// with the best priority first, and one that answers nonsense would end its commands.
    fn substituters(&self) -> (Vec<String>, Vec<String>) {
        let answering = self.sources.iter().filter(|source| !source.is_gone());
        let (offering, others): (Vec<&Asked>, Vec<&Asked>) = answering.partition(|source| source.told().offers);
        let name = |source: &Asked| source.substituter.clone().unwrap_or_else(|| source.cache.url());
        let others = others.into_iter().map(name).chain(self.unread.iter().cloned());
        (offering.into_iter().map(name).collect(), others.collect())
    }

    /// What the first cache that has a path, signed by a trusted key, says of it. As with Nix, a cache whose
    /// signature is not trusted does not keep a later one from giving the path; nor does one that answers nonsense.
    async fn look_up(&self, path: &StorePath, sink: Sink<'_>) -> Result<Option<Cached>, ClientError> {
        let mut wrong = None;
        for source in &self.sources {
            let was_gone = source.is_gone();
            let error = match self.ask(source, path, sink).await {
                Ok(Some(cached)) => {
                    source.told().offers = true;
                    return Ok(Some(cached));
                }
                Ok(None) => continue,
                Err(error) => error,
            };
            // What another cache of Nix's answers is no reason to stop; what the one answers that was named is, unless
            // another one has the path.
            match &error {
                ClientError::Source(error) if source.substituter.is_some() => {
                    if !was_gone {
                        sink(left_out(error));
                    }
                }
                _ => wrong = wrong.or(Some(error)),
            }
        }
        wrong.map_or(Ok(None), Err)
    }

    /// What one cache says of a path.
    async fn ask(&self, source: &Asked, path: &StorePath, sink: Sink<'_>) -> Result<Option<Cached>, ClientError> {
        let name = ObjectName::narinfo(path);
        let Some(bytes) = source.find(&name, sink).await? else { return Ok(None) };
        let broken = |what: String| SourceError::Answer { url: format!("{}/{name}", source.cache.shown()), what };
        if bytes.trim_ascii_start().starts_with(b"<") {
            return Err(
                broken("a web page instead of a narinfo; does the network want you to log in?".to_owned()).into()
            );
        }
        let info = NarInfo::parse_in(&nix_derivation::StoreDir::default(), &bytes)
            .map_err(|error| broken(format!("a narinfo that cannot be read: {error}")))?;
        if info.store_path() != path {
            return Err(broken(format!("the narinfo of {}", info.store_path())).into());
        }
        self.trust(&info)?;
        Ok(Some(Cached {
            references: info.references().clone(),
            nar_size: info.nar_size(),
            file_size: info.file_size(),
        }))
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

    /// Why the cache does not have a path, if it says so. An entry explains and nothing more: one that does not arrive, or
    /// cannot be read, is none.
    async fn withheld(&self, path: &StorePath, sink: Sink<'_>) -> Option<WithheldEntry> {
        for source in &self.sources {
            let Ok(Some(bytes)) = source.find(&ObjectName::withheld(path), sink).await else { continue };
            if let Ok(entry) = serde_json::from_slice(&bytes) {
                return Some(entry);
            }
        }
        None
    }
}

/// That a cache of Nix's configuration is no help.
fn left_out(error: &SourceError) -> Event {
    let mut message = format!("a substituter of Nix's is passed over: {error}");
    if let Some(source) = std::error::Error::source(error) {
        message.push_str(&format!(": {source}"));
    }
    Event::Warning { message }
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
    /// The caches that have what is fetched.
    pub substituters: Vec<String>,
    /// Other caches of Nix's configuration, which may have what does not arrive from those.
    pub others: Vec<String>,
    /// What the cache says of what is built locally; a path that it says nothing of is simply not there.
    pub withheld: BTreeMap<StorePath, WithheldEntry>,
}

impl RealisePlan {
    /// Whether a path cannot be had without one that did not arrive, or without building one of these derivations.
    pub(crate) fn needs(
        &self,
        path: &StorePath,
        failed: &BTreeMap<StorePath, Vec<String>>,
        missing: &BTreeSet<StorePath>,
        graph: &Graph,
    ) -> bool {
        let mut todo = vec![path.clone()];
        let mut seen: BTreeSet<StorePath> = todo.iter().cloned().collect();
        while let Some(path) = todo.pop() {
            if missing.contains(&path) {
                return true;
            }
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
    sink: Sink<'_>,
) -> Result<RealisePlan, ClientError> {
    let mut plan = RealisePlan { wanted: wanted.clone(), ..RealisePlan::default() };
    let mut status: BTreeMap<StorePath, Status> = BTreeMap::new();
    let mut frontier = wanted;
    while !frontier.is_empty() {
        let valid = nix.path_info(frontier.iter().cloned()).await?;
        let (valid, missing): (Vec<_>, Vec<_>) = frontier.into_iter().partition(|path| valid.contains_key(path));
        status.extend(valid.into_iter().map(|path| (path, Status::Valid)));

        let found: Vec<(StorePath, Option<Cached>)> = stream::iter(missing)
            .map(|path| async { offer.look_up(&path, sink).await.map(|cached| (path, cached)) })
            .buffer_unordered(offer.at_once)
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
            } else if let Some(entry) = offer.withheld(&path, sink).await {
                plan.withheld.insert(path.clone(), entry);
            }
            status.insert(path, cached.map_or(Status::Absent, Status::Cached));
        }
        frontier.retain(|path| !status.contains_key(path));
    }
    (plan.substituters, plan.others) = offer.substituters();
    plan.fill = plan_fill(&plan.wanted, &status, graph).map_err(|gaps| ClientError::Gaps { gaps })?;
    Ok(plan)
}
