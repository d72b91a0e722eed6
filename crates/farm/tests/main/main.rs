//! Tests with data of a real package set.

#![expect(clippy::unwrap_used, reason = "in a test, what is not there is the failure")]

mod nixpkgs;
mod policies;
