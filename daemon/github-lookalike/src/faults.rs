//! What goes wrong on purpose: for API routes by pattern and count, for webhooks one after another.
//! Knows nothing of what the routes do.

use std::time::Duration;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Answered with this status (500, 502, 503) and GitHub's page for it; nothing is done.
    Status(u16),
    /// Answered with 429 or 403 and `retry-after` in seconds, GitHub's secondary rate limit; nothing is done.
    SecondaryLimit {
        /// 429 or 403.
        status: u16,
        /// Seconds.
        retry_after: u32,
    },
    /// Done and answered, but only after this long.
    Slow(Duration),
    /// The connection is cut before anything is done.
    DropBefore,
    /// It is done, and then the connection is cut: the answer is lost.
    DropAfter,
}

/// A method and a path in which `*` is one segment and `**` any number of them
/// (`POST /repos/*/*/issues/*/comments`, `* /**`).
#[derive(Debug, Clone)]
pub(crate) struct Pattern(pub String);

impl Pattern {
    pub fn matches(&self, method: &str, path: &str) -> bool {
        let Some((wanted, pattern)) = self.0.split_once(' ') else { return false };
        (wanted == "*" || wanted.eq_ignore_ascii_case(method))
            && glob(
                &pattern.split('/').collect::<Vec<_>>(),
                &path.split('?').next().unwrap_or_default().split('/').collect::<Vec<_>>(),
            )
    }
}

/// A trouble for the next calls that match.
#[derive(Debug, Clone)]
pub struct Fault {
    pattern: Pattern,
    trouble: Trouble,
    left: u32,
}

impl Fault {
    /// `pattern` is a method and a path in which `*` is one segment and `**` any number of them
    /// (`POST /repos/*/*/issues/*/comments`, `* /**`); it strikes `count` times.
    #[must_use]
    pub fn new(pattern: &str, trouble: Trouble, count: u32) -> Self {
        Self { pattern: Pattern(pattern.to_owned()), trouble, left: count }
    }
}

/// Where a [`crate::Gate`] stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before anything is done.
    BeforeCall,
    /// It is done, and not yet answered.
    BeforeAnswer,
}

fn glob(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=path.len()).any(|skip| glob(rest, &path[skip..])),
        ([p, pattern @ ..], [s, path @ ..]) => (*p == "*" || p == s) && glob(pattern, path),
        _ => false,
    }
}

/// The trouble of a call, if one is due: the first fault that matches and is not used up.
pub(crate) fn take(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<Trouble> {
    let index = faults.iter().position(|fault| fault.pattern.matches(method, path))?;
    let fault = &mut faults[index];
    fault.left = fault.left.saturating_sub(1);
    let (trouble, used_up) = (fault.trouble, fault.left == 0);
    if used_up {
        faults.remove(index);
    }
    Some(trouble)
}

/// What happens to the next webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFault {
    /// Sent twice at once with the same delivery id.
    Duplicate,
    /// Sent a second time with another delivery id.
    SecondDeliveryId,
    /// Not sent; GitHub records that it could not connect.
    Lost,
}

/// In which order held webhooks are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they happened.
    AsHappened,
    /// The last one first.
    Reversed,
    /// Shuffled by this seed.
    Shuffled(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_segments_and_is_used_up() {
        let mut faults = vec![Fault::new("POST /repos/*/*/issues/*/comments", Trouble::Status(502), 2)];
        assert_eq!(take(&mut faults, "GET", "/repos/a/b/issues/1/comments"), None);
        assert_eq!(take(&mut faults, "POST", "/repos/a/b/issues/1/comments/2"), None);
        for _ in 0..2 {
            assert_eq!(take(&mut faults, "POST", "/repos/a/b/issues/1/comments?x=1"), Some(Trouble::Status(502)));
        }
        assert_eq!(take(&mut faults, "POST", "/repos/a/b/issues/1/comments"), None);
        assert!(Pattern("* /**".into()).matches("GET", "/app"));
        assert!(Pattern("GET /app/**".into()).matches("GET", "/app/hook/deliveries"));
    }
}
