//! Reports of the example, and of a state that means harm, held against the public validators.

use crate::example::{row, text};
use crate::world::{Said, World, program, repository};
use narthex_cache::{Catalog, Record, State};
use narthex_closure::NarHash;
use narthex_policy::{Code, Effect, Evidence, Reason, Source, Verdict};
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A report by the host's program, which needs no Nix for store paths.
fn report(state: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(program());
    command.arg("--state").arg(state).arg("report").args(arguments).env("SOURCE_DATE_EPOCH", "1700000000");
    Said::of(command.output().unwrap())
}

/// One of the validators, which `cargo xtask test` puts into the target folder.
fn python(arguments: &[&str], file: &Path) -> Output {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let validators = target.join("validators");
    assert!(validators.join("complete.txt").exists(), "there are no validators: `cargo xtask test` fetches them");
    Command::new("python3").args(arguments).arg(file).env("PYTHONPATH", validators).output().unwrap()
}

fn spdx_says(file: &Path) -> Output {
    python(&["-m", "spdx_tools.spdx.clitools.pyspdxtools", "-i"], file)
}

fn cyclonedx_says(file: &Path) -> Output {
    let script = "import sys\n\
        from cyclonedx.schema import SchemaVersion\n\
        from cyclonedx.validation.json import JsonStrictValidator\n\
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())\n\
        sys.exit(str(error) if error else 0)";
    python(&["-c", script], file)
}

#[track_caller]
fn accepted(said: &Output) {
    assert!(
        said.status.success(),
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
}

/// Both validators take the documents, and take no others: each is changed in one place and refused.
fn validators_accept(folder: &Path) {
    let changed = |file: &Path, from: &str, to: &str| {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(from), "{from} is not in {}", file.display());
        let other = file.with_extension("changed.json");
        std::fs::write(&other, text.replacen(from, to, 1)).unwrap();
        other
    };
    let spdx = folder.join("report.spdx.json");
    accepted(&spdx_says(&spdx));
    let unknown = changed(&spdx, "\"licenseDeclared\": \"", "\"licenseDeclared\": \"LicenseRef-nowhere AND ");
    assert!(!spdx_says(&unknown).status.success());
    let cyclonedx = folder.join("report.cdx.json");
    accepted(&cyclonedx_says(&cyclonedx));
    assert!(!cyclonedx_says(&changed(&cyclonedx, "\"SHA-256\"", "\"SHA-257\"")).status.success());
}

#[test]
fn the_example() {
    let world = World::new("2.8");
    let (store, state) = (world.store("store"), world.folder("state"));
    let rows = world.narthex(&store, &state, &["run", "/examples/cuda", "--format", "json"]).expect(1).rows();
    let folder = world.folder("out");
    let said = report(&state, &["--output", folder.to_str().unwrap()]).expect(0);
    assert_eq!(said.out, "");
    validators_accept(&folder);
    let file = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();

    the_page_says_it(&file("report.html"), &rows);
    the_documents_say_it(&file("report.spdx.json"), &file("report.cdx.json"), &rows);
    insta::assert_snapshot!("notice_of_the_example", masked(&file("NOTICE.txt")));
    nothing_of_withheld_files_is_there(&world, &folder, &rows);

    // The same state and time give the same bytes, in a folder or on the standard output.
    let again = world.dir.path().join("again");
    report(&state, &["--output", again.to_str().unwrap()]).expect(0);
    for name in ["report.html", "report.spdx.json", "report.cdx.json", "NOTICE.txt"] {
        assert!(file(name) == std::fs::read_to_string(again.join(name)).unwrap(), "{name}");
    }
    assert_eq!(report(&state, &["--format", "spdx"]).expect(0).out, file("report.spdx.json"));
    let one = world.dir.path().join("one.html");
    assert_eq!(report(&state, &["--format", "html", "--output", one.to_str().unwrap()]).expect(0).out, "");
    assert_eq!(std::fs::read_to_string(&one).unwrap(), file("report.html"));
    // A folder with something in it may have another report in it.
    let said = report(&state, &["--output", folder.to_str().unwrap()]).expect(2);
    assert!(said.err.contains("is no new or empty folder") && said.err.contains("hint: "), "{}", said.err);

    one_closure(&world, &store, &state, &rows);
}

