//! What Nix does between an expression and a path, on every version: what it refuses, what it calls by itself, which
//! output it means, and that it ends when it is told to.

use crate::world::{Running, Said, Store, World, listening, success};
use serde_json::Value;
use std::io::Read;
use std::path::PathBuf;

pub(crate) const VERSIONS: [&str; 3] = ["2.8", "2.26", "2.34"];

/// Derivations that need nothing but a shell.
const SHELL: &str = "d = name: more: derivation ({ inherit name; system = \"x86_64-linux\"; builder = \"/bin/sh\"; \
    PATH = \"/usr/bin:/bin\"; args = [ \"-c\" \"echo ${name} > $out\" ]; } // more);\n";

/// One version of Nix, an empty store, and a set in `/extra/set.nix`.
pub(crate) struct Small {
    pub(crate) world: World,
    pub(crate) store: Store,
    pub(crate) state: PathBuf,
}

impl Small {
    pub(crate) fn new(nix: &str, set: &str) -> Self {
        let world = World::new(nix);
        let (store, state) = (world.empty_store("store"), world.folder("state"));
        let small = Self { world, store, state };
        small.write("set.nix", set);
        small
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.world.extra().join(name), format!("let {SHELL} in {text}")).unwrap();
    }

    /// A cache at `file:///extra/cache` that has nothing.
    fn empty_cache(&self) {
        let cache = self.world.extra().join("cache");
        std::fs::create_dir(&cache).unwrap();
        std::fs::write(cache.join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    }

    pub(crate) fn narthex(&self, arguments: &[&str]) -> Said {
        self.world.narthex(&self.store, &self.state, arguments)
    }

    pub(crate) fn nix(&self, command: &[&str]) -> String {
        success(self.world.enter(&self.store, &self.state, command).output().unwrap()).trim().to_owned()
    }
}

pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub(crate) fn of<'v>(rows: &'v [Value], attr: &str) -> &'v Value {
    rows.iter().find(|row| row["attr"] == attr).unwrap_or_else(|| panic!("no {attr} in {rows:#?}"))
}

/// The jobs that were built; what Nix itself refuses, with what keeps it from being built; and how it is told.
#[test]
fn what_nix_refuses_stops_nobody_else() {
    let set = r#"{
      good1 = d "good1" { }; good2 = d "good2" { }; good3 = d "good3" { dep = d "dep" { }; };
      arm = d "arm" { system = "aarch64-linux"; };
      armToo = d "arm-too" { system = "aarch64-linux"; };
      needsArm = d "needs-arm" { dep = d "arm-dep" { system = "aarch64-linux"; }; };
      feature = d "feature" { requiredSystemFeatures = [ "cuda" ]; };
      pipe = d "pipe" { args = [ "-c" "mkfifo $out" ]; };
      deepPipe = d "deep-pipe" { dep = d "inner-pipe" { args = [ "-c" "mkdir $out; mkfifo $out/x" ]; }; };
      reference = d "reference" { dep = d "dep" { }; args = [ "-c" "echo $dep > $out" ]; allowedReferences = [ ]; };
      hash = d "hash" { outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "other"; };
      killed = d "killed" { args = [ "-c" "kill -9 $$" ]; };
      nothing = d "nothing" { args = [ "-c" "true" ]; };
      noBuilder = d "no-builder" { builder = "/no/such/builder"; };
      builtin = d "builtin" { builder = "builtin:nonsense"; };
      fails = d "fails" { args = [ "-c" "echo no; exit 3" ]; };
    }"#;
    for nix in VERSIONS {
        let small = Small::new(nix, set);
        for round in ["first", "second"] {
            let said = small.narthex(&["run", "/extra/set.nix", "--format", "json"]).expect(1);
            let rows = said.rows();
            for good in ["good1", "good2", "good3"] {
                assert_eq!(text(of(&rows, good), "verdict"), "publish", "{nix}, {round}: {good}");
            }
            let check = |attr: &str, kind: &str, part: &str| {
                let row = of(&rows, attr);
                let (error, derivation) = (&row["error"], text(row, "drvPath"));
                assert_eq!(text(error, "kind"), kind, "{nix}, {round}: {row:#}");
                let message = text(error, "message");
                assert!(message.contains(part), "{nix}, {round}, {attr}: {message}");
                let named = message.split("/nix/store/").skip(1).filter(|rest| rest.contains(".drv"));
                for path in named {
                    assert!(path.starts_with(&derivation["/nix/store/".len()..]), "{nix}, {attr}: {message}");
                }
            };
            check("arm", "machine", "needs aarch64-linux, and this machine builds x86_64-linux, i686-linux");
            check("armToo", "machine", "needs aarch64-linux");
            check("needsArm", "machine", "what it needs is not built here: arm-dep: needs aarch64-linux");
            check("feature", "machine", "needs the system feature cuda, and this machine has");
            check("pipe", "build", "has an unsupported type");
            check("deepPipe", "build", "what it needs failed to build: inner-pipe");
            check("reference", "build", "is not allowed to refer to");
            check("hash", "build", "hash mismatch");
            check("killed", "build", "signal 9");
            check("nothing", "build", "failed to produce output path");
            check("noBuilder", "build", "its build failed");
            check("builtin", "build", "its build failed");
            check("fails", "build", "its build failed");
        }
        let table = small.narthex(&["run", "/extra/set.nix"]).expect(1).out;
        assert!(table.contains("left out") && table.contains("arm (arm) is left out: needs aarch64-linux"), "{table}");
    }
}

