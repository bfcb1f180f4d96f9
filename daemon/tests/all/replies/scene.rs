//! An installation with a repository and an issue, on the look-alike and in the database, and what
//! sends its replies. Nothing runs by itself: a test says when time passes.

use crate::support::{TestDb, database, sample};
use bisect_shared::{InstanceId, JobId, ResultKind};
use bisectd::{
    db::{
        jobs::{End, Outcome},
        outbox::{self, NewReply, ReplyKind},
    },
    github::{Github, GithubSettings, RepositoryRef},
    observers::Observers,
    outbox::{Markers, Outbox, Pace, Refusals, ReplyBody, Target},
    queue::{Claim, Clocks, Lease, NewJob, Origin, Queue},
    report::{Report, Request},
};
use github_lookalike::{Lookalike, NewApp, NewRepository, Role, Running, World};
use secrecy::SecretString;
use sqlx::{Connection, Row};
use std::time::Duration;

pub const REPOSITORY: &str = "octo/calc";

pub struct Scene {
    pub db: TestDb,
    pub hub: World,
    pub issue: i64,
    /// The comment that asks.
    pub asked: i64,
    pub installation: i64,
    pub queue: Queue,
    app: NewApp,
    running: Running,
    target: Target,
}

/// A row of `outbox`, as far as tests look at it.
#[derive(Debug)]
pub struct Reply {
    pub state: String,
    pub remote_id: Option<i64>,
    /// Seconds from now.
    pub due: f64,
    /// Seconds between the last edit and the earliest next one.
    pub pause: Option<f64>,
    pub error: Option<String>,
}

pub async fn scene() -> Scene {
    let hub = World::new().unwrap();
    hub.add_organization("octo");
    let app = hub.add_app("bisect-bot", "octo").unwrap();
    let id = hub.add_repository(&NewRepository::new(REPOSITORY)).unwrap();
    hub.permission(REPOSITORY, "ada", Some(Role::Write)).unwrap();
    let installation = hub.install(app.id, "octo", None).unwrap();
    let issue = hub.add_issue(REPOSITORY, "ada", "it broke", "").unwrap();
    let running = Lookalike::start(&hub).await.unwrap();
    let asked = hub.comment("ada", REPOSITORY, issue, "/bisect a b c").await.unwrap().id;
    let db = database().await;
    let mut raw = db.raw().await;
    let sql = "WITH installed AS (INSERT INTO installations (installation_id, account_type, account_login, account_id) \
               VALUES ($1, 'Organization', 'octo', 1) RETURNING installation_id) \
               INSERT INTO repositories (id, github_id, installation_id, owner, name, full_name, private) \
               SELECT 1, $2, installation_id, 'octo', 'calc', 'octo/calc', false FROM installed";
    sqlx::query(sql).bind(installation).bind(id).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let repository = RepositoryRef { installation, id, owner: "octo".into(), name: "calc".into() };
    let target = Target { repository, issue, comment: asked };
    let queue = Queue::new(db.db.clone(), InstanceId("worker".into()), Clocks::default(), "here".into());
    Scene { db, hub, issue, asked, installation, queue, app, running, target }
}

impl Scene {
    pub fn github(&self, timeout: Duration) -> Github {
        let key = SecretString::from(self.app.private_key.clone());
        let settings = GithubSettings::new(self.running.url(), self.app.id.to_string(), key);
        Github::new(&GithubSettings { timeout, ..settings }).unwrap()
    }

    /// A sender of its own, with its own connection to GitHub.
    pub fn sender(&self, pace: Pace) -> Outbox {
        Outbox {
            db: self.db.db.clone(),
            github: self.github(Duration::from_secs(30)),
            instance: InstanceId("sender".into()),
            base_url: None,
            github_url: self.running.url(),
            markers: Markers::read(&SecretString::from("secret")),
            pace,
            refusals: Refusals::default(),
            observers: Observers::default(),
        }
    }

