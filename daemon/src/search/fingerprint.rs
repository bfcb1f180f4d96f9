//! What a failing run said last, so far that two runs of one failure have it in common.
//!
//! Knows nothing of texts: how a line becomes a number is `runner::said`'s.

use std::fmt::{Display, Formatter};

/// Of the last lines of a run's output at most so many.
pub const LINES: usize = 8;

/// The last lines of a run's output, each as a number that leaves out what changes from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Fingerprint([u32; LINES]);

impl Fingerprint {
    /// From the numbers of the last lines, in any order; 0 stands for none.
    #[must_use]
    pub fn new(lines: impl IntoIterator<Item = u32>) -> Self {
        let mut sorted: Vec<u32> = lines.into_iter().filter(|line| *line != 0).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut set = [0; LINES];
        set.iter_mut().zip(sorted).for_each(|(place, line)| *place = line);
        Self(set)
    }

    /// Whether it said nothing.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.lines().next().is_none()
    }

    /// Whether both may be of one failure: at least half of the lines of the one that has fewer are the other's, too. Who said
    /// nothing is like nobody but others who said nothing.
    #[must_use]
    pub fn is_like(self, other: Self) -> bool {
        let fewer = self.lines().count().min(other.lines().count());
        if fewer == 0 {
            return self == other;
        }
        let common = self.lines().filter(|line| other.0.contains(line)).count();
        2 * common >= fewer
    }

    fn lines(self) -> impl Iterator<Item = u32> {
        self.0.into_iter().filter(|line| *line != 0)
    }
}

/// As it is stored.
impl Display for Fingerprint {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let words: Vec<String> = self.lines().map(|line| format!("{line:08x}")).collect();
        f.write_str(&words.join(" "))
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lines: Result<Vec<u32>, _> = text.split_whitespace().map(|word| u32::from_str_radix(word, 16)).collect();
        Ok(Self::new(lines?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_lines_make_it_the_same_failure() {
        let of = |lines: &[u32]| Fingerprint::new(lines.iter().copied());
        assert!(of(&[1, 2, 3, 4]).is_like(of(&[3, 4, 5, 6])));
        assert!(!of(&[1, 2, 3, 4]).is_like(of(&[4, 5, 6, 7])));
        assert!(of(&[7]).is_like(of(&[1, 2, 3, 7])), "a short output may be the end of a long one");
        assert!(of(&[]).is_like(of(&[])));
        assert!(!of(&[]).is_like(of(&[1])));
    }

    #[test]
    fn it_is_stored_as_text() {
        let print = Fingerprint::new([0xfeed, 3, 3, 0]);
        assert_eq!(print.to_string(), "00000003 0000feed");
        assert_eq!(print.to_string().parse(), Ok(print));
        assert_eq!("".parse(), Ok(Fingerprint::default()));
        assert!("what".parse::<Fingerprint>().is_err());
    }
}
