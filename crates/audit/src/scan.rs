//! The scanners, one after the other over one file's bytes.

use crate::binary::Links;
use crate::container::{Kind, Opaque, Visitor, is_archive};
use crate::copies::{self, Own, Same};
use crate::corpus::{Corpus, Material, Origin, OriginalRef, Part};
use crate::finding::{Change, Finding, Form, Gap, Place};
use crate::loader::Layout;
use crate::makers::Looked;
use crate::pool::{Pool, Rest};
use crate::ranges::without;
use crate::strings::{Explained, Seen, family};
use crate::whose::Bearer;
use crate::{binary, chunks, device, fatbin, functions, links, loader, own, passages, records, strings, whose};
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

/// Files that one file of a path is named as having code of its own in: one is enough, some are shown.
const OWN_CODE: usize = 4;

/// Runs the scanners over a file and everything inside it.
pub(crate) struct Scan<'a> {
    corpus: &'a Corpus,
    /// What the output is called, which is the name of a file that is all of it.
    name: &'a str,
    pub(crate) findings: Vec<Finding>,
    /// Gaps that count only where something withheld was at hand when the output was built.
    pub(crate) opaque: Vec<(Place, Gap)>,
    pub(crate) pool: Pool,
    /// Files and members that have code which is no vendor's, the first ones.
    pub(crate) own_code: Vec<Place>,
    /// The same of files that a package which was learned here calls its own.
    pub(crate) claimed_code: Vec<Place>,
    /// Programs and libraries of which nothing is known, and who made them.
    pub(crate) looked: Vec<Looked>,
    /// What the file that is looked at lies in, and itself, as far as only packages that were learned here have it.
    claims: Vec<Claim>,
    /// How many places of own and of claimed code were known before, where this looks beside others.
    known: (usize, usize),
}

/// What was found in some members of an archive.
#[derive(Default)]
pub(crate) struct Found {
    findings: Vec<Finding>,
    opaque: Vec<(Place, Gap)>,
    pool: Pool,
    own_code: Vec<Place>,
    claimed_code: Vec<Place>,
    looked: Vec<Looked>,
}

/// A copy of what a package that was learned here calls its own.
#[derive(Clone)]
struct Claim {
    place: Place,
    owners: Vec<Origin>,
    /// It was delivered so, and nobody's build changed it.
    delivered: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(corpus: &'a Corpus, name: &'a str) -> Self {
        Self {
            corpus,
            name,
            findings: Vec::new(),
            opaque: Vec::new(),
            pool: Pool::default(),
            own_code: Vec::new(),
            claimed_code: Vec::new(),
            looked: Vec::new(),
            claims: Vec::new(),
            known: (0, 0),
        }
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
        match finding {
            Finding::Dynamic { .. } | Finding::Stub { .. } | Finding::Maker { .. } => true,
            finding => finding.origin().is_some_and(|origin| self.is_by(&origin.material)),
        }
    }

    fn is_by(&self, material: &Material) -> bool {
        let named = |one: &Material| (one.name.clone(), one.licenses.clone());
        self.owners.iter().any(|owner| named(&owner.material) == named(material))
    }

