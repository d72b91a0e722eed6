//! Servers that answer as servers do, and as they should not.

use super::*;
use crate::source::CacheSource;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What a server does with one request after the other; the last one goes for all further ones.
#[derive(Clone)]
enum Reply {
    /// Sends this, and closes.
    Bytes(Vec<u8>),
    /// Sends this, and then a byte now and then, without end.
    Trickle(&'static str),
}

fn whole(head: &str, body: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Reply::Bytes([head.as_bytes(), body].concat())
}

fn raw(text: &str) -> Reply {
    Reply::Bytes(text.as_bytes().to_vec())
}

/// A server, and the heads of the requests that it got.
async fn server(replies: Vec<Reply>) -> (Url, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let reply = {
                let mut seen = seen.lock().unwrap();
                seen.push(String::from_utf8(head).unwrap());
                replies[(seen.len() - 1).min(replies.len() - 1)].clone()
            };
            tokio::spawn(async move {
                match reply {
                    Reply::Bytes(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                        let _ = stream.shutdown().await;
                    }
                    Reply::Trickle(begin) => {
                        let mut next = stream.write_all(begin.as_bytes()).await;
                        while next.is_ok() {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                            next = stream.write_all(b"x").await;
                        }
                    }
                }
            });
        }
    });
    (url, heads)
}

fn connections(settings: &[(&str, &str)]) -> Connections {
    let get = |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Connections::from_settings(&get, None).unwrap()
}

/// What comes of an object of at most 100 bytes: the body, `absent`, the status of a refusal, or the error; and after how
/// many requests.
async fn check(replies: Vec<Reply>, expected: &str, requests: usize) {
    let (url, heads) = server(replies).await;
    let connections = connections(&[]);
    let said = match connections.get(&url, 100).await {
        Ok(Answer::Here(bytes)) => String::from_utf8(bytes).unwrap(),
        Ok(Answer::Absent) => "absent".to_owned(),
        Ok(Answer::Refused(status)) => format!("refused: {}", status.as_u16()),
        Err(error) => error.to_string().replace(&shown(&url), "URL"),
    };
    assert_eq!((said.as_str(), heads.lock().unwrap().len()), (expected, requests));
}

