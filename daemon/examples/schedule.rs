//! What several lanes can gain at best: the search on a virtual clock, without containers or any cost of their own.
//!
//! `schedule GOOD_FIRST.txt OVERHEAD LANES…`: line n of the file is how many seconds commit n sleeps, the good end's first. Every commit
//! is the culprit once. Prints, as JSON and for each number of lanes, total time with ends and proof over that of `git bisect run`.
//! Called by `make bench`, to tell what the schedule costs from what the machinery costs.

use anyhow::{Context, bail};
use bisect_shared::{Ending, Sha};
use bisectd::search::{Conclusion, Graph, InFlight, Question, Run, Step, next};
use serde_json::json;
use std::collections::HashSet;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, overhead, lanes @ ..] = &args[..] else {
        bail!("usage: schedule FILE OVERHEAD LANES…");
    };
    let text = std::fs::read_to_string(file).with_context(|| file.clone())?;
    let overhead: f64 = overhead.parse().context("OVERHEAD must be seconds per probe")?;
    let seconds: Vec<f64> = text.lines().map(str::parse).collect::<Result<_, _>>().context("seconds")?;
    let world = World { question: linear(seconds.len())?, seconds, overhead };
    let mut rows = Vec::new();
    for lanes in lanes {
        let lanes: usize = lanes.parse().context("LANES must be numbers")?;
        let mut ratios = Vec::new();
        let mut sums = (0.0, 0.0);
        for culprit in 1..world.seconds.len() {
            let (ours, git) = (world.ours(culprit, lanes)?, world.git(culprit));
            ratios.push(ours / git);
            sums = (sums.0 + ours, sums.1 + git);
        }
        ratios.sort_by(f64::total_cmp);
        let part = |part: f64| ratios[(part * (ratios.len() - 1) as f64) as usize];
        rows.push(json!({ "lanes": lanes, "ratio_of_sums": sums.0 / sums.1, "median": part(0.5), "p10": part(0.1), "p90": part(0.9) }));
    }
    println!("{}", json!({ "overhead_seconds": world.overhead, "culprits": world.seconds.len() - 1, "lanes": rows }));
    Ok(())
}

/// Commit `number` of a row, 0 the good end.
fn name(number: usize) -> anyhow::Result<Sha> {
    Ok(format!("{number:040x}").parse()?)
}

fn number(commit: Sha) -> anyhow::Result<usize> {
    Ok(usize::from_str_radix(&commit.to_string(), 16)?)
}

fn linear(commits: usize) -> anyhow::Result<Question> {
    let mut list = String::new();
    for number in (1..commits).rev() {
        list += &format!("{} {}\n", name(number)?, name(number - 1)?);
    }
    let bad = name(commits - 1)?;
    Ok(Question {
        graph: Graph::parse(list.as_bytes(), bad, false)?,
        real: None,
        good: vec![name(0)?],
        bad,
        merge_bases: Vec::new(),
        skip: HashSet::new(),
        fixed: false,
        first_parent: false,
    })
}

struct World {
    question: Question,
    seconds: Vec<f64>,
    overhead: f64,
}

impl World {
    /// Halving, one test after another, neither ends nor proof.
    fn git(&self, culprit: usize) -> f64 {
        let (mut good, mut bad, mut time) = (0, self.seconds.len() - 1, 0.0);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            time += self.seconds[middle];
            if middle >= culprit { bad = middle } else { good = middle }
        }
        time
    }

    /// The whole job: a lane is free again as soon as its probe ended or was stopped.
    fn ours(&self, culprit: usize, lanes: usize) -> anyhow::Result<f64> {
        let (mut now, mut runs, mut flying): (f64, Vec<Run>, Vec<(InFlight, f64)>) = (0.0, Vec::new(), Vec::new());
        loop {
            let in_flight: Vec<InFlight> = flying.iter().map(|(probe, _)| *probe).collect();
            match next(&self.question, &runs, &in_flight, lanes) {
                Step::Done(Conclusion::Culprit { culprit: found, .. }) if number(found)? == culprit => {
                    return Ok(now);
                }
                Step::Done(other) => bail!("{lanes} lanes, culprit {culprit}: {other:?}"),
                Step::Go { start, stop, .. } => {
                    // What stops frees its lane now, and the next step may use it.
                    flying.retain(|(probe, _)| !stop.contains(probe));
                    for probe in &start {
                        flying.push((*probe, now + self.overhead + self.seconds[number(probe.commit)?]));
                    }
                    if !stop.is_empty() {
                        continue;
                    }
                }
            }
            let first =
                flying.iter().enumerate().min_by(|one, other| one.1.1.total_cmp(&other.1.1)).map(|(index, _)| index);
            let (InFlight { commit, purpose }, end) = flying.swap_remove(first.context("nothing runs")?);
            now = end;
            let ending = Ending::Exited(u8::from(number(commit)? >= culprit));
            runs.push(Run { commit, purpose, ending });
        }
    }
}
