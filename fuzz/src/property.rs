//! The report of an audit does not depend on the number of threads.

use narthex_audit::{AuditFile, Contents, Corpus, Fingerprints, Limits, Material, Report, Source, audit, learn};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::OnceLock;

/// What the corpus is learned from, and what pieces of are put into the files that are looked at.
const VENDOR: [(&str, &[u8]); 3] = [
    ("vendor-x64.lib", include_bytes!("../../crates/audit/tests/data/vendor-x64.lib")),
    ("vendor-aarch64.a", include_bytes!("../../crates/audit/tests/data/vendor-aarch64.a")),
    ("linked-x64.dll", include_bytes!("../../crates/audit/tests/data/linked-x64.dll")),
];

struct Fixed {
    corpus: Corpus,
    pools: [ThreadPool; 2],
}

fn fixed() -> &'static Fixed {
    static FIXED: OnceLock<Fixed> = OnceLock::new();
    FIXED.get_or_init(|| {
        let mut prints = Fingerprints::default();
        let material = Material::of_package("vendor-1", vec![]);
        let source = Source::new("sha256:a", "vendor", material);
        let files = VENDOR.map(|(path, bytes)| file(path, bytes));
        learn(&mut prints, &source, &files, Limits::default());
        let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
        Fixed { corpus: prints.to_corpus(), pools: [pool(1), pool(4)] }
    })
}

fn file<'a>(path: &str, bytes: &'a [u8]) -> AuditFile<'a> {
    AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) }
}

/// Audits the bytes as a file, its halves as files beside it, and the bytes behind a piece of the vendor's
/// material, with one thread and with four.
pub fn property(bytes: &[u8]) {
    let Fixed { corpus, pools } = fixed();
    let limits =
        Limits { depth: 3, member_bytes: 1 << 20, total_bytes: 4 << 20, members: 100, memory: 4 << 20, spill: None };
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let [which, begin, ..] = *[bytes, &[0; 2]].concat() else { return };
    let (_, vendor) = VENDOR[usize::from(which) % VENDOR.len()];
    let beside = [&vendor[usize::from(begin) * 8 % vendor.len()..], bytes].concat();
    let files = [file("whole", bytes), file("first", first), file("second", second), file("beside", &beside)];
    let [one, four]: [Report; 2] = [0, 1].map(|pool| pools[pool].install(|| audit(&files, corpus, limits)));
    assert_eq!(one, four);
    assert_eq!(one.files, ["whole", "first", "second", "beside"]);
}
