//! Runs Nix commands.

use crate::{ansi, child};
use std::process::{Output, Stdio};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
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
}

/// A Nix installation, and the options that every command gets.
#[derive(Clone, Debug)]
pub struct Nix {
    options: Vec<(String, String)>,
    version: String,
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
        let mut nix = Self { options, version: String::new(), settings: Arc::default() };
        let mut version = nix.command("nix-instantiate");
        version.arg("--version");
        let output = run(version, "nix-instantiate --version").await?;
        let text = String::from_utf8_lossy(&output.stdout);
        nix.version = text.split_whitespace().last().unwrap_or("unknown").to_owned();

        let found = nix.evaluate_text("builtins.storeDir").await?;
        if found != "/nix/store" {
            return Err(NixError::OtherStore { found });
        }
        Ok(nix)
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
        let mut new = self.new_command("config");
        new.args(["show", "--json"]);
        let output = match run(new, "nix config show").await {
            Ok(output) => output,
            // Before 2.20 the command has another name.
            Err(_) => {
                let mut old = self.new_command("show-config");
                old.arg("--json");
                run(old, "nix show-config").await?
            }
        };
        serde_json::from_slice(&output.stdout).map(Settings).map_err(|error| NixError::Unexpected {
            command: "nix config show".to_owned(),
            why: error.to_string(),
        })
    }

    /// The string that a Nix expression gives.
    pub(crate) async fn evaluate_text(&self, expression: &str) -> Result<String, NixError> {
        let mut command = self.command("nix-instantiate");
        command.args(["--eval", "--json", "-E", expression]);
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

    /// The log of a derivation's last build, if Nix kept it and it is no longer than so many bytes. Of a longer one no more
    /// than that is ever held.
    pub async fn log(&self, derivation: &narthex_closure::StorePath, longest: u64) -> Option<Vec<u8>> {
        let mut command = self.command("nix-store");
        command.args(["--read-log", &derivation.to_string()]);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().ok()?;
        let mut log = Vec::new();
        let mut output = child.stdout.take()?.take(longest + 1);
        output.read_to_end(&mut log).await.ok()?;
        if log.len() as u64 > longest {
            let _ = child.kill().await;
            return None;
        }
        drop(output);
        if !child.wait().await.ok()?.success() {
            return None;
        }
        let text = String::from_utf8(log).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Some(ansi::strip(&text).into_bytes())
    }
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

/// The last error in what Nix wrote: newer versions put the trace before the error itself.
pub(crate) fn error_message(stderr: &str) -> String {
    let plain = ansi::strip(stderr);
    let last = plain.rfind("error:").map_or(plain.as_str(), |at| &plain[at + "error:".len()..]);
    let mut lines: Vec<&str> = last.lines().map(str::trim_end).collect();
    // What follows is a hint about the command line, not about the expression.
    if let Some(end) = lines.iter().position(|line| line.starts_with("(use '--show-trace'")) {
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
    use super::error_message;

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
