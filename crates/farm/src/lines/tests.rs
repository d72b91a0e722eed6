//! Lines, good and bad.

use super::*;
use crate::inventory::Diagnostic;
use crate::plan::Plan;
use narthex_license::Class;
use narthex_policy::{Code, Policy, Rules, Verdict, shipped};
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) fn drv(name: &str) -> String {
    format!("{}.drv", out(name))
}

fn out(name: &str) -> String {
    let hash: String = name
        .chars()
        .chain("0".repeat(32).chars())
        .take(32)
        .map(|c| if "etou-".contains(c) { '0' } else { c })
        .collect();
    format!("/nix/store/{hash}-{name}")
}

/// A line for a derivation; `more` are further fields.
pub(crate) fn line(name: &str, inputs: &[&str], more: Value) -> String {
    let inputs: serde_json::Map<String, Value> = inputs.iter().map(|input| (drv(input), json!(["out"]))).collect();
    let mut line = json!({"name": name, "drvPath": drv(name), "inputDrvs": inputs, "outputs": {"out": out(name)}});
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    line.to_string()
}

pub(crate) fn mit() -> Value {
    json!({"meta": {"license": "mit"}})
}

pub(crate) fn read(lines: &[String]) -> Inventory {
    let mut read = Lines::default();
    lines.iter().for_each(|line| read.line(line).unwrap());
    read.finish()
}

/// Verdict and deciding code of a derivation.
pub(crate) fn decided(inventory: &Inventory, name: &str) -> (Verdict, Code) {
    decided_under(inventory, name, "")
}

/// The same with more entries in the policy.
pub(crate) fn decided_under(inventory: &Inventory, name: &str, entries: &str) -> (Verdict, Code) {
    let policy = Policy::parse(&format!("{}{entries}", shipped::DEFAULT_POLICY)).unwrap();
    let rules = Rules::new(policy, Vec::new(), narthex_policy::Date::of_unix_time(0));
    let plan = Plan::new(inventory, &rules, None);
    let outcome = plan.outcome_of(inventory.graph().find(&drv(name)).unwrap()).unwrap();
    (outcome.verdict, outcome.code)
}

#[test]
fn bad_lines_are_named_and_change_nothing() {
    let good = line("a", &["b"], mit());
    let bad = [
        &good[..good.len() / 2],
        "[1]",
        "{}",
        "{\"drvPath\": 3}",
        "{\"drvPath\": \"/nix/store/x\"}",
        &line("a", &[], json!({"inputDrvs": {"/tmp/x.drv": ["out"]}})),
        &line("a", &[], json!({"outputs": {"out": "/tmp/x"}})),
        &format!("{good} {good}"),
        &good.replacen("{", "{\"meta\":{\"license\":\"unfree\"},", 1),
        // Nothing of a line counts where a part of it is wrong.
        &line(
            "q",
            &[],
            json!({"preferLocalBuild": true, "extraValue": {"facts": [format!("{} {{}}", drv("a")), "x"]}}),
        ),
    ];
    let mut lines = Lines::default();
    for text in bad {
        assert!(lines.line(text).is_err(), "{text}");
    }
    lines.line(&good).unwrap();
    lines.line("  \n").unwrap();
    let inventory = lines.finish();
    let a = inventory.graph().find(&drv("a")).unwrap();
    assert_eq!((inventory.graph().inputs(a).len(), inventory.graph().outputs(a).len()), (1, 1));
}

