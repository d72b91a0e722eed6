//! Ways past the gate that somebody tried: each must end in a withheld path.

use crate::example::{row, text};
use crate::world::{Said, Store, World};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A world with a store that has the vendor's wheels, and package sets over the example's library.
pub(crate) struct Attack {
    pub(crate) world: World,
    pub(crate) store: Store,
}

pub(crate) const PRELUDE: &str = "let cuda = import /examples/cuda { }; lib = import /examples/cuda/lib.nix { system = \"x86_64-linux\"; };\n\
    inherit (lib) licenses mkDerivation; inherit (lib.tools) coreutils unzip; wheel = cuda.cuda_cudart.src;\n\
    unfree = { shortName = \"unfree\"; free = false; }; in\n";

impl Attack {
    pub(crate) fn new() -> Self {
        let world = World::new("2.8");
        let store = world.store("store");
        Self { world, store }
    }

    pub(crate) fn run(&self, state: &str, set: &str, more: &[&str]) -> Said {
        std::fs::write(self.world.extra().join("set.nix"), format!("{PRELUDE}{set}")).unwrap();
        let run = [&["run", "/extra/set.nix", "--format", "json"], more].concat();
        self.world.narthex(&self.store, &self.state(state), &run)
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.world.folder(name)
    }
}

#[track_caller]
pub(crate) fn is(rows: &[Value], attr: &str, verdict: &str, code: &str) {
    let row = row(rows, attr, "out");
    assert_eq!((text(row, "verdict"), text(&row["reasons"][0], "code")), (verdict, code), "{row:#}");
}

pub(crate) const TEXT: &str = "text = name: license: mkDerivation { pname = name; version = \"1\"; nativeBuildInputs = [ coreutils ]; \
    buildCommand = ''mkdir \"$out\"; echo ${name} > \"$out/file\"''; meta = { inherit license; }; };";

/// One derivation under two attributes with different licenses: both apply, whichever is asked for, and
/// also where a third attribute breaks the evaluation in two.
#[test]
fn a_second_attribute_does_not_launder_a_derivation() {
    let attack = Attack::new();
    let set = |more: &str| {
        format!(
            "let {TEXT} one = text \"one\" licenses.mit; in {{ free = one; nonfree = one // {{ meta.license = unfree; }}; {more} }}"
        )
    };
    let whole = attack.run("whole", &set(""), &[]).expect(0).rows();
    is(&whole, "free", "withhold", "license-restricted");
    let part = attack.run("part", &set(""), &["-A", "free"]).expect(0).rows();
    is(&part, "free", "withhold", "license-restricted");
    let halved = attack.run("halved", &set("bad = abort \"no\";"), &[]).expect(1).rows();
    is(&halved, "free", "withhold", "license-restricted");
}

/// A product that is named like a source (`builtins.storePath`) is no source.
#[test]
fn a_product_is_no_source() {
    let attack = Attack::new();
    let secret =
        attack.run("first", &format!("let {TEXT} in {{ secret = text \"secret\" unfree; }}"), &[]).expect(0).rows();
    let path = text(row(&secret, "secret", "out"), "path");
    let set = format!(
        "{{ app = mkDerivation {{ pname = \"app\"; version = \"1\"; nativeBuildInputs = [ coreutils ]; \
         secret = builtins.storePath \"{path}\"; buildCommand = ''cat \"$secret/file\"; mkdir \"$out\"; ln -s \"$secret\" \"$out/link\"''; \
         meta.license = licenses.mit; }}; }}"
    );
    let rows = attack.run("second", &set, &[]).expect(0).rows();
    is(&rows, "app", "publish", "license-free");
    let log = text(row(&rows, "app", "out"), "deriver")["/nix/store/".len()..].to_owned();
    assert!(!attack.state("second").join("objects/log").join(log).exists(), "its log could hold the secret");
    let secret = rows.iter().find(|row| text(row, "path") == path).unwrap();
    assert_eq!((text(secret, "verdict"), text(&secret["reasons"][0], "code")), ("withhold", "license-unknown"));
}

