//! The search by many runs of a commit: what is run next of a test that fails by chance, and when that is over.
//!
//! Puts together what the runs showed (`verdict`), what is to be believed of it (`noisy`) and what may be run. All runs count,
//! also those from before the test was known to fail by chance. What it ends with is proven as far as such a test can be: the
//! culprit and its parents have a run in a fresh workspace each, and the belief holds with these.

use super::{
    AbortReason, Belief, Conclusion, InFlight, OneMore, Parent, ParentState, Progress, Question, Run, Step,
    SuspectsWhy, ends,
    graph::Node,
    narrow,
    noisy::{Answer, Place, Posterior, Seen, Tally},
    pick,
    verdict::Record,
};
use bisect_shared::{Purpose, Sha, Verdict, admin::StripMark};

/// Commits of so much probability together are told as those under suspicion, while it goes on.
const CREDIBLE: f64 = 0.99;
/// A commit that is likelier than this is run in a fresh workspace when its turn comes, and so are its parents.
const WORTH_PROVING: f64 = 0.5;
/// So many commits at most are told with their probabilities.
const MOST_LIKELY: usize = 20;
/// Less likely ones are not told.
const UNLIKELY: f64 = 0.001;

/// A search by many runs of a commit.
pub(super) struct Samples<'a> {
    question: &'a Question,
    record: Record,
    seen: Seen,
    /// All runs together: asked for each commit, so counted once.
    total: Tally,
    posterior: Posterior,
    /// The commits whose runs were skips, in rising order.
    skipped: Vec<Node>,
}

/// What is believed so far.
enum Standing {
    /// This commit, and there is no other like it.
    Sure(Node),
    /// One of these, between which nothing can be run.
    Alike(Vec<Node>),
    /// None.
    NoCulprit,
    /// Nothing yet.
    Unsure,
}

impl<'a> Samples<'a> {
    pub(super) fn new(question: &'a Question, runs: &[Run]) -> Self {
        let record = Record::new(question, runs);
        let mut seen = Seen::nothing(&question.graph);
        for (commit, verdict) in record.verdicts() {
            match (place(question, commit), verdict) {
                (Some(place), Verdict::Good) => seen.count(place, false),
                (Some(place), Verdict::Bad) => seen.count(place, true),
                (None, _) | (_, Verdict::Skip) => {}
            }
        }
        let mut skipped = narrow::with_verdict(&question.graph, &record, Verdict::Skip);
        skipped.sort_unstable();
        let (total, posterior) = (seen.total(), seen.posterior(&question.graph));
        Self { question, record, seen, total, posterior, skipped }
    }

    pub(super) fn step(self, in_flight: &[InFlight], lanes: usize) -> Step {
        if let Some(conclusion) = self.unsearchable() {
            return Step::Done(conclusion);
        }
        let mut room = lanes.saturating_sub(in_flight.len());
        let mut start = self.ends_to_run(in_flight, room);
        room -= start.len();
        let standing = if self.ends_known() { self.standing() } else { Standing::Unsure };
        match standing {
            Standing::NoCulprit => return Step::Done(self.no_culprit()),
            Standing::Alike(nodes) => {
                let names = nodes.into_iter().map(|node| self.question.graph.name(node)).collect();
                return Step::Done(self.suspects(names, SuspectsWhy::OnlySkippedLeft));
            }
            Standing::Sure(node) => {
                let missing = self.missing_proofs(node);
                if missing.is_empty() {
                    return Step::Done(self.culprit(node));
                }
                let to_start = missing.iter().filter(|run| !in_flight.contains(run));
                start.extend(to_start.take(room));
                let later =
                    missing.len() - missing.iter().filter(|it| in_flight.contains(it) || start.contains(it)).count();
                return self.go(start, lanes, Some(later));
            }
            Standing::Unsure if self.is_reproduced() => {
                let picks = self.picks(in_flight, room);
                if picks.is_empty() && in_flight.is_empty() && start.is_empty() {
                    let why = SuspectsWhy::NotSure { runs: self.total.runs };
                    return Step::Done(self.suspects(self.credible(self.question.sampling.confidence), why));
                }
                start.extend(picks);
            }
            Standing::Unsure => {}
        }
        self.go(start, lanes, None)
    }

    /// Where the culprit is believed to be, along the range, in thousandths.
    pub(super) fn thousandths(&self) -> Vec<u16> {
        self.along().into_iter().map(|share| (share * 1000.0).round() as u16).collect()
    }

