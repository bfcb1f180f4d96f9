//! From a repository and a request to the search's [`Question`].

use super::spec::JobSpec;
use crate::{
    git::{GitError, Repository},
    report::plan::Plan,
    search::{Graph, Question, Step, next},
};
use bisect_shared::Sha;
use std::collections::HashSet;

/// Reads the range once. The same call checks a request before it is accepted.
///
/// # Errors
/// When the range holds nothing to search, with the way out, or when git fails.
pub async fn load(repository: &Repository, spec: &JobSpec) -> Result<Question, GitError> {
    if spec.good.is_empty() {
        return seek(repository, spec).await;
    }
    refuse_equal_ends(spec)?;
    let all = repository.candidates(spec.bad, &spec.good, spec.first_parent, &[]).await?;
    if all.is_empty() {
        return Err(nothing_between(spec));
    }
    let real = parse(&all, spec)?;
    let (graph, real) = if spec.paths.is_empty() {
        (real, None)
    } else {
        let touching = repository.candidates(spec.bad, &spec.good, spec.first_parent, &spec.paths).await?;
        if touching.is_empty() {
            return Err(GitError::Input(format!(
                "no commit between the ends touches {}; check the spelling (paths start at the repository's root)",
                spec.paths.join(" or ")
            )));
        }
        (parse(&touching, spec)?, Some(real))
    };
    let skip = skipped(repository, spec).await?;
    Ok(Question {
        graph,
        real,
        good: spec.good.clone(),
        stations: Vec::new(),
        bad: spec.bad,
        merge_bases: repository.merge_bases(spec.bad, &spec.good).await?,
        skip,
        fixed: spec.fixed,
        first_parent: spec.first_parent,
        sampling: spec.sampling(),
        counts: spec.counts(),
    })
}

/// Where no good end was named: one is looked for first. The range is that after the oldest release.
async fn seek(repository: &Repository, spec: &JobSpec) -> Result<Question, GitError> {
    let stations = repository.stations(spec.bad, spec.first_parent).await?;
    let Some(oldest) = stations.last() else {
        return Err(GitError::Input(format!(
            "nothing is older than {}, so no good end can be looked for; name another bad end",
            spec.bad.short()
        )));
    };
    let all = repository.candidates(spec.bad, &[*oldest], spec.first_parent, &[]).await?;
    Ok(Question {
        graph: parse(&all, spec)?,
        real: None,
        good: Vec::new(),
        stations,
        bad: spec.bad,
        merge_bases: Vec::new(),
        skip: skipped(repository, spec).await?,
        fixed: spec.fixed,
        first_parent: spec.first_parent,
        sampling: spec.sampling(),
        counts: spec.counts(),
    })
}

/// Every commit that is never to be run.
async fn skipped(repository: &Repository, spec: &JobSpec) -> Result<HashSet<Sha>, GitError> {
    let mut skip: HashSet<Sha> = spec.skip.iter().copied().collect();
    for range in &spec.skip_ranges {
        skip.extend(repository.range(range).await?);
    }
    refuse_skipped_ends(spec, &skip)?;
    Ok(skip)
}

/// What a search of this question is about to do, with so many runs at once.
#[must_use]
pub fn plan(question: &Question, lanes: usize) -> Plan {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let runs = match next(question, &[], &[], lanes) {
        Step::Go { progress, .. } => progress.expected_probes,
        Step::Found(_) | Step::Done(_) => 0.0,
    };
    Plan {
        candidates: count(question.graph.len()),
        runs,
        lanes: count(lanes),
        stations: question.good.is_empty().then(|| count(question.stations.len())),
    }
}

fn parse(listed: &str, spec: &JobSpec) -> Result<Graph, GitError> {
    Graph::parse(listed.as_bytes(), spec.bad, spec.first_parent)
        .map_err(|error| GitError::Failed { command: "rev-list".into(), reason: error.to_string() })
}

fn refuse_equal_ends(spec: &JobSpec) -> Result<(), GitError> {
    if spec.good.contains(&spec.bad) {
        return Err(GitError::Input(format!(
            "both ends are the same commit, {}; name an older one that passes and a newer one that fails",
            spec.bad
        )));
    }
    Ok(())
}

/// A request from GitHub was accepted without a repository to expand its ranges.
fn refuse_skipped_ends(spec: &JobSpec, skip: &HashSet<Sha>) -> Result<(), GitError> {
    match std::iter::once(&spec.bad).chain(&spec.good).find(|end| skip.contains(end)) {
        None => Ok(()),
        Some(end) => Err(GitError::Input(format!(
            "what is to be skipped covers {}, one of the two ends, which has to be tested to know that there is \
             something to find; skip less, or name another end",
            end.short()
        ))),
    }
}

fn nothing_between(spec: &JobSpec) -> GitError {
    let good = spec.good.iter().map(|sha| sha.short()).collect::<Vec<_>>().join(", ");
    GitError::Input(format!(
        "there is nothing between {good} and {}: the second end is an ancestor of the first; \
         give the older, passing end first (to find a fix, use --fixed)",
        spec.bad.short()
    ))
}
