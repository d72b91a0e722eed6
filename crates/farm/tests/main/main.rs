//! Tests with data of a real package set, and with states that are made for them.

#![expect(clippy::unwrap_used, reason = "in a test, what is not there is the failure")]

mod left_over;
mod nixpkgs;
mod policies;
mod report;
