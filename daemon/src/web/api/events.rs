//! `/api/events` and `/api/jobs/<id>/log/events`: what changes and what is printed, as server-sent events (HTML standard,
//! 9.2). A stream ends after some minutes, so that a browser comes again and is asked anew who it is, and at once when it
//! may not go on (`web::streams`); it goes on where it was, by `Last-Event-ID`.

use super::{Limited, Problem, asked, log::words, model::JobSummary};
use crate::{
    db::{log_chunks::Position, viewer},
    web::{
        Viewer,
        ansi::{Painter, Span},
        live::Told,
        site::Site,
        streams::{Filled, Room},
    },
};
use bisect_shared::{JobId, ProbeId};
use futures::StreamExt;
use rocket::{
    Request, Shutdown, State,
    request::{FromRequest, Outcome},
    response::stream::{Event, EventStream, stream},
};
use serde_json::json;
use std::{collections::HashMap, convert::Infallible, time::Duration};
use tokio::time::Instant;

/// A comment at least so often, so that no proxy takes the stream for dead.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How soon a browser comes again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a stream lasts, for who may see more than everybody and for all others.
const SIGNED_IN: Duration = Duration::from_mins(5);
const ANYBODY: Duration = Duration::from_mins(30);
/// Jobs that are told to one who comes again; of more, everything is to be looked at.
const MOST: usize = 200;

/// A stream of events.
pub(super) type Events = EventStream<Filled>;

/// What a browser heard last.
pub(super) struct LastEventId(Option<String>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for LastEventId {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Infallible> {
        Outcome::Success(Self(request.headers().get_one("Last-Event-ID").map(str::to_owned)))
    }
}

fn ends_at(viewer: Option<i64>) -> Instant {
    let lasts = if viewer.is_some() { SIGNED_IN } else { ANYBODY };
    // Not all at the same moment.
    Instant::now() + lasts.mul_f64(rand::random_range(0.8..1.0))
}

fn told(job: &JobSummary, newest: i64) -> Event {
    Event::json(job).event("job").id(newest.to_string())
}

/// Jobs that the viewer may see, each time that one of them changed: events `job`. `resync`: something may have been
/// missed, ask for everything again.
#[utoipa::path(
    get, path = "/api/events",
    params(
        ("job" = Option<i64>, Query, description = "only this job"),
        ("after" = Option<String>, Query, description = "the `id` of the event that was heard last"),
        ("Last-Event-ID" = Option<String>, Header, description = "the same; a browser sends it when it comes again"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "a parameter cannot be meant"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such job, or not for the viewer"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many requests, or streams of this viewer; `Retry-After` says when to come again"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the database is away, or this server has too many streams open; `Retry-After` says when to come again"),
    )
)]
#[rocket::get("/api/events?<job>&<after>")]
#[allow(clippy::too_many_arguments, reason = "one for each parameter")]
pub(super) async fn events(
    _limited: Limited,
    viewer: Viewer,
    room: Room,
    last: LastEventId,
    job: Option<&str>,
    after: Option<&str>,
    site: &State<Site>,
    mut shutdown: Shutdown,
) -> Result<Events, Problem> {
    let (viewer, only) = (viewer.id(), asked::number("job", job)?.map(JobId));
    let place = room.take(only)?;
    // First: between the snapshot below and what is heard nothing falls.
    let mut listener = site.live.listen();
    // What is no number is no event that is known, so all is to be looked at.
    let last = last.0.as_deref().or(after.filter(|after| !after.is_empty()));
    let last = last.map(|last| last.parse::<i64>().unwrap_or(-1));
    let (first, newest) = catch_up(site, viewer, only, last).await?;
    let ends = ends_at(viewer);
    let events = stream! {
        yield Event::json(&json!({})).event("hello").id(newest.to_string()).with_retry(AGAIN);
        match first {
            Some(jobs) => for job in jobs { yield told(&job, newest); },
            None => yield Event::json(&json!({})).event("resync").id(newest.to_string()),
        }
        loop {
            let word = tokio::select! {
                word = listener.next() => word,
                () = tokio::time::sleep_until(ends) => break,
                () = &mut shutdown => break,
            };
            match &*word {
                Told::Resync => yield Event::json(&json!({})).event("resync"),
                Told::Job { newest, job, seers } => {
                    let may = seers.as_ref().is_none_or(|seers| viewer.is_some_and(|viewer| seers.contains(&viewer)));
                    if may && only.is_none_or(|only| only.0 == job.id) {
                        yield told(job, *newest);
                    }
                }
            }
        }
    };
    Ok(EventStream::from(place.fill(events.boxed())).heartbeat(HEARTBEAT))
}

