//! What findings mean under a policy: many findings, one reason for each code.

use crate::decision::{Effect, Reason};
use crate::entries::{Exception, Rule};
use crate::evidence::shown;
use crate::index::About;
use crate::lift::{Lifted, ruled};
use crate::matcher::Matcher;
use crate::policy::{Action, Rules, Treatment};
use crate::terms::{Standing, Terms, TextStanding};
use crate::words::{base_name, message};
use crate::{Code, Evidence, TermsName};
use narthex_audit::{Finding, LicenseText, Made, Material, Origin, Place, Report, Sign, product};
use std::collections::BTreeMap;

/// Draws reasons from a report about the path called `name`. `about` are the entries about the package; `vendor` are the terms that the whole
/// package is declared under: each of them must name every file of it. `open` says that nothing has forbidden
/// publishing so far; where something has, findings only explain.
///
/// Exceptions and grants are asked finding by finding. The operator's rules about files and findings come last; an
/// exception from them is asked file by file as well.
pub(crate) fn findings(
    name: &str,
    about: &About<'_>,
    report: &Report,
    rules: &Rules,
    vendor: &[&Terms],
    open: bool,
) -> Vec<Reason> {
    let mut grouped: BTreeMap<(Effect, Code), Vec<Ground<'_>>> = BTreeMap::new();
    let mut lifted = Lifted::on(rules.today());
    for finding in &report.findings {
        for ((mut effect, code, evidence, terms), owners) in judge_each(name, finding, rules, open) {
            let exceptions = about.exceptions().filter(|exception| exception.about.asks_for(finding));
            let grants = owners.iter().flat_map(|owner| rules.grants_of(owner));
            if effect == Effect::Withhold && (lifted.by_exception(code, exceptions) || lifted.by_grant(code, grants)) {
                effect = Effect::Note;
            }
            let grounds = grouped.entry((effect, code)).or_default();
            // Two owners of one thing under the same terms are one ground.
            let mut here = grounds.iter().rev().take_while(|(known, _)| known.place == evidence.place);
            if !here.any(|ground| is_same_ground(ground, &evidence, terms)) {
                grounds.push((evidence, terms));
            }
        }
    }
    if !vendor.is_empty() {
        let unlisted = grouped.entry((Effect::Withhold, Code::TermsFileNotListed)).or_default();
        for file in &report.files {
            let place = shown(name, &Place { file: file.clone(), members: Vec::new() });
            let unlisting = vendor.iter().find(|terms| !is_listed(&place, terms));
            // A file that the corpus knows was found already, with its original's name.
            if let Some(terms) = unlisting
                && unlisted.iter().all(|(evidence, _)| evidence.place != place)
            {
                unlisted.push((Evidence { place, ..Evidence::default() }, Some(*terms)));
            }
        }
        grouped.retain(|_, grounds| !grounds.is_empty());
    }
    if let Some(ground) = nothing_else(report, &grouped, vendor) {
        let granted = lifted.by_grant(Code::TermsStandalone, about.grants());
        let effect = if granted { Effect::Note } else { Effect::Withhold };
        grouped.insert((effect, Code::TermsStandalone), vec![ground]);
    }
    let harmless = [Code::AuditLinksDynamically, Code::AuditStub, Code::AuditMaker];
    let suspicious = grouped.keys().any(|(_, code)| !harmless.contains(code));
    let mut reasons: Vec<Reason> = grouped
        .into_iter()
        .map(|((effect, code), items)| {
            let terms = items.iter().find_map(|(_, terms)| *terms);
            let evidence = if matches!(code, Code::TermsPermitCopy | Code::TermsPermitInclusion) {
                permitted(items)
            } else {
                items.into_iter().map(|(evidence, _)| evidence).collect()
            };
            Reason::new(code, effect, message(code, &evidence, terms), evidence)
        })
        .collect();
    if !suspicious {
        let files = report.files.len();
        let message = format!("nothing restricted in {files} file{}", if files == 1 { "" } else { "s" });
        reasons.push(Reason::new(Code::AuditClean, Effect::Note, message, Vec::new()));
    }
    for rule in about.rules().filter(|rule| rule.about.asks_for_bytes()) {
        reasons.extend(of_rule(name, rule, about, report, &mut lifted));
    }
    reasons.extend(lifted.reasons());
    reasons
}

