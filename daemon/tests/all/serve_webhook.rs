//! `/webhook`: what is taken, what is refused with which status, and that nothing refused is stored.

use crate::support::{Project, Service, World, answer, sign};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn a_comment(id: i64) -> Vec<u8> {
    let payload = json!({
        "action": "created",
        "installation": {"id": 5},
        "repository": {"id": 7, "full_name": "ada/engine", "private": false},
        "issue": {"number": 3},
        "comment": {"id": id, "body": "/bisect help", "user": {"id": 1, "login": "ada", "type": "User"}},
    });
    payload.to_string().into_bytes()
}

/// id, event, state, outcome, length of the payload.
type Row = (String, String, String, Option<String>, i32);

async fn rows(world: &World) -> Vec<Row> {
    let sql = "SELECT delivery_id, event, state, outcome, length(payload) FROM webhook_deliveries ORDER BY delivery_id";
    sqlx::query_as(sql).fetch_all(&mut world.db.raw().await).await.unwrap()
}

fn word(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["status"].as_str().unwrap_or_else(|| answer.1["error"].as_str().unwrap()))
}

#[tokio::test]
async fn a_delivery_is_durable_before_its_answer_and_taken_once() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let body = a_comment(31);
    assert_eq!(word(&service.deliver("d-1", "issue_comment", &body).await), (202, "accepted"));
    let row = ("d-1".into(), "issue_comment".into(), "received".into(), None, i32::try_from(body.len()).unwrap());
    assert_eq!(rows(&world).await, [row]);
    assert_eq!(word(&service.deliver("d-1", "issue_comment", &body).await), (200, "duplicate"));
    assert_eq!(word(&service.deliver("d-2", "issue_comment", &body).await), (200, "duplicate"), "the same comment");
    assert_eq!(word(&service.deliver("d-3", "push", b"{}").await), (202, "accepted"), "an event that means nothing");
    assert_eq!(word(&service.deliver("d-4", "ping", br#"{"zen": "Half measures."}"#).await), (202, "accepted"));
    let rows = rows(&world).await;
    assert_eq!(rows.iter().map(|row| row.2.as_str()).collect::<Vec<_>>(), ["received", "ignored", "ignored"]);
    assert!(rows[1].3.as_ref().unwrap().contains("push") && rows[1].4 == 0, "{rows:?}");
    service.stop().await;
}

#[tokio::test]
async fn deliveries_that_come_together_are_each_taken_once() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let bodies: Vec<Vec<u8>> = (0..200).map(|n| a_comment(n % 100)).collect();
    let ids: Vec<String> = (0..200).map(|n| format!("d-{n}")).collect();
    let sent = bodies.iter().zip(&ids).map(|(body, id)| service.deliver(id, "issue_comment", body));
    let answers = futures::future::join_all(sent).await;
    let accepted = answers.iter().filter(|answer| word(answer) == (202, "accepted")).count();
    let duplicates = answers.iter().filter(|answer| word(answer) == (200, "duplicate")).count();
    assert_eq!((accepted, duplicates), (100, 100));
    assert_eq!(rows(&world).await.len(), 100);
    service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_reason_and_nothing_is_stored() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let body = a_comment(31);
    let good = || service.delivery("d-1", "issue_comment", &body);
    let refused = async |request: reqwest::RequestBuilder, status: u16, why: &str| {
        let (got, answer) = answer(request).await;
        assert_eq!(got, status, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(why), "{answer}");
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let bare = || client.post(format!("{}/webhook", service.address)).body(body.clone());
    refused(bare(), 401, "X-Hub-Signature-256 is missing").await;
    refused(bare().header("X-Hub-Signature-256", sign(b"another body")), 401, "not the signature").await;
    let signed = || bare().header("X-Hub-Signature-256", sign(&body));
    refused(signed(), 400, "content type").await;
    refused(signed().header("Content-Type", "application/x-www-form-urlencoded"), 400, "application/json").await;
    let typed = || signed().header("Content-Type", "application/json");
    refused(typed(), 400, "X-GitHub-Delivery").await;
    refused(typed().header("X-GitHub-Delivery", "d-1"), 400, "X-GitHub-Event").await;
    for (body, why) in
        [(&b"{\"action\": \"crea"[..], "not JSON"), (b"", "not JSON"), (br#"{"action": "created"}"#, "missing field")]
    {
        refused(service.delivery("d-1", "issue_comment", body), 400, why).await;
    }
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    refused(service.delivery("d-1", "issue_comment", deep.as_bytes()), 400, "nested").await;
    let large = vec![b' '; 26 * 1024 * 1024];
    refused(service.delivery("d-1", "issue_comment", &large), 413, "25 MB").await;
    // Without a length at all, in chunks.
    let chunks = futures::stream::iter((0..26).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024 * 1024])));
    refused(good().body(reqwest::Body::wrap_stream(chunks)), 413, "25 MB").await;
    assert_eq!(service.get("/webhook").await.0, 404, "JSON, too");
    assert_eq!(rows(&world).await, []);
    assert_eq!(answer(good()).await.0, 202, "and the service goes on");
    let log = service.log();
    assert!(!log.contains("/bisect") && !log.contains("a secret of the tests"), "{log}");
    service.stop().await;
}

#[tokio::test]
async fn a_body_that_ends_before_its_length_is_no_delivery() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let body = a_comment(31);
    let mut stream = tokio::net::TcpStream::connect(service.address.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Delivery: d-1\r\n\
         X-GitHub-Event: issue_comment\r\nX-Hub-Signature-256: {}\r\nContent-Length: {}\r\n\r\n",
        sign(&body),
        body.len() + 100
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(!said.starts_with("HTTP/1.1 2"), "{said}");
    assert_eq!(rows(&world).await, []);
    service.stop().await;
}

#[tokio::test]
async fn an_address_that_sends_too_much_unsigned_is_limited_and_github_is_not() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let body = a_comment(31);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/webhook", service.address);
    let unsigned = async || answer(client.post(&url).header("X-Hub-Signature-256", "x").body("{}")).await.0;
    let mut limited = false;
    for _ in 0..2000 {
        if unsigned().await == 429 {
            limited = true;
            break;
        }
    }
    assert!(limited);
    assert_eq!(service.deliver("d-1", "issue_comment", &body).await.0, 202, "signed, from the same address");
    assert_eq!(service.get("/health").await.0, 200);
    service.stop().await;
}

