//! The command line.

mod policy;

pub(crate) use policy::{AnswerArg, DecideArgs, PolicyCheckArgs, PolicyCommand, ReviewArgs};

use clap::{Args, Parser, Subcommand, ValueEnum};
use narthex_closure::{AttrPath, AttrPathError, Share};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Builds unfree software with Nix and publishes exactly what may be passed on.
#[derive(Debug, Parser)]
#[command(name = "narthex", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 an operation failed, 2 usage or configuration, 3 refused by policy,\n4 holes remain, 128 and more ended by a signal, 255 a bug."
)]
pub(crate) struct Cli {
    /// Folder of the catalog, the objects, the corpus and the keys; without it, `narthex` below
    /// $XDG_STATE_HOME or ~/.local/state.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// A setting for every Nix command, as `nix --option` takes it.
    #[arg(long = "option", global = true, num_args = 2, value_names = ["NAME", "VALUE"], action = clap::ArgAction::Append)]
    pub(crate) options: Vec<String>,

    /// Evaluate flakes with what the machine has: the environment, such as NIXPKGS_ALLOW_UNFREE, and any file.
    #[arg(long, global = true)]
    pub(crate) impure: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Reads an attribute path, and gives it in the spelling that it has everywhere.
fn attr(text: &str) -> Result<String, AttrPathError> {
    text.parse::<AttrPath>().map(|path| path.to_string())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Evaluate, build, audit, decide and publish.
    Run(SetArgs),
    /// Show what licenses alone decide, without building.
    Plan(PlanArgs),
    /// Show what the package set says of every derivation, without building or deciding.
    Eval(EvalArgs),
    /// Explain the decision about a path in full, and what would have to change.
    Why(WhyArgs),
    /// Write down for a closure or the whole cache what is passed on, what is not, and under which conditions.
    Report(ReportArgs),
    /// Show what the bytes of a path say, without deciding.
    Audit(AuditArgs),
    /// Show and change what restricted material is known by.
    #[command(subcommand)]
    Corpus(CorpusCommand),
    /// Look at policies, and at what nobody has decided.
    #[command(subcommand)]
    Policy(PolicyCommand),
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
    /// A Nix file, a folder with a default.nix, or a flake: `.#packages.x86_64-linux`, `github:OWNER/NAME`.
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,

    /// Only this attribute; may be given several times.
    #[arg(short = 'A', long = "attr", value_name = "ATTR", value_parser = attr)]
    pub(crate) attrs: Vec<String>,
}

/// A package set that only licenses are asked of: an expression, or lines that were written before.
#[derive(Debug, Args)]
pub(crate) struct SetOrLines {
    /// A Nix file, a folder with a default.nix, or a flake: `.#packages.x86_64-linux`, `github:OWNER/NAME`.
    #[arg(value_name = "EXPR", required_unless_present = "from")]
    pub(crate) expression: Option<String>,

    /// Only this attribute; may be given several times.
    #[arg(short = 'A', long = "attr", value_name = "ATTR", value_parser = attr, conflicts_with = "from")]
    pub(crate) attrs: Vec<String>,

    /// Instead of evaluating, read lines that nix-eval-jobs wrote, compressed with zstd or not; - is the standard
    /// input. May be given several times, for instance for jobs and for what they are made of.
    #[arg(long, value_name = "FILE", conflicts_with = "expression")]
    pub(crate) from: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// What `plan` takes.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) set: SetOrLines,

    /// Show only this store path, attribute or .drv file and what it is made of; may be given several times.
    #[arg(long = "target", value_name = "PATH|ATTR|DRV")]
    pub(crate) targets: Vec<String>,

    /// List every derivation, however many there are.
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) costs: CostArgs,

    /// The policy: a file, or the name of a shipped one; without it, `default`.
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<PathBuf>,

    /// Show only what the policy changes, and through which reasons: what another policy publishes or withholds is
    /// left out where this one does the same for the same reason.
    #[arg(long, conflicts_with = "costs")]
    pub(crate) diff: bool,

    /// The policy that --diff compares with: a file, or the name of a shipped one; without it, `default`.
    #[arg(long, value_name = "POLICY", requires = "diff")]
    pub(crate) against: Option<PathBuf>,

    /// Keep in the state what the set says of each derivation: for `why` and `policy review`, and for paths that
    /// arrive later without their set.
    #[arg(long)]
    pub(crate) keep: bool,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// What `plan` takes about costs.
#[derive(Debug, Args)]
pub(crate) struct CostArgs {
    /// Show what the set costs as well, as far as sizes and times are known from earlier runs and the local store;
    /// with --format json, instead of the derivations.
    #[arg(long)]
    pub(crate) costs: bool,

