//! Streams of events under load: many viewers cost one reader, nobody has all the room, nobody who does not read holds
//! others back, and nobody goes on who may not.

use super::{Site, acts::Session, events::Stream};
use crate::support::{PATIENCE, eventually};
use reqwest::{RequestBuilder, header::COOKIE};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

/// So many may look at everything, and at the output of one job.
const VIEWERS: usize = 500;
const READERS: usize = 50;

impl Site {
    /// A request through the proxy that is trusted, of somebody at this address.
    fn at(&self, path: &str, address: usize) -> RequestBuilder {
        let address = format!("10.0.{}.{}", address / 250, address % 250 + 1);
        self.get(path).header("X-Forwarded-For", address)
    }

    fn of(&self, path: &str, session: &Session) -> RequestBuilder {
        self.get(path).header(COOKIE, &session.cookie)
    }

    /// A job that runs and prints, which a test plays.
    async fn running(&self, job: i64, probe: i64) {
        self.sql(&format!(
            "UPDATE bisect_jobs SET status = 'running', worker_id = 'w', heartbeat_at = now(), claim_epoch = 1 WHERE id = {job}; \
             INSERT INTO probes (id, job_id, epoch, commit_sha, purpose, lane) VALUES ({probe}, {job}, 1, repeat('b', 40), 'search', 0)"
        ))
        .await;
    }

    /// How many statements the service has sent so far.
    async fn transactions(&self) -> i64 {
        self.hub.count("SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database WHERE datname = current_database()").await
    }

    /// The memory of the service that is not shared, in KiB.
    fn resident(&self) -> i64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.service.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What `/metrics` says of this.
    async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.service.text("/metrics").await;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }
}

