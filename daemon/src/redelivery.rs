//! The backstop for webhooks that did not arrive: GitHub sends nothing again by itself, so its list of
//! failed deliveries is read now and then, by one server at a time, and it is asked to send them again.
//!
//! A delivery that comes twice is one (`db/deliveries.rs`), so asking once too often does no harm.

use crate::{
    db::{
        Database, DbError,
        chores::{self, Chore},
    },
    github::{Github, GithubError, HookDelivery},
};
use bisect_shared::InstanceId;
use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How often the list is read.
pub const EVERY: Duration = Duration::from_mins(5);
/// How long after the start the list is read once more: what came while this server restarted, and waited in vain, is on it
/// when GitHub has lost its patience, after 10 s. Where another server read it just before, it is tried again after as long.
pub const AFTER_START: Duration = Duration::from_secs(15);
/// What failed longer ago is not asked for: nobody waits for it any more.
const FURTHEST: Duration = Duration::from_hours(24);
/// A look reaches so far behind the last one: what was asked for then may have failed once more.
const OVERLAP: Duration = Duration::from_hours(1);

/// What looks.
#[derive(Clone)]
pub struct Redelivery {
    /// The database.
    pub db: Database,
    /// GitHub.
    pub github: Github,
    /// This process.
    pub instance: InstanceId,
    /// How often the list is read, by whichever server.
    pub every: Duration,
    /// How long after the start it is read once more, at most `every`.
    pub soon: Duration,
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RedeliveryError {
    /// GitHub did not do what it was asked for.
    #[error(transparent)]
    Github(#[from] GithubError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Redelivery {
    /// Looks at once, soon after, and then every so often, until `stopping`.
    pub async fn run(self, stopping: CancellationToken) {
        let soon = self.every.min(self.soon);
        let started = Instant::now();
        let mut least = self.every;
        // Whether somebody's look surely saw what waited for this server in vain.
        let mut caught_up = false;
        loop {
            if stopping.is_cancelled() {
                return;
            }
            let over = started.elapsed();
            tokio::select! {
                looked = self.look_after(least) => {
                    caught_up |= over >= soon + self.every || (over >= soon && matches!(looked, Ok(Some(_))));
                    match looked {
                        Ok(Some(asked @ 1..)) => {
                            tracing::warn!(deliveries = asked, "webhooks had not arrived: GitHub was asked to send them again");
                        }
                        Ok(_) => {}
                        Err(error) => tracing::warn!(error = %error, "failed deliveries were not looked for; trying again later"),
                    }
                }
                () = stopping.cancelled() => return,
            }
            let pause = if caught_up { self.every } else { soon };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopping.cancelled() => {}
            }
            // Until then, a look that began after this moment of ours is as good as one of our own.
            least = if caught_up { self.every } else { started.elapsed().saturating_sub(soon).clamp(soon, self.every) };
        }
    }

    /// Looks, if it is time and nobody else does; answers how many deliveries were asked for.
    ///
    /// # Errors
    /// [`RedeliveryError`]; what was not asked for then is found by the next look.
    pub async fn look(&self) -> Result<Option<usize>, RedeliveryError> {
        self.look_after(self.every).await
    }

    /// The same, if nobody has looked for so long.
    async fn look_after(&self, least: Duration) -> Result<Option<usize>, RedeliveryError> {
        let mut tx = self.db.begin().await?;
        let turn = chores::begin(&mut tx, Chore::Redelivery, &self.instance, least).await?;
        tx.commit().await?;
        let Some(turn) = turn else { return Ok(None) };
        let back = turn.last_done.map_or(FURTHEST, |ago| (ago + OVERLAP).min(FURTHEST));
        let since = chrono::Utc::now() - back;
        let mut asked = 0;
        for delivery in failed(self.github.deliveries(since).await?) {
            match self.ask(&delivery).await? {
                Some(it) => asked += usize::from(it),
                // Another server took so slow a chore over: what is left is its.
                None => return Ok(Some(asked)),
            }
        }
        let mut tx = self.db.begin().await?;
        chores::done(&mut tx, Chore::Redelivery, &self.instance).await?;
        tx.commit().await?;
        Ok(Some(asked))
    }

    /// Whether it was asked for; `None` when the chore is not this server's any more.
    async fn ask(&self, delivery: &HookDelivery) -> Result<Option<bool>, RedeliveryError> {
        let mut tx = self.db.begin().await?;
        let may = chores::may_ask(&mut tx, &delivery.guid, delivery.delivered_at).await?;
        // After a long outage there is much to ask for: nobody else begins meanwhile.
        let ours = !may || chores::go_on(&mut tx, Chore::Redelivery, &self.instance).await?;
        tx.commit().await?;
        if !may || !ours {
            return Ok(ours.then_some(false));
        }
        match self.github.redeliver(delivery.id).await {
            Ok(()) => metrics::counter!("bisectd_redeliveries_total").increment(1),
            // It is too old, or not of this App any more: asked again, that would be the answer again.
            Err(error @ (GithubError::NotFound { .. } | GithubError::Refused { .. })) => {
                tracing::info!(github.delivery = delivery.guid, error = %error, "a delivery cannot be had again");
            }
            Err(error) => return Err(error.into()),
        }
        let mut tx = self.db.begin().await?;
        chores::asked(&mut tx, &delivery.guid, 2 * FURTHEST).await?;
        tx.commit().await?;
        Ok(Some(true))
    }
}

/// The newest attempt of each delivery of which none succeeded, the oldest delivery first.
fn failed(attempts: Vec<HookDelivery>) -> Vec<HookDelivery> {
    let arrived: HashSet<String> = attempts.iter().filter(|it| it.delivered).map(|it| it.guid.clone()).collect();
    let mut newest: BTreeMap<String, HookDelivery> = BTreeMap::new();
    for attempt in attempts.into_iter().filter(|it| !arrived.contains(&it.guid)) {
        match newest.get(&attempt.guid) {
            Some(known) if known.delivered_at >= attempt.delivered_at => {}
            _ => drop(newest.insert(attempt.guid.clone(), attempt)),
        }
    }
    let mut failed: Vec<_> = newest.into_values().collect();
    failed.sort_by_key(|it| (it.delivered_at, it.id));
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deliveries_without_any_success_are_asked_for_by_their_newest_attempt() {
        let attempt = |id: i64, guid: &str, delivered: bool| HookDelivery {
            id,
            guid: guid.into(),
            event: "ping".into(),
            delivered,
            delivered_at: chrono::DateTime::from_timestamp(id, 0).unwrap(),
        };
        let listed = vec![
            attempt(6, "late", false),
            attempt(5, "mended", true),
            attempt(4, "twice", false),
            attempt(3, "mended", false),
            attempt(2, "twice", false),
            attempt(1, "fine", true),
        ];
        let ids: Vec<i64> = failed(listed).iter().map(|it| it.id).collect();
        assert_eq!(ids, [4, 6]);
    }
}
