//! A lane: its workspace in the job's workshop, and the test container that waits for the next probe.
//!
//! After any failure of the engine nothing of a lane is trusted: it is removed, and the next run
//! begins with a new one.

use super::{
    container,
    engine::{self, Engine},
    events::Events,
    image::Image,
    probe::{Prepared, Ran, tell},
    sweep,
    workshop::{self, Seat, Workshop},
    workspace::Workspace,
};
use crate::sandbox::{Lane, ProbeSpec, RunEnd, SandboxError};
use async_trait::async_trait;
use bisect_shared::{Ending, Purpose, Sha};
use bytes::Bytes;
use std::{future, sync::Arc, time::Instant};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Before a probe that was out of disk runs once more.
const AGAIN_NOTE: &str = "\nbisectd: out of disk, but with what earlier commits left in this workspace; \
    it was emptied, and the command runs once more\n";

/// One workspace in Docker. The seat is the last to go, and may take the workshop with it.
pub(super) struct DockerLane {
    parts: Option<Parts>,
    plan: Arc<Plan>,
    seat: Seat,
}

/// All that is needed to make the lane, again if need be.
struct Plan {
    workshop: Arc<Workshop>,
    spec: Arc<ProbeSpec>,
    image: Image,
    number: u32,
    purpose: Purpose,
    opened: Instant,
}

impl DockerLane {
    pub(super) async fn open(
        seat: Seat,
        spec: Arc<ProbeSpec>,
        image: Image,
        number: u32,
        purpose: Purpose,
    ) -> Result<Self, SandboxError> {
        let workshop = seat.workshop.clone();
        let plan = Arc::new(Plan { workshop, spec, image, number, purpose, opened: Instant::now() });
        let parts = Some(Parts::make(&plan).await?);
        Ok(Self { parts, plan, seat })
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
        loop {
            let prepared = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(RunEnd::Stopped),
                prepared = self.prepare(commit) => prepared?,
            };
            // Taken out: a run that is dropped half-way, or fails, takes its lane with it.
            let Some(mut parts) = self.parts.take() else {
                return Err(engine::failed("running a probe", "its lane is gone"));
            };
            let all_its_own = std::mem::replace(&mut parts.empty, false);
            let end = parts.run(prepared, &output, &stop).await?;
            let full = matches!(end, RunEnd::Ended(Ending::OutOfDisk, _));
            if full {
                parts.workspace.reset().await?;
                parts.empty = true;
            }
            self.parts = Some(parts);
            if !full || all_its_own {
                return Ok(end);
            }
            // Part of it was what earlier commits left, for which this one cannot answer.
            tell(&Some(output.clone()), AGAIN_NOTE, &stop).await;
        }
    }

    /// The last one of a job closes the workshop, in which nobody needs to tidy up before.
    async fn close(self: Box<Self>) -> Result<(), SandboxError> {
        let Self { parts, plan, seat } = *self;
        let (workspace, ended) = match parts {
            Some(parts) => (Some(parts.workspace.clone()), parts.end().await),
            None => (None, Ok(())),
        };
        if seat.leave() {
            return workshop::close_for_good(plan.workshop.clone()).await;
        }
        if let Some(workspace) = workspace {
            tokio::spawn(tidy_up(workspace));
        }
        ended
    }
}

impl DockerLane {
    /// Checks the commit out, in a new workspace if need be. May be given up at any time: a
    /// checkout goes on to its end before the next one begins.
    async fn prepare(&mut self, commit: Sha) -> Result<Prepared, SandboxError> {
        if let Some(parts) = &mut self.parts {
            match parts.workspace.check_out(commit).await {
                Ok(()) => return parts.take_prepared().await,
                Err(error) => tracing::warn!(%error, "workspace is made anew"),
            }
        }
        // Removed in the background.
        drop(self.parts.take());
        let parts = self.parts.insert(Parts::make(&self.plan).await?);
        parts.workspace.check_out(commit).await?;
        parts.take_prepared().await
    }
}

/// What exists of a lane in the engine. Dropped, it is removed in the background.
struct Parts {
    plan: Arc<Plan>,
    workspace: Workspace,
    events: Arc<Events>,
    /// The next probe's container. Never aborted: what is half-made could not be removed.
    next: Option<JoinHandle<Result<Prepared, SandboxError>>>,
    /// The last probe left its container so that the next one needs another: then that starts while a probe runs.
    ahead: bool,
    /// Nothing has run in the workspace since it was made or emptied.
    empty: bool,
    ended: bool,
}

impl Parts {
    /// Goes on to its end when the caller gives up, for the same reason.
    async fn make(plan: &Arc<Plan>) -> Result<Self, SandboxError> {
        let making = tokio::spawn(Self::make_here(plan.clone()));
        making.await.unwrap_or_else(|error| Err(engine::failed("opening a lane", error)))
    }

