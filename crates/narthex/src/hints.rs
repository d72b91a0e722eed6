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

#[cfg(test)]
mod tests {
    use super::*;

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
