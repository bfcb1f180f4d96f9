//! HTTP around the world: the way of one request (fault, limit, route, checks against the schema), starting and stopping.

use crate::call::{Body as Answer, Call, Reply, decode};
use crate::connection::{Cut, Door, Handle};
use crate::faults::{self, Place, Trouble};
use crate::schema::{RequestParts, Schemas};
use crate::world::World;
use crate::{manifest, oauth, pages, routes, smart_http};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The largest request: GitHub takes far less.
const LARGEST: usize = 32 << 20;

/// Starts a [`World`]'s HTTP.
#[derive(Debug)]
pub struct Lookalike;

/// A look-alike that answers, until [`Running::stop`] or until it is dropped.
#[derive(Debug)]
pub struct Running {
    world: World,
    door: Handle,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    world: World,
    schemas: Option<Arc<Schemas>>,
}

impl Lookalike {
    /// Listens on a free port of 127.0.0.1. Checks against GitHub's schemas if `BISECT_FIXTURES` is set.
    ///
    /// # Errors
    /// When no port can be had or the fixtures cannot be read.
    pub async fn start(world: &World) -> anyhow::Result<Running> {
        Self::start_at(world, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// As [`Lookalike::start`], at a chosen address.
    ///
    /// # Errors
    /// As [`Lookalike::start`].
    pub async fn start_at(world: &World, address: SocketAddr) -> anyhow::Result<Running> {
        let schemas = Schemas::from_environment()?.map(Arc::new);
        let (listener, door) = Door::open(address).await?;
        world.change(|state| state.url = format!("http://{}", door.address));
        let shared = Shared { world: world.clone(), schemas };
        let router = Router::new().fallback(answer).with_state(shared);
        let service = router.into_make_service_with_connect_info::<Cut>();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, service).await {
                tracing::error!(%error, "the look-alike ended");
            }
        });
        Ok(Running { world: world.clone(), door, server })
    }
}

impl Running {
    /// The address for `GITHUB_API_URL` and `GITHUB_URL`, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.door.address)
    }

    /// Refuses connections and cuts those that are open; returns when it is so.
    pub async fn go_down(&mut self) {
        self.door.set(false).await;
    }

    /// Answers again at the same address.
    pub async fn come_back(&mut self) {
        self.door.set(true).await;
    }

    /// Ends it, with all connections; webhooks on their way arrive first.
    pub async fn stop(mut self) {
        self.world.settle().await;
        self.server.abort();
        // Cancelled: that is what was asked for.
        let _cancelled = (&mut self.server).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Shared>, ConnectInfo(cut): ConnectInfo<Cut>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST).await else {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "Payload too big");
    };
    // GitHub Enterprise serves the API below this path.
    let full_path = parts.uri.path().to_owned();
    let path = full_path.strip_prefix("/api/v3").unwrap_or(&full_path).to_owned();
    let trouble = shared.world.change(|state| faults::take(&mut state.faults, parts.method.as_str(), &path));
    if let Some(answer) = before(trouble, &cut).await {
        note(&shared.world, &parts, &path, answer.status());
        return dated(&shared.world, answer);
    }
    let method = parts.method.as_str();
    shared.world.pass(Place::BeforeCall, method, &path).await;
    let answer = dispatch(&shared, &parts, &path, body).await;
    shared.world.pass(Place::BeforeAnswer, method, &path).await;
    note(&shared.world, &parts, &path, answer.status());
    if trouble == Some(Trouble::DropAfter) {
        cut.0.cancel();
    }
    dated(&shared.world, answer)
}

