//! Names and labels: by them, whatever dies, its containers and volumes are found again.

use crate::sandbox::ProbeSpec;
use bisect_shared::{Epoch, InstanceId, JobId};
use std::collections::HashMap;

pub(super) const OWNER: &str = "bisectd.owner";
pub(super) const JOB: &str = "bisectd.job";
pub(super) const EPOCH: &str = "bisectd.epoch";
pub(super) const INSTANCE: &str = "bisectd.instance";
pub(super) const LANE: &str = "bisectd.lane";

/// What everything of one lane is labelled with.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    owner: String,
    job: JobId,
    epoch: Epoch,
    instance: InstanceId,
    /// Unlike any other lane's, of any job: also the start of its containers' and volumes' names.
    pub(super) lane: String,
}

impl Labels {
    pub(super) fn new(owner: &str, spec: &ProbeSpec, lane: u32) -> Self {
        let random: u32 = rand::random();
        Self {
            owner: owner.to_owned(),
            job: spec.job,
            epoch: spec.epoch,
            instance: spec.instance.clone(),
            lane: format!("bisectd-{}-{}-{lane}-{random:08x}", spec.job, spec.epoch),
        }
    }

    pub(super) fn map(&self) -> HashMap<String, String> {
        let labels = [
            (OWNER, self.owner.clone()),
            (JOB, self.job.to_string()),
            (EPOCH, self.epoch.to_string()),
            (INSTANCE, self.instance.to_string()),
            (LANE, self.lane.clone()),
        ];
        labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// A name for one more container or volume of the lane.
    pub(super) fn name(&self, part: &str) -> String {
        let random: u32 = rand::random();
        format!("{}-{part}-{random:08x}", self.lane)
    }
}

/// A filter for the engine's lists and events: everything that carries all of `labels`.
pub(super) fn filter(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let wanted = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    HashMap::from([("label".to_owned(), wanted)])
}
