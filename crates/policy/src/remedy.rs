//! What would have to change for a withheld path to be published.
//!
//! Every reason that forbids has to go, and for each there are ways: that is all that can be said, since one reason is
//! enough to withhold and reasons do not know of each other. Nothing here is advice to take a way: which of them is true
//! of a package, whoever answers for the policy has to know.

use crate::decision::{Effect, Reason};
use crate::{Code, Evidence, Source};
use serde::Serialize;

/// Who can go a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Whoever writes the package.
    Package,
    /// Whoever writes the package set.
    PackageSet,
    /// Whoever holds the rights.
    RightsHolder,
    /// Whoever answers for the policy.
    Operator,
}

impl By {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Package => "in the package",
            Self::PackageSet => "in the package set",
            Self::RightsHolder => "by the holder of the rights",
            Self::Operator => "by the operator",
        }
    }
}

/// One way in which a reason goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// Who can go it.
    pub by: By,
    /// What would have to be done.
    pub what: String,
    /// The table of the policy in which it is written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<&'static str>,
}

/// A reason that forbids, and the ways in which it goes; any one of them is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The reason's code.
    pub reason: Code,
    /// What can be done; nothing where only another reason can permit the path.
    pub ways: Vec<Way>,
}

/// What keeps a path from being published: all of it has to go. Empty where it is published.
pub fn obstacles(reasons: &[Reason]) -> Vec<Obstacle> {
    let forbidding: Vec<Obstacle> = reasons
        .iter()
        .filter(|reason| reason.effect == Effect::Withhold)
        .map(|reason| Obstacle { reason: reason.code, ways: ways(reason) })
        .collect();
    let permitted = reasons.iter().any(|reason| reason.effect == Effect::Publish);
    match reasons.first() {
        // Nothing forbids it and nothing permits it.
        Some(first) if forbidding.is_empty() && !permitted => {
            let what = "declare a license under which it may be passed on".to_owned();
            vec![Obstacle { reason: first.code, ways: vec![Way { by: By::PackageSet, what, entry: None }] }]
        }
        _ => forbidding,
    }
}

/// What only explains now, because what is declared forbids the path anyway, and would be held against the terms and the
/// policy if it no longer did.
pub fn asked_then(reasons: &[Reason]) -> Vec<Code> {
    const FOUND: [Code; 7] = [
        Code::AuditModifiedCopy,
        Code::AuditCopy,
        Code::AuditStaticCode,
        Code::AuditCudartStatic,
        Code::AuditDeviceCode,
        Code::AuditSuspected,
        Code::AuditDriver,
    ];
    let declared = |reason: &Reason| {
        reason.effect == Effect::Withhold && matches!(reason.source, Source::Declared | Source::Policy)
    };
    if !reasons.iter().any(declared) {
        return Vec::new();
    }
    let notes = reasons.iter().filter(|reason| reason.effect == Effect::Note && FOUND.contains(&reason.code));
    notes.map(|reason| reason.code).collect()
}

