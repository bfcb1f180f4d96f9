//! Three instances on one database, each behind its own links, with a small GitHub that sends its webhooks
//! to one of them; and how instances are killed, stopped and replaced.

use super::{eyes::Eyes, plan::Asked};
use crate::support::{
    Commit, DatabaseLink, DockerLink, OwnPostgres, Program, Project, Ran, Service, World, eventually,
};
use github_lookalike::{Lookalike, NewApp, NewRepository, Role, World as GitHub};
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Executor};

/// Without a Python environment for each lane: what is tested here is not the lanes.
const IMAGE: &str = "debian:bookworm-slim";
pub const INSTANCES: usize = 3;
const NAMES: [&str; INSTANCES] = ["one", "two", "three"];
/// The repositories' names, and which of their commits can be the only first bad one.
pub const REPOSITORIES: [&str; 2] = ["octo/line", "octo/merge"];
pub const CULPRITS: [&[usize]; 2] = [&[2, 3, 4, 5, 6, 7], &[5, 6, 7, 8]];

/// What one fleet has different from another.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Seconds after which a silent worker's job is taken over.
    pub stale_after: &'static str,
    /// Jobs at once of one instance, and of the installation.
    pub jobs: [&'static str; 2],
}

/// A dead worker is soon known, and there is room for every job.
pub const CHAOS: Settings = Settings { stale_after: "3", jobs: ["2", "3"] };

/// What a run happens to.
pub struct Fleet {
    pub world: World,
    pub hub: GitHub,
    pub github: github_lookalike::Running,
    pub app: NewApp,
    pub members: Vec<Member>,
    pub eyes: Eyes,
    /// Names its logs.
    label: String,
    settings: Settings,
    projects: [Project; 2],
    /// What was asked for, by the number of the comment.
    pub asked: Vec<Question>,
}

/// A comment with a command that makes a job.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub comment: i64,
    pub issue: i64,
    pub asked: Asked,
}

/// One place for an instance.
pub struct Member {
    pub service: Option<Service>,
    /// Everything else than LISTEN.
    pub database: DatabaseLink,
    pub listener: DatabaseLink,
    pub docker: DockerLink,
    /// What the processes that were here before said.
    pub logs: Vec<String>,
    name: &'static str,
}

impl Fleet {
    pub async fn start(postgres: &OwnPostgres, label: String, settings: Settings) -> Self {
        let world = World::on(postgres.database().await, Project::linear(9));
        prepare(&world, settings.jobs[1]).await;
        let projects = [Project::linear(9), merges()];
        let (hub, app) = github(&projects);
        let github = Lookalike::start(&hub).await.unwrap();
        std::fs::write(world.path("app.pem"), &app.private_key).unwrap();
        let members = NAMES.map(|name| Member {
            service: None,
            database: DatabaseLink::new(&world.db, &world.path(&format!("{name}-database"))),
            listener: DatabaseLink::new(&world.db, &world.path(&format!("{name}-listener"))),
            docker: DockerLink::new(&world.path(&format!("{name}.sock"))),
            logs: Vec::new(),
            name,
        });
        let eyes = Eyes::new(&world.db);
        let members = members.into();
        let mut fleet = Self { world, hub, github, app, members, eyes, label, settings, projects, asked: Vec::new() };
        let programs = [0, 1, 2].map(|at| fleet.program(at));
        let [one, two, three] = programs.map(Service::start);
        let services = tokio::join!(one, two, three);
        for (member, service) in fleet.members.iter_mut().zip([services.0, services.1, services.2]) {
            member.service = Some(service);
        }
        fleet
    }

    fn program(&self, at: usize) -> Program {
        let member = &self.members[at];
        self.world
            .serve(member.name)
            .env("DATABASE_URL", member.database.url())
            .env("DATABASE_DIRECT_URL", member.listener.url())
            .env("DOCKER_HOST", member.docker.host())
            .env("GITHUB_APP_ID", self.app.id.to_string())
            .env("GITHUB_APP_SLUG", &self.app.slug)
            .env("GITHUB_PRIVATE_KEY_PATH", self.world.path("app.pem"))
            .env("GITHUB_WEBHOOK_SECRET", &self.app.webhook_secret)
            .env("GITHUB_API_URL", self.github.url())
            .env("GITHUB_URL", self.github.url())
            .env("HEARTBEAT_SECONDS", "0.3")
            .env("RECOVERY_INTERVAL_SECONDS", "0.25")
            .env("PENDING_GRACE_SECONDS", "0.5")
            .env("STALE_AFTER_SECONDS", self.settings.stale_after)
            // A loaded machine makes workers stale too: that is no failure of the job.
            .env("MAX_ATTEMPTS", "30")
            .env("SHUTDOWN_GRACE_SECONDS", "20")
            .env("MAX_CONCURRENT_JOBS", self.settings.jobs[0])
            .env("MAX_CONCURRENT_PROBES", "2")
    }

