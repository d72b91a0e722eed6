//! The scanners, one after the other over one file's bytes.

use crate::binary::Links;
use crate::container::{Kind, Visitor};
use crate::corpus::{Corpus, FilePrint};
use crate::finding::{Change, Finding, Gap, Place, Section};
use crate::prints::{self, Kind as Print, SectionPrint, hash64, hash128};
use crate::strings::{Seen, family};
use crate::{binary, device, functions, links, strings};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// One file, or one member of an archive.
pub(crate) struct Subject<'a> {
    place: &'a Place,
    bytes: &'a [u8],
    /// The parsed binary, where it is one.
    binary: Option<object::File<'a>>,
    /// What it links; empty where it is no binary.
    links: Links,
}

/// A scanner adds findings; `Break` says that the file is accounted for as a whole.
type Scanner = fn(&Subject<'_>, &Corpus, &mut Vec<Finding>) -> ControlFlow<()>;

/// In order of strength: what an earlier one accounts for, a later one need not see. Before them
/// all comes [`copies`], which needs no parsing.
const SCANNERS: [Scanner; 3] = [drivers, modified_copies, contents];

/// Runs the scanners over a file and everything inside it.
pub(crate) struct Scan<'a> {
    pub(crate) corpus: &'a Corpus,
    pub(crate) findings: Vec<Finding>,
}

impl Visitor for Scan<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool {
        let mut subject = Subject { place, bytes, binary: None, links: Links::default() };
        if copies(&subject, self.corpus, &mut self.findings).is_break() {
            return false;
        }
        match binary::parse(bytes, parent).map(|parsed| parsed.and_then(|file| Ok((binary::links(&file)?, file)))) {
            None => {}
            Some(Ok((links, file))) => (subject.links, subject.binary) = (links, Some(file)),
            Some(Err(error)) => self.gap(place.clone(), Gap::BrokenBinary(error.to_string())),
        }
        SCANNERS.iter().all(|scan| scan(&subject, self.corpus, &mut self.findings).is_continue())
    }

    fn gap(&mut self, place: Place, gap: Gap) {
        self.findings.push(Finding::NotFullyAudited { place, gap });
    }
}

