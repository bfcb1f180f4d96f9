//! `bisectd serve`: the daemon. Starts every part in one place, and stops them in one.

use super::{
    Exit, Refusal,
    args::ServeArgs,
    services,
    services::{Services, Storage},
    signals::Signals,
    steps::Steps,
    watch::Show,
};
use crate::{
    changes::{Change, Changes},
    config::Config,
    db::{Database, DatabaseSettings, listener::ListenError, private::ServeLock},
    github::{Github, GithubSettings},
    intake::{Defaults, Intake},
    outbox::{Outbox, Pace},
    queue::Queue,
    runner::credentials::GithubCredentials,
    sandbox::{Sandbox, docker::DockerSandbox},
    web::{self, DockerCheck, Exporter, Monitor, address::Addresses},
    webhook::{self, Inbox, Webhook, signature::Secrets},
    worker::Worker,
};
use rocket::{Rocket, fairing::AdHoc, figment::Figment};
use secrecy::ExposeSecret;
use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// How often what only grows is trimmed.
const UPKEEP: Duration = Duration::from_secs(60);
/// How often inbox and outbox are looked at where nobody says that there is something: what is due later
/// is not told.
const POLL: Duration = Duration::from_secs(5);
/// How long the last words to the database may take, once the grace is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the tasks of a service share.
#[derive(Clone)]
struct Service {
    config: Arc<Config>,
    db: Database,
    queue: Queue,
    changes: Changes,
    /// Set when the process is to stop: nothing new is begun.
    stopping: CancellationToken,
}

/// Serves until a signal comes.
pub(super) async fn run(args: &ServeArgs, config: Config) -> Result<Exit, Refusal> {
    let signals = Signals::listen().map_err(Refusal::infrastructure)?;
    check(args, &config)?;
    let _alone = ServeLock::acquire(&config.data_dir).map_err(Refusal::usage)?;
    let docker = Arc::new(services::docker_for_any(&config)?);
    let (storage, settings) = tokio::select! {
        opened = Storage::open_for_serving(&config, Steps::new(Show::Lines)) => opened?,
        () = signals.asked.cancelled() => return Ok(Exit::Done),
    };
    let db = storage.database();
    let (changes, listening) = match listen(settings, &db, &config).await {
        Ok(told) => told,
        Err(refusal) => {
            storage.close().await;
            return Err(refusal);
        }
    };
    let github = match github(&config, &db) {
        Ok(github) => github,
        Err(refusal) => {
            storage.close().await;
            return Err(refusal);
        }
    };
    let credentials = github.as_ref().map(|(_, credentials)| credentials.clone());
    let sandbox = Some(Arc::clone(&docker) as Arc<dyn Sandbox>);
    let services = Services::start(&config, storage, sandbox, credentials).await?;
    let answer = serve(&config, &services, docker, changes, github, signals).await;
    if let Some(listening) = listening {
        listening.abort();
    }
    services.stop().await;
    db.close().await;
    answer
}

type OnGithub = Option<(Github, GithubCredentials)>;

/// The way to GitHub, where an App is configured.
fn github(config: &Config, db: &Database) -> Result<OnGithub, Refusal> {
    let (Some(app), Some(path)) = (&config.github_app_id, &config.github_private_key) else { return Ok(None) };
    let key = std::fs::read_to_string(path).map_err(|error| {
        Refusal::usage(format!(
            "GITHUB_PRIVATE_KEY_PATH: {} cannot be read: {error}; it is the .pem file that GitHub gave for the App",
            path.display()
        ))
    })?;
    let settings = GithubSettings::new(config.github_api_url.as_str(), app.as_str(), key.into());
    let github = Github::new(&settings).map_err(Refusal::usage)?;
    let credentials = GithubCredentials::new(db.clone(), github.clone(), &config.github_url).map_err(Refusal::usage)?;
    Ok(Some((github, credentials)))
}