fn the_page_says_it(page: &str, rows: &[Value]) {
    let section = |id: &str| {
        let from = page.find(&format!("<h2 id=\"{id}\"")).unwrap();
        let rest = &page[from + 1..];
        &rest[..rest.find("<h2").unwrap_or(rest.len())]
    };
    let inside = section("inside");
    for part in ["saxpy-static", "bin/saxpy", "libcudart_static.a", "CUDA Toolkit EULA, Attachment A, CUDA Runtime"] {
        assert!(inside.contains(part), "{part} is not in {inside}");
    }
    assert!(section("conditions").contains("(section 1.1.2, item 1)"), "{}", section("conditions"));
    assert!(section("conditions").contains("saxpy-static-1.0, saxpy-wheel-1.0"));
    assert!(section("holes").contains("cuda_cudart") && section("holes").contains("saxpy-1.0"));
    let (withheld, published) = (section("withheld"), section("published"));
    assert!(withheld.contains("cuda_cudart") && withheld.contains("ptxas-in-disguise"));
    // Names that lead to their evidence; reasons may name what is inside.
    assert!(!published.contains(">cuda_cudart<") && published.contains(">saxpy-static<"));
    let count = rows.iter().filter(|row| row["verdict"] == "withhold").count();
    assert_eq!(withheld.matches("<tr><th scope=\"row\">").count(), count);
    assert!(section("terms").contains("agreement of July 26, 2018"));
}

