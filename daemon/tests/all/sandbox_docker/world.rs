//! A world for one test: its own owner label, its own job, one shared history; ends clean.

use crate::support::eventually;
use bisect_shared::{Ending, Epoch, InstanceId, JobId, Purpose, Sha};
use bisectd::sandbox::{
    Lane, Limits, Network, ProbeSpec, RunEnd, Sandbox, SandboxError,
    docker::{DockerConfig, DockerSandbox},
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// For what never ends by itself. The probes that follow have it too, and must end within it however busy the machine is.
pub const SOON: Duration = Duration::from_secs(5);

const HISTORY: &str = include_str!("history.sh");

/// The bare repository of `history.sh`, made once for every run of the tests.
pub fn mirror() -> &'static Path {
    static MIRROR: OnceLock<PathBuf> = OnceLock::new();
    MIRROR.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        HISTORY.hash(&mut hasher);
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let kept = tmp.join(format!("sandbox-history-{:016x}", hasher.finish()));
        if !kept.exists() {
            let fresh = tempfile::tempdir_in(tmp).unwrap();
            let made = Command::new("sh").args(["-c", HISTORY, "history"]).arg(fresh.path()).status();
            assert!(made.unwrap().success(), "history.sh failed");
            // Another process may have been faster.
            drop(std::fs::rename(fresh.path(), &kept));
        }
        kept.join("mirror")
    })
}

/// The commit that a tag of the history names.
pub fn commit(tag: &str) -> Sha {
    let git =
        Command::new("git").arg("-C").arg(mirror()).args(["rev-parse", &format!("{tag}^{{commit}}")]).output().unwrap();
    String::from_utf8(git.stdout).unwrap().trim().parse().unwrap()
}

