//! What to do about each cause that Nix named. A cause that nobody knows gets no hint: a wrong one costs more than none.

use narthex_nix::Cause;

/// The way out of what keeps Nix from evaluating, building or fetching.
pub(crate) fn for_cause(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::System => "build it on such a machine, or name one in Nix's setting `builders`",
        Cause::Feature => {
            "add the feature to Nix's setting `system-features` where the machine has it, or name a machine in `builders`"
        }
        Cause::LeavesSandbox => "set `sandbox = relaxed` in nix.conf: it builds what asks for it outside the sandbox",
        Cause::NoSandbox => {
            "Nix can make no sandbox here: allow user namespaces, or set `sandbox = false` in nix.conf and know what that means"
        }
        Cause::DiskFull => {
            "free some space, for instance with `nix-collect-garbage`: /nix, or where builds are made, is full"
        }
        Cause::NoMemory => {
            "the machine has no memory or no processes left: end something, or build fewer at once (`max-jobs`)"
        }
        Cause::Permission => {
            "this user may not write to the Nix store: use the daemon (NIX_REMOTE=daemon), or run as the user who owns /nix"
        }
        Cause::Daemon => {
            "the Nix daemon is not there or went away: start it (`systemctl start nix-daemon`), and run this again"
        }
        Cause::Database => "another process holds Nix's database, or it is broken: `nix-store --verify` looks at it",
        Cause::BuildUsers => "without a daemon Nix needs `build-users-group =` (empty) in nix.conf",
        Cause::UntrustedUser => {
            "Nix does not use the cache for this user: have it added to `trusted-substituters`, or the user to `trusted-users`"
        }
        Cause::UntrustedKey => "add the cache's key to `trusted-public-keys` in nix.conf, or give it with --public-key",
        Cause::Server => {
            "the server does not answer as it should: make sure that it runs and can be reached, and run this again"
        }
        Cause::ServerRefuses => "the server wants to know who asks: put a password for it into Nix's `netrc-file`",
        Cause::BrokenAnswer => {
            "what the cache sent is broken: run this again, and ask whoever keeps the cache if it stays so"
        }
        Cause::InNoCache => {
            "no cache that Nix asks has it now; what Nix remembers of a cache is forgotten after `narinfo-cache-negative-ttl`"
        }
        Cause::HashMismatch => {
            "the file is not the one that the expression means: give it the right hash, or get the right file"
        }
        Cause::Timeout => "give it more time with Nix's settings `timeout` and `max-silent-time`",
        Cause::DerivationGone => "evaluate again: a .drv file was removed from the store meanwhile",
        Cause::Experimental => "enable the feature with Nix's setting `experimental-features`",
        Cause::Reference | Cause::Output | Cause::Signal | Cause::Builder | Cause::Dependency | Cause::Other => {
            return None;
        }
    })
}

/// The way out where something that a cache offers did not arrive: by what Nix said, and by whether it trusts this user.
pub(crate) fn for_fetching(said: &[String], is_trusted: bool) -> &'static str {
    match Cause::among(said.iter().map(String::as_str)) {
        Cause::InNoCache | Cause::Other if !is_trusted => {
            "the daemon does not trust this user, so it goes by what it remembers of caches: a path that was missing counts as missing for an hour. Wait, or have an administrator fetch it (`nix-store --realise PATH --option narinfo-cache-negative-ttl 0`), set `narinfo-cache-negative-ttl = 0` in nix.conf and restart the daemon, or add the user to trusted-users"
        }
        Cause::UntrustedKey if !is_trusted => {
            "have an administrator add the cache's key to `trusted-public-keys` in nix.conf: the daemon takes none from a user whom it does not trust"
        }
        Cause::BrokenAnswer | Cause::HashMismatch => {
            "what the cache sent is not what its narinfo says: tell whoever keeps it; what did arrive is kept"
        }
        cause => for_cause(cause)
            .unwrap_or("what did arrive is kept; run this again, and if it says the same, ask whoever keeps the cache"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Nix says in its versions, and a word of the way out. Of a user who is not trusted it is known what Nix does not say.
    #[test]
    fn what_did_not_arrive_has_the_way_out_that_fits() {
        let check = |said: &str, trusted: bool, word: &str| {
            let hint = for_fetching(&[said.to_owned()], trusted);
            assert!(hint.contains(word), "{said}: {hint}");
        };
        check("ignoring untrusted substituter 'http://c'", false, "trusted-substituters");
        check("don't know how to build these paths:\n  /nix/store/x", false, "counts as missing for an hour");
        check("don't know how to build these paths:\n  /nix/store/x", true, "narinfo-cache-negative-ttl");
        check("writing to file: No space left on device", true, "free some space");
        check("writing to file: No space left on device", false, "free some space");
        check("unable to download 'http://c/nar/x': HTTP error 502", false, "run this again");
        check("unable to download 'http://c/nar/x': HTTP error 403", true, "netrc-file");
        check("unable to download 'http://c/nar/x': Could not connect to server (7)", true, "run this again");
        check("NAR info file 'x.narinfo' is corrupt", true, "not what its narinfo says");
        check("hash mismatch importing path '/nix/store/x'", true, "not what its narinfo says");
        check("cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused", true, "start it");
        check(
            "cannot add path '/nix/store/x' because it lacks a signature by a trusted key",
            false,
            "trusted-public-keys",
        );
    }

    #[test]
    fn a_hint_is_about_the_cause() {
        let check = |message: &str, part: &str| {
            let hint = for_cause(Cause::of(message)).unwrap_or_default();
            assert!(hint.contains(part), "{message}: {hint}");
            let other = hint.contains("trusted-substituters") && part != "trusted-substituters";
            assert!(!other, "{message}: {hint}");
        };
        check("writing to file: No space left on device", "free some space");
        check("unable to download 'http://x/nix-cache-info': Couldn't connect to server (7)", "can be reached");
        check("it is not signed by any of the keys in 'trusted-public-keys'", "--public-key");
        check("path 'x' is required, but there is no substituter that can build it", "narinfo-cache-negative-ttl");
        check("user namespaces are not enabled; check /proc/sys/user/max_user_namespaces", "user namespaces");
        check("ignoring untrusted substituter 'http://x', you are not a trusted user.", "trusted-substituters");
        check("cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused", "daemon");
        assert_eq!(for_cause(Cause::of("something new")), None);
    }
}
