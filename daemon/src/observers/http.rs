//! The HTTP client of the observers: one request, a time limit, a small answer. HTTP/1.1 and TLS as everywhere here.

use super::LIMIT;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

/// More than a few words is not read.
const ANSWER: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    pub(super) fn new() -> Result<Self, String> {
        let roots = HttpsConnectorBuilder::new().with_native_roots();
        let connector = roots.map_err(|error| format!("the system's certificates cannot be read: {error}"))?;
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    pub(super) async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let answered = async {
            let answer = self.0.request(request.map(Full::new)).await.map_err(|error| causes(&error))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER).collect().await.map_err(|error| error.to_string())?;
            Ok(http::Response::from_parts(parts, body.to_bytes()))
        };
        timeout(LIMIT, answered).await.unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs())))
    }
}

#[async_trait::async_trait]
impl opentelemetry_http::HttpClient for Http {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, opentelemetry_http::HttpError> {
        Ok(self.send(request).await?)
    }
}

/// An error with what caused it: the outermost says little.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