/// Nothing but a vendor's files under a free label; a vendor's file without its section table; and a
/// free license named beside the vendor's.
#[test]
fn labels_and_missing_tables_hide_nothing() {
    let attack = Attack::new();
    let set = "let package = name: license: command: mkDerivation { pname = name; version = \"1\"; src = wheel;\n\
        nativeBuildInputs = [ coreutils unzip ]; meta = { inherit license; }; buildCommand = ''\n\
        unzip -q -j \"$src\" nvidia/cuda_runtime/lib/libcudart.so.12 nvidia/cuda_runtime/lib/libcudart_static.a\n\
        ${command}''; }; in { inherit (cuda) cuda_cudart;\n\
        alone = package \"alone\" licenses.mit ''mkdir -p \"$out/lib\"; cp libcudart_static.a \"$out/lib/\"'';\n\
        single = package \"single\" licenses.mit ''cp libcudart_static.a \"$out\"'';\n\
        tableless = package \"tableless\" licenses.mit ''chmod u+w libcudart.so.12\n\
          dd if=/dev/zero of=libcudart.so.12 bs=1 seek=40 count=8 conv=notrunc\n\
          dd if=/dev/zero of=libcudart.so.12 bs=1 seek=60 count=4 conv=notrunc\n\
          mkdir -p \"$out/lib\"; cp libcudart.so.12 \"$out/lib/libmine.so\"; echo own > \"$out/lib/own\"'';\n\
        both = package \"both\" [ licenses.mit licenses.nvidiaCudaRedist ] ''mkdir -p \"$out/lib\"; cp libcudart.so.12 \"$out/lib/\"''; }";
    let set = set.replace("dd if", "/usr/bin/dd if");
    let rows = attack.run("state", &set, &[]).expect(0).rows();
    is(&rows, "alone", "withhold", "terms-standalone");
    is(&rows, "single", "withhold", "terms-standalone");
    // A gap as well, and known all the same.
    is(&rows, "tableless", "withhold", "terms-modified");
    let codes = row(&rows, "tableless", "out")["reasons"].as_array().unwrap();
    assert!(codes.iter().any(|reason| text(reason, "code") == "audit-incomplete"), "{codes:#?}");
    is(&rows, "both", "withhold", "terms-standalone");
}

