//! Mirrors of repositories that are not served any more: those of this machine go, whichever server heard
//! of it, and whenever.

use super::{Intake, IntakeError};
use crate::db::repositories;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often this machine looks for what another server was told.
const EVERY: Duration = Duration::from_mins(10);

impl Intake {
    /// Removes what is left of repositories that nobody knows any more, now and then, until `stopping`.
    pub async fn keep_mirrors(self, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            if let Err(error) = self.remove_left_mirrors().await {
                tracing::warn!(error = %error, "mirrors that nobody needs could not be looked for; trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stopping.cancelled() => {}
            }
        }
    }

    async fn remove_left_mirrors(&self) -> Result<(), IntakeError> {
        let here = match self.mirrors.hosted(&self.defaults.github_url) {
            Ok(here) => here,
            Err(error) => {
                tracing::warn!(error = %error, "the mirrors of this machine could not be listed");
                return Ok(());
            }
        };
        for repository in here {
            // Asked for each alone, just before: it may be served again.
            let mut tx = self.db.begin().await?;
            let unknown = repositories::unknown(&mut tx, &[repository]).await?;
            tx.commit().await?;
            self.remove_mirrors(&unknown).await;
        }
        Ok(())
    }

    pub(super) async fn remove_mirrors(&self, repositories: &[i64]) {
        for &repository in repositories {
            if let Err(error) = self.mirrors.remove(&self.credentials.mirror_name(repository)).await {
                tracing::warn!(github.repository = repository, error = %error, "a mirror was left");
            }
        }
    }
}
