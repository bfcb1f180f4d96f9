//! Logs: everything that was stored, then what comes, with nothing missing and nothing twice.

use crate::support::{Console, Lines, Project, Service, TestDb, World, database, eventually, sample};
use base64::{Engine, engine::general_purpose::STANDARD};
use bisect_shared::{
    InstanceId, JobId, ProbeId, Purpose,
    admin::{LogPiece, Strip},
};
use bisectd::{
    db::{
        jobs::{Progress, Standing},
        log_chunks::{Position, append_log},
        probes::{NewProbe, start_probes},
    },
    queue::{Claim, Clocks, Queue},
    tail::{Reader, Tail},
};
use http_body_util::BodyExt;
use hyper::Method;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

type Pieces = Vec<LogPiece>;

async fn next(lines: &mut Lines) -> Option<LogPiece> {
    let line = lines.next().await?.unwrap();
    Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

async fn all(console: &Console, path: &str) -> Pieces {
    let (mut lines, mut pieces) = (console.lines(path).await, Vec::new());
    while let Some(piece) = next(&mut lines).await {
        pieces.push(piece);
    }
    pieces
}

/// What each probe printed, by these pieces; each piece may come once, and in order.
fn printed(pieces: &[LogPiece]) -> BTreeMap<ProbeId, Vec<u8>> {
    let mut printed: BTreeMap<ProbeId, (i64, Vec<u8>)> = BTreeMap::new();
    for piece in pieces {
        let (next, bytes) = printed.entry(piece.probe).or_default();
        assert_eq!(piece.seq, *next, "of probe {}: nothing missing, nothing twice", piece.probe);
        *next += 1;
        bytes.extend(STANDARD.decode(&piece.bytes).unwrap());
    }
    printed.into_iter().map(|(probe, (_, bytes))| (probe, bytes)).collect()
}

/// The same as it is stored.
async fn stored(world: &World, job: JobId) -> BTreeMap<ProbeId, Vec<u8>> {
    let mut stored = BTreeMap::new();
    let mut tx = world.db.db.begin().await.unwrap();
    for probe in world.probes(job).await {
        let chunks = bisectd::db::log_chunks::log(&mut tx, job, probe.id, None, 100_000).await.unwrap();
        if !chunks.is_empty() {
            stored.insert(probe.id, chunks.into_iter().flat_map(|chunk| chunk.bytes).collect());
        }
    }
    stored
}

#[tokio::test]
async fn a_log_that_is_followed_elsewhere_and_cut_goes_on_where_it_was() {
    let world = World::new(Project::linear(9)).await;
    let other = Service::start(world.serve("other")).await;
    // Some output at once, some in time, and bytes of any kind.
    let script = "printf 'commit '; cat n; printf '\\000\\377\\n'; for i in 1 2 3; do echo line $i; sleep 0.3; done; \
                  head -c 100000 /dev/zero; test $(cat n) -lt 5";
    let job = world.enqueue(script).await;
    let one = Service::start(world.serve("one")).await;
    let console = Console::of(&world, "one");
    let (mut pieces, mut cuts) = (Vec::<LogPiece>::new(), 0);
    loop {
        let known: BTreeMap<i64, i64> = pieces.iter().map(|piece| (piece.probe.0, piece.seq)).collect();
        let after: Vec<String> = known.iter().map(|(probe, seq)| format!("{probe}:{seq}")).collect();
        let mut lines = console.lines(&format!("/v1/jobs/{job}/log?follow=true&after={}", after.join(","))).await;
        // Cut in the middle again and again, then followed to the end.
        let wanted = if cuts < 5 { 4 } else { usize::MAX };
        let mut taken = 0;
        let ended = loop {
            match next(&mut lines).await {
                None => break true,
                Some(piece) => pieces.push(piece),
            }
            taken += 1;
            if taken == wanted {
                break false;
            }
        };
        if ended {
            break;
        }
        cuts += 1;
    }
    assert_eq!(cuts, 5, "it was cut");
    assert!(world.jobs().await[0].status.is_final(), "a followed log ends with its job");
    let stored = stored(&world, job).await;
    assert_eq!(printed(&pieces), stored);
    assert!(stored.len() >= 4 && stored.values().all(|bytes| bytes.len() > 100_000), "all of it was printed");
    // By probe when nothing is followed; and one by one; and as bytes.
    let at_rest = all(&console, &format!("/v1/jobs/{job}/log")).await;
    assert_eq!(printed(&at_rest), stored);
    assert!(at_rest.is_sorted_by_key(|piece| (piece.probe, piece.seq)));
    let (probe, bytes) = stored.iter().next().unwrap();
    let of_one = all(&console, &format!("/v1/jobs/{job}/log?probe={probe}&follow=true")).await;
    assert_eq!(printed(&of_one), BTreeMap::from([(*probe, bytes.clone())]));
    let text = console.one().await.ask(Method::GET, &format!("/v1/jobs/{job}/log?format=text"), "").await.unwrap();
    let text = text.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, stored.values().flatten().copied().collect::<Vec<u8>>());
    let (status, body) = console.get(&format!("/v1/jobs/{job}/log?probe=999999")).await;
    assert!(status == 404 && body["error"].as_str().unwrap().contains("has no run 999999"), "{body}");
    other.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn what_is_printed_is_told_at_once_and_a_log_at_rest_ends() {
    let world = World::new(Project::linear(9)).await;
    let go = world.path("go");
    let script = format!("echo first; while ! test -e {0}; do sleep 0.02; done; cat {0}; sleep 1000", go.display());
    let service = Service::start(world.serve("one")).await;
    let job = world.enqueue(&script).await;
    let console = Console::of(&world, "one");
    let mut lines = console.lines(&format!("/v1/jobs/{job}/log?follow=true")).await;
    let first = next(&mut lines).await.unwrap();
    assert_eq!(STANDARD.decode(first.bytes).unwrap(), b"first\n");
    // Two followers, one query; whoever does not follow hears what there is.
    let mut also = console.lines(&format!("/v1/jobs/{job}/log?follow=true&after={}:{}", first.probe, first.seq)).await;
    assert!(!all(&console, &format!("/v1/jobs/{job}/log")).await.is_empty());
    let mut best = Duration::MAX;
    std::fs::write(world.path("new"), "second\n").unwrap();
    let printed = Instant::now();
    std::fs::rename(world.path("new"), &go).unwrap();
    for lines in [&mut lines, &mut also] {
        loop {
            let piece = next(lines).await.unwrap();
            if STANDARD.decode(piece.bytes).unwrap().ends_with(b"second\n") {
                break;
            }
        }
        best = best.min(printed.elapsed());
    }
    println!("told {best:?} after it was printed");
    assert!(best < Duration::from_secs(2), "{best:?}");
    // A stream that is not at its end breaks: nobody may take it for the whole.
    service.stop().await;
    let end = loop {
        match lines.next().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(end, Some(Err(_))), "{end:?}");
}

#[tokio::test]
async fn a_follower_who_does_not_read_holds_nobody_up() {
    let world = World::new(Project::linear(3)).await;
    let service = Service::start(world.serve("one")).await;
    let console = Console::of(&world, "one");
    let job = world.enqueue("head -c 3000000 /dev/urandom; test $(cat n) -lt 1").await;
    let mut slow = console.lines(&format!("/v1/jobs/{job}/log?follow=true")).await;
    eventually("the job ends", async || world.job().await.status.is_final().then_some(())).await;
    // Head and tail of each run, and what is said of the gap: more than a connection holds.
    let mut pieces = Vec::new();
    while let Some(piece) = next(&mut slow).await {
        pieces.push(piece);
    }
    let stored = stored(&world, job).await;
    assert!(stored.values().map(Vec::len).sum::<usize>() > 6_000_000);
    assert!(printed(&pieces) == stored, "all of it, late as it was");
    service.stop().await;
}

/// A worker's output, which a test stores by hand.
struct Printing {
    world: TestDb,
    lease: bisectd::db::Lease,
    probe: ProbeId,
    printed: i64,
}

impl Printing {
    async fn begin() -> Self {
        let world = database().await;
        let queue = Queue::new(world.db.clone(), InstanceId("a".into()), Clocks::default(), "here".into());
        sample::enqueue(&queue).await.unwrap();
        let (lease, _) = queue.claim(Claim::Any).await.unwrap().unwrap();
        let new = NewProbe { commit: sample::sha(4), purpose: Purpose::Search, lane: 0, position: None };
        let standing = Standing {
            progress: Progress { candidates_left: 2, expected_probes: 1.0 },
            candidates: 2,
            strip: Strip::default(),
        };
        let probe = start_probes(&world.db, &lease, &[new], &standing).await.unwrap()[0];
        Self { world, lease, probe, printed: 0 }
    }

    async fn print(&mut self, pieces: i64) {
        for _ in 0..pieces {
            append_log(&self.world.db, &self.lease, self.probe, self.printed, b"x").await.unwrap();
            self.printed += 1;
        }
    }
}

/// The numbers of the next pieces.
async fn numbers(reader: &mut Reader, count: usize) -> Vec<i64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(Duration::from_secs(60), reader.next()).await.expect("a piece");
        numbers.push(next.unwrap().unwrap().seq);
    }
    numbers
}

