//! What a command needs running: database, queue, sandboxes. Started in one place, stopped in one.

use super::{
    Refusal,
    instance::{self, Instance, affinity},
    pulse::{self, Pulse},
    request::unwritable,
    steps::Steps,
};
use crate::{
    changes::{Change, Changes},
    config::Config,
    db::{
        Database, DatabaseSettings, DbError, deliveries,
        migrations::{self, SchemaState},
        outbox,
        private::PrivatePostgres,
    },
    outbox::SETTLE,
    queue::Queue,
    runner::{
        Runner, Sandboxes,
        credentials::{Credentials, GithubCredentials, NoCredentials},
        mirror::Mirrors,
        spec::{JobSpec, SandboxKind},
    },
    sandbox::{
        Sandbox,
        docker::{DockerConfig, DockerSandbox},
        process::ProcessSandbox,
    },
    vitals::{Vital, Vitals},
};
use bisect_shared::{Epoch, InstanceId, JobId};
use secrecy::ExposeSecret;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

/// How long the end of a process may wait for the database.
const LAST_QUESTION: Duration = Duration::from_secs(2);

/// The database, reached, and of the schema that this program was built for.
pub(super) struct Storage {
    db: Database,
    postgres: Option<PrivatePostgres>,
}

impl Storage {
    /// Opens it. A configured one is only read, so that one which cannot be used costs nothing; the
    /// private one is started, and made when it is not there.
    pub(super) async fn open(config: &Config, steps: Steps) -> Result<Self, Refusal> {
        Ok(Self::open_for_serving(config, steps).await?.0)
    }

    /// The same for a service, with how it was reached.
    pub(super) async fn open_for_serving(config: &Config, steps: Steps) -> Result<(Self, DatabaseSettings), Refusal> {
        let (settings, postgres) = steps.tell(opening(config), database_settings(config)).await?;
        match steps.tell("checking the database", checked(&settings, postgres.is_some())).await {
            Ok(db) => Ok((Self { db, postgres }, settings)),
            Err(refusal) => {
                stop_postgres(postgres).await;
                Err(refusal)
            }
        }
    }

    /// The database.
    pub(super) fn database(&self) -> Database {
        self.db.clone()
    }

    /// Stops what [`Storage::open`] started.
    pub(super) async fn close(self) {
        stop_postgres(self.postgres).await;
    }
}

/// What [`database_settings`] does, for people.
fn opening(config: &Config) -> &'static str {
    if PrivatePostgres::is_made(&config.data_dir) {
        "starting the private PostgreSQL"
    } else {
        "starting the private PostgreSQL (the first time: making it)"
    }
}

async fn checked(settings: &DatabaseSettings, private: bool) -> Result<Database, Refusal> {
    if private {
        // Nobody else keeps this database: bringing it up is ours to do.
        migrations::up(settings, None).await.map_err(Refusal::usage)?;
    }
    let db = Database::connect(settings).await.map_err(Refusal::usage)?;
    match migrations::check_schema(&db).await.map_err(Refusal::usage)? {
        SchemaState::Current => Ok(db),
        other => Err(Refusal::usage(other)),
    }
}

/// The services of one process.
pub(super) struct Services {
    pub(super) runner: Runner,
    /// Whether its loops turn.
    pub(super) vitals: Vitals,
    /// Whether somebody asked this instance to take no more jobs.
    pub(super) draining: watch::Receiver<bool>,
    /// Whether Docker answered when it was last asked, where it was.
    pub(super) docker: watch::Receiver<Option<bool>>,
    /// Who this process is, until everything else has ended.
    instance: Instance,
    postgres: Option<PrivatePostgres>,
    beating: JoinHandle<()>,
}

