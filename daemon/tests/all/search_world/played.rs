//! Plays a bisection without containers: probes take the time they are said to take, on a clock that
//! only the events move. Checks what must hold at every step.

use bisect_shared::{Ending, Purpose};
use bisectd::search::{Conclusion, InFlight, Question, Run, Step, next};
use std::collections::HashSet;

/// A bisection that was played to its end.
pub struct Played {
    pub conclusion: Conclusion,
    pub runs: Vec<Run>,
    /// On the events' clock.
    pub seconds: f64,
    /// Spent by all lanes together, on runs that were stopped as well.
    pub lane_seconds: f64,
}

/// Plays the bisection on this many lanes. Each answer starts and stops runs at once, as the runner
/// does.
pub fn play(
    question: &Question,
    lanes: usize,
    ending: &dyn Fn(InFlight) -> Ending,
    seconds: &mut dyn FnMut(InFlight) -> f64,
) -> Played {
    let mut played = Lanes::default();
    loop {
        match next(question, &played.runs, &played.in_flight(), lanes) {
            Step::Done(conclusion) => {
                let (runs, seconds) = (played.runs, played.now);
                return Played { conclusion, runs, seconds, lane_seconds: played.spent };
            }
            Step::Go { start, stop, progress, .. } => {
                assert!(progress.candidates_left > 0 && progress.expected_probes >= 0.0);
                played.stop(&stop);
                for run in start {
                    let length = seconds(run);
                    played.start(run, length);
                }
                assert!((1..=lanes).contains(&played.flying.len()), "{} in flight", played.flying.len());
                played.finish_first(ending);
            }
        }
    }
}

#[derive(Default)]
struct Lanes {
    now: f64,
    spent: f64,
    flying: Vec<Flying>,
    runs: Vec<Run>,
    finished: HashSet<InFlight>,
}

struct Flying {
    run: InFlight,
    since: f64,
    until: f64,
}

impl Lanes {
    fn in_flight(&self) -> Vec<InFlight> {
        self.flying.iter().map(|flying| flying.run).collect()
    }

    fn stop(&mut self, runs: &[InFlight]) {
        for run in runs {
            let lane = self.flying.iter().position(|flying| flying.run == *run);
            let flying = self.flying.swap_remove(lane.expect("only what is in flight is stopped"));
            self.spent += self.now - flying.since;
        }
    }

    fn start(&mut self, run: InFlight, seconds: f64) {
        let sample = run.purpose == Purpose::Sample;
        assert!(sample || !self.finished.contains(&run), "{run:?} a second time");
        assert!(sample || !self.in_flight().contains(&run), "{run:?} twice at once");
        self.flying.push(Flying { run, since: self.now, until: self.now + seconds });
    }

    fn finish_first(&mut self, ending: &dyn Fn(InFlight) -> Ending) {
        let lanes = self.flying.iter().enumerate();
        let (first, _) = lanes.min_by(|one, other| one.1.until.total_cmp(&other.1.until)).unwrap();
        let Flying { run, since, until } = self.flying.swap_remove(first);
        self.now = until;
        self.spent += until - since;
        self.finished.insert(run);
        let InFlight { commit, purpose } = run;
        self.runs.push(Run::new(commit, purpose, ending(run)));
    }
}
