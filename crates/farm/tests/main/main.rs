//! Tests with data of a real package set.

mod nixpkgs;
