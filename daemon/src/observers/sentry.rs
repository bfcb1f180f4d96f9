//! Errors to Sentry: what is logged as an error, panics, and jobs that failed for want of infrastructure. What the log
//! says before goes with them. Every text is masked as the log's lines are.

use super::{Complaints, WAITING, dropped, ended::Ended, http::Http, next};
use crate::{
    config::Config,
    mask::{mask, mask_json},
};
use bisect_shared::JobStatus;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use secrecy::ExposeSecret;
use sentry::{
    Breadcrumb, ClientInitGuard, ClientOptions, Envelope, Level, Transport, TransportFactory, TransportOptions,
    integrations::tracing::{BreadcrumbLayer, ErrorLayer},
    protocol::Event,
    types::Dsn,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    registry::LookupSpan,
};

/// How long nothing is sent after Sentry said that it is too much.
const TOO_MUCH: Duration = Duration::from_mins(1);

/// What waits to be sent; [`super::Observers::start`] sends it.
pub struct Reports {
    address: String,
    authorization: String,
    waiting: mpsc::Receiver<Bytes>,
    /// Ends the client when it is dropped.
    _client: ClientInitGuard,
}

/// Starts to gather. Must be called before any thread of the runtime is started: each takes over the client of the
/// thread that starts it.
#[must_use]
pub fn start(config: &Config, version: &'static str) -> Option<Reports> {
    let dsn: Dsn = config.observers.sentry.as_ref()?.expose_secret().parse().ok()?;
    let (sender, waiting) = mpsc::channel(WAITING);
    let mut options = ClientOptions::default();
    options.dsn = Some(dsn.clone());
    options.release = Some(format!("bisectd@{version}").into());
    options.server_name = Some(gethostname::gethostname().to_string_lossy().into_owned().into());
    options.transport = Some(Arc::new(Queue(sender)));
    options.before_send = Some(Arc::new(|event| masked(&event)));
    options.before_breadcrumb = Some(Arc::new(|crumb| Some(masked_crumb(crumb))));
    options.shutdown_timeout = Duration::ZERO;
    Some(Reports {
        address: dsn.envelope_api_url().to_string(),
        authorization: dsn.to_auth(Some(concat!("bisectd/", env!("CARGO_PKG_VERSION")))).to_string(),
        waiting,
        _client: sentry::init(options),
    })
}

/// The part of the log's subscriber that gathers. Without [`start`] it does nothing.
pub fn layer<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let before = filter_fn(|metadata| matches!(*metadata.level(), tracing::Level::WARN | tracing::Level::INFO));
    vec![BreadcrumbLayer::new().with_filter(before).boxed(), ErrorLayer::new().with_filter(LevelFilter::ERROR).boxed()]
}

/// A job that ended: reported if it failed.
pub(super) fn report(ended: &Ended) {
    if ended.job.status != JobStatus::Failed {
        return;
    }
    let told = |scope: &mut sentry::Scope| {
        scope.set_tag("job.id", ended.job.id.0);
        scope.set_tag("repository", &ended.place);
        scope.set_extra("reason", ended.job.error.clone().unwrap_or_default().into());
        scope.set_extra("attempts", ended.job.attempts.into());
    };
    sentry::with_scope(told, || sentry::capture_message("a job failed for want of infrastructure", Level::Error));
}

/// `None`, and so nothing is sent, where masking is impossible.
fn masked(event: &Event<'static>) -> Option<Event<'static>> {
    serde_json::from_value(mask_json(serde_json::to_value(event).ok()?)).ok()
}

fn masked_crumb(mut crumb: Breadcrumb) -> Breadcrumb {
    crumb.message = crumb.message.map(|message| mask(&message).into_owned());
    crumb.data = crumb.data.into_iter().map(|(name, value)| (name, mask_json(value))).collect();
    crumb
}

/// Never waits.
struct Queue(mpsc::Sender<Bytes>);

impl TransportFactory for Queue {
    fn create_transport_with_options(&self, _: TransportOptions) -> Arc<dyn Transport> {
        Arc::new(Self(self.0.clone()))
    }
}

impl Transport for Queue {
    fn send_envelope(&self, envelope: Envelope) {
        let mut bytes = Vec::new();
        if envelope.to_writer(&mut bytes).is_err() || self.0.try_send(bytes.into()).is_err() {
            dropped("sentry");
        }
    }
}

impl Reports {
    pub(super) async fn send(mut self, http: Http, end: CancellationToken) {
        let mut complaints = Complaints::of("sentry");
        let mut quiet: Option<Instant> = None;
        while let Some(envelope) = next(&mut self.waiting, &end).await {
            if quiet.is_some_and(|until| Instant::now() < until) {
                dropped("sentry");
                continue;
            }
            let sent = self.send_one(&http, envelope).await;
            quiet = matches!(sent, Ok(StatusCode::TOO_MANY_REQUESTS)).then(|| Instant::now() + TOO_MUCH);
            complaints.judge(match sent {
                Ok(status) if status.is_success() => Ok(()),
                Ok(status) => Err(format!("it answered {status}")),
                Err(error) => Err(error),
            });
        }
    }

    async fn send_one(&self, http: &Http, envelope: Bytes) -> Result<StatusCode, String> {
        let request = Request::post(&self.address)
            .header(header::CONTENT_TYPE, "application/x-sentry-envelope")
            .header("X-Sentry-Auth", &self.authorization)
            .body(envelope);
        let answer = http.send(request.map_err(|error| error.to_string())?).await?;
        Ok(answer.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, path::Path};

    #[test]
    fn a_panic_and_an_error_are_reported_without_secrets() {
        let variables = BTreeMap::from([("SENTRY_DSN".to_owned(), "https://public@sentry.example.com/42".to_owned())]);
        let config = Config::from_sources(Path::new("/nowhere/Rocket.toml"), &BTreeMap::new(), &variables).unwrap();
        let mut reports = start(&config, "1.2.3").unwrap();
        assert_eq!(reports.address, "https://sentry.example.com/api/42/envelope/");
        let panicked = std::panic::catch_unwind(|| panic!("no way with ghs_abcdef0123456789"));
        assert!(panicked.is_err());
        let subscriber = tracing_subscriber::layer::SubscriberExt::with(tracing_subscriber::registry(), layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(error = "ghp_0123456789", "before it");
            tracing::error!(url = "https://ada:hush@example.com", "it broke");
        });
        let mut told = Vec::new();
        while let Ok(envelope) = reports.waiting.try_recv() {
            told.push(String::from_utf8(envelope.to_vec()).unwrap());
        }
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("no way with [secret]") && told[0].contains("fatal"), "{}", told[0]);
        assert!(
            told[1].contains("it broke") && told[1].contains("before it") && !told[1].contains("hush"),
            "{}",
            told[1]
        );
        assert!(told[1].contains("bisectd@1.2.3"), "{}", told[1]);
    }
}
