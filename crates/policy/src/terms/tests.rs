//! What terms say of files, packages and license texts; and the shipped ones against what vendors ship.

use super::*;
use crate::shipped;

fn cuda() -> Terms {
    Terms::parse(shipped::TERMS[0].1).unwrap()
}

#[test]
fn attachment_a_file_by_file() {
    let check = |name: &str, listed: bool| {
        assert_eq!(matches!(cuda().standing(name), Standing::Listed(_)), listed, "{name}");
    };
    for name in [
        "libcudart.so",
        "libcudart.so.12",
        "libcudart_static.a",
        "libcudadevrt.a",
        "libculibos.a",
        "libcublasLt.so.12",
        "libnppial_static.a",
        "libdevice.10.bc",
        "cuda_fp16.hpp",
        "libnvvm.so",
        "cudart.dll",
        "cudart64_12.dll",
        "cudart32_110.dll",
        "cudart_static.lib",
        "cublasLt64_13.dll",
        "nppidei64_12.dll",
        "nvrtc64_120_0.dll",
        "nvrtc-builtins64_129.dll",
        "cupti64_2025.2.1.dll",
    ] {
        check(name, true);
    }
    for name in [
        "ptxas",
        "nvcc",
        "nvlink",
        "cudafe++",
        "libcupti_static.a",
        "libnvptxcompiler_static.a",
        "libnvJitLink.so.12",
        "libcufile.so.0",
        "libcusolverMg.so.11",
        "cuda_runtime_api.h",
        "libcudart.so12",
        // Of Windows, the import library of the runtime and the library for JPEG are not in the list.
        "cudart.lib",
        "cuda.lib",
        "nvjpeg64_12.dll",
        "nvrtc64_120_0.alt.dll",
        "cusolverMg64_11.dll",
        "nvcuda.dll",
    ] {
        check(name, false);
    }
    assert_eq!(cuda().standing("License.txt"), Standing::Accompanying);
}

#[test]
fn an_unknown_key_and_a_bad_pattern_are_mistakes() {
    let text = shipped::TERMS[0]
        .1
        .replace("standalone = false", "standalone = false\nalone = 1")
        .replace("\"METADATA\"", "\"[\"");
    let shown = Terms::parse(&text).unwrap_err().iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n");
    assert!(shown.contains("`alone` is not known here"), "{shown}");
    assert!(shown.contains("`[` is no file pattern"), "{shown}");
}

fn shipped_terms(id: &str) -> Terms {
    let (_, text) = shipped::TERMS.iter().find(|(known, _)| *known == id).unwrap();
    Terms::parse(text).unwrap()
}

/// The shipped terms are whole: clauses, patterns, conditions, and a text that each was read from.
#[test]
fn every_shipped_terms_file_is_whole() {
    for (id, text) in shipped::TERMS {
        let terms = Terms::parse(text).unwrap_or_else(|mistakes| panic!("{id}: {mistakes:?}"));
        assert_eq!(terms.id(), id);
        assert!(terms.warnings().is_empty(), "{id}: {:?}", terms.warnings());
        assert!(!terms.conditions().is_empty() && !terms.distributable.is_empty(), "{id}");
        for listing in &terms.distributable {
            assert!(!listing.clause.is_empty() && !listing.files.is_empty(), "{id}: {}", listing.clause);
        }
        assert!(terms.has_texts(), "{id}");
        assert!(!terms.licenses.is_empty() || !terms.packages.is_empty(), "{id}");
        assert!(terms.texts().all(|(release, _, note)| !release.is_empty() && note.is_some()), "{id}");
        assert_eq!(terms.standing("LICENSE.txt"), Standing::Accompanying, "{id}");
        assert_eq!(terms.standing("METADATA"), Standing::Accompanying, "{id}");
        assert_eq!(terms.standing("ptxas"), Standing::NotListed, "{id}");
    }
    // No name, no text, no license and no package is claimed twice.
    let all: Vec<Terms> = shipped::TERMS.iter().map(|(_, text)| Terms::parse(text).unwrap()).collect();
    assert_eq!(terms_clash(&all), None);
    let hashes: Vec<TextHash> = all.iter().flat_map(|terms| terms.texts().map(|(_, hash, _)| hash)).collect();
    assert_eq!(hashes.iter().collect::<std::collections::BTreeSet<_>>().len(), hashes.len());
    for terms in &all {
        for license in &terms.licenses {
            assert_eq!(all.iter().filter(|terms| terms.covers(license)).count(), 1, "{license}");
        }
    }
}

