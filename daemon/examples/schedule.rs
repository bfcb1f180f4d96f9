//! What several lanes can gain: the search on a virtual clock, without containers, with as much of their cost as is asked for.
//!
//! `schedule GOOD_FIRST.txt OVERHEAD LANES… [--container SECONDS] [--stop SECONDS] [--jitter SECONDS] [--policy NAME]`: line n of
//! the file is how many seconds commit n sleeps, the good end's first. Every commit is the culprit once. Prints, as JSON and for each
//! number of lanes, total time with ends and proof over that of `git bisect run`. Called by `make bench`, to tell what the schedule
//! costs from what the machinery costs.
//!
//! `--container`: processor time of each container, of which two cores serve two at once: a lane is two, and each run prepares its
//! lane's next one. `--stop`: how long a stopped run keeps its lane. `--jitter`: by how much, up or down, a run may differ from the file.
//! `--policy`: `hold` (as the runner: starts wait for an answer that is due), `eager` (they never do), `finish` (as hold, and
//! what is due is not stopped).

use anyhow::{Context, bail};
use bisect_shared::{Ending, Purpose, Sha};
use bisectd::{
    runner::foresight,
    search::{Conclusion, Graph, InFlight, Question, Run, Step, next},
};
use serde_json::json;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = args.iter().position(|arg| arg.starts_with("--")).unwrap_or(args.len());
    let ([file, overhead, lanes @ ..], options) = (&args[..options], &args[options..]) else {
        bail!("usage: schedule FILE OVERHEAD LANES… [OPTION VALUE]…");
    };
    let text = std::fs::read_to_string(file).with_context(|| file.clone())?;
    let overhead: f64 = overhead.parse().context("OVERHEAD must be seconds per probe")?;
    let seconds: Vec<f64> = text.lines().map(str::parse).collect::<Result<_, _>>().context("seconds")?;
    let costs = Costs::read(overhead, options)?;
    let world = World { question: linear(seconds.len())?, seconds, costs };
    let mut rows = Vec::new();
    for lanes in lanes {
        rows.push(world.row(lanes.parse().context("LANES must be numbers")?)?);
    }
    println!("{}", json!({ "overhead_seconds": overhead, "culprits": world.seconds.len() - 1, "lanes": rows }));
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Eager,
    Hold,
    Finish,
}

/// What the machinery costs, in seconds.
struct Costs {
    overhead: f64,
    container: f64,
    stop: f64,
    jitter: f64,
    policy: Policy,
}

impl Costs {
    fn read(overhead: f64, options: &[String]) -> anyhow::Result<Self> {
        let mut costs = Self { overhead, container: 0.0, stop: 0.0, jitter: 0.0, policy: Policy::Hold };
        for option in options.chunks(2) {
            let [name, value] = option else { bail!("{} needs a value", option[0]) };
            let seconds = || value.parse::<f64>().with_context(|| format!("{name} must be seconds"));
            match name.as_str() {
                "--container" => costs.container = seconds()?,
                "--stop" => costs.stop = seconds()?,
                "--jitter" => costs.jitter = seconds()?,
                "--policy" => {
                    costs.policy = match value.as_str() {
                        "eager" => Policy::Eager,
                        "hold" => Policy::Hold,
                        "finish" => Policy::Finish,
                        _ => bail!("no policy `{value}`"),
                    }
                }
                _ => bail!("no option `{name}`"),
            }
        }
        Ok(costs)
    }
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
    Ok(Question::new(Graph::parse(list.as_bytes(), bad, false)?, name(0)?, bad))
}

struct World {
    question: Question,
    seconds: Vec<f64>,
    costs: Costs,
}

impl World {
    fn row(&self, lanes: usize) -> anyhow::Result<serde_json::Value> {
        let (mut ratios, mut sums, mut started, mut stopped) = (Vec::new(), (0.0, 0.0), 0, 0);
        for culprit in 1..self.seconds.len() {
            let git = self.git(culprit);
            let mut job = Job::new(self, culprit, lanes);
            let ours = job.run()?;
            (started, stopped) = (started + job.started, stopped + job.stopped);
            ratios.push(ours / git);
            sums = (sums.0 + ours, sums.1 + git);
        }
        ratios.sort_by(f64::total_cmp);
        let part = |part: f64| ratios[(part * (ratios.len() - 1) as f64) as usize];
        let each = |sum: usize| sum as f64 / ratios.len() as f64;
        Ok(json!({
            "lanes": lanes, "ratio_of_sums": sums.0 / sums.1, "median": part(0.5), "p10": part(0.1), "p90": part(0.9),
            "runs_started": each(started), "runs_stopped": each(stopped),
        }))
    }

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
}

/// A run under way.
struct Flight {
    probe: InFlight,
    began: f64,
    /// When it answers, or, stopped, when its lane is free.
    end: f64,
    stopped: bool,
    /// When its lane can run again.
    lane: f64,
}

/// One job.
struct Job<'a> {
    world: &'a World,
    culprit: usize,
    lanes: usize,
    now: f64,
    runs: Vec<Run>,
    took: Vec<Duration>,
    flying: Vec<Flight>,
    /// From when on each lane that waits can run: those of the search, and fresh ones.
    used: Vec<f64>,
    fresh: Vec<f64>,
    prepared: bool,
    cores: [f64; 2],
    held: Option<f64>,
    started: usize,
    stopped: usize,
}

impl<'a> Job<'a> {
    fn new(world: &'a World, culprit: usize, lanes: usize) -> Self {
        Self {
            world,
            culprit,
            lanes,
            now: 0.0,
            runs: Vec::new(),
            took: Vec::new(),
            flying: Vec::new(),
            used: Vec::new(),
            fresh: Vec::new(),
            prepared: false,
            cores: [0.0; 2],
            held: None,
            started: 0,
            stopped: 0,
        }
    }

