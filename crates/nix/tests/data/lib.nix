# The machinery of a large package set, as nixpkgs has it: a fixed point with overlays, `callPackage`,
# `override`, `overrideAttrs`, several outputs, a `meta` that is computed and checked, and its licenses.
# Packages themselves stand in `set.nix`.
let
  inherit (builtins)
    all any attrNames concatMap concatStringsSep elem elemAt filter foldl' functionArgs genList hasAttr hashString head
    intersectAttrs isAttrs isBool isFunction isList isString length listToAttrs map mapAttrs removeAttrs split
    toString unsafeGetAttrPos;
in
rec {
  inherit (builtins) attrNames concatStringsSep elemAt foldl' genList head length listToAttrs map mapAttrs;

  # The remainder of a division.
  mod = a: b: a - b * (a / b);

  fix = f: let x = f x; in x;
  extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
  withOverlays = overlays: base: fix (foldl' (f: overlay: extends overlay f) base overlays);

  license = { free ? true, redistributable ? free, ... }@fields: {
    licenseType = "simple";
    deprecated = false;
    inherit free redistributable;
  } // fields;

  licenses = {
    mit = license { shortName = "mit"; fullName = "MIT License"; spdxId = "MIT"; url = "https://spdx.org/licenses/MIT.html"; };
    asl20 = license { shortName = "asl20"; fullName = "Apache License 2.0"; spdxId = "Apache-2.0"; url = "https://spdx.org/licenses/Apache-2.0.html"; };
    gpl3Plus = license { shortName = "gpl3Plus"; fullName = "GNU General Public License v3.0 or later"; spdxId = "GPL-3.0-or-later"; url = "https://spdx.org/licenses/GPL-3.0-or-later.html"; };
    bsd3 = license { shortName = "bsd3"; fullName = "BSD 3-clause \"New\" or \"Revised\" License"; spdxId = "BSD-3-Clause"; url = "https://spdx.org/licenses/BSD-3-Clause.html"; };
    unfree = license { shortName = "unfree"; fullName = "Unfree"; free = false; };
    unfreeRedistributable = license { shortName = "unfreeRedistributable"; fullName = "Unfree redistributable"; free = false; redistributable = true; };
  };

  sourceTypes.binaryNativeCode = { shortName = "binaryNativeCode"; isSource = false; };

  # Calls a package with what the set has, and remembers how, so that it can be called otherwise.
  makeOverridable = f: arguments:
    let result = f arguments;
    in
    if isAttrs result then
      result // {
        override = changed: makeOverridable f (arguments // (if isFunction changed then changed arguments else changed));
      } // (if result ? overrideAttrs then {
        overrideAttrs = change: makeOverridable (given: (f given).overrideAttrs change) arguments;
      } else { })
    else result;

  callPackageWith = set: f: more:
    let
      function = if isFunction f then f else import f;
      known = intersectAttrs (functionArgs function) set;
    in
    makeOverridable function (known // more);

  # `x86_64-linux` in its parts, as `lib.systems` has them.
  parse = system:
    let parts = filter isString (split "-" system);
    in rec {
      cpu = { name = elemAt parts 0; bits = if cpu.name == "i686" then 32 else 64; };
      kernel = { name = elemAt parts 1; };
      isLinux = kernel.name == "linux";
    };
  matches = pattern: system:
    pattern.cpu.name == system.cpu.name && pattern.kernel.name == system.kernel.name && pattern.isLinux == system.isLinux;
  platforms = concatMap (cpu: map (kernel: "${cpu}-${kernel}") [ "darwin" "freebsd" "linux" ])
    [ "aarch64" "armv7l" "i686" "powerpc64le" "riscv64" "x86_64" ];

  # As nixpkgs' check-meta: the license and the platforms decide what may be evaluated, and all of `meta` has types.
  checkMeta = { name, meta, system }:
    let
      given = if isList (meta.license or [ ]) then meta.license or [ ] else [ meta.license ];
      unfree = filter (one: isAttrs one && !(one.free or true)) given;
      listOf = check: value: isList value && all check value;
      attrsOf = check: value: isAttrs value && all (field: check value.${field}) (attrNames value);
      types = {
        name = isString;
        description = isString;
        homepage = value: isString value || listOf isString value;
        license = value: isAttrs value || isString value || listOf (one: isAttrs one || isString one) value;
        platforms = listOf (platform: isString platform || isAttrs platform);
        maintainers = listOf (attrsOf isString);
        outputsToInstall = listOf isString;
        sourceProvenance = listOf isAttrs;
        position = isString;
        mainProgram = isString;
        broken = isBool;
      };
      wrong = filter (field: types ? ${field} && !types.${field} meta.${field}) (attrNames meta);
      available = !(meta ? platforms) || any (platform: matches (parse platform) (parse system)) meta.platforms;
    in
    if wrong != [ ] then throw "${name}: meta has wrong types: ${toString wrong}"
    else { inherit available; unfree = unfree != [ ]; unsupported = !available; broken = meta.broken or false; };

  outputOf = output: value:
    if isAttrs value && value ? ${output} && !(value.outputSpecified or false) then value.${output} else value;

  # `stdenv.mkDerivation` without its bash.
  makeDerivation = { system, stdenv, shell, initial }:
    let
      derivationFor =
        { pname ? null
        , version ? null
        , name ? "${pname}-${version}"
        , outputs ? [ "out" ]
        , buildInputs ? [ ]
        , nativeBuildInputs ? [ ]
        , propagatedBuildInputs ? [ ]
        , meta ? { }
        , passthru ? { }
        , ...
        }@given:
        let
          # What is built on one kind of machine for another comes in six lists, and each again for what is passed on.
          kinds = [ "depsBuildBuild" "depsBuildTarget" "depsHostHost" "depsTargetTarget" ];
          kindsOfInput = kinds ++ map (kind: kind + "Propagated") kinds;
          inputs = listToAttrs (map (kind: { name = kind; value = map (outputOf "dev") (given.${kind} or [ ]); }) kindsOfInput);
          checkedInputs = map (one:
            if isAttrs one || isString one || one == null then one
            else throw "Dependency is not of a valid type: an input of ${name}")
            (buildInputs ++ nativeBuildInputs ++ propagatedBuildInputs ++ concatMap (kind: given.${kind} or [ ]) kinds);
          hardening = [ "bindnow" "format" "fortify" "pic" "relro" "stackprotector" "strictoverflow" ];
          enabled = filter (flag: !(elem flag (given.hardeningDisable or [ ]))) hardening;
          mesonFlags = map (option: "-D${option}=${if hasAttr option given then given.${option} else "auto"}")
            [ "buildtype" "libdir" "libexecdir" "bindir" "sbindir" "includedir" "mandir" "infodir" "localedir" ];
          withoutNull = attributes: removeAttrs attributes (filter (field: attributes.${field} == null) (attrNames attributes));
          attributes = withoutNull (removeAttrs given [ "meta" "passthru" "pname" "version" ]) // inputs // {
            NIX_HARDENING_ENABLE = concatStringsSep " " enabled;
            inputCount = toString (length checkedInputs);
            doCheck = given.doCheck or false;
            doInstallCheck = given.doInstallCheck or false;
            cmakeFlags = map (flag: "-DCMAKE_INSTALL_${flag}DIR=/${flag}") [ "BIN" "SBIN" "INCLUDE" "LIB" "LIBEXEC" "MAN" "INFO" "DOC" "LOCALE" ];
            inherit mesonFlags;
            inherit name system outputs stdenv;
            builder = shell;
            args = [ "-e" "-c" "for output in $outputs; do echo made > \${!output}; done" ];
            buildInputs = map (outputOf "dev") buildInputs;
            nativeBuildInputs = map (outputOf "dev") nativeBuildInputs;
            propagatedBuildInputs = map (outputOf "dev") propagatedBuildInputs;
            strictDeps = true;
            configureFlags = given.configureFlags or [ ] ++ map (output: "--${output}=${hashString "sha256" output}") outputs;
            patches = given.patches or [ ];
            __structuredAttrs = false;
          } // (if pname == null then { } else { inherit pname version; });
          place = unsafeGetAttrPos "name" given;
          placeOf = if place != null then place else unsafeGetAttrPos "pname" given;
          fullMeta = {
            inherit name;
            outputsToInstall = [ (head outputs) ];
            position = if placeOf == null then "unknown" else "${placeOf.file}:${toString placeOf.line}";
          } // meta;
          checked = checkMeta { inherit name system; meta = fullMeta; };
          finalMeta = fullMeta // { inherit (checked) available unfree unsupported broken; };
          drv = derivationStrictly attributes checked;
          common = {
            inherit passthru system name outputs stdenv buildInputs nativeBuildInputs propagatedBuildInputs;
            meta = finalMeta;
            overrideAttrs = change: derivationFor (given // (if isFunction change then change given else change));
          } // passthru // (if pname == null then { } else { inherit pname version; })
          // (if given ? src then { inherit (given) src; } else { });
          outputValues = listToAttrs (map
            (output: {
              name = output;
              value = common // outputValues // {
                type = "derivation";
                drvAttrs = attributes;
                inherit (drv) drvPath;
                outPath = drv.${output}.outPath;
                outputName = output;
                outputSpecified = true;
              };
            })
            outputs);
        in
        outputValues.${head outputs} // { outputSpecified = false; };

      # Broken packages throw when something is asked of their derivation, and not before.
      derivationStrictly = attributes: checked:
        if checked.broken then throw "Package ${attributes.name} is marked as broken, refusing to evaluate."
        else derivation attributes;
    in
    derivationFor;
}
