//! `bisectd serve`: the daemon. Starts every part in one place, and stops them in one.

use super::{
    Exit, Refusal,
    args::ServeArgs,
    console::{Console, Watched},
    notify, services,
    services::{Services, Storage},
    signals::Signals,
    steps::Steps,
    watch::Show,
};
use crate::{
    admin::Socket,
    changes::{Change, Changes},
    config::Config,
    db::{
        Database, DatabaseSettings, DbError,
        chores::{self, Chore},
        listener::ListenError,
        overview,
        private::ServeLock,
        sessions,
    },
    github::{Github, GithubSettings},
    intake::{Defaults, Intake},
    observers::{Observers, sentry},
    outbox::{Markers, Outbox, Pace, Refusals},
    queue::Queue,
    redelivery::{self, Redelivery},
    runner::credentials::GithubCredentials,
    sandbox::{Sandbox, docker::DockerSandbox},
    signin::{self, SignIn},
    web::{self, DockerCheck, Exporter, Headers, Monitor, Rates, Site, address::Addresses},
    webhook::{self, Inbox, Webhook, signature::Secrets},
    worker::Worker,
};
use bisect_shared::InstanceId;
use rocket::{Rocket, fairing::AdHoc, figment::Figment};
use secrecy::{ExposeSecret, SecretString};
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How often what only grows is trimmed.
const UPKEEP: Duration = Duration::from_secs(60);
/// How often inbox and outbox are looked at while nobody says that there is something.
const DEAF_POLL: Duration = Duration::from_secs(2);
/// How often the counts of ended jobs are added up, by one server for all.
const TOTALS: Duration = Duration::from_mins(10);
/// How often the mirrors are looked through for commits of jobs that have ended elsewhere.
const PINS: Duration = Duration::from_mins(10);
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
pub(super) async fn run(args: &ServeArgs, config: Config, reports: Option<sentry::Reports>) -> Result<Exit, Refusal> {
    let signals = Signals::listen().map_err(Refusal::infrastructure)?;
    check(args, &config)?;
    let _alone = ServeLock::acquire(&config.data_dir).map_err(Refusal::usage)?;
    let socket = Socket::claim(&config.admin_socket).await.map_err(Refusal::usage)?;
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
    let services = Services::start(&config, storage, sandbox, credentials, Some(changes.clone())).await?;
    let observers = Observers::start(&config, &db, &changes, &services.runner.instance, reports);
    let answer = match observers.map_err(Refusal::infrastructure) {
        Ok(observers) => {
            let answer = serve(&config, &services, docker, changes, (github, socket), &observers, signals).await;
            observers.close().await;
            answer
        }
        Err(refusal) => Err(refusal),
    };
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
    let missing = signin::missing(config);
    if !missing.is_empty() {
        tracing::warn!(missing = missing.join(", "), "nobody can sign in: variables are not set");
    } else if config.encryption_keys.is_empty() {
        tracing::warn!(
            "ENCRYPTION_KEY is not set: no user's token is kept, and GitHub is asked repository by repository what a user may see"
        );
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
    (github, socket): (OnGithub, Socket),
    observers: &Observers,
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
    let addresses = Arc::new(Addresses::new(config.trusted_proxies.clone()));
    let rates = Rates(github.as_ref().map(|(github, _)| github.clone()));
    let watched = Watched::new(config, &service.queue);
    let site = site(config, &watched);
    let headers = Headers::new(&site.github_url, site.is_https());
    let for_users = github.as_ref().map(|(github, _)| github.clone());
    let signin = SignIn::new(config, service.db.clone(), for_users).map_err(Refusal::usage)?;
    let rocket = build(&service, monitor, exporter.clone(), rates, (&addresses, signin))?;
    let (listens, address) = watch::channel(None);
    let rocket = rocket.manage(site).manage(watched.streams.clone()).attach(headers).attach(liftoff(listens));
    let rocket = rocket.ignite().await.map_err(|e| Refusal::usage(Problem(e)))?;
    let shutdown = rocket.shutdown();
    let mut http = tokio::spawn(rocket.launch());
    let console =
        Console::start(config, watched, &service.changes, github.as_ref().map(|(github, _)| github.clone()), socket);

    let (mut tasks, mut replies) = (JoinSet::new(), JoinSet::new());
    spawn_tasks(&service, services, exporter, addresses, &mut tasks);
    tasks.spawn(notify::tell(address, services.vitals.clone()));
    if let Some((github, credentials)) = github {
        spawn_replies(&service, services, github, credentials, observers, &mut replies);
    }
    service.changes.tell(Change::Resync);
    let worker = Worker {
        runner,
        limit: config.max_concurrent_jobs as usize,
        changes: service.changes.clone(),
        draining: services.draining.clone(),
        running,
        vital: services.vitals.watch("jobs", config.clocks.recovery_interval),
    };
    let mut working = tokio::spawn(worker.work(service.stopping.clone()));

    let early = tokio::select! {
        () = signals.asked.cancelled() => None,
        ended = &mut http => Some(ended),
        ended = &mut working => return Err(Refusal::infrastructure(format!("the worker ended: {ended:?}"))),
    };
    notify::stopping();
    tracing::info!("stopping: running jobs are given back, deliveries and replies under way are ended");
    service.stopping.cancel();
    let ended = async {
        let _ = tokio::join!(&mut working, async { while replies.join_next().await.is_some() {} });
    };
    let in_time = tokio::select! {
        () = ended => true,
        () = tokio::time::sleep(config.shutdown_grace) => false,
        () = signals.hurry.cancelled() => false,
    };
    if !in_time {
        tracing::warn!("what could not be stopped in time is handed over by force");
        working.abort();
        replies.shutdown().await;
        let _ = timeout(LAST_WORDS, service.queue.reclaim_dead(&services.runner.instance)).await;
        let _ = timeout(LAST_WORDS, services::give_back(&service.db, &services.runner.instance)).await;
    }
    tasks.shutdown().await;
    // Until here the console saw how it went.
    console.stop().await;
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
fn spawn_tasks(
    service: &Service,
    services: &Services,
    exporter: Exporter,
    addresses: Arc<Addresses>,
    tasks: &mut JoinSet<()>,
) {
    let vital = services.vitals.watch("recovery", service.config.clocks.recovery_interval);
    tasks.spawn(services::recover(services.runner.clone(), (*service.config).clone(), service.changes.clone(), vital));
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            exporter.upkeep();
            addresses.forget_old();
        }
    });
    tasks.spawn(add_up(service.db.clone(), services.runner.instance.clone()));
    let runner = services.runner.clone();
    tasks.spawn(async move {
        loop {
            runner.unpin_ended().await;
            tokio::time::sleep(PINS).await;
        }
    });
}

