//! Derivations and what leads from one to the next.

use nix_derivation::StorePath;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// One derivation, reduced to what decisions and plans need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// The name without the hash, for instance `saxpy-1.0`.
    pub name: String,
    /// The platform that it builds on, for instance `x86_64-linux`.
    pub system: String,
    /// Output name → store path.
    pub outputs: BTreeMap<String, StorePath>,
    /// Input derivation → the outputs of it that are used.
    pub inputs: BTreeMap<StorePath, BTreeSet<String>>,
    /// Files that evaluation put into the store.
    pub sources: BTreeSet<StorePath>,
    /// Store paths in `src` and `srcs`: what the package is made from, as opposed to patches, tools and
    /// dependencies that are fetched as well.
    pub main_sources: BTreeSet<StorePath>,
    /// Sources that the builder takes as its arguments: the scripts that it builds with.
    pub build_scripts: BTreeSet<StorePath>,
    /// Whether it writes a text that stands in the expression, and is too small to be fetched: nixpkgs' `writeText`.
    pub generated_text: bool,
    /// Whether the output's content was fixed beforehand by its hash, as fetched sources are.
    pub fixed_output: bool,
    /// What the machine that builds it must have beside its platform.
    pub needs: Needs,
}

/// What a derivation asks of the machine that builds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needs {
    /// System features, for instance `kvm`.
    pub features: BTreeSet<String>,
    /// Whether it cannot be built in a sandbox (`__noChroot`).
    pub no_sandbox: bool,
    /// Whether its builder is part of Nix, so that it builds on every platform.
    pub builtin: bool,
}

impl Needs {
    /// Whether its build may read more of the store than it declares, because it may run Nix.
    pub fn reads_undeclared(&self) -> bool {
        self.features.contains("recursive-nix")
    }
}

/// Where a store path comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer {
    /// The derivation.
    pub derivation: StorePath,
    /// The output's name.
    pub output: String,
}

/// A set of derivations that is closed under inputs.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    derivations: BTreeMap<StorePath, Derivation>,
    producers: BTreeMap<StorePath, Producer>,
    /// Paths that several derivations make, and those that do besides the producer.
    others: BTreeMap<StorePath, Vec<Producer>>,
}

impl Graph {
    /// Adds a derivation; one that is there already stays as it is.
    pub fn insert(&mut self, path: StorePath, derivation: Derivation) {
        if self.derivations.contains_key(&path) {
            return;
        }
        for (output, output_path) in &derivation.outputs {
            let producer = Producer { derivation: path.clone(), output: output.clone() };
            match self.producers.entry(output_path.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(producer);
                }
                Entry::Occupied(_) => self.others.entry(output_path.clone()).or_default().push(producer),
            }
        }
        self.derivations.insert(path, derivation);
    }

    /// Looks a derivation up by the path of its `.drv` file.
    pub fn get(&self, path: &StorePath) -> Option<&Derivation> {
        self.derivations.get(path)
    }

    /// All derivations, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&StorePath, &Derivation)> {
        self.derivations.iter()
    }

    /// How many derivations there are.
    pub fn len(&self) -> usize {
        self.derivations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.derivations.is_empty()
    }

    /// Which derivation makes this path; of several, the one that was added first.
    pub fn producer(&self, path: &StorePath) -> Option<&Producer> {
        self.producers.get(path)
    }

    /// All derivations that make this path: several may differ in how the same sources are fetched.
    pub fn producers(&self, path: &StorePath) -> impl Iterator<Item = &Producer> {
        self.producers.get(path).into_iter().chain(self.others.get(path).into_iter().flatten())
    }

    /// The paths that several derivations make.
    pub fn shared(&self) -> impl Iterator<Item = &StorePath> {
        self.others.keys()
    }

    /// For every derivation and every source file, the derivations that use it directly.
    pub fn users(&self) -> BTreeMap<&StorePath, BTreeSet<&StorePath>> {
        let mut users: BTreeMap<&StorePath, BTreeSet<&StorePath>> = BTreeMap::new();
        for (path, derivation) in &self.derivations {
            for used in derivation.inputs.keys().chain(&derivation.sources) {
                users.entry(used).or_default().insert(path);
            }
        }
        users
    }

    /// These derivations and all that they are made of, as far as the graph knows them.
    pub fn closure(&self, roots: impl IntoIterator<Item = StorePath>) -> BTreeSet<StorePath> {
        let mut todo: Vec<StorePath> = roots.into_iter().collect();
        let mut seen: BTreeSet<StorePath> = todo.iter().cloned().collect();
        while let Some(path) = todo.pop() {
            for input in self.derivations.get(&path).into_iter().flat_map(|derivation| derivation.inputs.keys()) {
                if seen.insert(input.clone()) {
                    todo.push(input.clone());
                }
            }
        }
        seen
    }

    /// The store paths that building this derivation needs: outputs of its inputs, and its sources.
    pub fn build_inputs(&self, derivation: &Derivation) -> BTreeSet<StorePath> {
        let outputs = derivation.inputs.iter().flat_map(|(input, names)| {
            let input = self.derivations.get(input);
            names.iter().filter_map(move |name| input.and_then(|i| i.outputs.get(name)))
        });
        outputs.chain(&derivation.sources).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{graph, path};

    #[test]
    fn users_and_build_inputs_follow_edges() {
        let graph = graph(&[("cc", &[]), ("hole", &["cc"]), ("top", &["cc", "hole"])]);
        let users = graph.users();
        assert_eq!(users[&path("cc.drv")].len(), 2);
        assert!(!users.contains_key(&path("top.drv")));

        assert_eq!(graph.closure([path("hole.drv")]), [path("hole.drv"), path("cc.drv")].into());
        let top = graph.get(&path("top.drv")).unwrap();
        assert_eq!(graph.build_inputs(top), [path("cc"), path("hole")].into());
        assert_eq!(graph.producer(&path("hole")).unwrap().derivation, path("hole.drv"));
    }
}
