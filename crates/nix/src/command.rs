//! Runs Nix commands.

use crate::{ansi, child};
use std::process::{Output, Stdio};
use std::sync::Arc;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Why a Nix command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum NixError {
    /// The program is not there.
    #[error("`{program}` is not installed, or not on the PATH")]
    NotInstalled {
        /// The program.
        program: String,
    },
    /// The program could not be run.
    #[error("`{program}` could not be run")]
    NotRun {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The command failed.
    #[error("`{command}` failed: {message}")]
    Failed {
        /// The command without its data.
        command: String,
        /// What Nix said, without its traces.
        message: String,
    },
    /// The command succeeded and said something that cannot be understood.
    #[error("`{command}` answered something unexpected: {why}")]
    Unexpected {
        /// The command without its data.
        command: String,
        /// What is unexpected.
        why: String,
    },
    /// The store is somewhere else than where binary caches have it.
    #[error("this Nix keeps its store in {found}; only /nix/store is supported")]
    OtherStore {
        /// The store folder.
        found: String,
    },
    /// A folder holds no expression.
    #[error("{} has neither a default.nix nor a flake.nix", folder.display())]
    NoDefault {
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// The files of the store are not where its paths say.
    #[error(
        "the files of this Nix store are not below /nix/store (the setting `store` is `{store}`), and narthex reads files"
    )]
    Elsewhere {
        /// The setting.
        store: String,
    },
}

/// What a Nix tells of itself. The setting `pure-eval` itself is no help: the newer commands have a default of their own for it.
const WHAT_IT_IS: &str =
    "${builtins.nixVersion} ${if builtins ? currentTime then \"impure\" else \"pure\"} ${builtins.storeDir}";

/// A few bytes for the store, always the same ones.
const SOMETHING: &str = "builtins.toFile \"narthex-was-here\" \"This store can be written to.\"";

/// A Nix installation, and the options that every command gets.
#[derive(Clone, Debug)]
pub struct Nix {
    options: Vec<(String, String)>,
    version: String,
    /// Whether evaluations see nothing of the machine, as its configuration and the options have it.
    pub(crate) pure: bool,
    settings: Arc<OnceCell<Settings>>,
}

/// Nix's settings, as `nix config show --json` tells them.
#[derive(Clone, Debug, Default)]
pub struct Settings(serde_json::Value);

impl Settings {
    /// A value as `nix.conf` has it; the parts of a list stand between spaces.
    pub fn get(&self, name: &str) -> Option<String> {
        match &self.0[name]["value"] {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Array(items) => {
                Some(items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(" "))
            }
            serde_json::Value::Null => None,
            other => Some(other.to_string()),
        }
    }
}

impl Nix {
    /// Finds the Nix on the PATH. `options` are settings as `--option` takes them.
    ///
    /// # Errors
    /// [`NixError::NotInstalled`] where there is none, [`NixError::OtherStore`] where its store is
    /// not `/nix/store`.
    pub async fn detect(options: Vec<(String, String)>) -> Result<Self, NixError> {
        let mut nix = Self { options, version: String::new(), pure: false, settings: Arc::default() };
        let told = nix.evaluate_text(&format!("\"{WHAT_IT_IS}\"")).await?;
        nix.is_told(&told)?;
        Ok(nix)
    }

    /// The same for whoever needs its store: see [`Nix::require_files`].
    ///
    /// # Errors
    /// As these two.
    pub async fn detect_with_files(options: Vec<(String, String)>) -> Result<Self, NixError> {
        let mut nix = Self { options, version: String::new(), pure: false, settings: Arc::default() };
        // Both in one process, since nearly always all is well.
        let told = match nix.evaluate_text(&format!("\"${{{SOMETHING}}} {WHAT_IT_IS}\"")).await {
            Ok(told) => told,
            Err(_) => {
                let nix = Self::detect(nix.options).await?;
                nix.require_files().await?;
                return Ok(nix);
            }
        };
        let (written, told) = told.split_once(' ').unwrap_or_default();
        nix.is_told(told)?;
        nix.require_file(written).await?;
        Ok(nix)
    }

    fn is_told(&mut self, told: &str) -> Result<(), NixError> {
        let nix = self;
        let mut words = told.splitn(3, ' ');
        nix.version = words.next().unwrap_or("unknown").to_owned();
        nix.pure = words.next() == Some("pure");
        let found = words.next().unwrap_or_default().to_owned();
        if found != "/nix/store" {
            return Err(NixError::OtherStore { found });
        }
        Ok(())
    }

