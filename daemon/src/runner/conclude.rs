//! From what a search came to, to the [`Report`] that is stored and shown.

use super::{
    End,
    finding::{Finding, RecordedRun},
    interrupt::Interrupted,
    spec::JobSpec,
    words::{Words, rate},
};
use crate::{
    db::{self, jobs::JobRow},
    git::{CommitInfo, GitError, Repository},
    report::{self, Commit, Failure, Likely, Odds, ProbeLine, ProofLine, Report, replay, text},
    search::{Belief, Conclusion, OneMore, Question, Run, otherwise},
};
use bisect_shared::{Ending, Purpose, ResultKind, Sha, Verdict};
use std::collections::{HashMap, HashSet};

/// Suspects that are described in full; the others are only named.
const SUSPECTS_SHOWN: usize = 10;
/// Commits that a note names.
const COMMITS_NAMED: usize = 5;

/// What a report is made from.
pub(super) struct Told<'a> {
    pub(super) spec: &'a JobSpec,
    pub(super) question: &'a Question,
    pub(super) repository: &'a Repository,
    pub(super) runs: &'a [RecordedRun],
    /// What came up before the search.
    pub(super) notes: &'a [String],
    pub(super) job: &'a JobRow,
    pub(super) cancelled_by: Option<&'a str>,
}

