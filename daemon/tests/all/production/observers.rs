//! Sentry, a collector of OpenTelemetry and a mail server, each a small one of the test's own.

use super::mailbox::Mailbox;
use crate::support::{Hub, Project, Service, World, eventually};
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::Uri};
use bisect_shared::{JobId, JobStatus};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, status::StatusCode},
};
use prost::Message;
use sqlx::Executor;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

/// One request: where to, with what, and what.
type Request = (String, HeaderMap, Bytes);

/// Takes whatever is posted.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Request>>>);

impl Collector {
    /// Its address.
    async fn start(&self) -> String {
        let take = async |State(all): State<Self>, uri: Uri, headers: HeaderMap, body: Bytes| {
            all.0.lock().unwrap().push((uri.path().to_owned(), headers, body));
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address.to_string()
    }

    fn all(&self) -> Vec<Request> {
        self.0.lock().unwrap().clone()
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for (path, headers, body) in self.all() {
            assert_eq!(
                (path.as_str(), &headers["content-type"]),
                ("/v1/traces", &"application/x-protobuf".parse().unwrap())
            );
            assert_eq!(headers["x-team"], "bots of ours");
            for resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
                let of = resource.resource.unwrap().attributes;
                assert!(of.iter().any(|it| it.key == "service.name"), "{of:?}");
                spans.extend(resource.scope_spans.into_iter().flat_map(|it| it.spans));
            }
        }
        spans
    }

    /// What was posted, as text.
    fn text(&self) -> String {
        self.all().iter().map(|(_, _, body)| String::from_utf8_lossy(body).into_owned()).collect()
    }
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|it| it.key == name)?.value.as_ref()?.value.as_ref()
}

#[tokio::test]
async fn a_job_is_one_trace_from_its_webhook_to_its_reply() {
    let collector = Collector::default();
    let address = collector.start().await;
    let hub = Hub::new(Project::linear(5), &[]).await;
    let program = hub
        .program("one")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}/"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=bots%20of%20ours");
    let service = hub.serve_program(program).await;
    let issue = hub.issue();
    let job = hub.job("ada", issue, "/bisect c0 main test \"$(cat n)\" -lt 3").await;
    let proven = async || hub.status(issue, job.id).contains("Culprit found and proven").then_some(());
    eventually("the answer is told", proven).await;
    let probes = hub.world.probes(job.id).await;
    hub.end(service).await.ends_clean().await;

    let spans = collector.spans();
    let traces: BTreeSet<&[u8]> = spans.iter().map(|it| it.trace_id.as_slice()).collect();
    assert_eq!(traces.len(), 1, "one trace");
    let named = |name: &str| spans.iter().filter(|it| it.name == name).collect::<Vec<_>>();
    let [root] = named("job")[..] else { panic!("one root: {spans:?}") };
    assert!(
        root.parent_span_id.is_empty() && spans.iter().all(|it| it.name == "job" || it.parent_span_id == root.span_id)
    );
    assert_eq!(attribute(root, "job.result"), Some(&Value::StringValue("culprit".to_owned())));
    assert!(root.events.iter().any(|it| it.name == "claimed"), "{root:?}");
    assert_eq!((named("delivery").len(), named("queue").len()), (1, 1));
    assert_eq!(named("probe").len(), probes.len());
    assert!(named("probe").iter().all(|it| attribute(it, "probe.verdict").is_some()));
    // At least: the end. Reactions and progress may come besides.
    assert!(!named("reply").is_empty());
    let ids: BTreeSet<&[u8]> = spans.iter().map(|it| it.span_id.as_slice()).collect();
    assert_eq!(ids.len(), spans.len(), "each span has a number of its own");
    assert!(root.start_time_unix_nano <= named("delivery")[0].start_time_unix_nano);
    assert!(spans.iter().all(|it| it.start_time_unix_nano <= it.end_time_unix_nano));
}

/// A job whose repository cannot be fetched, by an address with a token in it.
async fn hopeless(world: &World) -> JobId {
    let job = world.enqueue("true").await;
    let address = "https://x-access-token:ghs_abcdef0123456789@127.0.0.1:1/octo/calc";
    let sql = "UPDATE bisect_jobs SET source = $1, spec = jsonb_set(spec, '{source}', to_jsonb($1::text))";
    world.db.raw().await.execute(sqlx::query(sql).bind(address)).await.unwrap();
    job
}

async fn has_failed(world: &World) {
    let failed = async || (world.job().await.status == JobStatus::Failed).then_some(());
    eventually("the job fails", failed).await;
}

