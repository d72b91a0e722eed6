//! `narthex report`: what was decided about a closure or a whole cache, gathered for people and for other tools.
//!
//! It reads the catalog and the folder of objects and writes nothing. The same state and the same time of creation give
//! the same report. What is withheld is in it by name, size, hash and reasons; no byte of it is looked for. It does not
//! say how a report looks.

mod gather;
mod notices;

pub use gather::compliance_report;
pub use notices::{Carried, NoticeText, Notices, PackageNotice, TextOrigin, notices};

use narthex_audit::TextHash;
use narthex_cache::{CatalogError, FolderError, ShelfError};
use narthex_closure::{NarHash, StorePath};
use narthex_policy::{Code, Effect, Evidence, Source, Verdict};
use serde::{Serialize, Serializer};

use crate::corpus::CorpusFileError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The catalog failed.
    #[error("{0}")]
    Catalog(#[from] CatalogError),
    /// The corpus cannot be used.
    #[error("{0}")]
    Corpus(#[from] CorpusFileError),
    /// The folder of objects failed.
    #[error("{0}")]
    Folder(#[from] FolderError),
    /// A published path cannot be looked into.
    #[error("{0}")]
    Shelf(#[from] ShelfError),
    /// A path that the report would have to speak of was never decided about.
    #[error("nothing was decided about {path}{}", more(*others))]
    Undecided {
        /// The path.
        path: String,
        /// How many others there are.
        others: usize,
    },
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => ", nor about one other path".to_owned(),
        others => format!(", nor about {others} other paths"),
    }
}

/// What a report says.
#[derive(Clone, Debug, Serialize)]
pub struct ComplianceReport {
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The paths that were asked for, as places in `paths`; empty for a whole cache.
    pub roots: Vec<usize>,
    /// Every path that it is about, by name, then path.
    pub paths: Vec<ReportPath>,
    /// Withheld paths, each with the published ones that refer to it, as places in `paths`.
    pub holes: Vec<(usize, Vec<usize>)>,
    /// Vendors' terms that were asked.
    pub terms: Vec<TermsDocument>,
    /// What the bytes were audited with.
    pub audits: Vec<AuditState>,
    /// What they would be audited with today.
    pub current: AuditState,
}

/// One path of a report.
#[derive(Clone, Debug, Serialize)]
pub struct ReportPath {
    /// The path.
    #[serde(serialize_with = "as_text")]
    pub path: StorePath,
    /// The package's name, without version.
    pub name: String,
    /// Its version; empty where it has none.
    pub version: String,
    /// The output's name.
    pub output: Option<String>,
    /// The attribute of the job that it is an output of.
    pub attr: Option<String>,
    /// The derivation that made it.
    #[serde(serialize_with = "as_optional_text")]
    pub deriver: Option<StorePath>,
    /// The declared license.
    pub license: Option<String>,
    /// Publish or withhold.
    pub verdict: Verdict,
    /// What the folder of objects has of it.
    pub presence: Presence,
    /// Why; the first reason decides.
    pub reasons: Vec<ReportReason>,
    /// The policy that decided.
    pub policy: String,
    /// SHA-256 of its NAR.
    pub nar_hash: NarHash,
    /// Size of its NAR in bytes.
    pub nar_size: u64,
    /// Other paths that it refers to, as places in the report's list.
    pub references: Vec<usize>,
    /// The place in the report's list of what it was audited with.
    pub audited: Option<usize>,
}

/// What the folder of objects has of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Exactly the bytes that were decided about, compressed to this size.
    Published(u64),
    /// Nothing.
    Absent,
    /// It is withheld, and a narinfo is there all the same: a run was ended before it took it back.
    NotTakenBack,
}

/// A reason, with as much of its evidence as a report shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportReason {
    /// The stable name of the reason.
    pub code: Code,
    /// Where it comes from.
    pub source: Source,
    /// What it does.
    pub effect: Effect,
    /// A sentence fragment for people.
    pub message: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// Pieces of evidence that are left out; `narthex why` has them.
    pub left_out: usize,
}

/// A vendor's terms, and the texts that they were read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TermsDocument {
    /// Their stable name.
    pub id: String,
    /// The title of the license text.
    pub title: String,
    /// Conditions under which what they list may be passed on.
    pub conditions: Vec<String>,
    /// The texts: releases, hash of the normal form, and a note.
    pub texts: Vec<(String, TextHash, Option<String>)>,
}

