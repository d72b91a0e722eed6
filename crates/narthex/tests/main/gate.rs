//! What a state must keep to itself when something is forgotten or lost, and what goes with what: policies, corpora, sources,
//! logs, long texts, modes of files.

use crate::attack::{Attack, is};
use crate::example::{row, text};
use crate::world::Said;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// More than 64 bytes, below which files are not learned.
const SECRET: &str = "a-line-of-a-vendor-that-is-long-enough-to-be-learned-as-a-file-of-its-own";

/// `text`: a package with one file.
const FILE: &str = "text = name: license: line: mkDerivation { pname = name; version = \"1\"; nativeBuildInputs = [ coreutils ]; \
    buildCommand = ''mkdir \"$out\"; echo ${line} > \"$out/file\"''; meta = { inherit license; }; };";

fn vendor() -> String {
    format!("vendor = text \"vendor\" unfree \"{SECRET}\";")
}

fn set(packages: &str) -> String {
    format!("let {FILE} {} in {{ {packages} }}", vendor())
}

fn policy(attack: &Attack, name: &str, more: &str) {
    let text = format!("version = 1\nname = \"{}\"\nextends = \"default\"\n{more}", name.trim_end_matches(".toml"));
    std::fs::write(attack.world.extra().join(name), text).unwrap();
}

fn withholding(package: &str) -> String {
    format!("[[rules]]\npackage = [\"{package}\"]\nthen = \"withhold\"\nreason = \"ours\"\n")
}

fn is_there(attack: &Attack, path: &str) -> bool {
    let hash = &path["/nix/store/".len()..][..32];
    attack.state("state").join("objects").join(format!("{hash}.narinfo")).exists()
}

#[track_caller]
fn in_order(said: &Said, parts: &[&str]) {
    let mut rest = said.err.as_str();
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("`{part}` is not where it should be in\n{}", said.err));
        rest = &rest[at + part.len()..];
    }
}

/// Whoever forgets `--policy` publishes nothing that the policy withholds, and whoever names another one sees first what it
/// changes.
#[test]
fn a_state_remembers_its_policy() {
    let attack = Attack::new();
    let set = set("a = text \"a\" licenses.mit \"a\"; b = text \"b\" licenses.mit \"b\";");
    let run = |more: &[&str]| attack.run("state", &set, more);
    let recheck = |more: &[&str]| {
        let command = [&["audit", "--recheck"], more].concat();
        attack.world.narthex(&attack.store, &attack.state("state"), &command)
    };
    let mine = ["--policy", "/extra/mine.toml"];
    let default = ["--policy", "default"];
    policy(&attack, "mine.toml", &withholding("a"));
    let rows = run(&mine).expect(0).rows();
    is(&rows, "a", "withhold", "policy-rule");
    let path = text(row(&rows, "a", "out"), "path").to_owned();
    for said in [run(&[]).expect(2), recheck(&[]).expect(2)] {
        in_order(&said, &["is published with `mine`", "hint: give `--policy /extra/mine.toml`"]);
        assert_eq!(said.out, "");
    }
    assert!(!is_there(&attack, &path));
    // The same one says nothing of it.
    assert!(!run(&mine).expect(0).err.contains("policy"), "nothing changed");
    let said = run(&default).expect(0);
    in_order(&said, &["the policy is `default`, and was `mine`: 0 paths withheld now, 1 published now"]);
    in_order(&said, &["published now: a-1 (license-free", "uploaded a-1"]);
    assert!(is_there(&attack, &path));
    // What is published with the default needs no name.
    run(&[]).expect(0);
    let said = run(&mine).expect(0);
    in_order(&said, &["and was `default`: 1 path withheld now", "withheld now: a-1 (policy-rule", "took back a-1"]);
    assert!(!is_there(&attack, &path));
    // The same file with another text is the same policy, and its changes are shown all the same.
    policy(&attack, "mine.toml", &withholding("b"));
    let said = run(&mine).expect(0);
    in_order(&said, &["the policy `mine` has changed: 1 path withheld now, 1 published now", "took back b-1"]);
    // So are those of a text that it only extends.
    std::fs::write(
        attack.world.extra().join("company.toml"),
        "version = 1\nname = \"company\"\nextends = \"default\"\n",
    )
    .unwrap();
    let extended = format!("version = 1\nname = \"mine\"\nextends = \"company.toml\"\n{}", withholding("b"));
    std::fs::write(attack.world.extra().join("mine.toml"), extended).unwrap();
    in_order(&run(&mine).expect(0), &["has changed: 0 paths"]);
    let company = "version = 1\nname = \"company\"\nextends = \"default\"\n[classes]\nfree = \"withhold\"\n";
    std::fs::write(attack.world.extra().join("company.toml"), company).unwrap();
    in_order(&run(&mine).expect(0), &["has changed: 2 paths withheld now", "took back a-1"]);
    // A shipped one that is no default has to be named again, too.
    run(&["--policy", "strict"]).expect(0);
    in_order(&run(&[]).expect(2), &["is published with `strict`", "hint: give `--policy strict`"]);
    run(&default).expect(0);
    // Without a catalog nobody remembers, and nobody guesses.
    for file in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"] {
        let _ = std::fs::remove_file(attack.state("state").join(file));
    }
    in_order(&run(&[]).expect(2), &["it is not known with which one", "hint: the catalog was lost"]);
    run(&default).expect(0);
    run(&[]).expect(0);
}

