//! Reports about states that are made here: real decisions, real NARs, and what a run leaves behind that was ended.

use narthex_audit::Report;
use narthex_cache::{Cache, Catalog, PathMeta, Record, State};
use narthex_closure::{NarHash, StorePath};
use narthex_farm::{ComplianceReport, Presence, ReportError, TextOrigin, compliance_report, notices};
use narthex_license::LicenseFacts;
use narthex_policy::{Case, Date, Decision, Policy, Provenance, Rules, Subject, Terms, Verdict, decide, shipped};
use nix_archive::nar::{CaseHack, encode_path};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::Cursor;

const TIME: u64 = 1_700_000_000;

struct World {
    _dir: tempfile::TempDir,
    state: State,
}

fn path(name: &str) -> StorePath {
    format!("/nix/store/{}-{name}", "0".repeat(31) + &name[..1]).parse().unwrap()
}

fn nar_of(files: &[(&str, &str)]) -> (Vec<u8>, NarHash) {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let file = dir.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let mut nar = Vec::new();
    encode_path(&mut nar, dir.path(), CaseHack::Disabled).unwrap();
    let hash = NarHash::from_sha256(Sha256::digest(&nar).into());
    (nar, hash)
}

fn decision(path: &StorePath, nar_hash: NarHash, license: &str) -> Decision {
    let facts = LicenseFacts::from_json(&serde_json::json!({ "license": license }));
    let rules = Rules::new(Policy::parse(shipped::DEFAULT_POLICY).unwrap(), vec![], Date::of_unix_time(0));
    let (case, report) = (Case::default(), Report::default());
    let provenance = Provenance::Output(Some(&facts));
    decide(&Subject { path, case, nar_hash, provenance, report: Some(&report), lost: None }, &rules)
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        Self { _dir: dir, state }
    }

    /// Decides about a path and publishes it where it may be.
    async fn add(&self, name: &str, license: &str, references: &[&str], files: &[(&str, &str)]) {
        let (nar, hash) = nar_of(files);
        let path = path(name);
        let decision = decision(&path, hash, license);
        let references: BTreeSet<StorePath> = references.iter().map(|name| self::path(name)).collect();
        let cache = Cache::open(&self.state).await.unwrap();
        let record = Record {
            path: path.clone(),
            attr: None,
            output: Some("out".to_owned()),
            deriver: None,
            nar_hash: hash,
            nar_size: nar.len() as u64,
            references: references.clone(),
            license: Some(LicenseFacts::from_json(&serde_json::json!({ "license": license })).license.to_string()),
            verdict: decision.verdict(),
            reasons: decision.reasons().to_vec(),
            policy: "default".to_owned(),
        };
        cache.catalog().put(&record).await.unwrap();
        match decision.permit() {
            Some(permit) => {
                let meta = PathMeta { references, deriver: None, ca: None };
                cache.publish(&permit, &meta, || Ok(Cursor::new(nar))).await.unwrap();
            }
            None => assert!(!cache.withhold(&record).await.unwrap()),
        }
        cache.catalog().close().await;
    }

    async fn report(&self, roots: &[&str]) -> Result<ComplianceReport, ReportError> {
        let roots: Vec<StorePath> = roots.iter().map(|name| path(name)).collect();
        let terms: Vec<Terms> = shipped::TERMS.iter().map(|(_, text)| Terms::parse(text).unwrap()).collect();
        compliance_report(&self.state, &roots, &terms, TIME).await
    }
}

/// An application that refers to a library under its own license, and to a vendor's.
async fn small() -> World {
    let world = World::new();
    world.add("vendor-2.1", "unfree", &[], &[("lib/secret", "a vendor's bytes"), ("LICENSE", "a vendor's text")]).await;
    let texts = [("share/doc/COPYING", "Copyright one\n"), ("bin/lib", "code"), ("LICENSE", "Copyright two")];
    world.add("lib-1.0", "gpl3Only", &[], &texts).await;
    world.add("app-1.0", "mit", &["lib-1.0", "vendor-2.1", "app-1.0"], &[("bin/app", "code")]).await;
    world.add("copy-1.0", "gpl3Only", &[], &[("LICENSE", "Copyright \n two\n")]).await;
    world
}

