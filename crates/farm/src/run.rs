//! `narthex run`: the whole way from an expression to a cache.

use crate::bytes::{audit_store_path, name_in_key};
use crate::corpus::{CorpusFileError, own};
use crate::failure::{BuildFailure, failures};
use crate::inventory::Inventory;
use crate::known::{Recognized, keep_facts, recognize};
use crate::learn::{Materials, learn_new, materials};
use crate::logs::{self, Logs};
use crate::lost::{self, Lacking};
use crate::package_set::{PackageSet, PackageSetError, Role};
use crate::plan::{forecast_elsewhere, forecast_of, license_of, provenance};
use crate::published_with::{Choice, ChoiceError, PolicyNotNamed};
use crate::sources::{Built, Originals, users_first};
use narthex_audit::{Report, SCANNER_VERSION};
use narthex_cache::{Build, Cache, Catalog, CatalogError, PathMeta, PublishError, Record, State, StateError};
use narthex_closure::{StorePath, holes, references_first};
use narthex_event::{Event, Sink};
use narthex_license::text::{self, LINE};
use narthex_nix::{
    BuildOutcome, BuildTime, Dump, EvalError, EvalOptions, Expression, Job, Nix, NixError, PathInfo, Target,
};
use narthex_policy::{Decision, Rules, Subject, Verdict, decide};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Why a run ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The package set could not be read.
    #[error("{0}")]
    PackageSet(#[from] PackageSetError),
    /// Nix failed.
    #[error("{0}")]
    Nix(#[from] NixError),
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
    /// A policy has to be named.
    #[error("{0}")]
    Policy(#[from] PolicyNotNamed),
}

impl From<ChoiceError> for RunError {
    fn from(error: ChoiceError) -> Self {
        match error {
            ChoiceError::NotNamed(error) => Self::Policy(error),
            ChoiceError::Catalog(error) => Self::Catalog(error),
            ChoiceError::Cache(error) => Self::Publish(error),
        }
    }
}

/// One decided path.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was decided, as the catalog has it.
    pub record: Record,
    /// Size of the compressed file in bytes, where it is published.
    pub file_size: Option<u64>,
}

/// How much there was to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Derivations built.
    pub built: usize,
    /// Outputs audited; the others were audited before.
    pub audited: usize,
    /// Paths uploaded; the others were there already.
    pub uploaded: usize,
    /// Paths taken back.
    pub withdrawn: usize,
    /// Paths that were there and got the signature of a key that is new.
    pub signed: usize,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// Every decided path: outputs of jobs first, then what they are made of; each by name.
    pub rows: Vec<Row>,
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Attributes that are sets and were not searched for jobs.
    pub not_searched: Vec<String>,
    /// Attributes that did not evaluate.
    pub errors: Vec<EvalError>,
    /// Jobs that did not build.
    pub failures: Vec<BuildFailure>,
    /// Withheld paths that published ones refer to, with those.
    pub holes: BTreeMap<StorePath, BTreeSet<StorePath>>,
    /// How much there was to do.
    pub counts: Counts,
    /// Public keys that the cache signs with.
    pub public_keys: Vec<String>,
    /// The policy that decided.
    pub policy: String,
    /// The policy that decided about some of these paths before, where it was another one.
    pub earlier_policy: Option<String>,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct RunRequest<'a> {
    /// The package set.
    pub expression: &'a Expression,
    /// The attributes that are jobs; all of them where there are none.
    pub attrs: &'a [String],
    /// What evaluating may take.
    pub options: &'a EvalOptions,
    /// The time, in seconds since 1970.
    pub now: u64,
    /// How the operator named the policy: a shipped one, or a file with its whole path. `None` where nobody named one, and the
    /// rules are those of the default.
    pub policy: Option<&'a str>,
}

