//! The main path: `examples/cuda` from expression to a client's store, with three versions of Nix.

use crate::http::{Serving, get, nginx};
use crate::world::{Said, Store, World, success};
use nix_derivation::StoreDir;
use nix_narinfo::NarInfo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn with_nix_2_8() {
    main_path("2.8");
}

#[test]
fn with_nix_2_26() {
    main_path("2.26");
}

#[test]
fn with_nix_2_34() {
    main_path("2.34");
}

/// Attribute, output, verdict, deciding reason. A missing attribute is a source.
const TABLE: [(&str, &str, &str, &str); 13] = [
    ("greeting", "out", "publish", "license-free"),
    ("cuda_cudart", "out", "withhold", "license-restricted"),
    ("cuda_cudart", "dev", "withhold", "license-restricted"),
    ("cuda_cudart", "static", "withhold", "license-restricted"),
    ("cuda_nvcc", "out", "withhold", "terms-file-not-listed"),
    ("saxpy", "out", "publish", "license-free"),
    ("saxpy-app", "out", "publish", "license-free"),
    ("saxpy-static", "out", "publish", "terms-permit-inclusion"),
    ("saxpy-bundled", "out", "withhold", "terms-modified"),
    ("saxpy-wheel", "out", "publish", "terms-permit-copy"),
    ("ptxas-in-disguise", "out", "withhold", "terms-file-not-listed"),
    ("mystery", "out", "withhold", "license-unknown"),
    ("source-available", "out", "publish", "license-redistributable"),
];

/// What a client fetches for `saxpy-app`: its closure without the hole, and what building the hole takes.
const FETCHED: [&str; 6] =
    ["greeting-1.0", "host-coreutils", "host-patchelf", "host-unzip", "saxpy-1.0", "saxpy-app-1.0"];

fn main_path(nix: &str) {
    let world = World::new(nix);
    let (publisher, state) = (world.store("publisher"), world.folder("state"));
    let rows = first_run(&world, &publisher, &state);
    second_run(&world, &publisher, &state);
    a_stricter_policy_takes_back(&world, &publisher, &state);
    explanations(&world, &publisher, &state, &rows);
    nothing_withheld_is_there(&state, &rows);
    no_part_of_withheld_files_is_there(&world, &state, &rows);

    let serving = Serving::start(&state, world.dir.path().join("requests"));
    nothing_withheld_can_be_had(&serving, &rows);
    a_client_fills_the_hole(&world, &serving, &rows);
    a_client_without_the_vendors_file_is_told(&world, &serving);
    a_client_of_another_web_server(&world, &state, &serving.public_key);
    stops_cleanly(serving);
}

