//! What a page or the API shows to whoever looks: always in a transaction of [`super::Database::begin_as_viewer`], in
//! which row-level security decides; and each statement has a condition of its own besides, so that either alone is
//! enough. `viewer` is our number of the user, `None` for somebody who is not signed in.

use super::{
    DbError, Tx,
    job_views::{View, opened},
    row,
};
use bisect_shared::{JobId, JobStatus, ProbeId, admin::JobPage, admin::JobView};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Whether `$1` may know of repository `r`: it is public, or GitHub said so not long ago.
macro_rules! seen {
    () => {
        "(NOT r.private OR EXISTS (SELECT FROM user_repositories u WHERE u.repository_id = r.id AND u.user_id = $1 \
         AND u.expires_at > now()))"
    };
}

/// The views of the jobs that `$from` picks by their numbers.
macro_rules! views {
    ($from:expr) => {
        concat!(
            "SELECT j.id, j.status, j.result, r.full_name AS repository, r.private, j.issue_number, j.requested_by, \
             j.retry_of, j.candidates_left, j.candidates, p.done, p.running, \
             round(j.expected_probes)::int AS expected_probes, p.seconds, j.lanes, j.culprit_sha, j.error, j.worker_id, \
             j.heartbeat_at, j.attempt_count, j.claim_epoch, j.event_seq, j.cancel_requested_by, j.created_at, \
             j.started_at, j.completed_at FROM ",
            $from,
            " AS picked JOIN bisect_jobs j ON j.id = picked.id JOIN repositories r ON r.id = j.repository_id \
             CROSS JOIN LATERAL \
             (SELECT count(*) FILTER (WHERE ending <> 'stopped') AS done, \
               count(*) FILTER (WHERE ending IS NULL) AS running, \
               avg(seconds) FILTER (WHERE ending <> 'stopped' AND NOT cached) AS seconds \
              FROM probes WHERE job_id = j.id) p WHERE ",
            seen!(),
            " ORDER BY j.id DESC"
        )
    };
}

/// Which jobs are asked for.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In one of these states; all without any.
    pub states: Vec<JobStatus>,
    /// Of these repositories (our numbers); `None` for all that the viewer may see.
    pub repositories: Option<Vec<i64>>,
    /// With a lower number than this.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// The newest jobs that the viewer may see.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn jobs(tx: &mut Tx, viewer: Option<i64>, filter: &JobFilter) -> Result<JobPage, DbError> {
    let all = JobStatus::ALL.to_vec();
    let states = if filter.states.is_empty() { &all } else { &filter.states };
    let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
    // One job more tells whether there are more.
    let (before, most) = (filter.before.unwrap_or(i64::MAX), i64::from(filter.limit) + 1);
    let rows: Vec<View> = match &filter.repositories {
        // Of each state by its index; as a range, for the reason told in `job_views`.
        None => {
            let sql = views!(concat!(
                "(SELECT job.id FROM unnest($4::text[]) AS s (status) CROSS JOIN LATERAL \
                  (SELECT j.id FROM bisect_jobs j JOIN repositories r ON r.id = j.repository_id \
                   WHERE j.status BETWEEN s.status AND s.status AND j.id < $2 AND ",
                seen!(),
                " ORDER BY j.status, j.id DESC LIMIT $3) AS job ORDER BY job.id DESC LIMIT $3)"
            ));
            tx.all(sqlx::query_as(sql).bind(viewer).bind(before).bind(most).bind(names)).await?
        }
        Some(repositories) => {
            let sql = views!(concat!(
                "(SELECT job.id FROM repositories r CROSS JOIN LATERAL \
                  (SELECT j.id FROM bisect_jobs j WHERE j.repository_id = r.id AND j.id < $2 AND j.status = ANY ($4) \
                   ORDER BY j.id DESC LIMIT $3) AS job \
                  WHERE r.id = ANY ($5) AND ",
                seen!(),
                " ORDER BY job.id DESC LIMIT $3)"
            ));
            let query = sqlx::query_as(sql).bind(viewer).bind(before).bind(most).bind(names);
            tx.all(query.bind(repositories)).await?
        }
    };
    let mut jobs = opened(rows);
    let more = jobs.len() > filter.limit as usize;
    jobs.truncate(filter.limit as usize);
    let next = jobs.last().filter(|_| more).map(|last| last.id.0);
    Ok(JobPage { jobs, next })
}

