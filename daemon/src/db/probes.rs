//! `probes`: one row per run of a commit. What is recorded here is never run again.

use super::{Database, DbError, Lease, LeaseError, Tx, jobs, lease, outbox, row};
use bisect_shared::{Ending, Epoch, JobId, ProbeId, Purpose, Sha, Verdict};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::time::Duration;

/// A probe that is about to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewProbe {
    /// What is tested.
    pub commit: Sha,
    /// What for.
    pub purpose: Purpose,
    /// The workspace it runs in.
    pub lane: u32,
    /// The commit's place in the range, 0 being the oldest; `None` outside of it.
    pub position: Option<u32>,
}

/// How a probe ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// By itself, or by what.
    pub ending: Ending,
    /// What it says about its commit, where that is decided.
    pub verdict: Option<Verdict>,
    /// How long it ran.
    pub took: Duration,
    /// What it said last, as `search::Fingerprint` is written.
    pub fingerprint: String,
}

/// Where a probe stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeState {
    /// It runs.
    Running,
    /// It was stopped, or its worker died: it says nothing about its commit.
    Stopped,
    /// It ended.
    Ended(Ending),
}

/// A row of `probes`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeRow {
    /// The probe.
    pub id: ProbeId,
    /// Its job.
    pub job: JobId,
    /// The claim under which it ran.
    pub epoch: Epoch,
    /// What was tested.
    pub commit: Sha,
    /// What for.
    pub purpose: Purpose,
    /// The workspace it ran in.
    pub lane: u32,
    /// The first line of the commit's message, where it was read.
    pub subject: Option<String>,
    /// The commit's place in the range, 0 being the oldest.
    pub position: Option<u32>,
    /// The image it ran in, by its digest, where that is known.
    pub image: Option<String>,
    /// Where it stands.
    pub state: ProbeState,
    /// What it says about its commit, once that is decided.
    pub verdict: Option<Verdict>,
    /// How long it ran.
    pub seconds: Option<f64>,
    /// Whether it was remembered instead of run.
    pub cached: bool,
    /// What it said last, as `search::Fingerprint` is written.
    pub fingerprint: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended or was stopped.
    pub finished_at: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "id, job_id, epoch, commit_sha, purpose, lane, subject, position, image_id, ending, exit_code, verdict, seconds, cached, fingerprint, started_at, \
         finished_at"
    };
}

impl<'r> FromRow<'r, PgRow> for ProbeRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: ProbeId(row.try_get("id")?),
            job: JobId(row.try_get("job_id")?),
            epoch: Epoch(row.try_get("epoch")?),
            commit: row::parsed(row, "commit_sha")?,
            purpose: row::parsed(row, "purpose")?,
            lane: row::count(row, "lane")?,
            subject: row.try_get("subject")?,
            position: row::count_option(row, "position")?,
            image: row.try_get("image_id")?,
            state: state(row)?,
            verdict: row::parsed_option(row, "verdict")?,
            seconds: row.try_get("seconds")?,
            cached: row.try_get("cached")?,
            fingerprint: row.try_get("fingerprint")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}

fn state(row: &PgRow) -> Result<ProbeState, sqlx::Error> {
    let code: Option<i16> = row.try_get("exit_code")?;
    match row.try_get::<Option<&str>, _>("ending")? {
        None => Ok(ProbeState::Running),
        Some("stopped") => Ok(ProbeState::Stopped),
        Some(name) => Ending::from_parts(name, code.and_then(|code| u8::try_from(code).ok()))
            .map(ProbeState::Ended)
            .ok_or_else(|| row::undecodable("ending", format!("`{name}` with exit code {code:?} is no ending"))),
    }
}

