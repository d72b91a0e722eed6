//! The routes, without a listener.

use super::*;
use axum::body::Body;
use http_body_util::BodyExt;
use narthex_cache::{ObjectName, Record};
use narthex_closure::NarHash;
use narthex_policy::{Code, Effect, Evidence, Reason, Source, Verdict};
use std::sync::Mutex;
use tower::ServiceExt;

const HASH: &str = "00000000000000000000000000000000";

/// Everything that a name in the store may have.
const LOGS: [&str; 5] = ["a", "a+b-1.0", "a?b=c", "a_b", "a?b"];

struct Fixture {
    dir: tempfile::TempDir,
    server: Server,
    log: Arc<Mutex<Vec<Served>>>,
}

async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path().join("objects"), dir.path().join("tmp")).unwrap();
    let put = |name: ObjectName, bytes: &[u8]| std::fs::write(folder.path_of(&name), bytes).unwrap();
    put(ObjectName::CacheInfo, b"StoreDir: /nix/store\n");
    put(ObjectName::Nar("1".repeat(52)), b"0123456789");
    put(ObjectName::Withheld(HASH.to_owned()), b"{}\n");
    for name in LOGS {
        put(ObjectName::Log(format!("{HASH}-{name}.drv")), name.as_bytes());
    }
    let catalog = Catalog::open(&dir.path().join("catalog.sqlite")).await.unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let server = Server {
        folder,
        catalog,
        public_keys: vec!["k-1:AAAA".to_owned()],
        url: "http://cache.example".to_owned(),
        log: Arc::new(move |served| seen.lock().unwrap().push(served.clone())),
        limits: Limits::for_open_files(1024),
    };
    Fixture { dir, server, log }
}

impl Fixture {
    async fn ask(&self, method: &str, target: &str, range: Option<&str>) -> (u16, axum::http::HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(target);
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let response = self.server.clone().router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&body).into_owned())
    }
}

#[tokio::test]
async fn objects_are_served_whole_and_in_part() {
    let fixture = fixture().await;
    let nar = format!("/nar/{}.nar.zst", "1".repeat(52));
    let (status, headers, body) = fixture.ask("GET", &nar, None).await;
    assert_eq!((status, body.as_str()), (200, "0123456789"));
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-nix-nar");
    let (status, headers, body) = fixture.ask("GET", &nar, Some("bytes=2-4")).await;
    assert_eq!((status, body.as_str(), headers[header::CONTENT_RANGE].to_str().unwrap()), (206, "234", "bytes 2-4/10"));
    let (status, headers, body) = fixture.ask("HEAD", &nar, None).await;
    assert_eq!((status, body.as_str(), headers[header::CONTENT_LENGTH].to_str().unwrap()), (200, "", "10"));
    assert_eq!(fixture.ask("GET", &nar, Some("bytes=20-30")).await.0, 416);
    assert_eq!(fixture.ask("GET", "/nix-cache-info", None).await.0, 200);
    assert_eq!(fixture.ask("GET", "/healthz", None).await.2, "ok\n");
}

#[tokio::test]
async fn a_withheld_path_is_not_here_and_says_where_the_reason_is() {
    let fixture = fixture().await;
    let (status, headers, _) = fixture.ask("GET", &format!("/{HASH}.narinfo"), None).await;
    assert_eq!(status, 404);
    let link = headers[header::LINK].to_str().unwrap();
    assert!(
        link.starts_with(&format!("</withheld/{HASH}.json>")) && link.contains(&format!("</path/{HASH}>")),
        "{link}"
    );
    let (status, headers, _) = fixture.ask("GET", &format!("/{}.narinfo", "1".repeat(32)), None).await;
    assert_eq!((status, headers.get(header::LINK)), (404, None));
    assert_eq!(fixture.ask("GET", &format!("/withheld/{HASH}.json"), None).await.0, 200);
}

#[tokio::test]
async fn behind_a_path_the_link_leads_there() {
    let mut fixture = fixture().await;
    fixture.server.url = "https://example.org/nix/cache/".to_owned();
    let (_, headers, _) = fixture.ask("GET", &format!("/{HASH}.narinfo"), None).await;
    assert!(headers[header::LINK].to_str().unwrap().starts_with(&format!("</nix/cache/withheld/{HASH}.json>")));
}

