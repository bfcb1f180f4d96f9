//! The optional services: whether those that are set answer. Nothing is told to them.

use super::Finding;
use crate::{config::Config, observers};
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};

/// How long a connection may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Where collectors speak gRPC, which this does not.
const GRPC: u16 = 4317;

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let set = &config.observers;
    let mut findings = Vec::new();
    if let Some(dsn) = &set.sentry {
        findings.push(reached("Sentry", "SENTRY_DSN", dsn.expose_secret()).await);
    }
    if let Some(traces) = &set.traces {
        let finding = reached("traces", "OTEL_EXPORTER_OTLP_ENDPOINT", &traces.address).await;
        let grpc = place(&traces.address).is_some_and(|(_, port)| port == GRPC);
        findings.push(if grpc {
            Finding::warn("traces", "OTEL_EXPORTER_OTLP_ENDPOINT: port 4317 speaks gRPC; OTLP over HTTP is at 4318")
        } else {
            finding
        });
    }
    if let Some(mail) = &set.mail {
        findings.push(match observers::check_mail(mail).await {
            Ok(()) => Finding::ok("mail", format!("the server lets us in; mail goes to {} addresses", mail.to.len())),
            Err(error) => Finding::fail("mail", format!("SMTP_URL: {error}")),
        });
    }
    findings
}

/// Whether somebody listens there. A failure of theirs is none of the bot's, hence a warning.
async fn reached(what: &'static str, variable: &str, address: &str) -> Finding {
    let Some((host, port)) = place(address) else { return Finding::fail(what, format!("{variable} names no host")) };
    match timeout(LIMIT, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => Finding::ok(what, format!("{host}:{port} answers")),
        Ok(Err(error)) => Finding::warn(what, format!("{variable}: {host}:{port}: {error}")),
        Err(_) => Finding::warn(what, format!("{variable}: {host}:{port} does not answer")),
    }
}

fn place(address: &str) -> Option<(String, u16)> {
    let uri: http::Uri = address.parse().ok()?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    Some((uri.host()?.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_names_a_host_too() {
        assert_eq!(place("https://key@sentry.example.com/1"), Some(("sentry.example.com".to_owned(), 443)));
        assert_eq!(place("http://localhost:4318/v1/traces"), Some(("localhost".to_owned(), 4318)));
    }
}
