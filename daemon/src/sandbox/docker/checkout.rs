//! A lane's checkout container, seen from here: requests go in, one line comes back for each.
//!
//! It answers within milliseconds because it always runs; see `checkout.sh` for its side.

use super::engine::{self, Attached, Engine, Output, Presence};
use crate::sandbox::SandboxError;
use bisect_shared::Sha;
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
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

/// No answer is longer; what is, was not written by our script.
const LONGEST_LINE: usize = 16 << 10;

/// How full a lane is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// In workspace and home.
    pub(super) used: u64,
    /// Left on the engine's file system.
    pub(super) free: u64,
}

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
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>>;

impl Checkout {
    /// Starts it and waits until the lane's volumes are ready.
    pub(super) async fn start(engine: &Engine, name: String, body: ContainerCreateBody) -> Result<Self, SandboxError> {
        let (sender, ready) = oneshot::channel();
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::from([(0, sender)]))));
        let container = engine.launch("starting a checkout container", name, body).await?;
        let Attached { mut input, output, presence, .. } = container;
        let reader = tokio::spawn(read_answers(output, waiting.clone()));
        let (requests, mut to_send) = mpsc::channel::<String>(16);
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
        answer_of(ready, "preparing a workspace").await?;
        Ok(checkout)
    }

    /// Makes the workspace exactly the commit, plus what its ignore rules keep.
    pub(super) async fn checkout(&self, commit: Sha) -> Result<(), SandboxError> {
        let request = format!("checkout {commit}");
        self.ask("checking out a commit", &request).await.map(drop)
    }

    /// Empties workspace and home.
    pub(super) async fn reset(&self) -> Result<(), SandboxError> {
        self.ask("emptying a workspace", "reset").await.map(drop)
    }

    /// Measures workspace and home.
    pub(super) async fn usage(&self) -> Result<Usage, SandboxError> {
        let doing = "measuring a workspace";
        let answer = self.ask(doing, "usage").await?;
        let mut numbers = answer.split_ascii_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(used)), Some(Ok(free))) => Ok(Usage { used, free }),
            _ => Err(engine::failed(doing, format!("its answer was `{answer}`"))),
        }
    }

    async fn ask(&self, doing: &str, request: &str) -> Result<String, SandboxError> {
        let tag = self.next_tag.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match &mut *lock(&self.waiting) {
            Some(waiting) => drop(waiting.insert(tag, sender)),
            // No answer can come any more; the dropped sender says so below.
            None => drop(sender),
        }
        let line = format!("{tag} {request}\n");
        self.requests.send(line).await.map_err(|_| engine::failed(doing, "the checkout container ended"))?;
        answer_of(answer, doing).await
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Answer>>>> {
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
    let asker = tag.and_then(|tag| lock(waiting).as_mut()?.remove(&tag));
    match (asker, outcome) {
        (Some(asker), Some("ok")) => drop(asker.send(Ok(text))),
        (Some(asker), _) => drop(asker.send(Err(text))),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_reach_who_asked_in_any_order_and_split_anywhere() {
        let (one, first) = oneshot::channel();
        let (two, second) = oneshot::channel();
        let (three, never) = oneshot::channel();
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::from([(1, one), (2, two), (3, three)]))));
        let frames = ["2 failed no ", "such commit\nnoise\n9 ok\n1 o", "k 10 20\n"]
            .map(|text| Ok(bollard::container::LogOutput::StdOut { message: text.into() }));
        read_answers(Box::pin(futures::stream::iter(frames)), waiting).await;
        assert_eq!(first.await.unwrap(), Ok("10 20".to_owned()));
        assert_eq!(second.await.unwrap(), Err("no such commit".to_owned()));
        assert!(never.await.is_err());
    }
}
