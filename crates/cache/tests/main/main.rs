//! The cache from outside: what a reader of the folder sees, whatever happened to the writer.

mod permit;
mod publish;
