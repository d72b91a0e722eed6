//! What would happen, by licenses alone and without building.

use crate::inventory::Inventory;
use crate::package_set::{PackageSet, Role};
use crate::settle::{Rulings, Settlement, Standing, settle};
use narthex_closure::{Node, StorePath};
use narthex_license::{Class, Expr, LicenseFacts};
use narthex_nix::EvalError;
use narthex_policy::{Action, Case, Code, Effect, Provenance, Reason, Rules, Source, SourceUser, Verdict, forecast};
use std::collections::{BTreeMap, BTreeSet};

/// The forecast for a set of derivations. Verdicts are ready; all that takes room is worked out when it is
/// asked for.
#[derive(Debug)]
pub struct Plan<'a> {
    inventory: &'a Inventory,
    rules: &'a Rules,
    settlement: Settlement,
    /// What is not there and should be.
    errors: &'a [EvalError],
    /// By derivation; `None` where nobody described it.
    outcomes: Vec<Option<Outcome>>,
    in_scope: Vec<bool>,
    /// Places of attributes among the jobs, in the order of derivations and attributes.
    attrs: Vec<u32>,
    /// By derivation, where its attributes begin; one more for the end.
    attr_starts: Vec<u32>,
}

/// What a derivation comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Publish or withhold.
    pub verdict: Verdict,
    /// The code of the reason that decides.
    pub code: Code,
    /// What its license comes to; for a source, the strictest of the packages made from it.
    pub class: Class,
}

/// How a derivation came to what decides about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Declared,
    Original,
    Incomplete,
    Rule,
}

impl<'a> Plan<'a> {
    /// Forecasts the decision about every derivation; with `targets`, only those and what they are made of are
    /// shown. The others still tell what is made from a source.
    pub fn new(inventory: &'a Inventory, rules: &'a Rules, targets: Option<&[Node]>) -> Self {
        let graph = &inventory.graph;
        let in_scope = match targets {
            None => vec![true; graph.len()],
            Some(targets) => graph.closure(targets.iter().copied()),
        };
        let jobs = inventory.jobs().iter().zip(0u32..);
        let mut attrs: Vec<(Node, u32)> = jobs.map(|((_, node), index)| (*node, index)).collect();
        attrs.sort_unstable();
        let mut attr_starts = vec![0; graph.len() + 1];
        attrs.iter().for_each(|(node, _)| attr_starts[node.index() + 1] += 1);
        let mut total = 0;
        for start in &mut attr_starts {
            total += *start;
            *start = total;
        }
        let mut plan = Self {
            inventory,
            rules,
            errors: inventory.errors(),
            settlement: settle(inventory).read_as(rules.policy().lists()),
            outcomes: vec![None; graph.len()],
            in_scope,
            attrs: attrs.into_iter().map(|(_, index)| index).collect(),
            attr_starts,
        };
        plan.decide();
        plan
    }

    /// The same about nothing else than the targets, so that attributes that did not evaluate are of no interest.
    pub fn narrowed(inventory: &'a Inventory, rules: &'a Rules, targets: &[Node]) -> Self {
        Self { errors: &[], ..Self::new(inventory, rules, Some(targets)) }
    }

