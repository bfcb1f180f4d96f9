//! One probe: a test container that waits, is told to go, is watched, and is gone when it is over.
//!
//! Decides what an end means. The command's own code comes from our script inside, with a number
//! that only the script was told; whatever ends without that word is never an exit code. The command
//! has the script's own user and can forge what it says: so a word lifts no limit, and counts only when
//! the container ends on it.

use super::{
    engine::{self, Attached, Engine},
    events::{Events, Fate, FateWatch},
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

const DOING: &str = "running a probe";
/// How long a killed container may take to be gone.
const DYING: Duration = Duration::from_secs(60);
/// How long a container may take from `go` to its setup, with a Python environment to be made.
const BEGINNING: Duration = Duration::from_secs(120);
/// How long a container may be there after its last word.
const CLOSING: Duration = Duration::from_secs(5);
/// What the script exits with when its input ended: then nobody heard its words.
const UNHEARD: u8 = 75;
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
        Ok(Self { container, fate })
    }

    /// Removes it, unused.
    pub(super) async fn discard(mut self, engine: &Engine) -> Result<(), SandboxError> {
        engine.remove_container(&self.container.id).await?;
        self.container.presence.ended();
        Ok(())
    }

    /// Runs the probe to its end. When this returns, nothing of it is alive any more. `None` when
    /// the container had ended while it waited, so that nothing was run.
    pub(super) async fn run(
        self,
        engine: &Engine,
        spec: &ProbeSpec,
        workspace: &Workspace,
        output: mpsc::Sender<Bytes>,
        stop: &CancellationToken,
    ) -> Result<Option<RunEnd>, SandboxError> {
        let nonce = rand::random::<[u64; 2]>();
        let nonce = format!("{:016x}{:016x}", nonce[0], nonce[1]);
        let mut run = Run {
            container: self.container,
            fate: self.fate,
            control: Control::new(&nonce),
            forward: Some(output),
            unsent: None,
            begun: None,
            heard: Instant::now(),
            held_up: Duration::ZERO,
        };
        if run.say(&format!("go {nonce}\n")).await.is_err() {
            return Ok(None);
        }
        let watched = run.watch(spec, workspace, stop).await;
        let (why, fate) = match watched {
            Ok(Over::ByItself(fate)) => (None, fate),
            Ok(Over::Cut(why)) => (Some(Ok(why)), run.end_now(engine).await?),
            Err(error) => (Some(Err(error)), run.end_now(engine).await?),
        };
        let seconds = run.control.ended_at.unwrap_or_else(Instant::now);
        let seconds = run.begun.map_or(0.0, |begun| (seconds - begun).as_secs_f64());
        let ending = match why {
            Some(Err(error)) => return Err(error),
            Some(Ok(Cut::Stopped)) => return Ok(Some(RunEnd::Stopped)),
            Some(Ok(Cut::For(ending))) => ending,
            // It may just have ended, and Docker be slow to say so.
            Some(Ok(Cut::Lingering)) if fate.code != Some(0) => Ending::Tampered,
            None if run.begun.is_none() => return Ok(None),
            Some(Ok(Cut::Lingering)) => run.control.ending(Fate { signalled: false, ..fate })?,
            None => run.control.ending(fate)?,
        };
        if ending == Ending::Tampered {
            tell(&run.forward, TAMPERED_NOTE, stop).await;
        }
        Ok(Some(RunEnd::Ended(ending, seconds)))
    }
}

/// Why we ended a probe.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Stopped,
    For(Ending),
    /// It said its last word, and went on.
    Lingering,
}

enum Over {
    ByItself(Fate),
    Cut(Cut),
}

struct Run {
    container: Attached,
    fate: FateWatch,
    control: Control,
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
    async fn say(&mut self, line: &str) -> Result<(), SandboxError> {
        let input = &mut self.container.input;
        let said = async {
            input.write_all(line.as_bytes()).await?;
            input.flush().await
        };
        said.await.map_err(|error| engine::failed(DOING, error))
    }

