//! Whatever is wrong is named, with the way out and the right exit code, and nothing is half-written.

use crate::http::web_site;
use crate::world::{Said, World, program};
use std::path::Path;
use std::process::Command;

/// All these parts are in what was said on stderr.
#[track_caller]
fn says(said: &Said, parts: &[&str]) {
    for part in parts {
        assert!(said.err.contains(part), "`{part}` is not in\n{}\n{}", said.err, said.out);
    }
}

#[test]
fn expressions_that_do_not_evaluate() {
    let world = World::new("2.8");
    let (store, state) = (world.empty_store("store"), world.folder("state"));
    let run = |file: &str, text: &str, more: &[&str]| {
        std::fs::write(world.extra().join(file), text).unwrap();
        world.narthex(&store, &state, &[&["run", &format!("/extra/{file}")], more].concat())
    };
    says(&run("syntax.nix", "{ a = ", &[]).expect(1), &["error: ", "/extra/syntax.nix", "syntax error"]);
    says(&run("throws.nix", "throw \"not today\"", &[]).expect(1), &["not today"]);
    says(&run("number.nix", "42", &[]).expect(1), &["neither a derivation nor a set"]);
    says(
        &world.narthex(&store, &state, &["run", "/extra/nowhere.nix"]).expect(2),
        &["/extra/nowhere.nix cannot be read", "hint: "],
    );
    let said = run("empty.nix", "{}", &["-A", "absent"]).expect(1);
    assert!(said.out.contains("`absent` does not evaluate:\n  there is no such attribute"), "{}", said.out);
    assert!(!state.join("objects/nar").read_dir().is_ok_and(|mut dir| dir.next().is_some()), "something was uploaded");
}

/// Good attributes among every kind of bad one, those included that `tryEval` does not catch.
#[test]
fn attributes_that_throw_stop_nobody_else() {
    for nix in ["2.8", "2.26", "2.34"] {
        let world = World::new(nix);
        let (store, state) = (world.empty_store("store"), world.folder("state"));
        let text = "let good = name: builtins.derivation { inherit name; system = builtins.currentSystem; \
            builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; } // { meta.license = { shortName = \"mit\"; free = true; }; };\n\
            in rec { first = good \"first\"; throws = throw \"license server is down\"; aborts = abort \"stop everything\";\n\
            loops = loops; missing = { }.nothing; wrong = good 3; last = good \"last\";\n\
            nested = { recurseForDerivations = true; inner = good \"inner\"; bad = abort \"inside\"; }; }";
        std::fs::write(world.extra().join("mixed.nix"), text).unwrap();
        let said = world.narthex(&store, &state, &["run", "/extra/mixed.nix", "--format", "json"]).expect(1);
        let rows = said.rows();
        let published: Vec<&str> =
            rows.iter().filter(|row| row["verdict"] == "publish").filter_map(|row| row["attr"].as_str()).collect();
        assert_eq!(published, ["first", "last", "nested.inner"], "{nix}");
        let failed = |attr: &str| {
            let row = rows.iter().find(|row| row["attr"] == attr && row["error"].is_object());
            row.unwrap_or_else(|| panic!("{nix}: no error for {attr}"))["error"]["message"].as_str().unwrap().to_owned()
        };
        for (attr, part) in [
            ("throws", "license server is down"),
            ("aborts", "stop everything"),
            ("loops", "infinite recursion"),
            ("missing", "nothing"),
            ("wrong", "string"),
            ("nested.bad", "inside"),
        ] {
            assert!(failed(attr).contains(part), "{nix}: {attr}: {}", failed(attr));
        }
    }
}

#[test]
fn no_nix_installed() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(program())
        .arg("--state")
        .arg(dir.path())
        .args(["run"])
        .arg(dir.path())
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    says(&Said::of(output).expect(1), &["`nix-instantiate` is not installed", "hint: install Nix"]);
}

