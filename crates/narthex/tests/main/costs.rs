//! `plan --costs` before and after a run: what is unknown is said to be, what is known is exactly what is there.

use crate::world::{Said, Store, World};
use serde_json::{Value, json};
use std::path::Path;

fn plan(world: &World, store: &Store, state: &Path, more: &[&str]) -> Said {
    world.narthex(store, state, &[&["plan", "/examples/cuda", "--costs"], more].concat()).expect(0)
}

fn costs(world: &World, store: &Store, state: &Path) -> Value {
    let rows = plan(world, store, state, &["--format", "json"]).rows();
    let [costs] = rows.as_slice() else { panic!("{} objects", rows.len()) };
    costs.clone()
}

/// Sizes and times without their numbers, which depend on compilers and machines, and without the columns that they
/// make.
fn masked(text: &str) -> String {
    let is_number = |word: &str| word.trim_start_matches(['+', '−']).parse::<f64>().is_ok();
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        for at in 1..words.len() {
            let unit = words[at].trim_end_matches([')', ',']);
            if ["B", "kB", "MB", "GB", "s", "min", "%"].contains(&unit) && is_number(words[at - 1]) {
                words[at - 1] = "#";
            }
        }
        // From nothing to some kB, a unit is no longer the same.
        words.join(" ").replace("# kB", "# B").replace("# MB", "# B") + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn before_and_after_a_run() {
    let world = World::new("2.8");
    let (store, state) = (world.store("store"), world.folder("state"));

    let before = costs(&world, &store, &state);
    assert_eq!(before["cache"]["compressed"], json!({"bytes": null, "estimated": 0, "known": 0, "of": 15}));
    assert_eq!((&before["build"]["all"]["seconds"], &before["build"]["all"]["of"]), (&Value::Null, &json!(18)));
    // The vendor's files are in the store, and nothing else is.
    assert_eq!(before["origins"]["sizes"], json!({"catalog": 0, "store": 2, "earlier": 0, "unknown": 20}));
    assert_eq!(before["origins"]["catalog"], json!(false));
    assert!(std::fs::read_dir(&state).unwrap().next().is_none(), "a command that only reads made a state");
    let table = plan(&world, &store, &state, &[]).out;
    assert!(table.contains("FORECAST") && table.contains("there is no catalog yet"), "{table}");
    assert!(table.contains("unknown  15 paths in 15 files, size known of 0 of 15"), "{table}");

    world.narthex(&store, &state, &["run", "/examples/cuda"]).expect(1);
    let after = costs(&world, &store, &state);
    let nars = std::fs::read_dir(state.join("objects/nar")).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    let sizes: Vec<u64> = nars.map(|file| file.len()).collect();
    // `broken` is the path that licenses permit and that is not there.
    let there = json!({"bytes": sizes.iter().sum::<u64>(), "estimated": 0, "known": 12, "of": 13});
    assert_eq!(after["cache"]["compressed"], there, "{after:#}");
    assert_eq!((&after["cache"]["paths"], &after["cache"]["files"]), (&json!(13), &json!(sizes.len() + 1)));
    assert_eq!(after["cache"]["upload"], json!({"bytes": null, "estimated": 0, "known": 0, "of": 1}));
    assert_eq!(after["origins"]["withheldBefore"], json!(2));

    let build = |group: &str| {
        let time = &after["build"][group];
        (time["known"].as_u64().unwrap(), time["of"].as_u64().unwrap(), time["seconds"].as_f64().unwrap())
    };
    let (all, published, withheld) = (build("all"), build("published"), build("withheld"));
    assert_eq!(((all.0, all.1), (published.0, published.1), (withheld.0, withheld.1)), ((17, 18), (12, 13), (5, 5)));
    assert!(all.2 > 0.0 && (all.2 - published.2 - withheld.2).abs() < 0.01, "{after:#}");

    // What a client needs for one attribute is what `realise` shows for it.
    let app = plan(&world, &store, &state, &["--format", "json", "--target", "saxpy-app"]).rows();
    let update = &app[0]["update"]["asPlanned"];
    let holes = (&update["build"]["of"], &update["build"]["known"], &update["fromOrigin"]["known"]);
    assert_eq!(holes, (&json!(1), &json!(1), &json!(1)), "{:#}", app[0]);
    assert_eq!((&update["download"]["known"], &update["download"]["of"]), (&json!(6), &json!(6)), "{:#}", app[0]);

    insta::assert_snapshot!(masked(&plan(&world, &store, &state, &["--users", "40", "--change-share", "0.5"]).out));
    // The model's numbers are checked, and belong to costs.
    let wrong = ["plan", "/examples/cuda", "--costs", "--closure-share", "1.5"];
    let said = world.narthex(&store, &state, &wrong).expect(2);
    assert!(said.err.contains("a share is a number from 0 to 1"), "{}", said.err);
    world.narthex(&store, &state, &["plan", "/examples/cuda", "--users", "5"]).expect(2);
}
