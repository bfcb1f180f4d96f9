//! One job from its lease to its result: mirror, search, lanes, recorded probes.
//!
//! Whatever happens to this process, the rows that it wrote are enough for another one to go on.
//! It never judges by itself (`search` does) and never runs a command by itself (`sandbox` does).

mod conclude;
mod conductor;
pub mod credentials;
mod finding;
mod flight;
pub mod foresight;
mod interrupt;
mod job;
mod keeper;
mod lanes;
mod log;
mod memory;
pub mod mirror;
mod patience;
mod persist;
pub mod question;
mod said;
pub mod spec;
mod subjects;
mod words;

use crate::{
    changes::Changes,
    db::{self, jobs::JobRow},
    queue::{self, Clocks, Lease, LeaseError, Outcome, Queue, ReleaseReason},
    report::Report,
    sandbox::Sandbox,
};
use bisect_shared::{InstanceId, ResultKind};
use credentials::Credentials;
use interrupt::{Interrupted, Interrupts};
use keeper::Keeper;
use mirror::Mirrors;
use persist::{LAST_TRY, Unwritten, persist};
use spec::{JobSpec, SandboxKind};
use std::sync::Arc;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

/// Everything a job needs from outside.
#[derive(Clone)]
pub struct Runner {
    /// The database.
    pub db: db::Database,
    /// The queue on it.
    pub queue: Queue,
    /// What other processes do: who asks for a running job to be stopped is heard at once.
    pub changes: Changes,
    /// The queue's clocks.
    pub clocks: Clocks,
    /// How long a job bears with a Docker that is away.
    pub patience: std::time::Duration,
    /// Whether jobs are anybody's: one that this process's Docker left alone goes back to the queue. Else somebody waits
    /// for it here, and is told.
    pub serves: bool,
    /// This process.
    pub instance: InstanceId,
    /// The mirrors of this machine.
    pub mirrors: Mirrors,
    /// What repositories are fetched with.
    pub credentials: Arc<dyn Credentials>,
    /// Where commands run, by kind.
    pub sandboxes: Sandboxes,
    /// How many probes may run at once in this process, over all jobs.
    pub slots: Arc<Semaphore>,
}

/// The sandboxes of this process.
#[derive(Clone)]
pub struct Sandboxes {
    /// Docker, where it was asked for.
    pub docker: Option<Arc<dyn Sandbox>>,
    /// Plain processes.
    pub process: Arc<dyn Sandbox>,
}

impl Sandboxes {
    fn get(&self, kind: SandboxKind) -> Option<Arc<dyn Sandbox>> {
        match kind {
            SandboxKind::Docker => self.docker.clone(),
            SandboxKind::Process => Some(Arc::clone(&self.process)),
        }
    }
}

/// Whether a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Alive,
    /// It has ended.
    Dead,
}

/// Why a job's run ended.
enum End {
    /// It has a result of its own.
    Report(Box<Report>),
    /// The lease is lost: another worker owns the job, and nothing may be written.
    LeaseLost,
    /// There is no result and will be none, whoever tries: the request cannot be read, or the
    /// database refuses what is to be written.
    Failed(String),
    /// This process is stopping: the job goes back to the queue.
    Stopping,
    /// Docker is away here: the job goes back to the queue, for a server that has one.
    DockerAway,
}

impl Runner {
    /// Runs a claimed job to its end, or until `stopping` is set, and says how it ended to the
    /// queue. Whatever happens, no container of this claim is left.
    pub async fn run(&self, lease: Lease, job: JobRow, stopping: CancellationToken) {
        let lease = Arc::new(lease);
        let keeper = Keeper::start(self.queue.clone(), Arc::clone(&lease), self.clocks, self.changes.clone());
        let (end, mut leftovers) = job::run(self, &lease, &job, &keeper, &stopping).await;
        let end = self.or_docker_is_away(&job, end).await;
        if matches!(end, End::LeaseLost | End::Stopping | End::DockerAway) {
            // The next owner starts at once: nothing of this claim may run beside it.
            leftovers.close().await;
        }
        // A job with a result has all the time that its lease has.
        let interrupts = Interrupts::new(&keeper, &stopping, Instant::now());
        let mut ended = false;
        // Bounded, for a renewal may hang on a database that is away.
        let _still = tokio::time::timeout(LAST_TRY, keeper.hold_still()).await;
        let told = match end {
            End::LeaseLost | End::DockerAway => self.give_back(&lease, ReleaseReason::Unavailable).await,
            End::Stopping => self.give_back(&lease, ReleaseReason::Shutdown).await,
            End::Failed(reason) => self.fail(&lease, &interrupts, reason).await.map(|()| ended = true),
            End::Report(report) => self.finish(&lease, &interrupts, &report).await.map(|()| ended = true),
        };
        if let Err(error) = told {
            // The job stays running without a heartbeat: recovery takes it over with what is recorded.
            tracing::error!(job.id = %lease.job(), error = %error, "a job's end was not recorded");
        }
        if ended {
            job::unpin(self, &lease, &job).await;
        }
        drop(keeper);
        leftovers.close().await;
    }

