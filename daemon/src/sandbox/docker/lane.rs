//! A lane: its volumes, its checkout container, and the test container that waits for the next probe.
//!
//! After any failure of the engine nothing of a lane is trusted: it is removed, and the next run
//! begins with a new one.

use super::{
    checkout::Checkout,
    container::{self, Place},
    engine::{self, Engine},
    events::Events,
    image::Image,
    labels::Labels,
    probe::Prepared,
    sweep,
};
use crate::sandbox::{Lane, ProbeSpec, RunEnd, SandboxError};
use async_trait::async_trait;
use bisect_shared::{Ending, Purpose, Sha};
use bytes::Bytes;
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long git may take over one checkout, and `rm` over one workspace.
const PATIENCE: Duration = Duration::from_secs(900);

/// One workspace in Docker.
pub(super) struct DockerLane {
    plan: Arc<Plan>,
    parts: Option<Parts>,
}

/// All that is needed to make the lane, again if need be.
struct Plan {
    engine: Engine,
    spec: Arc<ProbeSpec>,
    image: Image,
    number: u32,
    purpose: Purpose,
    opened: Instant,
}

impl DockerLane {
    pub(super) async fn open(
        engine: Engine,
        spec: Arc<ProbeSpec>,
        image: Image,
        number: u32,
        purpose: Purpose,
    ) -> Result<Self, SandboxError> {
        let plan = Arc::new(Plan { engine, spec, image, number, purpose, opened: Instant::now() });
        let parts = Some(Parts::make(&plan).await?);
        Ok(Self { plan, parts })
    }
}

#[async_trait]
impl Lane for DockerLane {
    async fn run(
        &mut self,
        commit: Sha,
        output: mpsc::Sender<Bytes>,
        stop: CancellationToken,
    ) -> Result<RunEnd, SandboxError> {
        let prepared = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(RunEnd::Stopped),
            prepared = self.prepare(commit) => prepared?,
        };
        // Taken out: a run that is dropped half-way, or fails, takes its lane with it.
        let Some(mut parts) = self.parts.take() else {
            return Err(engine::failed("running a probe", "its lane is gone"));
        };
        let end = parts.run(prepared, &output, &stop).await?;
        if matches!(end, RunEnd::Ended(Ending::OutOfDisk, _)) {
            patiently("emptying a workspace", parts.checkout()?.reset()).await?;
        }
        self.parts = Some(parts);
        Ok(end)
    }

    async fn close(mut self: Box<Self>) -> Result<(), SandboxError> {
        match self.parts.take() {
            Some(parts) => parts.remove().await,
            None => Ok(()),
        }
    }
}

impl DockerLane {
    /// Checks the commit out, in a new workspace if need be. May be given up at any time: a
    /// checkout goes on to its end before the next one begins.
    async fn prepare(&mut self, commit: Sha) -> Result<Prepared, SandboxError> {
        if let Some(parts) = &mut self.parts {
            match parts.check_out(commit).await {
                Ok(()) => return parts.take_prepared().await,
                Err(error) => tracing::warn!(%error, "workspace is made anew"),
            }
        }
        if let Some(parts) = self.parts.take() {
            parts.remove().await?;
        }
        let parts = self.parts.insert(Parts::make(&self.plan).await?);
        parts.check_out(commit).await?;
        parts.take_prepared().await
    }
}

/// What exists of a lane in the engine. Dropped, it is removed in the background.
struct Parts {
    plan: Arc<Plan>,
    place: Place,
    events: Arc<Events>,
    checkout: Option<Checkout>,
    /// The next probe's container. Never aborted: what is half-made could not be removed.
    next: Option<JoinHandle<Result<Prepared, SandboxError>>>,
    removed: bool,
}

impl Parts {
    /// Goes on to its end when the caller gives up, for the same reason.
    async fn make(plan: &Arc<Plan>) -> Result<Self, SandboxError> {
        let doing = "opening a lane";
        let making = tokio::spawn(Self::make_here(plan.clone()));
        making.await.unwrap_or_else(|error| Err(engine::failed(doing, error)))
    }