impl Told<'_> {
    /// The report of `finding`. Git's trouble costs details, never the result.
    pub(super) async fn report(&self, db: &db::Database, finding: &Finding) -> Result<Report, db::DbError> {
        let words = self.words(finding);
        let culprit = (words.result == ResultKind::Culprit).then(|| words.commits.first().copied()).flatten();
        let belief = belief(finding);
        let subjects = self.subjects(belief).await;
        let probes = self.probe_lines(&subjects, belief.map(|_| culprit));
        let differing = self.fails_otherwise(&probes, culprit);
        let in_log = |line: &&ProbeLine| belief.is_none() || culprit.is_some() || line.verdict == Some(Verdict::Skip);
        let verdicts: Vec<(Sha, Verdict, String)> = probes
            .iter()
            .filter(in_log)
            .filter_map(|line| Some((line.commit, line.verdict?, line.subject.clone())))
            .collect();
        let newest_first = self.question.real.as_ref().unwrap_or(&self.question.graph).commits();
        let verdicts = replay::in_order(verdicts, self.spec.fixed, newest_first, words.commits.first().copied());
        let commits = self.commits(&words.commits).await;
        let request = self.spec.request();
        let named = culprit.map(|sha| (sha, commits.first().map_or_else(String::new, |commit| commit.subject.clone())));
        Ok(Report {
            result: words.result,
            culprit,
            suspects: if culprit.is_some() { Vec::new() } else { words.commits },
            confidence: words.confidence,
            candidates: self.question.graph.len(),
            seconds: self.seconds(db).await?,
            replay: replay::render(&request, &verdicts, named.as_ref()),
            probes,
            request,
            explanation: words.explanation,
            advice: words.advice,
            commits,
            proof: self.proof(finding),
            failure: self.failure(db, words.failing).await?,
            notes: [
                self.notes,
                self.good_end().await.as_slice(),
                &words.notes,
                tampered(self.runs).as_slice(),
                &differing,
                self.recalled().as_slice(),
            ]
            .concat(),
            odds: belief.map(|belief| self.odds(belief, &subjects)),
        })
    }

    fn odds(&self, belief: &Belief, subjects: &HashMap<Sha, String>) -> Odds {
        let subject = |commit: &Sha| subjects.get(commit).cloned().unwrap_or_default();
        let likely = belief.likely.iter();
        let one_more = belief.one_more.map(|OneMore { commit, if_newer, if_older }| match self.spec.fixed {
            true => report::OneMore { commit, if_fails: if_older, if_passes: if_newer },
            false => report::OneMore { commit, if_fails: if_newer, if_passes: if_older },
        });
        Odds {
            likely: likely
                .map(|(commit, probability)| Likely {
                    commit: *commit,
                    probability: *probability,
                    subject: subject(commit),
                })
                .collect(),
            none: belief.none,
            before: rate(belief.before, self.spec),
            after: rate(belief.after, self.spec),
            range: belief.range.clone(),
            one_more,
        }
    }

    async fn seconds(&self, db: &db::Database) -> Result<f64, db::DbError> {
        let mut tx = db.begin().await?;
        let seconds = db::jobs::seconds_since_start(&mut tx, self.job.id).await?;
        tx.commit().await?;
        Ok(seconds)
    }

    fn words(&self, finding: &Finding) -> Words {
        match finding {
            Finding::Concluded(conclusion) => Words::concluded(conclusion, self.spec),
            Finding::Interrupted(Interrupted::TimedOut) => Words::timed_out(self.spec.job_timeout),
            Finding::Infrastructure(reason) => Words::infrastructure(reason),
            Finding::Interrupted(Interrupted::Cancelled) => Words::cancelled(self.cancelled_by),
            Finding::Interrupted(Interrupted::LeaseLost | Interrupted::Stopping) => {
                Words::infrastructure("the job was given back")
            }
        }
    }

    /// A line for each commit. Where the test fails by chance (`sampled`: with the culprit, if there is one), the verdict is
    /// the side of the culprit on which the commit is, else whether it ever failed.
    fn probe_lines(&self, subjects: &HashMap<Sha, String>, sampled: Option<Option<Sha>>) -> Vec<ProbeLine> {
        let mut lines: Vec<ProbeLine> = Vec::new();
        let runs: Vec<Run> = self.runs.iter().map(|recorded| recorded.run).collect();
        for (recorded, otherwise) in self.runs.iter().zip(otherwise(self.question, &runs)) {
            let commit = recorded.run.commit;
            let failed = u32::from(recorded.verdict == Some(Verdict::Bad));
            if let Some(line) = lines.iter_mut().find(|line| line.commit == commit) {
                line.runs += 1;
                line.cached &= recorded.remembered;
                line.otherwise |= otherwise;
                line.failures += failed;
                line.seconds += recorded.took.as_secs_f64();
                continue;
            }
            lines.push(ProbeLine {
                commit,
                verdict: recorded.verdict,
                runs: 1,
                failures: failed,
                ending: recorded.run.ending,
                seconds: recorded.took.as_secs_f64(),
                cached: recorded.remembered,
                otherwise,
                subject: subjects.get(&commit).cloned().unwrap_or_default(),
            });
        }
        if let Some(culprit) = sampled {
            let newer: Option<HashSet<Sha>> = culprit.map(|culprit| self.question.graph.built_on(&culprit).collect());
            for line in lines.iter_mut().filter(|line| line.verdict.is_some_and(|verdict| verdict != Verdict::Skip)) {
                let bad =
                    newer.as_ref().map_or(line.failures > 0, |newer| newer.contains(&line.commit) != self.spec.fixed);
                line.verdict = Some(if bad { Verdict::Bad } else { Verdict::Good });
            }
        }
        lines
    }

    /// Where the good end came from, if nobody named it.
    async fn good_end(&self) -> Option<String> {
        let good = self.spec.good.first().filter(|_| self.spec.auto)?;
        let tags = self.repository.tags_of(*good).await.unwrap_or_default();
        let name = tags.first().map_or_else(|| good.short(), |tag| format!("{} ({})", text::line(tag), good.short()));
        let passes = if self.spec.fixed { "fails" } else { "passes" };
        Some(format!(
            "the good end {name} was found by stepping back from {} until one {passes}",
            self.spec.bad.short()
        ))
    }

    /// How much of it other jobs had found out.
    fn recalled(&self) -> Option<String> {
        let count = self.runs.iter().filter(|run| run.remembered).count();
        let answers = if count == 1 { "answer was" } else { "answers were" };
        let ends = if self.spec.trust_cache { "" } else { "; the ends and the proof were run anew" };
        (count > 0)
            .then(|| format!("{count} {answers} remembered from earlier bisections{ends} (--no-cache runs everything)"))
    }

    /// What is to be told of commits that fail quite otherwise than the end that fails.
    fn fails_otherwise(&self, probes: &[ProbeLine], culprit: Option<Sha>) -> Vec<String> {
        let fails = if self.spec.fixed { self.spec.good.first() } else { Some(&self.spec.bad) };
        let Some(end) = fails else { return Vec::new() };
        let of = |verdict| probes.iter().filter(move |line| line.otherwise && line.verdict == Some(verdict));
        let named = |lines: Vec<&ProbeLine>| {
            let names: Vec<String> = lines
                .iter()
                .take(COMMITS_NAMED)
                .map(|line| format!("{} ({})", line.commit.short(), line.ending))
                .collect();
            let more = lines.len().saturating_sub(COMMITS_NAMED);
            if more > 0 { format!("{}, {more} more", names.join(", ")) } else { names.join(", ") }
        };
        let (counted, skipped): (Vec<_>, Vec<_>) = (of(Verdict::Bad).collect(), of(Verdict::Skip).collect());
        let mut notes = Vec::new();
        if !skipped.is_empty() {
            notes.push(format!("skipped, for they do not fail as {} does: {}", end.short(), named(skipped)));
        }
        if counted.iter().any(|line| Some(line.commit) == culprit) {
            notes.push(format!(
                "the culprit fails otherwise than {} does, so that failure may come from a later commit: --same-failure looks for it alone",
                end.short()
            ));
        } else if !counted.is_empty() {
            notes.push(format!(
                "they fail otherwise than {} does, and were taken for bad: {}; --same-failure skips them",
                end.short(),
                named(counted)
            ));
        }
        notes
    }

    /// The runs that prove the culprit. With several lanes other commits may have been run for a
    /// proof as well, while they looked like the culprit.
    fn proof(&self, finding: &Finding) -> Vec<ProofLine> {
        let Finding::Concluded(Conclusion::Culprit { culprit, parents, .. }) = finding else { return Vec::new() };
        let culprit = *culprit;
        let of_it = |commit: Sha| commit == culprit || parents.iter().any(|parent| parent.commit == commit);
        let proofs =
            self.runs.iter().filter(|recorded| recorded.run.purpose == Purpose::Proof && of_it(recorded.run.commit));
        let mut lines: Vec<ProofLine> = proofs
            .map(|recorded| ProofLine {
                commit: recorded.run.commit,
                is_culprit: recorded.run.commit == culprit,
                ending: Some(recorded.run.ending),
                verdict: recorded.verdict,
            })
            .collect();
        lines.sort_by_key(|line| !line.is_culprit);
        lines
    }

    /// The output of the newest failing run of `commit`, or of the bad end's; of the newest one, where none failed.
    async fn failure(&self, db: &db::Database, commit: Option<Sha>) -> Result<Option<Failure>, db::DbError> {
        let shown = [commit.unwrap_or(self.spec.bad), self.spec.bad];
        let newest = |commit: Sha| self.runs.iter().rev().filter(move |recorded| recorded.run.commit == commit);
        // A test that fails by chance passes now and then, also where it is told to fail.
        let of = |commit: Sha| {
            newest(commit).find(|recorded| recorded.run.ending != Ending::Exited(0)).or_else(|| newest(commit).next())
        };
        let Some(recorded) = shown.into_iter().find_map(of) else { return Ok(None) };
        let mut tx = db.begin().await?;
        let output = db::log_chunks::tail(&mut tx, recorded.probe, text::TAIL_BYTES).await?;
        tx.commit().await?;
        Ok(Some(Failure { commit: recorded.run.commit, ending: recorded.run.ending, tail: text::tail(&output) }))
    }

    async fn subjects(&self, belief: Option<&Belief>) -> HashMap<Sha, String> {
        let mut commits: Vec<Sha> = self.runs.iter().map(|recorded| recorded.run.commit).collect();
        commits.extend(self.spec.pinned());
        commits.extend(belief.into_iter().flat_map(|belief| &belief.likely).map(|(commit, _)| *commit));
        commits.sort_unstable();
        commits.dedup();
        logged(self.repository.subjects(&commits).await).unwrap_or_default()
    }

    async fn commits(&self, shas: &[Sha]) -> Vec<Commit> {
        let mut commits = Vec::new();
        for sha in shas.iter().take(SUSPECTS_SHOWN) {
            commits.extend(logged(self.repository.commit_info(*sha).await).map(Commit::from));
        }
        commits
    }
}

