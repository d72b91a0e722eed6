//! `nix-eval-jobs` by a stand-in that takes its arguments, speaks its lines, and evaluates with the machine's Nix.

use crate::{World, attrs, failed, workers};
use narthex_nix::{EvalOptions, Evaluator, Expression};
use std::os::unix::fs::PermissionsExt;

/// What it prints of each attribute, as documented.
const LINES: &str = r#"{ root, apply }:
let
  inherit (builtins) attrNames concatMap concatStringsSep isAttrs listToAttrs map toJSON tryEval deepSeq;
  isDerivation = value: (value.type or null) == "derivation";
  line = path: value:
    let
      fields = {
        inherit (value) name drvPath system;
        outputs = listToAttrs (map (name: { inherit name; value = value.${name}.outPath; }) value.outputs or [ "out" ]);
        inputDrvs = { };
        extraValue = apply value;
      };
      attempt = tryEval (let text = builtins.unsafeDiscardStringContext (toJSON fields); in deepSeq text text);
      found = tryEval value;
      what = { attr = concatStringsSep "." path; attrPath = path; };
    in
    if found.success && isAttrs value && !isDerivation value then
      (if path == [ ] || value.recurseForDerivations or false then
        concatMap (name: line (path ++ [ name ]) value.${name}) (attrNames value)
      else [ ])
    else if found.success && !isAttrs value then [ ]
    else if attempt.success then [ (toJSON (builtins.fromJSON attempt.value // what)) ]
    else [ (toJSON (what // { error = "error:\n       … while calling something\n\n       error: ${concatStringsSep "." path} is not well"; })) ];
in
concatStringsSep "\n" (line [ ] root ++ [ "" ])
"#;

const STAND_IN: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    --option) options="$options --option $2 $3"; shift 3 ;;
    --workers | --max-memory-size) shift 2 ;;
    --meta) shift ;;
    --apply) apply=$2; shift 2 ;;
    --expr) root=$2; shift 2 ;;
    *) echo "error: unrecognised flag '$1'" >&2; exit 1 ;;
  esac
done
exec nix --extra-experimental-features nix-command eval $options --impure --raw \
  --expr "import LINES { root = ($root); apply = ($apply); }"
"#;

fn stand_in(world: &World, script: &str) -> EvalOptions {
    let lines = world.file("lines.nix", LINES);
    let program = world.file("nix-eval-jobs", &script.replace("LINES", &lines.display().to_string()));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    EvalOptions { evaluator: Evaluator::NixEvalJobs(program.display().to_string()), ..workers(2) }
}

#[tokio::test]
async fn the_same_facts_as_by_nix_itself() {
    let world = World::new().await;
    let options = stand_in(&world, STAND_IN);
    let text = format!(
        "{{ size ? 40 }}: import {} {{ inherit size; }} // {{ sick = throw \"no\"; }}",
        crate::data("set.nix").display()
    );
    let set = Expression::File(world.file("sick.nix", &text));
    for wanted in [&[] as &[&str], &["hello", "tools.deeper", "tools.vendor", "notSearched"]] {
        let by_nix = world.evaluate(&set, wanted, &workers(2)).await;
        let by_jobs = world.evaluate(&set, wanted, &options).await;
        assert_eq!(by_jobs.jobs, by_nix.jobs);
        assert_eq!(by_jobs.facts, by_nix.facts);
        assert_eq!(attrs(&by_jobs).len(), by_nix.jobs.len());
        if wanted.is_empty() {
            failed(&by_jobs, &[("sick", "sick is not well")]);
            failed(&by_nix, &[("sick", "no")]);
        }
    }
}

#[tokio::test]
async fn how_it_can_fail() {
    let world = World::new().await;
    let set = world.set("size = 3;");
    let check = async |script: &str, part: &str| {
        let options = stand_in(&world, script);
        let error = world.try_evaluate(&set, &[], &options).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    check("#!/bin/sh\necho 'error: out of workers' >&2; exit 1", "out of workers").await;
    check("#!/bin/sh\necho '{\"attr\":\"a\",\"error\":\"error: bad\"}'; kill -9 $$", "failed").await;
    check("#!/bin/sh\necho 'no JSON'", "answered something unexpected").await;
    let absent = EvalOptions { evaluator: Evaluator::NixEvalJobs("/nowhere/nix-eval-jobs".to_owned()), ..workers(1) };
    let error = world.try_evaluate(&set, &[], &absent).await.unwrap_err();
    assert!(error.to_string().contains("is not installed"), "{error}");
}
