//! The corpus by hand: learning, exporting, importing, forgetting, and what it means for what is published.

use crate::example::{row, text};
use crate::world::{Said, World, program, repository};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The vendor's wheel that the example is made from.
fn wheel() -> PathBuf {
    let folder = repository().join("target/wheels");
    let found = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    found.into_iter().find(|path| path.to_string_lossy().contains("nvidia_cuda_runtime_cu12-12.9.79")).unwrap()
}

fn narthex(state: &Path, arguments: &[&str]) -> Said {
    Said::of(Command::new(program()).arg("--state").arg(state).args(arguments).output().unwrap())
}

fn add(state: &Path, path: &Path, more: &[&str]) -> Said {
    narthex(state, &[&["corpus", "add", path.to_str().unwrap(), "--without-shipped"], more].concat())
}

const CUDART: [&str; 6] = ["--name", "cudart", "--version", "12.9.79", "--license", "nvidiaCuda"];

/// Bytes that no vendor has and that are no text.
fn data(seed: u8) -> Vec<u8> {
    (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(u32::from(seed)) >> 13) as u8).collect()
}

#[test]
fn what_is_learned_can_be_listed_moved_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
    let said = add(&one, &wheel(), &CUDART).expect(0);
    assert!(said.err.contains("for cudart-12.9.79: ") && said.err.contains(" 955 functions"), "{}", said.err);
    assert!(add(&one, &wheel(), &CUDART).expect(0).err.contains("was learned before"));

    let list = |state: &Path, more: &[&str]| {
        narthex(state, &[&["corpus", "list", "--format", "json"], more].concat()).expect(0).rows()
    };
    let own = list(&one, &["--without-shipped"]);
    assert_eq!(own.len(), 1);
    assert_eq!((own[0]["name"].as_str(), own[0]["functions"].as_u64()), (Some("cudart"), Some(955)));
    assert_eq!(own[0]["licenses"], serde_json::json!(["nvidiaCuda"]));
    assert!(list(&one, &[]).len() > 40, "what ships is listed as well");

    for file in ["all.corpus", "all.zst"] {
        let file = dir.path().join(file);
        let file = file.to_str().unwrap();
        narthex(&one, &["corpus", "export", file]).expect(0);
        assert!(narthex(&other, &["corpus", "import", file]).expect(0).err.contains("imported: "));
    }
    assert_eq!(list(&other, &["--without-shipped"]), own);
    let again = dir.path().join("again.corpus");
    narthex(&other, &["corpus", "export", again.to_str().unwrap()]).expect(0);
    let same = std::fs::read(&again).unwrap() == std::fs::read(dir.path().join("all.corpus")).unwrap();
    assert!(same, "what is exported, imported and exported again is the same file");

    let gone = narthex(&other, &["corpus", "remove", "cudart-12.9.79"]).expect(0);
    assert!(gone.err.contains("forgotten: cudart-12.9.79"), "{}", gone.err);
    assert_eq!(list(&other, &["--without-shipped"]).len(), 0);
    let again = narthex(&other, &["corpus", "remove", "cudart"]).expect(2);
    assert!(again.err.contains("nothing was learned here from `cudart`") && again.err.contains("hint: "));
}

#[test]
fn free_software_is_subtracted() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let shared = dir.path().join("shared.bin");
    std::fs::write(&shared, data(1)).unwrap();
    add(&state, &shared, &["--name", "vendor", "--version", "1", "--license", "unfree"]).expect(0);
    let audit = || narthex(&state, &["audit", "--without-shipped", "--format", "json", shared.to_str().unwrap()]);
    assert_eq!(audit().expect(0).rows()[0]["kind"], "copy");
    add(&state, &shared, &["--name", "free", "--version", "1", "--free"]).expect(0);
    assert_eq!(audit().expect(0).rows().len(), 0);
}

