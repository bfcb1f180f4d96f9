//! A fleet with jobs, as tests and measurements need it.

#![allow(missing_docs, dead_code, reason = "for tests, each of which uses a part of it")]

use base64::{Engine, engine::general_purpose::STANDARD};
use bisect_shared::{
    Ending, Epoch, InstanceId, JobId, JobStatus, ProbeId, Purpose, ResultKind, Sha, Verdict,
    admin::{
        AuditEntry, AuditPage, Hello, HistoryEntry, InstanceList, InstanceView, JobDetail, JobView, LogPiece, Overview,
        ProbeView, Rate, ResultCount, Strip, StripMark,
    },
};
use chrono::{DateTime, TimeDelta, Utc};

/// When all this is seen.
pub fn now() -> DateTime<Utc> {
    "2026-11-26T10:30:00Z".parse().unwrap_or_default()
}

pub fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

pub fn sha(number: u64) -> Sha {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 20];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = (mixed >> (8 * (place % 8))) as u8 ^ place as u8;
    }
    Sha::from_bytes(bytes)
}

pub fn worker(number: u8) -> InstanceId {
    InstanceId(format!("build-{number}-4711-1795687200-a{number}c4"))
}

pub fn hello() -> Hello {
    Hello {
        api: 1,
        version: "0.1.0".to_owned(),
        instance: worker(1),
        host: "build-1".to_owned(),
        operator: "grace".to_owned(),
        now: now(),
        database: true,
    }
}

/// A job that runs.
pub fn job(id: i64) -> JobView {
    JobView {
        id: JobId(id),
        status: JobStatus::Running,
        result: None,
        repository: "ada/demo".to_owned(),
        private: false,
        issue: Some(17),
        requested_by: Some("ada".to_owned()),
        retry_of: None,
        candidates_left: Some(12),
        candidates: Some(1024),
        probes_done: 8,
        probes_running: 2,
        expected_probes: Some(6),
        seconds_per_probe: Some(41.0),
        lanes: 2,
        culprit: None,
        error: None,
        worker: Some(worker(1)),
        heartbeat_at: Some(ago(7)),
        attempt: 1,
        epoch: Epoch(1),
        seq: 5,
        cancel_requested_by: None,
        created_at: ago(320),
        started_at: Some(ago(300)),
        completed_at: None,
    }
}

fn ended(id: i64, status: JobStatus, result: Option<ResultKind>) -> JobView {
    JobView {
        status,
        result,
        candidates_left: Some(1),
        probes_running: 0,
        expected_probes: None,
        culprit: (result == Some(ResultKind::Culprit)).then(|| sha(77)),
        created_at: ago(4000),
        started_at: Some(ago(3990)),
        completed_at: Some(ago(3990 - 100 - id * 7)),
        ..job(id)
    }
}

/// Jobs of every kind, the newest first.
pub fn jobs() -> Vec<JobView> {
    vec![
        JobView {
            status: JobStatus::Pending,
            candidates_left: None,
            candidates: None,
            probes_done: 0,
            probes_running: 0,
            expected_probes: None,
            seconds_per_probe: None,
            worker: None,
            heartbeat_at: None,
            started_at: None,
            created_at: ago(42),
            repository: "grace/compiler".to_owned(),
            requested_by: Some("grace".to_owned()),
            attempt: 0,
            ..job(25)
        },
        job(24),
        JobView {
            repository: "linus/kernel".to_owned(),
            requested_by: Some("torvalds-the-second".to_owned()),
            candidates_left: Some(18_213),
            candidates: Some(104_221),
            probes_done: 3,
            probes_running: 4,
            expected_probes: Some(17),
            seconds_per_probe: Some(912.4),
            lanes: 4,
            worker: Some(worker(2)),
            attempt: 2,
            private: true,
            ..job(23)
        },
        JobView { cancel_requested_by: Some("grace".to_owned()), repository: "日本/テスト".to_owned(), ..job(22) },
        ended(21, JobStatus::Completed, Some(ResultKind::Culprit)),
        JobView { candidates_left: Some(3), ..ended(20, JobStatus::Completed, Some(ResultKind::Suspects)) },
        ended(19, JobStatus::Completed, Some(ResultKind::NotReproducible)),
        JobView {
            error: Some("git: the remote end hung up unexpectedly".to_owned()),
            candidates_left: None,
            candidates: None,
            ..ended(18, JobStatus::Failed, Some(ResultKind::Infrastructure))
        },
        JobView {
            cancel_requested_by: Some("ada".to_owned()),
            candidates_left: Some(40),
            ..ended(17, JobStatus::Cancelled, Some(ResultKind::Cancelled))
        },
        JobView {
            repository: "/home/ada/src/demo".to_owned(),
            requested_by: None,
            issue: None,
            retry_of: Some(JobId(12)),
            ..ended(16, JobStatus::Completed, Some(ResultKind::Flaky))
        },
    ]
}