/// Runs the whole way for an expression, or for some attributes of it.
///
/// Everything that is valid in the store afterwards and belongs to the graph of the jobs is decided
/// about. Jobs that fail are reported, and stop nothing else.
///
/// # Errors
/// When a part fails without which nothing can go on. What was published until then is whole.
pub async fn run(
    nix: &Nix,
    state: &State,
    rules: &Rules,
    request: &RunRequest<'_>,
    sink: Sink<'_>,
) -> Result<RunReport, RunError> {
    let RunRequest { expression, attrs, options, now, policy } = *request;
    let _lock = state.lock()?;
    // Read first: a broken corpus should not cost a build.
    let mut own = own(state)?;
    let cache = Cache::open(state).await?;
    let choice = Choice::of(&cache, rules, policy).await?;
    cache.recover().await?;
    let set = PackageSet::evaluate(nix, expression, attrs, options, sink).await?;
    let inventory = Inventory::of_set(&set);
    keep_facts(cache.catalog(), &inventory, now).await?;
    for diagnostic in inventory.diagnostics() {
        sink(Event::Warning { message: diagnostic.to_string() });
    }
    let set = set.put_right(rules);
    for entry in set.idle_entries(rules) {
        sink(Event::Warning { message: format!("the policy `{}`: {entry}", rules.policy().name()) });
    }

    let targets: BTreeSet<&StorePath> = set.jobs.iter().map(|job| &job.derivation).collect();
    let targets: Vec<Target> = targets.into_iter().map(|path| Target::Derivation(path.clone())).collect();
    let outcome = nix.build(&set.graph, &targets, sink).await?;

    if !outcome.success {
        // A warning may hold the cause of what failed.
        for message in outcome.telling_warnings() {
            sink(Event::Warning { message: format!("Nix: {message}") });
        }
    }

    let roles = set.roles();
    let materials = materials(&set, rules);
    let infos = valid_paths(nix, &set, &roles, &materials).await?;
    let valid: Vec<StorePath> = infos.keys().cloned().collect();
    cache.catalog().put_builds(&builds(&set, &outcome, &infos)).await?;
    let roots = state.fresh_roots()?;
    nix.protect(&valid, &roots).await?;

    let known = nix.path_info(materials.paths().cloned()).await?;
    let corpus = learn_new(&mut own, state, rules, &materials, &known, sink)?;
    if choice.is_forgotten() {
        lost::recall(&cache, &own).await?;
    }
    lost::note_learned(cache.catalog(), &own, &materials, &known).await?;
    let lacking = Lacking::find(&cache, &corpus, &infos, !choice.is_other(), sink).await?;
    let (reports, audited) = audit_all(&cache, &corpus, &infos, sink).await?;
    let recognized = recognize_all(cache.catalog(), rules, &roles, &infos).await?;
    let decide =
        |read: &BTreeSet<StorePath>| decide_all(&set, rules, &roles, &recognized, &infos, &reports, &lacking, read);
    let decisions = decide_by_inputs(&set, rules, &infos, &reports, decide);

    let mut report = RunReport {
        jobs: set.jobs.clone(),
        not_searched: set.not_searched.clone(),
        errors: set.errors.clone(),
        failures: failures(&set, &outcome, &|derivation| is_built(&set, derivation, &infos)),
        public_keys: cache.public_keys(),
        policy: rules.policy().name().to_owned(),
        ..RunReport::default()
    };
    report.counts.built = outcome.built.iter().filter(|drv| is_built(&set, drv, &infos)).count();
    report.counts.audited = audited;
    let records = records(&set, rules, &roles, &recognized, &infos, &decisions);
    choice.show(&cache, &records, sink).await?;
    // From here on the cache is this policy's, also should the program end.
    choice.remember(&cache, rules).await?;
    let logs = Logs::of(nix, &set, &materials, &infos, &records).await?;
    publish_all(nix, &cache, &logs, &decisions, &records, &infos, &mut report, sink).await?;

    let published: BTreeMap<StorePath, BTreeSet<StorePath>> = records
        .values()
        .filter(|record| record.verdict == Verdict::Publish)
        .map(|record| (record.path.clone(), record.references.clone()))
        .collect();
    report.holes = holes(&published);
    let outdated = cache.catalog().published_before(&corpus.id(), SCANNER_VERSION, &[]).await?.len();
    if outdated > 0 {
        let (paths, were, them) = match outdated {
            1 => ("1 published path that is".to_owned(), "was", "it"),
            more => (format!("{more} published paths that are"), "were", "them"),
        };
        let message = format!(
            "{paths} not of this package set {were} last audited with another corpus: `narthex audit --recheck` audits {them} again"
        );
        sink(Event::Warning { message });
    }
    cache.catalog().close().await;
    state.fresh_roots()?;
    Ok(report)
}

