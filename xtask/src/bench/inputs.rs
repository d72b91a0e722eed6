//! What the benchmark looks at: public packages by hash, and the machine's own files.

use super::folder;
use crate::corpus::{fetch_wheel, unpacked_debian};
use crate::machine::{install, needed, output};
use crate::materials::{CUDA, DEBIAN, MKL, System, Wheel};
use crate::{Failure, Outcome};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages that are judged or should not be accused; the last column says what is in the first ones.
pub(super) const WHEELS: [Wheel; 9] = [
    ("torch", "1.11.0", System::X86_64, "58c7814502b1c129a650d7092033bbb0bbd64faf1a7941631aaa1aeaddc37570"),
    ("torch", "2.15.0", System::X86_64, "6d8c86f4e33a9f12a58149bd9b0d64351632b8eb44479be8ff85e5389932dd79"),
    ("nvidia-nccl-cu12", "2.27.3", System::X86_64, "adf27ccf4238253e0b826bce3ff5fa532d65fc42322c8bfdfaf28024c0fbe039"),
    ("cupy-cuda12x", "14.2.0", System::X86_64, "f82141761f2c81905d49387464ae29438887956d99063381c93a1d5d1b7d32e8"),
    ("tensorflow", "2.21.0", System::X86_64, "b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0"),
    ("jax-cuda12-pjrt", "0.12.0.1", System::X86_64, "5ec28e06198d094031c37590b4ea753ae8cde4879ab4b60baf40f0dffb673286"),
    ("numpy", "2.4.6", System::X86_64, "90f9849678c75fe7afa2d348ac842c168b0a4d3d61919687216dfc547976d853"),
    (
        "scipy-openblas64",
        "0.3.34.481.3",
        System::X86_64,
        "deb7f39980f5b4db6140d4a9d948e066ad3ea4a7c6545caa65c3f590fdc23559",
    ),
    (
        "scipy-openblas32",
        "0.3.34.481.3",
        System::X86_64,
        "0595f94cd58c1f8a0d90c975621f4587337a003916b1979e834ebdf2cb5d9504",
    ),
];

/// Files that are judged: package, file, what is in it by what its makers say or its symbols show.
const JUDGED: [(&str, &str, &str); 9] = [
    (
        "torch-1.11.0",
        "torch/lib/libtorch_cuda.so",
        "static cuBLAS, cuDNN, cuFFT, cuSPARSE of CUDA 10.2, which the corpus lacks",
    ),
    ("torch-1.11.0", "torch/lib/libc10_cuda.so", "static cudart of CUDA 10.2, which the corpus lacks"),
    ("torch-1.11.0", "torch/lib/libtorch_cpu.so", "static MKL of 2020"),
    ("torch-2.15.0", "torch/lib/libtorch_cpu.so", "static MKL 2024.2"),
    ("torch-2.15.0", "torch/lib/libtorch_cuda.so", "no static cuBLAS"),
    (
        "torch-2.15.0",
        "torch/lib/libtorch_cuda_linalg.so",
        "MKL's Fortran interface (its symbols, `mkl_blas__dger` and others, are there)",
    ),
    ("nvidia-nccl-cu12-2.27.3", "nvidia/nccl/lib/libnccl.so.2", "static cudart"),
    ("cupy-cuda12x-14.2.0", "cupy_backends/cuda/api/runtime.cpython-312-x86_64-linux-gnu.so", "static cudart"),
    ("tensorflow-2.21.0", "tensorflow/compiler/tf2xla/ops/_xla_ops.so", "static cudart (its symbols are there)"),
];

/// Library packages of Debian that have nothing to do with any vendor.
const DEBIAN_LIBRARIES: [&str; 20] = [
    "libboost1.74-dev",
    "libqt5core5a",
    "libqt5gui5",
    "libqt5widgets5",
    "libgtk-3-0",
    "libwebkit2gtk-4.0-37",
    "libjavascriptcoregtk-4.0-18",
    "libllvm14",
    "libicu72",
    "libopenblas0-pthread",
    "liblapack3",
    "libfftw3-double3",
    "libhdf5-103-1",
    "libopencv-core406",
    "libvtk9.1",
    "libavcodec59",
    "libx265-199",
    "libssl3",
    "libprotobuf32",
    "libgsl27",
];

