//! What each derivation of a set goes by: what it declares itself, or a rule for what declares nothing.
//!
//! - A fixed-output derivation is a source and takes the facts of the packages that use it.
//! - Another build of a package (the same name from the same sources, or one that is said to be made from it)
//!   takes the facts of that package, unless something that is not free went in that the package does not have.
//! - What has no source of its own, and is made from free packages alone, is *made from free inputs*.
//! - All else is unknown: what depends on a derivation that is missing or made of itself, and what an evaluation never came
//!   across, since it may well declare something.
//!
//! A source of one's own is a fixed-output derivation among the direct inputs, or a local file. Where local files are
//! not told, only what calls itself trivial to build counts as having none. What a standard environment is made
//! from is not asked: it puts the same into every package, the declared ones among them.
//!
//! Pure, linear in the edges, and without recursion.

use crate::inventory::{Inventory, NOTHING, classes};
use narthex_closure::{Node, Order, OutputPath, Users};
use narthex_license::{Class, LicenseFacts, Reading};
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

mod obstacles;
mod witnesses;

pub(crate) use obstacles::obstacles;
use witnesses::{Witnesses, is_hook_name, is_hook_script, is_published_hook, is_script_of_a_hook};

/// What a derivation goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// What it declares, by its place among the facts.
    Declared(u32),
    /// It is a source, and goes by the packages made from it.
    Source,
    /// It has no source of its own and free inputs only.
    MadeFromFree,
    /// It is another build of this package, and goes by these facts.
    Original(Node, u32),
    /// It has a source of its own and declares nothing.
    OwnSource,
    /// It has no source of its own, but something that is not known to be free went in.
    NotFree,
    /// Whether it has a source of its own, or what it is made from, cannot be told.
    Untold,
    /// Only a text led to it, so that nobody could ask what it declares.
    Unreached,
    /// One of its paths is made by another derivation as well, of which something else holds.
    Disputed,
    /// It needs this derivation, which is missing or made of itself.
    Incomplete(Node),
    /// Nobody described it.
    Missing,
}

/// How many derivations were settled by which rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rulings(BTreeMap<&'static str, usize>);

impl Rulings {
    /// Rules in words, with the number of derivations that go by each.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        self.0.iter().map(|(rule, count)| (*rule, *count))
    }

    fn count(standings: impl Iterator<Item = Standing>) -> Self {
        let mut counts = BTreeMap::new();
        for standing in standings {
            *counts.entry(standing.rule()).or_insert(0) += 1;
        }
        Self(counts)
    }
}

impl Standing {
    /// The rule, in words.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Standing::Declared(_) => "declared",
            Standing::Source => "source of the packages made from it",
            Standing::MadeFromFree => "made from free inputs",
            Standing::Original(..) => "another build of a declared package",
            Standing::OwnSource => "unknown: has a source and declares no license",
            Standing::NotFree => "unknown: no source of its own, but inputs that are not known to be free",
            Standing::Untold => "unknown: whether it has a source of its own is not told",
            Standing::Unreached => "unknown: only a text names it, so that what it declares is not told",
            Standing::Disputed => "unknown: shares a path with another derivation",
            Standing::Incomplete(_) => "unknown: needs something that is missing or made of itself",
            Standing::Missing => "missing",
        }
    }
}

/// What all derivations of an inventory go by.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) standings: Vec<Standing>,
    /// By derivation, the place among the facts of what holds for it as declared, or `NOTHING`.
    declared: Vec<u32>,
    /// Those of the inventory, and what was put together from them.
    pub(crate) facts: Vec<LicenseFacts>,
    pub(crate) classes: Vec<Class>,
    pub(crate) users: Users,
    pub(crate) order: Order,
    /// Derivations that make one path together with others.
    pub(crate) together: HashMap<OutputPath, Vec<Node>>,
    merged: HashMap<Vec<u32>, u32>,
    taints: Vec<Taint>,
}

