//! Decisions, their reasons, and permits.

use crate::{Code, Source};
use narthex_audit::{Change, Section};
use narthex_closure::{NarHash, StorePath};
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

/// How much of something was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// The archive member.
    pub member: String,
    /// Functions of it that were found.
    pub functions_found: u32,
    /// Functions of it that the corpus knows.
    pub functions_known: u32,
}

/// One piece of evidence. Only `place` is always there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// File in the output, and members of archives inside it, joined by `!`.
    pub place: String,
    /// The original file that it is, or is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// The package that the original belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The clause of the terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// Sections that agree with the original's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_sections: Vec<String>,
    /// Sections that differ from the original's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_sections: Vec<Section>,
    /// What was done to the copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Functions of static archives, member by member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Coverage>,
    /// Bytes of code that these functions cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_found: Option<u64>,
    /// Bytes of code in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_bytes: Option<u64>,
    /// Addresses of the longest stretches found, each with its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<(u64, u64)>,
    /// Conditions of the terms that travel with what is published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// Whatever else there is to say: libraries linked, why a file could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
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
    pub(crate) fn new(code: Code, effect: Effect, message: String, evidence: Vec<Evidence>) -> Self {
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
