//! One probe: a test container that waits, is told to go, is watched, and then is gone, or waits for the next one.
//!
//! Decides what an end means. The command's own code comes from our script inside ([`super::words`]); whatever ends
//! without its word is never an exit code. The command has the script's own user and can forge what it says: so a word
//! lifts no limit, and counts only when the container ends on it, or when the engine finds nothing else alive in it.

use super::{
    engine::{self, Attached, Engine},
    events::{Events, Fate, FateWatch},
    words::{Control, Printed},
    workspace::Workspace,
};
use crate::sandbox::{Limits, ProbeSpec, RunEnd, SandboxError};
use bisect_shared::Ending;
use bollard::{container::LogOutput, models::ContainerCreateBody};
use bytes::Bytes;
use futures::StreamExt;
use std::{
    future,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;

pub(super) const DOING: &str = "running a probe";
/// How long a killed container may take to be gone.
const DYING: Duration = Duration::from_secs(60);
/// How long a container may take from `go` to its setup, with a Python environment to be made.
const BEGINNING: Duration = Duration::from_secs(120);
/// The same for one that has run another commit; after that a new one is taken.
const BEGINNING_AGAIN: Duration = Duration::from_secs(20);
/// By how much the engine's word of memory may be late.
const LATE: Duration = Duration::from_secs(1);
/// How long a process that is not the command's may be in its container.
const LOOKING_IN: Duration = Duration::from_secs(1);
/// How long a stopped command may take to be gone before its container is killed.
const LETTING_GO: Duration = Duration::from_secs(2);
/// How long a container may be there after its last word.
const CLOSING: Duration = Duration::from_secs(5);
const TAMPERED_NOTE: &str = "\nbisectd: the command interfered with the process that supervises it \
    (process 1 of its container), so its result counts for nothing\n";
/// The shortest pause between two measurements of the disk.
const DISK_PAUSE: Duration = Duration::from_millis(500);
/// Below this the engine's whole file system counts as full, whoever fills it.
const DISK_RESERVE: u64 = 256 << 20;
/// The same for the number of its files.
const FILES_RESERVE: u64 = 20_000;

/// A started test container that waits for its commit.
pub(super) struct Prepared {
    container: Attached,
    fate: FateWatch,
    /// It has run a commit before.
    used: bool,
}

/// A probe that was run.
pub(super) struct Ran {
    pub(super) end: RunEnd,
    /// The container, which is as new; `None` when it is gone.
    pub(super) again: Option<Prepared>,
}

impl Prepared {
    pub(super) async fn start(
        engine: &Engine,
        events: &Events,
        name: String,
        body: ContainerCreateBody,
    ) -> Result<Self, SandboxError> {
        let doing = "starting a test container";
        let container = engine.launch(doing, name, body).await?;
        let fate = events.of(&container.id);
        Ok(Self { container, fate, used: false })
    }

    /// Removes it, unused.
    pub(super) async fn discard(mut self, engine: &Engine) -> Result<(), SandboxError> {
        engine.remove_container(&self.container.id).await?;
        self.container.presence.ended();
        Ok(())
    }

    /// Runs the probe to its end. When this returns, nothing of it is alive any more. `last`: the container is not
    /// needed afterwards. `None` when it had ended while it waited, so that nothing was run.
    pub(super) async fn run(
        self,
        engine: &Engine,
        spec: &ProbeSpec,
        workspace: &Workspace,
        output: mpsc::Sender<Bytes>,
        (last, stop): (bool, &CancellationToken),
    ) -> Result<Option<Ran>, SandboxError> {
        let nonce = rand::random::<[u64; 2]>();
        let nonce = format!("{:016x}{:016x}", nonce[0], nonce[1]);
        let mut run = Run {
            container: self.container,
            fate: self.fate,
            beginning: if self.used { BEGINNING_AGAIN } else { BEGINNING },
            used: self.used,
            control: Control::new(&nonce),
            printed: Printed::new(&nonce),
            forward: Some(output),
            unsent: None,
            begun: None,
            heard: Instant::now(),
            held_up: Duration::ZERO,
        };
        let word = if last { "last" } else { "go" };
        if run.say(&format!("{word} {nonce}\n")).await.is_err() {
            return Ok(None);
        }
        let watched = run.watch(engine, spec, workspace, stop).await;
        let (why, fate) = match watched {
            Ok(Over::Stays) => (None, None),
            Ok(Over::Cut(Cut::Stopped)) if !last && run.lets_go(engine).await => (Some(Ok(Cut::Stopped)), None),
            Ok(Over::ByItself(fate)) => (None, Some(fate)),
            Ok(Over::Cut(why)) => (Some(Ok(why)), Some(run.end_now(engine).await?)),
            Err(error) => (Some(Err(error)), Some(run.end_now(engine).await?)),
        };
        let stays = fate.is_none();
        let Some(end) = run.end(why, fate.unwrap_or_default())? else { return Ok(None) };
        if matches!(end, RunEnd::Ended(Ending::Tampered, _)) {
            tell(&run.forward, TAMPERED_NOTE, stop).await;
        }
        let again = stays.then(|| Prepared { container: run.container, fate: run.fate, used: true });
        Ok(Some(Ran { end, again }))
    }
}

/// Why we ended a probe.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Stopped,
    For(Ending),
    /// It said its last word, and went on.
    Lingering,
    /// It said that nothing else is alive, and the engine sees otherwise.
    NotAlone,
    /// It had run another commit, and did not take up this one.
    NeverBegan,
}

