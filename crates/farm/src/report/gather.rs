//! From a state to a report.

use super::{
    AuditState, ComplianceReport, Presence, ReportError, ReportPath, ReportReason, TermsDocument, is_material,
};
use crate::corpus::{Shipped, load_corpus};
use narthex_audit::{Material, SCANNER_VERSION};
use narthex_cache::{AuditedWith, Catalog, Record, Shelf, State};
use narthex_closure::{StorePath, hash_part};
use narthex_policy::{Evidence, Reason, Source, Terms, Verdict};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Pieces of evidence that are kept of one reason to withhold.
const KEPT: usize = 12;

/// A path as the catalog has it, shortened to what a report keeps of it.
struct Known {
    row: ReportPath,
    references: Vec<StorePath>,
}

/// Gathers what there is to report of some paths with all that they refer to, or of a whole state where none is named.
/// `terms` are those that the policies behind the decisions named; `created` is the time that the report bears, in
/// seconds since 1970.
///
/// # Errors
/// [`ReportError::Undecided`] where a path belongs to it that was never decided about; else when the state cannot be
/// read.
pub async fn compliance_report(
    state: &State,
    roots: &[StorePath],
    terms: &[Terms],
    created: u64,
) -> Result<ComplianceReport, ReportError> {
    let catalog = Catalog::open_read_only(&state.catalog()).await?;
    let mut audits: BTreeMap<AuditedWith, usize> = BTreeMap::new();
    let mut known: Vec<Known> = Vec::new();
    catalog
        .survey(|record, audited| {
            let numbers = audits.len();
            let audited = audited.map(|with| *audits.entry(with).or_insert(numbers));
            known.push(shortened(record, audited));
        })
        .await?;
    catalog.close().await;
    tokio::task::block_in_place(|| {
        let shelf = Shelf::of(state);
        if roots.is_empty() {
            whole(&shelf, &known)?
        } else {
            known = closure(known, roots)?
        }
        known.sort_by(|a, b| (a.row.path.name(), &a.row.path).cmp(&(b.row.path.name(), &b.row.path)));
        let corpus = load_corpus(Some(state), Shipped::With)?.id();
        let mut report = assembled(&shelf, known, roots, created)?;
        report.terms = asked(&report.paths, terms);
        report.audits = counted(audits, &mut report.paths);
        report.current = AuditState { corpus, scanner: SCANNER_VERSION, paths: 0 };
        report.current.paths = report.audits.iter().filter(|a| a.is_as(&report.current)).map(|audit| audit.paths).sum();
        Ok(report)
    })
}

/// Keeps what is reported of a decision. Most evidence of most paths says which libraries they link.
fn shortened(record: Record, audited: Option<usize>) -> Known {
    let package = record.deriver.as_ref().map_or(record.path.name(), |drv| drv.name().trim_end_matches(".drv"));
    let Material { name, version, .. } = Material::of_package(package, Vec::new());
    let references = record.references.into_iter().filter(|path| *path != record.path).collect();
    let row = ReportPath {
        name,
        version,
        path: record.path,
        output: record.output,
        attr: record.attr,
        deriver: record.deriver,
        license: record.license,
        verdict: record.verdict,
        presence: Presence::Absent,
        reasons: record.reasons.into_iter().map(|reason| shortened_reason(reason, record.verdict)).collect(),
        policy: record.policy,
        nar_hash: record.nar_hash,
        nar_size: record.nar_size,
        references: Vec::new(),
        audited,
    };
    Known { row, references }
}

fn shortened_reason(reason: Reason, verdict: Verdict) -> ReportReason {
    let Reason { code, source, effect, message, evidence } = reason;
    let all = evidence.len();
    let explains = |evidence: &Evidence| !matches!(evidence.kind.as_deref(), Some("dynamic"));
    let mut evidence: Vec<Evidence> = match verdict {
        // What is inside what is published is the matter of a report, and all of it is kept.
        Verdict::Publish => {
            let (material, other): (Vec<_>, Vec<_>) = evidence.into_iter().filter(explains).partition(is_material);
            material.into_iter().chain(other.into_iter().take(KEPT)).collect()
        }
        Verdict::Withhold => evidence.into_iter().filter(explains).take(KEPT).collect(),
    };
    evidence.shrink_to_fit();
    ReportReason { code, source, effect, message, left_out: all - evidence.len(), evidence }
}

/// Makes sure that a report about a whole state leaves nothing out: whatever lies in the folder, and whatever a path
/// refers to, was decided about.
fn whole(shelf: &Shelf, known: &[Known]) -> Result<(), ReportError> {
    let paths: BTreeSet<&StorePath> = known.iter().map(|known| &known.row.path).collect();
    let hashes: BTreeSet<String> = paths.iter().map(|path| hash_part(path)).collect();
    let strays =
        shelf.hashes()?.into_iter().filter(|hash| !hashes.contains(hash)).map(|hash| format!("{hash}.narinfo"));
    let referred: BTreeSet<&StorePath> = known.iter().flat_map(|known| &known.references).collect();
    let missing = referred.into_iter().filter(|path| !paths.contains(path)).map(ToString::to_string);
    undecided(missing.chain(strays).collect())
}

