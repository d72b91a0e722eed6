//! What counts as a package, what as an answer, and what comes first.

use super::*;
use crate::Inventory;
use crate::lines::tests::{line, mit, read};
use narthex_policy::{Date, Policy, Rules, shipped};
use serde_json::{Value, json};

fn rules(more: &str) -> Rules {
    let policy = Policy::parse(&format!("{}\n{more}", shipped::DEFAULT_POLICY)).unwrap();
    Rules::new(policy, Vec::new(), Date::new(2026, 11, 22).unwrap())
}

fn entry(about: &str, answer: &str, until: &str) -> String {
    format!("[[reviews]]\n{about}\nanswer = \"{answer}\"\nreason = \"x\"\nresponsible = \"y\"\nuntil = {until}\n")
}

fn unfree(attr: &str) -> Value {
    json!({"attr": attr, "meta": {"license": "unfree"}})
}

fn set() -> Inventory {
    read(&[
        line("src-1", &[], json!({"fixedOutput": true})),
        line("free-1", &["src-1"], mit()),
        line("made-1", &["free-1"], json!({"attr": "made", "preferLocalBuild": true})),
        line("silent-1", &["src-1"], json!({"attr": "silent"})),
        line("inner-silent-1", &["src-1"], json!({})),
        line("a-1", &[], unfree("a")),
        line("a-2", &[], unfree("aNew")),
        line("b-1", &[], json!({"meta": {"license": "unfreeRedistributable"}})),
        line("c-1", &[], json!({"attr": "c", "meta": {"license": "who knows"}})),
        // What it needs is missing: it is a package all the same.
        line("d-1", &["gone"], unfree("d")),
    ])
}

/// Undecided packages with their versions, and what ended.
fn undecided(more: &str) -> Vec<String> {
    let (inventory, rules) = (set(), rules(more));
    let review = review(&Plan::new(&inventory, &rules, None), &FirstSeen::default());
    let shown = |one: &Undecided| {
        let versions: Vec<&str> = one.versions.iter().map(String::as_str).collect();
        let ended: Vec<&str> = one.ended.iter().map(String::as_str).collect();
        format!("{} {}: {} {:?} {}", one.name, versions.join("+"), one.class, one.verdict, ended.join("; "))
            .trim_end()
            .to_owned()
    };
    review.undecided.iter().map(shown).collect()
}

#[test]
fn what_is_not_plainly_free_is_listed_until_somebody_answers() {
    let [a, b, c, d, e] = [
        "a 1+2: restricted Withhold",
        "b 1: redistributable Publish",
        "c 1: unknown Withhold",
        "d 1: restricted Withhold",
        // A job that declares nothing is a package that nobody knows the license of.
        "silent 1: unknown Withhold",
    ];
    assert_eq!(undecided(""), [a, b, c, d, e]);
    assert_eq!(undecided(&entry("package = [\"a\"]", "from-vendor", "2027-01-01")), [b, c, d, e]);
    assert_eq!(undecided(&entry("license = [\"unfree*\"]", "confirmed", "2027-01-01")), [c, e]);
    assert_eq!(undecided(&entry("attribute = [\"c\"]", "from-vendor", "2027-01-01")), [a, b, d, e]);
    // An answer for one version leaves the others open, and one that has ended all of them.
    let newer = "a 2: restricted Withhold";
    assert_eq!(undecided(&entry("package = [\"a-1\"]", "from-vendor", "2027-01-01")), [newer, b, c, d, e]);
    let ended = "b 1: redistributable Publish the review about package b ended on 2026-01-01; ask y";
    assert_eq!(undecided(&entry("package = [\"b\"]", "confirmed", "2026-01-01")), [a, ended, c, d, e]);
}

#[test]
fn what_is_decided_is_counted_and_a_confirmation_without_effect_is_named() {
    let more = entry("package = [\"a\", \"b\"]", "confirmed", "2027-01-01")
        + &entry("package = [\"c\"]", "from-vendor", "2027-01-01");
    let (inventory, rules) = (set(), rules(&more));
    let review = review(&Plan::new(&inventory, &rules, None), &FirstSeen::default());
    assert_eq!(review.decided, [(Answer::Confirmed, 2), (Answer::FromVendor, 1)].into());
    let [(name, by, reason)] = review.unheeded.as_slice() else { panic!("{:?}", review.unheeded) };
    assert_eq!((name.as_str(), by.as_str()), ("a", "the review about package a or b"));
    assert_eq!(reason.code.as_str(), "license-restricted");
    // The job that declares nothing is no part of the list; what is no job is not counted.
}

