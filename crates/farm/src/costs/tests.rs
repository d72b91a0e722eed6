//! What a catalog knows of a small set, and what that comes to.

use super::*;
use crate::inventory::Inventory;
use crate::lines::Lines;
use narthex_audit::Report;
use narthex_cache::{Build, Cache, PathMeta, Record, State};
use narthex_closure::{NarHash, Tally};
use narthex_license::LicenseFacts;
use narthex_policy::{Case, Date, Policy, Provenance, Rules, Subject, decide, shipped};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The path of an output; a number before the name is the first digit of its hash, for other versions of a package.
fn path(name: &str) -> String {
    let (digit, name) = name.split_once(':').unwrap_or(("0", name));
    let sum = name.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    format!("/nix/store/{digit}{sum:031}-{name}")
}

fn store_path(name: &str) -> StorePath {
    path(name).parse().unwrap()
}

fn line(name: &str, inputs: &[&str], more: Value) -> String {
    let inputs: serde_json::Map<String, Value> =
        inputs.iter().map(|input| (path(&format!("{input}.drv")), json!(["out"]))).collect();
    let mut line =
        json!({"drvPath": path(&format!("{name}.drv")), "inputDrvs": inputs, "outputs": {"out": path(name)}});
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    line.to_string()
}

fn licensed(license: &str, attr: Option<&str>) -> Value {
    json!({"meta": {"license": license}, "attr": attr})
}

fn inventory() -> Inventory {
    let mut lines = Lines::default();
    for text in [
        line("app-2.0", &["lib-1.0", "cc-9", "blob-3", "twin-1.0"], licensed("mit", Some("app"))),
        line("lib-1.0", &["cc-9"], licensed("mit", None)),
        line("twin-1.0", &["cc-9"], licensed("mit", None)),
        line("cc-9", &[], licensed("mit", None)),
        line("blob-3", &["blob-3.tar.gz"], licensed("unfree", None)),
        line("blob-3.tar.gz", &[], json!({"fixedOutput": true})),
    ] {
        lines.line(&text).unwrap();
    }
    lines.finish()
}

fn rules() -> Rules {
    Rules::new(Policy::parse(shipped::DEFAULT_POLICY).unwrap(), Vec::new(), Date::of_unix_time(0))
}

/// A NAR with one file.
fn nar(content: &[u8]) -> Vec<u8> {
    let mut nar = Vec::new();
    let parts: [&[u8]; 7] = [b"nix-archive-1", b"(", b"type", b"regular", b"contents", content, b")"];
    for part in parts {
        nar.extend((part.len() as u64).to_le_bytes());
        nar.extend(part);
        nar.resize(nar.len().next_multiple_of(8), 0);
    }
    nar
}

struct World {
    folder: tempfile::TempDir,
    cache: Cache,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&State::open(folder.path()).unwrap()).await.unwrap();
        Self { folder, cache }
    }

    /// Decides about a path by a license, and publishes it if that permits it; says how large the file is.
    async fn decide(&self, name: &str, license: &str, content: &[u8], references: &[&str]) -> u64 {
        let (path, nar) = (store_path(name), nar(content));
        let nar_hash = NarHash::from_sha256(Sha256::digest(&nar).into());
        let (facts, report) = (LicenseFacts::from_json(&json!({ "license": license })), Report::default());
        let subject = Subject {
            path: &path,
            case: Case::default(),
            nar_hash,
            provenance: Provenance::Output(Some(&facts)),
            report: Some(&report),
            lost: None,
        };
        let decision = decide(&subject, &rules());
        let references = references.iter().map(|name| store_path(name)).collect();
        let record = Record {
            path: path.clone(),
            attr: None,
            output: None,
            deriver: None,
            nar_hash,
            nar_size: nar.len() as u64,
            references,
            license: None,
            verdict: decision.verdict(),
            reasons: decision.reasons().to_vec(),
            policy: "default".to_owned(),
        };
        self.cache.catalog().put(&record).await.unwrap();
        let Some(permit) = decision.permit() else { return 0 };
        let meta = PathMeta { references: record.references, deriver: None, ca: None };
        self.cache.publish(&permit, &meta, || Ok(std::io::Cursor::new(nar))).await.unwrap().file_size
    }

    async fn built(&self, name: &str, seconds: u64) {
        let build = Build {
            derivation: store_path(&format!("{name}.drv")),
            name: name.split_once(':').map_or(name, |(_, name)| name).to_owned(),
            system: "x86_64-linux".to_owned(),
            took: Duration::from_secs(seconds),
            ended: 0,
        };
        self.cache.catalog().put_builds(&[build]).await.unwrap();
    }

    async fn report(&self) -> CostReport {
        let (inventory, rules) = (inventory(), rules());
        let plan = Plan::new(&inventory, &rules, None);
        let wanted = inventory.jobs().iter().map(|(_, node)| *node).collect();
        let catalog = Catalog::open_read_only(&self.folder.path().join("catalog.sqlite")).await.unwrap();
        plan_costs(&plan, wanted, Some(&catalog), None).await.unwrap()
    }
}

