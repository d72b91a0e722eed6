//! What the catalog keeps of derivations, whether or not anything of them was ever built: so that a path that arrives
//! later, by whatever way, is recognized.
//!
//! What is known of a derivation is a text here. The use case that wrote it knows what it means. Sets have tens of
//! thousands of derivations, so that all of this goes in pages, a few statements each.

use crate::catalog::{Catalog, CatalogError, store_path};
use narthex_closure::StorePath;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
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

/// So many derivations go into a statement.
const PAGE: usize = 4096;

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
        for page in known.chunks(PAGE) {
            let earlier = facts(&mut transaction, page.iter().map(|one| &one.derivation)).await?;
            let (mut rows, mut outputs, mut attrs) = (Vec::new(), Vec::new(), Vec::new());
            for one in page {
                let derivation = one.derivation.to_basename();
                match earlier.get(&one.derivation) {
                    Some(facts) if *facts == one.facts => {}
                    Some(facts) => rows.push(json!([derivation, one.name, merge(facts, &one.facts)])),
                    None => {
                        rows.push(json!([derivation, one.name, one.facts]));
                        let paths =
                            one.outputs.iter().map(|(name, path)| json!([path.to_basename(), name, derivation]));
                        outputs.extend(paths);
                    }
                }
                attrs.extend(one.attrs.iter().map(|attr| json!([attr, derivation])));
            }
            let sql = "INSERT INTO facts (derivation, name, facts, first_seen) \
                       SELECT value ->> 0, value ->> 1, value ->> 2, ? FROM json_each(?) WHERE true \
                       ON CONFLICT (derivation) DO UPDATE SET facts = excluded.facts";
            sqlx::query(sql).bind(now as i64).bind(Value::Array(rows).to_string()).execute(&mut *transaction).await?;
            for (sql, rows) in [
                (
                    "INSERT OR REPLACE INTO fact_outputs (path, output, derivation) \
                     SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
                    outputs,
                ),
                (
                    "INSERT INTO fact_attrs (attr, derivation) SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true \
                     ON CONFLICT (attr) DO UPDATE SET derivation = excluded.derivation \
                     WHERE derivation <> excluded.derivation",
                    attrs,
                ),
            ] {
                sqlx::query(sql).bind(Value::Array(rows).to_string()).execute(&mut *transaction).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// What is known of a derivation, or of the derivations that make a path.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn known(&self, path: &StorePath) -> Result<Vec<KnownDerivation>, CatalogError> {
        if !self.has_table("facts").await? {
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
        if !self.has_table("facts").await? {
            return Ok(None);
        }
        let sql = "SELECT derivation, name, facts FROM facts WHERE derivation = \
                   (SELECT derivation FROM fact_attrs WHERE attr = ?)";
        let rows = sqlx::query(sql).bind(attr).fetch_all(&self.pool).await?;
        Ok(self.with_outputs(&rows).await?.pop())
    }

    /// The texts that are known of derivations.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn facts_of(
        &self,
        derivations: impl IntoIterator<Item = &StorePath>,
    ) -> Result<BTreeMap<StorePath, String>, CatalogError> {
        facts(&mut *self.pool.acquire().await?, derivations).await
    }

    /// The attributes that are known of derivations, in their order.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn attrs_of(
        &self,
        derivations: impl IntoIterator<Item = &StorePath>,
    ) -> Result<BTreeMap<StorePath, Vec<String>>, CatalogError> {
        let sql = "SELECT derivation, attr FROM fact_attrs WHERE derivation IN (SELECT value FROM json_each(?)) ORDER BY attr";
        let mut attrs: BTreeMap<StorePath, Vec<String>> = BTreeMap::new();
        for row in sqlx::query(sql).bind(list(derivations)).fetch_all(&self.pool).await? {
            attrs.entry(store_path(row.try_get(0)?)?).or_default().push(row.try_get(1)?);
        }
        Ok(attrs)
    }

    /// When each derivation was first seen, in seconds since 1970.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn first_seen(&self) -> Result<BTreeMap<StorePath, u64>, CatalogError> {
        if !self.has_table("facts").await? {
            return Ok(BTreeMap::new());
        }
        let rows = sqlx::query("SELECT derivation, first_seen FROM facts").fetch_all(&self.pool).await?;
        let seen = |row: &SqliteRow| Ok((store_path(row.try_get(0)?)?, row.try_get::<i64, _>(1)? as u64));
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
        let sql = "SELECT DISTINCT deriver FROM decisions WHERE verdict = 'withhold' AND deriver IN \
                   (SELECT value FROM json_each(?))";
        let rows = sqlx::query(sql).bind(list(derivations)).fetch_all(&self.pool).await?;
        rows.iter().map(|row| store_path(row.try_get(0)?)).collect()
    }

    async fn with_outputs(&self, rows: &[SqliteRow]) -> Result<Vec<KnownDerivation>, CatalogError> {
        let mut known = Vec::with_capacity(rows.len());
        for row in rows {
            let derivation: String = row.try_get(0)?;
            let sql = "SELECT output, path FROM fact_outputs WHERE derivation = ?";
            let outputs = sqlx::query(sql).bind(&derivation).fetch_all(&self.pool).await?;
            let output = |row: &SqliteRow| Ok((row.try_get(0)?, store_path(row.try_get(1)?)?));
            let sql = "SELECT attr FROM fact_attrs WHERE derivation = ? ORDER BY attr";
            let attrs = sqlx::query(sql).bind(&derivation).fetch_all(&self.pool).await?;
            known.push(KnownDerivation {
                derivation: store_path(derivation)?,
                name: row.try_get(1)?,
                attrs: attrs.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
                facts: row.try_get(2)?,
                outputs: outputs.iter().map(output).collect::<Result<_, CatalogError>>()?,
            });
        }
        Ok(known)
    }
}

async fn facts(
    connection: &mut SqliteConnection,
    derivations: impl IntoIterator<Item = &StorePath>,
) -> Result<BTreeMap<StorePath, String>, CatalogError> {
    let sql = "SELECT derivation, facts FROM facts WHERE derivation IN (SELECT value FROM json_each(?))";
    let rows = sqlx::query(sql).bind(list(derivations)).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((store_path(row.try_get(0)?)?, row.try_get(1)?))).collect()
}

/// Paths as a JSON list, without the folder of the store.
fn list<'p>(paths: impl IntoIterator<Item = &'p StorePath>) -> String {
    Value::from_iter(paths.into_iter().map(StorePath::to_basename)).to_string()
}
