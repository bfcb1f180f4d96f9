//! The site as browsers and programs see it.

mod acts;
mod api;
mod events;
mod fuzz;
mod keyboard;
mod live;
mod looks;
mod pages;
mod seen;
mod story;
mod streams;

use crate::support::{Hub, Project, Service};
use serde_json::Value;
use sqlx::AssertSqlSafe;

/// A service on a world with a public and a private repository, and jobs in both: see `WORLD`.
pub struct Site {
    pub hub: Hub,
    pub service: Service,
    pub http: reqwest::Client,
}

/// User 1 (ada) may write to the private repository, user 2 (eve) may not see it. Job 1 is private, 2 is of a shell,
/// 3 is public and has a culprit, 4 to 9 are public and wait.
const WORLD: &str = include_str!("world.sql");

impl Site {
    pub async fn new() -> Self {
        let hub = Hub::new(Project::linear(3), &[]).await;
        hub.sql(WORLD).await;
        let program =
            hub.program("one").env("SESSION_SECRET", acts::SESSION_SECRET).env("TRUSTED_PROXIES", "127.0.0.1/32");
        let service = hub.serve_program(program).await;
        hub.drain(&service).await;
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { hub, service, http }
    }

    pub async fn ask(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.service.address)).send().await.unwrap()
    }

    pub async fn json(&self, path: &str) -> (u16, Value) {
        self.service.get(path).await
    }

    pub async fn sql(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.hub.world.db.raw().await).await.unwrap();
    }
}
