//! `/dashboard` and `/repos/<owner>/<name>`: repositories, their jobs, what was used.

use super::{
    Frame, ago,
    html::{Html, Seen},
    line,
};
use crate::{
    db::{
        DbError,
        viewer::{self, JobFilter, RepositoryView, UsageView},
    },
    web::{address::Limited, site::Site},
};
use askama::Template;
use bisect_shared::{ResultKind, admin::JobView};
use rocket::State;

/// Jobs of one page, and repositories.
const JOBS: u32 = 25;
const REPOSITORIES: u32 = 100;

struct JobLine {
    id: i64,
    status: &'static str,
    repository: String,
    found: String,
    is_commit: bool,
    by: String,
    at: String,
    at_iso: String,
}

impl From<&JobView> for JobLine {
    fn from(view: &JobView) -> Self {
        let found = match (view.culprit, view.result, view.candidates_left) {
            (Some(culprit), ..) => culprit.short(),
            (None, Some(result), _) => result.name().replace('_', " "),
            (None, None, Some(left)) if !view.status.is_final() => format!("{left} commits left"),
            _ => String::new(),
        };
        // The state says so already.
        let found = if view.result == Some(ResultKind::Cancelled) { String::new() } else { found };
        Self {
            id: view.id.0,
            status: view.status.name(),
            repository: view.repository.clone(),
            found,
            is_commit: view.culprit.is_some(),
            by: view.requested_by.as_deref().map(line).unwrap_or_default(),
            at: ago(view.created_at),
            at_iso: view.created_at.to_rfc3339(),
        }
    }
}

struct UsageCard {
    account: String,
    tier: String,
    jobs: u32,
    limit: String,
    failed: u32,
    probes: u32,
    minutes: u32,
    at_once: u32,
    resets: String,
    /// Used, in percent.
    share: Option<u32>,
}

impl From<UsageView> for UsageCard {
    fn from(view: UsageView) -> Self {
        let share = view.jobs_per_month.map(|limit| (view.jobs * 100).checked_div(limit).unwrap_or(100).min(100));
        Self {
            account: view.account,
            tier: view.tier,
            jobs: view.jobs,
            limit: view.jobs_per_month.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string()),
            failed: view.failed,
            probes: view.probes,
            minutes: view.max_duration_minutes,
            at_once: view.max_concurrent,
            resets: view.resets_at.format("%Y-%m-%d").to_string(),
            share,
        }
    }
}

/// Asked before the page is read, so that nothing falls between the two.
async fn newest(site: &Site) -> Result<i64, DbError> {
    let mut tx = site.db.begin().await?;
    let newest = viewer::newest_event(&mut tx).await?;
    tx.rollback().await?;
    Ok(newest)
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard {
    frame: Frame,
    /// The newest event that it may know of.
    newest: i64,
    install: Option<String>,
    usages: Vec<UsageCard>,
    repositories: Vec<RepositoryView>,
    jobs: Vec<JobLine>,
    next: Option<i64>,
}

#[rocket::get("/dashboard?<before>")]
pub(super) async fn dashboard(
    _limited: Limited,
    frame: Frame,
    before: Option<i64>,
    site: &State<Site>,
) -> Result<Html, Seen> {
    let id = frame.viewer();
    let mine = id.is_some();
    let newest = newest(site).await?;
    let mut tx = site.db.begin_as_viewer(id).await?;
    let own = if mine { Some(viewer::own_repositories(&mut tx, id).await?) } else { None };
    let filter = JobFilter { states: Vec::new(), repositories: own, before, limit: JOBS };
    let page = viewer::jobs(&mut tx, id, &filter).await?;
    let repositories = viewer::repositories(&mut tx, id, mine, "", REPOSITORIES).await?;
    let usages = viewer::usage(&mut tx, id).await?;
    tx.rollback().await?;
    let page = Dashboard {
        frame,
        newest,
        install: site.install_url(),
        usages: usages.into_iter().map(Into::into).collect(),
        repositories,
        jobs: page.jobs.iter().map(Into::into).collect(),
        next: page.next,
    };
    Html::render(&page, &page.frame)
}

#[derive(Template)]
#[template(path = "repository.html")]
struct Repository {
    frame: Frame,
    /// See [`Dashboard`].
    newest: i64,
    repository: RepositoryView,
    github: String,
    jobs: Vec<JobLine>,
    next: Option<i64>,
}

#[rocket::get("/repos/<owner>/<name>?<before>")]
pub(super) async fn repository(
    _limited: Limited,
    frame: Frame,
    owner: &str,
    name: &str,
    before: Option<i64>,
    site: &State<Site>,
) -> Result<Html, Seen> {
    let full_name = format!("{owner}/{name}");
    // The database's text knows no NUL.
    if full_name.contains('\0') {
        return Err(Seen::unknown("repository"));
    }
    let id = frame.viewer();
    let newest = newest(site).await?;
    let mut tx = site.db.begin_as_viewer(id).await?;
    let found = viewer::repository(&mut tx, id, &full_name).await?.ok_or_else(|| Seen::unknown("repository"))?;
    let filter = JobFilter { states: Vec::new(), repositories: Some(vec![found.id]), before, limit: JOBS };
    let page = viewer::jobs(&mut tx, id, &filter).await?;
    tx.rollback().await?;
    let page = Repository {
        frame,
        newest,
        github: format!("{}/{}", site.github_url, found.full_name),
        repository: found,
        jobs: page.jobs.iter().map(Into::into).collect(),
        next: page.next,
    };
    if page.repository.private { Html::private(&page) } else { Html::render(&page, &page.frame) }
}