/// While the corpus lacks anything, what was not published before is not published, whichever way it was lost.
#[test]
fn a_corpus_that_was_lost_opens_nothing_new() {
    let attack = Attack::new();
    let before = set("inherit vendor; old = text \"old\" licenses.mit \"old\";");
    let with = |more: &str| set(&format!("old = text \"old\" licenses.mit \"old\"; {more}"));
    let copies =
        with(&format!("copy = text \"copy\" licenses.mit \"{SECRET}\"; new = text \"new\" licenses.mit \"new\";"));
    type Loss = fn(&Path);
    let catalog = |state: &Path| {
        for file in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"] {
            let _ = std::fs::remove_file(state.join(file));
        }
    };
    let _: fn(&Path) = catalog;
    let losses: [(&str, Loss, &[&str]); 3] = [
        ("gone", |state| std::fs::remove_file(state.join("corpus")).unwrap(), &[]),
        ("replaced", |state| std::fs::copy(state.join("../older"), state.join("corpus")).map(|_| ()).unwrap(), &[]),
        (
            "both",
            |state| {
                for file in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm", "corpus"] {
                    let _ = std::fs::remove_file(state.join(file));
                }
            },
            &["--policy", "default"],
        ),
    ];
    // A corpus of another time, which knows something else.
    attack.run("elsewhere", &set("other = text \"other\" unfree \"another-line-of-a-vendor-that-is-long-enough-to-be-learned-as-well-as-it-is\";"), &[]).expect(0);
    std::fs::copy(attack.state("elsewhere").join("corpus"), attack.state("elsewhere").join("../older")).unwrap();
    for (name, lose, more) in losses {
        attack.run(name, &before, &[]).expect(0);
        let state = attack.state(name);
        lose(&state);
        let said = attack.run(name, &copies, more).expect(0);
        in_order(&said, &["the corpus was lost and is not whole yet: it lacks vendor-1"]);
        let rows = said.rows();
        is(&rows, "copy", "withhold", "corpus-incomplete");
        is(&rows, "new", "withhold", "corpus-incomplete");
        is(&rows, "old", "publish", "license-free");
        // It stays so in the next run, which no longer sees that anything is new.
        is(&attack.run(name, &copies, &[]).expect(0).rows(), "copy", "withhold", "corpus-incomplete");
        let recheck = attack.world.narthex(&attack.store, &state, &["audit", "--recheck"]);
        in_order(&recheck.expect(1), &["it lacks vendor-1"]);
        let audit = attack.world.narthex(&attack.store, &state, &["audit", text(row(&rows, "copy", "out"), "path")]);
        in_order(&audit.expect(0), &["it lacks vendor-1"]);
        // Learned again, everything is decided as ever.
        attack.run(name, &before, &[]).expect(0);
        let said = attack.run(name, &copies, &[]).expect(0);
        assert!(!said.err.contains("it lacks"), "{}", said.err);
        is(&said.rows(), "copy", "withhold", "terms-missing");
        is(&said.rows(), "new", "publish", "license-free");
    }
    // A catalog alone that is lost takes nothing with it that the corpus still has.
    attack.run("catalog", &before, &[]).expect(0);
    catalog(&attack.state("catalog"));
    let said = attack.run("catalog", &copies, &["--policy", "default"]).expect(0);
    assert!(!said.err.contains("it lacks"), "{}", said.err);
    is(&said.rows(), "copy", "withhold", "terms-missing");
    is(&said.rows(), "new", "publish", "license-free");
}