    fn decide(&mut self) {
        // Nearly all derivations share their facts with many others.
        let mut known: BTreeMap<(Kind, u32), Outcome> = BTreeMap::new();
        let nodes = || self.inventory.graph.nodes();
        let (mut outcomes, mut sources) = (vec![None; self.inventory.graph.len()], Vec::new());
        for node in nodes() {
            let key = match self.settlement.standing(node) {
                Standing::Missing => continue,
                Standing::Source => {
                    sources.push(node);
                    continue;
                }
                Standing::Declared(facts) => (Kind::Declared, facts),
                Standing::MadeFromFree => (Kind::Rule, u32::MAX),
                Standing::Original(_, facts) => (Kind::Original, facts),
                Standing::Incomplete(_) => (Kind::Incomplete, self.settlement.declared(node).unwrap_or(u32::MAX)),
                Standing::Disputed => (Kind::Rule, u32::MAX - 2),
                _ => (Kind::Rule, u32::MAX - 1),
            };
            let class = self.class_shown(node);
            // Terms and the policy's entries may be about a package by its name.
            let alike = match class {
                Class::Free | Class::MadeFromFree => true,
                Class::Unknown => self.rules.policy().action(class) == Action::Withhold,
                Class::Redistributable | Class::Restricted => false,
            };
            let outcome = if alike && !self.rules.asks_for_names() && !self.inventory.is_floating(node) {
                *known.entry(key).or_insert_with(|| self.outcome(node, class))
            } else {
                self.outcome(node, class)
            };
            outcomes[node.index()] = Some(outcome);
        }
        self.outcomes = outcomes;
        let decided: Vec<(Node, Outcome)> = sources
            .into_iter()
            .map(|node| {
                let classes = self.source_users(node).into_iter().map(|user| self.settlement.class(user));
                (node, self.outcome(node, classes.max().unwrap_or(Class::Unknown)))
            })
            .collect();
        for (node, outcome) in decided {
            self.outcomes[node.index()] = Some(outcome);
        }
    }

    /// What its license comes to. Where the graph is incomplete that is what it declares, which others do not go by.
    fn class_shown(&self, node: Node) -> Class {
        match (self.settlement.standing(node), self.settlement.declared(node)) {
            (Standing::Incomplete(_), Some(facts)) => self.settlement.classes[facts as usize],
            _ => self.settlement.class(node),
        }
    }

    fn outcome(&self, node: Node, class: Class) -> Outcome {
        let (verdict, reasons) = self.forecast(node);
        // There is always a reason; were there none, nothing would be published.
        Outcome { verdict, code: reasons.first().map_or(Code::LicenseUnknown, |reason| reason.code), class }
    }