#[test]
fn files_that_are_no_corpus_are_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    add(&state, &wheel(), &CUDART).expect(0);
    let good = std::fs::read(state.join("corpus")).unwrap();
    let check = |bytes: &[u8], parts: &[&str]| {
        std::fs::write(state.join("corpus"), bytes).unwrap();
        let said = narthex(&state, &["audit", "/etc/hostname"]).expect(1);
        for part in parts {
            assert!(said.err.contains(part), "`{part}` is not in\n{}", said.err);
        }
    };
    let mut older = good.clone();
    older[8] = 2;
    check(&older, &["it has format 2, and this program reads format 4", "hint: remove "]);
    check(&good[..good.len() - 1], &["its checksum is wrong", "hint: remove "]);
    check(b"#!/bin/sh", &["it does not begin as a corpus file does", "hint: remove "]);
    let state = dir.path().join("importing");
    let foreign = narthex(&state, &["corpus", "import", wheel().to_str().unwrap()]).expect(1);
    assert!(foreign.err.contains("cannot be imported") && !foreign.err.contains("remove"), "{}", foreign.err);
    let license = ["--name", "x", "--version", "1", "--license", "nvidia"];
    assert!(add(&state, &wheel(), &license).expect(2).err.contains("`nvidia` names no license"));
}

/// A package with a file that nobody knew to be a vendor's is published, and taken back when the corpus learns.
#[test]
fn what_turns_out_restricted_is_withdrawn() {
    let world = World::new("2.8");
    let (store, state) = (world.store("store"), world.folder("state"));
    std::fs::write(world.extra().join("vendor.bin"), data(7)).unwrap();
    let set = "let cuda = import /examples/cuda { }; lib = import /examples/cuda/lib.nix { system = \"x86_64-linux\"; };\n\
        make = name: file: lib.mkDerivation { pname = name; version = \"1\"; nativeBuildInputs = [ lib.tools.coreutils ];\n\
        src = file; buildCommand = ''mkdir -p \"$out/share\"; cp \"$src\" \"$out/share/${name}\"''; meta.license = lib.licenses.mit; };\n\
        in { guilty = make \"guilty\" /extra/vendor.bin; innocent = make \"innocent\" /extra/set.nix; }";
    std::fs::write(world.extra().join("set.nix"), set).unwrap();
    let rows = world.narthex(&store, &state, &["run", "/extra/set.nix", "--format", "json"]).expect(0).rows();
    let path = |name: &str| text(row(&rows, name, "out"), "path").to_owned();
    assert_eq!(text(row(&rows, "guilty", "out"), "verdict"), "publish");
    let hash = path("guilty")["/nix/store/".len()..][..32].to_owned();
    let object = |name: &str| state.join("objects").join(name);
    assert!(object(&format!("{hash}.narinfo")).exists());
    let nars = || std::fs::read_dir(object("nar")).unwrap().count();
    let before = nars();

    let recheck = |more: &[&str]| narthex(&state, &[&["audit", "--recheck"], more].concat());
    assert!(recheck(&[]).expect(0).out.starts_with("0 published paths audited again, 0 taken back"));
    let vendor = world.extra().join("vendor.bin");
    narthex(
        &state,
        &["corpus", "add", vendor.to_str().unwrap(), "--name", "v", "--version", "1", "--license", "unfree"],
    )
    .expect(0);
    // Publishing something else says that there is something to be done.
    std::fs::write(
        world.extra().join("other.nix"),
        set.replace("innocent", "other").replace("guilty = ", "unused.g = "),
    )
    .unwrap();
    let said = world.narthex(&store, &state, &["run", "/extra/other.nix", "-A", "other"]).expect(0);
    assert!(said.err.contains("`narthex audit --recheck` audits them again"), "{}", said.err);

    let withdrawn = recheck(&["--format", "json"]).expect(3).rows();
    let paths: Vec<&str> = withdrawn.iter().map(|row| text(row, "path")).collect();
    assert_eq!(paths, [path("guilty")]);
    assert_eq!(text(&withdrawn[0]["reasons"][0], "code"), "terms-missing");
    assert!(!object(&format!("{hash}.narinfo")).exists());
    assert!(object(&format!("withheld/{hash}.json")).exists());
    assert!(nars() < before + 1, "its NAR is gone");
    let why = narthex(&state, &["why", &path("guilty")]).expect(0);
    assert!(why.out.contains("share/guilty") && why.out.contains("of v-1"), "{}", why.out);
    assert!(recheck(&[]).expect(0).out.starts_with("0 published paths audited again"));
    // A run decides the same.
    let rows = world.narthex(&store, &state, &["run", "/extra/set.nix", "--format", "json"]).expect(0).rows();
    assert_eq!(text(row(&rows, "guilty", "out"), "verdict"), "withhold");
    assert_eq!(text(row(&rows, "innocent", "out"), "verdict"), "publish");
}

