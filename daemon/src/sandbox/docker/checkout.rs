//! A workshop's checkout container, seen from here: requests go in, one line comes back for each, in any order.
//!
//! It answers within milliseconds because it always runs; see `checkout.sh` for its side.

use super::engine::{self, Attached, Engine, Output, Presence};
use crate::sandbox::SandboxError;
use bollard::models::ContainerCreateBody;
use futures::StreamExt;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::AsyncWriteExt,
    sync::{OwnedMutexGuard, mpsc, oneshot},
    task::AbortHandle,
};

/// No answer is longer; what is, was not written by our script.
const LONGEST_LINE: usize = 16 << 10;

/// How many requests may wait to be written: more than all lanes of a job ever have at once.
const REQUESTS: usize = 1024;

/// How full a lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Bytes in workspace and home.
    pub(super) used: u64,
    /// Files and folders there; counted no further than was asked.
    pub(super) files: u64,
    /// Bytes left on the engine's file system.
    pub(super) free: u64,
    /// Files and folders that it still has room for; `None` where it knows no limit.
    pub(super) free_files: Option<u64>,
}

/// What a lane's files are in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Condition {
    /// What the last answer said.
    #[default]
    Known,
    /// A request is under way; stays so when its answer never comes.
    Unknown,
}

/// Held while a request of a lane is under way, also when nobody waits for its answer any more.
pub(super) type Turn = OwnedMutexGuard<Condition>;

/// The running checkout container.
pub(super) struct Checkout {
    /// Written by a task of its own, so that a caller who gives up never leaves half a request.
    requests: mpsc::Sender<String>,
    waiting: Waiting,
    next_tag: AtomicU64,
    reader: AbortHandle,
    _presence: Presence,
}

type Answer = Result<String, String>;
/// Who waits for which answer; `None` once no more will come.
type Waiting = Arc<Mutex<Option<HashMap<u64, Asker>>>>;

struct Asker {
    answer: oneshot::Sender<Answer>,
    turn: Option<Turn>,
}

impl Checkout {
    /// Starts it and waits until it takes requests.
    pub(super) async fn start(engine: &Engine, name: String, body: ContainerCreateBody) -> Result<Self, SandboxError> {
        let (answer, ready) = oneshot::channel();
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::from([(0, Asker { answer, turn: None })]))));
        let container = engine.launch("starting a checkout container", name, body).await?;
        let Attached { mut input, output, presence, .. } = container;
        let reader = tokio::spawn(read_answers(output, waiting.clone()));
        let (requests, mut to_send) = mpsc::channel::<String>(REQUESTS);
        tokio::spawn(async move {
            while let Some(line) = to_send.recv().await {
                let sent = async {
                    input.write_all(line.as_bytes()).await?;
                    input.flush().await
                };
                if let Err(error) = sent.await {
                    // The reader sees the end as well and tells whoever waits.
                    tracing::debug!(%error, "checkout container takes no more requests");
                    break;
                }
            }
        });
        let checkout =
            Self { requests, waiting, next_tag: AtomicU64::new(1), reader: reader.abort_handle(), _presence: presence };
        answer_of(ready, "starting a checkout container").await?;
        Ok(checkout)
    }

    /// Whether no answer will come any more.
    pub(super) fn has_ended(&self) -> bool {
        lock(&self.waiting).is_none() || self.requests.is_closed()
    }

    /// Asks `usage` of a lane.
    pub(super) async fn usage(&self, request: &str) -> Result<Usage, SandboxError> {
        let doing = "measuring a workspace";
        let answer = self.ask(doing, request, None).await?;
        let numbers: Vec<Option<u64>> = answer.split_ascii_whitespace().map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [Some(used), Some(files), Some(free), free_files] => Ok(Usage { used, files, free, free_files }),
            _ => Err(engine::failed(doing, format!("its answer was `{answer}`"))),
        }
    }

    /// One request and its answer. Given up, it is still answered, and its turn lasts until then.
    pub(super) async fn ask(&self, doing: &str, request: &str, turn: Option<Turn>) -> Result<String, SandboxError> {
        let tag = self.next_tag.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        if let Some(waiting) = &mut *lock(&self.waiting) {
            let mut asker = Asker { answer: sender, turn };
            if let Some(turn) = &mut asker.turn {
                **turn = Condition::Unknown;
            }
            waiting.insert(tag, asker);
            if self.requests.try_send(format!("{tag} {request}\n")).is_err() {
                // Nobody will answer; the dropped sender says so below.
                waiting.remove(&tag);
            }
        }
        answer_of(answer, doing).await
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Option<HashMap<u64, Asker>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer_of(answer: oneshot::Receiver<Answer>, doing: &str) -> Result<String, SandboxError> {
    match answer.await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(reason)) => Err(engine::failed(doing, reason)),
        Err(_) => Err(engine::failed(doing, "the checkout container ended")),
    }
}

