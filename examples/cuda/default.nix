# A package set over real vendor files, with one package for each verdict that Narthex can reach.
#
# README.md lists what to expect of each attribute. Every attribute of the result is a job. The tools and the
# two wheels are not among them; they are reached as inputs, for instance as `cuda_cudart.src`.
#
# The wheels hold programs for x86-64 Linux, so that is the only system there is.
{ system ? "x86_64-linux" }:

let
  lib = import ./lib.nix { inherit system; };
  inherit (lib) licenses mkDerivation sourceTypes;
  inherit (lib.tools) binutils coreutils gcc patchelf unzip zip;

  wheel = { project, version, name, sha256 }: lib.requireFile {
    inherit name sha256;
    message = ''
      ${name} is needed, and is not in the Nix store.
      Fetch it from the Python package index, and add it to the store:

        python3 -m pip download --no-deps --only-binary :all: ${project}==${version}
        nix-store --add-fixed sha256 ${name}
    '';
  };

  runtimeVersion = "12.9.79";
  runtimeWheel = wheel {
    project = "nvidia-cuda-runtime-cu12";
    version = runtimeVersion;
    name = "nvidia_cuda_runtime_cu12-${runtimeVersion}-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl";
    sha256 = "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3";
  };

  nvccVersion = "12.9.86";
  nvccWheel = wheel {
    project = "nvidia-cuda-nvcc-cu12";
    version = nvccVersion;
    name = "nvidia_cuda_nvcc_cu12-${nvccVersion}-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl";
    sha256 = "5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0";
  };
