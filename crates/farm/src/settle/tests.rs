//! Each rule, and what keeps it from being used.

use crate::inventory::Inventory;
use crate::lines::tests::{decided, decided_under, drv, line, mit, read};
use crate::plan::Plan;
use narthex_license::Class;
use narthex_policy::{Code, Date, Policy, Rules, Verdict, shipped};
use serde_json::{Value, json};

fn fetched(name: &str) -> String {
    line(name, &[], json!({"fixedOutput": true}))
}

fn trivial() -> Value {
    json!({"preferLocalBuild": true})
}

fn unfree() -> Value {
    json!({"meta": {"license": "unfree"}})
}

fn check(lines: &[String], name: &str, verdict: Verdict, code: Code) -> Inventory {
    let inventory = read(lines);
    assert_eq!(decided(&inventory, name), (verdict, code), "{lines:?}");
    inventory
}

#[test]
fn what_is_made_from_free_packages_alone_is_published() {
    let free = line("free", &["free-src"], mit());
    let of = |inputs: &[&str], more: Value| {
        [free.clone(), fetched("free-src"), line("closed", &[], unfree()), line("x", inputs, more)]
    };
    let made = Code::MadeFromFreeInputs;
    check(&of(&["free"], trivial()), "x", Verdict::Publish, made);
    check(&of(&["free"], json!({"allowSubstitutes": false})), "x", Verdict::Publish, made);
    check(&of(&["free"], json!({"inputSrcs": []})), "x", Verdict::Publish, made);
    // A local file, a fetched one, or nothing that tells.
    let local = json!({"inputSrcs": ["/nix/store/00000000000000000000000000000000-blob"]});
    check(&of(&["free"], local), "x", Verdict::Withhold, Code::LicenseUnknown);
    check(&of(&["free", "free-src"], trivial()), "x", Verdict::Withhold, Code::LicenseUnknown);
    check(&of(&["free"], json!({})), "x", Verdict::Withhold, Code::LicenseUnknown);
    // Something else went in.
    check(&of(&["free", "closed"], trivial()), "x", Verdict::Withhold, Code::LicenseUnknown);
    check(&of(&["free"], unfree()), "x", Verdict::Withhold, Code::LicenseRestricted);
}

#[test]
fn what_is_made_from_generated_things_is_generated_as_well() {
    let lines = [line("a", &[], trivial()), line("b", &["a"], trivial()), line("c", &["b"], trivial())];
    check(&lines, "c", Verdict::Publish, Code::MadeFromFreeInputs);
    let lines = [line("a", &[], unfree()), line("b", &["a"], trivial()), line("c", &["b"], trivial())];
    check(&lines, "c", Verdict::Withhold, Code::LicenseUnknown);
}

#[test]
fn a_standard_environment_is_not_asked_unless_something_unfree_went_in() {
    let lines = |more: Value| {
        [line("seed", &[], more), line("stdenv", &["seed"], json!({})), line("x", &["stdenv"], trivial())]
    };
    check(&lines(json!({})), "x", Verdict::Publish, Code::MadeFromFreeInputs);
    check(&lines(unfree()), "x", Verdict::Withhold, Code::LicenseUnknown);
    check(&lines(json!({})), "stdenv", Verdict::Withhold, Code::LicenseUnknown);
}

#[test]
fn scripts_that_many_share_are_no_sources() {
    let script = "/nix/store/00000000000000000000000000000000-default-builder.sh";
    let lines = |count: usize| -> Vec<String> {
        let names = ["a", "b", "c", "d", "f", "g", "h", "i"];
        let more = json!({"inputSrcs": [script], "buildScripts": [script]});
        names[..count].iter().map(|name| line(name, &[], more.clone())).collect()
    };
    check(&lines(8), "a", Verdict::Publish, Code::MadeFromFreeInputs);
    check(&lines(7), "a", Verdict::Withhold, Code::LicenseUnknown);
    // One that has it among its files and does not build with it: it may be what it hands on.
    let mut installed = lines(8);
    installed.push(line("installer", &[], json!({"inputSrcs": [script]})));
    for name in ["a", "installer"] {
        check(&installed, name, Verdict::Withhold, Code::LicenseUnknown);
    }
}

#[test]
fn a_standard_environment_is_no_way_around_anything() {
    let (x, unknown) = (line("x", &["stdenv"], trivial()), Code::LicenseUnknown);
    let blob = json!({"inputSrcs": ["/nix/store/00000000000000000000000000000000-blob"]});
    check(&[line("stdenv", &[], blob), x.clone()], "x", Verdict::Withhold, unknown);
    let script = json!({"inputSrcs": ["/nix/store/00000000000000000000000000000000-setup.sh"]});
    check(&[line("stdenv", &[], script), x.clone()], "x", Verdict::Publish, Code::MadeFromFreeInputs);
    // Not even where something that declares nothing lies between.
    let wrapper = line("cc-wrapper", &["icc"], json!({}));
    let lines = [line("icc", &[], unfree()), wrapper, line("stdenv", &["cc-wrapper"], json!({})), x];
    check(&lines, "x", Verdict::Withhold, unknown);
}

