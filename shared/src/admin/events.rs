//! The first words of a connection, and the stream of what changes.

use super::{InstanceView, JobView};
use crate::{InstanceId, JobId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Who answers, and who it thinks is asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`super::API_VERSION`] of the daemon.
    pub api: u32,
    /// The daemon's version.
    pub version: String,
    /// The process.
    pub instance: InstanceId,
    /// Its machine.
    pub host: String,
    /// Under which name this connection's actions stand in the audit.
    pub operator: String,
    /// The database's clock, by which all times here are told; this machine's, when the database is away.
    pub now: DateTime<Utc>,
    /// Whether the database answers.
    pub database: bool,
}

/// One line of `/v1/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are jobs")]
pub enum Event {
    /// The first line: ask for a snapshot now.
    Hello(Hello),
    /// A job as it is now: new, or changed.
    Job(JobView),
    /// A job that is no more.
    JobGone {
        /// Which.
        id: JobId,
    },
    /// The instances as they are now, all of them.
    Instances {
        /// In the order of `/v1/instances`.
        instances: Vec<InstanceView>,
    },
    /// Something may have been missed: ask for a snapshot again.
    Resync,
    /// The database cannot be reached (`true`), or can be again (`false`; a [`Event::Resync`] follows).
    DatabaseAway {
        /// Which of the two.
        away: bool,
    },
    /// Nothing happened for a while; the connection lives. At least every 5 s.
    Tick {
        /// The clock of [`Hello::now`].
        now: DateTime<Utc>,
    },
    /// The daemon ends; the stream ends with it.
    Stopping,
    /// Of a newer daemon; means nothing to this program.
    #[serde(other)]
    Unknown,
}
