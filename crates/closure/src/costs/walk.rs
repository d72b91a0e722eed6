//! What a user fetches, builds and keeps, who has nothing yet: once as the plan is, once as if nothing were withheld.
//!
//! It follows [`plan_fill`](crate::plan_fill): what is published is fetched with all that it refers to, what is withheld is
//! built from its inputs, and the inputs of what is fetched are nobody's concern. The graph of a plan does not say
//! which outputs of an input a build uses, so that all of them count; where references are not known, the inputs count
//! instead, without sources. Both make the result larger and never smaller.

use super::{Audience, BuildTime, Figure, Known, Share, Tally};
use crate::Node;

/// What it takes to get to what is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Download from the cache in bytes. Each path is fetched by itself, also where two have the same NAR.
    pub download: Tally,
    /// Sources that the cache does not have and that come from their vendors, in bytes of their NARs.
    pub from_origin: Tally,
    /// Builds on the user's machine.
    pub build: BuildTime,
    /// Room in the user's store in bytes.
    pub disk: Tally,
}

/// How one way differs from another. What both have is not asked for, so that this may be known where neither sum is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What comes in addition.
    pub more: Tally,
    /// What is spared.
    pub less: Tally,
}

/// What a user needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserCosts {
    /// As the plan is.
    pub with_holes: Way,
    /// If nothing were withheld; then nothing comes from vendors and nothing is built.
    pub all_published: Way,
    /// What withholding changes in the download from the cache.
    pub download: Change,
    /// What withholding changes in the room in the store.
    pub disk: Change,
}

impl UserCosts {
    /// What one update costs the users of a model; the room on disk is that of all they use.
    #[must_use]
    pub fn per_update(&self, audience: &Audience) -> Self {
        let shares = [audience.closure_share, audience.change_share];
        let way = |way: &Way| Way {
            download: way.download.scaled(&shares),
            from_origin: way.from_origin.scaled(&shares),
            build: BuildTime { total: way.build.total.scaled(&shares), ..way.build },
            disk: way.disk.scaled(&shares[..1]),
        };
        let change = |change: &Change, shares: &[Share]| Change {
            more: change.more.scaled(shares),
            less: change.less.scaled(shares),
        };
        Self {
            with_holes: way(&self.with_holes),
            all_published: way(&self.all_published),
            download: change(&self.download, &shares),
            disk: change(&self.disk, &shares[..1]),
        }
    }
}

/// Works out both ways.
pub(super) fn user(known: &Known<'_>, makers: &[Option<Node>]) -> UserCosts {
    let (with_holes, all_published) = (walk(known, makers, false), walk(known, makers, true));
    let mut costs =
        UserCosts { with_holes: with_holes.sum(), all_published: all_published.sum(), ..UserCosts::default() };
    for (path, facts) in known.paths.iter().enumerate() {
        let (one, other) = (with_holes.place(path), all_published.place(path));
        costs.download.compare(one == Place::Fetched, other == Place::Fetched, facts.file_size);
        costs.disk.compare(one != Place::Nowhere, other != Place::Nowhere, facts.nar_size);
    }
    for change in [&mut costs.download, &mut costs.disk] {
        change.more.add_unknown(with_holes.unknown.saturating_sub(all_published.unknown));
        change.less.add_unknown(all_published.unknown.saturating_sub(with_holes.unknown));
    }
    costs
}

impl Change {
    fn compare(&mut self, one: bool, other: bool, figure: Figure) {
        match (one, other) {
            (true, false) => self.more.add(figure),
            (false, true) => self.less.add(figure),
            _ => {}
        }
    }
}

/// Where a path comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is not needed, or there already.
    Nowhere,
    /// The cache.
    Fetched,
    /// Its vendor.
    Origin,
    /// A build on the user's machine.
    Built,
}

fn walk<'k>(known: &'k Known<'k>, makers: &'k [Option<Node>], all_published: bool) -> Walk<'k> {
    let mut walk = Walk {
        known,
        makers,
        all_published,
        seen: vec![false; known.paths.len()],
        todo: Vec::new(),
        entered: vec![false; known.graph.len()],
        built: vec![false; known.graph.len()],
        opened: vec![false; known.graph.len()],
        unknown: 0,
    };
    for node in &known.wanted {
        walk.want(*node);
    }
    while let Some(path) = walk.todo.pop() {
        walk.visit(path as usize);
    }
    walk
}

