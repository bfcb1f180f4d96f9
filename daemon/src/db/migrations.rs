//! Schema migrations: `migrations/*.sql`, embedded into the program.
//!
//! They need a session of their own (an advisory lock lets one runner work at a time), so they go
//! through `DATABASE_DIRECT_URL`.

use super::{Database, DatabaseSettings, DbError, error::Place, pooler, settings::Which};
use chrono::{DateTime, Utc};
use sqlx::{
    Connection, Executor, FromRow, PgConnection,
    migrate::{MigrateError, Migrator},
};
use std::{collections::BTreeSet, fmt};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Why migrating did not work.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A session is needed, and a transaction pooler gives none.
    #[error(
        "{variable} leads to a transaction-mode pooler, through which migrations cannot run: set \
         DATABASE_DIRECT_URL to the database itself or to a session-mode pooler \
         (example: postgresql://user:password@host:5432/bisect)"
    )]
    TransactionPooler {
        /// The variable whose URL was used.
        variable: &'static str,
    },
    /// No migration has this version.
    #[error("there is no migration {version}; known are 0 (nothing) and {known}")]
    UnknownVersion {
        /// What was asked for.
        version: i64,
        /// What there is.
        known: String,
    },
    /// The schema is not one that this program's migrations lead through.
    #[error("{0}")]
    Schema(SchemaState),
    /// Somebody else holds the lock, or a table.
    #[error(
        "another migration is running, or something holds a lock on a table: look at `SELECT * FROM pg_locks WHERE NOT granted`"
    )]
    Locked,
    /// The role of the dashboard's viewers cannot be made, or be used by this user.
    #[error(
        "{user} cannot make or use the role bisect_dashboard, as which the dashboard reads (a role belongs to the whole server, \
         and another database's owner may have made it): have a superuser run `{way_out}`, then try again"
    )]
    ViewersRole {
        /// The database's owner, as an identifier.
        user: String,
        /// The statements that a superuser has to run.
        way_out: String,
    },
    /// A migration failed; it is undone as a whole.
    #[error("migration {version} failed and was undone: {cause}")]
    Failed {
        /// The migration.
        version: i64,
        /// What the database said.
        cause: sqlx::Error,
    },
    /// Any other failure of the migrator.
    #[error("migrations cannot be run: {0}")]
    Other(#[source] MigrateError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// How the database's schema compares with this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// It is the one this program was built for.
    Current,
    /// There is none.
    Empty,
    /// Migrations are waiting.
    Older {
        /// The last one applied.
        applied: i64,
        /// The last one there is.
        needed: i64,
    },
    /// A newer program has migrated it.
    Newer {
        /// The last one applied.
        applied: i64,
        /// The last one this program knows.
        known: i64,
    },
    /// It is none that migrations in order lead to.
    HalfMigrated {
        /// What is wrong.
        cause: String,
    },
}

impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("the database's schema is current"),
            Self::Empty => f.write_str("the database has no schema yet: run `bisectd migrate up`"),
            Self::Older { applied, needed } => write!(
                f,
                "the database's schema ({applied}) is older than this program ({needed}): run `bisectd migrate up`"
            ),
            Self::Newer { applied, known } => write!(
                f,
                "the database's schema ({applied}) is newer than this program ({known}): run the newer program, \
                 or with it `bisectd migrate down --to {known}`"
            ),
            Self::HalfMigrated { cause } => write!(
                f,
                "the database is half migrated: {cause}; see `bisectd migrate status`, and restore a backup or \
                 mend the schema by hand before `bisectd migrate up`"
            ),
        }
    }
}

/// One migration, and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// `YYYYMMDDHHMMSS`, the order in which they run.
    pub version: i64,
    /// The file's name.
    pub name: String,
    /// When it was applied; `None` while it is waiting.
    pub applied_at: Option<DateTime<Utc>>,
    /// Whether this program has it.
    pub known: bool,
}

/// Applies what is waiting, up to `to` where one is given, and says what the schema is then.
///
/// # Errors
/// [`MigrationError`]; each migration is applied as a whole or not at all.
pub async fn up(settings: &DatabaseSettings, to: Option<i64>) -> Result<Vec<MigrationStatus>, MigrationError> {
    let mut session = Session::open(settings).await?;
    if let Some(version) = to {
        known(version)?;
    }
    session.refuse_a_foreign_schema().await?;
    session.see_to_the_viewers_role(to).await?;
    let result = MIGRATOR.run_direct(to, &mut session.connection, false).await;
    session.close(result).await
}

/// Reverts the last migration, or all after `to` (0: all of them), and says what is left.
///
/// # Errors
/// [`MigrationError`]; each migration is reverted as a whole or not at all.
pub async fn down(settings: &DatabaseSettings, to: Option<i64>) -> Result<Vec<MigrationStatus>, MigrationError> {
    let mut session = Session::open(settings).await?;
    session.refuse_a_foreign_schema().await?;
    let target = match to {
        Some(version) => known(version)?,
        None => session.applied().await?.iter().rev().nth(1).map_or(0, |applied| applied.version),
    };
    let result = MIGRATOR.undo(&mut session.connection, target).await;
    session.close(result).await
}

