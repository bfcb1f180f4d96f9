//! Calls of the Docker Engine: each has a time limit and says what it was for when it fails.
//!
//! The only file that decides what an answer of the engine means. Nothing is remembered of a
//! connection: after a restart of the engine the next call simply works.

use super::{DockerConfig, SandboxError};
use bollard::{
    Docker,
    container::LogOutput,
    models::{ContainerCreateBody, VolumeCreateRequest},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder, TopOptionsBuilder,
    },
};
use futures::{Stream, StreamExt};
use std::{collections::HashMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::{io::AsyncWrite, sync::OnceCell, time::sleep};

type DockerError = bollard::errors::Error;

/// The engine, and how containers are made on it.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    pub(super) config: Arc<DockerConfig>,
    /// How many processors it has: more than these it refuses to give to a container.
    pub(super) processors: f64,
}

/// The way to an engine that may be away now and come back later.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) config: Arc<DockerConfig>,
    engine: Arc<OnceCell<Engine>>,
}

impl Link {
    pub(super) fn new(config: DockerConfig) -> Result<Self, SandboxError> {
        client(&config)?;
        Ok(Self { config: Arc::new(config), engine: Arc::default() })
    }

    /// The engine; once it answered it is only asked again when there is work for it.
    pub(super) async fn engine(&self) -> Result<Engine, SandboxError> {
        let reach = || Engine::reach(self.config.clone());
        self.engine.get_or_try_init(reach).await.cloned()
    }
}

/// A client of the configured address; `None` where its socket does not exist (yet).
fn client(config: &DockerConfig) -> Result<Option<Docker>, SandboxError> {
    let docker = match &config.host {
        Some(host) => Docker::connect_with_host(host),
        None => Docker::connect_with_defaults(),
    };
    match docker {
        Ok(docker) => Ok(Some(docker)),
        Err(DockerError::SocketNotFoundError(_)) => Ok(None),
        Err(error) => Err(SandboxError::Unusable(format!(
            "Docker's address cannot be used: {error}. DOCKER_HOST must be like unix:///var/run/docker.sock or tcp://host:2375"
        ))),
    }
}

fn away(config: &DockerConfig, reason: &str) -> SandboxError {
    let host = config.host.clone();
    let host =
        host.or_else(|| std::env::var("DOCKER_HOST").ok()).unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    let way_out = if reason.to_lowercase().contains("permission denied") {
        "this user may not use it: `sudo usermod -aG docker $USER`, then log in again"
    } else {
        "start it (`make setup`, or `sudo systemctl start docker`), or let DOCKER_HOST name one that runs"
    };
    SandboxError::Engine { doing: format!("reaching Docker at {host}"), reason: format!("{reason}; {way_out}") }
}