/// A vendor's library that was changed, joined, renamed or put beside something that is no application. None of these
/// is an application that includes it, whatever the label says.
#[test]
fn changed_and_lonely_copies_are_no_inclusion() {
    let attack = Attack::new();
    let set = "let package = name: command: mkDerivation { pname = name; version = \"1\"; src = wheel;\n\
        nativeBuildInputs = [ binutils coreutils gcc unzip zip ]; meta.license = licenses.mit; buildCommand = ''\n\
        unzip -q -j \"$src\" nvidia/cuda_runtime/lib/libcudart.so.12 nvidia/cuda_runtime/lib/libcudart_static.a\n\
        chmod u+w libcudart*; mkdir -p \"$out/lib\" \"$out/bin\"\n\
        ${command}''; };\n\
        # The same with a program of its own beside it.\n\
        beside = name: command: package name ''cp /usr/bin/env \"$out/bin/own\"\n${command}'';\n\
        libs = \"-Wl,--whole-archive libcudart_static.a -Wl,--no-whole-archive -ldl -lpthread -lrt\";\n\
        inherit (lib.tools) binutils gcc zip;\n\
        in { inherit (cuda) cuda_cudart;\n\
        changed = beside \"changed\" ''for at in 70000 140000 210000 280000 350000 420000 490000 560000 630000 700000; do\n\
          printf x | /usr/bin/dd of=libcudart.so.12 bs=1 seek=$at conv=notrunc; done\n\
          cp libcudart.so.12 \"$out/lib/libmine.so\"'';\n\
        stripped = beside \"stripped\" ''strip -S libcudart_static.a; cp libcudart_static.a \"$out/lib/\"'';\n\
        joined = beside \"joined\" ''cc -r -nostdlib -o \"$out/lib/joined.o\" -Wl,--whole-archive libcudart_static.a'';\n\
        linked = beside \"linked\" ''cc -shared -Wl,-soname,libcudart.so.12 -o \"$out/lib/mine.so\" ${libs}'';\n\
        nothing = beside \"nothing\" ''echo 'int main(){return 0;}' > e.c; cc -o \"$out/bin/e\" e.c ${libs}; strip \"$out/bin/e\"'';\n\
        static = beside \"static\" ''echo 'int main(){return 0;}' > e.c; cc -static -o \"$out/bin/e\" e.c ${libs} -lm; strip \"$out/bin/e\"'';\n\
        forward = beside \"forward\" ''for f in Malloc Free GetDevice SetDevice StreamCreate StreamDestroy EventCreate EventDestroy HostUnregister FreeHost; do\n\
          echo \"int cuda$f(void *); int foo_$f(void *p) { return cuda$f(p); }\"; done > e.c; seq 99 | while read n; do\n\
          echo \"static int own$n(int x) { return x * $n + $n; } int (*volatile at$n)(int) __attribute__((visibility(\\\"hidden\\\"))) = own$n;\"; done >> e.c\n\
          cc -O2 -fPIC -shared -Wl,--exclude-libs,ALL -o \"$out/lib/libfoo.so\" e.c libcudart_static.a -ldl -lpthread -lrt'';\n\
        filler = package \"filler\" ''echo 'int main(){return 0;} __asm__(\".rept 999; nop; incl %eax; .endr\");' > e.c\n\
          cc -o \"$out/bin/e\" e.c; cp libcudart.so.12 \"$out/lib/\"'';\n\
        dead = package \"dead\" ''(seq 99 | while read n; do echo \"int own$n(int x) { return x * $n + $n; }\"; done; echo 'int main(){return 0;}') > e.c\n\
          cc -O2 -static -o \"$out/bin/e\" e.c; strip \"$out/bin/e\"; cp libcudart.so.12 \"$out/lib/\"'';\n\
        idle = package \"idle\" ''echo 'int main(){return 0;}' > e.c; cc -o \"$out/bin/e\" e.c; cp libcudart.so.12 \"$out/lib/\"'';\n\
        word = package \"word\" ''echo 1 > \"$out/app.py\"; touch \"$out/own\"; cp libcudart.so.12 \"$out/lib/\"'';\n\
        wheel = package \"wheel\" ''mkdir x.dist-info; echo Name: x > x.dist-info/METADATA\n\
          zip -q -X \"$out/x.whl\" libcudart.so.12 x.dist-info/METADATA'';\n\
        whole = beside \"whole\" ''cp libcudart.so.12 \"$out/lib/\"''; }";
    let rows = attack.run("state", set, &[]).expect(0).rows();
    for attr in ["changed", "stripped", "joined", "linked", "nothing", "static", "forward"] {
        is(&rows, attr, "withhold", "terms-modified");
    }
    for attr in ["idle", "word", "wheel", "filler", "dead"] {
        is(&rows, attr, "withhold", "terms-standalone");
    }
    is(&rows, "whole", "publish", "terms-permit-copy");
}

/// What a build prints of withheld files is not published by way of its log.
#[test]
fn logs_carry_nothing_out() {
    let attack = Attack::new();
    let set = "{ inherit (cuda) cuda_cudart; chatty = mkDerivation { pname = \"chatty\"; version = \"1\"; nativeBuildInputs = [ coreutils ];\n\
        header = cuda.cuda_cudart.dev; meta.license = licenses.mit;\n\
        buildCommand = ''cat \"$header/include/cuda_runtime_api.h\"; echo done > \"$out\"''; }; }";
    let rows = attack.run("state", set, &[]).expect(0).rows();
    is(&rows, "chatty", "publish", "license-free");
    let logs: Vec<_> =
        std::fs::read_dir(attack.state("state").join("objects/log")).unwrap().map(|e| e.unwrap().path()).collect();
    let says = |path: &Path| std::fs::read_to_string(path).unwrap().contains("cudaMalloc");
    assert!(!logs.iter().any(|path| says(path)), "{logs:?}");
    // A policy under which nothing may leave takes back the logs of what read it, too.
    let before = logs.len();
    let strict =
        include_str!("../../../../policies/strict.toml").replacen("free = \"publish\"", "free = \"withhold\"", 1);
    std::fs::write(attack.world.extra().join("none.toml"), strict).unwrap();
    attack.run("state", set, &["--policy", "/extra/none.toml"]).expect(0);
    assert!(before > 0);
    assert_eq!(std::fs::read_dir(attack.state("state").join("objects/log")).unwrap().count(), 0);
}