/// Every migration that this program or the database knows, oldest first.
///
/// # Errors
/// [`MigrationError`], for example without a database.
pub async fn status(settings: &DatabaseSettings) -> Result<Vec<MigrationStatus>, MigrationError> {
    let session = Session::open(settings).await?;
    session.close(Ok(())).await
}

/// What was applied, newest first, with its time.
///
/// # Errors
/// [`MigrationError`], for example without a database.
pub async fn history(settings: &DatabaseSettings) -> Result<Vec<MigrationStatus>, MigrationError> {
    let mut all = status(settings).await?;
    all.retain(|migration| migration.applied_at.is_some());
    all.reverse();
    Ok(all)
}

/// Compares the schema with this program; through the pooled connection, changing nothing.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn check_schema(db: &Database) -> Result<SchemaState, DbError> {
    let mut tx = db.begin().await?;
    let (bookkeeping, jobs): (bool, bool) = tx.one(sqlx::query_as(PRESENT)).await?;
    let applied = if bookkeeping { tx.all(sqlx::query_as(APPLIED)).await? } else { Vec::new() };
    tx.commit().await?;
    Ok(judge(&applied, jobs))
}

const PRESENT: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL, to_regclass('bisect_jobs') IS NOT NULL";
/// The role of [`Database::begin_as_viewer`], and the migration that needs it.
const VIEWERS: &str = "bisect_dashboard";
const VIEWERS_NEEDED: i64 = 20260101000004;
/// Whether this user may use it (null: there is none), whether it may make roles, its name, the server's version.
const ABOUT_VIEWERS: &str = "SELECT (SELECT pg_has_role(current_user, oid, 'USAGE') FROM pg_roles WHERE rolname = $1), \
    rolcreaterole OR rolsuper, quote_ident(rolname), current_setting('server_version_num')::int \
    FROM pg_roles WHERE rolname = current_user";
const APPLIED: &str =
    "SELECT version, description, installed_on, success, checksum FROM _sqlx_migrations ORDER BY version";

#[derive(Debug, FromRow)]
struct Applied {
    version: i64,
    description: String,
    installed_on: DateTime<Utc>,
    success: bool,
    checksum: Vec<u8>,
}

fn judge(applied: &[Applied], jobs: bool) -> SchemaState {
    let half = |cause: String| SchemaState::HalfMigrated { cause };
    let known = known_versions();
    let newest = known.last().copied().unwrap_or(0);
    let Some(last) = applied.last().map(|migration| migration.version) else {
        return if jobs {
            half("there are tables, but no record of migrations".to_owned())
        } else {
            SchemaState::Empty
        };
    };
    if let Some(broken) = applied.iter().find(|migration| !migration.success) {
        return half(format!("migration {} did not finish", broken.version));
    }
    for migration in MIGRATOR.iter().filter(|migration| migration.migration_type.is_up_migration()) {
        match applied.iter().find(|applied| applied.version == migration.version) {
            Some(applied) if applied.checksum != *migration.checksum => {
                return half(format!(
                    "migration {} was applied from another file than this program's",
                    migration.version
                ));
            }
            None if migration.version < last => {
                return half(format!("migration {} is missing below {last}", migration.version));
            }
            _ => {}
        }
    }
    match applied.iter().find(|migration| !known.contains(&migration.version)) {
        Some(foreign) if foreign.version < newest => {
            half(format!("migration {} is not known to this program", foreign.version))
        }
        Some(_) => SchemaState::Newer { applied: last, known: newest },
        None if last < newest => SchemaState::Older { applied: last, needed: newest },
        None => SchemaState::Current,
    }
}

fn known_versions() -> BTreeSet<i64> {
    MIGRATOR.iter().map(|migration| migration.version).collect()
}

fn known(version: i64) -> Result<i64, MigrationError> {
    let versions = known_versions();
    if version == 0 || versions.contains(&version) {
        return Ok(version);
    }
    let known = versions.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    Err(MigrationError::UnknownVersion { version, known })
}

/// One direct connection, whose end also ends its locks.
struct Session {
    connection: PgConnection,
    place: Place,
}

impl Session {
    async fn open(settings: &DatabaseSettings) -> Result<Self, MigrationError> {
        let (options, place) = settings.options(Which::Direct)?;
        let limit = settings.acquire_timeout;
        let pooled = match settings.transaction_pooler {
            Some(known) if settings.direct_url.is_none() => known,
            _ => pooler::is_transaction_pooler(&options, &place, limit).await?,
        };
        if pooled {
            return Err(MigrationError::TransactionPooler { variable: place.variable });
        }
        let mut connection = pooler::connect(&options, &place, limit).await?;
        // Waiting for another runner, or for a table in use, is bounded; the work itself is not.
        // "already exists, skipping" is no news.
        let sql = "SET lock_timeout = '60s'; SET client_min_messages = warning";
        connection.execute(sql).await.map_err(|error| DbError::from_sqlx(error, &place))?;
        Ok(Self { connection, place })
    }

