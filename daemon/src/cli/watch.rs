//! Watches one job from its rows, whichever process runs it, and shows how it goes.

use crate::{
    db::{
        self,
        jobs::{JobRow, Progress},
        probes::{ProbeRow, ProbeState},
    },
    report::terminal::{Paint, duration, plural},
};
use bisect_shared::{JobId, JobStatus, Purpose, Verdict};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{collections::HashSet, io::Write, time::Duration};
use tokio::time::Instant;

/// How often the rows are read.
const EVERY: Duration = Duration::from_millis(200);

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
                    view.bar.finish_and_clear();
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

/// The job's last row, if it has ended.
pub(super) async fn ended(db: &db::Database, job: JobId) -> Option<JobRow> {
    let (row, _) = read(db, job).await.ok()?;
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
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { show, paint, bar, told: HashSet::new(), epoch: 0 }
    }

    fn update(&mut self, row: &JobRow, probes: &[ProbeRow]) {
        if row.epoch.0 > self.epoch {
            if self.epoch > 0 {
                self.line(&format!(
                    "taken over by {}",
                    row.worker.as_ref().map_or("another worker", |worker| worker.0.as_str())
                ));
            }
            self.epoch = row.epoch.0;
        }
        for probe in probes.iter().filter(|probe| matches!(probe.state, ProbeState::Ended(_))) {
            if self.told.insert(probe.id.0) {
                let line = self.probe_line(probe);
                self.line(&line);
            }
        }
        self.bar.set_message(self.status(row, probes));
    }

    fn probe_line(&self, probe: &ProbeRow) -> String {
        let verdict = self.paint.verdict(probe.verdict);
        let ProbeState::Ended(ending) = probe.state else { return String::new() };
        let proof = if probe.purpose == Purpose::Proof { "  (proof)" } else { "" };
        let seconds = duration(probe.seconds.unwrap_or_default());
        format!("{verdict}  {}  {seconds:>8}  {ending}{proof}", probe.commit.short())
    }

    fn status(&self, row: &JobRow, probes: &[ProbeRow]) -> String {
        if row.status == JobStatus::Pending {
            return "waiting for a worker".into();
        }
        let running: Vec<String> = probes
            .iter()
            .filter(|probe| probe.state == ProbeState::Running)
            .map(|probe| probe.commit.short())
            .collect();
        let done = probes.iter().filter(|probe| matches!(probe.state, ProbeState::Ended(_))).count();
        let mut parts = Vec::new();
        if let Some(Progress { candidates_left: left, .. }) = row.progress {
            parts.push(self.paint.strong(&format!("{left} candidate{} left", plural(left))));
        }
        parts.push(format!("{done} done"));
        if !running.is_empty() {
            parts.push(format!("running {}", running.join(" ")));
        }
        if let Some(more) = row.progress.map(|progress| progress.expected_probes).filter(|more| *more > 0.0) {
            parts.push(format!("about {more:.0} more{}", time_left(row, probes, more)));
        }
        if probes.is_empty() {
            parts = vec!["preparing: fetching, reading the range, starting containers".into()];
        }
        parts.join(" · ")
    }

    fn line(&self, line: &str) {
        match self.show {
            Show::Bar => self.bar.println(line),
            // Standard error may be closed; the result is what counts.
            Show::Lines => drop(writeln!(std::io::stderr(), "{line}")),
            Show::Nothing => {}
        }
    }
}

/// What is left, from the mean of the runs so far: `, about 40 s`.
fn time_left(row: &JobRow, probes: &[ProbeRow], more: f64) -> String {
    let seconds: Vec<f64> =
        probes.iter().filter(|probe| probe.verdict != Some(Verdict::Skip)).filter_map(|probe| probe.seconds).collect();
    if seconds.is_empty() {
        return String::new();
    }
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    // K lanes save rounds, not probes: each round narrows by K + 1 where one lane halves.
    let rounds = more / f64::from(row.lanes + 1).log2().max(1.0);
    format!(", {}", duration(rounds * mean))
}