/// What only a text leads to may declare anything.
#[test]
fn what_an_evaluation_did_not_come_across_is_unknown() {
    let x = |reached: bool| line("x", &[], json!({"preferLocalBuild": true, "reached": reached}));
    check(&[x(true)], "x", Verdict::Publish, Code::MadeFromFreeInputs);
    check(&[x(false)], "x", Verdict::Withhold, Code::LicenseUnknown);
    check(&[x(false), x(true)], "x", Verdict::Publish, Code::MadeFromFreeInputs);
    // A text that stands in the expression is part of the package set.
    let text = json!({"preferLocalBuild": true, "generatedText": true, "reached": false});
    check(&[line("x", &[], text)], "x", Verdict::Publish, Code::MadeFromFreeInputs);
    // Not even where it calls itself a standard environment.
    let environment = line("stdenv", &[], json!({"reached": false}));
    let of = line("w", &["stdenv"], trivial());
    check(&[environment, of], "w", Verdict::Withhold, Code::LicenseUnknown);
    // As `--apply` tells it: what is not in the lists was not come across.
    let facts = |names: &[&str]| {
        let of = |name: &&str| format!("{} {{\"declared\":false,\"license\":null}}", drv(name));
        json!({"meta": {"license": "mit"}, "extraValue": {"facts": names.iter().map(of).collect::<Vec<_>>()}})
    };
    let x = line("x", &[], trivial());
    check(&[line("job", &["x"], facts(&["x"])), x.clone()], "x", Verdict::Publish, Code::MadeFromFreeInputs);
    check(&[line("job", &["x"], facts(&[])), x], "x", Verdict::Withhold, Code::LicenseUnknown);
}

/// Wrappers of nixpkgs are built with hooks, which are scripts that declare nothing.
#[test]
fn a_setup_hook_is_a_script_of_the_package_set() {
    let script = |name: &str| json!({"inputSrcs": [format!("/nix/store/00000000000000000000000000000000-{name}")]});
    let wrapper = line("w", &["make-wrapper-hook"], trivial());
    let hook = |inputs: &[&str], more: Value| line("make-wrapper-hook", inputs, more);
    let (made, unknown) = (Code::MadeFromFreeInputs, Code::LicenseUnknown);
    check(&[hook(&[], script("make-wrapper.sh")), wrapper.clone()], "w", Verdict::Publish, made);
    check(&[hook(&[], script("make-wrapper.bin")), wrapper.clone()], "w", Verdict::Withhold, unknown);
    let lines = [hook(&["closed"], script("make-wrapper.sh")), line("closed", &[], unfree()), wrapper.clone()];
    check(&lines, "w", Verdict::Withhold, unknown);
    check(&[hook(&[], json!({})), wrapper], "w", Verdict::Withhold, unknown);
}

/// Declarations of whatever makes one path hold together, also through a third derivation, and in any order.
#[test]
fn what_shares_paths_shares_licenses() {
    let of = |name: &str, license: &str, outputs: Value| {
        line(name, &[], json!({"meta": {"license": license}, "outputs": outputs}))
    };
    let path = |name: &str| format!("/nix/store/00000000000000000000000000000000-{name}");
    let lines = [
        of("a", "mit", json!({"out": path("p1")})),
        of("b", "bsd3", json!({"out": path("p1"), "dev": path("p2")})),
        of("c", "unfree", json!({"out": path("p2")})),
    ];
    for _ in 0..8 {
        for name in ["a", "b", "c"] {
            check(&lines, name, Verdict::Withhold, Code::LicenseRestricted);
        }
    }
    // A list and an expression look alike and are not the same: which comes first must not be chance.
    let both = json!({"licenseType": "compound", "operator": "AND", "licenses": ["mit", "bsd3"]});
    let shared = |name: &str, license: Value| {
        line(name, &[], json!({"meta": {"license": license}, "outputs": {"out": path("p1")}}))
    };
    let lines = [shared("a", json!(["mit", "bsd3"])), shared("b", both), shared("c", json!("asl20"))];
    let shown = || {
        let inventory = read(&lines);
        let settlement = crate::settle::settle(&inventory);
        let node = inventory.graph().find(&drv("a")).unwrap();
        settlement.facts[settlement.declared(node).unwrap() as usize].license.to_string()
    };
    let first = shown();
    assert!((0..16).all(|_| shown() == first), "{first}");
}

