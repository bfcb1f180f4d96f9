//! Losing a connection and finding it again.

use crate::support::{
    daemon::{Daemon, World},
    listener::{Listener, at, clocks},
    samples::job,
};
use bisect_shared::{
    JobId, JobStatus,
    admin::{API_VERSION, Event},
};
use bisect_tui::{
    client::Client,
    feed::{Clocks, Order, Session},
    message::{Link, Message},
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::UnixListener};

/// The jobs of one whole snapshot, and how many pages it had.
async fn snapshot(listener: &mut Listener) -> (Vec<i64>, usize) {
    let (mut ids, mut pages) = (Vec::new(), 0);
    listener
        .wait(|message| {
            let Message::Jobs { page, first, last } = message else { return None };
            if first {
                (ids, pages) = (Vec::new(), 0);
            }
            pages += 1;
            ids.extend(page.jobs.iter().map(|job| job.id.0));
            last.then_some(())
        })
        .await;
    (ids, pages)
}

#[tokio::test]
async fn hello_then_everything_then_changes() {
    let daemon = Daemon::start(World::new());
    daemon.world.set(|facts| facts.jobs.extend((1..=1200).map(|id| (id, job(id, JobStatus::Completed)))));
    let mut listener = Listener::to(&daemon);
    assert!(matches!(listener.next().await, Message::Link(Link::Connecting { attempt: 1 })));
    assert!(matches!(listener.next().await, Message::Link(Link::Up(hello)) if hello.operator == "ada"));
    assert!(matches!(listener.next().await, Message::Instances(list) if list.instances.len() == 1));
    let (ids, pages) = snapshot(&mut listener).await;
    assert_eq!((ids, pages), ((1..=1200).rev().collect(), 3));
    daemon.world.put(job(1201, JobStatus::Pending));
    let new = listener.wait(|message| match message {
        Message::Event(Event::Job(job)) => Some(job.id),
        _ => None,
    });
    assert_eq!(new.await, JobId(1201));
}

#[tokio::test]
async fn of_very_many_jobs_the_newest_ten_thousand() {
    let daemon = Daemon::start(World::new());
    daemon.world.set(|facts| facts.jobs.extend((1..=12_000).map(|id| (id, job(id, JobStatus::Completed)))));
    let mut listener = Listener::to(&daemon);
    let (ids, pages) = snapshot(&mut listener).await;
    assert_eq!((ids.len(), ids.last(), pages), (10_000, Some(&2001), 20));
}

#[tokio::test]
async fn many_resyncs_are_few_snapshots() {
    let daemon = Daemon::start(World::new());
    daemon.world.put(job(1, JobStatus::Running));
    let mut listener = Listener::to(&daemon);
    snapshot(&mut listener).await;
    for _ in 0..300 {
        daemon.world.tell(Event::Resync);
    }
    daemon.world.put(job(2, JobStatus::Running));
    while snapshot(&mut listener).await.0 != [2, 1] {}
    let asked = daemon.world.asked("GET /v1/jobs?limit=500");
    assert!((2..8).contains(&asked), "{asked} snapshots");
}

#[tokio::test]
async fn a_restarted_daemon_is_found_and_asked_anew() {
    let daemon = Daemon::start(World::new());
    daemon.world.put(job(1, JobStatus::Running));
    let mut listener = Listener::to(&daemon);
    assert_eq!(snapshot(&mut listener).await.0, [1]);
    let daemon = daemon.restart(true).await;
    let (why, again) = listener.down().await;
    assert!(why.contains("lost: bisectd ended the connection") && again, "{why}");
    daemon.world.put(job(2, JobStatus::Running));
    assert_eq!(snapshot(&mut listener).await.0, [2, 1]);
    daemon.die();
    assert!(listener.down().await.0.contains("lost"));
    until_down_with(&mut listener, "nobody listens").await;
    std::fs::remove_file(&daemon.socket).unwrap();
    until_down_with(&mut listener, "there is no socket").await;
}

