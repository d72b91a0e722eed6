//! The scanners, one after the other over one file's bytes.

use crate::binary::Links;
use crate::container::{Kind, Visitor};
use crate::copies::{self, Own, Same};
use crate::corpus::Corpus;
use crate::corpus::Origin;
use crate::finding::{Finding, Gap, Place};
use crate::strings::{Seen, family};
use crate::{binary, device, functions, links, passages, strings};
use std::collections::{BTreeSet, HashSet};

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
    pub(crate) findings: Vec<Finding>,
    /// Passages of originals that by themselves are too few.
    pub(crate) passages: Vec<(Place, HashSet<u64>)>,
    /// What the file that is looked at lies in, and itself, as far as only packages that were learned here have it.
    claims: Vec<Claim>,
}

/// A copy of what a package that was learned here calls its own.
struct Claim {
    place: Place,
    owners: Vec<Origin>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(corpus: &'a Corpus) -> Self {
        Self { corpus, findings: Vec::new(), passages: Vec::new(), claims: Vec::new() }
    }

    /// Leaves out of the last findings what only says once more that a claimed file, with all that is in it, is its
    /// owner's.
    fn leave_out_claimed(&mut self, from: usize) {
        let last = self.findings.split_off(from);
        self.findings.extend(last.into_iter().filter(|found| !self.claims.iter().any(|claim| claim.explains(found))));
    }
}

impl Claim {
    /// Whether something that was found in it is no news of somebody else.
    fn explains(&self, finding: &Finding) -> bool {
        let explained = |origin: &Origin| {
            self.owners.iter().any(|owner| {
                (&owner.material.name, &owner.material.licenses) == (&origin.material.name, &origin.material.licenses)
            })
        };
        match finding {
            Finding::Dynamic { .. } | Finding::Stub { .. } => true,
            finding => finding.origin().is_some_and(explained),
        }
    }

    fn has(&self, place: &Place) -> bool {
        self.place.file == place.file && place.members.starts_with(&self.place.members)
    }
}

impl Visitor for Scan<'_> {
    fn blob(&mut self, place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool {
        let before = self.findings.len();
        self.claims.retain(|claim| claim.has(place));
        let same = copies::same(place, bytes, self.corpus, &mut self.findings);
        let owners = self.findings[before..].iter().filter_map(|finding| finding.origin().cloned()).collect();
        self.leave_out_claimed(before);
        let mut own = match same {
            Same::Whole => return false,
            Same::Claimed(own) => {
                self.claims.push(Claim { place: place.clone(), owners });
                Some(own)
            }
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
            links::driver(place, &subject.links, &mut self.findings);
        }
        let from = self.findings.len();
        if own.as_ref().is_none_or(|own| own.claimed) {
            let mut found = Vec::new();
            let modified = copies::modified(&subject, self.corpus, &mut found);
            own = own.or(modified);
            // Whose beginning it has, it has sections of as well.
            found.retain(|one| {
                one.origin().is_none() || self.findings[before..].iter().all(|f| f.origin() != one.origin())
            });
            self.findings.append(&mut found);
        }
        self.passages.extend(contents(&subject, own.as_ref(), self.corpus, &mut self.findings));
        self.leave_out_claimed(from);
        true
    }

    fn gap(&mut self, place: Place, gap: Gap) {
        self.findings.push(Finding::NotFullyAudited { place, gap });
    }
}

/// What is inside a file: functions, device code, messages, links. Of a modified copy only what is not the
/// original's is looked at: somebody may have put another vendor's code there. Gives the passages that are too few by
/// themselves.
fn contents(
    subject: &Subject<'_>,
    own: Option<&Own>,
    corpus: &Corpus,
    findings: &mut Vec<Finding>,
) -> Option<(Place, HashSet<u64>)> {
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
    let (hits, (device, ((seen, opens), mut seen_passages))) = rayon::join(
        || functions::hits(&code, corpus),
        || {
            let texts = || (texts(subject, &data, corpus), passages::Seen::look(&others, corpus));
            rayon::join(|| device::look(&others, corpus), texts)
        },
    );
    functions::report(place, code_bytes, &hits, corpus, &mut found);
    device.report(place, corpus, &mut found);
    let families = found.iter().filter_map(|finding| finding.origin().map(|origin| family(&origin.file).to_owned()));
    let families: Vec<String> = families.chain(own.map(|own| own.family.clone())).collect();
    seen.report(place, corpus, &families, &mut found);
    seen_passages.report(place, corpus, passages::enough, &mut found);
    match own {
        // A claim is no reason to leave anything out that is put down to somebody else.
        Some(own) if own.claimed => {}
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
    (!seen_passages.is_empty()).then(|| (place.clone(), seen_passages.into_rest()))
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
