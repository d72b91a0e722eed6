//! `cargo xtask bench plan`: how long a plan takes from lines of text, and how that grows.

use super::catalog::{failing, million, walker};
use super::folder;
use super::measure::{peak, take_turns};
use crate::machine::{cargo, install, needed, root, run, target, write};
use crate::{Failure, Outcome, say};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TURNS: usize = 5;
const SMALL: usize = 10_000;
const LARGE: usize = 1_000_000;

/// Measures, and writes a page below `target/bench`.
pub(crate) fn plan() -> Outcome {
    install(&[
        needed("zstd", "zstd"),
        needed("jq", "jq"),
        needed("time", "time"),
        needed("sqlite3", "sqlite3"),
        needed("nix-instantiate", "nix-bin"),
    ])?;
    run(&mut cargo(&["build", "--release", "--package", "narthex"]))?;
    let program = target().join("release/narthex");
    let data = root().join("crates/farm/tests/data");
    let files = [data.join("nixpkgs-jobs.jsonl.zst"), data.join("nixpkgs-graph.jsonl.zst")];
    let mut page = String::from(
        "## Licenses, plans and questions\n\nMade by `cargo xtask bench plan`. Of each command the fastest of five turns counts, in turns with the other one of its \
         line.\n\n| what | measured | goal |\n| --- | --- | --- |\n",
    );
    for (format, note) in [("table", "groups and counts"), ("json", "one object a derivation")] {
        let turns = take_turns(TURNS, &mut planning(&program, &files, format), &mut jq(&files))?;
        let _ = writeln!(
            page,
            "| 18,064 derivations of nixpkgs, {note} | {:.3} s | ≤ 0.5 s |\n| the same, against `zstd -dc` and `jq -c .` \
             ({:.3} s) | {:.2} | ≤ 0.5 |",
            turns.first,
            turns.second,
            turns.first / turns.second
        );
    }
    let small = [synthetic(SMALL)?];
    let large = [synthetic(LARGE)?];
    let turns = take_turns(TURNS, &mut planning(&program, &large, "table"), &mut planning(&program, &small, "table"))?;
    let growth = turns.first / turns.second / (LARGE / SMALL) as f64;
    let memory = peak(&mut planning(&program, &large, "table"))?;
    let _ = writeln!(page, "| 1,000,000 derivations, 10,000,000 edges | {:.2} s | ≤ 10 s |", turns.first);
    let _ = writeln!(page, "| the same, memory | {memory:.0} MB | ≤ 2,000 MB |");
    let _ = writeln!(page, "| 10,000 derivations of the same shape | {:.3} s | |", turns.second);
    let _ = writeln!(page, "| growth from 10,000 to 1,000,000, against a straight line | {growth:.2} | ≤ 1.2 |");
    walker(&program, &mut page)?;
    failing(&program, &mut page)?;
    let file = folder().join("benchmarks-plan.md");
    // Making the catalog takes minutes, and may be stopped.
    write(&file, &page)?;
    million(&program, &large[0], &mut page)?;
    write(&file, &page)?;
    say(&page);
    say(&format!("written to {}", file.display()));
    Ok(())
}

/// Attributes that do not evaluate are part of the data, and make the program end with 1.
fn planning(program: &Path, files: &[PathBuf], format: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "\"$@\" || [ $? = 1 ]", "sh"]).arg(program).args(["plan", "--format", format]);
    for file in files {
        command.arg("--from").arg(file);
    }
    command
}

fn jq(files: &[PathBuf]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "zstd -dc \"$@\" | jq -c .", "sh"]).args(files);
    command
}