fn ways(reason: &Reason) -> Vec<Way> {
    let way = |by, what: &str| Way { by, what: what.to_owned(), entry: None };
    let entry = |by, entry, what: String| Way { by, what, entry: Some(entry) };
    let files = files(&reason.evidence);
    let grant = |what: String| entry(By::RightsHolder, "grants", what);
    let exception = || {
        let what = format!("make an exception to `{}` for it, and answer for that until a day", reason.code);
        entry(By::Operator, "exceptions", what)
    };
    let correction = |what: &str| entry(By::Operator, "corrections", what.to_owned());
    match reason.code {
        Code::LicenseRestricted => vec![
            grant("give leave to pass it on".to_owned()),
            correction("put the license right, if the package set has a wrong one"),
        ],
        Code::LicenseOfOriginal => vec![
            grant("give leave to pass it on, where the license of the package is known".to_owned()),
            way(By::PackageSet, "declare a license for it, if it is not under that of the package"),
            correction("put the license of the package right, if the package set has a wrong one"),
        ],
        Code::LicenseUnknown => vec![
            way(By::PackageSet, "declare its license in `meta.license`"),
            correction("say which license it is under, and where that can be read"),
            exception(),
        ],
        Code::MadeFromFreeInputs => vec![
            way(By::PackageSet, "declare its license in `meta.license`"),
            entry(By::Operator, "classes", "publish what is made from free inputs: `made-from-free`".to_owned()),
        ],
        Code::LicenseFree | Code::LicenseRedistributable => {
            vec![entry(By::Operator, "classes", "publish packages of its class".to_owned())]
        }
        Code::GraphIncomplete => {
            vec![way(By::PackageSet, "describe everything that it is made from, without a circle")]
        }
        Code::SourceOfWithheld => {
            vec![way(By::Package, "all packages made from this source would have to be publishable"), exception()]
        }
        Code::PolicyRule => {
            vec![entry(By::Operator, "rules", "change the rule, which says why it is there".to_owned()), exception()]
        }
        Code::PolicyReview => {
            vec![entry(By::Operator, "reviews", "change the answer, which says why it is there".to_owned())]
        }
        Code::PolicyVendorCode => vec![
            way(By::Package, &format!("leave out the vendor's material: {files}")),
            grant(format!("give leave to pass on {files}")),
            entry(
                By::Operator,
                "findings",
                "ask the terms of the material instead of withholding: `\"terms\"`".to_owned(),
            ),
            exception(),
        ],
        Code::TermsFileNotListed => vec![
            way(
                By::Package,
                &format!(
                    "refer to the vendor's package instead of holding {files}: link dynamically, or move static archives to an output of their own"
                ),
            ),
            grant(format!("give leave to pass on {files}")),
        ],
        Code::TermsModified => vec![
            way(By::Package, &format!("keep {files} as the vendor made it: {}", unpatched(&reason.evidence))),
            grant(format!("give leave to pass on {files} as it was changed")),
        ],
        Code::TermsStandalone => vec![
            way(By::Package, "nothing: it is the vendor's own package, and stays a hole that users fill"),
            grant("give leave to pass on the package by itself".to_owned()),
        ],
        Code::TermsTextUnknown => vec![
            way(By::Package, "take the version whose license text the terms were read from"),
            entry(By::Operator, "terms", format!("read {files}, and name terms that have its hash")),
        ],
        Code::TermsMissing => vec![
            entry(By::Operator, "terms", "write down the terms of the material, and name them".to_owned()),
            way(By::Package, &format!("leave out the vendor's material: {files}")),
            grant(format!("give leave to pass on {files}")),
        ],
        Code::AuditDriver => {
            vec![way(By::Package, &format!("leave out {files}: users have it with their driver")), exception()]
        }
        Code::AuditSuspected => vec![
            way(
                By::Operator,
                &format!(
                    "let the corpus learn the version that {files} may be made from, with `narthex corpus add`: then it is certain"
                ),
            ),
            way(By::Package, &format!("leave out what looks like the vendor's: {files}")),
            exception(),
        ],
        Code::AuditIncomplete => {
            vec![way(By::Package, &format!("leave out what cannot be read: {files}")), exception()]
        }
        Code::AuditMissing => vec![way(By::Operator, "build and audit it with `narthex run`")],
        Code::CorpusIncomplete => vec![
            way(By::Operator, "let the corpus learn again what it lacks: run the package sets that have it"),
            way(By::Operator, "say with `narthex corpus remove` that it need not be known any more"),
        ],
        Code::SetIncomplete => {
            vec![way(By::Operator, "evaluate the whole package set: `narthex run` without `--only`")]
        }
        // These never forbid.
        Code::PolicyGrant
        | Code::PolicyException
        | Code::TermsPermitInclusion
        | Code::TermsPermitCopy
        | Code::SourceOfPublished
        | Code::PolicyCorrection
        | Code::PolicyExpired
        | Code::TermsTextKnown
        | Code::AuditModifiedCopy
        | Code::AuditCopy
        | Code::AuditStaticCode
        | Code::AuditCudartStatic
        | Code::AuditDeviceCode
        | Code::AuditStub
        | Code::AuditMaker
        | Code::AuditLinksDynamically
        | Code::AuditClean => Vec::new(),
    }
}

/// The first file of the evidence, and how many more there are.
fn files(evidence: &[Evidence]) -> String {
    match evidence {
        [] => "the file".to_owned(),
        [one] => one.place.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.place, rest.len()),
    }
}

/// What not to do to a file, by what was done to it.
fn unpatched(evidence: &[Evidence]) -> String {
    let changes: Vec<String> = evidence.iter().flat_map(|one| &one.changes).map(ToString::to_string).collect();
    match changes.first() {
        Some(change) => format!("without `{change}`"),
        None => "without patchelf, strip or the like".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::{EXCEPTABLE, GRANTABLE};

    fn reason(code: Code, effect: Effect) -> Reason {
        let evidence = vec![Evidence { place: "lib/x.so".to_owned(), ..Evidence::default() }];
        Reason::new(code, effect, String::new(), evidence)
    }

    #[test]
    fn ways_are_those_that_a_policy_can_say() {
        let has =
            |code: Code, name: &str| ways(&reason(code, Effect::Withhold)).iter().any(|way| way.entry == Some(name));
        for code in Code::ALL {
            assert_eq!(has(*code, "exceptions"), EXCEPTABLE.contains(code), "{code}");
            assert_eq!(has(*code, "grants"), GRANTABLE.contains(code), "{code}");
        }
        // Codes are in the order of their weight: those that can forbid come first.
        for code in Code::ALL.iter().take_while(|code| **code != Code::PolicyGrant) {
            assert!(!ways(&reason(*code, Effect::Withhold)).is_empty(), "{code}");
        }
    }

    #[test]
    fn all_that_forbids_has_to_go_and_nothing_else() {
        let codes = |reasons: &[Reason]| obstacles(reasons).iter().map(|one| one.reason).collect::<Vec<_>>();
        let (no, yes) = (Effect::Withhold, Effect::Publish);
        let reasons = [
            reason(Code::TermsFileNotListed, no),
            reason(Code::AuditIncomplete, no),
            reason(Code::LicenseFree, yes),
            reason(Code::AuditClean, Effect::Note),
        ];
        assert_eq!(codes(&reasons), [Code::TermsFileNotListed, Code::AuditIncomplete]);
        assert_eq!(codes(&reasons[2..]), []);
        // What only explains because the license forbids would be asked then.
        let note = reason(Code::AuditCopy, Effect::Note);
        assert_eq!(asked_then(&[reason(Code::LicenseRestricted, no), note.clone()]), [Code::AuditCopy]);
        assert_eq!(asked_then(&[reason(Code::TermsModified, no), note]), []);
        // Nothing forbids and nothing permits.
        assert_eq!(codes(&reasons[3..]), [Code::AuditClean]);
        assert!(!obstacles(&reasons[3..])[0].ways.is_empty());
    }
}