/// Those of these jobs that the viewer may see, the newest first.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn jobs_of(tx: &mut Tx, viewer: Option<i64>, jobs: &[JobId]) -> Result<Vec<JobView>, DbError> {
    let ids: Vec<i64> = jobs.iter().map(|job| job.0).collect();
    let sql = views!("(SELECT id FROM bisect_jobs WHERE id = ANY ($2))");
    Ok(opened(tx.all(sqlx::query_as(sql).bind(viewer).bind(ids)).await?))
}

/// The job, if there is one that the viewer may know of. What belongs to it (probes, history, output) is read after this,
/// in the same transaction.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn job(tx: &mut Tx, viewer: Option<i64>, job: JobId) -> Result<Option<JobView>, DbError> {
    Ok(jobs_of(tx, viewer, &[job]).await?.pop())
}

/// Whether the viewer may know of this job, and of this probe as one of it.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn sees(tx: &mut Tx, viewer: Option<i64>, job: JobId, probe: Option<ProbeId>) -> Result<bool, DbError> {
    let sql = concat!(
        "SELECT EXISTS (SELECT FROM bisect_jobs j JOIN repositories r ON r.id = j.repository_id WHERE j.id = $2 AND ",
        seen!(),
        " AND ($3::bigint IS NULL OR EXISTS (SELECT FROM probes p WHERE p.id = $3 AND p.job_id = j.id)))"
    );
    let query = sqlx::query_as(sql).bind(viewer).bind(job.0).bind(probe.map(|probe| probe.0));
    let (sees,): (bool,) = tx.one(query).await?;
    Ok(sees)
}

/// A repository as its viewer knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryView {
    /// Our number.
    pub id: i64,
    /// `owner/name`.
    pub full_name: String,
    /// Whether only some may read it.
    pub private: bool,
    /// Its main branch, where it is known.
    pub default_branch: Option<String>,
    /// What GitHub lets the viewer do there; `None` where GitHub lists it not as theirs.
    pub permission: Option<String>,
    /// Its newest job.
    pub last_job: Option<JobId>,
}

impl<'r> FromRow<'r, PgRow> for RepositoryView {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            full_name: row.try_get("full_name")?,
            private: row.try_get("private")?,
            default_branch: row.try_get("default_branch")?,
            permission: row.try_get("permission")?,
            last_job: row.try_get::<Option<i64>, _>("last_job")?.map(JobId),
        })
    }
}

macro_rules! repositories {
    ($where:literal) => {
        concat!(
            "SELECT r.id, r.full_name, r.private, r.default_branch, m.permission, \
             (SELECT max(id) FROM bisect_jobs j WHERE j.repository_id = r.id) AS last_job \
             FROM repositories r LEFT JOIN user_repositories m \
               ON m.repository_id = r.id AND m.user_id = $1 AND m.expires_at > now() WHERE ",
            seen!(),
            " AND ",
            $where
        )
    };
}

/// Repositories that the viewer may see, by name, at most `limit` of those that come after `after`. With `mine` only
/// those that GitHub lists as theirs.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn repositories(
    tx: &mut Tx,
    viewer: Option<i64>,
    mine: bool,
    after: &str,
    limit: u32,
) -> Result<Vec<RepositoryView>, DbError> {
    let sql = repositories!(
        "lower(r.full_name) > lower($2) AND (NOT $3 OR m.user_id IS NOT NULL) ORDER BY lower(r.full_name) LIMIT $4"
    );
    tx.all(sqlx::query_as(sql).bind(viewer).bind(after).bind(mine).bind(i64::from(limit))).await
}

/// The repository of this name, if there is one that the viewer may know of.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn repository(tx: &mut Tx, viewer: Option<i64>, full_name: &str) -> Result<Option<RepositoryView>, DbError> {
    // A name may be reused before GitHub's word of a rename comes; what was described last holds.
    let sql = repositories!("lower(r.full_name) = lower($2) ORDER BY r.updated_at DESC LIMIT 1");
    tx.optional(sqlx::query_as(sql).bind(viewer).bind(full_name)).await
}

