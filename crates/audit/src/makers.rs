//! Who made a program, as it says itself: by its version resource, by its copyright, and by its name.
//!
//! What a program says of its maker is no proof of a license: vendors publish free software as well. The company that a
//! version resource names is always shown. It is a suspicion where the company is one whose programs are restricted,
//! nothing else is known of the file, and its product is none that is known to be free.

use crate::binary::{Links, is_linked};
use crate::corpus::{Material, Origin};
use crate::finding::{Finding, Place, Sign};
use crate::pe::{self, VersionInfo};
use crate::records::is_wines;
use memchr::memmem;
use object::File;
use serde::{Deserialize, Serialize};

/// A company whose programs are restricted unless it says something else.
struct Vendor {
    name: &'static str,
    /// Its name in version resources, or the first words of it.
    companies: &'static [&'static str],
    /// How it is named behind a copyright.
    holders: &'static [&'static str],
    /// Words in the name of a package that is its, or how they begin.
    packages: &'static [&'static str],
    /// How names of its files begin, without `lib`.
    files: &'static [&'static str],
    /// Words in the name of a product that is free, in small letters.
    free: &'static [&'static str],
}

const VENDORS: [Vendor; 3] = [
    Vendor {
        name: "NVIDIA",
        companies: &["nvidia"],
        holders: &["NVIDIA Corporation", "NVIDIA CORPORATION"],
        packages: &["nvidia", "cuda*", "cudnn*", "cublas*", "tensorrt*", "geforce"],
        files: &["nv", "cu", "npp", "tensorrt"],
        free: &["nvidia texture tools", "nvbench"],
    },
    Vendor {
        name: "Intel",
        companies: &["intel"],
        holders: &["Intel Corporation", "Intel(R) Corporation"],
        packages: &["intel", "mkl", "onemkl", "ipp", "impi"],
        files: &["intel", "mkl", "ipp", "iomp", "impi", "mpi"],
        free: &[
            "llvm",
            "threading building blocks",
            "onetbb",
            "deep neural network library",
            "onednn",
            "openvino",
            "unified memory framework",
            "level zero",
            "embree",
            "open image denoise",
            "ispc",
            "media sdk",
            "video processing library",
            "opencl icd",
        ],
    },
    Vendor {
        name: "Microsoft",
        companies: &["microsoft"],
        holders: &["Microsoft Corporation"],
        packages: &["microsoft", "msvc", "vcredist*", "directx"],
        files: &["ms", "vc", "d3d", "dx", "ucrt", "concrt"],
        free: &[
            ".net core",
            ".net runtime",
            "powershell",
            "nuget",
            "msbuild",
            "build tools",
            "typescript",
            "onnx runtime",
            "onnxruntime",
            "hlsl compiler",
            "winpty",
            "openconsole",
            "windows terminal",
            "windows package manager",
            "webview2 loader",
            "webview loader",
            "directx tool kit",
            "directxtex",
            "directxmesh",
            "msquic",
            "mimalloc",
        ],
    },
];

/// What is restricted of Microsoft's assemblies for .NET; most others are published under free licenses.
const RESTRICTED_ASSEMBLIES: [&str; 7] =
    ["windows operating system", "visual studio", ".net framework", "sql server", "office", "silverlight", "directx"];

/// Names of files in small letters, without `lib`, that vendors publish as source: how they begin.
const FREE_FILES: [&str; 16] = [
    "nvidia-settings",
    "nvidia-modprobe",
    "nvidia-persistenced",
    "nvidia-xconfig",
    "nvidia-container",
    "nvidia-ctk",
    "nvidia-cdi",
    "nvidia-egl",
    "nvidia-gtk",
    "nvtt",
    "nvbench",
    "nvtx",
    "xnvctrl",
    "onnxruntime",
    "dxcompiler",
    "openvino",
];

/// How far before its holder a copyright may begin: years and signs stand between.
const COPYRIGHT: usize = 80;

/// Small letters, one space between words, and no signs of trademarks.
fn plain(text: &str) -> String {
    let text = text.to_lowercase();
    let kept: String = text.chars().filter(|letter| !['®', '™', '©'].contains(letter)).collect();
    let kept = kept.replace("(r)", "").replace("(tm)", "").replace(',', " ");
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The vendor whose restricted program this is, as far as its version resource says.
fn restricted(company: &str, info: &VersionInfo, managed: bool) -> Option<&'static Vendor> {
    let company = plain(company);
    let company = company.trim_start_matches("copyright").trim_start_matches([' ', '(', 'c', ')']);
    let is = |name: &&str| company.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    let vendor = VENDORS.iter().find(|vendor| vendor.companies.iter().any(&is))?;
    let product = plain(info.product.as_deref().unwrap_or_default());
    let name = plain(info.original_name.as_deref().unwrap_or_default());
    let is_net = product.trim_start_matches("microsoft ").starts_with(".net") && !product.contains("framework");
    let is_free = vendor.free.iter().any(|free| product.contains(free) || name.contains(free)) || is_net;
    let is_assembly = vendor.name == "Microsoft" && managed;
    let restricts = !is_assembly || RESTRICTED_ASSEMBLIES.iter().any(|words| product.contains(words));
    (!is_free && !is_free_file(&name) && restricts).then_some(vendor)
}

