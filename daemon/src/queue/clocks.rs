//! The times that the queue goes by.

use std::time::Duration;

/// The service clocks. Fractions of a second are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Between two signs of life of a running job.
    pub heartbeat: Duration,
    /// Between two looks for jobs whose worker is gone.
    pub recovery_interval: Duration,
    /// Without a sign of life for longer than this, a job is taken from its worker.
    pub stale_after: Duration,
    /// A job pending for longer than this is picked up by the recovery loop too.
    pub pending_grace: Duration,
    /// Attempts of one job; only those that end with a lost worker count.
    pub max_attempts: u32,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(60),
            recovery_interval: Duration::from_secs(30),
            stale_after: Duration::from_secs(300),
            pending_grace: Duration::from_secs(30),
            max_attempts: 3,
        }
    }
}

impl Clocks {
    /// A worker that could not renew for this long stops by itself, before another one may start:
    /// the last fifth of `stale_after` is left for stopping its containers.
    #[must_use]
    pub fn give_up_after(&self) -> Duration {
        self.stale_after.mul_f64(0.8)
    }
}