    /// Somebody asks for a bisection on an issue of its own; the webhook goes to `via`, or to the next
    /// that is there. `extra` is said before the test of each commit. The answer is the comment's number.
    pub async fn ask(&mut self, asked: Asked, via: usize, extra: &str) -> i64 {
        let issue = self.issue(asked);
        self.ask_on(issue, asked, via, extra).await
    }

    /// A new issue for a question.
    pub fn issue(&self, asked: Asked) -> i64 {
        self.hub.add_issue(REPOSITORIES[asked.repository], "ada", "it broke", "").unwrap()
    }

    pub async fn ask_on(&mut self, issue: i64, asked: Asked, via: usize, extra: &str) -> i64 {
        self.route(via);
        let repository = REPOSITORIES[asked.repository];
        let text = self.command(asked, extra);
        let posted = self.hub.comment("ada", repository, issue, &text).await.unwrap();
        self.asked.push(Question { comment: posted.id, issue, asked });
        posted.id
    }

    /// Somebody says something that is no command.
    pub async fn chat(&self, text: &str) {
        let issue = self.hub.add_issue(REPOSITORIES[0], "ada", "talk", "").unwrap();
        self.hub.comment("ada", REPOSITORIES[0], issue, text).await.unwrap();
    }

    /// Each question has a command of its own: the same one would be joined. Both ends take a second.
    fn command(&self, asked: Asked, extra: &str) -> String {
        let (number, last) = (self.asked.len(), self.projects[asked.repository].number("main"));
        format!(
            "/bisect --image {IMAGE} --jobs {} c0 main n=$(cat n); echo question {number}, commit $n; {extra} \
             case $n in 0|{last}) sleep 1;; esac; test $n -lt {}",
            asked.lanes, asked.culprit
        )
    }

    /// Webhooks go to this place from now on, or to the next that has a process.
    pub fn route(&self, to: usize) {
        let there = (to..to + INSTANCES).find_map(|at| self.members[at % INSTANCES].service.as_ref());
        let address = &there.expect("not all are dead").address;
        self.hub.set_webhook_url(self.app.id, &format!("{address}/webhook"));
    }

    /// The place of the process with this name in the database (host, process id, start, random).
    pub fn place_of(&self, worker: &str) -> Option<usize> {
        let pid = worker.rsplit('-').nth(2)?;
        self.members.iter().position(|member| member.service.as_ref().is_some_and(|it| it.pid().to_string() == pid))
    }

    /// Somebody else than `place`, whom nothing is meant for.
    pub fn beside(place: usize) -> usize {
        (place + 1) % INSTANCES
    }

    /// `kill -9`. One that was about to end may have been faster.
    pub async fn kill(&mut self, place: usize) {
        let service = self.members[place].service.take().expect("it lives");
        service.signal(Signal::SIGKILL);
        let ran = service.end().await;
        if ran.code == 0 {
            println!("chaos: {} had ended in order before it was killed", self.members[place].name);
        }
        let code = if ran.code == 0 { 0 } else { -9 };
        self.buried(place, ran, code);
    }

    /// SIGTERM, and it ends in order.
    pub async fn terminate(&mut self, place: usize) {
        let service = self.members[place].service.take().expect("it lives");
        service.signal(Signal::SIGTERM);
        self.buried(place, service.end().await, 0);
    }

    fn buried(&mut self, place: usize, ran: Ran, code: i32) {
        let ran = ran.expect(code);
        self.members[place].logs.push(ran.stderr);
    }

    /// A new process in a dead one's place, with the same `DATA_DIR`.
    pub async fn replace(&mut self, place: usize) {
        let service = Service::start(self.program(place)).await;
        self.members[place].service = Some(service);
    }

    /// Everything is as it should be: links are whole, nobody is stopped, every place has its process.
    pub async fn heal(&mut self) {
        for place in 0..INSTANCES {
            let member = &mut self.members[place];
            member.database.mend();
            member.listener.mend();
            member.docker.mend();
            if member.service.is_none() {
                self.replace(place).await;
            }
        }
        self.github.come_back().await;
        self.hub.clear_faults();
        self.route(0);
    }