fn first_run(world: &World, store: &Store, state: &Path) -> Vec<Value> {
    // Exit code 1: `broken` does not build.
    let said = world.narthex(store, state, &["run", "/examples/cuda", "--format", "json"]).expect(1);
    let rows = said.rows();
    for (attr, output, verdict, code) in TABLE {
        let row = row(&rows, attr, output);
        assert_eq!((text(row, "verdict"), text(&row["reasons"][0], "code")), (verdict, code), "{row:#}");
    }
    let jobs = rows.iter().filter(|row| row["attr"].is_string() && row["error"].is_null()).count();
    assert_eq!(jobs, TABLE.len(), "{}", said.out);

    let wheels: Vec<&Value> = rows.iter().filter(|row| text(row, "name").ends_with(".whl")).collect();
    assert_eq!(wheels.len(), 2);
    for wheel in wheels {
        assert_eq!((text(wheel, "verdict"), text(&wheel["reasons"][0], "code")), ("withhold", "source-of-withheld"));
    }

    let modified = reason(row(&rows, "cuda_cudart", "out"), "audit-modified-copy");
    let evidence = &modified["evidence"][0];
    assert_eq!(text(evidence, "place"), "lib/libcudart.so.12");
    assert_eq!(text(evidence, "original"), "nvidia/cuda_runtime/lib/libcudart.so.12");

    let bundled = &reason(row(&rows, "saxpy-bundled", "out"), "terms-modified")["evidence"][0];
    assert_eq!(text(bundled, "place"), "lib/libcudart.so.12");
    let changed: Vec<&str> = bundled["changedSections"].as_array().unwrap().iter().map(|s| text(s, "name")).collect();
    assert!(changed.contains(&".dynamic") && changed.contains(&".dynstr"), "{changed:?}");
    assert!(!changed.contains(&".text"), "{changed:?}");
    let runpath = serde_json::json!({"what": "runpath", "from": [], "to": ["$ORIGIN"]});
    assert!(bundled["changes"].as_array().unwrap().contains(&runpath), "{bundled:#}");

    let inclusion = &reason(row(&rows, "saxpy-static", "out"), "terms-permit-inclusion")["evidence"][0];
    let member = &inclusion["members"][0];
    let (found, known) = (number(member, "functionsFound"), number(member, "functionsKnown"));
    assert!(known > 500 && found * 100 >= known * 97, "{inclusion:#}");
    assert!(number(inclusion, "bytesFound") * 100 >= number(inclusion, "codeBytes") * 90, "{inclusion:#}");

    let copy = &reason(row(&rows, "saxpy-wheel", "out"), "terms-permit-copy")["evidence"][0];
    assert_eq!(text(copy, "place"), "share/wheels/saxpy-1.0-py3-none-linux_x86_64.whl!saxpy/lib/libcudart.so.12");
    assert!(!copy["conditions"].as_array().unwrap().is_empty());

    let disguised = &reason(row(&rows, "ptxas-in-disguise", "out"), "terms-file-not-listed")["evidence"][0];
    assert_eq!(text(disguised, "original"), "nvidia/cuda_nvcc/bin/ptxas");

    let saxpy = row(&rows, "saxpy", "out");
    assert_eq!(saxpy["references"], serde_json::json!([text(row(&rows, "cuda_cudart", "out"), "path")]));

    let broken = rows.iter().find(|row| row["error"].is_object()).unwrap();
    assert_eq!((text(broken, "attr"), text(&broken["error"], "kind")), ("broken", "build"));
    let log = broken["error"]["log"].to_string();
    assert!(log.contains("compiling broken.c") && log.contains("undeclared"), "{log}");
    rows
}

fn second_run(world: &World, store: &Store, state: &Path) {
    let before = objects(state);
    let said = world.narthex(store, state, &["run", "/examples/cuda"]).expect(1);
    assert!(said.out.contains("nothing was new: nothing built, audited or uploaded"), "{}", said.out);
    assert!(said.out.contains("1 hole, "), "{}", said.out);
    assert!(said.out.contains("cuda_cudart-12.9.79 ← saxpy-1.0\n"), "{}", said.out);
    // A build that fails is tried again each time.
    assert_eq!(said.progress("building"), ["broken-1.0"]);
    assert_eq!((said.progress("audited"), said.progress("uploaded")), (vec![], vec![]));
    assert_eq!(objects(state), before);
}

fn a_stricter_policy_takes_back(world: &World, store: &Store, state: &Path) {
    let before = objects(state);
    let strict = ["run", "/examples/cuda", "--policy", "/policies/strict.toml", "--format", "json"];
    let said = world.narthex(store, state, &strict).expect(1);
    assert_eq!(said.progress("took"), ["back"]);
    for attr in ["saxpy-static", "saxpy-wheel"] {
        let rows = said.rows();
        let row = row(&rows, attr, "out");
        assert_eq!((text(row, "verdict"), text(&row["reasons"][0], "code")), ("withhold", "policy-vendor-code"));
        assert!(!state.join("objects").join(format!("{}.narinfo", hash(row))).exists());
    }
    assert_eq!(said.rows().iter().filter(|row| row["verdict"] == "publish").count(), before_count(&before) - 2);
    nothing_withheld_is_there(state, &said.rows());
    // Forgotten, the policy is not left by accident.
    let said = world.narthex(store, state, &["run", "/examples/cuda"]).expect(2);
    assert!(said.err.contains("hint: give `--policy /policies/strict.toml`"), "{}", said.err);
    // And back again: the same objects, byte for byte.
    world.narthex(store, state, &["run", "/examples/cuda", "--policy", "default"]).expect(1);
    assert_eq!(objects(state), before);
}

fn before_count(objects: &[(String, String)]) -> usize {
    objects.iter().filter(|(name, _)| name.ends_with(".narinfo")).count()
}