    async fn applied(&mut self) -> Result<Vec<Applied>, DbError> {
        let (bookkeeping, _) = self.present().await?;
        if !bookkeeping {
            return Ok(Vec::new());
        }
        let rows = sqlx::query_as(APPLIED).fetch_all(&mut self.connection).await;
        rows.map_err(|error| DbError::from_sqlx(error, &self.place))
    }

    async fn present(&mut self) -> Result<(bool, bool), DbError> {
        let row = sqlx::query_as(PRESENT).fetch_one(&mut self.connection).await;
        row.map_err(|error| DbError::from_sqlx(error, &self.place))
    }

    /// Nothing is changed in a schema that no migration of ours leads to.
    async fn refuse_a_foreign_schema(&mut self) -> Result<(), MigrationError> {
        let (_, jobs) = self.present().await?;
        match judge(&self.applied().await?, jobs) {
            state @ (SchemaState::Newer { .. } | SchemaState::HalfMigrated { .. }) => {
                Err(MigrationError::Schema(state))
            }
            _ => Ok(()),
        }
    }

    /// The migration makes the role and gives it to this user, where it can. Since PostgreSQL 16 the right to
    /// make roles no longer implies the right to give away those of others, so on a server with two owners the
    /// second one needs help: here it is told which, instead of failing half-way without a word about it.
    async fn see_to_the_viewers_role(&mut self, to: Option<i64>) -> Result<(), MigrationError> {
        let done = self.applied().await?.iter().any(|applied| applied.version == VIEWERS_NEEDED);
        if done || to.is_some_and(|to| to < VIEWERS_NEEDED) {
            return Ok(());
        }
        let about = sqlx::query_as(ABOUT_VIEWERS).bind(VIEWERS).fetch_one(&mut self.connection).await;
        let (usable, makes_roles, user, server): (Option<bool>, bool, String, i32) =
            about.map_err(|error| DbError::from_sqlx(error, &self.place))?;
        let grant = format!("GRANT {VIEWERS} TO {user}");
        let given = match usable {
            Some(false) => self.connection.execute(sqlx::AssertSqlSafe(grant.clone())).await.map(drop),
            Some(true) | None => Ok(()),
        };
        if makes_roles && given.is_ok() {
            return Ok(());
        }
        let mut statements = Vec::new();
        if !makes_roles {
            statements.push(format!("ALTER ROLE {user} CREATEROLE"));
        }
        match given.map_err(|error| DbError::from_sqlx(error, &self.place)) {
            // Said in full where a user that inherits nothing would be given too little.
            Err(DbError::Query(_)) if server >= 160_000 => {
                statements.push(format!("{grant} WITH INHERIT TRUE, SET TRUE"));
            }
            Err(DbError::Query(_)) => statements.push(grant),
            other => other?,
        }
        Err(MigrationError::ViewersRole { user, way_out: statements.join("; ") })
    }

    async fn close(mut self, result: Result<(), MigrateError>) -> Result<Vec<MigrationStatus>, MigrationError> {
        if let Err(error) = result {
            return Err(explain(error));
        }
        let applied = self.applied().await?;
        if let Err(error) = self.connection.close().await {
            tracing::debug!(error = %error, "a connection did not close cleanly");
        }
        Ok(overview(&applied))
    }
}

fn overview(applied: &[Applied]) -> Vec<MigrationStatus> {
    let mut all: Vec<MigrationStatus> = applied
        .iter()
        .map(|row| MigrationStatus {
            version: row.version,
            name: row.description.clone(),
            applied_at: Some(row.installed_on),
            known: MIGRATOR.version_exists(row.version),
        })
        .collect();
    for migration in MIGRATOR.iter().filter(|migration| migration.migration_type.is_up_migration()) {
        if !applied.iter().any(|row| row.version == migration.version) {
            let name = migration.description.to_string();
            all.push(MigrationStatus { version: migration.version, name, applied_at: None, known: true });
        }
    }
    all.sort_by_key(|migration| migration.version);
    all
}

fn explain(error: MigrateError) -> MigrationError {
    let locked =
        |cause: &sqlx::Error| cause.as_database_error().and_then(|refusal| refusal.code()).as_deref() == Some("55P03");
    match error {
        MigrateError::ExecuteMigration(cause, _) | MigrateError::Execute(cause) if locked(&cause) => {
            MigrationError::Locked
        }
        MigrateError::ExecuteMigration(cause, version) => MigrationError::Failed { version, cause },
        other => MigrationError::Other(other),
    }
}

/// A fingerprint of all migrations, for tests that keep a database made from them.
#[doc(hidden)]
#[must_use]
pub fn fingerprint() -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for migration in MIGRATOR.iter() {
        hash.update(&*migration.checksum);
    }
    hex::encode(&hash.finalize()[..8])
}
