//! Errors as a person at a terminal needs them: what kind, what, why, and the way out.

use crate::hints;
use narthex_cache::{CatalogError, FolderError, PublishError, StateError};
use narthex_client::{ClientError, SourceError};
use narthex_farm::{CorpusFileError, CostsError, PackageSetError, PolicyNotNamed, RecheckError, ReportError, RunError};
use narthex_nix::{Cause, NixError};
use std::error::Error;

/// What went wrong, as the exit code tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An operation failed.
    Failed,
    /// Arguments or configuration are wrong.
    Usage,
    /// The policy refused something.
    Refused,
    /// Some holes could not be filled.
    HolesRemain,
}

impl Kind {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::HolesRemain => 4,
        }
    }
}

/// What is shown on stderr before the program ends.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) kind: Kind,
    /// Names the thing.
    pub(crate) message: String,
    /// What led to it, outermost first.
    pub(crate) causes: Vec<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl CommandError {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, message: message.into(), causes: Vec::new(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::failed(message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds an error and what it rests on, each once.
    pub(crate) fn caused_by(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Some errors repeat what their source says, with or without words before it.
            let said = self.causes.last().unwrap_or(&self.message);
            if !said.ends_with(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut made = Self::failed(error.to_string());
        if let Some(source) = error.source() {
            made = made.caused_by(source);
        }
        made.hint = hint_for(error);
        made.kind = kind_of(error);
        made
    }
}

/// A text on the command line that cannot be used is no failed operation.
fn kind_of(error: &(dyn Error + 'static)) -> Kind {
    let mut next = Some(error);
    while let Some(error) = next {
        let wrong_url = matches!(error.downcast_ref(), Some(SourceError::Url { .. }));
        let wrong_key = matches!(error.downcast_ref(), Some(ClientError::Key { .. }));
        let no_policy = error.downcast_ref::<PolicyNotNamed>().is_some();
        let other_policy = matches!(error.downcast_ref(), Some(RunError::OnlyWithOtherPolicy));
        let no_expression = matches!(error.downcast_ref(), Some(NixError::NoDefault { .. }));
        if wrong_url || wrong_key || no_policy || other_policy || no_expression {
            return Kind::Usage;
        }
        next = error.source();
    }
    Kind::Failed
}

/// What helps, found along the chain of causes.
fn hint_for(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let hint = if let Some(error) = error.downcast_ref::<std::io::Error>() {
            hint_for_io(error)
        } else if let Some(error) = error.downcast_ref::<NixError>() {
            hint_for_nix(error)
        } else if let Some(error) = error.downcast_ref::<CorpusFileError>() {
            match error {
                CorpusFileError::Corpus { path, .. } => Some(format!(
                    "remove {}: runs learn again what their package sets have, and `narthex corpus add` what was added by hand; until all of it is learned, what was withheld stays withheld",
                    path.display()
                )),
                CorpusFileError::Foreign { .. } => Some(
                    "give a file that `narthex corpus export` of this version wrote, or learn its material anew with `narthex corpus add`"
                        .to_owned(),
                ),
                CorpusFileError::Changed { .. } => Some(
                    "files of the store never change: ask Nix with `nix-store --verify --check-contents`, and the system whether the disk fails"
                        .to_owned(),
                ),
                CorpusFileError::Read { source, .. } | CorpusFileError::Write { source, .. } => hint_for_io(source),
                CorpusFileError::Pack { .. } => Some("`cargo xtask corpus` writes such lines".to_owned()),
                CorpusFileError::State(_) | CorpusFileError::Catalog(_) => None,
            }
        } else if let Some(StateError::Busy { .. }) = error.downcast_ref() {
            Some("wait until it is done, or give --state another folder".to_owned())
        } else if let Some(StateError::Absent { .. }) = error.downcast_ref() {
            Some("`narthex run` makes it; another folder is given with --state".to_owned())
        } else if let Some(StateError::Key { path, .. }) = error.downcast_ref() {
            Some(format!(
                "put the key back, or remove {} to make a new one that every client must trust anew",
                path.display()
            ))
        } else if let Some(error) = error.downcast_ref::<PolicyNotNamed>() {
            Some(match error {
                PolicyNotNamed::Other { named: Some(named), .. } => {
                    format!("give `--policy {named}` to go on with it, or `--policy default`, or another one: what it changes is shown first")
                }
                PolicyNotNamed::Other { named: None, .. } => {
                    "give its file with --policy to go on with it, or `--policy default`, or another one".to_owned()
                }
                PolicyNotNamed::Forgotten => {
                    "the catalog was lost: give the policy that decided with --policy, which is `--policy default` if none was ever named"
                        .to_owned()
                }
            })
        } else if let Some(RunError::OnlyWithOtherPolicy) = error.downcast_ref() {
            Some("run it without --only once, or name the policy that the cache is published with".to_owned())
        } else if let Some(ReportError::Undecided { .. }) = error.downcast_ref() {
            Some("`narthex run` decides; the state folder may be another one: see --state".to_owned())
        } else if let Some(error) = error.downcast_ref::<CatalogError>() {
            hint_for_catalog(error)
        } else if let Some(error) = error.downcast_ref::<SourceError>() {
            Some(hint_for_source(error))
        } else if let Some(error) = error.downcast_ref::<ClientError>() {
            hint_for_client(error)
        } else {
            None
        };
        if hint.is_some() {
            return hint;
        }
        next = error.source();
    }
    None
}

fn hint_for_io(error: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind;
    let hint = match error.kind() {
        ErrorKind::StorageFull => "free some space there, or give --state a folder on another file system",
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => "give --state a folder that you may write to",
        ErrorKind::AddrInUse => "stop what listens there, or give --listen another port",
        ErrorKind::AddrNotAvailable => "give --listen an address of this machine",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_for_nix(error: &NixError) -> Option<String> {
    match error {
        NixError::NotInstalled { program } if program.ends_with("nix-eval-jobs") => {
            Some("put nix-eval-jobs on the PATH, or leave out --with: Nix itself gives the same facts".to_owned())
        }
        NixError::NotInstalled { .. } => Some(
            "install Nix: on Debian `apt-get install nix-bin`, elsewhere as nixos.org/download says; `cargo xtask setup` does it for the examples"
                .to_owned(),
        ),
        NixError::Failed { message, .. } => hints::for_cause(Cause::of(message)).map(str::to_owned),
        NixError::NoDefault { .. } => Some(
            "name a Nix file, for instance FOLDER/packages.nix, or another folder; or a flake, as in `.#packages.x86_64-linux`"
                .to_owned(),
        ),
        NixError::OtherStore { .. } | NixError::Elsewhere { .. } => Some(
            "leave out --store, NIX_REMOTE and the setting `store` that lead there, or run narthex where that store is /nix"
                .to_owned(),
        ),
        _ => None,
    }
}

fn hint_for_catalog(error: &CatalogError) -> Option<String> {
    let text = format!("{:?}", error);
    if text.contains("readonly") || text.contains("unable to open") {
        return Some("give --state a folder that you may write to".to_owned());
    }
    if text.contains("full") {
        return Some("free some space there, or give --state a folder on another file system".to_owned());
    }
    match error {
        CatalogError::Open { path, .. } | CatalogError::Migrate { path, .. } => {
            Some(format!("move {} away: the next run writes it anew, and the objects stay", path.display()))
        }
        CatalogError::Query(_) | CatalogError::Row(_) => None,
    }
}

fn hint_for_source(error: &SourceError) -> String {
    match error {
        SourceError::Unreachable { .. } => {
            "make sure that the server runs and the address is right; proxies, certificates and time limits are those of Nix's configuration"
        }
        SourceError::Slow { .. } => {
            "try again later; where the way to it is slow, see stalled-download-timeout in nix.conf"
        }
        SourceError::Gone { .. } | SourceError::BrokeOff { .. } => "try again later, or ask whoever keeps the cache",
        SourceError::Denied { status, .. } if status.as_u16() == 407 => {
            "the proxy wants credentials: put them into its address in https_proxy or http_proxy"
        }
        SourceError::Denied { netrc, .. } => {
            let file = netrc.as_ref().map_or_else(|| "the netrc-file of nix.conf".to_owned(), |file| file.display().to_string());
            return format!(
                "the cache wants credentials: put `machine HOST login NAME password SECRET` into {file}, which Nix reads as well"
            );
        }
        SourceError::NotACache { .. } | SourceError::Url { .. } => {
            "give the address of the cache itself, where nix-cache-info is: http://HOST[:PORT][/PATH] or file:///PATH"
        }
        SourceError::Answer { .. } | SourceError::File { .. } => "ask whoever keeps the cache",
    }
    .to_owned()
}

fn hint_for_client(error: &ClientError) -> Option<String> {
    Some(
        match error {
            ClientError::Untrusted { .. } => {
                "add the cache's key to trusted-public-keys in nix.conf, or give it with --public-key"
            }
            ClientError::Key { .. } => "a key is written name:base64, as the cache's first page shows it",
            ClientError::Gaps { .. } => {
                "the cache was filled from another version of the expression; use the same one, or have it filled again"
            }
            ClientError::Setting { .. } => {
                "correct nix.conf or the environment variable; Nix itself needs the file as well"
            }
            ClientError::Http(_) => {
                "see that the system has a store of certificates (on Debian `apt-get install ca-certificates`)"
            }
            ClientError::Source(_) | ClientError::Nix(_) => return None,
        }
        .to_owned(),
    )
}

macro_rules! from_errors {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for CommandError {
            fn from(error: $error) -> Self {
                Self::of(&error)
            }
        })*
    };
}

from_errors!(
    CatalogError,
    ClientError,
    CorpusFileError,
    CostsError,
    FolderError,
    NixError,
    PackageSetError,
    PublishError,
    RecheckError,
    ReportError,
    RunError,
    SourceError,
    StateError,
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_full_disk_is_named_once_and_has_a_way_out() {
        let error = StateError::Io {
            action: "cannot write",
            path: "/state/corpus".into(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        let shown = CommandError::from(RunError::from(error));
        assert_eq!(shown.message, "cannot write /state/corpus");
        assert_eq!(shown.causes, ["no storage space"]);
        assert!(shown.hint.unwrap().contains("free some space"));
        assert_eq!(shown.kind.code(), 1);
    }
}
