//! Use cases of whoever fills a cache: evaluate → build → audit → decide → publish.
//!
//! It puts the other crates in order and decides nothing itself. Progress goes out as events; it
//! neither prints nor reads arguments, and it does not know how objects are stored.

mod bytes;
mod learn;
mod package_set;
mod plan;
mod run;

pub use bytes::{AuditProgress, audit_path, audit_path_with};
pub use learn::CorpusFileError;
pub use package_set::{PackageSet, PackageSetError};
pub use plan::{Planned, plan};
pub use run::{BuildFailure, Counts, Row, RunError, RunReport, run};

use narthex_cache::State;

/// Reads the corpus of a state folder; an empty one where nothing was learned yet.
///
/// # Errors
/// When the file cannot be read, or is not a corpus of this version.
pub fn load_corpus(state: &State) -> Result<narthex_audit::Corpus, CorpusFileError> {
    learn::load(state)
}
