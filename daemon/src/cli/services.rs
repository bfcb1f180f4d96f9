//! What a command needs running: database, queue, sandboxes. Started in one place, stopped in one.

use super::{
    Refusal,
    instance::{Instance, affinity},
    request::unwritable,
};
use crate::{
    config::Config,
    db::{
        Database, DatabaseSettings,
        migrations::{self, SchemaState},
        private::PrivatePostgres,
    },
    queue::Queue,
    runner::{
        Runner, Sandboxes,
        mirror::Mirrors,
        spec::{JobSpec, SandboxKind},
    },
    sandbox::{
        Sandbox,
        docker::{DockerConfig, DockerSandbox},
        process::ProcessSandbox,
    },
};
use bisect_shared::{Epoch, InstanceId, JobId};
use secrecy::ExposeSecret;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// The services of one process.
pub(super) struct Services {
    pub(super) runner: Runner,
    postgres: Option<PrivatePostgres>,
}

impl Services {
    /// Opens the database, and makes a runner on it.
    pub(super) async fn start(
        config: &Config,
        instance: &Instance,
        docker: Option<Arc<dyn Sandbox>>,
    ) -> Result<Self, Refusal> {
        let (settings, postgres) = database_settings(config).await?;
        let started = Self::on(config, instance, docker, &settings, postgres.is_some()).await;
        match started {
            Ok(runner) => Ok(Self { runner, postgres }),
            Err(refusal) => {
                stop_postgres(postgres).await;
                Err(refusal)
            }
        }
    }

    async fn on(
        config: &Config,
        instance: &Instance,
        docker: Option<Arc<dyn Sandbox>>,
        settings: &DatabaseSettings,
        private: bool,
    ) -> Result<Runner, Refusal> {
        if private {
            // Nobody else keeps this database: bringing it up is ours to do.
            migrations::up(settings, None).await.map_err(Refusal::usage)?;
        }
        let db = Database::connect(settings).await.map_err(Refusal::usage)?;
        match migrations::check_schema(&db).await.map_err(Refusal::usage)? {
            SchemaState::Current => {}
            other => return Err(Refusal::usage(other)),
        }
        Ok(Runner {
            queue: Queue::new(db.clone(), instance.id.clone(), config.clocks, affinity(&config.data_dir)),
            db,
            clocks: config.clocks,
            instance: instance.id.clone(),
            mirrors: Mirrors::open(&config.data_dir).map_err(|error| unwritable(&config.data_dir, &error))?,
            sandboxes: Sandboxes { docker, process: Arc::new(ProcessSandbox::new(&config.data_dir)) },
            slots: Arc::new(Semaphore::new(config.max_concurrent_probes as usize)),
        })
    }

    /// Stops what this process started. The private PostgreSQL stays up while another process uses it.
    pub(super) async fn stop(self) {
        drop(self.runner);
        stop_postgres(self.postgres).await;
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
        let direct_url = config.database_direct_url.clone();
        return Ok((DatabaseSettings { direct_url, ..DatabaseSettings::new(url.expose_secret()) }, None));
    }
    let postgres = PrivatePostgres::start(&config.data_dir).await.map_err(Refusal::usage)?;
    Ok((DatabaseSettings::new(postgres.url()), Some(postgres)))
}

/// The Docker sandbox, if `spec` needs it, with image and network checked. Creates nothing that
/// stays.
pub(super) async fn docker(config: &Config, spec: &JobSpec) -> Result<Option<Arc<dyn Sandbox>>, Refusal> {
    if spec.sandbox == SandboxKind::Process {
        return Ok(None);
    }
    let sandbox = DockerSandbox::connect(DockerConfig {
        runner_image: config.runner_image.clone(),
        runtime: config.runtime.clone(),
        owner: owner(config),
        ..DockerConfig::default()
    });
    let sandbox = sandbox.map_err(Refusal::usage)?;
    let nobody = (JobId(0), Epoch(0), InstanceId(String::from("check")));
    let probe = spec.probe_spec(nobody, PathBuf::new(), Duration::ZERO);
    sandbox.check(&probe).await.map_err(Refusal::usage)?;
    Ok(Some(Arc::new(sandbox)))
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
