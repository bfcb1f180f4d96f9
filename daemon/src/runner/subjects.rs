//! The first lines of commits' messages, for people who watch: one call of git for the commits of one start, beside
//! that start. Nothing waits for it, and its failure is nobody's.

use crate::{
    db::{self, Database},
    git::Repository,
    queue::Lease,
};
use bisect_shared::Sha;
use std::{collections::HashSet, sync::Arc};
use tokio::task::JoinSet;

/// Characters of a line that are kept.
const LONGEST: usize = 200;

/// What was read for one job under one claim. Dropped, it stops reading.
pub(super) struct Subjects {
    repository: Repository,
    asked: HashSet<Sha>,
    tasks: JoinSet<()>,
}

impl Subjects {
    pub(super) fn of(repository: Repository) -> Self {
        Self { repository, asked: HashSet::new(), tasks: JoinSet::new() }
    }

    /// Notes the subjects of these commits, whose runs were just started, unless they were asked for before.
    pub(super) fn note(&mut self, db: &Database, lease: &Arc<Lease>, commits: impl Iterator<Item = Sha>) {
        while self.tasks.try_join_next().is_some() {}
        let new: Vec<Sha> = commits.filter(|commit| self.asked.insert(*commit)).collect();
        if new.is_empty() {
            return;
        }
        let (db, lease, repository) = (db.clone(), Arc::clone(lease), self.repository.clone());
        self.tasks.spawn(async move {
            let read = match repository.subjects(&new).await {
                Ok(read) => read,
                Err(error) => {
                    tracing::debug!(job.id = %lease.job(), error = %error, "subjects of commits could not be read");
                    return;
                }
            };
            let lines: Vec<(Sha, String)> =
                read.into_iter().map(|(sha, line)| (sha, line.chars().take(LONGEST).collect())).collect();
            if let Err(error) = db::probes::note_subjects(&db, &lease, &lines).await {
                tracing::debug!(job.id = %lease.job(), error = %error, "subjects of commits were not noted");
            }
        });
    }
}
