//! Intel's runtimes: the materials that a package of several products is taken apart into.
//!
//! Intel links the runtime of its compilers (libirc), its mathematical functions (libimf, libsvml) and its image and
//! signal functions (IPP) into nearly everything that it publishes. Each of them is material of its own, so that who
//! has one of them is not said to have MKL.

use crate::corpus::{Material, fetch_wheel, folder};
use crate::machine::output;
use crate::materials::{System, Wheel};
use crate::{Failure, Outcome};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use System::X86_64;

const COMPILER: Wheel =
    ("intel-cmplr-lib-rt", "2026.2.0", X86_64, "9f713083073a820d2496a6da8e8d4f3482aba6640f74521d25ea48dcebe72748");
const COMPILER_2020: Wheel =
    ("icc-rt", "2020.0.133", X86_64, "17a173e65cee0c516358172b9cc96fe297dd54f4d6b23d57f79c62d9e105e3cf");
const OPENMP: Wheel =
    ("intel-openmp", "2026.2.0", X86_64, "2308a1a3e74718a9cd8cccf218c34d8cd80b43d3b89dfbb01b38dee205c50980");
const IPP: [Wheel; 2] = [
    ("ipp-static", "2021.12.1", X86_64, "bfe13b4b0551d05e8babf44d41cba562267d81a3e09722b7bbb3bf54aa1ebb37"),
    ("ipp-static", "2026.1.0", X86_64, "a1f8258198a75e9ba8695c168542bacafb28c0695c672942336f9a86f3a4b0d3"),
];

/// Files of a wheel that are one material: its name, the wheel, the files' names. Their interfaces are those of C and of
/// OpenMP, which others implement as well, and Intel's OpenMP library says what LLVM's says. Libraries for Windows have
/// parts of Microsoft's compiler in them, which everybody has: they are known by their hashes and their version resources.
const FILES: [(&str, Wheel, &[&str]); 5] = [
    ("intel-libirc", COMPILER, &["libirc.so", "libintlc.so.5"]),
    ("intel-math-libraries", COMPILER, &["libimf.so", "libsvml.so", "libirng.so"]),
    ("intel-libirc", COMPILER_2020, &["libirc.so", "libintlc.so.5"]),
    ("intel-math-libraries", COMPILER_2020, &["libimf.so", "libsvml.so", "libirng.so"]),
    ("intel-openmp", OPENMP, &["libiomp5.so"]),
];

/// Members of Intel's static OpenMP library that are the runtime of its compilers.
const IRC: [&str; 22] = [
    "cpu_feature_disp.c.o",
    "fast_mem_ops.c.o",
    "fast_memcpy_pp.S.o",
    "fast_memset_pp.S.o",
    "fastmemcpy.c.o",
    "fastmemset.c.o",
    "fp2q.c.o",
    "ia32_addsubq.c.o",
    "ia32_divq.c.o",
    "ia32_mulq.c.o",
    "intel_avx_rep_memcpy.c.o",
    "intel_avx_rep_memset.c.o",
    "intel_mic_avx512f_memcpy.c.o",
    "intel_mic_avx512f_memset.c.o",
    "intel_ssse3_memcpy.S.o",
    "intel_ssse3_rep_memcpy.S.o",
    "ints2q.c.o",
    "irc_msg_support.c.o",
    "libirc_libc_impl.c.o",
    "q2fp.c.o",
    "q2ints.c.o",
    "qcomp.c.o",
];

/// The materials, with their fingerprints of functions before those of what is linked with them.
pub(crate) fn materials() -> Outcome<Vec<Material>> {
    let mut materials: Vec<Material> = Vec::new();
    add(
        &mut materials,
        "intel-libirc",
        &OPENMP,
        vec![irc()?],
        &format!("members of libiomp5.a of {}", named(&OPENMP)?),
    )?;
    for (name, wheel, names) in &FILES {
        let files = unpacked(wheel)?;
        let found: Vec<PathBuf> = files.into_iter().filter(|file| names.contains(&name_of(file).as_str())).collect();
        if found.is_empty() {
            return Err(Failure::new(format!("{} has none of {}", named(wheel)?, names.join(", "))));
        }
        add(&mut materials, name, wheel, found, &format!("{} of {}", names.join(", "), named(wheel)?))?;
    }
    for wheel in &IPP {
        let file = fetch_wheel(wheel)?;
        let sources = vec![format!("{} `{}`", name_of(&file), wheel.3)];
        let (name, version) = (wheel.0.to_owned(), wheel.1.to_owned());
        materials.push(Material { name, version, license: "issl", files: vec![file], sources, open_interface: false });
    }
    Ok(materials)
}

fn add(materials: &mut Vec<Material>, name: &str, wheel: &Wheel, files: Vec<PathBuf>, source: &str) -> Outcome {
    let source = format!("{source} `{}`", wheel.3);
    match materials.iter_mut().find(|known| (known.name.as_str(), known.version.as_str()) == (name, wheel.1)) {
        Some(known) => {
            known.files.extend(files);
            known.sources.push(source);
        }
        None => materials.push(Material {
            name: name.to_owned(),
            version: wheel.1.to_owned(),
            license: "unfree",
            files,
            sources: vec![source],
            open_interface: true,
        }),
    }
    Ok(())
}

fn named(wheel: &Wheel) -> Outcome<String> {
    Ok(name_of(&fetch_wheel(wheel)?))
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// All files of a wheel, each once: fetched, and unpacked where they are not there.
pub(crate) fn unpacked(wheel: &Wheel) -> Outcome<Vec<PathBuf>> {
    let file = fetch_wheel(wheel)?;
    let unpacked = folder().join("unpacked").join(name_of(&file));
    if !unpacked.exists() {
        let staged = unpacked.with_extension("new");
        let _ = fs::remove_dir_all(&staged);
        fs::create_dir_all(&staged).map_err(|error| Failure::new(format!("{}: {error}", staged.display())))?;
        output(Command::new("python3").args(["-m", "zipfile", "-e"]).args([&file, &staged]))?;
        fs::rename(&staged, &unpacked).map_err(|error| Failure::new(format!("{}: {error}", unpacked.display())))?;
    }
    let (mut files, mut folders) = (Vec::new(), vec![unpacked]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The runtime of Intel's compilers as an archive of its own, from Intel's static OpenMP library. All else in that is
/// free: LLVM's OpenMP library, hwloc, TBB's allocator and safestringlib.
fn irc() -> Outcome<PathBuf> {
    let archive = unpacked(&OPENMP)?.into_iter().find(|file| name_of(file) == "libiomp5.a");
    let archive = archive.ok_or_else(|| Failure::new("the package of Intel's OpenMP has no static library"))?;
    let folder = folder().join("unpacked/libiomp5");
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    output(Command::new("ar").arg("x").arg(&archive).args(IRC).current_dir(&folder))?;
    let file = folder.join("libirc.a");
    let _ = fs::remove_file(&file);
    output(Command::new("ar").arg("rcD").arg(&file).args(IRC).current_dir(&folder))?;
    Ok(file)
}
