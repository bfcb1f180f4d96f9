//! One claimed job: everything before its search, the search, and the report of what it came to.

use super::{
    End, Runner,
    conclude::{self, Told},
    conductor::Conductor,
    finding::{Finding, RecordedRun, recorded_rows, same_image, used_before},
    flight::Leftovers,
    interrupt::{Interrupted, Interrupts},
    keeper::Keeper,
    lanes::Lanes,
    memory::Memory,
    patience::Patience,
    persist::{Unwritten, persist_read, retry},
    question,
    spec::{JobSpec, SandboxKind},
    spec_of,
    subjects::Subjects,
};
use crate::{
    command::value::failure_line,
    db::{self, jobs::JobRow},
    git::{GitError, Repository},
    queue::Lease,
    sandbox::{ProbeSpec, Sandbox, SandboxError},
    search::Question,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Runs the job to its end. What it leaves is to be closed by the caller: before the job is given
/// back, or after its result is told, which need not wait for it.
pub(super) async fn run(
    runner: &Runner,
    lease: &Arc<Lease>,
    job: &JobRow,
    keeper: &Keeper,
    stopping: &CancellationToken,
) -> (End, Leftovers) {
    let started = Instant::now();
    let spec = match spec_of(job) {
        Ok(spec) => spec,
        Err(error) => {
            return (End::Failed(format!("the stored request cannot be read: {error}")), Leftovers::default());
        }
    };
    let total = Duration::from_secs_f64(spec.job_timeout);
    let interrupts = Interrupts::new(keeper, stopping, started + total);
    let prepared = tokio::select! {
        prepared = retry(runner.patience, || prepare(runner, lease, job, &spec)) => prepared.map_err(|reason| conclude::failed_early(&spec, &reason)),
        interrupted = interrupts.any() => Err(conclude::interrupted_early(&spec, interrupted, keeper.cancelled_by())),
    };
    let Prepared { question, probe_spec, sandbox, repository, runs, notes, memory } = match prepared {
        Ok(prepared) => prepared,
        Err(end) => return (end, Leftovers::default()),
    };
    // Less what earlier claims used.
    let interrupts = interrupts.until(started + probe_spec.deadline);
    let mut conductor = Conductor {
        runner,
        lease,
        interrupts: interrupts.clone(),
        lanes: Lanes::new(sandbox, Arc::new(probe_spec)),
        wanted: spec.lanes.max(1),
        question,
        spec: spec.clone(),
        repository: repository.clone(),
        runs,
        in_flight: HashMap::new(),
        tasks: JoinSet::new(),
        patience: Patience::new(runner.patience),
        wait_until: None,
        took: Vec::new(),
        held: None,
        subjects: Subjects::of(repository.clone()),
        memory,
        failure_line: spec.failure_line.as_deref().and_then(|line| failure_line(line).ok()),
        notes,
    };
    let finding = conductor.search().await;
    let (left, leftovers) = conductor.leave();
    let end = match finding {
        Finding::Interrupted(Interrupted::LeaseLost) => End::LeaseLost,
        Finding::Interrupted(Interrupted::Stopping) => End::Stopping,
        finding => {
            let cancelled_by = keeper.cancelled_by();
            let told = Told {
                spec: &left.spec,
                question: &left.question,
                repository: &repository,
                runs: &left.runs,
                notes: &left.notes,
                job,
                cancelled_by,
            };
            match persist_read(&interrupts, || told.report(&runner.db, &finding)).await {
                Ok(report) => End::Report(Box::new(report)),
                Err(Unwritten::Interrupted(Interrupted::LeaseLost)) => End::LeaseLost,
                Err(Unwritten::Interrupted(_)) => End::Stopping,
                Err(Unwritten::Refused(error)) => End::Failed(error.to_string()),
            }
        }
    };
    (end, leftovers)
}

/// Whether its probes run in Docker.
pub(super) fn needs_docker(job: &JobRow) -> bool {
    spec_of(job).is_ok_and(|spec| spec.sandbox == SandboxKind::Docker)
}

/// Lets go of a finished job's commits in the mirror.
pub(super) async fn unpin(runner: &Runner, lease: &Lease, job: &JobRow) {
    let Ok(spec) = spec_of(job) else { return };
    let unpinned = match runner.mirrors.of_job(job, &spec, &*runner.credentials).await {
        Ok(mirror) => mirror.unpin(lease.job()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = unpinned {
        tracing::warn!(job.id = %lease.job(), error = %error, "refs of a finished job were left in its mirror");
    }
}

/// All that a search needs.
struct Prepared {
    question: Question,
    probe_spec: ProbeSpec,
    sandbox: Arc<dyn Sandbox>,
    repository: Repository,
    runs: Vec<RecordedRun>,
    memory: Option<Memory>,
    /// For the report.
    notes: Vec<String>,
}

/// Everything before the first probe: leftovers removed, objects fetched and pinned, range read,
/// recorded runs read. The error is the reason and whether another try may help.
async fn prepare(
    runner: &Runner,
    lease: &Arc<Lease>,
    job: &JobRow,
    spec: &JobSpec,
) -> Result<Prepared, (String, bool)> {
    let final_error = |error: String| (error, false);
    let sandbox =
        runner.sandboxes.get(spec.sandbox).ok_or_else(|| final_error("this process has no Docker sandbox".into()))?;
    let sandbox_error = |error: SandboxError| (error.to_string(), matches!(error, SandboxError::Engine { .. }));
    let git_error = |error: GitError| (error.to_string(), matches!(error, GitError::Failed { .. }));
    sandbox.sweep_job(lease.job(), lease.epoch()).await.map_err(sandbox_error)?;
    let mirror = runner.mirrors.of_job(job, spec, &*runner.credentials).await.map_err(git_error)?;
    let seeks = spec.auto && spec.good.is_empty();
    mirror.pin(job, &spec.pinned(), seeks, &*runner.credentials).await.map_err(git_error)?;
    let repository = mirror.repository();
    let db_error = |error: &dyn std::fmt::Display| (error.to_string(), true);
    let (rows, image_id) = recorded_rows(runner, lease).await.map_err(|error| db_error(&error))?;
    let used = used_before(&rows, lease);
    let who = (lease.job(), lease.epoch(), runner.instance.clone());
    let mut probe_spec = ProbeSpec { image_id, ..spec.probe_spec(who, mirror.path().to_owned(), used) };
    // The image is looked at while git reads the range: both take a moment.
    let (checked, question) = tokio::join!(sandbox.check(&probe_spec), question::load(&repository, spec));
    let image_id = checked.map_err(sandbox_error)?;
    if let Some(image) = image_id.as_ref().filter(|image| probe_spec.image_id.as_ref() != Some(image)) {
        db::jobs::set_image(&runner.db, lease, image).await.map_err(|error| db_error(&error))?;
    }
    tracing::debug!(job.id = %job.id, probes = rows.len(), "a job is prepared");
    let (runs, notes) = same_image(rows, &spec.image, image_id.as_deref());
    probe_spec.image_id = image_id;
    let memory = Memory::open(runner, job, spec, &probe_spec).await.map_err(|error| db_error(&error))?;
    Ok(Prepared { memory, question: question.map_err(git_error)?, probe_spec, sandbox, repository, runs, notes })
}
