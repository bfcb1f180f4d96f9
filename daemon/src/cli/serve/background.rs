//! What works besides the jobs: deliveries are taken in, replies sent, and what only grows is trimmed.

use super::Service;
use crate::{
    changes::{Change, Changes},
    cli::{services, services::Services},
    db::{
        Database, DbError,
        chores::{self, Chore},
        overview, sessions,
    },
    github::Github,
    intake::{Defaults, Intake},
    observers::Observers,
    outbox::{Markers, Outbox, Pace, Refusals},
    redelivery::{self, Redelivery},
    runner::credentials::GithubCredentials,
    web::{Exporter, address::Addresses},
};
use bisect_shared::InstanceId;
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// How often what only grows is trimmed.
const UPKEEP: Duration = Duration::from_secs(60);
/// How often inbox and outbox are looked at while nobody says that there is something.
const DEAF_POLL: Duration = Duration::from_secs(2);
/// How often the counts of ended jobs are added up, by one server for all.
const TOTALS: Duration = Duration::from_mins(10);
/// How often the mirrors are looked through for commits of jobs that have ended elsewhere.
const PINS: Duration = Duration::from_mins(10);

/// Everything that works in the background, besides the jobs.
pub(super) fn spawn_tasks(
    service: &Service,
    services: &Services,
    exporter: Exporter,
    addresses: Arc<Addresses>,
    tasks: &mut JoinSet<()>,
) {
    let vital = services.vitals.watch("recovery", service.config.clocks.recovery_interval);
    tasks.spawn(services::recover(services.runner.clone(), (*service.config).clone(), service.changes.clone(), vital));
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            exporter.upkeep();
            addresses.forget_old();
        }
    });
    tasks.spawn(add_up(service.db.clone(), services.runner.instance.clone()));
    let runner = services.runner.clone();
    tasks.spawn(async move {
        loop {
            runner.unpin_ended().await;
            tokio::time::sleep(PINS).await;
        }
    });
}

async fn add_up(db: Database, instance: InstanceId) {
    let once = async || {
        let mut tx = db.begin().await?;
        if chores::begin(&mut tx, Chore::Totals, &instance, TOTALS).await?.is_some() {
            overview::fold_totals(&mut tx).await?;
            sessions::remove_expired(&mut tx).await?;
            chores::done(&mut tx, Chore::Totals, &instance).await?;
        }
        tx.commit().await
    };
    loop {
        tokio::time::sleep(TOTALS).await;
        let added: Result<(), DbError> = once().await;
        if let Err(error) = added {
            tracing::warn!(error = %error, "the counts of ended jobs were not added up; trying again later");
        }
    }
}

/// What works the inbox off and sends what the outbox holds.
pub(super) fn spawn_replies(
    service: &Service,
    services: &Services,
    github: Github,
    credentials: GithubCredentials,
    observers: &Observers,
    replies: &mut JoinSet<()>,
) {
    let (config, runner) = (&service.config, &services.runner);
    let base_url = config.base_url.clone();
    let intake = Intake {
        db: service.db.clone(),
        queue: service.queue.clone(),
        github: github.clone(),
        mirrors: runner.mirrors.clone(),
        credentials,
        instance: runner.instance.clone(),
        defaults: Arc::new(Defaults {
            image: config.runner_image.clone(),
            network: config.network,
            max_lanes: config.max_concurrent_probes,
            base_url: base_url.clone(),
            github_url: config.github_url.clone(),
        }),
    };
    let redelivery = Redelivery {
        db: service.db.clone(),
        github: github.clone(),
        instance: runner.instance.clone(),
        every: redelivery::EVERY,
        soon: redelivery::AFTER_START,
    };
    replies.spawn(redelivery.run(service.stopping.clone()));
    let outbox = Outbox {
        db: service.db.clone(),
        github,
        instance: runner.instance.clone(),
        base_url,
        github_url: config.github_url.clone(),
        markers: Markers::read(config.webhook_secret.as_ref().unwrap_or(&SecretString::default())),
        pace: Pace::default(),
        refusals: Refusals::default(),
        observers: observers.clone(),
    };
    let (inbox_wakes, outbox_wakes) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let pause = config.clocks.recovery_interval;
    replies.spawn(intake.clone().keep_mirrors(service.stopping.clone()));
    let vital = |name| services.vitals.watch(name, pause);
    replies.spawn(intake.run(Arc::clone(&inbox_wakes), pause, service.stopping.clone(), vital("inbox")));
    replies.spawn(outbox.run(Arc::clone(&outbox_wakes), pause, service.stopping.clone(), vital("outbox")));
    replies.spawn(wake(service.changes.clone(), inbox_wakes, outbox_wakes, service.stopping.clone()));
}

/// Wakes intake and outbox when there is something to do, when something is due, and often while nobody
/// says so.
async fn wake(changes: Changes, inbox: Arc<Notify>, outbox: Arc<Notify>, stopping: CancellationToken) {
    let mut subscription = changes.subscribe();
    let mut due: Option<Instant> = None;
    loop {
        let deaf = (!changes.live()).then(|| Instant::now() + DEAF_POLL);
        let next = due.into_iter().chain(deaf).min();
        let timer = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            change = subscription.next() => match change {
                Change::Inbox => inbox.notify_one(),
                Change::Outbox(after) if after.is_zero() => outbox.notify_one(),
                Change::Outbox(after) => {
                    let at = Instant::now() + after;
                    due = Some(due.map_or(at, |due| due.min(at)));
                }
                Change::Resync => {
                    inbox.notify_one();
                    outbox.notify_one();
                }
                Change::Job { .. } | Change::Instances => {}
            },
            () = timer => {
                due = due.filter(|at| *at > Instant::now());
                outbox.notify_one();
                if deaf.is_some() {
                    inbox.notify_one();
                }
            }
        }
    }
}