    async fn make_here(plan: Arc<Plan>) -> Result<Self, SandboxError> {
        let engine = &plan.engine;
        let labels = Labels::new(&engine.config.owner, &plan.spec, plan.number);
        let place = Place::new(labels);
        let body = container::checkout(&engine.config, &plan.spec, &place, plan.image.is_runner);
        let mut parts = Self {
            events: Arc::new(Events::follow(engine, &place.labels.lane)),
            plan: plan.clone(),
            place,
            checkout: None,
            next: None,
            removed: false,
        };
        // Both containers start side by side; the test container touches nothing before its `go`.
        parts.prepare_next();
        let name = parts.place.labels.name("checkout");
        let start = Checkout::start(engine, name, body);
        parts.checkout = Some(patiently("opening a lane", start).await?);
        Ok(parts)
    }

    fn checkout(&self) -> Result<&Checkout, SandboxError> {
        let missing = || engine::failed("using a lane", "it was not opened");
        self.checkout.as_ref().ok_or_else(missing)
    }

    async fn check_out(&self, commit: Sha) -> Result<(), SandboxError> {
        patiently("checking out a commit", self.checkout()?.checkout(commit)).await
    }

    fn prepare_next(&mut self) {
        let (plan, place, events) = (self.plan.clone(), self.place.clone(), self.events.clone());
        self.next = Some(tokio::spawn(async move {
            let deadline = plan.spec.deadline.saturating_sub(plan.opened.elapsed());
            let config = &plan.engine.config;
            let body = container::test(config, &plan.spec, &plan.image, &place, deadline);
            let name = place.labels.name("test");
            Prepared::start(&plan.engine, &events, name, body).await
        }));
    }

    /// The container that waits; another one starts while it runs, where another run is likely.
    async fn take_prepared(&mut self) -> Result<Prepared, SandboxError> {
        let doing = "starting a test container";
        if self.next.is_none() {
            self.prepare_next();
        }
        let prepared = match &mut self.next {
            Some(next) => next.await,
            None => return Err(engine::failed(doing, "none was prepared")),
        };
        self.next = None;
        if self.plan.purpose == Purpose::Search {
            self.prepare_next();
        }
        prepared.unwrap_or_else(|error| Err(engine::failed(doing, error)))
    }

    /// Runs the probe, in another container if the first one ended while it waited.
    async fn run(
        &mut self,
        mut prepared: Prepared,
        output: &mpsc::Sender<Bytes>,
        stop: &CancellationToken,
    ) -> Result<RunEnd, SandboxError> {
        let plan = self.plan.clone();
        for _ in 0..2 {
            if plan.opened.elapsed() >= plan.spec.deadline {
                return Ok(RunEnd::Ended(Ending::TimedOut, 0.0));
            }
            let run = prepared.run(&plan.engine, &plan.spec, self.checkout()?, output.clone(), stop);
            if let Some(end) = run.await? {
                return Ok(end);
            }
            prepared = self.take_prepared().await?;
        }
        let reason = "test containers end before they are told to begin";
        Err(engine::failed("running a probe", reason))
    }

    async fn remove(mut self) -> Result<(), SandboxError> {
        self.removed = true;
        let removal = self.removal();
        removal.await
    }

    fn removal(&mut self) -> impl Future<Output = Result<(), SandboxError>> + Send + use<> {
        let (plan, lane) = (self.plan.clone(), self.place.labels.lane.clone());
        let (checkout, next) = (self.checkout.take(), self.next.take());
        async move {
            drop(checkout);
            if let Some(next) = next {
                drop(next.await);
            }
            sweep::lane(&plan.engine, &lane).await
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.removed {
            return;
        }
        let (plan, lane) = (self.plan.clone(), self.place.labels.lane.clone());
        let removal = self.removal();
        runtime.spawn(async move {
            let mut removed = removal.await;
            let mut pause = Duration::from_millis(200);
            // Often it is a stopped engine that brought us here: it may come back.
            while let Err(error) = removed {
                if pause > PATIENCE {
                    tracing::warn!(lane.name = lane, %error, "lane left for the sweep");
                    return;
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
                removed = sweep::lane(&plan.engine, &lane).await;
            }
        });
    }
}

async fn patiently<T>(doing: &str, work: impl Future<Output = Result<T, SandboxError>>) -> Result<T, SandboxError> {
    let in_time = tokio::time::timeout(PATIENCE, work).await;
    in_time.unwrap_or_else(|_| Err(engine::failed(doing, "it took too long")))
}
