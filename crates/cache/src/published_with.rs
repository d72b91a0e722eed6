//! Which policy a cache is published with, as the catalog remembers it.
//!
//! It stores names and texts, and does not know what they mean.

use crate::catalog::{COLUMNS, Catalog, CatalogError, Record, record, store_path};
use narthex_closure::StorePath;
use serde_json::Value;
use sqlx::Row;
use std::collections::{BTreeMap, BTreeSet};

/// The policy that a cache is published with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedWith {
    /// The name that it gives itself.
    pub name: String,
    /// What else is known of it: nothing where the catalog is of an earlier version.
    pub text: Option<PolicyId>,
}

/// How a policy is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyId {
    /// The digest of all its texts.
    pub digest: String,
    /// How the operator named it: a shipped one, or a file with its whole path.
    pub named: String,
}

/// So many paths go into a statement.
const PAGE: usize = 4096;

impl Catalog {
    /// The policy that the cache is published with; `None` where nothing was ever decided.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn published_with(&self) -> Result<Option<PublishedWith>, CatalogError> {
        let sql = "SELECT name, digest, named FROM published_with JOIN policies USING (digest)";
        if let Some(row) = sqlx::query(sql).fetch_optional(&self.pool).await? {
            let id = PolicyId { digest: row.try_get(1)?, named: row.try_get(2)? };
            return Ok(Some(PublishedWith { name: row.try_get(0)?, text: Some(id) }));
        }
        // A catalog of before: a row gets a new number each time it is written.
        let sql = "SELECT policy FROM decisions ORDER BY rowid DESC LIMIT 1";
        let row = sqlx::query(sql).fetch_optional(&self.pool).await?;
        row.map(|row| Ok(PublishedWith { name: row.try_get(0)?, text: None })).transpose()
    }

    /// Remembers the policy that the cache is published with from now on.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn put_published_with<'t>(
        &self,
        name: &str,
        id: &PolicyId,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Result<(), CatalogError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("INSERT OR REPLACE INTO policies (digest, name, texts) VALUES (?, ?, ?)")
            .bind(&id.digest)
            .bind(name)
            .bind(Value::from_iter(texts).to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT OR REPLACE INTO published_with (one, digest, named) VALUES (1, ?, ?)")
            .bind(&id.digest)
            .bind(&id.named)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// The decisions about these paths, as far as there are any.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn among<'p>(
        &self,
        paths: impl IntoIterator<Item = &'p StorePath>,
    ) -> Result<BTreeMap<StorePath, Record>, CatalogError> {
        let paths: Vec<String> = paths.into_iter().map(StorePath::to_basename).collect();
        let sql = format!("SELECT {COLUMNS} FROM decisions WHERE path IN (SELECT value FROM json_each(?))");
        let mut records = BTreeMap::new();
        for page in paths.chunks(PAGE) {
            let list = Value::from(page).to_string();
            for row in &sqlx::query(&sql).bind(list).fetch_all(&self.pool).await? {
                let record = record(row)?;
                records.insert(record.path.clone(), record);
            }
        }
        Ok(records)
    }

    /// Paths that are published and of which a reason has this code.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn published_by(&self, code: &str) -> Result<Vec<Record>, CatalogError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM decisions WHERE verdict = 'publish' AND EXISTS (SELECT 1 FROM json_each(reasons) \
             WHERE value ->> 'code' = ?) ORDER BY name, path"
        );
        let rows = sqlx::query(&sql).bind(code).fetch_all(&self.pool).await?;
        rows.iter().map(record).collect()
    }

    /// What is published and holds something that nobody can look into, as the audits with this corpus and these scanners say,
    /// each with its report as JSON.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn published_opaque(&self, corpus: &str, scanner: u32) -> Result<Vec<(Record, String)>, CatalogError> {
        let columns: Vec<String> = COLUMNS.split(", ").map(|column| format!("decisions.{column}")).collect();
        let sql = format!(
            "SELECT {}, report FROM decisions JOIN audits ON audits.nar_hash = decisions.nar_hash AND audits.name IN ('', \
             decisions.name) WHERE verdict = 'publish' AND corpus = ? AND scanner = ? AND \
             json_array_length(report, '$.opaque') > 0 ORDER BY decisions.name, path",
            columns.join(", ")
        );
        let rows = sqlx::query(&sql).bind(corpus).bind(i64::from(scanner)).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((record(row)?, row.try_get("report")?))).collect()
    }

    /// These paths and all that refer to them, directly or not, as far as the catalog knows them.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn referrers<'p>(
        &self,
        paths: impl IntoIterator<Item = &'p StorePath>,
    ) -> Result<BTreeSet<StorePath>, CatalogError> {
        let list = Value::from_iter(paths.into_iter().map(StorePath::to_basename)).to_string();
        let sql = "WITH RECURSIVE edges(referrer, reference) AS MATERIALIZED (SELECT decisions.path, value FROM decisions, \
                   json_each(refs)), reached(path) AS (SELECT value FROM json_each(?) UNION \
                   SELECT referrer FROM edges JOIN reached ON reference = reached.path) SELECT path FROM reached";
        let rows = sqlx::query(sql).bind(list).fetch_all(&self.pool).await?;
        rows.iter().map(|row| store_path(row.try_get(0)?)).collect()
    }

    /// How many paths were permitted.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn count_published(&self) -> Result<usize, CatalogError> {
        let sql = "SELECT count(*) FROM decisions WHERE verdict = 'publish'";
        let count: i64 = sqlx::query(sql).fetch_one(&self.pool).await?.try_get(0)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }
}
