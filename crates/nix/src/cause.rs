//! What lies behind a message of Nix, as far as it tells.
//!
//! Nix has no codes for its errors, so they are known by their words, in the versions 2.8 to 2.34. What is not known is
//! [`Cause::Other`]: nobody guesses. What a person can do about each is said where people are spoken to, not here.

/// A cause that Nix named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The platform is none of this machine's.
    System,
    /// A system feature is not there.
    Feature,
    /// A derivation wants to leave the sandbox, and may not.
    LeavesSandbox,
    /// The system lets Nix make no sandbox.
    NoSandbox,
    /// There is no space left.
    DiskFull,
    /// There are no memory or processes left.
    NoMemory,
    /// The store cannot be written to by this user.
    Permission,
    /// The daemon is not there, or went away.
    Daemon,
    /// The store's database is broken or locked.
    Database,
    /// Without a daemon, Nix wants build users that are not there.
    BuildUsers,
    /// A cache is not used because this user is not trusted.
    UntrustedUser,
    /// A cache's signature is not trusted.
    UntrustedKey,
    /// A server does not answer.
    Server,
    /// A server answers, and refuses.
    ServerRefuses,
    /// What a cache sent is broken, or cut off.
    BrokenAnswer,
    /// No cache has it, or Nix remembers that none had.
    InNoCache,
    /// The bytes are not those that were promised.
    HashMismatch,
    /// An output refers to what it must not.
    Reference,
    /// An output holds something that no store path may.
    Output,
    /// A build took too long, or said nothing for too long.
    Timeout,
    /// A build was ended by a signal.
    Signal,
    /// The builder ran and failed, and its log says why.
    Builder,
    /// It is only that something else failed.
    Dependency,
    /// A `.drv` file is not there.
    DerivationGone,
    /// An experimental feature is not enabled.
    Experimental,
    /// Something else.
    Other,
}

/// Words, all of which a message has, and what they mean. The first row that fits counts.
const WORDS: &[(&[&str], Cause)] = &[
    (&["dependencies of derivation", "failed to build"], Cause::Dependency),
    (&["dependency failed"], Cause::Dependency),
    (&["dependencies failed"], Cause::Dependency),
    (&["No space left on device"], Cause::DiskFull),
    (&["Disk quota exceeded"], Cause::DiskFull),
    (&["database or disk is full"], Cause::DiskFull),
    (&["Cannot allocate memory"], Cause::NoMemory),
    (&["unable to fork"], Cause::NoMemory),
    (&["out of memory"], Cause::NoMemory),
    (&["daemon-socket"], Cause::Daemon),
    (&["cannot connect to socket"], Cause::Daemon),
    (&["cannot connect to daemon"], Cause::Daemon),
    (&["Nix daemon disconnected"], Cause::Daemon),
    (&["build-users-group"], Cause::BuildUsers),
    (&["build users"], Cause::BuildUsers),
    (&["build user"], Cause::BuildUsers),
    (&["user namespaces are not enabled"], Cause::NoSandbox),
    (&["kernel doesn't support the features needed for sandboxing"], Cause::NoSandbox),
    (&["unable to start build process"], Cause::NoSandbox),
    (&["setting up a private mount namespace"], Cause::NoSandbox),
    (&["cloning builder process"], Cause::NoSandbox),
    (&["'__noChroot' set"], Cause::LeavesSandbox),
    (&["platform mismatch"], Cause::System),
    (&["missing system features"], Cause::Feature),
    (&["is required to build", "but I am a"], Cause::System),
    (&["local builds are disabled"], Cause::System),
    (&["unable to start any build"], Cause::System),
    (&["ignoring untrusted substituter"], Cause::UntrustedUser),
    (&["ignoring the user-specified setting"], Cause::UntrustedUser),
    (&["you are not privileged to build"], Cause::UntrustedUser),
    (&["not signed by any of the keys"], Cause::UntrustedKey),
    (&["lacks a signature by a trusted key"], Cause::UntrustedKey),
    (&["lacks a valid signature"], Cause::UntrustedKey),
    (&["HTTP error 5"], Cause::Server),
    (&["HTTP error 429"], Cause::Server),
    (&["HTTP error 4"], Cause::ServerRefuses),
    (&["unable to download"], Cause::Server),
    (&["Could not connect to server"], Cause::Server),
    (&["Couldn't connect to server"], Cause::Server),
    (&["Timeout was reached"], Cause::Server),
    (&["disabling binary cache"], Cause::Server),
    (&["is corrupt"], Cause::BrokenAnswer),
    (&["Failed to open archive"], Cause::BrokenAnswer),
    (&["failed to read compressed data"], Cause::BrokenAnswer),
    (&["decompress"], Cause::BrokenAnswer),
    (&["does not exist in binary cache"], Cause::BrokenAnswer),
    (&["unexpected end-of-file"], Cause::BrokenAnswer),
    (&["hash mismatch"], Cause::HashMismatch),
    (&["is not allowed to refer to"], Cause::Reference),
    (&["has an unsupported type"], Cause::Output),
    (&["File name too long"], Cause::Output),
    (&["failed to produce output path"], Cause::Output),
    (&["suspicious ownership or permission"], Cause::Output),
    (&["timed out after"], Cause::Timeout),
    (&["failed due to signal"], Cause::Signal),
    (&["builder for", "failed with exit code"], Cause::Builder),
    (&["builder failed with exit code"], Cause::Builder),
    (&["opening file", ".drv", "No such file or directory"], Cause::DerivationGone),
    (&["experimental Nix feature", "is disabled"], Cause::Experimental),
    (&["experimental feature", "is disabled"], Cause::Experimental),
    (&["there is no substituter that can build it"], Cause::InNoCache),
    (&["don't know how to build"], Cause::InNoCache),
    (&["build of '", "failed"], Cause::InNoCache),
    (&["executing SQLite"], Cause::Database),
    (&["SQLite database", "is busy"], Cause::Database),
    (&["cannot open Nix database"], Cause::Database),
    (&["Permission denied"], Cause::Permission),
    (&["Operation not permitted"], Cause::Permission),
    (&["Read-only file system"], Cause::Permission),
];

