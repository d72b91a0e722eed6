//! Questions about one path of a very large catalog, and what the walker adds to an evaluation.

use super::folder;
use super::measure::{peak, processor_turns, take_turns};
use crate::machine::{output, root, write};
use crate::{Failure, Outcome, say};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TURNS: usize = 5;
/// Packages of the set that is evaluated; there are about twice as many derivations.
const PACKAGES: usize = 2_000;

/// `why` of one path among a million, and `policy check`.
pub(super) fn million(program: &Path, lines: &Path, page: &mut String) -> Outcome {
    let state = catalog(program, lines)?;
    let database = state.join("catalog.sqlite");
    let sql = |sql: &str| output(Command::new("sqlite3").arg(&database).arg(sql)).map(|text| text.trim().to_owned());
    let paths = sql("SELECT count(*) FROM decisions")?;
    let path = sql("SELECT path FROM decisions WHERE name LIKE 'package-777778-%'")?;
    let mut why = Command::new(program);
    why.arg("--state").arg(&state).args(["why", &path]);
    let mut by_attr = Command::new(program);
    by_attr.arg("--state").arg(&state).args(["why", "package-777776"]);
    let turns = take_turns(TURNS, &mut why, &mut by_attr)?;
    let _ = writeln!(page, "| `why PATH` on a catalog of {paths} paths | {:.3} s | ≤ 0.1 s |", turns.first);
    let _ = writeln!(page, "| `why ATTR` on the same | {:.3} s | ≤ 0.1 s |", turns.second);
    let mut check = Command::new(program);
    check.args(["policy", "check", "default"]);
    let turns = take_turns(TURNS, &mut check, &mut Command::new("true"))?;
    let _ = writeln!(page, "| `policy check`, with ten files of terms | {:.3} s | ≤ 0.1 s |", turns.first);
    Ok(())
}

/// A state whose catalog knows what the lines describe, and has a decision about each path, as many runs would have made
/// them.
fn catalog(program: &Path, lines: &Path) -> Outcome<PathBuf> {
    let (state, staged) = (folder().join("million"), folder().join("million.new"));
    if state.exists() {
        return Ok(state);
    }
    say("making a catalog of a million paths");
    let _ = fs::remove_dir_all(&staged);
    let mut keep = Command::new(program);
    keep.arg("--state").arg(&staged).args(["plan", "--keep", "--from"]).arg(lines);
    // Attributes that do not evaluate make the program end with 1; there are none in these lines.
    output(&mut keep)?;
    let reasons =
        r#"[{"code":"license-free","source":"declared","effect":"publish","message":"MIT is free","evidence":[]}]"#;
    let sql = format!(
        "INSERT INTO decisions (path, name, attr, output, deriver, nar_hash, nar_size, refs, license, verdict, reasons, policy) \
         SELECT path, substr(path, 34), (SELECT attr FROM fact_attrs WHERE fact_attrs.derivation = fact_outputs.derivation), \
         output, derivation, 'sha256:0000000000000000000000000000000000000000000000000000', 1000, '[]', 'MIT', 'publish', \
         '{reasons}', 'default' FROM fact_outputs;"
    );
    output(Command::new("sqlite3").arg(staged.join("catalog.sqlite")).arg(sql))?;
    fs::rename(&staged, &state).map_err(|error| Failure::new(format!("{}: {error}", state.display())))?;
    Ok(state)
}

/// An evaluation with our walker against one without, of the same attributes and in one process each; and `narthex eval`,
/// which asks Nix for its settings as well, and reads the `.drv` files.
pub(super) fn walker(program: &Path, page: &mut String) -> Outcome {
    let file = folder().join("set.nix");
    let set = root().join("crates/nix/tests/data/set.nix");
    write(&file, &format!("import {} {{ size = {PACKAGES}; }}\n", set.display()))?;
    let text = fs::read_to_string(root().join("crates/nix/src/walker.nix"))
        .map_err(|error| Failure::new(format!("the walker: {error}")))?;
    let request = format!(r#"{{"root":{{"file":"{}"}},"mark":"@"}}"#, file.display()).replace('"', "\\\"");
    let all = format!("builtins.toJSON (map (name: [ name ]) (builtins.attrNames (import {})))", file.display());
    let text = format!("let w = ({text}) {{ request = \"{request}\"; }}; in w.run (w.piece w.start ({all}))");
    let mut walker = Command::new("nix-instantiate");
    walker.args(["--eval", "--read-write-mode", "-E", &text]);
    let mut plain = Command::new("nix-instantiate");
    plain.arg(&file);
    let mut eval = Command::new(program);
    eval.args(["eval", "--workers", "1"]).arg(&file);
    let derivations = output(Command::new(program).args(["eval", "--format", "json"]).arg(&file))?.lines().count();
    let of_walker = take_turns(TURNS, &mut walker, &mut plain)?;
    let of_eval = take_turns(TURNS, &mut eval, &mut plain)?;
    let memory = peak(&mut walker)? / peak(&mut plain)?;
    let _ = writeln!(
        page,
        "| our walker through a set with {derivations} derivations ({:.2} s), against `nix-instantiate` without it ({:.2} s) | {:.2} × time | ≤ 1.5 |\n\
         | the same, memory | {memory:.2} × | ≤ 1.5 |\n\
         | all of `narthex eval` of that set, which asks Nix for its settings too and reads `.drv` files ({:.2} s) | {:.2} × time | |",
        of_walker.first,
        of_walker.second,
        of_walker.first / of_walker.second,
        of_eval.first,
        of_eval.first / of_eval.second
    );
    Ok(())
}

/// Sets of which some attributes fail, against `nix-instantiate` of the others: processor time of the whole commands.
pub(super) fn failing(program: &Path, page: &mut String) -> Outcome {
    let set = root().join("crates/nix/tests/data/failing.nix");
    for share in [5, 30] {
        let file = |name: &str, more: &str| -> Outcome<PathBuf> {
            let file = folder().join(name);
            let text = format!(
                "import {} {{ size = 9000; weight = 800; jobs = 1800; share = {share}; {more}}}\n",
                set.display()
            );
            write(&file, &text)?;
            Ok(file)
        };
        let (all, good) = (file("failing.nix", "")?, file("good.nix", "good = true; ")?);
        let mut eval = Command::new("sh");
        eval.args(["-c", "\"$@\" || [ $? = 1 ]", "sh"]).arg(program).args(["eval", "--format", "json"]).arg(&all);
        let mut plain = Command::new("nix-instantiate");
        plain.arg(&good);
        let turns = processor_turns(TURNS, &mut eval, &mut plain)?;
        let _ = writeln!(
            page,
            "| `narthex eval` of 1,800 attributes of which {share} % fail ({:.2} s of processor time), against `nix-instantiate` of \
             the others ({:.2} s) | {:.2} × | ≤ 1.5 |",
            turns.first,
            turns.second,
            turns.first / turns.second
        );
    }
    Ok(())
}
