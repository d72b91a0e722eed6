//! In which steps a client gets a closure from a cache that has holes.
//!
//! A build that finds one of its inputs' references missing makes Nix 2.30 and later rebuild
//! everything that depends on it, and older versions fetch compilers that nobody needs. Only
//! separate commands work on every version: first what the holes need, then the holes, then the
//! rest by substitution. `docs/decisions/0005-two-passes.md` has the measurements.

use crate::Graph;
use nix_derivation::StorePath;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a path before anything is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is in the local store.
    Valid,
    /// A cache has it.
    Cached(Cached),
    /// No cache has it: a hole if a published path refers to it.
    Absent,
}

/// What a narinfo says of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The paths it refers to.
    pub references: BTreeSet<StorePath>,
    /// Size of the NAR in bytes.
    pub nar_size: u64,
    /// Size of the compressed file in bytes, where the cache says it.
    pub file_size: Option<u64>,
}

/// One command to Nix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Substitute these paths and all that they refer to.
    Fetch(BTreeSet<StorePath>),
    /// Build these outputs of these derivations; all that they need is there.
    Build(BTreeMap<StorePath, BTreeSet<String>>),
}

/// The whole way from nothing to the wanted paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FillPlan {
    /// The commands, in order.
    pub steps: Vec<Step>,
    /// Every path that will be fetched.
    pub fetched: BTreeSet<StorePath>,
    /// Every path that will be built locally, with the derivation that makes it.
    pub built: BTreeMap<StorePath, StorePath>,
}

/// A path for which there is no way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// No cache has it, and no derivation of the evaluated expression makes it.
    #[error("{path} is in no cache, and no derivation of the expression makes it")]
    NoRecipe {
        /// The path.
        path: StorePath,
    },
    /// Its status was never looked up: the caller's mistake.
    #[error("{path} was never looked up")]
    NotLookedUp {
        /// The path.
        path: StorePath,
    },
    /// Building it would need itself.
    #[error("building {path} would need {path} itself")]
    Cycle {
        /// The path.
        path: StorePath,
    },
}

/// Works out the steps to the wanted paths.
///
/// `status` must hold every path that can be reached: the references of cached paths, and the
/// build inputs of absent ones.
///
/// # Errors
/// Every [`Gap`] that stands in the way, in the order of the paths.
pub fn plan_fill(
    wanted: &BTreeSet<StorePath>,
    status: &BTreeMap<StorePath, Status>,
    graph: &Graph,
) -> Result<FillPlan, Vec<Gap>> {
    let mut levels = Levels { status, graph, known: BTreeMap::new(), gaps: BTreeMap::new() };
    levels.visit_all(wanted);
    if !levels.gaps.is_empty() {
        return Err(levels.gaps.into_values().collect());
    }

    let mut plan = FillPlan::default();
    let known = levels.known;
    let level_of = |path: &StorePath| known.get(path).copied().flatten().unwrap_or(0);
    let mut builds: BTreeMap<usize, BTreeMap<StorePath, BTreeSet<String>>> = BTreeMap::new();
    for path in known.keys() {
        match status.get(path) {
            Some(Status::Cached(_)) => {
                plan.fetched.insert(path.clone());
            }
            Some(Status::Absent) => {
                let Some(producer) = graph.producer(path) else { continue };
                plan.built.insert(path.clone(), producer.derivation.clone());
                builds
                    .entry(level_of(path))
                    .or_default()
                    .entry(producer.derivation.clone())
                    .or_default()
                    .insert(producer.output.clone());
            }
            _ => {}
        }
    }

    let cached = |path: &StorePath| matches!(status.get(path), Some(Status::Cached(_)));
    let mut fetched: BTreeSet<StorePath> = BTreeSet::new();
    for build in builds.into_values() {
        let needed: BTreeSet<StorePath> = build
            .keys()
            .filter_map(|derivation| graph.get(derivation))
            .flat_map(|derivation| graph.build_inputs(derivation))
            .filter(|path| cached(path) && !fetched.contains(path))
            .collect();
        fetch_closure(&needed, status, &mut fetched);
        if !needed.is_empty() {
            plan.steps.push(Step::Fetch(needed));
        }
        plan.steps.push(Step::Build(build));
    }
    let last: BTreeSet<StorePath> = wanted.iter().filter(|p| cached(p) && !fetched.contains(p)).cloned().collect();
    if !last.is_empty() {
        plan.steps.push(Step::Fetch(last));
    }
    Ok(plan)
}

