//! The edges to the network: clients that hold the server up, and caches that fail, refuse or lie.

use crate::attack::{Attack, TEXT};
use crate::example::{row, text};
use crate::http::{Serving, answering, get, nginx, nginx_with, web_site};
use crate::world::{Running, Said, Store, World, listening, program, success};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// `greeting` and `host-coreutils`, published; and the key.
struct Published {
    /// Its folder goes with it.
    world: World,
    state: PathBuf,
    greeting: String,
    key: String,
}

fn publish() -> Published {
    let world = World::new("2.8");
    let (store, state) = (world.empty_store("publisher"), world.folder("published"));
    let said =
        world.narthex(&store, &state, &["run", "/examples/cuda", "-A", "greeting", "--format", "json"]).expect(0);
    let greeting = text(row(&said.rows(), "greeting", "out"), "path").to_owned();
    let serving = Serving::start(&state, world.dir.path().join("requests"));
    Published { state, greeting, key: serving.public_key.clone(), world }
}

fn realise(world: &World, store: &Store, cache: &str, more: &[&str]) -> Said {
    let state = world.folder("state");
    world.narthex(store, &state, &[&["realise", "/examples/cuda", "-A", "greeting", "--cache", cache], more].concat())
}

#[track_caller]
fn says(said: &Said, parts: &[&str]) {
    for part in parts {
        assert!(said.err.contains(part), "`{part}` is not in\n{}\n{}", said.err, said.out);
    }
}

