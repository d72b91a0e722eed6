//! The program from outside, with a real Nix.
//!
//! `cargo xtask test` makes what these tests need. Once a test is selected, a missing prerequisite
//! fails it.

#![expect(clippy::unwrap_used, reason = "in a test, what is not there is the failure")]

mod archives;
mod attack;
mod bad_input;
mod carried;
mod corpus;
mod costs;
mod edge;
mod escapes;
mod eval;
mod example;
mod failing;
mod failures;
mod from;
mod gate;
mod help;
mod http;
mod kill;
mod known;
mod nix;
mod policies;
mod report;
mod world;