/// As every program writes them: raw as Nix does, encoded as browsers and curl may, encoded wherever that is possible.
#[tokio::test]
async fn addresses_are_read_in_every_spelling() {
    let fixture = fixture().await;
    let all = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    for name in LOGS {
        let object = format!("{HASH}-{name}.drv");
        let usual = object.replace('+', "%2B").replace('?', "%3F").replace('=', "%3D");
        for target in [format!("/log/{object}"), format!("/log/{usual}"), format!("/{}", all(&format!("log/{object}")))] {
            let (status, _, body) = fixture.ask("GET", &target, None).await;
            assert_eq!((status, body.as_str()), (200, name), "{target}");
        }
    }
    assert_eq!(fixture.ask("GET", "/nix-cache-info?x=1", None).await.0, 200);
    assert_eq!(fixture.ask("GET", &format!("/log/{HASH}-a.drv?x"), None).await.2, "a");
    assert_eq!(fixture.ask("GET", "/nix%2Dcache%2Dinfo", None).await.0, 200);
    let (status, headers, _) = fixture.ask("GET", &format!("/{HASH}%2enarinfo?x"), None).await;
    assert!(status == 404 && headers.contains_key(header::LINK));
    // Decoded once, and no more.
    for target in [format!("/log/{HASH}-a%252Bb-1.0.drv"), format!("/log/{HASH}-a b.drv"), "/%".to_owned()] {
        assert_eq!(fixture.ask("GET", &target.replace(' ', "%20"), None).await.0, 404, "{target}");
    }
}

#[tokio::test]
async fn nothing_else_can_be_had_or_written() {
    let fixture = fixture().await;
    for target in [
        "/../catalog.sqlite",
        "/keys/1.secret",
        "/nar/..%2f..%2fkeys",
        "/nar/",
        "/withheld/",
        "/%2e%2e%2fcatalog.sqlite",
        "/log/%2e%2e%2f%2e%2e%2fcatalog.sqlite",
        "/log/..%5c..%5ccatalog.sqlite",
        "/log/%2e%2e/x.drv",
        "/nix-cache-info%00",
        "/%00",
        "/%ff%fe",
        "/%2fetc%2fpasswd",
        "/log/00000000000000000000000000000000-a%2f..%2fa.drv",
        "/log/00000000000000000000000000000000-a.drv%00.drv",
        "/withheld/%2e%2e.json",
    ] {
        assert_eq!(fixture.ask("GET", target, None).await.0, 404, "{target}");
    }
    let (status, headers, _) = fixture.ask("PUT", &format!("/{HASH}.narinfo"), None).await;
    assert_eq!((status, headers[header::ALLOW].to_str().unwrap()), (405, "GET, HEAD"));
    let last = fixture.log.lock().unwrap().pop().unwrap();
    assert_eq!((last.method.as_str(), last.status), ("PUT", 405));
}

fn record(hash: &str, verdict: Verdict) -> Record {
    let effect = if verdict == Verdict::Publish { Effect::Publish } else { Effect::Withhold };
    let (code, source) = match verdict {
        Verdict::Publish => (Code::LicenseFree, Source::Declared),
        Verdict::Withhold => (Code::TermsModified, Source::Terms),
    };
    let evidence = Evidence {
        place: "lib/<i>x</i>.so".to_owned(),
        kind: Some("modified-copy".to_owned()),
        original: Some("lib/libcudart.so.12".to_owned()),
        package: Some("cuda_cudart-12.9.79".to_owned()),
        clause: Some("section 9".to_owned()),
        same_sections: vec![".text".to_owned()],
        notes: vec!["<script>alert(1)</script>".to_owned()],
        ..Evidence::default()
    };
    Record {
        path: format!("/nix/store/{hash}-cuda").parse().unwrap(),
        attr: None,
        output: Some("out".to_owned()),
        deriver: None,
        nar_hash: NarHash::from_sha256([0; 32]),
        nar_size: 1_500_000,
        references: [].into(),
        license: Some("<b>evil</b>".to_owned()),
        verdict,
        reasons: vec![Reason {
            code,
            source,
            effect,
            message: "as <em>said</em>".to_owned(),
            evidence: if verdict == Verdict::Publish { vec![] } else { vec![evidence] },
        }],
        policy: "default".to_owned(),
    }
}