fn the_audit_for_programs(world: &World, store: &Store, state: &Path, bundled: &str, linked: &str) {
    let audit = |arguments: &[&str]| world.narthex(store, state, &[&["audit", bundled, linked], arguments].concat());
    let lines = audit(&["--format", "json"]).expect(0).rows();
    let of = |kind: &str| lines.iter().find(|line| line["kind"] == kind).unwrap_or_else(|| panic!("{kind}: {lines:?}"));
    let copy = of("modified-copy");
    assert_eq!(
        (text(copy, "path"), &copy["file"][0], &copy["restricted"]),
        (bundled, &json!("lib/libcudart.so.12"), &json!(true))
    );
    assert_eq!((&copy["material"]["name"], &copy["material"]["version"]), (&json!("cuda_cudart"), &json!("12.9.79")));
    assert_eq!(copy["changes"], json!([{"what": "runpath", "from": [], "to": ["$ORIGIN"]}]));
    let code = of("static");
    assert_eq!((text(code, "path"), &code["file"][0]), (linked, &json!("bin/saxpy")));
    assert!(code["functions"]["found"].as_u64() > Some(900) && code["coverage"].as_f64() > Some(0.9), "{code}");

    let sarif = audit(&["--format", "sarif"]).expect(0);
    let sarif: Value = serde_json::from_str(&sarif.out).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), lines.len());

    let explained = audit(&["--explain", "bin/saxpy"]).expect(0).out;
    for part in ["rule `static`", "rule `dynamic`", "needs libc.so.6", "longest stretches, by address", "0x"] {
        assert!(explained.contains(part), "{part} is not in\n{explained}");
    }
    let said = audit(&["--explain", "bin/sexpy"]).expect(2);
    assert!(said.err.contains("hint: near it are bin/saxpy"), "{}", said.err);
}

fn explanations(world: &World, store: &Store, state: &Path, rows: &[Value]) {
    let path = text(row(rows, "saxpy-static", "out"), "path");
    let why = world.narthex(store, state, &["why", path]).expect(0);
    for part in ["terms-permit-inclusion", "libcudart_static.a", "functions", "clause: Attachment A", "condition: "] {
        assert!(why.out.contains(part), "{part} is not in\n{}", why.out);
    }
    // The same by derivation and by attribute.
    let derivation = text(row(rows, "saxpy-static", "out"), "deriver");
    assert_eq!(world.narthex(store, state, &["why", derivation]).expect(0).out, why.out);
    assert_eq!(world.narthex(store, state, &["why", "/examples/cuda", "-A", "saxpy-static"]).expect(0).out, why.out);

    let bundled = text(row(rows, "saxpy-bundled", "out"), "path");
    let audit = world.narthex(store, state, &["audit", bundled]).expect(0);
    assert!(audit.out.contains("lib/libcudart.so.12 is a modified copy of"), "{}", audit.out);
    assert!(!audit.out.contains("withheld"), "{}", audit.out);
    the_audit_for_programs(world, store, state, bundled, path);

    let plan = world.narthex(store, state, &["plan", "/examples/cuda", "--format", "json"]).expect(0);
    let planned = plan.rows();
    let planned = |attr: &str| planned.iter().find(|row| row["attr"] == attr).unwrap();
    assert_eq!(text(planned("cuda_cudart"), "verdict"), "withhold");
    // By license alone the disguise holds; only the bytes tell.
    assert_eq!(text(planned("ptxas-in-disguise"), "verdict"), "publish");
    assert_eq!(plan.progress("building"), [""; 0]);
}

/// Looks into the folder itself: no narinfo of a withheld path, and no NAR with a withheld NAR's bytes.
fn nothing_withheld_is_there(state: &Path, rows: &[Value]) {
    let withheld: Vec<&Value> = rows.iter().filter(|row| row["verdict"] == "withhold").collect();
    let forbidden: BTreeSet<&str> = withheld.iter().map(|row| text(row, "narHash")).collect();
    let published: BTreeSet<&str> =
        rows.iter().filter(|row| row["verdict"] == "publish").map(|row| text(row, "narHash")).collect();
    assert!(withheld.len() >= 9);
    for row in &withheld {
        assert!(!state.join("objects").join(format!("{}.narinfo", hash(row))).exists(), "{}", text(row, "path"));
        assert!(!state.join("objects").join(format!("{}.ls", hash(row))).exists(), "{}", text(row, "path"));
        assert!(state.join("objects/withheld").join(format!("{}.json", hash(row))).exists());
    }
    for entry in std::fs::read_dir(state.join("objects/nar")).unwrap() {
        let file = entry.unwrap().path();
        let nar = zstd::decode_all(std::fs::File::open(&file).unwrap()).unwrap();
        let digest: [u8; 32] = Sha256::digest(&nar).into();
        let hash = nix_derivation::NixHash::Sha256(digest).to_nix_nixbase32_string();
        assert!(!forbidden.contains(hash.as_str()), "{}", file.display());
        assert!(published.contains(hash.as_str()), "{} belongs to nothing published", file.display());
    }
}

