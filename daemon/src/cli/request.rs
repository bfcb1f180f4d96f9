//! From the arguments of `bisectd bisect` to a checked [`JobSpec`]. Nothing is created unless the
//! source is an address, which has to be fetched to be asked.

use super::{Refusal, args::BisectArgs, steps::Steps};
use crate::{
    config::Config,
    git::{Git, GitError, Repository, check_address, is_url, without_password},
    report::text,
    runner::{mirror::Mirrors, question, spec::JobSpec},
};
use bisect_shared::Sha;
use std::{path::Path, time::Duration};

/// How many lanes a search has where nobody says how many.
const DEFAULT_LANES: u32 = 3;

/// Resolves every name and checks that there is something to search.
pub(super) async fn understand(args: &BisectArgs, config: &Config, steps: Steps) -> Result<JobSpec, Refusal> {
    if args.command.first().is_none_or(String::is_empty) || args.command.iter().any(|word| word.contains('\0')) {
        return Err(Refusal::usage("the command is empty; give it after `--`, for example: -- pytest tests/test_x.py"));
    }
    let (source, repository) = open(&args.repo, config, steps).await?;
    repository.refuse_incomplete().await.map_err(Refusal::usage)?;
    let mut good = vec![repository.resolve(&args.good).await.map_err(Refusal::usage)?];
    for name in &args.more_good {
        let sha = repository.resolve(name).await.map_err(Refusal::usage)?;
        if !good.contains(&sha) {
            good.push(sha);
        }
    }
    let bad = repository.resolve(&args.bad).await.map_err(Refusal::usage)?;
    let job_timeout = args.job_timeout.unwrap_or(config.job_timeout);
    let spec = JobSpec {
        source,
        bad,
        command: args.command.clone(),
        setup: args.setup.clone(),
        image: args.image.clone().unwrap_or_else(|| config.runner_image.clone()),
        env: args.env.clone(),
        network: args.network.unwrap_or(config.network).to_string(),
        sandbox: args.sandbox,
        timeout: args.timeout.as_ref().map(Duration::as_secs_f64),
        silence: args.silence.as_ref().map(Duration::as_secs_f64),
        job_timeout: job_timeout.as_secs_f64(),
        lanes: lanes(args, config),
        first_parent: args.first_parent,
        fixed: args.fixed,
        paths: args.paths.clone(),
        skip: skipped(args, &good, bad, &repository).await?,
        good,
        skip_ranges: Vec::new(),
        runs: args.runs,
        confidence: args.confidence,
        same_failure: args.same_failure,
        failure_line: args.failure_line.clone(),
        no_cache: args.no_cache,
        trust_cache: args.trust_cache,
    };
    // Loaded again by whoever runs the job; here it is asked whether there is anything to search.
    let loading = question::load(&repository, &spec);
    steps.tell("reading the range", loading).await.map_err(Refusal::usage)?;
    Ok(spec)
}

fn lanes(args: &BisectArgs, config: &Config) -> usize {
    let wanted = args.jobs.map_or(DEFAULT_LANES.min(config.max_concurrent_probes), u32::from);
    wanted as usize
}

async fn open(named: &str, config: &Config, steps: Steps) -> Result<(String, Repository), Refusal> {
    if !is_url(named) {
        let repository = Repository::discover(Git::reader(), Path::new(named)).await.map_err(Refusal::usage)?;
        let source = repository.git_dir().to_str().map(str::to_owned);
        let source = source.ok_or_else(|| Refusal::usage(format!("{named}: the path is not valid UTF-8")))?;
        return Ok((source, repository));
    }
    check_address(named).map_err(Refusal::usage)?;
    let mirrors = Mirrors::open(&config.data_dir).map_err(|error| unwritable(&config.data_dir, &error))?;
    let fetching = async {
        let mirror = mirrors.mirror(named).await?;
        mirror.fetch().await?;
        mirror.follow_head().await?;
        Ok::<_, GitError>(mirror)
    };
    let what = format!("reading {} into its mirror", text::line(&without_password(named)));
    let mirror = steps.tell(&what, fetching).await.map_err(Refusal::usage)?;
    Ok((named.to_owned(), mirror.repository()))
}

/// What is never to be tested. An end is tested, to see that the range is what it is said to be, so
/// it cannot be among it. Git, which takes its ends untested, ignores the skip of a good end, and
/// can never name a bad end that is skipped.
async fn skipped(args: &BisectArgs, good: &[Sha], bad: Sha, repository: &Repository) -> Result<Vec<Sha>, Refusal> {
    let mut skip = Vec::new();
    for range in &args.skip {
        let listed = repository.range(range).await.map_err(Refusal::usage)?;
        let end = std::iter::once(&bad).chain(good).find(|end| listed.contains(end));
        if let Some(end) = end {
            return Err(contradiction(range, *end, *end == bad));
        }
        skip.extend(listed);
    }
    skip.sort_unstable();
    skip.dedup();
    Ok(skip)
}

fn contradiction(range: &str, end: Sha, is_newer: bool) -> Refusal {
    let (which, short) = (if is_newer { "newer" } else { "older" }, end.short());
    let way_out = match (range.split_once(".."), is_newer) {
        (None, _) => "name an end that can be tested".to_owned(),
        (Some((from, _)), true) => format!("leave it out (--skip {from}..{short}^), or name a newer end"),
        (Some((_, to)), false) => format!("begin after it (--skip {short}..{to}), or name an older end"),
    };
    Refusal::usage(format!(
        "--skip {range} covers the {which} end {short}, which has to be tested to know that there is something to \
         find; {way_out}"
    ))
}

/// What is said of a `DATA_DIR` that cannot be used.
pub(super) fn unwritable(data_dir: &Path, error: &std::io::Error) -> Refusal {
    Refusal::usage(format!(
        "DATA_DIR {} cannot be written: {error}; create it for this user, or set DATA_DIR to another folder",
        data_dir.display()
    ))
}
