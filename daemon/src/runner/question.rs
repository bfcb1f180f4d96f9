//! From a repository and a request to the search's [`Question`].

use super::spec::JobSpec;
use crate::{
    git::{GitError, Repository},
    search::{Graph, Question},
};
use bisect_shared::Sha;
use std::collections::HashSet;

/// Reads the range once. The same call checks a request before it is accepted.
///
/// # Errors
/// When the range holds nothing to search, with the way out, or when git fails.
pub async fn load(repository: &Repository, spec: &JobSpec) -> Result<Question, GitError> {
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
    let mut skip: HashSet<Sha> = spec.skip.iter().copied().collect();
    for range in &spec.skip_ranges {
        skip.extend(repository.range(range).await?);
    }
    refuse_skipped_ends(spec, &skip)?;
    Ok(Question {
        graph,
        real,
        good: spec.good.clone(),
        bad: spec.bad,
        merge_bases: repository.merge_bases(spec.bad, &spec.good).await?,
        skip,
        fixed: spec.fixed,
        first_parent: spec.first_parent,
        sampling: spec.sampling(),
        counts: spec.counts(),
    })
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