/// An error with all that caused it: the outermost one rarely says what is wrong.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Engine {
    /// Reaches the engine and agrees with it on a version of the API.
    async fn reach(config: Arc<DockerConfig>) -> Result<Self, SandboxError> {
        let away = |reason: &str| away(&config, reason);
        let docker = client(&config)?.ok_or_else(|| away("there is no such socket"))?;
        let asking = async {
            let docker = docker.negotiate_version().await?;
            let about = docker.info().await?;
            Ok::<_, DockerError>((docker, about))
        };
        let (docker, about) = tokio::time::timeout(config.call_timeout, asking)
            .await
            .map_err(|_| away("it does not answer"))?
            .map_err(|error| away(&with_causes(&error)))?;
        // One that does not say is asked for what it has least.
        let processors = about.ncpu.filter(|count| *count > 0).unwrap_or(1) as f64;
        Ok(Self { docker, config, processors })
    }

    pub(super) async fn version(&self) -> Result<String, SandboxError> {
        let version = self.call("asking Docker's version", self.docker.version());
        Ok(version.await?.version.unwrap_or_default())
    }

    /// One call, with the engine's time limit.
    pub(super) async fn call<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, DockerError>>,
    ) -> Result<T, SandboxError> {
        let answer = tokio::time::timeout(self.config.call_timeout, call).await;
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(failed(doing, error)),
            Err(_) => Err(failed(doing, "Docker did not answer in time")),
        }
    }

    /// As [`Engine::call`], but what is not there (any more), or is just going, is no failure.
    pub(super) async fn call_unless_gone(
        &self,
        doing: &str,
        call: impl Future<Output = Result<(), DockerError>>,
    ) -> Result<(), SandboxError> {
        let tolerant = async {
            match call.await {
                Err(error) if is_gone(&error) => Ok(()),
                other => other,
            }
        };
        self.call(doing, tolerant).await
    }

    /// Creates, attaches to and starts a container that removes itself when it ends. Goes on to the
    /// end even when the caller goes away; what nobody takes is removed.
    pub(super) async fn launch(
        &self,
        doing: &'static str,
        name: String,
        body: ContainerCreateBody,
    ) -> Result<Attached, SandboxError> {
        let engine = self.clone();
        let launching = tokio::spawn(async move { engine.launch_here(doing, name, body).await });
        launching.await.unwrap_or_else(|error| Err(failed(doing, error)))
    }

    async fn launch_here(
        &self,
        doing: &str,
        name: String,
        body: ContainerCreateBody,
    ) -> Result<Attached, SandboxError> {
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let create = self.docker.create_container(Some(options), body);
        let presence = Presence::new(self.clone(), name.clone());
        let id = self.call(doing, create).await?.id;
        let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
        let attach = self.docker.attach_container(&name, Some(options));
        let pipes = self.call(doing, attach).await?;
        self.call(doing, self.docker.start_container(&name, None)).await?;
        Ok(Attached { id, input: pipes.input, output: pipes.output, presence })
    }

    /// How many processes are alive in a container, whatever name space of their own they made: by the kernel's own
    /// list, where this process can see it, else by the engine, which starts `ps` for it.
    pub(super) async fn processes(&self, container: &str) -> Result<usize, SandboxError> {
        if let Some(count) = listed_by_the_kernel(container) {
            return Ok(count);
        }
        let options = TopOptionsBuilder::new().ps_args("-opid").build();
        let top = self.docker.top_processes(container, Some(options));
        let top = self.call("counting the processes of a test container", top).await?;
        Ok(top.processes.unwrap_or_default().len())
    }

    /// Kills a container at once. One that is already gone is fine; a refusal is tried again.
    pub(super) async fn kill(&self, container: &str) -> Result<(), SandboxError> {
        let mut pause = Duration::from_millis(50);
        loop {
            let options = KillContainerOptionsBuilder::new().signal("KILL").build();
            let kill = self.docker.kill_container(container, Some(options));
            match self.call_unless_gone("killing a container", kill).await {
                Err(error) if pause > Duration::from_secs(2) => return Err(error),
                Err(error) => {
                    tracing::warn!(container.id = container, %error, "container not killed, trying again");
                    sleep(pause).await;
                    pause *= 2;
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Removes a container, whatever it does.
    pub(super) async fn remove_container(&self, container: &str) -> Result<(), SandboxError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
        let remove = self.docker.remove_container(container, Some(options.build()));
        self.call_unless_gone("removing a container", remove).await
    }

    /// Makes a volume, and says where the engine's host has it.
    pub(super) async fn create_volume(
        &self,
        name: &str,
        labels: HashMap<String, String>,
    ) -> Result<String, SandboxError> {
        let request =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..VolumeCreateRequest::default() };
        let create = self.docker.create_volume(request);
        Ok(self.call("making a volume", create).await?.mountpoint)
    }

    /// Removes a volume; waits for a container that is just going.
    pub(super) async fn remove_volume(&self, name: &str) -> Result<(), SandboxError> {
        let mut pause = Duration::from_millis(10);
        loop {
            let options = RemoveVolumeOptionsBuilder::new().force(true).build();
            let remove = self.docker.remove_volume(name, Some(options));
            let removed = tokio::time::timeout(self.config.call_timeout, remove).await;
            match removed {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if status(&error) == Some(404) => return Ok(()),
                Ok(Err(error)) if status(&error) != Some(409) || pause > self.config.call_timeout => {
                    return Err(failed("removing a volume", error));
                }
                Err(_) => return Err(failed("removing a volume", "Docker did not answer in time")),
                Ok(Err(_in_use)) => sleep(pause).await,
            }
            pause *= 2;
        }
    }
}

/// An error of the engine, told with what was being done.
pub(super) fn failed(doing: &str, reason: impl fmt::Display) -> SandboxError {
    SandboxError::Engine { doing: doing.to_owned(), reason: reason.to_string() }
}

/// The HTTP status of an answer that says no.
pub(super) fn status(error: &DockerError) -> Option<u16> {
    match error {
        DockerError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// 404: not there; 409: its removal is under way, or it does not run; 304: it already stopped.
fn is_gone(error: &DockerError) -> bool {
    matches!(status(error), Some(304 | 404 | 409))
}

/// A started container with its standard streams. Dropped, it is removed: its input ends, which it
/// heeds by itself, and the engine is told to as well.
pub(super) struct Attached {
    pub(super) id: String,
    pub(super) input: Pin<Box<dyn AsyncWrite + Send>>,
    pub(super) output: Output,
    pub(super) presence: Presence,
}

/// What a container prints: [`LogOutput::StdOut`] and [`LogOutput::StdErr`] frames.
pub(super) type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, DockerError>> + Send>>;

/// The processes of a container of this machine, by its control group: version 1 or 2, with or without systemd.
fn listed_by_the_kernel(container: &str) -> Option<usize> {
    ["pids/", ""].iter().find_map(|tree| {
        [format!("docker/{container}"), format!("system.slice/docker-{container}.scope")].iter().find_map(|group| {
            let list = std::fs::read_to_string(format!("/sys/fs/cgroup/{tree}{group}/cgroup.procs")).ok()?;
            Some(list.lines().count())
        })
    })
}

/// Everything that is left to read, for containers that print a few lines.
pub(super) async fn read_all(output: &mut Output) -> String {
    let mut text = Vec::new();
    while let Some(Ok(frame)) = output.next().await {
        text.extend_from_slice(frame.as_ref());
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// That a container may exist. Dropped, it sees to it that it does not.
pub(super) struct Presence {
    engine: Engine,
    name: Option<String>,
}

impl Presence {
    fn new(engine: Engine, name: String) -> Self {
        Self { engine, name: Some(name) }
    }

    /// The container was seen to end, and removes itself.
    pub(super) fn ended(&mut self) {
        self.name = None;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let (Some(name), Ok(runtime)) = (self.name.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let engine = self.engine.clone();
        runtime.spawn(async move {
            if let Err(error) = engine.remove_container(&name).await {
                tracing::warn!(container.name = name, %error, "container left for the sweep");
            }
        });
    }
}
