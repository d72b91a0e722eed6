//! The graph: which derivation makes which path, what a published path refers to, and in what
//! order a client fills holes.
//!
//! Everything here is pure: values in, values out. The crate knows store paths and derivations,
//! and deliberately nothing of licenses, policies, files, processes or the network.

mod fill;
mod flat;
mod graph;
mod holes;
mod nar_hash;

pub use fill::{Cached, FillPlan, Gap, Status, Step, plan_fill};
pub use flat::{Added, FlatBuilder, FlatError, FlatGraph, Node, Order, OutputPath, Users};
pub use graph::{Derivation, Graph, Producer};
pub use holes::{holes, references_first};
pub use nar_hash::{NarHash, NarHashError};
pub use nix_derivation::StorePath;

/// Returns the 32 characters of a store path that name it in a binary cache (`<hash>.narinfo`).
pub fn hash_part(path: &StorePath) -> String {
    let mut basename = path.to_basename();
    basename.truncate(32);
    basename
}

/// Reads a store path written either as `/nix/store/<hash>-<name>` or as `<hash>-<name>`.
pub fn parse_store_path(text: &str) -> Option<StorePath> {
    text.parse().ok().or_else(|| StorePath::from_basename(text.as_bytes()).ok())
}

#[cfg(test)]
mod testing;
