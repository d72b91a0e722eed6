//! The decision about one path.

use crate::application::{as_before, may_be_application, terms_of_bytes};
use crate::decision::{Decision, Effect, Reason, Verdict};
use crate::index::About;
use crate::judge;
use crate::lift::{Lifted, ruled};
use crate::matcher::{Asked, Case};
use crate::policy::{Action, Rules};
use crate::review;
use crate::terms::Terms;
use crate::{Code, Source};
use narthex_audit::Report;
use narthex_closure::{NarHash, StorePath};
use narthex_license::{Class, Expr, LicenseFacts, Reading};

/// A package that is made from a source.
#[derive(Clone, Debug)]
pub struct SourceUser {
    /// Its name.
    pub name: String,
    /// What its license comes to.
    pub class: Class,
    /// Whether publishing it is permitted by what it declares: by its class, or by an entry of the policy.
    pub permitted: bool,
    /// Whether one of its outputs is withheld.
    pub withheld: bool,
    /// Whether what withholds it was found in its bytes, and all of that comes from other withheld things that it was built
    /// with: then it says nothing against this source.
    pub explained: bool,
}

impl SourceUser {
    /// Whether its source may not be published, for its sake.
    pub fn forbids(&self) -> bool {
        !self.permitted || (self.withheld && !(self.explained && self.class == Class::Free))
    }
}

/// A corpus that lacks material which it once had.
#[derive(Clone, Copy, Debug)]
pub struct Lost<'a> {
    /// What it lacks, for people.
    pub materials: &'a str,
    /// What was decided about the same NAR last: the verdict, the reasons, and whether the policy is the same since.
    pub earlier: Option<(Verdict, &'a [Reason], bool)>,
}

/// Where the license facts of a path come from.
#[derive(Clone, Debug)]
pub enum Provenance<'a> {
    /// It is an output of a derivation; the package set may have said nothing of it.
    Output(Option<&'a LicenseFacts>),
    /// It is a source without facts of its own, and takes those of the packages made from it.
    Source(Vec<SourceUser>),
    /// It declares nothing, has no source of its own, and everything that it is made from is free.
    MadeFromFree,
    /// It declares nothing, and is another build of a package that does.
    Original {
        /// The package's name.
        name: &'a str,
        /// What the package declares.
        facts: &'a LicenseFacts,
    },
    /// Several derivations make it, of which different things hold.
    Disputed,
    /// Something that it is made from is not known.
    Incomplete {
        /// The name of that, and what is wrong with it.
        what: String,
        /// What it declares itself, which is no ground for publishing it.
        facts: Option<&'a LicenseFacts>,
    },
}

impl<'a> Provenance<'a> {
    /// The facts, where there are any that a policy can ask for licenses.
    fn facts(&self) -> Option<&'a LicenseFacts> {
        match self {
            Self::Output(facts) => *facts,
            Self::Original { facts, .. } => Some(facts),
            Self::Incomplete { facts, .. } => *facts,
            Self::Source(_) | Self::MadeFromFree | Self::Disputed => None,
        }
    }
}

/// Everything that a decision rests on.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The path.
    pub path: &'a StorePath,
    /// What the policy can name it by.
    pub case: Case<'a>,
    /// The hash of its NAR; the permit holds for this one only.
    pub nar_hash: NarHash,
    /// Where its facts come from.
    pub provenance: Provenance<'a>,
    /// What the audit saw; without it nothing is published.
    pub report: Option<&'a Report>,
    /// Given while the corpus lacks material that it had once: nothing is published then that was not published before.
    pub lost: Option<Lost<'a>>,
    /// Whether something withheld was among the inputs of its build, or what these refer to. Then what nobody can look into is not
    /// audited.
    pub read_withheld: bool,
}

/// What the declared licenses alone would come to, before anything is built: the verdict, and the
/// reasons with the deciding one first. The audit can only add reasons to withhold.
pub fn forecast(case: &Case<'_>, provenance: &Provenance<'_>, rules: &Rules) -> (Verdict, Vec<Reason>) {
    let asked = Asked::new(case, provenance.facts());
    let Declared { terms, mut reasons } = declared(&asked, &rules.about(&asked), provenance, rules);
    // What may be an application is judged by its bytes.
    if is_open(&reasons) && !may_be_application(&asked.case, asked.facts, rules) {
        reasons.extend(standalone(&terms));
    }
    reasons.sort_by_key(|reason| (reason.effect, reason.code));
    let publish = reasons.first().is_some_and(|reason| reason.effect == Effect::Publish);
    (if publish { Verdict::Publish } else { Verdict::Withhold }, reasons)
}

