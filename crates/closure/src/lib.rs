//! The graph: which derivation makes which path, what a published path refers to, and in what
//! order a client fills holes. What a plan costs.
//!
//! Everything here is pure: values in, values out. The crate knows store paths and derivations,
//! and deliberately nothing of licenses, policies, files, processes or the network.

mod attr_path;
mod costs;
mod fill;
mod flat;
mod graph;
mod holes;
mod nar_hash;

pub use attr_path::{AttrPath, AttrPathError};
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
    use super::package_name;

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
