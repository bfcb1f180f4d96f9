//! How often the noisy search is right, and how many runs it takes: simulated on a row of commits, every culprit as likely.
//!
//! `noise [merges] [SEEDS] [COMMITS] [LANES]`; 200, 128 and 1 without. With `merges` one commit in five merges a branch of one to five
//! commits. Prints JSON, a row for each pair of failure rates (from the culprit
//! on, before it); where both are the same there is no culprit to be found. As in a job with `--runs 50`, the bad end is run until it
//! fails, then the good end once. The first two runs of each end are not counted, whenever they are made. With several lanes each round has
//! that many runs, and rounds are counted, too.
//!
//! `noise least [COMMITS]`: how few runs any search of a test that always fails from the culprit on, and never before it, could need.
//!
//! `noise calibration [SEEDS] [COMMITS]`: rates are drawn from the priors, and after every run the likeliest commit is compared
//! with the culprit: a row for each bin of what was stated.
//!
//! `noise steps COMMITS [RUNS]`: how long one step of a job takes, and to tell what is left of its range, in a history with merges, while it
//! comes to so many runs; 400 without.

use anyhow::ensure;
use bisect_shared::{Ending, Sha};
use bisectd::search::{
    Graph, InFlight, Question, Run, Sampling, Step, next,
    noisy::{Answer, CONFIDENCE, Place, Seen, Tally},
    strip,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Failure rates: from the culprit on, and before it.
const RATES: [(f64, f64); 7] = [(1.0, 0.0), (1.0, 0.1), (0.9, 0.1), (0.3, 0.0), (0.7, 0.1), (0.1, 0.1), (0.5, 0.5)];
/// `--runs`: so often the bad end may pass before it is told that it does not fail.
const RUNS: u32 = 50;
/// So many runs of each end are not counted.
const FREE: u32 = 2;
/// After so many runs a search that is not sure names nobody.
const MOST_RUNS: u32 = 2000;
/// So many runs of each search are looked at for the calibration.
const LOOKED_AT: usize = 60;
/// How probable the priors have it that there is no culprit.
const NO_CULPRIT: f64 = 0.05;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    let calibrates = arguments.next_if(|word| word == "calibration").is_some();
    let steps = arguments.next_if(|word| word == "steps").is_some();
    let least = arguments.next_if(|word| word == "least").is_some();
    let merges = arguments.next_if(|word| word == "merges").is_some();
    let mut number = |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    if steps {
        println!("{}", self::steps(number(10_000) as usize, number(400) as usize)?);
        return Ok(());
    }
    if least {
        println!("{}", self::least(&linear(number(128) as usize)?));
        return Ok(());
    }
    let (seeds, commits, lanes) = (number(200), number(128) as usize, number(1) as usize);
    let graph = if merges { merged(commits)? } else { linear(commits)? };
    let rows = if calibrates { calibration(&graph, seeds) } else { table(&graph, seeds, lanes) };
    let told = json!({ "commits": commits, "merges": merges, "seeds": seeds, "lanes": lanes, "rows": rows });
    println!("{}", serde_json::to_string_pretty(&told)?);
    Ok(())
}

/// What came of the searches.
#[derive(Default)]
struct Sums {
    right: u64,
    wrong: u64,
    runs: u64,
    rounds: u64,
}

