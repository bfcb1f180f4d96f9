//! What a job asks for, as it is stored with the job: every name already resolved.

use crate::{
    db::jobs::{NewJob, Origin},
    git::without_password,
    report::{Request, shell},
    sandbox::{Limits, Network, ProbeSpec},
    search::{Counts, Sampling},
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
    /// The good ends; none while one is to be looked for (`auto`).
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
    /// The longest one probe may take, in seconds, where somebody said so; else that of the job.
    pub timeout: Option<f64>,
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
    /// The test fails by chance, too: so many runs for each step of the search at most. Without, it is taken for such a test
    /// only once its runs contradict one another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u32>,
    /// How probable a commit must be before it is named, where the test fails by chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// No good end was named: a release on which the command passes is, or was, looked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto: bool,
    /// Only the failure of the bad end counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_failure: bool,
    /// Only failures that print a line which matches this count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_line: Option<String>,
    /// Recall nothing of earlier jobs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_cache: bool,
    /// Recall ends and proofs, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_cache: bool,
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
    /// The identity of the request: two unfinished jobs with one key are the same job. What was
    /// asked for and may change the answer belongs to it. How it is run (lanes, total time) does
    /// not, nor what is set on one machine only and nobody asked for (the time of one probe that
    /// follows from the total time), nor what plain processes do not have (image, network), nor the
    /// order of what has none.
    #[must_use]
    pub fn request_key(&self, affinity: Option<&str>) -> String {
        let mut asked = Self { lanes: 0, job_timeout: 0.0, ..self.clone() };
        if self.sandbox == SandboxKind::Process {
            asked.image.clear();
            asked.network.clear();
        }
        asked.good.sort_unstable();
        asked.paths.sort_unstable();
        asked.paths.dedup();
        let text = serde_json::to_string(&(asked, affinity)).unwrap_or_default();
        hex::encode(Sha256::digest(text))
    }

    /// The request as the queue takes it. The identity of one of GitHub goes by the repository's number here,
    /// whatever it is called now; so it is never that of a request at a shell for the same address.
    #[must_use]
    pub fn to_job(&self, origin: Origin, requested_by: Option<String>, retry_of: Option<JobId>) -> NewJob {
        let request_key = match &origin {
            Origin::GitHub { repository, .. } => {
                Self { source: format!("repository {repository}"), ..self.clone() }.request_key(None)
            }
            Origin::Local { affinity, .. } => self.request_key(affinity.as_deref()),
        };
        NewJob {
            request_key: Some(request_key),
            origin,
            requested_by,
            retry_of,
            // Until one is found: see `db::jobs::set_good`.
            good: self.good.first().copied().unwrap_or(self.bad),
            more_good: self.good.get(1..).unwrap_or_default().to_vec(),
            bad: self.bad,
            command: self.command.clone(),
            setup: self.setup.clone(),
            image: Some(self.image.clone()),
            lanes: u32::try_from(self.lanes).unwrap_or(u32::MAX),
            timeout: Some(self.probe_timeout()),
            max_duration: Some(Duration::from_secs_f64(self.job_timeout)),
            spec: serde_json::to_value(self).unwrap_or_default(),
            priority: 0,
        }
    }

    /// The same as far as this operator allows it: what is forbidden now, no job from before can have again.
    #[must_use]
    pub fn within(self, network: Network, max_lanes: u32) -> Self {
        let network = match network {
            Network::None => Network::None,
            Network::Egress => self.network(),
        };
        let lanes = self.lanes.clamp(1, max_lanes.max(1) as usize);
        Self { network: network.to_string(), lanes, ..self }
    }

    /// The same with another number of runs, if one is given.
    #[must_use]
    pub fn with_runs(self, runs: Option<u32>) -> Self {
        Self { runs: runs.or(self.runs), ..self }
    }

    /// The options that change what is searched, as one would write them.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let flag = |is: bool, name: &str| is.then(|| name.to_owned());
        let paths = self.paths.iter().map(|path| format!("--path {path}"));
        let skipped = self.skip.iter().map(|commit| format!("--skip {}", commit.short()));
        let ranges = self.skip_ranges.iter().map(|range| format!("--skip {range}"));
        flag(self.first_parent, "--first-parent")
            .into_iter()
            .chain(flag(self.fixed, "--fixed"))
            .chain(paths)
            .chain(skipped)
            .chain(ranges)
            .chain(self.runs.map(|runs| format!("--runs {runs}")))
            .chain(self.confidence.map(|confidence| format!("--confidence {confidence}")))
            .chain(flag(self.same_failure, "--same-failure"))
            .chain(self.failure_line.as_ref().map(|line| shell::join(&["--failure-line", line])))
            .chain(flag(self.no_cache, "--no-cache"))
            .chain(flag(self.trust_cache, "--trust-cache"))
            .collect()
    }

    /// What may be reached; an unknown text is the safest.
    #[must_use]
    pub fn network(&self) -> Network {
        self.network.parse().unwrap_or(Network::None)
    }

    /// The longest one probe may take.
    #[must_use]
    pub fn probe_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout.unwrap_or(self.job_timeout))
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
            image_id: None,
            command: self.command.clone(),
            setup: self.setup.clone(),
            env: self.env.clone(),
            network: self.network(),
            timeout: self.probe_timeout(),
            silence: self.silence.map(Duration::from_secs_f64),
            deadline: Duration::from_secs_f64(self.job_timeout).saturating_sub(used),
            limits: Limits::default(),
        }
    }

    /// How it is searched if the test fails by chance.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        let default = Sampling::default();
        Sampling {
            // One run of each commit is what a plain search makes.
            asked: self.runs.is_some_and(|runs| runs > 1),
            runs: self.runs.filter(|runs| *runs > 1).unwrap_or(default.runs),
            confidence: self.confidence.unwrap_or(default.confidence),
        }
    }

    /// Which failures count.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match (&self.failure_line, self.same_failure) {
            (Some(_), _) => Counts::Line,
            (None, true) => Counts::Same,
            (None, false) => Counts::Any,
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::runner) fn spec(sandbox: SandboxKind) -> JobSpec {
        let sha = |digit: &str| digit.repeat(40).parse::<Sha>().unwrap();
        JobSpec {
            source: "/srv/repo".into(),
            good: vec![sha("1"), sha("2")],
            bad: sha("3"),
            command: vec!["false".into()],
            setup: None,
            image: "bisect-runner:latest".into(),
            env: Vec::new(),
            network: "egress".into(),
            sandbox,
            timeout: None,
            silence: None,
            job_timeout: 1800.0,
            lanes: 3,
            first_parent: false,
            fixed: false,
            paths: vec!["a".into(), "b".into()],
            skip_ranges: Vec::new(),
            skip: Vec::new(),
            runs: None,
            confidence: None,
            auto: false,
            same_failure: false,
            failure_line: None,
            no_cache: false,
            trust_cache: false,
        }
    }

    #[test]
    fn whatever_may_be_asked_for_is_known_to_whoever_claims() {
        let some = || Some(1.0);
        let asked = JobSpec {
            source: String::new(),
            good: Vec::new(),
            bad: "3".repeat(40).parse().unwrap(),
            command: Vec::new(),
            setup: Some(String::new()),
            image: String::new(),
            env: Vec::new(),
            network: String::new(),
            sandbox: SandboxKind::Docker,
            timeout: some(),
            silence: some(),
            job_timeout: 1.0,
            lanes: 1,
            first_parent: true,
            fixed: true,
            paths: Vec::new(),
            skip_ranges: Vec::new(),
            skip: Vec::new(),
            runs: Some(2),
            confidence: some(),
            auto: true,
            same_failure: true,
            failure_line: Some(String::new()),
            no_cache: true,
            trust_cache: true,
        };
        let serde_json::Value::Object(keys) = serde_json::to_value(asked).unwrap() else { panic!("an object") };
        let mut known = crate::db::jobs::KNOWN;
        known.sort_unstable();
        assert_eq!(keys.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), known.into());
    }

    #[test]
    fn the_same_request_is_the_same_wherever_and_however_it_is_run() {
        let docker = spec(SandboxKind::Docker);
        let key = docker.request_key(None);
        let others = [
            JobSpec { job_timeout: 60.0, ..docker.clone() },
            JobSpec { lanes: 1, ..docker.clone() },
            JobSpec { good: docker.good.iter().rev().copied().collect(), ..docker.clone() },
            JobSpec { paths: vec!["b".into(), "a".into(), "b".into()], ..docker.clone() },
        ];
        for other in others {
            assert_eq!(other.request_key(None), key, "{other:?}");
        }
        let process = spec(SandboxKind::Process);
        let elsewhere = JobSpec { image: "another".into(), network: "none".into(), ..process.clone() };
        assert_eq!(elsewhere.request_key(None), process.request_key(None));
    }

    #[test]
    fn what_may_change_the_answer_makes_another_request() {
        let docker = spec(SandboxKind::Docker);
        let key = docker.request_key(None);
        assert_ne!(docker.request_key(Some("machine")), key);
        let others = [
            // Said, it counts, also where it is the time that holds anyway.
            JobSpec { timeout: Some(1800.0), ..docker.clone() },
            JobSpec { silence: Some(60.0), ..docker.clone() },
            JobSpec { runs: Some(5), ..docker.clone() },
            JobSpec { confidence: Some(0.99), ..docker.clone() },
            JobSpec { image: "another".into(), ..docker.clone() },
            JobSpec { network: "none".into(), ..docker.clone() },
            JobSpec { paths: vec!["a".into()], ..docker.clone() },
            JobSpec { sandbox: SandboxKind::Process, ..docker.clone() },
        ];
        for other in others {
            assert_ne!(other.request_key(None), key, "{other:?}");
        }
    }

    #[test]
    fn a_probe_may_take_as_long_as_its_job_unless_somebody_said_less() {
        let job = spec(SandboxKind::Docker);
        assert_eq!(job.probe_timeout(), Duration::from_secs(1800));
        assert_eq!(JobSpec { timeout: Some(5.0), ..job }.probe_timeout(), Duration::from_secs(5));
    }
}
