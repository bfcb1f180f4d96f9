//! Jobs, their probes, their output.

use crate::{Ending, Epoch, InstanceId, JobId, JobStatus, ProbeId, Purpose, ResultKind, Sha, Verdict};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A job as a line of a table shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// The job.
    pub id: JobId,
    /// Its state.
    pub status: JobStatus,
    /// What it ended with.
    pub result: Option<ResultKind>,
    /// `owner/name`, or the path or address of a job from a shell.
    pub repository: String,
    /// Whether the repository is private.
    #[serde(default)]
    pub private: bool,
    /// The issue it was asked for on.
    pub issue: Option<i64>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// The job that this one repeats.
    pub retry_of: Option<JobId>,
    /// Commits that may still be the culprit; `None` before the range is read.
    pub candidates_left: Option<i64>,
    /// Commits that might have been it at first.
    #[serde(default)]
    pub candidates: Option<i64>,
    /// Runs that ended.
    pub probes_done: i64,
    /// Runs under way.
    pub probes_running: i64,
    /// Further runs that the search expects to need.
    pub expected_probes: Option<i32>,
    /// Mean seconds of a run of this job, where one has ended.
    pub seconds_per_probe: Option<f64>,
    /// Probes at once, at most.
    pub lanes: u32,
    /// The culprit.
    pub culprit: Option<Sha>,
    /// Why it failed.
    pub error: Option<String>,
    /// Who works on it, or did last.
    pub worker: Option<InstanceId>,
    /// When its worker was last heard of.
    pub heartbeat_at: Option<DateTime<Utc>>,
    /// Takeovers after a crash count.
    pub attempt: i32,
    /// The number of its claim.
    pub epoch: Epoch,
    /// The number of its last event: of two views of a job, the higher is the newer.
    pub seq: i64,
    /// Who asked for it to be stopped.
    pub cancel_requested_by: Option<String>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it was first claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

/// What `/v1/jobs` is asked for. Newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobQuery {
    /// Only jobs in one of these states, separated by commas; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Only those with a lower number than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// So many at most; 200 without it, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    /// Highest number first.
    pub jobs: Vec<JobView>,
    /// Ask with `before` this number for more; `None` at the end.
    pub next: Option<i64>,
}

/// Everything about one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobDetail {
    /// As in the table.
    pub job: JobView,
    /// The good ends.
    pub good: Vec<Sha>,
    /// The bad end.
    pub bad: Sha,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Run before it at every commit.
    pub setup: Option<String>,
    /// The image.
    pub image: Option<String>,
    /// Options that change what is searched, as one would write them (`--first-parent`, `--path src`).
    pub options: Vec<String>,
    /// The longest one run may take, in seconds.
    pub timeout_seconds: Option<f64>,
    /// The longest the job may take, in seconds.
    pub max_seconds: Option<f64>,
    /// All its runs, in the order in which they were started.
    pub probes: Vec<ProbeView>,
    /// Its history, in order.
    pub history: Vec<HistoryEntry>,
    /// The range as it is known now; `None` before it is read.
    pub strip: Option<Strip>,
    /// The result as the terminal of a shell would show it, without colours.
    pub report: Option<String>,
    /// Links for people: the comment that asked, the culprit, its pull request.
    #[serde(default)]
    pub links: Vec<String>,
}

/// One run of one commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeView {
    /// The run.
    pub id: ProbeId,
    /// The claim under which it ran.
    pub epoch: Epoch,
    /// What was tested.
    pub commit: Sha,
    /// The first line of its message.
    pub subject: Option<String>,
    /// Its place in the range, 0 being the oldest; `None` outside of it (the good end, a merge base).
    pub position: Option<u32>,
    /// What for.
    pub purpose: Purpose,
    /// The workspace it ran in.
    pub lane: u32,
    /// How it ended; `None` while it runs, and when it was stopped.
    pub ending: Option<Ending>,
    /// Whether it was stopped before it ended by itself.
    pub stopped: bool,
    /// What it says about its commit.
    pub verdict: Option<Verdict>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// Whether it was remembered instead of run.
    pub cached: bool,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended or was stopped.
    pub finished_at: Option<DateTime<Utc>>,
}

impl ProbeView {
    /// Whether it runs now.
    #[must_use]
    pub const fn running(&self) -> bool {
        self.ending.is_none() && !self.stopped
    }
}

/// One row of `job_events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// 1, 2, 3, … within the job.
    pub seq: i64,
    /// What happened, by the name in `job_events.kind`.
    pub kind: String,
    /// The claim's number at that time.
    pub epoch: Epoch,
    /// The process that did it.
    pub worker: Option<InstanceId>,
    /// When.
    pub at: DateTime<Utc>,
    /// What else there is to say, as words (`by ada`, `reason: shutdown`); may be empty.
    pub detail: String,
}

/// What is known of one piece of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StripMark {
    /// Cannot be the culprit any more: good, or before a good one.
    Good,
    /// Cannot be it any more: bad, and the break is before.
    Bad,
    /// May be it.
    Candidate,
    /// May be it, and cannot be tested.
    Skipped,
}

/// The range in topological order, oldest first, as runs of commits of which the same is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strip {
    /// How many commits, and what is known of them. The counts add up to the length of the range.
    pub pieces: Vec<(StripMark, u32)>,
    /// Where the test fails by chance, too: how probable it is that the culprit is in each of so many parts of nearly the same
    /// length, oldest first, in thousandths. Else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub odds: Vec<u16>,
}

impl Strip {
    /// The length of the range.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.pieces.iter().map(|(_, count)| u64::from(*count)).sum()
    }
}

/// What `/v1/jobs/<id>/log` is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// Only the output of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<i64>,
    /// Whether to go on, as more is printed, until the job has ended and everything was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
    /// What is known already: `probe:seq` of the last piece of each run, separated by commas. So a connection that
    /// was lost goes on where it was, with nothing missing and nothing doubled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// `text` for the bytes alone, without [`LogPiece`] around them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// One line of the log's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPiece {
    /// Whose output.
    pub probe: ProbeId,
    /// 0, 1, 2, … within the run.
    pub seq: i64,
    /// When it was stored.
    pub at: DateTime<Utc>,
    /// The bytes as they were printed, in base64 (RFC 4648, 4): any bytes, cut anywhere.
    pub bytes: String,
}
