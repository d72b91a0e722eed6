//! Lines, good and bad.
