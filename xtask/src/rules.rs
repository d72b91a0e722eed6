//! The rules of the house, as far as a program can check them.

/// A crate, and the crates of this workspace that it may depend on.
pub(crate) const MAY_DEPEND_ON: [(&str, &[&str]); 12] = [
    ("text", &[]),
    ("license", &[]),
    ("closure", &[]),
    ("audit", &[]),
    ("policy", &["license", "closure", "audit"]),
    ("event", &["closure"]),
    ("nix", &["license", "closure", "event"]),
    ("cache", &["text", "closure", "policy"]),
    ("farm", &["license", "closure", "audit", "policy", "event", "nix", "cache"]),
    ("client", &["closure", "event", "nix", "cache"]),
    ("server", &["text", "closure", "policy", "cache"]),
    (
        "narthex",
        &["text", "license", "closure", "audit", "policy", "event", "nix", "cache", "farm", "client", "server"],
    ),
];

/// Crates that take values and give values.
pub(crate) const PURE: [&str; 6] = ["text", "license", "policy", "closure", "audit", "event"];

/// What a pure crate must not name, in its code or among its dependencies. Threads are the audit's
/// to use, and through rayon only.
pub(crate) const IMPURE: [&str; 13] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "tokio",
    "sqlx",
    "reqwest",
    "memmap2",
    "getrandom",
    "tempfile",
];

/// The one crate that may use each of these: edges stay where they are.
pub(crate) const ONLY_IN: [(&str, &str); 12] = [
    ("axum", "server"),
    ("tower-http", "server"),
    ("maud", "server"),
    ("reqwest", "client"),
    ("sqlx", "cache"),
    ("ed25519-dalek", "cache"),
    ("memmap2", "nix"),
    ("libc", "nix"),
    ("rustix", "nix"),
    ("clap", "narthex"),
    ("spdx", "license"),
    ("toml_edit", "policy"),
];

/// Longer source files need a reason, given as a comment with these words in their first lines.
pub(crate) const LONGEST_FILE: usize = 600;
/// The words.
pub(crate) const REASON_FOR_LENGTH: &str = "This file is long because";
