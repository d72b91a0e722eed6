//! Publishing, withholding and recovery, seen from the folder.

use narthex_audit::Report;
use narthex_cache::{Build, Cache, Catalog, ObjectName, PathMeta, PublishError, Record, State};
use narthex_closure::{NarHash, StorePath};
use narthex_license::LicenseFacts;
use narthex_policy::{Case, Date, Decision, Policy, Provenance, Rules, Subject, Verdict, decide, shipped};
use nix_archive::nar::{CaseHack, encode_path};
use nix_derivation::StoreDir;
use nix_narinfo::{NarInfo, TrustedPublicKey};
use sha2::{Digest, Sha256};
use std::path::Path;

fn path(name: &str) -> StorePath {
    format!("/nix/store/{}-{name}", "0".repeat(31) + &name[..1]).parse().unwrap()
}

fn nar_of(content: &str) -> (Vec<u8>, NarHash) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), content).unwrap();
    let mut nar = Vec::new();
    encode_path(&mut nar, dir.path(), CaseHack::Disabled).unwrap();
    let hash = NarHash::from_sha256(Sha256::digest(&nar).into());
    (nar, hash)
}

fn decision(path: &StorePath, nar_hash: NarHash, license: &str) -> Decision {
    let facts = LicenseFacts::from_json(&serde_json::json!({ "license": license }));
    let rules = Rules::new(Policy::parse(shipped::DEFAULT_POLICY).unwrap(), vec![], Date::of_unix_time(0));
    let report = Report::default();
    decide(
        &Subject {
            path,
            case: Case::default(),
            nar_hash,
            provenance: Provenance::Output(Some(&facts)),
            report: Some(&report),
            lost: None,
            read_withheld: false,
        },
        &rules,
    )
}

fn record(decision: &Decision) -> Record {
    Record {
        path: decision.path().clone(),
        attr: None,
        output: Some("out".to_owned()),
        deriver: None,
        nar_hash: decision.nar_hash(),
        nar_size: 1,
        references: [].into(),
        license: None,
        verdict: decision.verdict(),
        reasons: decision.reasons().to_vec(),
        policy: "default".to_owned(),
    }
}

fn meta() -> PathMeta {
    PathMeta { references: [path("b")].into(), deriver: None, ca: None }
}

async fn publish(cache: &Cache, path: &StorePath, content: &str) -> Result<narthex_cache::Published, PublishError> {
    let (nar, hash) = nar_of(content);
    let permit = decision(path, hash, "mit").permit().unwrap();
    cache.publish(&permit, &meta(), || Ok(std::io::Cursor::new(nar))).await
}

async fn pool(dir: &Path) -> sqlx::SqlitePool {
    sqlx::SqlitePool::connect(&format!("sqlite:{}", dir.join("catalog.sqlite").display())).await.unwrap()
}

async fn open(dir: &Path) -> Cache {
    Cache::open(&State::open(dir).unwrap()).await.unwrap()
}

fn files(dir: &Path, sub: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir.join(sub))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_published_path_is_whole_and_signed_and_published_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    let first = publish(&cache, &path("a"), "hello").await.unwrap();
    assert!(first.uploaded);

    let narinfo = cache.folder().get(&ObjectName::narinfo(&path("a"))).unwrap().unwrap();
    let info = NarInfo::parse_in(&StoreDir::default(), &narinfo).unwrap();
    let key = TrustedPublicKey::parse(&cache.public_keys()[0]).unwrap();
    assert!(info.has_valid_signature(&StoreDir::default(), &[key]));
    let file = std::fs::read(dir.path().join("objects").join(info.url())).unwrap();
    assert_eq!(info.file_size(), Some(file.len() as u64));
    let file_hash: [u8; 32] = Sha256::digest(&file).into();
    assert_eq!(info.file_hash().unwrap().digest_as_bytes(), file_hash);
    let nar_hash: [u8; 32] = Sha256::digest(zstd::decode_all(file.as_slice()).unwrap()).into();
    assert_eq!(info.nar_hash().digest_as_bytes(), nar_hash);

    let again = publish(&cache, &path("a"), "hello").await.unwrap();
    assert_eq!((again.uploaded, again.file_size), (false, first.file_size));
    // A NAR that was lost is uploaded anew: a narinfo alone is not taken for the whole.
    std::fs::remove_file(dir.path().join("objects").join(info.url())).unwrap();
    assert!(publish(&cache, &path("a"), "hello").await.unwrap().uploaded);
}