    /// Passes output on until the container is gone, or until there is a reason to end it.
    async fn watch(
        &mut self,
        spec: &ProbeSpec,
        workspace: &Workspace,
        stop: &CancellationToken,
    ) -> Result<Over, SandboxError> {
        let started = Instant::now();
        let mut disk = std::pin::pin!(outgrown(workspace, spec.limits));
        let mut streaming = true;
        loop {
            let over = self.control.ended_at.is_some();
            let limit = match self.begun {
                Some(begun) => begun + spec.timeout,
                None => started + BEGINNING,
            };
            // A slow reader may have its time, but no more than the probe had.
            let closing = self.control.ended_at.map(|at| (at + CLOSING + self.held_up).min(at.max(limit) + CLOSING));
            let silence = spec.silence.filter(|_| self.begun.is_some() && self.unsent.is_none());
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Over::Cut(Cut::Stopped)),
                () = sleep_until(limit.into()), if !over => {
                    if self.begun.is_none() {
                        return Err(engine::failed(DOING, "the test container did not begin"));
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
                        None => streaming = false,
                    }
                }
                fate = gone(&mut self.fate), if !streaming && self.unsent.is_none() => {
                    self.container.presence.ended();
                    return fate.map(Over::ByItself);
                }
            }
        }
    }

    /// Kills the container, waits until it is gone, and passes on what it had printed before.
    async fn end_now(&mut self, engine: &Engine) -> Result<Fate, SandboxError> {
        if let Some(unsent) = self.unsent.take() {
            pass_on(&self.forward, unsent);
        }
        let Self { container, fate, forward, control, .. } = self;
        let drain = async {
            while let Some(Ok(frame)) = container.output.next().await {
                match frame {
                    LogOutput::StdErr { message } => drop(control.read(&message)),
                    other => pass_on(forward, other.into_bytes()),
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
            other => other.into_bytes(),
        };
        if !to_pass_on.is_empty() && self.forward.is_some() {
            self.unsent = Some(to_pass_on);
        }
    }
}

/// Best effort, for what comes after the end was decided.
fn pass_on(forward: &Option<mpsc::Sender<Bytes>>, bytes: Bytes) {
    if let Some(forward) = forward {
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

/// What the script inside said on its own stream.
struct Control {
    nonce: String,
    line: Vec<u8>,
    begun: bool,
    ended_at: Option<Instant>,
    word: Option<Word>,
    /// There were several last words: one at least is forged.
    contradicted: bool,
}

/// `end setup|command CODE GUARDED FULL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    of_setup: bool,
    code: u8,
    /// The container's own deadline ended the command.
    guarded: bool,
    /// The command failed and left `/tmp` full. One that tidied up first failed with its own code.
    full: bool,
}

impl Control {
    /// No word of the script is longer.
    const LONGEST: usize = 128;

    fn new(nonce: &str) -> Self {
        Self {
            nonce: nonce.to_owned(),
            line: Vec::new(),
            begun: false,
            ended_at: None,
            word: None,
            contradicted: false,
        }
    }

    /// Takes the script's words out of a piece of its stream. What is left is the shell's own
    /// (`Segmentation fault`), and belongs to the output.
    fn read(&mut self, bytes: &[u8]) -> Bytes {
        let mut rest = Vec::new();
        for byte in bytes {
            self.line.push(*byte);
            if *byte == b'\n' || self.line.len() >= Self::LONGEST {
                let line = std::mem::take(&mut self.line);
                // An empty one comes before each word.
                if line != b"\n" && !self.understand(&line) {
                    rest.extend(line);
                }
            }
        }
        rest.into()
    }

    fn understand(&mut self, line: &[u8]) -> bool {
        let Ok(text) = str::from_utf8(line) else {
            return false;
        };
        let Some(text) = text.strip_prefix(&self.nonce) else {
            return false;
        };
        match text.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            ["begin"] => self.begun = true,
            ["end", phase, code, guarded, full] if self.word.is_none() => {
                self.word = code.parse().ok().map(|code| Word {
                    of_setup: phase == "setup",
                    code,
                    guarded: guarded == "1",
                    full: full == "1",
                });
                self.ended_at = Some(Instant::now());
            }
            ["end", ..] => self.contradicted = true,
            _ => {}
        }
        true
    }

    /// What a probe that ended by itself came to.
    fn ending(&self, fate: Fate) -> Result<Ending, SandboxError> {
        if fate.signalled {
            let reason = "somebody had Docker signal the container, or Docker stops";
            return Err(engine::failed(DOING, reason));
        }
        if self.contradicted {
            return Ok(Ending::Tampered);
        }
        match self.word {
            Some(Word { code: 0, of_setup: false, .. }) => Ok(Ending::Exited(0)),
            _ if fate.out_of_memory => Ok(Ending::OutOfMemory),
            Some(word) if word.guarded => Ok(Ending::TimedOut),
            Some(word) if word.full => Ok(Ending::OutOfDisk),
            Some(Word { code, of_setup: true, .. }) => Ok(Ending::SetupFailed(code)),
            Some(Word { code, .. }) => Ok(Ending::Exited(code)),
            None if fate.code == Some(UNHEARD) => {
                Err(engine::failed(DOING, "the connection to the test container ended before it did"))
            }
            // It always says one, and nothing else can kill process 1.
            None => Ok(Ending::Tampered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(pieces: &[&str]) -> (Control, Vec<u8>) {
        let mut control = Control::new("5ec2e7");
        let mut rest = Vec::new();
        for piece in pieces {
            rest.extend(control.read(piece.as_bytes()));
        }
        (control, rest)
    }

    #[test]
    fn words_are_understood_however_they_are_split() {
        let (control, rest) = control(&["5ec", "2e7 be", "gin\nSegmentation fault\n5ec2e7 end com", "mand 139 0 0\n"]);
        assert!(control.begun);
        assert_eq!(rest, b"Segmentation fault\n");
        assert_eq!(control.ending(Fate::default()).unwrap(), Ending::Exited(139));
    }

    #[test]
    fn nobody_else_can_say_them() {
        let (control, rest) = control(&["0 end command 0 0 0\n", "5ec2e8 end command 0 0 0\n"]);
        assert_eq!(control.word, None);
        assert_eq!(rest.len(), 45);
        assert_eq!(control.ending(Fate::default()).unwrap(), Ending::Tampered);
    }

    #[test]
    fn what_others_write_between_them_hides_none() {
        let (control, rest) = control(&["\n5ec2e7 begin\n", "junk", "\n5ec2e7 end command 3 0 0\n"]);
        assert_eq!(rest, b"junk\n");
        assert_eq!(control.ending(Fate { code: Some(0), ..Fate::default() }).unwrap(), Ending::Exited(3));
    }

    #[test]
    fn a_container_that_ended_unheard_is_an_error_and_one_without_its_word_is_none() {
        let ended = |code| control(&["\n5ec2e7 begin\n"]).0.ending(Fate { code: Some(code), ..Fate::default() });
        assert!(ended(UNHEARD).is_err());
        assert_eq!(ended(0).unwrap(), Ending::Tampered);
        assert_eq!(ended(139).unwrap(), Ending::Tampered);
    }

    #[test]
    fn memory_is_told_by_the_engine_and_only_when_the_command_failed() {
        let oom = Fate { out_of_memory: true, ..Fate::default() };
        let ended = |word: &str| control(&[&format!("5ec2e7 end {word}\n")]).0.ending(oom).unwrap();
        assert_eq!(ended("command 0 0 0"), Ending::Exited(0));
        assert_eq!(ended("command 1 0 0"), Ending::OutOfMemory);
        assert_eq!(ended("setup 137 0 0"), Ending::OutOfMemory);
        assert_eq!(control(&[]).0.ending(oom).unwrap(), Ending::OutOfMemory);
    }

    #[test]
    fn a_code_that_arrives_while_docker_signals_the_container_is_discarded() {
        let signalled = Fate { signalled: true, ..Fate::default() };
        assert!(control(&["5ec2e7 end command 0 0 0\n"]).0.ending(signalled).is_err());
    }
}
