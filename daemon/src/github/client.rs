//! The one way in which anything is sent to GitHub: builds the request, bears with redirects, time
//! limits and broken connections, reads the headers, and judges the answer.
//!
//! Octocrab is the HTTP client beneath (TLS, connections, time limit of connecting), without its
//! retries and redirects: whoever calls knows what may be said twice, and its redirects turn a POST
//! into a GET. Tokens go into one header that is marked sensitive, and nowhere else.

use super::{
    GithubError, GithubSettings,
    answer::error_of,
    oauth::{Unsent, put_right},
    rate::Rates,
    time::GithubTime,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use octocrab::{OctoBody, Octocrab};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{error::Error, time::Duration};

/// A renamed repository that was renamed again is two; more is a circle.
const MOST_REDIRECTS: usize = 4;
/// The version of the API that is spoken.
const VERSION: &str = "2022-11-28";

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Its name in metrics.
    pub(super) name: &'static str,
    /// What is being done, for errors: "commenting on owner/name#1".
    pub(super) doing: String,
    pub(super) method: Method,
    /// Path and query below the API's address; begins with `/`.
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

impl Call {
    pub(super) fn get(name: &'static str, doing: String, path: String) -> Self {
        Self { name, doing, method: Method::GET, path, body: None }
    }

    pub(super) fn post(name: &'static str, doing: String, path: String, body: Value) -> Self {
        Self { name, doing, method: Method::POST, path, body: Some(body) }
    }

    pub(super) fn patch(name: &'static str, doing: String, path: String, body: Value) -> Self {
        Self { method: Method::PATCH, ..Self::post(name, doing, path, body) }
    }
}

/// A success.
#[derive(Debug)]
pub(super) struct Answer {
    doing: String,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// The answer as what GitHub documents.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, GithubError> {
        serde_json::from_str(&self.body)
            .map_err(|error| GithubError::Misunderstood { doing: self.doing.clone(), reason: error.to_string() })
    }

    /// The query of the next page, where there is one.
    pub(super) fn next_query(&self) -> Option<&str> {
        let links = self.headers.get(header::LINK)?.to_str().ok()?;
        let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
        let address = next.trim().strip_prefix('<')?.split_once('>')?.0;
        Some(address.split_once('?')?.1)
    }
}

/// The connection to one GitHub.
#[derive(Debug)]
pub(super) struct Client {
    http: Octocrab,
    /// Scheme, host and path prefix, without a slash at the end.
    base: String,
    origin: Origin,
    user_agent: HeaderValue,
    timeout: Duration,
    pub(super) time: GithubTime,
    pub(super) rates: Rates,
}

/// Where tokens may be sent.
type Origin = (Option<String>, Option<String>);

fn origin_of(uri: &Uri) -> Origin {
    (uri.scheme_str().map(str::to_owned), uri.authority().map(|host| host.as_str().to_ascii_lowercase()))
}