/// More half-sent requests and idle connections than the server may have files, and it goes on answering.
#[test]
fn half_sent_requests_do_not_stop_the_server() {
    let published = publish();
    let serve = format!(
        "ulimit -n 256; exec {} --state {} serve --listen 127.0.0.1:0",
        program().display(),
        published.state.display()
    );
    let child = Command::new("sh").args(["-c", &serve]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut process = Running(child);
    let first = BufReader::new(process.0.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let url = first.strip_prefix("serving on ").unwrap().trim_end_matches('/').to_owned();
    let mut held = Vec::new();
    for round in 0..3 {
        for number in 0..200 {
            let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
            let sent = if number % 2 == 0 { "" } else { "GET /nix-cache-info HTTP/1.1\r\nHost:" };
            stream.write_all(sent.as_bytes()).unwrap();
            held.push(stream);
        }
        assert_eq!(get(&url, "/nix-cache-info").0, 200, "round {round}");
    }
}

/// Names of the store may have characters that mean something in addresses. Nix itself asks for the logs.
#[test]
fn logs_and_paths_with_every_character_can_be_had() {
    let names = ["a+b-1.0", "c?d=e", "f_g.h", "+"];
    let attack = Attack::new();
    let rows = |name: &str| format!("\"{name}\" = text \"{name}\" licenses.mit;");
    let set = format!("let {TEXT} in {{ {} }}", names.map(rows).concat())
        .replace("echo ${name} >", "echo \"built ${name}\"; echo ${name} >");
    let published = attack.run("state", &set, &[]).expect(0).rows();
    let state = attack.state("state");
    let serving = Serving::start(&state, attack.world.dir.path().join("requests"));
    let work = attack.world.folder("nginx");
    let (_nginx, nginx) = nginx(&state.join("objects"), &work);
    let set = std::fs::read(attack.world.extra().join("set.nix")).unwrap();
    for nix in ["2.8", "2.26", "2.34"] {
        let world = World::new(nix);
        std::fs::write(world.extra().join("set.nix"), &set).unwrap();
        let (store, state) = (world.store("client"), world.folder("state"));
        let run = |command: &[&str]| world.enter(&store, &state, command).output().unwrap();
        // Nix gives logs of what it knows, and looks for derivations under plain names only.
        let known = success(run(&["nix-instantiate", "-E", "builtins.attrValues (import /extra/set.nix)"]));
        let option = ["--option", "substituters", &serving.url, "--option", "trusted-public-keys", &serving.public_key];
        for name in names {
            let row = published.iter().find(|row| row["name"] == format!("{name}-1")).unwrap();
            let (path, deriver) = (text(row, "path"), text(row, "deriver"));
            assert!(known.contains(deriver), "{nix}: {deriver} is none of\n{known}");
            let log = ["nix", "--extra-experimental-features", "nix-command", "log", deriver];
            let said = success(run(&[&log[..], &option].concat()));
            assert!(said.contains(&format!("built {name}")), "{nix} {name}: {said}");
            // A server without us takes a `?` that Nix does not encode for the beginning of a query.
            if !name.contains('?') {
                let other = ["--option", "substituters", &nginx];
                assert_eq!(success(run(&[&log[..], &other].concat())), said, "{nix} {name}");
            }
            success(run(&[&["nix-store", "--realise", path], &option[..]].concat()));
        }
        let plan = world.narthex(
            &world.store("other"),
            &world.folder("other-state"),
            &[
                "realise",
                "/extra/set.nix",
                "-A",
                "\"c?d=e\"",
                "--cache",
                &serving.url,
                "--public-key",
                &serving.public_key,
            ],
        );
        assert!(plan.expect(0).out.contains("c?d=e-1"), "{nix}");
    }
}

/// A cache behind a password and an authority of its own, which only Nix's configuration knows.
#[test]
fn what_nix_has_configured_for_connections_holds() {
    let published = publish();
    let work = published.world.folder("tls");
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(&work).output();
        success(output.expect("openssl is installed"));
    };
    std::fs::write(work.join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=authority");
    openssl("req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=127.0.0.1");
    openssl("x509 -req -in own.csr -CA ca.pem -CAkey ca.key -out own.pem -days 30 -extfile names -set_serial 1");
    std::fs::write(work.join("users"), "me:{PLAIN}secret\n").unwrap();
    let work_path = work.display();
    let more = format!(
        "ssl_certificate {work_path}/own.pem; ssl_certificate_key {work_path}/own.key; auth_basic cache; auth_basic_user_file {work_path}/users;"
    );
    let (_nginx, url) = nginx_with(&published.state.join("objects"), &work, "ssl", &more);
    for nix in ["2.8", "2.26", "2.34"] {
        let world = World::new(nix);
        let store = world.empty_store("client");
        std::fs::copy(work.join("ca.pem"), world.extra().join("ca.pem")).unwrap();
        let key = ["--public-key", published.key.as_str()];
        let realise = |more: &[&str]| {
            // Nix knows the setting from 2.19 on, and the variable always.
            let state = world.folder("state");
            let command =
                ["narthex", "--state", "/state", "realise", "/examples/cuda", "-A", "greeting", "--cache", &url];
            let environment = ["env", "NIX_SSL_CERT_FILE=/extra/ca.pem"];
            let command = [&environment[..], &command, &key, more].concat();
            Said::of(world.enter(&store, &state, &command).output().unwrap())
        };
        let unknown = world.narthex(
            &store,
            &world.folder("state"),
            &["realise", "/examples/cuda", "-A", "greeting", "--cache", &url],
        );
        says(&unknown.expect(1), &["cannot be reached", "hint: ", "certificates"]);
        let netrc = ["--option", "netrc-file", "/extra/netrc"];
        let said = realise(&netrc).expect(1);
        says(
            &said,
            &["does not let us in: it answered 401", "there is no /extra/netrc", "hint: ", "machine HOST login NAME"],
        );
        std::fs::write(world.extra().join("netrc"), "machine 127.0.0.1 login me password wrong\n").unwrap();
        says(&realise(&netrc).expect(1), &["does not let us in: it answered 401"]);
        std::fs::write(world.extra().join("netrc"), "machine 127.0.0.1 login me password secret\n").unwrap();
        let said = realise(&netrc).expect(0);
        assert_eq!(said.out.trim(), published.greeting, "{nix}");
        assert!(!said.err.contains("secret"), "{}", said.err);
    }
}

/// Substituters of Nix's own that answer everything but what they should: each is named, and what the named cache has
/// arrives all the same.
#[test]
fn substituters_that_fail_are_named_and_the_others_go_on() {
    let published = publish();
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for nix in ["2.8", "2.26", "2.34"] {
        let world = World::new(nix);
        let work = world.folder("nginx");
        let (_nginx, good) = nginx(&published.state.join("objects"), &work);
        let info = "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 1\n";
        let begins_well = |then: &'static str| {
            move |target: &str| if target == "/nix-cache-info" { info.to_owned() } else { then.to_owned() }
        };
        let portal = web_site();
        let broken = answering("502 Bad Gateway", |_| "x".to_owned());
        let refuses = answering("401 Unauthorized", |_| String::new());
        let page = answering("200 OK", begins_well("<html>log in</html>"));
        let garbage = answering("200 OK", begins_well("StorePath: x\n"));
        let all = [&portal, &broken, &refuses, &page, &garbage, &gone];
        let setting = all.map(String::as_str).join(" ");
        let quick = ["--option", "download-attempts", "1", "--public-key", &published.key];
        let more = [&["--option", "substituters", &setting], &quick[..]].concat();
        let store = world.empty_store("client");
        // Those that begin well are asked after the named cache, which has everything.
        let said = realise(&world, &store, &good, &more).expect(0);
        assert_eq!(said.out.trim(), published.greeting, "{nix}");
        says(&said, &["its nix-cache-info is a web page", "answered 502 Bad Gateway", "answered 401", &gone]);

        // Named themselves, they are told apart.
        let named = |url: &str| realise(&world, &world.empty_store("other"), url, &quick).expect(1);
        says(&named(&page), &["a web page instead of a narinfo", "hint: "]);
        says(&named(&garbage), &["a narinfo that cannot be read", "hint: "]);
        says(&named(&broken), &["nix-cache-info answered 502 Bad Gateway", "hint: "]);
        says(&named(&refuses), &["does not let us in", "hint: the cache wants credentials"]);
        says(&named(&gone), &["cannot be reached", "hint: make sure that the server runs"]);
        // With one that works beside it, even the named one does no harm.
        let beside = [&["--option", "substituters", good.as_str()], &quick[..]].concat();
        let said = realise(&world, &world.empty_store("third"), &garbage, &beside).expect(0);
        assert_eq!(said.out.trim(), published.greeting, "{nix}");
    }
}

/// A NAR that is cut short is something that did not arrive: no build failed, and what else there is arrives.
#[test]
fn what_did_not_arrive_is_no_failed_build() {
    let published = publish();
    let objects = published.state.join("objects");
    let narinfo = |path: &str| std::fs::read_to_string(objects.join(format!("{}.narinfo", &path[11..43]))).unwrap();
    let url =
        narinfo(&published.greeting).lines().find_map(|line| line.strip_prefix("URL: ").map(str::to_owned)).unwrap();
    for nix in ["2.8", "2.26", "2.34"] {
        let world = World::new(nix);
        let folder = world.folder("objects");
        success(Command::new("cp").arg("-rT").arg(&objects).arg(&folder).output().unwrap());
        let nar = std::fs::read(folder.join(&url)).unwrap();
        std::fs::write(folder.join(&url), &nar[..nar.len() / 2]).unwrap();
        let (_nginx, cut) = nginx(&folder, &world.folder("nginx"));
        let store = world.empty_store("client");
        let key = ["--public-key", published.key.as_str(), "--option", "download-attempts", "1"];
        let said = realise(&world, &store, &cut, &key).expect(1);
        says(
            &said,
            &["error: greeting-1.0 could not be fetched", "hint: what the cache sent is not what its narinfo says"],
        );
        assert!(
            !said.err.contains("could not be built") && !said.err.contains("do what the log asks for"),
            "{}",
            said.err
        );
        // Another cache that has it whole is asked by Nix.
        let (_whole, whole) = nginx(&objects, &world.folder("nginx-whole"));
        let beside = [&key[..], &["--option", "substituters", &whole]].concat();
        assert_eq!(realise(&world, &store, &cut, &beside).expect(0).out.trim(), published.greeting, "{nix}");
    }
}

/// A daemon that does not trust the user remembers that a path was missing, and takes no setting that says otherwise. Each way
/// out that is named leads out.
#[test]
fn a_user_whom_the_daemon_does_not_trust_is_told_what_it_remembers() {
    let published = publish();
    for nix in ["2.8", "2.26", "2.34"] {
        for way in ["an administrator fetches it", "narinfo-cache-negative-ttl = 0", "trusted-users = nobody"] {
            remembered_as_missing(&published, nix, way);
        }
    }
}

fn remembered_as_missing(published: &Published, nix: &str, way: &str) {
    let world = World::new(nix);
    let folder = world.folder("objects");
    std::fs::copy(published.state.join("objects/nix-cache-info"), folder.join("nix-cache-info")).unwrap();
    let (_nginx, url) = nginx(&folder, &world.folder("nginx"));
    let (store, state) = (world.empty_store("client"), world.folder("state"));
    // As nix.conf says it to the daemon and to all users.
    let usual = format!("NIX_CONFIG=trusted-substituters = {url}\ntrusted-public-keys = {}", published.key);
    let daemon = |configuration: &str| {
        listening(world.enter(&store, &state, &["env", configuration, "nix-daemon"]), &world, "client")
    };
    let running = daemon(&usual);
    let as_user = |command: &[&str], id: &str| {
        let home = format!("HOME=/tmp/narthex-{}-{id}", world.dir.path().file_name().unwrap().to_str().unwrap());
        let who =
            ["setpriv", "--reuid", id, "--regid", id, "--clear-groups", "env", "NIX_REMOTE=daemon", &home, &usual];
        Said::of(world.enter(&store, &state, &[&who[..], command].concat()).output().unwrap())
    };
    let fetch = ["nix-store", "--realise", &published.greeting, "--option", "substituters", &url];
    assert_ne!(as_user(&fetch, "65534").code, Some(0), "it is not there yet");
    success(Command::new("cp").arg("-rT").arg(published.state.join("objects")).arg(&folder).output().unwrap());

    let realise = ["narthex", "realise", "/examples/cuda", "-A", "greeting", "--cache", &url];
    let said = as_user(&realise, "65534").expect(1);
    let told = [
        "greeting-1.0 could not be fetched",
        "hint: the daemon does not trust this user",
        "counts as missing for an hour",
        "narinfo-cache-negative-ttl = 0",
        "trusted-users",
    ];
    says(&said, &told);
    assert!(!said.err.contains("client-specified setting"), "{}", said.err);
    let _running = if way.contains(" = ") {
        drop(running);
        daemon(&format!("{usual}\n{way}"))
    } else {
        as_user(&[&fetch[..], &["--option", "narinfo-cache-negative-ttl", "0"]].concat(), "0").expect(0);
        running
    };
    assert_eq!(as_user(&realise, "65534").expect(0).out.trim(), published.greeting, "{nix}: {way}");
}

/// The proxies that the environment names, as Nix has them: what both ask for goes there.
#[test]
fn proxies_of_the_environment_are_used() {
    let published = publish();
    let (_nginx, upstream) = nginx(&published.state.join("objects"), &published.world.folder("nginx"));
    let upstream = upstream.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    for nix in ["2.8", "2.26", "2.34"] {
        let world = World::new(nix);
        let fetch = |environment: &str, store: &str| {
            let (store, state) = (world.empty_store(store), world.folder("state"));
            let realise =
                ["narthex", "realise", "/examples/cuda", "-A", "greeting", "--cache", "http://cache.invalid/"];
            let more = ["--public-key", &published.key, "--option", "download-attempts", "1"];
            let command = [&["env", environment] as &[&str], &realise, &more].concat();
            Said::of(world.enter(&store, &state, &command).output().unwrap())
        };
        // Nobody finds such a host: that is said.
        let said = fetch("X=", "none").expect(1);
        says(&said, &["http://cache.invalid cannot be reached", "dns error", "hint: make sure that the server runs"]);
        for (variable, scheme) in [("http_proxy", "http"), ("all_proxy", "socks5h")] {
            let (address, seen) = proxy(upstream.clone());
            let said = fetch(&format!("{variable}={scheme}://{address}"), variable).expect(0);
            assert_eq!(said.out.trim(), published.greeting, "{nix}, {variable}");
            let seen = seen.lock().unwrap();
            assert!(seen.iter().all(|host| host.contains("cache.invalid")), "{nix}, {variable}: {seen:?}");
            assert!(seen.len() > 1, "{nix}, {variable}: Nix asks as well: {seen:?}");
            // A proxy that is not there is named by its own error, and not as a cache that is none.
            let gone = format!("{variable}={scheme}://127.0.0.1:9");
            says(&fetch(&gone, "gone").expect(1), &["cannot be reached", "proxies, certificates"]);
        }
    }
}

/// A cache that ends connections in the middle is told from one that is not there.
#[test]
fn connections_that_are_reset_are_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // With what was not read, the system ends the connection by a reset.
            let _ = stream.peek(&mut [0]);
        }
    });
    let world = World::new("2.34");
    let more = ["--option", "download-attempts", "1"];
    let said = realise(&world, &world.empty_store("client"), &url, &more).expect(1);
    says(
        &said,
        &[&url, "gave no whole answer", "Connection reset", "hint: try again later, or ask whoever keeps the cache"],
    );
}

