//! What only a text names, and hooks: which rule each goes by, and what keeps it from being used.

use crate::lines::tests::{decided, drv, line, mit, read};
use narthex_policy::{Code, Verdict};
use serde_json::{Value, json};

const SCRIPT: &str = "/nix/store/00000000000000000000000000000000-hook.sh";
const BLOB: &str = "/nix/store/00000000000000000000000000000000-blob";

fn unreached(sources: &[&str]) -> Value {
    json!({"reached": false, "inputSrcs": sources})
}

fn asked(sources: &[&str], license: Option<&str>) -> Value {
    match license {
        Some(license) => json!({"inputSrcs": sources, "meta": {"license": license}}),
        None => json!({"inputSrcs": sources, "reached": true}),
    }
}

fn fetched(name: &str) -> String {
    line(name, &[], json!({"fixedOutput": true}))
}

/// A second derivation of a name, and its path.
fn second(name: &str, inputs: &[&str], more: Value) -> (String, String) {
    let (first, path) = (drv(name), format!("/nix/store/11111111111111111111111111111111-{name}.drv"));
    let text = line(name, inputs, more).replace(&first, &path);
    (text.replace(first.trim_end_matches(".drv"), path.trim_end_matches(".drv")), path)
}

fn code_of(lines: &[String], path: &str) -> (Verdict, Code) {
    let inventory = read(lines);
    let policy = narthex_policy::Policy::parse(narthex_policy::shipped::DEFAULT_POLICY).unwrap();
    let rules = narthex_policy::Rules::new(policy, Vec::new(), narthex_policy::Date::of_unix_time(0));
    let plan = crate::Plan::new(&inventory, &rules, None);
    let outcome = plan.outcome_of(inventory.graph().find(path).unwrap()).unwrap();
    (outcome.verdict, outcome.code)
}

#[test]
fn another_build_that_only_a_text_names_goes_by_the_package() {
    let unknown = (Verdict::Withhold, Code::LicenseUnknown);
    let check = |license: &str, (text, path): (String, String), more: &[String], expected: (Verdict, Code)| {
        let package = line("p-1", &["src"], asked(&[], Some(license)));
        let lines = [&[fetched("src"), fetched("src2"), package, text], more].concat();
        assert_eq!(code_of(&lines, &path), expected, "{lines:?}");
    };
    let of = |inputs: &[&str]| second("p-1", inputs, unreached(&[]));
    check("mit", of(&["src"]), &[], (Verdict::Publish, Code::LicenseOfOriginal));
    check("unfree", of(&["src"]), &[], (Verdict::Withhold, Code::LicenseOfOriginal));
    check("no such license", of(&["src"]), &[], (Verdict::Withhold, Code::LicenseOfOriginal));
    // Other sources, none, a file of its own, or another name.
    check("mit", of(&["src2"]), &[], unknown);
    check("mit", of(&["src", "src2"]), &[], unknown);
    check("mit", of(&[]), &[], unknown);
    check("mit", second("p-1", &["src"], unreached(&[BLOB])), &[], unknown);
    check("mit", second("p-2", &["src"], unreached(&[])), &[], unknown);
    // Something went in that is not free, or that nobody could ask.
    let closed = line("closed", &[], asked(&[], Some("unfree")));
    check("mit", of(&["src", "closed"]), std::slice::from_ref(&closed), unknown);
    check("mit", of(&["src", "codec"]), &[line("codec", &["src2"], unreached(&[]))], unknown);
    let between = line("between", &["closed"], unreached(&[]));
    check("mit", of(&["src", "between"]), &[closed, between], unknown);
    // An edition with more in it than the package has, be that as free as it may.
    let more = line("more", &[], asked(&[], Some("mit")));
    check("mit", of(&["src", "more"]), std::slice::from_ref(&more), unknown);
    // What an edition that was asked declares holds for one that nobody could ask.
    let edition = line("p-1", &["src", "more"], asked(&[], Some("unfree")));
    let edition = edition.replace("/00000000000000000000000000000000-p-1", "/22222222222222222222222222222222-p-1");
    check("mit", of(&["src"]), &[more, edition], (Verdict::Withhold, Code::LicenseOfOriginal));
}

