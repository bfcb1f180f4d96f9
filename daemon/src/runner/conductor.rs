//! The conductor of one job: asks the search what to run, keeps the lanes busy, records what they
//! answer, and stops what an answer made useless. It judges nothing and runs nothing by itself.

use super::{
    Runner,
    finding::{Finding, RecordedRun},
    flight::{Answer, Flight, Leftovers, run_probe},
    foresight,
    interrupt::Interrupts,
    lanes::{Lanes, Slot},
    log,
    memory::Memory,
    patience::Patience,
    persist::{LAST_TRY, Unwritten, persist, retry},
    question,
    said::Ear,
    spec::JobSpec,
    subjects::Subjects,
};
use crate::{
    db::{
        self, jobs,
        probes::{Ended, NewProbe},
    },
    git::{GitError, Repository},
    queue::Lease,
    sandbox::{RunEnd, SandboxError},
    search::{Conclusion, Fingerprint, InFlight, Progress, Question, Run, Step, judge, next, plain, strip},
};
use bisect_shared::{ProbeId, Purpose, Sha, Verdict};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Lanes for the proof that are prepared when it is near: for the culprit and for its parent.
const FRESH_LANES: usize = 2;

/// One job's search under way: what runs, on which lanes, and what was recorded.
pub(super) struct Conductor<'a> {
    pub(super) runner: &'a Runner,
    pub(super) lease: &'a Arc<Lease>,
    pub(super) interrupts: Interrupts,
    pub(super) lanes: Lanes,
    pub(super) wanted: usize,
    pub(super) question: Question,
    pub(super) runs: Vec<RecordedRun>,
    pub(super) in_flight: HashMap<ProbeId, Flight>,
    pub(super) tasks: JoinSet<Answer>,
    pub(super) patience: Patience,
    /// After trouble with the sandbox: nothing starts before this.
    pub(super) wait_until: Option<Instant>,
    /// How long the runs of the search took here, from a lane that is ready to the answer.
    pub(super) took: Vec<Duration>,
    /// Before this no run of the search starts: an answer is due.
    pub(super) held: Option<Instant>,
    pub(super) spec: JobSpec,
    pub(super) repository: Repository,
    /// What the commits under way are called.
    pub(super) subjects: Subjects,
    /// What earlier jobs found out, until it is contradicted.
    pub(super) memory: Option<Memory>,
    /// `--failure-line`.
    pub(super) failure_line: Option<regex::bytes::Regex>,
    /// For the report.
    pub(super) notes: Vec<String>,
}

/// What a search leaves for the report.
pub(super) struct Left {
    pub(super) spec: JobSpec,
    pub(super) question: Question,
    pub(super) runs: Vec<RecordedRun>,
    pub(super) notes: Vec<String>,
}

/// What a step found.
enum Found {
    /// Where the search may begin.
    GoodEnd(Sha),
    /// The end of the search.
    End(Conclusion),
}

