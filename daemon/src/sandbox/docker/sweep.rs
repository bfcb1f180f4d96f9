//! Removal by label: containers first, then the volumes that they held.
//!
//! Safe to repeat and to run beside containers that are just removing themselves.

use super::{
    engine::{self, Engine},
    labels,
};
use crate::sandbox::SandboxError;
use bisect_shared::{Epoch, InstanceId, JobId};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder};
use futures::future::try_join_all;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How long removed containers may take to be gone.
const GOING: Duration = Duration::from_secs(60);

/// Removes what earlier claims of a job left.
pub(super) async fn job(engine: &Engine, job: JobId, below: Epoch) -> Result<(), SandboxError> {
    let job = job.to_string();
    let wanted = [
        (labels::OWNER, engine.config.owner.as_str()),
        (labels::JOB, &job),
    ];
    remove(engine, &wanted, |labels| {
        let epoch = labels
            .get(labels::EPOCH)
            .and_then(|epoch| epoch.parse().ok());
        epoch.is_some_and(|epoch: i64| epoch < below.0)
    })
    .await
}

/// Removes what one instance left.
pub(super) async fn instance(engine: &Engine, instance: &InstanceId) -> Result<(), SandboxError> {
    let wanted = [(labels::OWNER, engine.config.owner.as_str()), (labels::INSTANCE, &instance.0)];
    remove(engine, &wanted, |_| true).await
}

/// Removes what belongs to no instance that is alive.
pub(super) async fn dead_instances(
    engine: &Engine,
    alive: &[InstanceId],
) -> Result<(), SandboxError> {
    let wanted = [(labels::OWNER, engine.config.owner.as_str())];
    remove(engine, &wanted, |labels| {
        let instance = labels.get(labels::INSTANCE);
        !alive.iter().any(|alive| Some(&alive.0) == instance)
    })
    .await
}

/// Removes one lane.
pub(super) async fn lane(engine: &Engine, lane: &str) -> Result<(), SandboxError> {
    remove(engine, &[(labels::LANE, lane)], |_| true).await
}

async fn remove(
    engine: &Engine,
    wanted: &[(&str, &str)],
    doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<(), SandboxError> {
    let started = Instant::now();
    loop {
        let containers = containers(engine, wanted, &doomed).await?;
        if containers.is_empty() {
            break;
        }
        if started.elapsed() > GOING {
            let reason = format!("{} of them do not go", containers.len());
            return Err(engine::failed("removing containers", reason));
        }
        let removals = containers.iter().map(|id| engine.remove_container(id));
        try_join_all(removals).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let volumes = volumes(engine, wanted, &doomed).await?;
    let removals = volumes.iter().map(|name| engine.remove_volume(name));
    try_join_all(removals).await.map(drop)
}

async fn containers(
    engine: &Engine,
    wanted: &[(&str, &str)],
    doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<Vec<String>, SandboxError> {
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&labels::filter(wanted))
        .build();
    let list = engine.docker.list_containers(Some(options));
    let found = engine.call("listing containers", list).await?;
    Ok(found
        .into_iter()
        .filter(|container| doomed(container.labels.as_ref().unwrap_or(&HashMap::new())))
        .filter_map(|container| container.id)
        .collect())
}

async fn volumes(
    engine: &Engine,
    wanted: &[(&str, &str)],
    doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<Vec<String>, SandboxError> {
    let options = ListVolumesOptionsBuilder::new()
        .filters(&labels::filter(wanted))
        .build();
    let list = engine.docker.list_volumes(Some(options));
    let found = engine.call("listing volumes", list).await?;
    Ok(found
        .volumes
        .unwrap_or_default()
        .into_iter()
        .filter(|volume| doomed(&volume.labels))
        .map(|volume| volume.name)
        .collect())
}