async fn until_down_with(listener: &mut Listener, text: &str) {
    loop {
        let (why, again) = listener.down().await;
        assert!(again, "{why}");
        if why.contains(text) {
            return;
        }
    }
}

#[tokio::test]
async fn a_silent_connection_is_dead() {
    let daemon = Daemon::start(World { ticks: false, ..World::new() });
    let clocks = Clocks { silence: Duration::from_millis(300), ..clocks() };
    let since = Instant::now();
    let mut listener = Listener::start(at(&daemon.socket), None, clocks);
    let (why, again) = listener.down().await;
    assert!(why.contains("nothing was heard for 0.3 s") && again, "{why}");
    assert!(since.elapsed() >= Duration::from_millis(300));
    listener.up().await;
}

#[tokio::test]
async fn pauses_are_cut_short_by_a_person() {
    let daemon = Daemon::start(World::new());
    let slow = Clocks { first_pause: Duration::from_secs(600), longest_pause: Duration::from_secs(600), ..clocks() };
    let mut listener = Listener::start(at(&daemon.socket), None, slow);
    listener.up().await;
    daemon.world.cut();
    listener.down().await;
    listener.order(Order::Connect).await;
    listener.up().await;
}

#[tokio::test]
async fn a_connection_made_by_hand_is_used_and_switching_changes_the_turn() {
    let (one, other) = (Daemon::start(World::new()), Daemon::start(World::new()));
    let clocks = clocks();
    let session = Session::open(&at(&one.socket), true, &clocks).await.unwrap();
    let mut listener = Listener::start(at(&one.socket), Some(session), clocks.clone());
    listener.up().await;
    listener.order(Order::Hold).await;
    let session = Session::open(&at(&one.socket), true, &clocks).await.unwrap();
    listener.order(Order::Use(Box::new(session))).await;
    listener.up().await;
    assert_eq!(one.world.connections.load(Ordering::Relaxed), 2, "it did not connect by itself");
    listener.order(Order::Switch(Box::new(at(&other.socket)), 1)).await;
    loop {
        let told = listener.feed.told.recv().await.unwrap();
        if matches!(told.message, Message::Link(Link::Up(_))) {
            assert_eq!(told.turn, 1);
            break;
        }
    }
    assert_eq!(other.world.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_later_protocol_is_not_tried_again() {
    let daemon = Daemon::start(World { api: API_VERSION + 1, ..World::new() });
    let mut listener = Listener::to(&daemon);
    let (why, again) = listener.down().await;
    assert!(why.contains("upgrade bisect-tui") && !again, "{why}");
    assert_eq!(daemon.world.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_is_not_bisectd_is_told_as_such() {
    for (said, text, again) in [
        (
            &b"220 mail.example.com ESMTP\x1b]0;owned\x07\r\n"[..],
            "is not bisectd: it says `220 mail.example.com ESMTP`",
            false,
        ),
        (b"", "closed the connection without a word", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listening = UnixListener::bind(&socket).unwrap();
        let answering = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listening.accept().await {
                stream.write_all(said).await.unwrap();
            }
        });
        let mut listener = Listener::start(at(&socket), None, clocks());
        assert!(matches!(listener.next().await, Message::Link(Link::Connecting { .. })));
        let (why, tried) = listener.down().await;
        assert!(why.contains(text), "{why}");
        assert_eq!(tried, again, "{why}");
        answering.abort();
    }
}

#[tokio::test]
async fn a_line_without_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let listening = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listening.accept().await.unwrap();
        let endless = async || {
            let lines =
                futures::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b'x'; 65_536])));
            ([("bisect-admin-api", "1")], axum::body::Body::from_stream(lines))
        };
        let app = axum::Router::new().route("/v1/events", axum::routing::get(endless));
        let service = hyper_util::service::TowerToHyperService::new(app);
        let builder = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
        let _ = builder.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
    });
    let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let (client, _) = Client::start(stream, Duration::from_secs(5)).await.unwrap();
    let error = client.stream::<Event>("/v1/events", false).await.unwrap().next().await.unwrap_err();
    assert!(error.to_string().contains("a line is longer than"), "{error}");
}