/// A lost corpus opens nothing: what was withheld for its bytes stays so until all is learned again.
#[test]
fn a_lost_corpus_opens_nothing() {
    let attack = Attack::new();
    let state = attack.state("state");
    let vendor = format!("let {TEXT} in {{ vendor = text \"vendor\" unfree; }}");
    // More than 64 bytes, below which files are not learned.
    let long = |set: &str| {
        set.replace("echo ${name}", "echo ${name}-and-a-line-that-is-long-enough-to-be-learned-as-a-file-of-its-own")
    };
    attack.run("state", &long(&vendor), &[]).expect(0);
    let copy = "{ app = mkDerivation { pname = \"app\"; version = \"1\"; nativeBuildInputs = [ coreutils ]; meta.license = licenses.mit;\n\
        buildCommand = ''mkdir \"$out\"; echo vendor-and-a-line-that-is-long-enough-to-be-learned-as-a-file-of-its-own > \"$out/x\"''; }; }";
    is(&attack.run("state", copy, &[]).expect(0).rows(), "app", "withhold", "terms-missing");
    std::fs::remove_file(state.join("corpus")).unwrap();
    let said = attack.run("state", copy, &[]).expect(0);
    is(&said.rows(), "app", "withhold", "terms-missing");
    assert!(said.err.contains("it lacks vendor-1"), "{}", said.err);
    // Learned again, the warning goes.
    attack.run("state", &long(&vendor), &[]).expect(0);
    let said = attack.run("state", copy, &[]).expect(0);
    assert!(!said.err.contains("it lacks"), "{}", said.err);
    is(&said.rows(), "app", "withhold", "terms-missing");
}

/// Restricted packages without files (links only, an empty folder) have nothing that a corpus could lack.
#[test]
fn packages_without_files_are_not_missed() {
    let attack = Attack::new();
    let hollow = "{ hollow = mkDerivation { pname = \"hollow\"; version = \"1\"; nativeBuildInputs = [ coreutils ];\n\
        meta.license = unfree; buildCommand = ''mkdir \"$out\"; ln -s nowhere \"$out/link\"''; }; }";
    attack.run("state", hollow, &[]).expect(0);
    let said = attack.run("state", &format!("let {TEXT} in {{ free = text \"free\" licenses.mit; }}"), &[]).expect(0);
    assert!(!said.err.contains("it lacks"), "{}", said.err);
}

/// A job whose derivation is not in the store is an error of its own.
#[test]
fn a_derivation_that_is_gone_stops_nobody_else() {
    let attack = Attack::new();
    let set = format!(
        "let {TEXT} in {{ good = text \"good\" licenses.mit; gone = {{ type = \"derivation\"; name = \"gone\"; system = \"x86_64-linux\"; \
         outputName = \"out\"; drvPath = \"/nix/store/00000000000000000000000000000000-gone.drv\"; \
         outPath = \"/nix/store/00000000000000000000000000000000-gone\"; }}; }}"
    );
    let rows = attack.run("state", &set, &[]).expect(1).rows();
    is(&rows, "good", "publish", "license-free");
    let gone = rows.iter().find(|row| row["attr"] == "gone").unwrap();
    assert!(text(&gone["error"], "message").contains("gone.drv cannot be read"), "{gone:#}");
}

