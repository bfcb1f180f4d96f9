//! What earlier jobs of the same repository found out about commits, under exactly the same circumstances: recalled in the
//! place of runs, and added to.
//!
//! Only how a command in a container exited by itself is remembered, 0 to 127: what a limit ended may end otherwise on a busier
//! machine, and a setup that failed may have failed for the network. A plain process runs under circumstances that nobody
//! knows. Ends and proofs are run anew, unless the job trusts its memory; and as soon as anything contradicts what was
//! remembered, nothing of it counts.

use super::{
    Runner,
    finding::RecordedRun,
    spec::{JobSpec, SandboxKind},
};
use crate::{
    db::{
        self, DbError,
        jobs::JobRow,
        probes::{Ended, NewProbe},
        verdicts::{Place, Remembered},
    },
    queue::Lease,
    sandbox::ProbeSpec,
    search::{InFlight, Question, Run, recall},
};
use bisect_shared::{Ending, Purpose, Sha, Verdict};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, time::Duration};

/// Raised with what a run does around the command: what was remembered before says nothing then.
const EDITION: u32 = 1;

/// What one job may recall, and where it remembers.
pub(super) struct Memory {
    place: Place,
    known: HashMap<Sha, (Run, Duration)>,
    /// `--trust-cache`: ends and proofs, too.
    trusted: bool,
}

impl Memory {
    /// `None` for a job that has none: of a plain process, of an image that nobody can tell from another one, or of a test that
    /// fails by chance.
    pub(super) async fn open(
        runner: &Runner,
        job: &JobRow,
        spec: &JobSpec,
        probe: &ProbeSpec,
    ) -> Result<Option<Self>, DbError> {
        let Some(image) = probe.image_id.as_deref() else { return Ok(None) };
        if spec.sandbox != SandboxKind::Docker || spec.sampling().asked {
            return Ok(None);
        }
        let place = Place {
            scope: scope(job, spec),
            circumstances: circumstances(spec, probe, image),
            installation: job.installation,
            repository: job.repository,
        };
        let mut known = HashMap::new();
        if !spec.no_cache {
            let mut tx = runner.db.begin().await?;
            for row in db::verdicts::all(&mut tx, &place).await? {
                let said = row.fingerprint.parse().unwrap_or_default();
                let run = Run { commit: row.commit, purpose: Purpose::Search, ending: row.ending, said };
                known.insert(row.commit, (run, row.took));
            }
            tx.rollback().await?;
        }
        Ok(Some(Self { place, known, trusted: spec.trust_cache }))
    }

    /// What it says instead of these runs, and what else tells candidates apart.
    pub(super) fn answers(&self, question: &Question, runs: &[Run], start: &[InFlight]) -> Vec<Run> {
        if self.known.is_empty() {
            return Vec::new();
        }
        let searched = self.known.iter().map(|(commit, (run, _))| (*commit, *run)).collect();
        let found = recall(question, runs, &searched);
        if !found.is_empty() {
            return found;
        }
        start.iter().filter_map(|run| self.answer(question, *run)).collect()
    }

    fn answer(&self, question: &Question, InFlight { commit, purpose }: InFlight) -> Option<Run> {
        let is_end = commit == question.bad || question.good.contains(&commit);
        let may = match purpose {
            Purpose::Search => self.trusted || !is_end,
            Purpose::Proof => self.trusted,
            Purpose::Sample => false,
        };
        let (run, _) = self.known.get(&commit).filter(|_| may)?;
        Some(Run { purpose, ..*run })
    }

    /// The row of an answer, and how it ended then.
    pub(super) fn row(&self, question: &Question, run: &Run, verdict: Option<Verdict>) -> (NewProbe, Ended) {
        let took = self.known.get(&run.commit).map_or(Duration::ZERO, |(_, took)| *took);
        let position = question.position(&run.commit);
        let probe = NewProbe { commit: run.commit, purpose: run.purpose, lane: 0, position };
        (probe, Ended { ending: run.ending, verdict, took, fingerprint: run.said.to_string() })
    }

    /// Remembers how a run ended. What cannot be written is forgotten: nobody's answer depends on it.
    pub(super) async fn remember(&self, db: &db::Database, lease: &Lease, run: &RecordedRun) {
        let Some(verdict) = lasting(run.run.ending) else { return };
        let row = Remembered {
            commit: run.run.commit,
            ending: run.run.ending,
            took: run.took,
            fingerprint: run.run.said.to_string(),
        };
        let written = db::verdicts::remember(db, lease, &self.place, &row, verdict, run.probe);
        told("a verdict was not remembered", written).await;
    }

