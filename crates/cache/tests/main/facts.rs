//! What the catalog keeps of derivations.

use narthex_cache::{Catalog, KnownDerivation};
use narthex_closure::{StorePath, parse_store_path};
use std::collections::BTreeMap;

fn newer(_: &str, newer: &str) -> String {
    newer.to_owned()
}

fn path(letter: char, name: &str) -> StorePath {
    parse_store_path(&format!("{}-{name}", letter.to_string().repeat(32))).unwrap()
}

fn known(letter: char, name: &str, attrs: &[&str], facts: &str) -> KnownDerivation {
    let outputs = [("out", path(letter, name)), ("lib", path(letter, &format!("{name}-lib")))];
    KnownDerivation {
        derivation: path(letter, &format!("{name}.drv")),
        name: name.to_owned(),
        attrs: attrs.iter().map(|attr| (*attr).to_owned()).collect(),
        outputs: outputs.map(|(output, path)| (output.to_owned(), path)).into(),
        facts: facts.to_owned(),
    }
}

#[tokio::test]
async fn facts_are_found_by_derivation_by_output_and_by_attribute() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("catalog.sqlite");
    let catalog = Catalog::open(&file).await.unwrap();
    let (one, two) = (known('a', "one", &["alias", "pkgs.one"], "{}"), known('b', "two", &[], "[1]"));
    catalog.put_facts(&[one.clone(), two.clone()], newer, 100).await.unwrap();

    for name in [&one.derivation, &one.outputs["out"], &one.outputs["lib"]] {
        assert_eq!(catalog.known(name).await.unwrap(), std::slice::from_ref(&one), "{name}");
    }
    assert_eq!(catalog.known(&two.derivation).await.unwrap(), std::slice::from_ref(&two));
    assert_eq!(catalog.known(&path('c', "three")).await.unwrap(), []);
    assert_eq!(catalog.known_by_attr("pkgs.one").await.unwrap(), Some(one.clone()));
    assert_eq!(catalog.known_by_attr("pkgs.two").await.unwrap(), None);

    // What is said later is put together with what was said before; an attribute goes over to what it is now, and
    // when something was first seen stays.
    let again = KnownDerivation { attrs: vec![], facts: "[2]".to_owned(), ..one.clone() };
    let both = |one: &str, two: &str| format!("{one}{two}");
    catalog.put_facts(&[again, known('c', "three", &["alias"], "{}")], both, 200).await.unwrap();
    let expected = KnownDerivation { attrs: vec!["pkgs.one".to_owned()], facts: "{}[2]".to_owned(), ..one.clone() };
    assert_eq!(catalog.known(&one.derivation).await.unwrap(), [expected]);
    assert_eq!(catalog.known_by_attr("alias").await.unwrap().unwrap().name, "three");
    let seen: BTreeMap<StorePath, u64> =
        [(one.derivation, 100), (two.derivation, 100), (path('c', "three.drv"), 200)].into();
    assert_eq!(catalog.first_seen().await.unwrap(), seen);
}

#[tokio::test]
async fn several_derivations_may_make_one_path() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("catalog.sqlite")).await.unwrap();
    let one = known('a', "source", &[], "{}");
    let two = KnownDerivation { derivation: path('b', "source.drv"), ..one.clone() };
    catalog.put_facts(&[one.clone(), two.clone()], newer, 1).await.unwrap();
    assert_eq!(catalog.known(&one.outputs["out"]).await.unwrap(), [one, two]);
}
