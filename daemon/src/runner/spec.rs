//! What a job asks for, as it is stored with the job: every name already resolved.

use crate::{
    git::without_password,
    report::Request,
    sandbox::{Limits, Network, ProbeSpec},
};
use bisect_shared::{Epoch, InstanceId, JobId, Sha};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{path::PathBuf, time::Duration};

/// A request that was accepted (`bisect_jobs.spec`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The repository: an absolute path of this machine, or an address.
    pub source: String,
    /// The good ends; at least one.
    pub good: Vec<Sha>,
    /// The bad end.
    pub bad: Sha,
    /// Program and arguments, executed as given.
    pub command: Vec<String>,
    /// Run by `sh -c` after every checkout.
    pub setup: Option<String>,
    /// The image.
    pub image: String,
    /// Added to the command's environment.
    pub env: Vec<(String, String)>,
    /// `none` or `egress`.
    pub network: String,
    /// Where the command runs.
    pub sandbox: SandboxKind,
    /// The longest one probe may take, in seconds.
    pub timeout: f64,
    /// The longest a probe may print nothing, in seconds.
    pub silence: Option<f64>,
    /// The longest the whole job may take, in seconds.
    pub job_timeout: f64,
    /// How many probes may run at once.
    pub lanes: usize,
    /// Follow only first parents.
    pub first_parent: bool,
    /// Find the commit that fixed it.
    pub fixed: bool,
    /// Consider only commits that touch these.
    pub paths: Vec<String>,
    /// Never test these.
    pub skip: Vec<Sha>,
    /// Nor these: ranges of full names, for requests whose maker has no repository to expand them.
    #[serde(default)]
    pub skip_ranges: Vec<String>,
}

/// Where commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SandboxKind {
    /// In Docker containers, with every limit.
    Docker,
    /// As plain processes of this machine, with no isolation: only for code you trust.
    Process,
}

impl JobSpec {
    /// The identity of the request: two unfinished jobs with one key are the same job. How it is
    /// run (lanes, total time) does not belong to it.
    #[must_use]
    pub fn request_key(&self, affinity: Option<&str>) -> String {
        let asked = Self { lanes: 0, job_timeout: 0.0, ..self.clone() };
        let text = serde_json::to_string(&(asked, affinity)).unwrap_or_default();
        hex::encode(Sha256::digest(text))
    }

    /// What may be reached; an unknown text is the safest.
    #[must_use]
    pub fn network(&self) -> Network {
        self.network.parse().unwrap_or(Network::None)
    }

    /// What is the same for every probe of the job, under the claim `who`.
    #[must_use]
    pub fn probe_spec(&self, who: (JobId, Epoch, InstanceId), mirror: PathBuf, used: Duration) -> ProbeSpec {
        let (job, epoch, instance) = who;
        ProbeSpec {
            job,
            epoch,
            instance,
            mirror,
            image: self.image.clone(),
            command: self.command.clone(),
            setup: self.setup.clone(),
            env: self.env.clone(),
            network: self.network(),
            timeout: Duration::from_secs_f64(self.timeout),
            silence: self.silence.map(Duration::from_secs_f64),
            deadline: Duration::from_secs_f64(self.job_timeout).saturating_sub(used),
            limits: Limits::default(),
        }
    }

    /// Every commit the job names: they are pinned in the mirror.
    #[must_use]
    pub fn pinned(&self) -> Vec<Sha> {
        std::iter::once(self.bad).chain(self.good.iter().copied()).collect()
    }

    /// What was asked, as it is shown.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            source: without_password(&self.source),
            good: self.good.clone(),
            bad: self.bad,
            command: self.command.clone(),
            setup: self.setup.clone(),
            image: (self.sandbox == SandboxKind::Docker).then(|| self.image.clone()),
            env: self.env.iter().map(|(name, _)| name.clone()).collect(),
            first_parent: self.first_parent,
            fixed: self.fixed,
            paths: self.paths.clone(),
            skip: self.skip.clone(),
        }
    }
}
