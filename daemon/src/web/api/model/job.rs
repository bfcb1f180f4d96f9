//! A job: what was asked for, its runs, its history.

use super::outcome::OutcomeAnswer;
use crate::{
    db::{
        job_events::{self, JobEventRow},
        jobs::Options,
        probes::{ProbeRow, ProbeState},
    },
    web::read::JobRead,
};
use bisect_shared::{
    ResultKind, Sha, Verdict,
    admin::{JobView, Strip, StripMark},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// A job as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct JobSummary {
    /// Its number.
    pub id: i64,
    /// `pending`, `running`, `completed`, `failed` or `cancelled`.
    pub status: &'static str,
    /// What it ended with: `culprit`, `suspects`, `not_reproducible`, and so on.
    pub result: Option<&'static str>,
    /// `owner/name`.
    pub repository: String,
    /// Whether the repository is private.
    pub private: bool,
    /// The issue or pull request it was asked for on.
    pub issue: Option<i64>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// The job that this one repeats.
    pub retry_of: Option<i64>,
    /// Commits that might have been the culprit at first.
    pub candidates: Option<i64>,
    /// Commits that may still be it.
    pub candidates_left: Option<i64>,
    /// Runs that ended.
    pub probes_done: i64,
    /// Runs under way.
    pub probes_running: i64,
    /// Further runs that the search expects to need.
    pub expected_probes: Option<i32>,
    /// The full id of the culprit.
    pub culprit: Option<String>,
    /// The number of its last event: of two answers about a job, the higher is the newer.
    pub seq: i64,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it was first claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

impl From<&JobView> for JobSummary {
    fn from(view: &JobView) -> Self {
        Self {
            id: view.id.0,
            status: view.status.name(),
            result: view.result.map(ResultKind::name),
            repository: view.repository.clone(),
            private: view.private,
            issue: view.issue,
            requested_by: view.requested_by.clone(),
            retry_of: view.retry_of.map(|job| job.0),
            candidates: view.candidates,
            candidates_left: view.candidates_left,
            probes_done: view.probes_done,
            probes_running: view.probes_running,
            expected_probes: view.expected_probes,
            culprit: view.culprit.as_ref().map(Sha::to_string),
            seq: view.seq,
            created_at: view.created_at,
            started_at: view.started_at,
            completed_at: view.completed_at,
        }
    }
}

/// A page of jobs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
    /// Ask with `before` this number for more; `null` at the end.
    pub next: Option<i64>,
}

/// Everything about one job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobAnswer {
    /// As in the list.
    pub job: JobSummary,
    /// The good ends, full ids.
    pub good: Vec<String>,
    /// The bad end.
    pub bad: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Run before it at every commit.
    pub setup: Option<String>,
    /// The image, where one was named.
    pub image: Option<String>,
    /// The longest one run may take.
    pub timeout_seconds: Option<f64>,
    /// The longest the job may take.
    pub max_seconds: Option<f64>,
    /// What else was asked for.
    pub options: OptionsAnswer,
    /// The range, oldest first, in pieces of which the same is known; `null` before it is read.
    pub range: Option<Vec<Piece>>,
    /// All runs, in the order in which they were started.
    pub probes: Vec<ProbeAnswer>,
    /// What happened to the job, in order.
    pub history: Vec<HistoryAnswer>,
    /// The result, once there is one.
    pub outcome: Option<OutcomeAnswer>,
    /// Why there is none.
    pub error: Option<String>,
    /// Whether the viewer may cancel and retry it.
    pub may_act: bool,
    /// Where to read on.
    pub links: LinksAnswer,
}

/// What was asked for besides ends and command.
#[derive(Debug, Serialize, ToSchema)]
pub struct OptionsAnswer {
    /// Only first parents are followed.
    pub first_parent: bool,
    /// The commit that fixed it is sought.
    pub fixed: bool,
    /// So many runs for each step at most, of a test that fails by chance.
    pub runs: Option<u32>,
    /// How sure the answer of such a test is to be, 0 to 1.
    pub confidence: Option<f64>,
    /// Only the failure of the bad end counts.
    pub same_failure: bool,
    /// Only failures that print a line which matches this regular expression count.
    pub failure_line: Option<String>,
    /// Nothing that earlier jobs found out was used.
    pub no_cache: bool,
    /// What earlier jobs found out was taken for the ends and for the proof, too.
    pub trust_cache: bool,
    /// Only commits that touch these are considered.
    pub paths: Vec<String>,
    /// Never tested: full ids, and ranges of them.
    pub skip: Vec<String>,
    /// `none` or `egress`.
    pub network: Option<String>,
    /// The names of the variables that are set for the command; their values are nobody's.
    pub env: Vec<String>,
}

