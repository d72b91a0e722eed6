//! A Debian with one version of Nix, entered with `chroot`, and Nix stores of its own for each test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Mounts everything for one command in a mount namespace that ends with it.
const ENTER: &str = r#"
set -eu
root=$1 nix=$2 state=$3 program=$4 repository=$5 wheels=$6 extra=$7
shift 7
mount --bind "$nix" "$root/nix"
mount --bind "$state" "$root/state"
mount --bind "$program" "$root/narthex"
mount --bind "$repository/examples" "$root/examples"
mount --bind "$repository/policies" "$root/policies"
mount --bind "$wheels" "$root/wheels"
mount --bind "$extra" "$root/extra"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
eval "${MOUNT:-}"
exec chroot "$root" /usr/bin/env -i HOME=/nix/home PATH=/narthex:/usr/bin:/bin:/usr/sbin:/sbin "$@"
"#;

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_narthex"))
}

pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// A version of Nix, and a folder for the stores and the state of one test.
pub(crate) struct World {
    root: PathBuf,
    pub(crate) dir: tempfile::TempDir,
}

/// A Nix store: what a command finds as `/nix`.
#[derive(Clone)]
pub(crate) struct Store(PathBuf);

impl World {
    pub(crate) fn new(nix: &str) -> Self {
        let root = target().join("worlds").join(nix);
        assert!(root.join("complete").exists(), "there is no Nix {nix}: `cargo xtask test` makes it");
        let world = Self { root, dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(world.extra()).unwrap();
        world
    }

    /// A folder that commands find as `/extra`.
    pub(crate) fn extra(&self) -> PathBuf {
        self.dir.path().join("extra")
    }

    /// A folder of this test, made where it is not there.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// An empty store.
    pub(crate) fn empty_store(&self, name: &str) -> Store {
        let folder = self.folder(name);
        std::fs::create_dir_all(folder.join("home")).unwrap();
        Store(folder)
    }

    /// A store that has the vendor's wheels, as a user has who fetched them.
    pub(crate) fn store(&self, name: &str) -> Store {
        let store = self.empty_store(name);
        let script = "for wheel in /wheels/*.whl; do nix-store --add-fixed sha256 \"$wheel\"; done";
        success(self.enter(&store, &self.folder("state"), &["sh", "-c", script]).output().unwrap());
        store
    }

    /// A command inside, with a store as `/nix` and a state folder as `/state`.
    pub(crate) fn enter(&self, store: &Store, state: &Path, command: &[&str]) -> Command {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", ENTER, "enter"]);
        unshare.arg(&self.root).arg(&store.0).arg(state).arg(program().parent().unwrap());
        unshare.arg(repository()).arg(target().join("wheels")).arg(self.extra());
        unshare.args(command).stdin(Stdio::null());
        unshare
    }

    /// `narthex` inside.
    pub(crate) fn narthex(&self, store: &Store, state: &Path, arguments: &[&str]) -> Said {
        let command = [&["narthex", "--state", "/state"], arguments].concat();
        Said::of(self.enter(store, state, &command).output().unwrap())
    }

    /// Takes a file away without telling Nix.
    pub(crate) fn remove(&self, store: &Store, path: &str) {
        success(self.enter(store, &self.folder("state"), &["rm", "-f", path]).output().unwrap());
    }

    /// Whether a path is valid in a store.
    pub(crate) fn is_valid(&self, store: &Store, path: &str) -> bool {
        let state = self.folder("state");
        self.enter(store, &state, &["nix-store", "--check-validity", path]).output().unwrap().status.success()
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The JSON lines of stdout.
    pub(crate) fn rows(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names after a word in the progress lines, for instance after `building`.
    pub(crate) fn progress(&self, word: &str) -> Vec<String> {
        let named = |line: &str| Some(line.strip_prefix(word)?.strip_prefix(' ')?.split(' ').next()?.to_owned());
        let mut names: Vec<String> = self.err.lines().filter_map(named).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// A daemon of Nix for a store, once it listens. `name` is that of the store's folder.
pub(crate) fn listening(mut daemon: Command, world: &World, name: &str) -> Running {
    let mut daemon = Running(daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let socket = world.dir.path().join(name).join("var/nix/daemon-socket/socket");
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert_eq!(daemon.0.try_wait().unwrap(), None, "the daemon ended");
        std::thread::yield_now();
    }
    daemon
}

#[track_caller]
pub(crate) fn success(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A process that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
