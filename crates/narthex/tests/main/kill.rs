//! A run that is killed at any moment leaves a cache that can be trusted, and the next one ends it.

use crate::example::{objects, sorted};
use crate::world::{Said, Store, World};
use nix_derivation::StoreDir;
use nix_narinfo::NarInfo;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

const KILLS: u32 = 25;

/// So many of them begin with an empty store, so that builds are killed as well.
const KILLS_WHILE_BUILDING: u32 = 5;

const RUN: [&str; 6] = ["narthex", "--state", "/state", "run", "/examples/cuda", "--format=json"];

#[test]
fn a_run_killed_at_25_moments_is_completed_by_the_next() {
    let world = World::new("2.8");
    let built = world.store("built");
    let reference = world.folder("reference");
    let undisturbed = run(&world, &built, &reference);
    let building = undisturbed.err.lines().count();
    let again = world.folder("again");
    copy_key(&reference, &again);
    let publishing = run(&world, &built, &again).err.lines().count();
    let expected = (sorted(&undisturbed), objects(&reference));
    let corpus = |state: &Path| std::fs::read(state.join("corpus")).unwrap();
    assert_eq!(objects(&again), expected.1, "two undisturbed runs differ");

    let mut chance = Chance(0x6e61_7274_6865_7821);
    let mut interrupted = 0;
    for kill in 0..KILLS {
        let state = world.folder(&format!("killed-{kill}"));
        copy_key(&reference, &state);
        let (store, length) = if kill < KILLS_WHILE_BUILDING {
            (world.store(&format!("store-{kill}")), building)
        } else {
            (built.clone(), publishing)
        };
        // By what the run has said, so that the moment is the same one on a machine that is busy.
        let moment = (length as f64 * chance.next()) as usize;
        let mut command = world.enter(&store, &state, &RUN);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        lines.by_ref().take(moment).for_each(drop);
        // And a little later, so that it is not always at the beginning of a step.
        for _ in 0..(chance.next() * 500.0) as u32 {
            let _ = std::fs::read_dir(state.join("tmp")).map(Iterator::count);
        }
        let _ = child.kill();
        interrupted += u32::from(child.wait().unwrap().code().is_none());
        every_narinfo_names_a_whole_nar(&state);

        let completed = run(&world, &store, &state);
        every_narinfo_names_a_whole_nar(&state);
        assert_eq!(sorted(&completed), expected.0, "killed after line {moment}");
        assert_eq!(objects(&state), expected.1, "killed after line {moment}");
        assert_eq!(corpus(&state), corpus(&reference), "killed after line {moment}");
        assert_eq!(std::fs::read_dir(state.join("tmp")).unwrap().count(), 0);
        std::fs::remove_dir_all(&state).unwrap();
    }
    assert!(interrupted >= KILLS / 2, "only {interrupted} of {KILLS} runs were still at work when they were killed");
}

fn run(world: &World, store: &Store, state: &Path) -> Said {
    let said = Said::of(world.enter(store, state, &RUN).output().unwrap());
    said.expect(1)
}

/// Signatures are the same only with the same key.
fn copy_key(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("keys")).unwrap();
    std::fs::copy(from.join("keys/1.secret"), to.join("keys/1.secret")).unwrap();
}

fn every_narinfo_names_a_whole_nar(state: &Path) {
    let Ok(entries) = std::fs::read_dir(state.join("objects")) else { return };
    for path in
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "narinfo"))
    {
        let info = NarInfo::parse_in(&StoreDir::default(), &std::fs::read(&path).unwrap()).unwrap();
        let file = std::fs::read(state.join("objects").join(info.url())).unwrap();
        assert_eq!(info.file_size(), Some(file.len() as u64), "{}", path.display());
        let nar = zstd::decode_all(file.as_slice()).unwrap();
        let digest: [u8; 32] = Sha256::digest(&nar).into();
        assert_eq!(info.nar_hash().digest_as_bytes(), digest, "{}", path.display());
        assert!(!state.join("objects/withheld").join(path.with_extension("json").file_name().unwrap()).exists());
    }
}

/// Moments that are the same in every run of the test, so that a failure can be had again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
