//! What is recorded of a job, and what its search comes to.

use super::{Runner, interrupt::Interrupted, persist::Unwritten};
use crate::{
    db::{
        self,
        probes::{ProbeRow, ProbeState},
    },
    queue::Lease,
    search::{Conclusion, Run},
};
use bisect_shared::{ProbeId, Verdict};
use std::{collections::HashMap, time::Duration};

/// A finished run with the number of its row and what was stored as its verdict.
#[derive(Debug, Clone)]
pub(super) struct RecordedRun {
    pub(super) probe: ProbeId,
    pub(super) run: Run,
    pub(super) verdict: Option<Verdict>,
    pub(super) took: Duration,
    /// Remembered from another job, not run.
    pub(super) remembered: bool,
}

/// What the search came to.
pub(super) enum Finding {
    /// Its own end.
    Concluded(Conclusion),
    /// Something ended it before.
    Interrupted(Interrupted),
    /// What it runs on failed for too long.
    Infrastructure(String),
}

impl From<Unwritten> for Finding {
    fn from(why: Unwritten) -> Self {
        match why {
            Unwritten::Interrupted(interrupted) => Self::Interrupted(interrupted),
            Unwritten::Refused(error) => Self::Infrastructure(error.to_string()),
        }
    }
}

/// Every row of the job's probes, and the image that the job ran in last.
pub(super) async fn recorded_rows(
    runner: &Runner,
    lease: &Lease,
) -> Result<(Vec<ProbeRow>, Option<String>), db::DbError> {
    let mut tx = runner.db.begin().await?;
    let rows = db::probes::probes(&mut tx, lease.job()).await?;
    let image = db::jobs::image(&mut tx, lease.job()).await?;
    tx.commit().await?;
    Ok((rows, image))
}

/// The runs that count for a job that runs in `image` from now on, and what is to be told of the others: a run in
/// another image, whatever its name was, says nothing about this one.
pub(super) fn same_image(rows: Vec<ProbeRow>, name: &str, image: Option<&str>) -> (Vec<RecordedRun>, Vec<String>) {
    let other = |row: &ProbeRow| row.image.as_deref().zip(image).is_some_and(|(then, now)| then != now);
    let (others, same): (Vec<ProbeRow>, Vec<ProbeRow>) = rows.into_iter().partition(other);
    let runs = same.into_iter().filter_map(recorded).collect();
    let mut images: Vec<String> = others.iter().filter_map(|row| row.image.as_deref().map(short)).collect();
    images.sort_unstable();
    images.dedup();
    let lost = others.into_iter().filter_map(recorded).count();
    if lost == 0 {
        return (runs, Vec::new());
    }
    let note = format!(
        "{lost} runs of earlier attempts do not count: where they ran the image {name} was {}, here it is {}",
        images.join(", "),
        image.map_or_else(String::new, short)
    );
    (runs, vec![note])
}

/// As `docker images` shows it.
fn short(image: &str) -> String {
    let digits = image.rsplit(':').next().unwrap_or(image);
    digits.chars().take(12).collect()
}

/// A row that counts: a run that ended by itself, or was ended for what it did.
fn recorded(row: ProbeRow) -> Option<RecordedRun> {
    let ProbeState::Ended(ending) = row.state else { return None };
    Some(RecordedRun {
        probe: row.id,
        run: Run {
            commit: row.commit,
            purpose: row.purpose,
            ending,
            said: row.fingerprint.parse().unwrap_or_default(),
        },
        verdict: row.verdict,
        took: Duration::from_secs_f64(row.seconds.unwrap_or_default()),
        remembered: row.cached,
    })
}

/// The part of the job's total time that earlier claims used: from each one's first probe to its
/// last answer. The time in which nobody worked on it is not counted.
pub(super) fn used_before(rows: &[ProbeRow], lease: &Lease) -> Duration {
    let mut spans: HashMap<i64, (chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>)> = HashMap::new();
    for row in rows.iter().filter(|row| row.epoch < lease.epoch()) {
        let finished = row.finished_at.unwrap_or(row.started_at);
        let span = spans.entry(row.epoch.0).or_insert((row.started_at, finished));
        *span = (span.0.min(row.started_at), span.1.max(finished));
    }
    spans.values().filter_map(|(from, to)| (*to - *from).to_std().ok()).sum()
}