/// What was added by hand is missed like everything else, and what is removed deliberately is not.
#[test]
fn what_was_added_by_hand_is_missed() {
    let attack = Attack::new();
    let (state, extra) = (attack.state("state"), attack.world.extra());
    let set = |more: &str| set(&format!("old = text \"old\" licenses.mit \"old\"; {more}"));
    attack.run("state", &set(""), &[]).expect(0);
    let narthex = |arguments: &[&str]| attack.world.narthex(&attack.store, &state, arguments);
    for name in ["v", "w"] {
        std::fs::write(extra.join(name), format!("{name} {SECRET}\n")).unwrap();
        narthex(&["corpus", "add", &format!("/extra/{name}"), "--name", name, "--version", "1", "--license", "unfree"])
            .expect(0);
    }
    // Deliberately gone, while the rest is there.
    narthex(&["corpus", "remove", "w"]).expect(0);
    let said = attack.run("state", &set("one = text \"one\" licenses.mit \"one\";"), &[]).expect(0);
    assert!(!said.err.contains("it lacks"), "{}", said.err);
    is(&said.rows(), "one", "publish", "license-free");
    std::fs::remove_file(state.join("corpus")).unwrap();
    let two = set("two = text \"two\" licenses.mit \"two\";");
    let said = attack.run("state", &two, &[]).expect(0);
    in_order(&said, &["it lacks v-1"]);
    is(&said.rows(), "two", "withhold", "corpus-incomplete");
    // Whoever has it no longer says so.
    narthex(&["corpus", "remove", "v-1"]).expect(0);
    is(&attack.run("state", &two, &[]).expect(0).rows(), "two", "publish", "license-free");
    assert_eq!(narthex(&["corpus", "remove", "v-1"]).code, Some(2));
}

