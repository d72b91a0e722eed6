//! What is known of the sizes and build times of a plan, and what it costs by that.
//!
//! Of each figure the best source is taken: the catalog, for exactly this path; the local store; the newest output of
//! another version of the package, as an estimate. What no source knows stays unknown. What runs decided about
//! exactly these paths under the same policy counts as well: the bytes may have withheld what licenses permit. The
//! arithmetic is not here but in `narthex_closure`.

use crate::plan::Plan;
use narthex_cache::{Catalog, CatalogError, KnownOutput};
use narthex_closure::{Costs, Figure, FlatGraph, Known, KnownPath, Node, StorePath, costs, package_name};
use narthex_nix::{Nix, NixError};
use narthex_policy::Verdict;
use std::borrow::Cow;
use std::collections::HashMap;

/// Why nothing is known of what a plan costs.
#[derive(Debug, thiserror::Error)]
pub enum CostsError {
    /// The catalog failed.
    #[error("{0}")]
    Catalog(#[from] CatalogError),
    /// The local store could not be asked.
    #[error("{0}")]
    Nix(#[from] NixError),
}

/// Where the figures of a plan come from: how many of its output paths and builds each source knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Whether there was a catalog.
    pub catalog: bool,
    /// Paths whose size the catalog has.
    pub recorded: usize,
    /// Other paths, whose size the local store has.
    pub local: usize,
    /// Other paths, with the size of an earlier output of the same package.
    pub earlier: usize,
    /// Paths of which no size is known.
    pub unknown: usize,
    /// Paths of which it is not known what they refer to.
    pub references_unknown: usize,
    /// Paths that earlier runs withheld, though licenses permit them.
    pub withheld_before: usize,
    /// Sizes of NARs and of their compressed files, by which sizes of files are estimated.
    pub compression: Option<(u64, u64)>,
    /// Builds whose own time is known.
    pub timed: usize,
    /// Builds with the time of other builds of the same package.
    pub timed_by_package: usize,
    /// Builds of which no time is known.
    pub untimed: usize,
}

/// What a plan costs, and where that is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostReport {
    /// The costs.
    pub costs: Costs,
    /// The sources.
    pub origins: Origins,
}

/// Gathers what is known of a plan and works out what it costs. `wanted` is what users want; without a catalog and
/// without Nix, nothing is known.
///
/// # Errors
/// When a source fails that is there.
pub async fn plan_costs(
    plan: &Plan<'_>,
    wanted: Vec<Node>,
    catalog: Option<&Catalog>,
    nix: Option<&Nix>,
) -> Result<CostReport, CostsError> {
    let (inventory, graph) = (plan.inventory(), plan.inventory().graph());
    let mut gathered = Gathered::new(plan);
    let mut times = Times::default();
    if let Some(catalog) = catalog {
        gathered.origins.catalog = true;
        let kinds = Kinds::of(plan);
        let mut newest = vec![None; kinds.members.len()];
        catalog
            .known_outputs(|row| {
                gathered.measure(&row);
                if let Some(kind) = row.path.get(33..).and_then(|name| kinds.find(name)) {
                    newest[kind as usize] = Some(Earlier::of(&row));
                }
                if let Some(output) = graph.find_output(row.path)
                    && gathered.is_shown(output.index() as u32)
                {
                    gathered.record(output.index() as u32, &row, plan.policy());
                }
            })
            .await?;
        gathered.record_others(catalog, plan.policy()).await?;
        catalog.builds(|derivation, package, took| times.add(graph, derivation, package, took)).await?;
        if let Some(nix) = nix {
            gathered.ask_store(nix).await?;
        }
        gathered.estimate(&kinds, &newest);
    } else if let Some(nix) = nix {
        gathered.ask_store(nix).await?;
    }
    let withheld = |node: Node| plan.outcome_of(node).is_none_or(|outcome| outcome.verdict == Verdict::Withhold);
    let (withheld, fixed): (Vec<bool>, Vec<bool>) =
        graph.nodes().map(|node| (withheld(node), inventory.is_fixed(node))).unzip();
    let (paths, mut origins) = gathered.finish(&withheld);
    let known = Known {
        graph,
        inputs_first: plan.inputs_first(),
        in_scope: plan.scope(),
        times: times.finish(graph, |node| plan.scope()[node.index()] && !fixed[node.index()], &mut origins),
        fixed,
        withheld,
        wanted,
        paths,
    };
    Ok(CostReport { costs: costs(&known), origins })
}

