//! `bisectd setup`: makes the GitHub App in a browser and writes what it got, `.env` and the key.
//!
//! GitHub takes an App's manifest from a form that is posted to it, and sends the browser back with a code: a page on this
//! machine's own address holds the form and takes the code.

mod files;

use super::{Exit, Refusal, args::SetupArgs, print};
use crate::{
    config::Config,
    github::{MadeApp, Manifest, convert_manifest},
};
use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::Html,
    routing::get,
};
use files::Files;
use serde::Deserialize;
use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, sync::oneshot};

/// Makes the App, once somebody has agreed to it in a browser.
pub(super) async fn run(args: &SetupArgs, env_file: Option<&Path>) -> Result<Exit, Refusal> {
    let base_url = checked_base_url(&args.base_url)?;
    // GITHUB_URL and GITHUB_API_URL may name another GitHub.
    let config = Config::load(env_file).map_err(Refusal::usage)?;
    let files = Files::check(&args.folder, args.replace)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.map_err(|error| {
        Refusal::usage(format!("127.0.0.1:{} cannot be listened on: {error}; choose another with --port", args.port))
    })?;
    let port = listener.local_addr().map_err(Refusal::infrastructure)?.port();
    let here = format!("http://127.0.0.1:{port}");
    let state = hex::encode(rand::random::<[u8; 16]>());
    let redirect_url = format!("{here}/made");
    let manifest =
        Manifest { name: &args.name, base_url: &base_url, redirect_url: &redirect_url, public: !args.private };
    let github = config.github_url.trim_end_matches('/');
    let form = match &args.organization {
        Some(name) => format!("{github}/organizations/{name}/settings/apps/new?state={state}"),
        None => format!("{github}/settings/apps/new?state={state}"),
    };
    let (got, code) = oneshot::channel();
    let page = Arc::new(Page { form, manifest: manifest.json().to_string(), state, got: Mutex::new(Some(got)) });
    let router = Router::new().route("/", get(offer)).route("/made", get(made)).with_state(page);
    let (done, ended) = oneshot::channel::<()>();
    let server =
        tokio::spawn(
            async move { axum::serve(listener, router).with_graceful_shutdown(async { drop(ended.await) }).await },
        );
    tell_where(&here, port, args.no_browser)?;
    let code = code.await.map_err(|_| Refusal::infrastructure("the page on this machine ended"))?;
    let app = convert_manifest(&config.github_api_url, &code).await;
    // The browser gets its answer.
    let _ = done.send(());
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), server).await;
    let app = app.map_err(Refusal::infrastructure)?;
    let written = files.write(&app, &base_url)?;
    print(&what_is_left(&app, &written, &config))?;
    Ok(Exit::Done)
}

fn checked_base_url(text: &str) -> Result<String, Refusal> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.contains(['/', '@', '?', '#', ' ', '"', '\''])) {
        return Err(Refusal::usage(format!(
            "--base-url is `{text}`, but must be the public address of the service without a path; for example https://bisect.example.com"
        )));
    }
    Ok(url.to_owned())
}

struct Page {
    form: String,
    manifest: String,
    state: String,
    got: Mutex<Option<oneshot::Sender<String>>>,
}

/// The form, which sends itself where scripts run.
async fn offer(State(page): State<Arc<Page>>) -> Html<String> {
    Html(format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Bisect Bot: set-up</title>\
         <h1>Make the GitHub App</h1><p>GitHub shows next what the App will be called and what it may do.</p>\
         <form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"manifest\" value=\"{}\">\
         <button>Go on to GitHub</button></form><script>document.forms[0].submit()</script>",
        escape(&page.form),
        escape(&page.manifest)
    ))
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
}

/// Takes the code, of this set-up only and once.
async fn made(State(page): State<Arc<Page>>, Query(told): Query<Told>) -> (StatusCode, Html<&'static str>) {
    if told.state != page.state || told.code.is_empty() {
        return (StatusCode::BAD_REQUEST, Html("This is not the answer to the set-up that runs; begin anew."));
    }
    let got = page.got.lock().unwrap_or_else(PoisonError::into_inner).take();
    if got.is_none_or(|got| got.send(told.code).is_err()) {
        return (StatusCode::GONE, Html("The App is made already."));
    }
    (StatusCode::OK, Html("The App is made. Go on in the terminal; this page may be closed."))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn tell_where(here: &str, port: u16, no_browser: bool) -> Result<(), Refusal> {
    print(&format!(
        "open this page in a browser: {here}/\n\
         (from another machine: ssh -L {port}:127.0.0.1:{port} this-server, then open it there)\n"
    ))?;
    if !no_browser && (std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some()) {
        let opened =
            Command::new("xdg-open").arg(format!("{here}/")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        if let Err(error) = opened {
            tracing::debug!(error = %error, "no browser was opened");
        }
    }
    Ok(())
}

fn what_is_left(app: &MadeApp, files: &files::Written, config: &Config) -> String {
    let mut text = format!(
        "made the App {} ({})\nwrote {}\nwrote {}\n\nleft to do:\n",
        app.slug, app.html_url, files.env, files.key
    );
    let mut steps = Vec::new();
    if config.database_url.is_none() {
        steps.push(format!("set DATABASE_URL (and DATABASE_DIRECT_URL, behind a transaction pooler) in {}", files.env));
    }
    steps.push(
        "keep ENCRYPTION_KEY and the private key somewhere else, too: a backup of the database is not whole without"
            .into(),
    );
    steps.push(format!("bisectd --env-file {} migrate up", files.env));
    steps.push(format!("bisectd --env-file {} doctor", files.env));
    steps.push(
        "start the service, then install the App on repositories: ".to_owned()
            + &format!("{}/installations/new", app.html_url),
    );
    for (number, step) in steps.iter().enumerate() {
        text.push_str(&format!("  {}. {step}\n", number + 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_an_address_without_a_path() {
        assert_eq!(checked_base_url("https://bisect.example.com/").unwrap(), "https://bisect.example.com");
        for bad in ["bisect.example.com", "https://", "https://a/b", "https://u@a", "ftp://a", "https://a'"] {
            assert!(checked_base_url(bad).is_err(), "{bad}");
        }
    }
}
