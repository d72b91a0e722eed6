//! The scanners, one after the other over one file's bytes.

use crate::binary::Links;
use crate::container::{Kind, Opaque, Visitor};
use crate::copies::{self, Own, Same};
use crate::corpus::Corpus;
use crate::finding::{Finding, Gap, Place};
use crate::strings::{Seen, family};
use crate::{binary, device, functions, links, strings};
use std::collections::BTreeSet;

/// One file, or one member of an archive.
pub(crate) struct Subject<'a> {
    pub(crate) place: &'a Place,
    pub(crate) bytes: &'a [u8],
    /// The parsed binary, where it is one.
    pub(crate) binary: Option<object::File<'a>>,
    /// What it links; empty where it is no binary.
    pub(crate) links: Links,
}

/// Runs the scanners over a file and everything inside it.
pub(crate) struct Scan<'a> {
    pub(crate) corpus: &'a Corpus,
    /// What the output is called, which is the name of a file that is all of it.
    pub(crate) name: &'a str,
    pub(crate) findings: Vec<Finding>,
    /// Gaps that count only where something withheld was at hand when the output was built.
    pub(crate) opaque: Vec<(Place, Gap)>,
}

impl Visitor for Scan<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool {
        let mut own = match copies::same(place, bytes, self.corpus, &mut self.findings) {
            Same::Whole => return false,
            Same::Beginning(own) => Some(own),
            Same::Nothing => None,
        };
        let mut subject = Subject { place, bytes, binary: None, links: Links::default() };
        match binary::parse(bytes, parent).map(|parsed| parsed.and_then(|file| Ok((binary::links(&file)?, file)))) {
            None => {}
            Some(Ok((links, file))) => (subject.links, subject.binary) = (links, Some(file)),
            Some(Err(error)) => self.gap(place.clone(), Gap::BrokenBinary(error.to_string())),
        }
        if subject.binary.is_some() {
            links::driver(place, self.name, &subject.links, &mut self.findings);
        }
        if own.is_none() {
            own = copies::modified(&subject, self.corpus, &mut self.findings);
        }
        contents(&subject, own.as_ref(), self.corpus, &mut self.findings);
        true
    }

    fn gap(&mut self, place: Place, gap: Gap) {
        self.findings.push(Finding::NotFullyAudited { place, gap });
    }

    fn opaque(&mut self, place: &Place, opaque: Opaque) {
        self.opaque.push((place.clone(), Gap::Opaque(opaque.bytes)));
    }
}

/// What is inside a file: functions, device code, messages, links. Of a modified copy only what is not the
/// original's is looked at: somebody may have put another vendor's code there.
fn contents(subject: &Subject<'_>, own: Option<&Own>, corpus: &Corpus, findings: &mut Vec<Finding>) {
    let (mut found, place) = (Vec::new(), subject.place);
    let (mut code, mut data) = match &subject.binary {
        None => (Vec::new(), Vec::new()),
        Some(file) => match binary::code(file).and_then(|code| Ok((code, binary::data(file)?))) {
            Ok(found) => found,
            Err(error) => {
                findings.push(broken(subject, &error));
                (Vec::new(), Vec::new())
            }
        },
    };
    let code_bytes = code.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut others = vec![subject.bytes];
    if let Some(own) = own {
        code.retain(|(_, bytes)| !own.covers(subject.bytes, bytes));
        data.retain(|bytes| !own.covers(subject.bytes, bytes));
        others = own.others(subject.bytes);
    }
    let (hits, (device, (seen, opens))) = rayon::join(
        || functions::hits(&code, corpus),
        || rayon::join(|| device::look(&others, corpus), || texts(subject, &data, corpus)),
    );
    functions::report(place, code_bytes, &hits, corpus, &mut found);
    device.report(place, corpus, &mut found);
    let families = found.iter().filter_map(|finding| finding.origin().map(|origin| family(&origin.file).to_owned()));
    let families: Vec<String> = families.chain(own.map(|own| own.family.clone())).collect();
    seen.report(place, corpus, &families, &mut found);
    match own {
        // What it exports, calls itself and links is the original's, and is compared with it.
        Some(own) => found.retain(|finding| finding.origin().is_none_or(|origin| family(&origin.file) != own.family)),
        None => {
            if let Some(file) = &subject.binary {
                match links::interfaces(file, subject.bytes.len(), corpus) {
                    Ok(defined) => links::interface_signs(place, defined, corpus, &mut found),
                    Err(error) => found.push(broken(subject, &error)),
                }
            }
            links::product_signs(place, subject.bytes, corpus, &mut found);
            links::dynamic(place, subject.links.clone(), opens, &mut found);
        }
    }
    findings.append(&mut found);
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

pub(crate) fn broken(subject: &Subject<'_>, error: &binary::Error) -> Finding {
    Finding::NotFullyAudited { place: subject.place.clone(), gap: Gap::BrokenBinary(error.to_string()) }
}
