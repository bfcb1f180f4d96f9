//! Versions that are known to be bad, and why. Pure.
//!
//! Distributions mend without raising the number, so what is only insecure upstream is a warning, and names where to look.

use super::Finding;

/// Numbers of a version, as far as there are some.
fn numbers(text: &str) -> Vec<u32> {
    let begin = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let end = text[begin..].find(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(text.len(), |n| begin + n);
    text[begin..end].split('.').filter_map(|part| part.parse().ok()).collect()
}

fn older(version: &[u32], than: &[u32]) -> bool {
    !version.is_empty() && version < than
}

/// Whether a version is below the first mended one of its own line; lines are `major.minor`, rising.
fn unmended(version: &[u32], mended: &[[u32; 3]]) -> bool {
    let line = |it: &[u32]| [it.first().copied().unwrap_or(0), it.get(1).copied().unwrap_or(0)];
    match mended.iter().find(|first| line(&first[..]) == line(version)) {
        Some(first) => older(version, first),
        None => mended.first().is_some_and(|first| older(version, first)),
    }
}

pub(super) fn git(said: &str) -> Finding {
    let shown = said.trim();
    let version = numbers(said);
    if version.is_empty() {
        return Finding::warn("git", format!("`{shown}` is no version that is known"));
    }
    if older(&version, &[2, 34]) {
        return Finding::fail("git", format!("{shown} is too old: 2.34 or newer"));
    }
    let mended = [[2, 43, 7], [2, 44, 4], [2, 45, 4], [2, 46, 4], [2, 47, 3], [2, 48, 2], [2, 49, 1], [2, 50, 1]];
    if unmended(&version, &mended) {
        let text = "upstream's CVE-2025-48384 and -48385 are mended in 2.43.7, 2.50.1 and their like; distributions mend \
                    without a new number: `apt changelog git`";
        return Finding::warn("git", format!("{shown}; {text}"));
    }
    Finding::ok("git", shown)
}

pub(super) fn docker(said: &str) -> Finding {
    let version = numbers(said);
    if older(&version, &[20, 10]) {
        return Finding::fail("Docker", format!("{said} is too old: 20.10 or newer"));
    }
    if older(&version, &[23]) {
        return Finding::ok(
            "Docker",
            format!("{said}; upstream ended this line in 2023, a distribution may still mend it"),
        );
    }
    Finding::ok("Docker", said)
}

pub(super) fn runc(said: &str) -> Finding {
    let version = numbers(said);
    if version.is_empty() {
        return Finding::warn("runc", "Docker does not tell its version");
    }
    if older(&version, &[1, 1, 12]) {
        let text = "a container can get out of versions before 1.1.12 (CVE-2024-21626), unless the distribution mended it: \
                    `apt changelog runc`";
        return Finding::warn("runc", format!("{said}; {text}"));
    }
    if unmended(&version, &[[1, 2, 8], [1, 3, 3]]) {
        let text = "CVE-2025-31133, -52565 and -52881 are mended in 1.2.8 and 1.3.3, or by the distribution: `apt changelog runc`";
        return Finding::warn("runc", format!("{said}; {text}"));
    }
    Finding::ok("runc", said)
}

pub(super) fn kernel(release: &str) -> Finding {
    let version = numbers(release);
    if older(&version, &[4, 18]) {
        return Finding::fail("kernel", format!("{release} is too old: 4.18 or newer"));
    }
    if older(&version, &[5, 11]) {
        return Finding::warn("kernel", format!("{release}; 5.11 or newer mends several ways out of containers"));
    }
    Finding::ok("kernel", release)
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn bad_versions_are_told_from_good_ones_of_the_same_line() {
        let git = |text: &str| git(text).state;
        assert_eq!(git("git version 2.25.1"), State::Fail);
        assert_eq!(git("git version 2.39.5"), State::Warn);
        assert_eq!(git("git version 2.45.3"), State::Warn);
        assert_eq!(git("git version 2.45.4"), State::Ok);
        assert_eq!(git("git version 2.51.0.windows.1"), State::Ok);
        assert_eq!(git("fatal"), State::Warn);
        let runc = |text: &str| runc(text).state;
        assert_eq!(runc("1.1.5+ds1-1+deb12u1"), State::Warn);
        assert_eq!(runc("1.2.7"), State::Warn);
        assert_eq!((runc("1.2.8"), runc("1.3.3"), runc("1.4.0")), (State::Ok, State::Ok, State::Ok));
        assert_eq!((docker("19.03.1").state, docker("20.10.24+dfsg1").state), (State::Fail, State::Ok));
        assert_eq!(
            (kernel("4.4.0").state, kernel("5.4.0-1").state, kernel("6.8.0").state),
            (State::Fail, State::Warn, State::Ok)
        );
    }
}