/// What is declared of what went into something, through nothing that declares a license: the worst of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Taint {
    Clean,
    /// A license that nobody knows, or a source of which nobody declares one.
    Unknown,
    NotFree,
}

impl Settlement {
    pub(crate) fn standing(&self, node: Node) -> Standing {
        self.standings[node.index()]
    }

    /// What its own standing comes to; for a source, only the packages that use it can tell.
    pub(crate) fn class(&self, node: Node) -> Class {
        match self.standing(node) {
            Standing::Declared(facts) | Standing::Original(_, facts) => self.classes[facts as usize],
            Standing::MadeFromFree => Class::MadeFromFree,
            _ => Class::Unknown,
        }
    }

    /// The same with classes as a policy reads lists of licenses. What is made from free inputs was settled by the strict
    /// reading: nobody can choose a license for what went into it.
    pub(crate) fn read_as(mut self, reading: Reading) -> Self {
        if reading != Reading::Strict {
            self.classes = self.facts.iter().map(|facts| facts.class_under(reading)).collect();
        }
        self
    }

    pub(crate) fn rulings(&self, inventory: &Inventory, scope: impl Fn(Node) -> bool) -> Rulings {
        Rulings::count(inventory.graph.nodes().filter(|node| scope(*node)).map(|node| self.standing(node)))
    }

    /// The place of what holds for it as declared among the facts, whatever else may keep it from going by them.
    pub(crate) fn declared(&self, node: Node) -> Option<u32> {
        Some(self.declared[node.index()]).filter(|facts| *facts != NOTHING)
    }

    /// What several derivations declare, together: the place of it among the facts.
    fn merged(&mut self, mut facts: Vec<u32>) -> Option<u32> {
        // By what they say, since numbers follow the order of reading.
        facts.sort_by_cached_key(|facts| format!("{:?}", self.facts[*facts as usize]));
        facts.dedup();
        match facts.as_slice() {
            [] => None,
            [one] => Some(*one),
            _ => {
                if let Some(known) = self.merged.get(&facts) {
                    return Some(*known);
                }
                let merged =
                    facts.iter().map(|facts| self.facts[*facts as usize].clone()).reduce(LicenseFacts::merge)?;
                let place = self.add(merged);
                self.merged.insert(facts, place);
                Some(place)
            }
        }
    }

    fn add(&mut self, facts: LicenseFacts) -> u32 {
        self.classes.push(facts.class());
        self.facts.push(facts);
        self.facts.len() as u32 - 1
    }

    fn is_free_or_silent(&self, node: Node) -> bool {
        self.declared(node).is_none_or(|facts| self.classes[facts as usize] == Class::Free)
    }

    fn is_free(&self, node: Node) -> bool {
        matches!(self.class(node), Class::Free | Class::MadeFromFree)
    }

    /// Whether something that is declared not to be free went into it, through nothing that declares a license.
    fn is_tainted(&self, node: Node) -> bool {
        self.taints[node.index()] == Taint::NotFree
    }

    /// The same, also of what is declared under a license that nobody knows, and of sources of which nothing is declared.
    fn is_doubtful(&self, node: Node) -> bool {
        self.taints[node.index()] != Taint::Clean
    }