/// Under a strict sandbox nothing may leave it; where Nix cannot make one, that is said once, and of nobody else.
#[test]
fn what_leaves_the_sandbox_stops_nobody_else() {
    let set = "{ good1 = d \"good1\" { }; out = d \"out\" { __noChroot = true; }; good2 = d \"good2\" { }; }";
    for nix in VERSIONS {
        let small = Small::new(nix, set);
        let run = ["run", "/extra/set.nix", "--format", "json", "--option", "sandbox", "true"];
        let rows = small.narthex(&run).expect(1).rows();
        assert_eq!(text(&of(&rows, "out")["error"], "kind"), "machine", "{nix}: {rows:#?}");
        for good in ["good1", "good2"] {
            let row = of(&rows, good);
            let published = text(row, "verdict") == "publish";
            let no_sandbox =
                text(&row["error"], "kind") == "not-tried" && text(&row["error"], "message").contains("sandbox");
            assert!(published || no_sandbox, "{nix}: {row:#}");
        }
    }
}

/// A hole that this machine cannot build keeps nothing else from being built.
#[test]
fn a_hole_that_cannot_be_built_stops_no_other() {
    for nix in VERSIONS {
        let set = |features: &str| {
            format!(
                "let hole = name: more: (d name more) // {{ meta.license = {{ shortName = \"unfree\"; free = false; }}; }}; in {{\n\
                 one = hole \"one\" {{ {features} }}; two = hole \"two\" {{ }};\n\
                 top = (d \"top\" {{ two = hole \"two\" {{ }}; args = [ \"-c\" \"echo $two > $out\" ]; }}) // \
                 {{ meta.license = {{ spdxId = \"MIT\"; free = true; }}; }}; }}"
            )
        };
        let small = Small::new(nix, &set(""));
        small.narthex(&["run", "/extra/set.nix"]).expect(0);
        // Another machine, which lacks the feature.
        small.write("set.nix", &set("requiredSystemFeatures = [ \"cuda\" ];"));
        let user = small.world.empty_store("user");
        let realise = ["realise", "/extra/set.nix", "-A", "one", "-A", "top", "--cache", "file:///state/objects"];
        let all = [&realise as &[&str], &["--option", "require-sigs", "false"]].concat();
        let said = small.world.narthex(&user, &small.state, &all).expect(4);
        assert!(said.err.contains("one could not be built, so one is not there"), "{nix}: {}", said.err);
        assert!(said.err.contains("needs the system feature cuda"), "{nix}: {}", said.err);
        assert!(said.err.contains("hint: add the feature to Nix's setting `system-features`"), "{nix}: {}", said.err);
        assert!(said.out.contains("-top\n"), "{nix}: {}", said.out);
    }
}

/// More jobs than a command line has room for, by a smaller room.
#[test]
fn a_set_may_be_longer_than_a_command_line() {
    let set = "builtins.listToAttrs (builtins.genList (n: { name = \"j${toString n}\"; value = \
        d \"${toString n}-${builtins.concatStringsSep \"\" (builtins.genList (_: \"long-name-\") 18)}\" { }; }) 600)";
    let small = Small::new("2.8", set);
    small.empty_cache();
    let script = "ulimit -S -s 512 && exec narthex --state /state realise /extra/set.nix --cache file:///extra/cache";
    let said = Said::of(small.world.enter(&small.store, &small.state, &["sh", "-c", script]).output().unwrap());
    let paths = said.expect(0).out;
    assert!(paths.len() > 128 * 1024, "it fits into one command line");
    assert_eq!(paths.lines().count(), 600);
}

