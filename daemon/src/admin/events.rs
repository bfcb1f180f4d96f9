//! `GET /v1/events` and `/v1/hello`: who answers, and what changes.

use super::{
    Admin,
    answer::{line, streamed},
    caller::Caller,
};
use crate::{
    db::{DbError, overview},
    feed::Watch,
};
use axum::{Extension, Json, extract::State, response::Response};
use bisect_shared::admin::{API_VERSION, Event, Hello};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::{convert::Infallible, time::Duration};

/// How often a word is said when there is nothing to say: every 5 s at least is promised.
const TICK: Duration = Duration::from_secs(4);
/// The longest that the first word waits for the database.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn hello(State(admin): State<Admin>, Extension(caller): Extension<Caller>) -> Json<Hello> {
    Json(admin.hello(&caller).await)
}

pub(super) async fn events(State(admin): State<Admin>, Extension(caller): Extension<Caller>) -> Response {
    // Before the first word: who then asks for a snapshot misses nothing.
    let watch = admin.feed.watch();
    let mut first = line(&Event::Hello(admin.hello(&caller).await));
    if admin.feed.database_away() {
        first.extend(line(&Event::DatabaseAway { away: true }));
    }
    let told = Told { admin, watch, first: Some(first), ended: false };
    let lines = futures::stream::unfold(told, |mut told| async move {
        let line = told.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(line)), told))
    });
    streamed("application/x-ndjson", lines)
}

/// One viewer's stream.
struct Told {
    admin: Admin,
    watch: Watch,
    first: Option<Vec<u8>>,
    ended: bool,
}

impl Told {
    async fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.ended {
            return None;
        }
        tokio::select! {
            biased;
            () = self.admin.stopping.cancelled() => {
                self.ended = true;
                Some(line(&Event::Stopping))
            }
            event = self.watch.next() => Some(line(&*event)),
            () = tokio::time::sleep(TICK) => Some(line(&Event::Tick { now: self.admin.feed.now() })),
        }
    }
}

impl Admin {
    async fn hello(&self, caller: &Caller) -> Hello {
        let (operator, clock) = tokio::join!(caller.name(), tokio::time::timeout(LIMIT, self.clock()));
        let clock = clock.ok().and_then(Result::ok);
        Hello {
            api: API_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.actions.queue.instance().clone(),
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            operator,
            now: clock.unwrap_or_else(Utc::now),
            database: clock.is_some(),
        }
    }

    async fn clock(&self) -> Result<DateTime<Utc>, DbError> {
        let mut tx = self.db.begin().await?;
        let now = overview::clock(&mut tx).await?;
        tx.commit().await?;
        Ok(now)
    }
}
