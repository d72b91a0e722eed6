//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Builds unfree software with Nix and publishes exactly what may be passed on.
#[derive(Debug, Parser)]
#[command(name = "narthex", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 an operation failed, 2 usage or configuration, 3 refused by policy,\n4 holes remain, 255 a bug."
)]
pub(crate) struct Cli {
    /// Folder of the catalog, the objects, the corpus and the keys; without it, `narthex` below
    /// $XDG_STATE_HOME or ~/.local/state.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// A setting for every Nix command, as `nix --option` takes it.
    #[arg(long = "option", global = true, num_args = 2, value_names = ["NAME", "VALUE"], action = clap::ArgAction::Append)]
    pub(crate) options: Vec<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Evaluate, build, audit, decide and publish.
    Run(SetArgs),
    /// Show what licenses alone decide, without building.
    Plan(SetArgs),
    /// Explain the decision about a path in full.
    Why(NamedArgs),
    /// Show what the bytes of a path say, without deciding.
    Audit(AuditArgs),
    /// Serve the cache over HTTP.
    Serve(ServeArgs),
    /// Get a closure from a cache: build its holes, fetch the rest.
    #[command(alias = "realize")]
    Realise(RealiseArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// A Nix file, or a folder with a default.nix.
    #[arg(value_name = "EXPR")]
    pub(crate) expression: PathBuf,

    /// Only this attribute; may be given several times.
    #[arg(short = 'A', long = "attr", value_name = "ATTR")]
    pub(crate) attrs: Vec<String>,
}

/// What `run` and `plan` take.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// The policy; without it, the shipped default.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// What `why` takes.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    #[command(flatten)]
    pub(crate) named: Named,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    /// For people.
    Table,
    /// One JSON object a finding, each on a line.
    Json,
    /// One SARIF 2.1.0 document, for tools that gather findings.
    Sarif,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// A file, a folder or an archive; or a store path, a .drv file, `FLAKE#ATTR`, or a Nix file with -A.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) names: Vec<String>,

    /// Attributes of the Nix file.
    #[arg(short = 'A', long = "attr", value_name = "ATTR")]
    pub(crate) attrs: Vec<String>,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = AuditFormat::Table)]
    pub(crate) format: AuditFormat,

    /// Show all the evidence for one file below PATH; members of archives stand behind a `!`, as in
    /// x.whl!lib/y.so.
    #[arg(long, value_name = "FILE")]
    pub(crate) explain: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// A store path, a .drv file, `FLAKE#ATTR`, or a Nix file together with -A.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) names: Vec<String>,

    /// Attributes of the Nix file.
    #[arg(short = 'A', long = "attr", value_name = "ATTR")]
    pub(crate) attrs: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8180")]
    pub(crate) listen: SocketAddr,

    /// The address that clients use, where it is another one than --listen.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RealiseArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// The cache: http, https or file.
    #[arg(long, value_name = "URL")]
    pub(crate) cache: String,

    /// A key to trust beside those of nix.conf; may be given several times.
    #[arg(long = "public-key", value_name = "NAME:KEY")]
    pub(crate) public_keys: Vec<String>,

    /// Only print what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
