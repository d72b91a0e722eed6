//! What builds and machines do wrong, on every version of Nix: it is told as what it is, and of nobody else.

use crate::nix::{Small, VERSIONS, of, serve_store, text};
use crate::world::{Said, success};
use serde_json::Value;

/// Makes folders in folders, with names as long as they may be.
const DEEP: &str = r#"mkdir $out; cd $out; n=$(printf 'x%.0s' $(seq 1 250)); i=0; while [ $i -lt 20 ]; do mkdir $n; cd -P $n 2>/dev/null || exit 0; i=$((i+1)); done"#;

/// What of a set is left when single jobs do what Nix cannot cope with, and how each is told.
#[test]
fn what_a_build_leaves_behind_is_its_own_matter() {
    let set = format!(
        r#"let long = n: builtins.concatStringsSep "" (builtins.genList (_: "n") n); in {{
          good = d "good" {{ }}; longest = d (long 207) {{ }};
          deep = d "deep" {{ args = [ "-c" ''{DEEP}'' ]; }};
          name = d (long 212) {{ }};
          output = d (long 200) {{ outputs = [ "out" "also-long-output" ]; }};
          recursive = d "recursive" {{ requiredSystemFeatures = [ "recursive-nix" ]; }};
          impure = d "impure" {{ __impure = true; }};
          slow = d "slow" {{ args = [ "-c" "while :; do echo x; done > /dev/null" ]; }};
          silent = d "silent" {{ args = [ "-c" "read x < /extra/never" ]; }};
          fails = d "fails" {{ args = [ "-c" "exit 3" ]; }};
        }}"#
    );
    for nix in VERSIONS {
        let small = Small::new(nix, &set);
        success(std::process::Command::new("mkfifo").arg(small.world.extra().join("never")).output().unwrap());
        let run = |attrs: &[&str], more: &[&str]| {
            let attrs: Vec<&str> = attrs.iter().flat_map(|attr| ["-A", attr]).collect();
            small.narthex(&[&["run", "/extra/set.nix", "--format", "json"], &attrs[..], more].concat()).expect(1).rows()
        };
        let check = |rows: &[Value], attr: &str, part: &str| {
            let row = of(rows, attr);
            let message = row["error"]["message"].as_str().or(row["error"].as_str()).unwrap_or_default();
            assert!(message.contains(part), "{nix}, {attr}: {row:#}");
            assert_eq!(row["verdict"], Value::Null, "{nix}: {row:#}");
        };
        let rows = run(&["good", "longest", "deep", "name", "output", "recursive", "impure"], &[]);
        for good in ["good", "longest"] {
            assert_eq!(text(of(&rows, good), "verdict"), "publish", "{nix}: {rows:#?}");
        }
        check(&rows, "deep", "File name too long");
        check(&rows, "name", "211");
        check(&rows, "output", "211");
        check(&rows, "recursive", "recursive-nix");
        check(&rows, "impure", "impure-derivations");

        // With the features, one may read whatever it likes, and the other has no path before it is built.
        let features = ["--option", "extra-experimental-features", "ca-derivations recursive-nix impure-derivations"];
        let rows = run(&["recursive", "impure", "good"], &features);
        assert_eq!(text(of(&rows, "recursive"), "verdict"), "withhold", "{nix}: {rows:#?}");
        assert_eq!(text(&of(&rows, "recursive")["reasons"][0], "code"), "license-unknown", "{nix}: {rows:#?}");
        check(&rows, "impure", "known only after the build");

        // What is there already takes no time.
        let rows = run(&["slow", "silent", "fails", "good"], &["--option", "timeout", "2"]);
        check(&rows, "slow", "timed out after 2 seconds");
        check(&rows, "silent", "timed out after 2 seconds");
        check(&rows, "fails", "its build failed");
        assert!(!text(&of(&rows, "fails")["error"], "message").contains("timed out"), "{nix}: {rows:#?}");
        assert_eq!(text(of(&rows, "good"), "verdict"), "publish", "{nix}: {rows:#?}");
        let rows = run(&["silent", "good"], &["--option", "max-silent-time", "1"]);
        check(&rows, "silent", "timed out after 1 seconds");
        let table = small.narthex(&["run", "/extra/set.nix", "-A", "slow", "--option", "timeout", "1"]).expect(1).out;
        assert!(table.contains("hint: give it more time with Nix's settings `timeout`"), "{table}");
    }
}

