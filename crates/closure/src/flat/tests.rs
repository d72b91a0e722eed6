//! Small graphs, and properties of larger ones.

use super::*;
use crate::testing::path;
use proptest::prelude::*;

fn drv(name: &str) -> String {
    path(&format!("{name}.drv")).to_string()
}

fn flat(nodes: &[(&str, &[&str])]) -> FlatGraph {
    let mut builder = FlatBuilder::default();
    for (name, inputs) in nodes {
        inputs.iter().for_each(|input| builder.input(&drv(input)).unwrap());
        builder.output("out", Some(&path(name).to_string())).unwrap();
        builder.describe(&drv(name)).unwrap();
    }
    builder.finish()
}

fn names(graph: &FlatGraph, nodes: &[Node]) -> Vec<String> {
    let mut names: Vec<String> = nodes.iter().map(|node| graph.name(*node).to_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_is_described_and_what_is_missing() {
    let graph = flat(&[("a", &["b", "c"]), ("b", &["c"])]);
    let a = graph.find(&drv("a")).unwrap();
    assert_eq!((graph.len(), graph.edges(), graph.name(a)), (3, 3, "a"));
    assert_eq!(graph.outputs(a), [("out", Some(path("a").to_string()))]);
    assert_eq!(graph.makers(&path("a").to_string()), [a]);
    let missing: Vec<Node> = graph.nodes().filter(|node| !graph.is_described(*node)).collect();
    assert_eq!(names(&graph, &missing), ["c"]);
    let users = graph.users();
    assert_eq!(users.of(missing[0]).len(), 2);
}

#[test]
fn a_second_description_adds_what_is_new() {
    let mut builder = FlatBuilder::default();
    let mut describe = |inputs: &[&str]| {
        inputs.iter().for_each(|input| builder.input(&drv(input)).unwrap());
        builder.describe(&drv("x")).unwrap().1
    };
    assert_eq!(describe(&["a", "b"]), Added::New);
    assert_eq!(describe(&["b", "a"]), Added::Same);
    assert_eq!(describe(&["b", "c"]), Added::Different);
    let graph = builder.finish();
    let x = graph.find(&drv("x")).unwrap();
    assert_eq!(names(&graph, &graph.inputs(x).collect::<Vec<_>>()), ["a", "b", "c"]);
}

#[test]
fn texts_that_are_no_derivations_are_refused() {
    let mut builder = FlatBuilder::default();
    assert_eq!(builder.input("/tmp/x.drv"), Err(FlatError::NotAPath));
    assert_eq!(builder.input(&path("x").to_string()), Err(FlatError::NotADerivation));
    builder.input(&drv("a")).unwrap();
    assert_eq!(builder.describe(&path("x").to_string()), Err(FlatError::NotADerivation));
    let (x, _) = builder.describe(&drv("x")).unwrap();
    assert_eq!(builder.finish().inputs(x).len(), 0);
}

#[test]
fn cycles_are_told_from_what_depends_on_them() {
    let graph = flat(&[("top", &["a"]), ("a", &["b"]), ("b", &["a", "leaf"]), ("leaf", &[]), ("self", &["self"])]);
    let order = graph.order(&graph.users());
    assert_eq!(names(&graph, &order.cyclic), ["a", "b", "self"]);
    assert_eq!(names(&graph, &order.behind_cycles), ["top"]);
    assert_eq!(names(&graph, &order.inputs_first), ["leaf"]);
}

#[test]
fn a_chain_deeper_than_any_stack() {
    let mut builder = FlatBuilder::default();
    for number in 0..200_000 {
        if number > 0 {
            builder.input(&deep(number - 1)).unwrap();
        }
        builder.describe(&deep(number)).unwrap();
    }
    let graph = builder.finish();
    let order = graph.order(&graph.users());
    assert_eq!(order.inputs_first.len(), 200_000);
    assert!(order.inputs_first.iter().zip(graph.nodes()).all(|(one, other)| *one == other));
}

fn deep(number: u32) -> String {
    format!("/nix/store/{number:032}-x.drv")
}

proptest! {
    #[test]
    fn inputs_come_first_and_nobody_is_lost(edges in proptest::collection::vec((0u8..30, 0u8..30), 0..90)) {
        let mut builder = FlatBuilder::default();
        for node in 0u8..30 {
            for (_, to) in edges.iter().filter(|(from, _)| *from == node) {
                builder.input(&deep(u32::from(*to))).unwrap();
            }
            builder.describe(&deep(u32::from(node))).unwrap();
        }
        let graph = builder.finish();
        let order = graph.order(&graph.users());
        prop_assert_eq!(order.inputs_first.len() + order.cyclic.len() + order.behind_cycles.len(), 30);
        let mut place = vec![usize::MAX; 30];
        order.inputs_first.iter().enumerate().for_each(|(index, node)| place[node.index()] = index);
        for node in &order.inputs_first {
            prop_assert!(graph.inputs(*node).all(|input| place[input.index()] < place[node.index()]));
        }
        // A cyclic one can be reached from what it is made of, or lies between two that can.
        for node in &order.cyclic {
            let below = graph.closure(graph.inputs(*node));
            prop_assert!(order.cyclic.iter().any(|other| below[other.index()]));
        }
    }
}