    pub async fn reply(&self, key: &str, job: Option<JobId>, kind: ReplyKind, body: &ReplyBody) {
        let reply = NewReply {
            key,
            job,
            installation: self.installation,
            kind,
            target: serde_json::to_value(&self.target).unwrap(),
            body: serde_json::to_value(body).unwrap(),
        };
        let mut tx = self.db.db.begin().await.unwrap();
        outbox::insert(&mut tx, &reply).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A job that was asked for in the issue, with its status comment still to be written.
    pub async fn job(&self) -> JobId {
        let origin = Origin::GitHub {
            installation: self.installation,
            repository: 1,
            user: None,
            issue: Some(self.issue),
            comment: Some(self.asked),
        };
        let job = self.queue.enqueue(&NewJob { origin, ..sample::local_job() }).await.unwrap().job;
        self.reply(&format!("job:{job}:status"), Some(job), ReplyKind::Status, &ReplyBody::OfJob).await;
        job
    }

    pub async fn claim(&self, job: JobId) -> Lease {
        self.queue.claim(Claim::Job(job)).await.unwrap().expect("it may be claimed").0
    }

    /// The job's end with a result.
    pub async fn finish(&self, lease: &Lease) {
        let outcome = Outcome {
            end: End::Completed,
            result: Some(ResultKind::NotReproducible),
            culprit: None,
            report: Some(serde_json::to_value(report()).unwrap()),
            error: None,
        };
        self.queue.finish(lease, &outcome).await.unwrap();
    }

    /// Everything that waits is due, as if its time had come.
    pub async fn time_passes(&self) {
        let mut raw = self.db.raw().await;
        let sql = "UPDATE outbox SET available_at = now(), edit_after = now() WHERE state = 'waiting'";
        sqlx::query(sql).execute(&mut raw).await.unwrap();
        sqlx::query("UPDATE installations SET quiet_until = NULL").execute(&mut raw).await.unwrap();
    }

    pub async fn row(&self, key: &str) -> Reply {
        let sql = "SELECT state, remote_id, last_error, extract(epoch FROM available_at - now())::float8 AS due, \
                   extract(epoch FROM edit_after - sent_at)::float8 AS pause FROM outbox WHERE reply_key = $1";
        let row = sqlx::query(sql).bind(key).fetch_one(&mut self.db.raw().await).await.unwrap();
        Reply {
            state: row.get("state"),
            remote_id: row.get("remote_id"),
            due: row.get("due"),
            pause: row.try_get("pause").ok(),
            error: row.get("last_error"),
        }
    }

    pub async fn status(&self, job: JobId) -> Reply {
        self.row(&format!("job:{job}:status")).await
    }

    /// What Apps wrote, by the last version of each comment.
    pub fn comments(&self) -> Vec<String> {
        self.hub.comments_by_apps().into_iter().map(|comment| comment.body).collect()
    }

    /// How often a route was called; `route` is the beginning of a line of the look-alike's record.
    pub fn calls(&self, method: &str, end: &str) -> usize {
        let wanted =
            |call: &&String| call.starts_with(method) && call.split(' ').nth(1).is_some_and(|p| p.ends_with(end));
        self.hub.calls().iter().filter(wanted).count()
    }

    /// Nothing was called that GitHub does not document.
    pub async fn ends_well(self) {
        assert_eq!(self.hub.violations(), Vec::<String>::new());
        self.running.stop().await;
    }
}

/// Sends whatever is due now.
pub async fn drain(sender: &Outbox) {
    while sender.next().await.unwrap() {}
}

fn report() -> Report {
    Report {
        result: ResultKind::NotReproducible,
        culprit: None,
        suspects: Vec::new(),
        confidence: 0.0,
        probes: Vec::new(),
        candidates: 3,
        seconds: 1.0,
        replay: String::new(),
        request: Request {
            source: "octo/calc".into(),
            good: vec![sample::sha(1)],
            bad: sample::sha(3),
            command: vec!["pytest".into()],
            setup: None,
            image: None,
            env: Vec::new(),
            first_parent: false,
            fixed: false,
            paths: Vec::new(),
            skip: Vec::new(),
        },
        explanation: "The command passes on the bad end.".into(),
        advice: None,
        commits: Vec::new(),
        proof: Vec::new(),
        failure: None,
        notes: Vec::new(),
        odds: None,
    }
}