/// Two jobs may make one path. Each names it, and where they do not declare the same, nobody knows what holds.
#[test]
fn jobs_that_make_the_same_path() {
    let fixed = |license: &str, more: &str| {
        format!(
            "d \"fixed\" {{ {more} outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; \
             outputHash = builtins.hashString \"sha256\" \"fixed\\n\"; }} // {{ meta.license = {license}; }}"
        )
    };
    let (mit, unfree) = ("{ spdxId = \"MIT\"; free = true; }", "{ shortName = \"unfree\"; free = false; }");
    let set = |one: &str, two: &str| format!("{{ one = {}; two = {}; }}", fixed(one, "x = 1;"), fixed(two, "x = 2;"));
    for nix in VERSIONS {
        let small = Small::new(nix, &set(mit, unfree));
        for command in ["plan", "run"] {
            for chosen in ["one", "two"] {
                let rows =
                    small.narthex(&[command, "/extra/set.nix", "-A", chosen, "--format", "json"]).expect(0).rows();
                let [row] = rows.as_slice() else { panic!("{nix}, {command}: {rows:#?}") };
                assert_eq!(text(row, "verdict"), "withhold", "{nix}, {command}: {row:#}");
                let message = text(&row["reasons"][0], "message");
                assert!(message.contains("several derivations make this path"), "{nix}, {command}: {message}");
                if command == "run" {
                    assert_eq!(text(row, "attr"), chosen, "{nix}: {row:#}");
                }
            }
        }
        // Both are free, and a rule about one of them holds for the path whichever is asked for.
        let small = Small::new(nix, &set(mit, mit));
        let policy = "version = 1\nname = \"mine\"\nextends = \"default\"\n[[rules]]\nattribute = [\"two\"]\nthen = \"withhold\"\nreason = \"x\"\n";
        std::fs::write(small.world.extra().join("mine.toml"), policy).unwrap();
        let run = |policy: &str| {
            let run = ["run", "/extra/set.nix", "-A", "one", "--format", "json", "--policy", policy];
            small.narthex(&run).expect(0).rows().iter().map(|row| text(row, "verdict").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(run("default"), ["publish"], "{nix}");
        assert_eq!(run("/extra/mine.toml"), ["withhold"], "{nix}");
    }
}

/// A derivation whose file goes away before it is built is told, and the others are built.
#[test]
fn a_derivation_that_is_gone_in_the_middle() {
    let set = r#"{
      a = d "a" { }; b = d "b" { }; c = d "c" { dep = d "c-dep" { }; };
      z = builtins.seq (import (d "eater" { args = [ "-c" "rm -f /nix/store/*-b.drv /nix/store/*-c-dep.drv; echo 1 > $out" ]; })) (d "z" { });
    }"#;
    for nix in VERSIONS {
        let small = Small::new(nix, set);
        let rows = small.narthex(&["run", "/extra/set.nix", "--format", "json"]).expect(1).rows();
        for attr in ["a", "z"] {
            assert_eq!(text(of(&rows, attr), "verdict"), "publish", "{nix}: {rows:#?}");
        }
        for (attr, drv) in [("b", "-b.drv"), ("c", "-c-dep.drv")] {
            let message = of(&rows, attr)["error"].to_string();
            assert!(message.contains(drv) && message.contains("cannot be read"), "{nix}, {attr}: {message}");
        }
    }
}

/// The file system of the store, or of the state, has no room: that is said with the way out, what was published is whole,
/// and when there is room again, the rest follows.
#[test]
fn a_full_disk_is_told_and_nothing_is_torn() {
    let set = r#"{ a = d "a" { }; big = d "big" { args = [ "-c" "head -c 6000000 /dev/urandom > $out" ]; };
      c = d "c" { }; fill = d "fill" { dep = d "first" { }; args = [ "-c" "echo $dep > $out; test -e /nix/filled || head -c 1G /dev/zero > /nix/fill" ]; }; }"#;
    let check = |nix: &str, of: &str, mount: &str, attrs: &str, fill: &str, then: &str, parts: &[&str]| {
        let small = Small::new(nix, set);
        let run = format!("narthex --state /state run /extra/set.nix {attrs}");
        let script = format!(
            "{fill}; {run}; echo code $? >&2; {then}; {run} >/dev/null 2>&1; echo code $? >&2; \
             cp -r /state/objects /extra/objects"
        );
        let mut command = small.world.enter(&small.store, &small.state, &["sh", "-c", &script]);
        let said = Said::of(command.env("MOUNT", mount).output().unwrap());
        let all = format!("{}{}", said.out, said.err);
        let codes: Vec<&str> = said.err.lines().filter_map(|line| line.strip_prefix("code ")).collect();
        assert_eq!(codes, ["1", "0"], "{nix}, {of}: {all}");
        for part in parts {
            assert!(all.contains(part), "{nix}, {of}: `{part}` is not in {all}");
        }
        let objects = small.world.extra().join("objects");
        let mut whole = 0;
        for entry in std::fs::read_dir(&objects).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "narinfo") {
                continue;
            }
            let narinfo = std::fs::read_to_string(&path).unwrap();
            let field = |name: &str| narinfo.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
            let size = std::fs::metadata(objects.join(field("URL: "))).unwrap().len();
            assert_eq!(size.to_string(), field("FileSize: "), "{nix}, {of}: {}", path.display());
            whole += 1;
        }
        assert!(whole >= 3, "{nix}, {of}: {whole} paths are published");
    };
    for nix in VERSIONS {
        let mount = "mount -t tmpfs -o size=32m tmpfs \"$root/nix\"; mkdir \"$root/nix/home\"";
        let attrs = "-A fill -A a -A c";
        let parts = ["No space left on device", "hint: free some space"];
        check(nix, "the store", mount, attrs, "true", "rm -f /nix/fill; touch /nix/filled", &parts);
        let mount = "mount -t tmpfs -o size=8m tmpfs \"$root/state\"";
        let parts = [
            "big was not published",
            "cannot write /state/",
            "No space left on device",
            "hint: free some space there, or give --state a folder on another file system",
        ];
        let fill = "head -c 4000000 /dev/zero > /state/filler";
        check(nix, "the state", mount, "-A a -A big -A c", fill, "rm -f /state/filler", &parts);
    }
}