    fn run(&mut self) -> anyhow::Result<f64> {
        loop {
            let going = self.flying.iter().filter(|flight| !flight.stopped);
            let in_flight: Vec<InFlight> = going.map(|flight| flight.probe).collect();
            match next(&self.world.question, &self.runs, &in_flight, self.lanes) {
                Step::Done(Conclusion::Culprit { culprit, .. }) if number(culprit)? == self.culprit => {
                    return Ok(self.now);
                }
                Step::Found(good) => bail!("{good} was looked for"),
                Step::Done(other) => bail!("{} lanes, culprit {}: {other:?}", self.lanes, self.culprit),
                Step::Go { start, stop, prepare_proof, .. } => {
                    self.stop(&stop);
                    if prepare_proof && !self.prepared {
                        self.prepared = true;
                        self.fresh = (0..2 + usize::from(self.lanes > 1)).map(|_| self.open()).collect();
                    }
                    self.start(start, &stop)?;
                }
            }
            self.wait()?;
        }
    }

    fn stop(&mut self, useless: &[InFlight]) {
        let (now, stop, took, finish) =
            (self.now, self.world.costs.stop, &self.took, self.world.costs.policy == Policy::Finish);
        for flight in &mut self.flying {
            let due = || {
                let so_far: Vec<Duration> = seconds(now - flight.began).into_iter().collect();
                foresight::hold(took, &so_far).is_some()
            };
            if useless.contains(&flight.probe) && !flight.stopped && !(finish && due()) {
                self.stopped += 1;
                (flight.stopped, flight.end) = (true, now + stop);
            }
        }
    }

    fn start(&mut self, start: Vec<InFlight>, useless: &[InFlight]) -> anyhow::Result<()> {
        let mut room = self.lanes.saturating_sub(self.flying.len());
        let hold = self.hold(useless);
        let mut started = false;
        for probe in start {
            let proof = probe.purpose == Purpose::Proof;
            if !proof && (room == 0 || hold) {
                continue;
            }
            room = room.saturating_sub(1);
            started |= !proof;
            self.begin(probe)?;
        }
        if started {
            self.held = None;
        }
        Ok(())
    }

    /// Whether runs of the search wait now.
    fn hold(&mut self, useless: &[InFlight]) -> bool {
        if self.world.costs.policy == Policy::Eager || self.lanes == 1 {
            return false;
        }
        let telling = |flight: &&Flight| {
            !flight.stopped && flight.probe.purpose == Purpose::Search && !useless.contains(&flight.probe)
        };
        let going: Vec<Duration> =
            self.flying.iter().filter(telling).filter_map(|flight| seconds(self.now - flight.began)).collect();
        let until = foresight::hold(&self.took, &going).map(|hold| self.now + hold.as_secs_f64());
        self.held = until.map(|until| self.held.map_or(until, |held| held.min(until)));
        self.held.is_some_and(|until| self.now < until)
    }

    fn begin(&mut self, probe: InFlight) -> anyhow::Result<()> {
        self.started += 1;
        let proof = probe.purpose == Purpose::Proof;
        let waiting = if proof { self.fresh.pop() } else { self.used.pop() };
        let began = waiting.unwrap_or_else(|| self.open()).max(self.now);
        let lane = if proof { began } else { self.prepare(began) };
        let end = began + self.world.costs.overhead + self.seconds(probe)?;
        self.flying.push(Flight { probe, began, end, stopped: false, lane });
        Ok(())
    }

    fn seconds(&self, probe: InFlight) -> anyhow::Result<f64> {
        let number = number(probe.commit)?;
        let mut hasher = DefaultHasher::new();
        (number, self.culprit, probe.purpose == Purpose::Proof).hash(&mut hasher);
        let chance = hasher.finish() as f64 / u64::MAX as f64;
        let jitter = self.world.costs.jitter * (2.0 * chance - 1.0);
        Ok((self.world.seconds[number] + jitter).max(0.0))
    }

    /// A lane is two containers, made side by side.
    fn open(&mut self) -> f64 {
        let (one, other) = (self.prepare(self.now), self.prepare(self.now));
        one.max(other)
    }

    /// When a container is there that is asked for at `from`.
    fn prepare(&mut self, from: f64) -> f64 {
        let core = usize::from(self.cores[1] < self.cores[0]);
        self.cores[core] = self.cores[core].max(from) + self.world.costs.container;
        self.cores[core]
    }

    /// Lets time pass until the next answer, the next free lane, or the end of a hold.
    fn wait(&mut self) -> anyhow::Result<()> {
        let ends = self.flying.iter().enumerate().min_by(|one, other| one.1.end.total_cmp(&other.1.end));
        let (first, end) = ends.map(|(index, flight)| (index, flight.end)).context("nothing runs")?;
        if let Some(until) = self.held.filter(|until| self.now < *until && *until < end) {
            self.now = until;
            return Ok(());
        }
        let Flight { probe, began, stopped, lane, .. } = self.flying.swap_remove(first);
        self.now = end;
        self.used.push(lane);
        if !stopped {
            let ending = Ending::Exited(u8::from(number(probe.commit)? >= self.culprit));
            self.runs.push(Run::new(probe.commit, probe.purpose, ending));
            if probe.purpose == Purpose::Search {
                self.took.extend(seconds(end - began));
            }
        }
        Ok(())
    }
}

/// None for a run whose lane is not ready yet.
fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}
