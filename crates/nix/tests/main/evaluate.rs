//! Package sets with everything that can go wrong, however they are cut.

use crate::{World, attrs, data, failed, workers};
use narthex_event::Event;
use narthex_license::Class;
use narthex_nix::{EvalOptions, Expression};
use std::sync::Mutex;
use std::time::Duration;

const WRONG: [(&str, &str); 14] = [
    ("aborts", "stop everything"),
    ("badSet", "nobody knows"),
    ("broken", "marked as broken"),
    ("deep", "stack overflow"),
    ("dependsOnAbort", "stop everything"),
    ("inItself.set.set", "without end"),
    ("missing", "nothing"),
    ("recurses", "infinite recursion"),
    ("recursesInside", "infinite recursion"),
    ("renamed", "has been renamed to hello"),
    ("throws", "license server is down"),
    ("tools.bad", "inside"),
    ("wrongMeta", "wrong types"),
    ("wrongType", "is an integer while a set was expected"),
];

#[tokio::test]
async fn the_same_comes_out_however_it_is_cut() {
    let world = World::new().await;
    let set = world.set("size = 220; faults = true;");
    let whole = world.evaluate(&set, &[], &workers(1)).await;
    failed(&whole, &WRONG);
    let names = attrs(&whole);
    for attr in ["alias", "hello", "package-0", "package-219", "tools.deeper.wrapped", "tools.hello", "vendor"] {
        assert!(names.contains(&attr), "{attr}");
    }
    assert!(!names.iter().any(|attr| attr.starts_with("notSearched")));
    assert!(whole.facts.len() > 480, "{}", whole.facts.len());
    for count in [2, 3, 7] {
        let cut = world.evaluate(&set, &[], &workers(count)).await;
        assert_eq!(cut.errors, whole.errors, "{count} workers");
        for (derivation, known) in &whole.facts {
            assert_eq!(cut.facts.get(derivation), Some(known), "{count} workers");
        }
        assert!(cut == whole, "{count} workers: more facts, or other jobs");
    }
}

#[tokio::test]
async fn what_is_said_of_derivations() {
    let world = World::new().await;
    let set = world.set("size = 12;");
    let evaluation = world.evaluate(&set, &[], &workers(2)).await;
    let check = |name: &str, license: &str, class: Class, provenance: &[&str]| {
        let known = evaluation.facts.values().find(|known| known.name == name);
        let facts = &known.unwrap_or_else(|| panic!("nothing about {name}")).facts;
        assert_eq!((facts.license.to_string().as_str(), facts.class()), (license, class), "{name}");
        assert_eq!(facts.provenance, provenance, "{name}");
        facts.position.clone()
    };
    let position = check("vendor-1", "LicenseRef-unfree", Class::Restricted, &["binaryNativeCode"]);
    assert!(position.is_some_and(|place| place.starts_with(&data("set.nix").display().to_string())));
    // `relicensed` is the same derivation as `hello`.
    check("hello-2.12", "GPL-3.0-or-later AND LicenseRef-unfree", Class::Restricted, &[]);
    check("hello-3", "GPL-3.0-or-later", Class::Free, &[]);
    check("package-5-5.5", "LicenseRef-unfreeRedistributable", Class::Redistributable, &["binaryNativeCode"]);
    check("package-4-4.4", "MIT AND Apache-2.0", Class::Free, &[]);
    check("stage3-gcc", "GPL-3.0-or-later", Class::Free, &[]);
    check("joined", "NOASSERTION", Class::Unknown, &[]);
    check("vendor.run", "NOASSERTION", Class::Unknown, &[]);
    check("odd-meta", "NOASSERTION", Class::Unknown, &[]);
    check("odd-provenance", "MIT AND NOASSERTION", Class::Unknown, &[]);
    check("text-provenance", "NOASSERTION", Class::Unknown, &["binaryFirmware"]);
    let odd = evaluation.facts.values().find(|known| known.name == "odd-meta").unwrap();
    assert_eq!(odd.facts.license.malformed(), Some("a meta of the kind int"));
    assert!(!evaluation.facts.values().any(|known| known.name == "by-text"), "only a text leads there");
    let made_from = |name: &str| {
        let known = evaluation.facts.values().find(|known| known.name == name);
        let origin = known.unwrap_or_else(|| panic!("nothing about {name}")).made_from.as_ref();
        origin.map(|origin| evaluation.facts[origin].name.as_str())
    };
    assert_eq!(made_from("joined-alone"), Some("vendor-1"));
    assert_eq!(made_from("unwrapping"), Some("hello-2.12"));
    assert_eq!(made_from("joined"), None, "of several nobody can say");
}