/// The suspicion that a vendor made most of a package that is declared to be free: its name, the names of its files and
/// their copyrights say so, and nothing else is known of them.
pub(crate) fn made_by(report: &Report) -> Option<Finding> {
    let made = report.made.as_ref()?;
    let place = made.places.first()?.clone();
    let material = Material { name: made.vendor.clone(), version: String::new(), licenses: Vec::new() };
    let like = Origin { material, file: base_name(place.innermost()).to_owned(), member: None };
    let Made { files, copyrights, of_files, bytes, .. } = *made;
    let signs = vec![Sign::MadeBy { vendor: made.vendor.clone(), files, copyrights, of_files, bytes }];
    Some(Finding::Suspected { place, like, signs })
}

/// Whether the same was found at this place already, of a file of the same name under the same terms.
fn is_same_ground((known, of): &Ground<'_>, evidence: &Evidence, terms: Option<&Terms>) -> bool {
    let name = |evidence: &Evidence| evidence.original.as_deref().map(|file| base_name(file).to_owned());
    terms.is_some()
        && of.map(Terms::id) == terms.map(Terms::id)
        && (&known.kind, &known.clause) == (&evidence.kind, &evidence.clause)
        && name(known) == name(evidence)
}

/// What a rule about files and findings says: of what exceptions lift, that it explains, and the rest apart from it.
fn of_rule(name: &str, rule: &Rule, about: &About<'_>, report: &Report, lifted: &mut Lifted) -> Vec<Reason> {
    let (mut counting, mut excepted) = (Vec::new(), Vec::new());
    let mut found = |evidence: Evidence, exceptions: &mut dyn Iterator<Item = &Exception>| {
        let is_lifted = rule.then == Action::Withhold && lifted.by_exception(Code::PolicyRule, exceptions);
        if is_lifted { &mut excepted } else { &mut counting }.push(evidence);
    };
    for finding in report.findings.iter().filter(|finding| rule.about.asks_for_finding(finding)) {
        let mut exceptions = about.exceptions().filter(|exception| exception.about.asks_for(finding));
        found(Evidence::of(name, finding), &mut exceptions);
    }
    for file in report.files.iter().filter(|file| rule.about.asks_for_file(file)) {
        let place = shown(name, &Place { file: file.clone(), members: Vec::new() });
        let asks = |about: &Matcher| !about.asks_for_bytes() || about.asks_for_file(file);
        let mut exceptions = about.exceptions().filter(|exception| asks(&exception.about));
        found(Evidence { place, ..Evidence::default() }, &mut exceptions);
    }
    let counting = (!counting.is_empty()).then(|| ruled(rule, counting));
    let excepted = (!excepted.is_empty()).then(|| Reason { effect: Effect::Note, ..ruled(rule, excepted) });
    counting.into_iter().chain(excepted).collect()
}

/// Names the terms with everything that they permit. Their conditions stand once for each terms.
fn permitted(items: Vec<Ground<'_>>) -> Vec<Evidence> {
    let mut permitted: Vec<Evidence> = Vec::with_capacity(items.len());
    let mut known: Vec<&Terms> = Vec::new();
    for (mut evidence, terms) in items {
        if let Some(terms) = terms {
            // By themselves, since two files may give themselves one name.
            if !known.iter().any(|known| std::ptr::eq(*known, terms)) {
                evidence.conditions = terms.conditions().to_vec();
                known.push(terms);
            }
            evidence.terms = Some(TermsName { id: terms.id().to_owned(), title: terms.title().to_owned() });
        }
        permitted.push(evidence);
    }
    permitted
}

/// Whether the license texts in a package called `name` are those that the terms it is under were read from. What
/// terms say of files may not hold under another text, so that one that is not known withholds the package.
/// Nothing is said of a package without a license text, nor under terms that name no text of theirs.
pub(crate) fn license_texts(name: &str, texts: &[LicenseText], vendor: &[&Terms]) -> Vec<Reason> {
    let Some(first) = vendor.first().filter(|_| vendor.iter().all(|terms| terms.has_texts())) else {
        return Vec::new();
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for text in texts {
        let evidence = |note: String| Evidence {
            place: shown(name, &text.place),
            notes: vec![note, format!("SHA-256 of its normal form: {}", text.sha256)],
            ..Evidence::default()
        };
        let standing = vendor.iter().find_map(|terms| match terms.text_with(&text.sha256) {
            TextStanding::Known(releases) => Some((terms, releases)),
            TextStanding::NotKnown => None,
        });
        match standing {
            Some((terms, releases)) => known.push((evidence(format!("text of {}: {releases}", terms.title())), *terms)),
            None => unknown.push((evidence(format!("no text of {}", first.title())), *first)),
        }
    }
    let reason = |code, effect, found: Vec<(Evidence, &Terms)>| {
        let terms = found.first().map(|(_, terms)| *terms)?;
        let evidence: Vec<Evidence> = found.into_iter().map(|(evidence, _)| evidence).collect();
        Some(Reason::new(code, effect, message(code, &evidence, Some(terms)), evidence))
    };
    let unknown = reason(Code::TermsTextUnknown, Effect::Withhold, unknown);
    unknown.into_iter().chain(reason(Code::TermsTextKnown, Effect::Note, known)).collect()
}

/// A piece of evidence, and the terms it was held against.
type Ground<'r> = (Evidence, Option<&'r Terms>);

