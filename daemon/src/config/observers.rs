//! What is configured of the optional services that watch this one. All of them are off unless set; a value that could
//! never work is refused here, so that nobody learns of it when the first job fails.

use super::value::{ConfigError, Values, missing, parts, wrong};
use http::{HeaderName, HeaderValue, Uri};
use lettre::{AsyncSmtpTransport, Tokio1Executor, message::Mailbox};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use sentry::types::Dsn;

/// Who else is told.
#[derive(Debug, Clone, Default)]
pub struct Observers {
    /// `SENTRY_DSN`.
    pub sentry: Option<SecretString>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` and its headers.
    pub traces: Option<TraceSettings>,
    /// `SMTP_URL` and `MAIL_…`.
    pub mail: Option<MailSettings>,
}

/// Where traces go.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The collector's address, with `/v1/traces` at its end.
    pub address: String,
    /// What it is asked with besides: names, and values that may be secret.
    pub headers: Vec<(String, SecretString)>,
}

/// How mail is sent, and to whom.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The server, with its password.
    pub url: SecretString,
    /// Who gets it: at least one.
    pub to: Vec<Mailbox>,
    /// Whose it is.
    pub from: Mailbox,
    /// What it is sent for.
    pub on: MailOn,
}

/// What mail is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailOn {
    /// Jobs that failed for want of infrastructure.
    Failures,
    /// Those, and results.
    Results,
}

impl Observers {
    pub(super) fn read(values: &Values) -> Result<Self, ConfigError> {
        Ok(Self { sentry: sentry(values)?, traces: traces(values)?, mail: mail(values)? })
    }
}

fn sentry(values: &Values) -> Result<Option<SecretString>, ConfigError> {
    let Some(text) = values.text("SENTRY_DSN") else { return Ok(None) };
    match text.parse::<Dsn>() {
        Ok(_) => Ok(Some(text.into())),
        Err(_) => Err(wrong("SENTRY_DSN", "…", "the DSN of a Sentry project, from its settings")),
    }
}

fn traces(values: &Values) -> Result<Option<TraceSettings>, ConfigError> {
    let headers = headers(&values.text("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default())
        .ok_or_else(|| wrong("OTEL_EXPORTER_OTLP_HEADERS", "…", "name=value, separated by commas"))?;
    let Some(text) = values.text("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
    let base = text.trim_end_matches('/');
    let usable = base.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && uri.authority().is_some_and(|host| !host.as_str().contains('@'))
    });
    if !usable {
        let found = if text.contains('@') { "…" } else { &text };
        let expected = "an address that begins with http:// or https:// and holds no user name";
        return Err(wrong("OTEL_EXPORTER_OTLP_ENDPOINT", found, expected));
    }
    Ok(Some(TraceSettings { address: format!("{base}/v1/traces"), headers }))
}

/// As the specification of OTLP's exporters has them: W3C Baggage without properties.
fn headers(text: &str) -> Option<Vec<(String, SecretString)>> {
    let read = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
        HeaderValue::from_str(&value).ok()?;
        let name = name.trim().parse::<HeaderName>().ok()?;
        Some((name.as_str().to_owned(), value.into()))
    };
    parts(text).map(read).collect()
}

fn mail(values: &Values) -> Result<Option<MailSettings>, ConfigError> {
    let on = match values.text_or_default("MAIL_ON").as_str() {
        "failures" => MailOn::Failures,
        "results" => MailOn::Results,
        other => return Err(wrong("MAIL_ON", other, "`failures` or `results`")),
    };
    let addresses = |name: &'static str| {
        let text = values.text(name).unwrap_or_default();
        let read: Result<Vec<Mailbox>, _> = parts(&text).map(str::parse).collect();
        read.map_err(|_| wrong(name, &text, "e-mail addresses, separated by commas"))
    };
    let (to, from) = (addresses("MAIL_TO")?, addresses("MAIL_FROM")?);
    let Some(url) = values.text("SMTP_URL").map(SecretString::from) else { return Ok(None) };
    if AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret()).is_err() {
        return Err(wrong("SMTP_URL", "…", "an address that begins with smtps:// or smtp://"));
    }
    let Some(first) = to.first() else { return Err(missing("MAIL_TO", "SMTP_URL is set")) };
    let from = from.first().unwrap_or(first).clone();
    Ok(Some(MailSettings { url, to, from, on }))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::{collections::BTreeMap, path::Path};

    fn read(variables: &[(&str, &str)]) -> Result<Observers, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let config = Config::from_sources(Path::new("/nowhere/Rocket.toml"), &BTreeMap::new(), &variables);
        config.map(|config| config.observers).map_err(|error| error.to_string())
    }

    #[test]
    fn nobody_is_told_unless_it_is_set() {
        let read = read(&[]).unwrap();
        assert!(read.sentry.is_none() && read.traces.is_none() && read.mail.is_none());
    }

    #[test]
    fn what_is_set_is_read() {
        let read = read(&[
            ("SENTRY_DSN", "https://key@sentry.example.com/1"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20hush, x-team = bots"),
            ("SMTP_URL", "smtps://bot:hush%21@mail.example.com"),
            ("MAIL_TO", "Ada <ada@example.com>, ops@example.com"),
            ("MAIL_ON", "results"),
        ])
        .unwrap();
        assert!(!format!("{read:?}").contains("hush"));
        let traces = read.traces.unwrap();
        assert_eq!(traces.address, "http://localhost:4318/v1/traces");
        let headers: Vec<_> =
            traces.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(headers, [("authorization", "Bearer hush"), ("x-team", "bots")]);
        let mail = read.mail.unwrap();
        assert_eq!((mail.to.len(), mail.from.email.to_string().as_str()), (2, "ada@example.com"));
        assert_eq!(mail.on, MailOn::Results);
    }

    #[test]
    fn what_could_never_work_is_refused_and_not_shown() {
        for (variables, name) in [
            (&[("SENTRY_DSN", "https://sentry.example.com/hush")][..], "SENTRY_DSN"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hush@h")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (&[("OTEL_EXPORTER_OTLP_HEADERS", "hush")], "OTEL_EXPORTER_OTLP_HEADERS"),
            (&[("SMTP_URL", "http://u:hush@h"), ("MAIL_TO", "a@b.example")], "SMTP_URL"),
            (&[("SMTP_URL", "smtp://u:hush@h")], "MAIL_TO"),
            (&[("MAIL_TO", "nobody")], "MAIL_TO"),
            (&[("MAIL_ON", "always")], "MAIL_ON"),
        ] {
            let message = read(variables).unwrap_err();
            assert!(message.starts_with(name) && message.contains("for example"), "{message}");
            assert!(!message.contains("hush"), "{message}");
        }
    }
}