async fn read_answers(mut output: Output, waiting: Waiting) {
    let mut buffer = Vec::new();
    while let Some(Ok(frame)) = output.next().await {
        buffer.extend_from_slice(frame.as_ref());
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            deliver(&String::from_utf8_lossy(&line), &waiting);
        }
        if buffer.len() > LONGEST_LINE {
            break;
        }
    }
    // Dropping the senders tells everybody who waits.
    lock(&waiting).take();
}

/// Hands `TAG ok …` or `TAG failed …` to whoever asked.
fn deliver(line: &str, waiting: &Waiting) {
    let mut words = line.trim_end().splitn(3, ' ');
    let tag = words.next().and_then(|tag| tag.parse::<u64>().ok());
    let outcome = words.next();
    let text = words.next().unwrap_or_default().to_owned();
    let Some(mut asker) = tag.and_then(|tag| lock(waiting).as_mut()?.remove(&tag)) else {
        return;
    };
    if let Some(turn) = &mut asker.turn {
        **turn = Condition::Known;
    }
    // An error says that the asker gave up.
    drop(asker.answer.send(if outcome == Some("ok") { Ok(text) } else { Err(text) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(turn: Option<Turn>) -> (Asker, oneshot::Receiver<Answer>) {
        let (answer, asked) = oneshot::channel();
        (Asker { answer, turn }, asked)
    }

    async fn read(frames: &[&str], waiting: HashMap<u64, Asker>) {
        let frames: Vec<_> = frames
            .iter()
            .map(|text| Ok(bollard::container::LogOutput::StdOut { message: text.to_string().into() }))
            .collect();
        read_answers(Box::pin(futures::stream::iter(frames)), Arc::new(Mutex::new(Some(waiting)))).await;
    }

    #[tokio::test]
    async fn answers_reach_who_asked_in_any_order_and_split_anywhere() {
        let ((one, first), (two, second), (three, never)) = (asker(None), asker(None), asker(None));
        let frames = ["2 failed no ", "such commit\nnoise\n9 ok\n1 o", "k 10 20\n"];
        read(&frames, HashMap::from([(1, one), (2, two), (3, three)])).await;
        assert_eq!(first.await.unwrap(), Ok("10 20".to_owned()));
        assert_eq!(second.await.unwrap(), Err("no such commit".to_owned()));
        assert!(never.await.is_err());
    }

    #[tokio::test]
    async fn a_turn_lasts_until_its_answer_and_an_answer_that_never_comes_is_remembered() {
        let turns: [Arc<tokio::sync::Mutex<Condition>>; 2] = Default::default();
        let mut waiting = HashMap::new();
        for (tag, turn) in turns.iter().enumerate() {
            let mut turn = turn.clone().try_lock_owned().unwrap();
            *turn = Condition::Unknown;
            // Nobody waits for the answer any more.
            waiting.insert(tag as u64, asker(Some(turn)).0);
        }
        assert!(turns.iter().all(|turn| turn.try_lock().is_err()));
        read(&["1 ok\n"], waiting).await;
        let after: Vec<_> = turns.iter().map(|turn| *turn.try_lock().unwrap()).collect();
        assert_eq!(after, [Condition::Unknown, Condition::Known]);
    }
}
