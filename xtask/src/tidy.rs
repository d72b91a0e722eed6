//! `cargo xtask tidy`: formatting, lints, and the rules that stand in `rules.rs`.

use crate::machine::{cargo, output, root, run};
use crate::rules::{IMPURE, LONGEST_FILE, MAY_DEPEND_ON, ONLY_IN, PURE, REASON_FOR_LENGTH};
use crate::{Failure, Outcome, say};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs every check and reports all that is wrong at once.
pub(crate) fn tidy() -> Outcome {
    let root = root();
    let mut wrong = Vec::new();
    wrong.extend(dependencies(&root)?);
    wrong.extend(purity(&root)?);
    wrong.extend(reasons(&root)?);
    wrong.extend(links(&root)?);
    wrong.extend(lengths(&root)?);
    wrong.extend(headings(&root)?);
    if !wrong.is_empty() {
        return Err(Failure::new(wrong.join("\n")));
    }
    say("rules hold: dependencies, purity, reasons, links, lengths");
    // The fuzz targets are a workspace of their own, which nothing else builds.
    output(&mut cargo(&["metadata", "--locked", "--format-version", "1", "--manifest-path", "fuzz/Cargo.toml"]))?;
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// Files below a folder whose name ends so, without what is built or hidden.
fn files(folder: &Path, end: &str) -> Outcome<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot list {}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, end)?);
        } else if name.ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The names under `[dependencies]` of a manifest.
fn dependencies_of(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let name = |line: &str| line.split(['.', ' ', '=']).next().map(str::to_owned);
    let inline = section.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(name);
    // A dependency may also be a table of its own, and may be for one system only.
    let tables = manifest.lines().filter_map(|line| {
        let (kind, name) = line.strip_prefix('[')?.strip_suffix(']')?.rsplit_once("dependencies.")?;
        (kind.is_empty() || kind.starts_with("target.")).then(|| name.to_owned())
    });
    inline.chain(tables).collect()
}

/// Which crates may know of which, and who alone may use what.
fn dependencies(root: &Path) -> Outcome<Vec<String>> {
    let mut wrong = Vec::new();
    for (name, allowed) in MAY_DEPEND_ON {
        let manifest = read(&root.join("crates").join(name).join("Cargo.toml"))?;
        for dependency in dependencies_of(&manifest) {
            if let Some(inner) = dependency.strip_prefix("narthex-")
                && !allowed.contains(&inner)
            {
                wrong.push(format!("crates/{name} depends on {inner}, which the rules forbid"));
            }
            if let Some((_, owner)) = ONLY_IN.iter().find(|(only, owner)| *only == dependency && *owner != name) {
                wrong.push(format!("crates/{name} depends on {dependency}, which is for crates/{owner} alone"));
            }
            if PURE.contains(&name) && IMPURE.contains(&dependency.as_str()) {
                wrong.push(format!("crates/{name} is pure and depends on {dependency}"));
            }
        }
    }
    let listed: BTreeSet<&str> = MAY_DEPEND_ON.iter().map(|(name, _)| *name).collect();
    let failed = |error: std::io::Error| Failure::new(error.to_string());
    for entry in fs::read_dir(root.join("crates")).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if !listed.contains(name.as_str()) {
            wrong.push(format!("crates/{name} has no line in the rules between crates"));
        }
    }
    Ok(wrong)
}

/// Pure crates do no input or output, and ask neither clock nor chance.
fn purity(root: &Path) -> Outcome<Vec<String>> {
    let mut wrong = Vec::new();
    for name in PURE {
        for file in files(&root.join("crates").join(name).join("src"), ".rs")? {
            for (number, line) in read(&file)?.lines().enumerate() {
                if let Some(word) = impure(line) {
                    wrong.push(format!("{}:{}: `{word}` in a pure crate", file.display(), number + 1));
                }
            }
        }
    }
    Ok(wrong)
}

/// What a line of a pure crate names that it must not; comments may name it.
fn impure(line: &str) -> Option<&'static str> {
    let code = line.split("//").next().unwrap_or_default();
    let grouped = code.split_once("std::{").map_or("", |(_, rest)| rest);
    let words: Vec<&str> = grouped.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let named = |word: &&&str| {
        code.contains(**word) || word.strip_prefix("std::").is_some_and(|module| words.contains(&module))
    };
    IMPURE.iter().find(named).copied()
}

