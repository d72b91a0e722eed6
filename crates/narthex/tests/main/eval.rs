//! `narthex eval`: the same facts from every source of them, and nothing lost for what fails.

use crate::world::{Said, World, repository};

/// The package set of the tests of `crates/nix`, with some attributes that fail.
fn set(world: &World) {
    for name in ["lib.nix", "set.nix"] {
        std::fs::copy(repository().join("crates/nix/tests/data").join(name), world.extra().join(name)).unwrap();
    }
    let text = "import ./set.nix { size = 90; faults = true; }";
    std::fs::write(world.extra().join("default.nix"), text).unwrap();
    let flake = "{ outputs = { self }: { packages.x86_64-linux = { inherit (import ./set.nix { size = 5; }) hello vendor; }; }; }";
    std::fs::write(world.extra().join("flake.nix"), flake).unwrap();
}

#[test]
fn what_a_package_set_says() {
    for nix in ["2.8", "2.26", "2.34"] {
        let world = World::new(nix);
        let (store, state) = (world.empty_store("store"), world.folder("state"));
        set(&world);
        let eval = |more: &[&str]| -> Said { world.narthex(&store, &state, &[&["eval"], more].concat()) };
        let said = eval(&["/extra", "--format", "json"]).expect(1);
        let rows = said.rows();
        let (errors, derivations): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["error"].is_object());
        assert_eq!(errors.len(), 14, "{nix}: {errors:#?}");
        let vendor = derivations.iter().find(|row| row["name"] == "vendor-1").unwrap();
        assert_eq!(
            (&vendor["class"], &vendor["declared"], &vendor["provenance"][0]),
            (&"restricted".into(), &true.into(), &"binaryNativeCode".into()),
            "{nix}"
        );
        for odd in ["`oddMeta`", "`oddProvenance`"] {
            assert!(said.err.contains(&format!("warning: {odd} has a license that cannot be read: ")), "{}", said.err);
        }
        assert!(vendor["position"].as_str().unwrap().starts_with("/extra/set.nix:"), "{nix}: {vendor}");
        for workers in ["1", "3"] {
            let again = eval(&["/extra", "--format", "json", "--workers", workers]).expect(1);
            assert_eq!(again.out, said.out, "{nix}: {workers} workers");
        }
        // What was written down is planned as what is evaluated.
        std::fs::write(world.extra().join("lines"), &said.out).unwrap();
        let plan = |more: &[&str]| {
            world.narthex(&store, &state, &[&["plan", "--format", "json"], more].concat()).expect(1).out
        };
        assert_eq!(plan(&["--from", "/extra/lines"]), plan(&["/extra"]), "{nix}");
        corrected(&world, &plan, nix);
        let table = eval(&["/extra", "-A", "package-3", "-A", "vendor"]).expect(0).out;
        assert!(table.contains("restricted"), "{nix}: {table}");

        let flake = eval(&["path:/extra#packages.x86_64-linux", "--format", "json"]).expect(0).rows();
        let jobs: Vec<_> = flake.iter().filter_map(|row| row["attr"].as_str()).collect();
        assert_eq!(jobs.len(), 2, "{nix}: {jobs:?}");
        let plan = world.narthex(&store, &state, &["plan", "path:/extra#vendor"]).expect(0).out;
        assert!(plan.contains("withhold"), "{nix}: {plan}");
    }
}

