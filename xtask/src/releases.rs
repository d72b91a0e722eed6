//! Releases that vendors published, known by the hashes that their packages say of their own files.
//!
//! Only what a vendor alone has the right to is taken: programs, libraries, archives and objects, and the headers of
//! some packages. Everything else in a vendor's package is left out by [`kind`], and whatever a free package has as
//! well is left out wherever it lies.

use crate::corpus::folder;
use crate::machine::{output, write};
use crate::{Failure, Outcome, say};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages of one license: what of them is taken, the license by its attribute in nixpkgs, the word with which the
/// vendor names itself in its programs, and the packages' names.
struct Group {
    take: Take,
    license: &'static str,
    vendor: &'static str,
    packages: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    /// Headers as well.
    Headers,
    /// Programs, libraries, archives and objects.
    Binaries,
    /// The same; their names are those of free software as well.
    Nameless,
    /// Nothing: it is free, and so is what others have of it.
    Nothing,
}

use Take::{Binaries, Headers, Nameless, Nothing};

const GROUPS: [Group; 9] = [
    Group {
        take: Headers,
        license: "nvidiaCuda",
        vendor: "NVIDIA",
        packages: "nvidia-cublas nvidia-cublas-cu11 nvidia-cublas-cu12 nvidia-cuda-runtime nvidia-cuda-runtime-cu11 \
                   nvidia-cuda-runtime-cu12 nvidia-cuda-nvrtc nvidia-cuda-nvrtc-cu11 nvidia-cuda-nvrtc-cu12 \
                   nvidia-cuda-nvcc nvidia-cuda-nvcc-cu11 nvidia-cuda-nvcc-cu12 nvidia-cuda-cupti \
                   nvidia-cuda-cupti-cu11 nvidia-cuda-cupti-cu12 nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm \
                   nvidia-cuda-cuxxfilt nvidia-cuda-cuxxfilt-cu11 nvidia-cuda-cuxxfilt-cu12 \
                   nvidia-cuda-sanitizer-api nvidia-cuda-sanitizer-api-cu11 nvidia-cuda-sanitizer-api-cu12 \
                   nvidia-cuda-profiler-api nvidia-cuda-profiler-api-cu11 nvidia-cuda-profiler-api-cu12 \
                   nvidia-cuda-crt nvidia-cuda-culibos nvidia-cuda-tileiras nvidia-cufft nvidia-cufft-cu11 \
                   nvidia-cufft-cu12 nvidia-curand nvidia-curand-cu11 nvidia-curand-cu12 nvidia-cusolver \
                   nvidia-cusolver-cu11 nvidia-cusolver-cu12 nvidia-cusparse nvidia-cusparse-cu11 \
                   nvidia-cusparse-cu12 nvidia-npp nvidia-npp-cu11 nvidia-npp-cu12 nvidia-nvjpeg nvidia-nvjpeg-cu11 \
                   nvidia-nvjpeg-cu12 nvidia-nvjitlink nvidia-nvjitlink-cu12 nvidia-nvfatbin nvidia-nvfatbin-cu12 \
                   nvidia-nvptxcompiler nvidia-nvvm nvidia-cufile nvidia-cufile-cu12 nvidia-cudla",
    },
    Group {
        take: Headers,
        license: "unfree",
        vendor: "NVIDIA",
        packages: "nvidia-cudnn-cu11 nvidia-cudnn-cu12 nvidia-cudnn-cu13 nvidia-cusparselt-cu12 \
                   nvidia-cusparselt-cu13 nvidia-cudss-cu12 nvidia-cudss-cu13 nvidia-nvcomp-cu11 nvidia-nvcomp-cu12 \
                   nvidia-nvcomp-cu13 nvidia-libnvcomp-cu12 nvidia-libnvcomp-cu13 cutensor-cu11 cutensor-cu12 \
                   cutensor-cu13 custatevec-cu12 cutensornet-cu12 cudensitymat-cu12",
    },
    Group {
        take: Binaries,
        license: "unfree",
        vendor: "NVIDIA",
        packages: "nvidia-nvshmem-cu11 nvidia-nvshmem-cu12 nvidia-nvshmem-cu13 nvidia-cusolvermp-cu12 \
                   nvidia-cusolvermp-cu13 nvidia-cublasmp-cu12 nvidia-cublasmp-cu13 nvidia-cufftmp-cu12 \
                   nvidia-cufftmp-cu13 nvidia-nvtiff-cu11 nvidia-nvtiff-cu12 nvidia-nvtiff-cu13 nvidia-nvjpeg2k-cu11 \
                   nvidia-nvjpeg2k-cu12 nvidia-nvjpeg2k-cu13 nvidia-mathdx tensorrt nvidia-tensorrt \
                   tensorrt-lean-cu12-libs tensorrt-dispatch-cu12-libs tensorrt-lean-cu13-libs \
                   tensorrt-dispatch-cu13-libs",
    },
    // Parts of it are LLVM's and free, and so are their names.
    Group { take: Nameless, license: "unfree", vendor: "NVIDIA", packages: "nvidia-cutlass-dsl" },
    Group {
        take: Headers,
        license: "issl",
        vendor: "Intel(R)",
        packages: "mkl mkl-static mkl-devel mkl-include mkl-dpcpp mkl-devel-dpcpp onemkl-sycl-blas onemkl-sycl-lapack \
                   onemkl-sycl-dft onemkl-sycl-sparse onemkl-sycl-vm onemkl-sycl-rng onemkl-sycl-stats \
                   onemkl-sycl-datafitting ipp ipp-static ipp-devel ipp-include",
    },
    Group { take: Nameless, license: "issl", vendor: "Intel(R)", packages: "impi-rt impi-devel daal" },
    Group {
        take: Binaries,
        license: "unfree",
        vendor: "Intel(R)",
        packages: "intel-openmp intel-cmplr-lib-rt intel-fortran-rt icc-rt dpcpp-cpp-rt",
    },
    Group { take: Binaries, license: "unfree", vendor: "Microsoft Corporation", packages: "msvc-runtime" },
    Group {
        take: Nothing,
        license: "",
        vendor: "",
        packages: "nvidia-nccl-cu11 nvidia-nccl-cu12 nvidia-nccl-cu13 nvidia-nvtx nvidia-nvtx-cu11 nvidia-nvtx-cu12 \
                   nvidia-cuda-cccl nvidia-cuda-cccl-cu11 nvidia-cuda-cccl-cu12 nvidia-cuda-opencl \
                   nvidia-cuda-opencl-cu12 tbb umf onednn onednn-cpu-gomp tcmlib oneccl intel-pti",
    },
];

