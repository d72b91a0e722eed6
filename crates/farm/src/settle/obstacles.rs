//! What stands in the way of a rule, for people: an input that is not known to be free, or a source of one's own.

use super::{Originals, Settlement, Standing, Witnesses, is_harmless};
use crate::inventory::Inventory;
use narthex_closure::Node;
use std::collections::HashMap;

/// Of several inputs, so many are named.
const SHOWN: usize = 3;

/// For everything that is unknown and complete, what keeps each rule from settling it.
pub(crate) fn obstacles(inventory: &Inventory, settlement: &mut Settlement) -> HashMap<Node, String> {
    let mut originals = Originals::of(inventory, settlement);
    let mut witnesses = Witnesses::of(inventory, settlement);
    let mut all = HashMap::new();
    for node in inventory.graph.nodes() {
        let standing = settlement.standing(node);
        if matches!(standing, Standing::OwnSource | Standing::NotFree | Standing::Untold | Standing::Unreached) {
            let almost = originals.find(inventory, settlement, &mut witnesses, node).err().flatten();
            all.insert(node, text(inventory, settlement, &mut witnesses, node, almost));
        }
    }
    all
}

fn text<'i>(
    inventory: &'i Inventory,
    settlement: &Settlement,
    witnesses: &mut Witnesses<'i>,
    node: Node,
    almost: Option<(Node, Node)>,
) -> String {
    let graph = &inventory.graph;
    if let Some((original, input)) = almost {
        let (original, input) = (graph.name(original), described(inventory, settlement, input));
        return format!("it would be another build of {original}, but for an input that may not differ: {input}");
    }
    let mut parts = Vec::new();
    match settlement.standing(node) {
        Standing::Unreached => parts.push("only a text names it, so that nobody could ask what it declares".to_owned()),
        Standing::Untold => parts.push("its local files or its inputs are not told".to_owned()),
        _ => {}
    }
    let named = |nodes: Vec<Node>, with_rule: bool| {
        let mut names: Vec<String> = nodes
            .into_iter()
            .map(|node| if with_rule { described(inventory, settlement, node) } else { graph.name(node).to_owned() })
            .collect();
        names.sort();
        names.dedup();
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| names.join(", ") + &more)
    };
    let (fetched, built): (Vec<Node>, Vec<Node>) = graph.inputs(node).partition(|input| inventory.is_fixed(*input));
    if let Some(sources) = named(fetched, false) {
        parts.push(format!("it has sources of its own: {sources}"));
    } else if inventory.has_local_source(node) {
        parts.push("it has a local file of its own".to_owned());
    }
    let unclear = built.into_iter().filter(|input| !is_harmless(inventory, settlement, witnesses, *input)).collect();
    if let Some(inputs) = named(unclear, true) {
        parts.push(format!("these inputs are not known to be free: {inputs}"));
    }
    parts.join("; ")
}

/// An input, and the rule that it was settled by.
fn described(inventory: &Inventory, settlement: &Settlement, node: Node) -> String {
    let name = inventory.graph.name(node);
    match settlement.standing(node) {
        Standing::Declared(facts) | Standing::Original(_, facts) => {
            format!("{name} ({})", settlement.facts[facts as usize].shown())
        }
        other => format!("{name} ({})", other.rule()),
    }
}

#[cfg(test)]
mod tests {
    use super::obstacles;
    use crate::lines::tests::{drv, line, mit, read};
    use crate::settle::settle;
    use serde_json::json;

    #[test]
    fn what_stands_in_the_way_is_named() {
        let silent = || json!({"reached": true, "inputSrcs": []});
        let other = "/nix/store/11111111111111111111111111111111-p.drv";
        let moved = |text: String| text.replace(drv("p").trim_end_matches(".drv"), other.trim_end_matches(".drv"));
        let build = |inputs: &[&str]| moved(line("p", inputs, silent()));
        let lines = [
            line("src", &[], json!({"fixedOutput": true})),
            line("free", &[], mit()),
            line("closed", &[], json!({"inputSrcs": [], "meta": {"license": "unfree"}})),
            line("own", &["src", "closed"], silent()),
            line("mixed", &["free", "closed", "own"], silent()),
            line("named", &["own"], json!({"reached": false, "inputSrcs": []})),
            line("p", &["src"], mit()),
            build(&["src", "closed"]),
        ];
        let inventory = read(&lines);
        let mut settlement = settle(&inventory);
        let all = obstacles(&inventory, &mut settlement);
        let check = |path: &str, expected: Option<&str>| {
            let node = inventory.graph().find(path).unwrap();
            assert_eq!(all.get(&node).map(String::as_str), expected, "{path}");
        };
        let closed = "closed (LicenseRef-unfree)";
        let own = "own (unknown: has a source and declares no license)";
        check(&drv("free"), None);
        check(&drv("src"), None);
        check(
            &drv("own"),
            Some(&format!("it has sources of its own: src; these inputs are not known to be free: {closed}")),
        );
        check(&drv("mixed"), Some(&format!("these inputs are not known to be free: {closed}, {own}")));
        let unasked = "only a text names it, so that nobody could ask what it declares";
        check(&drv("named"), Some(&format!("{unasked}; these inputs are not known to be free: {own}")));
        check(other, Some(&format!("it would be another build of p, but for an input that may not differ: {closed}")));
    }
}
