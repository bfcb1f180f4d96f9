//! `bisectd bisect`: one request through the same queue, search and sandbox as the service's.

use super::{
    Exit, Refusal,
    args::{BisectArgs, When},
    instance::{affinity, forget, is_dead},
    leave::Leaving,
    print, request,
    services::{self, Services, Storage},
    signals::Signals,
    steps::Steps,
    watch::{self, Show},
};
use crate::{
    config::Config,
    db::jobs::{self, JobRow, NewJob, Origin},
    queue::{Claim, Enqueued},
    report::{
        Report, json,
        plan::{Plan, huge},
        terminal,
    },
    runner::{
        Runner,
        spec::{JobSpec, SandboxKind},
    },
    sandbox::Sandbox,
};
use bisect_shared::{JobId, JobStatus, ResultKind};
use std::{
    io::{IsTerminal, Write},
    sync::Arc,
    time::Duration,
};
use terminal::Paint;
use tokio_util::sync::CancellationToken;

/// Runs one bisection and prints what it found.
pub(super) async fn run(args: BisectArgs, config: &Config) -> Result<Exit, Refusal> {
    let answer = bisect(&args, config).await;
    // Whoever reads the object gets one, however the job ended.
    if let (true, Err(Refusal { exit, .. })) = (args.json, &answer) {
        match exit {
            Exit::Infrastructure => print(&(json::bare(ResultKind::Infrastructure).to_string() + "\n"))?,
            Exit::Interrupted => print(&(json::bare(ResultKind::Cancelled).to_string() + "\n"))?,
            _ => {}
        }
    }
    answer
}

async fn bisect(args: &BisectArgs, config: &Config) -> Result<Exit, Refusal> {
    let signals = Signals::listen().map_err(Refusal::infrastructure)?;
    let steps = Steps::new(Shown::of(args).progress);
    let (spec, plan, docker) = tokio::select! {
        checked = check(args, config, steps) => checked?,
        () = signals.asked.cancelled() => return Err(interrupted("stopped before anything was started")),
    };
    // From here on there is something to stop: only a second signal cuts it short.
    let storage = tokio::select! {
        storage = Storage::open(config, steps) => storage,
        () = signals.hurry.cancelled() => return Err(interrupted("stopped while the database was opened")),
    };
    let early = || interrupted("stopped before the job was queued");
    let storage = storage.map_err(|refusal| if signals.asked.is_cancelled() { early() } else { refusal })?;
    let services = Services::start(config, storage, docker, None, None).await?;
    let answer = if signals.asked.is_cancelled() {
        Err(early())
    } else {
        serve_one(args, config, &services.runner, (&spec, &plan), &signals).await
    };
    services.stop().await;
    answer
}

async fn check(
    args: &BisectArgs,
    config: &Config,
    steps: Steps,
) -> Result<(JobSpec, Plan, Option<Arc<dyn Sandbox>>), Refusal> {
    let (spec, plan) = request::understand(args, config, steps).await?;
    let docker = steps
        .tell(
            "checking Docker, the image (fetching it, if it is missing) and the network",
            services::docker(config, &spec),
        )
        .await?;
    Ok((spec, plan, docker))
}

fn interrupted(message: impl Into<String>) -> Refusal {
    Refusal { exit: Exit::Interrupted, message: message.into() }
}

async fn serve_one(
    args: &BisectArgs,
    config: &Config,
    runner: &Runner,
    (spec, plan): (&JobSpec, &Plan),
    signals: &Signals,
) -> Result<Exit, Refusal> {
    let job = new_job(spec, config);
    let enqueued = runner.queue.enqueue_and_watch(&job).await.map_err(Refusal::infrastructure)?;
    let shown = Shown::of(args);
    shown.announce(spec, plan, &enqueued);

    let stopping = CancellationToken::new();
    let mut worker = tokio::spawn(work(runner.clone(), enqueued.job, config.clone(), stopping.clone()));
    let leaving = Leaving::new(runner, enqueued.job, &config.data_dir, stopping.clone());
    let obeying = tokio::spawn(leaving.clone().obey(signals.clone()));
    // While the database is away, the worker holds out for as long as its lease may last.
    let patience = runner.clocks.stale_after.max(Duration::from_mins(1));
    let row = tokio::select! {
        row = watch::follow(&runner.db, enqueued.job, patience, shown.progress, shown.err) => row.map(Some).map_err(Refusal::infrastructure),
        // It ends by itself only when the process is to stop: the job may have ended just then.
        ended = &mut worker => match ended {
            Ok(()) => Ok(watch::ended(&runner.db, enqueued.job).await),
            Err(error) => Err(Refusal::infrastructure(format!("the worker failed: {error}"))),
        },
        () = signals.hurry.cancelled() => Ok(None),
    };
    let answer = row.and_then(|row| match row {
        Some(row) => shown.result(&row),
        None => Err(interrupted(leaving.last_words())),
    });
    // The answer is told; what is left is to remove containers and workspaces.
    stopping.cancel();
    if !worker.is_finished() {
        tokio::select! {
            _ = &mut worker => {}
            () = signals.hurry.cancelled() => {}
        }
    }
    obeying.abort();
    answer
}

