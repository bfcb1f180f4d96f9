//! How the queue went lately: minutes of the last hour, results of the last day. By indexes over time, so that it costs
//! what happened lately, however many jobs have ever ended.

use super::{DbError, Tx, row};
use bisect_shared::admin::ResultCount;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};

/// How many minutes are told.
pub const MINUTES: usize = 60;

/// What happened lately.
#[derive(Debug, Clone, PartialEq)]
pub struct Trends {
    /// How long the oldest waiting job has waited, in seconds.
    pub oldest_pending: Option<f64>,
    /// Jobs that waited at the end of each minute, the oldest first.
    pub depth: Vec<i64>,
    /// Jobs that ended in each minute, the oldest first.
    pub ended: Vec<i64>,
    /// How the jobs of the last 24 hours ended, most first.
    pub results: Vec<ResultCount>,
}

struct Counted(ResultCount);

impl<'r> FromRow<'r, PgRow> for Counted {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(ResultCount { result: row::parsed_option(row, "result")?, jobs: row.try_get("jobs")? }))
    }
}

/// Jobs by the minutes since they ended.
pub const ENDED: &str = "SELECT greatest(floor(extract(epoch FROM now() - completed_at) / 60), 0)::int AS ago, count(*) \
     FROM bisect_jobs WHERE completed_at > now() - interval '1 hour' GROUP BY ago";

/// Jobs of the last day by their results.
pub const RESULTS: &str = "SELECT result, count(*) AS jobs FROM bisect_jobs WHERE completed_at > now() - interval '24 hours' \
     GROUP BY result ORDER BY jobs DESC, result";

/// By how much the number of waiting jobs changed, by the minutes since then. The end of a job that waited takes it from
/// the queue; one that ran had left it before.
pub const MOVES: &str = "SELECT greatest(floor(extract(epoch FROM now() - e.created_at) / 60), 0)::int AS ago, \
     sum(CASE WHEN e.kind IN ('queued', 'released', 'reclaimed') THEN 1 WHEN e.kind = 'claimed' THEN -1 \
         WHEN (SELECT b.kind FROM job_events b WHERE b.job_id = e.job_id AND b.seq < e.seq \
               AND b.kind IN ('queued', 'claimed', 'released', 'reclaimed') ORDER BY b.seq DESC LIMIT 1) = 'claimed' \
         THEN 0 ELSE -1 END)::bigint AS change \
     FROM job_events e WHERE e.created_at > now() - interval '1 hour' AND e.kind IN ('queued', 'claimed', 'released', \
     'reclaimed', 'completed', 'failed', 'cancelled') GROUP BY ago";

/// Reads it; `pending` is how many jobs wait now.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn trends(tx: &mut Tx, pending: i64) -> Result<Trends, DbError> {
    let oldest = "SELECT now(), min(created_at) FROM bisect_jobs WHERE status = 'pending'";
    let (now, oldest): (DateTime<Utc>, Option<DateTime<Utc>>) = tx.one(sqlx::query_as(oldest)).await?;
    let ended = by_minute(tx.all(sqlx::query_as(ENDED)).await?);
    let moves = by_minute(tx.all(sqlx::query_as(MOVES)).await?);
    let results: Vec<Counted> = tx.all(sqlx::query_as(RESULTS)).await?;
    Ok(Trends {
        oldest_pending: oldest.map(|oldest| ((now - oldest).as_seconds_f64()).max(0.0)),
        depth: depths(pending, &moves),
        ended,
        results: results.into_iter().map(|Counted(count)| count).collect(),
    })
}

/// From (minutes ago, number) to the number of each minute, the oldest first.
fn by_minute(rows: Vec<(i32, i64)>) -> Vec<i64> {
    let mut minutes = vec![0; MINUTES];
    for (ago, number) in rows {
        if let Some(place) = usize::try_from(ago).ok().and_then(|ago| (MINUTES - 1).checked_sub(ago)) {
            minutes[place] += number;
        }
    }
    minutes
}

/// From what there is now and by how much each minute changed it, to what there was at the end of each.
fn depths(now: i64, moves: &[i64]) -> Vec<i64> {
    let mut depth = now;
    let mut depths: Vec<i64> = moves
        .iter()
        .rev()
        .map(|change| {
            let at_end = depth.max(0);
            depth -= change;
            at_end
        })
        .collect();
    depths.reverse();
    depths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_are_counted_back_from_now() {
        // Three came in the last minute, and one left the minute before.
        let moves = by_minute(vec![(0, 3), (1, -1), (75, 9), (-1, 9)]);
        let depths = depths(5, &moves);
        assert_eq!(depths.len(), MINUTES);
        assert_eq!(depths[MINUTES - 4..], [3, 3, 2, 5]);
        assert_eq!(super::depths(0, &[4, 4]), [0, 0], "what was removed meanwhile makes no negative depth");
    }
}
