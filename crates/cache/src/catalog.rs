//! The catalog: what was decided, audited and uploaded. SQLite.

use narthex_closure::{NarHash, StorePath, parse_store_path};
use narthex_policy::{Decision, Reason, Verdict};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Row, SqlitePool};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why the catalog did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It cannot be opened.
    #[error("the catalog {} cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// Its tables cannot be made or brought up to date.
    #[error("the catalog {} is of another version, or damaged", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// A query failed.
    #[error("the catalog failed")]
    Query(#[from] sqlx::Error),
    /// A row holds something that was never written there.
    #[error("the catalog holds a row that cannot be read: {0}")]
    Row(String),
}

/// One decision, with what is known of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The path.
    pub path: StorePath,
    /// The attribute of the job that it is an output of.
    pub attr: Option<String>,
    /// The output's name.
    pub output: Option<String>,
    /// The derivation.
    pub deriver: Option<StorePath>,
    /// SHA-256 of its NAR.
    pub nar_hash: NarHash,
    /// Size of its NAR in bytes.
    pub nar_size: u64,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
    /// The declared license as an SPDX expression.
    pub license: Option<String>,
    /// Publish or withhold.
    pub verdict: Verdict,
    /// Why; the first reason decides.
    pub reasons: Vec<Reason>,
    /// The name of the policy that decided.
    pub policy: String,
}

impl Record {
    /// Whether a decision says what this record says.
    pub fn agrees_with(&self, decision: &Decision) -> bool {
        self.verdict == decision.verdict() && self.reasons == decision.reasons()
    }
}

/// A change of objects that takes several steps.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The 32 characters of the path.
    pub(crate) hash: String,
    /// The NAR's file.
    pub(crate) nar_file: String,
    /// The derivation whose log goes with the path.
    pub(crate) log: Option<String>,
    /// Whether the path is being taken back rather than published.
    pub(crate) removal: bool,
}

/// The catalog.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub(crate) pool: SqlitePool,
}

/// Characters of a path's hash.
const HASH_PART: usize = 32;

pub(crate) const COLUMNS: &str =
    "path, attr, output, deriver, nar_hash, nar_size, refs, license, verdict, reasons, policy";

