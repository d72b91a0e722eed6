//! Which builds failed, while they are on their way.
//!
//! Nix says that a build ended and not how: it counts failures, and names them in messages that come earlier or later. A build
//! that ends while a failure is counted and not yet named waits for that name. Pure: what Nix writes goes in.

use narthex_closure::{StorePath, parse_store_path};
use std::collections::HashSet;
use std::time::Duration;

/// Builds that ended, and failures.
#[derive(Default)]
pub(super) struct Endings {
    /// How many builds failed, as Nix counts them.
    failures: u64,
    /// The derivations that Nix named as failed, whether or not their builds began.
    named: HashSet<StorePath>,
    waiting: Vec<(StorePath, Duration)>,
    /// Nothing more will be said.
    closed: bool,
}

impl Endings {
    pub(super) fn counted(&mut self, failures: u64) {
        self.failures = failures;
    }

    pub(super) fn ended(&mut self, derivation: StorePath, took: Duration) {
        self.waiting.push((derivation, took));
    }

    /// Takes an error. One that says that a dependency failed is about no build.
    pub(super) fn said(&mut self, message: &str) {
        // What a builder wrote stands below.
        let is_about_more =
            message.starts_with("build of ") || message.lines().take(2).any(|line| line.contains("dependenc"));
        let failed = message.split(['\'', '"']).find_map(parse_store_path).filter(StorePath::is_derivation);
        self.named.extend(failed.filter(|_| !is_about_more));
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Those of which it is known whether they failed. In the end, failures without a name are those that are left,
    /// if there are as many.
    pub(super) fn take(&mut self) -> Vec<(StorePath, Duration, bool)> {
        let unnamed = self.failures.saturating_sub(self.named.len() as u64);
        let is_left = |(derivation, _): &&(StorePath, Duration)| !self.named.contains(derivation);
        let are_all = self.closed && self.waiting.iter().filter(is_left).count() as u64 == unnamed;
        let (known, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(derivation, _)| self.named.contains(derivation) || unnamed == 0 || self.closed);
        self.waiting = waiting;
        let known: Vec<(StorePath, Duration)> = known;
        known
            .into_iter()
            .map(|(derivation, took)| {
                let failed = self.named.contains(&derivation) || are_all;
                (derivation, took, failed)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "/nix/store/00000000000000000000000000000000-";

    /// `+a` a build ends, `n` so many have failed, `!text` an error, `.` the end; what is told after each.
    fn told(steps: &[&str]) -> Vec<String> {
        let mut endings = Endings::default();
        let tell = |step: &&str| {
            match step.split_at(1) {
                ("+", name) => endings.ended(format!("{DIGEST}{name}.drv").parse().unwrap(), Duration::ZERO),
                ("!", text) => endings.said(&text.replace('@', DIGEST)),
                (".", _) => endings.close(),
                _ => endings.counted(step.parse().unwrap()),
            }
            let shown = |(path, _, failed): (StorePath, Duration, bool)| {
                format!("{} {}", if failed { "failed" } else { "ended" }, path.name().trim_end_matches(".drv"))
            };
            endings.take().into_iter().map(shown).collect::<Vec<_>>().join(", ")
        };
        steps.iter().map(tell).collect()
    }

    #[test]
    fn a_build_that_failed_is_told_as_that() {
        // Nix 2.8 names it before its build ends, and later versions after it or before.
        assert_eq!(told(&["1", "!builder for '@a.drv' failed with exit code 3", "+a"]), ["", "", "failed a"]);
        assert_eq!(told(&["1", "+a", "!Cannot build '@a.drv'.\nReason: builder failed"]), ["", "", "failed a"]);
        assert_eq!(
            told(&["0", "+a", "1", "+b", "+c", "!builder for '@c.drv' failed"])[1..],
            ["ended a", "", "", "", "ended b, failed c"]
        );
    }

    #[test]
    fn errors_about_others_name_no_build() {
        let others = ["!1 dependencies of derivation '@a.drv' failed to build", "!build of '@a.drv', '@b.drv' failed"];
        for other in others {
            assert_eq!(told(&["0", other, "+a"])[2], "ended a", "{other}");
        }
        let reason = "!Cannot build '@a.drv'.\nReason: 1 dependency failed.";
        assert_eq!(told(&["0", reason, "+a"])[2], "ended a");
        // One that never began is counted and named like all others.
        assert_eq!(told(&["1", "!a 'aarch64-linux' is required to build '@x.drv'", "+a"])[2], "ended a");
    }

    #[test]
    fn nothing_waits_for_ever() {
        assert_eq!(told(&["1", "+a", "."]), ["", "", "failed a"]);
        assert_eq!(told(&["1", "+a", "+b", "."])[3], "ended a, ended b");
        assert_eq!(told(&["2", "+a", "+b", "!builder for '@a.drv' failed", "."])[3..], ["failed a", "failed b"]);
    }
}
