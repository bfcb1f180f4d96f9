//! `GET /metrics`: what happened in this process, and the queues as the database sees them.

use super::address::Limited;
use crate::{
    changes::Changes,
    db::{Database, DbError, overview},
};
use ::metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use ::metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rocket::{State, http::ContentType};
use std::{sync::atomic::Ordering, time::Duration};

const WEBHOOK_BUCKETS: [f64; 9] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
const LONG_BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 7200.0];

/// The longest that the database may take to be measured.
const LIMIT: Duration = Duration::from_secs(2);

/// Collects what `metrics::counter!` and its like record anywhere in this process.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Starts collecting; once a process.
    ///
    /// # Errors
    /// When something collects already.
    pub fn start() -> Result<Self, anyhow::Error> {
        let buckets = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(buckets, &LONG_BUCKETS)?
            .set_buckets_for_metric(Matcher::Full("bisectd_webhook_seconds".to_owned()), &WEBHOOK_BUCKETS)?;
        let handle = builder.install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// Bounds what unread measurements hold; to be called now and then.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Every metric has a value from the start, so that a rule about it is never without one.
fn describe() {
    describe_gauge!("bisectd_jobs", "jobs of the whole fleet, by status (pending, running)");
    describe_gauge!("bisectd_jobs_here", "jobs that this instance runs");
    describe_counter!("bisectd_jobs_ended_total", "jobs that ended on this instance, by status and result");
    describe_counter!(
        "bisectd_observers_dropped_total",
        "what Sentry, the collector of traces or the mail server was not told, by service"
    );
    describe_histogram!("bisectd_probe_seconds", "how long the runs of commits took");
    describe_histogram!("bisectd_queue_wait_seconds", "from a job's request to its first claim");
    describe_histogram!("bisectd_webhook_seconds", "from a signed body to its durable row");
    describe_counter!("bisectd_webhooks_total", "webhook deliveries by the HTTP status of the answer");
    describe_gauge!("bisectd_event_streams", "streams of events to browsers that are open here");
    describe_gauge!("bisectd_inbox", "deliveries that wait");
    describe_gauge!("bisectd_inbox_age_seconds", "the age of the oldest delivery that waits");
    describe_gauge!("bisectd_outbox", "replies that wait, progress included");
    describe_gauge!("bisectd_outbox_age_seconds", "how long the oldest answer or result has waited");
    describe_counter!("bisectd_replies_total", "replies by kind and what became of them (sent, again, dropped)");
    describe_counter!("bisectd_redeliveries_total", "webhooks that GitHub was asked to send again");
    describe_counter!("bisectd_github_calls_total", "calls of GitHub by route and HTTP status (none: no answer)");
    describe_histogram!("bisectd_github_seconds", "how long calls of GitHub took, by route");
    describe_gauge!("bisectd_notification_queue_usage", "how full PostgreSQL's notification queue is, 0 to 1");
    describe_gauge!("bisectd_listening", "1 while changes are told, 0 while they are polled for");
    describe_gauge!("bisectd_database_connections", "connections of the pool, by state (idle, used)");
    describe_gauge!("bisectd_database_connections_max", "connections that the pool may have");
    describe_gauge!("bisectd_database_up", "1 when the database answered this scrape");
    describe_gauge!("bisectd_draining", "1 when this instance takes no more jobs");
    for name in ["bisectd_probe_seconds", "bisectd_queue_wait_seconds", "bisectd_webhook_seconds"] {
        let _ = histogram!(name);
    }
    let _ = histogram!("bisectd_github_seconds", "call" => "create_comment");
    for status in ["201", "429", "none"] {
        counter!("bisectd_github_calls_total", "call" => "create_comment", "status" => status).absolute(0);
    }
    for outcome in ["sent", "again", "dropped"] {
        counter!("bisectd_replies_total", "kind" => "status", "outcome" => outcome).absolute(0);
    }
    counter!("bisectd_redeliveries_total").absolute(0);
    counter!("bisectd_jobs_ended_total", "status" => "completed", "result" => "culprit").absolute(0);
    counter!("bisectd_jobs_ended_total", "status" => "failed", "result" => "infrastructure").absolute(0);
    for status in ["200", "202", "401", "503"] {
        counter!("bisectd_webhooks_total", "status" => status).absolute(0);
    }
}

#[rocket::get("/metrics")]
pub(super) async fn metrics(
    _limited: Limited,
    exporter: &State<Exporter>,
    monitor: &State<super::Monitor>,
    changes: &State<Changes>,
    rates: &State<super::Rates>,
) -> (ContentType, String) {
    let measured = tokio::time::timeout(LIMIT, measure(&monitor.db)).await;
    let up = matches!(measured, Ok(Ok(())));
    gauge!("bisectd_database_up").set(f64::from(u8::from(up)));
    let (size, idle) = monitor.db.connections();
    gauge!("bisectd_database_connections", "state" => "idle").set(f64::from(idle));
    gauge!("bisectd_database_connections", "state" => "used").set(f64::from(size.saturating_sub(idle)));
    gauge!("bisectd_database_connections_max").set(f64::from(monitor.db.most_connections()));
    gauge!("bisectd_jobs_here").set(monitor.running.load(Ordering::Acquire) as f64);
    gauge!("bisectd_listening").set(f64::from(u8::from(changes.live())));
    gauge!("bisectd_draining").set(f64::from(u8::from(monitor.drains())));
    (
        ContentType::new("text", "plain").with_params([("version", "0.0.4"), ("charset", "utf-8")]),
        exporter.0.render() + &rates.render(),
    )
}

async fn measure(db: &Database) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let depths = overview::depths(&mut tx).await?;
    tx.commit().await?;
    gauge!("bisectd_jobs", "status" => "pending").set(depths.pending as f64);
    gauge!("bisectd_jobs", "status" => "running").set(depths.running as f64);
    gauge!("bisectd_inbox").set(depths.inbox as f64);
    gauge!("bisectd_inbox_age_seconds").set(depths.inbox_age);
    gauge!("bisectd_outbox").set(depths.outbox as f64);
    gauge!("bisectd_outbox_age_seconds").set(depths.outbox_age);
    gauge!("bisectd_notification_queue_usage").set(depths.notifications);
    Ok(())
}
