//! Plain processes of this machine: no isolation at all, for tests and for one's own code. It must
//! be asked for by name and is never what Docker falls back to.
//!
//! It keeps the promises about verdicts, time and leftovers; those about limits it cannot keep.

use super::{Lane, ProbeSpec, RunEnd, Sandbox, SandboxError};
use crate::git::Git;
use async_trait::async_trait;
use bisect_shared::{Ending, Epoch, InstanceId, JobId, Purpose, Sha};
use bytes::{Bytes, BytesMut};
use std::{
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Names the lane in the environment of everything that runs on it, so that whatever it leaves
/// running is found again.
const LANE_VARIABLE: &str = "BISECT_LANE";

/// What ties git to one repository: `git rev-parse --local-env-vars`.
const REPOSITORY_VARIABLES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// The sandbox without walls, whose lanes are folders.
#[derive(Debug, Clone)]
pub struct ProcessSandbox {
    folder: PathBuf,
}

struct ProcessLane {
    git: Git,
    folder: PathBuf,
    spec: Arc<ProbeSpec>,
    deadline: Instant,
    /// What is checked out, and the second that none of its files is younger than.
    checked_out: Option<(Sha, SystemTime)>,
}

impl ProcessSandbox {
    /// Lanes go into `data_dir/lanes`.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("lanes") }
    }

    fn lane_folder(&self, spec: &ProbeSpec, lane: u32) -> PathBuf {
        self.folder.join(&spec.instance.0).join(format!("{}.{}.{lane}", spec.job, spec.epoch))
    }

    /// The lanes of `job` below an epoch, whichever process had them.
    fn left_behind(&self, job: JobId, below: Epoch) -> Vec<PathBuf> {
        let old = |name: &str| {
            let mut parts = name.split('.').map(str::parse::<i64>);
            matches!((parts.next(), parts.next()), (Some(Ok(j)), Some(Ok(e))) if j == job.0 && e < below.0)
        };
        let lanes = folders(&self.folder).into_iter().flat_map(|instance| folders(&instance));
        lanes.filter(|lane| lane.file_name().and_then(|name| name.to_str()).is_some_and(old)).collect()
    }
}

/// What a folder holds; nothing where it is not there.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

#[async_trait]
impl Sandbox for ProcessSandbox {
    async fn check(&self, _spec: &ProbeSpec) -> Result<Option<String>, SandboxError> {
        Ok(None)
    }

    async fn open_lane(
        &self,
        spec: Arc<ProbeSpec>,
        lane: u32,
        _purpose: Purpose,
    ) -> Result<Box<dyn Lane>, SandboxError> {
        let folder = self.lane_folder(&spec, lane);
        let deadline = Instant::now() + spec.deadline;
        let opened = ProcessLane { git: Git::reader(), deadline, folder, spec, checked_out: None };
        opened.create().await?;
        Ok(Box::new(opened))
    }

    async fn sweep_job(&self, job: JobId, below: Epoch) -> Result<(), SandboxError> {
        for lane in self.left_behind(job, below) {
            remove_lane(&lane).await?;
        }
        Ok(())
    }