    /// The probability of each piece of the range, oldest first.
    fn along(&self) -> Vec<f64> {
        let oldest_first: Vec<f64> = self.posterior.culprit.iter().rev().copied().collect();
        pieces(&oldest_first, Belief::PIECES)
    }

    /// What is left of the range, by node: what may be it, else on which side of the likeliest commit it is.
    pub(super) fn marks(&self) -> Vec<StripMark> {
        let graph = &self.question.graph;
        let (likeliest, _) = self.posterior.likeliest();
        let mut marks: Vec<StripMark> = graph
            .descendants(likeliest)
            .iter()
            .map(|after| if *after { StripMark::Bad } else { StripMark::Good })
            .collect();
        for node in self.credible(CREDIBLE).iter().filter_map(|commit| graph.node(commit)) {
            let closed = self.is_closed(graph.name(node));
            marks[node as usize] = if closed { StripMark::Skipped } else { StripMark::Candidate };
        }
        marks
    }

    /// A run is never of no use: also what is in flight tells something.
    fn go(&self, start: Vec<InFlight>, lanes: usize, only_proof: Option<usize>) -> Step {
        let worth = self.posterior.likeliest().1 > WORTH_PROVING && lanes > 0;
        Step::Go { start, stop: Vec::new(), progress: self.progress(), prepare_proof: worth, only_proof }
    }

    /// Why there is nothing to be searched, whatever else is believed.
    fn unsearchable(&self) -> Option<Conclusion> {
        let Self { question, record, .. } = self;
        if let Some(conclusion) = ends::unusable_command(question, record) {
            return Some(conclusion);
        }
        // Of the runs from before, git would not need all.
        if let Some(run) = record.aborts().find(|run| run.purpose == Purpose::Sample) {
            return Some(Conclusion::Aborted { run, why: AbortReason::CommandSaidSo });
        }
        if self.chances_left() == 0
            && !self.is_reproduced()
            && let Some(run) = record.run_with(question.bad, Verdict::Good)
        {
            return Some(Conclusion::NotReproducible { run, runs: self.bad_end().runs });
        }
        ends::untestable_end(question, record)
    }

    /// How often the bad end may still be run to show the newer behaviour.
    fn chances_left(&self) -> usize {
        let chances = self.question.sampling.runs.max(1) as usize;
        chances.saturating_sub(self.record.of(self.question.bad).count())
    }

    /// How often the bad end was run, and showed the newer behaviour.
    fn bad_end(&self) -> Tally {
        place(self.question, self.question.bad).map_or_else(Tally::default, |place| self.seen.tally(place))
    }

    fn is_reproduced(&self) -> bool {
        self.bad_end().failures > 0
    }

    /// The good ends and merge bases that are to be tested.
    fn older_ends(&self) -> impl Iterator<Item = Sha> {
        let merge_bases = self.question.merge_bases.iter().filter(|base| !self.question.skips(**base));
        self.question.good.iter().chain(merge_bases).copied()
    }

    fn ends_known(&self) -> bool {
        self.is_reproduced() && self.older_ends().all(|end| self.record.of(end).next().is_some())
    }

    /// Each end once, and the bad end until it shows the newer behaviour.
    fn ends_to_run(&self, in_flight: &[InFlight], room: usize) -> Vec<InFlight> {
        let going = |commit: Sha| in_flight.iter().filter(|run| run.commit == commit).count();
        let unknown = |end: &Sha| self.record.of(*end).next().is_none() && going(*end) == 0;
        let bad = self.question.bad;
        let more = match self.is_reproduced() {
            true => 0,
            false => self.chances_left().saturating_sub(going(bad)),
        };
        let wanted = std::iter::repeat_n(bad, more.min(1))
            .chain(self.older_ends().filter(unknown))
            .chain(std::iter::repeat_n(bad, more.saturating_sub(1)));
        wanted.map(|commit| InFlight { commit, purpose: Purpose::Sample }).take(room).collect()
    }

    fn standing(&self) -> Standing {
        let confidence = self.question.sampling.confidence;
        let (_, share) = self.posterior.likeliest();
        match self.posterior.concludes(confidence) {
            Some(Answer::NoCulprit) => return Standing::NoCulprit,
            Some(Answer::Culprit(node, _)) => return Standing::Sure(node),
            None => {}
        }
        // Commits are as likely as one another if nothing was run between them.
        let shares = self.posterior.culprit.iter().enumerate();
        let alike: Vec<Node> =
            shares.filter(|(_, other)| (*other - share).abs() < 1e-12).map(|(node, _)| node as Node).collect();
        let together = share * alike.len() as f64;
        if together >= confidence && !self.can_be_told_apart(&alike) {
            Standing::Alike(alike)
        } else {
            Standing::Unsure
        }
    }