struct Walk<'k> {
    known: &'k Known<'k>,
    makers: &'k [Option<Node>],
    all_published: bool,
    /// By path, whether it is needed.
    seen: Vec<bool>,
    todo: Vec<u32>,
    /// By derivation, whether all its outputs are needed.
    entered: Vec<bool>,
    /// By derivation, whether it is built here.
    built: Vec<bool>,
    /// By derivation, whether its inputs stand in for references that nobody knows.
    opened: Vec<bool>,
    /// Outputs to fetch of which not even the path is known.
    unknown: usize,
}

impl Walk<'_> {
    /// All outputs of a derivation are needed.
    fn want(&mut self, node: Node) {
        if std::mem::replace(&mut self.entered[node.index()], true) {
            return;
        }
        let graph = self.known.graph;
        for path in graph.output_paths(node) {
            if !std::mem::replace(&mut self.seen[path.index()], true) {
                self.todo.push(path.index() as u32);
            }
        }
        // What nobody described makes at least one path.
        let hidden = if graph.is_described(node) { graph.outputs_without_path(node) } else { 1 };
        if hidden > 0 {
            if self.known.withheld[node.index()] && !self.all_published && graph.is_described(node) {
                self.build(node);
            } else {
                self.unknown += hidden;
                self.open(node);
            }
        }
    }

    fn visit(&mut self, path: usize) {
        let (known, maker) = (&self.known.paths[path], self.makers[path]);
        let withheld = known.withheld || maker.is_some_and(|maker| self.known.withheld[maker.index()]);
        match (maker, &known.references) {
            (Some(maker), _) if withheld && !self.all_published => self.build(maker),
            (_, Some(references)) => {
                for reference in references {
                    if let Some(seen) = self.seen.get_mut(*reference as usize)
                        && !std::mem::replace(seen, true)
                    {
                        self.todo.push(*reference);
                    }
                }
            }
            (Some(maker), None) => self.open(maker),
            (None, None) => {}
        }
    }

    fn build(&mut self, node: Node) {
        if !std::mem::replace(&mut self.built[node.index()], true) {
            let graph = self.known.graph;
            graph.inputs(node).for_each(|input| self.want(input));
            // A build makes all of its outputs, and they are what it refers to itself.
            self.entered[node.index()] = true;
            for path in graph.output_paths(node) {
                self.seen[path.index()] = true;
            }
        }
    }

    /// Takes all inputs but sources for references. What was fixed by its hash refers to nothing.
    fn open(&mut self, node: Node) {
        if self.known.fixed[node.index()] || std::mem::replace(&mut self.opened[node.index()], true) {
            return;
        }
        let graph = self.known.graph;
        for input in graph.inputs(node).filter(|input| !self.known.fixed[input.index()]) {
            self.want(input);
        }
    }

    fn place(&self, path: usize) -> Place {
        match self.makers[path] {
            _ if !self.seen[path] => Place::Nowhere,
            Some(maker) if self.built[maker.index()] && self.known.fixed[maker.index()] => Place::Origin,
            Some(maker) if self.built[maker.index()] => Place::Built,
            // A withheld file that nothing makes was put into the store by evaluating.
            None if self.known.paths[path].withheld => Place::Nowhere,
            _ => Place::Fetched,
        }
    }

    fn sum(&self) -> Way {
        let (known, mut way) = (self.known, Way::default());
        for (path, facts) in known.paths.iter().enumerate() {
            match self.place(path) {
                Place::Nowhere => continue,
                Place::Fetched => way.download.add(facts.file_size),
                Place::Origin => way.from_origin.add(facts.nar_size),
                Place::Built => {}
            }
            way.disk.add(facts.nar_size);
        }
        way.download.add_unknown(self.unknown);
        way.disk.add_unknown(self.unknown);
        let is_build = |node: Node| self.built[node.index()] && !known.fixed[node.index()];
        for node in known.graph.nodes().filter(|node| self.built[node.index()]) {
            way.disk.add_unknown(known.graph.outputs_without_path(node));
            if is_build(node) {
                way.build.total.add(known.times[node.index()]);
            }
        }
        way.build.chain = if way.build.total.of == 0 { 0 } else { known.chain(is_build) };
        way
    }
}