async fn add_up(db: Database, instance: InstanceId) {
    let once = async || {
        let mut tx = db.begin().await?;
        if chores::begin(&mut tx, Chore::Totals, &instance, TOTALS).await?.is_some() {
            overview::fold_totals(&mut tx).await?;
            sessions::remove_expired(&mut tx).await?;
            chores::done(&mut tx, Chore::Totals, &instance).await?;
        }
        tx.commit().await
    };
    loop {
        tokio::time::sleep(TOTALS).await;
        let added: Result<(), DbError> = once().await;
        if let Err(error) = added {
            tracing::warn!(error = %error, "the counts of ended jobs were not added up; trying again later");
        }
    }
}

/// What works the inbox off and sends what the outbox holds.
fn spawn_replies(
    service: &Service,
    services: &Services,
    github: Github,
    credentials: GithubCredentials,
    observers: &Observers,
    replies: &mut JoinSet<()>,
) {
    let (config, runner) = (&service.config, &services.runner);
    let base_url = config.base_url.clone();
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
    let redelivery = Redelivery {
        db: service.db.clone(),
        github: github.clone(),
        instance: runner.instance.clone(),
        every: redelivery::EVERY,
    };
    replies.spawn(redelivery.run(service.stopping.clone()));
    let outbox = Outbox {
        db: service.db.clone(),
        github,
        instance: runner.instance.clone(),
        base_url,
        github_url: config.github_url.clone(),
        markers: Markers::read(config.webhook_secret.as_ref().unwrap_or(&SecretString::default())),
        pace: Pace::default(),
        refusals: Refusals::default(),
        observers: observers.clone(),
    };
    let (inbox_wakes, outbox_wakes) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let pause = config.clocks.recovery_interval;
    replies.spawn(intake.clone().keep_mirrors(service.stopping.clone()));
    let vital = |name| services.vitals.watch(name, pause);
    replies.spawn(intake.run(Arc::clone(&inbox_wakes), pause, service.stopping.clone(), vital("inbox")));
    replies.spawn(outbox.run(Arc::clone(&outbox_wakes), pause, service.stopping.clone(), vital("outbox")));
    replies.spawn(wake(service.changes.clone(), inbox_wakes, outbox_wakes, service.stopping.clone()));
}

/// Wakes intake and outbox when there is something to do, when something is due, and often while nobody
/// says so.
async fn wake(changes: Changes, inbox: Arc<Notify>, outbox: Arc<Notify>, stopping: CancellationToken) {
    let mut subscription = changes.subscribe();
    let mut due: Option<Instant> = None;
    loop {
        let deaf = (!changes.live()).then(|| Instant::now() + DEAF_POLL);
        let next = due.into_iter().chain(deaf).min();
        let timer = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            change = subscription.next() => match change {
                Change::Inbox => inbox.notify_one(),
                Change::Outbox(after) if after.is_zero() => outbox.notify_one(),
                Change::Outbox(after) => {
                    let at = Instant::now() + after;
                    due = Some(due.map_or(at, |due| due.min(at)));
                }
                Change::Resync => {
                    inbox.notify_one();
                    outbox.notify_one();
                }
                Change::Job { .. } | Change::Instances => {}
            },
            () = timer => {
                due = due.filter(|at| *at > Instant::now());
                outbox.notify_one();
                if deaf.is_some() {
                    inbox.notify_one();
                }
            }
        }
    }
}

/// Says where it listens, once it does.
fn liftoff(listens: watch::Sender<Option<SocketAddr>>) -> AdHoc {
    AdHoc::on_liftoff("address", |rocket| {
        Box::pin(async move {
            let address = SocketAddr::new(rocket.config().address, rocket.config().port);
            tracing::info!(address = format!("http://{address}"), "serving");
            listens.send_replace(Some(address));
        })
    })
}

fn build(
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
fn site(config: &Config, watched: &Watched) -> Site {
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