    fn taint<'i>(&mut self, inventory: &'i Inventory, witnesses: &mut Witnesses<'i>, node: Node) {
        let of_class = |class| match class {
            Class::Redistributable | Class::Restricted => Taint::NotFree,
            Class::Unknown => Taint::Unknown,
            Class::Free | Class::MadeFromFree => Taint::Clean,
        };
        let settlement: &Self = self;
        self.taints[node.index()] = match settlement.standing(node) {
            Standing::Declared(_) | Standing::Original(..) => of_class(settlement.class(node)),
            // As what is declared of the packages that are made from it.
            Standing::Source => {
                // Whichever derivation fetches the same bytes.
                let others =
                    inventory.graph.output_paths(node).filter_map(|path| settlement.together.get(&path)).flatten();
                let fetchers = std::iter::once(&node).chain(others);
                let users = fetchers.flat_map(|fetcher| settlement.users.of(*fetcher));
                let declared = users.filter_map(|user| settlement.declared(user));
                let is_closed = |facts: u32| of_class(settlement.classes[facts as usize]) == Taint::NotFree;
                if declared.into_iter().any(is_closed) { Taint::NotFree } else { Taint::Clean }
            }
            _ => {
                // A license that nobody knows is in every standard environment of nixpkgs: one that it calls `GPL`, say.
                let of_input = |input: Node| match settlement.taints[input.index()] {
                    Taint::Unknown if witnesses.is_environment(inventory, settlement, input) => Taint::Clean,
                    taint => taint,
                };
                // Of a source or a file that is no script, nobody declares anything.
                let has_own = has_fixed_source(inventory, node) || inventory.has_local_file(node);
                let own = if has_own { Taint::Unknown } else { Taint::Clean };
                inventory.graph.inputs(node).map(of_input).max().unwrap_or(Taint::Clean).max(own)
            }
        };
    }
}

/// Settles what every derivation of the inventory goes by.
pub(crate) fn settle(inventory: &Inventory) -> Settlement {
    let graph = &inventory.graph;
    let users = graph.users();
    let order = graph.order(&users);
    let mut settlement = Settlement {
        standings: vec![Standing::Missing; graph.len()],
        facts: inventory.facts.clone(),
        classes: classes(&inventory.facts),
        users,
        together: together(inventory),
        declared: graph.nodes().map(|node| inventory.declared(node).unwrap_or(NOTHING)).collect(),
        merged: HashMap::new(),
        taints: vec![Taint::Clean; graph.len()],
        order,
    };
    share(inventory, &mut settlement);
    for node in disputed(inventory, &settlement) {
        settlement.standings[node.index()] = Standing::Disputed;
    }
    let mut originals = Originals::of(inventory, &settlement);
    let mut witnesses = Witnesses::of(inventory, &settlement);
    let order = std::mem::take(&mut settlement.order.inputs_first);
    for node in &order {
        let disputed = settlement.standing(*node) == Standing::Disputed;
        let fault = fault(inventory, &settlement, *node);
        settlement.standings[node.index()] = match (fault, settlement.declared(*node)) {
            _ if !graph.is_described(*node) => Standing::Missing,
            (Some(fault), _) => Standing::Incomplete(fault),
            _ if disputed => Standing::Disputed,
            (_, Some(facts)) => Standing::Declared(facts),
            _ if inventory.is_fixed(*node) => Standing::Source,
            _ => by_rule(inventory, &mut settlement, &mut originals, &mut witnesses, *node),
        };
        settlement.taint(inventory, &mut witnesses, *node);
    }
    settlement.order.inputs_first = order;
    for node in settlement.order.cyclic.clone() {
        settlement.standings[node.index()] = Standing::Incomplete(node);
    }
    if let Some(culprit) = graph.sorted(settlement.order.cyclic.iter().copied()).first() {
        for node in settlement.order.behind_cycles.clone() {
            settlement.standings[node.index()] = Standing::Incomplete(*culprit);
        }
    }
    settlement
}

/// Of several things that are missing below a derivation, the first by its path.
fn fault(inventory: &Inventory, settlement: &Settlement, node: Node) -> Option<Node> {
    let of = |input: Node| match settlement.standing(input) {
        Standing::Missing => Some(input),
        Standing::Incomplete(fault) => Some(fault),
        _ => None,
    };
    let faults = inventory.graph.inputs(node).filter_map(of);
    faults.min_by(|a, b| inventory.graph.base_name(*a).cmp(inventory.graph.base_name(*b)))
}

