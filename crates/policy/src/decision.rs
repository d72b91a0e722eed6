//! Decisions, their reasons, and permits.

use crate::{Code, Evidence, Source};
use narthex_closure::{NarHash, StorePath};
use narthex_license::text;
use serde::{Deserialize, Serialize};

/// Publish or withhold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may be passed on.
    Publish,
    /// It stays here.
    Withhold,
}

/// What a reason does to the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It forbids publishing.
    Withhold,
    /// It permits publishing, unless another one forbids it.
    Publish,
    /// It explains and changes nothing.
    Note,
}

impl Effect {
    /// What a reason with this effect does, in a word.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Withhold => "withholds",
            Self::Publish => "permits",
            Self::Note => "explains",
        }
    }
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The stable name of the reason.
    pub code: Code,
    /// Where it comes from.
    pub source: Source,
    /// What it does.
    pub effect: Effect,
    /// A sentence fragment for people.
    pub message: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
}

impl Reason {
    /// Whatever a reason quotes from elsewhere, here it gets its bounds.
    pub(crate) fn new(code: Code, effect: Effect, mut message: String, mut evidence: Vec<Evidence>) -> Self {
        text::cut(&mut message, text::MESSAGE);
        evidence.iter_mut().for_each(Evidence::cut);
        Self { code, source: code.source(), effect, message, evidence }
    }
}

/// What is done with one path, and why. It cannot be made or changed outside this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    path: StorePath,
    nar_hash: NarHash,
    verdict: Verdict,
    reasons: Vec<Reason>,
}

impl Decision {
    /// Puts the reasons in order and draws the verdict from them: one that forbids is enough, and
    /// where none permits nothing is published.
    pub(crate) fn new(path: StorePath, nar_hash: NarHash, mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|reason| (reason.effect, reason.code));
        // What is lifted of what is declared and of what was found is lifted for one reason.
        reasons.dedup();
        let verdict = match reasons.first() {
            Some(Reason { effect: Effect::Publish, .. }) => Verdict::Publish,
            _ => Verdict::Withhold,
        };
        Self { path, nar_hash, verdict, reasons }
    }

    /// The path that was decided about.
    pub fn path(&self) -> &StorePath {
        &self.path
    }

    /// The NAR that was decided about.
    pub fn nar_hash(&self) -> NarHash {
        self.nar_hash
    }

    /// Publish or withhold.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// All reasons; the first one decides.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The permit that a decision to publish gives.
    pub fn permit(&self) -> Option<Permit> {
        (self.verdict == Verdict::Publish).then(|| Permit { path: self.path.clone(), nar_hash: self.nar_hash })
    }
}

/// Leave to publish exactly one NAR under exactly one path.
///
/// It comes from a decision:
///
/// ```
/// # use narthex_policy::{Decision, Permit};
/// fn permit(decision: &Decision) -> Option<Permit> {
///     decision.permit()
/// }
/// ```
///
/// and from nowhere else; its fields are private,
///
/// ```compile_fail
/// # use narthex_closure::{NarHash, StorePath};
/// # use narthex_policy::Permit;
/// fn forge(path: StorePath, nar_hash: NarHash) -> Permit {
///     Permit { path, nar_hash }
/// }
/// ```
///
/// and neither it nor a decision can be read from a file:
///
/// ```compile_fail
/// fn read<T: serde::de::DeserializeOwned>() {}
/// read::<narthex_policy::Permit>();
/// ```
///
/// ```compile_fail
/// fn read<T: serde::de::DeserializeOwned>() {}
/// read::<narthex_policy::Decision>();
/// ```
///
/// as a reason can, which permits nothing:
///
/// ```
/// fn read<T: serde::de::DeserializeOwned>() {}
/// read::<narthex_policy::Reason>();
/// ```
#[derive(Debug)]
pub struct Permit {
    path: StorePath,
    nar_hash: NarHash,
}

impl Permit {
    /// The path that may be published.
    pub fn path(&self) -> &StorePath {
        &self.path
    }

    /// The hash that its NAR must have.
    pub fn nar_hash(&self) -> NarHash {
        self.nar_hash
    }
}
