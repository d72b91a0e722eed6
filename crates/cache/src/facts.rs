//! What the catalog keeps of derivations, whether or not anything of them was ever built: so that a path that arrives
//! later, by whatever way, is recognized.
//!
//! What is known of a derivation is a text here. The use case that wrote it knows what it means.

use crate::catalog::{Catalog, CatalogError};
use narthex_closure::{StorePath, parse_store_path};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDerivation {
    /// The derivation.
    pub derivation: StorePath,
    /// Its name.
    pub name: String,
    /// The attributes of the jobs that it is, in their order.
    pub attrs: Vec<String>,
    /// Its outputs by name.
    pub outputs: BTreeMap<String, StorePath>,
    /// What is known, as JSON.
    pub facts: String,
}

impl Catalog {
    /// Keeps what is known of derivations. Of one that the catalog knows already, `merge` makes one text of the
    /// earlier and the later one. All is written, or nothing. `now`, in seconds since 1970, is when those were
    /// first seen that the catalog does not know.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn put_facts(
        &self,
        known: &[KnownDerivation],
        merge: impl Fn(&str, &str) -> String,
        now: u64,
    ) -> Result<(), CatalogError> {
        let mut transaction = self.pool.begin().await?;
        for one in known {
            let derivation = one.derivation.to_basename();
            let earlier = sqlx::query("SELECT facts FROM facts WHERE derivation = ?")
                .bind(&derivation)
                .fetch_optional(&mut *transaction)
                .await?;
            match earlier {
                Some(row) => {
                    let earlier: String = row.try_get(0)?;
                    if earlier != one.facts {
                        sqlx::query("UPDATE facts SET facts = ? WHERE derivation = ?")
                            .bind(merge(&earlier, &one.facts))
                            .bind(&derivation)
                            .execute(&mut *transaction)
                            .await?;
                    }
                }
                None => {
                    sqlx::query("INSERT INTO facts (derivation, name, facts, first_seen) VALUES (?, ?, ?, ?)")
                        .bind(&derivation)
                        .bind(&one.name)
                        .bind(&one.facts)
                        .bind(now as i64)
                        .execute(&mut *transaction)
                        .await?;
                    for (output, path) in &one.outputs {
                        sqlx::query("INSERT OR REPLACE INTO fact_outputs (path, output, derivation) VALUES (?, ?, ?)")
                            .bind(path.to_basename())
                            .bind(output)
                            .bind(&derivation)
                            .execute(&mut *transaction)
                            .await?;
                    }
                }
            }
            for attr in &one.attrs {
                sqlx::query("INSERT OR REPLACE INTO fact_attrs (attr, derivation) VALUES (?, ?)")
                    .bind(attr)
                    .bind(&derivation)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// What is known of a derivation, or of the derivations that make a path.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn known(&self, path: &StorePath) -> Result<Vec<KnownDerivation>, CatalogError> {
        if !self.keeps_facts().await? {
            return Ok(Vec::new());
        }
        let base = path.to_basename();
        let sql = "SELECT derivation, name, facts FROM facts WHERE derivation = ? OR derivation IN \
                   (SELECT derivation FROM fact_outputs WHERE path = ?) ORDER BY derivation";
        let rows = sqlx::query(sql).bind(&base).bind(&base).fetch_all(&self.pool).await?;
        self.with_outputs(&rows).await
    }

    /// What is known of the derivation that the job with this attribute was, when it was last evaluated.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn known_by_attr(&self, attr: &str) -> Result<Option<KnownDerivation>, CatalogError> {
        if !self.keeps_facts().await? {
            return Ok(None);
        }
        let sql = "SELECT derivation, name, facts FROM facts WHERE derivation = \
                   (SELECT derivation FROM fact_attrs WHERE attr = ?)";
        let rows = sqlx::query(sql).bind(attr).fetch_all(&self.pool).await?;
        Ok(self.with_outputs(&rows).await?.pop())
    }

    /// When each derivation was first seen, in seconds since 1970.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn first_seen(&self) -> Result<BTreeMap<StorePath, u64>, CatalogError> {
        if !self.keeps_facts().await? {
            return Ok(BTreeMap::new());
        }
        let rows = sqlx::query("SELECT derivation, first_seen FROM facts").fetch_all(&self.pool).await?;
        let seen = |row: &SqliteRow| Ok((path(row.try_get(0)?)?, row.try_get::<i64, _>(1)? as u64));
        rows.iter().map(seen).collect()
    }

    /// Those of these derivations of which an output was withheld.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn withheld_among(
        &self,
        derivations: impl IntoIterator<Item = &StorePath>,
    ) -> Result<BTreeSet<StorePath>, CatalogError> {
        let mut withheld = BTreeSet::new();
        for derivation in derivations {
            let sql = "SELECT 1 FROM decisions WHERE deriver = ? AND verdict = 'withhold' LIMIT 1";
            let row = sqlx::query(sql).bind(derivation.to_basename()).fetch_optional(&self.pool).await?;
            withheld.extend(row.map(|_| derivation.clone()));
        }
        Ok(withheld)
    }

    /// A catalog of before there were facts, opened for reading only, has none.
    async fn keeps_facts(&self) -> Result<bool, CatalogError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'facts'";
        Ok(sqlx::query(sql).fetch_optional(&self.pool).await?.is_some())
    }

    async fn with_outputs(&self, rows: &[SqliteRow]) -> Result<Vec<KnownDerivation>, CatalogError> {
        let mut known = Vec::with_capacity(rows.len());
        for row in rows {
            let derivation: String = row.try_get(0)?;
            let sql = "SELECT output, path FROM fact_outputs WHERE derivation = ?";
            let outputs = sqlx::query(sql).bind(&derivation).fetch_all(&self.pool).await?;
            let output = |row: &SqliteRow| Ok((row.try_get(0)?, path(row.try_get(1)?)?));
            let sql = "SELECT attr FROM fact_attrs WHERE derivation = ? ORDER BY attr";
            let attrs = sqlx::query(sql).bind(&derivation).fetch_all(&self.pool).await?;
            known.push(KnownDerivation {
                derivation: path(derivation)?,
                name: row.try_get(1)?,
                attrs: attrs.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
                facts: row.try_get(2)?,
                outputs: outputs.iter().map(output).collect::<Result<_, CatalogError>>()?,
            });
        }
        Ok(known)
    }
}

fn path(text: String) -> Result<StorePath, CatalogError> {
    parse_store_path(&text).ok_or(CatalogError::Row(text))
}