#[tokio::test]
async fn answers_are_what_they_are() {
    check(vec![whole("200 OK", b"here")], "here", 1).await;
    check(vec![whole("404 Not Found", b"")], "absent", 1).await;
    check(vec![whole("410 Gone", b"")], "absent", 1).await;
    check(vec![whole("401 Unauthorized", b"")], "refused: 401", 1).await;
    check(vec![whole("403 Forbidden", b"")], "refused: 403", 1).await;
    check(vec![whole("407 Proxy Authentication Required", b"")], "refused: 407", 1).await;
    check(vec![whole("418 I'm a teapot", b"")], "URL answered 418 I'm a teapot", 1).await;
    check(vec![whole("501 Not Implemented", b"")], "URL answered 501 Not Implemented", 1).await;
    let packed: &[u8] = &[31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 7, 0, 134, 166, 16, 54, 5, 0, 0, 0];
    check(vec![whole("200 OK\r\nContent-Encoding: gzip", packed)], "hello", 1).await;
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let here = || whole("200 OK", b"here");
    check(vec![whole("503 Service Unavailable", b""), here()], "here", 2).await;
    check(
        vec![whole("429 Too Many Requests\r\nRetry-After: 0", b""), whole("502 Bad Gateway", b""), here()],
        "here",
        3,
    )
    .await;
    // Broken off in the head, in the body, and without a word.
    check(vec![raw("HTTP/1.1 200 O"), here()], "here", 2).await;
    check(vec![raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhe"), here()], "here", 2).await;
    let always = Connections { attempts: 2, ..connections(&[]) };
    let (url, heads) = server(vec![raw("garbage\r\n\r\n")]).await;
    assert!(matches!(always.get(&url, 100).await, Err(SourceError::BrokeOff { .. })));
    assert_eq!(heads.lock().unwrap().len(), 2);
    // Who asks for more than a person waits is believed.
    let said = "URL answered 429 Too Many Requests";
    check(vec![whole("429 Too Many Requests\r\nRetry-After: 3600", b""), here()], said, 1).await;
}

#[tokio::test]
async fn answers_have_bounds_in_bytes_and_in_time() {
    check(vec![whole("200 OK", &[b'x'; 101])], "URL answered more than 100 bytes", 1).await;
    let packed = "200 OK\r\nTransfer-Encoding: chunked";
    let endless = format!("HTTP/1.1 {packed}\r\n\r\n{}", "40\r\n".to_owned() + &"x".repeat(64) + "\r\n");
    check(vec![raw(&endless), whole("200 OK", b"here")], "here", 2).await;
    for begin in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nX-A: ", "HTTP/1.1 200 "] {
        let (url, heads) = server(vec![Reply::Trickle(begin)]).await;
        let hasty = Connections { patience: Duration::from_millis(100), ..connections(&[]) };
        assert!(matches!(hasty.get(&url, usize::MAX).await, Err(SourceError::Slow { .. })), "{begin}");
        // It is not tried again.
        assert!(heads.lock().unwrap().len() <= 1);
    }
    let to_itself = || whole("302 Found\r\nLocation: /again", b"");
    check(vec![to_itself()], "URL answered redirects without end", 11).await;
    check(vec![to_itself(), whole("200 OK", b"there")], "there", 2).await;
}

#[tokio::test]
async fn what_is_no_cache_is_told_from_one_that_wants_credentials() {
    let open = async |reply: Reply| {
        let (url, _) = server(vec![reply]).await;
        let text = url.to_string();
        let connections = Connections { attempts: 1, ..connections(&[("netrc-file", "/nowhere/netrc")]) };
        match CacheSource::open(&text, &connections).await {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string().replace(text.trim_end_matches('/'), "URL"),
        }
    };
    assert_eq!(open(whole("200 OK", b"WantMassQuery: 1\nStoreDir: /nix/store\n")).await, "opened");
    let denied = "URL does not let us in: it answered 401 Unauthorized, and there is no /nowhere/netrc";
    assert_eq!(open(whole("401 Unauthorized", b"")).await, denied);
    let denied = "URL does not let us in: it answered 403 Forbidden, and there is no /nowhere/netrc";
    assert_eq!(open(whole("403 Forbidden", b"")).await, denied);
    let none = |why: &str| format!("URL is not a Nix binary cache: {why}");
    assert_eq!(open(whole("404 Not Found", b"")).await, none("it has no nix-cache-info"));
    let portal = b" <!DOCTYPE html><title>Welcome</title>";
    assert_eq!(
        open(whole("200 OK\r\nContent-Type: text/html", portal)).await,
        none("its nix-cache-info is a web page")
    );
    assert_eq!(open(whole("200 OK", b"\xff\x00")).await, none("its nix-cache-info has no StoreDir"));
    assert_eq!(open(whole("200 OK", b"StoreDir: /gnu/store\n")).await, none("it is for the store /gnu/store"));
    let large = open(whole("200 OK", &[b'x'; 70_000])).await;
    assert_eq!(large, "URL/nix-cache-info answered more than 65536 bytes");
}

#[tokio::test]
async fn settings_of_nix_hold() {
    let folder = std::env::temp_dir().join(format!("narthex-client-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let netrc = folder.join("netrc");
    std::fs::write(&netrc, "machine 127.0.0.1 login me password secret\n").unwrap();
    let connections = connections(&[
        ("netrc-file", netrc.to_str().unwrap()),
        ("user-agent-suffix", "of ours"),
        ("stalled-download-timeout", "7"),
        ("download-attempts", "3"),
        ("http-connections", "2"),
        ("ssl-cert-file", ""),
    ]);
    assert_eq!((connections.patience, connections.attempts, connections.at_once()), (Duration::from_secs(7), 3, 2));
    let (url, heads) = server(vec![whole("200 OK", b"here")]).await;
    connections.get(&url, 100).await.unwrap();
    let with_login = Url::parse(&url.as_str().replace("://", "://you:word@")).unwrap();
    connections.get(&with_login, 100).await.unwrap();
    assert_eq!(shown(&with_login), url.as_str().replace("://", "://you:%E2%80%A6@").trim_end_matches('/'));
    {
        let heads = heads.lock().unwrap();
        // me:secret, and you:word.
        assert!(heads[0].to_lowercase().contains("authorization: basic bwu6c2vjcmv0\r\n"), "{}", heads[0]);
        assert!(heads[0].contains(" of ours\r\n"), "{}", heads[0]);
        assert!(heads[1].to_lowercase().contains("authorization: basic ew91ondvcmq=\r\n"), "{}", heads[1]);
    }
    let wrong = folder.join("authorities");
    for (text, why) in [("", "no certificates"), ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "")] {
        std::fs::write(&wrong, text).unwrap();
        let error = Connections::from_settings(&|_| None, Some(&wrong)).unwrap_err().to_string();
        assert!(error.contains("authorities") && error.contains(why), "{error}");
    }
    let error = Connections::from_settings(&|_| None, Some(Path::new("/nowhere"))).unwrap_err().to_string();
    assert!(error.contains("/nowhere"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}