    /// What the policy can name a derivation by, whichever of its outputs is meant.
    pub(crate) fn case(&self, node: Node) -> Case<'_> {
        self.inventory.case(node)
    }

    /// The forecast for a derivation: that for its outputs, and where an entry tells them apart, that for one that is
    /// withheld.
    fn forecast(&self, node: Node) -> (Verdict, Vec<Reason>) {
        let (verdict, mut reasons) = self.forecast_by_license(node);
        if !self.inventory.is_floating(node) {
            return (verdict, reasons);
        }
        let message =
            "its output path is known only after the build, so that `narthex run` publishes nothing of it".to_owned();
        let (code, source) = (Code::GraphIncomplete, Source::Declared);
        reasons.insert(0, Reason { code, source, effect: Effect::Withhold, message, evidence: Vec::new() });
        (Verdict::Withhold, reasons)
    }

    fn forecast_by_license(&self, node: Node) -> (Verdict, Vec<Reason>) {
        let provenance = self.provenance(node);
        let outputs = if self.rules.names_outputs() { self.inventory.graph.outputs(node) } else { Vec::new() };
        strictest(self.rules, self.case(node), outputs.iter().map(|(name, _)| *name), |case| {
            forecast(case, &provenance, self.rules)
        })
    }

    /// The verdict about one output, and its reasons.
    pub fn of_output(&self, node: Node, output: &str) -> (Verdict, Vec<Reason>) {
        forecast(&Case { output: Some(output), ..self.case(node) }, &self.provenance(node), self.rules)
    }

    /// Those that use a source, whichever derivation fetches it.
    fn source_users(&self, node: Node) -> Vec<Node> {
        let graph = &self.inventory.graph;
        let mut fetchers = vec![node];
        for path in graph.output_paths(node) {
            fetchers.extend(self.settlement.together.get(&path).into_iter().flatten());
        }
        fetchers.sort_unstable();
        fetchers.dedup();
        let mut users: Vec<Node> = fetchers.into_iter().flat_map(|node| self.settlement.users.of(node)).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    fn provenance(&self, node: Node) -> Provenance<'_> {
        let graph = &self.inventory.graph;
        match self.settlement.standing(node) {
            Standing::Declared(facts) => Provenance::Output(self.settlement.facts.get(facts as usize)),
            Standing::MadeFromFree => Provenance::MadeFromFree,
            Standing::Original(original, facts) => match self.settlement.facts.get(facts as usize) {
                Some(facts) => Provenance::Original { name: graph.name(original), facts },
                None => Provenance::Output(None),
            },
            Standing::Incomplete(fault) => {
                let wrong = if graph.is_described(fault) { "is made of itself" } else { "is missing" };
                Provenance::Incomplete {
                    what: format!("{} {wrong}", graph.base_name(fault)),
                    facts: self.settlement.declared(node).and_then(|facts| self.settlement.facts.get(facts as usize)),
                }
            }
            Standing::Source => {
                let user = |user: Node| {
                    let verdict = self.outcomes[user.index()].map(|outcome| outcome.verdict);
                    let class = self.settlement.class(user);
                    SourceUser {
                        name: graph.name(user).to_owned(),
                        class,
                        permitted: self.rules.policy().action(class) == Action::Publish
                            || verdict == Some(Verdict::Publish),
                        withheld: verdict == Some(Verdict::Withhold),
                        // Nothing is built, and so nothing was found.
                        explained: false,
                    }
                };
                Provenance::Source(self.source_users(node).into_iter().map(user).collect())
            }
            Standing::Disputed => Provenance::Disputed,
            Standing::Missing | Standing::Unreached => Provenance::Output(None),
            Standing::OwnSource | Standing::NotFree | Standing::Untold => Provenance::Output(Some(&ABSENT)),
        }
    }

    /// What it is decided by.
    pub fn rules(&self) -> &'a Rules {
        self.rules
    }

    /// What is declared of a package, also where something else decides about it; of another build, that package's.
    pub(crate) fn facts(&self, node: Node) -> Option<&LicenseFacts> {
        let facts = match self.settlement.standing(node) {
            Standing::Original(_, facts) => Some(facts),
            _ => self.settlement.declared(node),
        };
        self.settlement.facts.get(facts? as usize)
    }

    /// What the plan is about.
    pub fn inventory(&self) -> &'a Inventory {
        self.inventory
    }

    /// The derivations that are shown, in the order of their paths.
    pub fn derivations(&self) -> Vec<Node> {
        self.inventory.graph.sorted(self.shown())
    }

    /// The same in an order that only says how they were read; in a large set this is much faster.
    pub fn shown(&self) -> impl Iterator<Item = Node> + '_ {
        self.inventory.graph.nodes().filter(|node| self.in_scope[node.index()] && self.outcomes[node.index()].is_some())
    }

    /// Attributes that did not evaluate and that might belong to what is shown.
    pub fn errors(&self) -> &'a [EvalError] {
        self.errors
    }

    /// Whether nothing is lacking of what it is about: all evaluated, all described, and nothing is made of itself.
    pub fn is_whole(&self) -> bool {
        self.errors.is_empty() && self.missing().is_empty() && self.cyclic().is_empty()
    }

    /// Derivations that something shown is made of and that nobody described, in the order of their paths.
    pub fn missing(&self) -> Vec<Node> {
        let graph = &self.inventory.graph;
        let missing = graph.nodes().filter(|node| self.in_scope[node.index()] && !graph.is_described(*node));
        graph.sorted(missing)
    }

    /// Derivations that are made of themselves, in the order of their paths.
    pub fn cyclic(&self) -> Vec<Node> {
        self.inventory
            .graph
            .sorted(self.settlement.order.cyclic.iter().copied().filter(|node| self.in_scope[node.index()]))
    }

    /// What a derivation comes to; `None` where nobody described it.
    pub fn outcome_of(&self, node: Node) -> Option<Outcome> {
        self.outcomes[node.index()]
    }

    /// The attributes of the jobs that are this derivation, in their order.
    pub fn attrs(&self, node: Node) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        let range = self.attr_starts[node.index()] as usize..self.attr_starts[node.index() + 1] as usize;
        self.attrs[range].iter().map(|index| self.inventory.jobs()[*index as usize].0.as_str())
    }

    /// Whether the plan is about it, by derivation.
    pub(crate) fn scope(&self) -> &[bool] {
        &self.in_scope
    }

    /// Every derivation that is not made of itself, after those that it is made of.
    pub(crate) fn inputs_first(&self) -> &[Node] {
        &self.settlement.order.inputs_first
    }

    /// The name of the policy.
    pub(crate) fn policy(&self) -> &str {
        self.rules.policy().name()
    }

    /// All reasons for its verdict; the first one decides.
    pub fn reasons(&self, node: Node) -> Vec<Reason> {
        self.forecast(node).1
    }

    /// The declared license as an SPDX expression; of another build of a package, that one's.
    pub fn license(&self, node: Node) -> Option<String> {
        match self.settlement.standing(node) {
            Standing::Declared(_) | Standing::Original(..) | Standing::Incomplete(_) => {
                self.facts(node).map(LicenseFacts::shown)
            }
            _ => None,
        }
    }

    /// Whether it is a source without facts of its own.
    pub fn is_source(&self, node: Node) -> bool {
        self.settlement.standing(node) == Standing::Source
    }

    /// The rule that it was settled by, or that could not settle it, in words.
    pub(crate) fn ruling(&self, node: Node) -> &'static str {
        self.settlement.standing(node).rule()
    }

    /// Of a source, the packages made from it that keep it back.
    pub(crate) fn forbidding_users(&self, node: Node) -> Vec<Node> {
        let Provenance::Source(users) = self.provenance(node) else { return Vec::new() };
        let pairs = self.source_users(node).into_iter().zip(users);
        pairs.filter(|(_, user)| user.forbids()).map(|(node, _)| node).collect()
    }

    /// The withheld derivations that a published one is made of, in the order of their paths. What is built may refer
    /// to them: which it does, the built bytes tell. What was fixed by its hash refers to nothing.
    pub fn holes(&self, node: Node) -> Vec<Node> {
        let published = self.outcomes[node.index()].is_some_and(|outcome| outcome.verdict == Verdict::Publish);
        if !published || self.inventory.is_fixed(node) {
            return Vec::new();
        }
        self.inventory.graph.sorted(self.inventory.graph.inputs(node).filter(|input| self.may_be_hole(*input)))
    }

    fn may_be_hole(&self, node: Node) -> bool {
        self.outcomes[node.index()].is_none_or(|outcome| outcome.verdict == Verdict::Withhold)
    }

    /// All holes, in the order of their paths, each with the number of published derivations that may refer to it.
    pub fn all_holes(&self) -> Vec<(Node, usize)> {
        let graph = &self.inventory.graph;
        let mut referrers = vec![0u32; graph.len()];
        for node in self.shown() {
            let published = self.outcomes[node.index()].is_some_and(|outcome| outcome.verdict == Verdict::Publish);
            if published && !self.inventory.is_fixed(node) {
                for input in graph.inputs(node).filter(|input| self.may_be_hole(*input)) {
                    referrers[input.index()] += 1;
                }
            }
        }
        let holes = graph.sorted(graph.nodes().filter(|node| referrers[node.index()] > 0));
        holes.into_iter().map(|node| (node, referrers[node.index()] as usize)).collect()
    }

    /// By verdict and deciding reason: how many derivations, and how many attributes.
    pub fn counts(&self) -> BTreeMap<(Verdict, Code), (usize, usize)> {
        let mut counts = BTreeMap::new();
        for node in self.shown() {
            if let Some(outcome) = self.outcomes[node.index()] {
                let (derivations, attrs) = counts.entry((outcome.verdict, outcome.code)).or_insert((0, 0));
                *derivations += 1;
                *attrs += self.attrs(node).len();
            }
        }
        counts
    }

    /// How many of the derivations that are shown were settled by which rule.
    pub fn rulings(&self) -> Rulings {
        self.settlement.rulings(self.inventory, |node| self.in_scope[node.index()])
    }
}