/// Whether the viewer may change what happens to a job: GitHub lets them write to its repository. `None`: they may
/// not know of it.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn may_act(tx: &mut Tx, viewer: Option<i64>, job: JobId) -> Result<Option<bool>, DbError> {
    let sql = concat!(
        "SELECT EXISTS (SELECT FROM user_repositories m WHERE m.repository_id = r.id AND m.user_id = $1 \
         AND m.expires_at > now() AND m.permission IN ('write', 'maintain', 'admin')) \
         FROM bisect_jobs j JOIN repositories r ON r.id = j.repository_id WHERE j.id = $2 AND ",
        seen!()
    );
    let row: Option<(bool,)> = tx.optional(sqlx::query_as(sql).bind(viewer).bind(job.0)).await?;
    Ok(row.map(|(may,)| may))
}

/// What an installation used this month, and what it may use.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageView {
    /// The account's login.
    pub account: String,
    /// `free`, `pro`, `enterprise`.
    pub tier: String,
    /// Jobs of this month, and of those how many came to a result and how many failed.
    pub jobs: u32,
    /// See `jobs`.
    pub completed: u32,
    /// See `jobs`.
    pub failed: u32,
    /// Runs of commits in this month.
    pub probes: u32,
    /// Their seconds together.
    pub probe_seconds: f64,
    /// Jobs per month; `None` for no limit.
    pub jobs_per_month: Option<u32>,
    /// The longest that one job may take, in minutes.
    pub max_duration_minutes: u32,
    /// Jobs at once.
    pub max_concurrent: u32,
    /// When the month ends (UTC).
    pub resets_at: DateTime<Utc>,
}

impl<'r> FromRow<'r, PgRow> for UsageView {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            account: row.try_get("account_login")?,
            tier: row.try_get("tier")?,
            jobs: row::count(row, "jobs")?,
            completed: row::count(row, "completed")?,
            failed: row::count(row, "failed")?,
            probes: row::count(row, "probes")?,
            probe_seconds: row.try_get("probe_seconds")?,
            jobs_per_month: row::count_option(row, "jobs_per_month")?,
            max_duration_minutes: row::count(row, "max_duration_minutes")?,
            max_concurrent: row::count(row, "max_concurrent")?,
            resets_at: row.try_get("resets_at")?,
        })
    }
}

/// The usage of every installation through which GitHub lists a repository as the viewer's.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn usage(tx: &mut Tx, viewer: Option<i64>) -> Result<Vec<UsageView>, DbError> {
    let sql = "SELECT i.account_login, l.tier, l.jobs_per_month, l.max_duration_minutes, l.max_concurrent, \
               coalesce(u.jobs, 0) AS jobs, coalesce(u.jobs_completed, 0) AS completed, \
               coalesce(u.jobs_failed, 0) AS failed, coalesce(u.probes, 0) AS probes, \
               coalesce(u.probe_seconds, 0) AS probe_seconds, \
               (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' AS resets_at \
               FROM installations i JOIN rate_limits l ON l.tier = i.tier LEFT JOIN usage_stats u \
                 ON u.installation_id = i.installation_id \
                 AND u.period = date_trunc('month', now() AT TIME ZONE 'UTC')::date \
               WHERE EXISTS (SELECT FROM repositories r JOIN user_repositories m ON m.repository_id = r.id \
                 WHERE r.installation_id = i.installation_id AND m.user_id = $1 AND m.expires_at > now()) \
               ORDER BY lower(i.account_login)";
    tx.all(sqlx::query_as(sql).bind(viewer)).await
}

/// A tier and its limits.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct TierView {
    /// Its name.
    pub tier: String,
    /// Jobs per month; `None` for no limit.
    pub jobs_per_month: Option<i32>,
    /// The longest that one job may take, in minutes.
    pub max_duration_minutes: i32,
    /// Jobs at once.
    pub max_concurrent: i32,
}