    /// Whether a commit can be run that is below some of these and not below others.
    fn can_be_told_apart(&self, nodes: &[Node]) -> bool {
        let graph = &self.question.graph;
        let all: Vec<Node> = (0..graph.len() as Node).collect();
        let below = super::weigh::weigh(graph, &all, |node| u32::from(nodes.binary_search(&node).is_ok()));
        all.iter().any(|node| {
            let between = (1..nodes.len() as u32).contains(&below[*node as usize]);
            between && self.chance(Place::Commit(*node), 0) > 0.0
        })
    }

    fn picks(&self, in_flight: &[InFlight], room: usize) -> Vec<InFlight> {
        let going = in_flight.len() as u32;
        let left = self.question.sampling.budget(self.question.graph.len()).saturating_sub(self.total.runs + going);
        let places: Vec<Place> = in_flight.iter().filter_map(|run| place(self.question, run.commit)).collect();
        let room = room.min(left as usize);
        let picks = self.posterior.picks(&self.question.graph, &places, room, |place, times| self.chance(place, times));
        let (likeliest, share) = self.posterior.likeliest();
        let mut to_prove = if share > WORTH_PROVING { self.missing_proofs(likeliest) } else { Vec::new() };
        to_prove.retain(|run| !in_flight.contains(run));
        let mut run = |place| {
            let commit = self.commit(place)?;
            let proof = to_prove.iter().position(|run| run.commit == commit);
            Some(proof.map_or(InFlight { commit, purpose: Purpose::Sample }, |at| to_prove.swap_remove(at)))
        };
        picks.into_iter().filter_map(&mut run).collect()
    }

    /// How likely a run there tells anything; 0 where none may be made: no commit gets more runs than all others together and
    /// those of one stretch.
    fn chance(&self, place: Place, times: usize) -> f64 {
        let runs = self.seen.tally(place).runs;
        let most = self.total.runs - runs + self.question.sampling.runs;
        match place {
            _ if runs + times as u32 >= most => 0.0,
            Place::Before => f64::from(self.commit(place).is_some()),
            Place::Commit(node) if self.is_closed(self.question.graph.name(node)) => 0.0,
            Place::Commit(_) if self.seen.tally(place).runs > 0 => 1.0,
            Place::Commit(node) => pick::testable(node, self.question.graph.len() as u32, &self.skipped),
        }
    }

    fn is_closed(&self, commit: Sha) -> bool {
        let aborted = self.record.aborts().any(|run| run.commit == commit);
        self.question.skips(commit) || self.record.verdict(commit) == Some(Verdict::Skip) || aborted
    }

    /// The commit that is run for a place: of the good ends the one with the fewest runs.
    fn commit(&self, place: Place) -> Option<Sha> {
        let good = || self.question.good.iter().filter(|end| !self.is_closed(**end)).copied();
        match place {
            Place::Commit(node) => Some(self.question.graph.name(node)),
            Place::Before => good().min_by_key(|end| self.record.of(*end).count()),
        }
    }

    /// The runs in fresh workspaces that this commit lacks, of itself and of its parents.
    fn missing_proofs(&self, node: Node) -> Vec<InFlight> {
        let culprit = self.question.graph.name(node);
        let of = std::iter::once(culprit).chain(self.parents(culprit)).filter(|commit| !self.is_closed(*commit));
        let lacks = |commit: &Sha| !self.record.has_run(*commit, Purpose::Proof);
        of.filter(lacks).map(|commit| InFlight { commit, purpose: Purpose::Proof }).collect()
    }

    /// The parents by which the search goes: with `--path` those of the simplified history.
    fn parents(&self, commit: Sha) -> Vec<Sha> {
        let mut parents: Vec<Sha> = Vec::new();
        for parent in self.question.graph.parents(&commit).filter(|it| place(self.question, *it).is_some()) {
            if !parents.contains(&parent) {
                parents.push(parent);
            }
        }
        parents
    }

