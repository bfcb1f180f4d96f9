//! What can go wrong with the database, with "cannot be reached" told from the rest.

use sqlx::{error::ErrorKind, postgres::PgConnectOptions};
use std::fmt;

/// Why a call of the database failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The URL cannot be read. Its text is not shown: it may hold a password.
    #[error("{variable} is not a database URL: {cause} (example: postgresql://user:password@host:5432/bisect)")]
    BadUrl {
        /// The variable that holds it.
        variable: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no connection, or it broke: trying again later may help.
    #[error("the database at {place} cannot be reached: {cause}")]
    Unreachable {
        /// Variable, host, port and database.
        place: String,
        /// What happened.
        cause: String,
    },
    /// One call took longer than its limit; what it did is undone.
    #[error("the database at {place} did not answer in time")]
    TimedOut {
        /// Variable, host, port and database.
        place: String,
    },
    /// A write named rows that are not there.
    #[error("{what} does not exist")]
    Missing {
        /// What was named.
        what: String,
    },
    /// The database refused the call, or answered what our types cannot hold.
    #[error("the database refused a call: {0}")]
    Query(#[source] sqlx::Error),
}

/// Where a database is, as told to people: never with a password.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) variable: &'static str,
    address: String,
}

impl Place {
    pub(super) fn new(variable: &'static str, options: &PgConnectOptions) -> Self {
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let address = match options.get_socket() {
            Some(folder) => format!("{}/{database}", folder.display()),
            None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
        };
        Self { variable, address }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, self.variable)
    }
}

impl DbError {
    pub(super) fn from_sqlx(error: sqlx::Error, place: &Place) -> Self {
        match &error {
            sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
                Some("57014") => Self::timed_out(place),
                Some(code) if is_connection_code(code) => Self::unreachable(place, refusal.message()),
                _ => Self::Query(error),
            },
            sqlx::Error::PoolTimedOut => Self::unreachable(place, "no connection was to be had in time"),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolClosed => {
                Self::unreachable(place, error)
            }
            _ => Self::Query(error),
        }
    }

    pub(super) fn unreachable(place: &Place, cause: impl fmt::Display) -> Self {
        Self::Unreachable { place: place.to_string(), cause: cause.to_string() }
    }

    pub(super) fn timed_out(place: &Place) -> Self {
        Self::TimedOut { place: place.to_string() }
    }

    /// Whether trying again later may help, without anything being changed here.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
    }

    /// Whether a unique index refused the call.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Query(sqlx::Error::Database(refusal)) if refusal.kind() == ErrorKind::UniqueViolation)
    }
}

/// SQLSTATE classes 08 (connection), 28 (authentication), 3D (no such database) and 57P (shutdown,
/// start-up), from PostgreSQL's appendix A; 53300 (too many connections) and 25P03 (the server
/// ended a session that stood idle in a transaction). And what passes by itself: 53 (out of disk, memory or
/// connections), 25006 (a standby, while a failover is under way), 40001 and 40P01 (another transaction was in the way).
fn is_connection_code(code: &str) -> bool {
    ["08", "28", "3D", "53", "57P"].iter().any(|class| code.starts_with(class))
        || ["25P03", "25006", "40001", "40P01"].contains(&code)
}
