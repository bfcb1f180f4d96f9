//! Caddy, with docker/Caddyfile, before three services.

use super::repository;
use crate::support::{PATIENCE, Project, Service, World, eventually, sign};
use futures::StreamExt;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A Caddy of a test's own, before these services.
struct Caddy {
    _process: Child,
    folder: tempfile::TempDir,
    url: String,
    client: reqwest::Client,
}

impl Caddy {
    /// Requests wait for a service for as long as `try_for`, which is 10s in production.
    async fn before(services: &[&Service], try_for: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let bots: Vec<&str> = services.iter().map(|it| it.address.strip_prefix("http://").unwrap()).collect();
        let process = Command::new("caddy")
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(repository("docker/Caddyfile"))
            .env("SITE_ADDRESS", format!(":{port}"))
            .env("BOTS", bots.join(" "))
            .env("HEALTH_INTERVAL", "200ms")
            .env("TRY_DURATION", try_for)
            .env("CADDY_ADMIN", "off")
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let caddy = Self { _process: process, folder, url, client };
        eventually("Caddy serves", async || (caddy.get("/health").send().await.ok()?.status() == 200).then_some(()))
            .await;
        caddy
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }
}

#[tokio::test]
async fn three_services_behind_caddy_lose_one_and_no_request_fails() {
    let world = World::new(Project::linear(2)).await;
    let mut services = Vec::new();
    for name in ["one", "two", "three"] {
        services.push(Service::start(world.serve(name)).await);
    }
    let caddy = Caddy::before(&services.iter().collect::<Vec<_>>(), "10s").await;

    // What the bot says of itself stands; what Caddy answers alone has headers too.
    let page = caddy.get("/").header("Accept-Encoding", "gzip").send().await.unwrap();
    assert_eq!((page.status().as_u16(), &page.headers()["content-encoding"]), (200, &"gzip".parse().unwrap()));
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.contains("script-src 'self'") && page.headers().get_all("content-security-policy").iter().count() == 1
    );
    let hidden = caddy.get("/metrics").send().await.unwrap();
    assert_eq!(hidden.status(), 404);
    for name in ["content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy"] {
        assert!(hidden.headers().contains_key(name), "{name}");
    }

    // A webhook gets through as it was signed, and twice is once whichever service it comes to.
    let body = br#"{"zen": "Keep it logically awesome.", "hook_id": 1}"#;
    for status in [202, 200, 200, 200] {
        let request = caddy.client.post(format!("{}/webhook", caddy.url)).header("Content-Type", "application/json");
        let request = request.header("X-GitHub-Delivery", "d-1").header("X-GitHub-Event", "ping");
        let answer = request.header("X-Hub-Signature-256", sign(body)).body(body.to_vec()).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }

    // A stream comes as it is told, neither held back nor compressed.
    let stream = caddy.get("/api/events").header("Accept-Encoding", "gzip").send().await.unwrap();
    assert!(!stream.headers().contains_key("content-encoding"));
    let mut stream = stream.bytes_stream();
    // It may come in several pieces.
    let mut told = String::new();
    while !told.contains("hello") {
        let piece = tokio::time::timeout(PATIENCE, stream.next()).await.expect("the stream begins");
        told.push_str(&String::from_utf8_lossy(&piece.unwrap().unwrap()));
    }

    let one = services.remove(1);
    one.kill().await;
    for _ in 0..300 {
        assert_eq!(caddy.get("/health").send().await.unwrap().status(), 200, "one of three is gone");
    }

    // One that stops lets its callers go elsewhere.
    services.remove(0).stop().await;
    for _ in 0..100 {
        assert_eq!(caddy.get("/health").send().await.unwrap().status(), 200, "two of three are gone");
    }
    services.remove(0).kill().await;
    let none = caddy.get("/health").timeout(std::time::Duration::from_secs(60)).send().await.unwrap();
    assert!(none.status().is_server_error() && none.headers().contains_key("content-security-policy"), "{none:?}");
}

#[tokio::test]
async fn www_leads_to_the_name_itself() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let caddy = Caddy::before(&[&service], "10s").await;
    let moved = caddy.get("/docs?x=1").header("Host", "www.bisect.example.com").send().await.unwrap();
    assert_eq!(
        (moved.status().as_u16(), moved.headers()["location"].to_str().unwrap()),
        (301, "https://bisect.example.com/docs?x=1")
    );
    service.stop().await;
}

#[tokio::test]
async fn a_webhook_waits_while_the_only_service_restarts() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let address = service.address.clone();
    let port = address.rsplit_once(':').unwrap().1.to_owned();
    let caddy = Caddy::before(&[&service], "120s").await;
    // By force, so that nothing has told Caddy that it goes.
    service.kill().await;
    let body = br#"{"zen": "Keep it logically awesome.", "hook_id": 1}"#;
    let delivery = |id: &str| {
        let request = caddy.client.post(format!("{}/webhook", caddy.url)).header("Content-Type", "application/json");
        let request = request.header("X-GitHub-Delivery", id).header("X-GitHub-Event", "ping");
        request.header("X-Hub-Signature-256", sign(body)).body(body.to_vec()).send()
    };
    // Until Caddy knows, for a second, a webhook may fail: then GitHub is asked for it again (`redelivery`).
    let log = caddy.folder.path().join("log");
    eventually("Caddy knows that it is away", async || {
        std::fs::read_to_string(&log).unwrap().contains("HTTP request failed").then_some(())
    })
    .await;
    let (first, second) = (tokio::spawn(delivery("d-1")), tokio::spawn(delivery("d-2")));
    assert!(!first.is_finished() && !second.is_finished(), "they wait");
    let service = Service::start(world.serve("one").env("ROCKET_PORT", port)).await;
    assert_eq!(service.address, address);
    for waited in [first, second] {
        assert_eq!(waited.await.unwrap().unwrap().status(), 202);
    }
    service.stop().await;
}
