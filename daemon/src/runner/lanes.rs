//! The lanes of one job: those that search are used again and again, each proof gets a fresh one.

use crate::sandbox::{Lane, ProbeSpec, RunEnd, Sandbox, SandboxError};
use bisect_shared::{Epoch, Purpose, Sha};
use bytes::Bytes;
use std::{collections::VecDeque, sync::Arc};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// A lane that may still be in preparation. Preparing goes on in the background, and a lane that
/// nobody took is closed with the rest.
pub struct Slot {
    number: u32,
    task: JoinHandle<Result<Box<dyn Lane>, SandboxError>>,
}

/// A lane with the number that it is known by in the rows of its probes.
pub struct OpenLane {
    number: u32,
    lane: Box<dyn Lane>,
}

/// The lanes that wait for work, and how to open more.
pub struct Lanes {
    sandbox: Arc<dyn Sandbox>,
    spec: Arc<ProbeSpec>,
    opened: u32,
    used: Vec<Slot>,
    fresh: VecDeque<Slot>,
    prepared: usize,
    /// Nothing but runs of a proof is to come: what is given back is removed.
    only_proof: bool,
    /// Lanes that failed or are of no more use, on their way out.
    closing: JoinSet<()>,
}

impl Lanes {
    /// No lane yet.
    #[must_use]
    pub fn new(sandbox: Arc<dyn Sandbox>, spec: Arc<ProbeSpec>) -> Self {
        Self {
            sandbox,
            spec,
            opened: 0,
            used: Vec::new(),
            fresh: VecDeque::new(),
            prepared: 0,
            only_proof: false,
            closing: JoinSet::new(),
        }
    }

    /// A lane for a run: a fresh one for a proof, else one that has been used before if there is one.
    pub fn take(&mut self, purpose: Purpose) -> Slot {
        let waiting = match purpose {
            Purpose::Search | Purpose::Sample => self.used.pop(),
            Purpose::Proof => self.fresh.pop_front(),
        };
        waiting.unwrap_or_else(|| self.open(purpose))
    }

    /// Begins to prepare lanes for proofs, so that these need not wait: `count` of them in all.
    pub fn prepare_fresh(&mut self, count: usize) {
        while self.prepared < count {
            self.prepared += 1;
            let slot = self.open(Purpose::Proof);
            self.fresh.push_back(slot);
        }
    }

    /// Takes a lane back after a run. A proof's is not fresh any more, so it serves the search.
    pub fn give_back(&mut self, open: OpenLane) {
        if self.only_proof {
            return self.discard(open);
        }
        let task = tokio::spawn(async { Ok(open.lane) });
        self.used.push(Slot { number: open.number, task });
    }

    /// Whether nothing but runs of a proof is to come, and for how many of them a fresh lane is to wait.
    /// Then all other lanes that wait are removed in the background, while the proof runs. Should the
    /// search go on after all, or a proof need another lane, more are opened.
    pub fn only_proof(&mut self, to_come: Option<usize>) {
        self.only_proof = to_come.is_some();
        let Some(to_come) = to_come else { return };
        let surplus = self.fresh.split_off(self.fresh.len().min(to_come));
        for slot in self.used.drain(..).chain(surplus) {
            self.closing.spawn(close(slot));
        }
    }

    /// Removes a lane after a failure, in the background: with a sandbox in trouble that may take a
    /// minute, in which the job must go on listening.
    pub fn discard(&mut self, open: OpenLane) {
        self.closing.spawn(open.close());
    }

    /// Closes every lane that waits. What cannot be removed is logged; the sweep removes it later.
    pub async fn close(&mut self) {
        let slots = self.used.drain(..).chain(self.fresh.drain(..));
        futures::future::join_all(slots.map(close)).await;
        while self.closing.join_next().await.is_some() {}
        // A lane that failed is removed in the background, which a process that ends does not wait for.
        let claim = (self.spec.job, Epoch(self.spec.epoch.0 + 1));
        if let Err(error) = self.sandbox.sweep_job(claim.0, claim.1).await {
            tracing::warn!(job.id = %claim.0, error = %error, "what a job left is for the next process to remove");
        }
    }

    fn open(&mut self, purpose: Purpose) -> Slot {
        let (sandbox, spec, number) = (Arc::clone(&self.sandbox), Arc::clone(&self.spec), self.opened);
        self.opened += 1;
        let task = tokio::spawn(async move { sandbox.open_lane(spec, number, purpose).await });
        Slot { number, task }
    }
}

/// Closes a lane that waits, or that is still being prepared.
async fn close(slot: Slot) {
    match slot.ready().await {
        Ok(open) => open.close().await,
        Err(error) => tracing::debug!(error = %error, "a lane was never ready"),
    }
}

impl Slot {
    /// The lane's number.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// The lane, once it is prepared.
    ///
    /// # Errors
    /// When it could not be opened.
    pub async fn ready(self) -> Result<OpenLane, SandboxError> {
        let panicked = |error: tokio::task::JoinError| SandboxError::Engine {
            doing: "opening a lane".into(),
            reason: error.to_string(),
        };
        let lane = self.task.await.map_err(panicked)??;
        Ok(OpenLane { number: self.number, lane })
    }
}

impl OpenLane {
    /// Runs one probe on it, as [`Lane::run`] says.
    ///
    /// # Errors
    /// When the sandbox failed.
    pub async fn run(
        &mut self,
        commit: Sha,
        output: mpsc::Sender<Bytes>,
        stop: CancellationToken,
    ) -> Result<RunEnd, SandboxError> {
        self.lane.run(commit, output, stop).await
    }

    /// Removes it; a failure is logged, since the sweep removes what is left.
    pub async fn close(self) {
        if let Err(error) = self.lane.close().await {
            tracing::warn!(lane.number = self.number, error = %error, "a lane was not removed");
        }
    }
}