impl Services {
    /// Makes a runner on the database. From here on there are files of this process in `DATA_DIR`. Without `changes` it
    /// runs what it is told, and takes no jobs of others.
    pub(super) async fn start(
        config: &Config,
        storage: Storage,
        docker: Option<Arc<dyn Sandbox>>,
        github: Option<GithubCredentials>,
        changes: Option<Changes>,
    ) -> Result<Self, Refusal> {
        match Self::files(config) {
            Ok((instance, mirrors)) => {
                let Storage { db, postgres } = storage;
                let means = pulse::means(config, changes.is_some());
                let runner = Runner {
                    changes: changes.unwrap_or_else(Changes::silent),
                    queue: Queue::new(db.clone(), instance.id.clone(), config.clocks, affinity(&config.data_dir)),
                    db,
                    clocks: config.clocks,
                    patience: config.patience,
                    serves: means.max_jobs > 0,
                    instance: instance.id.clone(),
                    mirrors,
                    credentials: github
                        .map_or_else(|| Arc::new(NoCredentials) as Arc<dyn Credentials>, |it| Arc::new(it)),
                    sandboxes: Sandboxes { docker, process: Arc::new(ProcessSandbox::new(&config.data_dir)) },
                    slots: Arc::new(Semaphore::new(config.max_concurrent_probes as usize)),
                };
                // Before it has any lane: of whom the database knows nothing, the lanes are swept.
                let row = match runner.queue.heartbeat_instance(means).await {
                    Ok(row) => row,
                    Err(error) => {
                        stop_postgres(postgres).await;
                        return Err(Refusal::infrastructure(error));
                    }
                };
                let (drain, draining) = watch::channel(row.drain_requested_by.is_some());
                let vitals = Vitals::default();
                let vital = vitals.watch("heartbeat", config.clocks.heartbeat);
                let (told, docker) = watch::channel(None);
                let pulse = Pulse { runner: runner.clone(), config: config.clone(), means, drain, docker: told, vital };
                let beating = tokio::spawn(pulse.beat());
                Ok(Self { runner, vitals, draining, docker, instance, postgres, beating })
            }
            Err(error) => {
                storage.close().await;
                Err(unwritable(&config.data_dir, &error))
            }
        }
    }

    fn files(config: &Config) -> std::io::Result<(Instance, Mirrors)> {
        Ok((Instance::start(&config.data_dir)?, Mirrors::open(&config.data_dir)?))
    }

    /// Stops what this process started. The private PostgreSQL stays up while another process uses it.
    pub(super) async fn stop(self) {
        self.beating.abort();
        let retired = tokio::time::timeout(LAST_QUESTION, self.runner.queue.retire_instance()).await;
        if !matches!(retired, Ok(Ok(()))) {
            tracing::debug!(answer = ?retired, "this process ends without a word in the database");
        }
        // A worker that was cut short, or a database that is away, may leave a job under our name.
        let owns = tokio::time::timeout(LAST_QUESTION, self.runner.queue.owns_jobs(&self.runner.instance)).await;
        if matches!(owns, Ok(Ok(false))) {
            self.instance.retire();
        }
        drop(self.runner);
        stop_postgres(self.postgres).await;
    }
}

/// Removes what dead processes left here, and forgets them. While one still has a job, that it is
/// dead must be known: see [`instance::forget`].
pub(super) async fn sweep(runner: &Runner, config: &Config) {
    runner.sweep(|id| instance::fate(&config.data_dir, id)).await;
    for dead in instance::dead(&config.data_dir) {
        if matches!(runner.queue.owns_jobs(&dead).await, Ok(false)) {
            instance::forget(&config.data_dir, &dead.0);
        }
    }
}

/// The recovery loop of a service: takes jobs from workers that are gone, wherever they were, and
/// removes what they left on this machine.
pub(super) async fn recover(runner: Runner, config: Config, changes: Changes, vital: Vital) {
    loop {
        vital.beat();
        tokio::time::sleep(config.clocks.recovery_interval).await;
        if let Err(error) = take_over(&runner, &config).await {
            tracing::warn!(error = %error, "orphaned jobs could not be looked for; trying again");
            continue;
        }
        sweep(&runner, &config).await;
        if !changes.live() {
            changes.tell(Change::Resync);
        }
    }
}

