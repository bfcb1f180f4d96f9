//! Jobs, instances and output, made up.

use base64::{Engine, engine::general_purpose::STANDARD};
use bisect_shared::{
    Epoch, InstanceId, JobId, JobStatus, ProbeId,
    admin::{InstanceView, JobDetail, JobView, LogPiece},
};
use chrono::{DateTime, Utc};

pub fn job(id: i64, status: JobStatus) -> JobView {
    JobView {
        id: JobId(id),
        status,
        result: None,
        repository: format!("owner/repo{id}"),
        private: false,
        issue: Some(7),
        requested_by: Some("ada".to_owned()),
        retry_of: None,
        candidates_left: Some(12),
        candidates: Some(100),
        probes_done: 3,
        probes_running: 1,
        expected_probes: Some(4),
        seconds_per_probe: Some(2.5),
        lanes: 1,
        culprit: None,
        error: None,
        worker: Some(InstanceId("bot/1".to_owned())),
        heartbeat_at: None,
        attempt: 0,
        epoch: Epoch(1),
        seq: 1,
        cancel_requested_by: None,
        created_at: DateTime::UNIX_EPOCH,
        started_at: Some(DateTime::UNIX_EPOCH),
        completed_at: None,
    }
}

pub fn detail(job: JobView) -> JobDetail {
    JobDetail {
        job,
        good: Vec::new(),
        bad: "00ff10aa00ff10aa00ff10aa00ff10aa00ff10aa".parse().unwrap(),
        command: vec!["true".to_owned()],
        setup: None,
        image: None,
        options: Vec::new(),
        timeout_seconds: None,
        max_seconds: None,
        probes: Vec::new(),
        history: Vec::new(),
        strip: None,
        report: None,
        links: Vec::new(),
    }
}

pub fn instance(id: &str) -> InstanceView {
    InstanceView {
        id: InstanceId(id.to_owned()),
        host: "bot".to_owned(),
        version: "0.1.0".to_owned(),
        max_jobs: 4,
        max_probes: Some(2),
        running_jobs: 1,
        running_probes: 1,
        started_at: DateTime::UNIX_EPOCH,
        heartbeat_at: Utc::now(),
        stale: false,
        drain_requested_by: None,
        retired_at: None,
        docker: Some(true),
        this: true,
    }
}

pub fn piece(probe: i64, seq: i64) -> LogPiece {
    let text = format!("run {probe}, piece {seq}: {}\n", "x".repeat(40));
    LogPiece { probe: ProbeId(probe), seq, at: DateTime::UNIX_EPOCH, bytes: STANDARD.encode(text) }
}