#[test]
fn the_newest_come_first_and_what_was_never_seen_before_them() {
    let (inventory, rules) = (set(), rules(""));
    let path = |name: &str, hash: char| -> StorePath {
        format!("/nix/store/{}-{name}.drv", hash.to_string().repeat(32)).parse().unwrap()
    };
    // A rebuild of what was seen is not new; a new version is.
    let known = [(path("a-1", '0'), 100), (path("a-2", '0'), 300), (path("b-1", '0'), 200), (path("b-1", '1'), 400)];
    let seen = FirstSeen::of(known.iter().map(|(path, seen)| (path, *seen)));
    let review = review(&Plan::new(&inventory, &rules, None), &seen);
    let order: Vec<_> = review.undecided.iter().map(|one| (one.name.as_str(), one.first_seen)).collect();
    assert_eq!(order, [("c", None), ("d", None), ("silent", None), ("a", Some(300)), ("b", Some(200))]);
}

/// Lines and an evaluation put the same right, also what declares nothing; and entries about nothing are named.
#[test]
fn lines_are_put_right_and_idle_entries_named() {
    let correction = |package: &str| {
        format!("[[corrections]]\npackage = [\"{package}\"]\nlicense = [\"unfree\"]\nreason = \"x\"\nsource = \"y\"\n")
    };
    let rules = rules(
        &(correction("silent") + &correction("nobody") + &entry("package = [\"fre*\"]", "confirmed", "2027-01-01")),
    );
    let inventory = set().put_right(&rules);
    assert_eq!(inventory.idle_entries(&rules), ["the correction about package nobody matches nothing"]);
    let review = review(&Plan::new(&inventory, &rules, None), &FirstSeen::default());
    let names: Vec<&str> = review.undecided.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "silent"]);
}

/// What is unknown is there whether or not a job bears its name, by what an answer frees.
#[test]
fn what_is_unknown_is_listed_by_what_it_holds_back() {
    let unknown = |more: &str| -> Vec<String> {
        let lines = [
            line("src-1", &[], json!({"fixedOutput": true})),
            line("src-2", &[], json!({"fixedOutput": true})),
            line("shared-1", &[], json!({"fixedOutput": true})),
            line("inner-1", &["src-1", "shared-1"], json!({})),
            line("inner-2", &["src-2"], json!({})),
            line("other-1", &["shared-1"], json!({"meta": {"license": "who knows"}})),
            line("one-1", &["inner-1"], json!({"attr": "one", "meta": {"license": "mit"}})),
            line("both-1", &["inner-2", "other-1"], json!({"attr": "both", "meta": {"license": "mit"}})),
        ];
        let (inventory, rules) = (read(&lines), rules(more));
        let review = review(&Plan::new(&inventory.put_right(&rules), &rules, None), &FirstSeen::default());
        let shown = |group: &Unknown| {
            let versions = Vec::from_iter(group.versions.iter().map(String::as_str)).join("+");
            format!("{} {versions} frees {} hole of {}: {}", group.name, group.frees(), group.referrers, group.rule)
        };
        review.unknown.iter().map(shown).collect()
    };
    let inner = "inner 1+2 frees 5 hole of 2: unknown: has a source and declares no license";
    // Two derivations, two sources, and the one package without another hole; the shared source has two that keep it back.
    assert_eq!(unknown(""), [inner, "other 1 frees 1 hole of 1: declared"]);
    let answered = "[[licenses]]\nnamed = [\"who knows\"]\nmeans = \"MIT\"\nreason = \"x\"\nresponsible = \"y\"\n";
    assert_eq!(unknown(answered), [inner.replace("frees 5", "frees 7")]);
    assert_eq!(
        unknown(&entry("package = [\"inner\"]", "confirmed", "2030-01-01")),
        ["other 1 frees 1 hole of 1: declared"]
    );
}

/// A font is fetched and is a package all the same: that a free package uses it answers for its bytes, and not for it.
#[test]
fn a_fetched_job_that_declares_nothing_is_listed() {
    let font = |more: serde_json::Value| {
        let mut fields = json!({"attr": "font", "fixedOutput": true});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line("font-1", &[], fields)
    };
    let listed = |font: String, more: &str| -> Vec<String> {
        let user = line("user-1", &["font-1", "inner-1"], json!({"attr": "user", "meta": {"license": "mit"}}));
        let (inventory, rules) = (read(&[font, line("inner-1", &[], json!({"fixedOutput": true})), user]), rules(more));
        let review = review(&Plan::new(&inventory, &rules, None), &FirstSeen::default());
        let shown = |one: &Undecided| format!("{} {} {:?} {}", one.name, one.class, one.verdict, one.reasons[0].code);
        review.undecided.iter().map(shown).collect()
    };
    assert_eq!(listed(font(json!({})), ""), ["font unknown Publish source-of-published"]);
    assert_eq!(listed(font(json!({"meta": {"license": "ofl"}})), ""), [""; 0]);
    assert_eq!(listed(font(json!({})), &entry("package = [\"font\"]", "from-vendor", "2030-01-01")), [""; 0]);
}
