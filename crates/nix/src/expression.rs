//! What can be evaluated: a Nix file, or what stands behind a flake reference.
//!
//! A flake reference is Nix's to read; here it is only told apart from a file.

use crate::command::run;
use crate::{Nix, NixError};
use narthex_closure::AttrPath;
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};

/// Something that Nix evaluates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A Nix file, or a folder with a `default.nix`.
    File(PathBuf),
    /// A flake.
    Flake {
        /// The reference without its fragment, for instance `.` or `github:NixOS/nixpkgs`.
        reference: String,
        /// What stands behind the `#`. Nothing means the flake's packages, checks and Hydra jobs.
        fragment: AttrPath,
    },
}

impl Expression {
    /// Reads a text as a flake reference: it has a `#`, or begins with a kind of reference (`path:`, `github:`).
    pub fn flake(text: &str) -> Option<Self> {
        let (reference, fragment) = text.split_once('#').unwrap_or((text, ""));
        let kind = reference.split_once(':').map(|(kind, _)| kind);
        let is_kind = |kind: &str| !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase() || c == '+');
        if !text.contains('#') && !kind.is_some_and(is_kind) {
            return None;
        }
        let reference = if reference.is_empty() { "." } else { reference };
        // A fragment that is none names nothing, and Nix says so of it as it stands.
        let fragment = fragment.parse().unwrap_or_else(|_| AttrPath::new(vec![fragment.to_owned()]));
        Some(Self::Flake { reference: reference.to_owned(), fragment })
    }
}

impl From<&Path> for Expression {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Flake { reference, fragment } if fragment.names().is_empty() => f.write_str(reference),
            Self::Flake { reference, fragment } => write!(f, "{reference}#{fragment}"),
        }
    }
}

/// An expression as the walker takes it, and the settings that evaluating it needs.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) request: Value,
    pub(crate) nix: Nix,
    /// Whether it is evaluated without looking at the machine.
    pub(crate) pure: bool,
    pub(crate) shown: String,
}

impl Root {
    /// Finds out which state of a flake is meant; all processes evaluate the same one, and as `nix build` does:
    /// without looking at the machine. What has no fixed state, as a work tree with changes, cannot be evaluated so.
    pub(crate) async fn open(nix: &Nix, expression: &Expression) -> Result<Self, NixError> {
        let shown = expression.to_string();
        match expression {
            Expression::File(path) if path.is_dir() && !path.join("default.nix").exists() => {
                Err(NixError::NoDefault { folder: path.clone() })
            }
            Expression::File(path) => {
                Ok(Self { request: json!({ "file": path }), nix: nix.clone(), pure: nix.pure, shown })
            }
            Expression::Flake { reference, fragment } => {
                let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
                let mut nix = nix.with_options([setting("extra-experimental-features", "nix-command flakes")]);
                let locked = locked(&nix, reference).await?;
                let system = nix.evaluate_text("builtins.currentSystem").await?;
                // Whoever asks for another way of evaluating gets it.
                let mut pure = nix.pure;
                if is_fixed(&locked) && !nix.has_option("pure-eval") {
                    pure = true;
                    nix = nix.with_options([setting("pure-eval", "true")]);
                }
                let request = json!({ "flake": locked, "fragment": fragment.names(), "system": system });
                Ok(Self { request, nix, pure, shown })
            }
        }
    }
}

async fn locked(nix: &Nix, reference: &str) -> Result<String, NixError> {
    let mut command = nix.new_command("flake");
    command.args(["metadata", "--json", reference]);
    let output = run(command, "nix flake metadata").await?;
    let unexpected = |why: &str| NixError::Unexpected { command: "nix flake metadata".to_owned(), why: why.to_owned() };
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(|error| unexpected(&error.to_string()))?;
    answer["url"].as_str().map(str::to_owned).ok_or_else(|| unexpected("it names no `url`"))
}

/// Whether a reference names one state for ever: by the hash of its files or by a revision.
fn is_fixed(reference: &str) -> bool {
    let hexadecimal = |part: &str| part.len() >= 40 && part.chars().all(|c| c.is_ascii_hexdigit());
    let (path, parameters) = reference.split_once('?').unwrap_or((reference, ""));
    parameters.split('&').any(|one| one.starts_with("narHash=") || one.starts_with("rev="))
        || path.split('/').any(hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flake_references_are_told_from_files() {
        let check = |text: &str, expected: Option<(&str, &[&str])>| {
            let read = Expression::flake(text);
            let expected = expected.map(|(reference, fragment)| Expression::Flake {
                reference: reference.to_owned(),
                fragment: AttrPath::new(fragment.iter().map(|name| (*name).to_owned()).collect()),
            });
            assert_eq!(read, expected, "{text}");
        };
        check(".#packages.x86_64-linux", Some((".", &["packages", "x86_64-linux"])));
        check("#hello", Some((".", &["hello"])));
        check("/a/b#x.\"y.z\"", Some(("/a/b", &["x", "y.z"])));
        check("github:someone/something", Some(("github:someone/something", &[])));
        check("git+file:///a?ref=x#hydraJobs", Some(("git+file:///a?ref=x", &["hydraJobs"])));
        check("./default.nix", None);
        check("/a/b", None);
        check("a.nix", None);
    }

    #[test]
    fn a_fixed_reference_names_a_state() {
        for (reference, fixed) in [
            ("path:/a?lastModified=1&narHash=sha256-x", true),
            ("github:a/b/73cb5c0cf8d58fbd5cb1b7d8f1f0d7f5f9f3b2aa", true),
            ("git+file:///a?ref=main&rev=73cb5c0cf8d58fbd5cb1b7d8f1f0d7f5f9f3b2aa", true),
            ("git+file:///a", false),
            ("path:/a", false),
        ] {
            assert_eq!(is_fixed(reference), fixed, "{reference}");
        }
    }
}
