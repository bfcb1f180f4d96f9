//! This process's signs of life, and what is asked of it: to take no more jobs, or to take them again.

use super::services::sweep;
use crate::{
    changes::{Change, Changes, Subscription},
    config::Config,
    db::DbError,
    queue::Means,
    runner::Runner,
    sandbox::Sandbox,
    vitals::Vital,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// How often what is asked of it is looked for while nobody says that something is.
const DEAF_POLL: Duration = Duration::from_secs(1);
/// Docker is not asked more often than this, however often this process says that it lives; and so often while it is away.
const DOCKER: Duration = Duration::from_secs(2);
/// Nor more seldom than this: until it is missed, jobs are claimed that cannot run.
const DOCKER_AT_LEAST: Duration = Duration::from_secs(10);

/// What this process can do, as far as it is known before Docker was asked. One that serves a single job claims none
/// of others.
pub(super) fn means(config: &Config, serves: bool) -> Means {
    Means {
        max_jobs: if serves { config.max_concurrent_jobs } else { 0 },
        max_probes: Some(config.max_concurrent_probes),
        docker: None,
    }
}

/// What says that this process lives.
pub(super) struct Pulse {
    pub(super) runner: Runner,
    pub(super) config: Config,
    pub(super) means: Means,
    /// Told whether it is asked to take no more jobs.
    pub(super) drain: watch::Sender<bool>,
    /// Told whether its Docker answers.
    pub(super) docker: watch::Sender<Option<bool>>,
    pub(super) vital: Vital,
}

impl Pulse {
    /// Tells the database that this process lives, and removes what dead ones left here, until it is dropped. Says within
    /// a moment that it was asked to take no more jobs.
    pub(super) async fn beat(self) {
        let Self { runner, config, mut means, drain, docker: told, vital } = self;
        let (serves, every) = (means.max_jobs > 0, config.clocks.heartbeat);
        let mut heard = runner.changes.subscribe();
        let mut docker = told.subscribe();
        // A sign of life never waits for Docker.
        let mut looking = JoinSet::new();
        if let Some(sandbox) = runner.sandboxes.docker.clone().filter(|_| serves) {
            looking.spawn(look_at_docker(sandbox, told, every.clamp(DOCKER, DOCKER_AT_LEAST)));
        }
        sweep(&runner, &config).await;
        let mut next = Instant::now() + every;
        loop {
            vital.beat();
            let told = tokio::select! {
                () = sleep_until(next) => sign(&runner, means, &mut next, every).await,
                // It is said at once whether Docker is there.
                Ok(()) = docker.changed() => {
                    means.docker = *docker.borrow_and_update();
                    sign(&runner, means, &mut next, every).await
                }
                () = asked(&mut heard, &runner.changes), if serves => runner.queue.drain_requested_by().await,
            };
            match told {
                Ok(by) => {
                    let drains = by.is_some();
                    if drain.send_if_modified(|draining| std::mem::replace(draining, drains) != drains) {
                        tracing::info!(drains, by, "whether this instance takes jobs has changed");
                    }
                }
                Err(error) => tracing::warn!(error = %error, "the database was not told that this process lives"),
            }
        }
    }
}

/// One sign of life; answers who asked this process to take no more jobs.
async fn sign(runner: &Runner, means: Means, next: &mut Instant, every: Duration) -> Result<Option<String>, DbError> {
    *next = Instant::now() + every;
    runner.queue.heartbeat_instance(means).await.map(|row| row.drain_requested_by)
}

async fn look_at_docker(sandbox: Arc<dyn Sandbox>, told: watch::Sender<Option<bool>>, every: Duration) {
    loop {
        let now = sandbox.answers().await;
        told.send_if_modified(|known| std::mem::replace(known, now) != now);
        sleep(if now == Some(false) { DOCKER } else { every }).await;
    }
}

/// Returns when something may have been asked of this process.
async fn asked(heard: &mut Subscription, changes: &Changes) {
    loop {
        let deaf = async { if changes.live() { std::future::pending().await } else { sleep(DEAF_POLL).await } };
        tokio::select! {
            change = heard.next() => if matches!(change, Change::Instances | Change::Resync) { return },
            () = deaf => return,
        }
    }
}