/// The daemon is stricter than what its user was told, so that Nix itself refuses what leaves the sandbox.
#[test]
fn what_the_daemon_refuses_stops_nobody_else() {
    let set = "{ good = d \"good\" { }; out = d \"out\" { __noChroot = true; }; also = d \"also\" { }; }";
    for nix in VERSIONS {
        let small = Small::new(nix, set);
        let daemon = serve_store(&small, &["--option", "sandbox", "true"]);
        let run = "narthex --state /tmp/state run /extra/set.nix --format json --option sandbox relaxed; code=$?; rm -rf /tmp/state; exit $code";
        let state = format!("/tmp/{}", small.world.dir.path().file_name().unwrap().to_string_lossy());
        let run = run.replace("/tmp/state", &state);
        let as_user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", "NIX_REMOTE=daemon"];
        let home = format!("HOME={state}");
        let command = [&as_user[..], &[&home, "sh", "-c", &run]].concat();
        let said = Said::of(small.world.enter(&small.store, &small.state, &command).output().unwrap()).expect(1);
        let rows = said.rows();
        let error = &of(&rows, "out")["error"];
        let message = text(error, "message");
        assert!(message.contains("__noChroot") || message.contains("sandbox"), "{nix}: {rows:#?}");
        for good in ["good", "also"] {
            let row = of(&rows, good);
            // Where the system lets Nix make no sandbox, that is what is said of these.
            let no_sandbox =
                text(&row["error"], "kind") == "not-tried" && text(&row["error"], "message").contains("sandbox");
            assert!(text(row, "verdict") == "publish" || no_sandbox, "{nix}: {row:#}");
        }
        drop(daemon);
    }
}