    /// The fewest commits that are this probable together, the likeliest first; as far as any are likely at all.
    fn credible(&self, probability: f64) -> Vec<Sha> {
        let mut nodes: Vec<(usize, f64)> = self.posterior.culprit.iter().copied().enumerate().collect();
        nodes.sort_by(|one, other| other.1.total_cmp(&one.1));
        let wanted = probability * (1.0 - self.posterior.none);
        let mut sum = 0.0;
        let mut more = |(_, share): &&(usize, f64)| {
            let before = sum;
            sum += share;
            before < wanted
        };
        nodes.iter().take_while(|it| more(it)).map(|(node, _)| self.question.graph.name(*node as Node)).collect()
    }

    fn culprit(&self, node: Node) -> Conclusion {
        let culprit = self.question.graph.name(node);
        let state = |commit| if self.is_closed(commit) { ParentState::Skipped } else { ParentState::Proven };
        let parents = self.parents(culprit).into_iter().map(|commit| Parent { commit, state: state(commit) });
        Conclusion::Culprit {
            culprit,
            parents: parents.collect(),
            skipped_merge_bases: ends::skipped_merge_bases(self.question, &self.record),
            belief: Some(Box::new(self.belief())),
        }
    }

    fn suspects(&self, suspects: Vec<Sha>, why: SuspectsWhy) -> Conclusion {
        let skipped_merge_bases = ends::skipped_merge_bases(self.question, &self.record);
        Conclusion::Suspects { suspects, why, skipped_merge_bases, belief: Some(Box::new(self.belief())) }
    }

    /// Also where the test failed in each and every run: then the good end was none.
    fn no_culprit(&self) -> Conclusion {
        let (good, all) = (self.seen.tally(Place::Before), self.total);
        let failing = self.question.good.iter().find_map(|end| self.record.run_with(*end, Verdict::Bad));
        match failing {
            Some(run) if all.failures == all.runs => Conclusion::GoodFails { run },
            _ => Conclusion::NoCulprit { good, range: all.minus(good), belief: Box::new(self.belief()) },
        }
    }

    fn belief(&self) -> Belief {
        let graph = &self.question.graph;
        let (likeliest, _) = self.posterior.likeliest();
        let after = self.seen.behind(graph)[likeliest as usize];
        let share = |commit: &Sha| graph.node(commit).map_or(0.0, |node| self.posterior.culprit[node as usize]);
        let likely = self.credible(1.0).into_iter().map(|commit| (commit, share(&commit)));
        Belief {
            likely: likely.take_while(|(_, share)| *share >= UNLIKELY).take(MOST_LIKELY).collect(),
            none: self.posterior.none,
            before: self.total.minus(after),
            after,
            range: self.along(),
            one_more: self.one_more(),
        }
    }

    fn one_more(&self) -> Option<OneMore> {
        let graph = &self.question.graph;
        let place = *self.posterior.picks(graph, &[], 1, |place, times| self.chance(place, times)).first()?;
        let (likeliest, _) = self.posterior.likeliest();
        let after = |newer| {
            let mut seen = self.seen.clone();
            seen.count(place, newer);
            seen.posterior(graph).culprit[likeliest as usize]
        };
        Some(OneMore { commit: self.commit(place)?, if_newer: after(true), if_older: after(false) })
    }

    /// What is left of the doubt, by what a run between both sides tells at the rates that are believed.
    fn progress(&self) -> Progress {
        let sampling = &self.question.sampling;
        let left = f64::from(sampling.budget(self.question.graph.len()).saturating_sub(self.total.runs));
        let runs = self.posterior.entropy() / self.posterior.capacity().max(0.01);
        let proofs = self.missing_proofs(self.posterior.likeliest().0).len();
        Progress {
            candidates_left: self.credible(sampling.confidence).len().max(1),
            expected_probes: runs.min(left) + proofs as f64,
        }
    }
}

/// Where a commit stands: what is no end and not in the range counts nowhere.
fn place(question: &Question, commit: Sha) -> Option<Place> {
    let older = question.good.contains(&commit) || question.merge_bases.contains(&commit);
    question.graph.node(&commit).map(Place::Commit).or_else(|| older.then_some(Place::Before))
}

