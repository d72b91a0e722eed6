//! Reads the graph of derivations from the `.drv` files of the store.

use narthex_closure::{Derivation, Graph, StorePath};
use std::collections::BTreeSet;

/// Why a graph could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// A `.drv` file could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: StorePath,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A `.drv` file holds no derivation.
    #[error("{path} is no derivation that can be understood")]
    Parse {
        /// The file.
        path: StorePath,
        /// Why.
        #[source]
        source: nix_derivation::Error,
    },
}

/// Reads these derivations and all that they depend on.
///
/// Outputs whose path only a build can tell are left out; nothing is published for them.
///
/// # Errors
/// When one of the files is gone or is no derivation.
pub fn read_graph(roots: impl IntoIterator<Item = StorePath>) -> Result<Graph, GraphError> {
    let mut graph = Graph::default();
    let mut todo: Vec<StorePath> = roots.into_iter().collect();
    let mut seen: BTreeSet<StorePath> = todo.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        let derivation = read(&path)?;
        for input in derivation.inputs.keys() {
            if seen.insert(input.clone()) {
                todo.push(input.clone());
            }
        }
        graph.insert(path, derivation);
    }
    Ok(graph)
}

fn read(path: &StorePath) -> Result<Derivation, GraphError> {
    let bytes = std::fs::read(path.to_string()).map_err(|source| GraphError::Read { path: path.clone(), source })?;
    let name = path.name().strip_suffix(".drv").unwrap_or(path.name());
    let parse = |source| GraphError::Parse { path: path.clone(), source };
    let derivation = nix_derivation::Derivation::from_aterm_bytes(&bytes, name).map_err(parse)?;
    let outputs = derivation.resolved_outputs().map_err(parse)?;
    Ok(Derivation {
        name: name.to_owned(),
        system: derivation.system().to_owned(),
        outputs: outputs.into_iter().filter_map(|(name, output)| Some((name, output.path?))).collect(),
        inputs: derivation
            .input_derivations()
            .iter()
            .map(|(input, used)| (input.clone(), used.outputs().clone()))
            .collect(),
        sources: derivation.input_sources().clone(),
        fixed_output: derivation.is_fixed_output().map_err(parse)?,
    })
}
