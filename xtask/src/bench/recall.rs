//! Static archives linked into programs and libraries in all the usual ways, and how much of them is found.

use super::folder;
use super::inputs::Inputs;
use super::measure::Audit;
use crate::machine::{output, write};
use crate::{Failure, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const LINKERS: [&str; 4] = ["bfd", "gold", "lld", "mold"];

/// Functions with fewer bytes are not asked for.
const SHORTEST: u64 = 64;

const CUDART: &str = "\
extern int cudaMalloc(void **, unsigned long), cudaFree(void *), cudaDeviceSynchronize(void);
extern int cudaMemcpy(void *, const void *, unsigned long, int), cudaGetDeviceCount(int *);
__attribute__((visibility(\"default\"))) int work(void) {
  void *place;
  int count;
  cudaGetDeviceCount(&count);
  cudaMalloc(&place, 100);
  cudaMemcpy(place, &count, 4, 1);
  cudaDeviceSynchronize();
  return cudaFree(place);
}
#ifdef PROGRAM
int main(void) { return work(); }
#endif
";

const DGEMM: &str = "\
extern void cblas_dgemm(int, int, int, long, long, long, double, const double *, long, const double *, long, double,
                        double *, long);
int main(void) {
  double a[4] = {1, 2, 3, 4}, b[4] = {1, 0, 0, 1}, c[4];
  cblas_dgemm(101, 111, 111, 2, 2, 2, 1.0, a, 2, b, 2, 0.0, c, 2);
  return (int)c[0];
}
";

/// Something that is linked with a vendor's archives.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) linker: &'static str,
    archives: Vec<PathBuf>,
    arguments: Vec<String>,
}

/// What was found, and of how many.
pub(super) struct Recall {
    pub(super) expected: usize,
    pub(super) found: usize,
}

/// Every cudart, every linker, program and library; and MKL.
pub(super) fn targets(inputs: &Inputs) -> Outcome<Vec<Target>> {
    let source = folder().join("cudart.c");
    write(&source, CUDART)?;
    let mut targets = Vec::new();
    for (version, archive) in inputs.cudarts() {
        for linker in LINKERS {
            for program in [true, false] {
                let kind = if program { "program" } else { "library, hidden symbols, gc-sections" };
                let shape: &[&str] = if program {
                    &["-DPROGRAM"]
                } else {
                    &["-shared", "-fPIC", "-fvisibility=hidden", "-Wl,--gc-sections", "-Wl,--exclude-libs,ALL"]
                };
                let mut arguments: Vec<String> = shape.iter().map(|word| (*word).to_owned()).collect();
                arguments.extend([source.display().to_string(), archive.display().to_string()]);
                arguments.extend(["-lpthread", "-ldl", "-lrt"].map(str::to_owned));
                targets.push(Target {
                    name: format!("cudart {version}, {kind}"),
                    linker,
                    archives: vec![archive.clone()],
                    arguments,
                });
            }
        }
    }
    targets.push(mkl(inputs)?);
    Ok(targets)
}

fn mkl(inputs: &Inputs) -> Outcome<Target> {
    let source = folder().join("dgemm.c");
    write(&source, DGEMM)?;
    let archives = inputs.mkl();
    let mut arguments = vec![source.display().to_string(), "-Wl,--start-group".to_owned()];
    arguments.extend(archives.iter().map(|archive| archive.display().to_string()));
    arguments.extend(["-Wl,--end-group", "-lpthread", "-ldl", "-lm"].map(str::to_owned));
    Ok(Target { name: "MKL 2024.2.0, program with dgemm".to_owned(), linker: "bfd", archives, arguments })
}

/// A stripped program that is all MKL: every object of its largest archive, for every processor. It is not meant
/// to run.
pub(super) fn dense(inputs: &Inputs) -> Outcome<PathBuf> {
    let archives = inputs.mkl();
    let all = archives.iter().map(|archive| archive.display().to_string());
    let core = all.clone().find(|name| name.contains("mkl_core")).unwrap_or_default();
    let source = folder().join("dgemm.c").display().to_string();
    let before = [&source, "-Wl,--unresolved-symbols=ignore-all", "-Wl,--whole-archive", &core].map(str::to_owned);
    let between = ["-Wl,--no-whole-archive", "-Wl,--start-group"].map(str::to_owned);
    let behind = ["-Wl,--end-group", "-lpthread", "-ldl", "-lm"].map(str::to_owned);
    let arguments = before.into_iter().chain(between).chain(all).chain(behind).collect();
    let name = "MKL 2024.2.0, all of mkl_core".to_owned();
    Target { name, linker: "bfd", archives, arguments }.link().map(|(_, stripped)| stripped)
}

impl Target {
    /// Links twice: with symbols, and stripped.
    fn link(&self) -> Outcome<(PathBuf, PathBuf)> {
        let name: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let linked = folder().join(format!("{name}-{}", self.linker));
        let stripped = linked.with_extension("stripped");
        let mut command = Command::new("gcc");
        command.arg("-O2").arg(format!("-fuse-ld={}", self.linker)).arg("-o").arg(&linked).args(&self.arguments);
        output(&mut command)?;
        output(Command::new("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(&linked))?;
        Ok((linked, stripped))
    }

    pub(super) fn measure(&self, audit: &Audit) -> Outcome<Recall> {
        let (linked, stripped) = self.link()?;
        let known = names_of(&self.archives)?;
        let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
        for (address, size, name) in functions(&linked)? {
            if size >= SHORTEST && known.contains(&name) {
                expected.insert(address, size);
            }
        }
        if expected.is_empty() {
            return Err(Failure::new(format!("{} has no function of the archives", linked.display())));
        }
        let name = stripped.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = output(audit.command(&[&stripped]).args(["--format", "json", "--explain", &name]))?;
        let number = |line: &str, field: &str| -> Option<u64> {
            line.split(&format!("\"{field}\":")).nth(1)?.split([',', '}']).next()?.parse().ok()
        };
        let functions = text.lines().filter(|line| line.contains("\"kind\":\"function\""));
        let found: BTreeSet<u64> = functions.filter_map(|line| number(line, "address")).collect();
        let hit = expected.keys().filter(|address| found.contains(address)).count();
        Ok(Recall { expected: expected.len(), found: hit })
    }
}

/// Address, size and name of the functions in a binary.
fn functions(binary: &Path) -> Outcome<Vec<(u64, u64, String)>> {
    let text = output(Command::new("nm").args(["--print-size", "--defined-only"]).arg(binary))?;
    let parse = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, size, "t" | "T", name] = words.as_slice() else { return None };
        Some((u64::from_str_radix(address, 16).ok()?, u64::from_str_radix(size, 16).ok()?, (*name).to_owned()))
    };
    Ok(text.lines().filter_map(parse).collect())
}

/// Names of the functions in archives. Those of weak symbols are left out, as they are nobody's.
fn names_of(archives: &[PathBuf]) -> Outcome<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for archive in archives {
        names.extend(functions(archive)?.into_iter().map(|(_, _, name)| name));
    }
    Ok(names)
}
