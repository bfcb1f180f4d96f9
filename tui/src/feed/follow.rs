//! A followed log: whatever happens to the stream, each piece is told once.

use super::{Gone, Teller};
use crate::{
    client::{Client, Error, Lines, with_query},
    message::{LogOf, Message},
};
use bisect_shared::{
    JobId, JobStatus, ProbeId,
    admin::{JobPage, LogPiece},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// So much is told at once, at most: pieces, and bytes of their base64.
const PIECES: usize = 256;
const BYTES: usize = 128 * 1024;
/// So many runs are named to the daemon; what it tells of others is left out here. The header with the path has a limit.
const NAMED: usize = 300;
const PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What was told of one subscription. It outlives connections.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) of: LogOf,
    pub(super) subscription: u64,
    last: Arc<Mutex<BTreeMap<ProbeId, i64>>>,
}

impl Place {
    pub(super) fn new(of: LogOf, subscription: u64, cursors: &[(ProbeId, i64)]) -> Self {
        Self { of, subscription, last: Arc::new(Mutex::new(cursors.iter().copied().collect())) }
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<ProbeId, i64>) -> T) -> T {
        look(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest runs are those that are still being told.
    fn after(&self) -> Option<String> {
        let named = self.with(|last| {
            last.iter().rev().take(NAMED).map(|(probe, seq)| format!("{probe}:{seq}")).collect::<Vec<_>>()
        });
        (!named.is_empty()).then(|| named.join(","))
    }

    /// Leaves out what was told; the cursors as they are once the rest is.
    fn news(&self, pieces: Vec<LogPiece>) -> (Vec<LogPiece>, BTreeMap<ProbeId, i64>) {
        let mut last = self.with(|last| last.clone());
        let mut fresh = pieces;
        fresh.retain(|piece| {
            let news = last.get(&piece.probe).is_none_or(|told| piece.seq > *told);
            if news {
                last.insert(piece.probe, piece.seq);
            }
            news
        });
        (fresh, last)
    }
}

/// Tells the log until the job has ended and everything was told.
pub(super) async fn run(client: Client, teller: Teller, place: Place) {
    let mut pause = PAUSE;
    let mut complaint = None;
    loop {
        match once(&client, &teller, &place).await {
            Ok(Told::Everything) => {
                // Who does not hear it has ended.
                let _ = teller.send(Some(place.subscription), Message::LogEnded(place.of)).await;
                return;
            }
            Ok(Told::Gone) => return,
            Ok(Told::Something) => pause = PAUSE,
            Ok(Told::Nothing) => pause = (pause * 2).min(LONGEST_PAUSE),
            Err(error) => {
                pause = (pause * 2).min(LONGEST_PAUSE);
                // A lost connection is told as such, by the link.
                let text = format!("the log of job {}: {error}", place.of.job);
                if !matches!(error, Error::Lost { .. }) && complaint.as_ref() != Some(&text) {
                    complaint = Some(text.clone());
                    if teller.send(Some(place.subscription), Message::Said(Err(text))).await.is_err() {
                        return;
                    }
                }
            }
        }
        sleep(pause).await;
    }
}

enum Told {
    /// The job was over before the stream began, and that stream ended in order.
    Everything,
    Something,
    Nothing,
    Gone,
}

/// One stream. One that ends in order may belong to a daemon that ends in order: only the job's own state tells.
async fn once(client: &Client, teller: &Teller, place: &Place) -> Result<Told, Error> {
    let over = is_over(client, place.of.job).await?;
    let path = with_query(
        &format!("/v1/jobs/{}/log", place.of.job),
        &[
            ("probe", place.of.probe.map(|probe| probe.to_string())),
            ("follow", Some("true".to_owned())),
            ("after", place.after()),
        ],
    );
    let mut lines: Lines<LogPiece> = client.stream(&path, false).await?;
    let mut told = Told::Nothing;
    while let Some(first) = lines.next().await? {
        match tell(&mut lines, first, teller, place).await? {
            Ok(0) => {}
            Ok(_) => told = Told::Something,
            Err(Gone) => return Ok(Told::Gone),
        }
    }
    Ok(if over { Told::Everything } else { told })
}

async fn tell(
    lines: &mut Lines<LogPiece>,
    first: LogPiece,
    teller: &Teller,
    place: &Place,
) -> Result<Result<usize, Gone>, Error> {
    let mut bytes = first.bytes.len();
    let mut pieces = vec![first];
    let mut broken = None;
    while pieces.len() < PIECES && bytes < BYTES {
        match lines.buffered() {
            Ok(Some(piece)) => {
                bytes += piece.bytes.len();
                pieces.push(piece);
            }
            Ok(None) => break,
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    let (fresh, last) = place.news(pieces);
    let count = fresh.len();
    if count > 0 {
        if teller.send(Some(place.subscription), Message::Log(place.of, fresh)).await.is_err() {
            return Ok(Err(Gone));
        }
        // Nothing is awaited between the two: who is stopped here has told all or nothing.
        place.with(|known| *known = last);
    }
    broken.map_or(Ok(Ok(count)), Err)
}

async fn is_over(client: &Client, job: JobId) -> Result<bool, Error> {
    let before = job.0.saturating_add(1).to_string();
    let page: JobPage =
        client.get(&with_query("/v1/jobs", &[("before", Some(before)), ("limit", Some("1".to_owned()))])).await?;
    // A job that is gone prints nothing more.
    let found = page.jobs.iter().find(|found| found.id == job);
    Ok(found.is_none_or(|found| !matches!(found.status, JobStatus::Pending | JobStatus::Running)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(probe: i64, seq: i64) -> LogPiece {
        LogPiece { probe: ProbeId(probe), seq, at: chrono::DateTime::UNIX_EPOCH, bytes: String::new() }
    }

    #[test]
    fn what_was_told_is_no_news() {
        let of = LogOf { job: JobId(1), probe: None };
        let place = Place::new(of, 1, &[(ProbeId(3), 4)]);
        let (news, last) = place.news(vec![piece(3, 4), piece(3, 5), piece(7, 0), piece(7, 0), piece(3, 2)]);
        assert_eq!(news, [piece(3, 5), piece(7, 0)]);
        assert_eq!(place.after().unwrap(), "3:4", "not told yet");
        place.with(|known| *known = last);
        assert_eq!(place.after().unwrap(), "7:0,3:5");
    }

    #[test]
    fn a_thousand_runs_do_not_overflow_the_header() {
        let cursors: Vec<_> = (0..5000).map(|probe| (ProbeId(1_000_000_000 + probe), 100_000)).collect();
        let of = LogOf { job: JobId(1), probe: None };
        let after = Place::new(of, 1, &cursors).after().unwrap();
        assert!(after.len() < 8_000, "{}", after.len());
        assert!(after.starts_with("1000004999:"), "the newest are named");
    }
}
