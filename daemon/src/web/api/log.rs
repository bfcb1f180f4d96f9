//! `/api/jobs/<id>/log`: what a job printed, so far; `/api/jobs/<id>/log/events` tells it as it comes.

use super::{Limited, Problem, asked};
use crate::{
    db::{
        Database, DbError,
        log_chunks::{self, Piece, Position},
        viewer,
    },
    web::{Viewer, site::Site},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bisect_shared::{JobId, ProbeId};
use chrono::{DateTime, Utc};
use rocket::{
    Request, Response, State,
    http::{ContentType, Header},
    response::{Responder, stream::ByteStream},
    serde::json::Json,
};
use serde::Serialize;
use utoipa::ToSchema;

/// Pieces of one page; a piece has 64 KiB at most.
const PAGE: u32 = 16;

/// A page of a job's output.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct LogPage {
    /// By run, and in the order of printing.
    pieces: Vec<LogPiece>,
    /// Ask with `after` this for more; `null` where nothing more is stored now.
    next: Option<String>,
}

/// A piece of a run's output.
#[derive(Debug, Serialize, ToSchema)]
struct LogPiece {
    /// Which run's.
    probe: i64,
    /// 0, 1, 2, … within the run.
    seq: i64,
    /// When it was stored.
    at: DateTime<Utc>,
    /// The bytes as they were printed, in base64 (RFC 4648, 4): any bytes, cut anywhere.
    bytes: String,
}

/// The output in one of its forms.
pub(in crate::web) enum LogAnswer {
    /// One page.
    Page(Json<LogPage>),
    /// All of it, as it was printed.
    Text(JobId, Reading),
}

/// Reads page by page as its viewer, and so stops where they may not read on.
pub(in crate::web) struct Reading {
    db: Database,
    viewer: Option<i64>,
    job: JobId,
    probe: Option<ProbeId>,
    position: Position,
}

impl Reading {
    async fn page(&mut self) -> Result<Vec<Piece>, DbError> {
        let mut tx = self.db.begin_as_viewer(self.viewer).await?;
        let pieces = if viewer::sees(&mut tx, self.viewer, self.job, self.probe).await? {
            log_chunks::page(&mut tx, self.job, self.probe, &self.position, PAGE).await?
        } else {
            Vec::new()
        };
        tx.rollback().await?;
        self.position.extend(pieces.iter().map(|piece| (piece.probe, piece.seq)));
        Ok(pieces)
    }
}

impl<'r> Responder<'r, 'r> for LogAnswer {
    fn respond_to(self, request: &'r Request<'_>) -> rocket::response::Result<'r> {
        let (job, mut reading) = match self {
            Self::Page(page) => return page.respond_to(request),
            Self::Text(job, reading) => (job, reading),
        };
        let bytes = ByteStream! {
            loop {
                match reading.page().await {
                    Ok(page) if page.is_empty() => break,
                    Ok(page) => for piece in page { yield piece.bytes; },
                    Err(error) => {
                        tracing::warn!(error = %error, "an output was not told to its end");
                        yield b"\n[the database cannot be reached: what follows is missing]\n".to_vec();
                        break;
                    }
                }
            }
        };
        Response::build_from(bytes.respond_to(request)?)
            .header(ContentType::Plain.with_params(("charset", "utf-8")))
            .header(Header::new("Content-Disposition", format!("inline; filename=\"job-{job}.log\"")))
            .ok()
    }
}

/// What a job printed. `text`: the bytes alone, all that are stored; `json`: page by page.
#[utoipa::path(
    get, path = "/api/jobs/{id}/log",
    params(
        ("id" = i64, Path, description = "the job's number", example = 3),
        ("probe" = Option<i64>, Query, description = "only the output of this run"),
        ("after" = Option<String>, Query, description = "what is known already, `probe:seq` of each run, separated by commas"),
        ("format" = Option<String>, Query, description = "`text` (usual) or `json`"),
    ),
    responses(
        (status = 200, content((LogPage = "application/json"), (String = "text/plain"))),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "a parameter cannot be meant"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such job or run, or not for the viewer"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many requests"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the database is away"),
    )
)]
#[rocket::get("/api/jobs/<id>/log?<probe>&<after>&<format>")]
pub(super) async fn log(
    _limited: Limited,
    viewer: Viewer,
    id: &str,
    probe: Option<&str>,
    after: Option<&str>,
    format: Option<&str>,
    site: &State<Site>,
) -> Result<LogAnswer, Problem> {
    let (job, probe) = (asked::job(id)?, asked::number("probe", probe)?.map(ProbeId));
    let position = asked::position(after)?;
    let json = match format {
        None | Some("text") => false,
        Some("json") => true,
        Some(_) => return Err(Problem::bad("format: must be `text` or `json`")),
    };
    let mut tx = site.db.begin_as_viewer(viewer.id()).await?;
    let sees = viewer::sees(&mut tx, viewer.id(), job, probe).await?;
    tx.rollback().await?;
    if !sees {
        return Err(asked::no_job());
    }
    let mut reading = Reading { db: site.db.clone(), viewer: viewer.id(), job, probe, position };
    if !json {
        return Ok(LogAnswer::Text(job, reading));
    }
    let pieces = reading.page().await?;
    let next = (pieces.len() == PAGE as usize).then(|| words(&reading.position));
    let told = pieces.into_iter().map(|piece| LogPiece {
        probe: piece.probe.0,
        seq: piece.seq,
        at: piece.at,
        bytes: STANDARD.encode(&piece.bytes),
    });
    Ok(LogAnswer::Page(Json(LogPage { pieces: told.collect(), next })))
}

/// A position as `after` takes it.
pub(in crate::web) fn words(position: &Position) -> String {
    position.iter().map(|(probe, seq)| format!("{probe}:{seq}")).collect::<Vec<_>>().join(",")
}
