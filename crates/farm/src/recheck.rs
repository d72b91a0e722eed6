//! `narthex audit --recheck`: what was published is audited again when the corpus has grown.

use crate::bytes::{audit_unpacked, name_in_key};
use crate::corpus::{CorpusFileError, Shipped, load_corpus};
use crate::known::{Recognized, recognize};
use crate::lost::{lacks, warning};
use crate::published_with::{Choice, ChoiceError, PolicyNotNamed};
use crate::reads::Secret;
use narthex_audit::{Corpus, Report, SCANNER_VERSION};
use narthex_cache::{Cache, CatalogError, PublishError, Record, State, StateError, UnpackError};
use narthex_closure::{StorePath, hash_part, store_hashes};
use narthex_event::{Event, Sink};
use narthex_policy::{Case, Code, Rules, Verdict, decide_again, decide_source_again};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Why what was published could not be audited again.
#[derive(Debug, thiserror::Error)]
pub enum RecheckError {
    /// The state folder failed.
    #[error("{0}")]
    State(#[from] StateError),
    /// The corpus cannot be used.
    #[error("{0}")]
    Corpus(#[from] CorpusFileError),
    /// The cache failed.
    #[error("{0}")]
    Publish(#[from] PublishError),
    /// The catalog failed.
    #[error("{0}")]
    Catalog(#[from] CatalogError),
    /// A path cannot be unpacked.
    #[error("{0}")]
    Unpack(#[from] UnpackError),
    /// A policy has to be named.
    #[error("{0}")]
    Policy(#[from] PolicyNotNamed),
}

impl From<ChoiceError> for RecheckError {
    fn from(error: ChoiceError) -> Self {
        match error {
            ChoiceError::NotNamed(error) => Self::Policy(error),
            ChoiceError::Catalog(error) => Self::Catalog(error),
            ChoiceError::Cache(error) => Self::Publish(error),
        }
    }
}

/// What auditing again came to.
#[derive(Clone, Debug, Default)]
pub struct Recheck {
    /// Paths that were audited again; the others had been audited with this corpus before.
    pub audited: usize,
    /// What was taken back, with the new reasons.
    pub withdrawn: Vec<Record>,
    /// Policies that have not been asked, with the number of paths that rest on an exception or a grant of each. They are
    /// as they were: under a policy that lacks these entries all of them would be taken back.
    pub left: BTreeMap<String, usize>,
    /// What the corpus lacks of what it once had. While it does, what was not taken back has to be audited once more.
    pub lacking: Option<String>,
}

/// The codes of reasons that rest on an entry of the policy, which may have ended.
const OF_ENTRIES: [Code; 2] = [Code::PolicyException, Code::PolicyGrant];

/// Audits again, from the cache, whatever is published and was last audited with another corpus, or rests on an entry of the
/// policy that may have ended, and takes back what may no longer be published: the narinfo first, then the NAR. The
/// decision and its reasons are written down. With such a path goes what was built with it and nobody can look into, the sources
/// that only its being published permitted, and the logs of builds that read it.
///
/// What the package set declares is taken from the record of the first decision; what entries ask for beside that, from
/// what the catalog knows of the path. `policy` is how the operator named the policy, where one was named. Under another one
/// than the cache is published with, all that it takes back is shown before the first path goes.
///
/// # Errors
/// When a part fails, or a policy has to be named. What was taken back until then stays so.
pub async fn recheck(
    state: &State,
    rules: &Rules,
    policy: Option<&str>,
    sink: Sink<'_>,
) -> Result<Recheck, RecheckError> {
    let _lock = state.lock()?;
    let corpus = load_corpus(Some(state), Shipped::With)?;
    let cache = Cache::open(state).await?;
    let choice = Choice::of(&cache, rules, policy).await?;
    cache.recover().await?;
    let id = corpus.id();
    let mut result = Recheck { lacking: lacks(cache.catalog(), &corpus).await?, ..Recheck::default() };
    if let Some(materials) = &result.lacking {
        sink(Event::Warning { message: warning(materials) });
    }
    let records = cache.catalog().published_before(&id, SCANNER_VERSION, &OF_ENTRIES.map(Code::as_str)).await?;
    let mut waiting = BTreeMap::new();
    let mut secret = None;
    for record in records {
        if rests_on_entry(&record) && record.policy != rules.policy().name() {
            *result.left.entry(record.policy).or_default() += 1;
            continue;
        }
        let report = tokio::task::block_in_place(|| audit_again(&cache, state, &record, &corpus))?;
        result.audited += 1;
        sink(Event::Audited { path: record.path.clone(), findings: report.findings.len() });
        let counted = counted(&cache, &mut secret, &record, &report).await?;
        let changed = decided(&cache, rules, &record, counted.as_ref().unwrap_or(&report)).await?;
        let text = serde_json::to_string(&report).map_err(|error| CatalogError::Row(error.to_string()))?;
        let name = name_in_key(&record.path, &report).to_owned();
        let report = (!report.has_unreadable()).then_some(text);
        let again = Again { is_changed: changed != record, changed, name, report };
        if choice.is_other() {
            waiting.insert(record.path, again);
        } else {
            again.apply(&cache, &id, sink, &mut result).await?;
        }
    }
    let records = waiting.iter().map(|(path, again)| (path.clone(), again.changed.clone())).collect();
    choice.show(&cache, &records, sink).await?;
    for again in waiting.into_values() {
        again.apply(&cache, &id, sink, &mut result).await?;
    }
    withdraw_readers(&cache, rules, &id, sink, &mut result).await?;
    withdraw_sources(&cache, rules, sink, &mut result).await?;
    withdraw_logs(&cache, &result.withdrawn).await?;
    cache.catalog().close().await;
    Ok(result)
}

/// The report as it counts for a build that could read what is withheld; nothing where that changes nothing. What is withheld
/// is looked up when it is first asked for.
async fn counted(
    cache: &Cache,
    secret: &mut Option<Secret>,
    record: &Record,
    report: &Report,
) -> Result<Option<Report>, CatalogError> {
    if report.opaque.is_empty() {
        return Ok(None);
    }
    let secret = match secret {
        Some(secret) => secret,
        none => none.insert(Secret::of(cache.catalog()).await?),
    };
    Ok(secret.could_be_read_by(record).then(|| report.counting_opaque()))
}

/// Takes back what nobody can look into and was built with what was taken back: it may hold that in a form that is not known.
async fn withdraw_readers(
    cache: &Cache,
    rules: &Rules,
    corpus: &str,
    sink: Sink<'_>,
    result: &mut Recheck,
) -> Result<(), RecheckError> {
    let mut before = 0;
    while result.withdrawn.len() > before {
        before = result.withdrawn.len();
        let mut secret = None;
        for (record, report) in cache.catalog().published_opaque(corpus, SCANNER_VERSION).await? {
            let Ok(report) = serde_json::from_str::<Report>(&report) else { continue };
            let Some(counted) = counted(cache, &mut secret, &record, &report).await? else { continue };
            let is_left = rests_on_entry(&record) && record.policy != rules.policy().name();
            let changed = decided(cache, rules, &record, &counted).await?;
            if !is_left && changed.verdict == Verdict::Withhold {
                withdraw(cache, changed, sink, result).await?;
            }
        }
    }
    Ok(())
}

fn rests_on_entry(record: &Record) -> bool {
    record.reasons.iter().any(|reason| OF_ENTRIES.contains(&reason.code))
}

/// What a record says under these rules, now that its bytes were read again.
async fn decided(cache: &Cache, rules: &Rules, record: &Record, report: &Report) -> Result<Record, CatalogError> {
    let recognized = recognize(cache.catalog(), &record.path, rules).await?;
    let package = record.deriver.as_ref().map_or(record.path.name(), |d| d.name().trim_end_matches(".drv"));
    // The catalog knows what attributes are called today; then it may have had another one.
    let mut attrs: Vec<String> = recognized.iter().flat_map(|known| known.case().attrs.to_vec()).collect();
    attrs.extend(record.attr.clone().filter(|attr| !attrs.contains(attr)));
    let case = Case { package, attrs: &attrs, output: record.output.as_deref(), has_supplier: false };
    let facts = recognized.as_ref().and_then(Recognized::facts);
    let decision = decide_again(&record.path, (&case, facts), record.nar_hash, &record.reasons, report, rules);
    Ok(Record {
        verdict: decision.verdict(),
        reasons: decision.reasons().to_vec(),
        policy: rules.policy().name().to_owned(),
        ..record.clone()
    })
}

/// A decision that was made again.
struct Again {
    changed: Record,
    is_changed: bool,
    /// The name that the report is kept under.
    name: String,
    /// The report, as JSON; nothing where another try may show more.
    report: Option<String>,
}

impl Again {
    async fn apply(
        self,
        cache: &Cache,
        corpus: &str,
        sink: Sink<'_>,
        result: &mut Recheck,
    ) -> Result<(), PublishError> {
        let nar_hash = self.changed.nar_hash;
        if self.changed.verdict == Verdict::Withhold {
            withdraw(cache, self.changed, sink, result).await?;
        } else if result.lacking.is_some() {
            // What a part of the corpus does not find proves nothing: what was found with the whole of it stays written down.
            return Ok(());
        } else if self.is_changed {
            cache.catalog().put(&self.changed).await?;
        }
        if let Some(report) = &self.report {
            cache.catalog().put_audit(nar_hash, &self.name, corpus, SCANNER_VERSION, report).await?;
        }
        Ok(())
    }
}

async fn withdraw(cache: &Cache, record: Record, sink: Sink<'_>, result: &mut Recheck) -> Result<(), PublishError> {
    // The record first: should the program end now, the next start of anything finds why.
    cache.catalog().put(&record).await?;
    cache.withhold(&record).await?;
    sink(Event::Withdrawn { path: record.path.clone() });
    result.withdrawn.push(record);
    Ok(())
}

/// Takes back the sources of what was taken back: they were published because that was. Whether all that was found comes from
/// something else that it was built with is not asked here, where the bytes of that may be gone; a run, which has them, may
/// publish the sources again.
async fn withdraw_sources(
    cache: &Cache,
    rules: &Rules,
    sink: Sink<'_>,
    result: &mut Recheck,
) -> Result<(), RecheckError> {
    let mut gone: BTreeSet<StorePath> = result.withdrawn.iter().filter_map(|record| record.deriver.clone()).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let mut sources = cache.catalog().published_by(Code::SourceOfPublished.as_str()).await?;
    // A source may have sources.
    loop {
        let mut left = Vec::new();
        let before = gone.len();
        for record in sources {
            let recognized = recognize(cache.catalog(), &record.path, rules).await?;
            let users: Vec<&StorePath> = recognized.iter().flat_map(Recognized::withheld_users).collect();
            let of: Vec<&str> = users
                .iter()
                .filter(|user| gone.contains(**user))
                .map(|user| user.name().trim_end_matches(".drv"))
                .collect();
            if of.is_empty() {
                left.push(record);
                continue;
            }
            gone.extend(record.deriver.clone());
            let decision = decide_source_again(&record.path, record.nar_hash, &record.reasons, &of);
            let changed = Record {
                verdict: decision.verdict(),
                reasons: decision.reasons().to_vec(),
                policy: rules.policy().name().to_owned(),
                ..record
            };
            withdraw(cache, changed, sink, result).await?;
        }
        if gone.len() == before {
            return Ok(());
        }
        sources = left;
    }
}

/// Takes back the logs of builds that may have read what was taken back: what their derivation names is what they read, and
/// what refers to it. Of a derivation that is not in the store nobody can tell.
async fn withdraw_logs(cache: &Cache, withdrawn: &[Record]) -> Result<(), RecheckError> {
    if withdrawn.is_empty() {
        return Ok(());
    }
    let referrers = cache.catalog().referrers(withdrawn.iter().map(|record| &record.path)).await?;
    let records = cache.catalog().among(&referrers).await?;
    let derivers = records.values().filter_map(|record| record.deriver.as_ref());
    let secret: HashSet<String> = referrers.iter().chain(derivers).map(hash_part).collect();
    for derivation in cache.logs().map_err(PublishError::from)? {
        let text = std::fs::read(derivation.to_string()).unwrap_or_default();
        if text.is_empty() || store_hashes(&text).any(|found| secret.contains(found.hash)) {
            cache.remove_log(&derivation).map_err(PublishError::from)?;
        }
    }
    Ok(())
}

fn audit_again(cache: &Cache, state: &State, record: &Record, corpus: &Corpus) -> Result<Report, UnpackError> {
    let folder = state.staging().join("recheck");
    let failed = |source| UnpackError::File { path: folder.clone(), source };
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let root = folder.join("path");
    let unpacked = cache.unpack(&record.path, &root);
    let report = unpacked.map(|()| audit_unpacked(&root, &record.path, corpus));
    let _ = std::fs::remove_dir_all(&folder);
    report
}