/// What hides a vendor's files behind something that declares nothing and is taken for a part of nixpkgs.
#[test]
fn hooks_and_environments_carry_nothing_in() {
    let license = |license: &str| asked(&[], Some(license));
    let check = |name: &str, carried: &[&str], more: &[String], expected: Code| {
        let lines = [
            vec![
                fetched("wheel"),
                line("closed", &["wheel"], license("unfree")),
                line("other", &[], license("the terms of Acme")),
                line("opened", &["wheel"], asked(&[], None)),
                line(name, carried, asked(&[SCRIPT], None)),
                line("x", &[name], json!({"preferLocalBuild": true, "reached": true, "inputSrcs": []})),
            ],
            more.to_vec(),
        ];
        assert_eq!(decided(&read(&lines.concat()), "x").1, expected, "{name} {carried:?}");
    };
    for name in ["x-hook", "stdenv-x"] {
        check(name, &[], &[], Code::MadeFromFreeInputs);
        check(name, &["closed"], &[], Code::LicenseUnknown);
        // The vendor's archive, unpacked by something that declares nothing, once and twice.
        check(name, &["wheel"], &[], Code::LicenseUnknown);
        check(name, &["opened"], &[], Code::LicenseUnknown);
        check(name, &["twice"], &[line("twice", &["opened"], asked(&[], None))], Code::LicenseUnknown);
    }
    // The same bytes, fetched by another derivation.
    let again = fetched("wheel").replace(&drv("wheel"), "/nix/store/11111111111111111111111111111111-again.drv");
    let opened = line("unwrapped", &["wheel"], asked(&[], None));
    let opened = opened.replace(&drv("wheel"), "/nix/store/11111111111111111111111111111111-again.drv");
    for name in ["x-hook", "stdenv-x"] {
        check(name, &["unwrapped"], &[again.clone(), opened.clone()], Code::LicenseUnknown);
    }
    // What unpacks an archive of which nobody declares anything, and no package that is not free uses.
    let archive = [fetched("archive"), line("unpacked", &["archive"], asked(&[], None))];
    check("x-hook", &["unpacked"], &archive, Code::LicenseUnknown);
    let file = line("wrapped", &[], asked(&[BLOB], None));
    check("x-hook", &["wrapped"], std::slice::from_ref(&file), Code::LicenseUnknown);
    // Every environment of older sets has something whose license nobody knows; a hook has that from nowhere else.
    check("stdenv-x", &["other"], &[], Code::MadeFromFreeInputs);
    check("x-hook", &["other"], &[], Code::LicenseUnknown);
    check("x-hook", &["twice"], &[line("twice", &["other"], asked(&[], None))], Code::LicenseUnknown);
    check("x-hook", &["stdenv"], &[line("stdenv", &["other"], asked(&[SCRIPT], None))], Code::MadeFromFreeInputs);
}

/// A package's input in another stage has to show by its sources that it is that input.
#[test]
fn inputs_that_only_a_text_names_are_known_by_their_sources() {
    let check = |other: Value, inputs: &[&str], expected: Code| {
        let (lib, lib_path) = second("lib-1", inputs, other);
        let (variant, path) = second("p-1", &["src", "lib-1"], unreached(&[]));
        let variant = variant.replace(&drv("lib-1"), &lib_path);
        let lines = [
            fetched("src"),
            fetched("src2"),
            line("closed", &[], asked(&[], Some("unfree"))),
            line("lib-1", &["src2"], asked(&[], None)),
            line("p-1", &["src", "lib-1"], asked(&[], Some("mit"))),
            lib,
            variant,
        ];
        assert_eq!(code_of(&lines, &path).1, expected, "{lines:?}");
    };
    check(unreached(&[]), &["src2"], Code::LicenseOfOriginal);
    check(unreached(&[BLOB]), &["src2"], Code::LicenseUnknown);
    check(unreached(&[]), &["src"], Code::LicenseUnknown);
    check(unreached(&[]), &[], Code::LicenseUnknown);
    check(unreached(&[]), &["src2", "closed"], Code::LicenseUnknown);
    // Whether it has a file of its own is not told.
    check(json!({"reached": false}), &["src2"], Code::LicenseUnknown);
}

#[test]
fn a_hook_of_a_script_that_free_packages_are_built_with_is_made_from_free_inputs() {
    let made = (Verdict::Publish, Code::MadeFromFreeInputs);
    let unknown = (Verdict::Withhold, Code::LicenseUnknown);
    let check = |name: &str, inputs: &[&str], more: Value, user: Value, expected: (Verdict, Code)| {
        let lines = [
            fetched("src"),
            line("free", &[], mit()),
            line("closed", &[], asked(&[], Some("unfree"))),
            line(name, inputs, more),
            line("user", &[name], user),
        ];
        assert_eq!(decided(&read(&lines), name), expected, "{lines:?}");
    };
    check("x-hook", &["free"], asked(&[SCRIPT], None), mit(), made);
    let helper = "/nix/store/00000000000000000000000000000000-helper.py";
    check("x-hook", &["free"], asked(&[SCRIPT, helper], None), mit(), made);
    // A hook of a company's own package; another file; something that is not free; a name that is no hook's.
    check("x-hook", &["free"], asked(&[SCRIPT], None), json!({"meta": {"license": "unfree"}}), unknown);
    check("x-hook", &["free"], asked(&[SCRIPT], None), json!({}), unknown);
    check("x-hook", &["free"], asked(&[SCRIPT, BLOB], None), mit(), unknown);
    check("x-hook", &["free", "closed"], asked(&[SCRIPT], None), mit(), unknown);
    check("x-hook", &["free", "src"], asked(&[SCRIPT], None), mit(), unknown);
    check("x-tool", &["free"], asked(&[SCRIPT], None), mit(), unknown);
    // One that only a text names may declare something, and local files that are not told may be any.
    check("x-hook", &["free"], unreached(&[SCRIPT]), mit(), unknown);
    check("x-hook", &["free"], json!({}), mit(), unknown);
}

