//! What clients may take of the server. It reads no settings of the system: the program does.

use std::time::Duration;

/// Files that are open beside connections: the catalog, the listener, and what libraries keep.
const OWN_FILES: u64 = 48;

/// Bounds for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// How long a client may take for the head of a request, counted from the end of the answer before it. It is also how
    /// long a connection may be idle.
    pub head: Duration,
    /// Bytes that a head may have.
    pub head_bytes: usize,
    /// How long an answer may wait for a client to take at least `pace` bytes more of it.
    pub patience: Duration,
    /// Bytes that a client has to take in that time.
    pub pace: usize,
}

impl Limits {
    /// Bounds for a process that may have so many files open: a connection has its own, and that of the object which is
    /// being sent.
    pub fn for_open_files(files: u64) -> Self {
        let connections = (files.saturating_sub(OWN_FILES) / 2).clamp(8, 16_384);
        Self {
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
            head: Duration::from_secs(30),
            head_bytes: 32 << 10,
            patience: Duration::from_secs(60),
            pace: 16 << 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn connections_leave_room_for_the_files_that_they_send() {
        let check = |files, connections| assert_eq!(Limits::for_open_files(files).connections, connections, "{files}");
        check(0, 8);
        check(256, 104);
        check(1024, 488);
        check(u64::MAX, 16_384);
    }
}