/// The same name from the same source; the source may be fetched by another derivation.
#[test]
fn another_build_takes_the_facts_of_the_package() {
    let variant = |inputs: &[&str], name: &str, hash: &str| {
        line(
            name,
            inputs,
            json!({"drvPath": format!("/nix/store/{hash}-{name}.drv"), "outputs": {"out": format!("/nix/store/{hash}-{name}")}}),
        )
    };
    let hash = "11111111111111111111111111111111";
    let find = |lines: &[String]| {
        let inventory = read(lines);
        let rules = narthex_policy::Rules::new(
            narthex_policy::Policy::parse(narthex_policy::shipped::DEFAULT_POLICY).unwrap(),
            Vec::new(),
            narthex_policy::Date::of_unix_time(0),
        );
        let plan = crate::Plan::new(&inventory, &rules, None);
        let node = inventory.graph().nodes().find(|node| inventory.graph().base_name(*node).starts_with(hash)).unwrap();
        plan.outcome_of(node).map(|outcome| (outcome.verdict, outcome.code)).unwrap()
    };
    let base = |more: Value| {
        vec![fetched("src"), fetched("patch"), line("closed", &[], unfree()), line("p-1", &["src"], more)]
    };
    let with = |more: Value, variant: String| [base(more), vec![variant]].concat();
    assert_eq!(find(&with(mit(), variant(&["src"], "p-1", hash))), (Verdict::Publish, Code::LicenseOfOriginal));
    assert_eq!(find(&with(unfree(), variant(&["src"], "p-1", hash))), (Verdict::Withhold, Code::LicenseOfOriginal));
    // Another name, another source, or something that is not free.
    for (inputs, name) in [(vec!["src"], "q-1"), (vec!["src", "patch"], "p-1"), (vec!["src", "closed"], "p-1")] {
        assert_eq!(find(&with(mit(), variant(&inputs, name, hash))).1, Code::LicenseUnknown, "{inputs:?} {name}");
    }
    // Nor where something went in that nobody knows, or a local file, and the package has neither.
    let mystery = [fetched("src2"), line("mystery", &["src2"], json!({})), line("free", &[], mit())];
    let with_more = |variant: String| [with(mit(), variant), mystery.to_vec()].concat();
    let free = with_more(variant(&["src", "free"], "p-1", hash));
    assert_eq!(find(&free), (Verdict::Publish, Code::LicenseOfOriginal));
    assert_eq!(find(&with_more(variant(&["src", "mystery"], "p-1", hash))).1, Code::LicenseUnknown);
    // An input that is only called as one of the package's.
    let named = |lib: Value, other: Value| {
        let package = line("p-1", &["src", "lib-1"], mit());
        let other_path = "/nix/store/22222222222222222222222222222222-lib-1";
        let other = line("lib-1", &["src2"], other)
            .replace(&drv("lib-1"), &format!("{other_path}.drv"))
            .replace(&drv("lib-1").replace(".drv", ""), other_path);
        let variant = variant(&["src", "lib-1"], "p-1", hash).replace(&drv("lib-1"), &format!("{other_path}.drv"));
        find(&[fetched("src"), fetched("src2"), line("lib-1", &["src2"], lib), package, other, variant]).1
    };
    assert_eq!(named(json!({}), json!({})), Code::LicenseOfOriginal);
    let asks = json!({"meta": {"license": "as is, ask us"}});
    assert_eq!(named(json!({}), asks), Code::LicenseUnknown);
    let blob = json!({"inputSrcs": ["/nix/store/00000000000000000000000000000000-blob"]});
    assert_eq!(named(json!({}), blob), Code::LicenseUnknown);
    assert_eq!(named(json!({}), json!({"reached": false})), Code::LicenseUnknown);
    let local = variant(&["src"], "p-1", hash)
        .replace("\"inputDrvs\"", "\"inputSrcs\":[\"/nix/store/00000000000000000000000000000000-blob\"],\"inputDrvs\"");
    assert_eq!(find(&with_more(local)).1, Code::LicenseUnknown);
}