#[tokio::test]
async fn five_hundred_viewers_cost_one_reader() {
    let site = Site::new().await;
    let mut streams = Vec::new();
    for viewer in 0..VIEWERS {
        let mut stream = Stream::open(site.at("/api/events", viewer)).await;
        stream.wait("hello").await;
        streams.push(stream);
    }
    assert_eq!(site.metric("bisectd_event_streams").await, Some(VIEWERS as f64));
    let (before, memory) = (site.transactions().await, site.resident());
    let changes = 20;
    for n in 0..changes {
        let job = 4 + n % 3;
        site.change(job).await;
        for stream in &mut streams {
            while stream.wait("job").await.data["id"] != job {}
        }
    }
    let mut after = 0;
    eventually("the counts are written", async || {
        after = site.transactions().await;
        (after > before).then_some(())
    })
    .await;
    // Each of them reading for itself would have made 10,000.
    assert!(after - before < 1500, "{} transactions", after - before);
    assert!(site.resident() - memory < 50_000, "{} KiB more", site.resident() - memory);
    drop(streams);
    eventually("their room is free again", async || {
        // A stream notices that nobody is there when it says that it is.
        site.metric("bisectd_event_streams").await.filter(|open| *open == 0.0).map(drop)
    })
    .await;
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn fifty_readers_of_a_chatty_job_and_one_who_does_not_read() {
    let site = Site::new().await;
    site.running(4, 50).await;
    site.running(5, 51).await;
    let path = "/api/jobs/4/log/events?probe=50";
    // One who asks for 25 MB, and then reads nothing.
    site.sql(
        "INSERT INTO log_chunks SELECT 51, n, convert_to(rpad(n || ' ', 64000, 'x') || chr(10), 'UTF8') \
         FROM generate_series(0, 399) AS n",
    )
    .await;
    let address = site.service.address.trim_start_matches("http://");
    let deaf = TcpSocket::new_v4().unwrap();
    deaf.set_recv_buffer_size(4096).unwrap();
    let mut deaf = deaf.connect(address.parse().unwrap()).await.unwrap();
    deaf.write_all(
        format!("GET /api/jobs/5/log/events HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .await
    .unwrap();
    let mut readers = Vec::new();
    for reader in 0..READERS {
        readers.push(Stream::open(site.at(path, reader)).await);
    }
    eventually("all of them are there", async || {
        site.metric("bisectd_event_streams").await.filter(|open| *open == (READERS + 1) as f64).map(drop)
    })
    .await;
    let (before, memory) = (site.transactions().await, site.resident());
    // 2.5 MB, as a program prints them.
    let (pieces, each) = (40, 64_000);
    let printing = tokio::spawn({
        let mut raw = site.hub.world.db.raw().await;
        async move {
            let sql = "INSERT INTO log_chunks SELECT 50, $1, convert_to(rpad($1 || ' ', $2, 'x') || chr(10), 'UTF8')";
            for seq in 0..i64::from(pieces) {
                sqlx::query(sql).bind(seq).bind(each).execute(&mut raw).await.unwrap();
            }
        }
    });
    let reading = readers.into_iter().map(|mut reader| async move {
        let mut next = 0;
        while next < pieces {
            let told = reader.wait("output").await;
            let text = told.data["spans"][0]["text"].as_str().unwrap();
            assert!(text.starts_with(&format!("{next} ")), "in order, each once: {text:.20}");
            next += 1;
        }
    });
    let read = futures::future::join_all(reading);
    tokio::time::timeout(PATIENCE, read).await.expect("nobody is held back");
    printing.await.unwrap();
    let mut after = 0;
    eventually("the counts are written", async || {
        after = site.transactions().await;
        (after > before).then_some(())
    })
    .await;
    // 40 that were made by printing. 50 readers for themselves, five times a second, would have made thousands.
    assert!(after - before < 2500, "{} transactions", after - before);
    assert!(site.resident() - memory < 100_000, "{} KiB more", site.resident() - memory);
    // It has ended for whoever did not read: what comes now is the rest that was on its way, and the end.
    eventually("the deaf one is cut off", async || {
        site.service.log().contains("a stream that nobody reads was cut off").then_some(())
    })
    .await;
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, deaf.read_to_end(&mut rest)).await.expect("it ends").unwrap();
    // What the kernel held for it, and not all of what was printed.
    assert!(rest.len() < 15_000_000, "{} bytes", rest.len());
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn one_viewer_has_so_much_room_and_is_told_when_to_come_again() {
    let site = Site::new().await;
    let mut mine = Vec::new();
    let refused = loop {
        let response = site.at("/api/events", 0).send().await.unwrap();
        if response.status() != 200 {
            break response;
        }
        mine.push(response);
    };
    assert_eq!((refused.status().as_u16(), mine.len()), (429, 40));
    assert_eq!(refused.headers()["retry-after"], "30");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("40 streams of yours are open"), "{problem}");
    // Others have theirs, the same person signed in too.
    let ada = site.session(1).await;
    Stream::open(site.at("/api/events", 1)).await.wait("hello").await;
    Stream::open(site.of("/api/events", &ada)).await.wait("hello").await;
    mine.clear();
    eventually("there is room again", async || {
        (site.at("/api/events", 0).send().await.unwrap().status() == 200).then_some(())
    })
    .await;
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_with_the_right_to_see_its_job() {
    let site = Site::new().await;
    let ada = site.session(1).await;
    site.sql(
        "INSERT INTO bisect_jobs (id, installation_id, repository_id, good_sha, bad_sha, command, event_seq, available_at) \
           VALUES (30, 500, 1, repeat('a', 40), repeat('b', 40), '{true}', 1, now() + interval '1 day')",
    )
    .await;
    site.running(30, 60).await;
    site.sql("INSERT INTO log_chunks VALUES (60, 0, E'secret output\\n')").await;
    let log = "/api/jobs/30/log/events";
    for (what, sql) in [
        ("the right", "DELETE FROM user_repositories WHERE user_id = 1"),
        ("the session", "DELETE FROM sessions WHERE user_id = 1"),
    ] {
        let mut streams = [
            Stream::open(site.of(log, &ada)).await,
            Stream::open(site.of("/api/events?job=30", &ada)).await,
            Stream::open(site.of("/api/events", &ada)).await,
        ];
        for stream in &mut streams[1..] {
            stream.wait("hello").await;
        }
        assert_eq!(streams[0].wait("output").await.data["spans"][0]["text"], "secret output\n");
        site.sql(sql).await;
        // What is looked at without a job is told by who may see it; it ends with the session only.
        let ends = if what == "the right" { 2 } else { 3 };
        for stream in &mut streams[..ends] {
            while stream.next().await.is_some() {}
        }
        site.sql(
            "INSERT INTO user_repositories (user_id, repository_id, permission, expires_at) \
                  VALUES (1, 1, 'write', now() + interval '1 hour') ON CONFLICT DO NOTHING",
        )
        .await;
        let again = site.of(log, &ada).send().await.unwrap().status();
        assert_eq!(again, if what == "the right" { 200 } else { 404 }, "without {what}");
    }
    // A public repository that becomes private ends the streams of those who are not signed in.
    site.running(4, 50).await;
    let mut anybody = Stream::open(site.get("/api/jobs/4/log/events")).await;
    site.sql("INSERT INTO log_chunks VALUES (50, 0, 'one')").await;
    anybody.wait("output").await;
    site.sql("UPDATE repositories SET private = true WHERE id = 2").await;
    while anybody.next().await.is_some() {}
    site.hub.stop(site.service).await;
}