/// What a wrapper was made from is asked by nobody else, and must not keep anything from being evaluated.
#[tokio::test]
async fn what_aborts_only_where_it_is_asked_for() {
    let world = World::new().await;
    let evaluation = world.evaluate(&world.set("size = 12; traps = true;"), &[], &workers(2)).await;
    failed(&evaluation, &[]);
    let names = attrs(&evaluation);
    assert!(names.contains(&"trap") && names.contains(&"besideTrap") && names.contains(&"package-11"), "{names:?}");
    let trap = evaluation.facts.values().find(|known| known.name == "trap").unwrap();
    assert_eq!((trap.facts.class(), &trap.made_from), (Class::Unknown, &None));
}

#[tokio::test]
async fn attributes_that_are_asked_for() {
    let world = World::new().await;
    let set = world.set("size = 12;");
    let evaluation =
        world.evaluate(&set, &["hello", "tools.deeper", "notSearched", "lib", "a.\"b.c\""], &workers(2)).await;
    assert_eq!(attrs(&evaluation), ["hello", "notSearched.hello", "tools.deeper.wrapped"]);
    failed(&evaluation, &[("a.\"b.c\"", "no such attribute"), ("lib", "no such attribute")]);
}

#[tokio::test]
async fn roots_that_are_no_set_of_packages() {
    let world = World::new().await;
    let check = async |text: &str, part: &str| {
        let expression = Expression::File(world.file("root.nix", text));
        for attrs in [&[] as &[&str], &["x"]] {
            match world.try_evaluate(&expression, attrs, &workers(2)).await {
                Err(error) => assert!(error.to_string().contains(part), "{text}: {error}"),
                // Whoever names an attribute is told about that.
                Ok(evaluation) => failed(&evaluation, &[("x", "no such attribute")]),
            }
        }
    };
    check("{ a = ", "syntax error").await;
    check("throw \"not today\"", "not today").await;
    check("42", "neither a derivation nor a set").await;
    check("{ needed }: { }", "needed").await;
    check("let x = x; in x", "infinite recursion").await;
}

#[tokio::test]
async fn a_root_that_is_a_derivation() {
    let world = World::new().await;
    let text = format!("{{ size ? 3 }}: (import {} {{ inherit size; }}).hello", data("set.nix").display());
    let expression = Expression::File(world.file("root.nix", &text));
    let evaluation = world.evaluate(&expression, &[], &workers(2)).await;
    assert_eq!(attrs(&evaluation), [""]);
    assert_eq!(evaluation.jobs[0].name, "hello-2.12");
}

#[tokio::test]
async fn what_takes_too_much_is_named_and_the_rest_is_there() {
    let world = World::new().await;
    let set = world.set("size = 30; heavy = true;");
    let options = EvalOptions { max_memory: 900, timeout: Duration::from_secs(3), ..workers(2) };
    let evaluation = world.evaluate(&set, &[], &options).await;
    failed(&evaluation, &[("endless", "longer than 3 s of computing"), ("greedy", "more than 900 MiB")]);
    let usual = world.evaluate(&world.set("size = 30;"), &[], &workers(2)).await;
    assert_eq!((&evaluation.jobs, &evaluation.facts), (&usual.jobs, &usual.facts));
}

/// Each attribute needs little and all of them together too much for one process.
#[tokio::test]
async fn processes_that_grow_are_begun_anew() {
    let world = World::new().await;
    let text = "let big = n: builtins.genList (k: k + n) 2000000; keep = n: let l = big n; in \
        { inherit l; sum = builtins.foldl' (a: b: a + b) 0 l; }; kept = map keep [ 1 2 3 4 5 6 ]; \
        one = n: let k = builtins.elemAt kept n; in derivation { name = \"n${toString n}\"; system = \"x\"; builder = \"b\"; \
        sum = toString k.sum; }; in builtins.listToAttrs (map (n: { name = \"n${toString n}\"; value = one n; }) [ 0 1 2 3 4 5 ])";
    let expression = Expression::File(world.file("big.nix", text));
    let options = EvalOptions { max_memory: 700, ..workers(2) };
    let evaluation = world.evaluate(&expression, &[], &options).await;
    failed(&evaluation, &[]);
    assert_eq!(attrs(&evaluation), ["n0", "n1", "n2", "n3", "n4", "n5"]);
}

#[tokio::test]
async fn progress_ends_where_all_is_done() {
    let world = World::new().await;
    let seen = Mutex::new(Vec::new());
    let sink = |event: Event| {
        if let Event::EvaluationProgress { done, known, errors, .. } = event {
            seen.lock().unwrap().push((done, known, errors));
        }
    };
    let set = world.set("size = 100; faults = true;");
    let evaluation = world.nix.evaluate(&set, &[], &workers(2), &sink).await.unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().all(|(done, known, _)| done <= known), "{seen:?}");
    let (done, known, errors) = *seen.last().unwrap();
    assert_eq!((done, errors), (known, evaluation.errors.len()));
}
