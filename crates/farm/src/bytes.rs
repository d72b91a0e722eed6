//! From a store path's files to the audit.

use narthex_audit::{
    AuditFile, AuditPart, Budget, Contents, Corpus, Finding, FunctionHit, Gap, Place, Report, audit_part,
};
use narthex_closure::StorePath;
use narthex_nix::{Tree, TreeFile, open_file};
use std::path::{Path, PathBuf};
use std::str::FromStr;

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

/// Audits everything below a folder, or a single file. A link that is named is followed.
pub fn audit_path(root: PathBuf, corpus: &Corpus) -> Report {
    audit_path_with(root, corpus, &|_| ())
}

/// Audits as [`audit_path`] does, and says now and then how far it is: once before the first file, and once
/// behind the last.
pub fn audit_path_with(root: PathBuf, corpus: &Corpus, progress: &dyn Fn(AuditProgress)) -> Report {
    let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Of a store path, the hash is no part of the name.
    let name = StorePath::from_str(&root.to_string_lossy()).map_or(name, |path| path.name().to_owned());
    audit_tree(&Tree::below(root), &name, corpus, progress)
}

/// The restricted functions in one file, by address; nothing where it cannot be read.
pub fn function_hits(path: &Path, corpus: &Corpus) -> Vec<FunctionHit> {
    open_file(path).map(|bytes| narthex_audit::function_hits(&bytes, corpus)).unwrap_or_default()
}

/// Audits what the NAR of a store path holds: where the path is itself a link, this is nothing.
pub(crate) fn audit_store_path(path: &StorePath, corpus: &Corpus) -> Report {
    audit_tree(&Tree::of(path), path.name(), corpus, &|_| ())
}

/// Audits a store path that was unpacked elsewhere: where it is itself a link, it holds nothing.
pub(crate) fn audit_unpacked(root: &Path, path: &StorePath, corpus: &Corpus) -> Report {
    if root.is_symlink() {
        return Report::default();
    }
    audit_tree(&Tree::below(root.to_owned()), path.name(), corpus, &|_| ())
}

/// The name that a report is kept under beside the hash of the bytes: that of a path that is itself a file, since scanners may
/// have gone by it.
pub(crate) fn name_in_key<'p>(path: &'p StorePath, report: &Report) -> &'p str {
    if report.is_of_a_file() { path.name() } else { "" }
}

fn audit_tree(tree: &Tree, name: &str, corpus: &Corpus, progress: &dyn Fn(AuditProgress)) -> Report {
    let (mut all, mut budget) = (AuditPart::default(), Budget::default());
    let mut done = AuditProgress { files: tree.len(), ..AuditProgress::default() };
    progress(done);
    for batch in tree.batches(STEP) {
        all.merge(audit_batch(&batch, name, corpus, &mut budget));
        (done.files_done, done.bytes_done) = (all.report.files.len(), all.report.bytes);
        progress(done);
    }
    all.finish(corpus)
}

fn audit_batch(batch: &[TreeFile], name: &str, corpus: &Corpus, budget: &mut Budget) -> AuditPart {
    let mut part = with_files(batch, |files| audit_part(files, name, corpus, crate::spill::limits(), budget));
    let changed: Vec<Option<&str>> = batch.iter().map(TreeFile::changed).collect();
    if changed.iter().all(Option::is_none) {
        return part;
    }
    let changed_files = batch.iter().zip(&changed).filter(|(_, changed)| changed.is_some());
    changed_files.for_each(|(file, _)| part.forget(&file.path));
    let report = &mut part.report;
    // What was found in a file that changed may be true of none of its states. Findings come in the order
    // of the files, and so do these.
    let mut found = std::mem::take(&mut report.findings).into_iter().peekable();
    for (file, changed) in batch.iter().zip(changed) {
        let own = std::iter::from_fn(|| found.next_if(|finding| finding.place().file == file.path));
        let Some(why) = changed else {
            report.findings.extend(own);
            continue;
        };
        own.for_each(drop);
        let place = Place { file: file.path.clone(), members: Vec::new() };
        report.texts.retain(|text| text.place != place);
        report.findings.push(Finding::NotFullyAudited { place, gap: Gap::Unreadable(why.to_owned()) });
        report.bytes -= file.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
    }
    part
}

/// Shows opened files to the audit crate. Whether one of them changed meanwhile is known afterwards only.
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

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_audit::{Fingerprints, Limits, Material, Source, learn};
    use std::fs::File;

    const SIZE: usize = 1 << 20;

    #[test]
    fn a_file_that_changes_is_unreadable_and_the_others_are_audited() {
        let dir = tempfile::tempdir().unwrap();
        for (name, byte) in [("a", 1), ("b", 1), ("c", 2), ("d", 1)] {
            std::fs::write(dir.path().join(name), vec![byte; SIZE]).unwrap();
        }
        std::fs::write(dir.path().join("small"), b"small").unwrap();
        let original = vec![1; SIZE];
        let original = AuditFile { path: "original".to_owned(), contents: Contents::Bytes(&original) };
        let material = Material::of_package("vendor", Vec::new());
        let source = Source::new("sha256:a", "n", material);
        let mut prints = Fingerprints::default();
        learn(&mut prints, &source, &[original], Limits::default());
        let corpus = prints.to_corpus();

        let check = |batch: &[TreeFile], expected: &[&str], bytes: usize| {
            let report = audit_batch(batch, "", &corpus, &mut Budget::default()).finish(&corpus);
            let found = |finding: &Finding| match finding {
                Finding::Copy { place, .. } => format!("copy: {place}"),
                Finding::NotFullyAudited { place, gap } => format!("{place} {gap}"),
                other => format!("{other:?}"),
            };
            assert_eq!(report.findings.iter().map(found).collect::<Vec<_>>(), expected);
            assert_eq!(report.files, ["a", "b", "c", "d", "small"]);
            assert_eq!(report.bytes, bytes as u64);
        };
        let tree = Tree::below(dir.path().to_owned());
        let batch = || tree.batches(BATCH).flatten().collect::<Vec<_>>();
        check(&batch(), &["copy: a", "copy: b", "copy: d"], 4 * SIZE + 5);
        let opened = batch();
        // One that would have been a copy, and one of which nothing would have been said.
        for name in ["b", "c"] {
            File::options().write(true).open(dir.path().join(name)).unwrap().set_len(SIZE as u64 / 2).unwrap();
        }
        let changed = |name: &str| format!("{name} cannot be read: it changed while it was read");
        check(&opened, &["copy: a", &changed("b"), &changed("c"), "copy: d"], 2 * SIZE + 5);
        // Next time they are what they are.
        check(&batch(), &["copy: a", "copy: d"], 3 * SIZE + 5);
    }
}