/// Records that these probes start now, in this order, and how far the search is. A lane runs one
/// probe at a time, so a row that is still open there is what a try left whose answer was lost.
///
/// # Errors
/// [`LeaseError::Lost`]: start nothing.
pub async fn start_probes(
    db: &Database,
    lease: &Lease,
    probes: &[NewProbe],
    standing: &jobs::Standing,
) -> Result<Vec<ProbeId>, LeaseError> {
    let commits: Vec<String> = probes.iter().map(|probe| probe.commit.to_string()).collect();
    let purposes: Vec<&str> = probes.iter().map(|probe| probe.purpose.name()).collect();
    let lanes: Vec<i32> = probes.iter().map(|probe| i32::try_from(probe.lane).unwrap_or(i32::MAX)).collect();
    let positions: Vec<Option<i32>> =
        probes.iter().map(|probe| probe.position.and_then(|place| i32::try_from(place).ok())).collect();
    let mut tx = lease::hold(db, lease, "start_probes").await?;
    tx.execute(
        sqlx::query(
            "UPDATE probes SET ending = 'stopped', finished_at = now() \
             WHERE job_id = $1 AND epoch = $2 AND lane = ANY($3) AND ending IS NULL",
        )
        .bind(lease.job().0)
        .bind(lease.epoch().0)
        .bind(lanes.as_slice()),
    )
    .await?;
    let mut ids: Vec<(i64,)> = tx
        .all(
            sqlx::query_as(
                "INSERT INTO probes (job_id, epoch, commit_sha, purpose, lane, position, image_id, subject) \
                 SELECT $1, $2, p.commit_sha, p.purpose, p.lane, p.position, \
                 (SELECT image_id FROM bisect_jobs WHERE id = $1), \
                 (SELECT min(o.subject) FROM probes o WHERE o.job_id = $1 AND o.commit_sha = p.commit_sha) \
                 FROM unnest($3::text[], $4::text[], $5::int[], $6::int[]) \
                   WITH ORDINALITY AS p (commit_sha, purpose, lane, position, place) \
                 ORDER BY p.place RETURNING id",
            )
            .bind(lease.job().0)
            .bind(lease.epoch().0)
            .bind(commits)
            .bind(purposes)
            .bind(lanes)
            .bind(positions),
        )
        .await?;
    jobs::set_progress(&mut tx, lease.job(), standing).await?;
    outbox::touch_status(&mut tx, lease.job(), false).await?;
    tx.commit().await?;
    // Numbers are given out in the order of insertion, which is that of `probes`.
    ids.sort_unstable();
    Ok(ids.into_iter().map(|(id,)| ProbeId(id)).collect())
}

/// Notes the first lines of commits' messages, for people. Written only while the lease holds; a lost one is no matter
/// here, and leaves no trace.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn note_subjects(db: &Database, lease: &Lease, subjects: &[(Sha, String)]) -> Result<(), DbError> {
    let (commits, lines): (Vec<String>, Vec<&str>) =
        subjects.iter().map(|(commit, line)| (commit.to_string(), line.as_str())).unzip();
    let Some(mut tx) = lease::try_hold(db, lease).await? else { return Ok(()) };
    let sql = "UPDATE probes SET subject = s.subject FROM unnest($2::text[], $3::text[]) AS s (commit_sha, subject) \
               WHERE probes.job_id = $1 AND probes.commit_sha = s.commit_sha AND probes.subject IS NULL";
    tx.execute(sqlx::query(sql).bind(lease.job().0).bind(commits).bind(lines)).await?;
    tx.commit().await
}

/// Records how a probe of this claim ended and, where that is decided, what it says. A probe that
/// has ended already stays as it is; the same words twice, after a doubtful answer, are taken once.
///
/// # Errors
/// [`LeaseError::Lost`]; [`DbError::Missing`] for a probe that this claim has not running.
pub async fn record_probe(db: &Database, lease: &Lease, probe: ProbeId, ended: &Ended) -> Result<(), LeaseError> {
    let mut tx = lease::hold(db, lease, "record_probe").await?;
    let rows = tx
        .execute(
            sqlx::query(
                "UPDATE probes SET ending = $4, exit_code = $5, verdict = $6, seconds = $7, fingerprint = $8, \
                 finished_at = coalesce(finished_at, now()) \
                 WHERE id = $1 AND job_id = $2 AND epoch = $3 AND (ending IS NULL OR (ending = $4 \
                 AND exit_code IS NOT DISTINCT FROM $5 AND verdict IS NOT DISTINCT FROM $6))",
            )
            .bind(probe.0)
            .bind(lease.job().0)
            .bind(lease.epoch().0)
            .bind(ended.ending.name())
            .bind(ended.ending.exit_code().map(i16::from))
            .bind(ended.verdict.map(Verdict::name))
            .bind(ended.took.as_secs_f64())
            .bind(&ended.fingerprint),
        )
        .await?;
    expect_rows(rows, 1, || format!("probe {probe} running under this claim"))?;
    Ok(tx.commit().await?)
}

/// Records what is remembered of commits, in the place of runs, each with the place of its commit in the range. Nothing ran,
/// so no lane and no time is taken.
///
/// # Errors
/// [`LeaseError::Lost`].
pub async fn record_remembered(
    db: &Database,
    lease: &Lease,
    remembered: &[(NewProbe, Ended)],
) -> Result<Vec<ProbeId>, LeaseError> {
    let mut tx = lease::hold(db, lease, "record_remembered").await?;
    let mut ids = Vec::new();
    for (probe, ended) in remembered {
        let sql = "INSERT INTO probes (job_id, epoch, commit_sha, purpose, lane, position, image_id, ending, exit_code, verdict, \
                   seconds, fingerprint, cached, finished_at) SELECT $1, $2, $3, $4, 0, $5, j.image_id, $6, $7, $8, $9, $10, \
                   true, now() FROM bisect_jobs j WHERE j.id = $1 RETURNING id";
        let query = sqlx::query_as(sql)
            .bind(lease.job().0)
            .bind(lease.epoch().0)
            .bind(probe.commit.to_string())
            .bind(probe.purpose.name())
            .bind(probe.position.and_then(|place| i32::try_from(place).ok()))
            .bind(ended.ending.name())
            .bind(ended.ending.exit_code().map(i16::from))
            .bind(ended.verdict.map(Verdict::name))
            .bind(ended.took.as_secs_f64())
            .bind(&ended.fingerprint);
        let (id,): (i64,) = tx.one(query).await?;
        ids.push(ProbeId(id));
    }
    outbox::touch_status(&mut tx, lease.job(), false).await?;
    tx.commit().await?;
    Ok(ids)
}