enum Over {
    ByItself(Fate),
    /// The container waits for the next commit.
    Stays,
    Cut(Cut),
}

struct Run {
    container: Attached,
    fate: FateWatch,
    /// How long it may take to begin.
    beginning: Duration,
    used: bool,
    control: Control,
    printed: Printed,
    /// Where output goes; `None` once nobody reads it.
    forward: Option<mpsc::Sender<Bytes>>,
    /// Read but not taken yet: nothing more is read before it is.
    unsent: Option<Bytes>,
    /// When setup began.
    begun: Option<Instant>,
    /// When it last printed something.
    heard: Instant,
    /// How long the reader had us wait since the last word.
    held_up: Duration,
}

impl Run {
    /// What the probe came to; `None` when it never began, so that nothing was run.
    fn end(&self, why: Option<Result<Cut, SandboxError>>, fate: Fate) -> Result<Option<RunEnd>, SandboxError> {
        let seconds = self.control.ended_at.unwrap_or_else(Instant::now);
        let seconds = self.begun.map_or(0.0, |begun| (seconds - begun).as_secs_f64());
        let ending = match why {
            Some(Err(error)) => return Err(error),
            Some(Ok(Cut::Stopped)) => return Ok(Some(RunEnd::Stopped)),
            None if self.begun.is_none() => return Ok(None),
            Some(Ok(Cut::NeverBegan)) => return Ok(None),
            Some(Ok(Cut::For(ending))) => ending,
            Some(Ok(Cut::NotAlone)) => Ending::Tampered,
            // It may just have ended, and Docker be slow to say so.
            Some(Ok(Cut::Lingering)) if fate.code != Some(0) => Ending::Tampered,
            Some(Ok(Cut::Lingering)) => self.control.ending(Fate { signalled: false, ..fate })?,
            None => self.control.ending(fate)?,
        };
        Ok(Some(RunEnd::Ended(ending, seconds)))
    }

    /// Whether the container that says it is as new is so, as far as the engine can see, and may wait. Where the engine
    /// cannot tell, it ends now, as after any other probe.
    async fn check_in(&mut self, engine: &Engine) -> Result<Option<Over>, SandboxError> {
        match self.is_alone(engine).await {
            Ok(true) => {}
            Ok(false) => return Ok(Some(Over::Cut(Cut::NotAlone))),
            Err(error) => {
                tracing::debug!(%error, "a test container is not used again");
                self.say("end\n").await?;
                return Ok(None);
            }
        }
        if self.fate.so_far() != Fate::default() {
            // Its end tells the rest.
            self.say("end\n").await?;
            return Ok(None);
        }
        self.say("stay\n").await?;
        Ok(Some(Over::Stays))
    }