impl Catalog {
    /// Opens the catalog and makes it where it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened, or is no catalog of this version.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A row says that an object is whole, so it must not outlive a power cut that the object did not.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .map_err(|source| CatalogError::Open { path: path.to_owned(), source })?;
        sqlx::migrate!("./migrations")
            .run(&pool)
            .await
            .map_err(|source| CatalogError::Migrate { path: path.to_owned(), source })?;
        Ok(Self { pool })
    }

    /// Opens a catalog that is there for reading, also where nothing may be written.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub async fn open_read_only(path: &Path) -> Result<Self, CatalogError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            // Reading in bulk, most of the time would go into handing rows from thread to thread.
            .row_buffer_size(4096)
            .busy_timeout(Duration::from_secs(30));
        // Where not even the files beside it can be made that readers share, nobody writes to it either.
        let alone = options.clone().immutable(true);
        let mut opened = Err(sqlx::Error::PoolClosed);
        for options in [options, alone] {
            let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
            opened = match pool {
                Ok(pool) => sqlx::query("SELECT 1 FROM decisions LIMIT 1").fetch_optional(&pool).await.map(|_| pool),
                Err(error) => Err(error),
            };
            if opened.is_ok() {
                break;
            }
        }
        let pool = opened.map_err(|source| CatalogError::Open { path: path.to_owned(), source })?;
        Ok(Self { pool })
    }

    /// Closes it: everything written is in the file after this, and nothing holds the file open any more.
    pub async fn close(&self) {
        // A connection that comes back while the pool waits for the last one is put with the idle ones, where nobody
        // looks again: only the next call ends it. Ended later, it would remove the files of a catalog that somebody has
        // put in this one's place.
        loop {
            self.pool.close().await;
            if self.pool.size() == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether there is a table: a catalog of an earlier version, opened for reading only, lacks some.
    pub(crate) async fn has_table(&self, name: &str) -> Result<bool, CatalogError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?";
        Ok(sqlx::query(sql).bind(name).fetch_optional(&self.pool).await?.is_some())
    }

    /// Writes a decision down in place of an earlier one about the same path.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn put(&self, record: &Record) -> Result<(), CatalogError> {
        let references: Vec<String> = record.references.iter().map(StorePath::to_basename).collect();
        let json = |error: serde_json::Error| CatalogError::Row(error.to_string());
        let sql =
            format!("INSERT OR REPLACE INTO decisions ({COLUMNS}, name) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        sqlx::query(&sql)
            .bind(record.path.to_basename())
            .bind(&record.attr)
            .bind(&record.output)
            .bind(record.deriver.as_ref().map(StorePath::to_basename))
            .bind(record.nar_hash.to_string())
            .bind(record.nar_size as i64)
            .bind(serde_json::to_string(&references).map_err(json)?)
            .bind(&record.license)
            .bind(match record.verdict {
                Verdict::Publish => "publish",
                Verdict::Withhold => "withhold",
            })
            .bind(serde_json::to_string(&record.reasons).map_err(json)?)
            .bind(&record.policy)
            .bind(record.path.name())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The decision about a path.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn get(&self, path: &StorePath) -> Result<Option<Record>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM decisions WHERE path = ?");
        let row = sqlx::query(&sql).bind(path.to_basename()).fetch_optional(&self.pool).await?;
        row.as_ref().map(record).transpose()
    }

    /// The decision about the path with this hash part, the 32 characters before its name.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn by_hash(&self, hash: &str) -> Result<Option<Record>, CatalogError> {
        if hash.len() != HASH_PART {
            return Ok(None);
        }
        // `.` comes directly behind `-`, so this is a stretch of the index and no search.
        let sql = format!("SELECT {COLUMNS} FROM decisions WHERE path > ? || '-' AND path < ? || '.' LIMIT 1");
        let row = sqlx::query(&sql).bind(hash).bind(hash).fetch_optional(&self.pool).await?;
        row.as_ref().map(record).transpose()
    }

    /// All decisions, in the order of names, then paths.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn all(&self) -> Result<Vec<Record>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM decisions ORDER BY name, path");
        let rows = sqlx::query(&sql).fetch_all(&self.pool).await?;
        rows.iter().map(record).collect()
    }

    /// The decisions about the outputs of a derivation.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn outputs_of(&self, derivation: &StorePath) -> Result<Vec<Record>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM decisions WHERE deriver = ? ORDER BY output");
        let rows = sqlx::query(&sql).bind(derivation.to_basename()).fetch_all(&self.pool).await?;
        rows.iter().map(record).collect()
    }

    /// The decisions about the outputs of the job with this attribute.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn by_attr(&self, attr: &str) -> Result<Vec<Record>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM decisions WHERE attr = ? ORDER BY output, path");
        let rows = sqlx::query(&sql).bind(attr).fetch_all(&self.pool).await?;
        rows.iter().map(record).collect()
    }

    /// What the corpus learned from so far: NAR hash and package.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn learned(&self) -> Result<BTreeMap<String, String>, CatalogError> {
        let rows = sqlx::query("SELECT nar_hash, package FROM learned").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Writes down what the corpus learned from: packages by the hashes of what was read.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn put_learned(&self, packages: &BTreeMap<String, String>) -> Result<(), CatalogError> {
        let rows = serde_json::Value::from_iter(packages.iter().map(|(hash, package)| vec![hash.as_str(), package]));
        let sql = "INSERT OR REPLACE INTO learned (nar_hash, package) SELECT value ->> 0, value ->> 1 FROM json_each(?)";
        sqlx::query(sql).bind(rows.to_string()).execute(&self.pool).await?;
        Ok(())
    }

    /// Forgets that the corpus learned from these.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn forget_learned<'h>(&self, hashes: impl IntoIterator<Item = &'h str>) -> Result<(), CatalogError> {
        let rows = serde_json::Value::from_iter(hashes);
        let sql = "DELETE FROM learned WHERE nar_hash IN (SELECT value FROM json_each(?))";
        sqlx::query(sql).bind(rows.to_string()).execute(&self.pool).await?;
        Ok(())
    }

    /// The report of an earlier audit of the same bytes with the same corpus and scanners, as JSON.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn audit(&self, nar: NarHash, corpus: &str, scanner: u32) -> Result<Option<String>, CatalogError> {
        let row = sqlx::query("SELECT report FROM audits WHERE nar_hash = ? AND corpus = ? AND scanner = ?")
            .bind(nar.to_string())
            .bind(corpus)
            .bind(i64::from(scanner))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| row.try_get(0).map_err(CatalogError::from)).transpose()
    }

    /// Paths that are published and that were last audited with another corpus, or by other scanners, or of which a reason
    /// names one of these codes.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn published_before(
        &self,
        corpus: &str,
        scanner: u32,
        codes: &[&str],
    ) -> Result<Vec<Record>, CatalogError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM decisions WHERE verdict = 'publish' AND (NOT EXISTS (SELECT 1 FROM audits \
             WHERE audits.nar_hash = decisions.nar_hash AND corpus = ? AND scanner = ?) OR EXISTS (SELECT 1 FROM \
             json_each(reasons) WHERE value ->> 'code' IN (SELECT value FROM json_each(?)))) ORDER BY name, path"
        );
        let codes = serde_json::Value::from(codes).to_string();
        let rows = sqlx::query(&sql).bind(corpus).bind(scanner).bind(codes).fetch_all(&self.pool).await?;
        rows.iter().map(record).collect()
    }

    /// Keeps a report, in place of those with an older corpus.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn put_audit(&self, nar: NarHash, corpus: &str, scanner: u32, report: &str) -> Result<(), CatalogError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("DELETE FROM audits WHERE nar_hash = ?").bind(nar.to_string()).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO audits (nar_hash, corpus, scanner, report) VALUES (?, ?, ?, ?)")
            .bind(nar.to_string())
            .bind(corpus)
            .bind(i64::from(scanner))
            .bind(report)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Says that an upload or a removal begins, before the first object changes.
    pub(crate) async fn begin(&self, change: &Change) -> Result<(), CatalogError> {
        sqlx::query("INSERT OR REPLACE INTO pending (hash, nar_file, log, removal) VALUES (?, ?, ?, ?)")
            .bind(&change.hash)
            .bind(&change.nar_file)
            .bind(&change.log)
            .bind(change.removal)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Every known object: the path's hash and its NAR file.
    pub(crate) async fn objects(&self) -> Result<BTreeMap<String, String>, CatalogError> {
        let rows = sqlx::query("SELECT hash, nar_file FROM objects").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Says that an upload is complete.
    pub(crate) async fn end_upload(&self, hash: &str, nar_file: &str, file_size: u64) -> Result<(), CatalogError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("INSERT OR REPLACE INTO objects (hash, nar_file, file_size) VALUES (?, ?, ?)")
            .bind(hash)
            .bind(nar_file)
            .bind(file_size as i64)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM pending WHERE hash = ?").bind(hash).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets the object of a path, finished or not.
    pub(crate) async fn forget_object(&self, hash: &str) -> Result<(), CatalogError> {
        for sql in ["DELETE FROM objects WHERE hash = ?", "DELETE FROM pending WHERE hash = ?"] {
            sqlx::query(sql).bind(hash).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// What began and was not completed.
    pub(crate) async fn pending(&self) -> Result<Vec<Change>, CatalogError> {
        let rows = sqlx::query("SELECT hash, nar_file, log, removal FROM pending").fetch_all(&self.pool).await?;
        let change = |row: &SqliteRow| {
            Ok(Change {
                hash: row.try_get(0)?,
                nar_file: row.try_get(1)?,
                log: row.try_get(2)?,
                removal: row.try_get(3)?,
            })
        };
        rows.iter().map(change).collect()
    }

    /// Whether a path other than `hash` has this NAR file.
    pub(crate) async fn shares_nar(&self, nar_file: &str, hash: &str) -> Result<bool, CatalogError> {
        let row = sqlx::query("SELECT 1 FROM objects WHERE nar_file = ? AND hash <> ? LIMIT 1")
            .bind(nar_file)
            .bind(hash)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }
}

pub(crate) fn record(row: &SqliteRow) -> Result<Record, CatalogError> {
    let json = |error: serde_json::Error| CatalogError::Row(error.to_string());
    let references: Vec<String> = serde_json::from_str(row.try_get("refs")?).map_err(json)?;
    let verdict: String = row.try_get("verdict")?;
    Ok(Record {
        path: store_path(row.try_get("path")?)?,
        attr: row.try_get("attr")?,
        output: row.try_get("output")?,
        deriver: row.try_get::<Option<String>, _>("deriver")?.map(store_path).transpose()?,
        nar_hash: row
            .try_get::<String, _>("nar_hash")?
            .parse()
            .map_err(|error: narthex_closure::NarHashError| CatalogError::Row(error.to_string()))?,
        nar_size: row.try_get::<i64, _>("nar_size")? as u64,
        references: references.into_iter().map(store_path).collect::<Result<_, _>>()?,
        license: row.try_get("license")?,
        verdict: match verdict.as_str() {
            "publish" => Verdict::Publish,
            "withhold" => Verdict::Withhold,
            _ => return Err(CatalogError::Row(verdict)),
        },
        reasons: serde_json::from_str(row.try_get("reasons")?).map_err(json)?,
        policy: row.try_get("policy")?,
    })
}

/// Reads a path as the catalog has it.
pub(crate) fn store_path(text: String) -> Result<StorePath, CatalogError> {
    parse_store_path(&text).ok_or(CatalogError::Row(text))
}
