//! What `policy` takes.

use super::{Format, SetOrLines};
use clap::{Args, Subcommand, ValueEnum};
use narthex_policy::Date;
use std::path::PathBuf;

/// The parts of `policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show every mistake in a policy and in the terms that it names.
    Check(PolicyCheckArgs),
    /// List packages that are not plainly free and that nobody has decided about, newest first; exit code 3 says that
    /// there are any.
    Review(ReviewArgs),
    /// Write into a policy what becomes of packages.
    Decide(DecideArgs),
    /// Print a policy with everything that it extends.
    Show {
        /// The policy: a file, or the name of a shipped one, which is a beginning for one of your own.
        #[arg(value_name = "POLICY")]
        policy: PathBuf,
    },
    /// Print the JSON schema of policy files.
    Schema,
}

/// What `policy check` takes.
#[derive(Debug, Args)]
pub(crate) struct PolicyCheckArgs {
    /// The policy's file.
    #[arg(value_name = "FILE")]
    pub(crate) policy: PathBuf,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// What `policy review` takes.
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    #[command(flatten)]
    pub(crate) set: SetOrLines,

    /// The policy: a file, or the name of a shipped one; without it, `default`.
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<PathBuf>,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// Where a package belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerArg {
    /// Somebody made sure that it may be passed on. What its license forbids needs --agreement as well.
    Confirmed,
    /// Something else takes its place, and it is withheld.
    Replaced,
    /// Users fetch it from the vendor, and it is withheld.
    FromVendor,
}

/// What `policy decide` takes.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The package's name as `policy review` shows it, with a version where only that one is meant, or a pattern; may
    /// be given several times.
    #[arg(value_name = "PACKAGE", required_unless_present = "licenses")]
    pub(crate) packages: Vec<String>,

    /// In the place of packages: a license value, as the package set has it, or a pattern; may be given several times.
    #[arg(long = "license", value_name = "TEXT", conflicts_with = "packages")]
    pub(crate) licenses: Vec<String>,

    /// What a text means that names no license that is known: an SPDX expression, or the attribute of a license in nixpkgs.
    /// Then an entry in `licenses` is written.
    #[arg(long, value_name = "LICENSE", requires = "licenses", conflicts_with = "answer")]
    pub(crate) means: Option<String>,

    /// What becomes of it.
    #[arg(long, value_enum, required_unless_present = "means")]
    pub(crate) answer: Option<AnswerArg>,

    /// What takes its place.
    #[arg(long, value_name = "NAME", required_if_eq("answer", "replaced"))]
    pub(crate) replacement: Option<String>,

    /// The agreement with whoever holds the rights: then a grant is written, which lifts what their license forbids.
    #[arg(long, value_name = "TEXT")]
    pub(crate) agreement: Option<String>,

    /// Packages of unknown license were looked at: then an exception from `license-unknown` is written, and they are
    /// published as far as nothing else withholds them.
    #[arg(long)]
    pub(crate) license_unknown: bool,

    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,

    /// Who answers for it.
    #[arg(long, value_name = "WHO")]
    pub(crate) responsible: String,

    /// The last day on which it holds, such as 2027-01-31.
    #[arg(long, value_name = "DATE", required_unless_present = "means")]
    pub(crate) until: Option<Date>,

    /// Show what the entry changes in a set: lines that `narthex eval` or nix-eval-jobs wrote, as `plan --from` takes
    /// them.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Vec<PathBuf>,

    /// Write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The policy's file.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
}
