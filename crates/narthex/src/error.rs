//! Errors as a person at a terminal needs them: what kind, what, why, and the way out.

use narthex_cache::{CatalogError, FolderError, PublishError, StateError};
use narthex_client::{ClientError, SourceError};
use narthex_farm::{CorpusFileError, CostsError, PackageSetError, RecheckError, ReportError, RunError};
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
        if wrong_url || wrong_key {
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
                CorpusFileError::State(_) => None,
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
        NixError::Failed { message, .. } => hint_for_cause(Cause::of(message)).map(str::to_owned),
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

/// What helps where Nix named a cause that has nothing to do with what it was asked for.
pub(crate) fn hint_for_cause(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::UntrustedUser => {
            "this user may not choose caches: have an administrator add the cache to trusted-substituters in nix.conf, or the user to trusted-users"
        }
        Cause::UntrustedKey => {
            "add the cache's key to trusted-public-keys in nix.conf; a user who is not trusted cannot give it with --public-key"
        }
        Cause::DiskFull => "free some space below /nix, for instance with `nix-collect-garbage`",
        Cause::NoMemory => "wait until the machine has memory again",
        Cause::Daemon => "see that the Nix daemon runs: `systemctl status nix-daemon`",
        Cause::Permission => {
            "this user cannot write to the store: use the daemon, or the user that the store belongs to"
        }
        Cause::BuildUsers => "without a daemon Nix needs `build-users-group =` (empty) in nix.conf",
        Cause::Server => "a cache gave Nix no answer: try again later, or ask whoever keeps it",
        Cause::ServerRefuses => {
            "a cache refuses: credentials belong into the netrc-file of nix.conf, which the daemon has to be able to read"
        }
        Cause::BrokenAnswer | Cause::HashMismatch => {
            "what the cache sent is not what its narinfo says: tell whoever keeps it; what did arrive is kept"
        }
        _ => return None,
    })
}

/// What helps where something that a cache offers did not arrive: by what Nix said, and by whether it trusts this user.
pub(crate) fn hint_for_fetching(said: &[String], is_trusted: bool) -> &'static str {
    match Cause::among(said.iter().map(String::as_str)) {
        Cause::InNoCache | Cause::Other if !is_trusted => {
            "the daemon does not trust this user, so it goes by what it remembers of caches: a path that was missing counts as missing for an hour. Wait, or have an administrator fetch it (`nix-store --realise PATH --option narinfo-cache-negative-ttl 0`), set `narinfo-cache-negative-ttl = 0` in nix.conf and restart the daemon, or add the user to trusted-users"
        }
        cause => hint_for_cause(cause)
            .unwrap_or("what did arrive is kept; run this again, and if it says the same, ask whoever keeps the cache"),
    }
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

    /// What Nix says in its versions, and a word of the way out. Of a user who is not trusted it is known what Nix does not say.
    #[test]
    fn what_did_not_arrive_has_the_way_out_that_fits() {
        let check = |said: &str, trusted: bool, word: &str| {
            let hint = hint_for_fetching(&[said.to_owned()], trusted);
            assert!(hint.contains(word), "{said}: {hint}");
        };
        check("ignoring untrusted substituter 'http://c'", false, "trusted-substituters");
        check("don't know how to build these paths:\n  /nix/store/x", false, "counts as missing for an hour");
        check("don't know how to build these paths:\n  /nix/store/x", true, "run this again");
        check("writing to file: No space left on device", true, "free some space below /nix");
        check("writing to file: No space left on device", false, "free some space below /nix");
        check("unable to download 'http://c/nar/x': HTTP error 502", false, "try again later");
        check("unable to download 'http://c/nar/x': HTTP error 403", true, "netrc-file");
        check("unable to download 'http://c/nar/x': Could not connect to server (7)", true, "try again later");
        check("NAR info file 'x.narinfo' is corrupt", true, "not what its narinfo says");
        check("hash mismatch importing path '/nix/store/x'", true, "not what its narinfo says");
        check(
            "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused",
            true,
            "daemon runs",
        );
        check(
            "cannot add path '/nix/store/x' because it lacks a signature by a trusted key",
            false,
            "trusted-public-keys",
        );
    }

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