    async fn instances(&self) -> Result<Vec<InstanceId>, SandboxError> {
        let names = folders(&self.folder).into_iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.map(InstanceId).collect())
    }

    async fn sweep_instances(&self, dead: &[InstanceId]) -> Result<(), SandboxError> {
        for instance in dead {
            let folder = self.folder.join(&instance.0);
            for lane in folders(&folder) {
                kill_all_of(&lane).await;
            }
            remove(&folder).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Lane for ProcessLane {
    async fn run(
        &mut self,
        commit: Sha,
        output: mpsc::Sender<Bytes>,
        stop: CancellationToken,
    ) -> Result<RunEnd, SandboxError> {
        self.checkout(commit).await?;
        let started = Instant::now();
        let limit = (started + self.spec.timeout).min(self.deadline);
        if let Some(setup) = self.spec.setup.clone() {
            let words = ["sh".to_owned(), "-c".to_owned(), setup];
            match self.execute(&words, &output, &stop, limit).await? {
                Some(Ending::Exited(0)) => {}
                Some(Ending::Exited(code)) => {
                    return Ok(RunEnd::Ended(Ending::SetupFailed(code), started.elapsed().as_secs_f64()));
                }
                other => return Ok(run_end(other, started)),
            }
        }
        let command = self.spec.command.clone();
        Ok(run_end(self.execute(&command, &output, &stop, limit).await?, started))
    }

    async fn close(self: Box<Self>) -> Result<(), SandboxError> {
        remove_lane(&self.folder).await
    }
}

/// Ends what runs on a lane and removes it, and the folder of its process with the last one.
async fn remove_lane(lane: &Path) -> Result<(), SandboxError> {
    kill_all_of(lane).await;
    remove(lane).await?;
    if let Some(instance) = lane.parent() {
        // It stays while another lane of the same process is in it.
        let _ = std::fs::remove_dir(instance);
    }
    Ok(())
}

fn second(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn run_end(ending: Option<Ending>, started: Instant) -> RunEnd {
    ending.map_or(RunEnd::Stopped, |ending| RunEnd::Ended(ending, started.elapsed().as_secs_f64()))
}

impl ProcessLane {
    fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// A repository of its own that borrows the mirror's objects.
    async fn create(&self) -> Result<(), SandboxError> {
        let work = self.work();
        let made = std::fs::create_dir_all(&work).map_err(|error| engine("creating a lane", &error));
        made?;
        self.git(&["init", "--quiet", "--template="]).await?;
        let alternates = work.join(".git/objects/info");
        let line = format!("{}\n", self.spec.mirror.join("objects").display());
        std::fs::create_dir_all(&alternates)
            .and_then(|()| std::fs::write(alternates.join("alternates"), line))
            .map_err(|error| engine("creating a lane", &error))
    }

    /// The commit's own files and ignored ones; nothing else. A tree that git cannot clean, or
    /// whose repository was tampered with, is made anew.
    async fn checkout(&mut self, commit: Sha) -> Result<(), SandboxError> {
        if self.try_checkout(commit).await.is_err() {
            remove(&self.folder).await?;
            self.create().await?;
            self.checked_out = None;
            self.try_checkout(commit).await?;
        }
        self.age_apart(commit).await
    }

    /// Python takes its compiled file for current when second and length of the source are the
    /// same (PEP 3147), so two commits checked out within one second must not look alike: what the
    /// later one changes gets a second of its own. That may lie a little ahead, which makes build
    /// tools build once too often, never once too few.
    async fn age_apart(&mut self, commit: Sha) -> Result<(), SandboxError> {
        let now = SystemTime::now();
        let Some((before, youngest)) = self.checked_out.replace((commit, now)) else { return Ok(()) };
        if second(now) > second(youngest) {
            return Ok(());
        }
        let stamp = youngest + Duration::from_secs(1);
        let changed =
            self.git(&["diff", "--name-only", "--no-renames", "-z", &before.to_string(), &commit.to_string()]).await?;
        for name in changed.split('\0').filter(|name| !name.is_empty()) {
            // A file that the commit removed, or a link to nowhere, has no age.
            let file =
                std::fs::File::options().write(true).custom_flags(nix::libc::O_NOFOLLOW).open(self.work().join(name));
            let _ = file.and_then(|file| file.set_modified(stamp));
        }
        self.checked_out = Some((commit, stamp));
        Ok(())
    }

    async fn try_checkout(&self, commit: Sha) -> Result<(), SandboxError> {
        self.git(&["checkout", "--quiet", "--force", "--detach", &commit.to_string()]).await?;
        self.git(&["clean", "--quiet", "-ffd"]).await.map(drop)
    }

    async fn git(&self, args: &[&str]) -> Result<String, SandboxError> {
        let work = self.work();
        let words = ["--work-tree".as_ref(), work.as_os_str()].into_iter().chain(args.iter().map(AsRef::as_ref));
        let mut command = self.git.command(&work.join(".git"), words);
        command.current_dir(&work);
        let output = crate::git::output_of(&mut command).await.map_err(|error| engine("checking out", &error))?;
        crate::git::text_of(&command, &output).map_err(|error| engine("checking out", &error))
    }

    /// Runs one command to its end and kills whatever it leaves; `None` when it was stopped.
    async fn execute(
        &self,
        words: &[String],
        output: &mpsc::Sender<Bytes>,
        stop: &CancellationToken,
        limit: Instant,
    ) -> Result<Option<Ending>, SandboxError> {
        let mut child = match self.spawn(words) {
            Ok(child) => child,
            Err(error) => return cannot_start(words, &error, output).await,
        };
        let (heard, last_heard) = watch::channel(Instant::now());
        let readers = [
            tokio::spawn(copy(child.stdout.take(), output.clone(), heard.clone())),
            tokio::spawn(copy(child.stderr.take(), output.clone(), heard)),
        ];
        let ending = tokio::select! {
            status = child.wait() => Some(exit_of(status.map_err(|error| engine("waiting for the command", &error))?)),
            () = tokio::time::sleep_until(limit) => Some(Ending::TimedOut),
            () = silence(last_heard, self.spec.silence) => Some(Ending::Silent),
            () = stop.cancelled() => None,
        };
        if let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()) {
            // Gone already is what we want.
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::SIGKILL);
        }
        kill_all_of(&self.folder).await;
        let _ = child.wait().await;
        for reader in readers {
            // Nobody holds the pipes any more but a process that left the lane's environment behind.
            let abort = reader.abort_handle();
            if tokio::time::timeout(Duration::from_secs(2), reader).await.is_err() {
                abort.abort();
            }
        }
        Ok(ending)
    }

    fn spawn(&self, words: &[String]) -> std::io::Result<Child> {
        let (program, args) = words.split_first().ok_or(ErrorKind::NotFound)?;
        // A relative program is looked up in the tree under test, not where this process stands.
        let program = if program.contains('/') { self.work().join(program) } else { program.into() };
        let mut command = Command::new(program);
        // Started from a hook or an alias of git, they would lead the command's git elsewhere.
        for name in REPOSITORY_VARIABLES {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(self.work())
            .envs(self.spec.env.iter().map(|(name, value)| (name, value)))
            .env(LANE_VARIABLE, &self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// What a shell answers for a program that cannot be started: 127 not found, 126 not executable.
async fn cannot_start(
    words: &[String],
    error: &std::io::Error,
    output: &mpsc::Sender<Bytes>,
) -> Result<Option<Ending>, SandboxError> {
    let program = words.first().map_or("", String::as_str);
    let (code, reason) = match error.kind() {
        ErrorKind::NotFound => (127, "not found"),
        ErrorKind::PermissionDenied => (126, "not executable"),
        _ if error.raw_os_error() == Some(nix::libc::ENOEXEC) => (126, "not a program (no #! line?)"),
        _ => return Err(engine("starting the command", error)),
    };
    let _ = output.send(Bytes::from(format!("{program}: {reason}\n"))).await;
    Ok(Some(Ending::Exited(code)))
}

/// The status as a shell would report it.
fn exit_of(status: std::process::ExitStatus) -> Ending {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(255);
    Ending::Exited(u8::try_from(code).unwrap_or(255))
}

async fn copy<R: AsyncRead + Unpin>(from: Option<R>, output: mpsc::Sender<Bytes>, heard: watch::Sender<Instant>) {
    let Some(mut from) = from else { return };
    loop {
        let mut buffer = BytesMut::with_capacity(16 << 10);
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                heard.send_replace(Instant::now());
                if output.send(buffer.freeze()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Ends when nothing was heard for `limit`.
async fn silence(last_heard: watch::Receiver<Instant>, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        let until = *last_heard.borrow() + limit;
        if until <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

/// Kills every process whose environment names the lane, until none is left: one that forks while
/// it is looked for is found in the next round.
async fn kill_all_of(folder: &Path) {
    let marker = [LANE_VARIABLE.as_bytes(), b"=", folder.as_os_str().as_encoded_bytes()].concat();
    for _ in 0..100 {
        let found = processes_with(&marker);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tracing::warn!(lane = %folder.display(), "processes of a lane could not be killed");
}

/// Live processes that were started with `marker` in their environment (proc(5), `environ`). A
/// zombie's environment is empty, so the dead do not count.
fn processes_with(marker: &[u8]) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let holds = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|b| *b == 0).any(|v| v == marker))
    };
    pids.filter(holds).collect()
}

/// Removes a lane; folders that were made unwritable are opened first.
async fn remove(folder: &Path) -> Result<(), SandboxError> {
    for last in [false, true] {
        match tokio::fs::remove_dir_all(folder).await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if last => return Err(engine("removing a lane", &error)),
            Err(_) => {
                let opened = Command::new("chmod").args(["-R", "u+rwX", "--"]).arg(folder).status().await;
                opened.map_err(|error| engine("removing a lane", &error))?;
            }
        }
    }
    Ok(())
}

fn engine(doing: &str, reason: &dyn std::fmt::Display) -> SandboxError {
    SandboxError::Engine { doing: doing.to_owned(), reason: reason.to_string() }
}