/// Files as the vendors' packages have them.
#[test]
fn what_each_product_may_pass_on() {
    let check = |id: &str, listed: &[&str], not_listed: &[&str]| {
        let terms = shipped_terms(id);
        for (names, expected) in [(listed, true), (not_listed, false)] {
            for name in names {
                let standing = terms.standing(name);
                assert_eq!(matches!(standing, Standing::Listed(_)), expected, "{id}: {name}: {standing:?}");
                assert_ne!(standing, Standing::Accompanying, "{id}: {name}");
            }
        }
    };
    check(
        "cudnn",
        &[
            "libcudnn.so.8",
            "libcudnn.so.9",
            "libcudnn_engines_precompiled.so.9",
            "libcudnn_adv_infer.so.8",
            "cudnn_v9.h",
        ],
        &["libcudnn_static.a", "libcudnn_static_v9.a", "cudnn64_9.dll", "cudnn_graph64_9.dll", "libcublas.so.12"],
    );
    check(
        "tensorrt",
        &["libnvinfer.so", "libnvinfer.so.10", "libnvinfer_plugin.so.11"],
        &[
            "libnvinfer_dispatch.so.11",
            "libnvinfer_lean.so.10",
            "libnvinfer_builder_resource.so.10.13.3",
            "libnvonnxparser.so.10",
            "libnvinfer_static.a",
            "tensorrt.so",
            "NvInfer.h",
            "trtexec",
        ],
    );
    check(
        "cutensor",
        &["libcutensor.so.1", "libcutensor.so.2", "libcutensorMg.so.2", "libcutensorMp.so.2", "cutensor.h", "types.h"],
        &["libcutensor_static.a", "libcutensorMg_static.a"],
    );
    check("cusparselt", &["libcusparseLt.so.0", "cusparseLt.h"], &["libcusparseLt_static.a", "libcusparse.so.12"]);
    check(
        "cudss",
        &[
            "libcudss.so.0",
            "libcudss.so.1",
            "libcudss_commlayer_nccl.so.1",
            "libcudss_mtlayer_gomp.so.1",
            "libcudss_static.a",
            "cudss.h",
            "cudss_threading_interface.h",
        ],
        &["cudss.f90", "cudss-config.cmake"],
    );
    check(
        "nvcomp",
        &[
            "libnvcomp.so.4",
            "libnvcomp_cpu.so.6",
            "nvcomp_impl.cpython-312-x86_64-linux-gnu.so",
            "nvcomp_impl.cpython-314t-x86_64-linux-gnu.so",
            "nvcomp.hpp",
            "CRC32.h",
            "compress_device.cuh",
            "nvlzcat",
        ],
        &["external_memory.py", "load.py", "nvcomp-config.cmake"],
    );
    check(
        "nccl",
        &["libnccl.so.2", "libnccl_static.a", "libnccl_device.bc", "libnccl_device.ltoir", "nccl.h", "nccl_net.h"],
        &["libcudart_static.a", "doca_gpunetio_device.h", "efa_cuda_dp_types.h"],
    );
    check(
        "intel-simplified",
        &[
            "libmkl_core.so.2",
            "libmkl_avx512.so.3",
            "libmkl_intel_lp64.a",
            "mkl_msg.cat",
            "mkl_blas.fi",
            "mkl_cblas.h",
            "i_malloc.h",
            "mkl-static-lp64-seq.pc",
            "libippi.a",
            "libippcore.so.12",
            "ippi.h",
        ],
        &["libiomp5.so", "libtbb.so.12", "libtbbmalloc.so.2", "libblas.so"],
    );
    check(
        "intel-compiler-runtime",
        &[
            "libiomp5.so",
            "libiompstubs5.so",
            "libarcher.so",
            "libomptarget.sycl.wrap.so",
            "libomp-msan-pvc.bc",
            "libomp-spirvdevicertl-optional.bc",
            "libifcoremt.so.5",
            "libintelocl.so.2026.22.10.0",
            "clbltfne9.rtl",
        ],
        &[
            "libimf.so",
            "libsvml.so",
            "libirc.so",
            "libintlc.so.5",
            "libirng.so",
            "libiomp5.a",
            "libiomp5.dbg",
            "libarcher_static.a",
            "libomp-spirvdevicertl.o",
            "omp.h",
            "icx-lto.so",
        ],
    );
    check(
        "microsoft-visual-cpp-runtime",
        &["vcruntime140.dll", "vcruntime140_1.dll", "msvcp140_2.dll", "vcomp140.dll", "mfc140u.dll"],
        &["vcruntime140d.dll", "msvcp140d.dll", "msvcp140_3.dll", "mfc140ud.dll", "ucrtbase.dll", "d3dcompiler_47.dll"],
    );
    for id in [
        "cudnn",
        "tensorrt",
        "cutensor",
        "cusparselt",
        "cudss",
        "nvcomp",
        "intel-compiler-runtime",
        "microsoft-visual-cpp-runtime",
    ] {
        let terms = shipped_terms(id);
        assert!(terms.forbids_modification().is_some() && terms.forbids_standalone().is_some(), "{id}");
    }
    let (nccl, simplified) = (shipped_terms("nccl"), shipped_terms("intel-simplified"));
    assert!(nccl.forbids_modification().is_none() && nccl.forbids_standalone().is_none());
    assert!(simplified.forbids_modification().is_some() && simplified.forbids_standalone().is_none());
}