#[tokio::test]
async fn an_empty_catalog_knows_nothing() {
    let report = World::new().await.report().await;
    assert_eq!(
        report.origins,
        Origins { catalog: true, unknown: 6, references_unknown: 6, untimed: 5, ..Origins::default() }
    );
    assert_eq!(report.costs.cache.compressed, Tally { known: 0, of: 4, ..Tally::default() });
}

#[tokio::test]
async fn figures_come_from_the_best_source() {
    let world = World::new().await;
    // An earlier version, found by its name; that the newest one counts is told by the order of writing.
    world.decide("1:app-0.9", "mit", &[1; 5000], &[]).await;
    let app = world.decide("2:app-1.0", "mit", b"a short text", &["1:lib-0.8", "2:app-1.0"]).await;
    world.decide("1:lib-0.8", "mit", &[2; 9000], &[]).await;
    // Of exactly these paths all is known; two have the same NAR.
    let lib = world.decide("lib-1.0", "mit", b"a library", &["script"]).await;
    world.decide("twin-1.0", "mit", b"a library", &[]).await;
    // A local file that an output refers to is in the cache as well.
    let script = world.decide("script", "mit", b"a script", &[]).await;
    world.decide("blob-3", "unfree", &[3; 999], &[]).await;
    for (name, seconds) in [("lib-1.0", 5), ("1:lib-0.8", 100), ("1:app-0.9", 10), ("2:app-1.0", 20), ("3:app-1.1", 60)]
    {
        world.built(name, seconds).await;
    }
    let CostReport { costs, origins } = world.report().await;
    assert_eq!((origins.recorded, origins.earlier, origins.unknown), (3, 1, 2), "{origins:?}");
    assert_eq!((origins.timed, origins.timed_by_package, origins.untimed), (1, 1, 3));
    // cc-9 is not known; lib-1.0 and twin-1.0 share a file; app-2.0 is estimated.
    assert_eq!((costs.cache.paths, costs.cache.files), (5, 4));
    assert_eq!(costs.cache.compressed, Tally { sum: app + lib + script, estimated: app, known: 4, of: 5 });
    assert_eq!(costs.cache.upload, Tally { sum: app, estimated: app, known: 1, of: 2 });
    assert_eq!(costs.build.total, Tally { sum: 25_000, estimated: 20_000, known: 2, of: 5 });
    assert_eq!(costs.build.chain, 25_000);
    // The application is fetched, and by the references of its earlier version one library, with the script.
    assert_eq!(costs.user.with_holes.download, Tally { sum: app + lib + script, estimated: app, known: 3, of: 3 });
    assert_eq!(costs.user.with_holes.build.total.of, 0);
}

/// What runs withheld for its bytes is not counted among what is published, but only by the same policy.
#[tokio::test]
async fn earlier_verdicts_count() {
    let world = World::new().await;
    world.decide("lib-1.0", "unfree", b"a library", &[]).await;
    let CostReport { costs, origins } = world.report().await;
    assert_eq!((origins.withheld_before, costs.cache.paths, costs.build_withheld.total.of), (1, 3, 2));
    let mut record = world.cache.catalog().get(&store_path("lib-1.0")).await.unwrap().unwrap();
    record.policy = "another".to_owned();
    world.cache.catalog().put(&record).await.unwrap();
    let CostReport { costs, origins } = world.report().await;
    assert_eq!((origins.withheld_before, costs.cache.paths, costs.build_withheld.total.of), (0, 4, 1));
}

#[test]
fn outputs_are_found_by_names_of_other_versions() {
    let mut lines = Lines::default();
    let names =
        ["gcc-13.2", "gcc-13.2-lib", "gcc-13.2.tar.bz2", "hook", "hook-dev", "source", "1:source", "cc-1", "1:cc-1"];
    for name in names {
        lines.line(&line(name, &[], json!({}))).unwrap();
    }
    let (inventory, rules) = (lines.finish(), rules());
    let plan = Plan::new(&inventory, &rules, None);
    let kinds = Kinds::of(&plan);
    for (name, expected) in [
        ("gcc-12.1", Some("gcc-13.2")),
        ("gcc-12.1-lib", Some("gcc-13.2-lib")),
        ("gcc-12.1-man", None),
        ("gcc-12.tar.bz2", Some("gcc-13.2.tar.bz2")),
        ("gcc-12.tar.xz", None),
        ("gcc-12-source", None),
        ("hook", Some("hook")),
        ("hook-dev", Some("hook-dev")),
        ("gdb-13.2", None),
        ("source", None),
        ("cc-2", Some("cc-1")),
        ("", None),
    ] {
        let found = kinds.find(name).map(|kind| kinds.members[kind as usize][0].0);
        let found = found.and_then(|path| inventory.graph().output_path(path));
        let found = found.map(|path| inventory.graph().output_base_name(path)[33..].to_owned());
        assert_eq!(found.as_deref(), expected, "{name}");
    }
}