#[test]
fn a_policy_with_three_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.toml");
    let text = "version = 1\nname = \"mine\"\nterms = []\n[classes]\nfree = \"publish\"\nredistributable = \"maybe\"\nrestricted = \"withhold\"\n\
                unknown = \"withhold\"\nshareware = \"publish\"\n[findings]\ncopy = \"terms\"\nmodified-copy = \"terms\"\n\
                static-code = 7\ncudart-static = \"terms\"\ndevice-code = \"terms\"\nsuspected = \"withhold\"\n\
                driver = \"withhold\"\nnot-fully-audited = \"withhold\"\n";
    std::fs::write(&policy, text).unwrap();
    let run = |policy: &Path| {
        let mut command = Command::new(program());
        command.arg("--state").arg(dir.path().join("state")).arg("run").arg(dir.path()).arg("--policy").arg(policy);
        Said::of(command.output().unwrap())
    };
    let said = run(&policy).expect(2);
    let name = policy.display();
    says(&said, &["has 3 mistakes", &format!("{name}:6:19: "), &format!("{name}:9:1: "), &format!("{name}:13:15: ")]);
    assert!(!dir.path().join("state").exists(), "a wrong policy should touch nothing");

    says(&run(&dir.path().join("absent.toml")).expect(2), &["absent.toml cannot be read"]);
    std::fs::write(&policy, include_str!("../../../../policies/default.toml").replace("cuda-toolkit", "gpl")).unwrap();
    says(&run(&policy).expect(2), &["there are no terms `gpl`", "hint: shipped are cuda-toolkit"]);
}

#[test]
fn a_busy_port() {
    let dir = tempfile::tempdir().unwrap();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let output =
        Command::new(program()).arg("--state").arg(dir.path()).args(["serve", "--listen", &address]).output().unwrap();
    says(&Said::of(output).expect(1), &[&format!("cannot listen on {address}"), "hint: stop what listens there"]);
}

/// Runs with a state folder that a mount makes unusable.
fn run_on_mount(world: &World, mount: &str) -> Said {
    let run = ["narthex", "--state", "/state", "run", "/examples/cuda"];
    let mut command = world.enter(&world.store("store"), &world.folder("state"), &run);
    Said::of(command.env("MOUNT", mount).output().unwrap())
}

#[test]
fn a_read_only_state_folder() {
    let world = World::new("2.8");
    let said = run_on_mount(&world, "mount -o remount,bind,ro $root/state").expect(1);
    says(&said, &["error: ", "/state", "hint: give --state a folder that you may write to"]);
    assert_eq!(said.err.matches("Read-only").count(), 1, "{}", said.err);
}

#[test]
fn a_full_state_folder() {
    let world = World::new("2.8");
    // Room for the catalog, and not for the objects.
    let said = run_on_mount(&world, "mount -t tmpfs -o size=600k tmpfs $root/state").expect(1);
    says(&said, &["error: ", "hint: free some space there"]);
}

#[test]
fn a_corrupt_corpus() {
    let world = World::new("2.8");
    let (store, state) = (world.store("store"), world.folder("state"));
    let attr = ["run", "/examples/cuda", "-A", "greeting", "-A", "cuda_cudart"];
    world.narthex(&store, &state, &attr).expect(0);
    let corpus = state.join("corpus");
    let mut bytes = std::fs::read(&corpus).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&corpus, &bytes).unwrap();
    let said = world.narthex(&store, &state, &attr).expect(1);
    says(&said, &["the corpus /state/corpus cannot be used", "checksum", "hint: remove /state/corpus"]);
    std::fs::write(&corpus, "not a corpus").unwrap();
    says(&world.narthex(&store, &state, &attr).expect(1), &["does not begin as a corpus file does"]);
    // The way out works.
    std::fs::remove_file(&corpus).unwrap();
    world.narthex(&store, &state, &attr).expect(0);
}

#[test]
fn a_cache_that_is_none() {
    let world = World::new("2.8");
    let (store, state) = (world.empty_store("store"), world.folder("state"));
    let realise =
        |url: &str| world.narthex(&store, &state, &["realise", "/examples/cuda", "-A", "saxpy", "--cache", url]);
    let site = web_site();
    says(&realise(&site).expect(1), &["is not a Nix binary cache: its nix-cache-info is a web page", "hint: "]);
    says(&realise("http://127.0.0.1:9").expect(1), &["http://127.0.0.1:9 cannot be reached", "hint: "]);
    says(&realise("ftp://example.org").expect(2), &["only http, https and file are read"]);
    says(&realise("file:///nowhere").expect(1), &["it has no nix-cache-info"]);
    says(
        &realise("cache.example.org").expect(2),
        &["`cache.example.org` is not the URL of a cache: it does not begin with"],
    );
}