/// Lines in the shape of nixpkgs: half of the derivations are sources, which need four common tools; the others need
/// a source or two, two common tools, and earlier packages, of which some are much more in demand.
fn synthetic(derivations: usize) -> Outcome<PathBuf> {
    let file = folder().join(format!("graph-{derivations}.jsonl.zst"));
    if file.exists() {
        return Ok(file);
    }
    say(&format!("making a graph of {derivations} derivations"));
    let failed = |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", file.display()));
    fs::create_dir_all(folder()).map_err(failed)?;
    let staged = folder().join(format!("graph-{derivations}.new"));
    let mut zstd = Command::new("zstd");
    let mut zstd = zstd.args(["-q", "-f", "-3", "-o"]).arg(&staged).stdin(Stdio::piped()).spawn().map_err(failed)?;
    let mut lines = BufWriter::with_capacity(1 << 20, zstd.stdin.take().ok_or_else(|| Failure::new("no pipe"))?);
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for number in 0..derivations {
        lines.write_all(line(number, &mut chance).as_bytes()).map_err(failed)?;
    }
    lines.into_inner().map_err(|error| Failure::new(error.to_string()))?;
    if !zstd.wait().map_err(failed)?.success() {
        return Err(Failure::new("zstd failed"));
    }
    fs::rename(&staged, &file).map_err(failed)?;
    Ok(file)
}

const LICENSES: [&str; 5] = [
    r#"{"free":true,"fullName":"MIT License","shortName":"mit","spdxId":"MIT"}"#,
    r#"{"free":null,"fullName":"GNU General Public License v2.0 or later","shortName":"gpl2Plus","spdxId":"GPL-2.0+"}"#,
    r#"[{"shortName":"mit","spdxId":"MIT","free":true},{"shortName":"bsd3","spdxId":"BSD-3-Clause","free":true}]"#,
    r#"{"free":false,"fullName":"Unfree","shortName":"unfree"}"#,
    r#""GPL""#,
];

fn line(number: usize, chance: &mut Chance) -> String {
    let is_source = |number: usize| number >= 8 && number % 2 == 1;
    let mut inputs: Vec<usize> = Vec::new();
    if number >= 8 {
        inputs.extend([0, 1]);
        if is_source(number) {
            inputs.extend([2, 3]);
        } else {
            // The sources before it are its own.
            inputs.push(number - 1);
            while inputs.len() < 16.min(number / 2) {
                // Squared, so that early ones are asked for most.
                let share = chance.below(1 << 20) as f64 / (1u64 << 20) as f64;
                let package = ((share * share) * (number / 2) as f64) as usize * 2;
                if !inputs.contains(&package) {
                    inputs.push(package);
                }
            }
        }
    }
    let mut text = String::with_capacity(2000);
    text.push('{');
    let job = !is_source(number) && number.is_multiple_of(4);
    if job {
        let license = LICENSES[chance.below(LICENSES.len() * 4).saturating_sub(LICENSES.len() * 3)];
        let _ = write!(
            text,
            r#""attr":"package-{number}","attrPath":["package-{number}"],"meta":{{"license":{license},"position":"x.nix:1"}},"#
        );
    }
    let _ = write!(text, r#""drvPath":"{}","inputDrvs":{{"#, path(number, ".drv"));
    for (index, input) in inputs.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}"{}":["out"]"#, path(*input, ".drv"));
    }
    let fixed = if is_source(number) { r#""fixedOutput":true,"preferLocalBuild":true,"# } else { "" };
    let _ = writeln!(
        text,
        r#"}},{fixed}"name":"package-{number}-1.0","outputs":{{"out":"{}"}},"system":"x86_64-linux"}}"#,
        path(number, "")
    );
    text
}

/// The hash looks like any other, and follows from the number.
fn path(number: usize, end: &str) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut chance = Chance((number as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d) ^ end.len() as u64);
    let mut text = String::with_capacity(80);
    text.push_str("/nix/store/");
    for _ in 0..32 {
        text.push(char::from(LETTERS[chance.below(32)]));
    }
    let _ = write!(text, "-package-{number}-1.0{end}");
    text
}

/// The same numbers each time: xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % limit as u64) as usize
    }
}