    /// Whether process 1 is alone. Somebody who looks into the container from outside may be there for a moment.
    async fn is_alone(&mut self, engine: &Engine) -> Result<bool, SandboxError> {
        let seen = Instant::now();
        while seen.elapsed() < LOOKING_IN && !self.control.is_contradicted() {
            if engine.processes(&self.container.id).await? == 1 {
                return Ok(true);
            }
            tokio::time::sleep(LOOKING_IN / 20).await;
        }
        Ok(false)
    }

    async fn say(&mut self, line: &str) -> Result<(), SandboxError> {
        let input = &mut self.container.input;
        let said = async {
            input.write_all(line.as_bytes()).await?;
            input.flush().await
        };
        said.await.map_err(|error| engine::failed(DOING, error))
    }

    /// Passes output on until the container is gone, or waits for another commit, or until there is a reason to end it.
    async fn watch(
        &mut self,
        engine: &Engine,
        spec: &ProbeSpec,
        workspace: &Workspace,
        stop: &CancellationToken,
    ) -> Result<Over, SandboxError> {
        let started = Instant::now();
        let mut disk = std::pin::pin!(outgrown(workspace, spec.limits));
        let (mut streaming, mut leaves) = (true, false);
        loop {
            if self.control.stays() && self.printed.is_done() && self.unsent.is_none() && !leaves {
                match self.check_in(engine).await? {
                    Some(over) => return Ok(over),
                    None => leaves = true,
                }
            }
            let over = self.control.ended_at.is_some();
            let limit = match self.begun {
                Some(begun) => begun + spec.timeout,
                None => started + self.beginning,
            };
            // A slow reader may have its time, but no more than the probe had.
            let closing = self.control.ended_at.map(|at| (at + CLOSING + self.held_up).min(at.max(limit) + CLOSING));
            let silence = spec.silence.filter(|_| self.begun.is_some() && self.unsent.is_none());
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Over::Cut(Cut::Stopped)),
                () = sleep_until(limit.into()), if !over => {
                    if self.begun.is_none() {
                        let never = engine::failed(DOING, "the test container did not begin");
                        return if self.used { Ok(Over::Cut(Cut::NeverBegan)) } else { Err(never) };
                    }
                    return Ok(Over::Cut(Cut::For(Ending::TimedOut)));
                }
                () = until(silence.map(|silence| self.heard + silence)), if !over => {
                    return Ok(Over::Cut(Cut::For(Ending::Silent)));
                }
                () = until(closing), if over && (self.unsent.is_none() || closing > Some(limit)) => {
                    return Ok(Over::Cut(Cut::Lingering));
                }
                grown = &mut disk => {
                    return grown.map(|()| Over::Cut(Cut::For(Ending::OutOfDisk)));
                }
                () = send(&self.forward, &self.unsent), if self.unsent.is_some() => {
                    self.unsent = None;
                    if over {
                        self.held_up += self.heard.elapsed();
                    }
                    // The reader's slowness is not the command's silence.
                    self.heard = Instant::now();
                }
                frame = self.container.output.next(), if streaming && self.unsent.is_none() => {
                    match frame {
                        Some(Ok(frame)) => self.take(frame),
                        Some(Err(error)) => return Err(engine::failed(DOING, error)),
                        None => {
                            streaming = false;
                            self.unsent = Some(self.printed.rest()).filter(|rest| !rest.is_empty());
                        }
                    }
                }
                fate = gone(&mut self.fate), if !streaming && self.unsent.is_none() => {
                    self.container.presence.ended();
                    let fate = fate?;
                    // The engine may tell of memory after it told of the end.
                    let known = if self.control.asks_for_memory() { self.fate.of_memory(LATE).await } else { fate };
                    return Ok(Over::ByItself(known));
                }
            }
        }
    }

    /// Asks the script to end what runs, and says whether the container waits for another commit now.
    async fn lets_go(&mut self, engine: &Engine) -> bool {
        let asked = async {
            if !self.control.stays() {
                self.say("stop\n").await?;
            }
            while !(self.control.stays() && self.printed.is_done()) {
                match self.container.output.next().await {
                    Some(Ok(frame)) => self.take(frame),
                    Some(Err(error)) => return Err(engine::failed(DOING, error)),
                    None => return Ok(None),
                }
            }
            self.check_in(engine).await
        };
        matches!(tokio::time::timeout(LETTING_GO, asked).await, Ok(Ok(Some(Over::Stays))))
    }

    /// Kills the container, waits until it is gone, and passes on what it had printed before.
    async fn end_now(&mut self, engine: &Engine) -> Result<Fate, SandboxError> {
        if let Some(unsent) = self.unsent.take() {
            pass_on(&self.forward, unsent);
        }
        let Self { container, fate, forward, control, printed, .. } = self;
        let drain = async {
            while let Some(Ok(frame)) = container.output.next().await {
                match frame {
                    LogOutput::StdErr { message } => drop(control.read(&message)),
                    other => pass_on(forward, printed.read(other.into_bytes())),
                }
            }
        };
        // Docker is done with a container, and with the request to kill it, only when all of its
        // output was read: so all three go on side by side.
        let killed = async { tokio::try_join!(engine.kill(&container.id), gone(fate)) };
        let killed = async {
            let mut killed = std::pin::pin!(killed);
            tokio::select! {
                killed = &mut killed => killed,
                () = drain => killed.await,
            }
        };
        let ((), fate) = tokio::time::timeout(DYING, killed)
            .await
            .map_err(|_| engine::failed("killing a probe", "its container is still there"))??;
        pass_on(&self.forward, self.printed.rest());
        self.container.presence.ended();
        Ok(fate)
    }

    fn take(&mut self, frame: LogOutput) {
        self.heard = Instant::now();
        let to_pass_on = match frame {
            LogOutput::StdErr { message } => {
                let rest = self.control.read(&message);
                if self.control.begun && self.begun.is_none() {
                    self.begun = Some(self.heard);
                }
                rest
            }
            other => self.printed.read(other.into_bytes()),
        };
        if !to_pass_on.is_empty() && self.forward.is_some() {
            self.unsent = Some(to_pass_on);
        }
    }
}