    /// Whether it was delivered as a library of the package that an original is of: then it is another release, and
    /// nobody changed it. What somebody delivers under another name is no release of it.
    fn is_release_of(&self, original: OriginalRef, corpus: &Corpus) -> bool {
        self.delivered && self.owners.iter().any(|owner| corpus.is_library_of(original, family(owner.file_name())))
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
            Same::Whole(is_owners) => {
                // It is no less its owner's because it was published elsewhere as well.
                if is_owners && self.claimed_code.len() < OWN_CODE && has_code(place, bytes, parent) {
                    self.claimed_code.push(place.clone());
                }
                return false;
            }
            Same::Claimed(own, delivered) => {
                self.claims.push(Claim { place: place.clone(), owners, delivered });
                Some(own)
            }
            Same::Beginning(own) => Some(own),
            Same::Nothing => None,
        };
        // A table that cannot be reached is as good as none: a loader does without.
        let mut repaired = None;
        if let Some(Err(error)) = binary::parse(bytes, parent) {
            self.gap(place.clone(), Gap::BrokenBinary(error.to_string()));
            repaired = binary::repaired(bytes);
        }
        let bytes = repaired.as_deref().unwrap_or(bytes);
        let mut subject = Subject { place, bytes, binary: None, links: Links::default() };
        match binary::parse(bytes, parent).map(|parsed| parsed.and_then(|file| Ok((binary::links(&file)?, file)))) {
            None => {}
            Some(Ok((links, file))) => (subject.links, subject.binary) = (links, Some(file)),
            Some(Err(error)) if !self.findings[before..].iter().any(is_broken) => {
                self.gap(place.clone(), Gap::BrokenBinary(error.to_string()));
            }
            Some(Err(_)) => {}
        }
        if let Some(file) = &subject.binary {
            links::driver(place, self.name, &subject.links, &mut self.findings);
            if !binary::has_no_sections(file)
                && let Err(error) = loader::check(file, bytes)
            {
                self.findings.push(broken(&subject, &error));
            }
        }
        let from = self.findings.len();
        if own.as_ref().is_none_or(|own| own.claimed) {
            let mut found = Vec::new();
            let modified = copies::modified(&subject, self.corpus, &mut found);
            // That it has no table is told already.
            found.retain(|one| repaired.is_none() || !is_broken(one));
            own = own.or(modified);
            // Whose beginning it has, it has sections of as well.
            found.retain(|one| {
                one.origin().is_none() || self.findings[before..].iter().all(|f| f.origin() != one.origin())
            });
            self.findings.append(&mut found);
        }
        let (rest, has_own_code) = contents(&subject, own.as_ref(), &self.claims, self.corpus, &mut self.findings);
        let linked = subject.binary.as_ref().is_some_and(binary::is_linked);
        self.pool.add(place, linked, rest);
        self.leave_out_claimed(from);
        if self.claims.is_empty() && !self.findings[before..].iter().any(says_whose_it_is) {
            let named = self.corpus.records().and_then(|records| {
                records::suspicion(records, place, self.name, (bytes, subject.binary.as_ref()), &subject.links)
            });
            // A library that was found inside under its own name is no other one.
            let is_found =
                |other: &Finding| self.findings[before..].iter().any(|found| is_of_one_library(found, other));
            let named = named.filter(|named| !is_found(named));
            self.findings.extend(named);
        }
        if self.claims.is_empty() && !self.findings[before..].iter().any(|found| found.origin().is_some()) {
            let links = &subject.links;
            self.looked.extend(Looked::at(place, self.name, bytes, subject.binary.as_ref(), links));
        }
        let is_vendors = |finding: &Finding| {
            let harmless = matches!(
                finding,
                Finding::StaticCode { .. } | Finding::DeviceCode { .. } | Finding::NotFullyAudited { .. }
            );
            !harmless && finding.is_restricted()
        };
        let has_code = || match subject.binary {
            Some(_) => has_own_code,
            None => !is_archive(bytes) && own::is_code(place.innermost(), bytes),
        };
        let is_claimed = |finding: &Finding| self.claims.iter().any(|claim| claim.explains(finding));
        let is_vendors = self.findings[before..].iter().any(|finding| is_vendors(finding) && !is_claimed(finding));
        let places = if self.claims.is_empty() { &mut self.own_code } else { &mut self.claimed_code };
        if places.len() < OWN_CODE && !is_vendors && has_code() {
            places.push(place.clone());
        }
        true
    }

    fn gap(&mut self, place: Place, gap: Gap) {
        self.findings.push(Finding::NotFullyAudited { place, gap });
    }

    fn opaque(&mut self, place: &Place, opaque: Opaque) {
        self.opaque.push((place.clone(), Gap::Opaque(opaque.bytes)));
    }

    fn beside(&self) -> Option<Box<dyn Visitor + Send + '_>> {
        Some(Box::new(Scan {
            own_code: self.own_code.clone(),
            claimed_code: self.claimed_code.clone(),
            claims: self.claims.clone(),
            known: (self.own_code.len(), self.claimed_code.len()),
            ..Scan::new(self.corpus, self.name)
        }))
    }

    fn found(mut self: Box<Self>) -> Found {
        Found {
            own_code: self.own_code.split_off(self.known.0),
            claimed_code: self.claimed_code.split_off(self.known.1),
            findings: self.findings,
            opaque: self.opaque,
            pool: self.pool,
            looked: self.looked,
        }
    }

    fn join(&mut self, found: Found) {
        self.findings.extend(found.findings);
        self.opaque.extend(found.opaque);
        self.pool.merge(found.pool);
        self.own_code.extend(found.own_code);
        self.own_code.truncate(OWN_CODE);
        self.claimed_code.extend(found.claimed_code);
        self.claimed_code.truncate(OWN_CODE);
        self.looked.extend(found.looked);
    }
}