async fn take_over(runner: &Runner, config: &Config) -> Result<(), DbError> {
    let mut reclaimed = runner.queue.reclaim_stale().await?;
    give_back_stale(&runner.db, config.clocks.stale_after).await?;
    for dead in instance::dead(&config.data_dir) {
        reclaimed.extend(runner.queue.reclaim_dead(&dead).await?);
        give_back(&runner.db, &dead).await?;
    }
    for job in reclaimed {
        let from = job.worker.map_or_else(String::new, |worker| worker.0);
        tracing::warn!(
            job.id = job.job.0,
            job.worker = from,
            job.status = job.status.name(),
            "a job was taken from a dead worker"
        );
    }
    Ok(())
}

/// Gives back the deliveries and replies of a process that works on none of them any more.
pub(super) async fn give_back(db: &Database, instance: &InstanceId) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let given = (deliveries::give_back(&mut tx, instance).await?, outbox::give_back(&mut tx, instance, SETTLE).await?);
    tx.commit().await?;
    tell(given);
    Ok(())
}

/// The same for every process that ended, or that was not heard of for too long.
async fn give_back_stale(db: &Database, stale_after: Duration) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let deliveries = deliveries::give_back_stale(&mut tx, stale_after).await?;
    let given = (deliveries, outbox::give_back_stale(&mut tx, stale_after, SETTLE).await?);
    tx.commit().await?;
    tell(given);
    Ok(())
}

fn tell((deliveries, replies): (u64, u64)) {
    if deliveries + replies > 0 {
        tracing::warn!(deliveries, replies, "what an ended process had begun is taken up by others");
    }
}

pub(super) async fn stop_postgres(postgres: Option<PrivatePostgres>) {
    if let Some(postgres) = postgres
        && let Err(error) = postgres.stop().await
    {
        tracing::warn!(error = %error, "the private PostgreSQL was not stopped");
    }
}

/// How to reach the database: the configured one, else the private one, which is started.
pub(super) async fn database_settings(config: &Config) -> Result<(DatabaseSettings, Option<PrivatePostgres>), Refusal> {
    if let Some(url) = &config.database_url {
        let mut settings = DatabaseSettings::new(url.expose_secret());
        settings.direct_url.clone_from(&config.database_direct_url);
        return Ok((settings, None));
    }
    let postgres = PrivatePostgres::start(&config.data_dir).await.map_err(Refusal::usage)?;
    Ok((postgres.settings(), Some(postgres)))
}

/// The Docker sandbox, if `spec` needs it, with image and network checked. Creates nothing that
/// stays.
pub(super) async fn docker(config: &Config, spec: &JobSpec) -> Result<Option<Arc<dyn Sandbox>>, Refusal> {
    if spec.sandbox == SandboxKind::Process {
        return Ok(None);
    }
    let sandbox = docker_for_any(config)?;
    let nobody = (JobId(0), Epoch(0), instance::checking());
    let probe = spec.probe_spec(nobody, PathBuf::new(), Duration::ZERO);
    sandbox.check(&probe).await.map_err(Refusal::usage)?;
    Ok(Some(Arc::new(sandbox)))
}

/// The Docker sandbox, which need not answer now; each job checks what it needs.
pub(super) fn docker_for_any(config: &Config) -> Result<DockerSandbox, Refusal> {
    let sandbox = DockerSandbox::connect(DockerConfig {
        runner_image: config.runner_image.clone(),
        runtime: config.runtime.clone(),
        registries: config.registries.clone(),
        owner: owner(config),
        ..DockerConfig::default()
    });
    sandbox.map_err(Refusal::usage)
}

/// Whose containers these are: the database's, so that instances that share it can sweep for one
/// another, and two bots on one Docker Engine cannot.
fn owner(config: &Config) -> String {
    let Some(url) = &config.database_url else { return affinity(&config.data_dir) };
    let url = url.expose_secret();
    let place = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let place = place.split_once('?').map_or(place, |(place, _)| place);
    place.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect()
}