    /// Notes which answers were of use.
    pub(super) async fn used(&self, db: &db::Database, commits: &[Sha]) {
        let written = async {
            let mut tx = db.begin().await?;
            db::verdicts::touch(&mut tx, &self.place, commits).await?;
            tx.commit().await
        };
        told("which verdicts were of use was not noted", written).await;
    }

    /// Nothing of it can be right for every commit: the test does not depend on the commit alone.
    pub(super) async fn forget(self, db: &db::Database, lease: &Lease) {
        told("verdicts were not forgotten", db::verdicts::forget(db, lease, &self.place)).await;
    }
}

/// The longest that is waited for a write on which nothing depends.
const WAIT: Duration = Duration::from_secs(2);

async fn told(what: &str, written: impl Future<Output = Result<(), DbError>>) {
    match tokio::time::timeout(WAIT, written).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error = %error, "{what}"),
        Err(_) => tracing::warn!("{what}: the database takes too long"),
    }
}

/// What an ending says that would be the same next time; it is the test's word, whichever failures count in a job.
const fn lasting(ending: Ending) -> Option<Verdict> {
    match ending {
        Ending::Exited(0) => Some(Verdict::Good),
        Ending::Exited(125) => Some(Verdict::Skip),
        Ending::Exited(1..=127) => Some(Verdict::Bad),
        _ => None,
    }
}

fn scope(job: &JobRow, spec: &JobSpec) -> String {
    match (job.installation, job.repository) {
        (Some(installation), Some(repository)) => format!("installation {installation} repository {repository}"),
        _ => format!("local {} {}", job.affinity.as_deref().unwrap_or_default(), spec.source),
    }
}

fn circumstances(spec: &JobSpec, probe: &ProbeSpec, image: &str) -> [u8; 32] {
    let text = json!([
        EDITION,
        std::env::consts::ARCH,
        image,
        spec.command,
        spec.setup,
        spec.env,
        spec.network,
        probe.timeout.as_secs_f64(),
        probe.silence.map(|silence| silence.as_secs_f64()),
        format!("{:?}", probe.limits),
        // It decides what is kept of the output.
        spec.failure_line,
    ]);
    Sha256::digest(text.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Limits;
    use bisect_shared::{Epoch, InstanceId, JobId};

    fn spec() -> JobSpec {
        super::super::spec::tests::spec(SandboxKind::Docker)
    }

    fn key(spec: &JobSpec, change: impl FnOnce(&mut ProbeSpec)) -> [u8; 32] {
        let who = (JobId(1), Epoch(1), InstanceId("one".into()));
        let mut probe = spec.probe_spec(who, "/m".into(), Duration::ZERO);
        change(&mut probe);
        circumstances(spec, &probe, "sha256:1")
    }

    #[test]
    fn whatever_may_change_how_a_run_ends_is_part_of_the_circumstances() {
        let plain = key(&spec(), |_| ());
        assert_eq!(
            plain,
            key(&JobSpec { lanes: 7, fixed: true, good: Vec::new(), ..spec() }, |_| ()),
            "what is searched is not"
        );
        let others = [
            JobSpec { command: vec!["other".into()], ..spec() },
            JobSpec { setup: Some("make".into()), ..spec() },
            JobSpec { env: vec![("A".into(), "1".into())], ..spec() },
            JobSpec { network: "none".into(), ..spec() },
            JobSpec { timeout: Some(7.0), ..spec() },
            JobSpec { silence: Some(7.0), ..spec() },
            JobSpec { failure_line: Some("x".into()), ..spec() },
        ];
        for other in &others {
            assert_ne!(key(other, |_| ()), plain, "{other:?}");
        }
        assert_ne!(key(&spec(), |probe| probe.limits = Limits { pids: 5, ..Limits::default() }), plain);
    }

    #[test]
    fn only_what_would_end_likewise_is_remembered() {
        assert_eq!(lasting(Ending::Exited(0)), Some(Verdict::Good));
        assert_eq!(lasting(Ending::Exited(125)), Some(Verdict::Skip));
        assert_eq!(lasting(Ending::Exited(2)), Some(Verdict::Bad));
        for ending in
            [Ending::Exited(137), Ending::TimedOut, Ending::OutOfMemory, Ending::SetupFailed(1), Ending::Tampered]
        {
            assert_eq!(lasting(ending), None, "{ending}");
        }
    }
}
