//! Reads the graph of derivations from the `.drv` files of the store.

use narthex_closure::{Derivation, Graph, Needs, StorePath, parse_store_path};
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
    read_more(&mut graph, roots)?;
    Ok(graph)
}

/// Adds these derivations to a graph, and all that they depend on and that is not in it; gives those that are new in it.
///
/// # Errors
/// When one of the files is gone or is no derivation. Then the graph lacks some that others depend on.
pub fn read_more(
    graph: &mut Graph,
    roots: impl IntoIterator<Item = StorePath>,
) -> Result<BTreeSet<StorePath>, GraphError> {
    let mut todo: Vec<StorePath> = roots.into_iter().filter(|path| graph.get(path).is_none()).collect();
    let mut new: BTreeSet<StorePath> = todo.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        let derivation = read(&path)?;
        for input in derivation.inputs.keys() {
            if graph.get(input).is_none() && new.insert(input.clone()) {
                todo.push(input.clone());
            }
        }
        graph.insert(path, derivation);
    }
    Ok(new)
}

/// Reads these derivations and all that they depend on, as far as their files are there and sound, except for those
/// that are known already.
pub fn read_present(roots: impl IntoIterator<Item = StorePath>, is_known: impl Fn(&StorePath) -> bool) -> Graph {
    let mut graph = Graph::default();
    let mut todo: Vec<StorePath> = roots.into_iter().collect();
    let mut seen: BTreeSet<StorePath> = todo.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        let Ok(derivation) = read(&path) else { continue };
        for input in derivation.inputs.keys() {
            if !is_known(input) && seen.insert(input.clone()) {
                todo.push(input.clone());
            }
        }
        graph.insert(path, derivation);
    }
    graph
}

/// The paths that the build of a derivation is given: outputs of its inputs, and its sources. `None` where it may read more
/// than that, or an output has no path that is known beforehand.
///
/// # Errors
/// When its file, or that of an input, is gone or is no derivation.
pub fn read_inputs(path: &StorePath) -> Result<Option<BTreeSet<StorePath>>, GraphError> {
    let derivation = read(path)?;
    let mut graph = Graph::default();
    for input in derivation.inputs.keys() {
        graph.insert(input.clone(), read(input)?);
    }
    let has = |input: &StorePath, output: &String| graph.get(input).is_some_and(|d| d.outputs.contains_key(output));
    let is_known = derivation.inputs.iter().all(|(input, outputs)| outputs.iter().all(|output| has(input, output)));
    let is_all = is_known && !derivation.needs.reads_undeclared();
    Ok(is_all.then(|| graph.build_inputs(&derivation)))
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
        main_sources: main_sources(&derivation),
        build_scripts: build_scripts(&derivation),
        generated_text: is_generated_text(&derivation),
        fixed_output: derivation.is_fixed_output().map_err(parse)?,
        needs: needs(&derivation),
    })
}

/// The paths in `src` and `srcs`, from the environment or from structured attributes.
fn main_sources(derivation: &nix_derivation::Derivation) -> BTreeSet<StorePath> {
    let structured = |name: &str| Some(derivation.structured_attrs()?.get(name)?.to_string());
    let text = |name: &str| match derivation.environment().get(name) {
        Some(value) => String::from_utf8_lossy(value).into_owned(),
        None => structured(name).unwrap_or_default(),
    };
    let both = [text("src"), text("srcs")].join(" ");
    // In JSON, paths stand between quotes, brackets and commas.
    let words = both.split(|c: char| c.is_whitespace() || "\"[],{}:".contains(c));
    // A source may be a file below a path: `${source}/subfolder`.
    let path = |word: &str| parse_store_path(word.strip_prefix("/nix/store/")?.split('/').next()?);
    words.filter_map(path).collect()
}