/// One page for each reason code, one code for each page.
fn reasons(root: &Path) -> Outcome<Vec<String>> {
    let code = read(&root.join("crates/policy/src/code.rs"))?;
    let table = code.split("codes! {").nth(1).unwrap_or_default();
    let codes: BTreeSet<String> =
        table.lines().filter_map(|line| Some(line.split_once("= \"")?.1.split_once('"')?.0.to_owned())).collect();
    let pages: BTreeSet<String> = files(&root.join("docs/reasons"), ".md")?
        .iter()
        .filter_map(|page| Some(page.file_stem()?.to_string_lossy().into_owned()))
        .filter(|name| name != "README")
        .collect();
    let mut wrong: Vec<String> =
        codes.difference(&pages).map(|code| format!("the reason {code} has no page docs/reasons/{code}.md")).collect();
    wrong.extend(pages.difference(&codes).map(|page| format!("docs/reasons/{page}.md is of no reason code")));
    if codes.is_empty() {
        wrong.push("no reason codes were found in crates/policy/src/code.rs".to_owned());
    }
    for page in &pages {
        let text = read(&root.join("docs/reasons").join(format!("{page}.md")))?;
        if text.lines().next() != Some(&format!("# {page}")) {
            wrong.push(format!("docs/reasons/{page}.md does not begin with `# {page}`"));
        }
    }
    Ok(wrong)
}

/// Links between pages lead somewhere, and so do paths in backticks that name a file of the repository.
fn links(root: &Path) -> Outcome<Vec<String>> {
    let mut wrong = Vec::new();
    for page in files(root, ".md")? {
        let text = read(&page)?;
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            if !page.parent().unwrap_or(root).join(path).exists() {
                wrong.push(format!("{}: the link {target} leads nowhere", page.display()));
            }
        }
        for quoted in text.split('`').skip(1).step_by(2) {
            let first = ["crates/", "docs/", "examples/", "policies/", "xtask/", "nix/"];
            let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if plain && first.iter().any(|start| quoted.starts_with(start)) && !root.join(quoted).exists() {
                wrong.push(format!("{}: `{quoted}` is not there", page.display()));
            }
        }
    }
    Ok(wrong)
}

/// Long files say why they are long.
fn lengths(root: &Path) -> Outcome<Vec<String>> {
    let mut wrong = Vec::new();
    for folder in ["crates", "xtask"] {
        for file in files(&root.join(folder), ".rs")? {
            let text = read(&file)?;
            let lines = text.lines().count();
            let excused = text.lines().take(30).any(|line| line.contains(REASON_FOR_LENGTH));
            if lines > LONGEST_FILE && !excused {
                wrong.push(format!("{} has {lines} lines; split it or say why not", file.display()));
            }
        }
    }
    Ok(wrong)
}

/// Every source file says what it is for.
fn headings(root: &Path) -> Outcome<Vec<String>> {
    let mut wrong = Vec::new();
    for folder in ["crates", "xtask"] {
        for file in files(&root.join(folder), ".rs")? {
            if !read(&file)?.starts_with("//!") {
                wrong.push(format!("{} does not begin with what it is for (`//!`)", file.display()));
            }
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_hold() {
        let root = root();
        for check in [dependencies, purity, reasons, links, lengths, headings] {
            assert_eq!(check(&root).map_err(|error| error.0), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_manifest_is_read_up_to_its_next_section() {
        let manifest = "[package]\nname = \"x\"\n\n[dependencies]\n# why\nserde.workspace = true\nnarthex-nix = { path = \"\" }\n\n[dev-dependencies]\ntempfile.workspace = true\n";
        assert_eq!(dependencies_of(manifest), ["serde", "narthex-nix"]);
        let tables =
            "[dependencies.tokio]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies.sqlx]\n[dev-dependencies.x]\n";
        assert_eq!(dependencies_of(tables), ["tokio", "sqlx"]);
    }

    #[test]
    fn impure_lines_are_found_however_they_are_written() {
        for line in [
            "use std::fs;",
            "use std::{fmt, fs};",
            "    std::env::var(\"X\")",
            "use std::{net::TcpStream};",
            "tokio::spawn(x)",
        ] {
            assert!(impure(line).is_some(), "{line}");
        }
        for line in ["use std::{fmt, str::FromStr};", "// no std::fs here", "let fs = 1;"] {
            assert_eq!(impure(line), None, "{line}");
        }
    }
}
