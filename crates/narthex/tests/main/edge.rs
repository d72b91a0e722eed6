//! The edges to the network: clients that hold the server up, and caches that fail, refuse or lie.

use crate::attack::{Attack, TEXT};
use crate::example::{row, text};
use crate::http::{Serving, answering, get, nginx, nginx_with, web_site};
use crate::world::{Running, Said, Store, World, program, success};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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

/// A daemon that does not trust the user remembers that a path was missing, and takes no setting that says otherwise.
#[test]
fn a_user_whom_the_daemon_does_not_trust_is_told_what_it_remembers() {
    let published = publish();
    for nix in ["2.8", "2.26", "2.34"] {
        let world = World::new(nix);
        let folder = world.folder("objects");
        std::fs::copy(published.state.join("objects/nix-cache-info"), folder.join("nix-cache-info")).unwrap();
        let (_nginx, url) = nginx(&folder, &world.folder("nginx"));
        let (store, state) = (world.empty_store("client"), world.folder("state"));
        // As nix.conf says it to the daemon and to all users.
        let configuration = format!("NIX_CONFIG=trusted-substituters = {url}\ntrusted-public-keys = {}", published.key);
        let daemon = ["env", &configuration, "nix-daemon"];
        let mut daemon = world.enter(&store, &state, &daemon);
        let _daemon = Running(daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let socket = world.dir.path().join("client/var/nix/daemon-socket/socket");
        let since = Instant::now();
        while !socket.exists() {
            assert!(since.elapsed() < Duration::from_secs(60), "the daemon does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        let as_user = |command: &[&str], id: &str| {
            let home = format!("HOME=/tmp/narthex-{}-{id}", world.dir.path().file_name().unwrap().to_str().unwrap());
            let who = [
                "setpriv",
                "--reuid",
                id,
                "--regid",
                id,
                "--clear-groups",
                "env",
                "NIX_REMOTE=daemon",
                &home,
                &configuration,
            ];
            Said::of(world.enter(&store, &state, &[&who[..], command].concat()).output().unwrap())
        };
        let fetch = ["nix-store", "--realise", &published.greeting, "--option", "substituters", &url];
        assert_ne!(as_user(&fetch, "65534").code, Some(0), "it is not there yet");
        success(Command::new("cp").arg("-rT").arg(published.state.join("objects")).arg(&folder).output().unwrap());

        let realise = ["narthex", "realise", "/examples/cuda", "-A", "greeting", "--cache", &url];
        let said = as_user(&realise, "65534").expect(1);
        says(
            &said,
            &[
                "greeting-1.0 could not be fetched",
                "hint: the daemon does not trust this user",
                "counts as missing for an hour",
            ],
        );
        assert!(!said.err.contains("client-specified setting"), "{}", said.err);
        // The way out that is named: somebody whom it trusts fetches the path.
        as_user(&[&fetch[..], &["--option", "narinfo-cache-negative-ttl", "0"]].concat(), "0").expect(0);
        assert_eq!(as_user(&realise, "65534").expect(0).out.trim(), published.greeting, "{nix}");
    }
}
