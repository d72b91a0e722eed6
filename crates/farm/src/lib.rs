//! Use cases of whoever fills a cache: evaluate → build → audit → decide → publish.
//!
//! It puts the other crates in order and decides nothing itself. Progress goes out as events; it
//! neither prints nor reads arguments, and it does not know how objects are stored.

mod bytes;
mod corpus;
mod costs;
mod diff;
mod distinct;
mod explain;
mod failure;
mod inventory;
mod known;
mod learn;
mod lines;
mod logs;
mod lost;
mod package_set;
mod plan;
mod published_with;
mod reads;
mod recheck;
mod report;
mod review;
mod run;
mod settle;
mod sources;
mod spill;

pub use bytes::{AuditProgress, audit_path, audit_path_with, function_hits};
pub use corpus::{
    Addition, CorpusFileError, Export, Shipped, add_to_corpus, export_corpus, import_corpus, load_corpus, note_added,
    pack_into, read_layer, remove_from_corpus, shipped_layers, shipped_records,
};
pub use costs::{CostReport, CostsError, Origins, plan_costs};
pub use diff::{Change, PlanDiff};
pub use explain::{About, Explanation, explain};
pub use failure::{BuildFailure, FailureKind};
pub use inventory::{Diagnostic, Inventory};
pub use known::{Recognized, keep_facts, recognize};
pub use lines::{LineError, Lines};
pub use lost::lacks;
pub use package_set::{PackageSet, PackageSetError};
pub use plan::{Outcome, Plan};
pub use published_with::PolicyNotNamed;
pub use recheck::{Recheck, RecheckError, recheck};
pub use report::{
    AuditState, Carried, ComplianceReport, Inclusion, NoticeText, Notices, PackageNotice, Presence, ReportError,
    ReportPath, ReportReason, TermsDocument, TextOrigin, UsedEntry, compliance_report, notices,
};
pub use review::{FirstSeen, Review, Undecided, Unknown, review};
pub use run::{Counts, Row, RunError, RunReport, RunRequest, run};
pub use settle::Rulings;
