//! The log that `git bisect replay` reads (git's `builtin/bisect.c`, `bisect_replay`), so that a
//! developer has the whole search in their own clone with one command.

use super::Request;
use bisect_shared::{Sha, Verdict};
use std::fmt::Write;

/// The log of a search over `request` in which `verdicts` were found, in order, with the subject
/// of each commit. Verdicts are the test's own words; with `--fixed` they are turned into git's terms.
#[must_use]
pub fn render(request: &Request, verdicts: &[(Sha, Verdict, String)], culprit: Option<&(Sha, String)>) -> String {
    let (old, new) = if request.fixed { ("broken", "fixed") } else { ("good", "bad") };
    let mut log = start_line(request);
    let subject = |sha: &Sha| {
        let known = verdicts.iter().find(|(commit, ..)| commit == sha);
        known.map_or_else(String::new, |(.., subject)| format!(" {}", one_line(subject)))
    };
    let mut line = |term: &str, sha: &Sha| {
        let _ = write!(log, "# {term}: [{sha}]{}\ngit bisect {term} {sha}\n", subject(sha));
    };
    line(new, &request.bad);
    request.good.iter().for_each(|sha| line(old, sha));
    let end = |sha: &Sha| *sha == request.bad || request.good.contains(sha);
    request.skip.iter().filter(|sha| !end(sha)).for_each(|sha| line("skip", sha));
    for (sha, verdict, _) in verdicts.iter().filter(|(sha, ..)| !end(sha) && !request.skip.contains(sha)) {
        line(term(*verdict, request.fixed), sha);
    }
    if let Some((sha, subject)) = culprit {
        let _ = writeln!(log, "# first {new} commit: [{sha}] {}", one_line(subject));
    }
    log
}

/// `verdicts` so that git comes to the same end: of the commits with the newer behaviour it keeps
/// only the one it was told last (`bisect_write` sets `refs/bisect/bad`), and with several lanes the
/// last answer need not be the narrowest. They are told newest first, as `newest_first` has them, and
/// `found`, the culprit or the newest suspect, at the end.
#[must_use]
pub fn in_order(
    mut verdicts: Vec<(Sha, Verdict, String)>,
    fixed: bool,
    newest_first: &[Sha],
    found: Option<Sha>,
) -> Vec<(Sha, Verdict, String)> {
    let newer = if fixed { Verdict::Good } else { Verdict::Bad };
    let (places, mut told): (Vec<usize>, Vec<_>) =
        verdicts.iter().cloned().enumerate().filter(|(_, (_, verdict, _))| *verdict == newer).unzip();
    told.sort_by_key(|(sha, ..)| (found == Some(*sha), newest_first.iter().position(|known| known == sha)));
    for (place, verdict) in places.into_iter().zip(told) {
        verdicts[place] = verdict;
    }
    verdicts
}

fn term(verdict: Verdict, fixed: bool) -> &'static str {
    match (verdict, fixed) {
        (Verdict::Skip, _) => "skip",
        (Verdict::Good, false) => "good",
        (Verdict::Bad, false) => "bad",
        (Verdict::Good, true) => "fixed",
        (Verdict::Bad, true) => "broken",
    }
}

fn start_line(request: &Request) -> String {
    let mut words = Vec::new();
    if request.fixed {
        words.extend(["--term-new=fixed", "--term-old=broken"]);
    }
    if request.first_parent {
        words.push("--first-parent");
    }
    if !request.paths.is_empty() {
        words.push("--");
        words.extend(request.paths.iter().map(String::as_str));
    }
    let quoted: String = words.into_iter().map(quoted).collect();
    format!("git bisect start{quoted}\n")
}

/// An argument as `sq_dequote_to_strvec` (git's `quote.c`) reads it: a line in which one word is not
/// in single quotes counts as a `start` without any arguments, and git says nothing.
fn quoted(word: &str) -> String {
    format!(" '{}'", word.replace('\'', r"'\''").replace('!', r"'\!'"))
}

/// A subject cannot end its comment line: what follows would be read as a command.
fn one_line(subject: &str) -> String {
    subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_told_the_narrowest_last_however_the_answers_came() {
        let commit = |n: u8| Sha::from_bytes([n; 20]);
        let newest_first: Vec<Sha> = (1..=9).rev().map(commit).collect();
        let told = |verdicts: &[(u8, Verdict)], fixed, found| -> Vec<Sha> {
            let verdicts = verdicts.iter().map(|(n, verdict)| (commit(*n), *verdict, String::new())).collect();
            in_order(verdicts, fixed, &newest_first, found).into_iter().map(|(sha, ..)| sha).collect()
        };
        let answers = [(5, Verdict::Bad), (2, Verdict::Good), (7, Verdict::Bad), (4, Verdict::Good)];
        assert_eq!(told(&answers, false, None), [7, 2, 5, 4].map(commit));
        assert_eq!(told(&answers, true, None), [5, 4, 7, 2].map(commit));
        // On another branch than all others: the order says nothing, the search did.
        assert_eq!(told(&answers, false, Some(commit(7))), [5, 2, 7, 4].map(commit));
    }
}