/// What is believed at the end of a search by many runs.
fn belief(finding: &Finding) -> Option<&Belief> {
    let Finding::Concluded(conclusion) = finding else { return None };
    match conclusion {
        Conclusion::Culprit { belief, .. } | Conclusion::Suspects { belief, .. } => belief.as_deref(),
        Conclusion::NoCulprit { belief, .. } => Some(belief),
        _ => None,
    }
}

/// Names the commits that were skipped for what the command did on them.
fn tampered(runs: &[RecordedRun]) -> Option<String> {
    let tampered = runs.iter().filter(|recorded| recorded.run.ending == Ending::Tampered);
    let mut commits: Vec<String> = tampered.map(|recorded| recorded.run.commit.short()).collect();
    commits.sort_unstable();
    commits.dedup();
    let more = commits.len().saturating_sub(SUSPECTS_SHOWN);
    commits.truncate(SUSPECTS_SHOWN);
    if more > 0 {
        commits.push(format!("{more} more"));
    }
    let named = commits.join(", ");
    (!commits.is_empty())
        .then(|| format!("skipped, for the command interfered with its own supervision there: {named}"))
}

/// What git knew; its trouble is logged.
fn logged<T>(answer: Result<T, GitError>) -> Option<T> {
    answer.inspect_err(|error| tracing::warn!(error = %error, "details of a commit are left out of a report")).ok()
}

