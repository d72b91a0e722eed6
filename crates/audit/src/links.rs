//! What a binary links and opens, whose interface it defines, and whether it is a driver's library.

use crate::anchor::Filter;
use crate::binary::{self, Links};
use crate::corpus::{Corpus, OriginalRef, Part};
use crate::finding::{DriverSign, Finding, Place, Sign};
use crate::makers;
use crate::prints::{Kind, hash64};
use crate::strings::family;
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Libraries of NVIDIA's driver, without the ending. They belong to the machine that has the GPU: what a
/// package carries of them came from a driver, whose license lets nobody pass on parts. Libraries of that
/// name that are free (`libnvidia-egl-wayland`, `libnvidia-container`) are not here.
const DRIVER: [&str; 40] = [
    "libcuda",
    "libcudadebugger",
    "libnvidia-ml",
    "libnvidia-allocator",
    "libnvidia-api",
    "libnvidia-cbl",
    "libnvidia-cfg",
    "libnvidia-compiler",
    "libnvidia-eglcore",
    "libnvidia-encode",
    "libnvidia-fbc",
    "libnvidia-fatbinaryloader",
    "libnvidia-glcore",
    "libnvidia-glsi",
    "libnvidia-glvkspirv",
    "libnvidia-gpucomp",
    "libnvidia-gtk2",
    "libnvidia-gtk3",
    "libnvidia-ifr",
    "libnvidia-ngx",
    "libnvidia-nvvm",
    "libnvidia-nvvm70",
    "libnvidia-opencl",
    "libnvidia-opticalflow",
    "libnvidia-pkcs11",
    "libnvidia-pkcs11-openssl3",
    "libnvidia-present",
    "libnvidia-ptxjitcompiler",
    "libnvidia-rtcore",
    "libnvidia-sandboxutils",
    "libnvidia-tls",
    "libnvidia-vksc-core",
    "libnvidia-wayland-client",
    "libnvcuvid",
    "libnvoptix",
    "libGLX_nvidia",
    "libEGL_nvidia",
    "libGLESv1_CM_nvidia",
    "libGLESv2_nvidia",
    "libvdpau_nvidia",
];

/// The same for Windows.
const WINDOWS_DRIVER: [&str; 7] =
    ["nvcuda.dll", "nvml.dll", "nvcuvid.dll", "nvoptix.dll", "nvapi64.dll", "nvapi.dll", "nvencodeapi64.dll"];

/// A stub loads a function on its first use and calls it; the longest that was met has 32 bytes, those that
/// report a missing library about 200.
const STUB_BYTES: u64 = 256;

/// Fewer functions of an interface are a coincidence of names.
const INTERFACE: usize = 8;

/// Libraries that one finding names as opened.
const OPENED: usize = 64;

/// Whether this is the name of a driver's library: the name, and what may follow it.
pub(crate) fn is_driver(name: &str) -> bool {
    if WINDOWS_DRIVER.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return true;
    }
    let Some((stem, version)) = name.split_once(".so") else { return false };
    let numbers = version.is_empty()
        || version.strip_prefix('.').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    numbers && DRIVER.contains(&stem)
}

/// A binary that is a driver's library, by its own name or by the one that others link.
pub(crate) fn driver(place: &Place, output: &str, links: &Links, findings: &mut Vec<Finding>) {
    let name = Some(place.innermost()).filter(|name| !name.is_empty()).unwrap_or(output);
    let name = name.rsplit('/').next().unwrap_or_default();
    let found = match &links.soname {
        Some(soname) if is_driver(soname) => Some((soname.clone(), DriverSign::Soname)),
        _ if is_driver(name) => Some((name.to_owned(), DriverSign::FileName)),
        _ => None,
    };
    if let Some((library, sign)) = found {
        findings.push(Finding::Driver { place: place.clone(), library, sign });
    }
}

/// What is linked, and what may be opened later.
pub(crate) fn dynamic(place: &Place, links: Links, opens: BTreeSet<String>, findings: &mut Vec<Finding>) {
    if links.needed.is_empty() && opens.is_empty() {
        return;
    }
    let store_paths: BTreeSet<&str> = links.runpath.iter().filter_map(|path| store_path(path)).collect();
    findings.push(Finding::Dynamic {
        place: place.clone(),
        store_paths: store_paths.into_iter().map(str::to_owned).collect(),
        needed: links.needed,
        runpath: links.runpath,
        opens: opens.into_iter().take(OPENED).collect(),
    });
}

/// The store path that a folder lies in: the first three parts of `/nix/store/HASH-NAME/lib`, or of such a
/// path below another store's folder.
fn store_path(folder: &str) -> Option<&str> {
    const HASH: usize = 32;
    let parts = folder.match_indices('/').map(|(at, _)| at + 1);
    parts.into_iter().find_map(|start| {
        let rest = &folder[start..];
        let name = rest.split('/').next().unwrap_or(rest);
        let (hash, _) = name.split_once('-')?;
        let is_hash = hash.len() == HASH && hash.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        is_hash.then(|| &folder[..start + name.len()])
    })
}