/// A policy puts both right in the same way: a package, one that only a text leads to, and a source, which cannot be
/// called freer than what is made from it.
fn corrected(world: &World, plan: &dyn Fn(&[&str]) -> String, nix: &str) {
    let correction = |package: &str, license: &str| {
        format!(
            "[[corrections]]\npackage = [\"{package}\"]\nlicense = [\"{license}\"]\nreason = \"x\"\nsource = \"y\"\n"
        )
    };
    let wrong = [("hello", "unfree"), ("by-text", "mit"), ("vendor.run", "mit"), ("package-3.tar.gz", "unfree")];
    let entries: Vec<String> = wrong.iter().map(|(package, license)| correction(package, license)).collect();
    let default = std::fs::read_to_string(repository().join("policies/default.toml")).unwrap();
    let policy = default.replace("name = \"default\"", "name = \"mine\"") + &entries.concat();
    std::fs::write(world.extra().join("mine.toml"), policy).unwrap();
    let [lines, set] = [&["--from", "/extra/lines"] as &[&str], &["/extra"]]
        .map(|of| plan(&[of, &["--policy", "/extra/mine.toml"]].concat()));
    assert_eq!(lines, set, "{nix}");
    let plain = plan(&["/extra"]);
    let check = |plan: &str, name: &str, verdict: &str, code: &str| {
        let rows = plan.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let row = rows.into_iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{nix}: no {name}"));
        assert_eq!((&row["verdict"], &row["reasons"][0]["code"]), (&verdict.into(), &code.into()), "{nix}: {name}");
    };
    check(&plain, "by-text", "withhold", "license-unknown");
    check(&set, "by-text", "publish", "license-free");
    check(&plain, "names-text", "publish", "license-free");
    check(&set, "hello-3", "withhold", "license-restricted");
    check(&set, "vendor.run", "withhold", "source-of-withheld");
    check(&set, "package-3.tar.gz", "withhold", "license-restricted");
    for odd in ["odd-meta", "odd-provenance", "text-provenance"] {
        check(&plain, odd, "withhold", "license-unknown");
    }
}

/// Lines of jobs alone, with what the walker says by way of `--apply`: what they are made of is read from the `.drv` files
/// that are there, and one that is gone is named.
#[test]
fn lines_of_jobs_alone() {
    let world = World::new("2.8");
    let (store, state) = (world.empty_store("store"), world.folder("state"));
    set(&world);
    let narthex = |arguments: &[&str]| world.narthex(&store, &state, arguments);
    let two = "{ inherit (import ./set.nix { size = 9; }) hello vendor; }";
    std::fs::write(world.extra().join("two.nix"), two).unwrap();
    let all = narthex(&["eval", "/extra/two.nix", "--format", "json"]).expect(0).rows();
    // As `nix-eval-jobs --apply` writes them: each job with the facts of all that it is made of.
    let facts = |row: &serde_json::Value| format!("{} {}", row["drvPath"].as_str().unwrap(), row["extraValue"]);
    let facts: Vec<String> = all.iter().filter(|row| row["extraValue"].is_object()).map(facts).collect();
    let mut lines = String::new();
    for attr in ["hello", "vendor"] {
        let row = all.iter().find(|row| row["attr"] == attr).unwrap();
        let line = serde_json::json!({
            "attr": attr, "attrPath": [attr], "drvPath": row["drvPath"], "inputDrvs": row["inputDrvs"], "inputSrcs": row["inputSrcs"],
            "name": row["name"], "outputs": row["outputs"], "system": row["system"], "extraValue": { "facts": facts },
        });
        lines.push_str(&format!("{line}\n"));
    }
    std::fs::write(world.extra().join("lines"), lines).unwrap();
    let plan = |more: &[&str]| narthex(&[&["plan", "--format", "json"], more].concat());
    let expected = plan(&["/extra/two.nix"]).expect(0).out;
    assert!(expected.lines().count() > 4, "{expected}");
    assert_eq!(plan(&["--from", "/extra/lines"]).expect(0).out, expected);

    // A `.drv` file that is gone is named, and what needs it is withheld.
    let gone =
        all.iter().find(|row| row["attr"] == "hello").unwrap()["inputDrvs"].as_object().unwrap().keys().next().unwrap();
    world.remove(&store, gone);
    let said = plan(&["--from", "/extra/lines"]).expect(1);
    assert!(said.err.contains(&format!("{gone} is missing")), "{}", said.err);
    assert!(said.out.contains("graph-incomplete"), "{}", said.out);

    let function = narthex(&["eval", "--print-apply"]).expect(0).out;
    let quoted = format!("builtins.isFunction ({function})");
    let nix = world.enter(&store, &state, &["nix-instantiate", "--eval", "-E", &quoted]).output().unwrap();
    assert_eq!(crate::world::success(nix).trim(), "true");
}

#[test]
fn nix_eval_jobs_that_is_not_there() {
    let world = World::new("2.8");
    let (store, state) = (world.empty_store("store"), world.folder("state"));
    set(&world);
    let said = world.narthex(&store, &state, &["eval", "/extra", "--with", "nix-eval-jobs"]).expect(1);
    assert!(said.err.contains("`nix-eval-jobs` is not installed"), "{}", said.err);
    assert!(said.err.contains("hint: put nix-eval-jobs on the PATH"), "{}", said.err);
}