/// What was asked about a hook and declared nothing answers for the same script in another stage; what it declared does not
/// make the other one free.
#[test]
fn a_hook_in_another_stage_goes_by_the_one_that_was_asked() {
    let check = |asked: Value, script: &str, expected: (Verdict, Code)| {
        let (text, path) = second("x-hook", &["free"], unreached(&[script]));
        let (user, _) = second("user", &["x-hook"], mit());
        let user = user.replace(&drv("x-hook"), &path);
        let lines = [line("free", &[], mit()), line("x-hook", &["free"], asked), text, user];
        assert_eq!(code_of(&lines, &path), expected, "{lines:?}");
    };
    let other = "/nix/store/00000000000000000000000000000000-other.sh";
    check(asked(&[SCRIPT], None), SCRIPT, (Verdict::Publish, Code::MadeFromFreeInputs));
    check(asked(&[SCRIPT], None), other, (Verdict::Withhold, Code::LicenseUnknown));
    check(asked(&[SCRIPT], Some("mit")), SCRIPT, (Verdict::Publish, Code::LicenseOfOriginal));
    check(asked(&[SCRIPT], Some("unfree")), SCRIPT, (Verdict::Withhold, Code::LicenseOfOriginal));
}

/// A standard environment that nobody could ask has the scripts of one that was.
#[test]
fn a_standard_environment_is_known_by_its_scripts() {
    let check = |ours: Value, theirs: Value, expected: Code| {
        let (environment, path) = second("stdenv-linux", &["seed"], theirs);
        let built = line("x", &["stdenv-linux"], json!({"preferLocalBuild": true, "reached": true}));
        let built = built.replace(&drv("stdenv-linux"), &path);
        let lines = [line("seed", &[], unreached(&[])), line("stdenv-linux", &[], ours), environment, built];
        assert_eq!(decided(&read(&lines), "x").1, expected, "{lines:?}");
    };
    let other = "/nix/store/00000000000000000000000000000000-other.sh";
    check(asked(&[SCRIPT], Some("mit")), unreached(&[SCRIPT]), Code::MadeFromFreeInputs);
    check(asked(&[SCRIPT, other], None), unreached(&[SCRIPT]), Code::MadeFromFreeInputs);
    check(asked(&[SCRIPT], Some("mit")), unreached(&[SCRIPT, other]), Code::LicenseUnknown);
    check(asked(&[SCRIPT], Some("mit")), unreached(&[]), Code::LicenseUnknown);
    check(asked(&[SCRIPT], Some("unfree")), unreached(&[SCRIPT]), Code::LicenseUnknown);
    check(asked(&[SCRIPT], Some("mit")), json!({"reached": false}), Code::LicenseUnknown);
}

/// Two derivations that fetch the same bytes.
#[test]
fn what_is_declared_of_bytes_holds_for_whoever_fetches_them() {
    let check = |said: [Option<&str>; 2], user: &str, expected: (Verdict, Code)| {
        let fetch = |license: Option<&str>| match license {
            Some(license) => json!({"fixedOutput": true, "meta": {"license": license}}),
            None => json!({"fixedOutput": true}),
        };
        let path = "/nix/store/11111111111111111111111111111111-font.drv";
        let one = line("font", &[], fetch(said[0]));
        let two = line("font", &[], fetch(said[1])).replace(&drv("font"), path);
        let user = line("user", &["font"], json!({"meta": {"license": user}})).replace(&drv("font"), path);
        let lines = [one, two, user];
        for order in [lines.clone(), [lines[2].clone(), lines[1].clone(), lines[0].clone()]] {
            assert_eq!(decided(&read(&order), "font"), expected, "{order:?}");
            assert_eq!(code_of(&order, path), expected, "{order:?}");
        }
    };
    check([Some("ofl"), None], "unfree", (Verdict::Publish, Code::LicenseFree));
    check([None, Some("ofl")], "mit", (Verdict::Publish, Code::LicenseFree));
    check([Some("ofl"), Some("unfree")], "mit", (Verdict::Withhold, Code::LicenseRestricted));
    check([Some("unfree"), None], "mit", (Verdict::Withhold, Code::LicenseRestricted));
    check([Some("ofl"), Some("no such license")], "mit", (Verdict::Withhold, Code::LicenseUnknown));
    check([None, None], "mit", (Verdict::Publish, Code::SourceOfPublished));
    check([None, None], "unfree", (Verdict::Withhold, Code::SourceOfWithheld));
}
