//! `GET /health`: an answer within 2 s, whatever hangs.

use crate::db::{Database, DbError, overview};
use async_trait::async_trait;
use rocket::{State, http::Status, serde::json::Json};
use serde::Serialize;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// The longest that either may take before it counts as away.
const LIMIT: Duration = Duration::from_millis(1500);
/// What was found is good for so long, so that many who ask cost one look.
const FRESH: Duration = Duration::from_millis(200);

/// Whether Docker answers.
#[async_trait]
pub trait DockerCheck: Send + Sync {
    /// Asks it.
    async fn answers(&self) -> bool;
}

/// What `/health` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Health {
    status: &'static str,
    docker_available: bool,
    database_available: bool,
    running_jobs: usize,
}

/// What `/health` looks at.
pub struct Monitor {
    /// The database.
    pub db: Database,
    /// Docker.
    pub docker: Arc<dyn DockerCheck>,
    /// Whether somebody asked this instance to take no more jobs.
    pub draining: watch::Receiver<bool>,
    /// Set when the process is to stop.
    pub stopping: CancellationToken,
    /// How many jobs it runs.
    pub running: Arc<AtomicUsize>,
    /// What was found last: Docker, database.
    last: Mutex<Option<(Instant, bool, bool)>>,
}

impl Monitor {
    /// A monitor that has not looked yet.
    #[must_use]
    pub fn new(
        db: Database,
        docker: Arc<dyn DockerCheck>,
        draining: watch::Receiver<bool>,
        stopping: CancellationToken,
        running: Arc<AtomicUsize>,
    ) -> Self {
        Self { db, docker, draining, stopping, running, last: Mutex::default() }
    }

    /// Whether this instance takes no more jobs.
    #[must_use]
    pub fn drains(&self) -> bool {
        *self.draining.borrow() || self.stopping.is_cancelled()
    }

    /// Looks, or answers what was found just now.
    pub async fn look(&self) -> Health {
        let (docker_available, database_available) = self.available().await;
        let status = match (self.drains(), docker_available && database_available) {
            (true, _) => "draining",
            (false, true) => "healthy",
            (false, false) => "degraded",
        };
        Health { status, docker_available, database_available, running_jobs: self.running.load(Ordering::Acquire) }
    }

    async fn available(&self) -> (bool, bool) {
        // Who waits here waits for a look that ends within the limit, and then finds it fresh.
        let mut last = self.last.lock().await;
        if let Some((at, docker, database)) = *last
            && at.elapsed() < FRESH
        {
            return (docker, database);
        }
        let docker = async { timeout(LIMIT, self.docker.answers()).await.unwrap_or(false) };
        let database = async { matches!(timeout(LIMIT, ask(&self.db)).await, Ok(Ok(()))) };
        let (docker, database) = tokio::join!(docker, database);
        *last = Some((Instant::now(), docker, database));
        (docker, database)
    }
}

async fn ask(db: &Database) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    overview::answers(&mut tx).await?;
    tx.rollback().await
}

/// Not limited by address: a load balancer that hears 429 would take this instance away.
#[rocket::get("/health")]
pub(super) async fn health(monitor: &State<Monitor>) -> (Status, Json<Health>) {
    let health = monitor.look().await;
    let fit = health.database_available && health.status != "draining";
    (if fit { Status::Ok } else { Status::ServiceUnavailable }, Json(health))
}