/// Parts of paths of what is free in vendors' packages: Khronos's, CCCL and CUTLASS, the interfaces of OpenMP and of
/// FFTW, Open MPI's and libfabric's, TBB, hwloc, SYCL with its layers, what belongs to Python, and headers of CUPTI and
/// cuRAND that are under a BSD license.
const FREE_PARTS: [&str; 42] = [
    "cuda_stdint.h",
    "curand_mtgp32",
    "curand_philox4x32",
    ".dist-info/",
    "/cl/",
    "opencl",
    "/gl/",
    "ze_loader",
    "/cub/",
    "/thrust/",
    "/cuda/std/",
    "libcudacxx",
    "/nv/target",
    "/nv/detail",
    "cccl",
    "cutlass/",
    "/cute/",
    "nvtx",
    "nvtoolsext",
    "omp-tools.h",
    "ompt.h",
    "/omp.h",
    "omp_lib",
    "/fftw",
    "libfftw",
    "libfabric",
    "-fi.so",
    "/prov/",
    "/tbb",
    "libtbb",
    "hwloc",
    "/sycl",
    "libsycl",
    "/libpi_",
    "/pi_",
    "ur_",
    "xpti",
    "umf",
    "common_clang",
    "archer",
    "python",
    "omptarget",
];

/// Beginnings of names of vendors' own files that have a part of that kind in them, for instance cuFFT's functions with the
/// interface of FFTW, and MKL for SYCL.
const OWN: [&str; 4] = ["cufftw", "libcufftw", "mkl_", "libmkl_"];

/// What a name may end in, of programs, libraries, archives and objects.
const BINARIES: [&str; 15] =
    ["so", "dll", "dylib", "a", "lib", "o", "obj", "exe", "bc", "ltoir", "fatbin", "cubin", "rtl", "spv", "dbg"];