/// What must hold before anything is started.
fn check(args: &ServeArgs, config: &Config) -> Result<(), Refusal> {
    if config.database_url.is_none() {
        if config.github_app_id.is_some() && !args.local {
            return Err(Refusal::usage(
                "GITHUB_APP_ID is set and DATABASE_URL is not: the private PostgreSQL serves one machine only, and \
                 a fleet must share one database; set DATABASE_URL (example: \
                 postgresql://bisect:password@db.internal:5432/bisect), or say with --local that this is the only server",
            ));
        }
        tracing::warn!(data_dir = %config.data_dir.display(), "DATABASE_URL is not set: using a private PostgreSQL, for this one machine only");
    }
    config.check_github().map_err(Refusal::usage)?;
    if config.github_app_id.is_none() {
        tracing::warn!("GITHUB_APP_ID is not set: no command from GitHub is answered (example: GITHUB_APP_ID=123456)");
    }
    if config.webhook_secret.is_none() {
        tracing::warn!("GITHUB_WEBHOOK_SECRET is not set: every webhook is refused");
    }
    Ok(())
}

type Told = (Changes, Option<tokio::task::JoinHandle<()>>);

/// Listens, or polls where only a transaction pooler is known. A direct URL that is of no use is
/// refused: somebody meant it to work.
async fn listen(settings: DatabaseSettings, db: &Database, config: &Config) -> Result<Told, Refusal> {
    let direct = config.database_direct_url.as_ref().map(ExposeSecret::expose_secret);
    let named = direct != config.database_url.as_ref().map(ExposeSecret::expose_secret);
    match Changes::listen(settings, db).await {
        Ok((changes, task)) => Ok((changes, Some(task))),
        Err(ListenError::Database(error)) => Err(Refusal::infrastructure(error)),
        Err(error) if named => Err(Refusal::usage(error)),
        Err(error) => {
            tracing::warn!(error = %error, "polling instead of listening");
            Ok((Changes::silent(), None))
        }
    }
}

async fn serve(
    config: &Config,
    services: &Services,
    docker: Arc<DockerSandbox>,
    changes: Changes,
    github: OnGithub,
    signals: Signals,
) -> Result<Exit, Refusal> {
    let runner = services.runner.clone();
    let service = Service {
        config: Arc::new(config.clone()),
        db: runner.db.clone(),
        queue: runner.queue.clone(),
        changes,
        stopping: CancellationToken::new(),
    };
    let running = Arc::new(AtomicUsize::new(0));
    let exporter = Exporter::start().map_err(Refusal::infrastructure)?;
    let (draining, stopping) = (services.draining.clone(), service.stopping.clone());
    let monitor = Monitor::new(service.db.clone(), Arc::new(Docker(docker)), draining, stopping, Arc::clone(&running));
    let rocket = build(&service, monitor, exporter.clone())?.ignite().await.map_err(|e| Refusal::usage(Problem(e)))?;
    let shutdown = rocket.shutdown();
    let mut http = tokio::spawn(rocket.launch());

    let mut tasks = JoinSet::new();
    spawn_tasks(&service, services, exporter, &mut tasks);
    if let Some((github, credentials)) = github {
        spawn_replies(&service, services, github, credentials, &mut tasks);
    }
    service.changes.tell(Change::Resync);
    let worker = Worker {
        runner,
        limit: config.max_concurrent_jobs as usize,
        changes: service.changes.clone(),
        draining: services.draining.clone(),
        running,
    };
    let mut working = tokio::spawn(worker.work(service.stopping.clone()));

    let early = tokio::select! {
        () = signals.asked.cancelled() => None,
        ended = &mut http => Some(ended),
        ended = &mut working => return Err(Refusal::infrastructure(format!("the worker ended: {ended:?}"))),
    };
    tracing::info!("stopping: running jobs are given back");
    service.stopping.cancel();
    let grace = tokio::time::sleep(config.shutdown_grace);
    let given_back = tokio::select! {
        _ = &mut working => true,
        () = grace => false,
        () = signals.hurry.cancelled() => false,
    };
    if !given_back {
        tracing::warn!("jobs that could not be stopped in time are handed over by force");
        working.abort();
        let _ = timeout(LAST_WORDS, service.queue.reclaim_dead(&services.runner.instance)).await;
    }
    tasks.shutdown().await;
    match early {
        Some(ended) => Err(Refusal::infrastructure(match ended {
            Ok(Ok(_)) => "the HTTP server ended by itself".to_owned(),
            Ok(Err(error)) => Problem(error).to_string(),
            Err(error) => format!("the HTTP server failed: {error}"),
        })),
        None => {
            // Until here `/health` said that this instance drains.
            shutdown.notify();
            let _ = timeout(LAST_WORDS, http).await;
            Ok(Exit::Done)
        }
    }
}

