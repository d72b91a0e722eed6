//! `policy review`, `policy decide`, `policy show` and `plan --diff`, from lines and with a file of a policy.

use crate::world::{Said, program};
use std::path::{Path, PathBuf};
use std::process::Command;

fn line(name: &str, more: &str) -> String {
    let hash = &format!("{:0<32}", name.replace(|c: char| "etou-.".contains(c), "0"))[..32];
    let path = format!("/nix/store/{hash}-{name}");
    format!(r#"{{"drvPath":"{path}.drv","inputDrvs":{{}},"outputs":{{"out":"{path}"}},{more}}}"#) + "\n"
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let lines = [
            line("hello-1", r#""attr":"hello","meta":{"license":"mit"}"#),
            line("steam-1.0", r#""attr":"steam","meta":{"license":"unfree"}"#),
            line("zoom-6.2", r#""attr":"zoom","meta":{"license":"unfreeRedistributable"}"#),
        ];
        std::fs::write(place.path("lines"), lines.concat()).unwrap();
        let default = place.narthex(&["policy", "show", "default"]).expect(0).out;
        std::fs::write(place.path("mine.toml"), default.replace("name = \"default\"", "name = \"mine\"")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn narthex(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path()).env("XDG_STATE_HOME", self.path("state"));
        Said::of(command.output().unwrap())
    }

    fn review(&self, more: &[&str]) -> Said {
        self.narthex(&[&["policy", "review", "--from", "lines", "--policy", "mine.toml"], more].concat())
    }

    fn decide(&self, more: &[&str]) -> Said {
        let usual = ["policy", "decide", "--reason", "read it", "--responsible", "ann@example.org"];
        self.narthex(&[&usual, more].concat())
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

const MINE: [&str; 4] = ["--policy", "mine.toml", "--until", "2999-12-31"];

#[test]
fn a_change_is_held_until_somebody_has_answered() {
    let place = Place::new();
    let said = place.review(&[]).expect(3);
    insta::assert_snapshot!(said.out, @r#"
    FIRST SEEN  PACKAGE  VERSION  CLASS            TODAY                               LICENSE                           ATTRIBUTES
    –           steam    1.0      restricted       withheld: license-restricted        LicenseRef-unfree                 steam
    –           zoom     6.2      redistributable  published: license-redistributable  LicenseRef-unfreeRedistributable  zoom

    2 packages that nobody has decided about
    "#);
    assert!(!place.path("state").exists(), "a review makes no state");
    let rows = place.review(&["--format", "json"]).expect(3).rows();
    let keys: Vec<String> = rows[0].as_object().unwrap().keys().cloned().collect();
    let mut expected = vec![
        "attrs",
        "class",
        "drvPaths",
        "ended",
        "firstSeen",
        "licenses",
        "package",
        "reasons",
        "verdict",
        "versions",
    ];
    expected.sort();
    assert_eq!(keys, expected);
    assert_eq!((&rows[1]["package"], &rows[1]["verdict"]), (&"zoom".into(), &"publish".into()));

    let before = read(&place.path("mine.toml"));
    let written = place.decide(&[&["steam", "--answer", "from-vendor"], &MINE[..]].concat()).expect(0).out;
    assert_eq!(read(&place.path("mine.toml")), format!("{before}\n{written}"));
    assert!(written.starts_with("[[reviews]]\npackage = [\"steam\"]\nanswer = \"from-vendor\"\n"), "{written}");
    assert_eq!(place.review(&["--format", "json"]).expect(3).rows().len(), 1);
    place.decide(&[&["zoom", "--answer", "confirmed"], &MINE[..]].concat()).expect(0);
    let said = place.review(&[]).expect(0);
    insta::assert_snapshot!(said.out, @r#"
    every package that is not plainly free, of those that were read, is decided about
    decided: 1 confirmed, 1 from the vendor or withheld by a rule
    "#);
    place.narthex(&["policy", "check", "mine.toml"]).expect(0);

    // What could not be read may hide a package: 1, unless something is undecided anyhow.
    std::fs::write(place.path("lines"), read(&place.path("lines")) + "{").unwrap();
    assert!(place.review(&[]).expect(1).err.contains("lines:4: "));
}

#[test]
fn what_is_confirmed_and_withheld_is_said() {
    let place = Place::new();
    place.decide(&[&["steam", "zoom", "--answer", "confirmed"], &MINE[..]].concat()).expect(0);
    let said = place.review(&[]).expect(0);
    assert!(
        said.err.contains("steam is confirmed by the review about package steam or zoom, and withheld all the same"),
        "{}",
        said.err
    );
    // With an agreement it is a grant, and it is published.
    let place = Place::new();
    let agreement = ["steam", "--answer", "confirmed", "--agreement", "Valve, 2026"];
    let written = place.decide(&[&agreement, &MINE[..]].concat()).expect(0).out;
    assert!(written.starts_with("[[grants]]\nagreement = \"Valve, 2026\"\n"), "{written}");
    let plan = place.narthex(&["plan", "--from", "lines", "--policy", "mine.toml"]).expect(0);
    assert!(plan.out.contains("publish   steam-1.0  policy-grant"), "{}", plan.out);
}

#[test]
fn what_cannot_be_decided_changes_nothing() {
    let place = Place::new();
    place.decide(&[&["steam", "--answer", "from-vendor"], &MINE[..]].concat()).expect(0);
    let before = read(&place.path("mine.toml"));
    let check = |arguments: &[&str], expected: &str| {
        let said = place.decide(arguments).expect(2);
        assert!(said.err.contains(expected), "{arguments:?}\n{}", said.err);
        assert_eq!(read(&place.path("mine.toml")), before, "{arguments:?}");
    };
    let with = |more: &[&'static str]| [more, &MINE[..]].concat();
    let confirmed = |package: &'static str| with(&[package, "--answer", "confirmed"]);
    check(&confirmed("steam"), "steam is decided already, by the review about package steam");
    check(&confirmed("["), "mine.toml, with this entry, has 1 mistake");
    check(&with(&["*", "--answer", "confirmed", "--agreement", "x"]), "it covers everything, which no agreement does");
    check(&with(&["zoom", "--answer", "replaced"]), "--replacement");
    check(&with(&["zoom", "--answer", "confirmed", "--replacement", "x"]), "--replacement goes with");
    check(&with(&["zoom", "--answer", "from-vendor", "--agreement", "x"]), "--agreement goes with");
    check(&["zoom", "--answer", "confirmed", "--until", "2020-01-01", "--policy", "mine.toml"], "2020-01-01 is over");
    check(&["zoom", "--answer", "confirmed", "--until", "soon", "--policy", "mine.toml"], "--until");
    let shipped = ["zoom", "--answer", "confirmed", "--until", "2999-01-01", "--policy", "strict"];
    check(&shipped, "`narthex policy show strict > mine.toml`");
    check(&["zoom", "--answer", "confirmed", "--until", "2999-01-01", "--policy", "no.toml"], "no.toml cannot be read");
    let lax = place.narthex(&["policy", "show", "lax"]).expect(2).err;
    assert!(lax.contains("lax cannot be read") && lax.contains("a shipped policy: default, strict"), "{lax}");
}

/// A policy is shown as it is read, with everything that it extends, and what is shown is a policy.
#[test]
fn a_policy_is_shown_with_what_it_extends() {
    let place = Place::new();
    std::fs::write(
        place.path("mine.toml"),
        "version = 1\nname = \"mine\"\nextends = \"strict\"\n[classes]\nunknown = \"publish\"\n",
    )
    .unwrap();
    let shown = place.narthex(&["policy", "show", "mine.toml"]).expect(0).out;
    assert!(!shown.contains("extends =") && shown.contains("unknown = \"publish\""), "{shown}");
    assert!(shown.contains("copy = \"withhold\""), "{shown}");
    std::fs::write(place.path("shown.toml"), &shown).unwrap();
    place.narthex(&["policy", "check", "shown.toml"]).expect(0);
    assert_eq!(place.narthex(&["policy", "show", "shown.toml"]).expect(0).out, shown);
    let strict = place.narthex(&["policy", "show", "strict"]).expect(0).out;
    assert_eq!(strict, include_str!("../../../../policies/strict.toml"));
    std::fs::write(place.path("wrong.toml"), "version = 1\nextends = \"strict\"\nx = 1\n").unwrap();
    assert!(place.narthex(&["policy", "show", "wrong.toml"]).expect(2).err.contains("wrong.toml has 2 mistakes"));
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    let place = Place::new();
    place.decide(&[&["steam", "--answer", "from-vendor"], &MINE[..]].concat()).expect(0);
    let wider = place.decide(&[&["st*", "--answer", "confirmed"], &MINE[..]].concat()).expect(0);
    let beside = "warning: the review about package steam speaks of some of these as well; where one withholds";
    assert!(wider.err.starts_with(beside), "{}", wider.err);

    let more = "[[rules]]\nlicense = [\"mit\", \"cuda\"]\nthen = \"withhold\"\nreason = \"x\"\n\
                [[grants]]\nagreement = \"Valve, 2020\"\npackage = [\"steam\"]\nreason = \"x\"\n\
                responsible = \"ann@example.org\"\nuntil = 2020-12-31\n";
    let lines = read(&place.path("mine.toml")).lines().count();
    std::fs::write(place.path("mine.toml"), read(&place.path("mine.toml")) + more).unwrap();
    let (license, grant) = (
        "`cuda` is no license of nixpkgs, by the name of its attribute",
        "the grant `Valve, 2020` ended on 2020-12-31; ask ann@example.org",
    );
    let (first, second) =
        (format!("mine.toml:{}:19: {license}", lines + 2), format!("mine.toml:{}:9: {grant}", lines + 10));
    let checked = place.narthex(&["policy", "check", "mine.toml"]).expect(0).out;
    let expected = format!(
        "{first} (a warning)\n{second} (a warning)\nmine.toml and 11 files of terms: no mistakes, 2 warnings\n"
    );
    assert_eq!(checked, expected);
    let rows = place.narthex(&["policy", "check", "mine.toml", "--format", "json"]).expect(0).rows();
    let levels: Vec<_> = rows.iter().map(|row| (&row["level"], &row["message"])).collect();
    assert_eq!(levels, [(&"warning".into(), &license.into()), (&"warning".into(), &grant.into())]);
    // So does everything else that reads the policy.
    let plan = place.narthex(&["plan", "--from", "lines", "--policy", "mine.toml"]).expect(0).err;
    let idle = "the policy `mine`: of the rule about license mit or cuda, license cuda matches nothing";
    assert_eq!(plan, format!("warning: {first}\nwarning: {second}\nwarning: {idle}\n"));
}

/// All files are looked through, whatever is wrong in the first.
#[test]
fn mistakes_are_found_in_all_files() {
    let place = Place::new();
    let mine = read(&place.path("mine.toml"));
    let own = "terms = [\"own.toml\", ";
    std::fs::write(place.path("mine.toml"), mine.replace("terms = [", own)).unwrap();
    let shipped = include_str!("../../../../policies/terms/nccl.toml");
    std::fs::write(place.path("own.toml"), shipped).unwrap();
    let clash = place.narthex(&["policy", "check", "mine.toml"]).expect(2).out;
    assert!(clash.contains("other terms call themselves `nccl` as well"), "{clash}");
    let plan = place.narthex(&["plan", "--from", "lines", "--policy", "mine.toml"]).expect(2).err;
    assert!(plan.contains("two of its terms call themselves `nccl`"), "{plan}");
    std::fs::write(place.path("own.toml"), shipped.replace("id = ", "idea = ")).unwrap();
    let both = mine.replace("terms = [", own).replace("name = \"mine\"", "name = 3");
    std::fs::write(place.path("mine.toml"), both).unwrap();
    let said = place.narthex(&["policy", "check", "mine.toml"]).expect(2).out;
    assert!(said.contains("`3` should be a text") && said.contains("own.toml:") && said.contains("`idea`"), "{said}");
}

/// A rule about one output changes the forecast of that one.
#[test]
fn outputs_are_forecast_by_themselves() {
    let place = Place::new();
    let multi = line("multi-1", r#""attr":"multi","meta":{"license":"mit"}"#);
    let path = multi.split("\"out\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let multi = multi.replace("\"outputs\":{", &format!("\"outputs\":{{\"static\":\"{path}-static\","));
    std::fs::write(place.path("lines"), multi).unwrap();
    let rule = "[[rules]]\noutput = [\"static\"]\nthen = \"withhold\"\nreason = \"large\"\n";
    std::fs::write(place.path("mine.toml"), read(&place.path("mine.toml")) + rule).unwrap();
    let plan = |more: &[&str]| {
        place.narthex(&[&["plan", "--from", "lines", "--policy", "mine.toml"], more].concat()).expect(0)
    };
    let table = plan(&[]).out;
    assert!(table.contains("publish   multi-1 ") && table.contains("withhold  multi-1-static"), "{table}");
    let row = &plan(&["--format", "json"]).rows()[0];
    assert_eq!((&row["verdict"], &row["reasons"][0]["code"]), (&"withhold".into(), &"policy-rule".into()));
    assert!(plan(&["--diff"]).out.contains("publish → withhold"), "{}", plan(&["--diff"]).out);
}

#[test]
fn the_newest_come_first() {
    let place = Place::new();
    place.narthex(&["plan", "--from", "lines", "--keep"]).expect(0);
    let more = line("abacus-1", r#""attr":"abacus","meta":{"license":"unfree"}"#);
    let newer = line("zoom-6.3", r#""attr":"zoomNew","meta":{"license":"unfreeRedistributable"}"#);
    std::fs::write(place.path("lines"), read(&place.path("lines")) + &more + &newer).unwrap();
    let rows = place.review(&["--format", "json"]).expect(3).rows();
    let order: Vec<_> = rows.iter().map(|row| (row["package"].as_str().unwrap(), row["firstSeen"].is_null())).collect();
    assert_eq!(order, [("abacus", true), ("zoom", true), ("steam", false)]);
}

#[test]
fn only_what_a_policy_changes_is_shown() {
    let place = Place::new();
    let diff = |more: &[&str]| place.narthex(&[&["plan", "--from", "lines", "--diff"], more].concat());
    let same = diff(&["--policy", "default"]).expect(0);
    insta::assert_snapshot!(same.out, @r#"
    `default` → `default`, 3 derivations
    the two policies say the same

    by license alone: nothing changes
    "#);
    assert_eq!(diff(&["--policy", "default", "--format", "json"]).expect(0).out, "");
    place.decide(&[&["zoom", "--answer", "from-vendor"], &MINE[..]].concat()).expect(0);
    place.decide(&[&["steam", "--answer", "confirmed", "--agreement", "Valve"], &MINE[..]].concat()).expect(0);
    insta::assert_snapshot!(diff(&["--policy", "mine.toml"]).expect(0).out, @r#"
    `default` → `mine`, 3 derivations

    what the policies say differently:
      the grant `Valve`: only after
      the review about package zoom: only after

    CHANGE              DERIVATIONS  ATTRIBUTES  BEFORE                   AFTER
    publish → withhold            1           1  license-redistributable  policy-review
    withhold → publish            1           1  license-restricted       policy-grant

    publish → withhold: license-redistributable → policy-review
      zoom  zoom-6.2  before: LicenseRef-unfreeRedistributable is not free, but may be passed on
                      after:  a review about package zoom, until 2999-12-31: users fetch it from the vendor: read it (ann@example.org)

    withhold → publish: license-restricted → policy-grant
      steam  steam-1.0  before: LicenseRef-unfree may not be passed on
                        after:  the grant `Valve` covers it until 2999-12-31: read it (ann@example.org)

    by license alone: 1 derivation would be withheld that is published, 1 would be published, and 0 for another reason
    "#);
    insta::assert_snapshot!(diff(&["--policy", "strict", "--against", "mine.toml", "--all"]).expect(0).out, @r#"
    `mine` → `strict`, 3 derivations

    what the policies say differently:
      findings.copy: terms → withhold
      findings.modified-copy: terms → withhold
      findings.static-code: terms → withhold
      findings.cudart-static: terms → withhold
      findings.device-code: terms → withhold
      the grant `Valve`: only before
      the review about package zoom: only before

    CHANGE              DERIVATIONS  ATTRIBUTES  BEFORE         AFTER
    publish → withhold            1           1  policy-grant   license-restricted
    withhold → publish            1           1  policy-review  license-redistributable

    publish → withhold: policy-grant → license-restricted
      steam  steam-1.0  before: the grant `Valve` covers it until 2999-12-31: read it (ann@example.org)
                        after:  LicenseRef-unfree may not be passed on

    withhold → publish: policy-review → license-redistributable
      zoom  zoom-6.2  before: a review about package zoom, until 2999-12-31: users fetch it from the vendor: read it (ann@example.org)
                      after:  LicenseRef-unfreeRedistributable is not free, but may be passed on

    by license alone: 1 derivation would be withheld that is published, 1 would be published, and 0 for another reason
    findings are made in the bytes, which a plan does not know: a run may change more
    "#);
    // Where the reason stays, the class is what the policies differ about.
    let private = diff(&["--policy", "private"]).expect(0).out;
    let line = "  steam  steam-1.0  classes.restricted differs: LicenseRef-unfree may not be passed on\n";
    assert!(private.contains(line), "{private}");
    let rows = diff(&["--policy", "mine.toml", "--format", "json"]).expect(0).rows();
    let steam = rows.iter().find(|row| row["attr"] == "steam").unwrap();
    assert_eq!(
        (rows.len(), &steam["before"]["verdict"], &steam["after"]["verdict"]),
        (2, &"withhold".into(), &"publish".into())
    );
    assert_eq!(steam["after"]["reasons"][0]["code"], "policy-grant");
    let one = diff(&["--policy", "mine.toml", "--target", "zoom", "--format", "json"]).expect(0).rows();
    assert_eq!((one.len(), &one[0]["attr"]), (1, &"zoom".into()));
    assert_eq!(place.narthex(&["plan", "--from", "lines", "--against", "strict"]).code, Some(2));
}

#[test]
fn entries_about_nothing_are_a_warning_for_lines_as_well() {
    let place = Place::new();
    place.decide(&[&["stem", "--answer", "from-vendor"], &MINE[..]].concat()).expect(0);
    let said = place.narthex(&["plan", "--from", "lines", "--policy", "mine.toml"]).expect(0);
    assert!(said.err.contains("the policy `mine`: the review about package stem matches nothing"), "{}", said.err);
}

/// A policy of a few lines, over one of another folder, over a shipped one.
#[test]
fn a_policy_states_only_how_it_differs() {
    let place = Place::new();
    std::fs::create_dir(place.path("company")).unwrap();
    let terms = "version = 1\nid = \"ours\"\ntitle = \"Our terms\"\nlicenses = []\nmodified = false\nmodified-clause = \"1\"\n\
                 standalone = false\nstandalone-clause = \"1\"\nconditions = []\naccompanying = []\ndistributable = []\n";
    std::fs::write(place.path("company/terms.toml"), terms).unwrap();
    let rule = "[[rules]]\npackage = [\"zoom\"]\nthen = \"withhold\"\nreason = \"ours\"\n";
    let company = format!("version = 1\nname = \"company\"\nextends = \"default\"\nterms = [\"terms.toml\"]\n{rule}");
    std::fs::write(place.path("company/policy.toml"), &company).unwrap();
    let mine = "version = 1\nname = \"mine\"\nextends = \"company/policy.toml\"\n";
    std::fs::write(place.path("mine.toml"), mine).unwrap();
    let check = || place.narthex(&["policy", "check", "mine.toml"]);
    // Its terms are looked for beside the file that names them.
    assert_eq!(check().expect(0).out, "mine.toml and 12 files of terms: no mistakes\n");
    let forecast = |name: &str| {
        let rows =
            place.narthex(&["plan", "--from", "lines", "--policy", "mine.toml", "--format", "json"]).expect(0).rows();
        let row = rows.into_iter().find(|row| row["attr"] == name).unwrap();
        (row["verdict"].as_str().unwrap().to_owned(), row["reasons"][0]["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(forecast("zoom"), ("withhold".to_owned(), "policy-rule".to_owned()));
    assert_eq!(forecast("hello").0, "publish");
    // An answer goes into the file that is named, and into no other.
    place.decide(&[&["steam", "--answer", "confirmed", "--agreement", "Valve, 2026"], &MINE[..]].concat()).expect(0);
    assert!(read(&place.path("mine.toml")).starts_with(mine) && read(&place.path("mine.toml")).contains("[[grants]]"));
    assert_eq!(read(&place.path("company/policy.toml")), company);
    assert_eq!(forecast("steam").0, "publish");
    // A comparison sees through it.
    let diff = [
        "plan",
        "--from",
        "lines",
        "--policy",
        "mine.toml",
        "--against",
        "company/policy.toml",
        "--diff",
        "--format",
        "json",
    ];
    let rows = place.narthex(&diff).expect(0).rows();
    assert_eq!(rows.iter().map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>(), ["steam-1.0"]);
    // A mistake is shown where it is.
    std::fs::write(place.path("company/policy.toml"), company.replace("then = \"withhold\"", "then = \"keep\""))
        .unwrap();
    let said = check().expect(2).out;
    assert!(said.contains("company/policy.toml:7:8: `\"keep\"` should be one of"), "{said}");
    let plan = place.narthex(&["plan", "--from", "lines", "--policy", "mine.toml"]).expect(2).err;
    assert!(plan.contains("company/policy.toml:7:8: "), "{plan}");
    for (extends, expected) in [
        ("lax", "mine.toml:3:11: no policy that ships is called `lax`"),
        ("gone.toml", "gone.toml cannot be read: No such file"),
        ("./mine.toml", "extends this policy in turn"),
    ] {
        std::fs::write(place.path("mine.toml"), mine.replace("company/policy.toml", extends)).unwrap();
        let said = check().expect(2).out;
        assert!(said.contains(expected), "{said}");
    }
}

/// A text that many packages declare is answered once, and what that changes is shown before it is written.
#[test]
fn a_license_value_is_decided_with_a_preview() {
    let place = Place::new();
    let old = ["one", "two"].map(|name| line(name, &format!(r#""attr":"{name}","meta":{{"license":"GPL"}}"#)));
    std::fs::write(place.path("lines"), read(&place.path("lines")) + &old.concat()).unwrap();
    let before = read(&place.path("mine.toml"));
    let means = ["--license", "GPL", "--means", "GPL-1.0-or-later", "--policy", "mine.toml", "--from", "lines"];
    let said = place.decide(&[&means[..], &["--dry-run"]].concat()).expect(0);
    assert!(said.out.contains("withhold → publish            2           2  license-unknown"), "{}", said.out);
    assert!(said.err.contains("nothing was written into mine.toml"), "{}", said.err);
    assert_eq!(read(&place.path("mine.toml")), before);
    let said = place.decide(&means).expect(0);
    let written = said.out.find("[[licenses]]").map(|at| &said.out[at..]).unwrap();
    assert_eq!(read(&place.path("mine.toml")), format!("{before}\n{written}"));
    let plan = place.narthex(&["plan", "--from", "lines", "--policy", "mine.toml"]).expect(0);
    assert!(plan.out.contains("publish   one        license-free: GPL-1.0-or-later is free"), "{}", plan.out);
    // By a pattern, and by the value of a license that is known.
    let vendor = ["--license", "unfree*", "--answer", "from-vendor", "--from", "lines"];
    let said = place.decide(&[&vendor, &MINE[..]].concat()).expect(0);
    assert!(said.out.contains("publish → withhold            1           1  license-redistributable"), "{}", said.out);
    assert!(said.out.contains("[[reviews]]\nlicense = [\"unfree*\"]\nanswer = \"from-vendor\"\n"), "{}", said.out);
    place.review(&[]).expect(0);
    // What is answered already is not answered twice.
    let again = ["--license", "unfreeRedistributable", "--answer", "from-vendor", "--from", "lines"];
    let said = place.decide(&[&again, &MINE[..]].concat()).expect(2);
    assert!(said.err.contains("the license value unfreeRedistributable is decided already, by"), "{}", said.err);
    // What is about nothing is told, with what may be meant: a license as it is shown, a text, a part of a name.
    let shown = "LicenseRef-unfreeRedistributable";
    for (what, expected) in [
        (
            &["--license", shown, "--answer", "from-vendor"][..],
            "no license in the set is called LicenseRef-unfreeRedistributable in policies; is it unfreeRedistributable?",
        ),
        (&["--license", "nowhere", "--answer", "from-vendor"], "no license in the set is called nowhere in policies\n"),
        (&["--license", "gpl", "--means", "MIT"], "nothing in the set has the license text gpl; is it GPL?"),
        (&["stea", "--answer", "from-vendor"], "nothing in the set is called stea; is it steam-1.0?"),
    ] {
        let until: &[&str] = if what.contains(&"--means") { &[] } else { &["--until", "2999-01-01"] };
        let rest = ["--reason", "x", "--responsible", "y", "--policy", "mine.toml", "--from", "lines", "--dry-run"];
        let said = place.narthex(&[&["policy", "decide"], what, &rest, until].concat()).expect(0);
        assert!(said.err.contains(expected), "{expected}: {}", said.err);
    }
    for wrong in [
        &["--license", "x", "steam"][..],
        &["--means", "MIT"],
        &["--license", "x", "--means", "MIT", "--agreement", "y"],
    ] {
        place.decide(&[wrong, &["--policy", "mine.toml"]].concat()).expect(2);
    }
}

/// Whoever works through what is unknown asks by the names of the list, and is told which input stands in the way.
#[test]
fn why_names_the_input_that_stands_in_the_way() {
    let place = Place::new();
    let steam = read(&place.path("lines")).split('"').find(|word| word.ends_with("-steam-1.0.drv")).unwrap().to_owned();
    let quiet = line("quiet-1", r#""inputSrcs":[]"#).replace("{}", &format!(r#"{{"{steam}":["out"]}}"#));
    std::fs::write(place.path("lines"), read(&place.path("lines")) + &quiet).unwrap();
    place.narthex(&["plan", "--from", "lines", "--keep"]).expect(0);
    for name in ["quiet", "quiet-1", "qui*"] {
        let said = place.narthex(&["why", name]).expect(0).out;
        let expected = "in its way: these inputs are not known to be free: steam-1.0 (LicenseRef-unfree)";
        assert!(said.contains(expected), "{said}");
    }
    let row = &place.narthex(&["why", "quiet", "--format", "json"]).expect(0).rows()[0];
    assert!(row["because"].as_str().unwrap().contains("steam-1.0"), "{row}");
    let declared = &place.narthex(&["why", "steam", "--format", "json"]).expect(0).rows()[0];
    assert!(declared["because"].is_null(), "{declared}");
    place.narthex(&["why", "nobody"]).expect(2);
}