#[test]
fn what_is_said_to_be_made_from_a_package_takes_its_facts() {
    let made_from = |of: &str| json!({"extraValue": {"madeFrom": drv(of)}, "preferLocalBuild": true});
    let wrapper = |inputs: &[&str]| line("w", inputs, made_from("p"));
    let package = |more: Value| line("p", &[], more);
    check(&[package(mit()), wrapper(&["p"])], "w", Verdict::Publish, Code::LicenseOfOriginal);
    check(&[package(unfree()), wrapper(&["p"])], "w", Verdict::Withhold, Code::LicenseOfOriginal);
    // A wrapper of a wrapper, and one that says that it is made from itself.
    let outer = line("outer", &["w"], made_from("w"));
    check(&[package(unfree()), wrapper(&["p"]), outer], "outer", Verdict::Withhold, Code::LicenseOfOriginal);
    check(&[package(unfree()), line("w", &["p"], made_from("w"))], "w", Verdict::Withhold, Code::LicenseUnknown);
    // The package is not described.
    check(&[line("w", &[], made_from("p"))], "w", Verdict::Publish, Code::MadeFromFreeInputs);
    let plugin = line("plugin", &[], unfree());
    check(&[package(mit()), plugin, wrapper(&["p", "plugin"])], "w", Verdict::Withhold, Code::LicenseUnknown);
    // Nor is it where it is not made from that package, or through something that nobody knows.
    check(&[package(mit()), fetched("src"), wrapper(&["src"])], "w", Verdict::Withhold, Code::LicenseUnknown);
    let between = line("between", &["p", "src"], json!({"extraValue": {"madeFrom": drv("p")}}));
    let lines = [package(mit()), fetched("src"), between, line("w", &["between"], made_from("between"))];
    check(&lines, "w", Verdict::Withhold, Code::LicenseUnknown);
    // Nor is it where it has a source of its own, or where that is not told.
    let other = wrapper(&["p", "src"]);
    check(&[package(mit()), fetched("src"), other], "w", Verdict::Withhold, Code::LicenseUnknown);
    let local = json!({"extraValue": {"madeFrom": drv("p")}, "inputSrcs": ["/nix/store/00000000000000000000000000000000-blob"]});
    let untold = json!({"extraValue": {"madeFrom": drv("p")}});
    for more in [local, untold] {
        check(&[package(mit()), line("w", &["p"], more)], "w", Verdict::Withhold, Code::LicenseUnknown);
    }
}

#[test]
fn sources_follow_what_is_made_from_them() {
    let user = |name: &str, more: Value| line(name, &["src"], more);
    check(&[fetched("src"), user("a", mit())], "src", Verdict::Publish, Code::SourceOfPublished);
    check(&[fetched("src"), user("a", mit()), user("b", json!({}))], "src", Verdict::Withhold, Code::SourceOfWithheld);
    check(&[fetched("src")], "src", Verdict::Withhold, Code::LicenseUnknown);
}

/// Leave for a package is leave for what it is made from, as long as nobody else's package is made from it.
#[test]
fn sources_follow_a_grant() {
    let grant = "[[grants]]\nagreement = \"x\"\npackage = [\"granted*\"]\nreason = \"r\"\nresponsible = \"a\"\nuntil = \"2030-01-01\"\n";
    let user = |name: &str| line(name, &["src"], unfree());
    let alone = read(&[fetched("src"), user("granted")]);
    assert_eq!(decided_under(&alone, "src", grant), (Verdict::Publish, Code::SourceOfPublished));
    assert_eq!(decided(&alone, "src"), (Verdict::Withhold, Code::SourceOfWithheld));
    let shared = read(&[fetched("src"), user("granted"), user("other")]);
    assert_eq!(decided_under(&shared, "src", grant), (Verdict::Withhold, Code::SourceOfWithheld));
}

/// A class that is shown is that of the reading that decides.
#[test]
fn a_policy_reads_lists_as_it_says() {
    let both = json!({"meta": {"license": ["mit", "unfree"]}});
    let inventory = read(&[line("x", &[], both)]);
    let lenient = "lists = \"lenient\"\n";
    let policy =
        Policy::parse(&shipped::DEFAULT_POLICY.replacen("\nterms =", &format!("\n{lenient}terms ="), 1)).unwrap();
    let strict = Policy::parse(shipped::DEFAULT_POLICY).unwrap();
    let outcome = |policy: Policy| {
        let rules = Rules::new(policy, Vec::new(), Date::of_unix_time(0));
        Plan::new(&inventory, &rules, None).outcome_of(inventory.graph().find(&drv("x")).unwrap()).unwrap()
    };
    let (strict, lenient) = (outcome(strict), outcome(policy));
    assert_eq!((strict.class, strict.verdict), (Class::Restricted, Verdict::Withhold));
    assert_eq!((lenient.class, lenient.verdict), (Class::Free, Verdict::Publish));
}

/// A product that somebody names as a source is nobody's source.
#[test]
fn one_path_from_a_source_and_from_a_package_is_disputed() {
    let product = line("p", &[], mit());
    let disguise = line("q", &[], json!({"fixedOutput": true, "outputs": {"out": drv("p").trim_end_matches(".drv")}}));
    let user = line("u", &["q"], mit());
    let inventory = check(&[product, disguise, user], "p", Verdict::Withhold, Code::LicenseUnknown);
    assert_eq!(decided(&inventory, "q"), (Verdict::Withhold, Code::LicenseUnknown));
}