/// Everything that the jobs are made of and that is valid now, with what it refers to.
async fn valid_paths(
    nix: &Nix,
    set: &PackageSet,
    roles: &BTreeMap<StorePath, Role<'_>>,
    materials: &Materials,
) -> Result<BTreeMap<StorePath, PathInfo>, NixError> {
    // Local source files are of interest where they are a vendor's; where an output refers to one, the
    // closure has it anyway.
    let of_interest = |path: &&StorePath| set.graph.producer(path).is_some() || materials.originals.contains_key(*path);
    nix.closure_info(roles.keys().filter(of_interest).cloned()).await
}

async fn audit_all(
    cache: &Cache,
    corpus: &narthex_audit::Corpus,
    infos: &BTreeMap<StorePath, PathInfo>,
    sink: Sink<'_>,
) -> Result<(BTreeMap<StorePath, Report>, usize), RunError> {
    let id = corpus.id();
    let mut reports = BTreeMap::new();
    let mut todo = Vec::new();
    for (path, info) in infos {
        let stored = cache.catalog().audit(info.nar_hash, path.name(), &id, SCANNER_VERSION).await?;
        // A report that cannot be read any more is made anew.
        match stored.and_then(|text| serde_json::from_str::<Report>(&text).ok()) {
            Some(report) => {
                reports.insert(path.clone(), report);
            }
            None => todo.push(path),
        }
    }
    let made: Vec<(&StorePath, Report)> = tokio::task::block_in_place(|| {
        todo.into_par_iter()
            .map(|path| {
                let report = audit_store_path(path, corpus);
                sink(Event::Audited { path: path.clone(), findings: report.findings.len() });
                (path, report)
            })
            .collect()
    });
    let audited = made.len();
    for (path, report) in made {
        // What a full disk hid is looked at again next time.
        if !report.has_unreadable() {
            let text = serde_json::to_string(&report).map_err(|error| CatalogError::Row(error.to_string()))?;
            let name = name_in_key(path, &report);
            cache.catalog().put_audit(infos[path].nar_hash, name, &id, SCANNER_VERSION, &text).await?;
        }
        reports.insert(path.clone(), report);
    }
    Ok((reports, audited))
}

/// What evaluation put into the store, and what was fetched by its hash, has a content address. A path
/// without one that is named as a source is somebody's product.
fn is_product(info: &PathInfo) -> bool {
    info.ca.is_none()
}

/// What earlier sets said of paths that this one does not describe and that something in it refers to.
async fn recognize_all(
    catalog: &Catalog,
    rules: &Rules,
    roles: &BTreeMap<StorePath, Role<'_>>,
    infos: &BTreeMap<StorePath, PathInfo>,
) -> Result<BTreeMap<StorePath, Recognized>, CatalogError> {
    let mut recognized = BTreeMap::new();
    let is_told =
        |path: &StorePath, info: &PathInfo| roles.get(path).is_some_and(|role| !(role.is_source() && is_product(info)));
    for (path, _) in infos.iter().filter(|(path, info)| !is_told(path, info)) {
        if let Some(known) = recognize(catalog, path, rules).await? {
            recognized.insert(path.clone(), known);
        }
    }
    Ok(recognized)
}

/// Decides again as long as what was withheld was an input of what is published and holds something that nobody can look
/// into: that may be the input, in a form that is not known.
fn decide_by_inputs(
    set: &PackageSet,
    rules: &Rules,
    infos: &BTreeMap<StorePath, PathInfo>,
    reports: &BTreeMap<StorePath, Report>,
    decide: impl Fn(&BTreeSet<StorePath>) -> BTreeMap<StorePath, Decision>,
) -> BTreeMap<StorePath, Decision> {
    let mut read = BTreeSet::new();
    loop {
        let decisions = decide(&read);
        let is_withheld = |path: &StorePath| match decisions.get(path) {
            Some(decision) => decision.verdict() == Verdict::Withhold,
            // What is not here was decided elsewhere, by what it declares.
            None => {
                set.graph.producer(path).is_some_and(|p| forecast_of(set, &p.derivation, rules) == Verdict::Withhold)
            }
        };
        let is_opaque = |path: &&StorePath| reports.get(*path).is_some_and(|report| !report.opaque.is_empty());
        let more: Vec<StorePath> = (decisions.iter())
            .filter(|(_, decision)| decision.verdict() == Verdict::Publish)
            .map(|(path, _)| path)
            .filter(is_opaque)
            .filter(|path| !read.contains(*path) && build_reads(set, path, infos, &is_withheld))
            .cloned()
            .collect();
        if more.is_empty() {
            return decisions;
        }
        read.extend(more);
    }
}