#[tokio::test]
async fn what_is_stored_and_told_at_once_comes_once() {
    let mut printing = Printing::begin().await;
    let tail = Tail::new(printing.world.db.clone());
    let follow = || tail.read(printing.lease.job(), None, Position::new(), true);
    let (mut early, mut late) = (follow(), follow());
    printing.print(1).await;
    assert_eq!(numbers(&mut early, 1).await, [0]);
    // It waits for more, and so the hub knows from where on it is to tell; but it does not look yet.
    assert!(tokio::time::timeout(Duration::from_millis(300), early.next()).await.is_err(), "nothing came");
    // What comes now both read by themselves, or hear of from the hub.
    printing.print(3).await;
    assert_eq!(numbers(&mut late, 4).await, [0, 1, 2, 3]);
    assert!(tokio::time::timeout(Duration::from_millis(300), late.next()).await.is_err(), "nothing more came");
    let stopping = CancellationToken::new();
    let hub = tokio::spawn(tail.clone().run(stopping.clone()));
    assert_eq!(numbers(&mut early, 3).await, [1, 2, 3]);
    printing.print(1).await;
    assert_eq!(numbers(&mut late, 1).await, [4], "not once more what it read");
    assert_eq!(numbers(&mut early, 1).await, [4]);
    // More than the hub keeps for whoever does not read.
    printing.print(100).await;
    let mut third = tail.read(printing.lease.job(), None, [(printing.probe, 103)].into(), true);
    assert_eq!(numbers(&mut third, 1).await, [104]);
    let wanted: Vec<i64> = (5..105).collect();
    assert_eq!(numbers(&mut late, 100).await, wanted);
    assert_eq!(numbers(&mut early, 100).await, wanted);
    stopping.cancel();
    hub.await.unwrap();
}
