//! Names that look like ours and are not: a setting that is spelled wrongly must not be lost in
//! silence, and what belongs to other programs is none of our business.

use super::{VARIABLES, Variable};

/// Names that begin so are ours and nobody else's, in a file that somebody wrote for us.
const OURS: &[&str] = &["BISECT_", "RUNNER_"];

/// Names that begin so may be ours: then their words are those of one that we know.
const SHARED: &[&str] = &["DATABASE_", "DOCKER_", "GITHUB_", "MAX_"];

/// Whether a name in `.env` was meant for us. Such a file is shared with other programs
/// (`docker compose` reads it too), so only what is surely a mistake is one.
pub(super) fn looks_like_ours(name: &str) -> bool {
    !is_known(name) && (OURS.iter().any(|prefix| name.starts_with(prefix)) || nearest(name).is_some())
}

/// The known name that an unknown one was meant to be, if one is near enough: a slip of the
/// fingers, or some of its words.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    misspelled(name).or_else(|| {
        let name = name.to_ascii_uppercase();
        let shares = SHARED.iter().chain(OURS).any(|prefix| name.starts_with(prefix));
        known_names().find(|known| shares && has_words_of(known, &name))
    })
}

/// The known name that an unknown one is but for a letter or two. In the environment, where many
/// programs' variables are (`RUNNER_OS`, `GITHUB_URL_BASE`), nothing less is a mistake.
pub(super) fn misspelled(name: &str) -> Option<&'static str> {
    if is_known(name) {
        return None;
    }
    let name = name.to_ascii_uppercase();
    let near = known_names().map(|known| (distance(known, &name), known)).min()?;
    // A short name is soon another one.
    let slips = if near.1.len() < 12 { 1 } else { 2 };
    (near.0 <= slips).then_some(near.1)
}

fn is_known(name: &str) -> bool {
    known_names().any(|known| known == name)
}

fn known_names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().flat_map(|Variable { name, alias, .. }| std::iter::once(*name).chain(*alias))
}

/// Whether all words of `name` are in `known`, in this order: `GITHUB_PRIVATE_KEY` for
/// `GITHUB_PRIVATE_KEY_PATH`, `MAX_PROBES` for `MAX_CONCURRENT_PROBES`.
fn has_words_of(known: &str, name: &str) -> bool {
    let mut words = known.split('_');
    name.contains('_') && name.split('_').all(|word| words.any(|known| known == word))
}

/// How many letters must be put in, left out, changed, or swapped with the next to make one of the
/// other (optimal string alignment; Damerau, Communications of the ACM 7:3, 1964).
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 0..one.len() {
        let mut row = vec![i + 1];
        for j in 0..other.len() {
            let changed = last[j] + usize::from(one[i] != other[j]);
            let mut least = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && one[i] == other[j - 1] && one[i - 1] == other[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted() {
        for (one, other, count) in
            [("", "", 0), ("", "ab", 2), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!((distance(one, other), distance(other, one)), (count, count), "{one} {other}");
        }
    }

    #[test]
    fn a_slip_is_seen_everywhere() {
        for (name, meant) in [
            ("MAX_CONCURENT_PROBES", "MAX_CONCURRENT_PROBES"),
            ("HEARTBEAT_SECOND", "HEARTBEAT_SECONDS"),
            ("DATABSE_URL", "DATABASE_URL"),
            ("DATA_DRI", "DATA_DIR"),
            ("heartbeat_second", "HEARTBEAT_SECONDS"),
            ("SECRETKEY", "SECRET_KEY"),
        ] {
            assert_eq!(misspelled(name), Some(meant));
            assert!(looks_like_ours(name), "{name}");
        }
    }

    #[test]
    fn what_is_ours_and_what_is_another_program_s_are_told_apart() {
        for name in
            ["BISECT_TIMEOUT", "BISECT_COLOUR", "RUNNER_IMAGE", "GITHUB_PRIVATE_KEY", "MAX_PROBES", "DOCKER_IMAGE"]
        {
            assert!(looks_like_ours(name), "{name}");
            assert_eq!(misspelled(name), None, "{name} may stand in an environment");
        }
        for name in [
            "GITHUB_TOKEN",
            "DOCKER_HOST",
            "MAX_UPLOAD_SIZE",
            "PATH",
            "POSTGRES_PASSWORD",
            "XDG_DATA_HOME",
            "PORT",
            "MAX",
            "ROCKET_PORT",
        ] {
            assert!(!looks_like_ours(name), "{name}");
            assert_eq!(misspelled(name), None, "{name}");
        }
    }

    #[test]
    fn no_name_of_ours_is_taken_for_another() {
        for name in known_names() {
            assert!(!looks_like_ours(name) && misspelled(name).is_none(), "{name}");
        }
    }
}