/// Whether a text is the name of a shared library, as `dlopen` takes it.
pub(crate) fn library_name(text: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(text).ok().filter(|name| name.starts_with("lib") && name.len() <= 128)?;
    let (stem, version) = name.split_once(".so")?;
    let plain = stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-+".contains(&b));
    let numbers = version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (plain && numbers && stem.len() > 3).then_some(name)
}

/// Whether a binary can open libraries by itself.
pub(crate) fn can_open(file: &object::File<'_>) -> bool {
    let named = |name: &[u8]| name == b"dlopen" || name == b"dlmopen";
    file.dynamic_symbols().chain(file.symbols()).any(|symbol| symbol.name_bytes().is_ok_and(named))
}

/// What a binary defines of a library's interface.
#[derive(Debug, Default)]
pub(crate) struct Defined {
    names: BTreeSet<String>,
    /// How many are too long for a stub.
    long: usize,
    /// The longest in bytes.
    longest: u64,
}

/// Functions of vendors' interfaces that a binary defines, library by library.
pub(crate) type Interfaces = BTreeMap<OriginalRef, Defined>;

/// Which functions of vendors' interfaces a binary of `size` bytes defines.
pub(crate) fn interfaces(file: &object::File<'_>, size: usize, corpus: &Corpus) -> Result<Interfaces, binary::Error> {
    let mut found = Interfaces::new();
    if corpus.interface.is_empty() {
        return Ok(found);
    }
    // Symbols may share names, but not each a name that is as long as the file.
    let mut room = size.saturating_mul(8);
    let mut families: BTreeMap<String, OriginalRef> = BTreeMap::new();
    // A table may have one name any number of times: each is looked up once.
    let mut named: BTreeMap<u64, (&[u8], u64)> = BTreeMap::new();
    for symbol in file.dynamic_symbols().chain(file.symbols()) {
        if symbol.is_undefined() || symbol.kind() != SymbolKind::Text {
            continue;
        }
        let Ok(name) = symbol.name_bytes() else { continue };
        if is_standard(name) {
            continue;
        }
        room = room.checked_sub(name.len()).ok_or(binary::Error::Crowded("names"))?;
        let hash = hash64(Kind::Symbol, name);
        if !corpus.interface.may_have((hash >> 32) as u32) || corpus.is_free(hash) {
            continue;
        }
        let longest = &mut named.entry(hash).or_insert((name, 0)).1;
        *longest = (*longest).max(symbol.size());
    }
    for (hash, (name, size)) in named {
        // Every release of a library has the function; they count as one.
        for original in corpus.originals(Part::Interface, hash) {
            let Some(origin) = corpus.origin(original, None) else { continue };
            let original = *families.entry(family(&origin.file).to_owned()).or_insert(original);
            let defined = found.entry(original).or_default();
            if defined.names.insert(String::from_utf8_lossy(name).into_owned()) && size > STUB_BYTES {
                defined.long += 1;
            }
            defined.longest = defined.longest.max(size);
        }
    }
    // Libraries that are parts of another one have parts of its interface.
    let mut largest: Vec<OriginalRef> = found.keys().copied().collect();
    largest.sort_by_key(|library| std::cmp::Reverse(found[library].names.len()));
    let mut explained: BTreeSet<String> = BTreeSet::new();
    for library in largest {
        let Some(Defined { names, .. }) = found.get_mut(&library) else { continue };
        names.retain(|name| !explained.contains(name));
        explained.extend(names.iter().cloned());
    }
    found.retain(|_, defined| defined.names.len() >= INTERFACE);
    Ok(found)
}

/// Beginnings of the names of standard interfaces, which free libraries implement as well as vendors': of BLAS, LAPACK and
/// FFTW, and those of Khronos, OpenMP and MPI.
const STANDARD: [&[u8]; 11] =
    [b"cblas_", b"LAPACKE_", b"fftw_", b"fftwf_", b"omp_", b"__kmpc_", b"kmpc_", b"GOMP_", b"MPI_", b"PMPI_", b"MPIX_"];

/// The same where a capital letter has to follow: OpenCL, OpenGL, EGL and Vulkan.
const KHRONOS: [&[u8]; 6] = [b"cl", b"gl", b"glX", b"wgl", b"egl", b"vk"];

