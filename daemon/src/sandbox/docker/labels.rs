//! Names and labels: by them, whatever dies, its containers and volumes are found again.

use crate::sandbox::ProbeSpec;
use bisect_shared::{Epoch, InstanceId, JobId};
use std::collections::HashMap;

pub(super) const OWNER: &str = "bisectd.owner";
pub(super) const JOB: &str = "bisectd.job";
pub(super) const EPOCH: &str = "bisectd.epoch";
pub(super) const INSTANCE: &str = "bisectd.instance";
/// One job's on this engine, under one claim: its volume, its checkout container, its test containers.
pub(super) const WORKSHOP: &str = "bisectd.workshop";
/// The test containers of one lane.
pub(super) const LANE: &str = "bisectd.lane";

/// What a container or a volume is labelled with.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    owner: String,
    job: JobId,
    epoch: Epoch,
    instance: InstanceId,
    /// Unlike any other workshop's, also of the same job.
    pub(super) workshop: String,
    /// Unlike any other lane's, of any job; `None` for what all lanes of the workshop share.
    pub(super) lane: Option<String>,
}

impl Labels {
    pub(super) fn new(owner: &str, spec: &ProbeSpec) -> Self {
        let random: u32 = rand::random();
        Self {
            owner: owner.to_owned(),
            job: spec.job,
            epoch: spec.epoch,
            instance: spec.instance.clone(),
            workshop: format!("bisectd-{}-{}-{random:08x}", spec.job, spec.epoch),
            lane: None,
        }
    }

    /// For what only the lane with this number and this user has.
    pub(super) fn of_lane(&self, number: u32, uid: u32) -> Self {
        Self { lane: Some(format!("{}-{number}-{uid:x}", self.workshop)), ..self.clone() }
    }

    pub(super) fn map(&self) -> HashMap<String, String> {
        let labels = [
            (OWNER, self.owner.clone()),
            (JOB, self.job.to_string()),
            (EPOCH, self.epoch.to_string()),
            (INSTANCE, self.instance.to_string()),
            (WORKSHOP, self.workshop.clone()),
        ];
        let lane = self.lane.clone().map(|lane| (LANE, lane));
        labels.into_iter().chain(lane).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// A name for one more container or volume.
    pub(super) fn name(&self, part: &str) -> String {
        let random: u32 = rand::random();
        format!("{}-{part}-{random:08x}", self.lane.as_ref().unwrap_or(&self.workshop))
    }
}

/// A filter for the engine's lists and events: everything that carries all of `labels`.
pub(super) fn filter(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let wanted = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    HashMap::from([("label".to_owned(), wanted)])
}