    /// Makes sure that the store can be written to and that its files are where its paths say. Whoever only evaluates
    /// needs no such store.
    ///
    /// # Errors
    /// [`NixError::Elsewhere`] where the files are elsewhere, and what Nix says where it does not reach its store.
    pub async fn require_files(&self) -> Result<(), NixError> {
        let store = self.setting("store").await?;
        if lies_elsewhere(&store) {
            return Err(NixError::Elsewhere { store });
        }
        self.require_file(&self.write_something().await?).await
    }

    async fn require_file(&self, written: &str) -> Result<(), NixError> {
        let store = self.setting("store").await?;
        if lies_elsewhere(&store) || !std::path::Path::new(written).exists() {
            return Err(NixError::Elsewhere { store });
        }
        Ok(())
    }

    /// Has Nix write a few bytes to its store, always the same ones. It tells whether the store is there, can be written
    /// to, and where its files are.
    pub(crate) async fn write_something(&self) -> Result<String, NixError> {
        self.evaluate_text(SOMETHING).await
    }

    /// The version, for instance `2.26.3`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The same Nix with more options; later ones win.
    #[must_use]
    pub fn with_options(&self, options: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut nix = self.clone();
        nix.options.extend(options);
        nix.settings = Arc::default();
        nix
    }

    /// Whether a setting was given with the options.
    pub(crate) fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| known == name)
    }

    /// A command with the options that every command gets.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.with_common(Command::new(program))
    }

    /// One of the newer subcommands, which some versions call experimental.
    pub(crate) fn new_command(&self, subcommand: &str) -> Command {
        let mut command = Command::new("nix");
        command.args(["--extra-experimental-features", "nix-command", subcommand]);
        self.with_common(command)
    }

    pub(crate) fn with_common(&self, mut command: Command) -> Command {
        for (name, value) in &self.options {
            command.args(["--option", name, value]);
        }
        command.stdin(Stdio::null());
        command
    }

    /// The value of a setting as Nix itself reads its configuration, for instance `substituters`.
    ///
    /// # Errors
    /// When no version of the command answers, or there is no such setting.
    pub async fn setting(&self, name: &str) -> Result<String, NixError> {
        let text = self.settings().await?.get(name);
        text.ok_or_else(|| NixError::Unexpected {
            command: "nix config show".to_owned(),
            why: format!("no setting `{name}`"),
        })
    }

    /// All settings, as Nix itself reads its configuration. It is asked once.
    ///
    /// # Errors
    /// When no version of the command answers.
    pub async fn settings(&self) -> Result<&Settings, NixError> {
        self.settings.get_or_try_init(|| self.ask_settings()).await
    }

    async fn ask_settings(&self) -> Result<Settings, NixError> {
        let ask = async |words: &[&str]| {
            let (subcommand, rest) = words.split_first().unwrap_or((&"config", &[]));
            let mut command = self.new_command(subcommand);
            command.args(rest).arg("--json");
            run(command, &format!("nix {}", words.join(" "))).await
        };
        let mut names: [&[&str]; 2] = [&["config", "show"], &["show-config"]];
        if is_before(&self.version, (2, 20)) {
            names.reverse();
        }
        let output = match ask(names[0]).await {
            Ok(output) => output,
            // What calls itself a version may be something else.
            Err(_) => ask(names[1]).await?,
        };
        serde_json::from_slice(&output.stdout)
            .map(Settings)
            .map_err(|error| NixError::Unexpected { command: "nix config show".to_owned(), why: error.to_string() })
    }

    /// The string that a Nix expression gives.
    pub(crate) async fn evaluate_text(&self, expression: &str) -> Result<String, NixError> {
        let mut command = self.command("nix-instantiate");
        command.args(["--eval", "--read-write-mode", "--json", "-E", expression]);
        let output = run(command, "nix-instantiate --eval").await?;
        serde_json::from_slice(&output.stdout).map_err(|error| NixError::Unexpected {
            command: "nix-instantiate --eval".to_owned(),
            why: error.to_string(),
        })
    }

    /// The derivation that a flake reference stands for, for instance `.#saxpy`.
    ///
    /// # Errors
    /// When the flake or the attribute does not evaluate.
    pub async fn flake_derivation(&self, reference: &str) -> Result<narthex_closure::StorePath, NixError> {
        let mut command = self.new_command("eval");
        command.args(["--option", "extra-experimental-features", "flakes", "--raw"]);
        command.arg(format!("{reference}.drvPath"));
        let output = run(command, "nix eval").await?;
        let text = String::from_utf8_lossy(&output.stdout);
        narthex_closure::parse_store_path(text.trim())
            .ok_or_else(|| NixError::Unexpected { command: "nix eval".to_owned(), why: text.into_owned() })
    }
}

