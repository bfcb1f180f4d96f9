//! Every job that is known, merged out of snapshots and changes: nothing missing, nothing doubled, nothing older.

use bisect_shared::{
    JobId,
    admin::{JobPage, JobView},
};
use std::collections::{HashMap, HashSet};

#[derive(Debug)]
struct Entry {
    view: JobView,
    /// The last [`Known::turn`] in which anything but a snapshot told of it.
    turn: u64,
}

/// The jobs.
#[derive(Debug, Default)]
pub(super) struct Known {
    jobs: HashMap<JobId, Entry>,
    /// Counts the times from which on changes are complete: a connection, a resync.
    turn: u64,
    /// What the snapshot that is being told has in it.
    snapshot: Option<HashSet<JobId>>,
    /// Gone in this turn: a snapshot that was made before may still have them.
    gone: HashSet<JobId>,
}

/// What a change did to one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merged {
    /// It was not known.
    New,
    /// It is another one now.
    Changed,
    /// It is as it was.
    Same,
}

impl Known {
    pub(super) fn get(&self, id: JobId) -> Option<&JobView> {
        self.jobs.get(&id).map(|entry| &entry.view)
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &JobView> {
        self.jobs.values().map(|entry| &entry.view)
    }

    /// From now on changes are told again, and a snapshot follows.
    pub(super) fn start_turn(&mut self) {
        self.turn += 1;
        self.snapshot = None;
        self.gone.clear();
    }

    /// A change, or a closer look at a job.
    pub(super) fn change(&mut self, view: JobView) -> Merged {
        self.gone.remove(&view.id);
        let turn = self.turn;
        self.merge(view, turn)
    }

    /// A job is no more; says whether it was known.
    pub(super) fn remove(&mut self, id: JobId) -> bool {
        self.gone.insert(id);
        self.jobs.remove(&id).is_some()
    }

    /// A page of a snapshot. After the last one, what is not in it and was not told of since the turn began is gone;
    /// says whether the jobs changed.
    pub(super) fn page(&mut self, page: JobPage, first: bool, last: bool) -> bool {
        let mut changed = false;
        let mut seen = if first { HashSet::new() } else { self.snapshot.take().unwrap_or_default() };
        for view in page.jobs {
            if self.gone.contains(&view.id) {
                continue;
            }
            seen.insert(view.id);
            let turn = self.jobs.get(&view.id).map_or(0, |entry| entry.turn);
            changed |= self.merge(view, turn) != Merged::Same;
        }
        if last {
            let (before, turn) = (self.jobs.len(), self.turn);
            self.jobs.retain(|id, entry| entry.turn == turn && turn > 0 || seen.contains(id));
            changed |= self.jobs.len() != before;
        } else {
            self.snapshot = Some(seen);
        }
        changed
    }

    fn merge(&mut self, view: JobView, turn: u64) -> Merged {
        match self.jobs.get_mut(&view.id) {
            None => {
                self.jobs.insert(view.id, Entry { view, turn });
                Merged::New
            }
            Some(known) => {
                known.turn = known.turn.max(turn);
                if view.seq < known.view.seq || view == known.view {
                    return Merged::Same;
                }
                known.view = view;
                Merged::Changed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn view(id: i64, seq: i64) -> JobView {
        JobView { seq, ..samples::job(id) }
    }

    fn page(jobs: &[(i64, i64)]) -> JobPage {
        JobPage { jobs: jobs.iter().map(|(id, seq)| view(*id, *seq)).collect(), next: None }
    }

    fn seqs(known: &Known) -> BTreeMap<i64, i64> {
        known.all().map(|view| (view.id.0, view.seq)).collect()
    }

    #[test]
    fn an_older_view_never_overwrites_a_newer_one() {
        let mut known = Known::default();
        known.start_turn();
        assert_eq!(known.change(view(1, 5)), Merged::New);
        assert_eq!(known.change(view(1, 4)), Merged::Same);
        known.page(page(&[(1, 3)]), true, true);
        assert_eq!(seqs(&known), BTreeMap::from([(1, 5)]));
        let moved = JobView { probes_done: 99, ..view(1, 5) };
        assert_eq!(known.change(moved), Merged::Changed, "the same event, and more probes");
    }

    #[test]
    fn a_snapshot_removes_what_is_gone_and_only_that() {
        let mut known = Known::default();
        known.start_turn();
        known.page(page(&[(3, 1), (2, 1)]), true, false);
        known.page(page(&[(1, 1)]), false, true);
        assert_eq!(known.len(), 3);
        known.start_turn();
        known.change(view(4, 1));
        known.page(page(&[(3, 1)]), true, false);
        known.remove(JobId(1));
        assert_eq!(known.len(), 3, "nothing goes before the snapshot is complete");
        known.page(page(&[(1, 1)]), false, true);
        assert_eq!(seqs(&known).into_keys().collect::<Vec<_>>(), [3, 4], "4 is newer than the snapshot, 1 is gone");
    }

    #[test]
    fn a_snapshot_that_was_broken_off_removes_nothing() {
        let mut known = Known::default();
        known.start_turn();
        known.page(page(&[(2, 1), (1, 1)]), true, true);
        known.start_turn();
        known.page(page(&[(2, 2)]), true, false);
        known.start_turn();
        known.page(page(&[(2, 2), (1, 1)]), true, true);
        assert_eq!(seqs(&known), BTreeMap::from([(1, 1), (2, 2)]));
    }

    /// What happens to a world of few jobs, and what of it is told when.
    #[derive(Debug, Clone)]
    enum Step {
        Change(i64),
        Remove(i64),
        Snapshot,
        Lose,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (1_i64..8).prop_map(Step::Change),
            1 => (1_i64..8).prop_map(Step::Remove),
            2 => Just(Step::Snapshot),
            1 => Just(Step::Lose),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        /// Events are told at once or lost with a connection; snapshots are made at one time and told at a later one.
        #[test]
        fn in_the_end_it_is_as_the_database_says(steps in steps()) {
            let mut world: BTreeMap<i64, i64> = BTreeMap::new();
            let mut removed: HashSet<i64> = HashSet::new();
            let mut known = Known::default();
            let mut pending: Option<BTreeMap<i64, i64>> = None;
            let (mut connected, mut clock) = (true, 0);
            known.start_turn();
            for step in steps.into_iter().chain([Step::Snapshot, Step::Snapshot, Step::Snapshot]) {
                clock += 1;
                match step {
                    Step::Change(id) if !removed.contains(&id) => {
                        world.insert(id, clock);
                        if connected {
                            known.change(view(id, clock));
                        }
                    }
                    Step::Remove(id) if world.remove(&id).is_some() => {
                        removed.insert(id);
                        if connected {
                            known.remove(JobId(id));
                        }
                    }
                    Step::Change(_) | Step::Remove(_) => {}
                    Step::Lose => (connected, pending) = (false, None),
                    Step::Snapshot if !connected => {
                        connected = true;
                        known.start_turn();
                        pending = Some(world.clone());
                    }
                    Step::Snapshot => match pending.take() {
                        None => pending = Some(world.clone()),
                        Some(made) => {
                            let jobs: Vec<(i64, i64)> = made.into_iter().rev().collect();
                            let (new, old) = jobs.split_at(jobs.len() / 2);
                            known.page(page(new), true, false);
                            known.page(page(old), false, true);
                        }
                    },
                }
                for (id, seq) in seqs(&known) {
                    prop_assert!(world.get(&id).is_none_or(|newest| seq <= *newest), "nothing is made up");
                }
            }
            prop_assert_eq!(seqs(&known), world);
        }
    }
}
