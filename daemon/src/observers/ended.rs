//! An ended job, with all that is told of it.

use crate::db::{
    DbError, Tx,
    deliveries::{self, Arrived},
    job_events::{self, JobEventRow},
    jobs::{self, JobRow},
    probes::{self, ProbeRow},
    repositories,
};
use bisect_shared::JobId;

/// What is recorded of a job.
pub(super) struct Ended {
    pub(super) job: JobRow,
    /// Its repository's name on GitHub, or the path or address of a local one.
    pub(super) place: String,
    /// The webhooks that asked for it, the first one first.
    pub(super) deliveries: Vec<Arrived>,
    pub(super) events: Vec<JobEventRow>,
    pub(super) probes: Vec<ProbeRow>,
}

impl Ended {
    pub(super) async fn read(tx: &mut Tx, job: JobId) -> Result<Option<Self>, DbError> {
        let Some(row) = jobs::find(tx, job).await? else { return Ok(None) };
        let repository = match row.repository {
            Some(id) => repositories::find(tx, id).await?,
            None => None,
        };
        Ok(Some(Self {
            place: repository
                .map(|it| format!("{}/{}", it.owner, it.name))
                .or_else(|| row.source.clone())
                .unwrap_or_else(|| "a repository that is gone".to_owned()),
            deliveries: deliveries::of_job(tx, job).await?,
            events: job_events::history(tx, job).await?,
            probes: probes::probes(tx, job).await?,
            job: row,
        }))
    }
}
