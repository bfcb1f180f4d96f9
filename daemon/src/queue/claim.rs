//! Taking a pending job: installations take turns, and nobody waits for another claim in vain.

use super::{DbError, JobRow, Lease, Queue};
use crate::db::{
    Tx,
    installations::{self, Busy},
    job_events::{self, JobEventKind},
    jobs, probes,
};
use bisect_shared::JobId;
use serde_json::json;

/// How often a claim looks again after others were faster, before it leaves the rest to them.
const CLAIM_ROUNDS: u32 = 5;

/// Which job to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The next one that may run here.
    Any,
    /// This one, if it may run here.
    Job(JobId),
}

/// What a look for work found.
enum Found {
    /// A job, and it is ours.
    Job(Box<(Lease, JobRow)>),
    /// Installations whose turn it was, but others were faster.
    Taken,
    /// No installation with work that may run.
    Nothing,
}

impl Queue {
    /// Takes a pending job, if there is one that may run here. Installations take turns, and run
    /// no more jobs at once than their tier allows.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn claim(&self, claim: Claim) -> Result<Option<(Lease, JobRow)>, DbError> {
        if let Claim::Job(job) = claim {
            return self.claim_one(job).await;
        }
        for _ in 0..CLAIM_ROUNDS {
            // Other claims may hold the only installations with work: then wait for one of them.
            for busy in [Busy::Skip, Busy::Wait] {
                match self.claim_any(busy).await? {
                    Found::Job(claimed) => return Ok(Some(*claimed)),
                    Found::Nothing if busy == Busy::Wait => return Ok(None),
                    Found::Nothing | Found::Taken => {}
                }
            }
        }
        Ok(None)
    }

    async fn claim_one(&self, job: JobId) -> Result<Option<(Lease, JobRow)>, DbError> {
        let mut tx = self.db.begin().await?;
        let installation = jobs::find(&mut tx, job).await?.and_then(|row| row.installation);
        if let Some(installation) = installation {
            installations::lock(&mut tx, installation).await?;
        }
        let taken = jobs::take_one(&mut tx, &self.instance, job, installation, &self.affinity).await?;
        if let (Some(installation), true) = (installation, taken.is_some()) {
            installations::settle_turn(&mut tx, installation, true).await?;
        }
        self.claimed(tx, taken).await
    }

    async fn claim_any(&self, busy: Busy) -> Result<Found, DbError> {
        let mut tx = self.db.begin().await?;
        let mut taken = None;
        if busy == Busy::Skip {
            taken = jobs::take_local(&mut tx, &self.instance, &self.affinity).await?;
        }
        let mut tried = Vec::new();
        // Waiting for a second installation while holding the first could end in a deadlock.
        while taken.is_none() && (busy == Busy::Skip || tried.is_empty()) {
            let next = installations::lock_next_in_turn(&mut tx, &tried, busy).await?;
            let Some(installation) = next else { break };
            taken = jobs::take_of_installation(&mut tx, &self.instance, installation).await?;
            installations::settle_turn(&mut tx, installation, taken.is_some()).await?;
            tried.push(installation);
        }
        Ok(match self.claimed(tx, taken).await? {
            Some(claimed) => Found::Job(Box::new(claimed)),
            None if tried.is_empty() => Found::Nothing,
            None => Found::Taken,
        })
    }

    async fn claimed(&self, mut tx: Tx, taken: Option<(Lease, JobRow)>) -> Result<Option<(Lease, JobRow)>, DbError> {
        if let Some((_, job)) = &taken {
            probes::stop_all(&mut tx, job.id).await?;
            let detail = json!({ "attempt": job.attempts });
            job_events::append(&mut tx, job, JobEventKind::Claimed, Some(&self.instance), detail).await?;
        }
        tx.commit().await?;
        Ok(taken)
    }
}
