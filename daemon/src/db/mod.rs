//! All SQL of the daemon: one file per table, one row type per table, columns named once.
//!
//! Knows `bisect_shared` only. Every call runs inside a [`Tx`], which carries the timeouts and
//! decides how statements are prepared, so that the same code works behind a transaction pooler.

pub mod again;
pub mod asked;
pub mod audit_events;
pub mod chores;
pub mod deliveries;
mod error;
pub mod installations;
pub mod instance_views;
pub mod instances;
pub mod job_events;
pub mod job_views;
pub mod jobs;
mod lease;
pub mod listener;
pub mod log_chunks;
pub mod migrations;
pub mod notify;
pub mod outbox;
pub mod overview;
mod pool;
mod pooler;
pub mod private;
pub mod probes;
pub mod repositories;
pub mod retention;
mod row;
pub mod sessions;
mod settings;
pub mod trends;
mod tx;
pub mod usage;
pub mod user_repositories;
pub mod users;
pub mod verdicts;
pub mod viewer;

pub use error::DbError;
pub(crate) use lease::refused;
pub use lease::{Lease, LeaseError};
pub use pool::{RocketDb, RocketPool};
pub use settings::DatabaseSettings;
pub use tx::Tx;

use error::Place;
use settings::Which;
use sqlx::{Executor, PgPool, postgres::PgPoolOptions};
use std::{sync::Arc, time::Duration};

/// The pool of connections that the whole process shares. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    place: Arc<Place>,
    /// Whether prepared statements may be kept by the server between calls.
    persistent: bool,
    call_timeout: Duration,
    /// What opens every transaction: with the timeouts, where the session does not have them.
    opening: Arc<str>,
}

impl Database {
    /// Connects, and finds out whether a transaction pooler stands in between.
    ///
    /// # Errors
    /// [`DbError::BadUrl`] or [`DbError::Unreachable`], naming the variable and the host.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, DbError> {
        let (options, place) = settings.options(Which::Pooled)?;
        let pooled = match settings.transaction_pooler {
            Some(known) => {
                pooler::connect(&options, &place, settings.acquire_timeout).await?;
                known
            }
            None => pooler::is_transaction_pooler(&options, &place, settings.acquire_timeout).await?,
        };
        let limit = settings.call_timeout.as_millis().max(1);
        let per_session: Arc<str> =
            format!("SET statement_timeout = {limit}; SET idle_in_transaction_session_timeout = {limit}").into();
        // No test before each use: `begin` is that test, and tries another connection if it fails.
        let pool = PgPoolOptions::new()
            .after_connect(move |connection, _| {
                let sql = Arc::clone(&per_session);
                Box::pin(async move {
                    if !pooled {
                        connection.execute(sqlx::AssertSqlSafe(sql)).await?;
                    }
                    Ok(())
                })
            })
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .test_before_acquire(false)
            .idle_timeout(Duration::from_secs(300))
            .connect_lazy_with(options);
        // Behind a transaction pooler a session is not ours, and the next transaction may have another.
        let opening = if pooled {
            format!(
                "BEGIN; SET LOCAL statement_timeout = {limit}; \
                 SET LOCAL idle_in_transaction_session_timeout = {limit}"
            )
        } else {
            "BEGIN".to_owned()
        };
        Ok(Self {
            pool,
            place: Arc::new(place),
            persistent: !pooled,
            call_timeout: settings.call_timeout,
            opening: opening.into(),
        })
    }

    /// Opens a transaction in which every statement has a time limit, enforced by the server and,
    /// for a server that does not answer at all, by the client.
    ///
    /// # Errors
    /// [`DbError::Unreachable`] when no connection is to be had.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        // After a restart of the database every idle connection is dead: each fails here once.
        let mut chances = self.pool.size() + 1;
        loop {
            let connection = self.pool.acquire().await.map_err(|error| DbError::from_sqlx(error, &self.place))?;
            let mut tx = Tx::new(connection, self);
            match tx.run(self.opening.clone()).await {
                Err(DbError::Unreachable { .. }) if chances > 0 => chances -= 1,
                Err(error) => return Err(error),
                Ok(()) => return Ok(tx),
            }
        }
    }

    /// Opens a read-only transaction that sees what row-level security lets this user see;
    /// `None` is somebody who is not signed in. All its statements see the same moment, so that a page
    /// never shows one part as it was before a change and another as it is after it.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn begin_as_viewer(&self, user: Option<i64>) -> Result<Tx, DbError> {
        let mut tx = self.begin().await?;
        let user = user.map_or_else(String::new, |id| id.to_string());
        tx.run(format!(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL ROLE bisect_dashboard; \
             SET LOCAL app.user_id = '{user}'"
        ))
        .await?;
        Ok(tx)
    }

    /// Whether a transaction pooler stands in between.
    #[must_use]
    pub fn behind_transaction_pooler(&self) -> bool {
        !self.persistent
    }

    /// How many connections the pool has, and how many of them are idle.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        (self.pool.size(), u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX))
    }

    /// How many connections the pool may have.
    #[must_use]
    pub fn most_connections(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// Closes every connection. Rocket's shutdown does not do this: jobs end after it.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Tx {
    /// Runs statements without parameters, by the simple protocol.
    async fn run(&mut self, sql: impl Into<Arc<str>>) -> Result<(), DbError> {
        let sql = sqlx::AssertSqlSafe(sql.into());
        self.begin_call();
        let answer = tokio::time::timeout(self.limit(), self.connection().execute(sql)).await;
        self.end_call(answer).map(drop)
    }
}