/// A proxy, HTTP or SOCKS as its clients speak, that leads everything to one server; and what it was asked for.
fn proxy(upstream: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (upstream, noted) = (upstream.clone(), Arc::clone(&noted));
            std::thread::spawn(move || led(stream, &upstream, &noted));
        }
    });
    (address, seen)
}

fn led(mut client: TcpStream, upstream: &str, noted: &Mutex<Vec<String>>) -> Option<()> {
    let mut first = [0];
    client.read_exact(&mut first).ok()?;
    let mut server = TcpStream::connect(upstream).ok()?;
    if first[0] == 5 {
        // Methods, and then the request: version, command, reserved, kind of address (a name), the name, the port.
        let mut count = [0];
        client.read_exact(&mut count).ok()?;
        client.read_exact(&mut vec![0; usize::from(count[0])]).ok()?;
        client.write_all(&[5, 0]).ok()?;
        let mut head = [0; 5];
        client.read_exact(&mut head).ok()?;
        let mut rest = vec![0; usize::from(head[4]) + 2];
        client.read_exact(&mut rest).ok()?;
        noted.lock().unwrap().push(String::from_utf8_lossy(&rest[..rest.len() - 2]).into_owned());
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
        let mut back = (server.try_clone().ok()?, client.try_clone().ok()?);
        std::thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
        std::io::copy(&mut client, &mut server).ok()?;
        return Some(());
    }
    let mut head = first.to_vec();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1)?.to_owned();
    let path = target.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| rest[at..].to_owned()))?;
    noted.lock().unwrap().push(target);
    let method = head.split(' ').next()?;
    write!(server, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    std::io::copy(&mut server, &mut client).ok()?;
    Some(())
}

/// Systems begin with a small limit of open files; the server takes what it may have.
#[test]
fn the_server_takes_the_files_that_it_may_have() {
    let published = publish();
    let serve = format!(
        "ulimit -S -n 64; exec {} --state {} serve --listen 127.0.0.1:0",
        program().display(),
        published.state.display()
    );
    let child = Command::new("sh").args(["-c", &serve]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut process = Running(child);
    let first = BufReader::new(process.0.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(first.starts_with("serving on "), "{first}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.0.id())).unwrap();
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let numbers: Vec<&str> = row.split_whitespace().take(2).collect();
    assert!(numbers[0] == numbers[1] && numbers[0] != "64", "{row}");
}
