//! What becomes of a reply that could not be told: tried again, when, or never.
//!
//! Decides by the error alone. What GitHub refuses for good is dropped and said in the log once, for
//! each installation and feature, not with each reply.

use super::{Outbox, SendError, count};
use crate::{
    db::{
        DbError, installations,
        outbox::{self, OutboxRow},
    },
    github::GithubError,
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// After so many tries, which with their pauses are about two days, a reply is of no use to anybody.
const MOST_TRIES: u32 = 300;
/// How many refusals are remembered; after that they may be said again.
const REMEMBERED: usize = 10_000;

/// The refusals that were said in the log already: installation and feature.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Mutex<HashSet<(i64, &'static str)>>>);

impl Refusals {
    /// Whether this is the first time.
    fn first(&self, installation: i64, what: &'static str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert((installation, what))
    }
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Tried again after this long.
    Again(Duration),
    /// Never told, and why that is as it should be.
    Never(Why),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The App may not do this here: a permission that it lacks, an archived repository.
    NotAllowed,
    /// The installation is suspended.
    Suspended,
    /// The issue is locked.
    Locked,
    /// Issue, comment, repository or job is gone.
    Gone,
    /// GitHub does not take it as it is.
    Refused,
    /// It was tried often enough.
    TooLate,
}

impl Fate {
    fn of(error: &SendError, attempts: u32) -> Self {
        let backoff = Duration::from_secs(1 << attempts.min(10)).min(LONGEST_PAUSE);
        let fate = match error {
            SendError::EnoughForNow(wait) => return Self::Again(*wait),
            SendError::Useless(_) => Self::Never(Why::Gone),
            SendError::Database(_) | SendError::TooSlow => Self::Again(backoff),
            SendError::Github(error) => match error {
                GithubError::RateLimited { retry_after, .. } => Self::Again(*retry_after),
                // A token that was taken back: the next one is another.
                GithubError::Forbidden { status: 401, .. }
                | GithubError::Unavailable { .. }
                | GithubError::Misunderstood { .. }
                | GithubError::Configuration(_) => Self::Again(backoff),
                GithubError::Forbidden { .. } => Self::Never(Why::NotAllowed),
                GithubError::Suspended { .. } => Self::Never(Why::Suspended),
                GithubError::Locked { .. } => Self::Never(Why::Locked),
                GithubError::NotFound { .. } | GithubError::Refused { status: 410, .. } => Self::Never(Why::Gone),
                GithubError::Refused { .. } => Self::Never(Why::Refused),
            },
        };
        match fate {
            Self::Again(_) if attempts >= MOST_TRIES => Self::Never(Why::TooLate),
            fate => fate,
        }
    }
}

impl Outbox {
    /// Tried again later, or never.
    pub(super) async fn not_sent(&self, row: &OutboxRow, error: &SendError) -> Result<(), DbError> {
        let fate = Fate::of(error, row.attempts);
        let reason = error.to_string();
        self.log(row, fate, &reason);
        let mut tx = self.db.begin().await?;
        if let SendError::Github(GithubError::RateLimited { retry_after, .. }) = error {
            installations::keep_quiet(&mut tx, row.installation, *retry_after).await?;
        }
        let pause = match fate {
            Fate::Again(pause) => Some(pause),
            Fate::Never(_) => None,
        };
        if !outbox::failed(&mut tx, row, pause, &reason).await? {
            tracing::info!(outbox.key = row.key, "a reply was given to another sender meanwhile");
        }
        tx.commit().await
    }

    fn log(&self, row: &OutboxRow, fate: Fate, reason: &str) {
        let key = row.key.as_str();
        let why = match fate {
            Fate::Again(_) => {
                count(row, "again");
                return tracing::info!(outbox.key = key, error = reason, "a reply is tried again later");
            }
            Fate::Never(why) => why,
        };
        count(row, "dropped");
        match why {
            Why::NotAllowed if self.refusals.first(row.installation, row.kind.name()) => tracing::warn!(
                github.installation = row.installation,
                outbox.kind = row.kind.name(),
                outbox.key = key,
                error = reason,
                "GitHub does not allow such replies there: they are left out from now on without a word"
            ),
            Why::Suspended if self.refusals.first(row.installation, "suspended") => tracing::warn!(
                github.installation = row.installation,
                outbox.key = key,
                "the installation is suspended: nothing is told"
            ),
            Why::NotAllowed | Why::Suspended => {
                tracing::debug!(outbox.key = key, error = reason, "a reply is not told");
            }
            Why::Locked | Why::Gone => tracing::info!(outbox.key = key, error = reason, "a reply is not told"),
            Why::Refused | Why::TooLate => tracing::warn!(outbox.key = key, error = reason, "a reply is not told"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(error: impl FnOnce(String) -> GithubError) -> Fate {
        Fate::of(&SendError::Github(error("commenting".into())), 3)
    }

    #[test]
    fn every_answer_has_its_own_fate() {
        let forbidden = |status| move |doing| GithubError::Forbidden { doing, status, message: String::new() };
        let refused = |status| move |doing| GithubError::Refused { doing, status, message: String::new() };
        let again = |seconds| Fate::Again(Duration::from_secs(seconds));
        assert_eq!(fate(forbidden(403)), Fate::Never(Why::NotAllowed));
        assert_eq!(fate(forbidden(404)), Fate::Never(Why::NotAllowed), "no token: not installed there");
        assert_eq!(fate(forbidden(401)), again(8));
        assert_eq!(fate(|doing| GithubError::Suspended { doing }), Fate::Never(Why::Suspended));
        assert_eq!(fate(|doing| GithubError::Locked { doing }), Fate::Never(Why::Locked));
        assert_eq!(fate(|doing| GithubError::NotFound { doing }), Fate::Never(Why::Gone));
        assert_eq!(fate(refused(410)), Fate::Never(Why::Gone));
        assert_eq!(fate(refused(422)), Fate::Never(Why::Refused));
        let limited = |doing| GithubError::RateLimited { doing, retry_after: Duration::from_secs(90) };
        assert_eq!(fate(limited), again(90));
        let away = |doing| GithubError::Unavailable { doing, reason: String::new() };
        assert_eq!(fate(away), again(8));
        let error = SendError::Github(away(String::new()));
        assert_eq!(Fate::of(&error, 20), again(600), "the longest pause");
        assert_eq!(Fate::of(&error, MOST_TRIES), Fate::Never(Why::TooLate));
    }

    #[test]
    fn a_refusal_is_said_once_for_each_installation_and_feature() {
        let told = Refusals::default();
        assert!(told.first(1, "reaction") && !told.first(1, "reaction"));
        assert!(told.first(1, "status") && told.first(2, "reaction"));
    }
}
