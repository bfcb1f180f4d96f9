//! Is there a transaction pooler between us and the server?
//!
//! No variable can be trusted to say so, and a wrong guess shows only under load. But it can be
//! seen: behind such a pooler a client has no server process of its own between transactions.

use super::error::{DbError, Place};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};
use std::time::Duration;
use tokio::time::timeout;

/// One connection outside of any pool.
pub(super) async fn connect(
    options: &PgConnectOptions,
    place: &Place,
    limit: Duration,
) -> Result<PgConnection, DbError> {
    match timeout(limit, options.connect()).await {
        Ok(Ok(connection)) => Ok(connection),
        // Whatever keeps us from connecting is a matter of the URL or of the server.
        Ok(Err(error)) => Err(DbError::unreachable(place, &error)),
        Err(_) => Err(DbError::unreachable(place, format!("no answer within {limit:?}"))),
    }
}

/// Two clients in turn ask for their server process. One process seen by both, or two by one,
/// is a transaction pooler. Other clients may hide that in one round, so there are three.
pub(super) async fn is_transaction_pooler(
    options: &PgConnectOptions,
    place: &Place,
    limit: Duration,
) -> Result<bool, DbError> {
    let mut one = connect(options, place, limit).await?;
    let mut other = connect(options, place, limit).await?;
    let mut pooled = false;
    for _ in 0..3 {
        let answer = timeout(limit, share_a_process(&mut one, &mut other)).await;
        pooled = answer.map_err(|_| DbError::timed_out(place))?.map_err(|error| DbError::from_sqlx(error, place))?;
        if pooled {
            break;
        }
    }
    for connection in [one, other] {
        if let Err(error) = connection.close().await {
            tracing::debug!(error = %error, "a connection did not close cleanly");
        }
    }
    Ok(pooled)
}

async fn share_a_process(one: &mut PgConnection, other: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let first = process(one).await?;
    other.execute("BEGIN").await?;
    let shared = process(other).await? == first || process(one).await? != first;
    other.execute("ROLLBACK").await?;
    Ok(shared)
}

async fn process(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    // By the simple protocol: prepared statements are what a pooler breaks.
    sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}