/// And of headers.
const HEADERS: [&str; 5] = ["h", "hpp", "cuh", "fi", "f90"];

/// Shorter files say nothing that only a vendor could say.
const SHORTEST: u64 = 1024;

/// Names that begin so are a vendor's by themselves; of others the vendor has to be named in the file as well.
const TELLING: [&str; 7] = ["cu", "nv", "npp", "mkl_", "ipp", "tensorrt", "device.10.bc"];

/// Names that free software has as well; the file has to have these words, which only the vendor's has.
const SHARED: [(&str, &str); 3] = [("iomp", "Intel(R) O"), ("bin2c", "NVIDIA Corporation"), ("nvlink", "NVIDIA")];

/// Names that begin so are those of what vendors publish as source as well, for everybody to build.
const OPEN: [&str; 3] = ["nvonnxparser", "nvcaffe_parser", "nvshmem"];

/// Files of Windows that programs for it carry along, of which no package is known.
const WINDOWS: [&str; 8] = [
    "d3dcompiler_43.dll",
    "d3dcompiler_46.dll",
    "d3dcompiler_47.dll",
    "d3dx9_43.dll",
    "d3dx11_43.dll",
    "dxil.dll",
    "ucrtbase.dll",
    "xinput1_3.dll",
];

/// Tools and libraries of CUDA's toolkit that are in no wheel, and what they have to say.
const TOOLKIT: [(&str, &str); 9] = [
    ("cu++filt", "NVIDIA"),
    ("nvprune", "NVIDIA"),
    ("nvprof", "NVIDIA"),
    ("nvidia-smi", "NVIDIA"),
    ("cuda-memcheck", ""),
    ("treelaunchersubreaper", ""),
    ("treelaunchertargetinjection.so", ""),
    ("libcuinj64.so", ""),
    ("libaccinj64.so", ""),
];

/// A wheel of the listing.
struct Release {
    package: usize,
    version: String,
    platform: &'static str,
    wheel: String,
}

fn packages() -> Vec<(&'static str, &'static Group)> {
    GROUPS.iter().flat_map(|group| group.packages.split_whitespace().map(move |name| (name, group))).collect()
}

/// The records, as lines of text, in a file; and what the manifest says of them.
pub(crate) fn releases() -> Outcome<(PathBuf, String)> {
    let folder = folder().join("records");
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
    let listing = folder.join("listing.tsv");
    let packages = packages();
    if !listing.exists() {
        say("fetching what the releases of vendors say of their files");
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("releases.py")]).arg(&folder);
        output(command.args(packages.iter().map(|(name, _)| *name)))?;
    }
    let text = fs::read_to_string(&listing).map_err(|error| unreadable(&listing, &error))?;
    let mut releases: Vec<Release> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, wheel, _] = *fields.as_slice() else {
            return Err(Failure::new(format!("{}: `{line}` is no wheel", listing.display())));
        };
        let Some(package) = packages.iter().position(|(package, _)| *package == name) else { continue };
        let version = wheel.split('-').nth(1).unwrap_or_default().to_owned();
        let platform = platform_of(wheel.rsplit('-').next().unwrap_or_default());
        releases.push(Release { package, version, platform, wheel: wheel.to_owned() });
    }
    // The newest last.
    releases.sort_by_cached_key(|one| (one.package, parts_of(&one.version), one.version.clone(), one.wheel.clone()));
    let lines = folder.join("lines.tsv");
    write(&lines, &lines_of(&packages, &releases, &folder)?)?;
    Ok((lines, manifest(&packages, &releases, &text)?))
}

