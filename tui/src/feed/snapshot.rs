//! What is asked for with one question, or one after the other.

use super::{Gone, Teller};
use crate::{
    client::{Client, Error, with_query},
    message::Message,
};
use bisect_shared::{
    JobId,
    admin::{AuditPage, InstanceList, JobDetail, JobPage},
};

/// Jobs of one page.
const PAGE: u32 = 500;
/// Older jobs than these are not shown.
pub(crate) const MOST_JOBS: usize = 10_000;

/// Jobs, newest first, by pages.
pub(crate) async fn page(client: &Client, before: Option<i64>) -> Result<JobPage, Error> {
    let path =
        with_query("/v1/jobs", &[("before", before.map(|id| id.to_string())), ("limit", Some(PAGE.to_string()))]);
    client.get(&path).await
}

/// Tells all jobs and instances.
pub(super) async fn tell(client: &Client, teller: &Teller) -> Result<Result<(), Gone>, Error> {
    // The servers are few and the screen's names for workers come from them.
    let instances: InstanceList = client.get("/v1/instances").await?;
    if teller.tell(Message::Instances(instances)).await.is_err() {
        return Ok(Err(Gone));
    }
    let (mut before, mut jobs) = (None, 0);
    loop {
        let page = page(client, before).await?;
        jobs += page.jobs.len();
        let next = page.next.filter(|_| jobs < MOST_JOBS && !page.jobs.is_empty());
        let message = Message::Jobs { page, first: before.is_none(), last: next.is_none() };
        if teller.tell(message).await.is_err() {
            return Ok(Err(Gone));
        }
        if next.is_none() {
            return Ok(Ok(()));
        }
        before = next;
    }
}

/// A page of the audit: the newest, or what is before a number.
pub(crate) async fn audit(client: &Client, before: Option<i64>) -> Result<AuditPage, Error> {
    client.get(&with_query("/v1/audit", &[("before", before.map(|id| id.to_string()))])).await
}

/// All about a job; `None` when there is no such job.
pub(super) async fn detail(client: &Client, job: JobId) -> Result<Option<Box<JobDetail>>, Error> {
    match client.get::<JobDetail>(&format!("/v1/jobs/{job}")).await {
        Ok(detail) => Ok(Some(Box::new(detail))),
        Err(Error::Refused { status, .. }) if status == http::StatusCode::NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}