impl From<CommitInfo> for Commit {
    fn from(info: CommitInfo) -> Self {
        Self {
            sha: info.sha,
            author: format!("{} <{}>", info.author, info.email),
            date: info.date,
            subject: info.subject,
            files: info.files,
        }
    }
}

/// The end of a job that failed before its search could start.
pub(super) fn failed_early(spec: &JobSpec, reason: &str) -> End {
    End::Report(Box::new(bare(spec, Words::infrastructure(reason))))
}

/// The end of a job that was interrupted before its search could start.
pub(super) fn interrupted_early(spec: &JobSpec, interrupted: Interrupted, by: Option<&str>) -> End {
    let words = match interrupted {
        Interrupted::LeaseLost => return End::LeaseLost,
        Interrupted::Stopping => return End::Stopping,
        Interrupted::Cancelled => Words::cancelled(by),
        Interrupted::TimedOut => Words::timed_out(spec.job_timeout),
    };
    End::Report(Box::new(bare(spec, words)))
}

/// A report without a search.
fn bare(spec: &JobSpec, words: Words) -> Report {
    Report {
        result: words.result,
        culprit: None,
        suspects: Vec::new(),
        confidence: words.confidence,
        probes: Vec::new(),
        candidates: 0,
        seconds: 0.0,
        replay: String::new(),
        request: spec.request(),
        explanation: words.explanation,
        advice: words.advice,
        commits: Vec::new(),
        proof: Vec::new(),
        failure: None,
        notes: words.notes,
        odds: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bisect_shared::ProbeId;
    use std::time::Duration;

    #[test]
    fn commits_that_were_skipped_for_tampering_are_named_once_and_not_without_end() {
        let recorded = |number: u8, ending| {
            let run = Run::new(Sha::from_bytes([number; 20]), Purpose::Search, ending);
            RecordedRun {
                probe: ProbeId(1),
                run,
                verdict: Some(Verdict::Skip),
                took: Duration::ZERO,
                remembered: false,
            }
        };
        assert_eq!(tampered(&[recorded(1, Ending::SetupFailed(125))]), None);
        let twice =
            [recorded(0x22, Ending::Tampered), recorded(1, Ending::Exited(1)), recorded(0x22, Ending::Tampered)];
        let note = "skipped, for the command interfered with its own supervision there: 222222222222";
        assert_eq!(tampered(&twice).as_deref(), Some(note));
        let many: Vec<_> = (0..15).map(|number| recorded(number, Ending::Tampered)).collect();
        assert!(tampered(&many).is_some_and(|note| note.ends_with("090909090909, 5 more")));
    }
}
