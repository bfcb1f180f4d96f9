//! Traces to a collector of OpenTelemetry: OTLP as protobuf over HTTP, encoded by OpenTelemetry's own exporter.

use super::{
    LIMIT,
    ended::Ended,
    http::Http,
    span::{of_job, of_reply},
};
use crate::{
    config::TraceSettings,
    db::{Database, jobs},
};
use bisect_shared::{InstanceId, JobId};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SpanExporter};
use secrecy::ExposeSecret;
use std::{sync::Arc, time::SystemTime};
use tokio::time::timeout;

/// What there is to tell.
pub(super) enum Told {
    /// A job ended.
    Job(Arc<Ended>),
    /// A reply was written.
    Reply { job: JobId, kind: &'static str, began: SystemTime, ended: SystemTime },
}

#[derive(Clone)]
pub(super) struct Traces {
    exporter: Arc<Otlp>,
    db: Database,
}

impl Traces {
    pub(super) fn new(settings: &TraceSettings, instance: &InstanceId, db: Database) -> Result<Self, String> {
        let plain = |(name, value): &(String, secrecy::SecretString)| (name.clone(), value.expose_secret().to_owned());
        let built = Otlp::builder()
            .with_http()
            .with_http_client(Http::new()?)
            .with_endpoint(settings.address.clone())
            .with_headers(settings.headers.iter().map(plain).collect())
            .with_timeout(LIMIT)
            .build();
        let mut exporter = built.map_err(|error| format!("traces cannot be sent: {error}"))?;
        let resource = Resource::builder()
            .with_service_name("bisectd")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance.0.clone()))
            .build();
        exporter.set_resource(&resource);
        Ok(Self { exporter: Arc::new(exporter), db })
    }

    pub(super) async fn tell(self, told: Told) -> Result<(), String> {
        let spans = match told {
            Told::Job(ended) => of_job(&ended),
            Told::Reply { job, kind, began, ended } => {
                let found = async {
                    let mut tx = self.db.begin().await?;
                    let job = jobs::find(&mut tx, job).await?;
                    tx.commit().await?;
                    Ok::<_, crate::db::DbError>(job)
                };
                match found.await {
                    Ok(Some(job)) => vec![of_reply(&job, kind, (began, ended))],
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        let sent = timeout(LIMIT, self.exporter.export(spans)).await;
        sent.map_err(|_| format!("no answer within {} s", LIMIT.as_secs()))?.map_err(|error| error.to_string())
    }
}
