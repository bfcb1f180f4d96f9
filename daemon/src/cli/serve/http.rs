//! The HTTP server: its settings, what it is made of, and why it could not start.

use super::Service;
use crate::{
    cli::{Refusal, console::Watched},
    config::Config,
    sandbox::docker::DockerSandbox,
    signin::{self, SignIn},
    web::{self, DockerCheck, Exporter, Monitor, Rates, Site, address::Addresses},
    webhook::{self, Inbox, Webhook, signature::Secrets},
};
use rocket::{Rocket, fairing::AdHoc, figment::Figment};
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::watch;

/// Says where it listens, once it does.
pub(super) fn liftoff(listens: watch::Sender<Option<SocketAddr>>) -> AdHoc {
    AdHoc::on_liftoff("address", |rocket| {
        Box::pin(async move {
            let address = SocketAddr::new(rocket.config().address, rocket.config().port);
            tracing::info!(address = format!("http://{address}"), "serving");
            listens.send_replace(Some(address));
        })
    })
}

pub(super) fn build(
    service: &Service,
    monitor: Monitor,
    exporter: Exporter,
    rates: Rates,
    (addresses, signin): (&Arc<Addresses>, SignIn),
) -> Result<Rocket<rocket::Build>, Refusal> {
    let secrets = service.config.webhook_secret.as_ref().and_then(Secrets::read);
    let webhook = Webhook { secrets, inbox: Inbox::start(service.db.clone()) };
    let rocket = rocket::custom(settings(&service.config))
        .manage(webhook)
        .manage(monitor)
        .manage(exporter)
        .manage(service.changes.clone())
        .manage(service.config.clocks)
        .manage(rates)
        .manage(signin)
        .manage(Arc::clone(addresses))
        .mount("/", webhook::routes())
        .mount("/", signin::routes());
    Ok(web::mount(rocket))
}

/// What pages and the API are made from.
pub(super) fn site(config: &Config, watched: &Watched) -> Site {
    let Watched { tail, actions, live, .. } = watched.clone();
    let plain = |url: &str| url.trim_end_matches('/').to_owned();
    Site {
        db: actions.db.clone(),
        actions,
        live,
        tail,
        github_url: plain(&config.github_url),
        app_slug: config.github_app_slug.clone(),
        base_url: config.base_url.as_deref().map(plain),
    }
}

/// Rocket's own settings (`Rocket.toml`, `ROCKET_…`), but for what is the daemon's to decide.
fn settings(config: &Config) -> Figment {
    let mut shutdown = rocket::config::Shutdown { ctrlc: false, grace: 1, mercy: 1, ..Default::default() };
    shutdown.signals.clear();
    let figment = rocket::Config::figment()
        .merge(("shutdown", shutdown))
        .merge(("log_level", "off"))
        .merge(("ident", "bisectd"))
        // The address comes through TRUSTED_PROXIES only: see `web::address`.
        .merge(("ip_header", false));
    if let Some(key) = SignIn::cookie_key(config) {
        return figment.merge(("secret_key", key));
    }
    // Rocket's defaults hold one, too, of zeros, with which it starts in debug builds only.
    let given = figment.extract_inner::<rocket::config::SecretKey>("secret_key");
    if given.is_ok_and(|key| key.is_provided()) {
        return figment;
    }
    // Nobody can sign in; without any key Rocket does not start.
    let key: Vec<u8> = std::iter::repeat_with(rand::random::<u8>).take(64).collect();
    figment.merge(("secret_key", key))
}

/// Asks Docker for `/health`.
pub(super) struct Docker(pub(super) Arc<DockerSandbox>);

#[async_trait::async_trait]
impl DockerCheck for Docker {
    async fn answers(&self) -> bool {
        self.0.ping().await.is_ok()
    }
}

/// Rocket's error on one line; one that nobody reads panics.
pub(super) struct Problem(pub(super) rocket::Error);

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.kind() {
            rocket::error::ErrorKind::Bind(error) => write!(
                f,
                "the address cannot be listened on: {error}; set ROCKET_ADDRESS and ROCKET_PORT (example: ROCKET_PORT=8001)"
            ),
            other => write!(f, "the HTTP server cannot start: {other}"),
        }
    }
}