#[tokio::test]
async fn the_page_lists_and_escapes() {
    let fixture = fixture().await;
    fixture.server.catalog.put(&record(HASH, Verdict::Withhold)).await.unwrap();
    let (status, _, page) = fixture.ask("GET", "/", None).await;
    assert_eq!(status, 200);
    for part in [
        "0 published, 1 withheld",
        "&lt;b&gt;evil",
        "1.5 MB",
        "terms-modified",
        "k-1:AAAA",
        "extra-substituters = http://cache.example",
        &format!("href=\"./path/{HASH}\""),
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("<b>evil"));
}

#[tokio::test]
async fn each_path_has_a_page_with_its_reasons() {
    let fixture = fixture().await;
    let other = "1".repeat(32);
    fixture.server.catalog.put(&record(HASH, Verdict::Withhold)).await.unwrap();
    fixture.server.catalog.put(&record(&other, Verdict::Publish)).await.unwrap();

    let (status, headers, page) = fixture.ask("GET", &format!("/path/{HASH}"), None).await;
    assert_eq!((status, headers[header::CONTENT_TYPE].to_str().unwrap()), (200, "text/html; charset=utf-8"));
    for part in [
        "cuda: withheld",
        "under the policy “default”",
        "terms-modified",
        "(terms, withholds)",
        "as &lt;em&gt;said",
        // What, where, how sure, which rule.
        "lib/libcudart.so.12 of cuda_cudart-12.9.79",
        "lib/&lt;i&gt;x",
        "certain: ",
        "rule `modified-copy`",
        "clause: section 9",
        "the same: .text",
        &format!("href=\"../withheld/{HASH}.json\""),
        "href=\"../\"",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    for part in ["<script", "<i>", "<em>", "<b>"] {
        assert!(!page.contains(part), "{part} is in {page}");
    }

    let (status, _, page) = fixture.ask("GET", &format!("/path/{other}"), None).await;
    assert_eq!(status, 200);
    assert!(page.contains("cuda: published") && page.contains(&format!("href=\"../{other}.narinfo\"")), "{page}");
    assert_eq!(fixture.ask("HEAD", &format!("/path/{other}"), None).await.0, 200);
    assert_eq!(fixture.ask("PUT", &format!("/path/{other}"), None).await.0, 405);
}

#[tokio::test]
async fn a_path_that_nobody_decided_about_has_no_page() {
    let fixture = fixture().await;
    fixture.server.catalog.put(&record(HASH, Verdict::Withhold)).await.unwrap();
    let (short, upper) = (&HASH[1..], "A".repeat(32));
    for hash in [&"1".repeat(32), short, &format!("{HASH}-cuda"), &upper, "%3Cscript%3E", &"%25".repeat(32), "%00"] {
        let (status, headers, page) = fixture.ask("GET", &format!("/path/{hash}"), None).await;
        assert_eq!(status, 404, "{hash}");
        assert!(headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"), "{hash}");
        assert!(page.contains("Nothing was decided") && !page.contains("<script"), "{page}");
    }
    for target in ["/path", "/path/", "/path/a/b"] {
        assert_eq!(fixture.ask("GET", target, None).await.0, 404, "{target}");
    }
}

/// Where nothing may be written, the pages are the same.
#[tokio::test]
async fn a_catalog_that_is_only_read_has_the_pages_as_well() {
    let mut fixture = fixture().await;
    fixture.server.catalog.put(&record(HASH, Verdict::Withhold)).await.unwrap();
    fixture.server.catalog.close().await;
    let path = fixture.dir.path().join("catalog.sqlite");
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    fixture.server.catalog = Catalog::open_read_only(&path).await.unwrap();
    let (status, _, page) = fixture.ask("GET", &format!("/path/{HASH}"), None).await;
    assert_eq!(status, 200);
    assert!(page.contains("terms-modified"), "{page}");
}
