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
