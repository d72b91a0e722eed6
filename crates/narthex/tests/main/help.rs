//! What the program says of itself.

use crate::world::{Said, program};
use std::process::Command;

fn narthex(arguments: &[&str]) -> Said {
    Said::of(Command::new(program()).args(arguments).env("COLUMNS", "100").output().unwrap())
}

#[test]
fn help_of_every_command() {
    let mut text = narthex(&["--help"]).expect(0).out;
    for command in ["run", "plan", "eval", "why", "report", "audit", "corpus", "serve", "realise"] {
        text.push_str(&format!("\n---- {command}\n{}", narthex(&[command, "--help"]).expect(0).out));
    }
    for part in ["review", "decide"] {
        text.push_str(&format!("\n---- policy {part}\n{}", narthex(&["policy", part, "--help"]).expect(0).out));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for arguments in [&["frobnicate"] as &[&str], &["run"], &["realise", "x"], &["run", "x", "--format", "xml"], &[]] {
        assert_eq!(narthex(arguments).code, Some(2), "{arguments:?}");
    }
}
