//! What a value may be: one check for each kind, with the reason as the rest of a sentence.

use regex::bytes::{Regex, RegexBuilder};
use std::time::Duration;

/// The longest name of a commit, in bytes: file systems hold no longer part of a ref.
pub(crate) const REF_BYTES: usize = 255;
/// The longest image name, in bytes.
pub(crate) const IMAGE_BYTES: usize = 512;
/// The longest setup and the longest script, in bytes; the kernel takes 128 KiB in one argument.
pub(crate) const SCRIPT_BYTES: usize = 32 * 1024;
/// The longest path, in bytes.
pub(crate) const PATH_BYTES: usize = 1024;
/// How often an option that may be repeated may stand.
pub(crate) const REPEATS: usize = 50;
/// The most probes at once.
pub(crate) const JOBS: std::ops::RangeInclusive<u32> = 1..=64;
/// The most runs for each step of a search.
pub(crate) const RUNS: std::ops::RangeInclusive<u32> = 1..=100;
/// How probable an answer must be.
pub(crate) const CONFIDENCE: std::ops::RangeInclusive<f64> = 0.5..=0.9999;
/// `--failure-line`: how long it may be, and how large once it is compiled.
const EXPRESSION_BYTES: usize = 1024;
const EXPRESSION_COMPILED: usize = 1 << 20;

/// A SHA, a tag or a branch, by git's rules for names of refs (git-check-ref-format).
pub(crate) fn reference(text: &str) -> Result<String, String> {
    let forbidden = |c: char| c.is_whitespace() || matches!(c, ':' | '?' | '*' | '[' | '\\');
    let part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let why = if text.is_empty() {
        "is empty"
    } else if text.len() > REF_BYTES {
        return Err(format!("is {} bytes long; names of commits have at most {REF_BYTES}", text.len()));
    } else if text.starts_with('-') {
        "begins with a dash, which no name of a commit does"
    } else if text.chars().any(is_hidden) {
        "holds a control or invisible character"
    } else if text.starts_with('<') && text.ends_with('>') {
        "stands in angle brackets; leave them out"
    } else if text.contains("..") {
        "is a range; write the good and the bad end with a space between"
    } else if text.contains(['~', '^']) || text.contains("@{") {
        "uses ~, ^ or @{}; write the commit's SHA, or a tag or branch"
    } else if text == "@" || text.ends_with('.') || text.contains(forbidden) || text.split('/').any(part) {
        "is no name that git allows for a commit, tag or branch"
    } else {
        return Ok(text.to_owned());
    };
    Err(why.to_owned())
}

/// `A..B`, or one commit.
pub(crate) fn skip(text: &str) -> Result<String, String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    for end in [from, to] {
        reference(end).map_err(|_| "must be a range `A..B` of SHAs, tags or branches, or one of them".to_owned())?;
    }
    Ok(text.to_owned())
}

/// The name of an image, with registry, tag or digest (the characters of Docker's reference grammar).
pub(crate) fn image(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if text.len() > IMAGE_BYTES {
        return Err(format!("is {} bytes long; at most {IMAGE_BYTES} are taken", text.len()));
    }
    let sound = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain);
    if sound { Ok(text.to_owned()) } else { Err("must be the name of an image, for example `python:3.12`".into()) }
}

/// A script for `sh -c`.
pub(crate) fn script(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty".into());
    }
    if text.contains('\0') {
        return Err("holds a NUL character, which no command can".into());
    }
    if text.len() > SCRIPT_BYTES {
        return Err(format!("is {} bytes long; at most {SCRIPT_BYTES} are taken", text.len()));
    }
    Ok(text.to_owned())
}

/// A path inside the repository.
pub(crate) fn path(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.len() > PATH_BYTES {
        return Err(format!("is {} bytes long; at most {PATH_BYTES} are taken", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character".into());
    }
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err("must be a path inside the repository, for example `src/parser`".into());
    }
    Ok(text.to_owned())
}

/// How many probes run at once.
pub(crate) fn jobs(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| JOBS.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", JOBS.start(), JOBS.end()))
}

/// How many runs each step of a search may take.
pub(crate) fn runs(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| RUNS.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", RUNS.start(), RUNS.end()))
}

/// How probable an answer must be: `0.99`, or `99%`.
pub(crate) fn confidence(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok()).map(|number| number / 100.0);
    let number = percent.or_else(|| text.parse().ok()).filter(|number| CONFIDENCE.contains(number));
    let bounds = (CONFIDENCE.start(), CONFIDENCE.end());
    number.ok_or_else(|| format!("must be a probability from {} to {}, for example 0.99", bounds.0, bounds.1))
}

/// The expression that a line of the output must match.
pub(crate) fn failure_line(text: &str) -> Result<Regex, String> {
    if text.is_empty() {
        return Err("is empty: every line matches it".into());
    }
    if text.len() > EXPRESSION_BYTES {
        return Err(format!("is {} bytes long; at most {EXPRESSION_BYTES} are taken", text.len()));
    }
    RegexBuilder::new(text).size_limit(EXPRESSION_COMPILED).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "is too large a regular expression".to_owned(),
        error => {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("is no regular expression: {why}")
        }
    })
}

/// `90`, `90s`, `10m`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let read = seconds.map_or_else(|| humantime::parse_duration(text), Ok);
    let read = read.map_err(|_| "not a time; write for example `90s`, `10m` or `1h30m`")?;
    if read.is_zero() || read > Duration::from_hours(24 * 7) {
        return Err("must be above 0 and at most a week, for example `90s` or `10m`".into());
    }
    Ok(read)
}

/// Control characters, and those that make a text read otherwise than it is.
pub(crate) fn is_hidden(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    c.is_control() || invisible || matches!(c, '\u{61c}' | '\u{feff}')
}
