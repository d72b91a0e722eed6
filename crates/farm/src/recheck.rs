//! `narthex audit --recheck`: what was published is audited again when the corpus has grown.

use crate::bytes::{audit_unpacked, name_in_key};
use crate::corpus::{CorpusFileError, Shipped, load_corpus};
use crate::known::{Recognized, recognize};
use narthex_audit::{Corpus, SCANNER_VERSION};
use narthex_cache::{Cache, CatalogError, PublishError, Record, State, StateError, UnpackError};
use narthex_event::{Event, Sink};
use narthex_policy::{Case, Code, Rules, Verdict, decide_again};
use std::collections::BTreeMap;

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
}

/// Audits again, from the cache, whatever is published and was last audited with another corpus, or rests on an entry of the
/// policy that may have ended, and takes back what may no longer be published: the narinfo first, then the NAR. The
/// decision and its reasons are written down.
///
/// What the package set declares is taken from the record of the first decision; what entries ask for beside that, from
/// what the catalog knows of the path.
///
/// # Errors
/// When a part fails. What was taken back until then stays so.
pub async fn recheck(state: &State, rules: &Rules, sink: Sink<'_>) -> Result<Recheck, RecheckError> {
    let _lock = state.lock()?;
    let corpus = load_corpus(Some(state), Shipped::With)?;
    let cache = Cache::open(state).await?;
    cache.recover().await?;
    let id = corpus.id();
    let mut result = Recheck::default();
    let of_entries = [Code::PolicyException, Code::PolicyGrant];
    let records = cache.catalog().published_before(&id, SCANNER_VERSION, &of_entries.map(Code::as_str)).await?;
    for record in records {
        let rests_on_entry = record.reasons.iter().any(|reason| of_entries.contains(&reason.code));
        if rests_on_entry && record.policy != rules.policy().name() {
            *result.left.entry(record.policy).or_default() += 1;
            continue;
        }
        let report = tokio::task::block_in_place(|| audit_again(&cache, state, &record, &corpus))?;
        result.audited += 1;
        sink(Event::Audited { path: record.path.clone(), findings: report.findings.len() });
        let text = serde_json::to_string(&report).map_err(|error| CatalogError::Row(error.to_string()))?;
        let recognized = recognize(cache.catalog(), &record.path, rules).await?;
        let package = record.deriver.as_ref().map_or(record.path.name(), |d| d.name().trim_end_matches(".drv"));
        // The catalog knows what attributes are called today; then it may have had another one.
        let mut attrs: Vec<String> = recognized.iter().flat_map(|known| known.case().attrs.to_vec()).collect();
        attrs.extend(record.attr.clone().filter(|attr| !attrs.contains(attr)));
        let case = Case { package, attrs: &attrs, output: record.output.as_deref() };
        let facts = recognized.as_ref().and_then(Recognized::facts);
        let decision = decide_again(&record.path, (&case, facts), record.nar_hash, &record.reasons, &report, rules);
        let changed = Record {
            verdict: decision.verdict(),
            reasons: decision.reasons().to_vec(),
            policy: rules.policy().name().to_owned(),
            ..record.clone()
        };
        if decision.verdict() == Verdict::Withhold {
            // The record first: should the program end now, the next start of anything finds why.
            cache.catalog().put(&changed).await?;
            cache.withhold(&changed).await?;
            sink(Event::Withdrawn { path: record.path.clone() });
            result.withdrawn.push(changed);
        } else if changed != record {
            cache.catalog().put(&changed).await?;
        }
        cache
            .catalog()
            .put_audit(record.nar_hash, name_in_key(&record.path, &report), &id, SCANNER_VERSION, &text)
            .await?;
    }
    cache.catalog().close().await;
    Ok(result)
}

fn audit_again(
    cache: &Cache,
    state: &State,
    record: &Record,
    corpus: &Corpus,
) -> Result<narthex_audit::Report, UnpackError> {
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
