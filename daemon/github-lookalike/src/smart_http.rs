//! Git over smart HTTP: `git http-backend` for clone and fetch, after GitHub's check of the token. Never a push.

use crate::auth::{self, Caller};
use crate::call::{Reply, decode};
use crate::git;
use crate::world::World;
use crate::world::state::Repository;
use anyhow::Context;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use base64::Engine as _;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio_util::io::ReaderStream;

/// A request of git: the repository's full name and the service's path.
pub(crate) struct Wanted {
    full_name: String,
    service: &'static str,
}

/// Whether a path is one of git's.
pub(crate) fn wanted(path: &str) -> Option<Wanted> {
    let mut segments = path.trim_start_matches('/').splitn(3, '/');
    let (owner, name, rest) = (segments.next()?, segments.next()?, segments.next()?);
    let service = ["info/refs", "git-upload-pack", "git-receive-pack"].into_iter().find(|known| *known == rest)?;
    let name = decode(name);
    Some(Wanted { full_name: format!("{}/{}", decode(owner), name.strip_suffix(".git").unwrap_or(&name)), service })
}

/// Answers git.
pub(crate) async fn serve(
    world: &World,
    wanted: &Wanted,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let pushes = wanted.service == "git-receive-pack" || query.contains("service=git-receive-pack");
    let repository = match authorize(world, wanted, headers) {
        Ok(_) if pushes => return plain(StatusCode::FORBIDDEN, "The look-alike takes no pushes."),
        Ok(repository) => repository,
        Err(refusal) => return *refusal,
    };
    match backend(world, &repository, wanted.service, method, query, headers, body).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "git http-backend failed");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "git http-backend failed")
        }
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

fn challenge() -> Response<Body> {
    let mut response = plain(StatusCode::UNAUTHORIZED, "Repository not found.");
    let basic = header::HeaderValue::from_static("Basic realm=\"GitHub\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    response
}

/// The repository, if it may be read; otherwise what git is told.
fn authorize(world: &World, wanted: &Wanted, headers: &HeaderMap) -> Result<Repository, Box<Response<Body>>> {
    let state = world.read();
    let caller = match token(headers) {
        None => Caller::Nobody,
        Some(None) => return Err(Box::new(challenge())),
        Some(Some(token)) => auth::token_caller(&state, &token).map_err(|Reply { status, .. }| match status {
            403 => Box::new(plain(StatusCode::FORBIDDEN, "This installation has been suspended.")),
            _ => Box::new(challenge()),
        })?,
    };
    let missing = || match caller {
        Caller::Nobody => challenge(),
        Caller::Installation(_) | Caller::User(_) => plain(StatusCode::NOT_FOUND, "Repository not found."),
    };
    let Some(repository) = state.repository_named(&wanted.full_name) else {
        let moved = state.former_names.get(&wanted.full_name.to_lowercase()).and_then(|id| state.repository(*id));
        let Some(moved) = moved.filter(|r| !r.private || caller.reaches(&state, r)) else {
            return Err(Box::new(missing()));
        };
        let mut response = plain(StatusCode::MOVED_PERMANENTLY, "Moved");
        let to = format!("{}/{}.git/{}", state.url, state.full_name(moved), wanted.service);
        let to = if wanted.service == "info/refs" { format!("{to}?service=git-upload-pack") } else { to };
        if let Ok(to) = to.parse() {
            response.headers_mut().insert(header::LOCATION, to);
        }
        return Err(Box::new(response));
    };
    match caller.may_read(&state, repository, &["contents"]) {
        Ok(()) => Ok(repository.clone()),
        Err(Reply { status: 403, .. }) => {
            Err(Box::new(plain(StatusCode::FORBIDDEN, "Resource not accessible by integration.")))
        }
        Err(_) => Err(Box::new(missing())),
    }
}

/// `None` without credentials, `Some(None)` with some that are not understood.
fn token(headers: &HeaderMap) -> Option<Option<String>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let Some((scheme, encoded)) = value.split_once(' ') else { return Some(None) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Some(scheme.eq_ignore_ascii_case("bearer").then(|| encoded.to_owned()));
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    Some(text.and_then(|text| text.split_once(':').map(|(_, password)| password.to_owned())))
}

async fn backend(
    world: &World,
    repository: &Repository,
    service: &str,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> anyhow::Result<Response<Body>> {
    let mut command = Command::new("git");
    command.arg("http-backend").current_dir(world.folder()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.envs(git::environment());
    command.env("GIT_PROJECT_ROOT", world.folder()).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("PATH_INFO", format!("/{}.git/{service}", repository.id)).env("REQUEST_METHOD", method.as_str());
    command.env("QUERY_STRING", query).env("REMOTE_ADDR", "127.0.0.1").env("CONTENT_LENGTH", body.len().to_string());
    let passed = [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ];
    for (name, variable) in passed {
        if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
            command.env(variable, value);
        }
    }
    let mut child = command.spawn().context("git http-backend could not be started")?;
    let mut input = child.stdin.take().context("git http-backend has no input")?;
    let output = child.stdout.take().context("git http-backend has no output")?;
    let answer = tokio::spawn(async move {
        // An answer may begin before all is read, and end without it: then the rest is nobody's concern.
        let _unread = input.write_all(&body).await;
        drop(input);
        child.wait().await
    });
    let mut output = BufReader::new(output);
    let mut response = Response::builder().status(StatusCode::OK);
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).await? == 0 {
            let ended = answer.await??;
            anyhow::bail!("git http-backend ended without an answer: {ended}");
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').context("git http-backend: a header without a colon")?;
        response = match name {
            "Status" => response.status(value.split_whitespace().next().unwrap_or("500")),
            _ => response.header(name, value.trim()),
        };
    }
    Ok(response.body(Body::from_stream(ReaderStream::new(output)))?)
}
