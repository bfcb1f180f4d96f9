//! How often the noisy search is right, and how many runs it takes: simulated on a linear history, every culprit as likely.
//!
//! `noise [SEEDS] [COMMITS]`; 200 and 128 without. Prints JSON, a row for each pair of failure rates (from the culprit on, before
//! it); where both are the same there is no culprit to be found. At most one run of each end is not counted.

use bisectd::search::{
    Graph,
    noisy::{Answer, CONFIDENCE, Place, Seen},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

/// Failure rates: from the culprit on, and before it.
const RATES: [(f64, f64); 7] = [(1.0, 0.0), (1.0, 0.1), (0.9, 0.1), (0.3, 0.0), (0.7, 0.1), (0.1, 0.1), (0.5, 0.5)];
/// After so many runs a search that is not sure names nobody.
const MOST_RUNS: u32 = 2000;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seeds, commits) = (number(200), number(128) as usize);
    let graph = linear(commits)?;
    let mut rows = Vec::new();
    for (after, before) in RATES {
        let (mut right, mut wrong, mut runs) = (0_u64, 0_u64, 0_u64);
        for seed in 0..seeds {
            let mut random = StdRng::seed_from_u64(seed);
            let culprit = random.random_range(0..commits as u32);
            let (belief, took) = search(&graph, culprit, after, before, &mut random);
            runs += u64::from(took);
            match belief {
                Some(Answer::Culprit(node, _)) if after > before && node == culprit => right += 1,
                Some(Answer::NoCulprit) if after <= before => right += 1,
                Some(Answer::Culprit(..)) => wrong += 1,
                _ => {}
            }
        }
        let share = |count: u64| count as f64 / seeds as f64;
        rows.push(json!({ "after": after, "before": before, "right": share(right), "wrong_commit": share(wrong), "runs": share(runs) }));
    }
    println!("{}", serde_json::to_string_pretty(&json!({ "commits": commits, "seeds": seeds, "rows": rows }))?);
    Ok(())
}

fn search(graph: &Graph, culprit: u32, after: f64, before: f64, random: &mut StdRng) -> (Option<Answer>, u32) {
    let mut seen = Seen::nothing(graph);
    let mut fails = |place: Place| {
        let rate = if matches!(place, Place::Commit(node) if node <= culprit) { after } else { before };
        random.random_bool(rate)
    };
    for end in [Place::Before, Place::Commit(0)] {
        let failed = fails(end);
        seen.count(end, failed);
    }
    for took in 0..MOST_RUNS {
        let posterior = seen.posterior(graph);
        if let Some(belief) = posterior.concludes(CONFIDENCE) {
            return (Some(belief), took);
        }
        for place in posterior.picks(graph, &[], 1, |_, _| 1.0) {
            let failed = fails(place);
            seen.count(place, failed);
        }
    }
    (None, MOST_RUNS)
}

fn linear(commits: usize) -> anyhow::Result<Graph> {
    let name = |number: usize| format!("{number:040x}");
    let list: String = (1..=commits).rev().map(|number| format!("{} {}\n", name(number), name(number - 1))).collect();
    Ok(Graph::parse(list.as_bytes(), name(commits).parse()?, false)?)
}
