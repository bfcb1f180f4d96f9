//! What a caller must tell apart when GitHub does not do what was asked.

use std::time::Duration;

/// Why GitHub did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    /// 404: not there, or this App may not know of it.
    #[error("{doing}: GitHub knows no such thing (404)")]
    NotFound {
        /// What was being done.
        doing: String,
    },
    /// 401 or 403 without a rate limit, or no token for it: not installed, or without the permission.
    #[error("{doing}: GitHub does not allow it ({status}): {message}")]
    Forbidden {
        /// What was being done.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// What GitHub said.
        message: String,
    },
    /// 403: the owner suspended the installation. Nothing is to be read or posted until that is over.
    #[error("{doing}: the installation is suspended")]
    Suspended {
        /// What was being done.
        doing: String,
    },
    /// 403: the issue is locked for this App.
    #[error("{doing}: the issue is locked")]
    Locked {
        /// What was being done.
        doing: String,
    },
    /// 410, 422 and every other 4xx: sent again, it would be refused again.
    #[error("{doing}: GitHub refuses it ({status}): {message}")]
    Refused {
        /// What was being done.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// What GitHub said.
        message: String,
    },
    /// 429, or 403 with GitHub's headers of a rate limit.
    #[error("{doing}: GitHub's rate limit is used up; again in {} s", retry_after.as_secs())]
    RateLimited {
        /// What was being done.
        doing: String,
        /// How long GitHub wants nothing more of this kind.
        retry_after: Duration,
    },
    /// 5xx, a timeout, or no connection: it may have been done or not.
    #[error("{doing}: GitHub did not answer: {reason}")]
    Unavailable {
        /// What was being done.
        doing: String,
        /// What was seen.
        reason: String,
    },
    /// An answer that is not what GitHub documents.
    #[error("{doing}: GitHub's answer is not understood: {reason}")]
    Misunderstood {
        /// What was being done.
        doing: String,
        /// What was wrong with it.
        reason: String,
    },
    /// The App's key or address cannot be used: nothing will work before that is changed.
    #[error("{0}")]
    Configuration(String),
}

impl GithubError {
    /// How long to wait before the same is tried again; `None` when that is of no use.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::Unavailable { .. } => Some(Duration::ZERO),
            _ => None,
        }
    }
}
