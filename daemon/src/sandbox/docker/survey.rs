//! What an engine says about itself, for `bisectd doctor`.

use super::{DockerSandbox, SandboxError};

/// What an engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Docker's version.
    pub version: String,
    /// runc's version; empty when it is not told.
    pub runc: String,
    /// The version of the kernel's control groups.
    pub cgroup: Option<String>,
    /// The names that `--runtime` takes.
    pub runtimes: Vec<String>,
    memory: bool,
    swap: bool,
    processors: bool,
    processes: bool,
}

impl Survey {
    /// What cannot be limited here.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let limits = [
            (self.memory, "memory"),
            (self.swap, "swap"),
            (self.processors, "processors"),
            (self.processes, "processes"),
        ];
        limits.into_iter().filter(|(there, _)| !there).map(|(_, name)| name).collect()
    }
}

impl DockerSandbox {
    /// Asks the engine about itself.
    ///
    /// # Errors
    /// [`SandboxError::Engine`], with what to do, when it does not answer.
    pub async fn survey(&self) -> Result<Survey, SandboxError> {
        let engine = self.link.engine().await?;
        let version = engine.call("asking Docker's version", engine.docker.version()).await?;
        let info = engine.call("asking Docker about itself", engine.docker.info()).await?;
        let components = version.components.unwrap_or_default();
        let runc = components.into_iter().find(|component| component.name == "runc");
        let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
        runtimes.sort();
        Ok(Survey {
            version: version.version.unwrap_or_default(),
            runc: runc.map(|runc| runc.version).unwrap_or_default(),
            cgroup: info.cgroup_version.map(|version| version.to_string()),
            runtimes,
            memory: info.memory_limit.unwrap_or(false),
            swap: info.swap_limit.unwrap_or(false),
            processors: info.cpu_cfs_quota.unwrap_or(false),
            processes: info.pids_limit.unwrap_or(false),
        })
    }
}