#[tokio::test]
async fn another_nar_than_the_permitted_one_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    let (_, permitted) = nar_of("harmless");
    let (other, _) = nar_of("vendor bytes");
    let permit = decision(&path("a"), permitted, "mit").permit().unwrap();
    let result = cache.publish(&permit, &meta(), || Ok(std::io::Cursor::new(other))).await;
    assert!(matches!(result, Err(PublishError::Nar { .. })));
    assert_eq!(files(dir.path(), "objects"), ["nix-cache-info"]);
    assert_eq!(files(dir.path(), "objects/nar"), [""; 0]);
    assert_eq!(files(dir.path(), "tmp"), [""; 0]);
}

#[tokio::test]
async fn withholding_takes_back_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    publish(&cache, &path("a"), "same").await.unwrap();
    // Another path with the same bytes shares the NAR, and keeps it.
    publish(&cache, &path("c"), "same").await.unwrap();
    assert_eq!(files(dir.path(), "objects/nar").len(), 1);

    let withheld = decision(&path("a"), nar_of("same").1, "unfree");
    assert_eq!(withheld.verdict(), Verdict::Withhold);
    assert!(cache.withhold(&record(&withheld)).await.unwrap());
    assert!(!cache.withhold(&record(&withheld)).await.unwrap());
    assert_eq!(cache.folder().size(&ObjectName::narinfo(&path("a"))).unwrap(), None);
    assert_eq!(files(dir.path(), "objects/nar").len(), 1);
    let entry = cache.folder().get(&ObjectName::withheld(&path("a"))).unwrap().unwrap();
    assert!(String::from_utf8(entry).unwrap().contains("license-restricted"));

    cache.withhold(&record(&decision(&path("c"), nar_of("same").1, "unfree"))).await.unwrap();
    assert_eq!(files(dir.path(), "objects/nar").len(), 0);
    // Permitted again, the path comes back and its entry goes.
    publish(&cache, &path("a"), "same").await.unwrap();
    assert_eq!(files(dir.path(), "objects/withheld").len(), 1);
}

/// What a process killed between two steps of an upload leaves is removed by the next one.
#[tokio::test]
async fn recovery_removes_a_nar_that_no_narinfo_names() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    publish(&cache, &path("a"), "hello").await.unwrap();
    cache.catalog().close().await;
    let narinfo = dir.path().join("objects").join(ObjectName::narinfo(&path("a")).to_string());
    let pool = pool(dir.path()).await;
    sqlx::query("INSERT INTO pending SELECT hash, nar_file, NULL, 0 FROM objects").execute(&pool).await.unwrap();
    sqlx::query("DELETE FROM objects").execute(&pool).await.unwrap();

    // Killed after the narinfo and before the catalog: the upload is complete.
    let cache = open(dir.path()).await;
    cache.recover().await.unwrap();
    assert!(narinfo.exists());
    assert_eq!(files(dir.path(), "objects/nar").len(), 1);

    // Killed before the narinfo: the NAR goes.
    sqlx::query("INSERT INTO pending SELECT hash, nar_file, NULL, 0 FROM objects").execute(&pool).await.unwrap();
    sqlx::query("DELETE FROM objects").execute(&pool).await.unwrap();
    std::fs::remove_file(&narinfo).unwrap();
    cache.recover().await.unwrap();
    assert_eq!(files(dir.path(), "objects/nar").len(), 0);
    assert!(publish(&cache, &path("a"), "hello").await.unwrap().uploaded);
}

/// Killed while a path is taken back: whatever is still there goes at the next start.
#[tokio::test]
async fn recovery_completes_a_removal() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    publish(&cache, &path("a"), "hello").await.unwrap();
    let pool = pool(dir.path()).await;
    sqlx::query("INSERT INTO pending SELECT hash, nar_file, NULL, 1 FROM objects").execute(&pool).await.unwrap();
    cache.recover().await.unwrap();
    assert_eq!(files(dir.path(), "objects"), ["nix-cache-info"]);
    assert_eq!(files(dir.path(), "objects/nar").len(), 0);
}

/// A catalog that was lost is filled again from the objects, so that shared NARs are still known as such.
#[tokio::test]
async fn a_lost_catalog_is_filled_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    publish(&cache, &path("a"), "same").await.unwrap();
    publish(&cache, &path("c"), "same").await.unwrap();
    cache.catalog().close().await;
    for file in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"] {
        let _ = std::fs::remove_file(dir.path().join(file));
    }
    let cache = open(dir.path()).await;
    cache.recover().await.unwrap();
    cache.withhold(&record(&decision(&path("a"), nar_of("same").1, "unfree"))).await.unwrap();
    assert_eq!(files(dir.path(), "objects/nar").len(), 1);
}