/// Every tier, the smallest first. Anybody may know.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn tiers(tx: &mut Tx) -> Result<Vec<TierView>, DbError> {
    let sql = "SELECT tier, jobs_per_month, max_duration_minutes, max_concurrent FROM rate_limits \
               ORDER BY jobs_per_month NULLS LAST, tier";
    tx.all(sqlx::query_as(sql)).await
}

/// Our numbers of the repositories that GitHub lists as the viewer's.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn own_repositories(tx: &mut Tx, viewer: Option<i64>) -> Result<Vec<i64>, DbError> {
    let sql = "SELECT repository_id FROM user_repositories WHERE user_id = $1 AND expires_at > now()";
    let rows: Vec<(i64,)> = tx.all(sqlx::query_as(sql).bind(viewer)).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Who may know of these jobs: `None` for everybody; a job that is nobody's is left out. For the one reader that tells
/// all viewers of changes; not as a viewer.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn seers(tx: &mut Tx, jobs: &[JobId]) -> Result<HashMap<JobId, Option<BTreeSet<i64>>>, DbError> {
    let ids: Vec<i64> = jobs.iter().map(|job| job.0).collect();
    let sql = "SELECT j.id, r.private, u.user_id FROM bisect_jobs j JOIN repositories r ON r.id = j.repository_id \
               LEFT JOIN user_repositories u ON r.private AND u.repository_id = r.id AND u.expires_at > now() \
               WHERE j.id = ANY ($1)";
    let rows: Vec<(i64, bool, Option<i64>)> = tx.all(sqlx::query_as(sql).bind(ids)).await?;
    let mut seers: HashMap<JobId, Option<BTreeSet<i64>>> = HashMap::new();
    for (job, private, user) in rows {
        let known = seers.entry(JobId(job)).or_insert_with(|| private.then(BTreeSet::new));
        if let Some(known) = known {
            known.extend(user);
        }
    }
    Ok(seers)
}

/// Those of these viewers with their jobs who may know of them. For the one look at all open streams; not as a viewer.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn seen_of(tx: &mut Tx, watching: &[(Option<i64>, JobId)]) -> Result<HashSet<(Option<i64>, JobId)>, DbError> {
    let (viewers, jobs): (Vec<Option<i64>>, Vec<i64>) = watching.iter().map(|(viewer, job)| (*viewer, job.0)).unzip();
    let sql = "SELECT DISTINCT w.viewer, w.job FROM unnest($1::bigint[], $2::bigint[]) AS w (viewer, job) \
               JOIN bisect_jobs j ON j.id = w.job JOIN repositories r ON r.id = j.repository_id \
               WHERE NOT r.private OR EXISTS (SELECT FROM user_repositories u WHERE u.repository_id = r.id \
                 AND u.user_id = w.viewer AND u.expires_at > now())";
    let rows: Vec<(Option<i64>, i64)> = tx.all(sqlx::query_as(sql).bind(viewers).bind(jobs)).await?;
    Ok(rows.into_iter().map(|(viewer, job)| (viewer, JobId(job))).collect())
}

/// The number of the newest event of any job; not as a viewer.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn newest_event(tx: &mut Tx) -> Result<i64, DbError> {
    let (newest,): (i64,) = tx.one(sqlx::query_as("SELECT coalesce(max(id), 0) FROM job_events")).await?;
    Ok(newest)
}

/// The jobs of which something happened since event `last` was the newest one known; `None` where that cannot be said,
/// or they are more than `most`. Events become visible out of the order of their numbers, but no transaction takes a
/// minute: what began within one before `last` is among them. Not as a viewer.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn since(tx: &mut Tx, last: i64, most: usize) -> Result<Option<Vec<JobId>>, DbError> {
    let sql = "SELECT DISTINCT e.job_id FROM job_events e, job_events known \
               WHERE known.id = $1 AND e.created_at >= known.created_at - interval '60 seconds' LIMIT $2";
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let rows: Vec<(i64,)> = tx.all(sqlx::query_as(sql).bind(last).bind(limit)).await?;
    // The known one itself is among them.
    let known = !rows.is_empty() && rows.len() <= most;
    Ok(known.then(|| rows.into_iter().map(|(job,)| JobId(job)).collect()))
}