    /// How often a word stands in the logs of all processes that ever were.
    pub fn said(&self, words: &str) -> usize {
        self.logs().iter().map(|log| log.matches(words).count()).sum()
    }

    /// Returns when the fleet has said it more often than `before`.
    pub async fn says(&self, words: &str, before: usize) {
        eventually(words, async || (self.said(words) > before).then_some(())).await;
    }

    pub fn logs(&self) -> Vec<String> {
        let now = |member: &Member| member.service.as_ref().map(Service::log);
        self.members.iter().flat_map(|member| member.logs.iter().cloned().chain(now(member))).collect()
    }

    /// The log of a living process.
    pub fn log_of(&self, place: usize) -> String {
        self.members[place].service.as_ref().map_or_else(String::new, Service::log)
    }

    pub fn project(&self, asked: Asked) -> &Project {
        &self.projects[asked.repository]
    }

    /// The place's `DATA_DIR`.
    pub fn data_dir(&self, place: usize) -> std::path::PathBuf {
        self.world.path(self.members[place].name)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &self.members {
            // A stopped process is killed all the same.
            let log = member.service.as_ref().map_or_else(String::new, Service::log);
            if std::thread::panicking() {
                let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
                let file = folder.join(format!("{}-{}.log", self.label, member.name));
                let all = format!("{}\n{log}", member.logs.join("\n--- the next process ---\n"));
                drop(std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, all)));
                println!("what {} said: {}", member.name, file.display());
            }
        }
    }
}

/// So many jobs of one installation at once, and a watch over every write of a worker: one of an epoch that is
/// not the job's is kept in a table of its own. The trigger looks with the writer's own eyes, inside its
/// transaction, which holds the job's row.
async fn prepare(world: &World, at_once: &str) {
    let mut raw = world.db.raw().await;
    raw.execute(AssertSqlSafe(format!("UPDATE rate_limits SET max_concurrent = {at_once}"))).await.unwrap();
    let sql = "CREATE TABLE late_writes (what text, job bigint, epoch bigint, of_job bigint, status text); \
        CREATE FUNCTION watch_probes() RETURNS trigger LANGUAGE plpgsql AS $$ \
        DECLARE job bisect_jobs; BEGIN \
          IF TG_OP = 'UPDATE' AND (NEW.ending = 'stopped' OR NEW.ending IS NOT DISTINCT FROM OLD.ending) THEN RETURN NEW; END IF; \
          SELECT * INTO job FROM bisect_jobs WHERE id = NEW.job_id; \
          IF job.claim_epoch <> NEW.epoch OR job.status <> 'running' THEN \
            INSERT INTO late_writes VALUES ('probe ' || TG_OP, job.id, NEW.epoch, job.claim_epoch, job.status); END IF; \
          RETURN NEW; END $$; \
        CREATE TRIGGER watch BEFORE INSERT OR UPDATE ON probes FOR EACH ROW EXECUTE FUNCTION watch_probes(); \
        CREATE FUNCTION watch_output() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
          INSERT INTO late_writes SELECT 'output', j.id, p.epoch, j.claim_epoch, j.status FROM probes p \
            JOIN bisect_jobs j ON j.id = p.job_id WHERE p.id = NEW.probe_id \
            AND (j.claim_epoch <> p.epoch OR j.status <> 'running'); \
          RETURN NEW; END $$; \
        CREATE TRIGGER watch BEFORE INSERT ON log_chunks FOR EACH ROW EXECUTE FUNCTION watch_output()";
    raw.execute(sql).await.unwrap();
}

/// Two private repositories of an organization that has the App; ada may write, eve may read.
fn github(projects: &[Project; 2]) -> (GitHub, NewApp) {
    let hub = GitHub::new().unwrap();
    hub.add_user("ada");
    hub.add_user("eve");
    hub.add_organization("octo");
    let app = hub.add_app("bisect-bot", "octo").unwrap();
    for (name, project) in REPOSITORIES.iter().zip(projects) {
        hub.add_repository(&NewRepository::new(name).private().copied_from(project.path())).unwrap();
        hub.permission(name, "ada", Some(Role::Write)).unwrap();
        hub.permission(name, "eve", Some(Role::Read)).unwrap();
    }
    hub.install(app.id, "octo", None).unwrap();
    (hub, app)
}

/// 0─1─2─3─4─────7─8─9─10, and 2─5─6─7.
fn merges() -> Project {
    let parents: [&[usize]; 11] = [&[], &[0], &[1], &[2], &[3], &[2], &[5], &[4, 6], &[7], &[8], &[9]];
    Project::of(&parents.map(|parents| Commit { parents, files: &[] }))
}
