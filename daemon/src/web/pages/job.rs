//! `/jobs/<id>`: the page of one job.

use super::{
    ago, block,
    frame::Frame,
    html::{Html, Seen},
    line,
    result::ResultCard,
    stamp,
    strip::{self, Picture},
};
use crate::{
    db::{
        DbError, Tx,
        job_events::{self, JobEventRow},
        jobs::Options,
        log_chunks,
        probes::{ProbeRow, ProbeState},
    },
    report::{shell, terminal::duration},
    web::{
        address::Limited,
        ansi::{self, Span},
        read::JobRead,
        site::Site,
    },
};
use askama::Template;
use bisect_shared::{JobId, JobStatus, ProbeId, ResultKind, Sha, Verdict};
use chrono::{DateTime, TimeDelta, Utc};
use rocket::State;
use std::time::Duration;

/// So much of an output is shown; all of it is behind a link.
const SHOWN_BYTES: usize = 48 * 1024;
/// So many runs, the newest, so that a page stays small.
const SHOWN_PROBES: usize = 100;
/// So many options are shown.
const SHOWN_OPTIONS: usize = 30;
/// So long after a job's end the pull requests of its commits may still come.
const PULLS_COME_WITHIN: TimeDelta = TimeDelta::minutes(5);

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

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    /// The newest event that it knows of.
    newest: i64,
    id: i64,
    status: &'static str,
    /// Whether it stays as it is.
    settled: bool,
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
    /// As they stand in a command.
    options: Vec<String>,
    facts: Vec<(&'static str, String)>,
    /// Machine-readable time, time, words.
    history: Vec<(String, String, String)>,
}

#[rocket::get("/jobs/<id>?<probe>&<done>")]
pub(in crate::web) async fn job(
    _limited: Limited,
    frame: Frame,
    id: &str,
    probe: Option<i64>,
    done: Option<&str>,
    site: &State<Site>,
) -> Result<Html, Seen> {
    let id = id.parse().map(JobId).map_err(|_| Seen::unknown("job"))?;
    let viewer = frame.viewer();
    let mut tx = site.db.begin_as_viewer(viewer).await?;
    let read = JobRead::read(&mut tx, site, viewer, id).await?.ok_or_else(|| Seen::unknown("job"))?;
    let chosen = choose(&read, probe);
    let log = match chosen {
        Some(row) => log_of(&mut tx, row).await?,
        None => None,
    };
    tx.rollback().await?;
    let page = page(frame, &read, chosen.map(|row| row.id), log, done);
    if read.view.private { Html::private(&page) } else { Html::render(&page, &page.frame) }
}

fn page(frame: Frame, read: &JobRead, chosen: Option<ProbeId>, log: Option<Log>, done: Option<&str>) -> JobPage {
    let row = &read.row;
    let is_final = read.view.status.is_final();
    let linked = |sha: &Sha| (sha.short(), read.commit_url(*sha));
    let hidden = read.probes.len().saturating_sub(SHOWN_PROBES);
    let found = match (row.result, read.options.fixed) {
        (Some(ResultKind::Culprit), false) => Some("the culprit"),
        (Some(ResultKind::Culprit), true) => Some("the fix"),
        _ => None,
    };
    JobPage {
        newest: read.history.last().map_or(0, |event| event.id),
        id: row.id.0,
        status: row.status.name(),
        settled: is_settled(read),
        headline: headline(read),
        repository: read.view.repository.clone(),
        comment_url: read.comment_url.clone(),
        retry_of: row.retry_of.map(|job| job.0),
        csrf: frame.user.as_ref().filter(|_| read.may_act).map(|user| user.csrf.clone()),
        can_cancel: !is_final && row.cancel_requested_by.is_none(),
        can_retry: is_final,
        notice: done.and_then(|done| notice(done, is_final)),
        progress: progress(read),
        strip: read.strip.as_ref().and_then(|strip| strip::picture(strip, &read.probes, found)),
        result: read.report.as_ref().map(|report| ResultCard::of(report, read)),
        error: read.error(),
        probes: read.probes[hidden..].iter().map(|row| probe_line(row, read, chosen)).collect(),
        hidden_probes: Some(hidden).filter(|hidden| *hidden > 0),
        log,
        command: command(&row.command),
        goods: std::iter::once(&row.good).chain(&row.more_good).take(20).map(linked).collect(),
        bad: linked(&row.bad),
        options: options(&read.options),
        facts: facts(read),
        history: read.history.iter().map(history_line).collect(),
        frame,
    }
}

/// Whether nothing of the page changes any more: the pull requests of what was found come a moment after it.
fn is_settled(read: &JobRead) -> bool {
    let awaits_pulls = || {
        let found = read.report.as_ref().is_some_and(|report| !report.commits.is_empty());
        let soon = read.row.completed_at.is_some_and(|at| Utc::now() - at < PULLS_COME_WITHIN);
        found && read.row.issue.is_some() && read.pulls.is_none() && soon
    };
    read.view.status.is_final() && !awaits_pulls()
}

/// Machine-readable time, time, words.
fn history_line(event: &JobEventRow) -> (String, String, String) {
    let words = format!("{} {}", event.kind.name().replace('_', " "), line(&job_events::words(&event.detail)));
    (event.at.to_rfc3339(), stamp(event.at), words)
}

