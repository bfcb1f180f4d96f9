//! Runs under way: their tasks, and what is left of them when the job ends. Records nothing.

use super::lanes::{Lanes, OpenLane, Slot};
use crate::{
    sandbox::{RunEnd, SandboxError},
    search::Fingerprint,
};
use bisect_shared::{ProbeId, Purpose, Sha};
use std::sync::{Arc, OnceLock};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// What a job leaves to be removed: its lanes, and the probes that still run on them.
#[derive(Default)]
pub(super) struct Leftovers {
    pub(super) lanes: Option<Lanes>,
    pub(super) tasks: JoinSet<Answer>,
}

impl Leftovers {
    /// Waits for the stopped probes to end and removes every lane.
    pub(super) async fn close(&mut self) {
        let Some(mut lanes) = self.lanes.take() else { return };
        while let Some(answer) = self.tasks.join_next().await {
            if let Ok(Answer { lane: Some(lane), .. }) = answer {
                lanes.give_back(lane);
            }
        }
        lanes.close().await;
    }
}

/// One probe under way.
pub(super) struct Flight {
    pub(super) commit: Sha,
    pub(super) purpose: Purpose,
    pub(super) stop: CancellationToken,
    /// When its lane was ready for it.
    pub(super) began: Arc<OnceLock<Instant>>,
}

/// What a probe's task answers.
pub(super) struct Answer {
    pub(super) probe: ProbeId,
    pub(super) lane: Option<OpenLane>,
    pub(super) end: Result<RunEnd, SandboxError>,
    /// What it said last.
    pub(super) said: Fingerprint,
}

/// Runs one probe on a lane that may still be in preparation.
pub(super) async fn run_probe(
    slot: Slot,
    commit: Sha,
    output: mpsc::Sender<bytes::Bytes>,
    stop: CancellationToken,
    began: Arc<OnceLock<Instant>>,
) -> (Option<OpenLane>, Result<RunEnd, SandboxError>) {
    let mut lane = match slot.ready().await {
        Ok(lane) => lane,
        Err(error) => return (None, Err(error)),
    };
    if stop.is_cancelled() {
        return (Some(lane), Ok(RunEnd::Stopped));
    }
    began.get_or_init(Instant::now);
    let end = lane.run(commit, output, stop).await;
    (Some(lane), end)
}
