//! The exit codes of the contract (design.md 2.1), and errors that know theirs.

use bisect_shared::{ResultKind, admin};
use std::{fmt::Display, process::ExitCode};

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked is done; of a bisection, the culprit is found and proven.
    Done,
    /// 1: an end without a culprit, or a check that failed.
    Without,
    /// 2: usage or configuration.
    Usage,
    /// 3: Docker, database or git.
    Infrastructure,
    /// 65, of `dial-stdio`: what is there is no socket.
    NotASocket,
    /// 66, of `dial-stdio`: there is no socket.
    NoSocket,
    /// 69, of `dial-stdio`: the daemon does not run.
    NotRunning,
    /// 77, of `dial-stdio`: this user may not use the socket.
    Forbidden,
    /// 130: cancelled or interrupted.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Without => 1,
            Exit::Usage => 2,
            Exit::Infrastructure => 3,
            Exit::NotASocket => admin::DIAL_NOT_A_SOCKET,
            Exit::NoSocket => admin::DIAL_NO_SOCKET,
            Exit::NotRunning => admin::DIAL_NOT_RUNNING,
            Exit::Forbidden => admin::DIAL_FORBIDDEN,
            Exit::Interrupted => 130,
        })
    }
}

impl From<ResultKind> for Exit {
    fn from(result: ResultKind) -> Self {
        match result {
            ResultKind::Culprit => Self::Done,
            ResultKind::Infrastructure => Self::Infrastructure,
            ResultKind::Cancelled => Self::Interrupted,
            _ => Self::Without,
        }
    }
}

/// Why the program ended early, for a person, with the code it ends with.
#[derive(Debug)]
pub struct Refusal {
    /// The code.
    pub exit: Exit,
    /// What happened, to what, and what to do.
    pub message: String,
}

impl Refusal {
    /// The request or the configuration is at fault; nothing was created.
    pub fn usage(message: impl Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    /// Docker, database or git failed while the work was under way.
    pub fn infrastructure(message: impl Display) -> Self {
        Self { exit: Exit::Infrastructure, message: message.to_string() }
    }
}
