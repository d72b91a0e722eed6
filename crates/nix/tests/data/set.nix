# A package set in the shape of nixpkgs, for tests and measurements: its packages are made by functions, as many as
# are asked for, and each of them is made of others.
#
# size:   packages that functions make; there are about twice as many derivations, since each has a source
# faults: adds an attribute for every way in which evaluating one can go wrong
# traps:  adds attributes that evaluate, and do not where one asks more of them than Nix does
# heavy:  adds attributes that need gigabytes, or that never end
# weight: adds so much work to each package; 800 make it take as long as one of nixpkgs
{ size ? 300, weight ? 0, faults ? false, traps ? false, heavy ? false, system ? "x86_64-linux" }:

let
  lib = import ./lib.nix;
  inherit (lib) elemAt genList licenses listToAttrs mod;

  shell = "/bin/sh";
  bare = attributes: derivation ({ inherit system; builder = shell; args = [ "-c" "echo > $out" ]; } // attributes);

  # What everything is made with is made in stages, each with the one before.
  stage = number: before:
    let
      tool = name: bare { name = "stage${toString number}-${name}"; inherit before; } // {
        meta = { license = licenses.gpl3Plus; description = "Stage ${toString number} of ${name}"; };
      };
    in
    bare { name = "stdenv-stage${toString number}"; tools = map tool [ "bash" "binutils" "coreutils" "gcc" "glibc" "grep" "make" "sed" "tar" "xz" ]; }
    // { meta.license = licenses.mit; };
  stdenvBase = lib.foldl' (before: number: stage number before) null (genList (n: n) 5);

  base = final: {
    inherit lib system;
    callPackage = lib.callPackageWith final;
    stdenv = stdenvBase // {
      mkDerivation = lib.makeDerivation { inherit system shell; stdenv = stdenvBase; initial = null; };
    };
    fetchurl = { name, sha256 }: final.stdenv.mkDerivation {
      inherit name;
      urls = map (mirror: "${mirror}/${name}") final.mirrors;
      outputHash = sha256;
      outputHashAlgo = "sha256";
      outputHashMode = "flat";
      impureEnvVars = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" ];
      preferLocalBuild = true;
    };
    mirrors = genList (n: "https://mirror-${toString n}.example.org/distfiles") 20;
    hello = final.callPackage ({ stdenv }: stdenv.mkDerivation {
      pname = "hello";
      version = "2.12";
      meta = { description = "A greeting"; license = licenses.gpl3Plus; };
    }) { };
    wrapped = final.callPackage ({ stdenv, hello }: stdenv.mkDerivation {
      name = "wrapped-hello";
      text = "exec ${hello}/bin/hello";
      meta = hello.meta // { description = "A wrapper"; };
    }) { };
    symlinkJoin = { name, paths }: bare { inherit name paths; preferLocalBuild = true; allowSubstitutes = false; };
    joined = final.symlinkJoin { name = "joined"; paths = [ final.hello final.wrapped final.vendor ]; };
    # Wrappers that say nothing of themselves, and of which the value tells what is inside.
    joinedAlone = final.symlinkJoin { name = "joined-alone"; paths = [ final.vendor ]; };
    unwrapping = final.symlinkJoin { name = "unwrapping"; paths = [ final.hello final.wrapped ]; }
      // { unwrapped = final.hello; };
    # It meets the same derivation before, by a value that does not tell what is inside.
    aUserOfIt = bare { name = "user-of-it"; it = final.unwrapping.out; } // { meta.license = licenses.mit; };
    # Only a text leads to `by-text`, so that nothing can ask it what it declares.
    namesText = bare {
      name = "names-text";
      text = "exec ${bare { name = "by-text"; } // { meta.license = licenses.unfree; }}";
    } // { meta.license = licenses.mit; };
    oddMeta = bare { name = "odd-meta"; } // { meta = 3; };
    oddProvenance = bare { name = "odd-provenance"; } // { meta = { license = licenses.mit; sourceProvenance = [ 3 ]; }; };
    textProvenance = bare { name = "text-provenance"; } // { meta.sourceProvenance = "binaryFirmware"; };
    vendor = final.callPackage ({ stdenv, fetchurl }: stdenv.mkDerivation {
      pname = "vendor";
      version = "1";
      outputs = [ "out" "dev" "static" ];
      src = fetchurl { name = "vendor.run"; sha256 = builtins.hashString "sha256" "vendor"; };
      meta = { license = licenses.unfree; sourceProvenance = [ lib.sourceTypes.binaryNativeCode ]; };
    }) { };
    changed = final.hello.overrideAttrs (old: { version = "3"; patches = [ final.vendor.src ]; });
    # One derivation that two attributes license differently: both hold.
    relicensed = final.hello // { meta = final.hello.meta // { license = licenses.unfree; }; };
    alias = final.hello;
  };

  # The packages. Which others one is made of is spread evenly, and later ones need earlier ones only.
  generated = final: prev: listToAttrs (genList (n: {
    name = packageName n;
    value = final.callPackage (package n) { };
  }) size);
  packageName = n: "package-${toString n}";
  all = with licenses; [ mit asl20 gpl3Plus bsd3 [ mit asl20 ] unfreeRedistributable mit bsd3 "BSD-3-Clause" ];
  # Sets that are merged and texts that are put together: what evaluating nixpkgs consists of.
  weigh = n: if weight == 0 then { checkPhase = ""; } else {
    checkPhase =
      let flags = lib.foldl' (known: k: known // { "flag-${toString (mod (n + k) 23)}" = "--check=${toString (n + k)}"; }) { } (genList (k: k) weight);
      in lib.concatStringsSep " " (map (flag: flags.${flag}) (lib.attrNames flags));
  };
  package = n: { stdenv, fetchurl, hello, pkgsFinal }:
    let
      pick = k: pkgsFinal.${packageName (mod (n * (7 + k * 13) + k * k * 31) n)};
      count = if n == 0 then 0 else 1 + mod (n * 5) 7;
    in
    stdenv.mkDerivation ({
      pname = packageName n;
      version = "${toString (mod n 9)}.${toString (mod n 17)}";
      outputs = if mod n 5 == 0 then [ "out" "dev" "doc" ] else [ "out" ];
      src = fetchurl { name = "package-${toString n}.tar.gz"; sha256 = builtins.hashString "sha256" (toString n); };
      nativeBuildInputs = [ hello ];
      buildInputs = genList (k: pick (k + 1)) count;
      configureFlags = genList (k: "--with-feature-${toString k}=${toString (mod (n + k) 3)}") 12;
      buildPhase = "make -j$NIX_BUILD_CORES VERSION=${toString n}";
      installPhase = "make install PREFIX=$out";
      inherit (weigh n) checkPhase;
    } // (if mod n 11 == 3 then { } else {
      meta = {
        description = "Package number ${toString n}";
        homepage = "https://example.org/${toString n}";
        license = elemAt all (mod n (lib.length all));
        inherit (lib) platforms;
        maintainers = [ { name = "somebody"; email = "somebody@example.org"; } ];
      } // (if mod n 23 == 5 then { sourceProvenance = [ lib.sourceTypes.binaryNativeCode ]; } else { });
    }));

  subsets = final: prev: {
    pkgsFinal = final;
    tools = {
      recurseForDerivations = true;
      inherit (final) hello vendor;
      deeper = { recurseForDerivations = true; inherit (final) wrapped; };
    };
    notSearched = { inherit (final) hello; };
  };

  wrong = final: prev: {
    throws = throw "license server is down";
    renamed = throw "renamed has been renamed to hello";
    broken = final.hello.overrideAttrs (old: { meta = old.meta // { broken = true; }; });
    wrongMeta = final.hello.overrideAttrs (old: { meta = old.meta // { description = 3; }; });
    aborts = abort "stop everything";
    recurses = let x = x; in x;
    recursesInside = final.hello.overrideAttrs (old: { text = final.recursesInside.outPath; });
    missing = { }.nothing;
    wrongType = final.stdenv.mkDerivation 3;
    deep = let go = n: 1 + go (n + 1); in go 0;
    dependsOnAbort = final.hello.overrideAttrs (old: { buildInputs = [ final.aborts ]; });
    tools = prev.tools // { bad = abort "inside"; };
    inItself = let set = { recurseForDerivations = true; inherit set; }; in set;
    badSet = { recurseForDerivations = throw "nobody knows"; };
  };

  # Nobody but who looks at what a wrapper was made from comes to harm.
  trapped = final: prev: {
    trap = bare { name = "trap"; } // { unwrapped = abort "not to be looked at"; };
    besideTrap = bare { name = "beside-trap"; inherit (final) trap; } // { meta.license = licenses.mit; };
  };

  unending = final: prev: {
    greedy = final.hello.overrideAttrs (old: {
      number = toString (lib.foldl' (sum: n: sum + n) 0 (genList (n: n) 100000000));
    });
    endless =
      let
        many = genList (n: n) 100000;
        sum = lib.foldl' (sum: n: sum + n) 0;
      in
      final.hello.overrideAttrs (old: { number = toString (lib.foldl' (_: n: sum many) 0 many); });
  };
in
removeAttrs
  (lib.withOverlays
    ([ generated subsets ] ++ (if faults then [ wrong ] else [ ]) ++ (if traps then [ trapped ] else [ ]) ++ (if heavy then [ unending ] else [ ]))
    base)
  [ "lib" "system" "callPackage" "fetchurl" "symlinkJoin" "pkgsFinal" "mirrors" ]