/// Adds paths and all that they refer to.
fn fetch_closure(paths: &BTreeSet<StorePath>, status: &BTreeMap<StorePath, Status>, fetched: &mut BTreeSet<StorePath>) {
    let mut todo: Vec<&StorePath> = paths.iter().collect();
    while let Some(path) = todo.pop() {
        if fetched.insert(path.clone())
            && let Some(Status::Cached(cached)) = status.get(path)
        {
            todo.extend(&cached.references);
        }
    }
}

/// How many builds deep each path lies: 0 where nothing below it is built.
struct Levels<'a> {
    status: &'a BTreeMap<StorePath, Status>,
    graph: &'a Graph,
    /// `None` while the path is being visited.
    known: BTreeMap<StorePath, Option<usize>>,
    gaps: BTreeMap<StorePath, Gap>,
}

impl Levels<'_> {
    /// Visits depth first with a stack of its own: graphs can be deeper than a thread's stack.
    fn visit_all(&mut self, wanted: &BTreeSet<StorePath>) {
        let mut stack: Vec<(StorePath, bool)> = wanted.iter().rev().map(|p| (p.clone(), false)).collect();
        while let Some((path, children_done)) = stack.pop() {
            let children = self.children(&path);
            if children_done {
                let below =
                    children.iter().filter(|c| **c != path).filter_map(|c| self.known.get(c).copied().flatten());
                let absent = matches!(self.status.get(&path), Some(Status::Absent));
                let level = below.max().unwrap_or(0) + usize::from(absent);
                self.known.insert(path, Some(level));
                continue;
            }
            match self.known.get(&path) {
                Some(Some(_)) => continue,
                Some(None) => {
                    self.gaps.insert(path.clone(), Gap::Cycle { path });
                    continue;
                }
                None => {}
            }
            self.known.insert(path.clone(), None);
            stack.push((path.clone(), true));
            for child in children {
                // Paths may refer to themselves.
                if child != path && self.known.get(&child).copied().flatten().is_none() {
                    stack.push((child, false));
                }
            }
        }
    }

    fn children(&mut self, path: &StorePath) -> BTreeSet<StorePath> {
        match self.status.get(path) {
            Some(Status::Valid) => BTreeSet::new(),
            Some(Status::Cached(cached)) => cached.references.clone(),
            Some(Status::Absent) => {
                let recipe = self.graph.producer(path).and_then(|p| self.graph.get(&p.derivation));
                if recipe.is_none() {
                    self.gaps.insert(path.clone(), Gap::NoRecipe { path: path.clone() });
                }
                recipe.map(|d| self.graph.build_inputs(d)).unwrap_or_default()
            }
            None => {
                self.gaps.insert(path.clone(), Gap::NotLookedUp { path: path.clone() });
                BTreeSet::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{graph, path};

    fn cached(references: &[&str]) -> Status {
        Status::Cached(Cached {
            references: references.iter().map(|r| path(r)).collect(),
            nar_size: 1,
            file_size: None,
        })
    }

    fn set(names: &[&str]) -> BTreeSet<StorePath> {
        names.iter().map(|n| path(n)).collect()
    }

    fn build(names: &[&str]) -> Step {
        Step::Build(names.iter().map(|n| (path(&format!("{n}.drv")), ["out".to_owned()].into())).collect())
    }

    /// The graph of the facts: top → mid → {hole, leaf}; every one of them needs a compiler.
    fn example() -> Graph {
        graph(&[
            ("cc", &[]),
            ("unzip", &[]),
            ("leaf", &["cc"]),
            ("hole", &["unzip"]),
            ("mid", &["cc", "hole", "leaf"]),
            ("top", &["cc", "mid"]),
        ])
    }

    #[test]
    fn a_hole_is_built_first_and_no_compiler_is_fetched() {
        let status = BTreeMap::from([
            (path("top"), cached(&["mid", "top"])),
            (path("mid"), cached(&["hole", "leaf"])),
            (path("leaf"), cached(&[])),
            (path("hole"), Status::Absent),
            (path("unzip"), cached(&[])),
        ]);
        let plan = plan_fill(&set(&["top"]), &status, &example()).unwrap();
        assert_eq!(plan.steps, [Step::Fetch(set(&["unzip"])), build(&["hole"]), Step::Fetch(set(&["top"]))]);
        assert_eq!(plan.fetched, set(&["top", "mid", "leaf", "unzip"]));
        assert_eq!(plan.built, BTreeMap::from([(path("hole"), path("hole.drv"))]));
    }

    #[test]
    fn a_hole_that_is_there_already_leaves_only_the_fetch() {
        let status = BTreeMap::from([
            (path("top"), cached(&["mid"])),
            (path("mid"), cached(&["hole", "leaf"])),
            (path("leaf"), Status::Valid),
            (path("hole"), Status::Valid),
        ]);
        let plan = plan_fill(&set(&["top"]), &status, &example()).unwrap();
        assert_eq!(plan.steps, [Step::Fetch(set(&["top"]))]);
    }

    /// A hole whose own build needs a published path with another hole below it.
    #[test]
    fn holes_below_holes_come_in_order() {
        let graph = graph(&[("deep", &[]), ("tool", &["deep"]), ("hole", &["tool"]), ("top", &["hole"])]);
        let status = BTreeMap::from([
            (path("top"), cached(&["hole"])),
            (path("hole"), Status::Absent),
            (path("tool"), cached(&["deep"])),
            (path("deep"), Status::Absent),
        ]);
        let plan = plan_fill(&set(&["top"]), &status, &graph).unwrap();
        assert_eq!(
            plan.steps,
            [build(&["deep"]), Step::Fetch(set(&["tool"])), build(&["hole"]), Step::Fetch(set(&["top"]))]
        );
    }

    /// Two holes, one below the other, that are built with the same tool: it is fetched once.
    #[test]
    fn nothing_is_fetched_twice() {
        let graph = graph(&[("tool", &[]), ("deep", &["tool"]), ("hole", &["tool", "deep"]), ("top", &["hole"])]);
        let status = BTreeMap::from([
            (path("top"), cached(&["hole"])),
            (path("hole"), Status::Absent),
            (path("deep"), Status::Absent),
            (path("tool"), cached(&[])),
        ]);
        let plan = plan_fill(&set(&["top"]), &status, &graph).unwrap();
        assert_eq!(
            plan.steps,
            [Step::Fetch(set(&["tool"])), build(&["deep"]), build(&["hole"]), Step::Fetch(set(&["top"]))]
        );
    }

    #[test]
    fn what_has_no_recipe_is_named() {
        let status = BTreeMap::from([(path("top"), cached(&["gone"])), (path("gone"), Status::Absent)]);
        let gaps = plan_fill(&set(&["top"]), &status, &example()).unwrap_err();
        assert_eq!(gaps, [Gap::NoRecipe { path: path("gone") }]);
    }

    #[test]
    fn a_reference_back_is_a_gap_and_not_a_loop() {
        let status = BTreeMap::from([(path("a"), cached(&["b"])), (path("b"), cached(&["a"]))]);
        assert!(matches!(plan_fill(&set(&["a"]), &status, &Graph::default()), Err(gaps) if !gaps.is_empty()));
    }
}