    /// A job that failed for want of Docker has not failed while there may be one elsewhere, or here later.
    async fn or_docker_is_away(&self, job: &JobRow, end: End) -> End {
        let failed = matches!(&end, End::Report(report) if report.result == ResultKind::Infrastructure);
        let docker = self.sandboxes.docker.as_ref().filter(|_| self.serves && failed && job::needs_docker(job));
        match docker {
            Some(docker) if docker.answers().await == Some(false) => {
                tracing::warn!(job.id = job.id.0, "Docker is away: a job is given back");
                End::DockerAway
            }
            _ => end,
        }
    }

    /// Gives the job back, if the database answers soon. A worker that stopped itself may still own it,
    /// if nobody has taken it yet: then it is free at once. Else the refusal shows in the job's history
    /// who came too late.
    async fn give_back(&self, lease: &Lease, reason: ReleaseReason) -> Result<(), Untold> {
        match tokio::time::timeout(LAST_TRY, self.queue.release(lease, reason)).await {
            Ok(Ok(_) | Err(LeaseError::Lost)) => Ok(()),
            Ok(Err(LeaseError::Database(error))) => Err(Untold::Database(error)),
            Err(_) => Err(Untold::NoAnswer),
        }
    }

    async fn finish(&self, lease: &Lease, interrupts: &Interrupts, report: &Report) -> Result<(), Untold> {
        let end = match report.result {
            ResultKind::Cancelled => queue::End::Cancelled,
            ResultKind::Infrastructure => queue::End::Failed,
            _ => queue::End::Completed,
        };
        let outcome = Outcome {
            end,
            result: Some(report.result),
            culprit: report.culprit,
            error: (end == queue::End::Failed).then(|| report.explanation.clone()),
            report: serde_json::to_value(report).ok(),
        };
        match persist(interrupts, || self.queue.finish(lease, &outcome)).await {
            // Tried again it would be refused again: at least the job ends.
            Err(Unwritten::Refused(error)) => {
                self.fail(lease, interrupts, format!("the result could not be stored: {error}")).await
            }
            told => Ok(told?),
        }
    }

    async fn fail(&self, lease: &Lease, interrupts: &Interrupts, reason: String) -> Result<(), Untold> {
        let outcome = Outcome::failed(reason);
        Ok(persist(interrupts, || self.queue.finish(lease, &outcome)).await?)
    }
}

/// Why the queue was not told how a job ended.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error("the lease is lost: another worker owns the job now, or it has ended")]
    Lost,
    #[error("the database did not answer, and this process is to stop")]
    NoAnswer,
    #[error(transparent)]
    Database(db::DbError),
}

impl From<Unwritten> for Untold {
    fn from(why: Unwritten) -> Self {
        match why {
            Unwritten::Interrupted(Interrupted::LeaseLost) => Self::Lost,
            Unwritten::Interrupted(_) => Self::NoAnswer,
            Unwritten::Refused(error) => Self::Database(error),
        }
    }
}

impl Runner {
    /// Removes what dead processes left on this machine: those of which `fate` knows it, and of the
    /// others those that the database has not heard of for too long. A failure is logged: the next
    /// process tries again.
    pub async fn sweep(&self, fate: impl Fn(&InstanceId) -> Option<Fate>) {
        let sandboxes = self.sandboxes.docker.iter().chain([&self.sandboxes.process]);
        for sandbox in sandboxes {
            if let Err(error) = self.sweep_one(&**sandbox, &fate).await {
                tracing::warn!(error = %error, "what dead processes left was not removed");
            }
        }
    }

    async fn sweep_one(
        &self,
        sandbox: &dyn Sandbox,
        fate: &impl Fn(&InstanceId) -> Option<Fate>,
    ) -> anyhow::Result<()> {
        // What is there is read first: whoever has something there has told the database before.
        let mut dead = sandbox.instances().await?;
        if dead.is_empty() {
            return Ok(());
        }
        let alive = self.queue.alive_instances().await?;
        let is_dead = |id: &InstanceId| match fate(id) {
            Some(fate) => fate == Fate::Dead,
            None => !alive.iter().any(|row| row.id == *id),
        };
        dead.retain(|id| *id != self.instance && is_dead(id));
        sandbox.sweep_instances(&dead).await?;
        Ok(())
    }
}

impl Runner {
    /// Lets go of the commits of jobs that have ended since: a worker that lost its job, or died, leaves them
    /// pinned in its mirror. A failure is logged: it is done again now and then.
    pub async fn unpin_ended(&self) {
        if let Err(error) = self.try_unpin_ended().await {
            tracing::warn!(error = %error, "refs of ended jobs were left in the mirrors");
        }
    }

    async fn try_unpin_ended(&self) -> anyhow::Result<()> {
        for mirror in self.mirrors.all()? {
            // What is pinned is read first: a job that pins later is not meant.
            let pinned: Vec<_> = mirror.pinned().await?.into_iter().collect();
            if pinned.is_empty() {
                continue;
            }
            let mut tx = self.db.begin().await?;
            let unfinished = db::jobs::unfinished(&mut tx, &pinned).await?;
            tx.commit().await?;
            for job in pinned.into_iter().filter(|job| !unfinished.contains(job)) {
                mirror.unpin(job).await?;
            }
        }
        Ok(())
    }
}

/// Reads what a job asks for from its row.
fn spec_of(job: &JobRow) -> Result<JobSpec, serde_json::Error> {
    serde_json::from_value(job.spec.clone())
}
