//! The conductor of one job: asks the search what to run, keeps the lanes busy, records what they
//! answer, and stops what an answer made useless.

use super::{
    End, Runner,
    conclude::{self, Told},
    keeper::Keeper,
    lanes::{Lanes, OpenLane, Slot},
    log,
    patience::{FIRST_WAIT, Patience},
    question,
    spec::JobSpec,
    spec_of,
};
use crate::{
    db::{
        self,
        jobs::{self, JobRow},
        probes::{NewProbe, ProbeRow, ProbeState},
    },
    git::{GitError, Repository},
    queue::{Lease, LeaseError},
    sandbox::{ProbeSpec, RunEnd, Sandbox, SandboxError},
    search::{Conclusion, InFlight, Progress, Question, Run, Step, judge, next},
};
use bisect_shared::{ProbeId, Purpose, Sha, Verdict};
use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Lanes for the proof that are prepared when it is near: for the culprit and for its parent.
const FRESH_LANES: usize = 2;

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
    let prepared = tokio::select! {
        prepared = retry(runner.patience, || prepare(runner, lease, job, &spec)) => prepared.map_err(|reason| conclude::failed_early(&spec, &reason)),
        () = keeper.lost.cancelled() => Err(End::LeaseLost),
        () = keeper.cancelled.cancelled() => Err(conclude::cancelled_early(&spec, keeper.cancelled_by())),
        () = stopping.cancelled() => Err(End::Stopping),
        () = tokio::time::sleep(Duration::from_secs_f64(spec.job_timeout)) => Err(conclude::timed_out_early(&spec)),
    };
    let (question, probe_spec, sandbox, repository, runs) = match prepared {
        Ok(prepared) => prepared,
        Err(end) => return (end, Leftovers::default()),
    };
    let deadline = started + probe_spec.deadline;
    let mut conductor = Conductor {
        runner,
        lease,
        keeper,
        lanes: Lanes::new(sandbox, Arc::new(probe_spec)),
        wanted: spec.lanes.max(1),
        question: &question,
        runs,
        in_flight: HashMap::new(),
        tasks: JoinSet::new(),
        patience: Patience::new(runner.patience),
        wait_until: None,
        deadline,
        stopping,
    };
    let finding = conductor.search().await;
    let (runs, leftovers) = conductor.leave();
    let end = match finding {
        Finding::LeaseLost => End::LeaseLost,
        Finding::Stopping => End::Stopping,
        finding => {
            let cancelled_by = keeper.cancelled_by();
            let told = Told { spec: &spec, question: &question, repository: &repository, runs: &runs, job, cancelled_by };
            let report = persist_read(keeper, || told.report(&runner.db, &finding)).await;
            match report {
                Ok(report) => End::Report(Box::new(report)),
                Err(LeaseError::Lost) => End::LeaseLost,
                Err(LeaseError::Database(error)) => End::Failed(error.to_string()),
            }
        }
    };
    (end, leftovers)
}

/// Lets go of a finished job's commits in the mirror.
pub(super) async fn unpin(runner: &Runner, lease: &Lease, job: &JobRow) {
    let Ok(spec) = spec_of(job) else { return };
    let unpinned = match runner.mirrors.mirror(&spec.source).await {
        Ok(mirror) => mirror.unpin(lease.job()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = unpinned {
        tracing::warn!(job.id = %lease.job(), error = %error, "refs of a finished job were left in its mirror");
    }
}

/// What a job leaves to be removed: its lanes, and the probes that still run on them.
#[derive(Default)]
pub(super) struct Leftovers {
    lanes: Option<Lanes>,
    tasks: JoinSet<Answer>,
}

impl Leftovers {
    /// Waits for the stopped probes to end and removes every lane.
    pub(super) async fn close(&mut self) {
        let Some(mut lanes) = self.lanes.take() else { return };
        while let Some(answer) = self.tasks.join_next().await {
            if let Ok(Answer { lane: Some(lane), .. }) = answer {
                lanes.give_back(lane);
            }
        }
        lanes.close().await;
    }
}

/// A finished run with the number of its row and what was stored as its verdict.
#[derive(Debug, Clone)]
pub(super) struct RecordedRun {
    pub(super) probe: ProbeId,
    pub(super) run: Run,
    pub(super) verdict: Option<Verdict>,
    pub(super) took: Duration,
}

/// What the search came to.
pub(super) enum Finding {
    Concluded(Conclusion),
    TimedOut,
    Cancelled,
    Infrastructure(String),
    LeaseLost,
    Stopping,
}

impl From<LeaseError> for Finding {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::LeaseLost,
            // One that cannot be reached was waited for: this one would come again.
            LeaseError::Database(error) => Self::Infrastructure(error.to_string()),
        }
    }
}

