//! Generated histories, all from one seed.

use std::collections::HashSet;
use std::fmt::Write as _;

/// A small random source that gives the same numbers everywhere (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn one_of<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())]
    }
}

/// How many files the commits of a history touch.
pub const FILES: usize = 4;

/// A history: commits by number, parents before children. The last one stands above all others.
pub struct History {
    pub parents: Vec<Vec<usize>>,
    /// Per commit the files it changes itself, apart from what a merge brings.
    pub touches: Vec<Vec<usize>>,
}

impl History {
    /// `length` commits: in a row, or with branches, merges of up to six parents, and branches that
    /// merge one another (criss-cross).
    pub fn generate(chance: &mut Chance, length: usize) -> Self {
        let linear = chance.once_in(5);
        let widest = if chance.once_in(3) { 6 } else { 2 };
        let (fork, merge) = (chance.one_of(&[3, 8, 30]), chance.one_of(&[3, 8, 30]));
        let criss_cross = chance.one_of(&[1, 2, 50]);
        let mut parents: Vec<Vec<usize>> = vec![Vec::new()];
        let mut tips = vec![0];
        while parents.len() + 1 < length {
            let commit = parents.len();
            if !linear && tips.len() < 8 && chance.once_in(fork) {
                let from = commit - 1 - chance.below(commit.min(40));
                parents.push(vec![from]);
                tips.push(commit);
            } else if !linear && tips.len() > 1 && chance.once_in(merge) {
                let count = 2 + chance.below(widest - 1);
                let into = chance.below(tips.len());
                let mut merged = vec![tips[into]];
                while merged.len() < count.min(tips.len()) {
                    let tip = chance.one_of(&tips);
                    if !merged.contains(&tip) {
                        merged.push(tip);
                    }
                }
                tips[into] = commit;
                let keep = chance.once_in(criss_cross);
                tips.retain(|tip| keep || !merged.contains(tip));
                parents.push(merged);
            } else {
                let on = chance.below(tips.len());
                parents.push(vec![tips[on]]);
                tips[on] = commit;
            }
        }
        tips.sort_unstable();
        tips.dedup();
        parents.push(tips);
        let touches = parents.iter().map(|_| Self::touched(chance)).collect();
        Self { parents, touches }
    }

    fn touched(chance: &mut Chance) -> Vec<usize> {
        (0..FILES).filter(|file| chance.once_in(2 + 3 * file)).collect()
    }

    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// The commit and its ancestors.
    pub fn ancestors(&self, commit: usize) -> HashSet<usize> {
        let mut found = HashSet::from([commit]);
        for commit in (0..=commit).rev() {
            if found.contains(&commit) {
                found.extend(&self.parents[commit]);
            }
        }
        found
    }

    /// The commit and its descendants.
    pub fn descendants(&self, commit: usize) -> HashSet<usize> {
        let mut found = HashSet::from([commit]);
        for child in commit + 1..self.len() {
            if self.parents[child].iter().any(|parent| found.contains(parent)) {
                found.insert(child);
            }
        }
        found
    }

    /// The commit and its first parents.
    pub fn first_parents(&self, commit: usize) -> Vec<usize> {
        let next = |commit: &usize| self.parents[*commit].first().copied();
        std::iter::successors(Some(commit), next).collect()
    }

    /// The stream for `git fast-import`; commit `n` gets mark `n + 1`. Merges never lose a change, so
    /// the content of a file is the set of changes to it below.
    pub fn fast_import(&self) -> String {
        let mut stream = String::new();
        let mut contents: Vec<[Vec<u64>; FILES]> = Vec::new();
        for (commit, parents) in self.parents.iter().enumerate() {
            let mark = commit + 1;
            let when = 1_700_000_000 + 60 * commit;
            write!(stream, "commit refs/heads/main\nmark :{mark}\ncommitter A <a@b> {when} +0000\ndata 1\nx\n")
                .unwrap();
            for (place, parent) in parents.iter().enumerate() {
                let word = if place == 0 { "from" } else { "merge" };
                writeln!(stream, "{word} :{}", parent + 1).unwrap();
            }
            let mut files: [Vec<u64>; FILES] = Default::default();
            for (file, content) in files.iter_mut().enumerate() {
                for parent in parents {
                    union(content, &contents[*parent][file]);
                }
                if self.touches[commit].contains(&file) {
                    union(content, &single(commit));
                }
                let changed = parents.first().is_none_or(|first| contents[*first][file] != *content);
                if changed && !content.is_empty() {
                    let text: String = content.iter().map(|word| format!("{word:x}.")).collect();
                    writeln!(stream, "M 100644 inline f{file}\ndata {}\n{text}", text.len()).unwrap();
                }
            }
            contents.push(files);
        }
        stream
    }
}

fn single(commit: usize) -> Vec<u64> {
    let mut words = vec![0; commit / 64 + 1];
    words[commit / 64] = 1 << (commit % 64);
    words
}

fn union(into: &mut Vec<u64>, other: &[u64]) {
    into.resize(into.len().max(other.len()), 0);
    into.iter_mut().zip(other).for_each(|(word, other)| *word |= other);
}
