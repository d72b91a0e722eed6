//! Holes, and the order in which paths are published.

use nix_derivation::StorePath;
use std::collections::{BTreeMap, BTreeSet};

/// Finds the holes: paths that are not published but that a published path refers to.
///
/// `references` gives the references of every published path; the result maps each hole to the
/// published paths that refer to it. A reference of a path to itself is no hole.
pub fn holes(references: &BTreeMap<StorePath, BTreeSet<StorePath>>) -> BTreeMap<StorePath, BTreeSet<StorePath>> {
    let mut holes: BTreeMap<StorePath, BTreeSet<StorePath>> = BTreeMap::new();
    for (path, referenced) in references {
        for hole in referenced.iter().filter(|r| !references.contains_key(r)) {
            holes.entry(hole.clone()).or_default().insert(path.clone());
        }
    }
    holes
}

/// Sorts paths so that every path comes after those that it refers to.
///
/// Nix forbids cycles between paths; were there one all the same, its members come out in the
/// order of their names. References to paths outside the set are passed over.
pub fn references_first(references: &BTreeMap<StorePath, BTreeSet<StorePath>>) -> Vec<StorePath> {
    let mut order = Vec::with_capacity(references.len());
    let mut seen = BTreeSet::new();
    for start in references.keys() {
        // An explicit stack: a closure can be deeper than a thread's stack allows.
        let mut stack = vec![(start, false)];
        while let Some((path, expanded)) = stack.pop() {
            if expanded {
                order.push(path.clone());
                continue;
            }
            if !seen.insert(path) {
                continue;
            }
            stack.push((path, true));
            for next in references[path].iter().rev() {
                if let Some((next, _)) = references.get_key_value(next)
                    && !seen.contains(next)
                {
                    stack.push((next, false));
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::path;
    use proptest::prelude::*;

    fn refs(edges: &[(&str, &[&str])]) -> BTreeMap<StorePath, BTreeSet<StorePath>> {
        edges.iter().map(|(from, to)| (path(from), to.iter().map(|t| path(t)).collect())).collect()
    }

    #[test]
    fn a_hole_names_its_referrers_and_self_references_are_none() {
        let found = holes(&refs(&[("saxpy", &["cudart", "saxpy"]), ("app", &["saxpy"])]));
        assert_eq!(found, BTreeMap::from([(path("cudart"), [path("saxpy")].into())]));
    }

    proptest! {
        /// Edges lead from larger numbers to smaller ones, so that there is no cycle.
        #[test]
        fn every_reference_comes_first(edges in proptest::collection::vec((0u8..40, 0u8..40), 0..200)) {
            let mut references: BTreeMap<StorePath, BTreeSet<StorePath>> =
                (0..40).map(|n| (path(&format!("p{n}")), BTreeSet::new())).collect();
            for (a, b) in edges {
                let (from, to) = (a.max(b), a.min(b));
                references.get_mut(&path(&format!("p{from}"))).unwrap().insert(path(&format!("p{to}")));
            }
            let order = references_first(&references);
            prop_assert_eq!(order.len(), references.len());
            let place: BTreeMap<_, _> = order.iter().enumerate().map(|(i, p)| (p, i)).collect();
            for (from, to) in references.iter().flat_map(|(f, ts)| ts.iter().map(move |t| (f, t))) {
                prop_assert!(from == to || place[to] < place[from]);
            }
        }
    }
}