type Prepared = (Question, ProbeSpec, Arc<dyn Sandbox>, Repository, Vec<RecordedRun>);

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
    let mirror = runner.mirrors.mirror(&spec.source).await.map_err(git_error)?;
    mirror.pin(lease.job(), &spec.pinned()).await.map_err(git_error)?;
    let repository = mirror.repository();
    let rows = recorded_rows(runner, lease).await.map_err(|error| (error.to_string(), true))?;
    let used = used_before(&rows, lease);
    let who = (lease.job(), lease.epoch(), runner.instance.clone());
    let probe_spec = spec.probe_spec(who, mirror.path().to_owned(), used);
    // The image is looked at while git reads the range: both take a moment.
    let (checked, question) = tokio::join!(sandbox.check(&probe_spec), question::load(&repository, spec));
    checked.map_err(sandbox_error)?;
    tracing::debug!(job.id = %job.id, probes = rows.len(), "a job is prepared");
    let runs = rows.into_iter().filter_map(recorded).collect();
    Ok((question.map_err(git_error)?, probe_spec, sandbox, repository, runs))
}

async fn recorded_rows(runner: &Runner, lease: &Lease) -> Result<Vec<ProbeRow>, db::DbError> {
    let mut tx = runner.db.begin().await?;
    let rows = db::probes::probes(&mut tx, lease.job()).await?;
    tx.commit().await?;
    Ok(rows)
}

/// A row that counts: a run that ended by itself, or was ended for what it did.
fn recorded(row: ProbeRow) -> Option<RecordedRun> {
    let ProbeState::Ended(ending) = row.state else { return None };
    Some(RecordedRun {
        probe: row.id,
        run: Run { commit: row.commit, purpose: row.purpose, ending },
        verdict: row.verdict,
        took: Duration::from_secs_f64(row.seconds.unwrap_or_default()),
    })
}

/// The part of the job's total time that earlier claims used: from each one's first probe to its
/// last answer. The time in which nobody worked on it is not counted.
fn used_before(rows: &[ProbeRow], lease: &Lease) -> Duration {
    let mut spans: HashMap<i64, (chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>)> = HashMap::new();
    for row in rows.iter().filter(|row| row.epoch < lease.epoch()) {
        let finished = row.finished_at.unwrap_or(row.started_at);
        let span = spans.entry(row.epoch.0).or_insert((row.started_at, finished));
        *span = (span.0.min(row.started_at), span.1.max(finished));
    }
    spans.values().filter_map(|(from, to)| (*to - *from).to_std().ok()).sum()
}