/// What an action came to, by the word that its answer leads to this page with.
fn notice(done: &str, is_final: bool) -> Option<&'static str> {
    // What has ended says so itself.
    match (done, is_final) {
        ("cancelled", false) => Some("It is being stopped."),
        ("queued", false) => Some("This is the new job; it starts as soon as a server is free."),
        ("nothing", _) => Some("There was nothing left to do: it has ended, or somebody asked before."),
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

async fn log_of(tx: &mut Tx, row: &ProbeRow) -> Result<Option<Log>, DbError> {
    let (bytes, last) = log_chunks::end_of(tx, row.id, SHOWN_BYTES).await?;
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
        (_, JobStatus::Cancelled) => "Bisection cancelled".to_owned(),
        (Some(report), _) => report.title().to_owned(),
        (None, JobStatus::Pending) => "Bisection queued".to_owned(),
        (None, JobStatus::Running) => "Bisecting".to_owned(),
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
    let took = |from: DateTime<Utc>, to: DateTime<Utc>| duration((to - from).num_milliseconds().max(0) as f64 / 1000.0);
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
            // The report says so, too.
            let untold = status == JobStatus::Cancelled && read.report.is_none();
            let by = view.cancel_requested_by.as_ref().filter(|_| untold);
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

/// As it was written: what stands in a comment is run by a shell.
fn command(words: &[String]) -> String {
    match words {
        [shell, flag, script] if shell == "sh" && flag == "-c" => block(script),
        words => block(&shell::join(words)),
    }
}

/// A limit in words: most are whole minutes.
fn limit(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 60.. if seconds % 60 == 0 => {
            format!("{} minute{}", seconds / 60, if seconds == 60 { "" } else { "s" })
        }
        _ => duration(time.as_secs_f64()),
    }
}

/// Options as somebody would write them.
fn options(asked: &Options) -> Vec<String> {
    let quoted = |name: &str, value: &str| format!("{name} {}", shell::join(&[line(value)]));
    let flags = [
        ("--first-parent", asked.first_parent),
        ("--fixed", asked.fixed),
        ("--same-failure", asked.same_failure),
        ("--no-cache", asked.no_cache),
        ("--trust-cache", asked.trust_cache),
    ];
    let flags = flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned());
    let paths = asked.paths.iter().map(|path| quoted("--path", path));
    let skipped = asked.skip.iter().map(|sha| quoted("--skip", &sha.short()));
    let ranges = asked.skip_ranges.iter().map(|range| quoted("--skip", range));
    let runs = asked.runs.map(|runs| format!("--runs {runs}"));
    let confidence = asked.confidence.map(|confidence| format!("--confidence {confidence}"));
    let line = asked.failure_line.as_ref().map(|line| quoted("--failure-line", line));
    flags
        .chain(runs)
        .chain(confidence)
        .chain(line)
        .chain(paths)
        .chain(skipped)
        .chain(ranges)
        .take(SHOWN_OPTIONS)
        .collect()
}

fn facts(read: &JobRead) -> Vec<(&'static str, String)> {
    let (row, asked) = (&read.row, &read.options);
    let names = (!asked.env.is_empty()).then(|| line(&asked.env.join(", ")));
    let network = asked.network.as_deref().map(|network| match network {
        "none" => "none".to_owned(),
        "egress" => "the public internet".to_owned(),
        other => line(other),
    });
    let facts = [
        ("Setup", row.setup.as_deref().map(block)),
        ("Image", row.image.as_deref().filter(|image| !image.is_empty()).map(line)),
        ("Variables", names),
        ("Network", network),
        ("Asked by", row.requested_by.as_deref().map(line)),
        ("Asked", Some(format!("{} ({})", stamp(row.created_at), ago(row.created_at)))),
        ("One run may take", row.timeout.map(limit)),
        ("Silent for", asked.silence.map(duration)),
        ("All may take", row.max_duration.map(limit)),
        ("Runs at once", Some(row.lanes.to_string())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_stands_as_it_was_written() {
        let words = |words: &[&str]| command(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["sh", "-c", "test \"$(cat n)\" -lt 5"]), "test \"$(cat n)\" -lt 5");
        assert_eq!(words(&["pytest", "a b"]), "pytest 'a b'");
        let limits = [60, 1800, 90].map(|seconds| limit(Duration::from_secs(seconds)));
        assert_eq!(limits, ["1 minute", "30 minutes", "1 min 30 s"]);
    }

    #[test]
    fn options_stand_as_in_a_command() {
        let asked = Options {
            first_parent: true,
            runs: Some(5),
            paths: vec!["src".into(), "a b".into()],
            skip: vec![Sha::from_bytes([0xab; 20])],
            skip_ranges: vec!["x\u{1b}[2J..y".into()],
            ..Options::default()
        };
        let written =
            ["--first-parent", "--runs 5", "--path src", "--path 'a b'", "--skip abababababab", "--skip x..y"];
        assert_eq!(options(&asked), written);
        assert!(options(&Options::default()).is_empty());
    }
}
