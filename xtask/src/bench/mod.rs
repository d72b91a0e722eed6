//! `cargo xtask bench audit`: the figures of docs/benchmarks.md.
//!
//! Every time is a ratio against another command on the same input in the same run: the two take turns,
//! and of each the fastest turn counts. Nothing here is a test: a slow machine fails nobody.

mod catalog;
mod inputs;
mod measure;
mod plan;
mod recall;
mod wheels;
mod wide;

pub(crate) use plan::plan;
pub(crate) use wide::wide;

use crate::machine::{cargo, output, root, run, target, write};
use crate::{Failure, Outcome, say};
use inputs::Inputs;
use measure::{Audit, Turns, anonymous_peak, take_turns};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Turns that each of two commands takes.
const TURNS: usize = 5;

/// A part of the page.
type Part = fn(&Audit, &Inputs, &mut String) -> Outcome;

pub(crate) fn audit() -> Outcome {
    inputs::install_tools()?;
    run(&mut cargo(&["build", "--release", "-p", "narthex"]))?;
    let inputs = Inputs::prepare()?;
    let audit = Audit::new(target().join("release/narthex"), target().join("bench/no-state"));
    let mut page = header()?;
    let parts: [(&str, Part); 6] = [
        ("recall", recalls),
        ("verdicts", verdicts),
        ("accusations", accusations),
        ("times", times),
        ("wheels", wheels::wheels),
        ("sizes", sizes),
    ];
    for (name, part) in parts {
        say(&format!("{name} …"));
        part(&audit, &inputs, &mut page)?;
    }
    let peers = root().join("docs/benchmarks-peers.md");
    if let Ok(text) = std::fs::read_to_string(&peers) {
        page.push_str(&text);
    }
    page.push_str(&inputs.table());
    let file = target().join("bench/benchmarks.md");
    write(&file, &page)?;
    say(&format!("\n{page}\nwritten to {}", file.display()));
    Ok(())
}

fn header() -> Outcome<String> {
    let date = output(Command::new("date").arg("+%Y-%m-%d"))?;
    let model = output(Command::new("sh").args(["-c", "grep -m1 'model name' /proc/cpuinfo | cut -d: -f2"]))?;
    let cores = output(&mut Command::new("nproc"))?;
    let memory = output(Command::new("sh").args(["-c", "awk '/MemTotal/{print int($2/1048576+0.5)}' /proc/meminfo"]))?;
    Ok(format!(
        "# Benchmarks of the audit\n\nMade by `cargo xtask bench audit` on {}, on a machine with {} cores ({}) and {} GiB of \
         memory, Debian 12. Inputs are named by hash at the end. Times are of the release build with the whole shipped \
         corpus, files in the page cache; of two commands that are compared each took {TURNS} turns, one after the other, \
         and the fastest turn of each counts.\n",
        date.trim(),
        cores.trim(),
        model.trim(),
        memory.trim()
    ))
}

fn recalls(audit: &Audit, inputs: &Inputs, page: &mut String) -> Outcome {
    page.push_str(
        "\n## Recall\n\nEach target is linked twice with the same arguments, once with its symbols and once stripped. The \
         symbols say where the vendor's functions of at least 64 bytes lie, and `narthex audit --explain` which of them are \
         found in the stripped one. Goal: 99 % for each of cudart, 97 % for MKL.\n\n| target | linker | functions ≥ 64 B | \
         found | share |\n| --- | --- | --- | --- | --- |\n",
    );
    for target in recall::targets(inputs)? {
        let recall = target.measure(audit)?;
        let share = 100.0 * recall.found as f64 / recall.expected as f64;
        let (name, linker) = (&target.name, target.linker);
        let _ = writeln!(page, "| {name} | {linker} | {} | {} | {share:.2} % |", recall.expected, recall.found);
    }
    Ok(())
}