fn new_job(spec: &JobSpec, config: &Config) -> NewJob {
    // A path means something on this machine only; an address is the same everywhere. What runs
    // without walls runs where it was asked for, never on another machine of the same database.
    let local = !crate::git::is_url(&spec.source) || spec.sandbox == SandboxKind::Process;
    let affinity = local.then(|| affinity(&config.data_dir));
    let requested_by = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    spec.to_job(Origin::Local { source: spec.source.clone(), affinity }, requested_by, None)
}

/// Claims the job whenever it is free, and runs it, until it is final or the process stops.
async fn work(runner: Runner, job: JobId, config: Config, stopping: CancellationToken) {
    let pause = config.clocks.recovery_interval.min(Duration::from_secs(1));
    while !stopping.is_cancelled() {
        match runner.queue.claim(Claim::Job(job)).await {
            Ok(Some((lease, row))) => {
                runner.run(lease, row, stopping.clone()).await;
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error, "the job could not be claimed; trying again"),
        }
        if let Err(error) = recover(&runner, job, &config).await {
            tracing::warn!(error = %error, "orphaned jobs could not be looked for; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stopping.cancelled() => {}
        }
    }
}

/// Takes the job from a worker that is dead: at once when it died on this machine, else when its
/// heartbeat is too old.
async fn recover(runner: &Runner, job: JobId, config: &Config) -> Result<(), crate::db::DbError> {
    runner.queue.reclaim_stale().await?;
    let mut tx = runner.db.begin().await?;
    let row = jobs::find(&mut tx, job).await?;
    tx.commit().await?;
    if let Some(JobRow { status: JobStatus::Running, worker: Some(worker), .. }) = &row
        && is_dead(&config.data_dir, &worker.0)
    {
        let reclaimed = runner.queue.reclaim_dead(worker).await?;
        if reclaimed.iter().any(|taken| taken.job == job) {
            forget(&config.data_dir, &worker.0);
        }
    }
    Ok(())
}

/// A line on standard error; nobody is left to tell when it is closed.
pub(super) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What is printed, and how.
struct Shown {
    json: bool,
    progress: Show,
    out: Paint,
    err: Paint,
}

impl Shown {
    fn of(args: &BisectArgs) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paint = |is_terminal: bool| Paint {
            colours: match args.color {
                When::Always => true,
                When::Never => false,
                When::Auto => is_terminal && !plain,
            },
        };
        Self {
            json: args.json,
            progress: match (args.quiet, terminal) {
                (true, _) => Show::Nothing,
                (false, true) => Show::Bar,
                (false, false) => Show::Lines,
            },
            out: paint(std::io::stdout().is_terminal()),
            err: paint(terminal),
        }
    }

    fn announce(&self, spec: &JobSpec, plan: &Plan, enqueued: &Enqueued) {
        if self.progress == Show::Nothing {
            return;
        }
        let what = if spec.fixed { "fix" } else { "culprit" };
        let good: Vec<String> = spec.good.iter().map(bisect_shared::Sha::short).collect();
        let (job, bad) = (enqueued.job, spec.bad.short());
        let mut line = if good.is_empty() {
            format!("job {job}: looking for a good end before {bad}, and then for the {what}")
        } else {
            format!("job {job}: looking for the {what} between {} and {bad}", good.join(", "))
        };
        if enqueued.joined {
            line += "\nthe same request is unfinished: going on with it";
        } else {
            line += &format!("\nplan: {}", plan.line());
        }
        if let Some(warning) = huge(plan.candidates) {
            line += &format!("\nwarning: {warning}");
        }
        tell(&line);
    }

    fn result(&self, row: &JobRow) -> Result<Exit, Refusal> {
        let Some(report) = row.report.clone().and_then(|report| serde_json::from_value::<Report>(report).ok()) else {
            return without_report(row);
        };
        let text =
            if self.json { json::render(&report).to_string() + "\n" } else { terminal::render(&report, self.out) };
        print(&text)?;
        Ok(report.result.into())
    }
}

/// A job that ended without a worker: cancelled while it waited, or given up after too many crashes.
fn without_report(row: &JobRow) -> Result<Exit, Refusal> {
    let message = row.error.clone().unwrap_or_else(|| format!("job {} is {}", row.id, row.status));
    let exit = if row.status == JobStatus::Cancelled { Exit::Interrupted } else { Exit::Infrastructure };
    Err(Refusal { exit, message })
}