/// Packages that call a vendor's files their own, and programs that hold them: whoever else has the bytes is heard as
/// well, and what ships has no second owner.
#[test]
fn no_package_makes_a_vendors_files_its_own() {
    let attack = Attack::new();
    let set = "let redistributable = { shortName = \"unfreeRedistributable\"; free = false; redistributable = true; };\n\
        claim = name: license: src: command: mkDerivation { pname = name; version = \"2.27.3\"; inherit src;\n\
        nativeBuildInputs = [ coreutils unzip ]; meta = { inherit license; }; buildCommand = ''\n\
        unzip -q -j -o \"$src\" -d w; chmod -R u+w w; mkdir -p \"$out/lib\"; ${command}''; };\n\
        use = from: mkDerivation { pname = \"use-${from.pname}\"; version = \"1\"; nativeBuildInputs = [ coreutils ];\n\
        meta.license = licenses.mit; buildCommand = ''mkdir -p \"$out/bin\" \"$out/lib\"; cp -r ${from}/lib/. \"$out/lib/\"\n\
        printf '#!/bin/sh\\necho a program of its own\\n' > \"$out/bin/own\"''; };\n\
        header = claim \"nccl\" redistributable wheel ''cp w/cuda.h \"$out/lib/nccl.h\"'';\n\
        edited = claim \"nccl\" redistributable wheel ''(echo '/* nccl */'; cat w/cuda_fp16.h) > \"$out/lib/nccl_fp16.h\"'';\n\
        library = claim \"nccl\" redistributable wheel ''printf x >> w/libcudart.so.12; cp w/libcudart.so.12 \"$out/lib/libnccl.so.2\"'';\n\
        archive = claim \"nccl\" redistributable wheel ''cp w/libcudart_static.a \"$out/lib/libnccl_static.a\"'';\n\
        thinned = claim \"nccl\" redistributable wheel ''/usr/bin/strip -S w/libcudart_static.a; cp w/libcudart_static.a \"$out/lib/libnccl_static.a\"'';\n\
        tool = claim \"cuda_cudart\" licenses.nvidiaCudaRedist cuda.cuda_nvcc.src ''cp w/ptxas \"$out/lib/libcudart.so.12\"'';\n\
        honest = claim \"nccl\" redistributable wheel ''for n in $(seq 200); do echo \"int nccl_$n(int of_$n, char *by_$n);\"; done > \"$out/lib/nccl.h\"'';\n\
        in { inherit (cuda) cuda_nvcc; inherit header edited library archive thinned tool honest; header-again = header // { meta.license = redistributable; };\n\
        use-header = use header; use-edited = use edited; use-library = use library; use-archive = use archive; use-thinned = use thinned; use-tool = use tool;\n\
        use-honest = use honest; }";
    // Without `cuda_cudart`, so that nothing but what ships knows its wheel, and with it.
    for (state, set) in
        [("without", set.to_owned()), ("with", set.replace("(cuda) cuda_nvcc", "(cuda) cuda_cudart cuda_nvcc"))]
    {
        let rows = attack.run(state, &set, &[]).expect(0).rows();
        let check = |attr: &str, code: &str| {
            for attr in [attr.to_owned(), format!("use-{attr}")] {
                let row = row(&rows, &attr, "out");
                let codes: Vec<&str> = row["reasons"].as_array().unwrap().iter().map(|r| text(r, "code")).collect();
                assert!(text(row, "verdict") == "withhold" && codes.contains(&code), "{state} {attr}: {row:#}");
            }
        };
        check("header", "terms-file-not-listed");
        check("edited", "terms-modified");
        check("library", "terms-modified");
        // No application has it in it, whatever the package calls itself.
        check("archive", "terms-standalone");
        check("thinned", "terms-modified");
        check("tool", "terms-file-not-listed");
        for attr in ["honest", "use-honest"] {
            assert_eq!(text(row(&rows, attr, "out"), "verdict"), "publish", "{attr}");
        }
        // What terms permit as a part of an application is permitted by those terms, not by the false owner's.
        let used = row(&rows, "use-archive", "out");
        let named: Vec<&Value> =
            used["reasons"].as_array().unwrap().iter().flat_map(|r| r["evidence"].as_array().unwrap()).collect();
        assert!(named.iter().any(|e| e["terms"]["id"] == "cuda-toolkit"), "{used:#}");
    }
}