/// Takes pieces out of the vendor's files and looks for them in every object, unpacked: NARs, logs, listings
/// and entries. Only what the terms permit in other packages is left out.
fn no_part_of_withheld_files_is_there(world: &World, state: &Path, rows: &[Value]) {
    const PIECE: usize = 64;
    let vendors = |row: &&Value| {
        let name = text(row, "name");
        name.starts_with("cuda_") || name.starts_with("ptxas") || name.ends_with(".whl")
    };
    let mut pieces = std::collections::HashSet::new();
    for row in rows.iter().filter(|row| row["path"].is_string()).filter(vendors) {
        assert_eq!(row["verdict"], "withhold");
        let path = world.dir.path().join("publisher/store").join(&text(row, "path")["/nix/store/".len()..]);
        for file in files_below(path) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = std::fs::read(&file).unwrap();
            if ["libcudart", "libculibos"].iter().any(|permitted| name.starts_with(permitted)) || bytes.len() < 4096 {
                continue;
            }
            for quarter in 1..4 {
                let at = bytes.len() / 4 * quarter;
                let piece = &bytes[at..at + PIECE];
                if piece.iter().collect::<BTreeSet<_>>().len() >= 16 {
                    pieces.insert(piece.to_vec());
                }
            }
        }
    }
    assert!(pieces.len() > 100, "only {} pieces to look for", pieces.len());
    for object in files_below(state.join("objects")) {
        let mut bytes = std::fs::read(&object).unwrap();
        if object.extension().is_some_and(|end| end == "zst") {
            bytes = zstd::decode_all(bytes.as_slice()).unwrap();
        }
        let found = bytes.windows(PIECE).any(|window| pieces.contains(window));
        assert!(!found, "{} holds a part of a withheld file", object.display());
    }
}

pub(crate) fn files_below(root: PathBuf) -> Vec<PathBuf> {
    let mut todo = vec![root];
    let mut files = Vec::new();
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if meta.is_file() {
            files.push(path);
        }
    }
    files
}

fn nothing_withheld_can_be_had(serving: &Serving, rows: &[Value]) {
    for row in rows.iter().filter(|row| row["verdict"] == "withhold") {
        let (status, head, _) = get(&serving.url, &format!("/{}.narinfo", hash(row)));
        assert_eq!(status, 404);
        assert!(head.contains(&format!("link: </withheld/{}.json>", hash(row))), "{head}");
        let (status, _, body) = get(&serving.url, &format!("/withheld/{}.json", hash(row)));
        let entry: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, text(&entry, "path")), (200, text(row, "path")));
        assert_eq!(entry["reasons"][0]["code"], row["reasons"][0]["code"]);
        let (status, _, page) = get(&serving.url, &format!("/path/{}", hash(row)));
        let page = String::from_utf8(page).unwrap();
        assert!(status == 200 && page.contains(text(&row["reasons"][0], "code")), "{page}");
        // Guesses at its NAR, by the names that caches use.
        let nar_hash = text(row, "narHash").strip_prefix("sha256:").unwrap();
        for guess in
            [format!("/nar/{nar_hash}.nar.zst"), format!("/nar/{nar_hash}.nar"), format!("/nar/{}.nar.xz", hash(row))]
        {
            assert_eq!(get(&serving.url, &guess).0, 404, "{guess}");
        }
    }
    let (status, _, page) = get(&serving.url, "/");
    let page = String::from_utf8(page).unwrap();
    assert_eq!(status, 200);
    for part in ["12 published, 9 withheld", "cuda_cudart-12.9.79-static", "extra-trusted-public-keys"] {
        assert!(page.contains(part), "{part} is not on the page");
    }
}