/// What comes of what is declared.
struct Declared<'r> {
    /// The terms that the whole package is under, each of which must name every file of it.
    terms: Vec<&'r Terms>,
    reasons: Vec<Reason>,
}

/// In this order: corrections, which the facts have in them already; the class of the license, or the packages that
/// a source is of; the operator's rules and reviews; exceptions and grants, which take the force from reasons that forbid.
fn declared<'r>(asked: &Asked<'_>, about: &About<'_>, provenance: &Provenance<'_>, rules: &'r Rules) -> Declared<'r> {
    let package = asked.case.package;
    let (mut terms, mut reasons) = match provenance {
        Provenance::Output(facts) => of_output(package, *facts, rules),
        Provenance::Source(users) => of_source(users),
        Provenance::MadeFromFree => (Vec::new(), vec![of_free_inputs(rules)]),
        Provenance::Disputed => (Vec::new(), vec![of_disputed(rules)]),
        Provenance::Original { name, facts } => of_original(package, name, facts, rules),
        Provenance::Incomplete { what, facts } => {
            // What it declares is told as well; nothing lifts the other reason.
            let (terms, mut reasons) = facts.map(|facts| of_output(package, Some(facts), rules)).unwrap_or_default();
            let message = format!("what it is made from is not all known: {what}");
            reasons.push(Reason::new(Code::GraphIncomplete, Effect::Withhold, message, Vec::new()));
            (terms, reasons)
        }
    };
    add_entries(asked, about, rules, &mut terms, &mut reasons);
    Declared { terms, reasons }
}

/// What the policy says of the package by name, attribute, license, output or provenance: more reasons, and which of them
/// all lose their force.
fn add_entries(
    asked: &Asked<'_>,
    about: &About<'_>,
    rules: &Rules,
    terms: &mut Vec<&Terms>,
    reasons: &mut Vec<Reason>,
) {
    let of_packages = about.rules().filter(|rule| !rule.about.asks_for_bytes());
    reasons.extend(of_packages.map(|rule| ruled(rule, Vec::new())));
    reasons.extend(review::reasons(about, rules.today()));
    let mut lifted = Lifted::on(rules.today());
    for reason in reasons.iter_mut().filter(|reason| reason.effect == Effect::Withhold) {
        let exceptions = about.exceptions().filter(|exception| !exception.about.asks_for_bytes());
        let grants = about
            .grants()
            .filter(|_| reason.code != Code::LicenseOfOriginal || rules.class(asked.facts) == Class::Restricted);
        if lifted.by_exception(reason.code, exceptions) || lifted.by_grant(reason.code, grants) {
            reason.effect = Effect::Note;
        }
    }
    // Whoever has leave from the vendor need not ask the terms that are for everybody.
    if !terms.is_empty() && lifted.has_grant(about.grants()) {
        terms.clear();
    }
    reasons.extend(lifted.reasons());
}

/// Decides about one path. The same subject and rules always give the same decision.
pub fn decide(subject: &Subject<'_>, rules: &Rules) -> Decision {
    let asked = Asked::new(&subject.case, subject.provenance.facts());
    let about = rules.about(&asked);
    let Declared { terms, mut reasons } = declared(&asked, &about, &subject.provenance, rules);
    let counting = subject.report.filter(|_| subject.read_withheld).map(Report::counting_opaque);
    match counting.as_ref().or(subject.report) {
        Some(report) => {
            let terms = terms_of_bytes(&asked, report, rules, terms);
            add_findings(subject.path.name(), &about, report, rules, &terms, &mut reasons);
        }
        None => reasons.push(Reason::new(
            Code::AuditMissing,
            Effect::Withhold,
            "its bytes were not audited".to_owned(),
            Vec::new(),
        )),
    }
    if let Some(lost) = &subject.lost {
        without_lost(lost, &mut reasons);
    }
    Decision::new(subject.path.clone(), subject.nar_hash, reasons)
}