/// The named paths and all that they refer to.
fn closure(known: Vec<Known>, roots: &[StorePath]) -> Result<Vec<Known>, ReportError> {
    let mut known: HashMap<StorePath, Known> = known.into_iter().map(|known| (known.row.path.clone(), known)).collect();
    let (mut found, mut missing) = (Vec::new(), BTreeSet::new());
    let mut todo: Vec<StorePath> = roots.to_vec();
    let mut seen: BTreeSet<StorePath> = roots.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        match known.remove(&path) {
            Some(one) => {
                todo.extend(one.references.iter().filter(|path| seen.insert((*path).clone())).cloned());
                found.push(one);
            }
            None => {
                missing.insert(path);
            }
        }
    }
    // What was asked for is named before what belongs to it.
    let named = roots.iter().find(|root| missing.contains(*root));
    let first = named.into_iter().chain(missing.iter().filter(|path| Some(*path) != named));
    undecided(first.map(ToString::to_string).collect())?;
    Ok(found)
}

fn undecided(paths: Vec<String>) -> Result<(), ReportError> {
    let others = paths.len().saturating_sub(1);
    paths.into_iter().next().map_or(Ok(()), |path| Err(ReportError::Undecided { path, others }))
}

/// Puts paths, which are in order, into a report.
fn assembled(
    shelf: &Shelf,
    known: Vec<Known>,
    roots: &[StorePath],
    created: u64,
) -> Result<ComplianceReport, ReportError> {
    let places: HashMap<StorePath, usize> =
        known.iter().enumerate().map(|(place, known)| (known.row.path.clone(), place)).collect();
    let mut paths = Vec::with_capacity(known.len());
    for Known { mut row, references } in known {
        row.references = references.iter().filter_map(|path| places.get(path).copied()).collect();
        row.references.sort_unstable();
        row.presence = match row.verdict {
            Verdict::Publish => {
                shelf.nar(&row.path, row.nar_hash)?.map_or(Presence::Absent, |nar| Presence::Published(nar.file_size))
            }
            Verdict::Withhold if shelf.has_narinfo(&row.path)? => Presence::NotTakenBack,
            Verdict::Withhold => Presence::Absent,
        };
        paths.push(row);
    }
    let mut holes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, path) in paths.iter().enumerate().filter(|(_, path)| path.verdict == Verdict::Publish) {
        for hole in path.references.iter().filter(|hole| paths[**hole].verdict == Verdict::Withhold) {
            holes.entry(*hole).or_default().push(place);
        }
    }
    let mut roots: Vec<usize> = roots.iter().filter_map(|path| places.get(path).copied()).collect();
    roots.sort_unstable();
    roots.dedup();
    Ok(ComplianceReport {
        created,
        roots,
        paths,
        holes: holes.into_iter().collect(),
        terms: Vec::new(),
        audits: Vec::new(),
        current: AuditState { corpus: String::new(), scanner: 0, paths: 0 },
    })
}

/// The terms that a reason of these paths goes back to.
fn asked(paths: &[ReportPath], terms: &[Terms]) -> Vec<TermsDocument> {
    let mut ids: BTreeSet<&str> = BTreeSet::new();
    let mut titles: BTreeSet<&str> = terms.iter().map(Terms::title).collect();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for reason in paths.iter().flat_map(|path| &path.reasons) {
        ids.extend(reason.evidence.iter().filter_map(|e| e.terms.as_ref()).map(|terms| terms.id.as_str()));
        if reason.source == Source::Terms {
            // Each title is looked for until it was found once.
            titles.retain(|title| {
                let found = reason.message.contains(title);
                if found {
                    named.insert(title);
                }
                !found
            });
        }
    }
    let mut documents: Vec<TermsDocument> = Vec::new();
    for terms in terms.iter().filter(|terms| ids.contains(terms.id()) || named.contains(terms.title())) {
        if documents.iter().any(|known| known.id == terms.id()) {
            continue;
        }
        documents.push(TermsDocument {
            id: terms.id().to_owned(),
            title: terms.title().to_owned(),
            conditions: terms.conditions().to_vec(),
            texts: terms
                .texts()
                .map(|(release, hash, note)| (release.to_owned(), hash, note.map(str::to_owned)))
                .collect(),
        });
    }
    documents.sort_by(|a, b| a.id.cmp(&b.id));
    documents
}

/// The list of what was audited with what, in order, and the places in it.
fn counted(audits: BTreeMap<AuditedWith, usize>, paths: &mut [ReportPath]) -> Vec<AuditState> {
    let mut list = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for (AuditedWith { corpus, scanner }, number) in audits {
        let count = paths.iter().filter(|path| path.audited == Some(number)).count();
        if count > 0 {
            places.insert(number, list.len());
            list.push(AuditState { corpus, scanner, paths: count });
        }
    }
    for path in paths {
        path.audited = path.audited.and_then(|number| places.get(&number).copied());
    }
    list
}

impl AuditState {
    /// Whether it is the same corpus with the same scanners.
    pub fn is_as(&self, other: &Self) -> bool {
        (&self.corpus, self.scanner) == (&other.corpus, other.scanner)
    }
}
