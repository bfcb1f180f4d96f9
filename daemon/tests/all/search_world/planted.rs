//! The bisections planted in generated histories: what is asked, and the truth behind it.

use super::history::{Chance, History};
use std::collections::HashSet;

/// What is asked of a history, and the truth behind it. Commits by number.
#[derive(Debug)]
pub struct Planted {
    pub good: Vec<usize>,
    pub bad: usize,
    /// The commit that every failing commit descends from.
    pub culprit: usize,
    /// The commits that show the newer behaviour.
    pub newer: HashSet<usize>,
    /// The commits that cannot be tested.
    pub skipped: HashSet<usize>,
    /// Whether that is said beforehand (`--skip`).
    pub told: bool,
    /// The good side was fixed: nothing was broken.
    pub fixed_before: bool,
    pub first_parent: bool,
    pub fixed: bool,
    /// Only commits that touch file 0.
    pub path: bool,
}

impl Planted {
    /// A question with one true answer; none where chance finds no place for it.
    pub fn plant(chance: &mut Chance, history: &History) -> Option<Self> {
        let head = history.len() - 1;
        let aside = chance.once_in(4);
        let bad = if aside { head / 2 + chance.below(head / 2 + 1) } else { head };
        let path = chance.once_in(4);
        let astray = path && chance.once_in(6);
        let below = history.ancestors(bad);
        let fits = |commit: &usize| !path || astray || history.touches[*commit].contains(&0);
        let culprit = (0..50).map(|_| 1 + chance.below(bad)).filter(fits).find(|c| below.contains(c))?;
        let mut newer = history.descendants(culprit);
        let possible: Vec<usize> = (0..head).filter(|c| !newer.contains(c) && (aside || below.contains(c))).collect();
        let wanted = chance.one_of(&[1, 1, 1, 2, 3]);
        let picked: Vec<usize> = (0..wanted).map(|_| chance.one_of(&possible)).collect();
        let mut good = picked.clone();
        good.sort_unstable();
        good.dedup();
        let hidden = |one: &usize| picked.iter().any(|o| o != one && history.ancestors(*o).contains(one));
        good.retain(|one| !hidden(one));
        let fixed_before = aside && chance.once_in(4);
        if fixed_before {
            let fixed: HashSet<usize> = good.iter().flat_map(|g| history.ancestors(*g)).collect();
            newer = (0..history.len()).filter(|c| below.contains(c) || !fixed.contains(c)).collect();
            good.retain(|one| !below.contains(one));
            if good.is_empty() {
                return None;
            }
        }
        let skipped = skips(chance, history.len(), |c| c == bad || good.contains(&c));
        let first_parent = chance.once_in(5);
        let fixed = chance.once_in(5);
        let told = chance.once_in(3);
        Some(Self { good, bad, culprit, newer, skipped, told, fixed_before, first_parent, fixed, path })
    }
}

/// None in half of the histories; else strewn or in intervals, up to most commits.
fn skips(chance: &mut Chance, length: usize, never: impl Fn(usize) -> bool) -> HashSet<usize> {
    let mut skipped = HashSet::new();
    match chance.below(6) {
        0..=2 => {}
        3 | 4 => {
            let share = chance.one_of(&[0.03, 0.1, 0.3, 0.8]);
            skipped.extend((0..length).filter(|_| chance.fraction() < share));
        }
        _ => {
            for _ in 0..1 + chance.below(4) {
                let from = chance.below(length);
                skipped.extend(from..length.min(from + 1 + chance.below(length / 4)));
            }
        }
    }
    skipped.retain(|commit| !never(*commit));
    skipped
}