in
rec {
  # The source is copied before it is compiled, here and below. The compiler writes the name of the file into the
  # program, and "$src" has its hash in the name: Nix would see a reference from the program to its source.
  greeting = mkDerivation {
    pname = "greeting";
    version = "1.0";
    src = ./greeting.c;
    nativeBuildInputs = [ coreutils gcc ];
    buildCommand = ''
      cp "$src" greeting.c
      mkdir -p "$out/bin"
      cc -O2 -Wall -o "$out/bin/greeting" greeting.c
    '';
    meta = {
      description = "A program without CUDA";
      license = licenses.mit;
    };
  };

  # The RPATH is what makes this a modified copy: `patchelf` moves the vendor's file away from its hash, and
  # the terms allow passing on unmodified files only.
  cuda_cudart = mkDerivation {
    pname = "cuda_cudart";
    version = runtimeVersion;
    src = runtimeWheel;
    outputs = [ "out" "dev" "static" ];
    nativeBuildInputs = [ coreutils patchelf unzip ];
    buildCommand = ''
      unzip -q "$src" -d wheel
      cd wheel/nvidia/cuda_runtime

      mkdir -p "$out/lib" "$dev" "$static/lib"
      cp lib/libcudart.so.12 "$out/lib/"
      chmod 755 "$out/lib/libcudart.so.12"
      patchelf --set-rpath "$out/lib" "$out/lib/libcudart.so.12"
      ln -s libcudart.so.12 "$out/lib/libcudart.so"

      cp -r include "$dev/"
      cp lib/*.a "$static/lib/"
    '';
    meta = {
      description = "The CUDA runtime: shared library, headers and static archives";
      license = licenses.nvidiaCuda;
      sourceProvenance = [ sourceTypes.binaryNativeCode ];
    };
  };

  # The license is the one that nixpkgs declares for every package of the CUDA set. The terms list none of
  # the programs and headers in here.
  cuda_nvcc = mkDerivation {
    pname = "cuda_nvcc";
    version = nvccVersion;
    src = nvccWheel;
    nativeBuildInputs = [ coreutils unzip ];
    buildCommand = ''
      unzip -q "$src" -d wheel
      mkdir -p "$out"
      cp -rp wheel/nvidia/cuda_nvcc/. "$out/"
    '';
    meta = {
      description = "ptxas, libnvvm and the headers of the CUDA compiler";
      license = licenses.nvidiaCudaRedist;
      sourceProvenance = [ sourceTypes.binaryNativeCode ];
    };
  };

  # The headers of the runtime include `crt/` headers, which come with the compiler.
  saxpy = mkDerivation {
    pname = "saxpy";
    version = "1.0";
    src = ./saxpy.c;
    nativeBuildInputs = [ coreutils gcc ];
    buildInputs = [ cuda_cudart cuda_cudart.dev cuda_nvcc ];
    buildCommand = ''
      cp "$src" saxpy.c
      mkdir -p "$out/bin"
      cc -O2 -Wall -I${cuda_cudart.dev}/include -I${cuda_nvcc}/include \
        -o "$out/bin/saxpy" saxpy.c \
        -L${cuda_cudart}/lib -lcudart \
        -Wl,--enable-new-dtags,-rpath,${cuda_cudart}/lib
    '';
    meta = {
      description = "A CUDA program that finds the runtime in its own package";
      license = licenses.mit;
    };
  };

  saxpy-app = mkDerivation {
    pname = "saxpy-app";
    version = "1.0";
    nativeBuildInputs = [ coreutils ];
    buildInputs = [ greeting saxpy ];
    buildCommand = ''
      mkdir -p "$out/bin"
      cat > "$out/bin/saxpy-app" <<'END'
      #!/bin/sh
      set -eu
      ${greeting}/bin/greeting
      exec ${saxpy}/bin/saxpy
      END
      chmod 755 "$out/bin/saxpy-app"
    '';
    meta = {
      description = "An application that refers to a published program with a withheld dependency";
      license = licenses.mit;
    };
  };

  # Without symbols nothing but the code itself tells that the runtime is inside.
  saxpy-static = mkDerivation {
    pname = "saxpy-static";
    version = "1.0";
    src = ./saxpy.c;
    nativeBuildInputs = [ binutils coreutils gcc ];
    buildInputs = [ cuda_cudart.dev cuda_cudart.static cuda_nvcc ];
    buildCommand = ''
      cp "$src" saxpy.c
      mkdir -p "$out/bin"
      cc -O2 -Wall -I${cuda_cudart.dev}/include -I${cuda_nvcc}/include \
        -o "$out/bin/saxpy" saxpy.c \
        ${cuda_cudart.static}/lib/libcudart_static.a -ldl -lpthread -lrt \
        -Wl,--exclude-libs,ALL,--gc-sections
      strip "$out/bin/saxpy"
    '';
    meta = {
      description = "The same program with the CUDA runtime linked in";
      license = licenses.mit;
    };
  };

  # The library comes from the wheel, so nothing in the result refers to `cuda_cudart`.
  saxpy-bundled = mkDerivation {
    pname = "saxpy-bundled";
    version = "1.0";
    src = ./saxpy.c;
    runtime = runtimeWheel;
    nativeBuildInputs = [ coreutils gcc patchelf unzip ];
    buildInputs = [ cuda_cudart.dev cuda_nvcc ];
    buildCommand = ''
      cp "$src" saxpy.c
      mkdir -p "$out/bin" "$out/lib"
      unzip -q -j "$runtime" nvidia/cuda_runtime/lib/libcudart.so.12 -d "$out/lib"
      chmod 755 "$out/lib/libcudart.so.12"
      patchelf --set-rpath '$ORIGIN' "$out/lib/libcudart.so.12"

      cc -O2 -Wall -I${cuda_cudart.dev}/include -I${cuda_nvcc}/include \
        -o "$out/bin/saxpy" saxpy.c \
        "$out/lib/libcudart.so.12" \
        -Wl,--enable-new-dtags,-rpath,'$ORIGIN/../lib'
    '';
    meta = {
      description = "The same program with a patched copy of the CUDA runtime next to it";
      license = licenses.mit;
    };
  };

  # The vendor's file goes in as it is: no `patchelf`, no `strip`. The names are given to `zip` one by one and all
  # times are before 1980, where zip's calendar begins, so the archive has the same bytes each time.
  saxpy-wheel = mkDerivation {
    pname = "saxpy-wheel";
    version = "1.0";
    src = ./saxpy.c;
    runtime = runtimeWheel;
    nativeBuildInputs = [ coreutils gcc unzip zip ];
    buildInputs = [ cuda_cudart.dev cuda_nvcc ];
    buildCommand = ''
      mkdir -p wheel/saxpy/bin wheel/saxpy/lib wheel/saxpy-1.0.dist-info
      cp "$src" saxpy.c
      cd wheel
      unzip -q -j "$runtime" nvidia/cuda_runtime/lib/libcudart.so.12 -d saxpy/lib
      cc -O2 -Wall -I${cuda_cudart.dev}/include -I${cuda_nvcc}/include \
        -o saxpy/bin/saxpy ../saxpy.c \
        saxpy/lib/libcudart.so.12 \
        -Wl,--enable-new-dtags,-rpath,'$ORIGIN/../lib'

      cat > saxpy/__init__.py <<'END'
      END
      cat > saxpy/__main__.py <<'END'
      import os
      import pathlib

      program = pathlib.Path(__file__).parent / "bin" / "saxpy"
      os.execv(program, [str(program)])
      END
      cat > saxpy-1.0.dist-info/METADATA <<'END'
      Metadata-Version: 2.1
      Name: saxpy
      Version: 1.0
      Summary: A CUDA program with the runtime in its wheel
      END
      cat > saxpy-1.0.dist-info/WHEEL <<'END'
      Wheel-Version: 1.0
      Generator: narthex-example
      Root-Is-Purelib: false
      Tag: py3-none-linux_x86_64
      END

      files="saxpy/__init__.py saxpy/__main__.py saxpy/bin/saxpy saxpy/lib/libcudart.so.12
        saxpy-1.0.dist-info/METADATA saxpy-1.0.dist-info/WHEEL saxpy-1.0.dist-info/RECORD"
      for file in $files; do
        echo "$file,,"
      done > saxpy-1.0.dist-info/RECORD

      chmod 644 $files
      chmod 755 saxpy/bin/saxpy
      touch -d @1 $files
      mkdir -p "$out/share/wheels"
      TZ=UTC zip -q -X "$out/share/wheels/saxpy-1.0-py3-none-linux_x86_64.whl" $files
    '';
    meta = {
      description = "A Python wheel that holds the program and an unmodified CUDA runtime";
      license = licenses.mit;
    };
  };

  # What is declared here is not true, and only the bytes show it.
  ptxas-in-disguise = mkDerivation {
    pname = "ptxas-in-disguise";
    version = "1.0";
    src = nvccWheel;
    nativeBuildInputs = [ binutils coreutils unzip ];
    buildCommand = ''
      unzip -q -j "$src" nvidia/cuda_nvcc/bin/ptxas
      strip ptxas
      mkdir -p "$out/bin"
      install -m 755 ptxas "$out/bin/shader-opt"
    '';
    meta = {
      description = "An optimizer for shaders, or so it says";
      license = licenses.bsd3;
    };
  };

  mystery = mkDerivation {
    pname = "mystery";
    version = "1.0";
    src = ./mystery.sh;
    nativeBuildInputs = [ coreutils ];
    buildCommand = ''
      mkdir -p "$out/bin"
      install -m 755 "$src" "$out/bin/mystery"
    '';
    meta.description = "A program that does not say under which license it stands";
  };

  source-available = mkDerivation {
    pname = "source-available";
    version = "1.0";
    src = ./source-available.c;
    nativeBuildInputs = [ coreutils gcc ];
    buildCommand = ''
      cp "$src" source-available.c
      mkdir -p "$out/bin"
      cc -O2 -Wall -o "$out/bin/source-available" source-available.c
    '';
    meta = {
      description = "A program that is not free, but may be passed on";
      license = licenses.fsl11Mit;
    };
  };

  broken = mkDerivation {
    pname = "broken";
    version = "1.0";
    src = ./broken.c;
    nativeBuildInputs = [ coreutils gcc ];
    buildCommand = ''
      cp "$src" broken.c
      echo "compiling broken.c"
      mkdir -p "$out/bin"
      cc -O2 -Wall -o "$out/bin/broken" broken.c
    '';
    meta = {
      description = "A program that does not compile";
      license = licenses.mit;
    };
  };
}
