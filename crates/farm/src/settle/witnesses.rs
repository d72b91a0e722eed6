//! What stands in for an answer where an evaluation asked nobody: what has the name and the sources of something that was
//! asked is another build of that, and the parts of nixpkgs that everything is built with are known by their scripts.
//!
//! A standing of its own comes from none of these: they only say who counts as asked, and which inputs put nothing of
//! somebody else into what is built with them. Answers are kept, since nearly everything asks for the same ones.

use super::{Settlement, has_fixed_source, sources};
use crate::inventory::Inventory;
use narthex_closure::{Node, OutputPath};
use narthex_license::Class;
use std::collections::{HashMap, HashSet};

/// A name, the paths of fetched sources, and numbers of local files.
type Key<'i> = (&'i str, Vec<OutputPath>, Vec<u32>);

/// Who was asked, and what is a standard environment.
pub(super) struct Witnesses<'i> {
    /// Of what was asked and has a source: whether all that have this key declare nothing.
    silent: HashMap<Key<'i>, bool>,
    asked: Vec<Option<bool>>,
    /// The local files of standard environments that were asked and are free or declare nothing.
    environments: Vec<HashSet<u32>>,
    is_environment: Vec<Option<bool>>,
}

fn is_environment_name(name: &str) -> bool {
    name == "stdenv" || name.starts_with("stdenv-") || name.starts_with("bootstrap-stage")
}

pub(super) fn is_hook_name(name: &str) -> bool {
    name == "hook" || name.ends_with("-hook") || name.ends_with("-hook.sh")
}

impl<'i> Witnesses<'i> {
    pub(super) fn of(inventory: &'i Inventory, settlement: &Settlement) -> Self {
        let graph = &inventory.graph;
        let built = |node: &Node| graph.is_described(*node) && !inventory.is_fixed(*node);
        let silent_unreached = graph.nodes().filter(built).filter(|node| inventory.is_unreached(*node));
        let wanted: HashSet<&str> = silent_unreached.map(|node| graph.name(node)).collect();
        let mut silent = HashMap::new();
        let mut environments = Vec::new();
        for node in graph.nodes().filter(built).filter(|node| !inventory.is_unreached(*node)) {
            let name = graph.name(node);
            if is_environment_name(name) && settlement.is_free_or_silent(node) {
                environments.push(inventory.local_sources(node).into_iter().collect());
            }
            if wanted.contains(name)
                && let Some(key) = key(inventory, node)
            {
                *silent.entry(key).or_insert(true) &= settlement.declared(node).is_none();
            }
        }
        Self { silent, asked: vec![None; graph.len()], environments, is_environment: vec![None; graph.len()] }
    }

    /// Whether it, or another build of it, had the chance to declare something, and none of them did.
    pub(super) fn was_asked(&mut self, inventory: &'i Inventory, node: Node) -> bool {
        !inventory.is_unreached(node)
            || *self.asked[node.index()].get_or_insert_with(|| {
                key(inventory, node).and_then(|key| self.silent.get(&key)).copied().unwrap_or(false)
            })
    }

    pub(super) fn is_environment(&mut self, inventory: &Inventory, settlement: &Settlement, node: Node) -> bool {
        let environments = &self.environments;
        let is_one = || is_environment(inventory, settlement, environments, node);
        *self.is_environment[node.index()].get_or_insert_with(is_one)
    }
}

/// By what two derivations are builds of one thing; nothing without a source, or where local files are not told.
fn key<'i>(inventory: &'i Inventory, node: Node) -> Option<Key<'i>> {
    let key = (inventory.graph.name(node), sources(inventory, node), inventory.local_sources(node));
    (inventory.are_local_sources_told(node) && !(key.1.is_empty() && key.2.is_empty())).then_some(key)
}

/// Whether it is a standard environment of nixpkgs, final or of a stage before. One that something went into that is
/// declared not to be free, or a local file that is no script, is asked like everything else. One that nobody could ask has no
/// file that one which was asked has not.
fn is_environment(inventory: &Inventory, settlement: &Settlement, environments: &[HashSet<u32>], node: Node) -> bool {
    let is_vouched = || {
        let own = inventory.local_sources(node);
        inventory.are_local_sources_told(node)
            && !own.is_empty()
            && environments.iter().any(|files| own.iter().all(|file| files.contains(file)))
    };
    is_environment_name(inventory.graph.name(node))
        && settlement.declared(node).is_none()
        && !has_fixed_source(inventory, node)
        && !inventory.has_local_file(node)
        && !inventory.reads_undeclared(node)
        && !inventory.graph.inputs(node).any(|input| settlement.is_tainted(input))
        && (!inventory.is_unreached(node) || is_vouched())
}

/// Whether it is a setup hook of nixpkgs: a script of the package set that others are built with. One that something went
/// into that is not free, or a file that is no script, is asked like everything else.
pub(super) fn is_hook_script<'i>(
    inventory: &'i Inventory,
    settlement: &Settlement,
    witnesses: &mut Witnesses<'i>,
    node: Node,
) -> bool {
    is_script_of_a_hook(inventory, settlement, node)
        && !inventory.reads_undeclared(node)
        && !settlement.is_doubtful(node)
        && witnesses.was_asked(inventory, node)
}

/// Whether it has the name of a setup hook, declares nothing, and has no file but scripts.
pub(super) fn is_script_of_a_hook(inventory: &Inventory, settlement: &Settlement, node: Node) -> bool {
    is_hook_name(inventory.graph.name(node))
        && settlement.declared(node).is_none()
        && inventory.are_local_sources_told(node)
        && !inventory.has_local_file(node)
        && !has_fixed_source(inventory, node)
}

/// Whether its own local files are none: a setup hook of scripts that a package which is declared free is built with. Whoever
/// publishes that package with its sources publishes the scripts that control its build.
pub(super) fn is_published_hook(inventory: &Inventory, settlement: &Settlement, node: Node) -> bool {
    let is_free = |user: Node| {
        let facts = settlement.declared(user).filter(|_| !inventory.is_fixed(user));
        facts.is_some_and(|facts| settlement.classes[facts as usize] == Class::Free)
    };
    is_hook_name(inventory.graph.name(node))
        && inventory.has_only_scripts(node)
        && settlement.users.of(node).any(is_free)
}
