//! `cargo xtask demo`: from a fresh machine to a cache that serves what may be passed on.

use crate::machine::{cargo, root, run, setup, target};
use crate::{Failure, Outcome, say};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// The example's `broken` package is meant to fail, which `narthex run` tells by exit code 1.
const EXPECTED: i32 = 1;

pub(crate) fn demo(once: bool) -> Outcome {
    setup()?;
    say("building narthex");
    run(&mut cargo(&["build", "--package", "narthex"]))?;
    let program = target().join("debug/narthex");
    let state = target().join("demo");
    say("\n$ narthex run examples/cuda\n");
    let status = Command::new(&program)
        .arg("--state")
        .arg(&state)
        // The example needs nothing of other caches, and works without a network.
        .args(["--option", "substituters", "", "run", "examples/cuda"])
        .current_dir(root())
        .status()
        .map_err(|error| Failure::new(format!("narthex could not be run: {error}")))?;
    if status.code() != Some(EXPECTED) {
        return Err(Failure::new(format!("narthex run ended with {status}; {EXPECTED} was expected, for `broken`")));
    }
    say("\n$ narthex serve\n");
    let mut serving = Command::new(&program);
    serving.arg("--state").arg(&state).arg("serve");
    if once {
        // Any free port, so that a demo beside another one does not fail.
        return check(serving.args(["--listen", "127.0.0.1:0"]));
    }
    // It runs until somebody ends it.
    let ended = serving.status().map_err(|error| Failure::new(format!("narthex serve could not be run: {error}")))?;
    if ended.success() { Ok(()) } else { Err(Failure::new(format!("narthex serve ended with {ended}"))) }
}

/// Waits until the server says where it is, asks for the first page, and stops it.
fn check(serving: &mut Command) -> Outcome {
    let mut child = serving
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::new(format!("narthex serve could not be run: {error}")))?;
    let result = look(&mut child);
    // SIGTERM is what a service manager sends; the server ends cleanly on it.
    let stopped = Command::new("kill").arg(child.id().to_string()).status();
    let ended = child.wait().map_err(|error| Failure::new(error.to_string()))?;
    result?;
    match stopped {
        Ok(status) if status.success() && ended.success() => Ok(()),
        _ => Err(Failure::new(format!("narthex serve did not stop cleanly: {ended}"))),
    }
}

fn look(child: &mut Child) -> Outcome {
    let failed = |error: std::io::Error| Failure::new(format!("the server did not answer: {error}"));
    let mut lines = BufReader::new(child.stdout.take().ok_or_else(|| Failure::new("no output"))?).lines();
    let mut address = None;
    // Address, blank line, heading, two settings.
    for line in lines.by_ref().take(5) {
        let line = line.map_err(failed)?;
        say(if line.is_empty() { " " } else { &line });
        if let Some(url) = line.strip_prefix("serving on http://") {
            address = Some(url.trim_end_matches('/').to_owned());
        }
    }
    let address = address.ok_or_else(|| Failure::new("the server did not say where it is"))?;
    let mut stream = TcpStream::connect(&address).map_err(failed)?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.lines().next() {
        Some(status) if status.contains(" 200 ") => Ok(()),
        other => Err(Failure::new(format!("the first page answered {other:?}"))),
    }
}
