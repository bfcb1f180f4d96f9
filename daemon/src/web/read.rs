//! One job as its page and the API tell it: everything that the viewer may know, read in one transaction.

use super::site::Site;
use crate::{
    db::{
        DbError, Tx,
        job_events::{self, JobEventRow},
        jobs::{self, JobRow, Options},
        probes::{self, ProbeRow},
        viewer,
    },
    report::{
        Report,
        comment::{PullLink, for_users},
        text,
    },
};
use bisect_shared::{
    JobId, Sha,
    admin::{JobView, Strip},
};
use std::collections::BTreeMap;

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
    /// What was asked for besides ends and command.
    pub options: Options,
    /// Its result.
    pub report: Option<Report>,
    /// The pull requests that brought the commits of the result; `None` before they are known.
    pub pulls: Option<BTreeMap<Sha, Vec<PullLink>>>,
    /// Whether the viewer may cancel and retry it.
    pub may_act: bool,
    /// The repository's page on GitHub.
    pub repository_url: String,
    /// The comment that asked.
    pub comment_url: Option<String>,
}

impl JobRead {
    /// Reads it in a transaction of its viewer; `None` where they may not know of it.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn read(tx: &mut Tx, site: &Site, viewer: Option<i64>, id: JobId) -> Result<Option<Self>, DbError> {
        let Some(view) = viewer::job(tx, viewer, id).await? else { return Ok(None) };
        let (Some(row), Some(shown)) = (jobs::find_visible(tx, id).await?, jobs::shown(tx, id).await?) else {
            return Ok(None);
        };
        let may_act = viewer::may_act(tx, viewer, id).await?.unwrap_or(false);
        let probes = probes::probes(tx, id).await?;
        let history = job_events::history(tx, id).await?;
        let report = row.report.clone().and_then(|report| serde_json::from_value(report).ok());
        let pulls = shown.pulls.and_then(|pulls| serde_json::from_value(pulls).ok());
        let repository_url = format!("{}/{}", site.github_url, view.repository);
        let comment_url = row.issue.map(|issue| match row.comment {
            Some(comment) => format!("{repository_url}/issues/{issue}#issuecomment-{comment}"),
            None => format!("{repository_url}/issues/{issue}"),
        });
        let (strip, options) = (shown.strip, shown.options);
        Ok(Some(Self {
            view,
            row,
            probes,
            history,
            strip,
            options,
            report,
            pulls,
            may_act,
            repository_url,
            comment_url,
        }))
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

    /// The pull requests that brought a commit, as far as they are known.
    #[must_use]
    pub fn pulls_of(&self, commit: Sha) -> &[PullLink] {
        self.pulls.as_ref().and_then(|pulls| pulls.get(&commit)).map_or(&[], Vec::as_slice)
    }

    /// A pull request's page on GitHub.
    #[must_use]
    pub fn pull_url(&self, pull: &PullLink) -> String {
        format!("{}/pull/{}", self.repository_url, pull.number)
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
