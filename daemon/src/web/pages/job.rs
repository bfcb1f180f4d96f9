//! `/jobs/<id>`: the page of one job.

use super::{
    frame::Frame,
    html::{Html, Seen},
    strip::{self, Picture},
};
use crate::{
    db::{
        job_events, log_chunks,
        probes::{ProbeRow, ProbeState},
        viewer,
    },
    report::{Report, comment, shell, terminal::duration, text},
    web::{
        Viewer,
        address::Limited,
        ansi::{self, Span},
        pages::{ago, stamp},
        read::JobRead,
        site::Site,
    },
};
use askama::Template;
use bisect_shared::{JobId, JobStatus, ProbeId, ResultKind, Sha, Verdict};
use rocket::State;

/// So much of an output is shown; all of it is behind a link.
const SHOWN_BYTES: usize = 48 * 1024;
/// So many runs, the newest, so that a page stays small.
const SHOWN_PROBES: usize = 100;
/// What users wrote is cut to so many characters where it stands in a line.
const SHOWN_CHARS: usize = 300;

struct ProbeLine {
    id: i64,
    url: String,
    short: String,
    subject: String,
    class: &'static str,
    verdict: &'static str,
    ended: String,
    seconds: String,
    purpose: &'static str,
    selected: bool,
}

struct Log {
    probe: i64,
    short: String,
    /// The piece that is shown last.
    after: String,
    running: bool,
    cut: bool,
    spans: Vec<Span>,
}

struct CommitCard {
    url: String,
    short: String,
    subject: String,
    author: String,
    day: String,
    files: String,
    files_title: String,
}