impl Cause {
    /// What a message is about.
    pub fn of(message: &str) -> Self {
        let fits = |words: &[&str]| words.iter().all(|word| message.contains(word));
        WORDS.iter().find(|(words, _)| fits(words)).map_or(Self::Other, |(_, cause)| *cause)
    }

    /// The most telling cause among several messages: not that something else failed, and not that no cache had it
    /// where one of them says why.
    pub fn among<'m>(messages: impl IntoIterator<Item = &'m str>) -> Self {
        let vague = |cause: &Self| match cause {
            Self::Other | Self::Dependency => 2,
            Self::InNoCache | Self::Builder => 1,
            _ => 0,
        };
        messages.into_iter().map(Self::of).min_by_key(vague).unwrap_or(Self::Other)
    }

    /// Whether it keeps everything from being built, whatever is asked for.
    pub fn is_about_everything(self) -> bool {
        matches!(
            self,
            Self::NoSandbox
                | Self::DiskFull
                | Self::NoMemory
                | Self::Permission
                | Self::Daemon
                | Self::Database
                | Self::BuildUsers
        )
    }

    /// Whether every derivation that asks the same of a machine meets it.
    pub(crate) fn is_about_the_machine(self) -> bool {
        matches!(self, Self::System | Self::Feature | Self::LeavesSandbox)
    }
}

