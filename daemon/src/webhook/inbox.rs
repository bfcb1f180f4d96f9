//! The way into the inbox: deliveries that come at the same time share one transaction, so that a
//! burst costs few commits. Each is answered only when that transaction has committed.

use crate::db::{
    Database, DbError,
    deliveries::{self, NewDelivery, Taken},
};
use tokio::sync::{mpsc, oneshot};

/// How many may wait; more are answered "not now" by waiting at the door.
const WAITING: usize = 1024;
/// How many, and how many bytes, one transaction takes at most.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

type Waiting = (NewDelivery, oneshot::Sender<Result<Taken, NotTaken>>);

/// The database did not take a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTaken;

/// Takes deliveries in. It works until it is dropped.
#[derive(Debug, Clone)]
pub struct Inbox {
    door: mpsc::Sender<Waiting>,
}

impl Inbox {
    /// Starts it on a database.
    #[must_use]
    pub fn start(db: Database) -> Self {
        let (door, waiting) = mpsc::channel(WAITING);
        tokio::spawn(work(db, waiting));
        Self { door }
    }

    /// Stores a delivery, and answers once it is durable.
    ///
    /// # Errors
    /// [`NotTaken`]: it may be there nevertheless, and GitHub may send it again.
    pub async fn take(&self, delivery: NewDelivery) -> Result<Taken, NotTaken> {
        let (answer, answered) = oneshot::channel();
        self.door.send((delivery, answer)).await.map_err(|_| NotTaken)?;
        answered.await.unwrap_or(Err(NotTaken))
    }
}

async fn work(db: Database, mut waiting: mpsc::Receiver<Waiting>) {
    while let Some(first) = waiting.recv().await {
        let mut bytes = first.0.payload.len();
        let (mut batch, mut answers) = (vec![first.0], vec![first.1]);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Ok((delivery, answer)) = waiting.try_recv() else { break };
            bytes += delivery.payload.len();
            batch.push(delivery);
            answers.push(answer);
        }
        let taken = store_each(&db, &batch).await;
        for (answer, taken) in answers.into_iter().zip(taken) {
            // Who asked may have gone away.
            let _ = answer.send(taken);
        }
    }
}

/// All at once; where the database refuses that, one by one, so that one cannot hold up the others.
async fn store_each(db: &Database, batch: &[NewDelivery]) -> Vec<Result<Taken, NotTaken>> {
    match store(db, batch).await {
        Ok(taken) => taken.into_iter().map(Ok).collect(),
        Err(error) if batch.len() == 1 || error.is_unreachable() => {
            tracing::error!(error = %error, deliveries = batch.len(), "deliveries could not be stored");
            vec![Err(NotTaken); batch.len()]
        }
        Err(_) => {
            let mut all = Vec::with_capacity(batch.len());
            for delivery in batch {
                let one = store(db, std::slice::from_ref(delivery)).await;
                if let Err(error) = &one {
                    tracing::error!(error = %error, github.delivery = %delivery.id, "a delivery could not be stored");
                }
                all.push(one.ok().and_then(|taken| taken.first().copied()).ok_or(NotTaken));
            }
            all
        }
    }
}

async fn store(db: &Database, batch: &[NewDelivery]) -> Result<Vec<Taken>, DbError> {
    let mut tx = db.begin().await?;
    let taken = deliveries::insert(&mut tx, batch).await?;
    tx.commit().await?;
    Ok(taken)
}
