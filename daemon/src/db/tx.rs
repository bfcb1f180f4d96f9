//! One transaction. Every statement of the daemon goes through it.
//!
//! Behind a transaction pooler only unnamed statements inside an explicit transaction work, so
//! there is no other way to talk to the database here.

use super::{Database, DbError, error::Place};
use sqlx::{
    FromRow, PgConnection, Postgres,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::{Query, QueryAs},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{error::Elapsed, timeout};

/// An open transaction. Dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx {
    /// `None` once the transaction has ended.
    connection: Option<PoolConnection<Postgres>>,
    place: Arc<Place>,
    persistent: bool,
    limit: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next statement may be sent.
    Ready,
    /// A statement was sent and its answer not read: the connection cannot be used again.
    Waiting,
    /// A statement failed: the server accepts nothing but a rollback.
    Failed,
}

impl Tx {
    pub(super) fn new(connection: PoolConnection<Postgres>, database: &Database) -> Self {
        Self {
            connection: Some(connection),
            place: Arc::clone(&database.place),
            persistent: database.persistent,
            // The server's own limit comes first, and tells more.
            limit: database.call_timeout + Duration::from_secs(1),
            state: State::Ready,
        }
    }

    /// Runs a statement and says how many rows it touched.
    pub(super) async fn execute(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<u64, DbError> {
        self.begin_call();
        let query = query.persistent(self.persistent);
        let answer = timeout(self.limit, query.execute(self.connection())).await;
        Ok(self.end_call(answer)?.rows_affected())
    }

    /// Runs a query of at most one row.
    pub(super) async fn optional<T>(
        &mut self,
        query: QueryAs<'_, Postgres, T, PgArguments>,
    ) -> Result<Option<T>, DbError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        self.begin_call();
        let query = query.persistent(self.persistent);
        let answer = timeout(self.limit, query.fetch_optional(self.connection())).await;
        self.end_call(answer)
    }

    /// Runs a query of exactly one row.
    pub(super) async fn one<T>(&mut self, query: QueryAs<'_, Postgres, T, PgArguments>) -> Result<T, DbError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        self.optional(query).await?.ok_or(DbError::Query(sqlx::Error::RowNotFound))
    }

    /// Runs a query of any number of rows.
    pub(super) async fn all<T>(&mut self, query: QueryAs<'_, Postgres, T, PgArguments>) -> Result<Vec<T>, DbError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        self.begin_call();
        let query = query.persistent(self.persistent);
        let answer = timeout(self.limit, query.fetch_all(self.connection())).await;
        self.end_call(answer)
    }

    /// Makes everything since [`Database::begin`] lasting.
    ///
    /// # Errors
    /// [`DbError`]; where the connection broke it is not known whether the commit happened.
    pub async fn commit(mut self) -> Result<(), DbError> {
        // The server answers a commit after an error with a silent rollback.
        if self.state != State::Ready {
            return Err(DbError::Query(sqlx::Error::Protocol("a commit after a failed statement".to_owned())));
        }
        self.run("COMMIT").await?;
        self.connection = None;
        Ok(())
    }

    /// Undoes everything since [`Database::begin`], and waits until that is done.
    ///
    /// # Errors
    /// [`DbError`]; the changes are undone nevertheless.
    pub async fn rollback(mut self) -> Result<(), DbError> {
        if self.state != State::Waiting {
            self.run("ROLLBACK").await?;
            self.connection = None;
        }
        Ok(())
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        // Only `commit`, `rollback` and `drop` take it, and all of them end this value.
        self.connection.as_mut().expect("an ended transaction is never used")
    }

    pub(super) fn begin_call(&mut self) {
        self.state = State::Waiting;
    }

    pub(super) fn end_call<T>(&mut self, answer: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, DbError> {
        let Ok(answer) = answer else {
            return Err(DbError::timed_out(&self.place));
        };
        let answer = answer.map_err(|error| DbError::from_sqlx(error, &self.place));
        self.state = match &answer {
            Ok(_) => State::Ready,
            Err(DbError::Unreachable { .. }) => State::Waiting,
            Err(_) => State::Failed,
        };
        answer
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        match (self.state, tokio::runtime::Handle::try_current()) {
            (State::Ready | State::Failed, Ok(runtime)) => {
                let limit = self.limit;
                runtime.spawn(async move {
                    let rollback = sqlx::Executor::execute(&mut *connection, "ROLLBACK");
                    if !matches!(timeout(limit, rollback).await, Ok(Ok(_))) {
                        drop(connection.detach());
                    }
                });
            }
            // Half an answer may be on its way, and nobody else may read it: the connection is
            // cut, and the server undoes the rest.
            _ => drop(connection.detach()),
        }
    }
}
