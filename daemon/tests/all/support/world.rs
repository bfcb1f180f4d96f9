//! One test's world: a project, a database, a `DATA_DIR`; and what must be true at its end.

use super::{
    poll::eventually,
    postgres::{TestDb, database},
    program::Program,
    project::Project,
};
use bisect_shared::{JobId, JobStatus, Purpose};
use bisectd::db::{
    job_events::{self, JobEventKind, JobEventRow},
    jobs::{self, JobRow},
    probes::{self, ProbeRow, ProbeState},
};
use sqlx::{Connection, Executor, PgConnection};
use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

pub struct World {
    pub db: TestDb,
    pub project: Project,
    folder: TempDir,
}

impl World {
    pub async fn new(project: Project) -> Self {
        Self::on(database().await, project)
    }

    /// A world whose database is somewhere else than the other tests'.
    pub fn on(db: TestDb, project: Project) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A private PostgreSQL, whose user is not root, must be able to enter it.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Self { db, project, folder }
    }

    /// A file or folder of this test, outside the project and `DATA_DIR`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// The program on this world's database, with clocks for tests. Nothing is stale by mistake:
    /// a machine under load may let a process wait for many seconds.
    pub fn program(&self) -> Program {
        self.configured(Program::new(self.folder.path()))
    }

    /// The same environment for a program that starts ours.
    pub fn configured(&self, program: Program) -> Program {
        program
            .env("DATABASE_URL", self.db.url())
            .env("DATA_DIR", self.data_dir())
            .env("HEARTBEAT_SECONDS", "0.2")
            .env("RECOVERY_INTERVAL_SECONDS", "0.1")
            .env("STALE_AFTER_SECONDS", "100")
            .env("MAX_CONCURRENT_PROBES", "4")
            .env("RUNNER_NETWORK", "none")
    }

    /// `bisectd bisect <project> <good> <bad> --sandbox process <options>`, without the command.
    pub fn bisect(&self, good: &str, bad: &str, options: &[&str]) -> Program {
        self.program().args(["bisect", &self.project.text(), good, bad, "--sandbox", "process"]).args(options)
    }

    /// The same in containers.
    pub fn bisect_in_docker(&self, good: &str, bad: &str, options: &[&str]) -> Program {
        self.program().args(["bisect", &self.project.text(), good, bad]).args(options)
    }

    /// The only job there is.
    pub async fn job(&self) -> JobRow {
        let jobs = self.jobs().await;
        let [job] = <[JobRow; 1]>::try_from(jobs).expect("one job");
        job
    }

    /// All jobs, oldest first.
    pub async fn jobs(&self) -> Vec<JobRow> {
        let ids: Vec<(i64,)> =
            sqlx::query_as("SELECT id FROM bisect_jobs ORDER BY id").fetch_all(&mut self.db.raw().await).await.unwrap();
        let mut rows = Vec::new();
        let mut tx = self.db.db.begin().await.unwrap();
        for (id,) in ids {
            rows.push(jobs::find(&mut tx, JobId(id)).await.unwrap().unwrap());
        }
        rows
    }

    /// The only job, once it is there.
    pub async fn job_appears(&self) -> JobRow {
        eventually("a job is queued", async || self.jobs().await.into_iter().next()).await
    }

    pub async fn probes(&self, job: JobId) -> Vec<ProbeRow> {
        let mut tx = self.db.db.begin().await.unwrap();
        probes::probes(&mut tx, job).await.unwrap()
    }

    /// The job's history, checked for what must hold of every history.
    pub async fn history(&self, job: JobId) -> Vec<JobEventRow> {
        let mut tx = self.db.db.begin().await.unwrap();
        let events = job_events::history(&mut tx, job).await.unwrap();
        tx.rollback().await.unwrap();
        let ends = events.iter().filter(|event| event.kind.is_end()).count();
        assert!(ends <= 1, "one end per job: {events:?}");
        let claims = events.iter().filter(|event| event.kind == JobEventKind::Claimed);
        let epochs: Vec<_> = claims.map(|event| event.epoch).collect();
        assert!(epochs.is_sorted_by(|one, next| one < next), "epochs strictly rise: {epochs:?}");
        events
    }

    /// The kinds of its events, refused writes left out: how many there are is a matter of chance.
    pub async fn kinds(&self, job: JobId) -> Vec<JobEventKind> {
        let events = self.history(job).await;
        events.iter().map(|event| event.kind).filter(|kind| *kind != JobEventKind::WriteRefused).collect()
    }

    pub async fn event(&self, job: JobId, kind: JobEventKind) {
        let what = format!("job {job} is {kind}");
        eventually(&what, async || self.history(job).await.iter().any(|event| event.kind == kind).then_some(())).await;
    }

    /// How often each commit was run to an end for each purpose: what is recorded is never run again.
    pub async fn recorded_runs(&self, job: JobId) -> BTreeMap<(usize, Purpose), usize> {
        let mut runs = BTreeMap::new();
        for probe in self.probes(job).await {
            if matches!(probe.state, ProbeState::Ended(_)) {
                *runs.entry((self.project.number(&probe.commit.to_string()), probe.purpose)).or_default() += 1;
            }
        }
        runs
    }

    /// What must hold when every program of this world has ended: nothing runs, nothing is left.
    pub async fn ends_clean(&self) {
        for job in self.jobs().await {
            assert!(job.status.is_final(), "job {} is {}", job.id, job.status);
            let ends = self.history(job.id).await.iter().filter(|event| event.kind.is_end()).count();
            assert_eq!(ends, 1, "one end");
            let open = |probe: &ProbeRow| probe.state == ProbeState::Running;
            assert!(!self.probes(job.id).await.iter().any(open), "a probe row is open");
            assert_ne!(job.status, JobStatus::Running);
        }
        self.nothing_is_left().await;
    }

    /// No lane, no process, no container, no volume: also of jobs that only wait.
    pub async fn nothing_is_left(&self) {
        assert_eq!(entries(&self.data_dir().join("lanes")), Vec::<PathBuf>::new(), "lanes");
        assert_eq!(self.processes(), Vec::<String>::new(), "processes");
        // A container that is told to go may need a moment.
        eventually("containers and volumes are gone", async || self.containers().is_empty().then_some(())).await;
    }

    /// Processes that this world's lanes started and that still live.
    pub fn processes(&self) -> Vec<String> {
        self.processes_of(&self.data_dir())
    }

    /// Those of the lanes of one `DATA_DIR`.
    pub fn processes_of(&self, data_dir: &Path) -> Vec<String> {
        let marker = format!("BISECT_LANE={}", data_dir.display());
        let started_here = |pid: &String| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable.starts_with(marker.as_bytes()))
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
            .filter(started_here)
            .collect()
    }

    /// Containers and volumes of this world's database.
    pub fn containers(&self) -> Vec<String> {
        let mut found = self.listed(&["ps", "--all"]);
        found.extend(self.listed(&["volume", "ls"]));
        found
    }

    /// Containers of this world's database that run, by name.
    pub fn running_containers(&self) -> Vec<String> {
        self.listed(&["ps"]).iter().filter_map(|line| Some(line.split(' ').nth(1)?.to_owned())).collect()
    }

    /// Owner, name, labels. The owner's label is made from the database's address.
    fn listed(&self, list: &[&str]) -> Vec<String> {
        let address = self.db.url();
        let database = address.split(['/', '?']).find(|part| part.starts_with("test_")).unwrap();
        let name = if list[0] == "ps" { "{{.Names}}" } else { "{{.Name}}" };
        let format = format!("{{{{.Label \"bisectd.owner\"}}}} {name} {{{{.Labels}}}}");
        let mut found = docker(&[list, &["--filter", "label=bisectd.job", "--format", &format]].concat());
        found.retain(|line| line.split(' ').next().is_some_and(|owner| owner.ends_with(database)));
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What a failed test leaves running would disturb others.
        for pid in self.processes() {
            drop(Command::new("kill").args(["-9", &pid]).status());
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map_or_else(|_| Vec::new(), |entries| entries.flatten().map(|e| e.path()).collect())
}

/// One line of `docker` output a thing; nothing where there is no Docker to hold anything.
fn docker(args: &[&str]) -> Vec<String> {
    let ran = Command::new("docker").args(args).output();
    let Ok(ran) = ran else { return Vec::new() };
    String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect()
}

/// A point of the program's way through the database at which it stops until the gate opens: a
/// trigger in the test's own database waits for a lock that the test holds.
pub struct Gate {
    holder: PgConnection,
    key: i64,
}

impl Gate {
    /// Stops whoever does `what` to `probes` (`INSERT`, `UPDATE`) while `when` holds, an SQL condition
    /// on `NEW`.
    pub async fn close(world: &World, what: &str, when: &str) -> Self {
        static KEY: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(1);
        let key = KEY.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut holder = world.db.raw().await;
        let install = format!(
            "CREATE FUNCTION gate_{key}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               IF {when} THEN PERFORM pg_advisory_xact_lock_shared({key}); END IF; RETURN NEW; END $$; \
             CREATE TRIGGER gate_{key} BEFORE {what} ON probes FOR EACH ROW EXECUTE FUNCTION gate_{key}(); \
             SELECT pg_advisory_lock({key})"
        );
        holder.execute(sqlx::AssertSqlSafe(install)).await.unwrap();
        Self { holder, key }
    }

    /// Somebody stands at it.
    pub async fn reached(&mut self) {
        let sql = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::bigint::oid AND NOT granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let (holder, key) = (&mut self.holder, self.key);
        eventually("the program reaches the gate", async || {
            let row: Option<(i32,)> = sqlx::query_as(sql).bind(key).fetch_optional(&mut *holder).await.unwrap();
            row
        })
        .await;
    }

    /// Everybody may pass, from now on.
    pub async fn open(self) {
        // The session's end gives its lock back.
        self.holder.close().await.unwrap();
    }
}
