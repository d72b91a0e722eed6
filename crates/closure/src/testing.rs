//! Small graphs by name, for the tests of this crate.

use crate::{Derivation, Graph, Needs};
use nix_derivation::StorePath;
use std::collections::BTreeMap;

/// A store path whose digest is derived from its name, so that equal names are equal paths.
pub(crate) fn path(name: &str) -> StorePath {
    let mut digest = [0u8; 20];
    for (index, byte) in name.bytes().enumerate() {
        digest[index % 20] = digest[index % 20].wrapping_mul(31).wrapping_add(byte);
    }
    StorePath::from_parts(digest, name).unwrap()
}

/// Derivations with one output each; `x.drv` makes `x`.
pub(crate) fn graph(nodes: &[(&str, &[&str])]) -> Graph {
    let mut graph = Graph::default();
    for (name, inputs) in nodes {
        graph.insert(
            path(&format!("{name}.drv")),
            Derivation {
                name: (*name).to_owned(),
                system: "x86_64-linux".to_owned(),
                outputs: BTreeMap::from([("out".to_owned(), path(name))]),
                inputs: inputs.iter().map(|input| (path(&format!("{input}.drv")), ["out".to_owned()].into())).collect(),
                sources: [].into(),
                main_sources: [].into(),
                build_scripts: [].into(),
                generated_text: false,
                fixed_output: false,
                needs: Needs::default(),
            },
        );
    }
    graph
}