fn verdicts(audit: &Audit, inputs: &Inputs, page: &mut String) -> Outcome {
    page.push_str("\n## Verdicts\n\n| file | expected | what the audit says |\n| --- | --- | --- |\n");
    for (file, expected) in inputs.judged() {
        let mut said: Vec<String> = Vec::new();
        for line in audit.json(&[&file])? {
            let kind = field(&line, "kind");
            if kind == "dynamic" {
                continue;
            }
            let material = format!("{} {}", field(&line, "name"), field(&line, "version"));
            let library = line.split("\"file\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            said.push(format!("{kind}: {} of {material}", library.rsplit('/').next().unwrap_or_default()));
        }
        said.sort();
        said.dedup();
        if said.is_empty() {
            said.push("nothing".to_owned());
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let _ = writeln!(page, "| `{name}` of {} | {expected} | {} |", inputs.package_of(&file), said.join("<br>"));
    }
    Ok(())
}

/// The text of a field, wherever in the line it stands first.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let start = format!("\"{name}\":\"");
    line.split(start.as_str()).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default()
}

fn accusations(audit: &Audit, inputs: &Inputs, page: &mut String) -> Outcome {
    page.push_str(
        "\n## False accusations\n\nFindings that would withhold something, in software without any vendor's code. Goal: \
         0.\n\n| files | ELF files | accusations | not fully audited |\n| --- | --- | --- | --- |\n",
    );
    for (name, paths) in inputs.clean()? {
        let (mut elves, mut accused, mut gaps) = (0, Vec::new(), 0);
        for path in &paths {
            elves += measure::elf_files(path)?;
            for line in audit.json(&[path])? {
                match field(&line, "kind") {
                    "not-audited" => gaps += 1,
                    // Who made a file is shown, and withholds nothing.
                    _ if !line.contains("\"restricted\":true") => {}
                    _ => accused.push(line),
                }
            }
        }
        let _ = writeln!(page, "| {name} | {elves} | {} | {gaps} |", accused.len());
        accused.iter().for_each(|line| say(&format!("accused: {line}")));
    }
    Ok(())
}

fn times(audit: &Audit, inputs: &Inputs, page: &mut String) -> Outcome {
    page.push_str("\n## Time\n\n| input | audit | against | ratio | goal |\n| --- | --- | --- | --- | --- |\n");
    let mut row = |name: &str, file: &Path, against: &str, script: &str, goal: &str| -> Outcome {
        let mut other = Command::new("sh");
        other.args(["-c", script, "sh"]).arg(file);
        let Turns { first, second } = take_turns(TURNS, &mut audit.command(&[file]), &mut other)?;
        let ratio = first / second;
        let _ = writeln!(page, "| {name} | {first:.2} s | {against}: {second:.2} s | {ratio:.2} | {goal} |");
        Ok(())
    };
    let shell = "nm \"$1\"; nm -D \"$1\"; patchelf --print-needed \"$1\"; strings -n8 \"$1\"";
    row(
        "`libtorch_cuda.so` of torch 1.11.0, 1.04 GB",
        &inputs.torch_1_cuda(),
        "`nm`, `nm -D`, `patchelf --print-needed`, `strings -n8` one after the other",
        shell,
        "≤ 0.3",
    )?;
    row("clean code: Chromium, 297 MB", &inputs.chromium(), "`sha256sum`", "sha256sum \"$1\"", "≤ 1.0")?;
    row(
        "clean code: `libtensorflow_framework.so.2`",
        &inputs.tensorflow_framework(),
        "`sha256sum`",
        "sha256sum \"$1\"",
        "≤ 1.0",
    )?;
    let dense = recall::dense(inputs)?;
    row("a program that is all static MKL, 323 MB", &dense, "`sha256sum`", "sha256sum \"$1\"", "≤ 3")?;
    row("an empty file: what loading the corpus takes", &inputs.empty()?, "`true`", "true", "")?;
    Ok(())
}

fn sizes(audit: &Audit, inputs: &Inputs, page: &mut String) -> Outcome {
    let state = target().join("corpus-state");
    if !state.join("corpus").exists() {
        return Err(Failure::new("the corpus is made first: `cargo xtask corpus`"));
    }
    let functions = |state: &Path, shipped: bool| -> Outcome<u64> {
        let mut command = Command::new(audit.program());
        command.arg("--state").arg(state).args(["corpus", "list", "--format", "json"]);
        if !shipped {
            command.arg("--without-shipped");
        }
        let listed = output(&mut command)?;
        let number = |line: &str| line.split("\"functions\":").nth(1)?.split(['}', ',']).next()?.parse::<u64>().ok();
        Ok(listed.lines().filter_map(number).sum())
    };
    let all = functions(&state, false)?;
    let bytes = std::fs::metadata(state.join("corpus")).map_or(0, |meta| meta.len());
    let shipped: u64 = std::fs::read_dir(root().join("crates/farm/corpus"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "zst"))
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum();
    let _ = writeln!(
        page,
        "\n## Size and memory\n\n| what | figure | goal |\n| --- | --- | --- |\n| shipped files, compressed | {:.1} MB | ≤ 25 \
         MB |\n| the corpus as one mapped file | {:.1} MB for {all} functions, device code and all; {:.1} MB for 120,000 \
         functions | ≤ 20 MB |",
        shipped as f64 / 1e6,
        bytes as f64 / 1e6,
        bytes as f64 / 1e6 * 120_000.0 / all as f64
    );
    let peak = anonymous_peak(&mut audit.command(&[&inputs.torch_1_cuda()]))?;
    let _ = writeln!(
        page,
        "| peak memory beyond mapped files, torch 1.11's `libtorch_cuda.so` | {:.0} MB | ≤ 150 MB |",
        peak
    );
    let peak = anonymous_peak(&mut audit.command(&[&inputs.torch_2_cpu()]))?;
    let _ =
        writeln!(page, "| the same, torch 2.15's `libtorch_cpu.so`, a third of it MKL | {:.0} MB | ≤ 150 MB |", peak);
    growth(audit, inputs, &state, page)
}

/// The same file with a tenth of the functions and with all of them.
fn growth(audit: &Audit, inputs: &Inputs, state: &Path, page: &mut String) -> Outcome {
    let tenth = target().join("bench/tenth");
    let exported = target().join("bench/tenth.corpus");
    let _ = std::fs::remove_dir_all(&tenth);
    let program = audit.program();
    // NVIDIA's compiler library alone has about a tenth of all functions.
    output(
        Command::new(program)
            .arg("--state")
            .arg(state)
            .args(["corpus", "export", "--material", "nvidia-nvptxcompiler"])
            .arg(&exported),
    )?;
    output(Command::new(program).arg("--state").arg(&tenth).args(["corpus", "import"]).arg(&exported))?;
    let of = |state: &Path| {
        let mut command = Command::new(program);
        command.arg("--state").arg(state).args(["audit", "--without-shipped"]).arg(inputs.chromium());
        command
    };
    let Turns { first, second } = take_turns(TURNS, &mut of(state), &mut of(&tenth))?;
    let _ = writeln!(
        page,
        "| time on Chromium with all functions, against a tenth of them | {first:.2} s to {second:.2} s: {:.2} | ≤ 1.5 |",
        first / second
    );
    Ok(())
}

/// A folder for what the benchmark makes.
pub(super) fn folder() -> PathBuf {
    target().join("bench")
}
