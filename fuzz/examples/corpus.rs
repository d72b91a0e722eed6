//! Writes bodies of corpus files into a folder, as seeds: `cargo run --example corpus -- FOLDER`.

use narthex_audit::{AuditFile, Contents, Fingerprints, Limits, Material, Source, learn, learn_free};
use std::path::Path;

/// What stands before the body.
const HEADER: usize = 52;

const DATA: [(&str, &[u8]); 5] = [
    ("vendor-x64.lib", include_bytes!("../../crates/audit/tests/data/vendor-x64.lib")),
    ("vendor-aarch64.a", include_bytes!("../../crates/audit/tests/data/vendor-aarch64.a")),
    ("linked-x64.dll", include_bytes!("../../crates/audit/tests/data/linked-x64.dll")),
    ("linked-aarch64.so", include_bytes!("../../crates/audit/tests/data/linked-aarch64.so")),
    ("copy.7z", include_bytes!("../../crates/audit/tests/data/copy.7z")),
];

fn main() {
    let folder = std::env::args().nth(1).expect("a folder is named");
    let write = |name: &str, prints: &Fingerprints| {
        let bytes = prints.to_bytes();
        std::fs::write(Path::new(&folder).join(name), &bytes[HEADER..]).expect("the seed can be written");
    };
    let source = |name: &str| Source {
        hash: format!("sha256:{name}"),
        name: name.to_owned(),
        material: Material::of_package("vendor-1", vec![]),
    };
    let file = |(path, bytes): &(&str, &'static [u8])| AuditFile {
        path: (*path).to_owned(),
        contents: Contents::Bytes(bytes),
    };
    write("empty", &Fingerprints::default());
    let mut all = Fingerprints::default();
    for data in &DATA {
        let mut prints = Fingerprints::default();
        learn(&mut prints, &source(data.0), &[file(data)], Limits::default());
        learn(&mut all, &source(data.0), &[file(data)], Limits::default());
        write(data.0, &prints);
    }
    let corpus = all.to_corpus();
    learn_free(&mut all, &corpus, &source("free-1"), &[file(&DATA[3])], Limits::default());
    write("all", &all);
}