/// What of a decision holds that rests on an incomplete corpus. What was found before and cannot be found now is found still;
/// and what was not published under the whole corpus is not published under a part of it: it could hold what is lacking.
fn without_lost(lost: &Lost<'_>, reasons: &mut Vec<Reason>) {
    let (verdict, earlier, same_policy) = lost.earlier.unwrap_or((Verdict::Withhold, &[], false));
    for reason in earlier {
        // A rule about bytes rests on them; what rules say of the package is known today.
        let ruled = reason.code == Code::PolicyRule && !reason.evidence.is_empty();
        let said_again = |known: &Reason| known.code == reason.code && (!ruled || known.effect == Effect::Withhold);
        let holds = match reason.effect {
            Effect::Withhold => ruled || of_bytes(reason),
            // What terms permitted, another policy may not.
            Effect::Publish | Effect::Note => same_policy && accuses(reason),
        };
        if holds && reason.code != Code::CorpusIncomplete && !reasons.iter().any(said_again) {
            reasons.push(reason.clone());
        }
    }
    if reasons.iter().any(accuses) {
        reasons.retain(|reason| reason.code != Code::AuditClean);
    }
    let is_found = |reason: &Reason| reasons.iter().any(|known| known.code == reason.code);
    let vouched = verdict == Verdict::Publish && earlier.iter().filter(|reason| accuses(reason)).all(is_found);
    if is_open(reasons) && !vouched {
        let message =
            format!("the corpus was lost and lacks {}, and this was not published while it was whole", lost.materials);
        reasons.push(Reason::new(Code::CorpusIncomplete, Effect::Withhold, message, Vec::new()));
    }
}

/// What holds of a decision for which only a part of the package set was evaluated. Other attributes may declare more of the
/// same bytes, be made from the same source, or name vendors' files. So nothing is published that was not published under the
/// same policy before, when the whole set was known. `earlier` is what was decided then about the same bytes. Where the part
/// declares nothing (`is_silent`), that may be for what it lacks, and what was declared before holds: see [`decide_again`].
#[must_use]
pub fn in_part(
    decision: Decision,
    earlier: Option<(Verdict, &[Reason])>,
    is_silent: bool,
    again: impl FnOnce(&[Reason]) -> Decision,
) -> Decision {
    match earlier {
        Some((Verdict::Publish, earlier)) => {
            let is_unknown = decision.reasons().first().is_some_and(|reason| reason.code == Code::LicenseUnknown);
            if is_silent && is_unknown { again(earlier) } else { decision }
        }
        _ if decision.verdict() == Verdict::Publish => {
            let message = "only a part of the package set was evaluated (`--only`): other attributes may declare more of it, be made from \
                           it, or name vendors' files that it holds; and it was not published when the whole set was known";
            let reason = Reason::new(Code::SetIncomplete, Effect::Withhold, message.to_owned(), Vec::new());
            let reasons = decision.reasons().iter().cloned().chain([reason]).collect();
            Decision::new(decision.path().clone(), decision.nar_hash(), reasons)
        }
        _ => decision,
    }
}

/// Whether a reason says that a vendor's material is there.
fn accuses(reason: &Reason) -> bool {
    let harmless = [
        Code::AuditLinksDynamically,
        Code::AuditStub,
        Code::AuditMaker,
        Code::AuditClean,
        Code::TermsTextKnown,
        Code::CorpusIncomplete,
    ];
    of_bytes(reason) && !harmless.contains(&reason.code)
}

/// What the bytes come to, under the terms that the whole package is under.
fn add_findings(
    name: &str,
    about: &About<'_>,
    report: &Report,
    rules: &Rules,
    terms: &[&Terms],
    reasons: &mut Vec<Reason>,
) {
    let open = is_open(reasons);
    let vendor = if open { terms } else { &[] };
    // Under a free license nobody else's work is declared.
    let is_free = reasons.iter().any(|reason| matches!(reason.code, Code::LicenseFree | Code::MadeFromFreeInputs));
    let made = if is_free { judge::made_by(report) } else { None };
    let with_maker = made.map(|finding| {
        let mut report = report.clone();
        report.findings.push(finding);
        report
    });
    let report = with_maker.as_ref().unwrap_or(report);
    reasons.extend(judge::findings(name, about, report, rules, vendor, open));
    reasons.extend(judge::license_texts(name, &report.texts, vendor));
    reasons.extend(standalone(vendor));
}

/// Whether a reason rests on what the audit found, and not on what is declared or on an entry of the policy.
fn of_bytes(reason: &Reason) -> bool {
    matches!(reason.source, Source::Audit | Source::Terms) || reason.code == Code::PolicyVendorCode
}

