//! Reviews and comparisons of policies over 18,064 derivations of nixpkgs.

use crate::nixpkgs::{all_lines, inventory};
use narthex_closure::StorePath;
use narthex_farm::{Change, FirstSeen, Inventory, Plan, PlanDiff, review};
use narthex_license::Class;
use narthex_policy::{Date, Policy, Rules, Terms, Verdict, shipped};
use std::collections::{BTreeMap, BTreeSet};

fn rules(policy: &str) -> Rules {
    let policy = Policy::parse(policy).unwrap();
    let terms = policy.terms().iter().map(|id| shipped::TERMS.iter().find(|(known, _)| known == id).unwrap().1);
    let terms = terms.map(|text| Terms::parse(text).unwrap()).collect();
    Rules::new(policy, terms, Date::new(2026, 11, 22).unwrap())
}

fn shipped(name: &str) -> Rules {
    rules(shipped::POLICIES.iter().find(|(known, _)| *known == name).unwrap().1)
}

fn with(more: &str) -> Rules {
    rules(&format!("{}\n{more}", shipped::DEFAULT_POLICY))
}

const WARRANT: &str = "reason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n";

#[test]
fn what_nobody_has_decided() {
    let inventory = inventory(&all_lines());
    let default = shipped("default");
    let found = review(&Plan::new(&inventory, &default, None), &FirstSeen::default());
    let mut classes: BTreeMap<(Class, Verdict), usize> = BTreeMap::new();
    for package in &found.undecided {
        *classes.entry((package.class, package.verdict)).or_default() += 1;
    }
    let (restricted, unknown) = ((Class::Restricted, Verdict::Withhold), (Class::Unknown, Verdict::Withhold));
    // Two jobs are fetched and declare nothing: one goes by a free package that is made from it, the other by none.
    let of_free = (Class::Unknown, Verdict::Publish);
    let redistributable = (Class::Redistributable, Verdict::Publish);
    assert_eq!(classes, [(redistributable, 20), (restricted, 93), (unknown, 1146), (of_free, 1)].into());
    assert_eq!(found.undecided.len(), 1260);
    // Of 1,117 jobs one has the name of a package that is listed for what another version declares.
    let silent = found.undecided.iter().filter(|package| package.licenses.is_empty());
    assert_eq!(silent.map(|package| package.attrs.len()).sum::<usize>(), 1116);
    let names: Vec<&str> = found.undecided.iter().map(|package| package.name.as_str()).collect();
    assert!(names.is_sorted(), "what was never seen is in the order of names");
    // Several versions and attributes are one package.
    let sdk = found.undecided.iter().find(|package| package.name == "amdapp-sdk").unwrap();
    assert_eq!((sdk.versions.len(), sdk.attrs.len(), sdk.derivations.len()), (3, 5, 4));

    // One that was seen goes behind those that were not.
    let path: StorePath = "/nix/store/00000000000000000000000000000000-adom-1.2.0_pre23-noteye.drv".parse().unwrap();
    let seen = FirstSeen::of([(&path, 1)]);
    let again = review(&Plan::new(&inventory, &default, None), &seen);
    assert_eq!(again.undecided.last().unwrap().name, "adom");

    // Answers take out what they name and nothing else.
    let answered = with(&format!(
        "[[reviews]]\npackage = [\"adom\"]\nanswer = \"from-vendor\"\n{WARRANT}\
         [[grants]]\nagreement = \"AMD\"\nlicense = [\"amd\"]\n{WARRANT}"
    ));
    let left = review(&Plan::new(&inventory, &answered, None), &FirstSeen::default());
    let left: BTreeSet<&str> = left.undecided.iter().map(|package| package.name.as_str()).collect();
    let gone: Vec<&str> = names.into_iter().filter(|name| !left.contains(name)).collect();
    assert_eq!(gone, ["adom", "amdapp-sdk"]);
}

/// What changes, by change and reasons, with holes that come and go.
type Counts = BTreeMap<(Change, &'static str, &'static str), usize>;

fn compare(inventory: &Inventory, before: &Rules, after: &Rules) -> (Counts, [usize; 2]) {
    let (was, is) = (inventory.clone().put_right(before), inventory.clone().put_right(after));
    let (was, is) = (Plan::new(&was, before, None), Plan::new(&is, after, None));
    let diff = PlanDiff::new(&was, &is);
    let mut counts = Counts::new();
    for ((change, was, is), (derivations, _)) in diff.counts() {
        counts.insert((change, was.as_str(), is.as_str()), derivations);
    }
    // Nothing else differs, and all that is named does.
    for node in was.derivations() {
        let verdicts = [&was, &is].map(|plan| plan.outcome_of(node).unwrap().verdict);
        let change = diff.changed().iter().find(|(changed, _)| *changed == node).map(|(_, change)| *change);
        let differs = matches!(change, Some(Change::Published | Change::Withheld));
        assert_eq!(differs, verdicts[0] != verdicts[1], "{}", inventory.graph().path(node));
    }
    (counts, diff.holes().map(|holes| holes.len()))
}