/// What was remembered in this job's place of runs does not count any more: what ran contradicts it.
///
/// # Errors
/// [`LeaseError::Lost`].
pub async fn set_aside_remembered(db: &Database, lease: &Lease) -> Result<(), LeaseError> {
    let mut tx = lease::hold(db, lease, "set_aside_remembered").await?;
    let sql = "UPDATE probes SET ending = 'stopped', exit_code = NULL, verdict = NULL WHERE job_id = $1 AND cached AND ending <> 'stopped'";
    tx.execute(sqlx::query(sql).bind(lease.job().0)).await?;
    Ok(tx.commit().await?)
}

/// Records what probes of this job say, whichever claim they ran under.
///
/// # Errors
/// [`LeaseError::Lost`]; [`DbError::Missing`] where one of them has not ended by itself.
pub async fn set_verdicts(db: &Database, lease: &Lease, verdicts: &[(ProbeId, Verdict)]) -> Result<(), LeaseError> {
    let (ids, names): (Vec<i64>, Vec<&str>) = verdicts.iter().map(|(probe, verdict)| (probe.0, verdict.name())).unzip();
    let mut tx = lease::hold(db, lease, "set_verdicts").await?;
    let rows = tx
        .execute(
            sqlx::query(
                "UPDATE probes SET verdict = v.verdict FROM unnest($2::bigint[], $3::text[]) AS v (id, verdict) \
                 WHERE probes.id = v.id AND probes.job_id = $1 AND ending <> 'stopped'",
            )
            .bind(lease.job().0)
            .bind(ids)
            .bind(names),
        )
        .await?;
    expect_rows(rows, verdicts.len(), || "one of the ended probes".to_owned())?;
    Ok(tx.commit().await?)
}

/// Records that these probes were stopped because their answers were no longer needed. May be said twice.
///
/// # Errors
/// [`LeaseError::Lost`]; [`DbError::Missing`] where this claim has one of them not running.
pub async fn stop_probes(db: &Database, lease: &Lease, probes: &[ProbeId]) -> Result<(), LeaseError> {
    let mut tx = lease::hold(db, lease, "stop_probes").await?;
    let rows = tx
        .execute(
            sqlx::query(
                "UPDATE probes SET ending = 'stopped', finished_at = coalesce(finished_at, now()), \
                 seconds = coalesce(seconds, extract(epoch FROM now() - started_at)) \
                 WHERE id = ANY($1) AND job_id = $2 AND epoch = $3 AND (ending IS NULL OR ending = 'stopped')",
            )
            .bind(probes.iter().map(|probe| probe.0).collect::<Vec<_>>())
            .bind(lease.job().0)
            .bind(lease.epoch().0),
        )
        .await?;
    expect_rows(rows, probes.len(), || "one of the probes running under this claim".to_owned())?;
    Ok(tx.commit().await?)
}

/// All probes of a job, in the order in which they were started.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn probes(tx: &mut Tx, job: JobId) -> Result<Vec<ProbeRow>, DbError> {
    let sql = concat!("SELECT ", columns!(), " FROM probes WHERE job_id = $1 ORDER BY id");
    tx.all(sqlx::query_as(sql).bind(job.0)).await
}

/// Whether a probe belongs to a job.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn is_of(tx: &mut Tx, job: JobId, probe: ProbeId) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT FROM probes WHERE id = $1 AND job_id = $2)";
    let (is,): (bool,) = tx.one(sqlx::query_as(sql).bind(probe.0).bind(job.0)).await?;
    Ok(is)
}

/// Closes what the last owner of a job left open, in the transaction that takes the job from it.
/// They ended when that owner was last heard of, however long ago that is: the job's total time is
/// counted from this.
pub(crate) async fn stop_all(tx: &mut Tx, job: JobId) -> Result<(), DbError> {
    let sql = "UPDATE probes p SET ending = 'stopped', \
               finished_at = greatest(p.started_at, least(now(), j.heartbeat_at)) \
               FROM bisect_jobs j WHERE j.id = $1 AND p.job_id = j.id AND p.ending IS NULL";
    tx.execute(sqlx::query(sql).bind(job.0)).await.map(drop)
}

fn expect_rows(rows: u64, wanted: usize, what: impl FnOnce() -> String) -> Result<(), DbError> {
    if usize::try_from(rows) == Ok(wanted) { Ok(()) } else { Err(DbError::Missing { what: what() }) }
}