fn a_client_fills_the_hole(world: &World, serving: &Serving, rows: &[Value]) {
    let (client, home) = (world.store("client"), world.folder("client-state"));
    let arguments = ["realise", "/examples/cuda", "-A", "saxpy-app", "--cache", &serving.url];
    let with_key = |more: &[&'static str]| {
        let key = ["--public-key", &serving.public_key].map(str::to_owned);
        let all: Vec<String> =
            arguments.iter().map(|a| (*a).to_owned()).chain(key).chain(more.iter().map(|a| (*a).to_owned())).collect();
        world.narthex(&client, &home, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };

    let untrusted = world.narthex(&client, &home, &arguments).expect(1);
    assert!(untrusted.err.contains("is not trusted") && untrusted.err.contains("--public-key"), "{}", untrusted.err);

    let dry = with_key(&["--dry-run"]).expect(0);
    assert!(dry.out.contains("to build here:\n  cuda_cudart-12.9.79"), "{}", dry.out);
    assert!(dry.out.contains("withheld: LicenseRef-nvidiaCuda may not be passed on"), "{}", dry.out);
    assert!(dry.out.contains("1 path to build, 6 paths to fetch"), "{}", dry.out);
    let app = text(row(rows, "saxpy-app", "out"), "path");
    assert!(!world.is_valid(&client, app), "a dry run did something");

    let said = with_key(&[]).expect(0);
    assert_eq!(said.out.trim(), app);
    assert_eq!(said.progress("building"), ["cuda_cudart-12.9.79"]);
    assert_eq!(said.progress("fetching"), FETCHED);
    assert_eq!(fetched(serving, rows), FETCHED.map(str::to_owned).into());

    // No compiler, no headers of the compiler, nothing else that only building takes.
    let gcc = rows.iter().find(|row| text(row, "name") == "host-gcc").unwrap();
    for path in [text(gcc, "path"), text(row(rows, "cuda_nvcc", "out"), "path")] {
        assert!(!world.is_valid(&client, path), "{path} was built or fetched");
    }

    let run = success(world.enter(&client, &home, &[&format!("{app}/bin/saxpy-app")]).output().unwrap());
    assert!(run.contains("CUDA runtime 12.9, 0 devices"), "{run}");
    let features = ["nix", "--extra-experimental-features", "nix-command"];
    let info = [&features, ["path-info", "-r", app].as_slice()].concat();
    let closure = success(world.enter(&client, &home, &info).output().unwrap());
    assert_eq!(closure.lines().count(), 4, "{closure}");
    let paths: Vec<&str> = closure.lines().collect();
    let verify = [&["nix-store", "--verify-path"], paths.as_slice()].concat();
    success(world.enter(&client, &home, &verify).output().unwrap());

    // What Nix's own commands make of the listing and the log.
    let list = [&features, ["store", "ls", "--store", &serving.url, "-lR", app].as_slice()].concat();
    let listed = success(world.enter(&client, &home, &list).output().unwrap());
    assert!(listed.contains("./bin/saxpy-app"), "{listed}");
    let script = format!("{app}/bin/saxpy-app");
    let cat = [&features, ["store", "cat", "--store", &serving.url, &script].as_slice()].concat();
    assert!(success(world.enter(&client, &home, &cat).output().unwrap()).starts_with("#!/bin/sh"));
    let log = |attr: &str| {
        let derivation = text(row(rows, attr, "out"), "deriver");
        get(&serving.url, &format!("/log/{}", &derivation["/nix/store/".len()..])).0
    };
    assert_eq!(log("greeting"), 200);
    // Its build could read withheld headers, and could have printed them.
    assert_eq!(log("saxpy"), 404);

    let again = with_key(&[]).expect(0);
    assert!(again.err.contains("everything is in the store already"), "{}", again.err);
}

/// Names of the paths whose NARs the server was asked for.
fn fetched(serving: &Serving, rows: &[Value]) -> BTreeSet<String> {
    let requests = serving.requests();
    let nars = requests
        .iter()
        .filter(|(status, method, target)| *status == 200 && method == "GET" && target.starts_with("/nar/"));
    let name = |target: &str| {
        let of = |row: &&Value| {
            let (status, _, body) = get(&serving.url, &format!("/{}.narinfo", hash(row)));
            status == 200 && NarInfo::parse_in(&StoreDir::default(), &body).unwrap().url() == &target[1..]
        };
        text(rows.iter().filter(|row| row["path"].is_string()).find(of).unwrap(), "name").to_owned()
    };
    nars.map(|(_, _, target)| name(target)).collect()
}

fn a_client_without_the_vendors_file_is_told(world: &World, serving: &Serving) {
    let (client, home) = (world.empty_store("poor-client"), world.folder("poor-state"));
    let arguments =
        ["realise", "/examples/cuda", "-A", "saxpy", "--cache", &serving.url, "--public-key", &serving.public_key];
    let said = world.narthex(&client, &home, &arguments).expect(4);
    assert!(said.err.contains("pip download --no-deps"), "{}", said.err);
    assert!(said.err.contains("could not be built, so saxpy-1.0 is not there"), "{}", said.err);
    assert_eq!(said.out, "");
    // What does not need the file arrives all the same.
    let both = [&arguments[..], &["-A", "saxpy-wheel"]].concat();
    let said = world.narthex(&client, &home, &both).expect(4);
    assert!(said.out.trim().ends_with("-saxpy-wheel-1.0"), "{}", said.out);
    assert!(said.err.contains("so saxpy-1.0 is not there"), "{}", said.err);
}

fn a_client_of_another_web_server(world: &World, state: &Path, public_key: &str) {
    let (client, home) = (world.store("nginx-client"), world.folder("nginx-state"));
    let (_nginx, url) = nginx(&state.join("objects"), &world.folder("nginx"));
    let arguments = ["realise", "/examples/cuda", "-A", "saxpy-app", "--cache", &url, "--public-key", public_key];
    let said = world.narthex(&client, &home, &arguments).expect(0);
    assert_eq!(said.progress("building"), ["cuda_cudart-12.9.79"]);
    assert_eq!(said.progress("fetching"), FETCHED);

    // And as a folder, with no server at all.
    let (client, home) = (world.store("file-client"), state);
    let arguments = [
        "realise",
        "/examples/cuda",
        "-A",
        "saxpy-app",
        "--cache",
        "file:///state/objects",
        "--public-key",
        public_key,
    ];
    let said = world.narthex(&client, home, &arguments).expect(0);
    assert_eq!(said.progress("fetching"), FETCHED);
}

fn stops_cleanly(mut serving: Serving) {
    let id = serving.process.0.id().to_string();
    success(std::process::Command::new("kill").arg(id).output().unwrap());
    assert!(serving.process.0.wait().unwrap().success());
}

pub(crate) fn row<'r>(rows: &'r [Value], attr: &str, output: &str) -> &'r Value {
    rows.iter()
        .find(|row| row["attr"] == attr && row["output"] == output)
        .unwrap_or_else(|| panic!("there is no row for {attr} {output}"))
}

