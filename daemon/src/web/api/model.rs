//! The API's own types: what viewers are told, without what only operators are.

use crate::{
    db::{
        job_events::{self, JobEventRow},
        jobs::Options,
        probes::{ProbeRow, ProbeState},
        viewer::{RepositoryView, UsageView},
    },
    report::{self, Commit, Likely, ProofLine, Report},
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

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomeAnswer {
    /// `culprit`, `suspects`, `not_reproducible`, and so on.
    pub result: &'static str,
    /// The same as a headline.
    pub title: &'static str,
    /// What that means.
    pub explanation: String,
    /// What to do next.
    pub advice: Option<String>,
    /// The probability that the answer is right, 0 to 1.
    pub confidence: f64,
    /// The commits that cannot be told apart, full ids.
    pub suspects: Vec<String>,
    /// The culprit, or the first suspects.
    pub commits: Vec<CommitAnswer>,
    /// The runs that prove the culprit.
    pub proof: Vec<ProofAnswer>,
    /// How probable each commit is, where the test fails by chance, too: the likeliest first.
    pub likely: Vec<LikelyAnswer>,
    /// The end of the output of the failure that was hunted, without its colours.
    pub failure: Option<String>,
    /// What else a reader should know.
    pub notes: Vec<String>,
    /// Commits under suspicion at the start.
    pub candidates: usize,
    /// From the first claim to the result.
    pub seconds: f64,
    /// Shell commands that show the same in a clone.
    pub reproduce: String,
    /// A log for `git bisect replay`.
    pub replay: String,
}

/// A commit as people know it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommitAnswer {
    /// Its full id.
    pub sha: String,
    /// Its author's name.
    pub author: String,
    /// The author's date, ISO 8601.
    pub date: String,
    /// The first line of its message.
    pub subject: String,
    /// Changed files, each with its status letter.
    pub files: Vec<String>,
    /// The pull requests that brought it, as far as GitHub has told them.
    pub pulls: Vec<PullAnswer>,
}

/// A pull request.
#[derive(Debug, Serialize, ToSchema)]
pub struct PullAnswer {
    /// Its number.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// Its page on GitHub.
    pub url: String,
}

/// One run in a fresh workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProofAnswer {
    /// The commit, its full id.
    pub commit: String,
    /// Whether it is the culprit itself or one of its parents.
    pub is_culprit: bool,
    /// How the run ended, in words.
    pub ending: Option<String>,
    /// `good`, `bad` or `skip`.
    pub verdict: Option<&'static str>,
}

/// A commit that may be it, where the test fails by chance, too.
#[derive(Debug, Serialize, ToSchema)]
pub struct LikelyAnswer {
    /// The commit, its full id.
    pub commit: String,
    /// How probable it is, 0 to 1.
    pub probability: f64,
    /// The first line of its message.
    pub subject: String,
}

impl From<&Likely> for LikelyAnswer {
    fn from(likely: &Likely) -> Self {
        let subject = report::text::line(&likely.subject);
        Self { commit: likely.commit.to_string(), probability: likely.probability, subject }
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

impl OutcomeAnswer {
    fn of(report: &Report, read: &JobRead) -> Self {
        Self {
            result: report.result.name(),
            title: report.title(),
            explanation: report::comment::plain_explanation(report),
            advice: report::comment::advice(report),
            confidence: report.confidence,
            suspects: report.suspects.iter().map(Sha::to_string).collect(),
            commits: report.commits.iter().map(|commit| CommitAnswer::of(commit, read)).collect(),
            proof: report.proof.iter().map(Into::into).collect(),
            likely: report.odds.iter().flat_map(|odds| &odds.likely).map(Into::into).collect(),
            failure: report.failure.as_ref().map(|it| report::text::shown_tail(&it.tail, false).into_owned()),
            notes: report.notes.clone(),
            candidates: report.candidates,
            seconds: report.seconds,
            reproduce: report::comment::steps(report),
            replay: report.replay.clone(),
        }
    }
}

impl CommitAnswer {
    fn of(commit: &Commit, read: &JobRead) -> Self {
        let text = report::text::line;
        let pulls = read.pulls_of(commit.sha).iter();
        Self {
            sha: commit.sha.to_string(),
            // Without the address: a page is read by more people than a history.
            author: text(commit.author.split(" <").next().unwrap_or_default()),
            date: commit.date.clone(),
            subject: text(&commit.subject),
            files: commit.files.clone(),
            pulls: pulls
                .map(|pull| PullAnswer { number: pull.number, title: text(&pull.title), url: read.pull_url(pull) })
                .collect(),
        }
    }
}

impl From<&ProofLine> for ProofAnswer {
    fn from(line: &ProofLine) -> Self {
        Self {
            commit: line.commit.to_string(),
            is_culprit: line.is_culprit,
            ending: line.ending.map(|ending| ending.to_string()),
            verdict: line.verdict.map(Verdict::name),
        }
    }
}

impl From<&JobRead> for JobAnswer {
    fn from(read: &JobRead) -> Self {
        let row = &read.row;
        Self {
            job: (&read.view).into(),
            good: std::iter::once(row.good).chain(row.more_good.iter().copied()).map(|sha| sha.to_string()).collect(),
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

/// A repository with the App on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryAnswer {
    /// `owner/name`.
    pub full_name: String,
    /// Whether only some may read it.
    pub private: bool,
    /// Its main branch, where it is known.
    pub default_branch: Option<String>,
    /// What GitHub lets the viewer do there: `read`, `triage`, `write`, `maintain`, `admin`; `null` where it is public
    /// and not theirs.
    pub permission: Option<String>,
    /// Its newest job.
    pub last_job: Option<i64>,
}

impl From<RepositoryView> for RepositoryAnswer {
    fn from(view: RepositoryView) -> Self {
        Self {
            full_name: view.full_name,
            private: view.private,
            default_branch: view.default_branch,
            permission: view.permission,
            last_job: view.last_job.map(|job| job.0),
        }
    }
}

/// A page of repositories, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryList {
    /// The repositories.
    pub repositories: Vec<RepositoryAnswer>,
    /// Ask with `after` this name for more; `null` at the end.
    pub next: Option<String>,
}

/// What the viewer's installations used this month.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageList {
    /// One for each installation, by the account's name; none for somebody who is not signed in.
    pub installations: Vec<UsageAnswer>,
}

/// What one installation used this month, and may use.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageAnswer {
    /// The account it is on.
    pub account: String,
    /// `free`, `pro` or `enterprise`.
    pub tier: String,
    /// Jobs of this month.
    pub jobs: u32,
    /// Those of them that came to a result.
    pub completed: u32,
    /// Those that failed.
    pub failed: u32,
    /// Runs of commits.
    pub probes: u32,
    /// Their seconds together.
    pub probe_seconds: f64,
    /// Jobs that a month may have; `null` for no limit.
    pub jobs_per_month: Option<u32>,
    /// The longest that one job may take.
    pub max_duration_minutes: u32,
    /// Jobs at once.
    pub max_concurrent: u32,
    /// When the month ends.
    pub resets_at: DateTime<Utc>,
}

impl From<UsageView> for UsageAnswer {
    fn from(view: UsageView) -> Self {
        let UsageView { account, tier, jobs, completed, failed, probes, probe_seconds, .. } = view;
        let UsageView { jobs_per_month, max_duration_minutes, max_concurrent, resets_at, .. } = view;
        Self {
            account,
            tier,
            jobs,
            completed,
            failed,
            probes,
            probe_seconds,
            jobs_per_month,
            max_duration_minutes,
            max_concurrent,
            resets_at,
        }
    }
}
