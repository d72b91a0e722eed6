//! The graph: which derivation makes which path, what a published path refers to, and in what
//! order a client fills holes. What a plan costs.
//!
//! Everything here is pure: values in, values out. The crate knows store paths and derivations,
//! and deliberately nothing of licenses, policies, files, processes or the network.

mod costs;
mod fill;
mod flat;
mod graph;
mod holes;
mod nar_hash;

pub use costs::{
    Audience, BuildTime, CacheCosts, Change, Costs, Egress, Figure, Known, KnownPath, Share, ShareError, Tally,
    UserCosts, Way, costs,
};
pub use fill::{Cached, FillPlan, Gap, Status, Step, plan_fill};
pub use flat::{Added, FlatBuilder, FlatError, FlatGraph, Node, Order, OutputPath, Users};
pub use graph::{Derivation, Graph, Needs, Producer};
pub use holes::{holes, references_first};
pub use nar_hash::{NarHash, NarHashError};
pub use nix_derivation::StorePath;

/// Returns the 32 characters of a store path that name it in a binary cache (`<hash>.narinfo`).
pub fn hash_part(path: &StorePath) -> String {
    let mut basename = path.to_basename();
    basename.truncate(32);
    basename
}

/// A text that may be the hash of a store path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundHash<'t> {
    /// The 32 characters.
    pub hash: &'t str,
    /// Whether it stands where the hash of a store path stands: `/nix/store/<hash>-`.
    pub is_path: bool,
}

/// Every text of 32 characters that may be the hash of a store path, as Nix looks for references: wherever it stands.
pub fn store_hashes(text: &[u8]) -> impl Iterator<Item = FoundHash<'_>> {
    const STORE: &[u8] = b"/nix/store/";
    let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'n' | b'p'..=b's' | b'v'..=b'z');
    // How many digits stand in a row, up to each place.
    let mut row = 0;
    let ends = text.iter().enumerate().filter_map(move |(at, c)| {
        row = if is_digit(*c) { row + 1 } else { 0 };
        (row >= 32).then_some(at + 1)
    });
    ends.filter_map(move |end| {
        let hash = std::str::from_utf8(&text[end - 32..end]).ok()?;
        let is_path = text[..end - 32].ends_with(STORE) && text.get(end) == Some(&b'-');
        Some(FoundHash { hash, is_path })
    })
}

/// The name of a package without its version, as Nix splits it: `cuda_nvcc` of `cuda_nvcc-12.9.86`. The version
/// begins behind the first dash that no letter follows (`DrvName` in `src/libstore/names.cc`).
pub fn package_name(name: &str) -> &str {
    let is_version = |at: usize| name[at + 1..].chars().next().is_some_and(|next| !next.is_ascii_alphabetic());
    name.match_indices('-').map(|(at, _)| at).find(|at| is_version(*at)).map_or(name, |at| &name[..at])
}

/// Reads a store path written either as `/nix/store/<hash>-<name>` or as `<hash>-<name>`.
pub fn parse_store_path(text: &str) -> Option<StorePath> {
    text.parse().ok().or_else(|| StorePath::from_basename(text.as_bytes()).ok())
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::{package_name, store_hashes};

    #[test]
    fn hashes_are_found_wherever_they_stand() {
        let hash = "73gjb37wdxpndxy41h1q080kxszpixqz";
        let check = |text: &str, expected: &[(&str, bool)]| {
            let found: Vec<_> = store_hashes(text.as_bytes()).map(|found| (found.hash, found.is_path)).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("", &[]);
        check(hash, &[(hash, false)]);
        check(&hash[1..], &[]);
        check(&format!("cat /nix/store/{hash}-x/y"), &[(hash, true)]);
        check(&format!("/nix/store/{hash}"), &[(hash, false)]);
        check(&format!("{hash}E{hash}"), &[(hash, false), (hash, false)]);
        // In a longer row, each place where one may begin.
        let longer = format!("{hash}0");
        check(&longer, &[(hash, false), (&longer[1..], false)]);
        // Letters that Nix does not use.
        check(&hash.replace('7', "e"), &[]);
        assert_eq!(store_hashes(&[b"\xff", hash.as_bytes(), b"\xff"].concat()).count(), 1);
    }

    #[test]
    fn names_and_versions_are_split_as_nix_does() {
        for (name, package) in [
            ("cuda_nvcc-12.9.86", "cuda_nvcc"),
            ("apache-httpd-2.0.48", "apache-httpd"),
            ("host-gcc", "host-gcc"),
            ("trailing-", "trailing-"),
            ("a--b", "a"),
            ("-1", ""),
            ("", ""),
            ("é-1-é", "é"),
        ] {
            assert_eq!(package_name(name), package, "{name}");
        }
    }
}
