//! Flakes of the machine, which need no network.

use crate::{World, attrs, data, failed, workers};
use narthex_nix::{Expression, Job};
use std::path::PathBuf;

const FLAKE: &str = r#"{
  outputs = { self }: let
    set = import ./set.nix { size = 20; };
    system = "SYSTEM";
  in {
    packages.${system} = { inherit (set) hello vendor; nested = { inherit (set) joined; }; };
    checks.${system} = { inherit (set) wrapped; bad = throw "no check today"; };
    hydraJobs = { inherit (set) package-1; more.deeper = { inherit (set) package-2; }; };
    legacyPackages.${system} = set;
    lib.answer = 42;
  };
}"#;

async fn flake(world: &World) -> PathBuf {
    let folder = world.dir.path().join("flake");
    std::fs::create_dir(&folder).unwrap();
    for name in ["set.nix", "lib.nix"] {
        std::fs::copy(data(name), folder.join(name)).unwrap();
    }
    let system = format!("{}-linux", std::env::consts::ARCH);
    std::fs::write(folder.join("flake.nix"), FLAKE.replace("SYSTEM", &system)).unwrap();
    folder
}

#[tokio::test]
async fn what_stands_behind_a_reference() {
    let world = World::new().await;
    let folder = flake(&world).await;
    let system = format!("{}-linux", std::env::consts::ARCH);
    let check = async |fragment: &str, expected: &[&str], errors: &[(&str, &str)]| {
        let text = format!("path:{}{}", folder.display(), fragment.replace("SYSTEM", &system));
        let evaluation = world.evaluate(&Expression::flake(&text).unwrap(), &[], &workers(2)).await;
        assert_eq!(attrs(&evaluation), expected, "{text}");
        failed(&evaluation, errors);
        evaluation
    };
    let all = [
        "checks.wrapped",
        "hydraJobs.more.deeper.package-2",
        "hydraJobs.package-1",
        "packages.hello",
        "packages.nested.joined",
        "packages.vendor",
    ];
    check("", &all, &[("checks.bad", "no check today")]).await;
    check("#hello", &[""], &[]).await;
    check("#packages.SYSTEM", &["hello", "nested.joined", "vendor"], &[]).await;
    check("#hydraJobs", &["more.deeper.package-2", "package-1"], &[]).await;
    check("#checks.SYSTEM", &["wrapped"], &[("bad", "no check today")]).await;
    check("#tools", &["deeper.wrapped", "hello", "vendor"], &[]).await;
    let legacy = check_legacy(&world, &format!("path:{}#legacyPackages.{system}", folder.display())).await;

    // A flake is a copy in the store: the same derivations under the same licenses, from other places.
    let usual = world.evaluate(&world.set("size = 20;"), &[], &workers(2)).await;
    assert_eq!(legacy.0, usual.jobs);
    let licenses: Vec<String> = usual.facts.values().map(|known| known.facts.license.to_string()).collect();
    assert_eq!(legacy.1, licenses);
}

async fn check_legacy(world: &World, text: &str) -> (Vec<Job>, Vec<String>) {
    let evaluation = world.evaluate(&Expression::flake(text).unwrap(), &[], &workers(2)).await;
    failed(&evaluation, &[]);
    let licenses = evaluation.facts.values().map(|known| known.facts.license.to_string()).collect();
    (evaluation.jobs, licenses)
}

#[tokio::test]
async fn attributes_below_a_reference_and_what_is_not_there() {
    let world = World::new().await;
    let folder = flake(&world).await;
    let reference = Expression::flake(&format!("path:{}", folder.display())).unwrap();
    let evaluation = world.evaluate(&reference, &["packages.hello", "packages.nothing"], &workers(1)).await;
    assert_eq!(attrs(&evaluation), ["packages.hello"]);
    failed(&evaluation, &[("packages.nothing", "no such attribute")]);
    let check = async |text: String, part: &str| {
        let error = world.try_evaluate(&Expression::flake(&text).unwrap(), &[], &workers(1)).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    check(format!("path:{}#nothing.here", folder.display()), "the flake has no").await;
    check(format!("path:{}#lib.answer", folder.display()), "neither a derivation nor a set").await;
    check(format!("path:{}/nowhere", folder.display()), "nowhere").await;
}
