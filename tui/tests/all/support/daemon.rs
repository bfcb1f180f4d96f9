//! A daemon that serves a scripted world on a Unix socket: the protocol of `bisect_shared::admin`, by axum.

use super::{samples, wire::Wire};
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode},
    middleware::map_response_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bisect_shared::{
    InstanceId, JobId, JobStatus,
    admin::{
        API_VERSION, AuditPage, AuditQuery, Event, Hello, InstanceList, JobPage, JobQuery, JobView, LogPiece, LogQuery,
        Outcome, Overview, Problem, VERSION_HEADER,
    },
};
use chrono::Utc;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::UnixListener,
    sync::{broadcast, watch},
    task::JoinHandle,
};

/// The facts.
#[derive(Default)]
pub struct Facts {
    pub jobs: BTreeMap<i64, JobView>,
    pub log: Vec<LogPiece>,
    /// Whether streams end in order now, as a daemon's do that stops.
    pub stopping: bool,
    /// What actions are answered with; the connection is cut without an answer where there is none.
    pub outcome: Option<Result<Outcome, (u16, String)>>,
    /// Every request, as `METHOD path?query`.
    pub asked: Vec<String>,
}

#[derive(Clone)]
pub struct World {
    pub facts: Arc<Mutex<Facts>>,
    pub changed: watch::Sender<u64>,
    pub events: broadcast::Sender<Event>,
    pub api: u32,
    /// Whether `Tick`s are told.
    pub ticks: bool,
    /// The bytes that each new connection may carry.
    pub budget: Arc<AtomicI64>,
    pub written: Arc<AtomicU64>,
    pub connections: Arc<AtomicU64>,
    pub live: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// It listens until it is dropped.
pub struct Daemon {
    pub world: World,
    pub socket: PathBuf,
    _folder: Arc<tempfile::TempDir>,
    accepting: JoinHandle<()>,
}

impl World {
    pub fn new() -> Self {
        Self {
            facts: Arc::default(),
            changed: watch::channel(0).0,
            events: broadcast::channel(10_000).0,
            api: API_VERSION,
            ticks: true,
            budget: Arc::new(AtomicI64::new(i64::MAX)),
            written: Arc::default(),
            connections: Arc::default(),
            live: Arc::default(),
        }
    }

    /// Changes the facts; followed logs hear of it.
    pub fn set<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        let result = change(&mut self.facts.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
        result
    }

    pub fn put(&self, job: JobView) {
        self.set(|facts| facts.jobs.insert(job.id.0, job.clone()));
        self.tell(Event::Job(job));
    }

    pub fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// How often something was asked that begins so.
    pub fn asked(&self, what: &str) -> usize {
        self.facts.lock().unwrap().asked.iter().filter(|asked| asked.starts_with(what)).count()
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        for connection in self.live.lock().unwrap().drain(..) {
            connection.abort();
        }
    }
}

impl Daemon {
    pub fn start(world: World) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let socket = folder.path().join("admin.sock");
        Self::listen(world, socket, folder)
    }

    fn listen(world: World, socket: PathBuf, folder: Arc<tempfile::TempDir>) -> Self {
        let listener = UnixListener::bind(&socket).unwrap();
        let accepting = tokio::spawn(accept(listener, world.clone()));
        Self { world, socket, _folder: folder, accepting }
    }

    /// It is killed: its socket's file stays.
    pub fn die(&self) {
        self.accepting.abort();
        self.world.cut();
    }

    /// Ends it; what is started in its place has the same socket.
    pub async fn restart(self, in_order: bool) -> Self {
        let (world, socket, folder) = (self.world.clone(), self.socket.clone(), Arc::clone(&self._folder));
        if in_order {
            world.tell(Event::Stopping);
            world.set(|facts| facts.stopping = true);
            while world.events.receiver_count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        drop(self);
        std::fs::remove_file(&socket).unwrap();
        world.set(|facts| facts.stopping = false);
        Self::listen(world, socket, folder)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.die();
    }
}

async fn accept(listener: UnixListener, world: World) {
    let app = routes(world.clone());
    while let Ok((stream, _)) = listener.accept().await {
        world.connections.fetch_add(1, Ordering::Relaxed);
        let left = world.budget.load(Ordering::Relaxed);
        let wire = Wire { stream, left, written: Arc::clone(&world.written) };
        let service = TowerToHyperService::new(app.clone());
        let connection = tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            // A connection that broke is what some tests are about.
            let _ = builder.serve_connection(TokioIo::new(wire), service).await;
        });
        world.live.lock().unwrap().push(connection);
    }
}