/// Tries again what may help itself, with doubling waits.
async fn retry<T, F>(limit: Duration, mut attempt: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, (String, bool)>>,
{
    let mut patience = Patience::new(limit);
    loop {
        let (reason, again) = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let Some(wait) = patience.failed(Instant::now()).filter(|_| again) else { return Err(reason) };
        tracing::warn!(reason, wait.seconds = wait.as_secs_f64(), "preparing a job failed; trying again");
        tokio::time::sleep(wait).await;
    }
}

/// Repeats a write while the database cannot be reached and the lease lasts: a database that
/// restarts loses nothing.
pub(super) async fn persist<T, F>(keeper: &Keeper, mut write: impl FnMut() -> F) -> Result<T, LeaseError>
where
    F: Future<Output = Result<T, LeaseError>>,
{
    let mut wait = FIRST_WAIT;
    loop {
        match write().await {
            Err(LeaseError::Database(error)) if error.is_unreachable() => {
                tracing::warn!(error = %error, "a write failed; trying again while the lease lasts");
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(5)),
                    () = keeper.lost.cancelled() => return Err(LeaseError::Lost),
                }
            }
            answer => return answer,
        }
    }
}

/// The same for a read.
async fn persist_read<T, F>(keeper: &Keeper, mut read: impl FnMut() -> F) -> Result<T, LeaseError>
where
    F: Future<Output = Result<T, db::DbError>>,
{
    persist(keeper, || {
        let reading = read();
        async { reading.await.map_err(LeaseError::Database) }
    })
    .await
}

/// One probe under way.
struct Flight {
    commit: Sha,
    purpose: Purpose,
    stop: CancellationToken,
}

/// What a probe's task answers.
struct Answer {
    probe: ProbeId,
    lane: Option<OpenLane>,
    end: Result<RunEnd, SandboxError>,
}

struct Conductor<'a> {
    runner: &'a Runner,
    lease: &'a Arc<Lease>,
    keeper: &'a Keeper,
    lanes: Lanes,
    wanted: usize,
    question: &'a Question,
    runs: Vec<RecordedRun>,
    in_flight: HashMap<ProbeId, Flight>,
    tasks: JoinSet<Answer>,
    patience: Patience,
    wait_until: Option<Instant>,
    deadline: Instant,
    stopping: &'a CancellationToken,
}