    /// For --costs: users of the cache.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "costs")]
    pub(crate) users: u32,

    /// For --costs: days after which each of them updates.
    #[arg(long, value_name = "DAYS", default_value_t = 7, requires = "costs", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) update_every: u32,

    /// For --costs: the share of the set, or of the targets, that each of them uses, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "1", requires = "costs")]
    pub(crate) closure_share: Share,

    /// For --costs: the share of it that changes between two updates, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "1", requires = "costs")]
    pub(crate) change_share: Share,
}

/// What `run` takes.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Evaluate nothing but the named attributes and what they reach, instead of the whole expression. What the rest would say
    /// is not known then, so nothing is published that was not published before.
    #[arg(long, requires = "attrs")]
    pub(crate) only: bool,

    /// The policy: a file, or the name of a shipped one; without it, `default`, unless the cache is published with another one.
    /// Then it has to be named.
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// What evaluating may take.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Processes that evaluate at once; without it, one, and one more for each 8,000 attributes that wait, up to one for each
    /// core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,

    /// Memory for each of them; what needs more by itself fails.
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(64..16_777_216))]
    pub(crate) max_memory: u64,

    /// Computing time for each attribute; what takes longer fails. Waiting for a build does not count.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,

    /// Search every set for jobs, also those that do not say `recurseForDerivations = true`.
    #[arg(long)]
    pub(crate) recursive: bool,
}

impl LimitArgs {
    pub(crate) fn options(&self) -> narthex_nix::EvalOptions {
        let usual = narthex_nix::EvalOptions::default();
        narthex_nix::EvalOptions {
            workers: self.workers.map_or(usual.workers, usize::from),
            // Whoever names a number wants as many, also where they do some things twice.
            spread: if self.workers.is_some() { 0 } else { usual.spread },
            max_memory: self.max_memory,
            timeout: std::time::Duration::from_secs(self.timeout),
            evaluator: usual.evaluator,
            recursive: self.recursive,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Evaluator {
    /// The machine's Nix.
    Nix,
    /// nix-eval-jobs, which has to be on the PATH; it knows no --timeout.
    NixEvalJobs,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// A Nix file, a folder with a default.nix, or a flake: `.#packages.x86_64-linux`, `github:OWNER/NAME`.
    #[arg(value_name = "EXPR", required_unless_present = "print_apply")]
    pub(crate) expression: Option<String>,

    /// Only this attribute; may be given several times.
    #[arg(short = 'A', long = "attr", value_name = "ATTR", value_parser = attr)]
    pub(crate) attrs: Vec<String>,

    /// Instead of evaluating, print the function that nix-eval-jobs takes with --apply, so that `narthex plan --from`
    /// learns from its lines what every derivation is made from and under which license it is.
    #[arg(long, exclusive = true)]
    pub(crate) print_apply: bool,

    /// Who evaluates.
    #[arg(long = "with", value_enum, value_name = "PROGRAM", default_value_t = Evaluator::Nix)]
    pub(crate) evaluator: Evaluator,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// What `why` takes.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A store path, a .drv file, or an attribute as `run` or `plan --keep` last saw it; `FLAKE#ATTR`, or a Nix
    /// file together with -A, are evaluated.
    #[arg(value_name = "PATH|ATTR|DRV", required = true)]
    pub(crate) names: Vec<String>,

    /// Attributes of the Nix file.
    #[arg(short = 'A', long = "attr", value_name = "ATTR", value_parser = attr)]
    pub(crate) attrs: Vec<String>,

    /// The policy for what was not built yet: a file, or the name of a shipped one; without it, `default`.
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<PathBuf>,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// A page for people.
    Html,
    /// SPDX 2.3 in JSON.
    Spdx,
    /// CycloneDX 1.6 in JSON.
    Cyclonedx,
    /// License texts, and the conditions that travel with what is published.
    Notice,
}

/// What `report` takes.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A store path, a .drv file, or an attribute as `run` last saw it; `FLAKE#ATTR`, or a Nix file together with -A;
    /// each with all that it refers to. Without one, the whole cache.
    #[arg(value_name = "PATH|ATTR|DRV")]
    pub(crate) names: Vec<String>,

    /// Attributes of the Nix file.
    #[arg(short = 'A', long = "attr", value_name = "ATTR", value_parser = attr, requires = "names")]
    pub(crate) attrs: Vec<String>,

    /// Which document; without it, all of them, in a folder.
    #[arg(long, value_enum, required_unless_present = "output")]
    pub(crate) format: Option<ReportFormat>,

    /// The file to write, in place of the standard output; without --format, a new folder for all documents.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) output: Option<PathBuf>,

    /// The policy that decided, where its terms are not those that ship: a file.
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<PathBuf>,
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
    #[arg(value_name = "PATH", required_unless_present_any = ["recheck", "explain"])]
    pub(crate) names: Vec<String>,

    /// Attributes of the Nix file.
    #[arg(short = 'A', long = "attr", value_name = "ATTR", value_parser = attr)]
    pub(crate) attrs: Vec<String>,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = AuditFormat::Table)]
    pub(crate) format: AuditFormat,

