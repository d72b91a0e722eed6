//! What we decide: policies, terms, decisions with their reasons, and permits.
//!
//! Values in, a [`Decision`] out. Pure: policy and terms arrive as text, findings and license facts
//! as values, and nothing here builds, reads or publishes anything.
//!
//! A [`Permit`] is what lets the cache take a path. Only a decision to publish gives one, for
//! exactly the NAR that the decision was about, and there is no other way to make one.

mod application;
mod code;
mod compare;
mod date;
mod decide;
mod decision;
mod edit;
mod entries;
mod evidence;
mod extend;
mod idle;
mod index;
mod judge;
mod lift;
mod matcher;
mod meaning;
mod policy;
mod read;
mod remedy;
mod resolve;
mod review;
pub mod schema;
mod terms;
mod treatment;
mod words;

pub use application::is_supplier;
pub use code::{Code, Source};
pub use date::{Date, NoDate};
pub use decide::{Lost, Provenance, SourceUser, Subject, decide, decide_again, decide_source_again, forecast, in_part};
pub use decision::{Decision, Effect, Permit, Reason, Verdict};
pub use edit::{EditError, Edited, Entry, NewAnswer, answer};
pub use evidence::{Coverage, Device, Evidence, Stubs, TermsName};
pub use extend::{FindText, PolicyText};
pub use matcher::{Case, names_license, names_package};
pub use policy::{Action, Policy, Rules, Treatment};
pub use read::Mistake;
pub use remedy::{By, Obstacle, Way, asked_then, obstacles};
pub use review::{Answer, Answered};
pub use terms::{Terms, TextStanding, terms_clash};
pub use words::certainty;

/// How much of what others wrote is kept: who has decisions in hand needs it as well.
pub use narthex_license::text;

/// The policies and terms that the program ships.
pub mod shipped {
    /// The policy that holds when nothing else is said.
    pub const DEFAULT_POLICY: &str = include_str!("../../../policies/default.toml");

    /// Policies by name.
    pub const POLICIES: [(&str, &str); 4] = [
        ("default", DEFAULT_POLICY),
        ("strict", include_str!("../../../policies/strict.toml")),
        ("redistributable-only", include_str!("../../../policies/redistributable-only.toml")),
        ("private", include_str!("../../../policies/private.toml")),
    ];

    /// Entries `[[licenses]]` for an operator to take over: no policy has them.
    pub const SUGGESTED_LICENSES: &str = include_str!("../../../policies/suggested-licenses.toml");

    /// Terms by id.
    pub const TERMS: [(&str, &str); 11] = [
        ("cuda-toolkit", include_str!("../../../policies/terms/cuda-toolkit.toml")),
        ("cudnn", include_str!("../../../policies/terms/cudnn.toml")),
        ("tensorrt", include_str!("../../../policies/terms/tensorrt.toml")),
        ("cutensor", include_str!("../../../policies/terms/cutensor.toml")),
        ("cusparselt", include_str!("../../../policies/terms/cusparselt.toml")),
        ("cudss", include_str!("../../../policies/terms/cudss.toml")),
        ("nvcomp", include_str!("../../../policies/terms/nvcomp.toml")),
        ("nccl", include_str!("../../../policies/terms/nccl.toml")),
        ("intel-simplified", include_str!("../../../policies/terms/intel-simplified.toml")),
        ("intel-compiler-runtime", include_str!("../../../policies/terms/intel-compiler-runtime.toml")),
        ("microsoft-visual-cpp-runtime", include_str!("../../../policies/terms/microsoft-visual-cpp-runtime.toml")),
    ];
}