/// All of it, on disk.
pub(super) struct Inputs {
    unpacked: PathBuf,
    cudarts: Vec<(String, PathBuf)>,
    mkl: Vec<PathBuf>,
}

/// Installs the linkers and tools that the figures are compared with.
pub(super) fn install_tools() -> Outcome {
    install(&[
        needed("ld.lld", "lld"),
        needed("mold", "mold"),
        needed("nm", "binutils"),
        needed("patchelf", "patchelf"),
        needed("unzip", "unzip"),
        needed("gcc", "gcc"),
        needed("chromium", "chromium"),
    ])
}

impl Inputs {
    pub(super) fn prepare() -> Outcome<Self> {
        let unpacked = folder().join("inputs");
        for wheel in &WHEELS {
            unpack(&fetch_wheel(wheel)?, &unpacked.join(format!("{}-{}", wheel.0, wheel.1)), &["*.so", "*.so.*"])?;
        }
        let mut cudarts = Vec::new();
        for version in ["12.9.79", "13.0.96", "13.2.86", "13.5.37"] {
            let of =
                |wheel: &&Wheel| wheel.1 == version && wheel.2 == System::X86_64 && wheel.0.contains("cuda-runtime");
            let wheel = CUDA.iter().find(of).ok_or_else(|| Failure::new(format!("no cudart {version} is known")))?;
            let into = unpacked.join(format!("cudart-{version}"));
            unpack(&fetch_wheel(wheel)?, &into, &["*.a"])?;
            cudarts.push((version.to_owned(), find(&into, "libcudart_static.a")?));
        }
        for package in &DEBIAN {
            let version = package.2.split('~').next().unwrap_or(package.2).to_owned();
            cudarts.push((version, find(&unpacked_debian(package)?, "libcudart_static.a")?));
        }
        let into = unpacked.join("mkl");
        unpack(&fetch_wheel(&MKL[0])?, &into, &["*libmkl_intel_ilp64.a", "*libmkl_sequential.a", "*libmkl_core.a"])?;
        let archives = ["libmkl_intel_ilp64.a", "libmkl_sequential.a", "libmkl_core.a"];
        let mkl = archives.iter().map(|name| find(&into, name)).collect::<Outcome<Vec<_>>>()?;
        Ok(Self { unpacked, cudarts, mkl })
    }

    pub(super) fn cudarts(&self) -> impl Iterator<Item = (&str, &PathBuf)> {
        self.cudarts.iter().map(|(version, archive)| (version.as_str(), archive))
    }

    pub(super) fn mkl(&self) -> Vec<PathBuf> {
        self.mkl.clone()
    }

    pub(super) fn torch_1_cuda(&self) -> PathBuf {
        self.unpacked.join("torch-1.11.0/torch/lib/libtorch_cuda.so")
    }

    pub(super) fn torch_2_cpu(&self) -> PathBuf {
        self.unpacked.join("torch-2.15.0/torch/lib/libtorch_cpu.so")
    }

    pub(super) fn tensorflow_framework(&self) -> PathBuf {
        self.unpacked.join("tensorflow-2.21.0/tensorflow/libtensorflow_framework.so.2")
    }

    pub(super) fn chromium(&self) -> PathBuf {
        PathBuf::from("/usr/lib/chromium/chromium")
    }

    pub(super) fn empty(&self) -> Outcome<PathBuf> {
        let file = folder().join("empty");
        crate::machine::write(&file, "")?;
        Ok(file)
    }

    pub(super) fn judged(&self) -> impl Iterator<Item = (PathBuf, &'static str)> {
        JUDGED.iter().map(|(package, file, expected)| (self.unpacked.join(package).join(file), *expected))
    }

