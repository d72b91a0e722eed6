use narthex_closure::{NarHash, StorePath};
use narthex_policy::Permit;

fn forge(path: StorePath, nar_hash: NarHash) -> Permit {
    Permit { path, nar_hash }
}

fn main() {}