fn table(graph: &Graph, seeds: u64, lanes: usize) -> Vec<Value> {
    let row = |(after, before): (f64, f64)| {
        let search = |seed: u64, sums: &mut Sums| {
            let mut world = World::new(graph, seed, after, before);
            let answer = world.search(lanes);
            (sums.runs, sums.rounds) = (sums.runs + u64::from(world.counted()), sums.rounds + world.rounds);
            match answer {
                Some(Answer::Culprit(node, _)) if after > before && node == world.culprit => sums.right += 1,
                Some(Answer::NoCulprit) if after <= before => sums.right += 1,
                Some(Answer::Culprit(..)) => sums.wrong += 1,
                _ => {}
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, |it| it.get() as u64);
        let part = |first: u64| {
            let mut sums = Sums::default();
            (first..seeds).step_by(threads as usize).for_each(|seed| search(seed, &mut sums));
            sums
        };
        let parts: Vec<Sums> = std::thread::scope(|scope| {
            let parts: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
            parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let mean = |of: fn(&Sums) -> u64| parts.iter().map(of).sum::<u64>() as f64 / seeds as f64;
        json!({
            "after": after, "before": before, "right": mean(|it| it.right), "wrong_commit": mean(|it| it.wrong),
            "runs": mean(|it| it.runs), "rounds": mean(|it| it.rounds),
        })
    };
    RATES.into_iter().map(row).collect()
}

/// What somebody needs who knows the culprit beforehand and only has to make it believed.
///
/// Every other commit under suspicion that is newer than the culprit would have the fewer failures behind it the nearer they
/// were to the culprit, and so with the passes on the other side: whatever the runs, each of these is believed least if all are made of
/// the culprit and its parent, and "none" depends on their number only. So no other runs make the culprit more probable.
fn least(graph: &Graph) -> Value {
    let commits = graph.commits().len() as u32;
    let needed = |culprit: u32| {
        let believed = |(failures, passes): (u32, u32)| {
            let mut seen = Seen::nothing(graph);
            let parent = if culprit + 1 < commits { Place::Commit(culprit + 1) } else { Place::Before };
            let mut count = |place, failed, runs| (0..runs).for_each(|_| seen.count(place, failed));
            count(Place::Before, false, FREE);
            count(Place::Commit(0), true, FREE);
            count(Place::Commit(culprit), true, failures);
            count(parent, false, passes);
            seen.posterior(graph).concludes(CONFIDENCE)
                == Some(Answer::Culprit(culprit, seen.posterior(graph).likeliest().1))
        };
        (0..).find(|runs| (0..=*runs).any(|failures| believed((failures, runs - failures)))).unwrap_or_default()
    };
    let all: Vec<u32> = (0..commits).map(needed).collect();
    json!({ "commits": commits, "least": all.iter().min(), "mean": f64::from(all.iter().sum::<u32>()) / f64::from(commits) })
}

fn calibration(graph: &Graph, seeds: u64) -> Vec<Value> {
    const BINS: usize = 10;
    // How often, the sum of what was stated, how often it was right.
    let mut bins = [(0_usize, 0.0_f64, 0_usize); BINS];
    for seed in 0..seeds {
        let mut random = StdRng::seed_from_u64(seed);
        // Beta(½, ½) is uniform in angles (the arcsine distribution).
        let mut rate = || (random.random::<f64>() * std::f64::consts::FRAC_PI_2).sin().powi(2);
        let (one, other) = (rate(), rate());
        let none = random.random_bool(NO_CULPRIT);
        let (after, before) = if none { (one, one) } else { (one.max(other), one.min(other)) };
        let mut world = World::new(graph, seed, after, before);
        for _ in 0..LOOKED_AT {
            let posterior = world.seen.posterior(graph);
            let (node, share) = posterior.likeliest();
            let bin = &mut bins[((share * BINS as f64) as usize).min(BINS - 1)];
            *bin = (bin.0 + 1, bin.1 + share, bin.2 + usize::from(!none && node == world.culprit));
            for place in posterior.picks(graph, &[], 1, |_, _| 1.0) {
                world.run(place);
            }
        }
    }
    let row = |(count, stated, right): (usize, f64, usize)| json!({ "looks": count, "stated": stated / count as f64, "right": right as f64 / count as f64 });
    bins.into_iter().filter(|(count, ..)| *count > 0).map(row).collect()
}

/// The times of all steps of one job that is not sure before so many runs.
fn steps(commits: usize, most: usize) -> anyhow::Result<Value> {
    let graph = merged(commits)?;
    let good = format!("{commits:040x}").parse()?;
    let sampling = Sampling { asked: true, runs: most as u32, confidence: 1.0 };
    let bad = graph.commits()[0];
    let culprit = commits as u32 / 3;
    let newer: HashSet<Sha> = graph.built_on(&graph.commits()[culprit as usize]).collect();
    let question = Question { sampling, ..Question::new(graph, good, bad) };
    let (mut random, mut runs) = (StdRng::seed_from_u64(0), Vec::<Run>::new());
    let (mut steps, mut strips) = (Vec::new(), Vec::new());
    while runs.len() < most {
        let began = processor_seconds()?;
        let step = next(&question, &runs, &[], 1);
        let stepped = processor_seconds()?;
        let left = strip(&question, &runs);
        steps.push(stepped - began);
        strips.push(processor_seconds()? - stepped);
        ensure!(left.commits() == commits as u64, "{left:?}");
        let Step::Go { start, .. } = step else { break };
        for InFlight { commit, purpose } in start {
            let failed = random.random_bool(if newer.contains(&commit) { 0.3 } else { 0.1 });
            runs.push(Run::new(commit, purpose, Ending::Exited(u8::from(failed))));
        }
    }
    let merges = question.graph.commits().iter().filter(|commit| question.graph.parents(commit).count() > 1).count();
    let places: HashSet<Sha> = runs.iter().map(|run| run.commit).collect();
    let told = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        json!({ "median_seconds": times[times.len() / 2], "most_seconds": times.last() })
    };
    Ok(json!({
        "commits": commits, "merges": merges, "runs": runs.len(), "commits_run": places.len(), "step": told(steps), "strip": told(strips),
    }))
}

/// Of this thread, to some milliseconds: other programs that wait for the same processor do not count.
fn processor_seconds() -> anyhow::Result<f64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = told.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e9)
}