/// Decides anew about a path that was decided about before, when the audit sees more than it did then, or when entries of the
/// policy have ended. What the package set declares is as it was; what entries say and what findings mean is asked
/// again. `facts` are what is known of the declaration, for entries that ask for licenses. Of a build that could read what is
/// withheld, the report has to count what nobody can look into.
pub fn decide_again(
    path: &StorePath,
    (case, facts): (&Case<'_>, Option<&LicenseFacts>),
    nar_hash: NarHash,
    earlier: &[Reason],
    report: &Report,
    rules: &Rules,
) -> Decision {
    let declared = |reason: &&Reason| reason.source == Source::Declared || reason.code == Code::PolicyCorrection;
    let mut reasons: Vec<Reason> = earlier.iter().filter(declared).cloned().collect();
    // What an entry took the force from has it again, until one takes it anew.
    for reason in reasons.iter_mut().filter(|reason| reason.effect == Effect::Note && reason.source == Source::Declared)
    {
        reason.effect = Effect::Withhold;
    }
    let case = &as_before(case, earlier);
    let asked = Asked::new(case, facts);
    let about = rules.about(&asked);
    let mut terms = facts.map_or_else(Vec::new, |facts| terms_of(case.package, facts, rules));
    add_entries(&asked, &about, rules, &mut terms, &mut reasons);
    // Which terms a grant spared it cannot be told.
    let has_grant = |reasons: &[Reason]| reasons.iter().any(|reason| reason.code == Code::PolicyGrant);
    if facts.is_none() && has_grant(earlier) && !has_grant(&reasons) {
        let message = "the grant that it was published under holds no longer".to_owned();
        reasons.push(Reason::new(Code::PolicyExpired, Effect::Withhold, message, Vec::new()));
    }
    let terms = terms_of_bytes(&asked, report, rules, terms);
    add_findings(path.name(), &about, report, rules, &terms, &mut reasons);
    Decision::new(path.clone(), nar_hash, reasons)
}

/// Decides anew about a source that was published because these packages, which are withheld now, were. What else was said of
/// it holds.
pub fn decide_source_again(path: &StorePath, nar_hash: NarHash, earlier: &[Reason], withheld: &[&str]) -> Decision {
    let mut reasons = earlier.to_vec();
    let message = format!("source of {}, withheld", withheld.join(", "));
    reasons.push(Reason::new(Code::SourceOfWithheld, Effect::Withhold, message, Vec::new()));
    reasons.retain(|reason| reason.code != Code::SourceOfPublished);
    Decision::new(path.clone(), nar_hash, reasons)
}

/// By class; with the terms that the package is under, where there are any.
fn of_output<'r>(package: &str, facts: Option<&LicenseFacts>, rules: &'r Rules) -> (Vec<&'r Terms>, Vec<Reason>) {
    let class = rules.class(facts);
    let mut license = facts.map(LicenseFacts::shown).unwrap_or_default();
    // Where it matters how a list is read, the reason says how.
    let other = match rules.policy().lists() {
        Reading::Strict => Reading::Lenient,
        Reading::Lenient => Reading::Strict,
    };
    if facts.is_some_and(|facts| facts.class_under(other) != class) {
        let reading = if other == Reading::Lenient { "all of which apply" } else { "of which one may be chosen" };
        license = format!("{license}, a list {reading} as this policy reads it,");
    }
    if facts.is_some_and(|facts| facts.disputed) {
        license = format!("{DISPUTED}: {license}");
    }
    let publishes = rules.policy().action(class) == Action::Publish;
    let (code, message) = match class {
        // No license value comes to the second one.
        Class::Free | Class::MadeFromFree => (Code::LicenseFree, format!("{license} is free")),
        Class::Redistributable => {
            (Code::LicenseRedistributable, format!("{license} is not free, but may be passed on"))
        }
        Class::Restricted if publishes => {
            let but = "and the policy publishes what is restricted all the same";
            (Code::LicenseRestricted, format!("{license} does not permit passing it on, {but}"))
        }
        Class::Restricted => (Code::LicenseRestricted, format!("{license} may not be passed on")),
        Class::Unknown => (Code::LicenseUnknown, unknown(facts, rules)),
    };
    let terms = facts.map_or_else(Vec::new, |facts| terms_of(package, facts, rules));
    let mut reasons = vec![Reason::new(code, effect(rules.policy().action(class)), message, Vec::new())];
    // What nobody knows beside it is answered for by itself.
    if class != Class::Unknown && facts.is_some_and(|facts| facts.license.has_unknown_under(rules.policy().lists())) {
        let effect = effect(rules.policy().action(Class::Unknown));
        reasons.push(Reason::new(Code::LicenseUnknown, effect, unknown(facts, rules), Vec::new()));
    }
    if let Some(correction) = facts.and_then(|facts| facts.correction.as_ref()) {
        let (was, reason, source) = (&correction.was, &correction.reason, &correction.source);
        let said = if was == "NOASSERTION" { "no license that is known" } else { was };
        let message = format!("the package set says {said}; the policy puts it right: {reason} ({source})");
        reasons.push(Reason::new(Code::PolicyCorrection, Effect::Note, message, Vec::new()));
    }
    (terms, reasons)
}