/// For what declares nothing and is no source.
fn by_rule<'i>(
    inventory: &'i Inventory,
    settlement: &mut Settlement,
    originals: &mut Originals<'i>,
    witnesses: &mut Witnesses<'i>,
    node: Node,
) -> Standing {
    if let Ok((original, facts)) = originals.find(inventory, settlement, witnesses, node) {
        return Standing::Original(original, facts);
    }
    if !witnesses.was_asked(inventory, node) {
        return Standing::Unreached;
    }
    let is_hook = is_published_hook(inventory, settlement, node);
    if has_fixed_source(inventory, node) || (inventory.has_local_source(node) && !is_hook) {
        return Standing::OwnSource;
    }
    if !(is_hook || inventory.has_no_local_source(node)) || !inventory.are_inputs_told(node) {
        return Standing::Untold;
    }
    let settlement: &Settlement = settlement;
    let mut harmless = |input: Node| is_harmless(inventory, settlement, witnesses, input);
    if inventory.graph.inputs(node).all(&mut harmless) { Standing::MadeFromFree } else { Standing::NotFree }
}

/// Whether an input puts nothing into what is built with it that is not known to be free.
fn is_harmless<'i>(
    inventory: &'i Inventory,
    settlement: &Settlement,
    witnesses: &mut Witnesses<'i>,
    input: Node,
) -> bool {
    settlement.is_free(input)
        || witnesses.is_environment(inventory, settlement, input)
        || is_hook_script(inventory, settlement, witnesses, input)
}

fn has_fixed_source(inventory: &Inventory, node: Node) -> bool {
    inventory.graph.inputs(node).any(|input| inventory.is_fixed(input))
}

/// Declared packages by name and sources, as far as there are other derivations with that name.
struct Originals<'i> {
    declared: HashMap<(&'i str, Vec<OutputPath>), Rc<Kin>>,
}

/// Packages that something else may be another build of.
#[derive(Default)]
struct Kin {
    packages: Vec<Node>,
    /// What holds for it: worked out when it is first asked for.
    holds: OnceCell<Option<Holds>>,
}

/// What all packages of a kin have.
struct Holds {
    first: Node,
    facts: u32,
    inputs: HashSet<Node>,
}

impl Kin {
    fn holds(&self, inventory: &Inventory, settlement: &mut Settlement) -> Option<&Holds> {
        self.holds.get_or_init(|| {
            let graph = &inventory.graph;
            let facts = self.packages.iter().filter_map(|package| settlement.declared(*package)).collect();
            let facts = settlement.merged(facts)?;
            let first = *graph.sorted(self.packages.iter().copied()).first()?;
            let mut inputs: HashSet<Node> = graph.inputs(first).collect();
            for package in &self.packages {
                let theirs: HashSet<Node> = graph.inputs(*package).collect();
                inputs.retain(|input| theirs.contains(input));
            }
            Some(Holds { first, facts, inputs })
        });
        self.holds.get()?.as_ref()
    }
}

impl<'i> Originals<'i> {
    fn of(inventory: &'i Inventory, settlement: &Settlement) -> Self {
        let graph = &inventory.graph;
        let package = |node: &Node| graph.is_described(*node) && !inventory.is_fixed(*node);
        let silent = graph.nodes().filter(|node| settlement.declared(*node).is_none()).filter(package);
        let wanted: HashSet<&str> = silent.map(|node| graph.name(node)).collect();
        let mut declared: HashMap<_, Kin> = HashMap::new();
        for node in graph.nodes().filter(package).filter(|node| settlement.declared(*node).is_some()) {
            let name = graph.name(node);
            if wanted.contains(name) {
                let sources = sources(inventory, node);
                declared.entry((name, sources)).or_default().packages.push(node);
            }
        }
        Self { declared: declared.into_iter().map(|(key, kin)| (key, Rc::new(kin))).collect() }
    }

