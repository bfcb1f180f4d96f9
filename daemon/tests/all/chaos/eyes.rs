//! How a run looks into the database: past the links that it cuts, and bearing with a server that is away.

use crate::support::{TestDb, eventually};
use sqlx::{Connection, FromRow, PgConnection, postgres::PgRow};

/// A session of the run's own.
pub struct Eyes {
    url: String,
    session: Option<PgConnection>,
}

/// A job as its row says.
#[derive(Debug, Clone, FromRow)]
pub struct Seen {
    pub id: i64,
    pub worker_id: Option<String>,
    pub claim_epoch: i64,
}

impl Eyes {
    pub fn new(db: &TestDb) -> Self {
        Self { url: db.url(), session: None }
    }

    /// The rows of a query with one number in it; nothing where the database is away.
    pub async fn rows<T>(&mut self, sql: &'static str, number: i64) -> Option<Vec<T>>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        if self.session.is_none() {
            self.session = PgConnection::connect(&self.url).await.ok();
        }
        let rows = sqlx::query_as(sql).bind(number).fetch_all(self.session.as_mut()?).await;
        if let Err(error) = &rows {
            assert!(error.as_database_error().is_none_or(|e| e.code().is_some_and(|c| c.starts_with("57"))), "{error}");
            self.session = None;
        }
        rows.ok()
    }

    /// Whether a condition on one number holds.
    pub async fn holds(&mut self, sql: &'static str, number: i64) -> bool {
        let rows: Option<Vec<(bool,)>> = self.rows(sql, number).await;
        rows.is_some_and(|rows| rows.first().is_some_and(|(holds,)| *holds))
    }

    /// Returns when it holds.
    pub async fn see(&mut self, what: &str, sql: &'static str, number: i64) {
        eventually(what, async || self.holds(sql, number).await.then_some(())).await;
    }

    /// The job of a comment, once there is one.
    pub async fn job(&mut self, comment: i64) -> Seen {
        eventually("the comment has its job", async || self.find(comment).await).await
    }

    pub async fn find(&mut self, comment: i64) -> Option<Seen> {
        let sql = "SELECT id, worker_id, claim_epoch FROM bisect_jobs WHERE comment_id = $1";
        self.rows(sql, comment).await?.into_iter().next()
    }

    /// Who works on a comment's job, once its command runs in a container.
    pub async fn mid_probe(&mut self, comment: i64) -> Seen {
        eventually("a probe runs in its container", async || self.mid_probes(comment).await.into_iter().next()).await
    }

    /// The jobs whose command runs in a container: the first word of its output is stored and its end is not.
    /// Of all comments where that is 0.
    pub async fn mid_probes(&mut self, comment: i64) -> Vec<Seen> {
        let sql = "SELECT j.id, j.worker_id, j.claim_epoch FROM bisect_jobs j \
                   JOIN probes p ON p.job_id = j.id AND p.epoch = j.claim_epoch AND p.ending IS NULL \
                   WHERE $1 IN (0, j.comment_id) AND j.status = 'running' \
                   AND EXISTS (SELECT 1 FROM log_chunks c WHERE c.probe_id = p.id)";
        self.rows(sql, comment).await.unwrap_or_default()
    }
}