/// Of a file that two packages name as their source each is heard, whoever came first and in whichever run.
#[test]
fn a_source_has_every_owner_that_names_it() {
    let attack = Attack::new();
    let bytes: Vec<u8> = (0..70_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(attack.world.extra().join("libnccl.so.2"), bytes).unwrap();
    let set = "let package = name: license: mkDerivation { pname = name; version = \"1\"; src = /extra/libnccl.so.2;\n\
        nativeBuildInputs = [ coreutils ]; meta = { inherit license; };\n\
        buildCommand = ''mkdir -p \"$out/lib\"; cp \"$src\" \"$out/lib/libnccl.so.2\"; echo ${name} > \"$out/lib/nccl_name.h\"''; };\n\
        redistributable = { shortName = \"unfreeRedistributable\"; free = false; redistributable = true; };\n\
        in { nccl = package \"nccl\" redistributable; ";
    let alone = attack.run("two", &format!("{set} }}"), &[]).expect(0).rows();
    // Nobody else is known to have it.
    assert_eq!(text(row(&alone, "nccl", "out"), "verdict"), "publish");
    for (state, name) in [("two", "acme"), ("one", "acme"), ("other", "zeta")] {
        let both = format!("{set} {name} = package \"{name}\" unfree; }}");
        let rows = attack.run(state, &both, &[]).expect(0).rows();
        is(&rows, "nccl", "withhold", "terms-missing");
    }
}

/// A vendor's text after an edit, in whatever file, beside a program of its own.
#[test]
fn an_edited_text_is_no_text_of_its_own() {
    let attack = Attack::new();
    let rows = [
        ("comment", "(echo '// mine'; cat w/cuda.h) > \"$out/cuda.h\"", "terms-file-not-listed"),
        ("newline", "(cat w/cuda_fp16.h; echo) > \"$out/fp16.h\"", "terms-modified"),
        (
            "sed",
            "/usr/bin/sed 's/cudaError_t/error_t/g' w/cuda_runtime_api.h > \"$out/api.h\"",
            "terms-file-not-listed",
        ),
        (
            "host-config",
            "/usr/bin/sed 's/unsupported GNU version/any version/; /^ \\*/d' n/host_config.h > \"$out/host_config.h\"",
            "terms-file-not-listed",
        ),
        (
            "script",
            "(echo \"cat > x <<'E'\"; cat w/vector_types.h; echo E) > \"$out/make.sh\"",
            "terms-file-not-listed",
        ),
        ("amalgam", "cat w/driver_types.h w/vector_types.h n/host_config.h > \"$out/all.c\"", "terms-file-not-listed"),
        ("archive", "(echo; cat w/cuda_fp16.hpp) > x.h; /usr/bin/tar cf \"$out/x.tar\" x.h", "terms-modified"),
        ("wide", "/usr/bin/iconv -t UTF-16 w/cuda_fp16.hpp > \"$out/x\"", "terms-modified"),
        ("cut", "/usr/bin/split -n l/16 w/cuda_fp16.hpp \"$out/part-\"", "terms-modified"),
    ];
    let package = |(name, command, _): &(&str, &str, &str)| format!("{name} = package \"{name}\" ''{command}'';\n");
    let packages: String = rows.iter().map(package).collect();
    let set = format!(
        "let package = name: command: mkDerivation {{ pname = name; version = \"1\"; src = wheel; other = cuda.cuda_nvcc.src;\n\
         nativeBuildInputs = [ coreutils unzip ]; meta.license = licenses.mit; buildCommand = ''\n\
         unzip -q -j -o \"$src\" -d w; unzip -q -j -o \"$other\" -d n; mkdir -p \"$out/bin\"\n\
         printf '#!/bin/sh\\necho a program of its own\\n' > \"$out/bin/own\"\n${{command}}''; }};\n\
         in {{ inherit (cuda) cuda_nvcc; {packages}\n\
         license = package \"license\" ''(echo mine; cat w/License.txt) > \"$out/License.txt\"'';\n\
         own = package \"own\" ''(for n in $(seq 200); do echo \"int own_$n(int of_$n, char *by_$n);\"; done) > \"$out/own.h\"''; }}"
    );
    let said = attack.run("state", &set, &[]).expect(0).rows();
    for (attr, _, code) in rows {
        is(&said, attr, "withhold", code);
    }
    for attr in ["license", "own"] {
        is(&said, attr, "publish", "license-free");
    }
}
