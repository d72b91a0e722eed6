//! Scratch.
use narthex_audit::{AuditFile, Budget, Contents, Limits, audit_part};
use std::time::Instant;
#[allow(clippy::all, clippy::unwrap_used, clippy::print_stderr)]
fn main() {
    rayon::join(|| (), || ());
    let t = Instant::now();
    let layers = narthex_farm::shipped_layers();
    eprintln!("layers {:?}", t.elapsed());
    let t = Instant::now();
    let records = narthex_farm::shipped_records();
    eprintln!("records {:?}", t.elapsed());
    let t = Instant::now();
    let corpus = narthex_audit::Corpus::layered(vec![], layers).with_records(records);
    eprintln!("index {:?}", t.elapsed());
    for path in std::env::args().skip(1) {
        let map = std::fs::read(&path).unwrap();
        for _ in 0..3 {
            let t = Instant::now();
            let files = [AuditFile { path: "x".to_owned(), contents: Contents::Bytes(&map) }];
            let part = audit_part(&files, "x", &corpus, Limits::default(), &mut Budget::default());
            eprintln!("audit {:?} {} findings {}", t.elapsed(), path, part.report.findings.len());
        }
    }
}