    /// The package that a judged file is from.
    pub(super) fn package_of(&self, file: &Path) -> String {
        let below = file.strip_prefix(&self.unpacked).unwrap_or(file);
        below.iter().next().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What should not be accused: names, and the paths to look through.
    pub(super) fn clean(&self) -> Outcome<Vec<(String, Vec<PathBuf>)>> {
        let debian = self.unpacked.join("debian");
        for package in DEBIAN_LIBRARIES {
            let into = debian.join(package);
            if into.exists() {
                continue;
            }
            fs::create_dir_all(&into).map_err(|error| Failure::new(format!("{}: {error}", into.display())))?;
            let script = "cd \"$1\" && apt-get -qq download \"$2\" 2>/dev/null && dpkg-deb -x ./*.deb . && rm ./*.deb";
            if let Err(failure) = output(Command::new("sh").args(["-c", script, "sh"]).arg(&into).arg(package)) {
                let _ = fs::remove_dir_all(&into);
                return Err(failure);
            }
        }
        Ok(vec![
            ("this machine: everything below `/usr`".to_owned(), vec!["/usr".into()]),
            ("20 library packages of Debian 12".to_owned(), vec![debian]),
            (
                "the JAX plugin: jax-cuda12-pjrt 0.12.0.1".to_owned(),
                vec![self.unpacked.join("jax-cuda12-pjrt-0.12.0.1")],
            ),
            ("TensorFlow 2.21's framework library".to_owned(), vec![self.tensorflow_framework()]),
            (
                "scipy-openblas 0.3.34, 32 and 64 bits".to_owned(),
                ["scipy-openblas64-0.3.34.481.3", "scipy-openblas32-0.3.34.481.3"]
                    .map(|p| self.unpacked.join(p))
                    .to_vec(),
            ),
            ("numpy 2.4.6".to_owned(), vec![self.unpacked.join("numpy-2.4.6")]),
        ])
    }

    /// The inputs by hash.
    pub(super) fn table(&self) -> String {
        let mut text = String::from(
            "\n## Inputs\n\nWheels of the Python package index; the archives of cudart and MKL are those of the shipped corpus, \
             by hash in its [manifest](../crates/farm/corpus/MANIFEST.md).\n\n| package | SHA-256 |\n| --- | --- |\n",
        );
        for (project, version, _, hash) in WHEELS {
            text.push_str(&format!("| {project} {version} | `{hash}` |\n"));
        }
        let chromium = output(Command::new("sha256sum").arg(self.chromium())).unwrap_or_default();
        let chromium = chromium.split_whitespace().next().unwrap_or_default();
        text.push_str(&format!("| Debian's chromium, its program | `{chromium}` |\n"));
        text.push_str(&format!("\nThe Debian packages: {}.\n", DEBIAN_LIBRARIES.join(", ")));
        text
    }
}

fn unpack(archive: &Path, into: &Path, wanted: &[&str]) -> Outcome {
    if into.exists() {
        return Ok(());
    }
    let staged = PathBuf::from(format!("{}.new", into.display()));
    let _ = fs::remove_dir_all(&staged);
    fs::create_dir_all(&staged).map_err(|error| Failure::new(format!("{}: {error}", staged.display())))?;
    // 11 says that one of the patterns matches nothing.
    let script = "into=$1; archive=$2; shift 2; unzip -qo \"$archive\" \"$@\" -d \"$into\" || [ $? = 11 ]";
    output(Command::new("sh").args(["-c", script, "sh"]).arg(&staged).arg(archive).args(wanted))?;
    fs::rename(&staged, into).map_err(|error| Failure::new(format!("{}: {error}", into.display())))
}

/// A file somewhere below a folder.
fn find(folder: &Path, name: &str) -> Outcome<PathBuf> {
    let found = output(Command::new("find").arg(folder).args(["-name", name]))?;
    let first = found.lines().next().map(PathBuf::from);
    first.ok_or_else(|| Failure::new(format!("there is no {name} below {}", folder.display())))
}
