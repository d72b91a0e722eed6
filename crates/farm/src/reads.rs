//! What builds could read, asked of what is in the store and in the catalog: for whoever has no package set at hand.
//!
//! A build was given what its derivation names, with all that this refers to. So it could read what is withheld if something
//! that it was given is withheld, or refers to such a path. Where a derivation is no longer in the store, nobody can tell, and
//! it could.

use narthex_cache::{Catalog, CatalogError, Record};
use narthex_closure::{StorePath, parse_store_path};
use narthex_nix::read_inputs;
use std::collections::BTreeSet;

/// Everything that is withheld, and what refers to it.
pub(crate) struct Secret(BTreeSet<StorePath>);

impl Secret {
    /// Asks the catalog.
    pub(crate) async fn of(catalog: &Catalog) -> Result<Self, CatalogError> {
        let mut withheld = Vec::new();
        catalog
            .known_outputs(|output| withheld.extend(parse_store_path(output.path).filter(|_| output.withheld)))
            .await?;
        Ok(Self(catalog.referrers(&withheld).await?))
    }

    /// Whether the build of a path could read any of it. What came into the store without a build was given nothing.
    pub(crate) fn could_be_read_by(&self, record: &Record) -> bool {
        let Some(deriver) = &record.deriver else { return false };
        match read_inputs(deriver) {
            Ok(Some(inputs)) => inputs.iter().any(|input| self.0.contains(input)),
            Ok(None) | Err(_) => !self.0.is_empty(),
        }
    }
}
