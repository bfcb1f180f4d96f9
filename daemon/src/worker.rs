//! The part of a service that runs jobs: claims as many as this process may run, woken by changes,
//! and takes jobs from workers that are gone.
//!
//! Combines `queue`, `runner` and `changes`. It decides when to claim; never what a job does.

use crate::{
    changes::{Change, Changes, Subscription},
    db::{
        job_events::JobEventKind,
        jobs::{self, JobRow},
        probes::{self, ProbeState},
    },
    queue::{Claim, Lease},
    runner::Runner,
    vitals::Vital,
};
use bisect_shared::JobId;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// How often pending jobs are looked for while no change is told.
const DEAF_POLL: Duration = Duration::from_millis(500);

/// What runs jobs.
#[derive(Clone)]
pub struct Worker {
    /// How a job is run.
    pub runner: Runner,
    /// Jobs at once, at most.
    pub limit: usize,
    /// What wakes it.
    pub changes: Changes,
    /// Whether no more jobs are to be claimed.
    pub draining: watch::Receiver<bool>,
    /// Whether Docker answered when it was last asked: while it does not, none are claimed, and others may have them.
    pub docker: watch::Receiver<Option<bool>>,
    /// How many jobs run now.
    pub running: Arc<AtomicUsize>,
    /// Its sign of life.
    pub vital: Vital,
}

impl Worker {
    /// Claims and runs jobs until `stopping` is set; then gives those that run back, and returns
    /// when that is done. What still runs when the future is dropped is cut short.
    pub async fn work(mut self, stopping: CancellationToken) {
        let mut subscription = self.changes.subscribe();
        let mut jobs = JoinSet::new();
        while !stopping.is_cancelled() {
            self.vital.beat();
            self.fill(&mut jobs, &stopping).await;
            let poll = self.poll();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = woken(&mut subscription) => {}
                Some(ended) = jobs.join_next() => report(ended),
                // The poll below goes on when nobody can change it any more.
                Ok(()) = self.draining.changed() => {}
                Ok(()) = self.docker.changed() => {}
                () = tokio::time::sleep(poll) => {}
            }
        }
        while let Some(ended) = jobs.join_next().await {
            report(ended);
        }
    }

    /// While changes are told, only jobs whose time comes later have to be looked for.
    fn poll(&self) -> Duration {
        let slow = self.runner.clocks.recovery_interval.min(self.runner.clocks.pending_grace);
        if self.changes.live() { slow } else { slow.min(DEAF_POLL) }
    }

    fn takes(&self) -> bool {
        !*self.draining.borrow() && *self.docker.borrow() != Some(false)
    }

    async fn fill(&self, jobs: &mut JoinSet<()>, stopping: &CancellationToken) {
        while jobs.len() < self.limit && self.takes() && !stopping.is_cancelled() {
            match self.runner.queue.claim(Claim::Any).await {
                Ok(Some((lease, row))) => {
                    // Counted here, so that nobody sees a claimed job and no running one.
                    let counted = Counted::one_more(&self.running);
                    let (runner, stopping) = (self.runner.clone(), stopping.clone());
                    jobs.spawn(async move {
                        run(runner, lease, row, stopping).await;
                        drop(counted);
                    });
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(error = %error, "jobs could not be claimed; trying again");
                    return;
                }
            }
        }
    }
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %error, "a job's task failed; recovery takes the job over");
    }
}

async fn run(runner: Runner, lease: Lease, row: JobRow, stopping: CancellationToken) {
    let job = row.id;
    tracing::info!(job.id = job.0, job.epoch = lease.epoch().0, job.attempt = lease.attempt(), "a job is claimed");
    if row.attempts == 1
        && row.handovers == 0
        && let Some(waited) = row.started_at.and_then(|started| (started - row.created_at).to_std().ok())
    {
        metrics::histogram!("bisectd_queue_wait_seconds").record(waited);
    }
    let epoch = lease.epoch();
    runner.run(lease, row, stopping).await;
    if let Err(error) = count(&runner, job, epoch).await {
        tracing::warn!(job.id = job.0, error = %error, "a job was not counted in the metrics");
    }
}

/// What became of a job, for the metrics.
async fn count(runner: &Runner, job: JobId, epoch: bisect_shared::Epoch) -> Result<(), crate::db::DbError> {
    let mut tx = runner.db.begin().await?;
    let row = jobs::find(&mut tx, job).await?;
    let probes = probes::probes(&mut tx, job).await?;
    tx.commit().await?;
    for probe in probes.iter().filter(|probe| probe.epoch == epoch && matches!(probe.state, ProbeState::Ended(_))) {
        metrics::histogram!("bisectd_probe_seconds").record(probe.seconds.unwrap_or_default());
    }
    let Some(row) = row.filter(|row| row.epoch == epoch) else { return Ok(()) };
    tracing::info!(job.id = job.0, job.status = row.status.name(), "a job left this process");
    if row.status.is_final() {
        let result = row.result.map_or("none", bisect_shared::ResultKind::name);
        metrics::counter!("bisectd_jobs_ended_total", "status" => row.status.name(), "result" => result).increment(1);
    }
    Ok(())
}

/// Returns at a change after which there may be a job to claim: a new one, one that was given back,
/// or the end of one that had used up its installation's limit.
async fn woken(subscription: &mut Subscription) {
    loop {
        match subscription.next().await {
            Change::Resync => return,
            Change::Job { kind, .. } => match kind {
                JobEventKind::Claimed | JobEventKind::CancelRequested | JobEventKind::WriteRefused => {}
                JobEventKind::Queued
                | JobEventKind::Joined
                | JobEventKind::Released
                | JobEventKind::Reclaimed
                | JobEventKind::Completed
                | JobEventKind::Failed
                | JobEventKind::Cancelled => return,
            },
            Change::Inbox | Change::Outbox(_) | Change::Instances => {}
        }
    }
}
