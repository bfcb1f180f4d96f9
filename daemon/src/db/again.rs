//! Saying it again to a database that cannot be reached, for those who hold something until it is said.

use super::DbError;
use std::{future::Future, time::Duration};
use tokio::time::Instant;

/// The first and the longest wait between two tries.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Calls until the database was reached, for as long as `limit`. What is said must bear being said twice: a
/// commit whose answer was lost may have happened.
///
/// # Errors
/// [`DbError`]: the database refused it, or was away for too long.
pub async fn until_reached<T, F>(limit: Duration, mut call: impl FnMut() -> F) -> Result<T, DbError>
where
    F: Future<Output = Result<T, DbError>>,
{
    let (began, mut wait) = (Instant::now(), FIRST_WAIT);
    loop {
        match call().await {
            Err(error) if error.is_unreachable() && began.elapsed() + wait < limit => {
                tracing::debug!(error = %error, "the database is asked again");
            }
            answer => return answer,
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::error::Place;

    fn away() -> DbError {
        DbError::timed_out(&Place::new("DATABASE_URL", &sqlx::postgres::PgConnectOptions::new_without_pgpass()))
    }

    #[tokio::test]
    async fn a_database_that_comes_back_is_told_and_one_that_stays_away_is_given_up() {
        let mut tries = 0;
        let told = until_reached(Duration::from_secs(60), || {
            tries += 1;
            let answer = if tries < 3 { Err(away()) } else { Ok(tries) };
            async move { answer }
        });
        assert_eq!(told.await.unwrap(), 3);
        let mut tries = 0;
        let given_up = until_reached(FIRST_WAIT * 4, || {
            tries += 1;
            async { Err::<(), _>(away()) }
        });
        assert!(given_up.await.unwrap_err().is_unreachable());
        assert!(tries > 1, "{tries}");
    }

    #[tokio::test]
    async fn what_the_database_refuses_is_not_said_again() {
        let mut tries = 0;
        let refused = until_reached(Duration::from_secs(60), || {
            tries += 1;
            async { Err::<(), _>(DbError::Missing { what: "it".into() }) }
        });
        assert!(refused.await.is_err());
        assert_eq!(tries, 1);
    }
}