/// Sums of neighbours, so that at most `most` are left.
fn pieces(shares: &[f64], most: usize) -> Vec<f64> {
    let mut sums = vec![0.0; shares.len().min(most)];
    for (at, share) in shares.iter().enumerate() {
        let piece = at * sums.len() / shares.len();
        sums[piece] += share;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Sampling,
            graph::tests::{graph, linear, sha},
            next,
            tests::{FAIL, PASS, SKIP, World, number, question, since},
        },
        *,
    };
    use bisect_shared::Ending;
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use std::cell::RefCell;

    fn sampled(runs: u32, question: Question) -> Question {
        Question { sampling: Sampling { asked: true, runs, ..Sampling::default() }, ..question }
    }

    /// Fails at one rate before the culprit, and at another from it on.
    fn by_chance(seed: u64, culprit: u32, before: f64, after: f64) -> impl Fn(InFlight) -> Ending {
        let random = RefCell::new(StdRng::seed_from_u64(seed));
        move |run| {
            let rate = if number(run.commit) >= culprit { after } else { before };
            if random.borrow_mut().random_bool(rate) { FAIL } else { PASS }
        }
    }

    fn proofs(runs: &[Run]) -> Vec<u32> {
        let mut proofs: Vec<u32> =
            runs.iter().filter(|run| run.purpose == Purpose::Proof).map(|run| number(run.commit)).collect();
        proofs.sort_unstable();
        proofs
    }

    #[test]
    fn a_culprit_is_found_where_the_test_fails_by_chance_and_run_in_a_fresh_workspace_with_its_parent() {
        let question = sampled(30, question(linear(64)));
        for lanes in [1, 3, 7] {
            let mut right = 0;
            for seed in 0..20 {
                let world = World { question: &question, ending: &by_chance(seed, 23, 0.05, 0.7) };
                let (end, runs, _) = world.bisect(lanes);
                let Conclusion::Culprit { culprit, belief: Some(belief), parents, .. } = end else { continue };
                assert!(belief.likely[0] == (culprit, belief.likely[0].1) && belief.likely[0].1 >= 0.95, "{belief:?}");
                let wanted = [number(culprit), number(parents[0].commit)];
                assert!(wanted.iter().all(|commit| proofs(&runs).contains(commit)), "{wanted:?} {:?}", proofs(&runs));
                assert_eq!(belief.before.runs + belief.after.runs, runs.len() as u32, "every run counts");
                assert!((belief.range.iter().sum::<f64>() + belief.none - 1.0).abs() < 1e-9);
                right += u32::from(culprit == sha(23));
            }
            assert!(right >= 18, "{lanes} lanes: {right} of 20");
        }
    }

    #[test]
    fn what_is_asked_for_next_depends_on_the_set_of_runs_alone() {
        let question = sampled(30, question(linear(40)));
        let (_, runs, _) = World { question: &question, ending: &by_chance(3, 23, 0.1, 0.6) }.bisect(3);
        for known in 0..=runs.len() {
            let reversed: Vec<Run> = runs[..known].iter().rev().copied().collect();
            assert_eq!(next(&question, &runs[..known], &[], 3), next(&question, &reversed, &[], 3), "{known}");
        }
    }

    #[test]
    fn two_runs_that_contradict_one_another_begin_it_and_count() {
        // The search was misled once, in its run of 8.
        let question = question(linear(16));
        let ending = |run: InFlight| match run.purpose {
            Purpose::Search if number(run.commit) == 8 => PASS,
            _ => since(5)(run),
        };
        for lanes in [1, 3] {
            let (end, runs, _) = World { question: &question, ending: &ending }.bisect(lanes);
            let Conclusion::Culprit { culprit, belief: Some(belief), .. } = end else { panic!("{lanes}: {end:?}") };
            assert_eq!(number(culprit), 5, "{lanes} lanes");
            assert_eq!(belief.before.runs + belief.after.runs, runs.len() as u32);
            assert_eq!(belief.after.runs - belief.after.failures, 1, "the one that misled: {belief:?}");
        }
    }

    #[test]
    fn a_test_that_depends_on_the_commit_alone_pays_nothing() {
        let question = question(linear(100));
        let (_, runs, _) = World { question: &question, ending: &since(31) }.bisect(3);
        assert!(runs.iter().all(|run| run.purpose != Purpose::Sample), "{runs:?}");
    }

    #[test]
    fn the_bad_end_gets_as_many_chances_as_were_asked_for() {
        let question = sampled(7, question(linear(9)));
        for lanes in [1, 2, 9] {
            let (end, runs, _) = World { question: &question, ending: &|_| PASS }.bisect(lanes);
            assert!(matches!(end, Conclusion::NotReproducible { runs: 7, .. }), "{end:?}");
            assert_eq!(runs.iter().filter(|run| number(run.commit) == 9).count(), 7);
        }
    }

    #[test]
    fn a_test_that_fails_everywhere_alike_has_no_culprit() {
        let question = sampled(50, question(linear(32)));
        let (end, ..) = World { question: &question, ending: &by_chance(1, 0, 0.3, 0.3) }.bisect(3);
        let Conclusion::NoCulprit { good, range, belief } = end else { panic!("{end:?}") };
        assert!(good.runs > 0 && range.runs > good.runs, "{good:?} {range:?}");
        assert!(belief.likely.iter().all(|(_, probability)| *probability < 0.2), "{belief:?}");
        let (end, ..) = World { question: &question, ending: &|_| FAIL }.bisect(3);
        assert!(matches!(end, Conclusion::GoodFails { .. }), "always is not by chance: {end:?}");
    }

    #[test]
    fn commits_that_cannot_be_run_are_suspects_with_the_next_that_can() {
        let question = sampled(30, question(linear(32)));
        let ending = |run: InFlight| if (11..14).contains(&number(run.commit)) { SKIP } else { since(12)(run) };
        let (end, ..) = World { question: &question, ending: &ending }.bisect(2);
        let Conclusion::Suspects { suspects, why: SuspectsWhy::OnlySkippedLeft, .. } = end else { panic!("{end:?}") };
        let mut suspects: Vec<u32> = suspects.into_iter().map(number).collect();
        suspects.sort_unstable();
        assert_eq!(suspects, [11, 12, 13, 14]);
    }

    #[test]
    fn what_stays_unsure_ends_with_the_likeliest_and_keeps_to_what_was_allowed() {
        let question = sampled(3, question(linear(64)));
        let mut unsure = 0;
        for seed in 0..10 {
            let (end, runs, _) = World { question: &question, ending: &by_chance(seed, 20, 0.1, 0.4) }.bisect(3);
            assert!(runs.len() as u32 <= question.sampling.budget(64) + 3, "{}", runs.len());
            for run in &runs {
                let times = runs.iter().filter(|other| other.commit == run.commit).count();
                assert!(2 * times <= runs.len() + 3, "{times} runs of {}", number(run.commit));
            }
            if let Conclusion::Suspects { suspects, belief: Some(belief), .. } = end {
                assert_eq!(suspects[0], belief.likely[0].0);
                assert!(belief.likely.is_sorted_by(|one, other| one.1 >= other.1), "{belief:?}");
                assert!(belief.one_more.is_none_or(|more| more.if_newer >= 0.0 && more.if_older <= 1.0));
                unsure += 1;
            }
        }
        assert!(unsure > 0);
    }

    #[test]
    fn a_fix_is_found_by_the_runs_that_pass() {
        let question = sampled(30, Question { fixed: true, ..question(linear(16)) });
        let ending = |run: InFlight| if since(9)(run) == FAIL { PASS } else { FAIL };
        let (end, ..) = World { question: &question, ending: &ending }.bisect(1);
        assert!(matches!(end, Conclusion::Culprit { culprit, .. } if culprit == sha(9)), "{end:?}");
    }

    #[test]
    fn a_sampled_command_that_stops_the_bisection_stops_it() {
        let question = sampled(30, question(linear(16)));
        let ending = |run: InFlight| if number(run.commit) == 8 { Ending::Exited(130) } else { since(9)(run) };
        let (end, ..) = World { question: &question, ending: &ending }.bisect(1);
        assert!(matches!(end, Conclusion::Aborted { run, .. } if run.commit == sha(8)), "{end:?}");
    }

    #[test]
    fn a_merge_is_told_from_both_of_its_sides() {
        // 6 merges 4 and 5, which stand on 2 and 3, both on 1.
        let rows: &[(u32, &[u32])] = &[(6, &[4, 5]), (5, &[3]), (3, &[1]), (4, &[2]), (2, &[1]), (1, &[0])];
        let question = sampled(40, question(graph(rows)));
        let random = RefCell::new(StdRng::seed_from_u64(7));
        let ending = |run: InFlight| {
            let after = [3, 5, 6].contains(&number(run.commit));
            if random.borrow_mut().random_bool(if after { 0.7 } else { 0.05 }) { FAIL } else { PASS }
        };
        let (end, ..) = World { question: &question, ending: &ending }.bisect(2);
        assert!(matches!(end, Conclusion::Culprit { culprit, .. } if culprit == sha(3)), "{end:?}");
    }

    #[test]
    fn the_range_is_told_in_pieces_that_add_up() {
        assert_eq!(pieces(&[0.25; 4], 60), [0.25; 4]);
        assert_eq!(pieces(&[0.5, 0.25, 0.125, 0.125], 2), [0.75, 0.25]);
    }
}
