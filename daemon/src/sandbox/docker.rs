//! The Docker sandbox: tested code runs in containers that hold nothing but their lane.
//!
//! Owns every container and volume that carries the label `bisectd.job`. A job has one
//! volume, in which each lane is a directory, and one checkout container that never runs tested code;
//! each probe gets a fresh test container. It uses the Docker Engine through `engine` only, and never touches a tree that a container wrote.

mod checkout;
mod container;
mod egress;
mod engine;
mod events;
mod image;
mod labels;
mod lane;
mod probe;
mod pull;
mod survey;
mod sweep;
mod words;
mod workshop;
mod workspace;

pub use survey::Survey;

use super::{Lane, Network, ProbeSpec, Sandbox, SandboxError};
use async_trait::async_trait;
use bisect_shared::{Epoch, InstanceId, JobId, Purpose};
use engine::Link;
use std::{sync::Arc, time::Duration};

/// How long git may take over one checkout, and `rm` over one workspace.
const PATIENCE: Duration = Duration::from_secs(900);

/// How long the engine may take to say that it is there.
const PING: Duration = Duration::from_millis(1500);

/// How containers are made on this machine.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The Docker Engine's address; `None` for `DOCKER_HOST`, else the local socket.
    pub host: Option<String>,
    /// The image of checkout containers (`DOCKER_RUNNER_IMAGE`).
    pub runner_image: String,
    /// The OCI runtime of test containers (`RUNNER_RUNTIME`), e.g. `runsc`; `None` for Docker's own.
    pub runtime: Option<String>,
    /// From where images are fetched that jobs name and this machine lacks (`RUNNER_REGISTRIES`).
    pub registries: Vec<String>,
    /// The guarded network of [`Network::Egress`], made when it is missing.
    pub egress_network: String,
    /// Its bridge on the host, which docker/egress-rules.sh guards.
    pub egress_bridge: String,
    /// Whose jobs these are (the database, or `DATA_DIR`): what carries another owner's label is
    /// never swept, so that two bots can share one Docker Engine.
    pub owner: String,
    /// The longest that one call of the engine may take.
    pub call_timeout: Duration,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            host: None,
            runner_image: "bisect-runner:latest".to_owned(),
            runtime: None,
            registries: Vec::new(),
            egress_network: "bisect-egress".to_owned(),
            egress_bridge: "bisect-egress0".to_owned(),
            owner: "default".to_owned(),
            call_timeout: Duration::from_secs(60),
        }
    }
}

/// Runs probes in containers of one Docker Engine.
#[derive(Debug, Clone)]
pub struct DockerSandbox {
    link: Link,
    images: image::Images,
    egress: egress::Egress,
    workshops: workshop::Workshops,
}

impl DockerSandbox {
    /// A sandbox on the engine that `config` names, which need not answer now.
    ///
    /// # Errors
    /// [`SandboxError::Unusable`] when the address is none that can be used, and
    /// [`SandboxError::Engine`] when it is a socket that is not there.
    pub fn connect(config: DockerConfig) -> Result<Self, SandboxError> {
        Ok(Self {
            link: Link::new(config)?,
            images: image::Images::default(),
            egress: egress::Egress::default(),
            workshops: workshop::Workshops::default(),
        })
    }

    /// The engine's version, when it answers.
    ///
    /// # Errors
    /// [`SandboxError::Engine`], with what to do, when it does not.
    pub async fn ping(&self) -> Result<String, SandboxError> {
        self.link.engine().await?.version().await
    }
}

#[async_trait]
impl Sandbox for DockerSandbox {
    async fn check(&self, spec: &ProbeSpec) -> Result<Option<String>, SandboxError> {
        let engine = self.link.engine().await?;
        let image = self.images.check(&engine, spec).await?;
        if spec.network == Network::Egress {
            self.egress.check(&engine, spec).await?;
        }
        Ok(Some(image.identity))
    }

    async fn open_lane(
        &self,
        spec: Arc<ProbeSpec>,
        lane: u32,
        purpose: Purpose,
    ) -> Result<Box<dyn Lane>, SandboxError> {
        let engine = self.link.engine().await?;
        let seat = self.workshops.enter(&engine, &spec);
        let image = seat.workshop.image(&self.images).await?;
        let lane = lane::DockerLane::open(seat, spec, image, lane, purpose).await?;
        Ok(Box::new(lane))
    }

    async fn sweep_job(&self, job: JobId, below: Epoch) -> Result<(), SandboxError> {
        let engine = self.link.engine().await?;
        sweep::job(&engine, job, below).await
    }

    async fn answers(&self) -> Option<bool> {
        Some(matches!(tokio::time::timeout(PING, self.ping()).await, Ok(Ok(_))))
    }

    async fn instances(&self) -> Result<Vec<InstanceId>, SandboxError> {
        sweep::present(&self.link.engine().await?).await
    }

    async fn sweep_instances(&self, dead: &[InstanceId]) -> Result<(), SandboxError> {
        sweep::instances(&self.link.engine().await?, dead).await
    }
}
