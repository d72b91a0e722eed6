//! The whole catalog in one pass, for reports.
//!
//! What is read is one state of the catalog, also while a run writes to it, and never all of it at once. Nothing is
//! written.

use crate::catalog::{COLUMNS, Catalog, CatalogError, Record, record};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// Decisions read at once.
const PAGE: i64 = 512;

/// What the bytes of a path were last audited with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditedWith {
    /// The id of the corpus.
    pub corpus: String,
    /// The version of the scanners.
    pub scanner: u32,
}

impl Catalog {
    /// Shows every decision, in the order of paths, with what the path was last audited with.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn survey(&self, mut each: impl FnMut(Record, Option<AuditedWith>)) -> Result<(), CatalogError> {
        // A transaction sees one state from its first query on.
        let mut transaction = self.pool.begin().await?;
        let sql = format!(
            "SELECT {COLUMNS}, (SELECT scanner || ' ' || corpus FROM audits WHERE audits.nar_hash = decisions.nar_hash \
             AND audits.name IN ('', decisions.name) \
             ORDER BY rowid DESC LIMIT 1) AS audited FROM decisions WHERE path > ? ORDER BY path LIMIT ?"
        );
        let mut last = String::new();
        loop {
            let rows = sqlx::query(&sql).bind(&last).bind(PAGE).fetch_all(&mut *transaction).await?;
            let Some(end) = rows.last() else { break };
            last = end.try_get("path")?;
            for row in &rows {
                each(record(row)?, audited(row)?);
            }
        }
        Ok(transaction.rollback().await?)
    }
}

fn audited(row: &SqliteRow) -> Result<Option<AuditedWith>, CatalogError> {
    let Some(text) = row.try_get::<Option<String>, _>("audited")? else { return Ok(None) };
    let parted = text.split_once(' ').and_then(|(scanner, corpus)| Some((scanner.parse().ok()?, corpus.to_owned())));
    let (scanner, corpus) = parted.ok_or(CatalogError::Row(text))?;
    Ok(Some(AuditedWith { corpus, scanner }))
}