/// Whether a file of which nothing is another's has code.
fn has_code(place: &Place, bytes: &[u8], parent: Option<Kind>) -> bool {
    match binary::parse(bytes, parent) {
        Some(Ok(file)) => own::is_enough(&file, &Layout::of(&file, bytes.len()), bytes, std::iter::empty()),
        Some(Err(_)) => false,
        None => !is_archive(bytes) && own::is_code(place.innermost(), bytes),
    }
}

/// What is inside a file: functions, chunks, device code, messages, links. Of a modified copy only what is not the
/// original's is looked at: somebody may have put another vendor's code there. All bytes are looked at, whatever the
/// tables of the file say of them. Gives what is too little to be reported, and whether a binary has code that is no
/// vendor's.
fn contents(
    subject: &Subject<'_>,
    own: Option<&Own>,
    claims: &[Claim],
    corpus: &Corpus,
    findings: &mut Vec<Finding>,
) -> (Rest, bool) {
    let (mut found, place) = (Vec::new(), subject.place);
    // What an archive holds is looked at when it is taken out.
    let parts = match own {
        _ if is_archive(subject.bytes) => Vec::new(),
        Some(own) => own.others(subject.bytes),
        None => vec![subject.bytes],
    };
    let layout = subject.binary.as_ref().map(|file| Layout::of(file, subject.bytes.len())).unwrap_or_default();
    let at = |part: &[u8]| copies::bounds(subject.bytes, part).0 as u64;
    let containers: Vec<Vec<fatbin::Read<'_>>> = parts.iter().map(|part| fatbin::containers(part).collect()).collect();
    let both = parts.iter().zip(&containers);
    let stretches: Vec<(u64, &[u8])> = both.flat_map(|(part, found)| host_bytes(at(part), part, found)).collect();
    let containers: Vec<fatbin::Read<'_>> = containers.into_iter().flatten().collect();
    // What a copy exports, calls itself and links is the original's, and is compared with it. A claim is no reason to
    // leave anything out that is put down to somebody else.
    let linked = subject.binary.as_ref().filter(|_| own.is_none());
    let texts = || (messages(&stretches, layout.end, corpus), passages::Seen::look(&parts, corpus));
    let linked = || linked.map(|file| (links::interfaces(file, subject.bytes.len(), corpus), opened(subject, file)));
    let (functions::Found { hits, chunks, ended_early, .. }, ((device, linked), (mut seen, mut seen_passages))) =
        rayon::join(
            || functions::look(&stretches, corpus),
            || rayon::join(|| rayon::join(|| device::look(containers, &parts, corpus), linked), texts),
        );
    if ended_early {
        found.push(Finding::NotFullyAudited { place: place.clone(), gap: Gap::TooManyCandidates });
    }
    let put = functions::put_down(&hits, corpus);
    let is_claimed =
        |original| corpus.material(original).is_some_and(|material| claims.iter().any(|claim| claim.is_by(material)));
    let bearer = Bearer::new(subject, layout, &put, &is_claimed);
    let mut explained: Vec<Explained> = Vec::new();
    explained.extend(own.map(|own| Explained { family: own.family.clone(), found: 1, known: 1 }));
    // Something that was put into a modified copy is included there, unless it is not linked at all.
    let changed = own.is_some_and(|own| !own.claimed);
    let form = |original: OriginalRef, form: Option<Form>| {
        let released = || claims.iter().any(|claim| claim.is_release_of(original, corpus));
        form.filter(|form| (!changed || matches!(form, Form::Data | Form::NotLinked)) && !released())
    };
    let settle = |finding: Finding, form: Option<Form>| match form {
        Some(form) => whose::copy(finding, form),
        None => finding,
    };
    for put in &put {
        let Some(finding) =
            functions::finding(place, put, bearer.code_bytes(), &|at| bearer.layout.address(at), corpus)
        else {
            continue;
        };
        let (functions, known) = put.share();
        explained.extend(explains(&finding, functions.into(), known.into()));
        let form = form(put.archive, bearer.form(put.archive, Some((put, &hits)), corpus));
        // All that a copy says is the original's, of whichever version.
        explained.extend(form.and_then(|_| explains(&finding, 1, 1)));
        found.push(settle(finding, form));
    }
    let mut device_found = Vec::new();
    let kernels = device.report(place, corpus, &mut device_found, &mut found);
    for (finding, original) in device_found {
        let (pieces, known) = share_of_device(&finding, original, corpus);
        explained.extend(explains(&finding, pieces, known));
        found.push(settle(finding, form(original, bearer.form(original, None, corpus))));
    }
    let mut chunks = chunks;
    pieces(place, own, &mut chunks, &mut explained, corpus, &mut found);
    seen.explain(corpus, &explained);
    seen.report(place, corpus, &mut found);
    seen_passages.report(place, corpus, passages::enough, &mut found);
    match own {
        Some(own) if own.claimed => {}
        Some(own) => found.retain(|finding| finding.origin().is_none_or(|origin| family(&origin.file) != own.family)),
        None => {
            if let Some((defined, opens)) = linked {
                match defined {
                    Ok(defined) => links::interface_signs(place, defined, corpus, &mut found),
                    Err(error) => found.push(broken(subject, &error)),
                }
                match opens {
                    Ok(opens) => links::dynamic(place, subject.links.clone(), opens, &mut found),
                    Err(error) => found.push(broken(subject, &error)),
                }
            }
            links::product_signs(place, subject.bytes, corpus, &mut found);
        }
    }
    let hits = functions::left_over(hits, &put);
    findings.append(&mut found);
    (Rest { hits, kernels, strings: seen.strings, chunks, passages: seen_passages.into_rest() }, bearer.has_own_code)
}

