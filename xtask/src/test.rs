//! `cargo xtask test`: everything that must hold before a change lands, with the time of each part.

use crate::machine::{cargo, run, setup, setup_tests};
use crate::{Outcome, say, tidy, worlds};
use std::time::{Duration, Instant};

pub(crate) fn test() -> Outcome {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let mut part = |name: &'static str, work: &dyn Fn() -> Outcome| {
        say(&format!("\n== {name}"));
        let since = Instant::now();
        let result = work();
        times.push((name, since.elapsed()));
        result
    };
    let result = (|| {
        part("setup", &|| setup().and_then(|()| setup_tests()).and_then(|()| nextest()))?;
        part("worlds", &worlds::make)?;
        part("tidy", &tidy::tidy)?;
        part("build", &|| run(&mut cargo(&["build", "--workspace", "--all-targets"])))?;
        part("doc tests", &|| run(&mut cargo(&["test", "--quiet", "--doc", "--workspace"])))?;
        part("tests", &|| run(&mut cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])))
    })();
    say("\n== times");
    for (name, took) in &times {
        say(&format!("{name:9} {:7.1} s", took.as_secs_f64()));
    }
    result
}

/// The test runner, built from the crates registry where it is missing.
fn nextest() -> Outcome {
    if run(cargo(&["nextest", "--version"]).stdout(std::process::Stdio::null())).is_ok() {
        return Ok(());
    }
    say("installing cargo-nextest");
    run(&mut cargo(&["install", "--locked", "cargo-nextest"]))
}
