//! What the daemon and the console say to one another on the admin socket.
//!
//! HTTP on a Unix socket: 1.1 for `curl --unix-socket`, 2 without TLS ("prior knowledge", RFC 9113, 3.3) for the
//! console, whose requests and streams share the one pair of pipes that ssh gives it. Bodies are JSON; streams are
//! lines of JSON. Every answer carries [`VERSION_HEADER`].
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/hello` | [`Hello`] |
//! | `GET /v1/events` | a stream of [`Event`]: [`Event::Hello`] first, then what changes |
//! | `GET /v1/jobs` | [`JobPage`]; see [`JobQuery`] |
//! | `GET /v1/jobs/<id>` | [`JobDetail`] |
//! | `GET /v1/jobs/<id>/log` | a stream of [`LogPiece`]; see [`LogQuery`] |
//! | `GET /v1/instances`, `/v1/stats`, `/v1/audit` | [`InstanceList`], [`Overview`], [`AuditPage`]; see [`AuditQuery`] |
//! | `POST /v1/jobs/<id>/cancel`, `…/retry` | [`Outcome`] |
//! | `POST /v1/instances/<id>/drain`, `…/undrain` | [`Outcome`] |
//!
//! An answer other than 2xx is a [`Problem`]. A viewer subscribes first and asks for a snapshot then, so nothing falls
//! between the two; what it hears of twice is the same.
//!
//! A new field is added with `#[serde(default)]` and changes nothing for older programs. What an older program would
//! misunderstand raises [`API_VERSION`].

mod actions;
mod events;
mod jobs;
mod servers;

pub use actions::{Outcome, Problem, RetryRequest};
pub use events::{Event, Hello};
pub use jobs::{HistoryEntry, JobDetail, JobPage, JobQuery, JobView, LogPiece, LogQuery, ProbeView, Strip, StripMark};
pub use servers::{AuditEntry, AuditPage, AuditQuery, InstanceList, InstanceView, Overview, Rate, ResultCount};

/// The version of this protocol. A program that finds a higher one than its own has to be upgraded.
pub const API_VERSION: u32 = 1;

/// The header with the daemon's [`API_VERSION`] in every answer.
pub const VERSION_HEADER: &str = "bisect-admin-api";

/// What may precede the first request of a connection: this word, the operator's name and a line feed.
/// `bisectd dial-stdio --as NAME` says it, so that a shared login keeps an honest audit. The daemon takes it once, and
/// as the very first bytes only; HTTP follows.
pub const OPERATOR_PREAMBLE: &str = "BISECT-OPERATOR ";

/// Exit statuses of `bisectd dial-stdio`, after sysexits(3), for whoever starts it: ssh passes them on, and has 255 for
/// itself. What is there is no socket (EX_DATAERR),
pub const DIAL_NOT_A_SOCKET: u8 = 65;
/// there is none (EX_NOINPUT),
pub const DIAL_NO_SOCKET: u8 = 66;
/// the daemon does not run (EX_UNAVAILABLE),
pub const DIAL_NOT_RUNNING: u8 = 69;
/// or the user may not use it (EX_NOPERM).
pub const DIAL_FORBIDDEN: u8 = 77;

/// The longest name of an operator, in bytes. It is made of letters, digits and `.`, `_`, `-`, `@`, `+`.
pub const LONGEST_OPERATOR: usize = 64;

/// Whether `name` may stand in the audit as an operator's.
#[must_use]
pub fn is_operator(name: &str) -> bool {
    (1..=LONGEST_OPERATOR).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_forge_a_line_is_none() {
        assert!(is_operator("ada"));
        assert!(is_operator("ada.lovelace+ops@example.com"));
        for name in ["", "ada lovelace", "ada\nGET / HTTP/1.1", "ada\r", "ада", &"a".repeat(65)] {
            assert!(!is_operator(name), "{name:?}");
        }
    }
}
