//! How long whole bisections take, on a clock that only events move: ends, search and proof.
//!
//! The numbers are ratios to what `git bisect run` takes: the same picks on one lane, ends and proof
//! apart.

use crate::search_world::history::Chance;
use crate::search_world::played::play;
use bisect_shared::{Ending, Purpose, Sha};
use bisectd::search::{Conclusion, Graph, InFlight, Question};

const COMMITS: u32 = 1000;

fn sha(number: u32) -> Sha {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Sha::from_bytes(bytes)
}

/// The commits 1 to 1,000 in a row; 0 is good.
fn question() -> Question {
    let list: String = (1..=COMMITS).rev().map(|n| format!("{} {}\n", sha(n), sha(n - 1))).collect();
    Question::new(Graph::parse(list.as_bytes(), sha(COMMITS), false).unwrap(), sha(0), sha(COMMITS))
}

/// Means over culprits of the time on this many lanes, of git's, and of the lanes' work.
struct Mean {
    seconds: f64,
    git: f64,
    work: f64,
    longest: f64,
}

fn simulate(lanes: usize, seconds: &dyn Fn(u32, u32) -> f64) -> Mean {
    let question = question();
    let mut mean = Mean { seconds: 0.0, git: 0.0, work: 0.0, longest: 0.0 };
    let culprits: Vec<u32> = (1..=COMMITS).step_by(3).collect();
    for &culprit in &culprits {
        let number = |commit: Sha| (0..=COMMITS).find(|&n| sha(n) == commit).unwrap();
        let ending = |run: InFlight| Ending::Exited(u8::from(run.commit >= sha(culprit)));
        let mut length = |run: InFlight| seconds(culprit, number(run.commit));
        let one = play(&question, 1, &ending, &mut length);
        let hunt = one.runs.iter().filter(|run| run.purpose == Purpose::Search).skip(2);
        let git: f64 = hunt.map(|run| seconds(culprit, number(run.commit))).sum();
        let played = play(&question, lanes, &ending, &mut length);
        assert!(matches!(played.conclusion, Conclusion::Culprit { culprit: found, .. } if found == sha(culprit)));
        let share = 1.0 / culprits.len() as f64;
        mean.seconds += played.seconds * share;
        mean.git += git * share;
        mean.work += played.lane_seconds * share;
        mean.longest = mean.longest.max(played.seconds);
    }
    mean
}

/// Log-normal with σ = 1 and mean 1, fixed by the commit and the round of culprits.
fn log_normal(culprit: u32, commit: u32) -> f64 {
    let mut chance = Chance(u64::from(culprit) << 32 | u64::from(commit));
    let (radius, angle) = (chance.fraction().max(1e-12), chance.fraction());
    let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
    (normal - 0.5).exp()
}

fn show(what: &str, lanes: usize, mean: &Mean) -> f64 {
    let ratio = mean.seconds / mean.git;
    println!(
        "{what}, {lanes} lanes: {ratio:.3} of git's time ({:.2} of {:.2}, at most {:.2}), work {:.2}",
        mean.seconds, mean.git, mean.longest, mean.work
    );
    ratio
}

#[test]
fn equal_durations() {
    for (lanes, most, rounds) in [(1, 1.6, 14.0), (3, 0.75, 7.0), (7, 0.6, 5.0)] {
        let mean = simulate(lanes, &|_, _| 1.0);
        assert!(show("equal", lanes, &mean) <= most);
        assert!(mean.longest <= rounds);
    }
}

#[test]
fn log_normal_durations() {
    for (lanes, most) in [(3, 0.72), (7, 0.50)] {
        let mean = simulate(lanes, &log_normal);
        assert!(show("log-normal", lanes, &mean) <= most);
    }
}