#[tokio::test]
async fn without_a_secret_every_webhook_is_refused() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one").without("GITHUB_WEBHOOK_SECRET")).await;
    let (status, answer) = service.deliver("d-1", "issue_comment", &a_comment(31)).await;
    assert_eq!(status, 401);
    assert!(answer["error"].as_str().unwrap().contains("GITHUB_WEBHOOK_SECRET"));
    service.stop().await;
}

/// 300 deliveries a second for 30 s at one instance with its private PostgreSQL, which waits for the
/// disk. `cargo nextest run --release -p bisectd --run-ignored all webhooks_per_second --no-capture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn webhooks_per_second() {
    const RATE: u32 = 300;
    const COUNT: u32 = 30 * RATE;
    let world = World::new(Project::linear(2)).await;
    let service = std::sync::Arc::new(Service::start(world.serve("one").without("DATABASE_URL")).await);
    let began = tokio::time::Instant::now();
    let sent = (0..COUNT).map(|n| {
        let service = std::sync::Arc::clone(&service);
        tokio::spawn(async move {
            let due = began + std::time::Duration::from_secs(1) * n / RATE;
            tokio::time::sleep_until(due).await;
            let (status, _) = service.deliver(&format!("d-{n}"), "issue_comment", &a_comment(n.into())).await;
            (status, due.elapsed())
        })
    });
    let mut took = Vec::new();
    for answer in futures::future::join_all(sent).await {
        let (status, time) = answer.unwrap();
        assert_eq!(status, 202);
        took.push(time);
    }
    took.sort_unstable();
    let at = |part: usize| took[took.len() * part / 1000 - 1];
    println!("{RATE}/s, {COUNT}: median {:?}, p95 {:?}, p99 {:?}, longest {:?}", at(500), at(950), at(990), at(1000));
    let service = std::sync::Arc::into_inner(service).unwrap();
    service.stop().await;
}
