//! Tests of passages.
