//! Watches one job from its rows, whichever process runs it, and shows how it goes.

use crate::{
    db::{
        self,
        jobs::{JobRow, Progress},
        probes::{ProbeRow, ProbeState},
    },
    report::terminal::{Paint, duration, plural},
};
use bisect_shared::{JobId, JobStatus, Purpose};
use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{collections::HashSet, io::Write, time::Duration};
use tokio::time::Instant;

/// How often the rows are read.
const EVERY: Duration = Duration::from_millis(200);
/// How long the last look at a job may take.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// From when on it is said how long a run has been going on, in seconds: a line that counts is restless.
const LONG: i64 = 10;

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// A line that changes, on a terminal.
    Bar,
    /// A line for each probe.
    Lines,
    /// Nothing.
    Nothing,
}

/// Follows `job` until it is final, and gives its last row. A database that is away is waited for.
pub(super) async fn follow(
    db: &db::Database,
    job: JobId,
    patience: Duration,
    show: Show,
    paint: Paint,
) -> Result<JobRow, db::DbError> {
    let mut view = View::new(show, paint);
    let mut failing_since: Option<Instant> = None;
    loop {
        match read(db, job).await {
            Ok((row, probes)) => {
                failing_since = None;
                view.update(&row, &probes);
                if row.status.is_final() {
                    view.finish();
                    return Ok(row);
                }
            }
            Err(error) if failing_since.get_or_insert_with(Instant::now).elapsed() > patience => {
                return Err(error);
            }
            Err(error) => tracing::debug!(error = %error, "the job's state could not be read"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The job's last row, if it has ended, and the database answers soon: the process is about to stop.
pub(super) async fn ended(db: &db::Database, job: JobId) -> Option<JobRow> {
    let (row, _) = tokio::time::timeout(LAST_LOOK, read(db, job)).await.ok()?.ok()?;
    row.status.is_final().then_some(row)
}

async fn read(db: &db::Database, job: JobId) -> Result<(JobRow, Vec<ProbeRow>), db::DbError> {
    let mut tx = db.begin().await?;
    // The job before its probes: a final job's probes are then all there.
    let row = db::jobs::find(&mut tx, job).await?;
    let probes = db::probes::probes(&mut tx, job).await?;
    tx.commit().await?;
    let row = row.ok_or_else(|| db::DbError::Missing { what: format!("job {job}") })?;
    Ok((row, probes))
}

struct View {
    show: Show,
    paint: Paint,
    bar: ProgressBar,
    told: HashSet<i64>,
    epoch: i64,
}

impl View {
    fn new(show: Show, paint: Paint) -> Self {
        let target = if show == Show::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { show, paint, bar, told: HashSet::new(), epoch: 0 }
    }

    fn update(&mut self, row: &JobRow, probes: &[ProbeRow]) {
        if row.epoch.0 > self.epoch {
            if self.epoch > 0 {
                let worker = row.worker.as_ref().map_or("another worker", |worker| worker.0.as_str());
                self.line(&format!("going on where it was left: {worker} has it now"));
            }
            self.epoch = row.epoch.0;
        }
        for probe in probes.iter().filter(|probe| matches!(probe.state, ProbeState::Ended(_))) {
            if self.told.insert(probe.id.0) {
                let line = self.probe_line(probe);
                self.line(&line);
            }
        }
        self.bar.set_message(status(row, probes, Utc::now(), self.paint));
    }

    /// Takes the changing line away, and sets what follows apart from the lines that stay.
    fn finish(&self) {
        self.bar.finish_and_clear();
        if self.show != Show::Nothing {
            let _ = writeln!(std::io::stderr());
        }
    }

    fn probe_line(&self, probe: &ProbeRow) -> String {
        let verdict = self.paint.verdict(probe.verdict);
        let ProbeState::Ended(ending) = probe.state else { return String::new() };
        let proof = if probe.purpose == Purpose::Proof { "  (proof)" } else { "" };
        let seconds = duration(probe.seconds.unwrap_or_default());
        format!("{verdict}  {}  {seconds:>8}  {ending}{proof}", probe.commit.short())
    }

    fn line(&self, line: &str) {
        match self.show {
            // On a terminal that cannot move its cursor there is no bar, and it would print nothing.
            Show::Bar if !self.bar.is_hidden() => self.bar.println(line),
            // Standard error may be closed; the result is what counts.
            Show::Bar | Show::Lines => drop(writeln!(std::io::stderr(), "{line}")),
            Show::Nothing => {}
        }
    }
}

/// The line that changes, the most important first: a narrow terminal cuts its end.
fn status(row: &JobRow, probes: &[ProbeRow], now: DateTime<Utc>, paint: Paint) -> String {
    if row.cancel_requested_by.is_some() {
        return "cancelling: stopping what runs".into();
    }
    if row.status == JobStatus::Pending {
        return "waiting for a worker".into();
    }
    if probes.is_empty() {
        return "preparing: fetching, reading the range, starting containers".into();
    }
    let mut parts = Vec::new();
    if let Some(Progress { candidates_left: left, .. }) = row.progress {
        let proving = if left == 1 { ", proving it" } else { "" };
        parts.push(paint.strong(&format!("{left} candidate{} left{proving}", plural(left))));
    }
    let done = probes.iter().filter(|probe| matches!(probe.state, ProbeState::Ended(_))).count();
    let more = row.progress.map(|progress| progress.expected_probes.ceil()).filter(|more| *more > 0.0);
    parts.push(more.map_or_else(
        || format!("{done} done"),
        |more| format!("{done} done, about {more:.0} to go{}", time_left(row.lanes, probes, more)),
    ));
    let running = probes.iter().filter(|probe| probe.state == ProbeState::Running);
    let running: Vec<String> = running.map(|probe| testing(probe, now)).collect();
    if !running.is_empty() {
        parts.push(format!("testing {}", running.join(", ")));
    }
    parts.join(" · ")
}

/// A run in flight: its commit, what for, and for how long if that is long.
fn testing(probe: &ProbeRow, now: DateTime<Utc>) -> String {
    let proof = if probe.purpose == Purpose::Proof { " (proof)" } else { "" };
    let seconds = (now - probe.started_at).num_seconds();
    let time = if seconds < LONG { String::new() } else { format!(" {}", duration(seconds as f64)) };
    format!("{}{proof}{time}", probe.commit.short())
}

/// How long `more` runs on `lanes` lanes may take, from those that ended: ` (40 s)`.
fn time_left(lanes: u32, probes: &[ProbeRow], more: f64) -> String {
    let ended: Vec<(f64, f64)> = probes
        .iter()
        .filter_map(|probe| {
            let all = (probe.finished_at? - probe.started_at).as_seconds_f64();
            matches!(probe.state, ProbeState::Ended(_)).then_some((probe.seconds?, all))
        })
        .collect();
    if ended.is_empty() {
        return String::new();
    }
    let mean = ended.iter().map(|(command, _)| command).sum::<f64>() / ended.len() as f64;
    // What every run costs besides its command; the first ones wait for their containers.
    let besides = ended.iter().map(|(command, all)| (all - command).max(0.0)).fold(f64::INFINITY, f64::min);
    let rounds = (more / f64::from(lanes.max(1))).ceil();
    format!(" ({})", roughly(rounds * (mean + besides)))
}

/// A guess, no more exact than it is: `a few seconds`, `40 s`, `3 min`, `2.5 h`.
fn roughly(seconds: f64) -> String {
    match seconds {
        ..8.0 => "a few seconds".into(),
        ..90.0 => format!("{:.0} s", (seconds / 5.0).round() * 5.0),
        ..5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::probes::ProbeState;
    use bisect_shared::{Ending, Epoch, ProbeId, Sha};
    use chrono::TimeDelta;

    fn probe(state: ProbeState, waited: f64, seconds: f64) -> ProbeRow {
        let started_at = DateTime::UNIX_EPOCH;
        ProbeRow {
            id: ProbeId(1),
            job: JobId(1),
            epoch: Epoch(1),
            commit: "fa1d84b47bad6d8f5f655070d261a1d0b9d605c6".parse::<Sha>().unwrap(),
            purpose: Purpose::Proof,
            lane: 0,
            subject: None,
            position: None,
            image: None,
            state,
            verdict: None,
            seconds: matches!(state, ProbeState::Ended(_)).then_some(seconds),
            cached: false,
            fingerprint: String::new(),
            started_at,
            finished_at: Some(started_at + TimeDelta::milliseconds(((waited + seconds) * 1e3) as i64)),
        }
    }

    #[test]
    fn a_guess_counts_what_every_run_costs_besides_its_command() {
        let ended = |waited, seconds| probe(ProbeState::Ended(Ending::Exited(0)), waited, seconds);
        let probes = [ended(9.0, 10.0), ended(2.0, 10.0), probe(ProbeState::Stopped, 0.0, 500.0)];
        assert_eq!(time_left(1, &probes, 5.0), " (60 s)");
        assert_eq!(time_left(3, &probes, 5.0), " (25 s)");
        assert_eq!(time_left(1, &probes[2..], 5.0), "");
    }

    #[test]
    fn a_guess_is_rough() {
        let told = [0.2, 12.0, 89.0, 100.0, 5399.0, 9000.0].map(roughly);
        assert_eq!(told, ["a few seconds", "10 s", "90 s", "2 min", "90 min", "2.5 h"]);
    }

    #[test]
    fn only_a_long_run_counts_its_seconds() {
        let running = probe(ProbeState::Running, 0.0, 0.0);
        let after = |seconds| testing(&running, running.started_at + TimeDelta::seconds(seconds));
        assert_eq!(after(1), "fa1d84b47bad (proof)");
        assert_eq!(after(65), "fa1d84b47bad (proof) 1 min 05 s");
    }
}