fn is_free_file(name: &str) -> bool {
    let stem = name.strip_prefix("lib").unwrap_or(name);
    FREE_FILES.iter().any(|start| stem.starts_with(start))
}

/// What the version resource of a PE file says of its maker, where nothing else is known of the file.
pub(crate) fn version_signs(place: &Place, bytes: &[u8], findings: &mut Vec<Finding>) {
    let Some(info) = pe::is_pe(bytes).then(|| pe::version_info(bytes)).flatten() else { return };
    let said =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(company) = said(&info.company).or_else(|| said(&info.copyright)) else { return };
    let (product, version) = (said(&info.product), said(&info.file_version));
    if restricted(&company, &info, pe::is_managed(bytes)).is_none() || is_wines(bytes) {
        findings.push(Finding::Maker { place: place.clone(), company, product, version });
        return;
    }
    let file = said(&info.original_name)
        .unwrap_or_else(|| place.innermost().rsplit('/').next().unwrap_or_default().to_owned());
    let name = product.clone().unwrap_or_else(|| company.clone());
    let material = Material { name, version: version.unwrap_or_default(), licenses: Vec::new() };
    findings.push(Finding::Suspected {
        place: place.clone(),
        like: Origin { material, file, member: None },
        signs: vec![Sign::Maker { company, product: product.unwrap_or_default() }],
    });
}

/// What a package's own programs and libraries say of who made them, where its name says that a vendor did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The vendor.
    pub vendor: String,
    /// Files that it is named in, or that have names as its files have; some of them.
    pub places: Vec<Place>,
    /// How many there are.
    pub files: u32,
    /// How many of them state its copyright.
    pub copyrights: u32,
    /// How many programs and libraries there are of which nothing else is known.
    pub of_files: u32,
    /// Bytes of the vendor's, and of all.
    pub bytes: (u64, u64),
}

/// A program or library of which nothing else is known.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    place: Place,
    bytes: u64,
    /// The vendor that the package's name says, whether the file is named as that one's files are, and whether it
    /// states that one's copyright.
    vendor: Option<(&'static str, bool, bool)>,
}

/// Places that are named.
const PLACES: usize = 8;

impl Looked {
    /// Looks at a file of the package called `package`; `None` where it is no program, library or archive.
    pub(crate) fn at(
        place: &Place,
        package: &str,
        bytes: &[u8],
        binary: Option<&File<'_>>,
        links: &Links,
    ) -> Option<Self> {
        // Debian's packages are archives of the same kind, and hold no objects.
        let is_archive = bytes.starts_with(b"!<arch>\n") && !bytes.starts_with(b"!<arch>\ndebian-binary");
        if !is_archive && !binary.is_some_and(is_linked) {
            return None;
        }
        let vendor = of_package(package).map(|vendor| {
            let name = place.innermost().rsplit('/').next().unwrap_or_default();
            let name = Some(name).filter(|name| !name.is_empty()).unwrap_or(package).to_ascii_lowercase();
            let soname = links.soname.as_deref().unwrap_or_default().to_ascii_lowercase();
            let names = [name.as_str(), &soname].map(|name| name.strip_prefix("lib").unwrap_or(name));
            let named = names.iter().any(|name| vendor.files.iter().any(|start| name.starts_with(start)));
            let free = names.iter().any(|name| is_free_file(name));
            (vendor.name, named && !free, !free && states_copyright(bytes, vendor))
        });
        Some(Self { place: place.clone(), bytes: bytes.len() as u64, vendor })
    }

    pub(crate) fn file(&self) -> &str {
        &self.place.file
    }
}

fn of_package(name: &str) -> Option<&'static Vendor> {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    let is = |word: &str| match word.strip_suffix('*') {
        Some(start) => words.iter().any(|one| one.starts_with(start)),
        None => words.contains(&word),
    };
    VENDORS.iter().find(|vendor| vendor.packages.iter().any(|word| is(word)))
}

fn states_copyright(bytes: &[u8], vendor: &Vendor) -> bool {
    vendor.holders.iter().any(|holder| {
        memmem::find_iter(bytes, holder.as_bytes()).take(64).any(|at| {
            let before = &bytes[at.saturating_sub(COPYRIGHT)..at];
            memmem::find(before, b"opyright").is_some()
        })
    })
}

/// What all files together say: nothing, unless most of the bytes are by their names or copyrights the vendor's whose
/// name the package has, and some file states the copyright.
pub(crate) fn sum(looked: &[Looked]) -> Option<Made> {
    let vendor = looked.iter().find_map(|one| one.vendor)?.0;
    let is_vendors = |one: &&Looked| one.vendor.is_some_and(|(_, named, stated)| named || stated);
    let total = looked.iter().map(|one| one.bytes).sum();
    let mut made = Made { vendor: vendor.to_owned(), of_files: looked.len() as u32, ..Made::default() };
    for one in looked.iter().filter(is_vendors) {
        made.files += 1;
        made.copyrights += u32::from(one.vendor.is_some_and(|(_, _, stated)| stated));
        made.bytes.0 += one.bytes;
        if made.places.len() < PLACES {
            made.places.push(one.place.clone());
        }
    }
    made.bytes.1 = total;
    (made.copyrights > 0 && made.bytes.0 * 2 > total).then_some(made)
}

#[cfg(test)]
mod tests;
