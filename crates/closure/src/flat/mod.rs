//! A graph of derivations in flat arrays, for sets of millions.
//!
//! Derivations and outputs are numbers; each path is kept once as text, and the inputs of a derivation are
//! a piece of one long list. [`Graph`](crate::Graph) says more of each derivation and takes some fifty times
//! the memory. A derivation that is an input and that nobody described is part of it and named missing.
//!
//! Numbers follow the order in which paths were met: what is shown must be sorted by path.

mod interner;
mod order;

pub use order::{Order, Users};

use crate::parse_store_path;
use interner::{Interner, NONE};
use std::ops::Range;

/// A derivation of a [`FlatGraph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u32);

impl Node {
    /// Its number: less than [`FlatGraph::len`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An output path of a [`FlatGraph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputPath(u32);

impl OutputPath {
    /// Its number: less than [`FlatGraph::output_path_count`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why a text cannot be part of a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlatError {
    /// An input of what is described is no derivation.
    #[error("made of `{0}`, which is no path of a derivation")]
    Input(String),
    /// It is no path of the Nix store.
    #[error("no path of the Nix store")]
    NotAPath,
    /// It is a path of the store that is no derivation.
    #[error("no derivation")]
    NotADerivation,
    /// There are more paths than there are numbers.
    #[error("more paths than can be numbered")]
    TooMany,
}

/// What a description adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// A derivation that was not described before.
    New,
    /// What was known already, or less or more outputs of it.
    Same,
    /// Other inputs than were known, or another path of an output; all of them count.
    Different,
}

#[derive(Clone, Debug, Default)]
struct Row {
    inputs: Range<usize>,
    outputs: Range<usize>,
}

/// A graph under construction. Inputs and outputs are given first, then the derivation that has them.
#[derive(Debug, Default)]
pub struct FlatBuilder {
    graph: FlatGraph,
    outputs_done: usize,
    /// Inputs that were noted, as one text, and where each ends.
    noted: String,
    ends: Vec<usize>,
    inputs_done: usize,
    found: Vec<u32>,
}

impl FlatBuilder {
    /// Notes an input of the derivation that is described next.
    ///
    /// # Errors
    /// When the text is no derivation's path.
    pub fn input(&mut self, derivation: &str) -> Result<(), FlatError> {
        let base = derivation.strip_prefix("/nix/store/").unwrap_or(derivation);
        if base.as_bytes().get(32) != Some(&b'-') {
            return Err(FlatError::NotAPath);
        }
        if !base.ends_with(".drv") {
            return Err(FlatError::NotADerivation);
        }
        self.noted.push_str(base);
        self.ends.push(self.noted.len());
        Ok(())
    }

    /// Gives all inputs that were noted their numbers, and then the derivation that has them.
    fn number_inputs(&mut self, derivation: &str) -> Result<u32, FlatError> {
        let base = derivation.strip_prefix("/nix/store/").unwrap_or(derivation);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let mut texts: Vec<&str> =
            starts.zip(&self.ends).map(|(start, end)| self.noted.get(start..*end).unwrap_or_default()).collect();
        texts.push(base);
        self.graph.derivations.find_many(&texts, &mut self.found);
        texts.pop();
        for (text, found) in texts.iter().zip(&self.found) {
            let number = match *found {
                NONE => self.graph.node(text).map_err(|_| FlatError::Input((*text).to_owned()))?,
                number => number,
            };
            self.graph.inputs.push(number);
        }
        match self.found.last() {
            Some(number) if *number != NONE => Ok(*number),
            _ => self.graph.node(derivation),
        }
    }

    /// Notes an output of the derivation that is described next; without a path where only a build can tell.
    ///
    /// # Errors
    /// When the path is none of the store.
    pub fn output(&mut self, name: &str, path: Option<&str>) -> Result<(), FlatError> {
        let name = self.graph.output_names.intern(name).ok_or(FlatError::TooMany)?;
        let path = match path {
            None => NONE,
            Some(path) => intern_path(&mut self.graph.output_paths, path, |_| true)?,
        };
        self.graph.outputs.push((name, path));
        Ok(())
    }

