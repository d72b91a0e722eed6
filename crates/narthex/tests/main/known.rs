//! What the catalog knows of a path that arrives without the set that describes it.

use crate::attack::{Attack, TEXT, is};
use crate::example::{row, text};
use serde_json::Value;

/// A package that refers to a product of another set.
fn user_of(path: &str) -> String {
    format!(
        "{{ app = mkDerivation {{ pname = \"app\"; version = \"1\"; nativeBuildInputs = [ coreutils ]; \
         other = builtins.storePath \"{path}\"; buildCommand = ''mkdir \"$out\"; ln -s \"$other\" \"$out/link\"''; \
         meta.license = licenses.mit; }}; }}"
    )
}

#[track_caller]
fn decided(rows: &[Value], path: &str) -> (String, String) {
    let row = rows.iter().find(|row| text(row, "path") == path).unwrap();
    (text(row, "verdict").to_owned(), text(&row["reasons"][0], "code").to_owned())
}

#[test]
fn a_path_of_another_set_is_recognized() {
    let attack = Attack::new();
    let set = |license: &str| format!("let {TEXT} in {{ lib = text \"lib\" {license}; }}");
    let first = attack.run("one", &set("licenses.mit"), &[]).expect(0).rows();
    let path = text(row(&first, "lib", "out"), "path").to_owned();

    // A state that never heard of it withholds it; the one that evaluated its set knows what it is.
    let strange = attack.run("other", &user_of(&path), &[]).expect(0).rows();
    assert_eq!(decided(&strange, &path), ("withhold".to_owned(), "license-unknown".to_owned()));
    let known = attack.run("one", &user_of(&path), &[]).expect(0).rows();
    is(&known, "app", "publish", "license-free");
    assert_eq!(decided(&known, &path), ("publish".to_owned(), "license-free".to_owned()));

    // Another set says something else of the same derivation: both apply.
    attack.run("one", &set("unfree"), &[]).expect(0);
    let both = attack.run("one", &user_of(&path), &[]).expect(0).rows();
    assert_eq!(decided(&both, &path), ("withhold".to_owned(), "license-restricted".to_owned()));
    // And nobody takes that back by saying again that it is free.
    attack.run("one", &set("licenses.mit"), &[]).expect(0);
    let still = attack.run("one", &user_of(&path), &[]).expect(0).rows();
    assert_eq!(decided(&still, &path), ("withhold".to_owned(), "license-restricted".to_owned()));
}

/// An attribute, a derivation that is gone, and what was never built are explained from the catalog.
#[test]
fn why_needs_no_nix_for_what_the_catalog_knows() {
    let attack = Attack::new();
    let set = format!(
        "let {TEXT} in {{ lib = text \"lib\" licenses.mit; secret = text \"secret\" unfree; broken = throw \"no\"; }}"
    );
    let rows = attack.run("one", &set, &[]).expect(1).rows();
    let path = text(row(&rows, "secret", "out"), "path").to_owned();
    let derivation = text(row(&rows, "secret", "out"), "deriver").to_owned();
    let state = attack.state("one");
    // A store without anything in it: nothing can be evaluated, and no .drv file is there.
    let empty = attack.world.empty_store("empty");
    let why = |arguments: &[&str]| attack.world.narthex(&empty, &state, &[&["why"], arguments].concat());

    let expected = why(&[&path]).expect(0).out;
    assert!(expected.contains("withheld under the policy `default`"), "{expected}");
    assert!(expected.contains("attributes: secret"), "{expected}");
    assert!(expected.contains("one reason would have to go:\nlicense-restricted, by any of these ways"), "{expected}");
    assert!(
        expected.contains("by the holder of the rights: give leave to pass it on (`grants` of the policy)"),
        "{expected}"
    );
    assert_eq!(why(&["secret"]).expect(0).out, expected);
    assert_eq!(why(&[&derivation]).expect(0).out, expected);

    let json = &why(&["secret", "--format", "json"]).expect(0).rows()[0];
    assert_eq!(text(json, "path"), path);
    assert_eq!(json["toPublish"][0]["reason"], "license-restricted");
    assert_eq!(json["toPublish"][0]["ways"][0]["by"], "rights-holder");
    assert_eq!(json["derivations"][0]["attrs"], serde_json::json!(["secret"]));
    // What is published has nothing in its way.
    let free = &why(&["lib", "--format", "json"]).expect(0).rows()[0];
    assert_eq!((text(free, "verdict"), &free["toPublish"]), ("publish", &serde_json::json!([])));

    let said = why(&["nothing-of-this-name"]).expect(2);
    assert!(said.err.contains("no job is called nothing-of-this-name in this state"), "{}", said.err);
}

/// `plan --keep` makes known what nobody built; `why` says what would be decided, under any policy.
#[test]
fn what_was_only_planned_is_foretold() {
    let attack = Attack::new();
    let set = format!("let {TEXT} in {{ secret = text \"secret\" unfree; }}");
    attack.world.folder("planned");
    std::fs::write(attack.world.extra().join("set.nix"), format!("{}{set}", crate::attack::PRELUDE)).unwrap();
    let narthex = |arguments: &[&str]| attack.world.narthex(&attack.store, &attack.state("planned"), arguments);
    narthex(&["plan", "/extra/set.nix"]).expect(0);
    assert!(!attack.state("planned").join("catalog.sqlite").exists(), "plan made a state");
    narthex(&["plan", "/extra/set.nix", "--keep"]).expect(0);
    let said = narthex(&["why", "secret"]).expect(0).out;
    assert!(
        said.contains("not built here yet; by what is declared it would be withheld under the policy `default`"),
        "{said}"
    );
    let private = &narthex(&["why", "secret", "--policy", "private", "--format", "json"]).expect(0).rows()[0];
    assert_eq!((text(private, "verdict"), &private["forecast"]), ("publish", &serde_json::json!(true)));
}
