//! A request for a bisection: names become commits, limits are kept, and a job is queued with its
//! replies, all in one transaction.

use super::{Done, Intake, IntakeError, comment::Asking, processed};
use crate::{
    command::{
        Bisect,
        repository_config::{NetworkAccess, RepositoryConfig},
    },
    db::{
        asked,
        jobs::{NewJob, Origin},
        outbox::ReplyKind,
        usage, users,
    },
    github::RepositoryInfo,
    outbox::ReplyBody,
    queue::enqueue_in,
    report::replies::{self as say, Rejection},
    runner::spec::{JobSpec, SandboxKind},
    sandbox::Network,
};
use bisect_shared::{JobId, Sha};
use std::time::Duration;

/// Unfinished jobs of one user, at most: more would only wait, and keep others waiting.
const JOBS_OF_USER: u32 = 10;
/// The same of one repository.
const JOBS_OF_REPOSITORY: u32 = 25;
/// Probes at once where nobody says how many.
const LANES: u32 = 3;

/// A request of which every name is resolved.
pub(super) struct Accepted {
    pub(super) spec: JobSpec,
    pub(super) retry_of: Option<JobId>,
}

impl Intake {
    /// Resolves what was asked for. The inner error is for whoever asked.
    pub(super) async fn understand(
        &self,
        asking: &Asking<'_>,
        asked: &Bisect,
        config: &RepositoryConfig,
    ) -> Result<Result<Accepted, Rejection>, IntakeError> {
        let repository = self.github.repository(&asking.repository).await?;
        let (good, bad) = tokio::try_join!(
            self.github.resolve(&asking.repository, &asked.good),
            self.github.resolve(&asking.repository, &asked.bad),
        )?;
        let unknown = |name: &str| Ok(Err(Rejection::UnknownRef { name: name.to_owned() }));
        let Some(good) = good else { return unknown(&asked.good) };
        let Some(bad) = bad else { return unknown(&asked.bad) };
        if good == bad {
            return Ok(Err(Rejection::SameEnds { good: asked.good.clone(), bad: asked.bad.clone(), sha: good }));
        }
        let mut skip_ranges = Vec::new();
        for range in &asked.options.skip {
            match self.resolve_range(asking, range).await? {
                Ok(range) => skip_ranges.push(range),
                Err(name) => return unknown(&name),
            }
        }
        Ok(Ok(Accepted { spec: self.spec(asked, config, &repository, (good, bad), skip_ranges), retry_of: None }))
    }

    /// `A..B` or `A` with full names of commits; the error is the name that nothing has.
    async fn resolve_range(&self, asking: &Asking<'_>, range: &str) -> Result<Result<String, String>, IntakeError> {
        let (from, to) = range.split_once("..").map_or((None, range), |(from, to)| (Some(from), to));
        let Some(to_sha) = self.github.resolve(&asking.repository, to).await? else { return Ok(Err(to.to_owned())) };
        let Some(from) = from else { return Ok(Ok(to_sha.to_string())) };
        let from_sha = self.github.resolve(&asking.repository, from).await?;
        Ok(from_sha.map(|from_sha| format!("{from_sha}..{to_sha}")).ok_or_else(|| from.to_owned()))
    }

    fn spec(
        &self,
        asked: &Bisect,
        config: &RepositoryConfig,
        repository: &RepositoryInfo,
        (good, bad): (Sha, Sha),
        skip_ranges: Vec<String>,
    ) -> JobSpec {
        let options = &asked.options;
        // What the operator forbids, no repository can allow.
        let network = match (self.defaults.network, config.network) {
            (Network::Egress, Some(NetworkAccess::None)) => Network::None,
            (most, _) => most,
        };
        let timeout = options.timeout.or(config.timeout);
        JobSpec {
            source: repository.clone_url.clone(),
            good: vec![good],
            bad,
            command: vec!["sh".into(), "-c".into(), asked.script.clone()],
            setup: options.setup.clone().or_else(|| config.setup.clone()),
            image: options
                .image
                .clone()
                .or_else(|| config.image.clone())
                .unwrap_or_else(|| self.defaults.image.clone()),
            env: config.env.clone().into_iter().collect(),
            network: network.to_string(),
            sandbox: SandboxKind::Docker,
            timeout: timeout.map(|timeout| timeout.as_secs_f64()),
            silence: None,
            job_timeout: 0.0,
            lanes: options.jobs.unwrap_or(LANES).clamp(1, self.defaults.max_lanes.max(1)) as usize,
            first_parent: options.first_parent,
            fixed: options.fixed,
            paths: options.paths.clone(),
            skip: Vec::new(),
            skip_ranges,
        }
    }