/// Whether a package holds what a vendor's terms permit as a part of an application, and no application: nothing in it
/// has code of its own. Texts, metadata, and files that only name or start something else make none.
///
/// A package that is declared under terms holds no application as far as these terms go, which say themselves whether
/// it may be passed on alone. It may have another vendor's parts in it: in code that it calls its own, and nobody else
/// does.
fn nothing_else<'r>(
    report: &Report,
    grouped: &BTreeMap<(Effect, Code), Vec<Ground<'r>>>,
    vendor: &[&Terms],
) -> Option<Ground<'r>> {
    if !report.own_code.is_empty() || !vendor.is_empty() && !report.claimed_code.is_empty() {
        return None;
    }
    let is_declared = |terms: &Terms| vendor.iter().any(|declared| std::ptr::eq(*declared, terms));
    let permitted = [Code::TermsPermitCopy, Code::TermsPermitInclusion];
    let grounds = permitted.iter().filter_map(|code| grouped.get(&(Effect::Publish, *code))).flatten();
    let as_part = |(evidence, terms): &Ground<'r>| {
        let terms = terms.filter(|terms| terms.forbids_standalone().is_some() && !is_declared(terms))?;
        Some((Evidence { place: evidence.place.clone(), ..Evidence::default() }, Some(terms)))
    };
    grounds.into_iter().find_map(as_part)
}

/// What builds put beside a package for Nix; it is no part of the software.
fn is_nix_support(file: &str) -> bool {
    file.starts_with("nix-support/")
}

/// Whether terms name a file of a package by its own name.
fn is_listed(file: &str, terms: &Terms) -> bool {
    is_nix_support(file) || terms.standing(base_name(file)) != Standing::NotListed
}

type Judged<'r> = (Effect, Code, Evidence, Option<&'r Terms>);

/// Judges a finding for each product that has it, with the releases of the product: each has terms of its own, and a
/// grant is about one of them.
fn judge_each<'r>(name: &str, finding: &Finding, rules: &'r Rules, open: bool) -> Vec<(Judged<'r>, Vec<Material>)> {
    let products = products(finding);
    if products.len() < 2 {
        let owners = products.into_iter().next().map(|(_, owners)| owners).unwrap_or_default();
        return judge(name, finding, rules, open).into_iter().map(|judged| (judged, owners.clone())).collect();
    }
    let mut judged = Vec::new();
    for (origin, owners) in &products {
        let others = products.iter().map(|(other, _)| other).filter(|other| *other != origin);
        let Some(of) = under_another_name(finding, origin, others) else { continue };
        judged.extend(judge(name, &of, rules, open).into_iter().map(|one| (one, owners.clone())));
    }
    judged
}

/// Whose a finding is, product by product: the original's first, each with the packages of it. Packages of one product
/// for several versions of CUDA differ in their last word.
fn products(finding: &Finding) -> Vec<(Origin, Vec<Material>)> {
    let Some(origin) = finding.origin() else { return Vec::new() };
    let mut products = vec![(origin.clone(), vec![origin.material.clone()])];
    for other in finding.kin().into_iter().flat_map(|kin| &kin.shared_by) {
        products.push((other.clone(), vec![other.material.clone()]));
    }
    let Finding::Copy { releases, .. } = finding else { return products };
    for release in releases {
        let version = release.versions.last().cloned().unwrap_or_default();
        let owner = Material { name: release.package.clone(), version, licenses: origin.material.licenses.clone() };
        let same = |(_, owners): &&mut (Origin, Vec<Material>)| {
            owners.iter().any(|one| product(&one.name) == product(&owner.name))
        };
        match products.iter_mut().find(same) {
            Some((_, owners)) => owners.push(owner),
            None => products.push((Origin { material: owner.clone(), ..origin.clone() }, vec![owner])),
        }
    }
    products
}

