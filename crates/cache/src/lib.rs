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
//!
//! Publishing takes a permit:
//!
//! ```
//! # use narthex_cache::{Cache, PathMeta, PublishError};
//! # use narthex_policy::Permit;
//! async fn publish(cache: &Cache, permit: &Permit, meta: &PathMeta) -> Result<(), PublishError> {
//!     cache.publish(permit, meta, || Ok(std::io::empty())).await?;
//!     Ok(())
//! }
//! ```
//!
//! and does not compile without one, even for somebody who knows path and hash. The two programs differ
//! in nothing else:
//!
//! ```compile_fail
//! # use narthex_cache::{Cache, PathMeta, PublishError};
//! # use narthex_policy::Decision;
//! async fn publish(cache: &Cache, decision: &Decision, meta: &PathMeta) -> Result<(), PublishError> {
//!     cache.publish(decision, meta, || Ok(std::io::empty())).await?;
//!     Ok(())
//! }
//! ```
//!
//! Nor can an object be written into the folder behind its back:
//!
//! ```compile_fail
//! # use narthex_cache::{Folder, FolderError, ObjectName};
//! fn smuggle(folder: &Folder, name: &ObjectName) -> Result<(), FolderError> {
//!     folder.put(name, b"bytes")
//! }
//! ```
//!
//! ```
//! # use narthex_cache::{Folder, FolderError, ObjectName};
//! fn look(folder: &Folder, name: &ObjectName) -> Result<Option<Vec<u8>>, FolderError> {
//!     folder.get(name)
//! }
//! ```

mod cache;
mod catalog;
mod facts;
mod folder;
mod history;
mod key;
pub mod mode;
mod name;
mod nar;
mod published_with;
mod shelf;
mod state;
mod survey;
mod unpack;
mod withheld;

pub use cache::{Cache, PathMeta, PublishError, Published};
pub use catalog::{Catalog, CatalogError, Record};
pub use facts::KnownDerivation;
pub use folder::{Folder, FolderError};
pub use history::{Build, KnownOutput};
pub use key::{KeyError, SecretKey};
pub use name::ObjectName;
pub use nar::NarError;
pub use published_with::{PolicyId, PublishedWith};
pub use shelf::{ListedFile, Shelf, ShelfError, ShelvedNar};
pub use state::{Lock, State, StateError};
pub use survey::AuditedWith;
pub use unpack::UnpackError;
pub use withheld::WithheldEntry;