/// Whatever became of the catalog, the folder is brought in order: what nothing names goes, and a NAR that
/// a narinfo names stays.
#[tokio::test]
async fn folder_and_catalog_are_reconciled() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    for name in ["a", "c"] {
        publish(&cache, &path(name), "same").await.unwrap();
    }
    publish(&cache, &path("d"), "other").await.unwrap();
    let pool = pool(dir.path()).await;
    // A backup from before `c` came, and a removal of `d` that ended after its first step.
    sqlx::query("DELETE FROM objects WHERE hash LIKE '%c'").execute(&pool).await.unwrap();
    std::fs::remove_file(dir.path().join("objects").join(ObjectName::narinfo(&path("d")).to_string())).unwrap();
    cache.recover().await.unwrap();
    assert_eq!(files(dir.path(), "objects/nar").len(), 1);
    assert!(cache.withhold(&record(&decision(&path("a"), nar_of("same").1, "unfree"))).await.unwrap());
    assert_eq!(files(dir.path(), "objects/nar").len(), 1, "`c` still has it");
    let listings = files(dir.path(), "objects").into_iter().filter(|name| name.ends_with(".ls")).count();
    assert_eq!(listings, 1);
}

/// With a path goes the log of its build.
#[tokio::test]
async fn a_log_goes_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    let derivation: StorePath = format!("/nix/store/{}-a.drv", "1".repeat(32)).parse().unwrap();
    let (nar, hash) = nar_of("hello");
    let permit = decision(&path("a"), hash, "mit").permit().unwrap();
    cache.put_log(&permit, &derivation, b"compiling").unwrap();
    let meta = PathMeta { deriver: Some(derivation), ..meta() };
    publish(&cache, &path("a"), "an older build").await.unwrap();
    cache.publish(&permit, &meta, || Ok(std::io::Cursor::new(nar))).await.unwrap();
    assert_eq!(files(dir.path(), "objects/log").len(), 1);
    cache.withhold(&record(&decision(&path("a"), hash, "unfree"))).await.unwrap();
    assert_eq!(files(dir.path(), "objects/log").len(), 0);
}

/// A path that was built again, differently: nothing of the old NAR stays.
#[tokio::test]
async fn another_nar_replaces_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    publish(&cache, &path("a"), "first build").await.unwrap();
    assert!(publish(&cache, &path("a"), "second build").await.unwrap().uploaded);
    assert_eq!(files(dir.path(), "objects/nar").len(), 1);
}

#[tokio::test]
async fn a_key_that_comes_later_signs_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    publish(&open(dir.path()).await, &path("a"), "hello").await.unwrap();
    let second = narthex_cache::SecretKey::generate().unwrap();
    std::fs::write(dir.path().join("keys/2.secret"), second.to_secret_text()).unwrap();
    let cache = open(dir.path()).await;
    assert!(!publish(&cache, &path("a"), "hello").await.unwrap().uploaded);
    let narinfo = cache.folder().get(&ObjectName::narinfo(&path("a"))).unwrap().unwrap();
    let info = NarInfo::parse_in(&StoreDir::default(), &narinfo).unwrap();
    for key in cache.public_keys() {
        assert!(info.has_valid_signature(&StoreDir::default(), &[TrustedPublicKey::parse(&key).unwrap()]), "{key}");
    }
    assert_eq!(info.signatures().len(), 2);
}

#[tokio::test]
async fn the_catalog_gives_back_what_was_put() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    let record = record(&decision(&path("a"), nar_of("x").1, "unfree"));
    cache.catalog().put(&record).await.unwrap();
    assert_eq!(cache.catalog().get(&path("a")).await.unwrap(), Some(record.clone()));
    assert_eq!(cache.catalog().all().await.unwrap(), [record]);
    assert_eq!(cache.catalog().get(&path("b")).await.unwrap(), None);
}

