//! `bisectd serve` as a process, and how it is talked to.

use super::{
    poll::eventually,
    program::{Program, Ran, Running},
    world::World,
};
use bisect_shared::{InstanceId, JobId};
use bisectd::{
    queue::{Clocks, NewJob, Origin, Queue},
    runner::spec::JobSpec,
};
use hmac::{Hmac, KeyInit, Mac};
use nix::sys::signal::Signal;
use serde_json::Value;

/// What the tests' webhooks are signed with.
pub const SECRET: &str = "a secret of the tests";

/// A running service.
pub struct Service {
    running: Running,
    pub address: String,
    client: reqwest::Client,
}

impl World {
    /// `bisectd serve` with a `DATA_DIR` of its own.
    pub fn serve(&self, name: &str) -> Program {
        self.program()
            .args(["serve"])
            .env("DATA_DIR", self.path(name))
            .env("ADMIN_SOCKET", self.path(name).join("admin.sock"))
            .env("ROCKET_PORT", "0")
            .env("GITHUB_WEBHOOK_SECRET", SECRET)
            .env("SHUTDOWN_GRACE_SECONDS", "10")
    }

    /// Queues a bisection of the whole project, which any instance may run without Docker.
    pub async fn enqueue(&self, script: &str) -> JobId {
        self.enqueue_as(self.project.request(&["sh", "-c", script])).await
    }

    /// The same as whatever it is to be.
    pub async fn enqueue_as(&self, spec: JobSpec) -> JobId {
        let origin = Origin::Local { source: spec.source.clone(), affinity: None };
        // The same may be asked for twice.
        let job = NewJob { request_key: None, ..spec.to_job(origin, Some("ada".into()), None) };
        let nobody = InstanceId("test".into());
        let queue = Queue::new(self.db.db.clone(), nobody, Clocks::default(), "nowhere".into());
        queue.enqueue(&job).await.unwrap().job
    }
}

impl Service {
    /// Starts it, and waits until it answers.
    pub async fn start(program: Program) -> Self {
        let running = program.start();
        let address = eventually("it serves", async || {
            let said = running.stderr();
            let line = said.lines().find(|line| line.contains("\"serving\""))?;
            let line: Value = serde_json::from_str(line).unwrap();
            Some(line["fields"]["address"].as_str().unwrap().to_owned())
        })
        .await;
        Self { running, address, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(format!("{}{path}", self.address))).await
    }

    pub async fn text(&self, path: &str) -> String {
        self.client.get(format!("{}{path}", self.address)).send().await.unwrap().text().await.unwrap()
    }

    /// A request to `/webhook` as GitHub makes it, to be changed.
    pub fn delivery(&self, id: &str, event: &str, body: &[u8]) -> reqwest::RequestBuilder {
        self.unsigned(id, event, body).header("X-Hub-Signature-256", sign(body))
    }

    /// The same without a signature.
    pub fn unsigned(&self, id: &str, event: &str, body: &[u8]) -> reqwest::RequestBuilder {
        self.client
            .post(format!("{}/webhook", self.address))
            .header("Content-Type", "application/json")
            .header("X-GitHub-Delivery", id)
            .header("X-GitHub-Event", event)
            .body(body.to_vec())
    }

    pub async fn deliver(&self, id: &str, event: &str, body: &[u8]) -> (u16, Value) {
        answer(self.delivery(id, event, body)).await
    }

    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.running.stderr()
    }

    pub async fn kill(self) {
        self.running.kill().await;
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// Waits for its end.
    pub async fn end(self) -> Ran {
        self.running.end().await
    }

    /// Asks it to stop, and waits for that.
    pub async fn stop(self) -> Ran {
        self.running.signal(Signal::SIGTERM);
        self.running.end().await.expect(0)
    }
}

/// Status and JSON.
pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// `X-Hub-Signature-256` of a body.
pub fn sign(body: &[u8]) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