/// One line of `docker` output a thing.
pub fn docker(args: &[&str]) -> Vec<String> {
    let ran = Command::new("docker").args(args).output().unwrap();
    assert!(
        ran.status.success(),
        "docker {args:?} (these tests need Docker: `make setup`): {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let text = String::from_utf8(ran.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

pub struct World {
    pub sandbox: DockerSandbox,
    pub owner: String,
    pub job: JobId,
}

impl World {
    pub fn new() -> Self {
        Self::with(DockerConfig::default())
    }

    pub fn with(config: DockerConfig) -> Self {
        static NEXT: AtomicI64 = AtomicI64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let owner = format!("test-{}-{number}", std::process::id());
        let config = DockerConfig { owner: owner.clone(), ..config };
        Self { sandbox: DockerSandbox::connect(config).unwrap(), owner, job: JobId(number) }
    }

    /// Small limits: what is tested is that they hold, not how large they are.
    pub fn spec(&self, command: &[&str]) -> ProbeSpec {
        ProbeSpec {
            job: self.job,
            epoch: Epoch(1),
            instance: InstanceId("tester".to_owned()),
            mirror: mirror().to_owned(),
            image: "bisect-runner:latest".to_owned(),
            image_id: None,
            command: command.iter().map(|&word| word.to_owned()).collect(),
            setup: None,
            env: Vec::new(),
            network: Network::None,
            timeout: Duration::from_secs(60),
            silence: None,
            deadline: Duration::from_secs(300),
            limits: Limits { memory: 256 << 20, cpus: 2.0, pids: 64, tmp: 8 << 20, disk: 256 << 20, files: 100_000 },
        }
    }

    /// Runs `hostile` on the commit `evil-0` and `check` on every other one.
    pub fn attack(&self, hostile: &str, check: &str) -> ProbeSpec {
        self.attacks(&[hostile], check)
    }

    /// Runs each of `hostile` on the commit `evil-` and its number, `check` on every other one.
    pub fn attacks(&self, hostile: &[&str], check: &str) -> ProbeSpec {
        let mut script = "case $(cat evil 2>&1) in\n".to_owned();
        for (number, hostile) in hostile.iter().enumerate() {
            script.push_str(&format!("{number})\n{hostile}\n;;\n"));
        }
        script.push_str(&format!("*)\nset -e\n{check}\n;;\nesac"));
        self.spec(&["sh", "-c", &script])
    }

    pub async fn lane(&self, spec: ProbeSpec) -> Box<dyn Lane> {
        self.sandbox.open_lane(Arc::new(spec), 0, Purpose::Search).await.unwrap()
    }

    /// Everything that carries this world's label.
    pub fn left(&self) -> Vec<String> {
        let filter = format!("label=bisectd.owner={}", self.owner);
        let mut left = docker(&["ps", "-aq", "--filter", &filter]);
        left.extend(docker(&["volume", "ls", "-q", "--filter", &filter]));
        left
    }

    /// Returns once nothing of this world is left; for what is removed in the background.
    pub async fn left_nothing_soon(&self) {
        eventually("nothing of this world is left", async || self.left().is_empty().then_some(())).await;
    }

    /// Closes the lane, after which nothing may be left.
    pub async fn end(&self, lane: Box<dyn Lane>) {
        lane.close().await.unwrap();
        assert_eq!(self.left(), Vec::<String>::new());
    }

    /// The whole life of an attack: it ends, the next probe works, and nothing is left.
    pub async fn survives(&self, spec: ProbeSpec) -> Attacked {
        self.survives_all(spec, 1).await.remove(0)
    }

    /// As [`World::survives`], for the first `count` of [`World::attacks`].
    pub async fn survives_all(&self, spec: ProbeSpec, count: usize) -> Vec<Attacked> {
        let mut lane = self.lane(spec).await;
        let mut attacked = Vec::new();
        for number in 0..count {
            let probed = probe(&mut *lane, commit(&format!("evil-{number}"))).await;
            let next = probe(&mut *lane, commit("quiet")).await;
            assert_eq!(
                next.ending(),
                Ending::Exited(0),
                "after attack {number} ({:?}) the next probe printed: {}",
                probed.end,
                next.text()
            );
            attacked.push(Attacked { ending: probed.ending(), output: probed.text() });
        }
        self.end(lane).await;
        attacked
    }
}

impl Drop for World {
    /// A failed test's runtime stops before what it spawned could clean up.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let filter = format!("--filter label=bisectd.owner={}", self.owner);
        let script = format!(
            "docker ps -aq {filter} | xargs -r docker rm -fv; docker volume ls -q {filter} | xargs -r docker volume rm"
        );
        drop(Command::new("sh").args(["-c", &script]).output());
    }
}

#[derive(Debug)]
pub struct Attacked {
    pub ending: Ending,
    pub output: String,
}

#[derive(Debug)]
pub struct Probed {
    pub end: Result<RunEnd, SandboxError>,
    pub output: Vec<u8>,
}

impl Probed {
    pub fn ending(&self) -> Ending {
        match self.end {
            Ok(RunEnd::Ended(ending, _)) => ending,
            _ => panic!("{:?} after: {}", self.end, self.text()),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

/// One run with all that it printed; of endless output, the first megabyte.
pub async fn probe(lane: &mut dyn Lane, commit: Sha) -> Probed {
    probe_until(lane, commit, CancellationToken::new(), |_| {}).await
}

/// As [`probe`], with a look at the output so far whenever some comes.
pub async fn probe_until(
    lane: &mut dyn Lane,
    commit: Sha,
    stop: CancellationToken,
    mut look: impl FnMut(&[u8]),
) -> Probed {
    let (sender, mut receiver) = mpsc::channel::<bytes::Bytes>(4);
    let read = async {
        let mut output = Vec::new();
        while let Some(bytes) = receiver.recv().await {
            if output.len() < 1 << 20 {
                output.extend_from_slice(&bytes);
            }
            look(&output);
        }
        output
    };
    let (end, output) = tokio::join!(lane.run(commit, sender, stop), read);
    Probed { end, output }
}