/// What bytes were audited with, and how many paths of the report were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditState {
    /// The id of the corpus.
    pub corpus: String,
    /// The version of the scanners.
    pub scanner: u32,
    /// Paths.
    pub paths: usize,
}

/// An entry of a policy that had a part in decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedEntry<'r> {
    /// Which kind of entry it is.
    pub code: Code,
    /// What it says: what for, until when, and who answers for it.
    pub message: &'r str,
    /// The paths, as places in the report's list.
    pub paths: Vec<usize>,
}

/// Somebody's material inside a published path.
#[derive(Clone, Copy, Debug)]
pub struct Inclusion<'r> {
    /// The reason that names it.
    pub reason: &'r ReportReason,
    /// Where it is, what it is, and which clause permits it.
    pub evidence: &'r Evidence,
}

/// The kinds of findings that are somebody's material.
pub(crate) const MATERIAL: [&str; 6] = ["copy", "modified-copy", "static", "device-code", "suspected", "driver"];

impl ReportPath {
    /// Whether the folder of objects has it, and may.
    pub fn is_published(&self) -> bool {
        self.verdict == Verdict::Publish && matches!(self.presence, Presence::Published(_))
    }

    /// Whether it is what others are made from, and was not built.
    pub fn is_source(&self) -> bool {
        let of_source = |reason: &ReportReason| matches!(reason.code, Code::SourceOfPublished | Code::SourceOfWithheld);
        self.output.is_none() || self.reasons.iter().any(of_source)
    }

    /// The reason that decides.
    pub fn deciding(&self) -> Option<&ReportReason> {
        self.reasons.first()
    }

    /// Vendors' material that is inside, where the path may be published.
    pub fn inclusions(&self) -> impl Iterator<Item = Inclusion<'_>> {
        let reasons = self.reasons.iter().filter(|_| self.verdict == Verdict::Publish);
        reasons.flat_map(|reason| {
            let material = reason.evidence.iter().filter(|evidence| is_material(evidence));
            material.map(move |evidence| Inclusion { reason, evidence })
        })
    }
}

impl ComplianceReport {
    /// The conditions that travel with a path: each terms' name, and what they ask.
    pub fn conditions_of<'r>(&self, path: &'r ReportPath) -> Vec<(&'r str, &'r [String])> {
        let mut found: Vec<(&str, &[String])> = Vec::new();
        for Inclusion { evidence, .. } in path.inclusions().filter(|i| !i.evidence.conditions.is_empty()) {
            // Records of earlier versions do not name the terms.
            let title = evidence.terms.as_ref().map_or("the vendor's terms", |terms| terms.title.as_str());
            if !found.iter().any(|(known, _)| *known == title) {
                found.push((title, &evidence.conditions));
            }
        }
        found
    }

    /// Entries of policies that had a part in decisions: corrections, exceptions, grants, rules, reviews, and what
    /// has ended.
    pub fn entries(&self) -> Vec<UsedEntry<'_>> {
        const KINDS: [Code; 6] = [
            Code::PolicyCorrection,
            Code::PolicyException,
            Code::PolicyGrant,
            Code::PolicyRule,
            Code::PolicyReview,
            Code::PolicyExpired,
        ];
        let mut used: std::collections::BTreeMap<(usize, &str), Vec<usize>> = std::collections::BTreeMap::new();
        for (place, path) in self.paths.iter().enumerate() {
            for reason in &path.reasons {
                if let Some(kind) = KINDS.iter().position(|kind| *kind == reason.code) {
                    used.entry((kind, &reason.message)).or_default().push(place);
                }
            }
        }
        used.into_iter().map(|((kind, message), paths)| UsedEntry { code: KINDS[kind], message, paths }).collect()
    }

    /// A number of 128 bits that only this report has; `format` tells documents of one report from each other.
    pub fn digest(&self, format: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("narthex compliance report 1");
        hasher.update(format.as_bytes());
        hasher.update(&[0]);
        serde_json::to_writer(&mut hasher, self).expect("a report is plain data, and a hash takes any bytes");
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        digest
    }
}

/// Whether it is somebody's material that was found, and not only what a file links or how it stands to a text.
pub(crate) fn is_material(evidence: &Evidence) -> bool {
    evidence.kind.as_deref().is_some_and(|kind| MATERIAL.contains(&kind))
}

fn as_text<S: Serializer>(path: &StorePath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}

fn as_optional_text<S: Serializer>(path: &Option<StorePath>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.collect_str(path),
        None => serializer.serialize_none(),
    }
}
