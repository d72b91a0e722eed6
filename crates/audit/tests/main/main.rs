//! The audit from outside: what its parsers do with bytes that once troubled one of them.

mod seeds;