/// Very many jobs, the newest first.
pub fn many_jobs(count: i64) -> Vec<JobView> {
    let kinds = jobs();
    (1..=count)
        .rev()
        .map(|id| {
            let kind = &kinds[usize::try_from(id).unwrap_or(0) % kinds.len()];
            JobView {
                id: JobId(id),
                repository: format!("owner-{}/project-{}", id % 211, id % 1013),
                requested_by: Some(format!("person-{}", id % 97)),
                created_at: ago((count - id) * 11 + 320),
                ..kind.clone()
            }
        })
        .collect()
}

pub fn probe(number: i64, position: Option<u32>, verdict: Option<Verdict>) -> ProbeView {
    const SUBJECTS: [&str; 5] = [
        "Parser: accept trailing commas in argument lists",
        "Bump version to 1.4.0",
        "Fix the off-by-one in the ring buffer (#412) and add a regression test for it",
        "日本語のコミットメッセージ",
        "Revert \"Speed up startup\"",
    ];
    let ending = verdict.map(|verdict| match verdict {
        Verdict::Good => Ending::Exited(0),
        Verdict::Bad => Ending::Exited(1),
        Verdict::Skip => Ending::SetupFailed(2),
    });
    ProbeView {
        id: ProbeId(1000 + number),
        epoch: Epoch(1),
        commit: sha(number.unsigned_abs()),
        subject: Some(SUBJECTS[usize::try_from(number).unwrap_or(0) % SUBJECTS.len()].to_owned()),
        position,
        purpose: Purpose::Search,
        lane: u32::try_from(number % 2).unwrap_or(0),
        ending,
        stopped: false,
        verdict,
        seconds: verdict.map(|_| 38.2 + number as f64),
        cached: number == 3,
        started_at: ago(290 - number * 20),
        finished_at: verdict.map(|_| ago(250 - number * 20)),
    }
}

fn history() -> Vec<HistoryEntry> {
    let entry = |seq, kind: &str, seconds, worker: Option<InstanceId>, detail: &str| HistoryEntry {
        seq,
        kind: kind.to_owned(),
        epoch: Epoch(1),
        worker,
        at: ago(seconds),
        detail: detail.to_owned(),
    };
    vec![
        entry(1, "queued", 320, None, "by ada"),
        entry(2, "claimed", 300, Some(worker(2)), ""),
        entry(3, "released", 280, Some(worker(2)), "reason: shutdown"),
        entry(4, "claimed", 279, Some(worker(1)), ""),
    ]
}

