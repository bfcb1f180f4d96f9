//! The bot on the look-alike: `octo/calc` with people in every role, the App on it, a service that answers.
//! Tests state facts (`hub.github`), write comments, and read how each was answered.

use super::{poll::eventually, program::Program, project::Project, service::Service, world::World};
use bisect_shared::{InstanceId, JobId};
use bisectd::{
    db::{Lease, jobs::JobRow},
    queue::{Claim, Clocks, Outcome, Queue},
};
use github_lookalike::{Lookalike, NewApp, NewRepository, Role, Running, World as GitHub};
use sqlx::{AssertSqlSafe, Executor};

/// The repository of every test.
pub const CALC: &str = "octo/calc";

/// A world with GitHub in it.
pub struct Hub {
    pub world: World,
    pub github: GitHub,
    pub app: NewApp,
    /// GitHub's number of the installation on `octo`.
    pub installation: i64,
    pub running: Running,
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// `processed`, `ignored`, `rejected`, `failed`.
    pub state: String,
    /// Why.
    pub why: String,
    pub job: Option<JobId>,
}

impl Hub {
    /// `octo/calc` with ada (write), tom (triage) and whoever else comments as a reader, for it is public. `files`
    /// are on its main branch besides those of the project.
    pub async fn new(project: Project, files: &[(&str, &str)]) -> Self {
        Self::with(project, files, |repository| repository).await
    }

    /// The same with a private repository.
    pub async fn private(project: Project) -> Self {
        Self::with(project, &[], NewRepository::private).await
    }

    async fn with(project: Project, files: &[(&str, &str)], kind: impl FnOnce(NewRepository) -> NewRepository) -> Self {
        let world = World::new(project).await;
        let github = GitHub::new().unwrap();
        github.add_organization("octo");
        let app = github.add_app("bisect-bot", "octo").unwrap();
        for (name, content) in files {
            write(&world.project, name, content.as_bytes());
        }
        github.add_repository(&kind(NewRepository::new(CALC).copied_from(world.project.path()))).unwrap();
        github.permission(CALC, "ada", Some(Role::Write)).unwrap();
        github.permission(CALC, "tom", Some(Role::Triage)).unwrap();
        let installation = github.install(app.id, "octo", None).unwrap();
        let running = Lookalike::start(&github).await.unwrap();
        std::fs::write(world.path("app.pem"), &app.private_key).unwrap();
        Self { world, github, app, installation, running }
    }

    /// The service's program.
    pub fn program(&self, name: &str) -> Program {
        self.world
            .serve(name)
            .env("GITHUB_APP_ID", self.app.id.to_string())
            .env("GITHUB_APP_SLUG", &self.app.slug)
            .env("GITHUB_PRIVATE_KEY_PATH", self.world.path("app.pem").to_str().unwrap())
            .env("GITHUB_WEBHOOK_SECRET", &self.app.webhook_secret)
            .env("GITHUB_API_URL", self.running.url())
            .env("GITHUB_URL", self.running.url())
            .env("BASE_URL", "https://bisect.example.com")
            .env("MAX_CONCURRENT_JOBS", "8")
    }

    /// A service to which GitHub sends its webhooks.
    pub async fn serve(&self, name: &str) -> Service {
        self.serve_program(self.program(name)).await
    }

    pub async fn serve_program(&self, program: Program) -> Service {
        let service = Service::start(program).await;
        self.github.set_webhook_url(self.app.id, &format!("{}/webhook", service.address));
        service
    }

    /// The same, which runs no jobs: what is queued stays so until a test takes it.
    pub async fn serve_idle(&self, name: &str) -> Service {
        let service = self.serve(name).await;
        self.drain(&service).await;
        service
    }

    pub async fn drain(&self, service: &Service) {
        self.sql("UPDATE instances SET drain_requested_at = now(), drain_requested_by = 'the test'").await;
        let draining = async || (service.get("/health").await.1["status"] == "draining").then_some(());
        eventually("it runs no jobs", draining).await;
    }

    /// Changes a file of the repository's main branch.
    pub fn push(&self, name: &str, content: &str) {
        self.push_bytes(name, content.as_bytes());
    }

    pub fn push_bytes(&self, name: &str, content: &[u8]) {
        write(&self.world.project, name, content);
        let to = self.github.git_dir(CALC).unwrap();
        self.world.project.git(&["push", "--quiet", to.to_str().unwrap(), "main"]);
    }

