//! What operators do to jobs and instances, whichever way they ask: each in one transaction with its entry in the audit.
//!
//! Combines `queue` and `db`; knows no protocol. The worker of a job, wherever it runs, hears of it from the database.

use crate::{
    command::value,
    db::{
        Database, DbError, Tx, asked, audit_events, installations,
        instances::{self, Drained},
        jobs::{self, JobRow, Origin},
        outbox::{self, NewReply, ReplyKind},
        repositories::{self, RepositoryRow},
        usage,
    },
    github::RepositoryRef,
    outbox::{ReplyBody, Target},
    queue::{Queue, enqueue_in},
    runner::spec::JobSpec,
    sandbox::Network,
};
use bisect_shared::{InstanceId, JobId, admin::Outcome};
use serde_json::{Value, json};

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// As it stands in the audit, and in what is told of it.
    pub name: String,
    /// `console`, `web`.
    pub channel: &'static str,
    /// The user of the machine, where the name is not theirs.
    pub user: Option<String>,
    /// Whoever is signed in in a browser.
    pub account: Option<Account>,
}

/// Somebody who is signed in in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Our number of the user.
    pub id: i64,
    /// Where they are.
    pub address: String,
}

impl Actor {
    /// Whether they are held to what an installation may ask for in a month: users are, operators are not.
    fn is_held(&self) -> bool {
        self.account.is_some()
    }
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be done as things are: the sentence says why.
    #[error("{0}")]
    Refused(String),
    /// What was asked for is none of what can be.
    #[error("{0}")]
    Invalid(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What operators can do.
#[derive(Debug, Clone)]
pub struct Actions {
    /// The database.
    pub db: Database,
    /// The queue on it.
    pub queue: Queue,
    /// What commands may reach at most.
    pub network: Network,
    /// Probes of one job at once, at most.
    pub max_lanes: u32,
}

impl Actions {
    /// Stops a job: one that waits ends at once, the worker of one that runs within a moment.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn cancel(&self, job: JobId, actor: &Actor) -> Result<Outcome, ActionError> {
        let mut tx = self.db.begin().await?;
        let before = found(&mut tx, job).await?;
        if self.queue.request_cancel_in(&mut tx, job, &actor.name).await? {
            audit(&mut tx, actor, "job.cancel", Some(&before), json!({})).await?;
            let after = found(&mut tx, job).await?;
            tx.commit().await?;
            let what = if after.status.is_final() { "is cancelled" } else { "is being stopped" };
            return Ok(outcome(true, format!("job {job} {what}")));
        }
        // As it is now: it may have ended while its row was waited for.
        let now = found(&mut tx, job).await?;
        tx.rollback().await?;
        Ok(outcome(
            false,
            match (&now.cancel_requested_by, now.status.is_final()) {
                (_, true) => format!("job {job} has ended already: it is {}", now.status),
                (Some(by), false) => format!("job {job} is being stopped already, as {by} asked"),
                (None, false) => format!("job {job} is {}", now.status),
            },
        ))
    }

    /// Runs an ended job again, as it was asked for but for the number of `runs`, if one is given. Operators, unlike users, are not held to what an installation may ask
    /// for in a month, but its job counts; how many of them run at once is kept to.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn retry(&self, job: JobId, runs: Option<u32>, actor: &Actor) -> Result<Outcome, ActionError> {
        if let Some(runs) = runs.filter(|runs| !value::RUNS.contains(runs)) {
            let (least, most) = (value::RUNS.start(), value::RUNS.end());
            return Err(ActionError::Invalid(format!("`runs` is {runs}; it must be from {least} to {most}")));
        }
        let mut tx = self.db.begin().await?;
        let row = found(&mut tx, job).await?;
        if !row.status.is_final() {
            let why = format!("job {job} is {}: it can be repeated once it has ended, or cancel it first", row.status);
            return Err(ActionError::Refused(why));
        }
        let unreadable = |_| ActionError::Refused(format!("what job {job} asked for cannot be read any more"));
        let spec: JobSpec = serde_json::from_value(row.spec.clone()).map_err(unreadable)?;
        let spec = spec.with_runs(runs).within(self.network, self.max_lanes);
        let (origin, spec, repository) = match row.installation {
            Some(installation) => self.hosted(&mut tx, &row, installation, spec, actor).await?,
            None => (self.local(&mut tx, &row).await?, spec, None),
        };
        let new = spec.to_job(origin, Some(actor.name.clone()), Some(job));
        let enqueued = enqueue_in(&mut tx, &new).await?;
        if enqueued.joined {
            tx.rollback().await?;
            let joined = enqueued.job;
            let message = format!("job {joined} asks for the same as job {job} did, and has not ended");
            return Ok(Outcome { job: Some(joined), ..outcome(false, message) });
        }
        if let Some(installation) = row.installation {
            usage::count_job(&mut tx, installation).await?;
        }
        if let Some(repository) = repository {
            reply(&mut tx, &row, enqueued.job, repository).await?;
        }
        let mut detail = json!({ "new_job": enqueued.job });
        if let Some(runs) = runs {
            detail["runs"] = runs.into();
        }
        audit(&mut tx, actor, "job.retry", Some(&row), detail).await?;
        let (place, of) = asked::place_in_queue(&mut tx, enqueued.job).await?;
        tx.commit().await?;
        let message = format!("job {} repeats job {job}: place {place} of {of} in its queue", enqueued.job);
        Ok(Outcome { job: Some(enqueued.job), ..outcome(true, message) })
    }