/// An output as the catalog knows it, of a version that need not be that of the plan.
#[derive(Clone, Debug)]
struct Earlier {
    nar_size: Option<u64>,
    file_size: Option<u64>,
    references: String,
}

impl Earlier {
    fn of(row: &KnownOutput<'_>) -> Self {
        Self {
            nar_size: row.nar_size,
            file_size: row.file.map(|(_, size)| size),
            references: row.references.to_owned(),
        }
    }
}

/// What other versions of a path have in common with it: the name of the package, and what stands behind the version,
/// which is the name of an output (`-lib`) or the ending of a file (`gz`).
fn kind(name: &str) -> (&str, &str) {
    let package = package_name(name);
    let version = &name[package.len()..];
    let ending = version.rsplit_once('.').map(|(_, ending)| ending);
    let behind = || version.rfind(|c: char| c.is_ascii_digit()).map_or("", |last| &version[last + 1..]);
    let ending = ending.filter(|ending| ending.starts_with(|c: char| c.is_ascii_alphabetic()));
    (package, ending.unwrap_or_else(behind))
}

/// The outputs of a plan by what other versions of them would be called.
struct Kinds<'p> {
    numbers: HashMap<(&'p str, &'p str), u32>,
    /// The outputs, each with the place of its derivation in an order in which inputs come first.
    members: Vec<Vec<(u32, u32)>>,
}

impl<'p> Kinds<'p> {
    fn of(plan: &'p Plan<'_>) -> Self {
        let graph = plan.inventory().graph();
        let mut kinds = Self { numbers: HashMap::new(), members: Vec::new() };
        let places = plan.inputs_first().iter().zip(0u32..);
        for (node, place) in places.filter(|(node, _)| plan.scope()[node.index()]) {
            for path in graph.output_paths(*node) {
                let Some(name) = graph.output_base_name(path).get(33..) else { continue };
                let number = *kinds.numbers.entry(kind(name)).or_insert(kinds.members.len() as u32);
                if number as usize == kinds.members.len() {
                    kinds.members.push(Vec::new());
                }
                kinds.members[number as usize].push((path.index() as u32, place));
            }
        }
        // Names such as `source`, which have no version, are many things and tell nothing.
        let members = &kinds.members;
        kinds.numbers.retain(|(package, _), number| {
            let members = &members[*number as usize];
            let name = |path| Some(&graph.output_base_name(graph.output_path(path)?)[33..]);
            members.len() == 1 || members.iter().all(|(path, _)| name(*path).is_some_and(|name| name != *package))
        });
        kinds
    }

    /// Of which outputs of the plan a path of this name is another version.
    fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(&kind(name)).copied()
    }
}

/// What is known of the paths of a plan so far.
struct Gathered<'p> {
    plan: &'p Plan<'p>,
    paths: Vec<KnownPath>,
    /// Paths outside the graph, by number behind those of the graph.
    others: HashMap<String, u32>,
    unasked: Vec<(String, u32)>,
    /// Compressed files by name, and by the NAR's hash what is known of them.
    files: HashMap<String, u32>,
    nars: HashMap<String, (u32, Option<u64>)>,
    without_file: Vec<(u32, String)>,
    contents: u32,
    measured: (u64, u64),
    /// By output of the graph, whether it is part of the plan.
    is_shown: Vec<bool>,
    origins: Origins,
}

impl<'p> Gathered<'p> {
    fn new(plan: &'p Plan<'p>) -> Self {
        let graph = plan.inventory().graph();
        let mut is_shown = vec![false; graph.output_path_count()];
        for node in graph.nodes().filter(|node| plan.scope()[node.index()]) {
            graph.output_paths(node).for_each(|path| is_shown[path.index()] = true);
        }
        Self {
            plan,
            paths: vec![KnownPath::default(); graph.output_path_count()],
            others: HashMap::new(),
            unasked: Vec::new(),
            files: HashMap::new(),
            nars: HashMap::new(),
            without_file: Vec::new(),
            contents: 0,
            measured: (0, 0),
            is_shown,
            origins: Origins::default(),
        }
    }

