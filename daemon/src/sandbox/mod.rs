//! What a sandbox promises: one commit and one command in, one [`Ending`] out.
//!
//! Everything the command can reach is assumed hostile. A sandbox never judges a commit, never
//! touches the database, and never turns an error of its own into an [`Ending`].

pub mod docker;
pub mod process;

use async_trait::async_trait;
use bisect_shared::{Ending, Epoch, InstanceId, JobId, Purpose, Sha};
use bytes::Bytes;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What is the same for every probe of a job.
#[derive(Debug, Clone)]
pub struct ProbeSpec {
    /// The job, and the claim under which it runs: every container and volume is labelled so.
    pub job: JobId,
    /// The claim's number.
    pub epoch: Epoch,
    /// The process that holds the claim.
    pub instance: InstanceId,
    /// The bare repository on this host that holds every commit of the job.
    pub mirror: PathBuf,
    /// The image the command runs in, by the name that was asked for.
    pub image: String,
    /// What that name meant when the job first ran, as [`Sandbox::check`] answered: what runs, while it is there.
    pub image_id: Option<String>,
    /// Program and arguments, executed as given, without a shell.
    pub command: Vec<String>,
    /// Run by `sh -c` after every checkout and before the command.
    pub setup: Option<String>,
    /// Added to the command's environment.
    pub env: Vec<(String, String)>,
    /// What the command may reach.
    pub network: Network,
    /// The longest that setup and command of one probe may take together.
    pub timeout: Duration,
    /// The longest that a probe may print nothing; `None` for no such limit.
    pub silence: Option<Duration>,
    /// What is left of the job's total time: containers end by themselves after it.
    pub deadline: Duration,
    /// What one probe may use.
    pub limits: Limits,
}

/// What a probe may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Nothing.
    None,
    /// The public internet; never this host, private ranges or the metadata address.
    Egress,
}

impl std::str::FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "none" => Ok(Self::None),
            "egress" => Ok(Self::Egress),
            _ => Err(()),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Egress => "egress",
        })
    }
}

/// What one probe may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Memory in bytes; there is no swap.
    pub memory: u64,
    /// Processors, as a fraction; no more than there are.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
    /// Size of `/tmp`, and of each `VOLUME` of the image, in bytes.
    pub tmp: u64,
    /// Size of workspace and home together, in bytes.
    pub disk: u64,
    /// Files and folders in workspace and home together: the emptiest one still takes its place on the disk.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 2 << 30, cpus: 2.0, pids: 512, tmp: 512 << 20, disk: 10 << 30, files: 2_000_000 }
    }
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RunEnd {
    /// The probe ended after so many seconds of setup and command.
    Ended(Ending, f64),
    /// The caller's token stopped it: it says nothing about the commit.
    Stopped,
}

/// Where commands run.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Checks, before anything is created, that the image exists and can run commands, and that
    /// the network asked for is safe to give. The answer is what the image really is (its digest, or what it was built from), by
    /// which probes run: the one of `spec.image_id` where it is still there, else what the name means
    /// here and now. `None` where there are no images.
    async fn check(&self, spec: &ProbeSpec) -> Result<Option<String>, SandboxError>;

    /// Prepares a lane: a workspace that lasts from probe to probe. One for a proof is likely to run
    /// once only, so nothing is prepared ahead for a second run.
    async fn open_lane(&self, spec: Arc<ProbeSpec>, lane: u32, purpose: Purpose)
    -> Result<Box<dyn Lane>, SandboxError>;

    /// Removes every container, volume and process of `job` whose epoch is below `below`, on this
    /// engine. The new owner of a job calls it before its first probe.
    async fn sweep_job(&self, job: JobId, below: Epoch) -> Result<(), SandboxError>;

    /// Whether the engine answers; `None` where there is none that could be away.
    async fn answers(&self) -> Option<bool> {
        None
    }

    /// The processes of which there is anything here, alive or dead.
    async fn instances(&self) -> Result<Vec<InstanceId>, SandboxError>;

    /// Removes everything of these processes, which are surely dead.
    async fn sweep_instances(&self, dead: &[InstanceId]) -> Result<(), SandboxError>;
}

/// One workspace. Ignored files (build caches) and the home folder survive from one run to the next;
/// untracked files, processes and everything else do not.
#[async_trait]
pub trait Lane: Send {
    /// Checks `commit` out and runs setup and command on it. What they print goes to `output` as
    /// it comes (a slow reader slows the command down). Cancelling `stop` kills the run at once.
    async fn run(
        &mut self,
        commit: Sha,
        output: mpsc::Sender<Bytes>,
        stop: CancellationToken,
    ) -> Result<RunEnd, SandboxError>;

    /// Removes the workspace and all that belongs to it.
    async fn close(self: Box<Self>) -> Result<(), SandboxError>;
}

/// Why a sandbox could not do its work. Never a verdict.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The request cannot be run here, whoever tries: the message says what to change.
    #[error("{0}")]
    Unusable(String),
    /// Docker did not do what it should, or is away: the job waits, retries or fails as infrastructure.
    #[error("{doing}: {reason}")]
    Engine {
        /// What was being done.
        doing: String,
        /// What the engine answered.
        reason: String,
    },
}