/// What a fault does before anything else happens.
async fn before(trouble: Option<Trouble>, cut: &Cut) -> Option<Response<Body>> {
    match trouble? {
        Trouble::Status(status) => {
            Some(error(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), "Server Error"))
        }
        Trouble::SecondaryLimit { status, retry_after } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
            let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            let mut answer = error(status, message);
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
            Some(answer)
        }
        Trouble::Slow(time) => {
            tokio::time::sleep(time).await;
            None
        }
        Trouble::DropBefore => {
            cut.0.cancel();
            Some(error(StatusCode::BAD_GATEWAY, "cut"))
        }
        Trouble::DropAfter => None,
    }
}

fn note(world: &World, parts: &request::Parts, path: &str, status: StatusCode) {
    let query = parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
    world.change(|state| state.calls.push(format!("{} {path}{query} {}", parts.method, status.as_u16())));
}

async fn dispatch(shared: &Shared, parts: &request::Parts, path: &str, body: Bytes) -> Response<Body> {
    let query = parts.uri.query().unwrap_or_default();
    if let Some(wanted) = smart_http::wanted(path) {
        return smart_http::serve(&shared.world, &wanted, &parts.method, query, &parts.headers, body).await;
    }
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let api = matches!(
        first,
        "app" | "app-manifests" | "repos" | "repositories" | "rate_limit" | "installation" | "user" | "users"
    );
    if api || parts.uri.path().starts_with("/api/v3") {
        return api_call(shared, parts, path, body).await;
    }
    if let Some(answer) = oauth::serve(&shared.world, parts, path, &body) {
        return answer;
    }
    if let Some(answer) = manifest::serve(&shared.world, parts, path, &body) {
        return answer;
    }
    match pages::serve(&shared.world, parts, path, &body) {
        Some(page) => page,
        None => {
            shared.world.violation(format!("{} {path}: the look-alike has no such page", parts.method));
            error(StatusCode::NOT_FOUND, "Not Found")
        }
    }
}

async fn api_call(shared: &Shared, parts: &request::Parts, path: &str, body: Bytes) -> Response<Body> {
    let method = parts.method.as_str();
    let Some(found) = routes::find(method, path) else {
        shared
            .world
            .violation(format!("{method} {path}: GitHub documents no such call, or the bot has no business there"));
        return error(StatusCode::NOT_FOUND, "Not Found");
    };
    if parts.headers.get(header::USER_AGENT).is_none_or(HeaderValue::is_empty) {
        shared.world.violation(format!("{method} {path}: GitHub refuses calls without User-Agent"));
        return error(StatusCode::FORBIDDEN, "Request forbidden by administrative rules.");
    }
    let (query, value) = (pairs(parts.uri.query().unwrap_or_default()), serde_json::from_slice(&body));
    let value: Value = value.unwrap_or(Value::Null);
    if let Some(schemas) = &shared.schemas {
        let seen = RequestParts { path: &found.path, query: &query, body: &value };
        for fault in schemas.request_faults(method, found.template, &seen) {
            shared.world.violation(format!("call {method} {path}: {fault}"));
        }
    }
    let reply = handle(shared, found.handler, found.path, query, value, &parts.headers).await;
    let reply = redirected(reply, method, path, parts.uri.query());
    if let (Some(schemas), Answer::Json(body)) = (&shared.schemas, &reply.body) {
        for fault in schemas.response_faults(method, found.template, reply.status, body) {
            shared.world.violation(format!("the look-alike's answer {} to {method} {path}: {fault}", reply.status));
        }
    }
    finished(shared, reply)
}