impl Client {
    /// Must be called within a tokio runtime.
    pub(super) fn new(settings: &GithubSettings) -> Result<Self, GithubError> {
        let wrong_url = || {
            GithubError::Configuration(
                "GITHUB_API_URL must be an address that begins with https:// (or http://) and holds no user name; for \
                 example GITHUB_API_URL=https://api.github.com"
                    .to_owned(),
            )
        };
        let base = settings.api_url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| wrong_url())?;
        let usable = matches!(uri.scheme_str(), Some("https" | "http")) && uri.query().is_none();
        if !usable || uri.authority().is_none_or(|host| host.as_str().contains('@')) {
            return Err(wrong_url());
        }
        let user_agent = HeaderValue::from_str(&settings.user_agent)
            .map_err(|_| GithubError::Configuration("the user agent must be printable ASCII".to_owned()))?;
        let http = Octocrab::builder()
            .set_connect_timeout(Some(settings.connect_timeout))
            .build()
            .map_err(|error| GithubError::Configuration(format!("no HTTPS client: {}", causes(&error))))?;
        Ok(Self {
            http,
            origin: origin_of(&uri),
            base,
            user_agent,
            timeout: settings.timeout,
            time: GithubTime::new(settings.clock.clone()),
            rates: Rates::default(),
        })
    }

    /// Sends a call with a JWT or a token. `installation` is whose rate limit it counts against.
    pub(super) async fn send(
        &self,
        call: &Call,
        secret: &SecretString,
        installation: Option<i64>,
    ) -> Result<Answer, GithubError> {
        let doing = || call.doing.clone();
        if let Some(retry_after) = self.rates.silent_for(installation) {
            return Err(GithubError::RateLimited { doing: doing(), retry_after });
        }
        let unavailable = |reason| {
            count(call, "none");
            GithubError::Unavailable { doing: doing(), reason }
        };
        let began = tokio::time::Instant::now();
        let exchanged = tokio::time::timeout(self.timeout, self.exchange(call, secret, installation)).await;
        metrics::histogram!("bisectd_github_seconds", "call" => call.name).record(began.elapsed());
        let Ok(exchanged) = exchanged else {
            return Err(unavailable(format!("no answer within {} s", self.timeout.as_secs_f64())));
        };
        let (status, headers, body) = exchanged.map_err(|trouble| match trouble {
            Trouble::Broken(error) => unavailable(causes(&error)),
            Trouble::Odd(reason) => GithubError::Misunderstood { doing: doing(), reason },
        })?;
        match error_of(&call.doing, status, &headers, &body, self.time.now()) {
            None => Ok(Answer { doing: doing(), headers, body }),
            Some(error) => {
                if let GithubError::RateLimited { retry_after, .. } = error {
                    self.rates.silence(installation, retry_after);
                }
                Err(error)
            }
        }
    }

    /// Sends a request of OAuth, whose secrets are in its body, and answers it as OAuth knows it.
    pub(super) async fn plain(
        &self,
        name: &'static str,
        request: Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, Unsent> {
        let count = |status: &str| {
            metrics::counter!("bisectd_github_calls_total", "call" => name, "status" => status.to_owned()).increment(1);
        };
        let mut request = request.map(|body| OctoBody::from(String::from_utf8_lossy(&body).into_owned()));
        request.headers_mut().insert(header::USER_AGENT, self.user_agent.clone());
        let exchange = async {
            let response = self.http.send(request).await?;
            let status = response.status();
            Ok((status, self.http.body_to_string(response).await?))
        };
        let answer: Result<(StatusCode, String), Unsent> = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(answer) => answer.map_err(|error: octocrab::Error| Unsent(causes(&error))),
            Err(_) => Err(Unsent(format!("no answer within {} s", self.timeout.as_secs_f64()))),
        };
        let (status, body) = answer.inspect_err(|_| count("none"))?;
        count(status.as_str());
        if status.is_server_error() {
            return Err(Unsent(format!("status {}", status.as_u16())));
        }
        let mut response = http::Response::new(Vec::new());
        *response.status_mut() = put_right(status, &body);
        *response.body_mut() = body.into_bytes();
        Ok(response)
    }

    /// The call and, while GitHub says that a renamed thing is elsewhere, the same call there.
    async fn exchange(
        &self,
        call: &Call,
        secret: &SecretString,
        installation: Option<i64>,
    ) -> Result<(StatusCode, HeaderMap, String), Trouble> {
        let mut address = format!("{}{}", self.base, call.path);
        for _ in 0..=MOST_REDIRECTS {
            let request = self.request(call, &address, secret)?;
            let response = self.http.send(request).await.map_err(Trouble::Broken)?;
            let (status, headers) = (response.status(), response.headers().clone());
            count(call, status.as_str());
            self.time.follow(&headers);
            self.rates.record(installation, &headers);
            let moved = matches!(status.as_u16(), 301 | 302 | 307 | 308);
            let body = self.http.body_to_string(response).await;
            match headers.get(header::LOCATION).filter(|_| moved) {
                Some(location) => address = self.followed(location)?,
                None => return body.map(|body| (status, headers, body)).map_err(unread),
            }
        }
        Err(Trouble::Odd(format!("more than {MOST_REDIRECTS} redirects")))
    }

    fn request(&self, call: &Call, address: &str, secret: &SecretString) -> Result<Request<OctoBody>, Trouble> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()))
            .map_err(|_| Trouble::Odd("a token with characters that no header may hold".to_owned()))?;
        bearer.set_sensitive(true);
        let body = call.body.as_ref().map(Value::to_string);
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(address)
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header(header::USER_AGENT, &self.user_agent)
            .header("x-github-api-version", VERSION);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(body.map_or_else(OctoBody::empty, OctoBody::from))
            .map_err(|error| Trouble::Odd(format!("no request can be made of it: {error}")))
    }

    /// Where a redirect leads: on the same host only, since the token goes along.
    fn followed(&self, location: &HeaderValue) -> Result<String, Trouble> {
        let elsewhere = || Trouble::Odd("a redirect away from GITHUB_API_URL, where no token is sent".to_owned());
        let location = location.to_str().map_err(|_| elsewhere())?;
        let uri: Uri = location.parse().map_err(|_| elsewhere())?;
        if uri.scheme().is_some() {
            return if origin_of(&uri) == self.origin { Ok(location.to_owned()) } else { Err(elsewhere()) };
        }
        let (Some(scheme), Some(host)) = &self.origin else { return Err(elsewhere()) };
        if location.starts_with('/') { Ok(format!("{scheme}://{host}{location}")) } else { Err(elsewhere()) }
    }
}

/// Why there is no answer to judge.
enum Trouble {
    /// The connection failed: it may have been done.
    Broken(octocrab::Error),
    /// What came is not what GitHub documents.
    Odd(String),
}

fn unread(error: octocrab::Error) -> Trouble {
    match error {
        octocrab::Error::InvalidUtf8 { .. } => Trouble::Odd("not UTF-8".to_owned()),
        broken => Trouble::Broken(broken),
    }
}

fn count(call: &Call, status: &str) {
    metrics::counter!("bisectd_github_calls_total", "call" => call.name, "status" => status.to_owned()).increment(1);
}

/// The causes of an error, outermost first, without octocrab's own line, which holds a backtrace.
fn causes(error: &octocrab::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() { "the connection failed".to_owned() } else { causes.join(": ") }
}