/// The terms that a package is under. Where it may be had under a free license, it is no vendor's package.
fn terms_of<'r>(package: &str, facts: &LicenseFacts, rules: &'r Rules) -> Vec<&'r Terms> {
    if rules.class(Some(facts)) == Class::Free {
        return Vec::new();
    }
    let licenses = facts.license.licenses();
    rules.terms_of_package(package, licenses.iter().map(|license| license.key()))
}

fn unknown(facts: Option<&LicenseFacts>, rules: &Rules) -> String {
    let mut message = match facts.map(|facts| &facts.license) {
        None => "the package set says nothing of it".to_owned(),
        Some(Expr::Absent) => "it declares no license".to_owned(),
        Some(Expr::UnknownName(name)) => format!("`{name}` names no license that is known"),
        Some(Expr::Malformed(what)) => format!("its license value is no license: {what}"),
        Some(_) => format!("its license is not fully known: {}", facts.map(LicenseFacts::shown).unwrap_or_default()),
    };
    if facts.is_some_and(|facts| facts.disputed) {
        message = format!("{DISPUTED}: {message}");
    }
    if rules.policy().action(Class::Unknown) == Action::Publish {
        message.push_str(", and the policy publishes what is unknown all the same");
    }
    message
}

fn of_free_inputs(rules: &Rules) -> Reason {
    let message = "it has no source of its own, and all that it is made from is free".to_owned();
    Reason::new(Code::MadeFromFreeInputs, effect(rules.policy().action(Class::MadeFromFree)), message, Vec::new())
}

/// What nobody can settle from what is declared.
const DISPUTED: &str = "several derivations make this path, and they do not declare the same";

fn of_disputed(rules: &Rules) -> Reason {
    Reason::new(Code::LicenseUnknown, effect(rules.policy().action(Class::Unknown)), DISPUTED.to_owned(), Vec::new())
}

/// As the package that it is another build of: what the license comes to, under a code of its own.
fn of_original<'r>(package: &str, name: &str, facts: &LicenseFacts, rules: &'r Rules) -> (Vec<&'r Terms>, Vec<Reason>) {
    let (terms, reasons) = of_output(package, Some(facts), rules);
    let renamed = |(number, reason): (usize, Reason)| {
        let message = format!("as {name}, which it is another build of: {}", reason.message);
        // What is not known beside it, and that the policy puts something right, is said as it is.
        let code = if number == 0 { Code::LicenseOfOriginal } else { reason.code };
        Reason::new(code, reason.effect, message, reason.evidence)
    };
    (terms, reasons.into_iter().enumerate().map(renamed).collect())
}

fn of_source<'r>(users: &[SourceUser]) -> (Vec<&'r Terms>, Vec<Reason>) {
    let names = |users: &mut dyn Iterator<Item = &SourceUser>| {
        let mut names: Vec<&str> = users.map(|user| user.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    };
    let forbidding = |user: &&SourceUser| user.forbids();
    let reason = if users.is_empty() {
        Reason::new(
            Code::LicenseUnknown,
            Effect::Withhold,
            "no package is known to use this source".to_owned(),
            Vec::new(),
        )
    } else if users.iter().any(|user| forbidding(&user)) {
        let message = format!("source of {}, withheld", names(&mut users.iter().filter(forbidding)));
        Reason::new(Code::SourceOfWithheld, Effect::Withhold, message, Vec::new())
    } else {
        let message = format!("source of {}", names(&mut users.iter()));
        Reason::new(Code::SourceOfPublished, Effect::Publish, message, Vec::new())
    };
    (Vec::new(), vec![reason])
}

/// Whether nothing has forbidden publishing so far.
fn is_open(reasons: &[Reason]) -> bool {
    reasons.iter().all(|reason| reason.effect != Effect::Withhold)
}

/// A package that is itself declared under a vendor's terms is no application.
fn standalone(terms: &[&Terms]) -> Option<Reason> {
    let (terms, clause) = terms.iter().find_map(|terms| Some((terms, terms.forbids_standalone()?)))?;
    let message = format!("the {} permits its files only as part of an application ({clause})", terms.title());
    Some(Reason::new(Code::TermsStandalone, Effect::Withhold, message, Vec::new()))
}

pub(crate) fn effect(action: Action) -> Effect {
    match action {
        Action::Publish => Effect::Publish,
        Action::Withhold => Effect::Withhold,
    }
}

#[cfg(test)]
mod again;
#[cfg(test)]
mod incomplete;
#[cfg(test)]
mod precedence;
#[cfg(test)]
mod releases;
#[cfg(test)]
pub(crate) mod tests;