#[test]
fn two_runs_at_once() {
    let world = World::new("2.8");
    let (store, state) = (world.empty_store("store"), world.folder("state"));
    let lock = std::fs::File::create(state.join("lock")).unwrap();
    lock.lock().unwrap();
    let said = world.narthex(&store, &state, &["run", "/examples/cuda", "-A", "greeting"]).expect(1);
    says(&said, &["another narthex is at work in /state", "hint: wait until it is done"]);
}

#[test]
fn commands_that_read_make_no_state() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let run = |arguments: &[&str]| {
        Said::of(Command::new(program()).arg("--state").arg(&state).args(arguments).output().unwrap())
    };
    let path = "/nix/store/00000000000000000000000000000000-nothing";
    for arguments in [&["why", path] as &[&str], &["serve", "--listen", "127.0.0.1:0"]] {
        says(&run(arguments).expect(1), &[&format!("there is no state in {}", state.display()), "hint: `narthex run`"]);
    }
    says(&run(&["audit", "--without-shipped", "/bin/sh"]).expect(0), &["the corpus is empty"]);
    assert!(run(&["audit", "/bin/sh"]).expect(0).out.contains("nothing restricted in 1 file"));
    says(&run(&["audit", "--recheck", "--format", "sarif"]).expect(2), &["SARIF has no place for", "hint: "]);
    let file = dir.path().join("text.txt");
    std::fs::write(&file, "text").unwrap();
    let wrong = run(&["audit", file.to_str().unwrap(), "--explain", "test.txt"]).expect(2);
    says(&wrong, &["test.txt is not among what was audited", "hint: near it are text.txt"]);
    assert!(!state.exists());
}

#[test]
fn why_of_something_unknown() {
    let world = World::new("2.8");
    let (store, state) = (world.empty_store("store"), world.folder("state"));
    world.narthex(&store, &state, &["run", "/examples/cuda", "-A", "greeting"]).expect(0);
    let path = "/nix/store/00000000000000000000000000000000-nothing";
    let said = world.narthex(&store, &state, &["why", path]).expect(1);
    says(&said, &[&format!("nothing was decided about {path}"), "hint: `narthex run` decides"]);
}

/// Every mistake of a policy and of its terms at once, with their places; and entries that are about nothing.
#[test]
fn policies_with_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    let default = std::fs::read_to_string(crate::world::repository().join("policies/default.toml")).unwrap();
    let check = |text: &str, code: i32| {
        std::fs::write(&file, text).unwrap();
        Said::of(Command::new(program()).args(["policy", "check"]).arg(&file).output().unwrap()).expect(code)
    };
    assert!(check(&default, 0).out.ends_with(": no mistakes\n"));
    let broken = default.replacen("\nterms = [", "\nterms = [\"nowhere\", \"own.toml\", ", 1);
    std::fs::write(dir.path().join("own.toml"), "version = 1\nnonsense = 2\n").unwrap();
    let said = check(&broken, 2);
    for part in [": ", "there are no terms `nowhere`", "own.toml:2:1: `nonsense` is not known here", "mistakes\n"] {
        assert!(said.out.contains(part), "`{part}` is not in\n{}", said.out);
    }
    let said = check(&default.replacen("free = \"publish\"", "free = \"maybe\"", 1), 2);
    assert!(said.out.contains("`\"maybe\"` should be one of `publish`, `withhold`"), "{}", said.out);

    let world = World::new("2.8");
    let rule = "\n[[rules]]\npackage = [\"gretting\"]\nthen = \"withhold\"\nreason = \"a mistake in its name\"\n";
    std::fs::write(world.extra().join("mine.toml"), default + rule).unwrap();
    let (store, state) = (world.empty_store("store"), world.folder("state"));
    let said = world.narthex(&store, &state, &["plan", "/examples/cuda", "--policy", "/extra/mine.toml"]).expect(0);
    says(&said, &["warning: the policy `default`: the rule about package gretting matches nothing"]);
}
