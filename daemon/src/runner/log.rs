//! The output of one probe on its way into the database: in chunks, soon, and never too much of it.
//!
//! The head is stored as it comes, the tail is kept in memory and stored at the end, and the gap
//! between them is stated.

use super::said::Ear;
use crate::{
    db,
    queue::{Lease, LeaseError},
    search::Fingerprint,
};
use bisect_shared::ProbeId;
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// Bytes kept from the beginning of a probe's output.
pub const HEAD_BYTES: usize = 1 << 20;
/// Bytes kept from its end.
pub const TAIL_BYTES: usize = 1 << 20;
/// Said at once where the head ends, so that whoever follows the output does not take the pause for a hang.
const HEAD_IS_FULL: &[u8] = b"\n[... more is printed: the end of it follows when the run ends ...]\n";
/// A chunk is stored when it has so many bytes,
const CHUNK_BYTES: usize = 64 << 10;
/// or is so old.
const CHUNK_AGE: Duration = Duration::from_millis(200);

/// The longest that the database may be away before output is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries while it is away.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads `output` to its end and stores it. Reading never waits for the database, so that a slow
/// one is not taken for a slow command. One that stays away, or a probe that was stopped, loses
/// output, never a verdict: the loss is logged. All of it is heard by `ear`.
pub(super) async fn store(
    db: db::Database,
    lease: Arc<Lease>,
    probe: ProbeId,
    mut output: mpsc::Receiver<Bytes>,
    stop: CancellationToken,
    mut ear: Ear,
) -> Fingerprint {
    let mut log = Log { head_left: HEAD_BYTES, ..Log::default() };
    let (mut seq, mut open) = (0, true);
    let mut writing: Option<BoxFuture<'_, Result<(), LeaseError>>> = None;
    let mut flush = tokio::time::interval(CHUNK_AGE);
    flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Between ticks only full chunks go out; the tick and the end send what there is.
        let ready = !log.pending.is_empty() && (!open || log.pending.len() >= CHUNK_BYTES || log.due());
        if writing.is_none() && ready {
            writing = Some(write(&db, &lease, probe, seq, log.take_chunk(), &stop).boxed());
            seq += 1;
        }
        if !open && writing.is_none() {
            return ear.fingerprint();
        }
        tokio::select! {
            bytes = output.recv(), if open => match bytes {
                Some(bytes) => {
                    ear.hear(&bytes);
                    log.push(&bytes);
                }
                None => {
                    open = false;
                    log.end();
                }
            },
            written = end_of(&mut writing) => {
                writing = None;
                if let Err(error) = written {
                    tracing::warn!(probe.id = %probe, error = %error, "output of a probe was not stored");
                    return drain(output, ear).await;
                }
            }
            _ = flush.tick(), if writing.is_none() && !log.pending.is_empty() => {}
            // Nobody wants to know what a useless run printed; and when the job has ended, nothing
            // may be written any more.
            () = stop.cancelled() => return drain(output, ear).await,
        }
    }
}

/// Stores one chunk, again and again while the database is away.
async fn write(
    db: &db::Database,
    lease: &Lease,
    probe: ProbeId,
    seq: i64,
    chunk: Vec<u8>,
    stop: &CancellationToken,
) -> Result<(), LeaseError> {
    let began = Instant::now();
    loop {
        match db::log_chunks::append_log(db, lease, probe, seq, &chunk).await {
            Err(LeaseError::Database(error))
                if error.is_unreachable() && !stop.is_cancelled() && began.elapsed() < PATIENCE => {}
            answer => return answer,
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn end_of<T>(work: &mut Option<BoxFuture<'_, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Lets the program run on although nobody stores what it prints.
async fn drain(mut output: mpsc::Receiver<Bytes>, mut ear: Ear) -> Fingerprint {
    while let Some(bytes) = output.recv().await {
        ear.hear(&bytes);
    }
    ear.fingerprint()
}

#[derive(Default)]
struct Log {
    pending: Vec<u8>,
    since: Option<Instant>,
    head_left: usize,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl Log {
    fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.head_left));
        if !head.is_empty() {
            self.since.get_or_insert_with(Instant::now);
            self.pending.extend_from_slice(head);
            self.head_left -= head.len();
        }
        if !rest.is_empty() && self.tail.is_empty() {
            self.pending.extend_from_slice(HEAD_IS_FULL);
        }
        // Only the end of a large piece can stay: copying the rest would cost its whole length.
        let kept = &rest[rest.len().saturating_sub(TAIL_BYTES)..];
        let overflow = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..overflow);
        self.tail.extend(kept);
        self.dropped += (overflow + rest.len() - kept.len()) as u64;
    }

    fn end(&mut self) {
        if self.dropped > 0 {
            self.pending.extend_from_slice(format!("\n[… {} bytes not kept …]\n", self.dropped).as_bytes());
        }
        self.pending.extend(self.tail.drain(..));
    }

    fn due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= CHUNK_AGE)
    }

    fn take_chunk(&mut self) -> Vec<u8> {
        self.since = None;
        let rest = self.pending.split_off(self.pending.len().min(CHUNK_BYTES));
        std::mem::replace(&mut self.pending, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_stay_and_the_gap_is_stated() {
        let mut log = Log { head_left: HEAD_BYTES, ..Log::default() };
        log.push(b"first line\n");
        for _ in 0..100 {
            log.push(&[b'x'; 100_000]);
        }
        log.push(b"last line\n");
        log.end();
        let total = 11 + 100 * 100_000 + 10;
        let gap = format!("\n[… {} bytes not kept …]\n", total - HEAD_BYTES - TAIL_BYTES);
        assert_eq!(log.pending.len(), HEAD_BYTES + TAIL_BYTES + HEAD_IS_FULL.len() + gap.len());
        assert_eq!(&log.pending[HEAD_BYTES..HEAD_BYTES + HEAD_IS_FULL.len()], HEAD_IS_FULL);
        assert!(log.pending.starts_with(b"first line\n") && log.pending.ends_with(b"last line\n"));
        assert!(String::from_utf8_lossy(&log.pending).contains(&gap));
    }

    #[test]
    fn a_short_output_is_kept_whole_in_chunks() {
        let mut log = Log { head_left: HEAD_BYTES, ..Log::default() };
        log.push(&vec![b'a'; CHUNK_BYTES + 5]);
        log.end();
        assert_eq!(log.take_chunk().len(), CHUNK_BYTES);
        assert_eq!(log.take_chunk().len(), 5);
        assert!(log.pending.is_empty());
    }
}
