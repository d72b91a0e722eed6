//! From a store path's files to the audit.

use narthex_audit::{AuditFile, Contents, Corpus, Limits, Report, audit};
use narthex_nix::{Tree, TreeFile};
use std::path::PathBuf;

/// Files open at once: a process may have some 65,000 mappings.
pub(crate) const BATCH: usize = 8192;

/// Audits everything below a folder, or a single file.
pub fn audit_path(root: PathBuf, corpus: &Corpus) -> Report {
    let mut report = Report::default();
    for batch in Tree::below(root).batches(BATCH) {
        let part = with_files(&batch, |files| audit(files, corpus, Limits::default()));
        report.findings.extend(part.findings);
        report.files.extend(part.files);
        report.bytes += part.bytes;
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