/// The same finding, as one of another product that has the file or the code.
fn under_another_name<'f>(
    finding: &Finding,
    origin: &Origin,
    others: impl Iterator<Item = &'f Origin>,
) -> Option<Finding> {
    let mut finding = finding.clone();
    match &mut finding {
        Finding::Copy { original, .. } => original.clone_from(origin),
        Finding::ModifiedCopy { original, kin, .. } | Finding::StaticCode { archive: original, kin, .. } => {
            if original != origin {
                // Which releases fit is known of the first one alone.
                (kin.equal, kin.release_unknown) = (Vec::new(), false);
            }
            original.clone_from(origin);
            kin.shared_by = others.cloned().collect();
        }
        _ => return None,
    }
    Some(finding)
}

fn judge<'r>(name: &str, finding: &Finding, rules: &'r Rules, open: bool) -> Vec<Judged<'r>> {
    let policy = &rules.policy().findings;
    let evidence = Evidence::of(name, finding);
    let effect = |action| match action {
        Action::Withhold => Effect::Withhold,
        Action::Publish => Effect::Note,
    };
    let (treatment, note, permit, origin) = match finding {
        Finding::Dynamic { .. } => return vec![(Effect::Note, Code::AuditLinksDynamically, evidence, None)],
        Finding::Stub { .. } => return vec![(Effect::Note, Code::AuditStub, evidence, None)],
        Finding::Maker { .. } => return vec![(Effect::Note, Code::AuditMaker, evidence, None)],
        // What was not read may hold anything, also where the path is withheld for what it declares.
        Finding::NotFullyAudited { .. } => {
            return vec![(effect(policy.not_fully_audited), Code::AuditIncomplete, evidence, None)];
        }
        // There is nobody's license to ask: the version is not known, or the file is a driver's.
        Finding::Suspected { .. } | Finding::Driver { .. } => {
            let (action, code) = match finding {
                Finding::Driver { .. } => (policy.driver, Code::AuditDriver),
                _ => (policy.suspected, Code::AuditSuspected),
            };
            return vec![(if open { effect(action) } else { Effect::Note }, code, evidence, None)];
        }
        Finding::Copy { original, .. } => (policy.copy, Code::AuditCopy, Code::TermsPermitCopy, original),
        Finding::ModifiedCopy { original, .. } => {
            (policy.modified_copy, Code::AuditModifiedCopy, Code::TermsPermitCopy, original)
        }
        Finding::StaticCode { archive, .. } if is_cudart_static(archive) => {
            (policy.cudart_static, Code::AuditCudartStatic, Code::TermsPermitInclusion, archive)
        }
        Finding::StaticCode { archive, .. } => {
            (policy.static_code, Code::AuditStaticCode, Code::TermsPermitInclusion, archive)
        }
        Finding::DeviceCode { original, .. } => {
            (policy.device_code, Code::AuditDeviceCode, Code::TermsPermitInclusion, original)
        }
    };
    if !open {
        return vec![(Effect::Note, note, evidence, None)];
    }
    match treatment {
        Treatment::Publish => vec![(Effect::Note, note, evidence, None)],
        Treatment::Withhold => vec![(Effect::Withhold, Code::PolicyVendorCode, evidence, None)],
        Treatment::Terms => match rules.terms_for(&origin.material) {
            None => vec![(Effect::Withhold, Code::TermsMissing, evidence, None)],
            Some(terms) => under_terms(finding, origin, terms, permit, evidence),
        },
    }
}

/// The static CUDA runtime is a class of its own: nvcc links it by default, so that it hides in packages of
/// every license, and where it is withheld, nearly every CUDA program is.
fn is_cudart_static(archive: &Origin) -> bool {
    ["libcudart_static.a", "cudart_static.lib"].contains(&archive.file_name())
}

fn under_terms<'r>(
    finding: &Finding,
    origin: &Origin,
    terms: &'r Terms,
    permit: Code,
    mut evidence: Evidence,
) -> Vec<Judged<'r>> {
    let mut judged = Vec::new();
    let standing = terms.standing_of(origin);
    if standing == Standing::Accompanying {
        return judged;
    }
    if matches!(finding, Finding::ModifiedCopy { .. })
        && let Some(clause) = terms.forbids_modification()
    {
        let evidence = Evidence { clause: Some(clause.to_owned()), ..evidence.clone() };
        judged.push((Effect::Withhold, Code::TermsModified, evidence, Some(terms)));
    }
    match standing {
        Standing::Listed(clause) if judged.is_empty() => {
            evidence.clause = Some(clause.to_owned());
            judged.push((Effect::Publish, permit, evidence, Some(terms)));
        }
        Standing::NotListed => judged.push((Effect::Withhold, Code::TermsFileNotListed, evidence, Some(terms))),
        Standing::Listed(_) | Standing::Accompanying => {}
    }
    judged
}