/// A job that runs, with its probes.
pub fn detail() -> JobDetail {
    use Verdict::{Bad, Good, Skip};
    let done = [
        (None, Good),
        (Some(1023), Bad),
        (Some(511), Bad),
        (Some(255), Good),
        (Some(383), Bad),
        (Some(307), Skip),
        (Some(301), Good),
        (Some(314), Bad),
    ];
    let mut probes: Vec<ProbeView> =
        (0_i64..).zip(done).map(|(number, (position, verdict))| probe(number, position, Some(verdict))).collect();
    probes.push(probe(8, Some(304), None));
    probes.push(probe(9, Some(310), None));
    probes[5].verdict = Some(Skip);
    JobDetail {
        job: job(24),
        good: vec![sha(1000)],
        bad: sha(1001),
        command: vec!["sh".to_owned(), "-c".to_owned(), "pytest -x tests/test_ring.py".to_owned()],
        setup: Some("pip install -e .".to_owned()),
        image: Some("python:3.12".to_owned()),
        options: vec!["--first-parent".to_owned(), "--jobs 2".to_owned()],
        timeout_seconds: Some(600.0),
        max_seconds: Some(3600.0),
        probes,
        history: history(),
        strip: Some(Strip {
            pieces: vec![
                (StripMark::Good, 302),
                (StripMark::Candidate, 5),
                (StripMark::Skipped, 1),
                (StripMark::Candidate, 6),
                (StripMark::Bad, 710),
            ],
            odds: Vec::new(),
        }),
        report: None,
        links: vec!["https://github.com/ada/demo/issues/17#issuecomment-1".to_owned()],
    }
}

/// The same job when it has found its culprit.
pub fn detail_done() -> JobDetail {
    let report = "\
Culprit found and proven
The first bad commit is 4d1a0c77aa10; its parent passes, in fresh workspaces.

  4d1a0c77aa10f3c2b1a09988776655443322110f  Parser: accept trailing commas
  author  Ada Lovelace <ada@example.com>
  date    2026-11-20 17:37:50 +0000
  files   src/parser.rs
          tests/test_ring.py

Proof:
  bad   4d1a0c77aa10  exit 1    41.0s
  good  8c11d0e5bb20  exit 0    39.2s

See it by hand:
  git checkout 4d1a0c77aa10 && pytest -x tests/test_ring.py
";
    let mut detail = detail();
    detail.job = ended(21, JobStatus::Completed, Some(ResultKind::Culprit));
    detail.probes.truncate(8);
    let mut proof = probe(10, Some(310), Some(Verdict::Bad));
    proof.purpose = Purpose::Proof;
    detail.probes.push(proof);
    let mut proof = probe(11, Some(309), Some(Verdict::Good));
    proof.purpose = Purpose::Proof;
    detail.probes.push(proof);
    detail.history.push(HistoryEntry {
        seq: 5,
        kind: "completed".to_owned(),
        epoch: Epoch(2),
        worker: Some(worker(1)),
        at: ago(20),
        detail: "result: culprit".to_owned(),
    });
    detail.strip = Some(Strip {
        pieces: vec![(StripMark::Good, 310), (StripMark::Candidate, 1), (StripMark::Bad, 713)],
        odds: Vec::new(),
    });
    detail.report = Some(report.to_owned());
    detail
}

pub fn instances() -> InstanceList {
    let instance = |number: u8| InstanceView {
        id: worker(number),
        host: format!("build-{number}"),
        version: "0.1.0".to_owned(),
        max_jobs: 4,
        max_probes: Some(8),
        running_jobs: i64::from(number),
        running_probes: i64::from(number) * 2,
        started_at: ago(90_000),
        heartbeat_at: ago(i64::from(number) * 9),
        stale: false,
        drain_requested_by: None,
        retired_at: None,
        docker: Some(true),
        this: number == 1,
    };
    InstanceList {
        instances: vec![
            instance(1),
            InstanceView { drain_requested_by: Some("grace".to_owned()), ..instance(2) },
            InstanceView { docker: Some(false), ..instance(3) },
            InstanceView { stale: true, heartbeat_at: ago(1000), docker: None, ..instance(4) },
            InstanceView { max_jobs: 0, max_probes: None, running_jobs: 0, running_probes: 0, ..instance(5) },
            InstanceView {
                retired_at: Some(ago(3700)),
                heartbeat_at: ago(3700),
                version: "0.0.9".to_owned(),
                running_jobs: 0,
                running_probes: 0,
                ..instance(6)
            },
        ],
    }
}