    /// Queues the job, or joins the same one that is unfinished, or says which limit is reached.
    pub(super) async fn queue_job(&self, asking: &Asking<'_>, accepted: Accepted) -> Result<Done, IntakeError> {
        let comment = asking.comment;
        let mut tx = self.db.begin().await?;
        let repository = self.row_of(&mut tx, asking).await?;
        let user = users::upsert(&mut tx, comment.author.id, &comment.author.login).await?;
        let Some(allowance) = usage::allowance(&mut tx, comment.installation).await? else {
            tx.rollback().await?;
            return Ok(Done::Ended(crate::db::deliveries::Completion::Rejected("the installation is gone".into())));
        };
        let mut spec = accepted.spec;
        spec.job_timeout = f64::from(allowance.max_duration_minutes) * 60.0;
        let origin = Origin::GitHub {
            installation: comment.installation,
            repository: repository.id,
            user: Some(user),
            issue: Some(comment.issue),
            comment: Some(comment.id),
        };
        let enqueued = enqueue_in(&mut tx, &new_job(&spec, origin, &comment.author.login, accepted.retry_of)).await?;
        if enqueued.joined {
            let text = say::joined(enqueued.job, &self.links(asking, enqueued.job));
            self.reply(&mut tx, asking, "reply", None, &text).await?;
            return self.commit(tx, asking, processed(Some(enqueued.job))).await;
        }
        // Counted with the new job, so that two requests at once cannot both be the last one.
        let over = if !allowance.has_room() {
            Some(Rejection::MonthUsed {
                tier: allowance.tier.clone(),
                used: allowance.used,
                limit: allowance.jobs_per_month.unwrap_or_default(),
                resets_at: allowance.resets_at,
            })
        } else if asked::unfinished_of_user(&mut tx, user).await? > JOBS_OF_USER {
            Some(Rejection::TooManyJobs { whose: "you", limit: JOBS_OF_USER })
        } else if asked::unfinished_of_repository(&mut tx, repository.id).await? > JOBS_OF_REPOSITORY {
            Some(Rejection::TooManyJobs { whose: "this repository", limit: JOBS_OF_REPOSITORY })
        } else {
            None
        };
        if let Some(rejection) = over {
            tx.rollback().await?;
            return self.reject(asking, &rejection).await;
        }
        usage::count_job(&mut tx, comment.installation).await?;
        self.react(&mut tx, asking).await?;
        let key = format!("job:{}:status", enqueued.job);
        self.queue_reply(&mut tx, asking, &key, Some(enqueued.job), ReplyKind::Status, &ReplyBody::OfJob).await?;
        self.note_further(&mut tx, asking).await?;
        self.commit(tx, asking, processed(Some(enqueued.job))).await
    }
}

fn new_job(spec: &JobSpec, origin: Origin, login: &str, retry_of: Option<JobId>) -> NewJob {
    NewJob {
        request_key: Some(spec.request_key(None)),
        origin,
        requested_by: Some(login.to_owned()),
        retry_of,
        good: spec.good[0],
        more_good: spec.good[1..].to_vec(),
        bad: spec.bad,
        command: spec.command.clone(),
        setup: spec.setup.clone(),
        image: Some(spec.image.clone()),
        lanes: u32::try_from(spec.lanes).unwrap_or(u32::MAX),
        timeout: spec.timeout.map(Duration::from_secs_f64),
        max_duration: Some(Duration::from_secs_f64(spec.job_timeout)),
        spec: serde_json::to_value(spec).unwrap_or_default(),
        priority: 0,
    }
}