/// A closed catalog may be removed, or replaced by another one: no connection ends later and removes its files.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_closed_holds_nothing_open() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("catalog.sqlite");
    let held = || {
        let links =
            std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        links.filter(|file| file.starts_with(dir.path())).count()
    };
    for round in 0..20 {
        let catalog = Catalog::open(&at).await.unwrap();
        // Connections that are on their way back when it closes, and one of a question that nobody waits for.
        let asked: Vec<_> = (0..8)
            .map(|_| {
                let catalog = catalog.clone();
                tokio::spawn(async move { catalog.all().await.map(|_| ()) })
            })
            .collect();
        let (one, two) = (path("a"), path("c"));
        let _ = tokio::join!(catalog.get(&one), catalog.get(&two));
        catalog.close().await;
        assert_eq!(held(), 0, "round {round}");
        for asked in asked {
            // Asked too late is an error of its own.
            let _ = asked.await.unwrap();
        }
        assert_eq!(held(), 0, "round {round}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_catalog_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("catalog.sqlite"), "this is not a database, whatever its name says".repeat(40))
        .unwrap();
    let Err(error) = Cache::open(&State::open(dir.path()).unwrap()).await else { panic!("it was taken") };
    assert!(error.to_string().contains("catalog.sqlite"), "{error}");
}

/// What costs are estimated by: the newest row comes last, and a catalog of an earlier version has no times.
#[tokio::test]
async fn sizes_and_times_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).await;
    for name in ["a", "c"] {
        let file_size = publish(&cache, &path(name), "same").await.unwrap().file_size;
        cache.catalog().put(&record(&decision(&path(name), nar_of("same").1, "mit"))).await.unwrap();
        assert!(file_size > 0);
    }
    cache.catalog().put(&record(&decision(&path("d"), nar_of("closed").1, "unfree"))).await.unwrap();
    let mut changed = record(&decision(&path("a"), nar_of("same").1, "mit"));
    changed.references.clear();
    cache.catalog().put(&changed).await.unwrap();
    let build = |seconds| Build {
        derivation: path("a.drv"),
        name: "a-1.0".to_owned(),
        system: "x86_64-linux".to_owned(),
        took: std::time::Duration::from_millis(seconds),
        ended: 1,
    };
    cache.catalog().put_builds(&[build(7)]).await.unwrap();
    cache.catalog().put_builds(&[build(9)]).await.unwrap();
    cache.catalog().close().await;

    let read = || async { Catalog::open_read_only(&dir.path().join("catalog.sqlite")).await.unwrap() };
    let (catalog, mut seen, mut files) = (read().await, Vec::new(), Vec::new());
    let all = catalog.known_outputs(|row| {
        seen.push((row.path.to_owned(), row.withheld, row.nar_size));
        files.extend(row.file.map(|(name, _)| name.to_owned()));
    });
    all.await.unwrap();
    let expected = [("c", false), ("d", true), ("a", false)];
    assert_eq!(seen, expected.map(|(name, withheld)| (path(name).to_basename(), withheld, Some(1))));
    assert_eq!((files.len(), &files[0]), (2, &files[1]));
    let (d, mut among) = (path("d").to_basename(), 0);
    catalog.known_outputs_among(&[&d, "absent"], |row| among += usize::from(row.path == d)).await.unwrap();
    assert_eq!(among, 1);

    let mut times = Vec::new();
    catalog.builds(|drv, package, took| times.push((drv.to_owned(), package.to_owned(), took))).await.unwrap();
    assert_eq!(times, [(path("a.drv").to_basename(), "a".to_owned(), 9)]);
    sqlx::query("DROP TABLE builds").execute(&pool(dir.path()).await).await.unwrap();
    read().await.builds(|_, _, _| panic!("there are none")).await.unwrap();
}

/// Of a path that is itself a file, what scanners say may go by its name: another path with the same bytes and another name has a
/// report of its own. All other paths share theirs.
#[tokio::test]
async fn reports_of_files_are_kept_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let cache = Cache::open(&state).await.unwrap();
    let (_, hash) = nar_of("bytes");
    let catalog = cache.catalog();
    catalog.put_audit(hash, "plain.bin", "corpus", 1, "of plain.bin").await.unwrap();
    let found = async |name: &str| catalog.audit(hash, name, "corpus", 1).await.unwrap();
    assert_eq!(found("plain.bin").await.as_deref(), Some("of plain.bin"));
    assert_eq!(found("libcuda.so.1").await, None);
    catalog.put_audit(hash, "libcuda.so.1", "corpus", 1, "of libcuda").await.unwrap();
    assert_eq!(found("plain.bin").await.as_deref(), Some("of plain.bin"));
    assert_eq!(found("libcuda.so.1").await.as_deref(), Some("of libcuda"));
    // What was published under a name counts as audited by the report of that name alone.
    for name in ["plain.bin", "small.bin"] {
        catalog.put(&record(&decision(&path(name), hash, "mit"))).await.unwrap();
    }
    let before = async || catalog.published_before("corpus", 1, &[]).await.unwrap();
    let names: Vec<String> = before().await.iter().map(|record| record.path.name().to_owned()).collect();
    assert_eq!(names, ["small.bin"]);
    catalog.put_audit(hash, "", "corpus", 1, "of a folder").await.unwrap();
    assert!(before().await.is_empty());
}
