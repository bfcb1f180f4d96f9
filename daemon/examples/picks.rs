//! Measures the search alone on a real repository: reading the graph, every step until the culprit, memory.
//!
//! `cargo run --release --example picks -- REPOSITORY GOOD BAD LANES…` prints one JSON object. Called by `make bench`.

use anyhow::{Context, bail};
use bisect_shared::{Ending, Sha};
use bisectd::search::{Conclusion, Graph, InFlight, Question, Run, Step, next};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    io::BufReader,
    process::{Command, Stdio},
    time::Instant,
};

/// Where culprits are planted, as parts of the list of candidates.
const PLACES: [f64; 5] = [0.03, 0.29, 0.5, 0.71, 0.97];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [repository, good, bad, lanes @ ..] = &args[..] else {
        bail!("usage: picks REPOSITORY GOOD BAD LANES…");
    };
    let (good, bad) = (resolve(repository, good)?, resolve(repository, bad)?);
    let started = Instant::now();
    let graph = load(repository, good, bad)?;
    let load = started.elapsed().as_secs_f64();
    let question = Question::new(graph, good, bad);
    let mut rows = Vec::new();
    for lanes in lanes {
        rows.push(measure(&question, lanes.parse().context("LANES must be numbers")?)?);
    }
    let merges = question.graph.commits().iter().filter(|commit| question.graph.parents(commit).count() > 1).count();
    let peak = peak_memory()?;
    println!(
        "{}",
        json!({ "candidates": question.graph.len(), "merges": merges, "load_seconds": load, "lanes": rows, "peak_bytes": peak })
    );
    Ok(())
}

fn resolve(repository: &str, name: &str) -> anyhow::Result<Sha> {
    let commit = format!("{name}^{{commit}}");
    let found =
        Command::new("git").args(["-C", repository, "rev-parse", "--verify", "--end-of-options", &commit]).output()?;
    let text = String::from_utf8(found.stdout)?;
    text.trim().parse().with_context(|| format!("{name} is no commit of {repository}"))
}

/// As the runner reads it, git's own time included.
fn load(repository: &str, good: Sha, bad: Sha) -> anyhow::Result<Graph> {
    let range = [bad.to_string(), format!("^{good}")];
    let mut git = Command::new("git")
        .args(["-C", repository, "rev-list", "--topo-order", "--parents"])
        .args(range)
        .stdout(Stdio::piped())
        .spawn()?;
    let list = git.stdout.take().context("git has no output")?;
    let graph = Graph::parse(BufReader::new(list), bad, false)?;
    git.wait()?;
    Ok(graph)
}

/// Times every step of a bisection for each of the planted culprits.
fn measure(question: &Question, lanes: usize) -> anyhow::Result<Value> {
    let commits = question.graph.commits();
    let (mut steps, mut probes) = (Vec::new(), Vec::new());
    for place in PLACES {
        let culprit = commits[(place * commits.len() as f64) as usize];
        let failing = descendants(&question.graph, culprit);
        let (found, runs) = bisect(question, lanes, &failing, &mut steps)?;
        if found != culprit {
            bail!("{lanes} lanes found {found} instead of {culprit}");
        }
        probes.push(runs);
    }
    steps.sort_by(f64::total_cmp);
    Ok(json!({
        "lanes": lanes,
        "probes": probes,
        "steps": steps.len(),
        "step_median_seconds": steps[steps.len() / 2],
        "step_max_seconds": steps.last(),
    }))
}

fn descendants(graph: &Graph, culprit: Sha) -> HashSet<Sha> {
    let mut failing = HashSet::from([culprit]);
    for commit in graph.commits().iter().rev() {
        if graph.parents(commit).any(|parent| failing.contains(&parent)) {
            failing.insert(*commit);
        }
    }
    failing
}

/// All probes of a round answer together; each step's time in seconds goes to `steps`.
fn bisect(
    question: &Question,
    lanes: usize,
    failing: &HashSet<Sha>,
    steps: &mut Vec<f64>,
) -> anyhow::Result<(Sha, usize)> {
    let mut runs: Vec<Run> = Vec::new();
    loop {
        let began = Instant::now();
        let step = next(question, &runs, &[], lanes);
        steps.push(began.elapsed().as_secs_f64());
        match step {
            Step::Go { start, .. } if !start.is_empty() => {
                runs.extend(start.iter().map(|probe| answer(*probe, failing)))
            }
            Step::Done(Conclusion::Culprit { culprit, .. }) => return Ok((culprit, runs.len())),
            other => bail!("no culprit: {other:?}"),
        }
    }
}

fn answer(InFlight { commit, purpose }: InFlight, failing: &HashSet<Sha>) -> Run {
    let ending = Ending::Exited(u8::from(failing.contains(&commit)));
    Run::new(commit, purpose, ending)
}

/// The most memory that this process ever held: the graph, the search, and the planted culprits' descendants.
fn peak_memory() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