fn names(report: &ComplianceReport, places: &[usize]) -> Vec<String> {
    places.iter().map(|place| report.paths[*place].path.name().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_state() {
    let world = small().await;
    let report = world.report(&[]).await.unwrap();
    let all: Vec<usize> = (0..report.paths.len()).collect();
    assert_eq!(names(&report, &all), ["app-1.0", "copy-1.0", "lib-1.0", "vendor-2.1"]);
    let app = &report.paths[0];
    assert_eq!((app.name.as_str(), app.version.as_str(), app.verdict), ("app", "1.0", Verdict::Publish));
    assert!(app.is_published());
    // A reference of a path to itself says nothing.
    assert_eq!(names(&report, &app.references), ["lib-1.0", "vendor-2.1"]);
    assert_eq!(report.paths[3].presence, Presence::Absent);
    assert_eq!(report.holes, [(3, vec![0])]);
    // Nobody audited these, which the report says.
    assert!(report.audits.is_empty() && report.paths.iter().all(|path| path.audited.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_texts_are_those_of_published_packages() {
    let world = small().await;
    let report = world.report(&[]).await.unwrap();
    let notices = notices(&world.state, &report).unwrap();
    let texts: Vec<(TextOrigin, &[u8])> =
        notices.texts.iter().map(|text| (text.origin.clone(), text.bytes.as_slice())).collect();
    let of_package = |name: &str| TextOrigin::Package(name.to_owned());
    assert_eq!(texts[0].0, TextOrigin::Standard("MIT".to_owned()));
    // The same text in another layout is the same text.
    assert_eq!(
        texts[1..],
        [(of_package("LICENSE"), b"Copyright \n two\n".as_slice()), (of_package("COPYING"), b"Copyright one\n")]
    );
    let carried = |place: usize| -> Vec<(&str, usize)> {
        notices.packages[place].carried.iter().map(|carried| (carried.file.as_str(), carried.text)).collect()
    };
    assert_eq!(notices.packages.iter().map(|package| package.path).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((carried(0), &notices.packages[0].standard), (vec![], &vec![0]));
    assert_eq!((carried(1), &notices.packages[1].standard), (vec![("LICENSE", 1)], &vec![]));
    assert_eq!(carried(2), [("LICENSE", 1), ("share/doc/COPYING", 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_and_nothing_else() {
    let world = small().await;
    let report = world.report(&["app-1.0"]).await.unwrap();
    let all: Vec<usize> = (0..report.paths.len()).collect();
    assert_eq!(names(&report, &all), ["app-1.0", "lib-1.0", "vendor-2.1"]);
    assert_eq!((report.roots.as_slice(), report.holes.as_slice()), ([0].as_slice(), [(2, vec![0])].as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_decided_is_an_error() {
    let world = small().await;
    let error = async |roots: &[&str]| world.report(roots).await.unwrap_err().to_string();
    let unknown = path("never-1");
    assert_eq!(error(&["app-1.0", "never-1"]).await, format!("nothing was decided about {unknown}"));
    world.add("zoo-1.0", "mit", &["never-1"], &[("x", "x")]).await;
    assert_eq!(error(&["zoo-1.0"]).await, format!("nothing was decided about {unknown}"));
    assert_eq!(error(&[]).await, format!("nothing was decided about {unknown}"));
    // Another closure has nothing to do with it.
    world.report(&["app-1.0"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_path_without_a_decision_is_an_error() {
    let world = small().await;
    let objects = world.state.objects();
    let stray = "1".repeat(32);
    std::fs::copy(objects.join(format!("{}a.narinfo", "0".repeat(31))), objects.join(format!("{stray}.narinfo")))
        .unwrap();
    let error = world.report(&[]).await.unwrap_err().to_string();
    assert_eq!(error, format!("nothing was decided about {stray}.narinfo"));
    world.report(&["app-1.0"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_what_lies_in_the_folder() {
    let world = small().await;
    let objects = world.state.objects();
    let narinfo = |letter: char| objects.join(format!("{}{letter}.narinfo", "0".repeat(31)));
    // A run that was ended: the decision is withhold, the objects are there.
    let catalog = Catalog::open(&world.state.catalog()).await.unwrap();
    let mut record = catalog.get(&path("lib-1.0")).await.unwrap().unwrap();
    record.verdict = Verdict::Withhold;
    catalog.put(&record).await.unwrap();
    catalog.close().await;
    // And a path that was permitted and never came.
    std::fs::remove_file(narinfo('c')).unwrap();
    let report = world.report(&[]).await.unwrap();
    let presence: Vec<Presence> = report.paths.iter().map(|path| path.presence).collect();
    assert!(matches!(presence[0], Presence::Published(_)));
    assert_eq!(presence[1..], [Presence::Absent, Presence::NotTakenBack, Presence::Absent]);
    // Nothing of either is passed on.
    let notices = notices(&world.state, &report).unwrap();
    assert_eq!(notices.packages.iter().map(|package| package.path).collect::<Vec<_>>(), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_report_has_one_number() {
    let world = small().await;
    let report = world.report(&[]).await.unwrap();
    let again = world.report(&[]).await.unwrap();
    assert_eq!(report.digest("spdx"), again.digest("spdx"));
    assert_ne!(report.digest("spdx"), report.digest("cyclonedx"));
    let later = ComplianceReport { created: TIME + 1, ..again };
    assert_ne!(report.digest("spdx"), later.digest("spdx"));
    assert_ne!(report.digest("spdx"), world.report(&["app-1.0"]).await.unwrap().digest("spdx"));
}