/// Best effort, for what comes after the end was decided.
fn pass_on(forward: &Option<mpsc::Sender<Bytes>>, bytes: Bytes) {
    if let Some(forward) = forward
        && !bytes.is_empty()
    {
        // A full channel means a reader that is far behind, and this is the very last of it.
        drop(forward.try_send(bytes));
    }
}

async fn send(forward: &Option<mpsc::Sender<Bytes>>, bytes: &Option<Bytes>) {
    if let (Some(forward), Some(bytes)) = (forward, bytes)
        // An error says that nobody reads any more, which is the reader's choice.
        && let Ok(permit) = forward.reserve().await
    {
        permit.send(bytes.clone());
    }
}

/// Adds a line of our own to the output, unless nobody takes it.
pub(super) async fn tell(forward: &Option<mpsc::Sender<Bytes>>, line: &'static str, stop: &CancellationToken) {
    let line = Some(Bytes::from_static(line.as_bytes()));
    tokio::select! {
        () = stop.cancelled() => {}
        () = send(forward, &line) => {}
    }
}

async fn gone(fate: &mut FateWatch) -> Result<Fate, SandboxError> {
    let ended = fate.ended().await;
    ended.map_err(|reason| engine::failed(DOING, reason))
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => future::pending().await,
    }
}

/// Returns when workspace and home are over their limits. Measures no more than a tenth of the time, and no longer
/// than it takes to count the files that are allowed.
async fn outgrown(workspace: &Workspace, limits: Limits) -> Result<(), SandboxError> {
    let mut pause = DISK_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        let usage = workspace.usage(limits.files).await?;
        if usage.used > limits.disk || usage.files > limits.files {
            return Ok(());
        }
        if usage.free < DISK_RESERVE {
            let left = usage.free;
            let reason = format!("the file system of Docker's volumes is full ({left} bytes left)");
            return Err(engine::failed(DOING, reason));
        }
        if let Some(left) = usage.free_files.filter(|left| *left < FILES_RESERVE) {
            let reason = format!("the file system of Docker's volumes has no room for more files ({left} inodes left)");
            return Err(engine::failed(DOING, reason));
        }
        pause = DISK_PAUSE.max(begun.elapsed() * 10);
    }
}