/// What Nix calls by itself, what it finds in lists, and where it does not look.
#[test]
fn values_that_nix_calls_by_itself() {
    let set = r#"{ depth ? 1 }: {
      plain = d "plain" { };
      function = { version ? "1" }: d "function-${version}" { };
      open = { ... }: d "open" { };
      functor = { __functor = self: { more ? { } }: d "functor" more; };
      twice = { }: { }: d "twice" { };
      needs = { version }: d "needs" { };
      unary = x: abort "nobody calls this";
      inner = { }: { recurseForDerivations = true; deep = { x ? 1 }: d "deep" { }; };
      job = { x86_64-linux = d "job" { }; };
      list = [ (d "in-list" { }) { also = d "also" { }; } ];
      refused = { recurseForDerivations = false; x = d "refused" { }; };
      "a.b" = { recurseForDerivations = true; "if" = d "odd" { }; "x y" = d "odd" { }; "\${z}" = d "odd" { }; "" = d "odd" { }; };
    }"#;
    let usual = [
        "\"a.b\".\"\"",
        "\"a.b\".\"\\${z}\"",
        "\"a.b\".\"if\"",
        "\"a.b\".\"x y\"",
        "function",
        "functor",
        "inner.deep",
        "open",
        "plain",
        "twice",
    ];
    let attrs = |said: Said| {
        let mut attrs: Vec<String> =
            said.rows().iter().filter_map(|row| Some(row["attr"].as_str()?.to_owned())).collect();
        attrs.sort();
        attrs
    };
    for nix in VERSIONS {
        let small = Small::new(nix, set);
        let eval = |more: &[&str]| small.narthex(&[&["eval", "/extra/set.nix", "--format", "json"], more].concat());
        let said = eval(&[]).expect(0);
        assert!(
            said.err.contains("not searched, as `recurseForDerivations` is not set: job, list; --recursive"),
            "{nix}: {}",
            said.err
        );
        assert_eq!(attrs(said), usual, "{nix}");
        assert_eq!(
            attrs(eval(&["-A", "job", "-A", "list"]).expect(0)),
            ["job.x86_64-linux", "list.0", "list.1.also"],
            "{nix}"
        );
        assert_eq!(
            attrs(eval(&["-A", "list.1.also", "-A", "\"a.b\".if"]).expect(0)),
            ["\"a.b\".\"if\"", "list.1.also"],
            "{nix}"
        );
        let all = attrs(eval(&["--recursive"]).expect(0));
        assert!(
            all.contains(&"job.x86_64-linux".to_owned()) && all.contains(&"refused.x".to_owned()),
            "{nix}: {all:?}"
        );
        // One spelling everywhere.
        small.narthex(&["plan", "/extra/set.nix", "--keep"]).expect(0);
        for name in ["\"a.b\".\"x y\"", "\"a.b\".x y", "\"a.b\".\"\\${z}\"", "\"a.b\".\"\""] {
            let said = small.narthex(&["why", name]).expect(0);
            assert!(said.out.contains("odd"), "{nix}: {}", said.out);
        }
        small.write("list.nix", "[ (d \"one\" { }) ({ x ? 1 }: { two = d \"two\" { }; }) ]");
        let list = small.narthex(&["eval", "/extra/list.nix", "--format", "json"]).expect(0);
        assert_eq!(attrs(list), ["0", "1.two"], "{nix}");
        // A set that holds itself has an end.
        small.write("self.nix", "let s = { inherit s; a = { b = d \"b\" { }; }; }; in s");
        let all = small.narthex(&["eval", "/extra/self.nix", "--recursive", "--format", "json"]).expect(0);
        assert!(attrs(all).contains(&"a.b".to_owned()), "{nix}");
    }
}

/// Derivations whose output path only a build tells: a plan says of them what a run does.
#[test]
fn floating_content_addressed_derivations() {
    let set = r#"let ca = name: d name { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; }; in {
      floating = ca "floating"; deferred = d "deferred" { dep = ca "dep"; }; plain = d "plain" { };
      fixed = d "fixed" { dep = ca "fixed-dep"; outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "fixed\n"; };
    }"#;
    for nix in VERSIONS {
        let small = Small::new(nix, set);
        let said = |command: &str| {
            let options = ["--format", "json", "--option", "extra-experimental-features", "ca-derivations"];
            small.narthex(&[&[command, "/extra/set.nix"] as &[&str], &options].concat()).expect(1).rows()
        };
        let (plan, run) = (said("plan"), said("run"));
        for rows in [&plan, &run] {
            for attr in ["floating", "deferred"] {
                let message = text(&of(rows, attr)["error"], "message");
                assert!(message.contains("known only after the build"), "{nix}: {message}");
            }
        }
        for attr in ["plain", "fixed"] {
            assert_eq!(text(of(&plan, attr), "verdict"), text(of(&run, attr), "verdict"), "{nix}: {attr}");
        }
        let dep = plan.iter().find(|row| row["name"] == "fixed-dep").unwrap();
        let reason = (text(dep, "verdict"), text(&dep["reasons"][0], "code"));
        assert_eq!(reason, ("withhold", "graph-incomplete"), "{nix}: {dep:#}");
        assert!(!run.iter().any(|row| row["name"] == "fixed-dep" && row["verdict"] == "publish"), "{nix}: {run:#?}");
    }
}