/// Packages by the names that package sets and the shipped corpus give them.
#[test]
fn which_product_a_name_belongs_to() {
    let all: Vec<Terms> = shipped::TERMS.iter().map(|(_, text)| Terms::parse(text).unwrap()).collect();
    let check = |package: &str, id: Option<&str>| {
        let named: Vec<&str> = all.iter().filter(|terms| terms.names(package)).map(Terms::id).collect();
        assert_eq!(named, id.into_iter().collect::<Vec<_>>(), "{package}");
    };
    for name in ["cudnn", "cuda12.9-cudnn", "nvidia-cudnn-cu11", "nvidia-cudnn-cu12"] {
        check(name, Some("cudnn"));
    }
    for name in
        ["tensorrt", "cuda12.9-tensorrt", "tensorrt_libs", "tensorrt-cu12-bindings", "tensorrt-dispatch-cu12-libs"]
    {
        check(name, Some("tensorrt"));
    }
    for name in ["cutensor-cu12", "cutensor-cu13", "libcutensor", "cuda13.0-libcutensor"] {
        check(name, Some("cutensor"));
    }
    for name in ["nvidia-cusparselt-cu12", "cuda12.9-libcusparse_lt"] {
        check(name, Some("cusparselt"));
    }
    check("nvidia-cudss-cu12", Some("cudss"));
    check("cuda12.9-libcudss", Some("cudss"));
    check("nvidia-libnvcomp-cu12", Some("nvcomp"));
    check("cuda12.9-nvcomp", Some("nvcomp"));
    check("nvidia-nccl-cu12", Some("nccl"));
    check("mkl", Some("intel-simplified"));
    check("mkl-static", Some("intel-simplified"));
    check("intel-openmp", Some("intel-compiler-runtime"));
    check("intel-cmplr-lib-rt", Some("intel-compiler-runtime"));
    check("intel-libirc", Some("intel-compiler-runtime"));
    check("ipp-static", Some("intel-simplified"));
    check("msvc-runtime", Some("microsoft-visual-cpp-runtime"));
    // The toolkit's packages are told by their licenses.
    for name in
        ["cuda12.9-cuda_cudart", "nvidia-cublas-cu12", "cudnn-frontend", "nccl-tests", "mkl-dnn", "python3.12-mkl"]
    {
        check(name, None);
    }
}

/// Terms without anything that may be left out.
const SILENT: &str = "version = 1\nid = \"a\"\ntitle = \"a\"\nlicenses = [\"a\"]\nmodified = false\nmodified-clause = \"1\"\n\
                      standalone = false\nstandalone-clause = \"1\"\nconditions = []\naccompanying = []\ndistributable = []\n";

#[test]
fn a_license_that_nobody_has_is_a_warning() {
    let text = SILENT.replace("[\"a\"]", "[\"issl\", \"nosuch\", \"cuDNN EULA\"]") + "package-licenses = [\"unfre\"]\n";
    let shown: Vec<String> = Terms::parse(&text).unwrap().warnings().iter().map(Mistake::to_string).collect();
    let said = |name: &str| format!("`{name}` is no license of nixpkgs, by the name of its attribute");
    assert_eq!(shown, [format!("4:21: {}", said("nosuch")), format!("12:21: {}", said("unfre"))]);
}

#[test]
fn terms_with_one_name_are_told() {
    let named = |id: &str| Terms::parse(&SILENT.replace("id = \"a\"", &format!("id = \"{id}\""))).unwrap();
    assert_eq!(terms_clash(&[named("a"), named("b"), named("c")]), None);
    assert_eq!(terms_clash(&[named("a"), named("b"), named("a")]), Some("a"));
}

#[test]
fn a_text_is_known_or_not() {
    let hash = TextHash::of(b"You may copy it.");
    let text = format!("{SILENT}[[texts]]\nrelease = \"1.0\"\nsha256 = \"{hash}\"\n");
    let terms = Terms::parse(&text).unwrap();
    let check = |text: &[u8], expected: TextStanding<'_>| assert_eq!(terms.text_of(text), expected, "{text:?}");
    check(b"You may copy it.", TextStanding::Known("1.0"));
    check(b"\xef\xbb\xbfYou may\r\n  copy it.\r\n", TextStanding::Known("1.0"));
    check(b"You may not copy it.", TextStanding::NotKnown);
    check(b"", TextStanding::NotKnown);
    // A file of an operator that says nothing of texts and packages is read as well.
    let silent = Terms::parse(SILENT).unwrap();
    assert!(!silent.has_texts() && !silent.names("a") && silent.text_of(b"") == TextStanding::NotKnown);
}

#[test]
fn every_mistake_in_texts_and_packages_is_found() {
    let text = format!(
        "packages = [\"a[\"]\npackage-licenses = 1\n{SILENT}[[texts]]\nrelease = \"1\"\nsha256 = \"AB\"\n\
         [[texts]]\nhash = \"1\"\nnote = 2\n"
    );
    let shown: Vec<String> = Terms::parse(&text).unwrap_err().iter().map(Mistake::to_string).collect();
    for expected in [
        "`a[` is no file pattern",
        "`1` should be a list",
        "`AB`: a SHA-256 hash has 64 digits",
        "`release` is missing",
        "`sha256` is missing",
        "`hash` is not known here; known are `release`, `sha256`, `note`",
        "`2` should be a text",
    ] {
        assert!(shown.iter().any(|mistake| mistake.contains(expected)), "{expected} in {shown:?}");
    }
}
