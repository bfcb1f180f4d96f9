//! What ends a job before its search does: one value that can be awaited anywhere, so that everything
//! that waits gives way to the same things in the same order. Decides nothing about what follows.

use super::keeper::Keeper;
use std::{future::Future, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a job is to end before its search does; where several hold, the first one in this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interrupted {
    /// Another worker owns the job, or may: nothing may run and nothing may be written.
    LeaseLost,
    /// Somebody asked for the job to end.
    Cancelled,
    /// This process is to stop: the job is given back.
    Stopping,
    /// The job's total time is used up.
    TimedOut,
}

/// Everything that may interrupt one job.
#[derive(Debug, Clone)]
pub(super) struct Interrupts {
    lost: CancellationToken,
    cancelled: CancellationToken,
    stopping: CancellationToken,
    deadline: Instant,
}

impl Interrupts {
    pub(super) fn new(keeper: &Keeper, stopping: &CancellationToken, deadline: Instant) -> Self {
        Self { lost: keeper.lost.clone(), cancelled: keeper.cancelled.clone(), stopping: stopping.clone(), deadline }
    }

    /// The same with another end of the job's time.
    pub(super) fn until(&self, deadline: Instant) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Resolves with the first interruption.
    pub(super) async fn any(&self) -> Interrupted {
        tokio::select! {
            biased;
            () = self.lost.cancelled() => Interrupted::LeaseLost,
            () = self.cancelled.cancelled() => Interrupted::Cancelled,
            () = self.stopping.cancelled() => Interrupted::Stopping,
            () = tokio::time::sleep_until(self.deadline) => Interrupted::TimedOut,
        }
    }

    /// Resolves when this process has to let go of the job. A cancelled job and one whose time is up
    /// have a result, which is still this process's to write.
    pub(super) async fn letting_go(&self) -> Interrupted {
        tokio::select! {
            biased;
            () = self.lost.cancelled() => Interrupted::LeaseLost,
            () = self.stopping.cancelled() => Interrupted::Stopping,
        }
    }

    /// Does `work`, and leaves it when the process has to let go of the job: at once when the lease is
    /// lost, and `grace` after it was told to stop, so that what is nearly done is not lost.
    pub(super) async fn unless_let_go<T>(
        &self,
        grace: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let let_go = async {
            if self.letting_go().await == Interrupted::LeaseLost {
                return Interrupted::LeaseLost;
            }
            tokio::select! {
                biased;
                () = self.lost.cancelled() => Interrupted::LeaseLost,
                () = tokio::time::sleep(grace) => Interrupted::Stopping,
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            interrupted = let_go => Err(interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interrupts(deadline: Instant) -> Interrupts {
        let token = CancellationToken::new;
        Interrupts { lost: token(), cancelled: token(), stopping: token(), deadline }
    }

    #[tokio::test]
    async fn the_first_in_order_counts_whichever_came_first() {
        let interrupts = interrupts(Instant::now());
        assert_eq!(interrupts.any().await, Interrupted::TimedOut);
        interrupts.stopping.cancel();
        assert_eq!(interrupts.any().await, Interrupted::Stopping);
        assert_eq!(interrupts.letting_go().await, Interrupted::Stopping);
        interrupts.cancelled.cancel();
        assert_eq!(interrupts.any().await, Interrupted::Cancelled);
        assert_eq!(interrupts.letting_go().await, Interrupted::Stopping);
        interrupts.lost.cancel();
        assert_eq!(interrupts.any().await, Interrupted::LeaseLost);
        assert_eq!(interrupts.letting_go().await, Interrupted::LeaseLost);
    }

    #[tokio::test]
    async fn a_stop_leaves_work_its_grace_and_a_lost_lease_leaves_none() {
        // The job's time is up and it is cancelled: neither keeps its result from being written.
        let interrupts = interrupts(Instant::now());
        interrupts.cancelled.cancel();
        let soon = || tokio::time::sleep(Duration::from_millis(1));
        assert_eq!(interrupts.unless_let_go(Duration::ZERO, soon()).await, Ok(()));
        interrupts.stopping.cancel();
        assert_eq!(interrupts.unless_let_go(Duration::from_hours(1), soon()).await, Ok(()));
        let never = std::future::pending::<()>;
        assert_eq!(interrupts.unless_let_go(Duration::ZERO, never()).await, Err(Interrupted::Stopping));
        interrupts.lost.cancel();
        assert_eq!(interrupts.unless_let_go(Duration::from_hours(1), never()).await, Err(Interrupted::LeaseLost));
    }
}
