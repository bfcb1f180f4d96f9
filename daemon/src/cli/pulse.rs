//! This process's signs of life, and what is asked of it: to take no more jobs, or to take them again.

use super::services::sweep;
use crate::{
    changes::{Change, Changes, Subscription},
    config::Config,
    queue::Means,
    runner::Runner,
};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// How often what is asked of it is looked for while nobody says that something is.
const DEAF_POLL: Duration = Duration::from_secs(1);
/// Docker is not asked more often than this, however often this process says that it lives.
const DOCKER_FRESH: Duration = Duration::from_secs(2);

/// What this process can do, as far as it is known before Docker was asked. One that serves a single job claims none
/// of others.
pub(super) fn means(config: &Config, serves: bool) -> Means {
    Means {
        max_jobs: if serves { config.max_concurrent_jobs } else { 0 },
        max_probes: Some(config.max_concurrent_probes),
        docker: None,
    }
}

/// Tells the database that this process lives, and removes what dead ones left here. Sets `drain` within a moment of
/// being asked.
pub(super) async fn beat(runner: Runner, config: Config, mut means: Means, drain: watch::Sender<bool>) {
    let serves = means.max_jobs > 0;
    let mut heard = runner.changes.subscribe();
    sweep(&runner, &config).await;
    let (mut next, mut asked_docker) = (Instant::now(), None::<Instant>);
    loop {
        let told = tokio::select! {
            () = sleep_until(next) => {
                if asked_docker.is_none_or(|at| at.elapsed() >= DOCKER_FRESH) {
                    means.docker = docker_answers(&runner).await;
                    asked_docker = Some(Instant::now());
                }
                next = Instant::now() + config.clocks.heartbeat;
                runner.queue.heartbeat_instance(means).await.map(|row| row.drain_requested_by)
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

async fn docker_answers(runner: &Runner) -> Option<bool> {
    match &runner.sandboxes.docker {
        Some(docker) => docker.answers().await,
        None => None,
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
