# A package set in the shape of a release with many failures, for tests and measurements: few attributes, each made of
# many packages that they share, and between them attributes that fail in the ways of nixpkgs.
#
# size:  packages that the attributes are made of
# jobs:  attributes
# share: how many of a hundred attributes fail
# good:  leaves the failing ones out
{ size ? 3000, jobs ? 400, share ? 5, good ? false }:

let
  inherit (builtins) concatMap elemAt genList listToAttrs toString;
  set = import ./set.nix { inherit size; };
  mod = a: b: a - b * (a / b);

  attribute = n: "job-${toString n}";
  fails = n: mod (n * 37) 100 < share;
  package = n: set."package-${toString (mod (n * 7919) size)}";

  refused = throw ''
    Package ‘vendor-1’ in /set.nix:12 has an unfree license (‘unfree’), refusing to evaluate.

    a) To temporarily allow unfree packages, you can use an environment variable
       for a single invocation of the nix tools.

         $ export NIXPKGS_ALLOW_UNFREE=1
  '';
  ways = [
    (n: throw "'${attribute n}' has been removed, as nobody maintained it")
    (n: ({ needed, stdenv }: stdenv.mkDerivation { name = needed; }) { inherit (set) stdenv; })
    # It fails late: all that it is made of is evaluated before.
    (n: (package n).overrideAttrs (old: { buildInputs = old.buildInputs ++ [ refused ]; }))
    (n: let x = x; in x)
    (n: set.nowhere)
    (n: (package n).overrideAttrs (old: { src = assert false; old.src; }))
    (n: abort "this was never meant to be evaluated")
    (n: (package n).overrideAttrs (old: { text = "${{ }}"; }))
  ];
  # Which way is spread over those that fail.
  value = n: if fails n then elemAt ways (mod (n * 37 + n / 100) 8) n else package n;
in
listToAttrs (concatMap
  (n: if good && fails n then [ ] else [ { name = attribute n; value = value n; } ])
  (genList (n: n) jobs))