/// The forecast for a derivation with these outputs, of which the strictest counts.
fn strictest<'c>(
    rules: &Rules,
    case: Case<'c>,
    outputs: impl Iterator<Item = &'c str>,
    forecast: impl Fn(&Case<'c>) -> (Verdict, Vec<Reason>),
) -> (Verdict, Vec<Reason>) {
    if !rules.names_outputs() {
        return forecast(&case);
    }
    let mut strictest: Option<(Verdict, Vec<Reason>)> = None;
    for one in outputs.map(|output| forecast(&Case { output: Some(output), ..case })) {
        if one.0 == Verdict::Withhold {
            return one;
        }
        strictest.get_or_insert(one);
    }
    strictest.unwrap_or_else(|| forecast(&case))
}

pub(crate) static ABSENT: LicenseFacts =
    LicenseFacts { license: Expr::Absent, provenance: Vec::new(), position: None, correction: None, disputed: false };

/// Derivations outside the jobs' graph that would be withheld. They are not built, and still tell what
/// becomes of the sources that they share with the jobs.
pub(crate) fn forecast_elsewhere(set: &PackageSet, rules: &Rules) -> BTreeSet<StorePath> {
    let elsewhere = set.graph.iter().map(|(path, _)| path).filter(|path| !set.in_scope(path));
    let withheld = |path: &&StorePath| forecast_of(set, path, rules) == Verdict::Withhold;
    elsewhere.filter(withheld).cloned().collect()
}

