//! The binary cache: objects in the places where Nix looks for them, and a catalog of decisions.
//!
//! The folder of objects is by itself a valid Nix binary cache; any web server can serve it. Three
//! invariants hold at every moment, also when the program is killed:
//!
//! - a narinfo that can be read names a NAR that is whole: NAR first, narinfo last, and the other
//!   way round when something is taken back;
//! - nothing is published without a [`Permit`](narthex_policy::Permit) for exactly those bytes;
//! - no database transaction spans an upload.
//!
//! It does not decide, does not evaluate and does not speak HTTP.

mod cache;
mod catalog;
mod folder;
mod key;
mod name;
mod nar;
mod state;
mod withheld;

pub use cache::{Cache, PathMeta, PublishError, Published};
pub use catalog::{Catalog, CatalogError, Record};
pub use folder::{Folder, FolderError};
pub use key::{KeyError, SecretKey};
pub use name::ObjectName;
pub use nar::NarError;
pub use state::{Lock, State, StateError};
pub use withheld::WithheldEntry;