/// Everything that works in the background, besides the jobs.
fn spawn_tasks(service: &Service, services: &Services, exporter: Exporter, tasks: &mut JoinSet<()>) {
    tasks.spawn(services::recover(services.runner.clone(), (*service.config).clone(), service.changes.clone()));
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            exporter.upkeep();
        }
    });
}

/// What works the inbox off and sends what the outbox holds.
fn spawn_replies(
    service: &Service,
    services: &Services,
    github: Github,
    credentials: GithubCredentials,
    tasks: &mut JoinSet<()>,
) {
    let (config, runner) = (&service.config, &services.runner);
    // Without a public address links lead to this machine, which is right for whoever tries it out.
    let base_url = config.base_url.clone().unwrap_or_else(|| "http://localhost:8000".to_owned());
    let intake = Intake {
        db: service.db.clone(),
        queue: service.queue.clone(),
        github: github.clone(),
        mirrors: runner.mirrors.clone(),
        credentials,
        instance: runner.instance.clone(),
        defaults: Arc::new(Defaults {
            image: config.runner_image.clone(),
            network: config.network,
            max_lanes: config.max_concurrent_probes,
            base_url: base_url.clone(),
            github_url: config.github_url.clone(),
        }),
    };
    let secret = config.webhook_secret.as_ref().map_or("", |secret| secret.expose_secret());
    let outbox = Outbox {
        db: service.db.clone(),
        github,
        instance: runner.instance.clone(),
        base_url,
        github_url: config.github_url.clone(),
        marker_secret: Arc::new(secret.to_owned().into()),
        pace: Pace::default(),
    };
    let (inbox_wakes, outbox_wakes) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let pause = config.clocks.recovery_interval.min(POLL);
    tasks.spawn(intake.clone().keep_mirrors(service.stopping.clone()));
    tasks.spawn(intake.run(Arc::clone(&inbox_wakes), pause, service.stopping.clone()));
    tasks.spawn(outbox.run(Arc::clone(&outbox_wakes), pause, service.stopping.clone()));
    let mut changes = service.changes.subscribe();
    tasks.spawn(async move {
        loop {
            let change = changes.next().await;
            if matches!(change, Change::Inbox | Change::Resync) {
                inbox_wakes.notify_one();
            }
            if matches!(change, Change::Outbox | Change::Resync) {
                outbox_wakes.notify_one();
            }
        }
    });
}

fn build(service: &Service, monitor: Monitor, exporter: Exporter) -> Result<Rocket<rocket::Build>, Refusal> {
    let secrets = service.config.webhook_secret.as_ref().and_then(Secrets::read);
    let webhook = Webhook { secrets, inbox: Inbox::start(service.db.clone()) };
    let listening = AdHoc::on_liftoff("address", |rocket| {
        Box::pin(async move {
            let address = format!("http://{}:{}", rocket.config().address, rocket.config().port);
            tracing::info!(address, "serving");
        })
    });
    let rocket = rocket::custom(settings())
        .manage(webhook)
        .manage(monitor)
        .manage(exporter)
        .manage(service.changes.clone())
        .manage(service.config.clocks)
        .manage(Addresses::new(service.config.trusted_proxies.clone()))
        .attach(listening)
        .mount("/", webhook::routes());
    Ok(web::mount(rocket))
}

/// Rocket's own settings (`Rocket.toml`, `ROCKET_…`), but for what is the daemon's to decide.
fn settings() -> Figment {
    let mut shutdown = rocket::config::Shutdown { ctrlc: false, grace: 1, mercy: 1, ..Default::default() };
    shutdown.signals.clear();
    let figment = rocket::Config::figment()
        .merge(("shutdown", shutdown))
        .merge(("log_level", "off"))
        .merge(("ident", "bisectd"))
        // The address comes through TRUSTED_PROXIES only: see `web::address`.
        .merge(("ip_header", false));
    if figment.contains("secret_key") {
        return figment;
    }
    // No cookie is made yet; without any key Rocket does not start.
    let key: Vec<u8> = std::iter::repeat_with(rand::random::<u8>).take(64).collect();
    figment.merge(("secret_key", key))
}

struct Docker(Arc<DockerSandbox>);

#[async_trait::async_trait]
impl DockerCheck for Docker {
    async fn answers(&self) -> bool {
        self.0.ping().await.is_ok()
    }
}

/// Rocket's error on one line; one that nobody reads panics.
struct Problem(rocket::Error);

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