/// What is written in a way that nothing understands is no silence.
#[test]
fn a_license_that_cannot_be_read_is_no_absent_one() {
    let with =
        |fields: &str| line("x", &[], json!({"preferLocalBuild": true})).replacen('{', &format!("{{{fields},"), 1);
    let deep = format!("{}\"unfree\"{}", "[".repeat(200), "]".repeat(200));
    let check = |fields: &str, code: Code| assert_eq!(decided(&read(&[with(fields)]), "x").1, code, "{fields}");
    check("\"meta\":{}", Code::MadeFromFreeInputs);
    let twice = r#"{"shortName":"x","free":false,"free":true}"#;
    for license in [r#"{"shortName":"x\ud800","free":false}"#, &deep, "1e999", twice] {
        check(&format!("\"meta\":{{\"license\":{license}}}"), Code::LicenseUnknown);
        let beside = format!("\"meta\":{{\"license\":\"mit\"}},\"extraValue\":{{\"license\":{license}}}");
        check(&beside, Code::LicenseUnknown);
    }
    check(r#""extraValue":{"license":"unfree","madeFrom":5}"#, Code::LicenseUnknown);
    check(r#""extraValue":{"facts":[3]}"#, Code::LicenseUnknown);
    // Anybody's `--apply` may have written anything else.
    check(r#""extraValue":{"position":3}"#, Code::MadeFromFreeInputs);
    check(r#""extraValue":[1]"#, Code::MadeFromFreeInputs);
    // Where its code is from is told, and nothing of its license.
    check(r#""meta":{"sourceProvenance":["binaryNativeCode"]}"#, Code::LicenseUnknown);
    check(r#""meta":{"sourceProvenance":[{"shortName":"fromSource"}]}"#, Code::MadeFromFreeInputs);
}

/// A line may leave out what the derivation is made from: then nobody knows.
#[test]
fn what_something_is_made_from_is_told_or_not() {
    let untold = line("x", &[], json!({"preferLocalBuild": true})).replace("\"inputDrvs\":{},", "");
    let inventory = read(std::slice::from_ref(&untold));
    assert_eq!(decided(&inventory, "x").1, Code::LicenseUnknown);
    assert_eq!(inventory.diagnostics(), [Diagnostic::InputsUntold(drv("x"))]);
    let mut lines = Lines::default();
    lines.line(&untold).unwrap();
    assert_eq!(lines.undescribed().len(), 1, "its file may be there");
    // Another line tells, and says nothing else: that is no other description.
    let told = line("x", &["b"], json!({"preferLocalBuild": true}));
    let both = read(&[untold, told, line("b", &[], mit())]);
    assert_eq!((decided(&both, "x").1, both.diagnostics()), (Code::MadeFromFreeInputs, &[][..]));
}

#[test]
fn unknown_fields_and_other_spellings_are_read() {
    let more = json!({"cacheStatus": "local", "neededBuilds": [], "outputs": {"out": null}, "extraValue": 3,
        "inputDrvs": {drv("b"): {"dynamicOutputs": {}, "outputs": ["out"]}}, "attrPath": ["x", "y"], "error": null});
    let text = line("a", &[], more).replace("/nix/store", "\\/nix\\/store");
    let inventory = read(&[text]);
    assert_eq!(inventory.jobs()[0].0, "x.y");
    let a = inventory.graph().find(&drv("a")).unwrap();
    assert_eq!((inventory.graph().inputs(a).len(), inventory.graph().outputs(a)), (1, vec![("out", None)]));
}

#[test]
fn an_attribute_that_is_there_twice_is_shown_twice_and_named() {
    let job = |name: &str| line(name, &[], json!({"attr": "x", "meta": {"license": "mit"}}));
    let inventory = read(&[job("b"), job("a")]);
    assert_eq!(inventory.jobs().len(), 2);
    assert_eq!(inventory.diagnostics(), [Diagnostic::SameAttribute("x".to_owned())]);
}

#[test]
fn of_two_licenses_both_are_shown_and_the_stricter_counts() {
    let said = |license: &str| line("a", &[], json!({"meta": {"license": license}}));
    for lines in [[said("mit"), said("unfree")], [said("unfree"), said("mit")]] {
        let inventory = read(&lines);
        let [Diagnostic::SeveralLicenses(_, licenses)] = inventory.diagnostics() else { panic!() };
        assert_eq!(licenses, "MIT AND LicenseRef-unfree");
        assert_eq!(decided(&inventory, "a"), (Verdict::Withhold, Code::LicenseRestricted));
    }
    // A walker's facts count like the job's own; what is no set of fields may have hidden anything.
    let extra = json!({"meta": {"license": "mit"}, "extraValue": {"license": "unfree", "position": null}});
    assert_eq!(decided(&read(&[line("a", &[], extra)]), "a").1, Code::LicenseRestricted);
    assert_eq!(decided(&read(&[line("a", &[], json!({"meta": 3}))]), "a").1, Code::LicenseUnknown);
    assert_eq!(decided(&read(&[said("mit"), line("a", &[], json!({"meta": 3}))]), "a").1, Code::LicenseUnknown);
}

/// Lines for jobs alone: what each declares is told, and no license makes up for what is missing.
#[test]
fn a_job_without_its_graph_shows_what_it_declares() {
    let check = |license: Value, class: Class, shown: Option<&str>, codes: &[Code]| {
        let inventory = read(&[line("job", &["gone"], json!({"attr": "job", "meta": {"license": license}}))]);
        let policy = Policy::parse(shipped::DEFAULT_POLICY).unwrap();
        let rules = Rules::new(policy, Vec::new(), narthex_policy::Date::of_unix_time(0));
        let plan = Plan::new(&inventory, &rules, None);
        let node = inventory.jobs()[0].1;
        let outcome = plan.outcome_of(node).unwrap();
        assert_eq!((outcome.verdict, outcome.class), (Verdict::Withhold, class), "{license}");
        assert_eq!(plan.license(node).as_deref(), shown, "{license}");
        let all: Vec<Code> = plan.reasons(node).iter().map(|reason| reason.code).collect();
        assert_eq!(all, codes, "{license}");
        assert_eq!(outcome.code, codes[0], "{license}");
    };
    check(json!("mit"), Class::Free, Some("MIT"), &[Code::GraphIncomplete, Code::LicenseFree]);
    let unfree = [Code::LicenseRestricted, Code::GraphIncomplete];
    check(json!("unfree"), Class::Restricted, Some("LicenseRef-unfree"), &unfree);
    let bsl = [Code::GraphIncomplete, Code::LicenseRedistributable];
    check(json!("bsl11"), Class::Redistributable, Some("BUSL-1.1"), &bsl);
    let unknown = [Code::LicenseUnknown, Code::GraphIncomplete];
    check(json!("so"), Class::Unknown, Some("NOASSERTION (\"so\")"), &unknown);
    check(json!(null), Class::Unknown, None, &[Code::GraphIncomplete]);
}

#[test]
fn license_strings_that_nobody_knows_are_named_once_each() {
    let said = |name: &str, license: Value| line(name, &[], json!({"meta": {"license": license}}));
    let inventory = read(&[
        said("a", json!("GPL or so")),
        said("b", json!(["mit", "GPL or so"])),
        said("c", json!("MIT OR Apache-2.0")),
        said("d", json!("x\ny")),
    ]);
    let expected =
        [Diagnostic::UnknownLicense("GPL or so".to_owned(), 2), Diagnostic::UnknownLicense("x\ny".to_owned(), 1)];
    assert_eq!(inventory.diagnostics(), expected);
    assert_eq!(decided(&inventory, "c").1, Code::LicenseFree);
}

#[test]
fn what_depends_on_something_missing_or_on_itself_is_withheld() {
    let lines = [
        line("top", &["mid"], mit()),
        line("mid", &["gone"], mit()),
        line("a", &["b"], mit()),
        line("b", &["a"], mit()),
        line("behind", &["a"], mit()),
        line("fine", &[], mit()),
    ];
    let inventory = read(&lines);
    for name in ["top", "mid", "a", "b", "behind"] {
        assert_eq!(decided(&inventory, name), (Verdict::Withhold, Code::GraphIncomplete), "{name}");
    }
    assert_eq!(decided(&inventory, "fine"), (Verdict::Publish, Code::LicenseFree));
}

fn any_line() -> impl Strategy<Value = String> {
    let name = "[a-f]";
    let license = prop_oneof![Just(None), Just(Some("mit")), Just(Some("unfree")), Just(Some("what?"))];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (name, proptest::collection::vec(name, 0..4), license, flags).prop_map(|(name, inputs, license, flags)| {
        let (job, fixed, trivial) = flags;
        let mut more = json!({"fixedOutput": fixed, "preferLocalBuild": trivial});
        if job {
            more["attr"] = json!(name);
        }
        if let Some(license) = license {
            more["meta"] = json!({"license": license});
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        line(&name, &inputs, more)
    })
}

proptest! {
    /// Whatever the lines say, also of one derivation several times, their order does not show.
    #[test]
    fn the_order_of_lines_does_not_show(
        (straight, shuffled) in proptest::collection::vec(any_line(), 0..12)
            .prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle()))
    ) {
        let rules = Rules::new(Policy::parse(shipped::DEFAULT_POLICY).unwrap(), Vec::new(), narthex_policy::Date::of_unix_time(0));
        let shown = |lines: &[String]| {
            let inventory = read(lines);
            let plan = Plan::new(&inventory, &rules, None);
            let graph = inventory.graph();
            let of = |node| {
                let holes: Vec<_> = plan.holes(node).into_iter().map(|hole| graph.path(hole)).collect();
                (graph.path(node), plan.outcome_of(node), plan.reasons(node), holes, plan.attrs(node).map(str::to_owned).collect::<Vec<_>>())
            };
            let all: Vec<_> = plan.derivations().into_iter().map(of).collect();
            format!("{all:?} {:?} {:?}", inventory.diagnostics(), plan.rulings())
        };
        prop_assert_eq!(shown(&straight), shown(&shuffled));
    }

    #[test]
    fn no_text_leads_to_a_panic(text in ".{0,80}", keys in "[{}\":,\\[\\]a-z/]{0,60}") {
        let mut lines = Lines::default();
        let _ = lines.line(&text);
        let _ = lines.line(&keys);
        lines.finish();
    }
}