struct ResultCard {
    good: bool,
    title: &'static str,
    commits: Vec<CommitCard>,
    explanation: String,
    confidence: Option<String>,
    /// Role, commit, ending.
    proof: Vec<(&'static str, String, String)>,
    notes: Vec<String>,
    /// Whether it is code, and the text.
    advice: Vec<(bool, String)>,
    failure: Option<(String, String, Vec<Span>)>,
    steps: String,
    replay: String,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    id: i64,
    status: &'static str,
    headline: String,
    repository: String,
    comment_url: Option<String>,
    retry_of: Option<i64>,
    /// Of who may act.
    csrf: Option<String>,
    can_cancel: bool,
    can_retry: bool,
    notice: Option<&'static str>,
    progress: String,
    strip: Option<Picture>,
    result: Option<ResultCard>,
    error: Option<String>,
    probes: Vec<ProbeLine>,
    hidden_probes: Option<usize>,
    log: Option<Log>,
    command: String,
    goods: Vec<(String, String)>,
    bad: (String, String),
    facts: Vec<(&'static str, String)>,
    /// Machine-readable time, time, words.
    history: Vec<(String, String, String)>,
}

/// Text of users for one line.
fn line(source: &str) -> String {
    let text = text::line(source);
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[rocket::get("/jobs/<id>?<probe>&<done>")]
pub(in crate::web) async fn job(
    _limited: Limited,
    viewer: Viewer,
    id: &str,
    probe: Option<i64>,
    done: Option<&str>,
    site: &State<Site>,
) -> Result<Html, Seen> {
    let id = id.parse().map(JobId).map_err(|_| Seen::unknown("job"))?;
    let read = JobRead::read(site, viewer.id(), id).await?.ok_or_else(|| Seen::unknown("job"))?;
    let shown = choose(&read, probe);
    let log = match shown {
        Some(row) => log_of(site, viewer.id(), id, row).await?,
        None => None,
    };
    let frame = Frame::new("jobs", super::user(&viewer));
    let csrf = frame.user.as_ref().filter(|_| read.may_act).map(|user| user.csrf.clone());
    let is_final = read.view.status.is_final();
    let row = &read.row;
    let linked = |sha: &Sha| (sha.short(), read.commit_url(*sha));
    let hidden = read.probes.len().saturating_sub(SHOWN_PROBES);
    let page = JobPage {
        id: id.0,
        status: row.status.name(),
        headline: headline(&read),
        repository: read.view.repository.clone(),
        comment_url: read.comment_url.clone(),
        retry_of: row.retry_of.map(|job| job.0),
        csrf,
        can_cancel: !is_final && row.cancel_requested_by.is_none(),
        can_retry: is_final,
        notice: done.and_then(notice),
        progress: progress(&read),
        strip: read.strip.as_ref().and_then(|strip| strip::picture(strip, &read.probes)),
        result: read.report.as_ref().map(|report| card(report, &read)),
        error: read.error(),
        probes: read.probes[hidden..].iter().map(|row| probe_line(row, &read, shown.map(|row| row.id))).collect(),
        hidden_probes: Some(hidden).filter(|hidden| *hidden > 0),
        log,
        command: cut_block(&shell::join(&row.command)),
        goods: std::iter::once(&row.good).chain(&row.more_good).take(20).map(linked).collect(),
        bad: linked(&row.bad),
        facts: facts(&read),
        history: read
            .history
            .iter()
            .map(|event| {
                let detail = line(&job_events::words(&event.detail));
                let words = format!("{} {detail}", event.kind.name().replace('_', " "));
                (event.at.to_rfc3339(), stamp(event.at), words)
            })
            .collect(),
        frame,
    };
    Html::render(&page, read.view.private || viewer.user.is_some())
}

/// What an action came to, by the word that its answer leads to this page with.
fn notice(done: &str) -> Option<&'static str> {
    match done {
        "cancelled" => Some("It is being stopped."),
        "queued" => Some("This is the new job; it starts as soon as a server is free."),
        "nothing" => Some("There was nothing left to do: it has ended, or somebody asked before."),
        _ => None,
    }
}

/// The run whose output is shown: the one that was asked for, else one that runs, else the failure, else the newest.
fn choose(read: &JobRead, asked: Option<i64>) -> Option<&ProbeRow> {
    let all = || read.probes.iter().rev();
    if let Some(asked) = asked {
        return all().find(|row| row.id == ProbeId(asked));
    }
    let failure = read.report.as_ref().and_then(|report| report.failure.as_ref()).map(|failure| failure.commit);
    all()
        .find(|row| row.state == ProbeState::Running)
        .or_else(|| all().find(|row| Some(row.commit) == failure && row.state != ProbeState::Stopped))
        .or_else(|| all().next())
}

async fn log_of(site: &Site, viewer: Option<i64>, job: JobId, row: &ProbeRow) -> Result<Option<Log>, Seen> {
    let mut tx = site.db.begin_as_viewer(viewer).await?;
    if !viewer::sees(&mut tx, viewer, job, Some(row.id)).await? {
        return Ok(None);
    }
    let (bytes, last) = log_chunks::end_of(&mut tx, row.id, SHOWN_BYTES).await?;
    tx.rollback().await?;
    let running = row.state == ProbeState::Running;
    if bytes.is_empty() && !running {
        return Ok(None);
    }
    let cut = bytes.len() > SHOWN_BYTES;
    let mut shown = &bytes[bytes.len().saturating_sub(SHOWN_BYTES)..];
    if cut && let Some(end) = shown.iter().position(|byte| *byte == b'\n') {
        shown = &shown[end + 1..];
    }
    let after = last.map_or_else(String::new, |seq| format!("{}:{seq}", row.id));
    Ok(Some(Log { probe: row.id.0, short: row.commit.short(), after, running, cut, spans: ansi::spans(shown) }))
}

fn headline(read: &JobRead) -> String {
    match (&read.report, read.view.status) {
        (Some(report), _) => report.title().to_owned(),
        (None, JobStatus::Pending) => "Bisection queued".to_owned(),
        (None, JobStatus::Running) => "Bisecting".to_owned(),
        (None, JobStatus::Cancelled) => "Bisection cancelled".to_owned(),
        (None, JobStatus::Failed) => "Bisection failed".to_owned(),
        (None, JobStatus::Completed) => {
            let culprit = read.row.culprit.map(|sha| format!(": {}", sha.short())).unwrap_or_default();
            format!(
                "Ended: {}{culprit}",
                read.view.result.map_or("without a result", ResultKind::name).replace('_', " ")
            )
        }
    }
}

/// How far it is, in a sentence.
fn progress(read: &JobRead) -> String {
    let view = &read.view;
    let took = |from: chrono::DateTime<chrono::Utc>, to: chrono::DateTime<chrono::Utc>| {
        duration((to - from).num_milliseconds().max(0) as f64 / 1000.0)
    };
    match view.status {
        JobStatus::Pending => format!("Waits since {} for a free server.", stamp(view.created_at)),
        JobStatus::Running => {
            let stop = view
                .cancel_requested_by
                .as_ref()
                .map_or_else(String::new, |by| format!(" It is being stopped, as {} asked.", line(by)));
            let Some(left) = view.candidates_left else {
                return format!("Reading the history of the repository.{stop}");
            };
            let all = view.candidates.map_or_else(String::new, |all| format!(" of {all}"));
            let expected = view.expected_probes.map_or_else(String::new, |more| {
                let left = view.seconds_per_probe.map_or_else(String::new, |seconds| {
                    format!(" (about {})", duration(seconds * f64::from(more) / f64::from(view.lanes.max(1))))
                });
                format!(", about {more} to go{left}")
            });
            let (done, running) = (view.probes_done, view.probes_running);
            format!("{left}{all} commits under suspicion. {done} runs done, {running} running{expected}.{stop}")
        }
        status => {
            let ended = view.completed_at.unwrap_or(view.created_at);
            let took =
                view.started_at.map_or_else(String::new, |start| format!(", {} after it started", took(start, ended)));
            let by = view.cancel_requested_by.as_ref().filter(|_| status == JobStatus::Cancelled);
            let by = by.map_or_else(String::new, |by| format!(" It was stopped by {}.", line(by)));
            format!("Ended {}{took}. {} runs.{by}", stamp(ended), view.probes_done)
        }
    }
}

fn probe_line(row: &ProbeRow, read: &JobRead, selected: Option<ProbeId>) -> ProbeLine {
    let (class, verdict) = match (row.state, row.verdict) {
        (ProbeState::Running, _) => ("running", "running"),
        (ProbeState::Stopped, _) => ("cancelled", "stopped"),
        (_, Some(Verdict::Good)) => ("good", "good"),
        (_, Some(Verdict::Bad)) => ("bad", "bad"),
        (_, Some(Verdict::Skip)) => ("skip", "skip"),
        (_, None) => ("cancelled", "open"),
    };
    let ended = match row.state {
        ProbeState::Ended(ending) => ending.to_string(),
        ProbeState::Running | ProbeState::Stopped => String::new(),
    };
    let seconds = row.seconds.map_or_else(String::new, |seconds| format!("{seconds:.1}"));
    ProbeLine {
        id: row.id.0,
        url: read.commit_url(row.commit),
        short: row.commit.short(),
        subject: read.subject(row).map_or_else(String::new, |subject| line(&subject)),
        class,
        verdict,
        ended: if row.cached { format!("{ended} (remembered)") } else { ended },
        seconds,
        purpose: row.purpose.name(),
        selected: selected == Some(row.id),
    }
}

/// A block of a user's text, its lines kept, not too long.
fn cut_block(source: &str) -> String {
    let shown = text::filter(source.as_bytes(), false);
    match shown.char_indices().nth(4000) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

fn card(report: &Report, read: &JobRead) -> ResultCard {
    let confidence = (report.confidence > 0.0).then(|| format!("{:.0}", report.confidence * 100.0));
    let proof = report.proof.iter().take(20).map(|line| {
        let ending = line.ending.map_or_else(|| "could not be run".to_owned(), |ending| ending.to_string());
        (if line.is_culprit { "The culprit" } else { "Its parent" }, line.commit.short(), ending)
    });
    // Our own words, in which code stands between backticks.
    let advice = comment::advice(report).unwrap_or_default();
    let advice = advice.split('`').enumerate().map(|(n, part)| (n % 2 == 1, part.to_owned()));
    ResultCard {
        good: report.result == ResultKind::Culprit,
        title: report.title(),
        commits: report.commits.iter().take(10).map(|commit| commit_card(commit, read)).collect(),
        explanation: cut_block(&comment::plain_explanation(report)),
        confidence,
        proof: proof.collect(),
        notes: report.notes.iter().take(10).map(|note| line(note)).collect(),
        advice: advice.filter(|(_, part)| !part.is_empty()).collect(),
        failure: report
            .failure
            .as_ref()
            .map(|failure| (failure.commit.short(), failure.ending.to_string(), ansi::spans(failure.tail.as_bytes()))),
        steps: cut_block(&comment::steps(report)),
        replay: text::filter(report.replay.as_bytes(), false).chars().take(16_000).collect(),
    }
}

fn commit_card(commit: &crate::report::Commit, read: &JobRead) -> CommitCard {
    let files: Vec<String> = commit.files.iter().take(50).map(|file| line(file)).collect();
    let more = commit.files.len() - files.len();
    let count = commit.files.len();
    CommitCard {
        url: read.commit_url(commit.sha),
        short: commit.sha.short(),
        subject: line(&commit.subject),
        author: line(commit.author.split(" <").next().unwrap_or_default()),
        day: line(commit.date.split('T').next().unwrap_or_default()),
        files: files.join("\n") + &if more > 0 { format!("\n… and {more} more") } else { String::new() },
        files_title: format!("{count} changed file{}", if count == 1 { "" } else { "s" }),
    }
}

fn facts(read: &JobRead) -> Vec<(&'static str, String)> {
    let row = &read.row;
    let limit = |time: std::time::Duration| duration(time.as_secs_f64());
    let facts = [
        ("Setup", row.setup.as_deref().map(cut_block)),
        ("Image", row.image.as_deref().filter(|image| !image.is_empty()).map(line)),
        ("Asked by", row.requested_by.as_deref().map(line)),
        ("Asked", Some(format!("{} ({})", stamp(row.created_at), ago(row.created_at)))),
        ("One run may take", row.timeout.map(limit)),
        ("All may take", row.max_duration.map(limit)),
        ("Runs at once", Some(row.lanes.to_string())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
