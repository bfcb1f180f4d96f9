//! `/api/events`: what changes, told once to whom it concerns, and again to whoever comes back.

use super::Site;
use crate::support::PATIENCE;
use futures::StreamExt;
use serde_json::Value;
use std::time::Duration;

/// One event of a stream.
#[derive(Debug, Default, Clone)]
pub struct Told {
    pub event: String,
    pub id: String,
    pub data: Value,
}

/// A stream of events as a browser reads it.
pub struct Stream {
    bytes: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
    pub comments: usize,
}

impl Stream {
    pub async fn open(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        Self { bytes: Box::pin(response.bytes_stream()), text: String::new(), comments: 0 }
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Told> {
        let mut told = Told::default();
        loop {
            let line = self.line().await?;
            match line.split_once(':') {
                Some(("", _)) => self.comments += 1,
                Some(("event", name)) => name.trim().clone_into(&mut told.event),
                Some(("id", id)) => id.trim().clone_into(&mut told.id),
                Some(("data", data)) => told.data = serde_json::from_str(data).unwrap(),
                _ if line.is_empty() && !told.event.is_empty() => return Some(told),
                _ => {}
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find('\n') {
                let rest = self.text.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.text, rest);
                line.pop();
                return Some(line);
            }
            let more = tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("a word in time");
            self.text.push_str(std::str::from_utf8(&more?.ok()?).unwrap());
        }
    }

    /// The next event of a kind.
    pub async fn wait(&mut self, event: &str) -> Told {
        loop {
            let told = self.next().await.expect("the stream goes on");
            if told.event == event {
                return told;
            }
        }
    }
}

impl Site {
    pub fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.service.address))
    }

    /// A change as a worker makes it.
    pub async fn change(&self, job: i64) {
        self.sql(&format!(
            "UPDATE bisect_jobs SET event_seq = event_seq + 1 WHERE id = {job}; \
             INSERT INTO job_events (job_id, seq, kind, epoch) SELECT id, event_seq, 'joined', 0 FROM bisect_jobs WHERE id = {job}; \
             SELECT pg_notify('bisect_jobs', id || ' ' || event_seq || ' joined') FROM bisect_jobs WHERE id = {job}"
        ))
        .await;
    }
}

#[tokio::test]
async fn a_change_is_told_to_those_who_may_know_of_it() {
    let site = Site::new().await;
    let mut all = Stream::open(site.get("/api/events")).await;
    let hello = all.wait("hello").await;
    let mut one = Stream::open(site.get("/api/events?job=5")).await;
    one.wait("hello").await;
    all.wait("resync").await;
    // Private ones and those of a shell first: what is told then is the public one.
    for job in [1, 2, 10, 4] {
        site.change(job).await;
    }
    let told = all.wait("job").await;
    assert_eq!((&told.data["id"], &told.data["seq"]), (&4.into(), &2.into()), "{told:?}");
    assert!(told.id.parse::<i64>().unwrap() > hello.id.parse::<i64>().unwrap());
    site.change(5).await;
    assert_eq!(one.wait("job").await.data["id"], 5);
    assert_eq!(all.wait("job").await.data["id"], 5);

    // Who comes back is told what happened meanwhile, and nothing foreign.
    drop(all);
    site.change(6).await;
    site.change(1).await;
    let mut back = Stream::open(site.get("/api/events").header("Last-Event-ID", &told.id)).await;
    back.wait("hello").await;
    let mut missed = vec![];
    while !missed.contains(&6) {
        missed.push(back.wait("job").await.data["id"].as_i64().unwrap());
    }
    assert!(!missed.iter().any(|job| [1, 2, 10].contains(job)), "{missed:?}");
    for unknown in ["999999999", "x"] {
        let mut back = Stream::open(site.get("/api/events").header("Last-Event-ID", unknown)).await;
        back.wait("resync").await;
    }
    for (path, status) in [("?job=1", 404), ("?job=2", 404), ("?job=x", 400)] {
        assert_eq!(site.ask(&format!("/api/events{path}")).await.status(), status, "{path}");
    }
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_and_ends_with_the_service() {
    let site = Site::new().await;
    let mut stream = Stream::open(site.get("/api/events?job=4")).await;
    stream.wait("hello").await;
    let started = tokio::time::Instant::now();
    stream.wait("resync").await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    site.change(4).await;
    stream.wait("job").await;
    assert!(stream.comments > 0, "no comment in {:?}", started.elapsed());
    site.hub.stop(site.service).await;
    assert!(stream.next().await.is_none_or(|told| told.event == "job" || told.event == "resync"));
}

#[tokio::test]
async fn output_is_told_as_it_comes_and_goes_on_where_it_was() {
    let site = Site::new().await;
    let mut ended = Stream::open(site.get("/api/jobs/3/log/events?probe=4")).await;
    let told = ended.wait("output").await;
    assert_eq!(told.data["spans"][0], serde_json::json!({"class": "f1", "text": "<b>red</b>\n"}));
    assert_eq!(told.id, "4:0");
    ended.wait("end").await;

    site.sql(
        "UPDATE bisect_jobs SET status = 'running', worker_id = 'w', heartbeat_at = now(), claim_epoch = 1 WHERE id = 4; \
         INSERT INTO probes (id, job_id, epoch, commit_sha, purpose, lane) VALUES (50, 4, 1, repeat('b', 40), 'search', 0); \
         INSERT INTO log_chunks VALUES (50, 0, E'one\\n')",
    )
    .await;
    let mut stream = Stream::open(site.get("/api/jobs/4/log/events?probe=50")).await;
    assert_eq!(stream.wait("output").await.data["spans"][0]["text"], "one\n");
    site.sql("INSERT INTO log_chunks VALUES (50, 1, E'two\\n')").await;
    let told = stream.wait("output").await;
    assert_eq!((told.data["spans"][0]["text"].as_str(), told.id.as_str()), (Some("two\n"), "50:1"));
    let mut back = Stream::open(site.get("/api/jobs/4/log/events?probe=50").header("Last-Event-ID", "50:0")).await;
    assert_eq!(back.wait("output").await.data["spans"][0]["text"], "two\n");
    site.sql(
        "UPDATE probes SET ending = 'exited', exit_code = 1, finished_at = now() WHERE id = 50; \
              UPDATE bisect_jobs SET status = 'cancelled', completed_at = now() WHERE id = 4",
    )
    .await;
    stream.wait("end").await;
    for path in ["1/log/events", "2/log/events", "3/log/events?probe=1"] {
        assert_eq!(site.ask(&format!("/api/jobs/{path}")).await.status(), 404, "{path}");
    }
    site.hub.stop(site.service).await;
}
