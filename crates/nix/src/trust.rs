//! Whether the daemon takes our settings: what it remembers of caches, and which it asks, is its own business for a user
//! whom it does not trust.

use crate::{Nix, child};

/// A cache that nobody has allowed.
const UNHEARD_OF: &str = "file:///narthex/asks/whether/it/is/trusted";

/// What every version says to a user whom it does not trust.
const REFUSED: &str = "ignoring untrusted substituter";

impl Nix {
    /// Whether this user may choose settings. Without a daemon, everybody may; where Nix gives no answer, it is not said
    /// that somebody may not. Versions before 2.15 do not tell by themselves, so they are tried.
    pub async fn trusts_us(&self) -> bool {
        let mut command = self.command("nix-store");
        // It is enough that a connection is made. That the path is not there is no answer.
        command.args(["--option", "substituters", UNHEARD_OF, "--check-validity"]);
        command.arg("/nix/store/00000000000000000000000000000000-narthex-asks");
        let output = child::output(&mut command).await;
        output.map_or(true, |output| !String::from_utf8_lossy(&output.stderr).contains(REFUSED))
    }
}
