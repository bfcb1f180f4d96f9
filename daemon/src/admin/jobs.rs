//! `/v1/jobs` and `/v1/jobs/<id>`: jobs as tables and pages show them, and what is done to them.

use super::{
    Admin,
    answer::{Asked, Fault, in_time},
    caller::Caller,
};
use crate::{
    db::{
        DbError, job_events, job_views,
        jobs::{self, JobRow},
        probes::{self, ProbeRow, ProbeState},
    },
    report::{
        Report,
        comment::PullLink,
        terminal::{self, Paint},
    },
    runner::spec::JobSpec,
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State},
};
use bisect_shared::{
    JobId, JobStatus, Sha,
    admin::{HistoryEntry, JobDetail, JobPage, JobQuery, JobView, Outcome, ProbeView, RetryRequest, Strip},
};
use std::collections::BTreeMap;

/// Rows of a page, where nobody says how many, and at most.
const USUAL: u32 = 200;
const MOST: u32 = 1000;

pub(super) async fn list(State(admin): State<Admin>, Asked(query): Asked<JobQuery>) -> Result<Json<JobPage>, Fault> {
    let limit = limit(query.limit)?;
    let states = query.status.as_deref().map(states).transpose()?;
    let page = async {
        let mut tx = admin.db.begin().await?;
        let page = job_views::page(&mut tx, states.as_deref(), query.before, limit).await?;
        tx.commit().await?;
        Ok::<_, DbError>(page)
    };
    in_time(page).await.map(Json)
}

/// How many rows are asked for.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Fault> {
    match asked {
        None => Ok(USUAL),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(other) => Err(Fault::bad(format!("limit: {other} must be 1 to {MOST}"))),
    }
}

fn states(text: &str) -> Result<Vec<JobStatus>, Fault> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let read = parts.map(|part| {
        let names = JobStatus::ALL.iter().map(|status| status.name()).collect::<Vec<_>>().join(", ");
        part.parse().map_err(|_| Fault::bad(format!("status: `{part}` must be one of {names}")))
    });
    let mut states = read.collect::<Result<Vec<JobStatus>, Fault>>()?;
    states.sort_unstable();
    states.dedup();
    Ok(states)
}

/// The number of a job in a path.
pub(super) fn job_id(text: &str) -> Result<JobId, Fault> {
    text.parse().map(JobId).map_err(|_| Fault::unknown(format!("there is no job {text}: jobs have numbers")))
}