fn the_documents_say_it(spdx: &str, cyclonedx: &str, rows: &[Value]) {
    let spdx: Value = serde_json::from_str(spdx).unwrap();
    let packages = spdx["packages"].as_array().unwrap();
    let of = |path: &str| packages.iter().find(|package| package["packageFileName"] == path).unwrap();
    let linked = of(text(row(rows, "saxpy-static", "out"), "path"));
    assert_eq!(text(linked, "licenseConcluded"), "MIT AND LicenseRef-terms-cuda-toolkit");
    let archive = of("nvidia/cuda_runtime/lib/libcudart_static.a");
    let relation = |from: &Value, kind: &str, to: &Value| {
        let relations = spdx["relationships"].as_array().unwrap();
        relations.iter().any(|relation| {
            relation["spdxElementId"] == from["SPDXID"]
                && relation["relationshipType"] == kind
                && relation["relatedSpdxElement"] == to["SPDXID"]
        })
    };
    assert!(relation(linked, "CONTAINS", archive));
    let cudart = of(text(row(rows, "cuda_cudart", "out"), "path"));
    assert!(relation(of(text(row(rows, "saxpy", "out"), "path")), "DEPENDS_ON", cudart));
    assert!(
        text(&cudart["annotations"][0], "comment")
            .starts_with("withheld under the policy `default`\nlicense-restricted")
    );
    assert_eq!(cudart["licenseConcluded"], "NOASSERTION");

    let cyclonedx: Value = serde_json::from_str(cyclonedx).unwrap();
    let component = |name: &str| {
        cyclonedx["components"].as_array().unwrap().iter().find(|component| component["name"] == name).unwrap()
    };
    let property = |component: &Value, name: &str| {
        let properties = component["properties"].as_array().unwrap().clone();
        properties.into_iter().find(|property| property["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(property(component("cuda_cudart"), "narthex:verdict"), "withhold");
    let inner = &component("saxpy-static")["components"][0];
    assert_eq!((text(inner, "name"), text(inner, "version")), ("libcudart_static.a", "12.9.79"));
    assert_eq!(property(inner, "narthex:clause"), "Attachment A, CUDA Runtime");
    assert!(property(inner, "narthex:condition").is_string());
}

/// Takes pieces out of every file that is withheld and in no published package, and looks for them in the documents.
fn nothing_of_withheld_files_is_there(world: &World, folder: &Path, rows: &[Value]) {
    const PIECE: usize = 48;
    let mut pieces: HashSet<Vec<u8>> = HashSet::new();
    let named = |name: &str| ["cuda_", "mystery", "ptxas"].iter().any(|begin| name.starts_with(begin));
    for row in rows.iter().filter(|row| row["path"].is_string() && named(text(row, "name"))) {
        assert_eq!(row["verdict"], "withhold");
        let path = world.dir.path().join("store/store").join(&text(row, "path")["/nix/store/".len()..]);
        for file in crate::example::files_below(path) {
            let bytes = std::fs::read(&file).unwrap();
            for eighth in 0..8 {
                if let Some(piece) = bytes.get(bytes.len() / 8 * eighth..).and_then(|rest| rest.get(..PIECE)) {
                    // Rows of one byte are nobody's.
                    if piece.iter().collect::<HashSet<_>>().len() >= 12 {
                        pieces.insert(piece.to_vec());
                    }
                }
            }
        }
    }
    assert!(pieces.len() > 500, "only {} pieces to look for", pieces.len());
    for document in crate::example::files_below(folder.to_owned()) {
        let bytes = std::fs::read(&document).unwrap();
        let found = bytes.windows(PIECE).find(|window| pieces.contains(*window));
        assert_eq!(found, None, "{} holds a part of a withheld file", document.display());
    }
}

fn one_closure(world: &World, store: &crate::world::Store, state: &Path, rows: &[Value]) {
    let path = text(row(rows, "saxpy-app", "out"), "path");
    let said = report(state, &[path, "--format", "cyclonedx"]).expect(0).out;
    let document: Value = serde_json::from_str(&said).unwrap();
    let names: Vec<&str> =
        document["components"].as_array().unwrap().iter().map(|component| text(component, "name")).collect();
    assert_eq!(names, ["cuda_cudart", "greeting", "saxpy", "saxpy-app"]);
    assert_eq!(document["dependencies"][0]["dependsOn"].as_array().unwrap().len(), 1);
    // The same by attribute, as Nix on that machine sees it.
    let by_attr = ["report", "/examples/cuda", "-A", "saxpy-app", "--format", "html"];
    let page = world.narthex(store, state, &by_attr).expect(0).out;
    assert!(page.contains("License report for saxpy-app-1.0 and what it refers to"));
    // What was never decided about.
    let said = report(state, &["/nix/store/00000000000000000000000000000000-never-1", "--format", "html"]).expect(1);
    assert_eq!((said.out.as_str(), said.err.lines().count()), ("", 2), "{}", said.err);
    assert!(said.err.starts_with("error: nothing was decided about /nix/store/0"), "{}", said.err);
    assert_eq!(report(state, &[]).code, Some(2));
}

/// Hashes of store paths differ with the machine's compiler, and the version with each release.
fn masked(text: &str) -> String {
    let mut masked = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let mut from = 0;
    while let Some(at) = masked[from..].find("/nix/store/") {
        let hash = from + at + "/nix/store/".len();
        masked.replace_range(hash..hash + 32, "HASH");
        from = hash;
    }
    masked
}

/// Names, licenses and findings that want to be something else.
#[tokio::test]
async fn a_state_that_means_harm() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    State::open(&state).unwrap();
    let catalog = Catalog::open(&state.join("catalog.sqlite")).await.unwrap();
    let texts = [
        "</script><script>alert(1)</script>",
        "\"},{\"SPDXID\":\"SPDXRef-DOCUMENT\"",
        "\u{1b}[2J\u{202e}\r\nerror: \u{0} ]]> ${x} \\u0000",
        "MIT AND (",
        "NOASSERTION (\"MIT\")",
        "MIT WITH nothing-exception OR GPL-2.0+ AND LicenseRef-é",
        "",
    ];
    for (number, text) in texts.iter().enumerate() {
        let evidence = Evidence {
            place: (*text).to_owned(),
            kind: Some("copy".to_owned()),
            original: Some((*text).to_owned()),
            package: Some((*text).to_owned()),
            clause: Some((*text).to_owned()),
            conditions: vec![(*text).to_owned()],
            ..Evidence::default()
        };
        let reason = Reason {
            code: Code::TermsPermitCopy,
            source: Source::Terms,
            effect: Effect::Publish,
            message: (*text).to_owned(),
            evidence: vec![evidence],
        };
        let record = Record {
            path: format!("/nix/store/{number:032}-x+y?z=._-").parse().unwrap(),
            attr: Some((*text).to_owned()),
            output: Some((*text).to_owned()),
            deriver: Some(format!("/nix/store/{number:032}-x+y?z=._--1.drv").parse().unwrap()),
            nar_hash: NarHash::from_sha256([number as u8; 32]),
            nar_size: u64::MAX >> 1,
            references: [].into(),
            license: Some((*text).to_owned()),
            verdict: if number % 2 == 0 { Verdict::Publish } else { Verdict::Withhold },
            reasons: vec![reason],
            policy: (*text).to_owned(),
        };
        catalog.put(&record).await.unwrap();
    }
    catalog.close().await;
    let folder = dir.path().join("out");
    report(&state, &["--output", folder.to_str().unwrap()]).expect(0);
    accepted(&spdx_says(&folder.join("report.spdx.json")));
    accepted(&cyclonedx_says(&folder.join("report.cdx.json")));
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
}