    /// Gives what was noted to a derivation.
    ///
    /// # Errors
    /// When the text is no derivation's path; what was noted is forgotten then.
    pub fn describe(&mut self, derivation: &str) -> Result<(Node, Added), FlatError> {
        let node = match self.number_inputs(derivation) {
            Ok(node) => node as usize,
            Err(error) => {
                self.forget();
                return Err(error);
            }
        };
        let graph = &mut self.graph;
        let inputs = sorted_tail(&mut graph.inputs, self.inputs_done);
        let outputs = sorted_tail(&mut graph.outputs, self.outputs_done);
        let added = match graph.rows.get(graph.row_of[node] as usize) {
            None => {
                graph.row_of[node] = graph.rows.len() as u32;
                graph.rows.push(Row { inputs, outputs });
                Added::New
            }
            Some(row) => {
                let same = graph.inputs[row.inputs.clone()] == graph.inputs[inputs.clone()]
                    && graph.outputs[row.outputs.clone()] == graph.outputs[outputs.clone()];
                if same {
                    self.forget();
                    return Ok((Node(node as u32), Added::Same));
                }
                let row = row.clone();
                let other_inputs = graph.inputs[row.inputs.clone()] != graph.inputs[inputs];
                graph.inputs.extend_from_within(row.inputs);
                graph.outputs.extend_from_within(row.outputs);
                let inputs = sorted_tail(&mut graph.inputs, self.inputs_done);
                let outputs = sorted_tail(&mut graph.outputs, self.outputs_done);
                let other_path = graph.outputs[outputs.clone()].windows(2).any(|pair| pair[0].0 == pair[1].0);
                graph.rows[graph.row_of[node] as usize] = Row { inputs, outputs };
                if other_inputs || other_path { Added::Different } else { Added::Same }
            }
        };
        self.inputs_done = graph.inputs.len();
        self.outputs_done = graph.outputs.len();
        self.forget();
        Ok((Node(node as u32), added))
    }

    /// Forgets what was noted since the last description.
    pub fn forget(&mut self) {
        self.noted.clear();
        self.ends.clear();
        self.graph.inputs.truncate(self.inputs_done);
        self.graph.outputs.truncate(self.outputs_done);
    }

    /// The number of a derivation that may be described later, or never.
    ///
    /// # Errors
    /// When the text is no derivation's path.
    pub fn mention(&mut self, derivation: &str) -> Result<Node, FlatError> {
        self.graph.node(derivation).map(Node)
    }

    /// Whether a derivation was described so far.
    pub fn is_described(&self, derivation: &str) -> bool {
        self.graph.find(derivation).is_some_and(|node| self.graph.is_described(node))
    }

    /// All derivations so far.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        self.graph.nodes()
    }

    /// Whether a derivation was described so far.
    pub fn is_node_described(&self, node: Node) -> bool {
        self.graph.is_described(node)
    }

    /// The path of a derivation without the folder of the store.
    pub fn base_name(&self, node: Node) -> &str {
        self.graph.base_name(node)
    }

    /// Derivations that were mentioned and not described so far: their paths, without the folder of the store.
    pub fn undescribed(&self) -> impl Iterator<Item = &str> {
        let is_open = |(_, row): &(u32, &u32)| **row == NONE;
        (0..).zip(&self.graph.row_of).filter(is_open).map(|(number, _)| self.graph.derivations.text(number))
    }

    /// The whole graph.
    pub fn finish(mut self) -> FlatGraph {
        self.forget();
        self.graph
    }
}

/// Sorts what stands behind a place of a list, each value once, and says where that is now.
fn sorted_tail<T: Ord + Copy>(list: &mut Vec<T>, from: usize) -> Range<usize> {
    list[from..].sort_unstable();
    let mut end = from;
    for at in from..list.len() {
        if end == from || list[at] != list[end - 1] {
            list[end] = list[at];
            end += 1;
        }
    }
    list.truncate(end);
    from..end
}

/// Paths are kept without the folder of the store. What is known already was checked then.
fn intern_path(paths: &mut Interner, text: &str, check: impl Fn(&str) -> bool) -> Result<u32, FlatError> {
    let base = text.strip_prefix("/nix/store/").unwrap_or(text);
    let sound = || {
        parse_store_path(base).ok_or(FlatError::NotAPath)?;
        if check(base) { Ok(()) } else { Err(FlatError::NotADerivation) }
    };
    paths.intern_if(base, sound)?.ok_or(FlatError::TooMany)
}

/// Derivations, what they are made of and what they make.
#[derive(Clone, Debug, Default)]
pub struct FlatGraph {
    derivations: Interner,
    /// By derivation; `NONE` where it is not described.
    row_of: Vec<u32>,
    rows: Vec<Row>,
    inputs: Vec<u32>,
    outputs: Vec<(u32, u32)>,
    output_names: Interner,
    output_paths: Interner,
}

impl FlatGraph {
    fn node(&mut self, text: &str) -> Result<u32, FlatError> {
        let number = intern_path(&mut self.derivations, text, |base| base.ends_with(".drv"))?;
        if number as usize == self.row_of.len() {
            self.row_of.push(NONE);
        }
        Ok(number)
    }

    /// How many derivations there are, those included that are not described.
    pub fn len(&self) -> usize {
        self.derivations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All derivations, in the order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        (0..self.len() as u32).map(Node)
    }

    /// How many edges there are.
    pub fn edges(&self) -> usize {
        self.rows.iter().map(|row| row.inputs.len()).sum()
    }

    /// Whether somebody described it; otherwise it is only somebody's input.
    pub fn is_described(&self, node: Node) -> bool {
        self.row_of[node.index()] != NONE
    }

