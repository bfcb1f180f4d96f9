//! What an answer of GitHub means: its status, its headers and its text, judged without any I/O.
//!
//! The rules are those of "Troubleshooting the REST API" and "Best practices for using the REST
//! API" (docs.github.com/rest).

use super::GithubError;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use std::time::Duration;

/// What is waited after a limit for which GitHub names no time ("wait for at least one minute").
const UNNAMED_WAIT: Duration = Duration::from_mins(1);
/// No period of GitHub's is longer than an hour; a stranger number must not stop us for days.
const LONGEST_WAIT: Duration = Duration::from_hours(2);

/// The error that an answer is; `None` for a success. `now` is GitHub's time.
pub(super) fn error_of(
    doing: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    now: DateTime<Utc>,
) -> Option<GithubError> {
    if status.is_success() {
        return None;
    }
    let doing = doing.to_owned();
    let message = message_of(status, body);
    if let Some(retry_after) = rate_limited(status, headers, &message, now) {
        return Some(GithubError::RateLimited { doing, retry_after });
    }
    let said = message.to_ascii_lowercase();
    Some(match status {
        // Not that what is asked for is gone: somebody could delete their rows because of that.
        StatusCode::NOT_FOUND if said.contains("integration not found") => GithubError::Configuration(format!(
            "{doing}: GitHub knows no App with the number in GITHUB_APP_ID; its settings page shows the right one"
        )),
        StatusCode::NOT_FOUND => GithubError::NotFound { doing },
        StatusCode::FORBIDDEN if said.contains("suspended") => GithubError::Suspended { doing },
        StatusCode::FORBIDDEN if said.contains("is locked") => GithubError::Locked { doing },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            GithubError::Forbidden { doing, status: status.as_u16(), message }
        }
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            GithubError::Unavailable { doing, reason: format!("status {}: {message}", status.as_u16()) }
        }
        status if status.is_client_error() => GithubError::Refused { doing, status: status.as_u16(), message },
        status => GithubError::Misunderstood { doing, reason: format!("status {}", status.as_u16()) },
    })
}

/// How long GitHub wants nothing more, where the answer is about a limit.
fn rate_limited(status: StatusCode, headers: &HeaderMap, message: &str, now: DateTime<Utc>) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::FORBIDDEN {
        return None;
    }
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let used_up = text("x-ratelimit-remaining") == Some("0");
    let retry_after = text(header::RETRY_AFTER.as_str());
    let named = ["secondary rate limit", "api rate limit exceeded", "abuse detection"];
    let said = message.to_ascii_lowercase();
    let limited = status == StatusCode::TOO_MANY_REQUESTS
        || used_up
        || retry_after.is_some()
        || named.iter().any(|name| said.contains(name));
    if !limited {
        return None;
    }
    let reset = text("x-ratelimit-reset").filter(|_| used_up).and_then(|at| at.parse().ok());
    let until = reset.and_then(|at| DateTime::from_timestamp(at, 0));
    let asked = retry_after.and_then(|text| wait_of(text, now));
    let wait = asked.or_else(|| until.map(|at| until_then(at, now))).unwrap_or(UNNAMED_WAIT);
    Some(wait.clamp(Duration::from_secs(1), LONGEST_WAIT))
}

/// `Retry-After` in both forms of RFC 9110: seconds, or a date.
fn wait_of(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    seconds.or_else(|| Some(until_then(DateTime::parse_from_rfc2822(text).ok()?.to_utc(), now)))
}

fn until_then(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    at.signed_duration_since(now).to_std().unwrap_or_default()
}

