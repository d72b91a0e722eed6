//! The one stream of events that use cases emit and that terminals, logs and tests consume.
//!
//! An event says what happened, in words of the domain. How it looks is the consumer's business, and
//! nothing here knows of terminals. It is a crate of its own because both `farm` and `client` emit it
//! and neither may depend on the other.

use narthex_closure::StorePath;
use std::time::Duration;

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Evaluation of an expression began.
    Evaluating {
        /// The expression.
        expression: String,
    },
    /// How far an evaluation is.
    EvaluationProgress {
        /// Attributes done, those that failed included.
        done: usize,
        /// Attributes known so far; sets that are searched add to them.
        known: usize,
        /// Attributes that failed.
        errors: usize,
        /// How long the rest may take, once that can be guessed.
        left: Option<Duration>,
    },
    /// Evaluation ended.
    Evaluated {
        /// Jobs found.
        jobs: usize,
        /// Derivations in their graph.
        derivations: usize,
        /// Attributes that failed.
        errors: usize,
    },
    /// What a build command still has before it, as Nix counts it.
    BuildProgress {
        /// Derivations built.
        done: u64,
        /// Derivations to build in all.
        expected: u64,
        /// Derivations being built.
        running: u64,
        /// Derivations that failed.
        failed: u64,
    },
    /// A build began.
    BuildStarted {
        /// The derivation.
        derivation: StorePath,
    },
    /// A build wrote a line.
    BuildLine {
        /// The derivation.
        derivation: StorePath,
        /// The line, without control sequences.
        line: String,
    },
    /// A build ended.
    BuildStopped {
        /// The derivation.
        derivation: StorePath,
        /// Whether Nix said that it failed.
        failed: bool,
        /// How long it took.
        took: Duration,
    },
    /// A path is being fetched from a cache.
    Fetching {
        /// The path.
        path: StorePath,
    },
    /// Material went into the corpus.
    Learned {
        /// The package.
        package: String,
        /// Whole files that were new.
        files: usize,
        /// Functions that were new.
        functions: usize,
    },
    /// An output was audited.
    Audited {
        /// The path.
        path: StorePath,
        /// How many findings there are.
        findings: usize,
    },
    /// A path was uploaded.
    Published {
        /// The path.
        path: StorePath,
        /// Size of the compressed file in bytes.
        file_size: u64,
    },
    /// A path that had been published was taken back.
    Withdrawn {
        /// The path.
        path: StorePath,
    },
    /// Another policy decides than the one that the cache was published with, or its text is another one. It comes before
    /// anything is published or taken back.
    OtherPolicy {
        /// The name of the policy before.
        before: String,
        /// The name of the policy now.
        now: String,
        /// Paths that are withheld now, and were published.
        withheld: usize,
        /// Paths that are published now, and were withheld.
        published: usize,
        /// Published paths that are not decided about now, and stay as they are.
        elsewhere: usize,
    },
    /// One of these paths.
    OtherVerdict {
        /// The path.
        path: StorePath,
        /// Whether it is withheld now.
        withheld: bool,
        /// The reason that decides now.
        reason: String,
    },
    /// Something that a person should know and that stops nothing.
    Warning {
        /// What.
        message: String,
    },
}

/// Whoever consumes events.
pub type Sink<'a> = &'a (dyn Fn(Event) + Send + Sync);