impl From<&Options> for OptionsAnswer {
    fn from(options: &Options) -> Self {
        let skip = options.skip.iter().map(Sha::to_string).chain(options.skip_ranges.iter().cloned());
        Self {
            first_parent: options.first_parent,
            fixed: options.fixed,
            runs: options.runs,
            confidence: options.confidence,
            same_failure: options.same_failure,
            failure_line: options.failure_line.clone(),
            no_cache: options.no_cache,
            trust_cache: options.trust_cache,
            paths: options.paths.clone(),
            skip: skip.collect(),
            network: options.network.clone(),
            env: options.env.clone(),
        }
    }
}

/// Commits of which the same is known.
#[derive(Debug, Serialize, ToSchema)]
pub struct Piece {
    /// `good` and `bad`: cannot be the culprit any more; `candidate`: may be it; `skipped`: may be it, and cannot be tested.
    pub mark: &'static str,
    /// How many.
    pub commits: u32,
}

/// One run of one commit.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProbeAnswer {
    /// Its number.
    pub id: i64,
    /// What was tested, a full id.
    pub commit: String,
    /// The first line of its message.
    pub subject: Option<String>,
    /// Its place in the range, 0 being the oldest; `null` outside of it.
    pub position: Option<u32>,
    /// `search` or `proof`.
    pub purpose: &'static str,
    /// `running`, `stopped` or `ended`.
    pub state: &'static str,
    /// How it ended, in words: `exit 1`, `timed out`.
    pub ending: Option<String>,
    /// The status of the command, where there is one.
    pub exit_code: Option<u8>,
    /// `good`, `bad` or `skip`.
    pub verdict: Option<&'static str>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// Whether it was remembered instead of run.
    pub cached: bool,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended or was stopped.
    pub finished_at: Option<DateTime<Utc>>,
}

impl ProbeAnswer {
    fn of(row: &ProbeRow, subject: Option<&str>) -> Self {
        let (state, ending) = match row.state {
            ProbeState::Running => ("running", None),
            ProbeState::Stopped => ("stopped", None),
            ProbeState::Ended(ending) => ("ended", Some(ending)),
        };
        Self {
            id: row.id.0,
            commit: row.commit.to_string(),
            subject: subject.map(str::to_owned),
            position: row.position,
            purpose: row.purpose.name(),
            state,
            ending: ending.map(|ending| ending.to_string()),
            exit_code: ending.and_then(bisect_shared::Ending::exit_code),
            verdict: row.verdict.map(Verdict::name),
            seconds: row.seconds,
            cached: row.cached,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// Something that happened to a job.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryAnswer {
    /// 1, 2, 3, … within the job.
    pub seq: i64,
    /// `queued`, `claimed`, `released`, `completed`, and so on.
    pub kind: &'static str,
    /// When.
    pub at: DateTime<Utc>,
    /// What else there is to say; may be empty.
    pub detail: String,
}

impl From<&JobEventRow> for HistoryAnswer {
    fn from(row: &JobEventRow) -> Self {
        Self { seq: row.seq, kind: row.kind.name(), at: row.at, detail: job_events::words(&row.detail) }
    }
}

/// Where to read on.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinksAnswer {
    /// The job's page here.
    pub page: String,
    /// Its output.
    pub log: String,
    /// The comment that asked for it.
    pub comment: Option<String>,
    /// The culprit on GitHub.
    pub culprit: Option<String>,
}

impl From<&JobRead> for JobAnswer {
    fn from(read: &JobRead) -> Self {
        let row = &read.row;
        Self {
            job: (&read.view).into(),
            good: row.goods().map(Sha::to_string).collect(),
            bad: row.bad.to_string(),
            command: row.command.clone(),
            setup: row.setup.clone(),
            image: row.image.clone().filter(|image| !image.is_empty()),
            timeout_seconds: row.timeout.map(|limit| limit.as_secs_f64()),
            max_seconds: row.max_duration.map(|limit| limit.as_secs_f64()),
            options: (&read.options).into(),
            range: read.strip.as_ref().map(pieces),
            probes: read.probes.iter().map(|row| ProbeAnswer::of(row, read.subject(row).as_deref())).collect(),
            history: read.history.iter().map(Into::into).collect(),
            outcome: read.report.as_ref().map(|report| OutcomeAnswer::of(report, read)),
            error: read.error(),
            may_act: read.may_act,
            links: LinksAnswer {
                page: format!("/jobs/{}", row.id),
                log: format!("/api/jobs/{}/log", row.id),
                comment: read.comment_url.clone(),
                culprit: row.culprit.map(|sha| read.commit_url(sha)),
            },
        }
    }
}

fn pieces(strip: &Strip) -> Vec<Piece> {
    let name = |mark| match mark {
        StripMark::Good => "good",
        StripMark::Bad => "bad",
        StripMark::Candidate => "candidate",
        StripMark::Skipped => "skipped",
    };
    strip.pieces.iter().map(|(mark, commits)| Piece { mark: name(*mark), commits: *commits }).collect()
}
