//! From a store path's files to the audit.

use narthex_audit::{AuditFile, Contents, Corpus, Limits, Report, audit};
use narthex_nix::{Tree, TreeFile};
use std::path::PathBuf;

/// Files open at once: a process may have some 65,000 mappings.
pub(crate) const BATCH: usize = 8192;

/// Files audited between two reports of progress.
const STEP: usize = 512;

/// How far the audit of one path is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditProgress {
    /// Files that were audited.
    pub files_done: usize,
    /// Files of the path in all.
    pub files: usize,
    /// Size of those that were audited.
    pub bytes_done: u64,
}

/// Audits everything below a folder, or a single file.
pub fn audit_path(root: PathBuf, corpus: &Corpus) -> Report {
    audit_path_with(root, corpus, &|_| ())
}

/// Audits as [`audit_path`] does, and says now and then how far it is: once before the first file, and once
/// behind the last.
pub fn audit_path_with(root: PathBuf, corpus: &Corpus, progress: &dyn Fn(AuditProgress)) -> Report {
    let tree = Tree::below(root);
    let mut report = Report::default();
    let mut done = AuditProgress { files: tree.len(), ..AuditProgress::default() };
    progress(done);
    for batch in tree.batches(STEP) {
        let part = with_files(&batch, |files| audit(files, corpus, Limits::default()));
        report.findings.extend(part.findings);
        report.files.extend(part.files);
        report.bytes += part.bytes;
        (done.files_done, done.bytes_done) = (report.files.len(), report.bytes);
        progress(done);
    }
    report
}

/// Shows opened files to the audit crate.
pub(crate) fn with_files<T>(batch: &[TreeFile], f: impl FnOnce(&[AuditFile<'_>]) -> T) -> T {
    let files: Vec<AuditFile<'_>> = batch
        .iter()
        .map(|file| AuditFile {
            path: file.path.clone(),
            contents: match &file.bytes {
                Ok(bytes) => Contents::Bytes(bytes),
                Err(why) => Contents::Unreadable(why.clone()),
            },
        })
        .collect();
    f(&files)
}