/// A source that nobody can look into goes with the package that is withheld for what came out of it.
#[test]
fn a_source_goes_with_what_came_out_of_it() {
    let attack = Attack::new();
    // Letters turned by thirteen: nothing is found in it, and `tr` takes it out.
    let turned: String = SECRET
        .chars()
        .map(|c| if c.is_ascii_lowercase() { ((c as u8 - b'a' + 13) % 26 + b'a') as char } else { c })
        .collect();
    std::fs::write(attack.world.extra().join("blob"), format!("{turned}\n")).unwrap();
    std::fs::write(
        attack.world.extra().join("own"),
        "own code of the application, of more bytes than sixty-four, so that it counts\n",
    )
    .unwrap();
    let app = "app = name: src: more: command: mkDerivation ({ pname = name; version = \"1\"; inherit src; nativeBuildInputs = [ coreutils ]; \
        meta.license = licenses.mit; buildCommand = ''mkdir \"$out\"; ${command}''; } // more);";
    let turn = "/usr/bin/tr a-z n-za-m < \"$src\" > \"$out/file\"";
    let set = |packages: &str| format!("let {FILE} {} {app} in {{ inherit vendor; {packages} }}", vendor());
    let source = |rows: &[Value], name: &str| -> (String, String) {
        let source = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {rows:#?}"));
        (text(source, "verdict").to_owned(), text(&source["reasons"][0], "code").to_owned())
    };
    let kept =
        |said: (String, String)| assert_eq!((said.0.as_str(), said.1.as_str()), ("withhold", "source-of-withheld"));
    let given =
        |said: (String, String)| assert_eq!((said.0.as_str(), said.1.as_str()), ("publish", "source-of-published"));
    // As a fetched file, so that it is decided about whether or not anything refers to it.
    let fetched = |file: &str| {
        format!(
            "(mkDerivation {{ name = \"{file}\"; from = /extra/{file}; nativeBuildInputs = [ coreutils ]; outputHashMode = \"flat\"; \
             outputHashAlgo = \"sha256\"; outputHash = builtins.hashFile \"sha256\" /extra/{file}; buildCommand = ''cat \"$from\" > \"$out\"''; }})"
        )
    };
    let (blob, own) = (fetched("blob"), fetched("own"));
    let copy = "cat \"$vendor/file\" > \"$out/file\"";
    let rows = attack
        .run(
            "one",
            &set(&format!("hidden = app \"hidden\" {blob} {{}} ''{turn}''; plain = app \"plain\" {own} {{ inherit vendor; }} ''{copy}'';")),
            &[],
        )
        .expect(0)
        .rows();
    is(&rows, "hidden", "withhold", "terms-missing");
    is(&rows, "plain", "withhold", "terms-missing");
    kept(source(&rows, "blob"));
    // What came from the vendor's package says nothing against the application's own source.
    given(source(&rows, "own"));
    // Another package of the vendor's name among the inputs holds other bytes.
    let namesake = set(&format!(
        "namesake = text \"vendor\" unfree \"{}\"; hidden = app \"hidden\" {blob} {{ vendor = text \"vendor\" unfree \"{}\"; }} ''{turn}'';",
        SECRET.to_uppercase(),
        SECRET.to_uppercase()
    ));
    let rows = attack.run("namesake", &namesake, &[]).expect(0).rows();
    is(&rows, "hidden", "withhold", "terms-missing");
    kept(source(&rows, "blob"));
    // One of two users is enough.
    let two = set(&format!(
        "hidden = app \"hidden\" {blob} {{}} ''{turn}''; fine = app \"fine\" {blob} {{}} ''echo > \"$out/file\"'';"
    ));
    kept(source(&attack.run("two", &two, &[]).expect(0).rows(), "blob"));
    // What a rule withholds takes its source along as well.
    policy(&attack, "mine.toml", &withholding("fine"));
    let ruled = set(&format!("fine = app \"fine\" {own} {{ }} ''echo > \"$out/file\"'';"));
    kept(source(&attack.run("ruled", &ruled, &["--policy", "/extra/mine.toml"]).expect(0).rows(), "own"));
    let plan = ["plan", "/extra/set.nix", "--policy", "/extra/mine.toml", "--format", "json"];
    let rows = attack.world.narthex(&attack.store, &attack.state("ruled"), &plan).expect(0).rows();
    kept(source(&rows, "own"));
}

/// A log is published with all outputs of its build, if the build could read nothing that is withheld.
#[test]
fn a_log_goes_with_all_that_its_build_could_read() {
    let attack = Attack::new();
    std::fs::write(
        attack.world.extra().join("blob"),
        "what a withheld package is made from, and nobody can look into\n",
    )
    .unwrap();
    let set = format!(
        "let {FILE} {vendor} hidden = builtins.unsafeDiscardStringContext \"${{vendor}}\"; build = name: more: mkDerivation ({{ pname = name; version = \"1\"; \
         nativeBuildInputs = [ coreutils ]; meta.license = licenses.mit; buildCommand = ''echo said ${{name}}; mkdir \"$out\"; echo ${{name}} > \"$out/file\"''; }} // more);\n\
         carrier = build \"carrier\" {{ inherit vendor; buildCommand = ''mkdir \"$out\"; echo \"$vendor\" > \"$out/file\"''; }};\n\
         in {{ inherit vendor carrier;\n\
         plain = build \"plain\" {{}};\n\
         named = build \"named\" {{ inherit hidden; }};\n\
         bare = build \"bare\" {{ hidden = builtins.substring 11 32 hidden; }};\n\
         behind = build \"behind\" {{ inherit carrier; }};\n\
         opaque = build \"opaque\" {{ src = /extra/blob; buildCommand = ''mkdir \"$out\"; echo {SECRET} > \"$out/file\"''; }};\n\
         prints = build \"prints\" {{ blob = /extra/blob; }};\n\
         halves = build \"halves\" {{ outputs = [ \"out\" \"dev\" ]; buildCommand = ''echo said; mkdir \"$out\" \"$dev\"; echo {SECRET} > \"$dev/file\"''; }};\n\
         long = build \"long\" {{ buildCommand = ''/usr/bin/yes a line of a long log | /usr/bin/head -c 17000000; mkdir \"$out\"''; }};\n\
         }}",
        vendor = vendor()
    );
    let rows = attack.run("state", &set, &[]).expect(0).rows();
    let log = |rows: &[Value], attr: &str| {
        let row = row(rows, attr, "out");
        assert_eq!(text(row, "verdict"), "publish", "{row:#}");
        let name = &text(row, "deriver")["/nix/store/".len()..];
        attack.state("state").join("objects/log").join(name)
    };
    let expected = [
        ("plain", true),
        ("named", false),
        ("bare", false),
        ("behind", false),
        ("prints", false),
        ("halves", false),
        ("long", false),
    ];
    for (attr, expected) in expected {
        assert_eq!(log(&rows, attr).exists(), expected, "{attr}");
    }
    assert_eq!(text(row(&rows, "halves", "dev"), "verdict"), "withhold");
    assert_eq!(std::fs::read_to_string(log(&rows, "plain")).unwrap(), "said plain\n");
    // What is there from another time goes.
    for attr in ["named", "long"] {
        std::fs::write(log(&rows, attr), vec![b'x'; if attr == "long" { 17_000_000 } else { 7 }]).unwrap();
    }
    let rows = attack.run("state", &set, &[]).expect(0).rows();
    assert!(!log(&rows, "named").exists() && !log(&rows, "long").exists() && log(&rows, "plain").exists());
}

/// What is found only later takes along what was published because of it, and what may have been printed of it.
#[test]
fn what_is_taken_back_takes_sources_and_logs_along() {
    let attack = Attack::new();
    std::fs::write(
        attack.world.extra().join("blob"),
        "sixty-four bytes and more of something in which nothing is found by anybody\n",
    )
    .unwrap();
    let opaque = "buildCommand = ''mkdir -p \"$out/bin\"; /usr/bin/head -c 600000 /dev/urandom > \"$out/bin/blob\"'';";
    let set = format!(
        "let {FILE} blob = mkDerivation {{ name = \"blob\"; from = /extra/blob; nativeBuildInputs = [ coreutils ]; outputHashMode = \"flat\"; \
         outputHashAlgo = \"sha256\"; outputHash = builtins.hashFile \"sha256\" /extra/blob; buildCommand = ''cat \"$from\" > \"$out\"''; }};\n\
         build = name: more: mkDerivation ({{ pname = name; version = \"1\"; nativeBuildInputs = [ coreutils ]; meta.license = licenses.mit; \
         buildCommand = ''echo said ${{name}}; mkdir \"$out\"; echo ${{name}} > \"$out/file\"''; }} // more);\n\
         guilty = build \"guilty\" {{ src = blob; buildCommand = ''mkdir \"$out\"; echo {SECRET} > \"$out/file\"''; }};\n\
         between = build \"between\" {{ inherit guilty; buildCommand = ''mkdir \"$out\"; echo \"$guilty\" > \"$out/file\"''; }};\n\
         in {{ inherit guilty between; reads = build \"reads\" {{ inherit guilty; }}; behind = build \"behind\" {{ inherit between; }}; \
         plain = build \"plain\" {{}}; holds = build \"holds\" {{ inherit between; {opaque} }}; apart = build \"apart\" {{ {opaque} }}; }}"
    );
    let rows = attack.run("state", &set, &[]).expect(0).rows();
    let state = attack.state("state");
    let log = |attr: &str| {
        let row = row(&rows, attr, "out");
        assert_eq!(text(row, "verdict"), "publish", "{row:#}");
        state.join("objects/log").join(&text(row, "deriver")["/nix/store/".len()..]).exists()
    };
    assert_eq!(["reads", "behind", "plain"].map(log), [true, true, true]);
    let of = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    let (guilty, blob) = (text(of("guilty-1"), "path"), text(of("blob"), "path"));
    assert!(is_there(&attack, guilty) && is_there(&attack, blob));
    std::fs::write(attack.world.extra().join("vendor"), format!("{SECRET}\n")).unwrap();
    let narthex = |arguments: &[&str]| attack.world.narthex(&attack.store, &state, arguments);
    narthex(&["corpus", "add", "/extra/vendor", "--name", "v", "--version", "1", "--license", "unfree"]).expect(0);
    let gone = narthex(&["audit", "--recheck", "--format", "json"]).expect(3).rows();
    let codes: Vec<(&str, &str)> =
        gone.iter().map(|row| (text(row, "name"), text(&row["reasons"][0], "code"))).collect();
    // What nobody can look into may hold it where it could be read.
    assert_eq!(codes, [("guilty-1", "terms-missing"), ("holds-1", "audit-incomplete"), ("blob", "source-of-withheld")]);
    assert!(!is_there(&attack, guilty) && !is_there(&attack, blob));
    assert_eq!(["reads", "behind", "plain"].map(log), [false, false, true]);
    // A run says the same.
    let rows = attack.run("state", &set, &[]).expect(0).rows();
    let blob = rows.iter().find(|row| row["name"] == "blob").unwrap();
    assert_eq!((text(blob, "verdict"), text(&blob["reasons"][0], "code")), ("withhold", "source-of-withheld"));
    is(&rows, "holds", "withhold", "audit-incomplete");
    is(&rows, "apart", "publish", "license-free");
}

/// A license value may be a vendor's whole header; neither the withheld entry nor a page is a way out for it.
#[test]
fn texts_of_any_length_fill_nothing() {
    let attack = Attack::new();
    let set = format!(
        "let {FILE} long = builtins.concatStringsSep \" \" (builtins.genList (n: \"vendor text ${{toString n}}\") 50000);\n\
         in {{ name = text \"name\" long \"x\"; short = text \"short\" {{ shortName = long; free = false; }} \"y\";\n\
         many = text \"many\" (builtins.genList (n: {{ shortName = \"license ${{toString n}} ${{builtins.substring 0 3000 long}}\"; free = false; }}) 300) \"z\"; }}"
    );
    let said = attack.run("state", &set, &[]).expect(0);
    let rows = said.rows();
    for attr in ["name", "short", "many"] {
        let row = row(&rows, attr, "out");
        assert_eq!(text(row, "verdict"), "withhold");
        assert!(row.to_string().len() < 12_000, "{attr}: {}", row.to_string().len());
        let hash = &text(row, "path")["/nix/store/".len()..][..32];
        let entry =
            std::fs::read_to_string(attack.state("state").join(format!("objects/withheld/{hash}.json"))).unwrap();
        assert!(entry.len() < 12_000 && !entry.contains("vendor text 60 "), "{attr}: {}", entry.len());
        assert!(entry.contains("more)") || entry.contains("characters-more"), "{entry}");
    }
    let table = attack.world.narthex(&attack.store, &attack.state("state"), &["run", "/extra/set.nix"]).expect(0);
    assert!(table.out.len() < 5_000, "{}", table.out.len());
    assert!(table.out.contains("some reasons are cut: `--format json` shows all of each"), "{}", table.out);
}

/// What is for the public can be read by a web server of another user, and secrets by nobody else, whatever the umask.
#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["077", "000"] {
        let attack = Attack::new();
        let set = set("old = text \"old\" licenses.mit \"old\"; inherit vendor;");
        std::fs::write(attack.world.extra().join("set.nix"), format!("{}{set}", crate::attack::PRELUDE)).unwrap();
        let state = attack.state("outer");
        let command = format!(
            "umask {umask}; narthex --state /state/inner run /extra/set.nix && narthex --state /state/inner report --output /state/report"
        );
        Said::of(attack.world.enter(&attack.store, &state, &["sh", "-c", &command]).output().unwrap()).expect(0);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let inner = state.join("inner");
        let mut public = vec![inner.clone()];
        let mut todo = vec![inner.join("objects"), state.join("report")];
        while let Some(path) = todo.pop() {
            if path.is_dir() {
                todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            public.push(path);
        }
        assert!(public.len() > 15, "{public:?}");
        for path in public {
            let expected = if path.is_dir() { 0o755 } else { 0o644 };
            assert_eq!(mode(&path), expected, "{} under {umask}", path.display());
        }
        for (secret, expected) in [("keys", 0o700), ("keys/1.secret", 0o600), ("tmp", 0o700)] {
            assert_eq!(mode(&inner.join(secret)), expected, "{secret} under {umask}");
        }
        for file in ["catalog.sqlite", "corpus", "lock"] {
            assert_eq!(mode(&inner.join(file)) & 0o022, 0, "{file} under {umask}");
        }
    }
}

