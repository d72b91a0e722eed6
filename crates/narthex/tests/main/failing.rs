//! `narthex eval` of sets in which attributes fail: what a failure costs, what is said of it, and what is there when a
//! signal ends it.

use crate::world::{Said, World, repository};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const VERSIONS: [&str; 3] = ["2.8", "2.26", "2.34"];

/// What Nix says of the ways to fail of `failing.nix`, in their order there.
const SAID: [&str; 16] = [
    "has been removed, as nobody maintained it",
    "has been renamed to/replaced by",
    "has an unfree license (‘unfree’), refusing to evaluate.",
    "required argument 'needed'",
    "has been removed, as nobody maintained it",
    "infinite recursion",
    "has been removed, as nobody maintained it",
    "has an unfree license (‘unfree’), refusing to evaluate.",
    "required argument 'needed'",
    "has been removed, as nobody maintained it",
    "assertion",
    "has been renamed to/replaced by",
    "has been removed, as nobody maintained it",
    "cannot coerce",
    "nowhere",
    "never meant to be evaluated",
];

const JOBS: u32 = 200;

/// Programs of Nix that leave a line each time they are started.
fn count_starts(world: &World) {
    let folder = world.extra().join("bin");
    std::fs::create_dir(&folder).unwrap();
    for program in ["nix", "nix-instantiate"] {
        let text = format!("#!/bin/sh\necho {program} >> /extra/started\nexec /usr/bin/{program} \"$@\"\n");
        std::fs::write(folder.join(program), text).unwrap();
        let made = Command::new("chmod").arg("755").arg(folder.join(program)).status().unwrap();
        assert!(made.success());
    }
}

#[test]
fn a_failure_costs_no_process_and_hides_nothing() {
    for nix in VERSIONS {
        let world = World::new(nix);
        let (store, state) = (world.empty_store("store"), world.folder("state"));
        for name in ["lib.nix", "set.nix", "failing.nix"] {
            std::fs::copy(repository().join("crates/nix/tests/data").join(name), world.extra().join(name)).unwrap();
        }
        count_starts(&world);
        let eval = |good: bool, code: i32| -> (Vec<Value>, Vec<String>) {
            let text = format!("import ./failing.nix {{ size = 300; jobs = {JOBS}; share = 30; good = {good}; }}");
            std::fs::write(world.extra().join("default.nix"), text).unwrap();
            let started = world.extra().join("started");
            std::fs::write(&started, "").unwrap();
            let line = "PATH=/extra/bin:$PATH exec narthex --state /state eval /extra --format json";
            let said = Said::of(world.enter(&store, &state, &["sh", "-c", line]).output().unwrap()).expect(code);
            let started = std::fs::read_to_string(started).unwrap();
            (said.rows(), started.lines().map(str::to_owned).collect())
        };
        let (good, few) = eval(true, 0);
        let (all, started) = eval(false, 1);
        assert_eq!(started, few, "{nix}: programs that were started");
        assert!(few.contains(&"nix".to_owned()), "{nix}: the programs that count were not started");
        let (errors, derivations): (Vec<Value>, Vec<Value>) = all.into_iter().partition(|row| row["error"].is_object());
        assert!(derivations.len() > 200, "{nix}: {}", derivations.len());
        assert_eq!(derivations, good, "{nix}: what does not fail");

        let failing: Vec<u32> = (0..JOBS).filter(|n| n * 37 % 100 < 30).collect();
        assert_eq!(errors.len(), failing.len(), "{nix}");
        for n in failing {
            let attr = format!("job-{n}");
            let error = errors.iter().find(|error| error["attr"] == attr.as_str());
            let message = error.unwrap_or_else(|| panic!("{nix}: {attr} did not fail"))["error"]["message"].as_str();
            let message = message.unwrap_or_default();
            let part = SAID[((n * 37 + n / 100) % 16) as usize];
            assert!(message.contains(part), "{nix}: {attr} should say `{part}`: {message}");
            assert!(!message.contains("To temporarily allow"), "{nix}: {attr}: {message}");
            // The place: of the error, or else of the attribute.
            assert!(message.contains(".nix:"), "{nix}: {attr} has no place: {message}");
        }
    }
}

