//! Terminal escapes in everything that comes from elsewhere, and all commands: nothing of it reaches a terminal raw.

use crate::attack::Attack;
use crate::http::{Serving, answering, get};
use crate::world::program;
use narthex_text::is_order;
use std::process::{Command, Output};

/// The screen is cleared, a title set, a line turned around, an old control character, and something that is not seen.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}\u{7f}\u{8}";

/// Neither stream holds anything that a terminal obeys.
#[track_caller]
fn clean(what: &str, output: &Output) -> String {
    let mut all = String::new();
    for stream in [&output.stdout, &output.stderr] {
        let text = String::from_utf8(stream.clone()).unwrap_or_else(|_| panic!("{what}: no UTF-8"));
        if let Some(at) = text.find(|c: char| is_order(c) && c != '\n' && c != '\t') {
            let begin = text[..at].char_indices().rev().nth(80).map_or(0, |(at, _)| at);
            panic!("{what}: {:?} in {:?}", text[at..].chars().next(), &text[begin..at]);
        }
        all.push_str(&text);
    }
    assert!(output.status.code().is_some_and(|code| code < 5), "{what}: {output:?}");
    all
}

#[test]
fn nothing_that_a_terminal_obeys_comes_through() {
    let attack = Attack::new();
    // Attributes, licenses of every shape, versions, positions, logs, file names, errors.
    let set = format!(
        "let odd = name: license: text: mkDerivation {{ pname = name; version = \"1\"; nativeBuildInputs = [ coreutils unzip ]; src = wheel;\n\
         meta = {{ inherit license; position = \"{HOSTILE}:1\"; }}; buildCommand = text; }};\n\
         own = {{ shortName = \"{HOSTILE}\"; fullName = \"{HOSTILE}\"; spdxId = \"{HOSTILE}\"; free = false; }};\n\
         files = ''mkdir -p \"$out/lib\"; unzip -q -j \"$src\" nvidia/cuda_runtime/lib/libcudart.so.12\n\
           cp libcudart.so.12 \"$out/lib/{HOSTILE}.so\"; cp libcudart.so.12 libx; chmod u+w libx; echo x >> libx; cp libx \"$out/lib/b{HOSTILE}\"\n\
           echo \"The MIT License {HOSTILE}\" > \"$out/LICENSE{HOSTILE}\"''; in {{\n\
         inherit (cuda) cuda_cudart greeting saxpy-wheel;\n\
         \"a{HOSTILE}\" = odd \"a\" own files; free = odd \"free\" licenses.mit files;\n\
         b = odd \"b\" \"{HOSTILE}\" ''echo > \"$out\"''; c = odd \"c\" [ licenses.mit \"x {HOSTILE}\" own ] ''echo > \"$out\"'';\n\
         throws = throw \"first{HOSTILE}\\nerror: second{HOSTILE}\";\n\
         fails = odd \"fails\" licenses.mit ''echo '{HOSTILE}'; echo '{HOSTILE}' >&2; exit 1'';\n\
         \"bad{HOSTILE}\" = throw \"x\"; }}"
    );
    let state = attack.state("state");
    let run = |arguments: &[&str]| {
        let command = [&["narthex", "--state", "/state"], arguments].concat();
        let output = attack.world.enter(&attack.store, &state, &command).output().unwrap();
        clean(&arguments.join(" "), &output)
    };
    let first = attack.run("state", &set, &[]);
    for text in [&first.out, &first.err] {
        assert!(!text.contains(|c: char| is_order(c) && c != '\n' && c != '\t'), "{text:?}");
    }
    let rows = first.rows();
    let path = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name && row["path"].is_string());
        row.unwrap_or_else(|| panic!("no {name}"))["path"].as_str().unwrap().to_owned()
    };
    let attr = rows.iter().find(|row| row["name"] == "a-1").unwrap()["attr"].as_str().unwrap();
    assert!(attr.contains(HOSTILE), "JSON keeps what it says: {attr:?}");
    let (own, free) = (path("a-1"), path("free-1"));

    run(&["run", "/extra/set.nix"]);
    for format in ["table", "json"] {
        run(&["eval", "/extra/set.nix", "--format", format]);
        run(&["plan", "/extra/set.nix", "--format", format]);
        run(&["plan", "/extra/set.nix", "--costs", "--format", format]);
        run(&["plan", "/extra/set.nix", "--policy", "/policies/strict.toml", "--diff", "--format", format]);
        run(&["policy", "review", "/extra/set.nix", "--format", format]);
        run(&["why", &own, "--format", format]);
        run(&["why", &free, "--format", format]);
        run(&["audit", &own, "--format", format]);
        run(&["audit", &own, "--explain", &format!("lib/b{HOSTILE}"), "--format", format]);
        run(&["audit", "--recheck", "--policy", "/policies/strict.toml", "--format", format]);
        run(&["corpus", "list", "--without-shipped", "--format", format]);
    }
    run(&["audit", &own, "--format", "sarif"]);
    for format in ["html", "spdx", "cyclonedx", "notice"] {
        run(&["report", "--format", format]);
    }
    // Files are shown on terminals, too.
    run(&["report", "--output", "/extra/report"]);
    for file in ["report.html", "report.spdx.json", "report.cdx.json", "NOTICE.txt"] {
        let text = std::fs::read_to_string(attack.world.extra().join("report").join(file)).unwrap();
        assert!(!text.contains(|c: char| is_order(c) && c != '\n' && c != '\t'), "{file}");
    }

    // So are the entries of withheld paths.
    let entries = std::fs::read_dir(attack.state("state").join("objects/withheld")).unwrap();
    let entries: Vec<String> = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    assert!(!entries.is_empty());
    for text in entries {
        assert!(!text.contains(|c: char| is_order(c) && c != '\n'), "{text:?}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    }

    // Lines from elsewhere, and policies with mistakes in them.
    let extra = attack.world.extra();
    let line = serde_json::json!({"attr": HOSTILE, "drvPath": "/nix/store/00000000000000000000000000000000-x.drv", "inputDrvs": {},
        "outputs": {"out": "/nix/store/00000000000000000000000000000000-x"}, "meta": {"license": HOSTILE}});
    let failed = serde_json::json!({"attr": HOSTILE, "error": format!("error: {HOSTILE}\n{HOSTILE}")});
    std::fs::write(extra.join("lines"), format!("{line}\n{failed}\n{{\"drvPath\": \"{HOSTILE}\"}}\n{HOSTILE}\n"))
        .unwrap();
    run(&["plan", "--from", "/extra/lines"]);
    run(&["plan", "--from", "/extra/lines", "--format", "json"]);
    std::fs::write(
        extra.join("policy.toml"),
        format!("version = 1\nname = \"{HOSTILE}\"\n\"{HOSTILE}\" = 3\n{HOSTILE}\n"),
    )
    .unwrap();
    run(&["policy", "check", "/extra/policy.toml"]);
    run(&["policy", "check", "/extra/policy.toml", "--format", "json"]);
    run(&["plan", "/extra/set.nix", "--policy", "/extra/policy.toml"]);

    // Arguments are repeated in errors.
    for arguments in [
        &["why", HOSTILE] as &[&str],
        &["audit", HOSTILE],
        &["run", HOSTILE],
        &["run", "/extra/set.nix", "-A", HOSTILE],
        &["plan", "--from", HOSTILE],
        &["report", "--format", HOSTILE],
        &["policy", "show", HOSTILE],
        &["corpus", "remove", HOSTILE],
        &[HOSTILE],
        &[&format!("--{HOSTILE}")],
        &["serve", "--listen", HOSTILE],
        &["realise", "/extra/set.nix", "-A", "free", "--cache", HOSTILE],
        &["realise", "/extra/set.nix", "-A", "free", "--cache", &format!("http://{HOSTILE}/")],
        &["realise", "/extra/set.nix", "-A", "free", "--cache", &format!("file:///{HOSTILE}")],
        &["realise", "/extra/set.nix", "-A", "throws", "--cache", "file:///extra"],
    ] {
        run(arguments);
    }

    // Caches that answer with it: as the store's place, as signer, in a narinfo, in an entry, in the status line.
    let realise = |url: &str| run(&["realise", "/extra/set.nix", "-A", "greeting", "--dry-run", "--cache", url]);
    realise(&answering("200 OK", |_| format!("StoreDir: /x{HOSTILE}\n")));
    realise(&answering("200 OK", |target| match target {
        "/nix-cache-info" => "StoreDir: /nix/store\n".to_owned(),
        _ => format!("StorePath: {HOSTILE}\n"),
    }));
    realise(&answering("500 \u{1b}[2J", |_| String::new()));
    let greeting = path("greeting-1.0");
    let narinfo =
        std::fs::read_to_string(state.join("objects").join(format!("{}.narinfo", &greeting[11..43]))).unwrap();
    let signed = narinfo.replace("Sig: ", &format!("Sig: {HOSTILE}"));
    realise(&answering("200 OK", move |target| match target {
        "/nix-cache-info" => "StoreDir: /nix/store\n".to_owned(),
        _ => signed.clone(),
    }));
    let entry = serde_json::json!({"path": greeting, "deriver": null, "output": null, "narSize": 1, "license": HOSTILE,
        "reasons": [{"code": "license-restricted", "source": "declared", "effect": "withhold", "message": HOSTILE, "evidence": []}]});
    realise(&answering("200 OK", move |target| match target {
        "/nix-cache-info" => "StoreDir: /nix/store\n".to_owned(),
        _ if target.starts_with("/withheld/") => entry.to_string(),
        _ => HOSTILE.to_owned(),
    }));

    // Pages, and the log of the server.
    let log = attack.world.dir.path().join("requests");
    let serving = Serving::start(&state, log.clone());
    let pages = ["/".to_owned(), format!("/path/{}", &own[11..43]), format!("/path/{}", &free[11..43])];
    for page in pages.iter().map(String::as_str).chain(["/path/%1b%5b2J", "/%1b[2J", "/x%c2%9b"]) {
        let (_, head, body) = get(&serving.url, page);
        let text = head.replace("\r\n", "\n") + &String::from_utf8(body).unwrap();
        assert!(!text.contains(|c: char| is_order(c) && c != '\n' && c != '\t'), "{page}");
    }
    assert!(!std::fs::read_to_string(log).unwrap().contains(|c: char| is_order(c) && c != '\n'));
}

/// Errors repeat arguments also without a state, a Nix or a world around.
#[test]
fn errors_about_arguments_are_plain() {
    for arguments in [&[HOSTILE] as &[&str], &["--state", HOSTILE, "why", HOSTILE], &["run", "--nonsense", HOSTILE]] {
        let output = Command::new(program()).args(arguments).env("PATH", "/nowhere").output().unwrap();
        clean(&format!("{arguments:?}"), &output);
        let forced = Command::new(program()).args(arguments).env("CLICOLOR_FORCE", "1").output().unwrap();
        clean(&format!("{arguments:?}"), &forced);
    }
}