pub(super) async fn detail(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<JobDetail>, Fault> {
    let job = job_id(&id)?;
    let read = in_time(admin.read(job)).await?;
    let read = read.ok_or_else(|| Fault::unknown(format!("there is no job {job}")))?;
    Ok(Json(read.told(&admin.github_url)))
}

pub(super) async fn cancel(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Outcome>, Fault> {
    let (job, actor) = (job_id(&id)?, caller.actor().await);
    in_time(admin.actions.cancel(job, &actor)).await.map(Json)
}

pub(super) async fn retry(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Outcome>, Fault> {
    let (job, actor) = (job_id(&id)?, caller.actor().await);
    // No body at all is the same as `{}`, for `curl -X POST`.
    let asked = if body.is_empty() { Ok(RetryRequest::default()) } else { serde_json::from_slice(&body) };
    let asked = asked.map_err(|error| Fault::bad(format!("the body is no request to repeat a job: {error}")))?;
    in_time(admin.actions.retry(job, asked.runs, &actor)).await.map(Json)
}

/// Everything that the database knows of one job.
struct Known {
    view: JobView,
    row: JobRow,
    probes: Vec<ProbeRow>,
    history: Vec<job_events::JobEventRow>,
    strip: Option<Strip>,
    /// The pull requests of its commits, as far as GitHub has told them.
    pulls: BTreeMap<Sha, Vec<PullLink>>,
}

impl Admin {
    async fn read(&self, job: JobId) -> Result<Option<Known>, DbError> {
        let mut tx = self.db.begin().await?;
        let view = job_views::of(&mut tx, &[job]).await?.pop();
        let row = jobs::find(&mut tx, job).await?;
        let probes = probes::probes(&mut tx, job).await?;
        let history = job_events::history(&mut tx, job).await?;
        let shown = jobs::shown(&mut tx, job).await?;
        tx.commit().await?;
        let pulls =
            shown.as_ref().and_then(|shown| serde_json::from_value(shown.pulls.clone()?).ok()).unwrap_or_default();
        let strip = shown.and_then(|shown| shown.strip);
        Ok(view.zip(row).map(|(view, row)| Known { view, row, probes, history, strip, pulls }))
    }
}

impl Known {
    fn told(self, github_url: &str) -> JobDetail {
        let Self { view, row, probes, history, strip, pulls } = self;
        let spec = serde_json::from_value::<JobSpec>(row.spec.clone()).ok();
        let report = row.report.clone().and_then(|report| serde_json::from_value::<Report>(report).ok());
        let subject = |commit: Sha| {
            let line = report.as_ref()?.probes.iter().find(|line| line.commit == commit)?;
            Some(line.subject.clone()).filter(|subject| !subject.is_empty())
        };
        JobDetail {
            links: links(&view, &row, &pulls, github_url),
            job: view,
            good: row.goods().copied().collect(),
            bad: row.bad,
            command: row.command,
            setup: row.setup,
            image: row.image.filter(|image| !image.is_empty()),
            options: spec.map_or_else(Vec::new, |spec| spec.options()),
            timeout_seconds: row.timeout.map(|limit| limit.as_secs_f64()),
            max_seconds: row.max_duration.map(|limit| limit.as_secs_f64()),
            probes: probes.into_iter().map(|probe| told_probe(probe, subject)).collect(),
            history: history.into_iter().map(told_event).collect(),
            strip,
            report: report.as_ref().map(|report| terminal::render(report, Paint { colours: false })),
        }
    }
}

/// A job may end before the subjects of its last commits were noted; its report knows them.
fn told_probe(row: ProbeRow, subject: impl Fn(Sha) -> Option<String>) -> ProbeView {
    let ending = match row.state {
        ProbeState::Ended(ending) => Some(ending),
        ProbeState::Running | ProbeState::Stopped => None,
    };
    ProbeView {
        id: row.id,
        epoch: row.epoch,
        commit: row.commit,
        subject: row.subject.or_else(|| subject(row.commit)),
        position: row.position,
        purpose: row.purpose,
        lane: row.lane,
        ending,
        stopped: row.state == ProbeState::Stopped,
        verdict: row.verdict,
        seconds: row.seconds,
        cached: row.cached,
        started_at: row.started_at,
        finished_at: row.finished_at,
    }
}

fn told_event(row: job_events::JobEventRow) -> HistoryEntry {
    HistoryEntry {
        seq: row.seq,
        kind: row.kind.name().to_owned(),
        epoch: row.epoch,
        worker: row.worker,
        at: row.at,
        detail: job_events::words(&row.detail),
    }
}

/// The comment that asked, the culprit, and the pull requests that brought it.
fn links(view: &JobView, row: &JobRow, pulls: &BTreeMap<Sha, Vec<PullLink>>, github_url: &str) -> Vec<String> {
    if row.repository.is_none() {
        return Vec::new();
    }
    let page = format!("{}/{}", github_url.trim_end_matches('/'), view.repository);
    let comment = row.issue.map(|issue| match row.comment {
        Some(comment) => format!("{page}/issues/{issue}#issuecomment-{comment}"),
        None => format!("{page}/issues/{issue}"),
    });
    let pulls = row.culprit.and_then(|culprit| pulls.get(&culprit)).into_iter().flatten();
    comment
        .into_iter()
        .chain(row.culprit.map(|culprit| format!("{page}/commit/{culprit}")))
        .chain(pulls.map(|pull| format!("{page}/pull/{}", pull.number)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_a_query_names_its_parameter() {
        let mistake = |fault: Fault| format!("{fault:?}");
        assert!(mistake(limit(Some(0)).unwrap_err()).contains("limit: 0"));
        assert!(mistake(limit(Some(1001)).unwrap_err()).contains("limit: 1001"));
        assert_eq!(limit(None).unwrap(), USUAL);
        assert_eq!(states("running,pending,running").unwrap(), [JobStatus::Pending, JobStatus::Running]);
        assert!(mistake(states("running,done").unwrap_err()).contains("status: `done` must be one of pending"));
    }
}
