//! The scanners, one after the other over one file's bytes.

use crate::container::{Kind, Visitor};
use crate::corpus::{Corpus, FilePrint};
use crate::elf::Links;
use crate::finding::{Change, Finding, Gap, Place, Section};
use crate::prints::{Hash, SectionPrint, hash};
use crate::{binary, elf, functions};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// One file, or one member of an archive.
pub(crate) struct Subject<'a> {
    place: &'a Place,
    bytes: &'a [u8],
    /// The parsed binary, where it is one.
    elf: Option<object::File<'a>>,
}

/// A scanner adds findings; `Break` says that the file is accounted for as a whole.
type Scanner = fn(&Subject<'_>, &Corpus, &mut Vec<Finding>) -> ControlFlow<()>;

/// In order of strength: what an earlier one accounts for, a later one need not see. Before them
/// all comes [`copies`], which needs no parsing.
const SCANNERS: [Scanner; 3] = [dynamic_links, modified_copies, static_code];

/// Runs the scanners over a file and everything inside it.
pub(crate) struct Scan<'a> {
    pub(crate) corpus: &'a Corpus,
    pub(crate) findings: Vec<Finding>,
}

impl Visitor for Scan<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool {
        let mut subject = Subject { place, bytes, elf: None };
        if copies(&subject, self.corpus, &mut self.findings).is_break() {
            return false;
        }
        match binary::parse(bytes, parent) {
            Some(Ok(file)) => subject.elf = Some(file),
            Some(Err(error)) => self.gap(place.clone(), Gap::BrokenBinary(error.to_string())),
            None => {}
        }
        SCANNERS.iter().all(|scan| scan(&subject, self.corpus, &mut self.findings).is_continue())
    }

    fn gap(&mut self, place: Place, gap: Gap) {
        self.findings.push(Finding::NotFullyAudited { place, gap });
    }
}

fn copies(subject: &Subject<'_>, corpus: &Corpus, findings: &mut Vec<Finding>) -> ControlFlow<()> {
    let Some(print) = corpus.body.files.get(&hash(subject.bytes)) else {
        return ControlFlow::Continue(());
    };
    findings.push(Finding::Copy { place: subject.place.clone(), original: corpus.origin_of_file(print) });
    ControlFlow::Break(())
}

fn dynamic_links(subject: &Subject<'_>, _: &Corpus, findings: &mut Vec<Finding>) -> ControlFlow<()> {
    if let Some(file) = &subject.elf {
        match elf::links(file) {
            Ok(Links { needed, runpath, .. }) if !needed.is_empty() => {
                findings.push(Finding::Dynamic {
                    place: subject.place.clone(),
                    needed,
                    runpath,
                    store_paths: vec![],
                    opens: vec![],
                });
            }
            Ok(_) => {}
            Err(error) => findings.push(broken(subject, &error)),
        }
    }
    ControlFlow::Continue(())
}

fn modified_copies(subject: &Subject<'_>, corpus: &Corpus, findings: &mut Vec<Finding>) -> ControlFlow<()> {
    let Some(file) = &subject.elf else { return ControlFlow::Continue(()) };
    let (sections, links) = match elf::section_prints(file).and_then(|sections| Ok((sections, elf::links(file)?))) {
        Ok(found) => found,
        Err(error) => {
            findings.push(broken(subject, &error));
            return ControlFlow::Continue(());
        }
    };
    if sections.is_empty() && elf::is_linked(file) {
        // Without a section table its parts cannot be told apart, let alone compared.
        let gap = Gap::BrokenBinary("it has no section table".to_owned());
        findings.push(Finding::NotFullyAudited { place: subject.place.clone(), gap });
        return ControlFlow::Continue(());
    }
    let Some(print) = closest(&sections, corpus) else { return ControlFlow::Continue(()) };
    let (same, changed) = compare(&print.sections, &sections);
    let changes = changes(print, &changed, &links, subject.bytes.len() as u64);
    findings.push(Finding::ModifiedCopy {
        place: subject.place.clone(),
        original: corpus.origin_of_file(print),
        same,
        changed,
        changes,
    });
    ControlFlow::Break(())
}

fn static_code(subject: &Subject<'_>, corpus: &Corpus, findings: &mut Vec<Finding>) -> ControlFlow<()> {
    if let Some(file) = &subject.elf {
        match elf::code(file) {
            Ok(code) => functions::scan(subject.place, &code, corpus, findings),
            Err(error) => findings.push(broken(subject, &error)),
        }
    }
    ControlFlow::Continue(())
}

fn broken(subject: &Subject<'_>, error: &binary::Error) -> Finding {
    Finding::NotFullyAudited { place: subject.place.clone(), gap: Gap::BrokenBinary(error.to_string()) }
}

/// The original that shares the most bytes in distinctive sections, if any shares one. What the sections
/// are called in the copy does not matter.
pub(crate) fn closest<'c>(sections: &[SectionPrint], corpus: &'c Corpus) -> Option<&'c FilePrint> {
    let mut shared: BTreeMap<&Hash, u64> = BTreeMap::new();
    for section in sections.iter().filter(|s| s.is_large()) {
        for file in corpus.by_section.get(&section.hash).into_iter().flatten() {
            *shared.entry(file).or_default() += section.size;
        }
    }
    let best = shared.into_iter().max_by_key(|(hash, bytes)| (*bytes, std::cmp::Reverse(*hash)))?;
    corpus.body.files.get(best.0)
}

