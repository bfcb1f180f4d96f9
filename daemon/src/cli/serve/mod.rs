//! `bisectd serve`: the daemon. Starts every part in one place, and stops them in one.

mod background;
mod http;

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
    db::{Database, DatabaseSettings, listener::ListenError, private::ServeLock},
    github::{Github, GithubSettings},
    observers::{Observers, sentry},
    queue::Queue,
    runner::credentials::GithubCredentials,
    sandbox::{Sandbox, docker::DockerSandbox},
    signin::{self, SignIn},
    web::{Exporter, Headers, Monitor, Rates, address::Addresses},
    worker::Worker,
};
use secrecy::ExposeSecret;
use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

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
    let monitor =
        Monitor::new(service.db.clone(), Arc::new(http::Docker(docker)), draining, stopping, Arc::clone(&running));
    let addresses = Arc::new(Addresses::new(config.trusted_proxies.clone()));
    let rates = Rates(github.as_ref().map(|(github, _)| github.clone()));
    let watched = Watched::new(config, &service.queue);
    let site = http::site(config, &watched);
    let headers = Headers::new(&site.github_url, site.is_https());
    let for_users = github.as_ref().map(|(github, _)| github.clone());
    let signin = SignIn::new(config, service.db.clone(), for_users).map_err(Refusal::usage)?;
    let rocket = http::build(&service, monitor, exporter.clone(), rates, (&addresses, signin))?;
    let (listens, address) = watch::channel(None);
    let rocket = rocket.manage(site).manage(watched.streams.clone()).attach(headers).attach(http::liftoff(listens));
    let rocket = rocket.ignite().await.map_err(|e| Refusal::usage(http::Problem(e)))?;
    let shutdown = rocket.shutdown();
    let mut serving = tokio::spawn(rocket.launch());
    let console =
        Console::start(config, watched, &service.changes, github.as_ref().map(|(github, _)| github.clone()), socket);

    let (mut tasks, mut replies) = (JoinSet::new(), JoinSet::new());
    background::spawn_tasks(&service, services, exporter, addresses, &mut tasks);
    tasks.spawn(notify::tell(address, services.vitals.clone()));
    if let Some((github, credentials)) = github {
        background::spawn_replies(&service, services, github, credentials, observers, &mut replies);
    }
    service.changes.tell(Change::Resync);
    let worker = Worker {
        runner,
        limit: config.max_concurrent_jobs as usize,
        changes: service.changes.clone(),
        draining: services.draining.clone(),
        docker: services.docker.clone(),
        running,
        vital: services.vitals.watch("jobs", config.clocks.recovery_interval),
    };
    let mut working = tokio::spawn(worker.work(service.stopping.clone()));

    let early = tokio::select! {
        () = signals.asked.cancelled() => None,
        ended = &mut serving => Some(ended),
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
            Ok(Err(error)) => http::Problem(error).to_string(),
            Err(error) => format!("the HTTP server failed: {error}"),
        })),
        None => {
            // Until here `/health` said that this instance drains.
            shutdown.notify();
            let _ = timeout(LAST_WORDS, serving).await;
            Ok(Exit::Done)
        }
    }
}
