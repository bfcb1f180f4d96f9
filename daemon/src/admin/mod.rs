//! The admin API: what operators see and do, over HTTP/1.1 or HTTP/2 on a Unix socket (`bisect_shared::admin`).
//!
//! Reads through `db`, acts through `actions`. Who may connect may do everything here: the socket's mode decides. It
//! answers until the process ends, also while the database is away, and then says so.

mod answer;
mod caller;
mod events;
mod fleet;
mod jobs;
mod log;
mod socket;

pub use caller::Caller;
pub use socket::{Socket, SocketError};

use crate::{actions::Actions, db::Database, feed::Feed, github::Github, tail::Tail};
use answer::Fault;
use axum::{
    Extension, Router,
    middleware::map_response,
    routing::{get, post},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long answers under way may take once the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The wait after an accept that failed, for want of file descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);

/// What the API answers from. Cloning it is cheap.
#[derive(Clone)]
pub struct Admin {
    /// The database.
    pub db: Database,
    /// What operators can do.
    pub actions: Actions,
    /// What changes.
    pub feed: Feed,
    /// What jobs print.
    pub tail: Tail,
    /// GitHub, where an App is configured.
    pub github: Option<Github>,
    /// GitHub's address.
    pub github_url: String,
    /// Set when the API is to end.
    pub stopping: CancellationToken,
}

/// Serves until [`Admin::stopping`] is set; streams are told so and end, and the socket's file is removed.
pub async fn serve(admin: Admin, socket: Socket) {
    tracing::info!(socket = %socket.path().display(), "the console is served");
    let app = routes(admin.clone());
    let mut builder = Builder::new(TokioExecutor::new());
    // Whoever has asked everything may say so, and is answered still.
    builder.http1().half_close(true);
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            () = admin.stopping.cancelled() => break,
            stream = socket.accept() => stream,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "a connection to the console's socket was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (caller, spoken) = Caller::meet(stream);
        let service = TowerToHyperService::new(app.clone().layer(Extension(caller)));
        let connection = builder.serve_connection(TokioIo::new(spoken), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection to the console's socket broke");
            }
        });
    }
    // Nobody new: the file goes first.
    drop(socket);
    let _ = tokio::time::timeout(LAST_WORDS, graceful.shutdown()).await;
}

fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/v1/hello", get(events::hello))
        .route("/v1/events", get(events::events))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::detail))
        .route("/v1/jobs/{id}/log", get(log::log))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/jobs/{id}/retry", post(jobs::retry))
        .route("/v1/instances", get(fleet::instances))
        .route("/v1/instances/{id}/drain", post(fleet::drain))
        .route("/v1/instances/{id}/undrain", post(fleet::undrain))
        .route("/v1/stats", get(fleet::stats))
        .route("/v1/audit", get(fleet::audit))
        .fallback(async || Fault::unknown("there is no such route; those that are there begin with /v1/hello"))
        .method_not_allowed_fallback(async || Fault::method())
        .layer(map_response(answer::with_version))
        .with_state(admin)
}