    fn graph(&self) -> &'p FlatGraph {
        self.plan.inventory().graph()
    }

    /// Learns how well NARs compress here.
    fn measure(&mut self, row: &KnownOutput<'_>) {
        if let (Some(nar), Some((_, file))) = (row.nar_size, row.file) {
            self.measured = (self.measured.0.saturating_add(nar), self.measured.1.saturating_add(file));
        }
    }

    fn new_content(&mut self) -> u32 {
        self.contents += 1;
        self.contents
    }

    /// Takes what the catalog says of exactly this path.
    fn record(&mut self, path: u32, row: &KnownOutput<'_>, policy: &str) {
        let content = row.file.map(|(file, size)| {
            let content = match self.files.get(file) {
                Some(content) => *content,
                None => {
                    let content = self.new_content();
                    self.files.insert(file.to_owned(), content);
                    content
                }
            };
            self.nars.insert(row.nar_hash.to_owned(), (content, Some(size)));
            content
        });
        if content.is_none() {
            self.without_file.push((path, row.nar_hash.to_owned()));
        }
        let references = parse(row.references).map(|paths| paths.iter().map(|path| self.number(path)).collect());
        self.paths[path as usize] = KnownPath {
            nar_size: row.nar_size.map_or(Figure::Unknown, Figure::Exact),
            file_size: row.file.map_or(Figure::Unknown, |(_, size)| Figure::Exact(size)),
            content,
            uploaded: content.is_some(),
            // Of what no derivation of the plan makes, it says nothing else.
            withheld: row.withheld && (row.policy == policy || path as usize >= self.is_shown.len()),
            references,
        };
        self.origins.recorded += usize::from(row.nar_size.is_some() && self.is_shown(path));
    }

    fn is_shown(&self, path: u32) -> bool {
        self.is_shown.get(path as usize).is_some_and(|shown| *shown)
    }

    /// The number of a path that something refers to. One outside the graph is looked up later; until then nothing
    /// is known of it, and it is as good as withheld.
    fn number(&mut self, base_name: &str) -> u32 {
        if let Some(path) = self.graph().find_output(base_name) {
            return path.index() as u32;
        }
        if let Some(number) = self.others.get(base_name) {
            return *number;
        }
        let number = self.paths.len() as u32;
        self.paths.push(KnownPath { withheld: true, references: Some(Vec::new()), ..KnownPath::default() });
        self.others.insert(base_name.to_owned(), number);
        self.unasked.push((base_name.to_owned(), number));
        number
    }

    /// Looks up what outputs of the plan refer to and what no derivation of it makes, and what that refers to.
    async fn record_others(&mut self, catalog: &Catalog, policy: &str) -> Result<(), CatalogError> {
        while !self.unasked.is_empty() {
            let asked = std::mem::take(&mut self.unasked);
            let numbers: HashMap<&str, u32> = asked.iter().map(|(path, number)| (path.as_str(), *number)).collect();
            let mut paths: Vec<&str> = numbers.keys().copied().collect();
            paths.sort_unstable();
            catalog
                .known_outputs_among(&paths, |row| {
                    if let Some(number) = numbers.get(row.path) {
                        self.record(*number, &row, policy);
                    }
                })
                .await?;
        }
        Ok(())
    }

    /// Asks the local store about paths that the catalog does not know.
    async fn ask_store(&mut self, nix: &Nix) -> Result<(), NixError> {
        let graph = self.graph();
        let mut asked: HashMap<StorePath, u32> = HashMap::new();
        for node in graph.nodes().filter(|node| self.plan.scope()[node.index()]) {
            for path in graph.output_paths(node) {
                if self.paths[path.index()].nar_size == Figure::Unknown
                    && let Some(store_path) = narthex_closure::parse_store_path(graph.output_base_name(path))
                {
                    asked.insert(store_path, path.index() as u32);
                }
            }
        }
        let mut paths: Vec<StorePath> = asked.keys().cloned().collect();
        paths.sort();
        for (path, info) in nix.path_info(paths).await? {
            let Some(number) = asked.get(&path) else { continue };
            let references = info.references.iter().map(|reference| self.number(&reference.to_basename())).collect();
            self.without_file.push((*number, info.nar_hash.to_string()));
            let known = &mut self.paths[*number as usize];
            known.nar_size = Figure::Exact(info.nar_size);
            known.references = Some(references);
            self.origins.local += 1;
        }
        Ok(())
    }

    /// Estimates what is not known by the newest outputs of the same packages.
    fn estimate(&mut self, kinds: &Kinds<'_>, newest: &[Option<Earlier>]) {
        for ((members, earlier), own) in kinds.members.iter().zip(newest).zip(0u32..) {
            let Some(earlier) = earlier else { continue };
            let mut references: Option<Vec<u32>> = None;
            for (path, place) in members {
                if self.paths[*path as usize].nar_size != Figure::Unknown {
                    continue;
                }
                let Some(nar_size) = earlier.nar_size else { continue };
                let referred = references.get_or_insert_with(|| {
                    let names = parse(&earlier.references).unwrap_or_default();
                    let kinds = names.iter().filter_map(|name| kinds.find(name.get(33..)?));
                    kinds.filter(|kind| *kind != own).collect()
                });
                // Of several stages of a package, the last one that can be meant.
                let member = |kind: &u32| {
                    let members = &kinds.members[*kind as usize];
                    let before = members.partition_point(|(_, other)| other <= place);
                    members[..before].last().map(|(path, _)| *path)
                };
                self.paths[*path as usize] = KnownPath {
                    nar_size: Figure::Estimated(nar_size),
                    file_size: earlier.file_size.map_or(Figure::Unknown, Figure::Estimated),
                    references: Some(referred.iter().filter_map(member).collect()),
                    ..KnownPath::default()
                };
                self.origins.earlier += 1;
            }
        }
    }

    /// Fills in what follows: which paths share a file, and sizes of files by those of NARs.
    fn finish(mut self, withheld: &[bool]) -> (Vec<KnownPath>, Origins) {
        for (path, nar_hash) in std::mem::take(&mut self.without_file) {
            let next = self.contents + 1;
            let (content, size) = *self.nars.entry(nar_hash).or_insert((next, None));
            self.contents = self.contents.max(content);
            let path = &mut self.paths[path as usize];
            path.content = Some(content);
            path.file_size = size.map_or(path.file_size, Figure::Exact);
        }
        let (nars, files) = self.measured;
        if nars > 0 {
            self.origins.compression = Some((nars, files));
            for path in self.paths.iter_mut().filter(|path| path.file_size == Figure::Unknown) {
                if let Some(size) = path.nar_size.value() {
                    let size = u128::from(size) * u128::from(files) / u128::from(nars);
                    path.file_size = Figure::Estimated(u64::try_from(size).unwrap_or(u64::MAX));
                }
            }
        }
        let graph = self.graph();
        let mut permitted = vec![false; graph.output_path_count()];
        for node in graph.nodes().filter(|node| !withheld[node.index()]) {
            graph.output_paths(node).for_each(|path| permitted[path.index()] = true);
        }
        for ((path, _), permitted) in
            self.paths.iter().zip(&self.is_shown).zip(&permitted).filter(|((_, shown), _)| **shown)
        {
            self.origins.unknown += usize::from(path.nar_size == Figure::Unknown);
            self.origins.references_unknown += usize::from(path.references.is_none());
            self.origins.withheld_before += usize::from(path.withheld && *permitted);
        }
        (self.paths, self.origins)
    }
}