impl Conductor<'_> {
    async fn search(&mut self) -> Finding {
        loop {
            match self.advance().await {
                Ok(None) => {}
                Ok(Some(conclusion)) => return Finding::Concluded(conclusion),
                Err(error) => return error.into(),
            }
            let pause = self.wait_until;
            tokio::select! {
                biased;
                // Before the answers: a run that the job's end cut short says nothing about its commit.
                finding = self.interrupted() => return finding,
                Some(answer) = self.tasks.join_next() => match answer {
                    Ok(answer) => match self.take_answer(answer).await {
                        Ok(None) => {}
                        Ok(Some(reason)) => return Finding::Infrastructure(reason),
                        Err(error) => return error.into(),
                    },
                    Err(error) => return Finding::Infrastructure(format!("a probe's task failed: {error}")),
                },
                () = tokio::time::sleep_until(pause.unwrap_or(self.deadline)), if pause.is_some() => self.wait_until = None,
            }
        }
    }

    /// Resolves when the job is to end before its search does.
    fn interrupted(&self) -> impl Future<Output = Finding> + use<> {
        let (lost, cancelled) = (self.keeper.lost.clone(), self.keeper.cancelled.clone());
        let (stopping, deadline) = (self.stopping.clone(), self.deadline);
        async move {
            tokio::select! {
                biased;
                () = lost.cancelled() => Finding::LeaseLost,
                () = cancelled.cancelled() => Finding::Cancelled,
                () = stopping.cancelled() => Finding::Stopping,
                () = tokio::time::sleep_until(deadline) => Finding::TimedOut,
            }
        }
    }

    /// Asks the search for its next step and takes it.
    async fn advance(&mut self) -> Result<Option<Conclusion>, LeaseError> {
        let runs: Vec<Run> = self.runs.iter().map(|recorded| recorded.run).collect();
        let going: Vec<InFlight> = self
            .in_flight
            .values()
            .filter(|flight| !flight.stop.is_cancelled())
            .map(|flight| InFlight { commit: flight.commit, purpose: flight.purpose })
            .collect();
        // A lane whose probe is being stopped is not free yet.
        let ending = self.in_flight.len() - going.len();
        let lanes = self.wanted.saturating_sub(ending).max(going.len());
        match next(self.question, &runs, &going, lanes) {
            Step::Done(conclusion) => Ok(Some(conclusion)),
            Step::Go { start, stop, progress, prepare_proof } => {
                for useless in stop {
                    self.stop(&useless);
                }
                if prepare_proof && self.wait_until.is_none() {
                    self.lanes.prepare_fresh(FRESH_LANES);
                }
                self.start(start, progress).await?;
                Ok(None)
            }
        }
    }

    fn stop(&self, useless: &InFlight) {
        for flight in self.in_flight.values() {
            if flight.commit == useless.commit && flight.purpose == useless.purpose {
                flight.stop.cancel();
            }
        }
    }

    /// Starts probes: their rows first, so that a crash at any moment leaves a trace of each run.
    async fn start(&mut self, wanted: Vec<InFlight>, progress: Progress) -> Result<(), LeaseError> {
        if wanted.is_empty() || self.wait_until.is_some() {
            return Ok(());
        }
        let mut permits = Vec::new();
        for _ in &wanted {
            match self.permit(permits.is_empty()).await {
                Some(permit) => permits.push(permit),
                None => break,
            }
        }
        if permits.is_empty() {
            return Ok(());
        }
        let wanted = &wanted[..permits.len()];
        let slots: Vec<Slot> = wanted.iter().map(|probe| self.lanes.take(probe.purpose)).collect();
        let told = jobs::Progress {
            candidates_left: progress.candidates_left as u64,
            expected_probes: progress.expected_probes,
        };
        let rows: Vec<NewProbe> = wanted
            .iter()
            .zip(&slots)
            .map(|(probe, slot)| NewProbe { commit: probe.commit, purpose: probe.purpose, lane: slot.number() })
            .collect();
        let probes =
            persist(self.keeper, || db::probes::start_probes(&self.runner.db, self.lease, &rows, told)).await?;
        for (((probe, wanted), slot), permit) in probes.into_iter().zip(wanted).zip(slots).zip(permits) {
            let stop = CancellationToken::new();
            let flight = Flight { commit: wanted.commit, purpose: wanted.purpose, stop: stop.clone() };
            self.in_flight.insert(probe, flight);
            let (output, received) = mpsc::channel(64);
            let stored = tokio::spawn(log::store(
                self.runner.db.clone(),
                Arc::clone(self.lease),
                probe,
                received,
                stop.clone(),
            ));
            let commit = wanted.commit;
            self.tasks.spawn(async move {
                let (lane, end) = run_probe(slot, commit, output, stop).await;
                drop(permit);
                if let Err(error) = stored.await {
                    tracing::warn!(probe.id = %probe, error = %error, "the output of a probe was not stored");
                }
                Answer { probe, lane, end }
            });
        }
        Ok(())
    }

    /// A slot of this process. Without any probe under way the job waits for one; more are taken
    /// only if they are free.
    async fn permit(&self, first: bool) -> Option<OwnedSemaphorePermit> {
        let slots = Arc::clone(&self.runner.slots);
        if first && self.in_flight.is_empty() {
            tokio::select! {
                permit = slots.acquire_owned() => permit.ok(),
                _ = self.interrupted() => None,
            }
        } else {
            slots.try_acquire_owned().ok()
        }
    }

    /// Records what a probe answered. The answer is a reason to give up, where there is one.
    async fn take_answer(&mut self, answer: Answer) -> Result<Option<String>, LeaseError> {
        let Some(flight) = self.in_flight.remove(&answer.probe) else { return Ok(None) };
        match (answer.end, answer.lane) {
            (Ok(RunEnd::Ended(ending, seconds)), lane) => {
                self.patience.succeeded();
                let run = Run { commit: flight.commit, purpose: flight.purpose, ending };
                let took = Duration::from_secs_f64(seconds);
                self.runs.push(RecordedRun { probe: answer.probe, run, verdict: None, took });
                self.record().await?;
                if let Some(lane) = lane {
                    self.lanes.give_back(lane);
                }
            }
            (Ok(RunEnd::Stopped), lane) => {
                persist(self.keeper, || db::probes::stop_probe(&self.runner.db, self.lease, answer.probe)).await?;
                if let Some(lane) = lane {
                    self.lanes.give_back(lane);
                }
            }
            (Err(error), lane) => return self.take_failure(answer.probe, error, lane).await,
        }
        Ok(None)
    }

    /// Writes the newest run, and the verdicts of earlier ones that it decides.
    async fn record(&mut self) -> Result<(), LeaseError> {
        let runs: Vec<Run> = self.runs.iter().map(|recorded| recorded.run).collect();
        let verdicts = judge(self.question, &runs);
        let (newest, earlier) = (self.runs.len() - 1, &self.runs);
        let last = &earlier[newest];
        let (db, lease) = (&self.runner.db, self.lease);
        persist(self.keeper, || {
            db::probes::record_probe(db, lease, last.probe, last.run.ending, verdicts[newest], last.took)
        })
        .await?;
        let decided: Vec<(ProbeId, Verdict)> = earlier[..newest]
            .iter()
            .zip(&verdicts)
            .filter(|(recorded, verdict)| recorded.verdict != **verdict)
            .filter_map(|(recorded, verdict)| Some((recorded.probe, (*verdict)?)))
            .collect();
        if !decided.is_empty() {
            persist(self.keeper, || db::probes::set_verdicts(db, lease, &decided)).await?;
        }
        for (recorded, verdict) in self.runs.iter_mut().zip(verdicts) {
            recorded.verdict = verdict;
        }
        Ok(())
    }

    /// A sandbox that failed says nothing about the commit: its lane is given up, and the search
    /// asks for the commit again after a wait.
    async fn take_failure(
        &mut self,
        probe: ProbeId,
        error: SandboxError,
        lane: Option<OpenLane>,
    ) -> Result<Option<String>, LeaseError> {
        persist(self.keeper, || db::probes::stop_probe(&self.runner.db, self.lease, probe)).await?;
        if let Some(lane) = lane {
            self.lanes.discard(lane);
        }
        if matches!(error, SandboxError::Unusable(_)) {
            return Ok(Some(error.to_string()));
        }
        if self.wait_until.is_some() {
            // The same trouble, seen from another lane.
            return Ok(None);
        }
        let Some(wait) = self.patience.failed(Instant::now()) else { return Ok(Some(error.to_string())) };
        tracing::warn!(error = %error, wait.seconds = wait.as_secs_f64(), "the sandbox failed; trying again");
        self.wait_until = Some(Instant::now() + wait);
        Ok(None)
    }

    /// Stops every probe, and leaves what was recorded and what is to be removed.
    fn leave(self) -> (Vec<RecordedRun>, Leftovers) {
        for flight in self.in_flight.values() {
            flight.stop.cancel();
        }
        (self.runs, Leftovers { lanes: Some(self.lanes), tasks: self.tasks })
    }
}

/// Runs one probe on a lane that may still be in preparation.
async fn run_probe(
    slot: Slot,
    commit: Sha,
    output: mpsc::Sender<bytes::Bytes>,
    stop: CancellationToken,
) -> (Option<OpenLane>, Result<RunEnd, SandboxError>) {
    let mut lane = match slot.ready().await {
        Ok(lane) => lane,
        Err(error) => return (None, Err(error)),
    };
    if stop.is_cancelled() {
        return (Some(lane), Ok(RunEnd::Stopped));
    }
    let end = lane.run(commit, output, stop).await;
    (Some(lane), end)
}
