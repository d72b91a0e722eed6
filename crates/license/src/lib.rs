//! What a package set says about the license of a derivation, and what that comes to.
//!
//! A license value is read without ever failing: what cannot be understood becomes part of the
//! value, and its class is [`Class::Unknown`]. Pure; it knows neither files nor policies, and it
//! does not decide anything.

mod expr;
mod facts;
mod reference;
pub mod spdx;
mod table;
pub mod text;

pub use expr::{Class, Expr, License, Reading};
pub use facts::{Correction, LicenseFacts};
pub use table::{attributes, is_attribute};