fn routes(world: World) -> Router {
    Router::new()
        .route("/v1/events", get(events))
        .route("/v1/jobs", get(jobs))
        .route("/v1/jobs/{id}", get(detail))
        .route("/v1/jobs/{id}/log", get(log))
        .route("/v1/jobs/{id}/{action}", post(act))
        .route("/v1/instances/{id}/{action}", post(act))
        .route("/v1/instances", get(async || Json(InstanceList { instances: vec![samples::instance("bot/1")] })))
        .route("/v1/stats", get(async || Json(Overview { pending: 5, ..Overview::default() })))
        .route("/v1/audit", get(async |Query(_): Query<AuditQuery>| Json(AuditPage::default())))
        .layer(axum::middleware::from_fn_with_state(world.clone(), note))
        .layer(map_response_with_state(world.clone(), version))
        .with_state(world)
}

async fn note(State(world): State<World>, request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path_and_query().unwrap());
    world.facts.lock().unwrap().asked.push(asked);
    next.run(request).await
}

async fn version(State(world): State<World>, mut response: Response) -> Response {
    response.headers_mut().insert(VERSION_HEADER, HeaderValue::from(world.api));
    response
}

fn line(value: &impl serde::Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap();
    line.push(b'\n');
    line
}

fn streamed(lines: impl futures::Stream<Item = Vec<u8>> + Send + 'static) -> Response {
    let lines = futures::StreamExt::map(lines, |line| Ok::<_, std::convert::Infallible>(bytes::Bytes::from(line)));
    Body::from_stream(lines).into_response()
}

async fn events(State(world): State<World>) -> Response {
    let receiver = world.events.subscribe();
    let hello = Event::Hello(Hello {
        api: world.api,
        version: "0.1.0".to_owned(),
        instance: InstanceId("bot/1".to_owned()),
        host: "bot".to_owned(),
        operator: "ada".to_owned(),
        now: Utc::now(),
        database: true,
    });
    let state = (world, receiver, Some(hello), false);
    streamed(futures::stream::unfold(state, async |(world, mut receiver, first, ended)| {
        if ended {
            return None;
        }
        if let Some(first) = first {
            return Some((line(&first), (world, receiver, None, false)));
        }
        let tick = async {
            if !world.ticks {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let event = tokio::select! {
            event = receiver.recv() => event.ok()?,
            () = tick => Event::Tick { now: Utc::now() },
        };
        let ended = event == Event::Stopping;
        Some((line(&event), (world, receiver, None, ended)))
    }))
}

async fn jobs(State(world): State<World>, Query(query): Query<JobQuery>) -> Json<JobPage> {
    let facts = world.facts.lock().unwrap();
    let limit = query.limit.unwrap_or(200) as usize;
    let older = facts.jobs.range(..query.before.unwrap_or(i64::MAX)).rev();
    let jobs: Vec<JobView> = older.take(limit).map(|(_, job)| job.clone()).collect();
    let next = jobs.last().map(|job| job.id.0).filter(|last| facts.jobs.range(..last).next().is_some());
    Json(JobPage { jobs, next })
}

async fn detail(State(world): State<World>, Path(id): Path<i64>) -> Response {
    match world.facts.lock().unwrap().jobs.get(&id) {
        Some(job) => Json(samples::detail(job.clone())).into_response(),
        None => (StatusCode::NOT_FOUND, Json(Problem { error: format!("there is no job {id}") })).into_response(),
    }
}

async fn log(State(world): State<World>, Path(id): Path<i64>, Query(query): Query<LogQuery>) -> Response {
    let mut known: HashMap<i64, i64> = HashMap::new();
    for part in query.after.as_deref().unwrap_or_default().split(',').filter(|part| !part.is_empty()) {
        let (probe, seq) = part.split_once(':').unwrap();
        known.insert(probe.parse().unwrap(), seq.parse().unwrap());
    }
    let changed = world.changed.subscribe();
    let state = (world, changed, 0_usize, known, JobId(id), query.probe);
    streamed(futures::stream::unfold(state, async |(world, mut changed, mut at, known, id, probe)| {
        loop {
            changed.mark_unchanged();
            let found = {
                let facts = world.facts.lock().unwrap();
                if facts.stopping {
                    return None;
                }
                let over = facts
                    .jobs
                    .get(&id.0)
                    .is_none_or(|job| !matches!(job.status, JobStatus::Pending | JobStatus::Running));
                match facts.log.get(at) {
                    Some(piece) => Some(piece.clone()),
                    None if over => return None,
                    None => None,
                }
            };
            let Some(piece) = found else {
                changed.changed().await.unwrap();
                continue;
            };
            at += 1;
            let news = known.get(&piece.probe.0).is_none_or(|last| piece.seq > *last);
            if news && probe.is_none_or(|probe| piece.probe.0 == probe) {
                return Some((line(&piece), (world, changed, at, known, id, probe)));
            }
        }
    }))
}

async fn act(State(world): State<World>, Path((_, _)): Path<(String, String)>) -> Response {
    let outcome = world.facts.lock().unwrap().outcome.clone();
    match outcome {
        Some(Ok(outcome)) => Json(outcome).into_response(),
        Some(Err((status, error))) => (StatusCode::from_u16(status).unwrap(), Json(Problem { error })).into_response(),
        None => {
            world.cut();
            std::future::pending().await
        }
    }
}