/// Whether the build of a path could read such a path: one of its inputs, or what these refer to. One that may read more than
/// it declares could read any.
fn build_reads(
    set: &PackageSet,
    path: &StorePath,
    infos: &BTreeMap<StorePath, PathInfo>,
    is_such: &dyn Fn(&StorePath) -> bool,
) -> bool {
    let derivation = set.graph.producer(path).and_then(|producer| set.graph.get(&producer.derivation));
    if derivation.is_some_and(|derivation| derivation.needs.reads_undeclared()) {
        return true;
    }
    let mut todo: Vec<StorePath> =
        derivation.map_or_else(Vec::new, |derivation| set.graph.build_inputs(derivation).into_iter().collect());
    let mut seen: BTreeSet<StorePath> = todo.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        if is_such(&path) {
            return true;
        }
        let references = infos.get(&path).map(|info| &info.references);
        todo.extend(references.into_iter().flatten().filter(|path| seen.insert((*path).clone())).cloned());
    }
    false
}

/// Decides about outputs first, since sources follow the packages made from them.
#[expect(clippy::too_many_arguments, reason = "one step of a run, split off for its length; it has one caller")]
fn decide_all(
    set: &PackageSet,
    rules: &Rules,
    roles: &BTreeMap<StorePath, Role<'_>>,
    recognized: &BTreeMap<StorePath, Recognized>,
    infos: &BTreeMap<StorePath, PathInfo>,
    reports: &BTreeMap<StorePath, Report>,
    lacking: &Lacking,
    read_withheld: &BTreeSet<StorePath>,
) -> BTreeMap<StorePath, Decision> {
    let nothing_said = Role::Output(None);
    let recalled: BTreeMap<&StorePath, Role<'_>> =
        recognized.iter().map(|(path, known)| (path, Role::Settled(known.provenance()))).collect();
    let role = |path: &StorePath| {
        let product = infos.get(path).is_none_or(is_product);
        let is_told = |role: &&Role<'_>| !(role.is_source() && product);
        roles.get(path).filter(is_told).or_else(|| recalled.get(path).filter(is_told)).unwrap_or(&nothing_said)
    };
    let (outputs, sources): (Vec<_>, Vec<_>) = infos.iter().partition(|(path, _)| !role(path).is_source());
    let mut withheld = forecast_elsewhere(set, rules);
    let mut decisions = BTreeMap::new();
    let originals = Originals::of(reports);
    for (path, info) in outputs.into_iter().chain(users_first(set, sources)) {
        let decision = {
            let (decisions, withheld) = (&decisions, &withheld);
            let built = Built { set, rules, infos, reports, decisions, withheld, originals: &originals };
            let explained = |user: &StorePath| built.explains(user, path, &role);
            let subject = Subject {
                path,
                nar_hash: info.nar_hash,
                case: recognized.get(path).map_or_else(|| set.case(path), Recognized::case),
                provenance: provenance(set, rules, role(path), withheld, &explained),
                report: reports.get(path),
                lost: lacking.of(path),
                read_withheld: read_withheld.contains(path),
            };
            decide(&subject, rules)
        };
        if decision.verdict() == Verdict::Withhold {
            withheld.extend(set.graph.producer(path).map(|p| p.derivation.clone()));
        }
        decisions.insert(path.clone(), decision);
    }
    decisions
}

fn records(
    set: &PackageSet,
    rules: &Rules,
    roles: &BTreeMap<StorePath, Role<'_>>,
    recognized: &BTreeMap<StorePath, Recognized>,
    infos: &BTreeMap<StorePath, PathInfo>,
    decisions: &BTreeMap<StorePath, Decision>,
) -> BTreeMap<StorePath, Record> {
    let record = |(path, decision): (&StorePath, &Decision)| {
        let info = infos.get(path)?;
        let producer = set.producer(path);
        let record = Record {
            path: path.clone(),
            attr: producer.and_then(|p| set.attr(&p.derivation)).map(|attr| text::bounded(attr, LINE)),
            output: producer.map(|p| p.output.clone()),
            deriver: producer.map(|p| p.derivation.clone()).or_else(|| info.deriver.clone()),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references.clone(),
            license: match recognized.get(path) {
                Some(known) => known.license(),
                None => roles.get(path).and_then(license_of),
            },
            verdict: decision.verdict(),
            reasons: decision.reasons().to_vec(),
            policy: rules.policy().name().to_owned(),
        };
        Some((path.clone(), record))
    };
    decisions.iter().filter_map(record).collect()
}

