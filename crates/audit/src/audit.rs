//! The audit of one output.

use crate::container::{Limits, Spent, waits, walk_with};
use crate::corpus::Corpus;
use crate::finding::{Finding, Gap, Place};
use crate::makers::{self, Looked, Made};
use crate::pool::Pool;
use crate::scan::{Scan, without_what_is_inside};
use crate::texts::{LicenseText, TextHash, is_license_text};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};

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

    /// Whether something could not be read here and now, for want of rights or of room: another try may show more.
    pub fn has_unreadable(&self) -> bool {
        let is_unreadable =
            |finding: &Finding| matches!(finding, Finding::NotFullyAudited { gap: Gap::Unreadable(_), .. });
        self.findings.iter().any(is_unreadable)
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
/// Files are read beside each other as long as each takes little room and work. Archives that take more are read one after
/// the other, and their members beside each other: what they unpack to is there once, however many outputs there are.
pub fn audit_part(
    files: &[AuditFile<'_>],
    name: &str,
    corpus: &Corpus,
    limits: Limits,
    budget: &mut Budget,
) -> AuditPart {
    let few = files.len() < FEW;
    let parts: Vec<Option<(AuditPart, Spent)>> = files
        .par_iter()
        .map(|file| {
            let size = file.size();
            let waits = file.waits(if few { WAITS_OF_FEW } else { WAITS });
            // A single file is looked at by these threads as well, and not by the caller's, who would wait at every fork.
            let look = || rayon::scope(|_| look(file, name, corpus, limits.beside_others(size), false));
            (!waits).then(look)
        })
        .collect();
    let mut all = AuditPart::default();
    for (file, part) in files.iter().zip(parts) {
        let usual = limits.beside_others(file.size());
        // Where there is room for anything, nothing has to be tried with less at first.
        let is_ample = budget.bytes >= limits.total_bytes && budget.members >= limits.members;
        let first = match part {
            None if is_ample => None,
            None => Some(look(file, name, corpus, usual, false)),
            part => part,
        };
        if let Some((part, Spent { bounded: false, .. })) = first {
            all.merge(part);
            continue;
        }
        let left = Limits {
            total_bytes: limits.total_bytes.min(budget.bytes),
            members: limits.members.min(budget.members),
            ..limits
        };
        let (part, spent) = alone(|| look(file, name, corpus, left, true));
        if first.is_some() || spent.exceeds(&usual) {
            budget.bytes -= spent.bytes.min(budget.bytes);
            budget.members -= spent.members.min(budget.members);
        }
        all.merge(part);
    }
    all
}

/// Archives from this size on wait for their turn, since most of them would not be done before.
const WAITS: u64 = 12 << 20;
/// The same where there are so few files that they would not keep all threads busy.
const WAITS_OF_FEW: u64 = 256 << 10;
const FEW: usize = 4;

impl AuditFile<'_> {
    fn size(&self) -> u64 {
        if let Contents::Bytes(bytes) = self.contents { bytes.len() as u64 } else { 0 }
    }

    /// Whether it is an archive that is large enough to wait for its turn.
    fn waits(&self, least: u64) -> bool {
        self.size() >= least && matches!(self.contents, Contents::Bytes(bytes) if waits(bytes))
    }
}

fn look(file: &AuditFile<'_>, name: &str, corpus: &Corpus, limits: Limits, beside: bool) -> (AuditPart, Spent) {
    let place = Place { file: file.path.clone(), members: Vec::new() };
    let (mut part, mut spent) = (AuditPart::default(), Spent::default());
    part.report.files.push(file.path.clone());
    match &file.contents {
        Contents::Bytes(bytes) => {
            let mut scan = Scan::new(corpus, name);
            spent = walk_with(place, bytes, limits, beside, &mut scan);
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

/// Does something with all threads while nobody else of this process does such a thing.
///
/// Whoever waits here takes no other work of its threads meanwhile, which might wait for the same lock: the work is done by
/// threads of its own, whose stacks have room for what they take while they wait, and its end is a message.
fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    static POOL: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| rayon::ThreadPoolBuilder::new().stack_size(32 << 20).build().ok());
    let Some(pool) = pool else { return work() };
    let (sender, receiver) = mpsc::sync_channel(1);
    let done = pool.in_place_scope(|scope| {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        scope.spawn(move |_| {
            // Nobody else has the other end before it was received.
            let _ = sender.send(work());
        });
        receiver.recv()
    });
    // Where the work panicked, the scope did so as well.
    done.unwrap_or_else(|_| unreachable!("the scope ends with what the work gave"))
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
    use crate::container::tests::{tar_of, zip_of};
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

    fn ar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut archive = b"!<arch>\n".to_vec();
        for (name, content) in members {
            let name = format!("{name}/");
            archive.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, content.len()).bytes());
            archive.extend(content);
            archive.resize(archive.len().next_multiple_of(2), b'\n');
        }
        archive
    }

    type Packed = fn(&[(String, Vec<u8>)]) -> Vec<u8>;

    /// Many members: copies, code that is nobody's, nested archives, damage, and a few that take much.
    fn mixed(original: &[u8], packed: Packed, depth: usize) -> Vec<u8> {
        let gzip = |content: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        };
        let members: Vec<(String, Vec<u8>)> = (0..200u32)
            .map(|number| {
                let content = match number % 10 {
                    0 => original.to_vec(),
                    1 => crate::made::library(&[(".text", true, crate::made::noise(number.into(), 3000))]),
                    2 => gzip(&original[..original.len() - 100])[..900].to_vec(),
                    3 if depth > 0 && number % 50 == 3 => mixed(original, packed, depth - 1),
                    4 if number == 104 => bomb(9 << 20),
                    5 => gzip(original),
                    6 if number % 50 == 6 => crate::made::noise(number.into(), 300_000),
                    7 => [b"text ".as_slice(), original, b" text"].concat(),
                    8 if number == 158 => vec![0; 2 << 20],
                    _ => format!("{number} ").repeat(200).into_bytes(),
                };
                (format!("m{number}"), content)
            })
            .collect();
        let mut archive = packed(&members);
        if depth == 0 {
            // Something in the middle is damaged.
            let at = archive.len() / 2;
            archive[at..at + 40].fill(0xa5);
        }
        archive
    }

    /// However many threads there are, and however tight the bounds, the report and what was spent are the same.
    #[test]
    fn threads_change_nothing() {
        let original = crate::made::library(&[(".text", true, crate::made::noise(77, 9000))]);
        let mut prints = crate::Fingerprints::default();
        let source = crate::Source::new("sha256:v", "v", crate::Material::of_package("vendor", Vec::new()));
        let file = AuditFile { path: "lib/libv.so".to_owned(), contents: Contents::Bytes(&original) };
        crate::learn(&mut prints, &source, &[file], Limits::default());
        let corpus = prints.to_corpus();
        let kinds: [(&str, Packed); 3] = [("zip", zip_of), ("ar", ar), ("tar", tar_of)];
        let usual = Limits::default();
        let bounds = [
            usual,
            Limits { total_bytes: 1 << 20, ..usual },
            Limits { total_bytes: 5 << 20, ..usual },
            Limits { members: 150, ..usual },
            Limits { members: 555, ..usual },
            Limits { memory: 600_000, ..usual },
            Limits { memory: 4 << 20, ..usual },
            Limits { member_bytes: 200_000, ..usual },
            Limits { depth: 2, ..usual },
        ];
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(64 << 20).build().unwrap();
        let pools = [pool(2), pool(8)];
        let mut findings = 0;
        for (kind, packed) in kinds {
            let bytes = mixed(&original, packed, 1);
            let file = AuditFile { path: format!("x.{kind}"), contents: Contents::Bytes(&bytes) };
            for limits in bounds {
                let seen = |beside| {
                    let (part, spent) = look(&file, "x", &corpus, limits, beside);
                    (part.looked.len(), part.finish(&corpus), spent)
                };
                let in_order = seen(false);
                findings += in_order.1.findings.len();
                for pool in &pools {
                    assert_eq!(pool.install(|| seen(true)), in_order, "{kind} {limits:?}");
                }
            }
        }
        assert!(findings > 1000, "{findings}");
    }

    /// What has to wait for its turn gives the same report as what is read beside others.
    #[test]
    fn files_that_wait_are_read_as_others_are() {
        let original = crate::made::library(&[(".text", true, crate::made::noise(78, 9000))]);
        let archive = mixed(&original, zip_of, 1);
        assert!(archive.len() as u64 > WAITS_OF_FEW);
        let corpus = Corpus::new(Vec::new());
        let file = |path: &str| AuditFile { path: path.to_owned(), contents: Contents::Bytes(&archive) };
        let of = |files: &[AuditFile<'_>]| {
            let mut report = audit(files, &corpus, Limits::default());
            report.findings.retain(|finding| finding.place().file == "a");
            report.findings
        };
        let found = of(&[file("a")]);
        assert!(!found.is_empty());
        assert_eq!(of(&["a", "b", "c", "d"].map(file)), found);
    }
}