fn reason<'r>(row: &'r Value, code: &str) -> &'r Value {
    let reasons = row["reasons"].as_array().unwrap();
    reasons.iter().find(|reason| reason["code"] == code).unwrap_or_else(|| panic!("no reason {code} in {row:#}"))
}

pub(crate) fn text<'r>(value: &'r Value, key: &str) -> &'r str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value:#}"))
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no {key} in {value:#}"))
}

fn hash(row: &Value) -> &str {
    &text(row, "path")["/nix/store/".len()..][..32]
}

/// Every object of a state folder: its name and the hash of its bytes.
pub(crate) fn objects(state: &Path) -> Vec<(String, String)> {
    let root = state.join("objects");
    let mut found = Vec::new();
    for path in files_below(root.clone()) {
        let digest: [u8; 32] = Sha256::digest(std::fs::read(&path).unwrap()).into();
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        found.push((name, format!("{digest:02x?}")));
    }
    found.sort();
    found
}

/// What a run printed as JSON, in an order that can be compared.
pub(crate) fn sorted(said: &Said) -> Vec<String> {
    let mut rows: Vec<String> = said.rows().iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

/// One attribute of a fresh state: what else the set says of a source, and whose material is restricted,
/// counts all the same.
#[test]
fn one_attribute_is_judged_by_the_whole_set() {
    let world = World::new("2.8");
    let (store, state) = (world.store("store"), world.folder("state"));
    let run = ["run", "/examples/cuda", "-A", "ptxas-in-disguise", "--format", "json"];
    let said = world.narthex(&store, &state, &run).expect(0);
    let rows = said.rows();
    let disguised = row(&rows, "ptxas-in-disguise", "out");
    assert_eq!(
        (text(disguised, "verdict"), text(&disguised["reasons"][0], "code")),
        ("withhold", "terms-file-not-listed")
    );
    let wheel = rows.iter().find(|row| text(row, "name").ends_with(".whl")).unwrap();
    assert_eq!((text(wheel, "verdict"), text(&wheel["reasons"][0], "code")), ("withhold", "source-of-withheld"));
    // Nothing else was built or decided about.
    assert_eq!(said.progress("building"), ["host-binutils", "host-coreutils", "host-unzip", "ptxas-in-disguise-1.0"]);
    assert_eq!(rows.len(), 5);
    let plan =
        world.narthex(&store, &state, &["plan", "/examples/cuda", "-A", "ptxas-in-disguise", "--format", "json"]);
    let planned = plan.expect(0).rows();
    let wheel = planned.iter().find(|row| text(row, "name").ends_with(".whl")).unwrap();
    assert_eq!(text(&wheel["reasons"][0], "code"), "source-of-withheld");
}

/// A cache whose key changed: what Nix remembers of it does not stand in the way.
#[test]
fn a_cache_with_a_new_key_at_the_same_address() {
    let world = World::new("2.8");
    let (store, client) = (world.store("store"), world.store("client"));
    let home = world.folder("home");
    for round in ["one", "two"] {
        let state = world.folder(round);
        world.narthex(&store, &state, &["run", "/examples/cuda", "-A", "greeting"]).expect(0);
        // The address stays, since the folder is mounted in the same place.
        let key = std::fs::read_to_string(state.join("keys/1.secret")).unwrap();
        let key: narthex_cache::SecretKey = key.parse().unwrap();
        std::fs::remove_dir_all(world.extra()).unwrap();
        success(
            std::process::Command::new("cp").arg("-r").arg(state.join("objects")).arg(world.extra()).output().unwrap(),
        );
        let arguments =
            ["realise", "/examples/cuda", "-A", "greeting", "--cache", "file:///extra", "--public-key", &key.public()];
        let said = world.narthex(&client, &home, &arguments).expect(0);
        assert_eq!(said.progress("fetching"), ["greeting-1.0"]);
        let delete = ["nix-store", "--delete", said.out.trim()];
        success(world.enter(&client, &home, &delete).output().unwrap());
    }
}

/// Wherever something is to be named, every kind of name will do.
#[test]
fn every_kind_of_name() {
    for nix in ["2.8", "2.26", "2.34"] {
        let world = World::new(nix);
        let (store, state) = (world.empty_store("store"), world.folder("state"));
        let file = "rec { thing = derivation { name = \"thing\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; \
                    args = [ \"-c\" \"echo > $out\" ]; } // { meta.license = { shortName = \"mit\"; free = true; }; }; }";
        std::fs::write(world.extra().join("default.nix"), file).unwrap();
        let flake = "{ outputs = { self }: { packages.x86_64-linux = import ./default.nix; }; }";
        std::fs::write(world.extra().join("flake.nix"), flake).unwrap();
        let rows = world.narthex(&store, &state, &["run", "/extra", "--format", "json"]).expect(0).rows();
        let row = row(&rows, "thing", "out");
        let (path, derivation) = (text(row, "path"), text(row, "deriver"));
        let expected = world.narthex(&store, &state, &["why", path]).expect(0).out;
        for name in [
            &["why", derivation] as &[&str],
            &["why", "/extra", "-A", "thing"],
            &["why", "path:/extra#thing"],
            &["why", &path[11..]],
        ] {
            assert_eq!(world.narthex(&store, &state, name).expect(0).out, expected, "{nix}: {name:?}");
        }
        assert!(world.narthex(&store, &state, &["audit", path]).expect(0).out.contains("nothing restricted in 1 file"));
        let said = world.narthex(&store, &state, &["why", "/extra"]).expect(2);
        assert!(said.err.contains("hint: name one with -A"), "{}", said.err);
    }
}
