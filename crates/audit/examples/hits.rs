//! Throw-away.
#[expect(clippy::print_stdout, clippy::unwrap_used, reason = "x")]
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let corpus = narthex_audit::Corpus::new(vec![narthex_audit::Layer::new(std::fs::read(&a[1]).unwrap()).unwrap()]);
    let bytes = std::fs::read(&a[2]).unwrap();
    for h in narthex_audit::function_hits(&bytes, &corpus) {
        println!("{:x} {:x} {} {} {:?}", h.address, h.end, h.bytes_compared, h.origin.file, h.origin.member);
    }
}