/// Runs a route on a blocking thread (it may run git), within its caller's rate limit.
async fn handle(
    shared: &Shared,
    handler: fn(&Call<'_>) -> crate::call::Answered,
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: Value,
    headers: &HeaderMap,
) -> Reply {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (authorization, accept) =
        (text(header::AUTHORIZATION), text(header::ACCEPT).unwrap_or_default().to_lowercase());
    let world = shared.world.clone();
    let ran = tokio::task::spawn_blocking(move || {
        let call = Call { world: &world, path, query, authorization, accept, body };
        limited(&call).and_then(|()| handler(&call)).unwrap_or_else(|refusal| refusal)
    });
    ran.await.unwrap_or_else(|error| {
        shared.world.violation(format!("the look-alike itself failed: {error}"));
        Reply::error(500, "Server Error")
    })
}

/// Refuses a caller whose limit is used up, before anything is done.
fn limited(call: &Call<'_>) -> Result<(), Reply> {
    let Ok(caller) = crate::auth::caller(call) else { return Ok(()) };
    let name = caller.counted_as();
    if call.authorization.is_none() {
        return Ok(());
    }
    call.world.change(|state| {
        let now = state.now();
        if state.limits.window(&name, now).remaining() > 0 {
            return Ok(());
        }
        let refusal = Reply::error(
            403,
            &format!("API rate limit exceeded for {}.", name.replace("installation", "installation ID")),
        );
        Err(Reply { caller: Some(name), ..refusal })
    })
}

/// GitHub moves a call of a renamed repository to its number: 301 for reading, 307 where the body must be sent again.
fn redirected(mut reply: Reply, method: &str, path: &str, query: Option<&str>) -> Reply {
    let Some(location) = reply.headers.get("location").filter(|_| reply.status == 301).cloned() else { return reply };
    let rest: Vec<&str> = path.trim_start_matches('/').splitn(4, '/').skip(3).collect();
    let rest = rest.first().map_or_else(String::new, |rest| format!("/{rest}"));
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let to = format!("{location}{rest}{query}");
    if method != "GET" {
        reply.status = 307;
    }
    if let Answer::Json(body) = &mut reply.body {
        body["url"] = Value::String(to.clone());
    }
    reply.header("location", to)
}

/// The reply as HTTP, counted, with GitHub's headers; its webhooks start on their way.
fn finished(shared: &Shared, mut reply: Reply) -> Response<Body> {
    if !reply.webhooks.is_empty() {
        shared.world.deliver_later(std::mem::take(&mut reply.webhooks));
    }
    let (media, bytes) = match reply.body {
        Answer::Json(Value::Null) => (None, Vec::new()),
        Answer::Json(value) => (Some("application/json; charset=utf-8"), value.to_string().into_bytes()),
        Answer::Raw(media, bytes) => (Some(media), bytes),
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let base = shared.world.url();
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-github-media-type", "github.v3; format=json".to_owned());
    set("x-github-request-id", crate::keys::guid());
    if let Some(media) = media {
        set("content-type", media.to_owned());
    }
    for (name, value) in reply.headers {
        set(name, if name == "location" && value.starts_with('/') { format!("{base}{value}") } else { value });
    }
    let caller = reply.caller.unwrap_or_else(|| "nobody".to_owned());
    shared.world.change(|state| {
        let now = state.now();
        let window = state.limits.window(&caller, now);
        window.used = (window.used + 1).min(window.limit);
        set("x-ratelimit-limit", window.limit.to_string());
        set("x-ratelimit-remaining", window.remaining().to_string());
        set("x-ratelimit-used", window.used.to_string());
        set("x-ratelimit-reset", window.reset.timestamp().to_string());
        set("x-ratelimit-resource", "core".to_owned());
    });
    response
}

/// `Date` by the look-alike's own clock.
fn dated(world: &World, mut response: Response<Body>) -> Response<Body> {
    let now = world.read().now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(now) = HeaderValue::from_str(&now) {
        response.headers_mut().insert(header::DATE, now);
    }
    response
}

fn error(status: StatusCode, message: &str) -> Response<Body> {
    let Reply { body: Answer::Json(body), .. } = Reply::error(status.as_u16(), message) else {
        return Response::new(Body::empty());
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let media = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

/// The pairs of a query or a form.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let plain = |text: &str| decode(&text.replace('+', " "));
    let pair = |item: &str| {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        (plain(name), plain(value))
    };
    text.split('&').filter(|item| !item.is_empty()).map(pair).collect()
}
