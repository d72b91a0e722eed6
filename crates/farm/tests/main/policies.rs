//! Reviews and comparisons of policies over 18,064 derivations of nixpkgs.

use crate::nixpkgs::{all_lines, inventory};
use narthex_farm::{FirstSeen, Inventory, Plan, PlanDiff, review};
use narthex_policy::{Date, Policy, Rules, Terms, shipped};
use std::collections::BTreeMap;

#[test]
fn explore() {
    let lines = all_lines();
    let inventory = inventory(&lines);
    let r = rules(shipped::DEFAULT_POLICY);
    let plan = Plan::new(&inventory, &r, None);
    let found = review(&plan, &FirstSeen::default());
    let mut classes: BTreeMap<_, usize> = BTreeMap::new();
    for p in &found.undecided {
        *classes.entry((p.class, p.verdict)).or_default() += 1;
    }
    println!("{} {classes:?}", found.undecided.len());
    for p in found.undecided.iter().take(30) {
        println!("{} {:?} {:?} {:?} {:?} {}", p.name, p.versions, p.attrs, p.licenses, p.class, p.reasons[0].code);
    }
    let silent: Vec<_> = inventory
        .jobs()
        .iter()
        .filter(|(_, n)| plan.outcome_of(*n).unwrap().code.as_str() == "license-unknown")
        .collect();
    println!(
        "jobs license-unknown {} of which lic none {}",
        silent.len(),
        silent.iter().filter(|(_, n)| plan.license(*n).is_none()).count()
    );
    for (_, text) in shipped::POLICIES {
        let other = rules(text);
        let t = std::time::Instant::now();
        let after = Plan::new(&inventory, &other, None);
        let diff = PlanDiff::new(&plan, &after);
        let c = diff.counts();
        println!("{:?} {} {c:?} holes {:?}", t.elapsed(), other.policy().name(), diff.holes().map(|h| h.len()));
    }
}

fn rules(policy: &str) -> Rules {
    let policy = Policy::parse(policy).unwrap();
    let terms = policy.terms().iter().map(|id| shipped::TERMS.iter().find(|(known, _)| known == id).unwrap().1);
    let terms = terms.map(|text| Terms::parse(text).unwrap()).collect();
    Rules::new(policy, terms, Date::new(2026, 11, 22).unwrap())
}