/// Whether no thread of a process has anything to do.
fn is_idle(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return false };
    let mut threads = threads.map(|thread| thread.unwrap().path().join("stat"));
    threads.all(|stat| {
        let stat = std::fs::read_to_string(stat).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
    })
}

fn has_marker(store: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(store.join("store")) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with("-the-others-are-known"))
}

#[test]
fn what_is_known_is_there_when_a_signal_ends_it() {
    for nix in VERSIONS {
        for format in ["json", "table"] {
            let world = World::new(nix);
            let (store, state) = (world.empty_store("store"), world.folder("state"));
            let text = "let d = name: derivation { inherit name; system = \"x\"; builder = \"b\"; };
                many = builtins.genList (n: n) 100000; sum = builtins.foldl' (a: b: a + b) 0;
                endless = builtins.foldl' (_: n: sum many) 0 many;
                in { a = d \"first\"; b = throw \"not today\"; c = d \"third\";
                d = builtins.seq (builtins.toFile \"the-others-are-known\" \"\") (builtins.seq endless (d \"never\")); e = d \"last\"; }";
            std::fs::write(world.extra().join("default.nix"), text).unwrap();
            let arguments = ["narthex", "--state", "/state", "eval", "/extra", "--format", format];
            let mut command = world.enter(&store, &state, &arguments);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let folder = world.folder("store");
            // What is known is written before anything else is, also where what comes next never ends.
            let mut early = String::new();
            if format == "json" {
                let mut lines = BufReader::new(child.stdout.take().unwrap());
                while !early.contains("third") {
                    assert_ne!(lines.read_line(&mut early).unwrap(), 0, "{nix}: {early}");
                }
                child.stdout = Some(lines.into_inner());
            }
            // Until all that was said is read: what is written to a process wakes it.
            while !(has_marker(&folder) && is_idle(child.id()) && is_idle(child.id())) {
                assert_eq!(child.try_wait().unwrap(), None, "{nix}: it ended by itself");
                std::thread::yield_now();
            }
            let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
            assert!(told.success());
            let said = Said::of(child.wait_with_output().unwrap()).expect(128 + 15);
            if format == "table" {
                assert!(said.out.contains("`b` does not evaluate:\n  not today"), "{nix}: {}", said.out);
                assert!(
                    said.out.contains("2 of them jobs of 2 attributes; 3 attributes failed"),
                    "{nix}: {}",
                    said.out
                );
                continue;
            }
            let rows = Said { out: early.clone() + &said.out, ..said }.rows();
            // A reader of what is there until now is told that it is not all, and reads it.
            std::fs::write(world.extra().join("early"), &early).unwrap();
            let plan = world.narthex(&store, &state, &["plan", "--from", "/extra/early"]).expect(1);
            assert!(plan.err.contains("/extra/early: it was cut off"), "{nix}: {}", plan.err);
            assert!(plan.out.contains("first") && plan.out.contains("third"), "{nix}: {}", plan.out);
            assert_eq!(rows.last().unwrap(), &serde_json::json!({ "last": true }), "{nix}");
            let of =
                |attr: &str| rows.iter().find(|row| row["attr"] == attr).unwrap_or_else(|| panic!("{nix}: no {attr}"));
            assert_eq!((&of("a")["name"], &of("c")["name"]), (&"first".into(), &"third".into()), "{nix}");
            assert!(of("b")["error"]["message"].as_str().unwrap().starts_with("not today"), "{nix}");
            for attr in ["d", "e"] {
                let message = &of(attr)["error"]["message"];
                assert_eq!(message, "not evaluated: the evaluation was told to stop", "{nix}: {attr}");
            }
        }
    }
}