    async fn make_here(plan: Arc<Plan>) -> Result<Self, SandboxError> {
        let workshop = plan.workshop.clone();
        let place = workshop.place(plan.number).await?;
        let workspace = Workspace::new(workshop.clone(), place);
        let mut parts =
            Self { events: workshop.events(), plan, workspace, next: None, ahead: false, empty: true, ended: false };
        // Both containers start side by side; the test container touches nothing before its `go`.
        let prepared = parts.start_next();
        let (checkout, prepared) = tokio::join!(workshop.checkout(), prepared);
        parts.next = Some(tokio::spawn(async { prepared.unwrap_or_else(|error| Err(failed_to_start(error))) }));
        checkout?;
        parts.workspace.open().await?;
        Ok(parts)
    }

    /// Starts the next probe's container.
    fn start_next(&self) -> JoinHandle<Result<Prepared, SandboxError>> {
        let (plan, place, events) = (self.plan.clone(), self.workspace.place.clone(), self.events.clone());
        tokio::spawn(async move {
            let _open = plan.workshop.while_open().await?;
            let deadline = plan.spec.deadline.saturating_sub(plan.opened.elapsed());
            let engine = &plan.workshop.engine;
            let body = container::test(engine, &plan.spec, &plan.image, &place, deadline);
            Prepared::start(engine, &events, place.labels.name("test"), body).await
        })
    }

    /// The container that waits. Another one starts while it runs where that one will be needed.
    async fn take_prepared(&mut self) -> Result<Prepared, SandboxError> {
        let next = self.next.take().unwrap_or_else(|| self.start_next());
        // Put back: this may be given up.
        let prepared = self.next.insert(next).await;
        self.next = (self.is_for_more() && self.ahead).then(|| self.start_next());
        prepared.unwrap_or_else(|error| Err(failed_to_start(error)))
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
            // What another runtime counts as the processes of a container is its own business.
            let last = !self.is_for_more() || plan.workshop.engine.config.runtime.is_some();
            let run = prepared.run(&plan.workshop.engine, &plan.spec, &self.workspace, output.clone(), (last, stop));
            if let Some(Ran { end, again }) = run.await? {
                self.ahead = again.is_none() && matches!(end, RunEnd::Ended(..));
                self.keep(again);
                return Ok(end);
            }
            prepared = self.take_prepared().await?;
        }
        let reason = "test containers end before they are told to begin";
        Err(engine::failed("running a probe", reason))
    }

    /// Whether another run is likely.
    fn is_for_more(&self) -> bool {
        self.plan.purpose == Purpose::Search
    }

    /// The container of the last run waits for the next one, else another is started.
    fn keep(&mut self, again: Option<Prepared>) {
        match (again, self.next.take()) {
            (Some(again), other) => {
                self.next = Some(tokio::spawn(future::ready(Ok(again))));
                if let Some(other) = other {
                    let engine = self.plan.workshop.engine.clone();
                    tokio::spawn(async move { discard(&engine, other).await });
                }
            }
            (None, Some(other)) => self.next = Some(other),
            (None, None) => self.next = self.is_for_more().then(|| self.start_next()),
        }
    }

    /// Ends what waits after a run that went well: then no other container is there.
    async fn end(mut self) -> Result<(), SandboxError> {
        self.ended = true;
        match self.next.take() {
            Some(next) => discard(&self.plan.workshop.engine, next).await,
            None => Ok(()),
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.ended {
            return;
        }
        let (engine, workspace, next) = (self.plan.workshop.engine.clone(), self.workspace.clone(), self.next.take());
        runtime.spawn(async move {
            let discarded = match next {
                Some(next) => discard(&engine, next).await,
                None => Ok(()),
            };
            let lane = workspace.place.labels.lane.as_deref().unwrap_or_default();
            // The failed run's container may live.
            match discarded.and(sweep::lane(&engine, lane).await) {
                Ok(()) => tidy_up(workspace).await,
                Err(error) => tracing::debug!(lane.name = lane, %error, "lane left until its job ends"),
            }
        });
    }
}

/// Ends a container that waits, or is just being started.
async fn discard(engine: &Engine, next: JoinHandle<Result<Prepared, SandboxError>>) -> Result<(), SandboxError> {
    match next.await {
        Ok(Ok(prepared)) => prepared.discard(engine).await,
        // It was never there, or sees to itself.
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// Best effort: it goes with the workshop at the latest.
async fn tidy_up(workspace: Workspace) {
    if let Err(error) = workspace.remove().await {
        tracing::debug!(lane.uid = workspace.place.uid, %error, "workspace left until its job ends");
    }
}

fn failed_to_start(error: impl std::fmt::Display) -> SandboxError {
    engine::failed("starting a test container", error)
}
