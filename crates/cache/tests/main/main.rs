//! The cache from outside: what a reader of the folder sees, whatever happened to the writer.

#![expect(clippy::unwrap_used, reason = "in a test, what is not there is the failure")]

mod facts;
mod publish;