impl Conductor<'_> {
    /// Asks the question anew, from a good end that was looked for. What was run for that counts.
    async fn begin_at(&mut self, good: Sha) -> Result<(), Finding> {
        self.spec.good = vec![good];
        let stored = serde_json::to_value(&self.spec).map_err(|error| Finding::Infrastructure(error.to_string()))?;
        let (db, lease) = (&self.runner.db, self.lease);
        persist(&self.interrupts, || db::jobs::set_good(db, lease, good, &stored)).await?;
        let loaded = retry(self.runner.patience, || async {
            let read = question::load(&self.repository, &self.spec).await;
            read.map_err(|error| (error.to_string(), matches!(error, GitError::Failed { .. })))
        });
        self.question = tokio::select! {
            loaded = loaded => loaded.map_err(Finding::Infrastructure)?,
            interrupted = self.interrupts.any() => return Err(Finding::Interrupted(interrupted)),
        };
        Ok(())
    }

    pub(super) async fn search(&mut self) -> Finding {
        loop {
            match self.advance().await {
                Ok(None) => {}
                Ok(Some(Found::End(conclusion))) => return Finding::Concluded(conclusion),
                Ok(Some(Found::GoodEnd(good))) => match self.begin_at(good).await {
                    Ok(()) => continue,
                    Err(finding) => return finding,
                },
                Err(error) => return error.into(),
            }
            let now = Instant::now();
            let pause = self.wait_until.or_else(|| self.held.filter(|until| *until > now));
            tokio::select! {
                biased;
                // Before the answers: a run that the job's end cut short says nothing about its commit.
                interrupted = self.interrupts.any() => return Finding::Interrupted(interrupted),
                Some(answer) = self.tasks.join_next() => if let Err(finding) = self.take_answers(answer).await {
                    return finding;
                },
                () = tokio::time::sleep_until(pause.unwrap_or(now)), if pause.is_some() => self.wait_until = None,
            }
        }
    }

    /// Takes one answer and every other that is there by then, so that nothing is started which one
    /// of them makes useless.
    async fn take_answers(&mut self, first: Result<Answer, JoinError>) -> Result<(), Finding> {
        let (mut next, mut stopped) = (Some(first), Vec::new());
        while let Some(answer) = next {
            let failed = |error| Finding::Infrastructure(format!("a probe's task failed: {error}"));
            if let Some(reason) = self.take_answer(answer.map_err(failed)?, &mut stopped).await? {
                return Err(Finding::Infrastructure(reason));
            }
            next = self.tasks.try_join_next();
        }
        Ok(self.record_stopped(&stopped).await?)
    }

    /// Asks the search for its next step and takes it.
    async fn advance(&mut self) -> Result<Option<Found>, Unwritten> {
        let going: Vec<InFlight> = self
            .in_flight
            .values()
            .filter(|flight| !flight.stop.is_cancelled())
            .map(|flight| InFlight { commit: flight.commit, purpose: flight.purpose })
            .collect();
        let step = match self.remembered(&going).await? {
            Some(step) => step,
            None => next(&self.question, &self.all_runs(), &going, self.wanted),
        };
        match step {
            Step::Found(good) => Ok(Some(Found::GoodEnd(good))),
            Step::Done(conclusion) => {
                self.note_range(&self.all_runs()).await;
                Ok(Some(Found::End(conclusion)))
            }
            Step::Go { start, stop, progress, prepare_proof, only_proof } => {
                for useless in stop {
                    self.stop(&useless);
                }
                if self.wait_until.is_some() {
                    return Ok(None);
                }
                if prepare_proof {
                    // One more where a proof may begin before the culprit is certain, and be useless.
                    self.lanes.prepare_fresh(FRESH_LANES + usize::from(self.wanted > 1));
                }
                let asked = start.len();
                let start = self.with_room(start);
                let started = self.start(start, progress).await?;
                self.lanes.only_proof(only_proof.map(|later| later + asked - started));
                Ok(None)
            }
        }
    }

    fn all_runs(&self) -> Vec<Run> {
        self.runs.iter().map(|recorded| recorded.run).collect()
    }

    /// The next step of a job that remembers: whatever is known is recorded first, in the place of runs. While a good end is
    /// looked for, nothing is: what is found then is an end, and ends are run.
    async fn remembered(&mut self, going: &[InFlight]) -> Result<Option<Step>, Unwritten> {
        while let Some(memory) = self.memory.as_ref().filter(|_| !self.question.good.is_empty()) {
            let runs = self.all_runs();
            let Some(step) = plain(&self.question, &runs, going, self.wanted) else {
                self.set_memory_aside().await?;
                continue;
            };
            let answers = match &step {
                Step::Go { start, .. } => memory.answers(&self.question, &runs, start),
                Step::Found(_) | Step::Done(_) => Vec::new(),
            };
            if answers.is_empty() {
                return Ok(Some(step));
            }
            self.record_remembered(&answers).await?;
        }
        Ok(None)
    }

    async fn record_remembered(&mut self, answers: &[Run]) -> Result<(), Unwritten> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let runs = [self.all_runs(), answers.to_vec()].concat();
        let verdicts = judge(&self.question, &runs).split_off(self.runs.len());
        let rows: Vec<(NewProbe, Ended)> =
            answers.iter().zip(&verdicts).map(|(run, verdict)| memory.row(&self.question, run, *verdict)).collect();
        let (db, lease) = (&self.runner.db, self.lease);
        let probes = persist(&self.interrupts, || db::probes::record_remembered(db, lease, &rows)).await?;
        let commits: Vec<_> = answers.iter().map(|run| run.commit).collect();
        memory.used(db, &commits).await;
        self.subjects.note(db, lease, commits.into_iter());
        for ((probe, run), (verdict, (_, ended))) in probes.into_iter().zip(answers).zip(verdicts.into_iter().zip(rows))
        {
            self.runs.push(RecordedRun { probe, run: *run, verdict, took: ended.took, remembered: true });
        }
        Ok(())
    }

    /// Runs contradict one another, so what is remembered cannot be trusted; what ran may still be of one mind.
    async fn set_memory_aside(&mut self) -> Result<(), Unwritten> {
        let Some(memory) = self.memory.take() else { return Ok(()) };
        let (db, lease) = (&self.runner.db, self.lease);
        memory.forget(db, lease).await;
        let count = self.runs.iter().filter(|run| run.remembered).count();
        if count > 0 {
            persist(&self.interrupts, || db::probes::set_aside_remembered(db, lease)).await?;
            self.runs.retain(|run| !run.remembered);
            self.notes.push(format!("{count} remembered verdicts did not fit what ran, and were forgotten"));
        }
        Ok(())
    }

    /// What may start now. The lane of a run that is being stopped is free in a moment: opening another
    /// takes longer. A proof has a lane of its own and waits for nothing, so for that moment, a tenth of
    /// a second, more containers than the job has lanes may run: the slots of the process bound them.
    fn with_room(&mut self, mut start: Vec<InFlight>) -> Vec<InFlight> {
        let searches = start.iter().any(|run| run.purpose == Purpose::Search);
        let hold = searches && self.wanted > 1 && self.hold();
        let mut room = self.wanted.saturating_sub(self.in_flight.len());
        start.retain(|run| {
            let starts = run.purpose == Purpose::Proof || (room > 0 && !hold);
            room = room.saturating_sub(1);
            starts
        });
        start
    }

    /// Whether an answer is due that may make useless what would start now.
    fn hold(&mut self) -> bool {
        let now = Instant::now();
        let telling = |flight: &&Flight| flight.purpose == Purpose::Search && !flight.stop.is_cancelled();
        let began = self.in_flight.values().filter(telling).filter_map(|flight| flight.began.get());
        let going: Vec<Duration> = began.map(|began| now.duration_since(*began)).collect();
        let until = foresight::hold(&self.took, &going).map(|hold| now + hold);
        // Whoever answers meanwhile does not prolong it.
        self.held = until.map(|until| self.held.map_or(until, |held| held.min(until)));
        self.held.is_some_and(|until| now < until)
    }

    fn stop(&self, useless: &InFlight) {
        for flight in self.in_flight.values() {
            if flight.commit == useless.commit && flight.purpose == useless.purpose {
                flight.stop.cancel();
            }
        }
    }

    /// Starts probes: their rows first, so that a crash at any moment leaves a trace of each run.
    /// The answer is how many: as many as there are slots for.
    async fn start(&mut self, wanted: Vec<InFlight>, progress: Progress) -> Result<usize, Unwritten> {
        if wanted.is_empty() {
            return Ok(0);
        }
        let mut permits = Vec::new();
        for _ in &wanted {
            match self.permit(permits.is_empty()).await {
                Some(permit) => permits.push(permit),
                None => break,
            }
        }
        if permits.is_empty() {
            return Ok(0);
        }
        let wanted = &wanted[..permits.len()];
        if wanted.iter().any(|probe| probe.purpose == Purpose::Search) {
            self.held = None;
        }
        let slots: Vec<Slot> = wanted.iter().map(|probe| self.lanes.take(probe.purpose)).collect();
        let standing = self.standing(progress);
        let row = |(probe, slot): (&InFlight, &Slot)| NewProbe {
            commit: probe.commit,
            purpose: probe.purpose,
            lane: slot.number(),
            position: self.question.position(&probe.commit),
        };
        let rows: Vec<NewProbe> = wanted.iter().zip(&slots).map(row).collect();
        let (db, lease) = (&self.runner.db, self.lease);
        let probes = persist(&self.interrupts, || db::probes::start_probes(db, lease, &rows, &standing)).await?;
        self.subjects.note(db, lease, wanted.iter().map(|probe| probe.commit));
        for (((probe, wanted), slot), permit) in probes.into_iter().zip(wanted).zip(slots).zip(permits) {
            let stop = CancellationToken::new();
            let began = Arc::new(OnceLock::new());
            let (commit, purpose) = (wanted.commit, wanted.purpose);
            let flight = Flight { commit, purpose, stop: stop.clone(), began: Arc::clone(&began) };
            self.in_flight.insert(probe, flight);
            let (output, received) = mpsc::channel(64);
            let ear = Ear::new(self.failure_line.clone());
            let (db, lease) = (self.runner.db.clone(), Arc::clone(self.lease));
            let stored = tokio::spawn(log::store(db, lease, probe, received, stop.clone(), ear));
            self.tasks.spawn(async move {
                let (lane, end) = run_probe(slot, commit, output, stop, began).await;
                drop(permit);
                let said = stored.await.unwrap_or_else(|error| {
                    tracing::warn!(probe.id = %probe, error = %error, "the output of a probe was not stored");
                    Fingerprint::default()
                });
                Answer { probe, lane, end, said }
            });
        }
        Ok(wanted.len())
    }

    /// What the last answers made of the range, for people: no reason to keep a result back.
    async fn note_range(&self, runs: &[Run]) {
        let strip = strip(&self.question, runs);
        let told = db::jobs::note_range(&self.runner.db, self.lease, &strip);
        if !matches!(tokio::time::timeout(LAST_TRY, told).await, Ok(Ok(()))) {
            tracing::debug!(job.id = %self.lease.job(), "what is left of the range was not noted");
        }
    }

    /// What is told of the search with the next start.
    fn standing(&self, progress: Progress) -> jobs::Standing {
        let runs: Vec<Run> = self.runs.iter().map(|recorded| recorded.run).collect();
        jobs::Standing {
            progress: jobs::Progress {
                candidates_left: progress.candidates_left as u64,
                expected_probes: progress.expected_probes,
            },
            candidates: self.question.graph.len() as u64,
            strip: strip(&self.question, &runs),
        }
    }

    /// A slot of this process. Without any probe under way the job waits for one; more are taken
    /// only if they are free.
    async fn permit(&self, first: bool) -> Option<OwnedSemaphorePermit> {
        let slots = Arc::clone(&self.runner.slots);
        if first && self.in_flight.is_empty() {
            tokio::select! {
                permit = slots.acquire_owned() => permit.ok(),
                _ = self.interrupts.any() => None,
            }
        } else {
            slots.try_acquire_owned().ok()
        }
    }

    /// Records what a probe answered, or adds it to those that were `stopped`. The answer is a reason to give up, where
    /// there is one.
    async fn take_answer(&mut self, answer: Answer, stopped: &mut Vec<ProbeId>) -> Result<Option<String>, Unwritten> {
        let Some(flight) = self.in_flight.remove(&answer.probe) else { return Ok(None) };
        // Before anything is written, which may be given up: a lane that nobody has is never closed.
        match (answer.lane, &answer.end) {
            (Some(lane), Ok(_)) => self.lanes.give_back(lane),
            (Some(lane), Err(_)) => self.lanes.discard(lane),
            (None, _) => {}
        }
        match answer.end {
            Ok(RunEnd::Ended(ending, seconds)) => {
                self.patience.succeeded();
                if flight.purpose == Purpose::Search {
                    self.took.extend(flight.began.get().map(Instant::elapsed));
                }
                let run = Run { commit: flight.commit, purpose: flight.purpose, ending, said: answer.said };
                let took = Duration::from_secs_f64(seconds);
                self.runs.push(RecordedRun { probe: answer.probe, run, verdict: None, took, remembered: false });
                self.record().await?;
            }
            Ok(RunEnd::Stopped) => stopped.push(answer.probe),
            Err(error) => return self.take_failure(answer.probe, error).await,
        }
        Ok(None)
    }

    async fn record_stopped(&self, stopped: &[ProbeId]) -> Result<(), Unwritten> {
        if stopped.is_empty() {
            return Ok(());
        }
        persist(&self.interrupts, || db::probes::stop_probes(&self.runner.db, self.lease, stopped)).await
    }

    /// Writes the newest run, and the verdicts of earlier ones that it decides.
    async fn record(&mut self) -> Result<(), Unwritten> {
        let runs: Vec<Run> = self.runs.iter().map(|recorded| recorded.run).collect();
        let verdicts = judge(&self.question, &runs);
        let (newest, earlier) = (self.runs.len() - 1, &self.runs);
        let last = &earlier[newest];
        let (db, lease) = (&self.runner.db, self.lease);
        let fingerprint = last.run.said.to_string();
        let ended = Ended { ending: last.run.ending, verdict: verdicts[newest], took: last.took, fingerprint };
        persist(&self.interrupts, || db::probes::record_probe(db, lease, last.probe, &ended)).await?;
        if let Some(memory) = &self.memory {
            memory.remember(db, lease, last).await;
        }
        let decided: Vec<(ProbeId, Verdict)> = earlier[..newest]
            .iter()
            .zip(&verdicts)
            .filter(|(recorded, verdict)| recorded.verdict != **verdict)
            .filter_map(|(recorded, verdict)| Some((recorded.probe, (*verdict)?)))
            .collect();
        if !decided.is_empty() {
            persist(&self.interrupts, || db::probes::set_verdicts(db, lease, &decided)).await?;
        }
        for (recorded, verdict) in self.runs.iter_mut().zip(verdicts) {
            recorded.verdict = verdict;
        }
        Ok(())
    }

    /// A sandbox that failed says nothing about the commit: its lane is given up, and the search
    /// asks for the commit again after a wait.
    async fn take_failure(&mut self, probe: ProbeId, error: SandboxError) -> Result<Option<String>, Unwritten> {
        self.record_stopped(&[probe]).await?;
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

    /// Stops every probe, and leaves what was asked and recorded, and what is to be removed.
    pub(super) fn leave(self) -> (Left, Leftovers) {
        for flight in self.in_flight.values() {
            flight.stop.cancel();
        }
        let left = Left { spec: self.spec, question: self.question, runs: self.runs, notes: self.notes };
        (left, Leftovers { lanes: Some(self.lanes), tasks: self.tasks })
    }
}