/// The sources that are an argument of the builder by themselves, and nothing else to the derivation: a command
/// (`-c`) may do anything with them, and so may whatever reads them from the environment.
fn build_scripts(derivation: &nix_derivation::Derivation) -> BTreeSet<StorePath> {
    if derivation.arguments().iter().any(|argument| argument == "-c") {
        return BTreeSet::new();
    }
    let arguments = derivation.arguments().iter().filter_map(|argument| argument.strip_prefix("/nix/store/"));
    let paths = arguments.filter_map(parse_store_path);
    let has = |text: &[u8], path: &StorePath| {
        let base = path.to_basename();
        text.windows(base.len()).any(|window| window == base.as_bytes())
    };
    let elsewhere = |path: &StorePath| {
        let structured = derivation.structured_attrs().map(|attrs| attrs.raw_json());
        derivation.environment().values().any(|value| has(value.as_ref(), path))
            || structured.is_some_and(|attrs| has(attrs, path))
    };
    paths.filter(|path| derivation.input_sources().contains(path) && !elsewhere(path)).collect()
}

/// What Nix asks of the machine that builds it: `canBuildLocally` in `src/libstore/parsed-derivations.cc`.
fn needs(derivation: &nix_derivation::Derivation) -> Needs {
    let text = |name: &str| derivation.environment().get(name).map(|value| String::from_utf8_lossy(value));
    let structured = |name: &str| derivation.structured_attrs().and_then(|attrs| attrs.get(name));
    let in_text = text("requiredSystemFeatures").unwrap_or_default();
    let in_text = in_text.split_whitespace().map(str::to_owned);
    let listed = structured("requiredSystemFeatures").and_then(|value| value.as_array()).into_iter().flatten();
    let mut features: BTreeSet<String> =
        in_text.chain(listed.filter_map(|feature| feature.as_str()).map(str::to_owned)).collect();
    let is_told = |output: &nix_derivation::DerivationOutput| output.path.is_some();
    // Nix adds this by itself where only a build tells an output's path.
    if derivation.resolved_outputs().is_ok_and(|outputs| !outputs.values().all(is_told)) {
        features.insert("ca-derivations".to_owned());
    }
    let no_sandbox = text("__noChroot").is_some_and(|value| value == "1")
        || structured("__noChroot").and_then(|value| value.as_bool()) == Some(true);
    Needs { features, no_sandbox, builtin: derivation.builder().starts_with("builtin:") }
}

/// Whether it is what nixpkgs' `writeText` and its kin make.
fn is_generated_text(derivation: &nix_derivation::Derivation) -> bool {
    let is = |name: &str, expected: &str| {
        let value = derivation.environment().get(name);
        value.is_some_and(|value| AsRef::<[u8]>::as_ref(value) == expected.as_bytes())
    };
    derivation.environment().contains_key("text") && is("preferLocalBuild", "1") && is("allowSubstitutes", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix_derivation::{DerivationBuilder, StructuredAttrs};

    #[test]
    fn sources_are_found_in_the_environment_and_in_structured_attributes() {
        let (a, b) = ("/nix/store/00000000000000000000000000000000-a", "/nix/store/11111111111111111111111111111111-b");
        let builder = || DerivationBuilder::new("x", "x86_64-linux", "/bin/sh").input_addressed_output("out");
        let sources = |builder: DerivationBuilder| main_sources(&builder.build().unwrap().into_derivation());
        let both: BTreeSet<StorePath> = [a.parse().unwrap(), b.parse().unwrap()].into();
        assert_eq!(sources(builder().environment("srcs", format!("{a} {b}/below"))), both);
        let json = serde_json::json!({"srcs": [a, b], "patches": []}).to_string();
        assert_eq!(sources(builder().structured_attrs(StructuredAttrs::from_json_bytes(json).unwrap())), both);
        assert_eq!(sources(builder().environment("patches", a)), BTreeSet::new());
        let script = || builder().input_source(a.parse().unwrap()).argument("-e").argument(a).argument(b);
        let scripts = |builder: DerivationBuilder| build_scripts(&builder.build().unwrap().into_derivation());
        assert_eq!(scripts(script().environment("installer", b)), [a.parse().unwrap()].into());
        // What the builder reads as well, or a command is given, may be what it hands on.
        assert_eq!(scripts(script().environment("installer", format!("cat {a}"))), BTreeSet::new());
        assert_eq!(scripts(script().argument("-c")), BTreeSet::new());
        let text = |more: &str| {
            let text = builder().environment("text", "x").environment("preferLocalBuild", "1");
            is_generated_text(&text.environment("allowSubstitutes", more).build().unwrap().into_derivation())
        };
        assert!(text("") && !text("1"));
    }
}