/// Whether a function's name is one of a standard interface. BLAS and LAPACK for Fortran are known by their form.
fn is_standard(name: &[u8]) -> bool {
    /// `dgemm`, `zheevr_2stage_`.
    const LONGEST: usize = 16;
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    let is_vendors = [b"cu".as_slice(), b"nv"].iter().any(|start| name.starts_with(start));
    name.len() <= LONGEST && !is_vendors && name.iter().all(is_plain)
        || STANDARD.iter().any(|start| name.starts_with(start))
        || KHRONOS
            .iter()
            .any(|start| name.strip_prefix(*start).is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_uppercase)))
}

/// Reports interfaces that are defined by stubs, adds others to what is suspected already, and suspects what implements
/// an interface that ships: a few functions that are longer than a stub belong to those that report a missing library.
pub(crate) fn interface_signs(place: &Place, found: Interfaces, corpus: &Corpus, findings: &mut Vec<Finding>) {
    for (library, Defined { names, long, longest }) in found {
        let ships = corpus.is_shipped(library.layer);
        let Some(library) = corpus.origin(library, None) else { continue };
        let of_family = |finding: &&mut Finding| {
            finding.is_restricted() && finding.origin().is_some_and(|o| family(&o.file) == family(&library.file))
        };
        let sign = || {
            let examples = names.iter().take(8).cloned().collect();
            Sign::Interface { found: names.len() as u32, examples }
        };
        match findings.iter_mut().find(of_family) {
            Some(Finding::Suspected { signs, .. }) => signs.push(sign()),
            Some(_) => {}
            None if long >= INTERFACE => {
                // What a package that was learned here exports, others may export as well.
                if ships {
                    let signs = vec![sign()];
                    findings.push(Finding::Suspected { place: place.clone(), like: library, signs });
                }
            }
            None => {
                findings.push(Finding::Stub { place: place.clone(), library, functions: names.len() as u32, longest });
            }
        }
    }
}

/// A PE file that names who made it, and of which nothing else was found.
pub(crate) fn product_signs(place: &Place, bytes: &[u8], corpus: &Corpus, findings: &mut Vec<Finding>) {
    if findings.iter().any(|f| f.place() == place && f.is_restricted() && f.origin().is_some()) {
        return;
    }
    let known = binary::product(bytes).filter(|(product, _)| !corpus.is_free(*product));
    let known = known.filter(|(product, _)| corpus.originals(Part::Products, *product).next().is_some());
    let Some((product, info)) = known else {
        return makers::version_signs(place, bytes, findings);
    };
    let name = place.innermost().rsplit('/').next().unwrap_or_default();
    let named = |library: &OriginalRef| corpus.origin(*library, None).is_some_and(|o| family(&o.file) == family(name));
    let mut libraries: Vec<OriginalRef> = corpus.originals(Part::Products, product).collect();
    // Rather the library of the same name than any of the same product.
    libraries.sort_by_key(|library| !named(library));
    let Some(like) = libraries.first().and_then(|library| corpus.origin(*library, None)) else { return };
    let (company, product) = (info.company.unwrap_or_default(), info.product.unwrap_or_default());
    findings.push(Finding::Suspected {
        place: place.clone(),
        like,
        signs: vec![Sign::VersionInfo { company, product }],
    });
}

/// The prints of what a library exports.
pub(crate) fn exports(file: &object::File<'_>) -> HashSet<u64> {
    let exported = file.dynamic_symbols().filter(|s| !s.is_undefined() && s.kind() == SymbolKind::Text && !s.is_weak());
    exported.filter_map(|symbol| Some(hash64(Kind::Symbol, symbol.name_bytes().ok()?))).collect()
}