fn lines_of(packages: &[(&str, &'static Group)], releases: &[Release], folder: &Path) -> Outcome<String> {
    let mut lines = String::new();
    // Of the files of the last two only names are known.
    for (name, group) in packages {
        lines.push_str(&format!("package\t{name}\t{}\n", group.license));
    }
    lines.push_str("package\twindows\tunfree\npackage\tcuda-toolkit\tnvidiaCuda\n");
    for release in releases {
        lines.push_str(&format!("release\t{}\t{}\t{}\n", release.package, release.version, release.platform));
    }
    lines.push_str(&format!("release\t{}\t\twindows\n", packages.len()));
    lines.push_str(&format!("release\t{}\t\tlinux\n", packages.len() + 1));
    // Size, hash and path: the releases that have it.
    let mut files: BTreeMap<(u64, String, String), Vec<usize>> = BTreeMap::new();
    let (mut free, mut free_names) = (BTreeSet::new(), BTreeSet::new());
    let mut names: BTreeMap<String, (String, usize, &str)> = BTreeMap::new();
    for (number, release) in releases.iter().enumerate() {
        let group = packages[release.package].1;
        let path = folder.join(format!("{}.csv", release.wheel));
        let record = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        for (path, hash, size) in record.lines().filter_map(entry) {
            let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
            if group.take == Nothing {
                free.insert((size, hash));
                free_names.insert(name);
                continue;
            }
            let Some(kind) = kind(&path) else { continue };
            if kind == Headers && group.take != Headers || size < SHORTEST {
                continue;
            }
            if kind == Binaries && group.take != Nameless && is_name(&name, group) {
                names.insert(name.clone(), (path.clone(), number, said(&name, group)));
            }
            files.entry((size, hash, path)).or_default().push(number);
        }
    }
    for ((size, hash, path), owners) in files {
        if !free.contains(&(size, hash.clone())) {
            let owners: Vec<String> = owners.iter().map(usize::to_string).collect();
            lines.push_str(&format!("file\t{size}\t{hash}\t{path}\t{}\n", owners.join(",")));
        }
    }
    for (name, (path, release, said)) in names.iter().filter(|(name, _)| !free_names.contains(*name)) {
        lines.push_str(&format!("name\t{name}\t{path}\t{release}\t{said}\n"));
    }
    for name in WINDOWS {
        lines.push_str(&format!("name\t{name}\t{name}\t{}\tMicrosoft Corporation\n", releases.len()));
    }
    for (name, said) in TOOLKIT {
        lines.push_str(&format!("name\t{name}\t{name}\t{}\t{said}\n", releases.len() + 1));
    }
    Ok(lines)
}

/// A line of RECORD: path, the first 16 digits of its SHA-256, size.
fn entry(line: &str) -> Option<(String, String, u64)> {
    let mut fields = line.rsplitn(3, ',');
    let (size, hash, path) = (fields.next()?, fields.next()?, fields.next()?);
    let hash = hash.strip_prefix("sha256=")?;
    let mut bits = 0u128;
    for letter in hash.bytes().take(11) {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u128::from(value);
    }
    let path = path.trim_matches('"').trim_start_matches("./").to_owned();
    if hash.len() != 43 {
        return None;
    }
    // Eleven letters are 66 bits.
    Some((path, format!("{:016x}", (bits >> 2) as u64), size.trim().parse().ok()?))
}

/// Whether a file is taken, as far as its path tells.
fn kind(path: &str) -> Option<Take> {
    let whole = format!("/{}", path.to_ascii_lowercase());
    let (folders, name) = whole.rsplit_once('/')?;
    let is_own = OWN.iter().any(|start| name.starts_with(start));
    if path.contains('\t') || !is_own && FREE_PARTS.iter().any(|part| whole.contains(part)) {
        return None;
    }
    if name.contains(".so.") {
        return Some(Binaries);
    }
    match name.rsplit_once('.') {
        Some((_, ending)) if BINARIES.contains(&ending) => Some(Binaries),
        Some((_, ending)) if HEADERS.contains(&ending) => Some(Headers),
        None if folders.ends_with("/bin") || folders.contains("compute-sanitizer") => Some(Binaries),
        _ => None,
    }
}

/// Whether a file of this name is a library or a tool that is known by its name.
fn is_name(name: &str, group: &Group) -> bool {
    let library = name.ends_with(".so") || name.contains(".so.") || name.ends_with(".dll") || name.ends_with(".dylib");
    let stem = name.strip_prefix("lib").unwrap_or(name);
    if OPEN.iter().any(|start| stem.starts_with(start)) {
        return false;
    }
    let of_nvidia = name.ends_with(".exe") || name.ends_with(".bc") || !name.contains('.');
    library || name.starts_with("lib") && name.ends_with(".a") || group.vendor == "NVIDIA" && of_nvidia
}

/// What a file of this name has to say for it to be the vendor's.
fn said(name: &str, group: &'static Group) -> &'static str {
    let stem = name.strip_prefix("lib").unwrap_or(name);
    match SHARED.iter().find(|(start, _)| stem.starts_with(start)) {
        Some((_, words)) => words,
        None if TELLING.iter().any(|start| stem.starts_with(start)) => "",
        None => group.vendor,
    }
}

fn platform_of(tag: &str) -> &'static str {
    let tag = tag.trim_end_matches(".whl");
    match tag {
        "win_amd64" => "windows-x86_64",
        "win_arm64" => "windows-aarch64",
        "win32" => "windows-i686",
        _ if tag.contains("macosx") && tag.contains("arm64") => "macos-aarch64",
        _ if tag.contains("macosx") => "macos-x86_64",
        _ if tag.contains("aarch64") => "linux-aarch64",
        _ if tag.contains("x86_64") => "linux-x86_64",
        _ if tag.contains("linux") => "linux",
        _ => "any",
    }
}

/// The numbers of a version, for their order.
fn parts_of(version: &str) -> Vec<u64> {
    version.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0)).collect()
}