/// Published by an exception, audited with the corpus of today, and taken back all the same once the exception is over.
#[test]
fn what_rests_on_an_entry_that_has_ended_is_withdrawn() {
    let world = World::new("2.8");
    let (store, state) = (world.store("store"), world.folder("state"));
    let set = "let lib = import /examples/cuda/lib.nix { system = \"x86_64-linux\"; }; in {\n\
        quiet = lib.mkDerivation { pname = \"quiet\"; version = \"1\"; nativeBuildInputs = [ lib.tools.coreutils ];\n\
        src = /extra/set.nix; buildCommand = ''mkdir -p \"$out\"; cp \"$src\" \"$out/text\"''; }; }";
    std::fs::write(world.extra().join("set.nix"), set).unwrap();
    let policy = |name: &str, until: &str| {
        let text = include_str!("../../../../policies/default.toml").replace("name = \"default\"", "name = \"mine\"");
        let exception = "[[exceptions]]\npackage = [\"quiet\"]\ncodes = [\"license-unknown\"]\nreason = \"ours\"\n\
                         responsible = \"ann@example.org\"\n";
        std::fs::write(world.extra().join(name), format!("{text}\n{exception}until = {until}\n")).unwrap();
    };
    policy("living.toml", "2999-12-31");
    policy("over.toml", "2020-12-31");
    let run = ["run", "/extra/set.nix", "--policy", "/extra/living.toml", "--format", "json"];
    let rows = world.narthex(&store, &state, &run).expect(0).rows();
    let quiet = row(&rows, "quiet", "out");
    assert_eq!((text(quiet, "verdict"), text(&quiet["reasons"][0], "code")), ("publish", "policy-exception"));
    let recheck = |policy: &str| {
        let policy = world.extra().join(policy);
        narthex(&state, &["audit", "--recheck", "--policy", policy.to_str().unwrap()])
    };
    // Under another policy everything of this kind would be taken back.
    let other = narthex(&state, &["audit", "--recheck", "--policy", "default"]).expect(1);
    let left = "published it by an exception or a grant: 1 published path of `mine`; give it with --policy";
    assert!(other.err.contains(left), "{}", other.err);
    assert!(other.out.starts_with("0 published paths audited again, 0 taken back"), "{}", other.out);
    let same = recheck("living.toml").expect(0);
    assert!(same.out.starts_with("1 published path audited again, 0 taken back"), "{}", same.out);
    let over = recheck("over.toml").expect(3);
    assert!(over.out.contains(text(quiet, "path")), "{}", over.out);
    let why = narthex(&state, &["why", text(quiet, "path")]).expect(0);
    assert!(why.out.contains("ended on 2020-12-31; ask ann@example.org"), "{}", why.out);
}

/// The program with nothing behind it, so much that it is `size` bytes long.
fn with_a_hole(program: &Path, size: u64) -> PathBuf {
    let large = program.with_extension("hole");
    std::fs::copy(program, &large).unwrap();
    std::fs::File::options().write(true).open(&large).unwrap().set_len(size).unwrap();
    large
}

