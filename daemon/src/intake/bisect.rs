//! A request for a bisection: names become commits, limits are kept, and a job is queued with its
//! replies, all in one transaction.

use super::{
    Done, Intake, IntakeError,
    comment::{Asking, Heard},
    processed,
};
use crate::{
    command::{Bisect, repository_config::NetworkAccess},
    db::{Tx, asked, deliveries::Completion, jobs, jobs::Origin, outbox::ReplyKind, usage, users},
    github::Permission,
    outbox::ReplyBody,
    queue::{Enqueued, enqueue_in},
    report::replies::{self as say, Rejection},
    runner::spec::{JobSpec, SandboxKind},
    sandbox::Network,
};
use bisect_shared::{JobId, Sha};
use futures::future::try_join_all;

/// Unfinished jobs of one user in an installation, at most: more would only wait, and keep others waiting.
const JOBS_OF_USER: u32 = 10;
/// The same of somebody who may ask only because the repository lets anyone ask.
const JOBS_OF_GUEST: u32 = 2;
/// The same of one repository.
const JOBS_OF_REPOSITORY: u32 = 25;
/// Probes at once where nobody says how many.
const LANES: u32 = 3;
/// Names that GitHub is asked about at once.
const ASKED_AT_ONCE: usize = 6;

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
        heard: &Heard,
        asked: &Bisect,
    ) -> Result<Result<Accepted, Rejection>, IntakeError> {
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
        for ranges in asked.options.skip.chunks(ASKED_AT_ONCE) {
            let mut resolving = Vec::new();
            for range in ranges {
                resolving.push(self.resolve_range(asking, range, (good, bad)));
            }
            for resolved in try_join_all(resolving).await? {
                match resolved {
                    Ok(range) => skip_ranges.push(range),
                    Err(rejection) => return Ok(Err(rejection)),
                }
            }
        }
        Ok(Ok(Accepted { spec: self.spec(asked, heard, (good, bad), skip_ranges), retry_of: None }))
    }

    /// `A..B` or `A` with full names of commits. An end, which has to be tested, cannot be left out; of a range
    /// this is seen here where it ends with one, and else when the job has the repository.
    async fn resolve_range(
        &self,
        asking: &Asking<'_>,
        range: &str,
        (good, bad): (Sha, Sha),
    ) -> Result<Result<String, Rejection>, IntakeError> {
        let (from, to) = range.split_once("..").map_or((None, range), |(from, to)| (Some(from), to));
        let unknown = |name: &str| Ok(Err(Rejection::UnknownRef { name: name.to_owned() }));
        let Some(to_sha) = self.github.resolve(&asking.repository, to).await? else { return unknown(to) };
        if to_sha == good || to_sha == bad {
            return Ok(Err(Rejection::SkipsEnd { range: range.to_owned(), sha: to_sha }));
        }
        let Some(from) = from else { return Ok(Ok(to_sha.to_string())) };
        let Some(from_sha) = self.github.resolve(&asking.repository, from).await? else { return unknown(from) };
        Ok(Ok(format!("{from_sha}..{to_sha}")))
    }

    fn spec(&self, asked: &Bisect, heard: &Heard, (good, bad): (Sha, Sha), skip_ranges: Vec<String>) -> JobSpec {
        let (options, config) = (&asked.options, &heard.config);
        let network = match config.network {
            Some(NetworkAccess::None) => Network::None,
            Some(NetworkAccess::Egress) | None => Network::Egress,
        };
        let timeout = options.timeout.or(config.timeout);
        JobSpec {
            source: heard.repository.clone_url.clone(),
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
            lanes: options.jobs.unwrap_or(LANES) as usize,
            first_parent: options.first_parent,
            fixed: options.fixed,
            paths: options.paths.clone(),
            skip: Vec::new(),
            skip_ranges,
            runs: options.runs,
            confidence: options.confidence,
            same_failure: options.same_failure,
            failure_line: options.failure_line.clone(),
            no_cache: options.no_cache,
            trust_cache: options.trust_cache,
        }
    }

    /// Queues the job, or joins the same one that is unfinished, or says which limit is reached.
    pub(super) async fn queue_job(
        &self,
        asking: &Asking<'_>,
        heard: &Heard,
        accepted: Accepted,
    ) -> Result<Done, IntakeError> {
        let comment = asking.comment;
        let mut tx = self.db.begin().await?;
        let Some(allowance) = usage::allowance(&mut tx, comment.installation).await? else {
            tx.rollback().await?;
            return Ok(Done::Ended(Completion::Rejected("the installation is gone".into())));
        };
        let repository = self.row_of(&mut tx, asking, heard).await?;
        let user = users::upsert(&mut tx, comment.author.id, &comment.author.login).await?;
        // What the operator forbids, no repository can allow.
        let mut spec = accepted.spec.within(self.defaults.network, self.defaults.max_lanes);
        spec.job_timeout = f64::from(allowance.max_duration_minutes) * 60.0;
        let origin = Origin::GitHub {
            installation: comment.installation,
            repository: repository.id,
            user: Some(user),
            issue: Some(comment.issue),
            comment: Some(comment.id),
        };
        let job = spec.to_job(origin, Some(comment.author.login.clone()), accepted.retry_of);
        let enqueued = enqueue_in(&mut tx, &job).await?;
        if enqueued.joined {
            return self.joined(tx, asking, enqueued).await;
        }
        // Counted with the new job, so that two requests at once cannot both be the last one.
        let guest = heard.permission < Permission::Triage;
        let most = if guest { JOBS_OF_GUEST } else { JOBS_OF_USER };
        let over = if !allowance.has_room() {
            Some(Rejection::MonthUsed {
                tier: allowance.tier.clone(),
                used: allowance.used,
                limit: allowance.jobs_per_month.unwrap_or_default(),
                resets_at: allowance.resets_at,
            })
        } else if asked::unfinished_of_user(&mut tx, user, comment.installation).await? > most {
            Some(Rejection::TooManyJobs { whose: "you", limit: most })
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
        if accepted.retry_of.is_some() {
            self.audit(&mut tx, asking, "job.retry", Some(enqueued.job)).await?;
        }
        self.react(&mut tx, asking).await?;
        let key = format!("job:{}:status", enqueued.job);
        self.queue_reply(&mut tx, asking, &key, Some(enqueued.job), ReplyKind::Status, &ReplyBody::OfJob).await?;
        self.note_further(&mut tx, asking).await?;
        self.commit(tx, asking, processed(Some(enqueued.job))).await
    }

    async fn joined(&self, mut tx: Tx, asking: &Asking<'_>, enqueued: Enqueued) -> Result<Done, IntakeError> {
        let job = jobs::find(&mut tx, enqueued.job).await?;
        // The result is told where it was asked for first.
        let elsewhere = job.and_then(|job| job.issue).filter(|issue| *issue != asking.comment.issue);
        let text = say::joined(enqueued.job, &self.links(asking, enqueued.job), elsewhere);
        self.reply(&mut tx, asking, &text).await?;
        self.commit(tx, asking, processed(Some(enqueued.job))).await
    }
}