/// Reports what the chunks of a file say. A library that is known by them is no longer said to include itself.
fn pieces(
    place: &Place,
    own: Option<&Own>,
    chunks: &mut BTreeSet<u64>,
    explained: &mut Vec<Explained>,
    corpus: &Corpus,
    found: &mut Vec<Finding>,
) {
    let known: Vec<(String, bool)> = found
        .iter()
        .filter_map(|finding| {
            let copy = matches!(finding, Finding::ModifiedCopy { .. });
            Some((family(&finding.origin()?.file).to_owned(), copy))
        })
        .chain(own.map(|own| (own.family.clone(), !own.claimed)))
        .collect();
    let mut copies = Vec::new();
    let beside = |file: &str| known.iter().any(|(name, _)| name == family(file));
    chunks::report(place, chunks, &beside, corpus, &mut copies);
    for copy in copies {
        let Some(name) = copy.origin().map(|origin| family(&origin.file).to_owned()) else { continue };
        explained.push(Explained { family: name.clone(), found: 1, known: 1 });
        if known.iter().any(|(known, copy)| *copy && *known == name) {
            continue;
        }
        found.retain(|finding| finding.origin().is_none_or(|origin| family(&origin.file) != name));
        found.push(copy);
    }
}

fn explains(finding: &Finding, found: u64, known: u64) -> Option<Explained> {
    Some(Explained { family: family(&finding.origin()?.file).to_owned(), found, known })
}

