//! The audit of one output.

use crate::container::{Limits, Spent, walk};
use crate::corpus::Corpus;
use crate::finding::{Finding, Gap, Place};
use crate::makers::{self, Looked, Made};
use crate::pool::Pool;
use crate::scan::{Scan, without_what_is_inside};
use crate::texts::{LicenseText, TextHash, is_license_text};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

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
    /// The same of files that a learned package calls its own: code that is nobody else's. Such a package may be a
    /// vendor's that has another one's parts in its library.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claimed_code: Vec<Place>,
    /// The files that are license texts by their names; those in archives are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<LicenseText>,
    /// Stretches that look encrypted or compressed and that nothing accounts for. They say nothing by themselves: vendors and free
    /// packages have such as well. Where the build could read what is withheld, it may be in there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opaque: Vec<(Place, Gap)>,
    /// Where the name of the output, and most of its code that nothing else is known of, say that a vendor made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
}

impl Report {
    /// Whether the output is itself a file, so that its own name is one that scanners may have gone by.
    pub fn is_of_a_file(&self) -> bool {
        self.files.iter().any(String::is_empty)
    }

    /// The same report for a build that could read what is withheld: what nobody can look into counts as not audited.
    pub fn counting_opaque(&self) -> Self {
        let mut report = self.clone();
        let opaque = std::mem::take(&mut report.opaque);
        report.findings.extend(opaque.into_iter().map(|(place, gap)| Finding::NotFullyAudited { place, gap }));
        report
    }
}

/// How much work is left for one path: its files together may unpack to so much, beside what each may in proportion
/// to its size. Work is counted and never timed, so that the same bytes always give the same report.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    bytes: u64,
    members: usize,
}

impl Default for Budget {
    /// 32 GiB and four million members.
    fn default() -> Self {
        Self { bytes: 32 << 30, members: 4_000_000 }
    }
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
    looked: Vec<Looked>,
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
        all.claimed_code.extend(report.claimed_code);
        all.claimed_code.truncate(OWN_CODE);
        all.opaque.extend(report.opaque);
        self.looked.extend(next.looked);
        self.pool.merge(next.pool);
    }

    /// Forgets what a file adds to the others: it changed while it was read.
    pub fn forget(&mut self, file: &str) {
        self.report.own_code.retain(|place| place.file != file);
        self.report.claimed_code.retain(|place| place.file != file);
        self.report.opaque.retain(|(place, _)| place.file != file);
        self.looked.retain(|looked| looked.file() != file);
        self.pool.forget(file);
    }

    /// The report about all files.
    pub fn finish(mut self, corpus: &Corpus) -> Report {
        self.pool.report(corpus, &mut self.report.findings);
        self.report.made = makers::sum(&self.looked);
        self.report
    }
}