/// `--only` looks at a part, and publishes nothing that the whole might withhold; and it takes nothing back for what it does not
/// know.
#[test]
fn a_part_of_a_set_publishes_nothing_new() {
    let attack = Attack::new();
    let only = |state: &str, set: &str, attr: &str, more: &[&str]| {
        attack.run(state, set, &[&["--only", "-A", attr], more].concat())
    };
    let old = "old = text \"old\" licenses.mit \"old\"; one = text \"one\" licenses.mit \"one\";";
    let whole = set(&format!("inherit vendor; {old}"));
    // The copy is known by an attribute that is not evaluated, and `one` is declared otherwise by another one.
    let after = set(&format!(
        "inherit vendor; {old} copy = text \"copy\" licenses.mit \"{SECRET}\"; new = text \"new\" licenses.mit \"new\"; \
         other = text \"new\" licenses.mit \"new\" // {{ meta.license = unfree; }}; bad = abort \"nobody asked\";"
    ));
    for attr in ["old", "copy", "new"] {
        let said = only("fresh", &after, attr, &[]).expect(0);
        is(&said.rows(), attr, "withhold", "set-incomplete");
        assert!(said.rows().iter().any(|row| row["part"] == true), "{}", said.out);
        assert!(!said.out.contains("\"verdict\":\"publish\""), "{}", said.out);
    }
    is(&only("fresh", &after, "vendor", &[]).expect(0).rows(), "vendor", "withhold", "license-restricted");

    let published = attack.run("state", &whole, &[]).expect(0).rows();
    is(&published, "old", "publish", "license-free");
    let said = only("state", &after, "old", &[]).expect(0).rows();
    is(&said, "old", "publish", "license-free");
    for before in published.iter().filter(|row| row["verdict"] == "publish") {
        let now = said.iter().find(|row| row["path"] == before["path"]);
        assert!(now.is_none_or(|now| now["verdict"] == "publish"), "{before:#}");
        assert!(is_there(&attack, text(before, "path")), "{before:#}");
    }
    for attr in ["copy", "new"] {
        let rows = only("state", &after, attr, &[]).expect(0).rows();
        let row = row(&rows, attr, "out");
        assert_eq!(text(row, "verdict"), "withhold", "{row:#}");
        assert!(!is_there(&attack, text(row, "path")));
    }
    // What a part says is not what the set says: a later run knows of the stricter license.
    let all = attack.run("state", &after, &[]).expect(1).rows();
    is(&all, "new", "withhold", "license-restricted");
    is(&all, "old", "publish", "license-free");
    // What a rule forbids goes, and another policy is not taken on by a part.
    policy(&attack, "mine.toml", &withholding("old"));
    let refused = only("state", &after, "old", &["--policy", "/extra/mine.toml"]).expect(2);
    in_order(
        &refused,
        &["`--only` cannot publish with another policy than before", "hint: run it without --only once"],
    );
    assert!(is_there(&attack, text(row(&all, "old", "out"), "path")));
    attack.run("state", &after, &["--only"]).expect(2);
}
