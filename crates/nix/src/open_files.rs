//! How many files this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to the most that the system lets this process have, and gives what holds now. Most systems
/// begin with 1024, for programs of an age with narrower numbers of files.
pub fn raise_open_files() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: now.maximum, maximum: now.maximum };
    // Where the system does not let it, less is served at once.
    let holds = if setrlimit(Resource::Nofile, raised).is_ok() { now.maximum } else { now.current };
    holds.unwrap_or(u64::MAX)
}
