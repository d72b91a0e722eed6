//! What a plan costs: disk and upload of whoever keeps the cache, build time, and what users pay for what is
//! withheld.
//!
//! Arithmetic only: what is known of sizes and times is given, and nothing is invented where it is not. Each sum says of
//! how many parts it is one. Everything is linear in derivations, edges and references, and without recursion; what
//! is made of itself is passed over where an order is needed.

mod figure;
mod walk;

pub use figure::{Audience, Egress, Figure, Share, ShareError, Tally};
pub use walk::{Change, UserCosts, Way};

use crate::{FlatGraph, Node};
use std::collections::HashSet;

/// What is known of a store path.
#[derive(Clone, Debug, Default)]
pub struct KnownPath {
    /// Size of its NAR in bytes.
    pub nar_size: Figure,
    /// Size of the compressed NAR in bytes.
    pub file_size: Figure,
    /// Paths of the same number have the same NAR, and one file in the cache.
    pub content: Option<u32>,
    /// Whether the cache has it already.
    pub uploaded: bool,
    /// Whether it is known to be withheld, whatever holds for its derivation.
    pub withheld: bool,
    /// The numbers of the paths that it refers to, where that is known.
    pub references: Option<Vec<u32>>,
}

/// A plan, and what is known of its parts.
#[derive(Debug)]
pub struct Known<'a> {
    /// The derivations.
    pub graph: &'a FlatGraph,
    /// Derivations after those that they are made of; those that are made of themselves are left out.
    pub inputs_first: &'a [Node],
    /// By derivation, whether the plan is about it. What it is made of is part of the plan as well.
    pub in_scope: &'a [bool],
    /// By derivation, whether its content was fixed beforehand by its hash: a download and no build.
    pub fixed: Vec<bool>,
    /// By derivation, whether it is withheld.
    pub withheld: Vec<bool>,
    /// What a user wants: all outputs of these, and what they refer to.
    pub wanted: Vec<Node>,
    /// By the number of their output; behind those of the graph, other paths that outputs of the plan refer to.
    pub paths: Vec<KnownPath>,
    /// By derivation, how long its build takes in milliseconds.
    pub times: Vec<Figure>,
}

/// What whoever keeps the cache needs room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCosts {
    /// Paths that are published.
    pub paths: usize,
    /// Files of compressed NARs that they need; paths with the same NAR share one.
    pub files: usize,
    /// Their NARs, each different one once.
    pub nars: Tally,
    /// The compressed files: room on disk, and what filling an empty cache uploads.
    pub compressed: Tally,
    /// Of these, what the cache does not have yet.
    pub upload: Tally,
}

/// How long builds take, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildTime {
    /// One after the other.
    pub total: Tally,
    /// The longest chain of builds that wait for each other: no number of machines is faster. What is not known
    /// counts as nothing.
    pub chain: u64,
}

/// What a plan costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// The cache.
    pub cache: CacheCosts,
    /// Building everything.
    pub build: BuildTime,
    /// Building what is published, when all else is there.
    pub build_published: BuildTime,
    /// Building what is withheld, when all else is there.
    pub build_withheld: BuildTime,
    /// What one user needs who has nothing and wants everything.
    pub user: UserCosts,
}

/// Works out what a plan costs.
pub fn costs(known: &Known<'_>) -> Costs {
    let makers = known.makers();
    Costs {
        cache: known.cache(),
        build: known.build_time(|_| true),
        build_published: known.build_time(|node| !known.is_withheld(node)),
        build_withheld: known.build_time(|node| known.is_withheld(node)),
        user: walk::user(known, &makers),
    }
}

impl Known<'_> {
    fn scope(&self) -> impl Iterator<Item = Node> + '_ {
        self.graph.nodes().filter(|node| self.in_scope[node.index()])
    }

    /// By path, the derivation in scope that makes it: of several one that is withheld, if any is, since
    /// what one of them withholds is withheld.
    fn makers(&self) -> Vec<Option<Node>> {
        let mut makers = vec![None; self.paths.len()];
        for node in self.scope() {
            for path in self.graph.output_paths(node) {
                let maker = &mut makers[path.index()];
                if maker.is_none() || self.withheld[node.index()] {
                    *maker = Some(node);
                }
            }
        }
        makers
    }

    /// Whether some output of it is withheld, so that whoever wants that has to build it.
    fn is_withheld(&self, node: Node) -> bool {
        self.withheld[node.index()] || self.graph.output_paths(node).any(|path| self.paths[path.index()].withheld)
    }

    fn cache(&self) -> CacheCosts {
        let mut costs = CacheCosts::default();
        let mut is_published = vec![false; self.paths.len()];
        // Paths outside the graph are local files that something of the plan refers to.
        is_published[self.graph.output_path_count()..].fill(true);
        let mut forbidden = vec![false; self.paths.len()];
        for node in self.scope() {
            let withheld = self.withheld[node.index()];
            for path in self.graph.output_paths(node) {
                is_published[path.index()] = true;
                forbidden[path.index()] |= withheld;
            }
            if !withheld {
                let unknown = self.graph.outputs_without_path(node);
                costs.paths += unknown;
                costs.files += unknown;
                for tally in [&mut costs.nars, &mut costs.compressed, &mut costs.upload] {
                    tally.add_unknown(unknown);
                }
            }
        }
        let published = || {
            let all = self.paths.iter().zip(&is_published).zip(&forbidden);
            all.filter(|((path, published), forbidden)| **published && !path.withheld && !**forbidden)
                .map(|((path, _), _)| path)
        };
        let there: HashSet<u32> = published().filter(|path| path.uploaded).filter_map(|path| path.content).collect();
        let mut seen = HashSet::new();
        for path in published() {
            costs.paths += 1;
            let is_new = path.content.is_none_or(|content| seen.insert(content));
            if is_new {
                costs.files += 1;
                costs.nars.add(path.nar_size);
                costs.compressed.add(path.file_size);
            } else {
                costs.nars.count(path.nar_size);
                costs.compressed.count(path.file_size);
            }
            if !path.uploaded {
                if is_new && !path.content.is_some_and(|content| there.contains(&content)) {
                    costs.upload.add(path.file_size);
                } else {
                    costs.upload.count(path.file_size);
                }
            }
        }
        costs
    }

    /// The time of the builds that are members, when all others are done.
    fn build_time(&self, member: impl Fn(Node) -> bool) -> BuildTime {
        let is_build = |node: Node| self.in_scope[node.index()] && !self.fixed[node.index()] && member(node);
        let mut total = Tally::default();
        for node in self.scope().filter(|node| is_build(*node)) {
            total.add(self.times[node.index()]);
        }
        BuildTime { total, chain: self.chain(is_build) }
    }

    /// The longest chain through derivations; those that are no members take no time.
    fn chain(&self, member: impl Fn(Node) -> bool) -> u64 {
        let mut ends = vec![0u64; self.graph.len()];
        for node in self.inputs_first {
            let begins = self.graph.inputs(*node).map(|input| ends[input.index()]).max().unwrap_or(0);
            let takes = if member(*node) { self.times[node.index()].value().unwrap_or(0) } else { 0 };
            ends[node.index()] = begins.saturating_add(takes);
        }
        ends.into_iter().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