    /// A job of GitHub once more: its installation must be there, and its tier's time holds.
    async fn hosted(
        &self,
        tx: &mut Tx,
        row: &JobRow,
        installation: i64,
        spec: JobSpec,
        actor: &Actor,
    ) -> Result<(Origin, JobSpec, Option<RepositoryRef>), ActionError> {
        let gone = || ActionError::Refused(format!("the repository of job {} is not served any more", row.id));
        let allowance = usage::allowance(tx, installation).await?.ok_or_else(gone)?;
        if actor.is_held() && !allowance.has_room() {
            let limit = allowance.jobs_per_month.unwrap_or_default();
            let why =
                format!("the {limit} bisections that this account has in a month are used; the next month is not far");
            return Err(ActionError::Refused(why));
        }
        if installations::is_suspended(tx, installation).await? != Some(false) {
            return Err(ActionError::Refused(format!("the installation of job {} is suspended on GitHub", row.id)));
        }
        let repository = repositories::find(tx, row.repository.ok_or_else(gone)?).await?.ok_or_else(gone)?;
        let origin = Origin::GitHub {
            installation,
            repository: repository.id,
            user: None,
            issue: row.issue,
            comment: row.comment,
        };
        let spec = JobSpec { job_timeout: f64::from(allowance.max_duration_minutes) * 60.0, ..spec };
        let RepositoryRow { github_id, owner, name, .. } = repository;
        Ok((origin, spec, Some(RepositoryRef { installation, id: github_id, owner, name })))
    }

    /// A job of a shell once more: where it can run at one place only, somebody must be there who takes it.
    async fn local(&self, tx: &mut Tx, row: &JobRow) -> Result<Origin, ActionError> {
        if let Some(affinity) = &row.affinity
            && !instances::any_takes(tx, affinity, self.queue.clocks().stale_after).await?
        {
            return Err(ActionError::Refused(format!(
                "job {} can run only on the machine and with the DATA_DIR of the shell that asked for it, and no \
                 instance that takes jobs is there; start `bisectd serve` there, or give the command again at that shell",
                row.id
            )));
        }
        Ok(Origin::Local { source: row.source.clone().unwrap_or_default(), affinity: row.affinity.clone() })
    }

    /// No new jobs for an instance; those that it runs go on.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn drain(&self, instance: &InstanceId, actor: &Actor) -> Result<Outcome, ActionError> {
        self.set_drain(instance, actor, true).await
    }

    /// New jobs again.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn undrain(&self, instance: &InstanceId, actor: &Actor) -> Result<Outcome, ActionError> {
        self.set_drain(instance, actor, false).await
    }

    async fn set_drain(&self, instance: &InstanceId, actor: &Actor, on: bool) -> Result<Outcome, ActionError> {
        let mut tx = self.db.begin().await?;
        let drained = instances::drain(&mut tx, instance, on.then_some(actor.name.as_str())).await?;
        match (drained, on) {
            (Drained::Changed, _) => {
                let action = if on { "instance.drain" } else { "instance.undrain" };
                audit(&mut tx, actor, action, None, json!({ "instance": instance })).await?;
                tx.commit().await?;
                let what = if on { "takes no new jobs; what it runs goes on" } else { "takes jobs again" };
                Ok(outcome(true, format!("{instance} {what}")))
            }
            (Drained::Already, true) => Ok(outcome(false, format!("{instance} takes no new jobs already"))),
            (Drained::Already, false) => Ok(outcome(false, format!("{instance} takes jobs: nobody asked it not to"))),
            (Drained::Retired, _) => Err(ActionError::Refused(format!("{instance} has ended"))),
            (Drained::Unknown, _) => Err(ActionError::Unknown(format!(
                "there is no instance {instance}; /v1/instances lists those that are there"
            ))),
        }
    }
}

fn outcome(changed: bool, message: String) -> Outcome {
    Outcome { message, changed, job: None }
}

async fn found(tx: &mut Tx, job: JobId) -> Result<JobRow, ActionError> {
    jobs::find(tx, job).await?.ok_or_else(|| ActionError::Unknown(format!("there is no job {job}")))
}

/// The new job's comment on the issue of the old one.
async fn reply(tx: &mut Tx, row: &JobRow, new: JobId, repository: RepositoryRef) -> Result<(), DbError> {
    let (Some(issue), Some(comment), Some(installation)) = (row.issue, row.comment, row.installation) else {
        return Ok(());
    };
    let target = Target { repository, issue, comment };
    let reply = NewReply {
        key: &format!("job:{new}:status"),
        job: Some(new),
        installation,
        kind: ReplyKind::Status,
        target: serde_json::to_value(target).unwrap_or_default(),
        body: serde_json::to_value(ReplyBody::OfJob).unwrap_or_default(),
    };
    outbox::insert(tx, &reply).await
}

async fn audit(
    tx: &mut Tx,
    actor: &Actor,
    action: &str,
    job: Option<&JobRow>,
    mut detail: Value,
) -> Result<(), DbError> {
    if let Some(user) = &actor.user {
        detail["as_user"] = json!(user);
    }
    let event = audit_events::NewAuditEvent {
        actor: &actor.name,
        channel: actor.channel,
        action,
        job: job.map(|job| job.id),
        installation: job.and_then(|job| job.installation),
        detail,
    };
    match &actor.account {
        Some(account) => audit_events::append_of_user(tx, &event, account.id, Some(&account.address)).await,
        None => audit_events::append(tx, &event).await,
    }
}