/// Of nothing, nothing is made: that is told, with what was looked for.
#[test]
fn sets_in_which_nothing_is_found() {
    let small = Small::new("2.26", "{ }");
    small.write("nested.nix", "{ a.b = d \"b\" { }; c.d = d \"d\" { }; }");
    std::fs::create_dir(small.world.extra().join("empty")).unwrap();
    for command in [&["run"] as &[&str], &["plan"], &["eval"], &["policy", "review"]] {
        let on = |file: &str, code: i32| small.narthex(&[command, &[file]].concat()).expect(code);
        let said = on("/extra/set.nix", 1);
        assert!(said.err.contains("/extra/set.nix holds no derivations") && said.out.is_empty(), "{said:?}");
        let said = on("/extra/nested.nix", 1);
        for part in ["nothing to build was found", "hint: ", "recurseForDerivations", "a, c;", "-A", "--recursive"] {
            assert!(said.err.contains(part), "{command:?}: `{part}` is not in {}", said.err);
        }
        let said = on("/extra/empty", 2);
        assert!(said.err.contains("/extra/empty has neither a default.nix nor a flake.nix"), "{}", said.err);
    }
    small.narthex(&["eval", "/extra/nested.nix", "--recursive"]).expect(0);
    let said = small.narthex(&["eval", "/extra/nested.nix", "-A", "a..b"]).expect(2);
    assert!(said.err.contains("a name is empty"), "{}", said.err);
}

/// The same output as `nix-build -A` gives, whatever the outputs are called.
#[test]
fn the_default_output_is_the_one_that_the_value_says() {
    let set = r#"let
      multi = name: outputs: d name { inherit outputs; args = [ "-c" "for o in ${toString outputs}; do eval echo $o '>' \\$$o; done" ]; };
    in {
      binFirst = multi "bin-first" [ "bin" "out" ];
      zlast = multi "zlast" [ "zebra" "ant" ];
      dev = multi "dev" [ "out" "dev" ];
      picked = (multi "picked" [ "out" "doc" ]).doc;
      out = multi "out" [ "lib" "out" ];
    }"#;
    for nix in VERSIONS {
        let small = Small::new(nix, set);
        small.empty_cache();
        for attr in ["binFirst", "zlast", "dev", "picked", "out", "dev.dev"] {
            let built = small.nix(&["nix-build", "--no-out-link", "/extra/set.nix", "-A", attr]);
            let said =
                small.narthex(&["realise", "/extra/set.nix", "-A", attr, "--cache", "file:///extra/cache"]).expect(0);
            assert_eq!(said.out.trim(), built, "{nix}: {attr}");
        }
    }
}

/// A flake that asks for the environment gets it where that is wanted, and only there.
#[test]
fn impure_flakes() {
    for nix in VERSIONS {
        let small = Small::new(nix, "{ }");
        let flake = small.world.extra().join("flake");
        std::fs::create_dir(&flake).unwrap();
        let outputs = format!(
            "{{ outputs = {{ self }}: let {SHELL} in {{ packages.x86_64-linux.hello = if builtins.getEnv \"NIXPKGS_ALLOW_UNFREE\" == \"1\" \
             then d \"hello\" {{ }} else throw \"it is unfree\"; }}; }}"
        );
        std::fs::write(flake.join("flake.nix"), outputs).unwrap();
        let eval = |more: &str| {
            let script =
                format!("NIXPKGS_ALLOW_UNFREE=1 exec narthex --state /state eval 'path:/extra/flake#hello' {more}");
            Said::of(small.world.enter(&small.store, &small.state, &["sh", "-c", &script]).output().unwrap())
        };
        assert!(eval("").expect(1).err.contains("it is unfree"), "{nix}");
        eval("--impure").expect(0);
        eval("--option pure-eval false").expect(0);
    }
}