    /// The package that something is another build of, and the facts that it goes by; or the package that it would be
    /// another build of, but for an input.
    fn find(
        &mut self,
        inventory: &'i Inventory,
        settlement: &mut Settlement,
        witnesses: &mut Witnesses<'i>,
        node: Node,
    ) -> Result<(Node, u32), Option<(Node, Node)>> {
        let graph = &inventory.graph;
        if inventory.reads_undeclared(node) {
            return Err(None);
        }
        let kin = match said_original(inventory, settlement, node) {
            // With a source that the package has not, it is something else.
            Some(original) => {
                let theirs = sources(inventory, original);
                let is_alike = sources(inventory, node).iter().all(|source| theirs.contains(source))
                    && (inventory.has_no_local_source(node) || inventory.are_local_sources_told(node));
                is_alike.then(|| Rc::new(Kin { packages: vec![original], holds: OnceCell::new() })).ok_or(None)?
            }
            None => {
                let sources = sources(inventory, node);
                // Without anything fetched, files of the package set tell what it is, and all of them have to be known.
                let by_files = || inventory.are_local_sources_told(node) && inventory.has_local_source(node);
                if sources.is_empty() && !by_files() {
                    return Err(None);
                }
                Rc::clone(self.declared.get(&(graph.name(node), sources)).ok_or(None)?)
            }
        };
        if !kin.packages.iter().all(|package| inventory.has_local_sources_of(node, *package)) {
            return Err(None);
        }
        let holds = kin.holds(inventory, settlement).ok_or(None)?;
        let settlement: &Settlement = settlement;
        // An edition of its own has more in it than the package; nobody could ask it about that.
        let theirs: Option<HashSet<&str>> = inventory.is_unreached(node).then(|| {
            let inputs = kin.packages.iter().flat_map(|package| graph.inputs(*package));
            inputs.map(|input| graph.name(input)).collect()
        });
        let is_more = |input: Node| {
            theirs.as_ref().is_some_and(|theirs| !theirs.contains(graph.name(input)))
                && !is_script_of_a_hook(inventory, settlement, input)
        };
        let is_unclear = |input: Node| match settlement.standing(input) {
            Standing::OwnSource | Standing::NotFree | Standing::Untold | Standing::Original(..) => {
                settlement.is_tainted(input)
            }
            // Nobody could ask it, so that it has to show whose build it is: by sources, or by being a hook without any.
            Standing::Unreached => {
                let is_known = has_fixed_source(inventory, input)
                    || inventory.has_local_source(input)
                    || (is_hook_name(graph.name(input)) && !inventory.has_local_file(input));
                settlement.is_tainted(input) || !inventory.are_local_sources_told(input) || !is_known
            }
            _ => true,
        };
        // What standard environments are made from is not asked, and the early stages are built with it.
        let mut seeds: Option<HashSet<Node>> = None;
        for input in graph.inputs(node).filter(|input| !holds.inputs.contains(input)) {
            let is_kin = match settlement.standing(input) {
                Standing::Original(original, _) => kin.packages.contains(&original),
                _ => kin.packages.contains(&input),
            };
            // Of an input of the package, in another stage of a bootstrap: by the same name from the same sources.
            let is_another_build = || {
                let alike = |theirs: &Node| {
                    graph.name(*theirs) == graph.name(input)
                        && inventory.has_local_sources_of(input, *theirs)
                        && sources(inventory, *theirs) == sources(inventory, input)
                };
                !is_unclear(input) && holds.inputs.iter().any(alike)
            };
            // A source without a path cannot be compared with those of the package.
            let is_source = inventory.is_fixed(input) && graph.output_paths(input).next().is_some();
            let harmless = is_kin
                || is_source
                || is_hook_script(inventory, settlement, witnesses, input)
                || (settlement.is_free(input) && !is_more(input))
                || witnesses.is_environment(inventory, settlement, input)
                || is_another_build()
                || seeds
                    .get_or_insert_with(|| {
                        let environments =
                            graph.inputs(node).filter(|input| witnesses.is_environment(inventory, settlement, *input));
                        environments.flat_map(|environment| graph.inputs(environment)).collect()
                    })
                    .contains(&input);
            if !harmless {
                return Err(Some((holds.first, input)));
            }
        }
        Ok((holds.first, holds.facts))
    }
}

