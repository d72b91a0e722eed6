//! What the shipped corpus is made from. Every file is known by its hash.

/// For which systems a wheel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    X86_64,
    Aarch64,
    Windows,
}

use System::{Aarch64, Windows, X86_64};

/// A wheel of the Python package index: project, version, system, SHA-256.
pub(crate) type Wheel = (&'static str, &'static str, System, &'static str);

/// NVIDIA's CUDA runtime in every release, the headers of its compiler, its compiler library, and cuBLAS for device code; license `nvidiaCuda`.
pub(crate) const CUDA: [Wheel; 43] = [
    ("nvidia-cublas", "13.5.1.27", X86_64, "db3a1f0c8bc24945a4d195ba199d83f27e650ffdfc0c32e6b8362c314f14d553"),
    ("nvidia-cublas-cu11", "11.11.3.6", X86_64, "60252822adea5d0b10cd990a7dc7bedf7435f30ae40083c7a624a85a43225abc"),
    ("nvidia-cublas-cu12", "12.9.1.4", X86_64, "453611eb21a7c1f2c2156ed9f3a45b691deda0440ec550860290dc901af5b4c2"),
    ("nvidia-cuda-crt", "13.0.88", X86_64, "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4"),
    ("nvidia-cuda-crt", "13.5.37", X86_64, "e898b7f73d3035fa89915a3f7bf3b54a73e90249746111aed295822c4729bb29"),
    ("nvidia-cuda-runtime", "13.0.48", X86_64, "5b54d12087a1abff81a4cbfa6556876e3afea1fc60da2e0816da374619810c89"),
    ("nvidia-cuda-runtime", "13.0.88", X86_64, "422a38f7c739ecbdd3a4b6ec7ed0a1d74db43d8e9bc26685f3d845638922b178"),
    ("nvidia-cuda-runtime", "13.0.96", X86_64, "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
    ("nvidia-cuda-runtime", "13.1.80", X86_64, "dac25b52e69050e5a7a84957e6df470a85b185f8f648a99a1ab1dfce027576cf"),
    ("nvidia-cuda-runtime", "13.2.51", X86_64, "9c43b06a52c5b9316e19abc047236932c4d5c729969918a83223c4d2a4132f9a"),
    ("nvidia-cuda-runtime", "13.2.75", X86_64, "72bf454902da594e0b833cadeddc8b7100ce1c7cf7ed9023943931be1aa913b7"),
    ("nvidia-cuda-runtime", "13.2.86", X86_64, "3498247680dfddce31bad102af7e3e26fc795342a3cac64722bb0fa95e7f60f0"),
    ("nvidia-cuda-runtime", "13.3.29", X86_64, "e04420616e72f563167a7733272992d7e6df6dc5cb54b2f94f9f1520ea9e30c1"),
    ("nvidia-cuda-runtime", "13.4.49", X86_64, "0b228cc646acda27e9b512b8b94417c3ff8b3d24a0ad9b1d6603dc6c2a908046"),
    ("nvidia-cuda-runtime", "13.4.92", X86_64, "9641f797da20ce1dd8e779b6e96d08cf9ba564cec8e8225458811ee26423f3a5"),
    ("nvidia-cuda-runtime", "13.5.37", Aarch64, "de2dc5a7367974228b0a69588a9acc9340d3768bef1bf38bf0801eb08497cd2d"),
    ("nvidia-cuda-runtime", "13.5.37", X86_64, "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d"),
    ("nvidia-cuda-runtime", "13.5.37", Windows, "f225d3fa5ea6bfbb58fc4979ef72375cbe661d9107f0d8a4ff22cc151525e4a9"),
    ("nvidia-cuda-runtime-cu11", "11.8.89", X86_64, "92d04069a987e1fbc9213f8376d265df0f7bb42617d44f5eda1f496acea7f2d1"),
    (
        "nvidia-cuda-runtime-cu11",
        "11.8.89",
        Windows,
        "f60c9fdaed8065b38de8097867240efc5556a8a710007146daeb9082334a6e63",
    ),
    (
        "nvidia-cuda-runtime-cu12",
        "12.0.107",
        X86_64,
        "9ab985dd92728e1c577bb75ae83dcc42357ce7c00016c782e8b196f6fea05b91",
    ),
    (
        "nvidia-cuda-runtime-cu12",
        "12.0.146",
        X86_64,
        "18c038592af387684812fa712642aa9a26c12da80acb488b6709f7cced147f71",
    ),
    ("nvidia-cuda-runtime-cu12", "12.1.55", X86_64, "a485693383c7a28ba022587c5a640353ef61a21eb2e87382d0a76340bda92e2e"),
    (
        "nvidia-cuda-runtime-cu12",
        "12.1.105",
        X86_64,
        "6e258468ddf5796e25f1dc591a31029fa317d97a0a94ed93468fc86301d61e40",
    ),
    ("nvidia-cuda-runtime-cu12", "12.2.53", X86_64, "7235bee83dfc0202172e35e262c604784e3f417e234779c6e4fae7ca75d65456"),
    (
        "nvidia-cuda-runtime-cu12",
        "12.2.128",
        X86_64,
        "c31343e87cb6dccb00358ef6fbd13b98723a769b7b84751ce30e24b15600c7b2",
    ),
    (
        "nvidia-cuda-runtime-cu12",
        "12.2.140",
        X86_64,
        "acb9cb7e44594a3512533497ea790d9f0b0e399abcc888584c157d1ffa080e41",
    ),
    ("nvidia-cuda-runtime-cu12", "12.3.52", X86_64, "038de2d9e9aa0f07fcd4b9615a7ea23ef28bca0073b0f212e4201246b386bfec"),
    (
        "nvidia-cuda-runtime-cu12",
        "12.3.101",
        X86_64,
        "04604679ddca6acb96c76a7a9306282cddc16981f92e148e2dfe227078883cda",
    ),
    ("nvidia-cuda-runtime-cu12", "12.4.99", X86_64, "1454a7c101976d3a9ade86040d01c4e57e8f6396c35b13f7a42c787dab145bed"),
    (
        "nvidia-cuda-runtime-cu12",
        "12.4.127",
        X86_64,
        "64403288fa2136ee8e467cdc9c9427e0434110899d07c779f25b5c068934faa5",
    ),
    ("nvidia-cuda-runtime-cu12", "12.5.39", X86_64, "6b27a0b8ddfe399f9b228c676a2a68bb2a077ea962ec7de92d13d01a7d9d8bc8"),
    ("nvidia-cuda-runtime-cu12", "12.5.82", X86_64, "3e79a060e126df40fd3a068f3f787eb000fa51b251ec6cd97d09579632687115"),
    ("nvidia-cuda-runtime-cu12", "12.6.37", X86_64, "e98261a2c152248c801a7c967df70f5558fab42f8cb7a92559d72ffcdbbea386"),
    ("nvidia-cuda-runtime-cu12", "12.6.68", X86_64, "846987485889786d257f6d7bdcf7544a36452936514e20dd710527b896c0fe12"),
    ("nvidia-cuda-runtime-cu12", "12.6.77", X86_64, "a84d15d5e1da416dd4774cb42edf5e954a3e60cc945698dc1d5be02321c44dc8"),
    ("nvidia-cuda-runtime-cu12", "12.8.57", X86_64, "75342e28567340b7428ce79a5d6bb6ca5ff9d07b69e7ce00d2c7b4dc23eff0be"),
    ("nvidia-cuda-runtime-cu12", "12.8.90", X86_64, "adade8dcbd0edf427b7204d480d6066d33902cab2a4707dcfc48a2d0fd44ab90"),
    ("nvidia-cuda-runtime-cu12", "12.9.37", X86_64, "60a3ee8b71b2bf8af594e67d2e8e3b0228713cd99be77209a662f1f35c08f105"),
    (
        "nvidia-cuda-runtime-cu12",
        "12.9.79",
        Aarch64,
        "83469a846206f2a733db0c42e223589ab62fd2fabac4432d2f8802de4bded0a4",
    ),
    ("nvidia-cuda-runtime-cu12", "12.9.79", X86_64, "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3"),
    (
        "nvidia-cuda-runtime-cu12",
        "12.9.79",
        Windows,
        "8e018af8fa02363876860388bd10ccb89eb9ab8fb0aa749aaf58430a9f7c4891",
    ),
    ("nvidia-nvptxcompiler", "13.5.37", X86_64, "d5cd17d43e4e6370c16b7d998f1bb92988f94b5bd1bf774c60fda5acb9253213"),
];

/// cuDNN for device code; nixpkgs calls its license `unfree`.
pub(crate) const CUDNN: [Wheel; 2] = [
    ("nvidia-cudnn-cu11", "8.9.6.50", X86_64, "319a8f7ca3d65139f1b69998595c7076ae0e4271a325e5dfde50a3ca31f55584"),
    ("nvidia-cudnn-cu12", "9.10.2.21", X86_64, "949452be657fa16687d0930933f032835951ef0892b37d2d53824d1a84dc97a8"),
];

/// Libraries that are known by what they export, by their messages and by their device code, so that other releases and
/// parts of them are told as well: the wheel, its license, and the files. Others of these wheels say what LLVM's or what
/// compilers' runtimes say.
pub(crate) const LIBRARIES: [(Wheel, &str, &[&str]); 2] = [
    (
        (
            "nvidia-cuda-cupti-cu11",
            "11.8.87",
            X86_64,
            "0e50c707df56c75a2c0703dc6b886f3c97a22f37d6f63839f75b7418ba672a8d",
        ),
        "nvidiaCuda",
        &["libcupti.so.11.8"],
    ),
    (
        (
            "nvidia-cuda-cupti-cu12",
            "12.9.79",
            X86_64,
            "096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f",
        ),
        "nvidiaCuda",
        &["libcupti.so.12"],
    ),
];

/// Intel's MKL; license `issl`. Releases before 2022 have other functions than those after.
pub(crate) const MKL: [Wheel; 3] = [
    ("mkl-static", "2021.1.1", X86_64, "1db75a53f58cad32935bfbd63206124f6218d71193eea1e75a16aadb9c078370"),
    ("mkl-static", "2024.2.0", X86_64, "8c2a6c6a144c5619f1df75fd550b32730f3e0632b55a15a42a95516e142ccf47"),
    ("mkl-static", "2026.2.0", X86_64, "090e439bf202b45579c75d2ba50ff7ead05752d553a06aba79c3ed2b5247921b"),
];

/// Free software that vendors' archives share code with: OpenSSL and BoringSSL, zstd, LAPACKE, and compilers' runtimes.
pub(crate) const FREE: [Wheel; 19] = [
    ("cmake", "3.31.6", X86_64, "1c8b05df0602365da91ee6a3336fe57525b137706c4ab5675498f662ae1dbcec"),
    ("cryptography", "3.4.8", X86_64, "1eb7bb0df6f6f583dd8e054689def236255161ebbcf62b226454ab9ec663746b"),
    ("cryptography", "39.0.2", X86_64, "ffd394c7896ed7821a6d13b24657c6a34b6e2650bd84ae063cf11ccffa4f1a97"),
    ("cryptography", "41.0.7", X86_64, "841df4caa01008bad253bce2a6f7b47f86dc9f08df4b433c404def869f590a15"),
    ("cryptography", "42.0.8", X86_64, "a0608251135d0e03111152e41f0cc2392d1e74e35703960d4190b2e0f4ca9c70"),
    ("cryptography", "43.0.3", X86_64, "0f996e7268af62598f2fc1204afa98a3b5712313a55c4c9d434aef49cadc91d4"),
    ("cryptography", "44.0.3", X86_64, "192ed30fac1728f7587c6f4613c29c584abdc565d7417c13904708db10206645"),
    ("cryptography", "45.0.7", X86_64, "577470e39e60a6cd7780793202e63536026d9b8641de011ed9d8174da9ca5339"),
    ("cryptography", "46.0.5", X86_64, "4d7e3d356b8cd4ea5aff04f129d5f66ebdc7b6f8eae802b93739ed520c47c79b"),
    ("grpcio", "1.62.3", X86_64, "c175b252d063af388523a397dbe8edbc4319761f5ee892a8a0f5890acc067362"),
    ("grpcio", "1.71.2", X86_64, "e043fa4ffda1e8d16320cde3be1c922e69f6919681eee06ef1acfcd06fdae4a9"),
    ("numpy", "1.26.4", X86_64, "666dbfb6ec68962c033a450943ded891bed2d54e6755e35e5835d63f4f6931d5"),
    ("psycopg2-binary", "2.9.10", X86_64, "512d29bb12608891e349af6a0cccedce51677725a921c07dba6342beaf576f9a"),
    ("pyarrow", "17.0.0", X86_64, "0b72e87fe3e1db343995562f7fff8aee354b55ee83d13afba65400c178ab2597"),
    ("scipy-openblas32", "0.3.29.0.0", X86_64, "02d32eafdf101f9503b99bd623e84f109a95cbe16d65492e174ed386339e2e1f"),
    ("scipy-openblas32", "0.3.30.0.8", X86_64, "b3e980185ab7d959c75c7f0f49b15209ec85434a09144f6cbfe3a45fa825b436"),
    ("scipy-openblas64", "0.3.29.0.0", X86_64, "ebaeee4e243c116ee274f1612481c8513bcaa6b4c6afa306b5ee7629de2f280a"),
    ("scipy-openblas64", "0.3.30.0.8", X86_64, "510eefc9369760b9b5597e9a83c4ec2cf5e88a2eb2194b5b2cd2cff188a6dd36"),
    ("zstandard", "0.23.0", X86_64, "fd30d9c67d13d891f2360b2a120186729c111238ac63b43dbd37a5a40670b8ca"),
];

/// A package of Debian's non-free part: suite, package, version, SHA-256. Only its static archives are learned,
/// without those of free libraries.
pub(crate) const DEBIAN: [(&str, &str, &str, &str); 2] = [
    (
        "bookworm",
        "nvidia-cuda-dev",
        "11.8.89~11.8.0-5~deb12u1",
        "dc63bf2fb94aaaf903e9bad0c35f631266077d016b34329ec7af456bd7fed5ec",
    ),
    (
        "trixie",
        "nvidia-cuda-dev",
        "12.4.127~12.4.1-2",
        "d846838f914a0176948d48a8bcade5d6dbcccb5c9374343f6475f5503f173ee0",
    ),
];

/// Archives of the Debian packages that are learned, without `lib` and `.a`.
pub(crate) const ARCHIVES: [&str; 22] = [
    "cudart_static",
    "cudadevrt",
    "culibos",
    "cublas_static",
    "cublasLt_static",
    "cufft_static",
    "cufftw_static",
    "curand_static",
    "cusolver_static",
    "cusparse_static",
    "nppc_static",
    "nppial_static",
    "nppicc_static",
    "nppidei_static",
    "nppif_static",
    "nppig_static",
    "nppim_static",
    "nppist_static",
    "nppisu_static",
    "nppitc_static",
    "npps_static",
    "nvjpeg_static",
];

/// Members of vendors' archives that are free software: OpenSSL in NVIDIA's compiler library, LAPACKE in Intel's MKL, and
/// Khronos's headers in NVIDIA's packages.
pub(crate) const FREE_MEMBERS: [&str; 5] =
    ["libcrypto-lib-*", "libssl-lib-*", "lapacke_*", "LAPACKE_*", "*/include/CL/*"];
