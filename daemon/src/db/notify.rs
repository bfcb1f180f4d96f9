//! NOTIFY: what other processes are told when a transaction commits. Ids and sequence numbers only,
//! never content; who hears it reads the rows.

use super::{DbError, Tx};
use bisect_shared::JobId;

/// A channel of PostgreSQL's LISTEN and NOTIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// A job's state changed: `<job> <sequence of the event> <kind of the event>`.
    Jobs,
    /// Deliveries wait in the inbox.
    Inbox,
    /// Replies wait in the outbox: nothing, or in how many milliseconds one is due.
    Outbox,
    /// An instance was asked for something: to take no more jobs, or to take them again.
    Instances,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 4] = [Self::Jobs, Self::Inbox, Self::Outbox, Self::Instances];

    /// Its name in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jobs => "bisect_jobs",
            Self::Inbox => "bisect_inbox",
            Self::Outbox => "bisect_outbox",
            Self::Instances => "bisect_instances",
        }
    }
}

/// Tells every listener, once this transaction commits, that rows wait for whoever reads `channel`.
/// Said twice in one transaction, it is heard once.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn notify(tx: &mut Tx, channel: Channel) -> Result<(), DbError> {
    tx.execute(sqlx::query("SELECT pg_notify($1, '')").bind(channel.name())).await.map(drop)
}

/// What listeners are told of a job's event.
pub(super) fn payload(job: JobId, seq: i64, kind: &str) -> String {
    format!("{job} {seq} {kind}")
}
