//! `GET /v1/jobs/<id>/log`: the output of a job, as it is stored and as it comes. Never more of it in memory than the
//! other end takes.

use super::{
    Admin,
    answer::{Asked, Fault, in_time, line, streamed},
    jobs::job_id,
};
use crate::{
    db::{
        DbError, jobs,
        log_chunks::{Piece, Position},
        probes,
    },
    tail::Reader,
};
use axum::{
    extract::{Path, State},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bisect_shared::{
    JobId, JobStatus, ProbeId,
    admin::{LogPiece, LogQuery},
};
use bytes::Bytes;
use std::io;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Lines,
    Text,
}

pub(super) async fn log(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Asked(query): Asked<LogQuery>,
) -> Result<Response, Fault> {
    let job = job_id(&id)?;
    let position = position(query.after.as_deref().unwrap_or_default())?;
    let format = match query.format.as_deref() {
        None | Some("json") => Format::Lines,
        Some("text") => Format::Text,
        Some(other) => return Err(Fault::bad(format!("format: `{other}` must be `json` or `text`"))),
    };
    let probe = query.probe.map(ProbeId);
    let status = in_time(admin.status_of(job, probe)).await?;
    let follow = query.follow.unwrap_or(false) && !status.is_final();
    let reader = admin.tail.read(job, probe, position, follow);
    let stopping = admin.stopping.clone();
    let pieces = futures::stream::unfold(Some((reader, stopping)), move |state| async move {
        let (mut reader, stopping) = state?;
        match next(&mut reader, &stopping).await {
            Ok(Some(piece)) => Some((Ok(shown(piece, format)), Some((reader, stopping)))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let kind = if format == Format::Text { "text/plain" } else { "application/x-ndjson" };
    Ok(streamed(kind, pieces))
}

/// The next piece. A stream that was not told to its end breaks, so that nobody takes what came for all.
async fn next(reader: &mut Reader, stopping: &CancellationToken) -> io::Result<Option<Piece>> {
    tokio::select! {
        biased;
        () = stopping.cancelled() => Err(io::Error::other("the daemon ends")),
        piece = reader.next() => piece.map_err(|error| {
            tracing::warn!(error = %error, "a log was not told to its end");
            io::Error::other(error)
        }),
    }
}

fn shown(piece: Piece, format: Format) -> Bytes {
    match format {
        Format::Text => Bytes::from(piece.bytes),
        Format::Lines => {
            let bytes = STANDARD.encode(&piece.bytes);
            Bytes::from(line(&LogPiece { probe: piece.probe, seq: piece.seq, at: piece.at, bytes }))
        }
    }
}

/// `probe:seq`, separated by commas.
fn position(after: &str) -> Result<Position, Fault> {
    let read = |part: &str| {
        let (probe, seq) = part.split_once(':')?;
        Some((ProbeId(probe.parse().ok()?), seq.parse::<i64>().ok()?))
    };
    let parts = after.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            read(part).ok_or_else(|| Fault::bad(format!("after: `{part}` must be PROBE:SEQ, for example 17:3")))
        })
        .collect()
}

impl Admin {
    /// Where the job stands, if it and the probe are there.
    async fn status_of(&self, job: JobId, probe: Option<ProbeId>) -> Result<JobStatus, Fault> {
        let read = async {
            let mut tx = self.db.begin().await?;
            let status = jobs::find(&mut tx, job).await?.map(|row| row.status);
            let its = match probe {
                Some(probe) => probes::is_of(&mut tx, job, probe).await?,
                None => true,
            };
            tx.commit().await?;
            Ok::<_, DbError>((status, its))
        };
        let (status, its) = read.await?;
        let status = status.ok_or_else(|| Fault::unknown(format!("there is no job {job}")))?;
        match probe {
            Some(probe) if !its => Err(Fault::unknown(format!("probe: job {job} has no run {probe}"))),
            _ => Ok(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_read_or_its_mistake_is_named() {
        let read = |text| position(text).map_err(|fault| format!("{fault:?}"));
        assert_eq!(read(""), Ok(Position::new()));
        assert_eq!(read("17:3, 18:0"), Ok([(ProbeId(17), 3), (ProbeId(18), 0)].into()));
        for wrong in ["17", "17:", ":3", "17:x", "17:3:4"] {
            assert!(read(wrong).is_err_and(|fault| fault.contains("after: ")), "{wrong}");
        }
    }
}
