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
    /// The attribute of the first job that it is.
    pub attr: Option<String>,
    /// Its outputs by name.
    pub outputs: BTreeMap<String, StorePath>,
    /// What is known, as JSON.
    pub facts: String,
}

impl Catalog {
    /// Keeps what is known of derivations, in place of what was known before. All of it is written, or nothing.
    /// `now`, in seconds since 1970, is when those were first seen that the catalog does not know.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn put_facts(&self, known: &[KnownDerivation], now: u64) -> Result<(), CatalogError> {
        let mut transaction = self.pool.begin().await?;
        for one in known {
            let derivation = one.derivation.to_basename();
            // A set that has no attribute for it does not take the one away that another set has.
            let sql = "INSERT INTO facts (derivation, name, attr, facts, first_seen) VALUES (?, ?, ?, ?, ?) \
                       ON CONFLICT (derivation) DO UPDATE SET attr = coalesce(excluded.attr, attr), facts = excluded.facts";
            sqlx::query(sql)
                .bind(&derivation)
                .bind(&one.name)
                .bind(&one.attr)
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
        let sql = "SELECT derivation, name, attr, facts FROM facts WHERE derivation = ? OR derivation IN \
                   (SELECT derivation FROM fact_outputs WHERE path = ?) ORDER BY derivation";
        let rows = sqlx::query(sql).bind(&base).bind(&base).fetch_all(&self.pool).await?;
        self.with_outputs(&rows).await
    }

    /// What is known of the derivations that were a job with this attribute.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn known_by_attr(&self, attr: &str) -> Result<Vec<KnownDerivation>, CatalogError> {
        if !self.keeps_facts().await? {
            return Ok(Vec::new());
        }
        let sql = "SELECT derivation, name, attr, facts FROM facts WHERE attr = ? ORDER BY derivation";
        let rows = sqlx::query(sql).bind(attr).fetch_all(&self.pool).await?;
        self.with_outputs(&rows).await
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
            known.push(KnownDerivation {
                derivation: path(derivation)?,
                name: row.try_get(1)?,
                attr: row.try_get(2)?,
                facts: row.try_get(3)?,
                outputs: outputs.iter().map(output).collect::<Result<_, CatalogError>>()?,
            });
        }
        Ok(known)
    }
}

fn path(text: String) -> Result<StorePath, CatalogError> {
    parse_store_path(&text).ok_or(CatalogError::Row(text))
}