/// A history in which a test fails by chance, and what was seen of it.
struct World<'a> {
    graph: &'a Graph,
    random: StdRng,
    culprit: u32,
    /// By node: whether it is the culprit or built on it.
    newer: Vec<bool>,
    after: f64,
    before: f64,
    seen: Seen,
    rounds: u64,
}

impl<'a> World<'a> {
    /// The bad end has been run until it failed, and the good end once.
    fn new(graph: &'a Graph, seed: u64, after: f64, before: f64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let culprit = random.random_range(0..graph.commits().len() as u32);
        let seen = Seen::nothing(graph);
        let built_on: HashSet<Sha> = graph.built_on(&graph.commits()[culprit as usize]).collect();
        let newer = graph.commits().iter().map(|commit| built_on.contains(commit)).collect();
        let mut world = Self { graph, random, culprit, newer, after, before, seen, rounds: 0 };
        world.run(Place::Before);
        while world.bad_end().failures == 0 && world.bad_end().runs < RUNS {
            world.run(Place::Commit(0));
        }
        world
    }

    fn bad_end(&self) -> Tally {
        self.seen.tally(Place::Commit(0))
    }

    /// All runs but the free ones.
    fn counted(&self) -> u32 {
        let commits = (0..self.newer.len() as u32).map(Place::Commit);
        let all: u32 = commits.chain([Place::Before]).map(|place| self.seen.tally(place).runs).sum();
        all - [Place::Before, Place::Commit(0)].map(|end| self.seen.tally(end).runs.min(FREE)).iter().sum::<u32>()
    }

    fn run(&mut self, place: Place) {
        let newer = matches!(place, Place::Commit(node) if self.newer[node as usize]);
        let failed = self.random.random_bool(if newer { self.after } else { self.before });
        self.seen.count(place, failed);
    }

    /// `None` if the bad end never failed, or after too many runs.
    fn search(&mut self, lanes: usize) -> Option<Answer> {
        if self.bad_end().failures == 0 {
            return None;
        }
        // The runs of the bad end are made by all lanes.
        self.rounds = u64::from(self.counted()).div_ceil(lanes as u64);
        while self.counted() < MOST_RUNS {
            let posterior = self.seen.posterior(self.graph);
            if let Some(answer) = posterior.concludes(CONFIDENCE) {
                return Some(answer);
            }
            for place in posterior.picks(self.graph, &[], lanes, |_, _| 1.0) {
                self.run(place);
            }
            self.rounds += 1;
        }
        None
    }
}

fn linear(commits: usize) -> anyhow::Result<Graph> {
    graph(&(0..commits).map(|commit| commit.checked_sub(1).into_iter().collect()).collect::<Vec<_>>())
}

/// Every other time a commit is followed by a branch and its merge: it leaves one of the last eight commits of the main line and has one to
/// five of its own. The same history every time.
fn merged(commits: usize) -> anyhow::Result<Graph> {
    let mut random = StdRng::seed_from_u64(0);
    let mut parents: Vec<Vec<usize>> = vec![vec![]];
    let mut line = vec![0];
    while parents.len() + 7 < commits {
        let tip = line[line.len() - 1];
        let mut into = vec![tip];
        if random.random_bool(0.5) {
            let mut last = line[line.len().saturating_sub(random.random_range(1..=8))];
            for _ in 0..random.random_range(1..=5) {
                parents.push(vec![last]);
                last = parents.len() - 1;
            }
            into.push(last);
        }
        parents.push(into);
        line.push(parents.len() - 1);
    }
    while parents.len() < commits {
        parents.push(vec![parents.len() - 1]);
    }
    graph(&parents)
}

/// A history by the parents of each commit, oldest first.
fn graph(parents: &[Vec<usize>]) -> anyhow::Result<Graph> {
    let name = |number: usize| format!("{number:040x}");
    let mut list = String::new();
    for (commit, parents) in parents.iter().enumerate().rev() {
        list += &name(commit);
        parents.iter().for_each(|parent| list += &format!(" {}", name(*parent)));
        list += "\n";
    }
    Ok(Graph::parse(list.as_bytes(), name(parents.len() - 1).parse()?, false)?)
}
