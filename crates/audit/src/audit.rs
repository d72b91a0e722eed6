//! The audit of one output.

use crate::container::{Limits, walk};
use crate::corpus::Corpus;
use crate::finding::{Finding, Gap, Place};
use crate::passages;
use crate::scan::Scan;
use crate::texts::{LicenseText, TextHash, is_license_text};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

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
    /// The files that are license texts by their names; those in archives are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<LicenseText>,
}

/// What was found in one file, and everything inside it.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    /// Passages that by themselves are too few.
    passages: Vec<(Place, HashSet<u64>)>,
    bytes: u64,
}

/// Looks for the corpus's material in an output; the same input gives the same report, however many
/// threads there are.
pub fn audit(files: &[AuditFile<'_>], corpus: &Corpus, limits: Limits) -> Report {
    let found: Vec<Found> = files
        .par_iter()
        .map(|file| {
            let place = Place { file: file.path.clone(), members: Vec::new() };
            match &file.contents {
                Contents::Bytes(bytes) => {
                    let mut scan = Scan::new(corpus);
                    walk(place, bytes, limits, &mut scan);
                    Found { findings: scan.findings, passages: scan.passages, bytes: bytes.len() as u64 }
                }
                Contents::Unreadable(why) => {
                    let findings = vec![Finding::NotFullyAudited { place, gap: Gap::Unreadable(why.clone()) }];
                    Found { findings, ..Found::default() }
                }
            }
        })
        .collect();
    let cut = passages::cut(found.iter().flat_map(|found| &found.passages), corpus);
    Report {
        bytes: found.iter().map(|found| found.bytes).sum(),
        findings: found.into_iter().flat_map(|found| found.findings).chain(cut).collect(),
        files: files.iter().map(|file| file.path.clone()).collect(),
        texts: files.iter().filter_map(license_text).collect(),
    }
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
