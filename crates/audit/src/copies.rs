//! Copies of a vendor's files: whole ones, cut ones, and those that somebody changed.

use crate::binary::{self, Links};
use crate::corpus::{Corpus, FilePrint, FileRef, Origin};
use crate::finding::{Change, Finding, Gap, Place, Section};
use crate::kin::Kin;
use crate::prints::{self, Kind as Print, SectionPrint, hash64, hash128};
use crate::scan::{Subject, broken};
use crate::strings::family;
use std::collections::BTreeMap;
use std::ops::Range;

/// How much of a file is a vendor's file, byte for byte.
pub(crate) enum Same {
    /// All of it, or all that is there. And whether a package that was learned here has it as well, and all others under
    /// the license of that one.
    Whole(bool),
    /// All of it, as far as packages say that were learned here: whoever else has a part of it is heard as well.
    /// And whether it was delivered so, and nobody's build made it.
    Claimed(Own, bool),
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
    /// Only packages that were learned here say so, and nothing of it is left out for that.
    pub(crate) claimed: bool,
}

impl Own {
    /// A copy of what only a package that was learned here has.
    fn claimed(family: &str) -> Self {
        Self { claimed: true, ..Self::new(None, family) }
    }

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
        Self { stretches: apart, family: family.to_owned(), claimed: false }
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
    // Most files have a size that nothing known has, and need not be hashed.
    let known = if corpus.knows_size(size) { corpus.files(hash128(bytes), size) } else { Vec::new() };
    let owners = corpus.owners_of(known);
    let delivered = owners.iter().all(|(file, _)| corpus.is_delivered(file));
    let is_shipped = |(file, _): &(FileRef, _)| corpus.is_shipped(file.layer);
    let (shipped, own): (Vec<_>, Vec<_>) = owners.into_iter().partition(is_shipped);
    let mut recorded = corpus.recorded(bytes);
    let ships = !shipped.is_empty() || !recorded.is_empty();
    let mut others = shipped.iter().map(|(_, origin)| origin).chain(recorded.iter().map(|one| &one.origin));
    let is_own = |other: &Origin| own.iter().any(|(_, origin)| origin.material.licenses == other.material.licenses);
    let is_owners = others.all(is_own);
    let claimed = own.first().map(|(_, original)| Own::claimed(family(&original.file)));
    let copy = |original, releases| Finding::Copy { place: place.clone(), original, releases };
    findings.extend(own.into_iter().map(|(_, original)| copy(original, Vec::new())));
    for (_, original) in shipped {
        // Of the same file under the same license there is one finding.
        let same = recorded.iter().position(|one| one.origin.material.licenses == original.material.licenses);
        let releases = same.map(|at| recorded.swap_remove(at).releases).unwrap_or_default();
        findings.push(copy(original, releases));
    }
    findings.extend(recorded.into_iter().map(|one| copy(one.origin, one.releases)));
    match claimed {
        _ if ships => return Same::Whole(is_owners),
        None => {}
        Some(own) => return Same::Claimed(own, delivered),
    }
    // Texts of one vendor begin alike without being copies of each other.
    let Some(head) = bytes.get(..prints::FIRST_HEAD).filter(|head| head.contains(&0)) else { return Same::Nothing };
    let mut changed: Vec<(FileRef, Change)> = Vec::new();
    for file in corpus.files_beginning(hash64(Print::Head, head)) {
        let print = &file.print;
        let change = if print.size < size {
            let whole = hash128(&bytes[..print.size as usize]);
            let is_whole = !corpus.files(whole, print.size).is_empty();
            is_whole.then(|| Change::Padded { bytes: size - print.size })
        } else {
            let lengths = prints::head_lengths(bytes.len()).zip(&print.heads);
            let same = lengths.last().is_some_and(|(length, head)| hash64(Print::Head, &bytes[..length]) == *head);
            (same && print.size > size).then(|| Change::Truncated { bytes: print.size - size })
        };
        changed.extend(change.map(|change| (file, change)));
    }
    let is_cut = |change: &Change| matches!(change, Change::Truncated { .. });
    let own = changed.iter().filter(|(file, _)| corpus.is_shipped(file.layer));
    let own: Vec<Range<usize>> =
        own.map(|(file, change)| 0..if is_cut(change) { bytes.len() } else { file.print.size as usize }).collect();
    let mut owners = Vec::new();
    for (file, original) in corpus.owners_of(changed.iter().map(|(file, _)| file.clone())) {
        // What the owner's first file shows is shown of all of its files.
        let same = |(other, _): &&(FileRef, Change)| (other.layer, &other.print) == (file.layer, &file.print);
        let Some((_, change)) = changed.iter().find(same) else { continue };
        owners.push(Finding::ModifiedCopy {
            place: place.clone(),
            original,
            same: Vec::new(),
            changed: Vec::new(),
            changes: vec![change.clone()],
            kin: Kin::default(),
        });
    }
    let Some(first) = owners.first().and_then(Finding::origin) else { return Same::Nothing };
    let own = if own.is_empty() { Own::claimed(family(&first.file)) } else { Own::new(own, family(&first.file)) };
    findings.extend(owners);
    let is_all = |stretch: &Range<usize>| stretch.end == bytes.len();
    if own.stretches.first().is_some_and(is_all) { Same::Whole(false) } else { Same::Beginning(own) }
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
        closest if closest.is_empty() => Ok(None),
        closest => Ok(Some((closest, binary::section_prints(file)?))),
    });
    let (closest, sections) = match found {
        Ok(found) => found?,
        Err(error) => {
            findings.push(broken(subject, &error));
            return None;
        }
    };
    let mut own = None;
    for (closest, original) in corpus.owners_of(closest) {
        let print = &closest.print;
        own.get_or_insert_with(|| match corpus.is_shipped(closest.layer) {
            true => Own::new(binary::stretches_with(file, &print.sections), family(&original.file)),
            false => Own::claimed(family(&original.file)),
        });
        let (same, changed) = compare(&print.sections, &sections);
        let mut changes = changes(print, &changed, &subject.links, subject.bytes.len() as u64);
        let of_headers = |change: &Change| !matches!(change, Change::OtherCode { .. });
        if !changes.iter().any(of_headers) && is_other_build(&closest, &changed, &sections, corpus) {
            let sections = changed.iter().map(|section| section.name.clone()).collect();
            changes = vec![Change::OtherBuild { sections }];
        }
        let (place, kin) = (subject.place.clone(), Kin::default());
        findings.push(Finding::ModifiedCopy { place, original, same, changed, changes, kin });
    }
    own
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

/// Whether a file differs from its original only in what each build has of its own, and in what another original has
/// as the file has it. A build has another id than all others: data that differ without it were changed.
fn is_other_build(original: &FileRef, changed: &[Section], found: &[SectionPrint], corpus: &Corpus) -> bool {
    const BUILD_ID: &str = ".note.gnu.build-id";
    const OF_A_BUILD: [&str; 2] = [BUILD_ID, ".data"];
    let both = |section: &Section| section.original.is_some() && section.found.is_some();
    if !changed.iter().any(|section| section.name == BUILD_ID && both(section)) {
        return false;
    }
    let others = corpus.sharing(found, original);
    let is_anothers = |name: &str| {
        let here = by_name(found).remove(name);
        others.iter().any(|other| by_name(&other.print.sections).remove(name) == here)
    };
    changed.iter().all(|section| both(section) && OF_A_BUILD.contains(&&*section.name) || is_anothers(&section.name))
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
