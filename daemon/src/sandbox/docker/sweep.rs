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
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// How long removed containers may take to be gone.
const GOING: Duration = Duration::from_secs(60);

/// What the engine calls something, and its labels.
type Labelled = (String, HashMap<String, String>);

/// Removes what earlier claims of a job left.
pub(super) async fn job(engine: &Engine, job: JobId, below: Epoch) -> Result<(), SandboxError> {
    let job = job.to_string();
    let wanted = [(labels::OWNER, engine.config.owner.as_str()), (labels::JOB, &job)];
    remove(engine, &wanted, |labels| {
        let epoch = labels.get(labels::EPOCH).and_then(|epoch| epoch.parse().ok());
        epoch.is_some_and(|epoch: i64| epoch < below.0)
    })
    .await
}

/// Removes what belongs to these instances.
pub(super) async fn instances(engine: &Engine, dead: &[InstanceId]) -> Result<(), SandboxError> {
    let wanted = [(labels::OWNER, engine.config.owner.as_str())];
    remove(engine, &wanted, |labels| instance(labels).is_some_and(|id| dead.contains(&id))).await
}

/// The instances to which any container or volume belongs.
pub(super) async fn present(engine: &Engine) -> Result<Vec<InstanceId>, SandboxError> {
    let wanted = [(labels::OWNER, engine.config.owner.as_str())];
    let containers = labels_of_containers(engine, &wanted).await?.into_iter().map(|(_, labels)| labels);
    let volumes = labels_of_volumes(engine, &wanted).await?.into_iter().map(|(_, labels)| labels);
    let seen: BTreeSet<String> = containers.chain(volumes).filter_map(|labels| Some(instance(&labels)?.0)).collect();
    Ok(seen.into_iter().map(InstanceId).collect())
}

fn instance(labels: &HashMap<String, String>) -> Option<InstanceId> {
    labels.get(labels::INSTANCE).cloned().map(InstanceId)
}

/// Removes a lane's containers: what it wrote is the checkout container's to remove.
pub(super) async fn lane(engine: &Engine, lane: &str) -> Result<(), SandboxError> {
    remove_containers(engine, &[(labels::LANE, lane)], |_| true).await
}

/// Removes a workshop with all its lanes.
pub(super) async fn workshop(engine: &Engine, workshop: &str) -> Result<(), SandboxError> {
    remove(engine, &[(labels::WORKSHOP, workshop)], |_| true).await
}

async fn remove(
    engine: &Engine,
    wanted: &[(&str, &str)],
    doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<(), SandboxError> {
    remove_containers(engine, wanted, &doomed).await?;
    let volumes = volumes(engine, wanted, &doomed).await?;
    let removals = volumes.iter().map(|name| engine.remove_volume(name));
    try_join_all(removals).await.map(drop)
}

async fn remove_containers(
    engine: &Engine,
    wanted: &[(&str, &str)],
    doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<(), SandboxError> {
    let started = Instant::now();
    loop {
        let containers = containers(engine, wanted, &doomed).await?;
        if containers.is_empty() {
            return Ok(());
        }
        if started.elapsed() > GOING {
            let reason = format!("{} of them do not go", containers.len());
            return Err(engine::failed("removing containers", reason));
        }
        let removals = containers.iter().map(|id| engine.remove_container(id));
        try_join_all(removals).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn containers(
    engine: &Engine,
    wanted: &[(&str, &str)],
    doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<Vec<String>, SandboxError> {
    let found = labels_of_containers(engine, wanted).await?;
    Ok(found.into_iter().filter(|(_, labels)| doomed(labels)).map(|(id, _)| id).collect())
}

async fn volumes(
    engine: &Engine,
    wanted: &[(&str, &str)],
    doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<Vec<String>, SandboxError> {
    let found = labels_of_volumes(engine, wanted).await?;
    Ok(found.into_iter().filter(|(_, labels)| doomed(labels)).map(|(name, _)| name).collect())
}

/// Containers with their labels, by id.
async fn labels_of_containers(engine: &Engine, wanted: &[(&str, &str)]) -> Result<Vec<Labelled>, SandboxError> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(&labels::filter(wanted)).build();
    let list = engine.docker.list_containers(Some(options));
    let found = engine.call("listing containers", list).await?;
    Ok(found.into_iter().filter_map(|container| Some((container.id?, container.labels.unwrap_or_default()))).collect())
}

/// Volumes with their labels, by name.
async fn labels_of_volumes(engine: &Engine, wanted: &[(&str, &str)]) -> Result<Vec<Labelled>, SandboxError> {
    let options = ListVolumesOptionsBuilder::new().filters(&labels::filter(wanted)).build();
    let list = engine.docker.list_volumes(Some(options));
    let found = engine.call("listing volumes", list).await?;
    let volumes = found.volumes.unwrap_or_default();
    Ok(volumes.into_iter().map(|volume| (volume.name, volume.labels)).collect())
}