/// A store whose files narthex would not find is refused before anything is done, and so is one that nobody serves.
#[test]
fn stores_that_are_elsewhere_or_not_there() {
    for nix in VERSIONS {
        let small = Small::new(nix, "{ a = d \"a\" { }; b = throw \"b\"; c = d \"c\" { }; }");
        for store in ["/extra/other", "local?root=/extra/other"] {
            let said = small.narthex(&["run", "/extra/set.nix", "--option", "store", store]).expect(1);
            assert!(said.err.contains("are not below /nix/store"), "{nix}, {store}: {}", said.err);
        }
        let script = "NIX_REMOTE=daemon exec narthex --state /state eval /extra/set.nix";
        let said = Said::of(small.world.enter(&small.store, &small.state, &["sh", "-c", script]).output().unwrap());
        let said = said.expect(1);
        assert_eq!(said.err.matches("cannot connect to socket").count(), 1, "{nix}: {}", said.err);
        assert!(said.err.contains("hint: the Nix daemon is not there"), "{nix}: {}", said.err);
    }
}

/// Who ends a command ends all that it started, with a daemon and without.
#[test]
fn a_command_that_is_ended_ends_its_builds() {
    for (nix, signal, code) in [("2.8", "TERM", 143), ("2.26", "INT", 130), ("2.34", "TERM", 143)] {
        for daemon in [false, true] {
            for command in ["run", "realise", "eval"] {
                ended(nix, signal, code, daemon, command);
            }
        }
    }
    for (nix, signal, code, command) in
        [("2.8", "HUP", 129, "run"), ("2.26", "HUP", 129, "realise"), ("2.34", "TERM", 143, "plan")]
    {
        ended(nix, signal, code, false, command);
    }
}

/// Whether a process is no more, or only not taken note of yet by whoever has to.
fn has_ended(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']))
}

fn ended(nix: &str, signal: &str, code: i32, daemon: bool, command: &str) {
    // The builder says who it is, holds a pipe open as long as it lives, and waits for what never comes.
    let builder = "exec 9> /extra/alive; echo $$ $PPID >&9; read x < /extra/never";
    let slow = format!("(d \"slow\" {{ args = [ \"-c\" \"{builder}\" ]; }})");
    let set = if matches!(command, "eval" | "plan") {
        format!("{{ a = import {slow}; }}")
    } else {
        format!("{{ a = {slow}; }}")
    };
    let small = Small::new(nix, &set);
    for pipe in ["alive", "never"] {
        let made = std::process::Command::new("mkfifo").arg(small.world.extra().join(pipe)).status().unwrap();
        assert!(made.success());
    }
    small.empty_cache();
    let _daemon = daemon.then(|| serve_store(&small, &[]));
    let mut arguments = vec!["narthex", "--state", "/state", command, "/extra/set.nix"];
    if command == "realise" {
        arguments.extend(["-A", "a", "--cache", "file:///extra/cache"]);
    }
    let remote = if daemon { "NIX_REMOTE=daemon" } else { "NIX_REMOTE=" };
    let all = [&["env", remote] as &[&str], &arguments].concat();
    let mut running = small.world.enter(&small.store, &small.state, &all);
    running.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let mut running = Running(running.spawn().unwrap());
    // Opening waits for the builder, and reading to the end waits for its end.
    let mut alive = std::fs::File::open(small.world.extra().join("alive")).unwrap();
    let mut first = [0u8; 1];
    alive.read_exact(&mut first).unwrap();
    let pid = running.0.id().to_string();
    success(std::process::Command::new("kill").args([&format!("-{signal}"), &pid]).output().unwrap());
    let mut said = String::new();
    alive.read_to_string(&mut said).unwrap();
    let mut err = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    let status = running.0.wait().unwrap();
    assert_eq!(status.code(), Some(code), "{nix}, {command}, daemon {daemon}: {err}");
    assert!(err.contains(&format!("ending by SIG{signal}")), "{err}");
    if !daemon {
        // The end of the pipe was the builder's, whoever has to take note of it; Nix itself is waited for.
        let said = format!("{}{said}", char::from(first[0]));
        let nix_itself = said.split_whitespace().nth(1).unwrap();
        assert!(has_ended(nix_itself), "{nix}, {command}: {nix_itself} is still there");
    }
    if command == "run" {
        // Nothing holds the state any more.
        let lock = std::fs::File::open(small.state.join("lock")).unwrap();
        assert!(lock.try_lock().is_ok(), "{nix}, daemon {daemon}");
    }
}

/// A daemon for a store, which has begun to listen.
pub(crate) fn serve_store(small: &Small, more: &[&str]) -> Running {
    let command = [&["nix-daemon"], more].concat();
    listening(small.world.enter(&small.store, &small.state, &command), &small.world, "store")
}
