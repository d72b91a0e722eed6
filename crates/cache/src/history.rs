//! What the catalog remembers of sizes and build times, for whoever estimates costs. All of it is read in bulk, some
//! thousand rows at a time: a set may have a million paths.
//!
//! It does not estimate. A catalog of an earlier version has no build times, and that is no error: commands that read
//! bring nothing up to date.

use crate::catalog::{Catalog, CatalogError};
use narthex_closure::{StorePath, package_name};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

/// What is known of one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownOutput<'r> {
    /// Its path, without the folder of the store.
    pub path: &'r str,
    /// SHA-256 of its NAR.
    pub nar_hash: &'r str,
    /// Size of its NAR in bytes.
    pub nar_size: Option<u64>,
    /// The paths that it refers to, as a JSON list.
    pub references: &'r str,
    /// Whether it was withheld.
    pub withheld: bool,
    /// The name of the policy that decided.
    pub policy: &'r str,
    /// Name and size of its compressed NAR, where it is published.
    pub file: Option<(&'r str, u64)>,
}

/// One build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// What was built.
    pub derivation: StorePath,
    /// Its name, without hash.
    pub name: String,
    /// The platform that it builds on.
    pub system: String,
    /// How long it took.
    pub took: Duration,
    /// When it ended, in seconds since 1970.
    pub ended: u64,
}

const COLUMNS: &str = "d.rowid, d.path, d.nar_hash, d.nar_size, d.refs, d.verdict, d.policy, o.nar_file, o.file_size \
                       FROM decisions d LEFT JOIN objects o ON o.hash = substr(d.path, 1, 32)";

/// So many rows are in memory at once.
const PAGE: i64 = 16_384;

impl Catalog {
    /// Shows every output that was decided about, those first that were decided about first.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn known_outputs(&self, mut each: impl FnMut(KnownOutput<'_>)) -> Result<(), CatalogError> {
        // Rows get ascending numbers when they are written, and written anew.
        let sql = format!("SELECT {COLUMNS} WHERE d.rowid > ? ORDER BY d.rowid LIMIT ?");
        let mut last = i64::MIN;
        loop {
            let rows = sqlx::query(&sql).bind(last).bind(PAGE).fetch_all(&self.pool).await?;
            for row in &rows {
                last = row.try_get(0)?;
                each(known_output(row)?);
            }
            if rows.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// The same for these paths only, given without the folder of the store.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn known_outputs_among(
        &self,
        paths: &[&str],
        mut each: impl FnMut(KnownOutput<'_>),
    ) -> Result<(), CatalogError> {
        let json = |error: serde_json::Error| CatalogError::Row(error.to_string());
        let sql = format!("SELECT {COLUMNS} WHERE d.path IN (SELECT value FROM json_each(?)) ORDER BY d.rowid");
        for some in paths.chunks(PAGE as usize) {
            let list = serde_json::to_string(some).map_err(json)?;
            for row in &sqlx::query(&sql).bind(list).fetch_all(&self.pool).await? {
                each(known_output(row)?);
            }
        }
        Ok(())
    }

    /// Writes down how long builds took.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn put_builds(&self, builds: &[Build]) -> Result<(), CatalogError> {
        let mut transaction = self.pool.begin().await?;
        for build in builds {
            let sql = "INSERT OR REPLACE INTO builds (derivation, package, system, milliseconds, ended) VALUES (?, ?, ?, ?, ?)";
            sqlx::query(sql)
                .bind(build.derivation.to_basename())
                .bind(package_name(&build.name))
                .bind(&build.system)
                .bind(i64::try_from(build.took.as_millis()).unwrap_or(i64::MAX))
                .bind(i64::try_from(build.ended).unwrap_or(i64::MAX))
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Shows every build: the derivation without the folder of the store, the package, and how many milliseconds it
    /// took.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn builds(&self, mut each: impl FnMut(&str, &str, u64)) -> Result<(), CatalogError> {
        if !self.has_table("builds").await? {
            return Ok(());
        }
        let sql = "SELECT rowid, derivation, package, milliseconds FROM builds WHERE rowid > ? ORDER BY rowid LIMIT ?";
        let mut last = i64::MIN;
        loop {
            let rows = sqlx::query(sql).bind(last).bind(PAGE).fetch_all(&self.pool).await?;
            for row in &rows {
                last = row.try_get(0)?;
                if let Ok(milliseconds) = u64::try_from(row.try_get::<i64, _>(3)?) {
                    each(row.try_get(1)?, row.try_get(2)?, milliseconds);
                }
            }
            if rows.len() < PAGE as usize {
                return Ok(());
            }
        }
    }
}

fn known_output(row: &SqliteRow) -> Result<KnownOutput<'_>, CatalogError> {
    let file: (Option<&str>, Option<i64>) = (row.try_get(7)?, row.try_get(8)?);
    Ok(KnownOutput {
        path: row.try_get(1)?,
        nar_hash: row.try_get(2)?,
        nar_size: u64::try_from(row.try_get::<i64, _>(3)?).ok(),
        references: row.try_get(4)?,
        withheld: row.try_get::<&str, _>(5)? != "publish",
        policy: row.try_get(6)?,
        file: file.0.zip(file.1.and_then(|size| u64::try_from(size).ok())),
    })
}