pub fn overview() -> Overview {
    Overview {
        pending: 7,
        running: 5,
        completed: 1841,
        failed: 12,
        cancelled: 33,
        stale: 1,
        oldest_pending: Some(754.0),
        inbox: 2,
        inbox_age: 1.4,
        outbox: 5,
        outbox_age: 12.0,
        depth_by_minute: (0..60).map(|minute| (minute * minute / 97 + minute % 7) % 23).collect(),
        ended_by_minute: (0..60).map(|minute| (minute * 7 + 3) % 5).collect(),
        results: vec![
            ResultCount { result: Some(ResultKind::Culprit), jobs: 212 },
            ResultCount { result: Some(ResultKind::NotReproducible), jobs: 41 },
            ResultCount { result: Some(ResultKind::Suspects), jobs: 17 },
            ResultCount { result: Some(ResultKind::Cancelled), jobs: 9 },
            ResultCount { result: Some(ResultKind::Flaky), jobs: 4 },
            ResultCount { result: None, jobs: 2 },
        ],
        github: vec![
            Rate { whose: "app".to_owned(), left: 4871, limit: 5000, resets_at: ago(-1800) },
            Rate { whose: "installation 17".to_owned(), left: 213, limit: 5000, resets_at: ago(-300) },
        ],
    }
}

pub fn audit() -> AuditPage {
    let entry = |id, seconds, actor: &str, channel: &str, action: &str, job: Option<i64>, detail: &str| AuditEntry {
        id,
        at: ago(seconds),
        actor: actor.to_owned(),
        channel: channel.to_owned(),
        action: action.to_owned(),
        job: job.map(JobId),
        detail: detail.to_owned(),
    };
    AuditPage {
        entries: vec![
            entry(90, 30, "grace", "console", "job.cancel", Some(22), ""),
            entry(89, 400, "grace", "console", "instance.drain", None, "instance: build-2-4711-1795687200-a2c4"),
            entry(88, 4000, "ada", "github", "job.retry", Some(16), "new job: 21"),
            entry(87, 100_000, "system", "system", "keys.rotate", None, ""),
        ],
        next: None,
    }
}

pub fn log_piece(probe: i64, seq: i64, seconds: i64, text: &[u8]) -> LogPiece {
    LogPiece { probe: ProbeId(probe), seq, at: ago(seconds), bytes: STANDARD.encode(text) }
}

/// The output of two runs, one of which is under way.
pub fn log() -> Vec<LogPiece> {
    let first = b"\x1b[1m==== test session starts ====\x1b[0m\ncollected 14 items\n\n\
        tests/test_ring.py \x1b[32m.\x1b[32m.\x1b[31mF\x1b[0m\n\n\
        \x1b[31m\x1b[1m____ test_wraps_around ____\x1b[0m\n\n    def test_wraps_around():\n\
        >       assert ring.pop() == 3\n\x1b[31mE       assert 2 == 3\x1b[0m\n\n\
        tests/test_ring.py:41: AssertionError\n\x1b[31m==== 1 failed, 2 passed in 0.41s ====\x1b[0m\n";
    vec![
        log_piece(1007, 0, 110, first),
        log_piece(1008, 0, 30, b"\x1b[1m==== test session starts ====\x1b[0m\ncollected 14 items\n"),
        log_piece(1009, 0, 25, b"Downloading  10%\rDownloading  60%\rDownloading 100%\ncompiling ring.c"),
        log_piece(1008, 1, 5, "\ntests/test_ring.py ✓ 日本語 ..".as_bytes()),
    ]
}