    /// Show all the evidence for one file below PATH; members of archives stand behind a `!`, as in
    /// x.whl!lib/y.so. Without FILE, for the only file there is.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub(crate) explain: Option<Option<String>>,

    /// Show each entry by itself, also where many say the same of one archive.
    #[arg(long)]
    pub(crate) all: bool,

    /// Audit again what was published with an older corpus or by an exception or a grant, and take back what may no longer be
    /// published; exit code 3 says that something was taken back.
    #[arg(long, conflicts_with_all = ["names", "attrs", "explain", "all", "without_shipped"])]
    pub(crate) recheck: bool,

    /// The policy that decides for --recheck: a file, or the name of a shipped one; without it, `default`, unless the cache is
    /// published with another one. Then it has to be named.
    #[arg(long, value_name = "POLICY", requires = "recheck")]
    pub(crate) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) shipped: ShippedArg,
}

/// What is to be named.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// A store path, a .drv file, `FLAKE#ATTR`, or a Nix file together with -A.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) names: Vec<String>,

    /// Attributes of the Nix file.
    #[arg(short = 'A', long = "attr", value_name = "ATTR", value_parser = attr)]
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

#[derive(Debug, Subcommand)]
pub(crate) enum CorpusCommand {
    /// Learn from a file, a folder, a package or an archive, and everything inside it.
    Add(CorpusAddArgs),
    /// Show what is known, material by material.
    List {
        /// How to print the result.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,

        #[command(flatten)]
        shipped: ShippedArg,
    },
    /// Forget material that was learned here.
    Remove {
        /// Name, or name and version with a dash between them.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Write what was learned here into one file; compressed where its name ends in .zst.
    Export {
        /// The file to write.
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// Only this material: name, or name and version with a dash between them; may be given several times.
        #[arg(long = "material", value_name = "NAME", conflicts_with = "free")]
        materials: Vec<String>,

        /// Only what free software has as well.
        #[arg(long)]
        free: bool,
    },
    /// Make a file of hashes of published releases from lines of text: for whoever makes the shipped corpus.
    #[command(hide = true)]
    PackRecords {
        /// The lines.
        #[arg(value_name = "LINES")]
        lines: PathBuf,

        /// The file to write.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Add what a corpus file holds to what was learned here.
    Import {
        /// The file, compressed or not.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct CorpusAddArgs {
    /// What to learn from.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// The material's name, for instance cuda_cudart.
    #[arg(long)]
    pub(crate) name: String,

    /// Its version.
    #[arg(long)]
    pub(crate) version: String,

    /// A license that it is under, by its attribute in nixpkgs (nvidiaCuda, issl, unfree); may be given several
    /// times.
    #[arg(long = "license", value_name = "LICENSE", required_unless_present = "free")]
    pub(crate) licenses: Vec<String>,

    /// It is free software: what the corpus shares with it accuses nobody. Add it after the material that it
    /// shares code with.
    #[arg(long)]
    pub(crate) free: bool,

    /// Members of its archives that are free software, for instance 'libcrypto-lib-*'; may be given several
    /// times.
    #[arg(long = "free-members", value_name = "PATTERN", conflicts_with = "free")]
    pub(crate) free_members: Vec<String>,

    /// What its libraries export and say is what free implementations of the same interface export and say, for
    /// instance of BLAS or OpenMP: nobody is suspected for that.
    #[arg(long, conflicts_with = "free")]
    pub(crate) open_interface: bool,

    #[command(flatten)]
    pub(crate) shipped: ShippedArg,
}

#[derive(Debug, Args)]
pub(crate) struct ShippedArg {
    /// Leave out the fingerprints that ship with the program.
    #[arg(long)]
    pub(crate) without_shipped: bool,
}

impl ShippedArg {
    pub(crate) fn choice(&self) -> narthex_farm::Shipped {
        if self.without_shipped { narthex_farm::Shipped::Without } else { narthex_farm::Shipped::With }
    }
}