/// Looks for the corpus's material in an output; the same input gives the same report, however many
/// threads there are.
pub fn audit(files: &[AuditFile<'_>], corpus: &Corpus, limits: Limits) -> Report {
    audit_part(files, "", corpus, limits, &mut Budget::default()).finish(corpus)
}

/// Looks for the corpus's material in some files of an output, all files of which share a budget. `name` is what the output is
/// called: where it is itself a file, that is the file's name.
///
/// Files are read beside each other as long as each takes little memory and work. Those that take more are read
/// again, one after the other: what they unpack to is in memory once, however many threads and outputs there are.
pub fn audit_part(
    files: &[AuditFile<'_>],
    name: &str,
    corpus: &Corpus,
    limits: Limits,
    budget: &mut Budget,
) -> AuditPart {
    let mut parts: Vec<(AuditPart, Spent)> = files
        .par_iter()
        .map(|file| {
            let size = if let Contents::Bytes(bytes) = file.contents { bytes.len() as u64 } else { 0 };
            // A single file is looked at by these threads as well, and not by the caller's, who would wait at every fork.
            rayon::scope(|_| look(file, name, corpus, limits.beside_others(size)))
        })
        .collect();
    for (file, part) in files.iter().zip(&mut parts).filter(|(_, (_, spent))| spent.bounded) {
        let limits = Limits {
            total_bytes: limits.total_bytes.min(budget.bytes),
            members: limits.members.min(budget.members),
            ..limits
        };
        *part = alone(|| look(file, name, corpus, limits));
        budget.bytes -= part.1.bytes.min(budget.bytes);
        budget.members -= part.1.members.min(budget.members);
    }
    let mut all = AuditPart::default();
    parts.into_iter().for_each(|(part, _)| all.merge(part));
    all
}

fn look(file: &AuditFile<'_>, name: &str, corpus: &Corpus, limits: Limits) -> (AuditPart, Spent) {
    let place = Place { file: file.path.clone(), members: Vec::new() };
    let (mut part, mut spent) = (AuditPart::default(), Spent::default());
    part.report.files.push(file.path.clone());
    match &file.contents {
        Contents::Bytes(bytes) => {
            let mut scan = Scan::new(corpus, name);
            spent = walk(place, bytes, limits, &mut scan);
            part.pool = scan.pool;
            part.report.findings = scan.findings;
            without_what_is_inside(&mut part.report.findings);
            part.report.own_code = scan.own_code;
            part.report.claimed_code = scan.claimed_code;
            part.report.opaque = scan.opaque;
            part.looked = scan.looked;
            part.report.bytes = bytes.len() as u64;
            part.report.texts = license_text(file, name).into_iter().collect();
        }
        Contents::Unreadable(why) => {
            part.report.findings = vec![Finding::NotFullyAudited { place, gap: Gap::Unreadable(why.clone()) }];
        }
    }
    (part, spent)
}

/// Does something while nobody else of this process does such a thing.
///
/// This is one thread that everybody waits for. A lock would not do: whoever holds it works with rayon, which may
/// give the same thread another file meanwhile that waits for the same lock.
fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    static ALONE: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    let pool = ALONE.get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(1).stack_size(16 << 20).build().ok());
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// A license text that can be read; one that cannot is a gap already.
fn license_text(file: &AuditFile<'_>, name: &str) -> Option<LicenseText> {
    match file.contents {
        Contents::Bytes(bytes) if is_license_text(if file.path.is_empty() { name } else { &file.path }) => {
            let place = Place { file: file.path.clone(), members: Vec::new() };
            Some(LicenseText { place, sha256: TextHash::of(bytes) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn bomb(size: usize) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![0; size]).expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    }

    /// What takes more than it may beside others is read alone, and all files of a path share what they may take then.
    #[test]
    fn the_files_of_a_path_share_a_budget() {
        let packed = bomb(120 << 20);
        let files: Vec<AuditFile<'_>> = ["a.gz", "b.gz", "c.gz"]
            .map(|path| AuditFile { path: path.to_owned(), contents: Contents::Bytes(&packed) })
            .into();
        let corpus = Corpus::new(Vec::new());
        let report = |bytes: u64| {
            let mut budget = Budget { bytes, members: 100 };
            let report = audit_part(&files, "x", &corpus, Limits::default(), &mut budget).finish(&corpus);
            let gaps: Vec<String> = report.findings.iter().map(|finding| finding.place().to_string()).collect();
            (gaps, budget.bytes)
        };
        assert_eq!(report(400 << 20), (vec![], 40 << 20));
        assert_eq!(report(250 << 20), (vec!["c.gz".to_owned()], 0));
    }

    /// A file that is all of its path has the path's name, for whatever goes by names.
    #[test]
    fn the_name_of_a_path_is_that_of_its_file() {
        let library = crate::made::library(&[(".text", true, vec![0x90; 64])]);
        let report = |path: &str, name: &str, bytes: &[u8]| {
            let file = AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) };
            let corpus = Corpus::new(Vec::new());
            audit_part(&[file], name, &corpus, Limits::default(), &mut Budget::default()).finish(&corpus)
        };
        let is_driver = |report: Report| report.findings.iter().any(|found| matches!(found, Finding::Driver { .. }));
        assert!(is_driver(report("", "libcuda.so.1", &library)));
        assert!(!is_driver(report("", "libmine.so.1", &library)));
        assert!(!is_driver(report("lib/libmine.so.1", "libcuda.so.1", &library)));
        let text = report("", "LICENSE.txt", b"You may copy it.");
        assert!(text.is_of_a_file());
        assert_eq!((text.texts.len(), text.texts[0].place.file.as_str()), (1, ""));
    }
}
