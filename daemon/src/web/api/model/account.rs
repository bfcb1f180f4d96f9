//! What belongs to a viewer's account: repositories, and what was used.

use crate::db::viewer::{RepositoryView, UsageView};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// A repository with the App on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryAnswer {
    /// `owner/name`.
    pub full_name: String,
    /// Whether only some may read it.
    pub private: bool,
    /// Its main branch, where it is known.
    pub default_branch: Option<String>,
    /// What GitHub lets the viewer do there: `read`, `triage`, `write`, `maintain`, `admin`; `null` where it is public
    /// and not theirs.
    pub permission: Option<String>,
    /// Its newest job.
    pub last_job: Option<i64>,
}

impl From<RepositoryView> for RepositoryAnswer {
    fn from(view: RepositoryView) -> Self {
        Self {
            full_name: view.full_name,
            private: view.private,
            default_branch: view.default_branch,
            permission: view.permission,
            last_job: view.last_job.map(|job| job.0),
        }
    }
}

/// A page of repositories, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryList {
    /// The repositories.
    pub repositories: Vec<RepositoryAnswer>,
    /// Ask with `after` this name for more; `null` at the end.
    pub next: Option<String>,
}

/// What the viewer's installations used this month.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageList {
    /// One for each installation, by the account's name; none for somebody who is not signed in.
    pub installations: Vec<UsageAnswer>,
}

/// What one installation used this month, and may use.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageAnswer {
    /// The account it is on.
    pub account: String,
    /// `free`, `pro` or `enterprise`.
    pub tier: String,
    /// Jobs of this month.
    pub jobs: u32,
    /// Those of them that came to a result.
    pub completed: u32,
    /// Those that failed.
    pub failed: u32,
    /// Runs of commits.
    pub probes: u32,
    /// Their seconds together.
    pub probe_seconds: f64,
    /// Jobs that a month may have; `null` for no limit.
    pub jobs_per_month: Option<u32>,
    /// The longest that one job may take.
    pub max_duration_minutes: u32,
    /// Jobs at once.
    pub max_concurrent: u32,
    /// When the month ends.
    pub resets_at: DateTime<Utc>,
}

impl From<UsageView> for UsageAnswer {
    fn from(view: UsageView) -> Self {
        let UsageView { account, tier, jobs, completed, failed, probes, probe_seconds, .. } = view;
        let UsageView { jobs_per_month, max_duration_minutes, max_concurrent, resets_at, .. } = view;
        Self {
            account,
            tier,
            jobs,
            completed,
            failed,
            probes,
            probe_seconds,
            jobs_per_month,
            max_duration_minutes,
            max_concurrent,
            resets_at,
        }
    }
}
