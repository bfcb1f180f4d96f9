//! The search on a big generated history, against git on the same one: 100,000 candidates with 20,000
//! merges. Prints one JSON object; `cargo bench --bench picks`, with `-- --no-git` without git's own
//! counting, which takes a while.
//!
//! `picks` are whole calls of `next` over a bisection in which the search takes the longest way.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

use bisect_shared::{Ending, Purpose, Sha, Verdict};
use bisectd::search::{Graph, InFlight, Question, Run, Step, judge, next};
use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const COMMITS: usize = 100_000;
const MERGES: usize = 20_000;

fn main() {
    let with_git = !std::env::args().any(|argument| argument == "--no-git");
    let folder = tempfile::tempdir().unwrap();
    let parents = history();
    import(folder.path(), &parents);
    let arguments = [
        "rev-list",
        "--topo-order",
        "--parents",
        "main",
        "--not",
        "good",
    ];
    let (list, listed) = timed(|| git(folder.path(), &arguments));
    let (bad, good) = (sha(folder.path(), "main"), sha(folder.path(), "good"));
    let (graph, parsed) = timed(|| Graph::parse(list.as_slice(), bad, false).unwrap());
    let candidates = graph.len();
    let question = Question {
        graph,
        real: None,
        good: vec![good],
        bad,
        merge_bases: Vec::new(),
        skip: HashSet::new(),
        fixed: false,
        first_parent: false,
    };
    let lanes: Vec<_> = [1, 3, 7]
        .map(|lanes| (lanes, bisect(&question, lanes)))
        .into();
    let picks = lanes.iter().map(|(lanes, times)| {
        let slowest = times.iter().max().unwrap().as_secs_f64();
        let whole = times.iter().sum::<Duration>().as_secs_f64();
        let first = times[0].as_secs_f64();
        (lanes.to_string(), serde_json::json!({ "calls": times.len(), "first": first, "slowest": slowest, "sum": whole }))
    });
    let git_seconds = with_git.then(|| {
        timed(|| {
            git(
                folder.path(),
                &["rev-list", "--bisect-vars", "main", "--not", "good"],
            )
        })
        .1
        .as_secs_f64()
    });
    let report = serde_json::json!({
        "candidates": candidates,
        "merges": parents.iter().filter(|parents| parents.len() > 1).count(),
        "rev_list_seconds": listed.as_secs_f64(),
        "parse_seconds": parsed.as_secs_f64(),
        "pick_seconds_by_lanes": picks.collect::<serde_json::Map<_, _>>(),
        "git_bisect_vars_seconds": git_seconds,
        "peak_resident_megabytes": peak_megabytes(),
    });
    println!("{report:#}");
}

/// Calls `next` until the end, answering the oldest run in flight each time; the test fails unless the
/// commit is among the oldest few. The time of each call.
fn bisect(question: &Question, lanes: usize) -> Vec<Duration> {
    let oldest: HashSet<Sha> = question
        .graph
        .commits()
        .iter()
        .rev()
        .take(100)
        .copied()
        .collect();
    let mut runs: Vec<Run> = Vec::new();
    let mut in_flight: VecDeque<InFlight> = VecDeque::new();
    let mut times = Vec::new();
    loop {
        let flying: Vec<InFlight> = in_flight.iter().copied().collect();
        let (step, time) = timed(|| next(question, &runs, &flying, lanes));
        times.push(time);
        let Step::Go { start, stop, .. } = step else {
            return times;
        };
        in_flight.retain(|run| !stop.contains(run));
        in_flight.extend(start);
        let InFlight { commit, purpose } = in_flight.pop_front().unwrap();
        let passes = question.good.contains(&commit) || oldest.contains(&commit);
        runs.push(Run {
            commit,
            purpose,
            ending: Ending::Exited(u8::from(!passes)),
        });
        assert!(
            purpose != Purpose::Search
                || judge(question, &runs).last() != Some(&Some(Verdict::Skip))
        );
    }
}

/// Parents by commit number, oldest first: a mainline, and up to 30 open branches of a few commits that
/// start from its newest 300 and now and then merge it, before it merges them.
fn history() -> Vec<Vec<usize>> {
    let mut state = 7_u64;
    let mut below = move |end: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    let mut parents = vec![vec![], vec![0]];
    let mut mainline = vec![0, 1];
    let mut open: Vec<usize> = Vec::new();
    let mut merges = 0;
    while parents.len() <= COMMITS {
        let commit = parents.len();
        let main = *mainline.last().unwrap();
        let behind = merges * (COMMITS - 200) < MERGES * commit;
        if !open.is_empty() && (behind || commit + open.len() > COMMITS) {
            let branch = below(open.len());
            merges += 1;
            if below(10) == 0 && commit + 100 < COMMITS {
                parents.push(vec![open[branch], main]);
                open[branch] = commit;
            } else {
                parents.push(vec![main, open.swap_remove(branch)]);
                mainline.push(commit);
            }
        } else if open.len() < 30 && below(3) == 0 && commit + 100 < COMMITS {
            let from = mainline[mainline.len() - 1 - below(mainline.len().min(300))];
            parents.push(vec![from]);
            open.push(commit);
        } else if !open.is_empty() && below(3) > 0 {
            let branch = below(open.len());
            parents.push(vec![open[branch]]);
            open[branch] = commit;
        } else {
            parents.push(vec![main]);
            mainline.push(commit);
        }
    }
    parents
}

fn import(folder: &Path, parents: &[Vec<usize>]) {
    git(
        Path::new("."),
        &[
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            folder.to_str().unwrap(),
        ],
    );
    let mut stream = String::new();
    for (commit, parents) in parents.iter().enumerate() {
        let (mark, when) = (commit + 1, 1_000_000_000 + 60 * commit);
        let branch = if commit == 0 { "good" } else { "main" };
        let header =
            format!("commit refs/heads/{branch}\nmark :{mark}\ncommitter A <a@b> {when} +0000");
        write!(stream, "{header}\ndata 1\nx\n").unwrap();
        for (place, parent) in parents.iter().enumerate() {
            writeln!(
                stream,
                "{} :{}",
                if place == 0 { "from" } else { "merge" },
                parent + 1
            )
            .unwrap();
        }
    }
    let mut import = Command::new("git")
        .current_dir(folder)
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    import
        .stdin
        .take()
        .unwrap()
        .write_all(stream.as_bytes())
        .unwrap();
    assert!(import.wait().unwrap().success());
}

fn git(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    output.stdout
}

fn sha(folder: &Path, name: &str) -> Sha {
    String::from_utf8(git(folder, &["rev-parse", name]))
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}