/// Whole files, and those that were cut or that something was added to.
fn copies(subject: &Subject<'_>, corpus: &Corpus, findings: &mut Vec<Finding>) -> ControlFlow<()> {
    let (place, bytes) = (subject.place, subject.bytes);
    let size = bytes.len() as u64;
    // Most files have a size that no file of the corpus has, and need not be hashed.
    if corpus.knows_size(size)
        && let Some(file) = corpus.file(hash128(bytes), size)
        && let Some(original) = corpus.origin_of_file(&file)
    {
        findings.push(Finding::Copy { place: place.clone(), original });
        return ControlFlow::Break(());
    }
    // Texts of one vendor begin alike without being copies of each other.
    let Some(head) = bytes.get(..prints::FIRST_HEAD).filter(|head| head.contains(&0)) else {
        return ControlFlow::Continue(());
    };
    for file in corpus.files_beginning(hash64(Print::Head, head)) {
        let print = &file.print;
        let change = if print.size < size {
            let whole = hash128(&bytes[..print.size as usize]);
            corpus.file(whole, print.size).map(|_| Change::Padded { bytes: size - print.size })
        } else {
            let lengths = prints::head_lengths(bytes.len()).zip(&print.heads);
            let same = lengths.last().is_some_and(|(length, head)| hash64(Print::Head, &bytes[..length]) == *head);
            (same && print.size > size).then(|| Change::Truncated { bytes: print.size - size })
        };
        if let (Some(change), Some(original)) = (change, corpus.origin_of_file(&file)) {
            findings.push(Finding::ModifiedCopy {
                place: place.clone(),
                original,
                same: Vec::new(),
                changed: Vec::new(),
                changes: vec![change],
            });
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}

fn drivers(subject: &Subject<'_>, _: &Corpus, findings: &mut Vec<Finding>) -> ControlFlow<()> {
    if subject.binary.is_some() {
        links::driver(subject.place, &subject.links, findings);
    }
    ControlFlow::Continue(())
}

fn modified_copies(subject: &Subject<'_>, corpus: &Corpus, findings: &mut Vec<Finding>) -> ControlFlow<()> {
    let Some(file) = &subject.binary else { return ControlFlow::Continue(()) };
    if binary::is_linked(file) && binary::has_no_sections(file) {
        // Without a section table its parts cannot be told apart, let alone compared.
        let gap = Gap::BrokenBinary("it has no section table".to_owned());
        findings.push(Finding::NotFullyAudited { place: subject.place.clone(), gap });
        return ControlFlow::Continue(());
    }
    let found = binary::section_prints_of(file, |size| prints::is_large(size) && corpus.knows_section_size(size))
        .and_then(|some| match corpus.closest(&some) {
            None => Ok(None),
            Some(closest) => Ok(Some((closest, binary::section_prints(file)?))),
        });
    let (closest, sections) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return ControlFlow::Continue(()),
        Err(error) => {
            findings.push(broken(subject, &error));
            return ControlFlow::Continue(());
        }
    };
    let Some(original) = corpus.origin_of_file(&closest) else { return ControlFlow::Continue(()) };
    let print = &closest.print;
    let (same, changed) = compare(&print.sections, &sections);
    let changes = changes(print, &changed, &subject.links, subject.bytes.len() as u64);
    findings.push(Finding::ModifiedCopy { place: subject.place.clone(), original, same, changed, changes });
    ControlFlow::Break(())
}

/// What is inside a file that is not itself a copy: functions, device code, messages, links.
fn contents(subject: &Subject<'_>, corpus: &Corpus, findings: &mut Vec<Finding>) -> ControlFlow<()> {
    let before = findings.len();
    let (code, data) = match &subject.binary {
        None => (Vec::new(), Vec::new()),
        Some(file) => match binary::code(file).and_then(|code| Ok((code, binary::data(file)?))) {
            Ok(found) => found,
            Err(error) => {
                findings.push(broken(subject, &error));
                (Vec::new(), Vec::new())
            }
        },
    };
    let (hits, (device, (seen, opens))) = rayon::join(
        || functions::hits(&code, corpus),
        || rayon::join(|| device::look(subject.bytes, corpus), || texts(subject, &data, corpus)),
    );
    let code_bytes = code.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    functions::report(subject.place, code_bytes, &hits, corpus, findings);
    device.report(subject.place, corpus, findings);
    let families = |finding: &Finding| finding.origin().map(|origin| family(&origin.file).to_owned());
    let found: Vec<String> = findings[before..].iter().filter_map(families).collect();
    seen.report(subject.place, corpus, &found, findings);
    if let Some(file) = &subject.binary {
        let mut own = findings.split_off(before);
        links::interface_signs(subject.place, links::interfaces(file, corpus), corpus, &mut own);
        findings.extend(own);
    }
    links::product_signs(subject.place, subject.bytes, corpus, findings);
    links::dynamic(subject.place, subject.links.clone(), opens, findings);
    ControlFlow::Continue(())
}

/// Messages that vendors' libraries have, and names of libraries that may be opened.
fn texts<'a>(subject: &Subject<'_>, data: &[&'a [u8]], corpus: &Corpus) -> (Seen<'a>, BTreeSet<String>) {
    let opens = subject.binary.as_ref().is_some_and(links::can_open);
    let (mut seen, mut names) = (Seen::default(), BTreeSet::new());
    for text in data.iter().copied().flat_map(strings::texts) {
        seen.look(text, &corpus.families);
        if opens && text.starts_with(b"lib") {
            names.extend(links::library_name(text).map(str::to_owned));
        }
    }
    for linked in &subject.links.needed {
        names.remove(linked);
    }
    (seen, names)
}

fn broken(subject: &Subject<'_>, error: &binary::Error) -> Finding {
    Finding::NotFullyAudited { place: subject.place.clone(), gap: Gap::BrokenBinary(error.to_string()) }
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
    let code: Vec<String> = (changed.iter())
        .filter(|section| section.name.starts_with(".text") && section.original.is_some() && section.found.is_some())
        .map(|section| section.name.clone())
        .collect();
    if !code.is_empty() {
        changes.push(Change::OtherCode { sections: code });
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
            original: 0,
            member: None,
            size: 1000,
            heads: vec![],
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
        let print =
            |name: &str, size: u64, byte: u8| SectionPrint { name: name.to_owned(), size, hash: u64::from(byte) };
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