/// How much of a library's device code was found, of how much.
fn share_of_device(finding: &Finding, original: OriginalRef, corpus: &Corpus) -> (u64, u64) {
    let Finding::DeviceCode { entries_found, kernels_found, .. } = finding else { return (0, 1) };
    let entries = (u64::from(*entries_found), corpus.count_of(Part::Entries, original) as u64);
    let kernels = (u64::from(*kernels_found), corpus.count_of(Part::Kernels, original) as u64);
    // Entries that are known are not opened for their kernels.
    if entries.0 * kernels.1 >= kernels.0 * entries.1 { entries } else { kernels }
}

/// What of some bytes is no device code. That has prints of its own, and is most of what libraries for GPUs hold.
fn host_bytes<'a>(at: u64, bytes: &'a [u8], containers: &[fatbin::Read<'_>]) -> Vec<(u64, &'a [u8])> {
    let all = [(0, bytes.len() as u64)];
    let host = without(&all, &fatbin::stretches(containers));
    host.into_iter().map(|(from, to)| (at + from, &bytes[from as usize..to as usize])).collect()
}

/// Messages that vendors' libraries have, in a binary and not behind its end.
fn messages(stretches: &[(u64, &[u8])], end: u64, corpus: &Corpus) -> Seen {
    let mut seen = Seen::default();
    for (at, bytes) in stretches {
        let length = usize::try_from(end.saturating_sub(*at)).unwrap_or(usize::MAX).min(bytes.len());
        seen.look(&bytes[..length], &corpus.families);
    }
    seen
}

/// Leaves out of an outer file what a file inside it is already reported for: what is found in all bytes of an archive
/// or an image is what lies in it, and is judged by the way it lies there.
pub(crate) fn without_what_is_inside(findings: &mut Vec<Finding>) {
    let mut inside: HashSet<(Place, String)> = HashSet::new();
    for finding in findings.iter().filter(|finding| finding.is_restricted()) {
        let Some(origin) = finding.origin() else { continue };
        let mut place = finding.place().clone();
        while place.members.pop().is_some() {
            inside.insert((place.clone(), family(&origin.file).to_owned()));
        }
    }
    let is_of_parts = |finding: &Finding| match finding {
        Finding::ModifiedCopy { changes, .. } => changes.iter().any(|change| matches!(change, Change::Parts { .. })),
        _ => false,
    };
    findings.retain(|finding| {
        let family = finding.origin().map(|origin| family(&origin.file).to_owned());
        !is_of_parts(finding) || !family.is_some_and(|family| inside.contains(&(finding.place().clone(), family)))
    });
}

fn is_broken(finding: &Finding) -> bool {
    matches!(finding, Finding::NotFullyAudited { gap: Gap::BrokenBinary(_), .. })
}

/// Whether something is known of a file as a whole, which its name would only repeat. What the file includes says
/// nothing of what it is itself.
fn says_whose_it_is(finding: &Finding) -> bool {
    let includes = matches!(finding, Finding::StaticCode { .. } | Finding::DeviceCode { .. });
    finding.origin().is_some() && !includes || matches!(finding, Finding::Driver { .. })
}

fn is_of_one_library(one: &Finding, other: &Finding) -> bool {
    let name = |finding: &Finding| finding.origin().map(|origin| family(&origin.file).to_owned());
    name(one).is_some() && name(one) == name(other)
}

/// Names of libraries that a binary may open.
fn opened(subject: &Subject<'_>, file: &object::File<'_>) -> Result<BTreeSet<String>, binary::Error> {
    let mut names = BTreeSet::new();
    let data = binary::data(file)?;
    if links::can_open(file) {
        let texts = data.into_iter().flat_map(|data| strings::texts(data, b"lib"));
        names.extend(texts.filter_map(links::library_name).map(str::to_owned));
    }
    for linked in &subject.links.needed {
        names.remove(linked);
    }
    Ok(names)
}

pub(crate) fn broken(subject: &Subject<'_>, error: &binary::Error) -> Finding {
    Finding::NotFullyAudited { place: subject.place.clone(), gap: Gap::BrokenBinary(error.to_string()) }
}
