//! Every seed of every fuzz target, among them all inputs that once were a crash, runs through its parser.

#[path = "../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a crate of its own in the fuzzer")]
mod narthex_fuzz;

use std::fs;
use std::path::Path;

#[test]
fn no_seed_does_harm() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let mut folders: Vec<String> = fs::read_dir(&seeds)
        .expect("the seeds are there")
        .map(|entry| entry.expect("the seeds can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let mut names = narthex_fuzz::TARGETS.map(|(name, _)| name);
    names.sort_unstable();
    assert_eq!(folders, names);
    for (name, run) in narthex_fuzz::TARGETS {
        for entry in fs::read_dir(seeds.join(name)).expect("the folder is there") {
            let path = entry.expect("the folder can be listed").path();
            let bytes = fs::read(&path).expect("the seed can be read");
            if let Err(panic) = std::panic::catch_unwind(|| run(&bytes)) {
                let said = panic.downcast_ref::<String>().map_or("", String::as_str);
                panic!("{}: {said}", path.display());
            }
        }
    }
}