/// A JSON list of paths.
fn parse(references: &str) -> Option<Vec<Cow<'_, str>>> {
    serde_json::from_str(references).ok()
}

/// How long builds took.
#[derive(Default)]
struct Times {
    own: HashMap<Node, u64>,
    by_package: HashMap<String, Vec<u64>>,
}

impl Times {
    fn add(&mut self, graph: &FlatGraph, derivation: &str, package: &str, took: u64) {
        if let Some(node) = graph.find(derivation) {
            self.own.insert(node, took);
        }
        match self.by_package.get_mut(package) {
            Some(times) => times.push(took),
            None => {
                self.by_package.insert(package.to_owned(), vec![took]);
            }
        }
    }

    /// By derivation: its own time, else the median of its package.
    fn finish(self, graph: &FlatGraph, is_build: impl Fn(Node) -> bool, origins: &mut Origins) -> Vec<Figure> {
        let median = |(package, mut times): (String, Vec<u64>)| {
            times.sort_unstable();
            let (low, high) = (times[(times.len() - 1) / 2], times[times.len() / 2]);
            (package, low + (high - low) / 2)
        };
        let medians: HashMap<String, u64> = self.by_package.into_iter().map(median).collect();
        let time = |node: Node| match self.own.get(&node) {
            Some(took) => Figure::Exact(*took),
            None => {
                medians.get(package_name(graph.name(node))).map_or(Figure::Unknown, |took| Figure::Estimated(*took))
            }
        };
        let times: Vec<Figure> = graph.nodes().map(time).collect();
        for node in graph.nodes().filter(|node| is_build(*node)) {
            match times[node.index()] {
                Figure::Exact(_) => origins.timed += 1,
                Figure::Estimated(_) => origins.timed_by_package += 1,
                Figure::Unknown => origins.untimed += 1,
            }
        }
        times
    }
}

#[cfg(test)]
mod tests;