fn manifest(packages: &[(&str, &Group)], releases: &[Release], listing: &str) -> Outcome<String> {
    let mut text = String::from(
        "| package | license | releases | wheels | newest | SHA-256 of the list of wheels |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for (number, (name, group)) in packages.iter().enumerate() {
        let of: Vec<&Release> = releases.iter().filter(|release| release.package == number).collect();
        let Some(newest) = of.last() else { continue };
        let versions: BTreeSet<&str> = of.iter().map(|release| release.version.as_str()).collect();
        let mut lines: Vec<&str> =
            listing.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('\t')).collect();
        lines.sort_unstable();
        let list = folder().join("records/list.txt");
        write(&list, &(lines.join("\n") + "\n"))?;
        let digest = output(Command::new("sha256sum").arg(&list))?;
        let digest = digest.split_whitespace().next().unwrap_or_default();
        let license = if group.take == Nothing { "free, left alone" } else { group.license };
        let (count, newest) = (of.len(), &newest.version);
        text.push_str(&format!("| {name} | {license} | {} | {count} | {newest} | `{digest}` |\n", versions.len()));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_record() {
        let empty = "x/y.so,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,12";
        assert_eq!(entry(empty), Some(("x/y.so".to_owned(), "e3b0c44298fc1c14".to_owned(), 12)));
        assert_eq!(entry("x.dist-info/RECORD,,"), None);
        let quoted = "\"x,y.so\",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,12";
        assert_eq!(entry(quoted).map(|(path, ..)| path), Some("x,y.so".to_owned()));
    }

    #[test]
    fn what_is_free_is_left_alone() {
        let check = |path: &str, expected: Option<Take>| assert!(kind(path) == expected, "{path}");
        check("nvidia/cuda_cupti/lib/libcupti.so.12", Some(Binaries));
        check("nvidia/cu13/bin/nvdisasm", Some(Binaries));
        check("nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc", Some(Binaries));
        check("nvidia/cuda_runtime/include/cuda_fp16.h", Some(Headers));
        check("mkl-2024.2.0.data/data/lib/libmkl_core.so.2", Some(Binaries));
        check("onemkl_sycl_rng-2024.2.0.data/data/lib/libmkl_sycl_rng.so.4", Some(Binaries));
        check("nvidia/cufft/lib/libcufftw.so.11", Some(Binaries));
        check("nvidia/cufft/include/cufftw.h", Some(Headers));
        for path in [
            "nvidia/cuda_cupti/__init__.py",
            "x-1.dist-info/RECORD",
            "nvidia/x/include/CL/cl.h",
            "x/include/cub/cub.h",
            "x/include/nv/target.h",
            "x/include/fftw/fftw3.h",
            "x/lib/libsycl.so.8",
            "x/include/sycl/sycl.hpp",
            "x/lib/libtbb.so.12",
            "x/lib/libfabric.so.1",
            "License.txt",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn the_newest_release_comes_last() {
        let mut versions = ["12.10.1", "12.9.2", "12.9.1.4"];
        versions.sort_by_key(|version| parts_of(version));
        assert_eq!(versions, ["12.9.1.4", "12.9.2", "12.10.1"]);
    }
}