/// Names of the distinctive sections that agree, and the sections that differ.
fn compare(original: &[SectionPrint], found: &[SectionPrint]) -> (Vec<String>, Vec<Section>) {
    let (original, mut found) = (by_name(original), by_name(found));
    let (mut same, mut changed) = (Vec::new(), Vec::new());
    let size = |sections: &[&SectionPrint]| sections.iter().map(|section| section.size).sum::<u64>();
    for (name, before) in original {
        let after = found.remove(name);
        if after.as_ref() != Some(&before) {
            let found = after.map(|after| size(&after));
            changed.push(Section { name: name.to_owned(), original: Some(size(&before)), found });
        } else if before.iter().any(|section| section.is_distinctive()) {
            same.push(name.to_owned());
        }
    }
    let added =
        |(name, after): (&str, Vec<_>)| Section { name: name.to_owned(), original: None, found: Some(size(&after)) };
    changed.extend(found.into_iter().map(added));
    (same, changed)
}

/// What the headers tell of how a copy came to differ.
fn changes(original: &FilePrint, changed: &[Section], links: &Links, size: u64) -> Vec<Change> {
    let (before, mut changes) = (&original.links, Vec::new());
    if before.runpath != links.runpath {
        changes.push(Change::Runpath { from: before.runpath.clone(), to: links.runpath.clone() });
    }
    if before.interpreter != links.interpreter {
        changes.push(Change::Interpreter { from: before.interpreter.clone(), to: links.interpreter.clone() });
    }
    if before.soname != links.soname {
        changes.push(Change::Soname { from: before.soname.clone(), to: links.soname.clone() });
    }
    let without = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|name| !other.contains(name)).cloned().collect()
    };
    let (removed, added) = (without(&before.needed, &links.needed), without(&links.needed, &before.needed));
    if !(removed.is_empty() && added.is_empty()) {
        changes.push(Change::Needed { removed, added });
    }
    // What `strip` takes: symbol tables, debugging information, comments.
    let strippable = |name: &str| [".symtab", ".strtab", ".comment"].contains(&name) || name.starts_with(".debug");
    let gone = changed.iter().filter(|section| section.found.is_none() && strippable(&section.name));
    let sections: Vec<String> = gone.map(|section| section.name.clone()).collect();
    if !sections.is_empty() {
        changes.push(Change::Stripped { sections });
    }
    if changed.is_empty() && size > original.size {
        changes.push(Change::Padded { bytes: size - original.size });
    }
    changes
}

/// A name may stand several times; such sections are compared together, in their order.
fn by_name(sections: &[SectionPrint]) -> BTreeMap<&str, Vec<&SectionPrint>> {
    let mut map: BTreeMap<&str, Vec<&SectionPrint>> = BTreeMap::new();
    for section in sections {
        map.entry(&section.name).or_default().push(section);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_what_was_done() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let original = FilePrint {
            material: 0,
            file: "lib/libv.so".to_owned(),
            member: None,
            size: 1000,
            sections: vec![],
            links: Links {
                needed: list(&["libc.so.6", "librt.so.1"]),
                soname: Some("libv.so".to_owned()),
                ..Links::default()
            },
        };
        let same = original.links.clone();
        assert_eq!(changes(&original, &[], &same, 1010), [Change::Padded { bytes: 10 }]);
        let patched = Links { needed: list(&["libc.so.6", "libx.so"]), runpath: list(&["$ORIGIN"]), ..same.clone() };
        let shown: Vec<String> = changes(&original, &[], &patched, 1000).iter().map(Change::to_string).collect();
        assert_eq!(shown, ["RPATH: none → $ORIGIN", "NEEDED: without librt.so.1, with libx.so"]);
        let gone = Section { name: ".symtab".to_owned(), original: Some(9), found: None };
        let moved = Section { name: ".dynstr".to_owned(), original: Some(9), found: Some(8) };
        assert_eq!(changes(&original, &[moved, gone], &same, 900), [Change::Stripped { sections: list(&[".symtab"]) }]);
    }

    #[test]
    fn sections_are_compared_by_name() {
        let print = |name: &str, size: u64, byte: u8| SectionPrint { name: name.to_owned(), size, hash: [byte; 16] };
        let before = [print(".text", 5000, 1), print(".dynstr", 10, 2), print(".comment", 3, 3), print(".init", 9, 4)];
        let after = [print(".text", 5000, 1), print(".dynstr", 20, 5), print(".init", 9, 4), print(".extra", 7, 6)];
        let (same, changed) = compare(&before, &after);
        assert_eq!(same, [".text"]);
        let row = |name: &str, original, found| Section { name: name.to_owned(), original, found };
        assert_eq!(
            changed,
            [row(".comment", Some(3), None), row(".dynstr", Some(10), Some(20)), row(".extra", None, Some(7))]
        );
    }
}
