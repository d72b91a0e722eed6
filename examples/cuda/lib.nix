# The part of nixpkgs' `lib` and `stdenv` that this example needs, small enough to read in one sitting.
#
# Values have the shapes that nixpkgs gives them (licenses, `meta`, outputs, `drvAttrs`), so that whatever
# reads this set reads nixpkgs the same way. There are no phases, no hooks and no cross-compiling here.
{ system }:

let
  inherit (builtins)
    concatStringsSep head listToAttrs map removeAttrs;

  # A license of nixpkgs: the fields that differ are given, the others have the values most licenses have.
  license = fields: {
    licenseType = "simple";
    deprecated = false;
  } // fields;

  spdx = { spdxId, ... }@fields: license ({
    url = "https://spdx.org/licenses/${spdxId}.html";
  } // fields);
in
rec {
  # `redistributable` is the field that matters here. nixpkgs records it but never acts on it. The two CUDA
  # licenses below share every word of their names and differ in this one field only.
  licenses = {
    mit = spdx {
      shortName = "mit";
      fullName = "MIT License";
      spdxId = "MIT";
      free = true;
      redistributable = true;
    };

    bsd3 = spdx {
      shortName = "bsd3";
      fullName = "BSD 3-clause \"New\" or \"Revised\" License";
      spdxId = "BSD-3-Clause";
      free = true;
      redistributable = true;
    };

    fsl11Mit = spdx {
      shortName = "fsl11Mit";
      fullName = "Functional Source License, Version 1.1, MIT Future License";
      spdxId = "FSL-1.1-MIT";
      free = false;
      redistributable = true;
    };

    nvidiaCuda = license {
      shortName = "CUDA EULA";
      fullName = "CUDA Toolkit End User License Agreement (EULA)";
      url = "https://docs.nvidia.com/cuda/eula/index.html#cuda-toolkit-supplement-license-agreement";
      free = false;
      redistributable = false;
    };

    nvidiaCudaRedist = license {
      shortName = "CUDA EULA";
      fullName = "CUDA Toolkit End User License Agreement (EULA)";
      url = "https://docs.nvidia.com/cuda/eula/index.html#cuda-toolkit-supplement-license-agreement";
      free = false;
      redistributable = true;
    };
  };

  # Where the bytes of a package come from, for `meta.sourceProvenance`.
  sourceTypes.binaryNativeCode = {
    shortName = "binaryNativeCode";
    isSource = false;
  };

  # A derivation value with `meta` on it and on each of its outputs.
  #
  # `meta` is kept out of the derivation, so changing it rebuilds nothing. It has to be attached again to the
  # value of every output: `builtins.derivation` knows nothing of it, and `cuda_cudart.dev` would otherwise look
  # like a package without a license.
  mkDerivation =
    { outputs ? [ "out" ]
    , nativeBuildInputs ? [ ]
    , buildCommand
    , meta ? { }
    , ...
    }@attrs:
    let
      value = derivation (removeAttrs attrs [ "meta" "buildCommand" ] // {
        inherit system outputs nativeBuildInputs;
        name = attrs.name or "${attrs.pname}-${attrs.version}";
        builder = "/bin/sh";
        args = [ "-euc" buildCommand ];

        # Only what is declared can be called: a tool that is missing from `nativeBuildInputs` is not found,
        # although the machine has it.
        PATH = concatStringsSep ":" (map (tool: "${tool}/bin") nativeBuildInputs);

        # The tools below are those of the machine, which a sandbox hides. This makes Nix say so, instead
        # of starting a build that finds no compiler.
        __noChroot = true;
      });

      withMeta = output: output // outputValues // {
        inherit meta;
        all = map (name: outputValues.${name}) outputs;
      };
      outputValues = listToAttrs
        (map (name: { inherit name; value = withMeta value.${name}; }) outputs);
    in
    outputValues.${head outputs};

  # A file that the user has to bring, like the function of that name in nixpkgs.
  #
  # The output path depends on the name and the hash alone, and is the one at which
  # `nix-store --add-fixed sha256 FILE` puts the file. Once it is there, Nix never runs the builder. As with
  # nixpkgs' fetchers there is no `meta`: a source does not say under which license it stands.
  requireFile = { name, sha256, message }: derivation {
    inherit name system message;
    builder = "/bin/sh";
    args = [ "-c" ''printf '%s\n' "$message" >&2; exit 1'' ];
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = sha256;
    preferLocalBuild = true;
  };

  # A tool of the machine as a derivation: `bin/` holds scripts that start what lies in /usr/bin.
  #
  # This gives the graph what a real package set has, inputs that are needed for building only, without a
  # compiler of our own. The result is the same text on every machine, whatever version it starts.
  hostTool = name: commands: mkDerivation {
    name = "host-${name}";
    inherit commands;
    buildCommand = ''
      # There are no tools yet to make the tools with.
      PATH=/usr/bin:/bin
      mkdir -p "$out/bin"
      for command in $commands; do
        # gcc looks for `as` and `ld` in the PATH, so the scripts cannot leave it as the build has it.
        printf '#!/bin/sh\nPATH=/usr/bin:/bin exec /usr/bin/%s "$@"\n' "$command" > "$out/bin/$command"
        chmod 555 "$out/bin/$command"
      done
    '';
    meta = {
      description = "Scripts that start ${name} of this machine";
      license = licenses.mit;
    };
  };

  tools = {
    gcc = hostTool "gcc" [ "gcc" "cc" ];
    binutils = hostTool "binutils" [ "ar" "nm" "objcopy" "objdump" "ranlib" "readelf" "strip" ];
    coreutils = hostTool "coreutils" [ "cat" "chmod" "cp" "install" "ln" "mkdir" "mv" "rm" "touch" ];
    patchelf = hostTool "patchelf" [ "patchelf" ];
    unzip = hostTool "unzip" [ "unzip" ];
    zip = hostTool "zip" [ "zip" ];
  };
}
