# A package set in the shape of a release with many failures, for tests and measurements: few attributes, each made of
# many packages that they share, and between them attributes that fail in the ways of nixpkgs.
#
# size:  packages that the attributes are made of
# jobs:  attributes
# share: how many of a hundred attributes fail
# good:  leaves the failing ones out
# weight: how much work each package is, as in `set.nix`
{ size ? 3000, jobs ? 400, share ? 5, good ? false, weight ? 0 }:

let
  inherit (builtins) concatMap elemAt genList listToAttrs toString;
  set = import ./set.nix { inherit size weight; };
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
  removed = n: throw "'${attribute n}' has been removed, as nobody maintained it";
  renamed = n: throw "'${attribute n}' has been renamed to/replaced by 'package-${toString n}'";
  missing = n: ({ needed, stdenv }: stdenv.mkDerivation { name = needed; }) { inherit (set) stdenv; };
  # They fail late: all that they are made of is evaluated before.
  unfree = n: (package n).overrideAttrs (old: { buildInputs = old.buildInputs ++ [ refused ]; });
  asserted = n: (package n).overrideAttrs (old: { src = assert false; old.src; });
  mistyped = n: (package n).overrideAttrs (old: { text = "${{ }}"; });
  endless = n: let x = x; in x;
  # Nix compares the name with all 18,000 names of the set, for "did you mean".
  absent = n: set.nowhere;
  aborted = n: abort "this was never meant to be evaluated";
  ways = [
    removed renamed unfree missing removed endless removed unfree missing removed asserted renamed removed mistyped absent aborted
  ];
  # Which way is spread over those that fail.
  value = n: if fails n then elemAt ways (mod (n * 37 + n / 100) 16) n else package n;
in
listToAttrs (concatMap
  (n: if good && fails n then [ ] else [ { name = attribute n; value = value n; } ])
  (genList (n: n) jobs))
