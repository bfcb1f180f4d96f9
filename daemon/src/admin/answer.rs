//! How the admin API answers: JSON, and for what was not done a sentence.

use crate::{actions::ActionError, db::DbError};
use axum::{
    Json,
    body::Body,
    extract::{FromRequestParts, Query},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bisect_shared::admin::{API_VERSION, Problem, VERSION_HEADER};
use futures::Stream;
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, time::Duration};

/// The longest that an answer waits for the database.
const LIMIT: Duration = Duration::from_secs(8);

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Fault(StatusCode, String);

impl Fault {
    pub(super) fn unknown(what: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, what.into())
    }

    /// The request cannot be meant; `why` names the parameter.
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }

    pub(super) fn away(why: impl std::fmt::Display) -> Self {
        let text = format!("{why}; running jobs are kept, and this answers again once the database is back");
        Self(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    pub(super) fn method() -> Self {
        Self(StatusCode::METHOD_NOT_ALLOWED, "this route takes another method: GET reads, POST acts".to_owned())
    }
}

impl From<DbError> for Fault {
    fn from(error: DbError) -> Self {
        if error.is_unreachable() {
            return Self::away(error);
        }
        tracing::error!(error = %error, "a request of the console failed");
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<ActionError> for Fault {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Unknown(why) => Self::unknown(why),
            ActionError::Refused(why) => Self(StatusCode::CONFLICT, why),
            ActionError::Invalid(why) => Self::bad(why),
            ActionError::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.0, Json(Problem { error: self.1 })).into_response()
    }
}

/// Waits for an answer of the database, and not for ever.
pub(super) async fn in_time<T, E: Into<Fault>>(work: impl Future<Output = Result<T, E>>) -> Result<T, Fault> {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Fault::away("the database does not answer")),
    }
}

/// What stands behind the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => Err(Fault::bad(rejection.body_text())),
        }
    }
}

/// A stream of lines or of bytes, sent as they come.
pub(super) fn streamed<S, E>(kind: &'static str, stream: S) -> Response
where
    S: Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], Body::from_stream(stream)).into_response()
}

/// One line of a stream.
pub(super) fn line(value: &impl Serialize) -> Vec<u8> {
    // Our own types: they have no map with other keys than text.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Every answer says which version it speaks.
pub(super) async fn with_version(mut response: Response) -> Response {
    response.headers_mut().insert(VERSION_HEADER, HeaderValue::from(API_VERSION));
    response
}