/// The program with a table of symbols and one of their names, 24 bytes a symbol.
fn with_symbols(program: &Path, count: usize) -> PathBuf {
    let mut elf = std::fs::read(program).unwrap();
    let number = |elf: &[u8], at: usize| u64::from_le_bytes(*elf[at..].first_chunk().unwrap());
    let sections = u16::from_le_bytes(*elf[60..].first_chunk().unwrap());
    let table = number(&elf, 40) as usize;
    let mut headers = elf[table..table + usize::from(sections) * 64].to_vec();
    let names: Vec<u8> = (0..100_000).flat_map(|n| format!("\0symbol{n:05}").into_bytes()).chain([0]).collect();
    let symbols = (0..count as u32).flat_map(|n| {
        let mut symbol = [0; 24];
        symbol[..4].copy_from_slice(&(n % 100_000 * 12 + 1).to_le_bytes());
        (symbol[4], symbol[6]) = (0x12, 1);
        symbol
    });
    let symbols: Vec<u8> = symbols.collect();
    for (kind, link, content) in [(3, 0, names), (2, u32::from(sections), symbols)] {
        let mut header = [0; 64];
        header[4] = kind;
        header[24..32].copy_from_slice(&(elf.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
        header[40..44].copy_from_slice(&link.to_le_bytes());
        (header[44], header[56]) = (1, 24);
        headers.extend_from_slice(&header);
        elf.extend_from_slice(&content);
    }
    let end = elf.len() as u64;
    elf[40..48].copy_from_slice(&end.to_le_bytes());
    elf[60..62].copy_from_slice(&(sections + 2).to_le_bytes());
    elf.extend_from_slice(&headers);
    let large = program.with_extension("symbols");
    std::fs::write(&large, elf).unwrap();
    large
}

/// A program with some code of its own.
const APPLICATION: &str = "#include <stdio.h>\n#include <stdlib.h>\nint cudaFree(void *);\n\
    static double mean(const double *x, int n) { double s = 0; for (int i = 0; i < n; i++) s += x[i]; return n ? s / n : 0; }\n\
    static int order(const void *a, const void *b) { double d = *(const double *)a - *(const double *)b; return (d > 0) - (d < 0); }\n\
    int main(int argc, char **argv) {\n\
        double *x = calloc(argc, sizeof *x), s = 0; if (!x) return 2;\n\
        for (int i = 1; i < argc; i++) { x[i - 1] = strtod(argv[i], 0); s += x[i - 1] * x[i - 1]; }\n\
        qsort(x, argc - 1, sizeof *x, order);\n\
        for (int i = 0; i + 1 < argc; i++) printf(\"%d %g %g\\n\", i, x[i], x[i] - mean(x, argc - 1));\n\
        printf(\"%g %g %d\\n\", mean(x, argc - 1), s, cudaFree(x)); return 0; }\n";

/// Without any state the shipped corpus knows the runtime in a program, whatever the release.
#[test]
fn the_shipped_corpus_finds_what_nobody_taught() {
    let dir = tempfile::tempdir().unwrap();
    let mut unzip = Command::new("unzip");
    unzip.arg("-qoj").arg(wheel()).args(["*libcudart_static.a", "-d"]).arg(dir.path());
    assert!(unzip.status().unwrap().success());
    let build = |name: &str, source: &str| {
        std::fs::write(dir.path().join("p.c"), source).unwrap();
        let mut gcc = Command::new("gcc");
        gcc.current_dir(dir.path()).args(["-O2", "p.c", "-o", name, "libcudart_static.a"]);
        assert!(gcc.args(["-lpthread", "-ldl", "-lrt", "-s"]).status().unwrap().success());
        dir.path().join(name)
    };
    // A program that does nothing but call the library is no application that includes it.
    let hollow = build("hollow", "int cudaFree(void *);\nint main(void) { return cudaFree(0); }\n");
    let rows = narthex(&dir.path().join("none"), &["audit", "--format", "json", hollow.to_str().unwrap()]);
    let kinds: Vec<String> = rows.expect(0).rows().iter().map(|row| text(row, "kind").to_owned()).collect();
    assert!(kinds.iter().any(|kind| kind == "modified-copy"), "{kinds:?}");
    assert!(kinds.iter().all(|kind| kind != "static"), "{kinds:?}");
    let program = build("p", APPLICATION);
    let audit = |more: &[&str]| {
        let arguments = [&["audit", "--format", "json", program.to_str().unwrap()], more].concat();
        narthex(&dir.path().join("none"), &arguments).expect(0).rows()
    };
    let rows = audit(&[]);
    let found = rows.iter().find(|row| row["kind"] == "static").unwrap();
    assert_eq!(found["functions"], serde_json::json!({"found": 942, "of": 942}), "{found:#}");
    assert!(found["coverage"].as_f64().unwrap() > 0.95 && found["restricted"] == true);
    assert!(text(&found["material"], "file").ends_with("libcudart_static.a"));
    let functions = audit(&["--explain", "p"]).iter().filter(|row| row["kind"] == "function").count();
    assert!(functions >= 942, "{functions}");
    assert!(!dir.path().join("none").exists(), "an audit makes no state folder");
    for large in [with_a_hole(&program, 5 << 30), with_symbols(&program, 10_000_000)] {
        let mut bounded = Command::new("sh");
        bounded.args(["-c", "ulimit -d 500000 && exec \"$0\" \"$@\""]).arg(crate::world::program());
        bounded.args(["audit", "--format", "json"]).arg(&large);
        let rows = Said::of(bounded.output().unwrap()).expect(0).rows();
        let found = rows.iter().find(|row| row["kind"] == "static").unwrap();
        assert_eq!(found["functions"], serde_json::json!({"found": 942, "of": 942}), "{}", large.display());
        assert!(rows.iter().all(|row| row["kind"] != "not-audited"), "{rows:#?}");
        std::fs::remove_file(large).unwrap();
    }
}
