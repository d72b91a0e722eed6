//! Copies of a vendor's files: whole ones, cut ones, and those that somebody changed.

use crate::binary::{self, Links};
use crate::corpus::{Corpus, FilePrint};
use crate::finding::{Change, Finding, Gap, Place, Section};
use crate::prints::{self, Kind as Print, SectionPrint, hash64, hash128};
use crate::scan::{Subject, broken};
use crate::strings::family;
use std::collections::BTreeMap;
use std::ops::Range;

/// How much of a file is a vendor's file, byte for byte.
pub(crate) enum Same {
    /// All of it, or all that is there.
    Whole,
    /// Its beginning; something stands behind it.
    Beginning(Own),
    /// It does not begin as one.
    Nothing,
}

/// The stretches of a modified copy that are its original's.
pub(crate) struct Own {
    /// Sorted and apart.
    stretches: Vec<Range<usize>>,
    /// The library that it is a copy of.
    pub(crate) family: String,
}

impl Own {
    fn new(stretches: impl IntoIterator<Item = Range<usize>>, family: &str) -> Self {
        let mut stretches: Vec<_> = stretches.into_iter().collect();
        stretches.sort_by_key(|stretch| (stretch.start, stretch.end));
        let mut apart: Vec<Range<usize>> = Vec::new();
        for stretch in stretches {
            match apart.last_mut() {
                Some(last) if stretch.start <= last.end => last.end = last.end.max(stretch.end),
                _ => apart.push(stretch),
            }
        }
        Self { stretches: apart, family: family.to_owned() }
    }

    /// What of the file is not the original's.
    pub(crate) fn others<'a>(&self, file: &'a [u8]) -> Vec<&'a [u8]> {
        let ends = self.stretches.iter().map(|stretch| stretch.end);
        let starts = self.stretches.iter().map(|stretch| stretch.start).chain([file.len()]);
        let between = [0].into_iter().chain(ends).zip(starts);
        between.filter_map(|(from, to)| file.get(from..to)).filter(|part| !part.is_empty()).collect()
    }
}

/// Where a part of a file begins and ends in it.
pub(crate) fn bounds(file: &[u8], part: &[u8]) -> (usize, usize) {
    let start = (part.as_ptr() as usize).saturating_sub(file.as_ptr() as usize);
    (start, start + part.len())
}

/// Whole files, and those that were cut or that something was added to.
pub(crate) fn same(place: &Place, bytes: &[u8], corpus: &Corpus, findings: &mut Vec<Finding>) -> Same {
    let size = bytes.len() as u64;
    // Most files have a size that no file of the corpus has, and need not be hashed.
    if corpus.knows_size(size)
        && let Some(file) = corpus.file(hash128(bytes), size)
        && let Some(original) = corpus.origin_of_file(&file)
    {
        findings.push(Finding::Copy { place: place.clone(), original });
        return Same::Whole;
    }
    // Texts of one vendor begin alike without being copies of each other.
    let Some(head) = bytes.get(..prints::FIRST_HEAD).filter(|head| head.contains(&0)) else { return Same::Nothing };
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
            let own = Own::new(Some(0..print.size as usize), family(&original.file));
            let is_cut = matches!(change, Change::Truncated { .. });
            findings.push(Finding::ModifiedCopy {
                place: place.clone(),
                original,
                same: Vec::new(),
                changed: Vec::new(),
                changes: vec![change],
            });
            return if is_cut { Same::Whole } else { Same::Beginning(own) };
        }
    }
    Same::Nothing
}

/// Binaries of which some sections are a vendor's; gives what of them is.
pub(crate) fn modified(subject: &Subject<'_>, corpus: &Corpus, findings: &mut Vec<Finding>) -> Option<Own> {
    let file = subject.binary.as_ref()?;
    if binary::is_linked(file) && binary::has_no_sections(file) {
        // Without a section table its parts cannot be told apart, let alone compared.
        let gap = Gap::BrokenBinary("it has no section table".to_owned());
        findings.push(Finding::NotFullyAudited { place: subject.place.clone(), gap });
        return None;
    }
    let wanted = |size| prints::is_large(size) && corpus.knows_section_size(size);
    let found = binary::section_prints_of(file, wanted).and_then(|some| match corpus.closest(&some) {
        None => Ok(None),
        Some(closest) => Ok(Some((closest, binary::section_prints(file)?))),
    });
    let (closest, sections) = match found {
        Ok(found) => found?,
        Err(error) => {
            findings.push(broken(subject, &error));
            return None;
        }
    };
    let original = corpus.origin_of_file(&closest)?;
    let print = &closest.print;
    let own = Own::new(binary::stretches_with(file, &print.sections), family(&original.file));
    let (same, changed) = compare(&print.sections, &sections);
    let changes = changes(print, &changed, &subject.links, subject.bytes.len() as u64);
    findings.push(Finding::ModifiedCopy { place: subject.place.clone(), original, same, changed, changes });
    Some(own)
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
mod tests;