    /// Finds a derivation by its path, with or without the folder of the store.
    pub fn find(&self, derivation: &str) -> Option<Node> {
        self.derivations.find(derivation.strip_prefix("/nix/store/").unwrap_or(derivation)).map(Node)
    }

    /// Finds the derivations that make a path, with or without the folder of the store.
    pub fn makers(&self, path: &str) -> Vec<Node> {
        let Some(path) = self.output_paths.find(path.strip_prefix("/nix/store/").unwrap_or(path)) else {
            return Vec::new();
        };
        self.nodes().filter(|node| self.outputs_of(*node).iter().any(|(_, made)| *made == path)).collect()
    }

    /// The path of its `.drv` file without the folder of the store.
    pub fn base_name(&self, node: Node) -> &str {
        self.derivations.text(node.0)
    }

    /// The whole path of its `.drv` file.
    pub fn path(&self, node: Node) -> String {
        format!("/nix/store/{}", self.base_name(node))
    }

    /// Its name, for instance `saxpy-1.0`.
    pub fn name(&self, node: Node) -> &str {
        let base = self.base_name(node);
        let base = base.strip_suffix(".drv").unwrap_or(base);
        base.get(33..).unwrap_or(base)
    }

    /// What it is made of, in the order of numbers.
    pub fn inputs(&self, node: Node) -> impl ExactSizeIterator<Item = Node> + '_ {
        self.input_numbers(node).iter().map(|input| Node(*input))
    }

    fn input_numbers(&self, node: Node) -> &[u32] {
        self.rows.get(self.row_of[node.index()] as usize).map_or(&[], |row| &self.inputs[row.inputs.clone()])
    }

    fn outputs_of(&self, node: Node) -> &[(u32, u32)] {
        self.rows.get(self.row_of[node.index()] as usize).map_or(&[], |row| &self.outputs[row.outputs.clone()])
    }

    /// Its outputs: names and whole paths, sorted by name.
    pub fn outputs(&self, node: Node) -> Vec<(&str, Option<String>)> {
        let path = |path: u32| (path != NONE).then(|| format!("/nix/store/{}", self.output_paths.text(path)));
        let output = |(name, made): &(u32, u32)| (self.output_names.text(*name), path(*made));
        let mut outputs: Vec<_> = self.outputs_of(node).iter().map(output).collect();
        outputs.sort();
        outputs
    }

    /// The paths that it makes, as far as they are known beforehand.
    pub fn output_paths(&self, node: Node) -> impl Iterator<Item = OutputPath> + '_ {
        self.outputs_of(node).iter().filter(|(_, path)| *path != NONE).map(|(_, path)| OutputPath(*path))
    }

    /// How many of its outputs have a path that only a build can tell.
    pub fn outputs_without_path(&self, node: Node) -> usize {
        self.outputs_of(node).iter().filter(|(_, path)| *path == NONE).count()
    }

    /// Finds an output by its path, with or without the folder of the store.
    pub fn find_output(&self, path: &str) -> Option<OutputPath> {
        self.output_paths.find(path.strip_prefix("/nix/store/").unwrap_or(path)).map(OutputPath)
    }

    /// The output path with this number.
    pub fn output_path(&self, index: u32) -> Option<OutputPath> {
        ((index as usize) < self.output_path_count()).then_some(OutputPath(index))
    }

    /// An output's path without the folder of the store.
    pub fn output_base_name(&self, path: OutputPath) -> &str {
        self.output_paths.text(path.0)
    }

    /// How many output paths there are.
    pub fn output_path_count(&self) -> usize {
        self.output_paths.len()
    }

    /// These derivations in the order of their paths.
    pub fn sorted(&self, nodes: impl IntoIterator<Item = Node>) -> Vec<Node> {
        // A path begins with a hash, so that the first bytes nearly always tell.
        let key = |node: &Node| {
            let mut first = [0u8; 8];
            let base = self.base_name(*node).as_bytes();
            let length = base.len().min(8);
            first[..length].copy_from_slice(&base[..length]);
            u64::from_be_bytes(first)
        };
        let mut sorted: Vec<(u64, Node)> = nodes.into_iter().map(|node| (key(&node), node)).collect();
        sorted.sort_unstable_by(|(a, one), (b, other)| {
            a.cmp(b).then_with(|| self.base_name(*one).cmp(self.base_name(*other)))
        });
        sorted.into_iter().map(|(_, node)| node).collect()
    }

    /// These derivations and all that they are made of.
    pub fn closure(&self, roots: impl IntoIterator<Item = Node>) -> Vec<bool> {
        let mut seen = vec![false; self.len()];
        let mut todo: Vec<Node> = roots.into_iter().collect();
        todo.iter().for_each(|root| seen[root.index()] = true);
        while let Some(node) = todo.pop() {
            for input in self.inputs(node) {
                if !std::mem::replace(&mut seen[input.index()], true) {
                    todo.push(input);
                }
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests;
