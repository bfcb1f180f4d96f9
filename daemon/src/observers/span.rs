//! The spans of a job's trace, made from what is recorded of it. Pure.
//!
//! Several servers may have worked on one job, and one of them may be dead: so the trace is made at the job's end, from
//! the rows, by whoever ended it, and has all of it. The numbers of trace and spans are made from the job's, so that a
//! reply, which is written later and maybe by another server, is in the same trace without anybody having passed it on.

use super::ended::Ended;
use crate::{
    db::{job_events::JobEventKind, jobs::JobRow, probes::ProbeRow},
    mask::mask,
};
use bisect_shared::{Ending, JobStatus, ResultKind};
use chrono::{DateTime, Utc};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use sha2::{Digest, Sha256};
use std::time::SystemTime;

/// Who the spans of one job belong to.
struct Trace {
    id: TraceId,
    root: SpanId,
    seed: String,
}

impl Trace {
    fn of(job: &JobRow) -> Self {
        // The time tells jobs of one number in two databases apart.
        let seed = format!("bisectd job {} {}", job.id, job.created_at.timestamp_micros());
        let id = hash::<16>(&seed);
        Self { id: TraceId::from_bytes(id), root: SpanId::from_bytes(hash(&format!("{seed} root"))), seed }
    }

    fn span(&self, name: &'static str, which: &str, (start, end): (SystemTime, SystemTime)) -> SpanData {
        let id = SpanId::from_bytes(hash(&format!("{} {name} {which}", self.seed)));
        self.data(name, id, self.root, (start, end))
    }

    fn data(&self, name: &'static str, id: SpanId, parent: SpanId, (start, end): (SystemTime, SystemTime)) -> SpanData {
        SpanData {
            span_context: SpanContext::new(self.id, id, TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: start,
            end_time: end.max(start),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("bisectd")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

fn hash<const N: usize>(text: &str) -> [u8; N] {
    let digest = Sha256::digest(text.as_bytes());
    std::array::from_fn(|at| digest[at])
}

fn time(at: DateTime<Utc>) -> SystemTime {
    at.into()
}

/// A whole job: the job itself, its webhooks, its wait, its runs.
pub(super) fn of_job(ended: &Ended) -> Vec<SpanData> {
    let trace = Trace::of(&ended.job);
    let mut spans = vec![root(&trace, ended)];
    for delivery in &ended.deliveries {
        let end = delivery.processed_at.unwrap_or(delivery.received_at);
        let mut span = trace.span("delivery", &delivery.id, (time(delivery.received_at), time(end)));
        span.span_kind = SpanKind::Server;
        span.attributes = vec![
            KeyValue::new("github.delivery", delivery.id.clone()),
            KeyValue::new("github.event", delivery.event.clone()),
        ];
        spans.push(span);
    }
    if let Some(started) = ended.job.started_at {
        spans.push(trace.span("queue", "", (time(ended.job.created_at), time(started))));
    }
    spans.extend(ended.probes.iter().map(|probe| run(&trace, probe)));
    spans
}

fn root(trace: &Trace, ended: &Ended) -> SpanData {
    let job = &ended.job;
    let asked =
        ended.deliveries.iter().map(|it| it.received_at).min().map_or(job.created_at, |it| it.min(job.created_at));
    let end = job.completed_at.unwrap_or(job.created_at);
    let mut span = trace.data("job", trace.root, SpanId::INVALID, (time(asked), time(end)));
    span.attributes = vec![
        KeyValue::new("job.id", job.id.0),
        KeyValue::new("job.status", job.status.name()),
        KeyValue::new("job.result", job.result.map_or("none", ResultKind::name)),
        KeyValue::new("job.attempts", i64::from(job.attempts)),
        KeyValue::new("repository", mask(&ended.place).into_owned()),
        KeyValue::new("commit.good", job.good.to_string()),
        KeyValue::new("commit.bad", job.bad.to_string()),
    ];
    span.attributes.extend(job.culprit.map(|culprit| KeyValue::new("commit.culprit", culprit.to_string())));
    if job.status == JobStatus::Failed {
        let why = job.error.as_deref().unwrap_or("for want of infrastructure");
        span.status = Status::error(mask(why).into_owned());
    }
    let moves =
        |kind: JobEventKind| matches!(kind, JobEventKind::Claimed | JobEventKind::Released | JobEventKind::Reclaimed);
    for event in ended.events.iter().filter(|event| moves(event.kind)) {
        let worker = event.worker.as_ref().map(|it| KeyValue::new("worker.id", it.0.clone()));
        let attributes = std::iter::once(KeyValue::new("job.epoch", event.epoch.0)).chain(worker).collect();
        span.events.events.push(Event::new(event.kind.name(), time(event.at), attributes, 0));
    }
    span
}

fn run(trace: &Trace, probe: &ProbeRow) -> SpanData {
    let end = probe.finished_at.unwrap_or(probe.started_at);
    let mut span = trace.span("probe", &probe.id.to_string(), (time(probe.started_at), time(end)));
    span.attributes = vec![
        KeyValue::new("probe.id", probe.id.0),
        KeyValue::new("probe.commit", probe.commit.to_string()),
        KeyValue::new("probe.purpose", probe.purpose.name()),
        KeyValue::new("probe.lane", i64::from(probe.lane)),
        KeyValue::new("probe.cached", probe.cached),
        KeyValue::new("job.epoch", probe.epoch.0),
        KeyValue::new("probe.verdict", probe.verdict.map_or("none", bisect_shared::Verdict::name)),
    ];
    if let crate::db::probes::ProbeState::Ended(ending) = probe.state {
        span.attributes.push(KeyValue::new("probe.ending", ending.name()));
        if let Ending::Exited(code) | Ending::SetupFailed(code) = ending {
            span.attributes.push(KeyValue::new("probe.exit_code", i64::from(code)));
        }
    }
    span
}

/// A reply that was written on GitHub.
pub(super) fn of_reply(job: &JobRow, kind: &'static str, (began, ended): (SystemTime, SystemTime)) -> SpanData {
    let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut span = Trace::of(job).span("reply", &since.as_nanos().to_string(), (began, ended));
    span.span_kind = SpanKind::Client;
    span.attributes = vec![KeyValue::new("reply.kind", kind)];
    span
}
