//! The audit of one output.

use crate::container::{Limits, walk};
use crate::corpus::Corpus;
use crate::finding::{Finding, Gap, Place};
use crate::pool::Pool;
use crate::scan::{Scan, without_what_is_inside};
use crate::texts::{LicenseText, TextHash, is_license_text};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// One regular file of an output.
#[derive(Debug)]
pub struct AuditFile<'a> {
    /// Path below the output; empty where the output is itself a file.
    pub path: String,
    /// What it holds.
    pub contents: Contents<'a>,
}

/// What could be read of a file.
#[derive(Clone, Debug)]
pub enum Contents<'a> {
    /// All its bytes.
    Bytes(&'a [u8]),
    /// Nothing, and why.
    Unreadable(String),
}

/// Everything that was seen in an output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The evidence, in the order of the files.
    pub findings: Vec<Finding>,
    /// Paths of all regular files, so that terms can be held against each of them.
    pub files: Vec<String>,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files and members with code that is nobody's whom the corpus knows: what makes an application of what stands
    /// beside it. Some of them, the first ones; none where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_code: Vec<Place>,
    /// The files that are license texts by their names; those in archives are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<LicenseText>,
}

/// Places that a report names as having code of their own.
const OWN_CODE: usize = 8;

/// What was seen in some files of an output. Parts are merged in the order of their files; what single files have too
/// little of is added up at the end.
#[derive(Debug, Default)]
pub struct AuditPart {
    /// What was seen so far.
    pub report: Report,
    pool: Pool,
}

impl AuditPart {
    /// Adds the next files.
    pub fn merge(&mut self, next: Self) {
        let (all, report) = (&mut self.report, next.report);
        all.findings.extend(report.findings);
        all.files.extend(report.files);
        all.bytes += report.bytes;
        all.texts.extend(report.texts);
        all.own_code.extend(report.own_code);
        all.own_code.truncate(OWN_CODE);
        self.pool.merge(next.pool);
    }

    /// Forgets what a file adds to the others: it changed while it was read.
    pub fn forget(&mut self, file: &str) {
        self.report.own_code.retain(|place| place.file != file);
        self.pool.forget(file);
    }

    /// The report about all files.
    pub fn finish(mut self, corpus: &Corpus) -> Report {
        self.pool.report(corpus, &mut self.report.findings);
        self.report
    }
}

/// Looks for the corpus's material in an output; the same input gives the same report, however many
/// threads there are.
pub fn audit(files: &[AuditFile<'_>], corpus: &Corpus, limits: Limits) -> Report {
    audit_part(files, corpus, limits).finish(corpus)
}

/// Looks for the corpus's material in some files of an output.
pub fn audit_part(files: &[AuditFile<'_>], corpus: &Corpus, limits: Limits) -> AuditPart {
    let parts: Vec<AuditPart> = files
        .par_iter()
        .map(|file| {
            let place = Place { file: file.path.clone(), members: Vec::new() };
            let mut part = AuditPart::default();
            part.report.files.push(file.path.clone());
            match &file.contents {
                Contents::Bytes(bytes) => {
                    let mut scan = Scan::new(corpus);
                    walk(place, bytes, limits, &mut scan);
                    part.pool = scan.pool;
                    part.report.findings = scan.findings;
                    without_what_is_inside(&mut part.report.findings);
                    part.report.own_code = scan.own_code;
                    part.report.bytes = bytes.len() as u64;
                    part.report.texts = license_text(file).into_iter().collect();
                }
                Contents::Unreadable(why) => {
                    part.report.findings = vec![Finding::NotFullyAudited { place, gap: Gap::Unreadable(why.clone()) }];
                }
            }
            part
        })
        .collect();
    let mut all = AuditPart::default();
    parts.into_iter().for_each(|part| all.merge(part));
    all
}

/// A license text that can be read; one that cannot is a gap already.
fn license_text(file: &AuditFile<'_>) -> Option<LicenseText> {
    match file.contents {
        Contents::Bytes(bytes) if is_license_text(&file.path) => {
            let place = Place { file: file.path.clone(), members: Vec::new() };
            Some(LicenseText { place, sha256: TextHash::of(bytes) })
        }
        _ => None,
    }
}