/// Whether a warning only says that a setting of ours was not taken, which Nix repeats in every command of a user whom
/// the daemon does not trust. What follows from it is told by itself.
pub(crate) fn is_about_settings(warning: &str) -> bool {
    let beginnings = [
        "ignoring the client-specified setting",
        "ignoring the user-specified setting",
        "you did not specify '--add-root'",
        "$HOME (",
    ];
    beginnings.iter().any(|beginning| warning.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Nix 2.8.0, 2.26.3 and 2.34.8 said.
    #[test]
    fn messages_of_three_versions() {
        let check = |message: &str, expected: Cause| assert_eq!(Cause::of(message), expected, "{message}");
        for message in [
            "a 'aarch64-linux' with features {} is required to build '/nix/store/j63x7ixlf6l9n2cj6w529s94l9cf8cxr-arm.drv', but I am a 'x86_64-linux' with features {benchmark, big-parallel, kvm, nixos-test}",
            "Cannot build '/nix/store/j63x7ixlf6l9n2cj6w529s94l9cf8cxr-arm.drv'.\nReason: platform mismatch\nRequired system: 'aarch64-linux'\nCurrent system: 'x86_64-linux'",
        ] {
            check(message, Cause::System);
            assert!(Cause::of(message).is_about_the_machine());
        }
        check(
            "Cannot build '/nix/store/m3md93m5ycdlikpb3384k0fsflvhqx4p-cuda.drv'.\nReason: missing system features\nRequired features: {cuda}\nAvailable features: {kvm}",
            Cause::Feature,
        );
        check(
            "derivation '/nix/store/qz3aa5vj5g4zgphdgxybkbh2jzpckqra-nochroot.drv' has '__noChroot' set, but that's not allowed when 'sandbox' is 'true'",
            Cause::LeavesSandbox,
        );
        check(
            "cannot perform a sandboxed build because user namespaces are not enabled; check /proc/sys/user/max_user_namespaces",
            Cause::NoSandbox,
        );
        check(
            "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': No such file or directory",
            Cause::Daemon,
        );
        check("Nix daemon disconnected unexpectedly (maybe it crashed?)", Cause::Daemon);
        check("opening lock file '/nix/var/nix/db/big-lock': Permission denied", Cause::Permission);
        check(
            "could not set permissions on '/nix/var/nix/profiles/per-user' to 755: Operation not permitted",
            Cause::Permission,
        );
        check("writing to file '/nix/store/.links/x': No space left on device", Cause::DiskFull);
        for message in [
            "unable to download 'http://127.0.0.1:9/nix-cache-info': Couldn't connect to server (7)",
            "unable to download 'http://127.0.0.1:9/nix-cache-info': Could not connect to server (7) Failed to connect to 127.0.0.1:9 after 0 ms: Could not connect to server; retrying in 278 ms (attempt 1/5)",
            "unable to download 'http://x/nix-cache-info': HTTP error 502",
        ] {
            check(message, Cause::Server);
        }
        check("unable to download 'http://x/nix-cache-info': HTTP error 401", Cause::ServerRefuses);
        for message in [
            "the substitute for '/nix/store/s7f2km7lq2hapymbqr4s7sm3qgp48b4i-good1' from 'file:///tmp/cache' is not signed by any of the keys in 'trusted-public-keys'",
            "ignoring substitute for '/nix/store/s7f2km7lq2hapymbqr4s7sm3qgp48b4i-good1' from 'file:///tmp/cache', as it's not signed by any of the keys in 'trusted-public-keys'",
            "cannot add path '/nix/store/s7f2km7lq2hapymbqr4s7sm3qgp48b4i-good1' because it lacks a signature by a trusted key",
        ] {
            check(message, Cause::UntrustedKey);
        }
        check("ignoring untrusted substituter 'file:///tmp/cache'", Cause::UntrustedUser);
        check("ignoring untrusted substituter 'file:///tmp/cache', you are not a trusted user.", Cause::UntrustedUser);
        check("Failed to open archive (Lzma library error:  No progress is possible)", Cause::BrokenAnswer);
        check("NAR info file 's7f2km7lq2hapymbqr4s7sm3qgp48b4i.narinfo' is corrupt", Cause::BrokenAnswer);
        check("file 'nar/09kx.nar.xz' does not exist in binary cache", Cause::BrokenAnswer);
        for message in [
            "build of '/nix/store/00000000000000000000000000000000-x' failed",
            "path '/nix/store/00000000000000000000000000000000-x' is required, but there is no substituter that can build it",
        ] {
            check(message, Cause::InNoCache);
        }
        check(
            "opening file '/nix/store/m5cxxqs9fg376hxmvzsic9za4lm7n39z-arm2.drv': No such file or directory",
            Cause::DerivationGone,
        );
        check("file '/nix/store/jyd72i7nq73sgbr2bpx4fzbz5bm3jqrk-fifo' has an unsupported type", Cause::Output);
        check(
            "building of '/nix/store/xfffa01kb21pkhf1krq10rs05h5fsvng-silent.drv!*' from .drv file timed out after 2 seconds of silence",
            Cause::Timeout,
        );
        check("timed out after 2 seconds", Cause::Timeout);
        check(
            "builder for '/nix/store/rvsg4wby8g01aqrig87pi6dj1gbhq2id-killed.drv' failed due to signal 9 (Killed)",
            Cause::Signal,
        );
        check(
            "builder for '/nix/store/vag17zmjl4ax04g1s7gi7p6sx63lhka7-nobuilder.drv' failed with exit code 1",
            Cause::Builder,
        );
        check(
            "Cannot build '/nix/store/vag17zmjl4ax04g1s7gi7p6sx63lhka7-nobuilder.drv'.\nReason: builder failed with exit code 1.",
            Cause::Builder,
        );
        check(
            "1 dependencies of derivation '/nix/store/vag17zmjl4ax04g1s7gi7p6sx63lhka7-top.drv' failed to build",
            Cause::Dependency,
        );
        check(
            "Cannot build '/nix/store/vag17zmjl4ax04g1s7gi7p6sx63lhka7-top.drv'.\nReason: 1 dependency failed.",
            Cause::Dependency,
        );
        check("something new", Cause::Other);
    }

    #[test]
    fn the_most_telling_message_counts() {
        let check =
            |messages: &[&str], expected: Cause| assert_eq!(Cause::among(messages.iter().copied()), expected);
        check(&["build of 'x' failed", "not signed by any of the keys in 'trusted-public-keys'"], Cause::UntrustedKey);
        check(&["1 dependencies of derivation 'x' failed to build", "build of 'x' failed"], Cause::InNoCache);
        check(&["something new"], Cause::Other);
        check(&[], Cause::Other);
    }
}
