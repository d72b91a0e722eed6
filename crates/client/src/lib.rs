//! Use cases of whoever takes from a cache with holes: plan what is fetched and what is built, and do it.
//!
//! It reads caches and drives Nix; it does not print, and it never decides what may be passed on.

mod connection;
mod gather;
mod netrc;
mod realise;
mod source;

pub use connection::Connections;
pub use gather::{Offer, RealisePlan, plan};
pub use realise::{Realised, realise};
pub use source::{CacheSource, SourceError};

use narthex_closure::{Gap, StorePath};
use narthex_nix::NixError;
use std::path::PathBuf;

/// Why a closure could not be planned or realised.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A cache did not answer as one.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// Nix failed.
    #[error("{0}")]
    Nix(#[from] NixError),
    /// There is no way to some paths.
    #[error("there is no way to {} path{}: {}", gaps.len(), if gaps.len() == 1 { "" } else { "s" }, list(gaps))]
    Gaps {
        /// Each of them.
        gaps: Vec<Gap>,
    },
    /// A narinfo is not signed by a key that is trusted.
    #[error("{path} is signed by {} and that key is not trusted", signers.join(", "))]
    Untrusted {
        /// The path.
        path: StorePath,
        /// Names of the keys that signed it.
        signers: Vec<String>,
    },
    /// A trusted key cannot be read.
    #[error("`{text}` is not a public key")]
    Key {
        /// The text.
        text: String,
        /// Why.
        #[source]
        source: nix_narinfo::KeyError,
    },
    /// A file that a setting of Nix names cannot be used.
    #[error("{}, which Nix's setting {name} or the environment names, cannot be used: {why}", file.display())]
    Setting {
        /// The setting.
        name: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// Requests cannot be made at all.
    #[error("requests over HTTP cannot be made")]
    Http(#[source] reqwest::Error),
}

fn list(gaps: &[Gap]) -> String {
    gaps.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