#[tokio::test]
async fn a_job_that_fails_is_told_to_sentry_and_by_mail_without_its_secrets() {
    let (reports, traces, mails) = (Collector::default(), Collector::default(), Mailbox::default());
    let (sentry, otlp, smtp) = (reports.start().await, traces.start().await, mails.start().await);
    let world = World::new(Project::linear(3)).await;
    hopeless(&world).await;
    let program = world
        .serve("one")
        .env("SANDBOX_PATIENCE_SECONDS", "0.5")
        .env("BASE_URL", "https://bisect.example.com")
        .env("SENTRY_DSN", format!("http://public@{sentry}/42"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{otlp}"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=bots%20of%20ours")
        .env("SMTP_URL", format!("smtp://{smtp}"))
        .env("MAIL_TO", "Ada <ada@example.com>, ops@example.com")
        .env("MAIL_FROM", "bot@example.com");
    let service = Service::start(program).await;
    has_failed(&world).await;
    // What was not told by then is told now.
    service.stop().await;

    let [mail] = &mails.all()[..] else { panic!("one mail: {:?}", mails.all()) };
    let lines = ["MAIL FROM:<bot@example.com>", "RCPT TO:<ada@example.com>", "RCPT TO:<ops@example.com>"];
    assert!(lines.iter().all(|line| mail.contains(line)), "{mail}");
    assert!(
        mail.contains("Auto-Submitted: auto-generated") && mail.contains("https://bisect.example.com/jobs/1"),
        "{mail}"
    );
    assert!(mail.contains("Job 1 of https://[secret]@127.0.0.1:1/octo/calc failed"), "{mail}");

    let told = reports.all();
    let events: Vec<_> =
        told.iter().filter(|(_, _, body)| String::from_utf8_lossy(body).contains("a job failed for want")).collect();
    let [(path, headers, body)] = &events[..] else { panic!("one report: {}", reports.text()) };
    assert_eq!(path, "/api/42/envelope/");
    assert!(headers["x-sentry-auth"].to_str().unwrap().contains("sentry_key=public"));
    let event: serde_json::Value = serde_json::from_str(String::from_utf8_lossy(body).lines().nth(2).unwrap()).unwrap();
    assert_eq!(
        (&event["message"], &event["tags"]["job.id"]),
        (&"a job failed for want of infrastructure".into(), &"1".into()),
        "{event}"
    );
    assert!(!event["breadcrumbs"].as_object().unwrap().is_empty(), "{event}");

    let spans = traces.spans();
    let root = spans.iter().find(|it| it.name == "job").unwrap();
    assert_eq!(root.status.as_ref().unwrap().code(), StatusCode::Error);
    for text in [mail.clone(), reports.text(), traces.text()] {
        assert!(!text.contains("ghs_abcdef0123456789"), "{text}");
    }
}

#[tokio::test]
async fn services_that_hang_neither_hold_a_job_up_nor_the_end() {
    // Connections are taken, and nothing is ever answered.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = listener.local_addr().unwrap();
    let world = World::new(Project::linear(3)).await;
    world.enqueue("test \"$(cat n)\" -lt 2").await;
    let program = world
        .serve("one")
        .env("SENTRY_DSN", format!("http://public@{hangs}/42"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{hangs}"))
        .env("SMTP_URL", format!("smtp://{hangs}"))
        .env("MAIL_TO", "ada@example.com")
        .env("MAIL_ON", "results");
    let service = Service::start(program).await;
    let done = async || (world.job().await.status == JobStatus::Completed).then_some(());
    eventually("the job ends", done).await;
    let ran = service.stop().await;
    assert!(ran.stderr.contains("not everything could be told"), "{}", ran.stderr);
    assert_eq!(world.job().await.status, JobStatus::Completed);
}

#[tokio::test]
async fn a_wrong_value_is_refused_at_start_and_by_doctor() {
    let world = World::new(Project::linear(2)).await;
    let program = || world.serve("one").env("SMTP_URL", "smtp://ada:hush@mail.example.com");
    let ran = program().run().await.expect(2);
    assert!(ran.stderr.contains("MAIL_TO is not set") && !ran.stderr.contains("hush"), "{}", ran.stderr);
    let mails = Mailbox::default();
    let smtp = mails.start().await;
    let doctor = world
        .configured(crate::support::Program::new(world.path("").as_path()))
        .args(["doctor"])
        .env("DATA_DIR", world.path("one"))
        .env("SENTRY_DSN", "http://public@127.0.0.1:1/42")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
        .env("SMTP_URL", format!("smtp://{smtp}"))
        .env("MAIL_TO", "ada@example.com");
    let ran = doctor.run().await;
    for line in [
        "warn  Sentry        SENTRY_DSN: 127.0.0.1:1:",
        "warn  traces        OTEL_EXPORTER_OTLP_ENDPOINT: port 4317",
        "ok    mail",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    assert_eq!(mails.all(), Vec::<String>::new(), "doctor sends nothing");
}
