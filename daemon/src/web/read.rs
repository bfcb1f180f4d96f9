//! One job as its page and the API tell it: everything that the viewer may know, read in one transaction.

use super::site::Site;
use crate::{
    db::{
        DbError,
        job_events::{self, JobEventRow},
        jobs::{self, JobRow},
        probes::{self, ProbeRow},
        viewer,
    },
    report::{Report, comment::for_users, text},
};
use bisect_shared::{
    JobId, Sha,
    admin::{JobView, Strip},
};

/// What is known of one job.
#[derive(Debug)]
pub struct JobRead {
    /// As a list shows it.
    pub view: JobView,
    /// What was asked for.
    pub row: JobRow,
    /// All its runs, in the order in which they were started.
    pub probes: Vec<ProbeRow>,
    /// Its history, in order.
    pub history: Vec<JobEventRow>,
    /// Its range, once that is read.
    pub strip: Option<Strip>,
    /// Its result.
    pub report: Option<Report>,
    /// Whether the viewer may cancel and retry it.
    pub may_act: bool,
    /// The repository's page on GitHub.
    pub repository_url: String,
    /// The comment that asked.
    pub comment_url: Option<String>,
}

impl JobRead {
    /// Reads it; `None` where the viewer may not know of it.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn read(site: &Site, viewer: Option<i64>, id: JobId) -> Result<Option<Self>, DbError> {
        let mut tx = site.db.begin_as_viewer(viewer).await?;
        let Some(view) = viewer::job(&mut tx, viewer, id).await? else { return Ok(None) };
        let Some(row) = jobs::find_visible(&mut tx, id).await? else { return Ok(None) };
        let may_act = viewer::may_act(&mut tx, viewer, id).await?.unwrap_or(false);
        let probes = probes::probes(&mut tx, id).await?;
        let history = job_events::history(&mut tx, id).await?;
        let strip = jobs::strip(&mut tx, id).await?;
        tx.rollback().await?;
        let report = row.report.clone().and_then(|report| serde_json::from_value(report).ok());
        let repository_url = format!("{}/{}", site.github_url, view.repository);
        let comment_url = row.issue.map(|issue| match row.comment {
            Some(comment) => format!("{repository_url}/issues/{issue}#issuecomment-{comment}"),
            None => format!("{repository_url}/issues/{issue}"),
        });
        Ok(Some(Self { view, row, probes, history, strip, report, may_act, repository_url, comment_url }))
    }

    /// The first line of the message of a run's commit, as text for one line. A job may end before it was noted with the
    /// run; then the report knows it.
    #[must_use]
    pub fn subject(&self, probe: &ProbeRow) -> Option<String> {
        let noted = probe.subject.as_deref();
        let reported = || {
            let line = self.report.as_ref()?.probes.iter().find(|line| line.commit == probe.commit)?;
            Some(line.subject.as_str()).filter(|subject| !subject.is_empty())
        };
        noted.or_else(reported).map(text::line)
    }

    /// A commit's page on GitHub.
    #[must_use]
    pub fn commit_url(&self, sha: Sha) -> String {
        format!("{}/commit/{sha}", self.repository_url)
    }

    /// Why there is no result, without what only an operator could do about it.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.row.error.as_deref().map(|reason| text::line(for_users(reason)))
    }
}
