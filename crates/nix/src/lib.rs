//! Drives a real Nix: evaluate, instantiate, realise, query, and read the store.
//!
//! Only interfaces that users see: the commands, `.drv` files and the files of the store. It knows
//! nothing of policies and caches, and prints nothing; progress goes out as events.

mod ansi;
mod build;
mod cause;
mod child;
mod chunk;
mod command;
mod dump;
mod evaluate;
mod expression;
mod graph;
mod info;
mod log;
mod machine;
mod map;
mod open_files;
mod rounds;
mod scratch;
mod scripts;
mod tree;
mod trust;

pub use build::{BuildOutcome, BuildTime, Target};
pub use cause::Cause;
pub use child::end_processes;
pub use command::{Nix, NixError, Settings};
pub use dump::Dump;
pub use evaluate::{DerivationFacts, EvalError, EvalOptions, Evaluation, Evaluator, Job, apply_function};
pub use expression::Expression;
pub use graph::{GraphError, read_graph, read_inputs, read_present};
pub use info::PathInfo;
pub use map::Mapped;
pub use open_files::raise_open_files;
pub use scratch::Scratch;
pub use scripts::is_script;
pub use tree::{Bytes, Tree, TreeFile, open_file};