/// Withholds first, so that what is no longer permitted goes before anything else comes.
#[expect(clippy::too_many_arguments, reason = "one step of a run, split off for its length; it has one caller")]
async fn publish_all(
    nix: &Nix,
    cache: &Cache,
    logs: &Logs<'_>,
    decisions: &BTreeMap<StorePath, Decision>,
    records: &BTreeMap<StorePath, Record>,
    infos: &BTreeMap<StorePath, PathInfo>,
    report: &mut RunReport,
    sink: Sink<'_>,
) -> Result<(), RunError> {
    let mut rows = Vec::with_capacity(records.len());
    for record in records.values().filter(|record| record.verdict == Verdict::Withhold) {
        remember(cache, record, report).await?;
        if cache.withhold(record).await? {
            report.counts.withdrawn += 1;
            sink(Event::Withdrawn { path: record.path.clone() });
        }
        rows.push(Row { record: record.clone(), file_size: None });
    }
    let references = infos.iter().map(|(path, info)| (path.clone(), info.references.clone())).collect();
    for path in references_first(&references) {
        let (Some(permit), Some(record), Some(info)) =
            (decisions.get(&path).and_then(Decision::permit), records.get(&path), infos.get(&path))
        else {
            continue;
        };
        let meta =
            PathMeta { references: info.references.clone(), deriver: record.deriver.clone(), ca: info.ca.clone() };
        if let Some(deriver) = &record.deriver {
            let too_long =
                cache.log_size(deriver).map_err(PublishError::from)?.is_some_and(|size| size > logs::LONGEST);
            if too_long || !logs.may_leave(deriver) {
                cache.remove_log(deriver).map_err(PublishError::from)?;
            } else if cache.published(&permit).map_err(PublishError::from)?.is_none()
                // The log comes first: once the path is there, nobody looks again whether its log is.
                && let Some(log) = nix.log(deriver, logs::LONGEST).await
            {
                cache.put_log(&permit, deriver, &log).map_err(PublishError::from)?;
            }
        }
        let published = cache.publish(&permit, &meta, || Dump::of(&path)).await?;
        remember(cache, record, report).await?;
        report.counts.signed += usize::from(published.signed);
        if published.uploaded {
            report.counts.uploaded += 1;
            sink(Event::Published { path: path.clone(), file_size: published.file_size });
        }
        rows.push(Row { record: record.clone(), file_size: Some(published.file_size) });
    }
    rows.sort_by(|a, b| order(&a.record).cmp(&order(&b.record)));
    report.rows = rows;
    Ok(())
}

async fn remember(cache: &Cache, record: &Record, report: &mut RunReport) -> Result<(), CatalogError> {
    let before = cache.catalog().get(&record.path).await?;
    if before.as_ref() != Some(record) {
        cache.catalog().put(record).await?;
    }
    let other = before.map(|before| before.policy).filter(|policy| *policy != record.policy);
    report.earlier_policy = report.earlier_policy.take().or(other);
    Ok(())
}

fn order(record: &Record) -> (bool, Option<&str>, &str, &StorePath) {
    (record.attr.is_none(), record.attr.as_deref(), record.path.name(), &record.path)
}

fn is_built(set: &PackageSet, derivation: &StorePath, infos: &BTreeMap<StorePath, PathInfo>) -> bool {
    set.graph.get(derivation).is_some_and(|d| d.outputs.values().all(|output| infos.contains_key(output)))
}

/// How long what was built took. What is fetched by its hash is no build.
fn builds(set: &PackageSet, outcome: &BuildOutcome, infos: &BTreeMap<StorePath, PathInfo>) -> Vec<Build> {
    let built = outcome.times.iter().filter(|(path, _)| is_built(set, path, infos));
    let build = |(path, time): (&StorePath, &BuildTime)| {
        let derivation = set.graph.get(path).filter(|derivation| !derivation.fixed_output)?;
        Some(Build {
            derivation: path.clone(),
            name: derivation.name.clone(),
            system: derivation.system.clone(),
            took: time.took,
            ended: time.ended,
        })
    };
    built.filter_map(build).collect()
}