/// What GitHub said, on one line and not long: it goes into logs and rows.
fn message_of(status: StatusCode, body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let message = json.as_ref().and_then(|json| json.get("message")).and_then(Value::as_str);
    let Some(message) = message else {
        return format!("{}, in an answer that is not GitHub's", status.canonical_reason().unwrap_or("no reason"));
    };
    let errors = json.as_ref().and_then(|json| json.get("errors")).and_then(Value::as_array);
    let details = errors.into_iter().flatten().filter_map(|error| {
        let said = error.as_str().or_else(|| error.get("message")?.as_str()).map(str::to_owned);
        said.or_else(|| Some(format!("{} {}", error.get("field")?.as_str()?, error.get("code")?.as_str()?)))
    });
    let whole: Vec<String> = std::iter::once(message.to_owned()).chain(details).collect();
    let one_line = whole.join("; ").replace(char::is_control, " ");
    one_line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn error(status: u16, headers: &[(&str, &str)], body: &str) -> GithubError {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let named = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let headers = headers.iter().map(named).collect();
        error_of("asking", StatusCode::from_u16(status).unwrap(), &headers, body, now).unwrap()
    }

    fn wait(status: u16, headers: &[(&str, &str)], message: &str) -> Option<u64> {
        match error(status, headers, &serde_json::json!({ "message": message }).to_string()) {
            GithubError::RateLimited { retry_after, .. } => Some(retry_after.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn limits_are_told_from_refusals_and_say_how_long() {
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000090")];
        assert_eq!(wait(403, &used_up, "API rate limit exceeded for installation ID 1."), Some(90));
        assert_eq!(wait(429, &used_up, "API rate limit exceeded"), Some(90));
        assert_eq!(wait(403, &[("retry-after", "7")], "You have exceeded a secondary rate limit"), Some(7));
        assert_eq!(wait(429, &[("retry-after", "Mon, 12 Jan 1970 13:46:45 GMT")], "slow"), Some(5));
        assert_eq!(wait(403, &[], "You have exceeded a secondary rate limit."), Some(60));
        assert_eq!(wait(429, &[], "?"), Some(60));
        let some_left = [("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "1003600")];
        assert_eq!(wait(429, &some_left, "?"), Some(60), "the reset is that of another limit");
        assert_eq!(wait(403, &some_left, "Resource not accessible by integration"), None);
        assert_eq!(wait(429, &[("retry-after", "0")], "?"), Some(1));
        assert_eq!(wait(429, &[("retry-after", "99999999")], "?"), Some(7200));
    }

    #[test]
    fn every_class_of_refusal_is_told_apart() {
        let said = |status, message: &str| error(status, &[], &serde_json::json!({ "message": message }).to_string());
        assert!(matches!(said(404, "Not Found"), GithubError::NotFound { .. }));
        assert!(matches!(said(404, "Integration not found"), GithubError::Configuration(_)));
        assert!(matches!(said(401, "Bad credentials"), GithubError::Forbidden { status: 401, .. }));
        let lacking = said(403, "Resource not accessible by integration");
        assert!(matches!(lacking, GithubError::Forbidden { status: 403, .. }), "{lacking:?}");
        let suspended = said(403, "This installation has been suspended");
        assert!(matches!(suspended, GithubError::Suspended { .. }), "{suspended:?}");
        let locked = said(403, "Unable to create comment because issue is locked.");
        assert!(matches!(locked, GithubError::Locked { .. }), "{locked:?}");
        assert!(matches!(said(410, "This issue was deleted"), GithubError::Refused { status: 410, .. }));
        assert!(matches!(said(422, "Validation Failed"), GithubError::Refused { status: 422, .. }));
        assert!(matches!(error(502, &[], "<html>"), GithubError::Unavailable { .. }));
        assert!(matches!(said(503, "No server"), GithubError::Unavailable { .. }));
        assert!(matches!(said(304, ""), GithubError::Misunderstood { .. }));
    }

    #[test]
    fn the_reasons_of_a_refusal_are_told_on_one_short_line() {
        let body = r#"{"message":"Validation\nFailed","errors":["too long",{"message":"worse"},
            {"field":"body","code":"missing_field"},{"odd":1}]}"#;
        let text = error(422, &[], body).to_string();
        assert!(text.ends_with("Validation Failed; too long; worse; body missing_field"), "{text}");
        let long = error(422, &[], &serde_json::json!({ "message": "ä".repeat(9000) }).to_string());
        assert!(long.to_string().chars().count() < 400);
        assert!(error(400, &[], "<html>").to_string().contains("Bad Request"));
    }
}