/// Whether a version such as `2.19.3pre1` is older than another one.
fn is_before(version: &str, (major, minor): (u32, u32)) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>());
    match (parts.next(), parts.next()) {
        (Some(Ok(its)), Some(Ok(its_minor))) => (its, its_minor) < (major, minor),
        _ => false,
    }
}

/// Whether a store by this name has its files somewhere else than where its paths say: below another root, or on
/// another machine.
fn lies_elsewhere(store: &str) -> bool {
    let (kind, parameters) = store.split_once('?').unwrap_or((store, ""));
    let here = matches!(kind, "" | "auto" | "daemon" | "local" | "local://") || kind.starts_with("unix://");
    let moved = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        matches!((name, value), ("root", value) if !matches!(value, "" | "/"))
            || matches!((name, value), ("real" | "store", value) if value != "/nix/store")
    };
    !here || parameters.split('&').any(moved)
}

/// Runs a command to its end; a failure becomes an error with what Nix said.
pub(crate) async fn run(mut command: Command, shown: &str) -> Result<Output, NixError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = child::output(&mut command).await.map_err(|source| not_run(program, source))?;
    if output.status.success() {
        Ok(output)
    } else {
        let message = error_message(&String::from_utf8_lossy(&output.stderr));
        Err(NixError::Failed { command: shown.to_owned(), message })
    }
}

pub(crate) fn not_run(program: String, source: std::io::Error) -> NixError {
    if source.kind() == std::io::ErrorKind::NotFound {
        NixError::NotInstalled { program }
    } else {
        NixError::NotRun { program, source }
    }
}

/// What stands behind each `error:` that begins a line.
fn error_lines(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("error:").filter_map(|(at, word)| {
        let before = text[..at].rsplit('\n').next().unwrap_or_default();
        before.trim().is_empty().then(|| &text[at + word.len()..])
    })
}

/// The last error in what Nix wrote: newer versions put the trace before the error itself.
pub(crate) fn error_message(stderr: &str) -> String {
    let plain = ansi::strip(stderr);
    let last = error_lines(&plain).last().unwrap_or(plain.as_str());
    let mut lines: Vec<&str> = last.lines().map(str::trim_end).collect();
    // What follows is a hint about the command line, not about the expression.
    let is_hint = |line: &str| line.trim_start().starts_with("(use '--show-trace'");
    if let Some(end) = lines.iter().position(|line| is_hint(line)) {
        lines.truncate(end);
    }
    let indent = lines.iter().skip(1).filter(|l| !l.is_empty()).map(|l| l.len() - l.trim_start().len()).min();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let line = if index == 0 { line.trim_start() } else { line.get(indent.unwrap_or(0)..).unwrap_or("") };
        if !line.is_empty() || !text.is_empty() {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{error_message, is_before, lies_elsewhere};

    #[test]
    fn versions_are_compared_by_number() {
        let check = |version: &str, expected: bool| assert_eq!(is_before(version, (2, 20)), expected, "{version}");
        for old in ["2.8.0", "2.19.3", "1.99"] {
            check(old, true);
        }
        for new in ["2.20.0", "2.26.3", "2.100", "3.0", "", "unknown", "2", "2.x"] {
            check(new, false);
        }
    }

    #[test]
    fn stores_whose_files_lie_elsewhere() {
        for store in
            ["auto", "daemon", "local", "", "unix:///nix/var/nix/daemon-socket/socket", "local?log=/x", "local?root=/"]
        {
            assert!(!lies_elsewhere(store), "{store}");
        }
        for store in [
            "/mnt",
            "local?root=/mnt",
            "auto?root=/mnt",
            "local?state=/a&real=/mnt/nix/store",
            "unix:///socket?root=/mnt",
            "ssh://host",
            "https://cache.example.org",
            "dummy://",
        ] {
            assert!(lies_elsewhere(store), "{store}");
        }
    }

    #[test]
    fn the_error_itself_is_kept_and_the_trace_is_not() {
        let old = "error: undefined variable 'x'\n\n       at /e.nix:1:3:\n\n            1| { a = x; }\n             |       ^\n(use '--show-trace' to show detailed location information)\n";
        assert_eq!(
            error_message(old),
            "undefined variable 'x'\n\nat /e.nix:1:3:\n\n     1| { a = x; }\n      |       ^"
        );
        let new = "error:\n       … while evaluating the attribute 'a'\n         at /e.nix:1:3:\n\n       error: no such thing\n";
        assert_eq!(error_message(new), "no such thing");
        assert_eq!(error_message("plain"), "plain");
    }
}