#[test]
fn shipped_policies_differ_in_what_they_say_of_classes_only() {
    let inventory = inventory(&all_lines());
    let default = shipped("default");
    let made = "made-from-free-inputs";
    let none = (Counts::new(), [0, 0]);
    assert_eq!(compare(&inventory, &default, &default), none);
    // These differ in what becomes of findings, which a plan does not know.
    assert_eq!(compare(&inventory, &default, &shipped("strict")), none);
    assert_eq!(compare(&inventory, &default, &shipped("redistributable-only")), none);
    let publish = "made-from-free = \"publish\"";
    assert!(shipped::DEFAULT_POLICY.contains(publish));
    let cautious = rules(&shipped::DEFAULT_POLICY.replace(publish, "made-from-free = \"withhold\""));
    let (counts, holes) = compare(&inventory, &default, &cautious);
    assert_eq!((counts, holes), ([((Change::Withheld, made, made), 78)].into(), [22, 0]));
    let (counts, holes) = compare(&inventory, &cautious, &default);
    assert_eq!((counts, holes), ([((Change::Published, made, made), 78)].into(), [0, 22]));
    let (counts, _) = compare(&inventory, &default, &shipped("private"));
    let restricted = "license-restricted";
    let expected = [
        ((Change::Published, restricted, restricted), 113),
        ((Change::Published, "source-of-withheld", "source-of-published"), 405),
    ];
    assert_eq!(counts, expected.into());
}

#[test]
fn an_entry_changes_what_it_names() {
    let inventory = inventory(&all_lines());
    let changed = |more: &str| {
        let (default, other) = (shipped("default"), with(more));
        let after = inventory.clone().put_right(&other);
        let (was, is) = (Plan::new(&inventory, &default, None), Plan::new(&after, &other, None));
        let diff = PlanDiff::new(&was, &is);
        let named = |(node, change): &(_, Change)| {
            let attrs: Vec<&str> = is.attrs(*node).collect();
            let messages = [&was, &is].map(|plan| {
                let reason = plan.reasons(*node).remove(0);
                format!("{}: {}", reason.code, reason.message)
            });
            format!(
                "{} [{}] {change:?}\n  {}\n  {}",
                inventory.graph().name(*node),
                attrs.join(" "),
                messages[0],
                messages[1]
            )
        };
        let mut lines: Vec<String> = diff.changed().iter().map(named).collect();
        lines.sort();
        lines.join("\n")
    };
    let grant = format!("[[grants]]\nagreement = \"AMD\"\npackage = [\"amdapp-sdk\"]\n{WARRANT}");
    insta::assert_snapshot!(changed(&grant), @r#"
    AMD-APP-SDK-v2.6-lnx64.tgz [] Published
      source-of-withheld: source of amdapp-sdk-2.6, withheld
      source-of-published: source of amdapp-sdk-2.6
    AMD-APP-SDK-v2.7-lnx64.tgz [] Published
      source-of-withheld: source of amdapp-sdk-2.7, withheld
      source-of-published: source of amdapp-sdk-2.7
    AMD-APP-SDK-v2.8-lnx64.tgz [] Published
      source-of-withheld: source of amdapp-sdk-2.8, withheld
      source-of-published: source of amdapp-sdk-2.8
    amdapp-sdk-2.6 [amdappsdk26] Published
      license-restricted: LicenseRef-amd may not be passed on
      policy-grant: the grant `AMD` covers it until 2027-01-01: x (y)
    amdapp-sdk-2.7 [amdappsdk27] Published
      license-restricted: LicenseRef-amd may not be passed on
      policy-grant: the grant `AMD` covers it until 2027-01-01: x (y)
    amdapp-sdk-2.8 [amdappsdk amdappsdk28] Published
      license-restricted: LicenseRef-amd may not be passed on
      policy-grant: the grant `AMD` covers it until 2027-01-01: x (y)
    amdapp-sdk-2.8 [amdappsdkFull] Published
      license-restricted: LicenseRef-amd may not be passed on
      policy-grant: the grant `AMD` covers it until 2027-01-01: x (y)
    "#);
    let correction = "[[corrections]]\npackage = [\"hello\"]\nlicense = [\"unfree\"]\nreason = \"x\"\nsource = \"y\"\n";
    insta::assert_snapshot!(changed(correction), @r#"
    hello-2.10 [hello] Withheld
      license-free: GPL-3.0-or-later is free
      license-restricted: LicenseRef-unfree may not be passed on
    hello-2.10.tar.gz [] Withheld
      source-of-published: source of hello-2.10
      license-restricted: LicenseRef-unfree may not be passed on
    "#);
    // The verdict stays, and another entry decides.
    let rule = "[[rules]]\npackage = [\"hello\"]\nthen = \"publish\"\nreason = \"it is short\"\n";
    insta::assert_snapshot!(changed(rule), @r#"
    hello-2.10 [hello] OtherReason
      license-free: GPL-3.0-or-later is free
      policy-rule: a rule about package hello: it is short
    hello-2.10.tar.gz [] OtherReason
      source-of-published: source of hello-2.10
      policy-rule: a rule about package hello: it is short
    "#);
    let idle = with("[[rules]]\npackage = [\"hallo\"]\nthen = \"publish\"\nreason = \"x\"\n");
    assert_eq!(inventory.idle_entries(&idle), ["the rule about package hallo matches nothing"]);
    assert_eq!(idle.differences(&with(rule)).len(), 2);
}