/// The package that a derivation is said to be made from, and is made from: that of a wrapper of a wrapper, too.
fn said_original(inventory: &Inventory, settlement: &Settlement, node: Node) -> Option<Node> {
    let of = *inventory.made_from.get(&node)?;
    if !inventory.graph.inputs(node).any(|input| input == of) {
        return None;
    }
    match settlement.standing(of) {
        Standing::Declared(_) => Some(of),
        Standing::Original(original, _) => Some(original),
        _ => None,
    }
}

/// The paths of its fetched sources. The same source fetched by two derivations is one path.
fn sources(inventory: &Inventory, node: Node) -> Vec<OutputPath> {
    let graph = &inventory.graph;
    let fixed = graph.inputs(node).filter(|input| inventory.is_fixed(*input));
    let mut paths: Vec<OutputPath> = fixed.flat_map(|input| graph.output_paths(input)).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn together(inventory: &Inventory) -> HashMap<OutputPath, Vec<Node>> {
    let graph = &inventory.graph;
    let mut first: Vec<Option<Node>> = vec![None; graph.output_path_count()];
    let mut together: HashMap<OutputPath, Vec<Node>> = HashMap::new();
    for node in graph.nodes() {
        for path in graph.output_paths(node) {
            match &mut first[path.index()] {
                Some(first) => together.entry(path).or_insert_with(|| vec![*first]).push(node),
                free => *free = Some(node),
            }
        }
    }
    together
}

/// What makes the same path is the same build, but for how its sources are fetched, and what fetches the same path fetches the
/// same bytes: what one declares holds for all, and what several declare holds together. So it is with what shares a path
/// with one of these. What is fetched by one and built by another is neither.
fn share(inventory: &Inventory, settlement: &mut Settlement) {
    let mut makers: Vec<Vec<Node>> = settlement.together.values().cloned().collect();
    makers.retain(|makers| makers.iter().all(|node| inventory.is_fixed(*node) == inventory.is_fixed(makers[0])));
    // By numbers of the groups that each derivation is in, which lead from one group to the next.
    let mut groups: HashMap<Node, Vec<usize>> = HashMap::new();
    for (number, makers) in makers.iter().enumerate() {
        makers.iter().for_each(|node| groups.entry(*node).or_default().push(number));
    }
    let mut is_done = vec![false; makers.len()];
    for first in 0..makers.len() {
        let (mut todo, mut all) = (vec![first], Vec::new());
        while let Some(group) = todo.pop() {
            if !std::mem::replace(&mut is_done[group], true) {
                all.extend(&makers[group]);
                todo.extend(makers[group].iter().flat_map(|node| &groups[node]));
            }
        }
        let said: Vec<u32> = all.iter().filter_map(|node| settlement.declared(*node)).collect();
        let license = |facts: u32| &settlement.facts[facts as usize].license;
        let differ = said.iter().any(|facts| license(*facts) != license(said[0]));
        if let Some(mut facts) = settlement.merged(said) {
            if differ {
                facts = settlement.add(LicenseFacts { disputed: true, ..settlement.facts[facts as usize].clone() });
            }
            all.iter().for_each(|node| settlement.declared[node.index()] = facts);
        }
    }
}

/// A source of one package and the product of another: nobody can say what it is.
fn disputed(inventory: &Inventory, settlement: &Settlement) -> Vec<Node> {
    let mut disputed = Vec::new();
    for makers in settlement.together.values() {
        if !makers.iter().all(|node| inventory.is_fixed(*node) == inventory.is_fixed(makers[0])) {
            disputed.extend(makers);
        }
    }
    disputed
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unasked;