/// A filter over a table of pairs.
pub(crate) fn filter_of(layers: &[crate::corpus::Layer], part: Part) -> Filter {
    let hashes = || layers.iter().flat_map(|layer| layer.table(part).rows().map(|row| crate::corpus::u32_at(row, 4)));
    Filter::new(hashes().count(), hashes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Fingerprints;
    use crate::made::{library, noise};

    /// A hundred thousand symbols with one name of a megabyte would be hashed for minutes.
    #[test]
    fn names_that_symbols_share_are_bounded() {
        let symbol = |name: u32| [&name.to_le_bytes()[..], &[0x12, 0, 1, 0], &[0; 16]].concat();
        let look = |symbols: Vec<u8>, length: usize| {
            let names = [&[0][..], &b"n".repeat(length), &[0]].concat();
            let bytes =
                library(&[(".text", true, noise(1, 99)), (".strtab", false, names), (".symtab", false, symbols)]);
            let mut prints = Fingerprints::default();
            let material = prints.material(&crate::Material::of_package("vendor-1", vec![]));
            let original = prints.original(material, "libv.so");
            prints.interface.insert((1, original));
            let file = binary::parse(&bytes, None).unwrap().unwrap();
            interfaces(&file, bytes.len(), &prints.to_corpus()).map(|found| found.len())
        };
        assert!(matches!(look(symbol(1).repeat(100_000), 1 << 20), Err(binary::Error::Crowded("names"))));
        assert!(matches!(look(symbol(1).repeat(100_000), 60), Ok(0)));
    }

    /// What implements an interface that ships is suspected to be the library; stubs, which are short, only call it. A few
    /// long functions are those that report a missing library, and what was learned here says nothing of others.
    #[test]
    fn long_functions_of_an_interface_are_a_suspicion() {
        let look = |long: u64, size: u64, ships: bool| {
            let names: Vec<String> = (0..12).map(|number| format!("vendorCallsNumber{number}")).collect();
            let mut prints = Fingerprints::default();
            let material = prints.material(&crate::Material::of_package("vendor-1", vec![]));
            let original = prints.original(material, "libv.so");
            prints.interface.extend(names.iter().map(|name| (hash64(Kind::Symbol, name.as_bytes()), original)));
            let layer = vec![crate::Layer::new(prints.to_bytes()).unwrap()];
            let corpus = if ships { Corpus::layered(vec![], layer) } else { Corpus::layered(layer, vec![]) };
            let (mut table, mut symbols) = (vec![0], vec![0; 24]);
            for (number, name) in names.iter().enumerate() {
                let size = if (number as u64) < long { size } else { STUB_BYTES };
                symbols.extend_from_slice(&(table.len() as u32).to_le_bytes());
                symbols.extend_from_slice(&[0x12, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                symbols.extend_from_slice(&size.to_le_bytes());
                table.extend_from_slice(&[name.as_bytes(), &[0]].concat());
            }
            let code = (".text", true, noise(1, 9000));
            let bytes = library(&[code, (".strtab", false, table), (".symtab", false, symbols)]);
            let file = crate::AuditFile { path: "lib/libx.so".to_owned(), contents: crate::Contents::Bytes(&bytes) };
            let report = crate::audit(&[file], &corpus, crate::Limits::default());
            report.findings.iter().map(|finding| finding.kind()).collect::<Vec<_>>()
        };
        assert_eq!(look(0, 0, true), ["stub"]);
        assert_eq!(look(INTERFACE as u64 - 1, STUB_BYTES + 1, true), ["stub"]);
        assert_eq!(look(12, STUB_BYTES, true), ["stub"]);
        assert_eq!(look(INTERFACE as u64, STUB_BYTES + 1, true), ["suspected"]);
        assert_eq!(look(12, 1 << 20, true), ["suspected"]);
        assert!(look(12, STUB_BYTES + 1, false).is_empty());
    }

    /// OpenBLAS is no version of a vendor's library that has BLAS's functions as well.
    #[test]
    fn standard_interfaces_are_nobodys() {
        let check = |name: &str, standard: bool| assert_eq!(is_standard(name.as_bytes()), standard, "{name}");
        for name in ["dgemm", "dgemm_", "zheevr_2stage_", "cblas_dgemm", "LAPACKE_dgesv", "fftw_plan_dft"] {
            check(name, true);
        }
        for name in
            ["clBuildProgram", "glDrawArrays", "eglInitialize", "vkCreateInstance", "MPI_Send", "__kmpc_fork_call"]
        {
            check(name, true);
        }
        for name in ["clang_createIndex", "glob_match_a_path_", "vkernel_of_a_vendor", "globalThing_ofVendors"] {
            check(name, false);
        }
        for name in ["cublasDgemm_v2", "cudaMalloc", "cudaMalloc_", "nvblas_dgemm", "cudnn_create_a_descriptor_"] {
            check(name, false);
        }
    }

    #[test]
    fn drivers_are_known_by_name() {
        let check = |name: &str, driver: bool| assert_eq!(is_driver(name), driver, "{name}");
        check("libcuda.so", true);
        check("libcuda.so.1", true);
        check("libcuda.so.535.104.05", true);
        check("libnvidia-ml.so.1", true);
        check("nvcuda.dll", true);
        check("libcudart.so.12", false);
        check("libcuda.sox", false);
        check("libnvidia-egl-wayland.so.1", false);
        check("libnvidia-container.so.1", false);
        check("libcuda.a", false);
    }

    #[test]
    fn folders_lead_to_store_paths() {
        let path = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-cuda-12/lib";
        assert_eq!(store_path(path), Some("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-cuda-12"));
        assert_eq!(store_path("$ORIGIN/../lib"), None);
        assert_eq!(store_path("/usr/lib"), None);
    }

    #[test]
    fn names_of_libraries_are_told_from_other_texts() {
        assert_eq!(library_name(b"libcudnn.so.9"), Some("libcudnn.so.9"));
        assert_eq!(library_name(b"libstdc++.so.6"), Some("libstdc++.so.6"));
        assert_eq!(library_name(b"lib.so"), None);
        assert_eq!(library_name(b"cannot open libx.so"), None);
        assert_eq!(library_name(b"libx.so: not found"), None);
    }
}