/// What all outputs of a derivation would come to.
pub(crate) fn forecast_of(set: &PackageSet, derivation: &StorePath, rules: &Rules) -> Verdict {
    let outputs = set.graph.get(derivation).into_iter().flat_map(|known| known.outputs.keys());
    let provenance = set.own_provenance(derivation);
    let case = set.case_of(derivation, None);
    strictest(rules, case, outputs.map(String::as_str), |case| forecast(case, &provenance, rules)).0
}

/// The declared license of a path, as an SPDX expression.
pub(crate) fn license_of(role: &Role<'_>) -> Option<String> {
    match role {
        Role::Output(facts) => facts.filter(|facts| facts.license != Expr::Absent).map(LicenseFacts::shown),
        Role::Settled(Provenance::Original { facts, .. }) => Some(facts.shown()),
        Role::Settled(_) | Role::Source(_) => None,
    }
}

/// What a decision about a path goes by. `withheld` are the derivations of which an output is withheld; `explained` says of one
/// whether what it is withheld for comes from another source than this one.
pub(crate) fn provenance<'a>(
    set: &'a PackageSet,
    rules: &Rules,
    role: &Role<'a>,
    withheld: &BTreeSet<StorePath>,
    explained: &dyn Fn(&StorePath) -> bool,
) -> Provenance<'a> {
    match role {
        Role::Output(facts) => Provenance::Output(*facts),
        Role::Settled(provenance) => provenance.clone(),
        Role::Source(users) => {
            let user = |user: &&StorePath| {
                let class = set.class(user, rules);
                let forecast = || forecast_of(set, user, rules);
                let withheld = withheld.contains(*user);
                SourceUser {
                    name: set.name(user).to_owned(),
                    class,
                    permitted: rules.policy().action(class) == Action::Publish || forecast() == Verdict::Publish,
                    withheld,
                    explained: withheld && explained(user),
                }
            };
            Provenance::Source(users.iter().map(user).collect())
        }
    }
}