/// What happened since `last`; `None` where all is to be looked at. Without `last` nothing is: who comes first has just
/// read the page.
async fn catch_up(
    site: &Site,
    viewer: Option<i64>,
    only: Option<JobId>,
    last: Option<i64>,
) -> Result<(Option<Vec<JobSummary>>, i64), Problem> {
    let mut tx = site.db.begin().await?;
    let newest = viewer::newest_event(&mut tx).await?;
    let changed = match last {
        Some(last) => viewer::since(&mut tx, last, MOST).await?,
        None => Some(Vec::new()),
    };
    tx.commit().await?;
    let mut tx = site.db.begin_as_viewer(viewer).await?;
    if let Some(only) = only
        && !viewer::sees(&mut tx, viewer, only, None).await?
    {
        return Err(asked::no_job());
    }
    let changed =
        changed.map(|jobs| jobs.into_iter().filter(|job| only.is_none_or(|only| only == *job)).collect::<Vec<_>>());
    let jobs = match changed {
        None => None,
        Some(jobs) if jobs.is_empty() => Some(Vec::new()),
        Some(jobs) => Some(viewer::jobs_of(&mut tx, viewer, &jobs).await?.iter().map(Into::into).collect()),
    };
    tx.rollback().await?;
    Ok((jobs, newest))
}

/// What a job prints, as it comes: events `output` with the run, and its text in pieces with the classes of their colours;
/// `end` once the job has ended and everything was told.
#[utoipa::path(
    get, path = "/api/jobs/{id}/log/events",
    params(
        ("id" = i64, Path, description = "the job's number", example = 3),
        ("probe" = Option<i64>, Query, description = "only the output of this run"),
        ("after" = Option<String>, Query, description = "what is known already, `probe:seq` of each run, separated by commas"),
        ("Last-Event-ID" = Option<String>, Header, description = "the same, as the `id` of the event that was heard last"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "a parameter cannot be meant"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such job or run, or not for the viewer"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many requests, or streams of this viewer; `Retry-After` says when to come again"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the database is away, or this server has too many streams open; `Retry-After` says when to come again"),
    )
)]
#[rocket::get("/api/jobs/<id>/log/events?<probe>&<after>")]
#[allow(clippy::too_many_arguments, reason = "one for each parameter")]
pub(super) async fn output(
    _limited: Limited,
    viewer: Viewer,
    room: Room,
    last: LastEventId,
    id: &str,
    probe: Option<&str>,
    after: Option<&str>,
    site: &State<Site>,
    mut shutdown: Shutdown,
) -> Result<Events, Problem> {
    let (job, probe) = (asked::job(id)?, asked::number("probe", probe)?.map(ProbeId));
    let mut position = asked::position(last.0.as_deref().or(after))?;
    let place = room.take(Some(job))?;
    let mut tx = site.db.begin_as_viewer(viewer.id()).await?;
    let sees = viewer::sees(&mut tx, viewer.id(), job, probe).await?;
    tx.rollback().await?;
    if !sees {
        return Err(asked::no_job());
    }
    let mut reader = site.tail.read(job, probe, position.clone(), true);
    let ends = ends_at(viewer.id());
    let events = stream! {
        let mut painters: HashMap<ProbeId, Painter> = HashMap::new();
        let has_ended = loop {
            let piece = tokio::select! {
                piece = reader.next() => piece,
                () = tokio::time::sleep_until(ends) => break false,
                () = &mut shutdown => break false,
            };
            let piece = match piece {
                Ok(Some(piece)) => piece,
                Ok(None) => break true,
                Err(error) => {
                    tracing::warn!(error = %error, "an output was not told to its end");
                    break false;
                }
            };
            position.insert(piece.probe, piece.seq);
            let spans = painters.entry(piece.probe).or_default().push(&piece.bytes);
            yield printed(piece.probe, &spans, &position);
        };
        // Who comes again is told what follows, also within a line.
        for (probe, mut painter) in painters {
            yield printed(probe, &painter.rest(), &position);
        }
        if has_ended {
            yield Event::json(&json!({})).event("end");
        }
    };
    Ok(EventStream::from(place.fill(events.boxed())).heartbeat(HEARTBEAT))
}

fn printed(probe: ProbeId, spans: &[Span], position: &Position) -> Event {
    Event::json(&json!({ "probe": probe, "spans": spans })).event("output").id(words(position))
}