    /// Sends a webhook of the test's own, signed as GitHub's are; answers the status.
    pub async fn send(&self, service: &Service, event: &str, body: &str) -> u16 {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let id = format!("sent-{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let signature = github_lookalike::signature(&self.app.webhook_secret, body.as_bytes());
        let request = service.unsigned(&id, event, body.as_bytes()).header("X-Hub-Signature-256", signature);
        super::service::answer(request).await.0
    }

    pub fn issue(&self) -> i64 {
        self.github.add_issue(CALC, "ada", "it broke", "").unwrap()
    }

    pub async fn sql(&self, sql: &str) {
        self.world.db.raw().await.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    pub async fn count(&self, sql: &str) -> i64 {
        let (count,): (i64,) =
            sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.world.db.raw().await).await.unwrap();
        count
    }

    /// Writes a comment, and waits until it is worked off.
    pub async fn ask(&self, user: &str, issue: i64, text: &str) -> (i64, Ended) {
        let posted = self.github.comment(user, CALC, issue, text).await.unwrap();
        (posted.id, self.ended(posted.id).await)
    }

    /// How the delivery of a comment ended.
    pub async fn ended(&self, comment: i64) -> Ended {
        let sql = "SELECT state, coalesce(outcome, ''), job_id FROM webhook_deliveries WHERE comment_id = $1 \
                   AND action = 'created' AND state <> 'received'";
        let mut raw = self.world.db.raw().await;
        let row: (String, String, Option<i64>) = eventually("the comment is worked off", async || {
            sqlx::query_as(sql).bind(comment).fetch_optional(&mut raw).await.unwrap()
        })
        .await;
        Ended { state: row.0, why: row.1, job: row.2.map(JobId) }
    }

    /// Asks for something that is answered by a comment, and reads it.
    pub async fn answer(&self, user: &str, issue: i64, text: &str) -> String {
        let (comment, _) = self.ask(user, issue, text).await;
        self.told(issue, &format!("comment:{comment}:reply")).await
    }

    /// A comment by its reply's key, once it is there, as people see it; it is one that the test expects.
    pub async fn told(&self, issue: i64, key: &str) -> String {
        let mark = format!(":{key}:");
        let body = eventually(&format!("{key} is told"), async || {
            let comments = self.github.comments(CALC, issue).unwrap();
            comments.into_iter().find(|comment| comment.app.is_some() && comment.body.contains(&mark)).map(|c| c.body)
        })
        .await;
        self.github.expect_comment(CALC, issue, &mark);
        plain(&body)
    }

    /// Asks for a job and waits until its comment is there.
    pub async fn job(&self, user: &str, issue: i64, text: &str) -> JobRow {
        let (_, ended) = self.ask(user, issue, text).await;
        let job = ended.job.unwrap_or_else(|| panic!("{text}: {ended:?}"));
        self.told(issue, &format!("job:{job}:status")).await;
        self.row(job).await
    }

    pub async fn row(&self, job: JobId) -> JobRow {
        self.world.jobs().await.into_iter().find(|row| row.id == job).unwrap()
    }

    /// What a job's comment says now.
    pub fn status(&self, issue: i64, job: JobId) -> String {
        let mark = format!(":job:{job}:status:");
        let comments = self.github.comments(CALC, issue).unwrap();
        plain(&comments.into_iter().find(|comment| comment.body.contains(&mark)).unwrap().body)
    }

    /// The queue as another server sees it, which a test plays.
    pub fn queue(&self) -> Queue {
        Queue::new(self.world.db.db.clone(), InstanceId("the test's server".into()), Clocks::default(), "there".into())
    }

    /// Takes a job from the queue, as a server would.
    pub async fn claim(&self) -> (Lease, JobRow) {
        self.queue().claim(Claim::Any).await.unwrap().expect("a job waits")
    }

    /// Ends one.
    pub async fn finish(&self, lease: &Lease) {
        self.queue().finish(lease, &Outcome::failed("the test's server gave up")).await.unwrap();
    }

    /// Everything that came is worked off, and everything that was to be told is told.
    pub async fn settled(&self) {
        self.github.settle().await;
        let open = "SELECT (SELECT count(*) FROM webhook_deliveries WHERE state = 'received') \
                    + (SELECT count(*) FROM outbox WHERE state = 'waiting')";
        eventually("all is told", async || (self.count(open).await == 0).then_some(())).await;
    }

    /// Everything that came is worked off.
    pub async fn settled_deliveries(&self) {
        self.github.settle().await;
        let open = "SELECT count(*) FROM webhook_deliveries WHERE state = 'received'";
        eventually("the inbox is empty", async || (self.count(open).await == 0).then_some(())).await;
    }

    /// The end: nothing secret was logged, GitHub understood everything, and the bot wrote what was expected
    /// and nothing else.
    pub async fn end(self, service: Service) -> World {
        self.settled().await;
        self.stop(service).await
    }

    /// The same where something waits still, by intention.
    pub async fn stop(self, service: Service) -> World {
        let log = service.stop().await.stderr;
        self.keeps_secrets(&log);
        self.github.finish().await.unwrap();
        self.running.stop().await;
        self.world
    }

    /// Neither the App's key nor a secret of its webhooks nor a token is in the log.
    pub fn keeps_secrets(&self, log: &str) {
        let key = self.app.private_key.lines().nth(1).unwrap();
        for secret in [key, &self.app.webhook_secret, "PRIVATE KEY", "ghs_", "ghu_", "ghr_", "gho_", "Bearer "] {
            assert!(!log.contains(secret), "{secret:.8}… is in the log:\n{log}");
        }
    }
}

/// Text in which what Markdown would read is written as people see it.
fn plain(body: &str) -> String {
    let mut parts = body.split("&#");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(';').and_then(|(code, rest)| Some((char::from_u32(code.parse().ok()?)?, rest))) {
            Some((c, rest)) => out.extend([c.to_string().as_str(), rest]),
            None => out.extend(["&#", part]),
        }
    }
    out.replace('\u{200b}', "")
}

/// Adds a file to the project's main branch.
fn write(project: &Project, name: &str, content: &[u8]) {
    let path = project.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    project.git(&["add", name]);
    project.git(&["commit", "--quiet", "--message", &format!("{name} changes")]);
}
